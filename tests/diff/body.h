// Function bodies. Every expression is made by a recursive descent that knows the
// type it must leave on the stack; every loop and call takes from the fuel global.
#pragma once

#include "emitter.h"

namespace wafer::diff {

constexpr uint32_t kMaxNesting = 7;  // of expressions
constexpr uint32_t kMaxFrames = 6;   // of blocks
constexpr int32_t kMaxCalls = 24;    // active at a time

class BodyGenerator : Emitter {
 public:
  BodyGenerator(Builder& builder, FuncImage& func, const OpLists& ops)
      : Emitter(builder, func), ops_(ops), results_(builder.image.types[func.type].func.results) {}

  void run();

 private:
  struct Frame {
    Vec<wasm::ValType> types;  // that a branch to it carries
    bool is_try = false;
    bool has_caught = false;  // what rethrow may name
  };
  struct LocalVar {
    uint32_t index;
    wasm::ValType type;
  };

  void prologue();
  void take_fuel();

  void declare_locals();

  // --- Choices among what there is -----------------------------------------------------

  LocalVar* local_giving(wasm::ValType t);
  LocalVar* local_taking(wasm::ValType t);

  int label_with(const Vec<wasm::ValType>& types);
  const Frame& frame(uint32_t label) const { return frames_[frames_.size() - 1 - label]; }

  // --- Values --------------------------------------------------------------------------

  void leaf(wasm::ValType t);

  void null_for(wasm::ValType t);

  void leaf_i31();

  void leaf_ref(wasm::ValType t);

  bool function_ref(uint32_t type);

  void leaf_field(wasm::ValType storage);
  void leaf_new(uint32_t type);

  void values(const Vec<wasm::ValType>& types);

  bool can_nest() const { return budget_ > 0 && nesting_ < kMaxNesting; }

  struct Nest {
    explicit Nest(uint32_t& level) : level(++level) {}
    ~Nest() { --level; }
    uint32_t& level;
  };

  void value(wasm::ValType t, Lanes lanes = Lanes::None);

  void select(wasm::ValType t, Lanes lanes);

  bool br_if_value(wasm::ValType t);

  bool i32_of_state();

  void memory_grow();

  // --- Instructions typed by their signature -------------------------------------------

  void plain_op(wasm::Opcode op, Lanes lanes);

  void operand(wasm::Opcode op, wasm::TypeKind kind, const NanRole& role, Lanes lanes);

  static bool is_cmpxchg(wasm::Opcode op);
  void matching_cmpxchg(const wasm::Instr& in);

  void observe();

  static bool is_division(wasm::Opcode op);
  static bool is_trapping_trunc(wasm::Opcode op);

  // Once in `n` times, and less often where a trap would keep the rest from being seen.
  bool seldom(uint32_t n) { return c_.one_in(observing_ ? 8 * n : n); }

  wasm::Instr with_immediates(wasm::Opcode op);

  void address(const wasm::Instr& in, uint32_t bytes, bool aligned);
  static constexpr uint64_t bit_floor(uint64_t v) {
    while (v & (v - 1)) v &= v - 1;
    return v ? v : 1;
  }

  // --- References ----------------------------------------------------------------------

  void index_operand(bool is64, uint32_t mask);
  void table_index(uint32_t table);

  // A reference to an aggregate of `type`, seldom null.
  void aggregate(uint32_t type) {
    value(wasm::ValType::ref(wasm::HeapType::concrete(type), c_.one_in(12)));
  }
  void array_index() { index_operand(false, c_.one_in(3) ? 3 : 0); }

  struct FieldRef {
    uint32_t type, field;
  };
  bool find_field(wasm::CompKind kind, wasm::ValType t, FieldRef& out);

  bool field_value(wasm::ValType t);

  bool from_references(wasm::ValType t);

  wasm::HeapType any_heap();

  void reference(wasm::ValType t);

  void make_internal(wasm::ValType t);

  void field_operand(wasm::ValType storage);
  void length_operand();

