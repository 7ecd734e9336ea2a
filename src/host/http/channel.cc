#include "host/http/channel.h"

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

void Channel::end(std::function<void()> done) {
  Error ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  asio::post(socket_.get_executor(), std::move(done));
}

void Channel::close() {
  Error ignored;
  socket_.close(ignored);
}

}  // namespace wafer::host
