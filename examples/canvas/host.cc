// Draws what a component draws, with Cairo: canvas_host PICTURE.wasm OUT [SIZE] [TIER] makes
// OUT.png and OUT.svg, and lists the lines in OUT.txt. The bindings come from canvas.wit, by
// `wafer bindgen host`.
#include <cairo-svg.h>
#include <cairo.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "picture.hpp"
#include "wafer/wafer.hpp"

namespace {

using picture::example::canvas::canvas::CanvasId;
using picture::example::canvas::canvas::Point;

// What has been drawn on one canvas; it is painted when all lines are known, since their colors
// go around the color wheel once.
class Canvas final : public picture::example::canvas::Canvas {
 public:
  static constexpr CanvasId kId = 7;
  static constexpr size_t kMostLines = 1'000'000;

  wafer::Result<void> draw_line(CanvasId canvas, Point from, Point to) override {
    if (canvas != kId) return wafer::Error(wafer::ErrorKind::Usage, "no such canvas");
    if (lines_.size() == kMostLines)
      return wafer::Error(wafer::ErrorKind::Exhaustion, "too many lines");
    lines_.push_back({from, to});
    return {};
  }

  void paint(cairo_t* to, uint32_t size) const {
    cairo_set_source_rgb(to, 0.04, 0.05, 0.1);
    cairo_rectangle(to, 0, 0, size, size);
    cairo_fill(to);
    cairo_set_line_cap(to, CAIRO_LINE_CAP_ROUND);
    cairo_set_line_width(to, std::max(1.0, size / 500.0));
    for (size_t i = 0; i < lines_.size(); ++i) {
      const double hue = double(i) / double(lines_.size());
      const auto part = [&](double shift) {
        return 0.6 + 0.4 * std::cos(2 * M_PI * (hue + shift));
      };
      cairo_set_source_rgba(to, part(0), part(1.0 / 3), part(2.0 / 3), 0.8);
      cairo_move_to(to, lines_[i].from.x, lines_[i].from.y);
      cairo_line_to(to, lines_[i].to.x, lines_[i].to.y);
      cairo_stroke(to);
    }
  }

  bool list(const std::string& path) const {
    std::ofstream out(path);
    for (const Line& l : lines_)
      out << l.from.x << ' ' << l.from.y << ' ' << l.to.x << ' ' << l.to.y << '\n';
    return bool(out.flush());
  }

  size_t lines() const { return lines_.size(); }

 private:
  struct Line {
    Point from, to;
  };
  std::vector<Line> lines_;
};

// Paints onto a surface, which is finished by `write`.
template <class W>
bool paint(const Canvas& canvas, uint32_t size, cairo_surface_t* surface, W&& write) {
  cairo_t* const context = cairo_create(surface);
  canvas.paint(context, size);
  bool ok = cairo_status(context) == CAIRO_STATUS_SUCCESS;
  cairo_destroy(context);
  ok = ok && write(surface);
  cairo_surface_finish(surface);
  ok = ok && cairo_surface_status(surface) == CAIRO_STATUS_SUCCESS;
  cairo_surface_destroy(surface);
  return ok;
}

wafer::Result<void> run(const std::string& file, const std::string& out, uint32_t size,
                        wafer::Tier tier) {
  std::ifstream in(file, std::ios::binary);
  const std::vector<char> bytes(std::istreambuf_iterator<char>(in), {});
  if (bytes.empty()) return wafer::Error(wafer::ErrorKind::Io, "cannot read " + file);
  wafer::Config config;
  config.tier = tier;
  wafer::Engine engine(config);
  WAFER_LET(component, wafer::Component::load(
                           engine, {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}));
  Canvas canvas;
  wafer::ComponentLinker linker;
  picture::add_imports(linker, canvas);
  wafer::Store store(engine);
  WAFER_LET(drawing, picture::Picture::instantiate(store, linker, component));
  WAFER_TRY(drawing.draw(Canvas::kId, size, size));

  const bool drawn =
      paint(canvas, size, cairo_image_surface_create(CAIRO_FORMAT_RGB24, int(size), int(size)),
            [&](cairo_surface_t* s) {
              return cairo_surface_write_to_png(s, (out + ".png").c_str()) == CAIRO_STATUS_SUCCESS;
            }) &&
      paint(canvas, size, cairo_svg_surface_create((out + ".svg").c_str(), size, size),
            [](cairo_surface_t*) { return true; }) &&
      canvas.list(out + ".txt");
  if (!drawn) return wafer::Error(wafer::ErrorKind::Io, "cannot write " + out);
  std::printf("%zu lines\n", canvas.lines());
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: canvas_host PICTURE.wasm OUT [SIZE] [auto|interp|llvm]\n");
    return 2;
  }
  const std::string tier = argc > 4 ? argv[4] : "auto";
  const int size = argc > 3 ? std::atoi(argv[3]) : 1000;
  if (size < 16 || size > 16384) {
    std::fprintf(stderr, "error: the size is from 16 to 16384\n");
    return 2;
  }
  const auto done = run(argv[1], argv[2], uint32_t(size),
                        tier == "interp" ? wafer::Tier::Interpreter
                        : tier == "llvm" ? wafer::Tier::Optimized
                                         : wafer::Tier::Auto);
  if (!done) {
    std::fprintf(stderr, "error: %s\n", std::string(done.error().message).c_str());
    return 1;
  }
}
