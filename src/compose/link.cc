#include "compose/link.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include "base/leb128.h"
#include "component/core_module.h"
#include "component/sections.h"
#include "compose/dl_table.h"
#include "wasm/decoder.h"
#include "wasm/indices.h"
#include "wasm/names.h"
#include "wit/component_type.h"

namespace wafer::compose {

namespace {

namespace cm = component;
using wasm::ExternKind;
using wasm::Opcode;
using Key = std::pair<std::string, std::string>;

constexpr std::string_view kEnv = "env", kGotMem = "GOT.mem", kGotFunc = "GOT.func";
constexpr std::string_view kCtors = "__wasm_call_ctors", kInitialize = "_initialize",
                           kRelocs = "__wasm_apply_data_relocs",
                           kTable = "__indirect_function_table";
constexpr std::string_view kRoot = "$root", kContext = "[context-get-1]",
                           kNewThread = "[thread-new-indirect-v0]";
constexpr std::string_view kGetTls = "__wasm_get_tls_base", kSetTls = "__wasm_set_tls_base",
                           kProgramTls = "__wasm_program_tls_info",
                           kLibraryTls = "__wasm_library_tls_info",
                           kLibraries = "__wasm_libdl_libraries";
constexpr uint32_t kPageSize = 65536;
constexpr uint32_t kHeapAlign = 16;
constexpr int kMaxReexports = 100;  // of one symbol, from library to library

Error invalid(const std::string& what) { return {ErrorKind::Invalid, what}; }
std::string str(const String& s) { return std::string(std::string_view(s)); }

// What the section "dylink.0" tells (tool conventions, DynamicLinking.md).
struct DylinkInfo {
  uint32_t memory_size = 0, memory_align = 0, table_size = 0, table_align = 0;
  std::vector<std::string> needed;
  std::set<Key> weak;  // imports
};

Result<DylinkInfo> read_dylink(Bytes section) {
  enum : uint8_t { kMemInfo = 1, kNeeded = 2, kImportInfo = 4 };
  constexpr uint32_t kBindingMask = 3, kBindingWeak = 1, kMaxAlign = 16;
  DylinkInfo out;
  wasm::Cursor c(section.data(), 0, uint32_t(section.size()), section.size(),
                 wasm::FeatureSet::all());
  const auto name = [&](std::string& to) {
    uint32_t size = 0;
    if (!c.u32(size) || size > c.remaining()) return false;
    to.assign(reinterpret_cast<const char*>(section.data()) + c.offset(), size);
    for (uint8_t b = 0; size > 0; --size) (void)c.byte(b);
    return true;
  };
  const Error malformed(ErrorKind::Malformed, "malformed section dylink.0");
  while (!c.at_end()) {
    uint8_t id = 0;
    uint32_t size = 0, count = 0;
    if (!c.byte(id) || !c.u32(size) || size > c.remaining()) return malformed;
    const uint32_t end = c.offset() + size;
    if (id == kMemInfo) {
      if (!c.u32(out.memory_size) || !c.u32(out.memory_align) || !c.u32(out.table_size) ||
          !c.u32(out.table_align) || out.memory_align > kMaxAlign || out.table_align > kMaxAlign)
        return malformed;
    } else if (id == kNeeded || id == kImportInfo) {
      if (!c.u32(count)) return malformed;
      for (; count > 0; --count) {
        Key key;
        uint32_t flags = 0;
        if (!name(key.first)) return malformed;
        if (id == kNeeded) {
          out.needed.push_back(key.first);
        } else {
          if (!name(key.second) || !c.u32(flags)) return malformed;
          if ((flags & kBindingMask) == kBindingWeak) out.weak.insert(key);
        }
      }
    }
    if (c.offset() > end) return malformed;
    for (uint8_t b = 0; c.offset() < end;) (void)c.byte(b);
  }
  return out;
}

struct Definition {
  size_t lib = 0;
  const wasm::Export* what = nullptr;
};

struct Lib {
  std::string name;
  DylinkInfo info;
  std::shared_ptr<const wasm::Module> module;
  bool openable = false;
  bool exports_world = false;  // its world has exports, or it is a program
  uint32_t memory_base = 0, table_base = 0;
  std::optional<uint32_t> tls_slot;
  std::optional<Definition> tls_info;
  uint32_t type_base = 0, elem_base = 0, data_base = 0;
  // The library's indices to those of the result, by kind.
  std::array<std::vector<uint32_t>, 5> map;
  std::array<std::vector<const wasm::Import*>, 5> imports;  // by kind
  std::map<uint32_t, uint32_t> constants;  // globals that are known, and what they hold

  std::vector<uint32_t>& of(ExternKind k) { return map[size_t(k)]; }
  const std::vector<uint32_t>& of(ExternKind k) const { return map[size_t(k)]; }
};

class Linker {
 public:
  Linker(std::vector<Lib>& libs, const LinkOptions& options) : libs_(libs), options_(options) {}

  Result<Vec<uint8_t>> run(const std::vector<Vec<uint8_t>>& worlds) {
    for (Lib& lib : libs_)
      for (const wasm::Import& i : lib.module->imports)
        lib.imports[size_t(i.type.kind)].push_back(&i);
    collect_exports();
    find_tls();
    WAFER_TRY(lay_out());
    WAFER_TRY(write_types());
    WAFER_TRY(number_functions());
    WAFER_TRY(number_tables_and_memories());
    WAFER_TRY(number_tags());
    WAFER_TRY(resolve());
    WAFER_TRY(number_globals());
    if (!missing_.empty()) {
      std::string text = "unresolved symbol(s):";
      for (const std::string& m : missing_) text += "\n\t" + m;
      return invalid(text);
    }
    WAFER_TRY(write_globals());
    WAFER_TRY(write_bodies());
    WAFER_TRY(write_segments());
    WAFER_TRY(write_tls_info());
    write_exports();
    write_tables_and_memories();
    Vec<uint8_t> out = out_.finish();
    for (const Vec<uint8_t>& w : worlds) cm::write_bytes(out, {w.data(), w.size()});
    return out;
  }

