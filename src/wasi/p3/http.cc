// wasi:http: requests, responses and their bodies.
#include "wasi/p3/http.h"

#include <errno.h>

#include "wasi/p3/errors.h"
#include "wasi/p3/http_fields.h"
#include "wasi/p3/streams.h"

namespace wafer::wasi::p3 {

namespace http_types {

namespace {

using NoResult = Expected<Unit, Unit>;
using Sent = Expected<Unit, ErrorCode>;
using TrailersResult = Expected<std::optional<Own<Fields>>, ErrorCode>;

Err<Unit> none() { return Err{Unit{}}; }

}  // namespace

// The body of a message, wherever that comes from.
struct Body {
  // From the network; null: there is none.
  host::HttpBodyRef received;
  // From a guest, for which there are always trailers.
  std::optional<Stream<uint8_t>> contents;
  Future<TrailersResult> trailers;
  Promise<Sent> sent;

  bool of_guest() const { return trailers.end != nullptr; }
  Body() = default;
  Body(Body&&) = default;
  Body& operator=(Body&&) = delete;
  ~Body() {
    if (received) received->discard();
    if (sent) sent->set(Err{ErrorCode::of_internal_error("the message was not sent")});
  }
};

namespace {

using Parts = std::tuple<Stream<uint8_t>, Future<TrailersResult>>;

TrailersResult received_trailers(const host::HttpBody& body) {
  if (!body.failure().ok()) return Err{http_error(body.failure())};
  if (body.trailers().empty()) return std::optional<Own<Fields>>();
  return std::optional(Own<Fields>::make(
      std::make_shared<host::HttpFields>(received_fields(body.trailers())), true));
}

// Gives the guest the body of a message. `res` is what it makes of it.
Parts consume(Host& host, Body body, Future<Sent> res) {
  if (body.of_guest()) {
    // From one guest to another, or to itself: the ends change hands.
    await<Sent>(host, std::move(res), [sent = std::exchange(body.sent, nullptr)](auto result) {
      if (sent) sent->set(result ? std::move(*result) : Sent(Unit{}));
    });
    Stream<uint8_t> contents =
        body.contents ? *std::move(body.contents) : give_bytes(host, host::empty_stream(), nullptr);
    return {std::move(contents), std::move(body.trailers)};
  }
  const host::HttpBodyRef from = std::exchange(body.received, nullptr);
  // Whoever sent it hears that it was not wanted.
  await<Sent>(host, std::move(res), [from](auto result) {
    if (from && result && !*result) from->discard();
  });
  if (!from)
    return {give_bytes(host, host::empty_stream(), nullptr),
            ready_future<TrailersResult>(host, std::optional<Own<Fields>>())};
  auto [future, promise] = new_future<TrailersResult>(host);
  Stream<uint8_t> stream =
      give_bytes(host, host::read_body(from), [&host, from, p = promise](host::Status) {
        // Trailers come after all else, though nobody reads that any more.
        from->discard();
        host.when_ready({host::PollableRef(from, &from->end())},
                        [from, p] { p->set(received_trailers(*from)); });
      });
  return {std::move(stream), std::move(future)};
}

// A body that a guest gives, on its way into `writer`; `sent` is told what came of that.
struct Transmission : std::enable_shared_from_this<Transmission> {
  Transmission(Host& h, host::HttpBodyRef to, std::optional<uint64_t> length, bool of_request,
               Future<TrailersResult> t, Function<void(Sent)> s)
      : host(h),
        writer(std::move(to), length),
        request(of_request),
        trailers(std::move(t)),
        sent(std::move(s)) {}

