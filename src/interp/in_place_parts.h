// What the two files share that run bodies where they lie.
#pragma once

#include <cstring>

#include "interp/grouped.h"
#include "interp/in_place.h"
#include "interp/slots.h"

#if WAFER_HAS_IN_PLACE

namespace wafer::interp {

template <class T>
WAFER_ALWAYS_INLINE T take_leb(const uint8_t*& at) {
  std::make_unsigned_t<T> v = 0;
  for (unsigned shift = 0;; shift += 7) {
    const uint8_t byte = *at++;
    v |= std::make_unsigned_t<T>(byte & 0x7F) << shift;
    if (byte & 0x80) continue;
    if (std::is_signed_v<T> && (byte & 0x40) && shift + 7 < sizeof(T) * 8)
      v |= ~std::make_unsigned_t<T>(0) << (shift + 7);
    return T(v);
  }
}
template <Opcode OP>
concept Accessing = requires { typename Access<OP>::Mem; };
template <Opcode OP>
inline constexpr bool kStores = kFacts[unsigned(OP)].sig.back() == ':';

// A load to `sp`, where the address was, or a store of what is above it.
template <Opcode OP>
WAFER_ALWAYS_INLINE void access(uint8_t* p, Slot*& sp) {
  using M = typename Access<OP>::Mem;
  using T = typename Access<OP>::Reg;
  if constexpr (kStores<OP>)
    store_memory<M>(p, M(get<T>(sp, 1)));
  else
    put<T>(sp++, 0, T(load_memory<M>(p)));
}

// The further parts of a link.
WAFER_ALWAYS_INLINE void set_link(Slot* link, const uint8_t* pc, Slot* fp, Instance* instance,
                                  FuncCode* code, const Word* table) {
  if constexpr (kNarrow) {
    link[0] = reinterpret_cast<uintptr_t>(pc) | uint64_t(reinterpret_cast<uintptr_t>(code)) << 32;
    link[1] = reinterpret_cast<uintptr_t>(fp) | uint64_t(reinterpret_cast<uintptr_t>(table)) << 32;
    put(link, 2, reinterpret_cast<uintptr_t>(instance));
  } else {
    link[0] = reinterpret_cast<uintptr_t>(pc);
    link[1] = reinterpret_cast<uintptr_t>(fp);
    link[2] = reinterpret_cast<uintptr_t>(instance);
    link[3] = reinterpret_cast<uintptr_t>(code);
    link[4] = reinterpret_cast<uintptr_t>(table);
  }
}
WAFER_ALWAYS_INLINE FuncCode* linked_code(const Slot* link) {
  return kNarrow ? pointer_in<FuncCode>(link[0] >> 32) : pointer_in<FuncCode>(link[3]);
}
WAFER_ALWAYS_INLINE const Word* linked_table(const Slot* link) {
  return kNarrow ? pointer_in<const Word>(link[1] >> 32) : pointer_in<const Word>(link[4]);
}

WAFER_ALWAYS_INLINE const uint8_t* body_end(const FuncCode& code) {
  return code.module->module.bytes.data() + uint32_t(code.code[0] >> 32);
}

// Where a branch leads, as the entry of the side table at `table` says.
struct Branch {
  int32_t distance, step;  // in the body, and in the table
  uint32_t height, count;  // of operands there, below those that come along
};
WAFER_ALWAYS_INLINE Branch read_branch(const Word* table, const FuncCode& code) {
  const Word first = *table;
  Word second = first;
  int32_t distance = int16_t(first), step = int16_t(first >> 16);
  if (WAFER_UNLIKELY(code.entry_words == 2)) {
    distance = int32_t(first);
    step = int32_t(first >> 32);
    second = table[1];
  }
  return {distance, step, uint16_t(second >> 32), uint16_t(second >> 48)};
}
// Takes `count` operands down to `to`: their end there.
WAFER_ALWAYS_INLINE Slot* carry(Slot* to, const Slot* from, uint32_t count) {
  for (; count; --count) *to++ = *from++;
  return to;
}

// Where a function runs in place: what the loop for all instructions and the handlers of the
// frequent ones give each other.
struct Place {
  const uint8_t* pc;
  Slot* sp;
  Slot* fp;
  const Word* table;
  uint8_t* memory;
  MemorySize memory_size;
  FuncCode* code;
  const uint8_t* end;  // of the body
  Activation* activation;
  bool points;  // something is to be done where stretches of code begin
};

// Runs instructions from `place` on up to one that has no handler or needs more than that.
void run_fast(Place& place);
// A numeric instruction of one byte on the operands below `sp`, for those that are in no hurry: the
// new end of the operands, or null where it traps.
Slot* run_grouped(int op, Slot* sp);

}  // namespace wafer::interp

#endif
