#include "wasm/validator.h"

#include <algorithm>

#include "wasm/feature_name.h"
#include "wasm/validator_types.h"

namespace wafer::wasm {

String type_list(std::span<const ValType> types) {
  String s = "[";
  bool first = true;
  for (ValType t : types) {
    if (!first) s += ' ';
    first = false;
    s += to_string(t);
  }
  s += ']';
  return s;
}

FuncValidator::FuncValidator(const Module& module)
    : module_(module), reader_(module.bytes, 0, 0, module.features) {}

FuncValidator::~FuncValidator() { release(stack_, capacity_ * sizeof(ValType), alignof(ValType)); }

// --- Errors ---------------------------------------------------------------

bool FuncValidator::fail(std::string_view message, ErrorKind kind) {
  error_ = Failure(Error(kind, message, at_));
  return false;
}

bool FuncValidator::fail_text(Text message, ErrorKind kind) {
  error_ = failure(kind, message, at_);
  return false;
}

bool FuncValidator::fail_index(Text what, uint32_t index) {
  if (kBrief) return fail_text(what, ErrorKind::Invalid);
  String s = what.text;
  s += ' ';
  return fail(message_with(s, index));
}

bool FuncValidator::mismatch(Types want, bool block) {
  const size_t available = size_t(sp_ - floor_);
  const size_t shown = want.size() < available && !block ? want.size() : available;
  if (kBrief) return fail("type mismatch");
  String s = "type mismatch: ";
  s += block ? "block requires " : "instruction requires ";
  s += type_list(want);
  s += " but stack has ";
  s += type_list({sp_ - shown, shown});
  return fail(s);
}

bool FuncValidator::mismatch_ref(ValType have) {
  return fail(WAFER_MESSAGE(
      "type mismatch",
      "type mismatch: instruction requires reference type but stack has " + to_string(have)));
}

Failure FuncValidator::read_error() {
  if (reader_.failed()) return reader_.take_failure();
  if (error_) return std::move(error_);
  // The body ran out before its `end`. What a decoder that goes on past the body
  // would meet there decides the message.
  const uint32_t end = reader_.offset();
  const char* message = "unexpected end of section or function";
  if (end < module_.bytes.size()) {
    if (module_.bytes[end] == 0x0B) message = "section size mismatch";
    if (module_.bytes[end] == 0x05) message = "END opcode expected";
  }
  return failure(ErrorKind::Malformed, message, end);
}

bool FuncValidator::cannot_read() {
  error_ = read_error();
  return false;
}

bool FuncValidator::missing_data_count() {
  return fail("data count section required", ErrorKind::Malformed);
}

// --- Operand stack and control frames --------------------------------------

bool FuncValidator::grow() {
  const size_t height = size_t(sp_ - stack_), floor = size_t(floor_ - stack_);
  if (height > kMaxOperands)
    return fail("operand stack of a function is too deep", ErrorKind::Exhaustion);
  const size_t capacity = headroom_ + (capacity_ ? 2 * capacity_ : kSmall ? 16 : 2 * kMaxResults);
  auto* stack = static_cast<ValType*>(try_allocate(capacity * sizeof(ValType), alignof(ValType)));
  if (!stack) return fail("out of memory", ErrorKind::Exhaustion);
  if (height) std::memcpy(static_cast<void*>(stack), stack_, height * sizeof(ValType));
  release(stack_, capacity_ * sizeof(ValType), alignof(ValType));
  stack_ = stack;
  capacity_ = capacity;
  sp_ = stack + height;
  floor_ = stack + floor;
  soft_limit_ = stack + capacity - headroom_;
  return true;
}

FuncValidator::Types FuncValidator::one(ValType t) const {
  for (const ValType& known : kNumTypes)
    if (known == t) return {&known, 1};
  return {singles_.of(t), 1};
}

std::span<const ValType> FuncValidator::block_results(const BlockType& type) const {
  switch (type.kind) {
    case BlockType::Kind::Value:
      return one(type.value);
    case BlockType::Kind::Type:
      return module_.types[type.type_index].func.results;
    default:
      return {};
  }
}

bool FuncValidator::all_match(Types have, Types want) const {
  if (have.size() != want.size()) return false;
  for (size_t i = 0; i < have.size(); ++i)
    if (!matches(have[i], want[i])) return false;
  return true;
}

bool FuncValidator::pop_all(Types want) {
  const size_t available = size_t(sp_ - floor_);
  size_t take = want.size();
  if (WAFER_UNLIKELY(take > available)) {
    if (!control_.back().unreachable) return mismatch(want);
    take = available;
  }
  const ValType* wanted = want.data() + want.size();
  for (size_t i = 1; i <= take; ++i)
    if (WAFER_UNLIKELY(!matches(sp_[-ptrdiff_t(i)], wanted[-ptrdiff_t(i)]))) return mismatch(want);
  sp_ -= take;
  return true;
}

bool FuncValidator::pop_bits(uint32_t bits) {
  const ValType want = ValType::from_bits(bits);
  return pop_all({&want, 1});
}

// Pops any reference; `out` is (ref bot) when it is unknown.
bool FuncValidator::pop_ref(ValType& out) {
  if (sp_ == floor_) {
    if (!control_.back().unreachable) return mismatch(one(kAnyRef));
    out = ValType::ref(HeapKind::Bot, false);
    return true;
  }
  out = sp_[-1];
  if (out.is_bot())
    out = ValType::ref(HeapKind::Bot, false);
  else if (!out.is_ref())
    return mismatch_ref(out);
  --sp_;
  return true;
}

bool FuncValidator::push_frame(Opcode op, Types params, Types results) {
  if (WAFER_UNLIKELY(control_.size() >= kMaxNesting))
    return fail("blocks are nested too deeply", ErrorKind::Exhaustion);
  ControlFrame frame;
  frame.op = op;
  frame.dead = !control_.empty() && !reachable();
  frame.height = uint32_t(sp_ - stack_);
  frame.params = params;
  frame.results = results;
  frame.init_height = uint32_t(init_trail_.size());
  control_.push_back(frame);
  floor_ = sp_;
  push_all(params);
  return true;
}

void FuncValidator::reset_inits(uint32_t height) {
  while (init_trail_.size() > height) {
    local_set_[init_trail_.back()] = 0;
    init_trail_.pop_back();
  }
}

// Checks that exactly the frame's results are on the stack, and takes them.
bool FuncValidator::end_frame() {
  const ControlFrame& frame = control_.back();
  const size_t available = size_t(sp_ - floor_);
  if (available > frame.results.size()) return mismatch(frame.results, true);
  if (!pop_all(frame.results)) return false;
  reset_inits(frame.init_height);
  return true;
}

void FuncValidator::set_unreachable() {
  sp_ = floor_;
  control_.back().unreachable = true;
}

// --- Lookups -----------------------------------------------------------------

bool FuncValidator::label(uint32_t index, const ControlFrame*& out) {
  if (WAFER_UNLIKELY(index >= control_.size())) return fail_index("unknown label", index);
  out = &control_[control_.size() - 1 - index];
  return true;
}

bool FuncValidator::func_type_at(uint32_t type, const FuncType*& out) {
  if (type >= module_.types.size()) return fail_index("unknown type", type);
  if (module_.types[type].kind != CompKind::Func)
    return fail(WAFER_MESSAGE("non-function type", message_with("non-function type ", type)));
  out = &module_.types[type].func;
  return true;
}

// The function type of continuation type `type`.
bool FuncValidator::cont_at(uint32_t type, const FuncType*& out) {
  if (type >= module_.types.size()) return fail_index("unknown type", type);
  if (module_.types[type].kind != CompKind::Cont)
    return fail(
        WAFER_MESSAGE("non-continuation type", message_with("non-continuation type ", type)));
  return func_type_at(module_.types[type].cont, out);
}

bool FuncValidator::tag_at(uint32_t index, const FuncType*& out) {
  if (index >= module_.tags.size()) return fail_index("unknown tag", index);
  return func_type_at(module_.tags[index].type_index, out);
}

bool FuncValidator::struct_at(uint32_t type, const FieldTypes*& out) {
  if (type >= module_.types.size()) return fail_index("unknown type", type);
  if (module_.types[type].kind != CompKind::Struct)
    return fail(WAFER_MESSAGE("non-structure type", message_with("non-structure type ", type)));
  out = &module_.types[type].fields;
  return true;
}

bool FuncValidator::array_at(uint32_t type, FieldType& out) {
  if (type >= module_.types.size()) return fail_index("unknown type", type);
  if (module_.types[type].kind != CompKind::Array)
    return fail(WAFER_MESSAGE("non-array type", message_with("non-array type ", type)));
  out = module_.types[type].fields[0];
  return true;
}

bool FuncValidator::segment_fits(const Instr& in, bool elem, const FieldType& field) {
  if (elem) {
    if (in.index2 >= module_.elems.size()) return fail_index("unknown elem segment", in.index2);
    const ValType type = module_.elems[in.index2].type;
    if (matches(type, field.storage)) return true;
    return fail(WAFER_MESSAGE(
        "type mismatch", "type mismatch: element segment's type " + to_string(type) +
                             " does not match array's field type " + to_string(field.storage)));
  }
  if (!module_.data_count) return missing_data_count();
  if (in.index2 >= *module_.data_count) return fail_index("unknown data segment", in.index2);
  return !field.storage.is_ref() || fail("array type is not numeric or vector");
}

bool FuncValidator::table_at(uint32_t index, const TableType*& out) {
  if (index >= module_.tables.size()) return fail_index("unknown table", index);
  out = &module_.tables[index].type;
  return true;
}

bool FuncValidator::memory_at(uint32_t index, const MemoryType*& out) {
  if (WAFER_UNLIKELY(index >= module_.memories.size())) return fail_index("unknown memory", index);
  out = &module_.memories[index].type;
  return true;
}

bool FuncValidator::mem_arg(const Instr& in, const OpFacts& facts, ValType& address) {
  const MemoryType* memory;
  if (!memory_at(in.index, memory)) return false;
  if (in.align > facts.aux) return fail("alignment must not be larger than natural");
  if (is_built(Feature::Threads) && facts.feature == Feature::Threads && in.align != facts.aux)
    return fail("atomic alignment must be natural");
  if (!memory->limits.has_64() && in.offset >> 32) return fail("offset out of range");
  address = memory->limits.address_type();
  return true;
}

// --- Whole functions ----------------------------------------------------------

// Room for the results of a call and the parameters of a block, as the module's types have them.
void FuncValidator::set_headroom() {
  size_t most = 0;
  if (kSmall) {
    if (stack_ && headroom_types_ == module_.types.size()) return;
    headroom_types_ = module_.types.size();
    for (const SubType& t : module_.types)
      most = std::max({most, t.func.params.size(), t.func.results.size()});
  } else {
    if (stack_) return;
    most = kMaxResults;
  }
  headroom_ = std::max(headroom_, 2 * most + 8);
  if (stack_) soft_limit_ = stack_ + (capacity_ > headroom_ ? capacity_ - headroom_ : 0);
}

bool FuncValidator::begin_frames(Types results) {
  set_headroom();
  error_ = {};
  control_.clear();
  init_trail_.clear();
  results_ = results;
  if ((!stack_ || soft_limit_ == stack_) && !grow()) return false;
  sp_ = floor_ = stack_;
  return push_frame(Opcode::Block, {}, results);
}

void FuncValidator::read_from(uint32_t begin, uint32_t end) {
  reader_ = InstrReader(module_.bytes, begin, end, module_.features);
  reader_.set_type_limit(uint32_t(module_.types.size()));
}

bool FuncValidator::read_locals() {
  uint32_t groups = 0;
  const uint8_t* at = reader_.pos_;
  if (!reader_.u32(groups)) return false;
  uint64_t total = locals_.size();
  const uint64_t params = total;
  const uint8_t* first_group = reader_.pos_;
  for (uint32_t g = 0; g < groups; ++g) {
    uint32_t count = 0;
    ValType type;
    if (!reader_.u32(count) || !reader_.val_type(type)) return false;
    total += count;
    if (total - params > 0xFFFFFFFFu)
      return reader_.fail(ErrorKind::Malformed, "too many locals", at);
    if (total > kMaxLocals) continue;
    locals_.insert(locals_.end(), count, type);
    if (!type.defaultable()) tracks_inits_ = true;
  }
  if (total > kMaxLocals)
    return reader_.fail(ErrorKind::Exhaustion, "too many locals", first_group);
  return true;
}

bool FuncValidator::start(uint32_t func) {
  const Function& function = module_.functions[func];
  const FuncType& type = module_.types[function.type_index].func;
  constant_ = false;
  tracks_inits_ = false;
  at_ = function.body.begin;
  read_from(function.body.begin, function.body.end);
  control_.clear();
  locals_.assign(type.params.begin(), type.params.end());
  param_count_ = uint32_t(locals_.size());
  if (function.body.size() > kMaxFunctionSize)
    return fail("function body is too large", ErrorKind::Exhaustion);
  if (!read_locals()) return cannot_read();
  if (tracks_inits_) {
    local_set_.assign(locals_.size(), 1);
    for (size_t i = param_count_; i < locals_.size(); ++i) local_set_[i] = locals_[i].defaultable();
  }
  return begin_frames(type.results);
}

bool FuncValidator::rest() {
  if constexpr (kSmall) {
    while (!done())
      if (!read_next(scratch_) || !step(scratch_)) return false;
    return true;
  } else {
    return run() || cannot_read();
  }
}

bool FuncValidator::check_const(ConstExpr expr, ValType type, uint32_t visible_globals) {
  constant_ = true;
  visible_globals_ = visible_globals;
  at_ = expr.begin;
  tracks_inits_ = false;
  locals_.clear();
  read_from(expr.begin, expr.end);
  if (!begin_frames(one(type))) return false;
  while (!done()) {
    if (!read_next(scratch_)) return false;
    at_ = scratch_.offset_in_module;
    if (!step_const(scratch_) || !step(scratch_)) return false;
  }
  return true;
}

bool FuncValidator::step_const(const Instr& in) {
  constexpr const char* kRequired = "constant expression required";
  const FeatureSet features = module_.features;
  bool allowed = false;
  const Opcode op = in.op;
  WAFER_ASSUME_BUILT(op);
  switch (op) {
    case Opcode::I32Const:
    case Opcode::I64Const:
    case Opcode::F32Const:
    case Opcode::F64Const:
    case Opcode::V128Const:
    case Opcode::RefNull:
    case Opcode::RefFunc:
    case Opcode::End:
    case Opcode::RefI31:
    case Opcode::StructNew:
    case Opcode::StructNewDefault:
    case Opcode::StructNewDesc:
    case Opcode::StructNewDefaultDesc:
    case Opcode::ArrayNew:
    case Opcode::ArrayNewDefault:
    case Opcode::ArrayNewFixed:
    case Opcode::AnyConvertExtern:
    case Opcode::ExternConvertAny:
      allowed = true;
      break;
    case Opcode::I32Add:
    case Opcode::I32Sub:
    case Opcode::I32Mul:
    case Opcode::I64Add:
    case Opcode::I64Sub:
    case Opcode::I64Mul:
      allowed = features.has(Feature::ExtendedConst);
      if (!allowed) return fail(off_message(Feature::ExtendedConst, kRequired));
      break;
    case Opcode::GlobalGet: {
      const uint32_t visible =
          features.has(Feature::GC) ? visible_globals_ : module_.imported_globals;
      if (in.index >= visible) return fail_index("unknown global", in.index);
      allowed = !module_.globals[in.index].type.is_mutable;
      break;
    }
    default:
      break;
  }
  if (!allowed) return fail(kRequired);
  return true;
}

Result<void> validate_function(const Module& module, uint32_t func) {
  FuncValidator validator(module);
  if (validator.validate(func)) return {};
  return validator.take_failure();
}

}  // namespace wafer::wasm
