// Handlers of references, of the collected heap, of exceptions and of stack switching.
#define WAFER_COLD_HANDLERS
#include "interp/handlers.h"
#include "runtime/continuation.h"
#include "runtime/gc_storage.h"

#if WAFER_HAS_TRANSLATOR

namespace wafer::interp::handlers {

using runtime::GcArray;
using runtime::GcException;
using runtime::GcObject;
using wasm::HeapType;
using wasm::ValType;

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
  auto* func = reinterpret_cast<FuncInst*>(*SA);
  if (WAFER_UNLIKELY(!func)) TRAP(TrapCode::NullFunctionReference);
  CTX->pc = PC + and_safepoint(1);
  CTX->fp = FP;
  const TrapCode code = runtime::new_continuation(*CTX->store, func, *SA);
  if (WAFER_UNLIKELY(code != TrapCode::None)) TRAP(code);
  NEXT(and_safepoint(1));
}
WAFER_CC void cont_bind(WAFER_PARAMS) {
  Slot* const args = SA;
  CTX->pc = PC + and_safepoint(1);
  CTX->fp = FP;
  runtime::Ref bound;
  const TrapCode code =
      runtime::bind_continuation(*CTX->store, args[FB], {args, size_t(FB)}, bound);
  if (WAFER_UNLIKELY(code != TrapCode::None)) TRAP(code);
  args[0] = bound;
  NEXT(and_safepoint(1));
}
WAFER_CC void suspend(WAFER_PARAMS) {
  Slot* const args = SA;
  CTX->pc = PC + and_safepoint(2);
  CTX->fp = FP;
  std::span<const Slot> values;
  const TrapCode code =
      runtime::suspend(*CTX->store, CTX->instance->tags[ARG(1)], {args, size_t(FB)}, values);
  AFTER_SWITCH(code);
  if (!values.empty()) std::memcpy(args, values.data(), values.size_bytes());
  RELOAD_MEMORY();
  NEXT(and_safepoint(2));
}
WAFER_CC void switch_op(WAFER_PARAMS) {
  Slot* const args = SA;
  CTX->pc = PC + and_safepoint(2);
  CTX->fp = FP;
  std::span<const Slot> values;
  const TrapCode code = runtime::switch_to(*CTX->store, CTX->instance->tags[ARG(1)], args[FB],
                                           {args, size_t(FB)}, values);
  AFTER_SWITCH(code);
  if (!values.empty()) std::memcpy(args, values.data(), values.size_bytes());
  RELOAD_MEMORY();
  NEXT(and_safepoint(2));
}
WAFER_CC void resume(WAFER_PARAMS) {
  CTX->pc = PC + and_safepoint(3);
  CTX->fp = FP;
  bool branch = false;
  const TrapCode code =
      resume_here(*CTX, FA, FB, FC, ARG_LO(1), ARG_HI(1), uint32_t(ARG(2)), branch);
  AFTER_SWITCH(code);
  if (branch) RESUME();
  RELOAD_MEMORY();
  NEXT(and_safepoint(3));
}

// ---- exceptions -----------------------------------------------------------

WAFER_CC void throw_op(WAFER_PARAMS) {
  CTX->pc = PC + and_safepoint(2);
  CTX->fp = FP;
  runtime::TagInst* tag = CTX->instance->tags[ARG_LO(1)];
  GcException* e = CTX->store->gc().new_exception(tag);
  if (WAFER_UNLIKELY(!e)) TRAP(TrapCode::OutOfMemory);
  std::memcpy(e->args(), SA, tag->type->param_slots * sizeof(Slot));
  if (!unwind(*CTX, reinterpret_cast<Ref>(e))) STOP();
  RESUME();
}
WAFER_CC void throw_ref(WAFER_PARAMS) {
  const Ref e = *SA;
  if (WAFER_UNLIKELY(!e)) TRAP(TrapCode::NullExceptionReference);
  CTX->pc = PC + and_safepoint(1);
  CTX->fp = FP;
  if (!unwind(*CTX, e)) STOP();
  RESUME();
}

