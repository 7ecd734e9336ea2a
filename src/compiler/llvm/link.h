// Joins the objects that LLVM emits into the parts of one image.
#pragma once

#include <llvm/Support/MemoryBuffer.h>

#include "compiler/code_image.h"

namespace wafer::compiler {

// Places the sections of `objects` (ELF, position-independent), resolves references
// between them, and collects addresses from outside in a table. `traits` and `module`
// of the result are the caller's to fill in.
Result<ImageParts> link_objects(std::span<const std::unique_ptr<llvm::MemoryBuffer>> objects);

}  // namespace wafer::compiler
