#include "shim/tls.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <string>

#include "base/descriptor.h"
#include "host/http/tls_engine.h"

namespace wafer::shim {

namespace {

// The library, and its folder as a mount of its own: nothing leads out of that.
struct Library {
  UniqueFd folder;
  std::string name;
};
Library& library() {
  static Library one;
  return one;
}

}  // namespace

void prepare_tls() {
  const std::string file = host::tls_library();
  if (file.empty()) return;
  const size_t slash = file.rfind('/') + 1;
  library().name = file.substr(slash);
  library().folder = take_opened(
      open_tree(AT_FDCWD, file.substr(0, slash).c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  // Where that cannot be, all containers have it from here.
  if (!library().folder) (void)host::load_tls_engine();
}

void load_tls() {
  if (!library().folder) return;
  // The loader knows files by paths only.
  const UniqueFd before = take_opened(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (before && fchdir(library().folder.get()) == 0) {
    (void)host::load_tls_engine("./" + library().name);
    (void)!fchdir(before.get());
  }
  forget_tls();
}

void forget_tls() { library().folder.reset(); }

}  // namespace wafer::shim
