// The command line as a whole.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "cli/support.h"

namespace wafer::cli {

namespace {

// Does `option` take a value from the next word?
bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

// Splits the words after `run`: options of ours and FILE stay in `words`, all
// that follows FILE belongs to the guest and moves to `guest`.
void split_guest_args(const CLI::App& run, std::vector<std::string>& words,
                      std::vector<std::string>& guest) {
  size_t i = 1;  // words[0] is "run"
  for (; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.empty() || word[0] != '-' || word == "-") break;
    if (word == "--") {
      ++i;
      break;
    }
    const CLI::Option* option = nullptr;
    if (word.starts_with("--")) {
      if (word.find('=') != std::string::npos) continue;
      option = run.get_option_no_throw(word);
    } else {
      // -vO VALUE and -OVALUE: only the last letter of a cluster can take a value
      // from the next word.
      for (size_t c = 1; c < word.size(); ++c) {
        option = run.get_option_no_throw(std::string("-") + word[c]);
        if (option && takes_value(*option) && c + 1 < word.size()) {
          option = nullptr;  // the value is attached
          break;
        }
      }
    }
    if (option && takes_value(*option)) ++i;
  }
  if (i >= words.size()) return;
  // A "--" right after FILE is not the guest's: it says what is true anyway.
  const bool dashes = i + 1 < words.size() && words[i + 1] == "--";
  guest.assign(words.begin() + ptrdiff_t(i) + (dashes ? 2 : 1), words.end());
  words.resize(i + 1);
}

bool is_top_level_option(std::string_view word) {
  return word == "-h" || word == "--help" || word == "-V" || word == "--version";
}

}  // namespace

int run_tool(int argc, const char* const* argv) {
  Context context;
  CLI::App app{"Wafer: a WebAssembly runtime and toolkit", "wafer"};
  app.set_version_flag("-V,--version", "wafer " WAFER_VERSION, "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  app.footer(
      "'wafer FILE ARGS...' is short for 'wafer run FILE ARGS...'.\n"
      "'wafer COMMAND --help' describes a command.");
  add_run(app, context);
  add_compile(app, context);
  add_validate(app, context);
  add_wat2wasm(app, context);
  add_wasm2wat(app, context);
  add_inspect(app, context);
  add_wast(app, context);
  add_wit(app, context);
  add_completions(app, context);

  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty()) {
    std::fputs(app.help().c_str(), stderr);
    return kUsage;
  }
  const std::vector<CLI::App*> commands = app.get_subcommands([](CLI::App*) { return true; });
  const bool named = std::any_of(commands.begin(), commands.end(), [&](const CLI::App* command) {
    return command->get_name() == words[0];
  });
  if (!named && !is_top_level_option(words[0])) words.insert(words.begin(), "run");
  if (words[0] == "run") {
    const CLI::App& run = *app.get_subcommand("run");
    split_guest_args(run, words, context.guest_args);
    // A mistyped command is more likely than a file of that name.
    const std::string& file = words.back();
    if (!named && words.size() == 2 && file.find_first_of("./-") == std::string::npos &&
        access(file.c_str(), F_OK) != 0) {
      print_error(fmt::format("'{}' is neither a command nor a file; see 'wafer --help'", file));
      return kUsage;
    }
  }
  try {
    std::vector<std::string> reversed(words.rbegin(), words.rend());
    app.parse(std::move(reversed));
  } catch (const CLI::Success& e) {
    return app.exit(e);  // --help and --version
  } catch (const CLI::ParseError& e) {
    std::string command = "wafer";
    for (const CLI::App* sub : app.get_subcommands()) command += " " + sub->get_name();
    print_error(fmt::format("{} (try '{} --help')", e.what(), command));
    return kUsage;
  }
  return context.action ? context.action() : kUsage;
}

}  // namespace wafer::cli
