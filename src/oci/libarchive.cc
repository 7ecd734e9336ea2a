#include "oci/libarchive.h"

#include <dlfcn.h>

#include <string>

namespace wafer::oci {

namespace {

Error missing() {
  const char* const why = dlerror();
  return Error(ErrorKind::Unsupported, std::string("no libarchive: ") + (why ? why : ""));
}

Result<LibArchive> open() {
  void* const library = dlopen(WAFER_LIBARCHIVE_FILE, RTLD_NOW | RTLD_LOCAL);
  if (!library) return missing();
  LibArchive out;
#define WAFER_MEMBER(name)                                               \
  out.name = reinterpret_cast<decltype(&::name)>(dlsym(library, #name)); \
  if (!out.name) return missing();
  WAFER_LIBARCHIVE(WAFER_MEMBER)
#undef WAFER_MEMBER
  return out;
}

}  // namespace

Result<LibArchive> libarchive() {
  static const Result<LibArchive> library = open();
  if (!library) return library.error();
  return *library;
}

}  // namespace wafer::oci
