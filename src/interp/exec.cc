// The interpreter's handlers and its dispatch loop.
#include "interp/exec.h"

#include <cstring>

#include "interp/atomics.h"
#include "interp/numeric.h"
#include "interp/run.h"
#include "interp/simd.h"
#include "runtime/continuation.h"

namespace wafer::interp {

namespace {

using runtime::GcArray;
using runtime::GcException;
using runtime::GcObject;
using runtime::Memory;
using wasm::HeapKind;
using wasm::HeapType;
using wasm::TypeKind;
using wasm::ValType;

// ---- operand access -------------------------------------------------------

template <class T>
WAFER_ALWAYS_INLINE T get(const Slot* fp, unsigned slot) {
  T v;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  std::memcpy(&v, reinterpret_cast<const uint8_t*>(fp + slot) + 8 - sizeof(T), sizeof(T));
#else
  std::memcpy(&v, fp + slot, sizeof(T));
#endif
  return v;
}
template <class T>
WAFER_ALWAYS_INLINE void put(Slot* fp, unsigned slot, T v) {
  if constexpr (std::is_same_v<T, float>) {
    fp[slot] = std::bit_cast<uint32_t>(v);
  } else if constexpr (std::is_same_v<T, double>) {
    fp[slot] = std::bit_cast<uint64_t>(v);
  } else {
    fp[slot] = v;
  }
}
template <class T>
WAFER_ALWAYS_INLINE T from_bits(Word w) {
  if constexpr (std::is_same_v<T, float>)
    return std::bit_cast<float>(uint32_t(w));
  else if constexpr (std::is_same_v<T, double>)
    return std::bit_cast<double>(w);
  else
    return T(w);
}

// The accumulator of type T.
#define GET_ACC(T)                                \
  ([&]() -> T {                                   \
    if constexpr (std::is_same_v<T, float>)       \
      return F32A;                                \
    else if constexpr (std::is_same_v<T, double>) \
      return F64A;                                \
    else                                          \
      return T(ACC);                              \
  }())
// Writes a result to its slot and accumulator.
#define PUT(T, v)                                 \
  do {                                            \
    const T put_v_ = (v);                         \
    put<T>(FP, FA, put_v_);                       \
    if constexpr (std::is_same_v<T, float>)       \
      F32A = put_v_;                              \
    else if constexpr (std::is_same_v<T, double>) \
      F64A = put_v_;                              \
    else                                          \
      ACC = put_v_;                               \
  } while (0)

// ---- plain numeric --------------------------------------------------------

template <Opcode OP, unsigned V>
WAFER_CC void bin(WAFER_PARAMS) {
  using S = Sem<OP>;
  using T = typename S::In;
  using R_ = typename S::Out;
  T a, b;
  if constexpr (V == kAS || V == kAI)
    a = GET_ACC(T);
  else
    a = get<T>(FP, FB);
  if constexpr (V == kSI || V == kAI)
    b = from_bits<T>(PC[1]);
  else if constexpr (V == kSA)
    b = GET_ACC(T);
  else
    b = get<T>(FP, FC);
  constexpr unsigned kLength = V >= kSI ? 2 : 1;
  if constexpr (S::kTraps) {
    R_ out;
    const TrapCode code = S::eval(a, b, out);
    if (WAFER_UNLIKELY(code != TrapCode::None)) TRAP(code);
    PUT(R_, out);
  } else {
    PUT(R_, S::eval(a, b));
  }
  NEXT(kLength);
}

template <Opcode OP, unsigned V>
WAFER_CC void un(WAFER_PARAMS) {
  using S = Sem<OP>;
  using T = typename S::In;
  using R_ = typename S::Out;
  T a;
  if constexpr (V == 1)
    a = GET_ACC(T);
  else
    a = get<T>(FP, FB);
  if constexpr (S::kTraps) {
    R_ out;
    const TrapCode code = S::eval(a, out);
    if (WAFER_UNLIKELY(code != TrapCode::None)) TRAP(code);
    PUT(R_, out);
  } else {
    PUT(R_, S::eval(a));
  }
  NEXT(1);
}

// Comparison fused with a branch: a,b are the operands' slots.
template <Opcode OP, unsigned V>
WAFER_CC void br_cmp(WAFER_PARAMS) {
  using T = typename Sem<OP>::In;
  T a, b;
  if constexpr (V == kAS || V == kAI)
    a = GET_ACC(T);
  else
    a = get<T>(FP, FA);
  if constexpr (V == kSI || V == kAI)
    b = T(int64_t(int32_t(HI(PC[1]))));
  else if constexpr (V == kSA)
    b = GET_ACC(T);
  else
    b = get<T>(FP, FB);
  if (Sem<OP>::eval(a, b)) NEXT(int32_t(LO(PC[1])));
  NEXT(2);
}
template <Opcode OP, bool IfTrue>
WAFER_CC void br_fcmp(WAFER_PARAMS) {
  using T = typename Sem<OP>::In;
  if (bool(Sem<OP>::eval(get<T>(FP, FA), get<T>(FP, FB))) == IfTrue) NEXT(int32_t(LO(PC[1])));
  NEXT(2);
}

template <Opcode OP>
WAFER_CC void wide(WAFER_PARAMS) {
  const uint64_t a = FP[FB], b = FP[FC];
  uint64_t lo, hi;
  if constexpr (OP == Opcode::I64MulWideU || OP == Opcode::I64MulWideS) {
    num::mul_wide_u(a, b, lo, hi);
    if constexpr (OP == Opcode::I64MulWideS) {
      if (int64_t(a) < 0) hi -= b;
      if (int64_t(b) < 0) hi -= a;
    }
  } else {
    const uint64_t c = FP[LO(PC[1])], d = FP[HI(PC[1])];
    if constexpr (OP == Opcode::I64Add128) {
      lo = a + c;
      hi = b + d + (lo < a);
    } else {
      lo = a - c;
      hi = b - d - (a < c);
    }
  }
  Slot* dst = FP + FA;
  dst[0] = lo;
  dst[1] = hi;
  NEXT(2);
}

// ---- linear memory --------------------------------------------------------

// What a scalar load or store moves: memory type and register type.
template <Opcode OP>
struct Access;
#define ACCESS(OP, M, REG)    \
  template <>                 \
  struct Access<Opcode::OP> { \
    using Mem = M;            \
    using Reg = REG;          \
  };
ACCESS(I32Load, uint32_t, uint32_t)
ACCESS(I64Load, uint64_t, uint64_t)
ACCESS(F32Load, float, float)
ACCESS(F64Load, double, double)
ACCESS(I32Load8S, int8_t, uint32_t)
ACCESS(I32Load8U, uint8_t, uint32_t)
ACCESS(I32Load16S, int16_t, uint32_t)
ACCESS(I32Load16U, uint16_t, uint32_t)
ACCESS(I64Load8S, int8_t, uint64_t)
ACCESS(I64Load8U, uint8_t, uint64_t)
ACCESS(I64Load16S, int16_t, uint64_t)
ACCESS(I64Load16U, uint16_t, uint64_t)
ACCESS(I64Load32S, int32_t, uint64_t)
ACCESS(I64Load32U, uint32_t, uint64_t)
ACCESS(I32Store, uint32_t, uint32_t)
ACCESS(I64Store, uint64_t, uint64_t)
ACCESS(F32Store, float, float)
ACCESS(F64Store, double, double)
ACCESS(I32Store8, uint8_t, uint32_t)
ACCESS(I32Store16, uint16_t, uint32_t)
ACCESS(I64Store8, uint8_t, uint64_t)
ACCESS(I64Store16, uint16_t, uint64_t)
ACCESS(I64Store32, uint32_t, uint64_t)
#undef ACCESS

// Another thread may have grown a shared memory since its size was cached.
WAFER_COLD bool refresh_memory(Activation* ctx, uint8_t*& mem, uint64_t end) {
  Memory* m = ctx->instance->memory0;
  mem = m->base;
  ctx->memory_size = m->size_bytes();
  return end <= ctx->memory_size;
}

#define CHECK_NEAR(ea, size)                                                              \
  do {                                                                                    \
    if (WAFER_UNLIKELY((ea) + (size) > CTX->memory_size)) {                               \
      uint8_t* fresh_ = nullptr;                                                          \
      if (!refresh_memory(CTX, fresh_, (ea) + (size))) TRAP(TrapCode::MemoryOutOfBounds); \
      MEM = fresh_;                                                                       \
    }                                                                                     \
  } while (0)

// [base + offset, +size) of memory `index`, or null.
WAFER_ALWAYS_INLINE uint8_t* far_address(Activation* ctx, uint32_t index, uint64_t base,
                                         uint64_t offset, uint64_t size) {
  Memory* m = ctx->instance->memories[index];
  const uint64_t ea = base + offset;
  const uint64_t limit = m->size_bytes();
  if (WAFER_UNLIKELY(ea < base || ea > limit || size > limit - ea)) return nullptr;
  return m->base + ea;
}

template <Opcode OP, unsigned V>
WAFER_CC void load(WAFER_PARAMS) {
  using M = typename Access<OP>::Mem;
  using T = typename Access<OP>::Reg;
  if constexpr (V == kLoadFar) {
    const uint8_t* p = far_address(CTX, LO(PC[1]), FP[FB], PC[2], sizeof(M));
    if (WAFER_UNLIKELY(!p)) TRAP(TrapCode::MemoryOutOfBounds);
    PUT(T, T(load_le<M>(p)));
    NEXT(3);
  } else {
    uint64_t ea;
    if constexpr (V == kLoadA || V == kLoadAChecked)
      ea = uint32_t(ACC);
    else
      ea = get<uint32_t>(FP, FB);
    ea += FC;
    if constexpr (V >= kLoadSChecked) CHECK_NEAR(ea, sizeof(M));
    PUT(T, T(load_le<M>(MEM + ea)));
    NEXT(1);
  }
}

template <Opcode OP, unsigned V>
WAFER_CC void store(WAFER_PARAMS) {
  using M = typename Access<OP>::Mem;
  using T = typename Access<OP>::Reg;
  if constexpr (V == kStoreFar) {
    uint8_t* p = far_address(CTX, LO(PC[1]), FP[FA], PC[2], sizeof(M));
    if (WAFER_UNLIKELY(!p)) TRAP(TrapCode::MemoryOutOfBounds);
    store_le<M>(p, M(get<T>(FP, FB)));
    NEXT(3);
  } else {
    constexpr unsigned kV = V % 4;
    uint64_t ea;
    if constexpr (kV == kStoreAS)
      ea = uint32_t(ACC);
    else
      ea = get<uint32_t>(FP, FA);
    ea += FC;
    T v;
    if constexpr (kV == kStoreSA)
      v = GET_ACC(T);
    else if constexpr (kV == kStoreSI)
      v = from_bits<T>(PC[1]);
    else
      v = get<T>(FP, FB);
    if constexpr (V >= kStoreSSChecked) CHECK_NEAR(ea, sizeof(M));
    store_le<M>(MEM + ea, M(v));
    NEXT(kV == kStoreSI ? 2 : 1);
  }
}

// ---- vectors --------------------------------------------------------------

WAFER_ALWAYS_INLINE Vec128 getv(const Slot* fp, unsigned slot) {
  Vec128 v;
  std::memcpy(&v, fp + slot, 16);
  return v;
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

template <Opcode OP>
WAFER_CC void vec(WAFER_PARAMS) {
  constexpr std::string_view kSig = kFacts[unsigned(OP)].sig;
  constexpr wasm::Imm kImm = kFacts[unsigned(OP)].imm;
  if constexpr (kImm == wasm::Imm::Shuffle) {
    putv(FP, FA,
         Simd<OP>::eval(getv(FP, FB), getv(FP, FC), reinterpret_cast<const uint8_t*>(PC + 1)));
    NEXT(3);
  } else if constexpr (kImm == wasm::Imm::Lane && kSig[1] == ':') {
    using T = typename SigType<kSig[2]>::T;
    PUT(T, Simd<OP>::eval(getv(FP, FB), LO(PC[1])));
    NEXT(2);
  } else if constexpr (kImm == wasm::Imm::Lane) {
    using T = typename SigType<kSig[1]>::T;
    putv(FP, FA, Simd<OP>::eval(getv(FP, FB), get<T>(FP, FC), LO(PC[1])));
    NEXT(2);
  } else if constexpr (kSig == "v:v") {
    putv(FP, FA, Simd<OP>::eval(getv(FP, FB)));
    NEXT(1);
  } else if constexpr (kSig == "vv:v") {
    putv(FP, FA, Simd<OP>::eval(getv(FP, FB), getv(FP, FC)));
    NEXT(1);
  } else if constexpr (kSig == "vi:v") {
    putv(FP, FA, Simd<OP>::eval(getv(FP, FB), get<uint32_t>(FP, FC)));
    NEXT(1);
  } else if constexpr (kSig == "vvv:v") {
    putv(FP, FA, Simd<OP>::eval(getv(FP, FB), getv(FP, FC), getv(FP, LO(PC[1]))));
    NEXT(2);
  } else if constexpr (kSig == "v:i") {
    PUT(uint32_t, Simd<OP>::eval(getv(FP, FB)));
    NEXT(1);
  } else {  // splat
    using T = typename SigType<kSig[0]>::T;
    putv(FP, FA, Simd<OP>::eval(get<T>(FP, FB)));
    NEXT(1);
  }
}

template <Opcode OP, unsigned V>
WAFER_CC void vec_load(WAFER_PARAMS) {
  constexpr unsigned kBytes = Simd<OP>::kBytes;
  if constexpr (V == 2) {
    const uint8_t* p = far_address(CTX, LO(PC[1]), FP[FB], PC[2], kBytes);
    if (WAFER_UNLIKELY(!p)) TRAP(TrapCode::MemoryOutOfBounds);
    putv(FP, FA, Simd<OP>::eval(p));
    NEXT(3);
  } else {
    const uint64_t ea = uint64_t(get<uint32_t>(FP, FB)) + FC;
    if constexpr (V == 1) CHECK_NEAR(ea, kBytes);
    putv(FP, FA, Simd<OP>::eval(MEM + ea));
    NEXT(1);
  }
}

template <Opcode OP, unsigned V>
WAFER_CC void vec_store(WAFER_PARAMS) {
  if constexpr (V == 2) {
    uint8_t* p = far_address(CTX, LO(PC[1]), FP[FA], PC[2], 16);
    if (WAFER_UNLIKELY(!p)) TRAP(TrapCode::MemoryOutOfBounds);
    std::memcpy(p, FP + FB, 16);
    NEXT(3);
  } else {
    const uint64_t ea = uint64_t(get<uint32_t>(FP, FA)) + FC;
    if constexpr (V == 1) CHECK_NEAR(ea, 16);
    std::memcpy(MEM + ea, FP + FB, 16);
    NEXT(1);
  }
}

template <Opcode OP>
WAFER_CC void vec_lane(WAFER_PARAMS) {
  constexpr unsigned kBytes = Simd<OP>::kBytes;
  uint8_t* p = far_address(CTX, LO(PC[1]), FP[FB], PC[2], kBytes);
  if (WAFER_UNLIKELY(!p)) TRAP(TrapCode::MemoryOutOfBounds);
  Vec128 v = getv(FP, FC);
  const unsigned at = HI(PC[1]) * kBytes;
  if constexpr (Simd<OP>::kIsLoad) {
    std::memcpy(reinterpret_cast<uint8_t*>(&v) + at, p, kBytes);
    putv(FP, FA, v);
  } else {
    std::memcpy(p, reinterpret_cast<const uint8_t*>(&v) + at, kBytes);
  }
  NEXT(3);
}

// ---- atomics --------------------------------------------------------------

template <Opcode OP>
WAFER_CC void atomic(WAFER_PARAMS) {
  using A = Atomic<OP>;
  uint8_t* p = far_address(CTX, LO(PC[1]), FP[FB], PC[2], A::kWidth);
  // Alignment is checked first: it does not depend on the memory's size.
  if (WAFER_UNLIKELY((FP[FB] + PC[2]) % A::kWidth)) TRAP(TrapCode::UnalignedAtomic);
  if (WAFER_UNLIKELY(!p)) TRAP(TrapCode::MemoryOutOfBounds);
  const uint64_t r = A::eval(p, FP[FC], FP[uint16_t(HI(PC[1]))]);
  if constexpr (A::kHasResult) FP[FA] = r;
  NEXT(3);
}

template <bool Is64>
WAFER_CC void atomic_wait(WAFER_PARAMS) {
  Memory* m = CTX->instance->memories[LO(PC[1])];
  const uint64_t ea = FP[FB] + PC[2];
  uint32_t result = 0;
  TrapCode code = TrapCode::MemoryOutOfBounds;
  if (ea >= FP[FB])
    code = m->atomic_wait(ea, FP[FC], Is64, int64_t(FP[LO(PC[3])]), result,
                          &CTX->store->interrupt_flag);
  if (WAFER_UNLIKELY(code != TrapCode::None)) TRAP(code);
  FP[FA] = result;
  NEXT(4);
}

WAFER_CC void atomic_notify(WAFER_PARAMS) {
  Memory* m = CTX->instance->memories[LO(PC[1])];
  const uint64_t ea = FP[FB] + PC[2];
  uint32_t woken = 0;
  TrapCode code = TrapCode::MemoryOutOfBounds;
  if (ea >= FP[FB]) code = m->atomic_notify(ea, uint32_t(FP[FC]), woken);
  if (WAFER_UNLIKELY(code != TrapCode::None)) TRAP(code);
  FP[FA] = woken;
  NEXT(3);
}

WAFER_CC void atomic_fence(WAFER_PARAMS) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  NEXT(1);
}

// ---- moves and control ----------------------------------------------------

WAFER_CC void exit_op(WAFER_PARAMS) {
  CTX->trap = TrapCode::None;
  STOP();
}
WAFER_CC void unreachable(WAFER_PARAMS) { TRAP(TrapCode::Unreachable); }
WAFER_CC void copy(WAFER_PARAMS) {
  ACC = FP[FB];
  FP[FA] = ACC;
  NEXT(1);
}
WAFER_CC void copy_a(WAFER_PARAMS) {
  FP[FA] = ACC;
  NEXT(1);
}
WAFER_CC void copy128(WAFER_PARAMS) {
  putv(FP, FA, getv(FP, FB));
  NEXT(1);
}
WAFER_CC void const64(WAFER_PARAMS) {
  ACC = PC[1];
  FP[FA] = ACC;
  NEXT(2);
}
WAFER_CC void const128(WAFER_PARAMS) {
  FP[FA] = PC[1];
  FP[FA + 1] = PC[2];
  NEXT(3);
}
WAFER_CC void br(WAFER_PARAMS) { NEXT(int32_t(LO(PC[1]))); }
template <bool IfTrue, bool FromAcc>
WAFER_CC void br_if(WAFER_PARAMS) {
  const uint32_t c = FromAcc ? uint32_t(ACC) : get<uint32_t>(FP, FA);
  if ((c != 0) == IfTrue) NEXT(int32_t(LO(PC[1])));
  NEXT(2);
}
template <bool IfTrue>
WAFER_CC void br_if64(WAFER_PARAMS) {
  if ((FP[FA] != 0) == IfTrue) NEXT(int32_t(LO(PC[1])));
  NEXT(2);
}
WAFER_CC void br_table(WAFER_PARAMS) {
  uint32_t i = get<uint32_t>(FP, FA);
  const uint32_t count = LO(PC[1]);
  if (i > count) i = count;
  NEXT(int32_t(LO(PC[2 + i])));
}
template <bool FromAcc>
WAFER_CC void select(WAFER_PARAMS) {
  const uint32_t c = FromAcc ? uint32_t(ACC) : get<uint32_t>(FP, LO(PC[1]));
  const uint64_t a = FP[FB], b = FP[FC];
  ACC = c ? a : b;
  FP[FA] = ACC;
  NEXT(2);
}
WAFER_CC void select128(WAFER_PARAMS) {
  putv(FP, FA, getv(FP, get<uint32_t>(FP, LO(PC[1])) ? FB : FC));
  NEXT(2);
}

// Points MEM and the cached size at the current instance's memory 0.
#define RELOAD_MEMORY()                    \
  do {                                     \
    Memory* m_ = CTX->instance->memory0;   \
    if (m_) {                              \
      MEM = m_->base;                      \
      CTX->memory_size = m_->size_bytes(); \
    }                                      \
  } while (0)

#define DO_RETURN()                                              \
  do {                                                           \
    const Slot* link_ = FP + FA;                                 \
    Instance* instance_ = reinterpret_cast<Instance*>(link_[2]); \
    PC = reinterpret_cast<const Word*>(link_[0]);                \
    FP = reinterpret_cast<Slot*>(link_[1]);                      \
    if (WAFER_UNLIKELY(instance_ != CTX->instance)) {            \
      CTX->instance = instance_;                                 \
      RELOAD_MEMORY();                                           \
    }                                                            \
    DISPATCH();                                                  \
  } while (0)

WAFER_CC void return0(WAFER_PARAMS) { DO_RETURN(); }
WAFER_CC void return1s(WAFER_PARAMS) {
  const Slot v = FP[FB];
  // The link lies above every result, so writing slot 0 leaves it alone.
  FP[0] = v;
  DO_RETURN();
}
WAFER_CC void return1a(WAFER_PARAMS) {
  FP[0] = ACC;
  DO_RETURN();
}

// Starts `F` in a frame at NFP that returns to RET in the present frame.
#define ENTER(F, NFP, RET)                                                                    \
  do {                                                                                        \
    FuncCode* f_ = (F);                                                                       \
    Slot* nfp_ = (NFP);                                                                       \
    const Word* ret_ = (RET);                                                                 \
    const Word* entry_ = f_->entry.load(std::memory_order_acquire);                           \
    if (WAFER_UNLIKELY(!entry_)) {                                                            \
      if (!ensure(*CTX->store, *f_)) TRAP(translation_failed(CTX, *f_));                      \
      entry_ = f_->entry.load(std::memory_order_acquire);                                     \
    }                                                                                         \
    if (WAFER_UNLIKELY(nfp_ + f_->frame_slots > CTX->stack_limit))                            \
      TRAP(TrapCode::CallStackExhausted);                                                     \
    Slot* link_ = nfp_ + f_->link;                                                            \
    link_[0] = reinterpret_cast<uintptr_t>(ret_);                                             \
    link_[1] = reinterpret_cast<uintptr_t>(FP);                                               \
    link_[2] = reinterpret_cast<uintptr_t>(CTX->instance);                                    \
    for (unsigned i_ = f_->zero_begin, e_ = i_ + f_->zero_count; i_ < e_; ++i_) nfp_[i_] = 0; \
    FP = nfp_;                                                                                \
    PC = entry_;                                                                              \
  } while (0)

WAFER_CC void call(WAFER_PARAMS) {
  auto* mcode = static_cast<ModuleCodeImpl*>(CTX->instance->code.get());
  ENTER(&mcode->funcs[HI(*PC)], FP + FA, PC + 2);
  DISPATCH();
}

// Calls FUNC with its arguments at ARGS; RET is the word after the instruction.
#define CALL_FUNC(FUNC, ARGS, RET)                           \
  do {                                                       \
    FuncInst* func_ = (FUNC);                                \
    Slot* args_ = (ARGS);                                    \
    const Word* next_ = (RET);                               \
    if (WAFER_LIKELY(func_->call == &call_from_native)) {    \
      FuncCode* code_ = static_cast<FuncCode*>(func_->code); \
      Instance* target_ = func_->instance;                   \
      ENTER(code_, args_, next_);                            \
      if (target_ != CTX->instance) {                        \
        CTX->instance = target_;                             \
        RELOAD_MEMORY();                                     \
      }                                                      \
      DISPATCH();                                            \
    }                                                        \
    CTX->pc = next_;                                         \
    CTX->fp = FP;                                            \
    const TrapCode host_ = call_out(*CTX, func_, args_);     \
    if (WAFER_UNLIKELY(host_ != TrapCode::None)) {           \
      if (host_ == TrapCode::UncaughtException) {            \
        if (!unwind_pending(*CTX)) STOP();                   \
        RESUME();                                            \
      }                                                      \
      CTX->trap = host_;                                     \
      STOP();                                                \
    }                                                        \
    RELOAD_MEMORY();                                         \
    PC = next_;                                              \
    DISPATCH();                                              \
  } while (0)

// Goes on where the unwinder has put the activation.
#define RESUME()     \
  do {               \
    PC = CTX->pc;    \
    FP = CTX->fp;    \
    RELOAD_MEMORY(); \
    DISPATCH();      \
  } while (0)

WAFER_CC void call_import(WAFER_PARAMS) {
  CALL_FUNC(CTX->instance->funcs[HI(*PC)], FP + FA, PC + 2);
}

// The function that call_indirect means, or a trap.
WAFER_ALWAYS_INLINE TrapCode resolve_indirect(Activation* ctx, uint32_t table, uint32_t type,
                                              uint64_t index, FuncInst*& out) {
  const runtime::Table* t = ctx->instance->tables[table];
  if (WAFER_UNLIKELY(index >= t->size)) return TrapCode::UndefinedElement;
  FuncInst* f = reinterpret_cast<FuncInst*>(t->elements[index]);
  if (WAFER_UNLIKELY(!f)) return TrapCode::UninitializedElement;
  if (WAFER_UNLIKELY(f->type->id != type) && !ctx->store->registry().is_subtype(f->type->id, type))
    return TrapCode::IndirectTypeMismatch;
  out = f;
  return TrapCode::None;
}

WAFER_CC void call_indirect(WAFER_PARAMS) {
  FuncInst* f;
  const TrapCode code = resolve_indirect(CTX, LO(PC[1]), HI(PC[1]), FP[FB], f);
  if (WAFER_UNLIKELY(code != TrapCode::None)) TRAP(indirect_failed(*CTX, code, FP[FB]));
  CALL_FUNC(f, FP + FA, PC + 3);
}

WAFER_CC void call_ref(WAFER_PARAMS) {
  FuncInst* f = reinterpret_cast<FuncInst*>(FP[FB]);
  if (WAFER_UNLIKELY(!f)) TRAP(TrapCode::NullFunctionReference);
  CALL_FUNC(f, FP + FA, PC + 2);
}

// Tail call: the callee's frame replaces this one, whose link (at LINK) it takes.
#define TAIL_CALL(FUNC, ARGS, LINK, RET)                                            \
  do {                                                                              \
    FuncInst* func_ = (FUNC);                                                       \
    Slot* args_ = (ARGS);                                                           \
    const Slot* old_ = FP + (LINK);                                                 \
    const Slot ret_pc_ = old_[0], caller_ = old_[1], instance_ = old_[2];           \
    if (func_->call == &call_from_native) {                                         \
      FuncCode* f_ = static_cast<FuncCode*>(func_->code);                           \
      const Word* entry_ = f_->entry.load(std::memory_order_acquire);               \
      if (WAFER_UNLIKELY(!entry_)) {                                                \
        if (!ensure(*CTX->store, *f_)) TRAP(translation_failed(CTX, *f_));          \
        entry_ = f_->entry.load(std::memory_order_acquire);                         \
      }                                                                             \
      if (WAFER_UNLIKELY(FP + f_->frame_slots > CTX->stack_limit))                  \
        TRAP(TrapCode::CallStackExhausted);                                         \
      std::memmove(FP, args_, f_->param_slots * sizeof(Slot));                      \
      Slot* link_ = FP + f_->link;                                                  \
      for (unsigned i_ = 0; i_ < f_->zero_count; ++i_) FP[f_->zero_begin + i_] = 0; \
      link_[0] = ret_pc_;                                                           \
      link_[1] = caller_;                                                           \
      link_[2] = instance_;                                                         \
      PC = entry_;                                                                  \
      if (func_->instance != CTX->instance) {                                       \
        CTX->instance = func_->instance;                                            \
        RELOAD_MEMORY();                                                            \
      }                                                                             \
      DISPATCH();                                                                   \
    }                                                                               \
    CTX->pc = (RET);                                                                \
    CTX->fp = FP;                                                                   \
    const TrapCode host_ = call_out(*CTX, func_, args_);                            \
    if (WAFER_UNLIKELY(host_ != TrapCode::None)) {                                  \
      if (host_ == TrapCode::UncaughtException) {                                   \
        /* the tail-calling frame is gone: its handlers do not count */             \
        if (!leave_frame_and_unwind(*CTX, ret_pc_, caller_, instance_)) STOP();     \
        RESUME();                                                                   \
      }                                                                             \
      CTX->trap = host_;                                                            \
      STOP();                                                                       \
    }                                                                               \
    std::memmove(FP, args_, func_->type->result_slots * sizeof(Slot));              \
    CTX->instance = reinterpret_cast<Instance*>(instance_);                         \
    PC = reinterpret_cast<const Word*>(ret_pc_);                                    \
    FP = reinterpret_cast<Slot*>(caller_);                                          \
    RELOAD_MEMORY();                                                                \
    DISPATCH();                                                                     \
  } while (0)

WAFER_CC void return_call(WAFER_PARAMS) {
  TAIL_CALL(CTX->instance->funcs[LO(PC[1])], FP + FA, FB, PC + 3);
}
WAFER_CC void return_call_indirect(WAFER_PARAMS) {
  FuncInst* f;
  const TrapCode code = resolve_indirect(CTX, LO(PC[1]), HI(PC[1]), FP[FB], f);
  if (WAFER_UNLIKELY(code != TrapCode::None)) TRAP(indirect_failed(*CTX, code, FP[FB]));
  TAIL_CALL(f, FP + FA, FC, PC + 4);
}
WAFER_CC void return_call_ref(WAFER_PARAMS) {
  FuncInst* f = reinterpret_cast<FuncInst*>(FP[FB]);
  if (WAFER_UNLIKELY(!f)) TRAP(TrapCode::NullFunctionReference);
  TAIL_CALL(f, FP + FA, FC, PC + 2);
}

WAFER_CC void fuel(WAFER_PARAMS) {
  CTX->store->fuel -= int64_t(PC[1]);
  if (WAFER_UNLIKELY(CTX->store->fuel < 0)) {
    CTX->pc = PC + 3;
    CTX->fp = FP;
    if (!runtime::wait_for_fuel(*CTX->store)) TRAP(TrapCode::OutOfFuel);
    RELOAD_MEMORY();
  }
  NEXT(3);
}
WAFER_CC void poll(WAFER_PARAMS) {
  if (WAFER_UNLIKELY(CTX->store->interrupt_flag.load(std::memory_order_relaxed))) {
    CTX->pc = PC + 2;
    CTX->fp = FP;
    if (!runtime::wait_for_interrupt(*CTX->store)) TRAP(TrapCode::Interrupted);
    RELOAD_MEMORY();
  }
  NEXT(2);
}

// ---- stack switching ------------------------------------------------------

// After a switch of stacks: goes on, or as the code says.
#define AFTER_SWITCH(code)                         \
  do {                                             \
    const TrapCode code_ = (code);                 \
    if (WAFER_UNLIKELY(code_ != TrapCode::None)) { \
      if (code_ == TrapCode::UncaughtException) {  \
        if (!unwind_pending(*CTX)) STOP();         \
        RESUME();                                  \
      }                                            \
      CTX->trap = code_;                           \
      STOP();                                      \
    }                                              \
  } while (0)

WAFER_CC void cont_new(WAFER_PARAMS) {
  auto* func = reinterpret_cast<FuncInst*>(FP[FA]);
  if (WAFER_UNLIKELY(!func)) TRAP(TrapCode::NullFunctionReference);
  CTX->pc = PC + 2;
  CTX->fp = FP;
  const TrapCode code = runtime::new_continuation(*CTX->store, func, FP[FA]);
  if (WAFER_UNLIKELY(code != TrapCode::None)) TRAP(code);
  NEXT(2);
}
WAFER_CC void cont_bind(WAFER_PARAMS) {
  Slot* const args = FP + FA;
  CTX->pc = PC + 2;
  CTX->fp = FP;
  runtime::Ref bound;
  const TrapCode code =
      runtime::bind_continuation(*CTX->store, args[FB], {args, size_t(FB)}, bound);
  if (WAFER_UNLIKELY(code != TrapCode::None)) TRAP(code);
  args[0] = bound;
  NEXT(2);
}
WAFER_CC void suspend(WAFER_PARAMS) {
  Slot* const args = FP + FA;
  CTX->pc = PC + 3;
  CTX->fp = FP;
  std::span<const Slot> values;
  const TrapCode code =
      runtime::suspend(*CTX->store, CTX->instance->tags[PC[1]], {args, size_t(FB)}, values);
  AFTER_SWITCH(code);
  if (!values.empty()) std::memcpy(args, values.data(), values.size_bytes());
  RELOAD_MEMORY();
  NEXT(3);
}
WAFER_CC void switch_op(WAFER_PARAMS) {
  Slot* const args = FP + FA;
  CTX->pc = PC + 3;
  CTX->fp = FP;
  std::span<const Slot> values;
  const TrapCode code = runtime::switch_to(*CTX->store, CTX->instance->tags[PC[1]], args[FB],
                                           {args, size_t(FB)}, values);
  AFTER_SWITCH(code);
  if (!values.empty()) std::memcpy(args, values.data(), values.size_bytes());
  RELOAD_MEMORY();
  NEXT(3);
}
WAFER_CC void resume(WAFER_PARAMS) {
  CTX->pc = PC + 4;
  CTX->fp = FP;
  bool branch = false;
  const TrapCode code =
      resume_here(*CTX, FA, FB, FC, LO(PC[1]), HI(PC[1]), uint32_t(PC[2]), branch);
  AFTER_SWITCH(code);
  if (branch) RESUME();
  RELOAD_MEMORY();
  NEXT(4);
}

// ---- exceptions -----------------------------------------------------------

WAFER_CC void throw_op(WAFER_PARAMS) {
  CTX->pc = PC + 3;
  CTX->fp = FP;
  runtime::TagInst* tag = CTX->instance->tags[LO(PC[1])];
  GcException* e = CTX->store->gc().new_exception(tag);
  if (WAFER_UNLIKELY(!e)) TRAP(TrapCode::OutOfMemory);
  std::memcpy(e->args(), FP + FA, tag->type->param_slots * sizeof(Slot));
  if (!unwind(*CTX, reinterpret_cast<Ref>(e))) STOP();
  RESUME();
}
WAFER_CC void throw_ref(WAFER_PARAMS) {
  const Ref e = FP[FA];
  if (WAFER_UNLIKELY(!e)) TRAP(TrapCode::NullExceptionReference);
  CTX->pc = PC + 2;
  CTX->fp = FP;
  if (!unwind(*CTX, e)) STOP();
  RESUME();
}

// ---- globals, memories, tables --------------------------------------------

WAFER_CC void global_get(WAFER_PARAMS) {
  ACC = CTX->instance->globals[LO(PC[1])]->value[0];
  FP[FA] = ACC;
  NEXT(2);
}
WAFER_CC void global_set(WAFER_PARAMS) {
  CTX->instance->globals[LO(PC[1])]->value[0] = FP[FA];
  NEXT(2);
}
WAFER_CC void global_get128(WAFER_PARAMS) {
  std::memcpy(FP + FA, CTX->instance->globals[LO(PC[1])]->value, 16);
  NEXT(2);
}
WAFER_CC void global_set128(WAFER_PARAMS) {
  std::memcpy(CTX->instance->globals[LO(PC[1])]->value, FP + FA, 16);
  NEXT(2);
}
WAFER_CC void memory_size(WAFER_PARAMS) {
  FP[FA] = CTX->instance->memories[LO(PC[1])]->pages();
  NEXT(2);
}
WAFER_CC void memory_grow(WAFER_PARAMS) {
  const uint64_t r = CTX->instance->memories[LO(PC[1])]->grow(FP[FB]);
  FP[FA] = HI(PC[1]) ? r : uint32_t(r);
  RELOAD_MEMORY();
  NEXT(2);
}
WAFER_CC void memory_fill(WAFER_PARAMS) {
  const TrapCode c = CTX->instance->memories[LO(PC[1])]->fill(FP[FA], uint8_t(FP[FB]), FP[FC]);
  if (WAFER_UNLIKELY(c != TrapCode::None)) TRAP(c);
  NEXT(2);
}
WAFER_CC void memory_copy(WAFER_PARAMS) {
  Instance* i = CTX->instance;
  const TrapCode c =
      Memory::copy(*i->memories[LO(PC[1])], FP[FA], *i->memories[HI(PC[1])], FP[FB], FP[FC]);
  if (WAFER_UNLIKELY(c != TrapCode::None)) TRAP(c);
  NEXT(2);
}
WAFER_CC void memory_init(WAFER_PARAMS) {
  Instance* i = CTX->instance;
  const TrapCode c = i->memories[LO(PC[1])]->init(FP[FA], i->data(HI(PC[1])), FP[FB], FP[FC]);
  if (WAFER_UNLIKELY(c != TrapCode::None)) TRAP(c);
  NEXT(2);
}
WAFER_CC void data_drop(WAFER_PARAMS) {
  CTX->instance->data_dropped[LO(PC[1])] = true;
  NEXT(2);
}
WAFER_CC void table_get(WAFER_PARAMS) {
  const runtime::Table* t = CTX->instance->tables[LO(PC[1])];
  const uint64_t i = FP[FB];
  if (WAFER_UNLIKELY(i >= t->size)) TRAP(TrapCode::TableOutOfBounds);
  FP[FA] = t->elements[i];
  NEXT(2);
}
WAFER_CC void table_set(WAFER_PARAMS) {
  runtime::Table* t = CTX->instance->tables[LO(PC[1])];
  const uint64_t i = FP[FA];
  if (WAFER_UNLIKELY(i >= t->size)) TRAP(TrapCode::TableOutOfBounds);
  t->elements[i] = FP[FB];
  NEXT(2);
}
WAFER_CC void table_size(WAFER_PARAMS) {
  FP[FA] = CTX->instance->tables[LO(PC[1])]->size;
  NEXT(2);
}
WAFER_CC void table_grow(WAFER_PARAMS) {
  const uint64_t r = CTX->instance->tables[LO(PC[1])]->grow(FP[FC], FP[FB]);
  FP[FA] = HI(PC[1]) ? r : uint32_t(r);
  NEXT(2);
}
WAFER_CC void table_fill(WAFER_PARAMS) {
  const TrapCode c = CTX->instance->tables[LO(PC[1])]->fill(FP[FA], FP[FB], FP[FC]);
  if (WAFER_UNLIKELY(c != TrapCode::None)) TRAP(c);
  NEXT(2);
}
WAFER_CC void table_copy(WAFER_PARAMS) {
  Instance* i = CTX->instance;
  const TrapCode c =
      runtime::Table::copy(*i->tables[LO(PC[1])], FP[FA], *i->tables[HI(PC[1])], FP[FB], FP[FC]);
  if (WAFER_UNLIKELY(c != TrapCode::None)) TRAP(c);
  NEXT(2);
}
WAFER_CC void table_init(WAFER_PARAMS) {
  Instance* i = CTX->instance;
  const TrapCode c = i->tables[LO(PC[1])]->init(FP[FA], i->elems[HI(PC[1])], FP[FB], FP[FC]);
  if (WAFER_UNLIKELY(c != TrapCode::None)) TRAP(c);
  NEXT(2);
}
WAFER_CC void elem_drop(WAFER_PARAMS) {
  Vec<Ref>().swap(CTX->instance->elems[LO(PC[1])]);
  NEXT(2);
}

// ---- references and GC ----------------------------------------------------

WAFER_CC void ref_func(WAFER_PARAMS) {
  FP[FA] = reinterpret_cast<Ref>(CTX->instance->funcs[LO(PC[1])]);
  NEXT(2);
}
WAFER_CC void ref_is_null(WAFER_PARAMS) {
  ACC = FP[FB] == 0;
  FP[FA] = ACC;
  NEXT(1);
}
WAFER_CC void ref_as_non_null(WAFER_PARAMS) {
  if (WAFER_UNLIKELY(FP[FB] == 0)) TRAP(TrapCode::NullReference);
  NEXT(1);
}
WAFER_CC void ref_eq(WAFER_PARAMS) {
  FP[FA] = FP[FB] == FP[FC];
  NEXT(1);
}
WAFER_ALWAYS_INLINE bool matches(Activation* ctx, Ref r, bool nullable, Word heap) {
  if (!r) return nullable;
  return runtime::ref_matches(ctx->store->registry(), r, HeapType::from_bits(uint32_t(heap)));
}
WAFER_CC void check_descriptor(WAFER_PARAMS) {
  if (WAFER_UNLIKELY(FP[FB] == 0)) TRAP(TrapCode::NullDescriptor);
  NEXT(1);
}
WAFER_CC void ref_test_desc(WAFER_PARAMS) {
  const Ref r = FP[FB], descriptor = FP[FC];
  if (WAFER_UNLIKELY(!descriptor)) TRAP(TrapCode::NullDescriptor);
  FP[FA] = r ? runtime::descriptor_of(r) == descriptor : PC[1];
  NEXT(2);
}
WAFER_CC void ref_cast_desc(WAFER_PARAMS) {
  const Ref r = FP[FB], descriptor = FP[FC];
  if (WAFER_UNLIKELY(!descriptor)) TRAP(TrapCode::NullDescriptor);
  if (WAFER_UNLIKELY(r ? runtime::descriptor_of(r) != descriptor : !PC[1]))
    TRAP(TrapCode::DescriptorCastFailure);
  FP[FA] = r;
  NEXT(2);
}
WAFER_CC void ref_test(WAFER_PARAMS) {
  FP[FA] = matches(CTX, FP[FB], FC, PC[1]);
  NEXT(2);
}
WAFER_CC void ref_cast(WAFER_PARAMS) {
  const Ref r = FP[FB];
  if (WAFER_UNLIKELY(!matches(CTX, r, FC, PC[1]))) TRAP(TrapCode::CastFailure);
  FP[FA] = r;
  NEXT(2);
}
WAFER_CC void ref_i31(WAFER_PARAMS) {
  FP[FA] = runtime::make_i31(uint32_t(FP[FB]));
  NEXT(1);
}
template <bool Signed>
WAFER_CC void i31_get(WAFER_PARAMS) {
  const Ref r = FP[FB];
  if (WAFER_UNLIKELY(!r)) TRAP(TrapCode::NullI31Reference);
  FP[FA] = Signed ? uint32_t(runtime::i31_get_s(r)) : runtime::i31_get_u(r);
  NEXT(1);
}

WAFER_CC void struct_new(WAFER_PARAMS) {
  CTX->pc = PC + 3;
  CTX->fp = FP;
  const auto* type = reinterpret_cast<const wasm::CanonType*>(uintptr_t(PC[1]));
  GcObject* o = CTX->store->gc().new_struct(type);
  if (WAFER_UNLIKELY(!o)) TRAP(TrapCode::OutOfMemory);
  const Slot* s = FP + FB;
  for (size_t i = 0; i < type->fields.size(); ++i) {
    const ValType t = type->fields[i].storage;
    store_storage(t, o->payload() + type->field_offsets[i], s);
    s += slot_count(t);
  }
  if (type->has_descriptor()) std::memcpy(o->payload() + type->descriptor_offset, s, sizeof(Ref));
  FP[FA] = reinterpret_cast<Ref>(o);
  NEXT(3);
}
WAFER_CC void struct_new_default(WAFER_PARAMS) {
  CTX->pc = PC + 3;
  CTX->fp = FP;
  const auto* type = reinterpret_cast<const wasm::CanonType*>(uintptr_t(PC[1]));
  GcObject* o = CTX->store->gc().new_struct(type);
  if (WAFER_UNLIKELY(!o)) TRAP(TrapCode::OutOfMemory);
  if (type->has_descriptor())
    std::memcpy(o->payload() + type->descriptor_offset, FP + FB, sizeof(Ref));
  FP[FA] = reinterpret_cast<Ref>(o);
  NEXT(3);
}
template <class M, class T>
WAFER_CC void struct_get(WAFER_PARAMS) {
  GcObject* o = reinterpret_cast<GcObject*>(FP[FB]);
  if (WAFER_UNLIKELY(!o)) TRAP(TrapCode::NullStructReference);
  M v;
  std::memcpy(&v, o->payload() + PC[1], sizeof(M));
  FP[FA] = T(v);
  NEXT(2);
}
WAFER_CC void struct_get128(WAFER_PARAMS) {
  GcObject* o = reinterpret_cast<GcObject*>(FP[FB]);
  if (WAFER_UNLIKELY(!o)) TRAP(TrapCode::NullStructReference);
  std::memcpy(FP + FA, o->payload() + PC[1], 16);
  NEXT(2);
}
template <unsigned Bytes>
WAFER_CC void struct_set(WAFER_PARAMS) {
  GcObject* o = reinterpret_cast<GcObject*>(FP[FA]);
  if (WAFER_UNLIKELY(!o)) TRAP(TrapCode::NullStructReference);
  std::memcpy(o->payload() + PC[1], FP + FB, Bytes);
  NEXT(2);
}

// A new array, or null with the activation's trap set.
WAFER_NOINLINE GcArray* make_array(Activation* ctx, const wasm::CanonType* type, uint64_t length,
                                   const Word* next, Slot* fp) {
  ctx->pc = next;
  ctx->fp = fp;
  GcArray* a = ctx->store->gc().new_array(type, length);
  if (!a) {
    ctx->trap = length > (uint64_t(1) << 30) / (type->element_size ? type->element_size : 1)
                    ? TrapCode::AllocationTooLarge
                    : TrapCode::OutOfMemory;
  }
  return a;
}
#define TYPE_WORD (reinterpret_cast<const wasm::CanonType*>(uintptr_t(PC[1])))

WAFER_CC void array_new(WAFER_PARAMS) {
  const auto* type = TYPE_WORD;
  const uint64_t n = uint32_t(FP[FC]);
  GcArray* a = make_array(CTX, type, n, PC + 3, FP);
  if (WAFER_UNLIKELY(!a)) STOP();
  fill_array(a, 0, n, FP + FB);
  FP[FA] = reinterpret_cast<Ref>(a);
  NEXT(3);
}
WAFER_CC void array_new_default(WAFER_PARAMS) {
  GcArray* a = make_array(CTX, TYPE_WORD, uint32_t(FP[FC]), PC + 3, FP);
  if (WAFER_UNLIKELY(!a)) STOP();
  FP[FA] = reinterpret_cast<Ref>(a);
  NEXT(3);
}
WAFER_CC void array_new_fixed(WAFER_PARAMS) {
  const auto* type = TYPE_WORD;
  const uint64_t n = PC[2];
  GcArray* a = make_array(CTX, type, n, PC + 4, FP);
  if (WAFER_UNLIKELY(!a)) STOP();
  const ValType t = type->fields[0].storage;
  const Slot* s = FP + FB;
  for (uint64_t i = 0; i < n; ++i, s += slot_count(t))
    store_storage(t, a->elements() + i * type->element_size, s);
  FP[FA] = reinterpret_cast<Ref>(a);
  NEXT(4);
}
WAFER_CC void array_new_data(WAFER_PARAMS) {
  const auto* type = TYPE_WORD;
  const uint64_t at = uint32_t(FP[FB]), n = uint32_t(FP[FC]);
  const Bytes data = CTX->instance->data(LO(PC[2]));
  const uint64_t bytes = n * type->element_size;
  if (WAFER_UNLIKELY(at > data.size() || bytes > data.size() - at))
    TRAP(TrapCode::MemoryOutOfBounds);
  GcArray* a = make_array(CTX, type, n, PC + 4, FP);
  if (WAFER_UNLIKELY(!a)) STOP();
  if (bytes) std::memcpy(a->elements(), data.data() + at, bytes);
  FP[FA] = reinterpret_cast<Ref>(a);
  NEXT(4);
}
WAFER_CC void array_new_elem(WAFER_PARAMS) {
  const uint64_t at = uint32_t(FP[FB]), n = uint32_t(FP[FC]);
  const Vec<Ref>& items = CTX->instance->elems[LO(PC[2])];
  if (WAFER_UNLIKELY(at > items.size() || n > items.size() - at)) TRAP(TrapCode::TableOutOfBounds);
  GcArray* a = make_array(CTX, TYPE_WORD, n, PC + 4, FP);
  if (WAFER_UNLIKELY(!a)) STOP();
  if (n) std::memcpy(a->elements(), items.data() + at, n * sizeof(Ref));
  FP[FA] = reinterpret_cast<Ref>(a);
  NEXT(4);
}
template <class M, class T>
WAFER_CC void array_get(WAFER_PARAMS) {
  GcArray* a = reinterpret_cast<GcArray*>(FP[FB]);
  if (WAFER_UNLIKELY(!a)) TRAP(TrapCode::NullArrayReference);
  const uint32_t i = uint32_t(FP[FC]);
  if (WAFER_UNLIKELY(i >= a->length)) TRAP(TrapCode::ArrayOutOfBounds);
  M v;
  std::memcpy(&v, a->elements() + i * sizeof(M), sizeof(M));
  FP[FA] = T(v);
  NEXT(1);
}
WAFER_CC void array_get128(WAFER_PARAMS) {
  GcArray* a = reinterpret_cast<GcArray*>(FP[FB]);
  if (WAFER_UNLIKELY(!a)) TRAP(TrapCode::NullArrayReference);
  const uint32_t i = uint32_t(FP[FC]);
  if (WAFER_UNLIKELY(i >= a->length)) TRAP(TrapCode::ArrayOutOfBounds);
  std::memcpy(FP + FA, a->elements() + size_t(i) * 16, 16);
  NEXT(1);
}
template <unsigned Bytes>
WAFER_CC void array_set(WAFER_PARAMS) {
  GcArray* a = reinterpret_cast<GcArray*>(FP[FA]);
  if (WAFER_UNLIKELY(!a)) TRAP(TrapCode::NullArrayReference);
  const uint32_t i = uint32_t(FP[FB]);
  if (WAFER_UNLIKELY(i >= a->length)) TRAP(TrapCode::ArrayOutOfBounds);
  std::memcpy(a->elements() + size_t(i) * Bytes, FP + FC, Bytes);
  NEXT(1);
}
WAFER_CC void array_len(WAFER_PARAMS) {
  GcArray* a = reinterpret_cast<GcArray*>(FP[FB]);
  if (WAFER_UNLIKELY(!a)) TRAP(TrapCode::NullArrayReference);
  FP[FA] = a->length;
  NEXT(1);
}
WAFER_CC void array_fill(WAFER_PARAMS) {
  GcArray* a = reinterpret_cast<GcArray*>(FP[FA]);
  if (WAFER_UNLIKELY(!a)) TRAP(TrapCode::NullArrayReference);
  const uint64_t at = uint32_t(FP[FB]), n = uint32_t(FP[LO(PC[1])]);
  if (WAFER_UNLIKELY(at > a->length || n > a->length - at)) TRAP(TrapCode::ArrayOutOfBounds);
  fill_array(a, at, n, FP + FC);
  NEXT(2);
}
WAFER_CC void array_copy(WAFER_PARAMS) {
  GcArray* to = reinterpret_cast<GcArray*>(FP[FA]);
  GcArray* from = reinterpret_cast<GcArray*>(FP[FC]);
  if (WAFER_UNLIKELY(!to || !from)) TRAP(TrapCode::NullArrayReference);
  const uint64_t at = uint32_t(FP[FB]), src = uint32_t(FP[LO(PC[1])]), n = uint32_t(FP[HI(PC[1])]);
  if (WAFER_UNLIKELY(at > to->length || n > to->length - at || src > from->length ||
                     n > from->length - src))
    TRAP(TrapCode::ArrayOutOfBounds);
  const size_t size = to->type->element_size;
  std::memmove(to->elements() + at * size, from->elements() + src * size, n * size);
  NEXT(2);
}
WAFER_CC void array_init_data(WAFER_PARAMS) {
  GcArray* a = reinterpret_cast<GcArray*>(FP[FA]);
  if (WAFER_UNLIKELY(!a)) TRAP(TrapCode::NullArrayReference);
  const uint64_t at = uint32_t(FP[FB]), src = uint32_t(FP[FC]), n = uint32_t(FP[LO(PC[1])]);
  if (WAFER_UNLIKELY(at > a->length || n > a->length - at)) TRAP(TrapCode::ArrayOutOfBounds);
  const Bytes data = CTX->instance->data(HI(PC[1]));
  const size_t size = a->type->element_size;
  if (WAFER_UNLIKELY(src > data.size() || n * size > data.size() - src))
    TRAP(TrapCode::MemoryOutOfBounds);
  if (n) std::memcpy(a->elements() + at * size, data.data() + src, n * size);
  NEXT(2);
}
WAFER_CC void array_init_elem(WAFER_PARAMS) {
  GcArray* a = reinterpret_cast<GcArray*>(FP[FA]);
  if (WAFER_UNLIKELY(!a)) TRAP(TrapCode::NullArrayReference);
  const uint64_t at = uint32_t(FP[FB]), src = uint32_t(FP[FC]), n = uint32_t(FP[LO(PC[1])]);
  if (WAFER_UNLIKELY(at > a->length || n > a->length - at)) TRAP(TrapCode::ArrayOutOfBounds);
  const Vec<Ref>& items = CTX->instance->elems[HI(PC[1])];
  if (WAFER_UNLIKELY(src > items.size() || n > items.size() - src))
    TRAP(TrapCode::TableOutOfBounds);
  if (n) std::memcpy(a->elements() + at * sizeof(Ref), items.data() + src, n * sizeof(Ref));
  NEXT(2);
}

// ---- table of handlers ----------------------------------------------------

struct HandlerTable {
  HandlerFn fns[kOpCount];
};

template <Opcode OP>
constexpr void fill_op(HandlerTable& t) {
  constexpr Shape s = shape_of(OP);
  HandlerFn* f = t.fns + op_id(OP);
  if constexpr (s == Shape::BinInt || s == Shape::BinFloat) {
    f[kSS] = bin<OP, kSS>;
    f[kAS] = bin<OP, kAS>;
    f[kSA] = bin<OP, kSA>;
    f[kSI] = bin<OP, kSI>;
    f[kAI] = bin<OP, kAI>;
  } else if constexpr (s == Shape::Unary) {
    f[0] = un<OP, 0>;
    f[1] = un<OP, 1>;
  } else if constexpr (s == Shape::Load) {
    f[kLoadS] = load<OP, kLoadS>;
    f[kLoadA] = load<OP, kLoadA>;
    f[kLoadSChecked] = load<OP, kLoadSChecked>;
    f[kLoadAChecked] = load<OP, kLoadAChecked>;
    f[kLoadFar] = load<OP, kLoadFar>;
  } else if constexpr (s == Shape::Store) {
    f[kStoreSS] = store<OP, kStoreSS>;
    f[kStoreAS] = store<OP, kStoreAS>;
    f[kStoreSA] = store<OP, kStoreSA>;
    f[kStoreSI] = store<OP, kStoreSI>;
    f[kStoreSSChecked] = store<OP, kStoreSSChecked>;
    f[kStoreASChecked] = store<OP, kStoreASChecked>;
    f[kStoreSAChecked] = store<OP, kStoreSAChecked>;
    f[kStoreSIChecked] = store<OP, kStoreSIChecked>;
    f[kStoreFar] = store<OP, kStoreFar>;
  } else if constexpr (s == Shape::Vector) {
    f[0] = vec<OP>;
  } else if constexpr (s == Shape::VecLoad) {
    f[0] = vec_load<OP, 0>;
    f[1] = vec_load<OP, 1>;
    f[2] = vec_load<OP, 2>;
  } else if constexpr (s == Shape::VecStore) {
    f[0] = vec_store<OP, 0>;
    f[1] = vec_store<OP, 1>;
    f[2] = vec_store<OP, 2>;
  } else if constexpr (s == Shape::VecLane) {
    f[0] = vec_lane<OP>;
  } else if constexpr (s == Shape::Wide) {
    f[0] = wide<OP>;
  } else if constexpr (s == Shape::Atomic) {
    f[0] = atomic<OP>;
  }
  if constexpr (is_int_compare(OP)) {
    HandlerFn* b = t.fns + branch_id(OP, 0);
    b[kSS] = br_cmp<OP, kSS>;
    b[kAS] = br_cmp<OP, kAS>;
    b[kSA] = br_cmp<OP, kSA>;
    b[kSI] = br_cmp<OP, kSI>;
    b[kAI] = br_cmp<OP, kAI>;
  } else if constexpr (is_float_compare(OP)) {
    t.fns[branch_id(OP, 0)] = br_fcmp<OP, true>;
    t.fns[branch_id(OP, 1)] = br_fcmp<OP, false>;
  }
}

constexpr HandlerTable make_table() {
  HandlerTable t{};
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) fill_op<Opcode::id>(t);
#include "wasm/opcodes.def"
#undef WAFER_OP
  auto set = [&t](Special s, HandlerFn f) { t.fns[op_id(s)] = f; };
  using S = Special;
  set(S::Exit, exit_op);
  set(S::Unreachable, unreachable);
  set(S::Copy, copy);
  set(S::CopyA, copy_a);
  set(S::Copy128, copy128);
  set(S::Const, const64);
  set(S::Const128, const128);
  set(S::Br, br);
  set(S::BrIfS, br_if<true, false>);
  set(S::BrIfA, br_if<true, true>);
  set(S::BrUnlessS, br_if<false, false>);
  set(S::BrUnlessA, br_if<false, true>);
  set(S::BrIf64S, br_if64<true>);
  set(S::BrUnless64S, br_if64<false>);
  set(S::BrTable, br_table);
  set(S::SelectS, select<false>);
  set(S::SelectA, select<true>);
  set(S::Select128, select128);
  set(S::Return, return0);
  set(S::Return1S, return1s);
  set(S::Return1A, return1a);
  set(S::Call, call);
  set(S::CallImport, call_import);
  set(S::CallIndirect, call_indirect);
  set(S::CallRef, call_ref);
  set(S::ReturnCall, return_call);
  set(S::ReturnCallIndirect, return_call_indirect);
  set(S::ReturnCallRef, return_call_ref);
  set(S::GlobalGet, global_get);
  set(S::GlobalSet, global_set);
  set(S::GlobalGet128, global_get128);
  set(S::GlobalSet128, global_set128);
  set(S::MemorySize, memory_size);
  set(S::MemoryGrow, memory_grow);
  set(S::MemoryFill, memory_fill);
  set(S::MemoryCopy, memory_copy);
  set(S::MemoryInit, memory_init);
  set(S::DataDrop, data_drop);
  set(S::TableGet, table_get);
  set(S::TableSet, table_set);
  set(S::TableSize, table_size);
  set(S::TableGrow, table_grow);
  set(S::TableFill, table_fill);
  set(S::TableCopy, table_copy);
  set(S::TableInit, table_init);
  set(S::ElemDrop, elem_drop);
  set(S::RefFunc, ref_func);
  set(S::RefIsNull, ref_is_null);
  set(S::RefAsNonNull, ref_as_non_null);
  set(S::RefEq, ref_eq);
  set(S::RefTest, ref_test);
  set(S::RefCast, ref_cast);
  set(S::CheckDescriptor, check_descriptor);
  set(S::RefTestDesc, ref_test_desc);
  set(S::RefCastDesc, ref_cast_desc);
  set(S::RefI31, ref_i31);
  set(S::I31GetS, i31_get<true>);
  set(S::I31GetU, i31_get<false>);
  set(S::StructNew, struct_new);
  set(S::StructNewDefault, struct_new_default);
  set(S::StructGet8S, struct_get<int8_t, uint32_t>);
  set(S::StructGet8U, struct_get<uint8_t, uint32_t>);
  set(S::StructGet16S, struct_get<int16_t, uint32_t>);
  set(S::StructGet16U, struct_get<uint16_t, uint32_t>);
  set(S::StructGet32, struct_get<uint32_t, uint32_t>);
  set(S::StructGet64, struct_get<uint64_t, uint64_t>);
  set(S::StructGet128, struct_get128);
  set(S::StructSet8, struct_set<1>);
  set(S::StructSet16, struct_set<2>);
  set(S::StructSet32, struct_set<4>);
  set(S::StructSet64, struct_set<8>);
  set(S::StructSet128, struct_set<16>);
  set(S::ArrayNew, array_new);
  set(S::ArrayNewDefault, array_new_default);
  set(S::ArrayNewFixed, array_new_fixed);
  set(S::ArrayNewData, array_new_data);
  set(S::ArrayNewElem, array_new_elem);
  set(S::ArrayGet8S, array_get<int8_t, uint32_t>);
  set(S::ArrayGet8U, array_get<uint8_t, uint32_t>);
  set(S::ArrayGet16S, array_get<int16_t, uint32_t>);
  set(S::ArrayGet16U, array_get<uint16_t, uint32_t>);
  set(S::ArrayGet32, array_get<uint32_t, uint32_t>);
  set(S::ArrayGet64, array_get<uint64_t, uint64_t>);
  set(S::ArrayGet128, array_get128);
  set(S::ArraySet8, array_set<1>);
  set(S::ArraySet16, array_set<2>);
  set(S::ArraySet32, array_set<4>);
  set(S::ArraySet64, array_set<8>);
  set(S::ArraySet128, array_set<16>);
  set(S::ArrayLen, array_len);
  set(S::ArrayFill, array_fill);
  set(S::ArrayCopy, array_copy);
  set(S::ArrayInitData, array_init_data);
  set(S::ArrayInitElem, array_init_elem);
  set(S::Throw, throw_op);
  set(S::ThrowRef, throw_ref);
  set(S::AtomicWait32, atomic_wait<false>);
  set(S::AtomicWait64, atomic_wait<true>);
  set(S::AtomicNotify, atomic_notify);
  set(S::AtomicFence, atomic_fence);
  set(S::ContNew, cont_new);
  set(S::ContBind, cont_bind);
  set(S::Suspend, suspend);
  set(S::Switch, switch_op);
  set(S::Resume, resume);
  set(S::Fuel, fuel);
  set(S::Poll, poll);
  return t;
}

constexpr HandlerTable kTable = make_table();

constexpr bool complete(const HandlerTable& t) {
  for (HandlerFn f : t.fns)
    if (!f) return false;
  return true;
}
static_assert(complete(kTable), "an operation has no handler");

}  // namespace

#if WAFER_TAIL
void dispatch(Activation& activation, const Word* pc, Slot* fp) {
  Memory* m = activation.instance->memory0;
  activation.memory_size = m ? m->size_bytes() : 0;
  kTable.fns[uint16_t(*pc)](pc, fp, m ? m->base : nullptr, &activation, 0, kTable.fns, 0, 0);
}
#else
#undef PC
#undef FP
#undef MEM
#undef CTX
#undef ACC
#undef F32A
#undef F64A
void dispatch(Activation& activation, const Word* pc, Slot* fp) {
  Memory* m = activation.instance->memory0;
  activation.memory_size = m ? m->size_bytes() : 0;
  Regs regs{pc, fp, m ? m->base : nullptr, &activation, 0, 0, 0, true};
  do {
    kTable.fns[uint16_t(*regs.pc)](regs);
  } while (regs.running);
}
#endif

}  // namespace wafer::interp
