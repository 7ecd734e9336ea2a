// State of the baseline compiler; see compiler.h. Internal to this folder.
#pragma once

#include <bit>
#include <cstring>

#include "compiler/baseline/arena.h"
#include "compiler/baseline/compiler.h"
#include "compiler/builtins.h"
#include "compiler/layout.h"
#include "wasm/validator.h"

#if defined(__x86_64__)
#include "compiler/baseline/x64/machine.h"
#elif defined(__aarch64__)
#include "compiler/baseline/a64/machine.h"
#endif

namespace wafer::compiler {

using asmjit::Label;
using wasm::HeapKind;
using wasm::HeapType;
using wasm::Instr;
using wasm::Opcode;
using wasm::TypeKind;
using wasm::ValType;

constexpr uint32_t kNone = ~0u;
// A loop with more operands on the stack is not entered in other code.
constexpr size_t kMaxEntryOperands = 64;

constexpr uint8_t kNoRegister = 0xFF;

// Where an operand's value is.
struct Operand {
  enum class Kind : uint8_t {
    Slot,   // in its own slot
    Local,  // unread copy of a local
    Const,  // constant of a number or a null reference
    Gpr,
    Fpr,
    Flags,   // an i32: 1 if condition `reg` holds. Only ever the top of the stack
    Memory,  // in memory_operand_, for the instruction being made
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

// Bytes of a value of `type`.
inline unsigned width_of(ValType t) {
  return t.kind() == TypeKind::V128                               ? 16
         : t.kind() == TypeKind::I32 || t.kind() == TypeKind::F32 ? 4
                                                                  : 8;
}

// Whether accesses to a memory are checked by pages that cannot be accessed.
inline bool is_guarded(const wasm::Module& module, const CodeOptions& options, uint32_t memory) {
  const wasm::MemoryType& type = module.memories[memory].type;
  return options.guard_pages && !type.limits.is64 && type.page_size_log2 == 16;
}

// Groups of instructions that a machine makes alike.
enum class Alu : uint8_t { Add, Sub, Mul, And, Or, Xor };
enum class Shift : uint8_t { Left, SignedRight, Right, RotateLeft, RotateRight };
enum class FloatOp : uint8_t { Add, Sub, Mul, Div };
enum class FloatCompare : uint8_t { Equal, NotEqual, Less, Greater, LessEqual, GreaterEqual };
enum class Rounding : uint8_t { Nearest, Floor, Ceil, Trunc };
enum class Rmw : uint8_t { Add, Sub, And, Or, Xor, Exchange };

struct Control {
  Opcode op = Opcode::Block;
  bool has_else = false;
  uint32_t height = 0;     // operands at entry, below the parameters
  uint32_t base_slot = 0;  // first slot of parameters and results
  std::span<const ValType> params, results;
  Label label;       // end, or of a loop its start; made when first branched to
  Label else_label;  // If
  // TryTable: where exceptions of its calls go on, and the same with the exception in
  // the result register.
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
  Result<CompiledFunction> entry_stub(uint32_t func);

 protected:
  using Kind = Operand::Kind;

  // ---- codegen.cc: frame and operand stack
  void reset_code(size_t body_bytes = 0);
  CompiledFunction finish_code();
  void enter();
  void prologue(const wasm::FuncType& type);
  Result<CompiledFunction> finish(uint32_t func);
  struct Heat;
  void go_on_elsewhere(const Heat& h);

  // Memory of a frame slot, for a value of `type`.
  static Mem slot_mem(uint32_t slot, ValType type) { return Machine::slot(slot, slot_count(type)); }
  static Mem at(uint8_t base, int64_t offset) { return Machine::at(base, offset); }

  Operand& top(uint32_t depth = 0) { return stack_[stack_.size() - 1 - depth]; }
  Operand& push(ValType type);
  void push_gpr(ValType type, uint8_t reg);
  void push_fpr(ValType type, uint8_t reg);
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
    if (o.kind == Kind::Fpr) fpr_used_ &= ~(1u << o.reg);
  }
  void free_gpr(uint8_t r) { gpr_used_ &= ~(1u << r); }
  void free_fpr(uint8_t r) { fpr_used_ &= ~(1u << r); }

