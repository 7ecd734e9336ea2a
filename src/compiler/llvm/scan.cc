#include "compiler/llvm/scan.h"

namespace wafer::compiler {

namespace {

using wasm::Opcode;

// Only reads opcodes.
bool has_tail_calls(const wasm::Module& module, uint32_t func) {
  const uint8_t* const base = module.bytes.data();
  const wasm::ByteRange body = module.functions[func].body;
  // Locals come first: runs of a count and a type, of which the reader knows nothing.
  const auto has_byte = [&](uint8_t byte) {
    return std::memchr(base + body.begin, byte, body.size()) != nullptr;
  };
  if (!has_byte(0x12) && !has_byte(0x13) && !has_byte(0x15)) return false;
  wasm::FuncValidator v(module);
  if (!v.begin(func)) return false;
  wasm::Instr in;
  while (!v.done() && v.read(in)) {
    if (in.op == Opcode::ReturnCall || in.op == Opcode::ReturnCallIndirect ||
        in.op == Opcode::ReturnCallRef)
      return true;
    if (!v.apply(in)) break;
  }
  return false;
}

// Some of what LLVM does takes time that grows with the square of one of these, or with the
// product of two. Bounds are set where a function at them takes about five times as long for
// its bytes as code usually does (wafer_compile_bench --shapes); no compiler's output that is
// worth optimizing comes near them.
bool is_plain(const wasm::Module& module, uint32_t func) {
  constexpr uint32_t kSmall = 8u << 10, kLargest = 256u << 10;
  constexpr uint64_t kInstructions = 8'000;  // in a row, without branches
  constexpr uint64_t kAccesses = 2'000;      // of memories and globals, calls; in a row
  constexpr uint64_t kBranches = 6'000;      // of the function
  constexpr uint64_t kTargets = 1'000;       // of tables of branches
  constexpr uint64_t kNesting = 2'000;       // of blocks
  constexpr uint64_t kHandlers = 200;        // of blocks that are try_table, all in one another
  constexpr uint64_t kValues = 4'000'000;    // that meet: locals times branches
  const uint32_t size = module.functions[func].body.size();
  if (size < kSmall) return false;
  if (size > kLargest) return true;
  wasm::FuncValidator v(module);
  if (!v.begin(func)) return false;
  uint64_t branches = 0, targets = 0, instructions = 0, accesses = 0;
  std::vector<bool> open;  // of blocks: has a handler
  uint64_t handlers = 0;   // of those
  wasm::Instr in;
  while (!v.done() && v.read(in)) {
    ++instructions;
    switch (in.op) {
      case Opcode::Block:
      case Opcode::Loop:
      case Opcode::If:
      case Opcode::Try:
      case Opcode::TryTable:
        open.push_back(in.op == Opcode::Try || in.op == Opcode::TryTable);
        handlers += open.back();
        [[fallthrough]];
      case Opcode::Br:
      case Opcode::BrIf:
      case Opcode::BrOnNull:
      case Opcode::BrOnNonNull:
      case Opcode::BrOnCast:
      case Opcode::BrOnCastFail:
      case Opcode::Else:
        instructions = accesses = 0;
        ++branches;
        break;
      case Opcode::BrTable:
        instructions = accesses = 0;
        ++branches;
        targets += in.labels.size();
        break;
      case Opcode::Delegate:
      case Opcode::End:
        if (!open.empty()) {
          handlers -= open.back();
          open.pop_back();
        }
        instructions = accesses = 0;
        break;
      default:
        if ((in.op >= Opcode::GlobalGet && in.op <= Opcode::MemoryGrow) ||
            (in.op >= Opcode::Call && in.op < Opcode::Drop))
          ++accesses;
    }
    if (instructions > kInstructions || accesses > kAccesses || branches > kBranches ||
        targets > kTargets || open.size() > kNesting || handlers > kHandlers ||
        branches * v.locals().size() > kValues)
      return true;
    if (!v.apply(in)) return false;
  }
  return false;
}

}  // namespace

FunctionFacts scan_functions(const wasm::Module& module, std::span<const uint32_t> functions) {
  FunctionFacts facts;
  facts.tail_calls.resize(module.functions.size());
  facts.compiled.resize(module.functions.size());
  facts.plain.resize(module.functions.size());
  for (const uint32_t f : functions) {
    facts.compiled[f] = true;
    facts.tail_calls[f] = has_tail_calls(module, f);
    facts.plain[f] = is_plain(module, f);
  }
  return facts;
}

std::vector<uint32_t> find_callees(const wasm::Module& module, uint32_t func) {
  constexpr uint32_t kLargest = 2u << 10, kTogether = 24u << 10;
  std::vector<uint32_t> out{func};
  std::vector<bool> seen(module.functions.size());
  seen[func] = true;
  uint32_t bytes = 0;
  wasm::Instr in;
  for (size_t i = 0; i < out.size(); ++i) {
    wasm::FuncValidator v(module);
    if (!v.begin(out[i])) continue;
    while (!v.done() && v.read(in) && v.apply(in)) {
      if (in.op != Opcode::Call || seen[in.index] || module.functions[in.index].imported) continue;
      seen[in.index] = true;
      const auto size = uint32_t(module.functions[in.index].body.size());
      if (size > kLargest || bytes + size > kTogether) continue;
      bytes += size;
      out.push_back(in.index);
    }
  }
  out.erase(out.begin());
  return out;
}

}  // namespace wafer::compiler
