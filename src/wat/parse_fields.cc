// Fields of modules (spec 6.6).
#include "wat/module_parser.h"
#include "wat/sections.h"

namespace wafer::wat {

IndexSpace* ModuleParser::space_of(std::string_view kind) {
  if (kind == "func") return &funcs_;
  if (kind == "table") return &tables_;
  if (kind == "memory") return &memories_;
  if (kind == "global") return &globals_;
  if (kind == "tag") return &tags_;
  return nullptr;
}

// First pass over an import, after its keyword: gives what it imports an index.
Result<void> ModuleParser::scan_import() {
  if (peek().kind != TokenKind::String) return unexpected();
  ++p_;
  const auto defined = [&]() -> Status {
    if (peek().kind != TokenKind::Open) return unexpected();
    ++p_;
    IndexSpace* const space = space_of(peek().text);
    if (!space) return unexpected();
    ++p_;
    auto index = define(*space);
    return index.ok() ? Status{} : Status(index.take_error());
  };
  if (peek().kind == TokenKind::String) {
    ++p_;
    return defined();
  }
  // A group of imports.
  if (peek().kind != TokenKind::Open && peek().kind != TokenKind::Close) return unexpected();
  uint32_t count = 0;
  while (at_open("item")) {
    const size_t start = p_;
    p_ += 2;
    if (peek().kind != TokenKind::String) return unexpected();
    ++p_;
    ++count;
    if (peek().kind == TokenKind::Open) WAFER_TRY(defined());
    p_ = start;
    skip_group();
  }
  if (peek().kind == TokenKind::Close) return {};
  IndexSpace* const space = space_of(peek(1).text);
  if (peek().kind != TokenKind::Open || !space) return unexpected();
  space->count += count;
  return {};
}

// First pass: indices and names of everything, so that bodies may refer ahead.
Result<void> ModuleParser::scan() {
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
        if (!fields_list_.empty()) return fail("misplaced @name annotation");
        WAFER_LET(n, annotation_name("module"));
        module_name_ = n;
        continue;
      }
      if (peek().text == wasm::kBranchHintSection)
        return fail("@metadata.code.branch_hint annotation: not in a function");
      const bool custom = peek().text == "custom";
      if (!custom && peek().text != kSectionAnnotation) return unexpected();
      fields_list_.push_back({custom ? "@custom" : "@section", p_ + 1});
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
    auto definition = [&](IndexSpace& space, std::string_view what) -> Status {
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
      WAFER_TRY(scan_import());
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

Result<void> ModuleParser::func_field(uint32_t source) {
  const uint32_t index = next_func_++;
  skip_binding();
  WAFER_TRY(inline_exports(ExternKind::Func, index));
  locals_.clear();
  DebugNames names;
  WAFER_LET(imported, inline_import());
  if (imported) {
    WAFER_TRY(import_func_type(imports_, &names, &locals_));
    add_local_names(index, std::move(names));
    return close();
  }
  FuncType type;
  WAFER_LET(type_index, type_use(&type, &names, &locals_));
  func_types_.mark(source);
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
  Vec<std::pair<uint32_t, ValType>> written_runs;
  if (at_annotation(kLocalsAnnotation)) WAFER_TRY(local_runs(written_runs));
  while (open("local")) {
    if (at_binding()) {
      WAFER_TRY(binding("local", next_local, locals_, &names));
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
  if (!written_runs.empty()) {
    // The runs may be split in other ways, but have to give the same locals.
    Vec<std::pair<uint32_t, ValType>> merged;
    for (const auto& run : written_runs) {
      if (!merged.empty() && merged.back().second == run.second)
        merged.back().first += run.first;
      else if (run.first)
        merged.push_back(run);
    }
    if (merged != runs) return fail("@wafer.locals annotation: other locals than declared");
    runs = std::move(written_runs);
  }
  add_local_names(index, std::move(names));
  SourceBytes body;
  write_uleb(body, runs.size());
  for (const auto& [n, t] : runs) {
    write_uleb(body, n);
    put_val(body, t);
  }
  begin_body(body);
  labels_.push_back({0, 0});
  WAFER_TRY(instr_seq());
  if (peek().kind == TokenKind::Keyword) return unexpected();
  plain(Opcode::End, p_);
  if (!hints_.empty()) func_hints_.push_back({index, std::move(hints_)});
  if (!label_names_.empty())
    names_.labels.entries.emplace_back(index, wasm::NameMap{std::move(label_names_)});
  code_.mark(source);
  write_uleb(code_, body.size());
  put_bytes(code_, body);
  return close();
}

// (@wafer.locals (COUNT TYPE)*): how locals are grouped in the binary, where that is not
// the shortest way.
Result<void> ModuleParser::local_runs(Vec<std::pair<uint32_t, ValType>>& runs) {
  ++p_;
  while (peek().kind != TokenKind::Close) {
    WAFER_LET(n, u32());
    WAFER_LET(t, val_type());
    runs.emplace_back(n, t);
  }
  return close();
}

void ModuleParser::add_local_names(uint32_t func, DebugNames names) {
  if (!names.empty()) names_.locals.entries.emplace_back(func, wasm::NameMap{std::move(names)});
}

// Items of a segment: function indices or expressions.
Result<void> ModuleParser::elem_items(SourceBytes& payload, bool& exprs, bool funcs_only,
                                      ValType& type, uint32_t& n) {
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

Result<void> ModuleParser::table_field(uint32_t source) {
  const uint32_t index = next_table_++;
  skip_binding();
  WAFER_TRY(inline_exports(ExternKind::Table, index));
  WAFER_LET(imported, inline_import());
  if (imported) imports_.push_back(1);
  wasm::TableType t;
  if (imported) {
    WAFER_TRY(table_type(t));
    put_table(imports_, t);
    return close();
  }
  ++table_count_;
  table_defs_.mark(source);
  const size_t before = p_;
  WAFER_LET(is64, address_type());
  if (at_ref_type()) {
    // reftype (elem ...)
    WAFER_LET(e, ref_type());
    t.element = e;
    t.limits.is64 = is64;
    if (!open("elem")) return unexpected();
    SourceBytes items;
    bool exprs;
    uint32_t n;
    const bool funcs = at_index() || peek().kind == TokenKind::Close;
    WAFER_TRY(elem_items(items, exprs, funcs, t.element, n));
    WAFER_TRY(close());
    t.limits.min = t.limits.max = n;
    t.limits.has_max = true;
    put_table(table_defs_, t);
    SourceBytes& d = elem_defs_;
    d.mark(source);
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

Result<void> ModuleParser::memory_field(uint32_t source) {
  const uint32_t index = next_memory_++;
  skip_binding();
  WAFER_TRY(inline_exports(ExternKind::Memory, index));
  WAFER_LET(imported, inline_import());
  if (imported) imports_.push_back(2);
  wasm::MemoryType m;
  if (imported) {
    WAFER_TRY(memory_type(m));
    put_limits(imports_, m.limits, &m);
    return close();
  }
  ++memory_count_;
  memory_defs_.mark(source);
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
    data_defs_.mark(source);
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

Result<void> ModuleParser::global_field(uint32_t source) {
  const uint32_t index = next_global_++;
  skip_binding();
  WAFER_TRY(inline_exports(ExternKind::Global, index));
  WAFER_LET(imported, inline_import());
  if (imported) imports_.push_back(3);
  wasm::GlobalType g;
  WAFER_TRY(global_type(g));
  if (imported) {
    put_global(imports_, g);
    return close();
  }
  ++global_count_;
  global_defs_.mark(source);
  put_global(global_defs_, g);
  WAFER_LET(init, const_expr_seq());
  put_bytes(global_defs_, init);
  return close();
}

Result<void> ModuleParser::tag_field(uint32_t source) {
  const uint32_t index = next_tag_++;
  skip_binding();
  WAFER_TRY(inline_exports(ExternKind::Tag, index));
  WAFER_LET(imported, inline_import());
  if (imported) imports_.push_back(4);
  IdMap ids;
  WAFER_LET(type, type_use(nullptr, nullptr, &ids));
  SourceBytes& out = imported ? imports_ : tag_defs_;
  if (!imported) out.mark(source);
  out.push_back(0);
  write_uleb(out, type);
  if (!imported) ++tag_count_;
  return close();
}

Result<void> ModuleParser::import_func_type(Vec<uint8_t>& out, DebugNames* names, IdMap* ids) {
  const bool exact = open("exact");
  WAFER_LET(type, type_use(nullptr, names, ids));
  if (exact) WAFER_TRY(close());
  out.push_back(exact ? 0x20 : 0);
  write_uleb(out, type);
  return {};
}

// "(func ...)" and the like, to `out`. What has no index of its own, as it is the type of
// several imports, may not have an identifier.
Result<void> ModuleParser::extern_type(Vec<uint8_t>& out, bool has_index) {
  const auto begin = [&](uint32_t& next) -> Status {
    if (has_index) {
      ++next;
      skip_binding();
    } else if (at_binding()) {
      return fail("identifier not allowed");
    }
    return {};
  };
  IdMap ids;
  if (open("func")) {
    WAFER_TRY(begin(next_func_));
    DebugNames names;
    WAFER_TRY(import_func_type(out, &names, &ids));
    if (has_index) add_local_names(next_func_ - 1, std::move(names));
  } else if (open("table")) {
    WAFER_TRY(begin(next_table_));
    wasm::TableType t;
    WAFER_TRY(table_type(t));
    out.push_back(1);
    put_table(out, t);
  } else if (open("memory")) {
    WAFER_TRY(begin(next_memory_));
    wasm::MemoryType m;
    WAFER_TRY(memory_type(m));
    out.push_back(2);
    put_limits(out, m.limits, &m);
  } else if (open("global")) {
    WAFER_TRY(begin(next_global_));
    wasm::GlobalType g;
    WAFER_TRY(global_type(g));
    out.push_back(3);
    put_global(out, g);
  } else if (open("tag")) {
    WAFER_TRY(begin(next_tag_));
    WAFER_LET(t, type_use(nullptr, nullptr, &ids));
    out.push_back(4);
    out.push_back(0);
    write_uleb(out, t);
  } else {
    return unexpected();
  }
  return close();
}

Result<void> ModuleParser::import_field(uint32_t source) {
  WAFER_LET(module, name_string());
  imports_.mark(source);
  put_string(imports_, module);
  ++import_count_;
  if (peek().kind == TokenKind::String) {
    WAFER_LET(name, name_string());
    put_string(imports_, name);
    WAFER_TRY(extern_type(imports_, true));
    return close();
  }
  // Several imports of one module, each with its type or all with the one at the end.
  SourceBytes names, items;
  uint32_t count = 0, typed = 0;
  while (open("item")) {
    for (SourceBytes* list : {&names, &items}) list->mark(here());
    WAFER_LET(name, name_string());
    put_string(names, name);
    put_string(items, name);
    if (peek().kind == TokenKind::Open) {
      WAFER_TRY(extern_type(items, true));
      ++typed;
    }
    ++count;
    WAFER_TRY(close());
  }
  put_string(imports_, "");
  const bool shared_type = peek().kind == TokenKind::Open;
  if (typed != (shared_type ? 0 : count)) return unexpected();
  imports_.push_back(shared_type ? 0x7E : 0x7F);
  if (shared_type) {
    const size_t kind_at = p_ + 1;
    WAFER_TRY(extern_type(imports_, false));
    take_indices(tokens_[kind_at].text, count);
  }
  write_uleb(imports_, count);
  put_bytes(imports_, shared_type ? names : items);
  return close();
}

// Moves past the indices of imports whose type is given once for all of them.
void ModuleParser::take_indices(std::string_view kind, uint32_t count) {
  uint32_t* const next = kind == "func"     ? &next_func_
                         : kind == "table"  ? &next_table_
                         : kind == "memory" ? &next_memory_
                         : kind == "global" ? &next_global_
                                            : &next_tag_;
  *next += count;
}

Result<void> ModuleParser::export_field(uint32_t source) {
  WAFER_LET(name, name_string());
  struct Kind {
    std::string_view keyword;
    ExternKind kind;
    const IndexSpace* space;
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
    add_export(name, k.kind, i, source);
    return close();
  }
  return unexpected();
}

Result<void> ModuleParser::elem_field(uint32_t source) {
  skip_binding();
  ++elem_count_;
  SourceBytes& d = elem_defs_;
  d.mark(source);
  const bool declare = take_keyword("declare");
  uint32_t table = 0;
  bool explicit_table = false, active = false;
  SourceBytes offset;
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
  SourceBytes items;
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

Result<void> ModuleParser::data_field(uint32_t source) {
  skip_binding();
  ++data_count_;
  SourceBytes& d = data_defs_;
  d.mark(source);
  uint32_t memory = 0;
  bool active = false;
  SourceBytes offset;
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
Result<void> ModuleParser::custom_field() {
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
  c.place = kAtEnd;
  if (peek().kind == TokenKind::Open) {
    ++p_;
    const bool before = at_keyword("before");
    if (!before && !at_keyword("after")) return bad("malformed placement");
    ++p_;
    if (peek().kind != TokenKind::Keyword) return bad("malformed section kind");
    const std::string_view section = peek().text;
    if (section == "first" && before) {
      c.place = kBeforeFirst;
    } else if (section == "last" && !before) {
      c.place = kAfterLast;
    } else {
      const unsigned order = section_order(section);
      if (!order) return bad("malformed section kind");
      c.place = 2 * int(order) + (before ? 0 : 1);
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

// (@wafer.section KIND*): sections that the binary has although they are empty, or, of the
// data count, not needed.
Result<void> ModuleParser::section_field() {
  while (peek().kind == TokenKind::Keyword) {
    const unsigned order = section_order(peek().text);
    if (!order || peek().text == "start")
      return fail("@wafer.section annotation: malformed section kind");
    forced_sections_ |= 1u << kSections[order - 1].id;
    ++p_;
  }
  if (peek().kind != TokenKind::Close) return fail("@wafer.section annotation: unexpected token");
  ++p_;
  return {};
}

Result<void> ModuleParser::parse_field(const FieldRef& f) {
  p_ = f.token;
  const uint32_t source = source_of(f);
  if (f.keyword == "func") return func_field(source);
  if (f.keyword == "import") return import_field(source);
  if (f.keyword == "table") return table_field(source);
  if (f.keyword == "memory") return memory_field(source);
  if (f.keyword == "global") return global_field(source);
  if (f.keyword == "tag") return tag_field(source);
  if (f.keyword == "export") return export_field(source);
  if (f.keyword == "elem") return elem_field(source);
  if (f.keyword == "data") return data_field(source);
  if (f.keyword == "@custom") return custom_field();
  if (f.keyword == "@section") return section_field();
  if (f.keyword == "start") {
    WAFER_LET(i, index(funcs_));
    start_ = i;
    start_source_ = source;
    return close();
  }
  return {};
}

}  // namespace wafer::wat