  void begin(std::optional<Stream<uint8_t>> contents) {
    if (!contents) return finish({});
    const auto self = shared_from_this();
    take_bytes(host, *std::move(contents), {self, &writer},
               [self](host::Status status) { self->finish(status); });
  }
  void finish(host::Status status) {
    // Nobody takes what the message goes out without.
    if (status.code() == EPIPE && writer.body->waived()) status = {};
    if (status.code() == EMSGSIZE || (status.ok() && !writer.complete()))
      return fail(host::Status(EMSGSIZE),
                  request ? ErrorCode::of_http_request_body_size(writer.written)
                          : ErrorCode::of_http_response_body_size(writer.written));
    if (!status.ok()) return fail(status, http_error(status));
    await<TrailersResult>(
        host, std::move(trailers),
        [self = shared_from_this()](std::optional<TrailersResult> result) {
          if (!result || !*result)
            return self->fail(host::Status(ECONNRESET),
                              result ? std::move(result->error())
                                     : ErrorCode::of_internal_error("no trailers were given"));
          std::optional<Own<Fields>>& fields = **result;
          self->writer.body->finish(fields ? *(*fields)->fields : host::HttpFields());
          self->sent(Unit{});
        });
  }
  void fail(host::Status status, ErrorCode error) {
    writer.body->fail(status);
    sent(Err{std::move(error)});
  }

