#include "program/program.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <thread>

#include "compiler/code_bundle.h"
#include "devices/imports/imports.h"
#include "host/devices/board.h"
#include "program/component.h"
#include "program/text.h"
#include "program/value_text.h"
#if WAFER_WITH_DEMANGLE
#include "demangle/demangle.h"
#endif
#include "runtime/backtrace.h"
#include "runtime/linker.h"
#include "wasm/decoder.h"

namespace wafer::program {

namespace {

using runtime::Engine;
using runtime::FuncInst;
using runtime::Instance;
using runtime::Linker;
using runtime::Store;
using runtime::TrapCode;
using runtime::Value;
using wasm::ExternKind;
using wasm::Module;

runtime::Config config_of(const Options& options) {
  runtime::Config config;
  config.features = options.features;
  config.consume_fuel = options.fuel.has_value();
  config.interruptible = options.interruptible || options.timeout.has_value();
  config.signals = options.code.signals;
  if (options.stack_bytes) config.stack_bytes = *options.stack_bytes;
  return config;
}

// Whether an engine of `other` does for `config`: in all that config_of() decides.
bool same_config(const runtime::Config& config, const runtime::Config& other) {
  return config.features == other.features && config.consume_fuel == other.consume_fuel &&
         config.interruptible == other.interruptible && config.signals == other.signals &&
         config.stack_bytes == other.stack_bytes;
}

// Ends the run when its time is up, whatever it is doing: a store that runs is interrupted,
// and the program tells how far it came; what cannot be (opening, decoding, a step of the
// compiler, a host function that waits) ends with the process.
class Timeout {
 public:
  Timeout(std::chrono::nanoseconds after, std::string message, Console& console)
      : message_(std::move(message)), console_(console), thread_([this, after] { watch(after); }) {}
  ~Timeout() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    done_.notify_one();
    thread_.join();
  }

  // From now on `store` is what runs; it has to outlive this.
  void set_store(Store& store) {
    const std::lock_guard lock(mutex_);
    store_ = &store;
  }
  // Prints the message, if nobody has: true for the one who does.
  bool tell() {
    if (told_.exchange(true)) return false;
    console_.error(message_);
    return true;
  }

 private:
  void watch(std::chrono::nanoseconds after) {
    constexpr auto kGrace = std::chrono::milliseconds(250);
    std::unique_lock lock(mutex_);
    if (done_.wait_for(lock, after, [this] { return stopped_; })) return;
    if (store_) {
      store_->interrupt();
      if (done_.wait_for(lock, kGrace, [this] { return stopped_; })) return;
    }
    if (!tell()) return;
    std::fflush(nullptr);
    _exit(kTrap);
  }

  std::mutex mutex_;
  std::condition_variable done_;
  bool stopped_ = false;
  Store* store_ = nullptr;
  std::atomic<bool> told_{false};
  const std::string message_;
  Console& console_;
  std::thread thread_;
};

}  // namespace

class Program::Runner {
 public:
  Runner(const Options& options, Console& console) : options_(options), console_(console) {
    if (options_.timeout)
      timeout_.emplace(*options_.timeout,
                       fmt::format("{}: timed out after {}", options_.file, options_.timeout_text),
                       console_);
  }

  bool busy() const { return tier_.busy && tier_.busy(); }
  std::shared_ptr<Engine> engine() const { return engine_; }
  std::shared_ptr<const component::Component> component() const {
    return component_ ? component_->component() : nullptr;
  }

  Bytes component_binary() const { return component_input_ ? component_input_->binary() : Bytes(); }

