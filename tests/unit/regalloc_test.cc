// Register allocation: by what comes out for small functions, and by executing the results for
// random ones with sets of values in the place of values.
#include "compiler/optimizing/regalloc.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace wafer::compiler {
namespace {

// Functions, block after block.
struct Builder {
  struct Edge {
    uint32_t from, to;
    std::vector<ValueId> args;
  };
  AllocFunction f;
  std::vector<Edge> edges;
  std::vector<std::vector<ValueId>> params;

  ValueId value(RegClass cls = RegClass::Gpr, uint8_t slots = 1) {
    f.values.push_back({cls, slots});
    return ValueId(f.values.size() - 1);
  }
  uint32_t block(uint32_t depth = 0) {
    AllocBlock b;
    b.begin = b.end = uint32_t(f.instrs.size());
    b.loop_depth = depth;
    f.blocks.push_back(b);
    params.emplace_back();
    return uint32_t(f.blocks.size() - 1);
  }
  ValueId param(RegClass cls = RegClass::Gpr, uint8_t slots = 1) {
    params.back().push_back(value(cls, slots));
    return params.back().back();
  }
  AllocInstr& instr(std::vector<AllocUse> uses = {}, std::vector<AllocDef> defs = {}) {
    AllocInstr i;
    i.first_use = uint32_t(f.uses.size());
    i.use_count = uint32_t(uses.size());
    i.first_def = uint32_t(f.defs.size());
    i.def_count = uint32_t(defs.size());
    f.uses.insert(f.uses.end(), uses.begin(), uses.end());
    f.defs.insert(f.defs.end(), defs.begin(), defs.end());
    f.instrs.push_back(i);
    f.blocks.back().end = uint32_t(f.instrs.size());
    return f.instrs.back();
  }
  void edge(uint32_t from, uint32_t to, std::vector<ValueId> args = {}) {
    edges.push_back({from, to, std::move(args)});
  }
  const AllocFunction& done() {
    std::vector<std::vector<const Edge*>> in(f.blocks.size()), out(f.blocks.size());
    for (const Edge& e : edges) {
      out[e.from].push_back(&e);
      in[e.to].push_back(&e);
    }
    for (uint32_t b = 0; b < f.blocks.size(); ++b) {
      AllocBlock& block = f.blocks[b];
      block.first_pred = uint32_t(f.preds.size());
      block.pred_count = uint32_t(in[b].size());
      block.first_arg = uint32_t(f.args.size());
      for (const Edge* e : in[b]) {
        f.preds.push_back(e->from);
        EXPECT_EQ(e->args.size(), params[b].size());
        f.args.insert(f.args.end(), e->args.begin(), e->args.end());
      }
      block.first_succ = uint32_t(f.succs.size());
      block.succ_count = uint32_t(out[b].size());
      for (const Edge* e : out[b]) f.succs.push_back(e->to);
      block.first_param = uint32_t(f.params.size());
      block.param_count = uint32_t(params[b].size());
      f.params.insert(f.params.end(), params[b].begin(), params[b].end());
    }
    return f;
  }
};

// Executes an allocation. A place holds a set of values: those it is known to equal on every way
// to where it is. What constants stand for arguments, and upper halves of values in two slots, are
// values with high numbers.
class Checker {
 public:
  using Set = std::vector<uint32_t>;  // sorted
  struct State {
    bool reached = false;
    std::vector<Set> places;
  };

  Checker(const AllocFunction& f, const Allocation& a) : f_(f), a_(a) {}

  // The first thing wrong, or nothing.
  std::string run() {
    if (a_.uses.size() != f_.uses.size() || a_.defs.size() != f_.defs.size() ||
        a_.ends.size() != f_.uses.size() || a_.free_gprs.size() != f_.instrs.size() ||
        a_.free_fprs.size() != f_.instrs.size())
      return "sizes";
    if (!sorted(a_.moves) || !sorted(a_.end_moves) || !sorted(a_.begin_moves)) return "not sorted";
    find_last_uses();
    in_loop_.assign(f_.blocks.size(), false);
    for (uint32_t b = 0; b < f_.blocks.size(); ++b)
      for (uint32_t l = b; f_.blocks[b].loop_end != kNoValue && l <= f_.blocks[b].loop_end; ++l)
        in_loop_[l] = true;
    entry_.resize(f_.blocks.size());
    entry_[0].reached = true;
    entry_[0].places.resize(64 + a_.slots);
    std::vector<bool> changed(f_.blocks.size());
    changed[0] = true;
    for (bool again = true; again && error_.empty();) {
      again = false;
      for (uint32_t b = 0; b < f_.blocks.size(); ++b) {
        if (!changed[b]) continue;
        changed[b] = false;
        State state = entry_[b];
        block(b, state, false);
        for (uint32_t i = 0; i < f_.blocks[b].succ_count; ++i) {
          const uint32_t s = f_.succs[f_.blocks[b].first_succ + i];
          const bool last = i + 1 == f_.blocks[b].succ_count;
          State next = last ? std::move(state) : state;
          enter(b, s, next);
          if (!meet(entry_[s], next)) continue;
          changed[s] = true;
          again |= s <= b;
        }
      }
    }
    for (uint32_t b = 0; b < f_.blocks.size() && error_.empty(); ++b) {
      State state = entry_[b];
      block(b, state, true);
    }
    return error_;
  }

