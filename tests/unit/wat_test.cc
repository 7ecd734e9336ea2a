// The text format: what is kept of a binary on the way through it, and in what time.
#include "wat/wat.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <string>

#include "wasm/decoder.h"
#include "wat/roundtrip.h"

namespace wafer {
namespace {

using Binary = Vec<uint8_t>;

Binary binary(std::initializer_list<int> sections) {
  Binary out{0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00};
  for (const int b : sections) out.push_back(uint8_t(b));
  return out;
}

Result<Binary> through_text(const Binary& bytes, String* text = nullptr) {
  WAFER_LET(module, wasm::decode_module({bytes.data(), bytes.size()}));
  WAFER_LET(printed, wat::print_wat(*module));
  if (text) *text = printed;
  WAFER_LET(again, wat::parse_wat(printed));
  return Binary(std::move(again));
}

void expect_kept(const Binary& bytes) {
  String text;
  auto again = through_text(bytes, &text);
  ASSERT_TRUE(again.ok()) << again.error().message << "\n" << text;
  EXPECT_EQ(*again, bytes) << text;
}

Binary parsed(std::string_view text) {
  auto bytes = wat::parse_wat(text);
  EXPECT_TRUE(bytes.ok()) << bytes.error().message;
  return bytes.ok() ? *bytes : Binary{};
}

TEST(RoundTrip, SectionsThatNothingDemands) {
  // A data count that no instruction needs, and empty sections of each kind.
  expect_kept(binary({5, 3, 1, 0, 1, 12, 1, 1, 11, 7, 1, 0, 0x41, 0, 0x0B, 1, 'a'}));
  expect_kept(binary({1, 1, 0, 2, 1, 0, 3, 1, 0, 4,  1, 0, 5,  1, 0, 13, 1, 0,
                      6, 1, 0, 7, 1, 0, 9, 1, 0, 12, 1, 0, 10, 1, 0, 11, 1, 0}));
}

TEST(RoundTrip, TypesAsWritten) {
  // (rec) without types, (rec) of one, and a final sub type without supertype.
  expect_kept(binary({1, 3, 1, 0x4E, 0}));
  expect_kept(binary({1, 6, 1, 0x4E, 1, 0x60, 0, 0}));
  expect_kept(binary({1, 6, 1, 0x4F, 0, 0x60, 0, 0}));
  expect_kept(binary({1, 6, 1, 0x50, 0, 0x60, 0, 0}));
}

TEST(RoundTrip, MemoriesAndSegmentsAsWritten) {
  // A page size of 64 KiB that is spelt out.
  expect_kept(binary({5, 4, 1, 8, 1, 16}));
  // Element segments of each kind, with index 0 spelt out or not.
  const std::initializer_list<int> head = {1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 4, 4, 1, 0x70, 0, 9};
  const std::initializer_list<std::initializer_list<int>> segments = {
      {0, 0x41, 0, 0x0B, 1, 0},
      {1, 0, 1, 0},
      {2, 0, 0x41, 0, 0x0B, 0, 1, 0},
      {3, 0, 1, 0},
      {4, 0x41, 0, 0x0B, 1, 0xD2, 0, 0x0B},
      {5, 0x70, 1, 0xD2, 0, 0x0B},
      {6, 0, 0x41, 0, 0x0B, 0x70, 1, 0xD2, 0, 0x0B},
      {7, 0x70, 0}};
  for (const auto& segment : segments) {
    Binary bytes = binary(head);
    bytes.insert(bytes.end(), {9, uint8_t(segment.size() + 1), 1});
    for (const int b : segment) bytes.push_back(uint8_t(b));
    bytes.insert(bytes.end(), {10, 4, 1, 2, 0, 0x0B});
    expect_kept(bytes);
  }
}

TEST(RoundTrip, GroupsOfLocals) {
  const auto with_body = [](std::initializer_list<int> body) {
    Binary bytes = binary({1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10});
    bytes.insert(bytes.end(), {uint8_t(body.size() + 2), 1, uint8_t(body.size())});
    for (const int b : body) bytes.push_back(uint8_t(b));
    return bytes;
  };
  expect_kept(with_body({1, 2, 0x7F, 0x0B}));
  expect_kept(with_body({2, 1, 0x7F, 1, 0x7F, 0x0B}));
  expect_kept(with_body({3, 0, 0x7E, 1, 0x7F, 0, 0x7F, 0x0B}));
  expect_kept(with_body({1, 0, 0x7E, 0x0B}));
  EXPECT_FALSE(wat::parse_wat("(module (func (@wafer.locals 2 i32) (local i32)))").ok());
}

TEST(RoundTrip, PaddingIsWhatIsLost) {
  const Binary padded = binary({1, 0x85, 0, 1, 0x60, 0, 0x80, 0});
  auto again = through_text(padded);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, binary({1, 4, 1, 0x60, 0, 0}));
  const auto shortened = [](const Binary& a, const Binary& b) {
    return wat::is_shortened({a.data(), a.size()}, {b.data(), b.size()});
  };
  EXPECT_TRUE(shortened(padded, *again));
  // Nothing else may go, be added or change.
  EXPECT_FALSE(shortened(padded, binary({1, 4, 1, 0x60, 0, 1})));
  EXPECT_FALSE(shortened(binary({1, 4, 1, 0x60, 0, 0, 12, 1, 0}), *again));
  EXPECT_FALSE(shortened(*again, padded));
  EXPECT_FALSE(shortened(binary({0, 4, 1, 'a', 5, 6}), binary({0, 3, 1, 'a', 5})));
}

// Each subsection of names, unique or not, placed or not, and custom sections around it.
constexpr const char* kNames = R"((module $m (@name "all names")
  (@custom "a" (before first) "1") (@custom "b" (after data) "2") (@custom "c" "3")
  (@custom "d" (before code) "4") (@custom "e" (after last) "5")
  (type $t (func (param i32))) (rec (type $s (struct (field $x i32) (field (@name "") i64))))
  (import "m" "f" (func $i (param $p i32) (param (@name "q") i32)))
  (memory $mem 1) (global $g i32 (i32.const 1)) (tag $tag) (data $d (i32.const 0) "x")
  (table $tab 1 funcref) (elem $e func $f)
  (func (@name "f"))
  (func $f (@name "f") (param $a (@name "dup") i32)
    (local $b (@name "dup") i32) (local (@name "") i32)
    (@metadata.code.branch_hint "\00") (if $l (local.get 0) (then (br $l) (block $l (br $l))))
    block $l (@name "other") loop (@name "") (@metadata.code.branch_hint "\01")
      (br_if $l (local.get $b)) end end)))";

