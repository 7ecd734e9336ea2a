// The heat equation in a cube, by explicit steps of central second differences.
#include "../bench.h"

enum { kSide = 80 };
typedef double Cube[kSide][kSide][kSide];

static void step(Cube* restrict out, const Cube* restrict in) {
  const Cube* u = in;
  for (int i = 1; i < kSide - 1; ++i) {
    for (int j = 1; j < kSide - 1; ++j) {
      for (int k = 1; k < kSide - 1; ++k) {
        double centre = (*u)[i][j][k];
        double x = (*u)[i + 1][j][k] - 2 * centre + (*u)[i - 1][j][k];
        double y = (*u)[i][j + 1][k] - 2 * centre + (*u)[i][j - 1][k];
        double z = (*u)[i][j][k + 1] - 2 * centre + (*u)[i][j][k - 1];
        (*out)[i][j][k] = centre + 0.125 * (x + y + z);
      }
    }
  }
}

int main(int argc, char** argv) {
  int steps = bench_start(argc, argv, 1200, 48);
  Cube* a = bench_allocate(sizeof(Cube));
  Cube* b = bench_allocate(sizeof(Cube));
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      for (int k = 0; k < kSide; ++k) {
        (*a)[i][j][k] = (*b)[i][j][k] = (double)(i + j + (kSide - k)) * 10 / kSide;
      }
    }
  }
  (*a)[kSide / 2][kSide / 2][kSide / 2] = 1000;
  for (int t = 0; t < steps; ++t) {
    step(b, (const Cube*)a);
    step(a, (const Cube*)b);
  }
  bench_add_doubles(a, sizeof(Cube) / sizeof(double));
  return bench_finish("heat_3d");
}