 private:
  static wasm::FuncType func_type(std::initializer_list<wasm::ValType> params,
                                  std::initializer_list<wasm::ValType> results) {
    wasm::FuncType out;
    for (wasm::ValType t : params) out.params.push_back(t);
    for (wasm::ValType t : results) out.results.push_back(t);
    return out;
  }

  // ---- Symbols --------------------------------------------------------------------------

  static bool is_private(std::string_view name) {
    return name == kCtors || name == kRelocs || name == kInitialize || name == kLibraryTls;
  }

  void collect_exports() {
    for (size_t l = 0; l < libs_.size(); ++l)
      for (const wasm::Export& e : libs_[l].module->exports)
        if (!is_private(std::string_view(e.name)))
          symbols_.try_emplace({e.kind, str(e.name)}, Definition{l, &e});
  }

  const Definition* find(ExternKind kind, const std::string& name) const {
    const auto it = symbols_.find({kind, name});
    return it == symbols_.end() ? nullptr : &it->second;
  }

  const wasm::Export* own(const Lib& lib, std::string_view name) const {
    for (const wasm::Export& e : lib.module->exports)
      if (e.kind == ExternKind::Func && std::string_view(e.name) == name) return &e;
    return nullptr;
  }

  bool is_weak(const Lib& lib, const wasm::Import& i) const {
    return lib.info.weak.contains({str(i.module), str(i.name)}) ||
           // How older linkers told it.
           lib.info.weak.contains({std::string(kEnv), str(i.name)});
  }

  void miss(const Lib& lib, const wasm::Import& i, std::string_view what) {
    missing_.insert(lib.name + " needs " + str(i.name) + " (" + std::string(what) + ")");
  }

  // ---- Places ---------------------------------------------------------------------------

  Result<void> lay_out() {
    uint64_t memory = options_.stack_size, table = 1;  // no function is at 0
    const auto align = [](uint64_t& at, uint64_t to) { at = (at + to - 1) / to * to; };
    for (Lib& lib : libs_) {
      align(memory, uint64_t{1} << lib.info.memory_align);
      align(table, uint64_t{1} << lib.info.table_align);
      lib.memory_base = uint32_t(memory);
      lib.table_base = uint32_t(table);
      memory += lib.info.memory_size;
      table += lib.info.table_size;
      if (memory > UINT32_MAX - kPageSize || table > UINT32_MAX / 2)
        return invalid("the libraries need more than 4 GiB of memory");
    }
    align(memory, 4);
    if (has_tls_) {
      tls_bases_ = uint32_t(memory);
      memory += 4 * tls_count_;
      tls_infos_ = uint32_t(memory);
      memory += 4 * tls_count_;
      tls_program_ = uint32_t(memory);
      memory += kTlsProgramSize;
    }
    dl_at_ = uint32_t(memory);
    dl_ = openable();
    DlTable listed = write_dl_table(dl_, dl_at_);
    dl_root_ = listed.root;
    memory += listed.bytes.size();
    messages_ = uint32_t(memory);
    if (options_.built_in_dl) memory += dl_messages().size();
    align(memory, kHeapAlign);
    if (memory > UINT32_MAX - kPageSize)
      return invalid("the libraries need more than 4 GiB of memory");
    heap_base_ = uint32_t(memory);
    pages_ = uint32_t((memory + kPageSize - 1) / kPageSize);
    // There is some heap to begin with.
    if (uint64_t{pages_} * kPageSize == memory) ++pages_;
    table_size_ = uint32_t(table);
    return {};
  }

  // ---- Thread-local data, and libraries that are opened ----------------------------------

  static bool is_tls(const wasm::Import& i) {
    const std::string_view name(i.name);
    return std::string_view(i.module) == kEnv && (name == kGetTls || name == kSetTls);
  }

  void find_tls() {
    for (size_t l = 0; l < libs_.size(); ++l) {
      Lib& lib = libs_[l];
      for (const wasm::Export& e : lib.module->exports)
        if (e.kind == ExternKind::Global && std::string_view(e.name) == kLibraryTls) {
          lib.tls_slot = tls_count_++;
          lib.tls_info = Definition{l, &e};
        }
      for (const wasm::Import& i : lib.module->imports) {
        const std::string_view module(i.module), name(i.name);
        threads_ |= module == kRoot && name == kNewThread;
        tls_program_used_ |= module == kGotMem && name == kProgramTls;
      }
    }
    has_tls_ = tls_count_ > 0 || tls_program_used_;
  }

  // The function of a library for what an import of it is.
  uint32_t tls_func(const Lib& lib, bool get, uint32_t type) {
    cm::Body b(get ? 0 : 1);
    if (!lib.tls_slot) return out_.func(type, b.op(Opcode::Unreachable).end());
    const uint32_t offset = 4 * *lib.tls_slot;
    const auto bases = int32_t(tls_bases_);
    if (get) {
      context_ ? b.call(*context_) : b.i32(bases);
      return out_.func(type, b.access(Opcode::I32Load, 0, offset).end());
    }
    if (context_) {
      // The thread that is there from the start sets its base before it has a context.
      const uint32_t own = b.local(wasm::kI32);
      b.call(*context_).tee(own).op(Opcode::I32Eqz).if_().i32(bases).set(own).end_block();
      b.get(own);
    } else {
      b.i32(bases);
    }
    return out_.func(type, b.get(0).access(Opcode::I32Store, 0, offset).end());
  }

