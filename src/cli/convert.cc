// `wafer validate`, `wat2wasm` and `wasm2wat`.
#include <CLI/CLI.hpp>
#include <filesystem>

#include "cli/component.h"
#include "wasm/decoder.h"
#include "wat/wat.h"

namespace wafer::cli {

namespace {

struct ConvertOptions {
  std::vector<std::string> files;
  std::string file, output;
  bool no_names = false, no_check = false, offsets = false, fold = false, verbose = false;
  FeatureOptions features;
};

// Decodes and (with `validate`) validates; prints the error line on failure.
std::shared_ptr<wasm::Module> decode(const ModuleInput& input, wasm::FeatureSet features,
                                     bool validate) {
  wasm::DecodeOptions options;
  options.features = features;
  options.copy_bytes = false;
  options.validate = validate;
  Result<std::shared_ptr<wasm::Module>> module = wasm::decode_module(input.binary(), options);
  if (module) return *std::move(module);
  print_module_error(input, module.error());
  return nullptr;
}

// Validates a module or component; prints the error line on failure.
bool check(const ModuleInput& input, const ConvertOptions& o) {
  if (component::is_component(input.binary()))
    return decode_component(input, o.features) != nullptr;
  return decode(input, o.features.get(), true) != nullptr;
}

int validate(const ConvertOptions& o) {
  int code = kSuccess;
  for (const std::string& file : o.files) {
    const std::optional<ModuleInput> input = open_module(file, o.features.get());
    if (!input || !check(*input, o))
      code = kFailure;
    else if (o.verbose && !write_stdout(fmt::format("{}: valid\n", input->input.path())))
      return kFailure;
  }
  return code;
}

int wat2wasm(const ConvertOptions& o) {
  Result<Input> input = Input::open(o.file, Input::Content::Module);
  if (!input) {
    print_error(input.error().message);
    return kFailure;
  }
  if (const std::string found = told_binary(*input, "the text format"); !found.empty()) {
    print_error(found);
    return kFailure;
  }
  const wasm::FeatureSet features = o.features.get();
  Result<SourceBytes> encoded =
      wat::parse_wat(input->text(), {.features = features, .names = !o.no_names});
  if (!encoded) {
    print_error(input->describe(encoded.error(), true));
    return kFailure;
  }
  const ModuleInput module{*std::move(input), true, *std::move(encoded), {}};
  if (!o.no_check && !check(module, o)) return kFailure;
  const Bytes bytes = module.binary();
  std::string output = o.output;
  if (output.empty()) {
    output =
        o.file == "-" ? "-" : std::filesystem::path(o.file).replace_extension(".wasm").string();
  }
  return write_output(output, {reinterpret_cast<const char*>(bytes.data()), bytes.size()})
             ? kSuccess
             : kFailure;
}

int wasm2wat(const ConvertOptions& o) {
  const wasm::FeatureSet features = o.features.get();
  const std::optional<ModuleInput> input = open_module(o.file, features);
  if (!input) return kFailure;
  wat::PrintOptions print;
  print.names = !o.no_names;
  print.offsets = o.offsets;
  const bool is_component = component::is_component(input->binary());
  std::shared_ptr<wasm::Module> module;
  if (is_component) {
    if (!o.no_check && !decode_component(*input, o.features)) return kFailure;
  } else {
    module = decode(*input, features, !o.no_check);
    if (!module) return kFailure;
  }
  Result<String> text =
      is_component ? wat::print_component(input->binary(), print) : wat::print_wat(*module, print);
  if (!text) {
    print_module_error(*input, text.error());
    return kFailure;
  }
  return write_output(o.output.empty() ? "-" : o.output, *text) ? kSuccess : kFailure;
}

}  // namespace

void add_validate(CLI::App& app, Context& context) {
  auto o = std::make_shared<ConvertOptions>();
  CLI::App& command =
      *app.add_subcommand("validate", "Check that modules and components are valid");
  o->features.add_to(command);
  command.add_flag("-v,--verbose", o->verbose, "Name the valid files too");
  command
      .add_option("FILE", o->files, "Modules or components, binary or text; - for standard input")
      ->required();
  command.callback([o, &context] { context.action = [o] { return validate(*o); }; });
}

void add_wat2wasm(CLI::App& app, Context& context) {
  auto o = std::make_shared<ConvertOptions>();
  CLI::App& command = *app.add_subcommand("wat2wasm", "Translate text to the binary format");
  command.add_option("-o,--output", o->output, "Output (default FILE with .wasm; - is stdout)")
      ->type_name("FILE");
  command.add_flag("--no-names", o->no_names, "Leave out the name section");
  command.add_flag("--no-check", o->no_check, "Do not validate");
  o->features.add_to(command);
  command
      .add_option("FILE", o->file, "Module or component in the text format; - for standard input")
      ->required();
  command.callback([o, &context] { context.action = [o] { return wat2wasm(*o); }; });
}

void add_wasm2wat(CLI::App& app, Context& context) {
  auto o = std::make_shared<ConvertOptions>();
  CLI::App& command = *app.add_subcommand("wasm2wat", "Translate a binary to the text format");
  command.add_option("-o,--output", o->output, "Output (default -, standard output)")
      ->type_name("FILE");
  command.add_flag("--no-names", o->no_names, "Use indices instead of names");
  command.add_flag("--offsets", o->offsets, "Comment instructions with their byte offsets");
  command.add_flag("--no-check", o->no_check, "Do not validate");
  o->features.add_to(command);
  command.add_option("FILE", o->file, "Module or component; - for standard input")->required();
  command.callback([o, &context] { context.action = [o] { return wasm2wat(*o); }; });
}

}  // namespace wafer::cli
