#include "bindgen/c.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "bindgen/naming.h"
#include "bindgen/world.h"

namespace wafer::bindgen {

namespace {

struct PrimC {
  Prim prim;
  std::string_view name;
};
constexpr PrimC kPrimC[] = {{Prim::Bool, "bool"},
                            {Prim::S8, "int8_t"},
                            {Prim::U8, "uint8_t"},
                            {Prim::S16, "int16_t"},
                            {Prim::U16, "uint16_t"},
                            {Prim::S32, "int32_t"},
                            {Prim::U32, "uint32_t"},
                            {Prim::S64, "int64_t"},
                            {Prim::U64, "uint64_t"},
                            {Prim::F32, "float"},
                            {Prim::F64, "double"},
                            {Prim::Char, "uint32_t"},
                            {Prim::ErrorContext, "uint32_t"}};

std::string_view core_name(wasm::ValType t) {
  return t == wasm::kI64   ? "int64_t"
         : t == wasm::kF32 ? "float"
         : t == wasm::kF64 ? "double"
                           : "int32_t";
}

class Generator : WorldModel {
 public:
  // `taken`: names that functions of the world cannot have; null: to find out which those are.
  Generator(const wit::Resolve& r, wit::WorldId world, bool async_exports,
            const std::set<std::string>* taken)
      : WorldModel(r, world),
        world_id_(world),
        name_(snake(world_.name)),
        file_(world_identifier(world_.name)),
        async_exports_(async_exports),
        taken_(taken) {
    for (const std::string& there : {name_ + "_string", std::string("wit_event"),
                                     std::string("wit_started"), std::string("wit_step")})
      claimed_[there] = "of all worlds";
  }

  // Every name in what was made, but for those of the world's functions.
  static std::set<std::string> names_in(const CBindings& made) {
    std::set<std::string> out;
    for (const std::string* text : {&made.header, &made.source}) {
      size_t end = 0;
      for (size_t i = 0; i < text->size(); i = end + 1) {
        const auto in_name = [&](size_t at) {
          const char c = at < text->size() ? (*text)[at] : ' ';
          return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                 (c >= '0' && c <= '9');
        };
        if (text->compare(i, 2, "//") == 0) {
          end = std::min(text->find('\n', i), text->size());
          continue;
        }
        for (end = i; in_name(end);) ++end;
        if (end > i && (end == text->size() || (*text)[end] != kOfFunction))
          out.insert(text->substr(i, end - i));
      }
    }
    return out;
  }

  Result<CBindings> run() {
    WAFER_TRY(check_types());
    for (size_t i = 0; i < world_.imports.size(); ++i) {
      const wit::WorldItem& item = world_.imports[i];
      if (item.kind == ItemKind::Type) {
        define(Type::of(item.type), kImports);
      } else if (item.kind == ItemKind::Interface) {
        item_ = &item;
        const wit::Interface& interface = r_.interfaces[item.interface];
        for (TypeId t : interface.types) define(Type::of(t), kImports);
        for (TypeId t : interface.types) resource(t, kImports);
        for (const wit::Function& f : interface.functions) WAFER_TRY(import(f, item, false));
        item_ = nullptr;
      } else {
        WAFER_TRY(import(item.function, item, true));
      }
    }
    for (size_t i = 0; i < world_.imports.size(); ++i)
      if (world_.imports[i].kind == ItemKind::Type) resource(world_.imports[i].type, kImports);
    for (size_t i = 0; i < world_.exports.size(); ++i) {
      const wit::WorldItem& item = world_.exports[i];
      if (item.kind == ItemKind::Interface) {
        const wit::Interface& interface = r_.interfaces[item.interface];
        for (TypeId t : interface.types) define(Type::of(t), i);
        for (TypeId t : interface.types) resource(t, i);
        for (const wit::Function& f : interface.functions) WAFER_TRY(export_(f, item, i));
      } else if (item.kind == ItemKind::Function) {
        WAFER_TRY(export_(item.function, item, i));
      }
    }
    if (uses_async_) async_helpers();
    CBindings out;
    out.name = file_;
    out.header = header();
    out.source = source();
    out.object = component_type_object(r_, world_id_, name_);
    return out;
  }

 private:
  // ---- Names --------------------------------------------------------------------------

  // "ns_package_interface"; with the version where the package is there in several.
  std::string interface_name(wit::InterfaceId id) const {
    const wit::Interface& i = r_.interfaces[id];
    const wit::PackageName& p = r_.packages[i.package].name;
    std::string out = snake(p.ns) + "_" + snake(p.name) + "_";
    if (in_versions(p)) out += snake(p.version) + "_";
    return out + snake(i.name);
  }
  std::string item_name(const wit::WorldItem& item) const {
    return item.name.empty() ? interface_name(item.interface) : snake(item.name);
  }

  // What stands before the names of things of a type's owner.
  std::string owner_prefix(const TypeDef& def, size_t side) const {
    if (def.owner_kind == OwnerKind::World) return name_ + "_";
    const size_t owner = owner_side(def, side);
    if (owner != kImports) return "exports_" + item_name(world_.exports[owner]) + "_";
    // Interfaces that stand in the world have no name but the import's.
    if (item_ && item_->interface == def.owner) return item_name(*item_) + "_";
    if (const wit::WorldItem* const item = inline_import(def.owner)) return item_name(*item) + "_";
    return interface_name(def.owner) + "_";
  }

  // A type's name without "_t", which other names are made of.
  std::string stem(Type t, size_t side) const {
    if (!t) return "void";
    if (!t.defined()) return t.prim == Prim::String ? name_ + "_string" : snake(prim_name(t.prim));
    // Names of an interface under another name than its own are others.
    std::string& known = stems_[{t.id, side, item_ && !item_->name.empty() ? item_ : nullptr}];
    if (!known.empty()) return known;
    const TypeDef& d = r_.types[t.id];
    if (const auto handle = d.name.empty() ? handle_stem(d, side) : std::nullopt)
      return known = *handle;
    return known = claim(
               d.name.empty() ? name_ + "_" + part(t, side) : owner_prefix(d, side) + snake(d.name),
               identity(t, side), kind_suffix(d));
  }
  std::optional<std::string> handle_stem(const TypeDef& d, size_t side) const {
    if (d.kind != TypeKind::Own && d.kind != TypeKind::Borrow) return std::nullopt;
    return handle(resource_of(d), d.kind == TypeKind::Own, side);
  }
  // The name of the handles of a resource.
  std::string handle(TypeId resource, bool own, size_t side) const {
    const std::string prefix = owner_prefix(r_.types[resource], side),
                      of = own ? "own_" : "borrow_";
    return claim(prefix + of + snake(r_.types[resource].name),
                 of + identity(Type::of(resource), side), {}, /*function=*/!own);
  }

