// A debugging aid: embedded builds leave it out.
#include "base/platform.h"
#if WAFER_HAS_OS

// Text listing of register code, for debugging and tests.
#include <cstdio>

#include "interp/code.h"
#include "interp/interp.h"
#include "interp/ops.h"

namespace wafer::interp {

namespace {

struct OpName {
  std::string_view name;
  std::string_view suffix;
  uint8_t words = 1;
};

constexpr std::string_view kBinSuffix[] = {".ss", ".as", ".sa", ".si", ".ai"};
constexpr std::string_view kLoadSuffix[] = {".s", ".a", ".s.checked", ".a.checked", ".far"};
constexpr std::string_view kStoreSuffix[] = {
    ".ss", ".as", ".sa", ".si", ".ss.checked", ".as.checked", ".sa.checked", ".si.checked", ".far"};
constexpr std::string_view kVecSuffix[] = {"", ".checked", ".far"};

constexpr std::string_view kSpecialNames[] = {
#define X(name, feature) WAFER_IF_BUILT(feature, #name, )
    WAFER_SPECIAL_OPS(X)
#undef X
};

// Words that a special operation takes; BrTable's table comes on top.
constexpr uint8_t special_words(Special s) {
  switch (s) {
    case Special::Exit:
    case Special::Unreachable:
    case Special::Copy:
    case Special::CopyA:
    case Special::Copy128:
    case Special::CopyMany:
    case Special::Return:
    case Special::Return1S:
    case Special::Return1A:
    case Special::RefIsNull:
    case Special::RefAsNonNull:
    case Special::RefEq:
    case Special::RefI31:
    case Special::I31GetS:
    case Special::I31GetU:
    case Special::ArrayGet8S:
    case Special::ArrayGet8U:
    case Special::ArrayGet16S:
    case Special::ArrayGet16U:
    case Special::ArrayGet32:
    case Special::ArrayGet64:
    case Special::ArrayGet128:
    case Special::ArraySet8:
    case Special::ArraySet16:
    case Special::ArraySet32:
    case Special::ArraySet64:
    case Special::ArraySet128:
    case Special::ArrayLen:
    case Special::AtomicFence:
    case Special::CheckDescriptor:
      return 1;
    case Special::Const128:
    case Special::CallIndirect:
    case Special::ReturnCall:
    case Special::StructNew:
    case Special::StructNewDefault:
    case Special::ArrayNew:
    case Special::ArrayNewDefault:
    case Special::Throw:
    case Special::AtomicNotify:
    case Special::Fuel:
    case Special::Suspend:
    case Special::Switch:
      return 3;
    case Special::ReturnCallIndirect:
    case Special::ArrayNewFixed:
    case Special::ArrayNewData:
    case Special::ArrayNewElem:
    case Special::AtomicWait32:
    case Special::AtomicWait64:
    case Special::Resume:
      return 4;
    default:
      return 2;
  }
}

// The variant whose operation is number `at` of those that `op` has.
unsigned variant_at(Opcode op, unsigned at) {
  unsigned v = 0;
  while (kLayout.forms[row_of(op).forms][v] != at) ++v;
  return v;
}

OpName name_of(uint16_t id) {
  if (id >= kLayout.count) {
    const auto s = Special(id - kLayout.count);
    return {kSpecialNames[unsigned(s)], "", special_words(s)};
  }
  for (unsigned i = 0; i < unsigned(Opcode::Count); ++i) {
    const auto op = Opcode(i);
    const OpRow& row = row_of(op);
    const Shape shape = row.shape();
    const unsigned variants = shape == Shape::Special ? 0 : kLayout.size(row.forms);
    if (id >= row.first && id < row.first + variants) {
      const unsigned v = variant_at(op, id - row.first);
      const auto& f = kFacts[i];
      switch (shape) {
        case Shape::BinInt:
        case Shape::BinFloat:
          return {f.text, kBinSuffix[v], uint8_t(v >= kSI ? 2 : 1)};
        case Shape::Unary:
          return {f.text, v ? ".a" : ".s", 1};
        case Shape::Load:
          return {f.text, kLoadSuffix[v], uint8_t(v == kLoadFar ? 3 : 1)};
        case Shape::Store:
          return {f.text, kStoreSuffix[v], uint8_t(v == kStoreFar ? 3 : v % 4 == kStoreSI ? 2 : 1)};
        case Shape::VecLoad:
        case Shape::VecStore:
          return {f.text, kVecSuffix[v], uint8_t(v == kVecFar ? 3 : 1)};
        case Shape::VecLane:
        case Shape::Atomic:
          return {f.text, "", 3};
        case Shape::Wide:
          return {f.text, "", 2};
        default:
          return {f.text, "",
                  uint8_t(f.imm == wasm::Imm::Shuffle                    ? 3
                          : f.imm == wasm::Imm::Lane || f.sig == "vvv:v" ? 2
                                                                         : 1)};
      }
    }
    const unsigned branches = is_int_compare(op) ? variants : has_float_branch(op) ? 2 : 0;
    if (branches && id >= branch_id(op, 0) && id < branch_id(op, 0) + branches) {
      const unsigned at = id - branch_id(op, 0);
      return {kFacts[i].text,
              is_int_compare(op) ? kBinSuffix[variant_at(op, at)]
              : at == kIfFalse   ? ".unless"
                                 : ".if",
              2};
    }
  }
  return {"?", "", 1};
}

}  // namespace

Result<String> disassemble(Instance& instance, uint32_t func_index) {
  auto* code = static_cast<ModuleCodeImpl*>(instance.code.get());
  if (!code || func_index >= code->func_count || instance.module->functions[func_index].imported)
    return failure(ErrorKind::Usage, "no such function in this module");
  FuncCode& f = code->funcs[func_index];
  if (!code->ensure(f)) return Error(f.failed.error());
  String out;
  char line[160];
  for (size_t at = 0; at < f.code.size();) {
    const Word w = f.code[at];
    const OpName n = name_of(uint16_t(w));
    std::snprintf(line, sizeof(line), "%5zu  %.*s%.*s %u %u %u", at, int(n.name.size()),
                  n.name.data(), int(n.suffix.size()), n.suffix.data(), unsigned(uint16_t(w >> 16)),
                  unsigned(uint16_t(w >> 32)), unsigned(uint16_t(w >> 48)));
    out += line;
    size_t words = n.words;
    if (uint16_t(w) == op_id(Special::BrTable)) words += size_t(uint32_t(f.code[at + 1])) + 1;
    for (size_t i = 1; i < words && at + i < f.code.size(); ++i) {
      std::snprintf(line, sizeof(line), " | %llx", static_cast<unsigned long long>(f.code[at + i]));
      out += line;
    }
    out += '\n';
    at += words;
  }
  return out;
}

}  // namespace wafer::interp

#endif
