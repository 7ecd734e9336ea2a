// Descriptors of the operating system; only where there is one.
//
// Numbers 0 to 2 belong to whoever started the process, also while they are closed: a
// program may read its input from a number that happens to be a file of ours, or write its
// output there. So nothing that the library opens keeps such a number.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

namespace wafer {

// Owns a descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& o) noexcept : fd_(o.release()) {}
  UniqueFd& operator=(UniqueFd&& o) noexcept {
    if (this != &o) reset(o.release());
    return *this;
  }
  ~UniqueFd() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  // Leaves errno alone.
  void reset(int fd = -1) {
    if (fd_ >= 0) {
      const int error = errno;
      close(fd_);
      errno = error;
    }
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

// A descriptor of our own for the file of `fd`, or none with errno set.
inline UniqueFd duplicate(int fd) { return UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, 3)); }

// Takes over what a call has just opened (or -1), under a number above the standard ones.
inline UniqueFd take_opened(int fd) {
  UniqueFd own(fd);
  return fd < 0 || fd > 2 ? static_cast<UniqueFd&&>(own) : duplicate(fd);
}

// Is `fd` open, and for more than to name a file?
inline bool is_usable(int fd) {
  const int flags = fcntl(fd, F_GETFL);
#if defined(O_PATH)
  return flags >= 0 && !(flags & O_PATH);
#else
  return flags >= 0;
#endif
}

// May a file of ours grow to `size`? Beyond the limit of the process a write, or ftruncate,
// would raise SIGXFSZ.
inline bool file_size_allowed(uint64_t size) {
  rlimit limit;
  return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
         size <= limit.rlim_cur;
}

// For a program, before it opens anything: gives those of the standard descriptors that are
// closed something to stand for, with which reading and writing still fail with EBADF.
inline void secure_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
#if defined(O_PATH)
    constexpr int kFlags = O_PATH | O_CLOEXEC;
#else
    const int kFlags = (fd == 0 ? O_WRONLY : O_RDONLY) | O_CLOEXEC;
#endif
    // The lowest free number: `fd` itself.
    if (open("/dev/null", kFlags) < 0) (void)open("/", kFlags);
  }
}

}  // namespace wafer
