// Values between components and types of C++ without dynamic values: what is lifted is what the
// general way lifts, also of guests that give what is none.
#include <gtest/gtest.h>

#include <cmath>

#include "component/run/linker.h"
#include "wafer/bindings.hpp"
#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

namespace wafer {
namespace {

enum class Level : uint8_t { Low, Middle, High };
enum class Bit : uint16_t {};
struct Sign {
  struct None {
    bool operator==(const None&) const = default;
  };
  struct Small {
    uint8_t value;
    bool operator==(const Small&) const = default;
  };
  struct Wide {
    double value;
    bool operator==(const Wide&) const = default;
  };
  struct Word {
    std::string value;
    bool operator==(const Word&) const = default;
  };
  std::variant<None, Small, Wide, Word> value;
  bool operator==(const Sign&) const = default;
};
struct Place {
  uint8_t a;
  uint64_t b;
  std::optional<std::string> c;
  bool operator==(const Place&) const = default;
};

}  // namespace

template <>
struct ComponentShape<Level> {
  static constexpr ComponentShapeKind kKind = ComponentShapeKind::Enum;
  static constexpr uint32_t kCount = 3;
};
template <>
struct ComponentShape<Bit> {
  static constexpr ComponentShapeKind kKind = ComponentShapeKind::Flags;
  static constexpr uint32_t kCount = 9;
};
template <>
struct ComponentShape<Sign> {
  static constexpr ComponentShapeKind kKind = ComponentShapeKind::Variant;
};
template <>
struct ComponentShape<Place> {
  static constexpr ComponentShapeKind kKind = ComponentShapeKind::Record;
  static constexpr auto kFields = std::tuple(&Place::a, &Place::b, &Place::c);
};

namespace {

// The types are laid out as the specification says.
static_assert(ComponentAbi<Place>::kSize == 32 && ComponentAbi<Place>::kAlign == 8 &&
              ComponentAbi<Place>::kFlat == 5);
static_assert(ComponentAbi<Sign>::kSize == 16 && ComponentAbi<Sign>::kFlat == 3);
static_assert(ComponentAbi<Bit>::kSize == 2 && ComponentAbi<Level>::kSize == 1);
static_assert(ComponentDirect<std::vector<std::tuple<std::string, Expected<Unit, Sign>>>>);
static_assert(!ComponentDirect<std::vector<std::optional<ComponentVal>>>);

// One way of the two.
template <class T>
struct Outcome {
  std::optional<T> value;
  std::string trap;
  bool operator==(const Outcome&) const = default;
};

class ComponentAbiTest : public testing::Test {
 protected:
  // A component that calls `f` with core values, and what is at 64 in its memory.
  Component guest(const std::string& types, const std::string& type, const std::string& core,
                  const std::string& values, const std::string& data) {
    const auto binary = wat2wasm("(component " + types + R"(
      (import "f" (func $f (param "x" )" +
                                 type + R"()))
      (core module $Mem (memory (export "mem") 1) (data (i32.const 64) ")" +
                                 data + R"("))
      (core instance $mem (instantiate $Mem))
      (core func $f (canon lower (func $f) (memory (core memory $mem "mem"))))
      (core module $M (import "" "f" (func $f (param )" +
                                 core + R"()))
        (func (export "run") (call $f )" +
                                 values + R"()))
      (core instance $m (instantiate $M (with "" (instance (export "f" (func $f))))))
      (func (export "run") (canon lift (core func $m "run")))))");
    EXPECT_TRUE(binary.ok()) << std::string_view(binary.error().message);
    auto component =
        Component::load(engine, {binary->data(), binary->size()}, {{"cm-fixed-length-lists"}});
    EXPECT_TRUE(component.ok()) << std::string_view(component.error().message);
    return *component;
  }
  template <class T>
  Outcome<T> run(const Component& component, bool direct) {
    Outcome<T> out;
    ComponentLinker linker;
    if (direct)
      linker.typed("", "f", [&](T v) { out.value = std::move(v); });
    else
      linker.func("", "f", [&](ComponentCall& call) { out.value = call.arg<T>(0); });
    Store store(engine);
    auto instance = linker.instantiate(store, component);
    EXPECT_TRUE(instance.ok()) << std::string_view(instance.error().message);
    if (!instance.ok()) return out;
    const auto done = instance->func("run").call();
    if (!done.ok()) out.trap = std::string_view(done.error().message);
    // The general way keeps room for values.
    if (direct) EXPECT_TRUE(instance->raw()->store.rooms.empty());
    return out;
  }
  template <class T>
  Outcome<T> lift(const std::string& type, const std::string& core, const std::string& values,
                  const std::string& data = "", const std::string& types = "") {
    const Component component = guest(types, type, core, values, data);
    const Outcome<T> general = run<T>(component, false), direct = run<T>(component, true);
    EXPECT_EQ(general.trap, direct.trap) << type << " " << values;
    EXPECT_EQ(general.value, direct.value) << type << " " << values;
    return direct;
  }
  template <class T>
  void gives(const T& wanted, const std::string& type, const std::string& core,
             const std::string& values, const std::string& data = "",
             const std::string& types = "") {
    const auto out = lift<T>(type, core, values, data, types);
    EXPECT_EQ(out.trap, "") << type << " " << values;
    EXPECT_EQ(out.value, wanted) << type << " " << values;
  }
  template <class T>
  void traps(const std::string& wanted, const std::string& type, const std::string& core,
             const std::string& values, const std::string& data = "",
             const std::string& types = "") {
    const auto out = lift<T>(type, core, values, data, types);
    EXPECT_NE(out.trap.find(wanted), std::string::npos) << type << " " << values << out.trap;
    EXPECT_FALSE(out.value) << type << " " << values;
  }
  static constexpr const char* kNames =
      R"((type $e' (enum "a" "b" "c")) (import "e" (type $e (eq $e')))
         (type $b' (flags "a" "b" "c" "d" "e" "f" "g" "h" "i")) (import "b" (type $b (eq $b')))
         (type $s' (variant (case "a") (case "b" u8) (case "c" f64) (case "d" string)))
         (import "s" (type $s (eq $s')))
         (type $p' (record (field "a" u8) (field "b" u64) (field "c" (option string))))
         (import "p" (type $p (eq $p'))))";

  Config config = [] {
    Config c;
    c.tier = Tier::Interpreter;
    return c;
  }();
  Engine engine{config};
};

const char* const kPair = "i32 i32";
std::string at(int64_t a, int64_t b) {
  return "(i32.const " + std::to_string(a) + ") (i32.const " + std::to_string(b) + ")";
}

TEST_F(ComponentAbiTest, Strings) {
  gives<std::string>("abc", "string", kPair, at(64, 3), "abcd");
  gives<std::string>("", "string", kPair, at(65536, 0));
  traps<std::string>("out of bounds", "string", kPair, at(65530, 7));
  traps<std::string>("out of bounds", "string", kPair, at(-1, 1));
  traps<std::string>("out-of-bounds", "string", kPair, at(0, -1));
  traps<std::string>("", "string", kPair, at(64, 2), "\\c3\\28");
  using Many = std::vector<std::string>;
  gives<Many>({"b", "cd"}, "(list string)", kPair, at(64, 2),
              "\\51\\00\\00\\00\\01\\00\\00\\00\\52\\00\\00\\00\\02\\00\\00\\00abcd");
  traps<Many>("out of bounds", "(list string)", kPair, at(64, 1),
              "\\51\\00\\00\\00\\ff\\ff\\00\\00");
}

TEST_F(ComponentAbiTest, Lists) {
  using Bytes = std::vector<uint8_t>;
  gives<Bytes>({1, 2}, "(list u8)", kPair, at(64, 2), "\\01\\02");
  gives<std::vector<int16_t>>({-1, 2}, "(list s16)", kPair, at(64, 2), "\\ff\\ff\\02\\00");
  gives<std::vector<bool>>({true, false}, "(list bool)", kPair, at(64, 2), "\\07\\00");
  gives<std::vector<float>>({1.5f}, "(list f32)", kPair, at(64, 1), "\\00\\00\\c0\\3f");
  gives<std::vector<char32_t>>({U'a'}, "(list char)", kPair, at(64, 1), "a\\00\\00\\00");
  traps<std::vector<char32_t>>("invalid `char`", "(list char)", kPair, at(64, 1),
                               "\\00\\d8\\00\\00");
  traps<Bytes>("list content out-of-bounds", "(list u8)", kPair, at(65535, 2));
  traps<Bytes>("list content out-of-bounds", "(list u8)", kPair, at(0, -1));
  traps<std::vector<uint64_t>>("unaligned pointer", "(list u64)", kPair, at(68, 1));
  traps<std::vector<uint64_t>>("list content out-of-bounds", "(list u64)", kPair,
                               at(0, 0x20000001));
  traps<std::vector<uint32_t>>("list content out-of-bounds", "(list u32)", kPair,
                               at(0, 0x40000001));
  using Nested = std::vector<std::vector<uint16_t>>;
  gives<Nested>({{0x40}, {}}, "(list (list u16))", kPair, at(64, 2),
                "\\40\\00\\00\\00\\01\\00\\00\\00\\40\\00\\00\\00\\00\\00\\00\\00");
  traps<Nested>("unaligned pointer", "(list (list u16))", kPair, at(64, 1),
                "\\41\\00\\00\\00\\01\\00\\00\\00");
  gives<std::array<uint16_t, 2>>({1, 2}, "(list u16 2)", kPair, at(0x10001, 2));
  using Map = std::vector<std::pair<uint8_t, uint32_t>>;
  gives<Map>({{1, 2}}, "(list (tuple u8 u32))", kPair, at(64, 1),
             "\\01\\ff\\ff\\ff\\02\\00\\00\\00");
}

TEST_F(ComponentAbiTest, NamedTypes) {
  gives<Level>(Level::High, "$e", "i32", "(i32.const 2)", "", kNames);
  traps<Level>("invalid variant discriminant", "$e", "i32", "(i32.const 3)", "", kNames);
  traps<std::vector<Level>>("invalid variant discriminant", "(list $e)", kPair, at(64, 1), "\\03",
                            kNames);
  gives<Bit>(Bit(0x101), "$b", "i32", "(i32.const 0xff01)", "", kNames);
  gives<std::vector<Bit>>({Bit(0x1ff)}, "(list $b)", kPair, at(64, 1), "\\ff\\ff", kNames);
  const std::string core = "i32 i64 i32";
  const auto sign = [](int tag, const char* payload, int length = 0) {
    return "(i32.const " + std::to_string(tag) + ") (i64.const " + payload + ") (i32.const " +
           std::to_string(length) + ")";
  };
  gives<Sign>({Sign::None{}}, "$s", core, sign(0, "-1"), "", kNames);
  gives<Sign>({Sign::Small{7}}, "$s", core, sign(1, "0x7107"), "", kNames);
  gives<Sign>({Sign::Wide{1.0}}, "$s", core, sign(2, "0x3ff0000000000000"), "", kNames);
  gives<Sign>({Sign::Word{"hi"}}, "$s", core, sign(3, "64", 2), "hi", kNames);
  traps<Sign>("invalid variant discriminant", "$s", core, sign(4, "0"), "", kNames);
  traps<Sign>("invalid variant discriminant", "$s", core, sign(-1, "0"), "", kNames);
  gives<std::vector<Sign>>({{Sign::Small{9}}}, "(list $s)", kPair, at(64, 1),
                           "\\01\\ff\\ff\\ff\\ff\\ff\\ff\\ff\\09", kNames);
  const std::string record =
      "(i32.const 0x105) (i64.const 6) (i32.const 1) (i32.const 64) (i32.const 1)";
  gives<Place>({5, 6, "x"}, "$p", "i32 i64 i32 i32 i32", record, "x", kNames);
  gives<std::vector<Place>>({{5, 6, std::nullopt}}, "(list $p)", kPair, at(64, 1),
                            "\\05\\ff\\ff\\ff\\ff\\ff\\ff\\ff\\06\\00\\00\\00\\00\\00\\00\\00\\00",
                            kNames);
  using Result = Expected<uint32_t, std::string>;
  gives<Result>(Result(8u), "(result u32 (error string))", "i32 i32 i32",
                "(i32.const 0) " + at(8, 0));
  gives<Result>(Err<std::string>{"no"}, "(result u32 (error string))", "i32 i32 i32",
                "(i32.const 1) " + at(64, 2), "no");
  traps<Result>("invalid variant discriminant", "(result u32 (error string))", "i32 i32 i32",
                "(i32.const 2) " + at(64, 2));
}

// More than there are core parameters for.
TEST_F(ComponentAbiTest, ParametersInMemory) {
  using Many = std::tuple<std::array<uint64_t, 2>, std::string, std::string, std::string,
                          std::string, std::string, std::string, std::string, uint8_t>;
  const std::string type =
      "(tuple (list u64 2) string string string string string string string u8)";
  std::string data = "\\01\\00\\00\\00\\00\\00\\00\\00\\02\\00\\00\\00\\00\\00\\00\\00";
  for (int i = 0; i < 7; ++i) data += "\\40\\00\\00\\00\\00\\00\\00\\00";
  data += "\\2a";
  gives<Many>({{1, 2}, "", "", "", "", "", "", "", 42}, type, "i32", "(i32.const 64)", data);
  traps<Many>("unaligned pointer", type, "i32", "(i32.const 68)", data);
  traps<Many>("pointer out of bounds", type, "i32", "(i32.const 65480)", data);
}

// ---- Calls of components

// An exported function of C++'s types, called by bindings and with dynamic values.
class ComponentAbiCall : public ComponentAbiTest {
 protected:
  // `core`: its core function, with the name "f"; `realloc`: what that gives.
  Component exporting(const std::string& type, const std::string& core,
                      const std::string& realloc = "(i32.const 1024)",
                      const std::string& data = "") {
    const auto binary = wat2wasm(R"((component
      (core module $M (memory (export "mem") 1) (data (i32.const 64) ")" +
                                 data + R"(")
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) )" +
                                 realloc + R"()
        (func (export "f") )" + core +
                                 R"())
      (core instance $m (instantiate $M))
      (func (export "f") )" + type +
                                 R"( (canon lift (core func $m "f")
        (memory (core memory $m "mem")) (realloc (core func $m "realloc"))))))");
    EXPECT_TRUE(binary.ok()) << std::string_view(binary.error().message);
    auto component = Component::load(engine, {binary->data(), binary->size()});
    EXPECT_TRUE(component.ok()) << std::string_view(component.error().message);
    return *component;
  }
  template <class R, class... A>
  Outcome<R> call(const Component& component, const char* signature, const A&... args) {
    ComponentLinker linker;
    Outcome<R> out[2];
    for (const bool direct : {false, true}) {
      Store store(engine);
      auto instance = linker.instantiate(store, component);
      EXPECT_TRUE(instance.ok()) << std::string_view(instance.error().message);
      const ComponentScope scope{instance->store(), linker.host_types().get(), nullptr};
      const auto bound = BoundFunc<R(const A&...)>::find(*instance, scope, "", "f", signature);
      EXPECT_TRUE(bound.ok()) << std::string_view(bound.error().message);
      const auto result =
          direct ? bound->call(args...) : instance->func("f").template call<R>(args...);
      if (result.ok())
        out[direct].value = *result;
      else
        out[direct].trap = std::string_view(result.error().message);
      // After a trap nothing runs in it any more.
      if (!result.ok()) EXPECT_FALSE((bound->call(args...).ok()));
    }
    EXPECT_EQ(out[0].trap, out[1].trap) << signature;
    EXPECT_EQ(out[0].value, out[1].value) << signature;
    return out[1];
  }
};

TEST_F(ComponentAbiCall, ValuesGoBothWays) {
  const auto text =
      exporting(R"((param "x" string) (result string))",
                R"((param i32 i32) (result i32) (i32.store (i32.const 8) (local.get 0))
                   (i32.store (i32.const 12) (local.get 1)) (i32.const 8))");
  EXPECT_EQ(call<std::string>(text, "func(string) -> string", std::string("ümläut")).value,
            "ümläut");
  const auto numbers =
      exporting(R"((param "a" s8) (param "b" f64) (param "c" (option u64)) (result s64))",
                R"((param i32 f64 i32 i64) (result i64) (i64.add (i64.extend_i32_s (local.get 0))
                   (i64.add (i64.trunc_f64_s (local.get 1))
                     (i64.mul (i64.extend_i32_u (local.get 2)) (local.get 3)))))");
  EXPECT_EQ(call<int64_t>(numbers, "func(s8, f64, option<u64>) -> s64", int8_t(-3), 10.5,
                          std::optional<uint64_t>(1000))
                .value,
            1007);
  EXPECT_EQ(call<int64_t>(numbers, "func(s8, f64, option<u64>) -> s64", int8_t(-128), -1.0,
                          std::optional<uint64_t>())
                .value,
            -129);
  using List = std::vector<std::tuple<uint8_t, uint32_t>>;
  const auto list = exporting(R"((param "x" (list (tuple u8 u32))) (result u32))",
                              R"((param i32 i32) (result i32) (i32.add (local.get 1)
                                 (i32.add (i32.load8_u offset=8 (local.get 0))
                                   (i32.load offset=12 (local.get 0)))))");
  EXPECT_EQ(
      call<uint32_t>(list, "func(list<tuple<u8, u32>>) -> u32", List{{1, 2}, {3, 1000}}).value,
      1005u);
}

TEST_F(ComponentAbiCall, GuestsThatGiveWhatIsNone) {
  const auto fails = [&](const std::string& wanted, const Outcome<std::string>& out) {
    EXPECT_FALSE(out.value);
    EXPECT_NE(out.trap.find(wanted), std::string::npos) << out.trap;
  };
  const std::string type = R"((param "x" string) (result string))";
  const char* const signature = "func(string) -> string";
  const std::string x = "some text";
  const auto gives = [](const std::string& at) {
    return "(param i32 i32) (result i32) (i32.const " + at + ")";
  };
  fails("pointer out of bounds", call<std::string>(exporting(type, gives("65532")), signature, x));
  fails("pointer out of bounds", call<std::string>(exporting(type, gives("-8")), signature, x));
  fails("unaligned pointer", call<std::string>(exporting(type, gives("66")), signature, x));
  fails("out of bounds of memory",
        call<std::string>(
            exporting(type, gives("64"), "(i32.const 1024)", "\\ff\\ff\\00\\00\\02\\00\\00\\00"),
            signature, x));
  fails("out-of-bounds", call<std::string>(exporting(type, gives("64"), "(i32.const 1024)",
                                                     "\\00\\00\\00\\00\\00\\00\\00\\ff"),
                                           signature, x));
  fails("", call<std::string>(exporting(type, gives("64"), "(i32.const 1024)",
                                        "\\48\\00\\00\\00\\02\\00\\00\\00\\c3\\28"),
                              signature, x));
  fails(
      "unreachable",
      call<std::string>(exporting(type, "(param i32 i32) (result i32) unreachable"), signature, x));
  // Space that is none.
  fails("beyond end of memory",
        call<std::string>(exporting(type, gives("64"), "(i32.const 65535)"), signature, x));
  fails("unreachable",
        call<std::string>(exporting(type, gives("64"), "unreachable"), signature, x));
  const auto words =
      exporting(R"((param "x" (list u32)) (result string))", gives("64"), "(i32.const 1022)");
  fails("not aligned",
        call<std::string>(words, "func(list<u32>) -> string", std::vector<uint32_t>{1}));
}

// What the types of C++ are counts, whatever the type is said to be.
TEST_F(ComponentAbiCall, TypesOfCppAreCompared) {
  const auto component =
      exporting(R"((param "x" u32) (result u32))", "(param i32) (result i32) (local.get 0)");
  ComponentLinker linker;
  Store store(engine);
  auto instance = linker.instantiate(store, component);
  ASSERT_TRUE(instance.ok());
  const auto find = [&]<class F>(std::type_identity<F>) {
    const auto found =
        BoundFunc<F>::find(*instance, {instance->store()}, "", "f", "func(u32) -> u32");
    return found.ok() ? "" : std::string(found.error().message);
  };
  EXPECT_EQ(find(std::type_identity<uint32_t(uint32_t)>()), "");
  EXPECT_EQ(find(std::type_identity<ComponentVal(ComponentVal)>()), "");
  EXPECT_EQ(find(std::type_identity<std::string(uint32_t)>()),
            "component exports `f`: the component's type is (u32) -> u32, the host's (u32) -> "
            "string");
  EXPECT_NE(find(std::type_identity<uint32_t(std::string)>()), "");
  EXPECT_NE(find(std::type_identity<uint32_t()>()), "");
  EXPECT_NE(find(std::type_identity<void(uint32_t)>()), "");
  EXPECT_NE(find(std::type_identity<ComponentVal()>()), "");
}

}  // namespace
}  // namespace wafer
