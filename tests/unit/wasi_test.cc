// WASI 0.1 host functions, called directly on a memory without guest code.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "host/resolve.h"
#include "runtime/linker.h"
#include "runtime/store.h"
#include "wasi/p1/p1.h"
#include "wasi/p1/types.h"

namespace wafer::wasi {
namespace {

namespace fs = std::filesystem;
using runtime::Slot;
using runtime::TrapCode;

void write_file(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}
std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A fresh directory with "box" inside, the guest's preopen, and "secret" beside.
class TempTree {
 public:
  TempTree() {
    std::string pattern = (fs::temp_directory_path() / "wafer_wasi_XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    root = pattern;
    box = root / "box";
    fs::create_directory(box);
    write_file(root / "secret", "top secret");
    fs::create_directory(root / "outside");
  }
  ~TempTree() {
    std::error_code error;
    fs::remove_all(root, error);
  }
  fs::path root, box;
};

// An instance that only has a memory of two pages, and the functions.
class Guest {
 public:
  explicit Guest(P1Config config, bool interruptible = false) {
    runtime::Config engine_config;
    engine_config.interruptible = interruptible;
    engine = runtime::Engine::create(engine_config, nullptr);
    store.emplace(engine);
    linker.emplace(engine);
    auto made = P1Context::create(std::move(config));
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message.c_str());
    if (!made.ok()) return;
    context = std::move(*made);
    EXPECT_TRUE(add_to_linker(*linker, context).ok());
    static const uint8_t kModule[] = {0, 'a', 's', 'm', 1,   0,   0,   0,   5,   3,   1, 0,
                                      2,  // memory
                                      7, 10,  1,   6,   'm', 'e', 'm', 'o', 'r', 'y', 2, 0};
    auto module = engine->load_module(kModule);
    EXPECT_TRUE(module.ok()) << (module.ok() ? "" : module.error().message.c_str());
    auto made_instance = linker->instantiate(*store, *module);
    EXPECT_TRUE(made_instance.ok());
    instance = *made_instance;
  }

  // Calls a function; its errno. `trap` says how execution went on.
  Errno call(std::string_view name, std::initializer_list<uint64_t> args,
             std::string_view module = "wasi_snapshot_preview1") {
    auto found = linker->get(*store, module, name);
    EXPECT_TRUE(found.has_value()) << name;
    EXPECT_EQ(found->func->type->func.params.size(), args.size()) << name;
    Slot slots[16] = {};
    std::copy(args.begin(), args.end(), slots);
    runtime::CallContext cc{*store, instance, nullptr, found->func};
    trap = found->func->host(found->func->host_env, cc, slots);
    return Errno(slots[0]);
  }

  uint8_t* memory() { return instance->memory0->base; }
  template <class T>
  T get(uint32_t at) {
    return load_le<T>(memory() + at);
  }
  template <class T>
  void put(uint32_t at, T v) {
    store_le<T>(memory() + at, v);
  }
  // Strings are placed in rotation over a page of their own.
  uint32_t text(std::string_view s) {
    if (next_text + s.size() > 0x1F000) next_text = 0x10000;
    const uint32_t at = next_text;
    std::memcpy(memory() + at, s.data(), s.size());
    next_text += uint32_t(s.size());
    return at;
  }

  Errno open(uint32_t dir, std::string_view path, uint32_t& fd, uint32_t oflags = 0,
             Rights base = rights::kFdRead, uint32_t dirflags = kLookupSymlinkFollow,
             uint32_t fdflags = 0, Rights inheriting = 0) {
    const Errno e = call("path_open", {dir, dirflags, text(path), path.size(), oflags, base,
                                       inheriting, fdflags, kResult});
    fd = get<uint32_t>(kResult);
    return e;
  }
  Errno open(uint32_t dir, std::string_view path) {
    uint32_t fd;
    const Errno e = open(dir, path, fd);
    if (e == Errno::kSuccess) EXPECT_EQ(close(fd), Errno::kSuccess);
    return e;
  }
  Errno close(uint32_t fd) { return call("fd_close", {fd}); }
  Errno write(uint32_t fd, std::string_view s) {
    put<uint32_t>(kIovec, text(s));
    put<uint32_t>(kIovec + 4, uint32_t(s.size()));
    return call("fd_write", {fd, kIovec, 1, kResult});
  }
  Errno read(uint32_t fd, std::string& out, uint32_t size = 4096) {
    put<uint32_t>(kIovec, kBuffer);
    put<uint32_t>(kIovec + 4, size);
    const Errno e = call("fd_read", {fd, kIovec, 1, kResult});
    if (e == Errno::kSuccess)
      out.assign(reinterpret_cast<char*>(memory() + kBuffer), get<uint32_t>(kResult));
    return e;
  }
  Errno path_call(std::string_view name, uint32_t dir, std::string_view path) {
    return call(name, {dir, text(path), path.size()});
  }
  Errno symlink(std::string_view target, uint32_t dir, std::string_view path) {
    return call("path_symlink", {text(target), target.size(), dir, text(path), path.size()});
  }
  Errno stat(uint32_t dir, std::string_view path, bool follow = true) {
    return call("path_filestat_get", {dir, follow, text(path), path.size(), kBuffer});
  }
  Errno rename(uint32_t from, std::string_view old_path, uint32_t to, std::string_view new_path) {
    return call("path_rename",
                {from, text(old_path), old_path.size(), to, text(new_path), new_path.size()});
  }
  Errno link(uint32_t from, std::string_view old_path, uint32_t to, std::string_view new_path) {
    return call("path_link",
                {from, 0, text(old_path), old_path.size(), to, text(new_path), new_path.size()});
  }

  struct Entry {
    uint64_t next, inode;
    Filetype type;
  };
  // Reads a whole directory with a buffer of `size` bytes.
  std::map<std::string, Entry> list(uint32_t fd, uint32_t size, size_t* count = nullptr) {
    std::map<std::string, Entry> entries;
    uint64_t cookie = 0;
    size_t n = 0;
    for (;;) {
      EXPECT_EQ(call("fd_readdir", {fd, kBuffer, size, cookie, kResult}), Errno::kSuccess);
      const uint32_t used = get<uint32_t>(kResult);
      uint32_t at = 0;
      while (at + kDirentSize <= used) {
        const uint32_t length = get<uint32_t>(kBuffer + at + 16);
        if (at + kDirentSize + length > used) break;
        Entry e{get<uint64_t>(kBuffer + at), get<uint64_t>(kBuffer + at + 8),
                Filetype(get<uint8_t>(kBuffer + at + 20))};
        cookie = e.next;
        entries[std::string(reinterpret_cast<char*>(memory() + kBuffer + at + kDirentSize),
                            length)] = e;
        ++n;
        at += kDirentSize + length;
      }
      if (used < size) break;
    }
    if (count) *count = n;
    return entries;
  }

