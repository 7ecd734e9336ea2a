#include "host.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "chooser.h"
#include "generator.h"
#include "wasm/type_registry.h"

namespace wafer::diff {

using namespace runtime;
using wasm::ExternKind;

// The functions. Each notes its call, so that calls are compared as well.
struct HostFunctions {
  static constexpr uint32_t kMaxNested = 6;

  static Host& enter(void* env, const char* name, uint64_t argument) {
    Host& host = *static_cast<Host*>(env);
    host.log_ += std::string(name) + '(' + std::to_string(argument) + ") ";
    return host;
  }

  // Collects garbage now and then: what the module still needs must survive.
  static TrapCode note(void* env, CallContext& context, Slot* slots) {
    enter(env, "note", slots[0]);
    if (slots[0] % 4 == 0) context.store.gc().collect();
    return TrapCode::None;
  }

  static TrapCode mix(void* env, CallContext&, Slot* slots) {
    enter(env, "mix", slots[1]);
    slots[0] = slots[1] * 31 + slots[0];
    return TrapCode::None;
  }

  static TrapCode again(void* env, CallContext& context, Slot* slots) {
    Host& host = enter(env, "again", slots[0]);
    // By tail calls a module could nest these without counting its own depth.
    if (!host.callback_ || host.nested_ == kMaxNested) return TrapCode::None;
    ++host.nested_;
    const int64_t enough = host.waits_ ? int64_t{1} << 40 : 0;
    context.store.fuel += enough;
    const TrapCode code = context.store.call_raw(host.callback_, slots);
    // (When code next looks for fuel is its own affair.)
    if (enough) context.store.fuel = std::max<int64_t>(context.store.fuel - enough, 0);
    --host.nested_;
    return code;
  }

  // Fails for multiples of 8 and throws for those plus 1.
  static TrapCode fail(void* env, CallContext& context, Slot* slots) {
    Host& host = enter(env, "fail", slots[0]);
    if (slots[0] % 8 == 0) return context.store.set_trap(TrapCode::HostError, "host failed");
    if (slots[0] % 8 != 1) return TrapCode::None;
    GcException* exception = context.store.gc().new_exception(host.tag_);
    if (!exception) return context.store.set_trap(TrapCode::OutOfMemory);
    context.store.pending_exception = uintptr_t(exception);
    return context.store.set_trap(TrapCode::UncaughtException);
  }

  static TrapCode blend(void* env, CallContext&, Slot* slots) {
    enter(env, "blend", slots[0]);
    const double sum =
        double(std::bit_cast<float>(uint32_t(slots[0]))) + std::bit_cast<double>(slots[1]);
    slots[0] = std::isnan(sum) ? 0x7FF8000000000000 : std::bit_cast<uint64_t>(sum);
    return TrapCode::None;
  }

  static TrapCode swap(void* env, CallContext&, Slot* slots) {
    enter(env, "swap", slots[1]);
    std::swap(slots[0], slots[1]);
    return TrapCode::None;
  }

  static TrapCode vector(void* env, CallContext&, Slot* slots) {
    enter(env, "vector", slots[2]);
    const Slot low = slots[0];
    slots[0] = slots[1] ^ slots[2];
    slots[1] = low;
    return TrapCode::None;
  }

  static HostCallback named(std::string_view name) {
    static constexpr std::pair<std::string_view, HostCallback> kAll[] = {
        {"note", note},   {"mix", mix},   {"again", again},  {"fail", fail},
        {"blend", blend}, {"swap", swap}, {"vector", vector}};
    for (const auto& [n, callback] : kAll)
      if (n == name) return callback;
    return nullptr;
  }
};

Result<Extern> Host::import(const wasm::Module& module, const wasm::Import& import) {
  Extern out;
  out.kind = import.type.kind;
  switch (out.kind) {
    case ExternKind::Func: {
      const HostCallback callback = HostFunctions::named(import.name);
      if (import.module != "host" || !callback) break;
      out.func = store_.new_host_func(store_.registry().get(module.canon[import.type.type_index]),
                                      callback, this);
      return out;
    }
    case ExternKind::Memory: {
      WAFER_LET(memory, store_.new_memory(import.type.memory));
      out.memory = memory.get();
      out.memory_owner = memory;
      return out;
    }
    case ExternKind::Global: {
      if (import.type.global.type.is_ref()) break;
      Value value{import.type.global.type};
      value.bits[0] = import.type.global.type == wasm::kI32 ? 12 : 0x123456789;
      out.global = store_.new_global(import.type.global, value);
      return out;
    }
    default:
      break;
  }
  return Error(ErrorKind::Unlinkable, "the host has no such import");
}

Result<std::vector<Extern>> Host::imports_of(const wasm::Module& module, Instance* provider) {
  wasm::TypeRegistry& registry = *store_.engine().registry();
  if (!tag_) tag_ = store_.new_tag(registry.get(registry.intern_func({})));
  std::vector<Extern> out;
  for (const wasm::Import& i : module.imports) {
    if (i.module == kProvider) {
      auto value = provider ? provider->get_export(i.name) : std::nullopt;
      if (!value) return Error(ErrorKind::Unlinkable, "the first module has no such export");
      out.push_back(std::move(*value));
      continue;
    }
    WAFER_LET(value, import(module, i));
    out.push_back(std::move(value));
  }
  return out;
}

}  // namespace wafer::diff
