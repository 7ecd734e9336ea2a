// A message of HTTP/1.1 as it goes out, part after part.
#pragma once

#include "host/http.h"
#include "host/http/channel.h"

namespace wafer::host {

// What goes out next: text, then a piece of the body, which is not copied.
class Outgoing {
 public:
  std::string text;

  // Adds what there is of a body; how many bytes that was. `chunked`: RFC 9112, 7.1.
  size_t add(HttpBody& body, bool chunked);
  // Sends `bytes` of the body from where they are, while nothing else is on its way. What the
  // system does not take at once is copied, to be written; nothing is taken if there is none that
  // it takes.
  HttpBody::Passed pass(Channel& channel, Bytes bytes, bool chunked);
  // Adds what comes after a body that ended well.
  void end(const HttpBody& body, bool chunked);
  bool empty() const { return text.empty() && piece_.empty(); }
  // Sends it at once, if it is short; false: not all of it, and the rest is still to be written.
  bool write_now(Channel& channel);
  // Nothing may be added meanwhile; clear() is for `done`. `body`: which it was a part of, or null.
  void write(Channel& channel, Channel::Done done);
  void clear(HttpBody* body = nullptr);
  // Gives back what a large body needed.
  void shrink();

 private:
  void put(std::string_view more);
  std::vector<uint8_t> piece_;
};

}  // namespace wafer::host
