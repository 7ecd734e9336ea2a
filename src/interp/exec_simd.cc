// Handlers of vector instructions.
#define WAFER_COLD_HANDLERS
#include "interp/handlers.h"
#include "interp/simd.h"

#if WAFER_HAS_TRANSLATOR

namespace wafer::interp::handlers {

WAFER_ALWAYS_INLINE Vec128 getv(const Slot* fp, unsigned slot) {
  Vec128 v;
  std::memcpy(&v, fp + slot, 16);
  return v;
}
WAFER_ALWAYS_INLINE void store128(uint8_t* p, const Slot* v) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  store_le<uint64_t>(p, v[0]);
  store_le<uint64_t>(p + 8, v[1]);
#else
  // On x86 by one instruction: where a guard page stops it, nothing may have been written.
  std::memcpy(p, v, 16);
#endif
}
WAFER_ALWAYS_INLINE void putv(Slot* fp, unsigned slot, const Vec128& v) {
  std::memcpy(fp + slot, &v, 16);
}

template <char C>
struct SigType;
template <>
struct SigType<'i'> {
  using T = uint32_t;
};
template <>
struct SigType<'I'> {
  using T = uint64_t;
};
template <>
struct SigType<'f'> {
  using T = float;
};
template <>
struct SigType<'F'> {
  using T = double;
};

#if WAFER_REGS
// An operation on vectors as they lie in slots; what is around it is there once for each shape.
using OnVectors = void (*)(Vec128* out, const Vec128* a, const Vec128* b, const Vec128* c);
WAFER_NOINLINE void on_vectors(OnVectors f, int length) {
  Vec128 out;
  const auto at = [](const Slot* slot) { return reinterpret_cast<const Vec128*>(slot); };
  f(&out, at(SB), at(SC), length == words(2) ? at(FP + ARG_LO(1)) : nullptr);
  putv(SA, 0, out);
  PC += length;
}
template <Opcode OP>
void eval1(Vec128* out, const Vec128* a, const Vec128*, const Vec128*) {
  *out = Simd<OP>::eval(*a);
}
template <Opcode OP>
void eval2(Vec128* out, const Vec128* a, const Vec128* b, const Vec128*) {
  *out = Simd<OP>::eval(*a, *b);
}
template <Opcode OP>
void eval3(Vec128* out, const Vec128* a, const Vec128* b, const Vec128* c) {
  *out = Simd<OP>::eval(*a, *b, *c);
}
#endif

template <Opcode OP>
WAFER_CC void vec(WAFER_PARAMS) {
  constexpr std::string_view kSig = kFacts[unsigned(OP)].sig;
  constexpr wasm::Imm kImm = kFacts[unsigned(OP)].imm;
  if constexpr (kImm == wasm::Imm::Shuffle) {
    putv(SA, 0,
         Simd<OP>::eval(getv(SB, 0), getv(SC, 0), reinterpret_cast<const uint8_t*>(PC + words(1))));
    NEXT(words(3));
  } else if constexpr (kImm == wasm::Imm::Lane && kSig[1] == ':') {
    using T = typename SigType<kSig[2]>::T;
    PUT(T, Simd<OP>::eval(getv(SB, 0), ARG_LO(1)));
    NEXT(words(2));
  } else if constexpr (kImm == wasm::Imm::Lane) {
    using T = typename SigType<kSig[1]>::T;
    putv(SA, 0, Simd<OP>::eval(getv(SB, 0), get<T>(SC, 0), ARG_LO(1)));
    NEXT(words(2));
#if WAFER_REGS
  } else if constexpr (kSig == "v:v") {
    return on_vectors(eval1<OP>, words(1));
  } else if constexpr (kSig == "vv:v") {
    return on_vectors(eval2<OP>, words(1));
  } else if constexpr (kSig == "vvv:v") {
    return on_vectors(eval3<OP>, words(2));
#endif
  } else if constexpr (kSig == "v:v") {
    putv(SA, 0, Simd<OP>::eval(getv(SB, 0)));
    NEXT(words(1));
  } else if constexpr (kSig == "vv:v") {
    putv(SA, 0, Simd<OP>::eval(getv(SB, 0), getv(SC, 0)));
    NEXT(words(1));
  } else if constexpr (kSig == "vi:v") {
    putv(SA, 0, Simd<OP>::eval(getv(SB, 0), get<uint32_t>(SC, 0)));
    NEXT(words(1));
  } else if constexpr (kSig == "vvv:v") {
    putv(SA, 0, Simd<OP>::eval(getv(SB, 0), getv(SC, 0), getv(FP, ARG_LO(1))));
    NEXT(words(2));
  } else if constexpr (kSig == "v:i") {
    PUT(uint32_t, Simd<OP>::eval(getv(SB, 0)));
    NEXT(words(1));
  } else {  // splat
    using T = typename SigType<kSig[0]>::T;
    putv(SA, 0, Simd<OP>::eval(get<T>(SB, 0)));
    NEXT(words(1));
  }
}

