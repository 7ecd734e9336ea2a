// Traps (spec 4.2.1) and the other ways in which execution stops early.
#pragma once

#include "base/result.h"

namespace wafer::runtime {

enum class TrapCode : uint32_t {
  None = 0,  // no trap: execution went on
  Unreachable,
  MemoryOutOfBounds,
  TableOutOfBounds,
  ArrayOutOfBounds,
  UndefinedElement,      // call_indirect past the end of the table
  UninitializedElement,  // call_indirect on a null entry
  IndirectTypeMismatch,
  IntegerOverflow,
  IntegerDivideByZero,
  InvalidConversion,
  NullFunctionReference,
  NullStructReference,
  NullArrayReference,
  NullI31Reference,
  NullExceptionReference,
  NullReference,
  CastFailure,
  NullDescriptor,
  DescriptorCastFailure,
  UnalignedAtomic,
  ExpectedSharedMemory,
  CallStackExhausted,
  AllocationTooLarge,  // a GC object or array over the limit
  OutOfMemory,         // the GC heap is full even after a collection
  OutOfFuel,
  Interrupted,        // epoch deadline or Store::interrupt
  UncaughtException,  // Store::pending_exception holds it
  HostError,          // a host function failed; Store::trap().message says how
  Exit,               // WASI proc_exit; Store::trap().exit_code
  NullContinuationReference,
  ContinuationConsumed,
  UnhandledTag,  // suspend or switch without a handler for it
  Pending,       // no trap: a host function answers later (HostCallback)
};

// The specification's wording for `code` ("out of bounds memory access").
std::string_view trap_message(TrapCode code);

struct Instance;
}  // namespace wafer::runtime
namespace wafer::wasm {
class Module;
}
namespace wafer::runtime {

// One frame of a WebAssembly backtrace, innermost first.
struct BacktraceFrame {
  uint32_t func_index = 0;
  uint32_t module_offset = 0;    // byte offset in the module; 0 if unknown
  String module_name;            // name section's module name, may be empty
  String func_name;              // name section or export name, may be empty
  Instance* instance = nullptr;  // whose function it is, if known
  String source;                 // "file.c:12:3" from DWARF when present
  // A function of the source (by DWARF) that the compiler of the module inlined into the
  // next frame's; all else is as there.
  bool inlined = false;
  const wasm::Module* module = nullptr;  // for names, which are looked up when asked for
};

// What stopped the last call.
struct TrapInfo {
  TrapCode code = TrapCode::None;
  String message;  // trap_message(code), or the host's own message
  int32_t exit_code = 0;
  Vec<BacktraceFrame> backtrace;
  bool described = false;  // the backtrace has its names
};

}  // namespace wafer::runtime
