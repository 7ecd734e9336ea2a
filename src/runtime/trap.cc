#include "runtime/trap.h"

namespace wafer::runtime {

std::string_view trap_message(TrapCode code) {
  switch (code) {
    case TrapCode::None:
      return "no trap";
    case TrapCode::Unreachable:
      return "unreachable";
    case TrapCode::MemoryOutOfBounds:
      return "out of bounds memory access";
    case TrapCode::TableOutOfBounds:
      return "out of bounds table access";
    case TrapCode::ArrayOutOfBounds:
      return "out of bounds array access";
    case TrapCode::UndefinedElement:
      return "undefined element";
    case TrapCode::UninitializedElement:
      return "uninitialized element";
    case TrapCode::IndirectTypeMismatch:
      return "indirect call type mismatch";
    case TrapCode::IntegerOverflow:
      return "integer overflow";
    case TrapCode::IntegerDivideByZero:
      return "integer divide by zero";
    case TrapCode::InvalidConversion:
      return "invalid conversion to integer";
    case TrapCode::NullFunctionReference:
      return "null function reference";
    case TrapCode::NullStructReference:
      return "null structure reference";
    case TrapCode::NullArrayReference:
      return "null array reference";
    case TrapCode::NullI31Reference:
      return "null i31 reference";
    case TrapCode::NullExceptionReference:
      return "null exception reference";
    case TrapCode::NullReference:
      return "null reference";
    case TrapCode::CastFailure:
      return "cast failure";
    case TrapCode::NullDescriptor:
      return "null descriptor reference";
    case TrapCode::DescriptorCastFailure:
      return "descriptor cast failure";
    case TrapCode::UnalignedAtomic:
      return "unaligned atomic";
    case TrapCode::ExpectedSharedMemory:
      return "expected shared memory";
    case TrapCode::CallStackExhausted:
      return "call stack exhausted";
    case TrapCode::AllocationTooLarge:
      return "allocation size too large";
    case TrapCode::OutOfMemory:
      return "out of memory";
    case TrapCode::OutOfFuel:
      return "out of fuel";
    case TrapCode::Interrupted:
      return "interrupted";
    case TrapCode::UncaughtException:
      return "uncaught exception";
    case TrapCode::HostError:
      return "host function failed";
    case TrapCode::Exit:
      return "program exited";
    case TrapCode::NullContinuationReference:
      return "null continuation reference";
    case TrapCode::ContinuationConsumed:
      return "continuation already consumed";
    case TrapCode::UnhandledTag:
      return "unhandled tag";
    case TrapCode::Pending:
      return "host function has not finished";
  }
  return "unknown trap";
}

}  // namespace wafer::runtime
