// Validator (spec chapter 3; algorithm of the appendix). Also the front half of
// every translator: it hands out instructions with the operand types known.
#pragma once

#include "wasm/instr.h"
#include "wasm/module.h"

namespace wafer::wasm {

// Validates everything but function bodies, in the order of the specification.
Result<void> validate_module_fields(const Module& module);
// The two halves of validate_module_fields: all that precedes the code section
// in a binary, and the data segments that follow it.
Result<void> validate_before_code(const Module& module);
Result<void> validate_datas(const Module& module);
// Validates one function body, including its locals declaration.
Result<void> validate_function(const Module& module, uint32_t func);

// Implementation limits (appendix "Implementation Limitations").
inline constexpr uint32_t kMaxLocals = 50000;
inline constexpr uint32_t kMaxFunctionSize = 128u << 20;
inline constexpr uint32_t kMaxParams = 1000;
inline constexpr uint32_t kMaxResults = 1000;
inline constexpr uint32_t kMaxNesting = 100000;     // control frames in a function
inline constexpr uint32_t kMaxOperands = 1u << 22;  // operands on the stack
inline constexpr uint32_t kMaxArrayNewFixed = 10000;

struct ControlFrame {
  Opcode op = Opcode::Block;        // Block, Loop, If, Else, TryTable, Try, Catch, CatchAll
  bool unreachable = false;         // the rest of this frame is stack-polymorphic
  bool dead = false;                // the whole frame lies in code that cannot be reached
  uint32_t height = 0;              // operand stack height at entry, below the params
  std::span<const ValType> params;  // module-index types
  std::span<const ValType> results;
  uint32_t init_height = 0;  // undo point of the local-initialisation trail
  // Types that a branch to this frame carries.
  std::span<const ValType> label_types() const { return op == Opcode::Loop ? params : results; }
};

struct OpFacts;

// Steps through a body one instruction at a time:
//
//   FuncValidator v(module);
//   WAFER_TRY(v.begin(func));
//   Instr in;
//   while (!v.done()) {
//     WAFER_TRY(v.read(in));    // decoded; operands still on the stack
//     ... look at v.operand(0), v.control(0), v.reachable() ...
//     WAFER_TRY(v.apply(in));   // typed; results on the stack
//   }
//
// The outermost control frame is the function body itself (op Block).
class FuncValidator {
 public:
  explicit FuncValidator(const Module& module);
  ~FuncValidator();
  FuncValidator(const FuncValidator&) = delete;
  FuncValidator& operator=(const FuncValidator&) = delete;

  // Starts function `func`: reads its locals. Reusable for many functions.
  Result<void> begin(uint32_t func) {
    if (start(func)) return {};
    return take_failure();
  }
  // Where in the module the next instruction is.
  uint32_t offset() const { return reader_.offset(); }
  // True once the body's final `end` has been applied.
  bool done() const { return control_.empty(); }
  Result<void> read(Instr& out) {
    if (WAFER_LIKELY(reader_.at_end() ? false : reader_.read_instr(out))) return {};
    return read_error();
  }
  Result<void> apply(const Instr& in) {
    if (WAFER_LIKELY(step(in))) return {};
    return take_failure();
  }
  // Validates the rest of the body at once; faster than read() and apply().
  Result<void> finish() {
    if (rest()) return {};
    return take_failure();
  }
  // Whether function `func` is valid; if not, there is a failure to take.
  bool validate(uint32_t func) { return start(func) && rest(); }

  // Whether a constant expression, which sees the first `visible_globals` globals, is valid and of
  // type `type` (3.4.12).
  bool check_const(ConstExpr expr, ValType type, uint32_t visible_globals);
  // What validate or check_const found.
  Failure take_failure() { return std::move(error_); }

  // Types of parameters and locals, in index order.
  const Vec<ValType>& locals() const { return locals_; }
  // False in code that cannot be reached (after br, return, unreachable...).
  bool reachable() const { return !control_.back().unreachable && !control_.back().dead; }
  uint32_t height() const { return uint32_t(sp_ - stack_); }
  // Type of the operand `depth` below the top (0 is the top); Bot if that lies
  // below the polymorphic base of unreachable code.
  ValType operand(uint32_t depth) const {
    return depth < uint32_t(sp_ - floor_) ? sp_[-1 - ptrdiff_t(depth)] : kBot;
  }
  // Type of the operand that has `index` others below it, in whichever frame.
  ValType operand_at(uint32_t index) const { return stack_[index]; }
  uint32_t control_depth() const { return uint32_t(control_.size()); }
  // Frame that label `label` names; 0 is the innermost.
  const ControlFrame& control(uint32_t label) const {
    return control_[control_.size() - 1 - label];
  }
  // Parameter and result types of a block type. The spans stay good for the
  // life of the validator.
  std::span<const ValType> block_params(const BlockType& type) const {
    if (type.kind != BlockType::Kind::Type) return {};
    return module_.types[type.type_index].func.params;
  }
  std::span<const ValType> block_results(const BlockType& type) const;

 private:
  using Types = std::span<const ValType>;
  // Where types that are not numbers' lie, for lists of one.
  class Singles {
   public:
    const ValType* of(ValType t) { return &types_.try_emplace(t.bits(), t).first->second; }

