#include "plugin/plugin.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

namespace wafer::plugin {

namespace {

// Folders of the program and of the library that this code is in.
std::vector<std::filesystem::path> homes() {
  std::vector<std::filesystem::path> out;
  std::error_code ec;
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&open), &info) && info.dli_fname)
    out.push_back(std::filesystem::weakly_canonical(info.dli_fname, ec).parent_path());
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", ec);
  if (!ec) out.push_back(self.parent_path());
  return out;
}

}  // namespace

std::vector<std::string> candidates(const Plugin& plugin, const std::string& where_it_is) {
  std::vector<std::string> out;
  if (!where_it_is.empty()) {
    out.push_back(where_it_is);
  } else if (const char* path = std::getenv(plugin.variable); path && *path) {
    out.emplace_back(path);
  } else {
    for (const std::filesystem::path& home : homes())
      for (const char* where : {"", "wafer", "../wafer", "../lib/wafer", "../lib"}) {
        std::error_code ec;
        const std::filesystem::path file = home / where / plugin.file;
        if (std::filesystem::exists(file, ec)) out.push_back(file.string());
      }
    out.emplace_back(plugin.file);
  }
  return out;
}

Result<void*> open(const Plugin& plugin, const std::string& where_it_is) {
  std::string reason;
  for (const std::string& file : candidates(plugin, where_it_is)) {
    void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      reason = dlerror();
      continue;
    }
    const auto version = reinterpret_cast<uint64_t (*)()>(dlsym(library, plugin.version_function));
    if (version && version() == plugin.version) return library;
    reason = file + " belongs to another version of wafer";
    dlclose(library);
  }
  return Error(ErrorKind::Unsupported, reason);
}

}  // namespace wafer::plugin
