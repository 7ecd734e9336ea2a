// Strings from point k of a circle to point 2k: their envelope is a cardioid.
#include <math.h>

#include "picture.h"

enum { kPoints = 360 };

static example_canvas_canvas_point_t at(uint32_t k, uint32_t width, uint32_t height) {
  const double angle = 2 * M_PI * (k % kPoints) / kPoints;
  example_canvas_canvas_point_t p;
  p.x = (uint32_t)floor(width / 2.0 + 0.47 * width * cos(angle + M_PI) + 0.5);
  p.y = (uint32_t)floor(height / 2.0 + 0.47 * height * sin(angle + M_PI) + 0.5);
  return p;
}

void exports_picture_draw(picture_canvas_id_t canvas, uint32_t width, uint32_t height) {
  for (uint32_t k = 0; k < kPoints; k++) {
    example_canvas_canvas_point_t from = at(k, width, height), to = at(2 * k, width, height);
    example_canvas_canvas_draw_line(canvas, &from, &to);
  }
}
