// C++ for guests: functions to call of what a world imports, and functions and classes to be
// implemented of what it exports.
#include <map>

#include "bindgen/c.h"
#include "bindgen/cpp.h"
#include "bindgen/cpp_guest_support.h"
#include "bindgen/naming.h"

namespace wafer::bindgen {

namespace {

class GuestGenerator final : CppTypes {
 public:
  GuestGenerator(const wit::Resolve& r, wit::WorldId world)
      : CppTypes(r, world, "::wit"), world_id_(world) {
    // Functions of the world stand beside namespaces.
    root_used_.insert("exports");
    for (const wit::Package& p : r.packages) root_used_.insert(identifier(p.name.ns));
    for (const auto* items : {&world_.imports, &world_.exports})
      for (const wit::WorldItem& item : *items)
        if (item.kind == ItemKind::Interface && !item.name.empty())
          root_used_.insert(identifier(item.name));
  }

  Result<CppGuestBindings> run() {
    WAFER_TRY(check_types());
    std::vector<const wit::Function*> root;
    for (const wit::WorldItem& item : world_.imports) {
      if (item.kind == ItemKind::Type) define(Type::of(item.type), kImports);
      if (item.kind == ItemKind::Function) root.push_back(&item.function);
      if (item.kind != ItemKind::Interface) continue;
      item_ = &item;
      const wit::Interface& interface = r_.interfaces[item.interface];
      WAFER_TRY(group(interface.types, pointers(interface), space(item, kImports), key(item),
                      kImports, {}));
      item_ = nullptr;
    }
    std::vector<TypeId> types;
    for (const wit::WorldItem& item : world_.imports)
      if (item.kind == ItemKind::Type) types.push_back(item.type);
    WAFER_TRY(group(types, root, world_space_, "$root", kImports, root_used_));
    for (size_t i = 0; i < world_.exports.size(); ++i) {
      const wit::WorldItem& item = world_.exports[i];
      if (item.kind == ItemKind::Interface) {
        const wit::Interface& interface = r_.interfaces[item.interface];
        WAFER_TRY(group(interface.types, pointers(interface), space(item, i), key(item), i, {}));
      } else if (item.kind == ItemKind::Function) {
        WAFER_TRY(check(item.function));
        define(item.function, i);
        const std::string name = function_name(item.function, false, root_used_);
        put(world_space_ + "::exports",
            docs(item.function.docs, "") + declaration(item.function, i, name, false) + ";\n\n");
        export_(item.function, i, item.function.name, world_space_ + "::exports::" + name);
      }
    }
    close_space();
    CppGuestBindings out;
    out.name = world_identifier(world_.name);
    const std::string note =
        "// Made by wafer bindgen from world " + world_.name + ". Do not change.\n";
    out.header = note +
                 "//\n// What is in namespace exports is to be implemented.\n#pragma once\n\n"
                 "#include \"wit.hpp\"\n\n" +
                 out_;
    const std::string symbol = component_type_symbol(snake(world_.name));
    out.source = note + "#include \"" + out.name + ".hpp\"\n\n" +
                 "// Brings in the object file that tells the world.\nextern \"C\" void " + symbol +
                 "();\n__attribute__((used)) static void (*const keep)() = " + symbol + ";\n\n" +
                 "extern \"C\" __attribute__((__weak__, __export_name__(\"cabi_realloc\"))) void* "
                 "cabi_realloc(\n    void* ptr, size_t, size_t align, size_t new_size) {\n"
                 "  if (new_size == 0) return reinterpret_cast<void*>(align);\n"
                 "  void* const out = realloc(ptr, new_size);\n"
                 "  if (!out) abort();\n  return out;\n}\n\n" +
                 source_;
    out.support = kCppGuestSupport;
    out.object = component_type_object(r_, world_id_, snake(world_.name));
    return out;
  }

 private:
  static std::vector<const wit::Function*> pointers(const wit::Interface& interface) {
    std::vector<const wit::Function*> out;
    for (const wit::Function& f : interface.functions) out.push_back(&f);
    return out;
  }

  // ---- Types

