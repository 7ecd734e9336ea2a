#include "wat/parser.h"

#include <bit>
#include <cstring>
#include <optional>

#include "base/leb128.h"
#include "wasm/cursor.h"
#include "wat/literal.h"

namespace wafer::wat {

namespace {

using wasm::BlockType;
using wasm::CompKind;
using wasm::ExternKind;
using wasm::FieldType;
using wasm::FuncType;
using wasm::HeapKind;
using wasm::HeapType;
using wasm::Imm;
using wasm::Instr;
using wasm::Limits;
using wasm::Opcode;
using wasm::SubType;
using wasm::TypeKind;
using wasm::ValType;

// Nesting of folded instructions and blocks: the parser recurses once for each.
constexpr unsigned kMaxDepth = 2000;

using Names = HashMap<String, uint32_t, StringHash, StringEqual>;

struct Space {
  const char* what;  // for messages: "function"
  Names names;
  uint32_t count = 0;
  Vec<std::pair<uint32_t, String>> debug;  // for the name section
};

const HashMap<std::string_view, Opcode>& mnemonics() {
  static const auto* table = [] {
    auto* t = new HashMap<std::string_view, Opcode>;
    for (unsigned i = 0; i < unsigned(Opcode::Count); ++i)
      t->try_emplace(wasm::opcode_info(Opcode(i)).text, Opcode(i));
    return t;
  }();
  return *table;
}

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

class Parser {
 public:
  Parser(const Vec<Token>& tokens, size_t begin, size_t end, const ParseOptions& options)
      : tokens_(tokens), p_(begin), end_(end), options_(options) {}
  Result<Vec<uint8_t>> run(std::string_view name);

 private:
  using Status = Result<void>;

  // ---- tokens
  const Token& peek(size_t ahead = 0) const {
    static const Token kEnd;
    return p_ + ahead < end_ ? tokens_[p_ + ahead] : kEnd;
  }
  uint32_t here() const { return p_ < tokens_.size() ? tokens_[p_].offset : tokens_.back().offset; }
  Error fail(std::string_view message) const {
    return Error(ErrorKind::Malformed, message, here());
  }
  // Words that were once part of the format, and NaNs without a proper payload.
  static bool is_obsolete(std::string_view text) {
    return text == "anyfunc" ||
           (text.substr(0, 4) == "nan:" && text.size() > 4 && text[4] >= '0' && text[4] <= '9');
  }
  Error unknown_operator() const {
    String m("unknown operator ");
    m += peek().text.substr(0, 40);
    return fail(m);
  }
  Error unexpected() const {
    const Token& t = peek();
    if (t.kind == TokenKind::Annotation) {
      String m("misplaced @");
      m += t.text;
      m += " annotation";
      return fail(m);
    }
    if (t.kind == TokenKind::Reserved || is_obsolete(t.text)) return unknown_operator();
    String m("unexpected token");
    if (peek().kind != TokenKind::End) {
      m += " ";
      m += peek().text.substr(0, 40);
    }
    return fail(m);
  }
  bool at_open(std::string_view keyword) const {
    return peek().kind == TokenKind::Open && peek(1).kind == TokenKind::Keyword &&
           peek(1).text == keyword;
  }
  bool at_keyword(std::string_view k) const {
    return peek().kind == TokenKind::Keyword && peek().text == k;
  }
  // Takes "(keyword" if it is next.
  bool open(std::string_view keyword) {
    if (!at_open(keyword)) return false;
    p_ += 2;
    return true;
  }
  bool take_keyword(std::string_view k) {
    if (!at_keyword(k)) return false;
    ++p_;
    return true;
  }
  Status close() {
    if (peek().kind != TokenKind::Close) return unexpected();
    ++p_;
    return {};
  }
  bool at_index() const { return peek().kind == TokenKind::Id || peek().kind == TokenKind::Number; }
  // Moves past the group whose "(" or "(@" is at p_.
  void skip_group() {
    size_t depth = 0;
    do {
      const TokenKind k = tokens_[p_++].kind;
      if (k == TokenKind::Open || k == TokenKind::Annotation) ++depth;
      if (k == TokenKind::Close) --depth;
    } while (depth && p_ < end_);
  }
  // Moves past a (@name ...) that scan() has read.
  void skip_name() {
    if (peek().kind == TokenKind::Annotation && peek().text == "name") skip_group();
  }
  Result<String> string() {
    if (peek().kind != TokenKind::String) return unexpected();
    return string_value(tokens_[p_++]);
  }
  Result<String> name_string() {
    const Token t = peek();
    WAFER_LET(s, string());
    if (!wasm::is_utf8(s)) return Error(ErrorKind::Malformed, "malformed UTF-8 encoding", t.offset);
    return std::move(s);
  }
  Result<uint32_t> u32() {
    if (peek().kind != TokenKind::Number) return unexpected();
    const auto v = parse_unsigned(peek().text, 32);
    if (!v) {
      if (peek().text.find_first_of(".+-einp") != std::string_view::npos &&
          peek().text.substr(0, 2) != "0x")
        return unexpected();
      return fail("i32 constant out of range");
    }
    ++p_;
    return uint32_t(*v);
  }
  Result<uint64_t> u64() {
    if (peek().kind != TokenKind::Number) return unexpected();
    const auto v = parse_unsigned(peek().text, 64);
    if (!v) return fail("i64 constant out of range");
    ++p_;
    return *v;
  }

  // ---- identifiers
  // Gives the next definition of `space` its index and takes an optional id.
  Result<uint32_t> define(Space& space) {
    const uint32_t index = space.count++;
    if (peek().kind == TokenKind::Id) {
      WAFER_LET(id, id_value(peek()));
      if (!space.names.try_emplace(id, index).second) {
        String m("duplicate ");
        m += space.what;
        return fail(m);
      }
      space.debug.emplace_back(index, id);
      ++p_;
    }
    WAFER_TRY(name_annotation(space, index));
    return index;
  }
  // (@name "...") replaces the debug name.
  Status name_annotation(Space& space, uint32_t index) {
    if (peek().kind != TokenKind::Annotation || peek().text != "name") return {};
    ++p_;
    WAFER_LET(n, annotation_name());
    if (!space.debug.empty() && space.debug.back().first == index)
      space.debug.back().second = n;
    else
      space.debug.emplace_back(index, n);
    return {};
  }
  Result<String> annotation_name() {
    if (peek().kind != TokenKind::String) return fail("@name annotation: unexpected token");
    WAFER_LET(n, name_string());
    if (peek().kind != TokenKind::Close) return fail("@name annotation: unexpected token");
    ++p_;
    return std::move(n);
  }
  Result<uint32_t> index(const Space& space) {
    if (peek().kind == TokenKind::Id) {
      WAFER_LET(id, id_value(peek()));
      const auto it = space.names.find(id);
      if (it == space.names.end()) {
        String m("unknown ");
        m += space.what;
        m += " $";
        m += id;
        return fail(m);
      }
      ++p_;
      return it->second;
    }
    return u32();
  }

