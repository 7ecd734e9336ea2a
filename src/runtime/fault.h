// Turns a fault inside a guarded memory into a return to the code that entered
// WebAssembly.
#pragma once

#include "base/platform.h"

#if WAFER_HAS_OS

#include <csetjmp>
#include <cstdint>

namespace wafer::runtime {

// Marks a stretch of native frames that run WebAssembly on this thread. While one
// is current, a fault in a guarded memory records the machine's registers and
// jumps to `target`.
struct FaultScope {
  sigjmp_buf target;
  FaultScope* previous = nullptr;
  // Instead of the jump: redirects the signal's context (a ucontext_t) to code that
  // leaves WebAssembly, and says so. Also sees illegal instructions, by which compiled
  // code traps. False: the fault is not WebAssembly's.
  bool (*recover)(FaultScope& scope, int signal, void* address, void* context) = nullptr;
  // First general-purpose registers at the fault, in an order that the tier knows:
  // x86-64: r12 r13 r14 r15; AArch64: x20..x23.
  uint64_t registers[4] = {};
};

// The current scope of this thread; null while host code runs.
extern thread_local FaultScope* current_fault_scope;

// Sets the current scope and gives the one before. Between places of which control may go to
// another thread, nothing but this may touch the variable: compilers keep its address.
FaultScope* exchange_fault_scope(FaultScope* scope);

// Installs the process's signal handlers, where others have not been replaced by them yet.
// Handlers that were there get every fault that is not ours. Cheap if there is nothing to do.
void install_fault_handlers();

// Is the signal, with the `siginfo_t` and `ucontext_t` of its handler, a fault of WebAssembly
// code on this thread? Then either does not return, or changes the context so that the
// handler's return leaves WebAssembly, and gives true.
bool handle_fault(int signal, void* info, void* context);

}  // namespace wafer::runtime

#endif
