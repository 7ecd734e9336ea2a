// TLS without a network: it turns the bytes of a connection into those that lie within, and back.
// What stands behind this is OpenSSL (`host/http/tls`), which is linked in or in a library of its
// own, "libwafer-tls.so": that has many addresses in it, which the loader writes into each process.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/span.h"

namespace wafer::host {

// Of everything in this file that lies between a program and the library; another number for each
// change to it.
constexpr uint64_t kTlsEngineVersion = 1;

// The side of the network, which sessions call within calls to them.
class TlsWire {
 public:
  // Bytes of the other side; 0: there are none for now.
  virtual size_t take(MutableBytes to) = 0;
  // Bytes for the other side.
  virtual void put(Bytes from) = 0;

 protected:
  ~TlsWire() = default;
};

enum class TlsStep : uint8_t {
  Done,
  Starved,  // again, once there is more to take
  Ended,    // the other side has said that nothing more comes
  Failed,   // for good; what is to be told to the other side was put
};

struct TlsFailure {
  bool certificate = false;  // it is not trusted, or not for this host
  int alert = -1;            // what the other side said, if it did
};

// A connection.
class TlsSession {
 public:
  virtual ~TlsSession() = default;
  virtual TlsStep handshake() = 0;
  // At most `to.size()` bytes, and at least one if Done.
  virtual TlsStep read(MutableBytes to, size_t& size) = 0;
  // All of it.
  virtual TlsStep write(Bytes from) = 0;
  // Says that nothing more comes.
  virtual void end() = 0;
  // What both sides agreed on by ALPN, or nothing.
  virtual std::string_view protocol() const = 0;
  // Why it has failed.
  virtual TlsFailure failure() const = 0;
};

// What connections of one kind share. For any thread.
class TlsSettings {
 public:
  virtual ~TlsSettings() = default;
  // For connections to the name `host`, or to the address, if it is one; null if no certificate
  // could be for that.
  virtual std::unique_ptr<TlsSession> connect(TlsWire& wire, const std::string& host,
                                              bool is_address) = 0;
  virtual std::unique_ptr<TlsSession> accept(TlsWire& wire) = 0;
};

class TlsEngine {
 public:
  // As TlsContext's functions of these names. Null with the reason in `why`.
  virtual std::unique_ptr<TlsSettings> client(const std::string& roots, bool http2,
                                              std::string& why) = 0;
  virtual std::unique_ptr<TlsSettings> server(const std::string& certificate,
                                              const std::string& key, bool http2,
                                              std::string& why) = 0;

 protected:
  ~TlsEngine() = default;
};

// The engine: the one that is linked in, or that of the library, which is loaded by the first call
// that needs it, from `where_it_is`, or else the variable WAFER_TLS, or else as plugin/plugin.h
// says. Unsupported, with the reason, if it cannot be had; it is not looked for again. For any
// thread.
Result<TlsEngine*> load_tls_engine(const std::string& where_it_is = {});

// The file that load_tls_engine() would try first; empty if it needs none, or knows none.
std::string tls_library();

}  // namespace wafer::host
