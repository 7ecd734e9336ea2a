// Function bodies. Every expression is made by a recursive descent that knows the
// type it must leave on the stack; every loop and call takes from the fuel global.
#include <algorithm>

#include "edges.h"
#include "emitter.h"

namespace wafer::diff {

namespace {

using namespace wasm;

constexpr uint32_t kMaxNesting = 7;  // of expressions
constexpr uint32_t kMaxFrames = 6;   // of blocks
constexpr int32_t kMaxCalls = 24;    // active at a time

class BodyGenerator : Emitter {
 public:
  BodyGenerator(Builder& builder, FuncImage& func, const OpLists& ops)
      : Emitter(builder, func), ops_(ops), results_(builder.image.types[func.type].func.results) {}

  void run() {
    const Vec<ValType> params = b_.image.types[func_.type].func.params;
    for (uint32_t i = 0; i < params.size(); ++i) visible_.push_back({i, params[i]});
    budget_ = int32_t(c_.between(10, b_.options.max_code));
    // Some functions are plain, so that compilers may inline them.
    plain_ = c_.one_in(4);
    depth_local_ = add_local(kI32);
    frames_.push_back({results_, false});
    if (!plain_) prologue();
    declare_locals();
    if (has(Group::Operators) || c_.one_in(3)) {
      const int32_t budget = budget_;
      for (uint32_t n = has(Group::Operators) ? c_.between(20, 60) : c_.between(4, 12); n--;)
        observe();
      budget_ = budget;
    }
    const bool dead = statements(c_.between(1, 8));
    if (!dead || c_.one_in(8)) values(results_);
  }

 private:
  struct Frame {
    Vec<ValType> types;  // that a branch to it carries
    bool is_try = false;
  };
  struct LocalVar {
    uint32_t index;
    ValType type;
  };

  void prologue() {
    emit(Opcode::GlobalGet, b_.depth);
    i32(1);
    emit(Opcode::I32Add);
    emit(Opcode::LocalTee, depth_local_);
    emit(Opcode::GlobalSet, b_.depth);
    take_fuel();
    i32(kMaxCalls);
    emit(Opcode::LocalGet, depth_local_);
    emit(Opcode::I32Sub);
    emit(Opcode::GlobalGet, b_.fuel);
    emit(Opcode::I32Or);
    i32(0);
    emit(Opcode::I32LtS);
    emit(Opcode::If);
    for (const ValType t : results_) leaf(t);
    emit(Opcode::Return);
    emit(Opcode::End);
  }
  void take_fuel() {
    emit(Opcode::GlobalGet, b_.fuel);
    i32(1);
    emit(Opcode::I32Sub);
    emit(Opcode::GlobalSet, b_.fuel);
  }

  void declare_locals() {
    for (uint32_t n = c_.one_in(24) ? c_.between(40, 120) : c_.below(8); n--;) {
      const ValType type = b_.any_type();
      const uint32_t local = add_local(type);
      if (!type.defaultable()) {
        leaf(type);
        emit(Opcode::LocalSet, local);
      }
      visible_.push_back({local, type});
    }
  }

  // --- Choices among what there is -----------------------------------------------------

  LocalVar* local_giving(ValType t) {
    return find(visible_, [&](const LocalVar& l) { return b_.is_sub(l.type, t); });
  }
  LocalVar* local_taking(ValType t) {
    return find(visible_, [&](const LocalVar& l) { return b_.is_sub(t, l.type); });
  }

  // A label whose types are exactly `types`, or -1.
  int label_with(const Vec<ValType>& types) {
    int found = -1;
    uint32_t seen = 0;
    for (uint32_t l = 0; l < frames_.size(); ++l)
      if (frame(l).types == types && c_.one_in(++seen)) found = int(l);
    return found;
  }
  const Frame& frame(uint32_t label) const { return frames_[frames_.size() - 1 - label]; }

  // --- Values --------------------------------------------------------------------------

  // A short expression that cannot trap.
  void leaf(ValType t) {
    LocalVar* const local = c_.below(3) ? local_giving(t) : nullptr;
    if (local) {
      emit(Opcode::LocalGet, local->index);
      return;
    }
    if (!t.is_ref()) {
      --budget_;
      code_.push_back(b_.constant(t.kind()));
      return;
    }
    if (t.nullable() && c_.one_in(2)) return null(t.heap());
    leaf_ref(t);
  }

  // In place of what there is no instruction to make (exceptions, say): if it must not be
  // null, it traps.
  void null_for(ValType t) {
    null(t.heap());
    if (!t.nullable()) emit(Opcode::RefAsNonNull);
  }

  void leaf_i31() {
    leaf(kI32);
    emit(Opcode::RefI31);
  }

  void leaf_ref(ValType t) {
    const HeapType heap = t.heap();
    switch (heap.kind()) {
      case HeapKind::Func:
        emit(Opcode::RefFunc, any_index(b_.function_count()));
        return;
      case HeapKind::I31:
      case HeapKind::Any:
      case HeapKind::Eq:
        return leaf_i31();
      case HeapKind::Struct:
      case HeapKind::Array: {
        const auto& list = heap.kind() == HeapKind::Struct ? b_.structs : b_.arrays;
        if (!list.empty()) return leaf_new(c_.pick(list));
        return null(heap);  // only nullable ones are in the pool
      }
      case HeapKind::Concrete:
        break;
      default:
        return null_for(t);
    }
    if (b_.image.types[heap.index()].kind != CompKind::Func) return leaf_new(heap.index());
    if (!function_ref(heap.index())) null_for(t);
  }

  // ref.func of some function of the type.
  bool function_ref(uint32_t type) {
    uint32_t seen = 0, found = ~0u;
    for (uint32_t f = 0; f < b_.function_count(); ++f)
      if (b_.image.type_of_function(f) == type && c_.one_in(++seen)) found = f;
    if (found == ~0u) return false;
    emit(Opcode::RefFunc, found);
    return true;
  }

  void leaf_field(ValType storage) {
    if (storage.is_ref() && storage.nullable()) return null(storage.heap());
    leaf(storage.unpacked());
  }
  void leaf_new(uint32_t type) {
    const SubType& t = b_.image.types[type];
    const bool defaults = std::all_of(t.fields.begin(), t.fields.end(),
                                      [](const FieldType& f) { return f.storage.defaultable(); });
    if (t.kind == CompKind::Struct) {
      if (defaults && c_.one_in(2)) {
        emit(Opcode::StructNewDefault, type);
        return;
      }
      for (const FieldType& f : t.fields) leaf_field(f.storage);
      emit(Opcode::StructNew, type);
      return;
    }
    const uint32_t length = c_.between(1, 6);
    if (defaults && c_.one_in(2)) {
      i32(int32_t(length));
      emit(Opcode::ArrayNewDefault, type);
      return;
    }
    for (uint32_t i = 0; i < length; ++i) leaf_field(t.fields[0].storage);
    emit(Opcode::ArrayNewFixed, type, length);
  }