  static void put_u32(std::vector<uint8_t>& out, uint32_t v) {
    for (int i = 0; i < 4; ++i) out.push_back(uint8_t(v >> (8 * i)));
  }

  void data_at(uint32_t at, const std::vector<uint8_t>& bytes) {
    if (bytes.empty()) return;
    Vec<uint8_t> d;
    write_uleb(d, 0);
    write_const(d, at);
    write_end(d);
    write_uleb(d, bytes.size());
    cm::write_bytes(d, {bytes.data(), bytes.size()});
    out_.raw_data({d.data(), d.size()});
  }

  Result<void> write_tls_info() {
    if (!has_tls_) return {};
    std::vector<uint8_t> bytes;
    for (const Lib& lib : libs_) {
      if (!lib.tls_info) continue;
      WAFER_LET(at, address(*lib.tls_info));
      put_u32(bytes, at);
    }
    put_u32(bytes, tls_count_);
    put_u32(bytes, tls_infos_);
    put_u32(bytes, tls_bases_);
    data_at(tls_infos_, bytes);
    return {};
  }

  // Names of libraries that can be opened and of what they export; addresses come later.
  std::vector<DlLibrary> openable() const {
    std::vector<DlLibrary> out;
    for (const Lib& lib : libs_) {
      if (!lib.openable) continue;
      DlLibrary l;
      l.name = lib.name;
      for (const wasm::Export& e : lib.module->exports)
        if ((e.kind == ExternKind::Func || (e.kind == ExternKind::Global && offset_of(lib, e))) &&
            !is_private(std::string_view(e.name)))
          l.symbols.push_back({str(e.name)});
      out.push_back(std::move(l));
    }
    return out;
  }

  // Gives them their addresses; functions are in the table then.
  Result<void> find_openable() {
    std::map<std::string_view, size_t> by_name;
    for (size_t l = 0; l < libs_.size(); ++l) by_name[libs_[l].name] = l;
    for (DlLibrary& l : dl_) {
      const size_t at = by_name.at(l.name);
      const Lib& lib = libs_[at];
      std::map<std::string_view, const wasm::Export*> exports;
      for (const wasm::Export& e : lib.module->exports) exports[std::string_view(e.name)] = &e;
      for (DlSymbol& s : l.symbols) {
        const wasm::Export& e = *exports.at(s.name);
        if (e.kind == ExternKind::Func) {
          s.address = table_index(lib.of(ExternKind::Func)[e.index]);
        } else {
          WAFER_LET(address, this->address({at, &e}));
          s.address = address;
        }
      }
    }
    return {};
  }

  // Which function of <dlfcn.h> a symbol is that no library has.
  std::optional<size_t> dl_symbol(std::string_view name) const {
    if (options_.built_in_dl)
      for (size_t i = 0; i < kDlCount; ++i)
        if (kDlNames[i] == name) return i;
    return std::nullopt;
  }
  uint32_t dl_func(size_t which) {
    if (!dl_find_) {
      wasm::FuncType find;
      find.params.assign(4, wasm::kI32);
      find.results.push_back(wasm::kI32);
      dl_find_ = out_.func(type(find), compose::dl_find());
    }
    if (!dl_funcs_[which]) dl_funcs_[which] = out_.func(type(dl_type(which)));
    return *dl_funcs_[which];
  }

  void write_dl_funcs() {
    if (!dl_find_) return;
    const uint32_t error = add_global(true, 0);
    for (size_t i = 0; i < kDlCount; ++i)
      if (dl_funcs_[i])
        out_.set_body(*dl_funcs_[i], dl_body(i, dl_root_, messages_, error, *dl_find_));
    data_at(messages_, dl_messages());
  }

  // ---- Types ----------------------------------------------------------------------------

  static wasm::ValType moved(const Lib& lib, wasm::ValType t) {
    wasm::visit_indices(
        t, [&](wasm::IndexSpace space, uint32_t& index) { renumber(lib, space, index); });
    return t;
  }
  wasm::FuncType moved(const Lib& lib, const wasm::FuncType& f) const {
    wasm::FuncType out;
    for (wasm::ValType t : f.params) out.params.push_back(moved(lib, t));
    for (wasm::ValType t : f.results) out.results.push_back(moved(lib, t));
    return out;
  }

  uint32_t type(const wasm::FuncType& f) {
    Vec<uint8_t> bytes;
    cm::write_core_func_type(bytes, f);
    out_.raw_types({bytes.data(), bytes.size()}, 1, 1);
    return type_count_++;
  }

  Result<void> write_types() {
    for (Lib& lib : libs_) {
      lib.type_base = type_count_;
      const wasm::Module& m = *lib.module;
      for (const wasm::SubType& t : m.types) {
        if (t.kind != wasm::CompKind::Func || !t.is_final || m.rec_groups.size() != m.types.size())
          return Error(ErrorKind::Unsupported,
                       "library " + lib.name + " has types other than of functions");
        type(moved(lib, t.func));
      }
      if (type_count_ > wasm::kMaxTypeIndex) return invalid("the libraries have too many types");
    }
    return {};
  }

  // Whether types of two libraries are one type, as all are in one registry.
  static bool same(const Lib& a, uint32_t x, const Lib& b, uint32_t y) {
    return a.module->canon[x] == b.module->canon[y];
  }

  // ---- Numbers --------------------------------------------------------------------------

  template <class F>
  void each_import(const Lib& lib, ExternKind kind, F&& f) {
    uint32_t index = 0;
    for (const wasm::Import* i : lib.imports[size_t(kind)]) f(index++, *i);
  }

  // Functions of the world, and what `wafer component new` gives.
  static bool is_imported(const wasm::Import& i) {
    const std::string_view name(i.name);
    return std::string_view(i.module) != kEnv || name == kGetTls || name == kSetTls ||
           name == "__wasm_get_stack_pointer" || name == "__wasm_set_stack_pointer";
  }

