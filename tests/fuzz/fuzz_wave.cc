// WAVE: any text is a value of a type or an error, and what is printed of a value is read as the
// same again.
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "component/run/wave.h"
#include "component/types.h"

namespace {

using namespace wafer::component;

struct Types {
  TypeArena arena{std::make_shared<wafer::wasm::TypeRegistry>()};
  std::vector<ValType> all;

  ValType add(TypeKind kind, std::vector<Label> labels, std::vector<ValType> args = {}) {
    TypeDef def;
    def.kind = kind;
    def.labels = std::move(labels);
    def.args = std::move(args);
    all.push_back(ValType::of(*arena.add(std::move(def))));
    return all.back();
  }
  Types() {
    const auto prim = [](Prim p) { return ValType{p, 0}; };
    const ValType text = add(TypeKind::Option, {}, {prim(Prim::String)});
    const ValType chars = add(TypeKind::List, {}, {prim(Prim::Char)});
    const ValType record =
        add(TypeKind::Record, {{"a", prim(Prim::U8)}, {"b-c", text}, {"d", chars}});
    const ValType pair = add(TypeKind::Tuple, {}, {prim(Prim::Bool), prim(Prim::F64)});
    const ValType result = add(TypeKind::Result, {}, {prim(Prim::S64), pair});
    const ValType variant =
        add(TypeKind::Variant, {{"x", {}}, {"y", prim(Prim::F32)}, {"z", result}});
    const ValType flags = add(TypeKind::Flags, {{"one", {}}, {"two-three", {}}});
    const ValType choice = add(TypeKind::Enum, {{"up", {}}, {"down", {}}});
    const ValType map = add(TypeKind::Map, {}, {prim(Prim::String), prim(Prim::U16)});
    const ValType row = add(TypeKind::Tuple, {},
                            {record, variant, flags, choice, map, prim(Prim::S8), prim(Prim::S16),
                             prim(Prim::U32), prim(Prim::S32), prim(Prim::U64)});
    add(TypeKind::List, {}, {row});
  }
};

const Types& types() {
  static const Types made;
  return made;
}

}  // namespace

std::vector<std::string> make_seeds() {
  const std::vector<std::string> seeds = {
      R"({a: 7, b-c: some("\u{1f600}x\n"), d: ['a', '\'', '\t']})",
      R"(z(err((true, nan))))",
      R"({one, two-three})",
      R"(up)",
      R"([({a: 1, d: []}, y(-1.5e-3), {}, down, {"k": 65535}, -128, -32768, 4294967295, -1, 0)])",
      R"(y(inf) // comment)",
      R"("""
  lines
  of text
  """)",
  };
  // Each is a value of some type, or nothing would be tried.
  for (const std::string& seed : seeds) {
    bool taken = false;
    for (const ValType type : types().all) taken |= parse_wave(types().arena, type, seed).ok();
    if (!taken) std::abort();
  }
  return seeds;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const TypeArena& arena = types().arena;
  for (const ValType type : types().all) {
    auto value = parse_wave(arena, type, text);
    if (!value.ok()) continue;
    const std::string once = print_wave(arena, type, *value);
    auto again = parse_wave(arena, type, once);
    if (!again.ok() || print_wave(arena, type, *again) != once) std::abort();
  }
  split_wave_call(text);
  return 0;
}
