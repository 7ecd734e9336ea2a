// script_json FILE DIR: writes the modules of a script of the official suite to a folder, and
// prints its commands as JSON, for run.py.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "wat/wast.h"

namespace {

using nlohmann::json;
using wafer::wat::ScriptAction;
using wafer::wat::ScriptCommand;
using wafer::wat::ScriptModule;
using wafer::wat::ScriptValue;

std::string text(std::string_view s) { return std::string(s); }

std::string bits_of(const ScriptValue& v) {
  if (v.kind == ScriptValue::Kind::NanCanonical) return "nan:canonical";
  if (v.kind == ScriptValue::Kind::NanArithmetic) return "nan:arithmetic";
  return std::to_string(v.bits);
}

json value(const ScriptValue& v) {
  using K = ScriptValue::Kind;
  switch (v.kind) {
    case K::Num:
    case K::NanCanonical:
    case K::NanArithmetic:
      return {{"type", text(wafer::wasm::to_string(v.type))}, {"value", bits_of(v)}};
    case K::Vector: {
      json lanes = json::array();
      for (const ScriptValue& lane : v.parts) lanes.push_back(bits_of(lane));
      const std::string type = (v.lane_float ? "f" : "i") + std::to_string(v.lane_bits);
      return {{"type", "v128"}, {"lane_type", type}, {"value", lanes}};
    }
    case K::RefNull:
      return {{"type", "ref"}, {"value", "null"}};
    case K::RefExtern:
    case K::RefHost:
      if (v.typed) return {{"type", "host"}, {"value", std::to_string(v.bits)}};
      [[fallthrough]];
    case K::RefFunc:
    case K::RefAny:
    case K::RefEq:
    case K::RefI31:
    case K::RefStruct:
    case K::RefArray:
    case K::RefExn:
      return {{"type", "ref"}, {"value", nullptr}};
    default:
      return {{"type", "other"}};
  }
}

json values(const wafer::Vec<ScriptValue>& all) {
  json out = json::array();
  for (const ScriptValue& v : all) out.push_back(value(v));
  return out;
}

json action(const ScriptAction& a) {
  json out = {
      {"type", a.is_get ? "get" : "invoke"}, {"field", text(a.name)}, {"args", values(a.args)}};
  if (!a.module.empty()) out["module"] = text(a.module);
  return out;
}

const char* kind_name(ScriptCommand::Kind kind) {
  using K = ScriptCommand::Kind;
  switch (kind) {
    case K::Module:
      return "module";
    case K::ModuleDefinition:
      return "module_definition";
    case K::ModuleInstance:
      return "module_instance";
    case K::Register:
      return "register";
    case K::Action:
      return "action";
    case K::AssertReturn:
      return "assert_return";
    case K::AssertTrap:
      return "assert_trap";
    case K::AssertExhaustion:
      return "assert_exhaustion";
    case K::AssertException:
      return "assert_exception";
    case K::AssertTrapModule:
      return "assert_uninstantiable";
    case K::AssertInvalid:
      return "assert_invalid";
    case K::AssertMalformed:
      return "assert_malformed";
    case K::AssertUnlinkable:
      return "assert_unlinkable";
    case K::AssertInvalidCustom:
    case K::AssertMalformedCustom:
      return "assert_custom";
    case K::Thread:
      return "thread";
    case K::Wait:
      return "wait";
  }
  return "";
}

// Whether the command is about a module that it has.
bool has_module(ScriptCommand::Kind kind) {
  using K = ScriptCommand::Kind;
  return kind == K::Module || kind == K::AssertTrapModule || kind == K::AssertInvalid ||
         kind == K::AssertMalformed || kind == K::AssertUnlinkable;
}

json command(const ScriptCommand& c, uint32_t line, const std::string& folder, unsigned number) {
  json out = {{"type", kind_name(c.kind)}, {"line", line}};
  if (has_module(c.kind)) {
    const std::string file = std::to_string(number) + ".wasm";
    out["filename"] = file;
    // What does not parse is no module for a runtime.
    if (c.module.parse_error || c.module.is_component) {
      out["module_type"] = "text";
    } else {
      std::ofstream(folder + "/" + file, std::ios::binary)
          .write(reinterpret_cast<const char*>(c.module.binary.data()),
                 std::streamsize(c.module.binary.size()));
    }
    if (!c.module.name.empty()) out["name"] = text(c.module.name);
  } else if (c.kind == ScriptCommand::Kind::Register) {
    out["as"] = text(c.name);
    if (!c.of.empty()) out["name"] = text(c.of);
  } else {
    out["action"] = action(c.action);
    out["expected"] = values(c.expected);
    out["text"] = text(c.message);
  }
  return out;
}

int run(const char* script_file, const char* folder) {
  std::ifstream in(script_file, std::ios::binary);
  const std::string source{std::istreambuf_iterator<char>(in), {}};
  const auto script = wafer::wat::parse_wast(source);
  if (!script) {
    std::fprintf(stderr, "%s: %s\n", script_file, script.error().message.c_str());
    return 1;
  }
  json commands = json::array();
  uint32_t line = 1;
  uint64_t at = 0;
  for (const ScriptCommand& c : *script) {
    for (; at < c.offset; ++at) line += source[at] == '\n';
    commands.push_back(command(c, line, folder, unsigned(commands.size())));
  }
  std::puts(
      json{{"commands", commands}}.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    return run(argv[1], argv[2]);
  } catch (const std::exception& e) {
    std::fputs(e.what(), stderr);
    return 1;
  }
}
