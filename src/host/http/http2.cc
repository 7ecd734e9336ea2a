#include "host/http/http2.h"

#if WAFER_WITH_HTTP2

namespace wafer::host {

namespace {

Http2Events& of(void* user) { return *static_cast<Http2Events*>(user); }

std::string_view text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

void set_callbacks(nghttp2_session_callbacks* callbacks) {
  nghttp2_session_callbacks_set_on_begin_headers_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
        if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
          return 0;
        return of(user).on_begin(frame->hd.stream_id);
      });
  nghttp2_session_callbacks_set_on_header_callback(
      callbacks,
      [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
         const uint8_t* value, size_t value_size, uint8_t, void* user) {
        if (frame->hd.type != NGHTTP2_HEADERS) return 0;
        return of(user).on_field(frame->hd.stream_id, text(name, name_size),
                                 text(value, value_size));
      });
  nghttp2_session_callbacks_set_on_frame_recv_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
        return of(user).on_frame(*frame);
      });
  nghttp2_session_callbacks_set_on_frame_send_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
        of(user).on_sent(*frame);
        return 0;
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      callbacks, [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size,
                    void* user) { return of(user).on_data(id, Bytes(data, size)); });
  nghttp2_session_callbacks_set_on_stream_close_callback(
      callbacks, [](nghttp2_session*, int32_t id, uint32_t code, void* user) {
        return of(user).on_close(id, code);
      });
}

}  // namespace

nghttp2_session* make_http2_session(Http2Events& events, bool server, bool consumes,
                                    std::span<const nghttp2_settings_entry> settings,
                                    int32_t window) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* option = nullptr;
  nghttp2_session* session = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0) {
    set_callbacks(callbacks);
    nghttp2_option_set_no_auto_window_update(option, consumes);
    nghttp2_option_set_max_settings(option, 64);
    const auto make = server ? nghttp2_session_server_new2 : nghttp2_session_client_new2;
    make(&session, callbacks, &events, option);
  }
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  if (session &&
      (nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) != 0 ||
       nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, window) != 0)) {
    nghttp2_session_del(session);
    session = nullptr;
  }
  return session;
}

void http2_let_go(nghttp2_session* session, HttpBody& body) {
  if (!std::exchange(body.on_taken, nullptr)) return;
  nghttp2_session_consume_connection(session, body.front().size());
}

void Http2Fields::add(const HttpFields& fields, std::string_view without) {
  for (const auto& [name, value] : fields) {
    if (is_hop_by_hop(name) || same_name(name, without)) continue;
    add(lower_name(name), value);
  }
}

std::vector<nghttp2_nv> Http2Fields::get() const {
  const auto bytes = [](const std::string& s) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(s.data()));
  };
  std::vector<nghttp2_nv> out;
  for (const auto& [name, value] : kept_)
    out.push_back({bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
  return out;
}

}  // namespace wafer::host

#endif
