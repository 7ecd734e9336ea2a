#include <csignal>
#include <cstdio>
#include <iostream>
#include <string_view>

#include "base/descriptor.h"
#include "cli/support.h"
#include "cli/tiers.h"

int main(int argc, char** argv) {
  using namespace wafer;
  // Before anything is opened: nothing of ours is to be found at a standard descriptor.
  secure_standard_descriptors();
  // Past the limit of file sizes a write fails like any other.
  std::signal(SIGXFSZ, SIG_IGN);
  if (argc == 2 && std::string_view(argv[1]) == cli::kGenerateCode) return cli::generate_code();
  int code = cli::run_tool(argc, argv);
  std::cout.flush();
  if ((!std::cout || std::fflush(stdout) != 0 || std::ferror(stdout)) && code == cli::kSuccess) {
    cli::print_error("cannot write standard output");
    code = cli::kFailure;
  }
  return code;
}
