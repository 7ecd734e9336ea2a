#include "evaluator.h"

#include <array>

#include "wasm/op_tables.h"

namespace wafer::reference {

using runtime::FuncInst;
using runtime::Instance;
using runtime::Ref;
using runtime::Slot;
using runtime::Store;
using runtime::TrapCode;
using wasm::Instr;
using wasm::Opcode;
using wasm::TypeKind;
using wasm::ValType;
using Kind = Ending::Kind;

namespace {

// Of native stack that entries within entries may take.
constexpr ptrdiff_t kMaxNativeBytes = 4 << 20;
// What a call and a stack count for beside their values.
constexpr size_t kFrameSize = 24, kStackSize = 100;

// Bodies of a module, each parsed when it is first called.
class Bodies final : public runtime::ModuleCode {
 public:
  explicit Bodies(std::shared_ptr<const wasm::Module> module) : module_(std::move(module)) {}
  const Result<Body>& body(uint32_t func) {
    const auto at = bodies_.find(func);
    if (at != bodies_.end()) return at->second;
    return bodies_.emplace(func, parse_body(*module_, func)).first->second;
  }

 private:
  std::shared_ptr<const wasm::Module> module_;
  std::map<uint32_t, Result<Body>> bodies_;
};

TrapCode call_reference(Store& store, FuncInst* func, Slot* slots) {
  return Evaluator::of(store).enter(func, slots);
}

const Operator& operator_of(Opcode op) {
  static const auto* const all = [] {
    auto* out = new std::array<Operator, size_t(Opcode::Count)>;
    for (size_t i = 0; i < out->size(); ++i) {
      const wasm::OpFacts& facts = wasm::kOpFacts[i];
      if (facts.sig().custom || facts.sig().address_first) continue;
      (*out)[i] = numeric_operator(Opcode(i));
    }
    return out;
  }();
  return (*all)[size_t(op)];
}

size_t param_count(const wasm::Module& module, const wasm::BlockType& type) {
  return type.kind == wasm::BlockType::Kind::Type ? module.types[type.type_index].func.params.size()
                                                  : 0;
}
size_t result_count(const wasm::Module& module, const wasm::BlockType& type) {
  if (type.kind == wasm::BlockType::Kind::Type)
    return module.types[type.type_index].func.results.size();
  return type.kind == wasm::BlockType::Kind::Value;
}

}  // namespace

Evaluator& Evaluator::of(Store& store) {
  if (!store.tier_stack) store.tier_stack = new Evaluator(store);
  return *static_cast<Evaluator*>(store.tier_stack);
}

bool type_matches(const wasm::CanonType& type, const wasm::CanonType& super) {
  if (type.id == super.id) return true;
  for (const uint32_t above : type.supers)
    if (above == super.id) return true;
  return false;
}

size_t trace_stack(const Stack& stack, const runtime::GcHeap& heap, runtime::RootVisitor& visitor) {
  size_t bytes = sizeof stack;
  const auto visit = [&](const std::vector<Value>& values) {
    for (const Value& v : values)
      if (v.kind == TypeKind::Ref && heap.owns(Ref(v.bits))) visitor.visit(Ref(v.bits));
    bytes += values.size() * sizeof(Value);
  };
  visit(stack.values);
  for (const Frame& f : stack.frames) {
    visit(f.locals);
    for (const Context& c : f.contexts)
      if (c.exception) visitor.visit(c.exception);
    bytes += sizeof f + f.contexts.size() * sizeof(Context);
  }
  return bytes;
}

void Evaluator::enumerate_roots(runtime::RootVisitor& visitor) {
  for (const auto& stack : stacks_) trace_stack(*stack, store_.gc(), visitor);
}

// --- Values as the engine's slots ------------------------------------------------------

const Slot* read_slots(TypeKind kind, const Slot* from, Value& out) {
  out = {kind, *from++};
  if (kind == TypeKind::I32 || kind == TypeKind::F32) out.bits = wrap(32, out.bits);
  if (kind == TypeKind::V128) out.bits += Nat(*from++) * pow2(64);
  return from;
}

Slot* write_slots(const Value& value, Slot* to) {
  *to++ = Slot(value.bits % pow2(64));
  if (value.kind == TypeKind::V128) *to++ = Slot(value.bits / pow2(64));
  return to;
}

// --- Entries ---------------------------------------------------------------------------

size_t Evaluator::begin_entry() {
  const size_t outer = base_;
  base_ = stacks_.size();
  stacks_.push_back(std::make_unique<Stack>());
  return outer;
}

void Evaluator::end_entry(size_t outer) {
  stacks_.resize(base_);
  base_ = outer;
}

TrapCode Evaluator::enter(FuncInst* func, Slot* slots) {
  const char* const here = static_cast<const char*>(__builtin_frame_address(0));
  if (stacks_.empty()) {
    native_base_ = here;
    if (store_.trap().code != TrapCode::None) store_.trap() = {};
    if (const std::string wrong = check_new_instances(); !wrong.empty())
      return store_.set_trap(TrapCode::HostError, wrong);
  }
  if (native_base_ - here > kMaxNativeBytes) return store_.set_trap(TrapCode::CallStackExhausted);
  const size_t outer = begin_entry();
  const Slot* from = slots;
  for (const ValType t : func->type->func.params)
    from = read_slots(t.kind(), from, values().emplace_back());
  TrapCode code = follow({Kind::Call, 0, func});
  if (code == TrapCode::None) code = run();
  if (code == TrapCode::None)
    for (const Value& v : values()) slots = write_slots(v, slots);
  end_entry(outer);
  return code;
}

// Until the entry has nothing more to do: its results are on the stack.
TrapCode Evaluator::run() {
  const bool takes_fuel = store_.engine().config().consume_fuel;
  for (;;) {
    Stack& stack = *stacks_.back();
    if (stack.frames.empty()) {
      if (stacks_.size() == base_ + 1) return TrapCode::None;
      // The end of a continuation: what it leaves is its resumer's.
      const std::unique_ptr<Stack> ended = std::move(stacks_.back());
      stacks_.pop_back();
      values().insert(values().end(), ended->values.begin(), ended->values.end());
      continue;
    }
    Frame& frame = stack.frames.back();
    Context& context = frame.contexts.back();
    if (context.next == context.code->size()) {
      frame.contexts.pop_back();
      if (frame.contexts.empty()) return_from_frame();
      continue;
    }
    if (takes_fuel && --store_.fuel < 0) return trap(TrapCode::OutOfFuel).trap;
    const TrapCode code = follow(step((*context.code)[context.next++], frame));
    if (code != TrapCode::None) return code;
  }
}

TrapCode Evaluator::follow(const Ending& end) {
  switch (end.kind) {
    case Kind::Normal:
      return TrapCode::None;
    case Kind::Branch:
      branch_out(end.label);
      return TrapCode::None;
    case Kind::Return:
      return_from_frame();
      return TrapCode::None;
    case Kind::TailCall:
      stacks_.back()->frames.back().arity = end.callee->type->func.params.size();
      return_from_frame();
      return follow(begin_call(end.callee));
    case Kind::Call:
      return follow(begin_call(end.callee));
    case Kind::Trap:
      break;
  }
  if (end.trap == TrapCode::UncaughtException && catch_exception()) return TrapCode::None;
  return end.trap;
}

// --- Calls -----------------------------------------------------------------------------

size_t Evaluator::total_size() const {
  size_t out = 0;
  for (const auto& stack : stacks_) out += kStackSize + stack->size;
  return out;
}

// Arguments are taken from the stack.
Ending Evaluator::begin_call(FuncInst* func) {
  if (func->call != call_reference) return call_other(func);
  Instance& instance = *func->instance;
  const Result<Body>& body = static_cast<Bodies*>(instance.code.get())->body(func->index);
  if (!body) return trap(TrapCode::HostError, body.error().message);
  const wasm::FuncType& type = func->type->func;
  const auto first = values().end() - ptrdiff_t(type.params.size());
  std::vector<Value> locals(first, values().end());
  for (const ValType t : body->locals) locals.push_back({t.kind()});
  values().erase(first, values().end());
  push_frame(instance, body->code, std::move(locals), type.results.size());
  if (total_size() > kMaxSize) return trap(TrapCode::CallStackExhausted);
  return {};
}

void Evaluator::push_frame(Instance& instance, const std::vector<Node>& code,
                           std::vector<Value> locals, size_t arity) {
  Stack& stack = *stacks_.back();
  const size_t height = stack.values.size();
  stack.size += kFrameSize + locals.size();
  Frame frame{instance, *instance.module, std::move(locals), height, arity, {}};
  frame.contexts.push_back({Context::Kind::Body, nullptr, &code, height, arity});
  stack.frames.push_back(std::move(frame));
}

void Evaluator::return_from_frame() {
  Stack& stack = *stacks_.back();
  const Frame& frame = stack.frames.back();
  keep_top(frame.arity, frame.height);
  stack.size -= kFrameSize + frame.locals.size();
  stack.frames.pop_back();
}

// A function of the host.
Ending Evaluator::call_other(FuncInst* func) {
  const wasm::CanonType& type = *func->type;
  std::vector<Slot> slots(std::max<size_t>({type.param_slots, type.result_slots, 1}));
  const size_t height = values().size() - type.func.params.size();
  Slot* to = slots.data();
  for (size_t i = height; i < values().size(); ++i) to = write_slots(values()[i], to);
  Instance* caller = nullptr;
  for (const auto& stack : stacks_)
    if (!stack->frames.empty()) caller = &stack->frames.back().instance;
  TrapCode code;
  if (func->host) {
    runtime::CallContext context{store_, caller, nullptr, func};
    code = func->host(func->host_env, context, slots.data());
  } else {
    code = func->call(store_, func, slots.data());
  }
  values().resize(height);
  if (code != TrapCode::None) return {Kind::Trap, 0, nullptr, code};
  store_.trap() = {};
  const Slot* from = slots.data();
  for (const ValType t : type.func.results)
    from = read_slots(t.kind(), from, values().emplace_back());
  return {};
}

Ending Evaluator::call(FuncInst* func, bool tail) {
  return {tail ? Kind::TailCall : Kind::Call, 0, func};
}

Ending Evaluator::call_indirect(const Instr& in, Frame& frame, bool tail) {
  const runtime::Table& table = *frame.instance.tables[in.index2];
  const Nat index = pop();
  if (index >= table.size) return trap(TrapCode::UndefinedElement);
  const Ref ref = table.elements[size_t(index)];
  if (ref == runtime::kNullRef) {
    std::string message(runtime::trap_message(TrapCode::UninitializedElement));
    return trap(TrapCode::UninitializedElement, message + ' ' + std::to_string(uint64_t(index)));
  }
  auto* func = reinterpret_cast<FuncInst*>(uintptr_t(ref));
  if (!type_matches(*func->type, *frame.module.canon_type(in.index)))
    return trap(TrapCode::IndirectTypeMismatch);
  return call(func, tail);
}

Ending Evaluator::trap(TrapCode code, std::string_view message) {
  store_.set_trap(code, message);
  return {Kind::Trap, 0, nullptr, code};
}

// --- Control ---------------------------------------------------------------------------

void Evaluator::keep_top(size_t count, size_t height) {
  values().erase(values().begin() + ptrdiff_t(height), values().end() - ptrdiff_t(count));
}

void Evaluator::enter_block(const Node& node, Frame& frame) {
  using C = Context::Kind;
  const Opcode op = node.in.op;
  const bool condition = op != Opcode::If || pop() != 0;
  const size_t params = param_count(frame.module, node.in.block);
  const size_t results = result_count(frame.module, node.in.block);
  const C kind = op == Opcode::Loop       ? C::Loop
                 : op == Opcode::TryTable ? C::TryTable
                 : op == Opcode::Try      ? C::Try
                                          : C::Block;
  frame.contexts.push_back({kind, &node, condition ? &node.body : &node.otherwise,
                            values().size() - params, kind == C::Loop ? params : results});
}

void Evaluator::branch_out(uint32_t label) {
  Frame& frame = stacks_.back()->frames.back();
  frame.contexts.erase(frame.contexts.end() - ptrdiff_t(label), frame.contexts.end());
  Context& target = frame.contexts.back();
  keep_top(target.arity, target.height);
  target.next = 0;
  if (target.kind == Context::Kind::Loop) return;
  frame.contexts.pop_back();
  if (frame.contexts.empty()) return_from_frame();
}

Ending Evaluator::step(const Node& node, Frame& frame) {
  const Instr& in = node.in;
  Instance& instance = frame.instance;
  switch (in.op) {
    case Opcode::Unreachable:
      return trap(TrapCode::Unreachable);
    case Opcode::Nop:
      return {};
    case Opcode::Block:
    case Opcode::Loop:
    case Opcode::If:
    case Opcode::TryTable:
    case Opcode::Try:
      enter_block(node, frame);
      return {};
    case Opcode::Br:
      return branch(in.index);
    case Opcode::BrIf:
      return pop() != 0 ? branch(in.index) : Ending{};
    case Opcode::BrTable: {
      const Nat i = pop();
      return branch(i < in.labels.size() - 1 ? in.labels[size_t(i)] : in.labels.back());
    }
    case Opcode::Return:
      return {Kind::Return};
    case Opcode::Call:
    case Opcode::ReturnCall:
      return call(instance.funcs[in.index], in.op == Opcode::ReturnCall);
    case Opcode::CallIndirect:
    case Opcode::ReturnCallIndirect:
      return call_indirect(in, frame, in.op == Opcode::ReturnCallIndirect);
    case Opcode::CallRef:
    case Opcode::ReturnCallRef: {
      const Ref ref = pop_ref();
      if (ref == runtime::kNullRef) return trap(TrapCode::NullFunctionReference);
      return call(reinterpret_cast<FuncInst*>(uintptr_t(ref)), in.op == Opcode::ReturnCallRef);
    }
    case Opcode::Drop:
      pop();
      return {};
    case Opcode::Select:
    case Opcode::SelectT: {
      const Nat condition = pop();
      const Value second = values().back();
      values().pop_back();
      if (condition == 0) values().back() = second;
      return {};
    }
    case Opcode::I32Const:
      push(TypeKind::I32, unsigned_value(32, in.i32));
      return {};
    case Opcode::I64Const:
      push(TypeKind::I64, unsigned_value(64, in.i64));
      return {};
    case Opcode::F32Const:
      push(TypeKind::F32, in.f32_bits);
      return {};
    case Opcode::F64Const:
      push(TypeKind::F64, in.f64_bits);
      return {};
    case Opcode::V128Const:
      push(TypeKind::V128, vector_of_bytes(in.v128));
      return {};
    default:
      break;
  }
  if (const Operator& op = operator_of(in.op)) {
    const wasm::OpSig& sig = wasm::kOpFacts[size_t(in.op)].sig();
    std::vector<Nat> operands;
    for (size_t i = values().size() - sig.param_count; i < values().size(); ++i)
      operands.push_back(values()[i].bits);
    values().resize(values().size() - sig.param_count);
    const Outcome outcome = op(in, operands);
    if (outcome.trap != TrapCode::None) return trap(outcome.trap);
    for (unsigned i = 0; i < sig.result_count; ++i) push(sig.results[i], outcome.results[i]);
    return {};
  }
  Ending out;
  if (variable(in, frame) || table(in, frame, out) || reference(in, frame, out) ||
      memory(in, frame, out) || bulk_memory(in, frame, out) || aggregate(in, frame, out) ||
      array(in, frame, out) || cast(in, frame, out) || descriptor(in, frame, out) ||
      exception(in, frame, out) || continuation(in, frame, out))
    return out;
  return trap(TrapCode::HostError, "the reference has no such instruction");
}

// --- The tier --------------------------------------------------------------------------

namespace {

class ReferenceTier final : public runtime::Tier {
 public:
  Result<void> attach(Instance& instance) override {
    const wasm::Module& module = *instance.module;
    instance.code = make_shared_in<Bodies>(instance.module);
    for (uint32_t i = module.imported_functions; i < module.functions.size(); ++i)
      instance.funcs[i]->call = call_reference;
    if (const std::string wrong = Evaluator::of(*instance.store).attach(instance); !wrong.empty())
      return Error(ErrorKind::Usage, wrong);
    return {};
  }
  void detach_store(Store& store) override {
    if (store.tier_stack) store.tier_stack->destroy();
    store.tier_stack = nullptr;
  }
};

}  // namespace

runtime::Tier* tier() {
  static ReferenceTier instance;
  return &instance;
}

}  // namespace wafer::reference
