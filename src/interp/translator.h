// The translator of validated bodies to register code. Internal to translate*.cc.
#pragma once

#include <cstring>

#include "interp/code.h"
#include "interp/ops.h"
#include "wasm/op_tables.h"
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
#define WAFER_EMIT WAFER_NOINLINE WAFER_NOCLONE
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

// A branch whose offset is to be set.
struct Fixup {
  uint32_t base;          // word that the offset is relative to
  uint32_t word : 31;     // word that has the offset, or its lower half
  uint32_t is_short : 1;  // narrow: 16 bits, in that word alone
  Fixup(uint32_t b, uint32_t w, bool s = false) : base(b), word(w), is_short(s) {}
};

// How an instruction's first word is written on narrow slots (code.h); elsewhere all are Long.
enum class Form : uint8_t { One, Slots, Half, Offset, After, Long };
constexpr unsigned form_words(Form form) {
  return form == Form::One ? 1 : form < Form::Offset ? 2 : form < Form::Long ? 3 : 4;
}

struct Control {
  using Types = std::span<const ValType>;  // as the validator gives them
  struct Range {
    uint32_t begin, end;
  };
  wasm::Opcode op = wasm::Opcode::Block;
  bool has_else = false;
  uint32_t height = 0;     // operands at entry, below the parameters
  uint32_t base_slot = 0;  // first slot of parameters and results
  uint32_t stub = kNone;   // of a branch table: what moves values and goes there
  Types params, results;
  Vec<Fixup> fixups;  // branches to the end
  // Handlers whose target is this label.
  [[no_unique_address]] HandlerVec<uint32_t> handler_fixups;
  union {
    uint32_t loop_start;     // Loop
    Fixup else_fixup{0, 0};  // If: what branches if the condition is false
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
  // On narrow slots: what does not fit the short forms, so that another translator is needed
  // that is told so.
  struct Limits {
    bool branches = true;  // comparisons branch as far as they can
    bool slots = true;     // all slots are near
    bool operator==(const Limits&) const = default;
  };

  Translator(const Module& module, const ModuleCodeImpl& code, FuncCode& out, Limits limits)
      : module_(module),
        mcode_(code),
        out_(out),
        validator_(module),
        maps_(out.ref_maps),
        limits_(limits) {}

  Result<void> run();
  Limits kept() const { return {limits_.branches && !too_long_, limits_.slots && !too_far_}; }

 private:
  // A condition that a branch can test: how to branch if it holds, or if not.
  struct Condition {
    Quad if_true = 0, if_false = 0;           // first words
    uint32_t imm = 0;                         // high half of the second word, if there is one
    bool compares = false, constant = false;  // what narrow forms depend on
  };
#if WAFER_HAS_Accumulator
  // The accumulators' contents: slots whose value they hold, or kNone.
  struct AccState {
    uint32_t i = kNone, f32 = kNone, f64 = kNone;
    uint32_t& of(ValType t) {
      return t.kind() == TypeKind::F32 ? f32 : t.kind() == TypeKind::F64 ? f64 : i;
    }
    // That for integers, references and what is copied holds the value of `slot`.
    void set(uint32_t slot) { i = slot; }
    bool has(uint32_t slot) const { return i == slot; }
    // `slot` now holds something else.
    void clobber(uint32_t slot) {
      if (i == slot) i = kNone;
      if (f32 == slot) f32 = kNone;
      if (f64 == slot) f64 = kNone;
    }
    // What was in slot `from` is in `to` instead.
    void move(uint32_t from, uint32_t to) {
      if (i == from) i = to;
      if (f32 == from) f32 = to;
      if (f64 == from) f64 = to;
    }
  };
#else
  struct AccState {
    void set(uint32_t) {}
    static bool has(uint32_t) { return false; }
    void clobber(uint32_t) {}
    void move(uint32_t, uint32_t) {}
  };
#endif

