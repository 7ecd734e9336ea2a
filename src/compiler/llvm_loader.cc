#include "compiler/llvm_loader.h"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "compiler/abi.h"
#include "compiler/resident.h"

// In libwafer-llvm.a, for programs that link it.
extern "C" __attribute__((weak)) wafer::compiler::Backend* wafer_linked_llvm_backend();

namespace wafer::compiler {

namespace {

constexpr const char* kName = "libwafer-llvm.so";

std::mutex g_mutex;               // of what is loaded
std::vector<CleanPages> g_pages;  // of the libraries that came with code generators

struct Loaded {
  Backend* backend = nullptr;
  std::string reason;
};

// Folders of the program and of the library that this code is in.
std::vector<std::filesystem::path> homes() {
  std::vector<std::filesystem::path> out;
  std::error_code ec;
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&load_llvm_backend), &info) && info.dli_fname)
    out.push_back(std::filesystem::weakly_canonical(info.dli_fname, ec).parent_path());
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", ec);
  if (!ec) out.push_back(self.parent_path());
  return out;
}

// Files that may be the library, the best first.
std::vector<std::string> candidates_for(const std::string& where_it_is) {
  std::vector<std::string> candidates;
  if (!where_it_is.empty()) {
    candidates.push_back(where_it_is);
  } else if (const char* path = std::getenv("WAFER_LLVM"); path && *path) {
    candidates.emplace_back(path);
  } else {
    for (const std::filesystem::path& home : homes())
      for (const char* where : {"", "wafer", "../wafer", "../lib/wafer", "../lib"}) {
        std::error_code ec;
        const std::filesystem::path file = home / where / kName;
        if (std::filesystem::exists(file, ec)) candidates.push_back(file.string());
      }
    candidates.emplace_back(kName);
  }
  return candidates;
}

bool is_linked(const std::string& where_it_is) {
  return where_it_is.empty() && wafer_linked_llvm_backend;
}

Loaded load(const std::string& where_it_is) {
  if (is_linked(where_it_is)) return {wafer_linked_llvm_backend(), {}};
  Loaded out;
  const std::vector<CleanPages> before = clean_pages();
  for (const std::string& file : candidates_for(where_it_is)) {
    void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      out.reason = dlerror();
      continue;
    }
    const auto fingerprint =
        reinterpret_cast<uint64_t (*)()>(dlsym(library, "wafer_llvm_fingerprint"));
    const auto backend =
        reinterpret_cast<Backend* (*)(const Allocator&)>(dlsym(library, "wafer_llvm_backend"));
    if (!fingerprint || !backend || fingerprint() != abi_fingerprint()) {
      out.reason = file + " belongs to another version of wafer";
      dlclose(library);
      continue;
    }
    out.backend = backend(current_allocator());
    const std::vector<CleanPages> now = clean_pages();
    std::set_difference(now.begin(), now.end(), before.begin(), before.end(),
                        std::back_inserter(g_pages));
    return out;
  }
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
  for (const std::string& file : candidates_for(path)) {
    struct stat st{};
    if (file.find('/') == std::string::npos || stat(file.c_str(), &st) != 0) continue;
    const int64_t facts[] = {st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec, int64_t(st.st_ino)};
    return hash_bytes({reinterpret_cast<const uint8_t*>(facts), sizeof facts});
  }
  return 0;
}

}  // namespace wafer::compiler
