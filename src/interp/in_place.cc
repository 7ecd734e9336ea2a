// Runs bodies where they lie.
#include "interp/in_place_parts.h"
#include "interp/run.h"
#include "runtime/fiber.h"
#include "runtime/gc_storage.h"
#include "wasm/op_tables.h"

#if WAFER_HAS_IN_PLACE

namespace wafer::interp {

namespace {

using runtime::Memory;
using runtime::Table;

// Numbers of rows that a switch has no case for, which no byte is.
#define WAFER_NO_CASE(id, kind) (-1 - (kind) * 0x10000 - int(Opcode::id))

// Those that handlers run whatever comes have no case beside them.
#define WAFER_SLOW(id) kHasFast ? WAFER_NO_CASE(id, 4) : code::id

// ---- reading the body, which is valid

template <class T>
WAFER_NOINLINE T read_leb(const uint8_t*& at) {
  return take_leb<T>(at);
}
template <class T>
WAFER_ALWAYS_INLINE T leb(const uint8_t*& pc) {
  // Its address is taken, and that of the caller's is not.
  const uint8_t* at = pc;
  const T v = read_leb<T>(at);
  pc = at;
  return v;
}
WAFER_ALWAYS_INLINE uint32_t index(const uint8_t*& pc) {
  const uint32_t v = *pc++;
  if (WAFER_LIKELY(v < 0x80)) return v;
  --pc;
  return leb<uint32_t>(pc);
}
WAFER_ALWAYS_INLINE void skip(const uint8_t*& pc) {
  while (*pc++ & 0x80) {
  }
}
WAFER_ALWAYS_INLINE void skip_type(const uint8_t*& pc) {
  // A reference to a type that is told by its index.
  if (wasm::is_built(wasm::Feature::FunctionReferences) && (*pc == 0x63 || *pc == 0x64)) ++pc;
  skip(pc);
}

// ---- plain instructions

constexpr bool is_tail_call(int op) {
  return wasm::is_built(wasm::Feature::TailCall) &&
         (op == code::ReturnCall || op == code::ReturnCallIndirect || op == code::ReturnCallRef);
}

// An instruction on the operands below `sp`.
template <Opcode OP>
WAFER_ALWAYS_INLINE TrapCode numeric(Slot*& sp) {
  using In = typename Sem<OP>::In;
  using Out = typename Sem<OP>::Out;
  if constexpr (kBinary<OP>) --sp;
  Slot* const at = sp - 1;
  Out out{};
  const TrapCode trap = evaluate<OP>(get<In>(at, 0), get<In>(at, kBinary<OP> ? 1 : 0), out);
  if (trap == TrapCode::None) put<Out>(at, 0, out);
  return trap;
}

WAFER_ALWAYS_INLINE TrapCode numeric(int op, Slot*& sp) {
  sp -= kGroups.is_binary(op);
  return kGroups.run(op, sp - 1, sp, sp - 1);
}

constexpr auto kWidths = [] {
  std::array<uint8_t, far_kind(Opcode::I64Store32) + 1> widths{};
  for (unsigned i = 0; i < widths.size(); ++i)
    widths[i] = uint8_t(1 << wasm::kOpFacts[unsigned(Opcode::I32Load) + i].aux);
  return widths;
}();

// What follows the prefix 0xFC, except for conversions, on the operands below `sp`.
WAFER_NOINLINE TrapCode bulk(Activation& a, int op, const uint8_t*& at, Slot*& top) {
  Instance& instance = *a.instance;
  const uint8_t* pc = at;
  const uint32_t first = index(pc);
  uint32_t second = 0;
  if (op == code::MemoryInit || op == code::MemoryCopy || op == code::TableInit ||
      op == code::TableCopy)
    second = index(pc);
  at = pc;
  Slot* sp = top;
  if (op == code::DataDrop) {
    instance.data_dropped[first] = true;
    return TrapCode::None;
  }
  if (op == code::ElemDrop) {
    Vec<Ref>().swap(instance.elems[first]);
    return TrapCode::None;
  }
#if WAFER_HAS_ReferenceTypes
  if (op == code::TableSize) {
    put<uint32_t>(sp, 0, uint32_t(instance.tables[first]->size));
    top = sp + 1;
    return TrapCode::None;
  }
  if (op == code::TableGrow) {
    const auto before = uint32_t(instance.tables[first]->grow(get<uint32_t>(sp - 1, 0), sp[-2]));
    put<uint32_t>(sp - 2, 0, before);
    top = sp - 1;
    return TrapCode::None;
  }
#endif
  top = sp -= 3;
  const uint32_t x = get<uint32_t>(sp, 0), y = get<uint32_t>(sp, 1), z = get<uint32_t>(sp, 2);
  switch (op) {
    case code::MemoryInit:
      return instance.memories[second]->init(x, instance.data(first), y, z);
    case code::MemoryCopy:
      return Memory::copy(*instance.memories[first], x, *instance.memories[second], y, z);
    case code::MemoryFill:
      return instance.memories[first]->fill(x, uint8_t(y), z);
    case code::TableInit:
      return instance.tables[second]->init(x, instance.elems[first], y, z);
    case code::TableCopy:
      return Table::copy(*instance.tables[first], x, *instance.tables[second], y, z);
#if WAFER_HAS_ReferenceTypes
    case code::TableFill:
      return instance.tables[first]->fill(x, sp[1], z);
#endif
    default:
      __builtin_unreachable();
  }
}

}  // namespace

Slot* run_grouped(int op, Slot* sp) { return numeric(op, sp) == TrapCode::None ? sp : nullptr; }

void run_in_place(Activation& a, FuncCode* code, Slot* fp) {
  const CodeOptions& options = code->module->options;
  // Whether anything is to be done where stretches of code begin.
  const bool points = options.fuel || options.interruptible;
  const uint8_t *pc, *end;  // of the body
  const Word* table;        // the next entry
  Slot* sp;
  uint8_t* memory = nullptr;
  MemorySize memory_size = 0;
  FuncInst* func;
  TrapCode trap;
  bool poll;
  int op;  // a byte

#define WAFER_RELOAD()                           \
  do {                                           \
    if (const Memory* m = a.instance->memory0) { \
      memory = m->base;                          \
      memory_size = MemorySize(m->size_bytes()); \
    }                                            \
  } while (0)
#define WAFER_SAVE()                          \
  do {                                        \
    a.pc = reinterpret_cast<const Word*>(pc); \
    a.fp = fp;                                \
  } while (0)
#define WAFER_TRAP(code_) \
  do {                    \
    trap = code_;         \
    goto trapped;         \
  } while (0)

  WAFER_RELOAD();
  goto started;

  for (;;) {
    if constexpr (kHasFast) {
      Place place{pc, sp, fp, table, memory, memory_size, code, end, &a, points};
      run_fast(place);
      pc = place.pc;
      sp = place.sp;
      fp = place.fp;
      table = place.table;
      code = place.code;
      end = place.end;
    }
    op = *pc++;
    // The most frequent one.
    if (!kHasFast && op == code::LocalGet) {
      *sp++ = fp[index(pc)];
      continue;
    }
    switch (op) {
      case code::Unreachable:
        WAFER_TRAP(TrapCode::Unreachable);
      case WAFER_SLOW(Nop):
        continue;
      case code::Block:
        skip_type(pc);
        continue;
      case code::Loop:
        skip_type(pc);
        if (!points) continue;
        poll = true;
        goto charged;
      case code::If:
        if (get<uint32_t>(--sp, 0) == 0) goto branch;
        skip_type(pc);
        table += code->entry_words;
        if (!points) continue;
        poll = false;
        goto charged;
      case code::End:
        if (pc == end) goto returned;
        if (!points) continue;
        poll = false;
        goto charged;
      case code::BrIf:
        if (get<uint32_t>(--sp, 0) != 0) goto branch;
        skip(pc);
        table += code->entry_words;
        continue;
      case code::BrTable: {
        const uint32_t i = get<uint32_t>(--sp, 0);
        const uint8_t* at = pc;
        const uint32_t count = index(at);
        table += size_t(i < count ? i : count) * code->entry_words;
        goto branch;
      }
      case code::Else:
      case code::Br:
      branch: {
        const Branch to = read_branch(table, *code);
        pc += to.distance;
        table += to.step;
        sp = carry(fp + to.height, sp - to.count, to.count);
        if (!points) continue;
        poll = to.distance < 0;
        goto charged;
      }
      case code::Return:
      returned: {
        const Slot* const link = fp + code->link;
        sp = carry(fp, sp - code->result_slots, code->result_slots);
        fp = pointer_in<Slot>(link[1]);
        if (!fp) return;
        pc = pointer_in<const uint8_t>(link[0]);
        code = linked_code(link);
        table = linked_table(link);
        end = body_end(*code);
        Instance* const instance = pointer_in<Instance>(link[2]);
        if (WAFER_UNLIKELY(instance != a.instance)) {
          a.instance = instance;
          WAFER_RELOAD();
        }
        continue;
      }

      case code::Call:
        func = a.instance->funcs[index(pc)];
        goto called;
      case code::CallIndirect:
#if WAFER_HAS_TailCall
      case code::ReturnCallIndirect:
#endif
      {
        const uint32_t type = index(pc), in = index(pc), i = get<uint32_t>(--sp, 0);
        trap = resolve_indirect(*a.instance, in, a.instance->module->canon[type], i, func);
        if (WAFER_UNLIKELY(trap != TrapCode::None)) WAFER_TRAP(indirect_failed(*a.store, trap, i));
        goto called;
      }
#if WAFER_HAS_TailCall
      case code::ReturnCall:
        func = a.instance->funcs[index(pc)];
        goto called;
#endif
#if WAFER_HAS_FunctionReferences
      case code::CallRef:
#if WAFER_HAS_TailCall
      case code::ReturnCallRef:
#endif
        skip(pc);
        func = pointer_in<FuncInst>(*--sp);
        if (WAFER_UNLIKELY(!func)) WAFER_TRAP(TrapCode::NullFunctionReference);
        goto called;
#endif
      called: {
        Slot* args = sp - func->type->param_slots;
        const bool tail = is_tail_call(op);
        if (WAFER_LIKELY(func->call == &call_from_native)) {
          FuncCode* const callee = static_cast<FuncCode*>(func->code);
          if (WAFER_UNLIKELY(!callee->entry.load(std::memory_order_acquire))) {
            WAFER_SAVE();
            if (!ensure(*a.store, *callee)) WAFER_TRAP(translation_failed(*a.store, *callee));
          }
          // A tail call's frame takes the place of this one.
          Slot* const to = tail ? fp : args;
          if (WAFER_UNLIKELY(size_t(a.stack_limit - to) < callee->frame_slots))
            WAFER_TRAP(TrapCode::CallStackExhausted);
          if (tail) {
            Slot link[kInPlaceLinkSlots];
            std::memcpy(link, fp + code->link, sizeof link);
            std::memmove(to, args, callee->param_slots * sizeof(Slot));
            std::memcpy(to + callee->link, link, sizeof link);
            args = to;
          } else {
            set_link(args + callee->link, pc, fp, a.instance, code, table);
          }
          std::memset(args + callee->zero_begin, 0, callee->zero_count * sizeof(Slot));
          code = callee;
          fp = args;
          if (WAFER_UNLIKELY(func->instance != a.instance)) {
            a.instance = func->instance;
            WAFER_RELOAD();
          }
          goto started;
        }
        WAFER_SAVE();
        trap = call_out(a, func, args);
        if (WAFER_UNLIKELY(trap != TrapCode::None)) {
#if WAFER_HAS_Exceptions
          if (trap == TrapCode::UncaughtException) {
            // Handlers of a frame that is left do not count.
            const Slot* const link = fp + code->link;
            if (tail ? leave_frame_and_unwind(a, link[0], link[1], link[2]) : unwind_pending(a))
              goto caught;
            return;
          }
#endif
          WAFER_TRAP(trap);
        }
        WAFER_RELOAD();
        sp = args + func->type->result_slots;
        if (tail) goto returned;
        continue;
      }

#if WAFER_HAS_Exceptions
      case code::TryTable:
        skip_type(pc);
        for (uint32_t count = index(pc); count; --count) {
          // A tag, unless it catches all, and a label.
          if (*pc++ < uint8_t(wasm::CatchClause::Kind::CatchAll)) skip(pc);
          skip(pc);
        }
        continue;
      case code::Throw: {
        runtime::TagInst* const tag = a.instance->tags[index(pc)];
        WAFER_SAVE();
        auto* const e = a.store->gc().new_exception(tag);
        if (WAFER_UNLIKELY(!e)) WAFER_TRAP(TrapCode::OutOfMemory);
        const uint32_t count = tag->type->param_slots;
        std::memcpy(e->args(), sp - count, count * sizeof(Slot));
        if (unwind(a, reinterpret_cast<uintptr_t>(e))) goto caught;
        return;
      }
      case code::ThrowRef: {
        const Ref e = sp[-1];
        if (WAFER_UNLIKELY(e == runtime::kNullRef)) WAFER_TRAP(TrapCode::NullExceptionReference);
        WAFER_SAVE();
        if (unwind(a, e)) goto caught;
        return;
      }
      // The unwinder has put the activation to a handler.
      caught: {
        const Handler& h = *a.handler;
        pc = reinterpret_cast<const uint8_t*>(a.pc);
        fp = a.fp;
        code = static_cast<ModuleCodeImpl*>(a.instance->code.get())->find(a.pc);
        end = body_end(*code);
        table = code->code.data() + h.entry;
        sp = fp + h.dst + h.arity;
        WAFER_RELOAD();
        if (!points) continue;
        poll = true;
        goto charged;
      }
#endif

      case WAFER_SLOW(Drop):
        --sp;
        continue;
      case WAFER_SLOW(Select):
        sp -= 2;
        if (get<uint32_t>(sp, 1) == 0) sp[-1] = sp[0];
        continue;
#if WAFER_HAS_ReferenceTypes
      case code::SelectT:
        ++pc;  // of one type
        skip_type(pc);
        sp -= 2;
        if (get<uint32_t>(sp, 1) == 0) sp[-1] = sp[0];
        continue;
      case code::TableGet: {
        const Table& t = *a.instance->tables[index(pc)];
        const uint32_t i = get<uint32_t>(sp - 1, 0);
        if (WAFER_UNLIKELY(i >= t.size)) WAFER_TRAP(TrapCode::TableOutOfBounds);
        sp[-1] = t.elements[i];
        continue;
      }
      case code::TableSet: {
        const Table& t = *a.instance->tables[index(pc)];
        sp -= 2;
        const uint32_t i = get<uint32_t>(sp, 0);
        if (WAFER_UNLIKELY(i >= t.size)) WAFER_TRAP(TrapCode::TableOutOfBounds);
        t.elements[i] = sp[1];
        continue;
      }
      case code::RefNull:
        skip(pc);
        *sp++ = runtime::kNullRef;
        continue;
      case code::RefIsNull:
        put<uint32_t>(sp - 1, 0, sp[-1] == runtime::kNullRef);
        continue;
      case code::RefFunc:
        *sp++ = reinterpret_cast<uintptr_t>(a.instance->funcs[index(pc)]);
        continue;
#endif
#if WAFER_HAS_FunctionReferences
      case code::RefAsNonNull:
        if (WAFER_UNLIKELY(sp[-1] == runtime::kNullRef)) WAFER_TRAP(TrapCode::NullReference);
        continue;
      case code::BrOnNull:
        if (sp[-1] == runtime::kNullRef) {
          --sp;
          goto branch;
        }
        skip(pc);
        table += code->entry_words;
        continue;
      case code::BrOnNonNull:
        if (sp[-1] != runtime::kNullRef) goto branch;
        --sp;
        skip(pc);
        table += code->entry_words;
        continue;
#endif
      case code::LocalGet:  // where it was not taken before
        *sp++ = fp[index(pc)];
        continue;
      case code::LocalSet:
        fp[index(pc)] = *--sp;
        continue;
      case code::LocalTee:
        fp[index(pc)] = sp[-1];
        continue;
      case code::GlobalGet:
        *sp++ = a.instance->globals[index(pc)]->value[0];
        continue;
      case code::GlobalSet:
        a.instance->globals[index(pc)]->value[0] = *--sp;
        continue;

#define WAFER_OP(id, prefix, code_, text, imm, sig, aux, feature) \
  case Accessing<Opcode::id> ? int(code::id):                     \
    WAFER_NO_CASE(id, 0) :
#include "wasm/opcodes.def"
#undef WAFER_OP
        {
          uint32_t flags = index(pc);
          Memory* far = nullptr;
          if (wasm::is_built(wasm::Feature::MultiMemory) && WAFER_UNLIKELY(flags & 0x40))
            far = a.instance->memories[index(pc)];
          const uint32_t offset = index(pc);
          sp -= op >= code::I32Store ? 2 : 1;
          uint8_t* p = memory;
          MemorySize limit = memory_size;
          if (WAFER_UNLIKELY(far)) {
            p = far->base;
            limit = MemorySize(far->size_bytes());
          }
          MemorySize at = get<uint32_t>(sp, 0);
          const MemorySize width = kWidths[op - code::I32Load];
          if (__builtin_add_overflow(at, MemorySize(offset), &at) || at > limit ||
              width > limit - at)
            WAFER_TRAP(TrapCode::MemoryOutOfBounds);
          p += at;
          switch (op) {
#define WAFER_OP(id, prefix, code_, text, imm, sig, aux, feature)                          \
  case Accessing<Opcode::id> ? int(code::id):                                              \
    WAFER_NO_CASE(id, 0) : if constexpr (Accessing<Opcode::id>) access<Opcode::id>(p, sp); \
    continue;
#include "wasm/opcodes.def"
#undef WAFER_OP
            default:
              __builtin_unreachable();
          }
        }
      case code::MemorySize:
        put<uint32_t>(sp++, 0, uint32_t(a.instance->memories[index(pc)]->pages()));
        continue;
      case code::MemoryGrow: {
        Memory& m = *a.instance->memories[index(pc)];
        put<uint32_t>(sp - 1, 0, uint32_t(m.grow(get<uint32_t>(sp - 1, 0))));
        WAFER_RELOAD();
        continue;
      }

      case WAFER_SLOW(I32Const): {
        const uint32_t v = *pc++;
        // Of one byte, whose upper bit but one is the sign.
        put<uint32_t>(sp++, 0,
                      v < 0x80 ? uint32_t(int32_t(v << 25) >> 25) : uint32_t(leb<int32_t>(--pc)));
        continue;
      }
      case WAFER_SLOW(I64Const):
        *sp++ = uint64_t(leb<int64_t>(pc));
        continue;
      case WAFER_SLOW(F32Const):
        put<uint32_t>(sp++, 0, load_memory<uint32_t>(pc));
        pc += 4;
        continue;
      case WAFER_SLOW(F64Const):
        *sp++ = load_memory<uint64_t>(pc);
        pc += 8;
        continue;

#define WAFER_OP(id, prefix, code_, text, imm, sig, aux, feature)  \
  case has_case<Opcode::id>() && (prefix) == 0 ? int(code::id):    \
    WAFER_NO_CASE(id, 1) : if constexpr (has_case<Opcode::id>()) { \
      trap = numeric<Opcode::id>(sp);                              \
      if (WAFER_UNLIKELY(trap != TrapCode::None)) goto trapped;    \
    }                                                              \
    continue;
#include "wasm/opcodes.def"
#undef WAFER_OP

      case 0xFC: {
        op = op << 16 | int(index(pc));
        if (op <= code::I64TruncSatF64U) {
          op = int(group_number(op));
          goto grouped;
        }
        const uint8_t* at = pc;
        Slot* top = sp;
        trap = bulk(a, op, at, top);
        pc = at;
        sp = top;
        if (WAFER_UNLIKELY(trap != TrapCode::None)) goto trapped;
        continue;
      }
#define WAFER_OP(id, prefix, code_, text, imm, sig, aux, feature) \
  case is_grouped<Opcode::id>() && (prefix) == 0 ? int(code::id): \
    WAFER_NO_CASE(id, 2) :
#include "wasm/opcodes.def"
#undef WAFER_OP
      grouped:
        trap = numeric(op, sp);
        if (WAFER_UNLIKELY(trap != TrapCode::None)) goto trapped;
        continue;
      default:
        __builtin_unreachable();
    }

  started: {
    const Word* const entry = code->code.data();
    const uint8_t* const bytes = code->module->module.bytes.data();
    pc = bytes + uint32_t(*entry);
    end = bytes + uint32_t(*entry >> 32);
    table = entry + 1;
    sp = fp + code->link + kInPlaceLinkSlots;
    poll = true;
    if (!points) continue;
  }

    // Where a stretch of code begins.
  charged:
    if (options.fuel) {
      a.store->fuel -= uint32_t(*table);
      table += code->entry_words;
      if (WAFER_UNLIKELY(a.store->fuel < 0)) {
        WAFER_SAVE();
        if (!runtime::wait_for_fuel(*a.store)) WAFER_TRAP(TrapCode::OutOfFuel);
        WAFER_RELOAD();
      }
    }
    if (options.interruptible && poll &&
        WAFER_UNLIKELY(a.store->interrupt_flag.load(std::memory_order_relaxed))) {
      WAFER_SAVE();
      if (!runtime::wait_for_interrupt(*a.store)) WAFER_TRAP(TrapCode::Interrupted);
      WAFER_RELOAD();
    }
  }

trapped:
  a.trap = trap;
  WAFER_SAVE();
}

}  // namespace wafer::interp

#endif
