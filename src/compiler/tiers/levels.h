// Which code generator makes what of an image, by its level of optimization.
#pragma once

#include <functional>
#include <memory>

#include "compiler/backend.h"

namespace wafer::compiler {

// Gives a code generator, which lives as long as this.
using BackendSource = std::function<Result<Backend*>()>;

// The code generator for code of `level`. Where the optimizing compiler makes code for images, it
// makes what is too large for what `backend` gives; and at levels 1 and 2 all but what gains most
// by that: so much that the time stays within about 2 and 4 times what compilers take that are
// known for being quick. Single functions are asked for because they gain: from level 2 on
// `backend` makes them. At level 1 it is not needed, at level 0 it makes all.
BackendSource by_level(BackendSource backend, unsigned level);

}  // namespace wafer::compiler