  // The name of a type, if another one does not have it (`list-string` beside a list of strings);
  // else one with a `_`. `with` is what another name that it needs ends with. With `function` there
  // is a function of the name, too, and it has to be none of a type.
  std::string claim(std::string name, const std::string& identity, const std::string& with = "",
                    bool function = false) const {
    const auto free = [&](const std::string& n, const std::string& of) {
      const auto found = claimed_.find(n);
      return found == claimed_.end() || found->second == of;
    };
    const auto clashes = [&](const std::string& n) {
      return (function && type_names_.contains(n)) || handle_functions_.contains(n + "_t");
    };
    while (clashes(name) || !free(name, identity) ||
           (!with.empty() && !free(name + with, identity + with)))
      name += '_';
    claimed_[name] = identity;
    type_names_.insert(name + "_t");
    if (function) handle_functions_.insert(name);
    if (!with.empty()) claimed_[name + with] = identity + with;
    return name;
  }
  static std::string kind_suffix(const TypeDef& d) {
    return d.kind == TypeKind::Map                                    ? "_entry"
           : d.kind == TypeKind::Stream || d.kind == TypeKind::Future ? "_writer"
                                                                      : "";
  }
  // Tells types apart as names of C may not.
  std::string identity(Type t, size_t side) const {
    if (!t) return "-";
    if (!t.defined()) return std::string(prim_name(t.prim));
    const TypeDef& d = r_.types[t.id];
    if (!d.name.empty()) return owner_prefix(d, side) + "#" + std::to_string(t.id);
    std::string out =
        std::to_string(static_cast<int>(d.kind)) + ":" + std::to_string(d.length) + "(";
    for (Type arg : d.args) out += identity(arg, side) + ",";
    return out + ")";
  }
  // The name of a function of the world. Those of the bindings are there first.
  std::string function_symbol(std::string name) {
    if (!taken_) return name + kOfFunction;
    const auto free = [&](const char* before) { return !taken_->contains(before + name); };
    while (!free("") || !free("__wasm_import_") || !free("__wasm_export_") ||
           !free("__wasm_callback_") || !free("__wasm_return_") ||
           !functions_named_.insert(name).second)
      name += '_';
    return name;
  }
  // The name of a constant.
  std::string constant(const std::string& of, const std::string& label) {
    std::string name = shout(of) + "_" + shout(label);
    while (!constants_.insert(name).second) name += '_';
    return name;
  }
  // What an anonymous type adds to the name of one that it is part of.
  std::string part(Type t, size_t side) const {
    if (!t) return "void";
    if (!t.defined()) return snake(prim_name(t.prim));
    const TypeDef& d = r_.types[t.id];
    if (!d.name.empty()) return stem(t, side);
    if (const auto handle = handle_stem(d, side)) return *handle;
    std::string out;
    switch (d.kind) {
      case TypeKind::Tuple:
        out = "tuple" + std::to_string(d.args.size());
        break;
      case TypeKind::Option:
        out = "option";
        break;
      case TypeKind::Result:
        out = "result";
        break;
      case TypeKind::List:
        out = "list";
        break;
      case TypeKind::FixedList:
        out = "list" + std::to_string(d.length);
        break;
      case TypeKind::Map:
        out = "map";
        break;
      case TypeKind::Future:
        out = "future";
        break;
      default:
        out = "stream";
    }
    for (Type arg : d.args) out += "_" + part(arg, side);
    return out;
  }

  std::string c_type(Type t, size_t side) const {
    if (!t.defined()) {
      for (const PrimC& p : kPrimC)
        if (p.prim == t.prim) return std::string(p.name);
      return name_ + "_string_t";
    }
    return stem(t, side) + "_t";
  }

  // ---- Types --------------------------------------------------------------------------

  std::string int_type(size_t cases) const {
    return cases <= 256 ? "uint8_t" : cases <= 65536 ? "uint16_t" : "uint32_t";
  }

  void free_function(const std::string& name, const std::string& type, const std::string& body) {
    frees_declared_ += "void " + name + "_free(" + type + " *ptr);\n";
    frees_ += "void " + name + "_free(" + type + " *ptr) {\n" + body + "}\n\n";
  }

  // A statement that frees `*pointer`.
  std::string free_statement(Type t, size_t side, const std::string& pointer) const {
    return stem(t, side) + "_free(" + pointer + ");";
  }

  void define(Type t, size_t side) {
    if (!t.defined()) return;
    const TypeDef& d = r_.types[t.id];
    // What belongs elsewhere is defined with the names from there.
    if (!d.name.empty() && d.owner_kind == OwnerKind::Interface) side = owner_side(d, side);
    if (d.owner_kind == OwnerKind::World) side = kImports;
    for (Type arg : d.args)
      if (d.kind != TypeKind::Own && d.kind != TypeKind::Borrow) define(arg, side);
    for (const wit::Member& m : d.members) define(m.type, side);
    if (d.kind == TypeKind::Own || d.kind == TypeKind::Borrow) {
      // Handles are defined with their resource.
      const TypeId id = resource_of(d);
      define(Type::of(id), side);
      if (d.name.empty()) return;
    }
    const std::string name = stem(t, side);
    if (!defined_.insert(name).second) return;
    types_ += docs(d.docs, "");
    if (d.kind == TypeKind::Resource) return resource_types(t.id, side, name);
    const std::string type = name + "_t";
    std::string body;  // of the type
    std::string free;
    const bool owning = owns(t);
    const auto freed = [&](Type member, const std::string& pointer, const std::string& indent) {
      if (owns(member)) free += indent + free_statement(member, side, pointer) + "\n";
    };
    const auto field = [&](Type member, const std::string& label) {
      body += "  " + c_type(member, side) + " " + label + ";\n";
    };
    switch (d.kind) {
      case TypeKind::Alias: {
        const Type target = d.args[0];
        if (kind(target) == TypeKind::Resource) {
          // Handles of it, and what implements it if that is this module.
          if (owner_side(r_.types[plain(target).id], side) != kImports)
            types_ += "typedef " + c_type(target, side) + " " + type + ";\n";
          for (const bool own : {true, false})
            types_ += "typedef " + handle(target.id, own, side) + "_t " + handle(t.id, own, side) +
                      "_t;\n";
          types_ += "\n";
          return;
        }
        types_ += "typedef " + c_type(target, side) + " " + type + ";\n\n";
        if (owning) free_function(name, type, "  " + free_statement(target, side, "ptr") + "\n");
        return;
      }
      case TypeKind::Own:
      case TypeKind::Borrow: {
        types_ += "typedef " + *handle_stem(d, side) + "_t " + type + ";\n\n";
        if (owning) free_function(name, type, "  " + *handle_stem(d, side) + "_free(ptr);\n");
        return;
      }
      case TypeKind::Record:
        for (const wit::Member& m : d.members) {
          body += docs(m.docs, "  ");
          field(m.type, identifier(m.name));
          freed(m.type, "&ptr->" + identifier(m.name), "  ");
        }
        break;
      case TypeKind::Tuple:
        for (size_t i = 0; i < d.args.size(); ++i) {
          const std::string label = "f" + std::to_string(i);
          field(d.args[i], label);
          freed(d.args[i], "&ptr->" + label, "  ");
        }
        break;
      case TypeKind::Flags:
      case TypeKind::Enum: {
        const bool flags = d.kind == TypeKind::Flags;
        const size_t n = d.members.size();
        types_ += "typedef " +
                  (flags ? std::string(n <= 8    ? "uint8_t"
                                       : n <= 16 ? "uint16_t"
                                                 : "uint32_t")
                         : int_type(n)) +
                  " " + type + ";\n\n";
        for (size_t i = 0; i < n; ++i) {
          types_ += docs(d.members[i].docs, "");
          types_ += "#define " + constant(name, d.members[i].name) + " " +
                    (flags ? "(UINT32_C(1) << " + std::to_string(i) + ")" : std::to_string(i)) +
                    "\n";
        }
        types_ += "\n";
        return;
      }
      case TypeKind::Variant: {
        std::string cases, constants;
        for (size_t i = 0; i < d.members.size(); ++i) {
          const wit::Member& m = d.members[i];
          constants += docs(m.docs, "");
          constants += "#define " + constant(name, m.name) + " " + std::to_string(i) + "\n";
          if (!m.type) continue;
          cases += "    " + c_type(m.type, side) + " " + identifier(m.name) + ";\n";
          if (owns(m.type)) {
            free += "    case " + std::to_string(i) + ":\n";
            freed(m.type, "&ptr->val." + identifier(m.name), "      ");
            free += "      break;\n";
          }
        }
        body = "  " + int_type(d.members.size()) + " tag;\n";
        if (!cases.empty()) body += "  union {\n" + cases + "  } val;\n";
        if (!free.empty()) free = "  switch (ptr->tag) {\n" + free + "  }\n";
        types_ +=
            "typedef struct " + type + " {\n" + body + "} " + type + ";\n\n" + constants + "\n";
        if (owning) free_function(name, type, free);
        return;
      }
      case TypeKind::Option:
        body = "  bool is_some;\n";
        field(d.args[0], "val");
        free = "  if (ptr->is_some) {\n";
        freed(d.args[0], "&ptr->val", "    ");
        free += "  }\n";
        break;
      case TypeKind::Result: {
        body = "  bool is_err;\n";
        if (d.args[0] || d.args[1]) {
          body += "  union {\n";
          if (d.args[0]) body += "    " + c_type(d.args[0], side) + " ok;\n";
          if (d.args[1]) body += "    " + c_type(d.args[1], side) + " err;\n";
          body += "  } val;\n";
        }
        free = "  if (!ptr->is_err) {\n";
        if (d.args[0]) freed(d.args[0], "&ptr->val.ok", "    ");
        free += "  } else {\n";
        if (d.args[1]) freed(d.args[1], "&ptr->val.err", "    ");
        free += "  }\n";
        break;
      }
      case TypeKind::List:
      case TypeKind::Map: {
        std::string element;
        if (d.kind == TypeKind::List) {
          element = c_type(d.args[0], side);
        } else {
          element = name + "_entry_t";
          types_ += "typedef struct " + element + " {\n  " + c_type(d.args[0], side) + " key;\n  " +
                    c_type(d.args[1], side) + " value;\n} " + element + ";\n\n";
        }
        body = "  " + element + " *ptr;\n  size_t len;\n";
        const bool inner =
            std::any_of(d.args.begin(), d.args.end(), [&](Type a) { return owns(a); });
        if (inner) {
          free = "  for (size_t i = 0; i < ptr->len; i++) {\n";
          if (d.kind == TypeKind::List) {
            freed(d.args[0], "&ptr->ptr[i]", "    ");
          } else {
            freed(d.args[0], "&ptr->ptr[i].key", "    ");
            freed(d.args[1], "&ptr->ptr[i].value", "    ");
          }
          free += "  }\n";
        }
        free += "  if (ptr->len > 0) {\n    free(ptr->ptr);\n  }\n";
        break;
      }
      case TypeKind::FixedList: {
        const std::string n = std::to_string(d.length);
        body = "  " + c_type(d.args[0], side) + " val[" + n + "];\n";
        free = "  for (size_t i = 0; i < " + n + "; i++) {\n";
        freed(d.args[0], "&ptr->val[i]", "    ");
        free += "  }\n";
        break;
      }
      case TypeKind::Future:
      case TypeKind::Stream:
        // Handles; what can be done with them are built-ins.
        types_ += "typedef uint32_t " + type + ";\ntypedef uint32_t " + name + "_writer_t;\n\n";
        return;
      default:
        return;
    }
    types_ += "typedef struct " + type + " {\n" + body + "} " + type + ";\n\n";
    if (owning) free_function(name, type, free);
  }

