// Exceptions (spec 4.4.8, 4.6.2), also in their legacy form.
#include "evaluator.h"

namespace wafer::reference {

using runtime::GcException;
using runtime::Ref;
using runtime::Slot;
using runtime::TagInst;
using runtime::TrapCode;
using wasm::Instr;
using wasm::Opcode;
using wasm::ValType;

bool Evaluator::exception(const Instr& in, Frame& frame, Ending& out) {
  switch (in.op) {
    case Opcode::Throw:
      out = throw_exception(frame.instance.tags[in.index]);
      return true;
    case Opcode::ThrowRef:
      out = throw_reference(pop_ref());
      return true;
    case Opcode::Rethrow:
      // The label is of a block that has caught one.
      out = throw_reference(frame.contexts.end()[-1 - ptrdiff_t(in.index)].exception);
      return true;
    default:
      return false;
  }
}

Ending Evaluator::throw_exception(TagInst* tag) {
  GcException* const exception = store_.gc().new_exception(tag);
  if (!exception) return trap(TrapCode::OutOfMemory);
  const size_t count = tag->type->func.params.size();
  Slot* to = exception->args();
  for (size_t i = values().size() - count; i < values().size(); ++i)
    to = write_slots(values()[i], to);
  values().resize(values().size() - count);
  return throw_reference(uintptr_t(exception));
}

Ending Evaluator::throw_reference(Ref exception) {
  if (exception == runtime::kNullRef) return trap(TrapCode::NullExceptionReference);
  store_.pending_exception = exception;
  return trap(TrapCode::UncaughtException);
}

void Evaluator::push_arguments(GcException* exception) {
  const Slot* from = exception->args();
  for (const ValType t : exception->tag->type->func.params)
    from = read_slots(t.kind(), from, values().emplace_back());
}

bool Evaluator::catch_exception() {
  for (;;) {
    Stack& stack = *stacks_.back();
    while (!stack.frames.empty()) {
      Frame& frame = stack.frames.back();
      while (!frame.contexts.empty()) {
        const Context context = frame.contexts.back();
        frame.contexts.pop_back();
        if (!catch_in(context, frame)) continue;
        store_.pending_exception = runtime::kNullRef;
        store_.trap() = {};
        return true;
      }
      frame.arity = 0;
      return_from_frame();
    }
    if (stacks_.size() == base_ + 1) return false;
    stacks_.pop_back();  // out of a continuation, to its resumer
  }
}

// `context` is left already.
bool Evaluator::catch_in(const Context& context, Frame& frame) {
  const Ref ref = store_.pending_exception;
  auto* const exception = reinterpret_cast<GcException*>(uintptr_t(ref));
  const auto has_tag = [&](uint32_t tag) { return frame.instance.tags[tag] == exception->tag; };

  if (context.kind == Context::Kind::TryTable) {
    for (const wasm::CatchClause& clause : context.node->in.catches) {
      using Clause = wasm::CatchClause::Kind;
      const bool by_tag = clause.kind == Clause::Catch || clause.kind == Clause::CatchRef;
      if (by_tag && !has_tag(clause.tag)) continue;
      values().resize(context.height);
      if (by_tag) push_arguments(exception);
      if (clause.kind == Clause::CatchRef || clause.kind == Clause::CatchAllRef) push_ref(ref);
      branch_out(clause.label);  // counted from outside of the try_table
      return true;
    }
  }
  if (context.kind == Context::Kind::Try) {
    for (const Node& handler : context.node->handlers) {
      if (handler.in.op == Opcode::Delegate) {
        // As if it came out of what is within that label, from outside of the try.
        frame.contexts.erase(frame.contexts.end() - ptrdiff_t(handler.in.index),
                             frame.contexts.end());
        return false;
      }
      if (handler.in.op == Opcode::Catch && !has_tag(handler.in.index)) continue;
      values().resize(context.height);
      if (handler.in.op == Opcode::Catch) push_arguments(exception);
      frame.contexts.push_back({Context::Kind::Catch, context.node, &handler.body, context.height,
                                context.arity, 0, ref});
      return true;
    }
  }
  return false;
}

}  // namespace wafer::reference