  void make_new(uint32_t type);
  void emit_struct_new(uint32_t type, bool defaults);
  bool descriptor_operand(uint32_t type, bool exact);

  bool segment_operands(wasm::ValType storage);

  bool nullable_to(wasm::ValType t);

  bool cast_to(wasm::ValType t);
  void cast_operand(wasm::ValType from, wasm::ValType to, bool by_descriptor);

  void br_on_cast(wasm::Opcode op, uint32_t label, wasm::ValType from, wasm::ValType to);

  // --- Blocks --------------------------------------------------------------------------

  wasm::BlockType block_type(const Vec<wasm::ValType>& params, const Vec<wasm::ValType>& results);
  void open(wasm::Opcode op, const Vec<wasm::ValType>& params, const Vec<wasm::ValType>& results,
            const Vec<wasm::ValType>& label, bool is_try = false);
  void close();

  void consume(wasm::ValType t);
  void consume_all(const Vec<wasm::ValType>& types);

  void inside(const Vec<wasm::ValType>& params, const Vec<wasm::ValType>& results);

  void block(const Vec<wasm::ValType>& results);

  void loop(const Vec<wasm::ValType>& params, const Vec<wasm::ValType>& results);

  void try_table(const Vec<wasm::ValType>& results);
  void legacy_try(const Vec<wasm::ValType>& results);
  void maybe_throw(uint32_t tag);

  // --- Calls ---------------------------------------------------------------------------

  wasm::Instr call_instr(uint32_t func, bool tail);

  void call(uint32_t func);

  template <class F>
  bool pick_function(F fits, uint32_t& out) {
    uint32_t seen = 0;
    for (uint32_t f = 0; f < b_.function_count(); ++f)
      if (fits(b_.signature(f)) && c_.one_in(++seen)) out = f;
    return seen != 0;
  }

  bool call_giving(const Vec<wasm::ValType>& types, size_t at);

  // --- Statements ----------------------------------------------------------------------

  bool statements(uint32_t count);

  void dead_code();

  bool statement();

  // --- Continuations -------------------------------------------------------------------

  void set_handled(int32_t v);
  void open_if_handled(int32_t what);
  wasm::ValType continuation_ref(uint32_t cont) const {
    return wasm::ValType::ref(wasm::HeapType::concrete(cont), true);
  }
  bool is_resumed() const;  // is the function run as a continuation?
  void continuation_statement();
  void suspend_statement();
  void open_try(wasm::CatchClause::Kind kind, const Vec<wasm::ValType>& caught);
  void switch_statement();
  void run_statement();
  void new_continuation(uint32_t func, uint32_t cont);
  // Puts `arguments` and the continuation in `local` on the stack, some perhaps bound to it,
  // and resumes it: a suspension leaves the block that begins `handler`.
  void resume(uint32_t cont, uint32_t local, const Vec<uint32_t>& arguments, uint32_t handler);
  void resume_throw(uint32_t cont, uint32_t local, uint32_t handler);
  void add_clauses(wasm::Instr& in, uint32_t cont, uint32_t handler);
  Vec<uint32_t> leaves(const Vec<wasm::ValType>& types);  // in new locals

  bool set_local();
  bool set_global();

  void br_if();

  bool branch_away();

  bool br_table();

  bool tail_call();

  void call_statement();

  bool throw_something();

  void table_statement();

  // Address and length of a range, mostly within memory `m`.
  void range_start(uint32_t m) { address(Builder::instr(wasm::Opcode::I32Load8U, m), 64, false); }
  void range_length(bool is64) { index_operand(is64, c_.one_in(2) ? 31 : 127); }

  void bulk_statement();

  bool overlapping_array_copy();

  void aggregate_statement();

  const OpLists& ops_;
  const Vec<wasm::ValType> results_;
  Vec<Frame> frames_;
  Vec<LocalVar> visible_;
  uint32_t depth_local_ = 0;
  uint32_t nesting_ = 0;
  uint32_t segment_ = 0;
  size_t call_results_ = 0;
  bool plain_ = false;  // without calls and loops
  bool observing_ = false;
};

}  // namespace wafer::diff
