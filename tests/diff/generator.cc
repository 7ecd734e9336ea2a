#include "generator.h"

#include <algorithm>

#include "builder.h"

namespace wafer::diff {

using namespace wasm;

namespace {

constexpr HostFunction kHostFunctions[] = {
    {"note", "i:", Group::HostCalls},      // recorded
    {"mix", "iI:I", Group::HostCalls},     // arithmetic
    {"again", "i:i", Group::HostCalls},    // calls the module's callback
    {"fail", "i:", Group::HostCalls},      // fails for multiples of 8
    {"blend", "fF:F", Group::Float},       // floats in and out
    {"swap", "iI:Ii", Group::MultiValue},  // two results
    {"vector", "vi:v", Group::Simd},       // v128 in and out
};

// Makes everything of a module but the bodies.
class ModuleGenerator : public Builder {
 public:
  using Builder::Builder;

  ModuleImage run() {
    if (options.provider)
      take_types();
    else
      aggregate_types();
    make_pool();
    host_imports();
    provider_imports();
    signatures();
    reference_pool();
    make_memories();
    make_globals();
    make_tables();
    make_tags();
    make_resumables();
    make_elems();
    make_datas();
    make_exports();
    const OpLists ops(options.groups);
    const uint32_t first = image.imported(ExternKind::Func);
    for (uint32_t i = 0; i < image.functions.size(); ++i) generate_body(*this, first + i, ops);
    return std::move(image);
  }

 private:
  // --- Types ---------------------------------------------------------------------------

  ValType field_storage(uint32_t group_end) {
    static constexpr TypeKind kNumbers[] = {TypeKind::I8, TypeKind::I16, TypeKind::I32,
                                            TypeKind::I64};
    switch (c.below(8)) {
      case 0:
        return has(Group::Float) ? kF32 : kI32;
      case 1:
        return has(Group::Float) ? kF64 : kI64;
      case 2:
        return has(Group::Simd) ? kV128 : kI64;
      case 3:
        return ValType::ref(HeapType::concrete(c.below(group_end)), true);
      case 4: {
        static constexpr HeapKind kHeaps[] = {HeapKind::Any,    HeapKind::Eq,    HeapKind::I31,
                                              HeapKind::Struct, HeapKind::Array, HeapKind::Func,
                                              HeapKind::Extern};
        const HeapKind h = c.pick(kHeaps);
        return ValType::ref(h, h != HeapKind::I31 || c.one_in(2));
      }
      default:
        return c.pick(kNumbers);
    }
  }

  void aggregate_types() {
    if (!has(Group::Gc)) return;
    const uint32_t count = c.between(3, 7);
    while (image.types.size() < count) {
      RecGroup group;
      group.first = uint32_t(image.types.size());
      group.count = c.between(1, 2);
      group.written = group.count != 1;
      const uint32_t end = group.first + group.count;
      for (uint32_t i = group.first; i < end; ++i) {
        SubType t;
        t.kind = c.one_in(3) ? CompKind::Array : CompKind::Struct;
        t.is_final = c.one_in(3);
        if (i > 0 && c.below(3) < 2) {
          const uint32_t super = c.below(i);
          if (!image.types[super].is_final && !is_described(super)) {
            t.super = super;
            t.kind = image.types[super].kind;
            t.fields = image.types[super].fields;
          }
        }
        const uint32_t more = t.kind == CompKind::Array ? t.fields.empty() : c.below(4);
        for (uint32_t f = 0; f < more; ++f)
          t.fields.push_back({field_storage(end), c.below(4) != 0});
        (t.kind == CompKind::Array ? arrays : structs).push_back(i);
        image.types.push_back(std::move(t));
      }
      image.rec_groups.push_back(group);
      if (has(Group::Descriptors) && c.below(3)) described_types();
    }
  }

  // Is it one that has a descriptor, or that is for one?
  bool is_described(uint32_t type) const {
    const SubType& t = image.types[type];
    return t.descriptor != SubType::kNone || t.describes != SubType::kNone;
  }

