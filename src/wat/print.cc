// Printer: a decoded module as text that parses back to the same binary.
#include <charconv>
#include <cstring>

#include "wasm/cursor.h"
#include "wat/wat.h"

namespace wafer::wat {

namespace {

using wasm::BlockType;
using wasm::CompKind;
using wasm::ExternKind;
using wasm::HeapKind;
using wasm::HeapType;
using wasm::Imm;
using wasm::Instr;
using wasm::Module;
using wasm::Opcode;
using wasm::SubType;
using wasm::TypeKind;
using wasm::ValType;

template <class T>
String number(T v) {
  char buffer[48];
  const auto r = std::to_chars(buffer, buffer + sizeof(buffer), v);
  return String(buffer, size_t(r.ptr - buffer));
}

String hex(uint64_t v) {
  char buffer[24] = "0x";
  const auto r = std::to_chars(buffer + 2, buffer + sizeof(buffer), v, 16);
  return String(buffer, size_t(r.ptr - buffer));
}

// Shortest decimal that reads back as the same bits; NaNs with their payload.
template <class F, class U, unsigned Mantissa>
String float_text(U bits) {
  constexpr U kSign = U(1) << (sizeof(U) * 8 - 1);
  constexpr U kMantissa = (U(1) << Mantissa) - 1;
  F v;
  const U magnitude = bits & ~kSign;
  std::memcpy(&v, &magnitude, sizeof(v));
  String out(bits & kSign ? "-" : "");
  if (v != v) {
    const U payload = bits & kMantissa;
    out += "nan";
    if (payload != U(1) << (Mantissa - 1)) out += ":" + hex(payload);
  } else if (magnitude > 0 && (magnitude >> Mantissa) == (U(~kSign) >> Mantissa)) {
    out += "inf";
  } else {
    out += number(v);
  }
  return out;
}

void quote(String& out, std::string_view s) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char ch : s) {
    const auto c = static_cast<unsigned char>(ch);
    if (c >= 0x20 && c < 0x7F && c != '"' && c != '\\') {
      out += ch;
    } else {
      out += '\\';
      out += kHex[c >> 4];
      out += kHex[c & 15];
    }
  }
  out += '"';
}

bool plain_id(std::string_view s) {
  if (s.empty()) return false;
  for (const char ch : s) {
    const auto c = static_cast<unsigned char>(ch);
    if (c <= ' ' || c >= 0x7F || std::strchr("\",;()[]{}", ch)) return false;
  }
  return true;
}

// Identifiers of one index space: unique names become $ids.
class Ids {
 public:
  void build(const wasm::NameMap& names, uint32_t count) {
    HashMap<String, uint32_t, StringHash, StringEqual> seen;
    for (const auto& [i, n] : names.entries)
      if (i < count) ++seen[n];
    for (const auto& [i, n] : names.entries) {
      if (i >= count) continue;
      if (n.empty() || seen[n] != 1) {
        annotations_[i] = n;
        continue;
      }
      String id("$");
      if (plain_id(n))
        id += n;
      else
        quote(id, n);
      ids_[i] = id;
    }
  }
  // How other places name `index`.
  String use(uint32_t index) const {
    const auto it = ids_.find(index);
    return it == ids_.end() ? number(index) : it->second;
  }
  // What follows the keyword where `index` is defined.
  String definition(uint32_t index) const {
    String out;
    if (const auto it = ids_.find(index); it != ids_.end()) {
      out += " ";
      out += it->second;
    } else {
      out += " (;" + number(index) + ";)";
      if (const auto a = annotations_.find(index); a != annotations_.end()) {
        out += " (@name ";
        quote(out, a->second);
        out += ")";
      }
    }
    return out;
  }
  bool has_id(uint32_t index) const { return ids_.count(index) != 0; }

 private:
  HashMap<uint32_t, String> ids_, annotations_;
};

class Printer {
 public:
  Printer(const Module& module, const PrintOptions& options) : m_(module), options_(options) {
    if (!options.names) return;
    const auto& n = module.names;
    funcs_.build(n.functions, uint32_t(module.functions.size()));
    types_.build(n.types, uint32_t(module.types.size()));
    tables_.build(n.tables, uint32_t(module.tables.size()));
    memories_.build(n.memories, uint32_t(module.memories.size()));
    globals_.build(n.globals, uint32_t(module.globals.size()));
    elems_.build(n.elems, uint32_t(module.elems.size()));
    datas_.build(n.datas, uint32_t(module.datas.size()));
    tags_.build(n.tags, uint32_t(module.tags.size()));
  }
  Result<String> run();
  String instr(const Instr& in);