  bool load(Input file) {
    const runtime::Config config = config_of(options_);
    if (file.is_code()) {
      // Only what the file holds can run; its modules decide the rest.
      tier_ = compiler::make_code_tier(options_.code);
      engine_ = Engine::create(config, tier_.tier, tier_.owner);
    } else if (const auto& there = options_.prepared;
               there && same_config(config, there->engine->config())) {
      tier_ = there->tier;
      engine_ = there->engine;
    } else {
      Result<std::shared_ptr<const PreparedEngine>> made = prepare_engine(options_);
      if (!made) {
        console_.error(made.error().message);
        return false;
      }
      tier_ = (*made)->tier;
      engine_ = (*made)->engine;
    }
    if (!load(options_.file, std::move(file), main_)) return false;
    for (const auto& [name, path] : options_.preloads) {
      std::shared_ptr<Module> module;
      Result<Input> input = Input::open(path, Input::Content::Module);
      if (!input) {
        console_.error(input.error().message);
        return false;
      }
      if (!load(path, *std::move(input), module)) return false;
      preloads_.emplace_back(name, std::move(module));
    }
    return true;
  }

  int run() {
    const int code = run_program();
    timeout_.reset();
    return code;
  }

 private:
  int run_program() {
    store_.emplace(engine_, options_.limits);
    if (options_.fuel)
      store_->fuel = int64_t(std::min<uint64_t>(*options_.fuel, uint64_t(INT64_MAX)));

    Linker linker(engine_);
    linker.allow_shadowing(true);
    linker.trap_on_unknown_imports(options_.trap_on_unknown_imports);
    bool needs_wasi = main_ && wants_wasi(*main_);
    for (const auto& [name, module] : preloads_) needs_wasi |= wants_wasi(*module);
    if (needs_wasi && !add_wasi(linker)) return kFailure;
    bool needs_devices = main_ && devices::imports_devices(*main_);
    for (const auto& [name, module] : preloads_) needs_devices |= devices::imports_devices(*module);
    if (needs_devices && !add_devices(linker)) return kFailure;

    if (timeout_) timeout_->set_store(*store_);
    if (component_)
      return finish(component_->run(*store_, [this](const Error& e) { return failed(e); }));
    for (size_t i = 0; i < preloads_.size(); ++i) {
      const auto& [name, module] = preloads_[i];
      Result<Instance*> instance = linker.instantiate(*store_, module);
      if (!instance)
        return unlinked(instance.error(), options_.preloads[i].second, linker, *module);
      if (const int code = call_export(**instance, "_initialize")) return code;
      if (exited_) return exit_code_;
      if (Result<void> r = linker.define_instance(name, *instance); !r) return failed(r.error());
    }
    Result<Instance*> instance = linker.instantiate(*store_, main_);
    if (!instance) return unlinked(instance.error(), options_.file, linker, *main_);
    if (options_.invoke.empty() && !reads_arguments(*main_)) console_.arguments_unused();
    const int code = run_main(**instance);
    if (options_.verbose && options_.fuel)
      console_.note(
          fmt::format("wafer: {} units of fuel used", int64_t(*options_.fuel) - store_->fuel));
    return code;
  }

  const Options& options_;
  Console& console_;
  compiler::OwnedTier tier_;
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Module> main_;  // null: it is a component
  std::optional<ComponentProgram> component_;
  std::shared_ptr<const ModuleInput> component_input_;
  std::vector<std::pair<std::string, std::shared_ptr<Module>>> preloads_;
  std::shared_ptr<host::Board> board_;  // outlives the store
  std::optional<Store> store_;
  std::optional<Timeout> timeout_;
  std::shared_ptr<wasi::P1Context> wasi_;
  bool exited_ = false;
  int exit_code_ = 0;

