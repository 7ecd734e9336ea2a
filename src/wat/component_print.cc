// Printer of components: walks the binary form once, and prints each definition as it comes, so
// that what is not valid can be looked at as well.
#include <array>
#include <functional>

#include "component/builtins.h"
#include "component/writer.h"
#include "wasm/decoder.h"
#include "wasm/type_reader.h"
#include "wat/component_text.h"
#include "wat/print.h"
#include "wat/sections.h"

namespace wafer::wat {

namespace {

using component::TypeKind;
using wasm::Cursor;

// Text of the core types of one scope.
class CoreText : private CoreTypePrinter {
 public:
  using CoreTypePrinter::global_type;
  using CoreTypePrinter::memory_type;
  using CoreTypePrinter::sub_type;
  using CoreTypePrinter::table_type;
  using CoreTypePrinter::type;
  Ids& ids() { return types_; }
};

enum class ScopeKind : uint8_t { Component, ComponentType, InstanceType, ModuleType };

// What a component's name section says.
struct Names {
  String component;
  std::array<wasm::NameMap, kSpaceCount> maps;
};

struct Scope {
  ScopeKind kind = ScopeKind::Component;
  unsigned depth = 0;  // of what it holds, in the text
  std::array<Ids, kSpaceCount> ids;
  CoreText core;
  std::array<uint32_t, kSpaceCount> counts{};
  Names names;
  // Do identifiers and annotations give just the names that the section has, as far as seen?
  bool names_fit = true;
  // Do they give any?
  bool named = false;

  Ids& of(Space s) { return s == Space::CoreType ? core.ids() : ids[size_t(s)]; }
};

struct Section {
  uint8_t id;
  uint32_t begin, end;
};

class ComponentPrinter {
 public:
  ComponentPrinter(Bytes bytes, const PrintOptions& options) : bytes_(bytes), options_(options) {}

  Result<String> run();

 private:
  using Status = Result<void>;

  // ---- reading
  Cursor cursor(uint32_t begin, uint32_t end) const {
    return {bytes_.data(), begin, end, bytes_.size(), wasm::FeatureSet::all()};
  }
  Error malformed(const Cursor& c, std::string_view message) const {
    return {ErrorKind::Malformed, message, c.offset()};
  }
  static Result<uint8_t> byte(Cursor& c) {
    uint8_t out = 0;
    if (!c.byte(out)) return c.take_error();
    return out;
  }
  static Result<uint32_t> u32(Cursor& c) {
    uint32_t out = 0;
    if (!c.u32(out)) return c.take_error();
    return out;
  }
  static Result<std::string_view> name(Cursor& c) {
    std::string_view out;
    if (!c.name(out)) return c.take_error();
    return out;
  }
  std::string_view text_of(uint32_t begin, uint32_t end) const {
    return {reinterpret_cast<const char*>(bytes_.data()) + begin, end - begin};
  }
  // Those of the component in [begin, end).
  Result<Vec<Section>> sections(uint32_t begin, uint32_t end) const;
  // The name section of a component, or nothing if there is not just one that can be read.
  bool read_names(const Vec<Section>& sections, Names& out) const;
  static Result<Space> sort(Cursor& c);

  // ---- writing
  Scope& scope() { return scopes_.back(); }
  void line(std::string_view text) { put_line(out_, scope().depth, text); }
  String use(Space s, uint32_t index) { return use_in(scope(), s, index); }
  static String use_in(Scope& in, Space s, uint32_t index) {
    return index < in.counts[size_t(s)] ? in.of(s).use(index) : number(index);
  }
  // What follows the keyword where the next item of `s` is defined.
  String define(Space s) { return scope().of(s).definition(scope().counts[size_t(s)]++); }
  // The same of a module or component that has a name of its own.
  String define_named(Space s, const String& own);
  static String word(Space s) {
    String out(space_info(s).core ? "core " : "");
    out += space_info(s).keyword;
    return out;
  }
  Result<String> ref(Space s, Cursor& c, bool core_prefix = true);
  static String quoted(std::string_view s) {
    String out;
    quote(out, s);
    return out;
  }
  Status enter(ScopeKind kind, unsigned depth, const Cursor& c);

