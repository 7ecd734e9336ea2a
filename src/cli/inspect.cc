// `wafer inspect`: what is in a module, without running or validating it.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/leb128.h"
#include "cli/component.h"
#include "cli/suggest.h"
#include "cli/support.h"
#include "interp/xip_format.h"
#include "program/value_text.h"
#include "runtime/backtrace.h"
#include "wasm/decoder.h"
#include "wasm/instr.h"
#include "wat/wat.h"

namespace wafer::cli {

namespace {

using wasm::ExternKind;
using wasm::Module;
using Json = nlohmann::ordered_json;

struct InspectOptions {
  std::string file;
  bool headers = false, details = false, disassemble = false, hex = false, json = false;
  bool all = false;
  std::string section, function;
  FeatureOptions features;
};

struct Section {
  uint8_t id = 0;
  uint32_t start = 0;  // of the id byte
  uint32_t payload = 0;
  uint32_t end = 0;
  std::string name;               // of a custom section
  std::optional<uint32_t> count;  // entries, where the section begins with a count
};

constexpr std::string_view kSectionNames[] = {"custom", "type",   "import",    "function", "table",
                                              "memory", "global", "export",    "start",    "elem",
                                              "code",   "data",   "datacount", "tag"};

std::string_view section_name(uint8_t id) {
  return id < std::size(kSectionNames) ? kSectionNames[id] : "unknown";
}

// The sections of a module that has been decoded, so that lengths are right.
std::vector<Section> sections_of(Bytes bytes) {
  std::vector<Section> sections;
  const uint8_t* const end = bytes.data() + bytes.size();
  for (const uint8_t* p = bytes.data() + 8; p < end;) {
    Section s;
    s.start = uint32_t(p - bytes.data());
    s.id = *p++;
    uint64_t size = 0;
    if (read_uleb<32>(p, end, size) != LebStatus::Ok || size > size_t(end - p)) break;
    s.payload = uint32_t(p - bytes.data());
    s.end = uint32_t(s.payload + size);
    const uint8_t* q = p;
    uint64_t n = 0;
    if (read_uleb<32>(q, p + size, n) == LebStatus::Ok) {
      if (s.id != 0)
        s.count = uint32_t(n);
      else if (n <= size_t(p + size - q))
        s.name.assign(reinterpret_cast<const char*>(q), n);
    }
    p += size;
    sections.push_back(std::move(s));
  }
  return sections;
}

std::string str(const String& s) { return std::string(std::string_view(s)); }

std::string limits_text(const wasm::Limits& l) {
  std::string text = fmt::format("min={}", l.min);
  if (l.has_max) text += fmt::format(" max={}", l.max);
  if (l.is64) text += " i64";
  if (l.shared) text += " shared";
  return text;
}
std::string table_text(const wasm::TableType& t) {
  return fmt::format("{} {}", limits_text(t.limits), std::string_view(wasm::to_string(t.element)));
}
std::string memory_text(const wasm::MemoryType& t) {
  std::string text = limits_text(t.limits);
  if (t.page_size_log2 != 16) text += fmt::format(" pagesize={}", uint64_t{1} << t.page_size_log2);
  return text;
}
std::string global_text(const wasm::GlobalType& t) {
  const String type = wasm::to_string(t.type);
  return fmt::format("{}{}", std::string_view(type), t.is_mutable ? " mut" : "");
}
std::string func_type_text(const wasm::FuncType& t) {
  return program::type_list(t.params) + " -> " + program::type_list(t.results);
}

std::string field_text(const wasm::FieldType& f) {
  const std::string storage = f.storage.kind() == wasm::TypeKind::I8    ? "i8"
                              : f.storage.kind() == wasm::TypeKind::I16 ? "i16"
                                                                        : str(to_string(f.storage));
  return f.is_mutable ? "mut " + storage : storage;
}

std::string type_text(const wasm::SubType& t) {
  std::string text;
  switch (t.kind) {
    case wasm::CompKind::Func:
      text = "func " + func_type_text(t.func);
      break;
    case wasm::CompKind::Struct:
      text = "struct {";
      for (size_t i = 0; i < t.fields.size(); ++i)
        text += (i ? ", " : "") + field_text(t.fields[i]);
      text += "}";
      break;
    case wasm::CompKind::Array:
      text = "array [" + field_text(t.fields[0]) + "]";
      break;
    case wasm::CompKind::Cont:
      text = fmt::format("cont {}", t.cont);
      break;
  }
  if (t.super != wasm::SubType::kNoSuper) text += fmt::format(" super={}", t.super);
  if (t.describes != wasm::SubType::kNone) text += fmt::format(" describes={}", t.describes);
  if (t.descriptor != wasm::SubType::kNone) text += fmt::format(" descriptor={}", t.descriptor);
  if (!t.is_final) text += " open";
  return text;
}

std::string extern_text(const Module& m, const wasm::ExternType& t) {
  switch (t.kind) {
    case ExternKind::Func:
      return fmt::format("type={} {}", t.type_index, func_type_text(m.types[t.type_index].func));
    case ExternKind::Table:
      return table_text(t.table);
    case ExternKind::Memory:
      return memory_text(t.memory);
    case ExternKind::Global:
      return global_text(t.global);
    case ExternKind::Tag:
      return fmt::format("type={} {}", t.type_index,
                         program::type_list(m.types[t.type_index].func.params));
  }
  return {};
}

std::string named(std::string_view name) {
  return name.empty() ? std::string() : fmt::format(" <{}>", printable(name));
}

std::string in_quotes(std::string_view text) { return fmt::format("\"{}\"", printable(text)); }

// Instructions of a constant expression on one line.
std::string const_text(const Module& m, wasm::ConstExpr expr) {
  wasm::InstrReader reader(m.bytes, expr.begin, expr.end, m.features);
  wasm::Instr in;
  std::string text;
  while (!reader.at_end()) {
    if (const Result<void> r = reader.read(in); !r)
      return text + fmt::format("<{}>", std::string_view(r.error().message));
    if (in.op == wasm::Opcode::End && reader.at_end()) break;
    if (!text.empty()) text += "; ";
    text += std::string_view(wat::print_instr(m, in));
  }
  return text;
}

std::string_view mode_name(wasm::SegmentMode mode) {
  switch (mode) {
    case wasm::SegmentMode::Active:
      return "active";
    case wasm::SegmentMode::Passive:
      return "passive";
    case wasm::SegmentMode::Declarative:
      return "declarative";
  }
  return {};
}

// One reader over everything that the report shows, as text.
class Report {
 public:
  Report(const Module& module, const std::vector<Section>& sections, const InspectOptions& options)
      : m_(module), sections_(sections), o_(options), style_(out_style()) {}

