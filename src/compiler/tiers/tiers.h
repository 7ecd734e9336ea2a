// Every execution tier of this build, by name, and the files of code that they run.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "compiler/code_bundle.h"
#include "compiler/process.h"
#include "compiler/tier.h"

namespace wafer::compiler {

enum class TierKind : uint8_t {
  Auto,         // starts in baseline code, moves what is hot to optimized code
  Interpreter,  // no machine code
  Baseline,     // quick to compile
  Optimized,    // all of a module is optimized before it runs
  InPlace,      // interprets functions' bytes where they lie
  Optimizing,   // the optimizing compiler, function by function
};

// A tier, and what keeps it; to be kept for as long as there are engines with it.
struct OwnedTier {
  runtime::Tier* tier = nullptr;
  std::shared_ptr<void> owner;
  // True while code is being made in the background; may be empty.
  std::function<bool()> busy;
  // Gives back the memory that only making code needs (TierOptions::rest); may be empty.
  std::function<void()> rest;
};

// Makes a tier. `options` say how it generates code, and where from; without a backend the
// one of load_llvm_backend() is taken. `eager`: Auto optimizes everything that runs twice,
// on the spot; for tests. Unsupported if this build or processor lacks it, except that
// Auto is then the interpreter.
Result<OwnedTier> make_tier(TierKind kind, TierOptions options, bool eager = false);

// Says where the code generator is found: in the library at `path`, or, if that is empty, where
// it usually is. `options.cache` is there already, if there is to be one.
void take_backend(TierOptions& options, std::string path);
// The same of the code generator that processes of `command` have; where none can be started, of
// load_llvm_backend().
void take_backend_process(TierOptions& options, GeneratorCommand command);

// A tier for nothing but code that comes with its module, which needs no code generator.
OwnedTier make_code_tier(const CodeOptions& code);

}  // namespace wafer::compiler
