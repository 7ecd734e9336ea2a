// State of the baseline compiler; see compiler.h. Internal to this folder.
#pragma once

#include <asmjit/x86.h>

#include <cstring>

#include "compiler/baseline/arena.h"
#include "compiler/baseline/compiler.h"
#include "compiler/builtins.h"
#include "compiler/layout.h"
#include "wasm/validator.h"

namespace wafer::compiler {

namespace x86 = asmjit::x86;
using asmjit::Label;
namespace Inst = x86::Inst;
using wasm::HeapKind;
using wasm::HeapType;
using wasm::Instr;
using wasm::Opcode;
using wasm::TypeKind;
using wasm::ValType;
using InstId = asmjit::InstId;

constexpr uint32_t kNone = ~0u;
// A loop with more operands on the stack is not entered in other code.
constexpr size_t kMaxEntryOperands = 64;

// General-purpose registers by number.
enum Gpr : uint8_t {
  kRax,
  kRcx,
  kRdx,
  kRbx,
  kRsp,
  kRbp,
  kRsi,
  kRdi,
  kR8,
  kR9,
  kR10,
  kR11,
  kR12,
  kR13,
  kR14,
  kR15,
};  // clang-format off
constexpr uint32_t kOperandGprs = 1u << kRax | 1u << kRcx | 1u << kRdx | 1u << kRsi | 1u << kRdi |
                                  1u << kR8 | 1u << kR9 | 1u << kR10;
constexpr uint32_t kOperandXmms = (1u << 14) - 1;
// clang-format on
constexpr uint8_t kScratch = kR11;    // never holds an operand
constexpr uint8_t kScratchXmm = 15;   // the same
constexpr uint8_t kScratchXmm2 = 14;  // the same
constexpr uint8_t kNoRegister = 0xFF;
constexpr uint8_t kContext = kR15;
constexpr uint8_t kMemory0 = kR14;
constexpr uint8_t kLocalGprs[] = {kRbx, kR12, kR13};
// Integer argument registers, the context first.
constexpr uint8_t kArgGprs[] = {kRdi, kRsi, kRdx, kRcx, kR8, kR9};

// Processor's condition codes as the encodings number them, and two that take a pair of
// them: floats equal, and not equal.
enum class Cond : uint8_t {
  Overflow = 0,
  Below = 2,
  AboveEqual = 3,
  Equal = 4,
  NotEqual = 5,
  BelowEqual = 6,
  Above = 7,
  Sign = 8,
  NotSign = 9,
  Parity = 10,
  NotParity = 11,
  Less = 12,
  GreaterEqual = 13,
  LessEqual = 14,
  Greater = 15,
  FloatEqual = 16,
  FloatNotEqual = 17,
};  // clang-format on

constexpr Cond negate(Cond c) { return Cond(uint8_t(c) ^ 1); }

// Where an operand's value is.
struct Operand {
  enum class Kind : uint8_t {
    Slot,   // in its own slot
    Local,  // unread copy of a local
    Const,  // constant of a number or a null reference
    Gpr,
    Xmm,
    Flags,  // an i32: 1 if condition `reg` holds. Only ever the top of the stack
  };
  Kind kind = Kind::Slot;
  uint8_t reg = 0;
  ValType type;
  uint32_t slot = 0;           // its own
  uint32_t local = 0;          // Local: index
  uint32_t next_same = kNone;  // Local: next operand below with the same local
  uint64_t value = 0;          // Const
};

inline bool is_fpr(ValType t) {
  return t.kind() == TypeKind::F32 || t.kind() == TypeKind::F64 || t.kind() == TypeKind::V128;
}
// Whether a value takes a whole general-purpose register.
inline bool is_wide(ValType t) { return t.kind() == TypeKind::I64 || t.is_ref(); }

// The right-hand side of an instruction.
struct Source {
  enum class Kind : uint8_t { Reg, Mem, Imm } kind;
  uint8_t reg = 0;
  int32_t imm = 0;
  x86::Mem mem;
};

struct Control {
  Opcode op = Opcode::Block;
  bool has_else = false;
  uint32_t height = 0;     // operands at entry, below the parameters
  uint32_t base_slot = 0;  // first slot of parameters and results
  std::span<const ValType> params, results;
  Label label;       // end, or of a loop its start; made when first branched to
  Label else_label;  // If
  // TryTable: where exceptions of its calls go on, and the same with the exception in rax.
  Label pad, dispatch;
  uint32_t outer_try = kNone;  // index of the enclosing try_table
  uint32_t clauses = 0;        // first of its clauses in catches_
  std::span<const ValType> label_types() const { return op == Opcode::Loop ? params : results; }
};

// Where a value has to go for a call.
struct Move {
  uint8_t dst;
  Operand src;
};

class BaselineCompiler::Impl {
 public:
  Impl(const wasm::Module& module, const BaselineOptions& options);
  Result<CompiledFunction> compile(uint32_t func);
  Result<CompiledFunction> lazy_entries(void* (*compile)(VmContext*, uint32_t, void*), void* user,
                                        size_t& first);
  Result<CompiledFunction> interpreter_stub(uint32_t func, void (*attach)(FuncInst*));

