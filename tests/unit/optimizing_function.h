// Functions of the optimizing compiler made by hand, and what they give.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include "compiler/optimizing/passes.h"

namespace wafer::compiler {

using wasm::kF32;
using wasm::kF64;
using wasm::kI32;
using wasm::kI64;
using Kind = Node::Kind;

// ---- Functions made by hand

class Maker {
 public:
  Function f;

  uint32_t block() {
    f.blocks.emplace_back();
    return at = uint32_t(f.blocks.size() - 1);
  }
  ValueId node(Kind kind, ValType type, std::initializer_list<ValueId> args, uint64_t value = 0) {
    return node(kind, type, std::span(args.begin(), args.size()), value);
  }
  ValueId node(Kind kind, ValType type, std::span<const ValueId> args, uint64_t value = 0) {
    Node n;
    n.kind = kind;
    n.type = type;
    n.block = at;
    n.first_arg = uint32_t(f.args.size());
    n.arg_count = uint32_t(args.size());
    n.value = value;
    n.offset = uint32_t(f.nodes.size() + 1);
    f.args.insert(f.args.end(), args.begin(), args.end());
    f.nodes.push_back(n);
    f.blocks[at].nodes.push_back(ValueId(f.nodes.size() - 1));
    return ValueId(f.nodes.size() - 1);
  }
  ValueId param(ValType type) { return node(Kind::Param, type, {}, params++); }
  ValueId i32(uint32_t c) { return node(Kind::Const, kI32, {}, c); }
  ValueId i64(uint64_t c) { return node(Kind::Const, kI64, {}, c); }
  ValueId f64(double c) { return node(Kind::Const, kF64, {}, std::bit_cast<uint64_t>(c)); }
  ValueId phi(ValType type, std::initializer_list<ValueId> args) {
    return node(Kind::Phi, type, args);
  }
  void set_phi(ValueId phi, std::initializer_list<ValueId> args) {
    f.nodes[phi].first_arg = uint32_t(f.args.size());
    f.nodes[phi].arg_count = uint32_t(args.size());
    f.args.insert(f.args.end(), args);
  }
  ValueId op(Opcode op, std::initializer_list<ValueId> args, const Instr* immediates = nullptr) {
    const wasm::OpSig& sig = facts::row(op).sig();
    ValType type = sig.result_count ? ValType(sig.results[0]) : ValType();
    if (op == Opcode::Select) type = f.nodes[*args.begin()].type;
    return typed(op, type, args, immediates);
  }
  ValueId typed(Opcode op, ValType type, std::initializer_list<ValueId> args,
                const Instr* immediates = nullptr) {
    const ValueId id = node(Kind::Instr, type, args, kNoImmediates);
    f.nodes[id].op = op;
    if (immediates) {
      f.nodes[id].value = f.instrs.size();
      f.instrs.push_back(*immediates);
    }
    return id;
  }
  ValueId access(Opcode o, std::initializer_list<ValueId> args, uint64_t offset = 0) {
    Instr instr;
    instr.op = o;
    instr.offset = offset;
    return op(o, args, &instr);
  }
  ValueId global_get(uint32_t index, ValType type = kI32) {
    Instr instr;
    instr.op = Opcode::GlobalGet;
    instr.index = index;
    return typed(Opcode::GlobalGet, type, {}, &instr);
  }
  ValueId global_set(uint32_t index, ValueId value) {
    Instr instr;
    instr.op = Opcode::GlobalSet;
    instr.index = index;
    return typed(Opcode::GlobalSet, ValType(), {value}, &instr);
  }
  ValueId call(uint32_t func, std::initializer_list<ValueId> args, ValType type = kI32) {
    Instr instr;
    instr.op = Opcode::Call;
    instr.index = func;
    return typed(Opcode::Call, type, args, &instr);
  }
  void edge(uint32_t from, uint32_t to) {
    f.blocks[from].succs.push_back(to);
    f.blocks[to].preds.push_back(from);
  }
  void jump(uint32_t to) {
    node(Kind::Jump, ValType(), {});
    edge(at, to);
  }
  void branch(ValueId condition, uint32_t yes, uint32_t no) {
    node(Kind::Branch, ValType(), {condition});
    edge(at, yes);
    edge(at, no);
  }
  void ret(std::initializer_list<ValueId> args) { node(Kind::Return, ValType(), args); }

