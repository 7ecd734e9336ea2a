// Files and directories as capabilities: what is opened is all that can be reached, and
// directories give access to what lies below them and to nothing else.
//
// The classes are abstract: fs.cc has those of the operating system, memory_fs.h some that are
// held in memory, and an embedder may bring others.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/descriptor.h"
#include "host/status.h"

namespace wafer::host {

enum class FileType : uint8_t {
  Unknown,
  BlockDevice,
  CharacterDevice,
  Directory,
  Fifo,
  SymbolicLink,
  RegularFile,
  StreamSocket,
  DatagramSocket,
};

struct Time {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
};

struct Stat {
  uint64_t device = 0, inode = 0, links = 0, size = 0;
  FileType type = FileType::Unknown;
  Time accessed, modified, changed;
};

// What to make of a time of a file.
struct NewTime {
  enum class Kind : uint8_t { Keep, Now, Set };
  Kind kind = Kind::Keep;
  Time time;
};

enum class Advice : uint8_t { Normal, Sequential, Random, WillNeed, DontNeed, NoReuse };
enum class SeekFrom : uint8_t { Begin, Current, End };

// How a file is open.
struct FileFlags {
  bool append = false;     // writes go to the end
  bool nonblock = false;   // EAGAIN instead of waiting
  bool sync = false;       // writes reach the disk before they return
  bool data_sync = false;  // the same for data alone
};

struct OpenOptions {
  bool read = false, write = false;
  bool create = false, exclusive = false, truncate = false;
  bool directory = false;  // ENOTDIR for anything else
  bool follow = false;     // a symbolic link in last position
  FileFlags flags;
};

using Buffers = std::span<const iovec>;

class File;
class Directory;
using FileRef = std::shared_ptr<File>;
using DirectoryRef = std::shared_ptr<Directory>;

// Anything that is open. All functions may be called by several threads at once. Those that
// reach the system may fail with EINTR.
class Node {
 public:
  virtual ~Node() = default;
  virtual Outcome<Stat> stat() const = 0;
  virtual Status set_times(const NewTime&, const NewTime&) { return Status(EINVAL); }
  virtual Status sync(bool /*data_only*/) { return {}; }
  // A descriptor of the system that stands for it, to wait for; -1 if there is none.
  virtual int fd() const { return -1; }
  virtual FileFlags flags() const { return {}; }
  // Changes `append` and `nonblock`.
  virtual Status set_flags(const FileFlags&) { return {}; }
  // Reached through a grant that does not allow changes.
  bool read_only() const { return read_only_; }

 protected:
  bool read_only_ = false;
};

// What is read and written: a file, a pipe, a terminal, a socket.
class File : public Node {
 public:
  virtual FileType type() const { return FileType::Unknown; }
  // Whether there are positions to read and write at.
  virtual bool seekable() const { return false; }
  // Whether reading or writing may have to wait for somebody else.
  virtual bool may_block() const { return false; }
  virtual bool is_terminal() const { return false; }

  // At the file's own position, which moves; the number of bytes moved, 0 at the end.
  virtual Outcome<size_t> read(Buffers) { return Status(EBADF); }
  virtual Outcome<size_t> write(Buffers) { return Status(EBADF); }
  virtual Outcome<size_t> read_at(Buffers, uint64_t) { return Status(ESPIPE); }
  virtual Outcome<size_t> write_at(Buffers, uint64_t) { return Status(ESPIPE); }
  // At the end, wherever that is by then.
  virtual Outcome<size_t> append(Buffers) { return Status(ESPIPE); }
  virtual Outcome<uint64_t> seek(int64_t, SeekFrom) { return Status(ESPIPE); }
  virtual Status set_size(uint64_t) { return Status(EINVAL); }
  virtual Status allocate(uint64_t /*offset*/, uint64_t /*length*/) { return Status(ESPIPE); }
  virtual Status advise(uint64_t /*offset*/, uint64_t /*length*/, Advice) { return Status(ESPIPE); }
  // How much can be read without waiting, as far as is known: 0 at the end.
  virtual uint64_t readable() const { return 1; }
};

struct DirectoryEntry {
  std::string_view name;  // never "." or ".."
  uint64_t inode = 0;
  FileType type = FileType::Unknown;
};

// Either of them.
struct Opened {
  FileRef file;
  DirectoryRef directory;
};

// Paths are relative and resolved below the directory: leaving it, by ".." or through a link,
// is EPERM, as is any change through a grant for reading. Links in last position are followed
// where `follow` says so.
class Directory : public Node {
 public:
  virtual Status list(const std::function<void(const DirectoryEntry&)>& take) const = 0;
  virtual Outcome<Opened> open(std::string_view path, const OpenOptions& options) = 0;
  virtual Outcome<Stat> stat_at(std::string_view path, bool follow) const = 0;
  virtual Status set_times_at(std::string_view path, bool follow, const NewTime& accessed,
                              const NewTime& modified) = 0;
  virtual Status create_directory(std::string_view path) = 0;
  virtual Status remove_directory(std::string_view path) = 0;
  virtual Status unlink(std::string_view path) = 0;
  // EXDEV if `to` is of another file system.
  virtual Status rename(std::string_view path, Directory& to, std::string_view new_path) = 0;
  virtual Status link(std::string_view path, bool follow, Directory& to,
                      std::string_view new_path) = 0;
  // EPERM for a target that is an absolute path.
  virtual Status symlink(std::string_view target, std::string_view path) = 0;
  virtual Outcome<std::string> read_link(std::string_view path) const = 0;
};

// The type of what has this st_mode; sockets count as streams.
FileType file_type(unsigned mode);

// A directory of the host, by its path.
Outcome<DirectoryRef> open_directory(const std::string& path, bool read_only);
// Wraps an open descriptor of anything but a directory. `known` is what fstat(2) says of it,
// if it was asked already. Sockets give a Socket (sockets.h).
FileRef wrap_file(UniqueFd fd, bool read_only = false, const struct stat* known = nullptr);

}  // namespace wafer::host
