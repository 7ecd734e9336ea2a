// The matrix of Pearson correlations between the columns of a table of samples.
#include <math.h>

#include "../bench.h"

static void correlation(int n, double data[restrict n][n], double out[restrict n][n],
                        double mean[restrict n], double deviation[restrict n]) {
  for (int j = 0; j < n; ++j) mean[j] = deviation[j] = 0;
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) mean[j] += data[i][j];
  }
  for (int j = 0; j < n; ++j) mean[j] /= n;
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      data[i][j] -= mean[j];
      deviation[j] += data[i][j] * data[i][j];
    }
  }
  for (int j = 0; j < n; ++j) deviation[j] = sqrt(deviation[j]);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) data[i][j] /= deviation[j];
  }
  for (int i = 0; i < n; ++i) {
    out[i][i] = 1;
    for (int j = i + 1; j < n; ++j) {
      double sum = 0;
      for (int k = 0; k < n; ++k) sum += data[k][i] * data[k][j];
      out[i][j] = out[j][i] = sum;
    }
  }
}

int main(int argc, char** argv) {
  int n = bench_start(argc, argv, 900, 320);
  double (*data)[n] = bench_matrix(n, n);
  double (*out)[n] = bench_matrix(n, n);
  double* mean = bench_matrix(1, n);
  double* deviation = bench_matrix(1, n);
  for (int i = 0; i < n; ++i) {
    double common = bench_random_unit();
    for (int j = 0; j < n; ++j) data[i][j] = common * j / n + bench_random_unit();
  }
  correlation(n, data, out, mean, deviation);
  bench_add_doubles(out, (size_t)n * n);
  return bench_finish("correlation");
}
