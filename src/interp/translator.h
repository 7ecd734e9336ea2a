// The translator of validated bodies to register code. Internal to translate*.cc.
#pragma once

#include <cstring>

#include "interp/code.h"
#include "interp/ops.h"
#include "wasm/validator.h"

#if WAFER_HAS_TRANSLATOR

namespace wafer::interp {

using runtime::MemoryMode;
using wasm::BlockType;
using wasm::ControlFrame;
using wasm::HeapKind;
using wasm::HeapType;
using wasm::Instr;
using wasm::Module;
using wasm::TypeKind;
using wasm::ValType;

constexpr uint32_t kNone = ~0u;

#if WAFER_HAS_OS
#define WAFER_EMIT
#else
#define WAFER_EMIT WAFER_NOINLINE
#endif

// Where an operand's value is right now.
struct Operand {
  enum class Kind : uint8_t {
    Slot,   // in its own slot
    Local,  // unread copy of a local
    Const,  // a constant not yet written anywhere
  };
  uint32_t slot : 24 = 0;  // its own slot; there are at most 2 for each of kMaxOperands
  Kind kind : 8 = Kind::Slot;
  ValType type;
  struct Copy {
    uint32_t local;
    uint32_t next_same;  // next operand below with the same local
  };
  union {
    uint64_t value = 0;  // Const
    Copy copy;           // Local
  };
};

struct Fixup {
  uint32_t base;  // word that offsets are relative to
  uint32_t word;  // word whose low half is the offset
};

struct Control {
  using Types = std::span<const ValType>;  // as the validator gives them
  struct Range {
    uint32_t begin, end;
  };
  wasm::Opcode op = wasm::Opcode::Block;
  bool has_else = false;
  uint32_t height = 0;     // operands at entry, below the parameters
  uint32_t base_slot = 0;  // first slot of parameters and results
  Types params, results;
  Vec<Fixup> fixups;  // branches to the end
  // Handlers whose target is this label.
  [[no_unique_address]] HandlerVec<uint32_t> handler_fixups;
  union {
    uint32_t loop_start;     // Loop
    Fixup else_fixup{0, 0};  // If: the branch to what comes if the condition is false
    Range guarded;           // TryTable, Try: words
  };
  [[no_unique_address]] HandlerVec<wasm::CatchClause> catches;
  struct LegacyCatch {
    uint32_t tag;  // kNone: catch_all
    uint32_t target;
    uint32_t dst;
  };
  [[no_unique_address]] HandlerVec<LegacyCatch> legacy;
  Types label_types() const { return op == wasm::Opcode::Loop ? params : results; }
};

class Translator {
 public:
  Translator(const Module& module, const ModuleCodeImpl& code, FuncCode& out)
      : module_(module), mcode_(code), out_(out), validator_(module) {}

  Result<void> run();

 private:
  // A condition that a branch can test: how to branch if it holds, or if not.
  struct Condition {
    Word if_true = 0, if_false = 0;  // first words
    uint32_t imm = 0;                // high half of the second word
  };
  // The accumulators' contents: slots whose value they hold, or kNone.
  struct AccState {
    uint32_t i = kNone;
#if !WAFER_NARROW
    uint32_t f32 = kNone, f64 = kNone;
#endif
    // The one of type `t`, if there is any.
    uint32_t* of(ValType t) {
      switch (t.kind()) {
        case TypeKind::I32:
          return &i;
#if !WAFER_NARROW
        case TypeKind::F32:
          return &f32;
        case TypeKind::F64:
          return &f64;
        default:
          return &i;
#else
        default:
          return nullptr;
#endif
      }
    }
  };

  // ---- emission
  uint32_t here() const { return uint32_t(out_.code.size()); }
  WAFER_EMIT void emit(Word w) { out_.code.push_back(w); }
  static Word word(uint16_t op, uint32_t a = 0, uint32_t b = 0, uint32_t c = 0) {
    return Word(op) | Word(uint16_t(a)) << 16 | Word(uint16_t(b)) << 32 | Word(uint16_t(c)) << 48;
  }
  static Word word(Special op, uint32_t a = 0, uint32_t b = 0, uint32_t c = 0) {
    return word(op_id(op), a, b, c);
  }
  static Word pair(uint32_t low, uint32_t high) { return Word(low) | Word(high) << 32; }
  // Notes which module byte the next word comes from.
  void mark() {
    if (marked_offset_ == offset_ && marked_) return;
    uint64_t code_delta = here() - marked_at_;
    uint64_t offset_delta = uint64_t(int64_t(offset_) - int64_t(marked_offset_));
    marked_ = true;
    marked_at_ = here();
    marked_offset_ = offset_;
    write_uleb(out_.offsets, code_delta);
    write_sleb(out_.offsets, int64_t(offset_delta));
  }

