// Instructions (spec 6.5).
#include <bit>
#include <cstring>
#include <utility>

#include "wat/module_parser.h"

namespace wafer::wat {

namespace {

const HashMap<std::string_view, Opcode>& mnemonics() {
  static const auto* table = [] {
    auto* t = new HashMap<std::string_view, Opcode>;
    for (unsigned i = 0; i < unsigned(Opcode::Count); ++i)
      t->try_emplace(wasm::opcode_info(Opcode(i)).text, Opcode(i));
    return t;
  }();
  return *table;
}

}  // namespace

// Instructions nest without bound, so what is open is kept in `open_` and not on the stack.
Result<void> ModuleParser::instr_seq() {
  open_.clear();
  for (;;) {
    WAFER_LET(more, step());
    if (!more) return {};
  }
}

Result<void> ModuleParser::one_folded() {
  open_.clear();
  if (peek().kind != TokenKind::Open) return unexpected();
  WAFER_TRY(begin_folded());
  while (!open_.empty()) WAFER_TRY(step());
  return {};
}

// One instruction, or the end or middle of one; false at what ends the sequence.
Result<bool> ModuleParser::step() {
  if (!open_.empty()) {
    Construct& top = open_.back();
    if (top.kind == Construct::Kind::Operands || top.kind == Construct::Kind::Condition) {
      if (top.kind == Construct::Kind::Operands && peek().kind == TokenKind::Close) {
        emit_deferred(top);
        open_.pop_back();
        WAFER_TRY(close());
        return true;
      }
      if (top.kind == Construct::Kind::Condition && at_open("then")) {
        emit_deferred(top);
        WAFER_TRY(push_label(top));
        top.kind = Construct::Kind::Then;
        p_ += 2;
        return true;
      }
      WAFER_TRY(take_hints());
      if (peek().kind != TokenKind::Open) return unexpected();
      WAFER_TRY(begin_folded());
      return true;
    }
  }
  switch (peek().kind) {
    case TokenKind::Close:
    case TokenKind::End:
      if (open_.empty()) return false;
      if (open_.back().kind == Construct::Kind::Plain) return unexpected();
      WAFER_TRY(end_folded());
      return true;
    case TokenKind::Keyword: {
      const std::string_view k = peek().text;
      if (k != "end" && k != "else" && k != "catch" && k != "catch_all" && k != "delegate") break;
      if (open_.empty()) return false;
      WAFER_TRY(close_plain(k));
      return true;
    }
    default:
      break;
  }
  WAFER_TRY(instr());
  return true;
}

// Emits what waited for its operands, with its hint.
void ModuleParser::emit_deferred(const Construct& c) {
  if (c.hint != kNoHint) hints_.push_back({uint32_t(body_->size()), c.hint == 1});
  body_->mark(tokens_[c.token].offset);
  body_->insert(body_->end(), scratch_.begin() + ptrdiff_t(c.deferred), scratch_.end());
  scratch_.resize(c.deferred);
}

void ModuleParser::emit_hinted(const Instr& in, size_t token) {
  if (pending_hint_ != kNoHint) hints_.push_back({uint32_t(body_->size()), pending_hint_ == 1});
  pending_hint_ = kNoHint;
  emit(in, token);
}

Result<void> ModuleParser::take_hints() {
  while (peek().kind == TokenKind::Annotation) {
    if (peek().text != wasm::kBranchHintSection) {
      return unexpected();
    }
    ++p_;
    WAFER_LET(v, string());
    if (v.size() != 1 || uint8_t(v[0]) > 1)
      return fail("@metadata.code.branch_hint annotation: invalid value");
    WAFER_TRY(close());
    if (pending_hint_ != kNoHint)
      return fail("@metadata.code.branch_hint annotation: duplicate annotation");
    pending_hint_ = uint8_t(v[0]);
  }
  return {};
}

// Only conditional branches take hints.
Result<void> ModuleParser::hint_target(Opcode op) {
  if (pending_hint_ == kNoHint || op == Opcode::If || op == Opcode::BrIf) return {};
  return Error(ErrorKind::Invalid, "@metadata.code.branch_hint annotation: invalid target", here());
}

Result<void> ModuleParser::instr() {
  WAFER_TRY(take_hints());
  if (peek().kind == TokenKind::Open) return begin_folded();
  if (peek().kind != TokenKind::Keyword) return unexpected();
  const auto it = mnemonics().find(peek().text);
  if (it == mnemonics().end()) return unknown_operator();
  const Opcode op = it->second;
  const size_t token = p_;
  switch (op) {
    case Opcode::Block:
    case Opcode::Loop:
    case Opcode::If:
    case Opcode::TryTable:
    case Opcode::Try:
      ++p_;
      WAFER_TRY(hint_target(op));
      return plain_block(op, token);
    case Opcode::End:
    case Opcode::Else:
    case Opcode::Catch:
    case Opcode::CatchAll:
    case Opcode::Delegate:
      return unexpected();
    default:
      break;
  }
  ++p_;
  WAFER_TRY(hint_target(op));
  Instr in;
  in.op = op;
  WAFER_TRY(immediates(in));
  emit_hinted(in, token);
  return {};
}

Result<void> ModuleParser::block_head(Instr& in) {
  FuncType type;
  const bool has_type = at_open("type");
  const uint32_t before = uint32_t(p_);
  if (!has_type) {
    // A type without parameters and with at most one result is written inline.
    WAFER_TRY(func_type(type, nullptr, nullptr));
    if (type.params.empty() && type.results.size() <= 1) {
      if (type.results.empty()) {
        in.block.kind = BlockType::Kind::Empty;
      } else {
        in.block.kind = BlockType::Kind::Value;
        in.block.value = type.results[0];
      }
      return {};
    }
    p_ = before;
  }
  WAFER_LET(i, type_use(nullptr, nullptr, nullptr));
  in.block.kind = BlockType::Kind::Type;
  in.block.type_index = i;
  return {};
}

Result<void> ModuleParser::catches(Instr& in) {
  using K = wasm::CatchClause::Kind;
  for (;;) {
    wasm::CatchClause c{};
    if (open("catch"))
      c.kind = K::Catch;
    else if (open("catch_ref"))
      c.kind = K::CatchRef;
    else if (open("catch_all"))
      c.kind = K::CatchAll;
    else if (open("catch_all_ref"))
      c.kind = K::CatchAllRef;
    else
      return {};
    if (c.kind == K::Catch || c.kind == K::CatchRef) {
      WAFER_LET(t, index(tags_));
      c.tag = t;
    }
    WAFER_LET(l, label_index());
    c.label = l;
    WAFER_TRY(close());
    in.catches.push_back(c);
  }
}

Result<void> ModuleParser::resume_clauses(Instr& in) {
  while (open("on")) {
    wasm::ResumeClause c;
    WAFER_LET(t, index(tags_));
    c.tag = t;
    c.is_switch = take_keyword("switch");
    if (!c.is_switch) {
      WAFER_LET(l, label_index());
      c.label = l;
    }
    WAFER_TRY(close());
    in.clauses.push_back(c);
  }
  return {};
}

// ---- labels

Result<void> ModuleParser::label_id(Construct& c) {
  if (peek().kind == TokenKind::Id) c.id = uint32_t(p_++);
  if (!at_annotation("name")) return {};
  c.name = uint32_t(++p_);
  auto name = annotation_name("label");
  if (!name.ok()) return name.take_error();
  return {};
}

Result<void> ModuleParser::push_label(const Construct& c) {
  const uint32_t index = label_count_++;
  uint32_t outer = 0;
  if (c.id) {
    WAFER_LET(id, id_value(tokens_[c.id]));
    uint32_t& innermost = label_ids_[id];
    outer = std::exchange(innermost, uint32_t(labels_.size()) + 1);
    if (!c.name) label_names_.emplace_back(index, std::move(id));
  }
  if (c.name) {
    WAFER_LET(name, string_value(tokens_[c.name]));
    label_names_.emplace_back(index, std::move(name));
  }
  labels_.push_back({c.id, outer});
  return {};
}

Result<void> ModuleParser::pop_label() {
  const Label label = labels_.back();
  labels_.pop_back();
  if (!label.id) return {};
  WAFER_LET(id, id_value(tokens_[label.id]));
  if (label.outer)
    label_ids_[id] = label.outer;
  else
    label_ids_.erase(id);
  return {};
}

Result<void> ModuleParser::matching_label(const Construct& c) {
  if (peek().kind != TokenKind::Id) return {};
  WAFER_LET(id, id_value(peek()));
  String name;
  if (c.id) {
    WAFER_LET(own, id_value(tokens_[c.id]));
    name = std::move(own);
  }
  if (id != name) return fail("mismatching label");
  ++p_;
  return {};
}

Result<uint32_t> ModuleParser::label_index() {
  if (peek().kind != TokenKind::Id) return u32();
  WAFER_LET(id, id_value(peek()));
  const auto it = label_ids_.find(id);
  if (it == label_ids_.end()) return fail("unknown label");
  ++p_;
  return uint32_t(labels_.size()) - it->second;
}

// ---- blocks

Result<void> ModuleParser::plain_block(Opcode op, size_t token) {
  Construct c;
  c.op = op;
  WAFER_TRY(label_id(c));
  Instr in;
  in.op = op;
  WAFER_TRY(block_head(in));
  if (op == Opcode::TryTable) WAFER_TRY(catches(in));
  emit_hinted(in, token);
  WAFER_TRY(push_label(c));
  open_.push_back(c);
  return {};
}

Result<void> ModuleParser::catch_clause(Construct& c, bool all) {
  const size_t token = p_ - 1;
  Instr in;
  in.op = all ? Opcode::CatchAll : Opcode::Catch;
  if (!all) {
    WAFER_LET(t, index(tags_));
    in.index = t;
  }
  emit(in, token);
  c.stage = all ? Construct::Stage::Last : Construct::Stage::Middle;
  return {};
}

// Ends the construct on top, a `try`, by a handler that lies further out.
Result<void> ModuleParser::delegate() {
  const size_t token = p_ - 1;
  WAFER_TRY(pop_label());
  open_.pop_back();
  WAFER_LET(l, label_index());
  Instr in;
  in.op = Opcode::Delegate;
  in.index = l;
  emit(in, token);
  return {};
}

Result<void> ModuleParser::close_plain(std::string_view keyword) {
  using Stage = Construct::Stage;
  Construct& top = open_.back();
  if (top.kind != Construct::Kind::Plain) return unexpected();
  const size_t token = p_;
  if (keyword == "end") {
    ++p_;
    WAFER_TRY(matching_label(top));
    plain(Opcode::End, token);
    WAFER_TRY(pop_label());
    open_.pop_back();
    return {};
  }
  if (keyword == "else") {
    if (top.op != Opcode::If || top.stage != Stage::First) return unexpected();
    ++p_;
    WAFER_TRY(matching_label(top));
    plain(Opcode::Else, token);
    top.stage = Stage::Last;
    return {};
  }
  if (top.op != Opcode::Try || top.stage == Stage::Last) return unexpected();
  if (keyword == "delegate") {
    if (top.stage != Stage::First) return unexpected();
    ++p_;
    return delegate();
  }
  ++p_;
  return catch_clause(top, keyword == "catch_all");
}

Result<void> ModuleParser::begin_folded() {
  ++p_;  // "("
  if (peek().kind != TokenKind::Keyword) return unexpected();
  const auto it = mnemonics().find(peek().text);
  if (it == mnemonics().end()) {
    const std::string_view k = peek().text;
    for (const std::string_view w :
         {"param",  "result",    "local",         "type",   "then",   "do",   "export",
          "import", "func",      "table",         "memory", "global", "elem", "data",
          "start",  "module",    "item",          "offset", "mut",    "tag",  "field",
          "ref",    "catch_ref", "catch_all_ref", "struct", "array",  "rec",  "sub"})
      if (k == w) return unexpected();
    return unknown_operator();
  }
  Construct c;
  c.op = it->second;
  c.token = p_++;
  WAFER_TRY(hint_target(c.op));
  c.hint = std::exchange(pending_hint_, kNoHint);
  Instr in;
  in.op = c.op;
  switch (c.op) {
    case Opcode::Block:
    case Opcode::Loop:
    case Opcode::TryTable:
    case Opcode::Try:
      WAFER_TRY(label_id(c));
      WAFER_TRY(block_head(in));
      if (c.op == Opcode::TryTable) WAFER_TRY(catches(in));
      emit(in, c.token);
      WAFER_TRY(push_label(c));
      c.kind = Construct::Kind::Block;
      if (c.op == Opcode::Try) {
        if (!open("do")) return unexpected();
        c.kind = Construct::Kind::Handlers;
      }
      break;
    case Opcode::If:
      WAFER_TRY(label_id(c));
      WAFER_TRY(block_head(in));
      c.kind = Construct::Kind::Condition;
      c.deferred = scratch_.size();
      write_instr(scratch_, in);
      break;
    case Opcode::End:
    case Opcode::Else:
    case Opcode::Catch:
    case Opcode::CatchAll:
    case Opcode::Delegate:
      --p_;
      return unexpected();
    default:
      // The instruction follows its operands; keep it encoded meanwhile.
      WAFER_TRY(immediates(in));
      c.kind = Construct::Kind::Operands;
      c.deferred = scratch_.size();
      write_instr(scratch_, in);
  }
  open_.push_back(c);
  return {};
}

// At the ")" of a folded block, or of an arm or handler of one.
Result<void> ModuleParser::end_folded() {
  Construct& top = open_.back();
  WAFER_TRY(close());
  switch (top.kind) {
    case Construct::Kind::Then:
      if (top.stage == Construct::Stage::First && open("else")) {
        plain(Opcode::Else, p_ - 1);
        top.stage = Construct::Stage::Last;
        return {};
      }
      break;
    case Construct::Kind::Handlers:
      if (top.stage == Construct::Stage::First && open("delegate")) {
        WAFER_TRY(delegate());
        WAFER_TRY(close());
        return close();
      }
      if (top.stage != Construct::Stage::Last && (at_open("catch") || at_open("catch_all"))) {
        const bool all = at_open("catch_all");
        p_ += 2;
        return catch_clause(top, all);
      }
      break;
    default:
      plain(Opcode::End, p_ - 1);
      WAFER_TRY(pop_label());
      open_.pop_back();
      return {};
  }
  plain(Opcode::End, p_ - 1);
  WAFER_TRY(pop_label());
  open_.pop_back();
  return close();
}

Result<void> ModuleParser::v128_const(Instr& in) {
  const LaneShape* shape = peek().kind == TokenKind::Keyword ? lane_shape(peek().text) : nullptr;
  if (!shape) return unexpected();
  ++p_;
  const unsigned bytes = shape->bits() / 8;
  unsigned given = 0;
  while (peek(given).kind == TokenKind::Number) ++given;
  if (given != shape->lanes && peek(given).kind == TokenKind::Close)
    return fail("wrong number of lane literals");
  for (unsigned i = 0; i < shape->lanes; ++i) {
    if (peek().kind != TokenKind::Number) return unexpected();
    const std::optional<uint64_t> v = parse_lane(*shape, peek().text);
    if (!v) return fail("constant out of range");
    store_le<uint64_t>(reinterpret_cast<uint8_t*>(&lane_buffer_), *v);
    std::memcpy(in.v128.bytes + i * bytes, &lane_buffer_, bytes);
    ++p_;
  }
  if (peek().kind == TokenKind::Number) return fail("wrong number of lane literals");
  return {};
}

Result<void> ModuleParser::immediates(Instr& in) {
  const wasm::OpcodeInfo& info = wasm::opcode_info(in.op);
  auto set = [&](uint32_t& to, Result<uint32_t> r) -> Status {
    if (!r.ok()) return r.take_error();
    to = *r;
    return {};
  };
  switch (info.imm) {
    case Imm::None:
      if (in.op == Opcode::Select && at_open("result")) {
        in.op = Opcode::SelectT;
        while (open("result")) {
          while (peek().kind != TokenKind::Close) {
            WAFER_LET(t, val_type());
            in.types.push_back(t);
          }
          WAFER_TRY(close());
        }
      }
      return {};
    case Imm::Fence:
    case Imm::SelectT:
    case Imm::Block:
    case Imm::TryTable:
      return {};
    case Imm::Label:
      return set(in.index, label_index());
    case Imm::BrTable:
      do {
        WAFER_LET(l, label_index());
        in.labels.push_back(l);
      } while (at_index());
      return {};
    case Imm::Func:
      return set(in.index, index(funcs_));
    case Imm::CallIndirect:
      if (at_index()) WAFER_TRY(set(in.index2, index(tables_)));
      return set(in.index, type_use(nullptr, nullptr, nullptr));
    case Imm::Type:
      return set(in.index, index(types_));
    case Imm::Local:
      return set(in.index, local_index());
    case Imm::Global:
      return set(in.index, index(globals_));
    case Imm::Table:
      if (!at_index()) return {};
      return set(in.index, index(tables_));
    case Imm::Memory:
      if (!at_index()) return {};
      return set(in.index, index(memories_));
    case Imm::Data:
      needs_data_count_ = true;
      return set(in.index, index(datas_));
    case Imm::Elem:
      return set(in.index, index(elems_));
    case Imm::Tag:
      return set(in.index, index(tags_));
    case Imm::I32: {
      if (peek().kind != TokenKind::Number) return unexpected();
      const auto v = parse_integer(peek().text, 32);
      if (!v) {
        if (peek().text.find_first_of(".pn") != std::string_view::npos) return unexpected();
        return fail("constant out of range");
      }
      in.i32 = int32_t(uint32_t(*v));
      ++p_;
      return {};
    }
    case Imm::I64: {
      if (peek().kind != TokenKind::Number) return unexpected();
      const auto v = parse_integer(peek().text, 64);
      if (!v) {
        if (peek().text.find_first_of(".pn") != std::string_view::npos) return unexpected();
        return fail("constant out of range");
      }
      in.i64 = int64_t(*v);
      ++p_;
      return {};
    }
    case Imm::F32: {
      if (peek().kind != TokenKind::Number) return unexpected();
      const auto v = parse_f32(peek().text);
      if (!v) return fail("constant out of range");
      in.f32_bits = *v;
      ++p_;
      return {};
    }
    case Imm::F64: {
      if (peek().kind != TokenKind::Number) return unexpected();
      const auto v = parse_f64(peek().text);
      if (!v) return fail("constant out of range");
      in.f64_bits = *v;
      ++p_;
      return {};
    }
    case Imm::V128:
      return v128_const(in);
    case Imm::MemArg:
    case Imm::MemArgLane: {
      if (at_index()) {
        // For lanes, a lone number is the lane.
        const bool is_memory =
            info.imm == Imm::MemArg || peek().kind == TokenKind::Id ||
            peek(1).kind == TokenKind::Number ||
            (peek(1).kind == TokenKind::Keyword &&
             (peek(1).text.substr(0, 7) == "offset=" || peek(1).text.substr(0, 6) == "align="));
        if (is_memory) WAFER_TRY(set(in.index, index(memories_)));
      }
      in.offset = 0;
      in.align = info.aux;
      if (peek().kind == TokenKind::Keyword && peek().text.substr(0, 7) == "offset=") {
        const auto v = parse_unsigned(peek().text.substr(7), 64);
        if (!v) {
          if (peek().text.size() == 7 || peek().text[7] == '-') return fail("unknown operator");
          return fail("i64 constant out of range");
        }
        in.offset = *v;
        ++p_;
      }
      if (peek().kind == TokenKind::Keyword && peek().text.substr(0, 6) == "align=") {
        const auto v = parse_unsigned(peek().text.substr(6), 64);
        if (!v) return fail("unknown operator");
        if (*v == 0 || (*v & (*v - 1))) return fail("alignment must be a power of two");
        in.align = uint32_t(std::countr_zero(*v));
        ++p_;
      }
      if (info.imm == Imm::MemArg) return {};
      [[fallthrough]];
    }
    case Imm::Lane: {
      if (peek().kind != TokenKind::Number) return unexpected();
      const auto v = parse_unsigned(peek().text, 8);
      if (!v) {
        if (peek().text.find_first_of("+-.n") != std::string_view::npos) return unexpected();
        return fail("i8 constant out of range");
      }
      in.lane = uint32_t(*v);
      ++p_;
      return {};
    }
    case Imm::Shuffle:
      for (unsigned i = 0; i < 16; ++i) {
        if (peek().kind != TokenKind::Number) {
          if (peek().kind == TokenKind::Close || peek().kind == TokenKind::Open)
            return fail("invalid lane length");
          return unexpected();
        }
        const auto v = parse_unsigned(peek().text, 8);
        if (!v) {
          return fail("i8 constant out of range");
        }
        in.v128.bytes[i] = uint8_t(*v);
        ++p_;
      }
      if (peek().kind == TokenKind::Number) return fail("invalid lane length");
      return {};
    case Imm::HeapType: {
      if (in.op == Opcode::RefNull) {
        WAFER_LET(h, heap_type());
        in.heap = h;
        return {};
      }
      WAFER_LET(t, ref_type());
      in.heap = t.heap();
      if (!t.nullable()) return {};
      in.op = in.op == Opcode::RefTest   ? Opcode::RefTestNull
              : in.op == Opcode::RefCast ? Opcode::RefCastNull
                                         : Opcode::RefCastDescEqNull;
      return {};
    }
    case Imm::DataMemory:
      needs_data_count_ = true;
      // memory.init memidx? dataidx
      if (peek(1).kind == TokenKind::Id || peek(1).kind == TokenKind::Number)
        WAFER_TRY(set(in.index2, index(memories_)));
      return set(in.index, index(datas_));
    case Imm::ElemTable:
      if (peek(1).kind == TokenKind::Id || peek(1).kind == TokenKind::Number)
        WAFER_TRY(set(in.index2, index(tables_)));
      return set(in.index, index(elems_));
    case Imm::MemoryMemory:
      if (!at_index()) return {};
      WAFER_TRY(set(in.index, index(memories_)));
      return set(in.index2, index(memories_));
    case Imm::TableTable:
      if (!at_index()) return {};
      WAFER_TRY(set(in.index, index(tables_)));
      return set(in.index2, index(tables_));
    case Imm::TypeField: {
      WAFER_TRY(set(in.index, index(types_)));
      if (peek().kind == TokenKind::Id) {
        WAFER_LET(id, id_value(peek()));
        if (in.index >= fields_.size()) return fail("unknown type");
        const auto it = fields_[in.index].find(id);
        if (it == fields_[in.index].end()) return fail("unknown field");
        in.index2 = it->second;
        ++p_;
        return {};
      }
      return set(in.index2, u32());
    }
    case Imm::TypeCount:
      WAFER_TRY(set(in.index, index(types_)));
      return set(in.index2, u32());
    case Imm::TypeData:
      needs_data_count_ = true;
      WAFER_TRY(set(in.index, index(types_)));
      return set(in.index2, index(datas_));
    case Imm::TypeElem:
      WAFER_TRY(set(in.index, index(types_)));
      return set(in.index2, index(elems_));
    case Imm::TypeType:
      WAFER_TRY(set(in.index, index(types_)));
      return set(in.index2, index(types_));
    case Imm::TypeTag:
      WAFER_TRY(set(in.index, index(types_)));
      return set(in.index2, index(tags_));
    case Imm::Resume:
      WAFER_TRY(set(in.index, index(types_)));
      return resume_clauses(in);
    case Imm::ResumeTag:
      WAFER_TRY(set(in.index, index(types_)));
      WAFER_TRY(set(in.index2, index(tags_)));
      return resume_clauses(in);
    case Imm::BrOnCast: {
      WAFER_TRY(set(in.index, label_index()));
      WAFER_LET(a, ref_type());
      WAFER_LET(b, ref_type());
      in.heap = a.heap();
      in.null1 = a.nullable();
      in.heap2 = b.heap();
      in.null2 = b.nullable();
      return {};
    }
  }
  return {};
}

}  // namespace wafer::wat
