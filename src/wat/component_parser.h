// The parser of components: one pass over the tokens, which encodes each definition as it comes,
// since definitions only refer to those before them. What the text says in short (types within
// types, aliases within references) becomes definitions of its own in front.
#pragma once

#include <array>
#include <memory>

#include "component/writer.h"
#include "wat/component_text.h"
#include "wat/module_parser.h"

namespace wafer::wat {

class ComponentParser;

// The core types of one scope. Definitions and what refers to them are read as in modules.
class CoreTypes final : public ModuleParser {
 public:
  CoreTypes(ComponentParser& parent, const Vec<Token>& tokens, size_t end,
            const ParseOptions& options)
      : ModuleParser(tokens, 0, end, options), parent_(parent) {}

  IndexSpace& space() { return types_; }
  size_t place() const { return p_; }
  void move_to(size_t place) { p_ = place; }

  // The rest of "(type" or "(rec": gives an encoded definition.
  Result<Vec<uint8_t>> definition(bool rec);
  // "(func ...)" and the like, with an identifier if `named`. Function types that it implies
  // are defined in front.
  Result<Vec<uint8_t>> extern_type(bool named);
  // A value type.
  Result<Vec<uint8_t>> value_type();
  // Takes note of a definition that is none of the kinds above, before it gets its index: an
  // alias of `outer`'s type `index`, or, where that is null, something that is only known by
  // its index.
  void push(const CoreTypes* outer, uint32_t index);
  // Encodings of the function types that extern_type() has defined and that have no index yet.
  Vec<Vec<uint8_t>> implied();

  // Types of scopes around this one that the last definition referred to, and that are not
  // aliased yet. If there are any, it is to be forgotten, and read again when they are.
  Vec<String> take_wanted() { return std::exchange(wanted_, {}); }
  void note_alias(const String& id, uint32_t index) { aliases_[id] = index; }
  bool has_alias(const String& id) const { return aliases_.count(id) != 0; }
  // Forgets what was defined last: all from index `count` on.
  void forget(uint32_t count);

 private:
  std::optional<uint32_t> outer_index(const IndexSpace& space, std::string_view id) override;
  Vec<uint8_t> encoded(uint32_t first, uint32_t count, bool rec);

  ComponentParser& parent_;
  IdMap aliases_;
  Vec<String> wanted_, ids_;  // ids_: those of the last definition
};

class ComponentParser final : public TokenReader {
 public:
  ComponentParser(const Vec<Token>& tokens, size_t begin, size_t end, const ParseOptions& options)
      : TokenReader(tokens, begin, end), options_(options) {}

  // The component whose definitions the tokens are.
  Result<SourceBytes> run(std::string_view name);

 private:
  friend class CoreTypes;
  using Bytes = Vec<uint8_t>;

  enum class ScopeKind : uint8_t { Component, ComponentType, InstanceType, ModuleType };

  // An export that stands within the definition of what it exports.
  struct InlineExport {
    Bytes name;
    Space space;
    uint32_t index;
    uint32_t source;
  };
  struct Scope;
  // A type of values, encoded as in the scope where it is defined.
  struct KnownType {
    const Scope* scope;
    std::shared_ptr<const Bytes> bytes;
  };
  struct Scope {
    ScopeKind kind = ScopeKind::Component;
    String id;
    std::optional<String> name;  // of (@name "...")
    std::array<IndexSpace, kSpaceCount> spaces;
    std::unique_ptr<CoreTypes> core_types;  // once there are some
    component::SectionWriter sections;      // of a component
    Bytes declarations;                     // of a type
    uint32_t count = 0;                     // of these
    Vec<InlineExport> exports;
    HashMap<uint32_t, KnownType> types;  // by index, as far as they are known
    bool names_written = false;          // or left away, so that none are to be made
  };
  // Kinds of definitions: their section in components, their code in types.
  struct Item {
    uint8_t section, code;
  };
  static constexpr Item kCoreInstance{2, 0}, kCoreType{3, 0}, kInstance{5, 0}, kAlias{6, 2},
      kType{7, 1}, kCanon{8, 0}, kImport{10, 3}, kExport{11, 4}, kValue{12, 0};
  static constexpr uint8_t kModuleSection = 1, kComponentSection = 4, kStartSection = 9;
  static wafer::Bytes span(const Bytes& b) { return {b.data(), b.size()}; }

  // ---- component_parser.cc: scopes and definitions
  Scope& scope() { return *scopes_.back(); }
  Status enter(ScopeKind kind, String id);
  IndexSpace& space(Scope& in, Space s);
  CoreTypes& core_types(Scope& in);
  void emit(Item item, const Bytes& bytes);
  uint32_t define_unnamed(Space s);
  // Gives the next index of `s` to what the identifier at `binding` names.
  Result<uint32_t> define(Space s, size_t binding);
  Result<SourceBytes> definitions();
  Status field();
  Status core_field();
  Status core_module();
  Status core_instance();
  Status nested_component();
  Status instance();
  Status func();
  Status import_field();
  Status export_field();
  Status custom();
  Status section_mark();
  Status start();
  Result<bool> alias_or_import(Space s);
  bool at_inline(std::string_view keyword) const;
  Result<Vec<Bytes>> inline_exports();
  void export_later(Vec<Bytes> names, Space s, uint32_t index);
  Result<Bytes> core_bundle();
  Result<Bytes> bundle();
  bool at_bundle() const;
  Result<Vec<uint32_t>> argument_bundles(bool core);

