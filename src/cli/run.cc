// `wafer run`: instantiates a module with WASI and calls into it.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <thread>

#include "cli/suggest.h"
#include "cli/support.h"
#include "cli/tiers.h"
#include "cli/value_text.h"
#include "compiler/profile.h"
#if WAFER_WITH_DEMANGLE
#include "demangle/demangle.h"
#endif
#include "interp/interp.h"
#include "runtime/backtrace.h"
#include "runtime/linker.h"
#include "wasi/p1.h"

namespace wafer::cli {

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

struct RunOptions {
  std::string file;
  std::vector<std::string> unused_args;  // only for the help text
  std::string invoke;
  std::optional<uint64_t> fuel;
  std::optional<std::chrono::nanoseconds> timeout;
  std::string timeout_text;
  std::optional<uint64_t> max_memory;
  std::optional<uint64_t> max_table;
  std::optional<uint64_t> max_gc_heap;
  std::optional<uint64_t> stack_size;
  std::vector<std::string> dirs, read_only_dirs;
  std::vector<std::string> env;
  bool inherit_env = false;
  std::vector<std::string> preloads;
  std::vector<std::string> tcp_listen;
  std::vector<int> listen_fds;
  std::string argv0;
  bool trap_on_unknown = false;
  bool verbose = false;
  TierChoice tier;
  FeatureOptions features;
};

// Ends the run when its time is up, whatever it is doing: a store that runs is interrupted,
// and the program tells how far it came; what cannot be (opening, decoding, a step of the
// compiler, a host function that waits) ends with the process.
class Timeout {
 public:
  Timeout(std::chrono::nanoseconds after, std::string message)
      : message_(std::move(message)), thread_([this, after] { watch(after); }) {}
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
    print_error(message_);
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
  std::thread thread_;
};

class Runner {
 public:
  Runner(const RunOptions& options, const Context& context)
      : options_(options), guest_args_(context.guest_args), run_options_(context.run_options) {}

  int run() {
    const int code = run_program();
    timeout_.reset();
    if (tier_.busy && tier_.busy()) {
      // Nobody needs the code that is being made any more, and making it cannot be
      // broken off at once.
      std::fflush(nullptr);
      _exit(code);
    }
    return code;
  }

 private:
  int run_program() {
    if (options_.timeout)
      timeout_.emplace(*options_.timeout,
                       fmt::format("{}: timed out after {}", options_.file, options_.timeout_text));
    runtime::Config config;
    config.features = options_.features.get();
    config.consume_fuel = options_.fuel.has_value();
    config.interruptible = options_.timeout.has_value();
    config.signals = options_.tier.compile.code.signals;
    if (options_.stack_size) config.stack_bytes = size_t(*options_.stack_size);
    Result<Input> file = Input::open(options_.file, Input::Content::Module);
    if (!file) {
      print_error(file.error().message);
      return kFailure;
    }
    if (file->is_code()) {
      // Only what the file holds can run; its modules decide the rest.
      tier_ = compiler::make_code_tier(options_.tier.compile.code);
    } else {
      Result<compiler::OwnedTier> made = options_.tier.make();
      if (!made) {
        print_error(made.error().message);
        return kFailure;
      }
      tier_ = *made;
    }
    engine_ = Engine::create(config, tier_.tier);

    std::shared_ptr<Module> main;
    if (!load(options_.file, *std::move(file), main)) return kFailure;
    std::vector<std::pair<std::string, std::shared_ptr<Module>>> preloads;
    for (const std::string& preload : options_.preloads) {
      const size_t equals = preload.find('=');
      std::shared_ptr<Module> module;
      const std::string path = preload.substr(equals + 1);
      Result<Input> input = Input::open(path, Input::Content::Module);
      if (!input) {
        print_error(input.error().message);
        return kFailure;
      }
      if (!load(path, *std::move(input), module)) return kFailure;
      preloads.emplace_back(preload.substr(0, equals), std::move(module));
    }

    runtime::StoreLimits limits;
    if (options_.max_memory) limits.memory_bytes = *options_.max_memory;
    if (options_.max_table) limits.table_elements = *options_.max_table;
    if (options_.max_gc_heap) limits.gc_heap_bytes = size_t(*options_.max_gc_heap);
    store_.emplace(engine_, limits);
    if (options_.fuel)
      store_->fuel = int64_t(std::min<uint64_t>(*options_.fuel, uint64_t(INT64_MAX)));

    Linker linker(engine_);
    linker.allow_shadowing(true);
    linker.trap_on_unknown_imports(options_.trap_on_unknown);
    bool needs_wasi = wants_wasi(*main);
    for (const auto& [name, module] : preloads) needs_wasi |= wants_wasi(*module);
    if (needs_wasi && !add_wasi(linker)) return kFailure;

    if (timeout_) timeout_->set_store(*store_);
    for (const auto& [name, module] : preloads) {
      Result<Instance*> instance = linker.instantiate(*store_, module);
      if (!instance) return failed(instance.error());
      if (const int code = call_export(**instance, "_initialize")) return code;
      if (exited_) return exit_code_;
      if (Result<void> r = linker.define_instance(name, *instance); !r) return failed(r.error());
    }
    Result<Instance*> instance = linker.instantiate(*store_, main);
    if (!instance) {
      const int code = failed(instance.error());
      if (instance.error().kind == ErrorKind::Unlinkable) hint_at_providers(linker, *main);
      return code;
    }
    if (options_.invoke.empty() && !reads_arguments(*main)) hint_at_misplaced_option();
    const int code = run_main(**instance);
    if (options_.verbose && options_.fuel)
      print_note(
          fmt::format("wafer: {} units of fuel used", int64_t(*options_.fuel) - store_->fuel));
    return code;
  }

