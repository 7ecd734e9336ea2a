// One connection of HTTP/2, by nghttp2.
#pragma once

#include <memory>
#include <string_view>

#include "base/span.h"
#include "serve/session.h"

namespace wafer::serve {

// What a client begins with (RFC 9113, 3.4).
inline constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// `received`: what was read of the connection already. Null if this build has no HTTP/2.
std::shared_ptr<Session> make_http2(Worker& worker, host::ChannelRef channel, bool tls,
                                    Bytes received);

}  // namespace wafer::serve