  // Values of all of `types`, from instructions with several results where they fit.
  void values(const Vec<ValType>& types) {
    for (size_t i = 0; i < types.size();) {
      const size_t left = types.size() - i;
      if (left >= 2 && can_nest() && c_.one_in(3)) {
        if (types[i] == kI64 && types[i + 1] == kI64 && !ops_.pairs.empty() && c_.one_in(2)) {
          plain_op(c_.pick(ops_.pairs), Lanes::None);
          i += 2;
          continue;
        }
        if (call_giving(types, i)) {
          i += call_results_;
          continue;
        }
        if (has(Group::MultiValue) && frames_.size() < kMaxFrames) {
          const size_t take = 2 + c_.below(uint32_t(left - 1));
          block(Vec<ValType>(types.begin() + ptrdiff_t(i), types.begin() + ptrdiff_t(i + take)));
          i += take;
          continue;
        }
      }
      value(types[i++]);
    }
  }

  bool can_nest() const { return budget_ > 0 && nesting_ < kMaxNesting; }

  struct Nest {
    explicit Nest(uint32_t& level) : level(++level) {}
    ~Nest() { --level; }
    uint32_t& level;
  };

  // A value of `t`, in whose `lanes` NaNs may have any payload.
  void value(ValType t, Lanes lanes = Lanes::None) {
    if (!can_nest()) return leaf(t);
    const Nest nest(nesting_);
    switch (c_.below(20)) {
      case 0:
      case 1:
      case 2:
        return leaf(t);
      case 3:
        return select(t, lanes);
      case 4:
        if (frames_.size() < kMaxFrames) return block({t});
        break;
      case 5:
      case 6:
        if (call_giving({t}, 0)) return;
        break;
      case 7:
        if (LocalVar* local = local_taking(t); local && local->type == t) {
          value(t);
          emit(Opcode::LocalTee, local->index);
          return;
        }
        break;
      case 8: {
        const auto* g = find(b_.globals, [&](const GlobalType& g) { return b_.is_sub(g.type, t); });
        const auto index = uint32_t(g - b_.globals.data());
        if (!g || index == b_.fuel || index == b_.depth) break;
        emit(Opcode::GlobalGet, index);
        return;
      }
      case 9:
        if (br_if_value(t)) return;
        break;
      case 10:
        if (t.is_ref() ? false : from_references(t)) return;
        break;
      case 11:
        // Code that never gets to its end may leave anything.
        if (c_.one_in(6)) {
          branch_away();
          return;
        }
        break;
      default:
        break;
    }
    if (t.is_ref()) return reference(t);
    if (t == kI32 && c_.one_in(12) && i32_of_state()) return;
    const auto& ops = ops_.giving(t.kind());
    if (ops.empty()) return leaf(t);
    plain_op(c_.pick(ops), lanes);
  }

  void select(ValType t, Lanes lanes) {
    value(t, lanes);
    value(t, lanes);
    value(kI32);
    if (t.is_ref() || c_.one_in(4))
      emit(Opcode::SelectT).types = {t};
    else
      emit(Opcode::Select);
  }

  bool br_if_value(ValType t) {
    const int label = label_with({t});
    if (label < 0) return false;
    value(t);
    value(kI32);
    emit(Opcode::BrIf, uint32_t(label));
    return true;
  }

  // Sizes and the like.
  bool i32_of_state() {
    const uint32_t m = any_index(b_.memories.size());
    const bool memory64 = b_.memories[m].limits.is64;
    switch (c_.below(3)) {
      case 0:
        emit(Opcode::MemorySize, m);
        if (memory64) emit(Opcode::I32WrapI64);
        return true;
      case 1:
        memory_grow();
        return true;
      default: {
        if (b_.tables.empty()) return false;
        const uint32_t t = any_index(b_.tables.size());
        emit(Opcode::TableSize, t);
        if (b_.tables[t].limits.is64) emit(Opcode::I32WrapI64);
        return true;
      }
    }
  }

  void memory_grow() {
    const uint32_t m = any_index(b_.memories.size());
    const bool is64 = b_.memories[m].limits.is64;
    if (c_.one_in(8))
      value(is64 ? kI64 : kI32);
    else
      address_const(is64, c_.below(3));
    emit(Opcode::MemoryGrow, m);
    if (is64) emit(Opcode::I32WrapI64);
  }

  // --- Instructions typed by their signature -------------------------------------------

  void plain_op(Opcode op, Lanes lanes) {
    const OpFacts& f = facts(op);
    const NanRole role = nan_role(op);
    const bool wait = op == Opcode::MemoryAtomicWait32 || op == Opcode::MemoryAtomicWait64;
    Instr in = with_immediates(op);
    last_constant_.op = Opcode::Illegal;
    if (is_cmpxchg(op) && c_.one_in(2)) {
      matching_cmpxchg(in);
      return;
    }
    for (unsigned i = 0; i < f.sig().param_count; ++i) {
      if (i == 0 && f.sig().address_first) {
        const bool exact = f.feature == Feature::Threads;
        address(in, 1u << f.aux, exact);
      } else if (wait && i == 2) {
        i64(c_.below(1000));  // nanoseconds
      } else {
        operand(op, f.sig().params[i], role, lanes);
      }
    }
    if (is_division(op) && !c_.one_in(8)) {
      f.sig().params[0] == kI32.kind() ? i32(1) : i64(1);
      emit(f.sig().params[0] == kI32.kind() ? Opcode::I32Or : Opcode::I64Or);
    }
    --budget_;
    code_.push_back(std::move(in));
    if (role.produces != Lanes::None && role.produces != lanes)
      canonicalise(f.sig().results[0], role.produces);
  }

  void operand(Opcode op, TypeKind kind, const NanRole& role, Lanes lanes) {
    const bool is_float = kind == TypeKind::F32 || kind == TypeKind::F64;
    if (is_float && is_trapping_trunc(op) && !c_.one_in(observing_ ? 3 : 8)) {
      value(kI32);
      i32(0xFFFFFF);
      emit(Opcode::I32And);
      emit(kind == TypeKind::F32 ? Opcode::F32ConvertI32U : Opcode::F64ConvertI32U);
      return;
    }
    if (observing_ && !c_.one_in(8)) {
      related_constant(kind);
      return;
    }
    const bool keeps = role.keeps && (role.compares == Lanes::None || role.compares == lanes);
    value(kind, keeps ? lanes : role.ignores);
  }

  static bool is_cmpxchg(Opcode op) {
    return op >= Opcode::I32AtomicRmwCmpxchg && op <= Opcode::I64AtomicRmw32CmpxchgU;
  }
  // Compares with what is there, under bits that lie beyond the access.
  void matching_cmpxchg(const Instr& in) {
    const OpFacts& f = facts(in.op);
    const bool wide = f.sig().results[0] == TypeKind::I64;
    static constexpr Opcode kLoads[2][4] = {
        {Opcode::I32Load8U, Opcode::I32Load16U, Opcode::I32Load},
        {Opcode::I64Load8U, Opcode::I64Load16U, Opcode::I64Load32U, Opcode::I64Load}};
    const bool is64 = b_.memories[in.index].limits.is64;
    const int64_t at = int64_t(c_.below(8) << f.aux);
    address_const(is64, at);
    address_const(is64, at);
    Instr load = Builder::instr(kLoads[wide][f.aux], in.index);
    load.offset = in.offset;
    --budget_;
    code_.push_back(std::move(load));
    if (c_.below(4)) {
      value(wide ? kI64 : kI32);
      const int64_t beyond = f.aux == 3 ? 0 : int64_t(~uint64_t{0} << (8u << f.aux));
      address_const(wide, f.aux == 2 && !wide ? 0 : beyond);
      emit(wide ? Opcode::I64And : Opcode::I32And);
      emit(wide ? Opcode::I64Or : Opcode::I32Or);
    }
    value(wide ? kI64 : kI32);
    --budget_;
    code_.push_back(in);
  }

