// Gauss-Seidel iteration over a plane with nine points, in place: each point needs the one
// before it, so the loop cannot be vectorized.
#include "../bench.h"

static void sweep(int n, double a[n][n]) {
  for (int i = 1; i < n - 1; ++i) {
    for (int j = 1; j < n - 1; ++j) {
      double above = a[i - 1][j - 1] + a[i - 1][j] + a[i - 1][j + 1];
      double here = a[i][j - 1] + a[i][j] + a[i][j + 1];
      double below = a[i + 1][j - 1] + a[i + 1][j] + a[i + 1][j + 1];
      a[i][j] = (above + here + below) / 9;
    }
  }
}

int main(int argc, char** argv) {
  enum { kSide = 500 };
  int steps = bench_start(argc, argv, 600, 24);
  double (*a)[kSide] = bench_matrix(kSide, kSide);
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) a[i][j] = ((double)i * (j + 2) + 2) / kSide;
  }
  for (int t = 0; t < steps; ++t) sweep(kSide, a);
  bench_add_doubles(a, (size_t)kSide * kSide);
  return bench_finish("seidel_2d");
}