  std::string take() { return std::move(out_); }

  void headers() {
    heading("Sections");
    line("{}  {:<10} {:>10} {:>10} {:>10}  {}{}", style_.dim, "section", "offset", "end", "size",
         "contents", style_.reset);
    for (const Section& s : sections_) {
      if (!wanted(s)) continue;
      const std::string contents = s.id == 0   ? in_quotes(s.name)
                                   : s.id == 8 ? fmt::format("func {}", s.count.value_or(0))
                                               : fmt::format("count {}", s.count.value_or(0));
      line("  {:<10} {:>#10x} {:>#10x} {:>10}  {}", section_name(s.id), s.payload, s.end,
           s.end - s.payload, contents);
    }
  }

  void details() {
    if (has("type", m_.types.size())) {
      for (size_t i = 0; i < m_.types.size(); ++i)
        line("  [{}] {}{}{}", i, type_text(m_.types[i]), group_text(uint32_t(i)),
             named(m_.names.types.find(uint32_t(i))));
    }
    if (has("import", m_.imports.size())) {
      uint32_t counts[5] = {};
      for (const wasm::Import& i : m_.imports) {
        line("  {}[{}] {} {}  {}", wasm::to_string(i.type.kind), counts[size_t(i.type.kind)]++,
             in_quotes(i.module), in_quotes(i.name), extern_text(m_, i.type));
      }
    }
    if (has("function", m_.functions.size() - m_.imported_functions)) {
      for (uint32_t i = m_.imported_functions; i < m_.functions.size(); ++i) {
        const wasm::Function& f = m_.functions[i];
        line("  func[{}] type={} {} body=0x{:x}..0x{:x}{}", i, f.type_index,
             func_type_text(m_.func_type(i)), f.body.begin, f.body.end, named(m_.function_name(i)));
      }
    }
    if (has("table", m_.tables.size() - m_.imported_tables)) {
      for (uint32_t i = m_.imported_tables; i < m_.tables.size(); ++i) {
        const wasm::Table& t = m_.tables[i];
        line("  table[{}] {}{}{}", i, table_text(t.type),
             t.init ? " init=(" + const_text(m_, *t.init) + ")" : "",
             named(m_.names.tables.find(i)));
      }
    }
    if (has("memory", m_.memories.size() - m_.imported_memories)) {
      for (uint32_t i = m_.imported_memories; i < m_.memories.size(); ++i)
        line("  memory[{}] {}{}", i, memory_text(m_.memories[i].type),
             named(m_.names.memories.find(i)));
    }
    if (has("tag", m_.tags.size() - m_.imported_tags)) {
      for (uint32_t i = m_.imported_tags; i < m_.tags.size(); ++i)
        line("  tag[{}] type={} {}{}", i, m_.tags[i].type_index,
             program::type_list(m_.types[m_.tags[i].type_index].func.params),
             named(m_.names.tags.find(i)));
    }
    if (has("global", m_.globals.size() - m_.imported_globals)) {
      for (uint32_t i = m_.imported_globals; i < m_.globals.size(); ++i)
        line("  global[{}] {} = {}{}", i, global_text(m_.globals[i].type),
             const_text(m_, m_.globals[i].init), named(m_.names.globals.find(i)));
    }
    if (has("export", m_.exports.size())) {
      for (const wasm::Export& e : m_.exports)
        line("  {}[{}] {}", wasm::to_string(e.kind), e.index, in_quotes(e.name));
    }
    if (has("start", m_.start.has_value()))
      line("  func[{}]{}", *m_.start, named(m_.function_name(*m_.start)));
    if (has("elem", m_.elems.size())) {
      for (uint32_t i = 0; i < m_.elems.size(); ++i) elem(i);
    }
    if (has("data", m_.datas.size())) {
      for (uint32_t i = 0; i < m_.datas.size(); ++i) {
        const wasm::DataSegment& d = m_.datas[i];
        std::string where(mode_name(d.mode));
        if (d.mode == wasm::SegmentMode::Active)
          where += fmt::format(" memory={} offset=({})", d.memory, const_text(m_, d.offset));
        line("  data[{}] {} bytes=0x{:x}..0x{:x} ({}){}", i, where, d.bytes.begin, d.bytes.end,
             d.bytes.size(), named(m_.names.datas.find(i)));
      }
    }
    if (has("custom", m_.customs.size())) {
      for (const wasm::CustomSection& c : m_.customs)
        line("  {} 0x{:x}..0x{:x} ({} bytes)", in_quotes(c.name), c.payload.begin, c.payload.end,
             c.payload.size());
    }
  }

