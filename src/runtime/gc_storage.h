// How values lie in fields of structures and elements of arrays (4.2.12): packed, and numbers in
// the processor's order.
#pragma once

#include <cstring>

#include "base/access.h"
#include "runtime/value.h"
#include "wasm/types.h"

namespace wafer::runtime {

// Writes the low `Bytes` bytes of a value's slots.
template <unsigned Bytes>
inline void store_low(uint8_t* to, const Slot* value) {
  if constexpr (Bytes == 1) {
    *to = uint8_t(*value);
  } else if constexpr (Bytes == 2) {
    store_aligned<uint16_t>(to, uint16_t(*value));
  } else if constexpr (Bytes == 4) {
    store_aligned<uint32_t>(to, uint32_t(*value));
  } else {
    store_aligned<Slot>(to, value[0]);
    if constexpr (Bytes == 16) store_aligned<Slot>(to + 8, value[1]);
  }
}

// Writes a value to storage of type `type`; gives the slots that it takes.
inline uint32_t store_storage(wasm::ValType type, uint8_t* to, const Slot* value) {
  switch (type.kind()) {
    case wasm::TypeKind::I8:
      store_low<1>(to, value);
      return 1;
    case wasm::TypeKind::I16:
      store_low<2>(to, value);
      return 1;
    case wasm::TypeKind::I32:
    case wasm::TypeKind::F32:
      store_low<4>(to, value);
      return 1;
    case wasm::TypeKind::V128:
      store_low<16>(to, value);
      return 2;
    default:
      store_low<8>(to, value);
      return 1;
  }
}

// Writes `count` numbers of `size` bytes each that lie in little-endian order, as in a data
// segment.
inline void store_numbers(uint8_t* to, const uint8_t* bytes, size_t size, uint64_t count) {
  if (count == 0) return;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  // Of vectors, each half.
  const size_t unit = size < 8 ? size : 8;
  for (uint64_t i = 0; i < count * size; ++i) to[i] = bytes[i ^ (unit - 1)];
#else
  std::memcpy(to, bytes, size_t(count) * size);
#endif
}

}  // namespace wafer::runtime
