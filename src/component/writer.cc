#include "component/writer.h"

#include "base/leb128.h"
#include "wasm/instr.h"

namespace wafer::component {

namespace {

uint8_t core_sort_code(CoreSort sort) {
  const auto n = static_cast<uint8_t>(sort);
  return sort < CoreSort::Type ? n : 0x10 + (n - static_cast<uint8_t>(CoreSort::Type));
}

// The code of Sort is its number; that of core modules has the core sort behind it.
void write_sort(Vec<uint8_t>& out, Sort sort) {
  out.push_back(static_cast<uint8_t>(sort));
  if (sort == Sort::CoreModule) out.push_back(core_sort_code(CoreSort::Module));
}

void write_sort_index(Vec<uint8_t>& out, SortIndex what) {
  write_sort(out, what.sort);
  write_uleb(out, what.index);
}

void write_val_type(Vec<uint8_t>& out, ValType t) {
  if (t.defined())
    write_sleb(out, t.id);
  else
    out.push_back(prim_info(t.prim)->code);
}

void write_optional_val_type(Vec<uint8_t>& out, ValType t) {
  out.push_back(t ? 1 : 0);
  if (t) write_val_type(out, t);
}

void write_result_list(Vec<uint8_t>& out, ValType t) {
  out.push_back(t ? 0 : 1);
  if (t)
    write_val_type(out, t);
  else
    out.push_back(0);
}

void write_extern_name(Vec<uint8_t>& out, const WrittenName& name) {
  const std::string* values[] = {&name.attributes.implements, &name.attributes.version_suffix,
                                 &name.attributes.external_id};
  uint32_t count = 0;
  for (const std::string* v : values) count += !v->empty();
  out.push_back(count ? 2 : 0);
  write_name(out, name.text);
  if (count == 0) return;
  write_uleb(out, count);
  for (uint8_t kind = 0; kind < 3; ++kind) {
    if (values[kind]->empty()) continue;
    out.push_back(kind);
    write_name(out, *values[kind]);
  }
}

void write_extern_type(Vec<uint8_t>& out, const ExternType& type) {
  write_sort(out, type.sort);
  if (type.sort == Sort::Type) {
    out.push_back(type.bound ? 1 : 0);
    if (type.bound) return;
  } else if (type.sort == Sort::Value) {
    out.push_back(type.bound ? 1 : 0);
    if (type.bound) return write_val_type(out, type.value);
  }
  write_uleb(out, type.index);
}

void write_limits(Vec<uint8_t>& out, const wasm::Limits& l, uint8_t more) {
  out.push_back(
      static_cast<uint8_t>((l.has_max ? 1 : 0) | (l.shared ? 2 : 0) | (l.is64 ? 4 : 0) | more));
  write_uleb(out, l.min);
  if (l.has_max) write_uleb(out, l.max);
}

void write_options(Vec<uint8_t>& out, const CanonOptions& options) {
  Vec<uint8_t> body;
  uint32_t count = 0;
  if (options.encoding_given || options.encoding != StringEncoding::Utf8) {
    body.push_back(static_cast<uint8_t>(options.encoding));
    ++count;
  }
  const auto indexed = [&](uint8_t code, const std::optional<uint32_t>& index) {
    if (!index) return;
    body.push_back(code);
    write_uleb(body, *index);
    ++count;
  };
  indexed(3, options.memory);
  indexed(4, options.realloc);
  indexed(5, options.post_return);
  if (options.is_async) {
    body.push_back(6);
    ++count;
  }
  indexed(7, options.callback);
  write_uleb(out, count);
  write_bytes(out, {body.data(), body.size()});
}

void write_type_def(Vec<uint8_t>& out, const TypeDef& def) {
  if (def.kind == TypeKind::Primitive) return write_val_type(out, def.args[0]);
  out.push_back(def.kind == TypeKind::Func && def.is_async ? kAsyncFuncCode : kind_code(def.kind));
  switch (def.kind) {
    case TypeKind::Record:
    case TypeKind::Variant:
    case TypeKind::Flags:
    case TypeKind::Enum:
    case TypeKind::Func:
      write_uleb(out, def.labels.size());
      for (const Label& l : def.labels) {
        write_name(out, l.name);
        if (def.kind == TypeKind::Record || def.kind == TypeKind::Func) write_val_type(out, l.type);
        if (def.kind == TypeKind::Variant) {
          write_optional_val_type(out, l.type);
          out.push_back(0);  // no refinement
        }
      }
      if (def.kind == TypeKind::Func) write_result_list(out, def.args[0]);
      break;
    case TypeKind::Tuple:
      write_uleb(out, def.args.size());
      for (ValType t : def.args) write_val_type(out, t);
      break;
    case TypeKind::Result:
    case TypeKind::Stream:
    case TypeKind::Future:
      for (ValType t : def.args) write_optional_val_type(out, t);
      break;
    case TypeKind::Own:
    case TypeKind::Borrow:
      write_uleb(out, def.args[0].id);
      break;
    default:  // List, FixedList, Option, Map
      for (ValType t : def.args) write_val_type(out, t);
      if (def.kind == TypeKind::FixedList) write_uleb(out, def.length);
      break;
  }
}

}  // namespace

void write_name(Vec<uint8_t>& out, std::string_view name) {
  write_uleb(out, name.size());
  out.insert(out.end(), name.begin(), name.end());
}

void write_bytes(Vec<uint8_t>& out, Bytes bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void write_core_func_type(Vec<uint8_t>& out, const wasm::FuncType& type) {
  out.push_back(0x60);
  for (const Vec<wasm::ValType>* list : {&type.params, &type.results}) {
    write_uleb(out, list->size());
    for (wasm::ValType t : *list) wasm::write_val_type(out, t);
  }
}

void write_table_type(Vec<uint8_t>& out, const wasm::TableType& type) {
  wasm::write_val_type(out, type.element);
  write_limits(out, type.limits, 0);
}

void write_memory_type(Vec<uint8_t>& out, const wasm::MemoryType& type) {
  const bool custom = type.page_size_log2 != 16;
  write_limits(out, type.limits, custom ? 8 : 0);
  if (custom) write_uleb(out, type.page_size_log2);
}

void write_global_type(Vec<uint8_t>& out, const wasm::GlobalType& type) {
  wasm::write_val_type(out, type.type);
  out.push_back(type.is_mutable ? 1 : 0);
}

void write_core_extern_type(Vec<uint8_t>& out, const CoreExternType& type) {
  out.push_back(static_cast<uint8_t>(type.kind));
  switch (type.kind) {
    case wasm::ExternKind::Func:
      return write_uleb(out, type.type);
    case wasm::ExternKind::Tag:
      out.push_back(0);
      return write_uleb(out, type.type);
    case wasm::ExternKind::Table:
      return write_table_type(out, type.table);
    case wasm::ExternKind::Memory:
      return write_memory_type(out, type.memory);
    case wasm::ExternKind::Global:
      return write_global_type(out, type.global);
  }
}

void write_custom_section(Vec<uint8_t>& out, std::string_view name, Bytes contents) {
  Vec<uint8_t> body;
  write_name(body, name);
  write_bytes(body, contents);
  out.push_back(0);
  write_uleb(out, body.size());
  write_bytes(out, {body.data(), body.size()});
}

// ---- Types of modules ---------------------------------------------------------------

uint32_t ModuleTypeWriter::func_type(const wasm::FuncType& type) {
  bytes_.push_back(1);
  write_core_func_type(bytes_, type);
  ++count_;
  return types_++;
}

uint32_t ModuleTypeWriter::raw_types(Bytes bytes, uint32_t groups, uint32_t types) {
  bytes_.push_back(1);
  write_bytes(bytes_, bytes);
  count_ += groups;
  return std::exchange(types_, types_ + types);
}

uint32_t ModuleTypeWriter::alias_outer_type(uint32_t levels, uint32_t index) {
  bytes_.push_back(2);
  bytes_.push_back(core_sort_code(CoreSort::Type));
  bytes_.push_back(1);
  write_uleb(bytes_, levels);
  write_uleb(bytes_, index);
  ++count_;
  return types_++;
}

void ModuleTypeWriter::import(std::string_view module, std::string_view name,
                              const CoreExternType& type) {
  bytes_.push_back(0);
  write_name(bytes_, module);
  write_name(bytes_, name);
  write_core_extern_type(bytes_, type);
  ++count_;
}

void ModuleTypeWriter::export_(std::string_view name, const CoreExternType& type) {
  bytes_.push_back(3);
  write_name(bytes_, name);
  write_core_extern_type(bytes_, type);
  ++count_;
}

// ---- What components and types have in common ---------------------------------------

uint32_t DefinitionWriter::count(CoreSort sort) const {
  return sort == CoreSort::Module ? count(Sort::CoreModule)
                                  : core_counts_[static_cast<size_t>(sort)];
}

uint32_t DefinitionWriter::core_func_type(const wasm::FuncType& type) {
  write_core_func_type(begin(Item::CoreType), type);
  return next(CoreSort::Type);
}

uint32_t DefinitionWriter::core_module_type(const ModuleTypeWriter& type) {
  Vec<uint8_t>& out = begin(Item::CoreType);
  out.push_back(0x50);
  write_uleb(out, type.count_);
  write_bytes(out, {type.bytes_.data(), type.bytes_.size()});
  return next(CoreSort::Type);
}

uint32_t DefinitionWriter::raw_core_type(Bytes bytes, uint32_t types) {
  write_bytes(begin(Item::CoreType), bytes);
  uint32_t& n = core_counts_[static_cast<size_t>(CoreSort::Type)];
  return std::exchange(n, n + types);
}

uint32_t DefinitionWriter::type(const TypeDef& def) {
  write_type_def(begin(Item::Type), def);
  return next(Sort::Type);
}

uint32_t DefinitionWriter::type(const TypeWriter& scope) {
  Vec<uint8_t>& out = begin(Item::Type);
  out.push_back(kind_code(scope.kind_));
  write_uleb(out, scope.declarations_);
  write_bytes(out, {scope.bytes_.data(), scope.bytes_.size()});
  return next(Sort::Type);
}

uint32_t DefinitionWriter::alias_outer(uint32_t levels, uint32_t index, Sort sort) {
  Vec<uint8_t>& out = begin(Item::Alias);
  write_sort(out, sort);
  out.push_back(2);
  write_uleb(out, levels);
  write_uleb(out, index);
  return next(sort);
}

uint32_t DefinitionWriter::alias_outer_core_type(uint32_t levels, uint32_t index) {
  Vec<uint8_t>& out = begin(Item::Alias);
  out.push_back(0);
  out.push_back(core_sort_code(CoreSort::Type));
  out.push_back(2);
  write_uleb(out, levels);
  write_uleb(out, index);
  return next(CoreSort::Type);
}

uint32_t DefinitionWriter::alias_export(uint32_t instance, std::string_view name, Sort sort) {
  Vec<uint8_t>& out = begin(Item::Alias);
  write_sort(out, sort);
  out.push_back(0);
  write_uleb(out, instance);
  write_name(out, name);
  return next(sort);
}

uint32_t DefinitionWriter::import(const WrittenName& name, const ExternType& type) {
  Vec<uint8_t>& out = begin(Item::Import);
  write_extern_name(out, name);
  write_extern_type(out, type);
  return next(type.sort);
}

// ---- Types --------------------------------------------------------------------------

Vec<uint8_t>& TypeWriter::begin(Item item) {
  // Their codes are in the order of Item.
  bytes_.push_back(static_cast<uint8_t>(item));
  ++declarations_;
  return bytes_;
}

uint32_t TypeWriter::export_(const WrittenName& name, const ExternType& type) {
  Vec<uint8_t>& out = begin(Item::Export);
  write_extern_name(out, name);
  write_extern_type(out, type);
  return next(type.sort);
}

// ---- Components ---------------------------------------------------------------------

SectionWriter::SectionWriter() : out_(std::begin(kPreamble), std::end(kPreamble)) {}

void SectionWriter::whole(uint8_t id, Bytes contents, const Vec<SourceBytes::Mark>& marks) {
  flush();
  out_.mark_around(marks);
  out_.push_back(id);
  write_uleb(out_, contents.size());
  out_.take_marks(marks);
  write_bytes(out_, contents);
}

void SectionWriter::custom(std::string_view name, Bytes contents) {
  flush();
  write_custom_section(out_, name, contents);
}

void SectionWriter::flush() {
  if (section_ == 0) return;
  Vec<uint8_t> count;
  write_uleb(count, count_);
  out_.mark_around(body_.marks);
  out_.push_back(section_);
  write_uleb(out_, count.size() + body_.size());
  write_bytes(out_, {count.data(), count.size()});
  out_.append(body_);
  section_ = 0;
  count_ = 0;
  body_ = {};
}

SourceBytes& SectionWriter::definition(uint8_t id) {
  if (section_ != id) flush();
  section_ = id;
  ++count_;
  return body_;
}

SourceBytes SectionWriter::finish() {
  flush();
  return std::move(out_);
}

Vec<uint8_t>& ComponentWriter::begin(Item item) {
  constexpr uint8_t kSections[] = {3, 7, 6, 10, 11};
  return sections_.definition(kSections[static_cast<size_t>(item)]);
}

uint32_t ComponentWriter::core_module(Bytes bytes) {
  sections_.whole(1, bytes);
  return next(Sort::CoreModule);
}

uint32_t ComponentWriter::component(Bytes bytes) {
  sections_.whole(4, bytes);
  return next(Sort::Component);
}

uint32_t ComponentWriter::core_instantiate(uint32_t module, const std::vector<CoreArg>& args) {
  Vec<uint8_t>& out = sections_.definition(2);
  out.push_back(0);
  write_uleb(out, module);
  write_uleb(out, args.size());
  for (const CoreArg& a : args) {
    write_name(out, a.name);
    out.push_back(core_sort_code(CoreSort::Instance));
    write_uleb(out, a.instance);
  }
  return next(CoreSort::Instance);
}

uint32_t ComponentWriter::core_instance(const std::vector<CoreExportRef>& exports) {
  Vec<uint8_t>& out = sections_.definition(2);
  out.push_back(1);
  write_uleb(out, exports.size());
  for (const CoreExportRef& e : exports) {
    write_name(out, e.name);
    out.push_back(core_sort_code(e.sort));
    write_uleb(out, e.index);
  }
  return next(CoreSort::Instance);
}

uint32_t ComponentWriter::alias_core_export(uint32_t instance, std::string_view name,
                                            CoreSort sort) {
  Vec<uint8_t>& out = begin(Item::Alias);
  out.push_back(0);
  out.push_back(core_sort_code(sort));
  out.push_back(1);
  write_uleb(out, instance);
  write_name(out, name);
  return next(sort);
}

uint32_t ComponentWriter::instantiate(uint32_t component, const std::vector<Arg>& args) {
  Vec<uint8_t>& out = sections_.definition(5);
  out.push_back(0);
  write_uleb(out, component);
  write_uleb(out, args.size());
  for (const Arg& a : args) {
    write_name(out, a.name.text);
    write_sort_index(out, a.what);
  }
  return next(Sort::Instance);
}

uint32_t ComponentWriter::instance(const std::vector<Arg>& exports) {
  Vec<uint8_t>& out = sections_.definition(5);
  out.push_back(1);
  write_uleb(out, exports.size());
  for (const Arg& e : exports) {
    write_extern_name(out, e.name);
    write_sort_index(out, e.what);
  }
  return next(Sort::Instance);
}

uint32_t ComponentWriter::resource(bool rep64, std::optional<uint32_t> destructor) {
  Vec<uint8_t>& out = begin(Item::Type);
  out.push_back(kind_code(TypeKind::Resource));
  wasm::write_val_type(out, rep64 ? wasm::kI64 : wasm::kI32);
  out.push_back(destructor ? 1 : 0);
  if (destructor) write_uleb(out, *destructor);
  return next(Sort::Type);
}

uint32_t ComponentWriter::lift(uint32_t core_func, const CanonOptions& options, uint32_t type) {
  Vec<uint8_t>& out = sections_.definition(8);
  out.push_back(0);
  out.push_back(0);
  write_uleb(out, core_func);
  write_options(out, options);
  write_uleb(out, type);
  return next(Sort::Func);
}

uint32_t ComponentWriter::lower(uint32_t func, const CanonOptions& options) {
  Vec<uint8_t>& out = sections_.definition(8);
  out.push_back(1);
  out.push_back(0);
  write_uleb(out, func);
  write_options(out, options);
  return next(CoreSort::Func);
}

uint32_t ComponentWriter::builtin(Builtin builtin, const BuiltinArgs& args) {
  Vec<uint8_t>& out = sections_.definition(8);
  const BuiltinInfo& info = builtin_info(builtin);
  out.push_back(info.code);
  for (char immediate : info.immediates) {
    switch (immediate) {
      case 'L':
      case 'R':
      case 'S':
      case 'F':
        write_uleb(out, args.type.id);
        break;
      case 'o':
        write_options(out, args.options);
        break;
      case 'a':
        out.push_back(args.is_async ? 1 : 0);
        break;
      case 'z':
      case 'h':
        out.push_back(0);
        break;
      case 'm':
        write_uleb(out, args.options.memory.value_or(0));
        break;
      case 'v':
        wasm::write_val_type(out, args.context);
        break;
      case 'i':
        write_uleb(out, args.index);
        break;
      case 'f':
        write_uleb(out, args.core_type);
        break;
      case 't':
        write_uleb(out, args.table);
        break;
      case 'r':
        write_result_list(out, args.type);
        break;
      default:
        break;
    }
  }
  return next(CoreSort::Func);
}

uint32_t ComponentWriter::start(uint32_t func, const std::vector<uint32_t>& args,
                                uint32_t results) {
  Vec<uint8_t> body;
  write_uleb(body, func);
  write_uleb(body, args.size());
  for (uint32_t a : args) write_uleb(body, a);
  write_uleb(body, results);
  sections_.whole(9, {body.data(), body.size()});
  uint32_t& values = counts_[static_cast<size_t>(Sort::Value)];
  return std::exchange(values, values + results);
}

uint32_t ComponentWriter::export_(const WrittenName& name, SortIndex what,
                                  const std::optional<ExternType>& ascribed) {
  Vec<uint8_t>& out = begin(Item::Export);
  write_extern_name(out, name);
  write_sort_index(out, what);
  out.push_back(ascribed ? 1 : 0);
  if (ascribed) write_extern_type(out, *ascribed);
  return next(what.sort);
}

void ComponentWriter::custom(std::string_view name, Bytes contents) {
  sections_.custom(name, contents);
}

void ComponentWriter::names(std::string_view component, const std::vector<NameMap>& maps) {
  Vec<uint8_t> out;
  const auto subsection = [&](uint8_t id, const Vec<uint8_t>& body) {
    out.push_back(id);
    write_uleb(out, body.size());
    write_bytes(out, {body.data(), body.size()});
  };
  if (!component.empty()) {
    Vec<uint8_t> body;
    write_name(body, component);
    subsection(0, body);
  }
  for (const NameMap& map : maps) {
    if (map.names.empty()) continue;
    Vec<uint8_t> body;
    if (const Sort* sort = std::get_if<Sort>(&map.sort)) {
      write_sort(body, *sort);
    } else {
      body.push_back(0);
      body.push_back(core_sort_code(std::get<CoreSort>(map.sort)));
    }
    write_uleb(body, map.names.size());
    for (const auto& [index, name] : map.names) {
      write_uleb(body, index);
      write_name(body, name);
    }
    subsection(1, body);
  }
  if (!out.empty()) custom("component-name", {out.data(), out.size()});
}

Vec<uint8_t> ComponentWriter::finish() { return sections_.finish(); }

}  // namespace wafer::component
