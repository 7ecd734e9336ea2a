// Runs a program: an artifact with arguments, environment, folders and standard streams. All
// that starts one goes through here: the command line, and the container shim.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "compiler/tiers/tiers.h"
#include "component/component.h"
#include "program/console.h"
#include "program/input.h"
#include "runtime/store.h"
#include "wasi/p1/p1.h"

namespace wafer::program {

// A tier and an engine that are there before the program is known: what programs that start by
// the thousand need not make each.
struct PreparedEngine {
  compiler::OwnedTier tier;
  std::shared_ptr<runtime::Engine> engine;
};

struct Options {
  std::string file;  // what messages call the artifact
  // What the program sees. args[0] is its name.
  wasi::P1Config surroundings;
  // Instead of the program's entry, call this export. `invoke_args` are its arguments, by its
  // types; its results are printed to standard output. Of a component it may be a call with
  // its arguments, in WAVE.
  std::string invoke;
  std::vector<std::string> invoke_args;
  // Modules that others can import, by name and path.
  std::vector<std::pair<std::string, std::string>> preloads;

  std::optional<uint64_t> fuel;
  std::optional<std::chrono::nanoseconds> timeout;
  std::string timeout_text;  // as the user wrote it
  runtime::StoreLimits limits;
  std::optional<size_t> stack_bytes;
  bool trap_on_unknown_imports = false;
  bool interruptible = false;  // whatever it runs, as a server of components wants it
  bool verbose = false;

  wasm::FeatureSet features = wasm::FeatureSet::standard();
  component::FeatureSet component_features = component::FeatureSet::standard();
  // Makes the tier for what is not machine code yet.
  std::function<Result<compiler::OwnedTier>()> make_tier;
  // Taken if it is of the configuration that these options ask for.
  std::shared_ptr<const PreparedEngine> prepared;
  // How machine code from files has to behave.
  compiler::CodeOptions code;
};

// Makes the engine that programs with these options take, if they are not machine code. Gives the
// error of `make_tier`.
Result<std::shared_ptr<const PreparedEngine>> prepare_engine(const Options& options);

// One program, from its file to its exit code. Everything that goes wrong is told to the
// console.
class Program {
 public:
  // `options` and `console` outlive the program. A timeout begins here.
  Program(const Options& options, Console& console);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Makes the engine and loads the artifact and what is preloaded: module, text or machine
  // code. False if it cannot be run.
  bool load(Input input);
  // Instantiates and runs it, once. Gives the program's exit code or one of ours.
  int run();
  // True while code is made in the background that nobody needs any more once run() is over,
  // and that cannot be broken off at once.
  bool busy() const;
  // Once it is loaded: the engine, and the component that it is; null for a module.
  std::shared_ptr<runtime::Engine> engine() const;
  std::shared_ptr<const component::Component> component() const;
  // Of a component that was loaded without machine code, its binary form; lives as long as the
  // program.
  Bytes component_binary() const;

 private:
  class Runner;
  std::unique_ptr<Runner> runner_;
};

}  // namespace wafer::program
