// The resource `fields` of wasi:http.
#pragma once

#include "wasi/bind/http.h"
#include "wasi/p3/bindings.h"

namespace wafer::wasi::p3::http_types {

using FieldsRef = std::shared_ptr<host::HttpFields>;

class Fields final : public Object {
 public:
  // Immutable ones share theirs with the message that they belong to.
  explicit Fields(FieldsRef f, bool immutable = false)
      : fields(std::move(f)), immutable(immutable) {}

  // Why that cannot be done to `name`, if it cannot.
  std::optional<HeaderError> check(std::string_view name, bool sets) const;
  void remove(std::string_view name);
  // Adds a value that is fit for it; size-exceeded if there are too many.
  Expected<Unit, HeaderError> add(const std::string& name, Bytes value);

  FieldsRef fields;
  const bool immutable;

 private:
  size_t bytes_ = 0;
};

}  // namespace wafer::wasi::p3::http_types
