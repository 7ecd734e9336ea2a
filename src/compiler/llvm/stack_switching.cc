// Stack switching: builtins that take and give values in slots on the stack.
#include "compiler/llvm/translate.h"

namespace wafer::compiler {

using llvm::BasicBlock;
using llvm::Type;
using llvm::Value;
using wasm::Opcode;
using wasm::ValType;

Value* FunctionTranslator::slots_on_stack(uint32_t count) {
  llvm::IRBuilder<> entry(entry_, entry_->begin());
  llvm::AllocaInst* slots =
      entry.CreateAlloca(llvm::ArrayType::get(m_.i64, std::max(count, 1u)), nullptr, "slots");
  slots->setAlignment(llvm::Align(8));
  return slots;
}

// Values of `types` to slots from `to` on; gives the slot after them.
uint32_t FunctionTranslator::store_slots(Value* to, std::span<Value* const> values,
                                         std::span<const ValType> types) {
  uint32_t slot = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    Value* v = values[i];
    if (v->getType() == m_.f32) v = b_.CreateBitCast(v, m_.i32);
    if (v->getType() == m_.i32) v = b_.CreateZExt(v, m_.i64);
    b_.CreateAlignedStore(v, at(to, uint64_t(slot) * 8), llvm::Align(8));
    slot += slot_count(types[i]);
  }
  return slot;
}

std::vector<Value*> FunctionTranslator::load_slots(Value* from, std::span<const ValType> types) {
  std::vector<Value*> values;
  uint32_t slot = 0;
  for (const ValType t : types) {
    values.push_back(
        b_.CreateAlignedLoad(m_.type_of(t), at(from, uint64_t(slot) * 8), llvm::Align(8)));
    slot += slot_count(t);
  }
  return values;
}

namespace {

uint32_t slots_of(std::span<const ValType> types) {
  uint32_t slots = 0;
  for (const ValType t : types) slots += slot_count(t);
  return slots;
}

}  // namespace

const wasm::FuncType& FunctionTranslator::cont_func(uint32_t type) const {
  return module_.types[module_.types[type].cont].func;
}

const wasm::FuncType& FunctionTranslator::tag_type(uint32_t tag) const {
  return module_.types[module_.tags[tag].type_index].func;
}

void FunctionTranslator::resume(const wasm::Instr& in) {
  const wasm::FuncType& type = cont_func(in.index);
  Value* const cont = pop();
  std::span<const ValType> params;
  if (in.op == Opcode::Resume) params = type.params;
  uint32_t most = std::max(slots_of(params), slots_of(type.results));
  for (const wasm::ResumeClause& c : in.clauses)
    most = std::max(most, slots_of(tag_type(c.tag).params) + 1);
  Value* const values = slots_on_stack(most);
  Value* const clauses = slots_on_stack(uint32_t(in.clauses.size() + 1) / 2);
  for (size_t i = 0; i < in.clauses.size(); ++i) {
    const wasm::ResumeClause& c = in.clauses[i];
    b_.CreateAlignedStore(const_i32(c.tag << 1 | uint32_t(c.is_switch)), at(clauses, i * 4),
                          llvm::Align(4));
  }
  Value* const count = const_i32(uint32_t(in.clauses.size()));
  Value* what;
  if (in.op == Opcode::Resume) {
    const uint32_t slots = store_slots(values, top(params.size()), params);
    stack_.resize(stack_.size() - params.size());
    what = call_builtin(Builtin::resume, {cont, values, const_i32(slots), clauses, count});
  } else {
    Value* exn;
    if (in.op == Opcode::ResumeThrow) {
      const auto& args = tag_type(in.index2).params;
      exn = call_builtin(Builtin::exception_new, {const_i32(in.index2)});
      store_slots(at(b_.CreateIntToPtr(exn, m_.ptr), layout::kExceptionArgs), top(args.size()),
                  args);
      stack_.resize(stack_.size() - args.size());
    } else {
      exn = pop();
    }
    what = call_builtin(Builtin::resume_throw, {exn, cont, values, clauses, count});
  }
  BasicBlock* const finished = block("finished");
  llvm::SwitchInst* const sw = b_.CreateSwitch(what, finished, unsigned(in.clauses.size()));
  for (size_t i = 0; i < in.clauses.size(); ++i) {
    const wasm::ResumeClause& c = in.clauses[i];
    if (c.is_switch) continue;
    BasicBlock* const handler = block("handler");
    sw->addCase(b_.getInt32(uint32_t(i)), handler);
    b_.SetInsertPoint(handler);
    const auto& args = tag_type(c.tag).params;
    std::vector<Value*> passed = load_slots(values, args);
    passed.push_back(
        b_.CreateAlignedLoad(m_.i64, at(values, uint64_t(slots_of(args)) * 8), llvm::Align(8)));
    branch_to_label(frame_of(c.label), passed);
  }
  b_.SetInsertPoint(finished);
  for (Value* v : load_slots(values, type.results)) push(v);
}

bool FunctionTranslator::stack_switching(const wasm::Instr& in) {
  switch (in.op) {
    case Opcode::ContNew:
      push(call_builtin(Builtin::cont_new, {pop()}));
      return true;
    case Opcode::ContBind: {
      Value* const cont = pop();
      std::span<const ValType> types = cont_func(in.index).params;
      types = types.first(types.size() - cont_func(in.index2).params.size());
      Value* const values = slots_on_stack(slots_of(types));
      const uint32_t slots = store_slots(values, top(types.size()), types);
      stack_.resize(stack_.size() - types.size());
      push(call_builtin(Builtin::cont_bind, {cont, values, const_i32(slots)}));
      return true;
    }
    case Opcode::Suspend:
    case Opcode::Switch: {
      Value* const cont = in.op == Opcode::Switch ? pop() : nullptr;
      std::span<const ValType> params, results;
      if (cont) {
        params = cont_func(in.index).params;
        results = cont_func(params.back().heap().index()).params;
        params = params.first(params.size() - 1);
      } else {
        params = tag_type(in.index).params;
        results = tag_type(in.index).results;
      }
      Value* const values = slots_on_stack(std::max(slots_of(params), slots_of(results)));
      const uint32_t slots = store_slots(values, top(params.size()), params);
      stack_.resize(stack_.size() - params.size());
      if (cont)
        call_builtin(Builtin::switch_to, {const_i32(in.index2), cont, values, const_i32(slots)});
      else
        call_builtin(Builtin::suspend, {const_i32(in.index), values, const_i32(slots)});
      for (Value* v : load_slots(values, results)) push(v);
      return true;
    }
    case Opcode::Resume:
    case Opcode::ResumeThrow:
    case Opcode::ResumeThrowRef:
      resume(in);
      return true;
    default:
      return false;
  }
}

}  // namespace wafer::compiler
