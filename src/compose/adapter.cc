#include "compose/adapter.h"

#include <algorithm>

#include "base/leb128.h"
#include "component/core_module.h"
#include "component/sections.h"
#include "wasm/decoder.h"
#include "wasm/indices.h"
#include "wasm/validator.h"

namespace wafer::compose {

namespace {

using wasm::Opcode;
namespace cm = component;

constexpr int32_t kStackSize = 64 * 1024;
constexpr uint32_t kGone = ~0u;

// States of the adapter's global that tells whether its stack is there yet.
enum StackState : int32_t { kUnallocated, kAllocating, kAllocated };

Error unsupported(const std::string& what) {
  return {ErrorKind::Invalid, "an adapter cannot have " + what};
}

// cabi_realloc by memory.grow: gives new stacks, and nothing else.
Vec<uint8_t> realloc_by_growing(uint8_t page_size_log2) {
  cm::Body b(4);
  const uint32_t before = b.local(wasm::kI32);
  const auto expect = [&](uint32_t param, int32_t value) {
    b.i32(value).op(Opcode::LocalGet, param).op(Opcode::I32Ne);
    b.if_().op(Opcode::Unreachable).op(Opcode::End);
  };
  expect(0, 0);
  expect(1, 0);
  expect(3, kStackSize);
  b.i32(kStackSize >> page_size_log2).op(Opcode::MemoryGrow, 0).tee(before);
  b.i32(-1).op(Opcode::I32Eq).if_().op(Opcode::Unreachable).op(Opcode::End);
  b.get(before);
  if (page_size_log2 > 0) b.i32(page_size_log2).op(Opcode::I32Shl);
  return b.end();
}

Vec<uint8_t> allocate_stack(uint32_t realloc, uint32_t stack_pointer,
                            std::optional<uint32_t> state) {
  cm::Body b;
  if (state) {
    b.op(Opcode::GlobalGet, *state).i32(kUnallocated).op(Opcode::I32Eq).if_();
    b.i32(kAllocating).op(Opcode::GlobalSet, *state);
  }
  b.i32(0).i32(0).i32(8).i32(kStackSize).op(Opcode::Call, realloc);
  b.i32(kStackSize).op(Opcode::I32Add).op(Opcode::GlobalSet, stack_pointer);
  if (state) b.i32(kAllocated).op(Opcode::GlobalSet, *state).op(Opcode::End);
  return b.end();
}

class Reducer {
 public:
  Reducer(const wasm::Module& m, std::optional<std::string> realloc, uint8_t page_size_log2)
      : m_(m), main_realloc_(std::move(realloc)), page_size_log2_(page_size_log2) {
    for (const wasm::Import& i : m.imports) by_kind_[size_t(i.type.kind)].push_back(&i);
    funcs_.resize(m.functions.size());
    globals_.resize(m.globals.size());
    memories_.resize(m.memories.size());
  }

  Result<Vec<uint8_t>> run(const std::set<std::string>& required) {
    if (!m_.elems.empty() || !m_.datas.empty()) return unsupported("segments");
    if (!m_.tags.empty()) return unsupported("tags");
    if (m_.start) return unsupported("a start function");
    if (m_.memories.size() > m_.imported_memories) return unsupported("a memory of its own");
    for (const std::string& name : required) {
      const wasm::Export* found = nullptr;
      for (const wasm::Export& e : m_.exports)
        if (std::string_view(e.name) == name) found = &e;
      if (!found)
        return Error(ErrorKind::Invalid, "adapter module does not have export `" + name + "`");
      exports_.push_back(found);
      WAFER_TRY(mark(*found));
    }
    WAFER_TRY(walk());
    size_t memories = 0;
    for (bool live : memories_) memories += live;
    if (memories > 1) return unsupported("more than one memory");
    return write(memories != 0);
  }

 private:
  // ---- What is needed -----------------------------------------------------------------

