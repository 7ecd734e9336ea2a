#include "host/http/channel.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

namespace wafer::host {

namespace asio = boost::asio;

void Channel::read_some(asio::mutable_buffer to, Done done) {
  socket_.async_read_some(asio::mutable_buffers_1(to), std::move(done));
}

void Channel::write(asio::const_buffer from, Done done) {
  asio::async_write(socket_, asio::const_buffers_1(from), All(), std::move(done));
}

void Channel::write(const Pair& from, Done done) {
  asio::async_write(socket_, from, All(), std::move(done));
}

size_t Channel::write_now(std::span<const asio::const_buffer> from) {
  constexpr int kFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
  const int fd = socket_.native_handle();
  if (from.size() == 1)
    return size_t(std::max<ssize_t>(send(fd, from[0].data(), from[0].size(), kFlags), 0));
  iovec parts[4];
  msghdr message{};
  message.msg_iov = parts;
  for (const asio::const_buffer& b : from.first(std::min(from.size(), std::size(parts))))
    parts[message.msg_iovlen++] = {const_cast<void*>(b.data()), b.size()};
  const ssize_t n = sendmsg(fd, &message, kFlags);
  return size_t(std::max<ssize_t>(n, 0));
}

void Channel::end(Function<void()> done) {
  Error ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  asio::post(socket_.get_executor(), std::move(done));
}

void Channel::close() {
  Error ignored;
  socket_.close(ignored);
}

}  // namespace wafer::host