  Result<void> number_functions() {
    constexpr auto F = ExternKind::Func;
    // By name and type, as all types are in one registry.
    std::map<std::pair<Key, uint32_t>, uint32_t> seen;
    for (Lib& lib : libs_) {
      lib.of(F).assign(lib.module->functions.size(), kUnknown);
      each_import(lib, F, [&](uint32_t f, const wasm::Import& i) {
        const bool defined = std::string_view(i.module) == kEnv && find(F, str(i.name));
        if (!is_imported(i) || defined || (has_tls_ && is_tls(i))) return;
        const auto [known, fresh] = seen.try_emplace(
            {{str(i.module), str(i.name)}, lib.module->canon[i.type.type_index]}, out_.count(F));
        lib.of(F)[f] = known->second;
        if (!fresh) return;
        cm::CoreExternType type = cm::CoreExternType::of(i.type);
        type.type += lib.type_base;
        out_.import(std::string_view(i.module), std::string_view(i.name), type);
      });
    }
    if (has_tls_ && threads_) {
      const wasm::FuncType get = func_type({}, {wasm::kI32});
      const uint32_t canon = libs_[0].module->registry->intern_func(get);
      const auto known = seen.find({{std::string(kRoot), std::string(kContext)}, canon});
      context_ = known != seen.end() ? known->second : out_.import_func(kRoot, kContext, type(get));
    }
    for (Lib& lib : libs_) {
      const wasm::Module& m = *lib.module;
      for (uint32_t f = m.imported_functions; f < m.functions.size(); ++f) {
        lib.of(F)[f] = out_.func(m.functions[f].type_index + lib.type_base);
      }
    }
    return {};
  }

  Result<void> number_tables_and_memories() {
    for (Lib& lib : libs_) {
      const wasm::Module& m = *lib.module;
      std::string other;
      each_import(lib, ExternKind::Table, [&](uint32_t, const wasm::Import& i) {
        if (std::string_view(i.name) != kTable) other = str(i.name);
        const bool plain = i.type.table.element == wasm::kFuncRef && !i.type.table.limits.is64;
        if (!plain) other = str(i.name) + ", which is not of funcref";
        lib.of(ExternKind::Table).push_back(0);
      });
      each_import(lib, ExternKind::Memory, [&](uint32_t, const wasm::Import& i) {
        if (std::string_view(i.name) != "memory") other = str(i.name);
        const wasm::MemoryType& t = i.type.memory;
        if (t.limits.is64) other = str(i.name) + ", which is of 64 bits";
        if (t.page_size_log2 != 16) other = str(i.name) + ", which has other pages";
        pages_ = std::max(pages_, uint32_t(std::min<uint64_t>(t.limits.min, kPageSize)));
        lib.of(ExternKind::Memory).push_back(0);
      });
      if (!other.empty())
        return Error(ErrorKind::Unsupported, "library " + lib.name + " imports " + other);
      for (uint32_t t = m.imported_tables; t < m.tables.size(); ++t) {
        if (m.tables[t].init)
          return Error(ErrorKind::Unsupported,
                       "library " + lib.name + " has a table with an initializer");
        wasm::TableType type = m.tables[t].type;
        type.element = moved(lib, type.element);
        tables_.push_back(type);
        lib.of(ExternKind::Table).push_back(uint32_t(tables_.size()));
      }
      for (uint32_t i = m.imported_memories; i < m.memories.size(); ++i) {
        memories_.push_back(m.memories[i].type);
        lib.of(ExternKind::Memory).push_back(uint32_t(memories_.size()));
      }
    }
    return {};
  }

  Result<void> number_tags() {
    for (Lib& lib : libs_) {
      const wasm::Module& m = *lib.module;
      lib.of(ExternKind::Tag).assign(m.tags.size(), kUnknown);
      for (uint32_t t = m.imported_tags; t < m.tags.size(); ++t) {
        lib.of(ExternKind::Tag)[t] = out_.tag(m.tags[t].type_index + lib.type_base);
      }
    }
    return {};
  }

  // What an import of "env" is, through libraries that export what they import; null if nothing.
  const Definition* definition(const Definition* d, ExternKind kind) const {
    for (int n = 0; d && n < kMaxReexports; ++n) {
      const Lib& lib = libs_[d->lib];
      if (lib.of(kind)[d->what->index] != kUnknown) return d;
      const auto& imports = lib.imports[size_t(kind)];
      if (d->what->index >= imports.size()) return nullptr;
      d = find(kind, str(imports[d->what->index]->name));
    }
    return nullptr;
  }

  Result<void> resolve() {
    struct Found {
      Lib* lib;
      ExternKind kind;
      uint32_t index, to;
    };
    std::vector<Found> found;
    for (Lib& lib : libs_) {
      for (const ExternKind kind : {ExternKind::Func, ExternKind::Tag}) {
        const bool func = kind == ExternKind::Func;
        each_import(lib, kind, [&](uint32_t n, const wasm::Import& i) {
          if (lib.of(kind)[n] != kUnknown) return;
          const uint32_t t = i.type.type_index;
          const Definition* d = definition(find(kind, str(i.name)), kind);
          if (d) {
            const wasm::Module& m = *libs_[d->lib].module;
            const uint32_t theirs =
                func ? m.functions[d->what->index].type_index : m.tags[d->what->index].type_index;
            if (same(lib, t, libs_[d->lib], theirs)) {
              found.push_back({&lib, kind, n, libs_[d->lib].of(kind)[d->what->index]});
            } else {
              miss(lib, i, func ? "function of another type" : "tag of another type");
            }
          } else if (func && has_tls_ && is_tls(i)) {
            found.push_back(
                {&lib, kind, n,
                 tls_func(lib, std::string_view(i.name) == kGetTls, t + lib.type_base)});
          } else if (const auto dl = dl_symbol(std::string_view(i.name)); func && dl) {
            if (lib.module->types[t].func == dl_type(*dl))
              found.push_back({&lib, kind, n, dl_func(*dl)});
            else
              miss(lib, i, "function of another type");
          } else if (func && (options_.stub_missing || is_weak(lib, i))) {
            found.push_back(
                {&lib, kind, n,
                 out_.func(t + lib.type_base, cm::Body().op(Opcode::Unreachable).end())});
          } else {
            miss(lib, i, func ? "function" : "tag");
          }
        });
      }
    }
    for (const Found& f : found) f.lib->of(f.kind)[f.index] = f.to;
    return {};
  }

