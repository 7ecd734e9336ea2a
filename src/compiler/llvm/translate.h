// From validated function bodies to LLVM IR.
#pragma once

#include <llvm/IR/DIBuilder.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/MDBuilder.h>
#include <llvm/IR/Module.h>

#include <map>
#include <string>
#include <vector>

#include "compiler/backend.h"
#include "compiler/builtins.h"
#include "compiler/layout.h"
#include "interp/xip_format.h"
#include "wasm/validator.h"

namespace wafer::compiler {

// What every piece of work knows of the functions, by index; nothing of those that are not
// compiled.
struct FunctionFacts {
  std::vector<bool> tail_calls;  // has tail calls
  std::vector<bool> compiled;    // is compiled along: can be called directly
  std::vector<bool> plain;       // is translated without being optimized
};

// Elements of a table that stay what the module's segments make of them, as nobody else has the
// table and no code writes it: a constant, whose rows are the distance from it to the function, and
// the type's number; of what is not a function of the module both are 0.
struct XipTable {
  llvm::GlobalVariable* rows = nullptr;  // if they are known
  uint32_t count = 0;
  // By canonical type, from 1 on. One that no element has gets a number of no row.
  std::map<uint32_t, uint32_t> types;
  uint32_t only = 0;  // the type's number that all rows have, if so
  uint32_t id_of(uint32_t canon) const {
    const auto at = types.find(canon);
    return at != types.end() ? at->second : uint32_t(types.size()) + 1;
  }
};

// Whether what these are limits of can never grow.
inline bool is_fixed(const wasm::Limits& limits) {
  return limits.has_max && limits.min == limits.max;
}

// One LLVM module that holds some functions of a WebAssembly module.
class ModuleTranslator {
 public:
  ModuleTranslator(llvm::LLVMContext& context, const wasm::Module& module,
                   const CompileOptions& options, const std::string& triple,
                   const FunctionFacts& facts);

  // Adds the body of `func`.
  Result<void> translate(uint32_t func);
  // Adds code of a function that is entered at a loop.
  Result<void> translate(const LoopEntry& entry);
  // Ends debug information; the module is complete.
  void finish();

  // Name of the symbol of a function, and of its code from a loop on.
  static std::string symbol(uint32_t func) { return "f" + std::to_string(func); }
  static std::string symbol(const LoopEntry& entry) {
    return symbol(entry.func) + "." + std::to_string(entry.loop);
  }

  llvm::Type* type_of(wasm::ValType type) const;
  // Signature in the native convention. The full form names every argument register,
  // so that all functions of one result have the same: what a tail call asks for.
  llvm::FunctionType* function_type(const wasm::FuncType& type, bool full);
  bool is_full(uint32_t func) const { return facts.tail_calls[func]; }
  llvm::Function* function(uint32_t func);
  llvm::Function* loop_function(const LoopEntry& entry);
  llvm::FunctionCallee builtin(Builtin builtin);
  // Code that takes a function's arguments from slots, for the loader; by the function's type.
  llvm::Function* xip_entry(uint32_t type_index);
  // What is known of the elements of a table (xip_tables.cc).
  const XipTable& xip_table(uint32_t table);
  // What the optimizer may assume of a kind of memory: kinds do not overlap.
  llvm::MDNode* tbaa(std::string_view kind);

  const wasm::Module& module;
  const CompileOptions& options;
  const FunctionFacts& facts;
  llvm::LLVMContext& context;
  std::unique_ptr<llvm::Module> ir;
  llvm::DIBuilder debug;
  llvm::DIFile* debug_file;
  llvm::Type *i1, *i8, *i16, *i32, *i64, *f32, *f64, *ptr, *v128, *f32x4, *void_type;
  bool x86 = false;
  // Code that runs in place on a small system (interp/xip_format.h): what touches the run-time
  // structure is in xip.cc.
  bool xip = false;
  bool xip_single = false;   // are there instructions for f32?
  bool xip_aligned = false;  // does the processor take aligned addresses only?
  void set_xip_target(interp::XipTarget target);
  // Accesses fault where the optimizer sees plain loads and stores, and all effects stay in
  // order: what is volatile is so for this (see exact_traps.h).
  bool exact_traps = false;
  // Does the memory end in guard pages, so that accesses are not checked?
  bool guarded(uint32_t memory) const;

