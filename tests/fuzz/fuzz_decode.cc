// Decoder and validator: any bytes give a module or an error.
#include <string>
#include <vector>

#include "seeds.h"
#include "wasm/decoder.h"
#include "wat/wat.h"

std::vector<std::string> make_seeds() {
  std::vector<std::string> out;
  for (const char* text : kSeedModules) {
    const auto binary = wafer::wat::parse_wat(text);
    out.emplace_back(reinterpret_cast<const char*>(binary->data()), binary->size());
  }
  return out;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto module = wafer::wasm::decode_module({data, size});
  // What is accepted can also be printed.
  if (module.ok()) (void)wafer::wat::print_wat(**module);
  return 0;
}
