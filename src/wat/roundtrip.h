// What is kept of a binary that was printed as text and translated back.
#pragma once

#include "base/span.h"

namespace wafer::wat {

// Is `to` what `from` becomes when each of its forms that are longer than need be gets
// shorter: LEB128 integers with padding, `(ref null H)` for an abstract H, and a memory
// index 0 that a memarg spells out? True of equal bytes. Sizes of sections and bodies may
// shrink with their contents. That both are modules is taken for granted.
bool is_shortened(Bytes from, Bytes to);

}  // namespace wafer::wat