  bool load(const std::string& path, Input bytes, std::shared_ptr<Module>& out) {
    if (bytes.is_code()) return load_code(path, bytes, out);
    const auto start = std::chrono::steady_clock::now();
    Result<ModuleInput> input = to_module(std::move(bytes), options_.features);
    if (!input) {
      console_.error(input.error().message);
      return false;
    }
    const auto kept = std::make_shared<const ModuleInput>(std::move(*input));
    if (&out == &main_ && component::is_component(kept->binary())) {
      component_.emplace(options_, console_);
      component_input_ = kept;
      return component_->load(load_component(kept, *engine_, options_.component_features));
    }
    Result<std::shared_ptr<Module>> module = engine_->load_module(kept->binary(), false);
    if (!module) {
      console_.error(kept->describe(module.error()));
      if (module.error().kind == ErrorKind::Unsupported &&
          wasm::is_valid_module(kept->binary(), options_.features))
        console_.hint("this tier lacks it; other tiers run the module");
      return false;
    }
    (*module)->owner = kept;
    out = *std::move(module);
    if (options_.verbose) {
      const std::chrono::duration<double, std::milli> took =
          std::chrono::steady_clock::now() - start;
      console_.note(fmt::format("wafer: loaded {}: {} bytes, {} functions, {:.2f} ms", path,
                                kept->binary().size(), out->functions.size(), took.count()));
    }
    return true;
  }

  bool load_code(const std::string& path, const Input& input, std::shared_ptr<Module>& out) {
    if (compiler::CodeBundle::is_bundle(input.bytes())) {
      if (&out != &main_) {
        console_.error(fmt::format("{}: a component cannot be preloaded", path));
        return false;
      }
      component_.emplace(options_, console_);
      return component_->load(load_component_code(input, *engine_, options_.component_features));
    }
    Result<std::shared_ptr<Module>> module = input.code_file() >= 0
                                                 ? engine_->map_code(input.code_file())
                                                 : engine_->load_code(input.bytes());
    if (!module) {
      console_.error(fmt::format("{}: {}", path, module.error().message));
      return false;
    }
    out = *std::move(module);
    return true;
  }

  static bool wants_wasi(const Module& module) {
    for (const wasm::Import& import : module.imports)
      if (import.module.starts_with("wasi_")) return true;
    return false;
  }

  // What went wrong when the module of `file` was instantiated; gives the exit code.
  int unlinked(const Error& error, std::string_view file, Linker& linker, const Module& module) {
    if (error.kind != ErrorKind::Unlinkable) return failed(error);
    console_.error(fmt::format("{}: {}", file, printable(error.message)));
    hint_at_providers(linker, module);
    return kFailure;
  }

  // Says where the imports that are missing usually come from.
  void hint_at_providers(Linker& linker, const Module& module) {
    std::vector<std::string> said;
    for (const wasm::Import& import : module.imports) {
      const bool is_func = import.type.kind == ExternKind::Func;
      if (is_func && options_.trap_on_unknown_imports) continue;
      if (linker.get(*store_, import.module, import.name)) continue;
      const std::string_view provider = usual_provider(import.module, import.name);
      if (provider.empty()) continue;
      std::string hint = fmt::format("\"{}\": {}", printable(import.module), provider);
      if (std::find(said.begin(), said.end(), hint) != said.end()) continue;
      console_.hint(hint);
      said.push_back(std::move(hint));
    }
  }

  static bool reads_arguments(const Module& module) {
    for (const wasm::Import& import : module.imports)
      if (import.name == "args_get") return true;
    return false;
  }

  bool add_wasi(Linker& linker) {
    Result<std::unique_ptr<wasi::P1Context>> context =
        wasi::P1Context::create(options_.surroundings);
    if (!context) {
      console_.error(context.error().message);
      return false;
    }
    wasi_ = std::move(*context);
    if (options_.verbose) {
      const auto& listeners = options_.surroundings.listeners;
      for (size_t i = 0; i < listeners.size(); ++i)
        if (!listeners[i].tcp_address.empty())
          console_.note(fmt::format("wafer: listening on {}", wasi_->listener_address(i)));
    }
    std::vector<const Module*> users;
    if (main_) users.push_back(main_.get());
    for (const auto& [name, module] : preloads_) users.push_back(module.get());
    if (Result<void> r = wasi::add_to_linker(linker, wasi_, users); !r) {
      console_.error(r.error().message);
      return false;
    }
    return true;
  }

