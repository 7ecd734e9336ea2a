// Cold paths that the interpreter's handlers call.
#pragma once

#include "interp/exec.h"

namespace wafer::interp {

// Runs from `pc` until the activation's entry frame returns or a trap stops it;
// activation.trap tells which.
void dispatch(Activation& activation, const Word* pc, Slot* fp);

// FuncInst::call of every function this tier runs.
TrapCode call_from_native(Store& store, FuncInst* func, Slot* slots);

// Calls a function of the host or of another tier with its arguments in place.
TrapCode call_out(Activation& activation, FuncInst* func, Slot* slots);

// Translates `code` if that has not been done; false when it failed.
bool ensure(Store& store, FuncCode& code);

// Resumes the continuation above the `slots` arguments at `base`, or throws there what
// `throws` says, with the clauses [first, first + count) of the present function. `branch`:
// pc is where a clause leads. Otherwise the results lie at `base`.
TrapCode resume_here(Activation& activation, uint32_t base, uint32_t slots, uint32_t top,
                     uint32_t first, uint32_t count, uint32_t throws, bool& branch);

// Looks for a handler of exception `exn`, raised before activation.pc in
// activation.fp. True: pc, fp and instance are where execution goes on. False:
// none in this activation; the trap is set and the store keeps the exception.
bool unwind(Activation& activation, Ref exn);
// The same for Store::pending_exception, left by a call out.
bool unwind_pending(Activation& activation);
// The same after leaving the present frame for the caller that the link names.
bool leave_frame_and_unwind(Activation& activation, Slot pc, Slot fp, Slot instance);

// Records why `code` could not be translated.
TrapCode translation_failed(Store& store, const FuncCode& code);

// The function that call_indirect means, or a trap.
WAFER_ALWAYS_INLINE TrapCode resolve_indirect(const runtime::Instance& instance, uint32_t table,
                                              uint32_t type, uint64_t index, FuncInst*& out) {
  const runtime::Table* t = instance.tables[table];
  if (WAFER_UNLIKELY(index >= t->size)) return TrapCode::UndefinedElement;
  FuncInst* f = reinterpret_cast<FuncInst*>(t->elements[index]);
  if (WAFER_UNLIKELY(!f)) return TrapCode::UninitializedElement;
  if (WAFER_UNLIKELY(f->type->id != type) &&
      !instance.store->registry().is_subtype(f->type->id, type))
    return TrapCode::IndirectTypeMismatch;
  out = f;
  return TrapCode::None;
}

// Records an indirect call's trap with the table index where the message has it.
TrapCode indirect_failed(Store& store, TrapCode code, runtime::Index index);

// Sets elements [at, at+count) of an array.
void fill_array(runtime::GcArray* array, uint64_t at, uint64_t count, const Slot* value);

}  // namespace wafer::interp
