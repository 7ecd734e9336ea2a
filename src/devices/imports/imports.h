// Devices for modules that are not components: functions of wasi:i2c, wasi:spi and wasi:gpio under
// the names and core signatures that the canonical ABI gives them (CanonicalABI.md, "canon
// lower"). What a component's lowered functions would do with the memory and cabi_realloc of their
// options, these do with what the module that calls exports as "memory" and "cabi_realloc".
#pragma once

#include "devices/guest.h"
#include "runtime/linker.h"

namespace wafer::devices {

// Defines all functions in `linker`, or those that `only` imports, for one guest that has what
// `board` lists. The board outlives the linker and its instances, or is kept alive by `owner`;
// handles are dropped with the linker. Errors: Usage if the linker has one of the names already.
Result<void> add_to_linker(runtime::Linker& linker, const wafer_devices_t& board,
                           std::shared_ptr<void> owner = nullptr,
                           const wasm::Module* only = nullptr);
// Whether `module` imports any of the interfaces.
bool imports_devices(const wasm::Module& module);

// The functions' names and types, in their order: what they are checked by.
struct Import {
  const char* module;
  const char* name;
  wasm::FuncType type;
};
size_t import_count();
Import import(size_t index);

}  // namespace wafer::devices