 private:
  using Status = Result<void>;
  void line(unsigned depth, std::string_view text) {
    out_.append(2 * depth, ' ');
    out_ += text;
    out_ += '\n';
  }
  String heap(HeapType h) { return h.is_concrete() ? types_.use(h.index()) : wasm::to_string(h); }
  String type(ValType t) {
    if (!t.is_ref()) return wasm::to_string(t);
    String s("(ref ");
    if (t.nullable()) s += "null ";
    return s + heap(t.heap()) + ")";
  }
  String ref(HeapType h, bool nullable) { return type(ValType::ref(h, nullable)); }
  String limits(const wasm::Limits& l) {
    String s(l.is64 ? "i64 " : "");
    s += number(l.min);
    if (l.has_max) s += " " + number(l.max);
    if (l.shared) s += " shared";
    return s;
  }
  String memory_type(const wasm::MemoryType& m) {
    String s = limits(m.limits);
    if (m.page_size_log2 != 16) s += " (pagesize " + number(uint64_t(1) << m.page_size_log2) + ")";
    return s;
  }
  String table_type(const wasm::TableType& t) { return limits(t.limits) + " " + type(t.element); }
  String global_type(const wasm::GlobalType& g) {
    return g.is_mutable ? "(mut " + type(g.type) + ")" : type(g.type);
  }
  String field(const wasm::FieldType& f) {
    return f.is_mutable ? "(mut " + type(f.storage) + ")" : type(f.storage);
  }
  String signature(const wasm::FuncType& t, const Ids* locals) {
    String s;
    if (locals) {
      for (uint32_t i = 0; i < t.params.size(); ++i) {
        s += " (param";
        if (locals->has_id(i)) s += " " + locals->use(i);
        s += " " + type(t.params[i]) + ")";
      }
    } else if (!t.params.empty()) {
      s += " (param";
      for (const ValType p : t.params) s += " " + type(p);
      s += ")";
    }
    if (!t.results.empty()) {
      s += " (result";
      for (const ValType r : t.results) s += " " + type(r);
      s += ")";
    }
    return s;
  }
  void type_def(uint32_t index, unsigned depth);
  void imports();
  Status function(uint32_t index);
  // Instructions of [begin, end) on one line, the final `end` left out.
  Result<String> expression(wasm::ConstExpr e);
  void customs_after(uint8_t section);

  const Module& m_;
  const PrintOptions& options_;
  String out_;
  Ids funcs_, types_, tables_, memories_, globals_, elems_, datas_, tags_, locals_;
};

