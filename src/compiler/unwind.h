// Walks over native frames: backtraces, and exceptions of compiled code.
//
// Exceptions cost nothing until they are thrown: the platform's unwinder finds handlers
// by tables that the code generator emits beside the code.
#pragma once

#include <unwind.h>

#include "compiler/abi.h"

namespace wafer::compiler {

// Marks an exception in flight as ours.
constexpr uint64_t kExceptionClass = 0x5741464552455843;  // "WAFEREXC"

// Fills the store's backtrace with the WebAssembly frames on this thread's stack,
// innermost first, unless it holds one already.
void collect_backtrace(Store& store);

// Starts unwinding with Store::pending_exception. Does not return: a frame of compiled
// code, or at the latest the innermost entry, has a handler.
[[noreturn]] void start_unwinding(ExecState& exec);

// An .eh_frame for the code in that range, all of whose functions keep the frame of frame.h.
// Handlers of exceptions are those of CodeRegion::landing_pad().
Vec<uint8_t> frame_table(const void* begin, size_t size);

extern "C" {
// Of the platform's unwinder: take unwind tables into use, and out of it.
void __register_frame(void*);    // NOLINT(bugprone-reserved-identifier)
void __deregister_frame(void*);  // NOLINT(bugprone-reserved-identifier)
// Personality routine of compiled functions with handlers.
_Unwind_Reason_Code wafer_personality(int version, _Unwind_Action actions, uint64_t exception_class,
                                      _Unwind_Exception* exception, _Unwind_Context* context);
// Personality routine of wafer_enter: catches everything that is ours.
_Unwind_Reason_Code wafer_enter_personality(int version, _Unwind_Action actions,
                                            uint64_t exception_class, _Unwind_Exception* exception,
                                            _Unwind_Context* context);
}

}  // namespace wafer::compiler
