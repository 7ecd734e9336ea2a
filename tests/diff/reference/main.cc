// wafer-reference: runs scripts of the specification's suite on the reference evaluator.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>

#include "cli/support.h"
#include "cli/wast_runner.h"
#include "reference/evaluator.h"

int main(int argc, char** argv) {
  using namespace wafer;
  CLI::App app("Runs scripts of the specification's suite on the reference evaluator");
  std::vector<std::string> files;
  std::vector<std::string> skips;
  cli::FeatureOptions features;
  app.add_option("FILE", files, "Scripts")->required()->check(CLI::ExistingFile);
  app.add_option("--skip", skips, "FILE:LINE whose failure does not count")
      ->allow_extra_args(false);
  features.add_to(app);
  CLI11_PARSE(app, argc, argv);

  uint32_t failed = 0;
  for (const std::string& path : files) {
    std::ifstream in(path, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    cli::ScriptOptions options;
    options.features = features.get(wasm::FeatureSet::standard());
    options.tier = reference::tier();
    for (const std::string& skip : skips) {
      const size_t colon = std::min(skip.rfind(':'), skip.size());
      if (path.ends_with('/' + skip.substr(0, colon)))
        options.skip_lines.push_back(uint32_t(std::atoi(skip.c_str() + colon + 1)));
    }
    const cli::ScriptReport report = cli::run_script(text, options);
    for (const std::string& failure : report.failures) std::cout << path << ':' << failure << '\n';
    std::cout << path << ": " << report.passed << " passed, " << report.failed << " failed\n";
    failed += report.failed;
  }
  return failed != 0;
}
