// Components in the text format: abbreviations, errors, and constants of scripts.
#include <gtest/gtest.h>

#include "component/component.h"
#include "wat/wast.h"

namespace wafer::wat {
namespace {

std::string parsed(std::string_view text, bool names = false) {
  const auto bytes = parse_wat(text, {.names = names});
  EXPECT_TRUE(bytes.ok()) << text << "\n"
                          << std::string_view(bytes.ok() ? "" : bytes.error().message);
  return bytes.ok() ? std::string(bytes->begin(), bytes->end()) : std::string();
}

Result<void> validate(std::string_view text) {
  WAFER_LET(bytes, parse_wat(text));
  component::DecodeOptions options;
  for (unsigned f = 0; f < unsigned(component::Feature::None); ++f)
    options.features.set(component::Feature(f));
  WAFER_TRY(component::decode({bytes.data(), bytes.size()}, options));
  return {};
}

std::string error_of(std::string_view text) {
  const auto done = validate(text);
  return done.ok() ? "" : std::string(std::string_view(done.error().message));
}

// What is written in short gives the same bytes as what it stands for, and is valid.
TEST(ComponentText, Abbreviations) {
  const struct {
    const char *brief, *full;
  } kCases[] = {
      // Types within types, depth first.
      {R"((component (type (record (field "a" (list (option u8))) (field "b" (tuple u8 s8))))))",
       R"((component (type (option u8)) (type (list 0)) (type (tuple u8 s8))
             (type (record (field "a" 1) (field "b" 2)))))"},
      {R"((component (import "f" (func async (param "x" (list u8)) (result string)))))",
       R"((component (type (list u8)) (type (func async (param "x" 0) (result string)))
             (import "f" (func (type 1)))))"},
      {R"((component (import "i" (instance $i (export "r" (type $r (sub resource)))
                                             (export "f" (func (result (own $r))))))
             (export "g" (func $i "f"))))",
       R"((component
             (type (instance (export "r" (type (sub resource))) (type (own 0))
                             (type (func (result 1))) (export "f" (func (type 2)))))
             (import "i" (instance (type 0)))
             (alias export 0 "f" (func)) (export "g" (func 0))))"},
      // References to what instances export, also of several steps.
      {R"((component
             (import "a" (instance $a (export "b" (instance (export "c" (component))))))
             (instance (instantiate (component $a "b" "c")))))",
       R"((component
             (type (instance (type (instance (type (component)) (export "c" (component (type 0)))))
                             (export "b" (instance (type 0)))))
             (import "a" (instance (type 0)))
             (alias export 0 "b" (instance)) (alias export 1 "c" (component))
             (instance (instantiate 0))))"},
      {R"((component
             (core module $M (memory (export "m") 1) (func (export "f")))
             (core instance $i (instantiate $M))
             (core instance (export "g" (func $i "f")) (export "n" (memory $i "m")))
             (core func $f (alias core export $i "f"))))",
       R"((component
             (core module (memory (export "m") 1) (func (export "f")))
             (core instance (instantiate 0))
             (alias core export 0 "f" (core func)) (alias core export 0 "m" (core memory))
             (core instance (export "g" (func 0)) (export "n" (memory 0)))
             (alias core export 0 "f" (core func))))"},
      // Outer definitions by their names.
      {R"((component $P (core module $m) (type $t u8) (component $c)
             (component (core instance (instantiate $m)) (type (list $t))
                        (instance (instantiate $c)))))",
       R"((component $P (core module $m) (type $t u8) (component $c)
             (component (alias outer $P $m (core module)) (core instance (instantiate 0))
                        (alias outer 1 0 (type)) (type (list 0))
                        (alias outer $P $c (component)) (instance (instantiate 0)))))"},
      {R"((component (core type $f (func (param i32)))
             (core type (module (type $own (func)) (import "" "f" (func (type $f)))
                                (import "" "g" (func (type $own)))))))",
       R"((component (core type (func (param i32)))
             (core type (module (type (func)) (alias outer 1 0 (type)) (import "" "f" (func (type 1)))
                                (import "" "g" (func (type 0)))))))"},
      // Function types of module types, each once.
      {R"((component (core type (module (import "" "f" (func (param i32)))
                                        (export "g" (func (param i32))) (export "h" (func))))))",
       R"((component (core type (module (type (func (param i32))) (import "" "f" (func (type 0)))
                                        (export "g" (func (type 0)))
                                        (type (func)) (export "h" (func (type 1)))))))"},
      // Inline imports, exports and lifts; exports come last.
      {R"((component (import "n" (func $n))
             (core func $l (canon lower (func $n)))
             (func $a (export "a") (export "b") (canon lift (core func $l)))
             (func (import "m") (param "p" u8))
             (type $t (export "t") u8)))",
       R"((component (type (func)) (import "n" (func (type 0)))
             (canon lower (func 0) (core func))
             (type (func)) (canon lift (core func 0) (func (type 1)))
             (type (func (param "p" u8))) (import "m" (func (type 2)))
             (type u8)
             (export "a" (func 1)) (export "b" (func 1)) (export "t" (type 3))))"},
      // Instances among arguments.
      {R"((component
             (core module $M (import "a" "f" (func)) (import "b" "f" (func)))
             (core module $N (func (export "f")))
             (core instance $n (instantiate $N))
             (core instance (instantiate $M (with "a" (instance $n))
                                            (with "b" (instance (export "f" (func $n "f"))))))))",
       R"((component
             (core module (import "a" "f" (func)) (import "b" "f" (func)))
             (core module (func (export "f")))
             (core instance (instantiate 1))
             (alias core export 0 "f" (core func)) (core instance (export "f" (func 0)))
             (core instance (instantiate 0 (with "a" (instance 0)) (with "b" (instance 1))))))"},
      // Aliases the other way round.
      {R"((component $P (import "i" (instance $i (export "f" (func)) (type $u u8) (export "t" (type (eq $u)))))
             (func $f (alias export $i "f")) (type $t (alias export $i "t"))
             (component (type (alias outer $P $t)))))",
       R"((component (type (instance (type (func)) (export "f" (func (type 0)))
                                     (type $u u8) (export "t" (type (eq $u)))))
             (import "i" (instance (type 0)))
             (alias export 0 "f" (func)) (alias export 0 "t" (type))
             (component (alias outer 1 1 (type)))))"},
      // Names with attributes.
      {R"((component (import "a" (external-id "x") (implements "a:b/c") (instance))))",
       R"((component (type (instance))
                     (import "a" (external-id "x") (implements "a:b/c") (instance (type 0)))))"},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(parsed(c.brief), parsed(c.full)) << c.brief;
    EXPECT_EQ(error_of(c.brief), "") << c.brief;
  }
}