  // Applies an instruction to constants that matter, or looks at references, and writes
  // what comes of it to memory, where it is seen.
  void observe() {
    const uint32_t m = any_index(b_.memories.size());
    const MemoryType& memory = b_.memories[m];
    const uint64_t size = std::min<uint64_t>(memory.limits.min << memory.page_size_log2, 1024);
    address_const(memory.limits.is64, int64_t(c_.below(uint32_t(size) - 16)));
    TypeKind kind = c_.pick(b_.pool).kind();
    if (kind == TypeKind::Ref) kind = TypeKind::I32;
    // Most operators are those of vectors.
    if (has(Group::Simd) && c_.one_in(2)) kind = TypeKind::V128;
    const Nest nest(nesting_);
    observing_ = true;
    if (!ops_.pairs.empty() && c_.one_in(8)) {
      kind = TypeKind::I64;
      plain_op(c_.pick(ops_.pairs), Lanes::None);
      // Both halves, so that a mistake in either shows.
      i64(1);
      emit(Opcode::I64Rotl);
      emit(Opcode::I64Xor);
    } else if (has(Group::Gc) && c_.one_in(2)) {
      kind = TypeKind::I32;
      if (!from_references(kI32)) leaf(kI32);
    } else {
      Opcode op = c_.pick(ops_.giving(kind));
      // Most waits would trap.
      if (facts(op).imm == Imm::MemArg && facts(op).sig().param_count == 3 && !is_cmpxchg(op) &&
          c_.below(4))
        op = c_.pick(ops_.giving(kind));
      plain_op(op, Lanes::None);
    }
    observing_ = false;
    static constexpr Opcode kStores[] = {Opcode::I32Store, Opcode::I64Store, Opcode::F32Store,
                                         Opcode::F64Store, Opcode::V128Store};
    emit(kStores[unsigned(kind) - unsigned(TypeKind::I32)], m);
  }

  static bool is_division(Opcode op) {
    return (op >= Opcode::I32DivS && op <= Opcode::I32RemU) ||
           (op >= Opcode::I64DivS && op <= Opcode::I64RemU);
  }
  static bool is_trapping_trunc(Opcode op) {
    return (op >= Opcode::I32TruncF32S && op <= Opcode::I32TruncF64U) ||
           (op >= Opcode::I64TruncF32S && op <= Opcode::I64TruncF64U);
  }

  // Once in `n` times, and less often where a trap would keep the rest from being seen.
  bool seldom(uint32_t n) { return c_.one_in(observing_ ? 8 * n : n); }

  // The instruction with everything but its operands.
  Instr with_immediates(Opcode op) {
    const OpFacts& f = facts(op);
    Instr in = Builder::instr(op);
    if (f.imm == Imm::MemArg || f.imm == Imm::MemArgLane) {
      in.index = any_index(b_.memories.size());
      const bool exact = f.feature == Feature::Threads;
      in.align = exact ? f.aux : c_.below(f.aux + 1);
      in.offset = c_.one_in(3) ? c_.below(64) : 0;
      if (exact && !seldom(16)) in.offset &= ~uint64_t((1u << f.aux) - 1);
      if (seldom(64)) {
        in.offset = uint32_t(b_.interesting_i32());
        if (b_.memories[in.index].limits.is64) in.offset = uint64_t(b_.interesting_i64());
      }
    }
    if (f.imm == Imm::MemArgLane)
      in.lane = c_.below(16u >> f.aux);
    else if (f.imm == Imm::Lane)
      in.lane = c_.below(f.aux);
    else if (f.imm == Imm::Shuffle)
      for (uint8_t& lane : in.v128.bytes) lane = uint8_t(c_.below(32));
    return in;
  }

  // An address for `in`, mostly within the memory, often near its end.
  void address(const Instr& in, uint32_t bytes, bool aligned) {
    const MemoryType& m = b_.memories[in.index];
    const bool is64 = m.limits.is64;
    const uint64_t size = m.limits.min << m.page_size_log2;
    const uint64_t mask = bit_floor(size / 2) - 1;
    const uint64_t low = aligned && !c_.one_in(24) ? ~uint64_t(bytes - 1) : ~uint64_t{0};
    if (observing_ && in.offset < size / 2 && !c_.one_in(16))
      return address_const(is64, int64_t(c_.below(size < 256 ? 1 : 8) * bytes));
    // Sums that would be small if the address could wrap around.
    if (in.offset > size && c_.one_in(2))
      return address_const(is64, int64_t(c_.below(16) * bytes - in.offset));
    switch (c_.below(24)) {
      case 0:
        return value(is64 ? kI64 : kI32);
      case 1: {
        const uint64_t last = size - bytes - (in.offset < size / 2 ? in.offset : 0);
        return address_const(is64, int64_t((last & low) + c_.below(3) * (aligned ? bytes : 1) -
                                           (aligned ? bytes : 1)));
      }
      case 2:
      case 3:
      case 4:
      case 5:
      case 6:
      case 7:
        return address_const(is64, int64_t(c_.below(uint32_t(mask) & 0xFF) & low));
      default:
        break;
    }
    const uint64_t range = (c_.one_in(2) ? mask & 0xFF : mask) & low;
    value(is64 ? kI64 : kI32);
    address_const(is64, int64_t(range));
    emit(is64 ? Opcode::I64And : Opcode::I32And);
  }
  static constexpr uint64_t bit_floor(uint64_t v) {
    while (v & (v - 1)) v &= v - 1;
    return v ? v : 1;
  }

  // --- References ----------------------------------------------------------------------

  void index_operand(bool is64, uint32_t mask) {
    if (c_.one_in(24)) return value(is64 ? kI64 : kI32);
    if (c_.one_in(2)) return address_const(is64, c_.below(mask + 1));
    value(is64 ? kI64 : kI32);
    address_const(is64, mask);
    emit(is64 ? Opcode::I64And : Opcode::I32And);
  }
  void table_index(uint32_t table) {
    const Limits& l = b_.tables[table].limits;
    index_operand(l.is64, uint32_t(bit_floor(l.min ? l.min : 1)) - (c_.one_in(8) ? 0 : 1));
  }

  // A reference to an aggregate of `type`, seldom null.
  void aggregate(uint32_t type) { value(ValType::ref(HeapType::concrete(type), c_.one_in(12))); }
  void array_index() { index_operand(false, c_.one_in(3) ? 3 : 0); }

