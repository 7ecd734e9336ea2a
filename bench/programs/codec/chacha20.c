// The stream cipher ChaCha20 (RFC 8439) over a buffer, one block at a time.
#include "../bench.h"

static inline uint32_t rotate(uint32_t x, int by) { return x << by | x >> (32 - by); }

static inline void quarter(uint32_t* a, uint32_t* b, uint32_t* c, uint32_t* d) {
  *a += *b;
  *d = rotate(*d ^ *a, 16);
  *c += *d;
  *b = rotate(*b ^ *c, 12);
  *a += *b;
  *d = rotate(*d ^ *a, 8);
  *c += *d;
  *b = rotate(*b ^ *c, 7);
}

static void block(const uint32_t input[16], uint32_t out[16]) {
  uint32_t x[16];
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
  for (int i = 0; i < 16; ++i) out[i] = x[i] + input[i];
}

static void encrypt(uint32_t state[16], uint32_t* data, size_t words) {
  uint32_t stream[16];
  for (size_t i = 0; i < words; i += 16) {
    block(state, stream);
    for (int j = 0; j < 16; ++j) data[i + j] ^= stream[j];
    ++state[12];
  }
}

int main(int argc, char** argv) {
  enum { kWords = 1 << 18 };
  int rounds = bench_start(argc, argv, 600, 20);
  uint32_t state[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  for (uint32_t i = 0; i < 8; ++i) state[4 + i] = 0x03020100 + 0x04040404 * i;
  state[12] = 1;
  state[13] = 0x09000000;
  state[14] = 0x4a000000;
  uint32_t first[16];
  block(state, first);
  bench_require(first[0] == 0xe4e7f110 && first[1] == 0x15593bd1, "the first block is wrong");
  uint32_t* data = bench_allocate(kWords * sizeof *data);
  for (int i = 0; i < kWords; ++i) data[i] = bench_random();
  for (int r = 0; r < rounds; ++r) encrypt(state, data, kWords);
  for (int i = 0; i < kWords; ++i) bench_add(data[i]);
  return bench_finish("chacha20");
}
