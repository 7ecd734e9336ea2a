#include <charconv>

#include "wasm/cursor.h"
#include "wit/ast.h"
#include "wit/lexer.h"

namespace wafer::wit::ast {

namespace {

// Deeper nesting is refused, so that whoever walks types may recurse.
constexpr uint32_t kMaxTypeDepth = 100;

std::string unescape_byte(std::string_view hex) {
  return std::string(1, static_cast<char>(std::stoul(std::string(hex), nullptr, 16)));
}

void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

class Parser {
 public:
  explicit Parser(Lexer lexer) : lexer_(std::move(lexer)) {}

  wafer::Result<File> file() {
    File out;
    if (lexer_.at("package")) {
      const std::string docs = lexer_.docs();
      const Span docs_span = lexer_.docs_span();
      WAFER_TRY(lexer_.next());
      WAFER_LET(path, package_path());
      if (lexer_.at("{")) {
        PackageBody body;
        body.docs = docs;
        body.docs_span = docs_span;
        body.package = std::move(path);
        WAFER_TRY(nested_body(body));
        out.nested.push_back(std::move(body));
      } else {
        if (!lexer_.at(";")) return lexer_.unexpected("`;` or `{`");
        WAFER_TRY(lexer_.next());
        out.main.docs = docs;
        out.main.docs_span = docs_span;
        out.main.package = std::move(path);
      }
    }
    while (lexer_.peek().kind != TokenKind::End) {
      if (lexer_.at("package")) {
        PackageBody body;
        body.docs = lexer_.docs();
        body.docs_span = lexer_.docs_span();
        WAFER_TRY(lexer_.next());
        WAFER_LET(path, package_path());
        body.package = std::move(path);
        WAFER_TRY(nested_body(body));
        out.nested.push_back(std::move(body));
      } else {
        WAFER_LET(item, top_item());
        out.main.items.push_back(std::move(item));
      }
    }
    return out;
  }

 private:
  Error error(Span span, std::string_view message) const {
    return lexer_.sources().error(ErrorKind::Malformed, span, message);
  }
  static Span join(Span a, Span b) { return {a.start, b.end}; }

  wafer::Result<Id> id() {
    WAFER_LET(t, lexer_.expect_id());
    return Id{t.text, t.span};
  }

  wafer::Result<void> nested_body(PackageBody& body) {
    WAFER_TRY(lexer_.expect("{"));
    while (!lexer_.at("}")) {
      if (lexer_.at("package")) {
        WAFER_TRY(lexer_.next());
        return error(lexer_.peek().span, "nested packages must be placed at the top-level");
      }
      WAFER_LET(item, top_item());
      body.items.push_back(std::move(item));
    }
    WAFER_TRY(lexer_.next());
    return {};
  }

  wafer::Result<PackagePath> package_path() {
    WAFER_LET(ns, id());
    WAFER_TRY(lexer_.expect(":"));
    WAFER_LET(name, id());
    PackagePath out;
    out.name.ns = ns.text;
    out.name.name = name.text;
    out.span = join(ns.span, name.span);
    WAFER_LET(versioned, lexer_.take("@"));
    if (versioned) {
      WAFER_LET(version, lexer_.version());
      out.name.version = version.text;
      out.span.end = version.span.end;
    }
    return out;
  }

  // The rest of a path of which `first` was read.
  wafer::Result<UsePath> use_path_after(const Id& first) {
    UsePath out;
    out.name = first;
    WAFER_LET(qualified, lexer_.take(":"));
    if (!qualified) return out;
    WAFER_LET(package, id());
    return use_path_after(first, package);
  }

  wafer::Result<UsePath> use_path_after(const Id& ns, const Id& package) {
    UsePath out;
    out.package.emplace();
    out.package->name.ns = ns.text;
    out.package->name.name = package.text;
    out.package->span = join(ns.span, package.span);
    WAFER_TRY(lexer_.expect("/"));
    WAFER_LET(name, id());
    out.name = name;
    WAFER_LET(versioned, lexer_.take("@"));
    if (versioned) {
      WAFER_LET(version, lexer_.version());
      out.package->name.version = version.text;
    }
    return out;
  }

  wafer::Result<UsePath> use_path() {
    WAFER_LET(first, id());
    return use_path_after(first);
  }