  std::string own(TypeId resource, size_t side) const override {
    return "::wit::Own<" + full_name(resource, side) + ">";
  }
  std::string borrow(TypeId resource, size_t side) const override {
    return "::wit::Borrow<" + full_name(resource, side) + ">";
  }
  bool exported(TypeId resource, size_t side) const {
    return owner_side(r_.types[resource], side) != kImports;
  }
  std::string declare_resource(TypeId id, size_t) override {
    return "class " + pascal(r_.types[id].name) + ";\n\n";
  }
  std::string describe(const TypeDef& d, const std::string& name) override {
    std::string body;
    if (d.kind == TypeKind::Record) {
      body = "  static constexpr ::std::tuple kFields{";
      for (size_t i = 0; i < d.members.size(); ++i)
        body += (i ? ", &" : "&") + name + "::" + identifier(d.members[i].name);
      body += "};\n";
    } else if (d.kind == TypeKind::Variant) {
      body = "  static constexpr bool kVariant = true;\n";
    } else {
      return {};
    }
    return "template <>\nstruct wit::Shape<" + name + "> {\n" + body + "};\n\n";
  }

  // ---- Functions

  bool supported(Type t) const {
    return !holds_error_context(t) && !holds(t, {TypeKind::Stream, TypeKind::Future});
  }
  static Error unsupported(const std::string& name) {
    return {ErrorKind::Unsupported, "`" + name + "`: streams, futures and error-context in C++"};
  }
  Result<void> check(const wit::Function& f) const {
    bool good = supported(f.result);
    for (const wit::Param& p : f.params) good &= supported(p.type);
    if (!good) return unsupported(f.name);
    return {};
  }

  bool by_value(Type t) const {
    const Type p = plain(t);
    if (!p.defined()) return p.prim != Prim::String;
    const TypeKind k = r_.types[p.id].kind;
    return k == TypeKind::Enum || k == TypeKind::Flags ||
           holds(t, {TypeKind::Own, TypeKind::Borrow});
  }

  // "R name(A a, B b)"; of a name in full without the result.
  std::string declaration(const wit::Function& f, size_t side, const std::string& name,
                          bool method) const {
    std::string params;
    for (size_t i = method; i < f.params.size(); ++i) {
      const Type t = f.params[i].type;
      const std::string text = type(t, side);
      params += (params.empty() ? "" : ", ") +
                (side != kImports || by_value(t) ? text : "const " + text + "&") + " " +
                identifier(f.params[i].name);
    }
    // A definition outside of its namespace has the type behind it: "R ::n::f()" would be R::n.
    if (name.starts_with("::")) return "auto " + name + "(" + params + ")";
    return type(f.result, side) + " " + name + "(" + params + ")";
  }

  std::string fields(const wit::Function& f, size_t side) const {
    std::string out;
    for (const wit::Param& p : f.params) out += (out.empty() ? "" : ", ") + type(p.type, side);
    return "::wit::Fields<" + out + ">";
  }

  static std::string_view core_type(wasm::ValType t) {
    return t == wasm::kI64   ? "int64_t"
           : t == wasm::kF32 ? "float"
           : t == wasm::kF64 ? "double"
                             : "int32_t";
  }
  static std::string core_params(const wit::CoreSignature& core) {
    std::string out;
    for (size_t i = 0; i < core.type.params.size(); ++i)
      out += (i ? ", " : "") + std::string(core_type(core.type.params[i])) + " arg" +
             std::to_string(i);
    return out;
  }
  static std::string core_result(const wit::CoreSignature& core) {
    return core.type.results.empty() ? "void" : std::string(core_type(core.type.results[0]));
  }

  std::string import_attribute(const std::string& module, const std::string& name) {
    return "extern \"C\" __attribute__((__import_module__(\"" + module + "\"), __import_name__(\"" +
           name + "\"))) ";
  }
  std::string symbol(const char* what) {
    return std::string("__wasm_") + what + "_" + snake(world_.name) + "_" +
           std::to_string(symbols_++);
  }