  struct FieldRef {
    uint32_t type, field;
  };
  // A random field whose (unpacked) type is a subtype of `t`.
  bool find_field(CompKind kind, ValType t, FieldRef& out) {
    uint32_t seen = 0;
    for (const uint32_t type : kind == CompKind::Struct ? b_.structs : b_.arrays)
      for (uint32_t f = 0; f < b_.image.types[type].fields.size(); ++f)
        if (b_.is_sub(b_.image.types[type].fields[f].storage.unpacked(), t) && c_.one_in(++seen))
          out = {type, f};
    return seen != 0;
  }

  bool field_value(ValType t) {
    FieldRef at{};
    const CompKind kind = c_.below(3) ? CompKind::Struct : CompKind::Array;
    if (!find_field(kind, t, at)) return false;
    const bool packed = b_.image.types[at.type].fields[at.field].storage.is_packed();
    const uint32_t sign = packed ? 1 + c_.below(2) : 0;
    aggregate(at.type);
    if (kind == CompKind::Array) array_index();
    const Opcode get = kind == CompKind::Struct ? Opcode::StructGet : Opcode::ArrayGet;
    emit(Opcode(uint32_t(get) + sign), at.type, at.field);
    return true;
  }

  // A number from references.
  bool from_references(ValType t) {
    const bool gc = has(Group::Gc);
    if (gc && c_.one_in(2)) return field_value(t);
    if (t != kI32) return false;
    switch (c_.below(gc ? 6 : 1)) {
      case 0: {
        const auto* ref = find(b_.pool, [](ValType p) { return p.is_ref(); });
        if (!ref) return false;
        value(*ref);
        emit(Opcode::RefIsNull);
        return true;
      }
      case 1:
        value(ValType::ref(HeapKind::Eq, true));
        value(ValType::ref(HeapKind::Eq, true));
        emit(Opcode::RefEq);
        return true;
      case 2:
        if (c_.one_in(4)) {
          // An object of the host, which is of no type below any.
          static constexpr HeapKind kKinds[] = {HeapKind::Any, HeapKind::Eq, HeapKind::I31,
                                                HeapKind::Struct};
          leaf(kExternRef);
          emit(Opcode::AnyConvertExtern);
          heap_op(c_.one_in(2) ? Opcode::RefTest : Opcode::RefTestNull, c_.pick(kKinds));
          return true;
        }
        value(kAnyRef);
        heap_op(c_.one_in(2) ? Opcode::RefTest : Opcode::RefTestNull, any_heap());
        return true;
      case 3:
        value(ValType::ref(HeapKind::I31, c_.one_in(8)));
        emit(c_.one_in(2) ? Opcode::I31GetS : Opcode::I31GetU);
        return true;
      default:
        if (b_.arrays.empty()) return false;
        aggregate(c_.pick(b_.arrays));
        emit(Opcode::ArrayLen);
        return true;
    }
  }

  // A heap type below any.
  HeapType any_heap() {
    static constexpr HeapKind kKinds[] = {HeapKind::Any,    HeapKind::Eq,    HeapKind::I31,
                                          HeapKind::Struct, HeapKind::Array, HeapKind::None};
    const size_t aggregates = b_.structs.size() + b_.arrays.size();
    if (aggregates && c_.below(3)) return HeapType::concrete(any_index(aggregates));
    return c_.pick(kKinds);
  }

  void reference(ValType t) {
    const HeapType heap = t.heap();
    const bool internal = b_.is_sub(heap, HeapKind::Any);
    switch (c_.below(10)) {
      case 0:
        if (auto* table =
                find(b_.tables, [&](const TableType& x) { return b_.is_sub(x.element, t); })) {
          const auto index = uint32_t(table - b_.tables.data());
          table_index(index);
          emit(Opcode::TableGet, index);
          return;
        }
        break;
      case 1:
        if (has(Group::Gc) && field_value(t)) return;
        break;
      case 2:
        if ((has(Group::FuncRefs) || has(Group::Gc)) && nullable_to(t)) return;
        break;
      case 3:
        if (has(Group::Gc) && internal && cast_to(t)) return;
        break;
      case 4:
        if (!has(Group::Gc)) break;
        if (heap == HeapKind::Extern) {
          value(ValType::ref(HeapKind::Any, t.nullable()));
          emit(Opcode::ExternConvertAny);
          return;
        }
        if (heap == HeapKind::Any) {
          value(ValType::ref(HeapKind::Extern, true));
          emit(Opcode::AnyConvertExtern);
          if (!t.nullable()) emit(Opcode::RefAsNonNull);
          return;
        }
        break;
      default:
        break;
    }
    if (!internal || (t.nullable() && c_.one_in(6))) return leaf(t);
    make_internal(t);
  }

  void make_internal(ValType t) {
    const HeapType heap = t.heap();
    if (heap.is_concrete()) {
      const uint32_t* sub =
          find(b_.image.types[heap.index()].kind == CompKind::Struct ? b_.structs : b_.arrays,
               [&](uint32_t s) { return b_.is_sub(HeapType::concrete(s), heap); });
      return make_new(*sub);
    }
    const bool top = heap == HeapKind::Any || heap == HeapKind::Eq;
    if (heap == HeapKind::I31 || (top && c_.one_in(2))) {
      value(kI32);
      emit(Opcode::RefI31);
      return;
    }
    const auto& list = heap == HeapKind::Struct  ? b_.structs
                       : heap == HeapKind::Array ? b_.arrays
                       : c_.one_in(2)            ? b_.structs
                                                 : b_.arrays;
    if (list.empty()) return leaf(t);
    make_new(c_.pick(list));
  }

  void field_operand(ValType storage) {
    if (storage.is_ref() && c_.below(3)) return leaf_field(storage);
    value(storage.unpacked());
  }
  void length_operand() {
    if (c_.one_in(40)) return value(kI32);
    // Long ones bring a collection about.
    i32(int32_t(c_.one_in(12) ? c_.between(10'000, 40'000) : c_.between(4, 12)));
  }

  void make_new(uint32_t type) {
    const SubType& t = b_.image.types[type];
    if (c_.one_in(4)) return leaf_new(type);
    if (t.kind == CompKind::Struct) {
      for (const FieldType f : Vec<FieldType>(t.fields)) field_operand(f.storage);
      emit(Opcode::StructNew, type);
      return;
    }
    const ValType storage = t.fields[0].storage;
    switch (c_.below(3)) {
      case 0:
        if (segment_operands(storage)) {
          emit(storage.is_ref() ? Opcode::ArrayNewElem : Opcode::ArrayNewData, type, segment_);
          return;
        }
        break;
      case 1: {
        const uint32_t length = c_.between(1, 4);
        for (uint32_t i = 0; i < length; ++i) field_operand(storage);
        emit(Opcode::ArrayNewFixed, type, length);
        return;
      }
      default:
        break;
    }
    field_operand(storage);
    length_operand();
    emit(Opcode::ArrayNew, type);
  }

