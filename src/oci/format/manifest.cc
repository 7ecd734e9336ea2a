#include "oci/format/manifest.h"

#include <algorithm>

namespace wafer::oci {

using nlohmann::json;

bool is_digest(std::string_view text) {
  return text.size() == 71 && text.starts_with("sha256:") &&
         text.find_first_not_of("0123456789abcdef", 7) == text.npos;
}

Result<Descriptor> Descriptor::parse(const json& j) {
  Descriptor d;
  try {
    d.media_type = j.value("mediaType", std::string());
    d.digest = j.at("digest").get<std::string>();
    d.size = j.at("size").is_number_unsigned() ? j["size"].get<uint64_t>() : ~uint64_t{0};
    d.annotations = j.value("annotations", std::map<std::string, std::string>());
    if (const auto p = j.find("platform"); p != j.end()) {
      d.os = p->value("os", std::string());
      d.architecture = p->value("architecture", std::string());
    }
  } catch (const json::exception&) {
    return Error(ErrorKind::Invalid, "an image names something without type, digest or size");
  }
  if (!is_digest(d.digest)) return Error(ErrorKind::Invalid, "no digest: '" + d.digest + "'");
  return d;
}

json Descriptor::to_json() const {
  json j = {{"mediaType", media_type}, {"digest", digest}, {"size", size}};
  if (!annotations.empty()) j["annotations"] = annotations;
  if (!os.empty()) j["platform"] = {{"os", os}, {"architecture", architecture}};
  return j;
}

Result<Manifest> Manifest::parse(const json& j) {
  if (!member_of(j, "config").is_object() || !member_of(j, "layers").is_array())
    return Error(ErrorKind::Invalid, "the image has no configuration or layers");
  Manifest m;
  WAFER_LET(config, Descriptor::parse(j["config"]));
  m.config = std::move(config);
  for (const json& layer : j["layers"]) {
    WAFER_LET(d, Descriptor::parse(layer));
    m.layers.push_back(std::move(d));
  }
  return m;
}

bool is_wasm_platform(const std::string& os, const std::string& architecture) {
  return architecture == "wasm" || architecture == "wasm32" || os.starts_with("wasi");
}

Result<Descriptor> choose_platform(const json& index) {
  std::vector<Descriptor> all;
  for (const json& m : list_of(index, "manifests")) {
    WAFER_LET(d, Descriptor::parse(m));
    // Attestations and the like.
    if (d.os == "unknown") continue;
    if (is_wasm_platform(d.os, d.architecture)) return d;
    all.push_back(std::move(d));
  }
  if (all.size() == 1) return all[0];
  std::string there;
  for (const Descriptor& d : all)
    there += (there.empty() ? "" : ", ") + d.os + "/" + d.architecture;
  return Error(ErrorKind::Unsupported, "the image is not for WebAssembly; it is for " +
                                           (there.empty() ? "nothing" : there));
}

const Descriptor* choose_layer(const Manifest& manifest, std::string_view program) {
  program.remove_prefix(program.rfind('/') + 1);  // (None is the last number.)
  const Descriptor* first = nullptr;
  for (const Descriptor& layer : manifest.layers) {
    const auto is_it = [&layer](const char* type) { return layer.media_type == type; };
    constexpr const char* kTypes[] = {kWasm, kWasmContent, kWasmComponent};
    if (std::none_of(std::begin(kTypes), std::end(kTypes), is_it)) continue;
    if (!first) first = &layer;
    const auto title = layer.annotations.find(kTitle);
    if (title != layer.annotations.end() && title->second == program) return &layer;
  }
  return first;
}

}  // namespace wafer::oci
