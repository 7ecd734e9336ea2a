// Bodies of HTTP, from their writer to their reader.
#include <gtest/gtest.h>

#include "host/http.h"

namespace wafer::host {
namespace {

struct Under {
  Under() {
    body.on_taken = [this](size_t n) { taken += n; };
  }
  void write(size_t size) { body.write(std::vector<uint8_t>(size, 'x')); }
  HttpBody body;
  size_t taken = 0;
  std::vector<uint8_t> out;
};

TEST(HttpBody, HoldsNoMoreThanItsCapacityWithWhatIsOnItsWay) {
  Under t;
  t.write(HttpBody::kCapacity);
  EXPECT_EQ(*t.body.room(), 0u);
  t.body.take(t.out);
  EXPECT_EQ(t.out.size(), HttpBody::kCapacity);
  EXPECT_EQ(*t.body.room(), 0u);
  EXPECT_FALSE(t.body.writable()->ready());
  EXPECT_EQ(t.taken, 0u);
  t.body.gone(t.out);
  EXPECT_TRUE(t.out.empty());
  EXPECT_EQ(*t.body.room(), HttpBody::kCapacity);
  EXPECT_TRUE(t.body.writable()->ready());
  EXPECT_EQ(t.taken, HttpBody::kCapacity);

  t.write(10000);
  t.body.take(t.out);
  EXPECT_EQ(*t.body.room(), HttpBody::kCapacity - 10000);
  t.write(100);
  EXPECT_EQ(*t.body.room(), HttpBody::kCapacity - 10100);
  t.body.gone(t.out);
  EXPECT_EQ(*t.body.room(), HttpBody::kCapacity - 100);
  EXPECT_EQ(t.body.front().size(), 100u);
  EXPECT_EQ(t.taken, HttpBody::kCapacity + 10000);
}

// Whoever has given room for it, such as a window of HTTP/2, gets all of that back, once.
TEST(HttpBody, TellsOnceOfWhatIsDiscardedOnItsWay) {
  Under t;
  t.write(10000);
  t.body.take(t.out);
  t.write(100);
  t.body.discard();
  EXPECT_EQ(t.taken, 10100u);
  t.body.gone(t.out);
  EXPECT_EQ(t.taken, 10100u);
}

}  // namespace
}  // namespace wafer::host
