#include "wit/print.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "wit/lexer.h"

namespace wafer::wit {

namespace {

std::string id_text(std::string_view name) {
  return (is_keyword(name) ? "%" : "") + std::string(name);
}

std::string string_text(std::string_view value) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "\"";
  for (char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += std::string("\\") + c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += std::string("\\") + kHex[byte >> 4] + kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

class Printer {
 public:
  Printer(const Resolve& resolve, const PrintOptions& options) : r_(resolve), options_(options) {}

  std::string run(PackageId id) {
    const Package& package = r_.packages[id];
    docs(package.docs);
    line("package " + package_text(package.name) + ";");
    package_ = id;
    items(package);
    if (options_.dependencies) {
      std::set<PackageId> needed;
      collect(id, needed);
      needed.erase(id);
      for (PackageId other : needed) {
        out_ += "\n";
        docs(r_.packages[other].docs);
        line("package " + package_text(r_.packages[other].name) + " {");
        package_ = other;
        indented([&] { items(r_.packages[other]); });
        line("}");
      }
    }
    return std::move(out_);
  }

  std::string type(Type t) const {
    if (!t.defined()) return t ? std::string(component::prim_name(t.prim)) : "_";
    const TypeDef& def = r_.types[t.id];
    if (!def.name.empty()) return id_text(def.name);
    return structure(def);
  }

 private:
  template <class F>
  void indented(F&& f) {
    ++depth_;
    f();
    --depth_;
  }
  void line(std::string_view text) {
    out_.append(2 * depth_, ' ');
    out_ += text;
    out_ += '\n';
  }
  void docs(std::string_view text) {
    if (!options_.docs || text.empty()) return;
    while (true) {
      const size_t newline = text.find('\n');
      const std::string_view part = text.substr(0, newline);
      line(part.empty() ? "///" : "/// " + std::string(part));
      if (newline == text.npos) return;
      text = text.substr(newline + 1);
    }
  }
  void gate(const Stability& s, const std::optional<std::string>& external_id = {}) {
    if (s.kind == Stability::Kind::Since) line("@since(version = " + s.text + ")");
    if (s.kind == Stability::Kind::Unstable) line("@unstable(feature = " + s.text + ")");
    if (s.deprecated) line("@deprecated(version = " + *s.deprecated + ")");
    if (external_id) line("@external-id(" + string_text(*external_id) + ")");
  }

  static std::string package_text(const PackageName& name) {
    PackageName escaped = name;
    escaped.ns = id_text(name.ns);
    escaped.name = id_text(name.name);
    return escaped.text();
  }
  std::string interface_path(InterfaceId id) const {
    const Interface& i = r_.interfaces[id];
    if (i.package == package_) return id_text(i.name);
    PackageName name = r_.packages[i.package].name;
    name.ns = id_text(name.ns);
    name.name = id_text(name.name);
    return name.item_text(id_text(i.name));
  }

  void collect(PackageId id, std::set<PackageId>& out) const {
    if (!out.insert(id).second) return;
    const auto from_types = [&](const std::vector<TypeId>& types) {
      for (TypeId t : types) {
        const TypeDef& def = r_.types[t];
        if (def.kind != TypeKind::Alias || !def.args[0].defined()) continue;
        const TypeDef& target = r_.types[def.args[0].id];
        if (target.owner_kind == OwnerKind::Interface)
          collect(r_.interfaces[target.owner].package, out);
      }
    };
    for (InterfaceId i : r_.packages[id].interfaces) from_types(r_.interfaces[i].types);
    for (WorldId w : r_.packages[id].worlds) {
      for (const auto* items : {&r_.worlds[w].imports, &r_.worlds[w].exports}) {
        for (const WorldItem& item : *items) {
          if (item.kind == ItemKind::Type) from_types({item.type});
          if (item.kind != ItemKind::Interface) continue;
          collect(r_.interfaces[item.interface].package, out);
          from_types(r_.interfaces[item.interface].types);
        }
      }
    }
  }

  void items(const Package& package) {
    for (InterfaceId id : package.interfaces) {
      const Interface& i = r_.interfaces[id];
      out_ += "\n";
      docs(i.docs);
      gate(i.stability);
      line("interface " + id_text(i.name) + " {");
      indented([&] { interface_items(id); });
      line("}");
    }
    for (WorldId id : package.worlds) {
      const World& w = r_.worlds[id];
      out_ += "\n";
      docs(w.docs);
      gate(w.stability);
      line("world " + id_text(w.name) + " {");
      indented([&] { world_items(id); });
      line("}");
    }
  }

  std::string structure(const TypeDef& def) const {
    const auto list = [&] {
      std::string out;
      for (Type t : def.args) out += (out.empty() ? "" : ", ") + type(t);
      return out;
    };
    const auto maybe = [&](const char* name) {
      return def.args[0] ? name + ("<" + list() + ">") : std::string(name);
    };
    switch (def.kind) {
      case TypeKind::Own:
        return type(def.args[0]);
      case TypeKind::Borrow:
        return "borrow<" + list() + ">";
      case TypeKind::Tuple:
        return "tuple<" + list() + ">";
      case TypeKind::Option:
        return "option<" + list() + ">";
      case TypeKind::List:
        return "list<" + list() + ">";
      case TypeKind::FixedList:
        return "list<" + list() + ", " + std::to_string(def.length) + ">";
      case TypeKind::Map:
        return "map<" + list() + ">";
      case TypeKind::Future:
        return maybe("future");
      case TypeKind::Stream:
        return maybe("stream");
      case TypeKind::Result:
        if (!def.args[0] && !def.args[1]) return "result";
        return "result<" + type(def.args[0]) + (def.args[1] ? ", " + type(def.args[1]) : "") + ">";
      default:
        return def.args.empty() ? std::string() : type(def.args[0]);
    }
  }

  // The interface that an alias is used from, if it is one.
  std::optional<InterfaceId> used_from(const TypeDef& def) const {
    if (def.kind != TypeKind::Alias || !def.args[0].defined()) return std::nullopt;
    const TypeDef& target = r_.types[def.args[0].id];
    if (target.owner_kind != OwnerKind::Interface || target.name.empty()) return std::nullopt;
    if (def.owner_kind == OwnerKind::Interface && def.owner == target.owner) return std::nullopt;
    return target.owner;
  }

  void use(TypeId id, InterfaceId from) {
    const TypeDef& def = r_.types[id];
    const std::string& theirs = r_.types[def.args[0].id].name;
    gate(def.stability);
    line("use " + interface_path(from) + ".{" + id_text(theirs) +
         (theirs == def.name ? "" : " as " + id_text(def.name)) + "};");
  }

  // Of each resource its functions.
  using Members = std::unordered_map<TypeId, std::vector<const Function*>>;
  static void add_member(Members& to, const Function& f) {
    if (f.kind != FunctionKind::Freestanding) to[f.resource].push_back(&f);
  }

  void type_def(TypeId id, const Members& functions) {
    const TypeDef& def = r_.types[id];
    if (const auto from = used_from(def)) return use(id, *from);
    docs(def.docs);
    gate(def.stability, def.external_id);
    const std::string name = id_text(def.name);
    switch (def.kind) {
      case TypeKind::Record:
        return members("record " + name, def);
      case TypeKind::Flags:
        return members("flags " + name, def);
      case TypeKind::Variant:
        return members("variant " + name, def);
      case TypeKind::Enum:
        return members("enum " + name, def);
      case TypeKind::Resource: {
        const auto own = functions.find(id);
        if (own == functions.end()) return line("resource " + name + ";");
        line("resource " + name + " {");
        indented([&] {
          for (const Function* f : own->second) function(*f);
        });
        return line("}");
      }
      default:
        // The bare name of a resource would be another name of it, and no handle.
        return line("type " + name + " = " +
                    (def.kind == TypeKind::Own ? "own<" + structure(def) + ">" : structure(def)) +
                    ";");
    }
  }

  void members(const std::string& head, const TypeDef& def) {
    line(head + " {");
    indented([&] {
      for (const Member& m : def.members) {
        docs(m.docs);
        std::string text = id_text(m.name);
        if (def.kind == TypeKind::Record) text += ": " + type(m.type);
        if (def.kind == TypeKind::Variant && m.type) text += "(" + type(m.type) + ")";
        line(text + ",");
      }
    });
    line("}");
  }

  // "f: async func(a: u32) -> string" without what the resource implies.
  std::string function_text(const Function& f) const {
    const bool method = f.kind == FunctionKind::Method;
    std::string out;
    if (f.kind == FunctionKind::Constructor) {
      out = "constructor";
    } else {
      const size_t bracket = f.name.rfind(']');
      std::string label = bracket == f.name.npos ? f.name : f.name.substr(bracket + 1);
      if (f.kind != FunctionKind::Freestanding) label = label.substr(label.find('.') + 1);
      out = id_text(label) + ": ";
      if (f.kind == FunctionKind::Static) out += "static ";
      if (f.is_async) out += "async ";
      out += f.accessor == Accessor::Get ? "get" : f.accessor == Accessor::Set ? "set" : "func";
    }
    out += "(";
    for (size_t i = method ? 1 : 0; i < f.params.size(); ++i)
      out += (i == (method ? 1u : 0u) ? "" : ", ") + id_text(f.params[i].name) + ": " +
             type(f.params[i].type);
    out += ")";
    // What a constructor gives is said only where it can fail.
    const bool implied =
        f.kind == FunctionKind::Constructor && r_.types[f.result.id].kind == TypeKind::Own;
    if (f.result && !implied) out += " -> " + type(f.result);
    return out;
  }

  void function(const Function& f) {
    docs(f.docs);
    gate(f.stability, f.external_id);
    line(function_text(f) + ";");
  }

  void interface_items(InterfaceId id) {
    const Interface& i = r_.interfaces[id];
    Members members;
    for (const Function& f : i.functions) add_member(members, f);
    for (TypeId t : i.types) type_def(t, members);
    for (const Function& f : i.functions)
      if (f.kind == FunctionKind::Freestanding) function(f);
  }

  void world_items(WorldId id) {
    const World& w = r_.worlds[id];
    Members members;
    for (const WorldItem& item : w.imports)
      if (item.kind == ItemKind::Function) add_member(members, item.function);
    for (const WorldItem& item : w.imports)
      if (item.kind == ItemKind::Type) type_def(item.type, members);
    for (const bool exported : {false, true}) {
      const std::string word = exported ? "export " : "import ";
      for (const WorldItem& item : exported ? w.exports : w.imports) {
        if (item.kind == ItemKind::Type) continue;
        if (item.kind == ItemKind::Function) {
          if (item.function.kind != FunctionKind::Freestanding) continue;
          docs(item.function.docs);
          gate(item.stability, item.external_id);
          line(word + function_text(item.function) + ";");
          continue;
        }
        docs(item.name.empty() ? std::string() : item.docs);
        gate(item.stability, item.external_id);
        if (item.name.empty()) {
          line(word + interface_path(item.interface) + ";");
        } else if (item.implements) {
          line(word + id_text(item.name) + ": " + interface_path(item.interface) + ";");
        } else {
          line(word + id_text(item.name) + ": interface {");
          indented([&] { interface_items(item.interface); });
          line("}");
        }
      }
    }
  }

  const Resolve& r_;
  const PrintOptions& options_;
  std::string out_;
  uint32_t depth_ = 0;
  PackageId package_ = 0;
};

}  // namespace

std::string print(const Resolve& resolve, PackageId package, const PrintOptions& options) {
  return Printer(resolve, options).run(package);
}

std::string type_text(const Resolve& resolve, Type type) { return Printer(resolve, {}).type(type); }

}  // namespace wafer::wit
