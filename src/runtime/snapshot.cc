#include "runtime/snapshot.h"

#include <algorithm>
#include <cstring>

namespace wafer::runtime {

#if WAFER_HAS_OS

StoreSnapshot::Counts StoreSnapshot::count(const Store& store) {
  return {store.host_funcs_.size(), store.tables_.size(),
          store.memories_.size(),   store.globals_.size(),
          store.tags_.size(),       store.instances_.size(),
          store.kept_.size(),       store.handles_.size() - store.free_handles_.size()};
}

// Nothing of it is at work, and nothing collected is there.
bool StoreSnapshot::quiet(Store& store) {
  return store.pending_exception == kNullRef && store.gc_.live_bytes() == 0 && !store.fibers &&
         !store.current_fiber && !store.host_side;
}

bool StoreSnapshot::take(Store& store, uint64_t most_bytes) {
  if (!quiet(store)) return false;
  counts_ = count(store);
  Vec<Memory*> memories;
  const auto add_memory = [&](Memory* m) {
    if (std::find(memories.begin(), memories.end(), m) == memories.end()) memories.push_back(m);
  };
  const auto add_table = [&](Table& t) {
    tables_.push_back({&t, Vec<Ref>(t.elements, t.elements + t.size)});
  };
  const auto add_global = [&](GlobalInst& g) {
    globals_.push_back({&g, {g.value[0], g.value[1]}});
  };
  for (const auto& memory : store.memories_) add_memory(memory.get());
  for (const auto& table : store.tables_) add_table(*table);
  for (const auto& global : store.globals_) add_global(*global);
  for (const auto& instance : store.instances_) {
    for (const auto& memory : instance->memory_owners) add_memory(memory.get());
    for (const auto& table : instance->own_tables) add_table(*table);
    for (GlobalInst& global : instance->own_globals) add_global(global);
    Segments segments{instance.get(), instance->data_dropped, {}};
    for (const auto& elem : instance->elems) segments.elems.push_back(elem.size());
    segments_.push_back(std::move(segments));
  }
  for (Memory* const memory : memories) {
    if (memory->size_bytes() > most_bytes) return false;
    // What resetting makes of it tells what is to be written again after that.
    constexpr size_t kPiece = 4096;
    Contents contents{memory, memory->size_bytes(), {}};
    const Vec<uint8_t> now(memory->base, memory->base + contents.size);
    if (!memory->reset() || memory->size_bytes() != contents.size) return false;
    for (size_t at = 0; at < now.size(); at += kPiece) {
      const size_t n = std::min(kPiece, now.size() - at);
      if (std::memcmp(memory->base + at, now.data() + at, n) == 0) continue;
      contents.pieces.push_back({at, Vec<uint8_t>(now.data() + at, now.data() + at + n)});
      std::memcpy(memory->base + at, now.data() + at, n);
    }
    memories_.push_back(std::move(contents));
  }
  return true;
}

bool StoreSnapshot::restore(Store& store) const {
  if (!quiet(store) || count(store) != counts_) return false;
  for (const Elements& e : tables_) {
    if (e.table->size != e.refs.size()) return false;
    std::copy(e.refs.begin(), e.refs.end(), e.table->elements);
  }
  for (const Value& v : globals_) std::copy_n(v.slots, 2, v.global->value);
  for (const Segments& s : segments_) {
    for (size_t i = 0; i < s.elems.size(); ++i)
      if (s.instance->elems[i].size() != s.elems[i]) return false;
    s.instance->data_dropped = s.data_dropped;
  }
  for (const Contents& c : memories_) {
    if (!c.memory->reset() || c.memory->size_bytes() != c.size) return false;
    for (const Piece& p : c.pieces)
      std::memcpy(c.memory->base + p.offset, p.bytes.data(), p.bytes.size());
  }
  store.clear_trap();
  return true;
}

#endif

}  // namespace wafer::runtime
