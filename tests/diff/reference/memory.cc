// Loads, stores, atomic accesses and bulk operations.
#include <string_view>

#include "evaluator.h"
#include "threads.h"
#include "wasm/op_tables.h"

namespace wafer::reference {

using runtime::Memory;
using runtime::TrapCode;
using wasm::Instr;
using wasm::Opcode;
using wasm::TypeKind;

namespace {

// What the name of an access says.
struct Access {
  enum class Kind { Load, LoadLanes, LoadSplat, LoadZero, LoadLane, Store, StoreLane, Rmw };
  Kind kind = Kind::Load;
  bool atomic = false;
  unsigned width = 0;      // bits in memory; LoadLanes: of a lane
  unsigned lanes = 0;      // LoadLanes
  bool is_signed = false;  // LoadLanes, narrow Load
  std::string_view rmw;    // "add", "xchg", "cmpxchg"
};

bool take(std::string_view& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  return true;
}
unsigned take_number(std::string_view& name) {
  unsigned out = 0;
  for (; !name.empty() && name[0] >= '0' && name[0] <= '9'; name.remove_prefix(1))
    out = out * 10 + unsigned(name[0] - '0');
  return out;
}

// "i64.atomic.rmw32.add_u", "v128.load8x8_s", "f32.store"
Access access_named(std::string_view name) {
  Access out;
  const size_t dot = name.find('.');
  std::string_view type = name.substr(1, dot - 1);
  const unsigned full = take_number(type);
  name.remove_prefix(dot + 1);
  out.atomic = take(name, "atomic.");
  out.kind = take(name, "load")    ? Access::Kind::Load
             : take(name, "store") ? Access::Kind::Store
                                   : Access::Kind::Rmw;
  if (out.kind == Access::Kind::Rmw) take(name, "rmw");
  out.width = take_number(name);
  if (out.width == 0) out.width = full;
  if (take(name, "x")) {
    out.kind = Access::Kind::LoadLanes;
    out.lanes = take_number(name);
  }
  if (name == "_splat") out.kind = Access::Kind::LoadSplat;
  if (name == "_zero") out.kind = Access::Kind::LoadZero;
  if (name == "_lane")
    out.kind = out.kind == Access::Kind::Load ? Access::Kind::LoadLane : Access::Kind::StoreLane;
  out.is_signed = name == "_s";
  if (out.kind == Access::Kind::Rmw) {
    take(name, ".");
    out.rmw = name.substr(0, name.find('_'));
  }
  return out;
}

Nat modified(std::string_view op, unsigned width, Nat old, Nat operand) {
  if (op == "xchg") return operand;
  return int_binary(op)(width, old, operand).value;  // add, sub, and, or, xor
}

}  // namespace

// Integers lie in memory with the least byte first.
Nat read(const Memory& memory, Nat at, unsigned width) {
  Nat out = 0;
  for (unsigned i = 0; i < width / 8; ++i) out += Nat(memory.base[size_t(at + i)]) * pow2(8 * i);
  return out;
}
void write(Memory& memory, Nat at, unsigned width, Nat value) {
  for (unsigned i = 0; i < width / 8; ++i)
    memory.base[size_t(at + i)] = uint8_t(value / pow2(8 * i) % 256);
}

void Evaluator::access(const Instr& in, Frame& frame, Ending& out) {
  const wasm::OpSig& sig = wasm::kOpFacts[size_t(in.op)].sig();
  const Access a = access_named(wasm::opcode_info(in.op).text);
  Memory& memory = *frame.instance.memories[in.index];
  const Turn turn(memory);
  // All operands but the address, the last one first.
  std::vector<Nat> operands;
  for (unsigned i = 1; i < sig.param_count; ++i) operands.push_back(pop());
  const Nat ea = pop() + in.offset;
  const unsigned bytes = a.width / 8 * (a.lanes ? a.lanes : 1);
  if (a.atomic && ea % bytes != 0) {
    out = trap(TrapCode::UnalignedAtomic);
    return;
  }
  if (ea + bytes > memory.size_bytes()) {
    out = trap(TrapCode::MemoryOutOfBounds);
    return;
  }
  const TypeKind result = sig.results[0];
  const unsigned full = result == TypeKind::I64 ? 64 : 32;
  switch (a.kind) {
    case Access::Kind::Load: {
      const Nat v = read(memory, ea, a.width);
      push(result, a.is_signed ? extend(a.width, full, v, true) : v);
      return;
    }
    case Access::Kind::LoadLanes: {
      std::vector<Nat> lanes;
      for (unsigned i = 0; i < a.lanes; ++i)
        lanes.push_back(
            extend(a.width, 2 * a.width, read(memory, ea + i * a.width / 8, a.width), a.is_signed));
      push(result, vector_of(2 * a.width, lanes));
      return;
    }
    case Access::Kind::LoadSplat:
      push(result, vector_of(a.width, std::vector<Nat>(128 / a.width, read(memory, ea, a.width))));
      return;
    case Access::Kind::LoadZero:
      push(result, read(memory, ea, a.width));
      return;
    case Access::Kind::LoadLane: {
      std::vector<Nat> lanes;
      for (unsigned i = 0; i < 128 / a.width; ++i)
        lanes.push_back(i == in.lane ? read(memory, ea, a.width) : lane(operands[0], a.width, i));
      push(result, vector_of(a.width, lanes));
      return;
    }
    case Access::Kind::Store:
      write(memory, ea, a.width, operands[0]);
      return;
    case Access::Kind::StoreLane:
      write(memory, ea, a.width, lane(operands[0], a.width, in.lane));
      return;
    case Access::Kind::Rmw: {
      const Nat old = read(memory, ea, a.width);
      if (a.rmw == "cmpxchg") {
        // Both the expected value and the replacement are wrapped.
        if (old == wrap(a.width, operands[1])) write(memory, ea, a.width, operands[0]);
      } else {
        write(memory, ea, a.width, modified(a.rmw, a.width, old, wrap(a.width, operands[0])));
      }
      push(result, old);
      return;
    }
  }
}

bool Evaluator::memory(const Instr& in, Frame& frame, Ending& out) {
  switch (in.op) {
    case Opcode::AtomicFence:
      return true;
    case Opcode::MemoryAtomicNotify:
    case Opcode::MemoryAtomicWait32:
    case Opcode::MemoryAtomicWait64:
      wait_or_notify(in, frame, out);
      return true;
    default:
      break;
  }
  const wasm::Imm imm = wasm::opcode_info(in.op).imm;
  if (imm != wasm::Imm::MemArg && imm != wasm::Imm::MemArgLane) return false;
  access(in, frame, out);
  return true;
}

// True if it grew. It may fail at any time, and must beyond the maximum.
bool Evaluator::memory_grow(Memory& memory, Nat delta, Nat& old) {
  const wasm::MemoryType type = memory.type();
  const unsigned page = type.page_size_log2;
  old = memory.size_bytes() / pow2(page);
  Nat most = pow2((type.limits.is64 ? 64 : 32) - page);
  if (page == 0) most -= 1;
  if (type.limits.has_max && type.limits.max < most) most = type.limits.max;
  return old + delta <= most && memory.grow(uint64_t(delta)) != ~uint64_t{0};
}

bool Evaluator::bulk_memory(const Instr& in, Frame& frame, Ending& out) {
  const auto out_of_bounds = [&] { out = trap(TrapCode::MemoryOutOfBounds); };
  switch (in.op) {
    case Opcode::MemorySize: {
      const Memory& m = *frame.instance.memories[in.index];
      const wasm::MemoryType type = m.type();
      push_address(type.limits.is64, m.byte_size.load() / pow2(type.page_size_log2));
      return true;
    }
    case Opcode::MemoryGrow: {
      Memory& m = *frame.instance.memories[in.index];
      const wasm::MemoryType type = m.type();
      const Turn turn(m);
      const Nat delta = pop();
      Nat old = 0;
      const bool grown = memory_grow(m, delta, old);
      push_address(type.limits.is64, grown ? old : pow2(type.limits.is64 ? 64 : 32) - 1);
      if (!grown) return true;
      // The new pages are there, and zero.
      const Nat bytes = old * pow2(type.page_size_log2);
      if (m.size_bytes() != bytes + delta * pow2(type.page_size_log2))
        out = trap(TrapCode::HostError, "memory.grow: wrong size");
      for (Nat i = bytes; i < m.size_bytes(); ++i)
        if (m.base[size_t(i)] != 0) out = trap(TrapCode::HostError, "memory.grow: not zero");
      return true;
    }
    case Opcode::MemoryFill: {
      Memory& m = *frame.instance.memories[in.index];
      const Turn turn(m);
      const Nat n = pop(), value = pop(), d = pop();
      if (d + n > m.size_bytes()) return out_of_bounds(), true;
      for (Nat i = 0; i < n; ++i) write(m, d + i, 8, value);
      return true;
    }
    case Opcode::MemoryCopy: {
      Memory& to = *frame.instance.memories[in.index];
      const Memory& from = *frame.instance.memories[in.index2];
      const Turn turn(to.shared() ? to : from);
      const Nat n = pop(), s = pop(), d = pop();
      if (s + n > from.byte_size.load() || d + n > to.size_bytes()) return out_of_bounds(), true;
      std::vector<Nat> copied;
      for (Nat i = 0; i < n; ++i) copied.push_back(read(from, s + i, 8));
      for (Nat i = 0; i < n; ++i) write(to, d + i, 8, copied[size_t(i)]);
      return true;
    }
    case Opcode::MemoryInit: {
      Memory& to = *frame.instance.memories[in.index2];
      const Bytes segment = frame.instance.data(in.index);
      const Turn turn(to);
      const Nat n = pop(), s = pop(), d = pop();
      if (s + n > segment.size() || d + n > to.size_bytes()) return out_of_bounds(), true;
      for (Nat i = 0; i < n; ++i) write(to, d + i, 8, segment[size_t(s + i)]);
      return true;
    }
    case Opcode::DataDrop:
      frame.instance.data_dropped[in.index] = true;
      return true;
    default:
      return false;
  }
}

}  // namespace wafer::reference
