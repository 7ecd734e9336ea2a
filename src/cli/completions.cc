// `wafer completions`: shell scripts made from the command line's own
// description, so that they cannot fall behind it.
#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/support.h"
#include "cli/tiers.h"

namespace wafer::cli {

namespace {

struct OptionText {
  std::vector<std::string> shorts, longs;  // without dashes
  std::string description;
  std::string type;  // empty: a flag
  bool takes_value = false;
  std::vector<std::string> choices;  // the values, if they can be listed
};

enum class ValueKind { Other, File, Directory, Choice, ChoiceList };

// The values of a type that can be listed.
std::vector<std::string> choices(std::string_view type) {
  if (type == "TIER") return tier_names();
  if (type == "LEVEL") return {"0", "1", "2", "3"};
  if (type == "FEATURE") return feature_names();
  if (type == "CPU") return {"native", "baseline", "x86-64-v2", "x86-64-v3", "x86-64-v4"};
  if (type == "TARGET") return {"x86_64", "aarch64", "thumbv7em", "thumbv8m.main", "riscv32"};
  return {};
}

// The words of "{a,b}", in which a check tells what an option takes.
std::vector<std::string> checked_choices(std::string_view check) {
  std::vector<std::string> words;
  if (!check.starts_with('{') || !check.ends_with('}')) return words;
  check = check.substr(1, check.size() - 2);
  while (!check.empty()) {
    const size_t end = std::min(check.find(','), check.size());
    words.emplace_back(check.substr(0, end));
    check.remove_prefix(std::min(end + 1, check.size()));
  }
  return words;
}

std::string choice_words(const OptionText& option) {
  return fmt::format("{}", fmt::join(option.choices, " "));
}

ValueKind value_kind(const OptionText& option) {
  const std::string_view type = option.type;
  if (type == "FEATURE") return ValueKind::ChoiceList;  // parted by commas
  if (!option.choices.empty()) return ValueKind::Choice;
  if (type.find("FILE") != std::string_view::npos) return ValueKind::File;
  if (type.find("DIR") != std::string_view::npos || type.find("HOST") != std::string_view::npos)
    return ValueKind::Directory;
  return ValueKind::Other;
}

std::vector<OptionText> options_of(const CLI::App& app) {
  std::vector<OptionText> list;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) continue;
    OptionText text;
    text.shorts = option->get_snames();
    text.longs = option->get_lnames();
    text.description = option->get_description();
    text.takes_value = option->get_items_expected_max() > 0;
    // The type, and after a colon what checks say of themselves.
    if (text.takes_value) text.type = option->get_type_name();
    const size_t colon = std::min(text.type.size(), text.type.find(':'));
    text.choices = choices(text.type.substr(0, colon));
    if (text.choices.empty() && colon < text.type.size())
      text.choices = checked_choices(std::string_view(text.type).substr(colon + 1));
    text.type.resize(colon);
    list.push_back(std::move(text));
  }
  return list;
}

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

std::string command_names(const CLI::App& app) {
  std::string names;
  for (const CLI::App* command : commands_of(app))
    names += (names.empty() ? "" : " ") + command->get_name();
  return names;
}

// Options of a command and of its own subcommands, each name once.
std::vector<OptionText> all_options_of(const CLI::App& command) {
  std::vector<OptionText> out = options_of(command);
  for (const CLI::App* nested : commands_of(command)) {
    for (OptionText& o : options_of(*nested)) {
      const bool known = std::any_of(out.begin(), out.end(), [&](const OptionText& other) {
        return other.longs == o.longs && other.shorts == o.shorts;
      });
      if (!known) out.push_back(std::move(o));
    }
  }
  return out;
}

// `text` inside single quotes, escaped for a POSIX-like shell.
std::string single_quoted(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  }
  return out;
}

