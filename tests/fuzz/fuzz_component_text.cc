// Text of components: any text gives a binary or an error, and a component, valid or not, prints
// as text that gives the same bytes again.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "component_text_seeds.h"
#include "wat/wast.h"

std::vector<std::string> make_seeds() {
  return {std::begin(kComponentTexts), std::end(kComponentTexts)};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)wafer::wat::parse_wast(text);
  const auto binary = wafer::wat::parse_wat(text);
  if (!binary.ok()) return 0;
  if (binary->size() < 8 || (*binary)[6] != 1) return 0;  // a core module
  const auto printed = wafer::wat::print_component({binary->data(), binary->size()});
  // Bytes that the text gives as such may be anything.
  if (!printed.ok() || text.find("binary") != text.npos) return 0;
  const auto again = wafer::wat::parse_wat(*printed);
  if (!again.ok() || *again != *binary) {
    std::fprintf(stderr, "text that does not give the same bytes again:\n%s\n", printed->c_str());
    std::abort();
  }
  return 0;
}
