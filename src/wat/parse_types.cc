// Types (spec 6.4).
#include "wat/module_parser.h"

namespace wafer::wat {

namespace {

struct AbstractHeap {
  std::string_view heap, ref;
  HeapKind kind;
};
constexpr AbstractHeap kHeaps[] = {
    {"func", "funcref", HeapKind::Func},       {"nofunc", "nullfuncref", HeapKind::NoFunc},
    {"extern", "externref", HeapKind::Extern}, {"noextern", "nullexternref", HeapKind::NoExtern},
    {"any", "anyref", HeapKind::Any},          {"eq", "eqref", HeapKind::Eq},
    {"i31", "i31ref", HeapKind::I31},          {"struct", "structref", HeapKind::Struct},
    {"array", "arrayref", HeapKind::Array},    {"none", "nullref", HeapKind::None},
    {"exn", "exnref", HeapKind::Exn},          {"noexn", "nullexnref", HeapKind::NoExn},
    {"cont", "contref", HeapKind::Cont},       {"nocont", "nullcontref", HeapKind::NoCont},
};

}  // namespace

Result<HeapType> ModuleParser::heap_type() {
  if (peek().kind == TokenKind::Keyword) {
    for (const auto& h : kHeaps)
      if (peek().text == h.heap) {
        ++p_;
        return HeapType(h.kind);
      }
    return unexpected();
  }
  const bool exact = open("exact");
  WAFER_LET(i, index(types_));
  if (i > wasm::kMaxTypeIndex) return fail("unknown type");
  if (exact) WAFER_TRY(close());
  return HeapType::concrete(i, exact);
}

bool ModuleParser::at_ref_type() const {
  if (at_open("ref")) return true;
  if (peek().kind != TokenKind::Keyword) return false;
  for (const auto& h : kHeaps)
    if (peek().text == h.ref) return true;
  return false;
}

Result<ValType> ModuleParser::ref_type() {
  if (peek().kind == TokenKind::Keyword) {
    for (const auto& h : kHeaps)
      if (peek().text == h.ref) {
        ++p_;
        return ValType::ref(h.kind, true);
      }
  }
  if (!open("ref")) return unexpected();
  const bool nullable = take_keyword("null");
  WAFER_LET(h, heap_type());
  WAFER_TRY(close());
  return ValType::ref(h, nullable);
}

Result<ValType> ModuleParser::val_type() {
  if (take_keyword("i32")) return wasm::kI32;
  if (take_keyword("i64")) return wasm::kI64;
  if (take_keyword("f32")) return wasm::kF32;
  if (take_keyword("f64")) return wasm::kF64;
  if (take_keyword("v128")) return wasm::kV128;
  return ref_type();
}

Result<void> ModuleParser::func_type(FuncType& type, DebugNames* names, IdMap* ids) {
  while (open("param")) {
    if (at_binding()) {
      if (!ids) return unexpected();
      WAFER_TRY(binding("local", uint32_t(type.params.size()), *ids, names));
      WAFER_LET(t, val_type());
      type.params.push_back(t);
    } else {
      while (peek().kind != TokenKind::Close) {
        WAFER_LET(t, val_type());
        type.params.push_back(t);
      }
    }
    WAFER_TRY(close());
  }
  while (open("result")) {
    while (peek().kind != TokenKind::Close) {
      WAFER_LET(t, val_type());
      type.results.push_back(t);
    }
    WAFER_TRY(close());
  }
  if (at_open("param")) return fail("unexpected token: result before parameter");
  return {};
}

Result<FieldType> ModuleParser::field_type() {
  FieldType f;
  f.is_mutable = open("mut");
  if (take_keyword("i8"))
    f.storage = TypeKind::I8;
  else if (take_keyword("i16"))
    f.storage = TypeKind::I16;
  else {
    WAFER_LET(t, val_type());
    f.storage = t;
  }
  if (f.is_mutable) WAFER_TRY(close());
  return f;
}

Result<void> ModuleParser::comp_type(SubType& type, uint32_t type_index) {
  if (open("func")) {
    type.kind = CompKind::Func;
    IdMap ids;
    WAFER_TRY(func_type(type.func, nullptr, &ids));
    return close();
  }
  if (open("struct")) {
    type.kind = CompKind::Struct;
    DebugNames names;
    while (open("field")) {
      if (at_binding()) {
        WAFER_TRY(binding("field", uint32_t(type.fields.size()), fields_[type_index], &names));
        WAFER_LET(f, field_type());
        type.fields.push_back(f);
      } else {
        while (peek().kind != TokenKind::Close) {
          WAFER_LET(f, field_type());
          type.fields.push_back(f);
        }
      }
      WAFER_TRY(close());
    }
    if (!names.empty()) names_.fields.entries.emplace_back(type_index, wasm::NameMap{names});
    return close();
  }
  if (open("cont")) {
    type.kind = CompKind::Cont;
    WAFER_LET(t, index(types_));
    type.cont = t;
    return close();
  }
  if (open("array")) {
    type.kind = CompKind::Array;
    WAFER_LET(f, field_type());
    type.fields.push_back(f);
    return close();
  }
  return unexpected();
}

// (describes t)? (descriptor t)?, of the custom descriptors proposal.
Result<void> ModuleParser::descriptor_clauses(SubType& type) {
  const std::pair<std::string_view, uint32_t*> clauses[] = {{"describes", &type.describes},
                                                            {"descriptor", &type.descriptor}};
  for (const auto& [keyword, to] : clauses) {
    if (!open(keyword)) continue;
    WAFER_LET(other, index(types_));
    *to = other;
    WAFER_TRY(close());
  }
  return {};
}

Result<void> ModuleParser::type_def() {
  skip_binding();
  SubType t;
  const uint32_t index = uint32_t(defs_.size());
  if (open("sub")) {
    t.sub_written = true;
    t.is_final = take_keyword("final");
    if (at_index()) {
      WAFER_LET(s, this->index(types_));
      t.super = s;
    }
    WAFER_TRY(descriptor_clauses(t));
    WAFER_TRY(comp_type(t, index));
    WAFER_TRY(close());
  } else {
    WAFER_TRY(descriptor_clauses(t));
    WAFER_TRY(comp_type(t, index));
  }
  defs_.push_back(std::move(t));
  return close();
}

String ModuleParser::plain_key(const FuncType& type) {
  String key;
  for (const ValType t : type.params) key.append(reinterpret_cast<const char*>(&t), sizeof t);
  key += char(1);
  for (const ValType t : type.results) key.append(reinterpret_cast<const char*>(&t), sizeof t);
  return key;
}

uint32_t ModuleParser::implicit_type(const FuncType& type) {
  auto [it, added] = plain_types_.try_emplace(plain_key(type), uint32_t(defs_.size()));
  if (added) {
    SubType s;
    s.func = type;
    defs_.push_back(std::move(s));
    groups_.push_back({1, false, here()});
  }
  return it->second;
}

void ModuleParser::note_plain(uint32_t index) {
  const SubType& s = defs_[index];
  if (s.kind != CompKind::Func || !s.is_final || s.super != SubType::kNoSuper) return;
  plain_types_.try_emplace(plain_key(s.func), index);
}

Result<uint32_t> ModuleParser::type_use(FuncType* out, DebugNames* names, IdMap* ids) {
  std::optional<uint32_t> explicit_index;
  if (open("type")) {
    WAFER_LET(i, index(types_));
    explicit_index = i;
    WAFER_TRY(close());
  }
  FuncType inline_type;
  const bool has_inline = at_open("param") || at_open("result");
  const uint32_t at = here();
  WAFER_TRY(func_type(inline_type, names, ids));
  if (!explicit_index) {
    const uint32_t i = implicit_type(inline_type);
    if (out) *out = inline_type;
    return i;
  }
  const bool known =
      *explicit_index < defs_.size() && defs_[*explicit_index].kind == CompKind::Func;
  if (has_inline) {
    if (*explicit_index >= defs_.size()) return Error(ErrorKind::Malformed, "unknown type", at);
    if (!known || !(defs_[*explicit_index].func == inline_type))
      return Error(ErrorKind::Malformed, "inline function type", at);
  }
  if (out && known) *out = defs_[*explicit_index].func;
  return *explicit_index;
}

Result<bool> ModuleParser::address_type() {
  if (take_keyword("i64")) return true;
  take_keyword("i32");
  return false;
}

Result<uint64_t> ModuleParser::limit() {
  if (options_.features.has(wasm::Feature::Memory64)) return u64();
  WAFER_LET(v, u32());
  return uint64_t(v);
}

Result<void> ModuleParser::limits(Limits& l) {
  WAFER_LET(min, limit());
  l.min = min;
  if (peek().kind == TokenKind::Number) {
    WAFER_LET(max, limit());
    l.max = max;
    l.has_max = true;
  }
  return {};
}

Result<void> ModuleParser::memory_type(wasm::MemoryType& m) {
  WAFER_LET(is64, address_type());
  m.limits.is64 = is64;
  WAFER_TRY(limits(m.limits));
  m.limits.shared = take_keyword("shared");
  return page_size(m);
}

Result<void> ModuleParser::page_size(wasm::MemoryType& m) {
  if (!open("pagesize")) return {};
  WAFER_LET(size, u32());
  if (size == 0 || (size & (size - 1))) return fail("invalid custom page size");
  m.page_size_log2 = 0;
  for (uint32_t s = size; s > 1; s >>= 1) ++m.page_size_log2;
  m.page_size_written = true;
  return close();
}

Result<void> ModuleParser::table_type(wasm::TableType& t) {
  WAFER_LET(is64, address_type());
  t.limits.is64 = is64;
  WAFER_TRY(limits(t.limits));
  WAFER_LET(e, ref_type());
  t.element = e;
  return {};
}

Result<void> ModuleParser::global_type(wasm::GlobalType& g) {
  g.is_mutable = open("mut");
  WAFER_LET(t, val_type());
  g.type = t;
  return g.is_mutable ? close() : Status{};
}

}  // namespace wafer::wat
