// ChaCha20 (RFC 8439), four blocks side by side: one vector holds the same word of each.
#include "simd.h"

static inline U32x4 rotate(U32x4 x, int by) { return x << by | x >> (32 - by); }

static inline void quarter(U32x4* a, U32x4* b, U32x4* c, U32x4* d) {
  *a += *b;
  *d = rotate(*d ^ *a, 16);
  *c += *d;
  *b = rotate(*b ^ *c, 12);
  *a += *b;
  *d = rotate(*d ^ *a, 8);
  *c += *d;
  *b = rotate(*b ^ *c, 7);
}

// Writes four columns of words as rows.
static inline void store_transposed(uint32_t* out, U32x4 a, U32x4 b, U32x4 c, U32x4 d) {
  U32x4 ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  U32x4 ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  U32x4 cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  U32x4 cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  U32x4 rows[4] = {__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
                   __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
                   __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
                   __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
  for (int block = 0; block < 4; ++block) {
    store_U32x4(out + 16 * block, load_U32x4(out + 16 * block) ^ rows[block]);
  }
}

static void encrypt(uint32_t state[16], uint32_t* data, size_t words) {
  for (size_t at = 0; at < words; at += 64) {
    U32x4 input[16], x[16];
    for (int i = 0; i < 16; ++i) input[i] = (U32x4){state[i], state[i], state[i], state[i]};
    input[12] += (U32x4){0, 1, 2, 3};
    memcpy(x, input, sizeof x);
    for (int i = 0; i < 10; ++i) {
      quarter(&x[0], &x[4], &x[8], &x[12]);
      quarter(&x[1], &x[5], &x[9], &x[13]);
      quarter(&x[2], &x[6], &x[10], &x[14]);
      quarter(&x[3], &x[7], &x[11], &x[15]);
      quarter(&x[0], &x[5], &x[10], &x[15]);
      quarter(&x[1], &x[6], &x[11], &x[12]);
      quarter(&x[2], &x[7], &x[8], &x[13]);
      quarter(&x[3], &x[4], &x[9], &x[14]);
    }
    for (int i = 0; i < 16; ++i) x[i] += input[i];
    for (int i = 0; i < 16; i += 4) {
      store_transposed(data + at + i, x[i], x[i + 1], x[i + 2], x[i + 3]);
    }
    state[12] += 4;
  }
}

int main(int argc, char** argv) {
  enum { kWords = 1 << 18 };
  int rounds = bench_start(argc, argv, 1000, 35);
  uint32_t state[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  for (uint32_t i = 0; i < 8; ++i) state[4 + i] = 0x03020100 + 0x04040404 * i;
  state[12] = 1;
  state[13] = 0x09000000;
  state[14] = 0x4a000000;
  uint32_t* data = bench_allocate(kWords * sizeof *data);
  memset(data, 0, kWords * sizeof *data);
  encrypt(state, data, 64);
  bench_require(data[0] == 0xe4e7f110 && data[1] == 0x15593bd1, "the first block is wrong");
  for (int r = 0; r < rounds; ++r) encrypt(state, data, kWords);
  for (int i = 0; i < kWords; ++i) bench_add(data[i]);
  return bench_finish("chacha20_simd");
}