  void forget_acc() { acc_ = AccState{}; }
  // `slot` now holds something else than the accumulators.
  void clobber(uint32_t slot) {
    if (acc_.i == slot) acc_.i = kNone;
#if !WAFER_NARROW
    if (acc_.f32 == slot) acc_.f32 = kNone;
    if (acc_.f64 == slot) acc_.f64 = kNone;
#endif
  }
  // Whether values of type `t` are ever taken from an accumulator.
  static bool has_acc(ValType t) { return !kNarrow || t.kind() == TypeKind::I32; }
  // An operation of result type `t`, a number, wrote `slot` and its accumulator.
  void wrote(uint32_t slot, ValType t) {
    clobber(slot);
    if (has_acc(t)) *acc_.of(t) = slot;
  }
  // A numeric operation did.
  void computed(wasm::Opcode op, uint32_t slot, ValType t) {
    if (row_of(op).first < kLayout.rares)
      clobber(slot);
    else
      wrote(slot, t);
  }
  // Remembers that the instruction at `at` (one destination, field a) was the
  // last, so that local.set may redirect it and a branch may absorb it.
  void note_last(uint32_t at, uint32_t dst, const AccState& before,
                 wasm::Opcode op = wasm::Opcode::Illegal, uint8_t variant = 0) {
    last_ = {at, here(), dst, op, variant, before};
  }
  bool last_wrote(uint32_t slot) const { return last_.end == here() && last_.dst == slot; }
  void forget_last() { last_ = Last{}; }
  // A point that branches may reach.
  void label() {
    forget_acc();
    forget_last();
  }

  // ---- operands
  Operand& top(uint32_t depth = 0) { return stack_[stack_.size() - 1 - depth]; }
  Operand& push(ValType type) {
    Operand o;
    o.type = type;
    o.slot = next_slot_;
    next_slot_ += slot_count(type);
    if (next_slot_ > max_slot_) max_slot_ = next_slot_;
    stack_.push_back(o);
    return stack_.back();
  }
  void push_const(ValType type, uint64_t value) {
    Operand& o = push(type);
    o.kind = Operand::Kind::Const;
    o.value = value;
  }
  void push_local(uint32_t local) {
    Operand& o = push(validator_.locals()[local]);
    o.kind = Operand::Kind::Local;
    o.copy.local = local;
    o.copy.next_same = local_heads_[local];
    local_heads_[local] = uint32_t(stack_.size() - 1);
    if (lazy_from_ > stack_.size() - 1) lazy_from_ = uint32_t(stack_.size() - 1);
  }
  Operand pop() {
    const Operand o = stack_.back();
    stack_.pop_back();
    next_slot_ = o.slot;
    if (o.kind == Operand::Kind::Local) local_heads_[o.copy.local] = o.copy.next_same;
    if (lazy_from_ > stack_.size()) lazy_from_ = uint32_t(stack_.size());
    return o;
  }
  uint32_t local_slot(uint32_t local) const { return local_slots_[local]; }
  // Slot from which `o` can be read, writing it to its own slot if it has none.
  uint32_t source(const Operand& o) {
    switch (o.kind) {
      case Operand::Kind::Slot:
        return o.slot;
      case Operand::Kind::Local:
        return local_slot(o.copy.local);
      case Operand::Kind::Const: {
        store_to(o, o.slot);
        return o.slot;
      }
    }
    return 0;
  }
  // Copies the value of `o` to slot `dst`.
  void store_to(const Operand& o, uint32_t dst) {
    switch (o.kind) {
      case Operand::Kind::Const: {
        const AccState before = acc_;
        const uint32_t at = here();
        emit(word(Special::Const, dst));
        emit(o.value);
        clobber(dst);
        acc_.i = dst;
        note_last(at, dst, before);
        break;
      }
      case Operand::Kind::Slot:
        if (o.slot != dst) copy(o.slot, dst, o.type);
        break;
      case Operand::Kind::Local:
        copy(local_slot(o.copy.local), dst, o.type);
        break;
    }
  }
  void copy(uint32_t src, uint32_t dst, ValType type) {
    if (src == dst) return;
    const uint32_t at = here();
    const AccState before = acc_;
    if (type.kind() == TypeKind::V128) {
      emit(word(Special::Copy128, dst, src));
      clobber(dst);
      clobber(dst + 1);
      note_last(at, dst, before);
      return;
    }
    if (acc_.i == src && has_acc(type)) {
      emit(word(Special::CopyA, dst));
    } else {
      emit(word(Special::Copy, dst, src));
    }
    clobber(dst);
    acc_.i = dst;
    note_last(at, dst, before);
  }
  // Puts operand `index` of the stack into its own slot.
  void materialize(uint32_t index) {
    Operand& o = stack_[index];
    if (o.kind == Operand::Kind::Slot) return;
    store_to(o, o.slot);
    unlink_local(index);
    o.kind = Operand::Kind::Slot;
  }
  void unlink_local(uint32_t index) {
    Operand& o = stack_[index];
    if (o.kind != Operand::Kind::Local) return;
    uint32_t* link = &local_heads_[o.copy.local];
    while (*link != index) link = &stack_[*link].copy.next_same;
    *link = o.copy.next_same;
  }
  // Puts every operand into its own slot: what merges of control flow rely on.
  void materialize_all() {
    for (uint32_t i = lazy_from_; i < stack_.size(); ++i) {
      Operand& o = stack_[i];
      if (o.kind == Operand::Kind::Slot) continue;
      store_to(o, o.slot);
      if (o.kind == Operand::Kind::Local) local_heads_[o.copy.local] = kNone;
      o.kind = Operand::Kind::Slot;
    }
    lazy_from_ = uint32_t(stack_.size());
  }
  void materialize_top(uint32_t count) {
    for (uint32_t i = uint32_t(stack_.size()) - count; i < stack_.size(); ++i) materialize(i);
  }
  // Before `local` changes: operands that still stand for its old value get it.
  void preserve_local(uint32_t local) {
    while (local_heads_[local] != kNone) {
      const uint32_t index = local_heads_[local];
      Operand& o = stack_[index];
      local_heads_[local] = o.copy.next_same;
      copy(local_slot(local), o.slot, o.type);
      o.kind = Operand::Kind::Slot;
    }
  }
  bool in_acc(const Operand& o) {
    if (!has_acc(o.type)) return false;
    uint32_t slot;
    if (o.kind == Operand::Kind::Slot) {
      slot = o.slot;
    } else if (o.kind == Operand::Kind::Local) {
      slot = local_slot(o.copy.local);
    } else {
      return false;
    }
    return *acc_.of(o.type) == slot;
  }