  uint32_t at = 0;
  uint32_t params = 0;
};

inline std::string text(const Function& f) { return std::string(to_text(f).c_str()); }
#define EXPECT_RIGHT(f) EXPECT_EQ(std::string(check(f).c_str()), "") << text(f)

// How many instructions of `op` there are.
inline int count(const Function& f, Opcode op) {
  int n = 0;
  for (const Block& block : f.blocks)
    for (ValueId id : block.nodes) n += f.nodes[id].kind == Kind::Instr && f.nodes[id].op == op;
  return n;
}
inline int count_instrs(const Function& f) {
  int n = 0;
  for (const Block& block : f.blocks)
    for (ValueId id : block.nodes) n += f.nodes[id].kind == Kind::Instr;
  return n;
}

// ---- Running them

inline constexpr uint32_t kMemorySize = 256;

struct Run {
  bool trapped = false;
  uint32_t trap_at = 0;
  std::vector<uint64_t> results, calls, globals;
  std::vector<uint8_t> memory;
  bool operator==(const Run&) const = default;
};

inline Run execute(const Function& f, const std::vector<uint64_t>& params) {
  Run run;
  run.memory.resize(kMemorySize);
  for (uint32_t i = 0; i < kMemorySize; ++i) run.memory[i] = uint8_t(i * 37 + 11);
  run.globals = {5, 6, 7, 8};
  std::vector<uint64_t> values(f.nodes.size(), 0xDEADDEADDEADDEAD);
  uint32_t block = 0, from = kNoValue;
  const auto trap = [&](const Node& n) {
    run.trapped = true;
    run.trap_at = n.offset;
  };
  for (int steps = 0; steps < 100000; ++steps) {
    const Block& b = f.blocks[block];
    // Phis all at once.
    std::vector<std::pair<ValueId, uint64_t>> phis;
    for (ValueId id : b.nodes) {
      const Node& n = f.nodes[id];
      if (n.kind != Kind::Phi) break;
      const size_t index =
          size_t(std::find(b.preds.begin(), b.preds.end(), from) - b.preds.begin());
      phis.push_back({id, values[f.args_of(n)[index]]});
    }
    for (const auto& [id, value] : phis) values[id] = value;
    uint32_t next = kNoValue;
    for (ValueId id : b.nodes) {
      const Node& n = f.nodes[id];
      const auto args = f.args_of(n);
      const auto in = [&](size_t i) { return values[args[i]]; };
      const Instr* instr = n.kind == Kind::Instr ? f.immediates(n) : nullptr;
      switch (n.kind) {
        case Kind::Const:
          values[id] = n.value;
          break;
        case Kind::Param:
          values[id] = params[n.value];
          break;
        case Kind::Result:
          values[id] = uint32_t(values[args[0]] + n.value);
          break;
        case Kind::Instr:
          if (facts::is_memory_access(n.op)) {
            const uint64_t address = in(0) + instr->offset;
            const uint32_t size = facts::access_size(n.op);
            if (address + size > kMemorySize) {
              trap(n);
              return run;
            }
            if (facts::is_store(n.op)) {
              const uint64_t value = in(1);
              std::memcpy(&run.memory[address], &value, size);
            } else {
              uint64_t value = 0;
              std::memcpy(&value, &run.memory[address], size);
              const std::string_view name = wasm::opcode_info(n.op).text;
              const uint32_t shift = 64 - size * 8;
              if (name.ends_with("_s")) value = uint64_t(int64_t(value << shift) >> shift);
              values[id] = n.type == kI32 ? uint32_t(value) : value;
            }
          } else if (n.op == Opcode::F64Const) {
            values[id] = instr->f64_bits;
          } else if (n.op == Opcode::GlobalGet) {
            values[id] = run.globals[instr->index];
          } else if (n.op == Opcode::GlobalSet) {
            run.globals[instr->index] = in(0);
          } else if (n.op == Opcode::Call) {
            uint64_t h = instr->index;
            for (size_t i = 0; i < args.size(); ++i) h = h * 31 + in(i);
            run.calls.push_back(h);
            values[id] = n.type == kI32 ? uint32_t(h * 7) : h * 7;
            run.memory[h % kMemorySize] ^= 1;
            uint64_t& global = run.globals[h % run.globals.size()];
            global = uint32_t(global + 3);
          } else if (n.op == Opcode::Select) {
            values[id] = uint32_t(in(2)) ? in(0) : in(1);
          } else {
            uint64_t result = 0;
            if (!evaluate(n.op, in(0), args.size() > 1 ? in(1) : 0, result)) {
              if (effects_of(n.op).traps) {
                trap(n);
                return run;
              }
              result = n.type == kF32 ? 0x7FC00000 : 0x7FF8000000000000;
            }
            values[id] = result;
          }
          break;
        case Kind::Jump:
          next = b.succs[0];
          break;
        case Kind::Branch:
          next = b.succs[uint32_t(in(0)) ? 0 : 1];
          break;
        case Kind::Switch:
          next =
              b.succs[f.targets[n.value + 1 + std::min<uint64_t>(in(0), f.targets[n.value] - 1)]];
          break;
        case Kind::Return:
          for (size_t i = 0; i < args.size(); ++i) run.results.push_back(in(i));
          return run;
        case Kind::Trap:
          trap(n);
          return run;
        default:
          break;
      }
    }
    from = block;
    block = next;
  }
  ADD_FAILURE() << "does not end";
  return run;
}

// The same before and after, for parameters that matter and some at random.
inline void expect_same_results(const Function& before, const Function& after, uint32_t params,
                                uint32_t seed) {
  std::mt19937 random(seed);
  const uint64_t interesting[] = {0,          1,          2,           7,          31,
                                  0x7F,       0x80,       0xFF,        0x7FFFFFFF, 0x80000000,
                                  0xFFFFFFFF, 0xFFFFFFFE, 1ull << 32,  ~0ull,      1ull << 63,
                                  100,        0xFFFF,     0xFFFFFFF0u, 1000000007, ~0ull >> 1};
  for (int i = 0; i < 30; ++i) {
    std::vector<uint64_t> values;
    for (uint32_t p = 0; p < params; ++p) {
      uint64_t v = random() % 2 ? interesting[random() % std::size(interesting)]
                                : uint64_t(random()) << (random() % 33) ^ random() % 64;
      for (ValueId id : before.blocks[0].nodes) {
        const Node& n = before.nodes[id];
        if (n.kind == Kind::Param && n.value == p && n.type == kI32) v = uint32_t(v);
      }
      values.push_back(v);
    }
    const Run a = execute(before, values), b = execute(after, values);
    EXPECT_EQ(a.results, b.results) << text(before) << text(after);
    EXPECT_EQ(a.trapped, b.trapped) << text(before) << text(after);
    EXPECT_EQ(a.trap_at, b.trap_at) << text(before) << text(after);
    EXPECT_TRUE(a == b) << text(before) << text(after);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace wafer::compiler