  // ---- Globals --------------------------------------------------------------------------

  uint32_t add_global(bool is_mutable, uint32_t value) {
    Vec<uint8_t> init;
    write_const(init, value);
    write_end(init);
    return out_.global({wasm::kI32, is_mutable}, {init.data(), init.size()});
  }

  static void write_const(Vec<uint8_t>& out, uint32_t value) {
    wasm::Instr i;
    i.op = Opcode::I32Const;
    i.i32 = int32_t(value);
    wasm::write_instr(out, i);
  }
  static void write_end(Vec<uint8_t>& out) {
    wasm::Instr end;
    end.op = Opcode::End;
    wasm::write_instr(out, end);
  }

  // Where an exported datum is from the library's base on; nothing of globals that are no data.
  static std::optional<uint32_t> offset_of(const Lib& lib, const wasm::Export& e) {
    const wasm::Global& g = lib.module->globals[e.index];
    if (g.imported || g.type.type != wasm::kI32 || g.type.is_mutable) return std::nullopt;
    wasm::InstrReader reader(lib.module->bytes, g.init.begin, g.init.end, lib.module->features);
    wasm::Instr i;
    if (!reader.read(i) || i.op != Opcode::I32Const) return std::nullopt;
    const auto value = uint32_t(i.i32);
    if (!reader.read(i) || i.op != Opcode::End) return std::nullopt;
    return value;
  }
  Result<uint32_t> address(const Definition& d) const {
    const Lib& lib = libs_[d.lib];
    if (const auto offset = offset_of(lib, *d.what)) return lib.memory_base + *offset;
    return invalid("symbol " + str(d.what->name) + " of library " + lib.name +
                   " is not at a constant address");
  }

  // Where a function is in the table.
  uint32_t table_index(uint32_t func) {
    const auto [it, fresh] = in_table_.try_emplace(func, table_size_ + uint32_t(got_.size()));
    if (fresh) got_.push_back(func);
    return it->second;
  }

  Result<uint32_t> datum(const Lib& lib, const wasm::Import& i) {
    const std::string name = str(i.name);
    const std::pair<std::string_view, uint64_t> known[] = {
        {"__heap_base", heap_base_},
        {"__heap_end",
         std::min<uint64_t>(uint64_t{pages_} * kPageSize, UINT32_MAX - (kHeapAlign - 1))},
        {"__stack_low", 0},
        {"__stack_high", options_.stack_size}};
    for (const auto& [n, value] : known)
      if (n == name) return uint32_t(value);
    if (name == kLibraries) return dl_root_;
    if (has_tls_ && name == kProgramTls) return tls_program_;
    if (const Definition* d = find(ExternKind::Global, name)) return address(*d);
    if (!is_weak(lib, i)) miss(lib, i, "data");
    return 0u;
  }

  Result<uint32_t> got_func(const Lib& lib, const wasm::Import& i) {
    const Definition* d = definition(find(ExternKind::Func, str(i.name)), ExternKind::Func);
    if (d) return table_index(libs_[d->lib].of(ExternKind::Func)[d->what->index]);
    if (const auto dl = dl_symbol(std::string_view(i.name))) return table_index(dl_func(*dl));
    if (!is_weak(lib, i)) miss(lib, i, "function");
    return 0u;
  }

  Result<void> number_globals() {
    constexpr auto G = ExternKind::Global;
    const auto shared = [&](const std::string& name, bool is_mutable, uint32_t value) {
      const auto [it, fresh] = shared_.try_emplace(name, 0);
      if (fresh) it->second = add_global(is_mutable, value);
      return it->second;
    };
    for (Lib& lib : libs_) {
      const wasm::Module& m = *lib.module;
      lib.of(G).assign(m.globals.size(), kUnknown);
      uint32_t g = 0;
      for (const wasm::Import& i : m.imports) {
        if (i.type.kind != G) continue;
        const std::string module = str(i.module), name = str(i.name);
        uint32_t& to = lib.of(G)[g];
        const wasm::GlobalType& t = i.type.global;
        const bool base = name == "__memory_base" || name == "__table_base";
        if (!(t.type == wasm::kI32)) {
          return invalid("library " + lib.name + " imports global " + name +
                         " of another type than i32");
        } else if (module == kEnv && base && !t.is_mutable) {
          const uint32_t value = name == "__memory_base" ? lib.memory_base : lib.table_base;
          lib.constants[g] = value;
          to = add_global(false, value);
        } else if (!t.is_mutable) {
          miss(lib, i, "global");
        } else if (module == kEnv && name == "__stack_pointer") {
          to = shared(name, true, options_.stack_size);
        } else if (module == kEnv && name.starts_with("__asyncify_")) {
          to = shared(name, true, 0);
        } else if (module == kGotMem) {
          WAFER_LET(value, datum(lib, i));
          to = shared(module + " " + name, true, value);
        } else if (module == kGotFunc) {
          WAFER_LET(value, got_func(lib, i));
          to = shared(module + " " + name, true, value);
        } else {
          miss(lib, i, "global");
        }
        ++g;
      }
    }
    return {};
  }

