// Text parser: any text gives a binary or an error.
#include <string>
#include <vector>

#include "seeds.h"
#include "wat/wast.h"

std::vector<std::string> make_seeds() { return {std::begin(kSeedModules), std::end(kSeedModules)}; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)wafer::wat::parse_wat(text);
  (void)wafer::wat::parse_wast(text);
  return 0;
}
