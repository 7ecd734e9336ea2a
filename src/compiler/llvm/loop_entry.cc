// Code that is entered at a loop, with the locals and operands in the frame of the code
// that ran before (on-stack replacement).
//
// It begins at the loop and goes on from there to the function's end. A further round of
// an enclosing loop starts that loop at its head, which needs code of what precedes the
// inner loop as well: for that the function is translated a second time, from its start,
// and back edges of the first lead into the second. So each loop in either has but one
// way in, which optimizations of loops ask for.
#include <llvm/Transforms/Utils/Local.h>

#include "compiler/llvm/translate.h"

namespace wafer::compiler {

using llvm::Value;
using wasm::Opcode;

// Reads up to the loop, which stays to be applied, and gives the blocks that are open
// there.
Result<std::vector<FunctionTranslator::OpenBlock>> FunctionTranslator::seek(uint32_t loop,
                                                                            wasm::Instr& at) {
  std::vector<OpenBlock> open;
  while (!v_.done()) {
    WAFER_TRY(v_.read(at));
    if (at.offset_in_module == loop) {
      if (at.op != Opcode::Loop || !v_.reachable()) break;
      return open;
    }
    switch (at.op) {
      case Opcode::Block:
      case Opcode::Loop:
      case Opcode::If:
      case Opcode::Try:
      case Opcode::TryTable:
        open.push_back({at});
        break;
      case Opcode::Else:
        open.back().in_else = true;
        break;
      case Opcode::Catch:
      case Opcode::CatchAll:
        open.back().in_catch = true;
        break;
      case Opcode::Delegate:
      case Opcode::End:
        if (!open.empty()) open.pop_back();
        break;
      default:
        break;
    }
    WAFER_TRY(v_.apply(at));
  }
  return Error(ErrorKind::Unsupported, "no loop that can be entered there", loop);
}

// Opens the frames that enclose the loop. Only what comes after it will be in them, so
// there is no way to the other half of an `if`.
void FunctionTranslator::reopen(const std::vector<OpenBlock>& blocks) {
  Frame outer;
  outer.results = module_.func_type(index_).results;
  outer.end = block("return");
  frames_.push_back(std::move(outer));
  for (size_t i = 0; i < blocks.size(); ++i) {
    const wasm::Instr& in = blocks[i].in;
    Frame f;
    f.op = blocks[i].in_else ? Opcode::Else : in.op;
    f.height = v_.control(uint32_t(blocks.size() - 1 - i)).height;
    f.params = v_.block_params(in.block);
    f.results = v_.block_results(in.block);
    f.end = block("end");
    f.end_phis = make_phis(f.end, f.results);
    if (in.op == Opcode::Loop) {
      const Frame& from_start = at_loop_.frames[i + 1];
      f.header = from_start.header;
      f.header_phis = from_start.header_phis;
    }
    frames_.push_back(std::move(f));
    if (in.op == Opcode::Try || in.op == Opcode::TryTable) begin_try(in);
  }
}

// The value in `slot` of the frame that is taken over; moves on to the next.
Value* FunctionTranslator::load_slot(uint32_t& slot, wasm::ValType type) {
  Value* at =
      b_.CreateConstInBoundsGEP1_64(m_.i8, fn_->getArg(1), uint64_t(loop_frame_offset(slot, type)));
  slot += slot_count(type);
  return load_at(m_.type_of(type), at, 0, "frame");
}

// In the code from the start, what was pushed before the loop comes from the frame if
// control came in at the loop.
void FunctionTranslator::merge_operands(std::span<Value* const> entered,
                                        llvm::Instruction* before) {
  for (size_t i = 0; i < at_loop_.operands.size(); ++i) {
    Value* pushed = at_loop_.operands[i];
    auto* instruction = llvm::dyn_cast_or_null<llvm::Instruction>(pushed);
    if (!instruction) continue;  // a constant, and never anything else
    llvm::AllocaInst* place = llvm::DemoteRegToStack(*instruction);
    if (place) new llvm::StoreInst(entered[i], place, before->getIterator());
  }
}

Result<void> FunctionTranslator::run_from(uint32_t loop) {
  // Its frame would have to make room for the callee's.
  if (m_.facts.tail_calls[index_])
    return Error(ErrorKind::Unsupported, "function with tail calls cannot be entered", loop);
  WAFER_TRY(v_.begin(index_));
  wasm::Instr at;
  WAFER_LET(blocks, seek(loop, at));
  bool in_loop = false;
  for (const OpenBlock& open : blocks) {
    if (open.in_catch)
      return Error(ErrorKind::Unsupported, "loop in a handler cannot be entered", loop);
    in_loop |= open.in.op == Opcode::Loop;
  }
  begin();
  if (in_loop) {
    WAFER_TRY(v_.begin(index_));
    b_.SetInsertPoint(body_);
    open_body();
    WAFER_TRY(translate_body(loop));
    WAFER_TRY(v_.begin(index_));
    WAFER_LET(again, seek(loop, at));
    blocks = std::move(again);
    body_ = block("enter");
    fuel_at_ = nullptr;
    dead_ = false;
  }

  b_.SetInsertPoint(body_);
  b_.SetCurrentDebugLocation(llvm::DILocation::get(m_.context, loop, 0, subprogram_));
  uint32_t slot = 0;
  for (size_t i = 0; i < v_.locals().size(); ++i)
    b_.CreateStore(load_slot(slot, v_.locals()[i]), locals_[i]);
  for (uint32_t i = 0; i < v_.height(); ++i) push(load_slot(slot, v_.operand_at(i)));
  const std::vector<Value*> entered = stack_;
  reopen(blocks);
  WAFER_TRY(instruction(at));
  WAFER_TRY(v_.apply(at));
  llvm::Instruction* before = body_->getTerminator();
  WAFER_TRY(translate_body(0));
  merge_operands(entered, before);
  finish();
  return {};
}

}  // namespace wafer::compiler
