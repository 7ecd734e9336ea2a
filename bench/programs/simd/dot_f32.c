// Dot products of long vectors of floats, with four sums side by side.
#include "simd.h"

static float dot(const float* a, const float* b, int n) {
  F32x4 sums[4] = {{0}};
  for (int i = 0; i < n; i += 16) {
    for (int k = 0; k < 4; ++k) sums[k] += load_F32x4(a + i + 4 * k) * load_F32x4(b + i + 4 * k);
  }
  F32x4 sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

int main(int argc, char** argv) {
  enum { kLength = 1 << 13 };
  int rounds = bench_start(argc, argv, 800000, 30000);
  float* a = bench_allocate(kLength * sizeof *a);
  float* b = bench_allocate(kLength * sizeof *b);
  for (int i = 0; i < kLength; ++i) {
    a[i] = (float)(bench_random() >> 8) / (1 << 24);
    b[i] = (float)(bench_random() >> 8) / (1 << 24) - 0.5f;
  }
  for (int r = 0; r < rounds; ++r) {
    float result = dot(a, b, kLength);
    uint32_t bits;
    memcpy(&bits, &result, sizeof bits);
    bench_add(bits);
    a[r % kLength] = 0.5f + 0.001f * result;
  }
  return bench_finish("dot_f32");
}
