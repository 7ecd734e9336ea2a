// What memory and globals hold: loads of what has been loaded or stored before.
#include <algorithm>

#include "compiler/optimizing/numbering.h"

namespace wafer::compiler {

using facts::Space;

Writes::Writes(const Function& f) {
  for (auto& before : before_) before.assign(f.blocks.size() + 1, 0);
  for (size_t b = 0; b < f.blocks.size(); ++b) {
    bool written[facts::kSpaces] = {};
    for (ValueId id : f.blocks[b].nodes) {
      const Node& n = f.nodes[id];
      if (n.kind != Node::Kind::Instr) continue;
      const Effects effects = effects_of(n.op);
      for (unsigned s = 0; s < facts::kSpaces; ++s)
        written[s] |= effects.calls || (effects.writes && unsigned(facts::space_of(n.op)) == s);
    }
    for (unsigned s = 0; s < facts::kSpaces; ++s) before_[s][b + 1] = before_[s][b] + written[s];
  }
}

namespace {

constexpr int kMaxTries = 16;
// In place of addresses: those that are constants, and globals.
constexpr ValueId kConstantAddress = kNoValue, kGlobals = kNoValue - 1;

Opcode load_of(Opcode store) {
  switch (store) {
    case Opcode::I32Store:
      return Opcode::I32Load;
    case Opcode::I64Store:
      return Opcode::I64Load;
    case Opcode::F32Store:
      return Opcode::F32Load;
    case Opcode::F64Store:
      return Opcode::F64Load;
    case Opcode::V128Store:
      return Opcode::V128Load;
    default:
      return store;  // loads give a part of what was stored
  }
}

}  // namespace

// What is known on all paths into a block. A loop that writes may do so before each round.
void Numbering::enter_block(uint32_t b) {
  const Block& block = f_.blocks[b];
  for (unsigned s = 0; s < facts::kSpaces; ++s) {
    uint32_t version = kNoValue;
    bool same = b != 0;
    for (uint32_t pred : block.preds) {
      if (pred >= b) continue;
      const uint32_t other = at_end_[pred].of[s];
      same &= version == kNoValue || version == other;
      version = other;
    }
    if (block.loop_end != kNoValue && writes_.any(Space(s), b, block.loop_end)) same = false;
    now_.of[s] = same ? version : next_version_++;
  }
}

Numbering::Place Numbering::place_of(ValueId id) const {
  const Node& n = node(id);
  const Instr& instr = *f_.immediates(n);
  if (facts::space_of(n.op) == Space::Global) return {kGlobals, 0, instr.index, 1};
  Place place = {arg(id, 0), instr.index, instr.offset, facts::access_size(n.op)};
  if (uint64_t c; is_constant(place.base, c) && c + place.offset >= c) {
    place.base = kConstantAddress;
    place.offset += c;
  }
  return place;
}

ValueId Numbering::find_loaded(Opcode op, const Place& place, uint32_t version) {
  int tries = 0;
  for (uint32_t i = known_buckets_[place.base & (known_buckets_.size() - 1)];
       i != kNoValue && tries < kMaxTries; i = known_[i].next, ++tries) {
    const Known& known = known_[i];
    if (known.version != version || known.place.base != place.base ||
        known.place.memory != place.memory || known.place.offset != place.offset ||
        known.place.size != place.size || !dominators_.dominates(known.block, block_))
      continue;
    if (known.op == op) return known.value;
    const ValueId v = known.value;
    const auto is = [&](Opcode store, Opcode load) { return known.op == store && op == load; };
    if (is(Opcode::I32Store8, Opcode::I32Load8S)) return make(Opcode::I32Extend8S, {v});
    if (is(Opcode::I32Store16, Opcode::I32Load16S)) return make(Opcode::I32Extend16S, {v});
    if (is(Opcode::I64Store8, Opcode::I64Load8S)) return make(Opcode::I64Extend8S, {v});
    if (is(Opcode::I64Store16, Opcode::I64Load16S)) return make(Opcode::I64Extend16S, {v});
    if (is(Opcode::I64Store32, Opcode::I64Load32S)) return make(Opcode::I64Extend32S, {v});
    const auto low = [&](bool wide, uint64_t mask) {
      return binary(Opcode::I32And, wide, v, int_constant(wide, mask));
    };
    if (is(Opcode::I32Store8, Opcode::I32Load8U)) return low(false, 0xFF);
    if (is(Opcode::I32Store16, Opcode::I32Load16U)) return low(false, 0xFFFF);
    if (is(Opcode::I64Store8, Opcode::I64Load8U)) return low(true, 0xFF);
    if (is(Opcode::I64Store16, Opcode::I64Load16U)) return low(true, 0xFFFF);
  }
  return kNoValue;
}

void Numbering::know(Opcode op, const Place& place, uint32_t version, ValueId value,
                     uint32_t block) {
  uint32_t& bucket = known_buckets_[place.base & (known_buckets_.size() - 1)];
  known_.push_back({place, op, version, value, block, bucket});
  bucket = uint32_t(known_.size() - 1);
}

// After a write nothing is known, but what is certain to be elsewhere.
void Numbering::write(const Place& place, Space space) {
  uint32_t& now = now_.of[unsigned(space)];
  const uint32_t before = std::exchange(now, next_version_++);
  uint32_t kept[kMaxTries];
  int count = 0, tries = 0;
  for (uint32_t i = known_buckets_[place.base & (known_buckets_.size() - 1)];
       i != kNoValue && tries < kMaxTries; i = known_[i].next, ++tries) {
    const Known& known = known_[i];
    if (known.version != before || known.place.base != place.base ||
        known.place.memory != place.memory || !dominators_.dominates(known.block, block_))
      continue;
    const uint64_t low = std::min(known.place.offset, place.offset);
    const Place& first = low == place.offset ? place : known.place;
    const Place& second = low == place.offset ? known.place : place;
    if (second.offset - first.offset >= first.size) kept[count++] = i;
  }
  while (count > 0) {
    const Known known = known_[kept[--count]];
    know(known.op, known.place, now, known.value, known.block);
  }
}

ValueId Numbering::access(ValueId id) {
  const Node& n = node(id);
  const Opcode op = n.op;
  if (op == Opcode::GlobalGet && f_.module &&
      !f_.module->globals[f_.immediates(n)->index].type.is_mutable)
    return find_or_add(id);
  const Space space = facts::space_of(op);
  const uint32_t version = now_.of[unsigned(space)];
  const Place place = place_of(id);
  const bool lane = facts::row(op).imm == wasm::Imm::MemArgLane;
  if (effects_of(op).writes) {
    const ValueId value = arg(id, op == Opcode::GlobalSet ? 0 : 1);
    write(place, space);
    if (!lane)
      know(op == Opcode::GlobalSet ? Opcode::GlobalGet : load_of(op), place,
           now_.of[unsigned(space)], value, block_);
    return id;
  }
  if (lane) return id;
  const ValueId value = find_loaded(op, place, version);
  if (value != kNoValue) return value;
  know(op, place, version, id, block_);
  return id;
}

}  // namespace wafer::compiler
