#include "image.h"

#include "base/leb128.h"
#include "wasm/validator.h"

namespace wafer::diff {

namespace {

using namespace wasm;

class Encoder {
 public:
  explicit Encoder(const ModuleImage& image) : image_(image) {}

  Vec<uint8_t> run() {
    static constexpr uint8_t kPreamble[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    out_.assign(std::begin(kPreamble), std::end(kPreamble));
    types();
    section(2, image_.imports, [&](const Import& i) {
      name(i.module);
      name(i.name);
      byte(uint8_t(i.type.kind));
      switch (i.type.kind) {
        case ExternKind::Func:
          return number(i.type.type_index);
        case ExternKind::Table:
          return table_type(i.type.table);
        case ExternKind::Memory:
          return memory_type(i.type.memory);
        case ExternKind::Global:
          return global_type(i.type.global);
        case ExternKind::Tag:
          byte(0);
          return number(i.type.type_index);
      }
    });
    section(3, image_.functions, [&](const FuncImage& f) { number(f.type); });
    section(4, image_.tables, [&](const TableImage& t) {
      if (t.init) {
        byte(0x40);
        byte(0);
      }
      table_type(t.type);
      if (t.init) expr(*t.init);
    });
    section(5, image_.memories, [&](const MemoryType& m) { memory_type(m); });
    section(13, image_.tags, [&](uint32_t type) {
      byte(0);
      number(type);
    });
    section(6, image_.globals, [&](const GlobalImage& g) {
      global_type(g.type);
      expr(g.init);
    });
    section(7, image_.exports, [&](const Export& e) {
      name(e.name);
      byte(uint8_t(e.kind));
      number(e.index);
    });
    if (image_.start) wrap(8, [&] { number(*image_.start); });
    section(9, image_.elems, [&](const ElemImage& e) { elem(e); });
    if (!image_.datas.empty()) wrap(12, [&] { number(image_.datas.size()); });
    section(10, image_.functions, [&](const FuncImage& f) { body(f); });
    section(11, image_.datas, [&](const DataImage& d) {
      const bool active = d.mode == SegmentMode::Active;
      number(!active ? 1 : d.memory ? 2 : 0);
      if (active && d.memory) number(d.memory);
      if (active) expr(d.offset);
      number(d.bytes.size());
      bytes(d.bytes);
    });
    return std::move(out_);
  }

 private:
  void byte(uint8_t b) { out_.push_back(b); }
  void number(uint64_t n) { write_uleb(out_, n); }
  void bytes(Bytes b) { out_.insert(out_.end(), b.begin(), b.end()); }
  void name(std::string_view s) {
    number(s.size());
    out_.insert(out_.end(), s.begin(), s.end());
  }

  // What `write` writes, preceded by its size.
  template <class F>
  void sized(F write) {
    Vec<uint8_t> outer = std::move(out_);
    out_.clear();
    write();
    Vec<uint8_t> inner = std::move(out_);
    out_ = std::move(outer);
    number(inner.size());
    bytes(inner);
  }
  template <class F>
  void wrap(uint8_t id, F write) {
    byte(id);
    sized(write);
  }
  template <class T, class F>
  void section(uint8_t id, const Vec<T>& items, F each) {
    if (items.empty()) return;
    wrap(id, [&] {
      number(items.size());
      for (const T& item : items) each(item);
    });
  }

  void expr(const Code& code) {
    for (const Instr& in : code) write_instr(out_, in);
    byte(0x0B);
  }
  void val_types(const Vec<ValType>& types) {
    number(types.size());
    for (const ValType t : types) write_val_type(out_, t);
  }
  void field(const FieldType& f) {
    write_val_type(out_, f.storage);
    byte(f.is_mutable);
  }
  void sub_type(const SubType& t) {
    const bool has_super = t.super != SubType::kNoSuper;
    if (has_super || !t.is_final) {
      byte(t.is_final ? 0x4F : 0x50);
      number(has_super);
      if (has_super) number(t.super);
    }
    if (t.describes != SubType::kNone) {
      byte(0x4C);
      number(t.describes);
    }
    if (t.descriptor != SubType::kNone) {
      byte(0x4D);
      number(t.descriptor);
    }
    switch (t.kind) {
      case CompKind::Func:
        byte(0x60);
        val_types(t.func.params);
        val_types(t.func.results);
        break;
      case CompKind::Struct:
        byte(0x5F);
        number(t.fields.size());
        for (const FieldType& f : t.fields) field(f);
        break;
      case CompKind::Array:
        byte(0x5E);
        field(t.fields[0]);
        break;
      case CompKind::Cont:
        byte(0x5D);
        write_heap_type(out_, HeapType::concrete(t.cont));
    }
  }
  void types() {
    section(1, image_.rec_groups, [&](const RecGroup& g) {
      if (g.written || g.count != 1) {
        byte(0x4E);
        number(g.count);
      }
      for (uint32_t i = 0; i < g.count; ++i) sub_type(image_.types[g.first + i]);
    });
  }
  void limits(const Limits& l, uint8_t more_flags) {
    byte(uint8_t(unsigned(l.has_max) | unsigned(l.shared) << 1 | unsigned(l.is64) << 2 |
                 more_flags));
    number(l.min);
    if (l.has_max) number(l.max);
  }
  void table_type(const TableType& t) {
    write_val_type(out_, t.element);
    limits(t.limits, 0);
  }
  void memory_type(const MemoryType& m) {
    const bool custom = m.page_size_log2 != 16;
    limits(m.limits, custom ? 8 : 0);
    if (custom) number(m.page_size_log2);
  }
  void global_type(const GlobalType& g) {
    write_val_type(out_, g.type);
    byte(g.is_mutable);
  }
  void elem(const ElemImage& e) {
    const bool active = e.mode == SegmentMode::Active;
    const bool short_form = active && e.table == 0 && (!e.uses_exprs || e.type == kFuncRef);
    unsigned flags = e.uses_exprs ? 4 : 0;
    if (e.mode == SegmentMode::Passive) flags |= 1;
    if (e.mode == SegmentMode::Declarative) flags |= 3;
    if (active && !short_form) flags |= 2;
    number(flags);
    if (active && !short_form) number(e.table);
    if (active) expr(e.offset);
    if (!short_form) {
      if (e.uses_exprs)
        write_val_type(out_, e.type);
      else
        byte(0);
    }
    if (e.uses_exprs) {
      number(e.exprs.size());
      for (const Code& c : e.exprs) expr(c);
    } else {
      number(e.funcs.size());
      for (const uint32_t f : e.funcs) number(f);
    }
  }
  void body(const FuncImage& f) {
    sized([&] {
      Vec<std::pair<uint32_t, ValType>> runs;
      for (const ValType t : f.locals) {
        if (runs.empty() || !(runs.back().second == t)) runs.emplace_back(0, t);
        ++runs.back().first;
      }
      number(runs.size());
      for (const auto& [count, type] : runs) {
        number(count);
        write_val_type(out_, type);
      }
      expr(f.code);
    });
  }

  const ModuleImage& image_;
  Vec<uint8_t> out_;
};

Result<Code> read_code(const Module& module, ByteRange range) {
  InstrReader reader(module.bytes, range.begin, range.end, module.features);
  Code code;
  while (!reader.at_end()) {
    code.emplace_back();
    WAFER_TRY(reader.read(code.back()));
  }
  code.pop_back();  // the final end
  return code;
}

Result<FuncImage> read_body(const Module& module, const Function& function) {
  FuncImage out;
  out.type = function.type_index;
  // The validator knows where the locals end and what they are.
  FuncValidator validator(module);
  WAFER_TRY(validator.begin(uint32_t(&function - module.functions.data())));
  const Vec<ValType>& all = validator.locals();
  const size_t params = module.types[function.type_index].func.params.size();
  out.locals.assign(all.begin() + ptrdiff_t(params), all.end());
  while (!validator.done()) {
    out.code.emplace_back();
    WAFER_TRY(validator.read(out.code.back()));
    WAFER_TRY(validator.apply(out.code.back()));
  }
  out.code.pop_back();
  return out;
}

}  // namespace

uint32_t ModuleImage::imported(ExternKind kind) const {
  uint32_t count = 0;
  for (const Import& i : imports) count += i.type.kind == kind;
  return count;
}

uint32_t ModuleImage::type_of_function(uint32_t func) const {
  for (const Import& i : imports) {
    if (i.type.kind != ExternKind::Func) continue;
    if (func-- == 0) return i.type.type_index;
  }
  return functions[func].type;
}

ExternType ModuleImage::type_of(const Export& e) const {
  uint32_t index = e.index;
  for (const Import& i : imports)
    if (i.type.kind == e.kind && index-- == 0) return i.type;
  ExternType out;
  out.kind = e.kind;
  switch (e.kind) {
    case ExternKind::Func:
      out.type_index = functions[index].type;
      break;
    case ExternKind::Table:
      out.table = tables[index].type;
      break;
    case ExternKind::Memory:
      out.memory = memories[index];
      break;
    case ExternKind::Global:
      out.global = globals[index].type;
      break;
    case ExternKind::Tag:
      out.type_index = tags[index];
      break;
  }
  return out;
}

Vec<uint8_t> encode(const ModuleImage& image) { return Encoder(image).run(); }

Result<ModuleImage> image_of(const Module& module) {
  ModuleImage out;
  out.types = module.types;
  out.rec_groups = module.rec_groups;
  out.imports = module.imports;
  out.exports = module.exports;
  out.start = module.start;
  for (const Function& f : module.functions) {
    if (f.imported) continue;
    WAFER_LET(body, read_body(module, f));
    out.functions.push_back(std::move(body));
  }
  for (const Table& t : module.tables) {
    if (t.imported) continue;
    out.tables.push_back({t.type, std::nullopt});
    if (!t.init) continue;
    WAFER_LET(init, read_code(module, *t.init));
    out.tables.back().init = std::move(init);
  }
  for (const Memory& m : module.memories)
    if (!m.imported) out.memories.push_back(m.type);
  for (const Global& g : module.globals) {
    if (g.imported) continue;
    WAFER_LET(init, read_code(module, g.init));
    out.globals.push_back({g.type, std::move(init)});
  }
  for (const Tag& t : module.tags)
    if (!t.imported) out.tags.push_back(t.type_index);
  for (const ElemSegment& s : module.elems) {
    ElemImage e;
    e.mode = s.mode;
    e.table = s.table;
    e.type = s.type;
    e.uses_exprs = s.uses_exprs;
    e.funcs = s.funcs;
    if (s.mode == SegmentMode::Active) {
      WAFER_LET(offset, read_code(module, s.offset));
      e.offset = std::move(offset);
    }
    for (const ConstExpr& x : s.exprs) {
      WAFER_LET(item, read_code(module, x));
      e.exprs.push_back(std::move(item));
    }
    out.elems.push_back(std::move(e));
  }
  for (const DataSegment& s : module.datas) {
    DataImage d;
    d.mode = s.mode;
    d.memory = s.memory;
    const Bytes bytes = module.slice(s.bytes);
    d.bytes.assign(bytes.begin(), bytes.end());
    if (s.mode == SegmentMode::Active) {
      WAFER_LET(offset, read_code(module, s.offset));
      d.offset = std::move(offset);
    }
    out.datas.push_back(std::move(d));
  }
  return out;
}

}  // namespace wafer::diff