TEST(RoundTrip, NamesHintsAndCustomSections) {
  const Binary bytes = parsed(kNames);
  expect_kept(bytes);
  auto module = wasm::decode_module({bytes.data(), bytes.size()});
  ASSERT_TRUE(module.ok()) << module.error().message;
  const wasm::NameSection& names = (*module)->names;
  EXPECT_EQ(names.module, "all names");
  EXPECT_EQ(names.functions.find(0), "i");
  EXPECT_EQ(names.functions.find(1), "f");
  EXPECT_EQ(names.functions.find(2), "f");
  EXPECT_EQ(names.locals.find(0)->find(0), "p");
  EXPECT_EQ(names.locals.find(0)->find(1), "q");
  EXPECT_EQ(names.locals.find(2)->find(0), "dup");
  EXPECT_EQ(names.locals.find(2)->find(1), "dup");
  EXPECT_EQ(names.locals.find(2)->entries.size(), 3u);
  EXPECT_EQ(names.labels.find(2)->find(0), "l");
  EXPECT_EQ(names.labels.find(2)->find(2), "other");
  EXPECT_EQ(names.labels.find(2)->entries.size(), 4u);
  EXPECT_EQ(names.fields.find(1)->entries.size(), 2u);
  for (const auto* map : {&names.types, &names.tables, &names.memories, &names.globals,
                          &names.elems, &names.datas, &names.tags})
    EXPECT_FALSE(map->entries.empty());
  const auto* hints = (*module)->hints_of(2);
  ASSERT_TRUE(hints && hints->size() == 2);
  EXPECT_FALSE((*hints)[0].likely);
  EXPECT_TRUE((*hints)[1].likely);
  auto text = wat::print_wat(**module);
  ASSERT_TRUE(text.ok());
  for (const char* part : {"br $l", "(@metadata.code.branch_hint", "block $other", "$mem"})
    EXPECT_NE(text->find(part), String::npos) << part << "\n" << *text;
  EXPECT_EQ(text->find("(@custom \"name\""), String::npos) << *text;
}