  // A struct, a descriptor of it, and seldom one of that; or as many below such.
  void described_types() {
    const uint32_t* const super = c.one_in(2) ? nullptr : described_super();
    RecGroup group;
    group.first = uint32_t(image.types.size());
    group.count = c.one_in(4) ? 3 : 2;
    group.written = true;
    uint32_t above = super ? *super : SubType::kNone;
    if (super) group.count = chain_length(above);
    for (uint32_t i = 0; i < group.count; ++i) {
      const uint32_t index = group.first + i;
      SubType t;
      t.kind = CompKind::Struct;
      t.is_final = c.one_in(4);
      if (super) {
        t.super = above;
        t.fields = image.types[above].fields;
        above = image.types[above].descriptor;
      }
      for (uint32_t f = c.below(3); f--;)
        t.fields.push_back({field_storage(group.first + group.count), c.below(4) != 0});
      if (i > 0) t.describes = index - 1;
      if (i + 1 < group.count) t.descriptor = index + 1;
      structs.push_back(index);
      image.types.push_back(std::move(t));
    }
    image.rec_groups.push_back(group);
  }

  uint32_t chain_length(uint32_t type) const {
    uint32_t out = 1;
    for (; image.types[type].descriptor != SubType::kNone; type = image.types[type].descriptor)
      ++out;
    return out;
  }

  // The first of a chain of which all may have subtypes, or null.
  const uint32_t* described_super() {
    const uint32_t* found = nullptr;
    uint32_t seen = 0;
    for (const uint32_t& type : structs) {
      const SubType& t = image.types[type];
      if (t.descriptor == SubType::kNone || t.describes != SubType::kNone) continue;
      bool fits = true;
      for (uint32_t at = type; at != SubType::kNone; at = image.types[at].descriptor)
        fits &= !image.types[at].is_final;
      if (fits && c.one_in(++seen)) found = &type;
    }
    return found;
  }

  // Types have the indices that they have in the provider.
  void take_types() {
    image.types = options.provider->types;
    image.rec_groups = options.provider->rec_groups;
    for (uint32_t i = 0; i < image.types.size(); ++i) {
      const CompKind kind = image.types[i].kind;
      if (kind == CompKind::Struct) structs.push_back(i);
      if (kind == CompKind::Array) arrays.push_back(i);
    }
  }

  // Most of what the provider exports, and always its bounds, which both share.
  void provider_imports() {
    if (!options.provider) return;
    for (const Export& e : options.provider->exports) {
      const bool bound = e.name == kFuelExport || e.name == kDepthExport;
      if (e.name == kHandledExport || (!bound && c.one_in(4))) continue;
      Import import{String(kProvider), e.name, options.provider->type_of(e)};
      if (e.name == kFuelExport) fuel = uint32_t(globals.size());
      if (e.name == kDepthExport) depth = uint32_t(globals.size());
      switch (e.kind) {
        case ExternKind::Func:
          break;
        case ExternKind::Table:
          // The first table has to be one of functions.
          if (tables.empty() && import.type.table.element != kFuncRef) continue;
          tables.push_back(import.type.table);
          break;
        case ExternKind::Memory:
          memories.push_back(import.type.memory);
          break;
        case ExternKind::Global:
          globals.push_back(import.type.global);
          break;
        case ExternKind::Tag:
          if (!image.types[import.type.type_index].func.results.empty()) continue;
          tags.push_back(import.type.type_index);
          break;
      }
      image.imports.push_back(std::move(import));
    }
  }

  void make_pool() {
    pool = {kI32, kI32, kI32, kI64, kI64};
    if (has(Group::Float)) pool.insert(pool.end(), {kF32, kF64, kF32, kF64});
    if (has(Group::Simd)) pool.insert(pool.end(), {kV128, kV128, kV128});
    if (has(Group::Tables)) pool.insert(pool.end(), {kFuncRef, kExternRef});
    if (has(Group::Exceptions)) pool.push_back(kExnRef);
    if (!has(Group::Gc)) return;
    for (const HeapKind h : {HeapKind::Any, HeapKind::Eq, HeapKind::I31})
      pool.push_back(ValType::ref(h, c.below(3) != 0));
    pool.push_back(ValType::ref(HeapKind::Struct, true));
    pool.push_back(ValType::ref(HeapKind::Array, true));
    for (const Vec<uint32_t>* list : {&structs, &arrays})
      for (const uint32_t type : *list)
        pool.push_back(ValType::ref(HeapType::concrete(type), c.one_in(2)));
  }

  void host_imports() {
    if (!has(Group::HostCalls)) return;
    for (const HostFunction& h : kHostFunctions) {
      if (!has(h.group)) continue;
      Import import{"host", String(h.name), {}};
      import.type.type_index = func_type(type_of_sig(h.sig));
      image.imports.push_back(std::move(import));
    }
  }

