// What a P1Context holds: the descriptor table and the guest's surroundings.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "wasi/p1.h"
#include "wasi/p1_fs.h"
#include "wasi/p1_types.h"

namespace wafer::wasi {

// One listing of a directory. A cookie is the index of the entry after, so it
// stays good while files come and go.
struct Listing {
  struct Entry {
    uint64_t inode;
    uint32_t name_offset, name_length;  // in `names`
    Filetype type;
  };
  std::vector<Entry> entries;
  std::string names;
  bool valid = false;
};

// What a guest descriptor stands for. What is reached through it is its own handle, never
// a number of the host that somebody else may close and open again.
//
// What a descriptor may do follows from its kind, from how it was opened and from what was
// granted above it; `base` and `inheriting` say so. A guest need not ask for rights, but may
// give some up (fd_fdstat_set_rights).
struct Descriptor {
  enum class Kind : uint8_t {
    File,       // a host descriptor that is read and written
    Directory,  // a host directory that paths are resolved below
    Input,      // bytes or a callback of the embedder
    Output,     // a callback of the embedder, or nowhere
    Closed,     // keeps the number of a standard descriptor that the host has closed
  };
  Kind kind = Kind::File;
  Filetype type = Filetype::kUnknown;
  UniqueFd handle;  // of File and Directory
  int fd() const { return handle.get(); }
  bool is_stdio = false;   // shared with other processes: leave its flags alone
  bool may_block = false;  // reads and writes can wait for somebody else
  bool is_pipe = false;
  bool read_only = false;  // below a read-only preopen
  bool is_preopen = false;
  std::string preopen_name;

  std::atomic<Rights> base{0};
  std::atomic<Rights> inheriting{0};
  std::atomic<bool> nonblock{false};  // asked for by the guest, on stdio

  std::mutex mutex;  // of what follows
  Listing listing;
  std::string bytes;  // Input
  size_t bytes_at = 0;
  std::function<int64_t(uint8_t*, size_t)> read;
  std::function<bool(const uint8_t*, size_t)> write;  // none: discard
};
using DescriptorRef = std::shared_ptr<Descriptor>;

// Guest numbers to descriptors. Thread-safe.
class DescriptorTable {
 public:
  // Enters `d` under the lowest free number; kMfile when full.
  Errno insert(DescriptorRef d, uint32_t& number);
  // Null for what is not open, a closed standard descriptor too.
  DescriptorRef get(uint32_t number);
  // Takes `number` out; kBadf if it is not open. The handle is closed once nobody uses it
  // any more. The number of a closed standard descriptor can be given again after this.
  Errno remove(uint32_t number);
  // Moves `from` over `to`, which must be open too, or a closed standard descriptor.
  Errno renumber(uint32_t from, uint32_t to);

 private:
  static constexpr size_t kMaxDescriptors = 1u << 20;
  std::mutex mutex_;
  std::vector<DescriptorRef> slots_;
  size_t lowest_free_ = 0;  // no free slot below
};

// Wraps a handle of the host, giving it the rights that its type allows out of `allowed`.
// `known` is what fstat(2) says of it, if it was asked already.
DescriptorRef wrap_handle(UniqueFd handle, Rights allowed, const struct stat* known = nullptr);

struct P1Context::Impl {
  P1Config config;
  std::vector<std::string> args;
  std::vector<std::string> env;  // "name=value"
  DescriptorTable table;
  std::vector<std::string> listener_addresses;
  std::atomic<bool> exited{false};
  std::atomic<int32_t> exit_code{0};
  // Hint: which export of the calling module is "memory".
  std::atomic<uint32_t> memory_export{0};
  std::mutex random_mutex;
  uint64_t random_state = 0;
};

}  // namespace wafer::wasi
