// Resolution of paths: whatever tree is in a granted folder, with links and "..", and whatever is
// renamed in it meanwhile, nothing outside of it is opened, listed, told of or made; and both ways
// to resolve agree.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "host/fs.h"
#include "host/resolve.h"

namespace {

namespace fs = std::filesystem;
using namespace wafer;

// ROOT/box is granted. ROOT, ROOT/outside and what is there are not.
struct Tree {
  fs::path root = fs::temp_directory_path() / ("wafer-fuzz-paths-" + std::to_string(getpid()));
  fs::path box = root / "box";
  std::set<std::pair<uint64_t, uint64_t>> forbidden;  // devices and inodes

  Tree() {
    fs::create_directories(root / "outside" / "a" / "b");
    for (const char* file : {"secret", "outside/marker", "outside/a/marker", "outside/a/b/c"})
      std::ofstream(root / file) << "outside";
    note("/");
    note(root);
    note(root.parent_path());
    for (const auto& e : fs::recursive_directory_iterator(root)) note(e.path());
  }
  ~Tree() { fs::remove_all(root); }
  void note(const fs::path& path) {
    struct stat st;
    if (stat(path.c_str(), &st) != 0) std::abort();
    forbidden.emplace(st.st_dev, st.st_ino);
  }
  void renew() {
    fs::remove_all(box);
    fs::create_directory(box);
  }
  // What a guest has changed outside.
  bool clean() const {
    size_t n = 0;
    for ([[maybe_unused]] const auto& e : fs::recursive_directory_iterator(root / "outside")) ++n;
    std::error_code none;
    return n == 5 && std::distance(fs::directory_iterator(root), fs::directory_iterator()) == 3 &&
           fs::file_size(root / "secret", none) == 7 &&
           fs::file_size(root / "outside/marker", none) == 7;
  }
};

// Choices, from the input.
struct Choices {
  const uint8_t* at;
  const uint8_t* end;
  bool done() const { return at == end; }
  uint8_t byte() { return at == end ? 0 : *at++; }
  std::string name() { return std::string(1, char('a' + byte() % 4)); }
  std::string path() {
    static constexpr const char* kParts[] = {"a", "b", "c", "d", "..", "..", ".", ""};
    std::string out;
    for (unsigned n = 1 + byte() % 6; n--;) {
      out += kParts[byte() % std::size(kParts)];
      if (n || byte() % 8 == 0) out += '/';
    }
    // (Empty parts may have made it absolute.)
    return out.empty() ? "." : out;
  }
  std::string target(const Tree& tree) {
    switch (byte() % 12) {
      case 0:
        return "../outside";
      case 1:
        return "../secret";
      case 2:
        return (tree.root / "outside").string();
      case 3:
        return "/proc/self/root";
      case 4:
        return "../box/a";
      case 5:
        return "a/../../outside/a";
      default:
        return path();
    }
  }
};

struct Checker {
  const Tree& tree;
  host::DirectoryRef box;

