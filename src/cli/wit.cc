// `wafer wit`: reads WIT packages, checks them, and prints them as WIT or JSON.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/component.h"
#include "wit/decode.h"
#include "wit/encode.h"
#include "wit/merge.h"
#include "wit/print.h"
#include "wit/resolve.h"

namespace wafer::cli {

namespace {

using Json = nlohmann::ordered_json;

struct WitOptions {
  std::vector<std::string> paths;
  std::vector<std::string> features;
  bool all_features = false, json = false, wasm = false, merge = false, dependencies = false,
       no_docs = false;
  std::string output = "-";
};

// The resolved packages as JSON: everything refers to everything else by its index.
class WitJson {
 public:
  explicit WitJson(const wit::Resolve& resolve) : r_(resolve) {}

  Json run() const {
    Json out;
    for (const char* key : {"worlds", "interfaces", "types", "packages"}) out[key] = Json::array();
    for (const wit::World& w : r_.worlds) {
      Json j{{"name", w.name},
             {"imports", items(w.imports)},
             {"exports", items(w.exports)},
             {"package", w.package}};
      extras(j, w.docs, w.stability);
      out["worlds"].push_back(std::move(j));
    }
    for (const wit::Interface& i : r_.interfaces) {
      Json j{{"name", name(i.name)}, {"types", Json::object()}, {"functions", Json::object()}};
      for (wit::TypeId t : i.types) j["types"][r_.types[t].name] = t;
      for (const wit::Function& f : i.functions) j["functions"][f.name] = function(f);
      extras(j, i.docs, i.stability);
      j["package"] = i.package;
      out["interfaces"].push_back(std::move(j));
    }
    for (const wit::TypeDef& t : r_.types) {
      Json j{{"name", name(t.name)}, {"kind", kind(t)}, {"owner", nullptr}};
      if (t.owner_kind == wit::OwnerKind::Interface) j["owner"] = Json{{"interface", t.owner}};
      if (t.owner_kind == wit::OwnerKind::World) j["owner"] = Json{{"world", t.owner}};
      extras(j, t.docs, t.stability, t.external_id);
      out["types"].push_back(std::move(j));
    }
    for (const wit::Package& p : r_.packages) {
      Json j{{"name", p.name.text()}, {"interfaces", Json::object()}, {"worlds", Json::object()}};
      for (wit::InterfaceId i : p.interfaces) j["interfaces"][r_.interfaces[i].name] = i;
      for (wit::WorldId w : p.worlds) j["worlds"][r_.worlds[w].name] = w;
      extras(j, p.docs, {});
      out["packages"].push_back(std::move(j));
    }
    return out;
  }

 private:
  static Json name(const std::string& text) { return text.empty() ? Json() : Json(text); }

  static void extras(Json& j, const std::string& docs, const wit::Stability& s,
                     const std::optional<std::string>& external_id = {}) {
    if (!docs.empty()) j["docs"] = Json{{"contents", docs}};
    if (s.kind != wit::Stability::Kind::Unknown) {
      const bool since = s.kind == wit::Stability::Kind::Since;
      Json inner{{since ? "since" : "feature", s.text}};
      if (s.deprecated) inner["deprecated"] = *s.deprecated;
      j["stability"] = Json{{since ? "stable" : "unstable", std::move(inner)}};
    }
    if (external_id) j["external-id"] = *external_id;
  }

  Json type(wit::Type t) const {
    if (t.defined()) return t.id;
    return t ? Json(component::prim_name(t.prim)) : Json();
  }

  Json members(const char* key, const wit::TypeDef& def, bool typed) const {
    Json list = Json::array();
    for (const wit::Member& m : def.members) {
      Json j{{"name", m.name}};
      if (typed) j["type"] = type(m.type);
      extras(j, m.docs, {});
      list.push_back(std::move(j));
    }
    return Json{{key, std::move(list)}};
  }

  Json kind(const wit::TypeDef& t) const {
    using Kind = wit::TypeKind;
    switch (t.kind) {
      case Kind::Alias:
        return Json{{"type", type(t.args[0])}};
      case Kind::Record:
        return Json{{"record", members("fields", t, true)}};
      case Kind::Flags:
        return Json{{"flags", members("flags", t, false)}};
      case Kind::Variant:
        return Json{{"variant", members("cases", t, true)}};
      case Kind::Enum:
        return Json{{"enum", members("cases", t, false)}};
      case Kind::Resource:
        return "resource";
      case Kind::Own:
        return Json{{"handle", Json{{"own", type(t.args[0])}}}};
      case Kind::Borrow:
        return Json{{"handle", Json{{"borrow", type(t.args[0])}}}};
      case Kind::Tuple: {
        Json types = Json::array();
        for (wit::Type arg : t.args) types.push_back(type(arg));
        return Json{{"tuple", Json{{"types", std::move(types)}}}};
      }
      case Kind::Option:
        return Json{{"option", type(t.args[0])}};
      case Kind::Result:
        return Json{{"result", Json{{"ok", type(t.args[0])}, {"err", type(t.args[1])}}}};
      case Kind::List:
        return Json{{"list", type(t.args[0])}};
      case Kind::FixedList:
        return Json{{"fixed-length-list", Json::array({type(t.args[0]), t.length})}};
      case Kind::Map:
        return Json{{"map", Json::array({type(t.args[0]), type(t.args[1])})}};
      case Kind::Future:
        return Json{{"future", type(t.args[0])}};
      case Kind::Stream:
        return Json{{"stream", type(t.args[0])}};
    }
    return nullptr;
  }

