// Components: names, versions, and what the decoder makes of binaries.
#include "component/component.h"

#include <gtest/gtest.h>

#include <ctime>
#include <functional>

#include "../fuzz/component_seeds.h"
#include "base/semver.h"
#include "component/names.h"
#include "component/types.h"
#include "wat/wat.h"
#include "wit/decode.h"
#include "wit/print.h"

namespace wafer::component {
namespace {

std::vector<uint8_t> bytes_of(std::string_view hex) {
  std::vector<uint8_t> out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(static_cast<uint8_t>(std::stoul(std::string(hex.substr(i, 2)), nullptr, 16)));
  return out;
}

DecodeOptions everything() {
  DecodeOptions options;
  for (unsigned f = 0; f < unsigned(Feature::None); ++f) options.features.set(Feature(f));
  return options;
}

std::string message(const Error& e) { return std::string(std::string_view(e.message)); }

TEST(Semver, OrderAndCompatibility) {
  EXPECT_TRUE(is_semver("0.2.12"));
  EXPECT_TRUE(is_semver("1.0.0-rc.1+build.5"));
  EXPECT_FALSE(is_semver("1.0"));
  EXPECT_FALSE(is_semver("01.0.0"));
  EXPECT_FALSE(is_semver("1.0.0-01"));
  EXPECT_FALSE(is_semver("99999999999999999999.0.0"));
  // semver.org, clause 11.
  const char* ascending[] = {"1.0.0-alpha",  "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta",
                             "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",       "1.0.0",
                             "1.0.1",        "1.2.0",         "1.10.0",           "2.0.0"};
  for (size_t i = 0; i < std::size(ascending); ++i)
    for (size_t j = 0; j < std::size(ascending); ++j)
      EXPECT_EQ(compare_semver(ascending[i], ascending[j]), i <=> j)
          << ascending[i] << " " << ascending[j];
  EXPECT_EQ(compare_semver("1.0.0+a", "1.0.0+b"), std::strong_ordering::equal);
  EXPECT_EQ(compatible_version("1.2.3"), "1");
  EXPECT_EQ(compatible_version("0.2.6"), "0.2");
  EXPECT_EQ(compatible_version("0.0.1"), "0.0.1");
  EXPECT_EQ(compatible_version("0.2.0-rc.1"), "0.2.0-rc.1");
}

TEST(ComponentNames, Forms) {
  const NameOptions plain;
  const auto method = parse_extern_name("[method]file.read-all", plain);
  ASSERT_TRUE(method);
  EXPECT_EQ(method->kind, NameKind::Method);
  EXPECT_EQ(method->resource, "file");
  EXPECT_EQ(method->label, "read-all");
  const auto interface = parse_extern_name("wasi:io/streams@0.2.6", plain);
  ASSERT_TRUE(interface);
  EXPECT_EQ(interface->package, "wasi:io");
  EXPECT_EQ(interface->label, "streams");
  EXPECT_EQ(interface->version, "0.2.6");
  for (const char* bad : {"", "a_b", "1a", "a--b", "aB", "[method]a", "[get]a", "a:b", "a:b/c@1",
                          "a:b:c/d", "a:b/c/d", "[method]a.b.c", "[x]a"})
    EXPECT_FALSE(parse_extern_name(bad, plain)) << bad;
  EXPECT_TRUE(parse_extern_name("a:b:c/d/e", {.nested = true}));
  EXPECT_TRUE(parse_extern_name("a:b/c@0.2", {.canonical = true}));
  EXPECT_FALSE(parse_extern_name("a:b/c@0.0", {.canonical = true}));
  EXPECT_TRUE(parse_extern_name("[static][set]a.b", {.accessors = true}));
}

TEST(ComponentNames, UniquenessAndMatching) {
  UniqueNames names;
  for (const char* name : {"foo", "foo-bar", "[constructor]foo", "[method]foo.bar",
                           "[static]foo.baz", "foo:bar/baz", "[get]prop", "[set]prop"})
    EXPECT_EQ(names.add(name), nullptr) << name;
  for (const char* name : {"FOO", "[method]foo.foo", "[get]foo", "foobar", "foob-ar",
                           "[static]foo-BAR.FOO-bar", "[constructor]FOO", "[static]foo.bar",
                           "[method]foo.baz", "foo:bar/BAZ", "prop", "[set]PROP"})
    EXPECT_NE(names.add(name), nullptr) << name;
  EXPECT_TRUE(names_match("wasi:cli/run@0.2.3", "wasi:cli/run@0.2.6"));
  EXPECT_TRUE(names_match("wasi:cli/run@0.2.6", "wasi:cli/run@0.2.3"));
  EXPECT_TRUE(names_match("a:b/c@0.2", "a:b/c@0.2.9"));
  EXPECT_FALSE(names_match("wasi:cli/run@0.2.3", "wasi:cli/run@0.3.0"));
  EXPECT_FALSE(names_match("wasi:cli/run@0.2.3", "wasi:cli/stdin@0.2.3"));
  EXPECT_FALSE(names_match("wasi:cli/run", "wasi:cli/run@0.2.3"));
}

TEST(ComponentDecoder, ReadsAndTellsAsWit) {
  const std::vector<uint8_t> bytes = bytes_of(kComponentSeeds[0]);
  EXPECT_TRUE(is_component(bytes));
  auto decoded = decode(bytes, {});
  ASSERT_TRUE(decoded.ok()) << message(decoded.error());
  EXPECT_EQ((*decoded)->shape().imports.size(), 1u);
  EXPECT_EQ((*decoded)->shape().exports.size(), 2u);
  EXPECT_NE((*decoded)->shape().exports.find("add"), nullptr);
  auto world = wit::world_of(**decoded);
  ASSERT_TRUE(world.ok()) << message(world.error());
  EXPECT_EQ(wit::print(world->resolve, world->main, {}),
            "package root:component;\n"
            "\n"
            "world root {\n"
            "  import wafer:test/types@0.1.2;\n"
            "  export add: func(a: u32, b: u32) -> u32;\n"
            "  export wafer:test/api@1.0.0;\n"
            "}\n");
}

TEST(ComponentDecoder, FeaturesAreAskedFor) {
  const std::vector<uint8_t> bytes = bytes_of(kComponentSeeds[1]);
  ASSERT_TRUE(decode(bytes, everything()).ok());
  DecodeOptions options;
  options.features.set(Feature::Async, false);
  auto refused = decode(bytes, options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::Unsupported);
  EXPECT_NE(message(refused.error()).find("--enable cm-async"), std::string::npos);
}

TEST(ComponentDecoder, EveryCutIsRefused) {
  for (std::string_view hex : kComponentSeeds) {
    const std::vector<uint8_t> bytes = bytes_of(hex);
    size_t accepted = 0;
    for (size_t n = 0; n < bytes.size(); ++n) {
      auto cut = decode(Bytes(bytes.data(), n), everything());
      // Between sections the beginning of a component may be one itself.
      if (cut.ok()) {
        ++accepted;
        continue;
      }
      EXPECT_NE(cut.error().offset, Error::kNoOffset) << n;
      EXPECT_LE(cut.error().offset, n);
    }
    EXPECT_LT(accepted, 40u);
  }
}

TEST(ComponentDecoder, NestingHasALimit) {
  // Components within components, innermost first.
  std::vector<uint8_t> bytes;
  const auto wrap = [&] {
    std::vector<uint8_t> out = {0, 'a', 's', 'm', 0x0d, 0, 1, 0};
    if (!bytes.empty()) {
      out.push_back(4);
      for (size_t n = bytes.size();; n >>= 7) {
        out.push_back(static_cast<uint8_t>((n & 0x7f) | (n > 0x7f ? 0x80 : 0)));
        if (n <= 0x7f) break;
      }
      out.insert(out.end(), bytes.begin(), bytes.end());
    }
    bytes = std::move(out);
  };
  for (int i = 0; i < 50; ++i) wrap();
  EXPECT_TRUE(decode(bytes, {}).ok());
  for (int i = 0; i < 100; ++i) wrap();
  auto deep = decode(bytes, {});
  ASSERT_FALSE(deep.ok());
  EXPECT_EQ(deep.error().kind, ErrorKind::Exhaustion);
}

// What types are told to flatten to is what they flatten to, whatever is in them.
TEST(ComponentTypes, FlatSizes) {
  TypeArena types(std::make_shared<wasm::TypeRegistry>());
  std::vector<ValType> all;
  for (const Prim p : {Prim::Bool, Prim::S64, Prim::F32, Prim::F64, Prim::Char, Prim::String})
    all.push_back({p, 0});
  const auto add = [&](TypeKind kind, std::vector<ValType> args, uint32_t length = 0) {
    TypeDef def;
    def.kind = kind;
    def.args = std::move(args);
    def.length = length;
    all.push_back(ValType::of(*types.add(std::move(def))));
  };
  const auto add_labels = [&](TypeKind kind, const std::vector<ValType>& of) {
    TypeDef def;
    def.kind = kind;
    for (const ValType t : of) def.labels.push_back({"l" + std::to_string(def.labels.size()), t});
    all.push_back(ValType::of(*types.add(std::move(def))));
  };
  const ValType none;
  add_labels(TypeKind::Flags, {none, none});
  add_labels(TypeKind::Enum, {none, none, none});
  for (size_t deep = 0; deep < 5; ++deep) {
    const std::vector<ValType> parts(all.end() - 5, all.end());
    add(TypeKind::Primitive, {{Prim::String, 0}});
    add(TypeKind::List, {parts[1]});
    add(TypeKind::Stream, {parts[2]});
    add(TypeKind::Option, {parts[deep]});
    add_labels(TypeKind::Record, parts);
    add_labels(TypeKind::Variant, {parts[0], none, parts[1], parts[4]});
    add(TypeKind::Tuple, parts);
    add(TypeKind::Result, {none, parts[4]});
    add(TypeKind::FixedList, {parts[3]}, 3);
  }
  constexpr size_t kMost = 254;
  size_t large = 0;
  for (const ValType t : all) {
    std::vector<wasm::ValType> flat;
    const bool fits = types.flatten(t, false, kMost, flat);
    large += !fits;
    EXPECT_EQ(types.flat_size(t), fits ? flat.size() : kMost + 1) << types.describe(t);
  }
  EXPECT_EQ(types.flat_size(none), 0u);
  EXPECT_GT(large, 0u);
  EXPECT_LT(large, all.size() / 2);
}

// ---- Long ones

std::string numbered(size_t n, auto&& item) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += item(std::to_string(i));
  return out;
}

// Time grows with size, in the decoder and in what is told as WIT.
TEST(ComponentDecoder, TimeIsLinear) {
  const std::pair<const char*, std::function<std::string(size_t)>> shapes[] = {
      {"types of components that use a wide type",
       [](size_t n) {
         return numbered(n / 4,
                         [](const std::string& i) { return "(type $l" + i + " (list u8))"; }) +
                "(type $t (tuple" +
                numbered(n / 4, [](const std::string& i) { return " $l" + i; }) + "))" +
                numbered(n, [](auto) {
                  return "(type (component (alias outer 1 $t (type $t)) (import \"f\" (func (param "
                         "\"x\" $t)))))";
                });
       }},
      {"static functions",
       [](size_t n) {
         return "(import \"i\" (instance" +
                numbered(n,
                         [](const std::string& i) {
                           return " (export \"r" + i +
                                  "\" (type (sub resource))) (export \"[static]r" + i +
                                  ".f\" (func))";
                         }) +
                "))";
       }},
      {"instances of a module",
       [](size_t n) {
         return "(core module $m" +
                numbered(n / 10,
                         [](const std::string& i) { return " (func (export \"" + i + "\"))"; }) +
                ")" + numbered(n, [](auto) { return "(core instance (instantiate $m))"; });
       }},
      {"types of modules", [](size_t n) {
         const std::string type =
             "(core type $t (module" +
             numbered(n,
                      [](const std::string& i) {
                        return " (import \"m\" \"" + i + "\" (func)) (export \"" + i + "\" (func))";
                      }) +
             "))";
         return type + "(import \"m\" (core module $m (type $t))) (component $c " + type +
                "(import \"m\" (core module (type $t)))) (instance (instantiate $c (with \"m\" "
                "(core module $m))))";
       }}};
  for (const auto& [name, shape] : shapes) {
    const auto seconds = [&, &make = shape](size_t n, size_t times) {
      auto bytes = wat::parse_wat("(component " + make(n) + ")", {});
      EXPECT_TRUE(bytes.ok()) << name << ": " << message(bytes.error());
      const std::clock_t start = std::clock();
      for (; times; --times) {
        auto component = decode({bytes->data(), bytes->size()}, everything());
        EXPECT_TRUE(component.ok()) << name << ": " << message(component.error());
        if (component.ok()) (void)wit::world_of(**component);
      }
      return double(std::clock() - start) / CLOCKS_PER_SEC;
    };
    // The same number of parts in all. Quadratic time would be twenty times as much, and the caches
    // that others leave make five of it.
    const double small = seconds(300, 20), large = seconds(6'000, 1);
    EXPECT_LT(large, 12 * std::max(small, 0.005)) << name;
  }
}

// Little text may say many times that there are large types.
TEST(ComponentDecoder, CopiesOfTypesAreBounded) {
  const auto refused = [](const std::string& text) {
    auto bytes = wat::parse_wat("(component " + text + ")", {});
    EXPECT_TRUE(bytes.ok()) << message(bytes.error());
    auto component = decode({bytes->data(), bytes->size()}, everything());
    EXPECT_FALSE(component.ok());
    if (component.ok()) return std::string();
    EXPECT_EQ(component.error().kind, ErrorKind::Exhaustion);
    // Found on the way, not at the end, when all the copies are there.
    EXPECT_LT(component.error().offset, bytes->size());
    return message(component.error());
  };
  const auto imports = [](const std::string& type) {
    return numbered(3'000,
                    [&](const std::string& i) { return "(import \"i" + i + "\" " + type + ")"; });
  };
  EXPECT_EQ(
      refused("(type $t (record" +
              numbered(3'000, [](const std::string& i) { return " (field \"f" + i + "\" u8)"; }) +
              "))" + imports("(type (eq $t))")),
      "effective type size exceeds the limit of 1000000");
  const std::string instance =
      "(type $t (instance (export \"r\" (type (sub resource)))" +
      numbered(3'000, [](const std::string& i) { return " (export \"f" + i + "\" (func))"; }) +
      "))";
  EXPECT_EQ(refused(instance + imports("(instance (type $t))")),
            "effective type size exceeds the limit of 1000000");
  EXPECT_EQ(
      refused("(component $c (import \"f\" (func $f))" +
              numbered(3'000,
                       [](const std::string& i) { return " (export \"f" + i + "\" (func $f))"; }) +
              ") (import \"f\" (func $f))" +
              numbered(3'000,
                       [](auto) { return "(instance (instantiate $c (with \"f\" (func $f))))"; })),
      "effective size of all types exceeds the limit of 33554432");
}

// Chains of types are looked through by calls within calls.
TEST(ComponentDecoder, NestedTypesHaveALimit) {
  const auto chain = [](const char* form, size_t n, const std::string& use) {
    std::string text = form;
    const std::string types = "(type $t0 (own $r))" + numbered(n, [&](const std::string& i) {
                                std::string type = text;
                                return "(type $t" + std::to_string(std::stoul(i) + 1) + " " +
                                       type.replace(type.find('#'), 1, "$t" + i) + ")";
                              });
    return wat::parse_wat("(component (import \"r\" (type $r (sub resource))) " + types +
                              "(type $f (func (param \"x\" $t" + std::to_string(n) + ")))" + use +
                              ")",
                          {});
  };
  const std::string lowered =
      "(import \"f\" (func $f (type $f))) (core module $m (memory (export \"m\") 1) (func (export "
      "\"r\") (param i32 i32 i32 i32) (result i32) i32.const 0)) (core instance $i (instantiate "
      "$m)) "
      "(core func (canon lower (func $f) (memory (core memory $i \"m\")) (realloc (core func $i "
      "\"r\")))) (component $c (import \"r\" (type $r (sub resource))) (export \"r2\" (type $r)))"
      "(instance (instantiate $c (with \"r\" (type $r))))";
  for (const char* form : {"(list #)", "(option #)", "(tuple # u8)", "(result # (error #))"}) {
    for (const size_t n : {400, 100'000}) {
      std::string once = form;
      if (const size_t second = once.rfind('#'); second != once.find('#'))
        once.replace(second, 1, "u8");
      auto bytes = chain(once.c_str(), n, lowered);
      // The text form may be refused for the same reason.
      if (!bytes.ok()) {
        EXPECT_EQ(n, 100'000u);
        continue;
      }
      auto component = decode({bytes->data(), bytes->size()}, everything());
      ASSERT_EQ(component.ok(), n == 400)
          << form << (component.ok() ? "" : message(component.error()));
      if (component.ok()) {
        auto world = wit::world_of(**component);
        ASSERT_TRUE(world.ok()) << message(world.error());
        EXPECT_FALSE(wit::print(world->resolve, world->main).empty());
      } else {
        EXPECT_EQ(message(component.error()), "types are nested more than 500 deep");
      }
    }
  }
  // Types of instances within one another, each an alias of one outside.
  auto nested =
      wat::parse_wat("(component (type $i0 (instance))" +
                         numbered(100'000,
                                  [](const std::string& i) {
                                    return "(type $i" + std::to_string(std::stoul(i) + 1) +
                                           " (instance (alias outer 1 $i" + i +
                                           " (type)) (export \"x\" (instance (type 0)))))";
                                  }) +
                         "(import \"i\" (instance (type $i100000))))",
                     {});
  ASSERT_TRUE(nested.ok()) << message(nested.error());
  auto component = decode({nested->data(), nested->size()}, everything());
  ASSERT_FALSE(component.ok());
  EXPECT_EQ(message(component.error()), "types are nested more than 500 deep");
}

TEST(Wit, ErrorsShowTheLine) {
  auto bad = wit::resolve({{{"bad.wit", "package a:b;\ninterface i {\n  f: func(x: nope);\n}\n"}}});
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(message(bad.error()),
            "type `nope` does not exist\n"
            "  --> bad.wit:3:14\n"
            "   |\n"
            " 3 |   f: func(x: nope);\n"
            "   |              ^^^^");
}

}  // namespace
}  // namespace wafer::component