  const RunOptions& options_;
  const std::vector<std::string>& guest_args_;
  const std::vector<std::string>& run_options_;
  compiler::OwnedTier tier_;
  std::shared_ptr<Engine> engine_;
  std::vector<ModuleInput> inputs_;  // the modules borrow their bytes
  std::optional<Store> store_;
  std::optional<Timeout> timeout_;
  std::shared_ptr<wasi::P1Context> wasi_;
  bool exited_ = false;
  int exit_code_ = 0;

  bool load(const std::string& path, Input bytes, std::shared_ptr<Module>& out) {
    if (bytes.is_code()) return load_code(path, bytes, out);
    const auto start = std::chrono::steady_clock::now();
    std::optional<ModuleInput> input = to_module(std::move(bytes), options_.features.get());
    if (!input) return false;
    const ModuleInput& kept = inputs_.emplace_back(std::move(*input));
    Result<std::shared_ptr<Module>> module = engine_->load_module(kept.binary(), false);
    if (!module) {
      print_module_error(kept, module.error());
      return false;
    }
    out = *std::move(module);
    if (options_.verbose) {
      const std::chrono::duration<double, std::milli> took =
          std::chrono::steady_clock::now() - start;
      print_note(fmt::format("wafer: loaded {}: {} bytes, {} functions, {:.2f} ms", path,
                             kept.binary().size(), out->functions.size(), took.count()));
    }
    return true;
  }

