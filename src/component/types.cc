#include "component/types.h"

#include <algorithm>
#include <functional>

#include "component/shape.h"

namespace wafer::component {

namespace {

Error invalid(std::string_view message) { return {ErrorKind::Invalid, message}; }

bool is_value(TypeKind kind) { return kind < TypeKind::Func; }

// How much of a definition a copy of it holds.
uint64_t own_weight(const TypeDef& def) {
  uint64_t out = 1 + def.labels.size() + def.args.size();
  if (def.shape) out += kEntityWeight * (def.shape->imports.size() + def.shape->exports.size());
  return out;
}

ValType type_of(const Label& label) { return label.type; }
ValType type_of(ValType type) { return type; }

}  // namespace

std::string signature_text(const wasm::FuncType& type) {
  const auto list = [](const Vec<wasm::ValType>& types) {
    std::string out = "[";
    for (wasm::ValType v : types)
      out += (out.size() > 1 ? " " : "") + std::string(std::string_view(wasm::to_string(v)));
    return out + "]";
  };
  return list(type.params) + " -> " + list(type.results);
}

std::string_view sort_name(Sort sort) {
  constexpr std::string_view kNames[] = {"module", "func",      "value",
                                         "type",   "component", "instance"};
  return kNames[static_cast<size_t>(sort)];
}

std::string_view TypeArena::describe(ValType t) const {
  if (!t) return "none";
  if (!t.defined()) return prim_name(t.prim);
  const TypeDef& def = (*this)[t.id];
  return def.kind == TypeKind::Primitive ? prim_name(def.args[0].prim) : kind_name(def.kind);
}

uint64_t TypeArena::flat_size(const TypeDef& def) const {
  const auto sum = [&](auto&& types) {
    uint64_t out = 0;
    for (const auto& t : types) out += flat_size(type_of(t));
    return out;
  };
  const auto most = [&](auto&& types) {
    uint64_t out = 0;
    for (const auto& t : types) out = std::max<uint64_t>(out, flat_size(type_of(t)));
    return 1 + out;
  };
  switch (def.kind) {
    case TypeKind::Record:
      return sum(def.labels);
    case TypeKind::Tuple:
    case TypeKind::Primitive:
      return sum(def.args);
    case TypeKind::Variant:
      return most(def.labels);
    case TypeKind::Option:
    case TypeKind::Result:
      return most(def.args);
    case TypeKind::List:
    case TypeKind::Map:
      return 2;
    case TypeKind::FixedList:
      return flat_size(def.args[0]) * def.length;
    default:
      return 1;
  }
}

Layout TypeArena::layout(ValType t) const {
  if (t.defined()) return (*this)[t.id].layout;
  Layout out;
  if (const PrimInfo* p = prim_info(t.prim)) {
    const uint32_t size = p->size;
    out.size = size ? std::array<uint64_t, 2>{size, size} : std::array<uint64_t, 2>{8, 16};
    out.align = size ? std::array<uint32_t, 2>{size, size} : std::array<uint32_t, 2>{4, 8};
  }
  return out;
}

TypeId TypeArena::canon(ValType t) const {
  // Primitive types stand below all definitions.
  constexpr TypeId kPrimitives = 32;
  if (!t.defined()) return static_cast<TypeId>(t.prim);
  const TypeDef& def = (*this)[t.id];
  if (def.kind == TypeKind::Primitive) return static_cast<TypeId>(def.args[0].prim);
  return kPrimitives + def.canon;
}

wafer::Result<TypeId> TypeArena::add(TypeDef def) {
  const auto id = static_cast<TypeId>(types_.size());
  uint64_t weight = 1;
  def.exported = 0;
  const auto child = [&](TypeId t) {
    const TypeDef& c = (*this)[t];
    weight += c.weight;
    def.has_borrow |= c.has_borrow;
    def.has_resource |= c.has_resource;
    def.has_named |= c.has_named;
    def.has_value |= c.has_value;
    def.needs_memory |= c.needs_memory;
  };
  const auto value = [&](ValType t) {
    if (t.defined())
      child(t.id);
    else
      ++weight;
    if (t.prim == Prim::String) def.needs_memory = true;
  };
  for (ValType t : def.args) value(t);
  for (const Label& l : def.labels) value(l.type);
  if (def.shape) {
    for (const NamedEntity& e : def.shape->exports)
      def.exported += 1 + (e.entity.sort == Sort::Instance ? (*this)[e.entity.type].exported : 0);
    for (const EntityList* list : {&def.shape->imports, &def.shape->exports}) {
      for (const NamedEntity& e : *list) {
        if (e.entity.sort == Sort::CoreModule)
          ++weight;
        else if (e.entity.sort == Sort::Value)
          value(e.entity.value), def.has_value = true;
        else
          child(e.entity.type);
      }
    }
    def.has_borrow = def.needs_memory = false;
  }
  if (weight > kMaxTypeWeight)
    return Error(ErrorKind::Exhaustion, "effective type size exceeds the limit of 1000000");
  def.weight = static_cast<uint32_t>(weight);
  def.has_named |= needs_name(def.kind);

  switch (def.kind) {
    case TypeKind::Own:
    case TypeKind::Borrow:
      def.resource = (*this)[def.args[0].id].resource;
      def.has_borrow = def.kind == TypeKind::Borrow;
      def.has_resource = true;
      break;
    case TypeKind::Resource:
      def.has_resource = true;
      break;
    case TypeKind::Stream:
    case TypeKind::Future:
      def.needs_memory = false;  // elements are copied later, by other calls
      break;
    case TypeKind::List:
    case TypeKind::Map:
      def.needs_memory = true;
      break;
    default:
      break;
  }

  if (is_value(def.kind)) {
    for (int w = 0; w < 2; ++w) {
      uint64_t size = 0;
      uint32_t align = 1;
      const auto field = [&](ValType t) {
        const Layout l = layout(t);
        align = std::max(align, l.align[w]);
        size = align_up(size, l.align[w]) + l.size[w];
      };
      const auto variant = [&](size_t cases, auto&& each) {
        const uint32_t tag = discriminant_bytes(cases);
        uint32_t payload_align = 1;
        uint64_t payload = 0;
        each([&](ValType t) {
          if (!t) return;
          const Layout l = layout(t);
          payload_align = std::max(payload_align, l.align[w]);
          payload = std::max(payload, l.size[w]);
        });
        align = std::max(tag, payload_align);
        size = align_up(tag, payload_align) + payload;
      };
      switch (def.kind) {
        case TypeKind::Record:
          for (const Label& l : def.labels) field(l.type);
          break;
        case TypeKind::Tuple:
        case TypeKind::Primitive:
          for (ValType t : def.args) field(t);
          break;
        case TypeKind::Variant:
          variant(def.labels.size(), [&](auto&& f) {
            for (const Label& l : def.labels) f(l.type);
          });
          break;
        case TypeKind::Enum:
          size = align = discriminant_bytes(def.labels.size());
          break;
        case TypeKind::Option:
        case TypeKind::Result:
          variant(2, [&](auto&& f) {
            for (ValType t : def.args) f(t);
          });
          break;
        case TypeKind::Flags: {
          const size_t n = def.labels.size();
          size = align = flags_bytes(n);
          break;
        }
        case TypeKind::List:
        case TypeKind::Map:
          align = w ? 8 : 4;
          size = 2 * align;
          break;
        case TypeKind::FixedList: {
          const Layout l = layout(def.args[0]);
          align = l.align[w];
          size = l.size[w] * def.length;
          break;
        }
        default:  // handles
          size = align = 4;
      }
      size = align_up(size, align);
      if (size >= kMaxElementSize)
        return invalid("value type exceeds maximum byte size of 268435455");
      def.layout.size[w] = size;
      def.layout.align[w] = align;
    }
    def.layout.flat = uint8_t(std::min<uint64_t>(flat_size(def), UINT8_MAX));
  }

  if (def.kind == TypeKind::Component || def.kind == TypeKind::Instance) {
    def.canon = id;
  } else {
    std::vector<uint64_t> key{static_cast<uint64_t>(def.kind), def.is_async, def.length,
                              def.resource, def.labels.size()};
    for (const Label& l : def.labels) {
      const auto next = static_cast<uint32_t>(label_ids_.size());
      key.push_back(label_ids_.try_emplace(l.name, next).first->second);
      key.push_back(canon(l.type));
    }
    // The resource itself says which type a handle is of.
    if (def.kind != TypeKind::Own && def.kind != TypeKind::Borrow)
      for (ValType t : def.args) key.push_back(canon(t));
    def.canon = canonical_.try_emplace(std::move(key), id).first->second;
  }
  types_.push_back({std::make_shared<const TypeDef>(std::move(def)), std::nullopt});
  return id;
}

TypeId TypeArena::alias(TypeId id) {
  types_.push_back({types_[id].def, id});
  return static_cast<TypeId>(types_.size() - 1);
}

uint64_t TypeArena::weight(const Entity& e) const {
  if (e.sort == Sort::CoreModule) return 1;
  if (e.sort == Sort::Value) return e.value.defined() ? (*this)[e.value.id].weight : 1;
  return (*this)[e.type].weight;
}

wafer::Result<void> TypeArena::spend(uint64_t weight) {
  spent_ += weight;
  if (spent_ <= kMaxTotalWeight) return {};
  return Error(ErrorKind::Exhaustion, "effective size of all types exceeds the limit of " +
                                          std::to_string(kMaxTotalWeight));
}

TypeId TypeArena::add_resource(ResourceId id) {
  TypeDef def;
  def.kind = TypeKind::Resource;
  def.resource = id;
  return *add(std::move(def));
}

uint32_t TypeArena::add_module(ModuleType type) {
  modules_.push_back(std::make_unique<ModuleType>(std::move(type)));
  return static_cast<uint32_t>(modules_.size() - 1);
}

bool TypeArena::has_free_resource(TypeId root) const {
  // Resources that are bound somewhere inside are bound wherever they are met: ids are unique.
  std::vector<TypeId> work{root};
  std::unordered_map<TypeId, bool> seen;
  std::unordered_map<ResourceId, bool> bound;
  std::vector<ResourceId> used;
  while (!work.empty()) {
    const TypeId id = work.back();
    work.pop_back();
    const TypeDef& def = (*this)[id];
    if (!def.has_resource || !seen.try_emplace(id, true).second) continue;
    if (def.kind == TypeKind::Resource) used.push_back(def.resource);
    for (ValType t : def.args)
      if (t.defined()) work.push_back(t.id);
    for (const Label& l : def.labels)
      if (l.type.defined()) work.push_back(l.type.id);
    if (!def.shape) continue;
    for (ResourceId r : def.shape->imported) bound[r] = true;
    for (ResourceId r : def.shape->defined) bound[r] = true;
    for (const EntityList* list : {&def.shape->imports, &def.shape->exports})
      for (const NamedEntity& e : *list)
        if (e.entity.sort != Sort::CoreModule && e.entity.sort != Sort::Value)
          work.push_back(e.entity.type);
  }
  return std::any_of(used.begin(), used.end(), [&](ResourceId r) { return !bound.contains(r); });
}

// ---- Substitution -------------------------------------------------------------------

wafer::Result<TypeId> TypeArena::substitute(TypeId id, Substitution& map) {
  if (auto it = map.types.find(id); it != map.types.end()) return it->second;
  if (map.same.contains(id)) return id;
  const Entry from = types_[id];
  const bool values = from.def->has_value && (map.fresh_values || !map.values.empty());
  if (map.types.empty() && !values && (map.resources.empty() || !from.def->has_resource)) return id;
  WAFER_TRY(spend(own_weight(*from.def)));
  TypeDef def = *from.def;
  bool changed = false;
  const auto value = [&](ValType& t) -> wafer::Result<void> {
    if (!t.defined()) return {};
    WAFER_LET(to, substitute(t.id, map));
    changed |= to != t.id;
    t.id = to;
    return {};
  };
  if (def.kind == TypeKind::Resource) {
    auto it = map.resources.find(def.resource);
    if (it == map.resources.end()) return id;
    return map.types[id] = add_resource(it->second);
  }
  for (ValType& t : def.args) WAFER_TRY(value(t));
  for (Label& l : def.labels) WAFER_TRY(value(l.type));
  if (def.shape) {
    auto shape = std::make_shared<Shape>();
    shape->imported = def.shape->imported;
    shape->defined = def.shape->defined;
    for (const bool exports : {false, true}) {
      for (const NamedEntity& e : exports ? def.shape->exports : def.shape->imports) {
        WAFER_LET(to, substitute(e.entity, map));
        changed |=
            to.type != e.entity.type || to.value != e.entity.value || to.number != e.entity.number;
        (exports ? shape->exports : shape->imports).add(e.name, to, e.attributes);
      }
    }
    def.shape = std::move(shape);
  }
  TypeId out = id;
  if (changed) {
    WAFER_LET(made, add(std::move(def)));
    out = made;
  }
  if (from.alias_of) {
    WAFER_LET(to, substitute(*from.alias_of, map));
    if (changed || to != *from.alias_of) {
      if (!changed) out = alias(id);
      types_[out].alias_of = to;
    }
  }
  if (out == id)
    map.same.insert(id);
  else
    map.types[id] = out;
  return out;
}

wafer::Result<Entity> TypeArena::substitute(const Entity& entity, Substitution& map) {
  Entity out = entity;
  if (entity.sort == Sort::CoreModule) return out;
  if (entity.sort == Sort::Value) {
    if (const auto it = map.values.find(entity.number); it != map.values.end())
      out.number = it->second;
    else if (map.fresh_values && entity.number < kConstantValue)
      out.number = map.values[entity.number] = fresh_value();
    if (entity.value.defined()) {
      WAFER_LET(id, substitute(entity.value.id, map));
      out.value.id = id;
    }
    return out;
  }
  WAFER_LET(id, substitute(entity.type, map));
  out.type = id;
  return out;
}

// ---- Matching -----------------------------------------------------------------------

wafer::Result<void> TypeArena::match_value(ValType a, ValType b) const {
  if (canon(a) == canon(b)) return {};
  const std::string found(describe(a)), wanted(describe(b));
  if (!a.defined() || !b.defined() || (*this)[a.id].kind != (*this)[b.id].kind) {
    return invalid("expected " + wanted + ", found " + found);
  }
  // The same kind of type: say where it differs.
  const TypeDef &x = (*this)[a.id], &y = (*this)[b.id];
  switch (x.kind) {
    case TypeKind::Record:
    case TypeKind::Variant: {
      const std::string what = x.kind == TypeKind::Record ? "field" : "case";
      if (x.labels.size() != y.labels.size())
        return invalid("expected " + std::to_string(y.labels.size()) + " " + what + "s, found " +
                       std::to_string(x.labels.size()));
      for (size_t i = 0; i < x.labels.size(); ++i) {
        if (x.labels[i].name != y.labels[i].name)
          return invalid("expected " + what + (what == "field" ? " name `" : " named `") +
                         y.labels[i].name + "`, found `" + x.labels[i].name + "`");
        if (x.labels[i].type && !y.labels[i].type)
          return invalid("expected case `" + y.labels[i].name + "` to have no type");
        if (!x.labels[i].type && y.labels[i].type)
          return invalid("expected case `" + y.labels[i].name + "` to have a type, found none");
        if (auto r = match_value(x.labels[i].type, y.labels[i].type); !r.ok())
          return invalid("type mismatch in " + std::string(kind_name(x.kind)) + " " + what + " `" +
                         y.labels[i].name + "`: " + std::string(r.error().message));
      }
      break;
    }
    case TypeKind::Tuple:
      if (x.args.size() != y.args.size())
        return invalid("expected " + std::to_string(y.args.size()) + " types, found " +
                       std::to_string(x.args.size()));
      for (size_t i = 0; i < x.args.size(); ++i)
        if (auto r = match_value(x.args[i], y.args[i]); !r.ok())
          return invalid("type mismatch in tuple field " + std::to_string(i) + ": " +
                         std::string(r.error().message));
      break;
    case TypeKind::Result:
      for (size_t i = 0; i < 2; ++i) {
        const std::string what = i ? "err" : "ok";
        if (x.args[i] && !y.args[i]) return invalid("expected " + what + " type to not be present");
        if (!x.args[i] && y.args[i]) return invalid("expected " + what + " type, but found none");
        if (auto r = match_value(x.args[i], y.args[i]); !r.ok())
          return invalid("type mismatch in " + what +
                         " variant: " + std::string(r.error().message));
      }
      break;
    case TypeKind::Own:
    case TypeKind::Borrow:
      return invalid("resource types are not the same");
    case TypeKind::Flags:
    case TypeKind::Enum:
      return invalid("mismatch in " + std::string(kind_name(x.kind)) + " elements");
    case TypeKind::FixedList:
      if (x.length != y.length)
        return invalid("expected a list of " + std::to_string(y.length) + " elements, found " +
                       std::to_string(x.length));
      [[fallthrough]];
    default:
      for (size_t i = 0; i < x.args.size() && i < y.args.size(); ++i)
        WAFER_TRY(match_value(x.args[i], y.args[i]));
  }
  return invalid("type mismatch: expected " + wanted + ", found " + found);
}

wafer::Result<void> TypeArena::match_func(TypeId a, TypeId b) const {
  const TypeDef &x = (*this)[a], &y = (*this)[b];
  if (x.canon == y.canon) return {};
  if (x.is_async != y.is_async)
    return invalid(y.is_async ? "expected an async function, found one that is not"
                              : "expected a function that is not async, found an async one");
  if (x.labels.size() != y.labels.size())
    return invalid("expected " + std::to_string(y.labels.size()) + " parameters, found " +
                   std::to_string(x.labels.size()));
  for (size_t i = 0; i < x.labels.size(); ++i) {
    if (x.labels[i].name != y.labels[i].name)
      return invalid("expected parameter named `" + y.labels[i].name + "`, found `" +
                     x.labels[i].name + "`");
    if (auto r = match_value(x.labels[i].type, y.labels[i].type); !r.ok())
      return invalid("type mismatch in function parameter `" + y.labels[i].name +
                     "`: " + std::string(r.error().message));
  }
  if (y.args[0] && !x.args[0]) return invalid("expected a result, found none");
  if (auto r = match_value(x.args[0], y.args[0]); !r.ok())
    return invalid("type mismatch with result type: " + std::string(r.error().message));
  return {};
}

wafer::Result<void> TypeArena::match_type(TypeId a, TypeId b) {
  const TypeDef &x = (*this)[a], &y = (*this)[b];
  if (x.canon == y.canon) return {};
  const auto group = [](TypeKind k) {
    return is_value(k) ? std::string_view("defined type") : kind_name(k);
  };
  if (group(x.kind) != group(y.kind))
    return invalid("expected " + std::string(group(y.kind)) + ", found " +
                   std::string(group(x.kind)));
  switch (y.kind) {
    case TypeKind::Resource:
      return invalid("resource types are not the same");
    case TypeKind::Func:
      return match_func(a, b);
    case TypeKind::Component:
      WAFER_TRY(match_component(a, b));
      return match_component(b, a);
    case TypeKind::Instance: {
      Entity one, other;
      one.sort = other.sort = Sort::Instance;
      one.type = a;
      other.type = b;
      WAFER_TRY(match(one, other));
      return match(other, one);
    }
    default:
      return match_value(ValType::of(a), ValType::of(b));
  }
}

wafer::Result<void> TypeArena::match_instance(const EntityList& a, const EntityList& b) {
  for (const NamedEntity& wanted : b) {
    const Entity* given = a.find(wanted.name);
    if (!given) return invalid("missing expected export `" + wanted.name + "`");
    if (auto r = match(*given, wanted.entity); !r.ok())
      return Error(r.error().kind, "type mismatch in instance export `" + wanted.name +
                                       "`: " + std::string(r.error().message));
  }
  return {};
}

wafer::Result<void> TypeArena::match_component(TypeId a, TypeId b) {
  // `a` takes what the users of `b` give: fewer imports, more exports.
  const std::shared_ptr<const Shape> x = (*this)[a].shape, y = (*this)[b].shape;
  Substitution map;
  std::unordered_map<ResourceId, bool> imported, defined;
  for (ResourceId r : x->imported) imported[r] = true;
  for (ResourceId r : y->defined) defined[r] = true;
  for (const NamedEntity& wanted : x->imports) {
    const Entity* given = y->imports.find(wanted.name);
    if (!given) return invalid("missing expected import `" + wanted.name + "`");
    WAFER_TRY(open(*given, wanted.entity, imported, map));
    map.forget_types();
    WAFER_LET(entity, substitute(wanted.entity, map));
    if (auto r = match(*given, entity); !r.ok())
      return Error(r.error().kind, "type mismatch in import `" + wanted.name +
                                       "`: " + std::string(r.error().message));
  }
  Substitution exported;
  for (const NamedEntity& wanted : y->exports) {
    const Entity* found = x->exports.find(wanted.name);
    if (!found) return invalid("missing expected export `" + wanted.name + "`");
    WAFER_LET(given, substitute(*found, map));
    WAFER_TRY(open(given, wanted.entity, defined, exported));
    exported.forget_types();
    WAFER_LET(entity, substitute(wanted.entity, exported));
    if (auto r = match(given, entity); !r.ok())
      return Error(r.error().kind, "type mismatch in export `" + wanted.name +
                                       "`: " + std::string(r.error().message));
  }
  return {};
}

wafer::Result<void> TypeArena::match(const Entity& a, const Entity& b) {
  if (a.sort != b.sort)
    return invalid("expected " + std::string(sort_name(b.sort)) + ", found " +
                   std::string(sort_name(a.sort)));
  if (depth_ == kMaxTypeDepth) return Error(ErrorKind::Exhaustion, "types are nested too deeply");
  ++depth_;
  const auto run = [&]() -> wafer::Result<void> {
    switch (b.sort) {
      case Sort::CoreModule:
        return match_module(*registry_, module(a.module), module(b.module));
      case Sort::Func:
        return match_func(a.type, b.type);
      case Sort::Value:
        if (b.equal && b.number != a.number)
          return invalid("expected a value that is equal to another, found any");
        return match_value(a.value, b.value);
      case Sort::Type:
        return match_type(a.type, b.type);
      case Sort::Component:
        return match_component(a.type, b.type);
      case Sort::Instance: {
        // Copies: matching may add types and move what is there.
        const std::shared_ptr<const Shape> x = (*this)[a.type].shape, y = (*this)[b.type].shape;
        if (x == y) return {};
        std::unordered_map<ResourceId, bool> defined;
        for (ResourceId r : y->defined) defined[r] = true;
        if (defined.empty() && !(*this)[b.type].has_value)
          return match_instance(x->exports, y->exports);
        Substitution map;
        WAFER_TRY(open(a, b, defined, map));
        WAFER_LET(wanted, substitute(b.type, map));
        return match_instance(x->exports, (*this)[wanted].shape->exports);
      }
    }
    return {};
  };
  auto result = run();
  --depth_;
  return result;
}

wafer::Result<void> TypeArena::open(const Entity& given, const Entity& wanted,
                                    const std::unordered_map<ResourceId, bool>& open_set,
                                    Substitution& map) {
  if (wanted.sort == Sort::Type && (*this)[wanted.type].kind == TypeKind::Resource) {
    const ResourceId r = (*this)[wanted.type].resource;
    if (!open_set.contains(r) || map.resources.contains(r)) return {};
    if (given.sort != Sort::Type)
      return invalid("expected type, found " + std::string(sort_name(given.sort)));
    if ((*this)[given.type].kind != TypeKind::Resource)
      return invalid("expected resource, found defined type");
    map.resources[r] = (*this)[given.type].resource;
  } else if (wanted.sort == Sort::Value && given.sort == Sort::Value) {
    if (!wanted.equal) map.values[wanted.number] = given.number;
  } else if (wanted.sort == Sort::Instance && given.sort == Sort::Instance) {
    const std::shared_ptr<const Shape> x = (*this)[given.type].shape,
                                       y = (*this)[wanted.type].shape;
    for (const NamedEntity& e : y->exports)
      if (const Entity* inner = x->exports.find(e.name))
        WAFER_TRY(open(*inner, e.entity, open_set, map));
  }
  return {};
}

void TypeArena::bind_types(const Entity& given, const Entity& wanted, Substitution& map) const {
  if (wanted.sort == Sort::Type) {
    map.types[wanted.type] = given.type;
  } else if (wanted.sort == Sort::Instance) {
    for (const NamedEntity& e : (*this)[wanted.type].shape->exports)
      if (const Entity* inner = (*this)[given.type].shape->exports.find(e.name))
        bind_types(*inner, e.entity, map);
  }
}

wafer::Result<Shape> TypeArena::instantiate_with(TypeId component, const Find& argument) {
  const std::shared_ptr<const Shape> shape = (*this)[component].shape;
  std::unordered_map<ResourceId, bool> imported;
  for (ResourceId r : shape->imported) imported[r] = true;
  Substitution map, arguments;
  for (const NamedEntity& wanted : shape->imports) {
    const Entity* given = argument(wanted.name);
    if (!given) return invalid("missing import named `" + wanted.name + "`");
    WAFER_TRY(open(*given, wanted.entity, imported, map));
    map.forget_types();
    WAFER_LET(entity, substitute(wanted.entity, map));
    if (auto r = match(*given, entity); !r.ok())
      return Error(r.error().kind,
                   std::string(r.error().message) + " (import `" + wanted.name + "`)");
    bind_types(*given, wanted.entity, arguments);
  }
  map.forget_types();
  map.types = std::move(arguments.types);
  map.fresh_values = true;
  Shape out;
  for (ResourceId r : shape->defined) {
    map.resources[r] = fresh_resource();
    out.defined.push_back(map.resources[r]);
  }
  WAFER_TRY(spend(kEntityWeight * shape->exports.size()));
  for (const NamedEntity& e : shape->exports) {
    WAFER_LET(entity, substitute(e.entity, map));
    out.exports.add(e.name, entity);
  }
  return out;
}

// ---- Flattening ---------------------------------------------------------------------

bool TypeArena::flatten(ValType t, bool memory64, size_t most,
                        std::vector<wasm::ValType>& out) const {
  const wasm::ValType pointer = memory64 ? wasm::kI64 : wasm::kI32;
  const auto push = [&](wasm::ValType v) {
    if (out.size() == most) return false;
    out.push_back(v);
    return true;
  };
  const auto all = [&](auto&& list) {
    for (const auto& item : list)
      if (!flatten(type_of(item), memory64, most, out)) return false;
    return true;
  };
  // Cases share their places, which are as wide as the widest of them.
  const auto variant = [&](auto&& list) {
    if (!push(wasm::kI32)) return false;
    const size_t base = out.size();
    std::vector<wasm::ValType> one;
    for (const auto& item : list) {
      one.clear();
      if (type_of(item) && !flatten(type_of(item), memory64, most - base, one)) return false;
      for (size_t i = 0; i < one.size(); ++i) {
        if (base + i == out.size()) {
          out.push_back(one[i]);
        } else if (out[base + i] != one[i]) {
          const bool narrow = (out[base + i] == wasm::kI32 || out[base + i] == wasm::kF32) &&
                              (one[i] == wasm::kI32 || one[i] == wasm::kF32);
          out[base + i] = narrow ? wasm::kI32 : wasm::kI64;
        }
      }
    }
    return true;
  };
  switch (t.prim) {
    case Prim::None:
      return true;
    case Prim::S64:
    case Prim::U64:
      return push(wasm::kI64);
    case Prim::F32:
      return push(wasm::kF32);
    case Prim::F64:
      return push(wasm::kF64);
    case Prim::String:
      return push(pointer) && push(pointer);
    case Prim::Defined:
      break;
    default:
      return push(wasm::kI32);
  }
  const TypeDef& def = (*this)[t.id];
  switch (def.kind) {
    case TypeKind::Primitive:
    case TypeKind::Tuple:
      return all(def.args);
    case TypeKind::Record:
      return all(def.labels);
    case TypeKind::Variant:
      return variant(def.labels);
    case TypeKind::Enum:
      return push(wasm::kI32);
    case TypeKind::Option:
    case TypeKind::Result:
      return variant(def.args);
    case TypeKind::List:
    case TypeKind::Map:
      return push(pointer) && push(pointer);
    case TypeKind::FixedList:
      for (uint32_t i = 0; i < def.length; ++i)
        if (!flatten(def.args[0], memory64, most, out)) return false;
      return true;
    default:
      return push(wasm::kI32);
  }
}

// ---- Core ---------------------------------------------------------------------------

namespace {

std::string_view core_kind(wasm::ExternKind kind) {
  constexpr std::string_view kNames[] = {"func", "table", "memory", "global", "tag"};
  return kNames[static_cast<size_t>(kind)];
}

std::string text(wasm::ValType t) { return std::string(std::string_view(wasm::to_string(t))); }

// Whether limits `a` fit where `b` is wanted (core specification 3.3.11).
bool limits_match(const wasm::Limits& a, const wasm::Limits& b) {
  if (a.min < b.min) return false;
  return !b.has_max || (a.has_max && a.max <= b.max);
}

}  // namespace

wafer::Result<void> match_core(const wasm::TypeRegistry& registry, const CoreExtern& a,
                               const CoreExtern& b) {
  if (a.kind != b.kind)
    return invalid("expected " + std::string(core_kind(b.kind)) + ", found " +
                   std::string(core_kind(a.kind)));
  switch (b.kind) {
    case wasm::ExternKind::Func:
      if (!registry.is_subtype(a.type, b.type))
        return invalid("type mismatch: function types differ");
      return {};
    case wasm::ExternKind::Tag:
      if (a.type != b.type) return invalid("type mismatch: tag types differ");
      return {};
    case wasm::ExternKind::Table:
      if (a.table.element != b.table.element)
        return invalid("expected table element type " + text(b.table.element) + ", found " +
                       text(a.table.element));
      if (a.table.limits.is64 != b.table.limits.is64)
        return invalid("mismatch in index type used for tables");
      if (!limits_match(a.table.limits, b.table.limits)) return invalid("mismatch in table limits");
      return {};
    case wasm::ExternKind::Memory:
      if (a.memory.limits.shared != b.memory.limits.shared)
        return invalid("mismatch in the shared flag for memories");
      if (a.memory.limits.is64 != b.memory.limits.is64)
        return invalid("mismatch in index type used for memories");
      if (a.memory.page_size_log2 != b.memory.page_size_log2)
        return invalid("mismatch in custom page size for memories");
      if (!limits_match(a.memory.limits, b.memory.limits))
        return invalid("mismatch in memory limits");
      return {};
    case wasm::ExternKind::Global: {
      const bool same = a.global.is_mutable == b.global.is_mutable;
      const bool fits = b.global.is_mutable ? a.global.type == b.global.type
                                            : registry.is_subtype(a.global.type, b.global.type);
      if (!same) return invalid("global types differ in mutability");
      if (!fits)
        return invalid("expected global type " + text(b.global.type) + ", found " +
                       text(a.global.type));
      return {};
    }
  }
  return {};
}

wafer::Result<void> match_module(const wasm::TypeRegistry& registry, const ModuleType& a,
                                 const ModuleType& b) {
  std::map<std::pair<std::string_view, std::string_view>, const CoreExtern*> imports;
  for (const CoreImport& i : b.imports) imports[{i.module, i.name}] = &i.type;
  for (const CoreImport& wanted : a.imports) {
    const auto given = imports.find({wanted.module, wanted.name});
    const std::string name = wanted.module + "::" + wanted.name;
    if (given == imports.end()) return invalid("missing expected import `" + name + "`");
    if (auto r = match_core(registry, *given->second, wanted.type); !r.ok())
      return invalid("type mismatch in import `" + name + "`: " + std::string(r.error().message));
  }
  std::unordered_map<std::string_view, const CoreExtern*> exports;
  for (const auto& [name, type] : a.exports) exports[name] = &type;
  for (const auto& [name, wanted] : b.exports) {
    const auto given = exports.find(name);
    if (given == exports.end()) return invalid("missing expected export `" + name + "`");
    if (auto r = match_core(registry, *given->second, wanted); !r.ok())
      return invalid("type mismatch in export `" + name + "`: " + std::string(r.error().message));
  }
  return {};
}

// ---- Types as text

namespace {

class TypeText {
 public:
  TypeText(const TypeArena& types, size_t most, bool form = false)
      : types_(types), most_(most), form_(form) {}

