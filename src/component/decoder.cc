// Sections, instances and aliases (Binary.md, "Component Definitions" to "Alias Definitions").
#include "wasm/decoder.h"

#include <algorithm>

#include "component/scope.h"

namespace wafer::component {

namespace {

constexpr uint8_t kMagic[] = {0x00, 0x61, 0x73, 0x6d};

constexpr struct {
  Feature feature;
  std::string_view option;
  bool on;
} kFeatures[] = {
#define COMPONENT_FEATURE(name, option, on) {Feature::name, option, on},
#include "component/features.def"
#undef COMPONENT_FEATURE
};

CoreExtern core_extern_of(const wasm::Module& m, wasm::ExternKind kind, uint32_t index) {
  CoreExtern out;
  out.kind = kind;
  switch (kind) {
    case wasm::ExternKind::Func:
      out.type = m.canon[m.functions[index].type_index];
      break;
    case wasm::ExternKind::Tag:
      out.type = m.canon[m.tags[index].type_index];
      break;
    case wasm::ExternKind::Table:
      out.table = m.tables[index].type;
      out.table.element = m.canonical(out.table.element);
      break;
    case wasm::ExternKind::Memory:
      out.memory = m.memories[index].type;
      break;
    case wasm::ExternKind::Global:
      out.global = m.globals[index].type;
      out.global.type = m.canonical(out.global.type);
      break;
  }
  return out;
}

constexpr CoreSort core_sort_of(wasm::ExternKind kind) {
  return static_cast<CoreSort>(static_cast<uint8_t>(kind));
}

}  // namespace

FeatureSet FeatureSet::standard() {
  FeatureSet out;
  for (const auto& f : kFeatures) out.set(f.feature, f.on);
  return out;
}

std::string_view feature_option(Feature feature) {
  for (const auto& f : kFeatures)
    if (f.feature == feature) return f.option;
  return {};
}

std::optional<Feature> feature_of_option(std::string_view option) {
  for (const auto& f : kFeatures)
    if (f.option == option) return f.feature;
  return std::nullopt;
}

ModuleType module_type_of(const wasm::Module& m) {
  ModuleType out;
  std::array<uint32_t, 5> next{};
  for (const wasm::Import& i : m.imports) {
    const uint32_t index = next[static_cast<size_t>(i.type.kind)]++;
    out.imports.push_back({std::string(std::string_view(i.module)),
                           std::string(std::string_view(i.name)),
                           core_extern_of(m, i.type.kind, index)});
  }
  for (const wasm::Export& e : m.exports)
    out.exports.emplace_back(std::string(std::string_view(e.name)),
                             core_extern_of(m, e.kind, e.index));
  return out;
}

bool is_binary(Bytes bytes) {
  return bytes.size() >= 8 && std::equal(std::begin(kMagic), std::end(kMagic), bytes.begin());
}

bool is_component(Bytes bytes) { return is_binary(bytes) && bytes[6] == 1 && bytes[7] == 0; }

Result<std::shared_ptr<Component>> decode(Bytes bytes, const DecodeOptions& options) {
  if (bytes.size() >= (uint64_t{1} << 31))
    return Error(ErrorKind::Exhaustion, "components of 2 GiB and more are not supported");
  return Decoder(bytes, options).run();
}

Decoder::Decoder(Bytes bytes, const DecodeOptions& options) : bytes_(bytes), options_(options) {
  if (!options_.registry) options_.registry = std::make_shared<wasm::TypeRegistry>();
  arena_ = std::make_shared<TypeArena>(options_.registry);
}

// ---- Reading ------------------------------------------------------------------------

Result<uint8_t> Decoder::byte(Cursor& c) const {
  uint8_t out = 0;
  if (!c.byte(out)) return c.take_error();
  return out;
}

Result<uint32_t> Decoder::u32(Cursor& c) const {
  uint32_t out = 0;
  if (!c.u32(out)) return c.take_error();
  return out;
}

// Length of a vector, each of whose elements takes a byte at least.
Result<uint32_t> Decoder::count(Cursor& c, const char* what) const {
  const uint32_t at = c.offset();
  WAFER_LET(n, u32(c));
  if (n > kMaxDefinitions) return Error(ErrorKind::Exhaustion, std::string("too many ") + what, at);
  if (n > c.remaining()) return malformed(at, "unexpected end-of-file: length out of bounds");
  return n;
}

Result<std::string> Decoder::string(Cursor& c) const {
  std::string_view out;
  if (!c.name(out)) return c.take_error();
  return std::string(out);
}

Error Decoder::leading(uint32_t at, uint32_t byte, std::string_view what) const {
  std::string text = "invalid leading byte (0x";
  if (byte >= 16) text += "0123456789abcdef"[byte >> 4 & 15];
  text += "0123456789abcdef"[byte & 15];
  return malformed(at, text + ") for " + std::string(what));
}

Result<void> Decoder::enabled(Feature feature, std::string_view what, uint32_t at) const {
  if (options_.features.has(feature)) return {};
  return Error(ErrorKind::Unsupported,
               std::string(what) + " requires --enable " + std::string(feature_option(feature)),
               at);
}

// ---- Components ---------------------------------------------------------------------

Result<std::shared_ptr<Component>> Decoder::run() {
  return component(0, static_cast<uint32_t>(bytes_.size()));
}

Result<std::shared_ptr<Component>> Decoder::component(uint32_t begin, uint32_t end) {
  if (scopes_.size() == kMaxScopes)
    return Error(ErrorKind::Exhaustion, "components are nested too deeply", begin);
  const Bytes header = bytes_.subspan(begin, std::min(end - begin, 8u));
  for (size_t i = 0; i < 4; ++i) {
    if (i == header.size()) return malformed(begin, "unexpected end-of-file");
    if (header[i] != kMagic[i]) return malformed(begin, "magic header not detected");
  }
  if (header.size() < 8) return malformed(begin + 4, "unexpected end-of-file");
  if (header[6] == 0 && header[7] == 0)
    return malformed(begin + 4,
                     "expected a version header for a component: this is a core module, not a "
                     "component");
  if (header[4] != 0x0d || header[5] != 0 || header[6] != 1 || header[7] != 0)
    return malformed(begin + 4, "unknown binary version or layer");

  auto out = std::make_shared<Component>();
  out->types = arena_;
  out->adapters->find_code = options_.find_code;
  out->begin = begin;
  out->end = end;
  scopes_.push_back(std::make_unique<Scope>(ScopeKind::Component));
  Cursor c(bytes_.data(), begin + 8, end, bytes_.size(), options_.core_features);
  while (!c.at_end()) {
    const uint32_t start = c.offset();
    WAFER_LET(id, byte(c));
    WAFER_LET(size, u32(c));
    if (size > c.remaining()) return malformed(start, "unexpected end-of-file");
    Cursor inner(bytes_.data(), c.offset(), c.offset() + size, bytes_.size(),
                 options_.core_features);
    WAFER_TRY(section(id, inner, *out));
    if (!inner.at_end())
      return malformed(inner.offset(),
                       "section size mismatch: unexpected data at the end of the section");
    c.skip(size);
  }
  WAFER_TRY(check_consumed(end));
  WAFER_LET(type, finish(scope(), /*is_instance=*/false, begin));
  out->type = type;
  scopes_.pop_back();
  return out;
}

Result<TypeId> Decoder::add(TypeDef def, uint32_t at) {
  if (nesting(def) > kMaxTypeNesting)
    return Error(ErrorKind::Exhaustion,
                 "types are nested more than " + std::to_string(kMaxTypeNesting) + " deep", at);
  auto id = types().add(std::move(def));
  return id.ok() ? std::move(id) : this->at(id.take_error(), at);
}

// No type here is nested too deeply: those that the arena makes are as deep as what they are made
// of.
uint32_t Decoder::nesting(TypeId id) {
  if (id >= nesting_.size()) nesting_.resize(id + 1);
  if (nesting_[id] == 0) {
    const uint32_t n = nesting(types()[id]);
    nesting_[id] = n;
  }
  return nesting_[id];
}

uint32_t Decoder::nesting(const TypeDef& def) {
  uint32_t out = 0;
  const auto value = [&](ValType t) {
    if (t.defined()) out = std::max(out, nesting(t.id));
  };
  for (ValType t : def.args) value(t);
  for (const Label& l : def.labels) value(l.type);
  if (def.shape)
    for (const EntityList* list : {&def.shape->imports, &def.shape->exports})
      for (const NamedEntity& e : *list) {
        if (e.entity.sort == Sort::Value)
          value(e.entity.value);
        else if (e.entity.sort != Sort::CoreModule)
          out = std::max(out, nesting(e.entity.type));
      }
  return out + 1;
}

Result<TypeId> Decoder::finish(Scope& s, bool is_instance, uint32_t at) {
  auto shape = std::make_shared<Shape>();
  shape->imports = std::move(s.imports);
  shape->exports = std::move(s.exports);
  shape->imported = std::move(s.imported);
  shape->defined = std::move(s.defined);
  TypeDef def;
  def.kind = is_instance ? TypeKind::Instance : TypeKind::Component;
  def.shape = std::move(shape);
  return add(std::move(def), at);
}

Result<void> Decoder::section(uint8_t id, Cursor& c, Component& out) {
  const auto each = [&](const char* what, auto&& read) -> Result<void> {
    WAFER_LET(n, count(c, what));
    for (uint32_t i = 0; i < n; ++i) WAFER_TRY(read());
    return {};
  };
  switch (id) {
    case 0: {
      // What a custom section holds is its owner's business.
      WAFER_TRY(string(c));
      c.skip(c.remaining());
      return {};
    }
    case 1:
      return core_module(c, out);
    case 2:
      return each("core instances", [&] { return core_instance(c, out); });
    case 3:
      return each("core types", [&] { return core_type(c, scope(), /*allow_module=*/true); });
    case 4: {
      const uint32_t begin = c.offset();
      const auto end = static_cast<uint32_t>(begin + c.remaining());
      WAFER_LET(inner, component(begin, end));
      c.skip(c.remaining());
      scope().components.push_back(inner->type);
      out.definitions.emplace_back(ComponentDef{std::move(inner)});
      return {};
    }
    case 5:
      return each("instances", [&] { return instance(c, out); });
    case 6:
      return each("aliases", [&] { return alias(c, &out); });
    case 7:
      return each("types", [&]() -> Result<void> {
        WAFER_LET(t, type(c, &out));
        scope().types.push_back(t);
        return {};
      });
    case 8:
      return each("canonical functions", [&] { return canon(c, out); });
    case 9:
      WAFER_TRY(enabled(Feature::Values, "a start section", c.offset()));
      return start(c, out);
    case 10:
      return each("imports", [&] { return import(c, &out); });
    case 11:
      return each("exports", [&] { return export_definition(c, out); });
    case 12:
      WAFER_TRY(enabled(Feature::Values, "a value section", c.offset()));
      return each("values", [&] { return value_definition(c, out); });
    default:
      return malformed(c.offset(), "malformed section id " + std::to_string(id));
  }
}

Result<void> Decoder::core_module(Cursor& c, Component& out) {
  const uint32_t begin = c.offset();
  const auto size = static_cast<uint32_t>(c.remaining());
  wasm::DecodeOptions options;
  options.features = options_.core_features;
  options.copy_bytes = false;
  options.registry = options_.registry;
  const Bytes binary = bytes_.subspan(begin, size);
  auto module =
      options_.load_module ? options_.load_module(binary) : wasm::decode_module(binary, options);
  if (!module.ok()) {
    Error e = module.take_error();
    e.offset = e.offset == Error::kNoOffset ? begin : e.offset + begin;
    return e;
  }
  (*module)->owner = options_.owner;
  // Arguments are given by name, so names have to tell imports apart.
  std::unordered_set<std::string> names;
  for (const wasm::Import& i : (*module)->imports) {
    const std::string m(std::string_view(i.module)), n(std::string_view(i.name));
    if (!names.insert(m + '\0' + n).second)
      return error(begin, "duplicate import name `" + m + ":" + n + "`");
  }
  c.skip(size);
  scope().core_modules.push_back(types().add_module(module_type_of(**module)));
  out.definitions.emplace_back(CoreModuleDef{std::move(*module), begin, begin + size});
  return {};
}

// ---- Instances ----------------------------------------------------------------------

Result<void> Decoder::core_instance(Cursor& c, Component& out) {
  const uint32_t at = c.offset();
  WAFER_LET(form, byte(c));
  auto shape = std::make_shared<CoreInstanceShape>();
  if (form == 0) {
    CoreInstantiate def;
    WAFER_LET(module, u32(c));
    WAFER_TRY(check_index(scope().core_modules, module, "module", at));
    def.module = module;
    std::unordered_map<std::string, uint32_t> args;
    WAFER_LET(n, count(c, "arguments"));
    for (uint32_t i = 0; i < n; ++i) {
      const uint32_t arg_at = c.offset();
      WAFER_LET(name, string(c));
      WAFER_LET(sort, byte(c));
      if (sort != 0x12) return leading(arg_at, sort, "instantiation arg kind");
      WAFER_LET(index, u32(c));
      WAFER_TRY(check_index(scope().core_instances, index, "core instance", arg_at));
      if (!args.try_emplace(name, index).second)
        return error(arg_at, "duplicate module instantiation argument named `" + name + "`");
      def.args.emplace_back(std::move(name), index);
    }
    const ModuleType& type = types().module(scope().core_modules[module]);
    for (const CoreImport& import : type.imports) {
      auto arg = args.find(import.module);
      if (arg == args.end())
        return error(at, "missing module instantiation argument named `" + import.module + "`");
      const auto& exports = scope().core_instances[arg->second]->exports;
      auto item = exports.find(import.name);
      if (item == exports.end())
        return error(at, "module instantiation argument `" + import.module +
                             "` does not export an item named `" + import.name + "`");
      if (item->second.sort > CoreSort::Tag)
        return error(at,
                     "module instantiation argument `" + import.module + "` is not a core item");
      auto matched = match_core(types().core(), item->second.type, import.type);
      if (!matched.ok())
        return error(at, "type mismatch in import `" + import.module + "::" + import.name +
                             "`: " + std::string(matched.error().message));
    }
    auto& known = module_shapes_[scope().core_modules[module]];
    if (!known) {
      for (const auto& [name, item] : type.exports)
        shape->exports.emplace(name, CoreItem{core_sort_of(item.kind), item});
      known = shape;
    }
    shape = known;
    out.definitions.emplace_back(std::move(def));
  } else if (form == 1) {
    CoreInlineInstance def;
    WAFER_LET(n, count(c, "exports"));
    for (uint32_t i = 0; i < n; ++i) {
      const uint32_t export_at = c.offset();
      WAFER_LET(name, string(c));
      WAFER_LET(sort, byte(c));
      WAFER_LET(index, u32(c));
      if (sort > 4) return malformed(export_at, "invalid core sort of an inline export");
      const auto& space = scope().core[sort];
      constexpr std::string_view kNames[] = {"function", "table", "memory", "global", "tag"};
      WAFER_TRY(check_index(space, index, kNames[sort], export_at));
      if (!shape->exports.try_emplace(name, CoreItem{static_cast<CoreSort>(sort), space[index]})
               .second)
        return error(export_at, "export name `" + name + "` already defined");
      def.exports.push_back({std::move(name), static_cast<CoreSort>(sort), index});
    }
    out.definitions.emplace_back(std::move(def));
  } else {
    return leading(at, form, "core instance");
  }
  scope().core_instances.push_back(std::move(shape));
  return {};
}

Result<void> Decoder::instance(Cursor& c, Component& out) {
  const uint32_t start = c.offset();
  WAFER_LET(form, byte(c));
  TypeDef type;
  type.kind = TypeKind::Instance;
  if (form == 0) {
    Instantiate def;
    WAFER_LET(index, u32(c));
    WAFER_TRY(check_index(scope().components, index, "component", start));
    def.component = index;
    std::unordered_map<std::string, Entity> args;
    WAFER_LET(n, count(c, "arguments"));
    for (uint32_t i = 0; i < n; ++i) {
      const uint32_t arg_at = c.offset();
      WAFER_LET(name, string(c));
      WAFER_LET(what, sort_index(c));
      WAFER_LET(entity, entity_at(what, arg_at));
      if (!args.try_emplace(name, entity).second)
        return error(arg_at, "instantiation argument `" + name +
                                 "` conflicts with previous argument `" + name + "`");
      def.args.push_back({std::move(name), what, entity});
    }
    auto made =
        types().instantiate(scope().components[index], [&](std::string_view name) -> const Entity* {
          auto it = args.find(std::string(name));
          return it == args.end() ? nullptr : &it->second;
        });
    if (!made.ok()) return at(made.take_error(), start);
    auto shape = std::make_shared<Shape>(std::move(*made));
    // They belong to the component now, which makes them when it is instantiated.
    auto& defined = scope().defined;
    defined.insert(defined.end(), shape->defined.begin(), shape->defined.end());
    shape->defined.clear();
    type.shape = std::move(shape);
    out.definitions.emplace_back(std::move(def));
  } else if (form == 1) {
    InlineInstance def;
    auto shape = std::make_shared<Shape>();
    UniqueNames names;
    WAFER_LET(n, count(c, "exports"));
    for (uint32_t i = 0; i < n; ++i) {
      const uint32_t export_at = c.offset();
      WAFER_LET(name, extern_name(c, "instance export"));
      WAFER_LET(what, sort_index(c));
      WAFER_LET(entity, entity_at(what, export_at));
      if (const std::string* previous = names.add(name.text))
        return error(export_at, "export name `" + name.text + "` conflicts with previous name `" +
                                    *previous + "`");
      // Nothing here gives a resource the name that an annotated function refers to.
      WAFER_TRY(check_exported_value(entity, export_at));
      const ExternName parsed = *parse_extern_name(name.text, name_options());
      if (parsed.kind == NameKind::Constructor || parsed.kind == NameKind::Method ||
          parsed.kind == NameKind::Static)
        return error(export_at, "resource used in function does not have a name in this context");
      shape->exports.add(name.text, entity, name.attributes);
      def.exports.push_back({name.text, what, entity});
    }
    type.shape = std::move(shape);
    out.definitions.emplace_back(std::move(def));
  } else {
    return leading(start, form, "instance");
  }
  WAFER_LET(id, add(std::move(type), start));
  scope().instances.push_back(id);
  if (form == 0) std::get<Instantiate>(out.definitions.back()).type = id;
  return {};
}

// ---- Aliases ------------------------------------------------------------------------

Result<void> Decoder::alias(Cursor& c, Component* out) {
  const uint32_t start = c.offset();
  WAFER_LET(code, byte(c));
  bool core = false;
  CoreSort core_sort = CoreSort::Func;
  Sort sort = Sort::Func;
  const auto no_sort = [&](uint8_t what) {
    const bool outer = !c.at_end() && bytes_[c.offset()] == 2;
    return leading(c.offset() - 1, what,
                   outer ? "component outer alias kind" : "component external kind");
  };
  if (code == 0) {
    core = true;
    WAFER_LET(inner, byte(c));
    if (inner <= 4)
      core_sort = static_cast<CoreSort>(inner);
    else if (inner == 0x10)
      core_sort = CoreSort::Type;
    else if (inner == 0x11)
      core_sort = CoreSort::Module;
    else if (inner == 0x12)
      core_sort = CoreSort::Instance;
    else
      return no_sort(inner);
    sort = Sort::CoreModule;
  } else if (code <= 5) {
    sort = static_cast<Sort>(code);
    if (sort == Sort::Value) WAFER_TRY(enabled(Feature::Values, "a value", start));
  } else {
    return no_sort(code);
  }
  WAFER_LET(target, byte(c));
  const bool in_type = scope().kind != ScopeKind::Component;
  switch (target) {
    case 0: {
      WAFER_LET(index, u32(c));
      WAFER_LET(name, string(c));
      if (core && core_sort != CoreSort::Module)
        return error(start, "core items of a component instance cannot be aliased");
      if (in_type && sort != Sort::Instance && sort != Sort::Type)
        return error(start, "export aliases in types may only refer to types or instances");
      WAFER_TRY(alias_export(index, name, sort, start));
      if (out) out->definitions.emplace_back(AliasExport{index, std::move(name), sort});
      return {};
    }
    case 1: {
      WAFER_LET(index, u32(c));
      WAFER_LET(name, string(c));
      if (in_type) return error(start, "core export aliases cannot stand in types");
      if (!core || core_sort > CoreSort::Tag)
        return malformed(start, "invalid sort of a core export alias");
      WAFER_TRY(check_index(scope().core_instances, index, "core instance", start));
      const auto& exports = scope().core_instances[index]->exports;
      auto it = exports.find(name);
      if (it == exports.end())
        return error(start, "core instance " + std::to_string(index) + " has no export named `" +
                                name + "`");
      if (it->second.sort != core_sort) {
        constexpr std::string_view kNames[] = {"func", "table", "memory", "global", "tag"};
        return error(start, "export `" + name + "` for core instance " + std::to_string(index) +
                                " is not a " + std::string(kNames[static_cast<size_t>(core_sort)]));
      }
      scope().core[static_cast<size_t>(core_sort)].push_back(it->second.type);
      if (out) out->definitions.emplace_back(AliasCoreExport{index, std::move(name), core_sort});
      return {};
    }
    case 2: {
      WAFER_LET(levels, u32(c));
      WAFER_LET(index, u32(c));
      WAFER_TRY(alias_outer(levels, index, core, core_sort, sort, start));
      if (out) out->definitions.emplace_back(AliasOuter{levels, index, core, core_sort, sort});
      return {};
    }
    default:
      return leading(start, target, "alias");
  }
}

Result<void> Decoder::alias_export(uint32_t index, std::string_view name, Sort sort, uint32_t at) {
  WAFER_TRY(check_index(scope().instances, index, "instance", at));
  const Shape& shape = *types()[scope().instances[index]].shape;
  const Entity* entity = shape.exports.find(name);
  if (!entity)
    return error(at, "instance " + std::to_string(index) + " has no export named `" +
                         std::string(name) + "`");
  if (entity->sort != sort)
    return error(at, "export `" + std::string(name) + "` of instance " + std::to_string(index) +
                         " is not a " + std::string(sort_name(sort)));
  return add_entity(Entity(*entity));
}

Result<void> Decoder::alias_outer(uint32_t levels, uint32_t index, bool core, CoreSort core_sort,
                                  Sort sort, uint32_t at) {
  if (levels >= scopes_.size())
    return error(at, "invalid outer alias count of " + std::to_string(levels));
  const Scope& outer = *scopes_[scopes_.size() - 1 - levels];
  const bool in_type = scope().kind != ScopeKind::Component;
  if (core) {
    if (core_sort == CoreSort::Type) {
      WAFER_TRY(check_index(outer.core_types, index, "core type", at));
      const CoreTypeEntry entry = outer.core_types[index];
      scope().add_core_type(entry);
      return {};
    }
    if (core_sort != CoreSort::Module)
      return leading(at + 1, bytes_[at + 1], "component outer alias kind");
    if (in_type) return error(at, "outer aliases in types may only refer to types or instances");
    WAFER_TRY(check_index(outer.core_modules, index, "module", at));
    const uint32_t module = outer.core_modules[index];
    scope().core_modules.push_back(module);
    return {};
  }
  if (sort == Sort::Component && !in_type) {
    WAFER_TRY(check_index(outer.components, index, "component", at));
    const TypeId component = outer.components[index];
    scope().components.push_back(component);
    return {};
  }
  if (sort == Sort::Component)
    return error(at, "outer aliases in types may only refer to types or instances");
  if (sort != Sort::Type) return leading(at, bytes_[at], "component outer alias kind");
  WAFER_TRY(check_index(outer.types, index, "type", at));
  const TypeId id = outer.types[index];
  // A component stands by itself: resources of those around it are not its own.
  bool crosses = false;
  for (uint32_t i = 0; i < levels; ++i)
    crosses |= scopes_[scopes_.size() - 1 - i]->kind == ScopeKind::Component;
  if (crosses && types().has_free_resource(id))
    return error(at,
                 "cannot alias outer type which transitively refers to resources not defined "
                 "in the current component");
  scope().types.push_back(id);
  return {};
}

}  // namespace wafer::component
