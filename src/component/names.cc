#include "component/names.h"

#include <algorithm>

#include "base/semver.h"

namespace wafer::component {

namespace {

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool fail(std::string* why, std::string text) {
  if (why) *why = std::move(text);
  return false;
}

bool is_words(std::string_view s) {
  return is_label(s) && std::none_of(s.begin(), s.end(), is_upper);
}

// A version without the parts that compatible ones may differ in: "1", "0.2", "0.0.1".
bool is_canonical_version(std::string_view v) {
  const auto number = [](std::string_view s) {
    return !s.empty() && s[0] != '0' && std::all_of(s.begin(), s.end(), is_digit);
  };
  if (v == "0.0.0") return true;
  if (v.starts_with("0.0.")) return number(v.substr(4));
  if (v.starts_with("0.")) return number(v.substr(2));
  return number(v);
}

}  // namespace

bool is_label(std::string_view name, std::string* why) {
  if (name.empty()) return fail(why, "identifiers cannot be empty");
  if (!is_lower(name[0]) && !is_upper(name[0]))
    return fail(why, "an identifier begins with a letter");
  while (true) {
    const size_t hyphen = name.find('-');
    const std::string_view word = name.substr(0, hyphen);
    if (word.empty()) return fail(why, "hyphens separate words");
    const bool upper = std::any_of(word.begin(), word.end(), is_upper);
    const bool lower = std::any_of(word.begin(), word.end(), is_lower);
    if (upper && lower) return fail(why, "a word is all lower or all upper case");
    if (!std::all_of(word.begin(), word.end(),
                     [](char c) { return is_lower(c) || is_upper(c) || is_digit(c); }))
      return fail(why, "invalid character");
    if (hyphen == name.npos) return true;
    name = name.substr(hyphen + 1);
  }
}

std::string unique_form(std::string_view name) {
  std::string out;
  // Annotations are left out but for those of names that may stand beside the plain one.
  size_t at = 0;
  while (at < name.size() && name[at] == '[') {
    const size_t end = name.find(']', at);
    if (end == name.npos) break;
    const std::string_view annotation = name.substr(at, end + 1 - at);
    if (annotation == "[constructor]" || annotation == "[set]") out += annotation;
    at = end + 1;
  }
  std::string rest;
  for (char c : name.substr(at))
    if (c != '-') rest += is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
  // A member named as its resource would be its constructor.
  const size_t dot = rest.find('.');
  if (at != 0 && dot != rest.npos && rest.substr(0, dot) == rest.substr(dot + 1))
    return rest.substr(0, dot);
  return out + rest;
}

const std::string* UniqueNames::add(std::string_view name) {
  auto [it, fresh] = names_.try_emplace(unique_form(name), name);
  return fresh ? nullptr : &it->second;
}

std::optional<ExternName> parse_extern_name(std::string_view name, const NameOptions& options,
                                            std::string* why) {
  const auto bad = [&](std::string text) {
    fail(why, "`" + std::string(name) + "` " + text);
    return std::nullopt;
  };
  ExternName out;
  std::string_view rest = name;
  const auto take = [&](std::string_view annotation) {
    if (!rest.starts_with(annotation)) return false;
    rest.remove_prefix(annotation.size());
    return true;
  };
  std::string reason;
  if (name.starts_with("[")) {
    if (take("[constructor]")) {
      out.kind = NameKind::Constructor;
      out.resource = rest;
      if (!is_label(rest, &reason)) return bad("is not in kebab case: " + reason);
      return out;
    }
    if (take("[method]"))
      out.kind = NameKind::Method;
    else if (take("[static]"))
      out.kind = NameKind::Static;
    if (options.accessors) {
      if (take("[get]"))
        out.accessor = NameAccessor::Get;
      else if (take("[set]"))
        out.accessor = NameAccessor::Set;
    }
    if (rest.starts_with("[")) return bad("is not a valid extern name");
    if (out.kind != NameKind::Label) {
      const size_t dot = rest.find('.');
      if (dot == rest.npos) return bad("is not a valid extern name: failed to find `.` character");
      out.resource = rest.substr(0, dot);
      rest = rest.substr(dot + 1);
      if (!is_label(out.resource, &reason)) return bad("is not in kebab case: " + reason);
    }
    out.label = rest;
    if (!is_label(rest, &reason)) return bad("is not in kebab case: " + reason);
    return out;
  }
  if (name.find(':') == name.npos) {
    out.label = rest;
    if (!is_label(rest, &reason)) return bad("is not in kebab case: " + reason);
    return out;
  }
  out.kind = NameKind::Interface;
  if (const size_t at = rest.find('@'); at != rest.npos) {
    out.version = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!is_semver(out.version) && !(options.canonical && is_canonical_version(out.version)))
      return bad("is not a valid extern name: `" + std::string(out.version) +
                 "` is not a valid semver");
  }
  const size_t slash = rest.find('/');
  if (slash == rest.npos) return bad("is not a valid extern name: expected `/` after package name");
  out.package = rest.substr(0, slash);
  std::string_view spaces = out.package, projections = rest.substr(slash + 1);
  size_t depth = 0;
  while (true) {
    const size_t colon = spaces.find(':');
    if (!is_words(spaces.substr(0, colon)))
      return bad("is not a valid extern name: `" + std::string(spaces.substr(0, colon)) +
                 "` is not in kebab case");
    if (colon == spaces.npos) break;
    ++depth;
    spaces = spaces.substr(colon + 1);
  }
  if (depth == 0 || (depth > 1 && !options.nested)) return bad("is not a valid extern name");
  while (true) {
    const size_t next = projections.find('/');
    out.label = projections.substr(0, next);
    if (!is_label(out.label, &reason))
      return bad("is not a valid extern name: `" + std::string(out.label) +
                 "` is not in kebab case");
    if (next == projections.npos) return out;
    if (!options.nested)
      return bad("is not a valid extern name: trailing characters found: `" +
                 std::string(projections.substr(next)) + "`");
    projections = projections.substr(next + 1);
  }
}

std::string_view common_name(std::string_view name) {
  const size_t at = name.find('@');
  if (at == name.npos) return name;
  // A canonical version ("0.2") is that already.
  const std::string_view version = name.substr(at + 1);
  return is_semver(version) ? name.substr(0, at + 1 + compatible_version(version).size()) : name;
}

std::string other_versions(std::string_view name, const std::vector<std::string_view>& there) {
  const std::string_view bare = name.substr(0, name.find('@'));
  std::string out;
  for (const std::string_view other : there)
    if (other != name && other.substr(0, other.find('@')) == bare)
      out += (out.empty() ? " (there is `" : ", `") + std::string(other) + "`";
  return out.empty() ? out : out + ")";
}

bool names_match(std::string_view wanted, std::string_view offered) {
  return wanted == offered || common_name(wanted) == common_name(offered);
}

}  // namespace wafer::component
