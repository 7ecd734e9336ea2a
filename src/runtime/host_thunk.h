// What host functions have in common that are made of plain functions of C++.
#pragma once

#include <atomic>
#include <cstring>
#include <type_traits>
#include <utility>

#include "runtime/store.h"

namespace wafer::runtime {

// The core type of a parameter or result: f32 for float, else i32 or i64 by its size.
template <class T>
constexpr wasm::ValType val_type() {
  if constexpr (std::is_same_v<T, float>)
    return wasm::kF32;
  else
    return sizeof(T) == 8 ? wasm::kI64 : wasm::kI32;
}

template <class T>
T from_slot(Slot slot) {
  if constexpr (std::is_same_v<T, float>) {
    const auto bits = uint32_t(slot);
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  } else {
    return T(slot);
  }
}

template <class T>
Slot to_slot(T value) {
  if constexpr (std::is_same_v<T, float>)
    return slot_of(value);
  else if constexpr (sizeof(T) == 8)
    return Slot(value);
  else
    return uint32_t(value);
}

// `fn` with its parameters after the first, what all calls have, from slots.
template <auto fn>
struct HostThunk;
template <class R, class Call, class... Args, R (*fn)(Call&, Args...)>
struct HostThunk<fn> {
  static wasm::FuncType type() {
    wasm::FuncType t;
    t.params = {val_type<Args>()...};
    if constexpr (!std::is_void_v<R>) t.results = {val_type<R>()};
    return t;
  }
  static void invoke(Call& call, Slot* slots) {
    apply(call, slots, std::index_sequence_for<Args...>());
  }

 private:
  template <size_t... I>
  static void apply(Call& call, [[maybe_unused]] Slot* slots, std::index_sequence<I...>) {
    if constexpr (std::is_void_v<R>)
      fn(call, from_slot<Args>(slots[I])...);
    else
      slots[0] = to_slot(fn(call, from_slot<Args>(slots[I])...));
  }
};

// The memory that the caller exports as "memory", or null. `hint` is the export that it was last
// time; it is checked, so it may be of another module.
inline const Memory* exported_memory(const Instance* caller, std::atomic<uint32_t>& hint) {
  if (!caller) return nullptr;
  const auto& exports = caller->module->exports;
  const auto is_memory = [&](size_t i) {
    return i < exports.size() && exports[i].kind == wasm::ExternKind::Memory &&
           exports[i].name == "memory";
  };
  size_t i = hint.load(std::memory_order_relaxed);
  if (!is_memory(i)) {
    for (i = 0; i < exports.size() && !is_memory(i);) ++i;
    if (i == exports.size()) return nullptr;
    hint.store(uint32_t(i), std::memory_order_relaxed);
  }
  return caller->memories[exports[i].index];
}

// True, with the trap, once the store was interrupted.
inline bool interrupted(Store& store, TrapCode& trap) {
  if (store.interrupt_flag.load(std::memory_order_relaxed) == 0) return false;
  trap = store.set_trap(TrapCode::Interrupted);
  return true;
}

}  // namespace wafer::runtime
