// `wafer wast`: runs scripts of the reference test suite, several at a time.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <mutex>
#include <thread>

#include "cli/component.h"
#include "cli/support.h"
#include "cli/tiers.h"
#include "cli/wast_runner.h"

namespace wafer::cli {

namespace {

struct WastOptions {
  TierChoice tier;
  compiler::OwnedTier made_tier;
  std::vector<std::string> paths;
  std::string skip_file;
  unsigned jobs = 0;
  bool lenient = false, roundtrip = false, quiet = false, verbose = false;
  FeatureOptions features;
};

// One line of a skip list: "FILE:LINE reason", or "FILE reason" for all of it.
struct Skip {
  std::string file;
  uint32_t line = 0;  // 0: the whole file
};

// Prints the error line on failure.
bool read_skips(const std::string& path, std::vector<Skip>& skips) {
  Result<Input> input = Input::open(path);
  if (!input) {
    print_error(input.error().message);
    return false;
  }
  size_t number = 0;
  std::string_view rest = input->text();
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++number;
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos || line[begin] == '#') continue;
    line.remove_prefix(begin);
    const std::string_view where = line.substr(0, line.find_first_of(" \t\r"));
    Skip skip;
    const size_t colon = where.rfind(':');
    skip.file = where.substr(0, colon);
    if (colon != std::string_view::npos) {
      const std::string digits(where.substr(colon + 1));
      skip.line = uint32_t(std::strtoul(digits.c_str(), nullptr, 10));
      if (skip.line == 0) {
        print_error(fmt::format("{}:{}: expected FILE:LINE and a reason", path, number));
        return false;
      }
    }
    skips.push_back(std::move(skip));
  }
  return true;
}

// True if the path `file` ends in the whole components of `name`.
bool names_file(std::string_view file, std::string_view name) {
  if (!file.ends_with(name)) return false;
  return file.size() == name.size() || file[file.size() - name.size() - 1] == '/';
}

bool in_folder(const std::string& path, std::string_view folder) {
  for (const auto& part : std::filesystem::path(path).parent_path())
    if (part == folder) return true;
  return false;
}

bool collect(const std::string& path, std::vector<std::string>& files) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    files.push_back(path);
    return true;
  }
  const size_t first = files.size();
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path, error))
    if (entry.path().extension() == ".wast") files.push_back(entry.path().string());
  if (error) {
    print_error(fmt::format("cannot read {}: {}", path, error.message()));
    return false;
  }
  std::sort(files.begin() + ptrdiff_t(first), files.end());
  return true;
}

struct FileResult {
  bool readable = true;
  bool skipped = false;
  std::string error;
  ScriptReport report;
  std::string output;
};

FileResult run_file(const std::string& path, const WastOptions& o, const std::vector<Skip>& skips) {
  FileResult result;
  ScriptOptions script;
  // The legacy form of exception handling is on only where it is the subject:
  // elsewhere its opcodes have to be refused.
  wasm::FeatureSet base = wasm::FeatureSet::standard();
  if (in_folder(path, "legacy")) base.set(wasm::Feature::LegacyExceptions);
  script.features = o.features.get(base);
  script.component_features = component_features(o.features);
  script.lenient_messages = o.lenient;
  script.roundtrip = o.roundtrip;
  script.tier = o.made_tier.tier;
  script.signals = o.tier.compile.code.signals;
  for (const Skip& skip : skips) {
    if (!names_file(path, skip.file)) continue;
    if (skip.line == 0) {
      result.skipped = true;
      return result;
    }
    script.skip_lines.push_back(skip.line);
  }
  std::mutex printing;  // threads of the script print too
  if (o.verbose) {
    script.print = [&](std::string_view text) {
      const std::lock_guard lock(printing);
      result.output += text;
    };
  }
  Result<Input> input = Input::open(path, Input::Content::Module);
  if (!input) {
    result.readable = false;
    result.error = std::string_view(input.error().message);
    return result;
  }
  if (std::string found = told_binary(*input, "a script"); !found.empty()) {
    result.readable = false;
    result.error = std::move(found);
    return result;
  }
  result.report = run_script(input->text(), script);
  return result;
}