  // Gives false, with the message in `error`, if a body cannot be read.
  bool disassembly(std::string& error) {
    heading("Disassembly");
    bool any = false;
    for (uint32_t i = m_.imported_functions; i < m_.functions.size(); ++i) {
      if (!o_.function.empty() && o_.function != m_.function_name(i) &&
          o_.function != std::to_string(i))
        continue;
      any = true;
      if (!function(i, error)) return false;
    }
    if (!any && !o_.function.empty()) {
      error = "no function \"" + printable(o_.function) + "\" with a body";
      return false;
    }
    return true;
  }

  void hex() {
    for (const Section& s : sections_) {
      if (!wanted(s)) continue;
      heading(fmt::format("Contents of section {}{}", section_name(s.id),
                          s.id == 0 ? " " + in_quotes(s.name) : ""));
      for (uint32_t at = s.payload; at < s.end; at += 16) hex_line(at, s.end);
    }
  }

 private:
  const Module& m_;
  const std::vector<Section>& sections_;
  const InspectOptions& o_;
  const Style& style_;
  std::string out_;

  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_ += '\n';
  }
  void heading(std::string_view text) { line("\n{}{}:{}", style_.bold, text, style_.reset); }
  bool wanted(const Section& s) const {
    return o_.section.empty() || o_.section == section_name(s.id) ||
           (s.id == 0 && o_.section == s.name);
  }
  // Heading of a part of the details, if it has entries and is asked for.
  bool has(std::string_view section, size_t count) {
    if (count == 0 || (!o_.section.empty() && o_.section != section)) return false;
    std::string title(section);
    title[0] = char(std::toupper(static_cast<unsigned char>(title[0])));
    heading(fmt::format("{}[{}]", title, count));
    return true;
  }
  std::string group_text(uint32_t type) const {
    for (const wasm::RecGroup& g : m_.rec_groups)
      if (g.count > 1 && type >= g.first && type < g.first + g.count)
        return fmt::format(" rec={}..{}", g.first, g.first + g.count - 1);
    return {};
  }

