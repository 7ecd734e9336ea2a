// Which code generator makes what of an image, by its level of optimization.
#pragma once

#include <functional>
#include <memory>

#include "compiler/backend.h"

namespace wafer::compiler {

// At level 1, and where it has code for it, the optimizing compiler; for all else, single
// functions too, what `backend` gives, which is asked for when it is needed.
std::shared_ptr<Backend> leveled_backend(std::function<Result<Backend*>()> backend);

}  // namespace wafer::compiler
