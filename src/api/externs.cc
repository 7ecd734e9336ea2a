#include "wafer/externs.hpp"

#include "api/convert.h"
#include "runtime/store.h"

namespace wafer {

using runtime::kNullRef;

// ---- Memory ------------------------------------------------------------------

Memory::Memory(runtime::Store* store, std::shared_ptr<runtime::Memory> memory)
    : store_(store), memory_(std::move(memory)) {}

Result<Memory> Memory::create(Store& store, const MemoryType& type) {
  WAFER_LET(memory, store.raw()->new_memory(type));
  return Memory(store.raw(), memory);
}

MemoryType Memory::type() const { return memory_->type(); }
uint64_t Memory::size() const { return memory_->size_bytes(); }
uint64_t Memory::pages() const { return memory_->pages(); }
MutableBytes Memory::data() const { return memory_->bytes(); }

Result<uint64_t> Memory::grow(uint64_t delta_pages) const {
  const uint64_t before = memory_->grow(delta_pages);
  if (before == ~uint64_t{0}) return failure(ErrorKind::Exhaustion, "cannot grow memory");
  return before;
}

Result<MutableBytes> Memory::slice(uint64_t offset, uint64_t length) const {
  const uint64_t size = memory_->size_bytes();
  if (offset > size || length > size - offset)
    return trap(runtime::trap_message(TrapCode::MemoryOutOfBounds));
  return MutableBytes{memory_->base + offset, size_t(length)};
}

Result<void> Memory::read(uint64_t offset, MutableBytes out) const {
  WAFER_LET(from, slice(offset, out.size()));
  if (!out.empty()) std::memcpy(out.data(), from.data(), out.size());
  return {};
}

Result<void> Memory::write(uint64_t offset, Bytes bytes) const {
  WAFER_LET(to, slice(offset, bytes.size()));
  if (!bytes.empty()) std::memcpy(to.data(), bytes.data(), bytes.size());
  return {};
}

// ---- Table -------------------------------------------------------------------

Result<Table> Table::create(Store& store, const TableType& type, const Val& init) {
  if (!detail::fits(*store.raw(), init, type.element))
    return detail::wrong_type("wrong type of element", type.element, init.type());
  WAFER_LET(table, store.raw()->new_table(type, init.slot()));
  return Table(store.raw(), table);
}

TableType Table::type() const { return table_->type(); }
uint64_t Table::size() const { return table_->size; }

Result<Val> Table::get(uint64_t index) const {
  if (index >= table_->size) return trap(runtime::trap_message(TrapCode::TableOutOfBounds));
  return Val::from_slots(store_, table_->type().element, &table_->elements[index]);
}

Result<void> Table::set(uint64_t index, const Val& value) const {
  if (index >= table_->size) return trap(runtime::trap_message(TrapCode::TableOutOfBounds));
  const ValType element = table_->type().element;
  if (!detail::fits(*store_, value, element))
    return detail::wrong_type("wrong type of element", element, value.type());
  table_->elements[index] = value.slot();
  return {};
}

Result<uint64_t> Table::grow(uint64_t delta, const Val& init) const {
  const ValType element = table_->type().element;
  if (!detail::fits(*store_, init, element))
    return detail::wrong_type("wrong type of element", element, init.type());
  const uint64_t before = table_->grow(delta, init.slot());
  if (before == ~uint64_t{0}) return failure(ErrorKind::Exhaustion, "cannot grow table");
  return before;
}

// ---- Global ------------------------------------------------------------------

Result<Global> Global::create(Store& store, const GlobalType& type, const Val& value) {
  if (!detail::fits(*store.raw(), value, type.type))
    return detail::wrong_type("wrong type of global", type.type, value.type());
  return Global(store.raw(), store.raw()->new_global(type, detail::to_runtime(value)));
}

GlobalType Global::type() const { return global_->type; }
Val Global::get() const { return Val::from_slots(store_, global_->type.type, global_->value); }

Result<void> Global::set(const Val& value) const {
  if (!global_->type.is_mutable) return failure(ErrorKind::Usage, "immutable global");
  if (!detail::fits(*store_, value, global_->type.type))
    return detail::wrong_type("wrong type of global", global_->type.type, value.type());
  global_->value[0] = value.slot(0);
  global_->value[1] = value.slot(1);
  return {};
}

// ---- Tag ---------------------------------------------------------------------

Tag Tag::create(Store& store, std::span<const ValType> params) {
  FuncType type;
  type.params.assign(params.begin(), params.end());
  wasm::TypeRegistry& registry = *store.raw()->engine().registry();
  return Tag(store.raw(), store.raw()->new_tag(registry.get(registry.intern_func(type))));
}

FuncType Tag::type() const { return tag_->type->func; }

Error Tag::raise(std::span<const Val> args) const {
  const Vec<ValType>& params = tag_->type->func.params;
  if (args.size() != params.size())
    return Error(ErrorKind::Usage, "wrong number of exception arguments");
  for (size_t i = 0; i < args.size(); ++i)
    if (!detail::fits(*store_, args[i], params[i]))
      return detail::wrong_type("wrong type of exception argument", params[i], args[i].type());
  runtime::GcException* exception = store_->gc().new_exception(tag_);
  if (!exception) {
    store_->set_trap(TrapCode::OutOfMemory);
    return store_->trap_error();
  }
  Slot* slot = exception->args();
  for (size_t i = 0; i < args.size(); ++i) {
    *slot++ = args[i].slot(0);
    if (params[i].kind() == TypeKind::V128) *slot++ = args[i].slot(1);
  }
  store_->pending_exception = uintptr_t(exception);
  store_->set_trap(TrapCode::UncaughtException);
  return store_->trap_error();
}

// ---- Extern ------------------------------------------------------------------

Func Extern::func() const {
  return kind_ == ExternKind::Func ? Func(store_, static_cast<runtime::FuncInst*>(item_)) : Func();
}
Memory Extern::memory() const {
  return kind_ == ExternKind::Memory ? Memory(store_, memory_) : Memory();
}
Table Extern::table() const {
  return kind_ == ExternKind::Table ? Table(store_, static_cast<runtime::Table*>(item_)) : Table();
}
Global Extern::global() const {
  return kind_ == ExternKind::Global ? Global(store_, static_cast<runtime::GlobalInst*>(item_))
                                     : Global();
}
Tag Extern::tag() const {
  return kind_ == ExternKind::Tag ? Tag(store_, static_cast<runtime::TagInst*>(item_)) : Tag();
}

// ---- Instance ----------------------------------------------------------------

namespace detail {

String export_message(std::string_view before, std::string_view name, std::string_view after) {
  String message(before);
  message += '"';
  message += name;
  message += '"';
  message += after;
  return message;
}

namespace {

Result<Extern> find_export(runtime::Store* store, runtime::Instance* instance,
                           std::string_view name, ExternKind kind) {
  if (!instance) return failure(ErrorKind::Usage, "empty instance handle");
  const auto e = instance->get_export(name);
  if (!e) return Error(ErrorKind::Usage, export_message("no export named ", name, ""));
  if (e->kind != kind) {
    String after = " is not a ";
    after += wasm::to_string(kind);
    return Error(ErrorKind::Usage, export_message("export ", name, after));
  }
  return from_runtime(store, *e);
}

}  // namespace
}  // namespace detail

Result<Instance> Instance::create(Store& store, const Module& module,
                                  std::span<const Extern> imports) {
  if (imports.size() != module.raw()->imports.size())
    return failure(ErrorKind::Usage, "wrong number of imports");
  Vec<runtime::Extern> externs;
  externs.reserve(imports.size());
  for (const Extern& e : imports) externs.push_back(detail::to_runtime(e));
  WAFER_LET(instance, store.raw()->instantiate(module.raw(), externs));
  return Instance(store.raw(), instance);
}

Module Instance::module() const { return Module(instance_->module); }

Extern Instance::get(std::string_view name) const {
  if (!instance_) return {};
  const auto e = instance_->get_export(name);
  return e ? detail::from_runtime(store_, *e) : Extern();
}

Result<Func> Instance::func(std::string_view name) const {
  WAFER_LET(e, detail::find_export(store_, instance_, name, ExternKind::Func));
  return e.func();
}
Result<Memory> Instance::memory(std::string_view name) const {
  WAFER_LET(e, detail::find_export(store_, instance_, name, ExternKind::Memory));
  return e.memory();
}
Result<Table> Instance::table(std::string_view name) const {
  WAFER_LET(e, detail::find_export(store_, instance_, name, ExternKind::Table));
  return e.table();
}
Result<Global> Instance::global(std::string_view name) const {
  WAFER_LET(e, detail::find_export(store_, instance_, name, ExternKind::Global));
  return e.global();
}

}  // namespace wafer
