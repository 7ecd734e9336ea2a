// Facts of the canonical built-ins, from builtins.def.
#pragma once

#include <optional>
#include <string_view>

#include "component/component.h"

namespace wafer::component {

struct BuiltinInfo {
  uint8_t code;
  Builtin builtin;
  std::string_view name;
  Feature feature;
  std::string_view immediates, params, results;  // letters: see builtins.def
};

inline constexpr BuiltinInfo kBuiltins[] = {
#define BUILTIN(code, id, name, feature, immediates, params, results) \
  {code, Builtin::id, name, Feature::feature, immediates, params, results},
#include "component/builtins.def"
#undef BUILTIN
};

// In the order of the enumeration.
constexpr const BuiltinInfo& builtin_info(Builtin b) { return kBuiltins[static_cast<size_t>(b)]; }

// The built-in of a name ("resource.drop") or of a binary code, null if there is none.
constexpr const BuiltinInfo* builtin_of_name(std::string_view name) {
  for (const BuiltinInfo& b : kBuiltins)
    if (b.name == name) return &b;
  return nullptr;
}
constexpr const BuiltinInfo* builtin_of_code(uint8_t code) {
  for (const BuiltinInfo& b : kBuiltins)
    if (b.code == code) return &b;
  return nullptr;
}

}  // namespace wafer::component
