#include "oci/http.h"

#include <openssl/ssl.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <chrono>

namespace wafer::oci {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr std::chrono::seconds kPatience{30};

// Starts an operation that ends by calling what it is given, and waits.
template <class Start>
boost::system::error_code wait_for(asio::io_context& context, Start&& start) {
  boost::system::error_code result = asio::error::operation_aborted;
  context.restart();
  start([&result](boost::system::error_code ec, auto&&...) { result = ec; });
  context.run();
  return result;
}

// The request and its answer on a stream that is connected.
template <class Stream>
Result<HttpResponse> exchange(asio::io_context& context, Stream& stream, const HttpRequest& r,
                              const Url& url) {
  http::request<http::string_body> message{http::string_to_verb(r.method), url.target, 11};
  message.set(http::field::host, url.host + (url.port.empty() ? "" : ":" + url.port));
  message.set(http::field::user_agent, "wafer");
  for (const auto& [name, value] : r.headers) message.set(name, value);
  message.body() = r.body;
  message.prepare_payload();
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(r.limit);
  parser.header_limit(64 << 10);
  if (r.method == "HEAD") parser.skip(true);
  const auto failed = [&](boost::system::error_code ec) {
    return Error(ErrorKind::Io, r.method + " " + r.url + ": " + ec.message());
  };
  // Counted anew for each part that comes: what is slow may take long, what is stuck not.
  const auto tick = [&] { beast::get_lowest_layer(stream).expires_after(kPatience); };
  tick();
  http::request_serializer<http::string_body> serializer(message);
  while (!serializer.is_done()) {
    tick();
    if (const auto ec = wait_for(context, [&](auto done) {
          http::async_write_some(stream, serializer, std::move(done));
        }))
      return failed(ec);
  }
  while (!parser.is_done()) {
    tick();
    if (const auto ec = wait_for(context, [&](auto done) {
          http::async_read_some(stream, buffer, parser, std::move(done));
        }))
      return failed(ec);
  }
  HttpResponse response;
  response.status = parser.get().result_int();
  for (const auto& field : parser.get()) {
    std::string name(field.name_string());
    for (char& c : name) c = char(std::tolower(static_cast<unsigned char>(c)));
    response.headers[name] = std::string(field.value());
  }
  response.body = std::move(parser.get().body());
  return response;
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  Url url;
  const size_t scheme = text.find("://");
  if (scheme == text.npos) return Error(ErrorKind::Invalid, "no URL: " + std::string(text));
  url.scheme = text.substr(0, scheme);
  text.remove_prefix(scheme + 3);
  const size_t path = std::min(text.find_first_of("/?"), text.size());
  std::string_view authority = text.substr(0, path);
  url.target = text.substr(path);
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  const size_t colon = authority.rfind(':');
  if (colon != authority.npos && authority.find(']', colon) == authority.npos) {
    url.port = authority.substr(colon + 1);
    authority = authority.substr(0, colon);
  }
  url.host = authority;
  const bool clean = url.target.find_first_of(" \r\n\t") == url.target.npos &&
                     url.host.find_first_of(" \r\n\t@") == url.host.npos;
  if (url.host.empty() || !clean || (url.scheme != "http" && url.scheme != "https"))
    return Error(ErrorKind::Invalid, "no URL of HTTP: " + url.scheme + "://" + url.host);
  return url;
}

Result<HttpResponse> request(const HttpRequest& r) {
  WAFER_LET(url, Url::parse(r.url));
  const bool secure = url.scheme == "https";
  asio::io_context context;
  const auto failed = [&](boost::system::error_code ec) {
    return Error(ErrorKind::Io, "cannot connect to " + url.host + ": " + ec.message());
  };
  std::string host = url.host;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  tcp::resolver resolver(context);
  boost::system::error_code ec;
  const auto found = resolver.resolve(host, url.port.empty() ? url.scheme : url.port, ec);
  if (ec) return failed(ec);
  const auto connect = [&](beast::tcp_stream& stream) {
    stream.expires_after(kPatience);
    return wait_for(context, [&](auto done) { stream.async_connect(found, std::move(done)); });
  };
  if (!secure) {
    beast::tcp_stream stream(context);
    if ((ec = connect(stream))) return failed(ec);
    return exchange(context, stream, r, url);
  }
  asio::ssl::context tls(asio::ssl::context::tls_client);
  tls.set_default_verify_paths(ec);
  tls.set_verify_mode(asio::ssl::verify_peer, ec);
  beast::ssl_stream<beast::tcp_stream> stream(context, tls);
  stream.set_verify_callback(asio::ssl::host_name_verification(host), ec);
  if (!SSL_set_tlsext_host_name(stream.native_handle(), host.c_str()))
    return Error(ErrorKind::Io, "cannot connect to " + host);
  if ((ec = connect(beast::get_lowest_layer(stream)))) return failed(ec);
  beast::get_lowest_layer(stream).expires_after(kPatience);
  if ((ec = wait_for(context, [&](auto done) {
         stream.async_handshake(asio::ssl::stream_base::client, std::move(done));
       })))
    return failed(ec);
  return exchange(context, stream, r, url);
}

}  // namespace wafer::oci
