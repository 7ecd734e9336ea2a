// Vectors, sorting, rounding and truncation of small builds, beside the standard library's.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>
#include <vector>

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
  using interp::num::round_to;
  if (v != v) {
    ASSERT_EQ(bits(round_to(v, Round::Floor)), bits(interp::num::quiet(v)));
    return;
  }
  ASSERT_EQ(bits(round_to(v, Round::Nearest)), bits(std::nearbyint(v))) << v;
  ASSERT_EQ(bits(round_to(v, Round::Floor)), bits(std::floor(v))) << v;
  ASSERT_EQ(bits(round_to(v, Round::Ceil)), bits(std::ceil(v))) << v;
  ASSERT_EQ(bits(round_to(v, Round::Trunc)), bits(std::trunc(v))) << v;
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

}  // namespace
}  // namespace wafer