 private:
  llvm::MDNode* tbaa_root_ = nullptr;
  llvm::StringMap<llvm::MDNode*> tbaa_;
  llvm::Function* builtins_[size_t(Builtin::Count)] = {};
  std::map<uint32_t, XipTable> xip_tables_;
};

class FunctionTranslator {
 public:
  // Puts code of function `func` into `fn`.
  FunctionTranslator(ModuleTranslator& module, uint32_t func, llvm::Function* fn);
  Result<void> run();
  // The same, entered at the loop at module offset `loop`.
  Result<void> run_from(uint32_t loop);

 private:
  using Value = llvm::Value;
  using Block = llvm::BasicBlock;
  using BasicBlock = llvm::BasicBlock;

  // A clause that a handler tries in turn.
  struct Clause {
    bool all = false;
    uint32_t tag = 0;
    Block* target = nullptr;       // legacy: where the catch body begins
    llvm::PHINode* exn = nullptr;  // legacy: the exception there
    uint32_t frame = 0;            // try_table: frame (from the outside) to branch to
    bool with_ref = false;
  };

  struct Frame {
    wasm::Opcode op = wasm::Opcode::Block;
    bool dead = false;  // entered in unreachable code
    uint32_t height = 0;
    std::span<const wasm::ValType> params, results;
    Block* end = nullptr;
    std::vector<llvm::PHINode*> end_phis;
    Block* header = nullptr;  // Loop
    std::vector<llvm::PHINode*> header_phis;
    Block* other = nullptr;  // If: where else begins
    std::vector<Value*> else_params;
    // Try and TryTable: entry of the handler, made when something may throw.
    bool is_try = false, active = false;
    Block* landing = nullptr;
    Block* dispatch = nullptr;
    llvm::PHINode* dispatch_exn = nullptr;
    std::vector<Clause> clauses;
    int delegate_to = -1;  // frame index; -1: none
    Value* caught = nullptr;
  };

  // ---- operands
  Value* pop() {
    Value* v = stack_.back();
    stack_.pop_back();
    return v;
  }
  void push(Value* v) { stack_.push_back(v); }
  Value* const_i32(uint32_t v) { return b_.getInt32(v); }
  Value* const_i64(uint64_t v) { return b_.getInt64(v); }

  // ---- entry (translate.cc)
  void begin();
  void open_body();
  void load_parameters();
  Result<void> translate_body(uint32_t watch);
  void finish();

  // ---- entering at a loop (loop_entry.cc)
  // Where control stands at the loop, in code that starts at the function's start.
  struct LoopState {
    std::vector<llvm::WeakTrackingVH> operands;
    std::vector<Frame> frames;
  };
  struct OpenBlock {
    wasm::Instr in;
    bool in_else = false, in_catch = false;
  };
  Result<std::vector<OpenBlock>> seek(uint32_t loop, wasm::Instr& at);
  void reopen(const std::vector<OpenBlock>& blocks);
  Value* load_slot(uint32_t& slot, wasm::ValType type);
  void merge_operands(std::span<Value* const> entered, llvm::Instruction* before);

  // ---- structure (translate.cc)
  Result<void> instruction(const wasm::Instr& in);
  bool control(const wasm::Instr& in);
  void unreachable();
  void push_frame(const wasm::Instr& in);
  void begin_try(const wasm::Instr& in);
  void else_frame();
  void end_frame();
  // To the frame's end, and to where a branch to its label goes.
  void branch_to(uint32_t frame, std::span<Value* const> values);
  void branch_to_label(uint32_t frame, std::span<Value* const> values);
  void jump(uint32_t label);
  void br_if(uint32_t label, Value* condition, llvm::MDNode* branch_weights = nullptr);
  llvm::MDNode* weights(const wasm::Instr& in) const;
  void br_table(const wasm::Instr& in);
  uint32_t frame_of(uint32_t label) const { return uint32_t(frames_.size()) - 1 - label; }
  std::span<const wasm::ValType> label_types(const Frame& f) const {
    return f.op == wasm::Opcode::Loop ? f.params : f.results;
  }
  std::span<Value* const> top(size_t n) const { return {stack_.data() + stack_.size() - n, n}; }
  Block* block(const char* name);
  std::vector<llvm::PHINode*> make_phis(Block* at, std::span<const wasm::ValType> types);
  // Splits: traps with `code` if `condition` holds, goes on otherwise.
  void trap_if(Value* condition, TrapCode code);
  void trap(TrapCode code);
  void emit_return(std::span<Value* const> values);
  void finish_entry();
  void drop_unreachable();
  void count_fuel();
  void wait_if(llvm::Value* condition, Builtin builtin);
  void poll();

