#include "host/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <vector>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

#ifndef O_PATH
#define O_PATH O_RDONLY
#endif

namespace wafer::host {

namespace {

// Opens a directory only to name things in it.
constexpr int kParentFlags = O_PATH | O_DIRECTORY | O_CLOEXEC;

std::atomic<Resolver> g_resolver{Resolver::Auto};

#if defined(__linux__) && defined(SYS_openat2)

// As in <linux/openat2.h>, which older kernel headers lack.
struct OpenHow {
  uint64_t flags, mode, resolve;
};
constexpr uint64_t kResolveNoMagiclinks = 0x02, kResolveBeneath = 0x08;

int openat2(int dir, const char* path, int flags, unsigned mode) {
  OpenHow how = {uint64_t(flags), (flags & O_CREAT) ? mode : 0u,
                 kResolveBeneath | kResolveNoMagiclinks};
  return int(syscall(SYS_openat2, dir, path, &how, sizeof(how)));
}

bool have_openat2() {
  if (g_resolver.load(std::memory_order_relaxed) == Resolver::Walk) return false;
  static const bool have = [] {
    const int fd = openat2(AT_FDCWD, ".", O_PATH | O_CLOEXEC, 0);
    if (fd < 0) return false;
    close(fd);
    return true;
  }();
  return have;
}

#else

int openat2(int, const char*, int, unsigned) {
  errno = ENOSYS;
  return -1;
}
bool have_openat2() { return false; }

#endif

// Calls openat2; EAGAIN if it raced with renames too often to answer.
Status open_with_openat2(int root, const char* path, int flags, unsigned mode, UniqueFd& out) {
  for (int attempt = 0; attempt < 32; ++attempt) {
    out = take_opened(openat2(root, path, flags, mode));
    if (out) return Status();
    // The kernel could not tell whether ".." stayed beneath: it asks to retry.
    if (errno == EAGAIN || errno == EINTR) continue;
    // RESOLVE_BENEATH reports an attempt to leave this way.
    if (errno == EXDEV) return Status(EPERM);
    return Status::last();
  }
  return Status(EAGAIN);
}

Status read_link(int dir, const char* name, std::string& target) {
  char buffer[kMaxPath];
  const ssize_t n = readlinkat(dir, name, buffer, sizeof(buffer));
  if (n < 0) return Status::last();
  if (size_t(n) >= sizeof(buffer)) return Status(ENAMETOOLONG);
  target.assign(buffer, size_t(n));
  return Status();
}

std::string_view strip_slashes(std::string_view path) {
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  return path;
}

// The walk. Holds a descriptor of every directory between the root and the
// present one, so that ".." means the directory that was passed on the way in,
// whatever is renamed meanwhile.
Status walk(int root, std::string_view path, Follow follow, Place& place) {
  place.root = root;
  place.must_be_dir = path.back() == '/';
  std::vector<UniqueFd> stack;
  Components pending;
  push_components(path, pending);
  int links = 0;
  const auto top = [&] { return stack.empty() ? root : stack.back().get(); };
  for (;;) {
    if (pending.empty()) {  // ended on ".", ".." or at the root
      place.name = ".";
      break;
    }
    std::string name = std::move(pending.back());
    pending.pop_back();
    if (name == ".") continue;
    if (name == "..") {
      if (stack.empty()) return Status(EPERM);
      stack.pop_back();
      continue;
    }
    if (name.size() > kMaxName) return Status(ENAMETOOLONG);
    bool is_link = false;
    std::string target;
    if (pending.empty()) {
      if (!expands(follow, place.must_be_dir)) {
        place.name = std::move(name);
        break;
      }
      const Status e = read_link(top(), name.c_str(), target);
      if (e != Status()) {  // not a link, or nothing there
        place.name = std::move(name);
        break;
      }
      is_link = true;
    } else {
      UniqueFd next = take_opened(openat(top(), name.c_str(), kParentFlags | O_NOFOLLOW));
      if (next) {
        stack.push_back(std::move(next));
        continue;
      }
      const int error = errno;
      if (error != ENOTDIR && error != ELOOP && error != EMLINK) return Status(error);
      if (read_link(top(), name.c_str(), target) != Status()) return Status(ENOTDIR);
      is_link = true;
    }
    if (is_link) {
      if (++links > kMaxLinks) return Status(ELOOP);
      if (target.empty()) return Status(ENOENT);
      if (target.front() == '/') return Status(EPERM);
      if (pending.empty() && target.back() == '/') place.must_be_dir = true;
      push_components(target, pending);
    }
  }
  if (!stack.empty()) place.opened = std::move(stack.back());
  return Status();
}

}  // namespace

Status check_path(std::string_view path) {
  if (path.empty()) return Status(ENOENT);
  if (path.size() >= kMaxPath) return Status(ENAMETOOLONG);
  if (path.front() == '/') return Status(EPERM);
  if (path.find('\0') != std::string_view::npos) return Status(EINVAL);
  return Status();
}

bool expands(Follow follow, bool slash) {
  return follow == Follow::Always || (follow == Follow::IfSlash && slash);
}

void push_components(std::string_view path, Components& pending) {
  size_t end = path.size();
  while (end > 0) {
    const size_t slash = path.rfind('/', end - 1);
    const size_t begin = slash == std::string_view::npos ? 0 : slash + 1;
    if (begin < end) pending.emplace_back(path.substr(begin, end - begin));
    if (slash == std::string_view::npos) break;
    end = slash;
  }
}

void set_resolver(Resolver resolver) { g_resolver.store(resolver, std::memory_order_relaxed); }

Status resolve(int root, std::string_view path, Follow follow, Place& place) {
  const Status bad = check_path(path);
  if (bad != Status()) return bad;
  if (!have_openat2()) return walk(root, path, follow, place);

  std::string current(path);
  bool must_be_dir = false;
  for (int links = 0;; ++links) {
    must_be_dir |= current.back() == '/';
    const std::string_view stripped = strip_slashes(current);
    const size_t slash = stripped.rfind('/');
    std::string name(slash == std::string_view::npos ? stripped : stripped.substr(slash + 1));
    std::string dir;
    if (name == "." || name == "..") {
      dir = current;  // the directory itself
      name = ".";
    } else if (slash != std::string_view::npos) {
      dir = std::string(stripped.substr(0, slash + 1));
    }
    place.opened.reset();
    place.root = root;
    if (!dir.empty()) {
      const Status e = open_with_openat2(root, dir.c_str(), kParentFlags, 0, place.opened);
      if (e == Status(EAGAIN)) return walk(root, path, follow, place);
      if (e != Status()) return e;
    }
    place.name = std::move(name);
    place.must_be_dir = must_be_dir;
    if (place.name.size() > kMaxName) return Status(ENAMETOOLONG);
    if (!expands(follow, must_be_dir) || place.name == ".") return Status();
    std::string target;
    if (read_link(place.parent(), place.name.c_str(), target) != Status())
      return Status();  // not a link, or nothing there: for the caller to find
    if (links >= kMaxLinks) return Status(ELOOP);
    if (target.empty()) return Status(ENOENT);
    if (target.front() == '/') return Status(EPERM);
    current = dir + target;
    if (current.size() >= kMaxPath) return Status(ENAMETOOLONG);
  }
}

Status open_beneath(int root, std::string_view path, int flags, unsigned mode, bool follow,
                    UniqueFd& out) {
  const Status bad = check_path(path);
  if (bad != Status()) return bad;
  flags |= O_CLOEXEC | O_NOCTTY;
  if (have_openat2()) {
    const std::string text(path);
    const Status e =
        open_with_openat2(root, text.c_str(), flags | (follow ? 0 : O_NOFOLLOW), mode, out);
    if (e != Status(EAGAIN)) return e;
  }
  // A link may appear between the walk and the open, which then refuses it.
  for (int attempt = 0; attempt < 32; ++attempt) {
    Place place;
    // O_EXCL never follows a link in last position.
    const bool expand = follow && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
    const Status e = walk(root, path, expand ? Follow::Always : Follow::IfSlash, place);
    if (e != Status()) return e;
    int open_flags = flags | O_NOFOLLOW;
    if (place.must_be_dir) {
      if (flags & O_CREAT) return Status(EISDIR);
      open_flags |= O_DIRECTORY;
    }
    out = take_opened(openat(place.parent(), place.name.c_str(), open_flags, mode));
    if (out) return Status();
    if (errno == EINTR || (expand && errno == ELOOP)) continue;
    return Status::last();
  }
  return Status(ELOOP);
}

}  // namespace wafer::host
