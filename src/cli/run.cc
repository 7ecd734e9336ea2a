// `wafer run`: instantiates a module with WASI and calls into it.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "cli/component.h"
#include "cli/grants.h"
#if WAFER_WITH_OCI
#include "cli/image.h"
#endif
#include "cli/suggest.h"
#include "cli/support.h"
#include "cli/tiers.h"
#include "compiler/profile.h"
#include "program/program.h"

namespace wafer::cli {

namespace {

struct RunOptions {
  std::string file;
#if WAFER_WITH_OCI
  PullOptions pull;
#endif
  std::vector<std::string> unused_args;  // only for the help text
  std::string invoke;
  std::optional<uint64_t> fuel;
  std::optional<std::chrono::nanoseconds> timeout;
  std::string timeout_text;
  std::optional<uint64_t> max_memory;
  std::optional<uint64_t> max_table;
  std::optional<uint64_t> max_gc_heap;
  std::optional<uint64_t> stack_size;
  GrantOptions grants;
  std::vector<std::string> preloads;
  std::vector<std::string> tcp_listen;
  std::vector<int> listen_fds;
  std::string argv0;
  bool trap_on_unknown = false;
  bool verbose = false;
  TierChoice tier;
  FeatureOptions features;
};

// Messages on standard error.
class Terminal final : public program::Console {
 public:
  explicit Terminal(const Context& context) : context_(context) {}
  void error(std::string_view message) override { print_error(message); }
  void warning(std::string_view message) override { print_warning(message); }
  void hint(std::string_view message) override { print_hint(message); }
  void note(std::string_view line) override { print_note(line); }
  std::string_view bold() const override { return err_style().bold; }
  std::string_view dim() const override { return err_style().dim; }
  std::string_view reset() const override { return err_style().reset; }

  // What follows FILE is the program's. If that looks like a mistake, says so.
  void arguments_unused() override {
    for (const std::string& word : context_.guest_args) {
      const std::string name = word.substr(0, word.find('='));
      const std::vector<std::string>& ours = context_.run_options;
      if (std::find(ours.begin(), ours.end(), name) == ours.end()) continue;
      print_hint(fmt::format(
          "'{}' comes after FILE and so belongs to the program: options of wafer stand before FILE",
          name));
      return;
    }
  }

 private:
  const Context& context_;
};

Result<wasi::P1Config> surroundings(const RunOptions& options, const Context& context) {
  wasi::P1Config config;
  config.args.push_back(options.argv0.empty()
                            ? std::filesystem::path(options.file).filename().string()
                            : options.argv0);
  config.args.insert(config.args.end(), context.guest_args.begin(), context.guest_args.end());
  WAFER_TRY(options.grants.fill(config));
  for (const std::string& address : options.tcp_listen) config.listeners.push_back({-1, address});
  for (const int fd : options.listen_fds) config.listeners.push_back({fd, {}});
  return config;
}

#if WAFER_WITH_OCI
// What an image says of its program; what the command line says comes after it.
void add_image(const ImageProgram& image, const RunOptions& options, wasi::P1Config& config) {
  config.args = image.args;
  if (!options.argv0.empty()) config.args[0] = options.argv0;
  std::vector<std::pair<std::string, std::string>> env;
  for (const std::string& variable : image.env)
    if (const size_t equals = variable.find('='); equals && equals != std::string::npos)
      env.emplace_back(variable.substr(0, equals), variable.substr(equals + 1));
  if (!image.cwd.empty() && image.cwd != "/") env.emplace_back("PWD", image.cwd);
  config.env.insert(config.env.begin(), env.begin(), env.end());
  // Many runs share the folder that it was unpacked to.
  if (!image.root.empty()) config.dirs.insert(config.dirs.begin(), {image.root, "/", true});
}
#endif

int run_program(const RunOptions& o, const Context& context) {
  Terminal terminal(context);
  program::Options options;
  options.file = Input::name_of(o.file);
  options.invoke = o.invoke;
  options.invoke_args = context.guest_args;
  for (const std::string& preload : o.preloads) {
    const size_t equals = preload.find('=');
    options.preloads.emplace_back(preload.substr(0, equals), preload.substr(equals + 1));
  }
  options.fuel = o.fuel;
  options.timeout = o.timeout;
  options.timeout_text = o.timeout_text;
  if (o.max_memory) options.limits.memory_bytes = *o.max_memory;
  if (o.max_table) options.limits.table_elements = *o.max_table;
  if (o.max_gc_heap) options.limits.gc_heap_bytes = size_t(*o.max_gc_heap);
  if (o.stack_size) options.stack_bytes = size_t(*o.stack_size);
  options.trap_on_unknown_imports = o.trap_on_unknown;
  options.verbose = o.verbose;
  options.features = o.features.get();
  options.component_features = component_features(o.features);
  options.make_tier = [&o] { return o.tier.make(); };
  options.code = o.tier.compile.code;
  program::Program program(options, terminal);
  std::string path = o.file;
#if WAFER_WITH_OCI
  if (const Result<void> checked = check_pull_options(o.file, o.pull); !checked) {
    print_error(checked.error().message);
    return kUsage;
  }
  std::optional<ImageProgram> image;
  if (names_image(o.file)) {
    Result<ImageProgram> opened = open_image(o.file, context.guest_args, o.pull);
    if (!opened) {
      print_error(opened.error().message);
      return kFailure;
    }
    image = *std::move(opened);
    path = image->artifact;
  }
#endif
  Result<Input> file = Input::open(path, Input::Content::Module);
  if (!file) {
    print_error(file.error().message);
    return kFailure;
  }
  Result<wasi::P1Config> given = surroundings(o, context);
  if (!given) {
    print_error(given.error().message);
    return kFailure;
  }
  options.surroundings = *std::move(given);
#if WAFER_WITH_OCI
  if (image) add_image(*image, o, options.surroundings);
#endif
  if (!program.load(*std::move(file))) return kFailure;
  const int code = program.run();
  if (program.busy()) {
    std::fflush(nullptr);
    _exit(code);
  }
  return code;
}

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
  o.grants.add_to(run);
  o.grants.add_devices_to(run);
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
#if WAFER_WITH_OCI
  add_pull_options(run, o.pull);
#endif
  run.add_option("FILE", o.file, "Module, binary or text; - for standard input; or an image")
      ->required();
  // Declared for the help text: run_tool() takes everything after FILE away.
  run.add_option("ARGS", o.unused_args, "The program's arguments");
  run.callback([options, &context] {
    context.action = [options, &context] { return run_program(*options, context); };
  });
}

}  // namespace wafer::cli