 private:
  static constexpr uint32_t kUpper = 1u << 30, kConstant = 1u << 29;

  static bool sorted(const Vec<AllocMove>& moves) {
    return std::is_sorted(moves.begin(), moves.end(),
                          [](const AllocMove& a, const AllocMove& b) { return a.at < b.at; });
  }
  static bool has(const Set& set, uint32_t v) {
    return std::binary_search(set.begin(), set.end(), v);
  }
  static void insert(Set& set, uint32_t v) {
    const auto at = std::lower_bound(set.begin(), set.end(), v);
    if (at == set.end() || *at != v) set.insert(at, v);
  }
  static void erase(Set& set, uint32_t v) {
    const auto at = std::lower_bound(set.begin(), set.end(), v);
    if (at != set.end() && *at == v) set.erase(at);
  }
  void fail(std::string text) {
    if (error_.empty()) error_ = std::move(text);
  }

  bool good(Location l, ValueId v) {
    if (l.kind == Location::Kind::Slot) return l.index + f_.values[v].slots <= a_.slots;
    const bool gpr = f_.values[v].cls == RegClass::Gpr;
    if (l.kind != (gpr ? Location::Kind::Gpr : Location::Kind::Fpr) || l.index >= 32) return false;
    return ((gpr ? f_.gprs : f_.fprs) & (gpr ? a_.used_gprs : a_.used_fprs)) >> l.index & 1;
  }
  static uint32_t place(Location l) {
    switch (l.kind) {
      case Location::Kind::Gpr:
        return l.index;
      case Location::Kind::Fpr:
        return 32 + l.index;
      default:
        return 64 + l.index;
    }
  }
  bool holds(const State& s, Location l, ValueId v) {
    if (!good(l, v) || !has(s.places[place(l)], v)) return false;
    for (uint32_t i = 1; l.kind == Location::Kind::Slot && i < f_.values[v].slots; ++i)
      if (!has(s.places[place(l) + i], v | kUpper)) return false;
    return true;
  }
  void erase_everywhere(State& s, ValueId v) {
    for (Set& set : s.places) {
      if (set.empty()) continue;
      erase(set, v);
      erase(set, v | kUpper);
    }
  }

  void moves(const Vec<AllocMove>& all, uint32_t at, State& s) {
    auto move = std::lower_bound(all.begin(), all.end(), at,
                                 [](const AllocMove& m, uint32_t at) { return m.at < at; });
    std::vector<std::pair<uint32_t, Set>> writes;
    for (; move != all.end() && move->at == at; ++move) {
      if (!good(move->to, move->value)) return fail("bad move " + std::to_string(at));
      const bool to_slot = move->to.kind == Location::Kind::Slot;
      const uint32_t size = to_slot ? f_.values[move->value].slots : 1;
      Set from;
      if (move->from.kind == Location::Kind::None) {
        from = {kConstant | move->param};
      } else {
        if (!good(move->from, move->value)) return fail("bad move " + std::to_string(at));
        from = s.places[place(move->from)];
        if (move->from.kind == Location::Kind::Slot) {
          for (uint32_t i = 1; i < f_.values[move->value].slots; ++i) {
            const Set& upper = s.places[place(move->from) + i];
            std::erase_if(from, [&](uint32_t v) { return !has(upper, v | kUpper); });
          }
        }
      }
      writes.emplace_back(place(move->to), from);
      for (uint32_t i = 1; i < size; ++i) {
        Set upper = from;
        for (uint32_t& v : upper) v |= kUpper;
        writes.emplace_back(place(move->to) + i, upper);
      }
    }
    std::sort(writes.begin(), writes.end());
    for (size_t i = 0; i < writes.size(); ++i) {
      if (i && writes[i].first == writes[i - 1].first)
        return fail("moves to one place at " + std::to_string(at));
      s.places[writes[i].first] = std::move(writes[i].second);
    }
  }

  // Over an edge, parameters become what their arguments are.
  void enter(uint32_t pred, uint32_t b, State& s) {
    const AllocBlock& block = f_.blocks[b];
    if (f_.blocks[pred].succ_count != 1) moves(a_.begin_moves, b, s);
    if (!block.param_count) return;
    uint32_t n = 0;
    while (f_.preds[block.first_pred + n] != pred) ++n;
    for (Set& set : s.places) {
      if (set.empty()) continue;
      const Set old = set;
      for (uint32_t p = 0; p < block.param_count; ++p) {
        const ValueId param = f_.params[block.first_param + p];
        erase(set, param);
        erase(set, param | kUpper);
      }
      for (uint32_t p = 0; p < block.param_count; ++p) {
        const ValueId param = f_.params[block.first_param + p];
        ValueId arg = f_.args[block.first_arg + n * block.param_count + p];
        if (arg == kNoValue) arg = kConstant | p;
        if (has(old, arg)) insert(set, param);
        if (has(old, arg | kUpper)) insert(set, param | kUpper);
      }
      std::erase_if(set, [](uint32_t v) { return v & kConstant; });
    }
  }
  static bool meet(State& into, const State& from) {
    if (!into.reached) {
      into = from;
      return true;
    }
    bool changed = false;
    for (size_t i = 0; i < into.places.size(); ++i)
      changed |=
          std::erase_if(into.places[i], [&](uint32_t v) { return !has(from.places[i], v); }) != 0;
    return changed;
  }

