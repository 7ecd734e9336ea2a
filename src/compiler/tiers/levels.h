// Which code generator makes what of an image, by its level of optimization.
#pragma once

#include <functional>
#include <memory>

#include "compiler/backend.h"

namespace wafer::compiler {

// Gives a code generator, which lives as long as this.
using BackendSource = std::function<Result<Backend*>()>;

// The code generator for code of `level`. At levels 1 and 2, where it has code, the optimizing
// compiler makes most of it, and what `backend` gives makes what is worth that: functions that gain
// most, as many as keep the time within about 2 and 4 times what compilers take that are known for
// being quick. Of levels 0 and 3, other processors, code that is metered or interruptible, and of
// single functions at level 2, the backend makes all. At level 1 it is not needed.
BackendSource by_level(BackendSource backend, unsigned level);

}  // namespace wafer::compiler
