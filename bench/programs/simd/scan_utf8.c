// Reads text 16 bytes at a time: finds lines, counts the characters of UTF-8, and upper-cases
// the ASCII letters.
#include "simd.h"

static U8x16 splat(uint8_t c) { return (U8x16){c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c}; }

// The first place of `c` in `text`, or `size`.
static size_t find(const uint8_t* text, size_t size, uint8_t c) {
  U8x16 wanted = splat(c);
  for (size_t i = 0; i + 16 <= size; i += 16) {
    uint32_t bits = top_bits((U8x16)(load_U8x16(text + i) == wanted));
    if (bits != 0) return i + (size_t)__builtin_ctz(bits);
  }
  for (size_t i = size & ~(size_t)15; i < size; ++i) {
    if (text[i] == c) return i;
  }
  return size;
}

// Counts the bytes that are not continuation bytes; `size` is a multiple of 16.
static size_t characters(const uint8_t* text, size_t size) {
  size_t count = 0;
  for (size_t i = 0; i < size; i += 16) {
    U8x16 bytes = load_U8x16(text + i);
    count += (size_t)__builtin_popcount(top_bits((U8x16)((bytes & 0xc0) != splat(0x80))));
  }
  return count;
}

static void upper_case(uint8_t* text, size_t size) {
  for (size_t i = 0; i < size; i += 16) {
    U8x16 bytes = load_U8x16(text + i);
    U8x16 small = (U8x16)((bytes >= splat('a')) & (bytes <= splat('z')));
    store_U8x16(text + i, bytes ^ (small & 0x20));
  }
}

int main(int argc, char** argv) {
  enum { kSize = 1 << 18 };
  int rounds = bench_start(argc, argv, 25000, 1000);
  uint8_t* text = bench_allocate(kSize + 4);
  for (size_t i = 0; i < kSize;) {
    uint32_t kind = bench_random_below(400);
    if (kind < 1) {
      text[i++] = '\n';
    } else if (kind < 40) {
      text[i++] = (uint8_t)(0xc3 + bench_random_below(20));
      text[i++] = (uint8_t)(0x80 + bench_random_below(64));
    } else if (kind < 50) {
      text[i++] = 0xe4;
      text[i++] = (uint8_t)(0x80 + bench_random_below(64));
      text[i++] = (uint8_t)(0x80 + bench_random_below(64));
    } else {
      text[i++] = (uint8_t)('a' + bench_random_below(26));
    }
  }
  for (int r = 0; r < rounds; ++r) {
    size_t lines = 0;
    for (size_t at = 0; at < kSize; ++lines) at += find(text + at, kSize - at, '\n') + 1;
    bench_add(lines);
    bench_add(characters(text, kSize));
    upper_case(text, kSize);
    text[bench_random_below(kSize)] = (uint8_t)('a' + r % 26);
  }
  return bench_finish("scan_utf8");
}
