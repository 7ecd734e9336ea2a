// AES-128 in cipher block chaining, with the four usual tables of 256 words, which are computed
// from the field arithmetic of the standard (FIPS 197).
#include "../bench.h"

static uint8_t sbox[256];
static uint32_t tables[4][256];

static uint8_t times_two(uint8_t x) { return (uint8_t)(x << 1 ^ (x & 0x80 ? 0x1b : 0)); }

static inline uint32_t rotate_right(uint32_t x, int by) { return x >> by | x << (32 - by); }

static void make_tables(void) {
  // 3 generates the field's multiplicative group, so that powers and inverses pair up.
  uint8_t power[255], value = 1;
  for (int i = 0; i < 255; ++i) {
    power[i] = value;
    value ^= times_two(value);
  }
  for (int i = 0; i < 256; ++i) {
    uint8_t inverse = 0;
    for (int e = 0; e < 255 && i != 0; ++e) {
      if (power[e] == i) inverse = power[(255 - e) % 255];
    }
    uint8_t s = inverse;
    for (int turn = 1; turn <= 4; ++turn) s ^= (uint8_t)(inverse << turn | inverse >> (8 - turn));
    sbox[i] = s ^ 0x63;
    uint8_t doubled = times_two(sbox[i]);
    uint32_t column = (uint32_t)doubled << 24 | (uint32_t)sbox[i] << 16 | (uint32_t)sbox[i] << 8 |
                      (uint32_t)(doubled ^ sbox[i]);
    for (int t = 0; t < 4; ++t) tables[t][i] = t == 0 ? column : rotate_right(column, 8 * t);
  }
}

static uint32_t load(const uint8_t* p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t substitute(uint32_t x) {
  return (uint32_t)sbox[x >> 24] << 24 | (uint32_t)sbox[x >> 16 & 255] << 16 |
         (uint32_t)sbox[x >> 8 & 255] << 8 | sbox[x & 255];
}

static void expand_key(const uint8_t key[16], uint32_t schedule[44]) {
  uint8_t constant = 1;
  for (int i = 0; i < 4; ++i) schedule[i] = load(key + 4 * i);
  for (int i = 4; i < 44; ++i) {
    uint32_t word = schedule[i - 1];
    if (i % 4 == 0) {
      word = substitute(rotate_right(word, 24)) ^ (uint32_t)constant << 24;
      constant = times_two(constant);
    }
    schedule[i] = schedule[i - 4] ^ word;
  }
}

static void encrypt_block(const uint32_t schedule[44], uint32_t s[4]) {
  for (int i = 0; i < 4; ++i) s[i] ^= schedule[i];
  for (int round = 1; round < 10; ++round) {
    uint32_t t[4];
    for (int i = 0; i < 4; ++i) {
      t[i] = tables[0][s[i] >> 24] ^ tables[1][s[(i + 1) & 3] >> 16 & 255] ^
             tables[2][s[(i + 2) & 3] >> 8 & 255] ^ tables[3][s[(i + 3) & 3] & 255] ^
             schedule[4 * round + i];
    }
    memcpy(s, t, sizeof t);
  }
  uint32_t t[4];
  for (int i = 0; i < 4; ++i) {
    uint32_t shifted = (s[i] & 0xff000000) | (s[(i + 1) & 3] & 0xff0000) |
                       (s[(i + 2) & 3] & 0xff00) | (s[(i + 3) & 3] & 0xff);
    t[i] = substitute(shifted) ^ schedule[40 + i];
  }
  memcpy(s, t, sizeof t);
}

int main(int argc, char** argv) {
  enum { kWords = 1 << 16 };
  int rounds = bench_start(argc, argv, 1500, 50);
  make_tables();
  uint8_t key[16];
  uint32_t schedule[44];
  uint32_t test[4] = {0x00112233, 0x44556677, 0x8899aabb, 0xccddeeff};
  for (int i = 0; i < 16; ++i) key[i] = (uint8_t)i;
  expand_key(key, schedule);
  encrypt_block(schedule, test);
  bench_require(test[0] == 0x69c4e0d8 && test[3] == 0x70b4c55a, "the example block is wrong");
  uint32_t* data = bench_allocate(kWords * sizeof *data);
  uint32_t chain[4] = {0};
  for (int i = 0; i < kWords; ++i) data[i] = bench_random();
  for (int r = 0; r < rounds; ++r) {
    for (int i = 0; i < kWords; i += 4) {
      for (int j = 0; j < 4; ++j) chain[j] ^= data[i + j];
      encrypt_block(schedule, chain);
      memcpy(data + i, chain, sizeof chain);
    }
  }
  for (int i = 0; i < kWords; ++i) bench_add(data[i]);
  return bench_finish("aes");
}
