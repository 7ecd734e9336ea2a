// Variables, tables and references (spec 4.4.4, 4.4.6, 4.4.7).
#include "evaluator.h"

namespace wafer::reference {

using runtime::Ref;
using runtime::Slot;
using runtime::TrapCode;
using wasm::Instr;
using wasm::Opcode;
using wasm::TypeKind;

bool Evaluator::variable(const Instr& in, Frame& frame) {
  switch (in.op) {
    case Opcode::LocalGet:
      values().push_back(frame.locals[in.index]);
      return true;
    case Opcode::LocalSet:
      frame.locals[in.index].bits = pop();
      return true;
    case Opcode::LocalTee:
      frame.locals[in.index].bits = values().back().bits;
      return true;
    case Opcode::GlobalGet: {
      const runtime::GlobalInst& g = *frame.instance.globals[in.index];
      const TypeKind kind = g.type.type.kind();
      Nat bits = g.value[0];
      if (kind == TypeKind::I32 || kind == TypeKind::F32) bits = wrap(32, bits);
      if (kind == TypeKind::V128) bits += Nat(g.value[1]) * pow2(64);
      push(kind, bits);
      return true;
    }
    case Opcode::GlobalSet: {
      runtime::GlobalInst& g = *frame.instance.globals[in.index];
      const Nat bits = pop();
      g.value[0] = Slot(bits % pow2(64));
      if (g.type.type.kind() == TypeKind::V128) g.value[1] = Slot(bits / pow2(64));
      return true;
    }
    default:
      return false;
  }
}

bool Evaluator::table(const Instr& in, Frame& frame, Ending& out) {
  const auto out_of_bounds = [&] { out = trap(TrapCode::TableOutOfBounds); };
  switch (in.op) {
    case Opcode::TableGet: {
      const runtime::Table& t = *frame.instance.tables[in.index];
      const Nat i = pop();
      if (i >= t.size) return out_of_bounds(), true;
      push_ref(t.elements[size_t(i)]);
      return true;
    }
    case Opcode::TableSet: {
      runtime::Table& t = *frame.instance.tables[in.index];
      const Ref value = pop_ref();
      const Nat i = pop();
      if (i >= t.size) return out_of_bounds(), true;
      t.elements[size_t(i)] = value;
      return true;
    }
    case Opcode::TableSize: {
      const runtime::Table& t = *frame.instance.tables[in.index];
      push_address(t.type().limits.is64, t.size);
      return true;
    }
    case Opcode::TableGrow: {
      runtime::Table& t = *frame.instance.tables[in.index];
      const Nat delta = pop();
      const Ref value = pop_ref();
      const wasm::TableType type = t.type();
      const bool is64 = type.limits.is64;
      Nat most = is64 ? pow2(64) - 1 : pow2(32) - 1;
      if (type.limits.has_max && type.limits.max < most) most = type.limits.max;
      const Nat old = t.size;
      // It may fail at any time, and must beyond the maximum.
      Nat result = is64 ? pow2(64) - 1 : pow2(32) - 1;
      if (old + delta <= most && t.grow(uint64_t(delta), value) != ~uint64_t{0}) {
        result = old;
        if (t.size != old + delta) out = trap(TrapCode::HostError, "table.grow: wrong size");
        for (Nat i = old; i < t.size; ++i) t.elements[size_t(i)] = value;
      }
      push_address(is64, result);
      return true;
    }
    case Opcode::TableFill: {
      runtime::Table& t = *frame.instance.tables[in.index];
      const Nat n = pop();
      const Ref value = pop_ref();
      const Nat i = pop();
      if (i + n > t.size) return out_of_bounds(), true;
      for (Nat k = 0; k < n; ++k) t.elements[size_t(i + k)] = value;
      return true;
    }
    case Opcode::TableCopy: {
      runtime::Table& to = *frame.instance.tables[in.index];
      const runtime::Table& from = *frame.instance.tables[in.index2];
      const Nat n = pop(), s = pop(), d = pop();
      if (s + n > from.size || d + n > to.size) return out_of_bounds(), true;
      std::vector<Ref> items;
      for (Nat k = 0; k < n; ++k) items.push_back(from.elements[size_t(s + k)]);
      for (Nat k = 0; k < n; ++k) to.elements[size_t(d + k)] = items[size_t(k)];
      return true;
    }
    case Opcode::TableInit: {
      const auto& segment = frame.instance.elems[in.index];
      runtime::Table& to = *frame.instance.tables[in.index2];
      const Nat n = pop(), s = pop(), d = pop();
      if (s + n > segment.size() || d + n > to.size) return out_of_bounds(), true;
      for (Nat k = 0; k < n; ++k) to.elements[size_t(d + k)] = segment[size_t(s + k)];
      return true;
    }
    case Opcode::ElemDrop:
      frame.instance.elems[in.index].clear();
      return true;
    default:
      return false;
  }
}

bool Evaluator::reference(const Instr& in, Frame& frame, Ending& out) {
  switch (in.op) {
    case Opcode::RefNull:
      push_ref(runtime::kNullRef);
      return true;
    case Opcode::RefIsNull:
      push(TypeKind::I32, pop_ref() == runtime::kNullRef);
      return true;
    case Opcode::RefFunc:
      push_ref(uintptr_t(frame.instance.funcs[in.index]));
      return true;
    case Opcode::RefEq: {
      const Ref b = pop_ref(), a = pop_ref();
      push(TypeKind::I32, a == b);
      return true;
    }
    case Opcode::RefAsNonNull:
      if (values().back().bits == runtime::kNullRef) out = trap(TrapCode::NullReference);
      return true;
    case Opcode::BrOnNull: {
      const Ref ref = pop_ref();
      if (ref == runtime::kNullRef)
        out = branch(in.index);
      else
        push_ref(ref);
      return true;
    }
    case Opcode::BrOnNonNull: {
      const Ref ref = pop_ref();
      if (ref == runtime::kNullRef) return true;
      push_ref(ref);
      out = branch(in.index);
      return true;
    }
    default:
      return false;
  }
}

}  // namespace wafer::reference
