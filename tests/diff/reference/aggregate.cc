// Structs, arrays, i31 and casts (spec 4.4.5).
#include "evaluator.h"

namespace wafer::reference {

using runtime::GcArray;
using runtime::GcHeap;
using runtime::GcObject;
using runtime::Ref;
using runtime::TrapCode;
using wasm::CanonType;
using wasm::CompKind;
using wasm::HeapKind;
using wasm::Instr;
using wasm::Opcode;
using wasm::TypeKind;
using wasm::ValType;

namespace {

unsigned storage_bits(ValType storage) {
  switch (storage.kind()) {
    case TypeKind::I8:
      return 8;
    case TypeKind::I16:
      return 16;
    case TypeKind::I32:
    case TypeKind::F32:
      return 32;
    case TypeKind::V128:
      return 128;
    default:
      return 64;
  }
}

Nat read_bytes(const uint8_t* from, unsigned width) {
  Nat out = 0;
  for (unsigned i = 0; i < width / 8; ++i) out += Nat(from[i]) * pow2(8 * i);
  return out;
}
void write_bytes(uint8_t* to, unsigned width, Nat value) {
  for (unsigned i = 0; i < width / 8; ++i) to[i] = uint8_t(value / pow2(8 * i) % 256);
}

// unpackfield: `sign` is the suffix of struct.get and array.get.
Value unpacked(const uint8_t* at, ValType storage, char sign) {
  const unsigned width = storage_bits(storage);
  const Nat bits = read_bytes(at, width);
  if (!storage.is_packed()) return {storage.kind(), bits};
  return {TypeKind::I32, extend(width, 32, bits, sign == 's')};
}
// packfield
void pack(uint8_t* at, ValType storage, Nat value) {
  write_bytes(at, storage_bits(storage), value);
}

template <class T>
T* object(Ref ref) {
  return reinterpret_cast<T*>(uintptr_t(ref));
}
ValType element_type(const CanonType* type) { return type->fields[0].storage; }
uint8_t* element(GcArray* array, Nat i) {
  return array->elements() + size_t(i) * array->type->element_size;
}
char suffix(Opcode op) {
  const std::string_view name = wasm::opcode_info(op).text;
  return name.ends_with("_s") ? 's' : name.ends_with("_u") ? 'u' : ' ';
}

}  // namespace

// --- Structs and i31 -------------------------------------------------------------------

bool Evaluator::aggregate(const Instr& in, Frame& frame, Ending& out) {
  switch (in.op) {
    case Opcode::StructNew:
    case Opcode::StructNewDefault: {
      const CanonType* const type = frame.module.canon_type(in.index);
      GcObject* const o = store_.gc().new_struct(type);
      if (!o) {
        out = trap(TrapCode::OutOfMemory);
        return true;
      }
      for (size_t i = type->fields.size(); i--;)
        pack(o->payload() + type->field_offsets[i], type->fields[i].storage,
             in.op == Opcode::StructNew ? pop() : 0);
      push_ref(uintptr_t(o));
      return true;
    }
    case Opcode::StructGet:
    case Opcode::StructGetS:
    case Opcode::StructGetU: {
      const CanonType* const type = frame.module.canon_type(in.index);
      const Ref ref = pop_ref();
      if (ref == runtime::kNullRef) {
        out = trap(TrapCode::NullStructReference);
        return true;
      }
      values().push_back(unpacked(object<GcObject>(ref)->payload() + type->field_offsets[in.index2],
                                  type->fields[in.index2].storage, suffix(in.op)));
      return true;
    }
    case Opcode::StructSet: {
      const CanonType* const type = frame.module.canon_type(in.index);
      const Nat value = pop();
      const Ref ref = pop_ref();
      if (ref == runtime::kNullRef) {
        out = trap(TrapCode::NullStructReference);
        return true;
      }
      pack(object<GcObject>(ref)->payload() + type->field_offsets[in.index2],
           type->fields[in.index2].storage, value);
      return true;
    }
    case Opcode::RefI31:
      push_ref(runtime::make_i31(uint32_t(wrap(31, pop()))));
      return true;
    case Opcode::I31GetS:
    case Opcode::I31GetU: {
      const Ref ref = pop_ref();
      if (ref == runtime::kNullRef) {
        out = trap(TrapCode::NullI31Reference);
        return true;
      }
      const Nat bits = wrap(31, Nat(ref) / 2);  // the lowest bit of a Ref is its mark
      push(TypeKind::I32, extend(31, 32, bits, in.op == Opcode::I31GetS));
      return true;
    }
    case Opcode::AnyConvertExtern:
    case Opcode::ExternConvertAny:
      return true;  // both hierarchies have the same references
    default:
      return false;
  }
}

// --- Arrays ----------------------------------------------------------------------------

GcArray* Evaluator::make_array(const CanonType* type, Nat length, Ending& out) {
  GcArray* const array = store_.gc().new_array(type, uint64_t(length));
  // Which of the two limits of the implementation it is tells the engine.
  if (!array)
    out = trap(length * type->element_size > (Nat(1) << 30) ? TrapCode::AllocationTooLarge
                                                            : TrapCode::OutOfMemory);
  return array;
}

bool Evaluator::array(const Instr& in, Frame& frame, Ending& out) {
  const auto null_array = [&](Ref ref) {
    if (ref == runtime::kNullRef) out = trap(TrapCode::NullArrayReference);
    return ref == runtime::kNullRef;
  };
  const auto outside = [&](bool is_outside, TrapCode code = TrapCode::ArrayOutOfBounds) {
    if (is_outside) out = trap(code);
    return is_outside;
  };
  if (in.op == Opcode::ArrayLen) {
    const Ref ref = pop_ref();
    if (!null_array(ref)) push(TypeKind::I32, object<GcArray>(ref)->length);
    return true;
  }
  if (in.op < Opcode::ArrayNew || in.op > Opcode::ArrayInitElem) return false;
  const CanonType* const type = frame.module.canon_type(in.index);
  const ValType storage = element_type(type);
  switch (in.op) {
    case Opcode::ArrayNew:
    case Opcode::ArrayNewDefault: {
      const Nat n = pop();
      GcArray* const a = make_array(type, n, out);  // what it is filled with is still a root
      if (!a) return true;
      const Nat value = in.op == Opcode::ArrayNew ? pop() : 0;
      for (Nat i = 0; i < n; ++i) pack(element(a, i), storage, value);
      push_ref(uintptr_t(a));
      return true;
    }
    case Opcode::ArrayNewFixed: {
      GcArray* const a = make_array(type, in.index2, out);
      if (!a) return true;
      for (Nat i = in.index2; i-- > 0;) pack(element(a, i), storage, pop());
      push_ref(uintptr_t(a));
      return true;
    }
    case Opcode::ArrayNewData: {
      const Bytes data = frame.instance.data(in.index2);
      const unsigned width = storage_bits(storage);
      const Nat n = pop(), s = pop();
      if (outside(s + n * width / 8 > data.size(), TrapCode::MemoryOutOfBounds)) return true;
      GcArray* const a = make_array(type, n, out);
      if (!a) return true;
      for (Nat i = 0; i < n; ++i)
        pack(element(a, i), storage, read_bytes(data.data() + size_t(s + i * width / 8), width));
      push_ref(uintptr_t(a));
      return true;
    }
    case Opcode::ArrayNewElem: {
      const auto& items = frame.instance.elems[in.index2];
      const Nat n = pop(), s = pop();
      if (outside(s + n > items.size(), TrapCode::TableOutOfBounds)) return true;
      GcArray* const a = make_array(type, n, out);
      if (!a) return true;
      for (Nat i = 0; i < n; ++i) pack(element(a, i), storage, items[size_t(s + i)]);
      push_ref(uintptr_t(a));
      return true;
    }
    case Opcode::ArrayGet:
    case Opcode::ArrayGetS:
    case Opcode::ArrayGetU: {
      const Nat i = pop();
      const Ref ref = pop_ref();
      if (null_array(ref) || outside(i >= object<GcArray>(ref)->length)) return true;
      values().push_back(unpacked(element(object<GcArray>(ref), i), storage, suffix(in.op)));
      return true;
    }
    case Opcode::ArraySet: {
      const Nat value = pop(), i = pop();
      const Ref ref = pop_ref();
      if (null_array(ref) || outside(i >= object<GcArray>(ref)->length)) return true;
      pack(element(object<GcArray>(ref), i), storage, value);
      return true;
    }
    case Opcode::ArrayFill: {
      const Nat n = pop(), value = pop(), d = pop();
      const Ref ref = pop_ref();
      if (null_array(ref) || outside(d + n > object<GcArray>(ref)->length)) return true;
      for (Nat i = 0; i < n; ++i) pack(element(object<GcArray>(ref), d + i), storage, value);
      return true;
    }
    case Opcode::ArrayCopy: {
      const Nat n = pop(), s = pop();
      const Ref from = pop_ref();
      const Nat d = pop();
      const Ref to = pop_ref();
      if (null_array(to) || null_array(from) || outside(d + n > object<GcArray>(to)->length) ||
          outside(s + n > object<GcArray>(from)->length))
        return true;
      const unsigned width = storage_bits(storage);
      std::vector<Nat> copied;
      for (Nat i = 0; i < n; ++i)
        copied.push_back(read_bytes(element(object<GcArray>(from), s + i), width));
      for (Nat i = 0; i < n; ++i)
        write_bytes(element(object<GcArray>(to), d + i), width, copied[size_t(i)]);
      return true;
    }
    case Opcode::ArrayInitData: {
      const Bytes data = frame.instance.data(in.index2);
      const unsigned width = storage_bits(storage);
      const Nat n = pop(), s = pop(), d = pop();
      const Ref ref = pop_ref();
      if (null_array(ref) || outside(d + n > object<GcArray>(ref)->length) ||
          outside(s + n * width / 8 > data.size(), TrapCode::MemoryOutOfBounds))
        return true;
      for (Nat i = 0; i < n; ++i)
        pack(element(object<GcArray>(ref), d + i), storage,
             read_bytes(data.data() + size_t(s + i * width / 8), width));
      return true;
    }
    case Opcode::ArrayInitElem: {
      const auto& items = frame.instance.elems[in.index2];
      const Nat n = pop(), s = pop(), d = pop();
      const Ref ref = pop_ref();
      if (null_array(ref) || outside(d + n > object<GcArray>(ref)->length) ||
          outside(s + n > items.size(), TrapCode::TableOutOfBounds))
        return true;
      for (Nat i = 0; i < n; ++i)
        pack(element(object<GcArray>(ref), d + i), storage, items[size_t(s + i)]);
      return true;
    }
    default:
      return false;
  }
}

// --- Casts -----------------------------------------------------------------------------

// Does a reference that is not null have the type?
bool Evaluator::matches(Ref ref, wasm::HeapType heap) const {
  const wasm::TypeRegistry& registry = store_.registry();
  if (heap.is_concrete()) {
    const CanonType* const want = registry.get(heap.index());
    const CanonType* have = nullptr;
    if (want->kind == CompKind::Func) {
      have = object<runtime::FuncInst>(ref)->type;
    } else if (!runtime::is_i31(ref)) {
      have = object<GcObject>(ref)->type;
      if (have == &GcHeap::kHostType || have == &GcHeap::kExceptionType) return false;
    }
    if (!have) return false;
    return heap.is_exact() ? have->id == want->id : type_matches(*have, *want);
  }
  const auto is = [&](CompKind kind) {
    if (runtime::is_i31(ref)) return false;
    const CanonType* const type = object<GcObject>(ref)->type;
    return type != &GcHeap::kHostType && type != &GcHeap::kExceptionType && type->kind == kind;
  };
  switch (heap.kind()) {
    case HeapKind::Func:
    case HeapKind::Extern:
    case HeapKind::Any:
    case HeapKind::Exn:
      return true;  // validation has seen to the hierarchy
    case HeapKind::I31:
      return runtime::is_i31(ref);
    case HeapKind::Struct:
      return is(CompKind::Struct);
    case HeapKind::Array:
      return is(CompKind::Array);
    case HeapKind::Eq:
      return runtime::is_i31(ref) || is(CompKind::Struct) || is(CompKind::Array);
    default:
      return false;
  }
}

bool Evaluator::cast(const Instr& in, Frame& frame, Ending& out) {
  const auto has_type = [&](Ref ref, wasm::HeapType heap, bool nullable) {
    if (ref == runtime::kNullRef) return nullable;
    return matches(ref, frame.module.canonical(heap));
  };
  switch (in.op) {
    case Opcode::RefTest:
    case Opcode::RefTestNull:
      push(TypeKind::I32, has_type(pop_ref(), in.heap, in.op == Opcode::RefTestNull));
      return true;
    case Opcode::RefCast:
    case Opcode::RefCastNull:
      if (!has_type(Ref(values().back().bits), in.heap, in.op == Opcode::RefCastNull))
        out = trap(TrapCode::CastFailure);
      return true;
    case Opcode::BrOnCast:
      if (has_type(Ref(values().back().bits), in.heap2, in.null2)) out = branch(in.index);
      return true;
    case Opcode::BrOnCastFail:
      if (!has_type(Ref(values().back().bits), in.heap2, in.null2)) out = branch(in.index);
      return true;
    default:
      return false;
  }
}

// --- Custom descriptors ----------------------------------------------------------------

bool Evaluator::descriptor(const Instr& in, Frame& frame, Ending& out) {
  const auto place = [](GcObject* o) { return o->payload() + o->type->descriptor_offset; };
  // Null if it has none.
  const auto descriptor_of = [&](Ref ref) {
    if (ref == runtime::kNullRef || runtime::is_i31(ref)) return runtime::kNullRef;
    auto* const o = object<GcObject>(ref);
    return o->type->kind == CompKind::Struct && o->type->has_descriptor()
               ? Ref(read_bytes(place(o), 64))
               : runtime::kNullRef;
  };
  const auto is_null_descriptor = [&](Ref ref) {
    if (ref == runtime::kNullRef) out = trap(TrapCode::NullDescriptor);
    return ref == runtime::kNullRef;
  };
  const auto cast_succeeds = [&](Ref ref, Ref expected, bool nullable) {
    return ref == runtime::kNullRef ? nullable : descriptor_of(ref) == expected;
  };
  switch (in.op) {
    case Opcode::StructNewDesc:
    case Opcode::StructNewDefaultDesc: {
      const CanonType* const type = frame.module.canon_type(in.index);
      if (is_null_descriptor(Ref(values().back().bits))) return true;
      GcObject* const o = store_.gc().new_struct(type);
      if (!o) {
        out = trap(TrapCode::OutOfMemory);
        return true;
      }
      write_bytes(place(o), 64, pop());
      for (size_t i = type->fields.size(); i--;)
        pack(o->payload() + type->field_offsets[i], type->fields[i].storage,
             in.op == Opcode::StructNewDesc ? pop() : 0);
      push_ref(uintptr_t(o));
      return true;
    }
    case Opcode::RefGetDesc: {
      const Ref ref = pop_ref();
      if (ref == runtime::kNullRef)
        out = trap(TrapCode::NullReference);
      else
        push_ref(descriptor_of(ref));
      return true;
    }
    case Opcode::RefCastDescEq:
    case Opcode::RefCastDescEqNull: {
      const Ref expected = pop_ref();
      if (is_null_descriptor(expected)) return true;
      if (!cast_succeeds(Ref(values().back().bits), expected, in.op == Opcode::RefCastDescEqNull))
        out = trap(TrapCode::DescriptorCastFailure);
      return true;
    }
    case Opcode::BrOnCastDescEq:
    case Opcode::BrOnCastDescEqFail: {
      const Ref expected = pop_ref();
      if (is_null_descriptor(expected)) return true;
      const bool succeeds = cast_succeeds(Ref(values().back().bits), expected, in.null2);
      if (succeeds == (in.op == Opcode::BrOnCastDescEq)) out = branch(in.index);
      return true;
    }
    default:
      return false;
  }
}

}  // namespace wafer::reference
