// What the subcommands share: input files, error lines, output files, units.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/span.h"
#include "program/console.h"
#include "program/input.h"
#include "program/text.h"
#include "wasm/module.h"

namespace CLI {
class App;
}

namespace wafer::cli {

// Exit codes of the tool itself; a guest's own code passes through.
enum ExitCode : int {
  kSuccess = program::kSuccess,
  kFailure = program::kFailure,
  kUsage = 2,  // a command line that makes no sense
  kTrap = program::kTrap,
};

// A subcommand's parsed command line ends in an action, which main() runs after
// parsing; its value is the exit code.
struct Context {
  std::function<int()> action;
  std::vector<std::string> guest_args;   // everything after FILE of `run`
  std::vector<std::string> run_options;  // "--name" of the options of `run`
};

// Adds each subcommand to the application.
void add_run(CLI::App& app, Context& context);
void add_serve(CLI::App& app, Context& context);
void add_compile(CLI::App& app, Context& context);
void add_validate(CLI::App& app, Context& context);
void add_wat2wasm(CLI::App& app, Context& context);
void add_wasm2wat(CLI::App& app, Context& context);
void add_inspect(CLI::App& app, Context& context);
void add_wast(CLI::App& app, Context& context);
void add_wit(CLI::App& app, Context& context);
void add_component(CLI::App& app, Context& context);
void add_bindgen(CLI::App& app, Context& context);
void add_images(CLI::App& app, Context& context);  // where images are built in
void add_completions(CLI::App& app, Context& context);

// What --version prints.
std::string version_text();

// The whole tool; main() without the process.
int run_tool(int argc, const char* const* argv);

// ---- Terminal ---------------------------------------------------------------

// ANSI sequences for one stream, or empty strings where colour is not wanted.
struct Style {
  std::string_view red, green, yellow, cyan, bold, dim, reset;
};
// For stderr and stdout: colour only on a terminal, and never with NO_COLOR set.
const Style& err_style();
const Style& out_style();

// "error: MESSAGE" on stderr, as one line.
void print_error(std::string_view message);
void print_warning(std::string_view message);

// One line on stderr. Like the others it takes no notice of a stderr that is closed.
void print_note(std::string_view line);

// Writes all of `text` to stdout; false, with an error line, if that failed.
bool write_stdout(std::string_view text);

// ---- Input ------------------------------------------------------------------

using program::Input;
using program::ModuleInput;
using program::printable;

// Opens `path` and parses it if it is text. On failure prints the error line.
std::optional<ModuleInput> open_module(std::string_view path, wasm::FeatureSet features);
// The same of what was read already.
std::optional<ModuleInput> module_of(Input input, wasm::FeatureSet features);

// The message for binary forms where text, `wanted`, was expected; empty if `input` is none.
std::string told_binary(const Input& input, std::string_view wanted);

// Prints the error line for `error` in the binary form of `in`.
void print_module_error(const ModuleInput& in, const Error& error);

// ---- Output -----------------------------------------------------------------

// Writes `data` to `path` ("-" is stdout). A file is written beside its place and
// renamed, so that a failure leaves nothing half-written. Prints the error line.
bool write_output(const std::string& path, std::string_view data);

// ---- Words ------------------------------------------------------------------

// "64M", "1GiB", "4096": bytes; decimal point not allowed.
std::optional<uint64_t> parse_size(std::string_view text);
// "500ms", "2s", "1.5m", "1h"; a bare number is seconds.
std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);

// Options --enable and --disable, shared by every command that decodes.
struct FeatureOptions {
  std::vector<std::string> enable, disable;
  void add_to(CLI::App& command);
  wasm::FeatureSet get(wasm::FeatureSet base = wasm::FeatureSet::standard()) const;
};
// Names that --enable and --disable take.
std::vector<std::string> feature_names();
// Name of a feature on the command line ("tail-call"), and back.
std::string_view feature_name(wasm::Feature feature);
std::optional<wasm::Feature> feature_from_name(std::string_view name);

}  // namespace wafer::cli
