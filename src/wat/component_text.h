// Words and codes of component text that parser and printer share (Explainer.md, Binary.md).
#pragma once

#include <cstdint>
#include <functional>
#include <iterator>
#include <string_view>

#include "wat/token_reader.h"

namespace wafer::wat {

// Index spaces of components, in the order in which the name section lists them.
enum class Space : uint8_t {
  CoreFunc,
  CoreTable,
  CoreMemory,
  CoreGlobal,
  CoreTag,
  CoreType,
  CoreModule,
  CoreInstance,
  Func,
  Value,
  Type,
  Component,
  Instance,
};

struct SpaceInfo {
  Space space;
  bool core;                 // written with `core`, encoded after a zero byte
  std::string_view keyword;  // without `core`
  uint8_t code;
  const char* what;  // for messages
};
inline constexpr SpaceInfo kSpaces[] = {
    {Space::CoreFunc, true, "func", 0x00, "core func"},
    {Space::CoreTable, true, "table", 0x01, "core table"},
    {Space::CoreMemory, true, "memory", 0x02, "core memory"},
    {Space::CoreGlobal, true, "global", 0x03, "core global"},
    {Space::CoreTag, true, "tag", 0x04, "core tag"},
    {Space::CoreType, true, "type", 0x10, "core type"},
    {Space::CoreModule, true, "module", 0x11, "core module"},
    {Space::CoreInstance, true, "instance", 0x12, "core instance"},
    {Space::Func, false, "func", 0x01, "func"},
    {Space::Value, false, "value", 0x02, "value"},
    {Space::Type, false, "type", 0x03, "type"},
    {Space::Component, false, "component", 0x04, "component"},
    {Space::Instance, false, "instance", 0x05, "instance"},
};
inline constexpr size_t kSpaceCount = std::size(kSpaces);

constexpr const SpaceInfo& space_info(Space space) { return kSpaces[static_cast<size_t>(space)]; }
// Null if there is none.
constexpr const SpaceInfo* find_space(bool core, std::string_view keyword) {
  for (const SpaceInfo& s : kSpaces)
    if (s.core == core && s.keyword == keyword) return &s;
  return nullptr;
}
constexpr const SpaceInfo* find_space(bool core, uint8_t code) {
  for (const SpaceInfo& s : kSpaces)
    if (s.core == core && s.code == code) return &s;
  return nullptr;
}

// Attributes of the names of imports and exports, by code.
inline constexpr std::string_view kAttributes[] = {"implements", "versionsuffix", "external-id"};

// Options of canonical definitions, by code. Those with an operand name an item of `space`.
struct CanonOption {
  std::string_view keyword;
  bool operand;
  Space space;
};
inline constexpr CanonOption kCanonOptions[] = {
    {"string-encoding=utf8", false, {}},
    {"string-encoding=utf16", false, {}},
    {"string-encoding=latin1+utf16", false, {}},
    {"memory", true, Space::CoreMemory},
    {"realloc", true, Space::CoreFunc},
    {"post-return", true, Space::CoreFunc},
    {"async", false, {}},
    {"callback", true, Space::CoreFunc},
};

inline constexpr std::string_view kComponentNameSection = "component-name";

// Sections of definitions of one kind, by what annotations call them.
struct ComponentSection {
  uint8_t id;
  std::string_view keyword;
};
inline constexpr ComponentSection kComponentSections[] = {
    {2, "core-instance"}, {3, "core-type"}, {5, "instance"}, {6, "alias"}, {7, "type"},
    {8, "canon"},         {10, "import"},   {11, "export"},  {12, "value"}};
// Empty if there is none.
constexpr std::string_view component_section(uint8_t id) {
  for (const ComponentSection& s : kComponentSections)
    if (s.id == id) return s.keyword;
  return {};
}

// The contents of a component's name section: its own name and those that `names` gives of each
// space; empty if there are none.
Vec<uint8_t> encode_component_names(std::string_view component,
                                    const std::function<const DebugNames&(Space)>& names);

// Components and types within each other, deeper than which neither is read or printed.
inline constexpr unsigned kMaxComponentDepth = 100;

}  // namespace wafer::wat
