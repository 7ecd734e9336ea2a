#include "compiler/optimizing/needs.h"

#include "compiler/optimizing/op_facts.h"
#include "wasm/op_tables.h"

namespace wafer::compiler {

namespace {

constexpr uint32_t bit(uint8_t reg) { return 1u << reg; }

bool is_call(Opcode op) {
  using enum Opcode;
  switch (op) {
    case Call:
    case CallIndirect:
    case CallRef:
    case ReturnCall:
    case ReturnCallIndirect:
    case ReturnCallRef:
      return true;
    default:
      return false;
  }
}

// Whether the instruction is made by a call of a builtin, with operands as arguments.
bool is_builtin(Opcode op) {
  using enum Opcode;
  switch (op) {
    case MemoryGrow:
    case MemoryFill:
    case MemoryCopy:
    case MemoryInit:
    case DataDrop:
    case TableGrow:
    case TableFill:
    case TableCopy:
    case TableInit:
    case ElemDrop:
    case MemoryAtomicWait32:
    case MemoryAtomicWait64:
    case MemoryAtomicNotify:
      return true;
    default:
      return false;
  }
}

#if defined(__x86_64__)
// Whether a vector instruction is one of the processor with two operands.
bool is_plain_vector(Opcode op) {
  using enum Opcode;
  switch (op) {
    case V128And:
    case V128Or:
    case V128Xor:
    case V128Andnot:
    case I8x16Add:
    case I8x16Sub:
    case I16x8Add:
    case I16x8Sub:
    case I16x8Mul:
    case I32x4Add:
    case I32x4Sub:
    case I32x4Mul:
    case I64x2Add:
    case I64x2Sub:
    case F32x4Add:
    case F32x4Sub:
    case F32x4Mul:
    case F32x4Div:
    case F64x2Add:
    case F64x2Sub:
    case F64x2Mul:
    case F64x2Div:
      return true;
    default:
      return false;
  }
}
#endif

}  // namespace

Needs needs_of(const Function& f, const Node& n, const wasm::Module& module,
               const BaselineOptions& options, const Machine& machine) {
  using enum Opcode;
  Needs needs;
  const auto args = f.args_of(n);
  const auto constant = [&](size_t i) { return f.nodes[args[i]].kind == Node::Kind::Const; };
  uint8_t constants = 0;
  for (size_t i = 0; i < args.size(); ++i)
    constants = uint8_t(std::min(constants + constant(i), 8));
  if (is_call(n.op) || is_builtin(n.op)) {
    needs.clobbered_gprs = kOperandGprs;
    needs.clobbered_fprs = kOperandFprs;
    needs.memory_args = true;
    if (!n.type.is_bot()) needs.hint = is_fpr(n.type) ? kResultFpr : kResultGpr;
    if (n.op == CallIndirect || n.op == ReturnCallIndirect)
      needs.early_gprs = bit(kIndexGpr) | bit(kFuncGpr);
    if (n.op == CallRef || n.op == ReturnCallRef) needs.early_gprs = bit(kFuncGpr);
    // An address is added to before the call.
    if (n.op >= MemoryAtomicNotify) {
      needs.temp_gprs = 3;
      needs.memory_args = false;
    }
    return needs;
  }
  // Instructions that change an operand may have to copy it first.
#if defined(__x86_64__)
  const bool in_place = !machine.has_avx;
#else
  const bool in_place = true;
#endif
  // By the order of the opcode table.
  const bool vector_access = n.op == V128Load || n.op == V128Store;
  if ((n.op >= I32Load && n.op <= I64Store32) || vector_access) {
    const uint32_t memory = f.immediates(n)->index;
    const bool direct = memory == 0 && is_guarded(module, options.code, memory);
    needs.temp_gprs = uint8_t(!direct + constants);
    needs.temp_fprs = constants;
    return needs;
  }
  const bool simple_address = !facts::is_memory_access(n.op) ||
                              (f.immediates(n)->index == 0 && is_guarded(module, options.code, 0));
  switch (n.op) {
    case I32Add:
    case I64Add:
    case I32Mul:
    case I64Mul:
    case I32And:
    case I64And:
    case I32Or:
    case I64Or:
    case I32Xor:
    case I64Xor:
      needs.same = 2;
      needs.temp_gprs = uint8_t(constants + (args[0] == args[1]));
      return needs;
    case I32Sub:
    case I64Sub:
      needs.same = 1;
      needs.temp_gprs = uint8_t(1 + constants);
      return needs;
    case F32Add:
    case F64Add:
    case F32Mul:
    case F64Mul:
      needs.same = 2;
      needs.temp_fprs = uint8_t(in_place + constants);
      return needs;
    case F32Sub:
    case F64Sub:
    case F32Div:
    case F64Div:
      needs.same = 1;
      needs.temp_fprs = uint8_t(in_place + constants);
      return needs;
    case I32Eqz:
    case I64Eqz:
      needs.temp_gprs = constants;
      return needs;
    case I32Shl:
    case I64Shl:
    case I32ShrS:
    case I64ShrS:
    case I32ShrU:
    case I64ShrU:
    case I32Rotl:
    case I64Rotl:
    case I32Rotr:
    case I64Rotr:
      needs.same = 1;
      needs.temp_gprs = uint8_t(1 + constants);
#if defined(__x86_64__)
      // The count goes to cl, but for shifts of three operands.
      if (!constant(1) && (!machine.has_bmi2 || n.op == I32Rotl || n.op == I64Rotl ||
                           n.op == I32Rotr || n.op == I64Rotr))
        needs.clobbered_gprs = needs.early_gprs = bit(kRcx);
#endif
      return needs;
    case I32DivS:
    case I32DivU:
    case I32RemS:
    case I32RemU:
    case I64DivS:
    case I64DivU:
    case I64RemS:
    case I64RemU:
      needs.temp_gprs = 2;
#if defined(__x86_64__)
      needs.clobbered_gprs = needs.early_gprs = bit(kRax) | bit(kRdx);
      needs.hint =
          n.op == I32RemS || n.op == I32RemU || n.op == I64RemS || n.op == I64RemU ? kRdx : kRax;
#endif
      return needs;
    case Nop:
    case GlobalGet:
    case GlobalSet:
    case MemorySize:
      return needs;
    case I64Add128:
    case I64Sub128:
    case I64MulWideS:
    case I64MulWideU:
      needs.temp_gprs = 3;
#if defined(__x86_64__)
      needs.clobbered_gprs = needs.early_gprs = bit(kRax) | bit(kRdx);
#endif
      return needs;
#if defined(__x86_64__)
    case I32Clz:
    case I32Ctz:
    case I32Popcnt:
    case I64Clz:
    case I64Ctz:
    case I64Popcnt:
      needs.temp_gprs = constants;
      return needs;
    case F32Sqrt:
    case F64Sqrt:
    case F32Abs:
    case F64Abs:
    case F32Neg:
    case F64Neg:
    case F32DemoteF64:
    case F64PromoteF32:
      needs.same = 1;
      needs.temp_fprs = uint8_t(1 + constants);
      return needs;
    case F32ConvertI32S:
    case F64ConvertI32S:
    case F32ConvertI32U:
    case F64ConvertI32U:
    case F32ConvertI64S:
    case F64ConvertI64S:
    case F32ReinterpretI32:
    case F64ReinterpretI64:
    case I32ReinterpretF32:
    case I64ReinterpretF64:
      needs.temp_gprs = needs.temp_fprs = constants;
      return needs;
    case V128Const:
    case V128Load32Splat:
    case V128Load64Splat:
    case V128Load32Zero:
    case V128Load64Zero:
    case I32x4Splat:
    case I64x2Splat:
    case F32x4Splat:
    case F64x2Splat:
      needs.same = 1;
      needs.temp_gprs = uint8_t(!simple_address + constants);
      needs.temp_fprs = uint8_t(1 + constants);
      return needs;
    case I8x16Shuffle:
      needs.same = 1;
      needs.temp_fprs = args[0] == args[1] ? 1 : 3;
      return needs;
    case I16x8Shl:
    case I16x8ShrS:
    case I16x8ShrU:
    case I32x4Shl:
    case I32x4ShrS:
    case I32x4ShrU:
    case I64x2Shl:
    case I64x2ShrU:
      needs.same = 1;
      needs.temp_fprs = constant(1) ? in_place : 1;
      return needs;
#endif
    case I32WrapI64:
    case I64ExtendI32U:
    case I64ExtendI32S:
    case I32Extend8S:
    case I32Extend16S:
    case I64Extend8S:
    case I64Extend16S:
    case I64Extend32S:
    case Select:
      needs.same = 1;
      needs.temp_gprs = uint8_t(1 + constants);
      needs.temp_fprs = uint8_t(1 + constants);
      return needs;
    default:
      break;
  }
  if (n.op >= I32Eq && n.op <= I64GeU) {
    needs.temp_gprs = constants;
    return needs;
  }
  if (n.op >= F32Eq && n.op <= F64Ge) {
    needs.temp_fprs = constants;
    return needs;
  }
#if defined(__x86_64__)
  if (is_plain_vector(n.op)) {
    needs.same = 2;
    needs.temp_fprs = in_place;
    return needs;
  }
#endif
#if defined(__x86_64__)
  if (n.op >= I32AtomicLoad && !wasm::kOpFacts[size_t(n.op)].sig().custom) {
    needs.clobbered_gprs = needs.early_gprs = bit(kRax);
  }
#endif
  needs.same = 1;
  needs.temp_gprs = uint8_t(std::min(3 + constants, 4));
  needs.temp_fprs = uint8_t(3 + constants);
  return needs;
}

}  // namespace wafer::compiler
