// Calls of the embedder without dynamic values.
#pragma once

#include "component/run/linker.h"

namespace wafer::component {

// What such calls of a function need, found out once.
struct DirectTarget {
  std::shared_ptr<const Func> keep;
  const LiftedFunc& func;
  std::vector<AbiHandle> handles;
};

// Null: the function can only be called with dynamic values.
std::shared_ptr<const DirectTarget> direct_target(const ExportedFunc& func);

// A half of a call: puts arguments in place, or takes the result.
using AbiHalf = bool (*)(void* env, AbiCall& call);

// Calls it, if that can be done now: false if not. Errors: Trap; Usage if one half has not been
// able to convert a resource.
Result<bool> call(ComponentStore& store, const DirectTarget& target, AbiHalf lower, AbiHalf lift,
                  void* env);

}  // namespace wafer::component
