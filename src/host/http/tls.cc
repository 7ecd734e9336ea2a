#include "host/http/tls.h"

#include "host/address.h"
#include "host/http.h"

#if WAFER_WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#endif

namespace wafer::host {

#if WAFER_WITH_TLS

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;

struct TlsContext::Impl {
  explicit Impl(ssl::context::method method) : context(method) {}
  ssl::context context;
  bool http2 = false;
};

namespace {

class TlsChannel final : public Channel, public std::enable_shared_from_this<TlsChannel> {
 public:
  TlsChannel(asio::ip::tcp::socket socket, ssl::context& context)
      : Channel(std::move(socket)), stream_(socket_, context) {}

  void read_some(asio::mutable_buffer to, Done done) override {
    stream_.async_read_some(asio::mutable_buffers_1(to), std::move(done));
  }
  void write(asio::const_buffer from, Done done) override {
    asio::async_write(stream_, asio::const_buffers_1(from), All(), std::move(done));
  }
  void write(const Pair& from, Done done) override {
    asio::async_write(stream_, from, All(), std::move(done));
  }
  void end(std::function<void()> done) override {
    // The other side may take its time to agree: that is not waited for.
    stream_.async_shutdown([self = shared_from_this()](const Error&) {});
    Channel::end(std::move(done));
  }
  std::string protocol() const override {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(const_cast<Stream&>(stream_).native_handle(), &name, &size);
    return std::string(reinterpret_cast<const char*>(name), size);
  }
  using Stream = ssl::stream<asio::ip::tcp::socket&>;
  Stream& stream() { return stream_; }

 private:
  Stream stream_;
};

Status failure(const Channel::Error& error, SSL* ssl) {
  if (error == asio::error::operation_aborted) return Status(ECANCELED);
  const long verified = SSL_get_verify_result(ssl);
  if (verified != X509_V_OK) return http_failure(HttpError::TLSCertificateError);
  if (error.category() == asio::error::get_ssl_category()) {
    // Alerts have reasons of their own.
    const int reason = ERR_GET_REASON(static_cast<unsigned long>(error.value()));
    if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256)
      return http_failure(HttpError::TLSAlertReceived, uint8_t(reason - SSL_AD_REASON_OFFSET));
  }
  return http_failure(HttpError::TLSProtocolError);
}

// As ALPN has them on the wire.
constexpr unsigned char kBoth[] = "\x02h2\x08http/1.1";
constexpr unsigned char kHttp1[] = "\x08http/1.1";
std::pair<const unsigned char*, unsigned> protocols(bool http2) {
  if (http2) return {kBoth, sizeof(kBoth) - 1};
  return {kHttp1, sizeof(kHttp1) - 1};
}

int select_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned offered_size, void* http2) {
  const auto [ours, size] = protocols(http2 != nullptr);
  if (SSL_select_next_proto(const_cast<unsigned char**>(out), out_size, ours, size, offered,
                            offered_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  return SSL_TLSEXT_ERR_OK;
}

Error unusable(const std::string& what, const Channel::Error& error) {
  return Error(ErrorKind::Io, what + ": " + error.message());
}

void handshake(const std::shared_ptr<TlsChannel>& channel, ssl::stream_base::handshake_type type,
               TlsContext::Done done) {
  channel->stream().async_handshake(type,
                                    [channel, done = std::move(done)](const Channel::Error& error) {
                                      if (!error) return done(ChannelRef(channel));
                                      done(failure(error, channel->stream().native_handle()));
                                    });
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::client(const std::string& roots, bool http2) {
  auto out = std::make_shared<TlsContext>();
  out->impl_ = std::make_shared<Impl>(ssl::context::tls_client);
  ssl::context& context = out->impl_->context;
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  Channel::Error error;
  if (roots.empty())
    context.set_default_verify_paths(error);
  else
    context.load_verify_file(roots, error);
  if (error) return unusable("cannot use trusted certificates '" + roots + "'", error);
  context.set_verify_mode(ssl::verify_peer, error);
  const auto [names, size] = protocols(http2);
  SSL_CTX_set_alpn_protos(context.native_handle(), names, size);
  return out;
}

Result<std::shared_ptr<TlsContext>> TlsContext::server(const std::string& certificate,
                                                       const std::string& key, bool http2) {
  auto out = std::make_shared<TlsContext>();
  out->impl_ = std::make_shared<Impl>(ssl::context::tls_server);
  ssl::context& context = out->impl_->context;
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.native_handle(),
                      SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  Channel::Error error;
  context.use_certificate_chain_file(certificate, error);
  if (error) return unusable("cannot use certificate '" + certificate + "'", error);
  context.use_private_key_file(key, ssl::context::pem, error);
  if (error) return unusable("cannot use key '" + key + "'", error);
  if (SSL_CTX_check_private_key(context.native_handle()) != 1)
    return Error(ErrorKind::Usage, "'" + key + "' is not the key of '" + certificate + "'");
  SSL_CTX_set_alpn_select_cb(context.native_handle(), select_protocol,
                             http2 ? out->impl_.get() : nullptr);
  return out;
}

ChannelRef TlsContext::connect(asio::ip::tcp::socket socket, const std::string& host, Done done) {
  auto channel = std::make_shared<TlsChannel>(std::move(socket), impl_->context);
  SSL* const ssl = channel->stream().native_handle();
  X509_VERIFY_PARAM* const param = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const bool ok = Address::parse(host)
                      ? X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1
                      : X509_VERIFY_PARAM_set1_host(param, host.data(), host.size()) == 1 &&
                            SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
  if (!ok) {
    asio::post(channel->socket().get_executor(),
               [done = std::move(done)] { done(http_failure(HttpError::TLSProtocolError)); });
    return channel;
  }
  handshake(channel, ssl::stream_base::client, std::move(done));
  return channel;
}

ChannelRef TlsContext::accept(asio::ip::tcp::socket socket, Done done) {
  auto channel = std::make_shared<TlsChannel>(std::move(socket), impl_->context);
  handshake(channel, ssl::stream_base::server, std::move(done));
  return channel;
}

#else

namespace {
Error none() { return Error(ErrorKind::Usage, "this build has no TLS"); }
}  // namespace

struct TlsContext::Impl {};

Result<std::shared_ptr<TlsContext>> TlsContext::client(const std::string&, bool) { return none(); }
Result<std::shared_ptr<TlsContext>> TlsContext::server(const std::string&, const std::string&,
                                                       bool) {
  return none();
}
ChannelRef TlsContext::connect(boost::asio::ip::tcp::socket, const std::string&, Done) {
  return nullptr;
}
ChannelRef TlsContext::accept(boost::asio::ip::tcp::socket, Done) { return nullptr; }

#endif

}  // namespace wafer::host