  void signatures() {
    const uint32_t count = c.between(2, options.max_functions);
    if (has(Group::Continuations) && c.below(3)) symmetric_types();
    for (uint32_t i = 0; i < count; ++i) {
      FuncImage f;
      if (i == 0 && has(Group::HostCalls)) {
        f.type = func_type(type_of_sig("i:i"));
      } else if (symmetric != SubType::kNone && (i + 1 == count || c.one_in(4))) {
        f.type = symmetric_func;
      } else if (i > 1 && c.below(3) == 0) {
        f.type = c.pick(image.functions).type;
      } else {
        FuncType type;
        type.params = any_types(c.one_in(8) ? 12 : c.one_in(24) ? 40 : 4);
        type.results = any_types(!has(Group::MultiValue) ? 1 : c.one_in(8) ? 6 : 3);
        f.type = func_type(type);
        if (has(Group::Gc) && c.one_in(3)) f.type = sub_func_type(f.type);
      }
      image.functions.push_back(std::move(f));
    }
  }

  // A new type below one of some function that allows it, else `type`.
  uint32_t sub_func_type(uint32_t type) {
    const uint32_t super = image.functions.empty() ? type : c.pick(image.functions).type;
    if (image.types[super].is_final) return type;
    const auto index = uint32_t(image.types.size());
    SubType t;
    t.super = super;
    t.is_final = c.one_in(2);
    t.func = image.types[super].func;
    image.types.push_back(std::move(t));
    image.rec_groups.push_back({index, 1, false});
    return index;
  }

  // Typed function references: only to types that some function has.
  void reference_pool() {
    if (!has(Group::FuncRefs)) return;
    for (uint32_t i = 0; i < 3; ++i) {
      const uint32_t type = image.type_of_function(c.below(function_count()));
      pool.push_back(ValType::ref(HeapType::concrete(type), c.one_in(2)));
    }
  }

  // --- Definitions ---------------------------------------------------------------------

  MemoryType memory_type() {
    MemoryType m;
    m.limits.is64 = has(Group::Memory64) && c.one_in(2);
    m.limits.shared = has(Group::Atomics) && c.one_in(2);
    if (has(Group::CustomPageSizes) && c.one_in(4)) {
      m.page_size_log2 = 0;
      m.limits.min = c.between(64, 5000);
      m.limits.max = m.limits.min + c.below(5000);
    } else {
      m.limits.min = c.between(1, 2);
      m.limits.max = m.limits.min + c.below(3);
    }
    m.limits.has_max = m.limits.shared || !c.one_in(4);
    if (!m.limits.has_max) m.limits.max = 0;
    return m;
  }

  void make_memories() {
    if (memories.empty() && import_one()) {
      Import import{"env", "memory", {}};
      import.type.kind = ExternKind::Memory;
      import.type.memory = memory_type();
      memories.push_back(import.type.memory);
      image.imports.push_back(std::move(import));
    }
    uint32_t count = memories.empty();
    if (has(Group::MultiMemory)) count += c.below(3);
    for (uint32_t i = 0; i < count; ++i) image.memories.push_back(memory_type());
    memories.insert(memories.end(), image.memories.begin(), image.memories.end());
  }

  bool import_one() { return has(Group::Imports) && !options.provider && c.one_in(2); }

  void make_globals() {
    if (import_one()) {
      for (const bool is_mutable : {false, true}) {
        Import import{"env", is_mutable ? "variable" : "constant", {}};
        import.type.kind = ExternKind::Global;
        import.type.global = {c.pick(kNumberTypes), is_mutable};
        globals.push_back(import.type.global);
        image.imports.push_back(std::move(import));
      }
    }
    if (!options.provider) {
      fuel = uint32_t(globals.size());
      depth = fuel + 1;
      for (const int32_t start : {kFuel, 0}) {
        Instr value = instr(Opcode::I32Const);
        value.i32 = start;
        add_global({kI32, true}, {value});
      }
    }
    for (const uint32_t type : structs)
      for (uint32_t n = image.types[type].describes == SubType::kNone ? 0 : c.between(1, 2); n--;) {
        Code init;
        append_new(init, type);
        add_global({ValType::ref(HeapType::concrete(type, true), false), false}, std::move(init));
      }
    const uint32_t count = c.between(2, 6);
    for (uint32_t i = 0; i < count; ++i) {
      const ValType type = any_type();
      Code init = const_expr(type);
      add_global({type, c.below(4) != 0}, std::move(init));
    }
  }
  static constexpr ValType kNumberTypes[] = {kI32, kI64};

