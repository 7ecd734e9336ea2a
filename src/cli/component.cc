#include "cli/component.h"

#include "wit/decode.h"
#include "wit/print.h"

namespace wafer::cli {

component::FeatureSet component_features(const FeatureOptions& options) {
  component::FeatureSet out = component::FeatureSet::standard();
  const auto apply = [&](const std::vector<std::string>& names, bool on) {
    for (const std::string& name : names) {
      if (name == "all") {
        for (unsigned f = 0; f < unsigned(component::Feature::None); ++f)
          out.set(component::Feature(f), on);
      } else if (const auto feature = component::feature_of_option(name)) {
        out.set(*feature, on);
      }
    }
  };
  apply(options.enable, true);
  apply(options.disable, false);
  return out;
}

std::string other_kind(Bytes bytes, bool component) {
  const bool binary = component::is_binary(bytes), found = component::is_component(bytes);
  if (binary && found == component) return {};
  return fmt::format(
      "is {}; a {} was expected{}",
      found    ? "a component"
      : binary ? "a core module"
               : "neither a module nor a component",
      component ? "component" : "core module",
      binary && component ? " (`wafer component new` makes one of a core module)" : "");
}

std::shared_ptr<component::Component> decode_component(const ModuleInput& input,
                                                       const FeatureOptions& options) {
  component::DecodeOptions decode;
  decode.features = component_features(options);
  decode.core_features = options.get();
  auto decoded = component::decode(input.binary(), decode);
  if (decoded.ok()) return *std::move(decoded);
  print_module_error(input, decoded.error());
  return nullptr;
}

int inspect_component(const ModuleInput& input, const FeatureOptions& options) {
  const auto decoded = decode_component(input, options);
  if (!decoded) return kFailure;
  auto world = wit::is_package(*decoded) ? wit::decode_package(*decoded) : wit::world_of(*decoded);
  if (!world.ok()) {
    print_error(fmt::format("{}: {}", input.input.path(), std::string_view(world.error().message)));
    return kFailure;
  }
  return write_stdout(wit::print(world->resolve, world->main, {true, true})) ? kSuccess : kFailure;
}

}  // namespace wafer::cli