  // ---- Resources ----------------------------------------------------------------------

  void resource_types(TypeId id, size_t side, const std::string& name) {
    const TypeDef& d = r_.types[id];
    const std::string own = handle(id, true, side), borrow = handle(id, false, side);
    types_ += "typedef struct " + own + "_t {\n  int32_t __handle;\n} " + own + "_t;\n\n";
    if (owner_side(d, side) == kImports) {
      types_ += "typedef struct " + borrow + "_t {\n  int32_t __handle;\n} " + borrow + "_t;\n\n";
    } else {
      // Whoever implements the resource defines the structure.
      types_ += "typedef struct " + name + "_t " + name + "_t;\n\n";
      types_ += "typedef " + name + "_t *" + borrow + "_t;\n\n";
    }
    frees_declared_ += "void " + own + "_free(" + own + "_t *ptr);\n";
    frees_ += "void " + own + "_free(" + own + "_t *ptr) {\n  " + name + "_drop_own(*ptr);\n}\n\n";
  }

  // Functions of a resource: dropping, and what makes one.
  void resource(TypeId id, size_t side) {
    const TypeDef& d = r_.types[id];
    if (d.kind != TypeKind::Resource) return;
    const std::string name = stem(Type::of(id), side);
    if (!resources_done_.insert(name).second) return;
    const std::string own = handle(id, true, side) + "_t";
    const std::string borrowed = handle(id, false, side), borrow = borrowed + "_t";
    const bool exported = owner_side(d, side) != kImports;
    std::string module = "$root";
    if (exported) {
      module = "[export]" + key(world_.exports[side]);
    } else if (d.owner_kind == OwnerKind::Interface) {
      module = item_ ? key(*item_) : r_.interface_name(d.owner);
    }
    const auto builtin = [&](const std::string& what, const std::string& result,
                             const std::string& param) {
      const std::string symbol = "__wasm_import_" + name + "_" + what;
      source_ += "__attribute__((__import_module__(\"" + module +
                 "\"), __import_name__(\"[resource-" + what + "]" + d.name + "\")))\nextern " +
                 result + " " + symbol + "(" + param + ");\n\n";
      return symbol;
    };
    functions_ +=
        "\n// " + d.name +
        (exported ? ": the resource that this module implements.\n" : ": an imported resource.\n");
    const std::string drop = builtin("drop", "void", "int32_t handle");
    functions_ += "void " + name + "_drop_own(" + own + " handle);\n";
    source_ +=
        "void " + name + "_drop_own(" + own + " handle) {\n  " + drop + "(handle.__handle);\n}\n\n";
    if (!exported) {
      functions_ += "void " + name + "_drop_borrow(" + borrow + " handle);\n";
      source_ += "void " + name + "_drop_borrow(" + borrow + " handle) {\n  " + drop +
                 "(handle.__handle);\n}\n\n";
      functions_ += borrow + " " + borrowed + "(" + own + " handle);\n";
      source_ += borrow + " " + borrowed + "(" + own + " handle) {\n  return (" + borrow +
                 ") { handle.__handle };\n}\n\n";
      return;
    }
    const std::string make = builtin("new", "int32_t", "int32_t rep");
    const std::string rep = builtin("rep", "int32_t", "int32_t handle");
    functions_ += own + " " + name + "_new(" + name + "_t *rep);\n";
    source_ += own + " " + name + "_new(" + name + "_t *rep) {\n  return (" + own + ") { " + make +
               "((int32_t)rep) };\n}\n\n";
    functions_ += name + "_t *" + name + "_rep(" + own + " handle);\n";
    source_ += name + "_t *" + name + "_rep(" + own + " handle) {\n  return (" + name + "_t *)" +
               rep + "(handle.__handle);\n}\n\n";
    functions_ += "// To be implemented: the end of the resource.\nvoid " + name + "_destructor(" +
                  name + "_t *rep);\n";
    source_ += "__attribute__((__export_name__(\"" + key(world_.exports[side]) + "#[dtor]" +
               d.name + "\")))\nvoid __wasm_export_" + name + "_dtor(" + name + "_t *rep) {\n  " +
               name + "_destructor(rep);\n}\n\n";
  }

  // ---- Functions ----------------------------------------------------------------------

  // Passed by value: numbers and handles.
  bool is_scalar(Type t) const {
    if (!t.defined()) return t.prim != Prim::String;
    const Type p = plain(t);
    if (!p.defined()) return p.prim != Prim::String;
    switch (r_.types[p.id].kind) {
      case TypeKind::Flags:
      case TypeKind::Enum:
      case TypeKind::Own:
      case TypeKind::Borrow:
      case TypeKind::Future:
      case TypeKind::Stream:
        return true;
      default:
        return false;
    }
  }