  void add_global(GlobalType type, Code init) {
    globals.push_back(type);
    image.globals.push_back({type, std::move(init)});
  }

  // A constant expression of `type`.
  Code const_expr(ValType type) {
    Code out;
    append_const(out, type);
    return out;
  }

  // Initializers of tables see imported globals alone, as they come first.
  bool is_constant_global(uint32_t global) const {
    const bool imported = global < image.imported(ExternKind::Global);
    return imported || (has(Group::Gc) && !making_tables_);
  }

  void append_const(Code& out, ValType type) {
    for (uint32_t i = 0; i < globals.size() && c.one_in(3); ++i) {
      const uint32_t g = c.below(uint32_t(globals.size()));
      if (globals[g].is_mutable || !is_sub(globals[g].type, type)) continue;
      if (is_constant_global(g)) {
        out.push_back(instr(Opcode::GlobalGet, g));
        return;
      }
    }
    if (!type.is_ref()) {
      const bool integer = type == kI32 || type == kI64;
      if (integer && has(Group::ExtendedConst) && c.one_in(3)) {
        append_const(out, type);
        append_const(out, type);
        const uint32_t which = c.below(3);
        static constexpr Opcode k32[] = {Opcode::I32Add, Opcode::I32Sub, Opcode::I32Mul};
        static constexpr Opcode k64[] = {Opcode::I64Add, Opcode::I64Sub, Opcode::I64Mul};
        out.push_back(instr(type == kI32 ? k32[which] : k64[which]));
        return;
      }
      out.push_back(constant(type.kind()));
      return;
    }
    append_ref_const(out, type);
  }

  void append_ref_const(Code& out, ValType type) {
    const HeapType heap = type.heap();
    if (type.nullable() && c.one_in(2)) return append_null(out, heap);
    auto i31 = [&] {
      append_const(out, kI32);
      out.push_back(instr(Opcode::RefI31));
    };
    switch (heap.kind()) {
      case HeapKind::Func:
        out.push_back(instr(Opcode::RefFunc, c.below(function_count())));
        return;
      case HeapKind::I31:
      case HeapKind::Any:
      case HeapKind::Eq:
        return i31();
      case HeapKind::Struct:
      case HeapKind::Array: {
        const auto& list = heap.kind() == HeapKind::Struct ? structs : arrays;
        if (list.empty()) return append_null(out, heap);
        return append_new(out, c.pick(list));
      }
      case HeapKind::Concrete:
        if (image.types[heap.index()].kind != CompKind::Func) return append_new(out, heap.index());
        for (uint32_t f = 0; f < function_count(); ++f) {
          if (image.type_of_function(f) != heap.index()) continue;
          out.push_back(instr(Opcode::RefFunc, f));
          return;
        }
        return append_null(out, heap);
      default:
        return append_null(out, heap);
    }
  }

  // False for references to functions of a type that none has here.
  bool has_constant(ValType type) const {
    if (!type.is_ref() || type.nullable() || !type.heap().is_concrete()) return true;
    const uint32_t index = type.heap().index();
    if (image.types[index].kind != CompKind::Func) return true;
    for (uint32_t f = 0; f < function_count(); ++f)
      if (image.type_of_function(f) == index) return true;
    return false;
  }

  void append_null(Code& out, HeapType heap) {
    Instr null = instr(Opcode::RefNull);
    null.heap = heap;
    out.push_back(null);
  }

  void append_new(Code& out, uint32_t type) {
    const SubType& t = image.types[type];
    if (t.kind == CompKind::Struct) {
      for (const FieldType& f : t.fields) append_field(out, f.storage);
      if (t.descriptor == SubType::kNone) {
        out.push_back(instr(Opcode::StructNew, type));
        return;
      }
      const GlobalType* const global = descriptor_global(t.descriptor);
      const auto index = uint32_t(global - globals.data());
      if (global && is_constant_global(index))
        out.push_back(instr(Opcode::GlobalGet, index));
      else
        append_new(out, t.descriptor);
      out.push_back(instr(Opcode::StructNewDesc, type));
      return;
    }
    const uint32_t length = c.between(1, 5);
    for (uint32_t i = 0; i < length; ++i) append_field(out, t.fields[0].storage);
    out.push_back(instr(Opcode::ArrayNewFixed, type, length));
  }
  // Fields of reference type are null where they may be, so that this ends.
  void append_field(Code& out, ValType storage) {
    if (storage.is_ref() && storage.nullable()) return append_null(out, storage.heap());
    append_const(out, storage.unpacked());
  }

