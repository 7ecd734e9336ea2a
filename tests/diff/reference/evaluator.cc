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

// Of native stack that nested evaluation may take.
constexpr ptrdiff_t kMaxStackBytes = 5 << 20;

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

// Is a defined type below `super`, or the same (3.3.5)?
bool type_matches(const wasm::CanonType& type, const wasm::CanonType& super) {
  if (type.id == super.id) return true;
  for (const uint32_t above : type.supers)
    if (above == super.id) return true;
  return false;
}

}  // namespace

Evaluator& Evaluator::of(Store& store) {
  if (!store.tier_stack) store.tier_stack = new Evaluator(store);
  return *static_cast<Evaluator*>(store.tier_stack);
}

void Evaluator::enumerate_roots(runtime::RootVisitor& visitor) {
  const auto visit = [&](const std::vector<Value>& values) {
    for (const Value& v : values)
      if (v.kind == TypeKind::Ref && store_.gc().owns(Ref(v.bits))) visitor.visit(Ref(v.bits));
  };
  visit(stack_);
  for (const Frame* f = frame_; f; f = f->caller) visit(f->locals);
}

// --- Calls -----------------------------------------------------------------------------

TrapCode Evaluator::enter(FuncInst* func, Slot* slots) {
  const size_t height = stack_.size();
  const Slot* from = slots;
  for (const ValType t : func->type->func.params) {
    Nat bits = *from++;
    if (t.kind() == TypeKind::I32 || t.kind() == TypeKind::F32) bits = wrap(32, bits);
    if (t.kind() == TypeKind::V128) bits += Nat(*from++) * pow2(64);
    push(t.kind(), bits);
  }
  if (!frame_) {
    stack_base_ = static_cast<const char*>(__builtin_frame_address(0));
    if (store_.trap().code != TrapCode::None) store_.trap() = {};
    if (const std::string wrong = check_new_instances(); !wrong.empty()) {
      stack_.resize(height);
      return store_.set_trap(TrapCode::HostError, wrong);
    }
  }
  const TrapCode code = invoke(func);
  if (code != TrapCode::None) {
    stack_.resize(height);
    return code;
  }
  const Value* v = stack_.data() + height;
  Slot* to = slots;
  for (; v != stack_.data() + stack_.size(); ++v) {
    *to++ = Slot(v->bits % pow2(64));
    if (v->kind == TypeKind::V128) *to++ = Slot(v->bits / pow2(64));
  }
  stack_.resize(height);
  return TrapCode::None;
}

// Arguments are taken from the stack, results are left there.
TrapCode Evaluator::invoke(FuncInst* func) {
  for (;;) {
    if (func->call != call_reference) return invoke_other(func);
    const char* const here = static_cast<const char*>(__builtin_frame_address(0));
    if (stack_base_ - here > kMaxStackBytes) return trap(TrapCode::CallStackExhausted).trap;
    Instance& instance = *func->instance;
    const Result<Body>& body = static_cast<Bodies*>(instance.code.get())->body(func->index);
    if (!body) return store_.set_trap(TrapCode::HostError, body.error().message);

    const wasm::FuncType& type = func->type->func;
    const size_t height = stack_.size() - type.params.size();
    Frame frame{instance, *instance.module, {}, frame_};
    frame.locals.assign(stack_.begin() + ptrdiff_t(height), stack_.end());
    for (const ValType t : body->locals) frame.locals.push_back({t.kind()});
    stack_.resize(height);
    frame_ = &frame;
    const Ending end = run(body->code, frame);
    frame_ = frame.caller;
    switch (end.kind) {
      case Kind::Trap:
        stack_.resize(height);
        return end.trap;
      case Kind::TailCall:
        keep_top(end.callee->type->func.params.size(), height);
        func = end.callee;
        continue;
      default:  // Branch: to the label of the body
        keep_top(type.results.size(), height);
        return TrapCode::None;
    }
  }
}

