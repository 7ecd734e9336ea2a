// Where a program's user is told what happens to it.
#pragma once

#include <string_view>

namespace wafer::program {

// How a run ended that did not reach the program's own exit code.
enum ExitCode : int {
  kSuccess = 0,
  kFailure = 1,  // bad input, or a file that cannot be read or written
  kTrap = 134,   // as a shell reports SIGABRT
};

// Takes messages of one line each, as people read them.
class Console {
 public:
  virtual ~Console() = default;
  virtual void error(std::string_view message) = 0;
  virtual void warning(std::string_view message) = 0;
  virtual void hint(std::string_view message) = 0;
  // Lines that are neither: what was asked for by being verbose, backtraces.
  virtual void note(std::string_view line) = 0;
  // Told where the program's arguments are of no use to it.
  virtual void arguments_unused() {}
  // Marks what is emphasized or secondary in notes, where that can be shown.
  virtual std::string_view bold() const { return {}; }
  virtual std::string_view dim() const { return {}; }
  virtual std::string_view reset() const { return {}; }
};

}  // namespace wafer::program
