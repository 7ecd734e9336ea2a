#include "host/http/outgoing.h"

#include <charconv>

namespace wafer::host {

namespace {
// Less than this is copied rather than given to the system apart.
constexpr size_t kSmall = 4 << 10;
// More than this is not kept while nothing goes out.
constexpr size_t kKept = 32 << 10;

// What stands before a chunk of `n` bytes, and behind it.
std::string chunk_head(size_t n) {
  char text[16];
  return std::string(text, std::to_chars(text, text + sizeof(text), n, 16).ptr) + "\r\n";
}
constexpr std::string_view kChunkEnd = "\r\n";
}  // namespace

void Outgoing::put(std::string_view more) {
  if (piece_.empty())
    text += more;
  else
    piece_.insert(piece_.end(), more.begin(), more.end());
}

size_t Outgoing::add(HttpBody& body, bool chunked) {
  const size_t size = body.front().size();
  if (size == 0) return 0;
  if (chunked) text += chunk_head(size);
  if (size < kSmall) {
    text.append(reinterpret_cast<const char*>(body.front().data()), size);
    body.remove(size);
  } else {
    body.take(piece_);
  }
  if (chunked) put(kChunkEnd);
  return size;
}

HttpBody::Passed Outgoing::pass(Channel& channel, Bytes bytes, bool chunked) {
  namespace asio = boost::asio;
  if (bytes.size() < kSmall) return {};
  const std::string head = chunked ? chunk_head(bytes.size()) : std::string();
  const std::string_view behind = chunked ? kChunkEnd : std::string_view();
  const asio::const_buffer parts[] = {asio::buffer(head), asio::buffer(bytes.data(), bytes.size()),
                                      asio::buffer(behind)};
  size_t sent = channel.write_now(parts);
  if (sent == 0) return {};
  // Of a part of that size.
  const auto sent_of = [&sent](size_t size) {
    const size_t n = std::min(sent, size);
    sent -= n;
    return n;
  };
  text = head.substr(sent_of(head.size()));
  const Bytes left = bytes.subspan(sent_of(bytes.size()));
  piece_.assign(left.begin(), left.end());
  put(behind.substr(sent_of(behind.size())));
  return {bytes.size(), left.size()};
}

void Outgoing::end(const HttpBody& body, bool chunked) {
  if (!chunked) return;
  std::string more = "0\r\n";
  for (const auto& [name, value] : body.trailers())
    if (!is_hop_by_hop(name)) more += name + ": " + value + "\r\n";
  put(more + "\r\n");
}

bool Outgoing::write_now(Channel& channel) {
  if (!piece_.empty()) return false;
  const boost::asio::const_buffer part = boost::asio::buffer(text);
  text.erase(0, channel.write_now({&part, 1}));
  return text.empty();
}

void Outgoing::write(Channel& channel, Channel::Done done) {
  namespace asio = boost::asio;
  if (piece_.empty()) return channel.write(asio::buffer(text), std::move(done));
  channel.write(Channel::Pair{asio::buffer(text), asio::buffer(piece_)}, std::move(done));
}

void Outgoing::clear(HttpBody* body) {
  text.clear();
  piece_.clear();
  if (body) body->gone(piece_);
}

void Outgoing::shrink() {
  if (text.capacity() > kKept) text = {};
  if (piece_.capacity() > kKept) piece_ = {};
}

}  // namespace wafer::host
