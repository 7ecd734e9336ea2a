#include "wasm/validator.h"

#include "wasm/op_tables.h"

namespace wafer::wasm {

namespace {

// Operands that one instruction may push without a check of its own.
constexpr size_t kHeadroom = 2 * kMaxResults + 64;

constexpr ValType kNumTypes[] = {kI32, kI64, kF32, kF64, kV128};

const ValType kNullExn = ValType::ref(HeapKind::Exn, true);

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

bool is_num_or_vec(ValType t) { return t.kind() >= TypeKind::I32 && t.kind() <= TypeKind::V128; }

// A type that a reference of heap type `heap` may be compared with in a cast.
HeapKind top_kind(const Module& module, HeapType heap) {
  if (!heap.is_concrete()) return top_of(heap.kind());
  return top_of(module.types[heap.index()].kind);
}

}  // namespace

FuncValidator::FuncValidator(const Module& module)
    : module_(module), reader_(module.bytes, 0, 0, module.features) {}

FuncValidator::~FuncValidator() { release(stack_, capacity_ * sizeof(ValType), alignof(ValType)); }

// --- Errors ---------------------------------------------------------------

bool FuncValidator::fail(std::string_view message, ErrorKind kind) {
  error_ = make_box<Error>(kind, message, at_);
  return false;
}

bool FuncValidator::fail_index(std::string_view what, uint64_t index) {
  String s = "unknown ";
  s += what;
  s += ' ';
  return fail(message_with(s, index));
}

bool FuncValidator::mismatch(Types want, std::string_view who) {
  const size_t available = size_t(sp_ - floor_);
  const size_t shown = want.size() < available && who == "instruction" ? want.size() : available;
  String s = "type mismatch: ";
  s += who;
  s += " requires ";
  s += type_list(want);
  s += " but stack has ";
  s += type_list({sp_ - shown, shown});
  return fail(s);
}

bool FuncValidator::mismatch_ref(ValType have) {
  return fail("type mismatch: instruction requires reference type but stack has " +
              to_string(have));
}

Error FuncValidator::read_error() {
  if (reader_.failed()) return reader_.take_error();
  if (error_) return std::move(*error_);
  // The body ran out before its `end`. What a decoder that goes on past the body
  // would meet there decides the message.
  const uint32_t end = reader_.offset();
  std::string_view message = "unexpected end of section or function";
  if (end < module_.bytes.size()) {
    if (module_.bytes[end] == 0x0B) message = "section size mismatch";
    if (module_.bytes[end] == 0x05) message = "END opcode expected";
  }
  return Error(ErrorKind::Malformed, message, end);
}

bool FuncValidator::missing_data_count() {
  return fail("data count section required", ErrorKind::Malformed);
}

// --- Operand stack and control frames --------------------------------------

bool FuncValidator::grow() {
  const size_t height = size_t(sp_ - stack_), floor = size_t(floor_ - stack_);
  if (height > kMaxOperands)
    return fail("operand stack of a function is too deep", ErrorKind::Exhaustion);
  const size_t capacity = capacity_ ? capacity_ * 2 : 2 * kHeadroom;
  auto* stack = static_cast<ValType*>(try_allocate(capacity * sizeof(ValType), alignof(ValType)));
  if (!stack) return fail("out of memory", ErrorKind::Exhaustion);
  if (height) std::memcpy(static_cast<void*>(stack), stack_, height * sizeof(ValType));
  release(stack_, capacity_ * sizeof(ValType), alignof(ValType));
  stack_ = stack;
  capacity_ = capacity;
  sp_ = stack + height;
  floor_ = stack + floor;
  soft_limit_ = stack + capacity - kHeadroom;
  return true;
}

FuncValidator::Types FuncValidator::one(ValType t) const {
  for (const ValType& known : kNumTypes)
    if (known == t) return {&known, 1};
  return {&singles_.try_emplace(t.bits(), t).first->second, 1};
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
  if (available > frame.results.size()) return mismatch(frame.results, "block");
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
  if (WAFER_UNLIKELY(index >= control_.size())) return fail_index("label", index);
  out = &control_[control_.size() - 1 - index];
  return true;
}

bool FuncValidator::func_type_at(uint32_t type, const FuncType*& out) {
  if (type >= module_.types.size()) return fail_index("type", type);
  if (module_.types[type].kind != CompKind::Func)
    return fail(message_with("non-function type ", type));
  out = &module_.types[type].func;
  return true;
}

// The function type of continuation type `type`.
bool FuncValidator::cont_at(uint32_t type, const FuncType*& out) {
  if (type >= module_.types.size()) return fail_index("type", type);
  if (module_.types[type].kind != CompKind::Cont)
    return fail(message_with("non-continuation type ", type));
  return func_type_at(module_.types[type].cont, out);
}

bool FuncValidator::tag_at(uint32_t index, const FuncType*& out) {
  if (index >= module_.tags.size()) return fail_index("tag", index);
  return func_type_at(module_.tags[index].type_index, out);
}

bool FuncValidator::struct_at(uint32_t type, const Vec<FieldType>*& out) {
  if (type >= module_.types.size()) return fail_index("type", type);
  if (module_.types[type].kind != CompKind::Struct)
    return fail(message_with("non-structure type ", type));
  out = &module_.types[type].fields;
  return true;
}

bool FuncValidator::array_at(uint32_t type, FieldType& out) {
  if (type >= module_.types.size()) return fail_index("type", type);
  if (module_.types[type].kind != CompKind::Array)
    return fail(message_with("non-array type ", type));
  out = module_.types[type].fields[0];
  return true;
}

bool FuncValidator::table_at(uint32_t index, const TableType*& out) {
  if (index >= module_.tables.size()) return fail_index("table", index);
  out = &module_.tables[index].type;
  return true;
}

bool FuncValidator::memory_at(uint32_t index, const MemoryType*& out) {
  if (WAFER_UNLIKELY(index >= module_.memories.size())) return fail_index("memory", index);
  out = &module_.memories[index].type;
  return true;
}

bool FuncValidator::mem_arg(const Instr& in, uint8_t align_log2, bool exact, ValType& address) {
  const MemoryType* memory;
  if (!memory_at(in.index, memory)) return false;
  if (in.align > align_log2) return fail("alignment must not be larger than natural");
  if (exact && in.align != align_log2) return fail("atomic alignment must be natural");
  if (!memory->limits.is64 && in.offset >> 32) return fail("offset out of range");
  address = memory->limits.address_type();
  return true;
}

// --- Whole functions ----------------------------------------------------------

bool FuncValidator::begin_frames(Types results) {
  error_.reset();
  control_.clear();
  init_trail_.clear();
  results_ = results;
  if (!stack_ && !grow()) return false;
  sp_ = floor_ = stack_;
  return push_frame(Opcode::Block, {}, results);
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

Result<void> FuncValidator::begin(uint32_t func) {
  const Function& function = module_.functions[func];
  const FuncType& type = module_.types[function.type_index].func;
  constant_ = false;
  tracks_inits_ = false;
  at_ = function.body.begin;
  reader_ = InstrReader(module_.bytes, function.body.begin, function.body.end, module_.features);
  reader_.set_type_limit(uint32_t(module_.types.size()));
  control_.clear();
  locals_.assign(type.params.begin(), type.params.end());
  param_count_ = uint32_t(locals_.size());
  if (function.body.size() > kMaxFunctionSize)
    return Error(ErrorKind::Exhaustion, "function body is too large", at_);
  if (!read_locals()) return read_error();
  if (tracks_inits_) {
    local_set_.assign(locals_.size(), 1);
    for (size_t i = param_count_; i < locals_.size(); ++i) local_set_[i] = locals_[i].defaultable();
  }
  if (!begin_frames(type.results)) return std::move(*error_);
  return {};
}

Result<void> FuncValidator::finish() {
  if (run()) return {};
  return read_error();
}

Result<void> FuncValidator::check_const(ConstExpr expr, ValType type, uint32_t visible_globals) {
  constant_ = true;
  visible_globals_ = visible_globals;
  at_ = expr.begin;
  tracks_inits_ = false;
  locals_.clear();
  reader_ = InstrReader(module_.bytes, expr.begin, expr.end, module_.features);
  reader_.set_type_limit(uint32_t(module_.types.size()));
  if (!begin_frames(one(type))) return std::move(*error_);
  while (!done()) {
    WAFER_TRY(read(scratch_));
    at_ = scratch_.offset_in_module;
    if (!step_const(scratch_) || !step(scratch_)) return std::move(*error_);
  }
  return {};
}

bool FuncValidator::step_const(const Instr& in) {
  const FeatureSet features = module_.features;
  bool allowed = false;
  switch (in.op) {
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
      break;
    case Opcode::GlobalGet: {
      const uint32_t visible =
          features.has(Feature::GC) ? visible_globals_ : module_.imported_globals;
      if (in.index >= visible) return fail_index("global", in.index);
      allowed = !module_.globals[in.index].type.is_mutable;
      break;
    }
    default:
      break;
  }
  if (!allowed) return fail("constant expression required");
  return true;
}

// --- Instructions ---------------------------------------------------------------

// Pops a descriptor for a cast to `heap`: an exact one if the cast is to an exact type.
bool FuncValidator::pop_descriptor_of(HeapType heap) {
  const uint32_t descriptor =
      heap.is_concrete() ? module_.types[heap.index()].descriptor : SubType::kNone;
  if (descriptor == SubType::kNone) {
    return fail("type " + (heap.is_concrete() ? message_with("", heap.index()) : to_string(heap)) +
                " does not have a descriptor");
  }
  return pop(ValType::ref(HeapType::concrete(descriptor, heap.is_exact()), true));
}

bool FuncValidator::step_sig(const Instr& in) {
  const OpFacts& facts = kOpFacts[size_t(in.op)];
  const OpSig& sig = facts.sig;
  if (facts.imm == Imm::None && sig.result_count == 1) {
    // Most numeric instructions, with operands of just the right types.
    if (sig.param_count == 2 && sp_ - floor_ >= 2 && sp_[-1] == ValType(sig.params[1]) &&
        sp_[-2] == ValType(sig.params[0])) {
      sp_[-2] = sig.results[0];
      --sp_;
      return true;
    }
    if (sig.param_count == 1 && sp_ != floor_ && sp_[-1] == ValType(sig.params[0])) {
      sp_[-1] = sig.results[0];
      return true;
    }
  }
  ValType params[4] = {sig.params[0], sig.params[1], sig.params[2], sig.params[3]};
  switch (facts.imm) {
    case Imm::MemArgLane:
    case Imm::MemArg:
      if (!mem_arg(in, facts.aux, facts.feature == Feature::Threads, params[0])) return false;
      if (facts.imm == Imm::MemArgLane && in.lane >= (16u >> facts.aux))
        return fail("invalid lane index");
      break;
    case Imm::Lane:
      if (in.lane >= facts.aux) return fail("invalid lane index");
      break;
    case Imm::Shuffle:
      for (const uint8_t lane : in.v128.bytes)
        if (lane >= 32) return fail("invalid lane index");
      break;
    default:
      break;
  }
  if (!pop_all({params, sig.param_count})) return false;
  for (unsigned i = 0; i < sig.result_count; ++i) push(sig.results[i]);
  return true;
}

bool FuncValidator::call(const FuncType& type, bool tail, ValType extra) {
  if (tail && !all_match(type.results, results_))
    return fail("type mismatch: current function requires result type " + type_list(results_) +
                " but callee returns " + type_list(type.results));
  if (!extra.is_bot() && !pop(extra)) return false;
  if (!pop_all(type.params)) return false;
  if (tail)
    set_unreachable();
  else
    push_all(type.results);
  return true;
}

bool FuncValidator::local_set(uint32_t index, bool tee) {
  if (index >= locals_.size()) return fail_index("local", index);
  const ValType type = locals_[index];
  if (!pop(type)) return false;
  if (tee) push(type);
  if (tracks_inits_ && !local_set_[index]) {
    local_set_[index] = 1;
    init_trail_.push_back(index);
  }
  return true;
}

bool FuncValidator::check_catches(const Instr& in) {
  for (const CatchClause& c : in.catches) {
    Types params;
    const bool tagged = c.kind <= CatchClause::Kind::CatchRef;
    if (tagged) {
      if (c.tag >= module_.tags.size()) return fail_index("tag", c.tag);
      params = module_.types[module_.tags[c.tag].type_index].func.params;
    }
    const ControlFrame* target;
    if (!label(c.label, target)) return false;
    Types want = target->label_types();
    const bool with_ref =
        c.kind == CatchClause::Kind::CatchRef || c.kind == CatchClause::Kind::CatchAllRef;
    const ValType exn = ValType::ref(HeapKind::Exn, false);
    if (want.size() != params.size() + with_ref || !all_match(params, want.first(params.size())) ||
        (with_ref && !matches(exn, want.back()))) {
      String have = type_list(params);
      if (with_ref) {
        have.pop_back();
        if (!params.empty()) have += ' ';
        have += to_string(exn) + "]";
      }
      return fail("type mismatch: catch handler requires " + type_list(want) + " but label has " +
                  have);
    }
  }
  return true;
}

// The continuation type that the last of `types` refers to.
bool FuncValidator::last_cont(Types types, std::string_view what, const FuncType*& out) {
  if (types.empty() || !types.back().is_ref() || !types.back().heap().is_concrete()) {
    String message = "type mismatch: instruction requires ";
    message += what;
    return fail(message + " has " + type_list(types));
  }
  return cont_at(types.back().heap().index(), out);
}

bool FuncValidator::check_clauses(const Instr& in, Types results) {
  for (const ResumeClause& c : in.clauses) {
    const FuncType* tag;
    if (!tag_at(c.tag, tag)) return false;
    if (c.is_switch) {
      if (!tag->params.empty() || !all_match(tag->results, results) ||
          !all_match(results, tag->results))
        return fail("type mismatch: tag of a switch handler");
      continue;
    }
    const ControlFrame* target;
    if (!label(c.label, target)) return false;
    const Types want = target->label_types();
    const FuncType* cont;
    if (!last_cont(want, "concrete continuation reference type but label", cont)) return false;
    if (!all_match(cont->params, tag->results) || !all_match(results, cont->results))
      return fail("type mismatch in continuation type");
    if (!all_match(tag->params, want.first(want.size() - 1)))
      return fail("type mismatch: handler requires " + type_list(want) + " but label has " +
                  type_list(tag->params));
  }
  return true;
}

bool FuncValidator::stack_switching(const Instr& in) {
  const FuncType* type;
  if (in.op == Opcode::Suspend) {
    if (!tag_at(in.index, type) || !pop_all(type->params)) return false;
    push_all(type->results);
    return true;
  }
  if (!cont_at(in.index, type)) return false;
  const ValType cont = ValType::ref(HeapType::concrete(in.index), true);
  switch (in.op) {
    case Opcode::ContNew:
      if (!pop(ValType::ref(HeapType::concrete(module_.types[in.index].cont), true))) return false;
      push(ValType::ref(HeapType::concrete(in.index), false));
      return true;
    case Opcode::ContBind: {
      const FuncType* bound;
      if (!cont_at(in.index2, bound)) return false;
      const size_t rest = bound->params.size();
      if (type->params.size() < rest) return fail("type mismatch in continuation arguments");
      const Types params = type->params;
      if (!all_match(bound->params, params.last(rest)) || !all_match(type->results, bound->results))
        return fail("type mismatch in continuation types");
      if (!pop(cont) || !pop_all(params.first(params.size() - rest))) return false;
      push(ValType::ref(HeapType::concrete(in.index2), false));
      return true;
    }
    case Opcode::Switch: {
      const FuncType *tag, *other;
      const Types params = type->params;
      if (!last_cont(params, "continuation reference type but the type annotation", other) ||
          !tag_at(in.index2, tag))
        return false;
      if (!tag->params.empty()) return fail("type mismatch in switch tag");
      if (!all_match(type->results, tag->results) || !all_match(tag->results, other->results))
        return fail("type mismatch in continuation types");
      if (!pop(cont) || !pop_all(params.first(params.size() - 1))) return false;
      push_all(other->params);
      return true;
    }
    default: {
      if (!check_clauses(in, type->results) || !pop(cont)) return false;
      if (in.op == Opcode::ResumeThrowRef) {
        if (!pop(kNullExn)) return false;
      } else if (in.op == Opcode::ResumeThrow) {
        const FuncType* tag;
        if (!tag_at(in.index2, tag)) return false;
        if (!tag->results.empty()) return fail("type mismatch: tag of an exception has results");
        if (!pop_all(tag->params)) return false;
      } else if (!pop_all(type->params)) {
        return false;
      }
      push_all(type->results);
      return true;
    }
  }
}

bool FuncValidator::castable(HeapType type) {
  return top_kind(module_, type) != HeapKind::Cont || fail("invalid cast to continuation types");
}

bool FuncValidator::br_table(const Instr& in) {
  if (!pop(kI32)) return false;
  const ControlFrame* target;
  if (!label(in.labels.back(), target)) return false;
  const size_t arity = target->label_types().size();
  const size_t available = size_t(sp_ - floor_);
  if (available < arity && !control_.back().unreachable) return mismatch(target->label_types());
  const size_t take = available < arity ? available : arity;
  const ValType* checked = nullptr;
  for (uint32_t index : in.labels) {
    if (!label(index, target)) return false;
    const Types types = target->label_types();
    if (types.size() != arity) return mismatch(types);
    // Neighbours mostly have the same types, even the same list.
    if (arity == 0 || types.data() == checked) continue;
    checked = types.data();
    for (size_t i = 1; i <= take; ++i)
      if (!matches(sp_[-ptrdiff_t(i)], types[arity - i])) return mismatch(types);
  }
  set_unreachable();
  return true;
}

bool FuncValidator::ref_of(uint32_t type, bool nullable, ValType& out) {
  if (type >= module_.types.size()) return fail_index("type", type);
  out = ValType::ref(HeapType::concrete(type), nullable);
  return true;
}

bool FuncValidator::step(const Instr& in) {
  at_ = in.offset_in_module;
  if (WAFER_UNLIKELY(sp_ > soft_limit_) && !grow()) return false;
  switch (in.op) {
    case Opcode::Unreachable:
      set_unreachable();
      return true;

    case Opcode::Block:
    case Opcode::Loop:
    case Opcode::If:
    case Opcode::Try:
    case Opcode::TryTable: {
      if (in.block.kind == BlockType::Kind::Type) {
        const FuncType* type;
        if (!func_type_at(in.block.type_index, type)) return false;
      }
      if (in.op == Opcode::If && !pop(kI32)) return false;
      if (in.op == Opcode::TryTable && !check_catches(in)) return false;
      const Types params = block_params(in.block), results = block_results(in.block);
      return pop_all(params) && push_frame(in.op, params, results);
    }

    case Opcode::Else: {
      ControlFrame& frame = control_.back();
      if (frame.op != Opcode::If) return fail("END opcode expected", ErrorKind::Malformed);
      if (!end_frame()) return false;
      frame.op = Opcode::Else;
      frame.unreachable = false;
      push_all(frame.params);
      return true;
    }

    case Opcode::Catch:
    case Opcode::CatchAll: {
      ControlFrame& frame = control_.back();
      if (frame.op != Opcode::Try && frame.op != Opcode::Catch)
        return fail("misplaced catch", ErrorKind::Malformed);
      if (in.op == Opcode::Catch && in.index >= module_.tags.size())
        return fail_index("tag", in.index);
      if (!end_frame()) return false;
      frame.op = in.op;
      frame.unreachable = false;
      if (in.op == Opcode::Catch)
        push_all(module_.types[module_.tags[in.index].type_index].func.params);
      return true;
    }

    case Opcode::Delegate: {
      if (control_.back().op != Opcode::Try)
        return fail("misplaced delegate", ErrorKind::Malformed);
      // The label is relative to what encloses the try block.
      if (in.index >= control_.size() - 1) return fail_index("label", in.index);
      if (!end_frame()) return false;
      const Types results = control_.back().results;
      control_.pop_back();
      floor_ = stack_ + control_.back().height;
      push_all(results);
      return true;
    }

    case Opcode::Rethrow: {
      const ControlFrame* target;
      if (!label(in.index, target)) return false;
      if (target->op != Opcode::Catch && target->op != Opcode::CatchAll)
        return fail("invalid rethrow label");
      set_unreachable();
      return true;
    }

    case Opcode::End: {
      const ControlFrame& frame = control_.back();
      if (!end_frame()) return false;
      // An `if` without `else` passes its parameters through.
      if (frame.op == Opcode::If && !all_match(frame.params, frame.results))
        return fail("type mismatch: if without else requires " + type_list(frame.results) +
                    " but has " + type_list(frame.params));
      const Types results = frame.results;
      control_.pop_back();
      if (control_.empty()) {
        if (!reader_.at_end()) {
          at_ = reader_.offset();
          return fail("section size mismatch", ErrorKind::Malformed);
        }
        floor_ = stack_;
      } else {
        floor_ = stack_ + control_.back().height;
      }
      push_all(results);
      return true;
    }

    case Opcode::Throw: {
      const FuncType* tag;
      if (!tag_at(in.index, tag) || !pop_all(tag->params)) return false;
      set_unreachable();
      return true;
    }

    case Opcode::ContNew:
    case Opcode::ContBind:
    case Opcode::Suspend:
    case Opcode::Resume:
    case Opcode::ResumeThrow:
    case Opcode::ResumeThrowRef:
    case Opcode::Switch:
      return stack_switching(in);

    case Opcode::ThrowRef:
      if (!pop(kNullExn)) return false;
      set_unreachable();
      return true;

    case Opcode::Br: {
      const ControlFrame* target;
      if (!label(in.index, target) || !pop_all(target->label_types())) return false;
      set_unreachable();
      return true;
    }

    case Opcode::BrIf: {
      const ControlFrame* target;
      if (!label(in.index, target) || !pop(kI32)) return false;
      const Types types = target->label_types();
      if (!pop_all(types)) return false;
      push_all(types);
      return true;
    }

    case Opcode::BrTable:
      return br_table(in);

    case Opcode::Return:
      if (!pop_all(results_)) return false;
      set_unreachable();
      return true;

    case Opcode::Call:
    case Opcode::ReturnCall:
      if (in.index >= module_.functions.size()) return fail_index("function", in.index);
      return call(module_.func_type(in.index), in.op == Opcode::ReturnCall, kBot);

    case Opcode::CallIndirect:
    case Opcode::ReturnCallIndirect: {
      const TableType* table;
      const FuncType* type;
      if (!table_at(in.index2, table) || !func_type_at(in.index, type)) return false;
      if (!matches(table->element, kFuncRef))
        return fail(
            "type mismatch: instruction requires table of function type but table has element "
            "type " +
            to_string(table->element));
      return call(*type, in.op == Opcode::ReturnCallIndirect, table->limits.address_type());
    }

    case Opcode::CallRef:
    case Opcode::ReturnCallRef: {
      const FuncType* type;
      if (!func_type_at(in.index, type)) return false;
      return call(*type, in.op == Opcode::ReturnCallRef,
                  ValType::ref(HeapType::concrete(in.index), true));
    }

    case Opcode::Drop:
      if (sp_ == floor_) return control_.back().unreachable || mismatch(one(kI32));
      --sp_;
      return true;

    case Opcode::Select: {
      if (!pop(kI32)) return false;
      const bool polymorphic = control_.back().unreachable;
      if (sp_ - floor_ < 2 && !polymorphic) return mismatch(Types(kNumTypes, 2));
      const ValType b = operand(0), a = operand(1);
      for (ValType t : {b, a})
        if (!t.is_bot() && !is_num_or_vec(t))
          return fail("type mismatch: instruction requires numeric or vector type but stack has " +
                      to_string(t));
      if (a != b && !a.is_bot() && !b.is_bot()) {
        const ValType want[] = {b, b};
        return mismatch(want);
      }
      sp_ -= sp_ - floor_ < 2 ? sp_ - floor_ : 2;
      push(b.is_bot() ? a : b);
      return true;
    }

    case Opcode::SelectT: {
      if (in.types.size() != 1)
        return fail("invalid result arity other than 1 is not (yet) allowed");
      const ValType t = in.types[0];
      const ValType want[] = {t, t, kI32};
      if (!pop_all(want)) return false;
      push(t);
      return true;
    }

    case Opcode::LocalGet: {
      if (in.index >= locals_.size()) return fail_index("local", in.index);
      if (tracks_inits_ && !local_set_[in.index])
        return fail(message_with("uninitialized local ", in.index));
      push(locals_[in.index]);
      return true;
    }
    case Opcode::LocalSet:
      return local_set(in.index, false);
    case Opcode::LocalTee:
      return local_set(in.index, true);

    case Opcode::GlobalGet:
      if (in.index >= module_.globals.size()) return fail_index("global", in.index);
      push(module_.globals[in.index].type.type);
      return true;
    case Opcode::GlobalSet: {
      if (in.index >= module_.globals.size()) return fail_index("global", in.index);
      const GlobalType& global = module_.globals[in.index].type;
      if (!global.is_mutable) return fail("immutable global");
      return pop(global.type);
    }

    case Opcode::TableGet: {
      const TableType* table;
      if (!table_at(in.index, table) || !pop(table->limits.address_type())) return false;
      push(table->element);
      return true;
    }
    case Opcode::TableSet: {
      const TableType* table;
      if (!table_at(in.index, table)) return false;
      const ValType want[] = {table->limits.address_type(), table->element};
      return pop_all(want);
    }
    case Opcode::TableSize: {
      const TableType* table;
      if (!table_at(in.index, table)) return false;
      push(table->limits.address_type());
      return true;
    }
    case Opcode::TableGrow: {
      const TableType* table;
      if (!table_at(in.index, table)) return false;
      const ValType address = table->limits.address_type();
      const ValType want[] = {table->element, address};
      if (!pop_all(want)) return false;
      push(address);
      return true;
    }
    case Opcode::TableFill: {
      const TableType* table;
      if (!table_at(in.index, table)) return false;
      const ValType address = table->limits.address_type();
      const ValType want[] = {address, table->element, address};
      return pop_all(want);
    }
    case Opcode::TableCopy: {
      const TableType *to, *from;
      if (!table_at(in.index, to) || !table_at(in.index2, from)) return false;
      if (!matches(from->element, to->element))
        return fail("type mismatch: source element type " + to_string(from->element) +
                    " does not match destination element type " + to_string(to->element));
      const ValType want[] = {to->limits.address_type(), from->limits.address_type(),
                              to->limits.is64 && from->limits.is64 ? kI64 : kI32};
      return pop_all(want);
    }
    case Opcode::TableInit: {
      const TableType* table;
      if (!table_at(in.index2, table)) return false;
      if (in.index >= module_.elems.size()) return fail_index("elem segment", in.index);
      const ValType type = module_.elems[in.index].type;
      if (!matches(type, table->element))
        return fail("type mismatch: element segment's type " + to_string(type) +
                    " does not match table's element type " + to_string(table->element));
      const ValType want[] = {table->limits.address_type(), kI32, kI32};
      return pop_all(want);
    }
    case Opcode::ElemDrop:
      if (in.index >= module_.elems.size()) return fail_index("elem segment", in.index);
      return true;

    case Opcode::MemorySize: {
      const MemoryType* memory;
      if (!memory_at(in.index, memory)) return false;
      push(memory->limits.address_type());
      return true;
    }
    case Opcode::MemoryGrow: {
      const MemoryType* memory;
      if (!memory_at(in.index, memory)) return false;
      const ValType address = memory->limits.address_type();
      if (!pop(address)) return false;
      push(address);
      return true;
    }
    case Opcode::MemoryFill: {
      const MemoryType* memory;
      if (!memory_at(in.index, memory)) return false;
      const ValType address = memory->limits.address_type();
      const ValType want[] = {address, kI32, address};
      return pop_all(want);
    }
    case Opcode::MemoryCopy: {
      const MemoryType *to, *from;
      if (!memory_at(in.index, to) || !memory_at(in.index2, from)) return false;
      const ValType want[] = {to->limits.address_type(), from->limits.address_type(),
                              to->limits.is64 && from->limits.is64 ? kI64 : kI32};
      return pop_all(want);
    }
    case Opcode::MemoryInit: {
      const MemoryType* memory;
      if (!memory_at(in.index2, memory)) return false;
      if (!module_.data_count) return missing_data_count();
      if (in.index >= *module_.data_count) return fail_index("data segment", in.index);
      const ValType want[] = {memory->limits.address_type(), kI32, kI32};
      return pop_all(want);
    }
    case Opcode::DataDrop:
      if (!module_.data_count) return missing_data_count();
      if (in.index >= *module_.data_count) return fail_index("data segment", in.index);
      return true;

    case Opcode::RefNull:
      push(ValType::ref(in.heap, true));
      return true;
    case Opcode::RefFunc:
      if (in.index >= module_.functions.size()) return fail_index("function", in.index);
      if (!constant_ && !module_.functions[in.index].declared)
        return fail(message_with("undeclared function reference ", in.index));
      push(ValType::ref(HeapType::concrete(module_.functions[in.index].type_index,
                                           exact_types() && module_.functions[in.index].exact),
                        false));
      return true;
    case Opcode::RefIsNull: {
      ValType ref;
      if (!pop_ref(ref)) return false;
      push(kI32);
      return true;
    }
    case Opcode::RefAsNonNull: {
      ValType ref;
      if (!pop_ref(ref)) return false;
      push(ValType::ref(ref.heap(), false));
      return true;
    }
    case Opcode::RefEq: {
      const ValType eq = ValType::ref(HeapKind::Eq, true);
      const ValType want[] = {eq, eq};
      if (!pop_all(want)) return false;
      push(kI32);
      return true;
    }
    case Opcode::BrOnNull: {
      const ControlFrame* target;
      ValType ref;
      if (!label(in.index, target) || !pop_ref(ref)) return false;
      const Types types = target->label_types();
      if (!pop_all(types)) return false;
      push_all(types);
      push(ValType::ref(ref.heap(), false));
      return true;
    }
    case Opcode::BrOnNonNull: {
      const ControlFrame* target;
      if (!label(in.index, target)) return false;
      const Types types = target->label_types();
      if (types.empty() || !types.back().is_ref())
        return fail("type mismatch: instruction requires reference type but label has " +
                    type_list(types));
      if (!pop(ValType::ref(types.back().heap(), true))) return false;
      const Types rest = types.first(types.size() - 1);
      if (!pop_all(rest)) return false;
      push_all(rest);
      return true;
    }
    case Opcode::BrOnCast:
    case Opcode::BrOnCastFail:
    case Opcode::BrOnCastDescEq:
    case Opcode::BrOnCastDescEqFail: {
      const ControlFrame* target;
      if (!castable(in.heap2) || !label(in.index, target)) return false;
      const ValType from = ValType::ref(in.heap, in.null1), to = ValType::ref(in.heap2, in.null2);
      // With custom descriptors both have to be in one hierarchy only.
      if (exact_types() ? top_kind(module_, in.heap) != top_kind(module_, in.heap2)
                        : !matches(to, from))
        return fail("type mismatch on cast: type " + to_string(to) + " does not match " +
                    to_string(from));
      // What is left of `from` once `to` has been taken away.
      const ValType rest = ValType::ref(in.heap, in.null1 && !in.null2);
      const bool on_success = in.op == Opcode::BrOnCast || in.op == Opcode::BrOnCastDescEq;
      if (in.op == Opcode::BrOnCastDescEq || in.op == Opcode::BrOnCastDescEqFail) {
        if (!pop_descriptor_of(in.heap2)) return false;
      }
      const ValType carried = on_success ? to : rest;
      const Types types = target->label_types();
      if (types.empty() || !matches(carried, types.back()))
        return fail("type mismatch: instruction requires type " + to_string(carried) +
                    " but label has " + type_list(types));
      if (!pop(from)) return false;
      const Types others = types.first(types.size() - 1);
      if (!pop_all(others)) return false;
      push_all(others);
      push(on_success ? rest : to);
      return true;
    }
    case Opcode::RefCastDescEq:
    case Opcode::RefCastDescEqNull:
      if (!pop_descriptor_of(in.heap) || !pop(ValType::ref(HeapKind::Any, true))) return false;
      push(ValType::ref(in.heap, in.op == Opcode::RefCastDescEqNull));
      return true;
    case Opcode::RefGetDesc: {
      if (in.index >= module_.types.size()) return fail_index("type", in.index);
      const uint32_t descriptor = module_.types[in.index].descriptor;
      if (descriptor == SubType::kNone)
        return fail(message_with("type without descriptor: ", in.index));
      const bool exact =
          matches(operand(0), ValType::ref(HeapType::concrete(in.index, true), true));
      if (!pop(ValType::ref(HeapType::concrete(in.index), true))) return false;
      push(ValType::ref(HeapType::concrete(descriptor, exact), false));
      return true;
    }
    case Opcode::RefTest:
    case Opcode::RefTestNull:
      if (!castable(in.heap) || !pop(ValType::ref(top_kind(module_, in.heap), true))) return false;
      push(kI32);
      return true;
    case Opcode::RefCast:
    case Opcode::RefCastNull:
      if (!castable(in.heap) || !pop(ValType::ref(top_kind(module_, in.heap), true))) return false;
      push(ValType::ref(in.heap, in.op == Opcode::RefCastNull));
      return true;
    case Opcode::AnyConvertExtern:
    case Opcode::ExternConvertAny: {
      const bool to_any = in.op == Opcode::AnyConvertExtern;
      const bool nullable = operand(0).is_ref() && operand(0).nullable();
      if (!pop(ValType::ref(to_any ? HeapKind::Extern : HeapKind::Any, true))) return false;
      push(ValType::ref(to_any ? HeapKind::Any : HeapKind::Extern, nullable));
      return true;
    }
    case Opcode::RefI31:
      if (!pop(kI32)) return false;
      push(ValType::ref(HeapKind::I31, false));
      return true;
    case Opcode::I31GetS:
    case Opcode::I31GetU:
      if (!pop(ValType::ref(HeapKind::I31, true))) return false;
      push(kI32);
      return true;

    case Opcode::StructNew:
    case Opcode::StructNewDefault:
    case Opcode::StructNewDesc:
    case Opcode::StructNewDefaultDesc: {
      const Vec<FieldType>* fields;
      if (!struct_at(in.index, fields)) return false;
      const bool described =
          in.op == Opcode::StructNewDesc || in.op == Opcode::StructNewDefaultDesc;
      const uint32_t descriptor = module_.types[in.index].descriptor;
      if (described && descriptor == SubType::kNone)
        return fail("type without descriptor requires non-descriptor allocation");
      if (!described && descriptor != SubType::kNone)
        return fail("type with descriptor requires descriptor allocation");
      if (described && !pop(ValType::ref(HeapType::concrete(descriptor, true), true))) return false;
      if (in.op == Opcode::StructNewDefault || in.op == Opcode::StructNewDefaultDesc) {
        for (const FieldType& f : *fields)
          if (!f.storage.defaultable()) return fail("field type is not defaultable");
      } else {
        for (size_t i = fields->size(); i-- > 0;)
          if (!pop((*fields)[i].storage.unpacked())) return false;
      }
      push(ValType::ref(HeapType::concrete(in.index, exact_types()), false));
      return true;
    }
    case Opcode::StructGet:
    case Opcode::StructGetS:
    case Opcode::StructGetU:
    case Opcode::StructSet: {
      const Vec<FieldType>* fields;
      if (!struct_at(in.index, fields)) return false;
      if (in.index2 >= fields->size()) return fail_index("field", in.index2);
      const FieldType& field = (*fields)[in.index2];
      const ValType ref = ValType::ref(HeapType::concrete(in.index), true);
      if (in.op == Opcode::StructSet) {
        if (!field.is_mutable) return fail("immutable field");
        const ValType want[] = {ref, field.storage.unpacked()};
        return pop_all(want);
      }
      if (field.storage.is_packed() != (in.op != Opcode::StructGet))
        return fail(in.op == Opcode::StructGet ? "field is packed" : "field is unpacked");
      if (!pop(ref)) return false;
      push(field.storage.unpacked());
      return true;
    }

    case Opcode::ArrayNew:
    case Opcode::ArrayNewDefault:
    case Opcode::ArrayNewFixed: {
      FieldType field;
      if (!array_at(in.index, field)) return false;
      const ValType type = field.storage.unpacked();
      if (in.op == Opcode::ArrayNewFixed) {
        if (in.index2 > kMaxArrayNewFixed)
          return fail("array.new_fixed has too many operands", ErrorKind::Exhaustion);
        for (uint32_t i = 0; i < in.index2; ++i)
          if (!pop(type)) return false;
      } else {
        if (!pop(kI32)) return false;
        if (in.op == Opcode::ArrayNew) {
          if (!pop(type)) return false;
        } else if (!type.defaultable()) {
          return fail("array type is not defaultable");
        }
      }
      push(ValType::ref(HeapType::concrete(in.index, exact_types()), false));
      return true;
    }
    case Opcode::ArrayNewData:
    case Opcode::ArrayNewElem: {
      FieldType field;
      if (!array_at(in.index, field)) return false;
      if (in.op == Opcode::ArrayNewElem) {
        if (in.index2 >= module_.elems.size()) return fail_index("elem segment", in.index2);
        const ValType type = module_.elems[in.index2].type;
        if (!matches(type, field.storage))
          return fail("type mismatch: element segment's type " + to_string(type) +
                      " does not match array's field type " + to_string(field.storage));
      } else {
        if (!module_.data_count) return missing_data_count();
        if (in.index2 >= *module_.data_count) return fail_index("data segment", in.index2);
        if (field.storage.is_ref()) return fail("array type is not numeric or vector");
      }
      const ValType want[] = {kI32, kI32};
      if (!pop_all(want)) return false;
      push(ValType::ref(HeapType::concrete(in.index, exact_types()), false));
      return true;
    }
    case Opcode::ArrayGet:
    case Opcode::ArrayGetS:
    case Opcode::ArrayGetU: {
      FieldType field;
      if (!array_at(in.index, field)) return false;
      if (field.storage.is_packed() != (in.op != Opcode::ArrayGet))
        return fail(in.op == Opcode::ArrayGet ? "array is packed" : "array is unpacked");
      const ValType want[] = {ValType::ref(HeapType::concrete(in.index), true), kI32};
      if (!pop_all(want)) return false;
      push(field.storage.unpacked());
      return true;
    }
    case Opcode::ArraySet: {
      FieldType field;
      if (!array_at(in.index, field)) return false;
      if (!field.is_mutable) return fail("immutable array");
      const ValType want[] = {ValType::ref(HeapType::concrete(in.index), true), kI32,
                              field.storage.unpacked()};
      return pop_all(want);
    }
    case Opcode::ArrayLen:
      if (!pop(ValType::ref(HeapKind::Array, true))) return false;
      push(kI32);
      return true;
    case Opcode::ArrayFill: {
      FieldType field;
      if (!array_at(in.index, field)) return false;
      if (!field.is_mutable) return fail("immutable array");
      const ValType want[] = {ValType::ref(HeapType::concrete(in.index), true), kI32,
                              field.storage.unpacked(), kI32};
      return pop_all(want);
    }
    case Opcode::ArrayCopy: {
      FieldType to, from;
      if (!array_at(in.index, to) || !array_at(in.index2, from)) return false;
      if (!to.is_mutable) return fail("immutable array");
      if (!matches(from.storage, to.storage)) return fail("array types do not match");
      const ValType want[] = {ValType::ref(HeapType::concrete(in.index), true), kI32,
                              ValType::ref(HeapType::concrete(in.index2), true), kI32, kI32};
      return pop_all(want);
    }
    case Opcode::ArrayInitData:
    case Opcode::ArrayInitElem: {
      FieldType field;
      if (!array_at(in.index, field)) return false;
      if (!field.is_mutable) return fail("immutable array");
      if (in.op == Opcode::ArrayInitElem) {
        if (in.index2 >= module_.elems.size()) return fail_index("elem segment", in.index2);
        const ValType type = module_.elems[in.index2].type;
        if (!matches(type, field.storage))
          return fail("type mismatch: element segment's type " + to_string(type) +
                      " does not match array's field type " + to_string(field.storage));
      } else {
        if (!module_.data_count) return missing_data_count();
        if (in.index2 >= *module_.data_count) return fail_index("data segment", in.index2);
        if (field.storage.is_ref()) return fail("array type is not numeric or vector");
      }
      const ValType want[] = {ValType::ref(HeapType::concrete(in.index), true), kI32, kI32, kI32};
      return pop_all(want);
    }

    default:
      return step_sig(in);
  }
}

namespace {

// How run() treats a one-byte opcode; Slow leaves it to read_instr and step.
enum class Fast : uint8_t {
  Slow,
  Nop,
  LocalGet,
  LocalSet,
  LocalTee,
  GlobalGet,
  GlobalSet,
  Const32,
  Const64,
  ConstFloat,
  Load,
  Store,
  Unary,
  Binary,
  Block,
  If,
  End,
  Br,
  BrIf,
  Return,
  Call,
  Drop,
  Select,
};

struct FastOp {
  Fast fast = Fast::Slow;
  uint8_t aux = 0;  // alignment, or size of a constant
  ValType in, out;  // operand and result type
};

constexpr auto kFastOps = [] {
  std::array<FastOp, 256> table{};
  for (unsigned b = 0; b < 256; ++b) {
    const Opcode op = kByteOpcodes[b];
    if (op == Opcode::Illegal) continue;
    const OpFacts& facts = kOpFacts[size_t(op)];
    if (facts.feature != Feature::Core) continue;
    const OpSig& sig = facts.sig;
    FastOp& fast = table[b];
    fast.aux = facts.aux;
    if (facts.imm == Imm::MemArg) {
      fast.fast = sig.result_count ? Fast::Load : Fast::Store;
      fast.in = sig.result_count ? TypeKind::Bot : sig.params[1];
      fast.out = sig.result_count ? sig.results[0] : TypeKind::Bot;
    } else if (facts.imm == Imm::None && !sig.custom && sig.result_count == 1) {
      fast.fast = sig.param_count == 1 ? Fast::Unary : Fast::Binary;
      fast.in = sig.params[0];
      fast.out = sig.results[0];
    }
    switch (op) {
      case Opcode::Nop:
        fast.fast = Fast::Nop;
        break;
      case Opcode::LocalGet:
        fast.fast = Fast::LocalGet;
        break;
      case Opcode::LocalSet:
        fast.fast = Fast::LocalSet;
        break;
      case Opcode::LocalTee:
        fast.fast = Fast::LocalTee;
        break;
      case Opcode::GlobalGet:
        fast.fast = Fast::GlobalGet;
        break;
      case Opcode::GlobalSet:
        fast.fast = Fast::GlobalSet;
        break;
      case Opcode::I32Const:
        fast.fast = Fast::Const32;
        break;
      case Opcode::I64Const:
        fast.fast = Fast::Const64;
        break;
      case Opcode::F32Const:
        fast = {Fast::ConstFloat, 4, kBot, kF32};
        break;
      case Opcode::F64Const:
        fast = {Fast::ConstFloat, 8, kBot, kF64};
        break;
      case Opcode::Block:
      case Opcode::Loop:
        fast.fast = Fast::Block;
        break;
      case Opcode::If:
        fast.fast = Fast::If;
        break;
      case Opcode::End:
        fast.fast = Fast::End;
        break;
      case Opcode::Br:
        fast.fast = Fast::Br;
        break;
      case Opcode::BrIf:
        fast.fast = Fast::BrIf;
        break;
      case Opcode::Return:
        fast.fast = Fast::Return;
        break;
      case Opcode::Call:
        fast.fast = Fast::Call;
        break;
      case Opcode::Drop:
        fast.fast = Fast::Drop;
        break;
      case Opcode::Select:
        fast.fast = Fast::Select;
        break;
      default:
        break;
    }
  }
  return table;
}();

// Reads an index of one or two bytes; false for longer ones, which take the
// slow path with its checks.
WAFER_ALWAYS_INLINE bool short_index(const uint8_t*& p, uint32_t& out) {
  const uint32_t a = p[0];
  if (WAFER_LIKELY(a < 0x80)) {
    out = a;
    p += 1;
    return true;
  }
  const uint32_t b = p[1];
  if (b >= 0x80) return false;
  out = (a & 0x7F) | b << 7;
  p += 2;
  return true;
}

// Skips a LEB128 of at most `most` bytes, too few for it to be ill-formed.
WAFER_ALWAYS_INLINE bool skip_leb(const uint8_t*& p, unsigned most) {
  for (unsigned i = 0; i < most; ++i)
    if (*p++ < 0x80) return true;
  return false;
}

}  // namespace

// Validates up to the body's end. The common instructions, in their common
// shapes and with operands of exactly the right types, are dealt with right
// here; whatever else comes goes through read_instr and step, which find every
// error. So the fast paths only ever accept.
bool FuncValidator::run() {
  // No fast path looks further ahead than this.
  constexpr ptrdiff_t kLookAhead = 16;
  const uint8_t* p = reader_.pos_;
  const uint8_t* const fast_end = reader_.end_ - p > kLookAhead ? reader_.end_ - kLookAhead : p;
  ValType *sp = sp_, *floor = floor_;
  const ValType* const locals = locals_.data();
  const auto local_count = uint32_t(locals_.size());
  const bool tracks_inits = tracks_inits_;
  const bool has_memory = !module_.memories.empty();
  const ValType address = has_memory ? module_.memories[0].type.limits.address_type() : kBot;
  const Global* const globals = module_.globals.data();
  const auto global_count = uint32_t(module_.globals.size());

  for (;;) {
    if (WAFER_LIKELY(p < fast_end && sp <= soft_limit_)) {
      const FastOp op = kFastOps[*p];
      const uint8_t* q = p + 1;
      uint32_t index = 0;
      switch (op.fast) {
        case Fast::Slow:
          break;
        case Fast::Nop:
          p = q;
          continue;
        case Fast::LocalGet:
          if (!short_index(q, index) || index >= local_count) break;
          if (tracks_inits && !local_set_[index]) break;
          *sp++ = locals[index];
          p = q;
          continue;
        case Fast::LocalSet:
          if (!short_index(q, index) || index >= local_count) break;
          if (sp == floor || sp[-1] != locals[index]) break;
          if (tracks_inits && !local_set_[index]) break;
          --sp;
          p = q;
          continue;
        case Fast::LocalTee:
          if (!short_index(q, index) || index >= local_count) break;
          if (sp == floor || sp[-1] != locals[index]) break;
          if (tracks_inits && !local_set_[index]) break;
          p = q;
          continue;
        case Fast::GlobalGet:
          if (!short_index(q, index) || index >= global_count) break;
          *sp++ = globals[index].type.type;
          p = q;
          continue;
        case Fast::GlobalSet:
          if (!short_index(q, index) || index >= global_count) break;
          if (!globals[index].type.is_mutable) break;
          if (sp == floor || sp[-1] != globals[index].type.type) break;
          --sp;
          p = q;
          continue;
        case Fast::Const32:
          if (!skip_leb(q, 4)) break;
          *sp++ = kI32;
          p = q;
          continue;
        case Fast::Const64:
          if (!skip_leb(q, 9)) break;
          *sp++ = kI64;
          p = q;
          continue;
        case Fast::ConstFloat:
          *sp++ = op.out;
          p = q + op.aux;
          continue;
        case Fast::Load:
          if (*q++ > op.aux || !skip_leb(q, 4)) break;
          if (!has_memory || sp == floor || sp[-1] != address) break;
          sp[-1] = op.out;
          p = q;
          continue;
        case Fast::Store:
          if (*q++ > op.aux || !skip_leb(q, 4)) break;
          if (!has_memory || sp - floor < 2 || sp[-1] != op.in || sp[-2] != address) break;
          sp -= 2;
          p = q;
          continue;
        case Fast::Unary:
          if (sp == floor || sp[-1] != op.in) break;
          sp[-1] = op.out;
          p = q;
          continue;
        case Fast::Binary:
          if (sp - floor < 2 || sp[-1] != op.in || sp[-2] != op.in) break;
          sp[-2] = op.out;
          --sp;
          p = q;
          continue;
        case Fast::Block:
        case Fast::If: {
          const uint8_t type = *q++;
          Types results;
          if (type >= 0x7C && type <= 0x7F)
            results = {&kNumTypes[0x7F - type], 1};
          else if (type != 0x40)
            break;
          if (op.fast == Fast::If) {
            if (sp == floor || sp[-1] != kI32) break;
            --sp;
          }
          sp_ = sp;
          at_ = uint32_t(p - reader_.base_);
          if (!push_frame(kByteOpcodes[*p], {}, results)) return false;
          floor = floor_;
          p = q;
          continue;
        }
        case Fast::End: {
          const ControlFrame& frame = control_.back();
          const size_t count = frame.results.size();
          if (count > 1 || size_t(sp - floor) != count || control_.size() == 1) break;
          if (count == 1 && (sp[-1] != frame.results[0] || frame.op == Opcode::If)) break;
          if (!frame.params.empty() || init_trail_.size() != frame.init_height) break;
          control_.pop_back();
          floor_ = floor = stack_ + control_.back().height;
          p = q;
          continue;
        }
        case Fast::Br:
        case Fast::BrIf: {
          if (!short_index(q, index) || index >= control_.size()) break;
          const Types types = control_[control_.size() - 1 - index].label_types();
          const ValType* top = sp;
          if (op.fast == Fast::BrIf) {
            if (top == floor || top[-1] != kI32) break;
            --top;
          }
          if (types.size() > 1) break;
          if (types.size() == 1 && (top == floor || top[-1] != types[0])) break;
          if (op.fast == Fast::BrIf) {
            --sp;
          } else {
            sp = floor;
            control_.back().unreachable = true;
          }
          p = q;
          continue;
        }
        case Fast::Return:
          if (results_.size() > 1) break;
          if (results_.size() == 1 && (sp == floor || sp[-1] != results_[0])) break;
          sp = floor;
          control_.back().unreachable = true;
          p = q;
          continue;
        case Fast::Call: {
          index = 0;
          unsigned shift = 0;
          do {
            index |= uint32_t(*q & 0x7F) << shift;
            shift += 7;
          } while (*q++ >= 0x80 && shift < 28);
          if (q[-1] >= 0x80 || index >= module_.functions.size()) break;
          const FuncType& type = module_.func_type(index);
          const size_t count = type.params.size();
          if (size_t(sp - floor) < count) break;
          bool same = true;
          for (size_t i = 0; i < count; ++i)
            same &= sp[ptrdiff_t(i) - ptrdiff_t(count)] == type.params[i];
          if (!same) break;
          sp -= count;
          for (ValType t : type.results) *sp++ = t;
          p = q;
          continue;
        }
        case Fast::Drop:
          if (sp == floor) break;
          --sp;
          p = q;
          continue;
        case Fast::Select:
          if (sp - floor < 3 || sp[-1] != kI32 || sp[-2] != sp[-3]) break;
          if (!is_num_or_vec(sp[-2])) break;
          sp -= 2;
          p = q;
          continue;
      }
    }
    reader_.pos_ = p;
    sp_ = sp;
    if (WAFER_UNLIKELY(reader_.at_end()) || !reader_.read_instr(scratch_) || !step(scratch_))
      return false;
    if (done()) return true;
    p = reader_.pos_;
    sp = sp_;
    floor = floor_;
  }
}

Result<void> validate_function(const Module& module, uint32_t func) {
  FuncValidator validator(module);
  WAFER_TRY(validator.begin(func));
  return validator.finish();
}

}  // namespace wafer::wasm