  Result<void> write_globals() {
    uint32_t next = out_.count(ExternKind::Global);
    for (Lib& lib : libs_) {
      auto& map = lib.of(ExternKind::Global);
      for (uint32_t g = lib.module->imported_globals; g < map.size(); ++g) map[g] = next++;
    }
    for (Lib& lib : libs_) {
      const wasm::Module& m = *lib.module;
      for (uint32_t g = m.imported_globals; g < m.globals.size(); ++g) {
        wasm::GlobalType t = m.globals[g].type;
        t.type = moved(lib, t.type);
        Vec<uint8_t> init;
        WAFER_TRY(write_expr(init, lib, m.globals[g].init));
        out_.global(t, {init.data(), init.size()});
      }
    }
    return {};
  }

  // ---- Code and segments ----------------------------------------------------------------

  static void renumber(const Lib& lib, wasm::IndexSpace space, uint32_t& index) {
    using enum wasm::IndexSpace;
    switch (space) {
      case None:
        break;
      case Type:
        index += lib.type_base;
        break;
      case Elem:
        index += lib.elem_base;
        break;
      case Data:
        index += lib.data_base;
        break;
      case Func:
        index = lib.of(ExternKind::Func)[index];
        break;
      case Table:
        index = lib.of(ExternKind::Table)[index];
        break;
      case Memory:
        index = lib.of(ExternKind::Memory)[index];
        break;
      case Global:
        index = lib.of(ExternKind::Global)[index];
        break;
      case Tag:
        index = lib.of(ExternKind::Tag)[index];
        break;
    }
  }
  static void renumber(const Lib& lib, wasm::Instr& i) {
    wasm::visit_indices(
        i, [&](wasm::IndexSpace space, uint32_t& index) { renumber(lib, space, index); });
  }

  // A constant expression. Bases become constants, as only imported globals were once allowed.
  Result<void> write_expr(Vec<uint8_t>& out, const Lib& lib, wasm::ByteRange expr) const {
    wasm::InstrReader reader(lib.module->bytes, expr.begin, expr.end, lib.module->features);
    while (!reader.at_end()) {
      wasm::Instr i;
      WAFER_TRY(reader.read(i));
      const auto known = lib.constants.find(i.index);
      if (i.op == Opcode::GlobalGet && known != lib.constants.end()) {
        write_const(out, known->second);
        continue;
      }
      renumber(lib, i);
      wasm::write_instr(out, i);
    }
    return {};
  }

  Result<void> write_bodies() {
    uint32_t elems = 0, datas = 0;
    auto& names = out_.names.functions.entries;
    for (Lib& lib : libs_) {
      lib.elem_base = elems;
      lib.data_base = datas;
      elems += uint32_t(lib.module->elems.size());
      datas += uint32_t(lib.module->datas.size());
    }
    for (const Lib& lib : libs_) {
      const wasm::Module& m = *lib.module;
      for (uint32_t f = m.imported_functions; f < m.functions.size(); ++f) {
        const wasm::ByteRange body = m.functions[f].body;
        wasm::Cursor c(m.bytes.data(), body.begin, body.end, m.bytes.size(), m.features);
        uint32_t groups = 0, count = 0;
        Vec<uint8_t> out;
        if (!c.u32(groups)) return c.take_error();
        write_uleb(out, groups);
        for (; groups > 0; --groups) {
          wasm::ValType t;
          if (!c.u32(count) || !c.val_type(t)) return c.take_error();
          write_uleb(out, count);
          wasm::write_val_type(out, moved(lib, t));
        }
        wasm::InstrReader reader(m.bytes, c.offset(), body.end, m.features);
        while (!reader.at_end()) {
          wasm::Instr i;
          WAFER_TRY(reader.read(i));
          renumber(lib, i);
          wasm::write_instr(out, i);
        }
        out_.set_body(lib.of(ExternKind::Func)[f], std::move(out));
      }
      for (const auto& [index, name] : m.names.functions.entries)
        if (index >= m.imported_functions && index < m.functions.size())
          names.emplace_back(lib.of(ExternKind::Func)[index], name);
    }
    std::sort(names.begin(), names.end());

    // Start functions and relocations first; constructors may call what is imported, so that
    // they wait until all of that is there.
    cm::Body start, initialize;
    bool starts = false, initializes = false;
    for (const Lib& lib : libs_) {
      if (!lib.module->start) continue;
      start.call(lib.of(ExternKind::Func)[*lib.module->start]);
      starts = true;
    }
    for (const bool relocs : {true, false}) {
      for (const Lib& lib : libs_) {
        const wasm::Export* e = own(lib, relocs ? kRelocs : kCtors);
        if (!relocs && !e) e = own(lib, kInitialize);
        if (!e) continue;
        (relocs ? start : initialize).call(lib.of(ExternKind::Func)[e->index]);
        (relocs ? starts : initializes) = true;
      }
    }
    const uint32_t none = type({});
    if (starts) out_.start(out_.func(none, start.end()));
    if (initializes) initialize_ = out_.func(none, initialize.end());
    return {};
  }

