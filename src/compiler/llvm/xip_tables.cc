// Tables whose elements are known when code that runs in place is made.
#include <cstring>

#include "compiler/llvm/translate.h"
#include "runtime/store.h"

namespace wafer::compiler {

namespace {

using wasm::Opcode;

// Does code write elements of `table`?
bool is_written(const wasm::Module& module, uint32_t table) {
  constexpr uint8_t kPrefix = 0xFC;  // of the instructions below
  for (uint32_t f = module.imported_functions; f < module.functions.size(); ++f) {
    const wasm::ByteRange body = module.functions[f].body;
    if (!std::memchr(module.bytes.data() + body.begin, kPrefix, body.size())) continue;
    wasm::FuncValidator v(module);
    wasm::Instr in;
    if (!v.begin(f)) return true;
    while (!v.done()) {
      if (!v.read(in)) return true;
      if (in.op == Opcode::TableCopy && in.index == table) return true;
      if (in.op == Opcode::TableInit && in.index2 == table) return true;
      if (!v.apply(in)) return true;
    }
  }
  return false;
}

// Where an active segment begins; nothing if it may be one that ends instantiation, after which
// those behind it have not been written.
std::optional<uint32_t> begin_of(const wasm::Module& module, const wasm::ElemSegment& segment) {
  const wasm::Table& table = module.tables[segment.table];
  runtime::Slot at = 0;
  if (table.imported || segment.uses_exprs || !runtime::const_integer(module, segment.offset, at) ||
      at + segment.size() > table.type.limits.min)
    return std::nullopt;
  return uint32_t(at);
}

constexpr uint32_t kNoFunction = ~0u;

// Functions by element up to the last one that there is; nothing if that is not known.
std::vector<uint32_t> elements_of(const wasm::Module& module, uint32_t index) {
  const wasm::Table& table = module.tables[index];
  if (table.imported || table.init) return {};
  for (const wasm::Export& e : module.exports)
    if (e.kind == wasm::ExternKind::Table && e.index == index) return {};
  std::vector<std::pair<uint32_t, const wasm::ElemSegment*>> segments;
  size_t written = 0, end = 0;
  for (const wasm::ElemSegment& segment : module.elems) {
    if (segment.mode != wasm::SegmentMode::Active) continue;
    const auto begin = begin_of(module, segment);
    if (!begin) return {};
    if (segment.table != index) continue;
    segments.emplace_back(*begin, &segment);
    written += segment.size();
    end = std::max(end, *begin + size_t(segment.size()));
  }
  // Few functions far behind would make a file of a module of a few bytes large.
  if (end / 4 > written || is_written(module, index)) return {};
  std::vector<uint32_t> out(end, kNoFunction);
  for (const auto& [begin, segment] : segments)
    std::copy(segment->funcs.begin(), segment->funcs.end(), out.begin() + ptrdiff_t(begin));
  return out;
}

}  // namespace

const XipTable& ModuleTranslator::xip_table(uint32_t index) {
  const auto [at, is_new] = xip_tables_.try_emplace(index);
  XipTable& table = at->second;
  if (!is_new) return table;
  const std::vector<uint32_t> elements = elements_of(module, index);
  const auto functions = size_t(llvm::count_if(
      elements, [&](uint32_t f) { return f != kNoFunction && !module.functions[f].imported; }));
  if (functions == 0) return table;

  auto* row_type = llvm::StructType::get(i32, i32);
  auto* type = llvm::ArrayType::get(row_type, elements.size());
  table.count = uint32_t(elements.size());
  table.rows =
      new llvm::GlobalVariable(*ir, type, /*isConstant=*/true, llvm::GlobalValue::InternalLinkage,
                               nullptr, "table" + std::to_string(index));
  table.rows->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);
  llvm::Constant* const begin = llvm::ConstantExpr::getPtrToInt(table.rows, i32);
  std::vector<llvm::Constant*> rows;
  for (const uint32_t f : elements) {
    if (f == kNoFunction || module.functions[f].imported) {
      rows.push_back(llvm::Constant::getNullValue(row_type));
      continue;
    }
    const uint32_t canon = module.canon[module.functions[f].type_index];
    const uint32_t id = table.types.try_emplace(canon, table.types.size() + 1).first->second;
    llvm::Constant* const distance =
        llvm::ConstantExpr::getSub(llvm::ConstantExpr::getPtrToInt(function(f), i32), begin);
    rows.push_back(
        llvm::ConstantStruct::get(row_type, {distance, llvm::ConstantInt::get(i32, id)}));
  }
  table.rows->setInitializer(llvm::ConstantArray::get(type, rows));
  if (table.types.size() == 1 && functions == elements.size()) table.only = 1;
  return table;
}

}  // namespace wafer::compiler
