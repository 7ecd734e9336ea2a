#include "runtime/linker.h"

namespace wafer::runtime {

namespace {

// What a host function's environment needs to be released once, when the linker
// and every store that uses the function are gone.
struct HostDefinition {
  const wasm::CanonType* canon = nullptr;
  HostCallback callback = nullptr;
  void* env = nullptr;
  void (*release_env)(void*) = nullptr;
  ~HostDefinition() {
    if (release_env) release_env(env);
  }
};

struct Definition {
  Extern value;                 // unless host
  Shared<HostDefinition> host;  // made anew in each store
};

struct NameView {
  std::string_view module, name;
};
struct Name {
  String module, name;
  operator NameView() const { return {module, name}; }
  bool operator==(const NameView& o) const { return name == o.name && module == o.module; }
};
struct NameHash {
  using is_transparent = void;
  size_t operator()(const NameView& n) const {
    const size_t h = std::hash<std::string_view>{}(n.module);
    return (h * 31) ^ std::hash<std::string_view>{}(n.name);
  }
};
struct NameEqual {
  using is_transparent = void;
  bool operator()(const NameView& a, const NameView& b) const {
    return a.name == b.name && a.module == b.module;
  }
};

void append_quoted(String& s, const char* before, const NameView& name) {
  s += view_of(before);
  s += '"';
  s += name.module;
  s += "\" \"";
  s += name.name;
  s += '"';
}

WAFER_NOINLINE String quoted(const char* what, const NameView& name) {
  String s(view_of(what));
  if (!kMessages) return s;
  append_quoted(s, ": ", name);
  return s;
}
WAFER_COLD Failure failure_of(ErrorKind kind, const char* what, const NameView& name) {
  return Failure(Error(kind, quoted(what, name)));
}

// Stands in for an import that nothing defines; `env` is its message.
TrapCode call_unknown(void* env, CallContext& context, Slot*) {
  return context.store.set_trap(TrapCode::HostError, *static_cast<String*>(env));
}

void release_message(void* env) { BoxDelete<String>{}(static_cast<String*>(env)); }

}  // namespace

struct Linker::Impl {
  Shared<Engine> engine;
  HashMap<Name, Definition, NameHash, NameEqual> definitions;
  bool shadowing = false;
  bool trap_on_unknown = false;

  Result<void> add(const NameView& name, Definition&& definition) {
    auto [it, added] = definitions.try_emplace(Name{String(name.module), String(name.name)});
    if (!added && !shadowing) return failure_of(ErrorKind::Usage, "already defined", name);
    it->second = std::move(definition);
    return {};
  }

  const Definition* find(const NameView& name) const {
    auto it = definitions.find(name);
    return it == definitions.end() ? nullptr : &it->second;
  }

  Extern resolve(Store& store, const Definition& definition) const {
    if (!definition.host) return definition.value;
    FuncInst*& func = store.host_func_for(definition.host.get());
    if (!func) {
      const HostDefinition& host = *definition.host;
      func = store.new_host_func(host.canon, host.callback, host.env);
      store.keep_alive(definition.host);
    }
    Extern e;
    e.kind = wasm::ExternKind::Func;
    e.func = func;
    return e;
  }
};

Linker::Linker(Shared<Engine> engine) : impl_(make_box<Impl>()) {
  impl_->engine = std::move(engine);
}
Linker::~Linker() = default;
Linker::Linker(Linker&&) noexcept = default;

void Linker::allow_shadowing(bool allow) { impl_->shadowing = allow; }
void Linker::trap_on_unknown_imports(bool enable) { impl_->trap_on_unknown = enable; }

Result<void> Linker::define(std::string_view module, std::string_view name, const Extern& value) {
  if (!value.func) return failure_of(ErrorKind::Usage, "nothing to define as", {module, name});
  Definition definition;
  definition.value = value;
  if (value.kind == wasm::ExternKind::Memory && !value.memory_owner)
    definition.value.memory_owner = value.memory->owner();
  return impl_->add({module, name}, std::move(definition));
}

Result<void> Linker::define_func(std::string_view module, std::string_view name,
                                 const wasm::FuncType& type, HostCallback callback, void* env,
                                 void (*release_env)(void*)) {
  auto& registry = *impl_->engine->registry();
  return define_func(module, name, registry.get(registry.intern_func(type)), callback, env,
                     release_env);
}

Result<void> Linker::define_func(std::string_view module, std::string_view name,
                                 const wasm::CanonType* type, HostCallback callback, void* env,
                                 void (*release_env)(void*)) {
  Definition definition;
  definition.host = make_shared_in<HostDefinition>();
  HostDefinition& host = *definition.host;
  host.canon = type;
  host.callback = callback;
  host.env = env;
  host.release_env = release_env;
  return impl_->add({module, name}, std::move(definition));
}

Result<void> Linker::define_instance(std::string_view module, Instance* instance) {
  for (const wasm::Export& e : instance->module->exports)
    WAFER_TRY(define(module, e.name, instance->extern_of(e.kind, e.index)));
  return {};
}

Result<void> Linker::alias(std::string_view module, std::string_view name,
                           std::string_view as_module, std::string_view as_name) {
  const Definition* const definition = impl_->find({module, name});
  if (!definition) return failure_of(ErrorKind::Usage, "not defined", {module, name});
  return impl_->add({as_module, as_name}, Definition(*definition));
}

std::optional<Extern> Linker::get(Store& store, std::string_view module, std::string_view name) {
  const Definition* const definition = impl_->find({module, name});
  if (!definition) return std::nullopt;
  return impl_->resolve(store, *definition);
}

Result<Instance*> Linker::instantiate(Store& store, const Shared<const wasm::Module>& module) {
  constexpr size_t kMostUnknown = 40;  // that the message names
  size_t unknown = 0;
  String unknown_message;
  Vec<Extern> imports;
  imports.reserve(module->imports.size());
  for (const wasm::Import& import : module->imports) {
    const NameView name{import.module, import.name};
    if (const Definition* definition = impl_->find(name)) {
      imports.push_back(impl_->resolve(store, *definition));
      continue;
    }
    if (!impl_->trap_on_unknown || import.type.kind != wasm::ExternKind::Func) {
      if (kBrief) return failure_of(ErrorKind::Unlinkable, "unknown import", name);
      // All of them are told at once.
      if (unknown++ == 0)
        unknown_message = quoted("unknown import", name);
      else if (unknown <= kMostUnknown)
        append_quoted(unknown_message, ", ", name);
      continue;
    }
    String message = quoted("unknown import", name);
    Extern e;
    e.kind = wasm::ExternKind::Func;
    e.func = store.new_host_func(module->canon_type(import.type.type_index), call_unknown,
                                 make_box<String>(std::move(message)).release(), release_message);
    imports.push_back(e);
  }
  if (unknown > kMostUnknown) {
    unknown_message += ", and more";
  }
  if (unknown) return Error(ErrorKind::Unlinkable, unknown_message);
  return store.instantiate(module, imports);
}

}  // namespace wafer::runtime
