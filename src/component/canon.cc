// Canonical definitions (Binary.md; CanonicalABI.md, "Canonical Definitions").
#include "component/builtins.h"
#include "component/scope.h"
#include "component/shape.h"

namespace wafer::component {

namespace {

constexpr uint32_t kContextSlots = 2;

}  // namespace

uint32_t Decoder::add_core_func(const wasm::FuncType& type) {
  CoreExtern out;
  out.kind = wasm::ExternKind::Func;
  out.type = types().core().intern_func(type);
  scope().core[0].push_back(out);
  return out.type;
}

Result<CanonOptions> Decoder::canon_options(Cursor& c) {
  CanonOptions out;
  const uint32_t start = c.offset();
  WAFER_LET(n, count(c, "canonical options"));
  const auto once = [&](std::optional<uint32_t>& field, const char* name, bool memory,
                        uint32_t at) -> Result<void> {
    if (field)
      return error(at, "canonical option `" + std::string(name) + "` is specified more than once");
    WAFER_LET(index, u32(c));
    WAFER_TRY(check_index(scope().core[memory ? 2 : 0], index, memory ? "memory" : "function", at));
    field = index;
    return {};
  };
  for (uint32_t i = 0; i < n; ++i) {
    const uint32_t at = c.offset();
    WAFER_LET(code, byte(c));
    switch (code) {
      case 0:
      case 1:
      case 2:
        if (out.encoding_given) {
          constexpr std::string_view kNames[] = {"utf8", "utf16", "latin1-utf16"};
          return error(at, "canonical encoding option `" +
                               std::string(kNames[static_cast<size_t>(out.encoding)]) +
                               "` conflicts with option `" + std::string(kNames[code]) + "`");
        }
        out.encoding_given = true;
        out.encoding = static_cast<StringEncoding>(code);
        break;
      case 3:
        WAFER_TRY(once(out.memory, "memory", true, at));
        break;
      case 4:
        WAFER_TRY(once(out.realloc, "realloc", false, at));
        break;
      case 5:
        WAFER_TRY(once(out.post_return, "post-return", false, at));
        break;
      case 6:
        WAFER_TRY(enabled(Feature::Async, "canonical option `async`", at));
        if (out.is_async) return error(at, "canonical option `async` is specified more than once");
        out.is_async = true;
        break;
      case 7:
        WAFER_TRY(enabled(Feature::Async, "canonical option `callback`", at));
        WAFER_TRY(once(out.callback, "callback", false, at));
        break;
      default:
        return leading(at, code, "canonical option");
    }
  }
  WAFER_LET(is64, pointers64(out, start));
  const wasm::ValType address = is64 ? wasm::kI64 : wasm::kI32;
  if (out.realloc) {
    if (!out.memory)
      return error(start, "canonical option `realloc` requires `memory` to also be specified");
    wasm::FuncType wanted;
    wanted.params.assign(4, address);
    wanted.results.push_back(address);
    if (scope().core[0][*out.realloc].type != types().core().intern_func(wanted))
      return error(start,
                   "canonical option `realloc` uses a core function with an incorrect "
                   "signature");
  }
  if (out.callback) {
    wasm::FuncType wanted;
    wanted.params.assign(3, wasm::kI32);
    wanted.results.push_back(wasm::kI32);
    if (scope().core[0][*out.callback].type != types().core().intern_func(wanted))
      return error(start,
                   "canonical option `callback` uses a core function with an incorrect "
                   "signature");
    if (!out.is_async) return error(start, "cannot specify callback without async");
  }
  if (out.is_async && out.post_return)
    return error(start, "canonical options `async` and `post-return` cannot be used together");
  return out;
}

// Whether pointers have 64 bits: as the memory's addresses.
Result<bool> Decoder::pointers64(const CanonOptions& options, uint32_t at) const {
  if (!options.memory) return false;
  const wasm::MemoryType& memory = scope().core[2][*options.memory].memory;
  if (memory.limits.shared) return error(at, "canonical ABI memory cannot be shared");
  if (memory.limits.is64)
    WAFER_TRY(enabled(Feature::Memory64, "canonical ABI memory with 64-bit addresses", at));
  return memory.limits.is64;
}

Result<void> Decoder::need(const CanonOptions& options, bool memory, bool realloc,
                           uint32_t at) const {
  if ((memory || realloc) && !options.memory)
    return error(at, "canonical option `memory` is required");
  if (realloc && !options.realloc) return error(at, "canonical option `realloc` is required");
  return {};
}

Result<void> Decoder::canon(Cursor& c, Component& out) {
  const uint32_t at = c.offset();
  WAFER_LET(code, byte(c));
  if (code <= 1) {
    WAFER_LET(zero, byte(c));
    if (zero != 0)
      return leading(at + 1, zero,
                     code == 0 ? "canonical function lift" : "canonical function lower");
    return code == 0 ? lift(c, out, at) : lower(c, out, at);
  }
  return builtin(c, out, code, at);
}

Result<void> Decoder::lift(Cursor& c, Component& out, uint32_t at) {
  CanonLift def;
  WAFER_LET(func, u32(c));
  WAFER_TRY(check_index(scope().core[0], func, "function", at));
  def.core_func = func;
  WAFER_LET(options, canon_options(c));
  def.options = options;
  WAFER_LET(index, u32(c));
  WAFER_TRY(check_index(scope().types, index, "type", at));
  def.type = scope().types[index];
  const TypeDef& type = types()[def.type];
  if (type.kind != TypeKind::Func)
    return error(at, "type index " + std::to_string(index) + " is not a function type");
  if (options.is_async && !type.is_async)
    return error(at, "the `async` canonical option requires an async function type");
  if (options.is_async && !options.callback)
    WAFER_TRY(enabled(Feature::Stackful, "async lift without `callback`", at));

  WAFER_LET(is64, pointers64(options, at));
  const wasm::ValType pointer = is64 ? wasm::kI64 : wasm::kI32;
  bool memory = false, realloc = false;
  wasm::FuncType wanted;
  std::vector<wasm::ValType> flat;
  bool fits = true;
  for (const Label& p : type.labels) {
    // Arguments are written into the memory of what is called.
    if (types().needs_memory(p.type)) realloc = true;
    fits = fits && types().flatten(p.type, is64, kMaxFlatParams, flat);
  }
  if (!fits) {
    realloc = true;
    flat.assign(1, pointer);
  }
  wanted.params.assign(flat.begin(), flat.end());
  flat.clear();
  const ValType result = type.args[0];
  if (types().needs_memory(result)) memory = true;
  if (options.is_async) {
    if (!types().flatten(result, is64, kMaxFlatParams, flat)) memory = true;
    if (options.callback) wanted.results.push_back(wasm::kI32);
  } else if (types().flatten(result, is64, kMaxFlatResults, flat)) {
    wanted.results.assign(flat.begin(), flat.end());
  } else {
    memory = true;
    wanted.results.push_back(pointer);
  }
  WAFER_TRY(need(options, memory, realloc, at));
  const wasm::FuncType& actual = types().core().get(scope().core[0][func].type)->func;
  if (scope().core[0][func].type != types().core().intern_func(wanted)) {
    const auto list = [](const Vec<wasm::ValType>& v) {
      wasm::FuncType one;
      one.params = v;
      const std::string text = signature_text(one);
      return text.substr(0, text.find(" ->"));
    };
    const bool params = !(actual.params == wanted.params);
    const char* what = params ? "parameter" : "result";
    return error(at, std::string("lowered ") + what + " types `" +
                         list(params ? wanted.params : wanted.results) + "` do not match " + what +
                         " types `" + list(params ? actual.params : actual.results) +
                         "` of core function " + std::to_string(func));
  }
  if (options.post_return) {
    wasm::FuncType post;
    post.params = wanted.results;
    if (scope().core[0][*options.post_return].type != types().core().intern_func(post))
      return error(at,
                   "canonical option `post-return` uses a core function with an incorrect "
                   "signature");
  }
  scope().funcs.push_back(def.type);
  out.definitions.emplace_back(std::move(def));
  return {};
}

Result<void> Decoder::lower(Cursor& c, Component& out, uint32_t at) {
  CanonLower def;
  WAFER_LET(func, u32(c));
  WAFER_TRY(check_index(scope().funcs, func, "function", at));
  def.func = func;
  def.type = scope().funcs[func];
  WAFER_LET(options, canon_options(c));
  def.options = options;
  if (options.post_return)
    return error(at, "canonical option `post-return` cannot be specified for lowerings");
  if (options.callback)
    return error(at, "canonical option `callback` cannot be specified for lowerings");
  const TypeDef& type = types()[def.type];
  if (options.is_async && !type.is_async)
    return error(at, "the `async` canonical option requires an async function type");
  WAFER_LET(is64, pointers64(options, at));
  const wasm::ValType pointer = is64 ? wasm::kI64 : wasm::kI32;
  bool memory = false, realloc = false;
  const size_t most = options.is_async ? kMaxFlatAsyncParams : kMaxFlatParams;
  wasm::FuncType core;
  std::vector<wasm::ValType> flat;
  bool fits = true;
  for (const Label& p : type.labels) {
    if (types().needs_memory(p.type)) memory = true;
    fits = fits && types().flatten(p.type, is64, most, flat);
  }
  if (!fits) {
    memory = true;
    flat.assign(1, pointer);
  }
  core.params.assign(flat.begin(), flat.end());
  flat.clear();
  const ValType result = type.args[0];
  // Results are written into the memory of the caller.
  if (types().needs_memory(result)) realloc = true;
  if (options.is_async) {
    if (result) {
      memory = true;
      core.params.push_back(pointer);
    }
    core.results.push_back(wasm::kI32);
  } else if (types().flatten(result, is64, kMaxFlatResults, flat)) {
    core.results.assign(flat.begin(), flat.end());
  } else {
    memory = true;
    core.params.push_back(pointer);
  }
  WAFER_TRY(need(options, memory, realloc, at));
  def.signature = add_core_func(core);
  out.definitions.emplace_back(std::move(def));
  return {};
}

Result<void> Decoder::builtin(Cursor& c, Component& out, uint8_t code, uint32_t at) {
  const BuiltinInfo* info = builtin_of_code(code);
  if (!info) return leading(at, code, "canonical function");
  WAFER_TRY(enabled(info->feature, info->name, at));
  CanonBuiltin def;
  def.builtin = info->builtin;
  wasm::ValType rep = wasm::kI32, value = wasm::kI32, closure = wasm::kI32, address = wasm::kI32;
  bool is64 = false;
  for (char immediate : info->immediates) {
    const uint32_t immediate_at = c.offset();
    switch (immediate) {
      case 'L':
      case 'R':
      case 'S':
      case 'F': {
        WAFER_LET(index, u32(c));
        WAFER_TRY(check_index(scope().types, index, "type", immediate_at));
        const TypeId id = scope().types[index];
        const TypeKind kind = types()[id].kind;
        const std::string which = "type index " + std::to_string(index);
        if (immediate == 'S' || immediate == 'F') {
          if (kind != (immediate == 'S' ? TypeKind::Stream : TypeKind::Future))
            return error(immediate_at, "`" + std::string(info->name) + "` requires a " +
                                           (immediate == 'S' ? "stream" : "future") + " type");
        } else {
          if (kind != TypeKind::Resource)
            return error(immediate_at, which + " is not a resource type");
          auto local = scope().local_resources.find(types()[id].resource);
          if (immediate == 'L') {
            if (local == scope().local_resources.end())
              return error(immediate_at, which + " is not a local resource");
            if (local->second) rep = wasm::kI64;
          }
        }
        def.type = ValType::of(id);
        break;
      }
      case 'o': {
        WAFER_LET(options, canon_options(c));
        def.options = options;
        if (options.post_return || options.callback)
          return error(immediate_at,
                       "canonical options `post-return` and `callback` are for lifts");
        WAFER_LET(wide, pointers64(options, immediate_at));
        is64 = wide;
        break;
      }
      case 'a': {
        WAFER_LET(flag, byte(c));
        if (flag > 1) return malformed(immediate_at, "invalid boolean value of `async`");
        if (flag) WAFER_TRY(enabled(Feature::AsyncBuiltins, "`async` here", immediate_at));
        def.is_async = flag;
        break;
      }
      case 'h': {
        WAFER_LET(flag, byte(c));
        if (flag > 1) return malformed(immediate_at, "invalid boolean value of `shared`");
        if (flag)
          return error(
              immediate_at,
              "`shared` of `" + std::string(info->name) +
                  "` needs shared functions of core WebAssembly, which are not implemented");
        break;
      }
      case 'z': {
        WAFER_LET(zero, byte(c));
        if (zero != 0) return malformed(immediate_at, "non-zero reserved byte");
        break;
      }
      case 'm': {
        WAFER_LET(index, u32(c));
        WAFER_TRY(check_index(scope().core[2], index, "memory", immediate_at));
        def.options.memory = index;
        WAFER_LET(wide, pointers64(def.options, immediate_at));
        is64 = wide;
        break;
      }
      case 'v': {
        if (!c.val_type(value)) return c.take_error();
        if (value == wasm::kI64)
          WAFER_TRY(enabled(Feature::Memory64, "a context of i64", immediate_at));
        else if (value != wasm::kI32)
          return error(immediate_at, "expected i32 for the context type");
        if (scope().context64.value_or(value == wasm::kI64) != (value == wasm::kI64))
          return error(immediate_at, "context built-ins of one component must use one type");
        scope().context64 = value == wasm::kI64;
        break;
      }
      case 'i': {
        WAFER_LET(index, u32(c));
        if (index >= kContextSlots)
          return error(immediate_at,
                       "immediate must be less than " + std::to_string(kContextSlots));
        def.index = index;
        break;
      }
      case 'r': {
        WAFER_LET(result, result_list(c));
        if (types().has_borrow(result))
          return error(immediate_at, "function result cannot contain a `borrow` type");
        def.type = result;
        break;
      }
      case 'f': {
        WAFER_LET(index, u32(c));
        WAFER_TRY(check_index(scope().core_types, index, "core type", immediate_at));
        const CoreTypeEntry& t = scope().core_types[index];
        const wasm::CanonType* type = t.is_module ? nullptr : types().core().get(t.id);
        const bool one = type && type->kind == wasm::CompKind::Func &&
                         type->func.params.size() == 1 && type->func.results.empty();
        if (one) closure = type->func.params[0];
        if (!one || (closure != wasm::kI32 && closure != wasm::kI64))
          return error(immediate_at, "start function must take a single `i32` or `i64` argument");
        if (closure == wasm::kI64)
          WAFER_TRY(enabled(Feature::Memory64, "a thread started with i64", immediate_at));
        def.core_type = t.id;
        break;
      }
      case 't': {
        WAFER_LET(index, u32(c));
        WAFER_TRY(check_index(scope().core[1], index, "table", immediate_at));
        const wasm::TableType& table = scope().core[1][index].table;
        if (!types().core().is_subtype(table.element, wasm::kFuncRef))
          return error(immediate_at, "expected a table of functions");
        if (table.limits.is64) {
          WAFER_TRY(enabled(Feature::Memory64, "a 64-bit table", immediate_at));
          address = wasm::kI64;
        }
        def.table = index;
        break;
      }
      default:
        break;
    }
  }

  const bool stream = info->immediates.starts_with('S') || info->immediates.starts_with('F');
  const bool reads = info->builtin == Builtin::StreamRead || info->builtin == Builtin::FutureRead;
  const bool writes =
      info->builtin == Builtin::StreamWrite || info->builtin == Builtin::FutureWrite;
  if (stream && (reads || writes)) {
    const ValType element = types()[def.type.id].args[0];
    // What is read is written into the reader's memory.
    if (element) WAFER_TRY(need(def.options, true, reads && types().needs_memory(element), at));
    if (!def.options.is_async)
      WAFER_TRY(enabled(Feature::AsyncBuiltins, "this built-in without `async`", at));
  }
  if (info->feature == Feature::ErrorContext && info->immediates == "o") {
    if (def.options.is_async) return error(at, "canonical option `async` is not allowed here");
    WAFER_TRY(need(def.options, true, info->builtin == Builtin::ErrorContextDebugMessage, at));
  }

  wasm::FuncType core;
  const auto letters = [&](std::string_view text, Vec<wasm::ValType>& list) {
    for (char letter : text) {
      list.push_back(letter == 'g'
                         ? wasm::ValType::ref(wasm::HeapType::concrete(def.core_type), true)
                     : letter == 'l' ? wasm::kI64
                     : letter == 'p' ? (is64 ? wasm::kI64 : wasm::kI32)
                     : letter == 'r' ? rep
                     : letter == 'v' ? value
                     : letter == 'c' ? closure
                     : letter == 'u' ? address
                                     : wasm::kI32);
    }
  };
  letters(info->params, core.params);
  letters(info->results, core.results);
  if (info->builtin == Builtin::TaskReturn) {
    if (def.options.is_async || def.options.realloc)
      return error(at, "only `memory` and a string encoding are allowed for task.return");
    std::vector<wasm::ValType> flat;
    bool memory = types().needs_memory(def.type);
    if (!types().flatten(def.type, is64, kMaxFlatParams, flat)) {
      memory = true;
      flat.assign(1, is64 ? wasm::kI64 : wasm::kI32);
    }
    WAFER_TRY(need(def.options, memory, false, at));
    core.params.assign(flat.begin(), flat.end());
  }
  def.signature = add_core_func(core);
  out.definitions.emplace_back(std::move(def));
  return {};
}

}  // namespace wafer::component