  void drop(State& s, uint32_t gprs, uint32_t fprs) {
    for (uint32_t r = 0; r < 32; ++r) {
      if (gprs >> r & 1) s.places[r].clear();
      if (fprs >> r & 1) s.places[32 + r].clear();
    }
  }

  void block(uint32_t b, State& s, bool check) {
    const AllocBlock& block = f_.blocks[b];
    for (uint32_t i = block.begin; i < block.end; ++i) {
      if (i + 1 == block.end && block.succ_count == 1) {
        moves(a_.moves, i, s);
        moves(a_.end_moves, b, s);
        continue;  // a jump
      }
      moves(a_.moves, i, s);
      const AllocInstr& instr = f_.instrs[i];
      const auto wrong = [&](const char* what) {
        if (check) fail(std::string(what) + " at instruction " + std::to_string(i));
      };
      drop(s, instr.early_gprs, instr.early_fprs);
      const uint32_t free[] = {a_.free_gprs[i], a_.free_fprs[i]};
      if (std::popcount(free[0]) < instr.temp_gprs || std::popcount(free[1]) < instr.temp_fprs)
        wrong("too few are free");
      if ((free[0] & ~f_.gprs) || (free[1] & ~f_.fprs)) wrong("what is no register is free");
      drop(s, free[0], free[1]);
      for (uint32_t u = instr.first_use; u < instr.first_use + instr.use_count; ++u) {
        const AllocUse& use = f_.uses[u];
        if (!holds(s, a_.uses[u], use.value)) wrong("operand is not where it should be");
        if (!use.anywhere && a_.uses[u].kind == Location::Kind::Slot) wrong("operand in memory");
        // In loops, what leaves them among their blocks keeps more than it needs.
        if (check && last_use_[u] && !a_.ends[u] && !in_loop_[b]) wrong("end not told");
      }
      for (uint32_t u = instr.first_use; u < instr.first_use + instr.use_count; ++u) {
        if (!a_.ends[u]) continue;
        s.places[place(a_.uses[u])].clear();
        for (uint32_t v = u + 1; v < instr.first_use + instr.use_count; ++v)
          if (f_.uses[v].value == f_.uses[u].value) wrong("value ends twice");
      }
      drop(s, instr.clobbered_gprs, instr.clobbered_fprs);
      for (uint32_t d = instr.first_def; d < instr.first_def + instr.def_count; ++d)
        erase_everywhere(s, f_.defs[d].value);
      std::vector<uint32_t> written;
      for (uint32_t d = instr.first_def; d < instr.first_def + instr.def_count; ++d) {
        const AllocDef& def = f_.defs[d];
        const Location to = a_.defs[d];
        if (!good(to, def.value)) {
          wrong("bad place of a result");
          continue;
        }
        if (!def.anywhere && to.kind == Location::Kind::Slot) wrong("result in memory");
        if (to.kind != Location::Kind::Slot &&
            (free[to.kind == Location::Kind::Fpr] >> to.index & 1))
          wrong("a result's register is free");
        const uint32_t size = to.kind == Location::Kind::Slot ? f_.values[def.value].slots : 1;
        for (uint32_t k = 0; k < size; ++k) {
          if (std::count(written.begin(), written.end(), place(to) + k)) wrong("results overlap");
          written.push_back(place(to) + k);
          s.places[place(to) + k] = {k ? def.value | kUpper : def.value};
        }
      }
    }
  }