  Result<void> write_segments() {
    for (const Lib& lib : libs_) {
      for (const wasm::ElemSegment& s : lib.module->elems) {
        Vec<uint8_t> e;
        const bool active = s.mode == wasm::SegmentMode::Active;
        // The flags of the binary format (5.5.12): an explicit table or another mode, and kind of
        // items.
        uint32_t flags = s.uses_exprs ? 4 : 0;
        flags |= active ? 2u : s.mode == wasm::SegmentMode::Passive ? 1u : 3u;
        write_uleb(e, flags);
        if (active) {
          write_uleb(e, lib.of(ExternKind::Table)[s.table]);
          WAFER_TRY(write_expr(e, lib, s.offset));
        }
        if (s.uses_exprs) {
          wasm::write_val_type(e, moved(lib, s.type));
        } else {
          e.push_back(0);
        }
        write_uleb(e, s.size());
        for (uint32_t f : s.funcs) write_uleb(e, lib.of(ExternKind::Func)[f]);
        for (const wasm::ConstExpr& x : s.exprs) WAFER_TRY(write_expr(e, lib, x));
        out_.raw_elem({e.data(), e.size()});
      }
      for (const wasm::DataSegment& s : lib.module->datas) {
        Vec<uint8_t> d;
        if (s.mode == wasm::SegmentMode::Active) {
          const uint32_t memory = lib.of(ExternKind::Memory)[s.memory];
          write_uleb(d, memory == 0 ? 0 : 2);
          if (memory != 0) write_uleb(d, memory);
          WAFER_TRY(write_expr(d, lib, s.offset));
        } else {
          write_uleb(d, 1);
        }
        write_uleb(d, s.bytes.size());
        cm::write_bytes(d, lib.module->slice(s.bytes));
        out_.raw_data({d.data(), d.size()});
      }
    }
    WAFER_TRY(find_openable());
    if (!dl_.empty() || dl_find_) data_at(dl_at_, write_dl_table(dl_, dl_at_).bytes);
    write_dl_funcs();
    if (!got_.empty()) out_.elements(got_, table_size_);
    // What exports have declared, which may be gone, code may refer to.
    std::vector<uint32_t> declared;
    for (const Lib& lib : libs_)
      for (uint32_t f = 0; f < lib.module->functions.size(); ++f)
        if (const uint32_t to = lib.of(ExternKind::Func)[f];
            lib.module->functions[f].declared && to != kUnknown)
          declared.push_back(to);
    if (!declared.empty()) {
      Vec<uint8_t> e;
      write_uleb(e, 3);
      e.push_back(0);
      write_uleb(e, declared.size());
      for (uint32_t f : declared) write_uleb(e, f);
      out_.raw_elem({e.data(), e.size()});
    }
    return {};
  }

  void write_exports() {
    out_.export_("memory", ExternKind::Memory, 0);
    out_.export_(kTable, ExternKind::Table, 0);
    if (initialize_) out_.export_(kInitialize, ExternKind::Func, *initialize_);
    for (const auto& [key, d] : symbols_)
      if (key.first == ExternKind::Func && key.second != "memory" && key.second != kTable)
        out_.export_(key.second, key.first, libs_[d.lib].of(key.first)[d.what->index]);
  }

  // What is shared comes before what libraries have for themselves.
  void write_tables_and_memories() {
    wasm::TableType table;
    table.element = wasm::kFuncRef;
    table.limits.min = table_size_ + got_.size();
    out_.table(table);
    for (const wasm::TableType& t : tables_) out_.table(t);
    wasm::MemoryType memory;
    memory.limits.min = pages_;
    out_.memory(memory);
    for (const wasm::MemoryType& m : memories_) out_.memory(m);
  }

  static constexpr uint32_t kUnknown = ~0u;