TEST(ComponentText, Errors) {
  const struct {
    const char *text, *message;
  } kCases[] = {
      {"(component (import \"f\" (func (type $T))) (type $T (func)))", "unknown type $T"},
      {"(component (type $t u8) (type $t u8))", "duplicate type"},
      {"(component (func $f (import \"f\")) (component (export \"f\" (func $f))))",
       "outer item `f` is not a module, type, or component"},
      {"(component (alias outer $X 0 (type)))", "outer component `X` not found"},
      {"(component (core module $M) (core instance $i (instantiate $M))"
       " (core func (canon resource.drop (core func $i \"f\"))))",
       "unexpected token ("},
      {"(component (core func (canon lower $f)))", "unexpected token $f"},
      {"(component (func (canon lift (func $f))))",
       "unexpected token func: core items are "
       "written with `core` here"},
      {"(component (import \"a\" (implements \"a:b/c\") (implements \"a:b/c\") (instance)))",
       "unexpected token ("},
      {"(component (type (nothing)))", "unexpected token ("},
      {"(component", "unexpected end"},
      {"(component) (component)", "unexpected token"},
      {"(component (func $f (import \"\\ff\")))", "malformed UTF-8 encoding"},
      {"(component (core module (func $f (call $g))))", "unknown func $g"},
  };
  for (const auto& c : kCases) EXPECT_EQ(error_of(c.text), c.message) << c.text;
  std::string deep = "u8";
  for (int i = 0; i < 101; ++i) deep = "(list " + deep + ")";
  EXPECT_EQ(error_of("(component (type " + deep + "))"), "types are nested too deeply");
  std::string components;
  for (int i = 0; i < 200000; ++i) components += "(component ";
  EXPECT_NE(error_of(components), "");
  components += std::string(200000, ')');
  EXPECT_EQ(error_of(components), "components and types are nested too deeply");
}

