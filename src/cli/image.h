// Images on the command line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace CLI {
class App;
}

namespace wafer::cli {

// Does `name` stand for an image? oci:FOLDER[:NAME], docker-archive:FILE[:NAME], or, where there
// is no such file, a reference that begins with a registry.
bool names_image(const std::string& name);

// What `wafer run` needs of an image.
struct ImageProgram {
  std::string artifact, root, cwd;
  std::vector<std::string> args, env;
};
// How images come from registries.
struct PullOptions {
  std::string verify_key;            // a file; what is pulled has to be signed by this key
  std::vector<std::string> mirrors;  // REGISTRY=HOST
};
void add_pull_options(CLI::App& command, PullOptions& options);
// Usage where they are given for what does not come from a registry: no signature is verified then.
Result<void> check_pull_options(const std::string& name, const PullOptions& options);

// Finds the image, pulls it if it is in a registry and not on this machine yet, and unpacks it.
Result<ImageProgram> open_image(const std::string& name, const std::vector<std::string>& args,
                                const PullOptions& options);

}  // namespace wafer::cli
