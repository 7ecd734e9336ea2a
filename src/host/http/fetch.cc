#include "host/http/fetch.h"

#include "host/http/client.h"

namespace wafer::host {

namespace {

Bytes bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  Url url;
  const size_t scheme = text.find("://");
  if (scheme == text.npos) return Error(ErrorKind::Invalid, "no URL: " + std::string(text));
  url.scheme = text.substr(0, scheme);
  text.remove_prefix(scheme + 3);
  const size_t path = std::min(text.find_first_of("/?"), text.size());
  url.authority = text.substr(0, path);
  url.target = text.substr(path);
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  const bool clean = url.target.find_first_of(" \r\n\t") == url.target.npos &&
                     url.authority.find_first_of(" \r\n\t@") == url.authority.npos;
  if (url.authority.empty() || !clean || (url.scheme != "http" && url.scheme != "https"))
    return Error(ErrorKind::Invalid, "no URL of HTTP: " + url.scheme + "://" + url.authority);
  return url;
}

Result<FetchResponse> Fetch::request(const FetchRequest& r) {
  WAFER_LET(url, Url::parse(r.url));
  if (!client_) {
    HttpClientOptions options;
    options.rules.allow_all();
    options.timeouts = {patience_, patience_, patience_};
    if (!keep_) options.idle_connections = 0;
    WAFER_LET(client, make_http_client(std::move(options)));
    client_ = client;
  }
  HttpRequest message{.method = r.method,
                      .scheme = url.scheme,
                      .authority = url.authority,
                      .path_with_query = url.target,
                      .fields = {{"user-agent", "wafer"}},
                      .body = nullptr};
  for (const auto& [name, value] : r.headers) message.fields.emplace_back(name, value);
  HttpBodyRef body;
  if (!r.body.empty()) {
    message.fields.emplace_back("content-length", std::to_string(r.body.size()));
    message.body = body = std::make_shared<HttpBody>();
  }
  const auto failed = [&](Status status) {
    return io_error("cannot " + r.method + " " + r.url, status);
  };

  const auto exchange = client_->send(loop_, std::move(message), {});
  Bytes unsent = bytes_of(r.body);
  FetchResponse response;
  HttpBodyRef answer;
  for (;;) {
    if (body) {
      const Outcome<size_t> room = body->room();
      const size_t size = room ? std::min(*room, unsent.size()) : 0;
      if (size) body->write(unsent.subspan(0, size));
      unsent = unsent.subspan(size);
      if (unsent.empty()) body->finish();
      // The server may answer without having read all.
      if (unsent.empty() || !room) body = nullptr;
    }
    if (!answer && exchange->response) {
      if (!*exchange->response) return failed(exchange->response->status());
      const HttpResponse& head = **exchange->response;
      response.status = head.status;
      for (const auto& [name, value] : head.fields) response.headers[lower_name(name)] = value;
      if (!head.body) return std::move(response);
      answer = head.body;
    }
    if (answer) {
      const Bytes front = answer->front();
      if (front.size() > r.limit - response.body.size())
        return Error(ErrorKind::Exhaustion,
                     r.url + " answers with more than " + std::to_string(r.limit) + " bytes");
      response.body.append(reinterpret_cast<const char*>(front.data()), front.size());
      answer->remove(front.size());
      if (r.progress && !front.empty()) r.progress(response.body.size());
      if (answer->done()) return std::move(response);
      if (answer->ended() && !answer->failure().ok()) return failed(answer->failure());
    }
    if (!loop_.run_one()) return failed(http_failure(HttpError::ConnectionTerminated));
  }
}

}  // namespace wafer::host
