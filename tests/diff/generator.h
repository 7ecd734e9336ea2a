// Makes valid modules whose every call ends: the same one for the same choices.
#pragma once

#include "chooser.h"
#include "groups.h"
#include "image.h"

namespace wafer::diff {

struct GenOptions {
  GroupSet groups;
  // A module of these groups that the new one is linked with: it imports what that
  // exports, from kProvider. Null: a module that stands alone.
  const ModuleImage* provider = nullptr;
  uint32_t max_functions = 8;
  uint32_t max_code = 250;  // instructions of a function, about
};

// The names of the exports by which a module gets its bounds: both are mutable i32
// globals that the embedder sets before each call.
inline constexpr std::string_view kFuelExport = "fuel";    // loop iterations and calls left
inline constexpr std::string_view kDepthExport = "depth";  // calls that are active
// Not 0 while a continuation runs; also set to 0 before each call.
inline constexpr std::string_view kHandledExport = "handled";
inline constexpr int32_t kFuel = 300;

inline constexpr std::string_view kProvider = "first";

// A function that the host calls back has this name and type (i32) -> (i32).
inline constexpr std::string_view kCallbackExport = "callback";

// Imports of module "host": name, parameters and results in the letters of
// opcodes.def, and the group that must be on. host.cc says what they do.
struct HostFunction {
  std::string_view name;
  std::string_view sig;
  Group group;
};
std::span<const HostFunction> host_functions();
wasm::FuncType type_of_sig(std::string_view sig);

ModuleImage generate(Chooser& chooser, const GenOptions& options);

}  // namespace wafer::diff
