// A file or directory as WASI 0.2 and 0.3 know it: what may be done with it, in errors of the
// host.
#pragma once

#include <string>

#include "host/fs.h"
#include "host/streams.h"

namespace wafer::wasi {

class OpenDescriptor {
 public:
  // WIT: "descriptor-flags", without what is about synchronization.
  struct Flags {
    bool read = false, write = false, mutate_directory = false;
    bool operator==(const Flags&) const = default;
  };

  // A granted directory.
  explicit OpenDescriptor(host::DirectoryRef d)
      : flags{true, false, !d->read_only()}, directory(std::move(d)) {}
  OpenDescriptor(host::Opened opened, Flags f)
      : flags(f), file(std::move(opened.file)), directory(std::move(opened.directory)) {}

  host::Node& node() const {
    return file ? static_cast<host::Node&>(*file) : static_cast<host::Node&>(*directory);
  }
  host::FileType type() const { return directory ? host::FileType::Directory : file->type(); }

  // EISDIR or EBADF where that cannot be done with it.
  host::Outcome<host::InputStreamRef> read_from(uint64_t offset) const;
  host::Outcome<host::OutputStreamRef> write_to(uint64_t offset) const;
  host::Outcome<host::OutputStreamRef> append() const;
  host::Outcome<host::File*> readable() const { return as_file(flags.read); }
  host::Outcome<host::File*> writable() const { return as_file(flags.write); }
  host::Status advise(uint64_t offset, uint64_t length, host::Advice advice) const;
  host::Status set_size(uint64_t size) const;
  host::Status set_times(const host::NewTime& accessed, const host::NewTime& modified) const;

  // ENOTDIR for what is no directory, EROFS where nothing may be changed.
  host::Outcome<host::Directory*> listable() const;
  host::Outcome<host::Directory*> changeable() const;
  host::Status link(const std::string& path, bool follow, const OpenDescriptor& to,
                    const std::string& new_path) const;
  host::Status rename(const std::string& path, const OpenDescriptor& to,
                      const std::string& new_path) const;
  // The target, as UTF-8: EPERM for one that is an absolute path, EILSEQ.
  host::Outcome<std::string> read_link(const std::string& path) const;

  struct Open {
    bool follow, create, directory, exclusive, truncate;
    Flags flags;
    bool sync, data_sync;
  };
  host::Outcome<OpenDescriptor> open(const std::string& path, const Open& how) const;

  bool is_same(const OpenDescriptor& other) const;

  // As they were asked for. Whether a directory may be changed is for the grant alone to say:
  // what WASI 0.1 became opens directories without `mutate-directory`.
  const Flags flags;
  const host::FileRef file;
  const host::DirectoryRef directory;

 private:
  host::Outcome<host::File*> as_file(bool permitted) const;
};

// The same two numbers for the same object, and others else (WIT: "metadata-hash-value").
struct ObjectHash {
  uint64_t lower, upper;
};
ObjectHash hash_of(const host::Stat& stat);

// EINVAL for what is no time.
host::Outcome<host::NewTime> new_time(int64_t seconds, uint32_t nanoseconds);

// The failure of a status or outcome, by failed() of whoever uses it.
#define FILE_TRY(expr)                                   \
  do {                                                   \
    const host::Status file_status_ = (expr);            \
    if (!file_status_.ok()) return failed(file_status_); \
  } while (0)
#define FILE_LET(name, expr)                                       \
  auto WAFER_CONCAT(file_outcome_, __LINE__) = (expr);             \
  if (!WAFER_CONCAT(file_outcome_, __LINE__).ok())                 \
    return failed(WAFER_CONCAT(file_outcome_, __LINE__).status()); \
  auto&& name = *std::move(WAFER_CONCAT(file_outcome_, __LINE__))

}  // namespace wafer::wasi
