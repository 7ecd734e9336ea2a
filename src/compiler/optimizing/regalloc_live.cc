// Live ranges and uses, found in one walk back over the blocks.
#include <algorithm>

#include "compiler/optimizing/regalloc_impl.h"

namespace wafer::compiler {

namespace {

// What is looked at for values that live over many blocks: most times for each instruction.
constexpr uint64_t kMostWork = 100, kLeastWork = 1u << 22;

}  // namespace

bool RegisterAllocator::Impl::start(const AllocFunction& function) {
  f_ = &function;
  values_.resize(function.values.size());
  for (size_t v = 0; v < values_.size(); ++v) {
    Value value = {};
    value.cls = function.values[v].cls;
    value.hint = value.last_reg = value.wish = kNoRegister;
    value.range = value.param = value.piece = value.slot = kNone;
    values_[v] = value;
  }
  ranges_.clear();
  const uint32_t all[] = {function.gprs, function.fprs};
  const uint32_t preserved[] = {function.preserved_gprs, function.preserved_fprs};
  for (size_t i = 0; i < 2; ++i) {
    banks_[i].all = banks_[i].free = all[i];
    banks_[i].preserved = preserved[i];
    banks_[i].temps = banks_[i].used = banks_[i].hinted = 0;
    banks_[i].clobber_sets = 0;
  }
  find_loops();
  count_uses();
  open_.assign(values_.size(), 0);
  kept_.assign(values_.size(), 0);
  open_values_.resize(values_.size());
  open_count_ = 0;
  listed_at_.resize(values_.size());
  live_.resize(std::max(live_.size(), function.blocks.size()));
  asking_.assign(function.blocks.size(), 0);
  edge_.resize(function.blocks.size());
  for (uint32_t b = 0; b < function.blocks.size(); ++b) {
    const AllocBlock& block = function.blocks[b];
    for (uint32_t i = 0; i < block.succ_count; ++i) {
      const uint32_t succ = function.succs[block.first_succ + i];
      if (succ > b) ++asking_[succ];
    }
    for (uint32_t n = 0; n < block.pred_count; ++n) edge_[function.preds[block.first_pred + n]] = n;
  }
  work_ = 0;
  most_work_ = kLeastWork + kMostWork * function.instrs.size();
  for (uint32_t b = uint32_t(function.blocks.size()); b-- > 0;) {
    live_block(b);
    work_ += open_count_;
    if (work_ > most_work_) return false;
  }
  for (Value& value : values_) value.first_range = value.range;
  for (Bank& bank : banks_) {
    bank.clobber_at.assign(bank.clobber_sets, 0);
    bank.next_clobber = 0;
    for (size_t i = 0; i < bank.clobber_sets; ++i)
      bank.clobber_at[i] = bank.clobbers[i].positions.back();
  }
  return true;
}

void RegisterAllocator::Impl::find_loops() {
  loops_.clear();
  loop_of_.resize(f_->blocks.size());
  uint32_t loop = kNone;
  for (uint32_t b = 0; b < f_->blocks.size(); ++b) {
    const uint32_t pos = begin_of(b);
    while (loop != kNone && loops_[loop].end <= pos) loop = loops_[loop].parent;
    if (f_->blocks[b].loop_end != kNoValue) {
      loops_.push_back(
          {pos, end_of(f_->blocks[b].loop_end), loop, loop == kNone ? 1 : loops_[loop].depth + 1});
      loop = uint32_t(loops_.size() - 1);
    }
    loop_of_[b] = loop;
  }
}

// Room for each value's uses, which are then filled in from the last.
void RegisterAllocator::Impl::count_uses() {
  for (const AllocUse& use : f_->uses) {
    Value& value = values_[use.value];
    ++value.end_use;
    if (use.hint != kNoHint) bank(value.cls).hinted |= 1u << use.hint;
  }
  for (ValueId arg : f_->args)
    if (arg != kNoValue) ++values_[arg].end_use;
  uint32_t at = 0;
  for (Value& value : values_) {
    at += value.end_use;
    value.end_use = value.first_use = at;
  }
  uses_.resize(at);
}

void RegisterAllocator::Impl::add_use(ValueId v, uint32_t pos, uint32_t loop, Want want,
                                      uint8_t hint) {
  Value& value = values_[v];
  if (hint != kNoHint) value.hint = hint;
  if (value.first_use < value.end_use) {
    Use& next = uses_[value.first_use];
    if (next.pos == pos) {
      next.want = std::min(next.want, want);
      if (hint != kNoHint) next.hint = hint;
      return;
    }
  }
  uses_[--value.first_use] = {pos, loop, want, hint};
}

// Ends, going backwards, the stretch in which `v` lives.
void RegisterAllocator::Impl::close(ValueId v, uint32_t begin) {
  ranges_.push_back({begin, open_[v], values_[v].range});
  values_[v].range = uint32_t(ranges_.size() - 1);
  open_[v] = 0;
}

void RegisterAllocator::Impl::unlist(ValueId v) {
  const ValueId last = open_values_[--open_count_];
  open_values_[listed_at_[v]] = last;
  listed_at_[last] = listed_at_[v];
}

// What lives at a loop's beginning lives all through it.
void RegisterAllocator::Impl::extend_over_loop(ValueId v, uint32_t end) {
  uint32_t& to = open_[v];
  to = std::max(to, end);
  uint32_t& range = values_[v].range;
  for (; range != kNone && ranges_[range].from <= to; range = ranges_[range].next)
    to = std::max(to, ranges_[range].to);
}

void RegisterAllocator::Impl::note_clobbers(Bank& bank, uint32_t mask, uint32_t pos) {
  mask &= bank.all;
  if (!mask) return;
  size_t i = 0;
  while (i < bank.clobber_sets && bank.clobbers[i].mask != mask) ++i;
  if (i == bank.clobber_sets) {
    if (i == bank.clobbers.size()) bank.clobbers.emplace_back();
    bank.clobbers[i].mask = mask;
    bank.clobbers[i].positions.clear();
    ++bank.clobber_sets;
  }
  bank.clobbers[i].positions.push_back(pos);
}

// Ends what lives only in the block behind `b`, which the code does not go on to.
void RegisterAllocator::Impl::close_others(uint32_t b) {
  for (uint32_t i = open_count_; i-- > 0;) {
    const ValueId v = open_values_[i];
    if (kept_[v] == b + 1) continue;
    close(v, end_of(b));
    unlist(v);
  }
}

void RegisterAllocator::Impl::live_block(uint32_t b) {
  const AllocFunction& f = *f_;
  const AllocBlock& block = f.blocks[b];
  const uint32_t begin = begin_of(b), end = end_of(b), loop = loop_of_[b];
  const auto depth = uint8_t(loop == kNone ? 0 : std::min(loops_[loop].depth, 255u));
  const auto out = [&](ValueId v) {
    kept_[v] = b + 1;
    open(v, end);
  };
  bool goes_on = false;
  for (uint32_t i = 0; i < block.succ_count; ++i) {
    const uint32_t s = f.succs[block.first_succ + i];
    const AllocBlock& succ = f.blocks[s];
    if (s > b) {
      // What lives in the next block is open already.
      goes_on |= s == b + 1;
      if (s != b + 1)
        for (ValueId v : live_[s]) out(v);
      if (--asking_[s] == 0 && live_[s].capacity()) {
        spare_.emplace_back();
        spare_.back().swap(live_[s]);
      }
    }
    if (!succ.param_count) continue;
    const uint32_t n = edge_[b];  // such a block has no other successor
    for (uint32_t p = 0; p < succ.param_count; ++p) {
      const ValueId arg = f.args[succ.first_arg + n * succ.param_count + p];
      if (arg == kNoValue) continue;
      out(arg);
      add_use(arg, end - 1, loop, Want::Argument, kNoHint);
      Value& value = values_[arg];
      if (value.param == kNone || value.param_depth < depth) {
        value.param = f.params[succ.first_param + p];
        value.param_depth = depth;
      }
    }
  }
  if (!goes_on) close_others(b);
  for (uint32_t i = block.end; i-- > block.begin;) {
    const AllocInstr& instr = f.instrs[i];
    for (uint32_t d = 0; d < instr.def_count; ++d) {
      const AllocDef& def = f.defs[instr.first_def + d];
      Value& value = values_[def.value];
      value.def = writes_at(i);
      value.def_in_register = !def.anywhere;
      value.def_depth = depth;
      if (open_[def.value]) {
        unlist(def.value);
      } else {
        open_[def.value] = value.def + 1;
      }
      close(def.value, value.def);
    }
    for (uint32_t u = instr.use_count; u-- > 0;) {
      const AllocUse& use = f.uses[instr.first_use + u];
      add_use(use.value, reads_at(i), loop, use.anywhere ? Want::Anywhere : Want::Register,
              use.hint);
      if (open_[use.value]) continue;
      open(use.value, clobbers_at(i));
      // An instruction of two addresses hands on what its result is to become.
      for (uint32_t d = 0; d < instr.def_count; ++d) {
        const AllocDef& def = f.defs[instr.first_def + d];
        if (u >= def.same) continue;
        Value& value = values_[use.value];
        const Value& result = values_[def.value];
        if (value.hint == kNoRegister) value.hint = result.hint;
        if (value.param == kNone) {
          value.param = result.param;
          value.param_depth = result.param_depth;
        }
      }
    }
    if (instr.clobbered_gprs | instr.clobbered_fprs) {
      note_clobbers(banks_[0], instr.clobbered_gprs & ~instr.early_gprs, clobbers_at(i));
      note_clobbers(banks_[1], instr.clobbered_fprs & ~instr.early_fprs, clobbers_at(i));
      note_clobbers(banks_[0], instr.early_gprs, reads_at(i));
      note_clobbers(banks_[1], instr.early_fprs, reads_at(i));
    }
  }
  for (uint32_t p = 0; p < block.param_count; ++p) {
    const ValueId param = f.params[block.first_param + p];
    Value& value = values_[param];
    value.def = begin;
    value.def_depth = depth;
    if (!open_[param]) continue;
    unlist(param);
    close(param, begin);
  }
  if (block.loop_end != kNoValue)
    for (uint32_t i = 0; i < open_count_; ++i)
      extend_over_loop(open_values_[i], end_of(block.loop_end));
  bool next = false;
  if (b > 0) {
    const AllocBlock& before = f.blocks[b - 1];
    for (uint32_t i = 0; i < before.succ_count; ++i) next |= f.succs[before.first_succ + i] == b;
  }
  if (asking_[b] > uint32_t(next)) {
    if (!live_[b].capacity() && !spare_.empty()) {
      live_[b].swap(spare_.back());
      spare_.pop_back();
    }
    live_[b].assign(open_values_.begin(), open_values_.begin() + open_count_);
  }
}

}  // namespace wafer::compiler
