// Types of components (Explainer.md, "Type Definitions").
#include "component/types.h"
#include "wat/component_parser.h"

namespace wafer::wat {

using component::kind_code;
using Kind = component::TypeKind;

// ---- Core types ---------------------------------------------------------------------

std::optional<uint32_t> CoreTypes::outer_index(const IndexSpace& space, std::string_view id) {
  if (&space != &types_) return std::nullopt;
  if (const auto it = aliases_.find(id); it != aliases_.end()) return it->second;
  if (!parent_.find_outer(Space::CoreType, id)) return std::nullopt;
  wanted_.emplace_back(id);
  return 0;
}

void CoreTypes::push(const CoreTypes* outer, uint32_t index) {
  SubType known;
  known.kind = CompKind::Cont;
  if (outer && index < outer->defs_.size()) known = outer->defs_[index];
  defs_.push_back(std::move(known));
}

void CoreTypes::forget(uint32_t count) {
  for (const String& id : ids_) types_.names.erase(id);
  ids_.clear();
  while (!types_.debug.empty() && types_.debug.back().first >= count) types_.debug.pop_back();
  for (size_t i = count; i < defs_.size(); ++i)
    if (const auto it = plain_types_.find(plain_key(defs_[i].func));
        it != plain_types_.end() && it->second >= count)
      plain_types_.erase(it);
  if (defs_.size() > count) defs_.resize(count);
  types_.count = count;
}

Vec<uint8_t> CoreTypes::encoded(uint32_t first, uint32_t count, bool rec) {
  Vec<uint8_t> out;
  if (rec) {
    out.push_back(0x4E);
    write_uleb(out, count);
  }
  for (uint32_t i = first; i < first + count; ++i) put_sub(out, defs_[i]);
  // The code of a type that is not final is a module type's here.
  if (!rec && out[0] == 0x50) out.insert(out.begin(), 0);
  return out;
}

Result<Vec<uint8_t>> CoreTypes::definition(bool rec) {
  const size_t start = p_;
  const uint32_t first = types_.count;
  ids_.clear();
  const auto named = [&]() -> Status {
    if (peek().kind == TokenKind::Id) {
      WAFER_LET(id, id_value(peek()));
      if (!types_.names.count(id)) ids_.push_back(std::move(id));
    }
    WAFER_TRY(define(types_));
    return {};
  };
  if (!rec) {
    WAFER_TRY(named());
  } else {
    while (at_open("type")) {
      const size_t group = p_;
      p_ += 2;
      WAFER_TRY(named());
      p_ = group;
      skip_group();
    }
  }
  fields_.resize(types_.count);
  p_ = start;
  if (rec) {
    while (open("type")) WAFER_TRY(type_def());
    WAFER_TRY(close());
  } else {
    WAFER_TRY(type_def());
  }
  for (uint32_t i = first; i < types_.count; ++i) note_plain(i);
  return encoded(first, types_.count - first, rec);
}

Result<Vec<uint8_t>> CoreTypes::extern_type(bool named) {
  Vec<uint8_t> out;
  ids_.clear();
  WAFER_TRY(ModuleParser::extern_type(out, named));
  return std::move(out);
}

Result<Vec<uint8_t>> CoreTypes::value_type() {
  ids_.clear();
  WAFER_LET(type, val_type());
  Vec<uint8_t> out;
  put_val(out, type);
  return std::move(out);
}

Vec<Vec<uint8_t>> CoreTypes::implied() {
  Vec<Vec<uint8_t>> out;
  for (; types_.count < defs_.size(); ++types_.count)
    out.push_back(encoded(types_.count, 1, /*rec=*/false));
  fields_.resize(types_.count);
  return out;
}

Result<void> ComponentParser::core_type_field(bool rec) {
  const size_t binding = p_;
  if (!rec) {
    skip_binding();
    if (open("module")) {
      String id;
      if (tokens_[binding].kind == TokenKind::Id) {
        WAFER_LET(written, id_value(tokens_[binding]));
        id = std::move(written);
      }
      WAFER_LET(bytes, module_type(std::move(id)));
      WAFER_TRY(close());
      WAFER_TRY(close());
      emit(kCoreType, bytes);
      core_types(scope()).push(nullptr, 0);
      WAFER_TRY(define(Space::CoreType, binding));
      return {};
    }
    p_ = binding;
  }
  WAFER_LET(bytes, with_core_types([rec](CoreTypes& types) { return types.definition(rec); }));
  emit(kCoreType, bytes);
  return {};
}

// Declarations of a module type until ")".
Result<Vec<uint8_t>> ComponentParser::module_type(String id) {
  WAFER_TRY(enter(ScopeKind::ModuleType, std::move(id)));
  while (peek().kind != TokenKind::Close) WAFER_TRY(module_declaration());
  Bytes out{0x50};
  write_uleb(out, scope().count);
  put_bytes(out, scope().declarations);
  scopes_.pop_back();
  return std::move(out);
}

Result<void> ComponentParser::module_declaration() {
  if (open("type")) return core_type_field(/*rec=*/false);
  if (open("rec")) return core_type_field(/*rec=*/true);
  if (open("alias")) return alias();
  const bool import = at_open("import");
  if (!import && !at_open("export")) return unexpected();
  p_ += 2;
  Bytes bytes;
  for (int i = 0; i < (import ? 2 : 1); ++i) {
    WAFER_LET(name, name_string());
    put_string(bytes, name);
  }
  WAFER_LET(type, with_core_types([import](CoreTypes& t) { return t.extern_type(import); }));
  WAFER_TRY(close());
  for (const Bytes& implied : core_types(scope()).implied()) emit(kCoreType, implied);
  put_bytes(bytes, type);
  emit(import ? Item{0, 0} : Item{0, 3}, bytes);
  return {};
}

// ---- Value types --------------------------------------------------------------------

// Encodes what `parse` reads, after the types within it have been defined.
Result<Vec<uint8_t>> ComponentParser::twice(Status (ComponentParser::*parse)(Bytes&)) {
  if (++depth_ > kMaxComponentDepth)
    return Error(ErrorKind::Exhaustion, "types are nested too deeply", here());
  Expansion mine;
  Expansion* const outer = std::exchange(expansion_, &mine);
  const size_t start = p_;
  Bytes out;
  WAFER_TRY((this->*parse)(out));
  mine.expanding = false;
  out.clear();
  p_ = start;
  WAFER_TRY((this->*parse)(out));
  expansion_ = outer;
  --depth_;
  return std::move(out);
}

uint32_t ComponentParser::new_type(const Bytes& bytes) {
  emit(kType, bytes);
  return define_unnamed(Space::Type);
}

// A type index, a primitive type, or the definition of another.
Result<void> ComponentParser::value_type(Bytes& out) {
  const bool expanding = expansion_ && expansion_->expanding;
  if (peek().kind == TokenKind::Keyword) {
    const component::PrimInfo* info = component::prim_info(component::prim_of(peek().text));
    if (!info) return unexpected();
    ++p_;
    out.push_back(info->code);
    return {};
  }
  if (at_index() || at_open("type")) {
    if (expanding) {
      skip_item();
      return {};
    }
    WAFER_LET(index, item(Space::Type));
    write_sleb(out, int64_t(index));
    return {};
  }
  if (expansion_ && !expanding) {
    const Inner& inner = expansion_->inner[expansion_->next++];
    p_ = inner.end;
    write_sleb(out, int64_t(inner.index));
    return {};
  }
  WAFER_LET(bytes, value_type_definition());
  const uint32_t index = new_type(bytes);
  if (expanding)
    expansion_->inner.push_back({index, p_});
  else
    write_sleb(out, int64_t(index));
  return {};
}

Result<void> ComponentParser::optional_value_type(Bytes& out) {
  const bool present =
      peek().kind != TokenKind::Close && peek().kind != TokenKind::End && !at_open("error");
  out.push_back(present);
  return present ? value_type(out) : Status{};
}

Result<Vec<uint8_t>> ComponentParser::value_type_definition() {
  return twice(&ComponentParser::defined_type);
}

// Names in quotes until ")", with their number in front.
Result<void> ComponentParser::labels(Bytes& out) {
  Bytes names;
  uint32_t count = 0;
  for (; peek().kind == TokenKind::String; ++count) {
    WAFER_LET(name, name_string());
    put_string(names, name);
  }
  write_uleb(out, count);
  put_bytes(out, names);
  return {};
}

Result<void> ComponentParser::defined_type(Bytes& out) {
  if (peek().kind == TokenKind::Keyword) return value_type(out);
  const auto counted = [&](auto&& each) -> Status {
    Bytes items;
    uint32_t count = 0;
    for (; peek().kind != TokenKind::Close; ++count) WAFER_TRY(each(items));
    write_uleb(out, count);
    put_bytes(out, items);
    return close();
  };
  if (open("record")) {
    out.push_back(kind_code(Kind::Record));
    return counted([&](Bytes& to) -> Status {
      if (!open("field")) return unexpected();
      WAFER_LET(name, name_string());
      put_string(to, name);
      WAFER_TRY(value_type(to));
      return close();
    });
  }
  if (open("variant")) {
    out.push_back(kind_code(Kind::Variant));
    return counted([&](Bytes& to) -> Status {
      if (!open("case")) return unexpected();
      WAFER_LET(name, name_string());
      put_string(to, name);
      WAFER_TRY(optional_value_type(to));
      to.push_back(0);
      return close();
    });
  }
  if (open("tuple")) {
    out.push_back(kind_code(Kind::Tuple));
    return counted([&](Bytes& to) { return value_type(to); });
  }
  if (open("flags")) {
    out.push_back(kind_code(Kind::Flags));
    WAFER_TRY(labels(out));
  } else if (open("enum")) {
    out.push_back(kind_code(Kind::Enum));
    WAFER_TRY(labels(out));
  } else if (open("list")) {
    Bytes element;
    WAFER_TRY(value_type(element));
    const bool fixed = peek().kind == TokenKind::Number;
    out.push_back(kind_code(fixed ? Kind::FixedList : Kind::List));
    put_bytes(out, element);
    if (fixed) {
      WAFER_LET(length, u32());
      write_uleb(out, length);
    }
  } else if (open("option")) {
    out.push_back(kind_code(Kind::Option));
    WAFER_TRY(value_type(out));
  } else if (open("result")) {
    out.push_back(kind_code(Kind::Result));
    WAFER_TRY(optional_value_type(out));
    const bool error = open("error");
    out.push_back(error);
    if (error) {
      WAFER_TRY(value_type(out));
      WAFER_TRY(close());
    }
  } else if (open("map")) {
    out.push_back(kind_code(Kind::Map));
    WAFER_TRY(value_type(out));
    WAFER_TRY(value_type(out));
  } else if (at_open("own") || at_open("borrow")) {
    out.push_back(kind_code(at_open("own") ? Kind::Own : Kind::Borrow));
    p_ += 2;
    if (expansion_->expanding) {
      if (peek().kind == TokenKind::Close) return unexpected();
      skip_item();
    } else {
      WAFER_LET(index, item(Space::Type));
      write_uleb(out, index);
    }
  } else if (at_open("stream") || at_open("future")) {
    out.push_back(kind_code(at_open("stream") ? Kind::Stream : Kind::Future));
    p_ += 2;
    WAFER_TRY(optional_value_type(out));
  } else {
    return unexpected();
  }
  return close();
}

// ---- Definition types ---------------------------------------------------------------

// The rest of "(func", without ")".
Result<void> ComponentParser::func_type(Bytes& out) {
  out.push_back(take_keyword("async") ? component::kAsyncFuncCode : kind_code(Kind::Func));
  Bytes params;
  uint32_t count = 0;
  for (; open("param"); ++count) {
    WAFER_LET(name, name_string());
    put_string(params, name);
    WAFER_TRY(value_type(params));
    WAFER_TRY(close());
  }
  write_uleb(out, count);
  put_bytes(out, params);
  return result_list(out);
}

Result<void> ComponentParser::result_list(Bytes& out) {
  if (!open("result")) {
    out.push_back(1);
    out.push_back(0);
    return {};
  }
  out.push_back(0);
  WAFER_TRY(value_type(out));
  return close();
}

// The rest of "(resource".
Result<Vec<uint8_t>> ComponentParser::resource_type() {
  Bytes out{kind_code(Kind::Resource)};
  if (!open("rep")) return unexpected();
  WAFER_LET(rep, with_core_types([](CoreTypes& types) { return types.value_type(); }));
  put_bytes(out, rep);
  WAFER_TRY(close());
  const bool destructor = open("dtor");
  out.push_back(destructor);
  if (destructor) {
    WAFER_LET(func, item(Space::CoreFunc));
    write_uleb(out, func);
    WAFER_TRY(close());
  }
  WAFER_TRY(close());
  return std::move(out);
}

// Declarations of a component or instance type until ")", which is left.
Result<Vec<uint8_t>> ComponentParser::scope_type(ScopeKind kind, String id) {
  WAFER_TRY(enter(kind, std::move(id)));
  while (peek().kind != TokenKind::Close) WAFER_TRY(declaration());
  Bytes out;
  out.push_back(kind_code(kind == ScopeKind::ComponentType ? Kind::Component : Kind::Instance));
  write_uleb(out, scope().count);
  put_bytes(out, scope().declarations);
  scopes_.pop_back();
  return std::move(out);
}

Result<void> ComponentParser::declaration() {
  if (open("core")) {
    if (take_keyword("rec")) return core_type_field(/*rec=*/true);
    if (!take_keyword("type")) return unexpected();
    const size_t binding = p_;
    skip_binding();
    WAFER_LET(aliased, inverted_alias(Space::CoreType));
    if (aliased) {
      WAFER_TRY(define(Space::CoreType, binding));
      return {};
    }
    p_ = binding;
    return core_type_field(/*rec=*/false);
  }
  if (open("type")) return type_field(/*with_exports=*/false);
  if (open("alias")) return alias();
  const bool import = at_open("import");
  if (!at_open("export") && !(import && scope().kind == ScopeKind::ComponentType))
    return unexpected();
  p_ += 2;
  WAFER_LET(bytes, extern_name());
  WAFER_LET(type, extern_type(/*bind=*/true));
  WAFER_TRY(close());
  put_bytes(bytes, type.bytes);
  emit(import ? kImport : kExport, bytes);
  WAFER_TRY(define(type.space, type.binding));
  return {};
}

// The rest of "(type".
Result<void> ComponentParser::type_field(bool with_exports) {
  const size_t binding = p_;
  String id;
  if (peek().kind == TokenKind::Id) {
    WAFER_LET(written, id_value(peek()));
    id = std::move(written);
  }
  skip_binding();
  Vec<Bytes> exports;
  if (with_exports) {
    WAFER_LET(names, inline_exports());
    exports = std::move(names);
  }
  WAFER_LET(aliased, inverted_alias(Space::Type));
  if (!aliased) {
    WAFER_LET(bytes, type_definition(std::move(id)));
    WAFER_TRY(close());
    emit(kType, bytes);
  }
  WAFER_LET(index, define(Space::Type, binding));
  export_later(std::move(exports), Space::Type, index);
  return {};
}

Result<Vec<uint8_t>> ComponentParser::type_definition(String id) {
  if (open("resource")) return resource_type();
  const bool component = at_open("component");
  if (!component && !at_open("instance") && !at_open("func")) return value_type_definition();
  const bool func = at_open("func");
  p_ += 2;
  WAFER_LET(out, func ? twice(&ComponentParser::func_type)
                      : scope_type(component ? ScopeKind::ComponentType : ScopeKind::InstanceType,
                                   std::move(id)));
  WAFER_TRY(close());
  return std::move(out);
}

// Is "(type X)" next, or "(type X "name"...)", rather than the definition of a type?
bool ComponentParser::at_type_ref() const {
  return at_open("type") && (peek(2).kind == TokenKind::Id || peek(2).kind == TokenKind::Number) &&
         (peek(3).kind == TokenKind::Close || peek(3).kind == TokenKind::String);
}

Result<uint32_t> ComponentParser::type_use(Space s) {
  if (at_type_ref())
    return s == Space::CoreModule ? sorted_item(Space::CoreType, /*prefixed=*/false)
                                  : sorted_item(Space::Type);
  switch (s) {
    case Space::CoreModule: {
      WAFER_LET(bytes, module_type({}));
      emit(kCoreType, bytes);
      core_types(scope()).push(nullptr, 0);
      return define_unnamed(Space::CoreType);
    }
    case Space::Func: {
      WAFER_LET(bytes, twice(&ComponentParser::func_type));
      return new_type(bytes);
    }
    case Space::Component:
    case Space::Instance: {
      WAFER_LET(bytes, scope_type(s == Space::Component ? ScopeKind::ComponentType
                                                        : ScopeKind::InstanceType,
                                  {}));
      return new_type(bytes);
    }
    default:
      return unexpected();
  }
}

Result<ComponentParser::ExternType> ComponentParser::extern_type(bool bind) {
  if (peek().kind != TokenKind::Open) return unexpected();
  ++p_;
  const bool core = take_keyword("core");
  const SpaceInfo* info =
      peek().kind == TokenKind::Keyword ? find_space(core, peek().text) : nullptr;
  if (!info || (core && info->space != Space::CoreModule)) return unexpected();
  ++p_;
  ExternType out{{}, info->space, p_};
  if (bind)
    skip_binding();
  else if (at_binding())
    return fail("unexpected token: identifier not allowed");
  put_sort(out.bytes, info->space);
  if (info->space == Space::Type) {
    if (open("sub")) {
      if (!take_keyword("resource")) return unexpected();
      out.bytes.push_back(1);
    } else {
      if (!open("eq")) return unexpected();
      WAFER_LET(type, item(Space::Type));
      out.bytes.push_back(0);
      write_uleb(out.bytes, type);
      if (bind) note_type(scope(), type);
    }
    WAFER_TRY(close());
  } else if (info->space == Space::Value) {
    const bool equal = open("eq");
    out.bytes.push_back(!equal);
    if (equal) {
      WAFER_LET(value, item(Space::Value));
      write_uleb(out.bytes, value);
      WAFER_TRY(close());
    } else {
      WAFER_TRY(value_type(out.bytes));
    }
  } else {
    WAFER_LET(type, type_use(info->space));
    write_uleb(out.bytes, type);
  }
  WAFER_TRY(close());
  return std::move(out);
}

}  // namespace wafer::wat
