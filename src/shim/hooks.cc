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
#include "shim/files.h"

namespace wafer::shim {

Result<RunningHook> start_hook(const HookSpec& hook, const std::string& state) {
  const UniqueFd input = memory_file(state);
  RunningHook running;
  running.output = memory_file({});
  if (!input || !running.output) return system_error("cannot run the hook " + hook.path);
  WAFER_LET(pid, start_program({hook.path,
                                hook.args,
                                hook.env,
                                {input.get(), running.output.get(), running.output.get()}}));
  running.pid = pid;
  return running;
}

Result<void> hook_result(const HookSpec& hook, const RunningHook& running, int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  const std::string output = text_in(running.output, 1024);
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
