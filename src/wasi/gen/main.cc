// wafer-wasi-gen: makes C++ of the WIT of system interfaces. A program of the build.
//
//   wafer-wasi-gen NAMESPACE OUT_HEADER OUT_TABLE [--of OTHER=PACKAGE] FILE.wit...
//
// With --of, PACKAGE ("wasi:io") is that of the namespace OTHER, whose header is included.
//
// The header has a type for each type, a declaration for each function (of what the host is to
// define), and descriptions of the types for codec.h. The table lists the functions for
// registration.
#include <cstdio>
#include <fstream>
#include <string>

#include "wit/abi.h"
#include "wit/resolve.h"

namespace {

using namespace wafer;
using namespace wafer::wit;

std::string snake(std::string_view name) {
  std::string out;
  for (const char c : name) out += c == '-' ? '_' : c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  return out;
}

std::string pascal(std::string_view name) {
  std::string out;
  bool upper = true;
  for (const char c : name) {
    if (c == '-') {
      upper = true;
      continue;
    }
    out += upper && c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c;
    upper = false;
  }
  return out;
}

// Members must not be words of C++.
std::string member(std::string_view name) {
  const std::string s = snake(name);
  for (const char* word : {"delete", "export", "import", "operator", "new", "namespace", "register",
                           "this", "union", "char", "bool", "float", "double", "int", "switch"})
    if (s == word) return s + "_";
  return s;
}

class Generator {
 public:
  Generator(const Resolve& resolve, std::string ns, std::string other, std::string other_package)
      : resolve_(resolve),
        ns_(std::move(ns)),
        other_(std::move(other)),
        other_package_(std::move(other_package)) {}

  void run() {
    header_ += "// Made from WIT by wafer-wasi-gen.\n#pragma once\n\n";
    header_ += "#include \"wasi/bind/codec.h\"\n";
    if (!other_.empty()) header_ += "#include \"wasi/" + other_ + "/bindings.h\"\n";
    header_ += "\nnamespace wafer::wasi {\n\nnamespace " + ns_ + " { class Host; }\n";
    // The other's resources come first.
    const std::string first = other_.empty() ? "0" : "std::size(" + other_ + "::kResources)";
    header_ +=
        "namespace " + ns_ + " { inline constexpr size_t kFirstResource = " + first + "; }\n";
    for (InterfaceId i = 0; i < resolve_.interfaces.size(); ++i) resources(i);
    for (InterfaceId i = 0; i < resolve_.interfaces.size(); ++i) types(i);
    for (InterfaceId i = 0; i < resolve_.interfaces.size(); ++i) functions(i);
    header_ += "namespace " + ns_ + " {\ninline constexpr ResourceName kResources[] = {\n" +
               resource_names_ + "};\ninline constexpr ResourceAlias kResourceAliases[] = {\n" +
               resource_aliases_ + "};\n}\n\n}\n";
  }
  const std::string& header() const { return header_; }
  const std::string& table() const { return table_; }

 private:
  // "wasi:io/streams@0.2.12": io_streams.
  std::string space(InterfaceId id) const {
    const Interface& i = resolve_.interfaces[id];
    return (foreign(id) ? other_ : ns_) + "::" + snake(resolve_.packages[i.package].name.name) +
           "_" + snake(i.name);
  }
  bool foreign(InterfaceId id) const {
    const auto& name = resolve_.packages[resolve_.interfaces[id].package].name;
    return !other_.empty() && name.ns + ":" + name.name == other_package_;
  }
  std::string qualified(const TypeDef& def) const {
    return space(def.owner) + "::" + pascal(def.name);
  }

  std::string type(const Type& t) const {
    switch (t.prim) {
      case Prim::Bool:
        return "bool";
      case Prim::S8:
        return "int8_t";
      case Prim::U8:
        return "uint8_t";
      case Prim::S16:
        return "int16_t";
      case Prim::U16:
        return "uint16_t";
      case Prim::S32:
        return "int32_t";
      case Prim::U32:
        return "uint32_t";
      case Prim::S64:
        return "int64_t";
      case Prim::U64:
        return "uint64_t";
      case Prim::F32:
        return "float";
      case Prim::F64:
        return "double";
      case Prim::Char:
        return "char32_t";
      case Prim::String:
        return "std::string";
      case Prim::None:
        return "Unit";
      case Prim::Defined:
        break;
      default:
        unsupported("a primitive type");
    }
    const TypeDef& d = resolve_.types[t.id];
    switch (d.kind) {
      case TypeKind::Own:
        return "Own<" + resource(d.args[0]) + ">";
      case TypeKind::Borrow:
        return "Borrow<" + resource(d.args[0]) + ">";
      case TypeKind::Option:
        return "std::optional<" + type(d.args[0]) + ">";
      case TypeKind::List:
        return "std::vector<" + type(d.args[0]) + ">";
      case TypeKind::Stream:
        return "Stream<" + (d.args.empty() ? "Unit" : type(d.args[0])) + ">";
      case TypeKind::Future:
        return "Future<" + (d.args.empty() ? "Unit" : type(d.args[0])) + ">";
      case TypeKind::Result: {
        const auto arg = [&](size_t i) { return i < d.args.size() ? type(d.args[i]) : "Unit"; };
        return "Expected<" + arg(0) + ", " + arg(1) + ">";
      }
      case TypeKind::Tuple: {
        std::string s = "std::tuple<";
        for (size_t i = 0; i < d.args.size(); ++i) s += (i ? ", " : "") + type(d.args[i]);
        return s + ">";
      }
      case TypeKind::Resource:
        return "Own<" + resource(t) + ">";
      case TypeKind::Alias:
        // Names of resources may have no definition yet where they are used.
        if (const Type to = resolve_.unalias(t);
            to.defined() && resolve_.types[to.id].kind == TypeKind::Resource)
          return "Own<" + resource(to) + ">";
        [[fallthrough]];
      default:
        if (d.name.empty()) unsupported("a type");
        return qualified(d);
    }
  }
  std::string resource(const Type& t) const {
    return qualified(resolve_.types[resolve_.unalias(t).id]);
  }