  // ---- component_print.cc
  Status component(uint32_t begin, uint32_t end, std::string_view head, const Vec<Section>& parts);
  Status section(const Section& s, bool last, bool& named);
  Status definition(uint8_t id, Cursor& c);
  Status core_module(const Section& s);
  Status custom(const Section& s, bool last, bool& named);
  Status core_instance(Cursor& c);
  Status instance(Cursor& c);
  Status items(Cursor& c, const String& head, const std::function<Result<String>()>& each);
  Result<String> alias(Cursor& c);
  Status start(Cursor& c);
  Status canon(Cursor& c);
  Result<String> canon_options(Cursor& c);
  Result<String> extern_name(Cursor& c);
  Result<String> extern_type(Cursor& c, bool define);
  Status core_type(Cursor& c, bool prefixed);
  Status module_type(Cursor& c, const String& head);
  Result<String> core_extern(Cursor& c);
  Status type(Cursor& c);
  Status scope_type(Cursor& c, ScopeKind kind, const String& head);
  Result<String> value_type(Cursor& c);
  Result<String> type_of_value(Cursor& c);
  Result<String> defined_type(Cursor& c, uint8_t code);
  Result<String> labels(Cursor& c);
  Result<String> optional(Cursor& c, std::string_view before, std::string_view after);

