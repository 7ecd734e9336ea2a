#include "runtime/fault.h"

#if WAFER_HAS_OS

#include <signal.h>
#include <ucontext.h>

#include <mutex>

#include "runtime/memory.h"

namespace wafer::runtime {

thread_local FaultScope* current_fault_scope = nullptr;

WAFER_NOINLINE FaultScope* exchange_fault_scope(FaultScope* scope) {
  FaultScope* const before = current_fault_scope;
  current_fault_scope = scope;
  return before;
}

namespace {

struct sigaction g_previous_segv, g_previous_bus, g_previous_ill;

void on_fault(int signal, siginfo_t* info, void* context) {
  FaultScope* scope = current_fault_scope;
  if (scope && scope->recover) {
    if (scope->recover(*scope, signal, info->si_addr, context)) return;
  } else if (scope && signal != SIGILL && address_in_guarded_memory(info->si_addr)) {
    const auto* uc = static_cast<const ucontext_t*>(context);
#if defined(__x86_64__)
    scope->registers[0] = uint64_t(uc->uc_mcontext.gregs[REG_R12]);
    scope->registers[1] = uint64_t(uc->uc_mcontext.gregs[REG_R13]);
    scope->registers[2] = uint64_t(uc->uc_mcontext.gregs[REG_R14]);
    scope->registers[3] = uint64_t(uc->uc_mcontext.gregs[REG_R15]);
#elif defined(__aarch64__)
    for (int i = 0; i < 4; ++i) scope->registers[i] = uc->uc_mcontext.regs[20 + i];
#else
    (void)uc;
#endif
    // SA_NODEFER: the signal is not blocked, so no mask needs restoring.
    siglongjmp(scope->target, 1);
  }
  const struct sigaction& previous = signal == SIGBUS   ? g_previous_bus
                                     : signal == SIGILL ? g_previous_ill
                                                        : g_previous_segv;
  if (previous.sa_flags & SA_SIGINFO) {
    previous.sa_sigaction(signal, info, context);
    return;
  }
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
    return;
  }
  // Not ours: let the fault happen again with the default action.
  sigaction(signal, &previous, nullptr);
}

}  // namespace

void install_fault_handlers() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &g_previous_segv);
    sigaction(SIGBUS, &action, &g_previous_bus);
    sigaction(SIGILL, &action, &g_previous_ill);
  });
}

}  // namespace wafer::runtime

#endif
