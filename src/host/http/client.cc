#include "host/http/client.h"

#include <algorithm>
#include <charconv>

#include "host/http/job.h"

namespace wafer::host {

namespace {

// What a request says about its body's length; HTTPProtocolError if that makes no sense.
Outcome<std::optional<uint64_t>> told_length(const HttpFields& fields) {
  std::optional<uint64_t> length;
  for (const auto& [name, value] : fields) {
    if (!same_name(name, "content-length")) continue;
    uint64_t n = 0;
    const char* const end = value.data() + value.size();
    const auto [at, error] = std::from_chars(value.data(), end, n);
    if (error != std::errc() || at != end || length)
      return http_failure(HttpError::HTTPProtocolError);
    length = n;
  }
  return length;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0; });
}

class Client final : public HttpClient {
 public:
  explicit Client(HttpClientOptions options) : shared_(std::make_shared<ClientShared>()) {
    shared_->options = std::move(options);
  }
  Outcome<std::shared_ptr<TlsContext>> tls() { return shared_->tls(); }

  std::shared_ptr<HttpExchange> send(Loop& loop, HttpRequest request,
                                     const HttpTimeouts& timeouts) override {
    auto exchange = std::make_shared<HttpExchange>();
    if (const Outcome<HttpOrigin> origin = check(request))
      start(loop, std::move(request), *origin, timeouts, exchange);
    else {
      if (request.body) request.body->discard();
      exchange->answer(origin.status());
    }
    return exchange;
  }

 private:
  // What of a request can be told without a connection; makes its parts ready to be sent.
  Outcome<HttpOrigin> check(HttpRequest& request) const {
    if (request.scheme != "http" && request.scheme != "https")
      return http_failure(HttpError::HTTPRequestURIInvalid);
    const auto origin = HttpOrigin::parse(request.scheme == "https", request.authority);
    if (!origin) return http_failure(HttpError::HTTPRequestURIInvalid);
    if (!shared_->options.rules.allows(*origin)) return http_failure(HttpError::HTTPRequestDenied);
    // Tunnels would lead where no rule looks.
    if (!is_token(request.method) || request.method == "CONNECT")
      return http_failure(HttpError::HTTPRequestMethodInvalid);
    std::string& path = request.path_with_query;
    if (path.empty())
      path = request.method == "OPTIONS" ? "*" : "/";
    else if (path[0] == '?')
      path = "/" + path;
    if (!is_ascii(path) || !is_target(request.method, path))
      return http_failure(HttpError::HTTPRequestURIInvalid);
    for (const auto& [name, value] : request.fields)
      if (!is_token(name) || !is_field_value(value))
        return http_failure(HttpError::HTTPProtocolError);
    HOST_LET(length, told_length(request.fields));
    if (!request.body && length.value_or(0) > 0)
      return http_failure(HttpError::HTTPRequestBodySize);
    return *origin;
  }

  void start(Loop& loop, HttpRequest request, const HttpOrigin& origin,
             const HttpTimeouts& timeouts, const std::shared_ptr<HttpExchange>& exchange) {
    const HttpTimeouts& usual = shared_->options.timeouts;
    const HttpTimeouts all{timeouts.connect ? timeouts.connect : usual.connect,
                           timeouts.first_byte ? timeouts.first_byte : usual.first_byte,
                           timeouts.between_bytes ? timeouts.between_bytes : usual.between_bytes};
    Job::begin(pool(loop), {std::move(request), origin, all, exchange});
  }

  // The loop's; it goes with the loop, or without it when this client is long gone.
  Pool& pool(Loop& loop) {
    std::shared_ptr<void>& kept = loop.of(shared_.get());
    if (!kept) kept = std::make_shared<Pool>(shared_, loop);
    return *static_cast<Pool*>(kept.get());
  }

  std::shared_ptr<ClientShared> shared_;
};

}  // namespace

Result<std::shared_ptr<HttpClient>> make_http_client(HttpClientOptions options) {
  if (!options.roots.empty()) WAFER_TRY(TlsContext::client(options.roots, options.http2));
  return std::shared_ptr<HttpClient>(std::make_shared<Client>(std::move(options)));
}

}  // namespace wafer::host
