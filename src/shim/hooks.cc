#include "shim/hooks.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "shim/child.h"

namespace wafer::shim {

Result<RunningHook> start_hook(const HookSpec& hook, const std::string& state) {
  const auto failed = [&hook] {
    return Error(ErrorKind::Io, "cannot run the hook " + hook.path + ": " + std::strerror(errno));
  };
  const UniqueFd input = take_opened(memfd_create("state", MFD_CLOEXEC));
  RunningHook running;
  running.output = take_opened(memfd_create("output", MFD_CLOEXEC));
  if (!input || !running.output ||
      pwrite(input.get(), state.data(), state.size(), 0) != ssize_t(state.size()))
    return failed();
  WAFER_LET(pid, start_program({hook.path,
                                hook.args,
                                hook.env,
                                {input.get(), running.output.get(), running.output.get()}}));
  running.pid = pid;
  return running;
}

Result<void> hook_result(const HookSpec& hook, const RunningHook& running, int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  char text[1024];
  const ssize_t n = pread(running.output.get(), text, sizeof text, 0);
  std::string output(text, n < 0 ? 0 : size_t(n));
  while (!output.empty() && (output.back() == '\n' || output.back() == ' ')) output.pop_back();
  std::string message = "the hook " + hook.path;
  if (WIFSIGNALED(status))
    message += " was ended by signal " + std::to_string(WTERMSIG(status));
  else
    message += " failed with code " + std::to_string(WEXITSTATUS(status));
  if (!output.empty()) message += ": " + output;
  return Error(ErrorKind::Io, message);
}

Result<void> run_hook_and_wait(const HookSpec& hook, const std::string& state) {
  WAFER_LET(running, start_hook(hook, state));
  if (hook.timeout_seconds > 0) {
    const UniqueFd end(int(syscall(SYS_pidfd_open, running.pid, 0)));
    pollfd wait{end.get(), POLLIN, 0};
    if (poll(&wait, 1, hook.timeout_seconds * 1000) == 0) kill(running.pid, SIGKILL);
  }
  int status = 0;
  while (waitpid(running.pid, &status, 0) < 0 && errno == EINTR) continue;
  return hook_result(hook, running, status);
}

}  // namespace wafer::shim
