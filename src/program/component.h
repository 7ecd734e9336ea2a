// Programs that are components.
#pragma once

#include "component/run/linker.h"
#include "program/program.h"

namespace wafer::wasi {
class CommandHost;
}

namespace wafer::program {

// Decodes and validates a component; its modules get the code that the engine has of them.
// Errors name the file.
Result<std::shared_ptr<component::Component>> load_component(
    std::shared_ptr<const ModuleInput> input, const runtime::Engine& engine,
    component::FeatureSet features);
// The same of machine code, which is mapped if it is a file that is mapped already.
Result<std::shared_ptr<component::Component>> load_component_code(const Input& input,
                                                                  const runtime::Engine& engine,
                                                                  component::FeatureSet features);

class ComponentProgram {
 public:
  ComponentProgram(const Options& options, Console& console)
      : options_(options), console_(console) {}

  // Takes what load_component() gave; false, and told to the console, if it cannot be run.
  bool load(Result<std::shared_ptr<component::Component>> loaded);
  const std::shared_ptr<component::Component>& component() const { return component_; }
  // Instantiates it in `store` and runs `wasi:cli/run`, or what Options::invoke asks for. What
  // stops execution is told by `failed`, which gives the exit code.
  int run(runtime::Store& store, const std::function<int(const Error&)>& failed);

 private:
  int run(component::ComponentStore& store, const component::ComponentLinker& linker,
          wasi::CommandHost& command, const std::function<int(const Error&)>& failed);
  int invoke(component::ComponentStore& store, component::ComponentInstance& instance,
             const std::function<int(const Error&)>& failed);
  // Functions that can be called, for messages.
  std::string function_list() const;

  const Options& options_;
  Console& console_;
  std::shared_ptr<component::Component> component_;
};

}  // namespace wafer::program