  // Uses behind which nothing reads the value, by a walk of its own over the blocks.
  void find_last_uses() {
    last_use_.assign(f_.uses.size(), false);
    const size_t words = f_.values.size() / 64 + 1;
    using Bits = std::vector<uint64_t>;
    std::vector<Bits> in(f_.blocks.size(), Bits(words));
    Bits live;
    const auto bit = [](ValueId v) { return uint64_t(1) << (v % 64); };
    const auto remove = [&](ValueId v) { live[v / 64] &= ~bit(v); };
    for (bool again = true; again;) {
      again = false;
      for (uint32_t b = uint32_t(f_.blocks.size()); b-- > 0;) {
        const AllocBlock& block = f_.blocks[b];
        live.assign(words, 0);
        for (uint32_t i = 0; i < block.succ_count; ++i) {
          const uint32_t s = f_.succs[block.first_succ + i];
          const AllocBlock& succ = f_.blocks[s];
          for (size_t w = 0; w < words; ++w) live[w] |= in[s][w];
          uint32_t n = 0;
          while (f_.preds[succ.first_pred + n] != b) ++n;
          for (uint32_t p = 0; p < succ.param_count; ++p) {
            const ValueId arg = f_.args[succ.first_arg + n * succ.param_count + p];
            if (arg != kNoValue) live[arg / 64] |= bit(arg);
          }
        }
        for (uint32_t i = block.end; i-- > block.begin;) {
          const AllocInstr& instr = f_.instrs[i];
          for (uint32_t d = 0; d < instr.def_count; ++d) remove(f_.defs[instr.first_def + d].value);
          for (uint32_t u = instr.first_use + instr.use_count; u-- > instr.first_use;) {
            const ValueId v = f_.uses[u].value;
            last_use_[u] = !(live[v / 64] & bit(v));
            live[v / 64] |= bit(v);
          }
        }
        for (uint32_t p = 0; p < block.param_count; ++p) remove(f_.params[block.first_param + p]);
        if (live != in[b]) {
          in[b] = live;
          again = true;
        }
      }
    }
  }

  const AllocFunction& f_;
  const Allocation& a_;
  std::vector<State> entry_;
  std::vector<bool> last_use_, in_loop_;
  std::string error_;
};

// Random functions of ifs, switches, loops and exits from them.
struct Shape {
  uint32_t gprs = 0x3F, fprs = 0x7, preserved_gprs = 0x30, preserved_fprs = 0;
  uint32_t instrs = 60;
  uint32_t reach = 12;  // how many of the last values are used most
  uint32_t far = 1000;  // and at all
  uint32_t calls = 12;  // of 100
  uint32_t near = 85;   // of 100 uses, those of the last values
};

class Generator {
 public:
  Generator(uint32_t seed, const Shape& shape) : random_(seed), shape_(shape) {
    b.f.gprs = shape.gprs;
    b.f.fprs = shape.fprs;
    b.f.preserved_gprs = shape.preserved_gprs;
    b.f.preserved_fprs = shape.preserved_fprs;
  }
  const AllocFunction& run() {
    b.block();
    std::vector<AllocDef> defs;
    const uint32_t count = 1 + roll(2 + std::popcount(shape_.gprs) / 2);
    for (uint32_t i = 0; i < count && i < 6; ++i)
      defs.push_back({b.value(), chance(30), hint(shape_.gprs), 0});
    b.instr({}, defs);
    for (const AllocDef& def : defs) values_.push_back(def.value);
    while (b.f.instrs.size() < shape_.instrs) region(0);
    std::vector<AllocUse> uses;
    for (uint32_t i = 0; i < 2; ++i) uses.push_back({pick(), true, kNoHint});
    b.instr(uses);
    return b.done();
  }
  Builder b;

 private:
  uint32_t roll(uint32_t n) { return uint32_t((uint64_t(uint32_t(random_())) * n) >> 32); }
  bool chance(uint32_t percent) { return roll(100) < percent; }
  uint8_t hint(uint32_t mask) {
    if (!chance(50)) return kNoHint;
    for (uint32_t n = roll(uint32_t(std::popcount(mask))); n-- > 0;) mask &= mask - 1;
    return uint8_t(std::countr_zero(mask));
  }
  ValueId pick() {
    const auto n = uint32_t(values_.size());
    return chance(shape_.near) && n > shape_.reach ? values_[n - 1 - roll(shape_.reach)]
                                                   : values_[n - 1 - roll(std::min(n, shape_.far))];
  }
  uint32_t depth() const { return b.f.blocks.back().loop_depth; }
  uint32_t current() const { return uint32_t(b.f.blocks.size() - 1); }
  uint32_t registers(ValueId v) const {
    return b.f.values[v].cls == RegClass::Gpr ? shape_.gprs : shape_.fprs;
  }
  ValueId fresh() {
    const bool gpr = chance(70);
    return b.value(gpr ? RegClass::Gpr : RegClass::Fpr, gpr || chance(60) ? 1 : 2);
  }

