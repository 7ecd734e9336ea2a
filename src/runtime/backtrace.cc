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

BacktraceFrame make_frame(const wasm::Module& module, uint32_t func_index, uint32_t module_offset,
                          Instance* instance) {
  BacktraceFrame frame;
  frame.func_index = func_index;
  frame.module_offset = module_offset;
  frame.instance = instance;
  frame.module = &module;
  return frame;
}

namespace {

#if WAFER_HAS_OS
String readable(std::string_view name, Demangle demangle) {
  String out;
  if (demangle && demangle(name, out)) return out;
  out = name;
  return out;
}

// Steps that reading debug information may take for one backtrace: less than a second.
constexpr uint64_t kDwarfSteps = 100'000'000;

void describe_frame(BacktraceFrame frame, Demangle demangle, uint64_t& budget,
                    Vec<BacktraceFrame>& out) {
  const wasm::Module& module = *frame.module;
  frame.module_name = module.names.module;
  frame.func_name = readable(module.function_name(frame.func_index), demangle);
  Vec<SourceFrame> sources;
  if (frame.module_offset) sources = dwarf_frames(module, frame.module_offset, budget);
  for (size_t i = 0; i + 1 < sources.size(); ++i) {
    BacktraceFrame inlined = frame;
    inlined.inlined = true;
    inlined.func_name = readable(sources[i].function, demangle);
    inlined.source = std::move(sources[i].source);
    out.push_back(std::move(inlined));
  }
  if (!sources.empty()) {
    SourceFrame& own = sources.back();
    frame.source = std::move(own.source);
    if (frame.func_name.empty()) frame.func_name = readable(own.function, demangle);
  }
  out.push_back(std::move(frame));
}
#endif

}  // namespace

void describe(TrapInfo& info, [[maybe_unused]] Demangle demangle) {
  if (info.described) return;
  info.described = true;
#if WAFER_HAS_OS
  Vec<BacktraceFrame> frames;
  uint64_t budget = kDwarfSteps;
  for (BacktraceFrame& frame : info.backtrace) {
    if (frame.module)
      describe_frame(std::move(frame), demangle, budget, frames);
    else
      frames.push_back(std::move(frame));
  }
  info.backtrace = std::move(frames);
#else
  for (BacktraceFrame& frame : info.backtrace) {
    // Name sections are not read in such builds; an export's name may be there.
    if (frame.module) frame.func_name = frame.module->function_name(frame.func_index);
  }
#endif
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
    if (f.inlined) out += " (inlined)";
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
