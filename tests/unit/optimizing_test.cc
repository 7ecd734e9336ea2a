// The optimizing compiler's passes, each rule by itself.
#if WAFER_HAS_OPTIMIZING
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "interp/interp.h"
#include "optimizing_function.h"
#include "random_program.h"

namespace wafer::compiler {
namespace {

// Optimizes, and looks that the results stay.
Function optimized(const Maker& m) {
  EXPECT_RIGHT(m.f);
  Function f = m.f;
  optimize(f);
  EXPECT_RIGHT(f);
  expect_same_results(m.f, f, m.params, 1);
  return f;
}

// The value that a function of one block returns, as text without numbers of nodes.
std::string term(const Function& f, ValueId v) {
  const Node& n = f.nodes[v];
  if (n.kind == Kind::Const)
    return std::to_string(n.type == kI32 ? int32_t(n.value) : int64_t(n.value));
  if (n.kind == Kind::Param) return std::string(1, char('x' + n.value));
  std::string out = "(";
  out += n.kind == Kind::Instr ? wasm::opcode_info(n.op).text : "?";
  if (n.kind == Kind::Instr && f.immediates(n) && f.immediates(n)->offset)
    out += " offset=" + std::to_string(f.immediates(n)->offset);
  for (ValueId arg : f.args_of(n)) out += " " + term(f, arg);
  return out + ")";
}
std::string returned(const Maker& m) {
  const Function f = optimized(m);
  for (const Block& block : f.blocks)
    if (f.nodes[block.nodes.back()].kind == Kind::Return)
      return term(f, f.args_of(f.nodes[block.nodes.back()])[0]);
  return "nothing";
}

// What an instruction of parameters x, y comes to.
template <class Make>
std::string becomes(ValType type, Make make) {
  Maker m;
  m.block();
  const ValueId x = m.param(type), y = m.param(type);
  m.ret({make(m, x, y)});
  return returned(m);
}
#define I32(expr)                                    \
  becomes(kI32, [](Maker& m, ValueId x, ValueId y) { \
    (void)x, (void)y;                                \
    return expr;                                     \
  })
#define I64(expr)                                    \
  becomes(kI64, [](Maker& m, ValueId x, ValueId y) { \
    (void)x, (void)y;                                \
    return expr;                                     \
  })
#define OP(name, ...) m.op(Opcode::name, {__VA_ARGS__})

// ---- What instructions do

TEST(OptimizingTest, Effects) {
  EXPECT_FALSE(effects_of(Opcode::I32Add).any());
  EXPECT_FALSE(effects_of(Opcode::I64ExtendI32U).any());
  EXPECT_FALSE(effects_of(Opcode::I32TruncSatF64S).any());
  EXPECT_FALSE(effects_of(Opcode::I8x16Shuffle).any());
  EXPECT_FALSE(effects_of(Opcode::V128Const).any());
  for (Opcode op : {Opcode::I32DivS, Opcode::I64RemU, Opcode::I32TruncF32S, Opcode::I64TruncF64U}) {
    EXPECT_TRUE(effects_of(op).traps);
    EXPECT_FALSE(effects_of(op).writes || effects_of(op).reads || effects_of(op).calls);
  }
  for (Opcode op : {Opcode::I32Load, Opcode::F64Load, Opcode::V128Load8Lane, Opcode::TableGet}) {
    EXPECT_TRUE(effects_of(op).traps && effects_of(op).reads);
    EXPECT_FALSE(effects_of(op).writes || effects_of(op).calls);
  }
  for (Opcode op : {Opcode::I64Store32, Opcode::V128Store64Lane}) {
    EXPECT_TRUE(effects_of(op).traps && effects_of(op).writes);
    EXPECT_FALSE(effects_of(op).calls);
  }
  EXPECT_TRUE(effects_of(Opcode::GlobalGet).reads && !effects_of(Opcode::GlobalGet).any());
  EXPECT_TRUE(effects_of(Opcode::GlobalSet).writes && !effects_of(Opcode::GlobalSet).traps);
  for (Opcode op : {Opcode::Call, Opcode::CallIndirect, Opcode::MemoryGrow, Opcode::MemoryFill,
                    Opcode::I32AtomicLoad, Opcode::AtomicFence, Opcode::StructNew, Opcode::Throw,
                    Opcode::Resume, Opcode::MemoryAtomicNotify, Opcode::I64AtomicRmw32CmpxchgU})
    EXPECT_TRUE(effects_of(op).calls) << wasm::opcode_info(op).text;
}

// Every opcode that is folded, with numbers that matter and some at random, against the
// interpreter.
TEST(OptimizingTest, FoldsAsTheInterpreterComputes) {
  std::mt19937_64 random(7);
  const auto number = [&](ValType type) -> uint64_t {
    const uint64_t ints[] = {0, 1, 2, 31, 32, 63, 0x7FFFFFFF, 0x80000000, ~0ull, 1ull << 63};
    const double floats[] = {0.0,    -0.0,    1.0,    -1.0,         0.5,           -1.5,
                             2.5,    1e30,    -1e30,  2147483647.0, -2147483648.0, 4294967295.0,
                             9.3e18, -9.3e18, 1e-310, INFINITY,     -INFINITY,     NAN};
    const bool matters = random() % 2;
    if (type == kI32) return uint32_t(matters ? ints[random() % std::size(ints)] : random());
    if (type == kI64) return matters ? ints[random() % std::size(ints)] : random();
    const double d = floats[random() % std::size(floats)];
    if (type == kF32) return matters ? std::bit_cast<uint32_t>(float(d)) : uint32_t(random());
    return matters ? std::bit_cast<uint64_t>(d) : random();
  };
  const char* const names[] = {"", "i32", "i64", "f32", "f64"};
  int ops = 0, folded = 0;
  for (unsigned o = 0; o < unsigned(Opcode::Count); ++o) {
    const auto op = Opcode(o);
    const wasm::OpSig& sig = facts::row(op).sig();
    if (sig.custom || sig.address_first || sig.param_count < 1 || sig.param_count > 2 ||
        sig.result_count != 1 || facts::row(op).imm != wasm::Imm::None)
      continue;
    if (!ValType(sig.params[0]).is_num() || !ValType(sig.results[0]).is_num()) continue;
    ++ops;
    const auto type = [&](unsigned i) { return ValType(sig.params[i]); };
    std::string source = "(module (func (export \"f\") (param";
    for (unsigned i = 0; i < sig.param_count; ++i)
      source += std::string(" ") + names[unsigned(sig.params[i])];
    source += ") (result " + std::string(names[unsigned(sig.results[0])]) + ") (" +
              std::string(wasm::opcode_info(op).text) + " (local.get 0)" +
              (sig.param_count > 1 ? " (local.get 1)" : "") + ")))";
    auto engine = Engine::create(Config(), interp::tier());
    const auto module = load(engine, source);
    ASSERT_TRUE(module);
    runtime::Store store(engine);
    auto instance = store.instantiate(module, {});
    ASSERT_TRUE(instance.ok());
    bool any = false;
    for (int turn = 0; turn < 60; ++turn) {
      uint64_t in[2] = {number(type(0)), sig.param_count > 1 ? number(type(1)) : 0};
      Vec<Value> args;
      for (unsigned i = 0; i < sig.param_count; ++i)
        args.push_back(type(i) == kI32   ? Value::i32(int32_t(in[i]))
                       : type(i) == kI64 ? Value::i64(int64_t(in[i]))
                       : type(i) == kF32 ? Value::f32(std::bit_cast<float>(uint32_t(in[i])))
                                         : Value::f64(std::bit_cast<double>(in[i])));
      auto result = store.call((*instance)->get_export("f")->func, args);
      Maker m;
      m.block();
      ValueId operands[2];
      for (unsigned i = 0; i < sig.param_count; ++i)
        operands[i] = m.node(Kind::Const, type(i), {}, in[i]);
      const ValueId v =
          sig.param_count > 1 ? m.op(op, {operands[0], operands[1]}) : m.op(op, {operands[0]});
      m.ret({v});
      optimize(m.f);
      EXPECT_RIGHT(m.f);
      const Node& n = m.f.nodes[m.f.args_of(m.f.nodes[m.f.blocks[0].nodes.back()])[0]];
      if (!result.ok()) {
        EXPECT_EQ(n.kind, Kind::Instr) << wasm::opcode_info(op).text << " folded, but traps";
        continue;
      }
      const Value& value = (*result)[0];
      const ValType out = ValType(sig.results[0]);
      uint64_t expected = value.bits[0];
      if (out == kI32 || out == kF32) expected = uint32_t(expected);
      const bool nan = (out == kF32 && std::isnan(std::bit_cast<float>(uint32_t(expected)))) ||
                       (out == kF64 && std::isnan(std::bit_cast<double>(expected)));
      if (n.kind == Kind::Const) {
        EXPECT_EQ(n.value, expected) << wasm::opcode_info(op).text << ' ' << in[0] << ' ' << in[1];
        any = true;
      } else {
        EXPECT_TRUE(nan) << wasm::opcode_info(op).text << " not folded: " << in[0] << ' ' << in[1];
      }
    }
    folded += any;
  }
  EXPECT_EQ(folded, ops);
  EXPECT_GT(ops, 130);
}

TEST(OptimizingTest, Sums) {
  EXPECT_EQ(I32(OP(I32Add, x, m.i32(0))), "x");
  EXPECT_EQ(I32(OP(I32Add, m.i32(3), x)), "(i32.add x 3)");
  EXPECT_EQ(I32(OP(I32Add, OP(I32Add, x, m.i32(5)), m.i32(-7u))), "(i32.add x -2)");
  EXPECT_EQ(I64(OP(I64Sub, OP(I64Add, x, m.i64(5)), m.i64(5))), "x");
  EXPECT_EQ(I32(OP(I32Sub, x, x)), "0");
  EXPECT_EQ(I32(OP(I32Sub, OP(I32Add, x, y), x)), "y");
  EXPECT_EQ(I32(OP(I32Add, OP(I32Sub, x, y), y)), "x");
  EXPECT_EQ(I32(OP(I32Add, x, OP(I32Sub, m.i32(0), y))), "(i32.sub x y)");
  EXPECT_EQ(I32(OP(I32Sub, m.i32(9), OP(I32Add, x, m.i32(4)))), "(i32.sub 5 x)");
  EXPECT_EQ(I32(OP(I32Sub, y, OP(I32Sub, m.i32(0), x))), "(i32.add x y)");
}

TEST(OptimizingTest, ProductsAndBits) {
  EXPECT_EQ(I32(OP(I32Mul, x, m.i32(0))), "0");
  EXPECT_EQ(I32(OP(I32Mul, m.i32(1), x)), "x");
  EXPECT_EQ(I64(OP(I64Mul, x, m.i64(8))), "(i64.shl x 3)");
  EXPECT_EQ(I32(OP(I32Mul, x, m.i32(-1u))), "(i32.sub 0 x)");
  EXPECT_EQ(I32(OP(I32Mul, OP(I32Mul, x, m.i32(3)), m.i32(5))), "(i32.mul x 15)");
  EXPECT_EQ(I32(OP(I32Mul, OP(I32Shl, x, m.i32(2)), m.i32(5))), "(i32.mul x 20)");
  EXPECT_EQ(I32(OP(I32And, x, m.i32(-1u))), "x");
  EXPECT_EQ(I32(OP(I32And, x, m.i32(0))), "0");
  EXPECT_EQ(I32(OP(I32And, OP(I32And, x, m.i32(12)), m.i32(10))), "(i32.and x 8)");
  EXPECT_EQ(I32(OP(I32And, OP(I32ShrU, x, m.i32(24)), m.i32(255))), "(i32.shr_u x 24)");
  EXPECT_EQ(I32(OP(I32And, OP(I32Extend8S, x), m.i32(255))), "(i32.and x 255)");
  EXPECT_EQ(I64(OP(I64Or, x, m.i64(-1ull))), "-1");
  EXPECT_EQ(I64(OP(I64Or, x, x)), "x");
  EXPECT_EQ(I32(OP(I32Xor, x, x)), "0");
  EXPECT_EQ(I32(OP(I32Xor, OP(I32LtS, x, y), m.i32(1))), "(i32.ge_s x y)");
}

TEST(OptimizingTest, Shifts) {
  EXPECT_EQ(I32(OP(I32Shl, x, m.i32(32))), "x");
  EXPECT_EQ(I32(OP(I32Shl, x, m.i32(37))), "(i32.shl x 5)");
  EXPECT_EQ(I32(OP(I32ShrU, x, OP(I32And, y, m.i32(31)))), "(i32.shr_u x y)");
  EXPECT_EQ(I32(OP(I32ShrU, x, OP(I32And, y, m.i32(15)))), "(i32.shr_u x (i32.and y 15))");
  EXPECT_EQ(I64(OP(I64Rotl, x, OP(I64And, y, m.i64(63)))), "(i64.rotl x y)");
  EXPECT_EQ(I64(OP(I64Rotl, x, OP(I64And, y, m.i64(31)))), "(i64.rotl x (i64.and y 31))");
  EXPECT_EQ(I32(OP(I32Shl, OP(I32Shl, x, m.i32(3)), m.i32(4))), "(i32.shl x 7)");
  EXPECT_EQ(I32(OP(I32Shl, OP(I32Shl, x, m.i32(20)), m.i32(20))), "0");
  EXPECT_EQ(I32(OP(I32ShrS, OP(I32ShrS, x, m.i32(20)), m.i32(20))), "(i32.shr_s x 31)");
  EXPECT_EQ(I32(OP(I32ShrS, OP(I32Shl, x, m.i32(24)), m.i32(24))), "(i32.extend8_s x)");
  EXPECT_EQ(I32(OP(I32ShrS, OP(I32Shl, x, m.i32(16)), m.i32(16))), "(i32.extend16_s x)");
  EXPECT_EQ(I64(OP(I64ShrS, OP(I64Shl, x, m.i64(32)), m.i64(32))), "(i64.extend32_s x)");
  EXPECT_EQ(I32(OP(I32ShrU, OP(I32Shl, x, m.i32(24)), m.i32(24))), "(i32.and x 255)");
  EXPECT_EQ(I32(OP(I32Shl, OP(I32ShrS, x, m.i32(4)), m.i32(4))), "(i32.and x -16)");
  EXPECT_EQ(I64(OP(I64ShrU, OP(I64Shl, x, m.i64(8)), m.i64(8))),
            "(i64.shr_u (i64.shl x 8) 8)");  // no instruction has that mask
  EXPECT_EQ(I32(OP(I32Rotr, OP(I32Rotr, x, m.i32(20)), m.i32(20))), "(i32.rotr x 8)");
}

TEST(OptimizingTest, DivisionByPowersOfTwo) {
  EXPECT_EQ(I32(OP(I32DivU, x, m.i32(16))), "(i32.shr_u x 4)");
  EXPECT_EQ(I64(OP(I64RemU, x, m.i64(16))), "(i64.and x 15)");
  EXPECT_EQ(I32(OP(I32DivS, x, m.i32(1))), "x");
  EXPECT_EQ(I32(OP(I32RemS, x, m.i32(-1u))), "0");
  EXPECT_EQ(I32(OP(I32DivS, x, m.i32(-1u))), "(i32.div_s x -1)");  // may trap
  EXPECT_EQ(I32(OP(I32DivS, x, m.i32(0))), "(i32.div_s x 0)");
  EXPECT_EQ(I32(OP(I32DivS, x, m.i32(2))), "(i32.shr_s (i32.add x (i32.shr_u x 31)) 1)");
  EXPECT_EQ(I32(OP(I32DivS, OP(I32ShrU, x, m.i32(1)), m.i32(4))), "(i32.shr_u x 3)");
  EXPECT_EQ(I32(OP(I32RemS, OP(I32And, x, m.i32(255)), m.i32(16))), "(i32.and x 15)");
}

// All divisors that matter, and others at random, without a division left for i32.
TEST(OptimizingTest, DivisionByConstants) {
  std::mt19937_64 random(11);
  std::vector<uint64_t> divisors = {
      3,          5,          6,          7,          9,         10,         11,         12,
      13,         14,         25,         28,         60,        100,        125,        625,
      641,        1000,       3600,       10000,      65535,     1000000007, 0x7FFFFFFF, 0x80000001,
      0xFFFFFFFF, 0xFFFFFFFE, 0xAAAAAAAB, 0x55555556, 0xFFFF0000};
  for (int i = 0; i < 64; ++i) divisors.push_back(1ull << i);
  for (int i = 0; i < 32; ++i) divisors.push_back((1ull << i) + 1);
  for (int i = 2; i < 32; ++i) divisors.push_back((1ull << i) - 1);
  for (int i = 0; i < 300; ++i) divisors.push_back(random() >> random() % 64);
  for (size_t i = divisors.size(); i-- > 0;) divisors.push_back(-divisors[i]);
  for (Opcode op : {Opcode::I32DivS, Opcode::I32DivU, Opcode::I32RemS, Opcode::I32RemU,
                    Opcode::I64DivS, Opcode::I64DivU, Opcode::I64RemS, Opcode::I64RemU}) {
    const bool wide = op >= Opcode::I64DivS;
    for (uint64_t divisor : divisors) {
      if (!wide) divisor = uint32_t(divisor);
      Maker m;
      m.block();
      const ValueId x = m.param(wide ? kI64 : kI32);
      m.ret({m.op(op, {x, wide ? m.i64(divisor) : m.i32(uint32_t(divisor))})});
      Function f = m.f;
      optimize(f);
      EXPECT_RIGHT(f);
      const bool left = divisor == 0 || divisor == 0xFFFFFFFF || divisor == 0x80000000;
      if (!wide && !left) EXPECT_EQ(count(f, op), 0) << divisor;
      for (int i = 0; i < 60; ++i) {
        uint64_t v = random() >> random() % 64;
        // Next to a multiple.
        if (i % 2 && divisor) v = v / divisor * divisor + i % 3 - 1;
        if (i < 4) v = uint64_t(i) - 2;
        if (i == 5) v = wide ? 1ull << 63 : 1u << 31;
        if (i == 6) v = wide ? ~0ull >> 1 : ~0u >> 1;
        if (!wide) v = uint32_t(v);
        ASSERT_EQ(execute(m.f, {v}), execute(f, {v})) << v << " by " << divisor << '\n'
                                                      << text(m.f) << text(f);
      }
    }
  }
}

TEST(OptimizingTest, Comparisons) {
  EXPECT_EQ(I32(OP(I32LtS, m.i32(3), x)), "(i32.gt_s x 3)");
  EXPECT_EQ(I64(OP(I64GeU, m.i64(3), x)), "(i64.le_u x 3)");
  EXPECT_EQ(I32(OP(I32Eqz, OP(I32LtU, x, y))), "(i32.ge_u x y)");
  EXPECT_EQ(I64(OP(I32Eqz, OP(I64LeS, x, y))), "(i64.gt_s x y)");
  EXPECT_EQ(I32(OP(I32Eqz, OP(I32Eqz, x))), "(i32.ne x 0)");
  EXPECT_EQ(I32(OP(I32Eq, x, m.i32(0))), "(i32.eqz x)");
  EXPECT_EQ(I32(OP(I32Ne, OP(I32Eqz, x), m.i32(0))), "(i32.eqz x)");
  EXPECT_EQ(I32(OP(I32Eq, OP(I32GtS, x, y), m.i32(0))), "(i32.le_s x y)");
  EXPECT_EQ(I32(OP(I32Eq, OP(I32GtS, x, y), m.i32(2))), "0");
  EXPECT_EQ(I32(OP(I32LeS, x, x)), "1");
  EXPECT_EQ(I32(OP(I32LtU, x, m.i32(1))), "(i32.eqz x)");
  EXPECT_EQ(I32(OP(I32GeU, x, m.i32(1))), "(i32.ne x 0)");
  EXPECT_EQ(I32(OP(I32GeU, x, m.i32(0))), "1");
  EXPECT_EQ(I32(OP(I32LtU, OP(I32And, x, m.i32(15)), m.i32(16))), "1");
  EXPECT_EQ(I32(OP(I32GtS, OP(I32And, x, m.i32(15)), m.i32(-1u))), "1");
  EXPECT_EQ(I32(OP(I32Eq, OP(I32Add, x, m.i32(3)), m.i32(5))), "(i32.eq x 2)");
  EXPECT_EQ(I32(OP(I32Eqz, OP(I32Sub, x, y))), "(i32.eq x y)");
  EXPECT_EQ(I32(OP(I32Ne, OP(I32Xor, x, y), m.i32(0))), "(i32.ne x y)");
  EXPECT_EQ(I32(OP(I64Eqz, OP(I64ExtendI32U, x))), "(i32.eqz x)");
  EXPECT_EQ(I32(OP(I64Ne, OP(I64ExtendI32S, x), m.i64(-5ull))), "(i32.ne x -5)");
  EXPECT_EQ(I32(OP(I64Eq, OP(I64ExtendI32U, x), m.i64(-5ull))), "0");
  EXPECT_EQ(I32(OP(I32Eqz, OP(F64Eq, OP(F64ConvertI32S, x), OP(F64ConvertI32S, y)))),
            "(f64.ne (f64.convert_i32_s x) (f64.convert_i32_s y))");
  EXPECT_EQ(I32(OP(I32Eqz, OP(F64Lt, OP(F64ConvertI32S, x), OP(F64ConvertI32S, y)))),
            "(i32.eqz (f64.lt (f64.convert_i32_s x) (f64.convert_i32_s y)))");
}

TEST(OptimizingTest, Conversions) {
  EXPECT_EQ(I32(OP(I32WrapI64, OP(I64ExtendI32S, x))), "x");
  EXPECT_EQ(I64(OP(I64ExtendI32S, OP(I32WrapI64, x))), "(i64.extend32_s x)");
  EXPECT_EQ(I64(OP(I64ExtendI32U, OP(I32WrapI64, OP(I64ShrU, x, m.i64(40))))), "(i64.shr_u x 40)");
  EXPECT_EQ(I32(OP(I32WrapI64, OP(I64Add, OP(I64ExtendI32U, x), m.i64(7)))), "(i32.add x 7)");
  EXPECT_EQ(I32(OP(I32WrapI64, OP(I64ShrU, OP(I64ExtendI32U, x), m.i64(7)))),
            "(i32.wrap_i64 (i64.shr_u (i64.extend_i32_u x) 7))");
  EXPECT_EQ(I32(OP(I64ExtendI32S, OP(I32ShrU, x, m.i32(1)))), "(i64.extend_i32_u (i32.shr_u x 1))");
  EXPECT_EQ(I32(OP(I32Extend8S, OP(I32Extend8S, x))), "(i32.extend8_s x)");
  EXPECT_EQ(I32(OP(I32Extend16S, OP(I32Extend8S, x))), "(i32.extend8_s x)");
  EXPECT_EQ(I32(OP(I32Extend8S, OP(I32Extend16S, x))), "(i32.extend8_s x)");
  EXPECT_EQ(I32(OP(I32Extend8S, OP(I32And, x, m.i32(255)))), "(i32.extend8_s x)");
  EXPECT_EQ(I32(OP(I64Extend32S, OP(I64ExtendI32U, x))), "(i64.extend_i32_s x)");
  EXPECT_EQ(I32(OP(I32ReinterpretF32, OP(F32ReinterpretI32, x))), "x");
  EXPECT_EQ(I64(OP(I64ReinterpretF64, OP(F64Neg, OP(F64Neg, OP(F64ReinterpretI64, x))))), "x");
  EXPECT_EQ(
      I64(OP(F64Div, OP(F64ReinterpretI64, x), m.f64(-8))),
      "(f64.mul (f64.reinterpret_i64 x) " + std::to_string(std::bit_cast<int64_t>(-0.125)) + ")");
  EXPECT_EQ(
      I64(OP(F64Div, OP(F64ReinterpretI64, x), m.f64(3))),
      "(f64.div (f64.reinterpret_i64 x) " + std::to_string(std::bit_cast<int64_t>(3.0)) + ")");
}

TEST(OptimizingTest, Selections) {
  EXPECT_EQ(I32(OP(Select, x, x, y)), "x");
  EXPECT_EQ(I32(OP(Select, x, y, m.i32(7))), "x");
  EXPECT_EQ(I32(OP(Select, x, y, m.i32(0))), "y");
  EXPECT_EQ(I32(OP(Select, x, y, OP(I32Eqz, x))), "(select y x x)");
  EXPECT_EQ(I32(OP(Select, m.i32(1), m.i32(0), OP(I32LtS, x, y))), "(i32.lt_s x y)");
  EXPECT_EQ(I32(OP(Select, m.i32(0), m.i32(1), OP(I32LtS, x, y))), "(i32.ge_s x y)");
  EXPECT_EQ(I32(OP(Select, m.i32(1), m.i32(0), x)), "(i32.ne x 0)");
  EXPECT_EQ(I32(OP(Select, m.i64(0), m.i64(1), x)), "(i64.extend_i32_u (i32.eqz x))");
}

TEST(OptimizingTest, AddressesThatDoNotWrap) {
  EXPECT_EQ(I32(m.access(Opcode::I32Load, {OP(I32Add, OP(I32And, x, m.i32(63)), m.i32(8))}, 4)),
            "(i32.load offset=12 (i32.and x 63))");
  EXPECT_EQ(I32(m.access(Opcode::I32Load, {OP(I32Add, x, m.i32(8))}, 4)),
            "(i32.load offset=4 (i32.add x 8))");
  EXPECT_EQ(I32(m.access(Opcode::I32Load, {OP(I32Add, OP(I32ShrU, x, m.i32(1)), m.i32(-8u))})),
            "(i32.load (i32.add (i32.shr_u x 1) -8))");
  // A sum as great as can be.
  EXPECT_EQ(
      I32(m.access(Opcode::I32Load8U, {OP(I32Add, OP(I32ShrU, x, m.i32(1)), m.i32(0x7FFFFFFF))})),
      "(i32.load8_u offset=2147483647 (i32.shr_u x 1))");
  EXPECT_EQ(I64(m.access(Opcode::I64Load, {OP(I64Add, OP(I64ShrU, x, m.i64(32)), m.i64(16))})),
            "(i64.load offset=16 (i64.shr_u x 32))");
}

// ---- Control flow

TEST(OptimizingTest, PhisOfOneValue) {
  // A loop that leaves a value alone, in another one.
  Maker m;
  for (int i = 0; i < 7; ++i) m.block();
  m.at = 0;
  const ValueId x = m.param(kI32), y = m.param(kI32), zero = m.i32(0);
  m.jump(1);
  m.at = 1;
  const ValueId outer = m.phi(kI32, {x, x}), i = m.phi(kI32, {zero, zero});
  m.jump(2);
  m.at = 2;
  const ValueId inner = m.phi(kI32, {outer, outer}), j = m.phi(kI32, {i, i});
  const ValueId next = m.op(Opcode::I32Add, {j, m.i32(1)});
  const ValueId more = m.op(Opcode::I32LtU, {next, m.i32(9)});
  m.branch(more, 3, 4);
  m.at = 3;
  m.jump(2);
  m.at = 4;
  m.branch(m.op(Opcode::I32LtU, {next, m.i32(20)}), 5, 6);
  m.at = 5;
  m.jump(1);
  m.at = 6;
  m.ret({m.op(Opcode::I32Add, {inner, y}), next});
  m.set_phi(outer, {x, inner});
  m.set_phi(inner, {outer, inner});
  m.set_phi(i, {zero, next});
  m.set_phi(j, {i, next});
  m.f.blocks[1].loop_end = 5;
  m.f.blocks[2].loop_end = 3;
  const Function f = optimized(m);
  int phis = 0;
  for (const Block& block : f.blocks)
    for (ValueId id : block.nodes) phis += f.nodes[id].kind == Kind::Phi;
  EXPECT_EQ(phis, 2);
  EXPECT_EQ(term(f, f.args_of(f.nodes[f.blocks.back().nodes.back()])[0]), "(i32.add x y)");
}

TEST(OptimizingTest, DeadCodeStaysIfItTraps) {
  Maker m;
  m.block();
  const ValueId x = m.param(kI32), y = m.param(kI32);
  m.op(Opcode::I32Mul, {x, y});
  m.access(Opcode::I32Load, {x});
  m.op(Opcode::I32DivU, {x, y});
  m.global_get(1);
  m.call(3, {x, y});
  m.ret({});
  const Function f = optimized(m);
  EXPECT_EQ(count(f, Opcode::I32Mul), 0);
  EXPECT_EQ(count(f, Opcode::GlobalGet), 0);
  EXPECT_EQ(count(f, Opcode::I32Load), 1);
  EXPECT_EQ(count(f, Opcode::I32DivU), 1);
  EXPECT_EQ(count(f, Opcode::Call), 1);
}

TEST(OptimizingTest, BranchesOnConstants) {
  Maker m;
  for (int i = 0; i < 4; ++i) m.block();
  m.at = 0;
  const ValueId x = m.param(kI32), y = m.param(kI32);
  m.branch(m.op(Opcode::I32Eq, {x, x}), 1, 2);
  m.at = 1;
  const ValueId sum = m.op(Opcode::I32Add, {x, m.i32(1)});
  m.jump(3);
  m.at = 2;
  const ValueId called = m.call(1, {x});
  m.jump(3);
  m.at = 3;
  m.ret({m.op(Opcode::I32Mul, {m.phi(kI32, {sum, called}), y})});
  const Function f = optimized(m);
  EXPECT_EQ(f.blocks.size(), 1u);
  EXPECT_EQ(count(f, Opcode::Call), 0);
}

TEST(OptimizingTest, LoopThatNeverComesBack) {
  Maker m;
  for (int i = 0; i < 4; ++i) m.block();
  m.at = 0;
  const ValueId x = m.param(kI32);
  m.jump(1);
  m.at = 1;
  const ValueId i = m.phi(kI32, {x, x});
  const ValueId next = m.op(Opcode::I32Add, {i, m.i32(1)});
  m.branch(m.op(Opcode::I32Ne, {x, x}), 2, 3);
  m.at = 2;
  m.jump(1);
  m.at = 3;
  m.ret({next});
  m.set_phi(i, {x, next});
  m.f.blocks[1].loop_end = 2;
  m.f.blocks[1].loop_depth = m.f.blocks[2].loop_depth = 1;
  const Function f = optimized(m);
  EXPECT_EQ(f.blocks.size(), 1u);
  EXPECT_EQ(returned(m), "(i32.add x 1)");
}

TEST(OptimizingTest, BranchesOnOppositesAndSwitches) {
  Maker m;
  for (int i = 0; i < 3; ++i) m.block();
  m.at = 0;
  const ValueId x = m.param(kI32), y = m.param(kI32);
  m.branch(m.op(Opcode::I32Eqz, {m.op(Opcode::I32Ne, {m.op(Opcode::I32Eqz, {x}), m.i32(0)})}), 1,
           2);
  m.at = 1;
  m.ret({x});
  m.at = 2;
  m.ret({y});
  Function f = optimized(m);
  EXPECT_EQ(count_instrs(f), 0);
  EXPECT_EQ(f.args_of(f.nodes[f.blocks[0].nodes.back()])[0], x);

  for (uint32_t chosen : {0, 1, 2, 3, 100}) {
    Maker s;
    for (int i = 0; i < 3; ++i) s.block();
    s.at = 0;
    const ValueId a = s.param(kI32), b = s.param(kI32);
    s.f.targets = {3, 1, 0, 1};
    s.node(Kind::Switch, ValType(), {s.i32(chosen)}, 0);
    s.edge(0, 1);
    s.edge(0, 2);
    s.at = 1;
    s.ret({a});
    s.at = 2;
    s.ret({b});
    f = optimized(s);
    EXPECT_EQ(f.blocks.size(), 1u);
  }
}

// ---- Equal values

TEST(OptimizingTest, EqualValues) {
  Maker m;
  for (int i = 0; i < 4; ++i) m.block();
  m.at = 0;
  const ValueId x = m.param(kI32), y = m.param(kI32);
  const ValueId a = m.op(Opcode::I32Mul, {x, y}), q = m.op(Opcode::I32DivU, {x, y});
  m.branch(x, 1, 2);
  m.at = 1;
  const ValueId b = m.op(Opcode::I32Mul, {y, x}), r = m.op(Opcode::I32Sub, {x, y});
  m.global_set(1, b);
  m.jump(3);
  m.at = 2;
  const ValueId c = m.op(Opcode::I32Sub, {x, y});
  m.op(Opcode::I32DivU, {x, y});
  m.jump(3);
  m.at = 3;
  const ValueId phi = m.phi(kI32, {r, c});
  m.ret({a, q, m.op(Opcode::I32DivU, {x, y}), phi});
  const Function f = optimized(m);
  EXPECT_EQ(count(f, Opcode::I32Mul), 1);
  EXPECT_EQ(count(f, Opcode::I32DivU), 1);
  EXPECT_EQ(count(f, Opcode::I32Sub), 2);  // neither dominates the other
}

TEST(OptimizingTest, VectorsWithOtherImmediatesDiffer) {
  Maker m;
  m.block();
  const ValueId x = m.param(wasm::TypeKind::V128);
  Instr one, two, three;
  one.op = two.op = three.op = Opcode::I32x4ExtractLane;
  one.lane = three.lane = 1;
  two.lane = 2;
  m.ret({m.op(Opcode::I32x4ExtractLane, {x}, &one), m.op(Opcode::I32x4ExtractLane, {x}, &two),
         m.op(Opcode::I32x4ExtractLane, {x}, &three)});
  optimize(m.f);
  EXPECT_RIGHT(m.f);
  EXPECT_EQ(count(m.f, Opcode::I32x4ExtractLane), 2);
}

// ---- Loads

TEST(OptimizingTest, LoadsOfTheSame) {
  const auto loads = [](auto between) {
    Maker m;
    m.block();
    const ValueId x = m.param(kI32), y = m.param(kI32);
    const ValueId a = m.op(Opcode::I32And, {x, m.i32(31)}),
                  b = m.op(Opcode::I32And, {y, m.i32(31)});
    const ValueId first = m.access(Opcode::I32Load, {a}, 8);
    between(m, a, b);
    const ValueId second = m.access(Opcode::I32Load, {a}, 8);
    m.ret({first, second});
    return count(optimized(m), Opcode::I32Load);
  };
  EXPECT_EQ(loads([](Maker&, ValueId, ValueId) {}), 1);
  EXPECT_EQ(loads([](Maker& m, ValueId a, ValueId) { m.access(Opcode::I32Load, {a}, 12); }), 2);
  EXPECT_EQ(loads([](Maker& m, ValueId, ValueId b) { m.access(Opcode::I32Store8, {b, b}); }), 2);
  EXPECT_EQ(loads([](Maker& m, ValueId, ValueId b) { m.call(1, {b}); }), 2);
  EXPECT_EQ(loads([](Maker& m, ValueId, ValueId b) { m.global_set(1, b); }), 1);
  // Next to it, and over its edges.
  const auto stored = [&](Opcode op, uint64_t offset) {
    return loads([&](Maker& m, ValueId a, ValueId b) {
      const bool wide = op == Opcode::I64Store;
      m.access(op, {a, wide ? m.op(Opcode::I64ExtendI32U, {b}) : b}, offset);
    });
  };
  EXPECT_EQ(stored(Opcode::I32Store, 4), 1);
  EXPECT_EQ(stored(Opcode::I32Store, 5), 2);
  EXPECT_EQ(stored(Opcode::I32Store, 12), 1);
  EXPECT_EQ(stored(Opcode::I32Store, 11), 2);
  EXPECT_EQ(stored(Opcode::I64Store, 0), 1);
  EXPECT_EQ(stored(Opcode::I64Store, 4), 2);
  EXPECT_EQ(stored(Opcode::I32Store8, 11), 2);
  EXPECT_EQ(stored(Opcode::I32Store8, 7), 1);
  EXPECT_EQ(stored(Opcode::I32Store, 8), 1);  // what was stored
}

TEST(OptimizingTest, LoadsOfWhatWasStored) {
  const auto through = [](Opcode store, Opcode load) {
    Maker m;
    m.block();
    const ValueId x = m.param(kI32), y = m.param(kI32);
    const ValueId a = m.op(Opcode::I32And, {x, m.i32(31)});
    m.access(store, {a, y}, 4);
    m.ret({m.access(load, {a}, 4)});
    return returned(m);
  };
  EXPECT_EQ(through(Opcode::I32Store, Opcode::I32Load), "y");
  EXPECT_EQ(through(Opcode::I32Store8, Opcode::I32Load8S), "(i32.extend8_s y)");
  EXPECT_EQ(through(Opcode::I32Store8, Opcode::I32Load8U), "(i32.and y 255)");
  EXPECT_EQ(through(Opcode::I32Store16, Opcode::I32Load16S), "(i32.extend16_s y)");
  EXPECT_EQ(through(Opcode::I32Store16, Opcode::I32Load16U), "(i32.and y 65535)");
  EXPECT_EQ(through(Opcode::I32Store16, Opcode::I32Load8U),
            "(i32.load8_u offset=4 (i32.and x 31))");
  EXPECT_EQ(through(Opcode::I32Store16, Opcode::I32Load), "(i32.load offset=4 (i32.and x 31))");
}

// A load, two ways that may write, and the load again.
TEST(OptimizingTest, LoadsOverBranches) {
  for (const int writes : {0, 1, 2}) {
    Maker m;
    for (int i = 0; i < 4; ++i) m.block();
    m.at = 0;
    const ValueId x = m.param(kI32), y = m.param(kI32);
    const ValueId a = m.op(Opcode::I32And, {x, m.i32(31)});
    const ValueId first = m.access(Opcode::I32Load, {a});
    const ValueId global = m.global_get(2);
    m.branch(y, 1, 2);
    m.at = 1;
    if (writes == 1) m.access(Opcode::I32Store8, {y, y});
    if (writes == 2) m.global_set(2, y);
    const ValueId inner = m.access(Opcode::I32Load, {a}, 4);
    m.jump(3);
    m.at = 2;
    m.jump(3);
    m.at = 3;
    const ValueId phi = m.phi(kI32, {inner, y});
    const ValueId second = m.access(Opcode::I32Load, {a});
    const ValueId third = m.access(Opcode::I32Load, {a}, 4);  // only one way loads it before
    m.ret({first, phi, second, third, global, m.global_get(2)});
    const Function f = optimized(m);
    EXPECT_EQ(count(f, Opcode::I32Load), writes == 1 ? 4 : 3) << text(f);
    EXPECT_EQ(count(f, Opcode::GlobalGet), writes == 2 ? 2 : 1);
  }
}

TEST(OptimizingTest, Globals) {
  Maker m;
  m.block();
  const ValueId x = m.param(kI32);
  const ValueId a = m.global_get(0), b = m.global_get(1);
  m.global_set(0, x);
  const ValueId c = m.global_get(0), d = m.global_get(1);
  m.call(1, {x});
  m.ret({a, b, c, d, m.global_get(0)});
  const Function f = optimized(m);
  EXPECT_EQ(count(f, Opcode::GlobalGet), 3);
  EXPECT_EQ(f.args_of(f.nodes[f.blocks[0].nodes.back()])[2], x);

  // One that does not change is the same after the call.
  auto engine = Engine::create(Config(), interp::tier());
  const auto module =
      load(engine, "(module (global i32 (i32.const 5)) (global (mut i32) (i32.const 6)))");
  ASSERT_TRUE(module);
  for (const bool known : {false, true}) {
    Maker n;
    n.block();
    if (known) n.f.module = module.get();
    const ValueId p = n.param(kI32), e = n.global_get(0), g = n.global_get(1);
    n.call(1, {p});
    n.ret({e, g, n.global_get(0), n.global_get(1)});
    optimize(n.f);
    EXPECT_RIGHT(n.f);
    EXPECT_EQ(count(n.f, Opcode::GlobalGet), known ? 3 : 4);
  }
}

// ---- Loops

// do body while (i += 1, i < 5), with parameters x and y. Gives the depth of the block of the first
// `op`, or -1 if there is none.
template <class Body>
int depth_of(Opcode op, Body body, bool nested = false) {
  Maker m;
  const int blocks = nested ? 7 : 4;
  for (int i = 0; i < blocks; ++i) m.block();
  m.at = 0;
  const ValueId x = m.param(kI32), y = m.param(kI32), zero = m.i32(0);
  const ValueId a = m.op(Opcode::I32And, {x, m.i32(31)});
  m.jump(1);
  ValueId outer = kNoValue, round = kNoValue;
  if (nested) {
    m.at = 1;
    outer = m.phi(kI32, {zero, zero});
    round = m.phi(kI32, {zero, zero});
    m.jump(2);
  }
  const uint32_t header = nested ? 2 : 1;
  m.at = header;
  const ValueId i = m.phi(kI32, {zero, zero});
  const ValueId sum = m.phi(kI32, {zero, zero});
  const ValueId value = body(m, a, y, i);
  const ValueId next = m.op(Opcode::I32Add, {i, m.i32(1)});
  const ValueId next_sum = m.op(Opcode::I32Add, {sum, value});
  m.branch(m.op(Opcode::I32LtU, {next, m.i32(5)}), header + 1, header + 2);
  m.set_phi(i, {zero, next});
  m.set_phi(sum, {nested ? outer : zero, next_sum});
  m.at = header + 1;
  m.jump(header);
  m.f.blocks[header].loop_end = header + 1;
  for (uint32_t b : {header, header + 1}) ++m.f.blocks[b].loop_depth;
  m.at = header + 2;
  if (nested) {
    m.set_phi(outer, {zero, next_sum});
    const ValueId next_round = m.op(Opcode::I32Add, {round, m.i32(1)});
    m.set_phi(round, {zero, next_round});
    m.branch(m.op(Opcode::I32LtU, {next_round, m.i32(3)}), 5, 6);
    m.at = 5;
    m.jump(1);
    m.f.blocks[1].loop_end = 5;
    for (uint32_t b = 1; b <= 5; ++b) ++m.f.blocks[b].loop_depth;
    m.at = 6;
  }
  m.ret({next_sum});
  const Function f = optimized(m);
  for (const Block& block : f.blocks)
    for (ValueId id : block.nodes)
      if (f.nodes[id].kind == Kind::Instr && f.nodes[id].op == op) return int(block.loop_depth);
  return -1;
}
#define DEPTH(op, ...)                                                            \
  depth_of(Opcode::op, [](Maker& m, ValueId a, ValueId y, ValueId i) -> ValueId { \
    (void)a, (void)y, (void)i;                                                    \
    __VA_ARGS__;                                                                  \
  })

TEST(OptimizingTest, InvariantsLeaveLoops) {
  EXPECT_EQ(DEPTH(I32Mul, return OP(I32Mul, a, y)), 0);
  EXPECT_EQ(DEPTH(I32Mul, return OP(I32Mul, i, y)), 1);
  EXPECT_EQ(DEPTH(I32Rotl, return OP(I32Rotl, OP(I32Mul, a, y), y)), 0);
  // Cheap: only if it is for something else.
  EXPECT_EQ(DEPTH(I32Xor, OP(I32Mul, i, y); return OP(I32Add, OP(I32Xor, y, m.i32(5)), y)), 0);
  EXPECT_EQ(DEPTH(I32Xor, return OP(I32Add, OP(I32Mul, i, y), OP(I32Xor, y, m.i32(5)))), 1);
  EXPECT_EQ(DEPTH(I32Mul, return OP(I32Add, i, OP(I32Mul, OP(I32Xor, y, m.i32(5)), y))), 0);
}

TEST(OptimizingTest, LoadsLeaveLoopsThatDoNotWrite) {
  EXPECT_EQ(DEPTH(I32Load, return m.access(Opcode::I32Load, {a})), 0);
  // The address changes.
  EXPECT_EQ(DEPTH(I32Load, return m.access(Opcode::I32Load, {i})), 1);
  // Something is written.
  EXPECT_EQ(DEPTH(I32Load, const ValueId v = m.access(Opcode::I32Load, {a});
                  m.access(Opcode::I32Store, {i, y}); return v),
            1);
  EXPECT_EQ(
      DEPTH(I32Load, const ValueId v = m.access(Opcode::I32Load, {a}); m.call(1, {i}); return v),
      1);
  EXPECT_EQ(DEPTH(GlobalGet, const ValueId v = m.global_get(1); m.call(1, {i}); return v), 1);
  EXPECT_EQ(DEPTH(GlobalGet, const ValueId v = m.global_get(1); m.access(Opcode::I32Store, {i, y});
                  return v),
            0);
  EXPECT_EQ(DEPTH(I32Load, const ValueId v = m.access(Opcode::I32Load, {a}); m.global_set(1, i);
                  return v),
            0);
  // Something happens before.
  EXPECT_EQ(DEPTH(I32Load, m.global_set(1, i); return m.access(Opcode::I32Load, {a})), 1);
  EXPECT_EQ(DEPTH(I32Load, const ValueId v = m.op(Opcode::I32DivU, {y, i});
                  return OP(I32Add, v, m.access(Opcode::I32Load, {a}))),
            1);
  // But not if that leaves too.
  EXPECT_EQ(DEPTH(I32Load, const ValueId v = m.op(Opcode::I32DivU, {a, y});
                  return OP(I32Add, v, m.access(Opcode::I32Load, {a}))),
            0);
  EXPECT_EQ(DEPTH(I32DivU, const ValueId v = m.op(Opcode::I32DivU, {a, y});
                  m.access(Opcode::I32Store, {i, y}); return v),
            0);
}

TEST(OptimizingTest, FloatsAreLoadedBeforeLoops) {
  EXPECT_EQ(
      DEPTH(F64Const, return OP(I32TruncSatF64S, OP(F64Mul, OP(F64ConvertI32S, i), m.f64(3.5)))),
      0);
  EXPECT_EQ(DEPTH(F64Const, m.call(1, {i});
                  return OP(I32TruncSatF64S, OP(F64Mul, OP(F64ConvertI32S, i), m.f64(3.5)))),
            -1);
  EXPECT_EQ(
      DEPTH(F64Const, return OP(I32TruncSatF64S, OP(F64Add, OP(F64ConvertI32S, i), m.f64(0)))), -1);
}

// do v += constants while (--n), and then a use behind the loop.
TEST(OptimizingTest, VectorsAreLoadedWhereTheyAreUsed) {
  for (const bool calls : {false, true}) {
    Maker m;
    for (int i = 0; i < 4; ++i) m.block();
    const ValType v128 = wasm::TypeKind::V128;
    m.at = 0;
    const ValueId n = m.param(kI32), v = m.param(v128);
    Instr instr;
    instr.op = Opcode::V128Const;
    std::vector<ValueId> constants;
    for (uint8_t i = 0; i < 10; ++i) {
      instr.v128.bytes[3] = i;
      constants.push_back(m.op(Opcode::V128Const, {}, &instr));
    }
    m.jump(1);
    m.at = 1;
    const ValueId count_down = m.phi(kI32, {n, n}), sum = m.phi(v128, {v, v});
    if (calls) m.call(1, {n});
    ValueId next_sum = sum;
    for (ValueId c : constants) next_sum = m.op(Opcode::I32x4Add, {next_sum, c});
    const ValueId product = m.op(Opcode::I32x4Mul, {v, constants[9]});
    next_sum = m.op(Opcode::I32x4Add, {next_sum, product});
    const ValueId next = m.op(Opcode::I32Add, {count_down, m.i32(-1u)});
    m.branch(next, 2, 3);
    m.at = 2;
    m.jump(1);
    m.at = 3;
    m.ret({m.op(Opcode::I32x4Add, {next_sum, constants[5]})});
    m.set_phi(count_down, {n, next});
    m.set_phi(sum, {v, next_sum});
    m.f.blocks[1].loop_end = 2;
    m.f.blocks[1].loop_depth = m.f.blocks[2].loop_depth = 1;
    EXPECT_RIGHT(m.f);
    optimize(m.f);
    EXPECT_RIGHT(m.f);
    const auto in = [&](uint32_t b, Opcode op) {
      return std::count_if(m.f.blocks[b].nodes.begin(), m.f.blocks[b].nodes.end(),
                           [&](ValueId id) { return m.f.nodes[id].op == op; });
    };
    EXPECT_EQ(in(0, Opcode::I32x4Mul), 1);
    // Some before the loop, if nothing in it takes all registers; one is for the product.
    EXPECT_EQ(in(0, Opcode::V128Const), calls ? 1 : 7) << text(m.f);
    EXPECT_EQ(in(1, Opcode::V128Const), calls ? 10 : 4) << text(m.f);
    EXPECT_EQ(in(3, Opcode::V128Const), 1);
  }
}

TEST(OptimizingTest, InvariantsLeaveSeveralLoops) {
  EXPECT_EQ(
      depth_of(
          Opcode::I32Mul,
          [](Maker& m, ValueId a, ValueId y, ValueId) { return m.op(Opcode::I32Mul, {a, y}); },
          true),
      0);
  EXPECT_EQ(
      depth_of(
          Opcode::I32Load,
          [](Maker& m, ValueId a, ValueId, ValueId) { return m.access(Opcode::I32Load, {a}); },
          true),
      0);
  // It is loaded before the inner loop, but after a write in the outer one.
  EXPECT_EQ(depth_of(
                Opcode::I32Load,
                [](Maker& m, ValueId a, ValueId y, ValueId) {
                  const uint32_t inner = std::exchange(m.at, 1);
                  const ValueId jump = m.f.blocks[1].nodes.back();
                  m.f.blocks[1].nodes.pop_back();
                  m.access(Opcode::I32Store, {a, y}, 2);
                  m.f.blocks[1].nodes.push_back(jump);
                  m.at = inner;
                  return m.access(Opcode::I32Load, {a});
                },
                true),
            1);
}

// A load in a branch of a loop may never run.
TEST(OptimizingTest, ConditionalLoadsStay) {
  Maker m;
  for (int i = 0; i < 6; ++i) m.block();
  m.at = 0;
  const ValueId x = m.param(kI32), y = m.param(kI32), zero = m.i32(0);
  m.jump(1);
  m.at = 1;
  const ValueId i = m.phi(kI32, {zero, zero});
  m.branch(m.op(Opcode::I32LtU, {i, y}), 2, 3);
  m.at = 2;
  const ValueId loaded = m.access(Opcode::I32Load, {x});
  m.jump(4);
  m.at = 3;
  m.jump(4);
  m.at = 4;
  const ValueId phi = m.phi(kI32, {loaded, zero});
  const ValueId next = m.op(Opcode::I32Add, {i, m.i32(1)});
  // The way back has a block of its own, behind the exit.
  m.f.blocks.pop_back();
  const uint32_t back = m.block(), exit = m.block();
  m.at = 4;
  m.branch(m.op(Opcode::I32LtU, {next, m.i32(4)}), back, exit);
  m.at = back;
  m.jump(1);
  m.at = exit;
  m.ret({phi});
  m.set_phi(i, {zero, next});
  m.f.blocks[1].loop_end = back;
  for (uint32_t b = 1; b <= back; ++b) m.f.blocks[b].loop_depth = 1;
  const Function f = optimized(m);
  for (const Block& block : f.blocks)
    for (ValueId id : block.nodes)
      if (f.nodes[id].op == Opcode::I32Load) EXPECT_EQ(block.loop_depth, 1u);
}

// A comparison that is used twice is made where it is tested.
TEST(OptimizingTest, ComparisonsStandBeforeTests) {
  Maker m;
  for (int i = 0; i < 3; ++i) m.block();
  m.at = 0;
  const ValueId x = m.param(kI32), y = m.param(kI32);
  const ValueId less = m.op(Opcode::I32LtS, {x, y});
  const ValueId chosen = m.op(Opcode::Select, {x, y, less});
  m.branch(less, 1, 2);
  m.at = 1;
  m.ret({chosen});
  m.at = 2;
  m.ret({x});
  const Function f = optimized(m);
  EXPECT_EQ(count(f, Opcode::I32LtS), 2);
  const auto& nodes = f.blocks[0].nodes;
  EXPECT_EQ(f.args_of(f.nodes[nodes.back()])[0], nodes[nodes.size() - 2]);
}

// ---- What check() finds

TEST(OptimizingTest, FormIsChecked) {
  const auto fresh = [] {
    Maker m;
    for (int i = 0; i < 4; ++i) m.block();
    m.at = 0;
    const ValueId x = m.param(kI32);
    m.branch(x, 1, 2);
    m.at = 1;
    const ValueId a = m.op(Opcode::I32Add, {x, x});
    m.jump(3);
    m.at = 2;
    m.jump(3);
    m.at = 3;
    m.ret({m.phi(kI32, {a, x})});
    return m;
  };
  Maker m = fresh();
  EXPECT_RIGHT(m.f);
  m.f.args[m.f.nodes[m.f.blocks[3].nodes[0]].first_arg + 1] = m.f.blocks[1].nodes[0];
  EXPECT_NE(check(m.f), "");  // of the other branch
  m = fresh();
  std::swap(m.f.blocks[1].nodes[0], m.f.blocks[1].nodes[1]);
  EXPECT_NE(check(m.f), "");  // jump first
  m = fresh();
  m.f.blocks[3].preds.pop_back();
  EXPECT_NE(check(m.f), "");
  m = fresh();
  m.f.blocks[1].loop_end = 1;
  EXPECT_NE(check(m.f), "");
  m = fresh();
  m.f.nodes[m.f.blocks[1].nodes[0]].op = Opcode::I64Add;
  EXPECT_NE(check(m.f), "");
  m = fresh();
  --m.f.nodes[m.f.blocks[3].nodes[0]].arg_count;
  EXPECT_NE(check(m.f), "");
  m = fresh();
  m.f.blocks[2].nodes.clear();
  EXPECT_NE(check(m.f), "");
  m = fresh();
  m.f.nodes[m.f.blocks[1].nodes[0]].block = 2;
  EXPECT_NE(check(m.f), "");
}

}  // namespace
}  // namespace wafer::compiler
#endif