  static constexpr uint32_t kIovec = 0x100, kResult = 0x200, kBuffer = 0x1000;
  std::shared_ptr<runtime::Engine> engine;
  std::optional<runtime::Store> store;
  std::optional<runtime::Linker> linker;
  std::shared_ptr<P1Context> context;
  runtime::Instance* instance = nullptr;
  TrapCode trap = TrapCode::None;
  uint32_t next_text = 0x10000;
};

P1Config quiet() {
  P1Config c;
  c.stdin_source = P1Input::null();
  c.stdout_sink = P1Output::null();
  c.stderr_sink = P1Output::null();
  return c;
}
P1Config with_box(const TempTree& tree, bool read_only = false) {
  P1Config c = quiet();
  c.dirs.push_back({tree.box.string(), "/", read_only});
  return c;
}
constexpr uint32_t kBox = 3;

using host::Resolver;
using host::set_resolver;

// Each test of the sandbox runs on both ways to resolve paths.
class Sandbox : public testing::TestWithParam<Resolver> {
 protected:
  void SetUp() override { set_resolver(GetParam()); }
  void TearDown() override { set_resolver(Resolver::Auto); }
};
INSTANTIATE_TEST_SUITE_P(Resolvers, Sandbox, testing::Values(Resolver::Auto, Resolver::Walk),
                         [](const auto& info) {
                           return info.param == Resolver::Auto ? "openat2" : "walk";
                         });

TEST_P(Sandbox, NothingLeavesThePreopen) {
  TempTree tree;
  fs::create_directories(tree.box / "a" / "b");
  write_file(tree.box / "a" / "file", "inside");
  fs::create_symlink("../secret", tree.box / "up");
  fs::create_symlink(tree.root / "secret", tree.box / "absolute");
  fs::create_symlink("..", tree.box / "updir");
  fs::create_symlink("/", tree.box / "rootdir");
  fs::create_symlink("a/../../secret", tree.box / "winding");
  fs::create_symlink("up", tree.box / "chain");
  fs::create_symlink("/proc/self/root", tree.box / "magic");
  Guest g(with_box(tree));

  for (const char* path : {"..",
                           "../secret",
                           "a/../../secret",
                           "a/b/../../../secret",
                           "/etc/passwd",
                           "/",
                           "up",
                           "absolute",
                           "updir",
                           "updir/secret",
                           "rootdir/etc/passwd",
                           "winding",
                           "chain",
                           "magic",
                           "magic/etc/passwd",
                           "updir/box/a/file",
                           "a/b/../../..",
                           "../box/a/file",
                           "./..",
                           "a/.././.."}) {
    SCOPED_TRACE(path);
    const std::string p(path);
    uint32_t fd;
    EXPECT_EQ(g.open(kBox, p), Errno::kPerm);
    EXPECT_EQ(g.stat(kBox, p), Errno::kPerm);
    EXPECT_EQ(g.open(kBox, p, fd, oflags::kCreat, rights::kFdWrite), Errno::kPerm);
    EXPECT_EQ(g.open(kBox, p, fd, oflags::kDirectory, rights::kFdReaddir), Errno::kPerm);
    EXPECT_EQ(g.call("path_filestat_set_times",
                     {kBox, 1, g.text(p), p.size(), 5, 5, fstflags::kAtim | fstflags::kMtim}),
              Errno::kPerm);
  }
  for (const char* path : {"../x", "/tmp/x", "updir/x", "rootdir/tmp/x", "a/../../x"}) {
    SCOPED_TRACE(path);
    const std::string p(path);
    EXPECT_EQ(g.path_call("path_create_directory", kBox, p), Errno::kPerm);
    EXPECT_EQ(g.path_call("path_remove_directory", kBox, p), Errno::kPerm);
    EXPECT_EQ(g.path_call("path_unlink_file", kBox, p), Errno::kPerm);
    EXPECT_EQ(g.symlink("a", kBox, p), Errno::kPerm);
    EXPECT_EQ(g.rename(kBox, "a/file", kBox, p), Errno::kPerm);
    EXPECT_EQ(g.rename(kBox, p, kBox, "y"), Errno::kPerm);
    EXPECT_EQ(g.link(kBox, "a/file", kBox, p), Errno::kPerm);
    EXPECT_EQ(g.link(kBox, p, kBox, "y"), Errno::kPerm);
    EXPECT_EQ(g.call("path_readlink", {kBox, g.text(p), p.size(), Guest::kBuffer, 100, 0x200}),
              Errno::kPerm);
  }
  EXPECT_FALSE(fs::exists(tree.root / "x"));
  EXPECT_EQ(read_file(tree.root / "secret"), "top secret");
  // A descriptor of a subdirectory is a box of its own.
  uint32_t sub;
  ASSERT_EQ(g.open(kBox, "a", sub, oflags::kDirectory, rights::kDirectory, kLookupSymlinkFollow, 0,
                   rights::kAll),
            Errno::kSuccess);
  EXPECT_EQ(g.open(sub, "../a/file"), Errno::kPerm);
  EXPECT_EQ(g.open(sub, "b/../file"), Errno::kSuccess);
}

TEST_P(Sandbox, LinksInsideWork) {
  TempTree tree;
  fs::create_directories(tree.box / "d" / "e");
  write_file(tree.box / "file", "text");
  Guest g(with_box(tree));
  ASSERT_EQ(g.symlink("file", kBox, "to_file"), Errno::kSuccess);
  ASSERT_EQ(g.symlink("../file", kBox, "d/up"), Errno::kSuccess);
  ASSERT_EQ(g.symlink("d/e", kBox, "to_e"), Errno::kSuccess);
  ASSERT_EQ(g.symlink("../../to_file", kBox, "d/e/far"), Errno::kSuccess);
  ASSERT_EQ(g.symlink("nowhere", kBox, "dangling"), Errno::kSuccess);
  ASSERT_EQ(g.symlink("loop", kBox, "loop"), Errno::kSuccess);
  ASSERT_EQ(g.symlink("loop_b", kBox, "loop_a"), Errno::kSuccess);
  ASSERT_EQ(g.symlink("loop_a", kBox, "loop_b"), Errno::kSuccess);
  for (const char* path : {"to_file", "d/up", "to_e/far", "to_e/../../file", "d/e/far"}) {
    SCOPED_TRACE(path);
    uint32_t fd;
    std::string text;
    ASSERT_EQ(g.open(kBox, path, fd), Errno::kSuccess);
    EXPECT_EQ(g.read(fd, text), Errno::kSuccess);
    EXPECT_EQ(text, "text");
    g.close(fd);
    EXPECT_EQ(g.stat(kBox, path), Errno::kSuccess);
    EXPECT_EQ(g.get<uint8_t>(Guest::kBuffer + 16), uint8_t(Filetype::kRegularFile));
    EXPECT_EQ(g.get<uint64_t>(Guest::kBuffer + 32), 4u);
  }
  EXPECT_EQ(g.open(kBox, "loop"), Errno::kLoop);
  EXPECT_EQ(g.open(kBox, "loop_a"), Errno::kLoop);
  EXPECT_EQ(g.open(kBox, "loop_a/x"), Errno::kLoop);
  EXPECT_EQ(g.stat(kBox, "loop"), Errno::kLoop);
  EXPECT_EQ(g.open(kBox, "dangling"), Errno::kNoEnt);
  EXPECT_EQ(g.stat(kBox, "dangling"), Errno::kNoEnt);
  EXPECT_EQ(g.stat(kBox, "dangling", false), Errno::kSuccess);
  EXPECT_EQ(g.get<uint8_t>(Guest::kBuffer + 16), uint8_t(Filetype::kSymbolicLink));
  uint32_t fd;
  EXPECT_EQ(g.open(kBox, "to_file", fd, 0, rights::kFdRead, 0), Errno::kLoop);
  EXPECT_EQ(g.open(kBox, "dangling", fd, oflags::kCreat | oflags::kExcl, rights::kFdWrite),
            Errno::kExist);
  EXPECT_EQ(g.open(kBox, "dangling", fd, oflags::kCreat, rights::kFdWrite), Errno::kSuccess);
  EXPECT_TRUE(fs::exists(tree.box / "nowhere"));
  EXPECT_EQ(g.symlink("/etc/passwd", kBox, "abs"), Errno::kPerm);
  EXPECT_EQ(g.symlink("", kBox, "empty"), Errno::kNoEnt);
  EXPECT_EQ(g.call("path_readlink", {kBox, g.text("d/up"), 4, Guest::kBuffer, 3, Guest::kResult}),
            Errno::kSuccess);
  EXPECT_EQ(g.get<uint32_t>(Guest::kResult), 3u);
  EXPECT_EQ(std::memcmp(g.memory() + Guest::kBuffer, "../", 3), 0);
}

TEST_P(Sandbox, TrailingSlashesAndDots) {
  TempTree tree;
  fs::create_directory(tree.box / "d");
  write_file(tree.box / "f", "");
  fs::create_symlink("d", tree.box / "to_d");
  Guest g(with_box(tree));
  uint32_t fd;
  EXPECT_EQ(g.open(kBox, "f/"), Errno::kNotDir);
  EXPECT_EQ(g.stat(kBox, "f/"), Errno::kNotDir);
  EXPECT_EQ(g.stat(kBox, "f/."), Errno::kNotDir);
  EXPECT_EQ(g.open(kBox, "d///"), Errno::kSuccess);
  EXPECT_EQ(g.stat(kBox, "to_d/", false), Errno::kSuccess);
  EXPECT_EQ(g.get<uint8_t>(Guest::kBuffer + 16), uint8_t(Filetype::kDirectory));
  EXPECT_EQ(g.open(kBox, "new/", fd, oflags::kCreat, rights::kFdWrite), Errno::kIsDir);
  EXPECT_EQ(g.path_call("path_create_directory", kBox, "made/"), Errno::kSuccess);
  EXPECT_EQ(g.path_call("path_create_directory", kBox, "made"), Errno::kExist);
  EXPECT_EQ(g.path_call("path_create_directory", kBox, "."), Errno::kExist);
  EXPECT_EQ(g.path_call("path_remove_directory", kBox, "made/"), Errno::kSuccess);
  EXPECT_EQ(g.path_call("path_remove_directory", kBox, "."), Errno::kInval);
  EXPECT_EQ(g.path_call("path_remove_directory", kBox, "f"), Errno::kNotDir);
  EXPECT_EQ(g.path_call("path_remove_directory", kBox, "to_d/"), Errno::kNotDir);
  EXPECT_EQ(g.path_call("path_unlink_file", kBox, "f/"), Errno::kNotDir);
  EXPECT_EQ(g.path_call("path_unlink_file", kBox, "d"), Errno::kIsDir);
  EXPECT_EQ(g.path_call("path_unlink_file", kBox, "d/"), Errno::kIsDir);
  EXPECT_EQ(g.path_call("path_unlink_file", kBox, "missing"), Errno::kNoEnt);
  EXPECT_EQ(g.rename(kBox, "f", kBox, "g/"), Errno::kNotDir);
  EXPECT_EQ(g.rename(kBox, "d/", kBox, "e/"), Errno::kSuccess);
  EXPECT_EQ(g.open(kBox, ""), Errno::kNoEnt);
  EXPECT_EQ(g.open(kBox, "."), Errno::kSuccess);
  EXPECT_EQ(g.open(kBox, std::string_view("f\0g", 3)), Errno::kInval);
  EXPECT_EQ(g.open(kBox, "\xFF\xFE"), Errno::kIlseq);
  EXPECT_EQ(g.open(kBox, std::string(300, 'x')), Errno::kNameTooLong);
  EXPECT_EQ(g.open(kBox, std::string(4095, 'x')), Errno::kNameTooLong);
  EXPECT_EQ(g.open(kBox, "e", fd, oflags::kDirectory | oflags::kCreat), Errno::kInval);
}

// A host process turns a directory into a link to the outside and back while the
// guest opens files through it.
TEST_P(Sandbox, LinkSwapsNeverShowTheOutside) {
  TempTree tree;
  fs::create_directory(tree.box / "real");
  write_file(tree.box / "real" / "data", "inside");
  write_file(tree.root / "outside" / "data", "OUTSIDE");
  fs::create_symlink("../outside", tree.box / "evil");
  std::atomic<bool> stop{false};
  std::thread swapper([&] {
    const std::string a = (tree.box / "real").string(), b = (tree.box / "evil").string();
    while (!stop) (void)renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
  });
  Guest g(with_box(tree));
  int opened = 0, refused = 0;
  for (int i = 0; i < 4000; ++i) {
    uint32_t fd;
    std::string text;
    if (g.open(kBox, "real/data", fd) == Errno::kSuccess) {
      ++opened;
      ASSERT_EQ(g.read(fd, text), Errno::kSuccess);
      ASSERT_EQ(text, "inside");
      g.close(fd);
    } else {
      ++refused;
    }
    if (g.open(kBox, "real/made", fd, oflags::kCreat, rights::kFdWrite) == Errno::kSuccess)
      g.close(fd);
    (void)g.path_call("path_create_directory", kBox, "real/dir");
    ASSERT_FALSE(fs::exists(tree.root / "outside" / "made"));
    ASSERT_FALSE(fs::exists(tree.root / "outside" / "dir"));
  }
  stop = true;
  swapper.join();
  EXPECT_GT(opened, 0);
  EXPECT_GT(opened + refused, 0);
}

TEST_P(Sandbox, DirectoriesMovedAwayMidwayStayABox) {
  // box/deep/x/.. after box/deep was moved out of the box by the host.
  TempTree tree;
  fs::create_directories(tree.box / "deep" / "x");
  write_file(tree.root / "outside" / "bait", "bait");
  Guest g(with_box(tree));
  uint32_t deep;
  ASSERT_EQ(g.open(kBox, "deep", deep, oflags::kDirectory, rights::kDirectory, kLookupSymlinkFollow,
                   0, rights::kAll),
            Errno::kSuccess);
  fs::rename(tree.box / "deep", tree.root / "outside" / "deep");
  EXPECT_EQ(g.open(deep, "../bait"), Errno::kPerm);
  EXPECT_EQ(g.open(deep, "x/../../bait"), Errno::kPerm);
  EXPECT_EQ(g.open(deep, "x/.."), Errno::kSuccess);
}

TEST_P(Sandbox, RenamesAndLinksAcrossPreopens) {
  TempTree a, b;
  write_file(a.box / "one", "1");
  P1Config config = with_box(a);
  config.dirs.push_back({b.box.string(), "/b", false});
  config.dirs.push_back({b.box.string(), "/ro", true});
  Guest g(std::move(config));
  EXPECT_EQ(g.link(3, "one", 4, "linked"), Errno::kSuccess);
  EXPECT_EQ(g.rename(3, "one", 4, "moved"), Errno::kSuccess);
  EXPECT_EQ(read_file(b.box / "moved"), "1");
  EXPECT_EQ(g.rename(4, "moved", 5, "x"), Errno::kPerm);
  EXPECT_EQ(g.rename(5, "moved", 4, "x"), Errno::kPerm);
  // A hard link would make the file writable.
  EXPECT_EQ(g.link(5, "moved", 4, "x"), Errno::kPerm);
}

TEST_P(Sandbox, ReadOnlyPreopensDoNotChange) {
  TempTree tree;
  write_file(tree.box / "file", "text");
  fs::create_directory(tree.box / "d");
  Guest g(with_box(tree, true));
  uint32_t fd, sub;
  std::string text;
  EXPECT_EQ(g.open(kBox, "file", fd, 0, rights::kFile), Errno::kPerm);
  EXPECT_EQ(g.open(kBox, "file", fd, oflags::kTrunc, rights::kFdRead), Errno::kPerm);
  EXPECT_EQ(g.open(kBox, "new", fd, oflags::kCreat, rights::kFdRead), Errno::kPerm);
  EXPECT_EQ(g.path_call("path_create_directory", kBox, "x"), Errno::kPerm);
  EXPECT_EQ(g.path_call("path_remove_directory", kBox, "d"), Errno::kPerm);
  EXPECT_EQ(g.path_call("path_unlink_file", kBox, "file"), Errno::kPerm);
  EXPECT_EQ(g.symlink("file", kBox, "x"), Errno::kPerm);
  EXPECT_EQ(g.rename(kBox, "file", kBox, "x"), Errno::kPerm);
  ASSERT_EQ(g.open(kBox, "file", fd, 0, rights::kFile & ~rights::kFdWrite), Errno::kSuccess);
  EXPECT_EQ(g.read(fd, text), Errno::kSuccess);
  EXPECT_EQ(text, "text");
  EXPECT_EQ(g.call("fd_filestat_set_size", {fd, 0}), Errno::kPerm);
  EXPECT_EQ(g.call("fd_filestat_set_times", {fd, 0, 0, fstflags::kMtim}), Errno::kPerm);
  // Descriptors below are read-only too.
  ASSERT_EQ(g.open(kBox, "d", sub, oflags::kDirectory, rights::kDirectory, 0, 0, rights::kAll),
            Errno::kSuccess);
  EXPECT_EQ(g.open(sub, "new", fd, oflags::kCreat, rights::kFdWrite), Errno::kPerm);
  EXPECT_EQ(read_file(tree.box / "file"), "text");
}

TEST(WasiDescriptors, LowestNumberIsReused) {
  TempTree tree;
  write_file(tree.box / "f", "");
  Guest g(with_box(tree));
  uint32_t a, b, c;
  ASSERT_EQ(g.open(kBox, "f", a), Errno::kSuccess);
  ASSERT_EQ(g.open(kBox, "f", b), Errno::kSuccess);
  ASSERT_EQ(g.open(kBox, "f", c), Errno::kSuccess);
  EXPECT_EQ(a, 4u);
  EXPECT_EQ(b, 5u);
  EXPECT_EQ(c, 6u);
  EXPECT_EQ(g.close(b), Errno::kSuccess);
  EXPECT_EQ(g.close(b), Errno::kBadf);
  EXPECT_EQ(g.close(a), Errno::kSuccess);
  ASSERT_EQ(g.open(kBox, "f", a), Errno::kSuccess);
  ASSERT_EQ(g.open(kBox, "f", b), Errno::kSuccess);
  EXPECT_EQ(a, 4u);
  EXPECT_EQ(b, 5u);
  EXPECT_EQ(g.call("fd_renumber", {c, 4}), Errno::kSuccess);
  EXPECT_EQ(g.close(c), Errno::kBadf);
  EXPECT_EQ(g.call("fd_renumber", {4, 99}), Errno::kBadf);
  EXPECT_EQ(g.call("fd_renumber", {4, 4}), Errno::kSuccess);
  EXPECT_EQ(g.close(0x7FFFFFFF), Errno::kBadf);
  EXPECT_EQ(g.close(0xFFFFFFFF), Errno::kBadf);
}

TEST(WasiDescriptors, RightsOnlyShrink) {
  TempTree tree;
  write_file(tree.box / "f", "text");
  Guest g(with_box(tree));
  uint32_t fd, sub;
  std::string text;
  ASSERT_EQ(g.open(kBox, "f", fd, 0, rights::kFdRead | rights::kFdSeek), Errno::kSuccess);
  EXPECT_EQ(g.write(fd, "x"), Errno::kBadf);
  EXPECT_EQ(g.call("fd_fdstat_set_rights", {fd, rights::kFdRead | rights::kFdWrite, 0}),
            Errno::kNotCapable);
  EXPECT_EQ(g.call("fd_fdstat_set_rights", {fd, rights::kFdSeek, 0}), Errno::kSuccess);
  EXPECT_EQ(g.read(fd, text), Errno::kBadf);
  EXPECT_EQ(g.call("fd_filestat_get", {fd, Guest::kBuffer}), Errno::kNotCapable);

  ASSERT_EQ(g.open(kBox, ".", sub, oflags::kDirectory, 0), Errno::kSuccess);
  ASSERT_EQ(g.call("fd_fdstat_set_rights", {sub, rights::kPathOpen, rights::kFdRead}),
            Errno::kSuccess);
  ASSERT_EQ(g.open(sub, "f", fd, 0, rights::kFdRead), Errno::kSuccess);
  EXPECT_EQ(g.read(fd, text), Errno::kSuccess);
  EXPECT_EQ(g.call("fd_seek", {fd, 0, 0, 0x200}), Errno::kNotCapable);
  ASSERT_EQ(g.open(sub, "f", fd, 0, 0), Errno::kSuccess);
  EXPECT_EQ(g.write(fd, "x"), Errno::kBadf);
  EXPECT_EQ(g.open(sub, "f", fd, 0, rights::kFdRead | rights::kFdWrite), Errno::kNotCapable);
  EXPECT_EQ(g.open(sub, "n", fd, oflags::kCreat, rights::kFdRead), Errno::kNotCapable);
  EXPECT_EQ(g.open(sub, "f", fd, oflags::kTrunc, 0), Errno::kNotCapable);
  EXPECT_EQ(g.path_call("path_unlink_file", sub, "f"), Errno::kNotCapable);
  EXPECT_EQ(read_file(tree.box / "f"), "text");
  EXPECT_EQ(g.open(fd, "f"), Errno::kNotDir);
  EXPECT_EQ(g.read(kBox, text), Errno::kIsDir);
}

// Programs made against other runtimes ask for no rights and use what they opened.
TEST(WasiDescriptors, RightsFollowFromTheKind) {
  TempTree tree;
  write_file(tree.box / "f", "text");
  fs::create_directory(tree.box / "d");
  Guest g(with_box(tree));
  const auto base = [&g](uint32_t fd) {
    EXPECT_EQ(g.call("fd_fdstat_get", {fd, Guest::kBuffer}), Errno::kSuccess);
    return g.get<Rights>(Guest::kBuffer + 8);
  };
  uint32_t fd, sub;
  std::string text;
  ASSERT_EQ(g.open(kBox, "f", fd, 0, 0), Errno::kSuccess);
  EXPECT_EQ(base(fd), rights::kFile & ~rights::kWrites);
  EXPECT_EQ(g.call("fd_filestat_get", {fd, Guest::kBuffer}), Errno::kSuccess);
  EXPECT_EQ(g.call("fd_seek", {fd, 1, 0, 0x200}), Errno::kSuccess);
  EXPECT_EQ(g.read(fd, text), Errno::kSuccess);
  EXPECT_EQ(text, "ext");
  EXPECT_EQ(g.write(fd, "x"), Errno::kBadf);
  EXPECT_EQ(g.call("fd_filestat_set_size", {fd, 0}), Errno::kInval);
  EXPECT_EQ(g.call("fd_allocate", {fd, 0, 100}), Errno::kBadf);
  EXPECT_EQ(g.call("fd_filestat_set_times", {fd, 5, 5, fstflags::kMtim}), Errno::kSuccess);
  // Rights of no meaning are no error.
  EXPECT_EQ(g.open(kBox, "f", fd, 0, ~uint64_t{0} & ~rights::kFdWrite), Errno::kSuccess);
  EXPECT_EQ(base(fd), rights::kFile & ~rights::kWrites);
  // What is made may be written.
  ASSERT_EQ(g.open(kBox, "new", fd, oflags::kCreat, 0), Errno::kSuccess);
  EXPECT_EQ(g.write(fd, "made"), Errno::kSuccess);
  EXPECT_EQ(read_file(tree.box / "new"), "made");
  ASSERT_EQ(g.open(kBox, "new", fd, oflags::kCreat, rights::kFdRead), Errno::kSuccess);
  EXPECT_EQ(g.write(fd, "x"), Errno::kBadf);
  ASSERT_EQ(g.open(kBox, "new", fd, 0, rights::kFdWrite), Errno::kSuccess);
  EXPECT_EQ(base(fd), rights::kFile & ~rights::kFdRead);
  EXPECT_EQ(g.read(fd, text), Errno::kBadf);
  EXPECT_EQ(g.write(fd, "x"), Errno::kSuccess);

  ASSERT_EQ(g.open(kBox, "d", sub, oflags::kDirectory, 0), Errno::kSuccess);
  EXPECT_EQ(base(sub), rights::kDirectory);
  ASSERT_EQ(g.open(sub, "inner", fd, oflags::kCreat, rights::kFdWrite), Errno::kSuccess);
  EXPECT_EQ(g.path_call("path_create_directory", sub, "x"), Errno::kSuccess);
  EXPECT_EQ(g.list(sub, 4096).size(), 4u);
  EXPECT_EQ(g.write(sub, "x"), Errno::kBadf);
  EXPECT_EQ(g.call("fd_seek", {sub, 0, 1, 0x200}), Errno::kBadf);
  EXPECT_EQ(g.open(kBox, "d", fd, 0, rights::kFdRead | rights::kFdWrite), Errno::kIsDir);

  // A read-only grant narrows all that comes from it.
  Guest ro(with_box(tree, true));
  const auto ro_base = [&ro](uint32_t fd) {
    EXPECT_EQ(ro.call("fd_fdstat_get", {fd, Guest::kBuffer}), Errno::kSuccess);
    return ro.get<Rights>(Guest::kBuffer + 8);
  };
  EXPECT_EQ(ro_base(kBox), rights::kDirectory & ~rights::kChanges);
  ASSERT_EQ(ro.open(kBox, "d", sub, oflags::kDirectory, 0), Errno::kSuccess);
  EXPECT_EQ(ro_base(sub), rights::kDirectory & ~rights::kChanges);
  ASSERT_EQ(ro.open(sub, "inner", fd, 0, 0), Errno::kSuccess);
  EXPECT_EQ(ro_base(fd), rights::kFile & ~rights::kChanges);
  EXPECT_EQ(ro.open(sub, "inner", fd, 0, rights::kFdWrite), Errno::kPerm);
  EXPECT_EQ(ro.open(sub, "inner", fd, oflags::kTrunc, 0), Errno::kPerm);
  EXPECT_EQ(ro.open(sub, "inner", fd, oflags::kCreat, 0), Errno::kPerm);
  EXPECT_EQ(ro.call("path_filestat_set_times", {sub, 1, ro.text("inner"), 5, 5, 5, 5}),
            Errno::kPerm);
  EXPECT_EQ(ro.call("fd_filestat_set_times", {sub, 5, 5, fstflags::kMtim}), Errno::kPerm);
}

// Closes a standard descriptor for as long as it lives.
class WithoutStandard {
 public:
  explicit WithoutStandard(int fd) : fd_(fd), kept_(fcntl(fd, F_DUPFD, 100)) { ::close(fd); }
  ~WithoutStandard() {
    dup2(kept_, fd_);
    ::close(kept_);
  }

