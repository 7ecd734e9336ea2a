// Type definitions (Binary.md, "Type Definitions").
#include "wasm/type_reader.h"

#include "component/scope.h"

namespace wafer::component {

namespace {

constexpr uint32_t kMaxFlags = 32;

}  // namespace

// ---- Core types ---------------------------------------------------------------------

// Reads one definition of core types into `s`: a module type, or a group of types.
Result<void> Decoder::core_type(Cursor& c, Scope& s, bool allow_module) {
  const uint32_t at = c.offset();
  const uint8_t form = c.at_end() ? 0 : bytes_[at];
  if (form == 0x50) {
    if (!allow_module) return leading(at, form, "type definition: a module type holds none");
    c.skip(1);
    WAFER_LET(id, module_type(c));
    s.add_core_type({true, id});
    return {};
  }
  uint32_t size = 1;
  if (form == 0x4e) {
    c.skip(1);
    WAFER_LET(n, count(c, "types"));
    size = n;
  } else if (form == 0x00 && !c.at_end()) {
    // The code of a type that is not final is also that of module types.
    c.skip(1);
    if (c.at_end() || bytes_[c.offset()] != 0x50) return malformed(at, "malformed core type");
  }
  const auto first = static_cast<uint32_t>(s.core_types.size());
  if (first + size > kMaxDefinitions)
    return Error(ErrorKind::Exhaustion, "too many core types", at);
  Vec<wasm::SubType> group(size);
  c.set_type_limit(first + size);
  for (uint32_t i = 0; i < size; ++i)
    if (!wasm::read_sub_type(c, group[i], first + i)) return c.take_error();
  c.set_type_limit(wasm::kMaxTypeIndex + 1);
  WAFER_TRY(check_core_types(s, group, at));
  WAFER_LET(id, types().core().intern(group.data(), size, first, s.core_ids));
  for (uint32_t i = 0; i < size; ++i) s.add_core_type({false, id + i});
  for (uint32_t i = 0; i < size; ++i) {
    const wasm::SubType& type = group[i];
    if (type.kind == wasm::CompKind::Cont &&
        types().core().get(s.core_ids[type.cont])->kind != wasm::CompKind::Func)
      return error(at, "non-function type " + std::to_string(type.cont));
    if (type.super == wasm::SubType::kNoSuper) continue;
    const std::string names =
        "sub type " + std::to_string(first + i) + " %s super type " + std::to_string(type.super);
    const auto fail = [&](const char* how) {
      std::string text = names;
      return error(at, text.replace(text.find("%s"), 2, how));
    };
    const uint32_t super = s.core_ids[type.super];
    if (types().core().get(super)->is_final) return fail("has final");
    if (!wasm::may_extend(types().core(), id + i, super)) return fail("does not match");
    if (types().core().get(super)->depth() + 1 > wasm::kMaxSubtypeDepth)
      return Error(ErrorKind::Exhaustion, "sub type is nested too deeply", at);
  }
  return {};
}

// What types in `group` refer to has to be no module type.
Result<void> Decoder::check_core_types(const Scope& s, const Vec<wasm::SubType>& group,
                                       uint32_t at) const {
  const auto check = [&](uint32_t index) -> Result<void> {
    if (index >= s.core_types.size() || !s.core_types[index].is_module) return {};
    return error(at, "core type index " + std::to_string(index) + " is a module type");
  };
  const auto check_type = [&](wasm::ValType t) -> Result<void> {
    return t.is_ref() && t.heap().is_concrete() ? check(t.heap().index()) : Result<void>();
  };
  for (const wasm::SubType& type : group) {
    if (type.descriptor != wasm::SubType::kNone || type.describes != wasm::SubType::kNone)
      return Error(ErrorKind::Unsupported, "descriptors in core types of components", at);
    if (type.super != wasm::SubType::kNoSuper) WAFER_TRY(check(type.super));
    if (type.kind == wasm::CompKind::Cont) WAFER_TRY(check(type.cont));
    for (wasm::ValType t : type.func.params) WAFER_TRY(check_type(t));
    for (wasm::ValType t : type.func.results) WAFER_TRY(check_type(t));
    for (const wasm::FieldType& f : type.fields) WAFER_TRY(check_type(f.storage));
  }
  return {};
}

Result<CoreExtern> Decoder::core_extern(Cursor& c, const Scope& s) {
  const uint32_t at = c.offset();
  WAFER_LET(kind, byte(c));
  CoreExtern out;
  if (kind > 4) return malformed(at, "malformed import kind");
  out.kind = static_cast<wasm::ExternKind>(kind);
  const auto canonical = [&](wasm::ValType t) {
    if (!t.is_ref() || !t.heap().is_concrete()) return t;
    return wasm::ValType::ref(wasm::HeapType::concrete(s.core_types[t.heap().index()].id),
                              t.nullable());
  };
  const auto limits = [&](wasm::Limits& l, uint8_t allowed, uint8_t& flags) -> Result<void> {
    const uint32_t limits_at = c.offset();
    WAFER_LET(f, byte(c));
    flags = f;
    if (f & ~allowed) return malformed(limits_at, "malformed limits flags");
    l.has_max = f & 1;
    l.shared = f & 2;
    l.is64 = f & 4;
    uint64_t v = 0;
    if (!c.u64(v)) return c.take_error();
    l.min = v;
    if (l.has_max) {
      if (!c.u64(v)) return c.take_error();
      l.max = v;
      if (l.max < l.min) return error(limits_at, "size minimum must not be greater than maximum");
    }
    if (l.shared && !l.has_max) return error(limits_at, "shared memory must have maximum size");
    return {};
  };
  c.set_type_limit(static_cast<uint32_t>(s.core_types.size()));
  uint8_t flags = 0;
  switch (out.kind) {
    case wasm::ExternKind::Func:
    case wasm::ExternKind::Tag: {
      if (out.kind == wasm::ExternKind::Tag) {
        WAFER_LET(attribute, byte(c));
        if (attribute != 0) return malformed(at, "malformed tag attribute");
      }
      WAFER_LET(index, u32(c));
      WAFER_TRY(check_index(s.core_types, index, "type", at));
      if (s.core_types[index].is_module ||
          types().core().get(s.core_types[index].id)->kind != wasm::CompKind::Func)
        return error(at, "core type index " + std::to_string(index) + " is not a function type");
      out.type = s.core_types[index].id;
      break;
    }
    case wasm::ExternKind::Table:
      if (!c.ref_type(out.table.element)) return c.take_error();
      out.table.element = canonical(out.table.element);
      WAFER_TRY(limits(out.table.limits, 5, flags));
      break;
    case wasm::ExternKind::Memory: {
      WAFER_TRY(limits(out.memory.limits, 15, flags));
      if (flags & 8) {
        WAFER_LET(log2, u32(c));
        if (log2 != 0 && log2 != 16) return error(at, "invalid custom page size");
        out.memory.page_size_log2 = static_cast<uint8_t>(log2);
      }
      const uint64_t pages = out.memory.limits.is64 ? uint64_t{1} << 48 : 65536;
      const uint64_t most = out.memory.page_size_log2 == 16 ? pages : uint64_t{1} << 32;
      if (out.memory.limits.min > most ||
          (out.memory.limits.has_max && out.memory.limits.max > most))
        return error(at, "memory size must be at most " + std::to_string(most) + " pages");
      break;
    }
    case wasm::ExternKind::Global: {
      if (!c.val_type(out.global.type)) return c.take_error();
      out.global.type = canonical(out.global.type);
      WAFER_LET(mut, byte(c));
      if (mut > 1) return malformed(at, "malformed mutability");
      out.global.is_mutable = mut;
      break;
    }
  }
  c.set_type_limit(wasm::kMaxTypeIndex + 1);
  return out;
}

Result<uint32_t> Decoder::module_type(Cursor& c) {
  ModuleType out;
  // Types of its own, from none.
  Scope inner(ScopeKind::InstanceType);
  std::unordered_map<std::string, bool> imports, exports;
  WAFER_LET(n, count(c, "declarations"));
  for (uint32_t i = 0; i < n; ++i) {
    const uint32_t at = c.offset();
    WAFER_LET(form, byte(c));
    switch (form) {
      case 0: {
        CoreImport import;
        WAFER_LET(module, string(c));
        WAFER_LET(name, string(c));
        import.module = std::move(module);
        import.name = std::move(name);
        WAFER_LET(type, core_extern(c, inner));
        import.type = type;
        if (!imports.try_emplace(import.module + '\0' + import.name, true).second)
          return error(at, "duplicate import name `" + import.module + ":" + import.name + "`");
        out.imports.push_back(std::move(import));
        break;
      }
      case 1: {
        WAFER_TRY(core_type(c, inner, /*allow_module=*/false));
        break;
      }
      case 2: {
        WAFER_LET(sort, byte(c));
        WAFER_LET(target, byte(c));
        if (sort != 0x10) return leading(at + 1, sort, "outer alias kind");
        if (target != 1) return leading(at + 2, target, "outer alias target");
        WAFER_LET(levels, u32(c));
        WAFER_LET(index, u32(c));
        // Level 0 is the module type itself.
        if (levels > scopes_.size())
          return error(at, "invalid outer alias count of " + std::to_string(levels));
        const Scope& outer = levels == 0 ? inner : *scopes_[scopes_.size() - levels];
        WAFER_TRY(check_index(outer.core_types, index, "core type", at));
        if (outer.core_types[index].is_module)
          return error(at, "a module type cannot hold module types");
        const CoreTypeEntry entry = outer.core_types[index];
        inner.add_core_type(entry);
        break;
      }
      case 3: {
        WAFER_LET(name, string(c));
        WAFER_LET(type, core_extern(c, inner));
        if (!exports.try_emplace(name, true).second)
          return error(at, "export name `" + name + "` already defined");
        out.exports.emplace_back(std::move(name), type);
        break;
      }
      default:
        return leading(at, form, "type definition");
    }
  }
  return types().add_module(std::move(out));
}

// ---- Value types --------------------------------------------------------------------

Result<ValType> Decoder::val_type(Cursor& c) {
  const uint32_t at = c.offset();
  int64_t code = 0;
  if (!c.s33(code)) return c.take_error();
  if (code < 0) {
    const Prim prim = code >= -64 ? prim_of_code(static_cast<uint8_t>(code & 0x7f)) : Prim::None;
    if (prim == Prim::None) return malformed(at, "malformed value type");
    if (prim == Prim::ErrorContext)
      WAFER_TRY(enabled(Feature::ErrorContext, "the type error-context", at));
    return ValType{prim, 0};
  }
  WAFER_TRY(check_index(scope().types, static_cast<uint32_t>(code), "type", at));
  const TypeId id = scope().types[static_cast<uint32_t>(code)];
  if (types()[id].kind >= TypeKind::Func)
    return error(at, "type index " + std::to_string(code) + " is not a defined type");
  return ValType::of(id);
}

Result<ValType> Decoder::optional_val_type(Cursor& c) {
  const uint32_t at = c.offset();
  WAFER_LET(present, byte(c));
  if (present == 0) return ValType();
  if (present != 1) return leading(at, present, "optional component value type");
  return val_type(c);
}

Result<std::string> Decoder::label(Cursor& c, const char* what, UniqueNames& names) {
  const uint32_t at = c.offset();
  WAFER_LET(text, string(c));
  std::string why;
  if (text.empty()) return error(at, std::string(what) + " name cannot be empty");
  if (!is_label(text, &why))
    return error(at, std::string(what) + " name `" + text + "` is not in kebab case: " + why);
  if (const std::string* previous = names.add(text)) {
    const std::string_view w(what);
    const std::string_view last = w.substr(w.rfind(' ') == w.npos ? 0 : w.rfind(' ') + 1);
    return error(at, std::string(what) + " name `" + text + "` conflicts with previous " +
                         std::string(last) + " name `" + *previous + "`");
  }
  return text;
}

Result<ValType> Decoder::result_list(Cursor& c) {
  const uint32_t at = c.offset();
  WAFER_LET(form, byte(c));
  if (form == 0) return val_type(c);
  if (form != 1) return leading(at, form, "component function results");
  WAFER_LET(n, byte(c));
  if (n != 0) return leading(at + 1, n, "number of results: they have no names");
  return ValType();
}

Result<TypeId> Decoder::value_type(Cursor& c, uint8_t code, uint32_t start) {
  TypeDef def;
  UniqueNames names;
  const auto one = [&](TypeKind kind) -> Result<void> {
    def.kind = kind;
    WAFER_LET(t, val_type(c));
    def.args.push_back(t);
    return {};
  };
  const auto labels = [&](TypeKind kind, const char* what, const char* none) -> Result<void> {
    def.kind = kind;
    WAFER_LET(n, count(c, "labels"));
    if (n == 0) return error(start, none);
    for (uint32_t i = 0; i < n; ++i) {
      WAFER_LET(name, label(c, what, names));
      def.labels.push_back({std::move(name), {}});
    }
    return {};
  };
  switch (const TypeKind kind = kind_of_code(code)) {
    case TypeKind::Record: {
      def.kind = kind;
      WAFER_LET(n, count(c, "fields"));
      if (n == 0) return error(start, "record type must have at least one field");
      for (uint32_t i = 0; i < n; ++i) {
        WAFER_LET(name, label(c, "record field", names));
        WAFER_LET(t, val_type(c));
        def.labels.push_back({std::move(name), t});
      }
      break;
    }
    case TypeKind::Variant: {
      def.kind = kind;
      WAFER_LET(n, count(c, "cases"));
      if (n == 0) return error(start, "variant type must have at least one case");
      for (uint32_t i = 0; i < n; ++i) {
        WAFER_LET(name, label(c, "variant case", names));
        WAFER_LET(t, optional_val_type(c));
        const uint32_t zero_at = c.offset();
        WAFER_LET(zero, byte(c));
        if (zero != 0) return leading(zero_at, zero, "zero byte required");
        def.labels.push_back({std::move(name), t});
      }
      break;
    }
    case TypeKind::List:
      WAFER_TRY(one(TypeKind::List));
      break;
    case TypeKind::FixedList: {
      WAFER_TRY(enabled(Feature::FixedLists, "a fixed-length list", start));
      WAFER_TRY(one(TypeKind::FixedList));
      WAFER_LET(length, u32(c));
      if (length == 0) return error(start, "fixed-length lists must have more than zero elements");
      def.length = length;
      break;
    }
    case TypeKind::Tuple: {
      def.kind = kind;
      WAFER_LET(n, count(c, "types"));
      if (n == 0) return error(start, "tuple type must have at least one type");
      for (uint32_t i = 0; i < n; ++i) {
        WAFER_LET(t, val_type(c));
        def.args.push_back(t);
      }
      break;
    }
    case TypeKind::Flags:
      WAFER_TRY(labels(TypeKind::Flags, "flag", "flags must have at least one entry"));
      if (def.labels.size() > kMaxFlags) return error(start, "cannot have more than 32 flags");
      break;
    case TypeKind::Enum:
      WAFER_TRY(labels(TypeKind::Enum, "enum tag", "enum type must have at least one variant"));
      break;
    case TypeKind::Option:
      WAFER_TRY(one(TypeKind::Option));
      break;
    case TypeKind::Result:
      def.kind = kind;
      for (int i = 0; i < 2; ++i) {
        WAFER_LET(t, optional_val_type(c));
        def.args.push_back(t);
      }
      break;
    case TypeKind::Own:
    case TypeKind::Borrow: {
      def.kind = kind;
      WAFER_LET(index, u32(c));
      WAFER_TRY(check_index(scope().types, index, "type", start));
      const TypeId id = scope().types[index];
      if (types()[id].kind != TypeKind::Resource)
        return error(start, "type index " + std::to_string(index) + " is not a resource type");
      def.args.push_back(ValType::of(id));
      break;
    }
    case TypeKind::Stream:
    case TypeKind::Future: {
      WAFER_TRY(enabled(Feature::Async, "streams and futures", start));
      def.kind = kind;
      WAFER_LET(t, optional_val_type(c));
      if (types().has_borrow(t))
        return error(start,
                     std::string(kind_name(def.kind)) + " type cannot contain a `borrow` type");
      ValType bare = t;
      while (bare.defined() && types()[bare.id].kind == TypeKind::Primitive)
        bare = types()[bare.id].args[0];
      if (def.kind == TypeKind::Stream && bare.prim == Prim::Char)
        return error(start, "`stream<char>` is not valid at this time");
      def.args.push_back(t);
      break;
    }
    case TypeKind::Map: {
      WAFER_TRY(enabled(Feature::Map, "the type map", start));
      WAFER_TRY(one(TypeKind::Map));
      ValType key = def.args[0];
      while (key.defined() && types()[key.id].kind == TypeKind::Primitive)
        key = types()[key.id].args[0];
      if (!is_key_prim(key.prim)) return error(start, "invalid map key type");
      WAFER_TRY(one(TypeKind::Map));
      break;
    }
    default: {
      const Prim prim = prim_of_code(code);
      if (prim == Prim::None) return leading(start, code, "component defined type");
      if (prim == Prim::ErrorContext)
        WAFER_TRY(enabled(Feature::ErrorContext, "the type error-context", start));
      def.kind = TypeKind::Primitive;
      def.args.push_back({prim, 0});
    }
  }
  return add(std::move(def), start);
}

Result<TypeId> Decoder::func_type(Cursor& c, bool is_async, uint32_t start) {
  TypeDef def;
  def.kind = TypeKind::Func;
  def.is_async = is_async;
  UniqueNames names;
  WAFER_LET(n, count(c, "parameters"));
  for (uint32_t i = 0; i < n; ++i) {
    WAFER_LET(name, label(c, "function parameter", names));
    WAFER_LET(t, val_type(c));
    def.labels.push_back({std::move(name), t});
  }
  WAFER_LET(result, result_list(c));
  if (types().has_borrow(result))
    return error(start, "function result cannot contain a `borrow` type");
  def.args.push_back(result);
  return add(std::move(def), start);
}

Result<TypeId> Decoder::resource_type(Cursor& c, Component* out, uint32_t start) {
  if (scope().kind != ScopeKind::Component)
    return error(start, "resources can only be defined within a concrete component");
  wasm::ValType rep;
  if (!c.val_type(rep)) return c.take_error();
  if (rep == wasm::kI64)
    WAFER_TRY(enabled(Feature::Memory64, "a resource represented by i64", start));
  else if (rep != wasm::kI32)
    return error(start, "resources can only be represented by `i32`");
  ResourceDef def;
  def.rep64 = rep == wasm::kI64;
  const uint32_t at = c.offset();
  WAFER_LET(has_destructor, byte(c));
  if (has_destructor > 1) return leading(at, has_destructor, "resource destructor");
  if (has_destructor) {
    WAFER_LET(func, u32(c));
    WAFER_TRY(check_index(scope().core[0], func, "function", at));
    wasm::FuncType wanted;
    wanted.params.push_back(rep);
    if (scope().core[0][func].type != types().core().intern_func(wanted))
      return error(
          at, "core function " + std::to_string(func) + " has wrong signature for a destructor");
    def.destructor = func;
    TypeDef type;
    type.kind = TypeKind::Func;
    type.labels.push_back({"rep", {def.rep64 ? Prim::U64 : Prim::U32}});
    type.args.emplace_back();
    auto id = types().add(std::move(type));
    if (!id.ok()) return this->at(id.take_error(), start);
    def.destructor_type = *id;
  }
  const ResourceId resource = types().fresh_resource();
  scope().defined.push_back(resource);
  scope().local_resources[resource] = def.rep64;
  def.type = types().add_resource(resource);
  const TypeId id = def.type;
  if (out) out->definitions.emplace_back(std::move(def));
  return id;
}

Result<TypeId> Decoder::scope_type(Cursor& c, ScopeKind kind) {
  const uint32_t start = c.offset();
  if (scopes_.size() == kMaxScopes)
    return Error(ErrorKind::Exhaustion, "types are nested too deeply", start);
  WAFER_LET(n, count(c, "declarations"));
  scopes_.push_back(std::make_unique<Scope>(kind));
  for (uint32_t i = 0; i < n; ++i) {
    const uint32_t at = c.offset();
    WAFER_LET(form, byte(c));
    switch (form) {
      case 0: {
        WAFER_TRY(core_type(c, scope(), /*allow_module=*/true));
        break;
      }
      case 1: {
        WAFER_LET(t, type(c, nullptr));
        scope().types.push_back(t);
        break;
      }
      case 2:
        WAFER_TRY(alias(c, nullptr));
        break;
      case 3:
        if (kind == ScopeKind::InstanceType)
          return leading(at, form, "component or instance type declaration");
        WAFER_TRY(import(c, nullptr));
        break;
      case 4:
        WAFER_TRY(export_declaration(c));
        break;
      default:
        return leading(at, form, "component or instance type declaration");
    }
  }
  auto id = finish(scope(), kind == ScopeKind::InstanceType, start);
  scopes_.pop_back();
  return id;
}

Result<TypeId> Decoder::type(Cursor& c, Component* out) {
  const uint32_t start = c.offset();
  WAFER_LET(code, byte(c));
  if (code == kAsyncFuncCode) {
    WAFER_TRY(enabled(Feature::Async, "async functions", start));
    return func_type(c, /*is_async=*/true, start);
  }
  switch (kind_of_code(code)) {
    case TypeKind::Func:
      return func_type(c, /*is_async=*/false, start);
    case TypeKind::Component:
      return scope_type(c, ScopeKind::ComponentType);
    case TypeKind::Instance:
      return scope_type(c, ScopeKind::InstanceType);
    case TypeKind::Resource:
      return resource_type(c, out, start);
    default:
      return value_type(c, code, start);
  }
}

}  // namespace wafer::component