// Name sections that identifiers cannot give: out of place, twice, with gaps, malformed.
TEST(RoundTrip, OddNameSections) {
  const std::initializer_list<std::initializer_list<int>> payloads = {
      {},
      {1, 1, 0},                                 // an empty subsection
      {1, 4, 1, 9, 1, 'x'},                      // of no function
      {4, 4, 1, 0, 1, 't', 1, 4, 1, 0, 1, 'f'},  // in another order
      {1, 4, 1, 0, 1, 'f', 1, 4, 1, 0, 1, 'g'},  // twice
      {2, 3, 1, 0, 0},                           // a function without locals
      {3, 6, 1, 0, 1, 0, 1, 'l'},                // of no label
      {99, 1, 7},                                // unknown
      {1, 200}};                                 // cut
  for (const bool first : {false, true}) {
    for (const auto& payload : payloads) {
      Binary section{0, uint8_t(payload.size() + 5), 4, 'n', 'a', 'm', 'e'};
      for (const int b : payload) section.push_back(uint8_t(b));
      Binary bytes = binary({});
      if (first) bytes.insert(bytes.end(), section.begin(), section.end());
      for (const int b : {1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 4, 1, 2, 0, 0x0B})
        bytes.push_back(uint8_t(b));
      if (!first) bytes.insert(bytes.end(), section.begin(), section.end());
      expect_kept(bytes);
    }
  }
}

TEST(Parser, MisplacedAndDoubleNames) {
  const std::pair<const char*, const char*> cases[] = {
      {"(module (@name \"a\") (@name \"b\"))", "@name annotation: multiple module"},
      {"(func (@name \"a\") (@name \"b\"))", "@name annotation: multiple func"},
      {"(func (param (@name \"a\") (@name \"b\") i32))", "@name annotation: multiple local"},
      {"(func (param i32 (@name \"a\") i32))", "misplaced @name annotation"},
      {"(func (local i32 (@name \"a\")))", "misplaced @name annotation"},
      {"(func (@name \"a\") $f)", "unexpected token $f"},
      {"(func (param (@name \"a\") i32 i32))", "unexpected token i32"},
      {"(func (@name))", "@name annotation: unexpected token"},
      {"(func (@name \"a\" \"b\"))", "@name annotation: unexpected token"},
      {"(func (@name a))", "@name annotation: unexpected token"},
      {"(func (@name \"\\ff\"))", "malformed UTF-8 encoding"},
      {"(func (result (@name \"a\") i32) (i32.const 0))", "misplaced @name annotation"},
      {"(func (nop (@name \"a\")))", "misplaced @name annotation"},
      {"(func block nop (@name \"a\") end)", "misplaced @name annotation"},
      {"(type $t (array (@name \"a\") i32))", "misplaced @name annotation"},
      {"(export \"f\" (@name \"a\") (func 0)) (func)", "misplaced @name annotation"}};
  for (const auto& [text, message] : cases) {
    auto r = wat::parse_wat(text);
    ASSERT_FALSE(r.ok()) << text;
    EXPECT_EQ(std::string(r.error().message).substr(0, std::string(message).size()), message)
        << text;
  }
}

