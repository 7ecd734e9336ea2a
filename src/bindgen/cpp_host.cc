// C++ for hosts: classes to be implemented for what a world imports, and classes to call what it
// exports by.
#include <map>

#include "bindgen/cpp.h"
#include "bindgen/naming.h"

namespace wafer::bindgen {

namespace {

class HostGenerator final : CppTypes {
 public:
  HostGenerator(const wit::Resolve& r, wit::WorldId world) : CppTypes(r, world, "::wafer") {}

  Result<CppBindings> run() {
    WAFER_TRY(check_types());
    for (const wit::WorldItem& item : world_.imports) {
      if (item.kind == ItemKind::Type) define(Type::of(item.type), kImports);
      if (item.kind == ItemKind::Interface) import(item);
    }
    import_root();
    for (size_t i = 0; i < world_.exports.size(); ++i)
      if (world_.exports[i].kind == ItemKind::Interface) export_(i);
    export_world();
    add_imports();
    close_space();
    return CppBindings{world_identifier(world_.name), header()};
  }

 private:
  // ---- Types

  std::string own(TypeId resource, size_t side) const override {
    const std::string name = full_name(resource, side);
    return imported(resource, side) ? "::std::unique_ptr<" + name + ">" : name;
  }
  std::string borrow(TypeId resource, size_t side) const override {
    const std::string name = full_name(resource, side);
    return imported(resource, side) ? name + "*" : "const " + name + "*";
  }
  bool imported(TypeId resource, size_t side) const {
    return owner_side(r_.types[resource], side) == kImports;
  }
  std::string declare_resource(TypeId id, size_t side) override {
    const std::string name = pascal(r_.types[id].name);
    if (imported(id, side)) return "class " + name + ";\n\n";
    return "// A resource of the component.\nclass " + name +
           " : public ::wafer::GuestResource {\n public:\n"
           "  using GuestResource::GuestResource;\n};\n\n";
  }

  std::string describe(const TypeDef& d, const std::string& name) override {
    std::string out = "template <>\nstruct wafer::ComponentShape<" + name +
                      "> {\n  static constexpr auto kKind = ComponentShapeKind::";
    switch (d.kind) {
      case TypeKind::Record: {
        out += "Record;\n  static constexpr ::std::tuple kFields{";
        for (size_t i = 0; i < d.members.size(); ++i)
          out += (i ? ", &" : "&") + name + "::" + identifier(d.members[i].name);
        out += "};\n";
        break;
      }
      case TypeKind::Variant:
        out += "Variant;\n";
        break;
      default:
        out += std::string(d.kind == TypeKind::Flags ? "Flags" : "Enum") +
               ";\n  static constexpr uint32_t kCount = " + std::to_string(d.members.size()) +
               ";\n";
    }
    return out + "};\n\n";
  }

  // ---- Functions

  std::string signature(const wit::Function& f) {
    return "\"" + component::func_text(abi_.arena(), abi_.func(f)) + "\"";
  }

  bool is_scalar(Type t) const {
    const Type p = plain(t);
    if (!p.defined()) return p.prim != Prim::String;
    const TypeKind k = r_.types[p.id].kind;
    return k == TypeKind::Enum || k == TypeKind::Flags;
  }
  // A borrow by itself, as a reference.
  std::optional<std::string> reference(Type t, size_t side) const {
    const Type p = plain(t);
    if (!p.defined() || r_.types[p.id].kind != TypeKind::Borrow) return std::nullopt;
    std::string out = borrow(resource_of(r_.types[p.id]), side);
    out.back() = '&';
    return out;
  }

  // The declaration of a method to be implemented, which `f` becomes.
  std::string method(const wit::Function& f, const std::string& name) {
    std::string params;
    const bool self = f.kind == FunctionKind::Method;
    for (size_t i = self; i < f.params.size(); ++i)
      params += (params.empty() ? "" : ", ") +
                reference(f.params[i].type, kImports).value_or(type(f.params[i].type, kImports)) +
                " " + identifier(f.params[i].name);
    std::string result = "::wafer::Result<" + type(f.result, kImports) + ">";
    if (f.is_async) {
      params += (params.empty() ? "" : ", ") + std::string("::wafer::ComponentReply<") +
                type(f.result, kImports) + "> reply_";
      result = "void";
    }
    return docs(f.docs, "  ") + "  virtual " + result + " " + name + "(" + params + ") = 0;\n";
  }

  // ---- Imports

  // A class that somebody implements.
  struct Host {
    std::string name;  // in full; empty: there is nothing to implement
    std::string add;   // the function that defines it in a linker
  };
  std::vector<Host> hosts_;

  void import(const wit::WorldItem& item) {
    item_ = &item;
    const wit::Interface& interface = r_.interfaces[item.interface];
    for (TypeId t : interface.types) define(Type::of(t), kImports);
    for (const wit::Function& f : interface.functions) define(f, kImports);
    std::vector<const wit::Function*> functions;
    for (const wit::Function& f : interface.functions) functions.push_back(&f);
    const std::string where = key(item);
    bind(interface.types, functions, outer_space(item, kImports), class_name(item),
         "Imported as " + where + ".", where);
    item_ = nullptr;
  }

