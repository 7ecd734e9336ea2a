#include "host/http/tls_engine.h"

#include <dlfcn.h>

#include <mutex>

#include "plugin/plugin.h"

// In wafer_host_tls, for programs that link it.
extern "C" __attribute__((weak)) wafer::host::TlsEngine* wafer_linked_tls_engine();

namespace wafer::host {

namespace {

constexpr plugin::Plugin kPlugin{"libwafer-tls.so", "WAFER_TLS", "wafer_tls_version",
                                 kTlsEngineVersion};

struct Loaded {
  TlsEngine* engine = nullptr;
  std::string reason;
};

Loaded load(const std::string& where_it_is) {
  if (wafer_linked_tls_engine) return {wafer_linked_tls_engine(), {}};
  const Result<void*> library = plugin::open(kPlugin, where_it_is);
  if (!library) return {nullptr, std::string(library.error().message)};
  const auto engine = reinterpret_cast<TlsEngine* (*)()>(dlsym(*library, "wafer_tls_engine"));
  if (!engine) return {nullptr, dlerror()};
  return {engine(), {}};
}

}  // namespace

Result<TlsEngine*> load_tls_engine(const std::string& where_it_is) {
  static std::mutex mutex;
  static bool tried = false;
  static Loaded loaded;
  const std::lock_guard lock(mutex);
  if (!std::exchange(tried, true)) loaded = load(where_it_is);
  if (loaded.engine) return loaded.engine;
  return Error(ErrorKind::Unsupported, "no TLS: " + loaded.reason);
}

std::string tls_library() {
  if (wafer_linked_tls_engine) return {};
  const std::string file = plugin::candidates(kPlugin, {}).front();
  return file.find('/') == std::string::npos ? std::string() : file;
}

}  // namespace wafer::host
