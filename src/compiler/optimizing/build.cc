// From a function's body to SSA form: locals and operands become values, structured control
// becomes blocks. What a block or loop assigns to is found out beforehand, so that only those
// locals meet where control does.
#include <algorithm>

#include "compiler/optimizing/ir.h"
#include "runtime/store.h"
#include "wasm/op_tables.h"
#include "wasm/validator.h"

namespace wafer::compiler {

namespace {

using Kind = Node::Kind;

// What is noted of locals at edges, over the whole function, in values for a byte of its body;
// beyond it the function is left to another compiler. It keeps time linear.
constexpr size_t kMostNotes = 64, kLeastNotes = 1u << 16;

// Operands of the instructions that the opcode table leaves to the validator, which are no
// control instructions; -1: not known here.
int operand_count(Opcode op) {
  using enum Opcode;
  switch (op) {
    case GlobalGet:
    case MemorySize:
    case TableSize:
    case DataDrop:
    case ElemDrop:
    case RefFunc:
      return 0;
    case GlobalSet:
    case MemoryGrow:
    case TableGet:
    case RefIsNull:
      return 1;
    case TableSet:
    case TableGrow:
      return 2;
    case MemoryFill:
    case MemoryCopy:
    case MemoryInit:
    case TableFill:
    case TableCopy:
    case TableInit:
      return 3;
    default:
      return -1;
  }
}

}  // namespace

class FunctionBuilder::Impl {
 public:
  Impl(const wasm::Module& module, const CodeOptions& options)
      : module_(module), options_(options), validator_(module) {}
  Result<Function*> build(uint32_t func);

 private:
  // A way out of the code so far, to where a frame's label is.
  struct Edge {
    uint32_t block;
    uint32_t values;  // in edge_values_: operands, then locals
    uint32_t next;
  };
  struct Frame {
    Opcode op = Opcode::Block;
    bool has_else = false;
    uint32_t height = 0;  // of operands below the parameters
    std::span<const ValType> params, results;
    uint32_t first_local = 0, local_count = 0;  // in assigned_
    uint32_t first_edge = kNoValue, last_edge = kNoValue, edge_count = 0;
    // Loop: its header and the first of its phis. If: where it begins for else.
    uint32_t header = 0;
    ValueId first_phi = 0;
    uint32_t saved = 0;  // If: parameters and locals of its beginning, in edge_values_
    std::span<const ValType> label_types() const { return op == Opcode::Loop ? params : results; }
  };

  bool find_assigned(uint32_t func);
  Result<void> visit(const Instr& in);
  void visit_skipped(const Instr& in);
  Error unsupported() const {
    return Error(ErrorKind::Unsupported, "not supported by the optimizing compiler", offset_);
  }

  Frame& frame(uint32_t label) { return frames_[frames_.size() - 1 - label]; }
  uint32_t new_block() {
    f_.blocks.emplace_back();
    f_.blocks.back().loop_depth = depth_;
    return uint32_t(f_.blocks.size() - 1);
  }
  void connect(uint32_t from, uint32_t to) {
    f_.blocks[from].succs.push_back(to);
    f_.blocks[to].preds.push_back(from);
  }
  ValueId add(Kind kind, ValType type, std::span<const ValueId> args, uint64_t value = 0,
              Opcode op = Opcode::Illegal) {
    Node n;
    n.kind = kind;
    n.op = op;
    n.type = type;
    n.block = current_;
    n.first_arg = uint32_t(f_.args.size());
    n.arg_count = uint32_t(args.size());
    n.offset = offset_;
    n.value = value;
    f_.args.insert(f_.args.end(), args.begin(), args.end());
    f_.nodes.push_back(n);
    const auto id = ValueId(f_.nodes.size() - 1);
    f_.blocks[current_].nodes.push_back(id);
    return id;
  }
  ValueId constant(ValType type, uint64_t value) { return add(Kind::Const, type, {}, value); }
  uint64_t keep(const Instr& in) {
    f_.instrs.push_back(in);
    return f_.instrs.size() - 1;
  }
  ValueId pop() {
    const ValueId v = stack_.back();
    stack_.pop_back();
    return v;
  }
  void leave() { reachable_ = false; }

