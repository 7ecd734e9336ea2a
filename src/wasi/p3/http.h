// wasi:http for whoever serves it: what `wasi:http/handler` takes and gives.
#pragma once

#include "wasi/bind/http.h"
#include "wasi/p3/p3.h"

namespace wafer::wasi::p3 {

// What its type is, as component::func_text() writes it.
std::string_view handler_signature();
// The argument of `handle`.
component::Val incoming_request(Host& host, host::HttpRequest request);
// Its result, for a request by this method; from then on the body is sent as it comes.
HttpAnswer answer_of(Host& host, component::Val result, std::string_view method);

}  // namespace wafer::wasi::p3