  [[noreturn]] static void outside(const std::string& path) {
    std::fprintf(stderr, "%s shows the outside\n", path.c_str());
    std::abort();
  }
  void seen(const host::Stat& st, const std::string& path) const {
    if (tree.forbidden.count({st.device, st.inode})) outside(path);
  }
  // The inode, or the failure as a negative number.
  int64_t open(const std::string& path, const host::OpenOptions& options) const {
    const auto opened = box->open(path, options);
    if (!opened) return -opened.code();
    const host::Node& node =
        opened->file ? static_cast<host::Node&>(*opened->file) : *opened->directory;
    const auto st = node.stat();
    if (!st) return -st.code();
    seen(*st, path);
    if (opened->directory)
      (void)opened->directory->list([&](const host::DirectoryEntry& e) {
        if (e.name == "marker" || e.name == "secret") outside(path);
      });
    return int64_t(st->inode);
  }
  int64_t stat(const std::string& path, bool follow) const {
    const auto st = box->stat_at(path, follow);
    if (!st) return -st.code();
    seen(*st, path);
    return int64_t(st->inode);
  }
};

// Both resolvers, while nothing moves.
void compare(const Checker& c, const std::string& path, bool follow) {
  host::OpenOptions options;
  options.read = true;
  options.follow = follow;
  int64_t got[2][2];
  for (const bool walk : {false, true}) {
    host::set_resolver(walk ? host::Resolver::Walk : host::Resolver::Auto);
    got[walk][0] = c.open(path, options);
    got[walk][1] = c.stat(path, follow);
  }
  host::set_resolver(host::Resolver::Auto);
  for (const int i : {0, 1})
    if (got[0][i] != got[1][i]) {
      std::fprintf(stderr, "%s, %s%s: openat2 says %lld, the walk %lld\n", path.c_str(),
                   i ? "stat" : "open", follow ? ", follow" : "", (long long)got[0][i],
                   (long long)got[1][i]);
      if (std::system(("ls -lR " + c.tree.box.string() + " >&2").c_str()) != 0) std::abort();
      std::abort();
    }
}

// One operation of the guest.
void operate(const Checker& c, Choices& in) {
  host::OpenOptions options;
  const std::string path = in.path();
  const unsigned what = in.byte() % 10;
  options.follow = in.byte() % 2;
  switch (what) {
    case 0:
      (void)c.box->create_directory(path);
      break;
    case 1:
      (void)c.box->symlink(in.target(c.tree), path);
      break;
    case 2:
      (void)c.box->rename(path, *c.box, in.path());
      break;
    case 3:
      (void)c.box->link(path, options.follow, *c.box, in.path());
      break;
    case 4:
      (void)(in.byte() % 2 ? c.box->unlink(path) : c.box->remove_directory(path));
      break;
    case 5:
      options.write = options.create = true;
      options.truncate = in.byte() % 2;
      options.exclusive = in.byte() % 4 == 0;
      (void)c.open(path, options);
      break;
    case 6:
      (void)c.box->set_times_at(path, options.follow, {host::NewTime::Kind::Now, {}},
                                {host::NewTime::Kind::Now, {}});
      break;
    case 7:
      (void)c.stat(path, options.follow);
      break;
    default:
      options.read = true;
      options.directory = in.byte() % 4 == 0;
      (void)c.open(path, options);
  }
}

// Somebody else in the folder: exchanges and moves names, and makes links to the outside.
void disturb(const Tree& tree, const std::atomic<bool>& stop, unsigned seed) {
  std::minstd_rand random(seed);
  std::string bytes(32, '\0');
  while (!stop) {
    for (char& b : bytes) b = char(random());
    Choices in{reinterpret_cast<const uint8_t*>(bytes.data()),
               reinterpret_cast<const uint8_t*>(bytes.data()) + bytes.size()};
    const std::string a = tree.box / in.name(), b = tree.box / in.name();
    switch (in.byte() % 6) {
      case 0:
        (void)symlink(in.target(tree).c_str(), b.c_str());
        break;
      case 1:
        // (A link would lead it out of the folder.)
        if (const UniqueFd to(open((tree.box / "a").c_str(), O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            to)
          (void)renameat(AT_FDCWD, a.c_str(), to.get(), in.name().c_str());
        break;
      case 2:
        (void)mkdir(a.c_str(), 0777);
        break;
      default:
#ifdef RENAME_EXCHANGE
        (void)renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
#endif
        break;
    }
  }
}

}  // namespace

std::vector<std::string> make_seeds() {
  std::vector<std::string> out;
  std::minstd_rand random(7);
  for (int i = 0; i < 40; ++i) {
    std::string s;
    for (int n = 0; n < 200; ++n) s += char(random() >> 8);
    out.push_back(s);
  }
  return out;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  static Tree tree;
  tree.renew();
  auto box = host::open_directory(tree.box, false);
  if (!box) std::abort();
  const Checker c{tree, *std::move(box)};
  Choices in{data + 2, data + size};
  // A tree to begin with, which is none of the guest's making.
  for (int n = 0; n < 8; ++n) {
    const fs::path at = n < 5 ? tree.box / in.name() : tree.box / "a" / in.name();
    std::error_code ignored;
    if (n >= 5 && !fs::is_directory(fs::symlink_status(tree.box / "a", ignored))) break;
    switch (in.byte() % 3) {
      case 0:
        (void)mkdir(at.c_str(), 0777);
        break;
      case 1:
        (void)symlink(in.target(tree).c_str(), at.c_str());
        break;
      default:
        if (!fs::exists(fs::symlink_status(at, ignored))) std::ofstream(at) << "inside";
    }
  }
  if (data[0] % 4 != 0) {
    while (!in.done()) {
      operate(c, in);
      const std::string path = in.path();
      compare(c, path, in.byte() % 2);
    }
  } else {
    host::set_resolver(data[1] % 2 ? host::Resolver::Walk : host::Resolver::Auto);
    std::atomic<bool> stop{false};
    std::thread other([&] { disturb(tree, stop, data[1]); });
    for (int n = 0; n < 4; ++n)
      for (Choices again = in; !again.done();) operate(c, again);
    stop = true;
    other.join();
    host::set_resolver(host::Resolver::Auto);
  }
  if (!tree.clean()) {
    std::fprintf(stderr, "the outside has changed\n");
    std::abort();
  }
  return 0;
}
