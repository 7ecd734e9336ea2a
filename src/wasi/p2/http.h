// wasi:http for whoever serves it: what `wasi:http/incoming-handler` takes.
#pragma once

#include "wasi/bind/http.h"
#include "wasi/p2/p2.h"

namespace wafer::wasi::p2 {

// Arguments for `handle`. `answer` is called once, perhaps with a failure when the guest drops
// what it answers by; `inform`, before that, for each informational response, and gives whether it
// is sent.
// What the type of `handle` is, as component::func_text() writes it.
inline constexpr std::string_view kHandlerSignature = "func(own, own)";
component::Val incoming_request(Host& host, host::HttpRequest request);
component::Val response_outparam(
    Host& host, std::function<void(HttpAnswer)> answer,
    std::function<bool(uint16_t status, const host::HttpFields& fields)> inform);

}  // namespace wafer::wasi::p2
