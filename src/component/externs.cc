// Imports and exports (Binary.md, "Import and Export Definitions").
#include <unordered_set>

#include "component/scope.h"

namespace wafer::component {

Result<SortIndex> Decoder::sort_index(Cursor& c) {
  const uint32_t at = c.offset();
  WAFER_LET(code, byte(c));
  SortIndex out;
  if (code == 0) {
    WAFER_LET(core, byte(c));
    if (core != 0x11)
      return leading(at + 1, core, "component external kind: of core sorts, only modules");
    out.sort = Sort::CoreModule;
  } else if (code <= 5) {
    out.sort = static_cast<Sort>(code);
    if (out.sort == Sort::Value) WAFER_TRY(enabled(Feature::Values, "a value", at));
  } else {
    return leading(at, code, "component external kind");
  }
  WAFER_LET(index, u32(c));
  out.index = index;
  return out;
}

Result<Entity> Decoder::entity_at(const SortIndex& s, uint32_t at) {
  Entity out;
  out.sort = s.sort;
  const auto of = [&](const std::vector<TypeId>& space, std::string_view what) -> Result<Entity> {
    WAFER_TRY(check_index(space, s.index, what, at));
    out.type = space[s.index];
    return out;
  };
  switch (s.sort) {
    case Sort::CoreModule:
      WAFER_TRY(check_index(scope().core_modules, s.index, "module", at));
      out.module = scope().core_modules[s.index];
      return out;
    case Sort::Func:
      return of(scope().funcs, "function");
    case Sort::Type:
      return of(scope().types, "type");
    case Sort::Component:
      return of(scope().components, "component");
    case Sort::Instance:
      return of(scope().instances, "instance");
    case Sort::Value:
      break;
  }
  WAFER_LET(value, consume(s.index, at));
  out.value = value.type;
  out.number = value.number;
  out.equal = true;
  return out;
}

Result<void> Decoder::add_entity(const Entity& e) {
  switch (e.sort) {
    case Sort::CoreModule:
      scope().core_modules.push_back(e.module);
      break;
    case Sort::Func:
      scope().funcs.push_back(e.type);
      break;
    case Sort::Type:
      scope().types.push_back(e.type);
      break;
    case Sort::Component:
      scope().components.push_back(e.type);
      break;
    case Sort::Instance:
      scope().instances.push_back(e.type);
      break;
    case Sort::Value:
      add_value(e.value, e.number);
      break;
  }
  return {};
}

NameOptions Decoder::name_options() const {
  NameOptions out;
  out.nested = options_.features.has(Feature::Nested);
  out.canonical = options_.features.has(Feature::CanonicalNames);
  out.accessors = options_.features.has(Feature::Accessors);
  return out;
}

// ---- Names --------------------------------------------------------------------------

Result<Decoder::Name> Decoder::extern_name(Cursor& c, const char* what) {
  const uint32_t at = c.offset();
  WAFER_LET(form, byte(c));
  if (form > 2) return leading(at, form, "component name");
  Name out;
  WAFER_LET(text, string(c));
  out.text = std::move(text);
  const NameOptions options = name_options();
  std::string why;
  auto parsed = parse_extern_name(out.text, options, &why);
  if (!parsed) return error(at, std::string(what) + " name " + why);
  if (form == 2) {
    bool seen[3] = {};
    WAFER_LET(n, count(c, "attributes"));
    for (uint32_t i = 0; i < n; ++i) {
      const uint32_t attribute_at = c.offset();
      WAFER_LET(kind, byte(c));
      if (kind > 2) return leading(attribute_at, kind, "name option");
      WAFER_TRY(enabled(kind == 1 ? Feature::CanonicalNames : Feature::Attributes,
                        "an attribute of a name", attribute_at));
      WAFER_LET(value, string(c));
      if (seen[kind]) {
        constexpr std::string_view kNames[] = {"implements", "versionsuffix", "external-id"};
        return malformed(attribute_at,
                         "duplicate '" + std::string(kNames[kind]) + "' option in name");
      }
      seen[kind] = true;
      if (kind == 0) {
        const auto interface = parse_extern_name(value, options, &why);
        if (!interface) return error(attribute_at, why);
        if (interface->kind != NameKind::Interface)
          return error(attribute_at, "`" + value + "` must be an interface");
        out.attributes.implements = std::move(value);
      } else if (kind == 1) {
        out.attributes.version_suffix = std::move(value);
      } else {
        out.attributes.external_id = std::move(value);
      }
    }
    if (!out.attributes.implements.empty() && parsed->kind != NameKind::Label)
      return error(at, "name `" + out.text + "` is not valid with `implements`");
    if (seen[1]) {
      const std::string whole = std::string(parsed->version) + out.attributes.version_suffix;
      std::string ignored;
      if (parsed->kind != NameKind::Interface || parsed->version.empty() ||
          !parse_extern_name("a:b/c@" + whole, {}, &ignored))
        return error(at, "`" + whole + "` is not a valid semver");
    }
  }
  return out;
}

Result<Entity> Decoder::extern_type(Cursor& c) {
  const uint32_t at = c.offset();
  WAFER_LET(code, byte(c));
  Entity out;
  const auto typed = [&](Sort sort, TypeKind kind) -> Result<Entity> {
    WAFER_LET(index, u32(c));
    WAFER_TRY(check_index(scope().types, index, "type", at));
    out.sort = sort;
    out.type = scope().types[index];
    if (types()[out.type].kind != kind) {
      const char* wanted = kind == TypeKind::Func       ? "a function"
                           : kind == TypeKind::Instance ? "an instance"
                                                        : "a component";
      return error(at, "type index " + std::to_string(index) + " is not " + wanted + " type");
    }
    return out;
  };
  switch (code) {
    case 0: {
      WAFER_LET(core, byte(c));
      if (core != 0x11)
        return leading(at + 1, core, "component external kind: of core sorts, only modules");
      WAFER_LET(index, u32(c));
      WAFER_TRY(check_index(scope().core_types, index, "core type", at));
      if (!scope().core_types[index].is_module)
        return error(at, "core type index " + std::to_string(index) + " is not a module type");
      out.sort = Sort::CoreModule;
      out.module = scope().core_types[index].id;
      return out;
    }
    case 1:
      return typed(Sort::Func, TypeKind::Func);
    case 2: {
      WAFER_TRY(enabled(Feature::Values, "a value", at));
      out.sort = Sort::Value;
      WAFER_LET(bound, byte(c));
      if (bound == 0) {
        WAFER_LET(index, u32(c));
        WAFER_TRY(check_index(scope().values, index, "value", at));
        out.value = scope().values[index].type;
        out.number = scope().values[index].number;
        out.equal = true;
        return out;
      }
      if (bound != 1) return leading(at, bound, "value bound");
      WAFER_LET(type, val_type(c));
      out.value = type;
      out.number = types().fresh_value();
      return out;
    }
    case 3: {
      out.sort = Sort::Type;
      WAFER_LET(bound, byte(c));
      if (bound == 0) {
        WAFER_LET(index, u32(c));
        WAFER_TRY(check_index(scope().types, index, "type", at));
        // Equal to the type, with an identity of its own.
        out.type = types().alias(scope().types[index]);
        return out;
      }
      if (bound != 1) return leading(at, bound, "type bound");
      const ResourceId resource = types().fresh_resource();
      out.type = types().add_resource(resource);
      return out;
    }
    case 4:
      return typed(Sort::Component, TypeKind::Component);
    case 5:
      return typed(Sort::Instance, TypeKind::Instance);
    default:
      return leading(at, code, "component external kind");
  }
}

// ---- External visibility ------------------------------------------------------------

// As what the component's whole type has to observe in the end, but before copies are made of it.
Result<void> Decoder::weigh(const Entity& entity, uint32_t at) {
  scope().weight += types().weight(entity);
  if (scope().weight > kMaxTypeWeight)
    return Error(ErrorKind::Exhaustion, "effective type size exceeds the limit of 1000000", at);
  return {};
}

// Whether all that a value type is made of has a name outside. Looks at each type once: written out
// in full they may be far more than they are in the binary.
bool Decoder::is_named(ValType t, const NamedIn& in) const {
  std::vector<ValType> open{t};
  while (!open.empty()) {
    const ValType next = open.back();
    open.pop_back();
    if (!next.defined()) continue;
    const TypeDef& def = types()[next.id];
    if (!def.has_named || !in.ask(next.id)) continue;
    if (needs_name(def.kind)) {
      if (!in.contains(next.id)) return false;
      continue;
    }
    open.insert(open.end(), def.args.begin(), def.args.end());
    for (const Label& l : def.labels) open.push_back(l.type);
  }
  return true;
}

bool Decoder::is_named(const Entity& e, const NamedIn& in) const {
  switch (e.sort) {
    case Sort::CoreModule:
    case Sort::Component:  // stands by itself
      return true;
    case Sort::Value:
      return is_named(e.value, in);
    case Sort::Func:
      return is_named(ValType::of(e.type), in);
    case Sort::Type: {
      // The type itself gets its name here; what it is made of needs one.
      const TypeDef& def = types()[e.type];
      if (def.kind == TypeKind::Resource || def.kind == TypeKind::Component) return true;
      if (def.kind == TypeKind::Instance) break;
      for (ValType arg : def.args)
        if (!is_named(arg, in)) return false;
      for (const Label& l : def.labels)
        if (!is_named(l.type, in)) return false;
      return true;
    }
    case Sort::Instance:
      break;
  }
  // What an instance exports may refer to types that it exports before.
  NamedTypes inner;
  const NamedIn within{inner, inner, &in};
  for (const NamedEntity& x : types()[e.type].shape->exports) {
    if (!is_named(x.entity, within)) return false;
    name_types(x.entity, inner);
  }
  return true;
}

void Decoder::name_types(const Entity& e, NamedTypes& named) const {
  if (e.sort == Sort::Type) named.named.insert(e.type);
  if (e.sort == Sort::Instance)
    for (const NamedEntity& x : types()[e.type].shape->exports) name_types(x.entity, named);
}

Result<Entity> Decoder::bring_in(const Entity& entity, std::vector<ResourceId>& resources) {
  if (entity.sort != Sort::Instance) {
    return entity;
  }
  const std::shared_ptr<const Shape> shape = types()[entity.type].shape;
  WAFER_TRY(types().spend(types()[entity.type].exported));  // these are looked at
  // Without anything of its own it is the same wherever it is.
  if (shape->defined.empty() && !types()[entity.type].has_value) return entity;
  WAFER_TRY(types().spend(kEntityWeight * shape->exports.size()));
  Substitution fresh;
  fresh.fresh_values = true;
  for (ResourceId r : shape->defined) {
    fresh.resources[r] = types().fresh_resource();
    resources.push_back(fresh.resources[r]);
  }
  auto open = std::make_shared<Shape>();
  for (const NamedEntity& e : shape->exports) {
    WAFER_LET(inner, types().substitute(e.entity, fresh));
    open->exports.add(e.name, inner);
  }
  TypeDef def;
  def.kind = TypeKind::Instance;
  def.shape = std::move(open);
  WAFER_LET(id, types().add(std::move(def)));
  Entity out = entity;
  out.type = id;
  return out;
}

// ---- Definitions --------------------------------------------------------------------

Result<void> Decoder::check_name(const Name& name, const Entity& entity, bool exported,
                                 uint32_t at) {
  const std::string what = exported ? "export" : "import";
  UniqueNames& names = exported ? scope().export_names : scope().import_names;
  if (const std::string* previous = names.add(name.text))
    return error(
        at, what + " name `" + name.text + "` conflicts with previous name `" + *previous + "`");
  if (!name.attributes.implements.empty() && entity.sort != Sort::Instance)
    return error(at, "only instances can have an `implements` attribute");
  const ExternName parsed = *parse_extern_name(name.text, name_options());
  const bool annotated = parsed.kind == NameKind::Constructor || parsed.kind == NameKind::Method ||
                         parsed.kind == NameKind::Static || parsed.accessor != NameAccessor::None;
  if (annotated) {
    if (entity.sort != Sort::Func)
      return error(at, what + " name `" + name.text + "` is not a func");
    WAFER_TRY(check_function_name(name, parsed, entity, exported, at));
  }
  if (parsed.kind == NameKind::Label && entity.sort == Sort::Type &&
      types()[entity.type].kind == TypeKind::Resource)
    (exported ? scope().export_resources : scope().import_resources)[name.text] = entity.type;
  return {};
}

Result<void> Decoder::check_function_name(const Name& name, const ExternName& parsed,
                                          const Entity& entity, bool exported, uint32_t at) {
  const TypeDef& func = types()[entity.type];
  const ValType result = func.args[0];
  const auto& resources = exported ? scope().export_resources : scope().import_resources;
  const auto deref = [&](ValType t) -> const TypeDef* {
    return t.defined() ? &types()[t.id] : nullptr;
  };
  size_t self = 0;
  const NameKind kind = parsed.kind;
  if (kind == NameKind::Static && !resources.contains(std::string(parsed.resource)))
    return error(at, "static resource name is not known in this context");
  // The resource of a handle has to be the one that the name tells.
  const auto check_handle = [&](ValType handle) -> Result<void> {
    const TypeId resource = types()[handle.id].args[0].id;
    auto named = resources.find(std::string(parsed.resource));
    if (named != resources.end() && named->second == resource) return {};
    for (const auto& [other, type] : resources)
      if (type == resource)
        return error(at, "function does not match expected resource name `" + other + "`");
    return error(at, "function does not match expected resource name `" +
                         std::string(parsed.resource) +
                         "`: resource used in function does not have a name in this context");
  };
  if (kind == NameKind::Constructor) {
    if (!result) return error(at, "function should return one value");
    const TypeDef* def = deref(result);
    const bool fallible = def && def->kind == TypeKind::Result;
    const ValType made = fallible ? def->args[0] : result;
    const TypeDef* handle = deref(made);
    if (!handle || handle->kind != TypeKind::Own)
      return error(at, "function should return `(own $T)` or `(result (own $T))`");
    WAFER_TRY(check_handle(made));
  } else if (kind == NameKind::Method) {
    self = 1;
    if (func.labels.empty()) return error(at, "function should have at least one argument");
    if (func.labels[0].name != "self")
      return error(at, "function should have a first argument called `self`");
    const TypeDef* handle = deref(func.labels[0].type);
    if (!handle || handle->kind != TypeKind::Borrow)
      return error(at, "function should take a first argument of `(borrow $T)`");
    WAFER_TRY(check_handle(func.labels[0].type));
  }
  if (parsed.accessor == NameAccessor::None) return {};
  if (func.is_async) return error(at, "getters and setters cannot be async");
  auto& getters = exported ? scope().export_getters : scope().import_getters;
  const auto property = [&](const TypeDef& getter) {
    const ValType r = getter.args[0];
    const TypeDef* def = deref(r);
    return def && def->kind == TypeKind::Result ? def->args[0] : r;
  };
  if (parsed.accessor == NameAccessor::Get) {
    if (func.labels.size() != self) return error(at, "getters cannot have parameters");
    if (!result || !property(func)) return error(at, "getters must return a value");
    getters[name.text] = entity.type;
    return {};
  }
  std::string getter = name.text;
  getter.replace(getter.find("[set]"), 5, "[get]");
  auto found = getters.find(getter);
  if (found == getters.end())
    return error(at, "setter `" + name.text + "` has no corresponding getter `" + getter + "`");
  if (func.labels.size() != self + 1) return error(at, "setters must have exactly one parameter");
  if (!types().match_value(func.labels[self].type, property(types()[found->second])).ok())
    return error(at, "setter parameter type does not match getter type");
  const TypeDef* def = deref(result);
  if (result && (!def || def->kind != TypeKind::Result || def->args[0]))
    return error(at, "setters return nothing or a `result` without value");
  return {};
}

Result<void> Decoder::import(Cursor& c, Component* out) {
  const uint32_t at = c.offset();
  WAFER_LET(name, extern_name(c, "import"));
  const ResourceId before = types().resource_count();
  WAFER_LET(written, extern_type(c));
  if (types().resource_count() > before) scope().imported.push_back(before);
  WAFER_TRY(weigh(written, at));
  WAFER_LET(entity, bring_in(written, scope().imported));
  if (scope().kind != ScopeKind::InstanceType) {
    if (!is_named(entity, {scope().named_imports, scope().named_imports}))
      return error(at, std::string(sort_name(entity.sort)) + " not valid to be used as import");
  }
  WAFER_TRY(check_name(name, entity, /*exported=*/false, at));
  name_types(entity, scope().named_imports);
  WAFER_TRY(add_entity(entity));
  if (out) out->definitions.emplace_back(Import{name.text, entity});
  scope().imports.add(std::move(name.text), entity, std::move(name.attributes));
  return {};
}

Result<void> Decoder::export_declaration(Cursor& c) {
  const uint32_t at = c.offset();
  WAFER_LET(name, extern_name(c, "export"));
  const ResourceId before = types().resource_count();
  WAFER_LET(written, extern_type(c));
  if (types().resource_count() > before) scope().defined.push_back(before);
  WAFER_TRY(weigh(written, at));
  WAFER_LET(entity, bring_in(written, scope().defined));
  // An instance type is looked at where it is imported or exported.
  if (scope().kind == ScopeKind::ComponentType &&
      !is_named(entity, {scope().named_imports, scope().named_exports}))
    return error(at, std::string(sort_name(entity.sort)) + " not valid to be used as export");
  WAFER_TRY(check_name(name, entity, /*exported=*/true, at));
  WAFER_TRY(check_exported_value(entity, at));
  name_types(entity, scope().named_exports);
  WAFER_TRY(add_entity(entity));
  scope().exports.add(std::move(name.text), entity, std::move(name.attributes));
  return {};
}

Result<void> Decoder::export_definition(Cursor& c, Component& out) {
  const uint32_t start = c.offset();
  WAFER_LET(name, extern_name(c, "export"));
  WAFER_LET(what, sort_index(c));
  WAFER_LET(inferred, entity_at(what, start));
  Entity entity = inferred;
  const uint32_t ascription_at = c.offset();
  WAFER_LET(ascribed, byte(c));
  if (ascribed > 1) return leading(ascription_at, ascribed, "optional component export type");
  if (ascribed == 1) {
    const ResourceId before = types().resource_count();
    WAFER_LET(wanted, extern_type(c));
    const bool abstract = types().resource_count() > before;
    if (abstract) {
      if (inferred.sort != Sort::Type || types()[inferred.type].kind != TypeKind::Resource)
        return error(ascription_at,
                     "ascribed type of export is not compatible with item's type: "
                     "expected resource, found defined type");
      scope().defined.push_back(types()[wanted.type].resource);
    } else if (auto matched = types().match(inferred, wanted); !matched.ok()) {
      return Error(matched.error().kind,
                   "ascribed type of export is not compatible with item's type: " +
                       std::string(matched.error().message),
                   ascription_at);
    }
    WAFER_TRY(weigh(wanted, start));
    WAFER_LET(opened, bring_in(wanted, scope().defined));
    entity = opened;
  } else {
    WAFER_TRY(weigh(entity, start));
    if (entity.sort == Sort::Type) entity.type = types().alias(entity.type);
  }
  if (!is_named(entity, {scope().named_imports, scope().named_exports}))
    return error(start, std::string(sort_name(entity.sort)) + " not valid to be used as export");
  WAFER_TRY(check_name(name, entity, /*exported=*/true, start));
  WAFER_TRY(check_exported_value(entity, start));
  name_types(entity, scope().named_exports);
  WAFER_TRY(add_entity(entity));
  // The value has been consumed by its export.
  if (entity.sort == Sort::Value) scope().values.back().consumed = true;
  out.definitions.emplace_back(Export{name.text, what, inferred, entity});
  scope().exports.add(std::move(name.text), entity, std::move(name.attributes));
  return {};
}

}  // namespace wafer::component