  void make_tables() {
    if (!has(Group::Tables)) return;
    making_tables_ = true;
    if (tables.empty()) add_table(kFuncRef, c.between(4, 10));
    add_table(kExternRef, c.below(6));
    if (has(Group::FuncRefs)) {
      const uint32_t type = image.type_of_function(c.below(function_count()));
      add_table(ValType::ref(HeapType::concrete(type), c.one_in(2)), c.between(1, 6));
    }
    if (has(Group::Gc)) add_table(kAnyRef, c.between(1, 6));
    making_tables_ = false;
  }
  bool making_tables_ = false;

  void add_table(ValType element, uint32_t size) {
    TableType t;
    t.element = element;
    t.limits.min = size;
    t.limits.has_max = !c.one_in(3);
    t.limits.max = t.limits.has_max ? size + c.below(6) : 0;
    t.limits.is64 = has(Group::Memory64) && c.one_in(2);
    TableImage table{t, std::nullopt};
    if (!element.nullable() || (has(Group::FuncRefs) && element != kExternRef && c.one_in(4)))
      table.init = const_expr(element);
    tables.push_back(t);
    image.tables.push_back(std::move(table));
  }

  void make_tags() {
    if (!has(Group::Exceptions)) return;
    const uint32_t count = c.between(1, 3);
    for (uint32_t i = 0; i < count; ++i) {
      FuncType type;
      type.params = any_types(3);
      image.tags.push_back(func_type(type));
    }
    tags.insert(tags.end(), image.tags.begin(), image.tags.end());
  }

  // A function type that takes continuations of itself.
  void symmetric_types() {
    symmetric_func = uint32_t(image.types.size());
    symmetric = symmetric_func + 1;
    SubType func, cont;
    func.func.params.push_back(ValType::ref(HeapType::concrete(symmetric), true));
    func.func.results = any_types(2);
    cont.kind = CompKind::Cont;
    cont.cont = symmetric_func;
    image.types.push_back(std::move(func));
    image.types.push_back(std::move(cont));
    image.rec_groups.push_back({symmetric_func, 2, true});
  }

  uint32_t add_tag(const FuncType& type) {
    image.tags.push_back(func_type(type));
    tags.push_back(image.tags.back());
    return uint32_t(tags.size() - 1);
  }

  void make_resumables() {
    exception_tags = uint32_t(tags.size());
    if (!has(Group::Continuations)) return;
    FuncType yielded;
    if (c.one_in(2)) yielded = {any_types(2), any_types(2)};
    // Both may have the same tag.
    const bool one_tag = symmetric != SubType::kNone && c.one_in(3);
    if (one_tag) yielded = {{}, image.types[symmetric_func].func.results};
    yield = add_tag(yielded);
    if (yielded.results.empty()) ++exception_tags;
    handled = uint32_t(globals.size());
    add_global({kI32, true}, {instr(Opcode::I32Const)});
    const auto add = [&](uint32_t func, uint32_t fresh) {
      const FuncType rest{yielded.results, signature(func).results};
      resumables.push_back({func, fresh, cont_type(func_type(rest))});
    };
    for (uint32_t n = c.between(1, 3); n--;) {
      const uint32_t func = c.below(function_count());
      add(func, cont_type(image.type_of_function(func)));
    }
    if (symmetric == SubType::kNone) return;
    switch_tag = one_tag ? yield : add_tag({{}, image.types[symmetric_func].func.results});
    for (uint32_t f = 0; f < function_count(); ++f)
      if (image.type_of_function(f) == symmetric_func) add(f, symmetric);
  }

  Code offset_expr(bool is64, uint64_t value) {
    Instr in = instr(is64 ? Opcode::I64Const : Opcode::I32Const);
    if (is64)
      in.i64 = int64_t(value);
    else
      in.i32 = int32_t(value);
    return {in};
  }

