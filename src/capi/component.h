// Values of components, and what goes with callbacks. Internal to src/capi.
#pragma once

#include "capi/capi.h"
#include "wafer/component.hpp"
#include "wafer_component.h"

struct wafer_component_val_t {
  wafer::ComponentVal value;
};

namespace wafer::capi {

inline wafer_component_val_t* give(ComponentVal value) {
  return create<wafer_component_val_t>(wafer_component_val_t{std::move(value)});
}
inline ComponentVal take(wafer_component_val_t* v) {
  ComponentVal value = std::move(v->value);
  destroy(v);
  return value;
}
// Handles into values are the values themselves.
inline const wafer_component_val_t* handle(const ComponentVal* v) {
  static_assert(sizeof(wafer_component_val_t) == sizeof(ComponentVal));
  return reinterpret_cast<const wafer_component_val_t*>(v);
}

// What goes with a callback.
inline std::shared_ptr<void> environment(void* env, void (*finalizer)(void*)) {
  return {env, [finalizer](void* e) {
            if (finalizer) finalizer(e);
          }};
}

}  // namespace wafer::capi
