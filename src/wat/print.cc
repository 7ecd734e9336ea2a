// Printer: a decoded module as text that parses back to the same binary.
#include "wat/print.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <functional>
#include <utility>

#include "wasm/cursor.h"
#include "wasm/hints.h"
#include "wasm/names.h"
#include "wat/sections.h"

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

// Functions repeat the parameters and results of their type up to this many, which is for
// people only.
constexpr size_t kMaxInlineTypes = 16;

struct LocalRun {
  uint32_t count;
  ValType type;
};

// The locals of a body; `at` is then where its instructions begin.
Result<Vec<LocalRun>> local_runs(const Module& m, const wasm::Function& f, uint32_t& at) {
  wasm::Cursor cursor(m.bytes.data(), f.body.begin, f.body.end, m.bytes.size(),
                      wasm::FeatureSet::all());
  uint32_t n = 0, total = 0;
  if (!cursor.u32(n)) return cursor.take_error();
  Vec<LocalRun> runs;
  for (uint32_t i = 0; i < n; ++i) {
    LocalRun run;
    if (!cursor.u32(run.count) || !cursor.val_type(run.type)) return cursor.take_error();
    if (run.count > 1'000'000 - total)
      return Error(ErrorKind::Malformed, "too many locals", cursor.offset());
    total += run.count;
    runs.push_back(run);
  }
  at = cursor.offset();
  return runs;
}

bool opens_block(Opcode op) {
  return op == Opcode::Block || op == Opcode::Loop || op == Opcode::If || op == Opcode::Try ||
         op == Opcode::TryTable;
}

class Printer : private CoreTypePrinter {
 public:
  Printer(const Module& module, const PrintOptions& options, unsigned depth = 0)
      : m_(module), options_(options), depth_(depth) {
    find_metadata();
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
    forget_shared();
  }
  // `head` is what the module begins with: "(module".
  Result<String> run(String head);
  String instr(const Instr& in);

 private:
  using Status = Result<void>;
  void line(unsigned depth, std::string_view text) { put_line(out_, depth_ + depth, text); }
  // The type of a function, whose parameters `locals` names.
  String type_use(uint32_t type_index, const Ids& locals) {
    const wasm::FuncType& t = m_.types[type_index].func;
    String s = "(type " + types_.use(type_index) + ")";
    if (t.params.size() + t.results.size() <= kMaxInlineTypes ||
        locals.any_named(uint32_t(t.params.size())))
      s += signature(t, &locals);
    return s;
  }
  // Identifiers of a function's parameters and locals, of which there are `count`.
  Ids local_ids(uint32_t func, uint32_t count) {
    Ids ids;
    if (options_.names)
      if (const auto* n = m_.names.locals.find(func)) ids.build(*n, count);
    return ids;
  }
  String label_use(uint32_t depth) const {
    if (label_names_ && depth < labels_.size()) {
      const size_t at = labels_.size() - 1 - depth;
      const auto it = label_ids_.find(labels_[at].id);
      if (it != label_ids_.end() && it->second == at + 1) return labels_[at].id;
    }
    return number(depth);
  }
  struct Label {
    String id;           // empty: none
    uint32_t outer = 0;  // 1 + position of the label that had the identifier before, or 0
  };
  Label next_label();
  void open_label(Label label);
  void close_label();
  void find_metadata();
  bool names_are_shown() const;
  bool hints_are_shown() const;
  bool names_fit(const wasm::IndirectNameMap& names,
                 const std::function<uint32_t(uint32_t)>& count) const;
  uint32_t count_locals(uint32_t func) const;
  uint32_t count_labels(uint32_t func) const;
  void type_def(uint32_t index, unsigned depth);
  String extern_type(const wasm::ExternType& t, const uint32_t* index);
  void imports();
  void forget_shared();
  Status function(uint32_t index);
  // Instructions of [begin, end) on one line, the final `end` left out.
  Result<String> expression(wasm::ConstExpr e);
  void customs();

  const Module& m_;
  const PrintOptions& options_;
  const unsigned depth_;  // of the module within other text
  String out_;
  // Custom sections whose contents the rest of the text gives, or null.
  const wasm::CustomSection* name_section_ = nullptr;
  const wasm::CustomSection* hint_section_ = nullptr;
  // Labels of the function at hand, if they have names.
  const wasm::NameMap* label_names_ = nullptr;
  uint32_t next_label_ = 0, next_name_ = 0;
  Vec<Label> labels_;
  HashMap<String, uint32_t, StringHash, StringEqual> label_ids_;  // 1 + position in labels_
  bool data_count_needed_ = false;
  String label_;  // what follows the keyword of the block at hand
  Ids funcs_, tables_, memories_, globals_, elems_, datas_, tags_, locals_;
};

