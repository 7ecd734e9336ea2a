// What the optimizing compiler makes in one instruction, and in which order.
#if WAFER_HAS_OPTIMIZING
#include <gtest/gtest.h>

#include "compiler/optimizing/fuse.h"
#include "optimizing_function.h"

namespace wafer::compiler {
namespace {

constexpr uint64_t kMemory = 1 << 16;

Fusion fusion_of(const Maker& m) {
  EXPECT_RIGHT(m.f);
  Fusion fusion;
  fusion.find(m.f, {.most_shift = 3, .loads_memory0 = true, .memory0_bytes = kMemory});
  return fusion;
}

TEST(OptimizingFuseTest, LoadsAreOperands) {
  Maker m;
  m.block();
  const ValueId x = m.param(kI32), y = m.param(kI32);
  const ValueId a = m.access(Opcode::I32Load, {x});
  const ValueId sum = m.op(Opcode::I32Sub, {y, a});
  const ValueId b = m.access(Opcode::I32Load, {y});
  const ValueId other = m.op(Opcode::I32Sub, {b, sum});  // not the left one of these
  const ValueId c = m.access(Opcode::I32Load8U, {x});    // not of this width
  const ValueId d = m.access(Opcode::F64Load, {x});
  const ValueId f = m.op(Opcode::F64Mul, {d, m.op(Opcode::F64ConvertI32S, {c})});
  const ValueId e = m.access(Opcode::I32Load, {x}, uint64_t{1} << 31);  // an offset too large
  m.ret({m.op(Opcode::I32Xor, {other, e}), f});
  const Fusion fusion = fusion_of(m);
  EXPECT_EQ(fusion.of(a), Fused::Load);
  EXPECT_EQ(fusion.of(b), Fused::No);
  EXPECT_EQ(fusion.of(c), Fused::No);
  EXPECT_EQ(fusion.of(d), Fused::Load);
  EXPECT_EQ(fusion.of(e), Fused::No);
}

// A load does not go over anything that would show, nor to where it is read twice.
TEST(OptimizingFuseTest, LoadsKeepTheirPlaceAmongEffects) {
  const auto fused = [](auto between) {
    Maker m;
    m.block();
    const ValueId x = m.param(kI32), y = m.param(kI32);
    const ValueId a = m.access(Opcode::I32Load, {x});
    const ValueId more = between(m, x, y);
    m.ret({m.op(Opcode::I32Add, {y, a}), more});
    return fusion_of(m).of(a) == Fused::Load;
  };
  EXPECT_TRUE(fused([](Maker& m, ValueId x, ValueId y) { return m.op(Opcode::I32Mul, {x, y}); }));
  EXPECT_FALSE(fused([](Maker& m, ValueId x, ValueId y) {
    m.access(Opcode::I32Store, {x, y});
    return y;
  }));
  EXPECT_FALSE(fused([](Maker& m, ValueId x, ValueId) {
    m.global_set(0, x);
    return x;
  }));
  EXPECT_FALSE(fused([](Maker& m, ValueId x, ValueId) { return m.call(0, {x}); }));
  EXPECT_FALSE(fused([](Maker& m, ValueId x, ValueId y) { return m.op(Opcode::I32DivU, {x, y}); }));
  EXPECT_FALSE(fused([](Maker& m, ValueId, ValueId y) { return m.access(Opcode::I32Load, {y}); }));
  // One that never traps may stand between.
  EXPECT_TRUE(fused([](Maker& m, ValueId, ValueId y) {
    return m.access(Opcode::I32Load, {m.op(Opcode::I32And, {y, m.i32(0xFFF)})});
  }));
}

// A load of what is always there may go over others, but not over stores.
TEST(OptimizingFuseTest, SafeLoadsGoOverOthers) {
  const auto fused = [](uint32_t mask, uint64_t offset, bool store) {
    Maker m;
    m.block();
    const ValueId x = m.param(kI32), y = m.param(kI32);
    const ValueId a = m.access(Opcode::I32Load, {m.op(Opcode::I32And, {x, m.i32(mask)})}, offset);
    const ValueId b = m.access(Opcode::I32Load16S, {y});
    if (store) m.access(Opcode::I32Store, {y, y});
    m.ret({m.op(Opcode::I32Add, {y, a}), b});
    return fusion_of(m).of(a) == Fused::Load;
  };
  EXPECT_TRUE(fused(0xFFF, 0, false));
  EXPECT_TRUE(fused(0xFFF, kMemory - 0x1000 - 3, false));
  EXPECT_FALSE(fused(0xFFF, kMemory - 0x1000 - 2, false));
  EXPECT_FALSE(fused(0xFFFFFFFF, 0, false));
  EXPECT_FALSE(fused(0xFFF, 0, true));
}

TEST(OptimizingFuseTest, IndicesAreScaled) {
  const auto fused = [](Opcode shifted, uint32_t by, uint32_t mask) {
    Maker m;
    m.block();
    const ValueId x = m.param(kI32);
    const ValueId index = m.op(shifted, {m.op(Opcode::I32And, {x, m.i32(mask)}), m.i32(by)});
    m.access(Opcode::I32Store8, {index, x});
    m.ret({x});
    return fusion_of(m).of(index) == Fused::Scaled;
  };
  EXPECT_TRUE(fused(Opcode::I32Shl, 2, 0xFF));
  EXPECT_TRUE(fused(Opcode::I32Shl, 3, 0x1FFFFFFF));
  EXPECT_FALSE(fused(Opcode::I32Shl, 3, 0x3FFFFFFF));  // may lose a bit
  EXPECT_FALSE(fused(Opcode::I32Shl, 4, 0xFF));
  EXPECT_FALSE(fused(Opcode::I32ShrU, 2, 0xFF));
}

TEST(OptimizingFuseTest, Sums) {
  Maker m;
  m.block();
  const ValueId x = m.param(kI32), y = m.param(kI32);
  const ValueId shifted = m.op(Opcode::I32Shl, {x, m.i32(2)});
  const ValueId inner = m.op(Opcode::I32Add, {shifted, y});
  const ValueId a = m.op(Opcode::I32Add, {inner, m.i32(-12)});
  const ValueId plain = m.op(Opcode::I32Add, {x, y});
  const ValueId twice = m.op(Opcode::I32Add, {y, m.i32(5)});
  const ValueId b = m.op(Opcode::I32Add, {twice, x});
  m.ret({a, plain, twice, b});
  const Fusion fusion = fusion_of(m);
  EXPECT_EQ(fusion.of(shifted), Fused::Part);
  EXPECT_EQ(fusion.of(inner), Fused::Part);
  ASSERT_NE(fusion.sum(a), nullptr);
  EXPECT_EQ(fusion.sum(a)->x, y);
  EXPECT_EQ(fusion.sum(a)->y, x);
  EXPECT_EQ(fusion.sum(a)->shift, 2);
  EXPECT_EQ(fusion.sum(a)->constant, -12);
  EXPECT_EQ(fusion.sum(plain), nullptr);
  EXPECT_EQ(fusion.sum(b), nullptr);
}

// A comparison is made where it is tested, so its load has to be fit to be made there.
TEST(OptimizingFuseTest, ComparisonsAreMadeWhereTheyAreTested) {
  for (const bool store : {false, true}) {
    Maker m;
    for (int i = 0; i < 3; ++i) m.block();
    m.at = 0;
    const ValueId x = m.param(kI32), y = m.param(kI32);
    const ValueId a = m.access(Opcode::I32Load, {x});
    const ValueId less = m.op(Opcode::I32LtS, {a, y});
    if (store) m.access(Opcode::I32Store, {x, y});
    m.branch(less, 1, 2);
    for (m.at = 1; m.at < 3; ++m.at) m.ret({x});
    const Fusion fusion = fusion_of(m);
    EXPECT_EQ(fusion.of(less), Fused::Compare);
    EXPECT_EQ(fusion.of(a), store ? Fused::No : Fused::Load);
  }
}

// A loop of i = select(i, i + 1, condition).
template <class Condition>
bool is_branch(Condition condition) {
  Maker m;
  for (int i = 0; i < 4; ++i) m.block();
  m.at = 0;
  const ValueId x = m.param(kI32), zero = m.i32(0);
  m.jump(1);
  m.at = 1;
  const ValueId i = m.phi(kI32, {zero, zero}), round = m.phi(kI32, {zero, zero});
  const ValueId step = m.op(Opcode::I32Add, {i, m.i32(1)});
  const ValueId chosen = m.op(Opcode::Select, {i, step, condition(m, x, i, round)});
  const ValueId next = m.op(Opcode::I32Add, {round, m.i32(1)});
  m.branch(m.op(Opcode::I32LtU, {next, x}), 2, 3);
  m.set_phi(i, {zero, chosen});
  m.set_phi(round, {zero, next});
  m.at = 2;
  m.jump(1);
  m.f.blocks[1].loop_end = 2;
  for (uint32_t b : {1, 2}) m.f.blocks[b].loop_depth = 1;
  m.at = 3;
  m.ret({chosen});
  EXPECT_RIGHT(m.f);
  Vec<bool> by_branch;
  choose_by_branch(m.f, by_branch);
  return by_branch[chosen];
}

TEST(OptimizingFuseTest, SelectionsThatWaitForMemoryAreBranches) {
  EXPECT_TRUE(is_branch([](Maker& m, ValueId x, ValueId i, ValueId) {
    return m.op(Opcode::I32LtS, {m.access(Opcode::I32Load, {i}), x});
  }));
  EXPECT_FALSE(is_branch([](Maker& m, ValueId x, ValueId, ValueId round) {
    return m.op(Opcode::I32LtS, {m.access(Opcode::I32Load, {round}), x});
  }));
  EXPECT_FALSE(is_branch(
      [](Maker& m, ValueId x, ValueId i, ValueId) { return m.op(Opcode::I32LtS, {i, x}); }));
}

TEST(OptimizingFuseTest, LanesRotatedByBytesAreShuffled) {
  const auto lanes = [](bool wide, uint32_t left, uint32_t right) -> std::string {
    Maker m;
    m.block();
    const ValueId x = m.typed(Opcode::I32x4Splat, wasm::kV128, {m.param(kI32)});
    const ValueId a = m.op(wide ? Opcode::I64x2Shl : Opcode::I32x4Shl, {x, m.i32(left)});
    const ValueId b = m.op(wide ? Opcode::I64x2ShrU : Opcode::I32x4ShrU, {x, m.i32(right)});
    m.ret({m.op(Opcode::V128Or, {b, a})});
    EXPECT_RIGHT(m.f);
    optimize(m.f);
    EXPECT_RIGHT(m.f);
    for (const ValueId id : m.f.blocks[0].nodes) {
      if (m.f.nodes[id].op != Opcode::I8x16Shuffle) continue;
      std::string all;
      for (const uint8_t byte : m.f.immediates(m.f.nodes[id])->v128.bytes) all += char('a' + byte);
      return all;
    }
    return "";
  };
  EXPECT_EQ(lanes(false, 16, 16), "cdabghefklijopmn");
  EXPECT_EQ(lanes(false, 8, 24), "dabchefglijkpmno");
  EXPECT_EQ(lanes(true, 8, 56), "habcdefgpijklmno");
  EXPECT_EQ(lanes(false, 7, 25), "");
  EXPECT_EQ(lanes(false, 8, 16), "");
  EXPECT_EQ(lanes(false, 0, 32), "");
}

// ---- The order of instructions

TEST(OptimizingFuseTest, InstructionsStandWhereTheirOperandsAre) {
  Maker m;
  m.block();
  const ValueId x = m.param(kI32), y = m.param(kI32);
  const ValueId a = m.access(Opcode::I32Load, {x}), b = m.access(Opcode::I32Load, {x}, 4);
  const ValueId c = m.access(Opcode::I32Load, {y}, 8), d = m.access(Opcode::I32Load, {y}, 12);
  m.access(Opcode::I32Store, {x, y});
  const ValueId first = m.op(Opcode::I32Xor, {a, b}), second = m.op(Opcode::I32Xor, {first, c});
  const ValueId kept = m.op(Opcode::I32Xor, {d, y});  // y is needed after
  const ValueId all = m.op(Opcode::I32Add, {second, kept});
  m.ret({all, y});
  Function f = m.f;
  gather_operands(f);
  EXPECT_RIGHT(f);
  expect_same_results(m.f, f, m.params, 1);
  const auto& nodes = f.blocks[0].nodes;
  const auto place = [&](ValueId id) { return std::find(nodes.begin(), nodes.end(), id); };
  EXPECT_EQ(place(first), place(b) + 1);
  EXPECT_EQ(place(second), place(c) + 1);
  EXPECT_GT(place(kept), place(d) + 1);
  EXPECT_EQ(place(all), place(kept) + 1);
}

TEST(OptimizingFuseTest, CountersAreTestedByTheirNextValue) {
  for (const bool equal : {false, true}) {
    Maker m;
    for (int i = 0; i < 4; ++i) m.block();
    m.at = 0;
    const ValueId x = m.param(kI32), zero = m.i32(0);
    m.jump(1);
    m.at = 1;
    const ValueId i = m.phi(kI32, {zero, zero}), sum = m.phi(kI32, {zero, zero});
    const ValueId more = m.op(Opcode::I32Add, {sum, x});
    const ValueId done = m.op(equal ? Opcode::I32Eq : Opcode::I32GtU, {i, m.i32(40)});
    const ValueId next = m.op(Opcode::I32Add, {i, m.i32(8)});
    m.branch(done, 3, 2);
    m.set_phi(i, {zero, next});
    m.set_phi(sum, {zero, more});
    m.at = 2;
    m.jump(1);
    m.f.blocks[1].loop_end = 2;
    for (uint32_t b : {1, 2}) m.f.blocks[b].loop_depth = 1;
    m.at = 3;
    m.ret({more});
    EXPECT_RIGHT(m.f);
    Function f = m.f;
    optimize(f);
    EXPECT_RIGHT(f);
    expect_same_results(m.f, f, m.params, 1);
    const Node& test = f.nodes[f.args_of(f.nodes[f.blocks[1].nodes.back()])[0]];
    const auto args = f.args_of(test);
    ASSERT_EQ(args.size(), 2u);
    EXPECT_EQ(f.nodes[args[0]].kind, equal ? Kind::Instr : Kind::Phi);
    EXPECT_EQ(f.nodes[args[1]].value, equal ? 48u : 40u);
  }
}

}  // namespace
}  // namespace wafer::compiler
#endif