  // ---- the run-time structure
  // Field of the context that never changes during a call.
  Value* context_field(uint32_t offset);
  Value* load_invariant(llvm::Type* type, Value* base, uint64_t offset);
  Value* load_at(llvm::Type* type, Value* base, uint64_t offset, std::string_view kind);
  llvm::StoreInst* store_at(Value* value, Value* base, uint64_t offset, std::string_view kind);
  // The same for what can still be seen after a trap.
  void store_visibly(Value* value, Value* base, uint64_t offset, std::string_view kind);
  Value* at(Value* base, uint64_t offset) {
    return b_.CreateConstInBoundsGEP1_64(m_.i8, base, offset);
  }
  Value* exec() { return context_field(layout::kCtxExec); }
  Value* spill(unsigned slot) { return at(exec(), layout::kExecSpill + slot * 8); }
  // Entry `index` of a context array of pointers; `offset` is the array's in the context.
  Value* element(uint32_t offset, uint32_t index);
  Value* global_address(uint32_t index, std::string& kind);

  // ---- calls
  Value* call_builtin(Builtin builtin, std::initializer_list<Value*> args);
  void call_function(const wasm::FuncType& type, Value* callee, Value* context, bool tail,
                     bool full = false);
  Value* to_fpr(Value* value);  // any float or vector as a register
  Value* from_fpr(Value* reg, llvm::Type* type);
  void call(uint32_t func, bool tail);
  void call_indirect(const wasm::Instr& in, bool tail);
  void call_ref(const wasm::Instr& in, bool tail);
  void call_func_inst(const wasm::FuncType& type, Value* func, bool tail);
  llvm::CallBase* call_or_invoke(llvm::FunctionCallee callee, std::span<Value* const> args);
  bool has_subtypes(uint32_t type_index) const;

  // ---- memory
  bool guarded(uint32_t memory) const;
  // Address of `size` bytes at the operand `index` plus `offset`, checked or guarded.
  Value* address(uint32_t memory, Value* index, uint64_t offset, unsigned size);
  bool may_fault(const wasm::Instr& in, const Value* index, unsigned size) const;
  Value* memory_index(uint32_t memory, Value* index);  // zero-extended to 64 bits
  Value* load(const wasm::Instr& in, llvm::Type* type, unsigned size);
  void store(const wasm::Instr& in, Value* value, unsigned size);
  Value* table_slot(uint32_t table, Value* index);
  bool memory_op(const wasm::Instr& in);
  bool table_op(const wasm::Instr& in);

  // ---- plain instructions; false if the opcode is not one of theirs
  bool numeric(const wasm::Instr& in);
  bool wide(const wasm::Instr& in);
  struct Simd;
  bool simd(const wasm::Instr& in);    // simd.cc
  bool atomic(const wasm::Instr& in);  // atomics.cc
  Value* wide_address(const wasm::Instr& in, Value* index);
  bool gc(const wasm::Instr& in);         // gc.cc
  bool exception(const wasm::Instr& in);  // exceptions.cc

  // ---- stack switching (stack_switching.cc)
  bool stack_switching(const wasm::Instr& in);
  void resume(const wasm::Instr& in);
  Value* slots_on_stack(uint32_t count);
  uint32_t store_slots(Value* to, std::span<Value* const> values,
                       std::span<const wasm::ValType> types);
  std::vector<Value*> load_slots(Value* from, std::span<const wasm::ValType> types);
  const wasm::FuncType& cont_func(uint32_t type) const;
  const wasm::FuncType& tag_type(uint32_t tag) const;