  // ---- safepoints
  Word safepoint() {
    uint32_t map = 0;
    scratch_slots_.clear();
    if (runtime::kHasRoots && gc_possible_) {
      for (const Operand& o : stack_)
        if (o.kind == Operand::Kind::Slot && is_gc_ref(module_, o.type))
          scratch_slots_.push_back(uint16_t(o.slot));
    }
    if (!scratch_slots_.empty()) {
      map = uint32_t(out_.ref_maps.size()) + 1;
      out_.ref_maps.push_back(uint16_t(scratch_slots_.size()));
      out_.ref_maps.insert(out_.ref_maps.end(), scratch_slots_.begin(), scratch_slots_.end());
    }
    return pair(out_.func_index, map);
  }

  // ---- plain operations
  static ValType result_of(wasm::Opcode op) { return TypeKind(row_of(op).result); }
  void binary(wasm::Opcode op);
  void unary(wasm::Opcode op);
  void load(const Instr& in);
  void store(const Instr& in);
  void vector(const Instr& in);
  void vec_memory(const Instr& in);
  void wide(const Instr& in);
  void atomic(const Instr& in);
  // Whether an access has other forms than `far`, and one of them will do.
  bool near(const Instr& in, unsigned far) const {
    return in.index == 0 && in.offset <= 0xFFFF - 16 && !memory0_is64_ &&
           kLayout.forms[row_of(in.op).forms][far] != 0;
  }

  // The third field of a near access of `bytes`.
  uint32_t near_offset(const Instr& in, uint32_t bytes) const {
    return uint32_t(in.offset) + (kNarrow ? bytes : 0);
  }
  // The index of a memory or table as operations have it.
  uint32_t memory_word(uint32_t index) const {
    return index | (kNarrow && module_.memories[index].type.limits.has_64() ? kIs64 : 0);
  }
  uint32_t table_word(uint32_t index) const {
    return index | (kNarrow && module_.tables[index].type.limits.has_64() ? kIs64 : 0);
  }

