#include "component/run/abi.h"

#include "component/run/task.h"
#include "component/run/text.h"
#include "component/shape.h"

namespace wafer::component {

namespace {

void add_handles(const ComponentInstance& instance, ValType type, std::vector<AbiHandle>& out) {
  const TypeArena& types = *instance.component->types;
  const ValType t = plain(types, type);
  if (!t.defined()) return;
  const TypeDef& def = types[t.id];
  switch (def.kind) {
    case TypeKind::Own:
    case TypeKind::Borrow:
      out.push_back({&def, instance.resource_of(def.args[0].id)});
      return;
    case TypeKind::Stream:
    case TypeKind::Future:
      out.push_back({&def, nullptr});
      return;
    case TypeKind::Record:
    case TypeKind::Tuple:
    case TypeKind::Map:
      for (size_t i = 0; i < field_count(def); ++i) add_handles(instance, field_type(def, i), out);
      return;
    case TypeKind::List:
    case TypeKind::FixedList:
      return add_handles(instance, def.args[0], out);
    case TypeKind::Variant:
    case TypeKind::Option:
    case TypeKind::Result:
      for (size_t i = 0; i < case_count(def); ++i) add_handles(instance, case_type(def, i), out);
      return;
    default:
      return;
  }
}

}  // namespace

std::vector<AbiHandle> abi_handles(const ComponentInstance& instance, const TypeDef& func) {
  std::vector<AbiHandle> out;
  for (const Label& l : func.labels) add_handles(instance, l.type, out);
  add_handles(instance, func.args[0], out);
  return out;
}

AbiCall::AbiCall(const Context& cx, uint64_t* slots_, std::span<const AbiHandle> handles)
    : store(cx.store()), slots(slots_), cx_(cx), handles_(handles) {
  scope.store = &store;
  refresh();
}

void AbiCall::refresh() {
  if (const runtime::Memory* const memory = cx_.options.memory) {
    base_ = memory->base;
    size_ = memory->size_bytes();
  }
}

bool AbiCall::fail(std::string_view message) { return stop(cx_.trap(message)); }

bool AbiCall::check(TrapCode code) { return code == TrapCode::None || stop(code); }

bool AbiCall::allocate(uint32_t align, uint32_t size, uint32_t& at) {
  uint64_t where = 0;
  const TrapCode code = reallocate(cx_, 0, 0, align, size, where);
  refresh();
  at = uint32_t(where);
  return check(code);
}

bool AbiCall::lift_string(uint32_t at, uint32_t length, std::string& out) {
  Text text;
  if (!check(load_string(cx_, at, length, text))) return false;
  out = std::move(text.utf8);
  return true;
}

bool AbiCall::lower_string(std::string_view text, uint32_t& at, uint32_t& length) {
  uint64_t where = 0, units = 0;
  const TrapCode code = store_string(cx_, text, Text::Source::Utf8, where, units);
  refresh();
  at = uint32_t(where);
  length = uint32_t(units);
  return check(code);
}

const AbiHandle* AbiCall::handle_type(uint32_t handle) {
  // The form of the function has been compared, so that there is one.
  if (handle < handles_.size()) return &handles_[handle];
  fail("the host's function has another type");
  return nullptr;
}

bool AbiCall::lift_resource(uint32_t handle, uint32_t index, Resource& out) {
  const AbiHandle* const type = handle_type(handle);
  if (!type) return false;
  // What most calls borrow.
  if (type->resource && type->def->kind == TypeKind::Borrow) {
    const Handle* const h = cx_.instance.handles.get(index);
    if (h && h->kind == HandleKind::Resource && h->type == type->resource) {
      cx_.lenders->lend(index);
      out = {h->type, h->rep};
      return true;
    }
  }
  Val value;
  if (!check(lift_handle(cx_, *type->def, index, value))) return false;
  out = value.resource();
  return true;
}

bool AbiCall::lower_resource(uint32_t handle, const Resource& v, uint32_t& index) {
  if (lower_val(handle, Val::of_resource(v.type, v.rep), index)) return true;
  // It was given away nevertheless.
  if (handle < handles_.size() && handles_[handle].def->kind == TypeKind::Own) store.abandon(v);
  return false;
}

bool AbiCall::lift_end(uint32_t handle, uint32_t index, Val::End& out) {
  const AbiHandle* const type = handle_type(handle);
  Val value;
  if (!type || !check(lift_handle(cx_, *type->def, index, value))) return false;
  out = value.end();
  return true;
}

bool AbiCall::lower_end(uint32_t handle, const Val::End& v, uint32_t& index) {
  return lower_val(handle, Val::of_end(v), index);
}

bool AbiCall::lower_val(uint32_t handle, const Val& v, uint32_t& index) {
  const AbiHandle* const type = handle_type(handle);
  Slot slot = 0;
  if (!type || !check(lower_handle(cx_, *type->def, v, slot))) return false;
  index = uint32_t(slot);
  gave_handle = true;
  return true;
}

bool AbiCall::lift_failure(uint32_t index, Val::Failure& out) {
  Val value;
  if (!check(component::lift_failure(cx_, index, value))) return false;
  out = value.failure();
  return true;
}

bool AbiCall::lower_failure(const Val::Failure& v, uint32_t& index) {
  Slot slot = 0;
  if (!check(component::lower_failure(cx_, Val::of_failure(v), slot))) return false;
  index = uint32_t(slot);
  gave_handle = true;
  return true;
}

}  // namespace wafer::component
