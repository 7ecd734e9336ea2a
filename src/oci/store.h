// Images on this machine: a folder in the form of an OCI image layout.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace wafer::oci {

// What names a blob.
struct Descriptor {
  std::string media_type, digest;
  uint64_t size = 0;
  std::map<std::string, std::string> annotations;
  std::string os, architecture;  // of a manifest in an index

  static Result<Descriptor> parse(const nlohmann::json& json);
  nlohmann::json to_json() const;
};

// Media types that matter here.
inline constexpr const char* kIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr const char* kManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr const char* kConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr const char* kLayer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr const char* kDockerIndex =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr const char* kDockerManifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr const char* kWasmContent = "application/vnd.wasm.content.layer.v1+wasm";
inline constexpr const char* kWasmConfig = "application/vnd.wasm.config.v0+json";
inline constexpr const char* kWasm = "application/wasm";
inline constexpr const char* kRefName = "org.opencontainers.image.ref.name";

// Blobs by digest, and what they are called.
class Store {
 public:
  static constexpr uint64_t kMaxBlob = uint64_t{1} << 30;
  virtual ~Store() = default;
  // All of a blob, whose size and digest are right. Io, Invalid.
  Result<std::string> get(const Descriptor& descriptor) const;
  virtual bool has(const std::string& digest) const = 0;
  // Manifests and indexes with names, in order.
  virtual Result<std::vector<Descriptor>> names() const = 0;
  // The one that is called `name`; the only one if it is empty. Usage if there is none.
  Result<Descriptor> find(const std::string& name) const;

 protected:
  virtual Result<std::string> read(const std::string& digest, uint64_t limit) const = 0;
};

// A folder; the user's own is default_folder().
class Layout final : public Store {
 public:
  explicit Layout(std::string folder) : folder_(std::move(folder)) {}
  // $XDG_DATA_HOME/wafer/images or ~/.local/share/wafer/images; empty if there is neither.
  static std::string default_folder();
  bool has(const std::string& digest) const override;
  Result<std::vector<Descriptor>> names() const override;
  // Keeps a blob; gives its descriptor. Io.
  Result<Descriptor> put(std::string_view bytes, std::string media_type);
  // Calls `descriptor` by `name`, which is taken from any other.
  Result<void> set_name(const std::string& name, Descriptor descriptor);
  // Forgets a name, and all blobs that no name leads to any more. Usage if there is no such name.
  Result<void> remove(const std::string& name);

 protected:
  Result<std::string> read(const std::string& digest, uint64_t limit) const override;

 private:
  Result<void> write_index(const std::vector<Descriptor>& names);
  std::string path_of(const std::string& digest) const;
  std::string folder_;
};

// An archive of `docker save`, or an OCI layout as a tar; in memory.
Result<std::unique_ptr<Store>> open_archive(const std::string& file);

// Member `name` of what may be an object, or null; and that if it is a string, or "". What
// registries say is of any type, which members of nlohmann::json throw at.
const nlohmann::json& member_of(const nlohmann::json& object, const std::string& name);
std::string text_of(const nlohmann::json& object, const std::string& name);
// JSON as text. What is no UTF-8, which only headers and command lines can have, is replaced.
std::string to_text(const nlohmann::json& json);
// JSON of a manifest, index or configuration. Invalid.
Result<nlohmann::json> parse_json(std::string_view text, const char* what);
// Every blob that `top` leads to, itself first.
Result<std::vector<Descriptor>> reachable(const Store& store, const Descriptor& top);

}  // namespace wafer::oci