  // ---- types
  Result<HeapType> heap_type() {
    if (peek().kind == TokenKind::Keyword) {
      for (const auto& h : kHeaps)
        if (peek().text == h.heap) {
          ++p_;
          return HeapType(h.kind);
        }
      return unexpected();
    }
    WAFER_LET(i, index(types_));
    if (i > wasm::kMaxTypeIndex) return fail("unknown type");
    return HeapType::concrete(i);
  }
  bool at_ref_type() const {
    if (at_open("ref")) return true;
    if (peek().kind != TokenKind::Keyword) return false;
    for (const auto& h : kHeaps)
      if (peek().text == h.ref) return true;
    return false;
  }
  Result<ValType> ref_type() {
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
  Result<ValType> val_type() {
    if (take_keyword("i32")) return wasm::kI32;
    if (take_keyword("i64")) return wasm::kI64;
    if (take_keyword("f32")) return wasm::kF32;
    if (take_keyword("f64")) return wasm::kF64;
    if (take_keyword("v128")) return wasm::kV128;
    return ref_type();
  }
  // (param ...)* (result ...)*; names of parameters go to `names` if given.
  Status func_type(FuncType& type, Vec<std::pair<uint32_t, String>>* names, Names* ids) {
    while (open("param")) {
      if (peek().kind == TokenKind::Id) {
        if (!ids) return unexpected();
        WAFER_LET(id, id_value(peek()));
        const uint32_t i = uint32_t(type.params.size());
        if (!ids->try_emplace(id, i).second) return fail("duplicate local");
        if (names) names->emplace_back(i, id);
        ++p_;
        WAFER_LET(t, val_type());
        type.params.push_back(t);
      } else {
        while (peek().kind != TokenKind::Close) {
          if (peek().kind == TokenKind::Annotation) {
            ++p_;
            WAFER_LET(n, annotation_name());
            if (names) names->emplace_back(uint32_t(type.params.size()), n);
            continue;
          }
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
  Result<FieldType> field_type() {
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
  Status comp_type(SubType& type, uint32_t type_index) {
    if (open("func")) {
      type.kind = CompKind::Func;
      Names ids;
      WAFER_TRY(func_type(type.func, nullptr, &ids));
      return close();
    }
    if (open("struct")) {
      type.kind = CompKind::Struct;
      while (open("field")) {
        if (peek().kind == TokenKind::Id) {
          WAFER_LET(id, id_value(peek()));
          const uint32_t i = uint32_t(type.fields.size());
          if (!fields_[type_index].try_emplace(id, i).second) return fail("duplicate field");
          field_names_.push_back({type_index, i, id});
          ++p_;
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
  // After "(type": id, then a composite or sub type.
  Status type_def() {
    if (peek().kind == TokenKind::Id) ++p_;  // entered by scan()
    skip_name();
    SubType t;
    const uint32_t index = uint32_t(defs_.size());
    if (open("sub")) {
      t.is_final = take_keyword("final");
      if (at_index()) {
        WAFER_LET(s, this->index(types_));
        t.super = s;
      }
      WAFER_TRY(comp_type(t, index));
      WAFER_TRY(close());
    } else {
      WAFER_TRY(comp_type(t, index));
    }
    defs_.push_back(std::move(t));
    return close();
  }
  // Index of the plain function type `type`, added at the end if missing.
  uint32_t implicit_type(const FuncType& type) {
    String key;
    for (const ValType t : type.params) key.append(reinterpret_cast<const char*>(&t), sizeof t);
    key += char(1);
    for (const ValType t : type.results) key.append(reinterpret_cast<const char*>(&t), sizeof t);
    auto [it, added] = plain_types_.try_emplace(key, uint32_t(defs_.size()));
    if (added) {
      SubType s;
      s.func = type;
      defs_.push_back(std::move(s));
      groups_.push_back({1, false});
    }
    return it->second;
  }
  void note_plain(uint32_t index) {
    const SubType& s = defs_[index];
    if (s.kind != CompKind::Func || !s.is_final || s.super != SubType::kNoSuper) return;
    String key;
    for (const ValType t : s.func.params) key.append(reinterpret_cast<const char*>(&t), sizeof t);
    key += char(1);
    for (const ValType t : s.func.results) key.append(reinterpret_cast<const char*>(&t), sizeof t);
    plain_types_.try_emplace(key, index);
  }
  // typeuse of 6.6.2.
  Result<uint32_t> type_use(FuncType* out, Vec<std::pair<uint32_t, String>>* names, Names* ids) {
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
  Result<bool> address_type() {
    if (take_keyword("i64")) return true;
    take_keyword("i32");
    return false;
  }
  Result<uint64_t> limit() {
    if (options_.features.has(wasm::Feature::Memory64)) return u64();
    WAFER_LET(v, u32());
    return uint64_t(v);
  }
  Status limits(Limits& l) {
    WAFER_LET(min, limit());
    l.min = min;
    if (peek().kind == TokenKind::Number) {
      WAFER_LET(max, limit());
      l.max = max;
      l.has_max = true;
    }
    return {};
  }
  Status memory_type(wasm::MemoryType& m) {
    WAFER_LET(is64, address_type());
    m.limits.is64 = is64;
    WAFER_TRY(limits(m.limits));
    m.limits.shared = take_keyword("shared");
    return page_size(m);
  }
  Status page_size(wasm::MemoryType& m) {
    if (!open("pagesize")) return {};
    WAFER_LET(size, u32());
    if (size == 0 || (size & (size - 1))) return fail("invalid custom page size");
    m.page_size_log2 = 0;
    for (uint32_t s = size; s > 1; s >>= 1) ++m.page_size_log2;
    custom_page_ = true;
    return close();
  }
  Status table_type(wasm::TableType& t) {
    WAFER_LET(is64, address_type());
    t.limits.is64 = is64;
    WAFER_TRY(limits(t.limits));
    WAFER_LET(e, ref_type());
    t.element = e;
    return {};
  }
  Status global_type(wasm::GlobalType& g) {
    g.is_mutable = open("mut");
    WAFER_LET(t, val_type());
    g.type = t;
    return g.is_mutable ? close() : Status{};
  }

  // ---- instructions
  struct Label {
    String name;
  };
  void emit(const Instr& in) { write_instr(*body_, in); }
  Status instr_seq();  // until ")" or a closing keyword
  Status instr();      // one plain, block or folded instruction
  Status folded();
  Status immediates(Instr& in);
  Status block_head(Instr& in);  // label was taken by the caller
  Status plain_block(Opcode op);
  Result<String> label_id() {
    if (peek().kind != TokenKind::Id) return String();
    WAFER_LET(id, id_value(peek()));
    ++p_;
    return std::move(id);
  }
  Status matching_label(const String& name) {
    if (peek().kind != TokenKind::Id) return {};
    WAFER_LET(id, id_value(peek()));
    if (id != name) return fail("mismatching label");
    ++p_;
    return {};
  }
  Result<uint32_t> label_index() {
    if (peek().kind == TokenKind::Id) {
      WAFER_LET(id, id_value(peek()));
      for (size_t i = labels_.size(); i-- > 0;)
        if (labels_[i] == id && !id.empty()) {
          ++p_;
          return uint32_t(labels_.size() - 1 - i);
        }
      return fail("unknown label");
    }
    return u32();
  }
  Result<uint32_t> local_index() {
    if (peek().kind == TokenKind::Id) {
      WAFER_LET(id, id_value(peek()));
      const auto it = locals_.find(id);
      if (it == locals_.end()) return fail("unknown local");
      ++p_;
      return it->second;
    }
    return u32();
  }
  Status catches(Instr& in);
  Status resume_clauses(Instr& in);
  Status v128_const(Instr& in);
  void plain(Opcode op) {
    Instr in;
    in.op = op;
    emit(in);
  }
  Status take_hints();
  Status hint_target(Opcode op);
  // Constant expression in a field: instructions until ")" .
  Result<Vec<uint8_t>> const_expr_seq() {
    Vec<uint8_t> out;
    body_ = &out;
    labels_.clear();
    locals_.clear();
    WAFER_TRY(instr_seq());
    plain(Opcode::End);
    return out;
  }
  // One folded instruction as an expression.
  Result<Vec<uint8_t>> const_expr_one() {
    Vec<uint8_t> out;
    body_ = &out;
    labels_.clear();
    locals_.clear();
    if (peek().kind != TokenKind::Open) return unexpected();
    WAFER_TRY(folded());
    plain(Opcode::End);
    return out;
  }

  // ---- fields
  struct FieldRef {
    std::string_view keyword;
    size_t token;  // after the keyword
  };
  Status scan();
  Status parse_field(const FieldRef& f);
  Status inline_exports(ExternKind kind, uint32_t index) {
    while (open("export")) {
      WAFER_LET(name, name_string());
      WAFER_TRY(close());
      add_export(name, kind, index);
    }
    return {};
  }
  void add_export(const String& name, ExternKind kind, uint32_t index) {
    put_string(exports_, name);
    exports_.push_back(uint8_t(kind));
    write_uleb(exports_, index);
    ++export_count_;
  }
  Result<bool> inline_import(uint8_t kind) {
    if (!open("import")) return false;
    WAFER_LET(module, name_string());
    WAFER_LET(name, name_string());
    WAFER_TRY(close());
    put_string(imports_, module);
    put_string(imports_, name);
    imports_.push_back(kind);
    ++import_count_;
    return true;
  }
  Status func_field();
  Status table_field();
  Status memory_field();
  Status global_field();
  Status tag_field();
  Status import_field();
  Status export_field();
  Status elem_field();
  Status data_field();
  Status custom_field();
  Status elem_items(Vec<uint8_t>& payload, bool& exprs, bool funcs_only, ValType& type,
                    uint32_t& n);

  // ---- encoding
  static void put_string(Vec<uint8_t>& out, std::string_view s) {
    write_uleb(out, s.size());
    out.insert(out.end(), s.begin(), s.end());
  }
  static void put_bytes(Vec<uint8_t>& out, const Vec<uint8_t>& b) {
    out.insert(out.end(), b.begin(), b.end());
  }
  static void put_val(Vec<uint8_t>& out, ValType t) { wasm::write_val_type(out, t); }
  static void put_limits(Vec<uint8_t>& out, const Limits& l, const wasm::MemoryType* m);
  static void put_table(Vec<uint8_t>& out, const wasm::TableType& t) {
    put_val(out, t.element);
    put_limits(out, t.limits, nullptr);
  }
  static void put_global(Vec<uint8_t>& out, const wasm::GlobalType& g) {
    put_val(out, g.type);
    out.push_back(g.is_mutable);
  }
  void put_sub(Vec<uint8_t>& out, const SubType& s);
  void put_names(Vec<uint8_t>& section, uint8_t id, const Vec<std::pair<uint32_t, String>>& names);
  Vec<uint8_t> encode(std::string_view name);

  const Vec<Token>& tokens_;
  size_t p_, end_;
  const ParseOptions& options_;

  Space types_{"type", {}, 0, {}}, funcs_{"func", {}, 0, {}}, tables_{"table", {}, 0, {}},
      memories_{"memory", {}, 0, {}}, globals_{"global", {}, 0, {}}, tags_{"tag", {}, 0, {}},
      elems_{"elem", {}, 0, {}}, datas_{"data", {}, 0, {}};
  Vec<FieldRef> fields_list_;
  Vec<Names> fields_;
  struct FieldName {
    uint32_t type, field;
    String name;
  };
  Vec<FieldName> field_names_;
  Vec<SubType> defs_;
  struct Group {
    uint32_t count;
    bool explicit_rec;
  };
  Vec<Group> groups_;
  Names plain_types_;

  Vec<uint8_t> imports_, func_types_, table_defs_, memory_defs_, tag_defs_, global_defs_, exports_,
      elem_defs_, code_, data_defs_;
  uint32_t import_count_ = 0, func_count_ = 0, table_count_ = 0, memory_count_ = 0, tag_count_ = 0,
           global_count_ = 0, export_count_ = 0, elem_count_ = 0, data_count_ = 0;
  std::optional<uint32_t> start_;
  bool needs_data_count_ = false, custom_page_ = false;
  // Running indices of the second pass.
  uint32_t next_func_ = 0, next_table_ = 0, next_memory_ = 0, next_global_ = 0, next_tag_ = 0;

  Vec<uint8_t>* body_ = nullptr;
  Vec<String> labels_;
  Names locals_;
  Vec<uint8_t> scratch_;
  unsigned depth_ = 0;
  uint64_t lane_buffer_ = 0;
  struct LocalNames {
    uint32_t func;
    Vec<std::pair<uint32_t, String>> names;
  };
  Vec<LocalNames> local_names_;
  struct Hint {
    uint32_t offset;
    uint8_t value;
  };
  Vec<Hint> hints_;
  std::optional<uint8_t> pending_hint_;
  Vec<uint8_t> hint_section_;
  uint32_t hint_funcs_ = 0;
  struct Custom {
    String name;
    String payload;
    int place;  // 2*section order, before or after; see custom_field
  };
  Vec<Custom> customs_;
  String module_name_;
};

// ---- instructions ---------------------------------------------------------

Result<void> Parser::instr_seq() {
  for (;;) {
    switch (peek().kind) {
      case TokenKind::Close:
      case TokenKind::End:
        return {};
      case TokenKind::Keyword: {
        const std::string_view k = peek().text;
        if (k == "end" || k == "else" || k == "catch" || k == "catch_all" || k == "delegate")
          return {};
        break;
      }
      default:
        break;
    }
    WAFER_TRY(instr());
  }
}

Result<void> Parser::take_hints() {
  while (peek().kind == TokenKind::Annotation) {
    if (peek().text != "metadata.code.branch_hint") {
      return unexpected();
    }
    ++p_;
    WAFER_LET(v, string());
    if (v.size() != 1 || uint8_t(v[0]) > 1)
      return fail("@metadata.code.branch_hint annotation: invalid value");
    WAFER_TRY(close());
    if (pending_hint_) return fail("@metadata.code.branch_hint annotation: duplicate annotation");
    pending_hint_ = uint8_t(v[0]);
  }
  return {};
}

// Only conditional branches take hints.
Result<void> Parser::hint_target(Opcode op) {
  if (!pending_hint_ || op == Opcode::If || op == Opcode::BrIf) return {};
  return Error(ErrorKind::Invalid, "@metadata.code.branch_hint annotation: invalid target", here());
}

Result<void> Parser::instr() {
  WAFER_TRY(take_hints());
  if (peek().kind == TokenKind::Open) return folded();
  if (peek().kind != TokenKind::Keyword) return unexpected();
  const auto it = mnemonics().find(peek().text);
  if (it == mnemonics().end()) return unknown_operator();
  const Opcode op = it->second;
  switch (op) {
    case Opcode::Block:
    case Opcode::Loop:
    case Opcode::If:
    case Opcode::TryTable:
    case Opcode::Try:
      ++p_;
      WAFER_TRY(hint_target(op));
      return plain_block(op);
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
  if (pending_hint_) {
    hints_.push_back({uint32_t(body_->size()), *pending_hint_});
    pending_hint_.reset();
  }
  emit(in);
  return {};
}

Result<void> Parser::block_head(Instr& in) {
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

Result<void> Parser::catches(Instr& in) {
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

Result<void> Parser::resume_clauses(Instr& in) {
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

Result<void> Parser::plain_block(Opcode op) {
  if (++depth_ > kMaxDepth) return fail("nesting too deep");
  WAFER_LET(name, label_id());
  Instr in;
  in.op = op;
  WAFER_TRY(block_head(in));
  if (op == Opcode::TryTable) WAFER_TRY(catches(in));
  if (pending_hint_) {
    hints_.push_back({uint32_t(body_->size()), *pending_hint_});
    pending_hint_.reset();
  }
  emit(in);
  labels_.push_back(name);
  WAFER_TRY(instr_seq());
  if (op == Opcode::If && take_keyword("else")) {
    WAFER_TRY(matching_label(name));
    plain(Opcode::Else);
    WAFER_TRY(instr_seq());
  }
  bool done = false;
  if (op == Opcode::Try) {
    bool all = false;
    while (!all && (at_keyword("catch") || at_keyword("catch_all"))) {
      all = at_keyword("catch_all");
      ++p_;
      Instr c;
      c.op = all ? Opcode::CatchAll : Opcode::Catch;
      if (!all) {
        WAFER_LET(t, index(tags_));
        c.index = t;
      }
      emit(c);
      WAFER_TRY(instr_seq());
    }
    if (take_keyword("delegate")) {
      labels_.pop_back();
      WAFER_LET(l, label_index());
      Instr d;
      d.op = Opcode::Delegate;
      d.index = l;
      emit(d);
      labels_.push_back(name);
      done = true;
    }
  }
  if (!done) {
    if (!take_keyword("end")) return unexpected();
    WAFER_TRY(matching_label(name));
    plain(Opcode::End);
  }
  labels_.pop_back();
  --depth_;
  return {};
}

Result<void> Parser::folded() {
  if (++depth_ > kMaxDepth) return fail("nesting too deep");
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
  const Opcode op = it->second;
  ++p_;
  WAFER_TRY(hint_target(op));
  switch (op) {
    case Opcode::Block:
    case Opcode::Loop:
    case Opcode::TryTable: {
      WAFER_LET(name, label_id());
      Instr in;
      in.op = op;
      WAFER_TRY(block_head(in));
      if (op == Opcode::TryTable) WAFER_TRY(catches(in));
      emit(in);
      labels_.push_back(name);
      WAFER_TRY(instr_seq());
      plain(Opcode::End);
      labels_.pop_back();
      break;
    }
    case Opcode::If: {
      std::optional<uint8_t> hint = pending_hint_;
      pending_hint_.reset();
      WAFER_LET(name, label_id());
      Instr in;
      in.op = op;
      WAFER_TRY(block_head(in));
      while (!at_open("then")) {
        WAFER_TRY(take_hints());
        if (peek().kind != TokenKind::Open) return unexpected();
        WAFER_TRY(folded());
      }
      if (hint) hints_.push_back({uint32_t(body_->size()), *hint});
      emit(in);
      labels_.push_back(name);
      p_ += 2;
      WAFER_TRY(instr_seq());
      WAFER_TRY(close());
      if (open("else")) {
        plain(Opcode::Else);
        WAFER_TRY(instr_seq());
        WAFER_TRY(close());
      }
      plain(Opcode::End);
      labels_.pop_back();
      break;
    }
    case Opcode::Try: {
      WAFER_LET(name, label_id());
      Instr in;
      in.op = op;
      WAFER_TRY(block_head(in));
      emit(in);
      labels_.push_back(name);
      if (!open("do")) return unexpected();
      WAFER_TRY(instr_seq());
      WAFER_TRY(close());
      bool done = false;
      if (open("delegate")) {
        labels_.pop_back();
        WAFER_LET(l, label_index());
        Instr d;
        d.op = Opcode::Delegate;
        d.index = l;
        emit(d);
        WAFER_TRY(close());
        labels_.push_back(name);
        done = true;
      }
      bool all = false;
      while (!done && !all && (at_open("catch") || at_open("catch_all"))) {
        all = at_open("catch_all");
        p_ += 2;
        Instr c;
        c.op = all ? Opcode::CatchAll : Opcode::Catch;
        if (!all) {
          WAFER_LET(t, index(tags_));
          c.index = t;
        }
        emit(c);
        WAFER_TRY(instr_seq());
        WAFER_TRY(close());
      }
      if (!done) plain(Opcode::End);
      labels_.pop_back();
      break;
    }
    case Opcode::End:
    case Opcode::Else:
    case Opcode::Catch:
    case Opcode::CatchAll:
    case Opcode::Delegate:
      --p_;
      return unexpected();
    default: {
      std::optional<uint8_t> hint = pending_hint_;
      pending_hint_.reset();
      // The instruction follows its operands; keep it encoded meanwhile.
      const size_t begin = scratch_.size();
      {
        Instr in;
        in.op = op;
        WAFER_TRY(immediates(in));
        write_instr(scratch_, in);
      }
      const size_t stop = scratch_.size();
      while (peek().kind != TokenKind::Close) {
        WAFER_TRY(take_hints());
        if (peek().kind != TokenKind::Open) return unexpected();
        WAFER_TRY(folded());
      }
      if (hint) hints_.push_back({uint32_t(body_->size()), *hint});
      body_->insert(body_->end(), scratch_.begin() + ptrdiff_t(begin),
                    scratch_.begin() + ptrdiff_t(stop));
      scratch_.resize(begin);
      break;
    }
  }
  --depth_;
  return close();
}

Result<void> Parser::v128_const(Instr& in) {
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

Result<void> Parser::immediates(Instr& in) {
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
      if (t.nullable())
        in.op = in.op == Opcode::RefTest ? Opcode::RefTestNull : Opcode::RefCastNull;
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

// ---- fields ---------------------------------------------------------------

// First pass: indices and names of everything, so that bodies may refer ahead.
Result<void> Parser::scan() {
  std::string_view defined;  // first definition after which imports may not come
  auto inline_is_import = [&]() {
    size_t q = p_;
    auto group_end = [&](size_t i) {
      size_t depth = 0;
      do {
        const TokenKind k = tokens_[i++].kind;
        if (k == TokenKind::Open || k == TokenKind::Annotation) ++depth;
        if (k == TokenKind::Close) --depth;
      } while (depth && i < end_);
      return i;
    };
    while (q + 1 < end_ && tokens_[q].kind == TokenKind::Open && tokens_[q + 1].text == "export")
      q = group_end(q);
    return q + 1 < end_ && tokens_[q].kind == TokenKind::Open && tokens_[q + 1].text == "import";
  };
  while (p_ < end_) {
    if (peek().kind == TokenKind::Annotation) {
      if (peek().text == "name") {
        ++p_;
        if (!module_name_.empty()) return fail("@name annotation: multiple module");
        if (!fields_list_.empty()) return fail("misplaced @name annotation");
        WAFER_LET(n, annotation_name());
        module_name_ = n;
        continue;
      }
      if (peek().text == "metadata.code.branch_hint")
        return fail("@metadata.code.branch_hint annotation: not in a function");
      fields_list_.push_back({"@custom", p_ + 1});
      skip_group();
      continue;
    }
    if (peek().kind != TokenKind::Open) return unexpected();
    const size_t field_start = p_;
    ++p_;
    if (peek().kind != TokenKind::Keyword) return unexpected();
    const std::string_view k = peek().text;
    ++p_;
    fields_list_.push_back({k, p_});
    auto import_check = [&]() -> Status {
      if (defined.empty()) return {};
      String m("import after ");
      m += defined;
      return fail(m);
    };
    auto definition = [&](Space& space, std::string_view what) -> Status {
      WAFER_TRY(define(space));
      if (inline_is_import()) return import_check();
      if (defined.empty()) defined = what;
      return {};
    };
    if (k == "type") {
      WAFER_TRY(define(types_));
    } else if (k == "rec") {
      while (open("type")) {
        WAFER_TRY(define(types_));
        p_ -= 1;
        while (tokens_[p_].kind != TokenKind::Open || tokens_[p_ + 1].text != "type") --p_;
        skip_group();
      }
      if (peek().kind != TokenKind::Close) return unexpected();
    } else if (k == "import") {
      WAFER_TRY(import_check());
      p_ += 2;
      if (p_ + 1 >= end_ || peek().kind != TokenKind::Open) {
        p_ = field_start + 2;
        if (peek().kind != TokenKind::String || peek(1).kind != TokenKind::String) {
          if (peek().kind == TokenKind::String) ++p_;
          return unexpected();
        }
        p_ += 2;
        return unexpected();
      }
      const std::string_view kind = peek(1).text;
      p_ += 2;
      if (kind == "func")
        WAFER_TRY(define(funcs_));
      else if (kind == "table")
        WAFER_TRY(define(tables_));
      else if (kind == "memory")
        WAFER_TRY(define(memories_));
      else if (kind == "global")
        WAFER_TRY(define(globals_));
      else if (kind == "tag")
        WAFER_TRY(define(tags_));
      else {
        --p_;
        return unexpected();
      }
    } else if (k == "func") {
      WAFER_TRY(definition(funcs_, "function"));
    } else if (k == "table") {
      WAFER_TRY(definition(tables_, "table"));
      // An inline segment takes an element index of its own.
      size_t q = p_;
      p_ = field_start;
      skip_group();
      const size_t stop = p_;
      for (; q + 1 < stop; ++q)
        if (tokens_[q].kind == TokenKind::Open && tokens_[q + 1].kind == TokenKind::Keyword &&
            tokens_[q + 1].text == "elem") {
          ++elems_.count;
          break;
        }
    } else if (k == "memory") {
      WAFER_TRY(definition(memories_, "memory"));
      size_t q = p_;
      p_ = field_start;
      skip_group();
      const size_t stop = p_;
      for (; q + 1 < stop; ++q)
        if (tokens_[q].kind == TokenKind::Open && tokens_[q + 1].kind == TokenKind::Keyword &&
            tokens_[q + 1].text == "data") {
          ++datas_.count;
          break;
        }
    } else if (k == "global") {
      WAFER_TRY(definition(globals_, "global"));
    } else if (k == "tag") {
      WAFER_TRY(definition(tags_, "tag"));
    } else if (k == "elem") {
      WAFER_TRY(define(elems_));
    } else if (k == "data") {
      WAFER_TRY(define(datas_));
    } else if (k == "start") {
      if (start_) return fail("multiple start sections");
      start_ = 0;
    } else if (k != "export") {
      --p_;
      return unexpected();
    }
    p_ = field_start;
    skip_group();
    if (tokens_[p_ - 1].kind != TokenKind::Close) return unexpected();
  }
  return {};
}

Result<void> Parser::func_field() {
  const uint32_t index = next_func_++;
  if (peek().kind == TokenKind::Id) ++p_;
  skip_name();
  WAFER_TRY(inline_exports(ExternKind::Func, index));
  WAFER_LET(imported, inline_import(0));
  locals_.clear();
  LocalNames names{index, {}};
  FuncType type;
  WAFER_LET(type_index, type_use(&type, &names.names, &locals_));
  if (imported) {
    write_uleb(imports_, type_index);
    return close();
  }
  write_uleb(func_types_, type_index);
  ++func_count_;
  // Locals, run-length encoded.
  uint32_t next_local = uint32_t(type.params.size());
  Vec<std::pair<uint32_t, ValType>> runs;
  auto add_local = [&](ValType t) {
    if (!runs.empty() && runs.back().second == t)
      ++runs.back().first;
    else
      runs.emplace_back(1, t);
    ++next_local;
  };
  while (open("local")) {
    if (peek().kind == TokenKind::Id) {
      WAFER_LET(id, id_value(peek()));
      if (!locals_.try_emplace(id, next_local).second) return fail("duplicate local");
      names.names.emplace_back(next_local, id);
      ++p_;
      WAFER_LET(t, val_type());
      add_local(t);
    } else {
      while (peek().kind != TokenKind::Close) {
        WAFER_LET(t, val_type());
        add_local(t);
      }
    }
    WAFER_TRY(close());
  }
  if (!names.names.empty()) local_names_.push_back(std::move(names));
  Vec<uint8_t> body;
  write_uleb(body, runs.size());
  for (const auto& [n, t] : runs) {
    write_uleb(body, n);
    put_val(body, t);
  }
  body_ = &body;
  labels_.clear();
  labels_.push_back(String());
  hints_.clear();
  pending_hint_.reset();
  depth_ = 0;
  scratch_.clear();
  WAFER_TRY(instr_seq());
  if (pending_hint_) return fail("@metadata.code.branch_hint annotation: invalid target");
  if (peek().kind == TokenKind::Keyword) return unexpected();
  plain(Opcode::End);
  if (!hints_.empty()) {
    write_uleb(hint_section_, index);
    write_uleb(hint_section_, hints_.size());
    for (const Hint& h : hints_) {
      write_uleb(hint_section_, h.offset);
      hint_section_.push_back(1);
      hint_section_.push_back(h.value);
    }
    ++hint_funcs_;
  }
  write_uleb(code_, body.size());
  put_bytes(code_, body);
  return close();
}

// Items of a segment: function indices or expressions.
Result<void> Parser::elem_items(Vec<uint8_t>& payload, bool& exprs, bool funcs_only, ValType& type,
                                uint32_t& n) {
  n = 0;
  exprs = !funcs_only;
  while (peek().kind != TokenKind::Close) {
    if (funcs_only) {
      WAFER_LET(i, index(funcs_));
      write_uleb(payload, i);
    } else if (open("item")) {
      WAFER_LET(e, const_expr_seq());
      put_bytes(payload, e);
      WAFER_TRY(close());
    } else {
      WAFER_LET(e, const_expr_one());
      put_bytes(payload, e);
    }
    ++n;
  }
  (void)type;
  return {};
}

Result<void> Parser::table_field() {
  const uint32_t index = next_table_++;
  if (peek().kind == TokenKind::Id) ++p_;
  skip_name();
  WAFER_TRY(inline_exports(ExternKind::Table, index));
  WAFER_LET(imported, inline_import(1));
  wasm::TableType t;
  if (imported) {
    WAFER_TRY(table_type(t));
    put_table(imports_, t);
    return close();
  }
  ++table_count_;
  const size_t before = p_;
  WAFER_LET(is64, address_type());
  if (at_ref_type()) {
    // reftype (elem ...)
    WAFER_LET(e, ref_type());
    t.element = e;
    t.limits.is64 = is64;
    if (!open("elem")) return unexpected();
    Vec<uint8_t> items;
    bool exprs;
    uint32_t n;
    const bool funcs = at_index() || peek().kind == TokenKind::Close;
    WAFER_TRY(elem_items(items, exprs, funcs, t.element, n));
    WAFER_TRY(close());
    t.limits.min = t.limits.max = n;
    t.limits.has_max = true;
    put_table(table_defs_, t);
    Vec<uint8_t>& d = elem_defs_;
    Instr zero;
    zero.op = is64 ? Opcode::I64Const : Opcode::I32Const;
    zero.i64 = 0;
    // Function indices imply non-nullable items; others name their type.
    const bool plain_funcs = funcs && t.element == wasm::kFuncRef;
    if (plain_funcs && index == 0) {
      write_uleb(d, 0);
    } else if (plain_funcs) {
      write_uleb(d, 2);
      write_uleb(d, index);
    } else {
      write_uleb(d, 6);
      write_uleb(d, index);
    }
    write_instr(d, zero);
    d.push_back(0x0B);
    if (plain_funcs) {
      if (index != 0) d.push_back(0);
      write_uleb(d, n);
      put_bytes(d, items);
    } else {
      put_val(d, t.element);
      write_uleb(d, n);
      if (funcs) {
        const uint8_t* q = items.data();
        const uint8_t* stop = q + items.size();
        while (q < stop) {
          uint64_t f = 0;
          (void)read_uleb<32>(q, stop, f);
          Instr r;
          r.op = Opcode::RefFunc;
          r.index = uint32_t(f);
          write_instr(d, r);
          d.push_back(0x0B);
        }
      } else {
        put_bytes(d, items);
      }
    }
    ++elem_count_;
    return close();
  }
  p_ = before;
  WAFER_TRY(table_type(t));
  if (peek().kind != TokenKind::Close) {
    WAFER_LET(init, const_expr_seq());
    table_defs_.push_back(0x40);
    table_defs_.push_back(0x00);
    put_table(table_defs_, t);
    put_bytes(table_defs_, init);
  } else {
    put_table(table_defs_, t);
  }
  return close();
}

Result<void> Parser::memory_field() {
  const uint32_t index = next_memory_++;
  if (peek().kind == TokenKind::Id) ++p_;
  skip_name();
  WAFER_TRY(inline_exports(ExternKind::Memory, index));
  WAFER_LET(imported, inline_import(2));
  wasm::MemoryType m;
  if (imported) {
    WAFER_TRY(memory_type(m));
    put_limits(imports_, m.limits, &m);
    return close();
  }
  ++memory_count_;
  const size_t before = p_;
  WAFER_LET(is64, address_type());
  WAFER_TRY(page_size(m));
  if (open("data")) {
    String bytes;
    while (peek().kind != TokenKind::Close) {
      WAFER_LET(s, string());
      bytes += s;
    }
    WAFER_TRY(close());
    m.limits.is64 = is64;
    const uint64_t page = uint64_t(1) << m.page_size_log2;
    m.limits.min = m.limits.max = (bytes.size() + page - 1) / page;
    m.limits.has_max = true;
    put_limits(memory_defs_, m.limits, &m);
    write_uleb(data_defs_, index == 0 ? 0 : 2);
    if (index) write_uleb(data_defs_, index);
    Instr zero;
    zero.op = is64 ? Opcode::I64Const : Opcode::I32Const;
    zero.i64 = 0;
    write_instr(data_defs_, zero);
    data_defs_.push_back(0x0B);
    put_string(data_defs_, bytes);
    ++data_count_;
    return close();
  }
  p_ = before;
  m = {};
  WAFER_TRY(memory_type(m));
  put_limits(memory_defs_, m.limits, &m);
  return close();
}

Result<void> Parser::global_field() {
  const uint32_t index = next_global_++;
  if (peek().kind == TokenKind::Id) ++p_;
  skip_name();
  WAFER_TRY(inline_exports(ExternKind::Global, index));
  WAFER_LET(imported, inline_import(3));
  wasm::GlobalType g;
  WAFER_TRY(global_type(g));
  if (imported) {
    put_global(imports_, g);
    return close();
  }
  ++global_count_;
  put_global(global_defs_, g);
  WAFER_LET(init, const_expr_seq());
  put_bytes(global_defs_, init);
  return close();
}

Result<void> Parser::tag_field() {
  const uint32_t index = next_tag_++;
  if (peek().kind == TokenKind::Id) ++p_;
  skip_name();
  WAFER_TRY(inline_exports(ExternKind::Tag, index));
  WAFER_LET(imported, inline_import(4));
  Names ids;
  WAFER_LET(type, type_use(nullptr, nullptr, &ids));
  Vec<uint8_t>& out = imported ? imports_ : tag_defs_;
  out.push_back(0);
  write_uleb(out, type);
  if (!imported) ++tag_count_;
  return close();
}

Result<void> Parser::import_field() {
  WAFER_LET(module, name_string());
  WAFER_LET(name, name_string());
  put_string(imports_, module);
  put_string(imports_, name);
  ++import_count_;
  auto skip_id = [&] {
    if (peek().kind == TokenKind::Id) ++p_;
    skip_name();
  };
  if (open("func")) {
    ++next_func_;
    skip_id();
    LocalNames names{next_func_ - 1, {}};
    Names ids;
    WAFER_LET(t, type_use(nullptr, &names.names, &ids));
    imports_.push_back(0);
    write_uleb(imports_, t);
  } else if (open("table")) {
    ++next_table_;
    skip_id();
    wasm::TableType t;
    WAFER_TRY(table_type(t));
    imports_.push_back(1);
    put_table(imports_, t);
  } else if (open("memory")) {
    ++next_memory_;
    skip_id();
    wasm::MemoryType m;
    WAFER_TRY(memory_type(m));
    imports_.push_back(2);
    put_limits(imports_, m.limits, &m);
  } else if (open("global")) {
    ++next_global_;
    skip_id();
    wasm::GlobalType g;
    WAFER_TRY(global_type(g));
    imports_.push_back(3);
    put_global(imports_, g);
  } else if (open("tag")) {
    ++next_tag_;
    skip_id();
    Names ids;
    WAFER_LET(t, type_use(nullptr, nullptr, &ids));
    imports_.push_back(4);
    imports_.push_back(0);
    write_uleb(imports_, t);
  } else {
    return unexpected();
  }
  WAFER_TRY(close());
  return close();
}

Result<void> Parser::export_field() {
  WAFER_LET(name, name_string());
  struct Kind {
    std::string_view keyword;
    ExternKind kind;
    const Space* space;
  };
  const Kind kinds[] = {{"func", ExternKind::Func, &funcs_},
                        {"table", ExternKind::Table, &tables_},
                        {"memory", ExternKind::Memory, &memories_},
                        {"global", ExternKind::Global, &globals_},
                        {"tag", ExternKind::Tag, &tags_}};
  for (const Kind& k : kinds) {
    if (!open(k.keyword)) continue;
    WAFER_LET(i, index(*k.space));
    WAFER_TRY(close());
    add_export(name, k.kind, i);
    return close();
  }
  return unexpected();
}

Result<void> Parser::elem_field() {
  if (peek().kind == TokenKind::Id) ++p_;
  skip_name();
  ++elem_count_;
  Vec<uint8_t>& d = elem_defs_;
  const bool declare = take_keyword("declare");
  uint32_t table = 0;
  bool explicit_table = false, active = false;
  Vec<uint8_t> offset;
  if (!declare) {
    if (open("table")) {
      WAFER_LET(t, index(tables_));
      table = t;
      explicit_table = true;
      WAFER_TRY(close());
    } else if (at_index() && peek(1).kind == TokenKind::Open) {
      WAFER_LET(t, index(tables_));
      table = t;
      explicit_table = true;
    }
    if (open("offset")) {
      WAFER_LET(e, const_expr_seq());
      offset = std::move(e);
      WAFER_TRY(close());
      active = true;
    } else if (peek().kind == TokenKind::Open && !at_open("ref") && !at_open("item")) {
      WAFER_LET(e, const_expr_one());
      offset = std::move(e);
      active = true;
    } else if (explicit_table) {
      return unexpected();
    }
  }
  ValType type = wasm::kFuncRef;
  bool funcs = true;
  if (take_keyword("func")) {
    funcs = true;
  } else if (at_ref_type()) {
    WAFER_LET(t, ref_type());
    type = t;
    funcs = false;
  } else if (!active) {
    return unexpected();
  } else if (peek().kind == TokenKind::Open) {
    return unexpected();
  }
  Vec<uint8_t> items;
  bool exprs;
  uint32_t n;
  WAFER_TRY(elem_items(items, exprs, funcs, type, n));
  // Flag bits (5.5.12): 0 not active, 1 explicit index or declarative, 2 expressions.
  const bool implicit_kind = active && !explicit_table && (funcs || type == wasm::kFuncRef);
  uint32_t flags = exprs ? 4 : 0;
  if (!active)
    flags |= declare ? 3 : 1;
  else if (!implicit_kind)
    flags |= 2;
  write_uleb(d, flags);
  if (active) {
    if (!implicit_kind) write_uleb(d, table);
    put_bytes(d, offset);
  }
  if (flags & 3) {
    if (exprs)
      put_val(d, type);
    else
      d.push_back(0);
  }
  write_uleb(d, n);
  put_bytes(d, items);
  return close();
}

Result<void> Parser::data_field() {
  if (peek().kind == TokenKind::Id) ++p_;
  skip_name();
  ++data_count_;
  Vec<uint8_t>& d = data_defs_;
  uint32_t memory = 0;
  bool active = false;
  Vec<uint8_t> offset;
  bool explicit_memory = false;
  if (open("memory")) {
    WAFER_LET(m, index(memories_));
    memory = m;
    explicit_memory = true;
    WAFER_TRY(close());
  } else if (at_index()) {
    WAFER_LET(m, index(memories_));
    memory = m;
    explicit_memory = true;
  }
  if (open("offset")) {
    WAFER_LET(e, const_expr_seq());
    offset = std::move(e);
    WAFER_TRY(close());
    active = true;
  } else if (peek().kind == TokenKind::Open) {
    WAFER_LET(e, const_expr_one());
    offset = std::move(e);
    active = true;
  } else if (explicit_memory) {
    return unexpected();
  }
  String bytes;
  while (peek().kind != TokenKind::Close) {
    WAFER_LET(s, string());
    bytes += s;
  }
  write_uleb(d, active ? (explicit_memory ? 2 : 0) : 1);
  if (active) {
    if (explicit_memory) write_uleb(d, memory);
    put_bytes(d, offset);
  }
  put_string(d, bytes);
  return close();
}

// (@custom "name" (before|after section)? "bytes"...)
Result<void> Parser::custom_field() {
  auto bad = [&](std::string_view m) {
    String s("@custom annotation: ");
    s += m;
    return fail(s);
  };
  if (peek().kind != TokenKind::String) return bad("missing section name");
  Custom c;
  WAFER_LET(name, string_value(peek()));
  if (!wasm::is_utf8(name)) return bad("malformed UTF-8 encoding");
  ++p_;
  c.name = name;
  // Places in binary order; 2*i is before section i, 2*i+1 after it.
  static constexpr std::string_view kSections[] = {
      "",       "type",   "import", "func", "table",     "memory", "tag",
      "global", "export", "start",  "elem", "datacount", "code",   "data"};
  c.place = 1000;
  if (peek().kind == TokenKind::Open) {
    ++p_;
    const bool before = at_keyword("before");
    if (!before && !at_keyword("after")) return bad("malformed placement");
    ++p_;
    if (peek().kind != TokenKind::Keyword) return bad("malformed section kind");
    const std::string_view section = peek().text;
    if (section == "first" && before) {
      c.place = 0;
    } else if (section == "last" && !before) {
      c.place = 999;
    } else {
      bool found = false;
      for (int i = 1; i < int(std::size(kSections)); ++i)
        if (section == kSections[i]) {
          c.place = 2 * i + (before ? 0 : 1);
          found = true;
        }
      if (!found) return bad("malformed section kind");
    }
    ++p_;
    if (peek().kind != TokenKind::Close) return bad("unexpected token");
    ++p_;
  }
  while (peek().kind == TokenKind::String) {
    WAFER_LET(s, string());
    c.payload += s;
  }
  if (peek().kind != TokenKind::Close) return bad("unexpected token");
  ++p_;
  customs_.push_back(std::move(c));
  return {};
}

Result<void> Parser::parse_field(const FieldRef& f) {
  p_ = f.token;
  if (f.keyword == "func") return func_field();
  if (f.keyword == "import") return import_field();
  if (f.keyword == "table") return table_field();
  if (f.keyword == "memory") return memory_field();
  if (f.keyword == "global") return global_field();
  if (f.keyword == "tag") return tag_field();
  if (f.keyword == "export") return export_field();
  if (f.keyword == "elem") return elem_field();
  if (f.keyword == "data") return data_field();
  if (f.keyword == "@custom") return custom_field();
  if (f.keyword == "start") {
    WAFER_LET(i, index(funcs_));
    start_ = i;
    return close();
  }
  return {};
}

// ---- encoding -------------------------------------------------------------

void Parser::put_limits(Vec<uint8_t>& out, const Limits& l, const wasm::MemoryType* m) {
  const bool page = m && m->page_size_log2 != 16;
  out.push_back(
      uint8_t((l.has_max ? 1 : 0) | (l.shared ? 2 : 0) | (l.is64 ? 4 : 0) | (page ? 8 : 0)));
  write_uleb(out, l.min);
  if (l.has_max) write_uleb(out, l.max);
  if (page) write_uleb(out, m->page_size_log2);
}

void Parser::put_sub(Vec<uint8_t>& out, const SubType& s) {
  if (!s.is_final || s.super != SubType::kNoSuper) {
    out.push_back(s.is_final ? 0x4F : 0x50);
    if (s.super == SubType::kNoSuper) {
      out.push_back(0);
    } else {
      out.push_back(1);
      write_uleb(out, s.super);
    }
  }
  auto field = [&](const FieldType& f) {
    put_val(out, f.storage);
    out.push_back(f.is_mutable);
  };
  switch (s.kind) {
    case CompKind::Func:
      out.push_back(0x60);
      write_uleb(out, s.func.params.size());
      for (const ValType t : s.func.params) put_val(out, t);
      write_uleb(out, s.func.results.size());
      for (const ValType t : s.func.results) put_val(out, t);
      break;
    case CompKind::Struct:
      out.push_back(0x5F);
      write_uleb(out, s.fields.size());
      for (const FieldType& f : s.fields) field(f);
      break;
    case CompKind::Array:
      out.push_back(0x5E);
      field(s.fields[0]);
      break;
    case CompKind::Cont:
      out.push_back(0x5D);
      write_sleb(out, int64_t(s.cont));
      break;
  }
}

void Parser::put_names(Vec<uint8_t>& section, uint8_t id,
                       const Vec<std::pair<uint32_t, String>>& names) {
  if (names.empty()) return;
  Vec<uint8_t> sub;
  write_uleb(sub, names.size());
  for (const auto& [i, n] : names) {
    write_uleb(sub, i);
    put_string(sub, n);
  }
  section.push_back(id);
  write_uleb(section, sub.size());
  put_bytes(section, sub);
}

Vec<uint8_t> Parser::encode(std::string_view name) {
  Vec<uint8_t> out;
  for (const uint8_t b : {0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00}) out.push_back(b);
  auto custom = [&](std::string_view custom_name, std::string_view payload) {
    Vec<uint8_t> s;
    put_string(s, custom_name);
    s.insert(s.end(), payload.begin(), payload.end());
    out.push_back(0);
    write_uleb(out, s.size());
    put_bytes(out, s);
  };
  auto customs_at = [&](int place) {
    for (const Custom& c : customs_)
      if (c.place == place) custom(c.name, c.payload);
  };
  // `order` counts sections as they stand in the binary.
  auto section = [&](int order, uint8_t id, uint32_t count, const Vec<uint8_t>& payload) {
    customs_at(2 * order);
    if (count) {
      Vec<uint8_t> head;
      write_uleb(head, count);
      out.push_back(id);
      write_uleb(out, head.size() + payload.size());
      put_bytes(out, head);
      put_bytes(out, payload);
    }
    customs_at(2 * order + 1);
  };

  Vec<uint8_t> type_bytes;
  size_t at = 0;
  for (const Group& g : groups_) {
    if (g.explicit_rec) {
      type_bytes.push_back(0x4E);
      write_uleb(type_bytes, g.count);
    }
    for (uint32_t i = 0; i < g.count; ++i) put_sub(type_bytes, defs_[at++]);
  }
  customs_at(0);
  section(1, 1, uint32_t(groups_.size()), type_bytes);
  section(2, 2, import_count_, imports_);
  section(3, 3, func_count_, func_types_);
  section(4, 4, table_count_, table_defs_);
  section(5, 5, memory_count_, memory_defs_);
  section(6, 13, tag_count_, tag_defs_);
  section(7, 6, global_count_, global_defs_);
  section(8, 7, export_count_, exports_);
  customs_at(18);
  if (start_) {
    Vec<uint8_t> s;
    write_uleb(s, *start_);
    out.push_back(8);
    write_uleb(out, s.size());
    put_bytes(out, s);
  }
  customs_at(19);
  section(10, 9, elem_count_, elem_defs_);
  customs_at(22);
  if (needs_data_count_) {
    Vec<uint8_t> s;
    write_uleb(s, data_count_);
    out.push_back(12);
    write_uleb(out, s.size());
    put_bytes(out, s);
  }
  customs_at(23);
  if (hint_funcs_) {
    Vec<uint8_t> s;
    write_uleb(s, hint_funcs_);
    put_bytes(s, hint_section_);
    custom("metadata.code.branch_hint",
           std::string_view(reinterpret_cast<const char*>(s.data()), s.size()));
  }
  section(12, 10, func_count_, code_);
  section(13, 11, data_count_, data_defs_);
  customs_at(999);
  customs_at(1000);

  if (options_.names) {
    Vec<uint8_t> s;
    const std::string_view module_name =
        module_name_.empty() ? name : std::string_view(module_name_);
    if (!module_name.empty()) {
      Vec<uint8_t> sub;
      put_string(sub, module_name);
      s.push_back(0);
      write_uleb(s, sub.size());
      put_bytes(s, sub);
    }
    put_names(s, 1, funcs_.debug);
    if (!local_names_.empty()) {
      Vec<uint8_t> sub;
      write_uleb(sub, local_names_.size());
      for (const LocalNames& l : local_names_) {
        write_uleb(sub, l.func);
        write_uleb(sub, l.names.size());
        for (const auto& [i, n] : l.names) {
          write_uleb(sub, i);
          put_string(sub, n);
        }
      }
      s.push_back(2);
      write_uleb(s, sub.size());
      put_bytes(s, sub);
    }
    put_names(s, 4, types_.debug);
    put_names(s, 5, tables_.debug);
    put_names(s, 6, memories_.debug);
    put_names(s, 7, globals_.debug);
    put_names(s, 8, elems_.debug);
    put_names(s, 9, datas_.debug);
    if (!field_names_.empty()) {
      Vec<uint8_t> sub;
      uint32_t groups = 0;
      Vec<uint8_t> body;
      for (size_t i = 0; i < field_names_.size();) {
        size_t j = i;
        while (j < field_names_.size() && field_names_[j].type == field_names_[i].type) ++j;
        write_uleb(body, field_names_[i].type);
        write_uleb(body, j - i);
        for (; i < j; ++i) {
          write_uleb(body, field_names_[i].field);
          put_string(body, field_names_[i].name);
        }
        ++groups;
      }
      write_uleb(sub, groups);
      put_bytes(sub, body);
      s.push_back(10);
      write_uleb(s, sub.size());
      put_bytes(s, sub);
    }
    put_names(s, 11, tags_.debug);
    if (!s.empty())
      custom("name", std::string_view(reinterpret_cast<const char*>(s.data()), s.size()));
  }
  return out;
}

Result<Vec<uint8_t>> Parser::run(std::string_view name) {
  WAFER_TRY(scan());
  // Types first: implicit ones come after every explicit one.
  fields_.resize(types_.count);
  for (const FieldRef& f : fields_list_) {
    p_ = f.token;
    if (f.keyword == "type") {
      WAFER_TRY(type_def());
      groups_.push_back({1, false});
      note_plain(uint32_t(defs_.size() - 1));
    } else if (f.keyword == "rec") {
      uint32_t n = 0;
      while (open("type")) {
        WAFER_TRY(type_def());
        ++n;
      }
      WAFER_TRY(close());
      groups_.push_back({n, true});
      if (n == 1) note_plain(uint32_t(defs_.size() - 1));
    }
  }
  for (const FieldRef& f : fields_list_) WAFER_TRY(parse_field(f));
  return encode(name);
}

}  // namespace

Result<Vec<uint8_t>> parse_module_fields(const Vec<Token>& tokens, size_t begin, size_t end,
                                         std::string_view name, const ParseOptions& options) {
  return Parser(tokens, begin, end, options).run(name);
}

Result<Vec<uint8_t>> parse_wat(std::string_view source, const ParseOptions& options) {
  WAFER_LET(tokens, tokenize(source));
  size_t begin = 0, end = tokens.size() - 1;
  String name;
  const bool wrapped = end >= 2 && tokens[0].kind == TokenKind::Open && tokens[1].text == "module";
  if (wrapped) {
    begin = 2;
    if (begin < end && tokens[begin].kind == TokenKind::Id) {
      WAFER_LET(id, id_value(tokens[begin]));
      name = id;
      ++begin;
    }
    if (begin < end && tokens[begin].kind == TokenKind::Keyword && tokens[begin].text == "binary") {
      Vec<uint8_t> bytes;
      for (++begin; begin + 1 < end; ++begin) {
        if (tokens[begin].kind != TokenKind::String)
          return Error(ErrorKind::Malformed, "unexpected token", tokens[begin].offset);
        WAFER_LET(s, string_value(tokens[begin]));
        bytes.insert(bytes.end(), s.begin(), s.end());
      }
      return bytes;
    }
    // The parenthesis that closes the module must be the last token.
    size_t depth = 0, close = end;
    for (size_t i = 0; i < end; ++i) {
      if (tokens[i].kind == TokenKind::Open || tokens[i].kind == TokenKind::Annotation) ++depth;
      if (tokens[i].kind == TokenKind::Close && --depth == 0) {
        close = i;
        break;
      }
    }
    if (close == end) return Error(ErrorKind::Malformed, "unexpected end", tokens[end].offset);
    if (close + 1 != end)
      return Error(ErrorKind::Malformed, "unexpected token", tokens[close + 1].offset);
    end = close;
  }
  return parse_module_fields(tokens, begin, end, name, options);
}

LineColumn line_column(std::string_view source, uint64_t offset) {
  LineColumn at;
  for (uint64_t i = 0; i < offset && i < source.size(); ++i) {
    if (source[i] == '\n') {
      ++at.line;
      at.column = 1;
    } else {
      ++at.column;
    }
  }
  return at;
}

}  // namespace wafer::wat