String Printer::instr(const Instr& in) {
  const wasm::OpcodeInfo& info = wasm::opcode_info(in.op);
  if (info.imm == Imm::Data || info.imm == Imm::DataMemory || info.imm == Imm::TypeData)
    data_count_needed_ = true;
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
      s += label_;
      block();
      break;
    case Imm::Label:
      // A `delegate` counts from outside of its `try`.
      add(in.op == Opcode::Delegate ? number(in.index) : label_use(in.index));
      break;
    case Imm::BrTable:
      for (const uint32_t l : in.labels) add(label_use(l));
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
        add(ref(in.heap, in.op == Opcode::RefTestNull || in.op == Opcode::RefCastNull ||
                             in.op == Opcode::RefCastDescEqNull));
      break;
    case Imm::SelectT:
      add("(result");
      for (const ValType t : in.types) add(type(t));
      s += ")";
      break;
    case Imm::TryTable:
      s += label_;
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
        add(label_use(c.label));
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
      add(label_use(in.index));
      add(ref(in.heap, in.null1));
      add(ref(in.heap2, in.null2));
      break;
  }
  return s;
}

void Printer::type_def(uint32_t index, unsigned depth) {
  const SubType& t = m_.types[index];
  Ids fields;
  if (options_.names)
    if (const auto* n = m_.names.fields.find(index)) fields.build(*n, uint32_t(t.fields.size()));
  line(depth, "(type" + types_.definition(index) + " " + sub_type(t, fields) + ")");
}

// "(func $f ...)" and the like, the definition left out if `index` is null.
String Printer::extern_type(const wasm::ExternType& t, const uint32_t* index) {
  const auto definition = [index](const Ids& ids) {
    return index ? ids.definition(*index) : String();
  };
  switch (t.kind) {
    case ExternKind::Func: {
      String use = type_use(t.type_index, index ? local_ids(*index, count_locals(*index)) : Ids());
      if (t.exact) use = "(exact " + use + ")";
      return "(func" + definition(funcs_) + " " + use + ")";
    }
    case ExternKind::Table:
      return "(table" + definition(tables_) + " " + table_type(t.table) + ")";
    case ExternKind::Memory:
      return "(memory" + definition(memories_) + " " + memory_type(t.memory) + ")";
    case ExternKind::Global:
      return "(global" + definition(globals_) + " " + global_type(t.global) + ")";
    case ExternKind::Tag:
      return "(tag" + definition(tags_) + " (type " + types_.use(t.type_index) + "))";
  }
  return {};
}

