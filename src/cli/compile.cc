// `wafer compile`: machine code ahead of time.
#include <CLI/CLI.hpp>
#include <filesystem>

#include "cli/support.h"
#include "cli/tiers.h"
#include "compiler/llvm_loader.h"
#include "wasm/decoder.h"

namespace wafer::cli {

namespace {

struct CompileCommand {
  std::string file, output;
  compiler::CompileOptions compile;
  FeatureOptions features;
  bool verbose = false;
};

int run_compile(const CompileCommand& o) {
  const wasm::FeatureSet features = o.features.get();
  const std::optional<ModuleInput> input = open_module(o.file, features);
  if (!input) return kFailure;
  wasm::DecodeOptions decode;
  decode.features = features;
  decode.copy_bytes = false;
  Result<std::shared_ptr<wasm::Module>> module = wasm::decode_module(input->binary(), decode);
  if (!module) {
    print_module_error(*input, module.error());
    return kFailure;
  }
  Result<compiler::Backend*> backend = compiler::load_llvm_backend();
  if (!backend) {
    print_error(backend.error().message);
    return kFailure;
  }
  const auto start = std::chrono::steady_clock::now();
  compiler::CompileOptions options = o.compile;
  options.code.guard_pages = options.code.signals;
  Result<compiler::ImageParts> parts = (*backend)->compile(**module, options, {});
  if (!parts) {
    print_error(fmt::format("{}: {}", o.file, std::string_view(parts.error().message)));
    return kFailure;
  }
  const Bytes binary = input->binary();
  parts->module.assign(binary.begin(), binary.end());
  const Vec<uint8_t> image = compiler::write_image(*parts);
  if (o.verbose) {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    print_note(fmt::format("wafer: compiled {}: {} bytes, {} of code, {:.2f} s", o.file,
                           binary.size(), parts->text.size(), took.count()));
  }
  std::string output = o.output;
  if (output.empty())
    output =
        o.file == "-" ? "-" : std::filesystem::path(o.file).replace_extension(".wcode").string();
  return write_output(output, {reinterpret_cast<const char*>(image.data()), image.size()})
             ? kSuccess
             : kFailure;
}

}  // namespace

void add_compile(CLI::App& app, Context& context) {
  auto o = std::make_shared<CompileCommand>();
  CLI::App& command =
      *app.add_subcommand("compile", "Translate a module to machine code, for wafer run");
  command.add_option("-o,--output", o->output, "Output (default FILE with .wcode; - is stdout)")
      ->type_name("FILE");
  command
      .add_option("--target", o->compile.target, "x86_64, aarch64, or a triple; else this machine")
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
  command.add_option("FILE", o->file, "Module, binary or text; - for standard input")->required();
  command.callback([o, &context] { context.action = [o] { return run_compile(*o); }; });
}

}  // namespace wafer::cli
