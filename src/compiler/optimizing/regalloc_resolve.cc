// What follows from the pieces: places of operands and results, slots, and moves between pieces
// inside of blocks and over edges.
#include <algorithm>
#include <functional>

#include "compiler/optimizing/regalloc_impl.h"

namespace wafer::compiler {

// Groups the pieces by value; they are in the order of their starts already.
void RegisterAllocator::Impl::sort_pieces() {
  for (const Piece& piece : pieces_)
    if (piece.start < piece.end) ++values_[piece.value].end_piece;
  uint32_t at = 0;
  for (Value& value : values_) {
    value.first_piece = at;
    at += value.end_piece;
    value.end_piece = value.first_piece;
    value.range = value.first_range;
  }
  sorted_.resize(at);
  for (const Piece& piece : pieces_)
    if (piece.start < piece.end) sorted_[values_[piece.value].end_piece++] = piece;
  for (Value& value : values_) value.piece = value.first_piece;
}

void RegisterAllocator::Impl::give_slots() {
  result_.slots = 0;
  for (Vec<uint64_t>& heap : free_slots_) heap.clear();
  for (ValueId v : order_) {
    Value& value = values_[v];
    if (!value.spilled) continue;
    const uint32_t size = f_->values[v].slots;
    if (free_slots_.size() <= size) free_slots_.resize(size + 1);
    Vec<uint64_t>& heap = free_slots_[size];  // ends of lives, and the slots that are free then
    if (!heap.empty() && (heap.front() >> 32) <= value.def) {
      value.slot = uint32_t(heap.front());
      std::pop_heap(heap.begin(), heap.end(), std::greater<>());
      heap.pop_back();
    } else {
      value.slot = result_.slots;
      result_.slots += size;
    }
    uint32_t range = value.first_range;
    while (ranges_[range].next != kNone) range = ranges_[range].next;
    heap.push_back(uint64_t(ranges_[range].to) << 32 | value.slot);
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  }
}

Location RegisterAllocator::Impl::location(ValueId v, uint32_t pos) const {
  const Value& value = values_[v];
  const auto first = sorted_.begin() + value.first_piece, last = sorted_.begin() + value.end_piece;
  auto piece =
      std::upper_bound(first, last, pos, [](uint32_t pos, const Piece& p) { return pos < p.end; });
  if (piece == last || piece->start > pos) return slot_of(value);
  return piece->location();
}

void RegisterAllocator::Impl::finish_instrs() {
  const AllocFunction& f = *f_;
  const uint32_t count = uint32_t(f.instrs.size());
  result_.uses.resize(f.uses.size());
  result_.defs.resize(f.defs.size());
  result_.ends.assign(f.uses.size(), false);
  result_.moves.clear();
  result_.used_gprs = banks_[0].used;
  result_.used_fprs = banks_[1].used;
  // First where registers begin and end to be taken while operands are read.
  Vec<uint32_t>* const free[] = {&result_.free_gprs, &result_.free_fprs};
  for (Vec<uint32_t>* masks : free) masks->assign(count + 1, 0);
  for (const Piece& piece : sorted_) {
    const uint32_t from = (piece.start + 3) / 4, to = (piece.end + 3) / 4;
    if (from == to) continue;
    Vec<uint32_t>& masks = *free[piece.fpr];
    masks[from] ^= 1u << piece.reg;
    masks[to] ^= 1u << piece.reg;
  }
  seen_.assign(values_.size(), 0);
  uint32_t taken[2] = {};
  Value* const values = values_.data();
  const Piece* const sorted = sorted_.data();
  size_t next_piece = 0;
  for (uint32_t b = 0; b < f.blocks.size(); ++b) {
    const AllocBlock& block = f.blocks[b];
    for (uint32_t p = 0; p < block.param_count; ++p) {
      const ValueId param = f.params[block.first_param + p];
      const Value& value = values[param];
      if (!value.spilled) continue;
      const Location from = location(param, value.def);
      if (from.kind != Location::Kind::Slot)
        result_.moves.push_back({block.begin, from, slot_of(value), param});
    }
    for (uint32_t i = block.begin; i < block.end; ++i) {
      const AllocInstr& instr = f.instrs[i];
      const uint32_t pos = reads_at(i);
      for (; next_piece < pieces_.size() && pieces_[next_piece].start <= pos; ++next_piece) {
        const Piece& piece = pieces_[next_piece];
        if (piece.start != pos || piece.end == pos || i == block.begin) continue;
        Value& value = values[piece.value];
        while (sorted[value.piece].start < pos) ++value.piece;
        Location from;
        if (value.piece != value.first_piece && sorted[value.piece - 1].end == pos) {
          const Piece& last = sorted[value.piece - 1];
          from = last.location();
        } else {
          from = slot_of(value);
        }
        const Location to = piece.location();
        if (!(from == to)) result_.moves.push_back({i, from, to, piece.value});
      }
      for (uint32_t u = instr.first_use + instr.use_count; u-- > instr.first_use;) {
        const ValueId v = f.uses[u].value;
        Value& value = values[v];
        while (value.piece < value.end_piece && sorted[value.piece].end <= pos) ++value.piece;
        bool ends;
        if (value.piece < value.end_piece && sorted[value.piece].start <= pos) {
          const Piece& piece = sorted[value.piece];
          result_.uses[u] = piece.location();
          ends = piece.end == pos + 1;
        } else {
          result_.uses[u] = slot_of(value);
          while (ranges_[value.range].to <= pos) value.range = ranges_[value.range].next;
          ends = ranges_[value.range].to == pos + 1;
        }
        if (instr.use_count > 1) {
          if (seen_[v] == i + 1) continue;
          seen_[v] = i + 1;
        }
        if (ends) result_.ends[u] = true;
      }
      for (size_t c = 0; c < 2; ++c) {
        taken[c] ^= (*free[c])[i];
        (*free[c])[i] = banks_[c].all & ~taken[c];
      }
      result_.free_gprs[i] &= ~instr.early_gprs;
      result_.free_fprs[i] &= ~instr.early_fprs;
      for (uint32_t d = instr.first_def; d < instr.first_def + instr.def_count; ++d) {
        const ValueId v = f.defs[d].value;
        const Value& value = values[v];
        if (value.first_piece == value.end_piece ||
            sorted[value.first_piece].start != writes_at(i)) {
          result_.defs[d] = slot_of(value);
          continue;
        }
        const Piece& piece = sorted[value.first_piece];
        result_.defs[d] = piece.location();
        (*free[piece.fpr])[i] &= ~(1u << piece.reg);
        if (value.spilled) result_.moves.push_back({i + 1, result_.defs[d], slot_of(value), v});
      }
    }
  }
  for (Vec<uint32_t>* masks : free) masks->resize(count);
}

void RegisterAllocator::Impl::add_edge_move(uint32_t pred, uint32_t block, const AllocMove& move) {
  const bool at_end = f_->blocks[pred].succ_count == 1;
  Vec<AllocMove>& moves = at_end ? end_moves_ : begin_moves_;
  moves.push_back(move);
  moves.back().at = at_end ? pred : block;
}

void RegisterAllocator::Impl::resolve_params(uint32_t b) {
  const AllocFunction& f = *f_;
  const AllocBlock& block = f.blocks[b];
  for (uint32_t p = 0; p < block.param_count; ++p) {
    const ValueId param = f.params[block.first_param + p];
    if (values_[param].first_range == kNone) continue;
    const Location to = location(param, begin_of(b));
    for (uint32_t n = 0; n < block.pred_count; ++n) {
      const ValueId arg = f.args[block.first_arg + n * block.param_count + p];
      const uint32_t pred = f.preds[block.first_pred + n];
      if (arg == kNoValue) {
        add_edge_move(pred, b, {0, {}, to, param, p});
        continue;
      }
      const Location from = location(arg, end_of(pred) - 1);
      if (!(from == to)) add_edge_move(pred, b, {0, from, to, param});
    }
  }
}

// Where blocks begin in a piece, some predecessors may have the value elsewhere.
void RegisterAllocator::Impl::resolve_value(ValueId v) {
  const AllocFunction& f = *f_;
  const Value& value = values_[v];
  bool moves = value.spilled;
  for (uint32_t p = value.first_piece; p < value.end_piece && !moves; ++p)
    moves = sorted_[p].reg != sorted_[value.first_piece].reg;
  if (!moves) return;
  for (uint32_t p = value.first_piece; p < value.end_piece; ++p) {
    const Piece& piece = sorted_[p];
    uint32_t b = piece.block + (piece.start != begin_of(piece.block) || piece.start == value.def);
    for (; b < f.blocks.size() && begin_of(b) < piece.end; ++b) {
      const AllocBlock& block = f.blocks[b];
      work_ += 1 + block.pred_count;
      for (uint32_t n = 0; n < block.pred_count; ++n) {
        const uint32_t pred = f.preds[block.first_pred + n];
        const uint32_t end = end_of(pred);
        if (piece.start < end && end <= piece.end) continue;
        const Location from = location(v, end - 1), to = piece.location();
        if (!(from == to)) add_edge_move(pred, b, {0, from, to, v});
      }
    }
  }
}

// Sorts moves by block.
void RegisterAllocator::Impl::sort_moves(const Vec<AllocMove>& moves, Vec<AllocMove>& sorted) {
  counts_.assign(f_->blocks.size() + 1, 0);
  for (const AllocMove& move : moves) ++counts_[move.at + 1];
  for (size_t i = 1; i < counts_.size(); ++i) counts_[i] += counts_[i - 1];
  sorted.resize(moves.size());
  for (const AllocMove& move : moves) sorted[counts_[move.at]++] = move;
}

bool RegisterAllocator::Impl::resolve() {
  end_moves_.clear();
  begin_moves_.clear();
  for (uint32_t b = 0; b < f_->blocks.size(); ++b)
    if (f_->blocks[b].param_count) resolve_params(b);
  for (ValueId v : order_) {
    resolve_value(v);
    if (work_ > most_work_) return false;
  }
  sort_moves(end_moves_, result_.end_moves);
  sort_moves(begin_moves_, result_.begin_moves);
  return true;
}

}  // namespace wafer::compiler
