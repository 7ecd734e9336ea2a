// JSON that others wrote: of any type, which members of nlohmann::json throw at.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wafer::oci {

// JSON of any type. Invalid; Exhaustion for what is nested deeper than anything that is read here:
// what is done with it recurses.
Result<nlohmann::json> parse_value(std::string_view text, const char* what);
// The same, or null.
nlohmann::json parse_or_null(std::string_view text);
// JSON of a manifest, index or configuration: an object.
Result<nlohmann::json> parse_json(std::string_view text, const char* what);
// Member `name` of what may be an object, or null; and that if it is a string, or "", or an array,
// or an empty one.
const nlohmann::json& member_of(const nlohmann::json& object, const std::string& name);
std::string text_of(const nlohmann::json& object, const std::string& name);
const nlohmann::json& list_of(const nlohmann::json& object, const std::string& name);
// JSON as text. What is no UTF-8, which only headers and command lines can have, is replaced.
std::string to_text(const nlohmann::json& json);

}  // namespace wafer::oci
