// Evaluates bodies by walking them as trees (spec 4.4). It shares the store with the engine,
// and nothing of how the other tiers run code; everything is as plain as it can be.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "numeric.h"
#include "runtime/store.h"
#include "syntax.h"

namespace wafer::reference {

// A value on the operand stack or in a local. References are runtime::Ref.
struct Value {
  wasm::TypeKind kind;
  Nat bits = 0;
};

// How a sequence of instructions ended.
struct Ending {
  enum class Kind { Normal, Branch, Return, TailCall, Trap } kind = Kind::Normal;
  uint32_t label = 0;                                // Branch: how many labels further out
  runtime::FuncInst* callee = nullptr;               // TailCall: its arguments are on the stack
  runtime::TrapCode trap = runtime::TrapCode::None;  // Trap, or an exception on its way
  bool is_normal() const { return kind == Kind::Normal; }
};

class Evaluator final : public runtime::TierStack {
 public:
  explicit Evaluator(runtime::Store& store) : store_(store) { store.gc().add_root_source(this); }
  ~Evaluator() { store_.gc().remove_root_source(this); }
  // That of `store`.
  static Evaluator& of(runtime::Store& store);

  // What FuncInst::call does.
  runtime::TrapCode enter(runtime::FuncInst* func, runtime::Slot* slots);
  void enumerate_roots(runtime::RootVisitor& visitor) override;
  void destroy() override { delete this; }

  // Notes an instance that is going to be initialized. Of those noted before, gives what is
  // not as it should be, or nothing.
  std::string attach(runtime::Instance& instance) {
    std::string wrong = check_new_instances();
    if (wrong.empty()) unchecked_.push_back(&instance);
    return wrong;
  }

 private:
  struct Frame {
    runtime::Instance& instance;
    const wasm::Module& module;
    std::vector<Value> locals;
    Frame* caller;
  };

  // --- Control and calls (evaluator.cc) ---
  runtime::TrapCode invoke(runtime::FuncInst* func);
  runtime::TrapCode invoke_other(runtime::FuncInst* func);
  Ending run(const std::vector<Node>& code, Frame& frame);
  Ending step(const Node& node, Frame& frame);
  Ending block(const Node& node, Frame& frame);
  Ending try_table(const Node& node, Frame& frame, size_t height);
  Ending branch(uint32_t label) { return {Ending::Kind::Branch, label}; }
  Ending trap(runtime::TrapCode code, std::string_view message = {});
  Ending call(runtime::FuncInst* func, bool tail);
  Ending call_indirect(const wasm::Instr& in, Frame& frame, bool tail);
  Ending throw_exception(uint32_t tag, Frame& frame);
  void keep_top(size_t count, size_t height);  // drops what lies between
  // One of the parts below runs `in`, if it is one of its instructions.
  bool variable(const wasm::Instr& in, Frame& frame);
  bool table(const wasm::Instr& in, Frame& frame, Ending& out);
  bool reference(const wasm::Instr& in, Frame& frame, Ending& out);

  // --- Memories (memory.cc) ---
  bool memory(const wasm::Instr& in, Frame& frame, Ending& out);
  bool bulk_memory(const wasm::Instr& in, Frame& frame, Ending& out);
  void access(const wasm::Instr& in, Frame& frame, Ending& out);
  bool memory_grow(runtime::Memory& memory, Nat delta, Nat& result);

  // --- Structs, arrays, i31 and casts (aggregate.cc) ---
  bool aggregate(const wasm::Instr& in, Frame& frame, Ending& out);
  bool array(const wasm::Instr& in, Frame& frame, Ending& out);
  bool cast(const wasm::Instr& in, Frame& frame, Ending& out);
  bool matches(runtime::Ref ref, wasm::HeapType type) const;  // canonical
  runtime::GcArray* make_array(const wasm::CanonType* type, Nat length, Ending& out);

  // --- Initial states (instantiation.cc) ---
  bool evaluate(runtime::Instance& instance, wasm::ConstExpr expression);
  std::string check_new_instances();
  std::string wrongly_initialized(runtime::Instance& instance);
  std::string find_wrong(runtime::Instance& instance);

  // --- The operand stack ---
  void push(wasm::TypeKind kind, Nat bits) { stack_.push_back({kind, bits}); }
  void push_ref(runtime::Ref ref) { push(wasm::TypeKind::Ref, ref); }
  void push_address(bool is64, Nat bits) {
    push(is64 ? wasm::TypeKind::I64 : wasm::TypeKind::I32, bits);
  }
  Nat pop() {
    const Nat bits = stack_.back().bits;
    stack_.pop_back();
    return bits;
  }
  runtime::Ref pop_ref() { return runtime::Ref(pop()); }

  runtime::Store& store_;
  std::vector<Value> stack_;
  Frame* frame_ = nullptr;  // the innermost
  std::vector<runtime::Instance*> unchecked_;
  const char* stack_base_ = nullptr;
};

// A tier of the engine that runs everything here.
runtime::Tier* tier();

}  // namespace wafer::reference
