#include "edges.h"

namespace wafer::diff {

namespace {

using namespace wasm;

// A kind of number in memory.
struct Item {
  Opcode load, store;
  ValType type;
  uint32_t bytes;
};
constexpr Item kItems[] = {
    {Opcode::I32Load, Opcode::I32Store, kI32, 4},
    {Opcode::I32Load8U, Opcode::I32Store8, kI32, 1},
    {Opcode::I32Load16S, Opcode::I32Store16, kI32, 2},
    {Opcode::I64Load, Opcode::I64Store, kI64, 8},
    {Opcode::I64Load32U, Opcode::I64Store32, kI64, 4},
    {Opcode::F32Load, Opcode::F32Store, kF32, 4},
    {Opcode::F64Load, Opcode::F64Store, kF64, 8},
    {Opcode::V128Load, Opcode::V128Store, kV128, 16},
};

class EdgeWriter {
 public:
  explicit EdgeWriter(const EdgeSite& site)
      : s_(site), b_(site.builder), c_(site.builder.c), memory_(any_memory()) {}

  void statement() {
    switch (c_.below(9)) {
      case 0:
        load_near_end(item());
        emit(Opcode::Drop);
        return;
      case 1:
        return selected();
      case 2:
        return masked();
      case 3:
        return replaced_store();
      case 4:
        return used_later();
      case 5:
        return adjacent_stores();
      default:
        return loop();
    }
  }

 private:
  uint32_t any_memory() { return c_.below(uint32_t(b_.memories.size())); }
  bool is64() const { return b_.memories[memory_].limits.is64; }
  ValType address_type() const { return is64() ? kI64 : kI32; }
  int64_t size() const {
    return int64_t(b_.memories[memory_].limits.min << b_.memories[memory_].page_size_log2);
  }

  Instr& emit(Opcode op, uint32_t index = 0, uint32_t index2 = 0) {
    s_.code.push_back(Builder::instr(op, index, index2));
    return s_.code.back();
  }
  void i32(int32_t v) { emit(Opcode::I32Const).i32 = v; }
  void number(int64_t v) {
    if (is64())
      emit(Opcode::I64Const).i64 = v;
    else
      i32(int32_t(v));
  }
  void on_address(Opcode narrow, Opcode wide) { emit(is64() ? wide : narrow); }
  void add() { on_address(Opcode::I32Add, Opcode::I64Add); }
  void constant(ValType t) { s_.code.push_back(b_.constant(t.kind())); }

  // Integers alone where the value is calculated with: the bits of a NaN are open.
  const Item& item(bool integer = false) {
    for (;;) {
      const Item& i = c_.pick(kItems);
      if (i.type == kV128 && !b_.has(Group::Simd)) continue;
      if ((i.type == kF32 || i.type == kF64) && (integer || !b_.has(Group::Float))) continue;
      if (integer && i.type == kV128) continue;
      return i;
    }
  }

  // An address of which the last bytes are about those of the memory.
  void near_end(uint32_t bytes) {
    const int64_t last = size() - bytes;
    switch (c_.below(9)) {
      case 0:
        return s_.leaf(address_type());
      case 1:
      case 2:
      case 3:
        return number(last - int64_t(c_.below(32)));
      case 4:
        return number(last + int64_t(c_.below(3 * bytes)) - bytes);
      default:
        s_.leaf(address_type());
        number(c_.one_in(2) ? 15 : 127);
        on_address(Opcode::I32And, Opcode::I64And);
        number(last - int64_t(c_.below(80)));
        return add();
    }
  }
  void access(Opcode op, uint64_t offset = 0) {
    Instr& in = emit(op, memory_);
    in.offset = offset;
  }
  void load_near_end(const Item& i) {
    near_end(i.bytes);
    access(i.load, c_.one_in(4) ? c_.below(24) : 0);
  }

  // Takes a value off the stack so that it can be seen.
  void keep(ValType t) {
    const uint32_t local = s_.add_local(t);
    emit(Opcode::LocalSet, local);
    number(int64_t(c_.below(4) * 16));
    emit(Opcode::LocalGet, local);
    for (const Item& i : kItems)
      if (i.type == t) return access(i.store);
  }

