// Moves that happen at once, put in an order. Internal to this folder.
#pragma once

#include "compiler/optimizing/regalloc.h"

namespace wafer::compiler {

struct LocationMove {
  Location from, to;
  RegClass cls = RegClass::Gpr;
  uint8_t slots = 1;
  bool wide = false;  // of a Gpr, whether all its 64 bits are the value
};

// Linear in the number of moves. Keeps its memory.
class MoveOrder {
 public:
  void add(const LocationMove& move) {
    if (move.from != move.to) moves_.push_back(move);
  }
  // Gives `emit` all that was added, such that nothing is overwritten before it is read, and
  // forgets it. `slots`: how many there are. A cycle goes through one of two places that nothing
  // else is in, by what has to be kept; false if that is not enough.
  template <class Emit>
  bool run(uint32_t slots, Location gpr_scratch, Location fpr_scratch, Emit emit);

 private:
  // Units: registers of both classes, then slots.
  static constexpr uint32_t kFirstSlot = 64;
  static uint32_t unit(Location l) {
    return l.kind == Location::Kind::Gpr   ? l.index
           : l.kind == Location::Kind::Fpr ? 32 + l.index
                                           : kFirstSlot + l.index;
  }
  static uint32_t units(Location l, uint8_t slots) {
    return l.kind == Location::Kind::Slot ? slots : 1;
  }
  bool is_free(const LocationMove& m) const {
    const uint32_t first = unit(m.to);
    for (uint32_t i = 0; i < units(m.to, m.slots); ++i)
      if (readers_[first + i]) return false;
    return true;
  }

  Vec<LocationMove> moves_;
  Vec<uint32_t> ready_;
  Vec<bool> done_;
  Vec<uint32_t> readers_, writer_;  // by unit; zero, and kNoValue, between runs
};

template <class Emit>
bool MoveOrder::run(uint32_t slots, Location gpr_scratch, Location fpr_scratch, Emit emit) {
  if (moves_.size() == 1) {
    emit(moves_[0]);
    moves_.clear();
    return true;
  }
  if (readers_.size() < kFirstSlot + slots + 1) {
    readers_.resize(kFirstSlot + slots + 1, 0);
    writer_.resize(kFirstSlot + slots + 1, kNoValue);
  }
  for (uint32_t i = 0; i < moves_.size(); ++i) {
    const LocationMove& m = moves_[i];
    for (uint32_t k = 0; k < units(m.from, m.slots); ++k) ++readers_[unit(m.from) + k];
    for (uint32_t k = 0; k < units(m.to, m.slots); ++k) writer_[unit(m.to) + k] = i;
  }
  ready_.clear();
  done_.assign(moves_.size(), false);
  for (uint32_t i = 0; i < moves_.size(); ++i)
    if (is_free(moves_[i])) ready_.push_back(i);
  size_t left = moves_.size(), first = 0;
  bool gpr_taken = false, fpr_taken = false, ok = true;
  // What was read is read no more: what waited for that may be written.
  const auto let_go = [&](Location from, uint8_t count) {
    for (uint32_t k = 0; k < units(from, count); ++k) {
      const uint32_t u = unit(from) + k;
      if (--readers_[u] != 0) continue;
      const uint32_t next = writer_[u];
      if (next != kNoValue && !done_[next] && is_free(moves_[next])) ready_.push_back(next);
    }
  };
  while (left > 0) {
    if (!ready_.empty()) {
      const uint32_t i = ready_.back();
      ready_.pop_back();
      if (done_[i]) continue;
      done_[i] = true;
      --left;
      LocationMove m = moves_[i];
      emit(m);
      if (m.from == gpr_scratch) {
        gpr_taken = false;
      } else if (m.from == fpr_scratch) {
        fpr_taken = false;
      } else {
        let_go(m.from, m.slots);
      }
      continue;
    }
    while (done_[first]) ++first;
    // All that is left are cycles.
    LocationMove& m = moves_[first];
    const bool gpr = m.from.kind == Location::Kind::Gpr;
    bool& taken = gpr ? gpr_taken : fpr_taken;
    const Location scratch = gpr ? gpr_scratch : fpr_scratch;
    if (taken || m.from == scratch) {
      ok = false;
      break;
    }
    taken = true;
    LocationMove aside = m;
    aside.to = scratch;
    // (Of a slot's value the class does not matter.)
    emit(aside);
    const Location from = m.from;
    m.from = scratch;
    let_go(from, m.slots);
  }
  for (const LocationMove& m : moves_) {
    for (uint32_t k = 0; k < units(m.to, m.slots); ++k) writer_[unit(m.to) + k] = kNoValue;
    for (uint32_t k = 0; k < units(m.from, m.slots); ++k) readers_[unit(m.from) + k] = 0;
  }
  if (!ok) readers_.assign(readers_.size(), 0);
  moves_.clear();
  return ok;
}

}  // namespace wafer::compiler