  // Gates and external ids, in any order (WIT.md, "Feature gate syntax").
  wafer::Result<Attributes> attributes() {
    Attributes out;
    out.docs = lexer_.docs();
    while (lexer_.at("@")) {
      WAFER_TRY(lexer_.next());
      WAFER_LET(name, id());
      if (name.text == "since" || name.text == "deprecated") {
        const bool since = name.text == "since";
        if (since ? out.stability.kind != Stability::Kind::Unknown
                  : out.stability.deprecated.has_value())
          return error(name.span, "cannot specify this gate twice, or both @since and @unstable");
        WAFER_TRY(lexer_.expect("("));
        WAFER_TRY(gate_field("version"));
        WAFER_LET(version, lexer_.version());
        WAFER_TRY(lexer_.expect(")"));
        out.version_span = version.span;
        if (since) {
          out.stability.kind = Stability::Kind::Since;
          out.stability.text = version.text;
        } else {
          out.stability.deprecated = std::string(version.text);
        }
      } else if (name.text == "unstable") {
        if (out.stability.kind != Stability::Kind::Unknown)
          return error(name.span, "cannot specify this gate twice, or both @since and @unstable");
        WAFER_TRY(lexer_.expect("("));
        WAFER_TRY(gate_field("feature"));
        WAFER_LET(feature, id());
        WAFER_TRY(lexer_.expect(")"));
        out.stability.kind = Stability::Kind::Unstable;
        out.stability.text = feature.text;
      } else if (name.text == "external-id") {
        if (out.external_id) return error(name.span, "cannot specify @external-id twice");
        WAFER_TRY(lexer_.expect("("));
        WAFER_LET(value, string_literal());
        WAFER_TRY(lexer_.expect(")"));
        out.external_id = std::move(value);
        out.external_id_span = name.span;
      } else {
        return error(name.span, "unknown attribute `@" + std::string(name.text) + "`");
      }
    }
    if (out.stability.deprecated && out.stability.kind == Stability::Kind::Unknown)
      return error(out.version_span, "@deprecated goes with @since or @unstable");
    return out;
  }

  wafer::Result<void> gate_field(std::string_view wanted) {
    if (!lexer_.at_id()) return lexer_.unexpected("`" + std::string(wanted) + "`");
    if (lexer_.peek().text != wanted) return lexer_.unexpected("`" + std::string(wanted) + "`");
    WAFER_TRY(lexer_.next());
    WAFER_TRY(lexer_.expect("="));
    return {};
  }