  // The load is one of two values, of which one is chosen.
  void selected() {
    const Item& i = item();
    const bool first = c_.one_in(2);
    if (!first) constant(i.type);
    load_near_end(i);
    if (first) constant(i.type);
    s_.leaf(kI32);
    emit(Opcode::SelectT).types = {i.type};
    c_.one_in(3) ? (void)emit(Opcode::Drop) : keep(i.type);
  }

  // What there may be instructions with masks for.
  void masked() {
    if (!b_.has(Group::Simd)) return selected();
    const bool select = c_.one_in(2);
    load_near_end(kItems[7]);
    if (c_.one_in(2)) {
      s_.leaf(kV128);
      emit(Opcode::I32x4Add);
    }
    if (select) s_.leaf(kV128);
    s_.leaf(kV128);
    s_.leaf(kV128);
    static constexpr Opcode kCompare[] = {Opcode::I32x4Eq, Opcode::I8x16GtS, Opcode::I64x2LtS,
                                          Opcode::F32x4Lt};
    emit(c_.pick(kCompare));
    emit(select ? Opcode::V128Bitselect : Opcode::V128And);
    keep(kV128);
  }

  // A place beside memory that takes an i32: global, table or memory.
  struct Place {
    int kind = 0;
    uint32_t index = 0;
  };
  bool mutable_global(ValType type, uint32_t& out) {
    uint32_t seen = 0;
    for (uint32_t g = 0; g < b_.globals.size(); ++g)
      if (b_.globals[g].is_mutable && b_.globals[g].type == type && g != b_.fuel && g != b_.depth &&
          c_.one_in(++seen))
        out = g;
    return seen != 0;
  }
  Place place() {
    Place p;
    p.kind = int(c_.below(3));
    if (p.kind == 0 && !mutable_global(kI32, p.index)) p.kind = 2;
    if (p.kind == 1 && (b_.tables.empty() || b_.tables[0].element != kFuncRef)) p.kind = 2;
    if (p.kind == 2) p.index = any_memory();
    return p;
  }
  void write(const Place& p, int32_t value) {
    if (p.kind == 0) {
      i32(value);
      emit(Opcode::GlobalSet, p.index);
    } else if (p.kind == 1) {
      b_.tables[0].limits.is64 ? (void)(emit(Opcode::I64Const).i64 = 0) : i32(0);
      if (value & 1)
        emit(Opcode::RefFunc, c_.below(b_.function_count()));
      else
        emit(Opcode::RefNull).heap = HeapKind::Func;
      emit(Opcode::TableSet, 0);
    } else {
      const uint32_t own = memory_;
      memory_ = p.index;
      number(8);
      i32(value);
      access(Opcode::I32Store);
      memory_ = own;
    }
  }

  // Two stores of which the second makes the first one dead, but for what is between.
  void replaced_store() {
    const Place p = place();
    write(p, int32_t(c_.below(1000)));
    const Item& i = item();
    load_near_end(i);
    c_.one_in(2) ? (void)emit(Opcode::Drop) : keep(i.type);
    write(p, int32_t(c_.below(1000)));
  }

  // The value is used past a store, or in a branch alone.
  void used_later() {
    const Item& i = item();
    const uint32_t local = s_.add_local(i.type);
    load_near_end(i);
    emit(Opcode::LocalSet, local);
    if (c_.one_in(2)) write(place(), int32_t(c_.below(1000)));
    const bool branch = c_.one_in(2);
    if (branch) {
      s_.leaf(kI32);
      emit(Opcode::If);
    }
    emit(Opcode::LocalGet, local);
    keep(i.type);
    if (branch) emit(Opcode::End);
  }

  // Stores side by side, of which the last ones may be out of bounds.
  void adjacent_stores() {
    const Item& i = item();
    const uint32_t at = s_.add_local(address_type());
    near_end(i.bytes);
    emit(Opcode::LocalSet, at);
    const bool falling = c_.one_in(4);
    for (uint32_t n = c_.between(2, 5), k = 0; k < n; ++k) {
      emit(Opcode::LocalGet, at);
      c_.one_in(2) ? constant(i.type) : s_.leaf(i.type);
      access(i.store, uint64_t(falling ? n - 1 - k : k) * i.bytes);
    }
  }

