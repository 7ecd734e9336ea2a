// Simplification and value numbering, in one walk over a function.
#pragma once

#include <initializer_list>

#include "compiler/optimizing/passes.h"

namespace wafer::compiler {

class Numbering {
 public:
  explicit Numbering(Function& function);
  bool run();  // whether an edge has gone

 private:
  using Kind = Node::Kind;

  // A value that has been seen. Those of the same hash are in a list.
  struct Entry {
    uint64_t hash;
    ValueId value;
    uint32_t version;  // of what it reads
    uint32_t next;
  };

  // What memory or a global holds at one place: in memory at `base` + `offset`.
  struct Place {
    ValueId base;
    uint32_t memory;
    uint64_t offset;
    uint32_t size;
  };
  // `op` of the place gives `value`; if `op` stores, a part of it.
  struct Known {
    Place place;
    Opcode op;
    uint32_t version;
    ValueId value;
    uint32_t block, next;
  };
  // Of each space. Between two points with the same one, nothing is written.
  struct Versions {
    uint32_t of[facts::kSpaces];
  };

  // ---- values.cc
  void run_block(uint32_t b);
  void remove_block(uint32_t b);
  void leave_succs(uint32_t b);
  void drop_edges_to(uint32_t b);
  void end_block(ValueId id);
  void keep_edge(size_t index);
  // The value of a node whose operands are known: itself, or an earlier one.
  ValueId number(ValueId id);
  ValueId find_or_add(ValueId id);
  bool same(const Node& a, const Node& b) const;
  uint64_t hash_of(const Node& n) const;
  ValueId constant(ValType type, uint64_t value);
  // A new instruction before the one at hand, or a value that equals it.
  ValueId make(Opcode op, std::initializer_list<ValueId> args);
  // Makes another instruction of a node.
  ValueId change(ValueId id, Opcode op, std::initializer_list<ValueId> args);
  static ValType result_of(Opcode op) { return ValType(facts::row(op).sig().results[0]); }

  // ---- loads.cc
  void enter_block(uint32_t b);
  ValueId access(ValueId id);
  Place place_of(ValueId id) const;
  ValueId find_loaded(Opcode op, const Place& place, uint32_t version);
  void know(Opcode op, const Place& place, uint32_t version, ValueId value, uint32_t block);
  void write(const Place& place, facts::Space space);

  // ---- simplify.cc. These give the value that the node equals, the node if it has been changed,
  // or kNoValue.
  ValueId simplify(ValueId id);
  ValueId simplify_int(ValueId id, Opcode op, bool wide);
  ValueId simplify_comparison(ValueId id, Opcode op, bool wide);
  ValueId simplify_constant_right(ValueId id, Opcode op, bool wide, uint64_t c);
  ValueId simplify_shift(ValueId id, Opcode op, bool wide, uint32_t count);
  ValueId simplify_eqz(ValueId id, bool wide);
  ValueId simplify_division(ValueId id, Opcode op, bool wide, uint64_t c);
  ValueId simplify_conversion(ValueId id, Opcode op);
  ValueId simplify_rotation(ValueId id);
  ValueId simplify_select(ValueId id);
  ValueId simplify_float(ValueId id, Opcode op);
  ValueId simplify_access(ValueId id);
  ValueId divide_unsigned(ValueId x, uint32_t c);
  ValueId divide_signed(ValueId x, bool wide, uint64_t c);
  // What is true if `condition` is, or if it is not where `inverted` changes.
  ValueId simplify_condition(ValueId condition, bool& inverted);
  uint64_t most(ValueId v) const { return compiler::most(f_, v); }

  const Node& node(ValueId v) const { return f_.nodes[v]; }
  ValueId arg(ValueId v, uint32_t i) const { return f_.args[f_.nodes[v].first_arg + i]; }
  // Illegal if it is no instruction.
  Opcode op_of(ValueId v) const {
    return f_.nodes[v].kind == Kind::Instr ? f_.nodes[v].op : Opcode::Illegal;
  }
  bool is_constant(ValueId v, uint64_t& c) const {
    if (f_.nodes[v].kind != Kind::Const) return false;
    c = f_.nodes[v].value;
    return true;
  }
  // Whether `v` is `op` with a constant as its second operand.
  bool is_with(ValueId v, Opcode op, uint64_t& c) const {
    return op_of(v) == op && is_constant(arg(v, 1), c);
  }
  static Opcode at(Opcode op, bool wide) { return wide ? facts::widened(op) : op; }
  static ValType int_type(bool wide) { return wide ? wasm::kI64 : wasm::kI32; }
  ValueId binary(Opcode op, bool wide, ValueId a, ValueId b) { return make(at(op, wide), {a, b}); }
  ValueId int_constant(bool wide, uint64_t c) { return constant(int_type(wide), c); }
  ValueId boolean(bool b) { return constant(wasm::kI32, b); }

  Function& f_;
  const Dominators dominators_;
  const Writes writes_;
  Replacements replacements_;
  Vec<uint32_t> buckets_;
  Vec<Entry> entries_;
  Vec<uint32_t> known_buckets_;  // by base
  Vec<Known> known_;
  Vec<Versions> at_end_;  // by block
  Versions now_ = {};
  uint32_t next_version_ = 1;
  Vec<ValueId> constants_;  // they all go into the entry
  Vec<ValueId> out_;        // of the block at hand
  uint32_t block_ = 0, offset_ = 0;
  int depth_ = 0;  // of make()
  bool edges_gone_ = false;
};

}  // namespace wafer::compiler
