// Memories, globals and tables; atomic accesses.
#include "compiler/baseline/codegen.h"

namespace wafer::compiler {

bool BaselineCompiler::Impl::guarded(uint32_t memory) const {
  const wasm::MemoryType& type = module_.memories[memory].type;
  return options_.code.guard_pages && !type.limits.is64 && type.page_size_log2 == 16;
}

void BaselineCompiler::Impl::load_memory(uint8_t dst, uint32_t memory) {
  a_.mov(gp(dst, true), at(kContext, layout::kCtxMemories));
  a_.mov(gp(dst, true), at(dst, int64_t(memory) * 8));
}

void BaselineCompiler::Impl::load_table(uint8_t dst, uint32_t table) {
  a_.mov(gp(dst, true), at(kContext, layout::kCtxTables));
  a_.mov(gp(dst, true), at(dst, int64_t(table) * 8));
}

// Checks an access of `width` bytes where that is needed, and gives its operand. `base`
// has been popped; the scratch register is taken until done_address().
x86::Mem BaselineCompiler::Impl::address(const Instr& in, Operand& base, unsigned width) {
  const bool is64 = module_.memories[in.index].type.limits.is64;
  address_temp_ = kNoRegister;
  mark();
  if (guarded(in.index)) {
    const bool near = in.offset <= 0x7FFFFFFF;
    uint8_t origin = kMemory0;
    if (in.index != 0) {
      origin = alloc_gpr();
      address_temp_ = origin;
      load_memory(origin, in.index);
      a_.mov(gp(origin, true), at(origin, layout::kMemoryBase));
    }
    if (base.kind == Kind::Const) {
      const uint64_t ea = uint32_t(base.value) + in.offset;
      if (ea <= 0x7FFFFFFF) return at(origin, int64_t(ea));
      load_imm(kScratch, ea);
      return x86::ptr(gp(origin, true), gp(kScratch, true));
    }
    const uint8_t index = use_gpr(base);
    if (near) return x86::ptr(gp(origin, true), gp(index, true), 0, int32_t(in.offset));
    load_imm(kScratch, in.offset);
    a_.add(gp(kScratch, true), gp(index, true));
    return x86::ptr(gp(origin, true), gp(kScratch, true));
  }
  const uint8_t index = use_gpr(base);
  const uint64_t end = in.offset + width;
  const Label out = trap(TrapCode::MemoryOutOfBounds);
  // r11: where the access ends.
  if (!is64 && end <= 0x7FFFFFFF) {
    a_.lea(gp(kScratch, true), at(index, int64_t(end)));
  } else {
    if (end < width) a_.jmp(out);
    load_imm(kScratch, end);
    a_.add(gp(kScratch, true), gp(index, true));
    if (is64) jcc(Cond::Below, out);
  }
  const uint8_t memory = alloc_gpr();
  address_temp_ = memory;
  load_memory(memory, in.index);
  a_.cmp(gp(kScratch, true), at(memory, layout::kMemorySize));
  jcc(Cond::Above, out);
  a_.mov(gp(memory, true), at(memory, layout::kMemoryBase));
  return x86::ptr(gp(memory, true), gp(kScratch, true), 0, -int32_t(width));
}

void BaselineCompiler::Impl::done_address(Operand& base) {
  release(base);
  if (address_temp_ != kNoRegister) free_gpr(address_temp_);
  address_temp_ = kNoRegister;
}

void BaselineCompiler::Impl::load(const Instr& in, InstId inst, unsigned width, ValType type) {
  Operand base = pop();
  x86::Mem m = address(in, base, width);
  m.setSize(width);
  if (is_fpr(type)) {
    const uint8_t dst = alloc_xmm();
    a_.emit(inst, xmm(dst), m);
    done_address(base);
    push_xmm(type, dst);
    return;
  }
  const bool wide =
      is_wide(type) && !(inst == Inst::kIdMov && width == 4) && inst != Inst::kIdMovzx;
  done_address(base);
  const uint8_t dst = alloc_gpr();
  if (inst == Inst::kIdMov) {
    op_indexed(kMov, wide, dst, m, false);
  } else {
    a_.emit(inst, gp(dst, wide), m);
  }
  push_gpr(type, dst);
}

void BaselineCompiler::Impl::store(const Instr& in, unsigned width) {
  Operand value = pop();
  Operand base = pop();
  const bool fpr = is_fpr(value.type);
  const bool immediate = value.kind == Kind::Const && !fpr &&
                         (width <= 4 || int64_t(value.value) == int32_t(value.value));
  if (!immediate) {
    if (fpr) {
      use_xmm(value);
    } else {
      use_gpr(value);
    }
  }
  x86::Mem m = address(in, base, width);
  if (fpr) {
    store_xmm_mem(m, value.reg, value.type);
  } else if (immediate) {
    m.setSize(width);
    auto v = int64_t(value.value);
    if (width == 1) v = int8_t(v);
    if (width == 2) v = int16_t(v);
    a_.mov(m, int32_t(v));
  } else {
    const uint8_t reg = use_gpr(value);
    switch (width) {
      case 1:
        a_.mov(m, x86::gpb_lo(reg));
        break;
      case 2:
        a_.mov(m, x86::gpw(reg));
        break;
      default:
        op_indexed(kMov, width == 8, reg, m, true);
    }
  }
  done_address(base);
  release(value);
}

x86::Mem BaselineCompiler::Impl::global(uint32_t index, ValType type) {
  if (index < module_.imported_globals) {
    a_.mov(gp(kScratch, true), at(kContext, layout::kCtxGlobals));
    a_.mov(gp(kScratch, true), at(kScratch, int64_t(index) * 8));
    return at(kScratch, layout::kGlobalValue);
  }
  a_.mov(gp(kScratch, true), at(kContext, layout::kCtxOwnGlobals));
  return at(kScratch, int64_t(index - module_.imported_globals) * layout::kGlobalBytes +
                          layout::kGlobalValue);
}

bool BaselineCompiler::Impl::visit_memory(const Instr& in) {
  using enum Opcode;
  constexpr auto kMov = Inst::kIdMov, kZero = Inst::kIdMovzx, kSign = Inst::kIdMovsx;
  switch (in.op) {
    case I32Load:
      load(in, kMov, 4, wasm::kI32);
      return true;
    case I64Load:
      load(in, kMov, 8, wasm::kI64);
      return true;
    case F32Load:
      load(in, Inst::kIdMovss, 4, wasm::kF32);
      return true;
    case F64Load:
      load(in, Inst::kIdMovsd, 8, wasm::kF64);
      return true;
    case I32Load8S:
      load(in, kSign, 1, wasm::kI32);
      return true;
    case I32Load8U:
      load(in, kZero, 1, wasm::kI32);
      return true;
    case I32Load16S:
      load(in, kSign, 2, wasm::kI32);
      return true;
    case I32Load16U:
      load(in, kZero, 2, wasm::kI32);
      return true;
    case I64Load8S:
      load(in, kSign, 1, wasm::kI64);
      return true;
    case I64Load8U:
      load(in, kZero, 1, wasm::kI64);
      return true;
    case I64Load16S:
      load(in, kSign, 2, wasm::kI64);
      return true;
    case I64Load16U:
      load(in, kZero, 2, wasm::kI64);
      return true;
    case I64Load32S:
      load(in, Inst::kIdMovsxd, 4, wasm::kI64);
      return true;
    case I64Load32U:
      load(in, kMov, 4, wasm::kI64);
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
      load(in, Inst::kIdMovups, 16, wasm::kV128);
      return true;
    case V128Store:
      store(in, 16);
      return true;
    case MemorySize: {
      const wasm::MemoryType& type = module_.memories[in.index].type;
      const uint8_t dst = alloc_gpr();
      load_memory(dst, in.index);
      a_.mov(gp(dst, true), at(dst, layout::kMemorySize));
      if (type.page_size_log2) a_.shr(gp(dst, true), type.page_size_log2);
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
      const x86::Mem m = global(in.index, type);
      if (is_fpr(type)) {
        const uint8_t dst = alloc_xmm();
        load_xmm_mem(dst, m, type);
        push_xmm(type, dst);
      } else {
        const uint8_t dst = alloc_gpr();
        a_.mov(gp(dst, is_wide(type)), m);
        push_gpr(type, dst);
      }
      return true;
    }
    case GlobalSet: {
      const ValType type = module_.globals[in.index].type.type;
      Operand o = pop();
      if (o.kind != Kind::Const) {
        if (is_fpr(type)) {
          use_xmm(o);
        } else {
          use_gpr(o);
        }
      }
      o.type = type;
      const x86::Mem m = global(in.index, type);
      store_mem(m, o);
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
      a_.cmp(gp(i, true), at(kScratch, layout::kTableSize));
      jcc(Cond::AboveEqual, trap(TrapCode::TableOutOfBounds));
      a_.mov(gp(kScratch, true), at(kScratch, layout::kTableElements));
      release(index);
      const uint8_t dst = alloc_gpr();
      a_.mov(gp(dst, true), x86::ptr(gp(kScratch, true), gp(i, true), 3));
      push_gpr(module_.tables[in.index].type.element, dst);
      return true;
    }
    case TableSet: {
      Operand value = pop(), index = pop();
      const uint8_t v = use_gpr(value);
      const uint8_t i = use_gpr(index);
      mark();
      load_table(kScratch, in.index);
      a_.cmp(gp(i, true), at(kScratch, layout::kTableSize));
      jcc(Cond::AboveEqual, trap(TrapCode::TableOutOfBounds));
      a_.mov(gp(kScratch, true), at(kScratch, layout::kTableElements));
      a_.mov(x86::ptr(gp(kScratch, true), gp(i, true), 3), gp(v, true));
      release(value);
      release(index);
      return true;
    }
    case TableSize: {
      const uint8_t dst = alloc_gpr();
      load_table(dst, in.index);
      a_.mov(gp(dst, true), at(dst, layout::kTableSize));
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
  const uint8_t index = use_gpr(base);
  load_imm(kScratch, in.offset);
  a_.add(gp(kScratch, true), gp(index, true));
  a_.test(x86::gpb_lo(kScratch), width - 1);
  jcc(Cond::NotEqual, trap(TrapCode::UnalignedAtomic));
}

// Turns the address on top into base + offset, as builtins take it.
void BaselineCompiler::Impl::effective_address(const Instr& in) {
  if (!in.offset) return;
  Operand base = pop();
  const uint8_t reg = own_gpr(base);
  load_imm(kScratch, in.offset);
  a_.add(gp(reg, true), gp(kScratch, true));
  if (module_.memories[in.index].type.limits.is64) {
    mark();
    jcc(Cond::Below, trap(TrapCode::MemoryOutOfBounds));
  }
  push_gpr(wasm::kI64, reg);
}

void BaselineCompiler::Impl::atomic_cmpxchg(const Instr& in, unsigned width, bool wide) {
  Operand replacement = pop(), expected = pop(), base = pop();
  if (expected.kind == Kind::Gpr && expected.reg == kRax) {
    gpr_owner_[kRax] = kNone;
  } else {
    // The operands popped may be in rax themselves.
    Operand* held = base.kind == Kind::Gpr && base.reg == kRax                 ? &base
                    : replacement.kind == Kind::Gpr && replacement.reg == kRax ? &replacement
                                                                               : nullptr;
    if (held) {
      const uint8_t other = alloc_gpr();
      a_.mov(gp(other, true), x86::rax);
      held->reg = other;
    } else {
      claim_gpr(kRax);
    }
    load_gpr(kRax, expected);
    release(expected);
  }
  const uint8_t value = use_gpr(replacement);
  check_alignment(in, base, width);
  const x86::Mem m = address(in, base, width);
  // It compares no more of rax than the access is wide.
  a_.lock();
  switch (width) {
    case 1:
      a_.cmpxchg(m, x86::gpb_lo(value));
      a_.movzx(x86::eax, x86::al);
      break;
    case 2:
      a_.cmpxchg(m, x86::gpw(value));
      a_.movzx(x86::eax, x86::ax);
      break;
    case 4:
      a_.cmpxchg(m, gp(value, false));
      a_.mov(x86::eax, x86::eax);
      break;
    default:
      a_.cmpxchg(m, gp(value, true));
  }
  done_address(base);
  release(replacement);
  push_gpr(wide ? wasm::kI64 : wasm::kI32, kRax);
}

// `base` is the i32 operation of full width that stands for the group.
void BaselineCompiler::Impl::atomic_rmw(const Instr& in, unsigned width, bool wide, Opcode kind) {
  using enum Opcode;
  Operand value = pop(), base = pop();
  const bool loop = kind == I32AtomicRmwAnd || kind == I32AtomicRmwOr || kind == I32AtomicRmwXor;
  const auto sized = [&](uint8_t reg) -> x86::Gp {
    switch (width) {
      case 1:
        return x86::gpb_lo(reg);
      case 2:
        return x86::gpw(reg);
      default:
        return gp(reg, width == 8);
    }
  };
  const auto zero_extend = [&](uint8_t reg) {
    if (width < 4) a_.movzx(gp(reg, false), sized(reg));
    if (width == 4) a_.mov(gp(reg, false), gp(reg, false));
  };
  const ValType type = wide ? wasm::kI64 : wasm::kI32;
  if (loop) {
    Operand* held = base.kind == Kind::Gpr && base.reg == kRax     ? &base
                    : value.kind == Kind::Gpr && value.reg == kRax ? &value
                                                                   : nullptr;
    if (held) {
      const uint8_t other = alloc_gpr();
      a_.mov(gp(other, true), x86::rax);
      held->reg = other;
    } else {
      claim_gpr(kRax);
    }
  }
  const uint8_t v = loop ? use_gpr(value) : own_gpr(value);
  check_alignment(in, base, width);
  x86::Mem m = address(in, base, width);
  m.setSize(width);
  switch (kind) {
    case I32AtomicRmwSub:
      a_.neg(gp(v, true));
      [[fallthrough]];
    case I32AtomicRmwAdd:
      a_.lock().xadd(m, sized(v));
      break;
    case I32AtomicRmwXchg:
      a_.xchg(m, sized(v));
      break;
    default: {
      const uint8_t t = alloc_gpr();
      a_.mov(sized(kRax), m);
      const Label again = a_.newLabel();
      a_.bind(again);
      a_.mov(gp(t, true), x86::rax);
      a_.emit(kind == I32AtomicRmwAnd  ? Inst::kIdAnd
              : kind == I32AtomicRmwOr ? Inst::kIdOr
                                       : Inst::kIdXor,
              gp(t, true), gp(v, true));
      a_.lock().cmpxchg(m, sized(t));
      a_.jne(again);
      free_gpr(t);
    }
  }
  done_address(base);
  if (loop) {
    release(value);
    zero_extend(kRax);
    push_gpr(type, kRax);
  } else {
    zero_extend(v);
    push_gpr(type, v);
  }
}

bool BaselineCompiler::Impl::visit_atomic(const Instr& in) {
  using enum Opcode;
  const auto load_at = [&](InstId inst, unsigned width, ValType type) {
    Operand base = pop();
    check_alignment(in, base, width);
    x86::Mem m = address(in, base, width);
    m.setSize(width);
    done_address(base);
    const uint8_t dst = alloc_gpr();
    a_.emit(inst, gp(dst, width == 8), m);
    push_gpr(type, dst);
    return true;
  };
  const auto store_at = [&](unsigned width) {
    Operand value = pop(), base = pop();
    const uint8_t v = own_gpr(value);
    check_alignment(in, base, width);
    const x86::Mem m = address(in, base, width);
    switch (width) {
      case 1:
        a_.xchg(m, x86::gpb_lo(v));
        break;
      case 2:
        a_.xchg(m, x86::gpw(v));
        break;
      default:
        a_.xchg(m, gp(v, width == 8));
    }
    done_address(base);
    release(value);
    return true;
  };
  switch (in.op) {
    case AtomicFence:
      a_.mfence();
      return true;
    case I32AtomicLoad:
      return load_at(Inst::kIdMov, 4, wasm::kI32);
    case I64AtomicLoad:
      return load_at(Inst::kIdMov, 8, wasm::kI64);
    case I32AtomicLoad8U:
      return load_at(Inst::kIdMovzx, 1, wasm::kI32);
    case I32AtomicLoad16U:
      return load_at(Inst::kIdMovzx, 2, wasm::kI32);
    case I64AtomicLoad8U:
      return load_at(Inst::kIdMovzx, 1, wasm::kI64);
    case I64AtomicLoad16U:
      return load_at(Inst::kIdMovzx, 2, wasm::kI64);
    case I64AtomicLoad32U:
      return load_at(Inst::kIdMov, 4, wasm::kI64);
    case I32AtomicStore:
    case I64AtomicStore32:
      return store_at(4);
    case I64AtomicStore:
      return store_at(8);
    case I32AtomicStore8:
    case I64AtomicStore8:
      return store_at(1);
    case I32AtomicStore16:
    case I64AtomicStore16:
      return store_at(2);
#define WAFER_RMW(NAME)                           \
  case I32AtomicRmw##NAME:                        \
    atomic_rmw(in, 4, false, I32AtomicRmw##NAME); \
    return true;                                  \
  case I64AtomicRmw##NAME:                        \
    atomic_rmw(in, 8, true, I32AtomicRmw##NAME);  \
    return true;                                  \
  case I32AtomicRmw8##NAME##U:                    \
    atomic_rmw(in, 1, false, I32AtomicRmw##NAME); \
    return true;                                  \
  case I32AtomicRmw16##NAME##U:                   \
    atomic_rmw(in, 2, false, I32AtomicRmw##NAME); \
    return true;                                  \
  case I64AtomicRmw8##NAME##U:                    \
    atomic_rmw(in, 1, true, I32AtomicRmw##NAME);  \
    return true;                                  \
  case I64AtomicRmw16##NAME##U:                   \
    atomic_rmw(in, 2, true, I32AtomicRmw##NAME);  \
    return true;                                  \
  case I64AtomicRmw32##NAME##U:                   \
    atomic_rmw(in, 4, true, I32AtomicRmw##NAME);  \
    return true;
      WAFER_RMW(Add)
      WAFER_RMW(Sub)
      WAFER_RMW(And)
      WAFER_RMW(Or)
      WAFER_RMW(Xor)
      WAFER_RMW(Xchg)
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