  Result<void> mark(const wasm::Export& e) {
    switch (e.kind) {
      case wasm::ExternKind::Func:
        mark_func(e.index);
        return {};
      case wasm::ExternKind::Global:
        globals_[e.index] = true;
        return {};
      case wasm::ExternKind::Memory:
        memories_[e.index] = true;
        return {};
      default:
        return unsupported("exports but functions, globals and its memory");
    }
  }

  void mark_func(uint32_t f) {
    if (funcs_[f]) return;
    funcs_[f] = true;
    work_.push_back(f);
  }

  Result<void> walk() {
    // Initializers of globals may refer to globals before them, and to functions.
    std::vector<bool> done(globals_.size());
    while (true) {
      while (!work_.empty()) {
        const uint32_t f = work_.back();
        work_.pop_back();
        if (m_.functions[f].imported) continue;
        WAFER_TRY(each_instr(m_.functions[f].body, /*locals=*/nullptr,
                             [&](wasm::Instr& i) { return visit(i); }));
      }
      bool more = false;
      for (size_t g = 0; g < globals_.size(); ++g) {
        if (!globals_[g] || done[g] || m_.globals[g].imported) continue;
        done[g] = more = true;
        wasm::InstrReader reader(m_.bytes, m_.globals[g].init.begin, m_.globals[g].init.end,
                                 m_.features);
        while (!reader.at_end()) {
          wasm::Instr i;
          WAFER_TRY(reader.read(i));
          WAFER_TRY(visit(i));
        }
      }
      if (!more && work_.empty()) return {};
    }
  }

  Result<void> visit(wasm::Instr& i) {
    std::optional<Error> problem;
    const auto in = [&](const std::vector<bool>& space, uint32_t index, const char* what) {
      if (index < space.size()) return true;
      problem = Error(ErrorKind::Invalid, std::string("unknown ") + what, i.offset_in_module);
      return false;
    };
    wasm::visit_indices(i, [&](wasm::IndexSpace space, uint32_t& index) {
      using enum wasm::IndexSpace;
      switch (space) {
        case None:
        case Type:  // all are kept
          break;
        case Func:
          if (in(funcs_, index, "function")) mark_func(index);
          break;
        case Global:
          if (in(globals_, index, "global")) globals_[index] = true;
          break;
        case Memory:
          if (in(memories_, index, "memory")) memories_[index] = true;
          break;
        case Table:
          problem = unsupported("tables");
          break;
        case Elem:
        case Data:
          problem = unsupported("segments");
          break;
        case Tag:
          problem = unsupported("tags");
          break;
      }
    });
    if (problem) return *std::move(problem);
    return {};
  }

  // Reads a body; what comes before its instructions is appended to `locals`.
  template <class F>
  Result<void> each_instr(wasm::ByteRange body, Vec<uint8_t>* locals, F&& f) {
    wasm::Cursor c(m_.bytes.data(), body.begin, body.end, m_.bytes.size(), m_.features);
    uint32_t groups = 0, count = 0;
    if (!c.u32(groups)) return c.take_error();
    for (uint32_t i = 0; i < groups; ++i) {
      wasm::ValType t;
      if (!c.u32(count) || !c.val_type(t)) return c.take_error();
    }
    if (locals) cm::write_bytes(*locals, m_.slice({body.begin, c.offset()}));
    wasm::InstrReader reader(m_.bytes, c.offset(), body.end, m_.features);
    while (!reader.at_end()) {
      wasm::Instr i;
      WAFER_TRY(reader.read(i));
      WAFER_TRY(f(i));
    }
    return {};
  }

  // ---- What is written ----------------------------------------------------------------