// A function of the host.
TrapCode Evaluator::invoke_other(FuncInst* func) {
  const wasm::CanonType& type = *func->type;
  std::vector<Slot> slots(std::max<size_t>({type.param_slots, type.result_slots, 1}));
  const size_t height = stack_.size() - type.func.params.size();
  Slot* to = slots.data();
  for (size_t i = height; i < stack_.size(); ++i) {
    *to++ = Slot(stack_[i].bits % pow2(64));
    if (stack_[i].kind == TypeKind::V128) *to++ = Slot(stack_[i].bits / pow2(64));
  }
  TrapCode code;
  if (func->host) {
    runtime::CallContext context{store_, frame_ ? &frame_->instance : nullptr, nullptr, func};
    code = func->host(func->host_env, context, slots.data());
  } else {
    code = func->call(store_, func, slots.data());
  }
  stack_.resize(height);
  if (code != TrapCode::None) return code;
  store_.trap() = {};
  const Slot* from = slots.data();
  for (const ValType t : type.func.results) {
    Nat bits = *from++;
    if (t.kind() == TypeKind::I32 || t.kind() == TypeKind::F32) bits = wrap(32, bits);
    if (t.kind() == TypeKind::V128) bits += Nat(*from++) * pow2(64);
    push(t.kind(), bits);
  }
  return TrapCode::None;
}

