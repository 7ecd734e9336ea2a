// TLS for channels, for both sides, by the engine of tls_engine.h. Without one nothing here
// succeeds.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "host/http/channel.h"
#include "host/status.h"

namespace wafer::host {

class TlsSettings;

// What connections of one kind share: certificates, roots, protocols to agree on. For any thread.
class TlsContext {
 public:
  // For clients. `roots`: a file of trusted certificates in PEM; empty: the system's, or what the
  // variables SSL_CERT_FILE and SSL_CERT_DIR name. `http2`: whether h2 may be agreed on.
  static Result<std::shared_ptr<TlsContext>> client(const std::string& roots, bool http2);
  // For servers: a certificate with what it is issued by, and its key, in PEM. `http2`: as above.
  static Result<std::shared_ptr<TlsContext>> server(const std::string& certificate,
                                                    const std::string& key, bool http2);
  TlsContext(std::unique_ptr<TlsSettings> settings);
  ~TlsContext();

  using Done = std::function<void(Outcome<ChannelRef>)>;
  // TLS over a connected socket. Calls `done` from the loop. Failures: TLSCertificateError if the
  // certificate is not trusted, or not for `host` (a name or an address), TLSAlertReceived,
  // TLSProtocolError. Closing the socket ends it: the channel that will be is given for
  // that.
  ChannelRef connect(boost::asio::ip::tcp::socket socket, const std::string& host, Done done);
  ChannelRef accept(boost::asio::ip::tcp::socket socket, Done done);

 private:
  const std::unique_ptr<TlsSettings> settings_;
};

}  // namespace wafer::host
