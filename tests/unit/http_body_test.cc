// Bodies of HTTP, from their writer to their reader.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <optional>

#include "host/http.h"
#include "host/http/outgoing.h"

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
  EXPECT_FALSE(t.body.writable().ready());
  EXPECT_EQ(t.taken, 0u);
  t.body.gone(t.out);
  EXPECT_TRUE(t.out.empty());
  EXPECT_EQ(*t.body.room(), HttpBody::kCapacity);
  EXPECT_TRUE(t.body.writable().ready());
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

// What the reader takes from where it is is never copied; what it leaves waits as ever.
TEST(HttpBody, IsPassedOn) {
  Under t;
  HttpBody::Passed answer;
  size_t asked = 0;
  t.body.pass_on = [&](Bytes bytes) {
    asked += bytes.size();
    return answer;
  };
  answer = {10000, 0};
  t.write(10000);
  EXPECT_EQ(t.taken, 10000u);
  EXPECT_TRUE(t.body.front().empty());
  EXPECT_EQ(*t.body.room(), HttpBody::kCapacity);
  EXPECT_FALSE(t.body.readable().ready());
  // Some is on its way: what comes then waits, and is not offered.
  answer = {10000, 4000};
  t.write(10000);
  EXPECT_EQ(t.taken, 16000u);
  EXPECT_EQ(*t.body.room(), HttpBody::kCapacity - 4000);
  t.write(100);
  EXPECT_EQ(asked, 20000u);
  EXPECT_EQ(t.body.front().size(), 100u);
  EXPECT_TRUE(t.body.readable().ready());
  t.body.gone(t.out);
  EXPECT_EQ(t.taken, 20000u);
  EXPECT_EQ(*t.body.room(), HttpBody::kCapacity - 100);
  t.body.remove(100);
  // Of what is left, the rest waits.
  answer = {300, 0};
  t.write(1000);
  EXPECT_EQ(t.body.front().size(), 700u);
}

struct Wire {
  Wire() {
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    boost::asio::ip::tcp::socket socket(io);
    socket.assign(boost::asio::ip::tcp::v4(), ends[0]);
    channel.emplace(std::move(socket));
  }
  ~Wire() { close(ends[1]); }
  // What has come.
  std::string read() {
    std::string out;
    char piece[4096];
    while (true) {
      const ssize_t n = recv(ends[1], piece, sizeof piece, MSG_DONTWAIT);
      if (n <= 0) return out;
      out.append(piece, size_t(n));
    }
  }
  boost::asio::io_context io;
  int ends[2];
  std::optional<Channel> channel;
};

// However much the system takes at once, the same goes out.
TEST(Outgoing, PassesPieces) {
  for (const bool chunked : {false, true}) {
    for (const auto& [size, hex] : {std::pair<size_t, std::string>{5000, "1388\r\n"},
                                    {65536, "10000\r\n"},
                                    {1000000, "f4240\r\n"},
                                    {3000000, "2dc6c0\r\n"}}) {
      Wire wire;
      std::vector<uint8_t> bytes(size);
      for (size_t i = 0; i < size; ++i) bytes[i] = uint8_t(i * 7 + i / 251);
      std::string expected(bytes.begin(), bytes.end());
      if (chunked) expected = hex + expected + "\r\n";
      Outgoing out;
      const HttpBody::Passed passed = out.pass(*wire.channel, bytes, chunked);
      EXPECT_EQ(passed.taken, size);
      EXPECT_EQ(passed.going > 0, size >= 1000000) << size;
      std::string got = wire.read();
      bool done = out.empty();
      if (!done)
        out.write(*wire.channel, [&](const Channel::Error& error, size_t) { done = !error; });
      while (!done) {
        wire.io.poll();
        got += wire.read();
      }
      got += wire.read();
      EXPECT_TRUE(got == expected) << size << (chunked ? " in a chunk" : "");
      out.clear();
      // Where the system takes nothing, nothing is taken.
      while (wire.channel->write_now(std::array{boost::asio::const_buffer("x", 1)}) > 0) {
      }
      EXPECT_EQ(out.pass(*wire.channel, bytes, chunked).taken, 0u);
      EXPECT_TRUE(out.empty());
    }
  }
  Wire wire;
  const std::vector<uint8_t> few(100);
  EXPECT_EQ(Outgoing().pass(*wire.channel, few, true).taken, 0u);
}

}  // namespace
}  // namespace wafer::host
