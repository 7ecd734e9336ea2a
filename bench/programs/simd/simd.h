// Vectors of 16 bytes through clang's vector extensions, which become vector instructions in
// Wasm (with -msimd128) as well as natively. What the extensions lack is given for both.
#ifndef WAFER_BENCH_PROGRAMS_SIMD_SIMD_H_
#define WAFER_BENCH_PROGRAMS_SIMD_SIMD_H_

#include "../bench.h"

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

typedef uint8_t U8x16 __attribute__((vector_size(16)));
typedef int8_t I8x16 __attribute__((vector_size(16)));
typedef uint16_t U16x8 __attribute__((vector_size(16)));
typedef uint8_t U8x8 __attribute__((vector_size(8)));
typedef int32_t I32x4 __attribute__((vector_size(16)));
typedef uint32_t U32x4 __attribute__((vector_size(16)));
typedef float F32x4 __attribute__((vector_size(16)));
typedef double F64x2 __attribute__((vector_size(16)));

#define SIMD_LOAD_STORE(type)                        \
  static inline type load_##type(const void* from) { \
    type value;                                      \
    memcpy(&value, from, sizeof value);              \
    return value;                                    \
  }                                                  \
  static inline void store_##type(void* to, type v) { memcpy(to, &v, sizeof v); }
SIMD_LOAD_STORE(U8x16)
SIMD_LOAD_STORE(U8x8)
SIMD_LOAD_STORE(U16x8)
SIMD_LOAD_STORE(I32x4)
SIMD_LOAD_STORE(U32x4)
SIMD_LOAD_STORE(F32x4)
SIMD_LOAD_STORE(F64x2)
#undef SIMD_LOAD_STORE

// The top bits of the 16 bytes.
static inline uint32_t top_bits(U8x16 v) {
#if defined(__wasm_simd128__)
  return wasm_i8x16_bitmask((v128_t)v);
#elif defined(__SSE2__)
  return (uint32_t)_mm_movemask_epi8((__m128i)v);
#else
  uint32_t bits = 0;
  for (int i = 0; i < 16; ++i) bits |= (uint32_t)(v[i] >> 7) << i;
  return bits;
#endif
}

#endif  // WAFER_BENCH_PROGRAMS_SIMD_SIMD_H_
