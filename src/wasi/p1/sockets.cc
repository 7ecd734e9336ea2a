// Functions on sockets.
#include <errno.h>

#include "wasi/p1/access.h"
#include "wasi/p1/functions.h"

namespace wafer::wasi {

Errno sock_accept(Call& c, uint32_t fd, uint32_t flags, uint32_t result) {
  DescriptorRef d;
  WASI_TRY(get_socket(c, fd, rights::kSockAccept, d));
  if (!c.in_bounds(result, 4)) return Errno::kFault;
  if (flags & ~uint32_t(fdflags::kNonblock)) return Errno::kInval;
  host::Socket& listener = *d->socket();
  for (;;) {
    const bool nonblock = d->nonblock.load(std::memory_order_relaxed);
    if (!nonblock && c.interruptible() && !c.wait_ready(listener.fd(), false)) return Errno::kIntr;
    host::Outcome<host::SocketRef> accepted = listener.accept(flags & fdflags::kNonblock);
    if (!accepted) {
      const int error = accepted.code();
      if (error == EINTR || error == ECONNABORTED || (error == EAGAIN && !nonblock)) {
        if (c.interrupted()) return Errno::kIntr;
        if (error == EAGAIN && !c.wait_ready(listener.fd(), false)) return Errno::kIntr;
        continue;
      }
      return errno_of(error);
    }
    DescriptorRef connection =
        make_descriptor(*std::move(accepted), d->inheriting.load(std::memory_order_relaxed));
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
  bool truncated = false;
  WASI_TRY(transfer(c, *d, false, size_at, [&]() -> host::Outcome<size_t> {
    HOST_LET(received, d->socket()->receive(v.buffers(), flags & 1, flags & 2));
    truncated = received.truncated;
    return received.size;
  }));
  c.store<uint16_t>(flags_at, truncated ? 1 : 0);
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
  // Never waits inside when an interrupt must be seen; transfer() waits then.
  return transfer(c, *d, true, result,
                  [&] { return d->socket()->send(v.buffers(), c.interruptible(), nullptr); });
}

Errno sock_shutdown(Call& c, uint32_t fd, uint32_t how) {
  using How = host::Socket::Shutdown;
  static constexpr How kHow[] = {How::Receive, How::Send, How::Both};
  DescriptorRef d;
  WASI_TRY(get_socket(c, fd, rights::kSockShutdown, d));
  if (how < 1 || how > 3) return Errno::kInval;
  return errno_of(d->socket()->shutdown(kHow[how - 1]));
}

}  // namespace wafer::wasi
