#include "wit/decode.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "component/names.h"
#include "component/sections.h"
#include "wit/docs.h"

namespace wafer::wit {

namespace {

namespace cm = component;

Error unexpected(const std::string& what) {
  return {ErrorKind::Invalid, "cannot be told as WIT: " + what};
}

class Decoder {
 public:
  explicit Decoder(const cm::TypeArena& types) : types_(types) {}

  Result<Resolved> world(const cm::Shape& shape) {
    main_ = package({"root", "component", ""});
    WAFER_TRY(add_world("root", shape));
    return finish();
  }

  Result<Resolved> package_of(const cm::Shape& shape) {
    for (const cm::NamedEntity& e : shape.exports) {
      // A component type around an interface or world, under its full name.
      const cm::Shape& outer = *types_[e.entity.type].shape;
      if (outer.exports.size() != 1) return unexpected("a package's item of several exports");
      const cm::NamedEntity& item = *outer.exports.begin();
      WAFER_LET(name, interface_name(full_name(item)));
      main_ = package(name.first);
      for (const cm::NamedEntity& import : outer.imports) {
        if (import.entity.sort != cm::Sort::Instance) continue;
        WAFER_TRY(named_interface(full_name(import), import.entity.type));
      }
      if (item.entity.sort == cm::Sort::Instance) {
        WAFER_TRY(named_interface(full_name(item), item.entity.type));
      } else if (item.entity.sort == cm::Sort::Component) {
        worlds_.emplace_back(name.second, item.entity.type);
      } else {
        return unexpected("`" + item.name + "` is neither an interface nor a world");
      }
    }
    // Worlds last: interfaces that they name are then complete.
    for (const auto& [name, type] : worlds_) WAFER_TRY(add_world(name, *types_[type].shape));
    return finish();
  }

 private:
  Result<Resolved> finish() {
    // The main package stands last, as it depends on the others.
    Resolved out;
    out.resolve = std::move(r_);
    out.main = main_;
    return out;
  }

  PackageId package(const PackageName& name) {
    const auto [it, fresh] =
        packages_.try_emplace(name, static_cast<PackageId>(r_.packages.size()));
    if (!fresh) return it->second;
    r_.packages.emplace_back();
    r_.packages.back().name = name;
    return it->second;
  }

  static std::string full_name(const cm::NamedEntity& e) {
    return e.name + e.attributes.version_suffix;
  }

  // "ns:pkg/name@version" taken apart.
  Result<std::pair<PackageName, std::string>> interface_name(const std::string& text) {
    const auto parsed = cm::parse_extern_name(text, {true, true, true});
    if (!parsed || parsed->kind != cm::NameKind::Interface)
      return unexpected("`" + text + "` is not the name of an interface");
    const size_t colon = parsed->package.rfind(':');
    return std::pair(
        PackageName{std::string(parsed->package.substr(0, colon)),
                    std::string(parsed->package.substr(colon + 1)), std::string(parsed->version)},
        std::string(parsed->label));
  }

  // The interface of that name, made from the instance's type or completed by it: each place
  // that names it may show another part.
  Result<InterfaceId> named_interface(const std::string& name, cm::TypeId type) {
    WAFER_LET(parsed, interface_name(name));
    const PackageId p = package(parsed.first);
    const auto [it, fresh] =
        interfaces_.try_emplace({p, parsed.second}, static_cast<InterfaceId>(r_.interfaces.size()));
    const InterfaceId id = it->second;
    if (fresh) {
      r_.interfaces.emplace_back();
      r_.interfaces.back().name = parsed.second;
      r_.interfaces.back().package = p;
      r_.packages[p].interfaces.push_back(id);
    }
    WAFER_TRY(fill(id, type));
    return id;
  }

  Result<void> fill(InterfaceId id, cm::TypeId type) {
    // What is there already, by name.
    std::unordered_map<std::string, TypeId> types;
    std::unordered_set<std::string> functions;
    size_t seen = 0;
    const auto find_type = [&](const std::string& name) {
      const std::vector<TypeId>& all = r_.interfaces[id].types;
      for (; seen < all.size(); ++seen) types.emplace(r_.types[all[seen]].name, all[seen]);
      const auto it = types.find(name);
      return it == types.end() ? std::nullopt : std::optional(it->second);
    };
    for (const Function& f : r_.interfaces[id].functions) functions.insert(f.name);
    for (const cm::NamedEntity& e : types_[type].shape->exports) {
      if (e.entity.sort == cm::Sort::Type) {
        if (auto known = find_type(e.name)) {
          known_[e.entity.type] = *known;
          continue;
        }
        WAFER_LET(t, named_type(e.name, e.entity.type, OwnerKind::Interface, id));
        r_.interfaces[id].types.push_back(t);
      } else if (e.entity.sort == cm::Sort::Func) {
        if (!functions.insert(e.name).second) continue;
        WAFER_LET(f, function(e.name, e.entity.type, find_type));
        r_.interfaces[id].functions.push_back(std::move(f));
      } else {
        return unexpected("an interface that exports a " +
                          std::string(cm::sort_name(e.entity.sort)));
      }
    }
    return {};
  }