// --- Shapes ---------------------------------------------------------------------------------

String repeat(std::string_view s, size_t n) {
  String out;
  out.reserve(s.size() * n);
  while (n--) out += s;
  return out;
}

TEST(Shapes, AnyNestingThatValidates) {
  const auto deep = [](std::string_view open, std::string_view middle, std::string_view close,
                       size_t n) {
    String text("(module (func (result i32) ");
    return text + repeat(open, n) + String(middle) + repeat(close, n) + String("))");
  };
  for (const size_t n : {size_t(40'000), size_t(300'000)}) {
    const bool valid = n == 40'000;
    for (const String& text : {deep("block (result i32) ", "i32.const 0 ", "end ", n),
                               deep("(block (result i32) ", "(i32.const 0)", ")", n),
                               deep("(if (result i32) (i32.const 1) (then ", "(i32.const 0)",
                                    ") (else (i32.const 1)))", n)}) {
      const Binary bytes = parsed(text);
      if (valid) expect_kept(bytes);
    }
    expect_kept(parsed(deep("(i32.add (i32.const 1) ", "(i32.const 0)", ")", n)));
    expect_kept(parsed(deep("(if (result i32) ", "(i32.const 1)",
                            "(then (i32.const 1)) (else (i32.const 2)))", n)));
    EXPECT_EQ(parsed(String("(module ") + repeat("(;", n) + repeat(";)", n) + String(")")).size(),
              8u);
    EXPECT_EQ(parsed(String("(module ") + repeat("(@x ", n) + repeat(")", n) + String(")")).size(),
              8u);
  }
}

