// Registries of images: the OCI distribution specification.
#pragma once

#include <functional>
#include <string>

#include "oci/http.h"
#include "oci/reference.h"
#include "oci/store.h"

namespace wafer::oci {

// User and password that `docker login` has noted for a registry in a config.json; empty if none.
// `text` is that file.
std::string noted_credentials(std::string_view text, const std::string& registry);
// A challenge of RFC 7235: Bearer realm="...",service="...".
std::map<std::string, std::string> parse_challenge(const std::string& header, std::string& scheme);

class Registry {
 public:
  // `told` is called with a line for each step that takes a while.
  Registry(std::string host, std::function<void(const std::string&)> told);

  // Copies an image and all it consists of into `store`, under the reference's text. Of an index,
  // the part for WebAssembly. Digests are checked.
  Result<Descriptor> pull(const Reference& reference, Layout& store);
  // The other way.
  Result<void> push(const Store& store, const Descriptor& image, const Reference& reference);

 private:
  Result<HttpResponse> call(HttpRequest request, const Reference& reference, bool write);
  Result<std::string> token(const std::string& challenge, const Reference& reference, bool write);
  Result<std::string> fetch(const std::string& path, const Reference& reference, uint64_t limit,
                            const char* accept, std::string* media_type);
  std::string base() const;
  Http http_;
  std::string host_;
  std::string credentials_;    // base64 of user:password
  std::string authorization_;  // what the last challenge led to
  std::function<void(const std::string&)> told_;
};

}  // namespace wafer::oci
