// A program's own handler of faults beside the traps of WebAssembly, and an engine that uses
// no signals.
#include <setjmp.h>
#include <signal.h>

#include <cstdio>

#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

static sigjmp_buf g_back;

// Installed after Wafer's, so it is the one that the system calls.
static void on_fault(int signal, siginfo_t* info, void* context) {
  if (wafer::handle_signal(signal, info, context)) return;  // a trap
  siglongjmp(g_back, 1);
}

static wafer::Result<void> run(const wafer::Config& config) {
  wafer::Engine engine(config);
  WAFER_LET(module, wafer::compile_wat(engine, R"((module (memory 1)
    (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))))"));
  wafer::Store store(engine);
  WAFER_LET(instance, wafer::Instance::create(store, module));
  WAFER_LET(load, instance.func<int32_t(int32_t)>("load"));

  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, nullptr);

  const wafer::Result<int32_t> result = load(-4);
  std::printf("load: %s\n", result.ok() ? "?" : result.error().message.c_str());
  if (sigsetjmp(g_back, 1) == 0)
    *reinterpret_cast<volatile int*>(64) = 1;
  else
    std::printf("a fault of the program's own\n");
  return {};
}

int main() {
  wafer::Config config;
  for (const bool signals : {true, false}) {
    config.signals = signals;
    const wafer::Result<void> r = run(config);
    if (!r.ok()) std::fprintf(stderr, "%s\n", r.error().message.c_str());
  }
  return 0;
}
