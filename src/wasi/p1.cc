// The functions of WASI 0.1, in the order of the witx, and their registration.
#include "wasi/p1.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "wasi/p1_call.h"

#if defined(__linux__)
#include <sys/random.h>
#endif

namespace wafer::wasi {

using runtime::CallContext;
using runtime::Slot;
using runtime::TrapCode;

// ---- Calls ------------------------------------------------------------------

bool Call::bind_memory() {
  if (const runtime::Instance* const instance = context.caller) {
    const auto& exports = instance->module->exports;
    const auto is_memory = [&](size_t i) {
      return i < exports.size() && exports[i].kind == wasm::ExternKind::Memory &&
             exports[i].name == "memory";
    };
    // The hint is checked against the caller, so it may be of another module.
    size_t i = p1.memory_export.load(std::memory_order_relaxed);
    if (!is_memory(i)) {
      for (i = 0; i < exports.size() && !is_memory(i);) ++i;
      if (i < exports.size()) p1.memory_export.store(uint32_t(i), std::memory_order_relaxed);
    }
    if (i < exports.size()) {
      const runtime::Memory* const memory = instance->memories[exports[i].index];
      base_ = memory->base;
      // Pointers have 32 bits; the part of a larger memory above is out of reach.
      size_ = std::min(memory->size_bytes(), uint64_t(1) << 32);
      return true;
    }
  }
  trap = context.store.set_trap(TrapCode::HostError,
                                "WASI needs the caller to export a memory named \"memory\"");
  return false;
}

namespace {

bool is_utf8(const std::string& s) {
  const auto* p = reinterpret_cast<const uint8_t*>(s.data());
  const uint8_t* const end = p + s.size();
  while (p < end) {
    const uint8_t b = *p++;
    if (b < 0x80) continue;
    unsigned more;
    uint32_t code, least;
    if ((b & 0xE0) == 0xC0) {
      more = 1, code = b & 0x1F, least = 0x80;
    } else if ((b & 0xF0) == 0xE0) {
      more = 2, code = b & 0x0F, least = 0x800;
    } else if ((b & 0xF8) == 0xF0) {
      more = 3, code = b & 0x07, least = 0x10000;
    } else {
      return false;
    }
    for (; more; --more) {
      if (p == end || (*p & 0xC0) != 0x80) return false;
      code = code << 6 | (*p++ & 0x3F);
    }
    if (code < least || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
  }
  return true;
}

}  // namespace

Errno Call::path(uint32_t address, uint32_t length, std::string& out) const {
  if (!in_bounds(address, length)) return Errno::kFault;
  if (length >= PATH_MAX) return Errno::kNameTooLong;
  out.assign(reinterpret_cast<const char*>(at(address)), length);
  if (out.find('\0') != std::string::npos) return Errno::kInval;
  if (!is_utf8(out)) return Errno::kIlseq;
  return Errno::kSuccess;
}

bool Call::interrupted() {
  if (context.store.interrupt_flag.load(std::memory_order_relaxed) == 0) return false;
  trap = context.store.set_trap(TrapCode::Interrupted);
  return true;
}

bool Call::wait_ready(int fd, short events) {
  pollfd p = {fd, events, 0};
  for (;;) {
    const int n = poll(&p, 1, interruptible() ? kWaitSliceMs : -1);
    if (interrupted()) return false;
    if (n > 0 || (n < 0 && errno != EINTR)) return true;
  }
}

bool clock_now(const P1Context::Impl& p1, uint32_t id, uint64_t& time) {
  static constexpr clockid_t kClocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID,
                                          CLOCK_THREAD_CPUTIME_ID};
  if (id >= std::size(kClocks)) return false;
  if (p1.config.clock) {
    time = p1.config.clock(id);
    return true;
  }
  timespec t;
  if (clock_gettime(kClocks[id], &t) != 0) return false;
  time = uint64_t(t.tv_sec) * 1'000'000'000 + uint64_t(t.tv_nsec);
  return true;
}

namespace {

// ---- Helpers ----------------------------------------------------------------

#define WASI_TRY(expr)                                      \
  do {                                                      \
    const Errno wasi_errno_ = (expr);                       \
    if (wasi_errno_ != Errno::kSuccess) return wasi_errno_; \
  } while (0)

Errno host_result(int result) { return result < 0 ? errno_of(errno) : Errno::kSuccess; }

// Does `d` have all of `needed`? Not being open for reading or writing has its own error.
Errno check_rights(const Descriptor& d, Rights needed) {
  const Rights missing = needed & ~d.base.load(std::memory_order_relaxed);
  if (missing & (rights::kFdRead | rights::kWrites)) return Errno::kBadf;
  return missing ? Errno::kNotCapable : Errno::kSuccess;
}
bool has_rights(const Descriptor& d, Rights needed) {
  return check_rights(d, needed) == Errno::kSuccess;
}

// The descriptor `fd`, whatever it is, with all of `needed`.
Errno get_any(Call& c, uint32_t fd, Rights needed, DescriptorRef& d) {
  d = c.p1.table.get(fd);
  return d ? check_rights(*d, needed) : Errno::kBadf;
}

// The descriptor `fd` for reading, writing and seeking: not a directory.
Errno get_file(Call& c, uint32_t fd, Rights needed, DescriptorRef& d) {
  d = c.p1.table.get(fd);
  if (!d) return Errno::kBadf;
  if (d->kind == Descriptor::Kind::Directory)
    return needed & rights::kFdRead ? Errno::kIsDir : Errno::kBadf;
  return check_rights(*d, needed);
}

// The same for what needs an offset, which only host files have.
Errno get_seekable(Call& c, uint32_t fd, Rights needed, DescriptorRef& d) {
  WASI_TRY(get_file(c, fd, 0, d));
  if (d->kind != Descriptor::Kind::File || d->is_pipe || d->type == Filetype::kSocketStream ||
      d->type == Filetype::kSocketDgram)
    return Errno::kSpipe;
  return check_rights(*d, needed);
}

Errno get_dir(Call& c, uint32_t fd, Rights needed, DescriptorRef& d) {
  d = c.p1.table.get(fd);
  if (!d) return Errno::kBadf;
  if (d->kind != Descriptor::Kind::Directory) return Errno::kNotDir;
  return check_rights(*d, needed);
}

// The same for what changes the directory.
Errno get_writable_dir(Call& c, uint32_t fd, Rights needed, DescriptorRef& d) {
  WASI_TRY(get_dir(c, fd, 0, d));
  return d->read_only ? Errno::kPerm : check_rights(*d, needed);
}

Errno get_socket(Call& c, uint32_t fd, Rights needed, DescriptorRef& d) {
  d = c.p1.table.get(fd);
  if (!d) return Errno::kBadf;
  if (d->kind != Descriptor::Kind::File ||
      (d->type != Filetype::kSocketStream && d->type != Filetype::kSocketDgram))
    return Errno::kNotSock;
  return check_rights(*d, needed);
}

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

// Runs `io`, which gives a byte count or -1 with errno, on a host file: waits
// where an interrupt must be able to end the wait.
template <class Io>
Errno transfer(Call& c, Descriptor& d, short events, uint32_t result, Io io) {
  const bool nonblock = d.nonblock.load(std::memory_order_relaxed);
  if (d.may_block) {
    if (nonblock && d.is_stdio) {
      // The flags of an inherited descriptor are shared with other processes, so
      // non-blocking mode is ours alone.
      pollfd p = {d.fd(), events, 0};
      if (poll(&p, 1, 0) == 0) return Errno::kAgain;
    } else if (!nonblock && c.interruptible()) {
      if (!c.wait_ready(d.fd(), events)) return Errno::kIntr;
    }
  }
  for (;;) {
    const ssize_t n = io();
    if (n >= 0) {
      c.store<uint32_t>(result, uint32_t(n));
      return Errno::kSuccess;
    }
    if (errno == EINTR) {
      if (c.interrupted()) return Errno::kIntr;
      continue;
    }
    if (errno == EAGAIN && !nonblock && d.may_block) {
      // Somebody else made the inherited descriptor non-blocking.
      if (!c.wait_ready(d.fd(), events)) return Errno::kIntr;
      continue;
    }
    return errno_of(errno);
  }
}

Errno read_virtual(Call& c, Descriptor& d, const IoVector& v, uint32_t result) {
  const std::lock_guard lock(d.mutex);
  size_t done = 0;
  for (int i = 0; i < v.count; ++i) {
    auto* const to = static_cast<uint8_t*>(v.items[i].iov_base);
    size_t n;
    if (d.read) {
      const int64_t got = d.read(to, v.items[i].iov_len);
      if (got < 0) {
        if (done) break;
        return Errno::kIo;
      }
      n = std::min(size_t(got), v.items[i].iov_len);
    } else {
      n = std::min(v.items[i].iov_len, d.bytes.size() - d.bytes_at);
      std::memcpy(to, d.bytes.data() + d.bytes_at, n);
      d.bytes_at += n;
    }
    done += n;
    if (n < v.items[i].iov_len) break;
  }
  c.store<uint32_t>(result, uint32_t(done));
  return Errno::kSuccess;
}

Errno write_virtual(Call& c, Descriptor& d, const IoVector& v, uint32_t result) {
  const std::lock_guard lock(d.mutex);
  if (d.write)
    for (int i = 0; i < v.count; ++i)
      if (!d.write(static_cast<const uint8_t*>(v.items[i].iov_base), v.items[i].iov_len))
        return Errno::kIo;
  c.store<uint32_t>(result, uint32_t(v.total));
  return Errno::kSuccess;
}

uint64_t nanoseconds(const timespec& t) {
  return uint64_t(t.tv_sec) * 1'000'000'000 + uint64_t(t.tv_nsec);
}

struct Filestat {
  uint64_t dev = 0, ino = 0, nlink = 0, size = 0, atim = 0, mtim = 0, ctim = 0;
  Filetype type = Filetype::kUnknown;

