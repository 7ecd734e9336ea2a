#include "shim/state_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "base/descriptor.h"
#include "shim/spec.h"

namespace wafer::shim {

namespace {

// When process `pid` began, in ticks since the machine did; empty if there is none.
std::string start_time(pid_t pid) {
  const Result<std::string> stat = read_file("/proc/" + std::to_string(pid) + "/stat");
  if (!stat) return {};
  // The name, in parentheses, may hold anything. The time is field 22, 19 after it.
  size_t at = stat->rfind(')');
  for (int field = 2; field < 22 && at != stat->npos; ++field) at = stat->find(' ', at + 1);
  if (at == stat->npos) return {};
  return stat->substr(at + 1, stat->find(' ', at + 1) - at - 1);
}

std::string path_in(const std::string& bundle) { return bundle + "/wafer.pid"; }

}  // namespace

void write_state_file(const std::string& bundle, pid_t pid) {
  const UniqueFd file = take_opened(
      open(path_in(bundle).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  const std::string text = std::to_string(pid) + " " + start_time(pid) + "\n";
  if (file) (void)!write(file.get(), text.data(), text.size());
}

pid_t read_state_file(const std::string& bundle) {
  const Result<std::string> text = read_file(path_in(bundle), 4096);
  if (!text) return 0;
  const pid_t pid = pid_t(std::strtol(text->c_str(), nullptr, 10));
  const size_t space = text->find(' ');
  if (pid <= 0 || space == text->npos) return 0;
  const std::string then = text->substr(space + 1, text->find('\n') - space - 1);
  return !then.empty() && start_time(pid) == then ? pid : 0;
}

}  // namespace wafer::shim
