// Component decoder: any bytes give a component or an error, and what a component imports and
// exports can be told as WIT, or why not.
#include <string>
#include <vector>

#include "component/component.h"
#include "component_seeds.h"
#include "wit/decode.h"
#include "wit/print.h"

std::vector<std::string> make_seeds() {
  std::vector<std::string> out;
  for (std::string_view hex : kComponentSeeds) {
    std::string bytes;
    for (size_t i = 0; i + 1 < hex.size(); i += 2)
      bytes += static_cast<char>(std::stoul(std::string(hex.substr(i, 2)), nullptr, 16));
    out.push_back(std::move(bytes));
  }
  return out;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace component = wafer::component;
  component::DecodeOptions options;
  for (auto f = component::Feature{}; f != component::Feature::None;
       f = component::Feature(unsigned(f) + 1))
    options.features.set(f);
  auto decoded = component::decode({data, size}, options);
  if (!decoded.ok()) return 0;
  auto world = wafer::wit::is_package(**decoded) ? wafer::wit::decode_package(**decoded)
                                                 : wafer::wit::world_of(**decoded);
  if (world.ok()) (void)wafer::wit::print(world->resolve, world->main, {true, true});
  return 0;
}
