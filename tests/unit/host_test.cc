// The operating system as capabilities.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "host/loop.h"
#include "host/network.h"
#include "host/process.h"
#include "host/streams.h"

namespace wafer::host {
namespace {

namespace fs = std::filesystem;

struct TempDir {
  TempDir() {
    char name[] = "/tmp/wafer-host-XXXXXX";
    path = mkdtemp(name);
  }
  ~TempDir() { fs::remove_all(path); }
  fs::path path;
};

DirectoryRef open(const fs::path& path, bool read_only = false) {
  Outcome<DirectoryRef> d = open_directory(path.string(), read_only);
  EXPECT_TRUE(d.ok());
  return *d;
}

FileRef open_file(Directory& d, std::string_view path, OpenOptions o) {
  Outcome<Opened> opened = d.open(path, o);
  EXPECT_TRUE(opened.ok()) << opened.code();
  return opened ? opened->file : nullptr;
}

OpenOptions to_create() {
  OpenOptions o;
  o.read = o.write = o.create = true;
  return o;
}

std::string read_all(InputStream& in, Loop& loop) {
  std::string out;
  uint8_t buffer[100];
  for (;;) {
    const Outcome<size_t> n = in.read(buffer);
    if (!n && n.code() == EAGAIN) {
      bool ready = false;
      const WaitRef wait = in.pollable()->wait(loop, [&] { ready = true; });
      while (!ready && loop.run_one()) {
      }
      continue;
    }
    if (!n || *n == 0) return out;
    out.append(reinterpret_cast<char*>(buffer), *n);
  }
}

Bytes bytes(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

TEST(HostAddress, TextAndRanges) {
  EXPECT_EQ(Address::parse("10.1.2.3")->text(), "10.1.2.3");
  EXPECT_EQ(Address::parse("2001:db8::1")->text(), "2001:db8::1");
  for (const char* bad : {"", "10.1.2", "10.1.2.3.4", "10.1.2.300", "::g", "localhost", "1.2.3.4 "})
    EXPECT_FALSE(Address::parse(bad)) << bad;
  EXPECT_FALSE(Address::parse(std::string_view("::1\0x", 5)));
  const Address net = *Address::parse("10.0.0.0");
  EXPECT_TRUE(Address::parse("10.255.0.1")->within(net, 8));
  EXPECT_FALSE(Address::parse("11.0.0.1")->within(net, 8));
  EXPECT_TRUE(Address::parse("10.0.0.1")->within(net, 31));
  EXPECT_FALSE(Address::parse("10.0.0.2")->within(net, 31));
  EXPECT_FALSE(Address::parse("::1")->within(net, 0));
  EXPECT_TRUE(Address::parse("::ffff:1.2.3.4")->is_mapped());
  EXPECT_TRUE(Address::parse("255.255.255.255")->is_broadcast());
  EXPECT_TRUE(Address::parse("224.0.0.1")->is_multicast());
}

TEST(HostNetwork, NothingUnlessAllowed) {
  using Use = Network::Use;
  Network n;
  const Endpoint web{*Address::parse("10.1.2.3"), 80, 0, 0};
  EXPECT_FALSE(n.allows(Use::TcpConnect, web));
  EXPECT_FALSE(n.allows_lookup("localhost"));
  ASSERT_TRUE(n.allow(Use::TcpConnect, "10.0.0.0/8:80").ok());
  EXPECT_TRUE(n.allows(Use::TcpConnect, web));
  EXPECT_FALSE(n.allows(Use::TcpListen, web));
  EXPECT_FALSE(n.allows(Use::UdpSend, web));
  EXPECT_FALSE(n.allows(Use::TcpConnect, {web.address, 81, 0, 0}));
  EXPECT_FALSE(n.allows(Use::TcpConnect, {*Address::parse("11.1.2.3"), 80, 0, 0}));
  ASSERT_TRUE(n.allow(Use::TcpListen, "[::1]:8000-8002").ok());
  EXPECT_TRUE(n.allows(Use::TcpListen, {*Address::parse("::1"), 8002, 0, 0}));
  EXPECT_FALSE(n.allows(Use::TcpListen, {*Address::parse("::1"), 8003, 0, 0}));
  ASSERT_TRUE(n.allow(Use::TcpListen, "[fd00::]/8:*").ok());
  EXPECT_TRUE(n.allows(Use::TcpListen, {*Address::parse("fd12::1"), 1, 0, 0}));
  EXPECT_FALSE(n.allows(Use::TcpListen, {*Address::parse("fe12::1"), 1, 0, 0}));
  // Who may send may have a port to send from, and no other.
  const Endpoint any{Address{}, 0, 0, 0};
  EXPECT_FALSE(n.allows(Use::UdpBind, any));
  ASSERT_TRUE(n.allow(Use::UdpSend, "*:53").ok());
  EXPECT_TRUE(n.allows(Use::UdpBind, any));
  EXPECT_FALSE(n.allows(Use::UdpBind, {Address{}, 53, 0, 0}));
  // A name stands for its addresses, and may be looked up.
  ASSERT_TRUE(n.allow(Use::TcpConnect, "LocalHost:7").ok());
  EXPECT_TRUE(n.allows_lookup("localhost"));
  EXPECT_FALSE(n.allows_lookup("example.org"));
  EXPECT_TRUE(n.allows(Use::TcpConnect, {*Address::parse("127.0.0.1"), 7, 0, 0}) ||
              n.allows(Use::TcpConnect, {*Address::parse("::1"), 7, 0, 0}));
  for (const char* bad : {"", "10.0.0.1", "10.0.0.1:", ":80", "10.0.0.1:65536", "10.0.0.0/33:1",
                          "10.0.0.0/x:1", "10.0.0.1:9-8", "10.0.0.1:-1", "a/8:1", "10.0.0.1:80x"}) {
    const Result<void> r = n.allow(Use::TcpConnect, bad);
    EXPECT_FALSE(r.ok()) << bad;
    if (!r.ok()) {
      EXPECT_EQ(r.error().kind, ErrorKind::Usage) << bad;
    }
  }
  n.ask = [](Use use, const Endpoint& e) { return use == Use::UdpSend && e.port == 99; };
  EXPECT_TRUE(n.allows(Use::UdpSend, {web.address, 99, 0, 0}));
  EXPECT_FALSE(n.allows(Use::UdpSend, web));
  Network all;
  all.allow_all();
  EXPECT_TRUE(all.allows(Use::TcpListen, web));
  EXPECT_TRUE(all.allows_lookup("example.org"));
}

TEST(HostLoop, TimersSignalsAndPosts) {
  Loop loop;
  EXPECT_FALSE(loop.run_one());
  std::string order;
  const uint64_t now = monotonic_now();
  const WaitRef late = timer(now + 20'000'000)->wait(loop, [&] { order += 'b'; });
  const WaitRef soon = timer(now + 5'000'000)->wait(loop, [&] { order += 'a'; });
  WaitRef dropped = timer(now + 1'000'000)->wait(loop, [&] { order += 'x'; });
  dropped.reset();
  while (loop.run_one()) {
  }
  EXPECT_EQ(order, "ab");
  EXPECT_GE(monotonic_now(), now + 20'000'000);

  auto signal = std::make_shared<Signal>();
  WaitRef first = signal->wait(loop, [&] { order += 'c'; });
  WaitRef second = signal->wait(loop, [&] { order += 'y'; });
  second.reset();
  loop.run_ready();
  EXPECT_EQ(order, "ab");
  signal->set();
  EXPECT_TRUE(signal->ready());
  // Once only, and in the middle of it the wait may go.
  loop.run_ready();
  signal->set();
  loop.run_ready();
  EXPECT_EQ(order, "abc");
  first = signal->wait(loop, [&] {
    order += 'd';
    first.reset();
  });
  signal.reset();
  loop.run_ready();
  EXPECT_EQ(order, "abcd");

  loop.post([&] { loop.stop(); });
  EXPECT_FALSE(loop.run_one());
  EXPECT_FALSE(loop.run_one());
  loop.restart();
  loop.post([&] { order += 'e'; });
  EXPECT_TRUE(loop.run_one());
  EXPECT_EQ(order, "abcde");
}

TEST(HostLoop, WaitsForPipesWithoutChangingThem) {
  Loop loop;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const FileRef in = wrap_file(UniqueFd(ends[0]));
  const FileRef out = wrap_file(UniqueFd(ends[1]));
  const InputStreamRef reader = read_stream(in);
  const OutputStreamRef writer = write_stream(out);
  uint8_t buffer[10];
  EXPECT_EQ(reader->read(buffer).code(), EAGAIN);
  EXPECT_FALSE(reader->pollable()->ready());
  bool ready = false;
  const WaitRef wait = reader->pollable()->wait(loop, [&] { ready = true; });
  loop.run_ready();
  EXPECT_FALSE(ready);
  ASSERT_TRUE(writer->write(bytes("hello")).ok());
  while (!ready && loop.run_one()) {
  }
  EXPECT_FALSE(in->flags().nonblock);
  ASSERT_EQ(*reader->read(buffer), 5u);
  // A full pipe has no budget, and never makes anybody wait.
  size_t filled = 0;
  while (const Outcome<size_t> n = writer->budget()) {
    if (*n == 0) break;
    ASSERT_TRUE(writer->write(std::vector<uint8_t>(*n, 'x')).ok());
    filled += *n;
  }
  EXPECT_GE(filled, 4096u);
  EXPECT_FALSE(writer->pollable()->ready());
}

TEST(HostStreams, SocketsSendOnWhileNobodyAsks) {
  Loop loop;
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  SocketRef a = wrap_socket(UniqueFd(ends[0]));
  const SocketRef b = wrap_socket(UniqueFd(ends[1]));
  ASSERT_TRUE(a->set_flags({.nonblock = true}).ok());
  ASSERT_TRUE(b->set_flags({.nonblock = true}).ok());
  auto out = std::make_shared<SocketOutput>(loop, a);
  SocketInput in(b);
  std::string sent;
  for (;;) {
    const Outcome<size_t> n = out->budget();
    ASSERT_TRUE(n.ok());
    if (*n == 0) break;
    const std::string piece(*n, char('a' + sent.size() % 26));
    ASSERT_TRUE(out->write(bytes(piece)).ok());
    sent += piece;
  }
  EXPECT_FALSE(out->pollable()->ready());
  ASSERT_TRUE(out->shutdown().ok());
  EXPECT_EQ(out->budget().code(), EPIPE);
  out.reset();
  EXPECT_EQ(read_all(in, loop), sent);
  // The other end is gone.
  auto back = std::make_shared<SocketOutput>(loop, b);
  a.reset();
  for (int i = 0; i < 3 && back->budget().ok(); ++i) (void)back->write(bytes("x"));
  EXPECT_FALSE(back->budget().ok());
}

TEST(HostFiles, StreamsAndAppending) {
  TempDir dir;
  const DirectoryRef d = open(dir.path);
  const FileRef f = open_file(*d, "f", to_create());
  ASSERT_TRUE(write_to(f, 2)->write(bytes("cdef")).ok());
  ASSERT_TRUE(write_to(f, 0)->write(bytes("ab")).ok());
  ASSERT_TRUE(append_to(f)->write(bytes("gh")).ok());
  Loop loop;
  EXPECT_EQ(read_all(*read_from(f, 1), loop), "bcdefgh");
  EXPECT_EQ(read_all(*read_from(f, 100), loop), "");
  EXPECT_EQ(f->stat()->size, 8u);
  EXPECT_EQ(f->stat()->type, FileType::RegularFile);
}

TEST(HostFiles, ReadOnlyGrantsHoldWhoeverCalls) {
  TempDir dir;
  std::ofstream(dir.path / "f") << "text";
  fs::create_directory(dir.path / "sub");
  const DirectoryRef d = open(dir.path, true), writable = open(dir.path);
  OpenOptions o;
  o.read = true;
  const FileRef f = open_file(*d, "f", o);
  const NewTime now{NewTime::Kind::Now, {}};
  EXPECT_EQ(f->set_times(now, now).code(), EPERM);
  EXPECT_EQ(f->set_size(0).code(), EPERM);
  EXPECT_EQ(d->set_times(now, now).code(), EPERM);
  EXPECT_EQ(d->set_times_at("f", false, now, now).code(), EPERM);
  EXPECT_EQ(d->create_directory("x").code(), EPERM);
  EXPECT_EQ(d->remove_directory("sub").code(), EPERM);
  EXPECT_EQ(d->unlink("f").code(), EPERM);
  EXPECT_EQ(d->symlink("f", "l").code(), EPERM);
  EXPECT_EQ(d->rename("f", *writable, "g").code(), EPERM);
  EXPECT_EQ(writable->rename("f", *d, "g").code(), EPERM);
  EXPECT_EQ(d->link("f", false, *writable, "g").code(), EPERM);
  EXPECT_EQ(writable->link("f", false, *d, "g").code(), EPERM);
  EXPECT_EQ(d->open("new", to_create()).code(), EPERM);
  o.truncate = true;
  EXPECT_EQ(d->open("f", o).code(), EPERM);
  // What is below is no different.
  OpenOptions in;
  in.read = in.directory = true;
  const Outcome<Opened> sub = d->open("sub", in);
  ASSERT_TRUE(sub.ok() && sub->directory);
  EXPECT_TRUE(sub->directory->read_only());
  EXPECT_EQ(sub->directory->create_directory("x").code(), EPERM);
  EXPECT_EQ(d->open(std::string_view("f\0x", 3), in).code(), EINVAL);
}

TEST(HostProcess, DeterminismAndEnvironment) {
  Config c;
  c.stdin_source = Input::from_bytes("in");
  std::string text;
  c.stdout_sink = Output::capture(&text);
  c.stderr_sink = Output::null();
  c.env = {{"A", "1"}, {"B", "2"}, {"A", "3"}};
  c.random_seed = 5;
  Result<Process> p = Process::open(c), q = Process::open(c);
  ASSERT_TRUE(p.ok() && q.ok());
  EXPECT_EQ(p->env, (std::vector<std::pair<std::string, std::string>>{{"A", "3"}, {"B", "2"}}));
  const uint64_t r = p->random->next();
  EXPECT_EQ(r, q->random->next());
  EXPECT_NE(r, p->insecure_random->next());
  ASSERT_TRUE(write_stream(p->standard[1])->write(bytes("out")).ok());
  EXPECT_EQ(text, "out");
  Loop loop;
  EXPECT_EQ(read_all(*read_stream(p->standard[0]), loop), "in");
  c.dirs.push_back({"/no/such/folder", "/", false});
  const Result<Process> bad = Process::open(c);
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().kind, ErrorKind::Io);
}

TEST(HostClocks, Zones) {
  const char* const before = getenv("TZ");
  const std::string kept = before ? before : "";
  setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
  const ClocksRef clocks = system_clocks();
  const ZoneInfo winter = clocks->zone(1'700'000'000), summer = clocks->zone(1'690'000'000);
  EXPECT_EQ(winter.offset_seconds, 3600);
  EXPECT_EQ(winter.name, "CET");
  EXPECT_FALSE(winter.daylight_saving);
  EXPECT_EQ(summer.offset_seconds, 7200);
  EXPECT_EQ(summer.name, "CEST");
  EXPECT_TRUE(summer.daylight_saving);
  EXPECT_EQ(clocks->zone(INT64_MAX).name, "UTC");  // no such year
  if (before)
    setenv("TZ", kept.c_str(), 1);
  else
    unsetenv("TZ");
}

TEST(HostLookup, AnswersOnTheLoop) {
  Loop loop;
  Lookup literal({*Address::parse("1.2.3.4")});
  ASSERT_TRUE(literal.result());
  Lookup local(loop, "localhost");
  bool ready = false;
  const WaitRef wait = local.pollable()->wait(loop, [&] { ready = true; });
  while (!ready && loop.run_one()) {
  }
  ASSERT_TRUE(local.result() && local.result()->ok());
  EXPECT_FALSE((**local.result()).empty());
  // One that nobody waits for any more does no harm.
  {
    Lookup forgotten(loop, "localhost");
  }
  loop.run_ready();
}

}  // namespace
}  // namespace wafer::host
