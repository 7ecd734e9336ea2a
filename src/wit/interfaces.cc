// Interfaces: types in order of dependence, and functions.
#include <algorithm>
#include <unordered_set>

#include "wit/scope.h"

namespace wafer::wit {

namespace {

constexpr size_t kMaxFlags = 32;  // Binary.md: flags have at most 32 labels

// "[method][get]r.f" and the like (WIT.md, "Item: resource").
std::string function_name(const ast::Func& func, const ast::TypeDef* resource) {
  if (func.is_constructor) return "[constructor]" + std::string(resource->name.text);
  std::string out;
  if (resource) out += func.is_static ? "[static]" : "[method]";
  if (func.accessor == Accessor::Get) out += "[get]";
  if (func.accessor == Accessor::Set) out += "[set]";
  if (resource) out += std::string(resource->name.text) + ".";
  return out + std::string(func.name.text);
}

// Calls `f` with each name of a type that `expr` refers to.
template <class F>
void each_name(const ast::TypeExpr& expr, F&& f) {
  using Kind = ast::TypeExpr::Kind;
  if (expr.kind == Kind::Name || expr.kind == Kind::Own || expr.kind == Kind::Borrow) f(expr.name);
  for (const ast::TypeExpr& arg : expr.args) each_name(arg, f);
}

template <class F>
void each_name(const ast::TypeDef& def, F&& f) {
  each_name(def.aliased, f);
  for (const ast::Member& m : def.members) each_name(m.type, f);
}

}  // namespace

TypeId Resolver::add_type(TypeDef def) {
  bool borrows = def.kind == TypeKind::Borrow;
  for (Type t : def.args) borrows |= contains_borrow(t);
  for (const Member& m : def.members) borrows |= contains_borrow(m.type);
  if (def.kind == TypeKind::Own) borrows = false;
  contains_borrow_.push_back(borrows);
  const auto id = static_cast<TypeId>(out_.types.size());
  unaliased_.push_back(def.kind == TypeKind::Alias ? unaliased(def.args[0]) : Type::of(id));
  out_.types.push_back(std::move(def));
  return id;
}

TypeId Resolver::anonymous(TypeKind kind, std::vector<Type> args, uint32_t length) {
  auto [it, fresh] = anonymous_.try_emplace({{kind, length}, args}, 0);
  if (fresh) {
    TypeDef def;
    def.kind = kind;
    def.args = std::move(args);
    def.length = length;
    it->second = add_type(std::move(def));
  }
  return it->second;
}

Result<Type> Resolver::named_type(const Place& place, const ast::Id& name, Span referrer) const {
  auto it = place.scope.find(name.text);
  if (it == place.scope.end())
    return error(name.span, "type " + ticked(name.text) + " does not exist");
  if (it->second.kind == Entry::Kind::Function)
    return error(name.span, "cannot use function " + ticked(name.text) + " as a type");
  if (it->second.excluded)
    return error(referrer, "found a reference to type " + ticked(name.text) +
                               ", which a feature gate leaves out");
  return Type::of(it->second.id);
}

Result<Type> Resolver::type(Place& place, const ast::TypeExpr& expr) {
  using Kind = ast::TypeExpr::Kind;
  const auto is_resource = [&](Type t) {
    const Type u = unaliased(t);
    return u.defined() && out_.types[u.id].kind == TypeKind::Resource;
  };
  switch (expr.kind) {
    case Kind::None:
      return Type();
    case Kind::Primitive:
      return Type{expr.prim, 0};
    case Kind::Name: {
      WAFER_LET(t,
                named_type(place, expr.name, place.referrer.end ? place.referrer : expr.name.span));
      // The name of a resource stands for a handle that owns it.
      if (is_resource(t)) return Type::of(anonymous(TypeKind::Own, {t}));
      return t;
    }
    case Kind::Own:
    case Kind::Borrow: {
      WAFER_LET(t,
                named_type(place, expr.name, place.referrer.end ? place.referrer : expr.name.span));
      if (!is_resource(t))
        return error(expr.name.span,
                     "type " + ticked(expr.name.text) + " used in a handle must be a resource");
      return Type::of(anonymous(expr.kind == Kind::Own ? TypeKind::Own : TypeKind::Borrow, {t}));
    }
    default:
      break;
  }
  std::vector<Type> args;
  for (const ast::TypeExpr& arg : expr.args) {
    WAFER_LET(t, type(place, arg));
    args.push_back(t);
  }
  constexpr std::pair<Kind, TypeKind> kKinds[] = {
      {Kind::List, TypeKind::List},     {Kind::FixedList, TypeKind::FixedList},
      {Kind::Map, TypeKind::Map},       {Kind::Option, TypeKind::Option},
      {Kind::Result, TypeKind::Result}, {Kind::Tuple, TypeKind::Tuple},
      {Kind::Future, TypeKind::Future}, {Kind::Stream, TypeKind::Stream}};
  for (const auto& [from, to] : kKinds) {
    if (from != expr.kind) continue;
    if (to == TypeKind::Tuple && args.empty()) return error(expr.span, "empty tuple");
    if ((to == TypeKind::Future || to == TypeKind::Stream) && args.empty()) args.emplace_back();
    if (to == TypeKind::Map) {
      const Prim key = unaliased(args[0]).prim;
      if (!component::is_key_prim(key))
        return error(expr.args[0].span, "invalid key type of a map");
    }
    return Type::of(anonymous(to, std::move(args), expr.length));
  }
  return error(expr.span, "unknown type");
}

Result<void> Resolver::check_members(const ast::TypeDef& def) const {
  const char* what = def.kind == TypeKind::Record  ? "field"
                     : def.kind == TypeKind::Flags ? "flag"
                                                   : "case";
  if (def.members.empty() && (def.kind == TypeKind::Variant || def.kind == TypeKind::Enum))
    return error(def.name.span, def.kind == TypeKind::Variant ? "empty variant" : "empty enum");
  UniqueNames names;
  for (const ast::Member& m : def.members) {
    const std::string name(m.name.text);
    if (const std::string* previous = names.add(name)) {
      return error(m.name.span, *previous == name
                                    ? std::string("duplicate ") + what + " " + ticked(name)
                                    : std::string(what) + " " + ticked(name) +
                                          " conflicts with previous " + what + " " +
                                          ticked(*previous));
    }
  }
  if (def.kind == TypeKind::Flags && def.members.size() > kMaxFlags)
    return error(def.members[kMaxFlags].name.span, "cannot have more than 32 flags");
  return {};
}

Result<TypeId> Resolver::define_type(Place& place, const ast::TypeDef& def) {
  TypeDef out;
  out.kind = def.kind;
  out.name = def.name.text;
  out.owner_kind = place.owner_kind;
  out.owner = place.owner;
  out.docs = def.attributes.docs;
  out.stability = def.attributes.stability;
  out.external_id = def.attributes.external_id;
  WAFER_TRY(check_members(def));
  place.referrer = def.name.span;
  if (def.kind == TypeKind::Alias) {
    const ast::TypeExpr& expr = def.aliased;
    if (expr.kind == ast::TypeExpr::Kind::Name) {
      // An alias of a resource is a resource, and no handle.
      WAFER_LET(t, named_type(place, expr.name, place.referrer));
      out.args = {t};
    } else {
      WAFER_LET(t, type(place, expr));
      if (t.defined() && out_.types[t.id].name.empty()) {
        // `type t = list<u8>` names the list itself.
        out.kind = out_.types[t.id].kind;
        out.args = out_.types[t.id].args;
        out.length = out_.types[t.id].length;
      } else {
        out.args = {t};
      }
    }
  }
  for (const ast::Member& m : def.members) {
    place.referrer = m.name.span;
    WAFER_LET(t, type(place, m.type));
    out.members.push_back({std::string(m.name.text), t, m.docs});
  }
  place.referrer = {};
  return add_type(std::move(out));
}

Result<void> Resolver::use_types(Place& place, const ast::Use& use, std::vector<TypeId>& defined,
                                 std::vector<UsedInterface>* used) {
  WAFER_LET(in, included(use.attributes, use.from.name.span));
  WAFER_LET(from, look_up(place.package, place.body, use.from));
  if (in || from.kind != Entry::Kind::Interface) {
    WAFER_LET(target, wanted(place.package, place.body, use.from, Entry::Kind::Interface));
    from = target;
  }
  if (in && used) used->push_back({from.id, use.attributes.stability});
  for (const ast::UseName& name : use.names) {
    Entry entry;
    entry.excluded = true;
    if (in) {
      const TypeScope& types = interface_scopes_[from.id];
      auto it = types.find(name.name.text);
      if (it == types.end())
        return error(name.name.span, "type " + ticked(name.name.text) + " does not exist in " +
                                         ticked(use.from.name.text));
      if (it->second.kind == Entry::Kind::Function)
        return error(name.name.span, "cannot import function " + ticked(name.name.text));
      if (it->second.excluded)
        return error(name.name.span, "found a reference to type " + ticked(name.name.text) +
                                         ", which a feature gate leaves out");
      TypeDef def;
      def.name = name.local().text;
      def.owner_kind = place.owner_kind;
      def.owner = place.owner;
      def.args = {Type::of(it->second.id)};
      def.stability = use.attributes.stability;
      entry.id = add_type(std::move(def));
      entry.excluded = false;
      defined.push_back(entry.id);
    }
    if (!place.scope.try_emplace(name.local().text, entry).second)
      return error(name.local().span,
                   "name " + ticked(name.local().text) + " is defined more than once");
    if (const std::string* previous = place.names.add(std::string(name.local().text)))
      return error(name.local().span, "name " + ticked(name.local().text) +
                                          " conflicts with previous name " + ticked(*previous));
  }
  return {};
}

Result<void> Resolver::define_types(Place& place, const Definitions& definitions,
                                    std::vector<TypeId>& defined,
                                    std::vector<UsedInterface>* used) {
  for (const ast::Use* use : definitions.uses) WAFER_TRY(use_types(place, *use, defined, used));
  const auto& defs = definitions.defs;
  std::unordered_map<std::string_view, uint32_t> index;
  for (uint32_t i = 0; i < defs.size(); ++i) {
    const ast::Id& name = defs[i]->name;
    if (place.scope.contains(name.text) || !index.try_emplace(name.text, i).second)
      return error(name.span, "name " + ticked(name.text) + " is defined more than once");
    if (const std::string* previous = place.names.add(std::string(name.text)))
      return error(name.span, "name " + ticked(name.text) + " conflicts with previous name " +
                                  ticked(*previous));
  }
  // Known so that their use as types has a message of its own.
  for (const ast::Func* func : definitions.funcs) {
    Entry entry;
    entry.kind = Entry::Kind::Function;
    if (!index.contains(func->name.text)) place.scope.try_emplace(func->name.text, entry);
  }
  std::vector<std::vector<Edge>> edges(defs.size());
  for (size_t i = 0; i < defs.size(); ++i) {
    each_name(*defs[i], [&](const ast::Id& name) {
      auto it = index.find(name.text);
      if (it != index.end()) edges[i].push_back({it->second, name.span});
    });
  }
  const Order order = topological_order(edges);
  if (order.cyclic)
    return error(order.cycle.span,
                 "type " + ticked(defs[order.cycle.to]->name.text) + " depends on itself");
  for (uint32_t i : order.sorted) {
    Entry entry;
    WAFER_LET(in, included(defs[i]->attributes, defs[i]->name.span));
    entry.excluded = !in;
    if (in) {
      WAFER_LET(id, define_type(place, *defs[i]));
      entry.id = id;
      defined.push_back(id);
    }
    place.scope.insert_or_assign(defs[i]->name.text, entry);
  }
  return {};
}

Result<Function> Resolver::function(Place& place, const ast::Func& func, const ast::TypeDef* def) {
  Function out;
  out.name = function_name(func, def);
  out.accessor = func.accessor;
  out.is_async = func.is_async;
  out.docs = func.attributes.docs;
  out.stability = func.attributes.stability;
  out.external_id = func.attributes.external_id;
  Type self;
  if (def) {
    out.kind = func.is_constructor ? FunctionKind::Constructor
               : func.is_static    ? FunctionKind::Static
                                   : FunctionKind::Method;
    WAFER_LET(resource, named_type(place, def->name, func.name.span));
    self = resource;
    out.resource = self.id;
  }
  UniqueNames names;
  if (out.kind == FunctionKind::Method) {
    out.params.push_back({"self", Type::of(anonymous(TypeKind::Borrow, {self}))});
    names.add("self");
  }
  for (const ast::Param& p : func.params) {
    const std::string name(p.name.text);
    if (names.add(name))
      return error(p.name.span, "param " + ticked(name) + " is defined more than once");
    WAFER_LET(t, type(place, p.type));
    out.params.push_back({name, t});
  }
  if (out.kind == FunctionKind::Constructor) {
    const Type own = Type::of(anonymous(TypeKind::Own, {self}));
    if (func.result.kind == ast::TypeExpr::Kind::None) {
      out.result = own;
      return out;
    }
    if (func.result.kind != ast::TypeExpr::Kind::Result)
      return error(func.result.span,
                   "if a constructor return type is declared it must be a `result`");
    WAFER_LET(result, type(place, func.result));
    if (out_.types[result.id].args[0] != own) {
      const Span at = func.result.args[0].kind == ast::TypeExpr::Kind::None
                          ? func.result.span
                          : func.result.args[0].span;
      return error(at, "the `ok` type must be the resource being constructed");
    }
    out.result = result;
    return out;
  }
  WAFER_LET(result, type(place, func.result));
  if (contains_borrow(result))
    return error(func.name.span,
                 "function " + ticked(out.name) + " returns a type which contains a `borrow<T>`");
  out.result = result;
  return out;
}

Result<void> Resolver::define_function(Place& place, const ast::Func& func, const ast::TypeDef* def,
                                       std::vector<Function>& functions, std::vector<Span>& spans) {
  const std::string name = function_name(func, def);
  if (const std::string* previous = place.names.add(name)) {
    return error(func.name.span, *previous == name
                                     ? "duplicate name " + ticked(name)
                                     : "name " + ticked(name) + " conflicts with previous name " +
                                           ticked(*previous));
  }
  WAFER_LET(in, included(func.attributes, func.name.span));
  if (!in) return {};
  WAFER_LET(f, function(place, func, def));
  functions.push_back(std::move(f));
  spans.push_back(func.name.span);
  return {};
}

Result<void> Resolver::check_setters(const std::vector<Function>& functions,
                                     const std::vector<Span>& spans) const {
  std::unordered_set<std::string_view> names;
  for (const Function& f : functions) names.insert(f.name);
  for (size_t i = 0; i < functions.size(); ++i) {
    const Function& f = functions[i];
    if (f.accessor != Accessor::Set) continue;
    std::string getter = f.name;
    getter.replace(getter.find("[set]"), 5, "[get]");
    if (!names.contains(getter))
      return error(spans[i],
                   "setter " + ticked(f.name) + " has no corresponding getter " + ticked(getter));
  }
  return {};
}

Result<InterfaceId> Resolver::interface(const PackageState& package, const ast::PackageBody& body,
                                        const ast::Interface& ast, bool named) {
  const auto id = static_cast<InterfaceId>(out_.interfaces.size());
  out_.interfaces.emplace_back();
  interface_scopes_.emplace_back();
  Interface out;
  if (named) out.name = ast.name.text;
  out.package = package.id;
  out.docs = ast.attributes.docs;
  out.stability = ast.attributes.stability;

  Place place{package, body, OwnerKind::Interface, id, {}, {}};
  Definitions definitions;
  for (const ast::InterfaceItem& item : ast.items) {
    if (const auto* use = std::get_if<ast::Use>(&item)) definitions.uses.push_back(use);
    if (const auto* def = std::get_if<ast::TypeDef>(&item)) definitions.defs.push_back(def);
    if (const auto* func = std::get_if<ast::Func>(&item)) definitions.funcs.push_back(func);
  }
  WAFER_TRY(define_types(place, definitions, out.types, nullptr));
  std::vector<Span> spans;
  for (const ast::InterfaceItem& item : ast.items) {
    if (const auto* func = std::get_if<ast::Func>(&item))
      WAFER_TRY(define_function(place, *func, nullptr, out.functions, spans));
    if (const auto* def = std::get_if<ast::TypeDef>(&item))
      for (const ast::Func& func : def->functions)
        WAFER_TRY(define_function(place, func, def, out.functions, spans));
  }
  WAFER_TRY(check_setters(out.functions, spans));
  out_.interfaces[id] = std::move(out);
  interface_scopes_[id] = std::move(place.scope);
  return id;
}

}  // namespace wafer::wit
