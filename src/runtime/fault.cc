#include "runtime/fault.h"

#if WAFER_HAS_OS

#include <signal.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <mutex>
#include <utility>

#include "runtime/memory.h"

namespace wafer::runtime {

thread_local FaultScope* current_fault_scope = nullptr;

WAFER_NOINLINE FaultScope* exchange_fault_scope(FaultScope* scope) {
  FaultScope* const before = current_fault_scope;
  current_fault_scope = scope;
  return before;
}

namespace {

// The signals by which WebAssembly's traps arrive.
constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGILL};
constexpr size_t kSignalCount = std::size(kSignals);

// Each time that somebody else's handler has taken our place we install another function of
// ours above it, whose faults go on to that one. A handler that hands on to what it found
// (one of our functions) thus comes to what was there before, and never back to itself.
constexpr size_t kMostLevels = 8;

struct sigaction g_previous[kMostLevels][kSignalCount];
std::mutex g_mutex;
size_t g_levels[kSignalCount];  // installed so far

size_t index_of(int signal) { return signal == SIGSEGV ? 0 : signal == SIGBUS ? 1 : 2; }

// Handlers that hand on to each other in a ring would never end. Nested calls lie deeper in
// the stack, which tells them from those after a handler that left by a jump.
bool in_a_ring() {
  static thread_local uintptr_t innermost = 0;
  static thread_local unsigned depth = 0;
  const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  depth = here < innermost ? depth + 1 : 0;
  innermost = here;
  return depth > 2 * kMostLevels;
}

// Calls a handler as the kernel would.
void call_handler(const struct sigaction& handler, int signal, siginfo_t* info, void* context) {
  sigset_t blocked = handler.sa_mask, before;
  if (!(handler.sa_flags & SA_NODEFER)) sigaddset(&blocked, signal);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  if (handler.sa_flags & SA_SIGINFO)
    handler.sa_sigaction(signal, info, context);
  else
    handler.sa_handler(signal);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void hand_on(const struct sigaction& previous, int signal, siginfo_t* info, void* context) {
  const bool plain = !(previous.sa_flags & SA_SIGINFO);
  const bool sent = info->si_code <= 0;  // by somebody, not by an instruction
  if (plain && previous.sa_handler == SIG_IGN && sent) return;
  const bool handled = !plain || (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN);
  if (handled && !in_a_ring()) {
    call_handler(previous, signal, info, context);
    return;
  }
  // The default action, which for a fault is not to be avoided: let it happen again.
  struct sigaction fatal = {};
  fatal.sa_handler = SIG_DFL;
  sigaction(signal, &fatal, nullptr);
  if (sent) raise(signal);
}

template <size_t Level>
void on_signal(int signal, siginfo_t* info, void* context) {
  if (!handle_fault(signal, info, context))
    hand_on(g_previous[Level][index_of(signal)], signal, info, context);
}

using Handler = void (*)(int, siginfo_t*, void*);
template <size_t... Levels>
constexpr std::array<Handler, kMostLevels> handlers(std::index_sequence<Levels...>) {
  return {on_signal<Levels>...};
}
constexpr std::array<Handler, kMostLevels> kHandlers =
    handlers(std::make_index_sequence<kMostLevels>());

bool is_ours(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) &&
         std::find(kHandlers.begin(), kHandlers.end(), action.sa_sigaction) != kHandlers.end();
}

bool same_handler(const struct sigaction& a, const struct sigaction& b) {
  return (a.sa_flags & SA_SIGINFO) == (b.sa_flags & SA_SIGINFO) &&
         ((a.sa_flags & SA_SIGINFO) ? a.sa_sigaction == b.sa_sigaction
                                    : a.sa_handler == b.sa_handler);
}

}  // namespace

bool handle_fault(int signal, void* info, void* context) {
  FaultScope* scope = current_fault_scope;
  // What was sent by kill() names no address.
  const auto* si = static_cast<const siginfo_t*>(info);
  if (!scope || si->si_code <= 0 || !context) return false;
  if (scope->recover) return scope->recover(*scope, signal, si->si_addr, context);
  if (signal == SIGILL || !address_in_guarded_memory(si->si_addr)) return false;
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
  // The jump leaves a handler that may have blocked signals.
  sigset_t mask = uc->uc_sigmask;
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  siglongjmp(scope->target, 1);
}

void install_fault_handlers() {
  const std::lock_guard lock(g_mutex);
  for (size_t i = 0; i < kSignalCount; ++i) {
    struct sigaction now = {};
    if (sigaction(kSignals[i], nullptr, &now) != 0 || is_ours(now)) continue;
    // A handler that is installed again and again takes no further function.
    size_t level = 0;
    while (level < g_levels[i] && (level == 0 || !same_handler(g_previous[level][i], now))) ++level;
    if (level == kMostLevels) continue;
    g_previous[level][i] = now;
    g_levels[i] = std::max(g_levels[i], level + 1);
    struct sigaction action = {};
    action.sa_sigaction = kHandlers[level];
    // SA_NODEFER: code that traps is left by a jump, which need not restore a mask.
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(kSignals[i], &action, nullptr);
  }
}

}  // namespace wafer::runtime

#endif
