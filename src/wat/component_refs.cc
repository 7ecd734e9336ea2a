// References, aliases and names of components (Explainer.md, "Index Spaces" to "Alias
// Definitions").
#include "wat/component_parser.h"
#include "wat/sections.h"

namespace wafer::wat {

void ComponentParser::put_sort(Bytes& out, Space s) {
  if (space_info(s).core) out.push_back(0);
  out.push_back(space_info(s).code);
}

// A name in quotes with its attributes, encoded.
Result<Vec<uint8_t>> ComponentParser::extern_name() {
  WAFER_LET(name, name_string());
  Bytes attributes;
  uint32_t count = 0, seen = 0, code = 0;
  if (at_annotation(kNameAnnotation)) {
    ++p_;
    WAFER_LET(number, u32());
    if (number > 2) return fail("@wafer.name annotation: invalid code");
    code = number;
    WAFER_TRY(close());
  }
  for (;;) {
    size_t kind = 0;
    while (kind < std::size(kAttributes) && !at_open(kAttributes[kind])) ++kind;
    if (kind == std::size(kAttributes)) break;
    if (seen & 1u << kind) return unexpected();
    seen |= 1u << kind;
    p_ += 2;
    WAFER_LET(value, name_string());
    WAFER_TRY(close());
    attributes.push_back(uint8_t(kind));
    put_string(attributes, value);
    ++count;
  }
  Bytes out;
  if (count) code = 2;
  out.push_back(uint8_t(code));
  put_string(out, name);
  if (code == 2) write_uleb(out, count);
  put_bytes(out, attributes);
  return std::move(out);
}

// ---- References ---------------------------------------------------------------------

std::optional<std::pair<size_t, uint32_t>> ComponentParser::find_outer(Space s,
                                                                       std::string_view id) {
  for (size_t depth = 0; depth < scopes_.size(); ++depth) {
    const IdMap& names = space(*scopes_[scopes_.size() - 1 - depth], s).names;
    if (const auto it = names.find(id); it != names.end()) return std::pair(depth, it->second);
  }
  return std::nullopt;
}

Result<uint32_t> ComponentParser::index(Space s) {
  if (peek().kind != TokenKind::Id) return u32();
  WAFER_LET(id, id_value(peek()));
  const auto found = find_outer(s, id);
  if (!found) {
    String m("unknown ");
    m += space_info(s).what;
    m += " $";
    m += id;
    return fail(m);
  }
  const bool aliasable =
      s == Space::CoreModule || s == Space::CoreType || s == Space::Type || s == Space::Component;
  if (found->first && !aliasable) {
    String m("outer item `");
    m += id;
    m += "` is not a module, type, or component";
    return fail(m);
  }
  ++p_;
  return found->first ? outer_alias(found->first, s, found->second)
                      : Result<uint32_t>(found->second);
}

Result<uint32_t> ComponentParser::outer_alias(size_t depth, Space s, uint32_t index) {
  Bytes bytes;
  if (scope().kind == ScopeKind::ModuleType) {
    bytes = {space_info(s).code, 1};
  } else {
    put_sort(bytes, s);
    bytes.push_back(2);
  }
  write_uleb(bytes, depth);
  write_uleb(bytes, index);
  emit(kAlias, bytes);
  if (s == Space::CoreType)
    core_types(scope()).push(scopes_[scopes_.size() - 1 - depth]->core_types.get(), index);
  if (s == Space::Type) note_type(*scopes_[scopes_.size() - 1 - depth], index);
  return define_unnamed(s);
}

bool ComponentParser::at_sort(Space s, bool prefixed) const {
  const SpaceInfo& info = space_info(s);
  if (!info.core || !prefixed) return at_open(info.keyword);
  return at_open("core") && peek(2).kind == TokenKind::Keyword && peek(2).text == info.keyword;
}

Result<uint32_t> ComponentParser::path(Space s) {
  if (!at_index()) return unexpected();
  if (peek(1).kind != TokenKind::String) return index(s);
  // The last name is of sort `s`, and those before it of instances.
  const bool core = s <= Space::CoreTag;
  if (s == Space::CoreType || s == Space::CoreInstance)
    return fail("core instances do not export this sort of item");
  WAFER_LET(instance, index(core ? Space::CoreInstance : Space::Instance));
  uint32_t at = instance;
  while (peek().kind == TokenKind::String) {
    WAFER_LET(name, name_string());
    const bool last = peek().kind != TokenKind::String;
    if (core && !last) return unexpected();
    const Space of = last ? s : Space::Instance;
    Bytes bytes;
    put_sort(bytes, of);
    bytes.push_back(core ? 1 : 0);
    write_uleb(bytes, at);
    put_string(bytes, name);
    emit(kAlias, bytes);
    at = define_unnamed(of);
  }
  return at;
}

Result<uint32_t> ComponentParser::sorted_item(Space s, bool prefixed) {
  if (!at_sort(s, prefixed)) {
    if (!at_sort(s, !prefixed)) return unexpected();
    ++p_;
    String m("unexpected token ");
    m += peek().text;
    m += prefixed ? ": core items are written with `core` here"
                  : ": core items are written without `core` here";
    return fail(m);
  }
  p_ += space_info(s).core && prefixed ? 3 : 2;
  WAFER_LET(out, path(s));
  WAFER_TRY(close());
  return out;
}

Result<uint32_t> ComponentParser::item(Space s, bool prefixed) {
  return at_index() ? index(s) : sorted_item(s, prefixed);
}

void ComponentParser::skip_item() {
  if (peek().kind == TokenKind::Open)
    skip_group();
  else
    ++p_;
}

// "(SORT path)" of any sort.
Result<std::pair<Space, uint32_t>> ComponentParser::any_item() {
  if (peek().kind != TokenKind::Open) return unexpected();
  ++p_;
  const bool core = take_keyword("core");
  const SpaceInfo* info =
      peek().kind == TokenKind::Keyword ? find_space(core, peek().text) : nullptr;
  if (!info) return unexpected();
  ++p_;
  WAFER_LET(index, path(info->space));
  WAFER_TRY(close());
  return std::pair(info->space, index);
}

// ---- Aliases ------------------------------------------------------------------------

// The rest of (alias TARGET (SORT $id?)).
Result<void> ComponentParser::alias() {
  const size_t target = p_;
  const bool in_module = scope().kind == ScopeKind::ModuleType;
  p_ += at_keyword("core") ? 4 : 3;
  const size_t sort_at = p_;
  if (peek().kind != TokenKind::Open) {
    p_ = target;
    return unexpected();
  }
  ++p_;
  const bool core = in_module || take_keyword("core");
  const SpaceInfo* info =
      peek().kind == TokenKind::Keyword ? find_space(core, peek().text) : nullptr;
  if (!info || (in_module && info->space != Space::CoreType)) return unexpected();
  ++p_;
  const size_t binding = p_;
  skip_binding();
  WAFER_TRY(close());
  WAFER_TRY(close());
  const size_t end = p_;
  p_ = target;
  WAFER_LET(bytes, alias_target(info->space));
  if (p_ != sort_at) return unexpected();
  p_ = end;
  emit(kAlias, bytes);
  WAFER_TRY(define(info->space, binding));
  return {};
}

// "(alias TARGET))", where the sort has been read. What it defines is still to get an index.
Result<bool> ComponentParser::inverted_alias(Space s) {
  // With "(SORT" at its end it would be a definition of its own, the first of a component.
  const size_t length = at_open("alias") && peek(2).text == "core" ? 6 : 5;
  if (!at_open("alias") || peek(length).kind == TokenKind::Open) return false;
  p_ += 2;
  WAFER_LET(bytes, alias_target(s));
  WAFER_TRY(close());
  WAFER_TRY(close());
  emit(kAlias, bytes);
  return true;
}

// What follows "(alias": gives the encoded alias, and leaves the rest.
Result<Vec<uint8_t>> ComponentParser::alias_target(Space s) {
  Bytes out;
  const bool in_module = scope().kind == ScopeKind::ModuleType;
  if (in_module)
    out.push_back(space_info(s).code);
  else
    put_sort(out, s);
  if (take_keyword("outer")) {
    size_t depth = 0;
    const size_t at = p_;
    if (peek().kind == TokenKind::Id) {
      WAFER_LET(id, id_value(peek()));
      while (depth < scopes_.size() && scopes_[scopes_.size() - 1 - depth]->id != id) ++depth;
      if (depth == scopes_.size()) {
        String m("outer component `");
        m += id;
        m += "` not found";
        return fail(m);
      }
      ++p_;
    } else {
      WAFER_LET(number, u32());
      depth = number;
    }
    uint32_t index = 0;
    Scope* const from =
        depth < scopes_.size() ? scopes_[scopes_.size() - 1 - depth].get() : nullptr;
    if (peek().kind == TokenKind::Id && !from) {
      p_ = at;
      return fail("invalid outer alias count");
    }
    if (peek().kind == TokenKind::Id) {
      WAFER_LET(found, TokenReader::index(space(*from, s)));
      index = found;
    } else {
      WAFER_LET(number, u32());
      index = number;
    }
    out.push_back(in_module ? 1 : 2);
    write_uleb(out, depth);
    write_uleb(out, index);
    if (s == Space::CoreType)
      core_types(scope()).push(from ? from->core_types.get() : nullptr, index);
    if (s == Space::Type && from) note_type(*from, index);
    return std::move(out);
  }
  if (in_module) return unexpected();
  const bool core = take_keyword("core");
  if (!take_keyword("export")) return unexpected();
  out.push_back(core ? 1 : 0);
  WAFER_LET(instance, index(core ? Space::CoreInstance : Space::Instance));
  WAFER_LET(name, name_string());
  write_uleb(out, instance);
  put_string(out, name);
  return std::move(out);
}

}  // namespace wafer::wat