  Json function(const wit::Function& f) const {
    using Kind = wit::FunctionKind;
    std::string kind = f.is_async ? "async-" : "";
    kind += f.kind == Kind::Method              ? "method"
            : f.kind == Kind::Static            ? "static"
            : f.kind == Kind::Constructor       ? "constructor"
            : f.accessor == wit::Accessor::None ? "freestanding"
                                                : "";
    if (f.accessor != wit::Accessor::None) {
      if (f.kind != Kind::Freestanding) kind += "-";
      kind += f.accessor == wit::Accessor::Get ? "getter" : "setter";
    }
    Json j{{"name", f.name}};
    j["kind"] = f.kind == Kind::Freestanding ? Json(kind) : Json{{kind, f.resource}};
    j["params"] = Json::array();
    for (const wit::Param& p : f.params)
      j["params"].push_back(Json{{"name", p.name}, {"type", type(p.type)}});
    if (f.result) j["result"] = type(f.result);
    extras(j, f.docs, f.stability, f.external_id);
    return j;
  }

  Json items(const std::vector<wit::WorldItem>& list) const {
    Json out = Json::object();
    for (const wit::WorldItem& item : list) {
      const std::string key =
          item.name.empty() ? "interface-" + std::to_string(item.interface) : item.name;
      if (item.kind == wit::ItemKind::Function) {
        out[key] = Json{{"function", function(item.function)}};
      } else if (item.kind == wit::ItemKind::Type) {
        out[key] = Json{{"type", item.type}};
      } else {
        Json j{{"id", item.interface}};
        extras(j, {}, item.stability, item.external_id);
        if (item.implements) j["implements"] = r_.interface_name(item.interface);
        out[key] = Json{{"interface", std::move(j)}};
      }
    }
    return out;
  }

  const wit::Resolve& r_;
};

// Packages from texts or binary files.
Result<wit::Resolved> read_wit(const WitOptions& options) {
  if (options.paths.size() == 1 && options.paths[0] == "-") {
    WAFER_LET(input, Input::open(options.paths[0]));
    if (component::is_binary(input.bytes())) {
      auto decoded = wit::decode_binary(input.bytes());
      if (!decoded.ok())
        return Error(decoded.error().kind, input.describe(decoded.error(), /*text=*/false));
      return decoded;
    }
    wit::Text text{input.path(), std::string(input.text())};
    return wit::resolve({{std::move(text)}}, {options.features, options.all_features});
  }
  const std::vector<std::filesystem::path> paths(options.paths.begin(), options.paths.end());
  if (options.merge) {
    // Each with dependencies of its own, which may be there several times.
    wit::Resolved all;
    for (const std::filesystem::path& path : paths) {
      WAFER_LET(one, wit::load(std::span(&path, 1), {options.features, options.all_features}));
      WAFER_LET(map, wit::merge(all.resolve, one.resolve));
      all.main = map.packages[one.main];
    }
    return std::move(all);
  }
  return wit::load(paths, {options.features, options.all_features});
}

int print_wit(const WitOptions& options) {
  auto resolved = read_wit(options);
  if (!resolved.ok()) {
    print_error(std::string_view(resolved.error().message));
    return kFailure;
  }
  std::string text;
  if (options.wasm) {
    const auto bytes = wit::encode_package(resolved->resolve, resolved->main);
    if (!bytes.ok()) {
      print_error(std::string_view(bytes.error().message));
      return kFailure;
    }
    text.assign(bytes->begin(), bytes->end());
  } else if (options.json) {
    text = WitJson(resolved->resolve).run().dump(2) + "\n";
  } else {
    text = wit::print(resolved->resolve, resolved->main, {!options.no_docs, options.dependencies});
  }
  return write_output(options.output, text) ? kSuccess : kFailure;
}

}  // namespace

void add_wit(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("wit", "Check and print WIT packages");
  auto options = std::make_shared<WitOptions>();
  command
      ->add_option("PATHS", options->paths,
                   "WIT files, or folders of them with a 'deps' folder; the last is printed. Or a "
                   "component, whose world is printed")
      ->required()
      ->type_name("");
  command->add_flag("-j,--json", options->json, "Print the resolved packages as JSON");
  command->add_flag("-w,--wasm", options->wasm, "Write the package in binary form");
  command->add_flag("-d,--deps", options->dependencies,
                    "Print what the package depends on as well");
  command->add_flag("--merge", options->merge,
                    "Resolve each of PATHS by itself, and merge packages of the same name");
  command->add_flag("--no-docs", options->no_docs, "Leave comments out");
  command->add_option("--features", options->features, "Take @unstable items of these features")
      ->delimiter(',')
      ->type_name("NAMES");
  command->add_flag("--all-features", options->all_features, "Take all @unstable items");
  command->add_option("-o,--output", options->output, "Write to this file")->type_name("FILE");
  command->callback(
      [options, &context] { context.action = [options] { return print_wit(*options); }; });
}

}  // namespace wafer::cli