  TypeId add(TypeDef def) {
    r_.types.push_back(std::move(def));
    return static_cast<TypeId>(r_.types.size() - 1);
  }

  Result<TypeId> named_type(const std::string& name, cm::TypeId id, OwnerKind owner_kind,
                            uint32_t owner) {
    TypeDef def;
    def.name = name;
    def.owner_kind = owner_kind;
    def.owner = owner;
    // Another name of what has one already.
    std::optional<TypeId> target;
    for (auto t = types_.alias_of(id); t && !target; t = types_.alias_of(*t))
      if (auto it = known_.find(*t); it != known_.end()) target = it->second;
    if (auto it = known_.find(id); it != known_.end()) target = it->second;
    if (!target && types_[id].kind == cm::TypeKind::Resource)
      if (auto it = resources_.find(types_[id].resource); it != resources_.end())
        target = it->second;
    if (target) {
      def.kind = TypeKind::Alias;
      def.args = {Type::of(*target)};
    } else {
      WAFER_TRY(define(def, types_[id]));
    }
    const bool resource = def.kind == TypeKind::Resource;
    const TypeId out = add(std::move(def));
    known_[id] = out;
    if (resource) resources_[types_[id].resource] = out;
    return out;
  }

  Result<void> define(TypeDef& def, const cm::TypeDef& from) {
    constexpr std::pair<cm::TypeKind, TypeKind> kKinds[] = {
        {cm::TypeKind::Primitive, TypeKind::Alias},
        {cm::TypeKind::Record, TypeKind::Record},
        {cm::TypeKind::Variant, TypeKind::Variant},
        {cm::TypeKind::List, TypeKind::List},
        {cm::TypeKind::FixedList, TypeKind::FixedList},
        {cm::TypeKind::Tuple, TypeKind::Tuple},
        {cm::TypeKind::Flags, TypeKind::Flags},
        {cm::TypeKind::Enum, TypeKind::Enum},
        {cm::TypeKind::Option, TypeKind::Option},
        {cm::TypeKind::Result, TypeKind::Result},
        {cm::TypeKind::Own, TypeKind::Own},
        {cm::TypeKind::Borrow, TypeKind::Borrow},
        {cm::TypeKind::Stream, TypeKind::Stream},
        {cm::TypeKind::Future, TypeKind::Future},
        {cm::TypeKind::Map, TypeKind::Map},
        {cm::TypeKind::Resource, TypeKind::Resource}};
    bool found = false;
    for (const auto& [theirs, ours] : kKinds)
      if (theirs == from.kind) {
        def.kind = ours;
        found = true;
      }
    if (!found) return unexpected("a type of kind " + std::string(cm::kind_name(from.kind)));
    def.length = from.length;
    if (def.kind == TypeKind::Resource) return {};
    for (cm::ValType arg : from.args) {
      WAFER_LET(t, type(arg));
      def.args.push_back(t);
    }
    for (const cm::Label& l : from.labels) {
      WAFER_LET(t, type(l.type));
      def.members.push_back({l.name, t, {}});
    }
    return {};
  }

  Result<Type> type(cm::ValType t) {
    if (!t.defined()) return Type{t.prim, 0};
    if (auto it = known_.find(t.id); it != known_.end()) return Type::of(it->second);
    const cm::TypeDef& from = types_[t.id];
    if (from.kind == cm::TypeKind::Resource) {
      if (auto it = resources_.find(from.resource); it != resources_.end())
        return Type::of(it->second);
      return unexpected("a resource without a name");
    }
    if (from.kind == cm::TypeKind::Primitive) return Type{from.args[0].prim, 0};
    TypeDef def;
    WAFER_TRY(define(def, from));
    if (def.kind == TypeKind::Record || def.kind == TypeKind::Variant ||
        def.kind == TypeKind::Flags || def.kind == TypeKind::Enum)
      return unexpected("a " + std::string(cm::kind_name(from.kind)) + " without a name");
    const TypeId out = add(std::move(def));
    known_[t.id] = out;
    return Type::of(out);
  }

