// Images: names, manifests, what registries ask for, archives and layers, whatever they hold.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "oci/archive.h"
#include "oci/image.h"
#include "oci/reference.h"
#include "oci/registry.h"

namespace {

using namespace wafer;

// A folder of this process, which goes with it; layers may write into `root` and nowhere else.
struct Folder {
  std::string path, root;
  explicit Folder(const char* what)
      : path("/tmp/wafer-fuzz-image-" + std::to_string(getpid()) + what),
        root(path + "/outer/root") {
    std::filesystem::create_directories(root);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  bool clean() const {
    const auto only = [](const std::string& folder, const char* name) {
      for (const auto& e : std::filesystem::directory_iterator(folder))
        if (e.path().filename() != name) return false;
      return true;
    };
    return only(path, "outer") && only(path + "/outer", "root");
  }
};

// A store with one configuration and one manifest, both as given.
void check_image(const std::string& text) {
  static const Folder folder("-store");
  const size_t cut = std::min(text.find('\n'), text.size());
  oci::Layout store(folder.path + "/outer/store");
  const auto config = store.put(text.substr(0, cut), oci::kConfig);
  if (!config.ok()) std::abort();
  nlohmann::json manifest = nlohmann::json::parse(text.substr(cut), nullptr, false);
  if (manifest.is_object() && !manifest.contains("config")) manifest["config"] = config->to_json();
  const auto image = store.put(oci::to_text(manifest), oci::kManifest);
  if (!image.ok()) std::abort();
  (void)oci::reachable(store, *image);
  (void)oci::unpack(store, *image, folder.path + "/outer/cache", {});
  std::filesystem::remove_all(folder.path + "/outer");
}

void check_layer(std::string_view bytes) {
  static const Folder folder("-layer");
  uint64_t budget = 1 << 20;
  const auto unpacked = oci::unpack_layer(bytes, folder.root, budget);
  (void)unpacked;
  if (!folder.clean()) std::abort();
  std::filesystem::remove_all(folder.root);
  std::filesystem::create_directory(folder.root);
}

}  // namespace

std::vector<std::string> make_seeds() {
  const std::string digest = oci::digest_of("x");
  std::vector<std::string> out = {
      R"(J{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":)"
      R"({"mediaType":"application/vnd.oci.image.config.v1+json","digest":")" +
          digest + R"(","size":1},"layers":[{"mediaType":"application/wasm","digest":")" + digest +
          R"(","size":1,"annotations":{"a":"b"}}]})",
      R"(J{"manifests":[{"digest":")" + digest +
          R"(","size":1,"mediaType":"m","platform":{"os":"wasi","architecture":"wasm"}}]})",
      R"(J{"auths":{"localhost:5000":{"auth":"dTpw"}}})",
      R"(I{"os":"wasi","architecture":"wasm","config":{"Entrypoint":["/a"],"WorkingDir":"/"}})"
      "\n"
      R"({"layers":[]})",
      R"(I{"os":5,"architecture":{},"config":{"Entrypoint":["/a"]}})"
      "\n"
      R"({"mediaType":7,"layers":[]})",
      "Rlocalhost:5000/team/app:v1.2",
      "Rexample.com/app@" + digest,
      R"(CBearer realm="https://a/token",service="b",scope="repository:x:pull")",
      "Uhttps://user.example:80/v2/?a=b",
  };
  const auto tar = oci::make_tar({{"app.wasm", "program"}, {"etc/../x", "y"}, {"/etc/.wh.a", ""}});
  out.push_back("L" + *tar);
  return out;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'J': {
      oci::noted_credentials(text, "localhost:5000");
      auto json = oci::parse_json(text, "input");
      if (!json.ok()) return 0;
      const auto chosen = oci::choose_platform(*json);
      const auto parsed = oci::Descriptor::parse(*json);
      if (parsed.ok() && !oci::Descriptor::parse(parsed->to_json()).ok()) std::abort();
      return 0;
    }
    case 'I':
      check_image(text);
      return 0;
    case 'R': {
      const auto name = oci::Reference::parse(text);
      if (!name.ok()) return 0;
      const auto again = oci::Reference::parse(name->text());
      if (!again.ok() || again->text() != name->text()) std::abort();
      return 0;
    }
    case 'C': {
      std::string scheme;
      oci::parse_challenge(text, scheme);
      return 0;
    }
    case 'U': {
      const auto url = host::Url::parse(text);
      return 0;
    }
    default:
      check_layer(text);
      return 0;
  }
}