 private:
  using Kind = Operand::Kind;

  // ---- codegen.cc: frame and operand stack
  void reset_code();
  CompiledFunction finish_code();
  void prologue(const wasm::FuncType& type);
  void epilogue(bool restore_locals);
  void restore_saved();
  struct Heat;
  void go_on_elsewhere(const Heat& h);

  static x86::Gp gp(uint8_t reg, bool wide) {
    return wide ? x86::Gp(x86::gpq(reg)) : x86::Gp(x86::gpd(reg));
  }
  static x86::Xmm xmm(uint8_t reg) { return x86::xmm(reg); }
  // Memory of a frame slot, for a value of `type`.
  static int32_t slot_offset(uint32_t slot, ValType type) {
    return -int32_t(kSavedBytes + 8 * (slot + (type.kind() == TypeKind::V128 ? 2 : 1)));
  }
  static x86::Mem slot_mem(uint32_t slot, ValType type) {
    return x86::ptr(x86::rbp, slot_offset(slot, type));
  }
  static x86::Mem at(uint8_t base, int64_t offset) {
    return x86::ptr(x86::gpq(base), int32_t(offset));
  }

  Operand& top(uint32_t depth = 0) { return stack_[stack_.size() - 1 - depth]; }
  Operand& push(ValType type);
  void push_gpr(ValType type, uint8_t reg);
  void push_xmm(ValType type, uint8_t reg);
  void push_const(ValType type, uint64_t value);
  void push_local(uint32_t local);
  void push_flags(Cond cond);
  Operand pop();
  void drop(uint32_t count) {
    while (count--) release(pop());
  }
  // Frees the register that a popped operand holds.
  void release(const Operand& o) {
    if (o.kind == Kind::Gpr) gpr_used_ &= ~(1u << o.reg);
    if (o.kind == Kind::Xmm) xmm_used_ &= ~(1u << o.reg);
  }
  void free_gpr(uint8_t r) { gpr_used_ &= ~(1u << r); }
  void free_xmm(uint8_t r) { xmm_used_ &= ~(1u << r); }

  uint8_t alloc_gpr();
  uint8_t alloc_xmm();
  void claim_gpr(uint8_t reg);
  // Popped operand to a register that may only be read, or one that may be written.
  uint8_t use_gpr(Operand& o);
  uint8_t own_gpr(Operand& o);
  uint8_t use_xmm(Operand& o);
  uint8_t own_xmm(Operand& o);
  // Loads a popped operand into a given register.
  void load_gpr(uint8_t dst, const Operand& o);
  void load_xmm(uint8_t dst, const Operand& o);
  Source source(Operand& o);
  x86::Mem home(const Operand& o) const;  // of a Slot, or of a Local without a register
  bool in_memory(const Operand& o) const {
    return o.kind == Kind::Slot || (o.kind == Kind::Local && local_reg_[o.local] == 0);
  }

