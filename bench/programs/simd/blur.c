// A blur of 3 by 3 with the weights 1-2-1 over a picture of bytes, in 16-bit lanes.
#include "simd.h"

static U16x8 widen(const uint8_t* from) { return __builtin_convertvector(load_U8x8(from), U16x8); }

static U16x8 weigh(U16x8 a, U16x8 b, U16x8 c) { return a + b + b + c; }

static void blur(int side, uint8_t* restrict out, const uint8_t* restrict in) {
  for (int y = 1; y < side - 1; ++y) {
    const uint8_t* row = in + y * side;
    for (int x = 1; x + 8 <= side - 1; x += 8) {
      U16x8 columns[3];
      for (int k = -1; k <= 1; ++k) {
        const uint8_t* at = row + x + k;
        columns[k + 1] = weigh(widen(at - side), widen(at), widen(at + side));
      }
      U16x8 sum = weigh(columns[0], columns[1], columns[2]);
      store_U8x8(out + y * side + x, __builtin_convertvector((sum + 8) >> 4, U8x8));
    }
  }
}

int main(int argc, char** argv) {
  enum { kSide = 1026 };  // a border of one, and whole vectors within
  int rounds = bench_start(argc, argv, 4000, 150);
  uint8_t* a = bench_allocate(kSide * kSide);
  uint8_t* b = bench_allocate(kSide * kSide);
  for (int i = 0; i < kSide * kSide; ++i) a[i] = b[i] = (uint8_t)bench_random();
  for (int r = 0; r < rounds; ++r) {
    blur(kSide, b, a);
    b[kSide * (1 + r % (kSide - 2)) + 1 + r * 7 % (kSide - 2)] = (uint8_t)r;
    uint8_t* t = a;
    a = b;
    b = t;
  }
  bench_add_bytes(a, kSide * kSide);
  return bench_finish("blur");
}
