#include "compose/dl_table.h"

#include <algorithm>

namespace wafer::compose {

namespace {

namespace cm = component;
using wasm::Opcode;

constexpr uint32_t kLibrarySize = 16, kSymbolSize = 12;
constexpr std::string_view kMessages[] = {"library not found", "symbol not found",
                                          "invalid handle of a library"};
enum Message : uint32_t { kNoLibrary, kNoSymbol, kBadHandle };

uint32_t message_offset(Message m) {
  uint32_t out = 0;
  for (uint32_t i = 0; i < m; ++i) out += static_cast<uint32_t>(kMessages[i].size()) + 1;
  return out;
}

}  // namespace

DlTable write_dl_table(std::vector<DlLibrary>& libraries, uint32_t base) {
  DlTable out;
  const auto here = [&] { return base + static_cast<uint32_t>(out.bytes.size()); };
  const auto u32 = [&](uint64_t v) {
    for (int i = 0; i < 4; ++i) out.bytes.push_back(static_cast<uint8_t>(v >> (8 * i)));
  };
  const auto name = [&](const std::string& s) {
    const uint32_t at = here();
    out.bytes.insert(out.bytes.end(), s.begin(), s.end());
    do out.bytes.push_back(0);
    while (out.bytes.size() % 4 != 0);
    return at;
  };
  const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
  std::sort(libraries.begin(), libraries.end(), by_name);
  std::vector<std::pair<uint32_t, uint32_t>> places;  // of names and of symbols
  for (DlLibrary& l : libraries) {
    std::sort(l.symbols.begin(), l.symbols.end(), by_name);
    const uint32_t own = name(l.name);
    std::vector<uint32_t> names;
    for (const DlSymbol& s : l.symbols) names.push_back(name(s.name));
    places.emplace_back(own, here());
    for (size_t i = 0; i < names.size(); ++i) {
      u32(l.symbols[i].name.size());
      u32(names[i]);
      u32(l.symbols[i].address);
    }
  }
  const uint32_t first = here();
  for (size_t i = 0; i < libraries.size(); ++i) {
    u32(libraries[i].name.size());
    u32(places[i].first);
    u32(libraries[i].symbols.size());
    u32(places[i].second);
  }
  out.root = here();
  u32(libraries.size());
  u32(first);
  return out;
}

wasm::FuncType dl_type(size_t which) {
  constexpr size_t kParams[kDlCount] = {2, 2, 1, 0};
  wasm::FuncType out;
  out.params.assign(kParams[which], wasm::kI32);
  out.results.push_back(wasm::kI32);
  return out;
}

std::vector<uint8_t> dl_messages() {
  std::vector<uint8_t> out;
  for (const std::string_view m : kMessages) {
    out.insert(out.end(), m.begin(), m.end());
    out.push_back(0);
  }
  return out;
}

Vec<uint8_t> dl_find() {
  constexpr uint32_t kEntry = 0, kCount = 1, kSize = 2, kName = 3;
  cm::Body b(4);
  const uint32_t left = b.local(wasm::kI32), theirs = b.local(wasm::kI32),
                 ours = b.local(wasm::kI32);
  const auto add = [&](uint32_t local, int32_t n) {
    b.get(local).i32(n).op(Opcode::I32Add).set(local);
  };
  b.block();  // no more entries
  b.loop();
  b.get(kCount).op(Opcode::I32Eqz).op(Opcode::BrIf, 1);
  b.get(kEntry).access(Opcode::I32Load, 0, 0).set(left);
  b.get(kEntry).access(Opcode::I32Load, 0, 4).set(theirs);
  b.get(kName).set(ours);
  b.block();  // another name
  b.loop();
  b.get(left).op(Opcode::I32Eqz).if_();
  b.get(ours).access(Opcode::I32Load8U, 0, 0).op(Opcode::BrIf, 2);
  b.get(kEntry).op(Opcode::Return).end_block();
  // The end of ours is none of theirs, even if there is a zero in that.
  b.get(ours).access(Opcode::I32Load8U, 0, 0).op(Opcode::I32Eqz).op(Opcode::BrIf, 1);
  b.get(ours).access(Opcode::I32Load8U, 0, 0);
  b.get(theirs).access(Opcode::I32Load8U, 0, 0).op(Opcode::I32Ne).op(Opcode::BrIf, 1);
  add(ours, 1);
  add(theirs, 1);
  add(left, -1);
  b.op(Opcode::Br, 0).end_block().end_block();
  b.get(kEntry).get(kSize).op(Opcode::I32Add).set(kEntry);
  add(kCount, -1);
  b.op(Opcode::Br, 0).end_block().end_block();
  b.i32(0);
  return b.end();
}

Vec<uint8_t> dl_body(size_t which, uint32_t root, uint32_t messages, uint32_t error,
                     uint32_t find) {
  const wasm::FuncType type = dl_type(which);
  cm::Body b(static_cast<uint32_t>(type.params.size()));
  const auto field = [&](uint32_t offset) {
    b.i32(static_cast<int32_t>(root)).access(Opcode::I32Load, 0, offset);
  };
  const auto fail = [&](Message m, int32_t result) {
    b.i32(static_cast<int32_t>(messages + message_offset(m))).op(Opcode::GlobalSet, error);
    b.i32(result).op(Opcode::Return);
  };
  // Fails unless parameter 0 is an entry of the libraries.
  const auto check_handle = [&](int32_t result) {
    const uint32_t offset = b.local(wasm::kI32);
    b.get(0);
    field(4);
    b.op(Opcode::I32Sub).tee(offset);
    field(0);
    b.i32(static_cast<int32_t>(kLibrarySize)).op(Opcode::I32Mul).op(Opcode::I32GeU);
    b.get(offset).i32(static_cast<int32_t>(kLibrarySize - 1)).op(Opcode::I32And);
    b.op(Opcode::I32Or).if_();
    fail(kBadHandle, result);
    b.end_block();
  };
  // The result is what `find` gives, unless that is 0.
  const auto found = [&](Message m) {
    const uint32_t entry = b.local(wasm::kI32);
    b.call(find).tee(entry).op(Opcode::I32Eqz).if_();
    fail(m, 0);
    b.end_block().get(entry);
  };
  switch (which) {
    case 0:  // dlopen(name, flags)
      b.get(0).op(Opcode::I32Eqz).if_();
      fail(kNoLibrary, 0);
      b.end_block();
      field(4);
      field(0);
      b.i32(static_cast<int32_t>(kLibrarySize)).get(0);
      found(kNoLibrary);
      break;
    case 1:  // dlsym(handle, name)
      check_handle(0);
      b.get(0).access(Opcode::I32Load, 0, 12).get(0).access(Opcode::I32Load, 0, 8);
      b.i32(static_cast<int32_t>(kSymbolSize)).get(1);
      found(kNoSymbol);
      b.access(Opcode::I32Load, 0, 8);
      break;
    case 2:  // dlclose(handle)
      check_handle(-1);
      b.i32(0);
      break;
    default:  // dlerror(): what went wrong since it was last asked
      b.op(Opcode::GlobalGet, error).i32(0).op(Opcode::GlobalSet, error);
  }
  return b.end();
}

}  // namespace wafer::compose
