// Escape times of points of the complex plane.
#include "../bench.h"

static int escape(double x, double y, int limit) {
  double re = 0, im = 0, re2 = 0, im2 = 0;
  int i = 0;
  for (; i < limit && re2 + im2 <= 4; ++i) {
    im = 2 * re * im + y;
    re = re2 - im2 + x;
    re2 = re * re;
    im2 = im * im;
  }
  return i;
}

int main(int argc, char** argv) {
  int side = bench_start(argc, argv, 1500, 280);
  for (int row = 0; row < side; ++row) {
    for (int column = 0; column < side; ++column) {
      bench_add((uint64_t)escape(2.5 * column / side - 2, 2.5 * row / side - 1.25, 500));
    }
  }
  return bench_finish("mandelbrot");
}
