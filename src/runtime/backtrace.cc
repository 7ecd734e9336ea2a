#include "runtime/backtrace.h"

#include <algorithm>

namespace wafer::runtime {

namespace {

void append_hex(String& out, uint32_t v) {
  char digits[8];
  size_t n = 0;
  do digits[n++] = "0123456789abcdef"[v & 15];
  while (v >>= 4);
  while (n) out.push_back(digits[--n]);
}

void append_decimal(String& out, uint64_t v) {
  char digits[20];
  size_t n = 0;
  do digits[n++] = char('0' + v % 10);
  while (v /= 10);
  while (n) out.push_back(digits[--n]);
}

}  // namespace

std::optional<uint32_t> function_at(const wasm::Module& module, uint32_t module_offset) {
  const auto begin = module.functions.begin() + module.imported_functions;
  // Bodies lie in index order.
  auto it =
      std::upper_bound(begin, module.functions.end(), module_offset,
                       [](uint32_t at, const wasm::Function& f) { return at < f.body.begin; });
  if (it == begin) return std::nullopt;
  --it;
  if (module_offset >= it->body.end) return std::nullopt;
  return uint32_t(it - module.functions.begin());
}

BacktraceFrame describe_frame(const wasm::Module& module, uint32_t func_index,
                              uint32_t module_offset, bool with_source) {
  BacktraceFrame frame;
  frame.func_index = func_index;
  frame.module_offset = module_offset;
  frame.module_name = module.names.module;
  frame.func_name = module.function_name(func_index);
#if WAFER_HAS_OS  // a small device has no use for debug sections
  if (with_source && module_offset) frame.source = dwarf_location(module, module_offset);
#endif
  return frame;
}

String format_backtrace(std::span<const BacktraceFrame> frames) {
  String out;
  for (size_t i = 0; i < frames.size(); ++i) {
    const BacktraceFrame& f = frames[i];
    out += "  #";
    append_decimal(out, i);
    out += i < 10 ? "  " : " ";
    if (!f.module_name.empty()) {
      out += f.module_name;
      out.push_back('!');
    }
    if (f.func_name.empty()) {
      out += "func[";
      append_decimal(out, f.func_index);
      out.push_back(']');
    } else {
      out += f.func_name;
    }
    if (!f.source.empty()) {
      out += " (";
      out += f.source;
      out.push_back(')');
    }
    if (f.module_offset) {
      out += " @0x";
      append_hex(out, f.module_offset);
    }
    out.push_back('\n');
  }
  return out;
}

}  // namespace wafer::runtime
