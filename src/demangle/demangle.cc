#include "demangle/demangle.h"

#include <llvm/Demangle/Demangle.h>
#include <llvm/Demangle/ItaniumDemangle.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <utility>

namespace wafer {

namespace {

namespace itanium = llvm::itanium_demangle;

// Parsing recurses, at most once for a byte.
constexpr size_t kMostInput = 2048;
// Short names can stand for long ones: parts refer to earlier parts.
constexpr size_t kMostOutput = 16 << 10;
constexpr size_t kMostSteps = 1 << 16;

// ---- C++ (the Itanium ABI) --------------------------------------------------------------

// Memory of the parser, released at once.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { reset(); }

  void reset() {
    while (blocks_) {
      Block* const block = std::exchange(blocks_, blocks_->next);
      release(block, block->size);
    }
    left_ = 0;
  }
  template <class T, class... Args>
  T* makeNode(Args&&... args) {
    return new (take(sizeof(T))) T(std::forward<Args>(args)...);
  }
  void* allocateNodeArray(size_t count) { return take(count * sizeof(itanium::Node*)); }

 private:
  struct alignas(std::max_align_t) Block {
    Block* next;
    size_t size;
  };
  static constexpr size_t kBlock = 4096;
  Block* blocks_ = nullptr;
  char* free_ = nullptr;
  size_t left_ = 0;

  void* take(size_t size) {
    size = (size + alignof(std::max_align_t) - 1) & ~(alignof(std::max_align_t) - 1);
    if (size > left_) {
      const size_t bytes = std::max(kBlock, size) + sizeof(Block);
      blocks_ = new (allocate(bytes)) Block{blocks_, bytes};
      free_ = reinterpret_cast<char*>(blocks_ + 1);
      left_ = bytes - sizeof(Block);
    }
    left_ -= size;
    return std::exchange(free_, free_ + size);
  }
};

// Stops printing at the bounds.
class Printer final : public itanium::OutputBuffer {
 public:
  void printLeft(const itanium::Node& node) override {
    if (spend()) OutputBuffer::printLeft(node);
  }
  void printRight(const itanium::Node& node) override {
    if (spend()) OutputBuffer::printRight(node);
  }
  bool complete() const { return steps_ < kMostSteps && getCurrentPosition() < kMostOutput; }

 private:
  size_t steps_ = 0;
  bool spend() {
    if (!complete()) return false;
    ++steps_;
    return true;
  }
};

bool demangle_itanium(std::string_view name, String& out) {
  itanium::ManglingParser<Arena> parser(name.data(), name.data() + name.size());
  itanium::Node* const tree = parser.parse();
  if (!tree) return false;
  Printer printer;
  tree->print(printer);
  const bool good = printer.complete();
  if (good) out.assign(printer.getBuffer(), printer.getCurrentPosition());
  std::free(printer.getBuffer());
  return good;
}

// ---- Rust -------------------------------------------------------------------------------

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// "::h0123456789abcdef", with which legacy names end: their crate's version in disguise.
constexpr size_t kHash = 3 + 16;
bool has_hash(std::string_view path) {
  return path.size() > kHash && path.substr(path.size() - kHash, 3) == "::h" &&
         is_hex(path.substr(path.size() - 16));
}

// A character that `code` between dollars stands for: "LT", "u7b".
bool rust_escape(std::string_view code, char& out) {
  static constexpr std::pair<std::string_view, char> kNamed[] = {
      {"SP", '@'}, {"BP", '*'}, {"RF", '&'}, {"LT", '<'},
      {"GT", '>'}, {"LP", '('}, {"RP", ')'}, {"C", ','}};
  for (const auto& [name, c] : kNamed) {
    if (code != name) continue;
    out = c;
    return true;
  }
  if (code.size() != 3 || code[0] != 'u' || !is_hex(code.substr(1))) return false;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  out = char(digit(code[1]) * 16 + digit(code[2]));
  return out >= 0x20 && out < 0x7F;
}

// A path of legacy Rust names without its hash: escapes are resolved.
void unescape_rust(std::string_view path, String& out) {
  out.clear();
  for (size_t i = 0; i < path.size();) {
    const bool first = i == 0 || path[i - 1] == ':';
    const size_t end = path[i] == '$' ? path.find('$', i + 1) : std::string_view::npos;
    char c = 0;
    if (first && path.substr(i).starts_with("_$")) {
      ++i;  // so that the identifier begins with a letter
    } else if (end != std::string_view::npos && rust_escape(path.substr(i + 1, end - i - 1), c)) {
      out.push_back(c);
      i = end + 1;
    } else if (path.substr(i).starts_with("..")) {
      out += "::";
      i += 2;
    } else {
      out.push_back(path[i++]);
    }
  }
}

// "_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE": in the form of C++, for old tools.
bool demangle_rust_legacy(std::string_view name, String& out) {
  name.remove_prefix(3);
  String path;
  while (!name.empty() && name[0] != 'E') {
    size_t length = 0, digits = 0;
    while (digits < name.size() && digits < 5 && name[digits] >= '0' && name[digits] <= '9')
      length = length * 10 + size_t(name[digits++] - '0');
    if (digits == 0 || length == 0 || length > name.size() - digits) return false;
    if (!path.empty()) path += "::";
    path += name.substr(digits, length);
    name.remove_prefix(digits + length);
  }
  if (name.empty() || !has_hash(path)) return false;
  unescape_rust(std::string_view(path).substr(0, path.size() - kHash), out);
  return true;
}

// Bound of what the references of a v0 name ("B" and the place that is meant, in base 62)
// make of it: each repeats at most all that is between there and here.
bool rust_v0_is_bounded(std::string_view name) {
  uint32_t length_before[kMostInput + 1] = {};  // of all that comes before, expanded
  for (size_t i = 0; i < name.size(); ++i) {
    uint64_t here = 1;
    if (name[i] == 'B') {
      uint64_t place = 0;
      size_t at = i + 1;
      const size_t digits = at;
      for (; at < name.size() && at < digits + 3 && name[at] != '_'; ++at) {
        const char c = name[at];
        const int value = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'z' ? c - 'a' + 10
                          : c >= 'A' && c <= 'Z' ? c - 'A' + 36
                                                 : 0;
        place = place * 62 + uint64_t(value);
      }
      if (at != digits) ++place;
      if (at < name.size() && name[at] == '_' && place < i)
        here += length_before[i] - length_before[place];
    }
    if (length_before[i] + here > kMostOutput) return false;
    length_before[i + 1] = uint32_t(length_before[i] + here);
  }
  return true;
}

bool demangle_rust_v0(std::string_view name, String& out) {
  if (!rust_v0_is_bounded(name.substr(2))) return false;
  char* const text = llvm::rustDemangle(name);
  if (!text) return false;
  out = text;
  std::free(text);
  return true;
}

}  // namespace

bool demangle(std::string_view name, String& out) {
  if (name.size() > kMostInput) return false;
  if (name.starts_with("_R")) return demangle_rust_v0(name, out);
  if (name.starts_with("_ZN") && demangle_rust_legacy(name, out)) return true;
  if (name.starts_with("_Z")) return demangle_itanium(name, out);
  if (!has_hash(name)) return false;
  unescape_rust(name.substr(0, name.size() - kHash), out);
  return true;
}

}  // namespace wafer
