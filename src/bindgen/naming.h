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
  constexpr std::string_view kWords[] = {
      "alignas", "alignof", "and", "asm", "auto", "bool", "break", "case", "catch", "char", "class",
      "const", "continue", "default", "delete", "do", "double", "else", "enum", "explicit",
      "export", "extern", "false", "float", "for", "friend", "goto", "if", "inline", "int", "long",
      "mutable", "namespace", "new", "not", "nullptr", "operator", "or", "private", "protected",
      "public", "register", "requires", "restrict", "return", "short", "signed", "sizeof", "static",
      "struct", "switch", "template", "this", "throw", "true", "try", "typedef", "typeid",
      "typename", "typeof", "union", "unsigned", "using", "virtual", "void", "volatile", "while",
      "xor", "concept", "co_await", "co_return", "co_yield", "constexpr", "consteval", "constinit",
      "decltype", "noexcept", "static_assert", "thread_local", "wchar_t", "errno", "ret", "err",
      "assert", "and_eq", "bitand", "bitor", "compl", "not_eq", "or_eq", "xor_eq", "char8_t",
      "char16_t", "char32_t", "const_cast", "static_cast", "dynamic_cast", "reinterpret_cast",
      // Macros and types of what bindings include.
      "alloca", "offsetof", "va_arg", "va_copy", "va_end", "va_start", "stdin", "stdout", "stderr",
      "unix", "linux", "i386", "int8_t", "uint8_t", "int16_t", "uint16_t", "int32_t", "uint32_t",
      "int64_t", "uint64_t", "size_t"};
  for (std::string_view w : kWords)
    if (out == w) return out + "_";
  return out;
}

// A name for files, and for a namespace that stands beside everything else: worlds that are called
// like what is there already get a `_`.
inline std::string world_identifier(std::string_view name) {
  std::string out = identifier(name);
  constexpr std::string_view kThere[] = {
      // Namespaces, and files that are written beside.
      "std", "wafer", "wit",
      // Headers of C, which files of this name would stand before.
      "complex", "ctype", "fcntl", "fenv", "inttypes", "iso646", "limits", "locale", "math",
      "memory", "poll", "pthread", "sched", "setjmp", "stdalign", "stdarg", "stdatomic", "stdbool",
      "stddef", "stdint", "stdio", "stdlib", "stdnoreturn", "string", "strings", "tgmath",
      "threads", "uchar", "unistd", "wchar", "wctype",
      // Functions of C and POSIX that headers may declare.
      "abort", "abs", "accept", "access", "acos", "alarm", "asctime", "asin", "atan", "atexit",
      "atof", "atoi", "atol", "bind", "calloc", "cbrt", "ceil", "chdir", "chmod", "chown", "clock",
      "close", "connect", "cos", "creat", "ctime", "difftime", "div", "dup", "environ", "erf",
      "exec", "exit", "exp", "fabs", "fclose", "floor", "fma", "fmax", "fmin", "fmod", "fopen",
      "fork", "fputs", "fread", "free", "fseek", "ftell", "fwrite", "gamma", "getc", "getchar",
      "getenv", "getline", "gets", "getw", "hypot", "index", "isalpha", "isatty", "isdigit", "j0",
      "j1", "jn", "kill", "labs", "ldiv", "link", "listen", "log", "logb", "lseek", "malloc",
      "memchr", "memcmp", "memcpy", "memmove", "memset", "mktime", "modf", "nan", "nice", "open",
      "pause", "perror", "pipe", "pow", "printf", "putc", "putchar", "putenv", "puts", "qsort",
      "raise", "rand", "random", "read", "realloc", "recv", "remove", "rename", "rewind", "rindex",
      "rint", "rmdir", "round", "scanf", "select", "send", "signal", "sin", "sinh", "sleep",
      "socket", "sqrt", "srand", "srandom", "stat", "strcat", "strchr", "strcmp", "strcpy",
      "strdup", "strlen", "strtod", "strtol", "swab", "symlink", "sync", "system", "tan", "tanh",
      "time", "timezone", "toascii", "tolower", "toupper", "trunc", "truncate", "ttyname", "tzset",
      "umask", "ungetc", "unlink", "usleep", "wait", "write", "y0", "y1", "yn", "main"};
  for (std::string_view t : kThere)
    if (out == t) return out + "_";
  return out;
}

// Comments of WIT as lines of C and C++, of which no part becomes code.
inline std::string docs(std::string_view text, const std::string& indent) {
  std::string out;
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    std::string line(text.substr(0, newline));
    // A `\r` ends a line, too; others have no place in a source.
    for (char& c : line)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    line.resize(line.find_last_not_of(' ') + 1);
    // It would go on in the next line (`??/` is a `\`).
    if (line.ends_with('\\') || line.ends_with("?\?/")) line += '.';
    out += indent + (line.empty() ? "//" : "// " + line) + "\n";
    if (newline == text.npos) break;
    text = text.substr(newline + 1);
  }
  return out;
}

}  // namespace wafer::bindgen
