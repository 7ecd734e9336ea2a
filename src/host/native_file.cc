#include "host/native_file.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "host/sockets.h"

namespace wafer::host {

FileType file_type(unsigned mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return FileType::RegularFile;
    case S_IFDIR:
      return FileType::Directory;
    case S_IFLNK:
      return FileType::SymbolicLink;
    case S_IFCHR:
      return FileType::CharacterDevice;
    case S_IFBLK:
      return FileType::BlockDevice;
    case S_IFIFO:
      return FileType::Fifo;
    case S_IFSOCK:
      return FileType::StreamSocket;
    default:
      return FileType::Unknown;
  }
}

namespace {

Time time_of(const timespec& t) { return {int64_t(t.tv_sec), uint32_t(t.tv_nsec)}; }

Outcome<size_t> moved(ssize_t n) {
  if (n < 0) return Status::last();
  return size_t(n);
}

}  // namespace

Stat stat_of(const struct stat& st) {
  Stat s;
  s.device = uint64_t(st.st_dev);
  s.inode = uint64_t(st.st_ino);
  s.links = uint64_t(st.st_nlink);
  s.size = uint64_t(st.st_size);
  s.type = file_type(st.st_mode);
#if defined(__APPLE__)
  s.accessed = time_of(st.st_atimespec);
  s.modified = time_of(st.st_mtimespec);
  s.changed = time_of(st.st_ctimespec);
#else
  s.accessed = time_of(st.st_atim);
  s.modified = time_of(st.st_mtim);
  s.changed = time_of(st.st_ctim);
#endif
  return s;
}

void host_times(const NewTime& accessed, const NewTime& modified, timespec (&times)[2]) {
  const auto set = [](const NewTime& from, timespec& to) {
    to.tv_sec = 0;
    to.tv_nsec = from.kind == NewTime::Kind::Now ? UTIME_NOW : UTIME_OMIT;
    if (from.kind != NewTime::Kind::Set) return;
    to.tv_sec = time_t(from.time.seconds);
    to.tv_nsec = long(from.time.nanoseconds);
  };
  set(accessed, times[0]);
  set(modified, times[1]);
}

Status sync_fd(int fd, bool data_only) {
#if defined(__APPLE__)
  return Status::of(fsync(fd));
#else
  return Status::of(data_only ? fdatasync(fd) : fsync(fd));
#endif
}

FileFlags flags_of(int fd) {
  FileFlags flags;
  const int host = fcntl(fd, F_GETFL);
  if (host < 0) return flags;
  flags.append = host & O_APPEND;
  flags.nonblock = host & O_NONBLOCK;
  flags.sync = (host & O_SYNC) == O_SYNC;
#if defined(O_DSYNC)
  flags.data_sync = !flags.sync && (host & O_DSYNC) == O_DSYNC;
#endif
  return flags;
}

Status set_flags_of(int fd, const FileFlags& flags) {
  const int host = fcntl(fd, F_GETFL);
  if (host < 0) return Status::last();
  int wanted = host & ~(O_APPEND | O_NONBLOCK);
  if (flags.append) wanted |= O_APPEND;
  if (flags.nonblock) wanted |= O_NONBLOCK;
  return wanted == host ? Status() : Status::of(fcntl(fd, F_SETFL, wanted));
}

Status check_offset(uint64_t offset) { return offset > INT64_MAX ? Status(EINVAL) : Status(); }

// ---- NativeFile ---------------------------------------------------------------

bool NativeFile::seekable() const {
  return type_ != FileType::Fifo && type_ != FileType::StreamSocket &&
         type_ != FileType::DatagramSocket;
}

bool NativeFile::is_terminal() const {
  return type_ == FileType::CharacterDevice && isatty(fd_.get());
}

Outcome<Stat> NativeFile::stat() const {
  struct stat st;
  if (fstat(fd(), &st) != 0) return Status::last();
  Stat s = stat_of(st);
  s.type = type_;
  return s;
}

Status NativeFile::set_times(const NewTime& accessed, const NewTime& modified) {
  if (read_only_) return Status(EPERM);
  timespec times[2];
  host_times(accessed, modified, times);
  return Status::of(futimens(fd(), times));
}

