// File systems in memory, and that they do what those of the operating system do.
#include "host/memory_fs.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <random>

#include "host/http_callback.h"
#include "host/loop.h"

namespace wafer::host {
namespace {

namespace fs = std::filesystem;

Bytes bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

Status write(Directory& d, std::string_view path, OpenOptions o, std::string_view text) {
  o.write = true;
  const Outcome<Opened> opened = d.open(path, o);
  if (!opened) return opened.status();
  if (!opened->file) return Status(EISDIR);
  const iovec v{const_cast<char*>(text.data()), text.size()};
  return opened->file->write(Buffers(&v, 1)).status();
}

Outcome<std::string> read(Directory& d, std::string_view path, bool follow) {
  OpenOptions o;
  o.read = true;
  o.follow = follow;
  const Outcome<Opened> opened = d.open(path, o);
  if (!opened) return opened.status();
  if (!opened->file) return Status(EISDIR);
  char text[4096];
  const iovec v{text, sizeof text};
  const Outcome<size_t> n = opened->file->read(Buffers(&v, 1));
  if (!n) return n.status();
  return std::string(text, *n);
}

std::map<std::string, FileType> list(const Directory& d) {
  std::map<std::string, FileType> out;
  EXPECT_TRUE(d.list([&](const DirectoryEntry& e) { out.emplace(e.name, e.type); }).ok());
  return out;
}

TEST(MemoryFs, HoldsFiles) {
  const MemoryFs files(1 << 20);
  MemoryFs& m = const_cast<MemoryFs&>(files);
  EXPECT_TRUE(m.put("/etc/conf.d/x", bytes("1")).ok());
  EXPECT_TRUE(m.put("etc/conf.d/x", bytes("two")).ok());
  EXPECT_EQ(*m.get("etc/conf.d/x"), "two");
  EXPECT_EQ(m.get("etc/nothing").code(), ENOENT);
  EXPECT_EQ(m.get("etc").code(), EISDIR);
  EXPECT_EQ(m.put("etc", bytes("")).code(), EISDIR);
  EXPECT_EQ(m.put("../x", bytes("")).code(), EPERM);
  EXPECT_EQ(list(*m.root()), (std::map<std::string, FileType>{{"etc", FileType::Directory}}));
}

TEST(MemoryFs, ReadOnlyGrantsChangeNothing) {
  MemoryFs m;
  ASSERT_TRUE(m.put("d/f", bytes("text")).ok());
  const DirectoryRef root = m.root(true);
  OpenOptions create;
  create.create = true;
  EXPECT_EQ(*read(*root, "d/f", false), "text");
  EXPECT_EQ(write(*root, "d/f", {}, "x").code(), EPERM);
  EXPECT_EQ(root->open("d/new", create).code(), EPERM);
  EXPECT_EQ(root->create_directory("e").code(), EPERM);
  EXPECT_EQ(root->remove_directory("d").code(), EPERM);
  EXPECT_EQ(root->unlink("d/f").code(), EPERM);
  EXPECT_EQ(root->symlink("f", "d/l").code(), EPERM);
  const DirectoryRef writable = m.root();
  EXPECT_EQ(root->rename("d/f", *writable, "f").code(), EPERM);
  EXPECT_EQ(writable->rename("d/f", *root, "f").code(), EPERM);
  EXPECT_EQ(writable->link("d/f", false, *root, "f").code(), EPERM);
  EXPECT_EQ(root->open("d", {}).ok(), true);
  OpenOptions o;
  const auto below = (*root->open("d", o)).directory;
  EXPECT_EQ(below->unlink("f").code(), EPERM);
  EXPECT_EQ(below->stat_at("../d", true).code(), EPERM);
}

TEST(MemoryFs, HasACapacity) {
  MemoryFs m(10'000);
  OpenOptions create;
  create.create = create.read = create.write = true;
  const DirectoryRef root = m.root();
  EXPECT_EQ(m.put("big", std::vector<uint8_t>(20'000)).code(), ENOSPC);
  for (int round = 0; round < 50; ++round) {
    // What is removed makes room again, once nobody has it open.
    const Outcome<Opened> f = root->open("f", create);
    ASSERT_TRUE(f.ok()) << round;
    ASSERT_TRUE(f->file->set_size(8'000).ok()) << round;
    EXPECT_EQ(f->file->set_size(uint64_t{1} << 50).code(), ENOSPC);
    EXPECT_EQ(f->file->allocate(UINT64_MAX - 5, 3).code(), ENOSPC);
    ASSERT_TRUE(root->rename("f", *root, "g").ok());
    ASSERT_TRUE(round % 2 ? root->unlink("g").ok()
                          : (m.put("h", {}).ok() && root->rename("h", *root, "g").ok() &&
                             root->unlink("g").ok()));
    if (round % 3 == 0) {
      EXPECT_EQ(m.put("other", std::vector<uint8_t>(5'000)).code(), ENOSPC);
      ASSERT_TRUE(root->unlink("other").ok());
    }
  }
  int made = 0;
  while (root->create_directory("d" + std::to_string(made)).ok() && made < 10'000) ++made;
  EXPECT_LT(made, 100);
}

TEST(MemoryFs, GivesBackWhatIsListed) {
  MemoryFs m(10'000);
  const DirectoryRef root = m.root();
  for (int round = 0; round < 5; ++round) {
    ASSERT_TRUE(m.put("f", std::vector<uint8_t>(8'000)).ok()) << round;
    ASSERT_TRUE(
        root->list([&](const DirectoryEntry& e) { EXPECT_TRUE(root->unlink(e.name).ok()); }).ok());
  }
}

TEST(MemoryFs, LimitsPathsAsTheSystemDoes) {
  MemoryFs m;
  const DirectoryRef root = m.root();
  const auto path = [](size_t size) {
    std::string out;
    while (out.size() < size) out += "./";
    return out.substr(0, size - 1) + "f";
  };
  EXPECT_TRUE(m.put("f", bytes("x")).ok());
  EXPECT_TRUE(root->stat_at(path(4095), true).ok());
  for (const size_t size : {size_t{4096}, size_t{100} << 20}) {
    EXPECT_EQ(root->stat_at(path(size), true).code(), ENAMETOOLONG);
    EXPECT_EQ(root->create_directory(path(size)).code(), ENAMETOOLONG);
    EXPECT_EQ(root->symlink(path(size), "long").code(), ENAMETOOLONG);
    EXPECT_EQ(root->rename("f", *root, path(size)).code(), ENAMETOOLONG);
  }
  EXPECT_EQ(root->create_directory(std::string(256, 'x')).code(), ENAMETOOLONG);
  ASSERT_TRUE(root->symlink(path(4095), "link").ok());
  EXPECT_TRUE(root->stat_at("link", true).ok());
}

TEST(MemoryFs, NestsDeeply) {
  MemoryFs m;
  DirectoryRef d = m.root();
  for (int i = 0; i < 200'000; ++i) {
    ASSERT_TRUE(d->create_directory("d").ok());
    d = (*d->open("d", {})).directory;
  }
}

// The same operations at random, on a tree in memory and on one of the operating system.
TEST(MemoryFs, DoesWhatTheSystemDoes) {
  std::mt19937 random(20261128);
  const auto below = [&](unsigned n) { return unsigned(random() % n); };
  const auto path = [&] {
    std::string out;
    for (unsigned i = 0, n = 1 + below(4); i < n; ++i) {
      static constexpr const char* kNames[] = {"a", "b", "c", "d", "a", "b", "..", "."};
      out += (i ? "/" : "") + std::string(kNames[below(8)]);
    }
    return out + (below(8) ? "" : "/");
  };
  unsigned good = 0;
  for (unsigned round = 0; round < 60; ++round) {
    char name[] = "/tmp/wafer-memory-XXXXXX";
    const fs::path folder = mkdtemp(name);
    MemoryFs memory;
    const DirectoryRef both[] = {memory.root(), *open_directory(folder.string(), false)};
    for (unsigned step = 0; step < 400; ++step) {
      const unsigned what = below(11);
      const std::string p = path(), q = path();
      const bool follow = below(2), exclusive = below(4) == 0, directory = below(6) == 0;
      std::string got[2];
      for (int i = 0; i < 2; ++i) {
        Directory& d = *both[i];
        std::string& out = got[i];
        Status status;
        OpenOptions o;
        o.follow = follow;
        switch (what) {
          case 0:
            status = d.create_directory(p);
            break;
          case 1:
            status = d.remove_directory(p);
            break;
          case 2:
            status = d.unlink(p);
            break;
          case 3:
            status = d.symlink(q, p);
            break;
          case 4:
            status = d.link(p, false, d, q);
            break;
          case 5:
          case 6:
            status = d.rename(p, d, q);
            break;
          case 7:
            o.create = true;
            o.exclusive = exclusive;
            o.truncate = !exclusive;
            status = write(d, p, o, q);
            break;
          case 8: {
            const auto r = read(d, p, follow);
            status = r.status();
            if (r) out = *r;
            break;
          }
          case 9: {
            const auto s = d.stat_at(p, follow);
            status = s.status();
            if (s && s->type != FileType::Directory)
              out = std::to_string(int(s->type)) + " " + std::to_string(s->size) + " " +
                    std::to_string(s->links);
            else if (s)
              out = "directory";
            break;
          }
          case 10: {
            o.directory = directory;
            const auto opened = d.open(p, o);
            status = opened.status();
            if (opened && opened->directory)
              for (const auto& [n, type] : list(*opened->directory))
                out += n + std::to_string(int(type)) + " ";
            if (const auto l = d.read_link(q)) out += " " + *l;
            break;
          }
        }
        good += status.ok();
        // (Which of two reasons is told is a matter of order.)
        out += status.ok() ? " done" : " failed";
      }
      ASSERT_EQ(got[0], got[1]) << "round " << round << " step " << step << " operation " << what
                                << " " << p << " " << q << " follow " << follow << " exclusive "
                                << exclusive << " directory " << directory;
    }
    fs::remove_all(folder);
  }
  EXPECT_GT(good, 3000u);
}

// ---- Requests that a function answers

struct Sent {
  HttpBodyRef body = std::make_shared<HttpBody>();
  std::shared_ptr<HttpExchange> exchange;
};

Sent send(HttpClient& client, Loop& loop) {
  Sent out;
  HttpRequest request;
  request.method = "POST";
  request.authority = "example.org";
  request.fields = {{"x-a", "b"}};
  request.body = out.body;
  out.exchange = client.send(loop, std::move(request), {});
  return out;
}

TEST(HttpCallback, AnswersRequests) {
  Loop loop;
  const auto client = make_http_callback(
      [](const WholeRequest& r) -> Outcome<WholeResponse> {
        EXPECT_EQ(r.head.authority, "example.org");
        WholeResponse out;
        out.head.status = 201;
        out.head.fields = r.head.fields;
        for (int i = 0; i < 10; ++i) out.body += r.body;
        return out;
      },
      1 << 20);
  Sent sent = send(*client, loop);
  loop.run_ready();
  EXPECT_FALSE(sent.exchange->response);
  std::string part(50'000, 'x');
  sent.body->write(bytes(part));
  loop.run_ready();
  sent.body->write(bytes(part));
  sent.body->finish();
  while (!sent.exchange->response) loop.run_ready();
  ASSERT_TRUE(sent.exchange->response->ok());
  const HttpResponse& response = **sent.exchange->response;
  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(response.fields, (HttpFields{{"x-a", "b"}}));
  size_t size = 0;
  while (!response.body->done()) {
    EXPECT_LE(response.body->front().size(), HttpBody::kCapacity);
    size += response.body->front().size();
    response.body->remove(response.body->front().size());
    loop.run_ready();
  }
  EXPECT_EQ(size, 1'000'000u);
}

TEST(HttpCallback, HasLimits) {
  Loop loop;
  int calls = 0;
  const auto client = make_http_callback(
      [&](const WholeRequest& r) -> Outcome<WholeResponse> {
        ++calls;
        WholeResponse out;
        if (r.body == "deny") return http_failure(HttpError::HTTPRequestDenied);
        if (r.body == "name") out.head.fields = {{"a b", "x"}};
        if (r.body == "value") out.head.fields = {{"a", "x\n"}};
        if (r.body == "status") out.head.status = 7;
        return out;
      },
      100);
  const auto outcome = [&](std::string_view body) {
    const Sent sent = send(*client, loop);
    sent.body->write(bytes(body));
    sent.body->finish();
    for (int i = 0; i < 10; ++i) loop.run_ready();
    return sent.exchange->response ? http_error_of(sent.exchange->response->status())
                                   : std::optional(HttpError::LoopDetected);
  };
  EXPECT_TRUE(outcome("deny") == HttpError::HTTPRequestDenied);
  EXPECT_TRUE(outcome("name") == HttpError::HTTPProtocolError);
  EXPECT_TRUE(outcome("value") == HttpError::HTTPProtocolError);
  EXPECT_TRUE(outcome("status") == HttpError::HTTPProtocolError);
  EXPECT_TRUE(outcome("good") == std::nullopt);
  EXPECT_EQ(calls, 5);
  EXPECT_TRUE(outcome(std::string(101, 'x')) == HttpError::HTTPRequestBodySize);
  EXPECT_EQ(calls, 5);
  // Given up: it is not asked.
  {
    const Sent sent = send(*client, loop);
    sent.body->finish();
  }
  loop.run_ready();
  EXPECT_EQ(calls, 5);
}

}  // namespace
}  // namespace wafer::host