std::string bash(const CLI::App& app) {
  std::string commands, cases, values;
  for (const CLI::App* command : commands_of(app)) {
    commands += (commands.empty() ? "" : " ") + command->get_name();
    std::string words, with_value;
    for (const OptionText& o : all_options_of(*command)) {
      for (const std::string& name : o.shorts) words += " -" + name;
      for (const std::string& name : o.longs) words += " --" + name;
      if (!o.takes_value) continue;
      std::string pattern;
      for (const std::string& name : o.shorts) pattern += (pattern.empty() ? "-" : "|-") + name;
      for (const std::string& name : o.longs) pattern += (pattern.empty() ? "--" : "|--") + name;
      const ValueKind kind = value_kind(o);
      const std::string action =
          kind == ValueKind::File        ? "COMPREPLY=($(compgen -f -- \"$cur\"))"
          : kind == ValueKind::Directory ? "COMPREPLY=($(compgen -d -- \"$cur\"))"
          : kind == ValueKind::Choice
              ? fmt::format("COMPREPLY=($(compgen -W '{}' -- \"$cur\"))", choice_words(o))
          : kind == ValueKind::ChoiceList
              ? fmt::format("COMPREPLY=($(compgen -P \"$list\" -W '{}' -- \"${{cur##*,}}\"))",
                            choice_words(o))
              : "COMPREPLY=()";
      with_value += fmt::format("        {}) {}; return ;;\n", pattern, action);
    }
    if (command->get_name() == "completions") words += " bash zsh fish";
    if (command->get_name() == "help") words += " " + command_names(app);
    std::string first;
    if (const std::string nested = command_names(*command); !nested.empty())
      first = fmt::format(
          "if [ \"$COMP_CWORD\" -eq 2 ]; then COMPREPLY=($(compgen -W '{}' -- \"$cur\")); return; "
          "fi; ",
          nested);
    cases += fmt::format("    {}) {}words='{}' ;;\n", command->get_name(), first,
                         words.empty() ? words : words.substr(1));
    if (!with_value.empty()) {
      values += fmt::format("    {})\n      case \"$prev\" in\n{}      esac ;;\n",
                            command->get_name(), with_value);
    }
  }
  std::string top;
  for (const OptionText& o : options_of(app)) {
    for (const std::string& name : o.shorts) top += " -" + name;
    for (const std::string& name : o.longs) top += " --" + name;
  }
  return fmt::format(R"(# bash completion for wafer
_wafer() {{
  local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}"
  local command="${{COMP_WORDS[1]}}" words='' list=''
  # --option=VALUE comes as three words.
  if [ "$cur" = = ]; then
    cur=''
  elif [ "$prev" = = ] && [ "$COMP_CWORD" -ge 2 ]; then
    prev="${{COMP_WORDS[COMP_CWORD-2]}}"
  fi
  case "$cur" in *,*) list="${{cur%,*}}," ;; esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '{0}{1}' -- "$cur") $(compgen -f -- "$cur"))
    return
  fi
  case "$command" in
{2}  esac
  case "$command" in
{3}  esac
  case "$cur" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$cur")) ;;
    *)
      COMPREPLY=($(compgen -f -- "$cur"))
      if [ "$command" = completions ] || [ "$command" = help ]; then COMPREPLY=($(compgen -W "$words" -- "$cur")); fi ;;
  esac
}}
complete -o filenames -F _wafer wafer
)",
                     commands, top, values, cases);
}

// A description inside the brackets of an _arguments specification.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : single_quoted(text)) {
    if (c == '[' || c == ']' || c == ':') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_options(const std::vector<OptionText>& options, std::string_view indent) {
  std::string out;
  for (const OptionText& o : options) {
    std::string value;
    if (o.takes_value) {
      const ValueKind kind = value_kind(o);
      value = ":" + zsh_text(o.type) + ":" +
              (kind == ValueKind::File        ? "_files"
               : kind == ValueKind::Directory ? "_files -/"
               : kind == ValueKind::Choice    ? fmt::format("({})", choice_words(o))
               : kind == ValueKind::ChoiceList
                   ? fmt::format("_values -s , {} {}", o.type, choice_words(o))
                   : "");
    }
    const auto add = [&](const std::string& name) {
      out += fmt::format(" \\\n{}'*{}[{}]{}'", indent, name, zsh_text(o.description), value);
    };
    for (const std::string& name : o.shorts) add("-" + name);
    for (const std::string& name : o.longs) add("--" + name + (o.takes_value ? "=" : ""));
  }
  return out;
}

