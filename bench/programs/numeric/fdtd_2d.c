// Maxwell's equations in a plane, by finite differences in the time domain: the electric field
// (ex, ey) and the magnetic field hz are updated in turn; the left edge is driven.
#include "../bench.h"

static void step(int n, double drive, double ex[restrict n][n], double ey[restrict n][n],
                 double hz[restrict n][n]) {
  for (int j = 0; j < n; ++j) ey[0][j] = drive;
  for (int i = 1; i < n; ++i) {
    for (int j = 0; j < n; ++j) ey[i][j] -= 0.5 * (hz[i][j] - hz[i - 1][j]);
  }
  for (int i = 0; i < n; ++i) {
    for (int j = 1; j < n; ++j) ex[i][j] -= 0.5 * (hz[i][j] - hz[i][j - 1]);
  }
  for (int i = 0; i < n - 1; ++i) {
    for (int j = 0; j < n - 1; ++j) {
      hz[i][j] -= 0.7 * (ex[i][j + 1] - ex[i][j] + ey[i + 1][j] - ey[i][j]);
    }
  }
}

int main(int argc, char** argv) {
  enum { kSide = 500 };
  int steps = bench_start(argc, argv, 1500, 60);
  double (*ex)[kSide] = bench_matrix(kSide, kSide);
  double (*ey)[kSide] = bench_matrix(kSide, kSide);
  double (*hz)[kSide] = bench_matrix(kSide, kSide);
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      ex[i][j] = (double)i * (j + 1) / (kSide * kSide);
      ey[i][j] = (double)i * (j + 2) / (kSide * kSide);
      hz[i][j] = (double)i * (j + 3) / (kSide * kSide);
    }
  }
  for (int t = 0; t < steps; ++t) step(kSide, (double)(t % 50) / 50, ex, ey, hz);
  bench_add_doubles(ex, (size_t)kSide * kSide);
  bench_add_doubles(ey, (size_t)kSide * kSide);
  bench_add_doubles(hz, (size_t)kSide * kSide);
  return bench_finish("fdtd_2d");
}