  void elem(uint32_t i) {
    const wasm::ElemSegment& e = m_.elems[i];
    std::string where(mode_name(e.mode));
    if (e.mode == wasm::SegmentMode::Active)
      where += fmt::format(" table={} offset=({})", e.table, const_text(m_, e.offset));
    line("  elem[{}] {} {} count={}{}", i, where, std::string_view(wasm::to_string(e.type)),
         e.size(), named(m_.names.elems.find(i)));
    for (size_t k = 0; k < e.funcs.size(); ++k)
      line("    [{}] func[{}]{}", k, e.funcs[k], named(function_name(e.funcs[k])));
    for (size_t k = 0; k < e.exprs.size(); ++k) line("    [{}] {}", k, const_text(m_, e.exprs[k]));
  }
  // The module may be invalid: indices are not to be trusted.
  std::string_view function_name(uint32_t func) const {
    return func < m_.functions.size() ? m_.function_name(func) : std::string_view();
  }

  bool function(uint32_t index, std::string& error) {
    const wasm::Function& f = m_.functions[index];
    line("\n{:06x} {}func[{}]{}{}: {}", f.body.begin, style_.bold, index,
         named(m_.function_name(index)), style_.reset, func_type_text(m_.func_type(index)));
    // The locals: a vector of counts and types, which the reader does not cover.
    wasm::Cursor cursor(m_.bytes.data(), f.body.begin, f.body.end, m_.bytes.size(), m_.features);
    uint32_t groups = 0;
    size_t local = m_.func_type(index).params.size();
    bool ok = cursor.u32(groups);
    for (uint32_t g = 0; ok && g < groups; ++g) {
      const uint32_t at = cursor.offset();
      uint32_t count = 0;
      wasm::ValType type;
      ok = cursor.u32(count) && cursor.val_type(type);
      if (!ok) break;
      if (count == 1)
        line(" {:06x}: {}local[{}]{} {}", at, style_.cyan, local, style_.reset,
             std::string_view(wasm::to_string(type)));
      else
        line(" {:06x}: {}local[{}..{}]{} {}", at, style_.cyan, local, local + count - 1,
             style_.reset, std::string_view(wasm::to_string(type)));
      local += count;
    }
    if (!ok) {
      const Error e = cursor.take_error();
      error = fmt::format("0x{:x}: {}", e.offset, std::string_view(e.message));
      return false;
    }
    wasm::InstrReader reader(m_.bytes, cursor.offset(), f.body.end, m_.features);
    wasm::Instr in;
    size_t depth = 0;
    while (!reader.at_end()) {
      if (const Result<void> r = reader.read(in); !r) {
        error = fmt::format("0x{:x}: {}", r.error().offset, std::string_view(r.error().message));
        return false;
      }
      using wasm::Opcode;
      const bool closes = in.op == Opcode::End || in.op == Opcode::Else || in.op == Opcode::Catch ||
                          in.op == Opcode::CatchAll || in.op == Opcode::Delegate;
      if (closes && depth) --depth;
      std::string bytes;
      for (uint32_t at = in.offset_in_module; at < reader.offset() && bytes.size() < 27; ++at)
        bytes += fmt::format("{:02x} ", m_.bytes[at]);
      if (reader.offset() - in.offset_in_module > 9) bytes += "..";
      line(" {:06x}: {}{:<29}{} {:{}}{}", in.offset_in_module, style_.dim, bytes, style_.reset, "",
           depth * 2, print(in));
      if ((closes && in.op != Opcode::End && in.op != Opcode::Delegate) ||
          wasm::opcode_info(in.op).imm == wasm::Imm::Block || in.op == Opcode::TryTable)
        ++depth;
    }
    return true;
  }