  Value* float_min_max(Value* a, Value* b, bool max);
  Value* opaque(Value* constant);
  Value* arithmetic_operand(Value* v);
  void trunc_trapping(llvm::Type* to, bool is_signed);
  Value* intrinsic(llvm::Intrinsic::ID id, std::initializer_list<Value*> args);
  llvm::Value* ref_test_desc(bool nullable);
  Value* ref_test(Value* ref, wasm::HeapType type, bool nullable);
  Value* entry_slot();
  Value* stack_pointer(llvm::Type* type);

  // ---- code that runs in place (xip.cc)
  Value* xip_field(interp::XipField field, llvm::Type* type);
  Value* xip_state(interp::XipField field, llvm::Type* type, std::string_view kind);
  Value* xip_element(interp::XipField array, uint32_t index);
  llvm::CallInst* xip_call(interp::XipCall callee, llvm::Type* result,
                           std::span<Value* const> args);
  llvm::CallInst* xip_service(interp::XipCall callee, std::initializer_list<Value*> args);
  Result<void> xip_check(const wasm::Instr& in) const;
  Result<void> xip_check_locals() const;
  bool xip_instruction(const wasm::Instr& in);
  bool xip_operation(const wasm::Instr& in);
  Block* xip_trap_block(TrapCode code);
  void xip_load_parameters();
  void xip_finish_entry();
  void xip_return(std::span<Value* const> values);
  Value* xip_address(Value* index, uint64_t offset, unsigned size);
  bool xip_takes_branches(const wasm::Instr& in, unsigned size) const;
  Block* xip_branch_aligned(const wasm::Instr& in, Value* index, unsigned align);
  Value* xip_load(const wasm::Instr& in, llvm::Type* type, unsigned size);
  void xip_store(const wasm::Instr& in, Value* value, unsigned size);
  Value* xip_global_address(uint32_t index, std::string& kind);
  void xip_call_native(const wasm::FuncType& type, Value* callee, std::span<Value* const> args);
  void xip_call_by_slots(const wasm::FuncType& type, std::span<Value* const> args,
                         llvm::function_ref<llvm::CallInst*(Value* slots)> call);
  void xip_call_direct(uint32_t func);
  void xip_call_indirect(const wasm::Instr& in);
  std::vector<Value*> take(size_t count);

  // ---- exceptions (exceptions.cc)
  // Innermost try whose body is open at frame `from` or outside of it; -1 for none.
  int active_try(int from) const;
  void push_exception_values(Value* exn, uint32_t tag);
  Block* dispatch_block(int frame);
  Block* unwind_block();
  void fill_dispatch(uint32_t frame);
  void raise(Value* exn, int handler);
  void legacy_catch(const wasm::Instr& in);
  void delegate(const wasm::Instr& in);

  ModuleTranslator& m_;
  const wasm::Module& module_;
  const uint32_t index_;
  llvm::Function* fn_;
  llvm::IRBuilder<> b_;
  wasm::FuncValidator v_;
  std::vector<Value*> stack_;
  std::vector<Frame> frames_;
  std::vector<llvm::AllocaInst*> locals_;
  std::vector<llvm::LoadInst*> memory_loads_;
  Block* entry_ = nullptr;
  Block* body_ = nullptr;
  Value* context_ = nullptr;
  llvm::DenseMap<uint32_t, Value*> fields_;  // invariant fields, loaded at the entry
  llvm::DISubprogram* subprogram_ = nullptr;
  Block* xip_traps_[32] = {};                        // by TrapCode
  llvm::AllocaInst* xip_slots_ = nullptr;            // for calls by slots
  llvm::SmallPtrSet<llvm::CallInst*, 8> xip_calls_;  // of functions of guests and hosts
  uint32_t xip_slot_count_ = 0;
  bool dead_ = false;
  bool calls_ = false;
  uint64_t fuel_ = 0;  // instructions since the last charge
  llvm::Instruction* fuel_at_ = nullptr;
  LoopState at_loop_;
};

}  // namespace wafer::compiler