  // `find` gives the types of the same interface or world by name.
  template <class F>
  Result<Function> function(const std::string& name, cm::TypeId id, F&& find) {
    const cm::TypeDef& from = types_[id];
    Function out;
    out.name = name;
    out.is_async = from.is_async;
    const auto parsed = cm::parse_extern_name(name, {true, true, true});
    if (!parsed) return unexpected("a function named `" + name + "`");
    constexpr std::pair<cm::NameKind, FunctionKind> kKinds[] = {
        {cm::NameKind::Constructor, FunctionKind::Constructor},
        {cm::NameKind::Method, FunctionKind::Method},
        {cm::NameKind::Static, FunctionKind::Static}};
    for (const auto& [theirs, ours] : kKinds)
      if (parsed->kind == theirs) out.kind = ours;
    if (parsed->accessor == cm::NameAccessor::Get) out.accessor = Accessor::Get;
    if (parsed->accessor == cm::NameAccessor::Set) out.accessor = Accessor::Set;
    for (const cm::Label& l : from.labels) {
      WAFER_LET(t, type(l.type));
      out.params.push_back({l.name, t});
    }
    WAFER_LET(result, type(from.args[0]));
    out.result = result;
    // Which resource it belongs to is in its type, but for static functions in its name alone.
    if (out.kind == FunctionKind::Method && !out.params.empty() && out.params[0].type.defined())
      out.resource = r_.types[out.params[0].type.id].args[0].id;
    if (out.kind == FunctionKind::Constructor && out.result.defined()) {
      const TypeDef* made = &r_.types[out.result.id];
      if (made->kind == TypeKind::Result) made = &r_.types[made->args[0].id];
      out.resource = made->args[0].id;
    }
    if (out.kind == FunctionKind::Static) {
      // Its resource has its name in the same scope.
      const auto resource = find(std::string(parsed->resource));
      if (!resource) return unexpected("a static function of no resource: `" + name + "`");
      out.resource = *resource;
    }
    return out;
  }

  Result<void> add_world(const std::string& name, const cm::Shape& shape) {
    const auto id = static_cast<WorldId>(r_.worlds.size());
    r_.worlds.emplace_back();
    World out;
    out.name = name;
    out.package = main_;
    r_.packages[main_].worlds.push_back(id);
    std::unordered_map<std::string, TypeId> types;
    const auto find_type = [&](const std::string& type) {
      const auto it = types.find(type);
      return it == types.end() ? std::nullopt : std::optional(it->second);
    };
    for (const bool exported : {false, true}) {
      for (const cm::NamedEntity& e : exported ? shape.exports : shape.imports) {
        WorldItem item;
        if (!e.attributes.external_id.empty()) item.external_id = e.attributes.external_id;
        switch (e.entity.sort) {
          case cm::Sort::Func: {
            WAFER_LET(f, function(e.name, e.entity.type, find_type));
            item.name = e.name;
            item.function = std::move(f);
            break;
          }
          case cm::Sort::Type: {
            WAFER_LET(t, named_type(e.name, e.entity.type, OwnerKind::World, id));
            item.kind = ItemKind::Type;
            item.name = e.name;
            item.type = types[e.name] = t;
            break;
          }
          case cm::Sort::Instance: {
            item.kind = ItemKind::Interface;
            if (e.name.find(':') != std::string::npos) {
              WAFER_LET(interface, named_interface(full_name(e), e.entity.type));
              item.interface = interface;
            } else if (!e.attributes.implements.empty()) {
              WAFER_LET(interface, named_interface(e.attributes.implements, e.entity.type));
              item.name = e.name;
              item.interface = interface;
              item.implements = true;
            } else {
              item.name = e.name;
              item.interface = static_cast<InterfaceId>(r_.interfaces.size());
              r_.interfaces.emplace_back();
              r_.interfaces.back().package = main_;
              WAFER_TRY(fill(item.interface, e.entity.type));
            }
            break;
          }
          default:
            return unexpected("`" + e.name + "` is a " + std::string(cm::sort_name(e.entity.sort)));
        }
        (exported ? out.exports : out.imports).push_back(std::move(item));
      }
    }
    r_.worlds[id] = std::move(out);
    return {};
  }

  const cm::TypeArena& types_;
  Resolve r_;
  std::map<PackageName, PackageId> packages_;
  std::map<std::pair<PackageId, std::string>, InterfaceId> interfaces_;
  PackageId main_ = 0;
  std::unordered_map<cm::TypeId, TypeId> known_;
  std::unordered_map<cm::ResourceId, TypeId> resources_;
  std::vector<std::pair<std::string, cm::TypeId>> worlds_;
};

}  // namespace

Result<Resolved> world_of(const cm::Component& component) {
  return Decoder(*component.types).world(component.shape());
}

bool is_package(const cm::Component& component) {
  const cm::Shape& shape = component.shape();
  if (shape.exports.size() == 0 || shape.imports.size() != 0) return false;
  for (const cm::NamedEntity& e : shape.exports)
    if (e.entity.sort != cm::Sort::Type ||
        (*component.types)[e.entity.type].kind != cm::TypeKind::Component)
      return false;
  return true;
}

Result<Resolved> decode_package(const cm::Component& component, Bytes bytes) {
  WAFER_LET(out, Decoder(*component.types).package_of(component.shape()));
  if (const auto docs = cm::custom_section(bytes, kDocsSection))
    WAFER_TRY(add_docs(out.resolve, out.main, *docs));
  return std::move(out);
}

}  // namespace wafer::wit
