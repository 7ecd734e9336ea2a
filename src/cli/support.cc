#include "cli/support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cli/suggest.h"
#include "component/component.h"
#include "wasm/cursor.h"
#include "wat/wat.h"

namespace wafer::cli {

// ---- Terminal ---------------------------------------------------------------

namespace {

constexpr Style kPlain{};
constexpr Style kColour{"\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m",
                        "\x1b[1m",  "\x1b[2m",  "\x1b[0m"};

const Style& style_for(int fd) {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  if (no_colour && *no_colour) return kPlain;
  if (term && std::string_view(term) == "dumb") return kPlain;
  return isatty(fd) ? kColour : kPlain;
}

void print_line(std::string_view colour, std::string_view label, std::string_view message) {
  // One line, whatever the message holds, and nothing that a terminal obeys.
  std::string flat(message);
  for (char& c : flat)
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  std::fflush(stdout);
  print_note(fmt::format("{}{}:{} {}", colour, label, err_style().reset, printable(flat)));
}

std::string system_message(std::string_view what, std::string_view path) {
  return fmt::format("{} {}: {}", what, path, std::strerror(errno));
}

}  // namespace

const Style& err_style() {
  static const Style& style = style_for(STDERR_FILENO);
  return style;
}
const Style& out_style() {
  static const Style& style = style_for(STDOUT_FILENO);
  return style;
}

void print_error(std::string_view message) { print_line(err_style().red, "error", message); }
void print_warning(std::string_view message) { print_line(err_style().yellow, "warning", message); }

void print_note(std::string_view line) {
  // Standard error may be closed: nobody to tell then.
  const std::string text = std::string(line) + "\n";
  (void)std::fwrite(text.data(), 1, text.size(), stderr);
}

bool write_stdout(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0)
    return true;
  print_error(system_message("cannot write", "standard output"));
  return false;
}

// ---- Input ------------------------------------------------------------------

std::optional<ModuleInput> open_module(std::string_view path, wasm::FeatureSet features) {
  Result<Input> input = Input::open(path, Input::Content::Module);
  if (!input) {
    print_error(input.error().message);
    return std::nullopt;
  }
  return module_of(*std::move(input), features);
}

std::optional<ModuleInput> module_of(Input input, wasm::FeatureSet features) {
  Result<ModuleInput> module = program::to_module(std::move(input), features);
  if (module) return *std::move(module);
  print_error(module.error().message);
  return std::nullopt;
}

std::string told_binary(const Input& input, std::string_view wanted) {
  const Bytes bytes = input.bytes();
  const bool code = input.is_code();
  if (!code && !component::is_binary(bytes)) return {};
  return fmt::format("{}: is {}; {} was expected (`wafer wasm2wat` prints it as text)",
                     input.path(),
                     code                             ? "machine code"
                     : component::is_component(bytes) ? "a component in binary form"
                                                      : "a module in binary form",
                     wanted);
}

void print_module_error(const ModuleInput& in, const Error& error) {
  print_error(in.describe(error));
}

// ---- Output -----------------------------------------------------------------

bool write_output(const std::string& path, std::string_view data) {
  if (path == "-") {
    return write_stdout(data);
  }
  // What is not a regular file (/dev/null, a pipe) is written in place.
  struct stat st{};
  const bool exists = stat(path.c_str(), &st) == 0;
  const bool in_place = exists && !S_ISREG(st.st_mode);
  std::string temporary = in_place ? path : path + ".XXXXXX";
  const int fd =
      in_place ? ::open(path.c_str(), O_WRONLY | O_CLOEXEC) : mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) {
    print_error(system_message("cannot write", path));
    return false;
  }
  if (!in_place) {
    const mode_t mask = umask(0);
    umask(mask);
    (void)fchmod(fd, exists ? st.st_mode & 0777 : 0666 & ~mask);
  }
  bool ok = true;
  for (size_t done = 0; done < data.size();) {
    const ssize_t n = write(fd, data.data() + done, data.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      ok = false;
      break;
    }
    done += size_t(n);
  }
  int saved = errno;
  if (close(fd) != 0 && ok) {
    saved = errno;
    ok = false;
  }
  if (ok && !in_place && std::rename(temporary.c_str(), path.c_str()) != 0) {
    saved = errno;
    ok = false;
  }
  if (!ok) {
    if (!in_place) unlink(temporary.c_str());
    errno = saved;
    print_error(system_message("cannot write", path));
  }
  return ok;
}

// ---- Words ------------------------------------------------------------------

