// corpus FOLDER binary|text|component|component-text [SCRIPT...]: fills a folder that a fuzz target
// starts from with the seeds and with every module, or every component, of the given scripts.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "seeds.h"
#include "wasm/decoder.h"
#include "wat/wast.h"

using namespace wafer;

namespace {

struct Corpus {
  std::string folder;
  bool text, components;
  int count = 0;

  bool write(const char* data, size_t size) {
    std::ofstream out(folder + "/seed-" + std::to_string(count++), std::ios::binary);
    out.write(data, std::streamsize(size));
    return out.good();
  }
  bool add(const uint8_t* data, size_t size) {
    if (!text) return write(reinterpret_cast<const char*>(data), size);
    if (components) {
      const auto printed = wat::print_component({data, size});
      return !printed.ok() || write(printed->data(), printed->size());
    }
    const auto module = wasm::decode_module({data, size});
    if (!module.ok()) return true;
    const auto printed = wat::print_wat(**module);
    return !printed.ok() || write(printed->data(), printed->size());
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: corpus FOLDER binary|text|component|component-text [SCRIPT...]\n");
    return 2;
  }
  const std::string form = argv[2];
  Corpus corpus{argv[1], form.ends_with("text"), form.starts_with("component")};
  bool good = true;
  if (!corpus.components)
    for (const std::string& seed : binary_seeds())
      good &= corpus.add(reinterpret_cast<const uint8_t*>(seed.data()), seed.size());
  for (int i = 3; i < argc; ++i) {
    std::ifstream in(argv[i], std::ios::binary);
    const std::string source{std::istreambuf_iterator<char>(in), {}};
    const auto script = wat::parse_wast(source);
    if (!script.ok()) continue;
    for (const wat::ScriptCommand& command : *script)
      if (!command.module.binary.empty() && command.module.is_component == corpus.components)
        good &= corpus.add(command.module.binary.data(), command.module.binary.size());
  }
  std::printf("%d seeds\n", corpus.count);
  return good ? 0 : 1;
}
