// Readable names, and names made to do harm.
#include "demangle/demangle.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>

namespace wafer {
namespace {

std::string read(std::string_view name) {
  String out;
  return demangle(name, out) ? std::string(out) : "-";
}

TEST(Demangle, Names) {
  // C++
  EXPECT_EQ(read("_Z3addii"), "add(int, int)");
  EXPECT_EQ(read("_ZNK6shapes3BoxIiE4takeEi"), "shapes::Box<int>::take(int) const");
  EXPECT_EQ(read("_ZNSt6vectorIiSaIiEE9push_backERKi"),
            "std::vector<int, std::allocator<int>>::push_back(int const&)");
  EXPECT_EQ(read("_ZZ4mainENKUlvE_clEv"), "main::'lambda'()::operator()() const");
  EXPECT_EQ(read("_ZN1aC2Ev.llvm.123"), "a::a() (.llvm.123)");
  // Rust, legacy and v0
  EXPECT_EQ(read("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"),
            "core::fmt::Write::write_fmt");
  EXPECT_EQ(read("_ZN58_$LT$alloc..string..String$u20$as$u20$core..fmt..Write$GT$9write_"
                 "str17h0123456789abcdefE"),
            "<alloc::string::String as core::fmt::Write>::write_str");
  EXPECT_EQ(read("_ZN3foo28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE"), "foo::{{closure}}");
  EXPECT_EQ(read("_RNvC6_123foo3bar"), "123foo::bar");
  EXPECT_EQ(read("_RNvNtCs1234_7mycrate3foo3bar"), "mycrate::foo::bar");
  EXPECT_EQ(read("_RINvNtC3std3mem8align_ofdE"), "std::mem::align_of::<f64>");
  // Names that a linker has demangled, but for Rust's hash.
  EXPECT_EQ(read("core::fmt::Write::write_fmt::h0123456789abcdef"), "core::fmt::Write::write_fmt");
  EXPECT_EQ(read("_$LT$std..io..Stdout$u20$as$u20$std..io..Write$GT$::flush::h0123456789abcdef"),
            "<std::io::Stdout as std::io::Write>::flush");
  // None of these.
  for (const char* name : {"", "main", "_start", "_Z", "_ZN", "_R", "_ZN3foo", "runtime.main",
                           "a::b", "x::h0123", "::h0123456789abcdeg", "_Zlong name"})
    EXPECT_EQ(read(name), "-") << name;
}

// Names of a few bytes can stand for more than memory holds.
TEST(Demangle, HostileNamesAreBounded) {
  const auto start = std::chrono::steady_clock::now();
  // Each parameter is a pair of the one before, which is substitution number 2i - 1.
  std::string twice = "_Z1f1AIiiE";
  for (int i = 0; i < 30; ++i) {
    static const char* const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const std::string high = i >= 18 ? std::string(1, digits[2 * i / 36]) : "";
    const std::string reference = "S" + high + digits[2 * i % 36] + "_";
    twice += "1AI" + reference + reference + "E";
    if (i == 1)
      EXPECT_EQ(read(twice),
                "f(A<int, int>, A<A<int, int>, A<int, int>>, "
                "A<A<A<int, int>, A<int, int>>, A<A<int, int>, A<int, int>>>)");
  }
  EXPECT_EQ(read(twice), "-");
  // Types within types, down to the bound of the input and beyond.
  for (const size_t depth : {100, 1000, 4000, 5000, 100000}) {
    for (const char* part :
         {"P", "R", "A1_", "N1a", "1aI", "F", "K", "Dp", "St4pairI", "L", "X", "_Z"}) {
      std::string name = "_Z1f";
      while (name.size() < depth) name += part;
      read(name + "i");
      read(name);
    }
    for (const char* part : {"I", "NvC1a", "R", "T", "B_", "A", "Nv", "X", "D", "F"}) {
      std::string name = "_R";
      while (name.size() < depth) name += part;
      read(name + "C1a1b");
    }
  }
  // The same for v0: a tuple, and then each time one of two of those before.
  std::string pairs = "INvC1a1b";
  size_t place = pairs.size();
  pairs += "TllE";
  for (int i = 0; i < 60; ++i) {
    std::string reference;
    for (size_t v = place - 1; reference.empty() || v; v /= 62)
      reference.insert(reference.begin(),
                       "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[v % 62]);
    reference = "B" + reference + "_";
    place = pairs.size();
    pairs += "T" + reference + reference + "E";
    if (i == 2)
      EXPECT_EQ(read("_R" + pairs + "E"),
                "a::b::<(i32, i32), ((i32, i32), (i32, i32)), (((i32, i32), (i32, i32)), ((i32, "
                "i32), (i32, i32))), ((((i32, i32), (i32, i32)), ((i32, i32), (i32, i32))), "
                "(((i32, i32), (i32, i32)), ((i32, i32), (i32, i32))))>");
  }
  EXPECT_EQ(read("_R" + pairs + "E"), "-");
  // Anything at all.
  std::mt19937 random(7);
  static const std::string_view letters = "_ZNSKRPIEiJTLXDFABCt0123456789avhcl";
  for (int i = 0; i < 20'000; ++i) {
    std::string name = i % 2 ? "_Z" : "_R";
    for (size_t n = 1 + random() % 200; n > 0; --n) name += letters[random() % letters.size()];
    String out;
    if (demangle(name, out)) EXPECT_LE(out.size(), 20'000u);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

}  // namespace
}  // namespace wafer
