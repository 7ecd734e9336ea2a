// Images on the command line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace wafer::cli {

// Does `name` stand for an image? oci:FOLDER[:NAME], docker-archive:FILE[:NAME], or, where there
// is no such file, a reference that begins with a registry.
bool names_image(const std::string& name);

// What `wafer run` needs of an image.
struct ImageProgram {
  std::string artifact, root, cwd;
  std::vector<std::string> args, env;
};
// Finds the image, pulls it if it is in a registry and not on this machine yet, and unpacks it.
Result<ImageProgram> open_image(const std::string& name, const std::vector<std::string>& args);

}  // namespace wafer::cli
