// wasi:http.
#include "wasi/p2/http.h"

#include <errno.h>

#include <algorithm>

#include "wasi/p2/resources.h"

namespace wafer::wasi::p2 {

using host::HttpBodyRef;
using host::HttpFields;

http_types::ErrorCode http_error(host::Status status) {
  return http_error_code<http_types::ErrorCode>(status);
}

namespace http_types {

using io_error::Error;
using NoResult = Expected<Unit, Unit>;

namespace {

constexpr size_t kMostFieldBytes = 1 << 20;  // that a guest can have in one `fields`

HeaderError header_error(HeaderError::Tag tag) {
  HeaderError e;
  e.tag = tag;
  return e;
}
Err<HeaderError> refused(HeaderError::Tag tag) { return Err{header_error(tag)}; }

std::string text_of(Bytes value) { return std::string(value.begin(), value.end()); }
FieldValue value_of(std::string_view text) { return FieldValue(text.begin(), text.end()); }

}  // namespace

// ---- Fields

class Fields final : public Object {
 public:
  explicit Fields(HttpFields f, bool immutable = false)
      : fields(std::move(f)), immutable(immutable) {}
  // Why `name` cannot be set, if it cannot.
  std::optional<HeaderError> check(const std::string& name, bool sets = true) const {
    if (immutable) return header_error(HeaderError::Tag::Immutable);
    if (!host::is_token(name)) return header_error(HeaderError::Tag::InvalidSyntax);
    if (sets && is_forbidden_field(name)) return header_error(HeaderError::Tag::Forbidden);
    return std::nullopt;
  }
  void remove(std::string_view name) {
    std::erase_if(fields, [&](const auto& f) { return host::same_name(f.first, name); });
  }
  bool add(Host& host, std::string name, Bytes value) {
    bytes += name.size() + value.size() + 4;
    if (bytes > kMostFieldBytes) host.fail("too many header fields");
    fields.emplace_back(std::move(name), text_of(value));
    return !host.failed();
  }
  HttpFields fields;
  const bool immutable;
  size_t bytes = 0;
};

Own<Fields> fields_new(Host&) { return Own<Fields>::make(HttpFields()); }

Expected<Own<Fields>, HeaderError> fields_from_list(
    Host& host, std::vector<std::tuple<FieldName, FieldValue>> entries) {
  auto out = std::make_unique<Fields>(HttpFields());
  for (auto& [name, value] : entries) {
    if (auto error = out->check(name)) return Err{*error};
    if (!host::is_field_value(text_of(value))) return refused(HeaderError::Tag::InvalidSyntax);
    if (!out->add(host, std::move(name), value)) break;
  }
  return Own(std::move(out));
}

std::vector<FieldValue> fields_get(Host&, Fields& self, FieldName name) {
  std::vector<FieldValue> out;
  for (const auto& [n, value] : self.fields)
    if (host::same_name(n, name)) out.push_back(value_of(value));
  return out;
}

bool fields_has(Host&, Fields& self, FieldName name) {
  return std::any_of(self.fields.begin(), self.fields.end(),
                     [&](const auto& f) { return host::same_name(f.first, name); });
}

Expected<Unit, HeaderError> fields_set(Host& host, Fields& self, FieldName name,
                                       std::vector<FieldValue> value) {
  if (auto error = self.check(name)) return Err{*error};
  for (const FieldValue& v : value)
    if (!host::is_field_value(text_of(v))) return refused(HeaderError::Tag::InvalidSyntax);
  self.remove(name);
  for (const FieldValue& v : value)
    if (!self.add(host, name, v)) break;
  return Unit{};
}

Expected<Unit, HeaderError> fields_delete(Host&, Fields& self, FieldName name) {
  if (auto error = self.check(name)) return Err{*error};
  self.remove(name);
  return Unit{};
}

Expected<Unit, HeaderError> fields_append(Host& host, Fields& self, FieldName name, Bytes value) {
  if (auto error = self.check(name)) return Err{*error};
  if (!host::is_field_value(text_of(value))) return refused(HeaderError::Tag::InvalidSyntax);
  self.add(host, std::move(name), value);
  return Unit{};
}

std::vector<std::tuple<FieldName, FieldValue>> fields_entries(Host&, Fields& self) {
  std::vector<std::tuple<FieldName, FieldValue>> out;
  out.reserve(self.fields.size());
  for (const auto& [name, value] : self.fields) out.emplace_back(name, value_of(value));
  return out;
}

Own<Fields> fields_clone(Host&, Fields& self) { return Own<Fields>::make(self.fields); }

namespace {

Own<Fields> received(HttpFields fields) {
  return Own<Fields>::make(received_fields(std::move(fields)), true);
}

}  // namespace

// ---- Bodies

class IncomingBody final : public Object {
 public:
  explicit IncomingBody(HttpBodyRef b) : body(std::move(b)) {}
  ~IncomingBody() override {
    if (body) body->discard();
  }
  HttpBodyRef body;
  bool streamed = false;
};

class FutureTrailers final : public Object {
 public:
  explicit FutureTrailers(HttpBodyRef b) : body(std::move(b)) {}
  HttpBodyRef body;
  bool taken = false;
};

// One that is to be sent. Kept by the message until it is sent, and by the stream.
class OutgoingBody final : public Object {
 public:
  OutgoingBody(HttpBodyRef body, std::optional<uint64_t> limit, bool request)
      : stream(std::make_shared<HttpBodyWriter>(std::move(body), limit)), of_request(request) {}
  ~OutgoingBody() override {
    // Not finished: broken off.
    stream->body->fail(host::Status(ECONNRESET));
  }
  const std::shared_ptr<HttpBodyWriter> stream;
  const bool of_request;
  bool streamed = false;
};

namespace {

Err<Unit> none() { return Err{Unit{}}; }

Expected<Own<IncomingBody>, Unit> consume(HttpBodyRef& body, bool& consumed) {
  if (std::exchange(consumed, true)) return none();
  if (!body) {
    body = std::make_shared<host::HttpBody>();
    body->finish();
  }
  return Own<IncomingBody>::make(body);
}

}  // namespace

Expected<Own<InputStream>, Unit> incoming_body_stream(Host&, IncomingBody& self) {
  if (std::exchange(self.streamed, true)) return none();
  return Own<InputStream>::make(host::read_body(self.body), Error::Of::Http);
}

Own<FutureTrailers> incoming_body_finish(Host&, Own<IncomingBody> this_) {
  HttpBodyRef body = std::move(this_->body);
  // What was not read is not wanted, though all of it may be here.
  body->discard();
  return Own<FutureTrailers>::make(std::move(body));
}

Own<Pollable> future_trailers_subscribe(Host&, FutureTrailers& self) {
  return io_poll::make_pollable({self.body, &self.body->end()});
}

std::optional<Expected<Expected<std::optional<Own<Fields>>, ErrorCode>, Unit>> future_trailers_get(
    Host&, FutureTrailers& self) {
  using Inner = Expected<std::optional<Own<Fields>>, ErrorCode>;
  using Outer = Expected<Inner, Unit>;
  if (!self.body->ended()) return std::nullopt;
  if (std::exchange(self.taken, true)) return Outer(none());
  if (!self.body->failure().ok()) return Outer(Inner(Err{http_error(self.body->failure())}));
  if (self.body->trailers().empty()) return Outer(Inner(std::optional<Own<Fields>>()));
  return Outer(Inner(std::optional(received(self.body->trailers()))));
}

Expected<Own<OutputStream>, Unit> outgoing_body_write(Host&, OutgoingBody& self) {
  if (std::exchange(self.streamed, true)) return none();
  return Own<OutputStream>::make(self.stream, Error::Of::Http);
}

Expected<Unit, ErrorCode> outgoing_body_finish(Host&, Own<OutgoingBody> this_,
                                               std::optional<Own<Fields>> trailers) {
  HttpBodyWriter& stream = *this_->stream;
  if (!stream.complete()) {
    stream.body->fail(host::Status(EMSGSIZE));
    return Err{this_->of_request ? ErrorCode::of_http_request_body_size(stream.written)
                                 : ErrorCode::of_http_response_body_size(stream.written)};
  }
  stream.body->finish(trailers ? std::move((*trailers)->fields) : HttpFields());
  return Unit{};
}

// ---- Requests

class IncomingRequest final : public Object {
 public:
  explicit IncomingRequest(host::HttpRequest r) : request(std::move(r)) {}
  ~IncomingRequest() override {
    if (request.body && !consumed) request.body->discard();
  }
  host::HttpRequest request;
  bool consumed = false;
};

namespace {

std::optional<std::string> some(const std::string& text) {
  if (text.empty()) return std::nullopt;
  return text;
}

std::optional<Scheme> scheme_of(const std::string& text) {
  if (text.empty()) return std::nullopt;
  Scheme s;
  s.tag = text == "http" ? Scheme::Tag::HTTP : Scheme::Tag::HTTPS;
  return text == "http" || text == "https" ? s : Scheme::of_other(text);
}

}  // namespace

Method incoming_request_method(Host&, IncomingRequest& self) {
  return http_method<Method>(self.request.method);
}
std::optional<std::string> incoming_request_path_with_query(Host&, IncomingRequest& self) {
  return some(self.request.path_with_query);
}
std::optional<Scheme> incoming_request_scheme(Host&, IncomingRequest& self) {
  return scheme_of(self.request.scheme);
}
std::optional<std::string> incoming_request_authority(Host&, IncomingRequest& self) {
  return some(self.request.authority);
}
Own<Fields> incoming_request_headers(Host&, IncomingRequest& self) {
  return received(self.request.fields);
}
Expected<Own<IncomingBody>, Unit> incoming_request_consume(Host&, IncomingRequest& self) {
  return consume(self.request.body, self.consumed);
}

class OutgoingRequest final : public Object {
 public:
  explicit OutgoingRequest(HttpFields fields) { request.fields = std::move(fields); }
  ~OutgoingRequest() override {
    if (request.body) request.body->discard();
  }
  host::HttpRequest request;
};

Own<OutgoingRequest> outgoing_request_new(Host&, Own<Fields> headers) {
  return Own<OutgoingRequest>::make(std::move(headers->fields));
}

Expected<Own<OutgoingBody>, Unit> outgoing_request_body(Host&, OutgoingRequest& self) {
  if (self.request.body) return none();
  self.request.body = std::make_shared<host::HttpBody>();
  return Own<OutgoingBody>::make(self.request.body, content_length(self.request.fields), true);
}

Method outgoing_request_method(Host&, OutgoingRequest& self) {
  return http_method<Method>(self.request.method);
}
NoResult outgoing_request_set_method(Host&, OutgoingRequest& self, Method method) {
  std::string text = text_of_method(method);
  if (!host::is_token(text)) return none();
  self.request.method = std::move(text);
  return Unit{};
}
std::optional<std::string> outgoing_request_path_with_query(Host&, OutgoingRequest& self) {
  return some(self.request.path_with_query);
}
NoResult outgoing_request_set_path_with_query(Host&, OutgoingRequest& self,
                                              std::optional<std::string> path) {
  if (path && !is_path_with_query(*path)) return none();
  self.request.path_with_query = path.value_or("");
  return Unit{};
}
std::optional<Scheme> outgoing_request_scheme(Host&, OutgoingRequest& self) {
  return scheme_of(self.request.scheme);
}
NoResult outgoing_request_set_scheme(Host&, OutgoingRequest& self, std::optional<Scheme> scheme) {
  if (scheme && scheme->other && !is_scheme(*scheme->other)) return none();
  self.request.scheme = !scheme                             ? ""
                        : scheme->tag == Scheme::Tag::HTTP  ? "http"
                        : scheme->tag == Scheme::Tag::HTTPS ? "https"
                                                            : *scheme->other;
  return Unit{};
}
std::optional<std::string> outgoing_request_authority(Host&, OutgoingRequest& self) {
  return some(self.request.authority);
}
NoResult outgoing_request_set_authority(Host&, OutgoingRequest& self,
                                        std::optional<std::string> authority) {
  if (authority && !is_authority(*authority)) return none();
  self.request.authority = authority.value_or("");
  return Unit{};
}
Own<Fields> outgoing_request_headers(Host&, OutgoingRequest& self) {
  return Own<Fields>::make(self.request.fields, true);
}

class RequestOptions final : public Object {
 public:
  host::HttpTimeouts timeouts;
};

Own<RequestOptions> request_options_new(Host&) { return Own<RequestOptions>::make(); }
std::optional<Duration> request_options_connect_timeout(Host&, RequestOptions& self) {
  return self.timeouts.connect;
}
NoResult request_options_set_connect_timeout(Host&, RequestOptions& self,
                                             std::optional<Duration> duration) {
  self.timeouts.connect = duration;
  return Unit{};
}
std::optional<Duration> request_options_first_byte_timeout(Host&, RequestOptions& self) {
  return self.timeouts.first_byte;
}
NoResult request_options_set_first_byte_timeout(Host&, RequestOptions& self,
                                                std::optional<Duration> duration) {
  self.timeouts.first_byte = duration;
  return Unit{};
}
std::optional<Duration> request_options_between_bytes_timeout(Host&, RequestOptions& self) {
  return self.timeouts.between_bytes;
}
NoResult request_options_set_between_bytes_timeout(Host&, RequestOptions& self,
                                                   std::optional<Duration> duration) {
  self.timeouts.between_bytes = duration;
  return Unit{};
}

// ---- Responses

class OutgoingResponse final : public Object {
 public:
  explicit OutgoingResponse(HttpFields fields) { response.fields = std::move(fields); }
  ~OutgoingResponse() override {
    if (response.body) response.body->discard();
  }
  host::HttpResponse response;
};

Own<OutgoingResponse> outgoing_response_new(Host&, Own<Fields> headers) {
  return Own<OutgoingResponse>::make(std::move(headers->fields));
}
StatusCode outgoing_response_status_code(Host&, OutgoingResponse& self) {
  return self.response.status;
}
NoResult outgoing_response_set_status_code(Host&, OutgoingResponse& self, StatusCode code) {
  if (code < 100 || code > 599) return none();
  self.response.status = code;
  return Unit{};
}
Own<Fields> outgoing_response_headers(Host&, OutgoingResponse& self) {
  return Own<Fields>::make(self.response.fields, true);
}
Expected<Own<OutgoingBody>, Unit> outgoing_response_body(Host& host, OutgoingResponse& self) {
  if (self.response.body) return none();
  self.response.body = std::make_shared<host::HttpBody>();
  // The guest may finish it before the response is set.
  if (host.serves_head) self.response.body->waive();
  return Own<OutgoingBody>::make(self.response.body, content_length(self.response.fields), false);
}

class ResponseOutparam final : public Object {
 public:
  ResponseOutparam(std::function<void(HttpAnswer)> a,
                   std::function<bool(uint16_t, const HttpFields&)> i)
      : answer(std::move(a)), inform(std::move(i)) {}
  ~ResponseOutparam() override {
    if (answer) answer({{}, "the guest gave no response"});
  }
  std::function<void(HttpAnswer)> answer;
  const std::function<bool(uint16_t, const HttpFields&)> inform;
};

Expected<Unit, ErrorCode> response_outparam_send_informational(Host&, ResponseOutparam& self,
                                                               uint16_t status,
                                                               Own<Fields> headers) {
  // (101 would end HTTP.)
  if (status < 100 || status > 199 || status == 101)
    return Err{ErrorCode::of_internal_error("not the status of an informational response")};
  if (!self.inform(status, headers->fields))
    return Err{ErrorCode::of_internal_error("informational responses cannot be sent")};
  return Unit{};
}

void response_outparam_set(Host&, Own<ResponseOutparam> param,
                           Expected<Own<OutgoingResponse>, ErrorCode> response) {
  const auto answer = std::exchange(param->answer, nullptr);
  if (!response)
    return answer({{},
                   std::string("the guest answered with the error ") +
                       Meta<ErrorCode>::kNames[size_t(response.error().tag)]});
  answer({std::exchange((*response)->response, {}), ""});
}

class IncomingResponse final : public Object {
 public:
  explicit IncomingResponse(host::HttpResponse r) : response(std::move(r)) {}
  ~IncomingResponse() override {
    if (response.body && !consumed) response.body->discard();
  }
  host::HttpResponse response;
  bool consumed = false;
};

StatusCode incoming_response_status(Host&, IncomingResponse& self) { return self.response.status; }
Own<Fields> incoming_response_headers(Host&, IncomingResponse& self) {
  return received(self.response.fields);
}
Expected<Own<IncomingBody>, Unit> incoming_response_consume(Host&, IncomingResponse& self) {
  return consume(self.response.body, self.consumed);
}

class FutureIncomingResponse final : public Object {
 public:
  explicit FutureIncomingResponse(std::shared_ptr<host::HttpExchange> e) : exchange(std::move(e)) {}
  std::shared_ptr<host::HttpExchange> exchange;
  bool taken = false;
};

Own<Pollable> future_incoming_response_subscribe(Host&, FutureIncomingResponse& self) {
  return io_poll::make_pollable(self.exchange->answered);
}

std::optional<Expected<Expected<Own<IncomingResponse>, ErrorCode>, Unit>>
future_incoming_response_get(Host&, FutureIncomingResponse& self) {
  using Inner = Expected<Own<IncomingResponse>, ErrorCode>;
  using Outer = Expected<Inner, Unit>;
  if (!self.exchange->response) return std::nullopt;
  if (std::exchange(self.taken, true)) return Outer(none());
  host::Outcome<host::HttpResponse>& response = *self.exchange->response;
  if (!response) return Outer(Inner(Err{http_error(response.status())}));
  return Outer(Inner(Own<IncomingResponse>::make(*std::move(response))));
}

std::optional<ErrorCode> http_error_code(Host&, Error& err) {
  if (err.of != Error::Of::Http) return std::nullopt;
  return http_error(err.status);
}

}  // namespace http_types

namespace http_outgoing_handler {

Expected<Own<FutureIncomingResponse>, ErrorCode> handle(
    Host& host, Own<OutgoingRequest> request,
    std::optional<Own<http_types::RequestOptions>> options) {
  using host::HttpError;
  if (!host.process.http) return Err{http_error(host::http_failure(HttpError::HTTPRequestDenied))};
  host::HttpRequest to_send = std::exchange(request->request, {});
  if (to_send.scheme.empty()) to_send.scheme = "https";
  if (to_send.authority.empty()) return Err{http_error(host::Status(EINVAL))};
  return Own<FutureIncomingResponse>::make(host.process.http->send(
      host.loop, std::move(to_send), options ? (*options)->timeouts : host::HttpTimeouts()));
}

}  // namespace http_outgoing_handler

component::Val incoming_request(Host& host, host::HttpRequest request) {
  host.serves_head = request.method == "HEAD";
  return to_val(Own<http_types::IncomingRequest>::make(std::move(request)), host);
}

component::Val response_outparam(Host& host, std::function<void(HttpAnswer)> answer,
                                 std::function<bool(uint16_t, const HttpFields&)> inform) {
  return to_val(Own<http_types::ResponseOutparam>::make(std::move(answer), std::move(inform)),
                host);
}

}  // namespace wafer::wasi::p2