  // How a function looks in C.
  struct Signature {
    std::string result = "void";
    std::vector<std::string> params;
    enum class Return : uint8_t { None, Value, Pointer, Option, Result } form = Return::None;
    Type ok, err;  // what pointers are for
  };
  // The parameter that an optional one is a pointer in.
  static std::string maybe(const wit::Function& f, const wit::Param& p) {
    std::string out = "maybe_" + snake(p.name);
    for (const wit::Param& other : f.params)
      if (identifier(other.name) == out) return out + "_";
    return out;
  }
  Signature signature(const wit::Function& f, size_t side) {
    Signature s;
    for (const wit::Param& p : f.params) {
      const std::string name = identifier(p.name);
      if (is_scalar(p.type))
        s.params.push_back(c_type(p.type, side) + " " + name);
      else if (kind(p.type) == TypeKind::Option)
        s.params.push_back(c_type(r_.types[plain(p.type).id].args[0], side) + " *" + maybe(f, p));
      else
        s.params.push_back(c_type(p.type, side) + " *" + name);
    }
    using Return = Signature::Return;
    if (!f.result) return s;
    if (is_scalar(f.result)) {
      s.form = Return::Value;
      s.result = c_type(f.result, side);
    } else if (kind(f.result) == TypeKind::Option) {
      s.form = Return::Option;
      s.ok = r_.types[plain(f.result).id].args[0];
      s.result = "bool";
    } else if (kind(f.result) == TypeKind::Result) {
      s.form = Return::Result;
      s.ok = r_.types[plain(f.result).id].args[0];
      s.err = r_.types[plain(f.result).id].args[1];
      s.result = "bool";
    } else {
      s.form = Return::Pointer;
      s.ok = f.result;
    }
    if (s.ok) s.params.push_back(c_type(s.ok, side) + " *ret");
    if (s.err) s.params.push_back(c_type(s.err, side) + " *err");
    return s;
  }
  static std::string list(const std::vector<std::string>& items, const char* none) {
    std::string out;
    for (const std::string& i : items) out += (out.empty() ? "" : ", ") + i;
    return out.empty() ? none : out;
  }

  // "[method]file.read": method_file_read.
  static std::string function_name(const wit::Function& f) {
    std::string out = f.name;
    std::erase(out, '[');
    std::replace(out.begin(), out.end(), ']', '_');
    return snake(out);
  }

  void define_types(const wit::Function& f, size_t side) {
    for (const wit::Param& p : f.params) define(p.type, side);
    define(f.result, side);
  }

  Result<void> check(const wit::Function& f) const {
    if (f.accessor != wit::Accessor::None)
      return Error(ErrorKind::Unsupported, "`" + f.name + "`: getters and setters in C");
    return {};
  }

  std::string core_signature(const std::string& name, const wit::CoreSignature& core) const {
    std::vector<std::string> params;
    for (size_t i = 0; i < core.type.params.size(); ++i)
      params.push_back(std::string(core_name(core.type.params[i])) + " arg" + std::to_string(i));
    return (core.type.results.empty() ? "void" : std::string(core_name(core.type.results[0]))) +
           " " + name + "(" + list(params, "void") + ")";
  }

  // Memory in which all parameters stand as the fields of a record.
  std::string params_struct(const wit::Function& f, size_t side) {
    std::string out = "  struct {\n";
    for (const wit::Param& p : f.params)
      out += "    " + c_type(p.type, side) + " " + identifier(p.name) + ";\n";
    return out + "  }";
  }

  Result<void> import(const wit::Function& f, const wit::WorldItem& item, bool root) {
    WAFER_TRY(check(f));
    define_types(f, kImports);
    ends(f, kImports, root ? "$root" : key(item));
    const Signature s = signature(f, kImports);
    const std::string name =
        function_symbol((root ? name_ : item_name(item)) + "_" + function_name(f));
    const wit::CoreSignature core = abi_.signature(f, AbiVariant::Import);
    functions_ += docs(f.docs, "");
    functions_ += s.result + " " + name + "(" + list(s.params, "void") + ");\n";
    const std::string symbol = "__wasm_import_" + name;
    source_ += "__attribute__((__import_module__(\"" + (root ? "$root" : key(item)) +
               "\"), __import_name__(\"" + f.name + "\")))\nextern " +
               core_signature(symbol, core) + ";\n\n";
    body_.clear();
    temporaries_ = 0;
    std::vector<std::string> args;
    if (core.indirect_params) {
      body_ += params_struct(f, kImports) + " params_;\n";
      for (const wit::Param& p : f.params) {
        const std::string to = "params_." + identifier(p.name);
        if (kind(p.type) == TypeKind::Option && !is_scalar(p.type)) {
          const std::string from = maybe(f, p);
          body_ += "  " + to + ".is_some = " + from + " != NULL;\n  if (" + from + ") {\n    " +
                   to + ".val = *" + from + ";\n  }\n";
        } else {
          body_ += "  " + to + " = " + (is_scalar(p.type) ? "" : "*") + identifier(p.name) + ";\n";
        }
      }
      args.push_back("(int32_t)&params_");
    } else {
      for (const wit::Param& p : f.params) {
        if (is_scalar(p.type)) {
          args.push_back(to_core(p.type, identifier(p.name)));
          continue;
        }
        const Slots slots = fresh_slots(p.type);
        if (kind(p.type) == TypeKind::Option) {
          const std::string from = maybe(f, p);
          body_ += "  if (" + from + " != NULL) {\n    " + slots[0].name + " = 1;\n";
          lower(r_.types[plain(p.type).id].args[0], "(*" + from + ")",
                {slots.begin() + 1, slots.end()}, "    ");
          body_ += "  }\n";
        } else {
          lower(p.type, "(*" + identifier(p.name) + ")", slots, "  ");
        }
        for (const Slot& slot : slots) args.push_back(slot.name);
      }
    }
    if (core.return_pointer) {
      body_ += "  " + c_type(f.result, kImports) + " result_;\n";
      args.push_back("(int32_t)&result_");
      body_ += "  " + symbol + "(" + list(args, "") + ");\n";
    } else if (f.result) {
      body_ += "  " + std::string(core_name(core.type.results[0])) + " flat_result_ = " + symbol +
               "(" + list(args, "") + ");\n  " + c_type(f.result, kImports) + " result_;\n";
      lift(f.result, "result_", {{"flat_result_", core.type.results[0]}}, kImports, "  ");
    } else {
      body_ += "  " + symbol + "(" + list(args, "") + ");\n";
    }
    give_result(s, "result_");
    source_ += s.result + " " + name + "(" + list(s.params, "void") + ") {\n" + body_ + "}\n\n";
    if (f.is_async) import_async(f, name, root ? "$root" : key(item));
    return {};
  }

  // The form of an imported function that does not wait.
  void import_async(const wit::Function& f, const std::string& name, const std::string& module) {
    uses_async_ = true;
    const wit::CoreSignature core = abi_.signature(f, AbiVariant::ImportAsync);
    const std::string symbol = "__wasm_import_" + name + "__async";
    std::vector<std::string> params, args;
    functions_ +=
        "// The same without waiting; arguments and room for the result stay until then.\n";
    if (!f.params.empty()) {
      functions_ += "typedef" + params_struct(f, kImports).substr(1) + " " + name + "__args_t;\n";
      params.push_back("const " + name + "__args_t *args");
    }
    if (f.result) params.push_back(c_type(f.result, kImports) + " *ret");
    const std::string head = "wit_started_t " + name + "__async(" + list(params, "void") + ")";
    functions_ += head + ";\n";
    source_ += "__attribute__((__import_module__(\"" + module +
               "\"), __import_name__(\"[async-lower]" + f.name + "\")))\nextern " +
               core_signature(symbol, core) + ";\n\n";
    body_.clear();
    temporaries_ = 0;
    if (core.indirect_params) {
      args.push_back("(int32_t)args");
    } else {
      for (const wit::Param& p : f.params) {
        const Slots slots = fresh_slots(p.type);
        for (const Slot& slot : slots) args.push_back(slot.name);
        lower(p.type, "args->" + identifier(p.name), slots, "  ");
      }
    }
    if (core.return_pointer) args.push_back("(int32_t)ret");
    source_ += head + " {\n" + body_ + "  return (wit_started_t)" + symbol + "(" + list(args, "") +
               ");\n}\n\n";
  }

