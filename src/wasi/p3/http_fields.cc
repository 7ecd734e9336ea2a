#include "wasi/p3/http_fields.h"

#include <algorithm>

#include "wasi/p3/p3.h"

namespace wafer::wasi::p3::http_types {

namespace {

// That a guest can have in one `fields`; each costs some more than its bytes.
constexpr size_t kMostBytes = 128 << 10;
size_t bytes_of(std::string_view name, std::string_view value) {
  return name.size() + value.size() + 32;
}

std::string text_of(Bytes value) { return std::string(value.begin(), value.end()); }
FieldValue value_of(std::string_view text) { return FieldValue(text.begin(), text.end()); }

HeaderError header_error(HeaderError::Tag tag) {
  HeaderError e;
  e.tag = tag;
  return e;
}

std::vector<FieldValue> values(const Fields& fields, std::string_view name) {
  std::vector<FieldValue> out;
  for (const auto& [n, value] : *fields.fields)
    if (host::same_name(n, name)) out.push_back(value_of(value));
  return out;
}

}  // namespace

std::optional<HeaderError> Fields::check(std::string_view name, bool sets) const {
  if (immutable) return header_error(HeaderError::Tag::Immutable);
  if (!host::is_token(name)) return header_error(HeaderError::Tag::InvalidSyntax);
  if (sets && is_forbidden_field(name)) return header_error(HeaderError::Tag::Forbidden);
  return std::nullopt;
}

void Fields::remove(std::string_view name) {
  std::erase_if(*fields, [&](const auto& f) {
    if (!host::same_name(f.first, name)) return false;
    bytes_ -= std::min(bytes_, bytes_of(f.first, f.second));
    return true;
  });
}

Expected<Unit, HeaderError> Fields::add(const std::string& name, Bytes value) {
  std::string text = text_of(value);
  if (!host::is_field_value(text)) return Err{header_error(HeaderError::Tag::InvalidSyntax)};
  const size_t bytes = bytes_of(name, text);
  if (bytes_ + bytes > kMostBytes) return Err{header_error(HeaderError::Tag::SizeExceeded)};
  bytes_ += bytes;
  // Fields of one name are written as the first of them.
  const auto same = std::find_if(fields->begin(), fields->end(),
                                 [&](const auto& f) { return host::same_name(f.first, name); });
  fields->emplace_back(same == fields->end() ? name : same->first, std::move(text));
  return Unit{};
}

Own<Fields> fields_new(Host&) { return Own<Fields>::make(std::make_shared<host::HttpFields>()); }

Expected<Own<Fields>, HeaderError> fields_from_list(
    Host&, std::vector<std::tuple<FieldName, FieldValue>> entries) {
  auto out = std::make_unique<Fields>(std::make_shared<host::HttpFields>());
  for (const auto& [name, value] : entries) {
    if (auto error = out->check(name, true)) return Err{*error};
    if (auto added = out->add(name, value); !added) return Err{added.error()};
  }
  return Own(std::move(out));
}

std::vector<FieldValue> fields_get(Host&, Fields& self, FieldName name) {
  return values(self, name);
}

bool fields_has(Host&, Fields& self, FieldName name) {
  return std::any_of(self.fields->begin(), self.fields->end(),
                     [&](const auto& f) { return host::same_name(f.first, name); });
}

Expected<Unit, HeaderError> fields_set(Host&, Fields& self, FieldName name,
                                       std::vector<FieldValue> value) {
  if (auto error = self.check(name, true)) return Err{*error};
  for (const FieldValue& v : value)
    if (!host::is_field_value(text_of(v)))
      return Err{header_error(HeaderError::Tag::InvalidSyntax)};
  self.remove(name);
  for (const FieldValue& v : value)
    if (auto added = self.add(name, v); !added) return added;
  return Unit{};
}

Expected<Unit, HeaderError> fields_delete(Host&, Fields& self, FieldName name) {
  if (auto error = self.check(name, false)) return Err{*error};
  self.remove(name);
  return Unit{};
}

Expected<std::vector<FieldValue>, HeaderError> fields_get_and_delete(Host&, Fields& self,
                                                                     FieldName name) {
  if (auto error = self.check(name, false)) return Err{*error};
  std::vector<FieldValue> out = values(self, name);
  self.remove(name);
  return out;
}

Expected<Unit, HeaderError> fields_append(Host&, Fields& self, FieldName name, Bytes value) {
  if (auto error = self.check(name, true)) return Err{*error};
  return self.add(name, value);
}

std::vector<std::tuple<FieldName, FieldValue>> fields_copy_all(Host&, Fields& self) {
  std::vector<std::tuple<FieldName, FieldValue>> out;
  out.reserve(self.fields->size());
  for (const auto& [name, value] : *self.fields) out.emplace_back(name, value_of(value));
  return out;
}

Own<Fields> fields_clone(Host&, Fields& self) {
  return Own<Fields>::make(std::make_shared<host::HttpFields>(*self.fields));
}

}  // namespace wafer::wasi::p3::http_types
