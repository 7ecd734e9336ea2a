// Multi-resolution analysis: contracts the last index of a tensor with a matrix,
// A[r][q][p] := sum over s of A[r][q][s] * W[s][p].
#include "../bench.h"

static void contract(int n, double a[restrict n][n][n], const double w[restrict n][n],
                     double row[restrict n]) {
  for (int r = 0; r < n; ++r) {
    for (int q = 0; q < n; ++q) {
      for (int p = 0; p < n; ++p) {
        row[p] = 0;
        for (int s = 0; s < n; ++s) row[p] += a[r][q][s] * w[s][p];
      }
      for (int p = 0; p < n; ++p) a[r][q][p] = row[p];
    }
  }
}

int main(int argc, char** argv) {
  int n = bench_start(argc, argv, 200, 84);
  double (*a)[n][n] = bench_allocate((size_t)n * n * n * sizeof(double));
  double (*w)[n] = bench_matrix(n, n);
  double* row = bench_matrix(1, n);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      w[i][j] = (bench_random_unit() - 0.5) / 8;
      for (int k = 0; k < n; ++k) a[i][j][k] = bench_random_unit();
    }
  }
  contract(n, a, (const double (*)[n])w, row);
  bench_add_doubles(a, (size_t)n * n * n);
  return bench_finish("doitgen");
}