  std::vector<Lib>& libs_;
  const LinkOptions& options_;
  std::map<std::pair<ExternKind, std::string>, Definition> symbols_;
  std::set<std::string> missing_;
  uint32_t heap_base_ = 0, pages_ = 0, table_size_ = 0, type_count_ = 0;
  static constexpr uint32_t kTlsProgramSize = 12;
  bool has_tls_ = false, tls_program_used_ = false, threads_ = false;
  uint32_t tls_count_ = 0, tls_bases_ = 0, tls_infos_ = 0, tls_program_ = 0;
  std::optional<uint32_t> context_;  // the function that gives slot 1 of it
  std::vector<DlLibrary> dl_;
  uint32_t dl_at_ = 0, dl_root_ = 0, messages_ = 0;
  std::optional<uint32_t> dl_find_, dl_funcs_[kDlCount];
  std::map<uint32_t, uint32_t> in_table_;
  std::vector<uint32_t> got_;  // functions that are in the table for their addresses
  std::map<std::string, uint32_t> shared_;
  std::optional<uint32_t> initialize_;
  std::vector<wasm::TableType> tables_;  // the libraries' own
  std::vector<wasm::MemoryType> memories_;
  cm::CoreModuleWriter out_;
};

// Those that others need come first; which of a circle does not matter.
Result<std::vector<size_t>> order(const std::vector<Lib>& libs) {
  std::map<std::string_view, size_t> by_name;
  for (size_t l = 0; l < libs.size(); ++l)
    if (!by_name.emplace(libs[l].name, l).second)
      return invalid("two libraries are named " + libs[l].name);
  std::string missing;
  for (const Lib& lib : libs)
    for (const std::string& n : lib.info.needed)
      if (!by_name.contains(n)) missing += "\n\t" + lib.name + " needs " + n;
  if (!missing.empty()) return invalid("missing libraries:" + missing);
  std::vector<size_t> out;
  std::vector<bool> seen(libs.size());
  for (size_t first = 0; first < libs.size(); ++first) {
    if (seen[first]) continue;
    seen[first] = true;
    std::vector<std::pair<size_t, size_t>> stack{{first, 0}};
    while (!stack.empty()) {
      const auto [l, next] = stack.back();
      if (next == libs[l].info.needed.size()) {
        out.push_back(l);
        stack.pop_back();
        continue;
      }
      ++stack.back().second;
      const size_t other = by_name.at(libs[l].info.needed[next]);
      if (!seen[other]) {
        seen[other] = true;
        stack.emplace_back(other, 0);
      }
    }
  }
  return out;
}

// Leaves away what neither exports anything of a world, nor can be opened, nor is used by such a
// library. If there is no such library, all are kept.
std::vector<size_t> used(const std::vector<Lib>& libs, const std::vector<size_t>& sequence) {
  std::map<std::pair<ExternKind, std::string_view>, size_t> symbols;
  std::map<std::string_view, size_t> by_name;
  std::vector<size_t> work;
  std::vector<bool> seen(libs.size());
  const auto use = [&](size_t l) {
    if (seen[l]) return;
    seen[l] = true;
    work.push_back(l);
  };
  for (const size_t l : sequence) {
    by_name.emplace(libs[l].name, l);
    for (const wasm::Export& e : libs[l].module->exports)
      symbols.try_emplace({e.kind, std::string_view(e.name)}, l);
    if (libs[l].exports_world || libs[l].openable) use(l);
  }
  if (work.empty()) return sequence;
  while (!work.empty()) {
    const Lib& lib = libs[work.back()];
    work.pop_back();
    for (const std::string& n : lib.info.needed) use(by_name.at(n));
    for (const wasm::Import& i : lib.module->imports) {
      const std::string_view module(i.module);
      const bool got_func = module == kGotFunc;
      if (module != kEnv && module != kGotMem && !got_func) continue;
      const auto found =
          symbols.find({got_func ? ExternKind::Func : i.type.kind, std::string_view(i.name)});
      if (found != symbols.end()) use(found->second);
    }
  }
  std::vector<size_t> out;
  for (const size_t l : sequence)
    if (seen[l]) out.push_back(l);
  return out;
}

// Functions by which linkers and libraries know each other have one type.
Result<void> check_conventions(const Lib& lib) {
  const wasm::Module& m = *lib.module;
  const auto is = [](const wasm::FuncType& t, size_t params, size_t results) {
    const auto all_i32 = [](const Vec<wasm::ValType>& v) {
      return std::all_of(v.begin(), v.end(), [](wasm::ValType x) { return x == wasm::kI32; });
    };
    return t.params.size() == params && t.results.size() == results && all_i32(t.params) &&
           all_i32(t.results);
  };
  bool ctors = false, initialize = false;
  for (const wasm::Export& e : m.exports) {
    const std::string_view name(e.name);
    if (e.kind != ExternKind::Func) continue;
    ctors |= name == kCtors;
    initialize |= name == kInitialize;
    if ((name == kCtors || name == kInitialize || name == kRelocs) &&
        !is(m.func_type(e.index), 0, 0))
      return invalid("library " + lib.name + ": export `" + str(e.name) +
                     "` is not of type [] -> []");
  }
  if (ctors && initialize)
    return invalid("library " + lib.name + " exports both `__wasm_call_ctors` and `_initialize`");
  for (const wasm::Import& i : m.imports) {
    const std::string_view name(i.name);
    if (std::string_view(i.module) != kEnv || i.type.kind != ExternKind::Func) continue;
    const wasm::FuncType& t = m.types[i.type.type_index].func;
    const bool get = name == "__wasm_get_stack_pointer" || name == "__wasm_get_tls_base";
    const bool set = name == "__wasm_set_stack_pointer" || name == "__wasm_set_tls_base";
    if ((get && !is(t, 0, 1)) || (set && !is(t, 1, 0)))
      return invalid("library " + lib.name + ": import `env." + str(i.name) + "` is not of type " +
                     (get ? "[] -> [i32]" : "[i32] -> []"));
  }
  return {};
}

}  // namespace

Result<Vec<uint8_t>> link(const std::vector<Library>& libraries, const LinkOptions& options) {
  constexpr uint32_t kStackAlign = 16;
  if (options.stack_size % kStackAlign != 0 || options.stack_size > (1u << 30))
    return invalid("a stack has a multiple of 16 bytes, and at most 1 GiB");
  std::vector<Lib> libs;
  std::vector<Vec<uint8_t>> worlds;
  std::shared_ptr<wasm::TypeRegistry> registry;
  for (const Library& l : libraries) {
    const auto at = [&](const Error& e) {
      return Error(e.kind, "library " + l.name + ": " + std::string(std::string_view(e.message)),
                   e.offset);
    };
    if (cm::is_component(l.bytes))
      return invalid("library " + l.name + " is a component; a core module was expected");
    auto sections = cm::sections(l.bytes);
    if (!sections.ok()) return at(sections.error());
    Lib lib;
    lib.name = l.name;
    lib.openable = l.openable;
    bool found = false;
    for (const cm::Section& s : *sections) {
      if (s.id != 0) continue;
      if (s.name.starts_with(wit::kComponentTypeSection)) {
        worlds.emplace_back(s.whole.begin(), s.whole.end());
        const auto world = wit::decode_component_type(s.contents);
        if (!world.ok()) return at(world.error());
        lib.exports_world |= !world->resolve.worlds[world->world].exports.empty();
      }
      if (s.name != "dylink.0") continue;
      found = true;
      auto info = read_dylink(s.contents);
      if (!info.ok()) return at(info.error());
      lib.info = std::move(*info);
    }
    if (!found) return invalid("library " + l.name + " has no section dylink.0; is it `-shared`?");
    wasm::DecodeOptions decode;
    decode.features = wasm::FeatureSet::all();
    decode.copy_bytes = false;
    decode.registry = registry;
    auto module = wasm::decode_module(l.bytes, decode);
    if (!module.ok()) return at(module.error());
    lib.module = *module;
    for (const wasm::Export& e : lib.module->exports)
      lib.exports_world |= std::string_view(e.name) == "_start";
    registry = lib.module->registry;
    WAFER_TRY(check_conventions(lib));
    libs.push_back(std::move(lib));
  }
  if (libs.empty()) return invalid("there are no libraries to link");
  WAFER_LET(sequence, order(libs));
  std::vector<Lib> ordered;
  for (size_t l : used(libs, sequence)) ordered.push_back(std::move(libs[l]));
  return Linker(ordered, options).run(worlds);
}

}  // namespace wafer::compose
