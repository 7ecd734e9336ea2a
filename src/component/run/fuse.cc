#include "component/run/fuse.h"

#include <algorithm>
#include <cstring>

#include "component/core_module.h"
#include "component/run/handles.h"
#include "component/run/text.h"
#include "component/shape.h"

namespace wafer::component {

namespace {

using wasm::kF32;
using wasm::kF64;
using wasm::kI32;
using wasm::kI64;
using wasm::Opcode;
using CoreTypes = std::vector<wasm::ValType>;

enum class Fault : uint8_t {
  Leave,
  Unaligned,
  ReallocUnaligned,
  ReallocBounds,
  ListBounds,
  StringBounds,
  PointerBounds,
  Discriminant,
  Char,
};
constexpr std::string_view kFaults[] = {
    "cannot leave component instance",
    "unaligned pointer",
    "realloc return: result not aligned (unaligned pointer)",
    "realloc return: beyond end of memory (list content out-of-bounds)",
    "list content out-of-bounds",
    "string pointer/length out of bounds of memory (string content out-of-bounds)",
    "pointer out of bounds of memory",
    "invalid variant discriminant",
    "invalid `char` bit pattern",
};

// Of the two instances of a call, which a value comes from or goes to.
enum Side : uint8_t { kCaller, kCallee };

// What an adapter imports, in order.
struct ImportPlan {
  enum class Kind : uint8_t { Fault, Realloc, Callee, PostReturn, Own, Lend, Unlend, Utf8, String };
  Kind kind;
  Side side = kCaller;  // that a value comes from
  TypeId type = 0;      // of an own handle, where it comes from
  TypeId to = 0;        // and goes to
};

struct Plan {
  Vec<uint8_t> binary;
  std::shared_ptr<wasm::Module> module;
  std::vector<ImportPlan> funcs;
  bool memory[2] = {false, false};
  bool refused = false;
};

// ---- Generation

// Of integers of that many bytes, in memory, as i32.
Opcode load_of(uint32_t size) {
  return size == 1 ? Opcode::I32Load8U : size == 2 ? Opcode::I32Load16U : Opcode::I32Load;
}
Opcode store_of(uint32_t size) {
  return size == 1 ? Opcode::I32Store8 : size == 2 ? Opcode::I32Store16 : Opcode::I32Store;
}

class Adapter {
 public:
  Adapter(ComponentInstance& caller, const LiftedFunc& callee, TypeId type,
          const ResolvedOptions& options)
      : callee_(callee),
        types_(*caller.component->types),
        func_(types_[type]),
        callee_func_(callee.def()),
        options_{&options, &callee.options} {}

  std::shared_ptr<Plan> make();

 private:
  using Locals = std::vector<uint32_t>;
  struct Address {
    uint32_t local;
    uint32_t offset = 0;
  };

  // Whether values of the type can be adapted; `params`: borrows may stand there.
  bool supported(ValType a, ValType b, bool param, unsigned depth) const;
  bool copyable(ValType type) const;
  void flatten(ValType type, CoreTypes& out) const;
  CoreTypes flatten_all(Types types) const;
  Place place(ValType t) const { return place_of(types_, t, false); }

  void fault(Fault f);  // if there is a true value on the stack
  void check_range(uint32_t at, uint32_t bytes64, uint32_t align, Side side, Fault outside);
  uint32_t func(ImportPlan plan, const CoreTypes& params, const CoreTypes& results);
  // Asks the other side for room; `bytes` in a local, or a constant.
  void reallocate(Side to, uint32_t bytes, uint32_t align, uint32_t result);

  // The value at `from` in the memory of `side` goes to `to` in the other's.
  void copy(ValType type, ValType other, Side side, Address from, Address to);
  // Core values go from `in` on, which moves, to `out`.
  void flat(ValType type, ValType other, Side side, const Locals& in, size_t& at, Locals& out);
  void string(Side side, uint32_t at, uint32_t length);  // in place
  void list(ValType type, ValType other, Side side, uint32_t at, uint32_t length);
  void handle(ValType type, ValType other, Side side, uint32_t local);
  void number(Prim prim, uint32_t local);
  void tuple(Types types, Types others, Side side, uint32_t from, uint32_t to);

  uint32_t coerce(uint32_t local, wasm::ValType from, wasm::ValType to);

  const LiftedFunc& callee_;
  const TypeArena& types_;
  const TypeDef& func_;
  const TypeDef& callee_func_;
  const ResolvedOptions* const options_[2];

