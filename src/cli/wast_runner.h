// Runner for scripts of the reference test suite.
#pragma once

#include <string>
#include <vector>

namespace wafer::cli {

struct WastOptions {
  std::vector<std::string> files;  // .wast files, or folders searched for them
  bool lenient_messages = false;   // only warn where an error's wording differs
  bool roundtrip = false;          // also print and reparse every valid module
  bool verbose = false;            // a line for every file, not only failing ones
  unsigned jobs = 1;
  std::string skip_file;           // lines "FILE[:LINE] reason"; # starts a comment
};

// Runs the scripts, prints failures and totals. Gives 0 if all passed, else 1.
int run_wast(const WastOptions& options);

}  // namespace wafer::cli