  void resources(InterfaceId id) {
    const Interface& i = resolve_.interfaces[id];
    for (const TypeId t : i.types) {
      const TypeDef& d = resolve_.types[t];
      if (d.kind != TypeKind::Resource) continue;
      if (foreign(id)) continue;
      header_ += "namespace " + space(id) + " { class " + pascal(d.name) + "; }\n";
      header_ += "template <> struct ResourceMeta<" + qualified(d) +
                 "> { static constexpr size_t kIndex = " + ns_ + "::kFirstResource + " +
                 std::to_string(resource_count_++) + "; };\n";
      resource_names_ += "  {\"" + resolve_.interface_name(id) + "\", \"" + d.name + "\"},\n";
    }
  }

  static std::string name_list(const std::vector<Member>& members) {
    std::string s = "  static constexpr const char* kNames[] = {";
    for (const Member& m : members) s += "\"" + m.name + "\", ";
    return s + "};\n";
  }

  // Pointers to the members of a record or flags.
  std::string fields(const TypeDef& d) const {
    std::string s;
    for (const Member& m : d.members)
      s += (s.empty() ? "&" : ", &") + qualified(d) + "::" + member(m.name);
    return "  static constexpr std::tuple kFields{" + s + "};\n";
  }

  void types(InterfaceId id) {
    if (foreign(id)) return;
    for (const TypeId t : resolve_.interfaces[id].types) {
      const TypeDef& d = resolve_.types[t];
      std::string body, meta;
      switch (d.kind) {
        case TypeKind::Resource:
          continue;
        case TypeKind::Record: {
          body = "struct " + pascal(d.name) + " {\n";
          for (const Member& m : d.members)
            body += "  " + type(m.type) + " " + member(m.name) + "{};\n";
          body += "};\n";
          meta = name_list(d.members) + fields(d);
          break;
        }
        case TypeKind::Flags: {
          body = "struct " + pascal(d.name) + " {\n";
          for (const Member& m : d.members) body += "  bool " + member(m.name) + " = false;\n";
          body += "};\n";
          meta = name_list(d.members) + fields(d);
          break;
        }
        case TypeKind::Enum: {
          body = "enum class " + pascal(d.name) + " : uint8_t {\n";
          for (const Member& m : d.members) body += "  " + pascal(m.name) + ",\n";
          body += "};\n";
          meta = name_list(d.members);
          break;
        }
        case TypeKind::Variant: {
          // One member for each case with a payload; the others are empty.
          body = "struct " + pascal(d.name) + " {\n  enum class Tag : uint8_t {";
          for (const Member& m : d.members) body += pascal(m.name) + ", ";
          body += "};\n  Tag tag{};\n";
          meta = name_list(d.members) + "  static constexpr std::tuple kCases{";
          for (const Member& m : d.members) {
            meta += m.type ? "&" + qualified(d) + "::" + member(m.name) + ", " : "nullptr, ";
            if (!m.type) continue;
            body += "  std::optional<" + type(m.type) + "> " + member(m.name) + ";\n";
            body += "  static " + pascal(d.name) + " of_" + snake(m.name) + "(" + type(m.type) +
                    " v) { " + pascal(d.name) + " out; out.tag = Tag::" + pascal(m.name) +
                    "; out." + member(m.name) + " = std::move(v); return out; }\n";
          }
          body += "};\n";
          meta.resize(meta.size() - 2);
          meta += "};\n";
          break;
        }
        case TypeKind::Alias:
          if (const Type to = resolve_.unalias(d.args[0]);
              to.defined() && resolve_.types[to.id].kind == TypeKind::Resource) {
            resource_aliases_ += "  {\"" + resolve_.interface_name(id) + "\", \"" + d.name +
                                 "\", ResourceMeta<" + resource(to) + ">::kIndex},\n";
            if (pascal(d.name) != pascal(resolve_.types[to.id].name) ||
                resolve_.types[to.id].owner != id)
              header_ += "namespace " + space(id) + " { using " + pascal(d.name) + " = " +
                         resource(to) + "; }\n";
            continue;
          }
          [[fallthrough]];
        default:
          header_ += "namespace " + space(id) + " { using " + pascal(d.name) + " = " +
                     alias_target(d) + "; }\n";
          continue;
      }
      header_ += "namespace " + space(id) + " {\n" + body + "}\n";
      header_ += "template <> struct Meta<" + qualified(d) +
                 "> {\n  static constexpr Shape kShape = Shape::" + shape(d.kind) + ";\n" + meta +
                 "};\n";
    }
  }

