// What an administrator sets for the runtime in containerd's configuration.
#pragma once

#include <string>

#include "base/result.h"
#include "shim/proto/common.pb.h"

namespace wafer::shim {

struct RuntimeSettings {
  std::string tier = "baseline";  // or "interp"
  uint64_t fuel = 0;              // 0: not counted
  std::string runc = "runc";      // a path, or a name on PATH
  bool compile = true;            // layers, ahead of time, where there is a compiler
};

// The options of a Create call: TOML, by value or in a file. Invalid with the name of what this
// runtime has not.
Result<RuntimeSettings> parse_settings(const proto::Any& options);

}  // namespace wafer::shim