  // What defines `types` that are resources, and `functions`, in a linker; methods are those of the
  // resources' classes.
  void bind(const std::vector<TypeId>& types, const std::vector<const wit::Function*>& functions,
            const std::string& space, const std::string& name, const std::string& what,
            const std::string& where) {
    std::string adds;
    for (TypeId t : types) {
      if (kind(Type::of(t)) != TypeKind::Resource) continue;
      if (r_.types[t].kind == TypeKind::Resource) resource(t, functions);
      adds += "  ::wafer::bind_resource<" + full_name(plain(Type::of(t)).id, kImports) +
              ">(linker, \"" + where + "\", \"" + r_.types[t].name + "\");\n";
    }
    std::vector<const wit::Function*> own;
    for (const wit::Function* f : functions) {
      if (f->kind != FunctionKind::Method) {
        own.push_back(f);
        continue;
      }
      const std::string of = full_name(f->resource, kImports);
      adds += "  ::wafer::bind_method<&" + of + "::" + methods_.at(f) + ">(linker, \"" + where +
              "\", \"" + f->name + "\",\n      " + signature(*f) + ", static_cast<" + of +
              "*>(nullptr));\n";
    }
    host(space, name, what, where, own, adds);
  }

  void resource(TypeId id, const std::vector<const wit::Function*>& functions) {
    const TypeDef& d = r_.types[id];
    std::string text = docs(d.docs, "") + "class " + pascal(d.name) +
                       " : public ::wafer::HostResource {\n public:\n";
    std::set<std::string> used;
    for (const wit::Function* f : functions) {
      if (f->kind != FunctionKind::Method || f->resource != id) continue;
      const std::string name = function_name(*f, true, used);
      methods_[f] = name;
      text += method(*f, name);
    }
    put(owner_space(d, kImports), text + "};\n\n");
  }

  void host(const std::string& space, const std::string& name, const std::string& what,
            const std::string& where, const std::vector<const wit::Function*>& functions,
            const std::string& adds) {
    std::string body = adds, text = "// " + what + "\nclass " + name + " {\n public:\n  virtual ~" +
                                    name + "() = default;\n";
    std::set<std::string> used;
    for (const wit::Function* f : functions) {
      const std::string method_name = function_name(*f, false, used);
      text += method(*f, method_name);
      body += "  ::wafer::bind_method<&" + space + "::" + name + "::" + method_name +
              ">(linker, \"" + where + "\", \"" + f->name + "\",\n      " + signature(*f) +
              ", &host);\n";
    }
    text += "};\n\n";
    Host made;
    std::string params = "::wafer::ComponentLinker& linker";
    if (!functions.empty()) {
      made.name = space + "::" + name;
      params += ", " + name + "& host";
      put(space, text);
    } else if (adds.empty()) {
      return;
    }
    const std::string add = "add_" + snake_of(name) + "_to_linker";
    put(space, "// Defines it in a linker" +
                   std::string(functions.empty() ? "" : "; `host` outlives the instances") +
                   ".\ninline void " + add + "(" + params + ") {\n" + body + "}\n\n");
    made.add = space + "::" + add;
    hosts_.push_back(made);
  }

