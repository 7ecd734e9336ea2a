// A product of matrices of floats, in tiles of 4 by 8 that stay in registers.
#include "simd.h"

static void multiply(int n, float* restrict c, const float* restrict a, const float* restrict b) {
  for (int i = 0; i < n; i += 4) {
    for (int j = 0; j < n; j += 8) {
      F32x4 tile[4][2] = {{{0}}};
      for (int k = 0; k < n; ++k) {
        F32x4 left = load_F32x4(b + k * n + j), right = load_F32x4(b + k * n + j + 4);
        for (int row = 0; row < 4; ++row) {
          float factor = a[(i + row) * n + k];
          F32x4 splat = {factor, factor, factor, factor};
          tile[row][0] += splat * left;
          tile[row][1] += splat * right;
        }
      }
      for (int row = 0; row < 4; ++row) {
        store_F32x4(c + (i + row) * n + j, tile[row][0]);
        store_F32x4(c + (i + row) * n + j + 4, tile[row][1]);
      }
    }
  }
}

int main(int argc, char** argv) {
  enum { kSide = 256 };
  int rounds = bench_start(argc, argv, 350, 12);
  float* a = bench_allocate(kSide * kSide * sizeof *a);
  float* b = bench_allocate(kSide * kSide * sizeof *b);
  float* c = bench_allocate(kSide * kSide * sizeof *c);
  for (int i = 0; i < kSide * kSide; ++i) {
    a[i] = (float)(bench_random() >> 8) / (1 << 24) - 0.5f;
    b[i] = ((float)(bench_random() >> 8) / (1 << 24) - 0.5f) / 8;
  }
  for (int r = 0; r < rounds; ++r) {
    multiply(kSide, c, a, b);
    float* t = a;
    a = c;
    c = t;
    for (int i = 0; i < kSide; ++i) a[i * kSide + i] += 1;  // keeps the product from fading
  }
  for (int i = 0; i < kSide * kSide; ++i) {
    uint32_t bits;
    memcpy(&bits, a + i, sizeof bits);
    bench_add(bits);
  }
  return bench_finish("matmul_f32");
}
