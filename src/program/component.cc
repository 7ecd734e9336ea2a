#include "program/component.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "compiler/code_bundle.h"
#include "component/names.h"
#include "component/run/precompile.h"
#include "component/run/wave.h"
#include "program/text.h"
#include "wasi/command/command.h"

namespace wafer::program {

namespace {

using component::Sort;
using component::Val;

// A function by what `--invoke` says: its name, or INTERFACE#NAME; without an interface, or its
// version, also that of the one interface that has it.
component::ExportedFunc find(component::ComponentInstance& instance, std::string_view name) {
  std::string_view interface;
  if (const size_t hash = name.rfind('#'); hash != name.npos) {
    interface = name.substr(0, hash);
    name = name.substr(hash + 1);
  }
  if (auto func = component::find_func(instance, name, interface)) return func;
  component::ExportedFunc found;
  for (const component::NamedEntity& e : instance.component->shape().exports) {
    if (e.entity.sort != Sort::Instance) continue;
    if (!interface.empty() && e.name.substr(0, e.name.find('@')) != interface) continue;
    const auto func = component::find_func(instance, name, e.name);
    if (!func) continue;
    if (found) return {};
    found = func;
  }
  return found;
}

std::string signature(const component::TypeArena& types, std::string_view name,
                      const component::TypeDef& func) {
  std::string out(name);
  out += '(';
  for (size_t i = 0; i < func.labels.size(); ++i)
    out += (i ? ", " : "") + func.labels[i].name + ": " +
           component::describe_type(types, func.labels[i].type);
  return out + ")";
}

}  // namespace

Result<std::shared_ptr<component::Component>> load_component(
    std::shared_ptr<const ModuleInput> input, const runtime::Engine& engine,
    component::FeatureSet features) {
  component::DecodeOptions decode = component::options_for(engine);
  decode.features = features;
  decode.owner = input;
  auto decoded = component::decode(input->binary(), decode);
  if (!decoded.ok()) return Error(decoded.error().kind, input->describe(decoded.error()));
  return *std::move(decoded);
}

Result<std::shared_ptr<component::Component>> load_component_code(const Input& input,
                                                                  const runtime::Engine& engine,
                                                                  component::FeatureSet features) {
  const auto named = [&input](const Error& e) {
    return Error(e.kind, fmt::format("{}: {}", input.path(), std::string_view(e.message)));
  };
  auto bundle = input.code_file() >= 0 ? compiler::CodeBundle::map_file(input.code_file())
                                       : compiler::CodeBundle::load(input.bytes());
  if (!bundle.ok()) return named(bundle.error());
  auto decoded = component::decode_compiled((*bundle)->component(), engine,
                                            compiler::code_finder(*bundle), *bundle, features);
  if (!decoded.ok()) return named(decoded.error());
  return *std::move(decoded);
}

bool ComponentProgram::load(Result<std::shared_ptr<component::Component>> loaded) {
  if (!loaded.ok()) {
    console_.error(loaded.error().message);
    return false;
  }
  component_ = *std::move(loaded);
  return true;
}

int ComponentProgram::run(runtime::Store& core, const std::function<int(const Error&)>& failed) {
  component::ComponentLinker linker;
  auto command = wasi::CommandHost::open(options_.surroundings, linker);
  if (!command) {
    console_.error(command.error().message);
    return kFailure;
  }
  component::ComponentStore store(core);
  (*command)->attach(store);
  const int code = run(store, linker, **command, failed);
  (*command)->finish();
  return code;
}

int ComponentProgram::run(component::ComponentStore& store,
                          const component::ComponentLinker& linker, wasi::CommandHost& command,
                          const std::function<int(const Error&)>& failed) {
  auto instance = linker.instantiate(store, component_);
  if (!instance.ok()) return failed(instance.error());
  if (!options_.invoke.empty()) return invoke(store, **instance, failed);
  if (wasi::CommandHost::is_command(**instance)) {
    const auto code = command.run(store, **instance);
    return code.ok() ? *code : failed(code.error());
  }
  const std::string list = function_list();
  console_.error(list.empty()
                     ? fmt::format("{}: nothing to run: it exports no functions", options_.file)
                     : fmt::format("{}: nothing to run: no export \"wasi:cli/run\"; use --invoke "
                                   "NAME{}",
                                   options_.file, list));
  return kFailure;
}

std::string ComponentProgram::function_list() const {
  std::string list;
  int count = 0;
  const auto add = [&](std::string_view interface, const component::EntityList& exports) {
    for (const component::NamedEntity& e : exports) {
      if (e.entity.sort != Sort::Func || ++count > 12) continue;
      list += count == 1 ? " (exported functions: " : ", ";
      if (!interface.empty()) list += printable(interface) + "#";
      list += printable(e.name);
    }
  };
  const component::EntityList& exports = component_->shape().exports;
  add({}, exports);
  for (const component::NamedEntity& e : exports)
    if (e.entity.sort == Sort::Instance)
      add(e.name, (*component_->types)[e.entity.type].shape->exports);
  if (count > 12) list += ", ...";
  return count ? list + ")" : "";
}

int ComponentProgram::invoke(component::ComponentStore& store,
                             component::ComponentInstance& instance,
                             const std::function<int(const Error&)>& failed) {
  component::WaveCall wave = component::split_wave_call(options_.invoke);
  const auto func = find(instance, wave.name);
  if (!func) {
    console_.error(fmt::format("{}: no exported function \"{}\"{}", options_.file,
                               printable(wave.name), function_list()));
    return kFailure;
  }
  const component::Caller caller = func.caller();
  const component::TypeArena& types = caller.types;
  const component::TypeDef& def = caller.def();
  // Arguments may stand by themselves, as for modules.
  std::string joined;
  if (wave.arguments.empty() && !options_.invoke_args.empty()) {
    for (const std::string& arg : options_.invoke_args)
      joined += (joined.empty() ? "(" : ", ") + arg;
    joined += ")";
    wave.arguments = joined;
    wave.offset = 0;
  }
  auto args = component::parse_wave_arguments(types, def, wave);
  if (!args.ok()) {
    console_.error(fmt::format("{}: {}: {}", signature(types, printable(wave.name), def),
                               wave.arguments.empty() ? "()" : printable(wave.arguments),
                               printable(std::string_view(args.error().message))));
    return kFailure;
  }
  auto results = component::call(store, func, *std::move(args));
  if (!results.ok()) return failed(results.error());
  std::string out;
  for (const Val& v : *results) out += component::print_wave(types, def.args[0], v) + "\n";
  if (std::fwrite(out.data(), 1, out.size(), stdout) == out.size() && std::fflush(stdout) == 0)
    return kSuccess;
  console_.error(fmt::format("cannot write standard output: {}", std::strerror(errno)));
  return kFailure;
}

}  // namespace wafer::program
