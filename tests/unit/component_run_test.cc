// Components that run: values through both ABIs and all encodings, and what hosts do.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <functional>
#include <random>
#include <thread>

#include "component/run/linker.h"
#include "component/run/stream.h"
#include "component/run/text.h"
#include "component/run/wave.h"
#include "component/shape.h"
#include "interp/interp.h"
#include "wat/wat.h"
#if WAFER_HAS_BASELINE
#include "compiler/baseline/tier.h"
#endif

namespace wafer::component {
namespace {

// A component from text, with the engine that it runs in.
struct World {
  explicit World(std::string_view text, std::shared_ptr<runtime::Engine> with = nullptr)
      : engine(with ? std::move(with) : runtime::Engine::create({}, interp::tier())),
        core(std::make_unique<runtime::Store>(engine)),
        store(std::make_unique<ComponentStore>(*core)) {
    auto parsed = wat::parse_wat(text, {});
    EXPECT_TRUE(parsed.ok()) << std::string_view(parsed.error().message) << "\n" << text;
    if (!parsed.ok()) return;
    bytes = *std::move(parsed);
    DecodeOptions options;
    options.registry = engine->registry();
    for (unsigned f = 0; f < unsigned(Feature::None); ++f) options.features.set(Feature(f), true);
    auto decoded = decode({bytes.data(), bytes.size()}, options);
    EXPECT_TRUE(decoded.ok()) << std::string_view(decoded.error().message) << "\n" << text;
    if (decoded.ok()) component = *std::move(decoded);
  }
  Result<std::vector<Val>> call(std::string_view name, std::vector<Val> args) {
    if (!instance) {
      auto made = linker.instantiate(*store, component);
      if (!made.ok()) return made.take_error();
      instance = *made;
    }
    return component::call(*store, find_func(*instance, name), std::move(args));
  }
  // The value that `text` is, of the only parameter of `name`.
  Result<Val> parse(std::string_view name, std::string_view text) {
    const auto func = find_func(*instance, name);
    return parse_wave(*component->types, func.caller().def().labels[0].type, text);
  }

  std::shared_ptr<runtime::Engine> engine;
  std::unique_ptr<runtime::Store> core;
  std::unique_ptr<ComponentStore> store;
  Vec<uint8_t> bytes;
  std::shared_ptr<Component> component;
  ComponentLinker linker;
  std::shared_ptr<ComponentInstance> instance;
};

// ---- Random types and values

class Types {
 public:
  explicit Types(uint64_t seed) : random_(seed) {}

  uint64_t below(uint64_t n) { return random_() % n; }
  // The text of a type; definitions that it needs go to `definitions`.
  std::string type(unsigned depth) {
    constexpr const char* kPrims[] = {"bool", "s8",  "u8",  "s16", "u16",  "s32",   "u32",
                                      "s64",  "u64", "f32", "f64", "char", "string"};
    if (depth == 0 || below(4) == 0) return kPrims[below(std::size(kPrims))];
    std::string text;
    const unsigned n = 1 + unsigned(below(4));
    switch (below(9)) {
      case 0:
        text = "(record";
        for (unsigned i = 0; i < n; ++i)
          text += " (field \"" + label(i) + "\" " + type(depth - 1) + ")";
        break;
      case 1:
        text = "(variant";
        for (unsigned i = 0; i < n; ++i)
          text += " (case \"" + label(i) + "\"" + (below(3) ? " " + type(depth - 1) : "") + ")";
        break;
      case 2:
        text = "(list " + type(depth - 1);
        break;
      case 3:
        text = "(tuple";
        for (unsigned i = 0; i < n; ++i) text += " " + type(depth - 1);
        break;
      case 4:
        text = "(flags";
        for (unsigned i = 0, k = 1 + unsigned(below(32)); i < k; ++i)
          text += " \"" + label(i) + "\"";
        break;
      case 5:
        text = "(enum";
        // Some with more cases than a byte holds.
        for (unsigned i = 0, k = below(8) ? 1 + unsigned(below(9)) : 300; i < k; ++i)
          text += " \"" + label(i) + "\"";
        break;
      case 6:
        text = "(option " + type(depth - 1);
        break;
      case 7:
        text = "(result";
        if (below(3)) text += " " + type(depth - 1);
        if (below(3)) text += " (error " + type(depth - 1) + ")";
        break;
      default:
        text = "(list " + type(depth - 1) + " " + std::to_string(1 + below(4));
        break;
    }
    const std::string name = "$t" + std::to_string(count_++);
    definitions.push_back({name, text + ")"});
    return name;
  }
  static std::string label(unsigned i) { return "l" + std::to_string(i); }

