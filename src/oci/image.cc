#include "oci/image.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "base/descriptor.h"
#include "oci/archive.h"
#include "oci/reference.h"

namespace wafer::oci {

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

struct Defaults {
  std::vector<std::string> entry, command, env;
  std::string cwd;
};

Defaults defaults_of(const json& config) {
  Defaults d;
  if (const auto c = config.find("config"); c != config.end() && c->is_object()) {
    const auto take = [&c](const char* name, std::vector<std::string>& into) {
      if (const auto it = c->find(name); it != c->end() && it->is_array()) it->get_to(into);
    };
    take("Entrypoint", d.entry);
    take("Cmd", d.command);
    take("Env", d.env);
    d.cwd = c->value("WorkingDir", std::string());
  }
  return d;
}

// Unpacks into a folder of its own, which then gets its name: whoever finds the name finds all.
Result<std::string> in_folder(const std::string& cache, const std::string& name,
                              const std::function<Result<void>(const std::string&)>& fill) {
  std::error_code ec;
  const std::string path = cache + "/" + name;
  if (fs::is_directory(path, ec)) return path;
  fs::create_directories(cache, ec);
  std::string temporary = cache + "/.new-XXXXXX";
  if (!mkdtemp(temporary.data()))
    return Error(ErrorKind::Io, "cannot write to " + cache + ": " + std::strerror(errno));
  temporary = fs::canonical(temporary, ec).string();
  Result<void> filled = fill(temporary);
  if (filled) fs::rename(temporary, path, ec);
  if (!filled || ec) fs::remove_all(temporary, ec);
  if (!filled) return filled.take_error();
  if (!fs::is_directory(path, ec)) return Error(ErrorKind::Io, "cannot write to " + cache);
  return path;
}

// A file in `root`, whose path below it leads nowhere else: not by links, nor up and down again.
bool is_file_in(const std::string& root, const std::string& path) {
  const size_t begin = path.find_first_not_of('/');
  if (begin == path.npos) return false;
  const UniqueFd folder(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
  const UniqueFd file(
      int(syscall(SYS_openat2, folder.get(), path.c_str() + begin, &how, sizeof how)));
  struct stat st;
  return file && fstat(file.get(), &st) == 0 && S_ISREG(st.st_mode);
}

}  // namespace

Result<Runnable> unpack(const Store& store, Descriptor image, const std::string& cache,
                        const std::vector<std::string>& args) {
  WAFER_LET(text, store.get(image));
  WAFER_LET(j, parse_json(text, "the manifest"));
  if (j.contains("manifests")) {
    WAFER_LET(chosen, choose_platform(j));
    image = chosen;
    WAFER_LET(inner, store.get(image));
    WAFER_LET(inner_json, parse_json(inner, "the manifest"));
    j = inner_json;
  }
  WAFER_LET(manifest, Manifest::parse(j));
  WAFER_LET(config_text, store.get(manifest.config));
  WAFER_LET(config, parse_json(config_text, "the image's configuration"));
  Defaults d;
  try {
    d = defaults_of(config);
  } catch (const json::exception&) {
    return Error(ErrorKind::Invalid, "the image's configuration is damaged");
  }
  Runnable out;
  out.env = d.env;
  out.cwd = d.cwd;
  out.args = d.entry;
  const std::vector<std::string>& rest = args.empty() ? d.command : args;
  out.args.insert(out.args.end(), rest.begin(), rest.end());
  const std::string name = image.digest.substr(7);
  if (const Descriptor* const layer =
          choose_layer(manifest, d.entry.empty() ? std::string() : d.entry[0])) {
    WAFER_LET(folder, in_folder(cache, name, [&](const std::string& to) -> Result<void> {
                WAFER_LET(bytes, store.get(*layer));
                std::ofstream file(to + "/app.wasm", std::ios::binary);
                file << bytes;
                file.close();
                return file ? Result<void>() : Error(ErrorKind::Io, "cannot write to " + to);
              }));
    out.artifact = folder + "/app.wasm";
    if (d.entry.empty()) {
      const auto title = layer->annotations.find(kTitle);
      out.args.insert(out.args.begin(),
                      title == layer->annotations.end() ? "app.wasm" : title->second);
    }
    return out;
  }
  if (manifest.config.media_type == kWasmConfig)
    return Error(ErrorKind::Invalid, "the image has no layer of type application/wasm");
  const std::string os = text_of(config, "os");
  const std::string architecture = text_of(config, "architecture");
  if (out.args.empty()) return Error(ErrorKind::Usage, "the image does not say what to run");
  WAFER_LET(folder, in_folder(cache, name, [&](const std::string& to) -> Result<void> {
              uint64_t budget = Store::kMaxImage;
              for (const Descriptor& layer : manifest.layers) {
                WAFER_LET(bytes, store.get(layer));
                WAFER_TRY(unpack_layer(bytes, to, budget));
              }
              return {};
            }));
  out.root = folder;
  std::vector<std::string> places;
  const std::string& program = out.args[0];
  if (program.starts_with('/')) {
    places = {program};
  } else {
    places = {d.cwd + "/" + program, "/" + program, "/bin/" + program, "/usr/local/bin/" + program,
              "/usr/bin/" + program};
  }
  for (const std::string& place : places) {
    if (!is_file_in(folder, place)) continue;
    out.artifact = folder + "/" + place;
    return out;
  }
  return Error(
      ErrorKind::Usage,
      "the image has no file " + program +
          (is_wasm_platform(os, architecture) ? "" : "; it is for " + os + "/" + architecture));
}

Result<Descriptor> build(Layout& store, std::string_view program, const BuildOptions& o) {
  if (!program.starts_with(std::string_view("\0asm", 4)))
    return Error(ErrorKind::Invalid, "an image is made of a program in binary form");
  // The layer field tells a component from a module.
  const bool component = program.size() >= 8 && program[6] == 1;
  Descriptor layer, config;
  if (o.artifact) {
    WAFER_LET(l, store.put(program, kWasm));
    layer = l;
    layer.annotations[kTitle] = o.name;
    const json j = {{"architecture", "wasm"},
                    {"os", component ? "wasip2" : "wasip1"},
                    {"layerDigests", {layer.digest}}};
    WAFER_LET(c, store.put(to_text(j), kWasmConfig));
    config = c;
  } else {
    WAFER_LET(tar, make_tar({{o.name, program}}));
    WAFER_LET(l, store.put(tar, kLayer));
    layer = l;
    std::vector<std::string> entry{"/" + o.name};
    json inner = {{"Entrypoint", entry}};
    if (!o.args.empty()) inner["Cmd"] = o.args;
    if (!o.env.empty()) inner["Env"] = o.env;
    if (!o.labels.empty()) inner["Labels"] = o.labels;
    const json j = {{"architecture", "wasm"},
                    {"os", component ? "wasip2" : "wasi"},
                    {"config", inner},
                    {"rootfs", {{"type", "layers"}, {"diff_ids", {layer.digest}}}}};
    WAFER_LET(c, store.put(to_text(j), kConfig));
    config = c;
  }
  json manifest = {{"schemaVersion", 2},
                   {"mediaType", kManifest},
                   {"config", config.to_json()},
                   {"layers", {layer.to_json()}}};
  if (!o.labels.empty()) manifest["annotations"] = o.labels;
  WAFER_LET(m, store.put(to_text(manifest), kManifest));
  m.os = component ? "wasip2" : o.artifact ? "wasip1" : "wasi";
  m.architecture = "wasm";
  return std::move(m);
}

}  // namespace wafer::oci