  // The most frequent forms are encoded here, which takes a fraction of the time. `code`:
  // the opcode of INST r/m, r; the one of INST r, r/m is 2 more.
  struct Plain {
    InstId inst;
    uint8_t code;
  };
  static constexpr Plain kMov{Inst::kIdMov, 0x89}, kCmp{Inst::kIdCmp, 0x39};
  void op_reg(Plain op, bool wide, uint8_t dst, uint8_t src) {
    if (WAFER_UNLIKELY(a_.remainingSpace() < 16)) {
      a_.emit(op.inst, gp(dst, wide), gp(src, wide));
      return;
    }
    uint8_t* p = a_.bufferPtr();
    const auto rex = uint8_t(0x40 | wide << 3 | (src >> 3) << 2 | dst >> 3);
    if (rex != 0x40) *p++ = rex;
    *p++ = op.code;
    *p++ = uint8_t(0xC0 | (src & 7) << 3 | (dst & 7));
    a_._bufferPtr = p;
  }
  // INST with a frame's memory: of `reg` from it, or, with `to_memory`, to it.
  void op_frame(Plain op, bool wide, uint8_t reg, const x86::Mem& m, bool to_memory) {
    if (WAFER_UNLIKELY(a_.remainingSpace() < 16)) {
      if (to_memory) {
        a_.emit(op.inst, m, gp(reg, wide));
      } else {
        a_.emit(op.inst, gp(reg, wide), m);
      }
      return;
    }
    uint8_t* p = a_.bufferPtr();
    const auto rex = uint8_t(0x40 | wide << 3 | (reg >> 3) << 2);
    if (rex != 0x40) *p++ = rex;
    *p++ = uint8_t(op.code + (to_memory ? 0 : 2));
    const auto offset = int32_t(m.offset());
    if (offset == int8_t(offset)) {
      *p++ = uint8_t(0x45 | (reg & 7) << 3);
      *p++ = uint8_t(offset);
    } else {
      *p++ = uint8_t(0x85 | (reg & 7) << 3);
      std::memcpy(p, &offset, 4);
      p += 4;
    }
    a_._bufferPtr = p;
  }
  // The same with memory at base + index + offset.
  void op_indexed(Plain op, bool wide, uint8_t reg, const x86::Mem& m, bool to_memory) {
    if (WAFER_UNLIKELY(!m.hasBaseReg() || !m.hasIndexReg() || a_.remainingSpace() < 16)) {
      if (to_memory) {
        a_.emit(op.inst, m, gp(reg, wide));
      } else {
        a_.emit(op.inst, gp(reg, wide), m);
      }
      return;
    }
    uint8_t* p = a_.bufferPtr();
    const uint32_t base = m.baseId(), index = m.indexId();
    const auto rex = uint8_t(0x40 | wide << 3 | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3);
    if (rex != 0x40) *p++ = rex;
    *p++ = uint8_t(op.code + (to_memory ? 0 : 2));
    const auto offset = int32_t(m.offset());
    const bool small = offset == int8_t(offset);
    *p++ = uint8_t((small ? 0x44 : 0x84) | (reg & 7) << 3);
    *p++ = uint8_t((index & 7) << 3 | (base & 7));
    std::memcpy(p, &offset, 4);
    a_._bufferPtr = p + (small ? 1 : 4);
  }
  // INST r, imm for the group of add.
  void op_imm(Plain op, bool wide, uint8_t reg, int32_t imm) {
    if (WAFER_UNLIKELY(a_.remainingSpace() < 16)) {
      a_.emit(op.inst, gp(reg, wide), asmjit::Imm(imm));
      return;
    }
    uint8_t* p = a_.bufferPtr();
    const auto rex = uint8_t(0x40 | wide << 3 | reg >> 3);
    if (rex != 0x40) *p++ = rex;
    const bool small = imm == int8_t(imm);
    *p++ = small ? 0x83 : 0x81;
    *p++ = uint8_t(0xC0 | (op.code & 0x38) | (reg & 7));
    std::memcpy(p, &imm, 4);
    a_._bufferPtr = p + (small ? 1 : 4);
  }
  void move_gpr(uint8_t dst, uint8_t src, bool wide) {
    if (dst != src) op_reg(kMov, wide, dst, src);
  }
  void load_imm(uint8_t dst, uint64_t value);
  void load_xmm_mem(uint8_t dst, const x86::Mem& m, ValType type);
  void store_xmm_mem(const x86::Mem& m, uint8_t src, ValType type);
  void move_xmm(uint8_t dst, uint8_t src) {
    if (dst != src) a_.movaps(xmm(dst), xmm(src));
  }
  // Copies the value of `o` to memory, leaving flags and operand registers alone.
  void store_mem(const x86::Mem& m, const Operand& o);
  void store_slot(const Operand& o, uint32_t slot) {
    if (o.kind == Kind::Slot && o.slot == slot) return;
    store_mem(slot_mem(slot, o.type), o);
  }
  void spill(uint32_t index);
  void spill_registers(uint32_t below);
  void materialize_all(uint32_t keep_const_below);
  void materialize_flags();
  void preserve_local(uint32_t local);
  void set_local(uint32_t local, bool tee);