  // A string of the core text format (its "name").
  wafer::Result<std::string> string_literal() {
    if (lexer_.peek().kind != TokenKind::String) return lexer_.unexpected("a string literal");
    WAFER_LET(token, lexer_.next());
    const std::string_view text = token.text.substr(1, token.text.size() - 2);
    const auto is_hex = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    };
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\') {
        out += text[i];
        continue;
      }
      const char c = ++i < text.size() ? text[i] : '\0';
      const size_t at = std::string_view("nrt\"'\\").find(c);
      if (at != std::string_view::npos && c != '\0') {
        out += "\n\r\t\"'\\"[at];
      } else if (is_hex(c) && i + 1 < text.size() && is_hex(text[i + 1])) {
        out += unescape_byte(text.substr(i, 2));
        ++i;
      } else if (c == 'u' && i + 1 < text.size() && text[i + 1] == '{') {
        const size_t end = text.find('}', i);
        uint32_t value = 0;
        const char* from = text.data() + i + 2;
        const char* to = text.data() + (end == text.npos ? i + 2 : end);
        const auto [stop, code] = std::from_chars(from, to, value, 16);
        if (code != std::errc() || stop != to || value > 0x10ffff ||
            (value >= 0xd800 && value < 0xe000))
          return error(token.span, "invalid unicode escape in string literal");
        append_utf8(out, value);
        i = end;
      } else {
        return error(token.span, "invalid escape in string literal");
      }
    }
    if (!wasm::is_utf8(out)) return error(token.span, "malformed UTF-8 encoding");
    return out;
  }

  wafer::Result<void> no_external_id(const Attributes& a, std::string_view where) {
    if (!a.external_id) return {};
    return error(a.external_id_span, "@external-id is not allowed on " + std::string(where));
  }

  // `interface name { ... }`, or the same of a world; its keyword is ahead.
  template <class T, class F>
  wafer::Result<TopItem> block(Attributes attrs, F&& items) {
    WAFER_TRY(lexer_.next());
    T out;
    out.attributes = std::move(attrs);
    WAFER_LET(name, id());
    out.name = name;
    WAFER_TRY(items(out));
    return TopItem(std::move(out));
  }

  wafer::Result<TopItem> top_item() {
    WAFER_LET(attrs, attributes());
    if (lexer_.at("use")) {
      WAFER_TRY(no_external_id(attrs, "use statements"));
      WAFER_TRY(lexer_.next());
      TopUse out;
      WAFER_LET(path, use_path());
      out.path = std::move(path);
      WAFER_LET(as, lexer_.take("as"));
      if (as) {
        WAFER_LET(name, id());
        out.as = name;
      }
      WAFER_TRY(lexer_.expect(";"));
      return TopItem(std::move(out));
    }
    if (lexer_.at("interface")) {
      WAFER_TRY(no_external_id(attrs, "interface declarations"));
      return block<Interface>(std::move(attrs),
                              [this](auto& out) { return interface_items(out.items); });
    }
    if (lexer_.at("world")) {
      WAFER_TRY(no_external_id(attrs, "world declarations"));
      return block<World>(std::move(attrs), [this](auto& out) { return world_items(out.items); });
    }
    return lexer_.unexpected("`world`, `interface`, `use` or `package`");
  }

  wafer::Result<void> interface_items(std::vector<InterfaceItem>& items) {
    WAFER_TRY(lexer_.expect("{"));
    while (!lexer_.at("}")) {
      WAFER_LET(attrs, attributes());
      if (lexer_.at("use")) {
        WAFER_TRY(no_external_id(attrs, "use statements"));
        WAFER_LET(use, use_item(std::move(attrs)));
        items.emplace_back(std::move(use));
      } else if (at_type_def()) {
        WAFER_LET(def, type_def(std::move(attrs)));
        items.emplace_back(std::move(def));
      } else if (lexer_.at_id()) {
        WAFER_LET(func, named_func(std::move(attrs), /*in_resource=*/false));
        items.emplace_back(std::move(func));
      } else {
        return lexer_.unexpected("a type, a resource or a function");
      }
    }
    WAFER_TRY(lexer_.next());
    return {};
  }

  wafer::Result<void> world_items(std::vector<WorldItem>& items) {
    WAFER_TRY(lexer_.expect("{"));
    while (!lexer_.at("}")) {
      WAFER_LET(attrs, attributes());
      if (lexer_.at("use")) {
        WAFER_TRY(no_external_id(attrs, "use statements"));
        WAFER_LET(use, use_item(std::move(attrs)));
        items.emplace_back(std::move(use));
      } else if (at_type_def()) {
        WAFER_LET(def, type_def(std::move(attrs)));
        items.emplace_back(std::move(def));
      } else if (lexer_.at("import") || lexer_.at("export")) {
        WAFER_LET(port, port_item(std::move(attrs)));
        items.emplace_back(std::move(port));
      } else if (lexer_.at("include")) {
        WAFER_TRY(no_external_id(attrs, "include statements"));
        WAFER_TRY(lexer_.next());
        Include out;
        out.attributes = std::move(attrs);
        WAFER_LET(path, use_path());
        out.from = std::move(path);
        WAFER_LET(with, lexer_.take("with"));
        if (with) {
          WAFER_TRY(name_list(out.names, /*as_needed=*/true));
          WAFER_TRY(lexer_.take(";"));
        } else {
          WAFER_TRY(lexer_.expect(";"));
        }
        items.emplace_back(std::move(out));
      } else {
        return lexer_.unexpected("`import`, `export`, `include`, `use` or a type");
      }
    }
    WAFER_TRY(lexer_.next());
    return {};
  }

  // `{ a, b as c }`
  wafer::Result<void> name_list(std::vector<UseName>& names, bool as_needed) {
    WAFER_TRY(lexer_.expect("{"));
    while (!lexer_.at("}")) {
      UseName name;
      WAFER_LET(n, id());
      name.name = n;
      if (as_needed && !lexer_.at("as")) return lexer_.unexpected("`as`");
      WAFER_LET(as, lexer_.take("as"));
      if (as) {
        WAFER_LET(local, id());
        name.as = local;
      }
      names.push_back(name);
      WAFER_LET(more, lexer_.take(","));
      if (!more && !lexer_.at("}")) return lexer_.unexpected("`,` or `}`");
    }
    WAFER_TRY(lexer_.next());
    return {};
  }

  wafer::Result<Use> use_item(Attributes attrs) {
    WAFER_TRY(lexer_.next());
    Use out;
    out.attributes = std::move(attrs);
    WAFER_LET(path, use_path());
    out.from = std::move(path);
    WAFER_TRY(lexer_.expect("."));
    WAFER_TRY(name_list(out.names, /*as_needed=*/false));
    WAFER_TRY(lexer_.expect(";"));
    return out;
  }

  // Whether the token ahead begins a function's type. `get` and `set` are no keywords.
  bool at_func() const {
    return lexer_.at("func") || lexer_.at("async") ||
           (lexer_.at_id() && (lexer_.peek().text == "get" || lexer_.peek().text == "set"));
  }

  wafer::Result<Port> port_item(Attributes attrs) {
    Port out;
    WAFER_LET(direction, lexer_.next());
    out.exported = direction.text == "export";
    WAFER_LET(first, id());
    const bool colon = lexer_.at(":");
    if (!colon) {
      out.what = UsePath{std::nullopt, first};
    } else {
      const Span colon_span = lexer_.peek().span;
      WAFER_TRY(lexer_.next());
      if (lexer_.at("interface")) {
        WAFER_TRY(lexer_.next());
        Interface inline_interface;
        inline_interface.attributes = attrs;
        inline_interface.name = first;
        WAFER_TRY(interface_items(inline_interface.items));
        out.name = first;
        out.what = std::move(inline_interface);
        out.attributes = std::move(attrs);
        return out;
      }
      Id second;
      bool accessor = false;
      if (lexer_.at_id()) {
        const bool maybe_accessor = at_func();
        WAFER_LET(name, id());
        second = name;
        accessor = maybe_accessor && lexer_.at("(");
      } else if (!at_func()) {
        return lexer_.unexpected("`func`, `interface` or the name of an interface");
      }
      if (second.text.empty() || accessor) {
        Func func;
        func.name = first;
        func.attributes = attrs;
        if (accessor) func.accessor = second.text == "get" ? Accessor::Get : Accessor::Set;
        func.accessor_span = second.span;
        WAFER_TRY(func_type(func, /*keyword_read=*/accessor));
        out.name = first;
        out.what = std::move(func);
      } else if (lexer_.at("/")) {
        WAFER_LET(path, use_path_after(first, second));
        out.what = std::move(path);
      } else {
        // `a:b` without space is the name of a package.
        if (!lexer_.at(":") && colon_span.start == first.span.end &&
            second.span.start == colon_span.end)
          return lexer_.unexpected("`/`");
        WAFER_LET(path, use_path_after(second));
        out.name = first;
        out.what = std::move(path);
      }
    }
    if (!out.name) WAFER_TRY(no_external_id(attrs, "imports and exports without a plain name"));
    out.attributes = std::move(attrs);
    WAFER_TRY(lexer_.expect(";"));
    return out;
  }

  bool at_type_def() const {
    for (std::string_view k : {"type", "record", "flags", "variant", "enum", "resource"})
      if (lexer_.at(k)) return true;
    return false;
  }

  wafer::Result<TypeDef> type_def(Attributes attrs) {
    TypeDef out;
    out.attributes = std::move(attrs);
    WAFER_LET(keyword, lexer_.next());
    WAFER_LET(name, id());
    out.name = name;
    if (keyword.text == "type") {
      WAFER_TRY(lexer_.expect("="));
      WAFER_LET(aliased, type(0));
      out.aliased = std::move(aliased);
      WAFER_TRY(lexer_.expect(";"));
      return out;
    }
    if (keyword.text == "resource") {
      out.kind = TypeKind::Resource;
      WAFER_LET(bare, lexer_.take(";"));
      if (bare) return out;
      if (!lexer_.at("{")) return lexer_.unexpected("`;` or `{`");
      WAFER_TRY(lexer_.next());
      while (!lexer_.at("}")) {
        WAFER_LET(func_attrs, attributes());
        if (lexer_.at("constructor")) {
          WAFER_LET(func, constructor(std::move(func_attrs)));
          out.functions.push_back(std::move(func));
        } else if (lexer_.at_id()) {
          WAFER_LET(func, named_func(std::move(func_attrs), /*in_resource=*/true));
          out.functions.push_back(std::move(func));
        } else {
          return lexer_.unexpected("`constructor` or identifier");
        }
      }
      WAFER_TRY(lexer_.next());
      return out;
    }
    out.kind = keyword.text == "record"    ? TypeKind::Record
               : keyword.text == "flags"   ? TypeKind::Flags
               : keyword.text == "variant" ? TypeKind::Variant
                                           : TypeKind::Enum;
    WAFER_TRY(lexer_.expect("{"));
    while (!lexer_.at("}")) {
      Member m;
      m.docs = lexer_.docs();
      WAFER_LET(member, id());
      m.name = member;
      if (out.kind == TypeKind::Record) {
        WAFER_TRY(lexer_.expect(":"));
        WAFER_LET(t, type(0));
        m.type = std::move(t);
      } else if (out.kind == TypeKind::Variant) {
        WAFER_LET(payload, lexer_.take("("));
        if (payload) {
          WAFER_LET(t, type(0));
          m.type = std::move(t);
          WAFER_TRY(lexer_.expect(")"));
        }
      }
      out.members.push_back(std::move(m));
      WAFER_LET(more, lexer_.take(","));
      if (!more && !lexer_.at("}")) return lexer_.unexpected("`,` or `}`");
    }
    WAFER_TRY(lexer_.next());
    return out;
  }

  wafer::Result<Func> constructor(Attributes attrs) {
    Func out;
    out.attributes = std::move(attrs);
    out.is_constructor = true;
    WAFER_LET(keyword, lexer_.next());
    out.name = {keyword.text, keyword.span};
    WAFER_TRY(params_and_result(out));
    WAFER_TRY(lexer_.expect(";"));
    return out;
  }

  wafer::Result<Func> named_func(Attributes attrs, bool in_resource) {
    Func out;
    out.attributes = std::move(attrs);
    WAFER_LET(name, id());
    out.name = name;
    WAFER_TRY(lexer_.expect(":"));
    if (in_resource) {
      WAFER_LET(is_static, lexer_.take("static"));
      out.is_static = is_static;
    }
    WAFER_TRY(func_type(out, /*keyword_read=*/false));
    WAFER_TRY(lexer_.expect(";"));
    return out;
  }

  // func-type; `keyword_read` when `get` or `set` was taken by the caller.
  wafer::Result<void> func_type(Func& out, bool keyword_read) {
    if (!keyword_read) {
      WAFER_LET(is_async, lexer_.take("async"));
      out.is_async = is_async;
      if (lexer_.at("func")) {
        WAFER_TRY(lexer_.next());
      } else if (!is_async && at_func()) {
        WAFER_LET(keyword, lexer_.next());
        out.accessor = keyword.text == "get" ? Accessor::Get : Accessor::Set;
        out.accessor_span = keyword.span;
      } else {
        return lexer_.unexpected("`func`");
      }
    }
    return params_and_result(out);
  }

  wafer::Result<void> params_and_result(Func& out) {
    WAFER_TRY(lexer_.expect("("));
    while (!lexer_.at(")")) {
      Param p;
      WAFER_LET(name, id());
      p.name = name;
      WAFER_TRY(lexer_.expect(":"));
      WAFER_LET(t, type(0));
      p.type = std::move(t);
      out.params.push_back(std::move(p));
      WAFER_LET(more, lexer_.take(","));
      if (!more && !lexer_.at(")")) return lexer_.unexpected("`,` or `)`");
    }
    WAFER_TRY(lexer_.next());
    WAFER_LET(returns, lexer_.take("->"));
    if (returns) {
      WAFER_LET(result, type(0));
      out.result = std::move(result);
    }
    return check_accessor(out);
  }

  wafer::Result<void> check_accessor(const Func& f) {
    using Kind = TypeExpr::Kind;
    if (f.accessor == Accessor::Get) {
      if (!f.params.empty()) return error(f.params[0].name.span, "getters cannot have parameters");
      if (f.result.kind == Kind::None) return error(f.accessor_span, "getters must return a value");
    } else if (f.accessor == Accessor::Set) {
      if (f.params.size() != 1)
        return error(f.params.empty() ? f.accessor_span : f.params[1].name.span,
                     "setters must have exactly one parameter");
      if (f.result.kind != Kind::None &&
          (f.result.kind != Kind::Result || f.result.args[0].kind != Kind::None))
        return error(f.result.span,
                     "if a setter return type is declared it must be a `result` with no `ok` type");
    }
    return {};
  }

  wafer::Result<TypeExpr> type(uint32_t depth) {
    using Kind = TypeExpr::Kind;
    if (depth == kMaxTypeDepth) return error(lexer_.peek().span, "type nesting too deep");
    TypeExpr out;
    out.span = lexer_.peek().span;
    if (lexer_.at_id()) {
      WAFER_LET(name, id());
      out.kind = Kind::Name;
      out.name = name;
      return out;
    }
    if (lexer_.peek().kind != TokenKind::Keyword) return lexer_.unexpected("a type");
    const std::string_view word = lexer_.peek().text;
    out.prim = component::prim_of(word);
    if (out.prim != Prim::None) {
      out.kind = Kind::Primitive;
      WAFER_TRY(lexer_.next());
      return out;
    }
    constexpr std::pair<std::string_view, Kind> kGeneric[] = {
        {"list", Kind::List},     {"map", Kind::Map},       {"option", Kind::Option},
        {"result", Kind::Result}, {"tuple", Kind::Tuple},   {"future", Kind::Future},
        {"stream", Kind::Stream}, {"borrow", Kind::Borrow}, {"own", Kind::Own}};
    for (const auto& [name, kind] : kGeneric)
      if (name == word) out.kind = kind;
    if (out.kind == Kind::None) return lexer_.unexpected("a type");
    WAFER_TRY(lexer_.next());

    if (out.kind == Kind::Result) out.args.resize(2);
    WAFER_LET(angle, lexer_.take("<"));
    if (!angle) {
      if (out.kind == Kind::Result || out.kind == Kind::Future || out.kind == Kind::Stream)
        return out;
      return lexer_.unexpected("`<`");
    }
    switch (out.kind) {
      case Kind::Own:
      case Kind::Borrow: {
        WAFER_LET(name, id());
        out.name = name;
        break;
      }
      case Kind::Result: {
        WAFER_LET(no_ok, lexer_.take("_"));
        if (!no_ok) {
          WAFER_LET(ok, type(depth + 1));
          out.args[0] = std::move(ok);
        }
        if (no_ok && !lexer_.at(",")) return lexer_.unexpected("`,`");
        WAFER_LET(comma, lexer_.take(","));
        if (comma) {
          WAFER_LET(err, type(depth + 1));
          out.args[1] = std::move(err);
        }
        break;
      }
      case Kind::Tuple:
        while (!lexer_.at(">")) {
          WAFER_LET(t, type(depth + 1));
          out.args.push_back(std::move(t));
          WAFER_LET(more, lexer_.take(","));
          if (!more && !lexer_.at(">")) return lexer_.unexpected("`,` or `>`");
        }
        break;
      case Kind::List: {
        WAFER_LET(element, type(depth + 1));
        out.args.push_back(std::move(element));
        WAFER_LET(comma, lexer_.take(","));
        if (comma) {
          if (lexer_.peek().kind != TokenKind::Integer) return lexer_.unexpected("a fixed length");
          WAFER_LET(number, lexer_.next());
          out.kind = Kind::FixedList;
          const auto [end, code] = std::from_chars(
              number.text.data(), number.text.data() + number.text.size(), out.length);
          if (code != std::errc() || out.length == 0)
            return error(number.span, "invalid length of a fixed-length list");
        }
        break;
      }
      case Kind::Map: {
        WAFER_LET(key, type(depth + 1));
        const bool bad = key.kind != Kind::Primitive || !component::is_key_prim(key.prim);
        if (bad && key.kind != Kind::Name)
          return error(out.span,
                       "map keys are bool, u8, u16, u32, u64, s8, s16, s32, s64, char or string");
        out.args.push_back(std::move(key));
        WAFER_TRY(lexer_.expect(","));
        WAFER_LET(value, type(depth + 1));
        out.args.push_back(std::move(value));
        break;
      }
      default: {
        WAFER_LET(element, type(depth + 1));
        out.args.push_back(std::move(element));
      }
    }
    if (!lexer_.at(">")) return lexer_.unexpected("`>`");
    WAFER_TRY(lexer_.next());
    return out;
  }

  Lexer lexer_;
};

}  // namespace

wafer::Result<File> parse(const SourceMap& sources, uint32_t start) {
  WAFER_LET(lexer, Lexer::create(sources, start));
  return Parser(std::move(lexer)).file();
}

}  // namespace wafer::wit::ast
