// Components that the writer makes are read back by the decoder.
#include <gtest/gtest.h>

#include "component/writer.h"
#include "wat/wat.h"
#include "wit/decode.h"
#include "wit/print.h"

namespace wafer::component {
namespace {

DecodeOptions everything() {
  DecodeOptions options;
  for (unsigned f = 0; f < unsigned(Feature::None); ++f) options.features.set(Feature(f));
  return options;
}

Vec<uint8_t> module_bytes(std::string_view wat) {
  auto bytes = wat::parse_wat(wat);
  EXPECT_TRUE(bytes.ok()) << std::string_view(bytes.ok() ? "" : bytes.error().message);
  return *bytes;
}

Bytes view(const Vec<uint8_t>& v) { return {v.data(), v.size()}; }

TypeDef def(TypeKind kind, std::vector<ValType> args, std::vector<Label> labels = {}) {
  TypeDef out;
  out.kind = kind;
  out.args = std::move(args);
  out.labels = std::move(labels);
  return out;
}

constexpr ValType kU8{Prim::U8, 0}, kU32{Prim::U32, 0}, kText{Prim::String, 0};

std::shared_ptr<Component> read(const Vec<uint8_t>& bytes) {
  auto decoded = decode(view(bytes), everything());
  EXPECT_TRUE(decoded.ok()) << std::string_view(decoded.ok() ? "" : decoded.error().message)
                            << " at " << (decoded.ok() ? 0 : decoded.error().offset);
  return decoded.ok() ? *decoded : nullptr;
}

std::string world_text(const Component& component) {
  auto world = wit::world_of(component);
  EXPECT_TRUE(world.ok()) << std::string_view(world.ok() ? "" : world.error().message);
  return world.ok() ? wit::print(world->resolve, world->main, {true, true}) : "";
}

TEST(ComponentWriter, EveryKindOfType) {
  TypeWriter instance(TypeKind::Instance);
  const auto named = [&](const char* name, const TypeDef& d) {
    const uint32_t t = instance.type(d);
    return ValType::of(instance.export_(name, ExternType::of(Sort::Type, t)));
  };
  const ValType rec = named("rec", def(TypeKind::Record, {}, {{"a", kU8}, {"b", kText}}));
  named("var", def(TypeKind::Variant, {}, {{"none", {}}, {"some", rec}}));
  named("flags1", def(TypeKind::Flags, {}, {{"x", {}}, {"y", {}}}));
  named("color", def(TypeKind::Enum, {}, {{"red", {}}, {"green", {}}}));
  named("texts", def(TypeKind::List, {kText}));
  TypeDef fixed = def(TypeKind::FixedList, {kU8});
  fixed.length = 4;
  named("quad", fixed);
  named("pair", def(TypeKind::Tuple, {kU8, rec}));
  named("maybe", def(TypeKind::Option, {kU32}));
  named("outcome", def(TypeKind::Result, {ValType(), kText}));
  named("bytes", def(TypeKind::Stream, {kU8}));
  named("done", def(TypeKind::Future, {ValType()}));
  named("dict", def(TypeKind::Map, {kText, kU32}));
  named("num", def(TypeKind::Primitive, {kU32}));
  const ValType file = ValType::of(instance.export_("file", ExternType::resource()));
  const ValType borrow = ValType::of(instance.type(def(TypeKind::Borrow, {file})));
  const ValType own = ValType::of(instance.type(def(TypeKind::Own, {file})));
  const uint32_t make = instance.type(def(TypeKind::Func, {own}, {{"path", kText}}));
  instance.export_("[constructor]file", ExternType::of(Sort::Func, make));
  TypeDef size = def(TypeKind::Func, {kU32}, {{"self", borrow}});
  size.is_async = true;
  instance.export_("[method]file.size", ExternType::of(Sort::Func, instance.type(size)));

  ComponentWriter w;
  const uint32_t type = w.type(instance);
  w.import({"disk", {"a:b/fs@1.0.0", "", "the-disk"}}, ExternType::of(Sort::Instance, type));
  const uint32_t imported = w.import("a:b/other@1.0.0", ExternType::of(Sort::Instance, type));
  w.alias_export(imported, "rec", Sort::Type);
  const Vec<uint8_t> bytes = w.finish();
  const auto component = read(bytes);
  ASSERT_TRUE(component);
  const std::string text = world_text(*component);
  for (const char* part :
       {"record rec {\n      a: u8,\n      b: string,", "some(rec)", "flags flags1", "enum color",
        "list<string>", "list<u8, 4>", "tuple<u8, rec>", "option<u32>", "result<_, string>",
        "stream<u8>", "type done = future;", "map<string, u32>", "constructor(path: string);",
        "size: async func() -> u32;", "interface other"})
    EXPECT_NE(text.find(part), text.npos) << part << " in\n" << text;
}

TEST(ComponentWriter, ModulesInstancesAndFunctions) {
  ComponentWriter w;
  // What comes in: a function and a module.
  const uint32_t log_type = w.type(def(TypeKind::Func, {ValType()}, {{"text", kText}}));
  const uint32_t log = w.import("log", ExternType::of(Sort::Func, log_type));
  ModuleTypeWriter module_type;
  wasm::FuncType unary;
  unary.params.push_back(wasm::kI32);
  CoreExternType run;
  run.type = module_type.func_type(unary);
  module_type.export_("run", run);
  CoreExternType memory;
  memory.kind = wasm::ExternKind::Memory;
  memory.memory.limits.min = 1;
  module_type.import("env", "memory", memory);
  w.import("code", ExternType::of(Sort::CoreModule, w.core_module_type(module_type)));

  const Vec<uint8_t> memory_module = module_bytes(R"((module (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)))");
  const Vec<uint8_t> main_module = module_bytes(R"((module
    (import "host" "log" (func (param i32 i32)))
    (func (export "answer") (result i32) i32.const 42)
    (func (export "drop") (param i32))))");
  const uint32_t m0 = w.core_module(view(memory_module));
  const uint32_t m1 = w.core_module(view(main_module));
  EXPECT_EQ(m0, 1u);  // behind the imported one
  const uint32_t base = w.core_instantiate(m0, {});
  CanonOptions options;
  options.memory = w.alias_core_export(base, "memory", CoreSort::Memory);
  options.encoding = StringEncoding::Utf16;
  const uint32_t lowered = w.lower(log, options);
  const uint32_t host = w.core_instance({{"log", CoreSort::Func, lowered}});
  const uint32_t main = w.core_instantiate(m1, {{"host", host}});
  w.core_instantiate(0, {{"env", base}});
  const uint32_t answer = w.alias_core_export(main, "answer", CoreSort::Func);
  const uint32_t drop = w.alias_core_export(main, "drop", CoreSort::Func);
  const uint32_t answer_type = w.type(def(TypeKind::Func, {kU32}));
  const uint32_t lifted = w.lift(answer, {}, answer_type);
  w.export_("answer", {Sort::Func, lifted}, ExternType::of(Sort::Func, answer_type));
  const uint32_t resource = w.resource(false, drop);
  w.export_("thing", {Sort::Type, resource});