  void make_elems() {
    const uint32_t functions = function_count();
    if (has(Group::Tables)) {
      ElemImage active;
      table0.assign(tables[0].limits.min, ~0u);
      const uint32_t at = c.below(2);
      active.offset = offset_expr(tables[0].limits.is64, at);
      for (uint32_t i = at; i < table0.size() - c.below(2); ++i) {
        table0[i] = c.below(functions);
        active.funcs.push_back(table0[i]);
      }
      image.elems.push_back(std::move(active));
      ElemImage passive;
      passive.mode = SegmentMode::Passive;
      for (uint32_t i = c.between(1, 5); i--;) passive.funcs.push_back(c.below(functions));
      passive.type = ValType::ref(HeapKind::Func, false);
      image.elems.push_back(std::move(passive));
      for (uint32_t t = 1; t < tables.size(); ++t) {
        if (!has_constant(tables[t].element)) continue;
        ElemImage e;
        e.mode =
            c.one_in(3) && tables[t].limits.min >= 1 ? SegmentMode::Active : SegmentMode::Passive;
        e.table = e.mode == SegmentMode::Active ? t : 0;
        if (e.mode == SegmentMode::Active) e.offset = offset_expr(tables[t].limits.is64, 0);
        e.uses_exprs = true;
        e.type = tables[t].element;
        const uint32_t count = e.mode == SegmentMode::Active ? 1 : c.between(1, 4);
        for (uint32_t i = 0; i < count; ++i) e.exprs.push_back(const_expr(e.type));
        image.elems.push_back(std::move(e));
      }
    }
    // So that every function may be named by ref.func.
    ElemImage all;
    all.mode = SegmentMode::Declarative;
    for (uint32_t f = 0; f < functions; ++f) all.funcs.push_back(f);
    all.type = ValType::ref(HeapKind::Func, false);
    image.elems.push_back(std::move(all));
  }

  void make_datas() {
    auto bytes = [&](uint32_t count) {
      Vec<uint8_t> out;
      for (uint32_t i = 0; i < count; ++i) out.push_back(uint8_t(c.below(256)));
      return out;
    };
    for (uint32_t m = 0; m < memories.size(); ++m) {
      const MemoryType& type = memories[m];
      const uint64_t size = type.limits.min << type.page_size_log2;
      const uint32_t count = c.between(8, 48);
      for (const uint64_t at : {uint64_t(0), size - count}) {
        DataImage d;
        d.memory = m;
        d.offset = offset_expr(type.limits.is64, at);
        d.bytes = bytes(count);
        image.datas.push_back(std::move(d));
      }
    }
    if (!has(Group::BulkMemory) && !has(Group::Gc)) return;
    for (uint32_t i = 0; i < 2; ++i) {
      DataImage d;
      d.mode = SegmentMode::Passive;
      d.bytes = bytes(c.between(0, 64));
      image.datas.push_back(std::move(d));
    }
  }

