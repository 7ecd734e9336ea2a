// The C++ library tells on standard error why it aborts; without that it needs no WASI.
#include <cstdlib>

extern "C" [[noreturn]] void __abort_message(const char*, ...) { abort(); }

_LIBCPP_BEGIN_NAMESPACE_STD
[[noreturn]] void __libcpp_verbose_abort(const char*, ...) noexcept { abort(); }
_LIBCPP_END_NAMESPACE_STD
