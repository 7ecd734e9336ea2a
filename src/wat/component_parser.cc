// Scopes and definitions of components (Explainer.md, "Component Definitions").
#include "wat/component_parser.h"

#include "wat/parser.h"
#include "wat/sections.h"

namespace wafer::wat {

// ---- Scopes -------------------------------------------------------------------------

Result<void> ComponentParser::enter(ScopeKind kind, String id) {
  if (scopes_.size() == kMaxComponentDepth)
    return Error(ErrorKind::Exhaustion, "components and types are nested too deeply", here());
  auto made = std::make_unique<Scope>();
  made->kind = kind;
  made->id = std::move(id);
  for (size_t i = 0; i < kSpaceCount; ++i) made->spaces[i].what = kSpaces[i].what;
  scopes_.push_back(std::move(made));
  return {};
}

IndexSpace& ComponentParser::space(Scope& in, Space s) {
  if (s == Space::CoreType && in.core_types) return in.core_types->space();
  return in.spaces[size_t(s)];
}

CoreTypes& ComponentParser::core_types(Scope& in) {
  if (!in.core_types) in.core_types = std::make_unique<CoreTypes>(*this, tokens_, end_, options_);
  return *in.core_types;
}

void ComponentParser::emit(Item item, const Bytes& bytes) {
  Scope& s = scope();
  if (s.kind == ScopeKind::Component && item.section == kType.section) note_type(bytes);
  if (s.kind == ScopeKind::Component) {
    SourceBytes& out = s.sections.definition(item.section);
    out.mark(source_);
    return put_bytes(out, bytes);
  }
  // A module type's only types are core types.
  const bool core = s.kind == ScopeKind::ModuleType && item.section == kCoreType.section;
  s.declarations.push_back(core ? kType.code : item.code);
  put_bytes(s.declarations, bytes);
  ++s.count;
}

uint32_t ComponentParser::define_unnamed(Space s) { return space(scope(), s).count++; }

Result<uint32_t> ComponentParser::define(Space s, size_t binding) {
  const size_t back = p_;
  p_ = binding;
  WAFER_LET(index, TokenReader::define(space(scope(), s)));
  p_ = back;
  return index;
}

// ---- Components ---------------------------------------------------------------------

Result<SourceBytes> ComponentParser::run(std::string_view name) {
  WAFER_TRY(enter(ScopeKind::Component, String(name)));
  if (at_annotation("name")) {
    ++p_;
    WAFER_LET(written, annotation_name("component"));
    scope().name = std::move(written);
  }
  WAFER_LET(out, definitions());
  if (p_ != end_) return unexpected();
  return std::move(out);
}

// The definitions of the innermost scope, a component, until its end; gives its binary.
Result<SourceBytes> ComponentParser::definitions() {
  while (peek().kind != TokenKind::Close && peek().kind != TokenKind::End) WAFER_TRY(field());
  for (const InlineExport& e : scope().exports) {
    Bytes bytes = e.name;
    put_sort(bytes, e.space);
    write_uleb(bytes, e.index);
    bytes.push_back(0);
    source_ = e.source;
    emit(kExport, bytes);
    define_unnamed(e.space);
  }
  if (options_.names && !scope().names_written) {
    const Scope& s = scope();
    const Bytes section = encode_component_names(
        s.name ? *s.name : s.id,
        [&](Space space) -> const DebugNames& { return this->space(scope(), space).debug; });
    if (!section.empty()) scope().sections.custom(kComponentNameSection, span(section));
  }
  SourceBytes out = scope().sections.finish();
  scopes_.pop_back();
  return std::move(out);
}

Vec<uint8_t> encode_component_names(std::string_view component,
                                    const std::function<const DebugNames&(Space)>& names) {
  Vec<uint8_t> out;
  const auto part = [&](uint8_t id, const Vec<uint8_t>& payload) {
    out.push_back(id);
    write_uleb(out, payload.size());
    out.insert(out.end(), payload.begin(), payload.end());
  };
  if (!component.empty()) {
    Vec<uint8_t> payload;
    component::write_name(payload, component);
    part(0, payload);
  }
  for (const SpaceInfo& info : kSpaces) {
    const DebugNames& list = names(info.space);
    if (list.empty()) continue;
    Vec<uint8_t> payload;
    if (info.core) payload.push_back(0);
    payload.push_back(info.code);
    write_uleb(payload, list.size());
    for (const auto& [index, name] : list) {
      write_uleb(payload, index);
      component::write_name(payload, name);
    }
    part(1, payload);
  }
  return out;
}

Result<void> ComponentParser::field() {
  if (at_annotation("custom")) {
    ++p_;
    return custom();
  }
  if (at_annotation(kSectionAnnotation)) {
    ++p_;
    return section_mark();
  }
  if (at_annotation(kUnnamedAnnotation)) {
    ++p_;
    scope().names_written = true;
    return close();
  }
  if (peek().kind != TokenKind::Open) return unexpected();
  source_ = here();
  ++p_;
  if (peek().kind != TokenKind::Keyword) return unexpected();
  const std::string_view k = peek().text;
  ++p_;
  if (k == "core") return core_field();
  if (k == "component") return nested_component();
  if (k == "instance") return instance();
  if (k == "alias") return alias();
  if (k == "type") return type_field(/*with_exports=*/true);
  if (k == "import") return import_field();
  if (k == "func") return func();
  if (k == "export") return export_field();
  if (k == "start") return start();
  if (k == "canon") return canon();
  if (k == "value") return value_field();
  --p_;
  return unexpected();
}

Result<void> ComponentParser::core_field() {
  if (peek().kind != TokenKind::Keyword) return unexpected();
  const std::string_view k = peek().text;
  ++p_;
  if (k == "module") return core_module();
  if (k == "instance") return core_instance();
  if (k == "rec") return core_type_field(/*rec=*/true);
  const SpaceInfo* info = find_space(/*core=*/true, k);
  if (!info) {
    --p_;
    return unexpected();
  }
  const size_t binding = p_;
  skip_binding();
  WAFER_LET(aliased, inverted_alias(info->space));
  if (aliased) {
    WAFER_TRY(define(info->space, binding));
    return {};
  }
  if (info->space == Space::CoreType) {
    p_ = binding;
    return core_type_field(/*rec=*/false);
  }
  if (info->space != Space::CoreFunc || !open("canon")) return unexpected();
  WAFER_LET(bytes, core_canon());
  WAFER_TRY(close());
  WAFER_TRY(close());
  emit(kCanon, bytes);
  WAFER_TRY(define(Space::CoreFunc, binding));
  return {};
}

// ---- Inline imports and exports -----------------------------------------------------

// Is "(KEYWORD "name" attribute*)" next?
bool ComponentParser::at_inline(std::string_view keyword) const {
  if (!at_open(keyword) || peek(2).kind != TokenKind::String) return false;
  size_t i = 3;
  while (peek(i).kind == TokenKind::Open) {
    bool attribute = false;
    for (const std::string_view a : kAttributes) attribute |= peek(i + 1).text == a;
    if (!attribute || peek(i + 2).kind != TokenKind::String || peek(i + 3).kind != TokenKind::Close)
      return false;
    i += 4;
  }
  return peek(i).kind == TokenKind::Close;
}

Result<Vec<Vec<uint8_t>>> ComponentParser::inline_exports() {
  Vec<Bytes> out;
  while (at_inline("export")) {
    p_ += 2;
    WAFER_LET(name, extern_name());
    WAFER_TRY(close());
    out.push_back(std::move(name));
  }
  return std::move(out);
}

// They come last, so that what has been given an index keeps it.
void ComponentParser::export_later(Vec<Bytes> names, Space s, uint32_t index) {
  for (Bytes& name : names) scope().exports.push_back({std::move(name), s, index, source_});
}

// "(alias ...))" or "(import "name") type)", of something of sort `s` whose keyword has been read.
// What it defines is still to get an index.
Result<bool> ComponentParser::alias_or_import(Space s) {
  if (!at_inline("import")) return inverted_alias(s);
  p_ += 2;
  WAFER_LET(bytes, extern_name());
  WAFER_TRY(close());
  WAFER_LET(type, type_use(s));
  WAFER_TRY(close());
  put_sort(bytes, s);
  write_uleb(bytes, type);
  emit(kImport, bytes);
  return true;
}

// ---- Modules and instances ----------------------------------------------------------

Result<void> ComponentParser::core_module() {
  const size_t binding = p_;
  String id;
  if (peek().kind == TokenKind::Id) {
    WAFER_LET(written, id_value(peek()));
    id = std::move(written);
    ++p_;
  }
  const size_t named = p_;  // where a module's own (@name "...") would be
  if (at_annotation("name")) skip_group();
  const bool has_exports = at_inline("export");
  WAFER_LET(exports, inline_exports());
  WAFER_LET(elsewhere, alias_or_import(Space::CoreModule));
  if (!elsewhere) {
    size_t begin = has_exports ? p_ : named;
    size_t depth = 1, stop = p_;
    for (; stop < end_; ++stop) {
      const TokenKind k = tokens_[stop].kind;
      if (k == TokenKind::Open || k == TokenKind::Annotation) ++depth;
      if (k == TokenKind::Close && --depth == 0) break;
    }
    if (take_keyword("binary")) {
      SourceBytes bytes;
      while (peek().kind == TokenKind::String) {
        bytes.mark(here());
        WAFER_LET(s, string());
        bytes.insert(bytes.end(), s.begin(), s.end());
      }
      if (p_ != stop) return unexpected();
      scope().sections.whole(kModuleSection, span(bytes), bytes.marks);
    } else {
      WAFER_LET(bytes, parse_module_fields(tokens_, begin, stop, id, options_));
      scope().sections.whole(kModuleSection, span(bytes), bytes.marks);
    }
    p_ = stop;
    WAFER_TRY(close());
  }
  WAFER_LET(index, define(Space::CoreModule, binding));
  export_later(std::move(exports), Space::CoreModule, index);
  return {};
}

bool ComponentParser::at_bundle() const {
  return at_open("instance") && peek(2).kind != TokenKind::Id && peek(2).kind != TokenKind::Number;
}

// Instances that are written out among the arguments of "(instantiate" are defined in front of
// it. Leaves the place where it is; gives their indices in order.
Result<Vec<uint32_t>> ComponentParser::argument_bundles(bool core) {
  Vec<uint32_t> out;
  const size_t back = p_;
  skip_item();
  while (at_open("with")) {
    const size_t start = p_;
    p_ += 3;
    if (at_bundle()) {
      p_ += 2;
      WAFER_LET(bytes, core ? core_bundle() : bundle());
      emit(core ? kCoreInstance : kInstance, bytes);
      out.push_back(define_unnamed(core ? Space::CoreInstance : Space::Instance));
    }
    p_ = start;
    skip_group();
  }
  p_ = back;
  return std::move(out);
}

// Core exports until ")".
Result<Vec<uint8_t>> ComponentParser::core_bundle() {
  Bytes items;
  uint32_t count = 0;
  while (open("export")) {
    WAFER_LET(name, name_string());
    if (peek().kind != TokenKind::Open) return unexpected();
    ++p_;
    const SpaceInfo* info = find_space(/*core=*/true, peek().text);
    if (!info || peek().kind != TokenKind::Keyword) return unexpected();
    ++p_;
    WAFER_LET(index, path(info->space));
    WAFER_TRY(close());
    WAFER_TRY(close());
    put_string(items, name);
    items.push_back(info->code);
    write_uleb(items, index);
    ++count;
  }
  WAFER_TRY(close());
  Bytes out{1};
  write_uleb(out, count);
  put_bytes(out, items);
  return std::move(out);
}

// Exports until ")".
Result<Vec<uint8_t>> ComponentParser::bundle() {
  Bytes items;
  uint32_t count = 0;
  while (open("export")) {
    WAFER_LET(name, extern_name());
    WAFER_LET(what, any_item());
    WAFER_TRY(close());
    put_bytes(items, name);
    put_sort(items, what.first);
    write_uleb(items, what.second);
    ++count;
  }
  WAFER_TRY(close());
  Bytes out{1};
  write_uleb(out, count);
  put_bytes(out, items);
  return std::move(out);
}

Result<void> ComponentParser::core_instance() {
  const size_t binding = p_;
  skip_binding();
  Bytes bytes;
  if (open("instantiate")) {
    WAFER_LET(bundles, argument_bundles(/*core=*/true));
    WAFER_LET(module, item(Space::CoreModule, /*prefixed=*/false));
    Bytes args;
    uint32_t count = 0, next = 0;
    while (open("with")) {
      WAFER_LET(name, name_string());
      uint32_t index = 0;
      if (at_bundle()) {
        skip_group();
        index = bundles[next++];
      } else {
        WAFER_LET(instance, sorted_item(Space::CoreInstance, /*prefixed=*/false));
        index = instance;
      }
      WAFER_TRY(close());
      put_string(args, name);
      args.push_back(space_info(Space::CoreInstance).code);
      write_uleb(args, index);
      ++count;
    }
    WAFER_TRY(close());
    WAFER_TRY(close());
    bytes.push_back(0);
    write_uleb(bytes, module);
    write_uleb(bytes, count);
    put_bytes(bytes, args);
  } else {
    WAFER_LET(exports, core_bundle());
    bytes = std::move(exports);
  }
  emit(kCoreInstance, bytes);
  WAFER_TRY(define(Space::CoreInstance, binding));
  return {};
}

Result<void> ComponentParser::nested_component() {
  const size_t binding = p_;
  const uint32_t source = source_;
  String id;
  if (peek().kind == TokenKind::Id) {
    WAFER_LET(written, id_value(peek()));
    id = std::move(written);
    ++p_;
  }
  std::optional<String> name;
  if (at_annotation("name")) {
    ++p_;
    WAFER_LET(written, annotation_name("component"));
    name = std::move(written);
  }
  WAFER_LET(exports, inline_exports());
  WAFER_LET(elsewhere, alias_or_import(Space::Component));
  if (!elsewhere) {
    WAFER_TRY(enter(ScopeKind::Component, std::move(id)));
    scope().name = std::move(name);
    WAFER_LET(bytes, definitions());
    WAFER_TRY(close());
    scope().sections.whole(kComponentSection, span(bytes), bytes.marks);
    source_ = source;
  }
  WAFER_LET(index, define(Space::Component, binding));
  export_later(std::move(exports), Space::Component, index);
  return {};
}

Result<void> ComponentParser::instance() {
  const size_t binding = p_;
  skip_binding();
  WAFER_LET(exports, inline_exports());
  WAFER_LET(elsewhere, alias_or_import(Space::Instance));
  if (elsewhere) {
    // Nothing else.
  } else if (open("instantiate")) {
    WAFER_LET(bundles, argument_bundles(/*core=*/false));
    WAFER_LET(component, item(Space::Component));
    Bytes args;
    uint32_t count = 0, next = 0;
    while (open("with")) {
      WAFER_LET(name, name_string());
      std::pair<Space, uint32_t> what(Space::Instance, 0);
      if (at_bundle()) {
        skip_group();
        what.second = bundles[next++];
      } else {
        WAFER_LET(named, any_item());
        what = named;
      }
      WAFER_TRY(close());
      put_string(args, name);
      put_sort(args, what.first);
      write_uleb(args, what.second);
      ++count;
    }
    WAFER_TRY(close());
    WAFER_TRY(close());
    Bytes bytes{0};
    write_uleb(bytes, component);
    write_uleb(bytes, count);
    put_bytes(bytes, args);
    emit(kInstance, bytes);
  } else {
    WAFER_LET(bytes, bundle());
    emit(kInstance, bytes);
  }
  WAFER_LET(index, define(Space::Instance, binding));
  export_later(std::move(exports), Space::Instance, index);
  return {};
}

// ---- Functions, imports and exports -------------------------------------------------

Result<void> ComponentParser::func() {
  const size_t binding = p_;
  skip_binding();
  WAFER_LET(exports, inline_exports());
  WAFER_LET(elsewhere, alias_or_import(Space::Func));
  if (!elsewhere) {
    WAFER_LET(type, type_use(Space::Func));
    if (!open("canon") || !take_keyword("lift")) return unexpected();
    WAFER_LET(bytes, lift(type));
    WAFER_TRY(close());
    WAFER_TRY(close());
    emit(kCanon, bytes);
  }
  WAFER_LET(index, define(Space::Func, binding));
  export_later(std::move(exports), Space::Func, index);
  return {};
}

Result<void> ComponentParser::import_field() {
  WAFER_LET(bytes, extern_name());
  WAFER_LET(type, extern_type(/*bind=*/true));
  WAFER_TRY(close());
  put_bytes(bytes, type.bytes);
  emit(kImport, bytes);
  WAFER_TRY(define(type.space, type.binding));
  return {};
}

Result<void> ComponentParser::export_field() {
  const size_t binding = p_;
  skip_binding();
  WAFER_LET(bytes, extern_name());
  // What the ascribed type defines comes before aliases of what is exported.
  const size_t what_at = p_;
  if (peek().kind != TokenKind::Open) return unexpected();
  skip_group();
  Bytes ascribed;
  if (peek().kind == TokenKind::Open) {
    WAFER_LET(type, extern_type(/*bind=*/false));
    ascribed = std::move(type.bytes);
  }
  WAFER_TRY(close());
  const size_t end = p_;
  p_ = what_at;
  WAFER_LET(what, any_item());
  p_ = end;
  put_sort(bytes, what.first);
  write_uleb(bytes, what.second);
  bytes.push_back(!ascribed.empty());
  put_bytes(bytes, ascribed);
  emit(kExport, bytes);
  if (what.first == Space::Type) note_type(scope(), what.second);
  WAFER_TRY(define(what.first, binding));
  return {};
}

// The rest of (@custom "name" "bytes"...): a custom section at this place.
Result<void> ComponentParser::custom() {
  WAFER_LET(name, name_string());
  Bytes payload;
  while (peek().kind == TokenKind::String) {
    WAFER_LET(s, string());
    payload.insert(payload.end(), s.begin(), s.end());
  }
  WAFER_TRY(close());
  if (name == kComponentNameSection) {
    scope().names_written = true;
    if (!options_.names) return {};
  }
  scope().sections.custom(name, span(payload));
  return {};
}

// The rest of (@wafer.section KIND*).
Result<void> ComponentParser::section_mark() {
  scope().sections.flush();
  for (; peek().kind == TokenKind::Keyword; ++p_) {
    uint8_t id = 0;
    for (const ComponentSection& s : kComponentSections)
      if (peek().text == s.keyword) id = s.id;
    if (!id) return fail("@wafer.section annotation: malformed section kind");
    const Bytes none{0};
    scope().sections.whole(id, span(none));
  }
  return close();
}

// The rest of (start f (value v)* (result (value $id?))*).
Result<void> ComponentParser::start() {
  WAFER_LET(func, item(Space::Func));
  Bytes args;
  uint32_t count = 0, results = 0;
  while (at_sort(Space::Value, true)) {
    WAFER_LET(value, sorted_item(Space::Value));
    write_uleb(args, value);
    ++count;
  }
  while (open("result")) {
    if (!open("value")) return unexpected();
    const size_t binding = p_;
    skip_binding();
    WAFER_TRY(close());
    WAFER_TRY(close());
    WAFER_TRY(define(Space::Value, binding));
    ++results;
  }
  WAFER_TRY(close());
  Bytes payload;
  write_uleb(payload, func);
  write_uleb(payload, count);
  put_bytes(payload, args);
  write_uleb(payload, results);
  scope().sections.whole(kStartSection, span(payload), {{0, source_}});
  return {};
}

Result<SourceBytes> parse_component_fields(const Vec<Token>& tokens, size_t begin, size_t end,
                                           std::string_view name, const ParseOptions& options) {
  return ComponentParser(tokens, begin, end, options).run(name);
}

}  // namespace wafer::wat
