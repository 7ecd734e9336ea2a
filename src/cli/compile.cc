// `wafer compile`: machine code ahead of time.
#include <CLI/CLI.hpp>
#include <filesystem>

#include "cli/component.h"
#include "cli/tiers.h"
#include "compiler/code_bundle.h"
#include "compiler/llvm_loader.h"
#include "compiler/tiers/levels.h"
#include "component/run/precompile.h"
#include "wasm/decoder.h"

namespace wafer::cli {

namespace {

struct CompileCommand {
  std::string file, output;
  compiler::CompileOptions compile;
  FeatureOptions features;
  std::string format = "wcode";
  bool verbose = false;
};

// What there is to tell.
struct Compiled {
  size_t modules = 0, text = 0;
};

Result<Vec<uint8_t>> image_of(const wasm::Module& module, compiler::Backend& backend,
                              const compiler::CompileOptions& options, bool with_module,
                              Compiled& compiled) {
  WAFER_LET(parts, backend.compile(module, options, {}));
  if (with_module) parts.module.assign(module.bytes.begin(), module.bytes.end());
  ++compiled.modules;
  compiled.text += parts.text.size();
  return compiler::write_image(parts);
}

Result<std::shared_ptr<wasm::Module>> decoded(const ModuleInput& input, wasm::FeatureSet features) {
  wasm::DecodeOptions decode;
  decode.features = features;
  decode.copy_bytes = false;
  return wasm::decode_module(input.binary(), decode);
}

Result<Vec<uint8_t>> module_code(const ModuleInput& input, wasm::FeatureSet features,
                                 compiler::Backend& backend,
                                 const compiler::CompileOptions& options, Compiled& compiled) {
  WAFER_LET(module, decoded(input, features));
  return image_of(*module, backend, options, true, compiled);
}

// Code of a module that a microcontroller runs from flash.
Result<Vec<uint8_t>> module_in_place(const ModuleInput& input, wasm::FeatureSet features,
                                     compiler::Backend& backend,
                                     const compiler::CompileOptions& options, Compiled& compiled) {
  if (component::is_component(input.binary()))
    return Error(ErrorKind::Unsupported,
                 "code that runs in place is of modules, not of components");
  if (options.target.empty())
    return Error(ErrorKind::Usage, "--format xip needs a --target, such as thumbv7em");
  WAFER_LET(module, decoded(input, features));
  WAFER_LET(file, backend.compile_in_place(*module, options));
  ++compiled.modules;
  compiled.text += file.size();
  return std::move(file);
}

// All core modules of a component, and what calls between its parts go through.
Result<Vec<uint8_t>> component_code(const ModuleInput& input, const CompileCommand& o,
                                    compiler::Backend& backend,
                                    const compiler::CompileOptions& options, Compiled& compiled) {
  runtime::Config config;
  config.features = o.features.get();
  const auto engine = runtime::Engine::create(config, nullptr);
  component::DecodeOptions decode = component::options_for(*engine);
  decode.features = component_features(o.features);
  WAFER_LET(made, component::precompile(input.binary(), decode, [&](const wasm::Module& module) {
              return image_of(module, backend, options, false, compiled);
            }));
  return compiler::write_bundle(input.binary(), made);
}

int run_compile(const CompileCommand& o) {
  const wasm::FeatureSet features = o.features.get();
  const std::optional<ModuleInput> input = open_module(o.file, features);
  if (!input) return kFailure;
  const auto source = compiler::by_level(compiler::load_llvm_backend, o.compile.opt_level);
  const Result<compiler::Backend*> backend = source();
  if (!backend) {
    print_error(backend.error().message);
    return kFailure;
  }
  const auto start = std::chrono::steady_clock::now();
  compiler::CompileOptions options = o.compile;
  options.code.guard_pages = options.code.signals;
  Compiled compiled;
  const Result<Vec<uint8_t>> image =
      o.format == "xip" ? module_in_place(*input, features, **backend, options, compiled)
      : component::is_component(input->binary())
          ? component_code(*input, o, **backend, options, compiled)
          : module_code(*input, features, **backend, options, compiled);
  if (!image) {
    print_module_error(*input, image.error());
    return kFailure;
  }
  if (o.verbose) {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    print_note(
        fmt::format("wafer: compiled {}: {} bytes, {} of code{}, {:.2f} s", input->input.path(),
                    input->binary().size(), compiled.text,
                    compiled.modules == 1 ? "" : fmt::format(" for {} modules", compiled.modules),
                    took.count()));
  }
  std::string output = o.output;
  if (output.empty())
    output = o.file == "-"
                 ? "-"
                 : std::filesystem::path(o.file).replace_extension("." + o.format).string();
  return write_output(output, {reinterpret_cast<const char*>(image->data()), image->size()})
             ? kSuccess
             : kFailure;
}

}  // namespace

void add_compile(CLI::App& app, Context& context) {
  auto o = std::make_shared<CompileCommand>();
  CLI::App& command = *app.add_subcommand(
      "compile", "Translate a module or component to machine code, for wafer run");
  command
      .add_option("-o,--output", o->output,
                  "Output (default FILE with .wcode or .xip; - is stdout)")
      ->type_name("FILE");
  command
      .add_option("--format", o->format,
                  "wcode, for wafer run, or xip, for microcontrollers to run from flash")
      ->check(CLI::IsMember({"wcode", "xip"}))
      ->type_name("FORMAT");
  command
      .add_option("--target", o->compile.target,
                  "x86_64, aarch64, or a triple; else this machine. For xip thumbv7em, "
                  "thumbv8m.main or riscv32, which extensions may follow: riscv32imc")
      ->type_name("TARGET");
  command
      .add_option("--cpu", o->compile.cpu,
                  "native, baseline, or a name (default: native, for another --target baseline)")
      ->type_name("CPU");
  add_opt_level(command, o->compile);
  command.add_flag("--fuel", o->compile.code.fuel, "Code that counts, for wafer run --fuel");
  command.add_flag("--interruptible", o->compile.code.interruptible,
                   "Code that can be stopped, for wafer run --timeout");
  command.add_option("-j,--jobs", o->compile.threads, "Threads (default: all cores)")
      ->type_name("N");
  o->features.add_to(command);
  command.add_flag("-v,--verbose", o->verbose, "Say what was done on standard error");
  command.add_option("FILE", o->file, "Module or component, binary or text; - for standard input")
      ->required();
  command.callback([o, &context] { context.action = [o] { return run_compile(*o); }; });
}

}  // namespace wafer::cli
