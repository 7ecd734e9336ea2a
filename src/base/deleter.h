// Owners of what libraries of C make.
#pragma once

namespace wafer {

// For std::unique_ptr: gives it back by the library's function.
template <class T, void (*Free)(T*)>
struct Deleter {
  void operator()(T* p) const { Free(p); }
};

}  // namespace wafer
