#include "compiler/tiers/choose.h"

#include <algorithm>

#include "wasm/validator.h"

namespace wafer::compiler {

namespace {

using wasm::Opcode;

// Loops around code that are told apart: of the function, and of those that it is called in.
constexpr uint32_t kOwn = 4, kCallers = 4;
// How much more often a loop's body runs than what is around it.
constexpr double kRounds = 8;
// Instructions of a function and not of its body: what a call of it takes.
constexpr double kOverhead = 16;

struct Call {
  uint32_t callee;
  uint32_t depth;  // of loops around it
};

struct Facts {
  uint32_t instructions[kOwn + 1] = {};  // by the depth of loops around them
  size_t first_call = 0, last_call = 0;
  uint32_t around = 0;  // loops that it is called in
};

void look(const wasm::Module& module, uint32_t func, Facts& facts, Vec<Call>& calls) {
  wasm::FuncValidator v(module);
  facts.first_call = facts.last_call = calls.size();
  if (!v.begin(func)) return;
  Vec<bool> open;  // of blocks: is a loop
  uint32_t depth = 0;
  wasm::Instr in;
  while (!v.done() && v.read(in)) {
    ++facts.instructions[std::min(depth, kOwn)];
    switch (in.op) {
      case Opcode::Block:
      case Opcode::Loop:
      case Opcode::If:
      case Opcode::Try:
      case Opcode::TryTable:
        open.push_back(in.op == Opcode::Loop);
        depth += open.back();
        break;
      case Opcode::Delegate:
      case Opcode::End:
        if (open.empty()) break;
        depth -= open.back();
        open.pop_back();
        break;
      case Opcode::Call:
      case Opcode::ReturnCall:
        // A function that calls itself is a loop, too.
        if (!module.functions[in.index].imported)
          calls.push_back({in.index, std::min(in.index == func ? depth + 1 : depth, kOwn)});
        break;
      default:
        break;
    }
    if (!v.apply(in)) break;
  }
  facts.last_call = calls.size();
}

// Finds what loops functions are called in. Each grows a few times only.
void follow_calls(Vec<Facts>& facts, const Vec<Call>& calls, uint32_t first) {
  Vec<uint32_t> work;
  for (auto f = uint32_t(facts.size()); f-- > first;) work.push_back(f);
  while (!work.empty()) {
    const uint32_t f = work.back();
    work.pop_back();
    for (size_t i = facts[f].first_call; i < facts[f].last_call; ++i) {
      const Call& call = calls[i];
      const uint32_t around = std::min(facts[f].around + call.depth, kCallers);
      if (around <= facts[call.callee].around) continue;
      facts[call.callee].around = around;
      work.push_back(call.callee);
    }
  }
}

}  // namespace

Vec<bool> choose_functions(const wasm::Module& module, uint64_t most_bytes) {
  const auto count = uint32_t(module.functions.size());
  const uint32_t first = module.imported_functions;
  Vec<Facts> facts(count);
  Vec<Call> calls;
  for (uint32_t f = first; f < count; ++f) look(module, f, facts[f], calls);
  follow_calls(facts, calls, first);

  double rounds[kOwn + kCallers + 1] = {1};
  for (size_t i = 1; i < std::size(rounds); ++i) rounds[i] = rounds[i - 1] * kRounds;
  struct Candidate {
    double gain;  // for each byte
    uint32_t func;
  };
  Vec<Candidate> order;
  for (uint32_t f = first; f < count; ++f) {
    double gain = kOverhead * rounds[facts[f].around];
    for (uint32_t d = 0; d <= kOwn; ++d)
      gain += double(facts[f].instructions[d]) * rounds[facts[f].around + d];
    order.push_back({gain / (double(module.functions[f].body.size()) + kOverhead), f});
  }
  std::sort(order.begin(), order.end(), [](const Candidate& a, const Candidate& b) {
    return a.gain != b.gain ? a.gain > b.gain : a.func < b.func;
  });
  Vec<bool> out(count);
  for (const Candidate& c : order) {
    const uint32_t size = module.functions[c.func].body.size();
    if (size > most_bytes) continue;
    most_bytes -= size;
    out[c.func] = true;
  }
  return out;
}

}  // namespace wafer::compiler
