// Manifests and indexes of the OCI image specification, and what of them is for WebAssembly.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "oci/format/json.h"

namespace wafer::oci {

// "sha256:" and 64 hexadecimal digits? Others have no business in paths.
bool is_digest(std::string_view text);

// What names a blob.
struct Descriptor {
  std::string media_type, digest;
  uint64_t size = 0;
  std::map<std::string, std::string> annotations;
  std::string os, architecture;  // of a manifest in an index

  // Invalid.
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
inline constexpr const char* kWasmComponent =
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm";
inline constexpr const char* kWasmConfig = "application/vnd.wasm.config.v0+json";
inline constexpr const char* kWasm = "application/wasm";
inline constexpr const char* kRefName = "org.opencontainers.image.ref.name";
inline constexpr const char* kTitle = "org.opencontainers.image.title";

// What an image consists of.
struct Manifest {
  Descriptor config;
  std::vector<Descriptor> layers;
  // Invalid.
  static Result<Manifest> parse(const nlohmann::json& json);
};

bool is_wasm_platform(const std::string& os, const std::string& architecture);
// Of an index, the manifest for WebAssembly, or the only one. Unsupported if there is none.
Result<Descriptor> choose_platform(const nlohmann::json& index);
// The layer that is a program and not an archive: the one whose title is the last part of
// `program`, a path, or else the first. Null if there is none.
const Descriptor* choose_layer(const Manifest& manifest, std::string_view program);

}  // namespace wafer::oci