  void func(const TypeDef& def) {
    out += form_ ? "(" : def.is_async ? "async func(" : "func(";
    list(def.labels.size(), [&](size_t i) { value(def.labels[i].type); });
    out += ")";
    if (!def.args[0]) return;
    out += " -> ";
    value(def.args[0]);
  }
  void value(ValType t) {
    if (out.size() > most_) return;
    if (!t) {
      out += "_";
      return;
    }
    if (!t.defined()) {
      out += prim_name(t.prim);
      return;
    }
    const TypeDef& def = types_[t.id];
    if (def.kind == TypeKind::Primitive) return value(def.args[0]);
    if (form_ && by_form(def)) return;
    out += kind_name(def.kind);
    if (def.kind == TypeKind::Own || def.kind == TypeKind::Borrow) return;
    if (!def.labels.empty()) {
      out += "{";
      list(def.labels.size(), [&](size_t i) {
        out += def.labels[i].name;
        if (!def.labels[i].type) return;
        out += ": ";
        value(def.labels[i].type);
      });
      out += "}";
      return;
    }
    out += "<";
    list(def.args.size(), [&](size_t i) { value(def.args[i]); });
    if (def.kind == TypeKind::FixedList) out += ", " + std::to_string(def.length);
    out += ">";
  }

  std::string out;

