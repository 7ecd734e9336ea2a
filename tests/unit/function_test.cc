#include "base/function.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <string>

namespace wafer {
namespace {

TEST(Function, KeepsSharedPointersInPlace) {
  const auto p = std::make_shared<int>(3), q = std::make_shared<int>(4);
  auto f = [p, q](int x) { return *p * *q + x; };
  static_assert(Function<int(int)>::in_place<decltype(f)>());
  const Function<int(int)> g(f);
  EXPECT_EQ(g(5), 17);
  EXPECT_EQ(p.use_count(), 3);
}

TEST(Function, OwnsWhatIsLarger) {
  const auto p = std::make_shared<int>(7);
  Function<int()> f = [p, large = std::array<int, 40>{1, 2, 3}] { return *p + large[2]; };
  EXPECT_EQ(p.use_count(), 2);
  Function<int()> g = std::move(f);
  EXPECT_FALSE(f);
  EXPECT_EQ(g(), 10);
  EXPECT_EQ(p.use_count(), 2);
  g = nullptr;
  EXPECT_EQ(p.use_count(), 1);
}

TEST(Function, IsMovedWithWhatCannotBeCopied) {
  Function<std::string()> f = [p = std::make_unique<std::string>("one")] { return *p; };
  Function<std::string()> g;
  EXPECT_FALSE(g);
  g = std::move(f);
  EXPECT_EQ(g(), "one");
  g = [] { return std::string("two"); };
  EXPECT_EQ(g(), "two");
}

TEST(Function, OfNothingIsNull) {
  EXPECT_FALSE(Function<void()>());
  EXPECT_FALSE(Function<void()>(nullptr));
  EXPECT_FALSE(Function<void()>(std::function<void()>()));
  EXPECT_FALSE(Function<void()>(static_cast<void (*)()>(nullptr)));
  EXPECT_TRUE(Function<void()>([] {}));
}

TEST(Function, PassesReferencesAndTemporaries) {
  const Function<int(int&, std::unique_ptr<int>)> f = [](int& a, std::unique_ptr<int> b) {
    return a += *b;
  };
  int a = 1;
  EXPECT_EQ(f(a, std::make_unique<int>(2)), 3);
  EXPECT_EQ(a, 3);
}

// What it calls may end it.
TEST(Function, IsGoneWhileItIsCleared) {
  Function<void()> f;
  struct Looks {
    Function<void()>* at;
    bool* seen;
    std::shared_ptr<int> last;
    ~Looks() {
      if (last) *seen = bool(*at);
    }
    Looks(Function<void()>* a, bool* s) : at(a), seen(s), last(std::make_shared<int>()) {}
    Looks(Looks&&) = default;
    void operator()() const {}
  };
  bool seen = true;
  f = Looks(&f, &seen);
  f = nullptr;
  EXPECT_FALSE(seen);
}

}  // namespace
}  // namespace wafer
