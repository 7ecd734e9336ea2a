// State of a register allocation. Three steps: live ranges (regalloc_live.cc), the scan that gives
// out registers (regalloc.cc), and what follows from it for every instruction and edge
// (regalloc_resolve.cc).
//
// A position is a quarter of an instruction: its operands are read at the first, where moves
// before it have happened; registers are clobbered at the second and results written at the third.
// Intervals are half open.
#pragma once

#include <bit>

#include "compiler/optimizing/regalloc.h"

namespace wafer::compiler {

constexpr uint32_t kNone = ~0u;
constexpr uint8_t kNoRegister = 0xFF;

constexpr uint32_t reads_at(uint32_t instr) { return 4 * instr; }
constexpr uint32_t clobbers_at(uint32_t instr) { return 4 * instr + 1; }
constexpr uint32_t writes_at(uint32_t instr) { return 4 * instr + 2; }

class RegisterAllocator::Impl {
 public:
  const Allocation* run(const AllocFunction& function);

 private:
  struct Range {
    uint32_t from, to;
    uint32_t next;
  };
  // What a use asks for. An argument of an edge is read by moves wherever it is.
  enum class Want : uint8_t { Register, Anywhere, Argument };
  struct Use {
    uint32_t pos;
    uint32_t loop;  // innermost
    Want want;
    uint8_t hint;
  };
  struct Loop {
    uint32_t begin, end;  // positions
    uint32_t parent;
    uint32_t depth;
  };
  // A stretch of a value's life in one register. Where it lives and has none, it is in its slot.
  struct Piece {
    ValueId value;
    uint32_t start, end;
    uint32_t block : 26;  // that it starts in
    uint32_t reg : 5;
    uint32_t fpr : 1;
    Location location() const { return {fpr ? Location::Kind::Fpr : Location::Kind::Gpr, reg}; }
  };
  struct Value {
    RegClass cls;
    uint8_t hint;                      // register that its first use with a hint wants
    uint8_t last_reg;                  // of its last piece
    uint8_t wish;                      // of a parameter: register of an argument
    bool spilled;                      // has a slot
    bool def_in_register;              // its definition is no good in a slot
    uint8_t def_depth;                 // loops around it
    uint8_t param_depth;               // of the edge, see `param`
    uint32_t def;                      // position
    uint32_t first_range, range;       // in ranges_; `range` moves with the scan
    uint32_t first_use, use, end_use;  // in uses_; `use` moves with the scan
    uint32_t param;                    // that it is an argument for
    uint32_t piece;                    // last one
    uint32_t first_piece, end_piece;   // in sorted_
    uint32_t slot;
  };
  // Instructions that clobber the same registers, from the last to the next.
  struct Clobbers {
    uint32_t mask;
    Vec<uint32_t> positions;
  };
  struct Bank {
    uint32_t all, preserved;
    uint32_t hinted;  // registers that suit some use best
    uint32_t free;
    uint32_t temps;  // registers kept for the current instruction's temporaries
    uint32_t used;
    uint32_t piece[32];
    uint32_t end[32];
    uint32_t next_end;  // no piece ends before
    Vec<Clobbers> clobbers;
    size_t clobber_sets;
    Vec<uint32_t> clobber_at;  // of each, the next
    uint32_t next_clobber;     // of all
  };

  // Live ranges.
  bool start(const AllocFunction& function);
  void find_loops();
  void count_uses();
  void live_block(uint32_t block);
  void open(ValueId value, uint32_t end) {
    if (open_[value]) return;
    open_[value] = end;
    listed_at_[value] = open_count_;
    open_values_[open_count_++] = value;
  }
  void close_others(uint32_t block);
  void close(ValueId value, uint32_t begin);
  void unlist(ValueId value);
  void add_use(ValueId value, uint32_t pos, uint32_t loop, Want want, uint8_t hint);
  void note_clobbers(Bank& bank, uint32_t mask, uint32_t pos);
  void extend_over_loop(ValueId value, uint32_t end);

