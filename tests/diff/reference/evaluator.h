// Evaluates bodies in small steps, as the specification does (4.4): what is still to be done is
// data, so that it can be taken apart and put together again. It shares the store with the
// engine, and nothing of how the other tiers run code; everything is as plain as it can be.
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

// What a step comes to, beside values: the next one, if it is Normal.
struct Ending {
  enum class Kind { Normal, Branch, Return, Call, TailCall, Trap } kind = Kind::Normal;
  uint32_t label = 0;                                // Branch: how many labels further out
  runtime::FuncInst* callee = nullptr;               // of calls: its arguments are on the stack
  runtime::TrapCode trap = runtime::TrapCode::None;  // Trap, or an exception on its way
  bool is_normal() const { return kind == Kind::Normal; }
};

// A sequence of instructions that is being run, with the label around it.
struct Context {
  enum class Kind { Body, Block, Loop, TryTable, Try, Catch } kind;
  const Node* node;  // the instruction that it is of; null: a Body
  const std::vector<Node>* code;
  size_t height;  // of the operands below its own
  size_t arity;   // values that a branch to the label takes
  size_t next = 0;
  runtime::Ref exception = runtime::kNullRef;  // Catch: the one that was caught
};

// A call of a function of a module.
struct Frame {
  runtime::Instance& instance;
  const wasm::Module& module;
  std::vector<Value> locals;
  size_t height, arity;
  std::vector<Context> contexts;  // from the outermost in
};

// A clause of a resume: what becomes of suspensions and switches with a tag.
struct Handler {
  runtime::TagInst* tag;
  bool is_switch;
  uint32_t label;
};

// What is between two prompts: of an entry from outside, or a part of a continuation.
struct Stack {
  std::vector<Value> values;
  std::vector<Frame> frames;
  runtime::FuncInst* start = nullptr;  // to be called with the values, if it has not begun
  std::vector<Handler> handlers;       // of the prompt around it
  size_t size = 0;                     // that counts against the limit
};
using Stacks = std::vector<std::unique_ptr<Stack>>;  // each in a prompt of the one before

// Of values that calls hold together; further calls exhaust the stack.
inline constexpr size_t kMaxSize = 400'000;

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
  // --- Calls and control (evaluator.cc) ---
  runtime::TrapCode run();
  Ending step(const Node& node, Frame& frame);
  // Carry out what a step comes to: None, or what ends the entry.
  runtime::TrapCode follow(const Ending& end);
  void branch_out(uint32_t label);
  void push_frame(runtime::Instance& instance, const std::vector<Node>& code,
                  std::vector<Value> locals, size_t arity);
  void return_from_frame();
  Ending begin_call(runtime::FuncInst* func);
  Ending call_other(runtime::FuncInst* func);
  void enter_block(const Node& node, Frame& frame);
  // A call from outside: on a stack of its own. Gives where the entry around it begins.
  size_t begin_entry();
  void end_entry(size_t outer);
  size_t total_size() const;
  Ending branch(uint32_t label) { return {Ending::Kind::Branch, label}; }
  Ending trap(runtime::TrapCode code, std::string_view message = {});
  Ending call(runtime::FuncInst* func, bool tail);
  Ending call_indirect(const wasm::Instr& in, Frame& frame, bool tail);

  // Of the functions below, those that give bool run `in` if it is one of their instructions.
  // --- Exceptions (exceptions.cc) ---
  bool exception(const wasm::Instr& in, Frame& frame, Ending& out);
  // The arguments are on the stack.
  Ending throw_exception(runtime::TagInst* tag);
  Ending throw_reference(runtime::Ref exception);
  // Goes to who catches the pending exception; false: nobody in this entry does.
  bool catch_exception();
  bool catch_in(const Context& context, Frame& frame);
  void push_arguments(runtime::GcException* exception);

  // --- Continuations (continuations.cc) ---
  bool continuation(const wasm::Instr& in, Frame& frame, Ending& out);
  Ending resume(const wasm::Instr& in, Frame& frame);
  Ending suspend(runtime::TagInst* tag);
  Ending switch_to(const wasm::Instr& in, Frame& frame);
  Ending bind(const wasm::Instr& in, Frame& frame);
  size_t find_prompt(const runtime::TagInst* tag, bool is_switch, uint32_t& label) const;
  void capture(size_t prompt, runtime::Ref made);
  bool unusable(runtime::Ref continuation, Ending& out);
  size_t waits_for(const wasm::CanonType* type) const;
  Ending go_on();

  void keep_top(size_t count, size_t height);  // drops what lies between

  // --- Variables, tables and references (variables.cc) ---
  bool variable(const wasm::Instr& in, Frame& frame);
  bool table(const wasm::Instr& in, Frame& frame, Ending& out);
  bool reference(const wasm::Instr& in, Frame& frame, Ending& out);

  // --- Memories (memory.cc) ---
  bool memory(const wasm::Instr& in, Frame& frame, Ending& out);
  bool bulk_memory(const wasm::Instr& in, Frame& frame, Ending& out);
  void access(const wasm::Instr& in, Frame& frame, Ending& out);
  void wait_or_notify(const wasm::Instr& in, Frame& frame, Ending& out);
  bool memory_grow(runtime::Memory& memory, Nat delta, Nat& result);

  // --- Structs, arrays, i31 and casts (aggregate.cc) ---
  bool aggregate(const wasm::Instr& in, Frame& frame, Ending& out);
  bool array(const wasm::Instr& in, Frame& frame, Ending& out);
  bool cast(const wasm::Instr& in, Frame& frame, Ending& out);
  bool descriptor(const wasm::Instr& in, Frame& frame, Ending& out);
  bool matches(runtime::Ref ref, wasm::HeapType type) const;  // canonical
  runtime::GcArray* make_array(const wasm::CanonType* type, Nat length, Ending& out);

  // --- Initial states (instantiation.cc) ---
  bool evaluate(runtime::Instance& instance, wasm::ConstExpr expression);
  std::string check_new_instances();
  std::string wrongly_initialized(runtime::Instance& instance);
  std::string find_wrong(runtime::Instance& instance);

  // --- The operand stack ---
  std::vector<Value>& values() { return stacks_.back()->values; }
  void push(wasm::TypeKind kind, Nat bits) { values().push_back({kind, bits}); }
  void push_ref(runtime::Ref ref) { push(wasm::TypeKind::Ref, ref); }
  void push_address(bool is64, Nat bits) {
    push(is64 ? wasm::TypeKind::I64 : wasm::TypeKind::I32, bits);
  }
  Nat pop() {
    const Nat bits = values().back().bits;
    values().pop_back();
    return bits;
  }
  runtime::Ref pop_ref() { return runtime::Ref(pop()); }

  runtime::Store& store_;
  Stacks stacks_;    // of all entries that are not over
  size_t base_ = 0;  // where those of the innermost entry begin
  std::vector<runtime::Instance*> unchecked_;
  const char* native_base_ = nullptr;
};

// Is a defined type below `super`, or the same (3.3.5)?
bool type_matches(const wasm::CanonType& type, const wasm::CanonType& super);
// Values from slots and to them; both give the place after.
const runtime::Slot* read_slots(wasm::TypeKind kind, const runtime::Slot* from, Value& out);
runtime::Slot* write_slots(const Value& value, runtime::Slot* to);
// Shows the collector what is on a stack; gives the bytes that it takes.
size_t trace_stack(const Stack& stack, const runtime::GcHeap& heap, runtime::RootVisitor& visitor);

// A tier of the engine that runs everything here.
runtime::Tier* tier();

}  // namespace wafer::reference