  // Types, resources and functions of an interface or of the world itself.
  Result<void> group(const std::vector<TypeId>& types,
                     const std::vector<const wit::Function*>& functions, const std::string& where,
                     const std::string& module, size_t side, std::set<std::string> used) {
    for (const wit::Function* f : functions) WAFER_TRY(check(*f));
    for (TypeId t : types)
      if (!supported(Type::of(t))) return unsupported(r_.types[t].name);
    // What is said of resources has to be there before anything has them.
    for (TypeId t : types) define(Type::of(t), side);
    for (const wit::Function* f : functions) define(*f, side);
    for (TypeId t : types)
      if (r_.types[t].kind == TypeKind::Resource) resource(t, functions, where, module, side);
    for (const wit::Function* f : functions) {
      if (side == kImports && f->kind != FunctionKind::Freestanding) continue;
      if (f->kind == FunctionKind::Method) continue;
      const std::string name = function_name(*f, false, used);
      put(where, docs(f->docs, "") + declaration(*f, side, name, false) + ";\n\n");
      if (side == kImports)
        import(*f, module, where + "::" + name, false);
      else
        export_(*f, side, module + "#" + f->name, where + "::" + name);
    }
    return {};
  }

  void resource(TypeId id, const std::vector<const wit::Function*>& functions,
                const std::string& where, const std::string& module, size_t side) {
    const TypeDef& d = r_.types[id];
    const bool own = exported(id, side);
    const std::string name = pascal(d.name), full = full_name(id, side);
    std::string text = docs(d.docs, "");
    std::set<std::string> used;
    if (own) {
      text += "// To be derived from; a resource is an object of it.\nclass " + name +
              " {\n public:\n  virtual ~" + name + "() = default;\n";
    } else {
      used.insert("make");
      text += "class " + name + " {\n public:\n  explicit " + name +
              "(int32_t handle) : handle_(handle) {}\n";
    }
    for (const wit::Function* f : functions) {
      if (f->kind == FunctionKind::Freestanding || f->resource != id) continue;
      const bool method = f->kind == FunctionKind::Method;
      if (own && !method) continue;
      if (f->kind == FunctionKind::Constructor) used.erase("make");
      const std::string n = function_name(*f, true, used);
      text += docs(f->docs, "  ") + "  " +
              (own      ? "virtual "
               : method ? ""
                        : "static ") +
              declaration(*f, side, n, method) + (method ? own ? " = 0" : " const" : "") + ";\n";
      if (own)
        export_(*f, side, module + "#" + f->name, n);
      else
        import(*f, module, full + "::" + n, method);
    }
    put(where, text + (own ? "" : "\n private:\n  [[maybe_unused]] int32_t handle_;\n") + "};\n\n");

    std::string body =
        "  static constexpr bool kOwn = " + std::string(own ? "true" : "false") + ";\n";
    const std::string from = own ? "[export]" + module : module;
    const auto builtin = [&](const char* what, const char* function, const char* result) {
      const std::string s = symbol("builtin");
      put("", import_attribute(from, std::string("[resource-") + what + "]" + d.name) + result +
                  " " + s + "(int32_t);\n");
      body += std::string("  static ") + result + " " + function + "(int32_t v) { return " + s +
              "(v); }\n";
    };
    builtin("drop", "drop", "void");
    if (own) {
      builtin("new", "make", "int32_t");
      builtin("rep", "rep", "int32_t");
      source_ += "extern \"C\" __attribute__((__export_name__(\"" + module + "#[dtor]" + d.name +
                 "\"))) void " + symbol("dtor") + "(int32_t rep) {\n  delete ::wit::pointer<" +
                 full + ">(static_cast<uint32_t>(rep));\n}\n\n";
    }
    put("", "template <>\nstruct wit::Resource<" + full + "> {\n" + body + "};\n\n");
  }

