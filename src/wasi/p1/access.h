// Finding descriptors and moving bytes: what functions on descriptors share.
#pragma once

#include <limits.h>
#include <sys/uio.h>

#include <algorithm>

#include "host/poll.h"
#include "wasi/p1/call.h"

namespace wafer::wasi {

#define WASI_TRY(expr)                                      \
  do {                                                      \
    const Errno wasi_errno_ = (expr);                       \
    if (wasi_errno_ != Errno::kSuccess) return wasi_errno_; \
  } while (0)

// `WASI_LET(x, expr)` declares x as the value of the host's outcome `expr`.
#define WASI_LET(name, expr)                                         \
  auto WAFER_CONCAT(wasi_outcome_, __LINE__) = (expr);               \
  if (!WAFER_CONCAT(wasi_outcome_, __LINE__).ok())                   \
    return errno_of(WAFER_CONCAT(wasi_outcome_, __LINE__).status()); \
  auto&& name = *std::move(WAFER_CONCAT(wasi_outcome_, __LINE__))

// Does `d` have all of `needed`? Not being open for reading or writing has its own error.
Errno check_rights(const Descriptor& d, Rights needed);
inline bool has_rights(const Descriptor& d, Rights needed) {
  return check_rights(d, needed) == Errno::kSuccess;
}

// The descriptor `fd`, whatever it is, with all of `needed`.
Errno get_any(Call& c, uint32_t fd, Rights needed, DescriptorRef& d);
// The descriptor `fd` for reading, writing and seeking: not a directory.
Errno get_file(Call& c, uint32_t fd, Rights needed, DescriptorRef& d);
// The same for what needs an offset.
Errno get_seekable(Call& c, uint32_t fd, Rights needed, DescriptorRef& d);
Errno get_dir(Call& c, uint32_t fd, Rights needed, DescriptorRef& d);
// The same for what changes the directory.
Errno get_writable_dir(Call& c, uint32_t fd, Rights needed, DescriptorRef& d);
Errno get_socket(Call& c, uint32_t fd, Rights needed, DescriptorRef& d);

// A scatter/gather list over guest memory. Empty buffers are left out, so that
// a cut at kMax never looks like the end of a file.
struct IoVector {
  static constexpr int kMax = 64;
  iovec items[kMax];
  int count = 0;
  size_t total = 0;

  Errno read(const Call& c, uint32_t list, uint32_t length) {
    if (!c.in_bounds(list, uint64_t(length) * kIovecSize)) return Errno::kFault;
    for (uint32_t i = 0; i < length; ++i) {
      const uint64_t at = uint64_t(list) + uint64_t(i) * kIovecSize;
      const uint32_t buffer = c.load<uint32_t>(at), size = c.load<uint32_t>(at + 4);
      if (!c.in_bounds(buffer, size)) return Errno::kFault;
      if (size == 0) continue;
      if (count == kMax) break;
      // What the host moves in one call fits the 32-bit result.
      const size_t room = size_t(INT_MAX) - total;
      items[count].iov_base = c.at(buffer);
      items[count++].iov_len = std::min(size_t(size), room);
      total += std::min(size_t(size), room);
      if (total == size_t(INT_MAX)) break;
    }
    return Errno::kSuccess;
  }

  host::Buffers buffers() const { return {items, size_t(count)}; }

  void truncate(size_t limit) {
    if (total <= limit) return;
    total = limit;
    for (int i = 0; i < count; ++i) {
      if (items[i].iov_len >= limit) {
        items[i].iov_len = limit;
        count = i + 1;
        return;
      }
      limit -= items[i].iov_len;
    }
  }
};

// Runs `io`, which gives an Outcome<size_t>, on a file: waits where an interrupt must be able
// to end the wait.
template <class Io>
Errno transfer(Call& c, Descriptor& d, bool write, uint32_t result, Io io) {
  const bool nonblock = d.nonblock.load(std::memory_order_relaxed);
  const int fd = d.file->fd();
  const bool may_wait = d.file->may_block() && fd >= 0;
  if (may_wait) {
    if (nonblock && d.is_stdio) {
      // The flags of an inherited descriptor are shared with other processes, so
      // non-blocking mode is ours alone.
      host::Interest interest{fd, write};
      const host::Outcome<size_t> ready = host::wait_ready({&interest, 1}, 0);
      if (ready && *ready == 0) return Errno::kAgain;
    } else if (!nonblock && c.interruptible()) {
      if (!c.wait_ready(fd, write)) return Errno::kIntr;
    }
  }
  for (;;) {
    const host::Outcome<size_t> n = io();
    if (n) {
      c.store<uint32_t>(result, uint32_t(*n));
      return Errno::kSuccess;
    }
    if (n.code() == EINTR) {
      if (c.interrupted()) return Errno::kIntr;
      continue;
    }
    if (n.code() == EAGAIN && !nonblock && may_wait) {
      // Somebody else made the inherited descriptor non-blocking.
      if (!c.wait_ready(fd, write)) return Errno::kIntr;
      continue;
    }
    return errno_of(n.status());
  }
}

}  // namespace wafer::wasi
