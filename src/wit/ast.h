// What the grammar of WIT.md says, before names are resolved.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "wit/source.h"
#include "wit/wit.h"

namespace wafer::wit::ast {

struct Id {
  std::string_view text;
  Span span;
};

struct PackagePath {
  PackageName name;
  Span span;
};

// `name`, or `namespace:package/name@version`.
struct UsePath {
  std::optional<PackagePath> package;
  Id name;
};

// What may stand before an item.
struct Attributes {
  std::string docs;
  Stability stability;
  Span version_span;  // of the version of @since or @deprecated
  std::optional<std::string> external_id;
  Span external_id_span;
};

struct TypeExpr {
  enum class Kind : uint8_t {
    None,  // left out, or `_`
    Primitive,
    Name,
    Own,
    Borrow,
    List,
    FixedList,
    Map,
    Option,
    Result,
    Tuple,
    Future,
    Stream,
  };
  Kind kind = Kind::None;
  Prim prim = Prim::None;
  Span span;
  Id name;
  uint32_t length = 0;
  std::vector<TypeExpr> args;  // of Result: always two
};

struct Param {
  Id name;
  TypeExpr type;
};

struct Func {
  Attributes attributes;
  Id name;
  Accessor accessor = Accessor::None;
  Span accessor_span;  // of `get` or `set`
  bool is_async = false;
  bool is_static = false;
  bool is_constructor = false;
  std::vector<Param> params;
  TypeExpr result;
};

struct Member {
  std::string docs;
  Id name;
  TypeExpr type;
};

struct TypeDef {
  Attributes attributes;
  Id name;
  TypeKind kind = TypeKind::Alias;  // or Record, Flags, Variant, Enum, Resource
  TypeExpr aliased;
  std::vector<Member> members;
  std::vector<Func> functions;
};

struct UseName {
  Id name;
  std::optional<Id> as;
  const Id& local() const { return as ? *as : name; }
};

struct Use {
  Attributes attributes;
  UsePath from;
  std::vector<UseName> names;
};

using InterfaceItem = std::variant<Use, TypeDef, Func>;

struct Interface {
  Attributes attributes;
  Id name;
  std::vector<InterfaceItem> items;
};

struct Port {
  Attributes attributes;
  bool exported = false;
  std::optional<Id> name;  // none: the path is the name
  std::variant<Func, Interface, UsePath> what;
};

struct Include {
  Attributes attributes;
  UsePath from;
  std::vector<UseName> names;
};

using WorldItem = std::variant<Use, TypeDef, Port, Include>;

struct World {
  Attributes attributes;
  Id name;
  std::vector<WorldItem> items;
};

struct TopUse {
  UsePath path;
  std::optional<Id> as;
  const Id& local() const { return as ? *as : path.name; }
};

using TopItem = std::variant<TopUse, Interface, World>;

// One package as one file has it: the file's own or a nested one.
struct PackageBody {
  std::optional<PackagePath> package;
  std::string docs;
  Span docs_span;
  std::vector<TopItem> items;
};

struct File {
  PackageBody main;
  std::vector<PackageBody> nested;
};

// Parses the text that SourceMap::add() put at `start`. Views point into `sources`.
wafer::Result<File> parse(const SourceMap& sources, uint32_t start);

}  // namespace wafer::wit::ast