  bool load_code(const std::string& path, const Input& input, std::shared_ptr<Module>& out) {
    // What came through a pipe is copied; a file is mapped.
    Result<std::shared_ptr<Module>> module = input.is_mapped() && path != "-"
                                                 ? engine_->map_code(path.c_str())
                                                 : engine_->load_code(input.bytes());
    if (!module) {
      print_error(fmt::format("{}: {}", path, module.error().message));
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

  // Says where the imports that are missing usually come from.
  void hint_at_providers(Linker& linker, const Module& module) {
    std::vector<std::string> said;
    for (const wasm::Import& import : module.imports) {
      if (linker.get(*store_, import.module, import.name)) continue;
      const std::string_view provider = usual_provider(import.module, import.name);
      if (provider.empty()) continue;
      std::string hint = fmt::format("\"{}\": {}", printable(import.module), provider);
      if (std::find(said.begin(), said.end(), hint) != said.end()) continue;
      print_hint(hint);
      said.push_back(std::move(hint));
    }
  }

  static bool reads_arguments(const Module& module) {
    for (const wasm::Import& import : module.imports)
      if (import.name == "args_get") return true;
    return false;
  }

  // What follows FILE is the program's. If that looks like a mistake, says so.
  void hint_at_misplaced_option() const {
    for (const std::string& word : guest_args_) {
      const std::string name = word.substr(0, word.find('='));
      if (std::find(run_options_.begin(), run_options_.end(), name) == run_options_.end()) continue;
      print_hint(fmt::format(
          "'{}' comes after FILE and so belongs to the program: options of wafer stand before FILE",
          name));
      return;
    }
  }

  bool add_wasi(Linker& linker) {
    wasi::P1Config config;
    config.args.push_back(options_.argv0.empty()
                              ? std::filesystem::path(options_.file).filename().string()
                              : options_.argv0);
    config.args.insert(config.args.end(), guest_args_.begin(), guest_args_.end());
    config.inherit_env = options_.inherit_env;
    for (const std::string& variable : options_.env) {
      const size_t equals = variable.find('=');
      if (equals != std::string::npos)
        config.env.emplace_back(variable.substr(0, equals), variable.substr(equals + 1));
      else if (const char* value = std::getenv(variable.c_str()))
        config.env.emplace_back(variable, value);
    }
    const auto add_dirs = [&config](const std::vector<std::string>& dirs, bool read_only) {
      for (const std::string& dir : dirs) {
        const size_t colons = dir.find("::");
        const size_t colon = dir.find(':');
        if (colons == std::string::npos && colon != std::string::npos &&
            access(dir.c_str(), F_OK) != 0)
          print_hint(fmt::format("HOST and GUEST are parted by two colons: '{}::{}'",
                                 dir.substr(0, colon), dir.substr(colon + 1)));
        config.dirs.push_back({dir.substr(0, colons),
                               colons == std::string::npos ? dir : dir.substr(colons + 2),
                               read_only});
      }
    };
    add_dirs(options_.dirs, false);
    add_dirs(options_.read_only_dirs, true);
    for (const std::string& address : options_.tcp_listen)
      config.listeners.push_back({-1, address});
    for (const int fd : options_.listen_fds) config.listeners.push_back({fd, {}});
    Result<std::unique_ptr<wasi::P1Context>> context = wasi::P1Context::create(std::move(config));
    if (!context) {
      print_error(context.error().message);
      return false;
    }
    wasi_ = std::move(*context);
    if (options_.verbose) {
      for (size_t i = 0; i < options_.tcp_listen.size(); ++i)
        print_note(fmt::format("wafer: listening on {}", wasi_->listener_address(i)));
    }
    if (Result<void> r = wasi::add_to_linker(linker, wasi_); !r) {
      print_error(r.error().message);
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
    print_error(fmt::format("{}: nothing to run: no export \"_start\"; use --invoke NAME{}",
                            options_.file, function_list(module)));
    if (reads_arguments(module)) hint_at_misplaced_option();
    return kFailure;
  }

  int finish(int code) const { return exited_ ? exit_code_ : code; }

  // Calls a function export without parameters, if it is there. An exit code
  // other than 0 (or exited_) means that the run is over.
  int call_export(Instance& instance, std::string_view name) {
    const auto e = instance.get_export(name);
    if (!e || e->kind != ExternKind::Func) return kSuccess;
    if (!e->func->type->func.params.empty() || !e->func->type->func.results.empty()) {
      print_error(
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
      print_error(fmt::format("{}: no exported function \"{}\"{}", options_.file,
                              printable(options_.invoke), function_list(*instance.module)));
      return kFailure;
    }
    const wasm::FuncType& type = e->func->type->func;
    if (guest_args_.size() != type.params.size()) {
      print_error(fmt::format("{}: \"{}\" takes {} argument{} {}, got {}", options_.file,
                              printable(options_.invoke), type.params.size(),
                              type.params.size() == 1 ? "" : "s", type_list(type.params),
                              guest_args_.size()));
      hint_at_misplaced_option();
      return kFailure;
    }
    std::vector<Value> args;
    for (size_t i = 0; i < guest_args_.size(); ++i) {
      const std::optional<Value> value = parse_value(*store_, type.params[i], guest_args_[i]);
      if (!value) {
        print_error(fmt::format("argument {} of \"{}\": '{}' is not a value of type {} ({})", i + 1,
                                printable(options_.invoke), printable(guest_args_[i]),
                                std::string_view(wasm::to_string(type.params[i])),
                                value_example(type.params[i])));
        hint_at_misplaced_option();
        return kFailure;
      }
      args.push_back(*value);
    }
    Result<Vec<Value>> results = store_->call(e->func, args);
    if (!results) return finish(failed(results.error()));
    std::string out;
    for (const Value& value : *results) out += print_value(*store_, value) + "\n";
    return write_stdout(out) ? kSuccess : kFailure;
  }

  // Reports what went wrong; gives the exit code. proc_exit is no error.
  int failed(const Error& error) {
    if (error.kind != ErrorKind::Trap) {
      print_error(fmt::format("{}: {}", options_.file, printable(error.message)));
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
        print_error(fmt::format("{}: out of fuel (limit {})", options_.file, *options_.fuel));
        break;
      case TrapCode::UncaughtException:
      case TrapCode::HostError:
        print_error(fmt::format("{}: {}", options_.file, printable(error.message)));
        break;
      default:
        print_error(fmt::format("{}: trap: {}", options_.file, printable(error.message)));
    }
    print_backtrace(trap.backtrace);
    return kTrap;
  }

  void print_backtrace(std::span<const runtime::BacktraceFrame> frames) const {
    // Deep recursion: both ends tell more than the middle.
    constexpr size_t kHead = 30, kTail = 10;
    const std::string stem = std::filesystem::path(options_.file).stem().string();
    const Style& style = err_style();
    std::string out;
    for (size_t i = 0; i < frames.size(); ++i) {
      if (frames.size() > kHead + kTail + 1 && i == kHead) {
        const size_t left_out = frames.size() - kHead - kTail;
        out += fmt::format("  {}... {} frames left out{}\n", style.dim, left_out, style.reset);
        i += left_out;
      }
      const runtime::BacktraceFrame& f = frames[i];
      // Without a module name the file's own does, if there is only one module.
      std::string module = printable(f.module_name);
      if (module.empty() && options_.preloads.empty()) module = stem;
      const std::string function =
          f.func_name.empty() ? fmt::format("func[{}]", f.func_index) : printable(f.func_name);
      out += fmt::format("  {:>2}: {}{}{}{}{}", i, module, module.empty() ? "" : "!", style.bold,
                         function, style.reset);
      if (f.inlined) out += " (inlined)";
      if (f.module_offset) out += fmt::format(" 0x{:x}", f.module_offset);
      if (!f.source.empty()) out += fmt::format(" {}", printable(f.source));
      out += '\n';
    }
    (void)std::fputs(out.c_str(), stderr);
  }
};

}  // namespace

void add_run(CLI::App& app, Context& context) {
  auto options = std::make_shared<RunOptions>();
  RunOptions& o = *options;
  CLI::App& run = *app.add_subcommand("run", "Run a program, or call one function of a module");

  const auto size_option = [&run](const std::string& name, std::optional<uint64_t>& into,
                                  const std::string& text) {
    run.add_option_function<std::string>(
           name,
           [name, &into](const std::string& value) {
             into = parse_size(value);
             if (!into)
               throw CLI::ValidationError(name, "'" + value + "' is not a size (4096, 64M, 1GiB)");
           },
           text)
        ->type_name("SIZE");
  };

  run.add_option("--invoke", o.invoke, "Call this export; ARGS are its arguments, by its types")
      ->type_name("NAME");
  run.add_option("--argv0", o.argv0, "The program's own name, instead of FILE's")
      ->type_name("NAME");
  run.add_option("--dir", o.dirs, "Let the program use a directory (repeatable)")
      ->type_name("HOST[::GUEST]")
      ->allow_extra_args(false);
  run.add_option("--ro-dir", o.read_only_dirs, "The same, without changing anything in it")
      ->type_name("HOST[::GUEST]")
      ->allow_extra_args(false);
  run.add_option("--env", o.env, "Set a variable, or pass one on (repeatable)")
      ->type_name("NAME[=VALUE]")
      ->allow_extra_args(false);
  run.add_flag("--inherit-env", o.inherit_env, "Pass on all variables");
  run.add_option("--preload", o.preloads, "Module that others can import as NAME (repeatable)")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false)
      ->check(CLI::Validator(
          [](const std::string& text) {
            const size_t equals = text.find('=');
            return equals == 0 || equals == std::string::npos || equals + 1 == text.size()
                       ? "'" + text + "' is not NAME=FILE"
                       : std::string();
          },
          ""));
  run.add_option("--tcplisten", o.tcp_listen, "Give the program a socket that listens here")
      ->type_name("ADDRESS:PORT")
      ->allow_extra_args(false);
  run.add_option("--listenfd", o.listen_fds, "Give the program an inherited listening socket")
      ->type_name("FD")
      ->allow_extra_args(false);

  const std::string limits = "Limits";
  run.add_option("--fuel", o.fuel, "Stop after about this many instructions")
      ->type_name("N")
      ->group(limits);
  run.add_option_function<std::string>(
         "--timeout",
         [&o](const std::string& value) {
           o.timeout = parse_duration(value);
           o.timeout_text = value;
           if (!o.timeout)
             throw CLI::ValidationError("--timeout",
                                        "'" + value + "' is not a duration (500ms, 2s, 1m)");
         },
         "Stop after this time")
      ->type_name("DURATION")
      ->group(limits);
  size_option("--max-memory", o.max_memory, "Ceiling on each linear memory");
  size_option("--max-gc-heap", o.max_gc_heap, "Ceiling on garbage-collected objects");
  size_option("--stack-size", o.stack_size, "WebAssembly call stack (default 1M)");
  for (const char* name : {"--max-memory", "--max-gc-heap", "--stack-size"})
    run.get_option(name)->group(limits);
  run.add_option("--max-table", o.max_table, "Ceiling on each table's elements")
      ->type_name("N")
      ->group(limits);

  run.add_flag("--trap-on-unknown-imports", o.trap_on_unknown,
               "Missing functions fail when they are called, not before");
  o.tier.add_to(run);
  o.tier.use_cache = true;
  run.add_flag_callback(
         "--no-cache", [&o] { o.tier.use_cache = false; }, "Compile again, and keep nothing")
      ->group("Code");
  run.add_flag_callback("--perf-map", compiler::enable_perf_map,
                        "List code in /tmp/perf-PID.map, for perf")
      ->group("Code");
  run.add_flag_callback("--debugger", compiler::enable_debugger,
                        "Name code to an attached debugger (GDB)")
      ->group("Code");
  run.add_option("--cache-dir", o.tier.cache_folder, "Where compiled code is kept between runs")
      ->type_name("DIR")
      ->group("Code");
  run.add_option_function<std::string>(
         "--cache-size",
         [&o](const std::string& value) {
           const std::optional<uint64_t> size = parse_size(value);
           if (!size)
             throw CLI::ValidationError("--cache-size",
                                        "'" + value + "' is not a size (4096, 64M, 1GiB)");
           o.tier.cache_bytes = *size;
         },
         "Bound of that folder (default 1G)")
      ->type_name("SIZE")
      ->group("Code");
  o.features.add_to(run);
  run.add_flag("-v,--verbose", o.verbose, "Say what happens on standard error");
  run.add_option("FILE", o.file, "Module, binary or text; - for standard input")->required();
  // Declared for the help text: run_tool() takes everything after FILE away.
  run.add_option("ARGS", o.unused_args, "The program's arguments");
  run.callback([options, &context] {
    context.action = [options, &context] { return Runner(*options, context).run(); };
  });
}

}  // namespace wafer::cli
