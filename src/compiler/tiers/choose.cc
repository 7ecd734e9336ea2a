#include "compiler/tiers/choose.h"

#include <algorithm>

#include "wasm/validator.h"

namespace wafer::compiler {

namespace {

using wasm::Opcode;

// Loops around code that are told apart.
constexpr uint32_t kDepths = 4;
// How often code is run at these depths, and how often a call where its code is: there are choices
// around most. Functions that are referred to are called from loops, perhaps.
constexpr double kOften[kDepths + 1] = {1, 10, 100, 1'000, 10'000}, kCalls = 0.2, kReferred = 8;
constexpr double kMostOften = 1e6;
// Calls in a row that are followed.
constexpr int kChain = 8;
// Instructions of a function and not of its body: what a call of it takes.
constexpr double kOverhead = 16;

struct Call {
  uint32_t callee;
  uint32_t depth;  // of loops around it
};

struct Facts {
  uint32_t instructions[kDepths + 1] = {};  // by the depth of loops around them
  size_t first_call = 0, last_call = 0;
  double often = 1;  // how often it is called
};

void look(const wasm::Module& module, uint32_t func, Facts& facts, Vec<Call>& calls) {
  wasm::FuncValidator v(module);
  facts.first_call = facts.last_call = calls.size();
  if (!v.begin(func)) return;
  Vec<bool> open;  // of blocks: is a loop
  uint32_t depth = 0;
  wasm::Instr in;
  while (!v.done() && v.read(in)) {
    ++facts.instructions[std::min(depth, kDepths)];
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
          calls.push_back({in.index, std::min(in.index == func ? depth + 1 : depth, kDepths)});
        break;
      default:
        break;
    }
    if (!v.apply(in)) break;
  }
  facts.last_call = calls.size();
}

// Finds how often functions are called, by chains of calls that grow by one from turn to turn.
void follow_calls(Vec<Facts>& facts, const Vec<Call>& calls) {
  Vec<double> last(facts.size()), next(facts.size());
  for (size_t f = 0; f < facts.size(); ++f) last[f] = facts[f].often;
  for (int turn = 0; turn < kChain; ++turn) {
    std::fill(next.begin(), next.end(), 0);
    for (size_t f = 0; f < facts.size(); ++f)
      for (size_t i = facts[f].first_call; i < facts[f].last_call; ++i)
        next[calls[i].callee] += last[f] * kCalls * kOften[calls[i].depth];
    for (size_t f = 0; f < facts.size(); ++f) {
      next[f] = std::min(next[f], kMostOften);
      facts[f].often = std::min(facts[f].often + next[f], kMostOften);
    }
    std::swap(last, next);
  }
}

}  // namespace

Vec<bool> choose_functions(const wasm::Module& module, uint64_t most_bytes) {
  const auto count = uint32_t(module.functions.size());
  const uint32_t first = module.imported_functions;
  Vec<Facts> facts(count);
  Vec<Call> calls;
  for (uint32_t f = first; f < count; ++f) look(module, f, facts[f], calls);
  for (uint32_t f = first; f < count; ++f)
    if (module.functions[f].declared) facts[f].often = kReferred;
  follow_calls(facts, calls);

  struct Candidate {
    double gain;  // for each byte
    uint32_t func;
  };
  Vec<Candidate> order;
  for (uint32_t f = first; f < count; ++f) {
    double gain = kOverhead;
    for (uint32_t d = 0; d <= kDepths; ++d) gain += double(facts[f].instructions[d]) * kOften[d];
    gain *= facts[f].often;
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
