// Continuations of the stack switching proposal: chains of fibers that wait, as objects of
// the collected heap. One that nobody can reach any more gives its stacks back.
#pragma once

#include "runtime/fiber.h"

namespace wafer::runtime {

// One clause of a resume.
struct ResumeHandler {
  TagInst* tag;
  bool is_switch;
};

// Resumed::clause of one that has finished.
constexpr uint32_t kResumeFinished = ~0u;

// What a resume came to.
struct Resumed {
  // None; or UncaughtException, with Store::pending_exception; or a trap.
  TrapCode code = TrapCode::None;
  // The clause that a suspension goes to, with the tag's arguments and the continuation; or
  // kResumeFinished, with the results.
  uint32_t clause = kResumeFinished;
  std::span<const Slot> values;
  Ref continuation = kNullRef;
  // To be freed once the values have been taken.
  Fiber* finished = nullptr;
};

// The functions below allocate before they change anything, so that the collector may run
// while their arguments are still the caller's. Slots that come back are good until it does.

// cont.new: `func` is not null. OutOfMemory with a full heap.
TrapCode new_continuation(Store& store, FuncInst* func, Ref& out);
// cont.bind: traps if `continuation` is null or consumed.
TrapCode bind_continuation(Store& store, Ref continuation, std::span<const Slot> args, Ref& out);
// resume; or, with `exception`, resume_throw_ref. A continuation that is null or consumed is
// a trap.
Resumed resume_continuation(Store& store, Ref continuation, std::span<const Slot> args,
                            std::span<const ResumeHandler> handlers, bool throws, Ref exception);
void release(const Resumed& resumed);
// suspend: comes back, when resumed, with the values that it was resumed with;
// UncaughtException, with Store::pending_exception, if that was with an exception.
TrapCode suspend(Store& store, TagInst* tag, std::span<const Slot> args,
                 std::span<const Slot>& values);
// switch: the same.
TrapCode switch_to(Store& store, TagInst* tag, Ref continuation, std::span<const Slot> args,
                   std::span<const Slot>& values);

}  // namespace wafer::runtime
