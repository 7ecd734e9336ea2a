// Side tables of functions that are run in place.
#include <algorithm>
#include <utility>

#include "interp/in_place.h"
#include "runtime/roots.h"
#include "wasm/validator.h"

#if WAFER_HAS_IN_PLACE

namespace wafer::interp {

namespace {

using wasm::Instr;
using wasm::Opcode;

constexpr uint32_t kNone = ~0u;

class TableMaker {
 public:
  TableMaker(const wasm::Module& module, bool fuel, FuncCode& out)
      : module_(module), validator_(module), out_(out), fuel_(fuel), maps_(out.ref_maps) {}

  Result<void> run();

 private:
  struct Label {
    uint32_t forward = kNone;    // latest branch to its end; each has the one before
    uint32_t otherwise = kNone;  // of an if, where its condition is false
    uint32_t pc = 0, entry = 0;  // of a loop
    uint32_t handlers = kNone;   // latest handler that leads to its end; likewise
    uint32_t begin = 0;          // of a try_table, after the opcode
    bool loop = false;
    [[no_unique_address]] HandlerVec<wasm::CatchClause> catches;
  };

  uint32_t here() const { return uint32_t(out_.code.size()); }
  // Distances are from `pc_`, after the opcode.
  uint32_t add(uint32_t slot, uint32_t count) {
    const uint32_t at = here();
    // Until the target is known: where the branch is, and the one before to the same.
    out_.code.resize(at + out_.entry_words);
    link(at, pc_, kNone);
    out_.code[at + out_.entry_words - 1] |= Word(slot) << 32 | Word(count) << 48;
    return at;
  }
  bool wide() const { return out_.entry_words == 2; }
  void link(uint32_t at, uint32_t first, uint32_t second) {
    Word& w = out_.code[at];
    if (wide())
      w = Word(first) | Word(second) << 32;
    else
      w = (w & ~Word(0xFFFFFFFF)) | uint16_t(first) | uint32_t(uint16_t(second)) << 16;
  }
  void bind(uint32_t at, uint32_t from, uint32_t pc, uint32_t entry) {
    link(at, pc - from, entry - at);
  }
  // Binds the branches from `at` on to `pc`, with the next entry.
  void bind_all(uint32_t at, uint32_t pc) {
    while (at != kNone) {
      const Word w = out_.code[at];
      const uint32_t from = wide() ? uint32_t(w) : uint16_t(w);
      const uint32_t second = wide() ? uint32_t(w >> 32) : uint16_t(w >> 16);
      bind(at, from, pc, here());
      at = second == (wide() ? kNone : 0xFFFF) ? kNone : second;
    }
  }
  void branch(uint32_t label) {
    const wasm::ControlFrame& frame = validator_.control(label);
    Label& to = labels_[labels_.size() - 1 - label];
    const uint32_t at = add(operands_ + frame.height, uint32_t(frame.label_types().size()));
    if (to.loop) {
      bind(at, pc_, to.pc, to.entry);
    } else {
      link(at, pc_, to.forward);
      to.forward = at;
    }
  }
  // Goes elsewhere with all operands where they are, but for `popped`.
  uint32_t jump(uint32_t popped) { return add(operands_ + validator_.height() - popped, 0); }
  // A new stretch of code that is charged as a whole begins.
  void charge() {
    if (!fuel_ || !validator_.reachable()) return;
    safepoint(0);
    cost_ = here();
    out_.code.resize(here() + out_.entry_words);
  }
  // Of the module, of what is at `pc` of the code.
  uint32_t offset(uint32_t pc) const { return begin_ + pc; }
  void add_handlers(const Label& label);
  void bind_handlers(const Label& label, uint32_t pc);
  void safepoint(uint32_t count);
  uint32_t kept(const Instr& in) const;
  Result<void> visit(const Instr& in);

