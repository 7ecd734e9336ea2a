// Text for the compressor and the matcher: words that are drawn unevenly, with names, numbers,
// dates and addresses among them.
#ifndef WAFER_BENCH_PROGRAMS_CODEC_TEXT_H_
#define WAFER_BENCH_PROGRAMS_CODEC_TEXT_H_

#include "../bench.h"

// Writes `size` bytes of text to `out`.
static inline void make_text(char* out, size_t size) {
  enum { kWords = 2000, kMost = 10 };
  static char words[kWords][kMost + 1];
  static const char consonants[] = "bcdfghklmnprstvw", vowels[] = "aeiou";
  for (int i = 0; i < kWords; ++i) {
    int letters = 2 + (int)bench_random_below(kMost - 1);
    for (int j = 0; j < letters; ++j) {
      words[i][j] = j % 2 == 0 ? consonants[bench_random_below(16)] : vowels[bench_random_below(5)];
    }
  }
  char piece[64];
  for (size_t at = 0; at < size;) {
    // The product of two draws favours the first words.
    uint32_t draw = bench_random_below(kWords) * bench_random_below(kWords) / kWords;
    const char* word = words[draw];
    uint32_t kind = bench_random_below(60);
    uint32_t n = bench_random();
    int length;
    if (kind == 0) {
      length = snprintf(piece, sizeof piece, "%u ", n % 100000);
    } else if (kind == 1) {
      length = snprintf(piece, sizeof piece, "%u-%02u-%02u ", 1990 + n % 40, 1 + n / 64 % 12,
                        1 + n / 1024 % 28);
    } else if (kind == 2) {
      length = snprintf(piece, sizeof piece, "%s@%s.org ", word, words[n % kWords]);
    } else if (kind < 6) {
      length = snprintf(piece, sizeof piece, "%c%s.\n", word[0] - 'a' + 'A', word + 1);
    } else {
      length = snprintf(piece, sizeof piece, "%s ", word);
    }
    size_t take = (size_t)length < size - at ? (size_t)length : size - at;
    memcpy(out + at, piece, take);
    at += take;
  }
}

#endif  // WAFER_BENCH_PROGRAMS_CODEC_TEXT_H_