Status NativeFile::sync(bool data_only) { return sync_fd(fd(), data_only); }
FileFlags NativeFile::flags() const { return flags_of(fd()); }
Status NativeFile::set_flags(const FileFlags& flags) { return set_flags_of(fd(), flags); }

Outcome<size_t> NativeFile::read(Buffers to) {
  return moved(to.size() == 1 ? ::read(fd(), to[0].iov_base, to[0].iov_len)
                              : readv(fd(), to.data(), int(to.size())));
}

Outcome<size_t> NativeFile::write(Buffers from) {
  return moved(from.size() == 1 ? ::write(fd(), from[0].iov_base, from[0].iov_len)
                                : writev(fd(), from.data(), int(from.size())));
}

Outcome<size_t> NativeFile::read_at(Buffers to, uint64_t offset) {
  HOST_TRY(check_offset(offset));
  return moved(preadv(fd(), to.data(), int(to.size()), off_t(offset)));
}

Outcome<size_t> NativeFile::write_at(Buffers from, uint64_t offset) {
  HOST_TRY(check_offset(offset));
  return moved(pwritev(fd(), from.data(), int(from.size()), off_t(offset)));
}

Outcome<size_t> NativeFile::append(Buffers from) {
#if defined(RWF_APPEND)
  const ssize_t n = pwritev2(fd(), from.data(), int(from.size()), 0, RWF_APPEND);
  if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS)) return moved(n);
#endif
  const off_t end = lseek(fd(), 0, SEEK_END);
  if (end < 0) return Status::last();
  return write_at(from, uint64_t(end));
}

Outcome<uint64_t> NativeFile::seek(int64_t offset, SeekFrom from) {
  const int how = from == SeekFrom::Begin     ? SEEK_SET
                  : from == SeekFrom::Current ? SEEK_CUR
                                              : SEEK_END;
  const off_t at = lseek(fd(), off_t(offset), how);
  if (at < 0) return Status::last();
  return uint64_t(at);
}

Status NativeFile::set_size(uint64_t size) {
  if (read_only_) return Status(EPERM);
  if (size > INT64_MAX) return Status(EFBIG);
  return Status::of(ftruncate(fd(), off_t(size)));
}

Status NativeFile::allocate(uint64_t offset, uint64_t length) {
  if (read_only_) return Status(EPERM);
  if (offset > INT64_MAX || length > INT64_MAX - offset) return Status(EFBIG);
#if defined(__linux__)
  return Status::of(fallocate(fd(), 0, off_t(offset), off_t(length)));
#else
  return Status(ENOTSUP);
#endif
}

Status NativeFile::advise(uint64_t offset, uint64_t length, Advice advice) {
  if (offset > INT64_MAX || length > INT64_MAX) return Status(EINVAL);
#if defined(POSIX_FADV_NORMAL)
  static constexpr int kAdvice[] = {POSIX_FADV_NORMAL,   POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
                                    POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED,   POSIX_FADV_NOREUSE};
  return Status(posix_fadvise(fd(), off_t(offset), off_t(length), kAdvice[size_t(advice)]));
#else
  return {};
#endif
}

uint64_t NativeFile::readable() const {
  if (type_ == FileType::RegularFile) {
    struct stat st;
    const off_t at = lseek(fd(), 0, SEEK_CUR);
    return fstat(fd(), &st) == 0 && at >= 0 && st.st_size > at ? uint64_t(st.st_size - at) : 0;
  }
  int available = 0;
  return ioctl(fd(), FIONREAD, &available) == 0 && available >= 0 ? uint64_t(available) : 1;
}

FileRef wrap_file(UniqueFd fd, bool read_only, const struct stat* known) {
  struct stat st = {};
  if (known)
    st = *known;
  else if (fstat(fd.get(), &st) != 0)
    st.st_mode = 0;
  const FileType type = file_type(st.st_mode);
  switch (type) {
    case FileType::StreamSocket:
      return wrap_socket(std::move(fd));
    case FileType::RegularFile:
    case FileType::BlockDevice:
    case FileType::Directory:
      return std::make_shared<NativeFile>(std::move(fd), type, false, read_only);
    default:
      return std::make_shared<NativeFile>(std::move(fd), type, true, read_only);
  }
}

}  // namespace wafer::host
