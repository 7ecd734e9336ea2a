#include "host/sockets.h"

#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>

#ifndef SOCK_CLOEXEC
#define SOCK_CLOEXEC 0
#endif
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif
#if defined(__APPLE__)
#define TCP_KEEPIDLE TCP_KEEPALIVE
#endif

namespace wafer::host {

namespace {

int int_option(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof(value);
  return getsockopt(fd, level, name, &value, &length) == 0 ? value : -1;
}

UniqueFd open_socket(int family, int type, int protocol) {
  UniqueFd fd = take_opened(socket(family, type | SOCK_CLOEXEC, protocol));
  if (fd && SOCK_CLOEXEC == 0) fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  return fd;
}

Outcome<Endpoint> endpoint_of(int fd, int (*get)(int, sockaddr*, socklen_t*)) {
  sockaddr_storage storage = {};
  socklen_t length = sizeof(storage);
  if (get(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return Status::last();
  const std::optional<Endpoint> e = Endpoint::from(storage);
  if (!e) return Status(EAFNOSUPPORT);
  return *e;
}

struct OptionName {
  int level, name;
};

OptionName option_name(Socket::Option option, bool v6) {
  using Option = Socket::Option;
  switch (option) {
    case Option::KeepAlive:
      return {SOL_SOCKET, SO_KEEPALIVE};
    case Option::KeepAliveIdle:
      return {IPPROTO_TCP, TCP_KEEPIDLE};
    case Option::KeepAliveInterval:
      return {IPPROTO_TCP, TCP_KEEPINTVL};
    case Option::KeepAliveCount:
      return {IPPROTO_TCP, TCP_KEEPCNT};
    case Option::HopLimit:
      return v6 ? OptionName{IPPROTO_IPV6, IPV6_UNICAST_HOPS} : OptionName{IPPROTO_IP, IP_TTL};
    case Option::ReceiveBuffer:
      return {SOL_SOCKET, SO_RCVBUF};
    case Option::SendBuffer:
      return {SOL_SOCKET, SO_SNDBUF};
  }
  return {};
}

bool is_buffer_size(Socket::Option option) {
  return option == Socket::Option::ReceiveBuffer || option == Socket::Option::SendBuffer;
}

}  // namespace

Outcome<SocketRef> Socket::create(bool v6, bool stream) {
  UniqueFd fd = open_socket(v6 ? AF_INET6 : AF_INET, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
  if (!fd) return Status::last();
  const int one = 1;
  if (fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0 ||
      (v6 && setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) != 0))
    return Status::last();
  const FileType type = stream ? FileType::StreamSocket : FileType::DatagramSocket;
  return std::make_shared<Socket>(std::move(fd), type, false);
}

SocketRef wrap_socket(UniqueFd fd) {
  const int number = fd.get();
  const bool datagrams = int_option(number, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM;
  const bool listening = int_option(number, SOL_SOCKET, SO_ACCEPTCONN) > 0;
  return std::make_shared<Socket>(
      std::move(fd), datagrams ? FileType::DatagramSocket : FileType::StreamSocket, listening);
}

Status Socket::bind(const Endpoint& local) {
  // A port of a connection that was closed a moment ago can be listened on at once, if those
  // before had this too; on Linux it does not let two listen on the same. A port that is free is
  // looked for without it.
  const auto reuse = [&] {
    const int one = 1;
    if (type() == FileType::StreamSocket)
      (void)setsockopt(fd(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  };
  if (local.port != 0) reuse();
  sockaddr_storage storage;
  const socklen_t length = local.fill(storage);
  HOST_TRY(Status::of(::bind(fd(), reinterpret_cast<sockaddr*>(&storage), length)));
  if (local.port == 0) reuse();
  return {};
}

Status Socket::connect(const Endpoint& remote) {
  sockaddr_storage storage;
  const socklen_t length = remote.fill(storage);
  return Status::of(::connect(fd(), reinterpret_cast<sockaddr*>(&storage), length));
}

Status Socket::connect_result() {
  int error = 0;
  socklen_t length = sizeof(error);
  if (getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) return Status::last();
  return Status(error);
}

Status Socket::disconnect() {
  sockaddr none = {};
  none.sa_family = AF_UNSPEC;
  const Status s = Status::of(::connect(fd(), &none, sizeof(none)));
  return s.code() == EAFNOSUPPORT ? Status() : s;
}

Status Socket::listen(int backlog) {
  HOST_TRY(Status::of(::listen(fd(), backlog)));
  listening_ = true;
  return {};
}

Outcome<SocketRef> Socket::accept(bool nonblock) {
#if defined(__linux__)
  UniqueFd connection = take_opened(accept4(fd(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) return Status::last();
#else
  UniqueFd connection = take_opened(::accept(fd(), nullptr, nullptr));
  if (!connection) return Status::last();
  fcntl(connection.get(), F_SETFD, FD_CLOEXEC);
#endif
  if (nonblock && fcntl(connection.get(), F_SETFL, O_NONBLOCK) != 0) return Status::last();
  return std::make_shared<Socket>(std::move(connection), FileType::StreamSocket, false);
}

Outcome<Endpoint> Socket::local() const { return endpoint_of(fd(), getsockname); }
Outcome<Endpoint> Socket::remote() const { return endpoint_of(fd(), getpeername); }

Outcome<Socket::Received> Socket::receive(Buffers to, bool peek, bool all) {
  sockaddr_storage from = {};
  msghdr message = {};
  message.msg_name = &from;
  message.msg_namelen = sizeof(from);
  message.msg_iov = const_cast<iovec*>(to.data());
  message.msg_iovlen = decltype(message.msg_iovlen)(to.size());
  const ssize_t n = recvmsg(fd(), &message, (peek ? MSG_PEEK : 0) | (all ? MSG_WAITALL : 0));
  if (n < 0) return Status::last();
  return Received{size_t(n), bool(message.msg_flags & MSG_TRUNC),
                  message.msg_namelen ? Endpoint::from(from) : std::nullopt};
}

Outcome<size_t> Socket::send(Buffers from, bool now, const Endpoint* to) {
  sockaddr_storage storage;
  msghdr message = {};
  if (to) {
    message.msg_namelen = to->fill(storage);
    message.msg_name = &storage;
  }
  message.msg_iov = const_cast<iovec*>(from.data());
  message.msg_iovlen = decltype(message.msg_iovlen)(from.size());
  const ssize_t n = sendmsg(fd(), &message, MSG_NOSIGNAL | (now ? MSG_DONTWAIT : 0));
  if (n < 0) return Status::last();
  return size_t(n);
}

Status Socket::shutdown(Shutdown how) {
  const int host = how == Shutdown::Receive ? SHUT_RD : how == Shutdown::Send ? SHUT_WR : SHUT_RDWR;
  return Status::of(::shutdown(fd(), host));
}

bool Socket::v6() const {
  sockaddr_storage storage = {};
  socklen_t length = sizeof(storage);
  return getsockname(fd(), reinterpret_cast<sockaddr*>(&storage), &length) == 0 &&
         storage.ss_family == AF_INET6;
}

Outcome<uint64_t> Socket::get(Option option) const {
  const OptionName o = option_name(option, v6());
  int value = 0;
  socklen_t length = sizeof(value);
  if (getsockopt(fd(), o.level, o.name, &value, &length) != 0) return Status::last();
#if defined(__linux__)
  // Linux keeps, and tells, twice of what was asked for.
  if (is_buffer_size(option)) value /= 2;
#endif
  return uint64_t(value);
}

Status Socket::set(Option option, uint64_t value) {
  const OptionName o = option_name(option, v6());
  // Ceilings of the system, which wants to be asked for nothing beyond.
  uint64_t most = INT_MAX;
  if (option == Option::KeepAliveIdle || option == Option::KeepAliveInterval) most = 32767;
  if (option == Option::KeepAliveCount) most = 127;
  const int host = int(std::min(value, most));
  return Status::of(setsockopt(fd(), o.level, o.name, &host, sizeof(host)));
}

Result<SocketRef> listen_on(const std::string& address) {
  std::string_view host_part, port_part;
  if (!split_port(address, host_part, port_part))
    return Error(ErrorKind::Usage, "not an address with a port: '" + address + "'");
  const std::string host(host_part), port(port_part);
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int status =
      getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &found);
  if (status != 0)
    return Error(ErrorKind::Io, "cannot listen on '" + address + "': " + gai_strerror(status));
  Status failure;
  for (const addrinfo* a = found; a; a = a->ai_next) {
    UniqueFd fd = open_socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    const int one = 1;
    if (fd && setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
        bind(fd.get(), a->ai_addr, a->ai_addrlen) == 0 && listen(fd.get(), SOMAXCONN) == 0) {
      freeaddrinfo(found);
      return wrap_socket(std::move(fd));
    }
    failure = Status::last();
  }
  freeaddrinfo(found);
  return io_error("cannot listen on '" + address + "'", failure);
}

Result<SocketRef> inherited_listener(int fd) {
  const std::string name = "descriptor " + std::to_string(fd);
  if (fcntl(fd, F_GETFD) < 0) return Error(ErrorKind::Usage, name + " is not open");
  if (int_option(fd, SOL_SOCKET, SO_ACCEPTCONN) <= 0)
    return Error(ErrorKind::Usage, name + " is not a listening socket");
  UniqueFd handle = fd > 2 ? UniqueFd(fd) : duplicate(fd);
  if (!handle) return io_error("cannot use " + name, Status::last());
  fcntl(handle.get(), F_SETFD, FD_CLOEXEC);
  return wrap_socket(std::move(handle));
}

}  // namespace wafer::host
