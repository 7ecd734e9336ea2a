#include "wat/wast.h"

#include "wasm/cursor.h"
#include "wat/lexer.h"
#include "wat/literal.h"
#include "wat/parser.h"

namespace wafer::wat {

namespace {

using wasm::HeapKind;
using wasm::HeapType;
using wasm::ValType;

class ScriptParser {
 public:
  ScriptParser(const Vec<Token>& tokens, const ParseOptions& options)
      : tokens_(tokens), options_(options) {}

  Result<Vec<ScriptCommand>> run() {
    Vec<ScriptCommand> out;
    const size_t end = tokens_.size() - 1;
    // Module fields without "(module" around them make one inline module.
    if (tokens_[0].kind == TokenKind::Open && is_field(tokens_[1].text)) {
      ScriptCommand c{};
      c.kind = ScriptCommand::Kind::Module;
      encode(c.module, 0, end);
      out.push_back(std::move(c));
      return out;
    }
    while (p_ < end) {
      WAFER_LET(c, command());
      out.push_back(std::move(c));
    }
    return out;
  }

 private:
  static bool is_field(std::string_view k) {
    for (const std::string_view f : {"func", "type", "rec", "import", "export", "table", "memory",
                                     "global", "tag", "elem", "data", "start"})
      if (k == f) return true;
    return false;
  }
  const Token& peek(size_t ahead = 0) const {
    return tokens_[std::min(p_ + ahead, tokens_.size() - 1)];
  }
  Error unexpected() const {
    String m("unexpected token in script: ");
    m += peek().text.substr(0, 40);
    return Error(ErrorKind::Malformed, m, peek().offset);
  }
  Result<void> expect(TokenKind kind) {
    if (peek().kind != kind) return unexpected();
    ++p_;
    return {};
  }
  bool take(std::string_view keyword) {
    if (peek().kind != TokenKind::Keyword || peek().text != keyword) return false;
    ++p_;
    return true;
  }
  // Index of the ")" that closes the "(" at `at`.
  size_t close_of(size_t at) const {
    size_t depth = 0;
    for (size_t i = at; i < tokens_.size(); ++i) {
      if (tokens_[i].kind == TokenKind::Open || tokens_[i].kind == TokenKind::Annotation) ++depth;
      if (tokens_[i].kind == TokenKind::Close && --depth == 0) return i;
    }
    return tokens_.size() - 1;
  }
  Result<String> id() {
    if (peek().kind != TokenKind::Id) return String();
    return id_value(tokens_[p_++]);
  }
  Result<String> string() {
    if (peek().kind != TokenKind::String) return unexpected();
    return string_value(tokens_[p_++]);
  }
  void encode(ScriptModule& m, size_t begin, size_t end) {
    auto r = m.is_component ? parse_component_fields(tokens_, begin, end, m.name, options_)
                            : parse_module_fields(tokens_, begin, end, m.name, options_);
    if (r.ok())
      m.binary = std::move(*r);
    else
      m.parse_error = r.take_error();
  }

  bool at_module() const {
    return peek().kind == TokenKind::Open &&
           (peek(1).text == "module" || peek(1).text == "component");
  }
  // The module or component whose "(module" or "(component" starts at p_; leaves p_ after its
  // ")".
  Result<void> module(ScriptCommand& c) {
    if (!at_module()) return unexpected();
    const size_t stop = close_of(p_);
    c.module.is_component = peek(1).text == "component";
    p_ += 2;
    c.kind = ScriptCommand::Kind::Module;
    if (take("definition")) c.kind = ScriptCommand::Kind::ModuleDefinition;
    if (take("instance")) {
      c.kind = ScriptCommand::Kind::ModuleInstance;
      WAFER_LET(i, id());
      WAFER_LET(m, id());
      c.name = i;
      c.of = m;
      p_ = stop + 1;
      return {};
    }
    WAFER_LET(name, id());
    c.module.name = name;
    if (take("binary")) {
      c.module.kind = ScriptModule::Kind::Binary;
      while (p_ < stop) {
        WAFER_LET(s, string());
        c.module.binary.insert(c.module.binary.end(), s.begin(), s.end());
      }
    } else if (take("quote")) {
      c.module.kind = ScriptModule::Kind::Quote;
      // Modules are quoted whole or as their fields, components as their definitions.
      String text(c.module.is_component ? "(component " : "");
      while (p_ < stop) {
        WAFER_LET(s, string());
        text += s;
        text += '\n';
      }
      if (c.module.is_component) text += ')';
      auto r = parse_wat(text, options_);
      if (r.ok())
        c.module.binary = std::move(*r);
      else
        c.module.parse_error = r.take_error();
    } else {
      encode(c.module, p_, stop);
    }
    p_ = stop + 1;
    return {};
  }