template <Opcode OP, unsigned V>
WAFER_CC void vec_load(WAFER_PARAMS) {
  constexpr unsigned kBytes = Simd<OP>::kBytes;
  if constexpr (V == kVecFar) {
    const uint8_t* p = far_address(CTX, ARG_LO(1), SB, 0, ARG(2), kBytes);
    if (WAFER_UNLIKELY(!p)) TRAP_OUT_OF_BOUNDS();
    putv(SA, 0, Simd<OP>::eval(p));
    NEXT(words(3));
  } else {
    const uint32_t address = get<uint32_t>(SB, 0);
    const uint8_t* p;
    if constexpr (V == kVecChecked)
      CHECKED_ADDRESS(p, address, kBytes);
    else
      p = MEM + (uint64_t(address) + FC);
    putv(SA, 0, Simd<OP>::eval(p));
    NEXT(words(1));
  }
}

template <Opcode OP, unsigned V>
WAFER_CC void vec_store(WAFER_PARAMS) {
  if constexpr (V == kVecFar) {
    uint8_t* p = far_address(CTX, ARG_LO(1), SA, 0, ARG(2), 16);
    if (WAFER_UNLIKELY(!p)) TRAP_OUT_OF_BOUNDS();
    store128(p, SB);
    NEXT(words(3));
  } else {
    const uint32_t address = get<uint32_t>(SA, 0);
    uint8_t* p;
    if constexpr (V == kVecChecked)
      CHECKED_ADDRESS(p, address, 16);
    else
      touch_end<16>(p = MEM + (uint64_t(address) + FC));
    store128(p, SB);
    NEXT(words(1));
  }
}

template <Opcode OP>
WAFER_CC void vec_lane(WAFER_PARAMS) {
  constexpr unsigned kBytes = Simd<OP>::kBytes;
  uint8_t* p = far_address(CTX, ARG_LO(1), SB, 0, ARG(2), kBytes);
  if (WAFER_UNLIKELY(!p)) TRAP_OUT_OF_BOUNDS();
  Vec128 v = getv(SC, 0);
  if constexpr (Simd<OP>::kIsLoad) {
    simd::load_lane<kBytes>(v, ARG_HI(1), p);
    putv(SA, 0, v);
  } else {
    simd::store_lane<kBytes>(v, ARG_HI(1), p);
  }
  NEXT(words(3));
}

WAFER_CC void copy128(WAFER_PARAMS) {
  putv(SA, 0, getv(SB, 0));
  NEXT(words(1));
}
WAFER_CC void const128(WAFER_PARAMS) {
  *SA = ARG(1);
  SA[1] = ARG(2);
  NEXT(words(3));
}
WAFER_CC void select128(WAFER_PARAMS) {
  putv(SA, 0, getv(get<uint32_t>(FP, ARG_LO(1)) ? SB : SC, 0));
  NEXT(words(2));
}
WAFER_CC void global_get128(WAFER_PARAMS) {
  std::memcpy(SA, CTX->instance->globals[ARG_LO(1)]->value, 16);
  NEXT(words(2));
}
WAFER_CC void global_set128(WAFER_PARAMS) {
  std::memcpy(CTX->instance->globals[ARG_LO(1)]->value, SA, 16);
  NEXT(words(2));
}

// ---- instances ------------------------------------------------------------

struct Instances {
  HandlerFn fns[3] = {};
};

template <Opcode OP>
constexpr Instances instances() {
  constexpr Shape kShape = shape_of(OP);
  if constexpr (kShape == Shape::Vector) {
    return {{vec<OP>}};
  } else if constexpr (kShape == Shape::VecLane) {
    return {{vec_lane<OP>}};
  } else if constexpr (kShape == Shape::VecLoad) {
    return {{vec_load<OP, kVecGuarded>, vec_load<OP, kVecChecked>, vec_load<OP, kVecFar>}};
  } else if constexpr (kShape == Shape::VecStore) {
    return {{vec_store<OP, kVecGuarded>, vec_store<OP, kVecChecked>, vec_store<OP, kVecFar>}};
  } else {
    return {};
  }
}

// Nobody reads it: it is for the instances, which the table of handlers refers to.
extern const Instances kVectorHandlers[];
const Instances kVectorHandlers[] = {
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) \
  WAFER_IF_BUILT(feature, instances<Opcode::id>(), )
#include "wasm/opcodes.def"
#undef WAFER_OP
};

}  // namespace wafer::interp::handlers

#endif