  void op() {
    const bool call = chance(shape_.calls);
    uint32_t clobbered[2] = {}, early[2] = {};
    if (call) {
      clobbered[0] = shape_.gprs & ~shape_.preserved_gprs;
      clobbered[1] = shape_.fprs & ~shape_.preserved_fprs;
      if (chance(20)) early[0] = clobbered[0] & (1u << roll(4));
    } else if (chance(10)) {
      clobbered[0] = shape_.gprs & (1u << roll(4));
      if (chance(30)) clobbered[1] = shape_.fprs & (1u << roll(4));
      if (chance(50)) early[0] = clobbered[0], early[1] = clobbered[1];
    }
    uint32_t left[2], temps[2];
    for (uint32_t c = 0; c < 2; ++c) {
      const uint32_t all = c ? shape_.fprs : shape_.gprs;
      left[c] = uint32_t(std::popcount(all & ~early[c]));
      temps[c] = chance(15) ? std::min(1 + roll(2), left[c] - 1) : 0;
      left[c] -= temps[c];
    }
    uint32_t results[2] = {left[0], left[1]};
    std::vector<AllocUse> uses;
    const uint32_t wanted = call ? roll(8) : roll(4);
    for (uint32_t i = 0; i < wanted; ++i) {
      AllocUse use{pick(), chance(call ? 60 : 30), kNoHint};
      const auto c = size_t(b.f.values[use.value].cls);
      if (!use.anywhere && left[c] == 0) use.anywhere = true;
      if (!use.anywhere) --left[c];
      if (call || chance(5)) use.hint = hint(registers(use.value));
      uses.push_back(use);
    }
    std::vector<AllocDef> defs;
    const uint32_t count = chance(15) ? 0 : chance(90) ? 1 : 2;
    for (uint32_t i = 0; i < count; ++i) {
      AllocDef def{fresh(), chance(10), kNoHint, 0};
      const auto c = size_t(b.f.values[def.value].cls);
      if (!def.anywhere && results[c]-- == 0) {
        def.anywhere = true;
        results[c] = 0;
      }
      if (call) def.hint = hint(registers(def.value));
      if (!call && chance(50)) def.same = uint8_t(std::min<size_t>(uses.size(), 1 + roll(2)));
      defs.push_back(def);
    }
    AllocInstr& instr = b.instr(uses, defs);
    instr.clobbered_gprs = clobbered[0];
    instr.clobbered_fprs = clobbered[1];
    instr.early_gprs = early[0];
    instr.early_fprs = early[1];
    instr.temp_gprs = uint8_t(temps[0]);
    instr.temp_fprs = uint8_t(temps[1]);
    for (const AllocDef& def : defs) values_.push_back(def.value);
  }
  void ops() {
    for (uint32_t n = roll(8); n-- > 0;) op();
  }

  ValueId param_of(RegClass cls, uint8_t slots) { return b.param(cls, slots); }
  std::vector<ValueId> args(uint32_t block) {
    std::vector<ValueId> out;
    for (ValueId p : b.params[block]) out.push_back(arg(p));
    return out;
  }
  ValueId arg(ValueId param) {
    if (chance(15)) return kNoValue;
    for (uint32_t tries = 0; tries < 20; ++tries) {
      const ValueId v = pick();
      if (b.f.values[v].cls == b.f.values[param].cls &&
          b.f.values[v].slots == b.f.values[param].slots)
        return v;
    }
    return kNoValue;
  }

  struct Pending {
    uint32_t block;
    std::vector<ValueId> values;  // what is known at its end
  };
  // A block behind several, with parameters.
  void join(const std::vector<Pending>& from, size_t known) {
    values_.resize(known);
    const uint32_t at = b.block(from_depth_);
    for (uint32_t n = roll(4); n-- > 0;) {
      const bool gpr = chance(75);
      b.param(gpr ? RegClass::Gpr : RegClass::Fpr, gpr || chance(60) ? 1 : 2);
    }
    for (const Pending& p : from) {
      values_ = p.values;
      b.edge(p.block, at, args(at));
    }
    values_.resize(known);
    for (ValueId p : b.params[at]) values_.push_back(p);
  }

  void branch(uint32_t level, uint32_t ways) {
    std::vector<AllocUse> uses{{pick(), chance(50), kNoHint}};
    AllocInstr& last = b.instr(uses);
    if (chance(20)) last.temp_gprs = 1;
    const uint32_t head = current(), at_depth = depth();
    const size_t known = values_.size();
    const std::vector<ValueId> before = values_;
    std::vector<Pending> ends;
    for (uint32_t i = 0; i < ways; ++i) {
      values_ = before;
      const uint32_t arm = b.block(at_depth);
      b.edge(head, arm, {});
      if (!chance(30)) region(level + 1);
      if (!exits_.empty() && chance(10)) {
        b.instr();
        exits_.back()->push_back({current(), values_});
      } else if (i && chance(8)) {
        b.instr({{pick(), true, kNoHint}});  // returns
      } else {
        b.instr();
        ends.push_back({current(), values_});
      }
    }
    if (ends.empty()) {
      values_ = before;
      const uint32_t arm = b.block(at_depth);
      b.edge(head, arm, {});
      b.instr();
      ends.push_back({current(), values_});
    }
    values_ = before;
    from_depth_ = at_depth;
    join(ends, known);
  }

