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
#include "compiler/code_image.h"
#include "wasm/module.h"

namespace CLI {
class App;
}

namespace wafer::cli {

// Exit codes of the tool itself; a guest's own code passes through.
enum ExitCode : int {
  kSuccess = 0,
  kFailure = 1,  // bad input, a file that cannot be read or written
  kUsage = 2,    // a command line that makes no sense
  kTrap = 134,   // as a shell reports SIGABRT
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
void add_compile(CLI::App& app, Context& context);
void add_validate(CLI::App& app, Context& context);
void add_wat2wasm(CLI::App& app, Context& context);
void add_wasm2wat(CLI::App& app, Context& context);
void add_inspect(CLI::App& app, Context& context);
void add_wast(CLI::App& app, Context& context);
void add_wit(CLI::App& app, Context& context);
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

// The bytes of an input file: mapped, or read where that does not work (pipes, devices).
class Input {
 public:
  enum class Content : uint8_t { Module, Any };
  // Reads `path`, or standard input for "-", once and in order. Error kind Io. Where a module
  // is expected, no more than the beginning of what cannot be one may be read.
  static Result<Input> open(std::string_view path, Content content = Content::Any);
  Input(Input&& other) noexcept;
  Input& operator=(Input&&) = delete;
  ~Input();

  const std::string& path() const { return path_; }
  Bytes bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  // True if this is machine code of `wafer compile`.
  bool is_code() const;
  // True if the bytes are those of a file that can be opened again.
  bool is_mapped() const { return mapped_; }
  // True if this is the text format, going by the content and then the name.
  bool is_text() const;
  // "FILE:0x1f: message" for a binary, "FILE:3:14: message" for text.
  std::string describe(const Error& error, bool text) const;

 private:
  explicit Input(std::string_view path) : path_(path) {}
  std::string path_;
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
  bool mapped_ = false;
  std::vector<uint8_t> owned_;
};

// A module's binary form: the file itself, what its text encodes to, or what a file of
// machine code was made from.
struct ModuleInput {
  Input input;
  bool from_text = false;
  Vec<uint8_t> encoded;
  std::optional<compiler::ImageSummary> code;
  Bytes binary() const { return from_text ? Bytes(encoded) : code ? code->module : input.bytes(); }
};
// Opens `path` and parses it if it is text. On failure prints the error line.
std::optional<ModuleInput> open_module(std::string_view path, wasm::FeatureSet features);
// The same of what was read already.
std::optional<ModuleInput> to_module(Input input, wasm::FeatureSet features);

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

// `text` with control characters and invalid UTF-8 escaped, so that names from a
// module cannot write escape sequences to a terminal.
std::string printable(std::string_view text);

}  // namespace wafer::cli
