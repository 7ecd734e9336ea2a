#include "wafer/func.hpp"

#include "api/convert.h"
#include "runtime/store.h"

namespace wafer {

namespace detail {

TrapCode call(runtime::Store* store, runtime::FuncInst* func, Slot* slots) {
  TrapInfo& info = store->trap();
  if (WAFER_UNLIKELY(info.code != TrapCode::None)) {
    info.code = TrapCode::None;
    info.message.clear();
    info.backtrace.clear();
    info.exit_code = 0;
    store->pending_exception = runtime::kNullRef;
  }
  const TrapCode code = func->call(*store, func, slots);
  if (WAFER_UNLIKELY(code != TrapCode::None) && info.code != code) store->set_trap(code);
  return code;
}

Error trap_error(runtime::Store* store) { return store->trap_error(); }

runtime::Store* store_of(runtime::CallContext& context) { return &context.store; }

TrapCode host_error(runtime::CallContext& context, const Error& error) {
  // The error of a nested call, or of Caller::exit and Tag::raise, goes on as what it
  // was.
  const TrapInfo& info = context.store.trap();
  if (error.kind == ErrorKind::Trap && info.code != TrapCode::None && info.message == error.message)
    return info.code;
  return context.store.set_trap(TrapCode::HostError, error.message);
}

Func new_host_func(Store& store, const FuncType& type, RawHostCallback callback, void* env,
                   void (*release)(void*)) {
  return Func(store.raw(), store.raw()->new_host_func(type, callback, env, release));
}

TrapCode RawHost::invoke(void* env, runtime::CallContext& context, Slot* slots) {
  auto* host = static_cast<RawHost*>(env);
  Caller caller(context);
  return host->callback(host->env, caller, slots);
}

void RawHost::destroy(void* env) {
  auto* host = static_cast<RawHost*>(env);
  if (host->release) host->release(host->env);
  BoxDelete<RawHost>{}(host);
}

}  // namespace detail

Func Func::create_raw(Store& store, const FuncType& type, RawCallback callback, void* env,
                      void (*release)(void*)) {
  auto host = make_box<detail::RawHost>(detail::RawHost{callback, env, release});
  return detail::new_host_func(store, type, &detail::RawHost::invoke, host.release(),
                               &detail::RawHost::destroy);
}

FuncType Func::type() const { return func_ ? func_->type->func : FuncType{}; }

Result<void> Func::check_type(const FuncType& type) const {
  if (!func_) return failure(ErrorKind::Usage, "null function reference");
  const FuncType& have = func_->type->func;
  const wasm::TypeRegistry& registry = store_->registry();
  // What is passed must fit the parameters, what comes back the signature: for
  // references the signature may name the general type (checked by the value).
  auto same_list = [&](const Vec<ValType>& mine, const Vec<ValType>& theirs, bool results) {
    if (mine.size() != theirs.size()) return false;
    for (size_t i = 0; i < mine.size(); ++i)
      if (!(results ? registry.is_subtype(theirs[i], mine[i])
                    : registry.is_subtype(mine[i], theirs[i])))
        return false;
    return true;
  };
  if (same_list(type.params, have.params, false) && same_list(type.results, have.results, true))
    return {};
  auto append = [](String& out, const FuncType& t) {
    for (const auto* list : {&t.params, &t.results}) {
      out += list == &t.params ? "[" : " -> [";
      for (size_t i = 0; i < list->size(); ++i) {
        if (i) out += ' ';
        out += wasm::to_string((*list)[i]);
      }
      out += ']';
    }
  };
  String message = "wrong function type: expected ";
  append(message, type);
  message += ", the function has ";
  append(message, have);
  return Error(ErrorKind::Usage, message);
}

Result<Vec<Val>> Func::call(std::span<const Val> args) const {
  if (!func_) return failure(ErrorKind::Usage, "null function reference");
  Vec<runtime::Value> values;
  values.reserve(args.size());
  for (const Val& a : args) values.push_back(detail::to_runtime(a));
  WAFER_LET(results, store_->call(func_, values));
  Vec<Val> out;
  out.reserve(results.size());
  for (const runtime::Value& r : results) out.push_back(Val::from_slots(store_, r.type, r.bits));
  return out;
}

Result<void> Func::call_raw(Slot* slots) const {
  if (!func_) return failure(ErrorKind::Usage, "null function reference");
  if (detail::call(store_, func_, slots) != TrapCode::None) return detail::trap_error(store_);
  return {};
}

// ---- Caller ------------------------------------------------------------------

Extern Caller::get_export(std::string_view name) const {
  if (!context_->caller) return {};
  const auto e = context_->caller->get_export(name);
  return e ? detail::from_runtime(&context_->store, *e) : Extern();
}

namespace {

runtime::Memory* memory_of(runtime::CallContext& context) {
  runtime::Instance* caller = context.caller;
  if (!caller) return nullptr;
  const auto e = caller->get_export("memory");
  return e && e->kind == ExternKind::Memory ? e->memory : caller->memory0;
}

}  // namespace

MutableBytes Caller::memory() const {
  runtime::Memory* m = memory_of(*context_);
  return m ? m->bytes() : MutableBytes{};
}

Result<MutableBytes> Caller::memory(uint64_t offset, uint64_t length) const {
  runtime::Memory* m = memory_of(*context_);
  if (!m) return trap("the caller has no memory");
  const uint64_t size = m->size_bytes();
  if (offset > size || length > size - offset)
    return trap(runtime::trap_message(TrapCode::MemoryOutOfBounds));
  return MutableBytes{m->base + offset, size_t(length)};
}

Result<std::string_view> Caller::text(uint64_t offset, uint64_t length) const {
  WAFER_LET(bytes, memory(offset, length));
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Error Caller::exit(int32_t code) const {
  context_->store.set_trap(TrapCode::Exit);
  context_->store.trap().exit_code = code;
  return context_->store.trap_error();
}

uint64_t Caller::fuel() const {
  return context_->store.fuel > 0 ? uint64_t(context_->store.fuel) : 0;
}
void Caller::set_fuel(uint64_t fuel) const {
  context_->store.fuel = fuel > uint64_t(INT64_MAX) ? INT64_MAX : int64_t(fuel);
}

}  // namespace wafer
