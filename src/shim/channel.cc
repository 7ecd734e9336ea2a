#include "shim/channel.h"

#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <iterator>

namespace wafer::shim {

namespace {
constexpr size_t kMaxFds = 32;
constexpr int kBuffer = 4 << 20;
// In front of every message: without it, an empty one would look like the end.
constexpr char kMark = 1;
}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> make_channel() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return Error(ErrorKind::Io, std::string("cannot make a socket pair: ") + std::strerror(errno));
  for (const int end : ends)
    if (setsockopt(end, SOL_SOCKET, SO_SNDBUFFORCE, &kBuffer, sizeof kBuffer) != 0)
      (void)setsockopt(end, SOL_SOCKET, SO_SNDBUF, &kBuffer, sizeof kBuffer);
  return std::make_pair(take_opened(ends[0]), take_opened(ends[1]));
}

bool send_packet(int socket, std::string_view bytes, const std::vector<int>& fds) {
  char mark = kMark;
  iovec parts[] = {{&mark, 1}, {const_cast<char*>(bytes.data()), bytes.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = std::size(parts);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFds)];
  if (fds.size() > kMaxFds) {
    errno = E2BIG;
    return false;
  }
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
  }
  for (;;) {
    const ssize_t n = sendmsg(socket, &message, MSG_NOSIGNAL);
    if (n >= 0) return true;
    if (errno != EINTR) return false;
  }
}

ssize_t receive_with_fds(int socket, std::span<char> into, std::vector<UniqueFd>& fds) {
  iovec part{into.data(), into.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFds)];
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t size = 0;
  do {
    size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return size;
  for (cmsghdr* h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof fd);
      fds.push_back(take_opened(fd));
    }
  }
  return size;
}

Packet receive_packet(int socket) {
  Packet packet;
  ssize_t size = 0;
  do {
    size = recv(socket, nullptr, 0, MSG_PEEK | MSG_TRUNC);
  } while (size < 0 && errno == EINTR);
  if (size <= 0) return packet;
  packet.bytes.resize(size_t(size));
  size = receive_with_fds(socket, packet.bytes, packet.fds);
  packet.gone = size <= 0;
  packet.bytes.resize(packet.gone ? 0 : size_t(size));
  if (packet.gone) return packet;
  packet.bytes.erase(0, 1);
  return packet;
}

Later<std::shared_ptr<Packet>> receive_later(Loop& loop, int socket) {
  Later<std::shared_ptr<Packet>> later;
  loop.watch(socket, EPOLLIN, [&loop, socket, later](uint32_t) {
    auto packet = std::make_shared<Packet>(receive_packet(socket));
    loop.forget(socket);
    later.set(std::move(packet));
  });
  return later;
}

}  // namespace wafer::shim
