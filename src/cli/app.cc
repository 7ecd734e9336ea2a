// The command line as a whole.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>

#include "cli/size.h"
#include "cli/suggest.h"
#include "cli/support.h"

namespace wafer::cli {

namespace {

std::vector<CLI::App*> commands_of(CLI::App& app) {
  return app.get_subcommands([](CLI::App*) { return true; });
}

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

CLI::App* find_command(CLI::App& app, const std::string& name) {
  for (CLI::App* command : commands_of(app))
    if (command->get_name() == name) return command;
  return nullptr;
}

std::vector<std::string> names_of(const std::vector<CLI::App*>& commands) {
  std::vector<std::string> names;
  for (const CLI::App* command : commands) names.push_back(command->get_name());
  return names;
}

// "--name" of every option.
std::vector<std::string> options_of(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

// What is wrong with the first option that `command` does not have; empty if it has all.
std::string unknown_option(const CLI::App& app, const CLI::App& command,
                           const std::vector<std::string>& words) {
  for (size_t i = 1; i < words.size() && words[i] != "--"; ++i) {
    const std::string word = words[i].substr(0, words[i].find('='));
    if (word.size() < 2 || word[0] != '-') continue;
    const bool is_long = word[1] == '-';
    // A value may begin with a dash, and short options may come in clusters.
    const CLI::Option* before = command.get_option_no_throw(words[i - 1]);
    if (before && takes_value(*before)) continue;
    if (command.get_option_no_throw(is_long ? word : word.substr(0, 2))) continue;
    std::vector<std::string> known = options_of(command);
    for (std::string& name : options_of(app)) known.push_back(std::move(name));
    return fmt::format("unknown option '{}'{}", word, is_long ? did_you_mean(word, known) : "");
  }
  return {};
}

std::string no_command(CLI::App& command, std::string_view full, const std::string& word) {
  return fmt::format("'{}' has no command '{}'{}", full, word,
                     did_you_mean(word, names_of(commands_of(command))));
}

// What is wrong with the word behind a command that has commands of its own; empty: nothing.
std::string unknown_command(CLI::App& app, CLI::App& command,
                            const std::vector<std::string>& words) {
  if (commands_of(command).empty() || words.size() < 2 || words[1].starts_with("-")) return {};
  const std::string& word = words[1];
  if (find_command(command, word)) return {};
  const std::string full = "wafer " + command.get_name();
  if (find_command(app, word))
    return fmt::format("'{}' is no command of '{}', but 'wafer {}' is one", word, full, word);
  return no_command(command, full, word);
}

void add_help(CLI::App& app, Context& context) {
  auto words = std::make_shared<std::vector<std::string>>();
  CLI::App& command = *app.add_subcommand("help", "Describe a command");
  command.add_option("COMMAND", *words,
                     "Command, with one of its own behind it; without, all are listed");
  command.callback([words, &app, &context] {
    context.action = [words, &app]() -> int {
      CLI::App* about = &app;
      std::string full = app.get_name();
      for (const std::string& word : *words) {
        CLI::App* const next = find_command(*about, word);
        if (!next) {
          print_error(no_command(*about, full, word));
          return kUsage;
        }
        about = next;
        full += " " + word;
      }
      // Not about->help(), which would describe this command.
      const std::string text =
          app.get_formatter()->make_help(about, full, CLI::AppFormatMode::Normal);
      return write_stdout(text) ? kSuccess : kFailure;
    };
  });
}

// CLI11 takes numbers below zero, and too large ones, for some number. Options that take one are
// those whose value is told as N.
void check_numbers(CLI::App& app) {
  const CLI::Validator whole(
      [](const std::string& text) {
        uint64_t value = 0;
        const char* const end = text.data() + text.size();
        const auto [rest, status] = std::from_chars(text.data(), end, value);
        return status == std::errc() && rest == end
                   ? std::string()
                   : fmt::format("'{}' is not a whole number", text);
      },
      "");
  for (CLI::App* command : commands_of(app)) check_numbers(*command);
  for (CLI::Option* option : app.get_options())
    if (option->get_type_name() == "N") option->check(whole);
}

}  // namespace

int run_tool(int argc, const char* const* argv) {
  Context context;
  CLI::App app{"Wafer: a WebAssembly runtime and toolkit", "wafer"};
  app.set_version_flag("-V,--version", std::function<std::string()>(version_text),
                       "Print version, commit and features, and exit");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  app.footer(
      "'wafer FILE ARGS...' is short for 'wafer run FILE ARGS...'.\n"
      "'wafer help COMMAND' describes a command.");
  add_run(app, context);
  add_serve(app, context);
  add_compile(app, context);
  add_validate(app, context);
  add_wat2wasm(app, context);
  add_wasm2wat(app, context);
  add_inspect(app, context);
  add_size(app, context);
  add_wast(app, context);
  add_wit(app, context);
  add_component(app, context);
  add_bindgen(app, context);
#if WAFER_WITH_OCI
  add_images(app, context);
#endif
  add_completions(app, context);
  add_help(app, context);
  check_numbers(app);
  context.run_options = options_of(*app.get_subcommand("run"));

  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty()) {
    std::fputs(app.help().c_str(), stderr);
    return kUsage;
  }
  const std::vector<CLI::App*> commands = commands_of(app);
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
      const std::string meant = did_you_mean(file, names_of(commands));
      print_error(fmt::format("'{}' is neither a command nor a file{}", file,
                              meant.empty() ? "; see 'wafer help'" : meant));
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
    CLI::App* const sub = find_command(app, words[0]);
    std::string unknown = sub ? unknown_option(app, *sub, words) : std::string();
    if (sub && unknown.empty()) unknown = unknown_command(app, *sub, words);
    print_error(fmt::format("{} (try '{} --help')", unknown.empty() ? e.what() : unknown, command));
    return kUsage;
  }
  return context.action ? context.action() : kUsage;
}

}  // namespace wafer::cli