std::optional<uint64_t> parse_size(std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, status] = std::from_chars(text.data(), end, value);
  if (status != std::errc() || rest == text.data()) return std::nullopt;
  std::string unit(rest, end);
  for (char& c : unit) c = char(std::tolower(static_cast<unsigned char>(c)));
  if (unit.ends_with("ib"))
    unit.resize(unit.size() - 2);
  else if (unit.ends_with("b"))
    unit.resize(unit.size() - 1);
  unsigned shift = 0;
  if (unit == "k")
    shift = 10;
  else if (unit == "m")
    shift = 20;
  else if (unit == "g")
    shift = 30;
  else if (unit == "t")
    shift = 40;
  else if (!unit.empty())
    return std::nullopt;
  if (shift && value > (~uint64_t{0} >> shift)) return std::nullopt;
  return value << shift;
}

std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, status] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (status != std::errc() || rest == text.data() || !(value >= 0)) return std::nullopt;
  const std::string_view unit(rest, size_t(end - rest));
  double scale = 0;
  if (unit == "ns")
    scale = 1;
  else if (unit == "us")
    scale = 1e3;
  else if (unit == "ms")
    scale = 1e6;
  else if (unit == "s" || unit.empty())
    scale = 1e9;
  else if (unit == "m" || unit == "min")
    scale = 60e9;
  else if (unit == "h")
    scale = 3600e9;
  else
    return std::nullopt;
  const double nanoseconds = value * scale;
  if (nanoseconds > 9e18) return std::nullopt;
  return std::chrono::nanoseconds(int64_t(nanoseconds));
}

namespace {

struct FeatureName {
  std::string_view name;
  wasm::Feature feature;
};
constexpr FeatureName kFeatures[] = {
    {"reference-types", wasm::Feature::ReferenceTypes},
    {"function-references", wasm::Feature::FunctionReferences},
    {"gc", wasm::Feature::GC},
    {"exceptions", wasm::Feature::Exceptions},
    {"legacy-exceptions", wasm::Feature::LegacyExceptions},
    {"tail-call", wasm::Feature::TailCall},
    {"memory64", wasm::Feature::Memory64},
    {"multi-memory", wasm::Feature::MultiMemory},
    {"extended-const", wasm::Feature::ExtendedConst},
    {"simd", wasm::Feature::Simd},
    {"relaxed-simd", wasm::Feature::RelaxedSimd},
    {"threads", wasm::Feature::Threads},
    {"custom-page-sizes", wasm::Feature::CustomPageSizes},
    {"wide-arithmetic", wasm::Feature::WideArithmetic},
    {"custom-descriptors", wasm::Feature::CustomDescriptors},
    {"compact-imports", wasm::Feature::CompactImports},
    {"stack-switching", wasm::Feature::StackSwitching},
};

}  // namespace

std::string_view feature_name(wasm::Feature feature) {
  for (const FeatureName& f : kFeatures)
    if (f.feature == feature) return f.name;
  return "core";
}

std::optional<wasm::Feature> feature_from_name(std::string_view name) {
  for (const FeatureName& f : kFeatures)
    if (f.name == name) return f.feature;
  return std::nullopt;
}

std::vector<std::string> feature_names() {
  std::vector<std::string> names{"all"};
  for (const FeatureName& f : kFeatures) names.emplace_back(f.name);
  for (unsigned f = 0; f < unsigned(component::Feature::None); ++f)
    names.emplace_back(component::feature_option(component::Feature(f)));
  return names;
}

void FeatureOptions::add_to(CLI::App& command) {
  const std::string names = fmt::format("{}", fmt::join(feature_names(), ", "));
  const auto check = [names](const std::string& name) -> std::string {
    if (name == "all" || feature_from_name(name) || component::feature_of_option(name)) return {};
    return fmt::format("unknown feature '{}'{}; there are {}", name,
                       did_you_mean(name, feature_names()), names);
  };
  command.add_option("--enable", enable, "Turn features on: " + names)
      ->type_name("FEATURE")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Validator(check, ""));
  command.add_option("--disable", disable, "Turn features off")
      ->type_name("FEATURE")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Validator(check, ""));
}

wasm::FeatureSet FeatureOptions::get(wasm::FeatureSet base) const {
  const auto apply = [&base](const std::vector<std::string>& names, bool on) {
    for (const std::string& name : names) {
      for (const FeatureName& f : kFeatures)
        if (name == "all" || name == f.name) base.set(f.feature, on);
    }
  };
  apply(enable, true);
  apply(disable, false);
  return base;
}

}  // namespace wafer::cli