  Filestat() = default;
  explicit Filestat(const struct stat& st)
      : dev(uint64_t(st.st_dev)),
        ino(uint64_t(st.st_ino)),
        nlink(uint64_t(st.st_nlink)),
        size(uint64_t(st.st_size)),
#if defined(__APPLE__)
        atim(nanoseconds(st.st_atimespec)),
        mtim(nanoseconds(st.st_mtimespec)),
        ctim(nanoseconds(st.st_ctimespec)),
#else
        atim(nanoseconds(st.st_atim)),
        mtim(nanoseconds(st.st_mtim)),
        ctim(nanoseconds(st.st_ctim)),
#endif
        type(filetype_of(st.st_mode)) {
  }

  static uint32_t record_size(bool preview0) { return preview0 ? 56 : 64; }

  // Preview 0 has a 32-bit link count.
  void write(const Call& c, uint32_t address, bool preview0) const {
    c.zero(address, record_size(preview0));
    uint64_t at = address;
    c.store<uint64_t>(at, dev);
    c.store<uint64_t>(at + 8, ino);
    c.store<uint8_t>(at + 16, uint8_t(type));
    if (preview0) {
      c.store<uint32_t>(at + 20, uint32_t(nlink));
      at += 24;
    } else {
      c.store<uint64_t>(at + 24, nlink);
      at += 32;
    }
    c.store<uint64_t>(at, size);
    c.store<uint64_t>(at + 8, atim);
    c.store<uint64_t>(at + 16, mtim);
    c.store<uint64_t>(at + 24, ctim);
  }
};

// The times to set, from a timestamp pair and fstflags.
Errno make_times(uint64_t atim, uint64_t mtim, uint32_t flags, timespec (&times)[2]) {
  if (flags & ~uint32_t(fstflags::kAll)) return Errno::kInval;
  const auto set = [](timespec& t, uint64_t time, bool explicitly, bool now) {
    if (explicitly && now) return false;
    t.tv_sec = explicitly ? time_t(time / 1'000'000'000) : 0;
    t.tv_nsec = explicitly ? long(time % 1'000'000'000) : now ? UTIME_NOW : UTIME_OMIT;
    return true;
  };
  const bool ok = set(times[0], atim, flags & fstflags::kAtim, flags & fstflags::kAtimNow) &&
                  set(times[1], mtim, flags & fstflags::kMtim, flags & fstflags::kMtimNow);
  return ok ? Errno::kSuccess : Errno::kInval;
}

// Looks up what is at `place`, never following a link there.
Errno stat_place(const Place& place, struct stat& st) {
  if (fstatat(place.parent(), place.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
    return errno_of(errno);
  if (place.must_be_dir && !S_ISDIR(st.st_mode)) return Errno::kNotDir;
  return Errno::kSuccess;
}

// A name that ends in a slash can only be given to a directory.
Errno refuse_slash(const Place& place) {
  if (!place.must_be_dir) return Errno::kSuccess;
  struct stat st;
  if (fstatat(place.parent(), place.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
    return errno_of(errno);
  return S_ISDIR(st.st_mode) ? Errno::kExist : Errno::kNotDir;
}

Errno string_sizes(Call& c, const std::vector<std::string>& strings, uint32_t count_at,
                   uint32_t size_at) {
  if (!c.in_bounds(count_at, 4) || !c.in_bounds(size_at, 4)) return Errno::kFault;
  uint64_t size = 0;
  for (const std::string& s : strings) size += s.size() + 1;
  if (size > UINT32_MAX) return Errno::kOverflow;
  c.store<uint32_t>(count_at, uint32_t(strings.size()));
  c.store<uint32_t>(size_at, uint32_t(size));
  return Errno::kSuccess;
}

Errno string_list(Call& c, const std::vector<std::string>& strings, uint32_t pointers,
                  uint32_t buffer) {
  uint64_t size = 0;
  for (const std::string& s : strings) size += s.size() + 1;
  if (!c.in_bounds(pointers, uint64_t(strings.size()) * 4) || !c.in_bounds(buffer, size))
    return Errno::kFault;
  for (const std::string& s : strings) {
    c.store<uint32_t>(pointers, buffer);
    std::memcpy(c.at(buffer), s.c_str(), s.size() + 1);
    pointers += 4;
    buffer += uint32_t(s.size()) + 1;
  }
  return Errno::kSuccess;
}

// ---- Arguments, environment, clocks -----------------------------------------

Errno args_get(Call& c, uint32_t argv, uint32_t buffer) {
  return string_list(c, c.p1.args, argv, buffer);
}
Errno args_sizes_get(Call& c, uint32_t count, uint32_t size) {
  return string_sizes(c, c.p1.args, count, size);
}
Errno environ_get(Call& c, uint32_t environ, uint32_t buffer) {
  return string_list(c, c.p1.env, environ, buffer);
}
Errno environ_sizes_get(Call& c, uint32_t count, uint32_t size) {
  return string_sizes(c, c.p1.env, count, size);
}

Errno clock_res_get(Call& c, uint32_t id, uint32_t result) {
  static constexpr clockid_t kClocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID,
                                          CLOCK_THREAD_CPUTIME_ID};
  if (!c.in_bounds(result, 8)) return Errno::kFault;
  timespec t;
  if (id >= std::size(kClocks)) return Errno::kInval;
  if (clock_getres(kClocks[id], &t) != 0) return errno_of(errno);
  c.store<uint64_t>(result, std::max<uint64_t>(1, nanoseconds(t)));
  return Errno::kSuccess;
}

Errno clock_time_get(Call& c, uint32_t id, uint64_t, uint32_t result) {
  if (!c.in_bounds(result, 8)) return Errno::kFault;
  uint64_t time;
  if (!clock_now(c.p1, id, time)) return Errno::kInval;
  c.store<uint64_t>(result, time);
  return Errno::kSuccess;
}

// ---- Descriptors ------------------------------------------------------------

Errno fd_advise(Call& c, uint32_t fd, uint64_t offset, uint64_t length, uint32_t advice) {
  DescriptorRef d;
  WASI_TRY(get_any(c, fd, 0, d));
  if (d->kind == Descriptor::Kind::Directory) return Errno::kBadf;
  if (d->kind != Descriptor::Kind::File || d->is_pipe) return Errno::kSpipe;
  if (!has_rights(*d, rights::kFdAdvise)) return Errno::kNotCapable;
  if (advice > 5 || offset > INT64_MAX || length > INT64_MAX) return Errno::kInval;
#if defined(POSIX_FADV_NORMAL)
  static constexpr int kAdvice[] = {POSIX_FADV_NORMAL,   POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
                                    POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED,   POSIX_FADV_NOREUSE};
  return errno_of(posix_fadvise(d->fd(), off_t(offset), off_t(length), kAdvice[advice]));
#else
  return Errno::kSuccess;
#endif
}

Errno fd_allocate(Call& c, uint32_t fd, uint64_t offset, uint64_t length) {
  DescriptorRef d;
  WASI_TRY(get_seekable(c, fd, 0, d));
  if (d->read_only) return Errno::kPerm;
  WASI_TRY(check_rights(*d, rights::kFdAllocate));
  if (length == 0) return Errno::kInval;
  if (offset > INT64_MAX || length > INT64_MAX - offset) return Errno::kFbig;
#if defined(__linux__)
  for (;;) {
    if (fallocate(d->fd(), 0, off_t(offset), off_t(length)) == 0) return Errno::kSuccess;
    if (errno != EINTR) return errno_of(errno);
    if (c.interrupted()) return Errno::kIntr;
  }
#else
  return Errno::kNotSup;
#endif
}

Errno fd_close(Call& c, uint32_t fd) { return c.p1.table.remove(fd); }

Errno sync(Call& c, uint32_t fd, Rights right, int (*how)(int)) {
  DescriptorRef d;
  WASI_TRY(get_any(c, fd, right, d));
  if (d->fd() < 0) return Errno::kSuccess;
  while (how(d->fd()) != 0) {
    if (errno != EINTR) return errno_of(errno);
    if (c.interrupted()) return Errno::kIntr;
  }
  return Errno::kSuccess;
}

Errno fd_datasync(Call& c, uint32_t fd) {
#if defined(__APPLE__)
  return sync(c, fd, rights::kFdDatasync, fsync);
#else
  return sync(c, fd, rights::kFdDatasync, fdatasync);
#endif
}

uint16_t present_fdflags(const Descriptor& d) {
  uint16_t flags = 0;
  if (d.fd() >= 0) {
    const int host = fcntl(d.fd(), F_GETFL);
    if (host >= 0) {
      if (host & O_APPEND) flags |= fdflags::kAppend;
      if ((host & O_SYNC) == O_SYNC) flags |= fdflags::kSync;
#if defined(O_DSYNC)
      else if ((host & O_DSYNC) == O_DSYNC)
        flags |= fdflags::kDsync;
#endif
    }
  }
  if (d.nonblock.load(std::memory_order_relaxed)) flags |= fdflags::kNonblock;
  return flags;
}

Errno fd_fdstat_get(Call& c, uint32_t fd, uint32_t result) {
  if (!c.in_bounds(result, kFdstatSize)) return Errno::kFault;
  DescriptorRef d;
  WASI_TRY(get_any(c, fd, 0, d));
  c.zero(result, kFdstatSize);
  c.store<uint8_t>(result, uint8_t(d->type));
  c.store<uint16_t>(uint64_t(result) + 2, present_fdflags(*d));
  c.store<uint64_t>(uint64_t(result) + 8, d->base.load(std::memory_order_relaxed));
  c.store<uint64_t>(uint64_t(result) + 16, d->inheriting.load(std::memory_order_relaxed));
  return Errno::kSuccess;
}

Errno fd_fdstat_set_flags(Call& c, uint32_t fd, uint32_t flags) {
  DescriptorRef d;
  WASI_TRY(get_any(c, fd, rights::kFdFdstatSetFlags, d));
  if (flags & ~uint32_t(fdflags::kAll)) return Errno::kInval;
  // The host fixes synchronous modes when a file is opened.
  constexpr uint16_t kSyncs = fdflags::kDsync | fdflags::kRsync | fdflags::kSync;
  const uint16_t present = present_fdflags(*d);
  if ((flags & kSyncs) & ~present) return Errno::kNotSup;
  const bool nonblock = flags & fdflags::kNonblock;
  if (d->fd() >= 0 && !d->is_stdio) {
    const int host = fcntl(d->fd(), F_GETFL);
    if (host < 0) return errno_of(errno);
    int wanted = host & ~(O_APPEND | O_NONBLOCK);
    if (flags & fdflags::kAppend) wanted |= O_APPEND;
    if (nonblock) wanted |= O_NONBLOCK;
    if (wanted != host && fcntl(d->fd(), F_SETFL, wanted) != 0) return errno_of(errno);
  } else if ((flags ^ present) & fdflags::kAppend && d->type == Filetype::kRegularFile) {
    return Errno::kNotSup;  // standard streams belong to the host
  }
  d->nonblock.store(nonblock, std::memory_order_relaxed);
  return Errno::kSuccess;
}

Errno fd_fdstat_set_rights(Call& c, uint32_t fd, uint64_t base, uint64_t inheriting) {
  DescriptorRef d;
  WASI_TRY(get_any(c, fd, 0, d));
  const std::lock_guard lock(d->mutex);
  if ((base & ~d->base.load()) || (inheriting & ~d->inheriting.load())) return Errno::kNotCapable;
  d->base = base;
  d->inheriting = inheriting;
  return Errno::kSuccess;
}

template <bool kPreview0>
Errno fd_filestat_get(Call& c, uint32_t fd, uint32_t result) {
  if (!c.in_bounds(result, Filestat::record_size(kPreview0))) return Errno::kFault;
  DescriptorRef d;
  WASI_TRY(get_any(c, fd, rights::kFdFilestatGet, d));
  Filestat stat;
  if (d->fd() >= 0) {
    struct stat st;
    if (fstat(d->fd(), &st) != 0) return errno_of(errno);
    stat = Filestat(st);
  }
  stat.type = d->type;
  stat.write(c, result, kPreview0);
  return Errno::kSuccess;
}

Errno fd_filestat_set_size(Call& c, uint32_t fd, uint64_t size) {
  DescriptorRef d;
  WASI_TRY(get_any(c, fd, 0, d));
  if (d->kind == Descriptor::Kind::Directory) return Errno::kBadf;
  if (d->read_only) return Errno::kPerm;
  if (d->kind != Descriptor::Kind::File) return Errno::kInval;
  if (!has_rights(*d, rights::kFdFilestatSetSize))
    return has_rights(*d, rights::kFdWrite) ? Errno::kNotCapable : Errno::kInval;
  if (size > INT64_MAX) return Errno::kFbig;
  return host_result(ftruncate(d->fd(), off_t(size)));
}

Errno fd_filestat_set_times(Call& c, uint32_t fd, uint64_t atim, uint64_t mtim, uint32_t flags) {
  DescriptorRef d;
  WASI_TRY(get_any(c, fd, 0, d));
  if (d->read_only) return Errno::kPerm;
  WASI_TRY(check_rights(*d, rights::kFdFilestatSetTimes));
  timespec times[2];
  WASI_TRY(make_times(atim, mtim, flags, times));
  if (d->fd() < 0) return Errno::kInval;
  return host_result(futimens(d->fd(), times));
}

Errno fd_pread(Call& c, uint32_t fd, uint32_t list, uint32_t length, uint64_t offset,
               uint32_t result) {
  DescriptorRef d;
  WASI_TRY(get_seekable(c, fd, rights::kFdRead | rights::kFdSeek, d));
  IoVector v;
  WASI_TRY(v.read(c, list, length));
  if (!c.in_bounds(result, 4)) return Errno::kFault;
  if (offset > INT64_MAX) return Errno::kInval;
  return transfer(c, *d, POLLIN, result,
                  [&] { return preadv(d->fd(), v.items, v.count, off_t(offset)); });
}

Errno fd_prestat_get(Call& c, uint32_t fd, uint32_t result) {
  if (!c.in_bounds(result, kPrestatSize)) return Errno::kFault;
  const DescriptorRef d = c.p1.table.get(fd);
  if (!d || !d->is_preopen) return Errno::kBadf;
  c.zero(result, kPrestatSize);
  c.store<uint32_t>(uint64_t(result) + 4, uint32_t(d->preopen_name.size()));
  return Errno::kSuccess;
}

Errno fd_prestat_dir_name(Call& c, uint32_t fd, uint32_t path, uint32_t length) {
  const DescriptorRef d = c.p1.table.get(fd);
  if (!d || !d->is_preopen) return Errno::kBadf;
  if (length < d->preopen_name.size()) return Errno::kNameTooLong;
  if (!c.in_bounds(path, d->preopen_name.size())) return Errno::kFault;
  std::memcpy(c.at(path), d->preopen_name.data(), d->preopen_name.size());
  return Errno::kSuccess;
}

Errno fd_pwrite(Call& c, uint32_t fd, uint32_t list, uint32_t length, uint64_t offset,
                uint32_t result) {
  DescriptorRef d;
  WASI_TRY(get_seekable(c, fd, rights::kFdWrite | rights::kFdSeek, d));
  IoVector v;
  WASI_TRY(v.read(c, list, length));
  if (!c.in_bounds(result, 4)) return Errno::kFault;
  if (offset > INT64_MAX) return Errno::kInval;
  return transfer(c, *d, POLLOUT, result,
                  [&] { return pwritev(d->fd(), v.items, v.count, off_t(offset)); });
}

Errno fd_read(Call& c, uint32_t fd, uint32_t list, uint32_t length, uint32_t result) {
  DescriptorRef d;
  WASI_TRY(get_file(c, fd, rights::kFdRead, d));
  IoVector v;
  WASI_TRY(v.read(c, list, length));
  if (!c.in_bounds(result, 4)) return Errno::kFault;
  if (d->kind == Descriptor::Kind::Input) return read_virtual(c, *d, v, result);
  if (v.total == 0) {  // must not wait, nor can it tell anything
    c.store<uint32_t>(result, 0);
    return Errno::kSuccess;
  }
  return transfer(c, *d, POLLIN, result, [&] { return readv(d->fd(), v.items, v.count); });
}

// Lists a whole directory, "." and ".." first.
Errno list_directory(Descriptor& d, Listing& listing) {
  listing.entries.clear();
  listing.names.clear();
  const auto add = [&](std::string_view name, uint64_t inode, Filetype type) {
    listing.entries.push_back({inode, uint32_t(listing.names.size()), uint32_t(name.size()), type});
    listing.names += name;
  };
  struct stat self;
  if (fstat(d.fd(), &self) != 0) return errno_of(errno);
  add(".", uint64_t(self.st_ino), Filetype::kDirectory);
  // What is above a directory is not for every guest to know.
  add("..", uint64_t(self.st_ino), Filetype::kDirectory);

  UniqueFd again = take_opened(openat(d.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!again) return errno_of(errno);
  const int fd = again.get();
  DIR* const dir = fdopendir(fd);
  if (!dir) return errno_of(errno);
  (void)again.release();  // closedir closes it
  for (;;) {
    errno = 0;
    const dirent* const entry = readdir(dir);
    if (!entry) break;
    const std::string_view name(entry->d_name);
    if (name == "." || name == "..") continue;
    Filetype type = Filetype::kUnknown;
    if (entry->d_type != DT_UNKNOWN) {
      type = filetype_of(unsigned(DTTOIF(entry->d_type)));
    } else {
      struct stat st;
      if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) type = filetype_of(st.st_mode);
      errno = 0;
    }
    if (listing.names.size() + name.size() > UINT32_MAX) break;
    add(name, uint64_t(entry->d_ino), type);
  }
  const int error = errno;
  closedir(dir);
  if (error != 0) return errno_of(error);
  listing.valid = true;
  return Errno::kSuccess;
}

Errno fd_readdir(Call& c, uint32_t fd, uint32_t buffer, uint32_t length, uint64_t cookie,
                 uint32_t result) {
  DescriptorRef d;
  WASI_TRY(get_dir(c, fd, rights::kFdReaddir, d));
  if (!c.in_bounds(buffer, length) || !c.in_bounds(result, 4)) return Errno::kFault;
  const std::lock_guard lock(d->mutex);
  Listing& listing = d->listing;
  if (cookie == 0 || !listing.valid) WASI_TRY(list_directory(*d, listing));

  uint32_t used = 0;
  for (uint64_t i = cookie; i < listing.entries.size() && used < length; ++i) {
    const Listing::Entry& entry = listing.entries[i];
    uint8_t header[kDirentSize] = {};
    store_le<uint64_t>(header, i + 1);
    store_le<uint64_t>(header + 8, entry.inode);
    store_le<uint32_t>(header + 16, entry.name_length);
    header[20] = uint8_t(entry.type);
    const auto put = [&](const void* data, uint32_t size) {
      const uint32_t n = std::min(size, length - used);
      std::memcpy(c.at(buffer + used), data, n);
      used += n;
    };
    put(header, kDirentSize);
    put(listing.names.data() + entry.name_offset, entry.name_length);
  }
  c.store<uint32_t>(result, used);
  return Errno::kSuccess;
}

Errno fd_renumber(Call& c, uint32_t from, uint32_t to) { return c.p1.table.renumber(from, to); }

Errno seek(Call& c, uint32_t fd, int64_t offset, Whence whence, uint32_t result) {
  if (!c.in_bounds(result, 8)) return Errno::kFault;
  DescriptorRef d;
  // Asking for the position is telling it.
  const bool tells = offset == 0 && whence == Whence::kCur;
  WASI_TRY(get_seekable(c, fd, 0, d));
  if (!has_rights(*d, rights::kFdSeek) && !(tells && has_rights(*d, rights::kFdTell)))
    return d->may_block ? Errno::kSpipe : Errno::kNotCapable;
  const int how = whence == Whence::kSet ? SEEK_SET : whence == Whence::kCur ? SEEK_CUR : SEEK_END;
  const off_t at = lseek(d->fd(), off_t(offset), how);
  if (at < 0) return errno_of(errno);
  c.store<uint64_t>(result, uint64_t(at));
  return Errno::kSuccess;
}

template <bool kPreview0>
Errno fd_seek(Call& c, uint32_t fd, int64_t offset, uint32_t whence, uint32_t result) {
  static constexpr Whence kOrder0[] = {Whence::kCur, Whence::kEnd, Whence::kSet};
  if (whence > 2) return Errno::kInval;
  return seek(c, fd, offset, kPreview0 ? kOrder0[whence] : Whence(whence), result);
}

Errno fd_sync(Call& c, uint32_t fd) { return sync(c, fd, rights::kFdSync, fsync); }

Errno fd_tell(Call& c, uint32_t fd, uint32_t result) {
  return seek(c, fd, 0, Whence::kCur, result);
}

Errno fd_write(Call& c, uint32_t fd, uint32_t list, uint32_t length, uint32_t result) {
  DescriptorRef d;
  WASI_TRY(get_file(c, fd, rights::kFdWrite, d));
  IoVector v;
  WASI_TRY(v.read(c, list, length));
  if (!c.in_bounds(result, 4)) return Errno::kFault;
  if (d->kind == Descriptor::Kind::Output) return write_virtual(c, *d, v, result);
  // A ready pipe takes this much at once; more could wait out of our reach.
  if (d->is_pipe && c.interruptible()) v.truncate(PIPE_BUF);
  return transfer(c, *d, POLLOUT, result, [&] {
    return v.count == 1 ? write(d->fd(), v.items[0].iov_base, v.items[0].iov_len)
                        : writev(d->fd(), v.items, v.count);
  });
}

// ---- Paths ------------------------------------------------------------------

Errno path_create_directory(Call& c, uint32_t fd, uint32_t path, uint32_t length) {
  DescriptorRef d;
  std::string name;
  WASI_TRY(get_writable_dir(c, fd, rights::kPathCreateDirectory, d));
  WASI_TRY(c.path(path, length, name));
  Place place;
  WASI_TRY(resolve(d->fd(), name, Follow::Never, place));
  return host_result(mkdirat(place.parent(), place.name.c_str(), 0777));
}

Follow lookup_follow(uint32_t flags) {
  return flags & kLookupSymlinkFollow ? Follow::Always : Follow::IfSlash;
}

template <bool kPreview0>
Errno path_filestat_get(Call& c, uint32_t fd, uint32_t flags, uint32_t path, uint32_t length,
                        uint32_t result) {
  DescriptorRef d;
  std::string name;
  WASI_TRY(get_dir(c, fd, rights::kPathFilestatGet, d));
  WASI_TRY(c.path(path, length, name));
  if (!c.in_bounds(result, Filestat::record_size(kPreview0))) return Errno::kFault;
  if (flags & ~kLookupSymlinkFollow) return Errno::kInval;
  Place place;
  WASI_TRY(resolve(d->fd(), name, lookup_follow(flags), place));
  struct stat st;
  WASI_TRY(stat_place(place, st));
  Filestat(st).write(c, result, kPreview0);
  return Errno::kSuccess;
}

Errno path_filestat_set_times(Call& c, uint32_t fd, uint32_t flags, uint32_t path, uint32_t length,
                              uint64_t atim, uint64_t mtim, uint32_t fst_flags) {
  DescriptorRef d;
  std::string name;
  WASI_TRY(get_writable_dir(c, fd, rights::kPathFilestatSetTimes, d));
  WASI_TRY(c.path(path, length, name));
  if (flags & ~kLookupSymlinkFollow) return Errno::kInval;
  timespec times[2];
  WASI_TRY(make_times(atim, mtim, fst_flags, times));
  Place place;
  WASI_TRY(resolve(d->fd(), name, lookup_follow(flags), place));
  if (place.must_be_dir) {
    struct stat st;
    WASI_TRY(stat_place(place, st));
  }
  return host_result(utimensat(place.parent(), place.name.c_str(), times, AT_SYMLINK_NOFOLLOW));
}

Errno path_link(Call& c, uint32_t old_fd, uint32_t old_flags, uint32_t old_path,
                uint32_t old_length, uint32_t new_fd, uint32_t new_path, uint32_t new_length) {
  DescriptorRef from, to;
  std::string old_name, new_name;
  // A link to a file of a read-only directory would open it to writing.
  WASI_TRY(get_writable_dir(c, old_fd, rights::kPathLinkSource, from));
  WASI_TRY(get_writable_dir(c, new_fd, rights::kPathLinkTarget, to));
  WASI_TRY(c.path(old_path, old_length, old_name));
  WASI_TRY(c.path(new_path, new_length, new_name));
  // The link is made to what the name says, as with link(2).
  if (old_flags != 0) return Errno::kInval;
  Place source, target;
  WASI_TRY(resolve(from->fd(), old_name, Follow::IfSlash, source));
  WASI_TRY(resolve(to->fd(), new_name, Follow::Never, target));
  if (source.must_be_dir) {
    struct stat st;
    WASI_TRY(stat_place(source, st));
  }
  WASI_TRY(refuse_slash(target));
  return host_result(
      linkat(source.parent(), source.name.c_str(), target.parent(), target.name.c_str(), 0));
}

bool names_pipe(int root, const std::string& path, uint32_t dirflags) {
  Place place;
  struct stat st;
  return resolve(root, path, lookup_follow(dirflags), place) == Errno::kSuccess &&
         stat_place(place, st) == Errno::kSuccess && S_ISFIFO(st.st_mode);
}

Errno path_open(Call& c, uint32_t fd, uint32_t dirflags, uint32_t path, uint32_t length,
                uint32_t oflags, uint64_t base, uint64_t, uint32_t fdflags, uint32_t result) {
  DescriptorRef d;
  std::string name;
  WASI_TRY(get_dir(c, fd, rights::kPathOpen, d));
  WASI_TRY(c.path(path, length, name));
  if (!c.in_bounds(result, 4)) return Errno::kFault;
  if ((dirflags & ~kLookupSymlinkFollow) || (oflags & ~uint32_t(oflags::kAll)) ||
      (fdflags & ~uint32_t(fdflags::kAll)))
    return Errno::kInval;
  const bool creates = oflags & oflags::kCreat, truncates = oflags & oflags::kTrunc,
             exclusive = oflags & oflags::kExcl;
  if ((oflags & oflags::kDirectory) && (creates || truncates || exclusive)) return Errno::kInval;

  // Of the rights that are asked for, reading and writing say how to open; without them
  // it is for reading, and what may be made or emptied also for writing. All others come
  // with what is opened, as far as this directory passes them on.
  const bool asks = base & (rights::kFdRead | rights::kFdWrite);
  bool reads = base & rights::kFdRead, writes = base & rights::kFdWrite;
  if (!asks) {
    reads = true;
    writes = creates || truncates;
  }
  if (d->read_only && (writes || creates || truncates)) return Errno::kPerm;
  Rights needed = 0;
  if (creates) needed |= rights::kPathCreateFile;
  if (truncates) needed |= rights::kPathFilestatSetSize;
  WASI_TRY(check_rights(*d, needed));
  const Rights passed_on = d->inheriting.load(std::memory_order_relaxed);
  if (base & (rights::kFdRead | rights::kFdWrite) & ~passed_on) return Errno::kNotCapable;
  const Rights granted = d->read_only ? passed_on & ~rights::kChanges : passed_on;
  reads = reads && (passed_on & rights::kFdRead);
  writes = writes && (passed_on & rights::kFdWrite);

  int flags = (writes || truncates) ? (reads ? O_RDWR : O_WRONLY) : O_RDONLY;
  if (creates) flags |= O_CREAT;
  if (exclusive) flags |= O_EXCL;
  if (truncates) flags |= O_TRUNC;
  if (oflags & oflags::kDirectory) flags |= O_DIRECTORY;
  if (fdflags & fdflags::kAppend) flags |= O_APPEND;
  if (fdflags & fdflags::kNonblock) flags |= O_NONBLOCK;
  if (fdflags & (fdflags::kSync | fdflags::kRsync)) flags |= O_SYNC;
#if defined(O_DSYNC)
  else if (fdflags & fdflags::kDsync)
    flags |= O_DSYNC;
#endif

  // Opening a pipe waits for the other end; an interrupt must be able to end that.
  const bool probe = c.interruptible() && !(flags & O_NONBLOCK);
  UniqueFd host;
  for (;;) {
    const Errno e = open_beneath(d->fd(), name, probe ? flags | O_NONBLOCK : flags, 0666,
                                 dirflags & kLookupSymlinkFollow, host);
    if (e == Errno::kSuccess) break;
    if (!probe || e != Errno::kNxio || !names_pipe(d->fd(), name, dirflags)) return e;
    const timespec pause = {0, kWaitSliceMs * 1'000'000L};
    nanosleep(&pause, nullptr);  // a pipe that nobody reads yet
    if (c.interrupted()) return Errno::kIntr;
  }
  if (probe) {
    const int host_flags = fcntl(host.get(), F_GETFL);
    if (host_flags < 0 || fcntl(host.get(), F_SETFL, host_flags & ~O_NONBLOCK) != 0)
      return errno_of(errno);
  }
  struct stat st;
  if (fstat(host.get(), &st) != 0) return errno_of(errno);
  DescriptorRef opened;
  if (S_ISDIR(st.st_mode)) {
    opened = std::make_shared<Descriptor>();
    opened->kind = Descriptor::Kind::Directory;
    opened->type = Filetype::kDirectory;
    opened->base = granted & rights::kDirectory;
    opened->inheriting = passed_on;
    opened->handle = std::move(host);
  } else {
    Rights allowed = granted;
    if (!reads) allowed &= ~rights::kFdRead;
    if (!writes) allowed &= ~rights::kWrites;
    opened = wrap_handle(std::move(host), allowed, &st);
  }
  opened->read_only = d->read_only;
  opened->nonblock = bool(fdflags & fdflags::kNonblock);
  uint32_t number;
  WASI_TRY(c.p1.table.insert(std::move(opened), number));
  c.store<uint32_t>(result, number);
  return Errno::kSuccess;
}

Errno path_readlink(Call& c, uint32_t fd, uint32_t path, uint32_t length, uint32_t buffer,
                    uint32_t size, uint32_t result) {
  DescriptorRef d;
  std::string name;
  WASI_TRY(get_dir(c, fd, rights::kPathReadlink, d));
  WASI_TRY(c.path(path, length, name));
  if (!c.in_bounds(buffer, size) || !c.in_bounds(result, 4)) return Errno::kFault;
  Place place;
  WASI_TRY(resolve(d->fd(), name, Follow::IfSlash, place));
  char target[PATH_MAX];
  const ssize_t n = readlinkat(place.parent(), place.name.c_str(), target, sizeof(target));
  if (n < 0) return errno_of(errno);
  const size_t used = std::min(size_t(n), size_t(size));
  std::memcpy(c.at(buffer), target, used);
  c.store<uint32_t>(result, uint32_t(used));
  return Errno::kSuccess;
}

Errno path_remove_directory(Call& c, uint32_t fd, uint32_t path, uint32_t length) {
  DescriptorRef d;
  std::string name;
  WASI_TRY(get_writable_dir(c, fd, rights::kPathRemoveDirectory, d));
  WASI_TRY(c.path(path, length, name));
  Place place;
  WASI_TRY(resolve(d->fd(), name, Follow::Never, place));
  if (unlinkat(place.parent(), place.name.c_str(), AT_REMOVEDIR) == 0) return Errno::kSuccess;
  return errno == EEXIST ? Errno::kNotEmpty : errno_of(errno);
}

Errno path_rename(Call& c, uint32_t old_fd, uint32_t old_path, uint32_t old_length, uint32_t new_fd,
                  uint32_t new_path, uint32_t new_length) {
  DescriptorRef from, to;
  std::string old_name, new_name;
  WASI_TRY(get_writable_dir(c, old_fd, rights::kPathRenameSource, from));
  WASI_TRY(get_writable_dir(c, new_fd, rights::kPathRenameTarget, to));
  WASI_TRY(c.path(old_path, old_length, old_name));
  WASI_TRY(c.path(new_path, new_length, new_name));
  Place source, target;
  WASI_TRY(resolve(from->fd(), old_name, Follow::Never, source));
  WASI_TRY(resolve(to->fd(), new_name, Follow::Never, target));
  if (source.must_be_dir || target.must_be_dir) {
    struct stat st;
    source.must_be_dir = true;
    WASI_TRY(stat_place(source, st));
  }
  return host_result(
      renameat(source.parent(), source.name.c_str(), target.parent(), target.name.c_str()));
}

Errno path_symlink(Call& c, uint32_t old_path, uint32_t old_length, uint32_t fd, uint32_t new_path,
                   uint32_t new_length) {
  DescriptorRef d;
  std::string target, name;
  WASI_TRY(get_writable_dir(c, fd, rights::kPathSymlink, d));
  WASI_TRY(c.path(old_path, old_length, target));
  WASI_TRY(c.path(new_path, new_length, name));
  // An absolute target would name something of the host.
  if (!target.empty() && target.front() == '/') return Errno::kPerm;
  Place place;
  WASI_TRY(resolve(d->fd(), name, Follow::Never, place));
  WASI_TRY(refuse_slash(place));
  return host_result(symlinkat(target.c_str(), place.parent(), place.name.c_str()));
}

Errno path_unlink_file(Call& c, uint32_t fd, uint32_t path, uint32_t length) {
  DescriptorRef d;
  std::string name;
  WASI_TRY(get_writable_dir(c, fd, rights::kPathUnlinkFile, d));
  WASI_TRY(c.path(path, length, name));
  Place place;
  WASI_TRY(resolve(d->fd(), name, Follow::Never, place));
  if (place.must_be_dir) {
    struct stat st;
    WASI_TRY(stat_place(place, st));
    return Errno::kIsDir;
  }
  if (unlinkat(place.parent(), place.name.c_str(), 0) == 0) return Errno::kSuccess;
  const int error = errno;
  if (error == EPERM) {  // what POSIX allows for a directory
    struct stat st;
    if (stat_place(place, st) == Errno::kSuccess && S_ISDIR(st.st_mode)) return Errno::kIsDir;
  }
  return errno_of(error);
}

// ---- Events, process, random ------------------------------------------------

template <bool kPreview0>
Errno poll(Call& c, uint32_t in, uint32_t out, uint32_t count, uint32_t result) {
  return poll_oneoff(c, in, out, count, result, kPreview0);
}

void exit_with(Call& c, int32_t code) {
  c.p1.exit_code.store(code, std::memory_order_relaxed);
  c.p1.exited.store(true, std::memory_order_release);
  c.trap = c.context.store.set_trap(TrapCode::Exit);
  c.context.store.trap().exit_code = code;
}

Errno proc_raise(Call& c, uint32_t signal) {
  // Host numbers of the signals whose default is to end the process; 0 for those
  // that are ignored, -1 for those that stop it, which nothing here can do.
  static constexpr int8_t kAction[] = {
      0, 1, 2,  3,  4,  5,  6, 7,  8,  9,  10, 11, 12, 0,  14, 15,
      0, 0, -1, -1, -1, -1, 0, 24, 25, 26, 27, 0,  29, 30, 31,
  };
  if (signal >= std::size(kAction)) return Errno::kInval;
  if (kAction[signal] < 0) return Errno::kNotSup;
  if (kAction[signal] > 0) exit_with(c, 128 + kAction[signal]);
  return Errno::kSuccess;
}

Errno sched_yield_(Call&) { return host_result(::sched_yield()); }

Errno random_get(Call& c, uint32_t buffer, uint32_t length) {
  if (!c.in_bounds(buffer, length)) return Errno::kFault;
  uint8_t* p = c.at(buffer);
  if (c.p1.config.random_seed) {  // SplitMix64
    const std::lock_guard lock(c.p1.random_mutex);
    while (length > 0) {
      uint64_t z = c.p1.random_state += 0x9E3779B97F4A7C15;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
      z ^= z >> 31;
      uint8_t bytes[8];
      store_le(bytes, z);
      const uint32_t n = std::min<uint32_t>(length, 8);
      std::memcpy(p, bytes, n);
      p += n;
      length -= n;
    }
    return Errno::kSuccess;
  }
  while (length > 0) {
#if defined(__linux__)
    const ssize_t n = getrandom(p, std::min<uint32_t>(length, 1u << 20), 0);
    if (n < 0) {
      if (errno != EINTR) return errno_of(errno);
      continue;
    }
#else
    const ssize_t n = std::min<uint32_t>(length, 256);
    if (getentropy(p, size_t(n)) != 0) return errno_of(errno);
#endif
    if (c.interrupted()) return Errno::kIntr;
    p += n;
    length -= uint32_t(n);
  }
  return Errno::kSuccess;
}

// ---- Sockets ----------------------------------------------------------------

UniqueFd accept_from(int listener) {
#if defined(__linux__)
  return take_opened(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
#else
  UniqueFd host = take_opened(accept(listener, nullptr, nullptr));
  if (host) fcntl(host.get(), F_SETFD, FD_CLOEXEC);
  return host;
#endif
}

Errno sock_accept(Call& c, uint32_t fd, uint32_t flags, uint32_t result) {
  DescriptorRef d;
  WASI_TRY(get_socket(c, fd, rights::kSockAccept, d));
  if (!c.in_bounds(result, 4)) return Errno::kFault;
  if (flags & ~uint32_t(fdflags::kNonblock)) return Errno::kInval;
  for (;;) {
    const bool nonblock = d->nonblock.load(std::memory_order_relaxed);
    if (!nonblock && c.interruptible() && !c.wait_ready(d->fd(), POLLIN)) return Errno::kIntr;
    UniqueFd host = accept_from(d->fd());
    if (!host) {
      if (errno == EINTR || errno == ECONNABORTED || (errno == EAGAIN && !nonblock)) {
        if (c.interrupted()) return Errno::kIntr;
        if (errno == EAGAIN && !c.wait_ready(d->fd(), POLLIN)) return Errno::kIntr;
        continue;
      }
      return errno_of(errno);
    }
    if ((flags & fdflags::kNonblock) && fcntl(host.get(), F_SETFL, O_NONBLOCK) != 0)
      return errno_of(errno);
    DescriptorRef connection =
        wrap_handle(std::move(host), d->inheriting.load(std::memory_order_relaxed));
    connection->nonblock = bool(flags & fdflags::kNonblock);
    uint32_t number;
    WASI_TRY(c.p1.table.insert(std::move(connection), number));
    c.store<uint32_t>(result, number);
    return Errno::kSuccess;
  }
}

Errno sock_recv(Call& c, uint32_t fd, uint32_t list, uint32_t length, uint32_t flags,
                uint32_t size_at, uint32_t flags_at) {
  DescriptorRef d;
  WASI_TRY(get_socket(c, fd, rights::kFdRead, d));
  IoVector v;
  WASI_TRY(v.read(c, list, length));
  if (!c.in_bounds(size_at, 4) || !c.in_bounds(flags_at, 2)) return Errno::kFault;
  if (flags & ~3u) return Errno::kInval;
  msghdr message = {};
  message.msg_iov = v.items;
  message.msg_iovlen = decltype(message.msg_iovlen)(v.count);
  const int host_flags = (flags & 1 ? MSG_PEEK : 0) | (flags & 2 ? MSG_WAITALL : 0);
  WASI_TRY(
      transfer(c, *d, POLLIN, size_at, [&] { return recvmsg(d->fd(), &message, host_flags); }));
  c.store<uint16_t>(flags_at, message.msg_flags & MSG_TRUNC ? 1 : 0);
  return Errno::kSuccess;
}

Errno sock_send(Call& c, uint32_t fd, uint32_t list, uint32_t length, uint32_t flags,
                uint32_t result) {
  DescriptorRef d;
  WASI_TRY(get_socket(c, fd, rights::kFdWrite, d));
  IoVector v;
  WASI_TRY(v.read(c, list, length));
  if (!c.in_bounds(result, 4)) return Errno::kFault;
  if (flags != 0) return Errno::kInval;
  msghdr message = {};
  message.msg_iov = v.items;
  message.msg_iovlen = decltype(message.msg_iovlen)(v.count);
#if defined(MSG_NOSIGNAL)
  // Never waits inside when an interrupt must be seen; transfer() waits then.
  const int host_flags = MSG_NOSIGNAL | (c.interruptible() ? MSG_DONTWAIT : 0);
#else
  const int host_flags = 0;
#endif
  return transfer(c, *d, POLLOUT, result, [&] { return sendmsg(d->fd(), &message, host_flags); });
}

Errno sock_shutdown(Call& c, uint32_t fd, uint32_t how) {
  DescriptorRef d;
  WASI_TRY(get_socket(c, fd, rights::kSockShutdown, d));
  switch (how) {
    case 1:
      return host_result(shutdown(d->fd(), SHUT_RD));
    case 2:
      return host_result(shutdown(d->fd(), SHUT_WR));
    case 3:
      return host_result(shutdown(d->fd(), SHUT_RDWR));
    default:
      return Errno::kInval;
  }
}

// ---- Registration -----------------------------------------------------------

template <class T>
constexpr wasm::ValType val_type() {
  return sizeof(T) == 8 ? wasm::kI64 : wasm::kI32;
}

// Host function around `fn`, whose parameters after the Call are the witx ones.
template <auto fn>
struct Thunk;
template <class... Args, Errno (*fn)(Call&, Args...)>
struct Thunk<fn> {
  static wasm::FuncType type() {
    wasm::FuncType t;
    t.params = {val_type<Args>()...};
    t.results = {wasm::kI32};
    return t;
  }
  static TrapCode call(void* env, CallContext& context, Slot* slots) {
    Call c((*static_cast<std::shared_ptr<P1Context>*>(env))->impl(), context);
    if (!c.bind_memory()) return c.trap;
    const Errno e = invoke(c, slots, std::index_sequence_for<Args...>());
    slots[0] = uint64_t(e);
    return c.trap;
  }
  template <size_t... I>
  static Errno invoke(Call& c, [[maybe_unused]] const Slot* slots, std::index_sequence<I...>) {
    return fn(c, static_cast<Args>(slots[I])...);
  }
};

TrapCode proc_exit(void* env, CallContext& context, Slot* slots) {
  Call c((*static_cast<std::shared_ptr<P1Context>*>(env))->impl(), context);
  exit_with(c, int32_t(uint32_t(slots[0])));
  return c.trap;
}

}  // namespace

Result<void> add_to_linker(runtime::Linker& linker, std::shared_ptr<P1Context> context) {
  const auto define = [&](const char* module, const char* name, const wasm::FuncType& type,
                          runtime::HostCallback callback) -> Result<void> {
    return linker.define_func(
        module, name, type, callback, new std::shared_ptr<P1Context>(context),
        [](void* env) { delete static_cast<std::shared_ptr<P1Context>*>(env); });
  };
  constexpr const char* kPreview1 = "wasi_snapshot_preview1";
  constexpr const char* kPreview0 = "wasi_unstable";

#define WASI_DEFINE(module, name, ...) \
  WAFER_TRY(define(module, #name, Thunk<__VA_ARGS__>::type(), Thunk<__VA_ARGS__>::call))
// The same in both versions.
#define WASI_BOTH(name, ...)                 \
  WASI_DEFINE(kPreview1, name, __VA_ARGS__); \
  WASI_DEFINE(kPreview0, name, __VA_ARGS__)
// Differing in a record or an enumeration.
#define WASI_VERSIONED(name, fn)           \
  WASI_DEFINE(kPreview1, name, fn<false>); \
  WASI_DEFINE(kPreview0, name, fn<true>)

  WASI_BOTH(args_get, args_get);
  WASI_BOTH(args_sizes_get, args_sizes_get);
  WASI_BOTH(environ_get, environ_get);
  WASI_BOTH(environ_sizes_get, environ_sizes_get);
  WASI_BOTH(clock_res_get, clock_res_get);
  WASI_BOTH(clock_time_get, clock_time_get);
  WASI_BOTH(fd_advise, fd_advise);
  WASI_BOTH(fd_allocate, fd_allocate);
  WASI_BOTH(fd_close, fd_close);
  WASI_BOTH(fd_datasync, fd_datasync);
  WASI_BOTH(fd_fdstat_get, fd_fdstat_get);
  WASI_BOTH(fd_fdstat_set_flags, fd_fdstat_set_flags);
  WASI_BOTH(fd_fdstat_set_rights, fd_fdstat_set_rights);
  WASI_VERSIONED(fd_filestat_get, fd_filestat_get);
  WASI_BOTH(fd_filestat_set_size, fd_filestat_set_size);
  WASI_BOTH(fd_filestat_set_times, fd_filestat_set_times);
  WASI_BOTH(fd_pread, fd_pread);
  WASI_BOTH(fd_prestat_get, fd_prestat_get);
  WASI_BOTH(fd_prestat_dir_name, fd_prestat_dir_name);
  WASI_BOTH(fd_pwrite, fd_pwrite);
  WASI_BOTH(fd_read, fd_read);
  WASI_BOTH(fd_readdir, fd_readdir);
  WASI_BOTH(fd_renumber, fd_renumber);
  WASI_VERSIONED(fd_seek, fd_seek);
  WASI_BOTH(fd_sync, fd_sync);
  WASI_BOTH(fd_tell, fd_tell);
  WASI_BOTH(fd_write, fd_write);
  WASI_BOTH(path_create_directory, path_create_directory);
  WASI_VERSIONED(path_filestat_get, path_filestat_get);
  WASI_BOTH(path_filestat_set_times, path_filestat_set_times);
  WASI_BOTH(path_link, path_link);
  WASI_BOTH(path_open, path_open);
  WASI_BOTH(path_readlink, path_readlink);
  WASI_BOTH(path_remove_directory, path_remove_directory);
  WASI_BOTH(path_rename, path_rename);
  WASI_BOTH(path_symlink, path_symlink);
  WASI_BOTH(path_unlink_file, path_unlink_file);
  WASI_VERSIONED(poll_oneoff, poll);
  WASI_BOTH(proc_raise, proc_raise);
  WASI_BOTH(sched_yield, sched_yield_);
  WASI_BOTH(random_get, random_get);
  WASI_DEFINE(kPreview1, sock_accept, sock_accept);
  WASI_BOTH(sock_recv, sock_recv);
  WASI_BOTH(sock_send, sock_send);
  WASI_BOTH(sock_shutdown, sock_shutdown);

  wasm::FuncType exit_type;
  exit_type.params = {wasm::kI32};
  WAFER_TRY(define(kPreview1, "proc_exit", exit_type, proc_exit));
  WAFER_TRY(define(kPreview0, "proc_exit", exit_type, proc_exit));
  return {};
#undef WASI_DEFINE
#undef WASI_BOTH
#undef WASI_VERSIONED
}

}  // namespace wafer::wasi
