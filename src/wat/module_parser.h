// The parser of modules: two passes over the tokens. The first gives every definition its
// index, so that the second, which encodes, may meet uses before definitions.
#pragma once

#include <optional>

#include "base/leb128.h"
#include "base/source_bytes.h"
#include "wasm/cursor.h"
#include "wasm/hints.h"
#include "wasm/instr.h"
#include "wasm/names.h"
#include "wat/literal.h"
#include "wat/parser.h"
#include "wat/token_reader.h"

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

class ModuleParser : public TokenReader {
 public:
  ModuleParser(const Vec<Token>& tokens, size_t begin, size_t end, const ParseOptions& options)
      : TokenReader(tokens, begin, end), options_(options) {}
  Result<SourceBytes> run(std::string_view name);

 protected:
  // ---- types
  Result<HeapType> heap_type();
  bool at_ref_type() const;
  Result<ValType> ref_type();
  Result<ValType> val_type();
  // (param ...)* (result ...)*; names of parameters go to `names` if given.
  Status func_type(FuncType& type, DebugNames* names, IdMap* ids);
  Result<FieldType> field_type();
  Status comp_type(SubType& type, uint32_t type_index);
  Status descriptor_clauses(SubType& type);
  // After "(type": id, then a composite or sub type.
  Status type_def();
  // Index of the plain function type `type`, added at the end if missing.
  uint32_t implicit_type(const FuncType& type);
  void note_plain(uint32_t index);
  static String plain_key(const FuncType& type);
  // typeuse of 6.6.2.
  Result<uint32_t> type_use(FuncType* out, DebugNames* names, IdMap* ids);
  // Type of an imported function, perhaps in (exact ...); with its kind it goes to `out`.
  Status import_func_type(Vec<uint8_t>& out, DebugNames* names, IdMap* ids);
  Result<bool> address_type();
  Result<uint64_t> limit();
  Status limits(Limits& l);
  Status memory_type(wasm::MemoryType& m);
  Status page_size(wasm::MemoryType& m);
  Status table_type(wasm::TableType& t);
  Status global_type(wasm::GlobalType& g);

  // ---- instructions
  // An instruction whose end, or whose operands, are still to come.
  struct Construct {
    enum class Kind : uint8_t {
      Plain,      // until `end`
      Block,      // folded block, loop or try_table
      Operands,   // folded instruction, which follows its operands
      Condition,  // folded if, before (then
      Then,       // folded if, in an arm
      Handlers,   // folded try
    } kind = Kind::Plain;
    enum class Stage : uint8_t {
      First,
      Middle,  // a catch was there
      Last,    // `else` or catch_all was there
    } stage = Stage::First;
    uint8_t hint = kNoHint;
    Opcode op = Opcode::Illegal;
    uint32_t id = 0, name = 0;  // tokens of the label's identifier and name, or 0
    size_t deferred = 0;        // Operands, Condition: where its encoding is in scratch_
    size_t token = 0;           // the instruction's
  };
  struct Label {
    uint32_t id;     // token of the identifier, or 0
    uint32_t outer;  // 1 + position of the label that the identifier named before, or 0
  };
  static constexpr uint8_t kNoHint = 2;
  // Each takes the token that the instruction is of.
  void emit(const Instr& in, size_t token) {
    body_->mark(tokens_[token].offset);
    write_instr(*body_, in);
  }
  void emit_hinted(const Instr& in, size_t token);
  void emit_deferred(const Construct& c);
  Status instr_seq();   // until ")" or a closing keyword
  Status one_folded();  // one folded instruction
  Result<bool> step();
  Status instr();  // one plain instruction, or the start of a block or folded one
  Status begin_folded();
  Status end_folded();
  Status immediates(Instr& in);
  Status block_head(Instr& in);  // label was taken by the caller
  Status plain_block(Opcode op, size_t token);
  Status close_plain(std::string_view keyword);
  Status catch_clause(Construct& c, bool all);
  Status delegate();
  Status label_id(Construct& c);
  Status push_label(const Construct& c);
  Status pop_label();
  Status matching_label(const Construct& c);
  Result<uint32_t> label_index();
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
  void plain(Opcode op, size_t token) {
    Instr in;
    in.op = op;
    emit(in, token);
  }
  Status take_hints();
  Status hint_target(Opcode op);
  // Starts a row of instructions that are encoded into `body`.
  void begin_body(SourceBytes& body) {
    body_ = &body;
    labels_.clear();
    label_ids_.clear();
    label_names_.clear();
    label_count_ = 0;
    hints_.clear();
    pending_hint_ = kNoHint;
    scratch_.clear();
  }
  // Constant expression in a field: instructions until ")", or one folded instruction.
  Result<SourceBytes> const_expr(bool one) {
    SourceBytes out;
    begin_body(out);
    locals_.clear();
    WAFER_TRY(one ? one_folded() : instr_seq());
    plain(Opcode::End, p_);
    return std::move(out);
  }
  Result<SourceBytes> const_expr_seq() { return const_expr(false); }
  Result<SourceBytes> const_expr_one() { return const_expr(true); }