  CoreModuleWriter module_;
  Body body_;
  std::shared_ptr<Plan> plan_ = std::make_shared<Plan>();
  uint32_t memory_[2] = {0, 0};
  uint32_t leave_[2] = {0, 0};
  uint32_t fault_ = 0, realloc_[2] = {0, 0}, core_ = 0, post_ = 0;
  std::vector<std::pair<ImportPlan, uint32_t>> conversions_;
  std::vector<uint32_t> lent_;  // locals of handles that the call borrows
};

bool Adapter::supported(ValType a, ValType b, bool param, unsigned depth) const {
  const ValType t = plain(types_, a), u = plain(types_, b);
  if (depth > 20) return false;
  if (!t) return true;
  if (!t.defined()) return t.prim != Prim::ErrorContext;
  const TypeDef& def = types_[t.id];
  const TypeDef& other = types_[u.id];
  switch (def.kind) {
    case TypeKind::Record:
    case TypeKind::Tuple:
      for (size_t i = 0; i < field_count(def); ++i)
        if (!supported(field_type(def, i), field_type(other, i), param, depth + 1)) return false;
      return true;
    case TypeKind::Variant:
    case TypeKind::Enum:
    case TypeKind::Option:
    case TypeKind::Result:
      if (case_count(def) > 64 && def.kind != TypeKind::Enum) return false;
      for (size_t i = 0; i < case_count(def); ++i)
        if (!supported(case_type(def, i), case_type(other, i), false, depth + 1)) return false;
      return true;
    case TypeKind::List:
      return supported(def.args[0], other.args[0], false, depth + 1);
    case TypeKind::FixedList:
      return def.length <= 16 && supported(def.args[0], other.args[0], false, depth + 1);
    case TypeKind::Flags:
      return true;
    case TypeKind::Own:
      return true;
    case TypeKind::Borrow: {
      // The callee's own resource, straight in the parameters.
      const ResourceType* const type = callee_.instance.resource_of(other.args[0].id);
      return param && type && type->impl == &callee_.instance;
    }
    default:
      return false;
  }
}

// Whether every pattern of bits is a value, and there are no gaps, which could hold secrets.
bool Adapter::copyable(ValType type) const {
  const ValType t = plain(types_, type);
  if (!t.defined()) return t.prim >= Prim::S8 && t.prim <= Prim::F64;
  const TypeDef& def = types_[t.id];
  if (def.kind == TypeKind::FixedList) return copyable(def.args[0]);
  if (def.kind != TypeKind::Record && def.kind != TypeKind::Tuple) return false;
  uint64_t size = 0;
  for (size_t i = 0; i < field_count(def); ++i) {
    if (!copyable(field_type(def, i))) return false;
    size += place(field_type(def, i)).size;
  }
  return size == place(t).size;
}

void Adapter::flatten(ValType type, CoreTypes& out) const {
  if (type) types_.flatten(type, false, 1u << 20, out);
}

CoreTypes Adapter::flatten_all(Types types) const {
  CoreTypes out;
  for (ValType t : types) flatten(t, out);
  return out;
}

wasm::FuncType func_type(const CoreTypes& params, const CoreTypes& results) {
  wasm::FuncType out;
  out.params.assign(params.begin(), params.end());
  out.results.assign(results.begin(), results.end());
  return out;
}

uint32_t Adapter::func(ImportPlan plan, const CoreTypes& params, const CoreTypes& results) {
  plan_->funcs.push_back(plan);
  return module_.import_func("", "", module_.type(func_type(params, results)));
}

void Adapter::fault(Fault f) {
  body_.if_().i32(int(f)).call(fault_).op(Opcode::Unreachable).end_block();
}

void Adapter::check_range(uint32_t at, uint32_t bytes64, uint32_t align, Side side, Fault outside) {
  if (align > 1) {
    body_.get(at).i32(align - 1).op(Opcode::I32And);
    fault(outside == Fault::ReallocBounds ? Fault::ReallocUnaligned : Fault::Unaligned);
  }
  body_.get(at).op(Opcode::I64ExtendI32U).get(bytes64).op(Opcode::I64Add);
  body_.op(Opcode::MemorySize, memory_[side])
      .op(Opcode::I64ExtendI32U)
      .i64(16)
      .op(Opcode::I64Shl)
      .op(Opcode::I64GtU);
  fault(outside);
}

void Adapter::reallocate(Side to, uint32_t bytes, uint32_t align, uint32_t result) {
  body_.i32(0).op(Opcode::GlobalSet, leave_[to]);
  body_.i32(0).i32(0).i32(align).get(bytes).call(realloc_[to]).set(result);
  body_.i32(1).op(Opcode::GlobalSet, leave_[to]);
  const uint32_t wide = body_.local(kI64);
  body_.get(bytes).op(Opcode::I64ExtendI32U).set(wide);
  check_range(result, wide, align, to, Fault::ReallocBounds);
}

void Adapter::number(Prim prim, uint32_t local) {
  switch (prim) {
    case Prim::Bool:
      body_.get(local).i32(0).op(Opcode::I32Ne).set(local);
      break;
    case Prim::U8:
      body_.get(local).i32(0xff).op(Opcode::I32And).set(local);
      break;
    case Prim::U16:
      body_.get(local).i32(0xffff).op(Opcode::I32And).set(local);
      break;
    case Prim::S8:
      body_.get(local).op(Opcode::I32Extend8S).set(local);
      break;
    case Prim::S16:
      body_.get(local).op(Opcode::I32Extend16S).set(local);
      break;
    case Prim::Char:
      body_.get(local).i32(0x110000).op(Opcode::I32GeU);
      fault(Fault::Char);
      body_.get(local).i32(0xd800).op(Opcode::I32Sub).i32(0x800).op(Opcode::I32LtU);
      fault(Fault::Char);
      break;
    default:
      break;
  }
}

void Adapter::handle(ValType type, ValType other, Side side, uint32_t local) {
  const TypeDef& def = types_[type.id];
  if (def.kind == TypeKind::Borrow) {
    const uint32_t kept = body_.local(kI32);
    body_.get(local).set(kept);
    lent_.push_back(kept);
    const ImportPlan plan{ImportPlan::Kind::Lend, side, def.args[0].id, 0};
    for (const auto& [p, index] : conversions_)
      if (p.kind == plan.kind && p.type == plan.type) {
        body_.get(local).call(index).set(local);
        return;
      }
  }
  for (const auto& [p, index] : conversions_)
    if (p.kind == ImportPlan::Kind::Own && p.side == side && p.type == def.args[0].id &&
        p.to == types_[other.id].args[0].id)
      body_.get(local).call(index).set(local);
}

void Adapter::string(Side side, uint32_t at, uint32_t length) {
  const Side to = side == kCaller ? kCallee : kCaller;
  const bool plain_copy = options_[side]->encoding == StringEncoding::Utf8 &&
                          options_[to]->encoding == StringEncoding::Utf8;
  const uint32_t index =
      std::find_if(conversions_.begin(), conversions_.end(), [&](const auto& c) {
        return c.first.kind == (plain_copy ? ImportPlan::Kind::Utf8 : ImportPlan::Kind::String) &&
               c.first.side == side;
      })->second;
  if (!plain_copy) {
    const uint32_t both = body_.local(kI64);
    body_.get(at).get(length).call(index).set(both);
    body_.get(both).op(Opcode::I32WrapI64).set(at);
    body_.get(both).i64(32).op(Opcode::I64ShrU).op(Opcode::I32WrapI64).set(length);
    return;
  }
  const uint32_t wide = body_.local(kI64), result = body_.local(kI32);
  body_.get(length).i32(int64_t(kMaxByteLength) + 1).op(Opcode::I32GeU);
  fault(Fault::StringBounds);
  body_.get(length).op(Opcode::I64ExtendI32U).set(wide);
  check_range(at, wide, 1, side, Fault::StringBounds);
  reallocate(to, length, 1, result);
  body_.get(at).get(length).get(result).call(index);
  body_.get(result).set(at);
}

void Adapter::list(ValType type, ValType other, Side side, uint32_t at, uint32_t length) {
  const Side to = side == kCaller ? kCallee : kCaller;
  const Place p = place(type);
  const uint32_t wide = body_.local(kI64), bytes = body_.local(kI32), result = body_.local(kI32);
  body_.get(length).op(Opcode::I64ExtendI32U).i64(int64_t(p.size)).op(Opcode::I64Mul).tee(wide);
  body_.i64(int64_t(kMaxByteLength)).op(Opcode::I64GtU);
  fault(Fault::ListBounds);
  check_range(at, wide, p.align, side, Fault::ListBounds);
  body_.get(wide).op(Opcode::I32WrapI64).set(bytes);
  reallocate(to, bytes, p.align, result);
  if (copyable(type)) {
    body_.get(result).get(at).get(bytes).op(Opcode::MemoryCopy, memory_[to], memory_[side]);
    body_.get(result).set(at);
    return;
  }
  const uint32_t from = body_.local(kI32), into = body_.local(kI32), end = body_.local(kI32);
  body_.get(at).tee(from).get(bytes).op(Opcode::I32Add).set(end);
  body_.get(result).set(into);
  body_.block().loop();
  body_.get(from).get(end).op(Opcode::I32Eq).op(Opcode::BrIf, 1);
  copy(type, other, side, {from}, {into});
  body_.get(from).i32(int64_t(p.size)).op(Opcode::I32Add).set(from);
  body_.get(into).i32(int64_t(p.size)).op(Opcode::I32Add).set(into);
  body_.op(Opcode::Br, 0).end_block().end_block();
  body_.get(result).set(at);
}

void Adapter::copy(ValType type, ValType other, Side side, Address from, Address to) {
  const ValType t = plain(types_, type), u = plain(types_, other);
  const uint32_t in = memory_[side], out = memory_[side == kCaller ? kCallee : kCaller];
  if (!t.defined() && t.prim != Prim::String) {
    const uint32_t size = prim_info(t.prim)->size;
    if (size == 8) {
      body_.get(to.local).get(from.local).access(Opcode::I64Load, in, from.offset);
      body_.access(Opcode::I64Store, out, to.offset);
      return;
    }
    const Opcode load = load_of(size), store = store_of(size);
    const uint32_t v = body_.local(kI32);
    body_.get(from.local).access(load, in, from.offset).set(v);
    if (t.prim == Prim::Bool || t.prim == Prim::Char) number(t.prim, v);
    body_.get(to.local).get(v).access(store, out, to.offset);
    return;
  }
  const auto pair = [&](auto&& convert) {
    const uint32_t at = body_.local(kI32), length = body_.local(kI32);
    body_.get(from.local).access(Opcode::I32Load, in, from.offset).set(at);
    body_.get(from.local).access(Opcode::I32Load, in, from.offset + 4).set(length);
    convert(at, length);
    body_.get(to.local).get(at).access(Opcode::I32Store, out, to.offset);
    body_.get(to.local).get(length).access(Opcode::I32Store, out, to.offset + 4);
  };
  if (!t.defined()) return pair([&](uint32_t at, uint32_t length) { string(side, at, length); });
  const TypeDef& def = types_[t.id];
  const TypeDef& def2 = types_[u.id];
  switch (def.kind) {
    case TypeKind::Record:
    case TypeKind::Tuple: {
      uint32_t at = 0;
      for (size_t i = 0; i < field_count(def); ++i) {
        const Place p = place(field_type(def, i));
        at = uint32_t(align_up(at, p.align));
        copy(field_type(def, i), field_type(def2, i), side, {from.local, from.offset + at},
             {to.local, to.offset + at});
        at += uint32_t(p.size);
      }
      return;
    }
    case TypeKind::FixedList:
      for (uint32_t i = 0; i < def.length; ++i) {
        const auto at = uint32_t(i * place(def.args[0]).size);
        copy(def.args[0], def2.args[0], side, {from.local, from.offset + at},
             {to.local, to.offset + at});
      }
      return;
    case TypeKind::Variant:
    case TypeKind::Enum:
    case TypeKind::Option:
    case TypeKind::Result: {
      const uint32_t size = discriminant_bytes(case_count(def));
      const Opcode load = load_of(size), store = store_of(size);
      const uint32_t index = body_.local(kI32);
      body_.get(from.local).access(load, in, from.offset).tee(index);
      body_.i32(int64_t(case_count(def))).op(Opcode::I32GeU);
      fault(Fault::Discriminant);
      body_.get(to.local).get(index).access(store, out, to.offset);
      const auto payload = uint32_t(payload_offset(types_, def, false));
      for (size_t i = 0; i < case_count(def); ++i) {
        const ValType inner = case_type(def, i);
        if (!inner) continue;
        body_.get(index).i32(int64_t(i)).op(Opcode::I32Eq).if_();
        copy(inner, case_type(def2, i), side, {from.local, from.offset + payload},
             {to.local, to.offset + payload});
        body_.end_block();
      }
      return;
    }
    case TypeKind::Flags: {
      const uint32_t size = flags_bytes(def.labels.size());
      const Opcode load = load_of(size), store = store_of(size);
      body_.get(to.local).get(from.local).access(load, in, from.offset);
      body_.i32(int64_t((uint64_t{1} << def.labels.size()) - 1)).op(Opcode::I32And);
      body_.access(store, out, to.offset);
      return;
    }
    case TypeKind::List:
      return pair(
          [&](uint32_t at, uint32_t length) { list(def.args[0], def2.args[0], side, at, length); });
    default: {
      const uint32_t v = body_.local(kI32);
      body_.get(from.local).access(Opcode::I32Load, in, from.offset).set(v);
      handle(t, u, side, v);
      body_.get(to.local).get(v).access(Opcode::I32Store, out, to.offset);
      return;
    }
  }
}

// A local of another core type with the same low bits.
uint32_t Adapter::coerce(uint32_t local, wasm::ValType from, wasm::ValType to) {
  if (from == to) return local;
  const uint32_t out = body_.local(to);
  body_.get(local);
  if (from == kF32) body_.op(Opcode::I32ReinterpretF32);
  if (from == kF64) body_.op(Opcode::I64ReinterpretF64);
  const bool wide = from == kI64 || from == kF64, wanted = to == kI64 || to == kF64;
  if (wide && !wanted) body_.op(Opcode::I32WrapI64);
  if (!wide && wanted) body_.op(Opcode::I64ExtendI32U);
  if (to == kF32) body_.op(Opcode::F32ReinterpretI32);
  if (to == kF64) body_.op(Opcode::F64ReinterpretI64);
  body_.set(out);
  return out;
}

void Adapter::flat(ValType type, ValType other, Side side, const Locals& in, size_t& at,
                   Locals& out) {
  const ValType t = plain(types_, type), u = plain(types_, other);
  const auto take = [&](wasm::ValType core) {
    const uint32_t local = body_.local(core);
    body_.get(in[at++]).set(local);
    out.push_back(local);
    return local;
  };
  if (!t.defined()) {
    if (t.prim == Prim::String) {
      const uint32_t begin = take(kI32);
      return string(side, begin, take(kI32));
    }
    CoreTypes core;
    flatten(t, core);
    return number(t.prim, take(core[0]));
  }
  const TypeDef& def = types_[t.id];
  const TypeDef& def2 = types_[u.id];
  switch (def.kind) {
    case TypeKind::Record:
    case TypeKind::Tuple:
      for (size_t i = 0; i < field_count(def); ++i)
        flat(field_type(def, i), field_type(def2, i), side, in, at, out);
      return;
    case TypeKind::FixedList:
      for (uint32_t i = 0; i < def.length; ++i) flat(def.args[0], def2.args[0], side, in, at, out);
      return;
    case TypeKind::List: {
      const uint32_t begin = take(kI32);
      return list(def.args[0], def2.args[0], side, begin, take(kI32));
    }
    case TypeKind::Flags: {
      const uint32_t v = take(kI32);
      body_.get(v).i32(int64_t((uint64_t{1} << def.labels.size()) - 1)).op(Opcode::I32And).set(v);
      return;
    }
    case TypeKind::Variant:
    case TypeKind::Enum:
    case TypeKind::Option:
    case TypeKind::Result: {
      CoreTypes joined;
      flatten(t, joined);
      const uint32_t index = take(kI32);
      body_.get(index).i32(int64_t(case_count(def))).op(Opcode::I32GeU);
      fault(Fault::Discriminant);
      const size_t first = at;
      Locals results;
      for (size_t i = 1; i < joined.size(); ++i) {
        results.push_back(body_.local(joined[i]));
        // Loops use locals again.
        if (joined[i] == kI32) body_.i32(0);
        if (joined[i] == kI64) body_.i64(0);
        if (joined[i] == kF32) body_.i32(0).op(Opcode::F32ReinterpretI32);
        if (joined[i] == kF64) body_.i64(0).op(Opcode::F64ReinterpretI64);
        body_.set(results.back());
      }
      for (size_t i = 0; i < case_count(def); ++i) {
        const ValType inner = case_type(def, i);
        if (!inner) continue;
        body_.get(index).i32(int64_t(i)).op(Opcode::I32Eq).if_();
        CoreTypes core;
        flatten(inner, core);
        Locals own, made;
        for (size_t k = 0; k < core.size(); ++k)
          own.push_back(coerce(in[first + k], joined[1 + k], core[k]));
        size_t position = 0;
        flat(inner, case_type(def2, i), side, own, position, made);
        for (size_t k = 0; k < core.size(); ++k)
          body_.get(coerce(made[k], core[k], joined[1 + k])).set(results[k]);
        body_.end_block();
      }
      out.insert(out.end(), results.begin(), results.end());
      at = first + joined.size() - 1;
      return;
    }
    default:
      return handle(t, u, side, take(kI32));
  }
}

void Adapter::tuple(Types types, Types others, Side side, uint32_t from, uint32_t to) {
  each_in_tuple(types_, types, false, [&](size_t i, uint64_t offset) {
    const auto at = uint32_t(offset);
    copy(types[i], others[i], side, {from, at}, {to, at});
  });
}

std::shared_ptr<Plan> Adapter::make() {
  plan_->refused = true;
  if (options_[0]->is64 || options_[1]->is64) return plan_;
  const std::vector<ValType> params = param_types(func_), callee_params = param_types(callee_func_);
  const Types results = result_types(func_), callee_results = result_types(callee_func_);
  for (size_t i = 0; i < params.size(); ++i)
    if (!supported(params[i], callee_params[i], true, 0)) return plan_;
  for (size_t i = 0; i < results.size(); ++i)
    if (!supported(results[i], callee_results[i], false, 0)) return plan_;
  for (const ResolvedOptions* o : options_)
    if (o->memory && (o->memory->type().page_size_log2 != 16 || o->memory->shared())) return plan_;
  plan_->refused = false;

  const CoreTypes flat_params = flatten_all(params), flat_results = flatten_all(results);
  const bool indirect = flat_params.size() > kMaxFlatParams;
  const bool returns_pointer = flat_results.size() > kMaxFlatResults;
  CoreTypes own_params = indirect ? CoreTypes{kI32} : flat_params;
  const CoreTypes callee_core = own_params;
  const CoreTypes core_results = returns_pointer ? CoreTypes{kI32} : flat_results;
  if (returns_pointer) own_params.push_back(kI32);

  // Imports come first.
  using Kind = ImportPlan::Kind;
  fault_ = func({Kind::Fault}, {kI32}, {});
  core_ = func({Kind::Callee}, callee_core, core_results);
  if (callee_.options.post_return) post_ = func({Kind::PostReturn}, core_results, {});
  for (Side s : {kCaller, kCallee})
    if (options_[s]->realloc)
      realloc_[s] = func({Kind::Realloc, s}, {kI32, kI32, kI32, kI32}, {kI32});
  for (Side s : {kCaller, kCallee}) {
    const Side to = s == kCaller ? kCallee : kCaller;
    if (!options_[s]->memory || !options_[to]->realloc) continue;
    conversions_.push_back({{Kind::Utf8, s}, func({Kind::Utf8, s}, {kI32, kI32, kI32}, {})});
    conversions_.push_back({{Kind::String, s}, func({Kind::String, s}, {kI32, kI32}, {kI64})});
  }
  // Handles of every resource type that there is.
  bool lends = false;
  const auto handles = [&](auto&& self, ValType a, ValType b, Side side) -> void {
    const ValType t = plain(types_, a), u = plain(types_, b);
    if (!t.defined()) return;
    const TypeDef& def = types_[t.id];
    const TypeDef& def2 = types_[u.id];
    if (def.kind == TypeKind::Own || def.kind == TypeKind::Borrow) {
      lends |= def.kind == TypeKind::Borrow;
      const ImportPlan plan{def.kind == TypeKind::Own ? Kind::Own : Kind::Lend, side,
                            def.args[0].id, def2.args[0].id};
      conversions_.push_back({plan, func(plan, {kI32}, {kI32})});
      return;
    }
    if (is_variant(def.kind)) {
      for (size_t i = 0; i < case_count(def); ++i)
        if (case_type(def, i)) self(self, case_type(def, i), case_type(def2, i), side);
    } else if (def.kind == TypeKind::Record || def.kind == TypeKind::Tuple ||
               def.kind == TypeKind::List || def.kind == TypeKind::FixedList) {
      for (size_t i = 0; i < field_count(def); ++i)
        self(self, field_type(def, i), field_type(def2, i), side);
    }
  };
  for (size_t i = 0; i < params.size(); ++i) handles(handles, params[i], callee_params[i], kCaller);
  for (size_t i = 0; i < results.size(); ++i)
    handles(handles, callee_results[i], results[i], kCallee);
  const uint32_t unlend = lends ? func({Kind::Unlend}, {kI32}, {}) : 0;
  for (Side s : {kCaller, kCallee}) {
    plan_->memory[s] = options_[s]->memory != nullptr;
    if (!plan_->memory[s]) continue;
    CoreExternType type;
    type.kind = wasm::ExternKind::Memory;
    memory_[s] = module_.import("", "", type);
  }
  for (Side s : {kCaller, kCallee}) {
    CoreExternType type;
    type.kind = wasm::ExternKind::Global;
    type.global = {kI32, true};
    leave_[s] = module_.import("", "", type);
  }

  body_ = Body(uint32_t(own_params.size()));
  body_.op(Opcode::GlobalGet, leave_[kCaller]).op(Opcode::I32Eqz);
  fault(Fault::Leave);
  // Arguments.
  Locals args;
  if (indirect) {
    const Place p = tuple_place(types_, params, false);
    const uint32_t wide = body_.local(kI64), bytes = body_.local(kI32), to = body_.local(kI32);
    body_.i64(int64_t(p.size)).set(wide);
    check_range(0, wide, p.align, kCaller, Fault::PointerBounds);
    body_.i32(int64_t(p.size)).set(bytes);
    reallocate(kCallee, bytes, p.align, to);
    tuple(params, callee_params, kCaller, 0, to);
    args.push_back(to);
  } else {
    Locals in(flat_params.size());
    for (uint32_t i = 0; i < in.size(); ++i) in[i] = i;
    size_t at = 0;
    for (size_t i = 0; i < params.size(); ++i)
      flat(params[i], callee_params[i], kCaller, in, at, args);
  }
  for (uint32_t local : args) body_.get(local);
  body_.call(core_);
  // Results.
  uint32_t returned = 0, converted = 0;
  if (!core_results.empty()) {
    returned = body_.local(core_results[0]);
    body_.set(returned);
    if (returns_pointer) {
      const Place p = tuple_place(types_, results, false);
      const uint32_t wide = body_.local(kI64);
      const auto to = uint32_t(own_params.size() - 1);
      body_.i64(int64_t(p.size)).set(wide);
      check_range(returned, wide, p.align, kCallee, Fault::PointerBounds);
      check_range(to, wide, p.align, kCaller, Fault::PointerBounds);
      tuple(callee_results, results, kCallee, returned, to);
    } else {
      Locals made;
      size_t at = 0;
      flat(callee_results[0], results[0], kCallee, {returned}, at, made);
      converted = made[0];
    }
  }
  if (callee_.options.post_return) {
    body_.i32(0).op(Opcode::GlobalSet, leave_[kCallee]);
    if (!core_results.empty()) body_.get(returned);
    body_.call(post_);
    body_.i32(1).op(Opcode::GlobalSet, leave_[kCallee]);
  }
  for (uint32_t local : lent_) body_.get(local).call(unlend);
  if (!core_results.empty() && !returns_pointer) body_.get(converted);
  const uint32_t own = module_.func(
      module_.type(func_type(own_params, returns_pointer ? CoreTypes{} : core_results)),
      body_.end());
  module_.export_("", wasm::ExternKind::Func, own);
  plan_->binary = module_.finish();
  return plan_;
}

// ---- What adapters import

// One of an adapter's functions of the host.
struct Helper {
  ImportPlan plan;
  ComponentInstance* instance[2];
  ResolvedOptions options[2];
  ResourceType* type[2] = {nullptr, nullptr};

