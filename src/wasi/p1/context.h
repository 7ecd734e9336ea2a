// What a P1Context holds: the descriptor table and the guest's surroundings.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "wasi/p1/p1.h"
#include "wasi/p1/types.h"

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

// What a guest descriptor stands for: a file or a directory; neither for the number of a
// standard descriptor that the host has closed. What is reached through it is its own handle,
// never a number of the host that somebody else may close and open again.
//
// What a descriptor may do follows from its kind, from how it was opened and from what was
// granted above it; `base` and `inheriting` say so. A guest need not ask for rights, but may
// give some up (fd_fdstat_set_rights).
struct Descriptor {
  host::FileRef file;
  host::DirectoryRef directory;
  Filetype type = Filetype::kUnknown;
  bool is_stdio = false;  // shared with other processes: leave its flags alone
  bool is_preopen = false;
  std::string preopen_name;

  std::atomic<Rights> base{0};
  std::atomic<Rights> inheriting{0};
  std::atomic<bool> nonblock{false};  // asked for by the guest, on stdio

  std::mutex mutex;  // of what follows
  Listing listing;

  bool closed() const { return !file && !directory; }
  host::Node& node() const {
    return file ? static_cast<host::Node&>(*file) : static_cast<host::Node&>(*directory);
  }
  bool is_pipe() const { return file && file->type() == host::FileType::Fifo; }
  bool is_socket() const {
    return type == Filetype::kSocketStream || type == Filetype::kSocketDgram;
  }
  // Null if it is none, or none of the system's.
  host::Socket* socket() const { return dynamic_cast<host::Socket*>(file.get()); }
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

// A descriptor for `file`, with the rights that its type allows out of `allowed`.
DescriptorRef make_descriptor(host::FileRef file, Rights allowed);

struct P1Context::Impl {
  host::Process process;
  std::vector<std::string> env;  // "name=value"
  DescriptorTable table;
  std::atomic<bool> exited{false};
  std::atomic<int32_t> exit_code{0};
  // Hint: which export of the calling module is "memory".
  std::atomic<uint32_t> memory_export{0};
};

}  // namespace wafer::wasi