  Result<ScriptValue> lane(bool is_float, unsigned bits) {
    ScriptValue v;
    if (is_float && take("nan:canonical")) {
      v.kind = ScriptValue::Kind::NanCanonical;
    } else if (is_float && take("nan:arithmetic")) {
      v.kind = ScriptValue::Kind::NanArithmetic;
    } else {
      std::optional<uint64_t> n;
      if (!is_float)
        n = parse_integer(peek().text, bits);
      else if (bits == 32)
        n = parse_f32(peek().text);
      else
        n = parse_f64(peek().text);
      if (!n) return unexpected();
      v.bits = *n;
      ++p_;
    }
    v.type =
        is_float ? (bits == 32 ? wasm::kF32 : wasm::kF64) : (bits == 64 ? wasm::kI64 : wasm::kI32);
    return v;
  }

  // After "(" and before ")": a constant of a component's type, or an error if it is none.
  Result<ComponentConst> component_const() {
    using K = ComponentConst::Kind;
    if (++depth_ > kMaxDepth)
      return Error(ErrorKind::Malformed, "constants are nested too deeply", peek().offset);
    ComponentConst v;
    const auto text = [&]() -> Result<void> {
      const uint64_t at = peek().offset;
      WAFER_LET(s, string());
      if (!wasm::is_utf8(s)) return Error(ErrorKind::Malformed, "malformed UTF-8 encoding", at);
      v.text = std::move(s);
      return {};
    };
    const auto items = [&](uint32_t most = ~0u) -> Result<void> {
      while (peek().kind == TokenKind::Open && v.items.size() < most) {
        ++p_;
        WAFER_LET(inner, component_const());
        v.items.push_back(std::move(inner));
        WAFER_TRY(expect(TokenKind::Close));
      }
      return {};
    };
    const std::string_view k = peek().text;
    if (peek().kind != TokenKind::Keyword) return unexpected();
    ++p_;
    struct Integer {
      std::string_view name;
      K kind;
      bool is_signed;
      unsigned bits;
    };
    static constexpr Integer kIntegers[] = {
        {"s8.const", K::S8, true, 8},    {"u8.const", K::U8, false, 8},
        {"s16.const", K::S16, true, 16}, {"u16.const", K::U16, false, 16},
        {"s32.const", K::S32, true, 32}, {"u32.const", K::U32, false, 32},
        {"s64.const", K::S64, true, 64}, {"u64.const", K::U64, false, 64}};
    for (const Integer& i : kIntegers) {
      if (k != i.name) continue;
      const auto n = parse_integer(peek().text, i.bits);
      const bool negative = peek().text.starts_with('-');
      if (peek().kind != TokenKind::Number || !n) return unexpected();
      v.kind = i.kind;
      v.bits = *n;
      const bool high = v.bits >> (i.bits - 1) & 1;
      // A literal of either signedness fits the bits; which one is meant is the type's.
      if (i.is_signed ? high && !negative : negative && v.bits) return unexpected();
      if (high && i.is_signed && i.bits < 64) v.bits |= ~uint64_t{0} << i.bits;
      ++p_;
      --depth_;
      return v;
    }
    if (k == "bool.const") {
      v.kind = K::Bool;
      v.bits = peek().text == "true";
      if (!take("true") && !take("false")) return unexpected();
    } else if (k == "f32.const" || k == "f64.const") {
      const bool is64 = k == "f64.const";
      v.kind = is64 ? K::F64 : K::F32;
      WAFER_LET(l, lane(/*is_float=*/true, is64 ? 64 : 32));
      v.any_nan = l.kind != ScriptValue::Kind::Num;
      v.bits = l.bits;
    } else if (k == "char.const") {
      v.kind = K::Char;
      const uint64_t at = peek().offset;
      WAFER_TRY(text());
      const auto c = code_point(v.text);
      if (!c) return Error(ErrorKind::Malformed, "a constant of one character is expected", at);
      v.bits = *c;
    } else if (k == "str.const") {
      v.kind = K::String;
      WAFER_TRY(text());
    } else if (k == "list.const" || k == "tuple.const") {
      v.kind = k == "list.const" ? K::List : K::Tuple;
      WAFER_TRY(items());
    } else if (k == "map.const") {
      v.kind = K::Map;
      while (peek().kind == TokenKind::Open) {
        ++p_;
        if (!take("entry")) return unexpected();
        const size_t before = v.items.size();
        WAFER_TRY(items(uint32_t(before + 2)));
        if (v.items.size() != before + 2) return unexpected();
        WAFER_TRY(expect(TokenKind::Close));
      }
    } else if (k == "record.const") {
      v.kind = K::Record;
      while (peek().kind == TokenKind::Open) {
        ++p_;
        if (!take("field")) return unexpected();
        WAFER_TRY(text());
        v.names.push_back(std::move(v.text));
        const bool wrapped = peek().kind == TokenKind::Open;
        if (wrapped) ++p_;
        WAFER_LET(inner, component_const());
        v.items.push_back(std::move(inner));
        if (wrapped) WAFER_TRY(expect(TokenKind::Close));
        WAFER_TRY(expect(TokenKind::Close));
      }
    } else if (k == "variant.const") {
      v.kind = K::Variant;
      WAFER_TRY(text());
      WAFER_TRY(items(1));
    } else if (k == "enum.const") {
      v.kind = K::Enum;
      WAFER_TRY(text());
    } else if (k == "flags.const") {
      v.kind = K::Flags;
      while (peek().kind == TokenKind::String) {
        WAFER_TRY(text());
        v.names.push_back(std::move(v.text));
      }
    } else if (k == "option.none") {
      v.kind = K::None;
    } else if (k == "option.some") {
      v.kind = K::Some;
      WAFER_TRY(items(1));
      if (v.items.empty()) return unexpected();
    } else if (k == "result.ok" || k == "result.err") {
      v.kind = k == "result.ok" ? K::Ok : K::Err;
      WAFER_TRY(items(1));
    } else {
      --p_;
      return unexpected();
    }
    --depth_;
    return v;
  }