  // ---- locals.cc: locals in registers
  void weigh_locals();
  void choose_locals();
  void take_params(std::span<const ValType> types);
  Operand in_register(const Operand& o) const;
  // The register of the local that the next instruction sets to a result of this class, if it
  // has one and nothing on the stack stands for its value; else kNoRegister.
  uint8_t target(bool fpr);
  // A register for a result: that, or a free one.
  uint8_t result_gpr() {
    const uint8_t t = target(false);
    return t != kNoRegister ? t : alloc_gpr();
  }
  uint8_t result_fpr() {
    const uint8_t t = target(true);
    return t != kNoRegister ? t : alloc_fpr();
  }
  // A popped operand in a register that may be written, for a result.
  uint8_t changed_fpr(Operand o) {
    const uint8_t t = o.kind == Kind::Fpr ? kNoRegister : target(true);
    if (t == kNoRegister) return own_fpr(o);
    load_fpr(t, o);
    return t;
  }
  bool is_volatile(uint32_t local) const;
  void save_locals();
  void reload_locals();
  Mem local_home(uint32_t local) const {
    return slot_mem(local_slots_[local], validator_.locals()[local]);
  }
  // Where control flow meets: any may have changed since it was saved.
  void any_local_changed() { changed_gprs_ = changed_fprs_ = ~0u; }
  // Gives a local with a register a value.
  void load_local(uint32_t local, const Operand& o);

  // One of the `free` registers.
  uint8_t pick(uint32_t free, bool fpr) const {
    if (wanted_ != kNoRegister && wanted_fpr_ == fpr && free >> wanted_ & 1) return wanted_;
    return uint8_t(std::countr_zero(free));
  }
  uint8_t no_register();
  uint8_t alloc_gpr();
  uint8_t alloc_fpr();
  void claim_gpr(uint8_t reg);
  // Popped operand to a register that may only be read, or one that may be written. The first
  // may be a local's, and then is not `o.reg`.
  uint8_t use_gpr(Operand& o);
  uint8_t own_gpr(Operand& o);
  uint8_t use_fpr(Operand& o);
  uint8_t own_fpr(Operand& o);
  // Loads a popped operand into a given register.
  void load_gpr(uint8_t dst, const Operand& o);
  void load_fpr(uint8_t dst, const Operand& o);
  Mem home(const Operand& o) const;  // of a Slot, or of a Local without a register
  bool is_register_local(const Operand& o) const {
    return o.kind == Kind::Local && local_reg_[o.local] != kNoRegister;
  }
  bool in_memory(const Operand& o) const {
    return o.kind == Kind::Slot || o.kind == Kind::Memory ||
           (o.kind == Kind::Local && local_reg_[o.local] == kNoRegister);
  }

  // Copies the value of `o` to memory, leaving flags and operand registers alone.
  void store_mem(const Mem& m, const Operand& o);
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

  // ---- control.cc
  void push_control(Opcode op, const wasm::BlockType& type);
  Control& control(uint32_t label) { return control_[control_.size() - 1 - label]; }
  const Label& label_of(Control& c);
  bool needs_moves(const Control& c) const;
  void emit_moves(const Control& c, std::span<const ValType> types);
  void emit_branch(Control& c);
  void pass_results();
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