  bool add_devices(Linker& linker) {
    board_ = options_.surroundings.devices;
    if (!board_) board_ = std::make_shared<host::Board>();
    if (Result<void> r = devices::add_to_linker(linker, board_->devices()); !r) {
      console_.error(r.error().message);
      return false;
    }
    return true;
  }

  int run_main(Instance& instance) {
    const Module& module = *instance.module;
    const auto exports_func = [&](std::string_view name) {
      const auto e = instance.get_export(name);
      return e && e->kind == ExternKind::Func;
    };
    const bool command = exports_func("_start");
    if (!options_.invoke.empty()) {
      // A reactor is to be initialised before any other export is called.
      if (!command) {
        if (const int code = call_export(instance, "_initialize")) return code;
        if (exited_) return exit_code_;
      }
      return invoke(instance);
    }
    if (command) return finish(call_export(instance, "_start"));
    if (exports_func("_initialize")) return finish(call_export(instance, "_initialize"));
    if (module.start) return kSuccess;
    console_.error(fmt::format("{}: nothing to run: no export \"_start\"; use --invoke NAME{}",
                               options_.file, function_list(module)));
    if (reads_arguments(module)) console_.arguments_unused();
    return kFailure;
  }

  int finish(int code) const { return exited_ ? exit_code_ : code; }

  // Calls a function export without parameters, if it is there. An exit code
  // other than 0 (or exited_) means that the run is over.
  int call_export(Instance& instance, std::string_view name) {
    const auto e = instance.get_export(name);
    if (!e || e->kind != ExternKind::Func) return kSuccess;
    if (!e->func->type->func.params.empty() || !e->func->type->func.results.empty()) {
      console_.error(
          fmt::format("{}: \"{}\" must have neither parameters nor results", options_.file, name));
      return kFailure;
    }
    Result<Vec<Value>> results = store_->call(e->func, {});
    return results ? kSuccess : failed(results.error());
  }

  static std::string function_list(const Module& module) {
    std::string list;
    int count = 0;
    for (const wasm::Export& e : module.exports) {
      if (e.kind != ExternKind::Func) continue;
      if (++count > 12) {
        list += ", ...";
        break;
      }
      list += (count == 1 ? " (exported functions: " : ", ") + printable(e.name);
    }
    return count ? list + ")" : "";
  }

  int invoke(Instance& instance) {
    const auto e = instance.get_export(options_.invoke);
    if (!e || e->kind != ExternKind::Func) {
      console_.error(fmt::format("{}: no exported function \"{}\"{}", options_.file,
                                 printable(options_.invoke), function_list(*instance.module)));
      return kFailure;
    }
    const wasm::FuncType& type = e->func->type->func;
    if (options_.invoke_args.size() != type.params.size()) {
      console_.error(fmt::format("{}: \"{}\" takes {} argument{} {}, got {}", options_.file,
                                 printable(options_.invoke), type.params.size(),
                                 type.params.size() == 1 ? "" : "s", type_list(type.params),
                                 options_.invoke_args.size()));
      console_.arguments_unused();
      return kFailure;
    }
    std::vector<Value> args;
    for (size_t i = 0; i < options_.invoke_args.size(); ++i) {
      const std::optional<Value> value =
          parse_value(*store_, type.params[i], options_.invoke_args[i]);
      if (!value) {
        console_.error(fmt::format(
            "argument {} of \"{}\": '{}' is not a value of type {} ({})", i + 1,
            printable(options_.invoke), printable(options_.invoke_args[i]),
            std::string_view(wasm::to_string(type.params[i])), value_example(type.params[i])));
        console_.arguments_unused();
        return kFailure;
      }
      args.push_back(*value);
    }
    Result<Vec<Value>> results = store_->call(e->func, args);
    if (!results) return finish(failed(results.error()));
    std::string out;
    for (const Value& value : *results) out += print_value(*store_, value) + "\n";
    if (std::fwrite(out.data(), 1, out.size(), stdout) == out.size() && std::fflush(stdout) == 0)
      return kSuccess;
    console_.error(fmt::format("cannot write standard output: {}", std::strerror(errno)));
    return kFailure;
  }