  const Bytes bytes_;
  const PrintOptions& options_;
  String out_;
  Vec<Scope> scopes_;
};

// ---- Names --------------------------------------------------------------------------

Result<Vec<Section>> ComponentPrinter::sections(uint32_t begin, uint32_t end) const {
  Vec<Section> out;
  Cursor c = cursor(begin, end);
  for (const uint8_t expected : component::kPreamble) {
    WAFER_LET(b, byte(c));
    if (b != expected) return malformed(c, "unknown binary version or layer");
  }
  while (!c.at_end()) {
    WAFER_LET(id, byte(c));
    WAFER_LET(size, u32(c));
    if (size > c.remaining()) return malformed(c, "unexpected end-of-file");
    out.push_back({id, c.offset(), c.offset() + size});
    c.skip(size);
  }
  return std::move(out);
}

bool ComponentPrinter::read_names(const Vec<Section>& sections, Names& out) const {
  const Section* found = nullptr;
  for (const Section& s : sections) {
    if (s.id != 0) continue;
    Cursor c = cursor(s.begin, s.end);
    std::string_view custom;
    if (!c.name(custom) || custom != kComponentNameSection) continue;
    if (found) return false;
    found = &s;
  }
  if (!found) return false;
  Cursor c = cursor(found->begin, found->end);
  std::string_view text;
  (void)c.name(text);
  while (!c.at_end()) {
    uint8_t id = 0;
    uint32_t size = 0;
    if (!c.byte(id) || !c.u32(size) || size > c.remaining()) return false;
    Cursor part = cursor(c.offset(), c.offset() + size);
    c.skip(size);
    if (id == 0) {
      if (!part.name(text)) return false;
      out.component = String(text);
    } else if (id == 1) {
      auto space = sort(part);
      uint32_t count = 0;
      if (!space.ok() || !part.u32(count)) return false;
      wasm::NameMap& map = out.maps[size_t(*space)];
      if (!map.entries.empty()) return false;
      for (uint32_t i = 0; i < count; ++i) {
        uint32_t index = 0;
        if (!part.u32(index) || !part.name(text)) return false;
        if (!map.entries.empty() && index <= map.entries.back().first) return false;
        map.entries.emplace_back(index, String(text));
      }
    } else {
      return false;
    }
    if (!part.at_end()) return false;
  }
  return true;
}

// The text says the name of such an item once; it is the item's own, which its definition is for.
String ComponentPrinter::define_named(Space s, const String& own) {
  Scope& in = scope();
  const uint32_t index = in.counts[size_t(s)];
  if (in.names.maps[size_t(s)].find(index) != std::string_view(own)) {
    in.names_fit = false;
    in.of(s).forget(index);
    if (!own.empty()) {
      ++in.counts[size_t(s)];
      in.named = true;
      return " (;" + number(index) + ";) " + name_annotation(own);
    }
  }
  return define(s);
}

Result<void> ComponentPrinter::enter(ScopeKind kind, unsigned depth, const Cursor& c) {
  if (scopes_.size() == kMaxComponentDepth)
    return Error(ErrorKind::Exhaustion, "components and types are nested too deeply", c.offset());
  scopes_.emplace_back();
  scope().kind = kind;
  scope().depth = depth;
  return {};
}

// ---- Components ---------------------------------------------------------------------

Result<String> ComponentPrinter::run() {
  const auto size = uint32_t(bytes_.size());
  WAFER_LET(parts, sections(0, size));
  Names names;
  String head("(component");
  if (options_.names && read_names(parts, names) && !names.component.empty())
    head += " " + identifier(names.component);
  WAFER_TRY(component(0, size, head, parts));
  return std::move(out_);
}

Result<void> ComponentPrinter::component(uint32_t begin, uint32_t end, std::string_view head,
                                         const Vec<Section>& parts) {
  const unsigned depth = scopes_.empty() ? 0 : scope().depth;
  WAFER_TRY(enter(ScopeKind::Component, depth + 1, cursor(begin, end)));
  put_line(out_, depth, head);
  if (options_.names && read_names(parts, scope().names)) {
    Scope& s = scope();
    s.named = !s.names.component.empty();
    for (const SpaceInfo& info : kSpaces) {
      const wasm::NameMap& map = s.names.maps[size_t(info.space)];
      s.named |= !map.entries.empty();
      s.of(info.space).build(map, ~0u);
    }
  } else {
    scope().names = {};
  }
  uint8_t before = 0;
  bool named = false;  // the names are given, or given otherwise
  for (size_t i = 0; i < parts.size(); ++i) {
    const Section& s = parts[i];
    // Definitions of one kind that follow each other share a section, unless this stands between.
    const std::string_view keyword = component_section(s.id);
    if (s.id != 0 && s.id == before && !keyword.empty() && bytes_[s.begin] != 0) {
      String mark("(@");
      mark += kSectionAnnotation;
      line(mark + ")");
    }
    before = s.id;
    WAFER_TRY(section(s, i + 1 == parts.size(), named));
  }
  if (scope().named && !named) {
    String mark("(@");
    mark += kUnnamedAnnotation;
    line(mark + ")");
  }
  scopes_.pop_back();
  put_line(out_, depth, ")");
  return {};
}

Result<void> ComponentPrinter::section(const Section& s, bool last, bool& named) {
  if (s.id == 0) return custom(s, last, named);
  if (s.id == 1) return core_module(s);
  Cursor c = cursor(s.begin, s.end);
  if (s.id == 4) {
    WAFER_LET(parts, sections(s.begin, s.end));
    Names names;
    if (options_.names) (void)read_names(parts, names);
    return component(s.begin, s.end, "(component" + define_named(Space::Component, names.component),
                     parts);
  }
  if (s.id == 9) {
    WAFER_TRY(start(c));
  } else {
    const std::string_view keyword = component_section(s.id);
    if (keyword.empty()) return malformed(c, "malformed section id");
    WAFER_LET(count, u32(c));
    if (count == 0) {
      String mark("(@");
      mark += kSectionAnnotation;
      mark += ' ';
      mark += keyword;
      line(mark + ")");
    }
    for (uint32_t i = 0; i < count; ++i) WAFER_TRY(definition(s.id, c));
  }
  if (!c.at_end()) return malformed(c, "section size mismatch");
  return {};
}

Result<void> ComponentPrinter::custom(const Section& s, bool last, bool& named) {
  Cursor c = cursor(s.begin, s.end);
  WAFER_LET(title, name(c));
  if (title == kComponentNameSection) {
    if (!options_.names) {
      named = true;
      return {};
    }
    if (last && scope().names_fit && scope().named) {
      // Are names what the text gives, in the form in which they come out of it?
      bool all_used = true;
      for (const SpaceInfo& info : kSpaces) {
        const auto& entries = scope().names.maps[size_t(info.space)].entries;
        all_used &= entries.empty() || entries.back().first < scope().counts[size_t(info.space)];
      }
      const Vec<uint8_t> again =
          encode_component_names(scope().names.component, [this](Space space) -> const DebugNames& {
            return scope().names.maps[size_t(space)].entries;
          });
      const std::string_view payload = text_of(c.offset(), s.end);
      if (all_used && std::equal(again.begin(), again.end(), payload.begin(), payload.end(),
                                 [](uint8_t a, char b) { return a == uint8_t(b); })) {
        named = true;
        return {};
      }
    }
    named = true;
  }
  line("(@custom " + quoted(title) + " " + quoted(text_of(c.offset(), s.end)) + ")");
  return {};
}

Result<void> ComponentPrinter::core_module(const Section& s) {
  wasm::DecodeOptions decode;
  decode.features = wasm::FeatureSet::all();
  decode.copy_bytes = false;
  decode.validate = false;
  auto module = wasm::decode_module(bytes_.subspan(s.begin, s.end - s.begin), decode);
  const bool named = module.ok() && options_.names;
  const String head =
      "(core module" + define_named(Space::CoreModule, named ? (*module)->names.module : String());
  if (module.ok()) {
    auto text = print_module(**module, options_, head, scope().depth);
    if (text.ok()) {
      out_ += *text;
      return {};
    }
  }
  // Whatever it is, these are its bytes.
  line(head + " binary " + quoted(text_of(s.begin, s.end)) + ")");
  return {};
}

Result<void> ComponentPrinter::definition(uint8_t id, Cursor& c) {
  switch (id) {
    case 2:
      return core_instance(c);
    case 3:
      return core_type(c, /*prefixed=*/true);
    case 5:
      return instance(c);
    case 6: {
      WAFER_LET(text, alias(c));
      line(text);
      return {};
    }
    case 7:
      return type(c);
    case 8:
      return canon(c);
    case 10: {
      WAFER_LET(title, extern_name(c));
      WAFER_LET(what, extern_type(c, /*define=*/true));
      line("(import " + title + " " + what + ")");
      return {};
    }
    case 11: {
      WAFER_LET(title, extern_name(c));
      WAFER_LET(space, sort(c));
      WAFER_LET(item, ref(space, c));
      WAFER_LET(ascribed, byte(c));
      String type;
      if (ascribed > 1) return malformed(c, "invalid leading byte of an ascription");
      if (ascribed) {
        WAFER_LET(text, extern_type(c, /*define=*/false));
        type = " " + text;
      }
      line("(export" + define(space) + " " + title + " " + item + type + ")");
      return {};
    }
    case 12: {
      WAFER_LET(type, type_of_value(c));
      WAFER_LET(size, u32(c));
      if (size > c.remaining()) return malformed(c, "unexpected end-of-file");
      const String data = quoted(text_of(c.offset(), c.offset() + size));
      c.skip(size);
      line("(value" + define(Space::Value) + " " + type + " (binary " + data + "))");
      return {};
    }
    default:
      return malformed(c, "malformed section id");
  }
}

// ---- Instances and aliases ----------------------------------------------------------

Result<Space> ComponentPrinter::sort(Cursor& c) {
  WAFER_LET(code, byte(c));
  const bool core = code == 0;
  if (core) {
    WAFER_LET(inner, byte(c));
    code = inner;
  }
  const SpaceInfo* info = find_space(core, code);
  if (!info) return Error(ErrorKind::Malformed, "invalid sort", c.offset() - 1);
  return info->space;
}

// "(SORT index)" of the index that comes next.
Result<String> ComponentPrinter::ref(Space s, Cursor& c, bool core_prefix) {
  WAFER_LET(index, u32(c));
  String out("(");
  out += core_prefix ? word(s) : String(space_info(s).keyword);
  return out + " " + use(s, index) + ")";
}

// `head` with a vector of what `each` reads, of which several get lines of their own.
Result<void> ComponentPrinter::items(Cursor& c, const String& head,
                                     const std::function<Result<String>()>& each) {
  WAFER_LET(count, u32(c));
  String text = head;
  for (uint32_t i = 0; i < count; ++i) {
    WAFER_LET(item, each());
    if (count == 1) {
      text += " " + item;
    } else {
      line(text);
      text = "  " + item;
    }
  }
  line(text + ")");
  return {};
}

Result<void> ComponentPrinter::core_instance(Cursor& c) {
  WAFER_LET(form, byte(c));
  if (form > 1) return malformed(c, "invalid core instance expression");
  String head("(core instance");
  if (form == 0) {
    WAFER_LET(module, u32(c));
    const String what = use(Space::CoreModule, module);
    head += scope().of(Space::CoreInstance).definition(scope().counts[size_t(Space::CoreInstance)]);
    WAFER_TRY(items(c, head + " (instantiate " + what, [&]() -> Result<String> {
      WAFER_LET(title, name(c));
      WAFER_LET(code, byte(c));
      if (code != space_info(Space::CoreInstance).code) return malformed(c, "invalid core sort");
      WAFER_LET(item, ref(Space::CoreInstance, c, /*core_prefix=*/false));
      return "(with " + quoted(title) + " " + item + ")";
    }));
    // The line that ends the arguments also ends the definition.
    out_.insert(out_.size() - 1, ")");
    ++scope().counts[size_t(Space::CoreInstance)];
    return {};
  }
  head += scope().of(Space::CoreInstance).definition(scope().counts[size_t(Space::CoreInstance)]);
  WAFER_TRY(items(c, head, [&]() -> Result<String> {
    WAFER_LET(title, name(c));
    WAFER_LET(code, byte(c));
    const SpaceInfo* info = find_space(/*core=*/true, code);
    if (!info) return malformed(c, "invalid core sort");
    WAFER_LET(item, ref(info->space, c, /*core_prefix=*/false));
    return "(export " + quoted(title) + " " + item + ")";
  }));
  ++scope().counts[size_t(Space::CoreInstance)];
  return {};
}

Result<void> ComponentPrinter::instance(Cursor& c) {
  WAFER_LET(form, byte(c));
  if (form > 1) return malformed(c, "invalid instance expression");
  uint32_t& count = scope().counts[size_t(Space::Instance)];
  String head = "(instance" + scope().of(Space::Instance).definition(count);
  if (form == 0) {
    WAFER_LET(component, u32(c));
    head += " (instantiate " + use(Space::Component, component);
  }
  WAFER_TRY(items(c, head, [&]() -> Result<String> {
    String title;
    if (form == 0) {
      WAFER_LET(plain, name(c));
      title = quoted(plain);
    } else {
      WAFER_LET(with_attributes, extern_name(c));
      title = with_attributes;
    }
    WAFER_LET(space, sort(c));
    WAFER_LET(item, ref(space, c));
    return (form == 0 ? "(with " : "(export ") + title + " " + item + ")";
  }));
  if (form == 0) out_.insert(out_.size() - 1, ")");
  ++count;
  return {};
}

Result<String> ComponentPrinter::alias(Cursor& c) {
  const bool in_module = scope().kind == ScopeKind::ModuleType;
  Space space = Space::CoreType;
  if (in_module) {
    WAFER_LET(code, byte(c));
    if (code != space_info(space).code) return malformed(c, "invalid core sort");
  } else {
    WAFER_LET(read, sort(c));
    space = read;
  }
  WAFER_LET(target, byte(c));
  String out("(alias ");
  if (target == 2 || (in_module && target == 1)) {
    WAFER_LET(levels, u32(c));
    WAFER_LET(index, u32(c));
    out += "outer " + number(levels) + " ";
    out += levels < scopes_.size() ? use_in(scopes_[scopes_.size() - 1 - levels], space, index)
                                   : number(index);
  } else if (target <= 1 && !in_module) {
    WAFER_LET(index, u32(c));
    WAFER_LET(title, name(c));
    out += target ? "core export " : "export ";
    out += use(target ? Space::CoreInstance : Space::Instance, index) + " " + quoted(title);
  } else {
    return malformed(c, "invalid alias target");
  }
  out += " (";
  out += in_module ? String(space_info(space).keyword) : word(space);
  return out + define(space) + "))";
}

Result<void> ComponentPrinter::start(Cursor& c) {
  WAFER_LET(func, u32(c));
  String text = "(start " + use(Space::Func, func);
  WAFER_LET(args, u32(c));
  for (uint32_t i = 0; i < args; ++i) {
    WAFER_LET(value, ref(Space::Value, c));
    text += " " + value;
  }
  WAFER_LET(results, u32(c));
  // (A function has one at most. Each is far longer in text than here.)
  if (results > 16) return Error(ErrorKind::Exhaustion, "too many results", c.offset());
  for (uint32_t i = 0; i < results; ++i) text += " (result (value" + define(Space::Value) + "))";
  line(text + ")");
  return {};
}

// ---- Canonical definitions ----------------------------------------------------------

Result<String> ComponentPrinter::canon_options(Cursor& c) {
  String out;
  WAFER_LET(count, u32(c));
  for (uint32_t i = 0; i < count; ++i) {
    WAFER_LET(code, byte(c));
    if (code >= std::size(kCanonOptions)) return malformed(c, "malformed canonical option");
    const CanonOption& option = kCanonOptions[code];
    out += option.operand ? " (" : " ";
    out += option.keyword;
    if (!option.operand) continue;
    WAFER_LET(index, u32(c));
    out += " " + use(option.space, index) + ")";
  }
  return std::move(out);
}

Result<void> ComponentPrinter::canon(Cursor& c) {
  WAFER_LET(code, byte(c));
  if (code <= 1) {
    WAFER_LET(zero, byte(c));
    if (zero) return malformed(c, "malformed canonical function");
  }
  if (code == 0) {
    WAFER_LET(func, ref(Space::CoreFunc, c));
    WAFER_LET(options, canon_options(c));
    WAFER_LET(type, ref(Space::Type, c));
    line("(canon lift " + func + options + " (func" + define(Space::Func) + " " + type + "))");
    return {};
  }
  String text("(canon ");
  if (code == 1) {
    WAFER_LET(func, ref(Space::Func, c));
    WAFER_LET(options, canon_options(c));
    text += "lower " + func + options;
  } else {
    const component::BuiltinInfo* const builtin = component::builtin_of_code(code);
    if (!builtin) return malformed(c, "malformed canonical function");
    text += builtin->name;
    for (const char immediate : builtin->immediates) {
      switch (immediate) {
        case 'o': {
          WAFER_LET(options, canon_options(c));
          text += options;
          break;
        }
        case 'a':
        case 'h':
        case 'z': {
          WAFER_LET(flag, byte(c));
          if (flag > (immediate != 'z')) return malformed(c, "malformed canonical function");
          if (flag) text += immediate == 'a' ? " async" : " shared";
          break;
        }
        case 'm': {
          WAFER_LET(index, u32(c));
          text += " (memory " + use(Space::CoreMemory, index) + ")";
          break;
        }
        case 'v': {
          wasm::ValType type;
          if (!c.val_type(type)) return c.take_error();
          text += " " + scope().core.type(type);
          break;
        }
        case 'r': {
          WAFER_LET(present, byte(c));
          if (present == 0) {
            WAFER_LET(type, value_type(c));
            text += " (result " + type + ")";
          } else {
            WAFER_LET(none, byte(c));
            if (present != 1 || none) return malformed(c, "malformed result list");
          }
          break;
        }
        default: {
          WAFER_LET(index, u32(c));
          text += ' ';
          text += immediate == 'i'   ? number(index)
                  : immediate == 'f' ? use(Space::CoreType, index)
                  : immediate == 't' ? use(Space::CoreTable, index)
                                     : use(Space::Type, index);
        }
      }
    }
  }
  line(text + " (core func" + define(Space::CoreFunc) + "))");
  return {};
}

// ---- Names and types of imports and exports -----------------------------------------

Result<String> ComponentPrinter::extern_name(Cursor& c) {
  WAFER_LET(form, byte(c));
  if (form > 2) return malformed(c, "invalid leading byte of a name");
  WAFER_LET(title, name(c));
  String out = quoted(title);
  uint32_t count = 0, seen = 0;
  if (form == 2) {
    WAFER_LET(n, u32(c));
    count = n;
  }
  if (form == 1 || (form == 2 && !count)) {
    out += " (@";
    out += kNameAnnotation;
    out += " " + number(uint32_t(form)) + ")";
  }
  for (uint32_t i = 0; i < count; ++i) {
    WAFER_LET(kind, byte(c));
    if (kind >= std::size(kAttributes)) return malformed(c, "invalid attribute of a name");
    if (seen & 1u << kind) return malformed(c, "duplicate attribute of a name");
    seen |= 1u << kind;
    WAFER_LET(value, name(c));
    out += " (";
    out += kAttributes[kind];
    out += " " + quoted(value) + ")";
  }
  return std::move(out);
}

Result<String> ComponentPrinter::extern_type(Cursor& c, bool define) {
  WAFER_LET(space, sort(c));
  String what;
  switch (space) {
    case Space::CoreModule: {
      WAFER_LET(index, u32(c));
      what = " (type " + use(Space::CoreType, index) + ")";
      break;
    }
    case Space::Func:
    case Space::Component:
    case Space::Instance: {
      WAFER_LET(type, ref(Space::Type, c));
      what = " " + type;
      break;
    }
    case Space::Type: {
      WAFER_LET(bound, byte(c));
      if (bound > 1) return malformed(c, "invalid type bound");
      if (bound == 0) {
        WAFER_LET(index, u32(c));
        what = " (eq " + use(Space::Type, index) + ")";
      } else {
        what = " (sub resource)";
      }
      break;
    }
    case Space::Value: {
      WAFER_LET(bound, byte(c));
      if (bound > 1) return malformed(c, "invalid value bound");
      if (bound == 0) {
        WAFER_LET(index, u32(c));
        what = " (eq " + use(Space::Value, index) + ")";
      } else {
        WAFER_LET(type, type_of_value(c));
        what = " " + type;
      }
      break;
    }
    default:
      return malformed(c, "malformed extern type");
  }
  return "(" + word(space) + (define ? this->define(space) : String()) + what + ")";
}

// ---- Core types ---------------------------------------------------------------------

// A core type definition; in module types without `core`.
Result<void> ComponentPrinter::core_type(Cursor& c, bool prefixed) {
  const String begin(prefixed ? "(core " : "(");
  const auto definition = [&](uint32_t index) -> Result<String> {
    wasm::SubType type;
    if (!wasm::read_sub_type(c, type, index)) return c.take_error();
    return scope().core.sub_type(type, Ids());
  };
  uint32_t& count = scope().counts[size_t(Space::CoreType)];
  c.set_type_limit(wasm::kMaxTypeIndex + 1);
  if (c.at_end()) return malformed(c, "unexpected end");
  const uint8_t form = bytes_[c.offset()];
  if (form == 0x50 && prefixed) {
    c.skip(1);
    return module_type(c, begin + "type" + scope().core.ids().definition(count));
  }
  if (form == 0x4E) {
    c.skip(1);
    WAFER_LET(types, u32(c));
    if (types > wasm::kMaxTypes) return malformed(c, "too many types");
    const uint32_t first = count;
    count += types;  // which may refer to each other
    line(begin + "rec");
    for (uint32_t i = first; i < first + types; ++i) {
      const String id = scope().core.ids().definition(i);
      WAFER_LET(text, definition(i));
      line("  (type" + id + " " + text + ")");
    }
    line(")");
    return {};
  }
  if (form == 0) c.skip(1);
  const uint32_t index = count++;
  const String id = scope().core.ids().definition(index);
  WAFER_LET(text, definition(index));
  line(begin + "type" + id + " " + text + ")");
  return {};
}

Result<void> ComponentPrinter::module_type(Cursor& c, const String& head) {
  line(head);
  line("  (module");
  WAFER_TRY(enter(ScopeKind::ModuleType, scope().depth + 2, c));
  WAFER_LET(count, u32(c));
  for (uint32_t i = 0; i < count; ++i) {
    WAFER_LET(form, byte(c));
    if (form == 1) {
      WAFER_TRY(core_type(c, /*prefixed=*/false));
    } else if (form == 2) {
      WAFER_LET(text, alias(c));
      line(text);
    } else if (form == 0 || form == 3) {
      String text(form ? "(export" : "(import");
      for (int n = form ? 1 : 2; n > 0; --n) {
        WAFER_LET(title, name(c));
        text += " " + quoted(title);
      }
      WAFER_LET(type, core_extern(c));
      line(text + " " + type + ")");
    } else {
      return malformed(c, "malformed module type declaration");
    }
  }
  scopes_.pop_back();
  line("  )");
  line(")");
  ++scope().counts[size_t(Space::CoreType)];
  return {};
}

Result<String> ComponentPrinter::core_extern(Cursor& c) {
  WAFER_LET(kind, byte(c));
  CoreText& core = scope().core;
  switch (kind) {
    case 0x00:
    case 0x20: {
      WAFER_LET(index, u32(c));
      const String use = "(type " + this->use(Space::CoreType, index) + ")";
      return "(func " + (kind ? "(exact " + use + ")" : use) + ")";
    }
    case 0x01: {
      wasm::TableType type;
      if (!wasm::read_table_type(c, type)) return c.take_error();
      return "(table " + core.table_type(type) + ")";
    }
    case 0x02: {
      wasm::MemoryType type;
      if (!wasm::read_memory_type(c, type)) return c.take_error();
      return "(memory " + core.memory_type(type) + ")";
    }
    case 0x03: {
      wasm::GlobalType type;
      if (!wasm::read_global_type(c, type)) return c.take_error();
      return "(global " + core.global_type(type) + ")";
    }
    case 0x04: {
      WAFER_LET(attribute, byte(c));
      if (attribute) return malformed(c, "malformed tag attribute");
      WAFER_LET(index, u32(c));
      return "(tag (type " + use(Space::CoreType, index) + "))";
    }
    default:
      return malformed(c, "malformed import kind");
  }
}

// ---- Types --------------------------------------------------------------------------

Result<void> ComponentPrinter::type(Cursor& c) {
  WAFER_LET(code, byte(c));
  uint32_t& count = scope().counts[size_t(Space::Type)];
  const String head = "(type" + scope().of(Space::Type).definition(count) + " ";
  String text;
  switch (component::kind_of_code(code)) {
    case TypeKind::Component:
      return scope_type(c, ScopeKind::ComponentType, head + "(component");
    case TypeKind::Instance:
      return scope_type(c, ScopeKind::InstanceType, head + "(instance");
    case TypeKind::Resource: {
      wasm::ValType rep;
      if (!c.val_type(rep)) return c.take_error();
      text = "(resource (rep " + scope().core.type(rep) + ")";
      WAFER_LET(destructor, byte(c));
      if (destructor > 1) return malformed(c, "invalid leading byte of a destructor");
      if (destructor) {
        WAFER_LET(func, u32(c));
        text += " (dtor " + use(Space::CoreFunc, func) + ")";
      }
      text += ")";
      break;
    }
    default: {
      WAFER_LET(defined, defined_type(c, code));
      text = defined;
    }
  }
  ++count;
  line(head + text + ")");
  return {};
}

Result<void> ComponentPrinter::scope_type(Cursor& c, ScopeKind kind, const String& head) {
  WAFER_LET(count, u32(c));
  line(head);
  WAFER_TRY(enter(kind, scope().depth + 1, c));
  for (uint32_t i = 0; i < count; ++i) {
    WAFER_LET(form, byte(c));
    switch (form) {
      case 0:
        WAFER_TRY(core_type(c, /*prefixed=*/true));
        break;
      case 1:
        WAFER_TRY(type(c));
        break;
      case 2: {
        WAFER_LET(text, alias(c));
        line(text);
        break;
      }
      case 3:
      case 4: {
        if (form == 3 && kind == ScopeKind::InstanceType)
          return malformed(c, "instance types have no imports");
        WAFER_LET(title, extern_name(c));
        WAFER_LET(what, extern_type(c, /*define=*/true));
        line((form == 3 ? "(import " : "(export ") + title + " " + what + ")");
        break;
      }
      default:
        return malformed(c, "malformed declaration of a type");
    }
  }
  scopes_.pop_back();
  line("))");
  ++scope().counts[size_t(Space::Type)];
  return {};
}

Result<String> ComponentPrinter::value_type(Cursor& c) {
  int64_t code = 0;
  if (!c.s33(code)) return c.take_error();
  if (code >= 0) return use(Space::Type, uint32_t(code));
  const std::string_view prim =
      code < -64 ? std::string_view()
                 : component::prim_name(component::prim_of_code(uint8_t(code & 0x7F)));
  if (prim.empty()) return malformed(c, "malformed value type");
  return String(prim);
}

// The same where an identifier would be the value's own.
Result<String> ComponentPrinter::type_of_value(Cursor& c) {
  WAFER_LET(type, value_type(c));
  return type[0] == '$' ? "(type " + type + ")" : std::move(type);
}

// `before` and `after` around a type that may be absent.
Result<String> ComponentPrinter::optional(Cursor& c, std::string_view before,
                                          std::string_view after) {
  WAFER_LET(present, byte(c));
  if (present > 1) return malformed(c, "invalid leading byte of an optional type");
  if (!present) return String();
  WAFER_LET(type, value_type(c));
  String out(before);
  out += type;
  out += after;
  return std::move(out);
}

Result<String> ComponentPrinter::labels(Cursor& c) {
  String out;
  WAFER_LET(count, u32(c));
  for (uint32_t i = 0; i < count; ++i) {
    WAFER_LET(label, name(c));
    out += " " + quoted(label);
  }
  return std::move(out);
}

Result<String> ComponentPrinter::defined_type(Cursor& c, uint8_t code) {
  const bool is_async = code == component::kAsyncFuncCode;
  const TypeKind kind = is_async ? TypeKind::Func : component::kind_of_code(code);
  // "(field "name" type)" and the like.
  const auto fields = [&](std::string_view word) -> Result<String> {
    String out;
    WAFER_LET(count, u32(c));
    for (uint32_t i = 0; i < count; ++i) {
      WAFER_LET(label, name(c));
      out += " (";
      out += word;
      out += " " + quoted(label);
      if (kind == TypeKind::Variant) {
        WAFER_LET(type, optional(c, " ", ""));
        WAFER_LET(zero, byte(c));
        if (zero) return malformed(c, "zero byte expected");
        out += type;
      } else {
        WAFER_LET(type, value_type(c));
        out += " " + type;
      }
      out += ")";
    }
    return std::move(out);
  };
  String out("(");
  out += component::kind_name(kind);
  switch (kind) {
    case TypeKind::Primitive: {
      const std::string_view prim = component::prim_name(component::prim_of_code(code));
      if (prim.empty()) return malformed(c, "malformed component type");
      return String(prim);
    }
    case TypeKind::Record: {
      WAFER_LET(text, fields("field"));
      return out + text + ")";
    }
    case TypeKind::Variant: {
      WAFER_LET(text, fields("case"));
      return out + text + ")";
    }
    case TypeKind::Flags:
    case TypeKind::Enum: {
      WAFER_LET(text, labels(c));
      return out + text + ")";
    }
    case TypeKind::Func: {
      if (is_async) out += " async";
      WAFER_LET(params, fields("param"));
      out += params;
      WAFER_LET(form, byte(c));
      if (form == 0) {
        WAFER_LET(type, value_type(c));
        out += " (result " + type + ")";
      } else {
        WAFER_LET(none, byte(c));
        if (form != 1 || none) return malformed(c, "malformed result list");
      }
      return out + ")";
    }
    case TypeKind::FixedList: {
      WAFER_LET(type, value_type(c));
      WAFER_LET(length, u32(c));
      return "(list " + type + " " + number(length) + ")";
    }
    case TypeKind::Result: {
      WAFER_LET(ok, optional(c, " ", ""));
      WAFER_LET(error, optional(c, " (error ", ")"));
      return out + ok + error + ")";
    }
    case TypeKind::Stream:
    case TypeKind::Future: {
      WAFER_LET(type, optional(c, " ", ""));
      return out + type + ")";
    }
    case TypeKind::Own:
    case TypeKind::Borrow: {
      WAFER_LET(index, u32(c));
      return out + " " + use(Space::Type, index) + ")";
    }
    case TypeKind::Tuple: {
      WAFER_LET(count, u32(c));
      for (uint32_t i = 0; i < count; ++i) {
        WAFER_LET(type, value_type(c));
        out += " " + type;
      }
      return out + ")";
    }
    default: {  // List, Option, Map
      for (int n = kind == TypeKind::Map ? 2 : 1; n > 0; --n) {
        WAFER_LET(type, value_type(c));
        out += " " + type;
      }
      return out + ")";
    }
  }
}

}  // namespace

Result<String> print_component(Bytes bytes, const PrintOptions& options) {
  if (bytes.size() >= (uint64_t{1} << 31))
    return Error(ErrorKind::Exhaustion, "components of 2 GiB and more are not supported");
  return ComponentPrinter(bytes, options).run();
}

}  // namespace wafer::wat