  void loop(uint32_t level) {
    b.instr();
    const uint32_t before = current(), at_depth = depth();
    const size_t known = values_.size();
    const uint32_t header = b.block(at_depth + 1);
    for (uint32_t n = roll(4); n-- > 0;) {
      const bool gpr = chance(75);
      b.param(gpr ? RegClass::Gpr : RegClass::Fpr, gpr || chance(60) ? 1 : 2);
    }
    b.edge(before, header, args(header));
    for (ValueId p : b.params[header]) values_.push_back(p);
    std::vector<Pending> out;
    exits_.push_back(&out);
    region(level + 1);
    for (uint32_t n = roll(3); n-- > 0;) region(level + 1);
    exits_.pop_back();
    b.instr({{pick(), chance(50), kNoHint}});
    const uint32_t latch = current();
    const std::vector<ValueId> at_latch = values_;
    b.edge(latch, b.block(at_depth + 1), {});
    if (chance(30)) ops();
    b.instr();
    b.edge(current(), header, args(header));
    b.f.blocks[header].loop_end = current();
    values_ = at_latch;
    const uint32_t leave = b.block(at_depth);
    b.edge(latch, leave, {});
    b.instr();
    out.push_back({leave, values_});
    from_depth_ = at_depth;
    join(out, known);
  }

  void region(uint32_t level) {
    ops();
    if (level > 5) return;
    const uint32_t what = roll(100);
    if (what < 30) {
      branch(level, 2);
    } else if (what < 36) {
      branch(level, 2 + roll(5));
    } else if (what < 60 && depth() < 4) {
      loop(level);
    }
    ops();
  }