  void import(const wit::Function& f, const std::string& module, const std::string& full,
              bool method) {
    const wit::CoreSignature core = abi_.signature(f, AbiVariant::Import);
    const std::string s = symbol("import");
    source_ += import_attribute(module, f.name) + core_result(core) + " " + s + "(" +
               core_params(core) + ");\n\n";
    source_ += declaration(f, kImports, full, method) + (method ? " const -> " : " -> ") +
               type(f.result, kImports) + " {\n";
    std::string values;
    for (size_t i = 0; i < f.params.size(); ++i)
      values += ", " + (method && i == 0 ? type(f.params[0].type, kImports) + "(handle_)"
                                         : identifier(f.params[i].name));
    std::vector<std::string> args;
    if (!f.params.empty()) {
      source_ += "  ::wit::Arena arena_;\n  using Fields_ = " + fields(f, kImports) + ";\n";
      if (core.indirect_params) {
        source_ += "  ::wit::Room<Fields_> params_;\n  Fields_::store(params_.bytes, arena_" +
                   values + ");\n";
        args.emplace_back("static_cast<int32_t>(::wit::address(params_.bytes))");
      } else {
        const size_t n = core.type.params.size() - core.return_pointer;
        source_ +=
            "  ::wit::Slot flat_[Fields_::kFlat + 1], *at_ = flat_;\n"
            "  Fields_::lower(at_, arena_" +
            values + ");\n";
        for (size_t i = 0; i < n; ++i)
          args.push_back("::wit::core<" + std::string(core_type(core.type.params[i])) + ">(flat_[" +
                         std::to_string(i) + "])");
      }
    }
    const std::string abi = "::wit::Abi<" + type(f.result, kImports) + ">";
    if (core.return_pointer) {
      source_ += "  ::wit::Room<" + abi + "> result_;\n";
      args.emplace_back("static_cast<int32_t>(::wit::address(result_.bytes))");
    }
    std::string call;
    for (const std::string& a : args) call += (call.empty() ? "" : ",\n      ") + a;
    call = s + "(" + call + ")";
    if (core.return_pointer)
      source_ += "  " + call + ";\n  return " + abi + "::load(result_.bytes);\n";
    else if (f.result)
      source_ += "  const ::wit::Slot out_ = ::wit::slot(" + call +
                 ");\n  const ::wit::Slot* from_ = &out_;\n  return " + abi + "::lift(from_);\n";
    else
      source_ += "  " + call + ";\n";
    source_ += "}\n\n";
  }

  // `target`: the function that implements it, or the name of the method.
  void export_(const wit::Function& f, size_t side, const std::string& core_name,
               const std::string& target) {
    const wit::CoreSignature core = abi_.signature(f, AbiVariant::Export);
    const std::string s = symbol("export"), result = type(f.result, side);
    const bool method = f.kind == FunctionKind::Method;
    if (core.return_pointer) source_ += "static ::wit::Held<" + result + "> held_" + s + ";\n";
    source_ += "extern \"C\" __attribute__((__export_name__(\"" + core_name + "\"))) " +
               core_result(core) + " " + s + "(" + core_params(core) + ") {\n";
    if (!f.params.empty()) {
      source_ +=
          "  [[maybe_unused]] ::wit::Borrows borrows_;\n  using Fields_ = " + fields(f, side) +
          ";\n";
      if (core.indirect_params) {
        source_ +=
            "  uint8_t* const at_ = ::wit::pointer(static_cast<uint32_t>(arg0));\n"
            "  auto args_ = Fields_::load(at_);\n  free(at_);\n";
      } else {
        source_ += "  const ::wit::Slot flat_[] = {0";
        for (size_t i = 0; i < core.type.params.size(); ++i)
          source_ += ", ::wit::slot(arg" + std::to_string(i) + ")";
        source_ +=
            "};\n  const ::wit::Slot* at_ = flat_ + 1;\n  auto args_ = Fields_::lift(at_);\n";
      }
    }
    std::string args;
    for (size_t i = method; i < f.params.size(); ++i)
      args += (args.empty() ? "" : ", ") + std::string("::std::move(::std::get<") +
              std::to_string(i) + ">(args_))";
    const std::string call = (method ? "::std::get<0>(args_)->" : "") + target + "(" + args + ")";
    if (core.return_pointer) {
      source_ += "  return held_" + s + ".give(" + call + ");\n";
    } else if (f.result) {
      source_ +=
          "  const " + result + " result_ = " + call +
          ";\n  ::wit::Arena arena_;\n  ::wit::Slot out_[2] = {}, *to_ = out_;\n  ::wit::Abi<" +
          result + ">::lower(result_, to_, arena_);\n  return ::wit::core<" + core_result(core) +
          ">(out_[0]);\n";
    } else {
      source_ += "  " + call + ";\n";
    }
    source_ += "}\n\n";
    if (core.return_pointer)
      source_ += "extern \"C\" __attribute__((__export_name__(\"cabi_post_" + core_name +
                 "\"))) void " + s + "_post(int32_t) {\n  held_" + s + ".clear();\n}\n\n";
  }

  const wit::WorldId world_id_;
  std::set<std::string> root_used_;
  std::string source_;
  uint32_t symbols_ = 0;
};

}  // namespace

Result<CppGuestBindings> cpp_guest_bindings(const wit::Resolve& resolve, wit::WorldId world) {
  return GuestGenerator(resolve, world).run();
}

}  // namespace wafer::bindgen
