// One-pass translation of a validated body to register code.
#include <cstring>

#include "interp/code.h"
#include "interp/ops.h"
#include "wasm/validator.h"

namespace wafer::interp {

namespace {

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

// Where an operand's value is right now.
struct Operand {
  enum class Kind : uint8_t {
    Slot,   // in its own slot
    Local,  // unread copy of a local
    Const,  // a constant not yet written anywhere
  };
  Kind kind = Kind::Slot;
  ValType type;
  uint32_t slot = 0;           // its own slot
  uint32_t local = 0;          // Local: index
  uint32_t next_same = kNone;  // Local: next operand below with the same local
  uint64_t value = 0;          // Const
};

struct Fixup {
  uint32_t base;  // word that offsets are relative to
  uint32_t word;  // word whose low half is the offset
};

struct Control {
  wasm::Opcode op = wasm::Opcode::Block;
  uint32_t height = 0;     // operands at entry, below the parameters
  uint32_t base_slot = 0;  // first slot of parameters and results
  Vec<ValType> params, results;
  Vec<Fixup> fixups;             // branches to the end
  Vec<uint32_t> handler_fixups;  // handlers whose target is this label
  uint32_t loop_start = 0;
  Fixup else_fixup{kNone, kNone};
  bool has_else = false;
  uint32_t try_begin = 0;  // TryTable, Try: first guarded word
  Vec<wasm::CatchClause> catches;
  struct LegacyCatch {
    uint32_t tag;  // kNone: catch_all
    uint32_t target;
    uint32_t dst;
  };
  Vec<LegacyCatch> legacy;
  uint32_t try_end = 0;
  const Vec<ValType>& label_types() const { return op == wasm::Opcode::Loop ? params : results; }
};

bool is_gc_ref(const Module& module, ValType t) {
  if (!t.is_ref()) return false;
  const HeapType h = t.heap();
  if (h.is_concrete()) return module.types[h.index()].kind != wasm::CompKind::Func;
  return wasm::top_of(h.kind()) != HeapKind::Func;
}

wasm::Opcode swapped(wasm::Opcode op) {
  using O = wasm::Opcode;
  switch (op) {
    case O::I32Add:
    case O::I32Mul:
    case O::I32And:
    case O::I32Or:
    case O::I32Xor:
    case O::I32Eq:
    case O::I32Ne:
    case O::I64Add:
    case O::I64Mul:
    case O::I64And:
    case O::I64Or:
    case O::I64Xor:
    case O::I64Eq:
    case O::I64Ne:
    case O::F32Add:
    case O::F32Mul:
    case O::F64Add:
    case O::F64Mul:
    case O::F32Eq:
    case O::F32Ne:
    case O::F64Eq:
    case O::F64Ne:
      return op;
    case O::I32LtS:
      return O::I32GtS;
    case O::I32LtU:
      return O::I32GtU;
    case O::I32GtS:
      return O::I32LtS;
    case O::I32GtU:
      return O::I32LtU;
    case O::I32LeS:
      return O::I32GeS;
    case O::I32LeU:
      return O::I32GeU;
    case O::I32GeS:
      return O::I32LeS;
    case O::I32GeU:
      return O::I32LeU;
    case O::I64LtS:
      return O::I64GtS;
    case O::I64LtU:
      return O::I64GtU;
    case O::I64GtS:
      return O::I64LtS;
    case O::I64GtU:
      return O::I64LtU;
    case O::I64LeS:
      return O::I64GeS;
    case O::I64LeU:
      return O::I64GeU;
    case O::I64GeS:
      return O::I64LeS;
    case O::I64GeU:
      return O::I64LeU;
    case O::F32Lt:
      return O::F32Gt;
    case O::F32Gt:
      return O::F32Lt;
    case O::F32Le:
      return O::F32Ge;
    case O::F32Ge:
      return O::F32Le;
    case O::F64Lt:
      return O::F64Gt;
    case O::F64Gt:
      return O::F64Lt;
    case O::F64Le:
      return O::F64Ge;
    case O::F64Ge:
      return O::F64Le;
    default:
      return O::Illegal;
  }
}

// The integer comparison that is true exactly when `op` is false.
wasm::Opcode negated(wasm::Opcode op) {
  using O = wasm::Opcode;
  static constexpr O kPairs[][2] = {{O::I32Eq, O::I32Ne},   {O::I32LtS, O::I32GeS},
                                    {O::I32LtU, O::I32GeU}, {O::I32GtS, O::I32LeS},
                                    {O::I32GtU, O::I32LeU}, {O::I64Eq, O::I64Ne},
                                    {O::I64LtS, O::I64GeS}, {O::I64LtU, O::I64GeU},
                                    {O::I64GtS, O::I64LeS}, {O::I64GtU, O::I64LeU}};
  for (const auto& p : kPairs) {
    if (p[0] == op) return p[1];
    if (p[1] == op) return p[0];
  }
  return O::Illegal;
}

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
    uint32_t i = kNone, f32 = kNone, f64 = kNone;
  };

