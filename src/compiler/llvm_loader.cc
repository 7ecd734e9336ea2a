#include "compiler/llvm_loader.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "compiler/abi.h"

namespace wafer::compiler {

namespace {

constexpr const char* kName = "libwafer-llvm.so";

struct Loaded {
  Backend* backend = nullptr;
  std::string reason;
};

Loaded load() {
  std::vector<std::string> candidates;
  if (const char* path = std::getenv("WAFER_LLVM")) {
    candidates.emplace_back(path);
  } else {
    std::error_code ec;
    const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", ec);
    if (!ec) {
      const std::filesystem::path dir = self.parent_path();
      for (const char* where : {"", "../lib/wafer", "../lib"}) {
        const std::filesystem::path file = dir / where / kName;
        if (std::filesystem::exists(file, ec)) candidates.push_back(file.string());
      }
    }
    candidates.emplace_back(kName);
  }
  Loaded out;
  for (const std::string& file : candidates) {
    void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      out.reason = dlerror();
      continue;
    }
    const auto fingerprint =
        reinterpret_cast<uint64_t (*)()>(dlsym(library, "wafer_llvm_fingerprint"));
    const auto backend = reinterpret_cast<Backend* (*)()>(dlsym(library, "wafer_llvm_backend"));
    if (!fingerprint || !backend || fingerprint() != abi_fingerprint()) {
      out.reason = file + " belongs to another version of wafer";
      dlclose(library);
      continue;
    }
    out.backend = backend();
    return out;
  }
  return out;
}

}  // namespace

Result<Backend*> load_llvm_backend() {
  static const Loaded loaded = load();
  if (loaded.backend) return loaded.backend;
  return Error(ErrorKind::Unsupported, "no optimizing code generator: " + loaded.reason);
}

}  // namespace wafer::compiler