  // "DrawLine": draw_line.
  static std::string snake_of(std::string_view name) {
    std::string out;
    for (const char c : name) {
      if (c >= 'A' && c <= 'Z' && !out.empty() && out.back() != '_' &&
          !(out.back() >= 'A' && out.back() <= 'Z'))
        out += '_';
      out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return out;
  }

  std::string root_class() const {
    std::string out(kRootClass);
    for (const wit::WorldItem& item : world_.imports)
      if (item.kind == ItemKind::Type && pascal(r_.types[item.type].name) == out) out += "_";
    if (out == world_class()) out += "_";
    return out;
  }

  void import_root() {
    std::vector<const wit::Function*> functions;
    std::vector<TypeId> types;
    for (const wit::WorldItem& item : world_.imports) {
      if (item.kind == ItemKind::Type) types.push_back(item.type);
      if (item.kind != ItemKind::Function) continue;
      define(item.function, kImports);
      functions.push_back(&item.function);
    }
    bind(types, functions, world_space_, root_class(), "What the world imports by itself.", "");
  }

  void add_imports() {
    if (hosts_.empty()) return;
    std::string params, body;
    std::map<std::string, size_t> used{{"linker", 1}};
    for (const Host& h : hosts_) {
      std::string arg;
      if (!h.name.empty()) {
        arg = snake_of(h.name.substr(h.name.rfind(':') + 1));
        arg = identifier(arg);
        // Interfaces of many packages may have one name.
        for (size_t& n = used[arg]; n++ > 0;) {
          std::string other = arg + "_" + std::to_string(n);
          if (!used.try_emplace(other, 1).second) continue;
          arg = std::move(other);
          break;
        }
        params += ", " + h.name + "& " + arg;
      }
      body += "  " + h.add + "(linker" + (arg.empty() ? "" : ", " + arg) + ");\n";
    }
    put(world_space_,
        "// Defines everything that the world imports.\n"
        "inline void add_imports(::wafer::ComponentLinker& linker" +
            params + ") {\n" + body + "}\n\n");
  }

  // ---- Exports

  // A class whose methods call `functions`; `more` are methods before them.
  std::string caller(const std::string& name, const std::string& where,
                     const std::vector<const wit::Function*>& functions, size_t side,
                     const std::string& members, const std::string& finds,
                     std::set<std::string> used) {
    std::string methods, found = finds, private_members = members;
    for (size_t i = 0; i < functions.size(); ++i) {
      const wit::Function& f = *functions[i];
      std::string params, types, args;
      for (const wit::Param& p : f.params) {
        std::string t = type(p.type, side);
        const std::string id = identifier(p.name);
        bool moved = false;
        if (const auto r = reference(p.type, side))
          t = *r;
        else if (holds(p.type, {TypeKind::Own, TypeKind::Future, TypeKind::Stream}))
          moved = true;
        else if (!is_scalar(p.type))
          t = "const " + t + "&";
        params += (params.empty() ? "" : ", ") + t + " " + id;
        types += (types.empty() ? "" : ", ") + t;
        args += (args.empty() ? "" : ", ") + (moved ? "::std::move(" + id + ")" : id);
      }
      const std::string result = type(f.result, side), n = "function" + std::to_string(i),
                        member = n + "_";
      methods += docs(f.docs, "  ") + "  ::wafer::Result<" + result + "> " +
                 function_name(f, false, used) + "(" + params + ") const {\n    return " + member +
                 ".call(" + args + ");\n  }\n";
      found += "    WAFER_LET(" + n + ", decltype(" + member + ")::find(instance, scope, \"" +
               where + "\", \"" + f.name + "\",\n        " + signature(f) + "));\n    out." +
               member + " = " + n + ";\n";
      private_members += "  ::wafer::BoundFunc<" + result + "(" + types + ")> " + member + ";\n";
    }
    return methods +
           "  // Of an instance. Unlinkable if something is missing or of another type.\n"
           "  static ::wafer::Result<" +
           name +
           "> find([[maybe_unused]] const ::wafer::ComponentInstance& instance,\n"
           "      [[maybe_unused]] const ::wafer::ComponentScope& scope) {\n    " +
           name + " out;\n" + found + "    return out;\n  }\n\n private:\n" + private_members;
  }

  void export_(size_t side) {
    const wit::WorldItem& item = world_.exports[side];
    const wit::Interface& interface = r_.interfaces[item.interface];
    for (TypeId t : interface.types) define(Type::of(t), side);
    std::vector<const wit::Function*> functions;
    for (const wit::Function& f : interface.functions) {
      define(f, side);
      functions.push_back(&f);
    }
    const std::string name = class_name(item);
    put(outer_space(item, side),
        "// Exported as " + key(item) + ".\nclass " + name + " {\n public:\n" +
            caller(name, key(item), functions, side, "", "", {"find"}) + "};\n\n");
  }

  void export_world() {
    const std::string name = world_class();
    std::vector<const wit::Function*> functions;
    std::string members, finds, accessors;
    std::set<std::string> used{"find", "instantiate"};
    for (size_t i = 0; i < world_.exports.size(); ++i) {
      const wit::WorldItem& item = world_.exports[i];
      if (item.kind == ItemKind::Function) {
        define(item.function, i);
        functions.push_back(&item.function);
      } else if (item.kind == ItemKind::Interface) {
        const std::string type = outer_space(item, i) + "::" + class_name(item);
        std::string method =
            identifier(item.name.empty() ? r_.interfaces[item.interface].name : item.name);
        while (!used.insert(method).second) method += "_";
        const std::string n = std::to_string(i);
        accessors +=
            "  const " + type + "& " + method + "() const { return interface" + n + "_; }\n";
        members += "  " + type + " interface" + n + "_;\n";
        finds += "    WAFER_LET(i" + n + ", " + type +
                 "::find(instance, scope));\n    out.interface" + n + "_ = i" + n + ";\n";
      }
    }
    put(world_space_,
        docs(world_.docs, "") + "// What a component of the world exports.\nclass " + name +
            " {\n public:\n"
            "  // The linker has what the world imports.\n"
            "  static ::wafer::Result<" +
            name +
            "> instantiate(::wafer::Store& store, ::wafer::ComponentLinker& linker,\n"
            "      const ::wafer::Component& component) {\n"
            "    WAFER_LET(instance, linker.instantiate(store, component));\n"
            "    return find(instance, {instance.store(), linker.host_types().get(), nullptr});\n"
            "  }\n" +
            accessors + caller(name, "", functions, kImports, members, finds, used) + "};\n\n");
  }

  std::string header() const {
    return "// Made by wafer bindgen from world " + world_.name +
           ". Do not change.\n#pragma once\n\n#include <wafer/bindings.hpp>\n\n" + out_;
  }

  std::map<const wit::Function*, std::string> methods_;  // of imported resources
};

}  // namespace

Result<CppBindings> cpp_host_bindings(const wit::Resolve& resolve, wit::WorldId world) {
  return HostGenerator(resolve, world).run();
}

}  // namespace wafer::bindgen