  // ---- calls.cc
  void move_args(Move* gprs, size_t gpr_count, Move* fprs, size_t fpr_count);
  void pass_args(std::span<const ValType> types);
  void take_results(std::span<const ValType> types);
  void forget_registers() { gpr_used_ = fpr_used_ = 0; }
  void call(uint32_t func, bool tail);
  void refer(CodeReference::To to, uint32_t index, size_t at) {
    references_.push_back({to, index, uint32_t(at)});
  }
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
  bool guarded(uint32_t memory) const { return is_guarded(module_, options_.code, memory); }
  Mem address(const Instr& in, Operand& base, unsigned width);
  void done_address(Operand& base);
  void check_alignment(const Instr& in, Operand& base, unsigned width);
  void load_memory(uint8_t dst, uint32_t memory);
  void load_table(uint8_t dst, uint32_t table);
  Mem global(uint32_t index);
  void load(const Instr& in, unsigned width, bool sign, ValType type);
  void store(const Instr& in, unsigned width);
  bool visit_memory(const Instr& in);
  bool visit_atomic(const Instr& in);
  void atomic_load(const Instr& in, unsigned width, ValType type);
  void atomic_store(const Instr& in, unsigned width);
  void atomic_rmw(const Instr& in, unsigned width, bool wide, Rmw op);
  void atomic_cmpxchg(const Instr& in, unsigned width, bool wide);
  void effective_address(const Instr& in);
  bool visit_table(const Instr& in);

  // ---- numeric.cc
  bool visit_numeric(const Instr& in);
  void wrap();
  void reinterpret(const Instr& in);
  // Whether what a shift to the left gives is what the next instruction, or the one after a
  // local.get, adds. Then its operand stays as it is, for add_scaled().
  bool scales_next(bool wide);
  // An addition, of which one operand is shifted first.
  void add_scaled(bool wide);

  // ---- of the machine: numeric.cc and memory.cc of its folder
  void alu(Alu op, bool wide);
  void compare(bool wide, Cond cond);
  void shift(Shift op, bool wide);
  void divide(bool wide, bool is_signed, bool rem);
  void count_bits(Opcode op, bool wide);
  void extend(unsigned bits, ValType to);
  void float_binary(FloatOp op, ValType type);
  void float_compare(FloatCompare op, ValType type);
  void float_min_max(ValType type, bool max);
  void float_unary(Opcode op, ValType type);
  void copysign(ValType type);
  void round(ValType type, Rounding mode);
  void truncate(ValType from, ValType to, bool is_signed, bool saturate);
  void to_float(ValType from, ValType to, bool is_signed);
  void convert_float(bool demote);
  void wide_arithmetic(const Instr& in);
  void select();
  // Jumps to the target that `index`, within their number, tells; changes the register.
  void jump_to_one_of(uint8_t index, Vec<Label>&& targets);

  // ---- of the machine: vector.cc of its folder
  bool visit_vector(const Instr& in);
  struct VectorOps;
  friend struct VectorOps;
  // Label of a constant behind the code, on 16 bytes.
  Label constant(const wasm::V128& value);

  // ---- reference.cc
  bool visit_reference(const Instr& in);
  void trap_if_null(const Operand& o, TrapCode code);
  void load_storage(const Mem& at, ValType storage, bool sign);
  void store_storage(const Mem& at, ValType storage, const Operand& o);
  void check_descriptor();
  void ref_test_desc(bool nullable);
  void ref_test(HeapType type, bool nullable);
  void fill_object(uint32_t count, auto place);
  Mem array_element(Operand& array, Operand& index, ValType storage);

#if defined(__x86_64__)
  // ---- x64 only
  Source source(Operand& o);
  // x + (y << shift) + constant of the two operands on top.
  void sum(bool wide, uint32_t shift, int32_t constant);
  void alu_plain(Machine::Plain op, bool wide, bool commutes);
  bool is_better_first(const Operand& a, const Operand& b, uint8_t to) const;
  bool sum_of_local(Machine::Plain op, bool wide, const Operand& a, const Operand& b);
  // Memory of a constant, behind the code.
  Mem pooled(const Operand& o) {
    wasm::V128 value{};
    std::memcpy(value.bytes, &o.value, 8);
    return x86::ptr(constant(value));
  }
  void float_binary_inst(InstId inst, ValType type, bool commutes = false);
  void float_three(InstId inst, ValType type, bool commutes, uint8_t to, Operand a, Operand b);
  void float_const(uint8_t dst, ValType type, double value);
  void load_extended(const Instr& in, InstId inst, unsigned width);
#endif

