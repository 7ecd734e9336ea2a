// Escape times of points of the complex plane, two points at a time.
#include "simd.h"

typedef int64_t I64x2 __attribute__((vector_size(16)));

static I64x2 escape(F64x2 x, double y, int limit) {
  F64x2 re = {0}, im = {0}, re2 = {0}, im2 = {0};
  I64x2 count = {0};
  for (int i = 0; i < limit; ++i) {
    I64x2 inside = re2 + im2 <= 4;
    if ((inside[0] | inside[1]) == 0) break;
    count -= inside;  // true is -1
    im = (re + re) * im + y;
    re = re2 - im2 + x;
    re2 = re * re;
    im2 = im * im;
  }
  return count;
}

int main(int argc, char** argv) {
  int side = bench_start(argc, argv, 2000, 360);
  for (int row = 0; row < side; ++row) {
    for (int column = 0; column < side; column += 2) {
      F64x2 x = {2.5 * column / side - 2, 2.5 * (column + 1) / side - 2};
      I64x2 count = escape(x, 2.5 * row / side - 1.25, 500);
      bench_add((uint64_t)count[0]);
      bench_add((uint64_t)count[1]);
    }
  }
  return bench_finish("mandelbrot_simd");
}