 private:
  int fd_, kept_;
};

TEST(WasiDescriptors, ClosedStandardDescriptorsStayClosed) {
  TempTree tree;
  write_file(tree.box / "f", "of the embedder");
  std::string text;
  // The embedder's own files may be there later, and must not be reached.
  const WithoutStandard no_input(0), no_output(1);
  P1Config config = with_box(tree);
  config.stdin_source = {};
  config.stdout_sink = {};
  config.listeners.push_back({-1, "127.0.0.1:0"});
  Guest g(std::move(config));
  EXPECT_EQ(fcntl(0, F_GETFD), -1);  // nothing of ours stays at such a number
  EXPECT_EQ(fcntl(1, F_GETFD), -1);
  ASSERT_EQ(::open((tree.box / "f").c_str(), O_RDWR), 0);
  ASSERT_EQ(::open((tree.box / "f").c_str(), O_RDWR), 1);
  EXPECT_EQ(g.read(0, text), Errno::kBadf);
  EXPECT_EQ(g.write(1, "mark"), Errno::kBadf);
  EXPECT_EQ(g.call("fd_fdstat_get", {1, Guest::kBuffer}), Errno::kBadf);
  EXPECT_EQ(g.call("fd_filestat_get", {0, Guest::kBuffer}), Errno::kBadf);
  EXPECT_EQ(g.call("fd_renumber", {0, kBox}), Errno::kBadf);
  ::close(0);
  ::close(1);
  // Their numbers are taken, until the guest closes them too.
  uint32_t fd;
  ASSERT_EQ(g.open(kBox, "f", fd), Errno::kSuccess);
  EXPECT_EQ(fd, 5u);
  EXPECT_EQ(fcntl(0, F_GETFD), -1);
  EXPECT_EQ(g.close(1), Errno::kBadf);
  ASSERT_EQ(g.open(kBox, "f", fd), Errno::kSuccess);
  EXPECT_EQ(fd, 1u);
  EXPECT_EQ(g.call("fd_renumber", {fd, 0}), Errno::kSuccess);
  EXPECT_EQ(g.read(0, text), Errno::kSuccess);
  EXPECT_EQ(text, "of the embedder");
  EXPECT_EQ(g.list(kBox, 4096).size(), 3u);
  EXPECT_EQ(fcntl(0, F_GETFD), -1);
  EXPECT_EQ(read_file(tree.box / "f"), "of the embedder");
}

// A guest holds the file that it was given, whatever the number means later.
TEST(WasiDescriptors, HandlesAreTheGuestsOwn) {
  TempTree tree;
  write_file(tree.root / "given", "given");
  write_file(tree.root / "later", "later");
  const int given = ::open((tree.root / "given").c_str(), O_RDONLY);
  P1Config config = quiet();
  config.stdin_source = P1Input::from_fd(given);
  Guest g(std::move(config));
  const int later = ::open((tree.root / "later").c_str(), O_RDONLY);
  dup2(later, given);
  std::string text;
  EXPECT_EQ(g.read(0, text), Errno::kSuccess);
  EXPECT_EQ(text, "given");
  EXPECT_EQ(g.close(0), Errno::kSuccess);
  EXPECT_GE(fcntl(given, F_GETFD), 0);  // the caller's stays the caller's
  ::close(given);
  ::close(later);
}

TEST(WasiSockets, ListenersHaveToBeListeners) {
  TempTree tree;
  const int file = ::open((tree.root / "secret").c_str(), O_RDWR);
  const auto refuses = [](std::vector<int> fds, const char* why) {
    P1Config config = quiet();
    for (const int fd : fds) config.listeners.push_back({fd, {}});
    auto context = P1Context::create(std::move(config));
    ASSERT_FALSE(context.ok());
    EXPECT_NE(std::string_view(context.error().message).find(why), std::string_view::npos)
        << context.error().message;
  };
  refuses({987}, "descriptor 987 is not open");
  refuses({file}, "is not a listening socket");
  EXPECT_GE(fcntl(file, F_GETFD), 0);
  ::close(file);
  const int unbound = socket(AF_INET, SOCK_STREAM, 0);
  refuses({unbound}, "is not a listening socket");
  ::close(unbound);
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(listen(listener, 1), 0);
  refuses({listener, listener}, "is given twice");
  const int other = socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(listen(other, 1), 0);
  struct stat socket_before = {}, after = {};
  ASSERT_EQ(fstat(other, &socket_before), 0);
  P1Config config = quiet();
  config.listeners.push_back({other, {}});
  {
    Guest g(std::move(config));
    EXPECT_NE(g.context->listener_address(0), "");
    EXPECT_EQ(g.read(3, *std::make_unique<std::string>()), Errno::kBadf);
  }
  // It was taken over and closed; its number may serve another file by now.
  EXPECT_TRUE(fstat(other, &after) != 0 || after.st_ino != socket_before.st_ino);
}

TEST(WasiDescriptors, ReaddirResumesAtEveryCookie) {
  TempTree tree;
  fs::create_directory(tree.box / "many");
  std::set<std::string> names = {".", ".."};
  for (int i = 0; i < 300; ++i) {
    const std::string name = "entry_" + std::string(size_t(i % 40), 'x') + std::to_string(i);
    names.insert(name);
    if (i % 3 == 0)
      fs::create_directory(tree.box / "many" / name);
    else if (i % 3 == 1)
      fs::create_symlink("nowhere", tree.box / "many" / name);
    else
      write_file(tree.box / "many" / name, "");
  }
  Guest g(with_box(tree));
  uint32_t fd;
  ASSERT_EQ(
      g.open(kBox, "many", fd, oflags::kDirectory, rights::kFdReaddir | rights::kFdFilestatGet),
      Errno::kSuccess);
  for (const uint32_t size : {100u, 256u, 4096u, 32768u}) {
    SCOPED_TRACE(size);
    size_t count = 0;
    const auto entries = g.list(fd, size, &count);
    EXPECT_EQ(count, names.size());
    std::set<std::string> seen;
    for (const auto& [name, entry] : entries) seen.insert(name);
    EXPECT_EQ(seen, names);
    struct stat st;
    ASSERT_EQ(lstat((tree.box / "many" / "entry_0").c_str(), &st), 0);
    EXPECT_EQ(entries.at("entry_0").inode, st.st_ino);
    EXPECT_EQ(entries.at("entry_0").type, Filetype::kDirectory);
    EXPECT_EQ(entries.at("entry_x1").type, Filetype::kSymbolicLink);
    EXPECT_EQ(entries.at("entry_xx2").type, Filetype::kRegularFile);
    EXPECT_EQ(entries.at(".").type, Filetype::kDirectory);
  }
  // A cookie outlives changes to the directory.
  ASSERT_EQ(g.call("fd_readdir", {fd, Guest::kBuffer, 4096, 0, Guest::kResult}), Errno::kSuccess);
  const uint64_t cookie = g.get<uint64_t>(Guest::kBuffer);  // after "."
  fs::remove_all(tree.box / "many" / "entry_0");
  ASSERT_EQ(g.call("fd_readdir", {fd, Guest::kBuffer, 4096, cookie, Guest::kResult}),
            Errno::kSuccess);
  EXPECT_EQ(g.get<uint64_t>(Guest::kBuffer), cookie + 1);
  EXPECT_EQ(g.get<uint32_t>(Guest::kBuffer + 16), 2u);
  // Past the end there is nothing, whatever the cookie.
  ASSERT_EQ(g.call("fd_readdir", {fd, Guest::kBuffer, 4096, ~uint64_t{0}, Guest::kResult}),
            Errno::kSuccess);
  EXPECT_EQ(g.get<uint32_t>(Guest::kResult), 0u);
  EXPECT_EQ(g.call("fd_readdir", {1, Guest::kBuffer, 4096, 0, Guest::kResult}), Errno::kNotDir);
}

TEST(WasiDescriptors, PreopensSayTheirNames) {
  TempTree tree;
  P1Config config = quiet();
  config.dirs.push_back({tree.box.string(), "/data", false});
  Guest g(std::move(config));
  ASSERT_EQ(g.call("fd_prestat_get", {3, Guest::kBuffer}), Errno::kSuccess);
  EXPECT_EQ(g.get<uint8_t>(Guest::kBuffer), 0);
  EXPECT_EQ(g.get<uint32_t>(Guest::kBuffer + 4), 5u);
  EXPECT_EQ(g.call("fd_prestat_dir_name", {3, Guest::kBuffer, 4}), Errno::kNameTooLong);
  ASSERT_EQ(g.call("fd_prestat_dir_name", {3, Guest::kBuffer, 5}), Errno::kSuccess);
  EXPECT_EQ(std::memcmp(g.memory() + Guest::kBuffer, "/data", 5), 0);
  EXPECT_EQ(g.call("fd_prestat_get", {4, Guest::kBuffer}), Errno::kBadf);
  EXPECT_EQ(g.call("fd_prestat_get", {0, Guest::kBuffer}), Errno::kBadf);
  auto missing = quiet();
  missing.dirs.push_back({(tree.root / "missing").string(), "/", false});
  auto failed = P1Context::create(missing);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().kind, ErrorKind::Io);
}

TEST(WasiMemory, EveryPointerIsChecked) {
  TempTree tree;
  write_file(tree.box / "f", "text");
  std::string captured;
  P1Config config = with_box(tree);
  config.args = {"program", "arg"};
  config.stdout_sink = P1Output::capture(&captured);
  Guest g(std::move(config));
  constexpr uint32_t kEnd = 0x20000;
  EXPECT_EQ(g.call("args_get", {kEnd - 4, 0}), Errno::kFault);
  EXPECT_EQ(g.call("args_get", {0, kEnd - 2}), Errno::kFault);
  EXPECT_EQ(g.call("args_sizes_get", {kEnd, 0}), Errno::kFault);
  EXPECT_EQ(g.call("args_sizes_get", {0, kEnd - 3}), Errno::kFault);
  EXPECT_EQ(g.call("clock_time_get", {0, 0, kEnd - 7}), Errno::kFault);
  EXPECT_EQ(g.call("clock_time_get", {0, 0, 0xFFFFFFFF}), Errno::kFault);
  EXPECT_EQ(g.call("random_get", {kEnd - 1, 2}), Errno::kFault);
  EXPECT_EQ(g.call("random_get", {0, 0xFFFFFFFF}), Errno::kFault);
  EXPECT_EQ(g.call("random_get", {kEnd, 0}), Errno::kSuccess);
  EXPECT_EQ(g.call("fd_fdstat_get", {1, kEnd - 23}), Errno::kFault);
  EXPECT_EQ(g.call("fd_write", {1, kEnd - 7, 1, 0}), Errno::kFault);
  EXPECT_EQ(g.call("fd_write", {1, 0, 0xFFFFFFFF, 0}), Errno::kFault);
  EXPECT_EQ(g.call("fd_write", {1, 0, 0x20000000, 0}), Errno::kFault);  // size wraps in 32 bits
  g.put<uint32_t>(Guest::kIovec, kEnd - 1);
  g.put<uint32_t>(Guest::kIovec + 4, 2);
  EXPECT_EQ(g.call("fd_write", {1, Guest::kIovec, 1, 0}), Errno::kFault);
  g.put<uint32_t>(Guest::kIovec, 0xFFFFFFF0);
  g.put<uint32_t>(Guest::kIovec + 4, 0x20);
  EXPECT_EQ(g.call("fd_write", {1, Guest::kIovec, 1, 0}), Errno::kFault);
  g.put<uint32_t>(Guest::kIovec, 0);
  EXPECT_EQ(g.call("fd_write", {1, Guest::kIovec, 1, kEnd - 3}), Errno::kFault);
  EXPECT_EQ(captured, "");  // nothing written when the result has no place
  EXPECT_EQ(g.call("path_open", {3, 0, kEnd - 1, 2, 0, 0, 0, 0, 0}), Errno::kFault);
  EXPECT_EQ(g.call("path_open", {3, 0, g.text("f"), 1, 0, 0, 0, 0, kEnd}), Errno::kFault);
  EXPECT_EQ(g.call("fd_readdir", {3, kEnd - 10, 11, 0, 0}), Errno::kFault);
  EXPECT_EQ(g.call("poll_oneoff", {kEnd - 47, 0, 1, 0}), Errno::kFault);
  EXPECT_EQ(g.call("poll_oneoff", {0, kEnd - 31, 1, 0}), Errno::kFault);
  EXPECT_EQ(g.call("poll_oneoff", {0, 0, 0xFFFFFFFF, 0}), Errno::kInval);
  EXPECT_EQ(g.call("fd_filestat_get", {3, kEnd - 63}), Errno::kFault);
}

TEST(WasiMemory, CallerWithoutMemoryTraps) {
  Guest g(quiet());
  auto found = g.linker->get(*g.store, "wasi_snapshot_preview1", "fd_close");
  Slot slots[4] = {};
  runtime::CallContext cc{*g.store, nullptr, nullptr, found->func};
  EXPECT_EQ(found->func->host(found->func->host_env, cc, slots), TrapCode::HostError);
}

TEST(WasiStdio, CallbacksBytesAndVectors) {
  std::string out, err;
  P1Config config = quiet();
  config.stdin_source = P1Input::from_bytes("hello input");
  config.stdout_sink = P1Output::capture(&out);
  config.stderr_sink = P1Output::capture(&err);
  Guest g(std::move(config));
  std::string text;
  EXPECT_EQ(g.read(0, text, 5), Errno::kSuccess);
  EXPECT_EQ(text, "hello");
  EXPECT_EQ(g.read(0, text), Errno::kSuccess);
  EXPECT_EQ(text, " input");
  EXPECT_EQ(g.read(0, text), Errno::kSuccess);
  EXPECT_EQ(text, "");
  // 200 buffers, every other one empty: done in several calls.
  for (uint32_t i = 0; i < 200; ++i) {
    g.put<uint32_t>(0x400 + i * 8, g.text(std::string(1, char('a' + i % 26))));
    g.put<uint32_t>(0x400 + i * 8 + 4, i % 2);
  }
  uint32_t from = 0;
  while (from < 200) {
    ASSERT_EQ(g.call("fd_write", {1, 0x400 + from * 8, 200 - from, Guest::kResult}),
              Errno::kSuccess);
    const uint32_t n = g.get<uint32_t>(Guest::kResult);
    ASSERT_GT(n, 0u);
    from += n * 2;
  }
  ASSERT_EQ(out.size(), 100u);
  EXPECT_EQ(out.substr(0, 3), "bdf");
  EXPECT_EQ(g.write(2, "oops"), Errno::kSuccess);
  EXPECT_EQ(err, "oops");
  EXPECT_EQ(g.write(0, "x"), Errno::kBadf);
  EXPECT_EQ(g.read(1, text), Errno::kBadf);
  EXPECT_EQ(g.call("fd_seek", {1, 0, 0, Guest::kResult}), Errno::kSpipe);
  ASSERT_EQ(g.call("fd_fdstat_get", {1, Guest::kBuffer}), Errno::kSuccess);
  EXPECT_EQ(g.get<uint8_t>(Guest::kBuffer), uint8_t(Filetype::kUnknown));
}

TEST(WasiStdio, PipesAndBrokenPipes) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  P1Config config = quiet();
  config.stdout_sink = P1Output::from_fd(ends[1]);
  config.stdin_source = P1Input::from_fd(ends[0]);
  Guest g(std::move(config));
  std::string text;
  EXPECT_EQ(g.write(1, "through"), Errno::kSuccess);
  EXPECT_EQ(g.read(0, text), Errno::kSuccess);
  EXPECT_EQ(text, "through");
  // Non-blocking mode of an inherited stream stays the guest's own.
  EXPECT_EQ(g.call("fd_fdstat_set_flags", {0, fdflags::kNonblock}), Errno::kSuccess);
  EXPECT_EQ(g.read(0, text), Errno::kAgain);
  EXPECT_EQ(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(g.call("fd_seek", {0, 0, 1, Guest::kResult}), Errno::kSpipe);
  ::close(ends[0]);
  EXPECT_EQ(g.close(0), Errno::kSuccess);
  EXPECT_EQ(g.write(1, "nobody reads"), Errno::kPipe);
  ::close(ends[1]);
}

// Fills in a subscription; see the witx for the layout.
void subscribe_clock(Guest& g, uint32_t at, uint64_t userdata, uint32_t id, uint64_t timeout,
                     bool absolute) {
  std::memset(g.memory() + at, 0, 48);
  g.put<uint64_t>(at, userdata);
  g.put<uint32_t>(at + 16, id);
  g.put<uint64_t>(at + 24, timeout);
  g.put<uint16_t>(at + 40, absolute);
}
void subscribe_fd(Guest& g, uint32_t at, uint64_t userdata, EventType type, uint32_t fd) {
  std::memset(g.memory() + at, 0, 48);
  g.put<uint64_t>(at, userdata);
  g.put<uint8_t>(at + 8, uint8_t(type));
  g.put<uint32_t>(at + 16, fd);
}

TEST(WasiPoll, ClocksAndDescriptors) {
  using Clock = std::chrono::steady_clock;
  TempTree tree;
  write_file(tree.box / "f", "12345");
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  P1Config config = with_box(tree);
  config.stdin_source = P1Input::from_fd(ends[0]);
  Guest g(std::move(config));
  constexpr uint32_t kIn = 0x4000, kOut = 0x5000;
  constexpr uint64_t kMs = 1'000'000;

  EXPECT_EQ(g.call("poll_oneoff", {kIn, kOut, 0, Guest::kResult}), Errno::kInval);

  subscribe_clock(g, kIn, 7, 1, 30 * kMs, false);
  auto start = Clock::now();
  ASSERT_EQ(g.call("poll_oneoff", {kIn, kOut, 1, Guest::kResult}), Errno::kSuccess);
  EXPECT_GE(Clock::now() - start, std::chrono::milliseconds(30));
  EXPECT_EQ(g.get<uint32_t>(Guest::kResult), 1u);
  EXPECT_EQ(g.get<uint64_t>(kOut), 7u);
  EXPECT_EQ(g.get<uint16_t>(kOut + 8), 0);

  // Absolute real time; the earlier of two clocks fires alone.
  ASSERT_EQ(g.call("clock_time_get", {0, 0, Guest::kBuffer}), Errno::kSuccess);
  const uint64_t now = g.get<uint64_t>(Guest::kBuffer);
  subscribe_clock(g, kIn, 1, 0, now + 20 * kMs, true);
  subscribe_clock(g, kIn + 48, 2, 1, 10'000 * kMs, false);
  start = Clock::now();
  ASSERT_EQ(g.call("poll_oneoff", {kIn, kOut, 2, Guest::kResult}), Errno::kSuccess);
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(5));
  EXPECT_EQ(g.get<uint32_t>(Guest::kResult), 1u);
  EXPECT_EQ(g.get<uint64_t>(kOut), 1u);

  // An empty pipe loses against the clock, then wins with data in it.
  subscribe_fd(g, kIn, 3, EventType::kFdRead, 0);
  subscribe_clock(g, kIn + 48, 4, 1, 10 * kMs, false);
  ASSERT_EQ(g.call("poll_oneoff", {kIn, kOut, 2, Guest::kResult}), Errno::kSuccess);
  EXPECT_EQ(g.get<uint32_t>(Guest::kResult), 1u);
  EXPECT_EQ(g.get<uint64_t>(kOut), 4u);
  ASSERT_EQ(::write(ends[1], "abc", 3), 3);
  subscribe_clock(g, kIn + 48, 4, 1, 10'000 * kMs, false);
  ASSERT_EQ(g.call("poll_oneoff", {kIn, kOut, 2, Guest::kResult}), Errno::kSuccess);
  EXPECT_EQ(g.get<uint32_t>(Guest::kResult), 1u);
  EXPECT_EQ(g.get<uint64_t>(kOut), 3u);
  EXPECT_EQ(g.get<uint8_t>(kOut + 10), uint8_t(EventType::kFdRead));
  EXPECT_EQ(g.get<uint64_t>(kOut + 16), 3u);
  ::close(ends[1]);
  ASSERT_EQ(g.call("poll_oneoff", {kIn, kOut, 2, Guest::kResult}), Errno::kSuccess);
  EXPECT_EQ(g.get<uint16_t>(kOut + 24), 1);  // hangup

  // Regular files are always ready; errors are events too.
  uint32_t fd;
  ASSERT_EQ(g.open(kBox, "f", fd, 0, rights::kFile), Errno::kSuccess);
  subscribe_fd(g, kIn, 10, EventType::kFdRead, fd);
  subscribe_fd(g, kIn + 48, 11, EventType::kFdWrite, fd);
  subscribe_fd(g, kIn + 96, 12, EventType::kFdRead, 77);
  subscribe_clock(g, kIn + 144, 13, 9, 1, false);
  ASSERT_EQ(g.call("poll_oneoff", {kIn, kOut, 4, Guest::kResult}), Errno::kSuccess);
  ASSERT_EQ(g.get<uint32_t>(Guest::kResult), 4u);
  EXPECT_EQ(g.get<uint64_t>(kOut + 16), 5u);
  EXPECT_EQ(g.get<uint8_t>(kOut + 32 + 10), uint8_t(EventType::kFdWrite));
  EXPECT_EQ(g.get<uint16_t>(kOut + 64 + 8), uint16_t(Errno::kBadf));
  EXPECT_EQ(g.get<uint16_t>(kOut + 96 + 8), uint16_t(Errno::kInval));
  ::close(ends[0]);
}

TEST(WasiPoll, InterruptEndsEveryWait) {
  using Clock = std::chrono::steady_clock;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  P1Config config = quiet();
  config.stdin_source = P1Input::from_fd(ends[0]);
  config.listeners.push_back({-1, "127.0.0.1:0"});
  TempTree tree;
  ASSERT_EQ(mkfifo((tree.box / "pipe").c_str(), 0600), 0);
  config.dirs.push_back({tree.box.string(), "/", false});  // 3; the listener is 4
  Guest g(std::move(config), true);
  const auto expect_interrupted = [&](auto&& blocking) {
    g.store->interrupt_flag = 0;
    std::thread watchdog([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      g.store->interrupt();
    });
    const auto start = Clock::now();
    blocking();
    EXPECT_LT(Clock::now() - start, std::chrono::seconds(5));
    EXPECT_EQ(g.trap, TrapCode::Interrupted);
    watchdog.join();
  };
  expect_interrupted([&] {
    std::string text;
    g.read(0, text);
  });
  expect_interrupted([&] { g.call("sock_accept", {4, 0, Guest::kResult}); });
  // What is not a pipe is not waited for.
  const int unix_socket = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  snprintf(name.sun_path, sizeof(name.sun_path), "%s", (tree.box / "socket").c_str());
  ASSERT_EQ(bind(unix_socket, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
  EXPECT_EQ(g.open(kBox, "socket"), Errno::kNxio);
  ::close(unix_socket);
  // A named pipe without another end, opened for writing, then for reading.
  uint32_t fd;
  expect_interrupted([&] { g.open(kBox, "pipe", fd, 0, rights::kFdWrite); });
  ASSERT_EQ(g.open(kBox, "pipe", fd, 0, rights::kFdRead), Errno::kSuccess);
  expect_interrupted([&] {
    std::string text;
    g.read(fd, text);
  });
  subscribe_clock(g, 0x4000, 1, 1, ~uint64_t{0}, false);
  subscribe_fd(g, 0x4030, 2, EventType::kFdRead, 0);
  expect_interrupted([&] { g.call("poll_oneoff", {0x4000, 0x5000, 1, Guest::kResult}); });
  expect_interrupted([&] { g.call("poll_oneoff", {0x4000, 0x5000, 2, Guest::kResult}); });
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(WasiSockets, AcceptSendReceiveShutdown) {
  P1Config config = quiet();
  config.listeners.push_back({-1, "127.0.0.1:0"});
  Guest g(std::move(config));
  const std::string address = g.context->listener_address(0);
  ASSERT_EQ(address.rfind("127.0.0.1:", 0), 0u);
  ASSERT_EQ(g.call("fd_fdstat_get", {3, Guest::kBuffer}), Errno::kSuccess);
  EXPECT_EQ(g.get<uint8_t>(Guest::kBuffer), uint8_t(Filetype::kSocketStream));
  EXPECT_EQ(g.call("fd_fdstat_set_flags", {3, fdflags::kNonblock}), Errno::kSuccess);
  EXPECT_EQ(g.call("sock_accept", {3, 0, Guest::kResult}), Errno::kAgain);

  const int client = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(uint16_t(std::stoi(address.substr(10))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(connect(client, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  ASSERT_EQ(g.call("sock_accept", {3, 0, Guest::kResult}), Errno::kSuccess);
  const uint32_t fd = g.get<uint32_t>(Guest::kResult);
  EXPECT_EQ(fd, 4u);

  ASSERT_EQ(::write(client, "ping", 4), 4);
  g.put<uint32_t>(Guest::kIovec, Guest::kBuffer);
  g.put<uint32_t>(Guest::kIovec + 4, 100);
  ASSERT_EQ(g.call("sock_recv", {fd, Guest::kIovec, 1, 1, Guest::kResult, Guest::kResult + 8}),
            Errno::kSuccess);  // peek
  EXPECT_EQ(g.get<uint32_t>(Guest::kResult), 4u);
  std::string text;
  EXPECT_EQ(g.read(fd, text), Errno::kSuccess);
  EXPECT_EQ(text, "ping");
  g.put<uint32_t>(Guest::kIovec, g.text("pong"));
  g.put<uint32_t>(Guest::kIovec + 4, 4);
  ASSERT_EQ(g.call("sock_send", {fd, Guest::kIovec, 1, 0, Guest::kResult}), Errno::kSuccess);
  char buffer[8];
  EXPECT_EQ(::read(client, buffer, sizeof(buffer)), 4);
  EXPECT_EQ(g.call("sock_send", {fd, Guest::kIovec, 1, 1, Guest::kResult}), Errno::kInval);
  EXPECT_EQ(g.call("sock_shutdown", {fd, 0}), Errno::kInval);
  EXPECT_EQ(g.call("sock_shutdown", {fd, 2}), Errno::kSuccess);
  EXPECT_EQ(::read(client, buffer, sizeof(buffer)), 0);
  EXPECT_EQ(g.call("sock_shutdown", {1, 1}), Errno::kNotSock);
  EXPECT_EQ(g.call("sock_shutdown", {99, 1}), Errno::kBadf);
  EXPECT_EQ(g.read(3, text), Errno::kBadf);  // a listener has no data
  ::close(client);
}

TEST(WasiProcess, ArgumentsEnvironmentAndExit) {
  P1Config config = quiet();
  config.args = {"prog", "", "with space", "\xC3\xA9"};
  config.env = {{"A", "1"}, {"B", "x=y"}, {"A", "2"}};
  Guest g(std::move(config));
  ASSERT_EQ(g.call("args_sizes_get", {0x200, 0x204}), Errno::kSuccess);
  EXPECT_EQ(g.get<uint32_t>(0x200), 4u);
  EXPECT_EQ(g.get<uint32_t>(0x204), 5u + 1 + 11 + 3);
  ASSERT_EQ(g.call("args_get", {0x300, 0x400}), Errno::kSuccess);
  EXPECT_STREQ(reinterpret_cast<char*>(g.memory() + g.get<uint32_t>(0x308)), "with space");
  ASSERT_EQ(g.call("environ_sizes_get", {0x200, 0x204}), Errno::kSuccess);
  EXPECT_EQ(g.get<uint32_t>(0x200), 2u);
  ASSERT_EQ(g.call("environ_get", {0x300, 0x400}), Errno::kSuccess);
  EXPECT_STREQ(reinterpret_cast<char*>(g.memory() + g.get<uint32_t>(0x300)), "A=2");
  EXPECT_STREQ(reinterpret_cast<char*>(g.memory() + g.get<uint32_t>(0x304)), "B=x=y");

  EXPECT_FALSE(g.context->exit_code().has_value());
  g.call("proc_exit", {42});
  EXPECT_EQ(g.trap, TrapCode::Exit);
  EXPECT_EQ(g.store->trap().exit_code, 42);
  EXPECT_EQ(g.context->exit_code(), 42);
  EXPECT_EQ(g.call("proc_raise", {0}), Errno::kSuccess);
  EXPECT_EQ(g.trap, TrapCode::None);
  EXPECT_EQ(g.call("proc_raise", {99}), Errno::kInval);
  g.call("proc_raise", {6});
  EXPECT_EQ(g.store->trap().exit_code, 134);

  P1Config bad = quiet();
  bad.env = {{"A=B", "c"}};
  EXPECT_FALSE(P1Context::create(bad).ok());
  bad = quiet();
  bad.args = {std::string("a\0b", 3)};
  EXPECT_FALSE(P1Context::create(bad).ok());
}

TEST(WasiProcess, ClocksAndRandomness) {
  P1Config config = quiet();
  config.random_seed = 7;
  struct FixedClocks : host::Clocks {
    uint64_t now(host::ClockId id) const override { return 1000 + uint64_t(id); }
    uint64_t resolution(host::ClockId) const override { return 1; }
    host::ZoneInfo zone(int64_t) const override { return {}; }
  };
  config.clocks = std::make_shared<FixedClocks>();
  Guest a(config), b(config), real(quiet());
  for (Guest* g : {&a, &b}) ASSERT_EQ(g->call("random_get", {0x1000, 37}), Errno::kSuccess);
  EXPECT_EQ(std::memcmp(a.memory() + 0x1000, b.memory() + 0x1000, 38), 0);
  ASSERT_EQ(a.call("clock_time_get", {1, 0, 0x200}), Errno::kSuccess);
  EXPECT_EQ(a.get<uint64_t>(0x200), 1001u);
  EXPECT_EQ(a.call("clock_time_get", {4, 0, 0x200}), Errno::kInval);
  EXPECT_EQ(a.call("clock_res_get", {4, 0x200}), Errno::kInval);
  for (uint64_t id = 0; id < 4; ++id) {
    ASSERT_EQ(real.call("clock_res_get", {id, 0x200}), Errno::kSuccess);
    EXPECT_GT(real.get<uint64_t>(0x200), 0u);
    ASSERT_EQ(real.call("clock_time_get", {id, 0, 0x200}), Errno::kSuccess);
    EXPECT_GT(real.get<uint64_t>(0x200), 0u);
  }
}

TEST(WasiPreview0, DiffersWhereItMust) {
  TempTree tree;
  write_file(tree.box / "f", "0123456789");
  Guest g(with_box(tree));
  uint32_t fd;
  ASSERT_EQ(g.open(kBox, "f", fd, 0, rights::kFile & ~rights::kFdWrite), Errno::kSuccess);
  // whence: 0 current, 1 end, 2 set
  const char* const kModule = "wasi_unstable";
  EXPECT_EQ(g.call("fd_seek", {fd, 4, 2, 0x200}, kModule), Errno::kSuccess);
  EXPECT_EQ(g.get<uint64_t>(0x200), 4u);
  EXPECT_EQ(g.call("fd_seek", {fd, 1, 0, 0x200}, kModule), Errno::kSuccess);
  EXPECT_EQ(g.get<uint64_t>(0x200), 5u);
  EXPECT_EQ(g.call("fd_seek", {fd, 0, 1, 0x200}, kModule), Errno::kSuccess);
  EXPECT_EQ(g.get<uint64_t>(0x200), 10u);
  EXPECT_EQ(g.call("fd_seek", {fd, uint64_t(-11), 1, 0x200}), Errno::kInval);
  // filestat: 56 bytes, size at 24
  std::memset(g.memory() + 0x1000, 0xAA, 64);
  ASSERT_EQ(g.call("fd_filestat_get", {fd, 0x1000}, kModule), Errno::kSuccess);
  EXPECT_EQ(g.get<uint32_t>(0x1014), 1u);
  EXPECT_EQ(g.get<uint64_t>(0x1018), 10u);
  EXPECT_EQ(g.get<uint8_t>(0x1038), 0xAA);
  // subscription: an identifier before the clock
  std::memset(g.memory() + 0x4000, 0, 56);
  g.put<uint64_t>(0x4000, 5);
  g.put<uint32_t>(0x4018, 1);
  g.put<uint64_t>(0x4020, 1000);
  ASSERT_EQ(g.call("poll_oneoff", {0x4000, 0x5000, 1, 0x200}, kModule), Errno::kSuccess);
  EXPECT_EQ(g.get<uint64_t>(0x5000), 5u);
  EXPECT_EQ(g.get<uint16_t>(0x5008), 0u);
  EXPECT_FALSE(g.linker->get(*g.store, kModule, "sock_accept").has_value());
}

TEST(WasiFiles, ReadWriteSeekAppendTruncate) {
  TempTree tree;
  Guest g(with_box(tree));
  uint32_t fd;
  std::string text;
  ASSERT_EQ(g.open(kBox, "f", fd, oflags::kCreat | oflags::kExcl, rights::kFile), Errno::kSuccess);
  EXPECT_EQ(g.write(fd, "hello world"), Errno::kSuccess);
  EXPECT_EQ(g.call("fd_seek", {fd, uint64_t(-5), 2, 0x200}), Errno::kSuccess);
  EXPECT_EQ(g.read(fd, text), Errno::kSuccess);
  EXPECT_EQ(text, "world");
  EXPECT_EQ(g.call("fd_tell", {fd, 0x200}), Errno::kSuccess);
  EXPECT_EQ(g.get<uint64_t>(0x200), 11u);
  g.put<uint32_t>(Guest::kIovec, g.text("J"));
  g.put<uint32_t>(Guest::kIovec + 4, 1);
  EXPECT_EQ(g.call("fd_pwrite", {fd, Guest::kIovec, 1, 0, 0x200}), Errno::kSuccess);
  EXPECT_EQ(g.call("fd_pwrite", {fd, Guest::kIovec, 1, ~uint64_t{0}, 0x200}), Errno::kInval);
  EXPECT_EQ(g.call("fd_filestat_set_size", {fd, 5}), Errno::kSuccess);
  EXPECT_EQ(read_file(tree.box / "f"), "Jello");
  EXPECT_EQ(g.call("fd_filestat_set_size", {fd, ~uint64_t{0}}), Errno::kFbig);
  EXPECT_EQ(g.call("fd_advise", {fd, 0, 0, 3}), Errno::kSuccess);
  EXPECT_EQ(g.call("fd_advise", {fd, 0, 0, 6}), Errno::kInval);
  EXPECT_EQ(g.call("fd_sync", {fd}), Errno::kSuccess);
  EXPECT_EQ(g.call("fd_datasync", {fd}), Errno::kSuccess);
  EXPECT_EQ(g.call("fd_filestat_set_times",
                   {fd, 1'500'000'000, 2'000'000'001, fstflags::kAtim | fstflags::kMtim}),
            Errno::kSuccess);
  ASSERT_EQ(g.call("fd_filestat_get", {fd, 0x1000}), Errno::kSuccess);
  EXPECT_EQ(g.get<uint64_t>(0x1028), 1'500'000'000u);
  EXPECT_EQ(g.get<uint64_t>(0x1030), 2'000'000'001u);
  g.close(fd);

  ASSERT_EQ(g.open(kBox, "f", fd, 0, rights::kFile, 0, fdflags::kAppend), Errno::kSuccess);
  EXPECT_EQ(g.write(fd, "!"), Errno::kSuccess);
  ASSERT_EQ(g.call("fd_fdstat_get", {fd, 0x1000}), Errno::kSuccess);
  EXPECT_EQ(g.get<uint16_t>(0x1002), fdflags::kAppend);
  EXPECT_EQ(g.call("fd_fdstat_set_flags", {fd, fdflags::kSync}), Errno::kNotSup);
  EXPECT_EQ(g.call("fd_fdstat_set_flags", {fd, 0}), Errno::kSuccess);
  g.close(fd);
  EXPECT_EQ(read_file(tree.box / "f"), "Jello!");
  ASSERT_EQ(g.open(kBox, "f", fd, oflags::kTrunc, 0), Errno::kSuccess);
  g.close(fd);
  EXPECT_EQ(read_file(tree.box / "f"), "");
  EXPECT_EQ(g.open(kBox, "f", fd, oflags::kCreat | oflags::kExcl), Errno::kExist);
  EXPECT_EQ(g.open(kBox, "f", fd, oflags::kDirectory), Errno::kNotDir);
}

}  // namespace
}  // namespace wafer::wasi
