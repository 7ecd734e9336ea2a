// Adapters: core modules that offer an old interface, such as WASI 0.1, in terms of components'
// interfaces. Of one only what is used goes into the component.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "base/result.h"
#include "base/span.h"

namespace wafer::compose {

// The module name by which an adapter imports from the main module.
inline constexpr std::string_view kMainModule = "__main_module__";

// `adapter` with no exports but `required`, and nothing that those do not need. It has a stack
// of its own if it has a stack pointer: space comes from `realloc`, the main module's export of
// that name, when the adapter is first called; or, if there is none, by growing the memory when
// it is instantiated. Pages have 2^page_size_log2 bytes. Invalid if the module has what adapters
// cannot have (segments, tables, memories of its own, a start function), or lacks an export.
Result<Vec<uint8_t>> reduce_adapter(Bytes adapter, const std::set<std::string>& required,
                                    std::optional<std::string> realloc, uint8_t page_size_log2);

}  // namespace wafer::compose
