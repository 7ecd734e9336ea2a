// Requests of guests that a function of the embedder answers.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "host/http.h"

namespace wafer::host {

// A message as a whole.
struct WholeRequest {
  HttpRequest head;  // without a body
  std::string body;
};
struct WholeResponse {
  HttpResponse head;
  std::string body;
};

// `answer` is called on the loop's thread, once a request's body is there, which has at most
// `most_body` bytes (else HTTP-request-body-size). What it gives as a failure is what the guest
// gets.
std::shared_ptr<HttpClient> make_http_callback(
    std::function<Outcome<WholeResponse>(const WholeRequest&)> answer, size_t most_body);

}  // namespace wafer::host