  Val value(const TypeArena& types, ValType type);

  std::vector<std::pair<std::string, std::string>> definitions;  // by identifier

  // The definitions, each with a name outside: as an export, or an import.
  std::string named(bool import) const {
    std::string out;
    for (const auto& [id, text] : definitions) {
      const std::string name = "\"" + id.substr(1) + "\"";
      out += "(type " + id + "d " + text + ")\n";
      out += import ? "(import " + name + " (type " + id + " (eq " + id + "d)))\n"
                    : "(export " + id + " " + name + " (type " + id + "d))\n";
    }
    return out;
  }

 private:
  std::mt19937_64 random_;
  unsigned count_ = 0;
};

Val Types::value(const TypeArena& types, ValType type) {
  const ValType t = plain(types, type);
  if (!t.defined()) {
    const uint64_t bits = random_();
    switch (t.prim) {
      case Prim::Bool:
        return Val::of_bool(bits & 1);
      case Prim::S8:
        return Val::of_int(int8_t(bits));
      case Prim::U8:
        return Val::of_bits(uint8_t(bits));
      case Prim::S16:
        return Val::of_int(int16_t(bits));
      case Prim::U16:
        return Val::of_bits(uint16_t(bits));
      case Prim::S32:
        return Val::of_int(int32_t(bits));
      case Prim::U32:
        return Val::of_bits(uint32_t(bits));
      case Prim::F32:
        return Val::of_f32(float(int32_t(bits)));
      case Prim::F64:
        return Val::of_f64(double(int64_t(bits)));
      case Prim::Char:
      case Prim::String: {
        const auto scalar = [&] {
          constexpr uint32_t kBelow[] = {0x80, 0x100, 0x800, 0xd800, 0x110000};
          const uint32_t c = uint32_t(below(kBelow[below(std::size(kBelow))]));
          return c >= 0xd800 && c < 0xe000 ? 'x' : c;
        };
        if (t.prim == Prim::Char) return Val::of_bits(scalar());
        // All ASCII, all Latin 1, or anything.
        std::string s;
        const uint32_t top = below(3) == 0 ? 0x80 : below(2) ? 0x100 : 0x110000;
        for (uint64_t n = below(20); n > 0; --n) append_utf8(s, scalar() % top);
        if (utf8_fault(s)) s = "?";
        return Val::of_text(std::move(s));
      }
      default:
        return Val::of_bits(bits);
    }
  }
  const TypeDef& def = types[t.id];
  Val::Items items;
  switch (def.kind) {
    case TypeKind::Record:
    case TypeKind::Tuple:
      for (size_t i = 0; i < field_count(def); ++i)
        items.push_back(value(types, field_type(def, i)));
      return Val::of_items(std::move(items));
    case TypeKind::List:
    case TypeKind::FixedList:
      for (uint64_t n = def.kind == TypeKind::List ? below(6) : def.length; n > 0; --n)
        items.push_back(value(types, def.args[0]));
      return Val::of_items(std::move(items));
    case TypeKind::Flags:
      return Val::of_bits(random_() & ((uint64_t{1} << def.labels.size()) - 1));
    case TypeKind::Enum:
      return Val::of_bits(below(def.labels.size()));
    default: {
      const auto index = uint32_t(below(case_count(def)));
      const ValType payload = case_type(def, index);
      return payload ? Val::of_case(index, value(types, payload)) : Val::of_case(index);
    }
  }
}

// ---- Values through components

constexpr const char* kEncodings[] = {"string-encoding=utf8", "string-encoding=utf16",
                                      "string-encoding=latin1+utf16"};

// A memory with an allocator that checks what it is asked for.
constexpr const char* kMemory = R"(
    (core module $Memory
      (memory (export "mem") 4)
      (global $at (mut i32) (i32.const 8))
      (func (export "realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32)
        (result i32)
        (local $r i32)
        (if (i32.gt_u (local.get $align) (i32.const 8)) (then unreachable))
        (global.set $at (i32.and (i32.add (global.get $at) (i32.sub (local.get $align) (i32.const 1)))
                                 (i32.sub (i32.const 0) (local.get $align))))
        (local.set $r (global.get $at))
        (global.set $at (i32.add (global.get $at) (local.get $new)))
        (if (local.get $old) (then
          (memory.copy (local.get $r) (local.get $old)
            (select (local.get $size) (local.get $new)
                    (i32.lt_u (local.get $size) (local.get $new))))))
        (local.get $r)))
    (core instance $memory (instantiate $Memory)))";

constexpr const char* kOptions = " (memory (core memory $memory \"mem\")) ";
constexpr const char* kRealloc = "(realloc (core func $memory \"realloc\")) ";

// A random type in a tuple that is too large to be flat, so that its address is all that core
// code has to know.
std::string big_type(Types& types) {
  std::string tuple = "(tuple " + types.type(3);
  for (int i = 0; i < 17; ++i) tuple += " u64";
  return tuple + ")";
}
std::string big_func(bool is_async) {
  return std::string(is_async ? "async " : "") + "(param \"v\" $big) (result $big)";
}

// What is inside of a component that hands a value on to `f`, which it imports, and back.
std::string caller_text(Types& types, const std::string& tuple, const std::string& func,
                        bool async_caller, const char* outer) {
  std::string out = types.named(true) + "(type $big " + tuple + ")(import \"f\" (func $f " + func +
                    "))" + kMemory;
  out += std::string("(core func $f' (canon lower (func $f) ") + (async_caller ? "async " : "") +
         outer + kOptions + kRealloc + "))\n";
  out +=
      "    (core module $M (import \"\" \"mem\" (memory 1)) (import \"\" \"realloc\" (func "
      "$realloc (param i32 i32 i32 i32) (result i32)))\n";
  out += async_caller ? "(import \"\" \"f\" (func $f (param i32 i32) (result i32)))"
                      : "(import \"\" \"f\" (func $f (param i32 i32)))";
  out += R"(
      (func (export "run") (param i32) (result i32) (local $r i32)
        (local.set $r (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 16384)))
        )";
  out +=
      async_caller
          ? "(if (i32.ne (call $f (local.get 0) (local.get $r)) (i32.const 2)) (then unreachable))"
          : "(call $f (local.get 0) (local.get $r))";
  out += R"(
        (local.get $r)))
    (core instance $m (instantiate $M (with "" (instance
      (export "mem" (memory $memory "mem")) (export "realloc" (func $memory "realloc"))
      (export "f" (func $f'))))))
    (func (export "run") )" +
         func + " (canon lift (core func $m \"run\") " + outer + kOptions + kRealloc + "))\n";
  return out;
}

// Two components that hand a value on and back.
std::string echo_text(Types& types, bool async_callee, bool async_caller, const char* inner,
                      const char* outer) {
  const std::string tuple = big_type(types);
  const std::string func = big_func(async_callee || async_caller);
  const std::string options = kOptions, realloc = kRealloc;
  std::string out = "(component\n" + types.named(false);
  // What is called.
  out += "  (component $C\n" + types.named(false) + "(type $big " + tuple + ")" + kMemory;
  if (async_callee) {
    out += R"(
    (canon task.return (result $big) )" +
           std::string(inner) + options + R"((core func $return))
    (core module $M
      (import "" "return" (func $return (param i32)))
      (func (export "f") (param i32) (result i32) (call $return (local.get 0)) (i32.const 0))
      (func (export "cb") (param i32 i32 i32) (result i32) unreachable))
    (core instance $m (instantiate $M (with "" (instance (export "return" (func $return))))))
    (func (export "f") )" +
           func + " (canon lift (core func $m \"f\") async (callback (core func $m \"cb\")) " +
           inner + options + realloc + ")))\n";
  } else {
    out += R"(
    (core module $M (func (export "f") (param i32) (result i32) (local.get 0)))
    (core instance $m (instantiate $M))
    (func (export "f") )" +
           func + " (canon lift (core func $m \"f\") " + inner + options + realloc + ")))\n";
  }
  // What calls it.
  out += "  (component $D\n" + caller_text(types, tuple, func, async_caller, outer) + ")\n";
  out += R"(
  (instance $c (instantiate $C))
  (instance $d (instantiate $D (with "f" (func $c "f")))";
  for (const auto& [id, text] : types.definitions)
    out += " (with \"" + id.substr(1) + "\" (type " + id + "))";
  out += R"())
  (func (export "run") (alias export $d "run"))
))";
  return out;
}

// Engines of each tier that makes code without an optimizer.
std::vector<std::shared_ptr<runtime::Engine>> engines() {
  std::vector<std::shared_ptr<runtime::Engine>> out{runtime::Engine::create({}, interp::tier())};
#if WAFER_HAS_BASELINE
  if (runtime::Tier* tier = compiler::baseline_tier())
    out.push_back(runtime::Engine::create({}, tier));
#endif
  return out;
}

class Echo : public testing::TestWithParam<int> {
 protected:
  // Calls `run` of a new instance with a value, which has to come back.
  static void check(World& world, Types& types, const std::string& text) {
    auto made = world.linker.instantiate(*world.store, world.component);
    ASSERT_TRUE(made.ok()) << std::string_view(made.error().message) << text;
    world.instance = *made;
    const auto func = find_func(*world.instance, "run");
    ASSERT_TRUE(func);
    const TypeArena& arena = *world.component->types;
    const ValType type = func.caller().def().labels[0].type;
    const Val value = types.value(arena, type);
    auto result = call(*world.store, func, {value});
    ASSERT_TRUE(result.ok()) << std::string_view(result.error().message) << "\n" << text;
    ASSERT_EQ(result->size(), 1u);
    EXPECT_EQ(print_wave(arena, type, (*result)[0]), print_wave(arena, type, value)) << text;
    EXPECT_TRUE((*result)[0] == value);
    // And as text.
    auto parsed = parse_wave(arena, type, print_wave(arena, type, value));
    ASSERT_TRUE(parsed.ok()) << std::string_view(parsed.error().message) << "\n"
                             << print_wave(arena, type, value);
    EXPECT_TRUE(*parsed == value) << print_wave(arena, type, value);
  }
};

TEST_P(Echo, ValuesComeBackAsTheyWere) {
  const int seed = GetParam();
  Types types{uint64_t(seed)};
  const bool callee = seed & 1, caller = seed & 2;
  const std::string text =
      echo_text(types, callee, caller, kEncodings[types.below(3)], kEncodings[types.below(3)]);
  for (const auto& engine : engines()) {
    World world(text, engine);
    ASSERT_TRUE(world.component);
    for (int i = 0; i < 6; ++i) {
      // Compiled and not.
      world.store->compiled_adapters = i & 1;
      check(world, types, text);
    }
  }
}

// The same by way of the host, which answers at once, or later.
TEST_P(Echo, ValuesComeBackFromTheHost) {
  const int seed = GetParam();
  Types types{uint64_t(seed) + 1000};
  const std::string tuple = big_type(types), func = big_func(seed & 1);
  const std::string text =
      "(component " + caller_text(types, tuple, func, seed & 1, kEncodings[types.below(3)]) + ")";
  for (const auto& engine : engines()) {
    World world(text, engine);
    ASSERT_TRUE(world.component);
    int calls = 0;
    // An async caller gets it in its memory only if it is there at once.
    const bool may_wait = !(seed & 1);
    world.linker.root().func(
        "f",
        [&](HostCall& call) {
          if (++calls % 2 == 0 || !may_wait) {
            call.result = std::move(call.args);
            return TrapCode::None;
          }
          call.later().complete(std::move(call.args));
          return TrapCode::None;
        },
        may_wait);
    for (int i = 0; i < 4; ++i) check(world, types, text);
    EXPECT_EQ(calls, 4);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Echo, testing::Range(0, 60));

// ---- Hosts

TEST(ComponentHost, FunctionsAndResources) {
  World world(R"((component
    (import "host" (instance $host
      (export "thing" (type $thing (sub resource)))
      (export "[constructor]thing" (func (param "n" u32) (result (own $thing))))
      (export "[method]thing.get" (func (param "self" (borrow $thing)) (result u32)))
      (export "add" (func (param "a" u32) (param "b" u32) (result u32)))))
    (alias export $host "thing" (type $thing))
    (core func $new (canon lower (func $host "[constructor]thing")))
    (core func $get (canon lower (func $host "[method]thing.get")))
    (core func $add (canon lower (func $host "add")))
    (core func $drop (canon resource.drop $thing))
    (core module $M
      (import "" "new" (func $new (param i32) (result i32)))
      (import "" "get" (func $get (param i32) (result i32)))
      (import "" "add" (func $add (param i32 i32) (result i32)))
      (import "" "drop" (func $drop (param i32)))
      (func (export "run") (param i32) (result i32) (local $h i32) (local $r i32)
        (local.set $h (call $new (local.get 0)))
        (local.set $r (call $add (call $get (local.get $h)) (i32.const 1)))
        (call $drop (local.get $h))
        (local.get $r)))
    (core instance $m (instantiate $M (with "" (instance (export "new" (func $new))
      (export "get" (func $get)) (export "add" (func $add)) (export "drop" (func $drop))))))
    (func (export "run") (param "n" u32) (result u32) (canon lift (core func $m "run")))))");
  ASSERT_TRUE(world.component);
  HostInstance host = world.linker.instance("host");
  std::vector<uint64_t> dropped;
  const auto type = host.resource("thing", [&](uint64_t rep) { dropped.push_back(rep); });
  host.func("[constructor]thing", [&](HostCall& call) {
    call.result.push_back(Val::of_resource(type.get(), call.args[0].bits() * 10));
    return TrapCode::None;
  });
  host.func("[method]thing.get", [&](HostCall& call) {
    call.result.push_back(Val::of_bits(call.args[0].resource().rep));
    return TrapCode::None;
  });
  host.func("add", [](HostCall& call) {
    call.result.push_back(Val::of_bits(call.args[0].bits() + call.args[1].bits()));
    return TrapCode::None;
  });
  const auto result = world.call("run", {Val::of_bits(7)});
  ASSERT_TRUE(result.ok()) << std::string_view(result.error().message);
  EXPECT_EQ((*result)[0].bits(), 71u);
  EXPECT_EQ(dropped, std::vector<uint64_t>{70});
}

TEST(ComponentHost, WhatIsMissingIsToldAtOnce) {
  World world(R"((component
    (import "a:b/c@1.2.3" (instance (export "f" (func)) (export "g" (func))))
    (import "x" (func))))");
  ASSERT_TRUE(world.component);
  world.linker.instance("a:b/c@1.2.9").func("f", [](HostCall&) { return TrapCode::None; });
  const auto made = world.linker.instantiate(*world.store, world.component);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().kind, ErrorKind::Unlinkable);
  EXPECT_EQ(std::string_view(made.error().message),
            "component imports `a:b/c@1.2.3`: no `g` in it; `x`: unknown import");
  // A compatible version serves.
  world.linker.instance("a:b/c@1.2.9").func("g", [](HostCall&) { return TrapCode::None; });
  world.linker.root().func("x", [](HostCall&) { return TrapCode::None; });
  EXPECT_TRUE(world.linker.instantiate(*world.store, world.component).ok());
}

constexpr const char* kSleeper = R"((component
    (import "sleep" (func $sleep (param "n" u32) (result u32)))
    (core func $sleep' (canon lower (func $sleep)))
    (core module $M (import "" "sleep" (func $sleep (param i32) (result i32)))
      (func (export "run") (param i32) (result i32)
        (i32.add (call $sleep (local.get 0)) (call $sleep (i32.const 5)))))
    (core instance $m (instantiate $M (with "" (instance (export "sleep" (func $sleep'))))))
    (func (export "run") (param "n" u32) (result u32) (canon lift (core func $m "run")))))";

// A function of the host that answers later, from another thread, keeps only the guest waiting.
TEST(ComponentHost, AnswersLater) {
  World world(kSleeper);
  ASSERT_TRUE(world.component);
  std::vector<std::thread> threads;
  world.linker.root().func(
      "sleep",
      [&](HostCall& call) {
        Answer answer = call.later();
        threads.emplace_back([answer, n = call.args[0].bits()] {
          std::this_thread::sleep_for(std::chrono::milliseconds(5));
          answer.complete({Val::of_bits(n * 2)});
        });
        return TrapCode::None;
      },
      /*blocks=*/true);
  const auto result = world.call("run", {Val::of_bits(16)});
  for (std::thread& t : threads) t.join();
  ASSERT_TRUE(result.ok()) << std::string_view(result.error().message);
  EXPECT_EQ((*result)[0].bits(), 42u);
}

TEST(ComponentHost, NoAnswerIsATrap) {
  World world(kSleeper);
  ASSERT_TRUE(world.component);
  world.linker.root().func(
      "sleep",
      [&](HostCall& call) {
        call.later();
        return TrapCode::None;
      },
      /*blocks=*/true);
  const auto result = world.call("run", {Val::of_bits(16)});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(std::string_view(result.error().message), "host function gave no answer");
}

// Sums up the bytes of a stream that the host gives, until it ends.
constexpr const char* kSumOfStream = R"((component
    (core module $Memory (memory (export "mem") 1))
    (core instance $memory (instantiate $Memory))
    (type $s (stream u8))
    (canon stream.read $s (memory (core memory $memory "mem")) (core func $read))
    (canon stream.drop-readable $s (core func $drop))
    (core module $M
      (import "" "mem" (memory 1))
      (import "" "read" (func $read (param i32 i32 i32) (result i32)))
      (import "" "drop" (func $drop (param i32)))
      (func (export "sum") (param $s i32) (result i32) (local $n i32) (local $i i32) (local $sum i32)
        (loop $more
          (local.set $n (call $read (local.get $s) (i32.const 0) (i32.const 100)))
          (local.set $i (i32.const 0))
          (block $done (loop $next
            (br_if $done (i32.eq (local.get $i) (i32.shr_u (local.get $n) (i32.const 4))))
            (local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get $i))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $next)))
          ;; until it is dropped
          (br_if $more (i32.ne (i32.and (local.get $n) (i32.const 0xf)) (i32.const 1))))
        (call $drop (local.get $s))
        (local.get $sum)))
    (core instance $m (instantiate $M (with "" (instance (export "mem" (memory $memory "mem"))
      (export "read" (func $read)) (export "drop" (func $drop))))))
    (func (export "sum") async (param "s" $s) (result u32) (canon lift (core func $m "sum")))))";

TEST(ComponentHost, WritesAStream) {
  World world(kSumOfStream);
  ASSERT_TRUE(world.component);
  const Ends ends = new_ends(*world.store, false, nullptr, 0, {});
  const std::shared_ptr<End> writer = ends.writer;
  int pieces = 0;
  std::function<void()> write = [&] {
    if (pieces == 3) return writer->drop();
    ++pieces;
    writer->copy(std::make_shared<HostBuffer>(std::vector<uint8_t>(250, uint8_t(pieces))));
  };
  uint64_t sent = 0;
  writer->on_event = [&](CopyResult, uint64_t n) {
    sent += n;
    write();
  };
  write();
  const auto result = world.call("sum", {Val::of_end(ends.reader)});
  ASSERT_TRUE(result.ok()) << std::string_view(result.error().message);
  EXPECT_GE((*result)[0].bits(), 100u);
  EXPECT_EQ(pieces, 3);
}

// ---- Components from elsewhere

// A component that another one exports, decoded by itself, gets functions of the importing one:
// types of the two have nothing to do with each other.
constexpr const char* kLibrary = R"((component
    (component $c
      (import "g" (func $g (param "x" (list string)) (result (list string))))
      (core module $Memory (memory (export "mem") 1)
        (global $at (mut i32) (i32.const 1024))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
          (global.set $at (i32.add (global.get $at) (i32.const 64)))
          (global.get $at)))
      (core instance $m (instantiate $Memory))
      (core func $g' (canon lower (func $g) (memory (core memory $m "mem")) (realloc (core func $m "realloc"))))
      (core module $M (import "" "g" (func $g (param i32 i32 i32)))
        (func (export "run") (param i32 i32) (result i32)
          (call $g (local.get 0) (local.get 1) (i32.const 8)) (i32.const 8)))
      (core instance $i (instantiate $M (with "" (instance (export "g" (func $g'))))))
      (func (export "run") (param "x" (list string)) (result (list string))
        (canon lift (core func $i "run") (memory (core memory $m "mem")) (realloc (core func $m "realloc")))))
    (export "c" (component $c))))";

constexpr const char* kUser = R"((component
    (type $r1 (record (field "a" u8) (field "b" u64)))
    (type $r2 (variant (case "a" $r1) (case "b" (list $r1)) (case "c")))
    (type $r3 (tuple $r1 $r2 (list $r2) (option $r2) (result $r2)))
    (type $strings (list string))
    (import "lib" (instance $lib (export "c" (component
      (import "g" (func (param "x" (list string)) (result (list string))))
      (export "run" (func (param "x" (list string)) (result (list string))))))))
    (alias export $lib "c" (component $c))
    (component $G
      (type $r1 (record (field "a" u8) (field "b" u64)))
      (type $r2 (variant (case "a" (list (list u8))) (case "b" (list $r1)) (case "c")))
      (type $strings (list string))
      (core module $Memory (memory (export "mem") 1)
        (global $at (mut i32) (i32.const 1024))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
          (global.set $at (i32.add (global.get $at) (i32.const 64)))
          (global.get $at))
        (func (export "g") (param i32 i32) (result i32)
          (i32.store (i32.const 8) (local.get 0)) (i32.store (i32.const 12) (local.get 1))
          (i32.const 8)))
      (core instance $m (instantiate $Memory))
      (func (export "g") (param "x" $strings) (result $strings)
        (canon lift (core func $m "g") (memory (core memory $m "mem")) (realloc (core func $m "realloc")))))
    (instance $g (instantiate $G))
    (instance $i (instantiate $c (with "g" (func $g "g"))))
    (func (export "run") (alias export $i "run"))))";

// Gives a guest `left` bytes of 1, at most `most` at a time, straight into its memory.
class Ones final : public HostSide {
 public:
  Ones(std::shared_ptr<End> e, uint64_t total, uint64_t at_once)
      : end(std::move(e)), left(total), most(at_once) {}
  TrapCode offered() override {
    ++calls;
    Buffer& to = *end->offer();
    const uint64_t n = std::min({left, most, to.remain()});
    if (left == 0) {
      end->drop();
      return TrapCode::None;
    }
    std::memset(to.raw(), 1, n);
    to.advance(n);
    left -= n;
    end->moved();
    return TrapCode::None;
  }
  void dropped() override { ++drops; }

  const std::shared_ptr<End> end;
  uint64_t left;
  const uint64_t most;
  int calls = 0, drops = 0;
};

TEST(ComponentHost, ASideIsAskedOnceForEachRead) {
  World world(kSumOfStream);
  ASSERT_TRUE(world.component);
  const Ends ends = new_ends(*world.store, false, nullptr, 0, {});
  const auto ones = std::make_shared<Ones>(ends.writer, 1010, 64);
  ends.writer->side = ones;
  const auto result = world.call("sum", {Val::of_end(ends.reader)});
  ASSERT_TRUE(result.ok()) << std::string_view(result.error().message);
  EXPECT_EQ((*result)[0].bits(), 1010u);
  // 15 times 64 bytes, 50, and the end.
  EXPECT_EQ(ones->calls, 17);
  EXPECT_EQ(ones->drops, 0);
}

TEST(ComponentHost, ComponentsFromElsewhere) {
  World library(kLibrary);
  ASSERT_TRUE(library.component);
  auto lib = library.linker.instantiate(*library.store, library.component);
  ASSERT_TRUE(lib.ok()) << std::string_view(lib.error().message);
  World world(kUser, library.engine);
  ASSERT_TRUE(world.component);
  Item item;
  item.sort = Sort::Instance;
  item.instance = (*lib)->exports;
  world.linker.define("lib", item);
  // What is compiled for one instance does not go by the other's.
  for (int i = 0; i < 3; ++i) {
    world.instance = nullptr;
    Val::Items items;
    items.push_back(Val::of_text("one"));
    items.push_back(Val::of_text("zwölf"));
    const auto result = world.call("run", {Val::of_items(items)});
    ASSERT_TRUE(result.ok()) << std::string_view(result.error().message);
    EXPECT_TRUE((*result)[0] == Val::of_items(items));
  }
}

// Types of what comes from elsewhere are not looked into before, so that instantiation has to.
TEST(ComponentHost, ComponentsFromElsewhereThatDoNotFit) {
  World library(
      "(component (component $c (component $d) (export \"run\" (component $d)))"
      " (export \"c\" (component $c)))");
  ASSERT_TRUE(library.component);
  auto lib = library.linker.instantiate(*library.store, library.component);
  ASSERT_TRUE(lib.ok());
  World world(kUser, library.engine);
  ASSERT_TRUE(world.component);
  Item item;
  item.sort = Sort::Instance;
  item.instance = (*lib)->exports;
  world.linker.define("lib", item);
  const auto made = world.linker.instantiate(*world.store, world.component);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(std::string_view(made.error().message), "export `run`: expected func, found component");
}

// ---- WAVE

// Values of types with many labels take time by their size.
TEST(Wave, TimeIsLinear) {
  const auto seconds = [](TypeKind kind, size_t n) {
    TypeArena types(std::make_shared<wasm::TypeRegistry>());
    TypeDef def;
    def.kind = kind;
    std::string text;
    for (size_t i = 0; i < n; ++i) {
      const std::string name = "f" + std::to_string(i);
      const ValType u8{Prim::U8, 0};
      def.labels.push_back({name, kind == TypeKind::Enum ? ValType() : u8});
      text += (i ? "," : "") + name;
      if (kind != TypeKind::Enum) text += kind == TypeKind::Record ? ":7" : "(7)";
    }
    ValType type = ValType::of(*types.add(std::move(def)));
    if (kind != TypeKind::Record) {
      TypeDef list;
      list.kind = TypeKind::List;
      list.args.push_back(type);
      type = ValType::of(*types.add(std::move(list)));
    }
    text = kind == TypeKind::Record ? "{" + text + "}" : "[" + text + "]";
    const std::clock_t start = std::clock();
    auto value = parse_wave(types, type, text);
    EXPECT_TRUE(value.ok()) << std::string_view(value.error().message);
    EXPECT_GE(print_wave(types, type, *value).size(), text.size());
    const double out = double(std::clock() - start) / CLOCKS_PER_SEC;
    // What is wrong is told in one line of a length that can be read.
    auto wrong = parse_wave(types, type, kind == TypeKind::Record ? "{x: 1}" : "[x]");
    EXPECT_FALSE(wrong.ok());
    EXPECT_LT(wrong.error().message.size(), 700u);
    EXPECT_LT(describe_type(types, type).size(), 1'100u);
    return out;
  };
  for (const TypeKind kind : {TypeKind::Record, TypeKind::Variant, TypeKind::Enum}) {
    const double small = std::max(seconds(kind, 5'000), 0.002), large = seconds(kind, 50'000);
    // Ten times the size; quadratic time would be 100 times as much.
    EXPECT_LT(large, 40 * small) << kind_name(kind);
  }
}

TEST(Wave, SaysWhatIsWrong) {
  World world(R"((component
    (core module $M (memory (export "mem") 1) (func (export "f") (param i32 i32 i32 i32 i32 i32))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8)))
    (core instance $m (instantiate $M))
    (type $r' (record (field "name" string) (field "age" (option u8)) (field "ok" bool)
      (field "kind" char)))
    (export $r "r" (type $r'))
    (func (export "f") (param "p" $r) (canon lift (core func $m "f") (memory (core memory $m "mem"))
      (realloc (core func $m "realloc"))))))");
  ASSERT_TRUE(world.component);
  auto made = world.linker.instantiate(*world.store, world.component);
  ASSERT_TRUE(made.ok());
  world.instance = *made;
  const auto error = [&](std::string_view text) {
    auto v = world.parse("f", text);
    return v.ok() ? "ok" : std::string(std::string_view(v.error().message));
  };
  EXPECT_EQ(error("{name: \"x\", %ok: true, kind: 'a'}"), "ok");
  EXPECT_EQ(error("{ // comment\n kind: '\\u{2603}', name: \"\\n\", %ok: false, age: some(3), }"),
            "ok");
  EXPECT_EQ(error("{name: \"x\", %ok: true, kind: 'a', age: 256}"), "number out of range of u8");
  EXPECT_EQ(error("{name: \"x\", %ok: 1, kind: 'a'}"), "`true` or `false` expected, `1` found");
  EXPECT_EQ(error("{name: \"x\", %ok: true}"), "field `kind` is missing");
  EXPECT_EQ(error("{nam: 1}"), "a field (name, age, %ok, kind) expected, `nam` found");
  EXPECT_EQ(error("{name: \"x"), "`\"` expected, the end found");
  EXPECT_EQ(error("{name: \"\\q\"}"), "an escape sequence expected, `\\q` found");
  EXPECT_EQ(error("{name: \"x\", %ok: true, kind: ''}"), "a character expected, `'` found");
  EXPECT_EQ(error("{name: \"x\", %ok: true, kind: 'a'} 1"), "the end expected, `1` found");
  EXPECT_EQ(error(""), "`{` expected, the end found");
}

}  // namespace
}  // namespace wafer::component
