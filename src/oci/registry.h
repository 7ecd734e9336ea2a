// Registries of images: the OCI distribution specification.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "host/http/fetch.h"
#include "oci/reference.h"
#include "oci/signature.h"
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

  // From now on, what is pulled has to have a signature by this key.
  void require_signature(PublicKey key) { key_ = std::move(key); }
  // Called while a blob comes.
  using Progress = std::function<void(const Descriptor& part, uint64_t bytes)>;
  void set_progress(Progress progress) { progress_ = std::move(progress); }
  // Registries with the same images, which pull() asks first, in order.
  void set_mirrors(std::vector<std::string> hosts) { mirrors_ = std::move(hosts); }

  // Copies an image and all it consists of into `store`, under the reference's text. Of an index,
  // the part for WebAssembly. Digests are checked.
  Result<Descriptor> pull(const Reference& reference, Layout& store);
  // The other way.
  Result<void> push(const Store& store, const Descriptor& image, const Reference& reference);

 private:
  void use(const std::string& host);
  // None if what is there has no signature by the key.
  Result<std::optional<Descriptor>> pull_here(const Reference& reference, Layout& store);
  Result<bool> is_signed(const Reference& reference, const std::string& digest);
  Result<host::FetchResponse> call(host::FetchRequest request, const Reference& reference,
                                   bool write);
  Result<std::string> token(const std::string& challenge, const Reference& reference, bool write);
  Result<std::string> fetch(const std::string& path, const Reference& reference, uint64_t limit,
                            const char* accept, std::string* media_type,
                            const Descriptor* part = nullptr);
  std::string base() const;
  host::Fetch http_;
  std::string host_;
  std::vector<std::string> mirrors_;
  std::optional<PublicKey> key_;
  Progress progress_;
  std::string credentials_;    // base64 of user:password
  std::string authorization_;  // what the last challenge led to
  std::function<void(const std::string&)> told_;
};

}  // namespace wafer::oci
