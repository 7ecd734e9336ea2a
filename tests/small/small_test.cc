// Vectors, sorting, rounding and truncation of small builds, beside the standard library's.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>
#include <vector>

#include "base/access.h"
#include "base/memory.h"
#include "base/sort.h"
#include "interp/numeric.h"

namespace wafer {

void panic(const char*) { std::abort(); }

namespace {

using interp::num::Round;
using runtime::TrapCode;

class Small : public testing::Test {
 protected:
  void SetUp() override {
    set_allocator({[](void*, size_t size, size_t) { return std::malloc(size); },
                   [](void*, void* p, size_t, size_t) { std::free(p); }, nullptr});
  }
};

struct Pair {
  uint64_t a, b;
};

TEST_F(Small, VectorsAppendTheirOwnElements) {
  Vec<Pair> pairs;
  pairs.push_back({1, 2});
  Vec<String> texts;
  texts.push_back(String("abc"));
  for (size_t i = 0; i < 100; ++i) {
    pairs.push_back(pairs[i / 2]);
    texts.push_back(texts[i / 3]);
  }
  for (const Pair& p : pairs) EXPECT_TRUE(p.a == 1 && p.b == 2);
  for (const String& t : texts) EXPECT_TRUE(t == "abc");
}

TEST_F(Small, VectorsAreFilledWithZero) {
  Vec<uint16_t> numbers;
  numbers.resize(3);
  numbers[2] = 7;
  numbers.resize(9);
  EXPECT_EQ(numbers[2], 7);
  EXPECT_EQ(numbers[8], 0);
  numbers.resize(2);
  numbers.resize(4);
  EXPECT_EQ(numbers[2], 0);
  Vec<Vec<int>> nested(5);
  nested[1].push_back(3);
  nested.resize(9);
  EXPECT_EQ(nested[1][0], 3);
  EXPECT_TRUE(nested[8].empty());
}

TEST_F(Small, Sorts) {
  std::mt19937 random(1);
  for (unsigned n = 0; n < 200; ++n) {
    for (const unsigned most : {1u, n + 1, 1000000u}) {
      std::vector<uint32_t> values(n);
      for (uint32_t& v : values) v = random() % most;
      std::vector<uint32_t> expected = values;
      std::sort(expected.begin(), expected.end());
      sort(values.data(), values.data() + n, [](uint32_t a, uint32_t b) { return a < b; });
      ASSERT_EQ(values, expected);
    }
  }
}

template <class F>
auto bits(F v) {
  return std::bit_cast<std::conditional_t<sizeof(F) == 4, uint32_t, uint64_t>>(v);
}

template <class F>
void expect_rounded(F v) {
  using interp::num::round;
  if (v != v) {
    ASSERT_EQ(bits(round<Round::Floor>(v)), bits(interp::num::quiet(v)));
    return;
  }
  ASSERT_EQ(bits(round<Round::Nearest>(v)), bits(std::nearbyint(v))) << v;
  ASSERT_EQ(bits(round<Round::Floor>(v)), bits(std::floor(v))) << v;
  ASSERT_EQ(bits(round<Round::Ceil>(v)), bits(std::ceil(v))) << v;
  ASSERT_EQ(bits(round<Round::Trunc>(v)), bits(std::trunc(v))) << v;
}

template <class I, class F>
void expect_truncated(F v) {
  I got = 1;
  const TrapCode code = interp::num::truncate<I>(interp::num::TruncFrom<I, F>(v), got);
  const F whole = std::trunc(v);
  // One above the most is a power of two, which each F holds.
  const F above = std::ldexp(F(1), std::numeric_limits<I>::digits);
  if (v != v) {
    ASSERT_TRUE(got == 0 && code == TrapCode::InvalidConversion) << v;
  } else if (whole >= above) {
    ASSERT_TRUE(got == std::numeric_limits<I>::max() && code == TrapCode::IntegerOverflow) << v;
  } else if (std::is_signed_v<I> ? whole < -above : whole <= -1) {
    ASSERT_TRUE(got == std::numeric_limits<I>::min() && code == TrapCode::IntegerOverflow) << v;
  } else {
    ASSERT_TRUE(got == I(whole) && code == TrapCode::None) << v;
  }
}

template <class F>
void expect_all(F v) {
  expect_rounded(v);
  expect_truncated<int32_t>(v);
  expect_truncated<uint32_t>(v);
  expect_truncated<int64_t>(v);
  expect_truncated<uint64_t>(v);
}

TEST_F(Small, RoundsAndTruncatesFloats) {
  for (uint64_t b = 0; b < uint64_t{1} << 32; b += 4099)
    ASSERT_NO_FATAL_FAILURE(expect_all(std::bit_cast<float>(uint32_t(b))));
}

TEST_F(Small, RoundsAndTruncatesDoubles) {
  for (const double edge : {0.0, 0.5, 1.0, 1.5, 2.5, 3.5, 0x1p31, 0x1p32, 0x1p63, 0x1p64, 0x1p52,
                            0x1p52 - 0.5, 0x1p23 - 0.5, 0x1p-1022, 0x1p-1074}) {
    for (const double v : {edge, -edge}) {
      for (int64_t d = -3; d <= 3; ++d) {
        ASSERT_NO_FATAL_FAILURE(
            expect_all(std::bit_cast<double>(std::bit_cast<uint64_t>(v) + uint64_t(d))));
        ASSERT_NO_FATAL_FAILURE(
            expect_all(std::bit_cast<float>(bits(float(v)) + uint32_t(int32_t(d)))));
      }
    }
  }
  std::mt19937_64 random(1);
  for (unsigned i = 0; i < 500000; ++i) {
    const uint64_t u = random();
    ASSERT_NO_FATAL_FAILURE(expect_all(std::bit_cast<double>(u)));
    // Of a size where fractions and integers meet.
    ASSERT_NO_FATAL_FAILURE(
        expect_all(std::bit_cast<double>((u & 0x800FFFFFFFFFFFFFull) | (1000 + u % 80) << 52)));
  }
}

void expect_order(double a, double b) {
  using namespace interp::num;
  const unsigned expected = a < b ? kLess : a == b ? kEqual : a > b ? kGreater : 0;
  ASSERT_EQ(order(a, b), expected) << a << " " << b;
}

TEST_F(Small, OrdersDoubles) {
  std::vector<double> values;
  for (const double edge :
       {0.0, 1.0, 0x1p31, 0x1p-1022, 0x1p-1074, 0x1.fffffffffffffp1023,
        std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
    for (const uint64_t sign : {uint64_t{0}, uint64_t{1} << 63})
      for (uint64_t d = 0; d < 3; ++d)
        values.push_back(std::bit_cast<double>((bits(edge) + d - 1) ^ sign));
  for (const double a : values)
    for (const double b : values) ASSERT_NO_FATAL_FAILURE(expect_order(a, b));
  std::mt19937_64 random(1);
  for (unsigned i = 0; i < 300000; ++i) {
    const uint64_t u = random(), v = random();
    ASSERT_NO_FATAL_FAILURE(expect_order(std::bit_cast<double>(u), std::bit_cast<double>(v)));
    // Of one exponent, and but for the last bits equal.
    ASSERT_NO_FATAL_FAILURE(
        expect_order(std::bit_cast<double>(u), std::bit_cast<double>(u ^ v >> 12)));
    ASSERT_NO_FATAL_FAILURE(
        expect_order(std::bit_cast<double>(u), std::bit_cast<double>(u ^ v >> 61)));
  }
}

void expect_root(double v) {
  const double expected = std::sqrt(v), got = interp::num::root_of(v);
  if (expected != expected)
    ASSERT_TRUE(got != got && (bits(got) & uint64_t{1} << 51)) << v;
  else
    ASSERT_EQ(bits(got), bits(expected)) << v;
}

TEST_F(Small, TakesRoots) {
  std::mt19937_64 random(1);
  for (unsigned i = 0; i < 300000; ++i) {
    const uint64_t u = random();
    const double v = std::bit_cast<double>(u);
    ASSERT_NO_FATAL_FAILURE(expect_root(v));
    // Near the squares of numbers and of the middle between two.
    const double square = std::bit_cast<double>((u & 0xFFFFFFFFFFFFFull) | uint64_t{1023} << 52);
    ASSERT_NO_FATAL_FAILURE(expect_root(square * square));
    ASSERT_NO_FATAL_FAILURE(expect_root(std::bit_cast<double>(u >> 12)));  // subnormal
    // Of an f32, rounded twice.
    const float f = std::bit_cast<float>(uint32_t(u));
    if (f >= 0) {
      ASSERT_EQ(float(interp::num::root_of(f)), std::sqrt(f)) << f;
    }
  }
  for (const double v :
       {0.0, -0.0, 1.0, -1.0, 4.0, 0x1p-1074, 0x1p-1022, 0x1.fffffffffffffp1023,
        std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(),
        std::numeric_limits<double>::quiet_NaN()})
    ASSERT_NO_FATAL_FAILURE(expect_root(v));
}

TEST_F(Small, ConvertsAndCounts) {
  std::mt19937_64 random(1);
  for (unsigned i = 0; i < 300000; ++i) {
    // Of all lengths, with a tail that is often next to a tie.
    uint64_t u = random() >> (i % 64);
    if (i & 64) u = (u & ~uint64_t{0xFFFFFFFF}) | (uint64_t{1} << (i % 40)) | (u & 1);
    ASSERT_EQ(interp::num::to_f32(u), float(u)) << u;
    ASSERT_EQ(interp::num::ones_of(uint32_t(u)), std::popcount(uint32_t(u))) << u;
  }
  for (const uint64_t u :
       {uint64_t{0}, ~uint64_t{0}, uint64_t{1} << 63, uint64_t{0xFFFFFF8000000000},
        uint64_t{0xFFFFFF7FFFFFFFFF}, uint64_t{0x8000008000000000}, uint64_t{0x8000008000000001}})
    ASSERT_EQ(interp::num::to_f32(u), float(u)) << u;
}

TEST_F(Small, MemoryIsAccessedAnywhere) {
  alignas(8) uint8_t memory[24] = {};
  for (unsigned at = 0; at < 8; ++at) {
    store_bytes(memory + at, 0x8877665544332211, 8);
    ASSERT_EQ(load_bytes(memory + at, 8), 0x8877665544332211);
    ASSERT_EQ(load_memory<uint32_t>(memory + at), 0x44332211u);
    ASSERT_EQ(load_memory<int16_t>(memory + at + 6), int16_t(0x8877));
    store_memory<float>(memory + at + 2, 1.5f);
    ASSERT_EQ(load_bytes(memory + at + 2, 4), bits(1.5f));
    ASSERT_EQ(load_memory<float>(memory + at + 2), 1.5f);
    ASSERT_EQ(memory[at + 1], 0x22);
    ASSERT_EQ(memory[at + 6], 0x77);
  }
}

}  // namespace
}  // namespace wafer
