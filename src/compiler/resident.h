// Memory that a process has and has no use for at present.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

namespace wafer::compiler {

// Pages that are as in a file: of code and constants.
struct CleanPages {
  uintptr_t begin = 0, size = 0;
  auto operator<=>(const CleanPages&) const = default;
};

// Those of all that is loaded into the process, in order.
std::vector<CleanPages> clean_pages();

// Has the system take `pages`, which come back from their files when they are touched, and what
// the allocator keeps of freed memory. Does nothing under a debugger, which writes to such pages.
void give_back(std::span<const CleanPages> pages);

}  // namespace wafer::compiler
