// The optimizing compiler's passes on functions made at random: they give the same before and
// after.
#if WAFER_HAS_OPTIMIZING
#include <cstdlib>

#include "optimizing_function.h"

namespace wafer::compiler {
namespace {

// Structured functions: sequences, conditions and loops that end, over a few variables.
class RandomFunction {
 public:
  explicit RandomFunction(uint32_t seed) : random_(seed) {
    m.block();
    for (int i = 0; i < kVars; ++i) vars_.push_back(m.param(type_of(i)));
    body(3, 8);
    std::vector<ValueId> all = vars_;
    m.node(Kind::Return, ValType(), std::span<const ValueId>(all));
  }
  Maker m;

 private:
  static constexpr int kVars = 6;
  static ValType type_of(int i) { return i < 4 ? kI32 : kI64; }
  uint32_t pick(uint32_t n) { return uint32_t(random_() % n); }
  ValueId i32() {
    if (pick(3) == 0) return m.i32(number());
    return vars_[pick(4)];
  }
  ValueId i64() {
    if (pick(3) == 0) return m.i64(pick(2) ? uint64_t(int32_t(number())) : number());
    return vars_[4 + pick(2)];
  }
  uint32_t number() {
    const uint32_t some[] = {0,          1,          2,          3,   4,   7,     8,
                             31,         32,         63,         255, 256, 65535, 0x7FFFFFFF,
                             0x80000000, 0xFFFFFFFF, 0xFFFFFFF0, 24,  16,  10};
    return pick(5) ? some[pick(std::size(some))] : uint32_t(random_());
  }
  ValueId address() {
    if (pick(3) == 0) return m.i32(pick(6) * 4);
    if (pick(3) == 0) return m.op(Opcode::I32And, {vars_[0], m.i32(127)});
    const ValueId masked = m.op(Opcode::I32And, {i32(), m.i32(pick(8) ? 127 : 255)});
    return pick(2) ? masked : m.op(Opcode::I32Add, {masked, m.i32(pick(64))});
  }
  ValueId value(ValType type) {
    if (type == kI64) {
      switch (pick(7)) {
        case 6:
          return m.op(Opcode::I64ReinterpretF64, {real()});
        case 0:
          return m.op(pick(2) ? Opcode::I64ExtendI32S : Opcode::I64ExtendI32U, {i32()});
        case 1:
          return m.op(Opcode(unsigned(Opcode::I64Extend8S) + pick(3)), {i64()});
        case 2:
          return m.access(pick(2) ? Opcode::I64Load : Opcode::I64Load16S, {address()}, pick(8));
        case 3:
          return m.op(Opcode::Select, {i64(), i64(), i32()});
        default:
          return binary(Opcode::I64Add, i64(), i64());
      }
    }
    switch (pick(14)) {
      case 9:
        return m.op(Opcode::I32TruncSatF64S, {real()});
      case 10:
        return m.op(Opcode(unsigned(Opcode::F64Eq) + pick(6)), {real(), real()});
      case 0:
        return m.op(Opcode::I32WrapI64, {i64()});
      case 1:
        return m.op(Opcode(unsigned(Opcode::I32Extend8S) + pick(2)), {i32()});
      case 2:
        return m.op(Opcode(unsigned(Opcode::I64Eq) + pick(10)), {i64(), i64()});
      case 3:
        return m.op(Opcode::I64Eqz, {i64()});
      case 4:
        return m.op(Opcode::I32Eqz, {i32()});
      case 5:
        return m.op(Opcode(unsigned(Opcode::I32Eq) + pick(10)), {i32(), i32()});
      case 6: {
        const Opcode loads[] = {Opcode::I32Load, Opcode::I32Load8S, Opcode::I32Load8U,
                                Opcode::I32Load16S, Opcode::I32Load16U};
        return m.access(loads[pick(5)], {pick(4) ? address() : i32()}, pick(4) * 4);
      }
      case 7:
        return m.global_get(pick(4));
      case 8:
        return m.op(Opcode::Select, {i32(), i32(), i32()});
      default:
        return binary(Opcode::I32Add, i32(), i32());
    }
  }
  ValueId real() {
    const ValueId x =
        pick(2) ? m.op(Opcode::F64ConvertI32S, {i32()}) : m.op(Opcode::F64ReinterpretI64, {i64()});
    const double divisors[] = {2, -0.25, 3, 0x1p-1022, 0x1p1023, 0, 0x1p-1040};
    switch (pick(6)) {
      case 0:
        return m.op(Opcode::F64Neg, {x});
      case 1:
        return m.op(Opcode::F64Abs, {m.op(Opcode::F64Neg, {x})});
      case 2:
      case 3:
        return m.op(Opcode::F64Div, {x, m.f64(divisors[pick(std::size(divisors))])});
      default:
        return x;
    }
  }
  // Any of the binary operators; those that divide only now and then.
  ValueId binary(Opcode add, ValueId a, ValueId b) {
    while (true) {
      const auto op = Opcode(unsigned(add) + pick(15));
      if (effects_of(op).traps && pick(4)) continue;
      return m.op(op, {a, b});
    }
  }
  void statement() {
    switch (pick(10)) {
      case 0: {
        const Opcode stores[] = {Opcode::I32Store, Opcode::I32Store8, Opcode::I32Store16};
        m.access(stores[pick(3)], {address(), i32()}, pick(4) * 4);
        break;
      }
      case 1:
        m.access(Opcode::I64Store, {address(), i64()}, pick(3) * 8);
        break;
      case 2:
        m.global_set(pick(4), i32());
        break;
      case 3:
        if (pick(3) == 0) {
          const ValueId first = m.call(pick(3), {i32(), i64()});
          if (pick(2)) {
            const ValueId second = m.node(Kind::Result, kI32, {first}, 1);
            m.f.nodes[second].offset = m.f.nodes[first].offset;
            vars_[pick(4)] = second;
          }
          vars_[pick(4)] = first;
          break;
        }
        [[fallthrough]];
      default: {
        const int var = int(pick(kVars));
        vars_[var] = value(type_of(var));
      }
    }
  }
  void body(int depth, int length) {
    for (int i = 0; i < length; ++i) {
      const uint32_t kind = depth ? pick(8) : 7;
      if (kind == 0)
        condition(depth - 1);
      else if (kind == 1)
        loop(depth - 1);
      else
        statement();
    }
  }
  void condition(int depth) {
    const ValueId when = pick(6) ? i32() : m.i32(pick(2));
    const uint32_t from = m.at;
    const auto before = vars_;
    const uint32_t yes = m.block();
    m.at = from;
    if (pick(4) == 0) {
      const std::initializer_list<uint32_t> targets = {3, pick(2), 0, 1};
      m.node(Kind::Switch, ValType(), {when}, m.f.targets.size());
      m.f.targets.insert(m.f.targets.end(), targets);
    } else {
      m.node(Kind::Branch, ValType(), {when});
    }
    m.edge(from, yes);
    m.at = yes;
    body(depth, 3);
    const uint32_t yes_end = m.at;
    const auto after_yes = vars_;
    m.node(Kind::Jump, ValType(), {});
    vars_ = before;
    const uint32_t no = m.block();
    m.edge(from, no);
    if (pick(2)) body(depth, 3);
    const uint32_t no_end = m.at;
    m.node(Kind::Jump, ValType(), {});
    const uint32_t join = m.block();
    m.edge(yes_end, join);
    m.edge(no_end, join);
    for (int i = 0; i < kVars; ++i) vars_[i] = m.phi(type_of(i), {after_yes[i], vars_[i]});
  }
  // do ... while (++i < n && variable); the second condition may be missing.
  void loop(int depth) {
    const ValueId zero = m.i32(0), limit = m.i32(1 + pick(4));
    const uint32_t before = m.at;
    m.node(Kind::Jump, ValType(), {});
    const uint32_t header = m.block();
    m.edge(before, header);
    const auto first = vars_;
    std::vector<ValueId> phis;
    for (int i = 0; i < kVars; ++i) phis.push_back(m.phi(type_of(i), {first[i]}));
    const ValueId counter = m.phi(kI32, {zero});
    vars_ = phis;
    body(depth, 4);
    const ValueId next = m.op(Opcode::I32Add, {counter, m.i32(1)});
    ValueId more = m.op(Opcode::I32LtU, {next, limit});
    if (pick(2)) more = m.op(Opcode::I32And, {more, i32()});
    if (pick(8) == 0) more = m.i32(0);
    const uint32_t last = m.at;
    m.node(Kind::Branch, ValType(), {more});
    const uint32_t back = m.block();
    m.edge(last, back);
    m.node(Kind::Jump, ValType(), {});
    m.edge(back, header);
    m.f.blocks[header].loop_end = back;
    for (uint32_t b = header; b <= back; ++b) ++m.f.blocks[b].loop_depth;
    for (int i = 0; i < kVars; ++i) m.set_phi(phis[i], {first[i], vars_[i]});
    m.set_phi(counter, {zero, next});
    const uint32_t exit = m.block();
    m.edge(last, exit);
  }

  std::mt19937 random_;
  std::vector<ValueId> vars_;
};

TEST(OptimizingTest, RandomFunctionsGiveTheSame) {
  const char* more = std::getenv("WAFER_RANDOM_PROGRAMS");
  const uint32_t functions = more ? uint32_t(std::strtoul(more, nullptr, 10)) : 2000;
  int instrs_before = 0, instrs_after = 0;
  for (uint32_t seed = 1; seed <= functions; ++seed) {
    RandomFunction random(seed);
    ASSERT_EQ(std::string(check(random.m.f).c_str()), "") << seed << '\n' << text(random.m.f);
    Function f = random.m.f;
    optimize(f);
    instrs_before += count_instrs(random.m.f);
    instrs_after += count_instrs(f);
    ASSERT_EQ(std::string(check(f).c_str()), "") << seed << '\n' << text(random.m.f) << text(f);
    expect_same_results(random.m.f, f, random.m.params, seed);
    if (HasFailure()) {
      ADD_FAILURE() << "seed " << seed;
      return;
    }
  }
  EXPECT_LT(instrs_after, instrs_before * 3 / 4);
}

}  // namespace
}  // namespace wafer::compiler
#endif
