// A cache of compiled modules on disk, found by their content.
//
// A folder of code files. Each is written under another name and then renamed, so that
// any number of processes may use one folder; what was not used for longest goes when the
// folder grows past its bound. A file holds the module that it was compiled from, which
// is compared in full: a hash that collides costs time and nothing else.
#pragma once

#include <memory>
#include <string>

#include "compiler/backend.h"

namespace wafer::compiler {

class CodeCache {
 public:
  static constexpr uint64_t kDefaultMaxBytes = uint64_t{1} << 30;

  // A cache in `folder`, which is made if needed when something is stored.
  explicit CodeCache(std::string folder, uint64_t max_bytes = kDefaultMaxBytes)
      : folder_(std::move(folder)), max_bytes_(max_bytes) {}
  // The user's own: $XDG_CACHE_HOME/wafer or ~/.cache/wafer; empty if there is neither.
  static std::string default_folder();

  // Code of `module` compiled with `options` on this machine, or null.
  std::shared_ptr<CodeImage> find(Bytes module, const CompileOptions& options) const;
  // Keeps an image that holds its module. Gives the mapped file, or null if it could not
  // be written (a full disk, a folder of somebody else): the cache is only a help.
  std::shared_ptr<CodeImage> store(Bytes module, const CompileOptions& options, Bytes image) const;

  const std::string& folder() const { return folder_; }

 private:
  std::string path_of(Bytes module, const CompileOptions& options) const;
  void make_room() const;
  std::string folder_;
  uint64_t max_bytes_;
};

}  // namespace wafer::compiler