String Printer::instr(const Instr& in) {
  const wasm::OpcodeInfo& info = wasm::opcode_info(in.op);
  String s(info.text);
  auto add = [&](const String& t) {
    s += " ";
    s += t;
  };
  auto block = [&] {
    if (in.block.kind == BlockType::Kind::Value) add("(result " + type(in.block.value) + ")");
    if (in.block.kind == BlockType::Kind::Type)
      add("(type " + types_.use(in.block.type_index) + ")");
  };
  switch (info.imm) {
    case Imm::None:
    case Imm::Fence:
      break;
    case Imm::Block:
      block();
      break;
    case Imm::Label:
      add(number(in.index));
      break;
    case Imm::BrTable:
      for (const uint32_t l : in.labels) add(number(l));
      break;
    case Imm::Func:
      add(funcs_.use(in.index));
      break;
    case Imm::CallIndirect:
      if (in.index2) add(tables_.use(in.index2));
      add("(type " + types_.use(in.index) + ")");
      break;
    case Imm::Type:
      add(types_.use(in.index));
      break;
    case Imm::Local:
      add(locals_.use(in.index));
      break;
    case Imm::Global:
      add(globals_.use(in.index));
      break;
    case Imm::Table:
      add(tables_.use(in.index));
      break;
    case Imm::Memory:
      if (in.index) add(memories_.use(in.index));
      break;
    case Imm::Data:
      add(datas_.use(in.index));
      break;
    case Imm::Elem:
      add(elems_.use(in.index));
      break;
    case Imm::Tag:
      add(tags_.use(in.index));
      break;
    case Imm::I32:
      add(number(in.i32));
      break;
    case Imm::I64:
      add(number(in.i64));
      break;
    case Imm::F32:
      add(float_text<float, uint32_t, 23>(in.f32_bits));
      break;
    case Imm::F64:
      add(float_text<double, uint64_t, 52>(in.f64_bits));
      break;
    case Imm::V128:
      add("i32x4");
      for (unsigned i = 0; i < 4; ++i) add(hex(load_le<uint32_t>(in.v128.bytes + 4 * i)));
      break;
    case Imm::MemArg:
    case Imm::MemArgLane:
      if (in.index) add(memories_.use(in.index));
      if (in.offset) add("offset=" + number(in.offset));
      if (in.align != info.aux) add("align=" + number(uint64_t(1) << in.align));
      if (info.imm == Imm::MemArgLane) add(number(in.lane));
      break;
    case Imm::Lane:
      add(number(in.lane));
      break;
    case Imm::Shuffle:
      for (const uint8_t l : in.v128.bytes) add(number(unsigned(l)));
      break;
    case Imm::HeapType:
      if (in.op == Opcode::RefNull)
        add(heap(in.heap));
      else
        add(ref(in.heap, in.op == Opcode::RefTestNull || in.op == Opcode::RefCastNull));
      break;
    case Imm::SelectT:
      add("(result");
      for (const ValType t : in.types) add(type(t));
      s += ")";
      break;
    case Imm::TryTable:
      block();
      for (const wasm::CatchClause& c : in.catches) {
        using K = wasm::CatchClause::Kind;
        switch (c.kind) {
          case K::Catch:
            add("(catch " + tags_.use(c.tag));
            break;
          case K::CatchRef:
            add("(catch_ref " + tags_.use(c.tag));
            break;
          case K::CatchAll:
            add("(catch_all");
            break;
          case K::CatchAllRef:
            add("(catch_all_ref");
            break;
        }
        add(number(c.label));
        s += ")";
      }
      break;
    case Imm::TypeTag:
      add(types_.use(in.index));
      add(tags_.use(in.index2));
      break;
    case Imm::Resume:
    case Imm::ResumeTag:
      add(types_.use(in.index));
      if (info.imm == Imm::ResumeTag) add(tags_.use(in.index2));
      for (const wasm::ResumeClause& c : in.clauses) {
        add("(on " + tags_.use(c.tag));
        add(c.is_switch ? "switch" : number(c.label));
        s += ")";
      }
      break;
    case Imm::DataMemory:
      if (in.index2) add(memories_.use(in.index2));
      add(datas_.use(in.index));
      break;
    case Imm::ElemTable:
      if (in.index2) add(tables_.use(in.index2));
      add(elems_.use(in.index));
      break;
    case Imm::MemoryMemory:
      if (in.index || in.index2) {
        add(memories_.use(in.index));
        add(memories_.use(in.index2));
      }
      break;
    case Imm::TableTable:
      if (in.index || in.index2) {
        add(tables_.use(in.index));
        add(tables_.use(in.index2));
      }
      break;
    case Imm::TypeField:
    case Imm::TypeCount:
      add(types_.use(in.index));
      add(number(in.index2));
      break;
    case Imm::TypeData:
      add(types_.use(in.index));
      add(datas_.use(in.index2));
      break;
    case Imm::TypeElem:
      add(types_.use(in.index));
      add(elems_.use(in.index2));
      break;
    case Imm::TypeType:
      add(types_.use(in.index));
      add(types_.use(in.index2));
      break;
    case Imm::BrOnCast:
      add(number(in.index));
      add(ref(in.heap, in.null1));
      add(ref(in.heap2, in.null2));
      break;
  }
  return s;
}

void Printer::type_def(uint32_t index, unsigned depth) {
  const SubType& t = m_.types[index];
  String s("(type" + types_.definition(index) + " ");
  const bool sub = !t.is_final || t.super != SubType::kNoSuper;
  if (sub) {
    s += "(sub ";
    if (t.is_final) s += "final ";
    if (t.super != SubType::kNoSuper) s += types_.use(t.super) + " ";
  }
  switch (t.kind) {
    case CompKind::Func:
      s += "(func" + signature(t.func, nullptr) + ")";
      break;
    case CompKind::Struct: {
      Ids names;
      if (options_.names)
        if (const auto* n = m_.names.fields.find(index)) names.build(*n, uint32_t(t.fields.size()));
      s += "(struct";
      for (uint32_t i = 0; i < t.fields.size(); ++i) {
        s += " (field ";
        if (names.has_id(i)) s += names.use(i) + " ";
        s += field(t.fields[i]) + ")";
      }
      s += ")";
      break;
    }
    case CompKind::Array:
      s += "(array " + field(t.fields[0]) + ")";
      break;
    case CompKind::Cont:
      s += "(cont " + types_.use(t.cont) + ")";
      break;
  }
  line(depth, s + (sub ? "))" : ")"));
}

