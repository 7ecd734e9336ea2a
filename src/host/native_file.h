// Files of the operating system.
#pragma once

#include <sys/stat.h>

#include "host/fs.h"

namespace wafer::host {

// Behind a descriptor of anything but a directory.
class NativeFile : public File {
 public:
  NativeFile(UniqueFd fd, FileType type, bool may_block, bool read_only)
      : fd_(std::move(fd)), type_(type), may_block_(may_block) {
    read_only_ = read_only;
  }

  int fd() const override { return fd_.get(); }
  FileType type() const override { return type_; }
  bool seekable() const override;
  bool may_block() const override { return may_block_; }
  bool is_terminal() const override;

  Outcome<Stat> stat() const override;
  Status set_times(const NewTime& accessed, const NewTime& modified) override;
  Status sync(bool data_only) override;
  FileFlags flags() const override;
  Status set_flags(const FileFlags& flags) override;

  Outcome<size_t> read(Buffers to) override;
  Outcome<size_t> write(Buffers from) override;
  Outcome<size_t> read_at(Buffers to, uint64_t offset) override;
  Outcome<size_t> write_at(Buffers from, uint64_t offset) override;
  Outcome<size_t> append(Buffers from) override;
  Outcome<uint64_t> seek(int64_t offset, SeekFrom from) override;
  Status set_size(uint64_t size) override;
  Status allocate(uint64_t offset, uint64_t length) override;
  Status advise(uint64_t offset, uint64_t length, Advice advice) override;
  uint64_t readable() const override;

 private:
  UniqueFd fd_;
  FileType type_;
  bool may_block_;
};

// ---- Pieces that directories use as well

Stat stat_of(const struct stat& st);
// For utimensat(2) and futimens(2).
void host_times(const NewTime& accessed, const NewTime& modified, timespec (&times)[2]);
Status sync_fd(int fd, bool data_only);
FileFlags flags_of(int fd);
Status set_flags_of(int fd, const FileFlags& flags);
Status check_offset(uint64_t offset);

}  // namespace wafer::host
