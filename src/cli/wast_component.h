// Components in scripts: definitions, instances, and calls with constants of value types.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "component/run/linker.h"
#include "wat/wast.h"

namespace wafer::cli {

// What came of a command: nothing, or why it failed.
class ComponentScript {
 public:
  explicit ComponentScript(runtime::Store& store);

  Result<std::shared_ptr<component::Component>> load(const wat::ScriptModule& module,
                                                     const component::DecodeOptions& options);
  void define(const String& name, std::shared_ptr<component::Component> definition);
  // Usage if there is no such definition.
  Result<void> instantiate(const String& of, const String& name);
  Result<void> instantiate_and_bind(const std::shared_ptr<component::Component>& component,
                                    const String& name);
  // Gives imports of that name what the instance exports.
  Result<void> register_as(const String& name, const String& of);
  // There is no latest instance any more.
  void forget() { latest_ = nullptr; }
  bool has_instance(const String& name) const { return find(name) != nullptr; }

  // Calls a function; `result` then has nothing or one value of type `type`.
  struct Called {
    std::vector<component::Val> result;
    component::ValType type;
    const component::TypeArena* types = nullptr;
  };
  Result<Called> invoke(const wat::ScriptAction& action);
  // Whether the result is what the script expects.
  static bool matches(const Called& called, const Vec<wat::ScriptValue>& expected);

 private:
  std::shared_ptr<component::ComponentInstance> find(const String& name) const;

  component::ComponentStore store_;
  component::ComponentLinker linker_;
  std::map<std::string, std::shared_ptr<component::Component>, std::less<>> definitions_;
  std::shared_ptr<component::Component> latest_definition_;
  std::map<std::string, std::shared_ptr<component::ComponentInstance>, std::less<>> instances_;
  std::shared_ptr<component::ComponentInstance> latest_;
};

}  // namespace wafer::cli