  // Reports what went wrong; gives the exit code. proc_exit is no error.
  int failed(const Error& error) {
    if (error.kind != ErrorKind::Trap) {
      console_.error(fmt::format("{}: {}", options_.file, printable(error.message)));
      return kFailure;
    }
#if WAFER_WITH_DEMANGLE
    runtime::describe(store_->trap(), demangle);
#else
    runtime::describe(store_->trap(), nullptr);
#endif
    const runtime::TrapInfo& trap = store_->trap();
    switch (trap.code) {
      case TrapCode::Exit:
        exited_ = true;
        exit_code_ = trap.exit_code & 0xFF;
        return exit_code_;
      case TrapCode::Interrupted:
        if (timeout_) timeout_->tell();
        break;
      case TrapCode::OutOfFuel:
        console_.error(fmt::format("{}: out of fuel (limit {})", options_.file, *options_.fuel));
        break;
      case TrapCode::UncaughtException:
      case TrapCode::HostError:
        console_.error(fmt::format("{}: {}", options_.file, printable(error.message)));
        break;
      default:
        console_.error(fmt::format("{}: trap: {}", options_.file, printable(error.message)));
    }
    print_backtrace(trap.backtrace);
    return kTrap;
  }

  void print_backtrace(std::span<const runtime::BacktraceFrame> frames) const {
    // Deep recursion: both ends tell more than the middle.
    constexpr size_t kHead = 30, kTail = 10;
    const std::string stem = std::filesystem::path(options_.file).stem().string();
    std::string out;
    for (size_t i = 0; i < frames.size(); ++i) {
      if (frames.size() > kHead + kTail + 1 && i == kHead) {
        const size_t left_out = frames.size() - kHead - kTail;
        out += fmt::format("  {}... {} frames left out{}\n", console_.dim(), left_out,
                           console_.reset());
        i += left_out;
      }
      const runtime::BacktraceFrame& f = frames[i];
      // Without a module name the file's own does, if there is only one module.
      std::string module = printable(f.module_name);
      if (module.empty() && options_.preloads.empty()) module = stem;
      const std::string function =
          f.func_name.empty() ? fmt::format("func[{}]", f.func_index) : printable(f.func_name);
      out += fmt::format("  {:>2}: {}{}{}{}{}", i, module, module.empty() ? "" : "!",
                         console_.bold(), function, console_.reset());
      if (f.inlined) out += " (inlined)";
      if (f.module_offset) out += fmt::format(" 0x{:x}", f.module_offset);
      if (!f.source.empty()) out += fmt::format(" {}", printable(f.source));
      out += '\n';
    }
    if (!out.empty()) console_.note(std::string_view(out).substr(0, out.size() - 1));
  }
};

Result<std::shared_ptr<const PreparedEngine>> prepare_engine(const Options& options) {
  WAFER_LET(tier, options.make_tier());
  auto made = std::make_shared<PreparedEngine>();
  made->tier = std::move(tier);
  made->engine = Engine::create(config_of(options), made->tier.tier, made->tier.owner);
  return std::shared_ptr<const PreparedEngine>(std::move(made));
}

Program::Program(const Options& options, Console& console)
    : runner_(std::make_unique<Runner>(options, console)) {}
Program::~Program() = default;
bool Program::load(Input input) { return runner_->load(std::move(input)); }
int Program::run() { return runner_->run(); }
bool Program::busy() const { return runner_->busy(); }
std::shared_ptr<Engine> Program::engine() const { return runner_->engine(); }
std::shared_ptr<const component::Component> Program::component() const {
  return runner_->component();
}
Bytes Program::component_binary() const { return runner_->component_binary(); }

}  // namespace wafer::program