int run_wast(WastOptions& o) {
  std::vector<std::string> files;
  for (const std::string& path : o.paths)
    if (!collect(path, files)) return kFailure;
  std::vector<Skip> skips;
  if (!o.skip_file.empty() && !read_skips(o.skip_file, skips)) return kFailure;

  Result<compiler::OwnedTier> tier = o.tier.make();
  if (!tier) {
    print_error(tier.error().message);
    return kFailure;
  }
  o.made_tier = *tier;

  // Workers take files in order; results are printed in order as they complete.
  std::vector<std::optional<FileResult>> results(files.size());
  std::atomic<size_t> next{0};
  std::mutex mutex;
  size_t printed = 0;
  uint64_t passed = 0, failed = 0, skipped = 0, files_skipped = 0;
  const Style& style = out_style();
  const auto print_ready = [&] {
    for (; printed < files.size() && results[printed]; ++printed) {
      const std::string_view file = Input::name_of(files[printed]);
      FileResult& r = *results[printed];
      std::string out = std::move(r.output);
      if (!r.readable) {
        ++failed;
        out += fmt::format("{}error:{} {}\n", style.red, style.reset, r.error);
      } else if (r.skipped) {
        ++files_skipped;
        if (!o.quiet) out += fmt::format("{}: skipped\n", file);
      } else {
        passed += r.report.passed;
        failed += r.report.failed;
        skipped += r.report.skipped;
        for (const std::string& line : r.report.warnings)
          out += fmt::format("{}:{}: {}warning:{} {}\n", file, line.substr(0, line.find(": ")),
                             style.yellow, style.reset, line.substr(line.find(": ") + 2));
        for (const std::string& line : r.report.failures)
          out += fmt::format("{}{}:{}{}\n", style.red, file, line, style.reset);
        if (!o.quiet || r.report.failed) {
          out += fmt::format("{}: {} passed, {} failed", file, r.report.passed, r.report.failed);
          if (r.report.skipped) out += fmt::format(", {} skipped", r.report.skipped);
          out += '\n';
        }
      }
      write_stdout(out);
      r = FileResult();
    }
  };
  const auto work = [&] {
    for (size_t i; (i = next.fetch_add(1)) < files.size();) {
      FileResult result = run_file(files[i], o, skips);
      const std::lock_guard lock(mutex);
      results[i] = std::move(result);
      print_ready();
    }
  };
  unsigned jobs = o.jobs ? o.jobs : std::max(1u, std::thread::hardware_concurrency());
  jobs = unsigned(std::min<size_t>(jobs, files.size()));
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < jobs; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();

  std::string total = fmt::format("{}{} files: {} passed, {} failed{}", style.bold,
                                  files.size() - files_skipped, passed, failed, style.reset);
  if (skipped) total += fmt::format(", {} skipped", skipped);
  if (files_skipped) total += fmt::format(" ({} files skipped)", files_skipped);
  write_stdout(total + "\n");
  return failed ? kFailure : kSuccess;
}

}  // namespace

void add_wast(CLI::App& app, Context& context) {
  auto o = std::make_shared<WastOptions>();
  o->tier.name = "interp";
  o->tier.eager = true;
  CLI::App& command = *app.add_subcommand("wast", "Run test scripts of the specification");
  command
      .add_option("--skip", o->skip_file, "List of FILE:LINE (or FILE) whose failures are known")
      ->type_name("FILE");
  command.add_option("-j,--jobs", o->jobs, "Scripts to run at a time (default: all cores)")
      ->type_name("N");
  command.add_flag("--lenient-messages", o->lenient, "Only warn when an error's text differs");
  command.add_flag("--roundtrip", o->roundtrip, "Also print and parse again every valid module");
  command.add_flag("-q,--quiet", o->quiet, "Name only the files with failures");
  command.add_flag("-v,--verbose", o->verbose, "Show what scripts print");
  o->tier.add_to(command);
  o->features.add_to(command);
  command.add_option("FILE|DIR", o->paths, "Scripts, or folders of them")->required();
  command.callback([o, &context] { context.action = [o] { return run_wast(*o); }; });
}

}  // namespace wafer::cli
