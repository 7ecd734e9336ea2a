// Runs scripts of the reference test suite (.wast).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "component/component.h"
#include "runtime/store.h"
#include "wasm/opcode.h"

namespace wafer::cli {

struct ScriptOptions {
  wasm::FeatureSet features = wasm::FeatureSet::standard();
  component::FeatureSet component_features = component::FeatureSet::standard();
  runtime::Tier* tier = nullptr;  // null: the interpreter
  bool signals = true;            // as in runtime::Config
  // A wrong message is reported but does not fail.
  bool lenient_messages = false;
  // Every valid module is also printed and parsed again, which must give the same.
  bool roundtrip = false;
  // Lines whose commands are carried out without counting a failure.
  std::vector<uint32_t> skip_lines;
  // Output of the script's print functions; none if empty.
  std::function<void(std::string_view)> print;
};

struct ScriptReport {
  uint32_t passed = 0;   // assertions that held
  uint32_t failed = 0;   // assertions that did not, and commands that went wrong
  uint32_t skipped = 0;  // failures on skipped lines
  // "LINE:COLUMN: what was expected, and what came".
  std::vector<std::string> failures;
  std::vector<std::string> warnings;
};

// Carries out the commands of `source` in a fresh store. A script that cannot be
// parsed counts as one failure.
ScriptReport run_script(std::string_view source, const ScriptOptions& options);

}  // namespace wafer::cli