  // ---- Streams and futures ------------------------------------------------------------

  void define_function(const std::string& head, const std::string& body) {
    functions_ += head + ";\n";
    source_ += head + " {\n" + body + "}\n\n";
  }

  // Functions of the streams and futures in the type of `f`, which their built-ins are named by.
  void ends(const wit::Function& f, size_t side, const std::string& module) {
    const std::vector<TypeId> all = wit::futures_and_streams(r_, f);
    for (size_t i = 0; i < all.size(); ++i) {
      const TypeDef& d = r_.types[all[i]];
      const std::string name = stem(Type::of(all[i]), side);
      if (!ends_done_.insert(name).second) continue;
      uses_async_ = true;
      const bool stream = d.kind == TypeKind::Stream;
      const std::string kind = stream ? "stream" : "future", reader = name + "_t",
                        writer = name + "_writer_t";
      const auto import = [&](const std::string& what, const std::string& result,
                              const std::string& params, bool async) {
        const std::string symbol =
            "__wasm_import_" + name + "_" + snake(what) + (async ? "_async" : "");
        source_ += "__attribute__((__import_module__(\"" + module + "\"), __import_name__(\"" +
                   (async ? "[async-lower]" : "") + "[" + kind + "-" + what + "-" +
                   std::to_string(i) + "]" + f.name + "\")))\nextern " + result + " " + symbol +
                   "(" + params + ");\n\n";
        return symbol;
      };
      functions_ += "\n// A " + kind + ". What waits gives what came of it; `_async` may give " +
                    "WIT_BLOCKED, with an event to follow.\n";
      define_function(reader + " " + name + "_new(" + writer + " *writer)",
                      "  uint64_t both = (uint64_t)" + import("new", "int64_t", "void", false) +
                          "();\n  *writer = (uint32_t)(both >> 32);\n  return (uint32_t)both;\n");
      for (const bool read : {true, false}) {
        const std::string verb = read ? "read" : "write", end = read ? reader : writer;
        std::string params = end + " end", args = "(int32_t)end";
        if (d.args[0])
          params += std::string(", ") + (read ? "" : "const ") + c_type(d.args[0], side) +
                    (read ? " *to" : " *from");
        args += d.args[0] ? (read ? ", (int32_t)to" : ", (int32_t)from") : ", 0";
        if (stream) {
          params += ", size_t count";
          args += ", (int32_t)count";
        }
        const std::string head = "uint32_t " + name + "_" + verb,
                          given = d.args[0] ? std::string(read ? ", to" : ", from") : "",
                          many = stream ? ", count" : "";
        define_function(
            head + "_async(" + params + ")",
            "  return (uint32_t)" +
                import(verb, "int32_t", stream ? "int32_t, int32_t, int32_t" : "int32_t, int32_t",
                       true) +
                "(" + args + ");\n");
        define_function(head + "(" + params + ")", "  uint32_t code = " + name + "_" + verb +
                                                       "_async(end" + given + many +
                                                       ");\n  return code == WIT_BLOCKED ? " +
                                                       name_ + "_wait_for(end) : code;\n");
        define_function("uint32_t " + name + "_cancel_" + verb + "(" + end + " end)",
                        "  return (uint32_t)" +
                            import("cancel-" + verb, "int32_t", "int32_t", false) +
                            "((int32_t)end);\n");
        const std::string drop = read ? "drop-readable" : "drop-writable";
        define_function("void " + name + "_" + snake(drop) + "(" + end + " end)",
                        "  " + import(drop, "void", "int32_t", false) + "((int32_t)end);\n");
      }
    }
  }

  // What tasks wait by.
  void async_helpers() {
    const auto builtin = [&](const std::string& name, const std::string& result,
                             const std::string& params) {
      const std::string symbol = "__wasm_import_" + name_ + "_" + snake(name);
      source_ += "__attribute__((__import_module__(\"$root\"), __import_name__(\"[" + name +
                 "]\")))\nextern " + result + " " + symbol + "(" + params + ");\n\n";
      return symbol;
    };
    functions_ += "\n// Sets of subtasks and of ends of streams and futures, to wait for.\n";
    const std::string set = name_ + "_waitable_set";
    define_function(
        "uint32_t " + set + "_new(void)",
        "  return (uint32_t)" + builtin("waitable-set-new", "int32_t", "void") + "();\n");
    define_function("void " + set + "_drop(uint32_t set)",
                    "  " + builtin("waitable-set-drop", "void", "int32_t") + "((int32_t)set);\n");
    functions_ += "// Set 0: none.\n";
    define_function("void " + name_ + "_waitable_join(uint32_t waitable, uint32_t set)",
                    "  " + builtin("waitable-join", "void", "int32_t, int32_t") +
                        "((int32_t)waitable, (int32_t)set);\n");
    for (const std::string what : {"wait", "poll"})
      define_function(
          "wit_event_t " + set + "_" + what + "(uint32_t set)",
          "  uint32_t more[2] = {0, 0};\n  wit_event_t event;\n  event.code = (uint32_t)" +
              builtin("waitable-set-" + what, "int32_t", "int32_t, int32_t") +
              "((int32_t)set, (int32_t)more);\n  event.waitable = more[0];\n"
              "  event.result = more[1];\n  return event;\n");
    functions_ += "// Waits for the event of what is in no set, and gives its result.\n";
    define_function("uint32_t " + name_ + "_wait_for(uint32_t waitable)",
                    "  uint32_t set = " + set + "_new();\n  " + name_ +
                        "_waitable_join(waitable, set);\n  wit_event_t event = " + set +
                        "_wait(set);\n  " + name_ + "_waitable_join(waitable, 0);\n  " + set +
                        "_drop(set);\n  return event.result;\n");
    define_function("uint32_t " + name_ + "_subtask_cancel(uint32_t subtask)",
                    "  return (uint32_t)" + builtin("subtask-cancel", "int32_t", "int32_t") +
                        "((int32_t)subtask);\n");
    define_function("void " + name_ + "_subtask_drop(uint32_t subtask)",
                    "  " + builtin("subtask-drop", "void", "int32_t") + "((int32_t)subtask);\n");
    if (!async_exports_) return;
    functions_ += "// A value that each task has for itself.\n";
    define_function("void *" + name_ + "_task_value(void)",
                    "  return (void *)" + builtin("context-get-0", "int32_t", "void") + "();\n");
    define_function("void " + name_ + "_set_task_value(void *value)",
                    "  " + builtin("context-set-0", "void", "int32_t") + "((int32_t)value);\n");
  }

  static constexpr std::string_view kAsyncTypes = R"(#ifndef WIT_ASYNC
#define WIT_ASYNC
// What came of a read or write: how it ended, and how many elements were moved.
#define WIT_BLOCKED UINT32_C(0xffffffff)
#define WIT_RESULT(code) ((code) & 0xf)
#define WIT_COUNT(code) ((code) >> 4)
#define WIT_COMPLETED 0
#define WIT_DROPPED 1
#define WIT_CANCELLED 2

// A call that was started: its state, and, unless it has returned, a subtask to wait for.
typedef uint32_t wit_started_t;
#define WIT_STATE(started) ((started) & 0xf)
#define WIT_SUBTASK(started) ((started) >> 4)
#define WIT_STARTING 0
#define WIT_STARTED 1
#define WIT_RETURNED 2
#define WIT_CANCELLED_BEFORE_STARTED 3
#define WIT_CANCELLED_BEFORE_RETURNED 4

typedef struct wit_event_t {
  uint32_t code;
  uint32_t waitable;
  uint32_t result;  // of a subtask its state
} wit_event_t;
#define WIT_EVENT_NONE 0
#define WIT_EVENT_SUBTASK 1
#define WIT_EVENT_STREAM_READ 2
#define WIT_EVENT_STREAM_WRITE 3
#define WIT_EVENT_FUTURE_READ 4
#define WIT_EVENT_FUTURE_WRITE 5
#define WIT_EVENT_CANCELLED 6

// How a step of an exported function ends.
typedef uint32_t wit_step_t;
#define WIT_EXIT 0
#define WIT_YIELD 1
#define WIT_WAIT(set) (2 | (set) << 4)
#endif

)";

