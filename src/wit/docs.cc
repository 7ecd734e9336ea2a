#include "wit/docs.h"

#include <nlohmann/json.hpp>

namespace wafer::wit {

namespace {

using Json = nlohmann::ordered_json;

// Versions of the section that are understood; the first had a function's comments as a string.
constexpr uint8_t kOldest = 0, kNewest = 1;

Json stability_json(const Stability& s) {
  const bool since = s.kind == Stability::Kind::Since;
  Json inner{{since ? "since" : "feature", s.text}};
  if (s.deprecated) inner["deprecated"] = *s.deprecated;
  return Json{{since ? "stable" : "unstable", std::move(inner)}};
}

void put(Json& to, const std::string& docs, const Stability& s) {
  if (!docs.empty()) to["docs"] = docs;
  if (s.kind != Stability::Kind::Unknown) to["stability"] = stability_json(s);
}

void put(Json& to, const char* map, const std::string& name, Json value) {
  if (!value.empty()) to[map][name] = std::move(value);
}

Json type_json(const TypeDef& t) {
  Json out = Json::object();
  put(out, t.docs, t.stability);
  for (const Member& m : t.members)
    if (!m.docs.empty()) out["items"][m.name] = m.docs;
  return out;
}

Json function_json(const Function& f) {
  Json out = Json::object();
  put(out, f.docs, f.stability);
  return out;
}

Json interface_json(const Resolve& r, InterfaceId id) {
  const Interface& i = r.interfaces[id];
  Json out = Json::object();
  put(out, i.docs, i.stability);
  for (const Function& f : i.functions) put(out, "funcs", f.name, function_json(f));
  for (TypeId t : i.types) put(out, "types", r.types[t].name, type_json(r.types[t]));
  return out;
}

Json world_json(const Resolve& r, WorldId id) {
  const World& w = r.worlds[id];
  Json out = Json::object();
  put(out, w.docs, w.stability);
  for (const bool exported : {false, true}) {
    for (const WorldItem& item : exported ? w.exports : w.imports) {
      if (item.kind == ItemKind::Function) {
        put(out, exported ? "func_exports" : "funcs", item.name, function_json(item.function));
      } else if (item.kind == ItemKind::Type) {
        put(out, "types", item.name, type_json(r.types[item.type]));
      } else if (item.name.empty() || item.implements) {
        const std::string name = item.name.empty() ? r.interface_name(item.interface) : item.name;
        if (item.stability.kind != Stability::Kind::Unknown)
          put(out, exported ? "interface_export_stability" : "interface_import_stability", name,
              stability_json(item.stability));
        if (!item.docs.empty())
          put(out, exported ? "interface_export_docs" : "interface_import_docs", name, item.docs);
      } else {
        put(out, exported ? "interface_exports" : "interfaces", item.name,
            interface_json(r, item.interface));
      }
    }
  }
  return out;
}

// ---- Reading ------------------------------------------------------------------------

// The member `key` of an object, or null.
const Json& get(const Json& j, const char* key) {
  static const Json kNull;
  if (!j.is_object()) return kNull;
  auto it = j.find(key);
  return it == j.end() ? kNull : *it;
}

std::string text(const Json& j) { return j.is_string() ? j.get<std::string>() : std::string(); }

void read_stability(const Json& j, Stability& out) {
  for (const bool since : {true, false}) {
    const Json& inner = get(j, since ? "stable" : "unstable");
    if (!inner.is_object()) continue;
    out.kind = since ? Stability::Kind::Since : Stability::Kind::Unstable;
    out.text = text(get(inner, since ? "since" : "feature"));
    if (get(inner, "deprecated").is_string()) out.deprecated = text(get(inner, "deprecated"));
  }
}

void read(const Json& j, std::string& docs, Stability& stability) {
  if (get(j, "docs").is_string()) docs = text(get(j, "docs"));
  read_stability(get(j, "stability"), stability);
}

void read_type(const Json& j, TypeDef& t) {
  read(j, t.docs, t.stability);
  for (Member& m : t.members)
    if (const Json& d = get(get(j, "items"), m.name.c_str()); d.is_string()) m.docs = text(d);
}

void read_function(const Json& j, Function& f) {
  if (j.is_string()) f.docs = text(j);
  read(j, f.docs, f.stability);
}

void read_interface(const Json& j, Resolve& r, InterfaceId id) {
  Interface& i = r.interfaces[id];
  read(j, i.docs, i.stability);
  for (Function& f : i.functions) read_function(get(get(j, "funcs"), f.name.c_str()), f);
  for (TypeId t : i.types) read_type(get(get(j, "types"), r.types[t].name.c_str()), r.types[t]);
}

void read_world(const Json& j, Resolve& r, WorldId id) {
  World& w = r.worlds[id];
  read(j, w.docs, w.stability);
  for (const bool exported : {false, true}) {
    for (WorldItem& item : exported ? w.exports : w.imports) {
      // Exports of the old form stand among the imports.
      const auto one = [&](const char* import_map, const char* export_map) -> const Json& {
        const Json& own = get(get(j, exported ? export_map : import_map), item.name.c_str());
        return own.is_null() && exported ? get(get(j, import_map), item.name.c_str()) : own;
      };
      if (item.kind == ItemKind::Function) {
        read_function(one("funcs", "func_exports"), item.function);
        item.stability = item.function.stability;
        item.docs = item.function.docs;
      } else if (item.kind == ItemKind::Type) {
        read_type(get(get(j, "types"), item.name.c_str()), r.types[item.type]);
        item.stability = r.types[item.type].stability;
      } else if (item.name.empty() || item.implements) {
        const std::string name = item.name.empty() ? r.interface_name(item.interface) : item.name;
        read_stability(
            get(get(j, exported ? "interface_export_stability" : "interface_import_stability"),
                name.c_str()),
            item.stability);
        item.docs = text(get(get(j, exported ? "interface_export_docs" : "interface_import_docs"),
                             name.c_str()));
      } else {
        const Json& own = one("interfaces", "interface_exports");
        read_interface(own, r, item.interface);
        item.stability = r.interfaces[item.interface].stability;
        item.docs = r.interfaces[item.interface].docs;
      }
    }
  }
}

}  // namespace

Vec<uint8_t> encode_docs(const Resolve& r, PackageId id) {
  const Package& p = r.packages[id];
  Json out = Json::object();
  if (!p.docs.empty()) out["docs"] = p.docs;
  for (WorldId w : p.worlds) put(out, "worlds", r.worlds[w].name, world_json(r, w));
  for (InterfaceId i : p.interfaces)
    put(out, "interfaces", r.interfaces[i].name, interface_json(r, i));
  Vec<uint8_t> bytes;
  if (out.empty()) return bytes;
  bytes.push_back(kNewest);
  // Comments are UTF-8, as the texts that they come from were checked to be.
  const std::string text = out.dump(-1, ' ', false, Json::error_handler_t::replace);
  bytes.insert(bytes.end(), text.begin(), text.end());
  return bytes;
}

Result<void> add_docs(Resolve& r, PackageId id, Bytes section) {
  if (section.empty() || section[0] < kOldest || section[0] > kNewest)
    return Error(ErrorKind::Malformed, "custom section package-docs of an unknown version");
  const Json j =
      Json::parse(section.begin() + 1, section.end(), nullptr, /*allow_exceptions=*/false);
  if (!j.is_object())
    return Error(ErrorKind::Malformed, "custom section package-docs is not a JSON object");
  Package& p = r.packages[id];
  if (get(j, "docs").is_string()) p.docs = text(get(j, "docs"));
  for (WorldId w : p.worlds) read_world(get(get(j, "worlds"), r.worlds[w].name.c_str()), r, w);
  for (InterfaceId i : p.interfaces)
    read_interface(get(get(j, "interfaces"), r.interfaces[i].name.c_str()), r, i);
  return {};
}

}  // namespace wafer::wit