  // The code up to the next point of control takes fuel as a whole, when it begins.
  void take_fuel() {
    if (!options_.fuel || !reachable_) return;
    Instr in;
    in.op = Opcode::Nop;
    in.index = 0;
    stretch_ = keep(in);
    add(Kind::Instr, wasm::kBot, {}, stretch_, Opcode::Nop);
  }
  void poll() {
    if (options_.interruptible) add(Kind::Instr, wasm::kBot, {}, kNoImmediates, Opcode::Nop);
  }

  void push_frame(const Instr& in);
  void note_values(const Frame& frame, std::span<const ValueId> operands);
  void note_edge(Frame& frame, std::span<const ValueId> operands);
  void jump_to(uint32_t label);
  void branch_if(uint32_t label, ValueId cond);
  void switch_to(const Instr& in, ValueId index);
  void merge(const Frame& frame, std::span<const ValType> types);
  void begin_loop(const Instr& in);
  void end_loop(const Frame& frame);
  void begin_if(const Instr& in, ValueId cond);
  void begin_else();
  void end_frame();
  void close_frame();
  void return_now();
  void call(const Instr& in, const wasm::FuncType& type, unsigned extra, bool tail);
  Result<void> plain(const Instr& in, uint32_t operands);
  void results_of(ValueId node, std::span<const ValType> types);

  const wasm::Module& module_;
  const CodeOptions options_;
  wasm::FuncValidator validator_;
  Function f_;
  Vec<ValueId> locals_, stack_;
  Vec<Frame> frames_;
  Vec<Edge> edges_;
  Vec<ValueId> edge_values_;
  Vec<ValueId> scratch_;
  size_t notes_ = 0, most_notes_ = 0;
  uint64_t stretch_ = 0;  // that takes fuel, in Function::instrs
  uint32_t current_ = 0, depth_ = 0, offset_ = 0, skip_ = 0;
  bool reachable_ = true;
  bool too_much_ = false;

