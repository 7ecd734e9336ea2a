// Tables (spec 4.2.7).
#include <cstring>

#include "runtime/store.h"

namespace wafer::runtime {

namespace {

void set_range(Ref* at, Ref value, Index count) {
  if (value == kNullRef) {
    if (count) std::memset(at, 0, size_t(count) * sizeof(Ref));
    return;
  }
  for (Index i = 0; i < count; ++i) at[i] = value;
}

}  // namespace

Result<Box<Table>> Table::create(const wasm::TableType& type, Ref init, uint64_t max_elements,
                                 bool holds_gc_refs) {
  auto table = make_box<Table>();
  table->type_ = type;
  table->holds_gc_refs_ = holds_gc_refs;
  // Growth stops at the declared maximum, the embedder's, and what the address
  // type can index.
  Index most = type.limits.has_64() ? ~Index{0} >> 1 : 0xFFFFFFFFu;
  if (most > SIZE_MAX / sizeof(Ref)) most = Index(SIZE_MAX / sizeof(Ref));
  if (most > max_elements) most = Index(max_elements);
  if (type.limits.has_max && type.limits.max < most) most = Index(type.limits.max);
  table->max_elements_ = most;
  if (type.limits.min > most) return failure(ErrorKind::Exhaustion, "table size exceeds the limit");
  if (const Index size = Index(type.limits.min)) {
    table->elements = static_cast<Ref*>(try_allocate(size_t(size) * sizeof(Ref), alignof(Ref)));
    if (!table->elements)
      return failure(ErrorKind::Exhaustion,
                     kBrief ? "out of memory" : "out of memory: cannot allocate a table");
    table->size = table->capacity_ = size;
    set_range(table->elements, init, size);
  }
  return table;
}

Table::~Table() { release(elements, size_t(capacity_) * sizeof(Ref), alignof(Ref)); }

uint64_t Table::grow(uint64_t delta, Ref init) {
  const Index old = size;
  if (delta > max_elements_ || old > max_elements_ - delta) return ~uint64_t{0};
  const Index wanted = old + Index(delta);
  if (wanted > capacity_) {
    // Half as much again, so that repeated small growth stays linear.
    Index capacity = capacity_ + capacity_ / 2;
    if (capacity < wanted) capacity = wanted;
    if (capacity > max_elements_) capacity = max_elements_;
    auto allocate = [](Index n) {
      return static_cast<Ref*>(try_allocate(size_t(n) * sizeof(Ref), alignof(Ref)));
    };
    Ref* p = allocate(capacity);
    if (!p && capacity > wanted) p = allocate(capacity = wanted);
    if (!p) return ~uint64_t{0};
    if (old) std::memcpy(p, elements, size_t(old) * sizeof(Ref));
    release(elements, size_t(capacity_) * sizeof(Ref), alignof(Ref));
    elements = p;
    capacity_ = capacity;
  }
  set_range(elements + old, init, Index(delta));
  size = wanted;
  return old;
}

wasm::TableType Table::type() const {
  wasm::TableType t = type_;
  t.limits.min = size;
  return t;
}

TrapCode Table::fill(Index at, Ref value, Index count) {
  if (at > size || count > size - at) return TrapCode::TableOutOfBounds;
  set_range(elements + at, value, count);
  return TrapCode::None;
}

TrapCode Table::copy(Table& to, Index to_at, Table& from, Index from_at, Index count) {
  if (to_at > to.size || count > to.size - to_at || from_at > from.size ||
      count > from.size - from_at)
    return TrapCode::TableOutOfBounds;
  if (count)
    std::memmove(to.elements + to_at, from.elements + from_at, size_t(count) * sizeof(Ref));
  return TrapCode::None;
}

TrapCode Table::init(Index at, std::span<const Ref> items, Index from_at, Index count) {
  if (at > size || count > size - at || from_at > items.size() || count > items.size() - from_at)
    return TrapCode::TableOutOfBounds;
  if (count) std::memcpy(elements + at, items.data() + from_at, size_t(count) * sizeof(Ref));
  return TrapCode::None;
}

}  // namespace wafer::runtime
