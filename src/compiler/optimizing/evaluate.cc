// Arithmetic on constants, by the interpreter's definitions.
#include <bit>
#include <cmath>
#include <type_traits>

#include "compiler/optimizing/passes.h"
#include "interp/numeric.h"

namespace wafer::compiler {

namespace {

using interp::Sem;

template <Opcode Op>
concept HasSem = requires { sizeof(Sem<Op>); };

template <class T>
T from_bits(uint64_t bits) {
  if constexpr (std::is_same_v<T, float>)
    return std::bit_cast<float>(uint32_t(bits));
  else if constexpr (std::is_same_v<T, double>)
    return std::bit_cast<double>(bits);
  else
    return T(bits);
}

template <class T>
uint64_t to_bits(T value) {
  if constexpr (std::is_same_v<T, float>)
    return std::bit_cast<uint32_t>(value);
  else if constexpr (std::is_same_v<T, double>)
    return std::bit_cast<uint64_t>(value);
  else
    return value;
}

// Whether a NaN that comes out is certain to the bit.
constexpr bool moves_bits(Opcode op) {
  switch (op) {
    case Opcode::F32Abs:
    case Opcode::F64Abs:
    case Opcode::F32Neg:
    case Opcode::F64Neg:
    case Opcode::F32Copysign:
    case Opcode::F64Copysign:
    case Opcode::F32ReinterpretI32:
    case Opcode::F64ReinterpretI64:
      return true;
    default:
      return false;
  }
}

template <Opcode Op>
bool compute(uint64_t a, uint64_t b, uint64_t& out) {
  if constexpr (!HasSem<Op>) {
    return false;
  } else {
    using S = Sem<Op>;
    using In = typename S::In;
    typename S::Out result{};
    constexpr bool kOne = wasm::kOpFacts[unsigned(Op)].sig().param_count == 1;
    if constexpr (S::kTraps) {
      runtime::TrapCode code;
      if constexpr (kOne)
        code = S::eval(from_bits<In>(a), result);
      else
        code = S::eval(from_bits<In>(a), from_bits<In>(b), result);
      if (code != runtime::TrapCode::None) return false;
    } else if constexpr (kOne) {
      result = S::eval(from_bits<In>(a));
    } else {
      result = S::eval(from_bits<In>(a), from_bits<In>(b));
    }
    if constexpr (std::is_floating_point_v<typename S::Out>)
      if (std::isnan(result) && !moves_bits(Op)) return false;
    out = to_bits(result);
    return true;
  }
}

using Computation = bool (*)(uint64_t, uint64_t, uint64_t&);
constexpr Computation kComputations[] = {
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) \
  WAFER_IF_BUILT(feature, &compute<Opcode::id>, )
#include "wasm/opcodes.def"
#undef WAFER_OP
};

}  // namespace

bool evaluate(Opcode op, uint64_t a, uint64_t b, uint64_t& out) {
  return facts::is_built(op) && kComputations[unsigned(op)](a, b, out);
}

}  // namespace wafer::compiler
