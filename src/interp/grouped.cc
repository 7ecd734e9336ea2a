#include "interp/grouped.h"

namespace wafer::interp {

namespace {

// Takes In and gives Out.
template <class In, class Out, bool Binary, Opcode OP>
constexpr bool in_group() {
  if constexpr (is_grouped<OP>())
    return std::is_same_v<typename Sem<OP>::In, In> && std::is_same_v<typename Sem<OP>::Out, Out> &&
           kBinary<OP> == Binary;
  return false;
}
template <class In, class Out, bool Binary>
TrapCode group(unsigned op, const Slot* first, const Slot* second, Slot* to) {
  const In a = get<In>(first, 0);
  [[maybe_unused]] const In b = Binary ? get<In>(second, 0) : a;
  Out out{};
  TrapCode trap = TrapCode::None;
  switch (int(op)) {
// Those that are not of this group have numbers that no byte is.
#define WAFER_OP(id, prefix, code_, text, imm, sig, aux, feature)             \
  case in_group<In, Out, Binary, Opcode::id>() ? int(group_number(code::id)): \
    -1 - int(Opcode::id)                                                      \
        : if constexpr (in_group<In, Out, Binary, Opcode::id>())              \
              trap = evaluate<Opcode::id>(a, b, out);                         \
    else __builtin_unreachable();                                             \
    break;
#include "wasm/opcodes.def"
#undef WAFER_OP
    default:
      __builtin_unreachable();
  }
  if (trap == TrapCode::None) put<Out>(to, 0, out);
  return trap;
}

template <Opcode OP>
constexpr void add_to(Groups& all, unsigned row) {
  if constexpr (is_grouped<OP>()) {
    const Group g = &group<typename Sem<OP>::In, typename Sem<OP>::Out, kBinary<OP>>;
    unsigned i = 0;
    while (all.groups[i] && all.groups[i] != g) ++i;
    all.groups[i] = g;
    all.rows[row - kFirstGrouped] = uint8_t(2 * i + kBinary<OP>);
  }
}

}  // namespace

constinit const Groups kGroups = [] {
  Groups all;
#define WAFER_OP(id, prefix, code_, text, imm, sig, aux, feature) \
  add_to<Opcode::id>(all, group_number(code::id));
#include "wasm/opcodes.def"
#undef WAFER_OP
  return all;
}();

}  // namespace wafer::interp