  // By construct in order of their beginnings: which locals it assigns to.
  struct Range {
    uint32_t begin, end;
  };
  Vec<Range> constructs_;
  Vec<uint32_t> assigned_, pending_, stamps_;
  struct Open {
    uint32_t construct, pending;
  };
  Vec<Open> open_;
  uint32_t next_construct_ = 0;
};

// One pass over the body, whose locals have been read.
bool FunctionBuilder::Impl::find_assigned(uint32_t func) {
  constructs_.clear();
  assigned_.clear();
  pending_.clear();
  open_.clear();
  stamps_.assign(validator_.locals().size(), 0);
  uint32_t stamp = 0;
  const auto& body = module_.functions[func].body;
  wasm::InstrReader reader(module_.bytes, validator_.offset(), body.end, module_.features);
  Instr in;
  while (!reader.at_end() && reader.read(in).ok()) {
    switch (in.op) {
      case Opcode::LocalSet:
      case Opcode::LocalTee:
        if (!open_.empty() && in.index < stamps_.size()) pending_.push_back(in.index);
        break;
      case Opcode::Block:
      case Opcode::Loop:
      case Opcode::If:
        open_.push_back({uint32_t(constructs_.size()), uint32_t(pending_.size())});
        constructs_.push_back({0, 0});
        break;
      case Opcode::TryTable:
      case Opcode::Try:
        return false;
      case Opcode::End: {
        if (open_.empty()) break;  // of the function
        const Open o = open_.back();
        open_.pop_back();
        ++stamp;
        size_t kept = o.pending;
        for (size_t i = o.pending; i < pending_.size(); ++i) {
          const uint32_t local = pending_[i];
          if (stamps_[local] == stamp) continue;
          stamps_[local] = stamp;
          pending_[kept++] = local;
        }
        pending_.resize(kept);
        constructs_[o.construct] = {uint32_t(assigned_.size()),
                                    uint32_t(assigned_.size() + kept - o.pending)};
        assigned_.insert(assigned_.end(), pending_.begin() + o.pending, pending_.end());
        if (assigned_.size() > most_notes_) return false;
        break;
      }
      default:
        break;
    }
  }
  return true;
}

Result<Function*> FunctionBuilder::Impl::build(uint32_t func) {
  f_.nodes.clear();
  f_.args.clear();
  f_.blocks.clear();
  f_.instrs.clear();
  f_.targets.clear();
  f_.module = &module_;
  locals_.clear();
  stack_.clear();
  frames_.clear();
  edges_.clear();
  edge_values_.clear();
  notes_ = 0;
  const auto& body = module_.functions[func].body;
  most_notes_ = std::max(kLeastNotes, body.size() * kMostNotes);
  depth_ = skip_ = next_construct_ = 0;
  reachable_ = true;
  too_much_ = false;
  offset_ = body.begin;
  WAFER_TRY(validator_.begin(func));
  const wasm::FuncType& type = module_.func_type(func);
  if (!find_assigned(func)) return unsupported();

  current_ = new_block();
  const auto& locals = validator_.locals();
  for (size_t i = 0; i < type.params.size(); ++i)
    locals_.push_back(add(Kind::Param, locals[i], {}, i));
  // One zero of each type is enough.
  Vec<std::pair<ValType, ValueId>> zeros;
  for (size_t i = type.params.size(); i < locals.size(); ++i) {
    ValueId zero = kNoValue;
    for (const auto& [t, v] : zeros)
      if (t == locals[i]) zero = v;
    if (zero == kNoValue) {
      if (locals[i] == wasm::kV128) {
        Instr in;
        in.op = Opcode::V128Const;
        zero = add(Kind::Instr, locals[i], {}, keep(in), in.op);
      } else {
        // (A local without a default is never read before it is set.)
        zero = constant(locals[i], locals[i].is_ref() ? uint64_t(runtime::kNullRef) : 0);
      }
      if (zeros.size() < 16) zeros.push_back({locals[i], zero});
    }
    locals_.push_back(zero);
  }
  frames_.emplace_back().results = type.results;
  take_fuel();
  poll();

  Instr in;
  while (!validator_.done()) {
    WAFER_TRY(validator_.read(in));
    offset_ = in.offset_in_module;
    if (!reachable_) {
      WAFER_TRY(validator_.apply(in));
      visit_skipped(in);
    } else {
      if (options_.fuel) ++f_.instrs[stretch_].index;
      WAFER_TRY(visit(in));
    }
    if (too_much_) return unsupported();
    // The next instruction keeps what it has no use for, and copies of it would.
    in.labels.clear();
    in.types.clear();
  }
  return &f_;
}

void FunctionBuilder::Impl::visit_skipped(const Instr& in) {
  switch (in.op) {
    case Opcode::Block:
    case Opcode::Loop:
    case Opcode::If:
      ++next_construct_;
      ++skip_;
      return;
    case Opcode::End:
      if (skip_) {
        --skip_;
      } else {
        end_frame();
      }
      return;
    case Opcode::Else:
      if (!skip_) {
        begin_else();
        take_fuel();
      }
      return;
    default:
      return;
  }
}

void FunctionBuilder::Impl::push_frame(const Instr& in) {
  Frame& f = frames_.emplace_back();
  f.op = in.op;
  f.params = validator_.block_params(in.block);
  f.results = validator_.block_results(in.block);
  f.height = uint32_t(stack_.size() - f.params.size());
  const Range r = constructs_[next_construct_++];
  f.first_local = r.begin;
  f.local_count = r.end - r.begin;
}

// Notes operands, and what the locals are that the frame's code assigns to.
void FunctionBuilder::Impl::note_values(const Frame& frame, std::span<const ValueId> operands) {
  edge_values_.insert(edge_values_.end(), operands.begin(), operands.end());
  for (uint32_t i = 0; i < frame.local_count; ++i)
    edge_values_.push_back(locals_[assigned_[frame.first_local + i]]);
  notes_ += operands.size() + frame.local_count;
  if (notes_ > most_notes_) too_much_ = true;
}

// Notes that the present block goes on at the label of `frame`, and what it brings along.
void FunctionBuilder::Impl::note_edge(Frame& frame, std::span<const ValueId> operands) {
  const auto id = uint32_t(edges_.size());
  edges_.push_back({current_, uint32_t(edge_values_.size()), kNoValue});
  if (frame.last_edge == kNoValue) {
    frame.first_edge = id;
  } else {
    edges_[frame.last_edge].next = id;
  }
  frame.last_edge = id;
  ++frame.edge_count;
  note_values(frame, operands);
}

// Ends the present block with a jump to a label, or a return.
void FunctionBuilder::Impl::jump_to(uint32_t label) {
  Frame& target = frame(label);
  if (&target == &frames_.front()) {
    return_now();
    return;
  }
  add(Kind::Jump, wasm::kBot, {});
  const size_t n = target.label_types().size();
  note_edge(target, {stack_.data() + stack_.size() - n, n});
}

void FunctionBuilder::Impl::return_now() {
  const size_t n = frames_.front().results.size();
  add(Kind::Return, wasm::kBot, {stack_.data() + stack_.size() - n, n});
}

void FunctionBuilder::Impl::branch_if(uint32_t label, ValueId cond) {
  add(Kind::Branch, wasm::kBot, {&cond, 1});
  const uint32_t from = current_;
  current_ = new_block();
  connect(from, current_);
  jump_to(label);
  current_ = new_block();
  connect(from, current_);
}

void FunctionBuilder::Impl::switch_to(const Instr& in, ValueId index) {
  if (std::ranges::all_of(in.labels, [&](uint32_t label) { return label == in.labels[0]; })) {
    jump_to(in.labels[0]);
    leave();
    return;
  }
  const size_t first = f_.targets.size();
  add(Kind::Switch, wasm::kBot, {&index, 1}, first);
  const uint32_t from = current_;
  f_.targets.push_back(uint32_t(in.labels.size()));
  // Each label once; their depths are below the number of frames.
  HashMap<uint32_t, uint32_t> known;
  for (const uint32_t label : in.labels) {
    auto [it, added] = known.try_emplace(label);
    if (added) {
      it->second = uint32_t(known.size() - 1);
      current_ = new_block();
      connect(from, current_);
      jump_to(label);
    }
    f_.targets.push_back(it->second);
  }
  leave();
}

// Goes on where the edges to a frame's end meet, with values of `types` and its locals.
void FunctionBuilder::Impl::merge(const Frame& frame, std::span<const ValType> types) {
  stack_.resize(frame.height);
  if (frame.edge_count == 0) {
    leave();
    return;
  }
  reachable_ = true;
  current_ = new_block();
  for (uint32_t e = frame.first_edge; e != kNoValue; e = edges_[e].next)
    connect(edges_[e].block, current_);
  const size_t count = types.size() + frame.local_count;
  for (size_t i = 0; i < count; ++i) {
    const ValueId first = edge_values_[edges_[frame.first_edge].values + i];
    bool same = true;
    for (uint32_t e = frame.first_edge; e != kNoValue && same; e = edges_[e].next)
      same = edge_values_[edges_[e].values + i] == first;
    ValueId value = first;
    const bool operand = i < types.size();
    const uint32_t local = operand ? 0 : assigned_[frame.first_local + i - types.size()];
    if (!same) {
      scratch_.clear();
      for (uint32_t e = frame.first_edge; e != kNoValue; e = edges_[e].next)
        scratch_.push_back(edge_values_[edges_[e].values + i]);
      value = add(Kind::Phi, operand ? types[i] : validator_.locals()[local], scratch_);
    }
    if (operand) {
      stack_.push_back(value);
    } else {
      locals_[local] = value;
    }
  }
}

void FunctionBuilder::Impl::begin_loop(const Instr& in) {
  push_frame(in);
  Frame& f = frames_.back();
  add(Kind::Jump, wasm::kBot, {});
  const uint32_t before = current_;
  ++depth_;
  f.header = current_ = new_block();
  connect(before, current_);
  f.first_phi = ValueId(f_.nodes.size());
  // The phis get their operands at the loop's end, and keep the first until then.
  for (size_t i = 0; i < f.params.size(); ++i) {
    ValueId& v = stack_[f.height + i];
    v = add(Kind::Phi, f.params[i], {}, v);
  }
  for (uint32_t i = 0; i < f.local_count; ++i) {
    const uint32_t local = assigned_[f.first_local + i];
    locals_[local] = add(Kind::Phi, validator_.locals()[local], {}, locals_[local]);
  }
  take_fuel();
  poll();
}

void FunctionBuilder::Impl::end_loop(const Frame& f) {
  const auto count = uint32_t(f.params.size()) + f.local_count;
  for (uint32_t e = f.first_edge; e != kNoValue; e = edges_[e].next)
    connect(edges_[e].block, f.header);
  for (uint32_t i = 0; i < count; ++i) {
    Node& phi = f_.nodes[f.first_phi + i];
    phi.first_arg = uint32_t(f_.args.size());
    phi.arg_count = 1 + f.edge_count;
    f_.args.push_back(ValueId(phi.value));
    phi.value = 0;
    for (uint32_t e = f.first_edge; e != kNoValue; e = edges_[e].next)
      f_.args.push_back(edge_values_[edges_[e].values + i]);
  }
  --depth_;
  if (f.edge_count) {
    // Only up to the last block that goes back, so that what follows it is not in the loop.
    f_.blocks[f.header].loop_end = edges_[f.last_edge].block;
  }
}

void FunctionBuilder::Impl::begin_if(const Instr& in, ValueId cond) {
  push_frame(in);
  Frame& f = frames_.back();
  f.saved = uint32_t(edge_values_.size());
  note_values(f, {stack_.data() + f.height, f.params.size()});
  add(Kind::Branch, wasm::kBot, {&cond, 1});
  f.header = current_;
  current_ = new_block();
  connect(f.header, current_);
  take_fuel();
}

// The other arm begins, where everything is as before the first.
void FunctionBuilder::Impl::begin_else() {
  if (reachable_) jump_to(0);
  Frame& f = frames_.back();
  f.has_else = true;
  reachable_ = true;
  current_ = new_block();
  connect(f.header, current_);
  stack_.resize(f.height);
  const ValueId* saved = edge_values_.data() + f.saved;
  stack_.insert(stack_.end(), saved, saved + f.params.size());
  for (uint32_t i = 0; i < f.local_count; ++i)
    locals_[assigned_[f.first_local + i]] = saved[f.params.size() + i];
}

void FunctionBuilder::Impl::end_frame() {
  if (frames_.size() == 1) {
    if (reachable_) return_now();
    frames_.pop_back();
    leave();
    return;
  }
  close_frame();
  take_fuel();
}

// The end of what is not the whole body.
void FunctionBuilder::Impl::close_frame() {
  Frame& f = frames_.back();
  if (f.op == Opcode::Loop) {
    end_loop(f);
    frames_.pop_back();
    return;
  }
  if (f.op == Opcode::If && !f.has_else) begin_else();
  // What falls through need not jump where nothing else comes.
  if (reachable_ && f.edge_count == 0) {
    frames_.pop_back();
    return;
  }
  if (reachable_) jump_to(0);
  const Frame ended = frames_.back();
  frames_.pop_back();
  merge(ended, ended.results);
}

void FunctionBuilder::Impl::results_of(ValueId node, std::span<const ValType> types) {
  if (types.empty()) return;
  f_.nodes[node].type = types[0];
  stack_.push_back(node);
  for (size_t i = 1; i < types.size(); ++i)
    stack_.push_back(add(Kind::Result, types[i], {&node, 1}, i));
}

void FunctionBuilder::Impl::call(const Instr& in, const wasm::FuncType& type, unsigned extra,
                                 bool tail) {
  const size_t n = type.params.size() + extra;
  const ValueId node = add(tail ? Kind::TailCall : Kind::Instr, wasm::kBot,
                           {stack_.data() + stack_.size() - n, n}, keep(in), in.op);
  stack_.resize(stack_.size() - n);
  if (tail) {
    leave();
  } else {
    results_of(node, type.results);
  }
}

Result<void> FunctionBuilder::Impl::plain(const Instr& in, uint32_t operands) {
  const auto before = uint32_t(stack_.size());
  WAFER_TRY(validator_.apply(in));
  const bool immediates = wasm::kOpFacts[size_t(in.op)].imm != wasm::Imm::None;
  const ValueId node = add(Kind::Instr, wasm::kBot, {stack_.data() + before - operands, operands},
                           immediates ? keep(in) : kNoImmediates, in.op);
  stack_.resize(before - operands);
  const uint32_t results = validator_.height() - uint32_t(stack_.size());
  ValType types[2];
  if (results > std::size(types)) return unsupported();
  for (uint32_t i = 0; i < results; ++i) types[i] = validator_.operand(results - 1 - i);
  results_of(node, {types, results});
  return {};
}

Result<void> FunctionBuilder::Impl::visit(const Instr& in) {
  using enum Opcode;
  switch (in.op) {
    case Nop:
      return validator_.apply(in);
    case Unreachable:
      add(Kind::Trap, wasm::kBot, {});
      leave();
      return validator_.apply(in);
    case Block:
      push_frame(in);
      return validator_.apply(in);
    case Loop:
      begin_loop(in);
      return validator_.apply(in);
    case If:
      begin_if(in, pop());
      return validator_.apply(in);
    case Else:
      WAFER_TRY(validator_.apply(in));
      begin_else();
      take_fuel();
      return {};
    case End:
      WAFER_TRY(validator_.apply(in));
      end_frame();
      return {};
    case Br:
      jump_to(in.index);
      leave();
      return validator_.apply(in);
    case BrIf:
      branch_if(in.index, pop());
      return validator_.apply(in);
    case BrTable:
      switch_to(in, pop());
      return validator_.apply(in);
    case Return:
      return_now();
      leave();
      return validator_.apply(in);
    case Call:
    case ReturnCall:
      call(in, module_.func_type(in.index), 0, in.op == ReturnCall);
      return validator_.apply(in);
    case CallIndirect:
    case ReturnCallIndirect:
    case CallRef:
    case ReturnCallRef:
      call(in, module_.types[in.index].func, 1,
           in.op == ReturnCallIndirect || in.op == ReturnCallRef);
      return validator_.apply(in);
    case Drop:
      stack_.pop_back();
      return validator_.apply(in);
    case Select:
    case SelectT:
      // Typed, as if it were plain: its immediates say no more than the operands.
      WAFER_TRY(validator_.apply(in));
      {
        const size_t n = stack_.size() - 3;
        const ValueId node =
            add(Kind::Instr, validator_.operand(0), {stack_.data() + n, 3}, kNoImmediates, Select);
        stack_.resize(n);
        stack_.push_back(node);
      }
      return {};
    case LocalGet:
      stack_.push_back(locals_[in.index]);
      return validator_.apply(in);
    case LocalSet:
      locals_[in.index] = pop();
      return validator_.apply(in);
    case LocalTee:
      locals_[in.index] = stack_.back();
      return validator_.apply(in);
    case I32Const:
      stack_.push_back(constant(wasm::kI32, uint32_t(in.i32)));
      return validator_.apply(in);
    case I64Const:
      stack_.push_back(constant(wasm::kI64, uint64_t(in.i64)));
      return validator_.apply(in);
    case F32Const:
      stack_.push_back(constant(wasm::kF32, in.f32_bits));
      return validator_.apply(in);
    case F64Const:
      stack_.push_back(constant(wasm::kF64, in.f64_bits));
      return validator_.apply(in);
    case RefNull:
      WAFER_TRY(validator_.apply(in));
      stack_.push_back(constant(validator_.operand(0), uint64_t(runtime::kNullRef)));
      return {};
    default:
      break;
  }
  const wasm::OpSig& sig = wasm::kOpFacts[size_t(in.op)].sig();
  if (!sig.custom) return plain(in, sig.param_count);
  const int operands = operand_count(in.op);
  if (operands < 0) return unsupported();
  return plain(in, uint32_t(operands));
}

FunctionBuilder::FunctionBuilder(const wasm::Module& module, const CodeOptions& options)
    : impl_(make_box<Impl>(module, options)) {}
FunctionBuilder::~FunctionBuilder() = default;
Result<Function*> FunctionBuilder::build(uint32_t func) { return impl_->build(func); }

}  // namespace wafer::compiler
