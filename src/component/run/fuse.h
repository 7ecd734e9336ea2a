// Compiled adapters: a call from one component to another without an interpreter of types. An
// adapter is a core module of its own that lifts and lowers in one, between both memories, so
// that every tier makes code of it as of any other.
#pragma once

#include "component/run/task.h"

namespace wafer::component {

// The core function that `instance` calls for `func`, as `def` lowers it; null: the call needs
// more than code (it may wait, or lends handles further), and goes the general way. What is
// compiled for a lower and a lift serves all instances of their component.
Result<runtime::FuncInst*> fuse(ComponentInstance& instance, const LiftedFunc& func,
                                const CanonLower& def, const ResolvedOptions& options);

}  // namespace wafer::component
