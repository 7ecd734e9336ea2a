// The scan: walks the code once and gives registers to values as they are defined or come back.
//
// Whoever has a register keeps it until something with a nearer use wants it, a call takes it, or
// its value has a hole. The rest of the value then waits in its slot until it is due again. Slots
// are written where values are defined, so that leaving a register costs nothing.
#include "compiler/optimizing/regalloc.h"

#include <algorithm>
#include <functional>

#include "compiler/optimizing/regalloc_impl.h"

namespace wafer::compiler {

RegisterAllocator::RegisterAllocator() : impl_(make_box<Impl>()) {}
RegisterAllocator::~RegisterAllocator() = default;

const Allocation* RegisterAllocator::run(const AllocFunction& function) {
  return impl_->run(function);
}

const Allocation* RegisterAllocator::Impl::run(const AllocFunction& function) {
  if (!start(function)) return nullptr;
  scan();
  sort_pieces();
  give_slots();
  finish_instrs();
  return resolve() ? &result_ : nullptr;
}

void RegisterAllocator::Impl::scan() {
  pieces_.clear();
  order_.clear();
  queue_.assign(1, ~uint64_t(0));  // never comes
  for (Bank& bank : banks_) bank.next_end = kNone;
  const AllocFunction& f = *f_;
  for (uint32_t b = 0; b < f.blocks.size(); ++b) {
    const AllocBlock& block = f.blocks[b];
    block_ = b;
    loop_ = loop_of_[b];
    step(begin_of(b));
    if (block.param_count) define_params(b);
    for (uint32_t i = block.begin; i < block.end; ++i) {
      const uint32_t pos = reads_at(i);
      if (i != block.begin &&
          std::min({banks_[0].next_end, banks_[1].next_end, uint32_t(queue_.front() >> 32)}) <= pos)
        step(pos);
      const AllocInstr& instr = f.instrs[i];
      if (instr.temp_gprs | instr.temp_fprs) reserve_temps(i);
      if (instr.def_count) define(i);
      banks_[0].temps = banks_[1].temps = 0;
    }
    expire(end_of(b));
  }
}

// Ends what is over and brings back what is due.
void RegisterAllocator::Impl::step(uint32_t pos) {
  expire(pos);
  while ((queue_.front() >> 32) <= pos) {
    const auto value = ValueId(queue_.front());
    std::pop_heap(queue_.begin(), queue_.end(), std::greater<>());
    queue_.pop_back();
    Value& v = values_[value];
    skip_uses(v, pos);
    hint_count_ = 0;
    for (uint32_t u = v.use; u < v.end_use && u < v.use + 3; ++u) add_hint(uses_[u].hint);
    add_hint(v.last_reg);
    const bool must =
        v.use < v.end_use && uses_[v.use].pos == pos && uses_[v.use].want == Want::Register;
    place(value, pos, must, ~0u);
  }
}

void RegisterAllocator::Impl::expire(uint32_t pos) {
  if (banks_[0].next_end <= pos) expire(banks_[0], pos);
  if (banks_[1].next_end <= pos) expire(banks_[1], pos);
}

void RegisterAllocator::Impl::expire(Bank& bank, uint32_t pos) {
  uint32_t over = 0, next = kNone;
  for (uint32_t busy = bank.all & ~bank.free; busy; busy &= busy - 1) {
    const int reg = std::countr_zero(busy);
    const uint32_t end = bank.end[reg];
    over |= uint32_t(end <= pos) << reg;
    next = std::min(next, end <= pos ? kNone : end);
  }
  bank.next_end = next;
  bank.free |= over;
  for (; over; over &= over - 1) {
    const int reg = std::countr_zero(over);
    const ValueId value = pieces_[bank.piece[reg]].value;
    const Range& range = ranges_[values_[value].range];
    if (bank.end[reg] < range.to) {
      truncate(bank.piece[reg], bank.end[reg]);
      requeue(value, bank.end[reg]);
    } else if (range.next != kNone) {
      // Behind a hole it takes any register: edges move it there.
      queue(value, ranges_[range.next].from);
    }
  }
}

// Temporaries are a number of registers to leave alone, not certain ones.
void RegisterAllocator::Impl::reserve_temps(uint32_t i) {
  const AllocInstr& instr = f_->instrs[i];
  const uint32_t wanted[] = {instr.temp_gprs, instr.temp_fprs};
  const uint32_t early[] = {instr.early_gprs, instr.early_fprs};
  for (size_t c = 0; c < 2; ++c) {
    if (!wanted[c]) continue;
    Bank& bank = banks_[c];
    const uint32_t allowed = ~early[c];
    while (uint32_t(std::popcount(bank.free & allowed)) < wanted[c]) {
      uint8_t reg;
      if (!evict(bank, reads_at(i), 0, allowed, 0, reg)) panic("too few registers for temporaries");
    }
    // More than wanted are thinned out by the results.
    bank.temps = bank.free & allowed;
  }
}

void RegisterAllocator::Impl::define(uint32_t i) {
  const AllocInstr& instr = f_->instrs[i];
  const uint32_t pos = writes_at(i);
  expire(pos);
  const uint32_t wanted[] = {instr.temp_gprs, instr.temp_fprs};
  for (uint32_t d = 0; d < instr.def_count; ++d) {
    const AllocDef& def = f_->defs[instr.first_def + d];
    Value& value = values_[def.value];
    Bank& bank = this->bank(value.cls);
    order_.push_back(def.value);
    hint_count_ = 0;
    add_hint(value.hint);
    add_hint(def.hint);
    if (value.param != kNone) {
      const Value& param = values_[value.param];
      add_hint(param.last_reg != kNoRegister ? param.last_reg : param.wish);
    }
    for (uint32_t u = 0; u < def.same && u < instr.use_count; ++u) {
      const Value& use = values_[f_->uses[instr.first_use + u].value];
      if (use.piece != kNone && pieces_[use.piece].end == clobbers_at(i)) add_hint(use.last_reg);
    }
    const size_t c = size_t(value.cls);
    const bool spare = uint32_t(std::popcount(bank.temps)) > wanted[c];
    place(def.value, pos, !def.anywhere, spare ? ~0u : ~bank.temps);
    if (value.piece != kNone) bank.temps &= ~(1u << value.last_reg);
  }
}

void RegisterAllocator::Impl::define_params(uint32_t b) {
  const AllocFunction& f = *f_;
  const AllocBlock& block = f.blocks[b];
  const uint32_t pos = begin_of(b);
  for (uint32_t p = 0; p < block.param_count; ++p) {
    const ValueId param = f.params[block.first_param + p];
    Value& value = values_[param];
    if (value.range == kNone) continue;
    order_.push_back(param);
    hint_count_ = 0;
    add_hint(value.hint);
    for (uint32_t n = 0; n < block.pred_count && n < 4; ++n) {
      const ValueId arg = f.args[block.first_arg + n * block.param_count + p];
      if (arg == kNoValue || f.preds[block.first_pred + n] >= b) continue;
      const Value& a = values_[arg];
      if (a.piece != kNone && pieces_[a.piece].end == end_of(f.preds[block.first_pred + n]))
        add_hint(a.last_reg);
    }
    add_hint(value.wish);
    if (value.param != kNone) {
      const Value& next = values_[value.param];
      add_hint(next.last_reg != kNoRegister ? next.last_reg : next.wish);
    }
    const bool must = value.first_use < value.end_use && uses_[value.first_use].pos == pos &&
                      uses_[value.first_use].want == Want::Register;
    place(param, pos, must, ~0u);
  }
}

void RegisterAllocator::Impl::skip_uses(Value& value, uint32_t pos) const {
  value.use = std::max(value.use, value.first_use);
  while (value.use < value.end_use && uses_[value.use].pos < pos) ++value.use;
}

void RegisterAllocator::Impl::pass_clobbers(Bank& bank, uint32_t pos) const {
  if (bank.next_clobber >= pos) return;
  bank.next_clobber = kNone;
  for (size_t i = 0; i < bank.clobber_sets; ++i) {
    Vec<uint32_t>& positions = bank.clobbers[i].positions;
    while (!positions.empty() && positions.back() < pos) positions.pop_back();
    bank.clobber_at[i] = positions.empty() ? kNone : positions.back();
    bank.next_clobber = std::min(bank.next_clobber, bank.clobber_at[i]);
  }
}

uint32_t RegisterAllocator::Impl::next_clobber(Bank& bank, uint8_t reg, uint32_t pos) const {
  pass_clobbers(bank, pos);
  uint32_t next = kNone;
  for (size_t i = 0; i < bank.clobber_sets; ++i)
    if (bank.clobbers[i].mask >> reg & 1) next = std::min(next, bank.clobber_at[i]);
  return next;
}

// Those of the registers `among`, all of which are clobbered, that are so last: at `limit`.
uint32_t RegisterAllocator::Impl::longest_free(const Bank& bank, uint32_t among,
                                               uint32_t& limit) const {
  uint32_t after = 0;
  for (;;) {
    uint32_t next = kNone, clobbered = 0;
    for (size_t i = 0; i < bank.clobber_sets; ++i) {
      const uint32_t at = bank.clobber_at[i];
      if (at < after || at > next) continue;
      clobbered = at == next ? clobbered | bank.clobbers[i].mask : bank.clobbers[i].mask;
      next = at;
    }
    limit = next;
    if (next == kNone || !(among & ~clobbered)) return among;
    among &= ~clobbered;
    after = next + 1;
  }
}

uint32_t RegisterAllocator::Impl::clobbered_between(Bank& bank, uint32_t pos, uint32_t end) {
  pass_clobbers(bank, pos);
  if (bank.next_clobber >= end) return 0;
  uint32_t mask = 0;
  for (size_t i = 0; i < bank.clobber_sets; ++i)
    if (bank.clobber_at[i] < end) mask |= bank.clobbers[i].mask;
  return mask;
}

// Gives `value` a register from `pos` on, or leaves it in its slot for now if that is not a `must`.
void RegisterAllocator::Impl::place(ValueId id, uint32_t pos, bool must, uint32_t allowed) {
  Value& value = values_[id];
  Bank& bank = this->bank(value.cls);
  while (ranges_[value.range].to <= pos) value.range = ranges_[value.range].next;
  const uint32_t end = ranges_[value.range].to;
  skip_uses(value, pos);
  const Use* const use = value.use < value.end_use ? &uses_[value.use] : nullptr;
  // A register is of no use if it is lost before.
  const uint32_t until = must ? pos : use ? use->pos : kNone;
  const uint32_t free = bank.free & allowed;
  const uint32_t lasting = free ? free & ~clobbered_between(bank, pos, end) : 0;
  if (lasting) {
    uint32_t choice = lasting;
    for (size_t i = 0; i < hint_count_; ++i) {
      if (!(lasting >> hints_[i] & 1)) continue;
      choice = 1u << hints_[i];
      break;
    }
    // Those that somebody asks for are left to them.
    if (choice & ~bank.preserved & ~bank.hinted) {
      choice &= ~bank.preserved & ~bank.hinted;
    } else if (choice & ~bank.preserved) {
      choice &= ~bank.preserved;
    } else if (choice & bank.used) {
      choice &= bank.used;
    }
    return occupy(bank, id, uint8_t(std::countr_zero(choice)), pos, end);
  }
  uint8_t reg = kNoRegister;
  uint32_t limit = kNone;
  const uint32_t longest = free ? longest_free(bank, free, limit) : 0;
  if (longest && limit > until) {
    reg = uint8_t(std::countr_zero(longest));
    for (size_t i = 0; i < hint_count_; ++i) {
      if (!(longest >> hints_[i] & 1)) continue;
      reg = hints_[i];
      break;
    }
    uint32_t last = value.use;
    while (last < value.end_use && uses_[last].pos < limit) ++last;
    // Somebody may have a register that lasts and need it less.
    const uint32_t better = bank.all & ~bank.free & allowed & ~clobbered_between(bank, pos, end);
    if (better) {
      const uint8_t r = cheapest(bank, pos, better, cost(value, due(value, last)) / 2);
      if (r != kNoRegister) {
        leave(bank, r, pos);
        return occupy(bank, id, r, pos, end);
      }
    }
    // In front of a branch it is kept for the other way.
    if (limit < end_of(block_)) limit = last > value.use ? uses_[last - 1].pos + 1 : pos + 2;
    occupy(bank, id, reg, pos, limit);
    return;
  }
  if (must) {
    if (!evict(bank, pos, until, allowed, 0, reg)) panic("too few registers");
  } else if (!use || use->want != Want::Register ||
             !evict(bank, pos, until, allowed, score(value, pos), reg)) {
    value.spilled = true;
    return requeue(id, pos);
  }
  hint_count_ = 0;
  add_hint(reg);
  place(id, pos, must, allowed);
}

void RegisterAllocator::Impl::occupy(Bank& bank, ValueId id, uint8_t reg, uint32_t from,
                                     uint32_t to) {
  Value& value = values_[id];
  bank.free &= ~(1u << reg);
  bank.used |= 1u << reg;
  bank.end[reg] = to;
  bank.piece[reg] = value.piece = uint32_t(pieces_.size());
  pieces_.push_back({id, from, to, block_, reg, value.cls == RegClass::Fpr});
  bank.next_end = std::min(bank.next_end, to);
  value.last_reg = reg;
  if (value.param != kNone && values_[value.param].wish == kNoRegister)
    values_[value.param].wish = reg;
}

// Where a piece that is to end at `pos` ends: before this block and loops around that in which it
// is not used, so that no round has to load it, and at once if it is not used at all.
uint32_t RegisterAllocator::Impl::kept_until(const Value& value, uint32_t from,
                                             uint32_t pos) const {
  uint32_t last = value.use > value.first_use ? uses_[value.use - 1].pos : 0;
  uint32_t end = last + 1;
  if (last < from) {
    if (from != value.def || !value.def_in_register) return from;
    last = from;
    end = std::min(from + 2, pos);  // it is still stored
  }
  end = std::max(end, begin_of(block_));
  for (uint32_t l = loop_; l != kNone && loops_[l].begin > last; l = loops_[l].parent)
    end = loops_[l].begin;
  return end;
}

// A loop's end counts if going round leads to a use.
RegisterAllocator::Impl::Due RegisterAllocator::Impl::due(const Value& value, uint32_t use) const {
  const uint32_t next = use < value.end_use ? uses_[use].pos : kNone;
  const uint32_t last = use > value.first_use ? uses_[use - 1].pos : 0;
  for (uint32_t l = loop_; l != kNone; l = loops_[l].parent) {
    if (next < loops_[l].end) return {next, loops_[l].depth};
    if (value.def < loops_[l].begin && last >= loops_[l].begin)
      return {loops_[l].end, loops_[l].depth};
  }
  return {next, 0};
}

// Of a value that is not in a register until it is due.
uint32_t RegisterAllocator::Impl::cost(const Value& value, const Due& due) const {
  return (due.pos == kNone ? 0 : weight(due.depth)) + (value.spilled ? 0 : weight(value.def_depth));
}

// How long a register would be free if `value` left it, for the cost.
uint64_t RegisterAllocator::Impl::score(const Value& value, uint32_t pos) const {
  const Due due = this->due(value, value.use);
  return (uint64_t(due.pos - pos) << 27) / std::max(1u, cost(value, due));
}

// Takes a register from the value that suffers least, if its score is over `at_least`.
bool RegisterAllocator::Impl::evict(Bank& bank, uint32_t pos, uint32_t until, uint32_t allowed,
                                    uint64_t at_least, uint8_t& reg) {
  uint64_t best = at_least;
  reg = kNoRegister;
  for (uint32_t busy = bank.all & ~bank.free & allowed; busy; busy &= busy - 1) {
    const auto r = uint8_t(std::countr_zero(busy));
    Value& value = values_[pieces_[bank.piece[r]].value];
    if (until && next_clobber(bank, r, pos) <= until) continue;
    skip_uses(value, pos);
    if (value.def == pos && pos % 4 == 2 && value.def_in_register) continue;
    if (value.use < value.end_use && uses_[value.use].pos == pos &&
        uses_[value.use].want == Want::Register)
      continue;
    const uint64_t score = this->score(value, pos) + 1;
    if (score <= best) continue;
    best = score;
    reg = r;
  }
  if (reg == kNoRegister) return false;
  leave(bank, reg, pos);
  return true;
}

// Of the registers `among`, that of the value which can leave it at the least cost, if that is
// below `below`.
uint8_t RegisterAllocator::Impl::cheapest(const Bank& bank, uint32_t pos, uint32_t among,
                                          uint32_t below) {
  uint8_t reg = kNoRegister;
  for (; among; among &= among - 1) {
    const auto r = uint8_t(std::countr_zero(among));
    Value& value = values_[pieces_[bank.piece[r]].value];
    skip_uses(value, pos);
    if (value.def == pos || (value.use < value.end_use && uses_[value.use].pos == pos)) continue;
    const uint32_t cost = this->cost(value, due(value, value.use));
    if (cost >= below) continue;
    below = cost;
    reg = r;
  }
  return reg;
}

void RegisterAllocator::Impl::leave(Bank& bank, uint8_t reg, uint32_t pos) {
  const uint32_t piece = bank.piece[reg];
  bank.free |= 1u << reg;
  truncate(piece, pos);
  values_[pieces_[piece].value].spilled = true;
  requeue(pieces_[piece].value, pos);
}

void RegisterAllocator::Impl::truncate(uint32_t index, uint32_t pos) {
  Piece& piece = pieces_[index];
  Value& value = values_[piece.value];
  skip_uses(value, pos);
  piece.end = kept_until(value, piece.start, pos);
}

void RegisterAllocator::Impl::queue(ValueId value, uint32_t pos) {
  queue_.push_back(uint64_t(pos) << 32 | value);
  std::push_heap(queue_.begin(), queue_.end(), std::greater<>());
}

// The first block behind `pos` that some predecessor comes to with `value` in a register; it need
// then be loaded only where others come from. `end` if there is none.
uint32_t RegisterAllocator::Impl::merge_before(const Value& value, uint32_t pos,
                                               uint32_t end) const {
  if (value.piece == kNone || pos <= begin_of(block_)) return end;
  const Piece& piece = pieces_[value.piece];
  constexpr uint32_t kMost = 16;
  const AllocFunction& f = *f_;
  const uint32_t depth = f.blocks[block_].loop_depth;
  uint32_t range = value.range;
  for (uint32_t b = block_ + 1; b < f.blocks.size() && b <= block_ + kMost; ++b) {
    const AllocBlock& block = f.blocks[b];
    if (begin_of(b) >= end || block.loop_depth < depth) break;
    if (block.loop_depth > depth) continue;
    while (ranges_[range].to <= begin_of(b)) range = ranges_[range].next;
    if (ranges_[range].from > begin_of(b)) continue;
    for (uint32_t n = 0; n < block.pred_count && n < 4; ++n) {
      const uint32_t at = end_of(f.preds[block.first_pred + n]);
      if (at <= piece.end && at > piece.start) return begin_of(b);
    }
  }
  return end;
}

// Finds where a value that leaves its register at `pos` comes back: before its next use that needs
// one, or in front of loops around that.
void RegisterAllocator::Impl::requeue(ValueId id, uint32_t pos) {
  Value& value = values_[id];
  skip_uses(value, pos);
  for (uint32_t u = value.use; u < value.end_use; ++u) {
    const Use& use = uses_[u];
    if (use.pos == pos && use.want != Want::Register) continue;
    if (use.want == Want::Argument) continue;
    // Read from memory is as good as loaded for a single use.
    if (use.want == Want::Anywhere &&
        (u + 1 == value.end_use || uses_[u + 1].want == Want::Argument))
      continue;
    uint32_t at = use.pos;
    for (uint32_t l = use.loop; l != kNone && loops_[l].begin > pos; l = loops_[l].parent)
      at = loops_[l].begin;
    if (at != pos) at = merge_before(value, pos, at);
    if (value.piece == kNone || at != pieces_[value.piece].end) value.spilled = true;
    return queue(id, at);
  }
  value.spilled = true;
}

}  // namespace wafer::compiler