  // ---- traps and locations
  void mark();
  Label trap(TrapCode code);
  void jcc(Cond cond, const Label& to);

  // ---- control.cc
  void push_control(Opcode op, const wasm::BlockType& type);
  Control& control(uint32_t label) { return control_[control_.size() - 1 - label]; }
  const Label& label_of(Control& c);
  bool needs_moves(const Control& c) const;
  void emit_moves(const Control& c, std::span<const ValType> types);
  void emit_branch(Control& c);
  void emit_return();
  Cond pop_cond();
  void cond_branch(uint32_t index, Cond cond);
  void br_table(const Instr& in);
  void bind_end(Control& c);
  void end_frame();
  void start_else();
  void visit_skipped(const Instr& in);
  void charge_point();
  void patch_fuel();
  void wait_if(Cond cond, Builtin builtin);
  void poll();
  void count_heat(uint32_t loop);
  void select();

  // ---- calls.cc
  void move_args(Move* gprs, size_t gpr_count, Move* xmms, size_t xmm_count);
  void pass_args(std::span<const ValType> types);
  void take_results(std::span<const ValType> types);
  void forget_registers() { gpr_used_ = xmm_used_ = 0; }
  void call(uint32_t func, bool tail);
  void call_funcref(const wasm::FuncType& type, bool tail);
  void call_indirect(const Instr& in, bool tail);
  void call_ref(const Instr& in, bool tail);
  void note_caller();
  // Calls a builtin with the top `operands` operands after the given immediates, and
  // pushes a result of `result` (Bot: none).
  void builtin(Builtin b, std::initializer_list<uint64_t> immediates, uint32_t operands,
               ValType result, std::initializer_list<uint64_t> after = {});
  void call_builtin(Builtin b);

  // ---- memory.cc
  bool guarded(uint32_t memory) const;
  x86::Mem address(const Instr& in, Operand& base, unsigned width);
  void done_address(Operand& base);
  void check_alignment(const Instr& in, Operand& base, unsigned width);
  void load_memory(uint8_t dst, uint32_t memory);
  void load_table(uint8_t dst, uint32_t table);
  x86::Mem global(uint32_t index, ValType type);
  void load(const Instr& in, InstId inst, unsigned width, ValType type);
  void store(const Instr& in, unsigned width);
  bool visit_memory(const Instr& in);
  bool visit_atomic(const Instr& in);
  void atomic_rmw(const Instr& in, unsigned width, bool wide, Opcode base);
  void atomic_cmpxchg(const Instr& in, unsigned width, bool wide);
  void effective_address(const Instr& in);
  bool visit_table(const Instr& in);

  // ---- numeric.cc
  void alu(Plain op, bool wide, bool commutes);
  void compare(bool wide, Cond cond);
  void shift(InstId inst, InstId bmi2, bool wide);
  void divide(bool wide, bool is_signed, bool rem);
  void count_bits(Opcode op, bool wide);
  void extend(InstId inst, unsigned bits, ValType to);
  void float_binary(InstId inst, ValType type);
  void float_compare(ValType type, Cond cond, bool swap);
  void float_min_max(ValType type, bool max);
  void float_unary(Opcode op, ValType type);
  void copysign(ValType type);
  void round(ValType type, int mode);
  void truncate(ValType from, ValType to, bool is_signed, bool saturate);
  void to_float(ValType from, ValType to, bool is_signed);
  void float_const(uint8_t dst, ValType type, double value);
  bool visit_numeric(const Instr& in);
  void wide_arithmetic(const Instr& in);