  // Start and length within a segment whose items fit `storage`; sets segment_.
  bool segment_operands(ValType storage) {
    uint32_t items = 0;
    if (storage.is_ref()) {
      auto* e =
          find(b_.image.elems, [&](const ElemImage& e) { return b_.is_sub(e.type, storage); });
      if (!e) return false;
      segment_ = uint32_t(e - b_.image.elems.data());
      items = uint32_t(e->uses_exprs ? e->exprs.size() : e->funcs.size());
    } else {
      if (b_.image.datas.empty()) return false;
      segment_ = any_index(b_.image.datas.size());
      items = uint32_t(b_.image.datas[segment_].bytes.size()) / 8;
    }
    const uint32_t start = c_.below(2);
    c_.one_in(24) ? value(kI32) : i32(int32_t(start));
    c_.one_in(24) ? value(kI32) : i32(items > start ? int32_t(c_.below(items - start + 1)) : 0);
    return true;
  }

  // A reference of type `t`, of which a nullable one is tested.
  bool nullable_to(ValType t) {
    if (frames_.size() >= kMaxFrames) return false;
    const ValType some = ValType::ref(t.heap(), false), maybe = ValType::ref(t.heap(), true);
    if (t.nullable()) return false;
    switch (c_.below(4)) {
      case 0:
        leaf(maybe);
        emit(Opcode::RefAsNonNull);
        return true;
      case 1:
        // (block (result t) maybe, br_on_non_null 0, some)
        open(Opcode::Block, {}, {some}, {some});
        value(maybe);
        emit(Opcode::BrOnNonNull, 0);
        leaf(some);
        close();
        return true;
      default:
        // (block (result t) (block maybe, br_on_null 0, br 1) some)
        open(Opcode::Block, {}, {some}, {some});
        open(Opcode::Block, {}, {}, {});
        value(maybe);
        emit(Opcode::BrOnNull, 0);
        emit(Opcode::Br, 1);
        close();
        leaf(some);
        close();
        return true;
    }
  }

  bool cast_to(ValType t) {
    const bool fits = b_.is_sub(t.heap(), HeapKind::Any);
    if (!fits) return false;
    if (c_.one_in(3)) {
      // Most of these succeed: the value has the type, but seen from above.
      open(Opcode::Block, {}, {kAnyRef}, {kAnyRef});
      c_.one_in(6) ? value(kAnyRef) : value(t);
      close();
      heap_op(t.nullable() ? Opcode::RefCastNull : Opcode::RefCast, t.heap());
      return true;
    }
    if (frames_.size() >= kMaxFrames) return false;
    // (block (result t) any, br_on_cast 0, drop, leaf)
    const bool fail = c_.one_in(3);
    const ValType from = kAnyRef;
    if (!fail) {
      open(Opcode::Block, {}, {t}, {t});
      c_.one_in(6) ? null(from.heap()) : value(from);
      br_on_cast(Opcode::BrOnCast, 0, from, t);
      emit(Opcode::Drop);
      leaf(t);
      close();
      return true;
    }
    // (block (result t) (block (result any) any, br_on_cast_fail 0, br 1) drop, leaf)
    open(Opcode::Block, {}, {t}, {t});
    open(Opcode::Block, {}, {kAnyRef}, {kAnyRef});
    c_.one_in(6) ? null(from.heap()) : value(from);
    br_on_cast(Opcode::BrOnCastFail, 0, from, t);
    emit(Opcode::Br, 1);
    close();
    emit(Opcode::Drop);
    leaf(t);
    close();
    return true;
  }

  void br_on_cast(Opcode op, uint32_t label, ValType from, ValType to) {
    Instr& in = emit(op, label);
    in.heap = from.heap();
    in.heap2 = to.heap();
    in.null1 = from.nullable();
    in.null2 = to.nullable();
  }

  // --- Blocks --------------------------------------------------------------------------

  BlockType block_type(const Vec<ValType>& params, const Vec<ValType>& results) {
    BlockType type;
    if (params.empty() && results.size() <= 1 && !(has(Group::MultiValue) && c_.one_in(12))) {
      if (results.empty()) return type;
      type.kind = BlockType::Kind::Value;
      type.value = results[0];
      return type;
    }
    type.kind = BlockType::Kind::Type;
    FuncType f;
    f.params = params;
    f.results = results;
    type.type_index = b_.func_type(f);
    return type;
  }
  void open(Opcode op, const Vec<ValType>& params, const Vec<ValType>& results,
            const Vec<ValType>& label, bool is_try = false) {
    const BlockType type = block_type(params, results);
    emit(op).block = type;
    frames_.push_back({label, is_try});
  }
  void close() {
    emit(Opcode::End);
    frames_.pop_back();
  }

  // Takes a value of type `t` off the stack.
  void consume(ValType t) {
    LocalVar* const local = local_taking(t);
    if (local && c_.below(3))
      emit(Opcode::LocalSet, local->index);
    else
      emit(Opcode::Drop);
  }
  void consume_all(const Vec<ValType>& types) {
    for (size_t i = types.size(); i--;) consume(types[i]);
  }

  // The inside of a block: its parameters are on the stack, its results are left.
  void inside(const Vec<ValType>& params, const Vec<ValType>& results) {
    consume_all(params);
    const bool dead = statements(c_.below(4));
    if (!dead || c_.one_in(8)) values(results);
  }

  // Some structure that leaves `results`.
  void block(const Vec<ValType>& results) {
    const Nest nest(nesting_);
    Vec<ValType> params;
    if (has(Group::MultiValue) && c_.one_in(3)) params = b_.any_types(3);
    switch (c_.below(has(Group::Exceptions) ? 5 : 4)) {
      case 0:
      case 1:
        values(params);
        open(Opcode::Block, params, results, results);
        inside(params, results);
        return close();
      case 2:
        values(params);
        value(kI32);
        open(Opcode::If, params, results, results);
        inside(params, results);
        if (params != results || c_.one_in(2)) {
          emit(Opcode::Else);
          inside(params, results);
        }
        return close();
      case 3:
        if (!plain_) return loop(params, results);
        values(params);
        open(Opcode::Block, params, results, results);
        inside(params, results);
        return close();
      default:
        return try_table(results);
    }
  }

  // (block $exit (loop ...)): it goes on while a counter and the fuel last.
  void loop(const Vec<ValType>& params, const Vec<ValType>& results) {
    const uint32_t counter = add_local(kI32);
    values(params);
    open(Opcode::Block, params, results, results);
    i32(int32_t(c_.one_in(4) ? c_.between(10, 40) : c_.between(1, 9)));
    emit(Opcode::LocalSet, counter);
    open(Opcode::Loop, params, results, params);
    take_fuel();
    for (const ValType t : results) leaf(t);
    emit(Opcode::LocalGet, counter);
    i32(1);
    emit(Opcode::I32Sub);
    emit(Opcode::LocalTee, counter);
    emit(Opcode::GlobalGet, b_.fuel);
    emit(Opcode::I32Or);
    i32(0);
    emit(Opcode::I32LtS);
    emit(Opcode::BrIf, 1);
    for (size_t i = results.size(); i--;) emit(Opcode::Drop);
    consume_all(params);
    bool dead = statements(c_.between(1, 4));
    if (!dead && c_.below(4)) {
      values(params);
      if (c_.one_in(3)) {
        emit(Opcode::Br, 0);
        dead = true;
      } else {
        value(kI32);
        emit(Opcode::BrIf, 0);
        consume_all(params);
      }
    }
    if (!dead) values(results);
    close();
    close();
  }

