// The parser of modules: two passes over the tokens. The first gives every definition its
// index, so that the second, which encodes, may meet uses before definitions.
#pragma once

#include <optional>

#include "base/leb128.h"
#include "wasm/cursor.h"
#include "wasm/instr.h"
#include "wat/literal.h"
#include "wat/parser.h"

namespace wafer::wat {

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

using IdMap = HashMap<String, uint32_t, StringHash, StringEqual>;

struct IndexSpace {
  const char* what;  // for messages: "function"
  IdMap names;
  uint32_t count = 0;
  Vec<std::pair<uint32_t, String>> debug;  // for the name section
};

class ModuleParser {
 public:
  ModuleParser(const Vec<Token>& tokens, size_t begin, size_t end, const ParseOptions& options)
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
  Result<uint32_t> define(IndexSpace& space);
  // (@name "...") replaces the debug name.
  Status name_annotation(IndexSpace& space, uint32_t index);
  Result<String> annotation_name();
  Result<uint32_t> index(const IndexSpace& space);

  // ---- types
  Result<HeapType> heap_type();
  bool at_ref_type() const;
  Result<ValType> ref_type();
  Result<ValType> val_type();
  // (param ...)* (result ...)*; names of parameters go to `names` if given.
  Status func_type(FuncType& type, Vec<std::pair<uint32_t, String>>* names, IdMap* ids);
  Result<FieldType> field_type();
  Status comp_type(SubType& type, uint32_t type_index);
  // After "(type": id, then a composite or sub type.
  Status type_def();
  // Index of the plain function type `type`, added at the end if missing.
  uint32_t implicit_type(const FuncType& type);
  void note_plain(uint32_t index);
  // typeuse of 6.6.2.
  Result<uint32_t> type_use(FuncType* out, Vec<std::pair<uint32_t, String>>* names, IdMap* ids);
  Result<bool> address_type();
  Result<uint64_t> limit();
  Status limits(Limits& l);
  Status memory_type(wasm::MemoryType& m);
  Status page_size(wasm::MemoryType& m);
  Status table_type(wasm::TableType& t);
  Status global_type(wasm::GlobalType& g);

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

  IndexSpace types_{"type", {}, 0, {}}, funcs_{"func", {}, 0, {}}, tables_{"table", {}, 0, {}},
      memories_{"memory", {}, 0, {}}, globals_{"global", {}, 0, {}}, tags_{"tag", {}, 0, {}},
      elems_{"elem", {}, 0, {}}, datas_{"data", {}, 0, {}};
  Vec<FieldRef> fields_list_;
  Vec<IdMap> fields_;
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
  IdMap plain_types_;

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
  IdMap locals_;
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

}  // namespace wafer::wat