  // Hands a result on in the form that C has for it.
  void give_result(const Signature& s, const std::string& from) {
    using Return = Signature::Return;
    switch (s.form) {
      case Return::None:
        return;
      case Return::Value:
        body_ += "  return " + from + ";\n";
        return;
      case Return::Pointer:
        body_ += "  *ret = " + from + ";\n";
        return;
      case Return::Option:
        body_ += "  if (" + from + ".is_some) {\n    *ret = " + from + ".val;\n  }\n  return " +
                 from + ".is_some;\n";
        return;
      case Return::Result:
        if (s.ok) body_ += "  if (!" + from + ".is_err) {\n    *ret = " + from + ".val.ok;\n  }\n";
        if (s.err) body_ += "  if (" + from + ".is_err) {\n    *err = " + from + ".val.err;\n  }\n";
        body_ += "  return !" + from + ".is_err;\n";
        return;
    }
  }

  Result<void> export_(const wit::Function& f, const wit::WorldItem& item, size_t side) {
    WAFER_TRY(check(f));
    define_types(f, side);
    ends(f, side, "[export]" + (item.kind == ItemKind::Function ? "$root" : key(item)));
    const bool in_steps = f.is_async && async_exports_;
    const Signature s = signature(f, side);
    const bool root = item.kind == ItemKind::Function;
    const std::string prefix = "exports_" + (root ? name_ : item_name(item)) + "_";
    const std::string name = function_symbol(prefix + function_name(f));
    const wit::CoreSignature core =
        abi_.signature(f, in_steps ? AbiVariant::ExportAsync : AbiVariant::Export);
    const std::string core_export = root ? f.name : key(item) + "#" + f.name;
    exports_ += docs(f.docs, "");
    if (in_steps) {
      task_functions(f, side, name, prefix, "[export]" + (root ? "$root" : key(item)), core_export,
                     s);
    } else {
      exports_ += s.result + " " + name + "(" + list(s.params, "void") + ");\n";
    }
    const std::string symbol = "__wasm_export_" + name;
    body_.clear();
    temporaries_ = 0;
    std::vector<std::string> args;
    size_t next = 0;
    if (core.indirect_params) {
      body_ += params_struct(f, side) + " params_;\n";
      body_ += "  memcpy(&params_, (void *)arg0, sizeof params_);\n  free((void *)arg0);\n";
    }
    for (const wit::Param& p : f.params) {
      std::string value = "params_." + identifier(p.name);
      if (!core.indirect_params) {
        std::vector<Slot> slots;
        for (wasm::ValType t : abi_.flat(p.type))
          slots.push_back({"arg" + std::to_string(next++), t});
        value = "value" + std::to_string(temporaries_++);
        body_ += "  " + c_type(p.type, side) + " " + value + ";\n";
        lift(p.type, value, slots, side, "  ");
      }
      if (is_scalar(p.type))
        args.push_back(value);
      else if (kind(p.type) == TypeKind::Option)
        args.push_back(value + ".is_some ? &" + value + ".val : NULL");
      else
        args.push_back("&" + value);
    }
    using Return = Signature::Return;
    if (in_steps) {
      body_ += "  return (int32_t)" + name + "(" + list(args, "") + ");\n";
    } else if (s.form == Return::None) {
      body_ += "  " + name + "(" + list(args, "") + ");\n";
    } else {
      const std::string type = c_type(f.result, side);
      // What is returned by its address stays until the caller has read it.
      body_ += std::string("  ") + (core.return_pointer ? "static " : "") + type + " result;\n";
      if (s.ok && s.form != Return::Pointer)
        args.push_back(s.form == Return::Option ? "&result.val" : "&ok");
      if (s.form == Return::Pointer) args.push_back("&result");
      if (s.form == Return::Result) {
        if (s.ok) body_ += "  " + c_type(s.ok, side) + " ok;\n";
        if (s.err) {
          body_ += "  " + c_type(s.err, side) + " err;\n";
          args.push_back("&err");
        }
      }
      const std::string call = name + "(" + list(args, "") + ")";
      if (s.form == Return::Value) body_ += "  result = " + call + ";\n";
      if (s.form == Return::Pointer) body_ += "  " + call + ";\n";
      if (s.form == Return::Option) body_ += "  result.is_some = " + call + ";\n";
      if (s.form == Return::Result) {
        body_ += "  result.is_err = !" + call + ";\n";
        if (s.ok) body_ += "  if (!result.is_err) {\n    result.val.ok = ok;\n  }\n";
        if (s.err) body_ += "  if (result.is_err) {\n    result.val.err = err;\n  }\n";
      }
      if (core.return_pointer) {
        body_ += "  return (int32_t)&result;\n";
      } else {
        const wasm::ValType t = core.type.results[0];
        body_ += "  " + std::string(core_name(t)) + " flat_result = 0;\n";
        lower(f.result, "result", {{"flat_result", t}}, "  ");
        body_ += "  return flat_result;\n";
      }
    }
    source_ += "__attribute__((__export_name__(\"" + std::string(in_steps ? "[async-lift]" : "") +
               core_export + "\")))\n" + core_signature(symbol, core) + " {\n" + body_ + "}\n\n";
    if (core.return_pointer && owns(f.result)) {
      source_ += "__attribute__((__weak__, __export_name__(\"cabi_post_" + core_export +
                 "\")))\nvoid " + symbol + "_post_return(int32_t arg0) {\n  " +
                 free_statement(f.result, side, "(" + c_type(f.result, side) + " *)arg0") +
                 "\n}\n\n";
    }
    return {};
  }

  // What belongs to an exported function that is implemented in steps.
  void task_functions(const wit::Function& f, size_t side, const std::string& name,
                      const std::string& prefix, const std::string& module,
                      const std::string& core_export, const Signature& s) {
    uses_async_ = true;
    // The result is given by a function of its own.
    std::vector<std::string> params = s.params;
    if (s.ok) params.pop_back();
    if (s.err) params.pop_back();
    exports_ +=
        "// In steps: it begins, goes on with each event, and gives its result at any "
        "time, once.\nwit_step_t " +
        name + "(" + list(params, "void") + ");\nwit_step_t " + name +
        "__callback(wit_event_t event);\n";
    source_ += "__attribute__((__export_name__(\"[callback][async-lift]" + core_export +
               "\")))\nint32_t __wasm_callback_" + name +
               "(int32_t code, int32_t waitable, int32_t result) {\n"
               "  wit_event_t event = {(uint32_t)code, (uint32_t)waitable, (uint32_t)result};\n"
               "  return (int32_t)" +
               name + "__callback(event);\n}\n\n";
    const wit::CoreSignature core = abi_.task_return(f);
    const std::string symbol = "__wasm_return_" + name;
    const bool scalar = f.result && is_scalar(f.result);
    const std::string head = "void " + name + "__return(" +
                             (!f.result ? "void"
                                        : (scalar ? "" : "const ") + c_type(f.result, side) +
                                              (scalar ? " ret" : " *ret")) +
                             ")";
    functions_ += "\n// The result of " + f.name + ", which stays the caller's.\n" + head + ";\n";
    source_ += "__attribute__((__import_module__(\"" + module +
               "\"), __import_name__(\"[task-return]" + f.name + "\")))\nextern " +
               core_signature(symbol, core) + ";\n\n";
    body_.clear();
    temporaries_ = 0;
    std::vector<std::string> args;
    if (core.indirect_params) {
      args.push_back("(int32_t)ret");
    } else if (f.result) {
      const Slots slots = fresh_slots(f.result);
      for (const Slot& slot : slots) args.push_back(slot.name);
      lower(f.result, scalar ? "ret" : "(*ret)", slots, "  ");
    }
    source_ += head + " {\n" + body_ + "  " + symbol + "(" + list(args, "") + ");\n}\n\n";
    body_.clear();
    temporaries_ = 0;
    if (!cancels_.insert(module).second) return;
    const std::string cancel = prefix + "task_cancel";
    functions_ += "// The end of a task that was cancelled, instead of a result.\nvoid " + cancel +
                  "(void);\n";
    source_ += "__attribute__((__import_module__(\"" + module +
               "\"), __import_name__(\"[task-cancel]\")))\nextern void __wasm_import_" + cancel +
               "(void);\n\nvoid " + cancel + "(void) {\n  __wasm_import_" + cancel + "();\n}\n\n";
  }

