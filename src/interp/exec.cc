// The interpreter's common handlers, the table of all of them, and its dispatch loop.
#include "interp/grouped.h"
#include "interp/handlers.h"
#include "runtime/fiber.h"

#if WAFER_HAS_TRANSLATOR

namespace wafer::interp {

namespace {

using runtime::Memory;

// ---- plain numeric --------------------------------------------------------

#if WAFER_NARROW
template <bool HasConst>
WAFER_CC void rare(WAFER_PARAMS) {
  const auto constant = Slot(int16_t(field<3>(PC)));
  const Slot* const second = HasConst ? &constant : LC;
  const TrapCode code = kGroups.run(code_byte<1>(PC), LB, second, LA);
  if (WAFER_UNLIKELY(code != TrapCode::None)) TRAP(code);
  NEXT(words(1));
}
#endif

// The offset of a comparison that branches.
#define BRANCH (kNarrow ? int16_t(FC) : int32_t(ARG_LO(1)))
#if WAFER_REGS
// The end of branches that take long anyway.
WAFER_NOINLINE void branch_if(bool taken) {
  PC += taken ? BRANCH : kWithAfter;
  DISPATCH();
}
#endif

// What S gives of the operands goes to the instruction's slot, and on with the next.
#define FINISH(length, ...)                                   \
  do {                                                        \
    if constexpr (S::kTraps) {                                \
      typename S::Out out;                                    \
      const TrapCode code = S::eval(__VA_ARGS__, out);        \
      if (WAFER_UNLIKELY(code != TrapCode::None)) TRAP(code); \
      PUT(typename S::Out, out);                              \
    } else {                                                  \
      PUT(typename S::Out, S::eval(__VA_ARGS__));             \
    }                                                         \
    NEXT(length);                                             \
  } while (0)
#if WAFER_REGS
#if defined(__thumb2__)
constexpr bool kShiftsFast = true;
#else
constexpr bool kShiftsFast = false;
#endif
// The rest of handlers whose operation takes more room than a jump: divisions, and where the
// processor shifts 64 bits fast, so that they stay so, shifts.
template <Opcode OP>
constexpr bool kIsLong = (OP >= Opcode::I32DivS && OP <= Opcode::I32RemU) ||
                         (kShiftsFast && OP >= Opcode::I64Shl && OP <= Opcode::I64ShrU);
template <Opcode OP>
WAFER_NOINLINE void long_rest(typename Sem<OP>::In a, uint32_t b, int length) {
  using S = Sem<OP>;
  FINISH(length, a, b);
}
#endif

template <Opcode OP, unsigned V>
WAFER_CC void bin(WAFER_PARAMS) {
  using S = Sem<OP>;
  static_assert(S::kTraps == wasm::is_trapping_arithmetic(OP), "it has its place noted, or not");
  using T = typename S::In;
  T a, b;
  if constexpr (V == kAS || (!kNarrow && V == kAI))
    a = GET_ACC(T);
  else
    a = get_at<T>(SB);
  if constexpr (kNarrow && V == kSI)
    b = T(int16_t(FC));
  else if constexpr (kNarrow && V == kSW)
    b = from_bits<T>(number_at<uint32_t>(PC + 2));
  else if constexpr (V == kSI || V == kAI)
    b = from_bits<T>(PC[1]);
  else if constexpr (V == kSA)
    b = GET_ACC(T);
  else
    b = get_at<T>(SC);
  constexpr int kLength = V == kSI   ? kWithAfter
                          : V == kAI ? kSlotsOnly + (kNarrow ? 2 : 1)
                                     : kSlotsOnly;
#if WAFER_REGS
  // (Of how far to shift, 32 bits are enough.)
  if constexpr (kIsLong<OP>) return long_rest<OP>(a, uint32_t(b), kLength);
#endif
  FINISH(kLength, a, b);
}

template <Opcode OP, unsigned V>
WAFER_CC void un(WAFER_PARAMS) {
  using S = Sem<OP>;
  static_assert(S::kTraps == wasm::is_trapping_arithmetic(OP), "it has its place noted, or not");
  using T = typename S::In;
  T a;
  if constexpr (V == 1)
    a = GET_ACC(T);
  else
    a = get_at<T>(SB);
  FINISH(kSlotsOnly, a);
}

// Comparison fused with a branch: a,b are the operands' slots.
template <Opcode OP, unsigned V>
WAFER_CC void br_cmp(WAFER_PARAMS) {
  using T = typename Sem<OP>::In;
  T a, b;
  if constexpr (V == kAS || V == kAI)
    a = GET_ACC(T);
  else
    a = get_at<T>(SA);
  if constexpr (kNarrow && V == kSI)
    b = T(int16_t(FB));
  else if constexpr (V == kSI || V == kAI)
    b = T(int64_t(int32_t(ARG_HI(1))));
  else if constexpr (V == kSA)
    b = GET_ACC(T);
  else
    b = get_at<T>(SB);
#if WAFER_REGS
  if constexpr (sizeof(T) == 8) return branch_if(Sem<OP>::eval(a, b));
#endif
  if (Sem<OP>::eval(a, b)) NEXT(BRANCH);
  NEXT(kWithAfter);
}
template <Opcode OP, bool IfTrue>
WAFER_CC void br_fcmp(WAFER_PARAMS) {
  using T = typename Sem<OP>::In;
  const bool taken = bool(Sem<OP>::eval(get_at<T>(SA), get_at<T>(SB))) == IfTrue;
#if WAFER_REGS
  return branch_if(taken);
#endif
  if (taken) NEXT(BRANCH);
  NEXT(kWithAfter);
}

// ---- linear memory --------------------------------------------------------

#if WAFER_NARROW
// The accesses beyond memory 0's first 64 KiB, and to other memories: one function for all.
struct FarAccess {
  uint8_t bytes;
  bool is_signed;
};
template <Opcode OP>
constexpr FarAccess far_access() {
  using M = typename Access<OP>::Mem;
  return {sizeof(M), std::is_signed_v<M> && std::is_integral_v<M>};
}
template <size_t... I>
constexpr std::array<FarAccess, sizeof...(I)> far_accesses(std::index_sequence<I...>) {
  return {far_access<Opcode(unsigned(Opcode::I32Load) + I)>()...};
}
constexpr auto kFarAccesses =
    far_accesses(std::make_index_sequence<far_kind(Opcode::I64Store32) + 1>());

// What a load from `p` gives.
uint64_t loaded(const uint8_t* p, const FarAccess& access) {
  const uint64_t v = load_bytes(p, access.bytes);
  const unsigned above = 64 - 8 * access.bytes;
  return access.is_signed ? uint64_t(int64_t(v << above) >> above) : v;
}

// Any: in whatever memory, by the long form.
template <bool Any>
WAFER_CC void load_far(WAFER_PARAMS) {
  const FarAccess& access = kFarAccesses[Any ? field<3>(PC) : code_byte<3>(PC)];
  const uint8_t* p =
      Any ? far_address(CTX, ARG_LO(1), LB, 0, ARG(2), access.bytes)
          : far_address(CTX, 0, SB, 0, number_at<uint32_t>(PC + kSlotsOnly), access.bytes);
  if (WAFER_UNLIKELY(!p)) TRAP_OUT_OF_BOUNDS();
  put<uint64_t>(Any ? LA : SA, 0, loaded(p, access));
  NEXT(Any ? words(3) : kSlotsOnly + 2);
}
template <bool Any>
WAFER_CC void store_far(WAFER_PARAMS) {
  const unsigned bytes = kFarAccesses[Any ? field<3>(PC) : code_byte<3>(PC)].bytes;
  uint8_t* p = Any ? far_address(CTX, ARG_LO(1), LA, 0, ARG(2), bytes)
                   : far_address(CTX, 0, SA, 0, number_at<uint32_t>(PC + kSlotsOnly), bytes);
  if (WAFER_UNLIKELY(!p)) TRAP_OUT_OF_BOUNDS();
  store_bytes(p, *(Any ? LB : SB), bytes);
  NEXT(Any ? words(3) : kSlotsOnly + 2);
}
#if WAFER_REGS
// The rest of handlers, where the processor wants accesses aligned and `p` is not.
WAFER_NOINLINE void load_at(const uint8_t* p, unsigned kind) {
  put<uint64_t>(SA, 0, loaded(p, kFarAccesses[kind]));
  NEXT(kWithOffset);
}
WAFER_NOINLINE void store_at(uint8_t* p, uint64_t v, unsigned bytes) {
  store_bytes(p, v, bytes);
  NEXT(kWithOffset);
}
#endif
#endif

template <Opcode OP, unsigned V>
WAFER_CC void load(WAFER_PARAMS) {
  using M = typename Access<OP>::Mem;
  using T = typename Access<OP>::Reg;
  if constexpr (V == kLoadFar) {
    const uint8_t* p = far_address(CTX, ARG_LO(1), SB, 0, ARG(2), sizeof(M));
    if (WAFER_UNLIKELY(!p)) TRAP_OUT_OF_BOUNDS();
    PUT(T, T(load_memory<M>(p)));
    NEXT(3);
  } else {
    uint32_t address;
    if constexpr (V == kLoadA || V == kLoadAChecked)
      address = GET_ACC(uint32_t);
    else
      address = get_at<uint32_t>(SB);
    const uint8_t* p;
    if constexpr (V >= kLoadSChecked)
      CHECKED_ADDRESS(p, address, sizeof(M));
    else
      p = MEM + (uint64_t(address) + FC);
#if WAFER_REGS
    if (WAFER_UNLIKELY(!may_access<M>(p))) return load_at(p, far_kind(OP));
#endif
    PUT(T, T(load_memory<M>(p)));
    NEXT(kWithOffset);
  }
}

template <Opcode OP, unsigned V>
WAFER_CC void store(WAFER_PARAMS) {
  // On narrow slots a float is stored as the integer of its width, and by the same code.
  using Float = typename Access<OP>::Reg;
  using T = std::conditional_t<!kNarrow || std::is_integral_v<Float>, Float,
                               std::conditional_t<sizeof(Float) == 4, uint32_t, uint64_t>>;
  using M = std::conditional_t<std::is_integral_v<Float>, typename Access<OP>::Mem, T>;
  if constexpr (V == kStoreFar) {
    uint8_t* p = far_address(CTX, ARG_LO(1), SA, 0, ARG(2), sizeof(M));
    if (WAFER_UNLIKELY(!p)) TRAP_OUT_OF_BOUNDS();
    store_memory<M>(p, M(get_at<T>(SB)));
    NEXT(3);
  } else {
    constexpr unsigned kV = V % 4;
    uint32_t address;
    if constexpr (kV == kStoreAS)
      address = GET_ACC(uint32_t);
    else
      address = get_at<uint32_t>(SA);
    T v;
    if constexpr (kV == kStoreSA)
      v = GET_ACC(T);
    else if constexpr (kNarrow && kV == kStoreSI)
      v = T(int16_t(FB));
    else if constexpr (kV == kStoreSI)
      v = from_bits<T>(PC[1]);
    else
      v = get_at<T>(SB);
    uint8_t* p;
    if constexpr (V >= kStoreSSChecked)
      CHECKED_ADDRESS(p, address, sizeof(M));
    else
      touch_end<sizeof(M)>(p = MEM + (uint64_t(address) + FC));
    constexpr int kLength = kV == kStoreSI ? kWithAfter : kWithOffset;
#if WAFER_REGS
    if (WAFER_UNLIKELY(!may_access<M>(p))) return store_at(p, to_bits(v), sizeof(M));
#endif
    store_memory<M>(p, M(v));
    NEXT(kLength);
  }
}

// ---- moves and control ----------------------------------------------------

WAFER_CC void exit_op(WAFER_PARAMS) {
  CTX->trap = TrapCode::None;
  STOP();
}
WAFER_CC void unreachable(WAFER_PARAMS) { TRAP(TrapCode::Unreachable); }
WAFER_CC void copy(WAFER_PARAMS) {
  const Slot v = *SB;
  SET_ACC(v);
  *SA = v;
  NEXT(kSlotsOnly);
}
#if WAFER_NARROW
WAFER_CC void copy_far(WAFER_PARAMS) {
  *LA = *LB;
  NEXT(3);
}
#endif
#if WAFER_HAS_Accumulator
WAFER_CC void copy_a(WAFER_PARAMS) {
  put<Acc>(SA, 0, ACC);
  NEXT(1);
}
#endif
WAFER_CC void const_op(WAFER_PARAMS) {
  const Slot v = kNarrow ? Slot(int64_t(int16_t(FB))) : ARG(1);
  SET_ACC(v);
  *SA = v;
  NEXT(2);
}
#if WAFER_NARROW
WAFER_CC void const32(WAFER_PARAMS) {
  *SA = Slot(int64_t(int32_t(AFTER)));
  NEXT(kWithAfter);
}
WAFER_CC void const64(WAFER_PARAMS) {
  *SA = number_at<Quad>(PC + 1);
  NEXT(1 + words(1));
}
#endif
// Where the entry `i` of the branch table at `pc` leads.
template <bool Far>
WAFER_ALWAYS_INLINE int32_t table_offset(const Word* pc, uint32_t i) {
  if constexpr (Far) return number_at<int32_t>(pc + kWithAfter + 2 * i);
  if constexpr (kNarrow) return int16_t(pc[kWithAfter + i]);
  return int32_t(LO(pc[2 + i]));
}
WAFER_CC void br(WAFER_PARAMS) { NEXT(OFFSET); }
#if WAFER_NARROW
WAFER_CC void br_far(WAFER_PARAMS) { NEXT(int32_t(AFTER)); }
#endif
template <bool IfTrue, bool FromAcc>
WAFER_CC void br_if(WAFER_PARAMS) {
  const uint32_t c = FromAcc ? GET_ACC(uint32_t) : get_at<uint32_t>(SA);
  if ((c != 0) == IfTrue) NEXT(OFFSET);
  NEXT(kBranchWords);
}
template <bool IfTrue>
WAFER_CC void br_if64(WAFER_PARAMS) {
  if ((*SA != 0) == IfTrue) NEXT(OFFSET);
  NEXT(kBranchWords);
}
template <bool Far>
WAFER_CC void br_table(WAFER_PARAMS) {
  uint32_t i = get_at<uint32_t>(SA);
  const uint32_t count = AFTER;
  if (i > count) i = count;
  NEXT(table_offset<Far>(PC, i));
}
template <bool FromAcc>
WAFER_CC void select(WAFER_PARAMS) {
  const uint32_t c = FromAcc   ? GET_ACC(uint32_t)
                     : kNarrow ? get<uint32_t>(slot_of<2>(PC, FP), 0)
                               : get<uint32_t>(FP, ARG_LO(1));
  const Slot v = kNarrow ? *(c ? SB : SC) : c ? *SB : *SC;
  SET_ACC(v);
  *SA = v;
  NEXT(kWithAfter);
}

#if WAFER_REGS
// The rest of handlers, where that is rare: what they call needs no frame of theirs.
WAFER_NOINLINE void reload_and_dispatch() {
  RELOAD_MEMORY();
  DISPATCH();
}
#define RELOAD_AND_DISPATCH() return reload_and_dispatch()
// Translates the function that the present instruction calls, and does it again.
WAFER_NOINLINE void translate_and_retry(FuncCode* f) {
  CTX->pc = PC + 1;
  CTX->fp = FP;
  if (!ensure(*CTX->store, *f)) TRAP(translation_failed(*CTX->store, *f));
}
#define NOT_TRANSLATED(f, entry) return translate_and_retry(f)
#else
#define RELOAD_AND_DISPATCH() \
  do {                        \
    RELOAD_MEMORY();          \
    DISPATCH();               \
  } while (0)
#define NOT_TRANSLATED(f, out)                                                   \
  do {                                                                           \
    if constexpr (kSmall) {                                                      \
      CTX->pc = PC + 1;                                                          \
      CTX->fp = FP;                                                              \
    }                                                                            \
    if (!ensure(*CTX->store, *(f))) TRAP(translation_failed(*CTX->store, *(f))); \
    out = (f)->entry.load(kEntryOrder);                                          \
  } while (0)
#endif
// Code is made by whatever thread calls a function first, where there are threads.
constexpr std::memory_order kEntryOrder =
    WAFER_HAS_OS ? std::memory_order_acquire : std::memory_order_relaxed;

#define DO_RETURN()                                       \
  do {                                                    \
    const Slot* link_ = LA;                               \
    Instance* instance_ = pointer_in<Instance>(link_[2]); \
    PC = pointer_in<const Word>(link_[0]);                \
    FP = pointer_in<Slot>(link_[1]);                      \
    if (WAFER_UNLIKELY(instance_ != CTX->instance)) {     \
      CTX->instance = instance_;                          \
      RELOAD_AND_DISPATCH();                              \
    }                                                     \
    DISPATCH();                                           \
  } while (0)

WAFER_CC void return0(WAFER_PARAMS) { DO_RETURN(); }
WAFER_CC void return1s(WAFER_PARAMS) {
  const Slot v = *(kNarrow ? SA : LB);
  // The link lies above every result, so writing slot 0 leaves it alone.
  FP[0] = v;
  DO_RETURN();
}
#if WAFER_HAS_Accumulator
WAFER_CC void return1a(WAFER_PARAMS) {
  put<Acc>(FP, 0, ACC);
  DO_RETURN();
}
#endif

// Starts `F` in a frame at NFP that returns to RET in the present frame.
#define ENTER(F, NFP, RET)                                                                    \
  do {                                                                                        \
    FuncCode* f_ = (F);                                                                       \
    Slot* nfp_ = (NFP);                                                                       \
    const Word* ret_ = (RET);                                                                 \
    const Word* entry_ = f_->entry.load(kEntryOrder);                                         \
    if (WAFER_UNLIKELY(!entry_)) NOT_TRANSLATED(f_, entry_);                                  \
    if (WAFER_UNLIKELY(nfp_ + f_->frame_slots > CTX->stack_limit))                            \
      TRAP(TrapCode::CallStackExhausted);                                                     \
    Slot* link_ = nfp_ + f_->link;                                                            \
    put(link_, 0, reinterpret_cast<uintptr_t>(ret_));                                         \
    put(link_, 1, reinterpret_cast<uintptr_t>(FP));                                           \
    put(link_, 2, reinterpret_cast<uintptr_t>(CTX->instance));                                \
    for (unsigned i_ = f_->zero_begin, e_ = i_ + f_->zero_count; i_ < e_; ++i_) nfp_[i_] = 0; \
    FP = nfp_;                                                                                \
    PC = entry_;                                                                              \
  } while (0)

// The function that the second half of a call's first word tells: its index, or on narrow
// slots its address.
WAFER_ALWAYS_INLINE FuncCode* callee(const Activation& activation, uint32_t word) {
#if WAFER_NARROW
  return reinterpret_cast<FuncCode*>(word);
#else
  return &static_cast<ModuleCodeImpl*>(activation.instance->code.get())->funcs[word];
#endif
}

WAFER_CC void call(WAFER_PARAMS) {
  ENTER(callee(*CTX, LONG_HI), LA, PC + and_safepoint(1));
  DISPATCH();
}

// Calls FUNC with its arguments at ARGS; RET is the word after the instruction.
#define CALL_FUNC_HERE(FUNC, ARGS, RET)                      \
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

#if WAFER_REGS
WAFER_NOINLINE void call_function(FuncInst* func, Slot* args, const Word* next) {
  CALL_FUNC_HERE(func, args, next);
}
#define CALL_FUNC(FUNC, ARGS, RET) return call_function(FUNC, ARGS, RET)
#else
#define CALL_FUNC CALL_FUNC_HERE
#endif

WAFER_CC void call_import(WAFER_PARAMS) {
  CALL_FUNC(CTX->instance->funcs[LONG_HI], LA, PC + and_safepoint(1));
}

WAFER_CC void call_indirect(WAFER_PARAMS) {
  FuncInst* f;
  const uint64_t index = index_at(LB, 0, field<3>(PC));
  const TrapCode code = resolve_indirect(*CTX->instance, ARG_LO(1), ARG_HI(1), index, f);
  if (WAFER_UNLIKELY(code != TrapCode::None)) TRAP(indirect_failed(*CTX->store, code, index));
  CALL_FUNC(f, LA, PC + and_safepoint(2));
}

WAFER_CC void call_ref(WAFER_PARAMS) {
  FuncInst* f = reinterpret_cast<FuncInst*>(*LB);
  if (WAFER_UNLIKELY(!f)) TRAP(TrapCode::NullFunctionReference);
  CALL_FUNC(f, LA, PC + and_safepoint(1));
}

// Tail call: the callee's frame replaces this one, whose link (at LINK) it takes.
#define TAIL_CALL_HERE(FUNC, ARGS, LINK, RET)                                       \
  do {                                                                              \
    FuncInst* func_ = (FUNC);                                                       \
    Slot* args_ = (ARGS);                                                           \
    const Slot* old_ = (LINK);                                                      \
    const Slot ret_pc_ = old_[0], caller_ = old_[1], instance_ = old_[2];           \
    if (func_->call == &call_from_native) {                                         \
      FuncCode* f_ = static_cast<FuncCode*>(func_->code);                           \
      const Word* entry_ = f_->entry.load(kEntryOrder);                             \
      if (WAFER_UNLIKELY(!entry_)) NOT_TRANSLATED(f_, entry_);                      \
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
    CTX->instance = pointer_in<Instance>(instance_);                                \
    PC = pointer_in<const Word>(ret_pc_);                                           \
    FP = pointer_in<Slot>(caller_);                                                 \
    RELOAD_MEMORY();                                                                \
    DISPATCH();                                                                     \
  } while (0)

#if WAFER_REGS
WAFER_NOINLINE void tail_call_function(FuncInst* func, Slot* args, const Slot* link,
                                       const Word* next) {
  TAIL_CALL_HERE(func, args, link, next);
}
#define TAIL_CALL(FUNC, ARGS, LINK, RET) return tail_call_function(FUNC, ARGS, LINK, RET)
#else
#define TAIL_CALL TAIL_CALL_HERE
#endif

WAFER_CC void return_call(WAFER_PARAMS) {
  TAIL_CALL(CTX->instance->funcs[ARG_LO(1)], LA, LB, PC + and_safepoint(2));
}
WAFER_CC void return_call_indirect(WAFER_PARAMS) {
  FuncInst* f;
  const uint64_t index = index_at(LB, 0, ARG_LO(2));
  const TrapCode code = resolve_indirect(*CTX->instance, ARG_LO(1), ARG_HI(1), index, f);
  if (WAFER_UNLIKELY(code != TrapCode::None)) TRAP(indirect_failed(*CTX->store, code, index));
  TAIL_CALL(f, LA, LC, PC + and_safepoint(3));
}
WAFER_CC void return_call_ref(WAFER_PARAMS) {
  FuncInst* f = reinterpret_cast<FuncInst*>(*LB);
  if (WAFER_UNLIKELY(!f)) TRAP(TrapCode::NullFunctionReference);
  TAIL_CALL(f, LA, LC, PC + and_safepoint(1));
}

WAFER_CC void fuel(WAFER_PARAMS) {
  CTX->store->fuel -= int64_t(kNarrow ? AFTER : ARG(1));
  constexpr int kLength = kWithAfter + int(kSafepointWords);
  if (WAFER_UNLIKELY(CTX->store->fuel < 0)) {
    CTX->pc = PC + kLength;
    CTX->fp = FP;
    if (!runtime::wait_for_fuel(*CTX->store)) TRAP(TrapCode::OutOfFuel);
    RELOAD_MEMORY();
  }
  NEXT(kLength);
}
WAFER_CC void poll(WAFER_PARAMS) {
  constexpr int kLength = 1 + int(kSafepointWords);
  if (WAFER_UNLIKELY(CTX->store->interrupt_flag.load(std::memory_order_relaxed))) {
    CTX->pc = PC + kLength;
    CTX->fp = FP;
    if (!runtime::wait_for_interrupt(*CTX->store)) TRAP(TrapCode::Interrupted);
    RELOAD_MEMORY();
  }
  NEXT(kLength);
}

// ---- globals, memories, tables --------------------------------------------

WAFER_CC void global_get(WAFER_PARAMS) {
  const Slot v = CTX->instance->globals[AFTER]->value[0];
  SET_ACC(v);
  *SA = v;
  NEXT(kWithAfter);
}
WAFER_CC void global_set(WAFER_PARAMS) {
  CTX->instance->globals[AFTER]->value[0] = *SA;
  NEXT(kWithAfter);
}

#if WAFER_NARROW
// Those of other files: the kind of them, and a number, tell which.
#if WAFER_REGS
#define COLD_HANDLER(place) return TBL[place]()
#else
void run_handler(unsigned place, WAFER_PARAMS);
#define COLD_HANDLER(place) return run_handler(place, R)
#endif
template <unsigned Kind>
WAFER_CC void cold(WAFER_PARAMS) {
  COLD_HANDLER(kHotOps + Kind * 256 + code_byte<1>(PC));
}
#endif

// ---- table of handlers ----------------------------------------------------

struct HandlerTable {
  HandlerFn fns[kOpCount];
};

// The handler of one variant that an operation of this build has.
template <Opcode OP, unsigned V>
constexpr HandlerFn handler() {
  constexpr Shape s = shape_of(OP);
  if constexpr (s == Shape::BinInt || s == Shape::BinFloat)
    return bin<OP, V>;
  else if constexpr (s == Shape::Unary)
    return un<OP, V>;
  else if constexpr (s == Shape::Load)
    return load<OP, V>;
  else if constexpr (s == Shape::Store)
    return store<OP, V>;
  else if constexpr (s == Shape::Vector)
    return handlers::vec<OP>;
  else if constexpr (s == Shape::VecLoad)
    return handlers::vec_load<OP, V>;
  else if constexpr (s == Shape::VecStore)
    return handlers::vec_store<OP, V>;
  else if constexpr (s == Shape::VecLane)
    return handlers::vec_lane<OP>;
  else if constexpr (s == Shape::Wide)
    return handlers::wide<OP>;
  else
    return handlers::atomic<OP>;
}

template <Opcode OP, unsigned V = 0>
constexpr void fill_op(HandlerTable& t) {
  if constexpr (shape_of(OP) != Shape::Special && V < kMaxVariants) {
    if constexpr (kLayout.forms[row_of(OP).forms][V] != kNoVariant) {
      if constexpr (!is_rare(OP)) t.fns[handler_place(OP, V)] = handler<OP, V>();
      if constexpr (is_int_compare(OP)) t.fns[branch_id(OP, V)] = br_cmp<OP, V>;
    }
    fill_op<OP, V + 1>(t);
  } else if constexpr (has_float_branch(OP)) {
    t.fns[branch_id(OP, kIfTrue)] = br_fcmp<OP, true>;
    t.fns[branch_id(OP, kIfFalse)] = br_fcmp<OP, false>;
  }
}

constexpr HandlerTable make_table() {
  HandlerTable t{};
#define WAFER_OP(id, prefix, code_, text, imm, sig, aux, feature) \
  WAFER_IF_BUILT(feature, fill_op<Opcode::id>(t);)
#include "wasm/opcodes.def"
#undef WAFER_OP
  auto set = [&t](Special s, HandlerFn f) {
    if (s < Special::Count) t.fns[handler_place(s)] = f;
  };
  using S = Special;
  using namespace handlers;
  set(S::Exit, exit_op);
  set(S::Unreachable, unreachable);
  set(S::Copy, copy);
  set(S::Copy128, copy128);
  set(S::CopyMany, copy_many);
  set(S::Const, const_op);
#if WAFER_NARROW
  set(S::CopyFar, copy_far);
  set(S::Const32, const32);
  set(S::Const64, const64);
  set(S::BrFar, br_far);
  set(S::LoadFar, load_far<false>);
  set(S::StoreFar, store_far<false>);
#if WAFER_HAS_NarrowMemories
  set(S::LoadAny, load_far<true>);
  set(S::StoreAny, store_far<true>);
#endif
  set(S::RareS, rare<false>);
  set(S::RareI, rare<true>);
  set(S::Cold0, cold<0>);
  set(S::Cold1, cold<(kOpCount - kHotOps > 256)>);  // never run where there are fewer
#endif
  set(S::Const128, const128);
  set(S::Br, br);
  set(S::BrIfS, br_if<true, false>);
  set(S::BrUnlessS, br_if<false, false>);
  set(S::BrIf64S, br_if64<true>);
  set(S::BrUnless64S, br_if64<false>);
  set(S::BrTable, br_table<false>);
#if WAFER_NARROW
  set(S::BrTableFar, br_table<true>);
#endif
  set(S::SelectS, select<false>);
  set(S::Select128, select128);
  set(S::Return, return0);
  set(S::Return1S, return1s);
#if WAFER_HAS_Accumulator
  set(S::CopyA, copy_a);
  set(S::BrIfA, br_if<true, true>);
  set(S::BrUnlessA, br_if<false, true>);
  set(S::SelectA, select<true>);
  set(S::Return1A, return1a);
#endif
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

#if WAFER_NARROW && !WAFER_REGS
void run_handler(unsigned place, WAFER_PARAMS) { kTable.fns[place](R); }
#endif

}  // namespace

#if WAFER_REGS
void trap_here(TrapCode code) {
  CTX->trap = code;
  CTX->pc = PC + 1;
  CTX->fp = FP;
  STOP();
}

void trap_out_of_bounds() { TRAP(TrapCode::MemoryOutOfBounds); }

void again_or_trap(uint32_t end) {
  if (!has_grown(*CTX, end)) TRAP_OUT_OF_BOUNDS();
  RELOAD_MEMORY();
}
#endif

#if WAFER_TAIL
void dispatch(Activation& activation, const Word* pc, Slot* fp) {
  Memory* m = activation.instance->memory0;
  activation.memory_size = m ? m->size_bytes() : 0;
  kTable.fns[operation_at(pc)](pc, fp, m ? m->base : nullptr, &activation, 0, kTable.fns, 0, 0);
}
#elif WAFER_REGS
void dispatch(Activation& activation, const Word* pc, Slot* fp) {
  // The registers are the caller's.
  const Word* const pc_before = PC;
  Slot* const fp_before = FP;
  uint8_t* const mem_before = MEM;
  const uint32_t size_before = MEMORY_SIZE;
  Activation* const ctx_before = CTX;
  const HandlerFn* const tbl_before = TBL;
  PC = pc;
  FP = fp;
  CTX = &activation;
  TBL = kTable.fns;
  MEM = nullptr;
  MEMORY_SIZE = 0;
  RELOAD_MEMORY();
  do {
    TBL[operation_at(PC)]();
  } while (CTX->running);
  PC = pc_before;
  FP = fp_before;
  MEM = mem_before;
  MEMORY_SIZE = size_before;
  CTX = ctx_before;
  TBL = tbl_before;
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
  activation.memory_size = m ? MemorySize(m->size_bytes()) : 0;
  Regs regs{pc, fp, m ? m->base : nullptr, &activation, 0, 0, 0, true};
  do {
    kTable.fns[operation_at(regs.pc)](regs);
  } while (regs.running);
}
#endif

}  // namespace wafer::interp

#endif