// ---- references and GC ----------------------------------------------------

WAFER_CC void ref_func(WAFER_PARAMS) {
  *SA = reinterpret_cast<Ref>(CTX->instance->funcs[ARG_LO(1)]);
  NEXT(words(2));
}
WAFER_CC void ref_is_null(WAFER_PARAMS) {
  const Slot v = *SB == 0;
  SET_ACC(v);
  *SA = v;
  NEXT(words(1));
}
WAFER_CC void ref_as_non_null(WAFER_PARAMS) {
  if (WAFER_UNLIKELY(*SB == 0)) TRAP(TrapCode::NullReference);
  NEXT(words(1));
}
WAFER_CC void ref_eq(WAFER_PARAMS) {
  *SA = *SB == *SC;
  NEXT(words(1));
}
WAFER_ALWAYS_INLINE bool matches(Activation* ctx, Ref r, bool nullable, Word heap) {
  if (!r) return nullable;
  return runtime::ref_matches(ctx->store->registry(), r, HeapType::from_bits(uint32_t(heap)));
}
WAFER_CC void check_descriptor(WAFER_PARAMS) {
  if (WAFER_UNLIKELY(*SB == 0)) TRAP(TrapCode::NullDescriptor);
  NEXT(words(1));
}
WAFER_CC void ref_test_desc(WAFER_PARAMS) {
  const Ref r = *SB, descriptor = *SC;
  if (WAFER_UNLIKELY(!descriptor)) TRAP(TrapCode::NullDescriptor);
  *SA = r ? runtime::descriptor_of(r) == descriptor : ARG(1);
  NEXT(words(2));
}
WAFER_CC void ref_cast_desc(WAFER_PARAMS) {
  const Ref r = *SB, descriptor = *SC;
  if (WAFER_UNLIKELY(!descriptor)) TRAP(TrapCode::NullDescriptor);
  if (WAFER_UNLIKELY(r ? runtime::descriptor_of(r) != descriptor : !ARG(1)))
    TRAP(TrapCode::DescriptorCastFailure);
  *SA = r;
  NEXT(words(2));
}
WAFER_CC void ref_test(WAFER_PARAMS) {
  *SA = matches(CTX, *SB, FC, ARG(1));
  NEXT(words(2));
}
WAFER_CC void ref_cast(WAFER_PARAMS) {
  const Ref r = *SB;
  if (WAFER_UNLIKELY(!matches(CTX, r, FC, ARG(1)))) TRAP(TrapCode::CastFailure);
  *SA = r;
  NEXT(words(2));
}
WAFER_CC void ref_i31(WAFER_PARAMS) {
  *SA = runtime::make_i31(uint32_t(*SB));
  NEXT(words(1));
}
template <bool Signed>
WAFER_CC void i31_get(WAFER_PARAMS) {
  const Ref r = *SB;
  if (WAFER_UNLIKELY(!r)) TRAP(TrapCode::NullI31Reference);
  *SA = Signed ? uint32_t(runtime::i31_get_s(r)) : runtime::i31_get_u(r);
  NEXT(words(1));
}