TEST(ComponentText, NameSection) {
  const std::string bytes = parsed(
      "(component $c (core module $m) (type $t (@name \"a type\") u8) (component $d))", true);
  EXPECT_NE(bytes.find("component-name"), bytes.npos);
  EXPECT_NE(bytes.find("a type"), bytes.npos);
  EXPECT_EQ(parsed("(component $c (type $t u8))"), parsed("(component (type u8))"));
}

TEST(ComponentText, CoreTypes) {
  EXPECT_EQ(error_of(R"((component $C
      (core rec (type $a (sub (struct (field (ref null $b)) (field (mut i8)))))
                (type $b (sub (array (ref $a)))))
      (core type $s (sub $a (struct (field (ref null $b)) (field (mut i8)) (field f32))))
      (core type $f (func (param (ref $s)) (result (ref null $a))))
      (core type (module (alias outer $C $s (type $s))
        (rec (type $l (sub final $s (struct (field (ref null $b)) (field (mut i8)) (field f32)))))
        (import "" "f" (func (param (ref $l)))) (export "g" (global (ref null $f)))))))"),
            "");
  const struct {
    const char *text, *message;
  } kCases[] = {
      {"(component (core type $f (func)) (core type (sub $f (func))))",
       "sub type 1 has final super type 0"},
      {"(component (core type $f (sub (func))) (core type (sub $f (func (param i32)))))",
       "sub type 1 does not match super type 0"},
      {"(component (core type $m (module)) (core type (func (param (ref $m)))))",
       "core type index 0 is a module type"},
      {"(component (core type $m (module)) (core type (sub $m (struct))))",
       "core type index 0 is a module type"},
      {"(component (core type (func (param (ref 1)))))", "unknown type 1"},
      {"(component (core type (module (type (module)))))",
       "invalid leading byte (0x50) for type definition: a module type holds none"},
  };
  for (const auto& c : kCases) EXPECT_EQ(error_of(c.text), c.message) << c.text;
}

// Text gives the same bytes again, with names and without.
TEST(ComponentText, PrintsBack) {
  const std::string texts[] = {
      R"((component $c (@wafer.section type) (@custom "x" "\00y")
           (core module $m (func $f)) (core module (@name "own")) (type $t (@name "a t") u8)
           (@wafer.section) (type (list $t)) (component $d (type $u string)) (component)
           (import "i" (@wafer.name 1) (func (type 0))) (import "j" (@wafer.name 2) (func (type 0)))
           (@custom "z")))",
      "(component (core module $m (func $f)) (@wafer.unnamed))",
      "(component (core module (@name \"own\")) (@custom \"component-name\" \"\\01\"))",
      "(component (component $c (core module $m)) (@wafer.unnamed))",
      "(component (core module $a binary \"\\00asm\\01\\00\\00\\00\\ff\"))",
      R"((component $c (core rec (type $a (struct (field (ref null $b)))) (type $b (sub (array i8))))
           (core type (sub (func (param (ref $a)))))
           (core type (module (rec (type $x (func)) (type (struct)))
                              (import "" "" (func (type $x))) (export "t" (tag (type $x)))))))",
      "(component (start 0 (value 1) (result (value)) (result (value $v))))",
  };
  for (const std::string& text : texts) {
    for (const bool names : {true, false}) {
      const std::string bytes = parsed(text, names);
      const auto printed = print_component(
          {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, {.names = names});
      ASSERT_TRUE(printed.ok()) << text;
      EXPECT_EQ(parsed(*printed, names), bytes) << *printed;
    }
  }
  // Bytes that no text has.
  for (const char* bad : {"\1", "\x7\1\0\0\0\0", "\7\2\1\x50"}) {
    std::string bytes("\0asm\x0d\0\1\0", 8);
    bytes += bad;
    EXPECT_FALSE(
        print_component({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}).ok());
  }
}

