// wasi:http for whoever serves it: what `wasi:http/incoming-handler` takes.
#pragma once

#include "host/http.h"
#include "wasi/p2/p2.h"

namespace wafer::wasi::p2 {

// A guest's answer: a response, or why there is none (in words for a log).
struct HttpAnswer {
  host::HttpResponse response;
  std::string failure;  // empty: there is a response
};

// Arguments for `handle`. `answer` is called once, perhaps with a failure when the guest drops
// what it answers by.
component::Val incoming_request(Host& host, host::HttpRequest request);
component::Val response_outparam(Host& host, std::function<void(HttpAnswer)> answer);

}  // namespace wafer::wasi::p2
