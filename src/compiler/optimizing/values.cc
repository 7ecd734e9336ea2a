#include <algorithm>
#include <bit>

#include "compiler/optimizing/numbering.h"

namespace wafer::compiler {

namespace {

uint64_t mixed(uint64_t h, uint64_t more) {
  h = (h ^ more) * 0x9E3779B97F4A7C15u;
  return h ^ h >> 29;
}

bool has_immediates(Opcode op) {
  const wasm::Imm imm = facts::row(op).imm;
  return imm != wasm::Imm::None && imm != wasm::Imm::SelectT;
}

// Alignment is only a hint.
bool same_immediates(const Instr& a, const Instr& b) {
  return a.index == b.index && a.index2 == b.index2 && a.lane == b.lane && a.offset == b.offset &&
         a.v128 == b.v128 && a.heap == b.heap && a.heap2 == b.heap2 && a.null1 == b.null1 &&
         a.null2 == b.null2;
}

// Values in one list are few, unless it is made so.
constexpr int kMaxTries = 16;
// How often a node is made simpler. Each time it comes closer to an end, by far before this.
constexpr int kMaxTurns = 16;
constexpr int kMaxDepth = 16;

}  // namespace

Numbering::Numbering(Function& function) : f_(function), dominators_(function), writes_(function) {
  buckets_.assign(std::bit_ceil(f_.nodes.size() + 16), kNoValue);
  entries_.reserve(f_.nodes.size());
  known_buckets_.assign(std::bit_ceil(f_.nodes.size() / 4 + 16), kNoValue);
  at_end_.resize(f_.blocks.size());
}

bool Numbering::run() {
  for (uint32_t b = 0; b < f_.blocks.size(); ++b) {
    drop_edges_to(b);
    const auto before = [b](uint32_t pred) { return pred < b; };
    if (b && std::ranges::none_of(f_.blocks[b].preds, before))
      remove_block(b);
    else
      run_block(b);
  }
  for (uint32_t b = 0; b < f_.blocks.size(); ++b)
    if (f_.blocks[b].loop_end != kNoValue) drop_edges_to(b);
  // Parameters of the function come first.
  Vec<ValueId>& entry = f_.blocks[0].nodes;
  auto at = entry.begin();
  while (node(*at).kind == Kind::Param) ++at;
  entry.insert(at, constants_.begin(), constants_.end());
  replacements_.apply(f_);
  return edges_gone_;
}

void Numbering::run_block(uint32_t b) {
  block_ = b;
  enter_block(b);
  out_.clear();
  const Vec<ValueId> nodes = std::move(f_.blocks[b].nodes);
  out_.reserve(nodes.size() + 8);
  for (ValueId id : nodes) {
    Node& n = f_.nodes[id];
    offset_ = n.offset;
    ValueId value = id;
    switch (n.kind) {
      case Kind::Const:
        n.block = 0;
        if (n.type == wasm::kI32 || n.type == wasm::kF32) n.value = uint32_t(n.value);
        value = find_or_add(id);
        if (value == id) {
          constants_.push_back(id);
          continue;
        }
        break;
      case Kind::Phi:
        for (ValueId& arg : f_.args_of(n)) arg = replacements_.of(arg);
        value = only_operand(f_, id, replacements_);
        if (value == kNoValue) value = find_or_add(id);
        break;
      case Kind::Instr:
        for (ValueId& arg : f_.args_of(n)) arg = replacements_.of(arg);
        value = number(id);
        break;
      default:
        for (ValueId& arg : f_.args_of(n)) arg = replacements_.of(arg);
    }
    if (value == id) {
      out_.push_back(id);
    } else {
      f_.nodes[id].kind = Kind::None;
      replacements_.set(id, value);
    }
  }
  f_.blocks[b].nodes.assign(out_.begin(), out_.end());
  at_end_[b] = now_;
  end_block(out_.back());
}

void Numbering::remove_block(uint32_t b) {
  edges_gone_ = true;
  leave_succs(b);
  for (ValueId id : f_.blocks[b].nodes) f_.nodes[id].kind = Kind::None;
  f_.blocks[b].nodes.clear();
  f_.blocks[b].preds.clear();
}

// There are no edges from the block any more. Its successor, which others may reach too, will find
// out.
void Numbering::leave_succs(uint32_t b) {
  Vec<uint32_t>& succs = f_.blocks[b].succs;
  if (succs.size() > 1)
    for (uint32_t succ : succs) f_.blocks[succ].preds.clear();
  succs.clear();
}

// Drops edges whose beginnings are gone.
void Numbering::drop_edges_to(uint32_t b) {
  Block& block = f_.blocks[b];
  const auto gone = [&](size_t i) { return f_.blocks[block.preds[i]].succs.empty(); };
  size_t kept = 0;
  while (kept < block.preds.size() && !gone(kept)) ++kept;
  if (kept == block.preds.size()) return;
  for (ValueId id : block.nodes) {
    Node& n = f_.nodes[id];
    if (n.kind != Kind::Phi) break;
    const auto args = f_.args_of(n);
    size_t to = kept;
    for (size_t i = kept; i < args.size(); ++i)
      if (!gone(i)) args[to++] = args[i];
    n.arg_count = uint32_t(to);
  }
  std::erase_if(block.preds, [&](uint32_t pred) { return f_.blocks[pred].succs.empty(); });
}

void Numbering::end_block(ValueId id) {
  Node& n = f_.nodes[id];
  uint64_t c;
  if (n.kind == Kind::Branch) {
    bool inverted = false;
    ValueId& condition = f_.args[n.first_arg];
    condition = simplify_condition(condition, inverted);
    if (inverted) std::swap(f_.blocks[block_].succs[0], f_.blocks[block_].succs[1]);
    if (is_constant(condition, c)) keep_edge(c == 0);
  } else if (n.kind == Kind::Switch && f_.blocks[block_].succs.size() == 1) {
    keep_edge(0);
  } else if (n.kind == Kind::Switch && is_constant(f_.args[n.first_arg], c)) {
    const uint32_t count = f_.targets[n.value];
    keep_edge(f_.targets[n.value + 1 + std::min<uint64_t>(c, count - 1)]);
  }
}

void Numbering::keep_edge(size_t index) {
  Node& n = f_.nodes[f_.blocks[block_].nodes.back()];
  n.kind = Kind::Jump;
  n.arg_count = 0;
  if (f_.blocks[block_].succs.size() == 1) return;
  const uint32_t kept = f_.blocks[block_].succs[index];
  leave_succs(block_);
  f_.blocks[block_].succs.push_back(kept);
  f_.blocks[kept].preds.assign(1, block_);
  edges_gone_ = true;
}

ValueId Numbering::number(ValueId id) {
  for (int turn = 0; turn < kMaxTurns; ++turn) {
    const ValueId value = simplify(id);
    if (value == kNoValue) break;
    if (value != id) return value;
  }
  const Opcode op = node(id).op;
  if (facts::is_memory_access(op) || op == Opcode::GlobalGet || op == Opcode::GlobalSet)
    return access(id);
  const Effects effects = effects_of(op);
  if (effects.calls)
    for (uint32_t& version : now_.of) version = next_version_++;
  else if (effects.writes)
    now_.of[unsigned(facts::space_of(op))] = next_version_++;
  return find_or_add(id);
}

uint64_t Numbering::hash_of(const Node& n) const {
  uint64_t h = mixed(uint64_t(n.kind) << 16 | unsigned(n.op), n.type.bits());
  if (n.kind == Kind::Const) return mixed(h, n.value);
  if (n.kind == Kind::Phi) h = mixed(h, n.block);
  for (ValueId arg : f_.args_of(n)) h = mixed(h, arg);
  if (n.kind != Kind::Instr) return h;
  if (const Instr* instr = f_.immediates(n); instr && has_immediates(n.op)) {
    h = mixed(h, uint64_t(instr->index) << 32 | instr->lane);
    h = mixed(h, instr->offset);
    if (facts::row(n.op).imm == wasm::Imm::V128 || facts::row(n.op).imm == wasm::Imm::Shuffle)
      for (uint8_t byte : instr->v128.bytes) h = mixed(h, byte);
  }
  return h;
}

bool Numbering::same(const Node& a, const Node& b) const {
  if (a.kind != b.kind || a.op != b.op || a.type != b.type) return false;
  if (a.kind == Kind::Const) return a.value == b.value;
  const auto left = f_.args_of(a), right = f_.args_of(b);
  if (!std::equal(left.begin(), left.end(), right.begin(), right.end())) return false;
  if (a.kind == Kind::Phi) return a.block == b.block;
  if (!has_immediates(a.op)) return true;
  const Instr* x = f_.immediates(a);
  const Instr* y = f_.immediates(b);
  return x == y || (x && y && same_immediates(*x, *y));
}

ValueId Numbering::find_or_add(ValueId id) {
  const Node& n = f_.nodes[id];
  const bool constant = n.kind == Kind::Const;
  uint32_t version = 0;
  if (n.kind == Kind::Instr) {
    const Effects effects = effects_of(n.op);
    // A further result belongs to the one node that it stands behind.
    if (effects.writes || effects.calls || n.type.is_bot()) return id;
    if (facts::row(n.op).sig().result_count > 1) return id;
    // (A global that is looked for here does not change.)
    if (effects.reads && n.op != Opcode::GlobalGet)
      version = now_.of[unsigned(facts::space_of(n.op))];
  }
  const uint64_t hash = hash_of(n);
  uint32_t& bucket = buckets_[hash & (buckets_.size() - 1)];
  int tries = 0;
  for (uint32_t i = bucket; i != kNoValue && tries < kMaxTries; i = entries_[i].next) {
    const Entry& entry = entries_[i];
    if (entry.hash != hash || entry.version != version) continue;
    ++tries;
    const Node& other = f_.nodes[entry.value];
    if ((constant || dominators_.dominates(other.block, block_)) && same(n, other))
      return entry.value;
  }
  entries_.push_back({hash, id, version, bucket});
  bucket = uint32_t(entries_.size() - 1);
  return id;
}

ValueId Numbering::constant(ValType type, uint64_t value) {
  if (type == wasm::kI32 || type == wasm::kF32) value = uint32_t(value);
  const auto id = ValueId(f_.nodes.size());
  Node& n = f_.nodes.emplace_back();
  n.kind = Kind::Const;
  n.type = type;
  n.value = value;
  n.offset = offset_;
  const ValueId found = find_or_add(id);
  if (found == id)
    constants_.push_back(id);
  else
    f_.nodes.pop_back();
  return found;
}

ValueId Numbering::make(Opcode op, std::initializer_list<ValueId> args) {
  const auto id = ValueId(f_.nodes.size());
  const auto first_arg = uint32_t(f_.args.size());
  f_.args.insert(f_.args.end(), args);
  Node& n = f_.nodes.emplace_back();
  n.kind = Kind::Instr;
  n.op = op;
  n.type = op == Opcode::Select ? node(*args.begin()).type : result_of(op);
  n.block = block_;
  n.first_arg = first_arg;
  n.arg_count = uint32_t(args.size());
  n.offset = offset_;
  n.value = kNoImmediates;
  ++depth_;
  const ValueId value = depth_ < kMaxDepth ? number(id) : find_or_add(id);
  --depth_;
  if (value == id)
    out_.push_back(id);
  else
    f_.nodes[id].kind = Kind::None;
  return value;
}

ValueId Numbering::change(ValueId id, Opcode op, std::initializer_list<ValueId> args) {
  if (args.size() > node(id).arg_count) {
    f_.nodes[id].first_arg = uint32_t(f_.args.size());
    f_.args.insert(f_.args.end(), args);
  } else {
    std::copy(args.begin(), args.end(), f_.args.begin() + node(id).first_arg);
  }
  Node& n = f_.nodes[id];
  n.op = op;
  n.arg_count = uint32_t(args.size());
  n.value = kNoImmediates;
  if (op != Opcode::Select) n.type = result_of(op);
  return id;
}

bool number_values(Function& f) { return Numbering(f).run(); }

}  // namespace wafer::compiler