  // The only character of valid UTF-8 `s`.
  static std::optional<uint32_t> code_point(std::string_view s) {
    if (s.empty()) return std::nullopt;
    const auto first = uint8_t(s[0]);
    const size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (s.size() != length) return std::nullopt;
    uint32_t c = length == 1 ? first : first & (0x7Fu >> length);
    for (size_t i = 1; i < length; ++i) c = c << 6 | (uint8_t(s[i]) & 0x3F);
    return c;
  }

  Result<ScriptValue> value() {
    WAFER_TRY(expect(TokenKind::Open));
    ScriptValue v;
    const std::string_view k = peek().text;
    ++p_;
    using K = ScriptValue::Kind;
    struct Num {
      std::string_view name;
      bool is_float;
      unsigned bits;
    };
    static constexpr Num kNums[] = {{"i32.const", false, 32},
                                    {"i64.const", false, 64},
                                    {"f32.const", true, 32},
                                    {"f64.const", true, 64}};
    for (const Num& n : kNums)
      if (k == n.name) {
        WAFER_LET(l, lane(n.is_float, n.bits));
        WAFER_TRY(expect(TokenKind::Close));
        return std::move(l);
      }
    struct RefPattern {
      std::string_view name;
      K kind;
      ValType type;
    };
    static constexpr RefPattern kRefs[] = {
        {"ref.func", K::RefFunc, wasm::kFuncRef},
        {"ref.any", K::RefAny, wasm::kAnyRef},
        {"ref.eq", K::RefEq, ValType::ref(HeapKind::Eq, true)},
        {"ref.i31", K::RefI31, ValType::ref(HeapKind::I31, true)},
        {"ref.struct", K::RefStruct, ValType::ref(HeapKind::Struct, true)},
        {"ref.array", K::RefArray, ValType::ref(HeapKind::Array, true)},
        {"ref.exn", K::RefExn, wasm::kExnRef}};
    if (k == "v128.const") {
      v.kind = K::Vector;
      v.type = wasm::kV128;
      if (const LaneShape* shape = lane_shape(peek().text)) {
        ++p_;
        v.lane_bits = shape->bits();
        v.lane_float = shape->is_float;
        for (unsigned i = 0; i < shape->lanes; ++i) {
          WAFER_LET(l, lane(shape->is_float, shape->bits()));
          v.parts.push_back(std::move(l));
        }
      }
    } else if (k == "ref.null") {
      v.kind = K::RefNull;
      if (peek().kind == TokenKind::Keyword) {
        static constexpr std::pair<std::string_view, HeapKind> kHeaps[] = {
            {"func", HeapKind::Func},     {"nofunc", HeapKind::NoFunc},
            {"extern", HeapKind::Extern}, {"noextern", HeapKind::NoExtern},
            {"any", HeapKind::Any},       {"eq", HeapKind::Eq},
            {"i31", HeapKind::I31},       {"struct", HeapKind::Struct},
            {"array", HeapKind::Array},   {"none", HeapKind::None},
            {"exn", HeapKind::Exn},       {"noexn", HeapKind::NoExn}};
        for (const auto& [name, kind] : kHeaps)
          if (peek().text == name) {
            v.heap = HeapType(kind);
            v.typed = true;
            v.type = ValType::ref(v.heap, true);
          }
      }
      if (peek().kind != TokenKind::Close) ++p_;
    } else if (k == "ref.extern" || k == "ref.host") {
      v.kind = k == "ref.extern" ? K::RefExtern : K::RefHost;
      v.type = k == "ref.extern" ? wasm::kExternRef : wasm::kAnyRef;
      if (peek().kind == TokenKind::Number) {
        const auto n = parse_unsigned(peek().text, 32);
        if (!n) return unexpected();
        v.bits = *n;
        v.typed = true;
        ++p_;
      }
    } else if (k == "either") {
      v.kind = K::Either;
      while (peek().kind == TokenKind::Open) {
        WAFER_LET(alternative, value());
        v.parts.push_back(std::move(alternative));
      }
    } else {
      bool found = false;
      for (const RefPattern& r : kRefs)
        if (k == r.name) {
          v.kind = r.kind;
          v.type = r.type;
          found = true;
        }
      if (!found) {
        --p_;
        WAFER_LET(constant, component_const());
        v.kind = K::Component;
        v.component = std::move(constant);
        WAFER_TRY(expect(TokenKind::Close));
        return v;
      }
      if (peek().kind != TokenKind::Close) ++p_;
    }
    WAFER_TRY(expect(TokenKind::Close));
    return v;
  }

