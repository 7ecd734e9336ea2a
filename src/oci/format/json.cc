#include "oci/format/json.h"

namespace wafer::oci {

using nlohmann::json;

namespace {

bool is_too_deep(std::string_view text) {
  constexpr int kMost = 64;
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMost) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

}  // namespace

Result<json> parse_value(std::string_view text, const char* what) {
  if (is_too_deep(text))
    return Error(ErrorKind::Exhaustion, std::string(what) + " is nested too deeply");
  json j = json::parse(text, nullptr, false);
  if (j.is_discarded()) return Error(ErrorKind::Invalid, std::string(what) + " is not JSON");
  return j;
}

json parse_or_null(std::string_view text) {
  Result<json> j = parse_value(text, "");
  return j ? *std::move(j) : json();
}

Result<json> parse_json(std::string_view text, const char* what) {
  WAFER_LET(j, parse_value(text, what));
  if (!j.is_object()) return Error(ErrorKind::Invalid, std::string(what) + " is not a JSON object");
  return std::move(j);
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