std::string zsh(const CLI::App& app) {
  std::string list, cases;
  for (const CLI::App* command : commands_of(app)) {
    list += fmt::format("    '{}:{}'\n", command->get_name(), zsh_text(command->get_description()));
    std::string rest = "'*:file:_files'";
    if (command->get_name() == "completions") rest = "'1:shell:(bash zsh fish)'";
    if (command->get_name() == "help") rest = fmt::format("'1:command:({})'", command_names(app));
    if (const std::string nested = command_names(*command); !nested.empty())
      rest = fmt::format("'1:command:({})' '*:file:_files'", nested);
    cases += fmt::format("    {}) _arguments{} \\\n        {} ;;\n", command->get_name(),
                         zsh_options(all_options_of(*command), "        "), rest);
  }
  return fmt::format(R"(#compdef wafer
_wafer() {{
  local -a commands
  commands=(
{0}  )
  if (( CURRENT == 2 )); then
    _describe command commands
    _files
    _arguments{1}
    return
  fi
  local command="$words[2]"
  shift words
  (( CURRENT-- ))
  case "$command" in
{2}    *) _files ;;
  esac
}}
if [ "$funcstack[1]" = _wafer ]; then
  _wafer "$@"
else
  compdef _wafer wafer
fi
)",
                     list, zsh_options(options_of(app), "      "), cases);
}

std::string fish(const CLI::App& app) {
  const auto quoted = [](std::string_view text) {
    std::string out = "'";
    for (const char c : text) {
      if (c == '\'' || c == '\\') out += '\\';
      out += c;
    }
    return out + "'";
  };
  const auto option_line = [&](std::string_view condition, const OptionText& o) {
    std::string line = fmt::format("complete -c wafer -n '{}'", condition);
    for (const std::string& name : o.shorts) line += " -s " + name;
    for (const std::string& name : o.longs) line += " -l " + name;
    if (o.takes_value) {
      const ValueKind kind = value_kind(o);
      line += kind == ValueKind::File        ? " -r -F"
              : kind == ValueKind::Directory ? " -x -a '(__fish_complete_directories)'"
              : kind == ValueKind::Choice    ? fmt::format(" -x -a '{}'", choice_words(o))
              : kind == ValueKind::ChoiceList
                  ? fmt::format(" -x -a '(__fish_append , {})'", choice_words(o))
                  : " -x";
    }
    return line + " -d " + quoted(o.description) + "\n";
  };
  std::string out = "# fish completion for wafer\n";
  for (const OptionText& o : options_of(app)) out += option_line("__fish_use_subcommand", o);
  for (const CLI::App* command : commands_of(app)) {
    out += fmt::format("complete -c wafer -n '__fish_use_subcommand' -a {} -d {}\n",
                       command->get_name(), quoted(command->get_description()));
    const std::string condition = "__fish_seen_subcommand_from " + command->get_name();
    for (const OptionText& o : all_options_of(*command)) out += option_line(condition, o);
    if (const std::string nested = command_names(*command); !nested.empty())
      out += fmt::format(
          "complete -c wafer -n '{0}; and not __fish_seen_subcommand_from {1}' -f -a '{1}'\n",
          condition, nested);
  }
  out += "complete -c wafer -n '__fish_seen_subcommand_from completions' -f -a 'bash zsh fish'\n";
  out += fmt::format("complete -c wafer -n '__fish_seen_subcommand_from help' -f -a '{}'\n",
                     command_names(app));
  return out;
}

}  // namespace

void add_completions(CLI::App& app, Context& context) {
  auto shell = std::make_shared<std::string>();
  CLI::App& command = *app.add_subcommand("completions", "Print a completion script for a shell");
  command.add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command.callback([shell, &app, &context] {
    context.action = [shell, &app] {
      const std::string script = *shell == "bash"  ? bash(app)
                                 : *shell == "zsh" ? zsh(app)
                                                   : fish(app);
      return write_stdout(script) ? kSuccess : kFailure;
    };
  });
}

}  // namespace wafer::cli
