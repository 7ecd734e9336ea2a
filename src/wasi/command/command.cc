#include "wasi/command/command.h"

namespace wafer::wasi {

namespace {

// Of programs for 0.3 the one of 0.2 comes with their libraries.
constexpr std::string_view kRun[] = {"wasi:cli/run@0.3.0", "wasi:cli/run@0.2.0"};

// Nanoseconds.
constexpr uint64_t kLinger = 2'000'000'000;

component::ExportedFunc find_run(component::ComponentInstance& instance) {
  for (std::string_view interface : kRun)
    if (auto run = component::find_func(instance, "run", interface)) return run;
  return {};
}

}  // namespace

Result<std::unique_ptr<CommandHost>> CommandHost::open(host::Config config,
                                                       component::ComponentLinker& linker) {
  std::shared_ptr<host::Board> board =
      config.devices ? std::move(config.devices) : std::make_shared<host::Board>();
  WAFER_LET(process, host::Process::open(std::move(config)));
  std::unique_ptr<CommandHost> command(new CommandHost(std::move(process)));
  command->types2_ = p2::add_to_linker(linker);
  command->types3_ = p3::add_to_linker(linker);
  command->p2_.emplace(command->process_, command->loop_, command->types2_);
  command->p3_.emplace(command->process_, command->loop_, command->types3_);
  command->board_ = std::move(board);
  command->device_types_ = devices::add_to_linker(linker, command->types2_);
  command->devices_.emplace(*command->p2_, command->board_->devices(), command->device_types_);
  return std::move(command);
}

void CommandHost::attach(component::ComponentStore& store) {
  p2_->attach(store);
  p3_->attach(store);
  devices_->attach(store);
}

bool CommandHost::is_command(component::ComponentInstance& instance) {
  return bool(find_run(instance));
}

Result<int32_t> CommandHost::run(component::ComponentStore& store,
                                 component::ComponentInstance& instance) {
  const component::ExportedFunc run = find_run(instance);
  if (!run) return Error(ErrorKind::Usage, "nothing to run: no export \"wasi:cli/run\"");
  const auto failed = [&](Error error) -> Result<int32_t> {
    const runtime::TrapInfo& trap = store.core.trap();
    if (error.kind == ErrorKind::Trap && trap.code == runtime::TrapCode::Exit)
      return trap.exit_code;
    return error;
  };
  auto result = component::call(store, run, {});
  if (!result.ok()) return failed(result.take_error());
  if (Result<void> rest = component::finish(store); !rest) return failed(rest.take_error());
  return !result->empty() && (*result)[0].is_case() && (*result)[0].index() != 0 ? 1 : 0;
}

void CommandHost::finish() { loop_.finish(kLinger); }

}  // namespace wafer::wasi
