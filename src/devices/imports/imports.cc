#include "devices/imports/imports.h"

#include "devices/imports/functions.h"
#include "runtime/host_thunk.h"

namespace wafer::devices {

using runtime::CallContext;
using runtime::Slot;
using runtime::TrapCode;

namespace {

// Host function around `fn`, whose parameters after the Call are the core ones.
template <auto fn>
TrapCode call(void* env, CallContext& context, Slot* slots) {
  Call c(*static_cast<Context*>(env), context);
  runtime::HostThunk<fn>::invoke(c, slots);
  return c.trap;
}

enum Interface : uint8_t {
#define DEVICE_INTERFACE(id, name) id,
#define DEVICE_FUNCTION(interface, name, ...)
#include "devices/imports/functions.def"
};
constexpr const char* kInterfaces[] = {
#define DEVICE_INTERFACE(id, name) name,
#define DEVICE_FUNCTION(interface, name, ...)
#include "devices/imports/functions.def"
};

struct Function {
  Interface interface;
  const char* name;
  wasm::FuncType (*type)();
  runtime::HostCallback call;
};
constexpr Function kFunctions[] = {
#define DEVICE_INTERFACE(id, name)
#define DEVICE_FUNCTION(interface, name, ...) \
  {interface, name, runtime::HostThunk<__VA_ARGS__>::type, call<__VA_ARGS__>},
#include "devices/imports/functions.def"
};

bool imports(const wasm::Module& module, const Function& f) {
  for (const wasm::Import& i : module.imports)
    if (i.module == kInterfaces[f.interface] && i.name == f.name) return true;
  return false;
}

void drop_use(void* env) {
  auto* const context = static_cast<Context*>(env);
  if (--context->uses) return;
  context->~Context();
  release(context, sizeof(Context), alignof(Context));
}

}  // namespace

Result<void> add_to_linker(runtime::Linker& linker, const wafer_devices_t& board,
                           std::shared_ptr<void> owner, const wasm::Module* only) {
  auto* const context = new (allocate(sizeof(Context), alignof(Context))) Context(board);
  context->owner = std::move(owner);
  ++context->uses;
  Result<void> result;
  for (const Function& f : kFunctions) {
    if (only && !imports(*only, f)) continue;
    ++context->uses;
    result =
        linker.define_func(kInterfaces[f.interface], f.name, f.type(), f.call, context, drop_use);
    if (!result) break;
  }
  drop_use(context);
  return result;
}

bool imports_devices(const wasm::Module& module) {
  for (const wasm::Import& import : module.imports)
    for (const char* interface : kInterfaces)
      if (import.module == interface) return true;
  return false;
}

size_t import_count() { return std::size(kFunctions); }

Import import(size_t index) {
  const Function& f = kFunctions[index];
  return {kInterfaces[f.interface], f.name, f.type()};
}

}  // namespace wafer::devices