  const wasm::Module& module_;
  wasm::FuncValidator validator_;
  FuncCode& out_;
  const bool fuel_;
  RefMapMaker maps_;
  Vec<Label> labels_;
  uint32_t operands_ = 0;  // the first operand's slot
  uint32_t begin_ = 0;     // of the first instruction
  uint32_t pc_ = 0;        // after the opcode, from there
  uint32_t cost_ = kNone;
  bool after_loop_ = false;  // the next instruction is where branches to the loop lead
};

// Handlers of a try_table that ends here, so that inner ones come first.
void TableMaker::add_handlers(const Label& label) {
  const uint32_t depth = uint32_t(labels_.size());
  for (const wasm::CatchClause& clause : label.catches) {
    using K = wasm::CatchClause::Kind;
    // Labels of clauses count from outside, which is what is left of them here.
    Label& to = labels_[depth - 1 - clause.label];
    const wasm::ControlFrame& frame = validator_.control(clause.label + 1);
    Handler h{};
    h.begin = offset(label.begin);
    h.end = offset(pc_);
    h.depth = depth + 1;
    h.kind = clause.kind == K::Catch || clause.kind == K::CatchRef ? Handler::Kind::Catch
                                                                   : Handler::Kind::CatchAll;
    h.tag = clause.tag;
    h.push_args = h.kind == Handler::Kind::Catch;
    h.push_ref = clause.kind == K::CatchRef || clause.kind == K::CatchAllRef;
    h.dst = uint16_t(operands_ + frame.height);
    h.arity = uint16_t(frame.label_types().size());
    h.target = to.loop ? offset(to.pc) : to.handlers;
    h.entry = to.entry;
    if (!to.loop) to.handlers = uint32_t(out_.handlers.size());
    out_.handlers.push_back(h);
  }
}

void TableMaker::bind_handlers(const Label& label, uint32_t pc) {
  for (uint32_t at = label.handlers; at != kNone;) {
    Handler& h = out_.handlers[at];
    at = std::exchange(h.target, offset(pc));
    h.entry = here();
  }
}

// The collector may look at the frame while this instruction is on, whose first `count` operands
// are the frame's.
void TableMaker::safepoint(uint32_t count) {
  if constexpr (!runtime::kHasRoots) return;
  const uint32_t map = maps_.map(count, [this](uint32_t i) {
    return is_gc_ref(module_, validator_.operand_at(i)) ? operands_ + i : RefMapMaker::kNoSlot;
  });
  auto& points = out_.ref_points;
  if (map != (points.empty() ? 0 : points.back().second)) points.emplace_back(offset(pc_ - 1), map);
}

// How many operands an instruction leaves where and what they are, at least.
uint32_t TableMaker::kept(const Instr& in) const {
  uint32_t taken = 5;  // by those that always take as many
  switch (in.op) {
    case Opcode::End:
    case Opcode::Else:
      return validator_.control(0).height;
    case Opcode::Call:
    case Opcode::ReturnCall:
      taken = uint32_t(module_.func_type(in.index).params.size());
      break;
    case Opcode::CallIndirect:
    case Opcode::CallRef:
    case Opcode::ReturnCallIndirect:
    case Opcode::ReturnCallRef:
      // And what says which function.
      taken = uint32_t(module_.types[in.index].func.params.size()) + 1;
      break;
    case Opcode::Throw:
      taken = uint32_t(module_.types[module_.tags[in.index].type_index].func.params.size());
      break;
    case Opcode::Block:
    case Opcode::Loop:
    case Opcode::If:
    case Opcode::TryTable:
      taken = uint32_t(validator_.block_params(in.block).size()) + 1;
      break;
    case Opcode::BrIf:
    case Opcode::BrOnNull:
    case Opcode::BrOnNonNull:
      taken = uint32_t(validator_.control(in.index).label_types().size()) + 1;
      break;
    default:
      break;
  }
  return validator_.height() - std::min(validator_.height(), taken);
}

Result<void> TableMaker::visit(const Instr& in) {
  const bool live = validator_.reachable();
  WAFER_ASSUME_BUILT(in.op);
  switch (in.op) {
    case Opcode::Block:
    case Opcode::Loop:
    case Opcode::TryTable:
      WAFER_TRY(validator_.apply(in));
      labels_.emplace_back();
      if (in.op == Opcode::TryTable && live) {
        labels_.back().begin = pc_;
        labels_.back().catches = in.catches;
      }
      if (in.op == Opcode::Loop) {
        labels_.back().loop = true;
        labels_.back().entry = here();
        after_loop_ = true;
        if (live) safepoint(validator_.height());  // to look for an interrupt
        charge();
      }
      return {};
    case Opcode::If: {
      const uint32_t otherwise = live ? jump(1) : kNone;
      WAFER_TRY(validator_.apply(in));
      labels_.emplace_back();
      labels_.back().otherwise = otherwise;
      charge();
      return {};
    }
    case Opcode::Else: {
      Label& label = labels_.back();
      if (live) {
        const uint32_t at = jump(0);
        link(at, pc_, label.forward);
        label.forward = at;
      }
      WAFER_TRY(validator_.apply(in));
      bind_all(std::exchange(label.otherwise, kNone), pc_);
      charge();
      return {};
    }
    case Opcode::End: {
      const Label label = std::move(labels_.back());
      labels_.pop_back();
      add_handlers(label);
      const bool last = labels_.empty();
      WAFER_TRY(validator_.apply(in));
      // The function's own end is run: it returns.
      const uint32_t pc = last ? pc_ - 1 : pc_;
      bind_all(label.forward, pc);
      bind_all(label.otherwise, pc);
      bind_handlers(label, pc);
      if (!last)
        charge();
      else if (fuel_)
        out_.code.resize(here() + out_.entry_words);  // whoever branches there pays nothing
      return {};
    }
    case Opcode::Br:
      if (live) branch(in.index);
      break;
    case Opcode::BrIf:
    case Opcode::BrOnNull:
    case Opcode::BrOnNonNull:
      if (live) branch(in.index);
      break;
    case Opcode::BrTable:
      if (live)
        for (const uint32_t label : in.labels) branch(label);
      break;
    case Opcode::Call:
    case Opcode::CallIndirect:
    case Opcode::CallRef:
      if (live) safepoint(kept(in));
      break;
    case Opcode::Throw:
    case Opcode::ThrowRef:
    case Opcode::ReturnCall:
    case Opcode::ReturnCallIndirect:
    case Opcode::ReturnCallRef:
      if (live) safepoint(validator_.height());
      break;
    default:
      break;
  }
  return validator_.apply(in);
}

Result<void> TableMaker::run() {
  const wasm::ByteRange body = module_.functions[out_.func_index].body;
  WAFER_TRY(validator_.begin(out_.func_index));
  WAFER_TRY(out_.lay_out(module_, validator_.locals(), kInPlaceLinkSlots));
  operands_ = out_.link + kInPlaceLinkSlots;
  for (uint32_t i = 0; runtime::kHasRoots && i < validator_.locals().size(); ++i)
    if (is_gc_ref(module_, validator_.locals()[i])) out_.ref_locals.push_back(uint16_t(i));
  out_.entry_words = body.size() < 0x8000 ? 1 : 2;
  out_.code.emplace_back();
  labels_.emplace_back();
  charge();
  uint32_t height = out_.result_slots;
  Instr in;
  while (!validator_.done()) {
    WAFER_TRY(validator_.read(in));
    if (!begin_) begin_ = in.offset_in_module;
    pc_ = in.offset_in_module + 1 - begin_;
    if (after_loop_) labels_.back().pc = pc_ - 1;
    after_loop_ = false;
    if (cost_ != kNone && validator_.reachable()) ++out_.code[cost_];
    if constexpr (runtime::kHasRoots) maps_.changed_from(kept(in));
    WAFER_TRY(visit(in));
    if (!validator_.done() && validator_.reachable())
      height = std::max(height, validator_.height());
    if (operands_ + height > kMaxFrameSlots)
      return failure(ErrorKind::Exhaustion, "function needs too many stack slots",
                     in.offset_in_module);
  }
  out_.frame_slots = operands_ + height;
  out_.code[0] = Word(begin_) | Word(body.end) << 32;
  return {};
}

}  // namespace

Result<void> make_side_table(const wasm::Module& module, const ModuleCodeImpl& code,
                             FuncCode& out) {
  Result<void> result = TableMaker(module, code.options.fuel, out).run();
  // Once the maker's own memory is free.
  out.code.shrink_to_fit();
  return result;
}

uint32_t instruction_at(const FuncCode& code, uint32_t at) {
  const wasm::Module& m = code.module->module;
  const Word head = code.code[0];
  uint32_t begin = m.functions[code.func_index].body.begin;
  wasm::InstrReader reader(m.bytes, uint32_t(head), uint32_t(head >> 32), m.features);
  Instr in;
  while (reader.offset() <= at && !reader.at_end() && reader.read(in).ok())
    begin = in.offset_in_module;
  return begin;
}

}  // namespace wafer::interp

#endif