// CPU seconds to parse, print and parse again; the least of a few.
double seconds(const String& text) {
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const std::clock_t start = std::clock();
    const Binary bytes = parsed(text);
    expect_kept(bytes);
    best = std::min(best, double(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return best;
}

TEST(Shapes, TimeGrowsWithSize) {
  const auto numbered = [](size_t n, const std::function<std::string(std::string)>& item) {
    String out("(module ");
    for (size_t i = 0; i < n; ++i) out += item(std::to_string(i)).c_str();
    return out + ")";
  };
  const auto body = [](std::string_view item, size_t n) {
    return String("(module (func ") + repeat(item, n) + "))";
  };
  using Shape = std::function<String(size_t)>;
  const std::pair<const char*, Shape> shapes[] = {
      {"functions",
       [&](size_t n) {
         return numbered(n, [](auto i) { return "(func $f" + i + " (param $x i32))"; });
       }},
      {"exports",
       [&](size_t n) {
         return numbered(n, [](auto i) { return "(func (export \"e" + i + "\"))"; });
       }},
      {"imports",
       [&](size_t n) {
         return numbered(n,
                         [](auto i) { return "(import \"m\" \"" + i + "\" (func $i" + i + "))"; });
       }},
      {"types",
       [&](size_t n) {
         return numbered(n, [](auto i) { return "(type $t" + i + " (struct (field $x i32)))"; });
       }},
      {"customs",
       [&](size_t n) { return numbered(n, [](auto i) { return "(@custom \"" + i + "\")"; }); }},
      {"labels", [&](size_t n) { return body("(block $l (br $l))", n); }},
      {"nested labels",
       [&](size_t n) {
         return String("(module (func ") + repeat("(block $l (br $l)", n / 4) + repeat(")", n / 4) +
                "))";
       }},
      {"locals",
       [&](size_t n) {
         String out("(module (func ");
         for (size_t i = 0; i < n / 4; ++i)
           out += ("(local $l" + std::to_string(i) + " i32)").c_str();
         return out + "))";
       }},
      {"instructions", [&](size_t n) { return body("i32.const 1 drop ", n); }},
      {"strings",
       [&](size_t n) {
         return String("(module (memory 999) (data (i32.const 0) \"") + repeat("a\\00\\ff", n) +
                "\"))";
       }},
      {"items",
       [&](size_t n) { return String("(module (func) (elem func ") + repeat("0 ", n) + "))"; }},
      {"wide types", [&](size_t n) {
         return String("(module (type (func (param ") + repeat("i32 ", 900) + ")))" +
                repeat("(func (type 0))", n) + ")";
       }}};
  for (const auto& [name, shape] : shapes) {
    const double small = std::max(seconds(shape(5'000)), 0.002), large = seconds(shape(50'000));
    // Ten times the size; quadratic time would be 100 times as much.
    EXPECT_LT(large, 40 * small) << name;
  }
}

// Errors that validation finds are told where the text has them.
TEST(Wat, ValidationErrorsHavePlacesInTheText) {
  // What is wrong stands first at the second string.
  const std::pair<std::string_view, std::string_view> modules[] = {
      {"(module (func (result i32)\n  i64.const 1))", "))"},
      {"(module (func nop\n  i32.const 1 i64.const 2 i32.add drop))", "i32.add"},
      {"(module (func nop) (func (drop (i32.add (i32.const 1) (f32.const 2)))))", "i32.add"},
      {"(module (func (drop (if (result i32) (f32.const 1) (then (i32.const 1)) (else "
       "(i32.const 2))))))",
       "if"},
      {"(module (func (block $l (result i32) (br_if $l (i32.const 1)) unreachable) drop))",
       "br_if"},
      {"(module (func block i32.const 1 end))", "end"},
      {"(module (func (if (i32.const 1) (then) (else (i32.const 1)))))", "))))"},
      {"(module (func i32.const 1 if (result i32) i32.const 1 else f32.const 0 end drop))", "end"},
      {"(module (func (local.set 0 (i32.const 1))))", "local.set"},
      {"(module (func try_table (catch 7 0) end))", "try_table"},
      {"(module (func (drop (i32.load (i32.const 0)))))", "i32.load"},
      {"(module (memory 1) (func (i32.store8 align=2 (i32.const 0) (i32.const 0))))", "i32.store8"},
      {"(module (global i32 (i32.const 1)) (global i32\n (f32.const 1)))", "))"},
      {"(module (global i32 (i32.const 1) (i32.const 2) f32.add))", "f32.add"},
      {"(module (func) (start 0) (export \"a\" (func 1)))", "export \"a\""},
      {"(module (func $f) (func $g (param i32)) (start $g))", "start"},
      {"(module (func (export \"a\")) (func (export \"b\") (export \"a\")))", "export \"a\")))"},
      {"(module (import \"a\" \"b\" (func)) (import \"a\" \"c\" (global (ref 5))))",
       "import \"a\" \"c\""},
      {"(module (memory 1) (memory 0x10001))", "memory 0x10001"},
      {"(module (table 1 funcref) (table 2 1 funcref))", "table 2"},
      {"(module (func) (table 1 externref) (elem (table 0) (i32.const 0) func 0))", "i32.const"},
      {"(module (memory 1) (data \"a\") (data (i64.const 0) \"b\"))", "\"b\""},
      {"(module (type (func)) (type (sub 0 (struct))))", "type (sub"},
      {"(module (type (func (result i32))) (tag) (tag (type 0)))", "tag (type"},
      {"(module binary \"\\00asm\" \"\\01\\00\\00\\00\" \"\\00\\01\\01\")", "\"\\00\\01"},
  };
  for (const auto& [text, wrong] : modules) {
    const auto bytes = wat::parse_wat(text);
    ASSERT_TRUE(bytes.ok()) << text << bytes.error().message;
    const auto module = wasm::decode_module({bytes->data(), bytes->size()});
    ASSERT_FALSE(module.ok()) << text;
    const auto at = bytes->source_of(module.error().offset);
    ASSERT_TRUE(at) << text;
    EXPECT_EQ(text.substr(*at, wrong.size()), wrong) << text << module.error().message;
  }
}

}  // namespace
}  // namespace wafer