  // A live mutable global of type i32 with a name that only the name section gives.
  Result<std::optional<uint32_t>> named_global(std::string_view name) const {
    std::optional<uint32_t> out;
    for (uint32_t g = 0; g < m_.globals.size(); ++g) {
      const wasm::GlobalType& t = m_.globals[g].type;
      if (!globals_[g] || !t.is_mutable || !(t.type == wasm::kI32) ||
          m_.names.globals.find(g) != name)
        continue;
      if (out) return unsupported("several globals named " + std::string(name));
      out = g;
    }
    return out;
  }

  bool is_realloc(const wasm::Import& i) const {
    const std::string_view name(i.name);
    return std::string_view(i.module) == kMainModule &&
           (name == "cabi_realloc" || name == "canonical_abi_realloc");
  }

  Result<Vec<uint8_t>> write(bool has_memory) {
    cm::CoreModuleWriter out;
    auto sections = cm::sections(m_.bytes);
    if (!sections.ok()) return sections.take_error();
    for (const cm::Section& s : *sections) {
      if (s.id != 1) continue;
      const uint8_t* p = s.contents.data();
      const uint8_t* end = p + s.contents.size();
      uint64_t groups = 0;
      (void)read_uleb<32>(p, end, groups);
      out.raw_types({p, end}, static_cast<uint32_t>(groups),
                    static_cast<uint32_t>(m_.types.size()));
    }
    WAFER_LET(sp, named_global("__stack_pointer"));
    WAFER_LET(state, named_global("allocation_state"));

    const auto import = [&](const wasm::Import& i, std::string_view name) {
      return out.import(std::string_view(i.module), name, cm::CoreExternType::of(i.type));
    };
    for (uint32_t i = 0; i < memories_.size(); ++i)
      new_memories_.push_back(
          memories_[i]
              ? import(*by_kind_[size_t(wasm::ExternKind::Memory)][i],
                       std::string_view(by_kind_[size_t(wasm::ExternKind::Memory)][i]->name))
              : kGone);
    new_funcs_.assign(m_.functions.size(), kGone);
    new_globals_.assign(m_.globals.size(), kGone);
    for (uint32_t g = 0; g < m_.imported_globals; ++g) {
      if (!globals_[g]) continue;
      const wasm::Import& i = *by_kind_[size_t(wasm::ExternKind::Global)][g];
      new_globals_[g] = import(i, std::string_view(i.name));
    }
    std::optional<uint32_t> realloc;
    for (uint32_t f = 0; f < m_.imported_functions; ++f) {
      if (!funcs_[f]) continue;
      const wasm::Import& i = *by_kind_[size_t(wasm::ExternKind::Func)][f];
      if (!is_realloc(i)) {
        new_funcs_[f] = import(i, std::string_view(i.name));
      } else if (main_realloc_) {
        // By the name that the main module has for it.
        realloc = new_funcs_[f] = import(i, *main_realloc_);
      }
    }
    wasm::FuncType realloc_type;
    realloc_type.params.assign(4, wasm::kI32);
    realloc_type.results.push_back(wasm::kI32);
    if (main_realloc_ && sp && !realloc)
      realloc = out.import_func(kMainModule, *main_realloc_, out.type(realloc_type));

    for (uint32_t g = m_.imported_globals; g < m_.globals.size(); ++g) {
      if (!globals_[g]) continue;
      Vec<uint8_t> init;
      wasm::InstrReader reader(m_.bytes, m_.globals[g].init.begin, m_.globals[g].init.end,
                               m_.features);
      while (!reader.at_end()) {
        wasm::Instr i;
        WAFER_TRY(reader.read(i));
        renumber(i);
        wasm::write_instr(init, i);
      }
      new_globals_[g] = out.global(m_.globals[g].type, {init.data(), init.size()});
    }

    for (uint32_t f = 0; f < m_.functions.size(); ++f) {
      if (!funcs_[f] || new_funcs_[f] != kGone) continue;
      new_funcs_[f] = out.func(m_.functions[f].type_index);
      if (m_.functions[f].imported) {  // realloc, which the main module does not have
        realloc = new_funcs_[f];
        out.set_body(new_funcs_[f], realloc_by_growing(page_size_log2_));
      }
    }
    // With a state and the main module's realloc, the stack can wait for the first call.
    const bool lazy = sp && state && main_realloc_;
    std::optional<uint32_t> allocate;
    if (lazy) allocate = out.func(out.type({}));
    if (sp && has_memory && !lazy) {
      if (!realloc || !state)
        realloc = out.func(out.type(realloc_type), realloc_by_growing(page_size_log2_));
      allocate = out.func(out.type({}));
      out.start(*allocate);
    }
    if (allocate) {
      out.set_body(*allocate,
                   allocate_stack(*realloc, new_globals_[*sp],
                                  state ? std::optional(new_globals_[*state]) : std::nullopt));
      out.names.functions.entries.emplace_back(*allocate, String("allocate_stack"));
    }

    std::vector<bool> exported(m_.functions.size());
    for (const wasm::Export* e : exports_)
      if (e->kind == wasm::ExternKind::Func) exported[e->index] = true;
    for (uint32_t f = m_.imported_functions; f < m_.functions.size(); ++f) {
      if (!funcs_[f]) continue;
      Vec<uint8_t> body;
      bool first = lazy && exported[f];
      WAFER_TRY(each_instr(m_.functions[f].body, &body, [&](wasm::Instr& i) -> Result<void> {
        if (std::exchange(first, false)) {
          wasm::Instr call;
          call.op = Opcode::Call;
          call.index = *allocate;
          wasm::write_instr(body, call);
        }
        renumber(i);
        wasm::write_instr(body, i);
        return {};
      }));
      out.set_body(new_funcs_[f], std::move(body));
    }
    for (const wasm::Export* e : exports_) {
      const auto& map = e->kind == wasm::ExternKind::Func     ? new_funcs_
                        : e->kind == wasm::ExternKind::Global ? new_globals_
                                                              : new_memories_;
      out.export_(std::string_view(e->name), e->kind, map[e->index]);
    }
    const auto names = [](const wasm::NameMap& from, const std::vector<uint32_t>& map,
                          wasm::NameMap& to) {
      for (const auto& [index, name] : from.entries)
        if (index < map.size() && map[index] != kGone) to.entries.emplace_back(map[index], name);
      std::sort(to.entries.begin(), to.entries.end());
    };
    names(m_.names.functions, new_funcs_, out.names.functions);
    names(m_.names.globals, new_globals_, out.names.globals);
    return out.finish();
  }

