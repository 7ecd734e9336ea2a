// Handlers of frequent instructions that are run where they lie, on processors whose registers can
// be reserved: each ends in a jump to the next. One that cannot go on leaves all as it was before
// the instruction, which the loop of in_place.cc takes then.
#include "interp/exec.h"

#if WAFER_REGS && WAFER_HAS_IN_PLACE

#include "interp/in_place_parts.h"
#include "interp/run.h"

// Whatever the system's flags are: calls that -O1 leaves as such would fill the stack.
#pragma GCC optimize("optimize-sibling-calls")

namespace wafer::interp {

namespace {

#if defined(__thumb2__)
#define WAFER_REG(arm, riscv) __asm__(arm)
#else
#define WAFER_REG(arm, riscv) __asm__(riscv)
#endif
using Fast = void (*)();
register const uint8_t* PC WAFER_REG("r4", "s1");
register Slot* SP WAFER_REG("r5", "s2");
register Slot* FP WAFER_REG("r6", "s3");
register uint8_t* MEM WAFER_REG("r7", "s4");
register Place* CTX WAFER_REG("r8", "s5");
register const Fast* TBL WAFER_REG("r9", "s6");
register uint32_t MEMORY_SIZE WAFER_REG("r10", "s7");
register const Word* TABLE WAFER_REG("r11", "s8");

#if defined(__thumb2__)
#define GO()                                                     \
  do {                                                           \
    uint32_t op_;                                                \
    __asm__ volatile("ldrb %0, [%1], #1" : "=r"(op_), "+r"(PC)); \
    return TBL[op_]();                                           \
  } while (0)
#else
#define GO() return TBL[*PC++]()
#endif

// To the loop, at the opcode.
void leave() { --PC; }

// ---- control

void branch() {
  const Branch to = read_branch(TABLE, *CTX->code);
  PC += to.distance;
  TABLE += to.step;
  SP = carry(FP + to.height, SP - to.count, to.count);
  GO();
}
void br() {
  if (CTX->points) return leave();
  return branch();
}
// A br_if on `condition`, which has been taken off the stack.
WAFER_NOINLINE void br_on(uint32_t condition) {
  if (condition) {
    if (!CTX->points) return branch();
    put<uint32_t>(SP++, 0, condition);
    return leave();
  }
  while (*PC++ & 0x80) {
  }
  TABLE += CTX->code->entry_words;
  GO();
}
void br_if() { return br_on(get<uint32_t>(--SP, 0)); }
// What a comparison gives mostly goes to such a branch at once.
WAFER_NOINLINE void compared(uint32_t condition) {
  if (*PC == code::BrIf) {
    ++PC;
    return br_on(condition);
  }
  put<uint32_t>(SP++, 0, condition);
  GO();
}
bool is_short_type(uint32_t byte) { return byte < 0x80 && byte != 0x63 && byte != 0x64; }
void block() {
  if (!is_short_type(*PC)) return leave();
  ++PC;
  GO();
}
void loop() {
  if (CTX->points) return leave();
  return block();
}
void if_() {
  if (CTX->points || !is_short_type(*PC)) return leave();
  if (get<uint32_t>(--SP, 0) == 0) return branch();
  ++PC;
  TABLE += CTX->code->entry_words;
  GO();
}
void return_() {
  const FuncCode& code = *CTX->code;
  const Slot* const link = FP + code.link;
  Slot* const caller = pointer_in<Slot>(link[1]);
  if (!caller || pointer_in<Instance>(link[2]) != CTX->activation->instance) return leave();
  SP = carry(FP, SP - code.result_slots, code.result_slots);
  FP = caller;
  PC = pointer_in<const uint8_t>(link[0]);
  FuncCode* const back = linked_code(link);
  CTX->code = back;
  TABLE = linked_table(link);
  CTX->end = body_end(*back);
  GO();
}
void end() {
  if (PC == CTX->end) return return_();
  if (CTX->points) return leave();
  GO();
}
void call() {
  const Activation& a = *CTX->activation;
  const uint32_t index = *PC;
  if (CTX->points || index >= 0x80) return leave();
  const FuncInst* const func = a.instance->funcs[index];
  FuncCode* const callee = static_cast<FuncCode*>(func->code);
  if (func->call != &call_from_native || func->instance != a.instance ||
      !callee->entry.load(std::memory_order_acquire))
    return leave();
  Slot* const args = SP - callee->param_slots;
  if (size_t(a.stack_limit - args) < callee->frame_slots) return leave();
  set_link(args + callee->link, PC + 1, FP, a.instance, CTX->code, TABLE);
  Slot* zero = args + callee->zero_begin;
  for (uint32_t count = callee->zero_count; count; --count) *zero++ = 0;
  FP = args;
  CTX->code = callee;
  SP = args + callee->link + kInPlaceLinkSlots;
  const Word* const entry = callee->code.data();
  const uint8_t* const bytes = callee->module->module.bytes.data();
  PC = bytes + uint32_t(*entry);
  CTX->end = bytes + uint32_t(*entry >> 32);
  TABLE = entry + 1;
  GO();
}

// ---- operands

void nop() { GO(); }
void drop() {
  --SP;
  GO();
}
void select() {
  SP -= 2;
  if (get<uint32_t>(SP, 1) == 0) SP[-1] = SP[0];
  GO();
}
void local_get() {
  const uint32_t i = *PC;
  if (i >= 0x80) return leave();
  ++PC;
  *SP++ = FP[i];
  GO();
}
void local_set() {
  const uint32_t i = *PC;
  if (i >= 0x80) return leave();
  ++PC;
  FP[i] = *--SP;
  GO();
}
void local_tee() {
  const uint32_t i = *PC;
  if (i >= 0x80) return leave();
  ++PC;
  FP[i] = SP[-1];
  GO();
}
void global_get() {
  const uint32_t i = *PC;
  if (i >= 0x80) return leave();
  ++PC;
  *SP++ = CTX->activation->instance->globals[i]->value[0];
  GO();
}
void global_set() {
  const uint32_t i = *PC;
  if (i >= 0x80) return leave();
  ++PC;
  CTX->activation->instance->globals[i]->value[0] = *--SP;
  GO();
}
// No handler has a variable whose address goes elsewhere: it could not end in a jump.
template <class T>
WAFER_NOINLINE void long_const() {
  const uint8_t* at = PC;
  put<std::make_unsigned_t<T>>(SP++, 0, std::make_unsigned_t<T>(take_leb<T>(at)));
  PC = at;
  GO();
}
void i32_const() {
  const uint32_t v = PC[0];
  if (v < 0x80) {
    ++PC;
    put<uint32_t>(SP++, 0, uint32_t(int32_t(v << 25) >> 25));
    GO();
  }
  const uint32_t upper = PC[1];
  if (upper >= 0x80) return long_const<int32_t>();
  PC += 2;
  put<uint32_t>(SP++, 0, uint32_t(int32_t(upper << 25 | (v & 0x7F) << 18) >> 18));
  GO();
}

template <class T>
void float_const() {
  put<T>(SP++, 0, load_memory<T>(PC));
  PC += sizeof(T);
  GO();
}

// ---- numbers and memory

template <Opcode OP>
void plain() {
  uint32_t out = 0;
  constexpr unsigned kSecond = kBinary<OP> ? 1 : 0;
  if constexpr (OP >= Opcode::I32Eqz && OP <= Opcode::I32GeU) {
    SP -= 1 + kSecond;
    evaluate<OP>(get<uint32_t>(SP, 0), get<uint32_t>(SP, kSecond), out);
    return compared(out);
  } else {
    SP -= kSecond;
    evaluate<OP>(get<uint32_t>(SP - 1, 0), get<uint32_t>(SP - 1, kSecond), out);
    put<uint32_t>(SP - 1, 0, out);
    GO();
  }
}
void grouped() {
  Slot* const sp = run_grouped(PC[-1], SP);
  if (!sp) return leave();
  SP = sp;
  GO();
}
template <Opcode OP>
void access_near() {
  constexpr unsigned kWidth = sizeof(typename Access<OP>::Mem);
  const uint32_t flags = PC[0], offset = PC[1];
  if (((flags & 0xC0) | (offset & 0x80)) != 0) return leave();
  Slot* at = SP - (kStores<OP> ? 2 : 1);
  uint32_t end;
  if (__builtin_add_overflow(get<uint32_t>(at, 0), offset + kWidth, &end) || end > MEMORY_SIZE)
    return leave();
  uint8_t* const p = MEM + end - kWidth;
  if (WAFER_UNLIKELY(!may_access<typename Access<OP>::Mem>(p))) return leave();
  PC += 2;
  access<OP>(p, at);
  SP = at;
  GO();
}

// By opcodes of one byte. Loads and stores of floats are those of integers of their width.
struct Handlers {
  Fast fns[256];
};
template <Opcode OP>
constexpr void add(Handlers& all, unsigned prefix, unsigned code) {
  if (prefix != 0) return;
  if constexpr (Numeric<OP>) {
    if constexpr (kOnI32<OP>)
      all.fns[code] = plain<OP>;
    else
      all.fns[code] = grouped;
  }
}
constexpr Handlers kHandlers = [] {
  Handlers all{};
  for (Fast& f : all.fns) f = leave;
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) \
  add<Opcode::id>(all, prefix, (code) & 0xFF);
#include "wasm/opcodes.def"
#undef WAFER_OP
  const std::pair<int, Fast> more[] = {
      {code::Nop, nop},
      {code::Block, block},
      {code::Loop, loop},
      {code::If, if_},
      {code::Else, br},
      {code::End, end},
      {code::Br, br},
      {code::BrIf, br_if},
      {code::Return, return_},
      {code::Call, call},
      {code::Drop, drop},
      {code::Select, select},
      {code::LocalGet, local_get},
      {code::LocalSet, local_set},
      {code::LocalTee, local_tee},
      {code::GlobalGet, global_get},
      {code::GlobalSet, global_set},
      {code::I32Const, i32_const},
      {code::I64Const, long_const<int64_t>},
      {code::F32Const, float_const<uint32_t>},
      {code::F64Const, float_const<uint64_t>},
      {code::I32Load, access_near<Opcode::I32Load>},
      {code::F32Load, access_near<Opcode::I32Load>},
      {code::I32Load8U, access_near<Opcode::I32Load8U>},
      {code::I32Load16S, access_near<Opcode::I32Load16S>},
      {code::I32Store, access_near<Opcode::I32Store>},
      {code::F32Store, access_near<Opcode::I32Store>},
      {code::I32Store8, access_near<Opcode::I32Store8>},
  };
  for (const auto& [code, fn] : more) all.fns[code] = fn;
  return all;
}();

}  // namespace

void run_fast(Place& place) {
  // The registers are the caller's.
  const uint8_t* const pc = PC;
  Slot *const sp = SP, *const fp = FP;
  uint8_t* const mem = MEM;
  const uint32_t size = MEMORY_SIZE;
  Place* const ctx = CTX;
  const Fast* const tbl = TBL;
  const Word* const table = TABLE;
  CTX = &place;
  PC = place.pc;
  SP = place.sp;
  FP = place.fp;
  MEM = place.memory;
  MEMORY_SIZE = place.memory_size;
  TABLE = place.table;
  TBL = kHandlers.fns;
  TBL[*PC++]();
  CTX->pc = PC;
  CTX->sp = SP;
  CTX->fp = FP;
  CTX->table = TABLE;
  PC = pc;
  SP = sp;
  FP = fp;
  MEM = mem;
  MEMORY_SIZE = size;
  CTX = ctx;
  TBL = tbl;
  TABLE = table;
}

}  // namespace wafer::interp

#endif
