// From texts to resolved packages (WIT.md, "Name resolution").
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "wit/wit.h"

namespace wafer::wit {

struct ResolveOptions {
  std::vector<std::string> features;  // @unstable items that are wanted
  bool all_features = false;
};

struct Text {
  std::string path;  // for messages
  std::string text;
};

// Files that together are one package, with what nested packages they have.
using PackageTexts = std::vector<Text>;

struct Resolved {
  Resolve resolve;
  PackageId main = 0;  // of the last group of texts
};

// Resolves packages that may depend on one another, in any order; the last one is the main one.
// Errors name file, line and column, and show the line.
Result<Resolved> resolve(std::vector<PackageTexts> groups, const ResolveOptions& options = {});

// Reads packages from files and folders; the last one is the main one. The `*.wit` files of a
// folder are one package, and each file or folder in its `deps` folder another (WIT.md,
// "Filesystem structure"). Files may be binary (decode.h).
Result<Resolved> load(std::span<const std::filesystem::path> paths,
                      const ResolveOptions& options = {});

}  // namespace wafer::wit
