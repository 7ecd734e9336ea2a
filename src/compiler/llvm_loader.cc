#include "compiler/llvm_loader.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "compiler/abi.h"
#include "compiler/resident.h"
#include "plugin/plugin.h"

// In libwafer-llvm.a, for programs that link it.
extern "C" __attribute__((weak)) wafer::compiler::Backend* wafer_linked_llvm_backend();

namespace wafer::compiler {

namespace {

plugin::Plugin llvm_plugin() {
  return {"libwafer-llvm.so", "WAFER_LLVM", "wafer_llvm_fingerprint", backend_fingerprint()};
}

std::mutex g_mutex;               // of what is loaded
std::vector<CleanPages> g_pages;  // of the libraries that came with code generators

struct Loaded {
  Backend* backend = nullptr;
  std::string reason;
};

bool is_linked(const std::string& where_it_is) {
  return where_it_is.empty() && wafer_linked_llvm_backend;
}

Loaded load(const std::string& where_it_is) {
  if (is_linked(where_it_is)) return {wafer_linked_llvm_backend(), {}};
  const std::vector<CleanPages> before = clean_pages();
  const Result<void*> library = plugin::open(llvm_plugin(), where_it_is);
  if (!library) return {nullptr, std::string(library.error().message)};
  const auto backend =
      reinterpret_cast<Backend* (*)(const Allocator&)>(dlsym(*library, "wafer_llvm_backend"));
  if (!backend) return {nullptr, dlerror()};
  Loaded out{backend(current_allocator()), {}};
  const std::vector<CleanPages> now = clean_pages();
  std::set_difference(now.begin(), now.end(), before.begin(), before.end(),
                      std::back_inserter(g_pages));
  return out;
}

}  // namespace

Result<Backend*> load_llvm_backend() { return load_llvm_backend_at({}); }

Result<Backend*> load_llvm_backend_at(const std::string& path) {
  static std::map<std::string, Loaded> known;  // by path
  const std::lock_guard lock(g_mutex);
  const auto [it, is_new] = known.try_emplace(path);
  Loaded& loaded = it->second;
  if (is_new) loaded = load(path);
  if (loaded.backend) return loaded.backend;
  return Error(ErrorKind::Unsupported, "no optimizing code generator: " + loaded.reason);
}

void rest_backends() {
  const std::lock_guard lock(g_mutex);
  if (!g_pages.empty()) give_back(g_pages);
}

uint64_t backend_identity(const std::string& path) {
  if (is_linked(path)) return 0;
  for (const std::string& file : plugin::candidates(llvm_plugin(), path)) {
    struct stat st{};
    if (file.find('/') == std::string::npos || stat(file.c_str(), &st) != 0) continue;
    const int64_t facts[] = {st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec, int64_t(st.st_ino)};
    return hash_bytes({reinterpret_cast<const uint8_t*>(facts), sizeof facts});
  }
  return 0;
}

}  // namespace wafer::compiler
