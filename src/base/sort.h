// Sorting with little code where that counts.
#pragma once

#include <algorithm>

#include "base/platform.h"

namespace wafer {

// Sorts [first, last) by `less`, not stably, in n log n steps.
template <class T, class Less>
void sort(T* first, T* last, Less less) {
#if WAFER_HAS_OS
  std::sort(first, last, less);
#else
  // A heap: first made from the middle down, then emptied from its end.
  auto count = size_t(last - first);
  for (size_t top = count / 2; count > 1;) {
    T moved;
    if (top != 0) {
      moved = first[--top];
    } else {
      moved = first[--count];
      first[count] = first[0];
    }
    size_t hole = top;
    for (size_t child; (child = 2 * hole + 1) < count; hole = child) {
      if (child + 1 < count && less(first[child], first[child + 1])) ++child;
      if (!less(moved, first[child])) break;
      first[hole] = first[child];
    }
    first[hole] = moved;
  }
#endif
}

}  // namespace wafer
