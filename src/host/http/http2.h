// What clients and servers of HTTP/2 have alike, over nghttp2. Without it (WAFER_WITH_HTTP2) there
// is nothing here but that.
#pragma once

#include <span>

#include "host/http.h"

#if WAFER_WITH_HTTP2
#include <nghttp2/nghttp2.h>
#endif

namespace wafer::host {

#if WAFER_WITH_HTTP2
inline constexpr bool kHasHttp2 = true;

// Of the body of one message; what a guest has not read is not asked for (HttpBody holds it).
inline constexpr uint32_t kHttp2StreamWindow = HttpBody::kCapacity - 1;
inline constexpr uint32_t kHttp2MostStreams = 128;  // at a time
// Of a connection: bodies that nobody reads do not keep others from coming.
inline constexpr int32_t kHttp2Window = kHttp2MostStreams * kHttp2StreamWindow;
inline constexpr size_t kHttp2Piece = 16 << 10;    // read at once
inline constexpr size_t kHttp2MostOut = 64 << 10;  // written at once
// Frames that are to be written; while there are more, no others are read.
inline constexpr size_t kHttp2MostQueued = 1024;

// What happens on a connection; called while nghttp2 reads or writes. A result is 0 or one of
// nghttp2's errors of callbacks.
class Http2Events {
 public:
  // A request begins.
  virtual int on_begin(int32_t) { return 0; }
  virtual int on_field(int32_t stream, std::string_view name, std::string_view value) = 0;
  virtual int on_frame(const nghttp2_frame&) { return 0; }
  virtual void on_sent(const nghttp2_frame&) {}
  virtual int on_data(int32_t stream, Bytes data) = 0;
  virtual int on_close(int32_t stream, uint32_t code) = 0;

 protected:
  ~Http2Events() = default;
};

// A session, with its settings and a window for the connection under way; null if there is no
// memory. `consumes`: it is told when data were used up (nghttp2_session_consume), and opens its
// windows then. Ends by nghttp2_session_del.
nghttp2_session* make_http2_session(Http2Events& events, bool server, bool consumes,
                                    std::span<const nghttp2_settings_entry> settings,
                                    int32_t window);

// A stream has ended: what nobody has read yet of its body no longer counts against the
// connection's window, and is not told when it is read.
void http2_let_go(nghttp2_session* session, HttpBody& body);

// Fields as nghttp2 takes them, for as long as this is there.
class Http2Fields {
 public:
  void add(std::string name, std::string value) {
    kept_.emplace_back(std::move(name), std::move(value));
  }
  // In lower case, and without those of a connection, or called `without`.
  void add(const HttpFields& fields, std::string_view without = {});
  std::vector<nghttp2_nv> get() const;

 private:
  HttpFields kept_;
};
#else
inline constexpr bool kHasHttp2 = false;
#endif

}  // namespace wafer::host