  std::mt19937 random_;
  Shape shape_;
  std::vector<ValueId> values_;  // that dominate here
  std::vector<std::vector<Pending>*> exits_;
  uint32_t from_depth_ = 0;
};

// Allocates, after which everything has to be right.
const Allocation& allocate(RegisterAllocator& allocator, Builder& b) {
  const AllocFunction& f = b.done();
  const Allocation& a = *allocator.run(f);
  EXPECT_EQ("", Checker(f, a).run());
  return a;
}

AllocUse in_register(ValueId v, uint8_t hint = kNoHint) { return {v, false, hint}; }
AllocDef result(ValueId v, uint8_t hint = kNoHint, uint8_t same = 0) {
  return {v, false, hint, same};
}
Location gpr(uint32_t r) { return {Location::Kind::Gpr, r}; }
bool is_slot(Location l) { return l.kind == Location::Kind::Slot; }

Builder with_registers(uint32_t gprs, uint32_t preserved = 0) {
  Builder b;
  b.f.gprs = gprs;
  b.f.fprs = 0xF;
  b.f.preserved_gprs = preserved;
  return b;
}

TEST(Regalloc, CountersOfLoopsStayInTheirRegisters) {
  Builder b = with_registers(0xFF);
  const uint32_t entry = b.block();
  const ValueId n = b.value(), zero = b.value();
  b.instr({}, {result(n), result(zero)});
  b.instr();
  const uint32_t loop = b.block(1);
  const ValueId i = b.param(), sum = b.param();
  const ValueId sum2 = b.value(), i2 = b.value();
  b.instr({in_register(sum), in_register(i)}, {result(sum2, kNoHint, 1)});
  b.instr({in_register(i)}, {result(i2, kNoHint, 1)});
  b.instr({in_register(i2), in_register(n)});
  const uint32_t back = b.block(1);
  b.instr();
  b.f.blocks[loop].loop_end = back;
  const uint32_t out = b.block();
  b.instr({in_register(sum2)});
  b.edge(entry, loop, {zero, zero});
  b.edge(loop, back);
  b.edge(loop, out);
  b.edge(back, loop, {i2, sum2});
  RegisterAllocator allocator;
  const Allocation& a = allocate(allocator, b);
  EXPECT_TRUE(a.moves.empty());
  EXPECT_TRUE(a.begin_moves.empty());
  // One of the two can take the register of the zero.
  ASSERT_EQ(1u, a.end_moves.size());
  EXPECT_EQ(entry, a.end_moves[0].at);
  EXPECT_EQ(a.uses[0], a.defs[2]);
  EXPECT_EQ(0u, a.slots);
}

TEST(Regalloc, CallsTakeWhatIsNotPreserved) {
  for (const uint32_t preserved : {0x8u, 0u}) {
    Builder b = with_registers(0xF, preserved);
    b.block();
    const ValueId v = b.value(), w = b.value(), r = b.value();
    b.instr({}, {result(v, 0)});
    b.instr({in_register(v)}, {result(w)});
    AllocInstr& call = b.instr({in_register(w, 1)}, {result(r, 0)});
    call.clobbered_gprs = 0xF & ~preserved;
    b.instr({in_register(r), in_register(v)});
    RegisterAllocator allocator;
    const Allocation& a = allocate(allocator, b);
    EXPECT_EQ(gpr(1), a.uses[1]);  // the argument
    EXPECT_EQ(gpr(0), a.defs[2]);  // the result
    EXPECT_EQ(gpr(0), a.uses[2]);
    if (preserved) {
      EXPECT_EQ(gpr(3), a.defs[0]);
      EXPECT_EQ(0u, a.slots);
      EXPECT_TRUE(a.moves.empty());
      continue;
    }
    ASSERT_EQ(2u, a.moves.size());
    EXPECT_EQ(1u, a.moves[0].at);
    EXPECT_EQ(a.defs[0], a.moves[0].from);
    EXPECT_TRUE(is_slot(a.moves[0].to));
    EXPECT_EQ(3u, a.moves[1].at);
    EXPECT_TRUE(is_slot(a.moves[1].from));
    EXPECT_EQ(1u, a.slots);
  }
}

TEST(Regalloc, StoredOnceForManyCalls) {
  Builder b = with_registers(0x7);
  b.block();
  const ValueId v = b.value();
  b.instr({}, {result(v)});
  for (int i = 0; i < 5; ++i) {
    b.instr().clobbered_gprs = 0x7;
    b.instr({in_register(v)});
  }
  RegisterAllocator allocator;
  const Allocation& a = allocate(allocator, b);
  ASSERT_EQ(6u, a.moves.size());
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(i == 0, is_slot(a.moves[i].to));
}

// A value that is used only in a loop, while others fill the registers before it.
TEST(Regalloc, LoadedInFrontOfLoops) {
  Builder b = with_registers(0x7);
  const uint32_t entry = b.block();
  const ValueId v = b.value();
  b.instr({}, {result(v)});
  ValueId w[3];
  for (ValueId& x : w) b.instr({}, {result(x = b.value())});
  b.instr({in_register(w[0]), in_register(w[1]), in_register(w[2])});
  b.instr();
  const uint32_t outer = b.block(1);
  b.instr();
  const uint32_t inner = b.block(2);
  b.instr({in_register(v)});
  b.instr({in_register(v)});
  const uint32_t inner_back = b.block(2);
  b.instr();
  const uint32_t latch = b.block(1);
  b.instr({in_register(v)});
  const uint32_t outer_back = b.block(1);
  b.instr();
  const uint32_t out = b.block();
  b.instr();
  b.f.blocks[outer].loop_end = outer_back;
  b.f.blocks[inner].loop_end = inner_back;
  b.edge(entry, outer);
  b.edge(outer, inner);
  b.edge(inner, inner_back);
  b.edge(inner_back, inner);
  b.edge(inner, latch);
  b.edge(latch, outer_back);
  b.edge(outer_back, outer);
  b.edge(latch, out);
  RegisterAllocator allocator;
  const Allocation& a = allocate(allocator, b);
  ASSERT_EQ(1u, a.moves.size());  // to the slot
  EXPECT_EQ(1u, a.moves[0].at);
  ASSERT_EQ(1u, a.end_moves.size());
  EXPECT_EQ(entry, a.end_moves[0].at);
  EXPECT_TRUE(a.begin_moves.empty());
}

// What a loop does not use goes before what it uses each time, even if that is further on.
TEST(Regalloc, LoopsKeepWhatTheyUse) {
  Builder b = with_registers(0x7);
  const uint32_t entry = b.block();
  const ValueId v = b.value(), after = b.value();
  b.instr({}, {result(v), result(after)});
  b.instr();
  const uint32_t loop = b.block(1);
  b.instr({in_register(v)});
  const ValueId x = b.value(), y = b.value();
  b.instr({}, {result(x)});
  b.instr({}, {result(y)});
  b.instr({in_register(x), in_register(y)});
  const uint32_t back = b.block(1);
  b.instr();
  b.f.blocks[loop].loop_end = back;
  const uint32_t out = b.block();
  b.instr({in_register(after)});
  b.instr({in_register(v)});
  b.edge(entry, loop);
  b.edge(loop, back);
  b.edge(loop, out);
  b.edge(back, loop);
  RegisterAllocator allocator;
  const Allocation& a = allocate(allocator, b);
  for (const AllocMove& m : a.moves) {
    EXPECT_EQ(after, m.value);
    EXPECT_TRUE(m.at < b.f.blocks[loop].begin || m.at >= b.f.blocks[out].begin);
  }
  EXPECT_TRUE(a.end_moves.empty());
  EXPECT_EQ(1u, a.slots);
}

// A call on one of two ways costs nothing on the other.
TEST(Regalloc, LoadedOnTheWayThatCalls) {
  Builder b = with_registers(0x7);
  const uint32_t entry = b.block();
  const ValueId v = b.value(), c = b.value();
  b.instr({}, {result(v), result(c)});
  b.instr({in_register(c)});
  const uint32_t calls = b.block();
  b.instr().clobbered_gprs = 0x7;
  b.instr();
  const uint32_t does_not = b.block();
  b.instr();
  const uint32_t join = b.block();
  b.instr();
  b.instr({in_register(v)});
  b.edge(entry, calls);
  b.edge(entry, does_not);
  b.edge(calls, join);
  b.edge(does_not, join);
  RegisterAllocator allocator;
  const Allocation& a = allocate(allocator, b);
  ASSERT_EQ(1u, a.moves.size());
  EXPECT_EQ(1u, a.moves[0].at);
  ASSERT_EQ(1u, a.end_moves.size());
  EXPECT_EQ(calls, a.end_moves[0].at);
  EXPECT_TRUE(a.begin_moves.empty());
}

// A parameter that waits in memory gets there from the edges, constants too.
TEST(Regalloc, EdgesWriteParametersInMemory) {
  Builder b = with_registers(0x3);
  const uint32_t entry = b.block();
  const ValueId v = b.value();
  b.instr({}, {result(v)});
  b.instr({in_register(v)});
  const uint32_t left = b.block();
  b.instr();
  const uint32_t right = b.block();
  b.instr();
  const uint32_t join = b.block();
  const ValueId other = b.param(), p = b.param();
  b.instr({in_register(other)}).clobbered_gprs = 0x3;
  b.instr({{p, true, kNoHint}});
  b.edge(entry, left);
  b.edge(entry, right);
  b.edge(left, join, {v, v});
  b.edge(right, join, {v, kNoValue});
  RegisterAllocator allocator;
  const Allocation& a = allocate(allocator, b);
  EXPECT_TRUE(a.moves.empty());
  ASSERT_EQ(2u, a.end_moves.size());
  for (const AllocMove& m : a.end_moves) {
    EXPECT_EQ(p, m.value);
    EXPECT_TRUE(is_slot(m.to));
    if (m.at == right) {
      EXPECT_EQ(Location::Kind::None, m.from.kind);
      EXPECT_EQ(1u, m.param);
    }
  }
  EXPECT_TRUE(is_slot(a.uses[2]));
}

TEST(Regalloc, ResultsTakeRegistersOfWhatEnds) {
  Builder b = with_registers(0x3);
  b.block();
  const ValueId v = b.value(), w = b.value(), x = b.value(), y = b.value(), dead = b.value();
  b.instr({}, {result(v), result(w)});
  b.instr({in_register(v), in_register(w)}, {result(x, kNoHint, 1)});
  b.instr({in_register(w), in_register(x)}, {result(y, kNoHint, 2)});
  b.instr({in_register(y), in_register(y)}, {result(dead)});
  RegisterAllocator allocator;
  const Allocation& a = allocate(allocator, b);
  EXPECT_EQ(a.uses[0], a.defs[2]);
  EXPECT_TRUE(a.defs[3] == a.uses[2] || a.defs[3] == a.uses[3]);
  EXPECT_EQ(Location::Kind::Gpr, a.defs[4].kind);
  EXPECT_EQ((Vec<bool>{true, false, true, true, false, true}), a.ends);
  EXPECT_TRUE(a.moves.empty());
  EXPECT_EQ(0u, a.slots);
}

TEST(Regalloc, TemporariesAndEarlyClobbersLeaveOperandsAlone) {
  Builder b = with_registers(0xF);
  b.block();
  const ValueId v = b.value(), w = b.value(), r = b.value();
  b.instr({}, {result(v, 2), result(w)});
  AllocInstr& divide = b.instr({in_register(v), in_register(w)}, {result(r, 2)});
  divide.clobbered_gprs = 0x4;
  divide.early_gprs = 0x4;
  divide.temp_gprs = 1;
  b.instr({in_register(r), in_register(v), in_register(w)}).temp_gprs = 1;
  RegisterAllocator allocator;
  const Allocation& a = allocate(allocator, b);
  EXPECT_FALSE(a.uses[0] == gpr(2));
  EXPECT_EQ(gpr(2), a.defs[2]);
  EXPECT_EQ(1, std::popcount(a.free_gprs[1]));
  EXPECT_FALSE(a.free_gprs[1] & 0x4);
  EXPECT_EQ(1, std::popcount(a.free_gprs[2]));
  EXPECT_EQ(0u, a.slots);
}

TEST(Regalloc, SlotsAreUsedAgain) {
  Builder b = with_registers(0x3);
  b.block();
  for (int i = 0; i < 10; ++i) {
    const ValueId v = b.value(), wide = b.value(RegClass::Fpr, 2);
    b.instr({}, {result(v), result(wide)});
    AllocInstr& call = b.instr();
    call.clobbered_gprs = 0x3;
    call.clobbered_fprs = 0xF;
    b.instr({in_register(v), {wide, true, kNoHint}});
  }
  RegisterAllocator allocator;
  EXPECT_EQ(3u, allocate(allocator, b).slots);
}

TEST(Regalloc, RandomFunctionsKeepTheirValues) {
  RegisterAllocator allocator;
  const char* const only = std::getenv("REGALLOC_SEED");
  const uint32_t count = 1500;
  for (uint32_t seed = 0; seed < count; ++seed) {
    if (only && uint32_t(std::atoi(only)) != seed) continue;
    std::mt19937 random(seed);
    Shape shape;
    const uint32_t kinds[] = {0x3F, 0xF, 0x7, 0xFFEF, 0xFFFF};
    shape.gprs = kinds[random() % 5];
    shape.fprs = kinds[random() % 5];
    shape.preserved_gprs = random() % 3 ? shape.gprs & 0xF032 : 0;
    shape.preserved_fprs = random() % 3 ? 0 : shape.fprs & 0x30;
    shape.instrs = 10 + random() % 150;
    shape.reach = 4 + random() % 30;
    Generator generator(seed, shape);
    const AllocFunction& f = generator.run();
    ASSERT_EQ("", Checker(f, *allocator.run(f)).run()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace wafer::compiler