WAFER_CC void struct_new(WAFER_PARAMS) {
  CTX->pc = PC + and_safepoint(2);
  CTX->fp = FP;
  const auto* type = reinterpret_cast<const wasm::CanonType*>(uintptr_t(ARG(1)));
  GcObject* o = CTX->store->gc().new_struct(type);
  if (WAFER_UNLIKELY(!o)) TRAP(TrapCode::OutOfMemory);
  const Slot* s = SB;
  for (size_t i = 0; i < type->fields.size(); ++i) {
    const ValType t = type->fields[i].storage;
    runtime::store_storage(t, o->payload() + type->field_offsets[i], s);
    s += slot_count(t);
  }
  if (type->has_descriptor()) std::memcpy(o->payload() + type->descriptor_offset, s, sizeof(Ref));
  *SA = reinterpret_cast<Ref>(o);
  NEXT(and_safepoint(2));
}
WAFER_CC void struct_new_default(WAFER_PARAMS) {
  CTX->pc = PC + and_safepoint(2);
  CTX->fp = FP;
  const auto* type = reinterpret_cast<const wasm::CanonType*>(uintptr_t(ARG(1)));
  GcObject* o = CTX->store->gc().new_struct(type);
  if (WAFER_UNLIKELY(!o)) TRAP(TrapCode::OutOfMemory);
  if (type->has_descriptor()) std::memcpy(o->payload() + type->descriptor_offset, SB, sizeof(Ref));
  *SA = reinterpret_cast<Ref>(o);
  NEXT(and_safepoint(2));
}
template <class M, class T>
WAFER_CC void struct_get(WAFER_PARAMS) {
  GcObject* o = reinterpret_cast<GcObject*>(*SB);
  if (WAFER_UNLIKELY(!o)) TRAP(TrapCode::NullStructReference);
  *SA = T(load_aligned<M>(o->payload() + ARG(1)));
  NEXT(words(2));
}
WAFER_CC void struct_get128(WAFER_PARAMS) {
  GcObject* o = reinterpret_cast<GcObject*>(*SB);
  if (WAFER_UNLIKELY(!o)) TRAP(TrapCode::NullStructReference);
  std::memcpy(SA, o->payload() + ARG(1), 16);
  NEXT(words(2));
}
template <unsigned Bytes>
WAFER_CC void struct_set(WAFER_PARAMS) {
  GcObject* o = reinterpret_cast<GcObject*>(*SA);
  if (WAFER_UNLIKELY(!o)) TRAP(TrapCode::NullStructReference);
  runtime::store_low<Bytes>(o->payload() + ARG(1), SB);
  NEXT(words(2));
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
#define TYPE_WORD (reinterpret_cast<const wasm::CanonType*>(uintptr_t(ARG(1))))

WAFER_CC void array_new(WAFER_PARAMS) {
  const auto* type = TYPE_WORD;
  const uint64_t n = uint32_t(*SC);
  GcArray* a = make_array(CTX, type, n, PC + and_safepoint(2), FP);
  if (WAFER_UNLIKELY(!a)) STOP();
  fill_array(a, 0, n, SB);
  *SA = reinterpret_cast<Ref>(a);
  NEXT(and_safepoint(2));
}
WAFER_CC void array_new_default(WAFER_PARAMS) {
  GcArray* a = make_array(CTX, TYPE_WORD, uint32_t(*SC), PC + and_safepoint(2), FP);
  if (WAFER_UNLIKELY(!a)) STOP();
  *SA = reinterpret_cast<Ref>(a);
  NEXT(and_safepoint(2));
}
WAFER_CC void array_new_fixed(WAFER_PARAMS) {
  const auto* type = TYPE_WORD;
  const uint64_t n = ARG(2);
  GcArray* a = make_array(CTX, type, n, PC + and_safepoint(3), FP);
  if (WAFER_UNLIKELY(!a)) STOP();
  const ValType t = type->fields[0].storage;
  const Slot* s = SB;
  for (uint64_t i = 0; i < n; ++i, s += slot_count(t))
    runtime::store_storage(t, a->elements() + i * type->element_size, s);
  *SA = reinterpret_cast<Ref>(a);
  NEXT(and_safepoint(3));
}
WAFER_CC void array_new_data(WAFER_PARAMS) {
  const auto* type = TYPE_WORD;
  const uint64_t at = uint32_t(*SB), n = uint32_t(*SC);
  const Bytes data = CTX->instance->data(ARG_LO(2));
  const uint64_t bytes = n * type->element_size;
  if (WAFER_UNLIKELY(at > data.size() || bytes > data.size() - at)) TRAP_OUT_OF_BOUNDS();
  GcArray* a = make_array(CTX, type, n, PC + and_safepoint(3), FP);
  if (WAFER_UNLIKELY(!a)) STOP();
  runtime::store_numbers(a->elements(), data.data() + at, type->element_size, n);
  *SA = reinterpret_cast<Ref>(a);
  NEXT(and_safepoint(3));
}
WAFER_CC void array_new_elem(WAFER_PARAMS) {
  const uint64_t at = uint32_t(*SB), n = uint32_t(*SC);
  const Vec<Ref>& items = CTX->instance->elems[ARG_LO(2)];
  if (WAFER_UNLIKELY(at > items.size() || n > items.size() - at)) TRAP(TrapCode::TableOutOfBounds);
  GcArray* a = make_array(CTX, TYPE_WORD, n, PC + and_safepoint(3), FP);
  if (WAFER_UNLIKELY(!a)) STOP();
  if (n) std::memcpy(a->elements(), items.data() + at, n * sizeof(Ref));
  *SA = reinterpret_cast<Ref>(a);
  NEXT(and_safepoint(3));
}
template <class M, class T>
WAFER_CC void array_get(WAFER_PARAMS) {
  GcArray* a = reinterpret_cast<GcArray*>(*SB);
  if (WAFER_UNLIKELY(!a)) TRAP(TrapCode::NullArrayReference);
  const uint32_t i = uint32_t(*SC);
  if (WAFER_UNLIKELY(i >= a->length)) TRAP(TrapCode::ArrayOutOfBounds);
  *SA = T(load_aligned<M>(a->elements() + i * sizeof(M)));
  NEXT(words(1));
}
WAFER_CC void array_get128(WAFER_PARAMS) {
  GcArray* a = reinterpret_cast<GcArray*>(*SB);
  if (WAFER_UNLIKELY(!a)) TRAP(TrapCode::NullArrayReference);
  const uint32_t i = uint32_t(*SC);
  if (WAFER_UNLIKELY(i >= a->length)) TRAP(TrapCode::ArrayOutOfBounds);
  std::memcpy(SA, a->elements() + size_t(i) * 16, 16);
  NEXT(words(1));
}
template <unsigned Bytes>
WAFER_CC void array_set(WAFER_PARAMS) {
  GcArray* a = reinterpret_cast<GcArray*>(*SA);
  if (WAFER_UNLIKELY(!a)) TRAP(TrapCode::NullArrayReference);
  const uint32_t i = uint32_t(*SB);
  if (WAFER_UNLIKELY(i >= a->length)) TRAP(TrapCode::ArrayOutOfBounds);
  runtime::store_low<Bytes>(a->elements() + size_t(i) * Bytes, SC);
  NEXT(words(1));
}
WAFER_CC void array_len(WAFER_PARAMS) {
  GcArray* a = reinterpret_cast<GcArray*>(*SB);
  if (WAFER_UNLIKELY(!a)) TRAP(TrapCode::NullArrayReference);
  *SA = a->length;
  NEXT(words(1));
}
WAFER_CC void array_fill(WAFER_PARAMS) {
  GcArray* a = reinterpret_cast<GcArray*>(*SA);
  if (WAFER_UNLIKELY(!a)) TRAP(TrapCode::NullArrayReference);
  const uint64_t at = uint32_t(*SB), n = uint32_t(FP[ARG_LO(1)]);
  if (WAFER_UNLIKELY(at > a->length || n > a->length - at)) TRAP(TrapCode::ArrayOutOfBounds);
  fill_array(a, at, n, SC);
  NEXT(words(2));
}
WAFER_CC void array_copy(WAFER_PARAMS) {
  GcArray* to = reinterpret_cast<GcArray*>(*SA);
  GcArray* from = reinterpret_cast<GcArray*>(*SC);
  if (WAFER_UNLIKELY(!to || !from)) TRAP(TrapCode::NullArrayReference);
  const uint64_t at = uint32_t(*SB), src = uint32_t(FP[ARG_LO(1)]), n = uint32_t(FP[ARG_HI(1)]);
  if (WAFER_UNLIKELY(at > to->length || n > to->length - at || src > from->length ||
                     n > from->length - src))
    TRAP(TrapCode::ArrayOutOfBounds);
  const size_t size = to->type->element_size;
  std::memmove(to->elements() + at * size, from->elements() + src * size, n * size);
  NEXT(words(2));
}
WAFER_CC void array_init_data(WAFER_PARAMS) {
  GcArray* a = reinterpret_cast<GcArray*>(*SA);
  if (WAFER_UNLIKELY(!a)) TRAP(TrapCode::NullArrayReference);
  const uint64_t at = uint32_t(*SB), src = uint32_t(*SC), n = uint32_t(FP[ARG_LO(1)]);
  if (WAFER_UNLIKELY(at > a->length || n > a->length - at)) TRAP(TrapCode::ArrayOutOfBounds);
  const Bytes data = CTX->instance->data(ARG_HI(1));
  const size_t size = a->type->element_size;
  if (WAFER_UNLIKELY(src > data.size() || n * size > data.size() - src)) TRAP_OUT_OF_BOUNDS();
  runtime::store_numbers(a->elements() + at * size, data.data() + src, size, n);
  NEXT(words(2));
}
WAFER_CC void array_init_elem(WAFER_PARAMS) {
  GcArray* a = reinterpret_cast<GcArray*>(*SA);
  if (WAFER_UNLIKELY(!a)) TRAP(TrapCode::NullArrayReference);
  const uint64_t at = uint32_t(*SB), src = uint32_t(*SC), n = uint32_t(FP[ARG_LO(1)]);
  if (WAFER_UNLIKELY(at > a->length || n > a->length - at)) TRAP(TrapCode::ArrayOutOfBounds);
  const Vec<Ref>& items = CTX->instance->elems[ARG_HI(1)];
  if (WAFER_UNLIKELY(src > items.size() || n > items.size() - src))
    TRAP(TrapCode::TableOutOfBounds);
  if (n) std::memcpy(a->elements() + at * sizeof(Ref), items.data() + src, n * sizeof(Ref));
  NEXT(words(2));
}

template WAFER_CC void i31_get<true>(WAFER_PARAMS);
template WAFER_CC void i31_get<false>(WAFER_PARAMS);
template WAFER_CC void struct_get<int8_t, uint32_t>(WAFER_PARAMS);
template WAFER_CC void struct_get<uint8_t, uint32_t>(WAFER_PARAMS);
template WAFER_CC void struct_get<int16_t, uint32_t>(WAFER_PARAMS);
template WAFER_CC void struct_get<uint16_t, uint32_t>(WAFER_PARAMS);
template WAFER_CC void struct_get<uint32_t, uint32_t>(WAFER_PARAMS);
template WAFER_CC void struct_get<uint64_t, uint64_t>(WAFER_PARAMS);
template WAFER_CC void struct_set<1>(WAFER_PARAMS);
template WAFER_CC void struct_set<2>(WAFER_PARAMS);
template WAFER_CC void struct_set<4>(WAFER_PARAMS);
template WAFER_CC void struct_set<8>(WAFER_PARAMS);
template WAFER_CC void struct_set<16>(WAFER_PARAMS);
template WAFER_CC void array_get<int8_t, uint32_t>(WAFER_PARAMS);
template WAFER_CC void array_get<uint8_t, uint32_t>(WAFER_PARAMS);
template WAFER_CC void array_get<int16_t, uint32_t>(WAFER_PARAMS);
template WAFER_CC void array_get<uint16_t, uint32_t>(WAFER_PARAMS);
template WAFER_CC void array_get<uint32_t, uint32_t>(WAFER_PARAMS);
template WAFER_CC void array_get<uint64_t, uint64_t>(WAFER_PARAMS);
template WAFER_CC void array_set<1>(WAFER_PARAMS);
template WAFER_CC void array_set<2>(WAFER_PARAMS);
template WAFER_CC void array_set<4>(WAFER_PARAMS);
template WAFER_CC void array_set<8>(WAFER_PARAMS);
template WAFER_CC void array_set<16>(WAFER_PARAMS);

}  // namespace wafer::interp::handlers

#endif