  Result<ScriptAction> action() {
    WAFER_TRY(expect(TokenKind::Open));
    ScriptAction a;
    if (take("get"))
      a.is_get = true;
    else if (!take("invoke"))
      return unexpected();
    WAFER_LET(module, id());
    a.module = module;
    WAFER_LET(name, string());
    a.name = name;
    while (peek().kind == TokenKind::Open) {
      WAFER_LET(v, value());
      a.args.push_back(std::move(v));
    }
    WAFER_TRY(expect(TokenKind::Close));
    return a;
  }

  // (thread $name (shared (module $m))? command*), of the threads proposal.
  Result<void> thread(ScriptCommand& c) {
    if (++depth_ > kMaxDepth)
      return Error(ErrorKind::Malformed, "threads are nested too deeply", c.offset);
    c.kind = ScriptCommand::Kind::Thread;
    p_ += 2;
    if (peek().kind != TokenKind::Id) return unexpected();
    WAFER_LET(name, id());
    c.name = name;
    if (peek().kind == TokenKind::Open && peek(1).text == "shared") {
      p_ += 2;
      WAFER_TRY(expect(TokenKind::Open));
      if (!take("module") || peek().kind != TokenKind::Id) return unexpected();
      WAFER_LET(of, id());
      c.of = of;
      WAFER_TRY(expect(TokenKind::Close));
      WAFER_TRY(expect(TokenKind::Close));
    }
    while (peek().kind == TokenKind::Open) {
      WAFER_LET(inner, command());
      c.body.push_back(std::move(inner));
    }
    --depth_;
    return expect(TokenKind::Close);
  }

