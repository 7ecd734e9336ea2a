// What the printers of modules and of components share.
#pragma once

#include <algorithm>
#include <charconv>

#include "wasm/names.h"
#include "wat/wat.h"

namespace wafer::wat {

template <class T>
String number(T v) {
  char buffer[48];
  const auto r = std::to_chars(buffer, buffer + sizeof(buffer), v);
  return String(buffer, size_t(r.ptr - buffer));
}

// In quotes, with escapes.
void quote(String& out, std::string_view s);
// "$name", or $"..." where that is needed.
String identifier(const String& name);
// (@name "...")
String name_annotation(const String& name);
void put_line(String& out, unsigned depth, std::string_view text);

// Identifiers of one index space: unique names become $ids, others annotations.
class Ids {
 public:
  void build(const wasm::NameMap& names, uint32_t count) {
    HashMap<std::string_view, uint32_t> seen;
    for (const auto& [i, n] : names.entries)
      if (i < count) ++seen[n];
    for (const auto& [i, n] : names.entries) {
      if (i >= count) continue;
      if (n.empty() || seen[n] != 1)
        annotations_[i] = n;
      else
        ids_[i] = identifier(n);
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
    if (!ids_.count(index)) out += " (;" + number(index) + ";)";
    return out + binding(index);
  }
  // The same where only what has a name is numbered.
  String binding(uint32_t index) const {
    if (const auto it = ids_.find(index); it != ids_.end()) return " " + it->second;
    if (const auto it = annotations_.find(index); it != annotations_.end())
      return " " + name_annotation(it->second);
    return {};
  }
  void forget(uint32_t index) {
    ids_.erase(index);
    annotations_.erase(index);
  }
  bool named(uint32_t index) const { return ids_.count(index) || annotations_.count(index); }
  // Has any index below `count` a name?
  bool any_named(uint32_t count) const {
    const auto within = [count](const auto& entry) { return entry.first < count; };
    return std::any_of(ids_.begin(), ids_.end(), within) ||
           std::any_of(annotations_.begin(), annotations_.end(), within);
  }

 private:
  HashMap<uint32_t, String> ids_, annotations_;
};

// Text of core types, whose index space has the identifiers `types_`.
class CoreTypePrinter {
 protected:
  using HeapType = wasm::HeapType;
  using ValType = wasm::ValType;

  String heap(HeapType h) {
    if (!h.is_concrete()) return wasm::to_string(h);
    return h.is_exact() ? "(exact " + types_.use(h.index()) + ")" : types_.use(h.index());
  }
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
    if (m.page_size_written) s += " (pagesize " + number(uint64_t(1) << m.page_size_log2) + ")";
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
    const uint32_t params = uint32_t(t.params.size());
    for (uint32_t i = 0; i < params;) {
      s += " (param";
      if (locals && locals->named(i)) {
        s += locals->binding(i) + " " + type(t.params[i]);
        ++i;
      } else {
        do s += " " + type(t.params[i++]);
        while (i < params && !(locals && locals->named(i)));
      }
      s += ")";
    }
    if (!t.results.empty()) {
      s += " (result";
      for (const ValType r : t.results) s += " " + type(r);
      s += ")";
    }
    return s;
  }
  // A composite type, in (sub ...) if it is written so; `fields` are the names of a structure's.
  String sub_type(const wasm::SubType& t, const Ids& fields);

  Ids types_;
};

// Prints a module that stands in other text, indented by `depth`; `head` is what it begins with,
// without a line end.
Result<String> print_module(const wasm::Module& module, const PrintOptions& options, String head,
                            unsigned depth);

}  // namespace wafer::wat
