// Accesses at the end of memory, in ways that tempt an optimizer to leave them out or to move
// them past other effects.
#pragma once

#include <functional>

#include "builder.h"

namespace wafer::diff {

// Where statements are written: the code of a body, and what it offers.
struct EdgeSite {
  Builder& builder;
  Code& code;
  std::function<uint32_t(wasm::ValType)> add_local;
  std::function<void(wasm::ValType)> leaf;  // writes a short expression that cannot trap
};

// Appends a statement.
void edge_statement(const EdgeSite& site);

}  // namespace wafer::diff