  // (block $out (block $handler (try_table (catch $tag $handler) ...) (br $out)) ...)
  void try_table(const Vec<ValType>& results) {
    Vec<CatchClause> catches;
    Vec<ValType> caught;
    CatchClause first{CatchClause::Kind(c_.below(4)), 0, 0};
    if (first.kind <= CatchClause::Kind::CatchRef) {
      first.tag = any_index(b_.tags.size());
      caught = b_.image.types[b_.tags[first.tag]].func.params;
    }
    if (first.kind == CatchClause::Kind::CatchRef || first.kind == CatchClause::Kind::CatchAllRef)
      caught.push_back(ValType::ref(HeapKind::Exn, false));
    open(Opcode::Block, {}, results, results);
    open(Opcode::Block, {}, caught, caught);
    for (uint32_t n = c_.below(3); n--;) {
      CatchClause more{CatchClause::Kind::Catch, any_index(b_.tags.size()), 0};
      // Of clauses that fit, the first counts.
      if (first.kind <= CatchClause::Kind::CatchRef && c_.one_in(2)) more.tag = first.tag;
      Vec<ValType> types = b_.image.types[b_.tags[more.tag]].func.params;
      if (c_.one_in(3)) {
        more.kind = CatchClause::Kind::CatchAll;
        types = {};
      }
      const int label = label_with(types);
      if (label < 0) continue;
      more.label = uint32_t(label);
      catches.push_back(more);
    }
    catches.insert(catches.begin() + c_.below(uint32_t(catches.size() + 1)), first);
    open(Opcode::TryTable, {}, results, results, true);
    code_.back().catches = catches;
    if (first.kind <= CatchClause::Kind::CatchRef && c_.one_in(3)) {
      value(kI32);
      open(Opcode::If, {}, {}, {});
      values(Vec<ValType>(b_.image.types[b_.tags[first.tag]].func.params));
      emit(Opcode::Throw, first.tag);
      close();
    }
    inside({}, results);
    close();
    emit(Opcode::Br, 1);
    close();
    consume_all(caught);
    inside({}, results);
    close();
  }

  // --- Calls ---------------------------------------------------------------------------

  // Puts callee and arguments on the stack and gives the instruction that calls
  // `func`, directly or by way of a table or a reference.
  Instr call_instr(uint32_t func, bool tail) {
    uint32_t type = b_.image.type_of_function(func);
    values(Vec<ValType>(b_.signature(func).params));
    // Types above it have the same signature.
    while (b_.image.types[type].super != SubType::kNoSuper && c_.one_in(2))
      type = b_.image.types[type].super;
    const bool via_ref = has(Group::FuncRefs) && c_.one_in(4);
    if (via_ref) {
      if (c_.one_in(8))
        value(ValType::ref(HeapType::concrete(type), true));
      else
        emit(Opcode::RefFunc, func);
      return Builder::instr(tail ? Opcode::ReturnCallRef : Opcode::CallRef, type);
    }
    const auto at = std::find(b_.table0.begin(), b_.table0.end(), func);
    const bool in_table = at != b_.table0.end();
    // Elsewhere in the table are mostly functions of other types.
    if (has(Group::Tables) && c_.one_in(in_table ? 3 : 24)) {
      if (in_table && !c_.one_in(16))
        address_const(b_.tables[0].limits.is64, at - b_.table0.begin());
      else
        table_index(0);
      return Builder::instr(tail ? Opcode::ReturnCallIndirect : Opcode::CallIndirect, type, 0);
    }
    return Builder::instr(tail ? Opcode::ReturnCall : Opcode::Call, func);
  }

  // Leaves the results of `func` on the stack.
  void call(uint32_t func) {
    Instr in = call_instr(func, false);
    --budget_;
    code_.push_back(std::move(in));
    emit(Opcode::LocalGet, depth_local_);
    emit(Opcode::GlobalSet, b_.depth);
  }

  template <class F>
  bool pick_function(F fits, uint32_t& out) {
    uint32_t seen = 0;
    for (uint32_t f = 0; f < b_.function_count(); ++f)
      if (fits(b_.signature(f)) && c_.one_in(++seen)) out = f;
    return seen != 0;
  }

  // A call that gives types[at...], as many as it has results (call_results_).
  bool call_giving(const Vec<ValType>& types, size_t at) {
    if (plain_) return false;
    uint32_t func = 0;
    if (!pick_function(
            [&](const FuncType& f) {
              if (f.results.empty() || f.results.size() > types.size() - at) return false;
              for (size_t i = 0; i < f.results.size(); ++i)
                if (!b_.is_sub(f.results[i], types[at + i])) return false;
              return true;
            },
            func))
      return false;
    const Nest nest(nesting_);
    const size_t count = b_.signature(func).results.size();
    call(func);
    call_results_ = count;
    return true;
  }

  // --- Statements ----------------------------------------------------------------------

  // Up to `count` statements; true if their end cannot be reached.
  bool statements(uint32_t count) {
    while (count-- && budget_ > 0) {
      if (!statement()) continue;
      if (c_.one_in(3)) dead_code();
      return true;
    }
    return false;
  }

  // Code after a branch, whose operands may come from nowhere.
  void dead_code() {
    for (uint32_t n = c_.between(1, 3); n--;) {
      static constexpr TypeKind kKinds[] = {TypeKind::I32, TypeKind::I64, TypeKind::F32,
                                            TypeKind::F64, TypeKind::V128};
      const auto& ops = c_.one_in(5) ? ops_.effects : ops_.giving(c_.pick(kKinds));
      if (ops.empty()) continue;
      const Opcode op = c_.pick(ops);
      --budget_;
      code_.push_back(with_immediates(op));
      for (unsigned i = facts(op).sig().result_count; i--;) emit(Opcode::Drop);
    }
    if (c_.one_in(4) && frames_.size() < kMaxFrames) block({});
  }