  Result<ScriptCommand> command() {
    using K = ScriptCommand::Kind;
    ScriptCommand c{};
    c.offset = peek().offset;
    if (peek().kind != TokenKind::Open) return unexpected();
    const std::string_view k = peek(1).text;
    if (at_module()) {
      WAFER_TRY(module(c));
      return c;
    }
    if (k == "thread") {
      WAFER_TRY(thread(c));
      return c;
    }
    if (k == "invoke" || k == "get") {
      c.kind = K::Action;
      WAFER_LET(a, action());
      c.action = std::move(a);
      return c;
    }
    p_ += 2;
    if (k == "wait") {
      c.kind = K::Wait;
      if (peek().kind != TokenKind::Id) return unexpected();
      WAFER_LET(name, id());
      c.name = name;
    } else if (k == "register") {
      c.kind = K::Register;
      WAFER_LET(name, string());
      WAFER_LET(of, id());
      c.name = name;
      c.of = of;
    } else if (k == "assert_return") {
      c.kind = K::AssertReturn;
      WAFER_LET(a, action());
      c.action = std::move(a);
      while (peek().kind == TokenKind::Open) {
        WAFER_LET(v, value());
        c.expected.push_back(std::move(v));
      }
    } else if (k == "assert_trap" || k == "assert_exhaustion" || k == "assert_exception" ||
               k == "assert_suspension") {
      // A suspension that nobody handles is a trap here.
      c.kind = k == "assert_exhaustion"  ? K::AssertExhaustion
               : k == "assert_exception" ? K::AssertException
                                         : K::AssertTrap;
      if (k == "assert_trap" && at_module()) {
        WAFER_TRY(module(c));
        c.kind = K::AssertTrapModule;
      } else {
        WAFER_LET(a, action());
        c.action = std::move(a);
      }
      if (k != "assert_exception") {
        WAFER_LET(m, string());
        c.message = m;
      }
    } else {
      static constexpr std::pair<std::string_view, K> kModules[] = {
          {"assert_invalid", K::AssertInvalid},
          {"assert_malformed", K::AssertMalformed},
          {"assert_unlinkable", K::AssertUnlinkable},
          {"assert_invalid_custom", K::AssertInvalidCustom},
          {"assert_malformed_custom", K::AssertMalformedCustom}};
      bool found = false;
      for (const auto& [name, kind] : kModules)
        if (k == name) {
          WAFER_TRY(module(c));
          c.kind = kind;
          found = true;
        }
      if (!found) {
        p_ -= 1;
        return unexpected();
      }
      WAFER_LET(m, string());
      c.message = m;
    }
    WAFER_TRY(expect(TokenKind::Close));
    return c;
  }

  const Vec<Token>& tokens_;
  const ParseOptions& options_;
  size_t p_ = 0;
  // Threads within threads, and constants within constants: the parser recurses once for each.
  static constexpr unsigned kMaxDepth = 100;
  unsigned depth_ = 0;
};

}  // namespace

Result<Vec<ScriptCommand>> parse_wast(std::string_view source, const ParseOptions& options) {
  WAFER_LET(tokens, tokenize(source));
  return ScriptParser(tokens, options).run();
}

}  // namespace wafer::wat