  // ---- fields
  struct FieldRef {
    std::string_view keyword;
    size_t token;  // after the keyword
  };
  // Where in the source a field is.
  uint32_t source_of(const FieldRef& f) const { return tokens_[f.token - 1].offset; }
  Status scan();
  Status parse_field(const FieldRef& f);
  Status inline_exports(ExternKind kind, uint32_t index) {
    while (open("export")) {
      const uint32_t source = tokens_[p_ - 1].offset;
      WAFER_LET(name, name_string());
      WAFER_TRY(close());
      add_export(name, kind, index, source);
    }
    return {};
  }
  void add_export(const String& name, ExternKind kind, uint32_t index, uint32_t source) {
    exports_.mark(source);
    put_string(exports_, name);
    exports_.push_back(uint8_t(kind));
    write_uleb(exports_, index);
    ++export_count_;
  }
  Result<bool> inline_import() {
    if (!open("import")) return false;
    const uint32_t source = tokens_[p_ - 1].offset;
    WAFER_LET(module, name_string());
    WAFER_LET(name, name_string());
    WAFER_TRY(close());
    imports_.mark(source);
    put_string(imports_, module);
    put_string(imports_, name);
    ++import_count_;
    return true;
  }
  IndexSpace* space_of(std::string_view kind);
  Status scan_import();
  Status extern_type(Vec<uint8_t>& out, bool has_index);
  void take_indices(std::string_view kind, uint32_t count);
  Status func_field(uint32_t source);
  Status table_field(uint32_t source);
  Status memory_field(uint32_t source);
  Status global_field(uint32_t source);
  Status tag_field(uint32_t source);
  Status import_field(uint32_t source);
  Status export_field(uint32_t source);
  Status elem_field(uint32_t source);
  Status data_field(uint32_t source);
  Status custom_field();
  Status section_field();
  Status local_runs(Vec<std::pair<uint32_t, ValType>>& runs);
  void add_local_names(uint32_t func, DebugNames names);
  Status elem_items(SourceBytes& payload, bool& exprs, bool funcs_only, ValType& type, uint32_t& n);

  // ---- encoding
  static void put_string(Vec<uint8_t>& out, std::string_view s) {
    write_uleb(out, s.size());
    out.insert(out.end(), s.begin(), s.end());
  }
  static void put_bytes(SourceBytes& out, const SourceBytes& b) { out.append(b); }
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
  SourceBytes encode(std::string_view name);

  const ParseOptions& options_;

  IndexSpace types_{"type", {}, 0, {}}, funcs_{"func", {}, 0, {}}, tables_{"table", {}, 0, {}},
      memories_{"memory", {}, 0, {}}, globals_{"global", {}, 0, {}}, tags_{"tag", {}, 0, {}},
      elems_{"elem", {}, 0, {}}, datas_{"data", {}, 0, {}};
  Vec<FieldRef> fields_list_;
  Vec<IdMap> fields_;
  Vec<SubType> defs_;
  struct Group {
    uint32_t count;
    bool explicit_rec;
    uint32_t source;
  };
  Vec<Group> groups_;
  IdMap plain_types_;

  SourceBytes imports_, func_types_, table_defs_, memory_defs_, tag_defs_, global_defs_, exports_,
      elem_defs_, code_, data_defs_;
  uint32_t import_count_ = 0, func_count_ = 0, table_count_ = 0, memory_count_ = 0, tag_count_ = 0,
           global_count_ = 0, export_count_ = 0, elem_count_ = 0, data_count_ = 0;
  std::optional<uint32_t> start_;
  uint32_t start_source_ = 0;
  bool needs_data_count_ = false;
  // Bit i: the section with id i is there even if nothing demands it (see section_field).
  uint32_t forced_sections_ = 0;
  // Running indices of the second pass.
  uint32_t next_func_ = 0, next_table_ = 0, next_memory_ = 0, next_global_ = 0, next_tag_ = 0;

  SourceBytes* body_ = nullptr;
  Vec<Construct> open_;
  Vec<Label> labels_;
  IdMap label_ids_;  // 1 + position in labels_ of the innermost label with the identifier
  uint32_t label_count_ = 0;
  DebugNames label_names_;
  IdMap locals_;
  Vec<uint8_t> scratch_;
  uint64_t lane_buffer_ = 0;
  Vec<wasm::BranchHint> hints_;  // of the function at hand
  uint8_t pending_hint_ = kNoHint;
  Vec<wasm::FunctionHints> func_hints_;
  wasm::NameSection names_;
  struct Custom {
    String name;
    String payload;
    int place;  // 2 * section_order, + 1 for after, or one of those below
  };
  static constexpr int kBeforeFirst = 0, kAfterLast = 999, kAtEnd = 1000;
  Vec<Custom> customs_;
  std::optional<String> module_name_;
};

}  // namespace wafer::wat