void Printer::imports() {
  uint32_t next[5] = {};
  uint32_t at = 0;
  const auto alone = [&](uint32_t end) {
    for (; at < end; ++at) {
      const wasm::Import& i = m_.imports[at];
      String s("(import ");
      quote(s, i.module);
      s += ' ';
      quote(s, i.name);
      s += " " + extern_type(i.type, &next[size_t(i.type.kind)]);
      ++next[size_t(i.type.kind)];
      line(1, s + ")");
    }
  };
  for (const wasm::ImportGroup& group : m_.import_groups) {
    alone(group.first);
    String s("(import ");
    quote(s, group.module);
    if (!group.count) {
      if (group.shared_type) s += " " + extern_type(group.type, nullptr);
      line(1, s + ")");
      continue;
    }
    line(1, s);
    for (; at < group.first + group.count; ++at) {
      const wasm::Import& i = m_.imports[at];
      String item("(item ");
      quote(item, i.name);
      uint32_t& index = next[size_t(i.type.kind)];
      if (!group.shared_type) item += " " + extern_type(i.type, &index);
      ++index;
      line(2, item + ")");
    }
    if (group.shared_type) line(2, extern_type(group.type, nullptr));
    line(1, ")");
  }
  alone(uint32_t(m_.imports.size()));
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

// The label of the block at hand, and what follows the block's keyword.
Printer::Label Printer::next_label() {
  Label label;
  label_.clear();
  if (!label_names_) return label;
  const uint32_t index = next_label_++;
  const auto& names = label_names_->entries;
  if (next_name_ == names.size() || names[next_name_].first != index) return label;
  const String& name = names[next_name_++].second;
  if (name.empty()) {
    label_ = " " + name_annotation(name);
  } else {
    label.id = identifier(name);
    label_ = " " + label.id;
  }
  return label;
}

void Printer::open_label(Label label) {
  if (!label_names_) return;
  if (!label.id.empty())
    label.outer = std::exchange(label_ids_[label.id], uint32_t(labels_.size()) + 1);
  labels_.push_back(std::move(label));
}

void Printer::close_label() {
  if (labels_.empty()) return;
  const Label& label = labels_.back();
  if (!label.id.empty()) {
    if (label.outer)
      label_ids_[label.id] = label.outer;
    else
      label_ids_.erase(label.id);
  }
  labels_.pop_back();
}

Result<void> Printer::function(uint32_t index) {
  const wasm::Function& f = m_.functions[index];
  const wasm::FuncType& t = m_.func_type(index);
  uint32_t at = 0;
  WAFER_LET(runs, local_runs(m_, f, at));
  Vec<ValType> locals;
  bool fewest = true;
  for (size_t i = 0; i < runs.size(); ++i) {
    locals.insert(locals.end(), runs[i].count, runs[i].type);
    if (!runs[i].count || (i && runs[i - 1].type == runs[i].type)) fewest = false;
  }
  const uint32_t params = uint32_t(t.params.size());
  locals_ = local_ids(index, params + uint32_t(locals.size()));
  line(1, "(func" + funcs_.definition(index) + " " + type_use(f.type_index, locals_));
  if (!fewest) {
    String s("(@");
    s += kLocalsAnnotation;
    for (const LocalRun& run : runs) s += " " + number(run.count) + " " + type(run.type);
    line(2, s + ")");
  }
  if (!locals.empty()) {
    String s;
    for (uint32_t i = 0; i < locals.size();) {
      if (!s.empty()) s += ' ';
      s += "(local";
      if (locals_.named(params + i)) {
        s += locals_.binding(params + i) + " " + type(locals[i]);
        ++i;
      } else {
        do s += " " + type(locals[i++]);
        while (i < locals.size() && !locals_.named(params + i));
      }
      s += ")";
    }
    line(2, s);
  }
  label_names_ = options_.names ? m_.names.labels.find(index) : nullptr;
  next_label_ = next_name_ = 0;
  labels_.clear();
  label_ids_.clear();
  const Vec<wasm::BranchHint>* hints = hint_section_ ? m_.hints_of(index) : nullptr;
  size_t next_hint = 0;
  wasm::InstrReader reader(m_.bytes, at, f.body.end, wasm::FeatureSet::all());
  unsigned depth = 2;
  Instr in;
  while (!reader.at_end()) {
    in = {};
    at = reader.offset();
    WAFER_TRY(reader.read(in));
    const bool closes = in.op == Opcode::End || in.op == Opcode::Delegate;
    const bool middle =
        in.op == Opcode::Else || in.op == Opcode::Catch || in.op == Opcode::CatchAll;
    const bool opens = opens_block(in.op);
    if (closes && reader.at_end()) break;
    if ((closes || middle) && depth > 2) --depth;
    if (hints && next_hint < hints->size() && (*hints)[next_hint].offset == at - f.body.begin) {
      String s("(@");
      s += wasm::kBranchHintSection;
      s += (*hints)[next_hint++].likely ? " \"\\01\")" : " \"\\00\")";
      line(depth, s);
    }
    if (closes) close_label();
    Label label;
    if (opens) label = next_label();
    String s = instr(in);
    if (options_.offsets) s += " ;; " + hex(at);
    line(depth, s);
    // Only now: clauses of a try_table count labels from outside.
    if (opens) open_label(std::move(label));
    if (opens || middle) ++depth;
  }
  line(1, ")");
  return {};
}

// ---- what the text gives of names and hints ---------------------------------

uint32_t Printer::count_locals(uint32_t func) const {
  const uint32_t params = uint32_t(m_.func_type(func).params.size());
  if (m_.functions[func].imported) return params;
  uint32_t at = 0, total = params;
  auto runs = local_runs(m_, m_.functions[func], at);
  if (!runs.ok()) return 0;
  for (const LocalRun& run : *runs) total += run.count;
  return total;
}

uint32_t Printer::count_labels(uint32_t func) const {
  if (m_.functions[func].imported) return 0;
  uint32_t at = 0, count = 0;
  auto runs = local_runs(m_, m_.functions[func], at);
  if (!runs.ok()) return 0;
  wasm::InstrReader reader(m_.bytes, at, m_.functions[func].body.end, wasm::FeatureSet::all());
  Instr in;
  while (!reader.at_end()) {
    if (!reader.read(in).ok()) return 0;
    count += opens_block(in.op);
  }
  return count;
}

// Are all of `names` within what is there, and none of the maps empty?
bool Printer::names_fit(const wasm::IndirectNameMap& names,
                        const std::function<uint32_t(uint32_t)>& count) const {
  for (const auto& [index, map] : names.entries)
    if (map.entries.empty() || map.entries.back().first >= count(index)) return false;
  return true;
}

// Names of imports whose types are given once for all of them: the text has no place for them.
void Printer::forget_shared() {
  uint32_t next[5] = {}, at = 0;
  Ids* const spaces[] = {&funcs_, &tables_, &memories_, &globals_, &tags_};
  for (const wasm::ImportGroup& group : m_.import_groups) {
    for (; at < group.first; ++at) ++next[size_t(m_.imports[at].type.kind)];
    for (; at < group.first + group.count; ++at) {
      const auto kind = size_t(m_.imports[at].type.kind);
      const uint32_t index = next[kind]++;
      if (!group.shared_type) continue;
      if (spaces[kind]->named(index)) name_section_ = nullptr;
      if (kind == size_t(ExternKind::Func) && m_.names.locals.find(index)) name_section_ = nullptr;
      spaces[kind]->forget(index);
    }
  }
}

// Do identifiers and annotations give just this name section, at just this place?
bool Printer::names_are_shown() const {
  if (!options_.names) return false;
  const wasm::CustomSection& section = *name_section_;
  for (const auto& s : kSections)
    if (section_order(s.id) > section_order(section.after_section) && (m_.sections >> s.id & 1))
      return false;
  const auto fits = [](const wasm::NameMap& names, size_t count) {
    return names.entries.empty() || names.entries.back().first < count;
  };
  const wasm::NameSection& n = m_.names;
  if (!fits(n.functions, m_.functions.size()) || !fits(n.types, m_.types.size()) ||
      !fits(n.tables, m_.tables.size()) || !fits(n.memories, m_.memories.size()) ||
      !fits(n.globals, m_.globals.size()) || !fits(n.elems, m_.elems.size()) ||
      !fits(n.datas, m_.datas.size()) || !fits(n.tags, m_.tags.size()))
    return false;
  const auto of_function = [&](auto count) {
    return [this, count](uint32_t func) {
      return func < m_.functions.size() ? (this->*count)(func) : 0;
    };
  };
  const auto fields = [this](uint32_t type) {
    return type < m_.types.size() && m_.types[type].kind == CompKind::Struct
               ? uint32_t(m_.types[type].fields.size())
               : 0;
  };
  if (!names_fit(n.locals, of_function(&Printer::count_locals)) ||
      !names_fit(n.labels, of_function(&Printer::count_labels)) || !names_fit(n.fields, fields))
    return false;
  const Vec<uint8_t> shown = wasm::encode_names(n);
  const Bytes payload = m_.slice(section.payload);
  if (shown.empty()) return false;  // none would be made
  return std::equal(shown.begin(), shown.end(), payload.begin(), payload.end());
}

// Can annotations of branches give just this section of hints, at just this place?
bool Printer::hints_are_shown() const {
  const wasm::CustomSection& section = *hint_section_;
  const unsigned code = section_order("code");
  for (const auto& s : kSections) {
    const unsigned order = section_order(s.id);
    if (order > section_order(section.after_section) && order < code && (m_.sections >> s.id & 1))
      return false;
  }
  for (const wasm::FunctionHints& f : m_.branch_hints) {
    if (f.hints.empty()) return false;
    const wasm::Function& function = m_.functions[f.func];
    uint32_t at = 0;
    auto runs = local_runs(m_, function, at);
    if (!runs.ok()) return false;
    wasm::InstrReader reader(m_.bytes, at, function.body.end, wasm::FeatureSet::all());
    Instr in;
    size_t next = 0;
    while (!reader.at_end() && next < f.hints.size()) {
      at = reader.offset();
      if (!reader.read(in).ok()) return false;
      if (at - function.body.begin != f.hints[next].offset) continue;
      if (in.op != Opcode::If && in.op != Opcode::BrIf) return false;
      ++next;
    }
    if (next != f.hints.size()) return false;
  }
  const Vec<uint8_t> shown = wasm::encode_branch_hints(m_.branch_hints);
  const Bytes payload = m_.slice(section.payload);
  if (shown.empty()) return false;  // none would be made
  return std::equal(shown.begin(), shown.end(), payload.begin(), payload.end());
}

void Printer::find_metadata() {
  const auto only = [this](std::string_view name) {
    const wasm::CustomSection* found = nullptr;
    for (const wasm::CustomSection& c : m_.customs) {
      if (c.name != name) continue;
      if (found) return static_cast<const wasm::CustomSection*>(nullptr);
      found = &c;
    }
    return found;
  };
  name_section_ = only("name");
  if (name_section_ && !names_are_shown()) name_section_ = nullptr;
  hint_section_ = only(wasm::kBranchHintSection);
  if (hint_section_ && !hints_are_shown()) hint_section_ = nullptr;
}

// Custom sections that annotations have to give, and sections that nothing else shows.
void Printer::customs() {
  bool past_names = false, past_hints = false;
  for (const wasm::CustomSection& c : m_.customs) {
    if (&c == name_section_) past_names = true;
    if (&c == hint_section_) past_hints = true;
    if (&c == name_section_ || &c == hint_section_) continue;
    if (c.name == "name" && !options_.names) continue;
    String s("(@custom ");
    quote(s, c.name);
    if (past_names) {
      s += " (after last)";
    } else if (past_hints && c.after_section == hint_section_->after_section) {
      s += " (before code)";
    } else if (c.after_section == 0) {
      s += " (before first)";
    } else {
      s += " (after ";
      s += kSections[section_order(c.after_section) - 1].keyword;
      s += ")";
    }
    s += ' ';
    const Bytes payload = m_.slice(c.payload);
    quote(s, std::string_view(reinterpret_cast<const char*>(payload.data()), payload.size()));
    line(1, s + ")");
  }
  // Whether a section is there follows from its contents; of the data count, from its use.
  const size_t defined = m_.functions.size() - m_.imported_functions;
  const std::pair<std::string_view, bool> empty[] = {
      {"type", m_.rec_groups.empty()},
      {"import", m_.imports.empty()},
      {"func", defined == 0},
      {"table", m_.tables.size() == m_.imported_tables},
      {"memory", m_.memories.size() == m_.imported_memories},
      {"tag", m_.tags.size() == m_.imported_tags},
      {"global", m_.globals.size() == m_.imported_globals},
      {"export", m_.exports.empty()},
      {"elem", m_.elems.empty()},
      {"datacount", !data_count_needed_},
      {"code", defined == 0},
      {"data", m_.datas.empty()}};
  String kinds;
  for (const auto& [keyword, is_empty] : empty)
    if (is_empty && (m_.sections >> kSections[section_order(keyword) - 1].id & 1)) {
      kinds += ' ';
      kinds += keyword;
    }
  if (kinds.empty()) return;
  String s("(@");
  s += kSectionAnnotation;
  line(1, s + kinds + ")");
}

Result<String> Printer::run(String head) {
  line(0, head);
  const String before = std::exchange(out_, String());
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
  // Only now is it known what the code needs.
  const String fields = std::exchange(out_, before);
  customs();
  out_ += fields;
  return std::move(out_);
}

}  // namespace

Result<String> print_wat(const wasm::Module& module, const PrintOptions& options) {
  String head("(module");
  if (options.names && !module.names.module.empty())
    head += " " + name_annotation(module.names.module);
  return Printer(module, options).run(std::move(head));
}

Result<String> print_module(const wasm::Module& module, const PrintOptions& options, String head,
                            unsigned depth) {
  return Printer(module, options, depth).run(std::move(head));
}

String print_instr(const wasm::Module& module, const wasm::Instr& instr) {
  // Only the opcode and its immediates matter, so identifiers are left out: they
  // would be gathered anew for each instruction.
  const PrintOptions options{false, false};
  return Printer(module, options).instr(instr);
}

}  // namespace wafer::wat
