// Stack switching: a continuation is the stacks between a prompt and what is evaluated next,
// taken out of those of the evaluator.
#include <utility>

#include "evaluator.h"

namespace wafer::reference {

using runtime::Ref;
using runtime::TagInst;
using runtime::TrapCode;
using wasm::CanonType;
using wasm::Instr;
using wasm::Opcode;

namespace {

constexpr size_t kNoPrompt = ~size_t{0};

struct Continuation {
  const runtime::GcHeap& heap;
  Stacks stacks;  // empty: it has been consumed
};

Continuation& continuation_of(Ref ref) {
  return *static_cast<Continuation*>(reinterpret_cast<runtime::GcTraced*>(uintptr_t(ref))->data);
}

// A new one that is still empty; null if the heap is full.
Ref make_continuation(runtime::GcHeap& heap) {
  auto data = std::make_unique<Continuation>(heap);
  const auto free = [](void* p) { delete static_cast<Continuation*>(p); };
  const auto trace = [](void* p, runtime::RootVisitor& visitor) {
    const auto& c = *static_cast<Continuation*>(p);
    size_t bytes = sizeof c;
    for (const auto& stack : c.stacks) bytes += trace_stack(*stack, c.heap, visitor);
    return bytes;
  };
  runtime::GcTraced* const object = heap.new_traced(data.get(), free, trace);
  if (!object) return runtime::kNullRef;
  data.release();
  return uintptr_t(object);
}

// Moves what `from` has from `begin` on to the end of `to`.
void move_stacks(Stacks& from, size_t begin, Stacks& to) {
  for (size_t i = begin; i < from.size(); ++i) to.push_back(std::move(from[i]));
  from.resize(begin);
}

// Moves the `count` uppermost values.
void move_values(Stack& from, size_t count, Stack& to) {
  const auto first = from.values.end() - ptrdiff_t(count);
  to.values.insert(to.values.end(), first, from.values.end());
  from.values.erase(first, from.values.end());
}

}  // namespace

bool Evaluator::continuation(const Instr& in, Frame& frame, Ending& out) {
  switch (in.op) {
    case Opcode::ContNew: {
      const Ref func = Ref(values().back().bits);
      if (func == runtime::kNullRef) {
        out = trap(TrapCode::NullFunctionReference);
        return true;
      }
      const Ref made = make_continuation(store_.gc());
      if (made == runtime::kNullRef) {
        out = trap(TrapCode::OutOfMemory);
        return true;
      }
      pop();
      auto stack = std::make_unique<Stack>();
      stack->start = reinterpret_cast<runtime::FuncInst*>(uintptr_t(func));
      continuation_of(made).stacks.push_back(std::move(stack));
      push_ref(made);
      return true;
    }
    case Opcode::ContBind:
      out = bind(in, frame);
      return true;
    case Opcode::Resume:
    case Opcode::ResumeThrow:
    case Opcode::ResumeThrowRef:
      out = resume(in, frame);
      return true;
    case Opcode::Suspend:
      out = suspend(frame.instance.tags[in.index]);
      return true;
    case Opcode::Switch:
      out = switch_to(in, frame);
      return true;
    default:
      return false;
  }
}

bool Evaluator::unusable(Ref ref, Ending& out) {
  if (ref == runtime::kNullRef)
    out = trap(TrapCode::NullContinuationReference);
  else if (continuation_of(ref).stacks.empty())
    out = trap(TrapCode::ContinuationConsumed);
  return !out.is_normal();
}

// How many values a continuation of the type waits for.
size_t Evaluator::waits_for(const CanonType* type) const {
  return store_.registry().get(type->cont)->func.params.size();
}

Ending Evaluator::bind(const Instr& in, Frame& frame) {
  Ending out;
  const Ref ref = Ref(values().back().bits);
  if (unusable(ref, out)) return out;
  const Ref made = make_continuation(store_.gc());
  if (made == runtime::kNullRef) return trap(TrapCode::OutOfMemory);
  pop();
  Continuation& to = continuation_of(made);
  move_stacks(continuation_of(ref).stacks, 0, to.stacks);
  const size_t bound =
      waits_for(frame.module.canon_type(in.index)) - waits_for(frame.module.canon_type(in.index2));
  move_values(*stacks_.back(), bound, *to.stacks.back());
  push_ref(made);
  return {};
}

Ending Evaluator::resume(const Instr& in, Frame& frame) {
  Ending out;
  const Ref ref = pop_ref();
  if (unusable(ref, out)) return out;
  const Ref exception = in.op == Opcode::ResumeThrowRef ? pop_ref() : runtime::kNullRef;
  if (in.op == Opcode::ResumeThrowRef && exception == runtime::kNullRef)
    return trap(TrapCode::NullExceptionReference);
  Stack& resumer = *stacks_.back();
  const size_t prompt = stacks_.size();
  move_stacks(continuation_of(ref).stacks, 0, stacks_);
  auto& handlers = stacks_[prompt]->handlers;
  handlers.clear();
  for (const wasm::ResumeClause& clause : in.clauses)
    handlers.push_back({frame.instance.tags[clause.tag], clause.is_switch, clause.label});
  if (in.op == Opcode::ResumeThrowRef) return throw_reference(exception);
  TagInst* const thrown = in.op == Opcode::ResumeThrow ? frame.instance.tags[in.index2] : nullptr;
  const size_t count =
      thrown ? thrown->type->func.params.size() : waits_for(frame.module.canon_type(in.index));
  move_values(resumer, count, *stacks_.back());
  return thrown ? throw_exception(thrown) : go_on();
}

// With what waits on the innermost stack, which has got all that it waits for.
Ending Evaluator::go_on() {
  if (total_size() > kMaxSize) return trap(TrapCode::CallStackExhausted);
  runtime::FuncInst* const start = std::exchange(stacks_.back()->start, nullptr);
  return start ? call(start, false) : Ending{};
}

// The innermost stack in a prompt with such a clause.
size_t Evaluator::find_prompt(const TagInst* tag, bool is_switch, uint32_t& label) const {
  for (size_t i = stacks_.size(); i-- > base_ + 1;)
    for (const Handler& h : stacks_[i]->handlers)
      if (h.tag == tag && h.is_switch == is_switch) {
        label = h.label;
        return i;
      }
  return kNoPrompt;
}

// Makes `made` of the stacks from `prompt` on.
void Evaluator::capture(size_t prompt, Ref made) {
  Continuation& c = continuation_of(made);
  move_stacks(stacks_, prompt, c.stacks);
  for (const auto& stack : c.stacks) store_.gc().charge((stack->size + 1) * sizeof(Value));
}

Ending Evaluator::suspend(TagInst* tag) {
  uint32_t label = 0;
  const size_t prompt = find_prompt(tag, false, label);
  if (prompt == kNoPrompt) return trap(TrapCode::UnhandledTag);
  const Ref made = make_continuation(store_.gc());
  if (made == runtime::kNullRef) return trap(TrapCode::OutOfMemory);
  move_values(*stacks_.back(), tag->type->func.params.size(), *stacks_[prompt - 1]);
  capture(prompt, made);
  push_ref(made);
  return branch(label);
}

Ending Evaluator::switch_to(const Instr& in, Frame& frame) {
  Ending out;
  const Ref ref = Ref(values().back().bits);
  if (unusable(ref, out)) return out;
  uint32_t unused = 0;
  const size_t prompt = find_prompt(frame.instance.tags[in.index2], true, unused);
  if (prompt == kNoPrompt) return trap(TrapCode::UnhandledTag);
  const Ref made = make_continuation(store_.gc());
  if (made == runtime::kNullRef) return trap(TrapCode::OutOfMemory);
  pop();
  Stacks to;
  move_stacks(continuation_of(ref).stacks, 0, to);
  // All that it waits for but the last, which is what is left here.
  move_values(*stacks_.back(), waits_for(frame.module.canon_type(in.index)) - 1, *to.back());
  to.back()->values.push_back({wasm::TypeKind::Ref, made});
  to.front()->handlers = stacks_[prompt]->handlers;  // the prompt stays
  capture(prompt, made);
  move_stacks(to, 0, stacks_);
  return go_on();
}

}  // namespace wafer::reference
