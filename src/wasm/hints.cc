#include "wasm/hints.h"

#include <algorithm>

#include "wasm/cursor.h"

namespace wafer::wasm {

namespace {

constexpr uint8_t kCodeSection = 10, kDataSection = 11;

bool read_hints(Cursor& c, const Module& module, Vec<FunctionHints>& out) {
  uint32_t functions = 0;
  if (!c.u32(functions)) return false;
  out.reserve(std::min<size_t>(functions, c.remaining() / 2));
  for (uint32_t i = 0; i < functions; ++i) {
    FunctionHints f;
    uint32_t n = 0;
    if (!c.u32(f.func) || !c.u32(n)) return false;
    if (f.func < module.imported_functions || f.func >= module.functions.size()) return false;
    if (!out.empty() && out.back().func >= f.func) return false;
    f.hints.reserve(std::min<size_t>(n, c.remaining() / 3));
    for (uint32_t k = 0; k < n; ++k) {
      BranchHint hint;
      uint32_t size = 0;
      uint8_t value = 0;
      if (!c.u32(hint.offset) || !c.u32(size) || size != 1 || !c.byte(value) || value > 1)
        return false;
      if (!f.hints.empty() && f.hints.back().offset >= hint.offset) return false;
      hint.likely = value;
      f.hints.push_back(hint);
    }
    out.push_back(std::move(f));
  }
  return c.at_end();
}

}  // namespace

void decode_branch_hints(Module& module, const CustomSection& section) {
  const auto same_name = [](const CustomSection& s) { return s.name == kBranchHintSection; };
  if (section.after_section == kCodeSection || section.after_section == kDataSection ||
      std::count_if(module.customs.begin(), module.customs.end(), same_name) != 1)
    return;
  Cursor c(module.bytes.data(), section.payload.begin, section.payload.end, section.payload.end,
           module.features);
  Vec<FunctionHints> hints;
  if (read_hints(c, module, hints)) module.branch_hints = std::move(hints);
}

Vec<uint8_t> encode_branch_hints(const Vec<FunctionHints>& hints) {
  Vec<uint8_t> out;
  if (hints.empty()) return out;
  write_uleb(out, hints.size());
  for (const FunctionHints& f : hints) {
    write_uleb(out, f.func);
    write_uleb(out, f.hints.size());
    for (const BranchHint& hint : f.hints) {
      write_uleb(out, hint.offset);
      out.push_back(1);
      out.push_back(hint.likely);
    }
  }
  return out;
}

}  // namespace wafer::wasm
