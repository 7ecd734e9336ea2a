// Text parser: any text gives a binary or an error; a module prints as text that gives the
// same bytes again.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "seeds.h"
#include "wasm/decoder.h"
#include "wat/wast.h"

std::vector<std::string> make_seeds() { return {std::begin(kSeedModules), std::end(kSeedModules)}; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)wafer::wat::parse_wast(text);
  const auto binary = wafer::wat::parse_wat(text);
  if (!binary.ok()) return 0;
  wafer::wasm::DecodeOptions options;
  options.features = wafer::wasm::FeatureSet::all();
  const auto module = wafer::wasm::decode_module(*binary, options);
  if (!module.ok()) return 0;
  const auto printed = wafer::wat::print_wat(**module);
  if (!printed.ok()) return 0;
  const auto again = wafer::wat::parse_wat(*printed);
  if (!again.ok() || *again != *binary) {
    std::fprintf(stderr, "text that does not give the same bytes again:\n%s\n", printed->c_str());
    std::abort();
  }
  return 0;
}
