// Jacobi iteration over a plane: each point becomes the mean of itself and four neighbours.
#include "../bench.h"

static void sweep(int n, double out[restrict n][n], const double in[restrict n][n]) {
  for (int i = 1; i < n - 1; ++i) {
    for (int j = 1; j < n - 1; ++j) {
      out[i][j] = 0.2 * (in[i][j] + in[i][j - 1] + in[i][j + 1] + in[i - 1][j] + in[i + 1][j]);
    }
  }
}

int main(int argc, char** argv) {
  enum { kSide = 700 };
  int steps = bench_start(argc, argv, 2000, 60);
  double (*a)[kSide] = bench_matrix(kSide, kSide);
  double (*b)[kSide] = bench_matrix(kSide, kSide);
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) a[i][j] = b[i][j] = (double)(i * (j + 2) % 97) / kSide;
  }
  for (int t = 0; t < steps; ++t) {
    sweep(kSide, b, (const double (*)[kSide])a);
    sweep(kSide, a, (const double (*)[kSide])b);
  }
  bench_add_doubles(a, (size_t)kSide * kSide);
  return bench_finish("jacobi_2d");
}