  Host& host;
  HttpBodyWriter writer;
  const bool request;
  Future<TrailersResult> trailers;
  const Function<void(Sent)> sent;
};

// The body of a message as it goes out, or does not (`waived`); `sent` is told when all of it is
// written. Null: none.
host::HttpBodyRef outgoing_body(Host& host, Body& body, const host::HttpFields& fields,
                                bool request, bool waived, Function<void(Sent)> sent) {
  if (!body.of_guest()) {
    sent(Unit{});
    return std::exchange(body.received, nullptr);
  }
  auto out = std::make_shared<host::HttpBody>();
  if (waived) out->waive();
  std::make_shared<Transmission>(host, out, content_length(fields), request,
                                 std::move(body.trailers), std::move(sent))
      ->begin(std::exchange(body.contents, std::nullopt));
  // A request without contents has no body, unless there are trailers for it.
  if (out->done() && out->trailers().empty()) return nullptr;
  return out;
}

Scheme scheme_of(const std::string& text) {
  Scheme s;
  s.tag = text == "http" ? Scheme::Tag::HTTP : Scheme::Tag::HTTPS;
  return text == "http" || text == "https" ? s : Scheme::of_other(text);
}

std::string text_of(const Scheme& s) {
  return s.tag == Scheme::Tag::HTTP ? "http" : s.tag == Scheme::Tag::HTTPS ? "https" : *s.other;
}

std::optional<std::string> some(std::string text) {
  if (text.empty()) return std::nullopt;
  return text;
}

}  // namespace

// ---- Requests

class RequestOptions final : public Object {
 public:
  RequestOptions() = default;
  RequestOptions(const host::HttpTimeouts& t, bool immutable) : timeouts(t), immutable(immutable) {}
  Expected<Unit, RequestOptionsError> set(std::optional<uint64_t> host::HttpTimeouts::* timeout,
                                          std::optional<Duration> duration) {
    if (immutable) {
      RequestOptionsError error;
      error.tag = RequestOptionsError::Tag::Immutable;
      return Err{error};
    }
    timeouts.*timeout = duration;
    return Unit{};
  }
  host::HttpTimeouts timeouts;
  const bool immutable = false;
};

class Request final : public Object {
 public:
  std::string method = "GET";
  std::optional<std::string> path_with_query, scheme, authority;
  FieldsRef headers;
  std::optional<host::HttpTimeouts> options;
  Body body;
};

std::tuple<Own<Request>, Future<Sent>> request_new(Host& host, Own<Fields> headers,
                                                   std::optional<Stream<uint8_t>> contents,
                                                   Future<TrailersResult> trailers,
                                                   std::optional<Own<RequestOptions>> options) {
  auto request = std::make_unique<Request>();
  request->headers = std::move(headers->fields);
  request->body.contents = std::move(contents);
  request->body.trailers = std::move(trailers);
  if (options) request->options = (*options)->timeouts;
  auto [future, promise] = new_future<Sent>(host);
  request->body.sent = std::move(promise);
  return {Own(std::move(request)), std::move(future)};
}

Method request_get_method(Host&, Request& self) { return http_method<Method>(self.method); }
NoResult request_set_method(Host&, Request& self, Method method) {
  std::string text = text_of_method(method);
  if (!host::is_token(text)) return none();
  self.method = std::move(text);
  return Unit{};
}

std::optional<std::string> request_get_path_with_query(Host&, Request& self) {
  return self.path_with_query;
}
NoResult request_set_path_with_query(Host&, Request& self, std::optional<std::string> path) {
  if (path && !is_path_with_query(*path)) return none();
  if (path && path->empty()) path = "/";
  self.path_with_query = std::move(path);
  return Unit{};
}

std::optional<Scheme> request_get_scheme(Host&, Request& self) {
  if (!self.scheme) return std::nullopt;
  return scheme_of(*self.scheme);
}
NoResult request_set_scheme(Host&, Request& self, std::optional<Scheme> scheme) {
  if (scheme && !is_scheme(text_of(*scheme))) return none();
  self.scheme.reset();
  if (scheme) self.scheme = text_of(*scheme);
  return Unit{};
}

std::optional<std::string> request_get_authority(Host&, Request& self) { return self.authority; }
NoResult request_set_authority(Host&, Request& self, std::optional<std::string> authority) {
  if (authority && !is_authority(*authority)) return none();
  self.authority = std::move(authority);
  return Unit{};
}

std::optional<Own<RequestOptions>> request_get_options(Host&, Request& self) {
  if (!self.options) return std::nullopt;
  return Own<RequestOptions>::make(*self.options, true);
}
Own<Fields> request_get_headers(Host&, Request& self) {
  return Own<Fields>::make(self.headers, true);
}

Parts request_consume_body(Host& host, Own<Request> this_, Future<Sent> res) {
  return consume(host, std::move(this_->body), std::move(res));
}

Own<RequestOptions> request_options_new(Host&) { return Own<RequestOptions>::make(); }
Own<RequestOptions> request_options_clone(Host&, RequestOptions& self) {
  return Own<RequestOptions>::make(self.timeouts, false);
}
std::optional<Duration> request_options_get_connect_timeout(Host&, RequestOptions& self) {
  return self.timeouts.connect;
}
Expected<Unit, RequestOptionsError> request_options_set_connect_timeout(
    Host&, RequestOptions& self, std::optional<Duration> duration) {
  return self.set(&host::HttpTimeouts::connect, duration);
}
std::optional<Duration> request_options_get_first_byte_timeout(Host&, RequestOptions& self) {
  return self.timeouts.first_byte;
}
Expected<Unit, RequestOptionsError> request_options_set_first_byte_timeout(
    Host&, RequestOptions& self, std::optional<Duration> duration) {
  return self.set(&host::HttpTimeouts::first_byte, duration);
}
std::optional<Duration> request_options_get_between_bytes_timeout(Host&, RequestOptions& self) {
  return self.timeouts.between_bytes;
}
Expected<Unit, RequestOptionsError> request_options_set_between_bytes_timeout(
    Host&, RequestOptions& self, std::optional<Duration> duration) {
  return self.set(&host::HttpTimeouts::between_bytes, duration);
}

// ---- Responses

class Response final : public Object {
 public:
  uint16_t status = 200;
  FieldsRef headers;
  Body body;
};

std::tuple<Own<Response>, Future<Sent>> response_new(Host& host, Own<Fields> headers,
                                                     std::optional<Stream<uint8_t>> contents,
                                                     Future<TrailersResult> trailers) {
  auto response = std::make_unique<Response>();
  response->headers = std::move(headers->fields);
  response->body.contents = std::move(contents);
  response->body.trailers = std::move(trailers);
  auto [future, promise] = new_future<Sent>(host);
  response->body.sent = std::move(promise);
  return {Own(std::move(response)), std::move(future)};
}

StatusCode response_get_status_code(Host&, Response& self) { return self.status; }
NoResult response_set_status_code(Host&, Response& self, StatusCode status_code) {
  if (status_code < 100 || status_code > 599) return none();
  self.status = status_code;
  return Unit{};
}
Own<Fields> response_get_headers(Host&, Response& self) {
  return Own<Fields>::make(self.headers, true);
}
Parts response_consume_body(Host& host, Own<Response> this_, Future<Sent> res) {
  return consume(host, std::move(this_->body), std::move(res));
}

}  // namespace http_types

// ---- Requests that guests send

namespace http_client {

namespace {

// What is under way, for as long as the guest waits for it.
struct Sending {
  std::shared_ptr<host::HttpExchange> exchange;
  SystemHost::PendingRef pending;
  // What became of the request: it was sent once all of it was written and there is an answer.
  Promise<Expected<Unit, ErrorCode>> sent;
  int missing = 2;

