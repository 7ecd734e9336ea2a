// What every benchmark program shares: its size, its random numbers, its checksum and its
// clock. A program prints `NAME SIZE CHECKSUM` on standard output, which must be the same on
// every engine, and the seconds that it took on standard error.
#ifndef WAFER_BENCH_PROGRAMS_BENCH_H_
#define WAFER_BENCH_PROGRAMS_BENCH_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t bench_checksum = 0xcbf29ce484222325u;
static uint64_t bench_seed = 0x9e3779b97f4a7c15u;
static struct timespec bench_began;
static long bench_chosen_size;

// Starts the clock and returns the size to work with: the first argument, or `standard`
// (seconds of native work), or `quick` (a smoke test) for the argument --quick.
static inline int bench_start(int argc, char** argv, int standard, int quick) {
  bench_chosen_size = standard;
  if (argc > 1) {
    int is_quick = strcmp(argv[1], "--quick") == 0;
    bench_chosen_size = is_quick ? quick : strtol(argv[1], NULL, 10);
    if (bench_chosen_size < 1 || bench_chosen_size > 1000000000) {
      fprintf(stderr, "usage: %s [SIZE | --quick]\n", argv[0]);
      exit(2);
    }
  }
  clock_gettime(CLOCK_MONOTONIC, &bench_began);
  return (int)bench_chosen_size;
}

// Ends the program with a message when `condition` does not hold: a self-check failed.
static inline void bench_require(int condition, const char* message) {
  if (condition) return;
  fprintf(stderr, "self-check failed: %s\n", message);
  exit(1);
}

static inline void* bench_allocate(size_t bytes) {
  void* p = malloc(bytes);
  bench_require(p != NULL, "out of memory");
  return p;
}

// A square of doubles, for `double(*a)[n] = bench_matrix(n, n)`.
static inline void* bench_matrix(size_t rows, size_t columns) {
  return bench_allocate(rows * columns * sizeof(double));
}

// xorshift64*: the same numbers everywhere.
static inline uint32_t bench_random(void) {
  bench_seed ^= bench_seed >> 12;
  bench_seed ^= bench_seed << 25;
  bench_seed ^= bench_seed >> 27;
  return (uint32_t)((bench_seed * 0x2545f4914f6cdd1du) >> 32);
}

// A number in [0, below).
static inline uint32_t bench_random_below(uint32_t below) {
  return (uint32_t)(((uint64_t)bench_random() * below) >> 32);
}

// A double in [0, 1).
static inline double bench_random_unit(void) { return bench_random() * (1.0 / 4294967296.0); }

// Adds a value to the checksum.
static inline void bench_add(uint64_t value) {
  bench_checksum = (bench_checksum ^ value) * 0x100000001b3u;
  bench_checksum ^= bench_checksum >> 29;
}

static inline void bench_add_bytes(const void* data, size_t size) {
  const unsigned char* bytes = (const unsigned char*)data;
  for (size_t i = 0; i < size; ++i) bench_add(bytes[i]);
}

// Adds the bits of doubles, so that a difference in the last place shows.
static inline void bench_add_doubles(const void* data, size_t count) {
  const unsigned char* bytes = (const unsigned char*)data;
  for (size_t i = 0; i < count; ++i) {
    uint64_t bits;
    memcpy(&bits, bytes + i * sizeof bits, sizeof bits);
    bench_add(bits);
  }
}

// Prints the result and the time; the exit code of the program.
static inline int bench_finish(const char* name) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  double seconds = (double)(now.tv_sec - bench_began.tv_sec) +
                   (double)(now.tv_nsec - bench_began.tv_nsec) * 1e-9;
  printf("%s %ld %016llx\n", name, bench_chosen_size, (unsigned long long)bench_checksum);
  fprintf(stderr, "seconds %.6f\n", seconds);
  return 0;
}

#endif  // WAFER_BENCH_PROGRAMS_BENCH_H_
