// Names of WIT as those of C and C++.
#pragma once

#include <string>
#include <string_view>

namespace wafer::bindgen {

// "read-all": read_all.
inline std::string snake(std::string_view name) {
  std::string out;
  for (const char c : name)
    out += c == '-' || c == '.' || c == '+' ? '_'
           : c >= 'A' && c <= 'Z'           ? static_cast<char>(c - 'A' + 'a')
                                            : c;
  return out;
}

// "read-all": ReadAll.
inline std::string pascal(std::string_view name) {
  std::string out;
  bool upper = true;
  for (const char c : name) {
    if (c == '-' || c == '.' || c == '+') {
      upper = true;
      continue;
    }
    out += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    upper = false;
  }
  return out;
}

// "read-all": READ_ALL.
inline std::string shout(std::string_view name) {
  std::string out = snake(name);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

// Words that C and C++ keep for themselves get a `_`.
inline std::string identifier(std::string_view name) {
  std::string out = snake(name);
  constexpr std::string_view kWords[] = {"alignas",      "alignof",
                                         "and",          "asm",
                                         "auto",         "bool",
                                         "break",        "case",
                                         "catch",        "char",
                                         "class",        "const",
                                         "continue",     "default",
                                         "delete",       "do",
                                         "double",       "else",
                                         "enum",         "explicit",
                                         "export",       "extern",
                                         "false",        "float",
                                         "for",          "friend",
                                         "goto",         "if",
                                         "inline",       "int",
                                         "long",         "mutable",
                                         "namespace",    "new",
                                         "not",          "nullptr",
                                         "operator",     "or",
                                         "private",      "protected",
                                         "public",       "register",
                                         "requires",     "restrict",
                                         "return",       "short",
                                         "signed",       "sizeof",
                                         "static",       "struct",
                                         "switch",       "template",
                                         "this",         "throw",
                                         "true",         "try",
                                         "typedef",      "typeid",
                                         "typename",     "typeof",
                                         "union",        "unsigned",
                                         "using",        "virtual",
                                         "void",         "volatile",
                                         "while",        "xor",
                                         "concept",      "co_await",
                                         "co_return",    "co_yield",
                                         "constexpr",    "consteval",
                                         "constinit",    "decltype",
                                         "noexcept",     "static_assert",
                                         "thread_local", "wchar_t",
                                         "errno",        "ret",
                                         "err",          "assert",
                                         "and_eq",       "bitand",
                                         "bitor",        "compl",
                                         "not_eq",       "or_eq",
                                         "xor_eq",       "char8_t",
                                         "char16_t",     "char32_t",
                                         "const_cast",   "static_cast",
                                         "dynamic_cast", "reinterpret_cast"};
  for (std::string_view w : kWords)
    if (out == w) return out + "_";
  return out;
}

}  // namespace wafer::bindgen
