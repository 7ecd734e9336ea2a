#include "oci/format/json.h"

namespace wafer::oci {

using nlohmann::json;

Result<json> parse_json(std::string_view text, const char* what) {
  json j = json::parse(text, nullptr, false);
  if (j.is_discarded() || !j.is_object())
    return Error(ErrorKind::Invalid, std::string(what) + " is not a JSON object");
  return j;
}

const json& member_of(const json& object, const std::string& name) {
  static const json none;
  if (!object.is_object()) return none;
  const auto it = object.find(name);
  return it == object.end() ? none : *it;
}

std::string text_of(const json& object, const std::string& name) {
  const json& value = member_of(object, name);
  return value.is_string() ? value.get<std::string>() : std::string();
}

const json& list_of(const json& object, const std::string& name) {
  static const json none = json::array();
  const json& value = member_of(object, name);
  return value.is_array() ? value : none;
}

std::string to_text(const json& j) {
  return j.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace wafer::oci