  // ---- component_refs.cc: references, aliases and names
  Status alias();
  Result<bool> inverted_alias(Space s);
  Result<Bytes> alias_target(Space s);
  Result<uint32_t> index(Space s);
  Result<uint32_t> outer_alias(size_t depth, Space s, uint32_t index);
  // How many scopes out a core type of this name is, and its index.
  std::optional<std::pair<size_t, uint32_t>> find_outer(Space s, std::string_view id);
  // What follows "(SORT": an index, or an instance and names of exports.
  Result<uint32_t> path(Space s);
  // "(SORT path)", with `core` where it is a core sort and `prefixed`; or just an index.
  Result<uint32_t> sorted_item(Space s, bool prefixed = true);
  Result<uint32_t> item(Space s, bool prefixed = true);
  void skip_item();
  bool at_sort(Space s, bool prefixed) const;
  Result<std::pair<Space, uint32_t>> any_item();
  Result<Bytes> extern_name();
  static void put_sort(Bytes& out, Space s);
  static void put_string(Bytes& out, std::string_view s) { component::write_name(out, s); }
  static void put_bytes(Bytes& out, const Bytes& b) { component::write_bytes(out, span(b)); }

  // ---- component_types.cc
  // What `read` gives of the scope's core types, after aliases for what it refers to outside.
  template <class F>
  Result<Bytes> with_core_types(F&& read);
  Status core_type_field(bool rec);
  Result<Bytes> module_type(String id);
  Status module_declaration();
  Status type_field(bool with_exports);
  Result<Bytes> type_definition(String id);
  Result<Bytes> value_type_definition();
  Status defined_type(Bytes& out);
  Status labels(Bytes& out);
  Status value_type(Bytes& out);
  Status optional_value_type(Bytes& out);
  Status func_type(Bytes& out);
  Status result_list(Bytes& out);
  Result<Bytes> resource_type();
  Result<Bytes> scope_type(ScopeKind kind, String id);
  Status declaration();
  uint32_t new_type(const Bytes& bytes);
  bool at_type_ref() const;
  // "(type X)", or what else follows "(SORT" and then defines a type.
  Result<uint32_t> type_use(Space s);
  struct ExternType {
    Bytes bytes;
    Space space;
    size_t binding;
  };
  // "(SORT ...)", with an identifier if `bind`.
  Result<ExternType> extern_type(bool bind);
  Result<Bytes> twice(Status (ComponentParser::*parse)(Bytes&));

  // ---- component_values.cc
  // Takes note that the next type has this definition, or is the type `index` of `from`.
  void note_type(const Bytes& definition);
  void note_type(const Scope& from, uint32_t index);
  Status value_field();
  // A value of the type that comes next in `type`, which is encoded as in `in`.
  Status value(const Scope& in, wasm::Cursor& type, Bytes& out, unsigned depth = 0);
  Status primitive_value(component::Prim prim, Bytes& out);
  Status defined_value(const KnownType& type, Bytes& out, unsigned depth);

  // ---- component_canon.cc
  Status canon();
  Status canon_options(Bytes& out);
  // What follows "lift"; `type` is the lifted function's.
  Result<Bytes> lift(uint32_t type);
  Result<Bytes> core_canon();

  const ParseOptions& options_;
  Vec<std::unique_ptr<Scope>> scopes_;  // innermost last
  unsigned depth_ = 0;                  // of value types
  uint32_t source_ = 0;                 // where the definition at hand is

  // Types within a type are defined first, in a pass of their own over its tokens; the pass
  // that encodes finds them here.
  struct Inner {
    uint32_t index;
    size_t end;  // place behind it
  };
  struct Expansion {
    bool expanding = true;
    Vec<Inner> inner;
    size_t next = 0;
  };
  Expansion* expansion_ = nullptr;
};

template <class F>
Result<Vec<uint8_t>> ComponentParser::with_core_types(F&& read) {
  CoreTypes& types = core_types(scope());
  const size_t start = p_;
  for (;;) {
    const uint32_t count = types.space().count;
    types.move_to(start);
    auto out = read(types);
    const Vec<String> wanted = types.take_wanted();
    p_ = types.place();
    if (wanted.empty()) return out;
    types.forget(count);
    for (const String& id : wanted) {
      if (types.has_alias(id)) continue;
      const auto found = find_outer(Space::CoreType, id);
      WAFER_LET(index, outer_alias(found->first, Space::CoreType, found->second));
      types.note_alias(id, index);
    }
  }
}

}  // namespace wafer::wat
