#include "serve/serve.h"

#include <netdb.h>
#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>

#include "host/http/http2.h"
#include "serve/admin.h"
#include "serve/worker.h"

namespace wafer::serve {

namespace {

Metrics& metrics() {
  static Metrics m;
  return m;
}

// A socket that listens beside others of the same port.
Result<int> listen_beside(const host::Endpoint& endpoint) {
  sockaddr_storage address;
  const socklen_t length = endpoint.fill(address);
  UniqueFd fd = take_opened(socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int one = 1;
  if (!fd || setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
      setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0 ||
      bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      ::listen(fd.get(), SOMAXCONN) != 0)
    return host::io_error("cannot listen on '" + endpoint.text() + "'", host::Status::last());
  return fd.release();
}

Result<void> complete(Application& application) {
  if (application.generation) return {};
  WAFER_LET(generation, check(*application.component));
  application.generation = generation;
  return {};
}

// Null without a certificate.
Result<std::shared_ptr<host::TlsContext>> make_tls(const Options& options) {
  if (options.tls_certificate.empty() && options.tls_key.empty())
    return std::shared_ptr<host::TlsContext>();
  if (options.tls_certificate.empty() || options.tls_key.empty())
    return Error(ErrorKind::Usage, "TLS needs both a certificate and a key");
  return host::TlsContext::server(options.tls_certificate, options.tls_key,
                                  options.http2 && host::kHasHttp2);
}

}  // namespace

Result<Generation> check(const component::Component& component) {
  component::ComponentLinker linker;
  wasi::p2::add_to_linker(linker);
  wasi::p3::add_to_linker(linker);
  WAFER_TRY(linker.check(component));
  return generation_of(component);
}

Server::Server(Options options) : options_(std::move(options)) {}
Server::~Server() {
  admin_.reset();
  workers_.clear();
}

const std::string& Server::admin_address() const {
  static const std::string none;
  return admin_ ? admin_->address() : none;
}

Result<void> Server::open(Application application) {
  WAFER_TRY(complete(application));
  WAFER_LET(tls, make_tls(options_));
  WAFER_LET(process, host::Process::open(options_.surroundings));
  process_ = std::move(process);
  // The first socket tells whether the port is free; the others share it.
  WAFER_LET(first, host::listen_on(options_.address));
  const host::Outcome<host::Endpoint> local = first->local();
  if (!local) return host::io_error("cannot listen", local.status());
  address_ = local->text();
  first.reset();
  unsigned threads = options_.threads ? options_.threads : std::thread::hardware_concurrency();
  threads = std::max(1u, std::min(threads, 256u));
  for (unsigned i = 0; i < threads; ++i) {
    WAFER_LET(fd, listen_beside(*local));
    auto& worker = workers_.emplace_back(std::make_unique<Worker>(options_, process_, metrics()));
    worker->listen(fd);
    worker->set(application);
    worker->set(tls);
  }
  if (!options_.admin_address.empty()) {
    WAFER_LET(listener, host::listen_on(options_.admin_address));
    admin_ = std::make_unique<Admin>(metrics(), std::move(listener));
  }
  return {};
}

void Server::run() {
  if (admin_) admin_->start();
  std::vector<std::thread> others;
  for (size_t i = 1; i < workers_.size(); ++i)
    others.emplace_back([worker = workers_[i].get()] { worker->run(); });
  workers_[0]->run();
  for (std::thread& t : others) t.join();
}

void Server::stop() {
  if (admin_) admin_->set_stopping();
  for (const auto& worker : workers_) worker->stop();
}

void Server::reload_failed() { ++metrics().failed_reloads; }

Result<void> Server::reload(Application application) {
  const auto attempt = [&]() -> Result<void> {
    WAFER_TRY(complete(application));
    WAFER_LET(tls, make_tls(options_));
    for (const auto& worker : workers_) {
      worker->set(application);
      worker->set(tls);
    }
    return {};
  };
  Result<void> result = attempt();
  ++(result ? metrics().reloads : metrics().failed_reloads);
  return result;
}

}  // namespace wafer::serve
