#include "shim/child.h"

#include <linux/close_range.h>
#include <signal.h>
#include <unistd.h>

#include <cstring>

extern char** environ;

namespace wafer::shim {

void reset_signals() {
  for (const int number : {SIGPIPE, SIGINT, SIGTERM, SIGHUP}) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

Result<pid_t> start_program(const ChildProgram& program) {
  std::vector<char*> args, env;
  for (const std::string& a : program.args) args.push_back(const_cast<char*>(a.c_str()));
  if (args.empty()) args.push_back(const_cast<char*>(program.path.c_str()));
  args.push_back(nullptr);
  if (program.env) {
    for (const std::string& v : *program.env) env.push_back(const_cast<char*>(v.c_str()));
    env.push_back(nullptr);
  }
  const pid_t pid = fork();
  if (pid < 0)
    return Error(ErrorKind::Io, "cannot run " + program.path + ": " + std::strerror(errno));
  if (pid > 0) return pid;
  reset_signals();
  for (int i = 0; i < 3; ++i)
    if (dup2(program.streams[i], i) < 0) _exit(126);
  // Libraries open sockets that exec would leave open.
  (void)close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  execve(program.path.c_str(), args.data(), program.env ? env.data() : environ);
  const char* const why = std::strerror(errno);
  (void)!write(2, why, std::strlen(why));
  _exit(127);
}

}  // namespace wafer::shim
