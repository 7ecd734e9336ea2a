#include "oci/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/descriptor.h"
#include "oci/archive.h"
#include "oci/reference.h"

namespace wafer::oci {

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

Error system_error(const std::string& what) {
  return Error(ErrorKind::Io, what + ": " + std::strerror(errno));
}

Result<std::string> read_file(const std::string& path, uint64_t limit) {
  // A pipe there would be waited for.
  const UniqueFd file =
      take_opened(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat st;
  if (!file || fstat(file.get(), &st) != 0) return system_error("cannot read " + path);
  if (!S_ISREG(st.st_mode)) return Error(ErrorKind::Io, path + " is not a file");
  if (uint64_t(st.st_size) > limit) return Error(ErrorKind::Exhaustion, path + " is too large");
  std::string text(size_t(st.st_size), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = read(file.get(), text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return system_error("cannot read " + path);
    done += size_t(n);
  }
  return text;
}

// Beside its place, then renamed: nobody sees half of it.
Result<void> write_file(const std::string& path, std::string_view bytes) {
  std::string temporary = path + ".XXXXXX";
  const UniqueFd file = take_opened(mkostemp(temporary.data(), O_CLOEXEC));
  if (!file) return system_error("cannot write " + path);
  while (!bytes.empty()) {
    const ssize_t n = write(file.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const Error error = system_error("cannot write " + path);
      unlink(temporary.c_str());
      return error;
    }
    bytes.remove_prefix(size_t(n));
  }
  (void)fchmod(file.get(), 0644);
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    const Error error = system_error("cannot write " + path);
    unlink(temporary.c_str());
    return error;
  }
  return {};
}

class MemoryStore final : public Store {
 public:
  std::map<std::string, std::string> blobs;
  std::vector<Descriptor> top;
  bool has(const std::string& digest) const override { return blobs.count(digest) != 0; }
  Result<std::vector<Descriptor>> names() const override { return top; }
  std::string put(std::string bytes) {
    std::string digest = digest_of(bytes);
    blobs[digest] = std::move(bytes);
    return digest;
  }

 protected:
  Result<std::string> read(const std::string& digest, uint64_t limit) const override {
    const auto it = blobs.find(digest);
    if (it == blobs.end()) return Error(ErrorKind::Io, "the archive has no blob " + digest);
    return it->second;
  }
};

Result<std::vector<Descriptor>> names_of(const json& index) {
  std::vector<Descriptor> out;
  if (!index.contains("manifests") || !index["manifests"].is_array())
    return Error(ErrorKind::Invalid, "index.json has no manifests");
  for (const json& m : index["manifests"]) {
    WAFER_LET(d, Descriptor::parse(m));
    out.push_back(std::move(d));
  }
  return out;
}

}  // namespace

Result<std::string> Store::get(const Descriptor& d) const {
  if (d.size > kMaxBlob)
    return Error(ErrorKind::Exhaustion, "the blob " + d.digest + " is too large");
  WAFER_LET(bytes, read(d.digest, kMaxBlob));
  if (bytes.size() != d.size || digest_of(bytes) != d.digest)
    return Error(ErrorKind::Invalid, "the content of " + d.digest + " does not have this digest");
  return std::move(bytes);
}

Result<Descriptor> Store::find(const std::string& name) const {
  WAFER_LET(all, names());
  if (name.empty() && all.size() == 1) return all[0];
  std::string known;
  for (const Descriptor& d : all) {
    for (const char* key : {kRefName, "io.containerd.image.name"}) {
      const auto it = d.annotations.find(key);
      if (it == d.annotations.end()) continue;
      if (it->second == name) return d;
      known += (known.empty() ? "; there are " : ", ") + it->second;
    }
  }
  if (name.empty())
    return Error(ErrorKind::Usage, all.empty() ? "there is no image" : "which image?" + known);
  return Error(ErrorKind::Usage, "there is no image '" + name + "'" + known);
}

std::string Layout::default_folder() {
  if (const char* data = std::getenv("XDG_DATA_HOME"); data && *data == '/')
    return std::string(data) + "/wafer/images";
  if (const char* home = std::getenv("HOME"); home && *home == '/')
    return std::string(home) + "/.local/share/wafer/images";
  return {};
}

std::string Layout::path_of(const std::string& digest) const {
  return folder_ + "/blobs/sha256/" + digest.substr(7);
}

bool Layout::has(const std::string& digest) const {
  return is_digest(digest) && access(path_of(digest).c_str(), R_OK) == 0;
}

Result<std::string> Layout::read(const std::string& digest, uint64_t limit) const {
  return read_file(path_of(digest), limit);
}

Result<std::vector<Descriptor>> Layout::names() const {
  const std::string path = folder_ + "/index.json";
  if (access(path.c_str(), F_OK) != 0) return std::vector<Descriptor>();
  WAFER_LET(text, read_file(path, 64u << 20));
  WAFER_LET(index, parse_json(text, "index.json"));
  return names_of(index);
}

Result<Descriptor> Layout::put(std::string_view bytes, std::string media_type) {
  Descriptor d;
  d.media_type = std::move(media_type);
  d.digest = digest_of(bytes);
  d.size = bytes.size();
  std::error_code ec;
  fs::create_directories(folder_ + "/blobs/sha256", ec);
  if (!has(d.digest)) WAFER_TRY(write_file(path_of(d.digest), bytes));
  return d;
}

// Folders are locked, which leaves nothing behind; not where the file system has no locks.
UniqueFd Layout::lock(const std::string& folder, int kind) const {
  UniqueFd fd = take_opened(open((folder_ + folder).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  while (fd && flock(fd.get(), kind) != 0 && errno == EINTR) continue;
  return fd;
}

Result<UniqueFd> Layout::keep_blobs() {
  std::error_code ec;
  fs::create_directories(folder_ + "/blobs/sha256", ec);
  UniqueFd kept = lock("/blobs", LOCK_SH);
  if (!kept) return system_error("cannot open " + folder_ + "/blobs");
  return kept;
}

Result<void> Layout::write_index(const std::vector<Descriptor>& names) {
  json index = {{"schemaVersion", 2}, {"mediaType", kIndex}, {"manifests", json::array()}};
  for (const Descriptor& d : names) index["manifests"].push_back(d.to_json());
  WAFER_TRY(write_file(folder_ + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
  return write_file(folder_ + "/index.json", to_text(index));
}

Result<void> Layout::set_name(const std::string& name, Descriptor descriptor) {
  const UniqueFd alone = lock("", LOCK_EX);
  WAFER_LET(all, names());
  std::erase_if(all, [&](const Descriptor& d) {
    const auto it = d.annotations.find(kRefName);
    return it != d.annotations.end() && it->second == name;
  });
  descriptor.annotations[kRefName] = name;
  all.push_back(std::move(descriptor));
  return write_index(all);
}

Result<void> Layout::remove(const std::string& name) {
  const UniqueFd blobs = lock("/blobs", LOCK_EX), alone = lock("", LOCK_EX);
  WAFER_LET(found, find(name));
  WAFER_LET(all, names());
  std::erase_if(all, [&](const Descriptor& d) {
    return d.digest == found.digest && d.annotations == found.annotations;
  });
  WAFER_TRY(write_index(all));
  std::set<std::string> used;
  for (const Descriptor& d : all) {
    WAFER_LET(parts, reachable(*this, d));
    for (const Descriptor& b : parts) used.insert(b.digest.substr(7));
  }
  std::error_code ec;
  for (fs::directory_iterator it(folder_ + "/blobs/sha256", ec), end; !ec && it != end;
       it.increment(ec))
    if (!used.count(it->path().filename().string())) fs::remove(it->path(), ec);
  return {};
}

Result<std::vector<Descriptor>> reachable(const Store& store, const Descriptor& top) {
  std::vector<Descriptor> out{top};
  std::set<std::string> seen{top.digest};
  constexpr size_t kMost = 10000;
  for (size_t i = 0; i < out.size(); ++i) {
    const std::string type = out[i].media_type;
    const bool is_index = type == kIndex || type == kDockerIndex;
    if (!is_index && type != kManifest && type != kDockerManifest) continue;
    // Of an index, the platforms that nobody asked for need not be there.
    if (i && !store.has(out[i].digest)) continue;
    WAFER_LET(text, store.get(out[i]));
    WAFER_LET(j, parse_json(text, "a manifest"));
    std::vector<json> parts;
    if (is_index) {
      for (const json& m : j.value("manifests", json::array())) parts.push_back(m);
    } else {
      parts.push_back(j.value("config", json()));
      for (const json& l : j.value("layers", json::array())) parts.push_back(l);
    }
    for (const json& part : parts) {
      WAFER_LET(d, Descriptor::parse(part));
      if (seen.insert(d.digest).second) out.push_back(std::move(d));
    }
    if (out.size() > kMost) return Error(ErrorKind::Exhaustion, "the image has too many parts");
  }
  return out;
}

Result<std::unique_ptr<Store>> open_archive(const std::string& file) {
  WAFER_LET(files, read_archive_file(file, Store::kMaxImage));
  auto store = std::make_unique<MemoryStore>();
  if (files.count("index.json")) {
    WAFER_LET(index, parse_json(files["index.json"], "index.json"));
    WAFER_LET(top, names_of(index));
    store->top = std::move(top);
    for (auto& [name, content] : files)
      if (name.starts_with("blobs/sha256/"))
        store->blobs["sha256:" + name.substr(13)] = std::move(content);
    return std::unique_ptr<Store>(std::move(store));
  }
  if (!files.count("manifest.json"))
    return Error(ErrorKind::Invalid, file + " is no archive of an image");
  const json list = parse_or_null(files["manifest.json"]);
  if (!list.is_array()) return Error(ErrorKind::Invalid, file + ": manifest.json is not a list");
  try {
    for (const json& entry : list) {
      const auto take = [&](const json& name, const char* type) {
        Descriptor d;
        const std::string& content = files[name.get<std::string>()];
        d.media_type = type;
        d.size = content.size();
        d.digest = store->put(content);
        return d.to_json();
      };
      json manifest = {{"schemaVersion", 2},
                       {"mediaType", kManifest},
                       {"config", take(entry.at("Config"), kConfig)},
                       {"layers", json::array()}};
      for (const json& layer : entry.at("Layers"))
        manifest["layers"].push_back(take(layer, kLayer));
      Descriptor d;
      const std::string text = to_text(manifest);
      d.media_type = kManifest;
      d.size = text.size();
      d.digest = store->put(text);
      for (const json& tag : entry.value("RepoTags", json::array()))
        d.annotations[kRefName] = tag.get<std::string>();
      store->top.push_back(std::move(d));
    }
  } catch (const json::exception&) {
    return Error(ErrorKind::Invalid, file + ": manifest.json is not what docker save writes");
  }
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace wafer::oci