// Time grows with size: a mistake in that would take minutes here.
TEST(ComponentText, LongAndDeep) {
  std::string text = "(component $c (type $t u8)";
  for (int i = 0; i < 20000; ++i)
    text += " (import \"i" + std::to_string(i) +
            "\" (func (param \"a\" (list $t)) (result (tuple $t $t))))"
            " (core module $m" +
            std::to_string(i) + ") (component (type (list $t)))";
  text += ")";
  const std::string bytes = parsed(text, true);
  const auto printed =
      print_component({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  ASSERT_TRUE(printed.ok());
  EXPECT_EQ(parsed(*printed, true), bytes);
  std::string deep;
  for (int i = 0; i < 99; ++i) deep += "(component ";
  deep += std::string(99, ')');
  const std::string nested = parsed(deep);
  const auto again =
      print_component({reinterpret_cast<const uint8_t*>(nested.data()), nested.size()});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(parsed(*again), nested);
}

TEST(ComponentText, ScriptConstants) {
  using K = ComponentConst::Kind;
  const auto script = parse_wast(R"wast(
    (component definition $D)
    (component instance $i $D)
    (component binary "\00asm\0d\00\01\00")
    (component quote "(type u8)")
    (assert_invalid (component (type (func (result (own 0))))) "why")
    (assert_return (invoke $i "f" (str.const "h\u{e9}") (char.const "\u{1f600}")
      (list.const (u8.const 255) (s8.const -1)) (f32.const 1)
      (record.const (field "a" bool.const true) (field "b" f64.const nan:canonical)))
      (variant.const "v" (tuple.const (enum.const "e") (option.none)))
      (result.err (option.some (flags.const "x" "y")))
      (map.const (entry (u16.const 1) (result.ok)))))wast");
  ASSERT_TRUE(script.ok()) << std::string_view(script.ok() ? "" : script.error().message);
  ASSERT_EQ(script->size(), 6u);
  EXPECT_EQ((*script)[0].kind, ScriptCommand::Kind::ModuleDefinition);
  EXPECT_EQ((*script)[1].kind, ScriptCommand::Kind::ModuleInstance);
  EXPECT_EQ((*script)[1].of, "D");
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_TRUE((*script)[i].module.is_component) << i;
    EXPECT_FALSE((*script)[i].module.parse_error) << i;
  }
  const ScriptCommand& c = (*script)[5];
  ASSERT_EQ(c.action.args.size(), 5u);
  EXPECT_EQ(c.action.args[0].component.text, "h\xc3\xa9");
  EXPECT_EQ(c.action.args[1].component.bits, 0x1f600u);
  ASSERT_EQ(c.action.args[2].component.items.size(), 2u);
  EXPECT_EQ(c.action.args[2].component.items[0].bits, 255u);
  EXPECT_EQ(int64_t(c.action.args[2].component.items[1].bits), -1);
  EXPECT_EQ(c.action.args[3].kind, ScriptValue::Kind::Num);
  EXPECT_EQ(c.action.args[4].component.names[1], "b");
  EXPECT_TRUE(c.action.args[4].component.items[1].any_nan);
  ASSERT_EQ(c.expected.size(), 3u);
  EXPECT_EQ(c.expected[0].component.kind, K::Variant);
  EXPECT_EQ(c.expected[0].component.items[0].items[0].text, "e");
  EXPECT_EQ(c.expected[1].component.kind, K::Err);
  EXPECT_EQ(c.expected[1].component.items[0].items[0].names.size(), 2u);
  EXPECT_EQ(c.expected[2].component.items[1].kind, K::Ok);
  for (const char* bad :
       {"(u8.const 256)", "(s8.const 128)", "(u8.const -1)", "(char.const \"ab\")",
        "(bool.const 1)", "(map.const (entry (u8.const 1)))", "(option.some)"}) {
    const std::string text = "(assert_return (invoke \"f\") " + std::string(bad) + ")";
    EXPECT_FALSE(parse_wast(text).ok()) << bad;
  }
}

}  // namespace
}  // namespace wafer::wat