  ComponentInstance& from() const { return *instance[plan.side]; }
  ComponentInstance& to() const { return *instance[1 - plan.side]; }

  static TrapCode call(void* env, runtime::CallContext&, Slot* slots) {
    return static_cast<Helper*>(env)->run(slots);
  }
  static void release(void* env) { delete static_cast<Helper*>(env); }
  TrapCode run(Slot* slots) const;
};

TrapCode Helper::run(Slot* slots) const {
  ComponentStore& store = from().store;
  const auto index = uint32_t(slots[0]);
  const auto found = [&](Handle*& h) {
    h = from().handles.get(index);
    return h ? check_resource(from(), *h, index, type[0]) : unknown_handle(from(), index);
  };
  switch (plan.kind) {
    case ImportPlan::Kind::Fault:
      return store.trap(kFaults[index]);
    case ImportPlan::Kind::Own: {
      Handle* h;
      CANON_TRY(found(h));
      if (h->lends != 0) return store.trap("cannot remove owned resource while borrowed");
      if (!h->own) return wrong_handle(from(), index);
      return add_handle(to(), from().handles.take(index), slots[0]);
    }
    case ImportPlan::Kind::Lend: {
      Handle* h;
      CANON_TRY(found(h));
      ++h->lends;
      slots[0] = h->rep;
      return TrapCode::None;
    }
    case ImportPlan::Kind::Unlend:
      if (Handle* const h = from().handles.get(index)) --h->lends;
      return TrapCode::None;
    case ImportPlan::Kind::Utf8: {
      // Both ranges are known to be in bounds.
      const auto* const source = options[plan.side].memory->base + index;
      const std::string_view text(reinterpret_cast<const char*>(source), uint32_t(slots[1]));
      if (const char* wrong = utf8_fault(text)) return store.trap(wrong);
      if (!text.empty())
        std::memmove(options[1 - plan.side].memory->base + uint32_t(slots[2]), source, text.size());
      return TrapCode::None;
    }
    case ImportPlan::Kind::String: {
      Text text;
      CANON_TRY(load_string({options[plan.side], from()}, index, uint32_t(slots[1]), text));
      uint64_t at, length;
      CANON_TRY(store_string({options[1 - plan.side], to()}, text.utf8, text.source, at, length));
      slots[0] = uint32_t(at) | length << 32;
      return TrapCode::None;
    }
    default:
      return TrapCode::None;
  }
}

}  // namespace

Result<runtime::FuncInst*> fuse(ComponentInstance& instance, const LiftedFunc& func,
                                const CanonLower& def, const ResolvedOptions& options) {
  ComponentInstance& callee = func.instance;
  runtime::FuncInst* const none = nullptr;
  // Both have to be of one component, where types and definitions of one mean something to the
  // other. The callee runs as part of its caller, so it must not have to know of its own task.
  if (!instance.store.compiled_adapters || callee.root != instance.root ||
      callee.component->types != instance.component->types || !func.definition ||
      !callee.complete || callee.may_block || callee.needs_thread || func.def().is_async ||
      options.is_async || func.options.is_async)
    return none;
  runtime::Store& core = instance.store.core;
  AdapterCache& cache = *instance.component->adapters;
  std::shared_ptr<Plan> plan;
  {
    const std::lock_guard lock(cache.mutex);
    plan = std::static_pointer_cast<Plan>(cache.made[{&def, func.definition}]);
  }
  if (!plan) {
    plan = Adapter(instance, func, def.type, options).make();
    if (!plan->refused) {
      const Bytes binary(plan->binary.data(), plan->binary.size());
      if (instance.store.adapters) {
        instance.store.adapters->push_back(plan->binary);
        plan->refused = true;
      } else {
        std::shared_ptr<void> code = cache.find_code ? cache.find_code(binary) : nullptr;
        if (cache.find_code && !code) {
          plan->refused = true;
        } else {
          WAFER_LET(module, core.engine().load_module(binary, true, true, std::move(code)));
          plan->module = module;
        }
      }
    }
    const std::lock_guard lock(cache.mutex);
    cache.made[{&def, func.definition}] = plan;
  }
  if (plan->refused) return none;

  std::vector<runtime::Extern> imports;
  const auto add_func = [&](runtime::FuncInst* f) {
    runtime::Extern e;
    e.kind = wasm::ExternKind::Func;
    e.func = f;
    imports.push_back(e);
  };
  const ResolvedOptions* const both[2] = {&options, &func.options};
  for (size_t i = 0; i < plan->funcs.size(); ++i) {
    const ImportPlan& p = plan->funcs[i];
    if (p.kind == ImportPlan::Kind::Callee) {
      add_func(func.core);
    } else if (p.kind == ImportPlan::Kind::PostReturn) {
      add_func(func.options.post_return);
    } else if (p.kind == ImportPlan::Kind::Realloc) {
      add_func(both[p.side]->realloc);
    } else {
      auto* const helper = new Helper{p, {&instance, &callee}, {options, func.options}};
      if (p.kind == ImportPlan::Kind::Own || p.kind == ImportPlan::Kind::Lend) {
        helper->type[0] = helper->from().resource_of(p.type);
        helper->type[1] = helper->to().resource_of(p.to);
      }
      const wasm::Import& import = plan->module->imports[i];
      add_func(core.new_host_func(plan->module->canon_type(import.type.type_index), &Helper::call,
                                  helper, &Helper::release));
    }
  }
  for (Side s : {kCaller, kCallee}) {
    if (!plan->memory[s]) continue;
    runtime::Extern e;
    e.kind = wasm::ExternKind::Memory;
    e.memory = both[s]->memory;
    e.memory_owner = both[s]->memory->owner();
    imports.push_back(e);
  }
  for (ComponentInstance* i : {&instance, &callee}) {
    runtime::Extern e;
    e.kind = wasm::ExternKind::Global;
    e.global = i->leave_flag;
    imports.push_back(e);
  }
  WAFER_LET(made, core.instantiate(plan->module, imports));
  return made->get_export("")->func;
}

}  // namespace wafer::component
