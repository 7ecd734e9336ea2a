#include <algorithm>
#include <cstring>

#include "wafer/component_value.hpp"

namespace wafer::component {

Val Val::of_f32(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  return Val(uint64_t{bits});
}

Val Val::of_f64(double v) {
  uint64_t bits;
  std::memcpy(&bits, &v, 8);
  return Val(bits);
}

float Val::as_f32() const {
  const auto b = uint32_t(bits());
  float v;
  std::memcpy(&v, &b, 4);
  return v;
}

double Val::as_f64() const {
  const uint64_t b = bits();
  double v;
  std::memcpy(&v, &b, 8);
  return v;
}

Val& Val::operator=(const Val& o) {
  if (this == &o) return *this;
  if (const Case* c = std::get_if<Case>(&o.value_))
    value_ = Case{c->index, c->value ? std::make_unique<Val>(*c->value) : nullptr};
  else
    std::visit(
        [&](const auto& v) {
          if constexpr (!std::is_same_v<std::remove_cvref_t<decltype(v)>, Case>) value_ = v;
        },
        o.value_);
  return *this;
}

bool Val::holds_handles() const {
  if (is_items())
    return std::any_of(items().begin(), items().end(),
                       [](const Val& v) { return v.holds_handles(); });
  if (is_case()) return payload() && payload()->holds_handles();
  return is_resource() || is_end();
}

bool Val::operator==(const Val& o) const {
  // Bytes are a list like any other.
  if (is_bytes() && o.is_items()) return o == *this;
  if (is_items() && o.is_bytes()) {
    if (items().size() != o.bytes().size()) return false;
    for (size_t i = 0; i < items().size(); ++i)
      if (!items()[i].is_bits() || items()[i].bits() != o.bytes()[i]) return false;
    return true;
  }
  if (value_.index() != o.value_.index()) return false;
  if (is_case()) {
    if (index() != o.index() || !payload() != !o.payload()) return false;
    return !payload() || *payload() == *o.payload();
  }
  return std::visit(
      [&](const auto& v) {
        using T = std::remove_cvref_t<decltype(v)>;
        if constexpr (std::is_same_v<T, Case>)
          return false;
        else
          return v == std::get<T>(o.value_);
      },
      value_);
}

}  // namespace wafer::component