  // True if control does not get past it.
  bool statement() {
    const Nest nest(nesting_);
    if (has(Group::Edges) && c_.one_in(has(Group::Gc) ? 24 : 3)) {
      const size_t before = code_.size();
      edge_statement(
          {b_, code_, [this](ValType t) { return add_local(t); }, [this](ValType t) { leaf(t); }});
      budget_ -= int32_t(code_.size() - before);
      return false;
    }
    switch (c_.below(27)) {
      case 24:
      case 25:
      case 26:
        for (uint32_t n = c_.between(2, 6); n-- && budget_ > 0;) observe();
        return false;
      case 0:
      case 1:
      case 2:
      case 3:
        return set_local();
      case 4:
        return set_global();
      case 5:
      case 6:
      case 7:
      case 8:
      case 9:
        plain_op(c_.pick(ops_.effects), Lanes::None);
        return false;
      case 10:
      case 11:
      case 12:
        if (frames_.size() < kMaxFrames && can_nest()) block({});
        return false;
      case 13:
        if (has(Group::MultiValue) && frames_.size() < kMaxFrames && can_nest()) {
          const Vec<ValType> results = b_.any_types(3);
          block(results);
          consume_all(results);
        }
        return false;
      case 14:
        br_if();
        return false;
      case 15:
        return c_.one_in(3) && branch_away();
      case 16:
      case 17:
        call_statement();
        return false;
      case 18:
        if (has(Group::Tables)) table_statement();
        return false;
      case 19:
        if (has(Group::BulkMemory)) bulk_statement();
        return false;
      case 20:
        if (has(Group::Gc)) aggregate_statement();
        return false;
      case 21:
        return has(Group::Exceptions) && c_.one_in(2) && throw_something();
      case 22:
        if (c_.one_in(4)) {
          memory_grow();
          emit(Opcode::Drop);
        }
        return false;
      default:
        if (has(Group::Continuations) && !plain_ && c_.one_in(2)) {
          continuation_statement();
          return false;
        }
        value(b_.any_type());
        emit(Opcode::Drop);
        return false;
    }
  }

  void set_handled(int32_t v) {
    i32(v);
    emit(Opcode::GlobalSet, b_.handled);
  }
  // Suspends where that is handled; or runs a function to its end, or to that of the fuel,
  // which leaves a continuation that nobody goes on with.
  void continuation_statement() {
    if (c_.one_in(2)) {
      emit(Opcode::GlobalGet, b_.handled);
      emit(Opcode::If);
      emit(Opcode::Suspend, b_.yield);
      emit(Opcode::End);
      return;
    }
    const auto r = c_.pick(b_.resumables);
    const FuncType type = b_.signature(r.func);
    Vec<uint32_t> arguments;
    for (const ValType t : type.params) {
      value(t);
      arguments.push_back(add_local(t));
      emit(Opcode::LocalSet, arguments.back());
    }
    const ValType suspended = ValType::ref(HeapType::concrete(r.suspended), true);
    const uint32_t kept = add_local(suspended);
    set_handled(1);
    emit(Opcode::Block);  // the end
    const auto resume = [&](uint32_t cont, uint32_t out) {
      Instr& in = emit(Opcode::Resume, cont);
      in.clauses.push_back({false, b_.yield, 0});
      for (size_t i = type.results.size(); i--;) emit(Opcode::Drop);
      emit(Opcode::Br, out);
      emit(Opcode::End);
      emit(Opcode::LocalSet, kept);
    };
    const auto handler = [&] {
      Instr& in = emit(Opcode::Block);
      in.block.kind = BlockType::Kind::Value;
      in.block.value = suspended;
    };
    handler();
    for (const uint32_t a : arguments) emit(Opcode::LocalGet, a);
    emit(Opcode::RefFunc, r.func);
    emit(Opcode::ContNew, r.fresh);
    resume(r.fresh, 1);
    emit(Opcode::Loop);
    take_fuel();
    emit(Opcode::GlobalGet, b_.fuel);
    i32(0);
    emit(Opcode::I32LtS);
    emit(Opcode::BrIf, 1);
    set_handled(1);
    handler();
    emit(Opcode::LocalGet, kept);
    resume(r.suspended, 2);
    emit(Opcode::Br, 0);
    emit(Opcode::End);
    emit(Opcode::End);
    set_handled(0);
    emit(Opcode::LocalGet, depth_local_);
    emit(Opcode::GlobalSet, b_.depth);
  }

  bool set_local() {
    if (visible_.empty()) return false;
    const LocalVar local = c_.pick(visible_);
    value(local.type);
    emit(Opcode::LocalSet, local.index);
    return false;
  }
  bool set_global() {
    const auto* g = find(b_.globals, [](const GlobalType& t) { return t.is_mutable; });
    const auto index = uint32_t(g - b_.globals.data());
    if (!g || index == b_.fuel || index == b_.depth) return false;
    value(g->type);
    emit(Opcode::GlobalSet, index);
    return false;
  }

  void br_if() {
    const uint32_t label = any_index(frames_.size());
    const Vec<ValType> types = frame(label).types;
    values(types);
    value(kI32);
    emit(Opcode::BrIf, label);
    consume_all(types);
  }

  // br, br_table, return, a tail call or a trap.
  bool branch_away() {
    switch (c_.below(8)) {
      case 0:
      case 1:
        if (tail_call()) return true;
        break;
      case 2:
        values(results_);
        emit(Opcode::Return);
        return true;
      case 3:
        if (!c_.one_in(6)) break;
        emit(Opcode::Unreachable);
        return true;
      case 4:
      case 5:
        return br_table();
      default:
        break;
    }
    const uint32_t label = any_index(frames_.size());
    values(Vec<ValType>(frame(label).types));
    emit(Opcode::Br, label);
    return true;
  }

  bool br_table() {
    const Vec<ValType> types = frame(any_index(frames_.size())).types;
    Vec<uint32_t> labels;
    for (uint32_t n = c_.between(1, 6); n--;) labels.push_back(uint32_t(label_with(types)));
    values(types);
    value(kI32);
    if (c_.below(4)) {
      i32(7);
      emit(Opcode::I32And);
    }
    emit(Opcode::BrTable).labels = labels;
    return true;
  }

  bool tail_call() {
    if (!has(Group::TailCalls) || plain_) return false;
    uint32_t func = 0;
    const auto fits = [&](const FuncType& f) {
      return std::equal(f.results.begin(), f.results.end(), results_.begin(), results_.end(),
                        [&](ValType a, ValType b) { return b_.is_sub(a, b); });
    };
    if (!pick_function(fits, func)) return false;
    const Nest nest(nesting_);
    Instr in = call_instr(func, true);
    // A tail call does not make the stack deeper.
    emit(Opcode::LocalGet, depth_local_);
    i32(1);
    emit(Opcode::I32Sub);
    emit(Opcode::GlobalSet, b_.depth);
    --budget_;
    code_.push_back(std::move(in));
    return true;
  }

  void call_statement() {
    if (plain_) return;
    const uint32_t func = any_index(b_.function_count());
    const Vec<ValType> results = b_.signature(func).results;
    call(func);
    consume_all(results);
  }

  bool throw_something() {
    const bool guarded =
        std::any_of(frames_.begin(), frames_.end(), [](const Frame& f) { return f.is_try; });
    if (!guarded && !c_.one_in(12)) return false;
    if (c_.one_in(4)) {
      value(kExnRef);
      emit(Opcode::ThrowRef);
      return true;
    }
    const uint32_t tag = any_index(b_.tags.size());
    values(Vec<ValType>(b_.image.types[b_.tags[tag]].func.params));
    emit(Opcode::Throw, tag);
    return true;
  }