  // ---- control
  Control& control(uint32_t label) { return control_[control_.size() - 1 - label]; }
  void push_control(wasm::Opcode op, const BlockType& type);
  void bind(const Fixup& f) {
    Word& w = out_.code[f.word];
    w = (w & ~Word(0xFFFFFFFF)) | uint32_t(int32_t(here()) - int32_t(f.base));
  }
  // Branch offset word to `c`, patched later unless it is a loop.
  void emit_target(Control& c, uint32_t base, uint32_t high = 0) {
    if (c.op == wasm::Opcode::Loop) {
      emit(pair(uint32_t(int32_t(c.loop_start) - int32_t(base)), high));
    } else {
      c.fixups.push_back({base, here()});
      emit(pair(0, high));
    }
  }
  bool needs_moves(const Control& c) {
    const uint32_t n = uint32_t(c.label_types().size());
    uint32_t slot = c.base_slot;
    for (uint32_t i = 0; i < n; ++i) {
      const Operand& o = stack_[stack_.size() - n + i];
      if (o.kind != Operand::Kind::Slot || o.slot != slot) return true;
      slot += slot_count(o.type);
    }
    return false;
  }
  // Copies the top operands to where label `c` (or, with its results, the end of
  // the frame) expects them; the stack keeps them.
  void emit_moves(const Control& c) { emit_moves(c, c.label_types()); }
  void emit_moves(const Control& c, Control::Types types) {
    const uint32_t n = uint32_t(types.size());
    uint32_t slot = c.base_slot;
    for (uint32_t i = 0; i < n; ++i) {
      const Operand o = stack_[stack_.size() - n + i];
      store_to(o, slot);
      slot += slot_count(o.type);
    }
  }
  void emit_branch(Control& c) {
    if (&c == &control_.front()) {
      emit_return();
      return;
    }
    emit_moves(c);
    const uint32_t base = here();
    emit(word(Special::Br));
    emit_target(c, base);
    forget_last();
  }
  void emit_return();
  void absorb_last();
  Condition pop_condition();
  // Branches to label `index` if `cond` holds (or, `negate`, if it does not).
  void emit_cond_branch(uint32_t index, const Condition& cond, bool negate = false);
  void set_unreachable() {
    reachable_ = false;
    skip_depth_ = 0;
  }
  void end_frame();
  void bind_end(Control& c);
  void finish_handlers(Control& c);
  void start_catch(Control& c, uint32_t tag);
  void charge_point();
  void poll_point();
  void stack_switching(const Instr& in);

  Result<void> visit(const Instr& in);
  Result<void> visit_special(const Instr& in);
  // The instructions that have fixed operand counts and results after them.
  Result<void> visit_plain(const Instr& in);
  void visit_skipped(const Instr& in);
  uint32_t settle(const wasm::FuncType& type);
  void end_call(const wasm::FuncType& type);
  void finish_call(const wasm::FuncType& type, uint32_t base);
  void pop_n(size_t n) {
    while (n--) pop();
  }
  void push_results(const wasm::FuncType& type) {
    for (const ValType t : type.results) push(t);
  }
  // Simple operation: operands from slots, result in a slot, no accumulator.
  void no_acc(uint32_t dst) {
    clobber(dst);
    clobber(dst + 1);
  }

  const Module& module_;
  const ModuleCodeImpl& mcode_;
  FuncCode& out_;
  wasm::FuncValidator validator_;
  bool guarded() const { return WAFER_HAS_OS && guarded_; }
  bool memory0_is64_ = false;
  bool guarded_ = false;
  bool gc_possible_ = false;
  Vec<uint32_t> local_slots_;
  Vec<uint32_t> local_heads_;
  Vec<Operand> stack_;
  Vec<Control> control_;
  uint32_t lazy_from_ = 0;
  uint32_t next_slot_ = 0, max_slot_ = 0;
  AccState acc_;
  struct Last {
    uint32_t at = kNone, end = kNone, dst = kNone;
    wasm::Opcode op = wasm::Opcode::Illegal;
    uint8_t variant = 0;
    AccState before;
  } last_;
  bool reachable_ = true;
  uint32_t skip_depth_ = 0;  // nested blocks opened in unreachable code
  uint32_t offset_ = 0;
  bool marked_ = false;
  uint32_t marked_at_ = 0, marked_offset_ = 0;
  Vec<uint16_t> scratch_slots_;
  uint32_t fuel_word_ = kNone;
};

}  // namespace wafer::interp

#endif