  std::string alias_target(const TypeDef& d) const {
    if (d.kind == TypeKind::Alias) return type(d.args[0]);
    TypeDef anonymous = d;  // a name for a list, a tuple, ...
    anonymous.name.clear();
    switch (d.kind) {
      case TypeKind::List:
        return "std::vector<" + type(d.args[0]) + ">";
      case TypeKind::Option:
        return "std::optional<" + type(d.args[0]) + ">";
      case TypeKind::Tuple: {
        std::string s = "std::tuple<";
        for (size_t i = 0; i < d.args.size(); ++i) s += (i ? ", " : "") + type(d.args[i]);
        return s + ">";
      }
      default:
        unsupported("a named type");
    }
  }

  static std::string shape(TypeKind kind) {
    switch (kind) {
      case TypeKind::Record:
        return "Record";
      case TypeKind::Flags:
        return "Flags";
      case TypeKind::Enum:
        return "Enum";
      default:
        return "Variant";
    }
  }

  void functions(InterfaceId id) {
    const Interface& i = resolve_.interfaces[id];
    const std::string package = resolve_.packages[i.package].name.name;
    // What the guest's side of a world exports is called by the host, not defined.
    if (exported(id) || foreign(id)) return;
    header_ += "namespace " + space(id) + " {\n";
    for (const Function& f : i.functions) {
      // Those that wait answer later; the WIT of 0.2 says so only in words.
      std::string_view plain = f.name;
      if (const size_t dot = plain.find('.'); dot != std::string_view::npos)
        plain = plain.substr(dot + 1);
      // Files are at hand: their functions answer at once, though 0.3 calls them async.
      const bool waits = (f.is_async && package != "filesystem") ||
                         plain.starts_with("blocking-") || plain.starts_with("delay-") ||
                         plain.starts_with("await-") ||
                         (package == "io" && (plain == "block" || plain == "poll"));
      std::string name = snake(plain);
      if (f.kind == FunctionKind::Constructor) name = "new";
      if (f.kind != FunctionKind::Freestanding)
        name = snake(resolve_.types[f.resource].name) + "_" + name;
      const std::string result = f.kind == FunctionKind::Constructor
                                     ? "Own<" + qualified(resolve_.types[f.resource]) + ">"
                                 : f.result ? type(f.result)
                                            : "void";
      std::string params = "Host&";
      for (size_t p = 0; p < f.params.size(); ++p) {
        std::string t = type(f.params[p].type);
        if (t.starts_with("Borrow<")) t = t.substr(7, t.size() - 8) + "&";
        // Bytes are seen where they are.
        if (t == "std::vector<uint8_t>") t = "std::span<const uint8_t>";
        params += ", " + t + " " + member(f.params[p].name);
      }
      if (waits) params += ", Reply<" + (result == "void" ? "Unit" : result) + "> reply";
      header_ += (waits ? "void" : result) + " " + name + "(" + params + ");\n";
      table_ += "WASI_FUNCTION(\"" + resolve_.interface_name(id) + "\", \"" + f.name + "\", \"" +
                component::func_text(abi_.arena(), abi_.func(f)) + "\", " + space(id) +
                "::" + name + ", " + (waits ? "true" : "false") + ")\n";
    }
    header_ += "}\n";
  }

  bool exported(InterfaceId id) const {
    for (const World& w : resolve_.worlds)
      for (const WorldItem& item : w.exports)
        if (item.kind == ItemKind::Interface && item.interface == id) return true;
    return false;
  }

  [[noreturn]] static void unsupported(const char* what) {
    std::fprintf(stderr, "wafer-wasi-gen: %s that it does not know\n", what);
    std::exit(1);
  }

  const Resolve& resolve_;
  AbiTypes abi_{resolve_};
  const std::string ns_, other_, other_package_;
  std::string header_, table_, resource_names_, resource_aliases_;
  size_t resource_count_ = 0;
};

bool write(const char* path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  return bool(out.flush());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  int first = 4;
  std::string other, other_package;
  if (std::string_view(argv[4]) == "--of" && argc > 6) {
    const std::string_view of = argv[5];
    other = of.substr(0, of.find('='));
    other_package = of.substr(of.find('=') + 1);
    first = 6;
  }
  std::vector<std::filesystem::path> paths(argv + first, argv + argc);
  ResolveOptions options;
  options.all_features = true;
  Result<Resolved> resolved = load(paths, options);
  if (!resolved) {
    std::fprintf(stderr, "%s\n", resolved.error().message.c_str());
    return 1;
  }
  Generator generator(resolved->resolve, argv[1], other, other_package);
  generator.run();
  return write(argv[2], generator.header()) && write(argv[3], generator.table()) ? 0 : 1;
}