  void table_statement() {
    const uint32_t t = any_index(b_.tables.size());
    const ValType element = b_.tables[t].element;
    const bool is64 = b_.tables[t].limits.is64;
    switch (c_.below(7)) {
      case 0:
      case 1:
        table_index(t);
        value(element);
        emit(Opcode::TableSet, t);
        return;
      case 2:
        value(element);
        c_.one_in(8) ? value(is64 ? kI64 : kI32) : address_const(is64, c_.below(3));
        emit(Opcode::TableGrow, t);
        emit(Opcode::Drop);
        return;
      case 3:
        table_index(t);
        value(element);
        index_operand(is64, 1);
        emit(Opcode::TableFill, t);
        return;
      case 4: {
        if (c_.one_in(2)) {
          // Over itself.
          address_const(is64, c_.below(3));
          address_const(is64, c_.below(2));
          address_const(is64, c_.between(1, 3));
          emit(Opcode::TableCopy, t, t);
          return;
        }
        const auto* from =
            find(b_.tables, [&](const TableType& x) { return b_.is_sub(x.element, element); });
        const auto source = uint32_t(from - b_.tables.data());
        table_index(t);
        table_index(source);
        index_operand(is64 && b_.tables[source].limits.is64, 1);
        emit(Opcode::TableCopy, t, source);
        return;
      }
      case 5: {
        const auto* e =
            find(b_.image.elems, [&](const ElemImage& e) { return b_.is_sub(e.type, element); });
        if (!e) return;
        const auto segment = uint32_t(e - b_.image.elems.data());
        if (c_.one_in(6)) emit(Opcode::ElemDrop, segment);
        table_index(t);
        index_operand(false, 1);
        index_operand(false, 1);
        emit(Opcode::TableInit, segment, t);
        return;
      }
      default:
        if (c_.one_in(4)) emit(Opcode::ElemDrop, any_index(b_.image.elems.size()));
    }
  }

  // Address and length of a range, mostly within memory `m`.
  void range_start(uint32_t m) { address(Builder::instr(Opcode::I32Load8U, m), 64, false); }
  void range_length(bool is64) { index_operand(is64, c_.one_in(2) ? 31 : 127); }

  void bulk_statement() {
    const uint32_t m = any_index(b_.memories.size());
    const bool is64 = b_.memories[m].limits.is64;
    switch (c_.below(6)) {
      case 0:
        if (c_.one_in(4)) {
          // Nothing, at the end or beyond.
          const uint64_t size = b_.memories[m].limits.min << b_.memories[m].page_size_log2;
          address_const(is64, int64_t(size + (c_.one_in(2) ? 0 : uint64_t{1} << c_.below(31))));
          value(kI32);
          address_const(is64, 0);
          emit(Opcode::MemoryFill, m);
          return;
        }
        [[fallthrough]];
      case 1:
        range_start(m);
        value(kI32);
        range_length(is64);
        emit(Opcode::MemoryFill, m);
        return;
      case 2:
      case 3: {
        if (c_.one_in(3)) {
          // Over itself.
          const uint32_t at = c_.below(32);
          address_const(is64, at + c_.below(4));
          address_const(is64, at);
          address_const(is64, c_.between(1, 31));
          emit(Opcode::MemoryCopy, m, m);
          return;
        }
        const uint32_t from = any_index(b_.memories.size());
        range_start(m);
        range_start(from);
        range_length(is64 && b_.memories[from].limits.is64);
        emit(Opcode::MemoryCopy, m, from);
        return;
      }
      case 4:
        range_start(m);
        index_operand(false, 7);
        index_operand(false, 15);
        {
          const uint32_t segment = any_index(b_.image.datas.size());
          if (c_.one_in(6)) emit(Opcode::DataDrop, segment);
          emit(Opcode::MemoryInit, segment, m);
        }
        return;
      default:
        if (c_.one_in(4)) emit(Opcode::DataDrop, any_index(b_.image.datas.size()));
    }
  }

  // Copies part of the array in a local over another part of it.
  bool overlapping_array_copy() {
    const auto element = [&](const LocalVar& l) -> const FieldType* {
      if (!l.type.is_ref() || !l.type.heap().is_concrete()) return nullptr;
      const SubType& t = b_.image.types[l.type.heap().index()];
      return t.kind == CompKind::Array && t.fields[0].is_mutable ? &t.fields[0] : nullptr;
    };
    const LocalVar* const array = find(visible_, element);
    if (!array) return false;
    const uint32_t local = array->index, type = array->type.heap().index();
    const ValType storage = element(*array)->storage;
    emit(Opcode::LocalGet, local);
    i32(0);
    field_operand(storage);
    emit(Opcode::ArraySet, type);
    emit(Opcode::LocalGet, local);
    i32(int32_t(c_.between(0, 2)));
    emit(Opcode::LocalGet, local);
    i32(int32_t(c_.below(2)));
    i32(int32_t(c_.between(2, 3)));
    emit(Opcode::ArrayCopy, type, type);
    return true;
  }

  void aggregate_statement() {
    if (c_.one_in(4) && overlapping_array_copy()) return;
    if (c_.one_in(2)) {
      const uint32_t type = b_.structs.empty() ? ~0u : c_.pick(b_.structs);
      if (type == ~0u) return;
      const auto& fields = b_.image.types[type].fields;
      const FieldType* f = find(fields, [](const FieldType& x) { return x.is_mutable; });
      if (!f) return;
      const auto index = uint32_t(f - fields.data());
      const ValType storage = f->storage;  // the types may move while operands are made
      aggregate(type);
      field_operand(storage);
      emit(Opcode::StructSet, type, index);
      return;
    }
    const uint32_t* found =
        find(b_.arrays, [&](uint32_t a) { return b_.image.types[a].fields[0].is_mutable; });
    if (!found) return;
    const uint32_t type = *found;
    const ValType storage = b_.image.types[type].fields[0].storage;
    aggregate(type);
    switch (c_.below(4)) {
      case 0:
        array_index();
        field_operand(storage);
        emit(Opcode::ArraySet, type);
        return;
      case 1:
        array_index();
        field_operand(storage);
        index_operand(false, 3);
        emit(Opcode::ArrayFill, type);
        return;
      case 2: {
        // A source whose elements fit: the same storage, or a subtype of it.
        const uint32_t source = *find(b_.arrays, [&](uint32_t a) {
          return b_.is_sub(b_.image.types[a].fields[0].storage, storage);
        });
        array_index();
        aggregate(source);
        array_index();
        index_operand(false, 3);
        emit(Opcode::ArrayCopy, type, source);
        return;
      }
      default:
        array_index();
        if (!segment_operands(storage)) {
          field_operand(storage);
          emit(Opcode::ArraySet, type);
          return;
        }
        emit(storage.is_ref() ? Opcode::ArrayInitElem : Opcode::ArrayInitData, type, segment_);
    }
  }

  const OpLists& ops_;
  const Vec<ValType> results_;
  Vec<Frame> frames_;
  Vec<LocalVar> visible_;
  uint32_t depth_local_ = 0;
  uint32_t nesting_ = 0;
  uint32_t segment_ = 0;
  size_t call_results_ = 0;
  bool plain_ = false;  // without calls and loops
  bool observing_ = false;
};

}  // namespace

void generate_body(Builder& builder, uint32_t index, const OpLists& ops) {
  FuncImage& func = builder.image.functions[index - builder.image.imported(ExternKind::Func)];
  BodyGenerator(builder, func, ops).run();
}

}  // namespace wafer::diff
