// Solves Toeplitz systems (the Yule-Walker equations) by the Levinson-Durbin recursion.
#include "../bench.h"

static void durbin(int n, const double r[restrict n], double y[restrict n], double z[restrict n]) {
  double alpha = -r[0], beta = 1;
  y[0] = -r[0];
  for (int k = 1; k < n; ++k) {
    beta *= 1 - alpha * alpha;
    double sum = 0;
    for (int i = 0; i < k; ++i) sum += r[k - i - 1] * y[i];
    alpha = -(r[k] + sum) / beta;
    for (int i = 0; i < k; ++i) z[i] = y[i] + alpha * y[k - i - 1];
    for (int i = 0; i < k; ++i) y[i] = z[i];
    y[k] = alpha;
  }
}

int main(int argc, char** argv) {
  enum { kOrder = 2000 };
  int systems = bench_start(argc, argv, 500, 12);
  double* r = bench_matrix(1, kOrder);
  double* y = bench_matrix(1, kOrder);
  double* z = bench_matrix(1, kOrder);
  for (int s = 0; s < systems; ++s) {
    double decay = 0.3 + 0.5 * s / systems, power = 1;
    for (int i = 0; i < kOrder; ++i) {
      power *= decay;  // an autocorrelation that decays, with a little noise
      r[i] = power + 1e-3 * (bench_random_unit() - 0.5) / (i + 1);
    }
    durbin(kOrder, r, y, z);
    bench_add_doubles(y, kOrder);
  }
  return bench_finish("durbin");
}