void Printer::imports() {
  uint32_t func = 0, table = 0, memory = 0, global = 0, tag = 0;
  for (const wasm::Import& i : m_.imports) {
    String s("(import ");
    quote(s, i.module);
    s += ' ';
    quote(s, i.name);
    switch (i.type.kind) {
      case ExternKind::Func:
        s += " (func" + funcs_.definition(func++) + " (type " + types_.use(i.type.type_index) + ")";
        break;
      case ExternKind::Table:
        s += " (table" + tables_.definition(table++) + " " + table_type(i.type.table);
        break;
      case ExternKind::Memory:
        s += " (memory" + memories_.definition(memory++) + " " + memory_type(i.type.memory);
        break;
      case ExternKind::Global:
        s += " (global" + globals_.definition(global++) + " " + global_type(i.type.global);
        break;
      case ExternKind::Tag:
        s += " (tag" + tags_.definition(tag++) + " (type " + types_.use(i.type.type_index) + ")";
        break;
    }
    line(1, s + "))");
  }
}

Result<String> Printer::expression(wasm::ConstExpr e) {
  wasm::InstrReader reader(m_.bytes, e.begin, e.end, wasm::FeatureSet::all());
  String s;
  Instr in;
  while (!reader.at_end()) {
    in = {};
    WAFER_TRY(reader.read(in));
    if (reader.at_end() && in.op == Opcode::End) break;
    if (!s.empty()) s += ' ';
    s += instr(in);
  }
  return s;
}

Result<void> Printer::function(uint32_t index) {
  const wasm::Function& f = m_.functions[index];
  const wasm::FuncType& t = m_.func_type(index);
  wasm::Cursor cursor(m_.bytes.data(), f.body.begin, f.body.end, m_.bytes.size(),
                      wasm::FeatureSet::all());
  uint32_t runs = 0;
  if (!cursor.u32(runs)) return cursor.take_error();
  Vec<ValType> locals;
  for (uint32_t i = 0; i < runs; ++i) {
    uint32_t n;
    ValType local;
    if (!cursor.u32(n) || !cursor.val_type(local)) return cursor.take_error();
    if (n > 1'000'000 - std::min<size_t>(locals.size(), 1'000'000))
      return Error(ErrorKind::Malformed, "too many locals", cursor.offset());
    locals.insert(locals.end(), n, local);
  }
  const uint32_t params = uint32_t(t.params.size());
  locals_ = Ids();
  if (options_.names)
    if (const auto* n = m_.names.locals.find(index))
      locals_.build(*n, params + uint32_t(locals.size()));
  line(1, "(func" + funcs_.definition(index) + " (type " + types_.use(f.type_index) + ")" +
              signature(t, &locals_));
  if (!locals.empty()) {
    String s;
    for (uint32_t i = 0; i < locals.size();) {
      if (!s.empty()) s += ' ';
      if (locals_.has_id(params + i)) {
        s += "(local " + locals_.use(params + i) + " " + type(locals[i]) + ")";
        ++i;
      } else {
        s += "(local";
        do s += " " + type(locals[i++]);
        while (i < locals.size() && !locals_.has_id(params + i));
        s += ")";
      }
    }
    line(2, s);
  }
  wasm::InstrReader reader(m_.bytes, cursor.offset(), f.body.end, wasm::FeatureSet::all());
  unsigned depth = 2;
  Instr in;
  while (!reader.at_end()) {
    in = {};
    const uint32_t at = reader.offset();
    WAFER_TRY(reader.read(in));
    const bool closes = in.op == Opcode::End || in.op == Opcode::Delegate;
    const bool middle =
        in.op == Opcode::Else || in.op == Opcode::Catch || in.op == Opcode::CatchAll;
    if (closes && reader.at_end()) break;
    if ((closes || middle) && depth > 2) --depth;
    String s = instr(in);
    if (options_.offsets) s += " ;; " + hex(at);
    line(depth, s);
    if (middle || in.op == Opcode::Block || in.op == Opcode::Loop || in.op == Opcode::If ||
        in.op == Opcode::Try || in.op == Opcode::TryTable)
      ++depth;
  }
  line(1, ")");
  return {};
}

void Printer::customs_after(uint8_t section) {
  static constexpr std::pair<uint8_t, std::string_view> kNames[] = {
      {1, "type"},       {2, "import"}, {3, "func"},   {4, "table"}, {5, "memory"},
      {13, "tag"},       {6, "global"}, {7, "export"}, {8, "start"}, {9, "elem"},
      {12, "datacount"}, {10, "code"},  {11, "data"}};
  for (const wasm::CustomSection& c : m_.customs) {
    if (c.after_section != section || c.name == "name") continue;
    String s("(@custom ");
    quote(s, c.name);
    if (section == 0) {
      s += " (before first)";
    } else {
      for (const auto& [id, name] : kNames)
        if (id == section) {
          s += " (after ";
          s += name;
          s += ")";
        }
    }
    s += ' ';
    const Bytes payload = m_.slice(c.payload);
    quote(s, std::string_view(reinterpret_cast<const char*>(payload.data()), payload.size()));
    line(1, s + ")");
  }
}