  // The instruction, and the name of the function or global that it is about.
  std::string print(const wasm::Instr& in) const {
    std::string text = str(wat::print_instr(m_, in));
    switch (in.op) {
      case wasm::Opcode::Call:
      case wasm::Opcode::ReturnCall:
      case wasm::Opcode::RefFunc:
        return text + named(in.index < m_.imported_functions
                                ? imported_function(in.index)
                                : std::string(function_name(in.index)));
      case wasm::Opcode::GlobalGet:
      case wasm::Opcode::GlobalSet:
        return text + named(m_.names.globals.find(in.index));
      default:
        return text;
    }
  }
  // "module.name" of an imported function without a name of its own.
  std::string imported_function(uint32_t func) const {
    if (const std::string_view name = function_name(func); !name.empty()) return std::string(name);
    uint32_t at = 0;
    for (const wasm::Import& i : m_.imports)
      if (i.type.kind == ExternKind::Func && at++ == func) return str(i.module) + "." + str(i.name);
    return {};
  }

  void hex_line(uint32_t at, uint32_t end) {
    std::string text;
    fmt::format_to(std::back_inserter(out_), "  {:07x}:", at);
    for (uint32_t i = 0; i < 16; ++i) {
      if (i % 2 == 0) out_ += ' ';
      if (at + i < end) {
        const uint8_t byte = m_.bytes[at + i];
        fmt::format_to(std::back_inserter(out_), "{:02x}", byte);
        text += byte >= 0x20 && byte < 0x7F ? char(byte) : '.';
      } else {
        out_ += "  ";
      }
    }
    line("  {}", text);
  }
};

std::string_view machine_name(uint32_t machine) {
  return machine == 62 ? "x86_64" : machine == 183 ? "aarch64" : "an unknown processor";
}

std::vector<std::string> code_options(const compiler::ImageSummary& code) {
  static constexpr std::pair<uint32_t, std::string_view> kNames[] = {
      {compiler::kOptionGuardPages, "guard pages"},
      {compiler::kOptionFuel, "fuel"},
      {compiler::kOptionInterruptible, "interruptible"},
      {compiler::kOptionNoSignals, "no signals"}};
  std::vector<std::string> names;
  for (const auto& [bit, name] : kNames)
    if (code.traits.options & bit) names.emplace_back(name);
  return names;
}

// Text that JSON can hold: what is not UTF-8 is escaped.
std::string json_text(std::string_view text) {
  return wasm::is_utf8(text) ? std::string(text) : printable(text);
}

Json limits_json(const wasm::Limits& l) {
  Json j{{"min", l.min}};
  if (l.has_max) j["max"] = l.max;
  if (l.is64) j["index"] = "i64";
  if (l.shared) j["shared"] = true;
  return j;
}

Json extern_json(const Module& m, const wasm::ExternType& t) {
  Json j{{"kind", std::string(wasm::to_string(t.kind))}};
  switch (t.kind) {
    case ExternKind::Func:
    case ExternKind::Tag:
      j["type"] = t.type_index;
      j["signature"] = func_type_text(m.types[t.type_index].func);
      break;
    case ExternKind::Table:
      j["limits"] = limits_json(t.table.limits);
      j["element"] = str(wasm::to_string(t.table.element));
      break;
    case ExternKind::Memory:
      j["limits"] = limits_json(t.memory.limits);
      j["page_size"] = uint64_t{1} << t.memory.page_size_log2;
      break;
    case ExternKind::Global:
      j["value"] = str(wasm::to_string(t.global.type));
      j["mutable"] = t.global.is_mutable;
      break;
  }
  return j;
}

Json report_json(const ModuleInput& input, const Module& m, const std::vector<Section>& sections) {
  Json j{{"file", json_text(input.input.path())}, {"size", m.bytes.size()}, {"version", 1}};
  if (input.code) {
    const compiler::ImageSummary& code = *input.code;
    j["code"] = {{"machine", std::string(machine_name(code.traits.machine))},
                 {"functions", code.functions},
                 {"size", code.text},
                 {"options", code_options(code)},
                 {"features", str(compiler::cpu_feature_names(code.traits.features))},
                 {"same_version", code.same_version}};
  }
  if (!m.names.module.empty()) j["name"] = str(m.names.module);
  Json& list = j["sections"] = Json::array();
  for (const Section& s : sections) {
    Json entry{{"id", s.id},
               {"section", std::string(section_name(s.id))},
               {"offset", s.payload},
               {"size", s.end - s.payload}};
    if (s.id == 0)
      entry["name"] = json_text(s.name);
    else if (s.count)
      entry[s.id == 8 ? "function" : "count"] = *s.count;
    list.push_back(std::move(entry));
  }
  Json& types = j["types"] = Json::array();
  for (const wasm::SubType& t : m.types) types.push_back(type_text(t));
  Json& imports = j["imports"] = Json::array();
  for (const wasm::Import& i : m.imports) {
    Json entry{{"module", str(i.module)}, {"name", str(i.name)}};
    entry.update(extern_json(m, i.type));
    imports.push_back(std::move(entry));
  }
  Json& exports = j["exports"] = Json::array();
  for (const wasm::Export& e : m.exports) {
    exports.push_back({{"name", str(e.name)},
                       {"kind", std::string(wasm::to_string(e.kind))},
                       {"index", e.index}});
  }
  Json& functions = j["functions"] = Json::array();
  for (uint32_t i = m.imported_functions; i < m.functions.size(); ++i) {
    Json entry{{"index", i},
               {"type", m.functions[i].type_index},
               {"signature", func_type_text(m.func_type(i))},
               {"offset", m.functions[i].body.begin},
               {"size", m.functions[i].body.size()}};
    if (!m.function_name(i).empty()) entry["name"] = json_text(m.function_name(i));
    functions.push_back(std::move(entry));
  }
  const auto add_own = [&](const char* key, const auto& items, uint32_t from, auto describe) {
    Json& out = j[key] = Json::array();
    for (uint32_t i = from; i < items.size(); ++i) {
      Json entry{{"index", i}};
      entry.update(describe(items[i]));
      out.push_back(std::move(entry));
    }
  };
  const auto typed = [&m](ExternKind kind, auto fill) {
    wasm::ExternType t;
    t.kind = kind;
    fill(t);
    Json e = extern_json(m, t);
    e.erase("kind");
    return e;
  };
  add_own("tables", m.tables, m.imported_tables, [&](const wasm::Table& t) {
    return typed(ExternKind::Table, [&](wasm::ExternType& e) { e.table = t.type; });
  });
  add_own("memories", m.memories, m.imported_memories, [&](const wasm::Memory& t) {
    return typed(ExternKind::Memory, [&](wasm::ExternType& e) { e.memory = t.type; });
  });
  add_own("globals", m.globals, m.imported_globals, [&](const wasm::Global& g) {
    Json e = typed(ExternKind::Global, [&](wasm::ExternType& t) { t.global = g.type; });
    e["init"] = const_text(m, g.init);
    return e;
  });
  add_own("tags", m.tags, m.imported_tags, [&](const wasm::Tag& t) {
    return typed(ExternKind::Tag, [&](wasm::ExternType& e) { e.type_index = t.type_index; });
  });
  if (m.start) j["start"] = *m.start;
  add_own("elems", m.elems, 0, [&](const wasm::ElemSegment& e) {
    Json entry{{"mode", std::string(mode_name(e.mode))},
               {"type", str(wasm::to_string(e.type))},
               {"count", e.size()}};
    if (e.mode == wasm::SegmentMode::Active) {
      entry["table"] = e.table;
      entry["offset"] = const_text(m, e.offset);
    }
    return entry;
  });
  add_own("datas", m.datas, 0, [&](const wasm::DataSegment& d) {
    Json entry{{"mode", std::string(mode_name(d.mode))},
               {"offset_in_file", d.bytes.begin},
               {"size", d.bytes.size()}};
    if (d.mode == wasm::SegmentMode::Active) {
      entry["memory"] = d.memory;
      entry["offset"] = const_text(m, d.offset);
    }
    return entry;
  });
  return j;
}

// A line about a file of machine code.
std::string code_text(const ModuleInput& input) {
  const compiler::ImageSummary& code = *input.code;
  const std::string features = str(compiler::cpu_feature_names(code.traits.features));
  return fmt::format("{}: machine code for {}, {} bytes; {} functions, {} bytes of code{}{}{}\n",
                     input.input.path(), machine_name(code.traits.machine),
                     input.input.bytes().size(), code.functions, code.text,
                     code_options(code).empty()
                         ? ""
                         : fmt::format("; with {}", fmt::join(code_options(code), ", ")),
                     features.empty() ? "" : "; uses " + features,
                     code.same_version ? "" : "; made by another version of wafer");
}

// A section that is not there is an error, with the names that would do.
bool check_section(const InspectOptions& o, const std::vector<Section>& sections) {
  if (o.section.empty()) return true;
  std::vector<std::string> names;
  for (const Section& s : sections) {
    const std::string name = s.id == 0 ? printable(s.name) : std::string(section_name(s.id));
    if (o.section == section_name(s.id) || o.section == s.name) return true;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  print_error(fmt::format("{}: no section '{}'{}; there are: {}", Input::name_of(o.file), o.section,
                          did_you_mean(o.section, names), fmt::join(names, ", ")));
  return false;
}

int inspect_xip(const Input& input, bool json) {
  const Result<interp::XipHeader> header = interp::read_xip_header(input.bytes());
  if (!header) {
    print_error(input.path() + ": " + str(header.error().message));
    return kFailure;
  }
  const interp::XipHeader& h = *header;
  const std::string machine = h.target.machine == interp::kXipArm
                                  ? fmt::format("Armv{}-M", h.target.level)
                              : h.target.machine == interp::kXipRiscv ? "riscv32"
                                                                      : "an unknown processor";
  std::vector<std::string> features;
  for (const interp::XipFeature& f : interp::kXipFeatures)
    if (f.machine == h.target.machine && (f.bit & h.target.features)) features.emplace_back(f.name);
  if (json) {
    const Json j{{"file", json_text(input.path())},
                 {"size", h.size},
                 {"code",
                  {{"format", "xip"},
                   {"machine", machine},
                   {"features", features},
                   {"functions", h.functions},
                   {"size", h.size - h.code},
                   {"max_frame", h.max_frame}}},
                 {"module", {{"size", h.module_size}, {"min_memory", h.min_memory}}}};
    return write_stdout(j.dump(2) + "\n") ? kSuccess : kFailure;
  }
  return write_stdout(fmt::format(
             "{}: machine code for {} that runs in place, {} bytes; {} functions, "
             "{} bytes of code, frames of up to {} bytes{}\n"
             "made from: a module of {} bytes, for a memory of at least {} bytes\n",
             input.path(), machine, h.size, h.functions, h.size - h.code, h.max_frame,
             features.empty() ? "" : fmt::format("; uses {}", fmt::join(features, ", ")),
             h.module_size, h.min_memory))
             ? kSuccess
             : kFailure;
}

int inspect(const InspectOptions& o) {
  const wasm::FeatureSet features = o.features.get(wasm::FeatureSet::all());
  Result<Input> file = Input::open(o.file);
  if (!file) {
    print_error(file.error().message);
    return kFailure;
  }
  if (interp::is_xip(file->bytes())) return inspect_xip(*file, o.json);
  const std::optional<ModuleInput> input = module_of(*std::move(file), features);
  if (!input) return kFailure;
  if (component::is_component(input->binary())) {
    if (input->code && !write_stdout(code_text(*input))) return kFailure;
    return inspect_component(*input, o.features);
  }
  wasm::DecodeOptions options;
  options.features = features;
  options.copy_bytes = false;
  options.validate = false;
  Result<std::shared_ptr<Module>> decoded = wasm::decode_module(input->binary(), options);
  if (!decoded) {
    print_module_error(*input, decoded.error());
    return kFailure;
  }
  const Module& module = **decoded;
  const std::vector<Section> sections = sections_of(module.bytes);
  if (!check_section(o, sections)) return kFailure;
  if (o.json) {
    const std::string text = report_json(*input, module, sections).dump(2) + "\n";
    return write_stdout(text) ? kSuccess : kFailure;
  }

  Report report(module, sections, o);
  std::string out = input->code ? code_text(*input) : std::string();
  out +=
      fmt::format("{}: WebAssembly version 1, {} bytes{}\n",
                  input->code ? "made from" : input->input.path(), module.bytes.size(),
                  module.names.module.empty() ? "" : ", module " + in_quotes(module.names.module));
  const bool details = o.details || o.all;
  const bool disassemble = o.disassemble || o.all || !o.function.empty();
  std::string error;
  bool ok = true;
  if (o.headers || o.all || !(details || disassemble || o.hex)) report.headers();
  if (details) report.details();
  if (disassemble) ok = report.disassembly(error);
  if (o.hex) report.hex();
  out += report.take();
  if (!write_stdout(out)) return kFailure;
  if (ok) return kSuccess;
  print_error(
      fmt::format("{}:{}", input->input.path(), error.starts_with("0x") ? error : " " + error));
  return kFailure;
}

}  // namespace

void add_inspect(CLI::App& app, Context& context) {
  auto o = std::make_shared<InspectOptions>();
  CLI::App& command =
      *app.add_subcommand("inspect", "Show what is in a module (by default its sections)");
  command.add_flag("-H,--headers", o->headers, "Table of sections");
  command.add_flag("-x,--details", o->details, "Entries of each section");
  command.add_flag("-d,--disassemble", o->disassemble, "Instructions with byte offsets");
  command.add_flag("-s,--hex", o->hex, "Section contents in hex");
  command.add_flag("-a,--all", o->all, "-H, -x and -d");
  command.add_option("-j,--section", o->section, "Only the section of this name")
      ->type_name("NAME");
  command.add_option("-f,--function", o->function, "Disassemble only this function")
      ->type_name("NAME|INDEX");
  command.add_flag("--json", o->json, "Everything but instructions, as JSON");
  o->features.add_to(command);
  command.add_option("FILE", o->file, "Module, binary or text; - for standard input")->required();
  command.callback([o, &context] { context.action = [o] { return inspect(*o); }; });
}

}  // namespace wafer::cli
