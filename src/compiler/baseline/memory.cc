// Memories, globals and tables; atomic accesses.
#include "compiler/baseline/codegen.h"

namespace wafer::compiler {

void BaselineCompiler::Impl::load_memory(uint8_t dst, uint32_t memory) {
  a_.load_word(dst, kContext, layout::kCtxMemories);
  a_.load_word(dst, dst, int64_t(memory) * 8);
}

void BaselineCompiler::Impl::load_table(uint8_t dst, uint32_t table) {
  a_.load_word(dst, kContext, layout::kCtxTables);
  a_.load_word(dst, dst, int64_t(table) * 8);
}

void BaselineCompiler::Impl::done_address(Operand& base) {
  release(base);
  if (address_temp_ != kNoRegister) free_gpr(address_temp_);
  address_temp_ = kNoRegister;
}

// A load of `width` bytes that, with `sign`, are extended to `type`.
void BaselineCompiler::Impl::load(const Instr& in, unsigned width, bool sign, ValType type) {
  Operand base = pop();
  const Mem m = address(in, base, width);
  if (is_fpr(type)) {
    const uint8_t dst = result_fpr();
    a_.load_fpr(dst, m, width);
    done_address(base);
    push_fpr(type, dst);
    return;
  }
  done_address(base);
  const uint8_t dst = result_gpr();
  a_.load_narrow(dst, m, width, sign, is_wide(type));
  push_gpr(type, dst);
}

void BaselineCompiler::Impl::store(const Instr& in, unsigned width) {
  Operand value = pop();
  Operand base = pop();
  const bool fpr = is_fpr(value.type);
  const bool immediate =
      value.kind == Kind::Const && !fpr && Machine::short_store(value.value, width);
  const uint8_t reg = immediate ? kNoRegister : fpr ? use_fpr(value) : use_gpr(value);
  const Mem m = address(in, base, width);
  // A store that traps writes nothing, not even what is within bounds.
  if (Machine::kStoresInParts && width > 1 && guarded(in.index)) a_.load_fpr(kScratchFpr, m, width);
  if (fpr) {
    a_.store_fpr(m, reg, width);
  } else if (immediate) {
    a_.store_imm(m, value.value, width);
  } else {
    a_.store_narrow(m, reg, width);
  }
  done_address(base);
  release(value);
}

Mem BaselineCompiler::Impl::global(uint32_t index) {
  if (index < module_.imported_globals) {
    a_.load_word(kScratch, kContext, layout::kCtxGlobals);
    a_.load_word(kScratch, kScratch, int64_t(index) * 8);
    return at(kScratch, layout::kGlobalValue);
  }
  a_.load_word(kScratch, kContext, layout::kCtxOwnGlobals);
  return at(kScratch, int64_t(index - module_.imported_globals) * layout::kGlobalBytes +
                          layout::kGlobalValue);
}

bool BaselineCompiler::Impl::visit_memory(const Instr& in) {
  using enum Opcode;
  switch (in.op) {
    case I32Load:
      load(in, 4, false, wasm::kI32);
      return true;
    case I64Load:
      load(in, 8, false, wasm::kI64);
      return true;
    case F32Load:
      load(in, 4, false, wasm::kF32);
      return true;
    case F64Load:
      load(in, 8, false, wasm::kF64);
      return true;
    case I32Load8S:
      load(in, 1, true, wasm::kI32);
      return true;
    case I32Load8U:
      load(in, 1, false, wasm::kI32);
      return true;
    case I32Load16S:
      load(in, 2, true, wasm::kI32);
      return true;
    case I32Load16U:
      load(in, 2, false, wasm::kI32);
      return true;
    case I64Load8S:
      load(in, 1, true, wasm::kI64);
      return true;
    case I64Load8U:
      load(in, 1, false, wasm::kI64);
      return true;
    case I64Load16S:
      load(in, 2, true, wasm::kI64);
      return true;
    case I64Load16U:
      load(in, 2, false, wasm::kI64);
      return true;
    case I64Load32S:
      load(in, 4, true, wasm::kI64);
      return true;
    case I64Load32U:
      load(in, 4, false, wasm::kI64);
      return true;
    case I32Store:
    case F32Store:
    case I64Store32:
      store(in, 4);
      return true;
    case I64Store:
    case F64Store:
      store(in, 8);
      return true;
    case I32Store8:
    case I64Store8:
      store(in, 1);
      return true;
    case I32Store16:
    case I64Store16:
      store(in, 2);
      return true;
    case V128Load:
      load(in, 16, false, wasm::kV128);
      return true;
    case V128Store:
      store(in, 16);
      return true;
    case MemorySize: {
      const wasm::MemoryType& type = module_.memories[in.index].type;
      const uint8_t dst = alloc_gpr();
      load_memory(dst, in.index);
      a_.load_word(dst, dst, layout::kMemorySize);
      if (type.page_size_log2) a_.shift_right(dst, type.page_size_log2);
      push_gpr(type.limits.address_type(), dst);
      return true;
    }
    case MemoryGrow:
      builtin(Builtin::memory_grow, {in.index}, 1,
              module_.memories[in.index].type.limits.address_type());
      return true;
    case MemoryFill:
      builtin(Builtin::memory_fill, {in.index}, 3, wasm::kBot);
      return true;
    case MemoryCopy:
      builtin(Builtin::memory_copy, {in.index, in.index2}, 3, wasm::kBot);
      return true;
    case MemoryInit:
      builtin(Builtin::memory_init, {in.index2, in.index}, 3, wasm::kBot);
      return true;
    case DataDrop:
      builtin(Builtin::data_drop, {in.index}, 0, wasm::kBot);
      return true;
    case GlobalGet: {
      const ValType type = module_.globals[in.index].type.type;
      const Mem m = global(in.index);
      if (is_fpr(type)) {
        const uint8_t dst = alloc_fpr();
        a_.load_fpr(dst, m, width_of(type));
        push_fpr(type, dst);
      } else {
        const uint8_t dst = alloc_gpr();
        a_.load_gpr(dst, m, is_wide(type));
        push_gpr(type, dst);
      }
      return true;
    }
    case GlobalSet: {
      const ValType type = module_.globals[in.index].type.type;
      Operand o = pop();
      if (o.kind != Kind::Const) {
        if (is_fpr(type)) {
          use_fpr(o);
        } else {
          use_gpr(o);
        }
      }
      o.type = type;
      store_mem(global(in.index), o);
      release(o);
      return true;
    }
    default:
      return false;
  }
}

bool BaselineCompiler::Impl::visit_table(const Instr& in) {
  using enum Opcode;
  switch (in.op) {
    case TableGet: {
      Operand index = pop();
      const uint8_t i = use_gpr(index);
      mark();
      load_table(kScratch, in.index);
      a_.compare(i, at(kScratch, layout::kTableSize), true);
      a_.branch(Cond::AboveEqual, trap(TrapCode::TableOutOfBounds));
      a_.load_word(kScratch, kScratch, layout::kTableElements);
      release(index);
      const uint8_t dst = alloc_gpr();
      a_.load_indexed_word(dst, kScratch, i);
      push_gpr(module_.tables[in.index].type.element, dst);
      return true;
    }
    case TableSet: {
      Operand value = pop(), index = pop();
      const uint8_t v = use_gpr(value);
      const uint8_t i = use_gpr(index);
      mark();
      load_table(kScratch, in.index);
      a_.compare(i, at(kScratch, layout::kTableSize), true);
      a_.branch(Cond::AboveEqual, trap(TrapCode::TableOutOfBounds));
      a_.load_word(kScratch, kScratch, layout::kTableElements);
      a_.store_indexed_word(kScratch, i, v);
      release(value);
      release(index);
      return true;
    }
    case TableSize: {
      const uint8_t dst = alloc_gpr();
      load_table(dst, in.index);
      a_.load_word(dst, dst, layout::kTableSize);
      push_gpr(module_.tables[in.index].type.limits.address_type(), dst);
      return true;
    }
    case TableGrow:
      builtin(Builtin::table_grow, {in.index}, 2,
              module_.tables[in.index].type.limits.address_type());
      return true;
    case TableFill:
      builtin(Builtin::table_fill, {in.index}, 3, wasm::kBot);
      return true;
    case TableCopy:
      builtin(Builtin::table_copy, {in.index, in.index2}, 3, wasm::kBot);
      return true;
    case TableInit:
      builtin(Builtin::table_init, {in.index2, in.index}, 3, wasm::kBot);
      return true;
    case ElemDrop:
      builtin(Builtin::elem_drop, {in.index}, 0, wasm::kBot);
      return true;
    default:
      return false;
  }
}

// ---- atomics ------------------------------------------------------------------------

// Atomic accesses check their alignment first: it does not depend on the memory's size.
void BaselineCompiler::Impl::check_alignment(const Instr& in, Operand& base, unsigned width) {
  if (width == 1) return;
  mark();
  a_.add_offset(kScratch, use_gpr(base), in.offset);
  a_.test_low_bits(kScratch, width - 1);
  a_.branch(Cond::NotEqual, trap(TrapCode::UnalignedAtomic));
}

// Turns the address on top into base + offset, as builtins take it.
void BaselineCompiler::Impl::effective_address(const Instr& in) {
  if (!in.offset) return;
  Operand base = pop();
  const uint8_t reg = own_gpr(base);
  a_.add_offset(reg, reg, in.offset);
  if (module_.memories[in.index].type.limits.is64) {
    mark();
    a_.branch(Cond::Carry, trap(TrapCode::MemoryOutOfBounds));
  }
  push_gpr(wasm::kI64, reg);
}

bool BaselineCompiler::Impl::visit_atomic(const Instr& in) {
  using enum Opcode;
  switch (in.op) {
    case AtomicFence:
      a_.fence();
      return true;
    case I32AtomicLoad:
      atomic_load(in, 4, wasm::kI32);
      return true;
    case I64AtomicLoad:
      atomic_load(in, 8, wasm::kI64);
      return true;
    case I32AtomicLoad8U:
      atomic_load(in, 1, wasm::kI32);
      return true;
    case I32AtomicLoad16U:
      atomic_load(in, 2, wasm::kI32);
      return true;
    case I64AtomicLoad8U:
      atomic_load(in, 1, wasm::kI64);
      return true;
    case I64AtomicLoad16U:
      atomic_load(in, 2, wasm::kI64);
      return true;
    case I64AtomicLoad32U:
      atomic_load(in, 4, wasm::kI64);
      return true;
    case I32AtomicStore:
    case I64AtomicStore32:
      atomic_store(in, 4);
      return true;
    case I64AtomicStore:
      atomic_store(in, 8);
      return true;
    case I32AtomicStore8:
    case I64AtomicStore8:
      atomic_store(in, 1);
      return true;
    case I32AtomicStore16:
    case I64AtomicStore16:
      atomic_store(in, 2);
      return true;
#define WAFER_RMW(NAME, OP)            \
  case I32AtomicRmw##NAME:             \
    atomic_rmw(in, 4, false, Rmw::OP); \
    return true;                       \
  case I64AtomicRmw##NAME:             \
    atomic_rmw(in, 8, true, Rmw::OP);  \
    return true;                       \
  case I32AtomicRmw8##NAME##U:         \
    atomic_rmw(in, 1, false, Rmw::OP); \
    return true;                       \
  case I32AtomicRmw16##NAME##U:        \
    atomic_rmw(in, 2, false, Rmw::OP); \
    return true;                       \
  case I64AtomicRmw8##NAME##U:         \
    atomic_rmw(in, 1, true, Rmw::OP);  \
    return true;                       \
  case I64AtomicRmw16##NAME##U:        \
    atomic_rmw(in, 2, true, Rmw::OP);  \
    return true;                       \
  case I64AtomicRmw32##NAME##U:        \
    atomic_rmw(in, 4, true, Rmw::OP);  \
    return true;
      WAFER_RMW(Add, Add)
      WAFER_RMW(Sub, Sub)
      WAFER_RMW(And, And)
      WAFER_RMW(Or, Or)
      WAFER_RMW(Xor, Xor)
      WAFER_RMW(Xchg, Exchange)
#undef WAFER_RMW
    case I32AtomicRmwCmpxchg:
      atomic_cmpxchg(in, 4, false);
      return true;
    case I64AtomicRmwCmpxchg:
      atomic_cmpxchg(in, 8, true);
      return true;
    case I32AtomicRmw8CmpxchgU:
      atomic_cmpxchg(in, 1, false);
      return true;
    case I32AtomicRmw16CmpxchgU:
      atomic_cmpxchg(in, 2, false);
      return true;
    case I64AtomicRmw8CmpxchgU:
      atomic_cmpxchg(in, 1, true);
      return true;
    case I64AtomicRmw16CmpxchgU:
      atomic_cmpxchg(in, 2, true);
      return true;
    case I64AtomicRmw32CmpxchgU:
      atomic_cmpxchg(in, 4, true);
      return true;
    case MemoryAtomicWait32:
    case MemoryAtomicWait64:
    case MemoryAtomicNotify: {
      const uint32_t others = in.op == MemoryAtomicNotify ? 1 : 2;
      // The address lies below the others, which settle first.
      if (in.offset) {
        Operand rest[2];
        for (uint32_t i = 0; i < others; ++i) rest[i] = pop();
        effective_address(in);
        for (uint32_t i = others; i-- > 0;) {
          Operand o = rest[i];
          const uint8_t reg = own_gpr(o);
          push_gpr(o.type, reg);
        }
      }
      builtin(in.op == MemoryAtomicWait32   ? Builtin::atomic_wait32
              : in.op == MemoryAtomicWait64 ? Builtin::atomic_wait64
                                            : Builtin::atomic_notify,
              {in.index}, others + 1, wasm::kI32);
      return true;
    }
    default:
      return false;
  }
}

}  // namespace wafer::compiler