Ending Evaluator::call(FuncInst* func, bool tail) {
  if (tail) return {Kind::TailCall, 0, func};
  const TrapCode code = invoke(func);
  return code == TrapCode::None ? Ending{} : Ending{Kind::Trap, 0, nullptr, code};
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

// --- Exceptions ------------------------------------------------------------------------

Ending Evaluator::throw_exception(uint32_t tag, Frame& frame) {
  runtime::TagInst* const instance = frame.instance.tags[tag];
  runtime::GcException* const exception = store_.gc().new_exception(instance);
  if (!exception) return trap(TrapCode::OutOfMemory);
  const size_t count = instance->type->func.params.size();
  Slot* to = exception->args();
  for (size_t i = stack_.size() - count; i < stack_.size(); ++i) {
    *to++ = Slot(stack_[i].bits % pow2(64));
    if (stack_[i].kind == TypeKind::V128) *to++ = Slot(stack_[i].bits / pow2(64));
  }
  stack_.resize(stack_.size() - count);
  store_.pending_exception = uintptr_t(exception);
  return trap(TrapCode::UncaughtException);
}

// Its label is around the body, but not around the handlers.
Ending Evaluator::try_table(const Node& node, Frame& frame, size_t height) {
  const Ending end = run(node.body, frame);
  if (end.kind != Kind::Trap || end.trap != TrapCode::UncaughtException) return end;
  const Ref ref = store_.pending_exception;
  auto* exception = reinterpret_cast<runtime::GcException*>(uintptr_t(ref));
  for (const wasm::CatchClause& clause : node.in.catches) {
    using Clause = wasm::CatchClause::Kind;
    const bool by_tag = clause.kind == Clause::Catch || clause.kind == Clause::CatchRef;
    if (by_tag && frame.instance.tags[clause.tag] != exception->tag) continue;
    stack_.resize(height);
    if (by_tag) {
      const Slot* from = exception->args();
      for (const ValType t : exception->tag->type->func.params) {
        Nat bits = *from++;
        if (t.kind() == TypeKind::V128) bits += Nat(*from++) * pow2(64);
        push(t.kind(), bits);
      }
    }
    if (clause.kind == Clause::CatchRef || clause.kind == Clause::CatchAllRef) push_ref(ref);
    store_.pending_exception = runtime::kNullRef;
    store_.trap() = {};
    return branch(clause.label + 1);  // block() takes the try_table's own label off
  }
  return end;
}

// --- Control ---------------------------------------------------------------------------

void Evaluator::keep_top(size_t count, size_t height) {
  stack_.erase(stack_.begin() + ptrdiff_t(height), stack_.end() - ptrdiff_t(count));
}

Ending Evaluator::run(const std::vector<Node>& code, Frame& frame) {
  for (const Node& node : code) {
    if (store_.engine().config().consume_fuel && --store_.fuel < 0)
      return trap(TrapCode::OutOfFuel);
    const Ending end = step(node, frame);
    if (!end.is_normal()) return end;
  }
  return {};
}

Ending Evaluator::block(const Node& node, Frame& frame) {
  const bool condition = node.in.op != Opcode::If || pop() != 0;
  const size_t params = param_count(frame.module, node.in.block);
  const size_t results = result_count(frame.module, node.in.block);
  const size_t height = stack_.size() - params;
  for (;;) {
    Ending end = node.in.op == Opcode::TryTable
                     ? try_table(node, frame, height)
                     : run(condition ? node.body : node.otherwise, frame);
    if (end.kind != Kind::Branch) return end;
    if (end.label > 0) return branch(end.label - 1);
    const bool again = node.in.op == Opcode::Loop;
    keep_top(again ? params : results, height);
    if (!again) return {};
  }
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
      return block(node, frame);
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
    case Opcode::Throw:
      return throw_exception(in.index, frame);
    case Opcode::ThrowRef: {
      const Ref ref = pop_ref();
      if (ref == runtime::kNullRef) return trap(TrapCode::NullExceptionReference);
      store_.pending_exception = ref;
      return trap(TrapCode::UncaughtException);
    }
    case Opcode::Drop:
      pop();
      return {};
    case Opcode::Select:
    case Opcode::SelectT: {
      const Nat condition = pop();
      const Value second = stack_.back();
      stack_.pop_back();
      if (condition == 0) stack_.back() = second;
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
    for (size_t i = stack_.size() - sig.param_count; i < stack_.size(); ++i)
      operands.push_back(stack_[i].bits);
    stack_.resize(stack_.size() - sig.param_count);
    const Outcome outcome = op(in, operands);
    if (outcome.trap != TrapCode::None) return trap(outcome.trap);
    for (unsigned i = 0; i < sig.result_count; ++i) push(sig.results[i], outcome.results[i]);
    return {};
  }
  Ending out;
  if (variable(in, frame) || table(in, frame, out) || reference(in, frame, out) ||
      memory(in, frame, out) || bulk_memory(in, frame, out) || aggregate(in, frame, out) ||
      array(in, frame, out) || cast(in, frame, out))
    return out;
  return trap(TrapCode::HostError, "the reference has no such instruction");
}

// --- Variables, tables, references -----------------------------------------------------

bool Evaluator::variable(const Instr& in, Frame& frame) {
  switch (in.op) {
    case Opcode::LocalGet:
      stack_.push_back(frame.locals[in.index]);
      return true;
    case Opcode::LocalSet:
      frame.locals[in.index].bits = pop();
      return true;
    case Opcode::LocalTee:
      frame.locals[in.index].bits = stack_.back().bits;
      return true;
    case Opcode::GlobalGet: {
      const runtime::GlobalInst& g = *frame.instance.globals[in.index];
      const TypeKind kind = g.type.type.kind();
      Nat bits = g.value[0];
      if (kind == TypeKind::I32 || kind == TypeKind::F32) bits = wrap(32, bits);
      if (kind == TypeKind::V128) bits += Nat(g.value[1]) * pow2(64);
      push(kind, bits);
      return true;
    }
    case Opcode::GlobalSet: {
      runtime::GlobalInst& g = *frame.instance.globals[in.index];
      const Nat bits = pop();
      g.value[0] = Slot(bits % pow2(64));
      if (g.type.type.kind() == TypeKind::V128) g.value[1] = Slot(bits / pow2(64));
      return true;
    }
    default:
      return false;
  }
}

bool Evaluator::table(const Instr& in, Frame& frame, Ending& out) {
  const auto out_of_bounds = [&] { out = trap(TrapCode::TableOutOfBounds); };
  switch (in.op) {
    case Opcode::TableGet: {
      const runtime::Table& t = *frame.instance.tables[in.index];
      const Nat i = pop();
      if (i >= t.size) return out_of_bounds(), true;
      push_ref(t.elements[size_t(i)]);
      return true;
    }
    case Opcode::TableSet: {
      runtime::Table& t = *frame.instance.tables[in.index];
      const Ref value = pop_ref();
      const Nat i = pop();
      if (i >= t.size) return out_of_bounds(), true;
      t.elements[size_t(i)] = value;
      return true;
    }
    case Opcode::TableSize: {
      const runtime::Table& t = *frame.instance.tables[in.index];
      push_address(t.type().limits.is64, t.size);
      return true;
    }
    case Opcode::TableGrow: {
      runtime::Table& t = *frame.instance.tables[in.index];
      const Nat delta = pop();
      const Ref value = pop_ref();
      const wasm::TableType type = t.type();
      const bool is64 = type.limits.is64;
      Nat most = is64 ? pow2(64) - 1 : pow2(32) - 1;
      if (type.limits.has_max && type.limits.max < most) most = type.limits.max;
      const Nat old = t.size;
      // It may fail at any time, and must beyond the maximum.
      Nat result = is64 ? pow2(64) - 1 : pow2(32) - 1;
      if (old + delta <= most && t.grow(uint64_t(delta), value) != ~uint64_t{0}) {
        result = old;
        if (t.size != old + delta) out = trap(TrapCode::HostError, "table.grow: wrong size");
        for (Nat i = old; i < t.size; ++i) t.elements[size_t(i)] = value;
      }
      push_address(is64, result);
      return true;
    }
    case Opcode::TableFill: {
      runtime::Table& t = *frame.instance.tables[in.index];
      const Nat n = pop();
      const Ref value = pop_ref();
      const Nat i = pop();
      if (i + n > t.size) return out_of_bounds(), true;
      for (Nat k = 0; k < n; ++k) t.elements[size_t(i + k)] = value;
      return true;
    }
    case Opcode::TableCopy: {
      runtime::Table& to = *frame.instance.tables[in.index];
      const runtime::Table& from = *frame.instance.tables[in.index2];
      const Nat n = pop(), s = pop(), d = pop();
      if (s + n > from.size || d + n > to.size) return out_of_bounds(), true;
      std::vector<Ref> items;
      for (Nat k = 0; k < n; ++k) items.push_back(from.elements[size_t(s + k)]);
      for (Nat k = 0; k < n; ++k) to.elements[size_t(d + k)] = items[size_t(k)];
      return true;
    }
    case Opcode::TableInit: {
      const auto& segment = frame.instance.elems[in.index];
      runtime::Table& to = *frame.instance.tables[in.index2];
      const Nat n = pop(), s = pop(), d = pop();
      if (s + n > segment.size() || d + n > to.size) return out_of_bounds(), true;
      for (Nat k = 0; k < n; ++k) to.elements[size_t(d + k)] = segment[size_t(s + k)];
      return true;
    }
    case Opcode::ElemDrop:
      frame.instance.elems[in.index].clear();
      return true;
    default:
      return false;
  }
}

bool Evaluator::reference(const Instr& in, Frame& frame, Ending& out) {
  switch (in.op) {
    case Opcode::RefNull:
      push_ref(runtime::kNullRef);
      return true;
    case Opcode::RefIsNull:
      push(TypeKind::I32, pop_ref() == runtime::kNullRef);
      return true;
    case Opcode::RefFunc:
      push_ref(uintptr_t(frame.instance.funcs[in.index]));
      return true;
    case Opcode::RefEq: {
      const Ref b = pop_ref(), a = pop_ref();
      push(TypeKind::I32, a == b);
      return true;
    }
    case Opcode::RefAsNonNull:
      if (stack_.back().bits == runtime::kNullRef) out = trap(TrapCode::NullReference);
      return true;
    case Opcode::BrOnNull: {
      const Ref ref = pop_ref();
      if (ref == runtime::kNullRef)
        out = branch(in.index);
      else
        push_ref(ref);
      return true;
    }
    case Opcode::BrOnNonNull: {
      const Ref ref = pop_ref();
      if (ref == runtime::kNullRef) return true;
      push_ref(ref);
      out = branch(in.index);
      return true;
    }
    default:
      return false;
  }
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
