// SHA-256 of a long message, hashed in pieces. The constants are computed from their definition,
// the first bits of the fractional parts of roots of primes.
#include "../bench.h"

static uint32_t round_constants[64];
static uint32_t initial_state[8];

// The first 32 bits of the fractional part of the root of `prime` of degree 2 or 3.
static uint32_t root_fraction(uint32_t prime, int degree) {
  unsigned __int128 target = (unsigned __int128)prime << (32 * degree);
  uint64_t root = 0;
  for (uint64_t bit = (uint64_t)1 << 36; bit != 0; bit >>= 1) {
    unsigned __int128 candidate = root | bit, power = candidate * candidate;
    if (degree == 3) power *= candidate;
    if (power <= target) root |= bit;
  }
  return (uint32_t)root;
}

static void make_constants(void) {
  int found = 0;
  for (uint32_t n = 2; found < 64; ++n) {
    int prime = 1;
    for (uint32_t d = 2; d * d <= n; ++d) prime &= n % d != 0;
    if (!prime) continue;
    if (found < 8) initial_state[found] = root_fraction(n, 2);
    round_constants[found++] = root_fraction(n, 3);
  }
}

static inline uint32_t rotate(uint32_t x, int by) { return x >> by | x << (32 - by); }

static void compress(uint32_t state[8], const uint8_t block[64]) {
  uint32_t w[64];
  for (int i = 0; i < 16; ++i) {
    const uint8_t* p = block + 4 * i;
    w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
  }
  for (int i = 16; i < 64; ++i) {
    uint32_t x = w[i - 15], y = w[i - 2];
    uint32_t s0 = rotate(x, 7) ^ rotate(x, 18) ^ x >> 3;
    uint32_t s1 = rotate(y, 17) ^ rotate(y, 19) ^ y >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (int i = 0; i < 64; ++i) {
    uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) +
                  round_constants[i] + w[i];
    uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

static void sha256(const uint8_t* data, size_t size, uint32_t state[8]) {
  memcpy(state, initial_state, sizeof initial_state);
  size_t whole = size / 64 * 64;
  for (size_t i = 0; i < whole; i += 64) compress(state, data + i);
  uint8_t tail[128] = {0};
  size_t rest = size - whole, padded = rest < 56 ? 64 : 128;
  memcpy(tail, data + whole, rest);
  tail[rest] = 0x80;
  uint64_t bits = (uint64_t)size * 8;
  for (int i = 0; i < 8; ++i) tail[padded - 1 - i] = (uint8_t)(bits >> 8 * i);
  for (size_t i = 0; i < padded; i += 64) compress(state, tail + i);
}

int main(int argc, char** argv) {
  enum { kPiece = 1000003 };
  int pieces = bench_start(argc, argv, 400, 14);
  make_constants();
  uint32_t digest[8];
  sha256((const uint8_t*)"abc", 3, digest);
  bench_require(digest[0] == 0xba7816bf && digest[7] == 0xf20015ad, "the digest of abc is wrong");
  uint8_t* data = bench_allocate(kPiece);
  for (int i = 0; i < kPiece; ++i) data[i] = (uint8_t)bench_random();
  for (int i = 0; i < pieces; ++i) {
    sha256(data, kPiece - (size_t)i, digest);
    memcpy(data, digest, sizeof digest);
    bench_add(digest[0]);
    bench_add(digest[5]);
  }
  return bench_finish("sha256");
}