  // ---- emission
  uint32_t here() const { return uint32_t(out_.code.size()); }
  void emit(Word w) { out_.code.push_back(w); }
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
    if (acc_.f32 == slot) acc_.f32 = kNone;
    if (acc_.f64 == slot) acc_.f64 = kNone;
  }
  // An operation of result type `t` wrote `slot` and its accumulator.
  void wrote(uint32_t slot, ValType t) {
    clobber(slot);
    switch (t.kind()) {
      case TypeKind::I32:
      case TypeKind::I64:
        acc_.i = slot;
        break;
      case TypeKind::F32:
        acc_.f32 = slot;
        break;
      case TypeKind::F64:
        acc_.f64 = slot;
        break;
      default:
        break;
    }
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
    o.local = local;
    o.next_same = local_heads_[local];
    local_heads_[local] = uint32_t(stack_.size() - 1);
  }
  Operand pop() {
    const Operand o = stack_.back();
    stack_.pop_back();
    next_slot_ = o.slot;
    if (o.kind == Operand::Kind::Local) local_heads_[o.local] = o.next_same;
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
        return local_slot(o.local);
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
        copy(local_slot(o.local), dst, o.type);
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
    if (acc_.i == src) {
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
    uint32_t* link = &local_heads_[o.local];
    while (*link != index) link = &stack_[*link].next_same;
    *link = o.next_same;
  }
  // Puts every operand into its own slot: what merges of control flow rely on.
  void materialize_all() {
    for (uint32_t i = lazy_from_; i < stack_.size(); ++i) {
      Operand& o = stack_[i];
      if (o.kind == Operand::Kind::Slot) continue;
      store_to(o, o.slot);
      if (o.kind == Operand::Kind::Local) local_heads_[o.local] = kNone;
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
      local_heads_[local] = o.next_same;
      copy(local_slot(local), o.slot, o.type);
      o.kind = Operand::Kind::Slot;
    }
  }
  bool in_acc(const Operand& o) {
    uint32_t slot;
    if (o.kind == Operand::Kind::Slot) {
      slot = o.slot;
    } else if (o.kind == Operand::Kind::Local) {
      slot = local_slot(o.local);
    } else {
      return false;
    }
    switch (o.type.kind()) {
      case TypeKind::F32:
        return acc_.f32 == slot;
      case TypeKind::F64:
        return acc_.f64 == slot;
      default:
        return acc_.i == slot;
    }
  }

  // ---- safepoints
  Word safepoint() {
    uint32_t map = 0;
    scratch_slots_.clear();
    if (gc_possible_) {
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
  static ValType result_of(std::string_view sig) {
    switch (sig.back()) {
      case 'i':
        return wasm::kI32;
      case 'I':
        return wasm::kI64;
      case 'f':
        return wasm::kF32;
      case 'F':
        return wasm::kF64;
      case 'v':
        return wasm::kV128;
      default:
        return wasm::kBot;
    }
  }
  void binary(wasm::Opcode op);
  void unary(wasm::Opcode op);
  void load(const Instr& in);
  void store(const Instr& in);
  void vector(const Instr& in);
  void vec_memory(const Instr& in);
  void wide(const Instr& in);
  void atomic(const Instr& in);
  bool near(const Instr& in) const {
    return in.index == 0 && in.offset <= 0xFFFF && !memory0_is64_;
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
  void emit_moves(const Control& c, const Vec<ValType>& types) {
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
  void visit_skipped(const Instr& in);
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

// ---------------------------------------------------------------------------

void Translator::binary(wasm::Opcode op) {
  const auto sig = kFacts[unsigned(op)].sig;
  const ValType result = result_of(sig);
  Operand b = top(0), a = top(1);
  if (a.kind == Operand::Kind::Const && b.kind != Operand::Kind::Const &&
      swapped(op) != wasm::Opcode::Illegal) {
    op = swapped(op);
    std::swap(a, b);
  }
  if (a.kind == Operand::Kind::Const) {
    // Both constants, or a constant left of an operation with no mirror image.
    materialize(uint32_t(stack_.size()) - 2);
    a = top(1);
  }
  const AccState before = acc_;
  uint8_t variant;
  if (b.kind == Operand::Kind::Const) {
    variant = in_acc(a) ? kAI : kSI;
  } else if (in_acc(a)) {
    variant = kAS;
  } else if (in_acc(b)) {
    variant = kSA;
  } else {
    variant = kSS;
  }
  const uint32_t sa = variant == kAS || variant == kAI ? 0 : source(a);
  const uint32_t sb = variant == kSS || variant == kAS ? source(b) : 0;
  pop();
  pop();
  const uint32_t dst = push(result).slot;
  mark();
  const uint32_t at = here();
  emit(word(op_id(op, variant), dst, sa, sb));
  if (variant >= kSI) emit(b.value);
  wrote(dst, result);
  note_last(at, dst, before, op, variant);
}

void Translator::unary(wasm::Opcode op) {
  const ValType result = result_of(kFacts[unsigned(op)].sig);
  const Operand a = top();
  const bool acc = in_acc(a);
  const uint32_t sa = acc ? 0 : source(a);
  const AccState before = acc_;
  pop();
  const uint32_t dst = push(result).slot;
  mark();
  const uint32_t at = here();
  emit(word(op_id(op, acc ? 1 : 0), dst, sa));
  wrote(dst, result);
  note_last(at, dst, before, op, acc ? 1 : 0);
}

void Translator::load(const Instr& in) {
  const ValType result = result_of(kFacts[unsigned(in.op)].sig);
  const Operand a = top();
  if (!near(in)) {
    const uint32_t sa = source(a);
    pop();
    const uint32_t dst = push(result).slot;
    mark();
    const AccState before = acc_;
    const uint32_t at = here();
    emit(word(op_id(in.op, kLoadFar), dst, sa));
    emit(in.index);
    emit(in.offset);
    wrote(dst, result);
    note_last(at, dst, before);
    return;
  }
  const bool acc = in_acc(a);
  const uint32_t sa = acc ? 0 : source(a);
  const AccState before = acc_;
  pop();
  const uint32_t dst = push(result).slot;
  mark();
  const uint32_t at = here();
  const unsigned variant = (acc ? kLoadA : kLoadS) + (guarded_ ? 0 : 2);
  emit(word(op_id(in.op, variant), dst, sa, uint32_t(in.offset)));
  wrote(dst, result);
  note_last(at, dst, before);
}

void Translator::store(const Instr& in) {
  const Operand v = top(0);
  Operand a = top(1);
  if (!near(in)) {
    const uint32_t sa = source(a), sv = source(v);
    pop();
    pop();
    mark();
    emit(word(op_id(in.op, kStoreFar), sa, sv));
    emit(in.index);
    emit(in.offset);
    return;
  }
  if (a.kind == Operand::Kind::Const) {
    materialize(uint32_t(stack_.size()) - 2);
    a = top(1);
  }
  unsigned variant;
  if (v.kind == Operand::Kind::Const) {
    variant = kStoreSI;
  } else if (in_acc(v)) {
    variant = kStoreSA;
  } else if (in_acc(a)) {
    variant = kStoreAS;
  } else {
    variant = kStoreSS;
  }
  const uint32_t sa = variant == kStoreAS ? 0 : source(a);
  const uint32_t sv = variant == kStoreSS || variant == kStoreAS ? source(v) : 0;
  pop();
  pop();
  mark();
  emit(word(op_id(in.op, variant + (guarded_ ? 0 : 4)), sa, sv, uint32_t(in.offset)));
  if (variant == kStoreSI) emit(v.value);
}

// One form for all plain vector operations:
//   a=dst b=first c=second | lane or third slot | shuffle lanes
void Translator::vector(const Instr& in) {
  const auto sig = kFacts[unsigned(in.op)].sig;
  const size_t arity = sig.find(':');
  const ValType result = result_of(sig);
  uint32_t src[3] = {0, 0, 0};
  for (size_t i = 0; i < arity; ++i) src[i] = source(top(uint32_t(arity - 1 - i)));
  pop_n(arity);
  const uint32_t dst = push(result).slot;
  const AccState before = acc_;
  const uint32_t at = here();
  emit(word(op_id(in.op), dst, src[0], src[1]));
  const wasm::Imm imm = kFacts[unsigned(in.op)].imm;
  if (imm == wasm::Imm::Lane) {
    emit(in.lane);
  } else if (arity == 3) {
    emit(src[2]);
  } else if (imm == wasm::Imm::Shuffle) {
    Word lanes[2];
    std::memcpy(lanes, in.v128.bytes, 16);
    emit(lanes[0]);
    emit(lanes[1]);
  }
  if (result.kind() == TypeKind::V128) {
    no_acc(dst);
  } else {
    wrote(dst, result);
  }
  note_last(at, dst, before);
}

// Vector loads: near a=dst b=address c=offset; Far a=dst b=address | mem | offset.
// Stores: a=address b=value. Lanes: a=dst b=address c=value | mem, lane | offset.
void Translator::vec_memory(const Instr& in) {
  const Shape shape = shape_of(in.op);
  mark();
  if (shape == Shape::VecLane) {
    const Operand v = top(0), a = top(1);
    const uint32_t sa = source(a), sv = source(v);
    const bool is_load = result_of(kFacts[unsigned(in.op)].sig).kind() == TypeKind::V128;
    pop();
    pop();
    uint32_t dst = 0;
    if (is_load) {
      dst = push(wasm::kV128).slot;
    }
    emit(word(op_id(in.op), dst, sa, sv));
    emit(pair(in.index, in.lane));
    emit(in.offset);
    if (is_load) no_acc(dst);
    return;
  }
  const bool far = !near(in);
  const unsigned variant = far ? 2 : guarded_ ? 0 : 1;
  if (shape == Shape::VecLoad) {
    const uint32_t sa = source(top());
    pop();
    const uint32_t dst = push(wasm::kV128).slot;
    const AccState before = acc_;
    const uint32_t at = here();
    emit(word(op_id(in.op, variant), dst, sa, far ? 0 : uint32_t(in.offset)));
    if (far) {
      emit(in.index);
      emit(in.offset);
    }
    no_acc(dst);
    note_last(at, dst, before);
    return;
  }
  const uint32_t sa = source(top(1)), sv = source(top(0));
  pop();
  pop();
  emit(word(op_id(in.op, variant), sa, sv, far ? 0 : uint32_t(in.offset)));
  if (far) {
    emit(in.index);
    emit(in.offset);
  }
}

// Wide arithmetic: a=dst b,c=first two | third, fourth. Results in dst, dst+1.
void Translator::wide(const Instr& in) {
  const size_t arity = kFacts[unsigned(in.op)].sig.find(':');
  uint32_t src[4] = {0, 0, 0, 0};
  for (size_t i = 0; i < arity; ++i) src[i] = source(top(uint32_t(arity - 1 - i)));
  pop_n(arity);
  const uint32_t dst = push(wasm::kI64).slot;
  push(wasm::kI64);
  emit(word(op_id(in.op), dst, src[0], src[1]));
  emit(pair(src[2], src[3]));
  no_acc(dst);
}

// Atomics: a=dst b=address c=operand | mem, replacement slot | offset.
void Translator::atomic(const Instr& in) {
  const auto sig = kFacts[unsigned(in.op)].sig;
  const size_t arity = sig.find(':');
  const ValType result = result_of(sig);
  uint32_t src[3] = {0, 0, 0};
  for (size_t i = 0; i < arity; ++i) src[i] = source(top(uint32_t(arity - 1 - i)));
  pop_n(arity);
  uint32_t dst = 0;
  if (result.kind() != TypeKind::Bot) dst = push(result).slot;
  mark();
  emit(word(op_id(in.op), dst, src[0], src[1]));
  emit(pair(in.index, src[2]));
  emit(in.offset);
  if (result.kind() != TypeKind::Bot) no_acc(dst);
}

// ---------------------------------------------------------------------------

void Translator::push_control(wasm::Opcode op, const BlockType& type) {
  Control c;
  c.op = op;
  const auto params = validator_.block_params(type);
  const auto results = validator_.block_results(type);
  c.params.assign(params.begin(), params.end());
  c.results.assign(results.begin(), results.end());
  c.height = uint32_t(stack_.size() - params.size());
  c.base_slot = params.empty() ? next_slot_ : stack_[c.height].slot;
  // Results may need more room than what is on the stack now.
  uint32_t slots = c.base_slot;
  for (const ValType t : c.results) slots += slot_count(t);
  if (slots > max_slot_) max_slot_ = slots;
  control_.push_back(std::move(c));
}

Translator::Condition Translator::pop_condition() {
  const Operand o = top();
  Condition c;
  // An integer comparison just made for this branch becomes part of it.
  if (o.kind == Operand::Kind::Slot && last_wrote(o.slot) && last_.op != wasm::Opcode::Illegal) {
    const Word w = out_.code[last_.at];
    const uint32_t b = uint16_t(w >> 32), s = uint16_t(w >> 48);
    if (is_int_compare(last_.op)) {
      const uint8_t v = last_.variant;
      const Word imm = v >= kSI ? out_.code[last_.at + 1] : 0;
      const bool is64 = last_.op >= wasm::Opcode::I64Eq;
      if (!is64 || int64_t(imm) == int32_t(imm)) {
        c.if_true = word(branch_id(last_.op, v), b, s);
        c.if_false = word(branch_id(negated(last_.op), v), b, s);
        c.imm = uint32_t(imm);
        out_.code.resize(last_.at);
        acc_ = last_.before;
        forget_last();
        pop();
        return c;
      }
    } else if (is_float_compare(last_.op) && last_.variant == kSS) {
      c.if_true = word(branch_id(last_.op, 0), b, s);
      c.if_false = word(branch_id(last_.op, 1), b, s);
      out_.code.resize(last_.at);
      acc_ = last_.before;
      forget_last();
      pop();
      return c;
    } else if (last_.op == wasm::Opcode::I32Eqz) {
      const bool a = last_.variant == 1;
      c.if_true = word(a ? Special::BrUnlessA : Special::BrUnlessS, b);
      c.if_false = word(a ? Special::BrIfA : Special::BrIfS, b);
      out_.code.resize(last_.at);
      acc_ = last_.before;
      forget_last();
      pop();
      return c;
    } else if (last_.op == wasm::Opcode::I64Eqz && last_.variant == 0) {
      c.if_true = word(Special::BrUnless64S, b);
      c.if_false = word(Special::BrIf64S, b);
      out_.code.resize(last_.at);
      acc_ = last_.before;
      forget_last();
      pop();
      return c;
    }
  }
  if (in_acc(o)) {
    c.if_true = word(Special::BrIfA);
    c.if_false = word(Special::BrUnlessA);
  } else {
    const uint32_t s = source(o);
    c.if_true = word(Special::BrIfS, s);
    c.if_false = word(Special::BrUnlessS, s);
  }
  pop();
  return c;
}

void Translator::emit_cond_branch(uint32_t index, const Condition& cond, bool negate) {
  Control& c = control(index);
  const Word taken = negate ? cond.if_false : cond.if_true;
  const Word not_taken = negate ? cond.if_true : cond.if_false;
  const bool to_function = &c == &control_.front();
  if (!to_function && !needs_moves(c)) {
    const uint32_t base = here();
    emit(taken);
    emit_target(c, base, cond.imm);
    forget_last();
    return;
  }
  const uint32_t base = here();
  emit(not_taken);
  const Fixup skip{base, here()};
  emit(pair(0, cond.imm));
  const AccState before = acc_;
  emit_branch(c);
  bind(skip);
  forget_last();
  acc_ = before;
}

void Translator::emit_return() {
  const Vec<ValType>& results = control_.front().results;
  const uint32_t n = uint32_t(results.size());
  const uint32_t link = out_.link;
  if (n == 0) {
    emit(word(Special::Return, link));
    forget_last();
    return;
  }
  if (n == 1 && results[0].kind() != TypeKind::V128) {
    const Operand o = top();
    const TypeKind k = o.type.kind();
    if (k != TypeKind::F32 && k != TypeKind::F64 && in_acc(o)) {
      emit(word(Special::Return1A, link));
    } else {
      emit(word(Special::Return1S, link, source(o)));
    }
    forget_last();
    return;
  }
  // A local that a result is about to overwrite is read first.
  for (uint32_t i = 0; i < n; ++i) {
    const uint32_t index = uint32_t(stack_.size()) - n + i;
    Operand& o = stack_[index];
    if (o.kind == Operand::Kind::Local && local_slot(o.local) < out_.result_slots)
      copy(local_slot(o.local), o.slot, o.type);
  }
  uint32_t dst = 0;
  for (uint32_t i = 0; i < n; ++i) {
    Operand o = stack_[stack_.size() - n + i];
    if (o.kind == Operand::Kind::Local && local_slot(o.local) < out_.result_slots)
      o.kind = Operand::Kind::Slot;
    store_to(o, dst);
    dst += slot_count(o.type);
  }
  emit(word(Special::Return, link));
  forget_last();
}

// Under fuel metering, starts a new stretch of code that is charged as a whole.
void Translator::charge_point() {
  if (!mcode_.options.fuel) return;
  emit(word(Special::Fuel));
  fuel_word_ = here();
  emit(0);
  emit(safepoint());
  forget_last();
}

void Translator::stack_switching(const Instr& in) {
  using O = wasm::Opcode;
  const auto cont_func = [&](uint32_t type) -> const wasm::FuncType& {
    return module_.types[module_.types[type].cont].func;
  };
  const auto ref = [](uint32_t type) {
    return ValType::ref(wasm::HeapType::concrete(type), false);
  };
  // Operands besides the continuation, and what comes of them.
  size_t args = 0;
  wasm::FuncType type;
  uint32_t tag = kNone;
  bool takes_cont = true;
  switch (in.op) {
    case O::ContNew:
      takes_cont = false;
      args = 1;
      type.results = {ref(in.index)};
      break;
    case O::ContBind:
      args = cont_func(in.index).params.size() - cont_func(in.index2).params.size();
      type.results = {ref(in.index2)};
      break;
    case O::Suspend: {
      takes_cont = false;
      tag = in.index;
      const wasm::FuncType& t = module_.types[module_.tags[tag].type_index].func;
      args = t.params.size();
      type.results = t.results;
      break;
    }
    case O::Switch: {
      tag = in.index2;
      const wasm::FuncType& t = cont_func(in.index);
      args = t.params.size() - 1;
      type.results = cont_func(t.params.back().heap().index()).params;
      break;
    }
    case O::ResumeThrow:
      tag = in.index2;
      args = module_.types[module_.tags[tag].type_index].func.params.size();
      type.results = cont_func(in.index).results;
      break;
    default:
      tag = in.op == O::ResumeThrowRef ? kResumeThrowRef : kResumePlain;
      args = in.op == O::ResumeThrowRef ? 1 : cont_func(in.index).params.size();
      type.results = cont_func(in.index).results;
  }
  const auto operands = uint32_t(args + takes_cont);
  materialize_top(operands);
  const uint32_t base = operands ? top(operands - 1).slot : next_slot_;
  uint32_t slots = 0;
  for (uint32_t i = 0; i < args; ++i) slots += slot_count(top(operands - 1 - i).type);
  const Word point = safepoint();
  mark();
  switch (in.op) {
    case O::ContNew:
      emit(word(Special::ContNew, base));
      break;
    case O::ContBind:
      emit(word(Special::ContBind, base, slots));
      break;
    case O::Suspend:
    case O::Switch:
      emit(word(in.op == O::Suspend ? Special::Suspend : Special::Switch, base, slots));
      emit(tag);
      break;
    default: {
      const auto first = uint32_t(out_.handlers.size());
      for (const wasm::ResumeClause& clause : in.clauses) {
        Handler h{};
        h.tag = clause.tag;
        h.kind = clause.is_switch ? Handler::Kind::Switch : Handler::Kind::Suspend;
        if (!clause.is_switch) {
          Control& target = control(clause.label);
          h.dst = uint16_t(target.base_slot);
          if (target.op == O::Loop)
            h.target = target.loop_start;
          else
            target.handler_fixups.push_back(uint32_t(out_.handlers.size()));
        }
        out_.handlers.push_back(h);
      }
      uint32_t results = 0;
      for (const ValType t : type.results) results += slot_count(t);
      emit(word(Special::Resume, base, slots, base + std::max(slots + 1, results)));
      emit(pair(first, uint32_t(in.clauses.size())));
      emit(tag);
    }
  }
  emit(point);
  pop_n(operands);
  finish_call(type, base);
}

void Translator::poll_point() {
  if (!mcode_.options.interruptible) return;
  mark();
  emit(word(Special::Poll));
  emit(safepoint());
}

void Translator::bind_end(Control& c) {
  for (const Fixup& f : c.fixups) bind(f);
  for (const uint32_t h : c.handler_fixups) out_.handlers[h].target = here();
  pop_n(stack_.size() - c.height);
  next_slot_ = c.base_slot;
  for (const ValType t : c.results) push(t);
  lazy_from_ = uint32_t(stack_.size());
}

// Handlers of a try_table or legacy try, at its end so that inner ones come first.
void Translator::finish_handlers(Control& c) {
  const uint32_t depth = uint32_t(control_.size());
  if (c.op == wasm::Opcode::TryTable) {
    for (const wasm::CatchClause& clause : c.catches) {
      // Labels of catch clauses count from outside the try_table.
      Control& target = control(clause.label + 1);
      using K = wasm::CatchClause::Kind;
      Handler h{};
      h.begin = c.try_begin;
      h.end = here();
      h.depth = depth;
      h.kind = clause.kind == K::Catch || clause.kind == K::CatchRef ? Handler::Kind::Catch
                                                                     : Handler::Kind::CatchAll;
      h.tag = clause.tag;
      h.push_args = h.kind == Handler::Kind::Catch;
      h.push_ref = clause.kind == K::CatchRef || clause.kind == K::CatchAllRef;
      h.dst = uint16_t(target.base_slot);
      const uint32_t index = uint32_t(out_.handlers.size());
      if (target.op == wasm::Opcode::Loop) {
        h.target = target.loop_start;
      } else {
        target.handler_fixups.push_back(index);
      }
      out_.handlers.push_back(h);
    }
    return;
  }
  for (const auto& l : c.legacy) {
    Handler h{};
    h.begin = c.try_begin;
    h.end = c.try_end;
    h.depth = depth;
    h.kind = l.tag == kNone ? Handler::Kind::CatchAll : Handler::Kind::Catch;
    h.tag = l.tag;
    h.target = l.target;
    // The exception reference comes first, for rethrow; then the arguments.
    h.dst = uint16_t(l.dst);
    h.push_ref = true;
    h.push_args = l.tag != kNone;
    h.delegate_depth = kNone;  // legacy layout: reference before arguments
    out_.handlers.push_back(h);
  }
}

Result<void> Translator::run() {
  const uint32_t index = out_.func_index;
  WAFER_TRY(validator_.begin(index));
  const wasm::FuncType& type = module_.func_type(index);
  const auto& locals = validator_.locals();

  uint32_t slot = 0;
  local_slots_.reserve(locals.size());
  for (size_t i = 0; i < locals.size(); ++i) {
    if (i == type.params.size()) out_.zero_begin = uint16_t(slot);
    local_slots_.push_back(slot);
    if (is_gc_ref(module_, locals[i])) {
      gc_possible_ = true;
      if (slot <= kMaxFrameSlots) out_.ref_locals.push_back(uint16_t(slot));
    }
    slot += slot_count(locals[i]);
  }
  if (locals.size() == type.params.size()) out_.zero_begin = uint16_t(slot);
  const uint32_t local_slots = slot;
  out_.zero_count = uint16_t(local_slots - out_.zero_begin);
  uint32_t params = 0, results = 0;
  for (const ValType t : type.params) params += slot_count(t);
  for (const ValType t : type.results) results += slot_count(t);
  out_.param_slots = uint16_t(params);
  out_.result_slots = uint16_t(results);
  const uint32_t link = std::max(local_slots, results);
  if (link + kLinkSlots > kMaxFrameSlots)
    return Error(ErrorKind::Exhaustion, "too many locals for the interpreter",
                 module_.functions[index].body.begin);
  out_.link = uint16_t(link);
  next_slot_ = max_slot_ = link + kLinkSlots;
  local_heads_.assign(locals.size(), kNone);
  // References live on operand stacks only in modules that can make them.
  gc_possible_ = gc_possible_ || !module_.tags.empty() || module_.features.has(wasm::Feature::GC) ||
                 module_.features.has(wasm::Feature::StackSwitching);
  if (!module_.memories.empty()) {
    memory0_is64_ = module_.memories[0].type.limits.is64;
    guarded_ = mcode_.memory0_mode == MemoryMode::Guarded;
  }

  Control body;
  body.results = type.results;
  body.base_slot = next_slot_;
  uint32_t result_end = next_slot_ + results;
  if (result_end > max_slot_) max_slot_ = result_end;
  control_.push_back(std::move(body));

  offset_ = module_.functions[index].body.begin;
  mark();
  charge_point();
  poll_point();

  Instr in;
  while (!validator_.done()) {
    WAFER_TRY(validator_.read(in));
    offset_ = in.offset_in_module;
    if (!reachable_) {
      // Types of skipped code do not matter; its nesting does.
      WAFER_TRY(validator_.apply(in));
      visit_skipped(in);
      continue;
    }
    if (fuel_word_ != kNone) ++out_.code[fuel_word_];
    WAFER_TRY(visit(in));
    if (max_slot_ > kMaxFrameSlots - 8)
      return Error(ErrorKind::Exhaustion, "function needs too many stack slots", offset_);
  }
  out_.frame_slots = max_slot_ + 4;
  out_.code.shrink_to_fit();
  out_.offsets.shrink_to_fit();
  out_.handlers.shrink_to_fit();
  return {};
}

// The innermost frame has ended: falls through or is reached by branches.
void Translator::end_frame() {
  Control& c = control_.back();
  using O = wasm::Opcode;
  if (control_.size() == 1) {
    if (reachable_) emit_return();
    if (!c.fixups.empty() || !c.handler_fixups.empty()) {
      // Handlers may name the function's own label: its values are in place there.
      bind_end(c);
      label();
      emit_return();
    }
    control_.pop_back();
    reachable_ = false;
    return;
  }
  if (reachable_) emit_moves(c, c.results);
  if (c.op == O::Try || c.op == O::Catch || c.op == O::CatchAll || c.op == O::TryTable) {
    if (c.op == O::Try) c.try_end = here();
    finish_handlers(c);
  }
  if (c.op == O::If && !c.has_else && c.else_fixup.word != kNone) {
    // Without else the parameters are the results, already in place.
    bind(c.else_fixup);
  }
  bind_end(c);
  label();
  control_.pop_back();
  reachable_ = true;
  charge_point();
}

void Translator::start_catch(Control& c, uint32_t tag) {
  if (reachable_) emit_branch(c);
  if (c.op == wasm::Opcode::Try) c.try_end = here();
  label();
  pop_n(stack_.size() - c.height);
  next_slot_ = c.base_slot;
  lazy_from_ = uint32_t(stack_.size());
  c.op = tag == kNone ? wasm::Opcode::CatchAll : wasm::Opcode::Catch;
  c.legacy.push_back({tag, here(), c.base_slot});
  push(wasm::kExnRef);  // hidden; rethrow reads it
  if (tag != kNone)
    for (const ValType t : module_.types[module_.tags[tag].type_index].func.params) push(t);
  lazy_from_ = uint32_t(stack_.size());
  reachable_ = true;
  charge_point();
}

void Translator::visit_skipped(const Instr& in) {
  using O = wasm::Opcode;
  switch (in.op) {
    case O::Block:
    case O::Loop:
    case O::If:
    case O::TryTable:
    case O::Try:
      ++skip_depth_;
      return;
    case O::Delegate:
      if (skip_depth_) {
        --skip_depth_;
        return;
      }
      break;
    case O::End:
      if (skip_depth_) {
        --skip_depth_;
        return;
      }
      end_frame();
      return;
    case O::Else:
    case O::Catch:
    case O::CatchAll:
      if (skip_depth_) return;
      break;
    default:
      return;
  }
  // Else, catch and delegate of a live frame.
  Control& c = control_.back();
  if (in.op == O::Else) {
    bind(c.else_fixup);
    c.has_else = true;
    label();
    pop_n(stack_.size() - c.height);
    next_slot_ = c.base_slot;
    for (const ValType t : c.params) push(t);
    lazy_from_ = uint32_t(stack_.size());
    reachable_ = true;
    charge_point();
  } else if (in.op == O::Delegate) {
    const uint32_t depth = uint32_t(control_.size());
    Handler h{};
    h.begin = c.try_begin;
    h.end = here();
    h.depth = depth;
    h.kind = Handler::Kind::Delegate;
    h.delegate_depth = depth - 1 - in.index;
    out_.handlers.push_back(h);
    c.op = O::Block;
    end_frame();
  } else {
    start_catch(c, in.op == O::Catch ? in.index : kNone);
  }
}

Result<void> Translator::visit(const Instr& in) {
  // Results of plain operations follow from their signature; special ones look at
  // the validator before or after it moves.
  switch (shape_of(in.op)) {
    case Shape::BinInt:
    case Shape::BinFloat:
      WAFER_TRY(validator_.apply(in));
      binary(in.op);
      return {};
    case Shape::Unary:
      WAFER_TRY(validator_.apply(in));
      unary(in.op);
      return {};
    case Shape::Load:
      WAFER_TRY(validator_.apply(in));
      load(in);
      return {};
    case Shape::Store:
      WAFER_TRY(validator_.apply(in));
      store(in);
      return {};
    case Shape::Vector:
      WAFER_TRY(validator_.apply(in));
      vector(in);
      return {};
    case Shape::VecLoad:
    case Shape::VecStore:
    case Shape::VecLane:
      WAFER_TRY(validator_.apply(in));
      vec_memory(in);
      return {};
    case Shape::Wide:
      WAFER_TRY(validator_.apply(in));
      wide(in);
      return {};
    case Shape::Atomic:
      WAFER_TRY(validator_.apply(in));
      atomic(in);
      return {};
    case Shape::Special:
      return visit_special(in);
  }
  return {};
}

// After a call's arguments have been popped: its results take their place.
void Translator::finish_call(const wasm::FuncType& type, uint32_t base) {
  next_slot_ = base;
  push_results(type);
  forget_acc();
  forget_last();
}

Result<void> Translator::visit_special(const Instr& in) {
  using O = wasm::Opcode;
  WAFER_TRY(validator_.apply(in));
  switch (in.op) {
    case O::Nop:
      return {};
    case O::Unreachable:
      mark();
      emit(word(Special::Unreachable));
      set_unreachable();
      return {};
    case O::Block:
      materialize_all();
      push_control(in.op, in.block);
      return {};
    case O::Loop: {
      materialize_all();
      push_control(in.op, in.block);
      label();
      control_.back().loop_start = here();
      charge_point();
      poll_point();
      return {};
    }
    case O::If: {
      // Operands below the condition settle first, at the cost of a fused
      // comparison where one of them still has to.
      bool lazy_below = false;
      for (uint32_t i = lazy_from_; i + 1 < stack_.size(); ++i)
        if (stack_[i].kind != Operand::Kind::Slot) lazy_below = true;
      if (lazy_below) materialize_all();
      const Condition c = pop_condition();
      materialize_all();
      push_control(in.op, in.block);
      const uint32_t base = here();
      emit(c.if_false);
      control_.back().else_fixup = {base, here()};
      emit(pair(0, c.imm));
      forget_last();
      charge_point();
      return {};
    }
    case O::Else: {
      Control& c = control_.back();
      emit_branch(c);
      visit_skipped(in);
      return {};
    }
    case O::TryTable:
      materialize_all();
      push_control(in.op, in.block);
      control_.back().catches = in.catches;
      control_.back().try_begin = here();
      forget_last();
      return {};
    case O::Try:
      materialize_all();
      push_control(in.op, in.block);
      control_.back().try_begin = here();
      forget_last();
      return {};
    case O::Catch:
    case O::CatchAll:
      start_catch(control_.back(), in.op == O::Catch ? in.index : kNone);
      return {};
    case O::Delegate:
      emit_moves(control_.back());
      {
        Control& c = control_.back();
        const uint32_t base = here();
        emit(word(Special::Br));
        emit_target(c, base);
      }
      visit_skipped(in);
      return {};
    case O::Rethrow: {
      Control& c = control(in.index);
      mark();
      emit(word(Special::ThrowRef, c.base_slot));
      emit(safepoint());
      set_unreachable();
      return {};
    }
    case O::Throw: {
      const auto& type = module_.types[module_.tags[in.index].type_index].func;
      materialize_top(uint32_t(type.params.size()));
      const uint32_t base =
          type.params.empty() ? next_slot_ : top(uint32_t(type.params.size()) - 1).slot;
      mark();
      emit(word(Special::Throw, base));
      emit(in.index);
      emit(safepoint());
      set_unreachable();
      return {};
    }
    case O::ThrowRef: {
      const uint32_t s = source(top());
      mark();
      emit(word(Special::ThrowRef, s));
      emit(safepoint());
      set_unreachable();
      return {};
    }
    case O::End:
      end_frame();
      return {};
    case O::Br:
      emit_branch(control(in.index));
      set_unreachable();
      return {};
    case O::BrIf: {
      const Condition c = pop_condition();
      emit_cond_branch(in.index, c);
      return {};
    }
    case O::BrTable: {
      const Operand index = pop();
      const uint32_t s = source(index);
      const uint32_t base = here();
      const uint32_t count = uint32_t(in.labels.size());
      emit(word(Special::BrTable, s));
      emit(count - 1);
      for (uint32_t i = 0; i < count; ++i) emit(0);
      // Labels that need values moved, and returns, get a stub each.
      HashMap<uint32_t, uint32_t> stubs;
      forget_last();
      forget_acc();
      for (uint32_t i = 0; i < count; ++i) {
        Control& c = control(in.labels[i]);
        const uint32_t w = base + 2 + i;
        const bool to_function = &c == &control_.front();
        if (!to_function && !needs_moves(c)) {
          if (c.op == O::Loop) {
            out_.code[w] = uint32_t(int32_t(c.loop_start) - int32_t(base));
          } else {
            c.fixups.push_back({base, w});
          }
          continue;
        }
        auto [it, added] = stubs.try_emplace(in.labels[i], here());
        if (added) {
          forget_acc();
          emit_branch(c);
        }
        out_.code[w] = it->second - base;
      }
      set_unreachable();
      return {};
    }
    case O::Return:
      emit_return();
      set_unreachable();
      return {};
    case O::Call: {
      const wasm::FuncType& type = module_.func_type(in.index);
      materialize_top(uint32_t(type.params.size()));
      const uint32_t base =
          type.params.empty() ? next_slot_ : top(uint32_t(type.params.size()) - 1).slot;
      mark();
      const bool imported = module_.functions[in.index].imported;
      emit(word(imported ? Special::CallImport : Special::Call, base) | Word(in.index) << 32);
      pop_n(type.params.size());
      emit(safepoint());
      finish_call(type, base);
      return {};
    }
    case O::CallIndirect: {
      const wasm::FuncType& type = module_.types[in.index].func;
      const Operand index = pop();
      // The index may be a constant or a local; arguments below it settle first.
      materialize_top(uint32_t(type.params.size()));
      const uint32_t s = source(index);
      const uint32_t base =
          type.params.empty() ? next_slot_ : top(uint32_t(type.params.size()) - 1).slot;
      // The index must survive until it is read; it may lie at the arguments' end.
      mark();
      emit(
          word(Special::CallIndirect, base, s, module_.tables[in.index2].type.limits.is64 ? 1 : 0));
      emit(pair(in.index2, module_.canon[in.index]));
      pop_n(type.params.size());
      emit(safepoint());
      finish_call(type, base);
      return {};
    }
    case O::CallRef: {
      const wasm::FuncType& type = module_.types[in.index].func;
      const Operand ref = pop();
      materialize_top(uint32_t(type.params.size()));
      const uint32_t s = source(ref);
      const uint32_t base =
          type.params.empty() ? next_slot_ : top(uint32_t(type.params.size()) - 1).slot;
      mark();
      emit(word(Special::CallRef, base, s));
      pop_n(type.params.size());
      emit(safepoint());
      finish_call(type, base);
      return {};
    }
    case O::ReturnCall: {
      const wasm::FuncType& type = module_.func_type(in.index);
      materialize_top(uint32_t(type.params.size()));
      const uint32_t base =
          type.params.empty() ? next_slot_ : top(uint32_t(type.params.size()) - 1).slot;
      mark();
      emit(word(Special::ReturnCall, base, out_.link));
      emit(in.index);
      pop_n(type.params.size());
      emit(safepoint());
      set_unreachable();
      return {};
    }
    case O::ReturnCallIndirect: {
      const wasm::FuncType& type = module_.types[in.index].func;
      const Operand index = pop();
      materialize_top(uint32_t(type.params.size()));
      const uint32_t s = source(index);
      const uint32_t base =
          type.params.empty() ? next_slot_ : top(uint32_t(type.params.size()) - 1).slot;
      mark();
      emit(word(Special::ReturnCallIndirect, base, s, out_.link));
      emit(pair(in.index2, module_.canon[in.index]));
      emit(module_.tables[in.index2].type.limits.is64 ? 1 : 0);
      pop_n(type.params.size());
      emit(safepoint());
      set_unreachable();
      return {};
    }
    case O::ReturnCallRef: {
      const wasm::FuncType& type = module_.types[in.index].func;
      const Operand ref = pop();
      materialize_top(uint32_t(type.params.size()));
      const uint32_t s = source(ref);
      const uint32_t base =
          type.params.empty() ? next_slot_ : top(uint32_t(type.params.size()) - 1).slot;
      mark();
      emit(word(Special::ReturnCallRef, base, s, out_.link));
      pop_n(type.params.size());
      emit(safepoint());
      set_unreachable();
      return {};
    }
    case O::Drop:
      pop();
      return {};
    case O::Select:
    case O::SelectT: {
      const Operand cond = top(0), b = top(1), a = top(2);
      const ValType type = a.type.is_bot() ? b.type : a.type;
      const bool v128 = type.kind() == TypeKind::V128;
      const uint32_t sa = source(a), sb = source(b);
      const bool acc = !v128 && in_acc(cond);
      const uint32_t sc = acc ? 0 : source(cond);
      const AccState before = acc_;
      pop_n(3);
      const ValType result = validator_.operand(0).is_bot() ? type : validator_.operand(0);
      const uint32_t dst = push(result).slot;
      const uint32_t at = here();
      emit(word(v128  ? Special::Select128
                : acc ? Special::SelectA
                      : Special::SelectS,
                dst, sa, sb));
      emit(sc);
      no_acc(dst);
      if (!v128) acc_.i = dst;
      note_last(at, dst, before);
      return {};
    }
    case O::LocalGet:
      push_local(in.index);
      if (lazy_from_ > stack_.size() - 1) lazy_from_ = uint32_t(stack_.size() - 1);
      return {};
    case O::LocalSet:
    case O::LocalTee: {
      const Operand o = pop();
      const uint32_t dst = local_slot(in.index);
      const bool pending = local_heads_[in.index] != kNone;
      if (o.kind == Operand::Kind::Local && o.local == in.index) {
        // Storing a local to itself.
      } else if (!pending && o.kind == Operand::Kind::Slot && last_wrote(o.slot)) {
        Word& w = out_.code[last_.at];
        w = (w & ~(Word(0xFFFF) << 16)) | Word(dst) << 16;
        AccState acc = acc_;
        clobber(dst);
        if (o.type.kind() == TypeKind::V128) clobber(dst + 1);
        if (acc.i == o.slot) acc_.i = dst;
        if (acc.f32 == o.slot) acc_.f32 = dst;
        if (acc.f64 == o.slot) acc_.f64 = dst;
        forget_last();
      } else {
        preserve_local(in.index);
        // `o` may itself live in a slot that preserving did not touch.
        store_to(o, dst);
        forget_last();
      }
      if (in.op == O::LocalTee) {
        push_local(in.index);
        stack_.back().type = validator_.operand(0);
        if (lazy_from_ > stack_.size() - 1) lazy_from_ = uint32_t(stack_.size() - 1);
      }
      return {};
    }
    case O::GlobalGet: {
      const ValType t = module_.globals[in.index].type.type;
      const bool v128 = t.kind() == TypeKind::V128;
      const AccState before = acc_;
      const uint32_t dst = push(t).slot;
      const uint32_t at = here();
      emit(word(v128 ? Special::GlobalGet128 : Special::GlobalGet, dst));
      emit(in.index);
      no_acc(dst);
      if (!v128) acc_.i = dst;
      note_last(at, dst, before);
      return {};
    }
    case O::GlobalSet: {
      const Operand o = top();
      const bool v128 = o.type.kind() == TypeKind::V128;
      const uint32_t s = source(o);
      pop();
      emit(word(v128 ? Special::GlobalSet128 : Special::GlobalSet, s));
      emit(in.index);
      return {};
    }
    case O::I32Const:
      push_const(wasm::kI32, uint32_t(in.i32));
      goto lazy;
    case O::I64Const:
      push_const(wasm::kI64, uint64_t(in.i64));
      goto lazy;
    case O::F32Const:
      push_const(wasm::kF32, in.f32_bits);
      goto lazy;
    case O::F64Const:
      push_const(wasm::kF64, in.f64_bits);
      goto lazy;
    case O::RefNull:
      push_const(validator_.operand(0), runtime::kNullRef);
    lazy:
      if (lazy_from_ > stack_.size() - 1) lazy_from_ = uint32_t(stack_.size() - 1);
      return {};
    case O::V128Const: {
      const AccState before = acc_;
      const uint32_t dst = push(wasm::kV128).slot;
      const uint32_t at = here();
      Word halves[2];
      std::memcpy(halves, in.v128.bytes, 16);
      emit(word(Special::Const128, dst));
      emit(halves[0]);
      emit(halves[1]);
      no_acc(dst);
      note_last(at, dst, before);
      return {};
    }
    default:
      break;
  }

  // The rest: fixed operand counts, results after.
  mark();
  // Gathers the sources of the top `n` operands, first operand first.
  uint32_t s[6] = {};
  auto take = [&](uint32_t n) {
    for (uint32_t i = 0; i < n; ++i) s[i] = source(top(n - 1 - i));
    pop_n(n);
  };
  // Pushes the result that the validator now has on top; gives its slot.
  auto result = [&]() -> uint32_t {
    const uint32_t dst = push(validator_.operand(0)).slot;
    no_acc(dst);
    return dst;
  };
  auto type_word = [&](uint32_t type_index) {
    return Word(reinterpret_cast<uintptr_t>(module_.canon_type(type_index)));
  };
  auto heap_word = [&](HeapType h) { return Word(module_.canonical(h).bits()); };
  // Branch on the i32 in slot `slot` (scratch, above the stack).
  auto branch_on_slot = [&](uint32_t slot, bool if_nonzero) {
    Condition c;
    c.if_true = word(if_nonzero ? Special::BrIfS : Special::BrUnlessS, slot);
    c.if_false = word(if_nonzero ? Special::BrUnlessS : Special::BrIfS, slot);
    emit_cond_branch(in.index, c);
  };

  switch (in.op) {
    case O::MemorySize: {
      const uint32_t dst = result();
      emit(word(Special::MemorySize, dst));
      emit(in.index);
      return {};
    }
    case O::MemoryGrow: {
      take(1);
      const uint32_t dst = result();
      emit(word(Special::MemoryGrow, dst, s[0]));
      emit(pair(in.index, module_.memories[in.index].type.limits.is64));
      return {};
    }
    case O::MemoryFill:
      take(3);
      emit(word(Special::MemoryFill, s[0], s[1], s[2]));
      emit(in.index);
      return {};
    case O::MemoryCopy:
      take(3);
      emit(word(Special::MemoryCopy, s[0], s[1], s[2]));
      emit(pair(in.index, in.index2));
      return {};
    case O::MemoryInit:
      take(3);
      emit(word(Special::MemoryInit, s[0], s[1], s[2]));
      emit(pair(in.index2, in.index));
      return {};
    case O::DataDrop:
      emit(word(Special::DataDrop));
      emit(in.index);
      return {};
    case O::TableGet: {
      take(1);
      const uint32_t dst = result();
      emit(word(Special::TableGet, dst, s[0]));
      emit(pair(in.index, module_.tables[in.index].type.limits.is64));
      return {};
    }
    case O::TableSet:
      take(2);
      emit(word(Special::TableSet, s[0], s[1]));
      emit(pair(in.index, module_.tables[in.index].type.limits.is64));
      return {};
    case O::TableSize: {
      const uint32_t dst = result();
      emit(word(Special::TableSize, dst));
      emit(in.index);
      return {};
    }
    case O::TableGrow: {
      take(2);
      const uint32_t dst = result();
      emit(word(Special::TableGrow, dst, s[0], s[1]));
      emit(pair(in.index, module_.tables[in.index].type.limits.is64));
      return {};
    }
    case O::TableFill:
      take(3);
      emit(word(Special::TableFill, s[0], s[1], s[2]));
      emit(pair(in.index, module_.tables[in.index].type.limits.is64));
      return {};
    case O::TableCopy:
      take(3);
      emit(word(Special::TableCopy, s[0], s[1], s[2]));
      emit(pair(in.index, in.index2));
      return {};
    case O::TableInit:
      take(3);
      emit(word(Special::TableInit, s[0], s[1], s[2]));
      emit(pair(in.index2, in.index));
      return {};
    case O::ElemDrop:
      emit(word(Special::ElemDrop));
      emit(in.index);
      return {};
    case O::RefFunc: {
      const uint32_t dst = result();
      emit(word(Special::RefFunc, dst));
      emit(in.index);
      return {};
    }
    case O::RefIsNull: {
      take(1);
      const AccState before = acc_;
      const uint32_t dst = result();
      const uint32_t at = here();
      emit(word(Special::RefIsNull, dst, s[0]));
      acc_.i = dst;
      note_last(at, dst, before);
      return {};
    }
    case O::RefAsNonNull: {
      const Operand o = top();
      const uint32_t src = source(o);
      emit(word(Special::RefAsNonNull, 0, src));
      return {};
    }
    case O::RefEq: {
      take(2);
      const uint32_t dst = result();
      emit(word(Special::RefEq, dst, s[0], s[1]));
      return {};
    }
    case O::RefTest:
    case O::RefTestNull: {
      take(1);
      const uint32_t dst = result();
      emit(word(Special::RefTest, dst, s[0], in.op == O::RefTestNull));
      emit(heap_word(in.heap));
      return {};
    }
    case O::RefCast:
    case O::RefCastNull: {
      take(1);
      const uint32_t dst = result();
      emit(word(Special::RefCast, dst, s[0], in.op == O::RefCastNull));
      emit(heap_word(in.heap));
      return {};
    }
    case O::BrOnNull: {
      // Taken: without the reference. Not taken: the reference stays.
      if (top().kind == Operand::Kind::Const) materialize(uint32_t(stack_.size()) - 1);
      const uint32_t src = source(top());
      const Operand keep = pop();
      Condition c;
      c.if_true = word(Special::BrUnless64S, src);
      c.if_false = word(Special::BrIf64S, src);
      // Moves for the label must not overwrite the reference: they go to lower
      // slots only.
      emit_cond_branch(in.index, c);
      if (keep.kind == Operand::Kind::Local) {
        push_local(keep.local);
        if (lazy_from_ > stack_.size() - 1) lazy_from_ = uint32_t(stack_.size() - 1);
      } else {
        push(keep.type);
      }
      if (!validator_.operand(0).is_bot()) stack_.back().type = validator_.operand(0);
      return {};
    }
    case O::BrOnNonNull: {
      if (top().kind == Operand::Kind::Const) materialize(uint32_t(stack_.size()) - 1);
      const uint32_t src = source(top());
      Condition c;
      c.if_true = word(Special::BrIf64S, src);
      c.if_false = word(Special::BrUnless64S, src);
      emit_cond_branch(in.index, c);
      pop();
      return {};
    }
    case O::BrOnCast:
    case O::BrOnCastFail: {
      if (top().kind == Operand::Kind::Const) materialize(uint32_t(stack_.size()) - 1);
      const uint32_t src = source(top());
      const uint32_t scratch = next_slot_;
      if (scratch + 1 > max_slot_) max_slot_ = scratch + 1;
      emit(word(Special::RefTest, scratch, src, in.null2));
      emit(heap_word(in.heap2));
      branch_on_slot(scratch, in.op == O::BrOnCast);
      if (!validator_.operand(0).is_bot()) stack_.back().type = validator_.operand(0);
      return {};
    }
    case O::RefI31:
    case O::I31GetS:
    case O::I31GetU: {
      take(1);
      const uint32_t dst = result();
      emit(word(in.op == O::RefI31    ? Special::RefI31
                : in.op == O::I31GetS ? Special::I31GetS
                                      : Special::I31GetU,
                dst, s[0]));
      return {};
    }
    case O::AnyConvertExtern:
    case O::ExternConvertAny: {
      // The bits stay the same.
      if (!validator_.operand(0).is_bot()) stack_.back().type = validator_.operand(0);
      return {};
    }
    case O::ContNew:
    case O::ContBind:
    case O::Suspend:
    case O::Switch:
    case O::Resume:
    case O::ResumeThrow:
    case O::ResumeThrowRef:
      stack_switching(in);
      return {};
    case O::RefGetDesc: {
      take(1);
      emit(word(Special::RefAsNonNull, 0, s[0]));
      const uint32_t dst = result();
      emit(word(Special::StructGet64, dst, s[0]));
      emit(module_.canon_type(in.index)->descriptor_offset);
      return {};
    }
    case O::RefCastDescEq:
    case O::RefCastDescEqNull: {
      take(2);
      const uint32_t dst = result();
      emit(word(Special::RefCastDesc, dst, s[0], s[1]));
      emit(in.op == O::RefCastDescEqNull);
      return {};
    }
    case O::BrOnCastDescEq:
    case O::BrOnCastDescEqFail: {
      materialize_top(2);
      const uint32_t descriptor = top(0).slot, src = top(1).slot;
      pop_n(1);
      const uint32_t scratch = next_slot_;
      if (scratch + 1 > max_slot_) max_slot_ = scratch + 1;
      emit(word(Special::RefTestDesc, scratch, src, descriptor));
      emit(in.null2);
      branch_on_slot(scratch, in.op == O::BrOnCastDescEq);
      if (!validator_.operand(0).is_bot()) stack_.back().type = validator_.operand(0);
      return {};
    }
    case O::StructNewDefaultDesc: {
      materialize_top(1);
      const uint32_t descriptor = top(0).slot;
      const Word point = safepoint();
      pop_n(1);
      const uint32_t dst = result();
      emit(word(Special::CheckDescriptor, 0, descriptor));
      emit(word(Special::StructNewDefault, dst, descriptor));
      emit(type_word(in.index));
      emit(point);
      return {};
    }
    case O::StructNewDesc:
    case O::StructNew: {
      // The descriptor is one operand more, after the fields.
      const uint32_t n =
          uint32_t(module_.types[in.index].fields.size()) + (in.op == O::StructNewDesc);
      materialize_top(n);
      if (in.op == O::StructNewDesc) emit(word(Special::CheckDescriptor, 0, top(0).slot));
      const uint32_t base = n ? top(n - 1).slot : next_slot_;
      const Word point = safepoint();
      pop_n(n);
      const uint32_t dst = result();
      emit(word(Special::StructNew, dst, base));
      emit(type_word(in.index));
      emit(point);
      return {};
    }
    case O::StructNewDefault: {
      const Word point = safepoint();
      const uint32_t dst = result();
      emit(word(Special::StructNewDefault, dst));
      emit(type_word(in.index));
      emit(point);
      return {};
    }
    case O::StructGet:
    case O::StructGetS:
    case O::StructGetU: {
      take(1);
      const ValType t = module_.types[in.index].fields[in.index2].storage;
      const bool sign = in.op == O::StructGetS;
      Special op = Special::StructGet64;
      switch (t.kind()) {
        case TypeKind::I8:
          op = sign ? Special::StructGet8S : Special::StructGet8U;
          break;
        case TypeKind::I16:
          op = sign ? Special::StructGet16S : Special::StructGet16U;
          break;
        case TypeKind::I32:
        case TypeKind::F32:
          op = Special::StructGet32;
          break;
        case TypeKind::V128:
          op = Special::StructGet128;
          break;
        default:
          break;
      }
      const uint32_t dst = result();
      emit(word(op, dst, s[0]));
      emit(module_.canon_type(in.index)->field_offsets[in.index2]);
      return {};
    }
    case O::StructSet: {
      take(2);
      const ValType t = module_.types[in.index].fields[in.index2].storage;
      Special op = Special::StructSet64;
      switch (t.kind()) {
        case TypeKind::I8:
          op = Special::StructSet8;
          break;
        case TypeKind::I16:
          op = Special::StructSet16;
          break;
        case TypeKind::I32:
        case TypeKind::F32:
          op = Special::StructSet32;
          break;
        case TypeKind::V128:
          op = Special::StructSet128;
          break;
        default:
          break;
      }
      emit(word(op, s[0], s[1]));
      emit(module_.canon_type(in.index)->field_offsets[in.index2]);
      return {};
    }
    case O::ArrayNew: {
      materialize_top(2);  // the initial value may be a reference: keep it rooted
      const uint32_t init = top(1).slot, len = top(0).slot;
      const Word point = safepoint();
      pop_n(2);
      const uint32_t dst = result();
      emit(word(Special::ArrayNew, dst, init, len));
      emit(type_word(in.index));
      emit(point);
      return {};
    }
    case O::ArrayNewDefault: {
      take(1);
      const Word point = safepoint();
      const uint32_t dst = result();
      emit(word(Special::ArrayNewDefault, dst, 0, s[0]));
      emit(type_word(in.index));
      emit(point);
      return {};
    }
    case O::ArrayNewFixed: {
      const uint32_t n = in.index2;
      materialize_top(n);
      const uint32_t base = n ? top(n - 1).slot : next_slot_;
      const Word point = safepoint();
      pop_n(n);
      const uint32_t dst = result();
      emit(word(Special::ArrayNewFixed, dst, base));
      emit(type_word(in.index));
      emit(n);
      emit(point);
      return {};
    }
    case O::ArrayNewData:
    case O::ArrayNewElem: {
      take(2);
      const Word point = safepoint();
      const uint32_t dst = result();
      emit(word(in.op == O::ArrayNewData ? Special::ArrayNewData : Special::ArrayNewElem, dst, s[0],
                s[1]));
      emit(type_word(in.index));
      emit(in.index2);
      emit(point);
      return {};
    }
    case O::ArrayGet:
    case O::ArrayGetS:
    case O::ArrayGetU: {
      take(2);
      const ValType t = module_.types[in.index].fields[0].storage;
      const bool sign = in.op == O::ArrayGetS;
      Special op = Special::ArrayGet64;
      switch (t.kind()) {
        case TypeKind::I8:
          op = sign ? Special::ArrayGet8S : Special::ArrayGet8U;
          break;
        case TypeKind::I16:
          op = sign ? Special::ArrayGet16S : Special::ArrayGet16U;
          break;
        case TypeKind::I32:
        case TypeKind::F32:
          op = Special::ArrayGet32;
          break;
        case TypeKind::V128:
          op = Special::ArrayGet128;
          break;
        default:
          break;
      }
      const uint32_t dst = result();
      emit(word(op, dst, s[0], s[1]));
      return {};
    }
    case O::ArraySet: {
      take(3);
      const ValType t = module_.types[in.index].fields[0].storage;
      Special op = Special::ArraySet64;
      switch (t.kind()) {
        case TypeKind::I8:
          op = Special::ArraySet8;
          break;
        case TypeKind::I16:
          op = Special::ArraySet16;
          break;
        case TypeKind::I32:
        case TypeKind::F32:
          op = Special::ArraySet32;
          break;
        case TypeKind::V128:
          op = Special::ArraySet128;
          break;
        default:
          break;
      }
      emit(word(op, s[0], s[1], s[2]));
      return {};
    }
    case O::ArrayLen: {
      take(1);
      const uint32_t dst = result();
      emit(word(Special::ArrayLen, dst, s[0]));
      return {};
    }
    case O::ArrayFill:
      take(4);
      emit(word(Special::ArrayFill, s[0], s[1], s[2]));
      emit(s[3]);
      return {};
    case O::ArrayCopy:
      take(5);
      emit(word(Special::ArrayCopy, s[0], s[1], s[2]));
      emit(pair(s[3], s[4]));
      return {};
    case O::ArrayInitData:
    case O::ArrayInitElem:
      take(4);
      emit(word(in.op == O::ArrayInitData ? Special::ArrayInitData : Special::ArrayInitElem, s[0],
                s[1], s[2]));
      emit(pair(s[3], in.index2));
      return {};
    case O::MemoryAtomicWait32:
    case O::MemoryAtomicWait64: {
      take(3);
      const uint32_t dst = result();
      emit(word(in.op == O::MemoryAtomicWait32 ? Special::AtomicWait32 : Special::AtomicWait64, dst,
                s[0], s[1]));
      emit(in.index);
      emit(in.offset);
      emit(s[2]);
      return {};
    }
    case O::MemoryAtomicNotify: {
      take(2);
      const uint32_t dst = result();
      emit(word(Special::AtomicNotify, dst, s[0], s[1]));
      emit(in.index);
      emit(in.offset);
      return {};
    }
    case O::AtomicFence:
      emit(word(Special::AtomicFence));
      return {};
    default:
      return Error(ErrorKind::Unsupported, "instruction not supported by the interpreter", offset_);
  }
}

}  // namespace

Result<void> translate(const wasm::Module& module, const ModuleCodeImpl& code, FuncCode& out) {
  Translator t(module, code, out);
  return t.run();
}

}  // namespace wafer::interp
