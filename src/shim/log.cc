#include "shim/log.h"

#include <time.h>
#include <unistd.h>

#include <string>

namespace wafer::shim {

namespace {

void log(std::string_view level, std::string_view message) {
  char time_text[32];
  const time_t now = time(nullptr);
  tm parts{};
  gmtime_r(&now, &parts);
  const size_t n = strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  std::string line = "time=\"" + std::string(time_text, n) + "\" level=" + std::string(level) +
                     " runtime=io.containerd.wafer.v1 msg=\"";
  for (const char c : message) {
    if (c == '"' || c == '\\') line += '\\';
    line += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  line += "\"\n";
  (void)!write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

void log_warning(std::string_view message) { log("warning", message); }
void log_error(std::string_view message) { log("error", message); }

}  // namespace wafer::shim