  // ---- Flat values --------------------------------------------------------------------

  struct Slot {
    std::string name;
    wasm::ValType type;
  };
  using Slots = std::vector<Slot>;

  // Declares variables for the core values of a `t`.
  Slots fresh_slots(Type t) {
    Slots out;
    for (wasm::ValType c : abi_.flat(t)) {
      // No name of WIT ends with a `_`.
      out.push_back({"flat" + std::to_string(temporaries_++) + "_", c});
      body_ += "  " + std::string(core_name(c)) + " " + out.back().name + " = 0;\n";
    }
    return out;
  }

  // Gives the parts of a value their slots, one after the other; what a case holds begins behind
  // the first.
  class Cursor {
   public:
    Cursor(wit::AbiTypes& abi, const Slots& slots) : abi_(abi), slots_(slots) {}
    Slots take(Type member) {
      Slots out = some(at_, member);
      at_ += out.size();
      return out;
    }
    Slots payload(Type member) { return some(1, member); }

   private:
    Slots some(size_t from, Type t) {
      const size_t end = std::min(from + abi_.flat(t).size(), slots_.size());
      return {slots_.begin() + static_cast<ptrdiff_t>(from),
              slots_.begin() + static_cast<ptrdiff_t>(end)};
    }
    wit::AbiTypes& abi_;
    const Slots& slots_;
    size_t at_ = 0;
  };

  // `value`, of core type `from`, as a slot of core type `to` has it, and back.
  std::string coerced(const std::string& value, wasm::ValType from, wasm::ValType to) const {
    if (from == to) return value;
    if (from == wasm::kF32)
      return to == wasm::kI32 ? "wit_f32_bits(" + value + ")"
                              : "(int64_t)(uint32_t)wit_f32_bits(" + value + ")";
    if (from == wasm::kF64) return "wit_f64_bits(" + value + ")";
    if (to == wasm::kF32) return "wit_bits_f32((int32_t)" + value + ")";
    if (to == wasm::kF64) return "wit_bits_f64(" + value + ")";
    return to == wasm::kI64 ? "(int64_t)(uint32_t)" + value : "(int32_t)" + value;
  }

  // A scalar as its core value.
  std::string to_core(Type t, const std::string& value) const {
    const Type p = plain(t);
    if (p.defined()) {
      const TypeKind k = r_.types[p.id].kind;
      if (k == TypeKind::Own) return value + ".__handle";
      if (k == TypeKind::Borrow) return borrow_to_core(p, value);
      return "(int32_t)" + value;
    }
    switch (p.prim) {
      case Prim::F32:
      case Prim::F64:
        return value;
      case Prim::S64:
      case Prim::U64:
        return "(int64_t)" + value;
      default:
        return "(int32_t)" + value;
    }
  }
  std::string borrow_to_core(Type, const std::string& value) const { return value + ".__handle"; }

  void lower(Type t, const std::string& value, const Slots& slots, const std::string& indent) {
    const Type p = plain(t);
    if (is_scalar(p)) {
      const wasm::ValType own = abi_.flat(p)[0];
      body_ +=
          indent + slots[0].name + " = " + coerced(to_core(p, value), own, slots[0].type) + ";\n";
      return;
    }
    const auto pair = [&] {
      body_ += indent + slots[0].name + " = " +
               coerced("(int32_t)" + value + ".ptr", wasm::kI32, slots[0].type) + ";\n" + indent +
               slots[1].name + " = " +
               coerced("(int32_t)" + value + ".len", wasm::kI32, slots[1].type) + ";\n";
    };
    if (!p.defined()) return pair();
    const TypeDef& d = r_.types[p.id];
    Cursor parts(abi_, slots);
    switch (d.kind) {
      case TypeKind::List:
      case TypeKind::Map:
        return pair();
      case TypeKind::Record:
        for (const wit::Member& m : d.members)
          lower(m.type, value + "." + identifier(m.name), parts.take(m.type), indent);
        return;
      case TypeKind::Tuple:
        for (size_t i = 0; i < d.args.size(); ++i)
          lower(d.args[i], value + ".f" + std::to_string(i), parts.take(d.args[i]), indent);
        return;
      case TypeKind::FixedList:
        for (uint32_t i = 0; i < d.length; ++i)
          lower(d.args[0], value + ".val[" + std::to_string(i) + "]", parts.take(d.args[0]),
                indent);
        return;
      case TypeKind::Option:
        body_ += indent + slots[0].name + " = " + value + ".is_some;\n" + indent + "if (" + value +
                 ".is_some) {\n";
        lower(d.args[0], value + ".val", parts.payload(d.args[0]), indent + "  ");
        body_ += indent + "}\n";
        return;
      case TypeKind::Result:
        body_ += indent + slots[0].name + " = " + value + ".is_err;\n";
        if (d.args[0]) {
          body_ += indent + "if (!" + value + ".is_err) {\n";
          lower(d.args[0], value + ".val.ok", parts.payload(d.args[0]), indent + "  ");
          body_ += indent + "}\n";
        }
        if (d.args[1]) {
          body_ += indent + "if (" + value + ".is_err) {\n";
          lower(d.args[1], value + ".val.err", parts.payload(d.args[1]), indent + "  ");
          body_ += indent + "}\n";
        }
        return;
      case TypeKind::Variant:
        body_ += indent + slots[0].name + " = " + value + ".tag;\n" + indent + "switch (" + value +
                 ".tag) {\n";
        for (size_t i = 0; i < d.members.size(); ++i) {
          if (!d.members[i].type) continue;
          body_ += indent + "  case " + std::to_string(i) + ": {\n";
          lower(d.members[i].type, value + ".val." + identifier(d.members[i].name),
                parts.payload(d.members[i].type), indent + "    ");
          body_ += indent + "    break;\n" + indent + "  }\n";
        }
        body_ += indent + "}\n";
        return;
      default:
        return;
    }
  }

