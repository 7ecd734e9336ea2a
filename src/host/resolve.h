// Path resolution that cannot leave a directory: the one place where paths of guests are
// resolved.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"
#include "host/status.h"

namespace wafer::host {

// Where an operation takes place: `name` in directory `parent()`. `name` is one
// plain component, or "." for the directory itself; it is never "..".
struct Place {
  int root = -1;    // borrowed
  UniqueFd opened;  // the parent, if it is not the root
  std::string name;
  // The path ended in a slash: the object must be a directory.
  bool must_be_dir = false;
  int parent() const { return opened ? opened.get() : root; }
};

// How paths are resolved: through openat2(2) where the kernel has it, or by a
// walk component by component that expands symbolic links itself.
enum class Resolver : uint8_t { Auto, Walk };
void set_resolver(Resolver resolver);  // for tests

// Whether a symbolic link in last position is expanded. A lookup must use
// IfSlash at least, since "link/" means the directory; what makes or removes
// names uses Never.
enum class Follow : uint8_t { Never, IfSlash, Always };

// How many links are expanded on the way of one path: what Linux itself allows.
inline constexpr int kMaxLinks = 40;
// A path, and what a link leads to, is shorter than this.
inline constexpr size_t kMaxPath = 4096;
inline constexpr size_t kMaxName = 255;

// Whether `path` may be resolved at all: it is not empty (ENOENT), nor too long (ENAMETOOLONG), nor
// absolute (EPERM), and has no NUL (EINVAL).
Status check_path(std::string_view path);

// Components still to be walked, the next one last; those of `path` come before all others.
using Components = std::vector<std::string>;
void push_components(std::string_view path, Components& pending);

// Whether a link in last position is expanded; `slash`: the path ends in one.
bool expands(Follow follow, bool slash);

// Finds the place that `path` names below the open directory `root`. Every
// intermediate link is expanded; leaving `root` by "..", an absolute path or a
// link gives EPERM. The last component need not exist.
Status resolve(int root, std::string_view path, Follow follow, Place& place);

// open(2) of `path` below `root`, never outside. `flags` are host flags without
// O_NOFOLLOW; `follow` says whether a link in last position is followed.
Status open_beneath(int root, std::string_view path, int flags, unsigned mode, bool follow,
                    UniqueFd& out);

}  // namespace wafer::host