  void tell(Expected<Unit, ErrorCode> result) {
    if (sent && (!result || --missing == 0)) std::exchange(sent, nullptr)->set(std::move(result));
  }
  ~Sending() { tell(Err{ErrorCode::of_internal_error("the request was given up")}); }
};

}  // namespace

void send(Host& host, Own<Request> request, Reply<Expected<Own<Response>, ErrorCode>> reply) {
  using Tag = ErrorCode::Tag;
  const auto refuse = [&](Tag tag) {
    ErrorCode error;
    error.tag = tag;
    reply(Err{std::move(error)});
  };
  if (!host.process.http) return refuse(Tag::HTTPRequestDenied);
  if (!request->authority) return refuse(Tag::HTTPRequestURIInvalid);
  host::HttpRequest out;
  out.method = request->method;
  out.scheme = request->scheme.value_or("https");
  out.authority = *request->authority;
  out.path_with_query = request->path_with_query.value_or("/");
  out.fields = *request->headers;
  const auto sending = std::make_shared<Sending>();
  sending->sent = std::exchange(request->body.sent, nullptr);
  out.body = http_types::outgoing_body(
      host, request->body, out.fields, true, false,
      [sending](Expected<Unit, ErrorCode> result) { sending->tell(std::move(result)); });
  sending->exchange = host.process.http->send(host.loop, std::move(out),
                                              request->options.value_or(host::HttpTimeouts()));
  reply.on_cancel([&host, sending] {
    host.forget(sending->pending);
    sending->exchange.reset();
  });
  sending->pending = host.when_ready({sending->exchange->answered}, [sending, reply] {
    host::Outcome<host::HttpResponse>& answer = *sending->exchange->response;
    if (!answer) {
      sending->tell(Err{http_error(answer.status())});
      return reply(Err{http_error(answer.status())});
    }
    sending->tell(Unit{});
    auto response = std::make_unique<Response>();
    response->status = answer->status;
    response->headers =
        std::make_shared<host::HttpFields>(received_fields(std::move(answer->fields)));
    response->body.received = std::exchange(answer->body, nullptr);
    reply(Own(std::move(response)));
  });
}

}  // namespace http_client

// ---- Requests that guests answer

component::Val incoming_request(Host& host, host::HttpRequest request) {
  auto out = std::make_unique<http_types::Request>();
  out->method = std::move(request.method);
  out->path_with_query = http_types::some(std::move(request.path_with_query));
  out->scheme = http_types::some(std::move(request.scheme));
  out->authority = http_types::some(std::move(request.authority));
  out->headers = std::make_shared<host::HttpFields>(received_fields(std::move(request.fields)));
  out->body.received = std::move(request.body);
  return to_val(Own(std::move(out)), host);
}

HttpAnswer answer_of(Host& host, component::Val result, std::string_view method) {
  auto response =
      from_val<Expected<Own<http_types::Response>, http_types::ErrorCode>>(result, host);
  if (host.failed()) {
    (void)host.take_failure(host.store());
    return {{}, "the guest answered with what is no response"};
  }
  if (!response)
    return {{},
            std::string("the guest answered with the error ") +
                Meta<http_types::ErrorCode>::kNames[size_t(response.error().tag)]};
  http_types::Response& from = **response;
  host::HttpResponse out;
  out.status = from.status;
  out.fields = *from.headers;
  out.body = http_types::outgoing_body(
      host, from.body, out.fields, false, host::has_no_body(method, out.status),
      [sent =
           std::exchange(from.body.sent, nullptr)](Expected<Unit, http_types::ErrorCode> result) {
        if (sent) sent->set(std::move(result));
      });
  return {std::move(out), ""};
}

}  // namespace wafer::wasi::p3
