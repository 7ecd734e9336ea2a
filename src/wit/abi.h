// How functions of WIT look to core modules (CanonicalABI.md, "Flattening").
#pragma once

#include "component/shape.h"
#include "component/types.h"
#include "wit/wit.h"

namespace wafer::wit {

// Which side of a component boundary a core function is on.
enum class AbiVariant : uint8_t {
  Import,
  ImportAsync,  // lowered with `async`
  Export,
  ExportAsync,          // lifted with `async` and `callback`
  ExportAsyncStackful,  // lifted with `async` alone
};

// Limits of flattening.
using component::kMaxFlatAsyncParams;
using component::kMaxFlatParams;
using component::kMaxFlatResults;

struct CoreSignature {
  wasm::FuncType type;
  bool indirect_params = false;  // one pointer stands for all parameters
  bool return_pointer = false;   // the last parameter, or the result, points to the result
};

// What canonical options a function needs.
struct NeededOptions {
  bool memory = false, realloc = false;
  bool any() const { return memory || realloc; }
};

// Types of a Resolve as the component model has them, with their layouts. 32-bit memories.
class AbiTypes {
 public:
  explicit AbiTypes(const Resolve& resolve);

  // Exhaustion if a type is too large or nested too deeply. Nothing else may be asked then.
  Result<void> check() const;

  component::ValType value(Type t);
  const component::TypeArena& arena() const { return arena_; }
  // The type of a function.
  component::TypeDef func(const Function& f);

  CoreSignature signature(const Function& f, AbiVariant variant);
  // Of the built-in task.return for a function.
  CoreSignature task_return(const Function& f);
  NeededOptions options(const Function& f, AbiVariant variant);

  // How many types it is made of.
  uint32_t weight(Type t) {
    const component::ValType v = value(t);
    return v.defined() ? arena_[v.id].weight : 1;
  }
  uint64_t size(Type t) { return arena_.layout(value(t)).size[0]; }
  uint32_t align(Type t) { return arena_.layout(value(t)).align[0]; }
  // Core types of a value, however many there are.
  std::vector<wasm::ValType> flat(Type t);
  bool needs_memory(Type t) { return arena_.needs_memory(value(t)); }

 private:
  void refuse(const TypeDef& def, std::string_view why);

  const Resolve& r_;
  std::string refused_;  // why types cannot be had; empty: they can
  component::TypeArena arena_;
  std::unordered_map<TypeId, component::TypeId> known_;
};

// Futures and streams in the type of a function, inner ones first, parameters before the result:
// core modules name them by their place here.
std::vector<TypeId> futures_and_streams(const Resolve& resolve, const Function& f);

}  // namespace wafer::wit