  // Every built-in with its immediates.
  BuiltinArgs args;
  args.options.memory = options.memory;
  const uint32_t stream = w.type(def(TypeKind::Stream, {kU8}));
  const uint32_t future = w.type(def(TypeKind::Future, {kU8}));
  const uint32_t table = w.alias_core_export(
      w.core_instantiate(
          w.core_module(view(module_bytes(R"((module (table (export "t") 1 funcref)))"))), {}),
      "t", CoreSort::Table);
  args.table = table;
  args.core_type = w.core_func_type(unary);
  for (const BuiltinInfo& b : kBuiltins) {
    const char first = b.immediates.empty() ? 0 : b.immediates[0];
    BuiltinArgs one = args;
    one.type = first == 'S'   ? ValType::of(stream)
               : first == 'F' ? ValType::of(future)
               : first == 'r' ? kU32
                              : ValType::of(resource);
    if (b.builtin == Builtin::ErrorContextDebugMessage)
      one.options.realloc = w.alias_core_export(base, "realloc", CoreSort::Func);
    w.builtin(b.builtin, one);
  }

  ComponentWriter inner;
  const uint32_t inner_type = inner.type(def(TypeKind::Func, {kU32}));
  const uint32_t f = inner.import("f", ExternType::of(Sort::Func, inner_type));
  inner.export_("g", {Sort::Func, f});
  const Vec<uint8_t> nested = inner.finish();
  const uint32_t made = w.instantiate(w.component(view(nested)), {{"f", {Sort::Func, lifted}}});
  const uint32_t g = w.alias_export(made, "g", Sort::Func);
  const uint32_t bag = w.instance({{"again", {Sort::Func, g}}});
  w.export_("bag", {Sort::Instance, bag});
  w.names("main", {{Sort::Func, {{lifted, "answer"}}}, {CoreSort::Module, {{m0, "memory"}}}});

  const auto component = read(w.finish());
  ASSERT_TRUE(component);
  size_t builtins = 0;
  for (const Definition& d : component->definitions)
    builtins += std::holds_alternative<CanonBuiltin>(d);
  EXPECT_EQ(builtins, std::size(kBuiltins));
  EXPECT_NE(component->shape().exports.find("bag"), nullptr);
}

}  // namespace
}  // namespace wafer::component