   private:
    HashMap<uint32_t, ValType> types_;
  };
  struct FuncRefSingles {
    static constexpr ValType kTypes[] = {ValType::ref(HeapKind::Func, false), kFuncRef};
    static const ValType* of(ValType t) { return &kTypes[t == kFuncRef]; }
  };

  // Has the reader go from `begin` to `end`.
  void read_from(uint32_t begin, uint32_t end);
  bool start(uint32_t func);
  bool rest();
  bool begin_frames(Types results);
  bool read_locals();
  bool run();
  bool step(const Instr& in);
  bool step_sig(const Instr& in);
  // Are references to what is made, and to functions, of exact type?
  bool exact_types() const { return module_.features.has(Feature::CustomDescriptors); }
  bool pop_descriptor_of(HeapType heap);
  bool step_const(const Instr& in);
  bool read_next(Instr& out) {
    return WAFER_LIKELY(!reader_.at_end() && reader_.read_instr(out)) || cannot_read();
  }
  WAFER_COLD Failure read_error();
  WAFER_COLD bool cannot_read();

  WAFER_COLD bool fail(std::string_view message, ErrorKind kind = ErrorKind::Invalid);
  WAFER_ALWAYS_INLINE bool fail(const char* message, ErrorKind kind = ErrorKind::Invalid) {
    return fail_text(message, kind);
  }
  WAFER_COLD bool fail_text(Text message, ErrorKind kind);
  WAFER_COLD bool fail_index(Text what, uint32_t index);
  WAFER_COLD bool mismatch(Types want, bool block = false);
  WAFER_COLD bool mismatch_ref(ValType have);
  bool missing_data_count();

  WAFER_NOINLINE bool grow();
  void set_headroom();
  void push(ValType t) { *sp_++ = t; }
  void push_all(Types types) {
    for (ValType t : types) *sp_++ = t;
  }
  bool matches(ValType have, ValType want) const {
    if constexpr (kOnlyFuncRefs) return have == want || have.is_bot();
    return have == want || have.is_bot() ||
           (have.is_ref() && want.is_ref() && module_.is_subtype(have, want));
  }
  bool all_match(Types have, Types want) const;
  bool pop_all(Types want);
  bool pop(ValType want) {
    // Constants are passed as numbers, which take less space than loading them as types does.
    if constexpr (kSmall) return pop_bits(want.bits());
    return pop_all({&want, 1});
  }
  bool pop_bits(uint32_t bits);
  bool pop_ref(ValType& out);
  bool push_frame(Opcode op, Types params, Types results);
  bool end_frame();
  void set_unreachable();
  void reset_inits(uint32_t height);
  Types one(ValType t) const;

  bool label(uint32_t index, const ControlFrame*& out);
  bool func_type_at(uint32_t type, const FuncType*& out);
  bool struct_at(uint32_t type, const FieldTypes*& out);
  bool array_at(uint32_t type, FieldType& out);
  // Whether an element (or data) segment has what an array of `field` is made of.
  bool segment_fits(const Instr& in, bool elem, const FieldType& field);
  bool table_at(uint32_t index, const TableType*& out);
  bool memory_at(uint32_t index, const MemoryType*& out);
  bool mem_arg(const Instr& in, const OpFacts& facts, ValType& address);
  bool call(const FuncType& type, bool tail, ValType extra);
  bool local_set(uint32_t index, bool tee);
  bool check_catches(const Instr& in);
  bool cont_at(uint32_t type, const FuncType*& out);
  bool tag_at(uint32_t index, const FuncType*& out);
  bool last_cont(Types types, std::string_view what, const FuncType*& out);
  bool check_clauses(const Instr& in, Types results);
  bool stack_switching(const Instr& in);
  bool castable(HeapType type);
  bool br_table(const Instr& in);
  bool ref_of(uint32_t type, bool nullable, ValType& out);

  const Module& module_;
  InstrReader reader_;
  Vec<ValType> locals_;
  uint32_t param_count_ = 0;
  // Operand stack: [stack_, sp_); operands of the innermost frame start at floor_.
  ValType* stack_ = nullptr;
  ValType* sp_ = nullptr;
  ValType* floor_ = nullptr;
  ValType* soft_limit_ = nullptr;  // sp_ beyond it asks for grow()
  size_t capacity_ = 0;
  size_t headroom_ = 0;        // operands that one instruction may push without a check of its own
  size_t headroom_types_ = 0;  // types that it takes into account
  Vec<ControlFrame> control_;
  Types results_;
  // Non-defaultable locals: which are set, and the trail to undo at block ends.
  bool tracks_inits_ = false;
  [[no_unique_address]] VecOf<Feature::FunctionReferences, uint8_t> local_set_;
  [[no_unique_address]] VecOf<Feature::FunctionReferences, uint32_t> init_trail_;
  bool constant_ = false;
  uint32_t visible_globals_ = 0;
  uint32_t at_ = 0;  // offset of the current instruction
  [[no_unique_address]] mutable std::conditional_t<kOnlyFuncRefs, FuncRefSingles, Singles> singles_;
  Instr scratch_;
  Failure error_;
};

}  // namespace wafer::wasm