  void renumber(wasm::Instr& i) const {
    wasm::visit_indices(i, [&](wasm::IndexSpace space, uint32_t& index) {
      if (space == wasm::IndexSpace::Func) index = new_funcs_[index];
      if (space == wasm::IndexSpace::Global) index = new_globals_[index];
      if (space == wasm::IndexSpace::Memory) index = new_memories_[index];
    });
  }

  const wasm::Module& m_;
  std::optional<std::string> main_realloc_;
  uint8_t page_size_log2_;
  std::array<std::vector<const wasm::Import*>, 5> by_kind_;
  std::vector<bool> funcs_, globals_, memories_;
  std::vector<uint32_t> work_;
  std::vector<const wasm::Export*> exports_;
  std::vector<uint32_t> new_funcs_, new_globals_, new_memories_;
};

}  // namespace

Result<Vec<uint8_t>> reduce_adapter(Bytes adapter, const std::set<std::string>& required,
                                    std::optional<std::string> realloc, uint8_t page_size_log2) {
  wasm::DecodeOptions options;
  options.features = wasm::FeatureSet::all();
  options.copy_bytes = false;
  options.validate = false;  // what is not needed does not matter
  WAFER_LET(module, wasm::decode_module(adapter, options));
  WAFER_TRY(wasm::validate_before_code(*module));
  return Reducer(*module, std::move(realloc), page_size_log2).run(required);
}

}  // namespace wafer::compose