  // ---- vector.cc
  bool visit_vector(const Instr& in);
  struct VectorOps;
  friend struct VectorOps;
  x86::Mem constant(const wasm::V128& value);

  // ---- reference.cc
  bool visit_reference(const Instr& in);
  void trap_if_null(const Operand& o, TrapCode code);
  void load_storage(const x86::Mem& at, ValType storage, bool sign);
  void store_storage(const x86::Mem& at, ValType storage, const Operand& o);
  void check_descriptor();
  void ref_test_desc(bool nullable);
  void ref_test(HeapType type, bool nullable);
  void fill_object(uint32_t count, auto place);
  x86::Mem array_element(Operand& array, Operand& index, ValType storage);

  Result<void> visit(const Instr& in);
  bool visit_control(const Instr& in);

  const wasm::Module& module_;
  const BaselineOptions options_;
  wasm::FuncValidator validator_;
  asmjit::CodeHolder code_;
  x86::Assembler a_;
  struct Errors : asmjit::ErrorHandler {
    void handleError(asmjit::Error error, const char* message, asmjit::BaseEmitter*) override;
    String message;
  } errors_;

  void push_try(const Instr& in);
  void emit_pad(Control& c);
  void note_call_site();

  uint32_t func_ = 0;
  Vec<uint32_t> local_slots_;
  Vec<uint8_t> local_reg_;  // register, or 0
  Vec<uint32_t> local_heads_;
  Vec<Operand> stack_;
  Vec<Control> control_;
  uint32_t lazy_from_ = 0;  // all operands below are slots or constants
  uint32_t next_slot_ = 0, max_slot_ = 0;
  uint32_t gpr_used_ = 0, xmm_used_ = 0;
  uint32_t gpr_owner_[16] = {};  // stack index of the operand, or kNone
  uint32_t xmm_owner_[16] = {};
  uint8_t address_temp_ = kNoRegister;  // to free in done_address()
  bool flags_ = false;                  // the top operand is in the flags
  bool reachable_ = true;
  uint32_t skip_depth_ = 0;
  bool unsupported_ = false;
  uint32_t offset_ = 0;  // of the current instruction

  Vec<uint8_t> locations_;
  uint32_t marked_at_ = 0, marked_offset_ = 0;
  struct Stub {
    Label label;
    TrapCode code;
    uint32_t offset;
  };
  Vec<Stub> traps_;
  struct Heat {
    Label label, back;
    uint32_t offset;
    uint32_t loop;           // where other code may go on, or 0
    Vec<Operand> constants;  // of the operands there; the others are in their slots
  };
  Vec<Heat> heats_;
  struct Wait {
    Label label, back;
    uint32_t offset;
    Builtin builtin;
  };
  Vec<Wait> waits_;
  struct Pooled {
    Label label;
    wasm::V128 value;
  };
  Vec<Pooled> constants_;
  struct Table {
    Label label;
    Vec<Label> targets;
  };
  Vec<Table> tables_;
  struct Uninitialized {
    Label label;
    uint32_t offset;
  };
  Vec<Uninitialized> uninitialized_;  // call_indirect on null; the index is in r10
  struct CallSite {
    uint32_t after;  // return address
    Label pad;
  };
  Vec<CallSite> call_sites_;  // of calls in a try_table
  Vec<wasm::CatchClause> catches_;
  uint32_t try_ = kNone;  // index of the innermost try_table in control_
  Vec<uint8_t> handlers_;
  Label return_label_;
  size_t frame_patch_ = 0;  // of the prologue's displacement
  size_t fuel_patch_ = 0;   // of the current stretch's cost; 0: none
  uint32_t fuel_count_ = 0;
  uint32_t local_regs_used_ = 0;
  bool tail_calls_ = false;
  bool bmi2_, lzcnt_, bmi1_;
};

}  // namespace wafer::compiler