  // ---- emission
  // Counts words as they would be on narrow slots (`wafer size`).
  void count_narrow(unsigned words) {
#if WAFER_HAS_OS
    out_.narrow_words += words;
#endif
  }
  struct Raw {
    uint16_t bits;
    explicit Raw(uint32_t value) : bits(uint16_t(value)) {}
  };
  uint32_t here() const { return uint32_t(out_.code.size()); }
  // A field of an instruction's first word: a slot, or what stands there as it is.
  struct Field {
    uint16_t bits;
    Field(uint32_t slot) : bits(uint16_t(slot * kSlotStep)) {}
    Field(Raw raw) : bits(raw.bits) {}
  };
  WAFER_EMIT static Quad word(uint16_t op, Field a = 0, Field b = 0, Field c = 0) {
    return op | Quad(a.bits) << 16 | Quad(b.bits) << 32 | Quad(c.bits) << 48;
  }
  static Quad word(Special op, Field a = 0, Field b = 0, Field c = 0) {
    return word(op_id(op), a, b, c);
  }
  // An instruction's first word as word() makes it.
  struct First {
    Quad bits = 0;
    Form form = Form::Long;
#if WAFER_HAS_OS
    uint32_t narrow_words = 0;  // before it
#endif
  };
  void note_first(Quad w, Form form) {
    first_.bits = w;
    first_.form = form;
#if WAFER_HAS_OS
    first_.narrow_words = out_.narrow_words;
#endif
  }
  // Writes a word; on narrow slots so many, from the lowest on.
  WAFER_EMIT void put(Quad w, unsigned narrow = 4) {
#if WAFER_NARROW
    for (; narrow--; w >>= 16) out_.code.push_back(Word(w));
#else
    out_.code.push_back(w);
#endif
  }
  // The same, and counts it.
  void emit(Quad w, unsigned narrow = 4) {
    put(w, narrow);
    count_narrow(narrow);
  }
  // A first word. Slots that short forms do not reach are only destinations, if that is known:
  // note_last() copies there what is in slot 0.
  WAFER_EMIT void emit_first(Quad w, Form form) {
    note_first(w, form);
#if WAFER_NARROW
    if (form != Form::Long) {
      const auto high = uint32_t(w >> 32);
      const uint32_t rest = form == Form::Slots    ? near_byte(high) | near_byte(high >> 16) << 8
                            : form == Form::Offset ? near_byte(high) | (high & 0xFFFF0000)
                                                   : high;
      w = (uint32_t(w) & 0xFF) | near_byte(uint32_t(w) >> 16) << 8 | Quad(rest) << 16;
    }
#endif
    emit(w, form_words(form));
  }
  // The byte for the slot in a field's 16 bits.
  WAFER_EMIT uint32_t near_byte(uint32_t field) {
    const uint32_t slot = uint16_t(field) / kSlotStep;
    if (slot < kNearSlots) return slot;
    too_far_ = true;
    return 0;
  }
  // A first word in the long form, or as many of its words as matter on narrow slots.
  void emit_long(Quad w, unsigned narrow = 4) {
    note_first(w, Form::Long);
    emit(w, narrow);
  }
  // The same of an operation whose first word is written as a whole.
  WAFER_EMIT void emit_op(Special op, Field a = 0, Field b = 0, Field c = 0) {
    emit_long(word(op, a, b, c));
  }
  static Quad pair(uint32_t low, uint32_t high) { return Quad(low) | Quad(high) << 32; }
  // Notes which module byte the next word comes from.
  WAFER_EMIT void mark() {
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
  void clobber(uint32_t slot) { acc_.clobber(slot); }
  // An operation of result type `t`, a number, wrote `slot` and its accumulator.
  void wrote(uint32_t slot, ValType t) {
    clobber(slot);
#if WAFER_HAS_Accumulator
    acc_.of(t) = slot;
#endif
  }
  // Remembers that the instruction at `at` (one destination, field a) was the
  // last, so that local.set may redirect it and a branch may absorb it.
  WAFER_EMIT void note_last(uint32_t at, uint32_t dst, const AccState& before,
                            wasm::Opcode op = wasm::Opcode::Illegal, uint8_t variant = 0) {
    if (is_far(dst) && first_.form != Form::Long) {
      at = here();
      copy_far(0, dst);
      op = wasm::Opcode::Illegal;
    }
    last_ = {at, here(), dst, op, variant, before};
  }
  // Has the last instruction write slot `dst` instead; false if its form does not reach that.
  bool redirect_last(uint32_t dst) {
    if constexpr (!kNarrow) {
      Word& w = out_.code[last_.at];
      w = Word((w & ~(Quad(0xFFFF) << 16)) | Quad(Field(dst).bits) << 16);
      return true;
    }
    if (first_.form == Form::Long) {
      out_.code[last_.at + 1] = Field(dst).bits;
      return true;
    }
    if (dst >= kNearSlots) return false;
    Word& w = out_.code[last_.at];
    w = Word((w & 0xFF) | dst << 8);
    return true;
  }
  bool last_wrote(uint32_t slot) const { return last_.end == here() && last_.dst == slot; }
  WAFER_EMIT void forget_last() { last_ = Last{}; }
  // A point that branches may reach.
  void label() {
    forget_acc();
    forget_last();
  }

  // ---- operands
  Operand& top(uint32_t depth = 0) { return stack_[stack_.size() - 1 - depth]; }
  WAFER_EMIT Operand& push(ValType type) {
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
  WAFER_EMIT Operand pop() {
    const Operand o = stack_.back();
    stack_.pop_back();
    next_slot_ = o.slot;
    if (o.kind == Operand::Kind::Local) local_heads_[o.copy.local] = o.copy.next_same;
    if (lazy_from_ > stack_.size()) lazy_from_ = uint32_t(stack_.size());
    maps_.changed_from(uint32_t(stack_.size()));
    return o;
  }
  uint32_t local_slot(uint32_t local) const { return local_slots_[local]; }
  // Slots that are free at the frame's start where short forms do not reach all: 0 for results, the
  // others for what is read.
  static constexpr uint32_t kFreeSlots = 4;
  // Whether it is known that they do not reach `slot`.
  bool is_far(uint32_t slot) const { return kNarrow && !limits_.slots && slot >= kNearSlots; }
  void copy_far(uint32_t src, uint32_t dst) { emit_long(word(Special::CopyFar, dst, src), 3); }
  // A slot in which a short form finds what is in `slot`: the last three are.
  WAFER_EMIT uint32_t near_slot(uint32_t slot) {
    if (!is_far(slot)) return slot;
    near_ = near_ % (kFreeSlots - 1) + 1;
    copy_far(slot, near_);
    return near_;
  }
  WAFER_EMIT uint32_t near_source(const Operand& o) { return near_slot(source(o)); }
  // Slot from which `o` can be read, writing it to its own slot if it has none.
  WAFER_EMIT uint32_t source(const Operand& o) {
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
  WAFER_EMIT void store_to(const Operand& o, uint32_t dst) {
    switch (o.kind) {
      case Operand::Kind::Const: {
        const AccState before = acc_;
        const uint32_t at = here();
        emit_const(dst, o);
        clobber(dst);
        acc_.set(dst);
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
  WAFER_EMIT void copy(uint32_t src, uint32_t dst, ValType type) {
    if (src == dst) return;
    const uint32_t at = here();
    const AccState before = acc_;
    if (type.kind() == TypeKind::V128) {
      emit_long(word(Special::Copy128, dst, src));
      clobber(dst);
      clobber(dst + 1);
      note_last(at, dst, before);
      return;
    }
    if (is_far(src) || is_far(dst)) {
      copy_far(src, dst);
    } else {
      emit_first(acc_.has(src) ? word(Special::CopyA, dst) : word(Special::Copy, dst, src),
                 Form::Slots);
    }
    clobber(dst);
    acc_.set(dst);
    note_last(at, dst, before);
  }
  // Puts operand `index` of the stack into its own slot.
  WAFER_EMIT void materialize(uint32_t index) {
    Operand& o = stack_[index];
    if (o.kind == Operand::Kind::Slot) return;
    store_to(o, o.slot);
    unlink_local(index);
    o.kind = Operand::Kind::Slot;
    maps_.changed_from(index);
  }
  void unlink_local(uint32_t index) {
    Operand& o = stack_[index];
    if (o.kind != Operand::Kind::Local) return;
    uint32_t* link = &local_heads_[o.copy.local];
    while (*link != index) link = &stack_[*link].copy.next_same;
    *link = o.copy.next_same;
  }
  // Puts every operand into its own slot: what merges of control flow rely on.
  WAFER_EMIT void materialize_all() {
    maps_.changed_from(lazy_from_);
    for (uint32_t i = lazy_from_; i < stack_.size(); ++i) {
      Operand& o = stack_[i];
      if (o.kind == Operand::Kind::Slot) continue;
      store_to(o, o.slot);
      if (o.kind == Operand::Kind::Local) local_heads_[o.copy.local] = kNone;
      o.kind = Operand::Kind::Slot;
    }
    lazy_from_ = uint32_t(stack_.size());
  }
  // So many of the top operands, but for `above` on top of them; from the last, as that is where
  // the list of those with the same local begins.
  void materialize_top(uint32_t count, uint32_t above = 0) {
    for (uint32_t i = uint32_t(stack_.size()) - above; count--;) materialize(--i);
  }
  // Before `local` changes: operands that still stand for its old value get it.
  WAFER_EMIT void preserve_local(uint32_t local) {
    while (local_heads_[local] != kNone) {
      const uint32_t index = local_heads_[local];
      Operand& o = stack_[index];
      local_heads_[local] = o.copy.next_same;
      copy(local_slot(local), o.slot, o.type);
      o.kind = Operand::Kind::Slot;
      maps_.changed_from(index);
    }
  }
  bool in_acc(const Operand& o) {
#if WAFER_HAS_Accumulator
    uint32_t slot;
    if (o.kind == Operand::Kind::Slot) {
      slot = o.slot;
    } else if (o.kind == Operand::Kind::Local) {
      slot = local_slot(o.copy.local);
    } else {
      return false;
    }
    return acc_.of(o.type) == slot;
#else
    return false;
#endif
  }

  // ---- safepoints
  Quad safepoint() {
    uint32_t map = 0;
    if (gc_possible_) {
      map = maps_.map(uint32_t(stack_.size()), [this](uint32_t i) {
        const Operand& o = stack_[i];
        const bool is_root = o.kind == Operand::Kind::Slot && is_gc_ref(module_, o.type);
        return is_root ? uint32_t(o.slot) : RefMapMaker::kNoSlot;
      });
    }
    return pair(out_.func_index, map);
  }
  // Comes before what has a safepoint: what is above an operand that gets its slot only later has
  // to be mapped again then.
  void bound_lazy() {
    constexpr size_t kAgain = 16;
    if (runtime::kHasRoots && gc_possible_ && lazy_from_ + kAgain < stack_.size())
      materialize_all();
  }
  // On narrow slots only the map.
  void emit_point(Quad point) {
    put(kNarrow ? point >> 32 : point, kSafepointWords);
    if (module_.features.has(wasm::Feature::ReferenceTypes)) count_narrow(2);
  }
  void emit_safepoint() {
    if constexpr (kSafepointWords != 0) emit_point(safepoint());
  }

  // ---- plain operations
  static ValType result_of(wasm::Opcode op) { return wasm::op_facts(op).sig().results[0]; }
  static uint32_t arity_of(wasm::Opcode op) { return wasm::op_facts(op).sig().param_count; }
  // Of memory that it touches.
  static unsigned bytes_of(wasm::Opcode op) { return 1u << wasm::op_facts(op).aux; }
  static bool is_immediate(const Operand& o);
  // Whether a constant fits into a field of an instruction, or half a word.
  template <class Half>
  static bool fits(const Operand& o) {
    const bool half = o.type.kind() == TypeKind::I32 || o.type.kind() == TypeKind::F32;
    const int64_t v = half ? int32_t(o.value) : int64_t(o.value);
    return v == Half(v);
  }
  // Words of what puts the constant `o` into a slot on narrow slots: 2 for one of 16 bits.
  WAFER_EMIT static unsigned narrow_const_words(const Operand& o) {
    return fits<int16_t>(o) ? 2 : fits<int32_t>(o) ? 3 : 5;
  }
  void binary(wasm::Opcode op);
  void unary(wasm::Opcode op);
  void load(const Instr& in);
  void store(const Instr& in);
  void vector(const Instr& in);
  void vec_memory(const Instr& in);
  void wide(const Instr& in);
  void atomic(const Instr& in);
  // Whether an access is to memory 0, by 32 bits, and its offset fits into a field.
  bool is_plain(const Instr& in) const { return in.index == 0 && !memory0_is64_; }
  bool fits_field(const Instr& in) const { return is_plain(in) && in.offset <= 0xFFFF - 16; }
  // Whether a load or store of scalars is Far, and emits it.
  bool is_far_access(const Instr& in) const {
    return !fits_field(in) || (kNarrow && is_far_if_narrow(in.op));
  }
  void emit_far(const Instr& in, unsigned variant, uint32_t a, uint32_t b);
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
  // An operation that has `x` after `|*` (ops.h).
  void emit_with(Quad first, uint32_t x) {
    emit_first(kNarrow ? first | Quad(x) << 32 : first, Form::After);
    if constexpr (!kNarrow) put(x);
  }
  void emit_const(uint32_t dst, const Operand& o) {
    const unsigned words = narrow_const_words(o);
    if (words == 5) {
      emit_first(word(kNarrow ? Special::Const64 : Special::Const, dst), Form::One);
      emit(o.value);
      return;
    }
    const Quad first = word(kNarrow && words == 3 ? Special::Const32 : Special::Const, dst);
    emit_first(kNarrow ? first | o.value << 32 : first, words == 2 ? Form::Half : Form::After);
    if constexpr (!kNarrow) put(o.value);
  }
  // Whether offsets of 16 bits are known not to reach.
  bool branches_far() const { return kNarrow && !limits_.branches; }
  // Emits a branch that is taken if the condition holds, or if not, and whose offset is to be set.
  Fixup emit_jump(const Condition& c, bool holds) {
    const Form form = !c.compares ? Form::Half : c.constant ? Form::After : Form::Offset;
    // Far: by one that leads over another.
    const bool far = branches_far();
    const uint32_t base = here();
    emit_first(holds != far ? c.if_true : c.if_false, form);
    if constexpr (!kNarrow) put(pair(0, c.imm));
    const Fixup near{base, base + (kNarrow && c.compares ? 2 : 1), true};
    if (!far) return near;
    const Fixup jump = emit_jump();
    bind(near);
    return jump;
  }
  Fixup emit_jump() {
    const uint32_t base = here();
    const bool far = branches_far();
    emit_first(word(far ? Special::BrFar : Special::Br), far ? Form::After : Form::Half);
    if constexpr (!kNarrow) put(0);
    return {base, base + 1, !far};
  }
  WAFER_EMIT void set_offset(const Fixup& f, uint32_t target) {
    const auto offset = int32_t(target - f.base);
    if constexpr (kNarrow) {
      out_.code[f.word] = Word(offset);
      if (!f.is_short)
        out_.code[f.word + 1] = Word(offset >> 16);
      else if (offset != int16_t(offset))
        too_long_ = true;
    } else {
      Word& w = out_.code[f.word];
      w = Word((w & ~Quad(0xFFFFFFFF)) | uint32_t(offset));
    }
  }
  void bind(const Fixup& f) { set_offset(f, here()); }
  // Has the branch lead to `c`: now, or at its end.
  void aim(const Fixup& f, Control& c) {
    if (c.op == wasm::Opcode::Loop)
      set_offset(f, c.loop_start);
    else
      c.fixups.push_back(f);
  }
  // So many values are moved at once, from their own slots: code is not to grow by their number
  // at each branch.
  static constexpr uint32_t kMany = 4;
  // Puts operands that a branch to `c` takes into their slots if they are many, but for `above`
  // on top of them; before anything depends on whether it is taken.
  void settle_many(const Control& c, uint32_t above) {
    const uint32_t n = uint32_t(c.label_types().size());
    if (n > kMany) materialize_top(n, above);
  }
  // Copies the `n` top operands, which are many, to `dst`.
  void move_many(uint32_t n, uint32_t dst) {
    materialize_top(n);
    const uint32_t src = top(n - 1).slot;
    if (src == dst) return;
    emit_long(word(Special::CopyMany, dst, src, Raw(next_slot_ - src)));
    forget_acc();
    forget_last();
  }
  bool needs_moves(const Control& c) {
    const uint32_t n = uint32_t(c.label_types().size());
    uint32_t slot = c.base_slot;
    if (n > kMany) return top(n - 1).slot != slot;
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
    if (n > kMany) {
      move_many(n, slot);
      return;
    }
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
    aim(emit_jump(), c);
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

  void visit(const Instr& in);
  void visit_special(const Instr& in);
  // The instructions that have fixed operand counts and results after them.
  void visit_plain(const Instr& in);
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
  First first_;  // of what was emitted last
  bool reachable_ = true;
  uint32_t skip_depth_ = 0;  // nested blocks opened in unreachable code
  uint32_t offset_ = 0;
  bool marked_ = false;
  uint32_t marked_at_ = 0, marked_offset_ = 0;
  RefMapMaker maps_;
  uint32_t fuel_word_ = kNone;
  const Limits limits_;
  uint32_t near_ = 0;  // slot that near_source() took last
  bool too_long_ = false, too_far_ = false;
};

}  // namespace wafer::interp

#endif
