#include "wit/abi.h"

#include <algorithm>

#include "wit/encode.h"

namespace wafer::wit {

namespace cm = component;

AbiTypes::AbiTypes(const Resolve& resolve)
    : r_(resolve), arena_(std::make_shared<wasm::TypeRegistry>()) {
  constexpr uint32_t kMostDepth = 500;
  std::vector<uint32_t> depth(resolve.types.size(), 1);
  // In order, since each refers to those before it, perhaps in long chains.
  for (TypeId t = 0; t < resolve.types.size(); ++t) {
    const TypeDef& def = resolve.types[t];
    const auto below = [&](Type other) {
      if (other.defined()) depth[t] = std::max(depth[t], depth[other.id] + 1);
    };
    for (Type arg : def.args) below(arg);
    for (const Member& m : def.members) below(m.type);
    if (depth[t] > kMostDepth) refuse(def, "is nested too deeply");
    value(Type::of(t));
  }
}

void AbiTypes::refuse(const TypeDef& def, std::string_view why) {
  if (refused_.empty())
    refused_ = (def.name.empty() ? "a type" : "type `" + def.name + "`") + " " + std::string(why);
}

Result<void> AbiTypes::check() const {
  if (!refused_.empty()) return Error(ErrorKind::Exhaustion, refused_);
  return {};
}

cm::ValType AbiTypes::value(Type t) {
  if (!t.defined()) return {t.prim, 0};
  if (auto it = known_.find(t.id); it != known_.end()) return cm::ValType::of(it->second);
  const TypeDef& def = r_.types[t.id];
  cm::TypeId id = 0;
  if (def.kind == TypeKind::Alias && def.args[0].defined()) {
    id = value(def.args[0]).id;
  } else if (def.kind == TypeKind::Resource) {
    id = arena_.add_resource(arena_.fresh_resource());
  } else {
    cm::TypeDef out;
    out.kind = component_kind(def.kind);
    out.length = def.length;
    for (Type arg : def.args) out.args.push_back(value(arg));
    for (const Member& m : def.members) out.labels.push_back({m.name, value(m.type)});
    auto added = arena_.add(std::move(out));
    if (!added.ok()) {
      refuse(def, "is too large: " + std::string(added.error().message));
      cm::TypeDef none;
      none.args.push_back({Prim::U8, 0});
      added = arena_.add(std::move(none));
    }
    id = *added;
  }
  known_[t.id] = id;
  return cm::ValType::of(id);
}

cm::TypeDef AbiTypes::func(const Function& f) {
  cm::TypeDef out;
  out.kind = cm::TypeKind::Func;
  out.is_async = f.is_async;
  for (const Param& p : f.params) out.labels.push_back({p.name, value(p.type)});
  out.args.push_back(f.result ? value(f.result) : cm::ValType());
  return out;
}

std::vector<wasm::ValType> AbiTypes::flat(Type t) {
  std::vector<wasm::ValType> out;
  (void)arena_.flatten(value(t), /*memory64=*/false, ~size_t{0}, out);
  return out;
}

CoreSignature AbiTypes::signature(const Function& f, AbiVariant variant) {
  CoreSignature out;
  const bool import = variant == AbiVariant::Import || variant == AbiVariant::ImportAsync;
  const size_t most = variant == AbiVariant::ImportAsync ? kMaxFlatAsyncParams : kMaxFlatParams;
  std::vector<wasm::ValType> flat;
  bool fits = true;
  for (const Param& p : f.params) fits = fits && arena_.flatten(value(p.type), false, most, flat);
  if (!fits) {
    out.indirect_params = true;
    flat.assign(1, wasm::kI32);
  }
  out.type.params.assign(flat.begin(), flat.end());
  flat.clear();
  switch (variant) {
    case AbiVariant::ExportAsyncStackful:
      return out;
    case AbiVariant::ExportAsync:
      out.type.results.push_back(wasm::kI32);
      return out;
    case AbiVariant::ImportAsync:
      out.return_pointer = static_cast<bool>(f.result);
      if (f.result) out.type.params.push_back(wasm::kI32);
      out.type.results.push_back(wasm::kI32);
      return out;
    default:
      break;
  }
  if (!f.result || arena_.flatten(value(f.result), false, kMaxFlatResults, flat)) {
    out.type.results.assign(flat.begin(), flat.end());
    return out;
  }
  out.return_pointer = true;
  (import ? out.type.params : out.type.results).push_back(wasm::kI32);
  return out;
}

CoreSignature AbiTypes::task_return(const Function& f) {
  Function out;
  if (f.result) out.params.push_back({"x", f.result});
  return signature(out, AbiVariant::Import);
}

NeededOptions AbiTypes::options(const Function& f, AbiVariant variant) {
  const bool import = variant == AbiVariant::Import || variant == AbiVariant::ImportAsync;
  const CoreSignature s = signature(f, variant);
  NeededOptions out;
  bool params = false;
  for (const Param& p : f.params) params |= needs_memory(p.type);
  const bool result = f.result && needs_memory(f.result);
  out.memory = params || result || s.indirect_params || s.return_pointer;
  // Space is asked for on the side that a value comes to.
  out.realloc = import ? result : params || s.indirect_params;
  if (variant == AbiVariant::ExportAsync || variant == AbiVariant::ExportAsyncStackful)
    out.memory |= result || task_return(f).indirect_params;
  return out;
}

namespace {

// Types nest no deeper than this in functions whose streams can be named.
constexpr uint32_t kMaxDepth = 500;

void find(const Resolve& r, Type t, std::vector<TypeId>& out, uint32_t depth = 0) {
  if (!t.defined() || depth > kMaxDepth || out.size() > kMaxDepth) return;
  const TypeDef& def = r.types[t.id];
  if (def.kind == TypeKind::Own || def.kind == TypeKind::Borrow || def.kind == TypeKind::Resource)
    return;
  for (Type arg : def.args) find(r, arg, out, depth + 1);
  for (const Member& m : def.members) find(r, m.type, out, depth + 1);
  if (def.kind == TypeKind::Future || def.kind == TypeKind::Stream) out.push_back(t.id);
}

}  // namespace

std::vector<TypeId> futures_and_streams(const Resolve& r, const Function& f) {
  std::vector<TypeId> out;
  for (const Param& p : f.params) find(r, p.type, out);
  find(r, f.result, out);
  return out;
}

}  // namespace wafer::wit