  // for (n...) { ... p[0] ...; p += step; } Of some all is known before they run.
  void loop() {
    const Item& i = item(true);
    const bool wide = i.type == kI64;
    const uint32_t at = s_.add_local(address_type()), left = s_.add_local(kI32);
    const uint32_t sum = s_.add_local(i.type);
    uint32_t global = 0;
    const bool has_global = mutable_global(i.type, global);
    const bool known = c_.one_in(3), falling = c_.one_in(3);
    const uint32_t rounds = c_.between(1, known ? 80 : 40);
    // Short steps go over a part of what the round before has accessed.
    const int64_t step = c_.one_in(3) ? 1 << c_.below(4) : i.bytes;
    // So that it ends about where the memory does.
    const int64_t way = step * rounds + (falling ? -1 : 1) * int64_t(c_.below(40));
    number(falling ? way : size() - way);
    if (!known && c_.below(3)) {
      s_.leaf(address_type());
      number(63);
      on_address(Opcode::I32And, Opcode::I64And);
      add();
    }
    emit(Opcode::LocalSet, at);
    if (known || c_.one_in(2)) {
      i32(int32_t(rounds));
    } else {
      s_.leaf(kI32);
      i32(31);
      emit(Opcode::I32And);
      i32(1);
      emit(Opcode::I32Add);
    }
    emit(Opcode::LocalSet, left);
    const uint32_t step_local = !known && c_.one_in(4) ? s_.add_local(address_type()) : 0;
    if (step_local) {
      s_.leaf(address_type());
      emit(Opcode::LocalSet, step_local);
    }
    const auto plus = [&] { emit(wide ? Opcode::I64Add : Opcode::I32Add); };
    const auto p = [&] { emit(Opcode::LocalGet, at); };
    const uint64_t offset = c_.one_in(2) ? c_.below(32) : 0;
    emit(Opcode::Loop);
    switch (c_.below(has_global ? 8 : 7)) {
      case 0:
        p();
        constant(i.type);
        access(i.store, offset);
        break;
      case 1:
        // From one end of the memory, a little at a time, to another place.
        p();
        number(-int64_t(c_.between(1, 600)));
        add();
        p();
        access(i.load, offset);
        access(i.store, offset);
        break;
      case 2:
        p();
        p();
        access(i.load, offset);
        constant(i.type);
        plus();
        access(i.store, c_.one_in(2) ? offset : 0);
        break;
      case 3:
        number(16);
        number(16);
        access(i.load);
        p();
        access(i.load, offset);
        plus();
        access(i.store);
        break;
      case 4:
        p();
        access(i.load, offset);
        emit(Opcode::Drop);
        write(place(), int32_t(c_.below(1000)));
        break;
      case 5:
        p();
        access(i.load, offset);
        emit(Opcode::LocalGet, sum);
        plus();
        emit(Opcode::LocalSet, sum);
        break;
      case 6:
        for (const Opcode store : {i.store, wide ? Opcode::I64Store8 : Opcode::I32Store8}) {
          p();
          emit(Opcode::LocalGet, left);
          if (wide) emit(Opcode::I64ExtendI32U);
          access(store, offset);
        }
        break;
      default:
        emit(Opcode::GlobalGet, global);
        p();
        access(i.load, offset);
        plus();
        emit(Opcode::GlobalSet, global);
    }
    p();
    if (step_local)
      emit(Opcode::LocalGet, step_local);
    else
      number(falling ? -step : step);
    add();
    emit(Opcode::LocalSet, at);
    emit(Opcode::LocalGet, left);
    i32(1);
    emit(Opcode::I32Sub);
    emit(Opcode::LocalTee, left);
    emit(Opcode::BrIf, 0);
    emit(Opcode::End);
    emit(Opcode::LocalGet, sum);
    keep(i.type);
  }

  const EdgeSite& s_;
  Builder& b_;
  Chooser& c_;
  uint32_t memory_;
};

}  // namespace

void edge_statement(const EdgeSite& site) { EdgeWriter(site).statement(); }

}  // namespace wafer::diff
