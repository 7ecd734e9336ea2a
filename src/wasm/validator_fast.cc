// The common instructions at once, for whole bodies. Small systems do without.
#include "base/platform.h"
#if WAFER_HAS_OS

#include "wasm/validator_types.h"

namespace wafer::wasm {

namespace {

// How run() treats a one-byte opcode; Slow leaves it to read_instr and step.
enum class Fast : uint8_t {
  Slow,
  Nop,
  LocalGet,
  LocalSet,
  LocalTee,
  GlobalGet,
  GlobalSet,
  Const32,
  Const64,
  ConstFloat,
  Load,
  Store,
  Unary,
  Binary,
  Block,
  If,
  End,
  Br,
  BrIf,
  Return,
  Call,
  Drop,
  Select,
};

struct FastOp {
  Fast fast = Fast::Slow;
  uint8_t aux = 0;  // alignment, or size of a constant
  ValType in, out;  // operand and result type
};

constexpr auto kFastOps = [] {
  std::array<FastOp, 256> table{};
  for (unsigned b = 0; b < 256; ++b) {
    const Opcode op = Opcode(kByteOpcodes[b]);
    if (op == Opcode::Illegal) continue;
    const OpFacts& facts = kOpFacts[size_t(op)];
    if (facts.feature != Feature::Core) continue;
    const OpSig& sig = facts.sig();
    FastOp& fast = table[b];
    fast.aux = facts.aux;
    if (facts.imm == Imm::MemArg) {
      fast.fast = sig.result_count ? Fast::Load : Fast::Store;
      fast.in = sig.result_count ? TypeKind::Bot : sig.params[1];
      fast.out = sig.result_count ? sig.results[0] : TypeKind::Bot;
    } else if (facts.imm == Imm::None && !sig.custom && sig.result_count == 1) {
      fast.fast = sig.param_count == 1 ? Fast::Unary : Fast::Binary;
      fast.in = sig.params[0];
      fast.out = sig.results[0];
    }
    switch (op) {
      case Opcode::Nop:
        fast.fast = Fast::Nop;
        break;
      case Opcode::LocalGet:
        fast.fast = Fast::LocalGet;
        break;
      case Opcode::LocalSet:
        fast.fast = Fast::LocalSet;
        break;
      case Opcode::LocalTee:
        fast.fast = Fast::LocalTee;
        break;
      case Opcode::GlobalGet:
        fast.fast = Fast::GlobalGet;
        break;
      case Opcode::GlobalSet:
        fast.fast = Fast::GlobalSet;
        break;
      case Opcode::I32Const:
        fast.fast = Fast::Const32;
        break;
      case Opcode::I64Const:
        fast.fast = Fast::Const64;
        break;
      case Opcode::F32Const:
        fast = {Fast::ConstFloat, 4, kBot, kF32};
        break;
      case Opcode::F64Const:
        fast = {Fast::ConstFloat, 8, kBot, kF64};
        break;
      case Opcode::Block:
      case Opcode::Loop:
        fast.fast = Fast::Block;
        break;
      case Opcode::If:
        fast.fast = Fast::If;
        break;
      case Opcode::End:
        fast.fast = Fast::End;
        break;
      case Opcode::Br:
        fast.fast = Fast::Br;
        break;
      case Opcode::BrIf:
        fast.fast = Fast::BrIf;
        break;
      case Opcode::Return:
        fast.fast = Fast::Return;
        break;
      case Opcode::Call:
        fast.fast = Fast::Call;
        break;
      case Opcode::Drop:
        fast.fast = Fast::Drop;
        break;
      case Opcode::Select:
        fast.fast = Fast::Select;
        break;
      default:
        break;
    }
  }
  return table;
}();

// Reads an index of one or two bytes; false for longer ones, which take the
// slow path with its checks.
WAFER_ALWAYS_INLINE bool short_index(const uint8_t*& p, uint32_t& out) {
  const uint32_t a = p[0];
  if (WAFER_LIKELY(a < 0x80)) {
    out = a;
    p += 1;
    return true;
  }
  const uint32_t b = p[1];
  if (b >= 0x80) return false;
  out = (a & 0x7F) | b << 7;
  p += 2;
  return true;
}

// Skips a LEB128 of at most `most` bytes, too few for it to be ill-formed.
WAFER_ALWAYS_INLINE bool skip_leb(const uint8_t*& p, unsigned most) {
  for (unsigned i = 0; i < most; ++i)
    if (*p++ < 0x80) return true;
  return false;
}

}  // namespace

// Validates up to the body's end. The common instructions, in their common
// shapes and with operands of exactly the right types, are dealt with right
// here; whatever else comes goes through read_instr and step, which find every
// error. So the fast paths only ever accept.
bool FuncValidator::run() {
  // No fast path looks further ahead than this.
  constexpr ptrdiff_t kLookAhead = 16;
  const uint8_t* p = reader_.pos_;
  const uint8_t* const fast_end = reader_.end_ - p > kLookAhead ? reader_.end_ - kLookAhead : p;
  ValType *sp = sp_, *floor = floor_;
  const ValType* const locals = locals_.data();
  const auto local_count = uint32_t(locals_.size());
  const bool tracks_inits = tracks_inits_;
  const bool has_memory = !module_.memories.empty();
  const ValType address = has_memory ? module_.memories[0].type.limits.address_type() : kBot;
  const Global* const globals = module_.globals.data();
  const auto global_count = uint32_t(module_.globals.size());

  for (;;) {
    if (WAFER_LIKELY(p < fast_end && sp <= soft_limit_)) {
      const FastOp op = kFastOps[*p];
      const uint8_t* q = p + 1;
      uint32_t index = 0;
      switch (op.fast) {
        case Fast::Slow:
          break;
        case Fast::Nop:
          p = q;
          continue;
        case Fast::LocalGet:
          if (!short_index(q, index) || index >= local_count) break;
          if (tracks_inits && !local_set_[index]) break;
          *sp++ = locals[index];
          p = q;
          continue;
        case Fast::LocalSet:
          if (!short_index(q, index) || index >= local_count) break;
          if (sp == floor || sp[-1] != locals[index]) break;
          if (tracks_inits && !local_set_[index]) break;
          --sp;
          p = q;
          continue;
        case Fast::LocalTee:
          if (!short_index(q, index) || index >= local_count) break;
          if (sp == floor || sp[-1] != locals[index]) break;
          if (tracks_inits && !local_set_[index]) break;
          p = q;
          continue;
        case Fast::GlobalGet:
          if (!short_index(q, index) || index >= global_count) break;
          *sp++ = globals[index].type.type;
          p = q;
          continue;
        case Fast::GlobalSet:
          if (!short_index(q, index) || index >= global_count) break;
          if (!globals[index].type.is_mutable) break;
          if (sp == floor || sp[-1] != globals[index].type.type) break;
          --sp;
          p = q;
          continue;
        case Fast::Const32:
          if (!skip_leb(q, 4)) break;
          *sp++ = kI32;
          p = q;
          continue;
        case Fast::Const64:
          if (!skip_leb(q, 9)) break;
          *sp++ = kI64;
          p = q;
          continue;
        case Fast::ConstFloat:
          *sp++ = op.out;
          p = q + op.aux;
          continue;
        case Fast::Load:
          if (*q++ > op.aux || !skip_leb(q, 4)) break;
          if (!has_memory || sp == floor || sp[-1] != address) break;
          sp[-1] = op.out;
          p = q;
          continue;
        case Fast::Store:
          if (*q++ > op.aux || !skip_leb(q, 4)) break;
          if (!has_memory || sp - floor < 2 || sp[-1] != op.in || sp[-2] != address) break;
          sp -= 2;
          p = q;
          continue;
        case Fast::Unary:
          if (sp == floor || sp[-1] != op.in) break;
          sp[-1] = op.out;
          p = q;
          continue;
        case Fast::Binary:
          if (sp - floor < 2 || sp[-1] != op.in || sp[-2] != op.in) break;
          sp[-2] = op.out;
          --sp;
          p = q;
          continue;
        case Fast::Block:
        case Fast::If: {
          const uint8_t type = *q++;
          Types results;
          if (type >= 0x7C && type <= 0x7F)
            results = {&kNumTypes[0x7F - type], 1};
          else if (type != 0x40)
            break;
          if (op.fast == Fast::If) {
            if (sp == floor || sp[-1] != kI32) break;
            --sp;
          }
          sp_ = sp;
          at_ = uint32_t(p - reader_.base_);
          if (!push_frame(Opcode(kByteOpcodes[*p]), {}, results)) return false;
          floor = floor_;
          p = q;
          continue;
        }
        case Fast::End: {
          const ControlFrame& frame = control_.back();
          const size_t count = frame.results.size();
          if (count > 1 || size_t(sp - floor) != count || control_.size() == 1) break;
          if (count == 1 && (sp[-1] != frame.results[0] || frame.op == Opcode::If)) break;
          if (!frame.params.empty() || init_trail_.size() != frame.init_height) break;
          control_.pop_back();
          floor_ = floor = stack_ + control_.back().height;
          p = q;
          continue;
        }
        case Fast::Br:
        case Fast::BrIf: {
          if (!short_index(q, index) || index >= control_.size()) break;
          const Types types = control_[control_.size() - 1 - index].label_types();
          const ValType* top = sp;
          if (op.fast == Fast::BrIf) {
            if (top == floor || top[-1] != kI32) break;
            --top;
          }
          if (types.size() > 1) break;
          if (types.size() == 1 && (top == floor || top[-1] != types[0])) break;
          if (op.fast == Fast::BrIf) {
            --sp;
          } else {
            sp = floor;
            control_.back().unreachable = true;
          }
          p = q;
          continue;
        }
        case Fast::Return:
          if (results_.size() > 1) break;
          if (results_.size() == 1 && (sp == floor || sp[-1] != results_[0])) break;
          sp = floor;
          control_.back().unreachable = true;
          p = q;
          continue;
        case Fast::Call: {
          index = 0;
          unsigned shift = 0;
          do {
            index |= uint32_t(*q & 0x7F) << shift;
            shift += 7;
          } while (*q++ >= 0x80 && shift < 28);
          if (q[-1] >= 0x80 || index >= module_.functions.size()) break;
          const FuncType& type = module_.func_type(index);
          const size_t count = type.params.size();
          if (size_t(sp - floor) < count) break;
          bool same = true;
          for (size_t i = 0; i < count; ++i)
            same &= sp[ptrdiff_t(i) - ptrdiff_t(count)] == type.params[i];
          if (!same) break;
          sp -= count;
          for (ValType t : type.results) *sp++ = t;
          p = q;
          continue;
        }
        case Fast::Drop:
          if (sp == floor) break;
          --sp;
          p = q;
          continue;
        case Fast::Select:
          if (sp - floor < 3 || sp[-1] != kI32 || sp[-2] != sp[-3]) break;
          if (!is_num_or_vec(sp[-2])) break;
          sp -= 2;
          p = q;
          continue;
      }
    }
    reader_.pos_ = p;
    sp_ = sp;
    if (WAFER_UNLIKELY(reader_.at_end()) || !reader_.read_instr(scratch_) || !step(scratch_))
      return false;
    if (done()) return true;
    p = reader_.pos_;
    sp = sp_;
    floor = floor_;
  }
}

}  // namespace wafer::wasm

#endif