  Result<void> visit(const Instr& in);
  // Makes code of one instruction whose operands are on the stack; false if there is none.
  bool emit(const Instr& in);
  // The type of what the instruction being made gives.
  ValType result_type() const { return driven_ ? wanted_type_ : validator_.operand(0); }
  bool visit_control(const Instr& in);

  const wasm::Module& module_;
  const BaselineOptions options_;
  wasm::FuncValidator validator_;
  asmjit::CodeHolder code_;
  Machine a_;
  struct Errors : asmjit::ErrorHandler {
    void handleError(asmjit::Error error, const char* message, asmjit::BaseEmitter*) override;
    String message;
  } errors_;

  void push_try(const Instr& in);
  void emit_pad(Control& c);
  void note_call_site();

  // Whether who allocates registers, and not the order of the body, says where operands are and
  // where a result is best put (see compiler.cc of the optimizing compiler).
  bool driven_ = false;
  Mem memory_operand_;
  bool select_by_branch_ = false;
  uint32_t index_shift_ = 0;  // of the index of the access being made
  // Where an instruction ended that set the flags by its result, whether as a test of it does, and
  // the register.
  size_t flags_at_ = kNone;
  bool flags_as_test_ = false, flags_wide_ = false;
  uint8_t flags_reg_ = kNoRegister;
  bool retry_ = false;
  uint8_t wanted_ = kNoRegister;  // register for a result, of this class
  bool wanted_fpr_ = false;
  ValType wanted_type_;

  uint32_t func_ = 0;
  Vec<uint32_t> local_slots_;
  Vec<uint8_t> local_reg_;                        // register of its class, or kNoRegister
  Vec<uint32_t> volatile_locals_;                 // those in registers that calls do not preserve
  uint32_t changed_gprs_ = 0, changed_fprs_ = 0;  // of these, which differ from their slots
  uint32_t operand_gprs_ = 0, operand_fprs_ = 0;
  // Scratch of weigh_locals(): uses of each local and calls, by weight; whether an instruction may
  // need many registers at once; which of the blocks that are open are loops.
  Vec<uint64_t> local_uses_;
  uint64_t call_uses_ = 0;
  bool many_operands_ = false;
  Vec<uint8_t> loops_;
  Vec<uint32_t> local_heads_;
  Vec<Operand> stack_;
  Vec<Control> control_;
  uint32_t lazy_from_ = 0;  // all operands below are slots or constants
  uint32_t next_slot_ = 0, max_slot_ = 0;
  uint32_t gpr_used_ = 0, fpr_used_ = 0;
  uint32_t gpr_owner_[kRegisters] = {};  // stack index of the operand, or kNone
  uint32_t fpr_owner_[kRegisters] = {};
  uint8_t address_temp_ = kNoRegister;  // to free in done_address()
  // By how many bits an operand of the addition to come is to be shifted; whether that is the one
  // below the other.
  uint32_t scale_ = 0;
  bool scaled_below_ = false;
  bool flags_ = false;  // the top operand is in the flags
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
    uint32_t gprs = 0, fprs = 0, first_slot = 0;  // registers to keep, and where
  };
  Vec<Wait> waits_;
  void keep_registers(const Wait& w, bool save);
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
  Vec<Uninitialized> uninitialized_;  // call_indirect on null; kIndexGpr has the index
  struct CallSite {
    uint32_t after;  // return address
    Label pad;
  };
  Vec<CallSite> call_sites_;  // of calls in a try_table
  Vec<wasm::CatchClause> catches_;
  uint32_t try_ = kNone;  // index of the innermost try_table in control_
  Vec<CallHandler> handlers_;
  Vec<CodeReference> references_;
  Label return_label_;
  size_t fuel_patch_ = 0;  // of the current stretch's cost; 0: none
  uint32_t fuel_count_ = 0;
  uint32_t local_regs_used_ = 0;
  bool tail_calls_ = false;
};

}  // namespace wafer::compiler