 private:
  template <class F>
  void list(size_t n, F&& item) {
    for (size_t i = 0; i < n && out.size() <= most_; ++i) {
      if (i) out += ", ";
      item(i);
    }
  }

  // False: as by name.
  bool by_form(const TypeDef& def) {
    const auto labels = [&](size_t i) { value(def.labels[i].type); };
    switch (def.kind) {
      case TypeKind::Record:
        out += "tuple<";
        list(def.labels.size(), labels);
        break;
      case TypeKind::Variant:
        out += "variant<";
        list(def.labels.size(), labels);
        break;
      case TypeKind::Enum:
        out += "enum<" + std::to_string(def.labels.size());
        break;
      case TypeKind::Flags:
        out += "flags<" + std::to_string(def.labels.size());
        break;
      case TypeKind::FixedList:
        out += "list<";
        value(def.args[0]);
        out += ", " + std::to_string(def.length);
        break;
      case TypeKind::Map:
        out += "list<tuple<";
        list(def.args.size(), [&](size_t i) { value(def.args[i]); });
        out += ">";
        break;
      default:
        return false;
    }
    out += ">";
    return true;
  }

  const TypeArena& types_;
  const size_t most_;
  const bool form_;
};

// Past the type that begins there.
size_t past_type(std::string_view text, size_t i) {
  for (int depth = 0; i < text.size(); ++i) {
    if (depth == 0 && std::string_view(",)>").find(text[i]) != std::string_view::npos) break;
    depth += text[i] == '<' ? 1 : text[i] == '>' ? -1 : 0;
  }
  return i;
}

// Whether two forms are the same, where "*" is any type.
bool matches(std::string_view a, std::string_view b) {
  size_t i = 0, k = 0;
  while (i < a.size() && k < b.size()) {
    if (a[i] != '*' && b[k] != '*') {
      if (a[i++] != b[k++]) return false;
      continue;
    }
    const size_t x = past_type(a, i), y = past_type(b, k);
    if (x == i || y == k) return false;
    i = x;
    k = y;
  }
  return i == a.size() && k == b.size();
}

std::string shown(std::string_view text) {
  constexpr size_t kMost = 200;
  return std::string(text.substr(0, kMost)) + (text.size() > kMost ? "..." : "");
}

}  // namespace

std::string func_text(const TypeArena& types, const TypeDef& func, size_t most) {
  TypeText text(types, most);
  text.func(func);
  return std::move(text.out);
}

std::string func_form(const TypeArena& types, const TypeDef& func) {
  TypeText text(types, 1 << 20, /*form=*/true);
  text.func(func);
  return std::move(text.out);
}

std::string type_form(const TypeArena& types, ValType type) {
  TypeText text(types, 1 << 20, /*form=*/true);
  text.value(type);
  return std::move(text.out);
}

std::string other_signature(const TypeArena& types, const TypeDef& func, std::string_view wanted) {
  const bool form = wanted.starts_with("(");
  std::string found = form ? func_form(types, func) : func_text(types, func, wanted.size() + 1);
  if (form ? matches(found, wanted) : found == wanted) return {};
  return "the component's type is " + shown(found) + ", the host's " + shown(wanted);
}

std::string other_form(std::string_view found, std::string_view wanted) {
  if (matches(found, wanted)) return {};
  return "expected " + shown(wanted) + ", found " + shown(found);
}

}  // namespace wafer::component
