#include "bindgen/cpp.h"

#include <algorithm>

#include "bindgen/naming.h"

namespace wafer::bindgen {

namespace {

struct PrimCpp {
  Prim prim;
  std::string_view name;
};
constexpr PrimCpp kPrimCpp[] = {
    {Prim::Bool, "bool"},           {Prim::S8, "int8_t"},    {Prim::U8, "uint8_t"},
    {Prim::S16, "int16_t"},         {Prim::U16, "uint16_t"}, {Prim::S32, "int32_t"},
    {Prim::U32, "uint32_t"},        {Prim::S64, "int64_t"},  {Prim::U64, "uint64_t"},
    {Prim::F32, "float"},           {Prim::F64, "double"},   {Prim::Char, "char32_t"},
    {Prim::String, "::std::string"}};

// The smallest unsigned type that has `n` values, or as many bits.
std::string_view int_for(size_t n) {
  return n <= 256 ? "uint8_t" : n <= 65536 ? "uint16_t" : "uint32_t";
}

}  // namespace

CppTypes::CppTypes(const wit::Resolve& r, wit::WorldId world, std::string library)
    : WorldModel(r, world),
      library_(std::move(library)),
      world_space_("::" + world_identifier(world_.name)) {
  for (const wit::WorldItem& i : world_.imports)
    if (i.kind == ItemKind::Type) world_types_.insert(pascal(r_.types[i.type].name));
}

// ---- Names ------------------------------------------------------------------------------

// "ns::package"; with the version where the package is there in several.
std::string CppTypes::path(wit::InterfaceId id) const {
  const wit::PackageName& p = r_.packages[r_.interfaces[id].package].name;
  std::string out = "::" + identifier(p.ns) + "::" + identifier(p.name);
  if (in_versions(p)) out += "::v" + snake(p.version);
  return out;
}

std::string CppTypes::outer_space(const wit::WorldItem& item, size_t side) const {
  return world_space_ + (side == kImports ? "" : "::exports") +
         (item.name.empty() ? path(item.interface) : "");
}

std::string CppTypes::space(const wit::WorldItem& item, size_t side) const {
  return outer_space(item, side) +
         "::" + identifier(item.name.empty() ? r_.interfaces[item.interface].name : item.name);
}

std::string CppTypes::owner_space(const TypeDef& d, size_t side) const {
  if (d.owner_kind != OwnerKind::Interface) return world_space_;
  const size_t owner = owner_side(d, side);
  if (owner != kImports) return space(world_.exports[owner], owner);
  // Interfaces that stand in the world have no name but the import's.
  if (item_ && item_->interface == d.owner) return space(*item_, kImports);
  if (const wit::WorldItem* const item = inline_import(d.owner)) return space(*item, kImports);
  return world_space_ + path(d.owner) + "::" + identifier(r_.interfaces[d.owner].name);
}

std::string CppTypes::full_name(TypeId t, size_t side) const {
  const TypeDef& d = r_.types[t];
  return owner_space(d, side) + "::" + pascal(d.name);
}

bool CppTypes::names_world_type(const std::string& name) const {
  return world_types_.contains(name);
}

std::string CppTypes::world_class() const {
  std::string out = pascal(world_.name);
  while (names_world_type(out)) out += "_";
  return out;
}

std::string CppTypes::class_name(const wit::WorldItem& item) const {
  if (item.name.empty()) return pascal(r_.interfaces[item.interface].name);
  std::string out = pascal(item.name);
  while (out == world_class() || out == kRootClass || names_world_type(out)) out += "_";
  return out;
}

std::string CppTypes::function_name(const wit::Function& f, bool in_resource,
                                    std::set<std::string>& used) const {
  // "[method][get]r.f": f.
  std::string_view plain = f.name;
  if (const size_t bracket = plain.rfind(']'); bracket != plain.npos)
    plain = plain.substr(bracket + 1);
  if (const size_t dot = plain.find('.'); dot != plain.npos) plain = plain.substr(dot + 1);
  std::string out = snake(plain);
  if (f.accessor == wit::Accessor::Set) out = "set_" + out;
  if (f.kind == FunctionKind::Constructor)
    out = in_resource ? "make" : "make_" + snake(r_.types[f.resource].name);
  else if (f.kind != FunctionKind::Freestanding && !in_resource)
    out = snake(r_.types[f.resource].name) + "_" + out;
  out = identifier(out);
  while (!used.insert(out).second) out += "_";
  return out;
}

std::string CppTypes::value_type(Type t, size_t side) const {
  return t ? type(t, side) : library_ + "::Unit";
}

std::string CppTypes::type(Type t, size_t side) const {
  if (!t) return "void";
  if (!t.defined()) {
    for (const PrimCpp& p : kPrimCpp)
      if (p.prim == t.prim) return std::string(p.name);
    return library_ + "::ErrorContext";
  }
  const TypeDef& d = r_.types[t.id];
  if (d.kind == TypeKind::Resource) return own(t.id, side);
  if (!d.name.empty()) return full_name(t.id, side);
  return structural(d, side);
}

std::string CppTypes::structural(const TypeDef& d, size_t side) const {
  const auto arg = [&](size_t i) { return value_type(d.args[i], side); };
  switch (d.kind) {
    case TypeKind::Own:
      return own(resource_of(d), side);
    case TypeKind::Borrow:
      return borrow(resource_of(d), side);
    case TypeKind::Option:
      return "::std::optional<" + arg(0) + ">";
    case TypeKind::List:
      return "::std::vector<" + arg(0) + ">";
    case TypeKind::FixedList:
      return "::std::array<" + arg(0) + ", " + std::to_string(d.length) + ">";
    case TypeKind::Map:
      return "::std::vector<::std::pair<" + arg(0) + ", " + arg(1) + ">>";
    case TypeKind::Result:
      return library_ + "::Expected<" + arg(0) + ", " + arg(1) + ">";
    case TypeKind::Future:
      return library_ + "::Future<" + arg(0) + ">";
    case TypeKind::Stream:
      return library_ + "::Stream<" + arg(0) + ">";
    default: {
      std::string out;
      for (size_t i = 0; i < d.args.size(); ++i) out += (i ? ", " : "") + arg(i);
      return "::std::tuple<" + out + ">";
    }
  }
}

// ---- Text -------------------------------------------------------------------------------

void CppTypes::close_space() {
  if (!open_space_.empty()) out_ += "}  // namespace\n\n";
  open_space_.clear();
}

void CppTypes::put(const std::string& space, const std::string& text) {
  if (open_space_ != space) {
    close_space();
    open_space_ = space;
    if (!space.empty()) out_ += "namespace " + space.substr(2) + " {\n\n";
  }
  out_ += text;
}

void CppTypes::define(const wit::Function& f, size_t side) {
  for (const wit::Param& p : f.params) define(p.type, side);
  define(f.result, side);
}

void CppTypes::define(Type t, size_t side) {
  if (!t.defined()) return;
  const TypeDef& d = r_.types[t.id];
  if (d.kind == TypeKind::Own || d.kind == TypeKind::Borrow) define(Type::of(resource_of(d)), side);
  if (d.name.empty()) {
    if (d.kind == TypeKind::Own || d.kind == TypeKind::Borrow) return;
    for (Type arg : d.args) define(arg, side);
    return;
  }
  // What belongs elsewhere is defined as it is there.
  define_named(t.id, owner_side(d, side));
}

std::string CppTypes::variant(const TypeDef& d, const std::string& name, size_t side) const {
  std::string cases, all;
  std::set<std::string> used{name, "value"};
  for (const wit::Member& m : d.members) {
    std::string c = pascal(m.name);
    while (!used.insert(c).second) c += "_";
    cases += docs(m.docs, "  ") + "  struct " + c + " {\n";
    // Without an initializer, which would not be there yet where the variant is defined.
    if (m.type) cases += "    " + type(m.type, side) + " value;\n";
    cases += "    bool operator==(const " + c + "&) const = default;\n  };\n";
    all += (all.empty() ? "" : ", ") + c;
  }
  return "struct " + name + " {\n" + cases + "  ::std::variant<" + all +
         "> value;\n  bool operator==(const " + name + "&) const = default;\n};\n\n";
}

void CppTypes::define_named(TypeId id, size_t side) {
  const TypeDef& d = r_.types[id];
  // An interface that is imported under two names has two of each.
  if (!defined_.insert(full_name(id, side)).second) return;
  if (d.kind != TypeKind::Own && d.kind != TypeKind::Borrow && d.kind != TypeKind::Resource)
    for (Type arg : d.args) define(arg, side);
  for (const wit::Member& m : d.members) define(m.type, side);
  const std::string name = pascal(d.name), where = owner_space(d, side);
  std::string text = docs(d.docs, "");
  switch (d.kind) {
    case TypeKind::Resource:
      put(where, text + declare_resource(id, side));
      return;
    case TypeKind::Alias:
      if (const Type target = plain(Type::of(id)); kind(target) == TypeKind::Resource) {
        put(where, text + "using " + name + " = " + full_name(target.id, side) + ";\n\n");
        return;
      }
      put(where, text + "using " + name + " = " + type(d.args[0], side) + ";\n\n");
      return;
    case TypeKind::Record: {
      text += "struct " + name + " {\n";
      for (const wit::Member& m : d.members)
        text += docs(m.docs, "  ") + "  " + type(m.type, side) + " " + identifier(m.name) + "{};\n";
      text += "  bool operator==(const " + name + "&) const = default;\n};\n\n";
      break;
    }
    case TypeKind::Flags:
    case TypeKind::Enum: {
      const bool flags = d.kind == TypeKind::Flags;
      const size_t n = d.members.size();
      const std::string_view of = flags ? (n <= 8    ? "uint8_t"
                                           : n <= 16 ? "uint16_t"
                                                     : "uint32_t")
                                        : int_for(n);
      text += "enum class " + name + " : " + std::string(of) + " {\n";
      std::set<std::string> used;
      for (size_t i = 0; i < n; ++i) {
        std::string c = pascal(d.members[i].name);
        while (!used.insert(c).second) c += "_";
        text += docs(d.members[i].docs, "  ") + "  " + c + " = " +
                (flags ? "1u << " + std::to_string(i) : std::to_string(i)) + ",\n";
      }
      text += "};\n";
      if (flags) {
        for (const char* op : {"|", "&", "^"})
          text += "constexpr " + name + " operator" + op + "(" + name + " a, " + name +
                  " b) { return " + name + "(uint32_t(a) " + op + " uint32_t(b)); }\n";
        // Of what there is.
        const uint64_t all = (uint64_t{1} << n) - 1;
        text += "constexpr " + name + " operator~(" + name + " a) { return " + name +
                "(uint32_t(a) ^ " + std::to_string(all) + "u); }\n";
        text += "constexpr bool has(" + name + " a, " + name +
                " b) { return (uint32_t(a) & uint32_t(b)) == uint32_t(b); }\n";
      }
      text += "\n";
      break;
    }
    case TypeKind::Variant:
      text += variant(d, name, side);
      break;
    default:  // a name for what has none of its own in C++
      put(where, text + "using " + name + " = " + structural(d, side) + ";\n\n");
      return;
  }
  put(where, text);
  if (const std::string more = describe(d, where + "::" + name); !more.empty()) put("", more);
}

}  // namespace wafer::bindgen
