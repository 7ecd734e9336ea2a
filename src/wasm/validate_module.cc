// Validation of everything but code (spec 3.5).
#include "wasm/cursor.h"
#include "wasm/feature_name.h"
#include "wasm/validator.h"

namespace wafer::wasm {

namespace {

WAFER_COLD Result<void> invalid(std::string_view message, uint32_t at) {
  return Error(ErrorKind::Invalid, message, at);
}

WAFER_COLD Result<void> invalid_text(Text message, uint32_t at) {
  return failure(ErrorKind::Invalid, message, at);
}
WAFER_ALWAYS_INLINE Result<void> invalid(const char* message, uint32_t at) {
  return invalid_text(message, at);
}
WAFER_COLD Result<void> unknown(Text what, uint32_t index, uint32_t at) {
  if (kBrief) return invalid_text(what, at);
  String s = what.text;
  s += ' ';
  return invalid(message_with(s, index), at);
}

// `at` is the offset of the entry that errors name.
Result<void> check_limits(const Limits& limits, uint64_t range, Text message, uint32_t at) {
  if (limits.min > range || (limits.has_max && limits.max > range))
    return invalid_text(message, at);
  if (limits.has_max && limits.min > limits.max)
    return invalid("size minimum must not be greater than maximum", at);
  return {};
}

Result<void> check_table_type(const TableType& type, uint32_t at) {
  if (type.limits.has_64()) return check_limits(type.limits, ~uint64_t{0}, "", at);
  return check_limits(type.limits, 0xFFFFFFFF, "table size must be at most 2^32-1", at);
}

Result<void> check_memory_type(const MemoryType& type, uint32_t at) {
  if (type.page_size_log2 != 16 && type.page_size_log2 != 0)
    return invalid("invalid custom page size", at);
  // The memory may hold 2^32 or 2^64 bytes, and the page count must be an address.
  const unsigned bits = type.limits.has_64() ? 64 : 32;
  if (type.page_size_log2 == 0) {
    WAFER_TRY(check_limits(type.limits, type.limits.has_64() ? ~uint64_t{0} : 0xFFFFFFFF,
                           "memory size must be at most 2^32-1 pages", at));
  } else {
    WAFER_TRY(check_limits(type.limits, uint64_t{1} << (bits - 16),
                           type.limits.has_64() ? "memory size must be at most 2^48 pages (256TiB)"
                                                : "memory size must be at most 65536 pages (4GiB)",
                           at));
  }
  if (type.limits.is_shared() && !type.limits.has_max)
    return invalid("shared memory must have maximum", at);
  return {};
}

Result<void> check_exports(const Module& module) {
#if WAFER_HAS_OS
  std::unordered_set<std::string_view, std::hash<std::string_view>, std::equal_to<>,
                     StdAllocator<std::string_view>>
      names;
  names.reserve(module.exports.size());
  const auto is_new = [&](const Export& e) { return names.insert(e.name).second; };
#else
  const auto is_new = [&](const Export& e) {
    for (const Export* other = module.exports.data(); other != &e; ++other)
      if (other->name == e.name) return false;
    return true;
  };
#endif
  for (const Export& e : module.exports) {
    size_t count = 0;
    const char* what = nullptr;
    switch (e.kind) {
      case ExternKind::Func:
        count = module.functions.size(), what = "unknown function";
        break;
      case ExternKind::Table:
        count = module.tables.size(), what = "unknown table";
        break;
      case ExternKind::Memory:
        count = module.memories.size(), what = "unknown memory";
        break;
      case ExternKind::Global:
        count = module.globals.size(), what = "unknown global";
        break;
      case ExternKind::Tag:
        count = module.tags.size(), what = "unknown tag";
        break;
    }
    if (e.index >= count) return unknown(what, e.index, e.offset);
    if (!is_new(e)) {
      if (kBrief) return invalid("duplicate export name", e.offset);
      String message = "duplicate export name \"";
      message += e.name;
      message += '"';
      return invalid(message, e.offset);
    }
  }
  return {};
}

}  // namespace

Result<void> validate_before_code(const Module& module) {
  const auto imported_globals = module.imported_globals;
  const auto all_globals = uint32_t(module.globals.size());
  const bool resumable = module.features.has(Feature::StackSwitching);
  if constexpr (is_built(Feature::Exceptions)) {
    for (const Tag& tag : module.tags)
      if (!resumable && !module.types[tag.type_index].func.results.empty())
        return invalid("non-empty tag result type", tag.offset);
  }
  for (const Memory& memory : module.memories)
    WAFER_TRY(check_memory_type(memory.type, memory.offset));
  if (module.memories.size() > 1 && !module.features.has(Feature::MultiMemory))
    return invalid(off_message(Feature::MultiMemory, "multiple memories"),
                   module.memories[1].offset);

  if (module.tables.size() > 1 && !module.features.has(Feature::ReferenceTypes))
    return invalid(off_message(Feature::ReferenceTypes, "multiple tables"),
                   module.tables[1].offset);

  FuncValidator exprs(module);
  for (const Table& table : module.tables) {
    WAFER_TRY(check_table_type(table.type, table.offset));
    if (is_built(Feature::FunctionReferences) && table.init) {
      if (!exprs.check_const(*table.init, table.type.element, imported_globals))
        return exprs.take_failure();
    } else if (!table.imported && !table.type.element.defaultable()) {
      return invalid(WAFER_MESSAGE("type mismatch", "type mismatch: table of type " +
                                                        to_string(table.type.element) +
                                                        " needs an initializer"),
                     table.offset);
    }
  }
  for (uint32_t i = imported_globals; i < all_globals; ++i)
    if (!exprs.check_const(module.globals[i].init, module.globals[i].type.type, i))
      return exprs.take_failure();
  for (const ElemSegment& elem : module.elems) {
    for (uint32_t func : elem.funcs)
      if (func >= module.functions.size())
        return unknown("unknown function", func, elem.offset.begin);
    for (const ConstExpr& expr : elem.exprs)
      if (!exprs.check_const(expr, elem.type, all_globals)) return exprs.take_failure();
    if (elem.mode != SegmentMode::Active) continue;
    if (elem.table >= module.tables.size())
      return unknown("unknown table", elem.table, elem.offset.begin);
    const TableType& table = module.tables[elem.table].type;
    if (!module.is_subtype(elem.type, table.element))
      return invalid(
          WAFER_MESSAGE("type mismatch",
                        "type mismatch: element segment's type " + to_string(elem.type) +
                            " does not match table's element type " + to_string(table.element)),
          elem.offset.begin);
    if (!exprs.check_const(elem.offset, table.limits.address_type(), all_globals))
      return exprs.take_failure();
  }
  if (module.start) {
    if (*module.start >= module.functions.size())
      return unknown("unknown function", *module.start, module.start_offset);
    const FuncType& type = module.func_type(*module.start);
    if (!type.params.empty() || !type.results.empty())
      return invalid("start function must not have parameters or results", module.start_offset);
  }
  return check_exports(module);
}

Result<void> validate_datas(const Module& module) {
  FuncValidator exprs(module);
  for (const DataSegment& data : module.datas) {
    if (data.mode != SegmentMode::Active) continue;
    if (data.memory >= module.memories.size())
      return unknown("unknown memory", data.memory, data.offset.begin);
    const ValType address = module.memories[data.memory].type.limits.address_type();
    if (!exprs.check_const(data.offset, address, uint32_t(module.globals.size())))
      return exprs.take_failure();
  }
  return {};
}

Result<void> validate_module_fields(const Module& module) {
  WAFER_TRY(validate_before_code(module));
  return validate_datas(module);
}

}  // namespace wafer::wasm