  // Scan.
  void scan();
  void step(uint32_t pos);
  void expire(uint32_t pos);
  void expire(Bank& bank, uint32_t pos);
  void reserve_temps(uint32_t instr);
  void define(uint32_t instr);
  void define_params(uint32_t block);
  void place(ValueId value, uint32_t pos, bool must, uint32_t allowed);
  void occupy(Bank& bank, ValueId value, uint8_t reg, uint32_t from, uint32_t to);
  bool evict(Bank& bank, uint32_t pos, uint32_t until, uint32_t allowed, uint64_t at_least,
             uint8_t& reg);
  void leave(Bank& bank, uint8_t reg, uint32_t pos);
  uint8_t cheapest(const Bank& bank, uint32_t pos, uint32_t among, uint32_t below);
  void truncate(uint32_t piece, uint32_t pos);
  void requeue(ValueId value, uint32_t pos);
  void queue(ValueId value, uint32_t pos);
  uint32_t kept_until(const Value& value, uint32_t from, uint32_t pos) const;
  // When a value is needed again, and how deep in loops it would be loaded for that.
  struct Due {
    uint32_t pos, depth;
  };
  Due due(const Value& value, uint32_t use) const;
  static uint32_t weight(uint32_t depth) { return 1u << (3 * (depth < 8 ? depth : 8)); }
  uint32_t cost(const Value& value, const Due& due) const;
  uint64_t score(const Value& value, uint32_t pos) const;
  uint32_t merge_before(const Value& value, uint32_t pos, uint32_t end) const;
  uint32_t next_clobber(Bank& bank, uint8_t reg, uint32_t pos) const;
  uint32_t clobbered_between(Bank& bank, uint32_t pos, uint32_t end);
  uint32_t longest_free(const Bank& bank, uint32_t among, uint32_t& limit) const;
  void pass_clobbers(Bank& bank, uint32_t pos) const;
  void skip_uses(Value& value, uint32_t pos) const;
  void add_hint(uint8_t reg) {
    if (reg < 32 && hint_count_ < sizeof hints_) hints_[hint_count_++] = reg;
  }

  // Results.
  void sort_pieces();
  void give_slots();
  void finish_instrs();
  bool resolve();
  void resolve_value(ValueId value);
  void resolve_params(uint32_t block);
  void add_edge_move(uint32_t pred, uint32_t block, const AllocMove& move);
  void sort_moves(const Vec<AllocMove>& moves, Vec<AllocMove>& sorted);
  Location location(ValueId value, uint32_t pos) const;
  Location slot_of(const Value& value) const { return {Location::Kind::Slot, value.slot}; }

  Bank& bank(RegClass cls) { return banks_[size_t(cls)]; }
  uint32_t begin_of(uint32_t block) const { return reads_at(f_->blocks[block].begin); }
  uint32_t end_of(uint32_t block) const { return reads_at(f_->blocks[block].end); }

  const AllocFunction* f_ = nullptr;
  Allocation result_;
  Vec<Value> values_;
  Vec<Range> ranges_;
  Vec<Use> uses_;
  Vec<Loop> loops_;
  Vec<uint32_t> loop_of_;  // by block
  Bank banks_[2] = {};

  // Live ranges.
  Vec<uint32_t> open_;        // by value: where it ends to live, or 0
  Vec<ValueId> open_values_;  // those that live, in any order
  uint32_t open_count_ = 0;
  Vec<uint32_t> kept_;              // by value: 1 + the block in front of which it was kept open
  Vec<uint32_t> listed_at_;         // by value: where in them
  Vec<Vec<ValueId>> live_, spare_;  // by block: what lives at its beginning, while others ask
  uint64_t work_ = 0, most_work_ = 0;
  Vec<uint32_t> edge_;    // by block: its number among the predecessors of its only successor
  Vec<uint32_t> asking_;  // by block: predecessors still to come

  // Scan.
  Vec<Piece> pieces_;      // by start
  Vec<ValueId> order_;     // values by definition
  Vec<uint64_t> queue_;    // heap of positions and values that come (back) there
  uint32_t loop_ = kNone;  // innermost at the scan's position
  uint32_t block_ = 0;
  uint8_t hints_[12];
  size_t hint_count_ = 0;

  // Results.
  Vec<Piece> sorted_;                       // by value and start
  Vec<uint32_t> seen_;                      // by value: 1 + the last instruction at which it ends
  Vec<AllocMove> end_moves_, begin_moves_;  // not sorted
  Vec<uint32_t> counts_;
  Vec<Vec<uint64_t>> free_slots_;  // by size
};

}  // namespace wafer::compiler
