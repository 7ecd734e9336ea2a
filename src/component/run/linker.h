// From a component to instances: what the host gives to imports, and instantiation.
//
//   ComponentLinker linker;
//   linker.instance("my:host/log@1.0.0").func("write", [](HostCall& call) {
//     std::puts(call.args[0].str().c_str());
//     return TrapCode::None;
//   });
//   ComponentStore store(core_store);
//   auto instance = linker.instantiate(store, component);
//   auto results = call(store, find_func(**instance, "run"), {});
#pragma once

#include <mutex>
#include <span>
#include <unordered_map>

#include "component/run/abi.h"
#include "component/run/task.h"

namespace wafer::component {

// The answer that a host function gives later. Copies are the same answer; when the last is
// gone without one, the guest traps.
class Answer {
 public:
  Answer() = default;
  // From any thread. The result: nothing, or one value.
  void complete(std::vector<Val> result) const;
  // Makes the guest trap.
  void fail(std::string message) const;
  // An answer to a call of the store; `on_cancel` as of HostCall::later().
  static Answer later(ComponentStore& store, std::function<bool()> on_cancel);
  // There is no result, as the guest asked for.
  void cancel() const;
  explicit operator bool() const { return state_ != nullptr; }

 private:
  friend class HostFunc;
  struct State;
  std::shared_ptr<State> state_;
};

// A call of a host function.
struct HostCall {
  ComponentStore& store;
  const Caller& caller;
  std::vector<Val> args;
  std::vector<Val> result;  // to be filled: nothing, or one value

  const TypeDef& type() const { return caller.def(); }
  // The guest waits until the answer is given: the function returns, and `result` does not
  // count. `on_cancel`, if there is one, is called when the guest does not want it any more:
  // true ends the call without a result; otherwise it may call Answer::cancel later.
  Answer later(std::function<bool()> on_cancel = nullptr);
  // A failure of the host: the guest traps.
  TrapCode fail(std::string_view message) const { return store.trap(message); }

  Answer answer;
};

using HostFunction = std::function<TrapCode(HostCall&)>;

class HostFunc final : public Func {
 public:
  HostFunc(HostFunction f, bool blocks, std::string signature = {}, AbiFunction abi = {})
      : function_(std::move(f)),
        blocks_(blocks),
        signature_(std::move(signature)),
        abi_(std::move(abi)) {}
  TrapCode call(ComponentStore& store, const Caller& caller, OnStart on_start, OnResolve on_resolve,
                OnCancel& on_cancel) const override;
  bool may_block() const override { return blocks_; }
  std::string_view signature() const override { return signature_; }

  // The two halves of call(): with the arguments that are in `call`; and, if there is an answer to
  // come, where that goes.
  TrapCode run(HostCall& call) const;
  static void answers_later(ComponentStore& store, const Answer& answer, OnResolve on_resolve,
                            OnCancel& on_cancel);
  // The same without dynamic values, for functions of its form.
  const AbiFunction& abi() const { return abi_; }

 private:
  const HostFunction function_;
  const bool blocks_;
  const std::string signature_;
  const AbiFunction abi_;
};

// What the host gives under one name: functions, resources, modules.
class HostInstance {
 public:
  explicit HostInstance(std::shared_ptr<InstanceValue> value) : value_(std::move(value)) {}

  // `blocks`: the function may answer later. A `signature` has to be the importer's
  // (func_text(), func_form()). `abi`: the same function for callers of its form.
  HostInstance& func(std::string name, HostFunction function, bool blocks = false,
                     std::string signature = {}, AbiFunction abi = {});
  // A resource type of the host; `on_drop` takes the representation of one that nobody owns
  // any more.
  std::shared_ptr<ResourceType> resource(std::string name, std::function<void(uint64_t)> on_drop);
  // A resource type that is there already, under this name too.
  HostInstance& resource(std::string name, std::shared_ptr<ResourceType> type);
  HostInstance& module(std::string name, std::shared_ptr<const wasm::Module> module);
  HostInstance& value(std::string name, Val value);
  // An instance inside.
  HostInstance instance(std::string name);

 private:
  std::shared_ptr<InstanceValue> value_;
};

class ComponentLinker {
 public:
  ComponentLinker() : root_(std::make_shared<InstanceValue>()) {}

  // Definitions at the root, as for a world's own functions.
  HostInstance root() { return HostInstance(root_); }
  // The instance of that name, new or not.
  HostInstance instance(std::string name);
  // What another instance exports, under a name.
  void define(std::string name, Item item) { root_->set(std::move(name), std::move(item)); }

  // An import gets what has the same name, or is the same interface in a compatible version.

  // Unlinkable names every import of `component` that is not met, and why.
  Result<void> check(const Component& component) const;
  // Errors: those of check(); Trap if a start function traps.
  Result<std::shared_ptr<ComponentInstance>> instantiate(
      ComponentStore& store, const std::shared_ptr<const Component>& component) const;

 private:
  // What a component gets for its imports, found once and kept for as long as nothing changes.
  struct Kept {
    std::mutex mutex;
    struct Of {
      std::weak_ptr<const Component> component;
      uint64_t changes = 0;
      std::shared_ptr<InstanceValue> args;
    };
    std::unordered_map<const Component*, Of> components;
  };
  Result<void> arguments(const Component& component, InstanceValue& args) const;

  std::shared_ptr<InstanceValue> root_;
  std::shared_ptr<Kept> kept_ = std::make_shared<Kept>();
};

// A function that an instance exports, with its type there.
struct ExportedFunc {
  std::shared_ptr<const Func> func;
  TypeId type = 0;
  ComponentInstance* instance = nullptr;

  explicit operator bool() const { return func != nullptr; }
  Caller caller() const { return {*instance->component->types, type}; }
};
// The function `name` of the instance, or, if `interface` is not empty, of the instance that it
// exports under that name or a compatible one.
ExportedFunc find_func(ComponentInstance& instance, std::string_view name,
                       std::string_view interface = {});

// The value `name` that it exports, or that the instance `interface` does; null: there is none.
std::shared_ptr<LinkedValue> find_value(ComponentInstance& instance, std::string_view name,
                                        std::string_view interface = {});

// Calls a function of `instance` and runs everything until it has a result (nothing or one
// value). Errors: Trap; Usage if the arguments do not fit.
Result<std::vector<Val>> call(ComponentStore& store, const ExportedFunc& func,
                              std::vector<Val> args);
// Whether there are tasks that have not ended: one may go on after it has given its result.
bool has_tasks(const ComponentStore& store);
// Runs what calls have left, as ComponentStore::run_until. Errors: Trap; Usage: code of a component
// runs already.
Result<void> run(ComponentStore& store, const std::function<bool()>& done,
                 uint64_t most = ComponentStore::kForever);
// The same until no task is left that can go on.
Result<void> finish(ComponentStore& store);

}  // namespace wafer::component