  void make_exports() {
    auto add = [&](std::string_view prefix, ExternKind kind, uint32_t index) {
      String name(prefix);
      for (const char d : std::to_string(index)) name += d;
      image.exports.push_back({std::move(name), kind, index, 0});
    };
    const uint32_t first = image.imported(ExternKind::Func);
    for (uint32_t i = 0; i < image.functions.size(); ++i) {
      const FuncType& type = image.types[image.functions[i].type].func;
      if (!std::all_of(type.params.begin(), type.params.end(),
                       [](ValType t) { return t.defaultable(); }))
        continue;
      add("f", ExternKind::Func, first + i);
    }
    if (has(Group::HostCalls))
      image.exports.push_back({String(kCallbackExport), ExternKind::Func, first, 0});
    image.exports.push_back({String(kFuelExport), ExternKind::Global, fuel, 0});
    image.exports.push_back({String(kDepthExport), ExternKind::Global, depth, 0});
    if (has(Group::Continuations))
      image.exports.push_back({String(kHandledExport), ExternKind::Global, handled, 0});
    for (uint32_t i = 0; i < globals.size(); ++i)
      if (i != fuel && i != depth && !(has(Group::Continuations) && i == handled))
        add("g", ExternKind::Global, i);
    for (uint32_t i = 0; i < memories.size(); ++i) add("m", ExternKind::Memory, i);
    for (uint32_t i = 0; i < tables.size(); ++i) add("t", ExternKind::Table, i);
    for (uint32_t i = 0; i < tags.size(); ++i) add("e", ExternKind::Tag, i);
    for (uint32_t i = 0; i < image.functions.size() && c.one_in(3); ++i) {
      const FuncType& type = image.types[image.functions[i].type].func;
      if (type.params.empty() && type.results.empty()) image.start = first + i;
    }
  }
};

constexpr int32_t kInts[] = {0,
                             1,
                             2,
                             3,
                             4,
                             7,
                             8,
                             15,
                             16,
                             31,
                             32,
                             63,
                             64,
                             100,
                             127,
                             128,
                             255,
                             256,
                             -1,
                             -2,
                             -8,
                             -128,
                             -129,
                             0x7FFF,
                             0x8000,
                             0xFFFF,
                             0x10000,
                             -0x8000,
                             0x7FFFFFFF,
                             INT32_MIN,
                             INT32_MIN + 1,
                             0x55555555,
                             0x12345678};

// The last ones are halfway between two floats once rounded to a double.
constexpr uint64_t kLongs[] = {0x8000000000000000, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFF00000000,
                               0x00000000FFFFFFFF, 0x8000000080000000, 0x0020000000000001,
                               0x8000004000000001, 0x7FFFFFBFFFFFFFFF};

constexpr uint32_t kFloats32[] = {
    0,          0x80000000, 0x3F800000, 0xBF800000, 0x3F000000, 0xBF000000, 0x3FC00000,
    0x40200000, 0x00000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000,
    0xFF800000, 0x7FC00000, 0x4F000000, 0xCF000000, 0x4F800000, 0x5F000000, 0xDF000000,
    0x5F800000, 0x4B000000, 0x4B7FFFFF, 0x40490FDB, 0x7FA00000, 0xFFC12345, 0x80000001};
constexpr uint64_t kFloats64[] = {0,
                                  0x8000000000000000,
                                  0x3FF0000000000000,
                                  0xBFF0000000000000,
                                  0x3FE0000000000000,
                                  0xBFE0000000000000,
                                  0x3FF8000000000000,
                                  0x4004000000000000,
                                  0x0000000000000001,
                                  0x000FFFFFFFFFFFFF,
                                  0x0010000000000000,
                                  0x7FEFFFFFFFFFFFFF,
                                  0xFFEFFFFFFFFFFFFF,
                                  0x7FF0000000000000,
                                  0xFFF0000000000000,
                                  0x7FF8000000000000,
                                  0x41E0000000000000,
                                  0x41DFFFFFFFC00000,
                                  0xC1E0000000000000,
                                  0x41F0000000000000,
                                  0x43E0000000000000,
                                  0xC3E0000000000000,
                                  0x43F0000000000000,
                                  0x4330000000000001,
                                  0x400921FB54442D18,
                                  0x7FF4000000000000,
                                  0xFFF8123456789ABC,
                                  0x380FFFFFFFFFFFFF,
                                  0x47EFFFFFEFFFFFFF};

}  // namespace

std::span<const HostFunction> host_functions() { return kHostFunctions; }

FuncType type_of_sig(std::string_view sig) {
  const OpSig s = parse_sig(sig);
  FuncType type;
  type.params.assign(s.params, s.params + s.param_count);
  type.results.assign(s.results, s.results + s.result_count);
  return type;
}

uint32_t Builder::func_type(const FuncType& type) {
  for (uint32_t i = 0; i < image.types.size(); ++i)
    if (image.types[i].kind == CompKind::Func && image.types[i].func == type) return i;
  const auto index = uint32_t(image.types.size());
  SubType t;
  t.func = type;
  t.is_final = !has(Group::Gc) || c.one_in(2);
  image.types.push_back(std::move(t));
  image.rec_groups.push_back({index, 1, false});
  return index;
}

uint32_t Builder::cont_type(uint32_t func) {
  for (uint32_t i = 0; i < image.types.size(); ++i)
    if (image.types[i].kind == CompKind::Cont && image.types[i].cont == func) return i;
  const auto index = uint32_t(image.types.size());
  SubType t;
  t.kind = CompKind::Cont;
  t.cont = func;
  image.types.push_back(std::move(t));
  image.rec_groups.push_back({index, 1, false});
  return index;
}

bool Builder::is_sub(HeapType sub, HeapType super) const {
  if (sub == super) return true;
  if (sub.is_exact()) return is_sub(HeapType::concrete(sub.index()), super);
  HeapKind kind = sub.kind();
  if (sub.is_concrete()) {
    if (super.is_concrete()) {
      const uint32_t above = image.types[sub.index()].super;
      return above != SubType::kNoSuper && is_sub(HeapType::concrete(above), super);
    }
    const CompKind comp = image.types[sub.index()].kind;
    kind = comp == CompKind::Func     ? HeapKind::Func
           : comp == CompKind::Struct ? HeapKind::Struct
           : comp == CompKind::Cont   ? HeapKind::Cont
                                      : HeapKind::Array;
    if (HeapType(kind) == super) return true;
  }
  if (super.is_concrete()) return false;  // bottom types are not made
  switch (kind) {
    case HeapKind::I31:
    case HeapKind::Struct:
    case HeapKind::Array:
      return super.kind() == HeapKind::Eq || super.kind() == HeapKind::Any;
    case HeapKind::Eq:
      return super.kind() == HeapKind::Any;
    default:
      return false;
  }
}

bool Builder::is_sub(ValType sub, ValType super) const {
  if (sub == super) return true;
  if (!sub.is_ref() || !super.is_ref()) return false;
  return (super.nullable() || !sub.nullable()) && is_sub(sub.heap(), super.heap());
}

Vec<ValType> Builder::any_types(uint32_t max) {
  Vec<ValType> out;
  for (uint32_t n = c.below(max + 1); n--;) out.push_back(any_type());
  return out;
}

int32_t Builder::interesting_i32() { return c.one_in(4) ? int32_t(c.bits()) : c.pick(kInts); }
int64_t Builder::interesting_i64() {
  switch (c.below(5)) {
    case 0:
      return int64_t(c.bits());
    case 1:
      return int64_t(uint64_t(uint32_t(interesting_i32())) << 32 | uint32_t(interesting_i32()));
    case 2:
      return int64_t(c.pick(kLongs));
    default:
      return interesting_i32();
  }
}
// Bits, or a number of ordinary size with all of its digits, or one that is special.
uint32_t Builder::interesting_f32() {
  const auto bits = uint32_t(c.bits());
  switch (c.below(6)) {
    case 0:
      return bits;
    case 1:
      return (bits & 0x80FFFFFF) | 0x3F000000;
    default:
      return c.pick(kFloats32);
  }
}
uint64_t Builder::interesting_f64() {
  const uint64_t bits = c.bits();
  switch (c.below(6)) {
    case 0:
      return bits;
    case 1:
      return (bits & 0x801FFFFFFFFFFFFF) | 0x3FE0000000000000;
    default:
      return c.pick(kFloats64);
  }
}

// Lanes of any width that matter.
uint64_t Builder::interesting_lanes() {
  static constexpr uint8_t kBytes[] = {0, 1, 2, 15, 16, 0x7F, 0x80, 0x81, 0xFF, 0xFE, 0x55, 7};
  static constexpr uint64_t kWords[] = {0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x4000, 0xFF, 0x80};
  uint64_t out = 0;
  switch (c.below(9)) {
    case 7:
      return c.pick(kWords) * 0x0001000100010001u;
    case 8:
      return c.pick(kFloats32) * 0x0000000100000001u;
    case 0:
      for (unsigned i = 0; i < 64; i += 8) out |= uint64_t(c.pick(kBytes)) << i;
      return out;
    case 1:
      for (unsigned i = 0; i < 64; i += 16) out |= c.pick(kWords) << i;
      return out;
    case 2:
      return uint32_t(interesting_i32()) | uint64_t(uint32_t(interesting_i32())) << 32;
    case 3:
      return interesting_f64();
    case 4:
    case 5:
      return interesting_f32() | uint64_t(interesting_f32()) << 32;
    default:
      return uint64_t(interesting_i64());
  }
}

Instr Builder::constant(TypeKind kind) {
  Instr in;
  switch (kind) {
    case TypeKind::I64:
      in.op = Opcode::I64Const;
      in.i64 = interesting_i64();
      break;
    case TypeKind::F32:
      in.op = Opcode::F32Const;
      in.offset = 0;
      in.f32_bits = interesting_f32();
      break;
    case TypeKind::F64:
      in.op = Opcode::F64Const;
      in.f64_bits = interesting_f64();
      break;
    case TypeKind::V128:
      in.op = Opcode::V128Const;
      store_le(in.v128.bytes, interesting_lanes());
      if (c.one_in(3))
        std::memcpy(in.v128.bytes + 8, in.v128.bytes, 8);
      else
        store_le(in.v128.bytes + 8, interesting_lanes());
      break;
    default:
      in.op = Opcode::I32Const;
      in.i32 = interesting_i32();
  }
  return in;
}

ModuleImage generate(Chooser& chooser, const GenOptions& options) {
  return ModuleGenerator(chooser, options).run();
}

}  // namespace wafer::diff