  void lift(Type t, const std::string& to, const Slots& slots, size_t side,
            const std::string& indent) {
    const Type p = plain(t);
    if (is_scalar(p)) {
      const wasm::ValType own = abi_.flat(p)[0];
      const std::string value = coerced(slots[0].name, slots[0].type, own);
      std::string out = value;
      if (p.defined() && r_.types[p.id].kind == TypeKind::Own) {
        out = "(" + c_type(p, side) + ") { " + value + " }";
      } else if (p.defined() && r_.types[p.id].kind == TypeKind::Borrow) {
        // What an exported resource lends is the resource itself.
        const TypeDef& resource = r_.types[resource_of(r_.types[p.id])];
        out = owner_side(resource, side) == kImports ? "(" + c_type(p, side) + ") { " + value + " }"
                                                     : "(" + c_type(p, side) + ")" + value;
      } else {
        out = "(" + c_type(p, side) + ")" + value;
      }
      body_ += indent + to + " = " + out + ";\n";
      return;
    }
    const auto pair = [&](const std::string& element) {
      body_ += indent + to + ".ptr = (" + element + " *)" +
               coerced(slots[0].name, slots[0].type, wasm::kI32) + ";\n" + indent + to +
               ".len = (size_t)" + coerced(slots[1].name, slots[1].type, wasm::kI32) + ";\n";
    };
    if (!p.defined()) return pair("uint8_t");
    const TypeDef& d = r_.types[p.id];
    Cursor parts(abi_, slots);
    const std::string first = slots.empty() ? "" : slots[0].name;
    switch (d.kind) {
      case TypeKind::List:
        return pair(c_type(d.args[0], side));
      case TypeKind::Map:
        return pair(stem(p, side) + "_entry_t");
      case TypeKind::Record:
        for (const wit::Member& m : d.members)
          lift(m.type, to + "." + identifier(m.name), parts.take(m.type), side, indent);
        return;
      case TypeKind::Tuple:
        for (size_t i = 0; i < d.args.size(); ++i)
          lift(d.args[i], to + ".f" + std::to_string(i), parts.take(d.args[i]), side, indent);
        return;
      case TypeKind::FixedList:
        for (uint32_t i = 0; i < d.length; ++i)
          lift(d.args[0], to + ".val[" + std::to_string(i) + "]", parts.take(d.args[0]), side,
               indent);
        return;
      case TypeKind::Option:
        body_ += indent + to + ".is_some = " + first + " != 0;\n" + indent + "if (" + to +
                 ".is_some) {\n";
        lift(d.args[0], to + ".val", parts.payload(d.args[0]), side, indent + "  ");
        body_ += indent + "}\n";
        return;
      case TypeKind::Result:
        body_ += indent + to + ".is_err = " + first + " != 0;\n";
        if (d.args[0]) {
          body_ += indent + "if (!" + to + ".is_err) {\n";
          lift(d.args[0], to + ".val.ok", parts.payload(d.args[0]), side, indent + "  ");
          body_ += indent + "}\n";
        }
        if (d.args[1]) {
          body_ += indent + "if (" + to + ".is_err) {\n";
          lift(d.args[1], to + ".val.err", parts.payload(d.args[1]), side, indent + "  ");
          body_ += indent + "}\n";
        }
        return;
      case TypeKind::Variant:
        body_ += indent + to + ".tag = " + first + ";\n" + indent + "switch (" + to + ".tag) {\n";
        for (size_t i = 0; i < d.members.size(); ++i) {
          if (!d.members[i].type) continue;
          body_ += indent + "  case " + std::to_string(i) + ": {\n";
          lift(d.members[i].type, to + ".val." + identifier(d.members[i].name),
               parts.payload(d.members[i].type), side, indent + "    ");
          body_ += indent + "    break;\n" + indent + "  }\n";
        }
        body_ += indent + "}\n";
        return;
      default:
        return;
    }
  }

  // ---- Files --------------------------------------------------------------------------

  std::string header() const {
    const std::string guard = "BINDINGS_" + shout(world_.name) + "_H";
    std::string out = "// Made by wafer bindgen from world " + world_.name +
                      ". Do not change.\n//\n"
                      "// Arguments of imported functions stay the caller's; results are the\n"
                      "// caller's to free. Arguments of exported functions are theirs to free,\n"
                      "// and results are freed after they were read.\n";
    out +=
        "#ifndef " + guard + "\n#define " + guard +
        "\n\n#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <stdlib.h>\n"
        "#include <string.h>\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";
    out += "typedef struct " + name_ + "_string_t {\n  uint8_t *ptr;\n  size_t len;\n} " + name_ +
           "_string_t;\n\n";
    if (uses_async_) out += kAsyncTypes;
    out += types_;
    if (!functions_.empty()) out += "// Imported.\n\n" + functions_ + "\n";
    if (!exports_.empty()) out += "// Exported: to be implemented.\n\n" + exports_ + "\n";
    out += "// Helpers.\n\n" + frees_declared_;
    out += "// A view of a text that lives on; a copy; and the end of one.\n";
    out += "void " + name_ + "_string_set(" + name_ + "_string_t *ret, const char *s);\n";
    out += "void " + name_ + "_string_dup(" + name_ + "_string_t *ret, const char *s);\n";
    out += "void " + name_ + "_string_free(" + name_ + "_string_t *ret);\n";
    out += "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n";
    return out;
  }

  std::string source() const {
    const std::string s = name_ + "_string";
    std::string out = "// Made by wafer bindgen from world " + world_.name +
                      ". Do not change.\n#include \"" + file_ + ".h\"\n\n";
    out += "// Brings in the object file that tells the world.\nextern void " +
           component_type_symbol(name_) +
           "(void);\n__attribute__((used)) static void (*const keep)(void) = " +
           component_type_symbol(name_) + ";\n\n";
    out +=
        "__attribute__((__weak__, __export_name__(\"cabi_realloc\")))\n"
        "void *cabi_realloc(void *ptr, size_t old_size, size_t align, size_t new_size) {\n"
        "  (void)old_size;\n"
        "  if (new_size == 0) return (void *)align;\n"
        "  void *ret = realloc(ptr, new_size);\n"
        "  if (!ret) abort();\n"
        "  return ret;\n}\n\n";
    const auto bits = [&](const char* f, const char* real, const char* whole) {
      out += std::string("__attribute__((unused)) static ") + whole + " wit_" + f + "_bits(" +
             real + " value) {\n  " + whole +
             " out;\n  memcpy(&out, &value, sizeof out);\n  return out;\n}\n\n";
      out += std::string("__attribute__((unused)) static ") + real + " wit_bits_" + f + "(" +
             whole + " value) {\n  " + real +
             " out;\n  memcpy(&out, &value, sizeof out);\n  return out;\n}\n\n";
    };
    bits("f32", "float", "int32_t");
    bits("f64", "double", "int64_t");
    out += "void " + s + "_set(" + s +
           "_t *ret, const char *s) {\n  ret->ptr = (uint8_t *)s;\n  ret->len = strlen(s);\n}\n\n";
    out += "void " + s + "_dup(" + s +
           "_t *ret, const char *s) {\n  ret->len = strlen(s);\n  ret->ptr = "
           "cabi_realloc(NULL, 0, 1, ret->len);\n  memcpy(ret->ptr, s, ret->len);\n}\n\n";
    out += "void " + s + "_free(" + s +
           "_t *ret) {\n  if (ret->len > 0) {\n    free(ret->ptr);\n  }\n  ret->ptr = NULL;\n  "
           "ret->len = 0;\n}\n\n";
    return out + source_ + frees_;
  }

  wit::WorldId world_id_;
  const std::string name_;  // what names begin with
  const std::string file_;
  const bool async_exports_;
  const std::set<std::string>* const taken_;
  static constexpr char kOfFunction = '@';
  mutable std::map<std::tuple<TypeId, size_t, const wit::WorldItem*>, std::string> stems_;
  mutable std::unordered_map<std::string, std::string>
      claimed_;  // names of types, and which those are
  mutable std::unordered_set<std::string> type_names_, handle_functions_;
  std::set<std::string> functions_named_, constants_;
  bool uses_async_ = false;
  std::set<std::string> ends_done_, cancels_;
  const wit::WorldItem* item_ = nullptr;  // the imported interface that is at hand
  std::set<std::string> defined_, resources_done_;
  std::string types_, functions_, exports_, frees_declared_, frees_, source_, body_;
  uint32_t temporaries_ = 0;
};

}  // namespace

Result<CBindings> c_bindings(const wit::Resolve& resolve, wit::WorldId world, bool async_exports) {
  WAFER_LET(made, Generator(resolve, world, async_exports, nullptr).run());
  const std::set<std::string> taken = Generator::names_in(made);
  return Generator(resolve, world, async_exports, &taken).run();
}

}  // namespace wafer::bindgen
