// Numeric and vector instructions (spec 4.4.2, 4.4.3). Which operator an instruction stands
// for is read off its name, as in the specification: "i32x4.extmul_low_i16x8_s".
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "integers.h"
#include "wasm/instr.h"

namespace wafer::reference {

struct Outcome {
  std::vector<Nat> results;
  runtime::TrapCode trap = runtime::TrapCode::None;
};

// Operands in the order in which they were pushed. Numbers and vectors are their bits: lane
// i of a vector of lanes of N bits is v / 2^(i*N) mod 2^N.
using Operator = std::function<Outcome(const wasm::Instr& in, std::span<const Nat> operands)>;

// Null if `op` is no instruction that maps numbers and vectors to such.
Operator numeric_operator(wasm::Opcode op);
Operator vector_operator(wasm::Opcode op);

inline Nat lane(Nat v, unsigned n, unsigned i) { return v / pow2(i * n) % pow2(n); }
// The vector of these lanes; those that are missing are 0.
inline Nat vector_of(unsigned n, std::span<const Nat> lanes) {
  Nat out = 0;
  for (unsigned i = 0; i < lanes.size(); ++i) out += lanes[i] * pow2(i * n);
  return out;
}
inline Nat vector_of_bytes(const wasm::V128& v) {
  Nat out = 0;
  for (unsigned i = 0; i < 16; ++i) out += Nat(v.bytes[i]) * pow2(8 * i);
  return out;
}

}  // namespace wafer::reference
