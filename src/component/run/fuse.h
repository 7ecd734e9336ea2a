// Compiled adapters: a call from one component to another without an interpreter of types. An
// adapter is a core module of its own that lifts and lowers in one, between both memories, so
// that every tier makes code of it as of any other.
#pragma once

#include "component/run/task.h"

namespace wafer::component {

// The core function that `instance` calls for `func`, lowered with `options` as `type`; null:
// the call needs more than code (it may wait, or lends handles further), and goes the general
// way. `ordinal` is the lower's place among all of an instantiation of one component: what was
// compiled for it serves further instantiations.
Result<runtime::FuncInst*> fuse(ComponentInstance& instance, const LiftedFunc& func, TypeId type,
                                const ResolvedOptions& options, uint32_t ordinal);

}  // namespace wafer::component
