#include "serve/admin.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <memory>
#include <optional>

namespace wafer::serve {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;

namespace {
constexpr size_t kMostClients = 64;
constexpr auto kPatience = std::chrono::seconds(10);
}  // namespace

Admin::Admin(const Metrics& metrics, host::SocketRef listener)
    : metrics_(metrics), acceptor_(context_) {
  const host::Outcome<host::Endpoint> local = listener->local();
  address_ = local ? local->text() : "";
  UniqueFd fd = duplicate(listener->fd());
  boost::system::error_code error;
  acceptor_.assign(local && local->address.v6 ? tcp::v6() : tcp::v4(), fd.release(), error);
}

Admin::~Admin() {
  context_.stop();
  if (thread_.joinable()) thread_.join();
}

void Admin::start() {
  accept();
  thread_ = std::thread([this] { context_.run(); });
}

struct Admin::Client : std::enable_shared_from_this<Admin::Client> {
  Client(Admin& a, tcp::socket socket) : admin(a), stream(std::move(socket)) { ++admin.clients_; }
  ~Client() { --admin.clients_; }

  void read() {
    parser.emplace();
    parser->header_limit(8 << 10);
    stream.expires_after(kPatience);
    http::async_read(stream, buffer, *parser,
                     [self = shared_from_this()](const beast::error_code& error, size_t) {
                       if (!error) self->answer();
                     });
  }

  void answer() {
    const auto& request = parser->get();
    response = {};
    response.version(11);
    response.keep_alive(request.keep_alive());
    response.set(http::field::content_type, "text/plain; charset=utf-8");
    const bool get = request.method() == http::verb::get || request.method() == http::verb::head;
    if (!get) {
      response.result(http::status::method_not_allowed);
    } else if (request.target() == "/metrics") {
      response.set(http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
      response.body() = admin.metrics_.text();
    } else if (request.target() == "/healthz") {
      response.body() = "ok\n";
    } else if (request.target() == "/readyz") {
      response.result(admin.stopping_ ? http::status::service_unavailable : http::status::ok);
      response.body() = admin.stopping_ ? "stopping\n" : "ok\n";
    } else {
      response.result(http::status::not_found);
    }
    response.prepare_payload();
    if (request.method() == http::verb::head) response.body().clear();
    stream.expires_after(kPatience);
    http::async_write(stream, response,
                      [self = shared_from_this()](const beast::error_code& error, size_t) {
                        if (!error && self->response.keep_alive()) self->read();
                      });
  }

  Admin& admin;
  beast::tcp_stream stream;
  beast::flat_buffer buffer{16 << 10};
  std::optional<http::request_parser<http::empty_body>> parser;
  http::response<http::string_body> response;
};

void Admin::accept() {
  acceptor_.async_accept([this](const boost::system::error_code& error, tcp::socket socket) {
    if (!error && clients_ < kMostClients)
      std::make_shared<Client>(*this, std::move(socket))->read();
    if (!error || error == asio::error::connection_aborted) return accept();
    // Out of descriptors: later.
    auto timer = std::make_shared<asio::steady_timer>(context_, std::chrono::milliseconds(100));
    timer->async_wait([this, timer](const boost::system::error_code& e) {
      if (!e) accept();
    });
  });
}

}  // namespace wafer::serve
