// TlsEngine by OpenSSL.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/deleter.h"
#include "host/http/tls_engine.h"

namespace wafer::host {

namespace {

using Context = std::unique_ptr<SSL_CTX, Deleter<SSL_CTX, SSL_CTX_free>>;
using Connection = std::unique_ptr<SSL, Deleter<SSL, SSL_free>>;

// ---- The network, as OpenSSL sees it --------------------------------------------

TlsWire& wire_of(BIO* bio) { return *static_cast<TlsWire*>(BIO_get_data(bio)); }

int bio_read(BIO* bio, char* to, int size) {
  BIO_clear_retry_flags(bio);
  const size_t n = wire_of(bio).take({reinterpret_cast<uint8_t*>(to), size_t(size)});
  if (n > 0) return int(n);
  BIO_set_retry_read(bio);
  return -1;
}

int bio_write(BIO* bio, const char* from, int size) {
  BIO_clear_retry_flags(bio);
  wire_of(bio).put({reinterpret_cast<const uint8_t*>(from), size_t(size)});
  return size;
}

long bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* bio_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* const m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wafer");
    if (m) {
      BIO_meth_set_read(m, bio_read);
      BIO_meth_set_write(m, bio_write);
      BIO_meth_set_ctrl(m, bio_control);
    }
    return m;
  }();
  return method;
}

// ---- Sessions ---------------------------------------------------------------------

class Session final : public TlsSession {
 public:
  static std::unique_ptr<Session> make(SSL_CTX* context, TlsWire& wire) {
    Connection ssl(SSL_new(context));
    BIO* const bio = ssl && bio_method() ? BIO_new(bio_method()) : nullptr;
    if (!bio) return nullptr;
    BIO_set_data(bio, &wire);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl.get(), bio, bio);
    SSL_set_mode(ssl.get(), SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    return std::unique_ptr<Session>(new Session(std::move(ssl)));
  }
  SSL* ssl() { return ssl_.get(); }

  TlsStep handshake() override {
    ERR_clear_error();
    return step(SSL_do_handshake(ssl()));
  }
  TlsStep read(MutableBytes to, size_t& size) override {
    ERR_clear_error();
    return step(SSL_read_ex(ssl(), to.data(), to.size(), &size));
  }
  TlsStep write(Bytes from) override {
    if (from.empty()) return TlsStep::Done;
    ERR_clear_error();
    size_t written = 0;
    return step(SSL_write_ex(ssl(), from.data(), from.size(), &written));
  }
  void end() override {
    ERR_clear_error();
    // Not in the middle of a handshake, nor after a failure.
    if (SSL_is_init_finished(ssl()) && !failed_) (void)SSL_shutdown(ssl());
    ERR_clear_error();
  }
  std::string_view protocol() const override {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  TlsFailure failure() const override {
    TlsFailure out;
    out.certificate = SSL_get_verify_result(ssl_.get()) != X509_V_OK;
    // Alerts have reasons of their own.
    const int reason = ERR_GET_REASON(error_);
    if (ERR_GET_LIB(error_) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET &&
        reason < SSL_AD_REASON_OFFSET + 256)
      out.alert = reason - SSL_AD_REASON_OFFSET;
    return out;
  }

 private:
  explicit Session(Connection ssl) : ssl_(std::move(ssl)) {}

  TlsStep step(int result) {
    if (result == 1) return TlsStep::Done;
    switch (SSL_get_error(ssl(), result)) {
      case SSL_ERROR_WANT_READ:
        return TlsStep::Starved;
      case SSL_ERROR_ZERO_RETURN:
        return TlsStep::Ended;
      default:
        if (!failed_) error_ = ERR_peek_error();
        failed_ = true;
        ERR_clear_error();
        return TlsStep::Failed;
    }
  }

  Connection ssl_;
  bool failed_ = false;
  unsigned long error_ = 0;
};

// ---- Settings ---------------------------------------------------------------------

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

class Settings final : public TlsSettings {
 public:
  explicit Settings(Context context) : context_(std::move(context)) {}
  SSL_CTX* context() { return context_.get(); }

  std::unique_ptr<TlsSession> connect(TlsWire& wire, const std::string& host,
                                      bool is_address) override {
    std::unique_ptr<Session> session = Session::make(context(), wire);
    if (!session) return nullptr;
    SSL* const ssl = session->ssl();
    SSL_set_connect_state(ssl);
    X509_VERIFY_PARAM* const param = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    const bool ok = is_address
                        ? X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1
                        : X509_VERIFY_PARAM_set1_host(param, host.data(), host.size()) == 1 &&
                              SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
    if (!ok) return nullptr;
    return session;
  }
  std::unique_ptr<TlsSession> accept(TlsWire& wire) override {
    std::unique_ptr<Session> session = Session::make(context(), wire);
    if (session) SSL_set_accept_state(session->ssl());
    return session;
  }

 private:
  const Context context_;
};

std::string reason() {
  char text[256];
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  ERR_clear_error();
  return text;
}

class Engine final : public TlsEngine {
 public:
  std::unique_ptr<TlsSettings> client(const std::string& roots, bool http2,
                                      std::string& why) override {
    ERR_clear_error();
    Context context(SSL_CTX_new(TLS_client_method()));
    const bool ok =
        context && (roots.empty() ? SSL_CTX_set_default_verify_paths(context.get())
                                  : SSL_CTX_load_verify_file(context.get(), roots.c_str())) == 1;
    if (!ok) {
      why = "cannot use trusted certificates '" + roots + "': " + reason();
      return nullptr;
    }
    SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    SSL_CTX_set_options(context.get(), SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    const auto [names, size] = protocols(http2);
    SSL_CTX_set_alpn_protos(context.get(), names, size);
    return std::make_unique<Settings>(std::move(context));
  }

  std::unique_ptr<TlsSettings> server(const std::string& certificate, const std::string& key,
                                      bool http2, std::string& why) override {
    ERR_clear_error();
    Context context(SSL_CTX_new(TLS_server_method()));
    if (!context || SSL_CTX_use_certificate_chain_file(context.get(), certificate.c_str()) != 1) {
      why = "cannot use certificate '" + certificate + "': " + reason();
      return nullptr;
    }
    // That of another certificate is refused as well.
    if (SSL_CTX_use_PrivateKey_file(context.get(), key.c_str(), SSL_FILETYPE_PEM) != 1) {
      const bool other = ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_VALUES_MISMATCH;
      why = other ? "'" + key + "' is not the key of '" + certificate + "'"
                  : "cannot use key '" + key + "': " + reason();
      ERR_clear_error();
      return nullptr;
    }
    SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    SSL_CTX_set_options(context.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                           SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_alpn_select_cb(context.get(), select_protocol, http2 ? this : nullptr);
    return std::make_unique<Settings>(std::move(context));
  }
};

TlsEngine* engine() {
  static Engine one;
  return &one;
}

}  // namespace

}  // namespace wafer::host

extern "C" {

// For programs that link it.
__attribute__((visibility("hidden"))) wafer::host::TlsEngine* wafer_linked_tls_engine() {
  return wafer::host::engine();
}

// Of the library.
__attribute__((visibility("default"))) uint64_t wafer_tls_version() {
  return wafer::host::kTlsEngineVersion;
}
__attribute__((visibility("default"))) wafer::host::TlsEngine* wafer_tls_engine() {
  return wafer::host::engine();
}
}