Result<String> Printer::run() {
  String head("(module");
  if (options_.names && !m_.names.module.empty()) {
    head += " (@name ";
    quote(head, m_.names.module);
    head += ")";
  }
  line(0, head);
  for (const uint8_t id : {0, 1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11}) customs_after(id);
  for (const wasm::RecGroup& g : m_.rec_groups) {
    if (g.written) line(1, "(rec");
    for (uint32_t i = 0; i < g.count; ++i) type_def(g.first + i, g.written ? 2 : 1);
    if (g.written) line(1, ")");
  }
  imports();
  for (uint32_t i = m_.imported_functions; i < m_.functions.size(); ++i) WAFER_TRY(function(i));
  locals_ = Ids();
  for (uint32_t i = m_.imported_tables; i < m_.tables.size(); ++i) {
    String s("(table" + tables_.definition(i) + " " + table_type(m_.tables[i].type));
    if (m_.tables[i].init) {
      WAFER_LET(e, expression(*m_.tables[i].init));
      s += " " + e;
    }
    line(1, s + ")");
  }
  for (uint32_t i = m_.imported_memories; i < m_.memories.size(); ++i)
    line(1, "(memory" + memories_.definition(i) + " " + memory_type(m_.memories[i].type) + ")");
  for (uint32_t i = m_.imported_tags; i < m_.tags.size(); ++i)
    line(1, "(tag" + tags_.definition(i) + " (type " + types_.use(m_.tags[i].type_index) + "))");
  for (uint32_t i = m_.imported_globals; i < m_.globals.size(); ++i) {
    WAFER_LET(e, expression(m_.globals[i].init));
    line(1, "(global" + globals_.definition(i) + " " + global_type(m_.globals[i].type) + " " + e +
                ")");
  }
  for (const wasm::Export& e : m_.exports) {
    const Ids* ids[] = {&funcs_, &tables_, &memories_, &globals_, &tags_};
    String s("(export ");
    quote(s, e.name);
    s += " (";
    s += wasm::to_string(e.kind);
    s += " " + ids[unsigned(e.kind)]->use(e.index) + "))";
    line(1, s);
  }
  if (m_.start) line(1, "(start " + funcs_.use(*m_.start) + ")");
  for (uint32_t i = 0; i < m_.elems.size(); ++i) {
    const wasm::ElemSegment& e = m_.elems[i];
    String s("(elem" + elems_.definition(i));
    if (e.mode == wasm::SegmentMode::Declarative) s += " declare";
    if (e.mode == wasm::SegmentMode::Active) {
      if (e.table_written) s += " (table " + tables_.use(e.table) + ")";
      WAFER_LET(offset, expression(e.offset));
      s += " (offset " + offset + ")";
    }
    if (e.uses_exprs) {
      s += " " + type(e.type);
      for (const wasm::ConstExpr& x : e.exprs) {
        WAFER_LET(item, expression(x));
        s += " (item " + item + ")";
      }
    } else {
      s += " func";
      for (const uint32_t f : e.funcs) s += " " + funcs_.use(f);
    }
    line(1, s + ")");
  }
  for (uint32_t i = 0; i < m_.datas.size(); ++i) {
    const wasm::DataSegment& d = m_.datas[i];
    String s("(data" + datas_.definition(i));
    if (d.mode == wasm::SegmentMode::Active) {
      if (d.memory_written) s += " (memory " + memories_.use(d.memory) + ")";
      WAFER_LET(offset, expression(d.offset));
      s += " (offset " + offset + ")";
    }
    s += ' ';
    const Bytes bytes = m_.slice(d.bytes);
    quote(s, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    line(1, s + ")");
  }
  line(0, ")");
  return std::move(out_);
}

}  // namespace

Result<String> print_wat(const wasm::Module& module, const PrintOptions& options) {
  return Printer(module, options).run();
}

String print_instr(const wasm::Module& module, const wasm::Instr& instr) {
  // Only the opcode and its immediates matter, so identifiers are left out: they
  // would be gathered anew for each instruction.
  const PrintOptions options{false, false};
  return Printer(module, options).instr(instr);
}

}  // namespace wafer::wat
