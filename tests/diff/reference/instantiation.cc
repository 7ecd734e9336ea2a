// Whether an instance was initialized as its module says (spec 4.5.4): the engine does that
// alike for all tiers, so it is done again here and compared before any code has run.
#include <algorithm>
#include <cstring>

#include "evaluator.h"
#include "threads.h"

namespace wafer::reference {

using runtime::GcArray;
using runtime::GcObject;
using runtime::Instance;
using runtime::Ref;
using wasm::CompKind;
using wasm::SegmentMode;
using wasm::TypeKind;
using wasm::ValType;

namespace {

bool is_function(const wasm::TypeRegistry& registry, ValType type) {
  const wasm::HeapType heap = type.heap();
  if (heap.is_concrete()) return registry.get(heap.index())->kind == CompKind::Func;
  return heap.kind() == wasm::HeapKind::Func || heap.kind() == wasm::HeapKind::NoFunc;
}

// Equal but for the identity of objects, of which each evaluation makes new ones.
bool same(const wasm::TypeRegistry& registry, ValType type, const uint8_t* a, const uint8_t* b) {
  if (!type.is_ref()) {
    const size_t size = type.kind() == TypeKind::I8     ? 1
                        : type.kind() == TypeKind::I16  ? 2
                        : type.kind() == TypeKind::I32  ? 4
                        : type.kind() == TypeKind::F32  ? 4
                        : type.kind() == TypeKind::V128 ? 16
                                                        : 8;
    return std::memcmp(a, b, size) == 0;
  }
  Ref x = 0, y = 0;
  std::memcpy(&x, a, sizeof x);
  std::memcpy(&y, b, sizeof y);
  if (x == y) return true;
  if (!x || !y || is_function(registry, type) || runtime::is_i31(x) || runtime::is_i31(y))
    return false;
  auto* p = reinterpret_cast<GcObject*>(uintptr_t(x));
  auto* q = reinterpret_cast<GcObject*>(uintptr_t(y));
  if (p->type != q->type) return false;
  const wasm::CanonType& t = *p->type;
  if (t.kind == CompKind::Array) {
    auto* left = static_cast<GcArray*>(p);
    auto* right = static_cast<GcArray*>(q);
    if (left->length != right->length) return false;
    for (uint64_t i = 0; i < left->length; ++i)
      if (!same(registry, t.fields[0].storage, left->elements() + i * t.element_size,
                right->elements() + i * t.element_size))
        return false;
    return true;
  }
  for (size_t i = 0; i < t.fields.size(); ++i)
    if (!same(registry, t.fields[i].storage, p->payload() + t.field_offsets[i],
              q->payload() + t.field_offsets[i]))
      return false;
  return !t.has_descriptor() || same(registry, wasm::kAnyRef, p->payload() + t.descriptor_offset,
                                     q->payload() + t.descriptor_offset);
}

}  // namespace

// Leaves the value on the stack.
bool Evaluator::evaluate(Instance& instance, wasm::ConstExpr expression) {
  const wasm::Module& module = *instance.module;
  const auto code = parse_expression(module, expression);
  if (!code) return false;
  push_frame(instance, *code, {}, 1);
  return run() == runtime::TrapCode::None;
}

std::string Evaluator::wrongly_initialized(Instance& instance) {
  const size_t outer = begin_entry();
  const int64_t fuel = store_.fuel;  // the engine takes none for this
  store_.fuel = INT64_MAX;
  std::string wrong = find_wrong(instance);
  store_.fuel = fuel;
  end_entry(outer);
  return wrong;
}

std::string Evaluator::find_wrong(Instance& instance) {
  const wasm::Module& module = *instance.module;
  const wasm::TypeRegistry& registry = store_.registry();
  // The value on top of the stack, against one that the engine made.
  const auto is_top = [&](ValType type, const runtime::Slot* slots) {
    const Nat bits = pop();
    const runtime::Slot halves[2] = {runtime::Slot(bits % pow2(64)),
                                     runtime::Slot(bits / pow2(64))};
    return same(registry, module.canonical(type), reinterpret_cast<const uint8_t*>(halves),
                reinterpret_cast<const uint8_t*>(slots));
  };
  for (size_t i = module.imported_globals; i < module.globals.size(); ++i) {
    if (!evaluate(instance, module.globals[i].init)) return {};
    if (!is_top(module.globals[i].type.type, instance.globals[i]->value))
      return "global " + std::to_string(i);
  }

  // What own tables have to hold: references that are kept on the stack, by their places.
  const size_t null = values().size();
  push_ref(runtime::kNullRef);
  std::vector<std::vector<size_t>> tables(module.tables.size());
  for (size_t i = module.imported_tables; i < tables.size(); ++i) {
    size_t value = null;
    if (module.tables[i].init) {
      if (!evaluate(instance, *module.tables[i].init)) return {};
      value = values().size() - 1;
    }
    tables[i].assign(size_t(module.tables[i].type.limits.min), value);
  }
  for (size_t s = 0; s < module.elems.size(); ++s) {
    const wasm::ElemSegment& segment = module.elems[s];
    std::vector<size_t> items;
    for (uint32_t k = 0; k < segment.size(); ++k) {
      if (segment.uses_exprs) {
        if (!evaluate(instance, segment.exprs[k])) return {};
      } else {
        push_ref(uintptr_t(instance.funcs[segment.funcs[k]]));
      }
      items.push_back(values().size() - 1);
    }
    const auto& left = instance.elems[s];
    if (left.size() != (segment.mode == SegmentMode::Passive ? items.size() : 0))
      return "length of element segment " + std::to_string(s);
    for (size_t k = 0; k < left.size(); ++k) {
      const Ref ref = Ref(values()[items[k]].bits);
      if (!same(registry, module.canonical(segment.type), reinterpret_cast<const uint8_t*>(&ref),
                reinterpret_cast<const uint8_t*>(&left[k])))
        return "element segment " + std::to_string(s);
    }
    if (segment.mode != SegmentMode::Active) continue;
    if (!evaluate(instance, segment.offset)) return {};
    const Nat offset = pop();
    // After a trap no more is done.
    if (offset + items.size() > instance.tables[segment.table]->size) return {};
    if (segment.table < module.imported_tables) continue;
    auto& at = tables[segment.table];
    for (size_t k = 0; k < items.size(); ++k) at[size_t(offset) + k] = items[k];
  }
  for (size_t i = module.imported_tables; i < tables.size(); ++i) {
    const runtime::Table& table = *instance.tables[i];
    if (table.size != tables[i].size()) return "size of table " + std::to_string(i);
    for (size_t k = 0; k < table.size; ++k) {
      const Ref ref = Ref(values()[tables[i][k]].bits);
      if (!same(registry, module.canonical(module.tables[i].type.element),
                reinterpret_cast<const uint8_t*>(&ref),
                reinterpret_cast<const uint8_t*>(&table.elements[k])))
        return "table " + std::to_string(i);
    }
  }

  std::vector<std::vector<uint8_t>> memories(module.memories.size());
  for (uint32_t m = module.imported_memories; m < module.memories.size(); ++m) {
    const wasm::MemoryType& type = module.memories[m].type;
    memories[m].resize(size_t(type.limits.min << type.page_size_log2));
  }
  for (const wasm::DataSegment& segment : module.datas) {
    if (segment.mode != SegmentMode::Active) continue;
    if (!evaluate(instance, segment.offset)) return {};
    const Nat offset = pop();
    const Bytes data = module.slice(segment.bytes);
    if (offset + data.size() > instance.memories[segment.memory]->size_bytes()) return {};
    if (segment.memory < module.imported_memories) continue;
    for (size_t k = 0; k < data.size(); ++k) memories[segment.memory][size_t(offset) + k] = data[k];
  }
  for (uint32_t m = module.imported_memories; m < module.memories.size(); ++m) {
    std::unique_lock<std::mutex> lock;
    if (instance.memories[m]->shared()) {
      lock = std::unique_lock(one_at_a_time());
      // Other threads may have been there before.
      if (is_accessed(*instance.memories[m])) continue;
    }
    if (memories[m].size() != instance.memories[m]->size_bytes())
      return "size of memory " + std::to_string(m);
    if (!std::equal(memories[m].begin(), memories[m].end(), instance.memories[m]->base))
      return "memory " + std::to_string(m);
  }
  for (size_t s = 0; s < module.datas.size(); ++s)
    if (instance.data_dropped[s] != (module.datas[s].mode == SegmentMode::Active))
      return "data segment " + std::to_string(s);
  return {};
}

// Those that were made since the last time.
std::string Evaluator::check_new_instances() {
  while (!unchecked_.empty()) {
    Instance* const instance = unchecked_.back();
    unchecked_.pop_back();
    std::string wrong = wrongly_initialized(*instance);
    if (!wrong.empty()) return "the reference initializes otherwise: " + wrong;
  }
  return {};
}

}  // namespace wafer::reference
