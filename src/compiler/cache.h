// A cache of compiled modules on disk, found by their content.
//
// A folder of code files. Each is written under another name and then renamed, so that
// any number of processes may use one folder; what was not used for longest goes when the
// folder grows past its bound. A file holds the module that it was compiled from, which
// is compared in full: a hash that collides costs time and nothing else.
//
// Processes that need the same code at the same time take turns, so that one makes it and the
// others find it. Whatever is wrong with the folder or with what lies in it, the outcome is
// that nothing is found or kept: it never ends, holds up or changes a run.
//
// Of modules that never run for long enough to be compiled as a whole, it keeps what was
// compiled of them, in parts that add up from run to run. The first holds the module; the
// others name the first.
#pragma once

#include <memory>
#include <string>

#include "compiler/backend.h"
#include "compiler/cache_turn.h"

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
  // The same, or else the turn to make and store it (see Turn::take).
  struct FoundOrTurn {
    std::shared_ptr<CodeImage> found;
    Turn turn;
  };
  FoundOrTurn find_or_wait(Bytes module, const CompileOptions& options,
                           const std::atomic<uint32_t>* cancel) const;
  // Keeps an image that holds its module. Gives the mapped file, or null if it could not
  // be written (a full disk, a folder of somebody else): the cache is only a help.
  std::shared_ptr<CodeImage> store(Bytes module, const CompileOptions& options, Bytes image) const;

  // Code of some of the module's functions, which find each other through
  // VmContext::entries: what store_part() kept, in its order, after those that are known.
  Vec<std::shared_ptr<CodeImage>> find_parts(
      Bytes module, const CompileOptions& options,
      std::span<const std::shared_ptr<CodeImage>> known = {}) const;
  // The turn to add parts. Waits a short time only: what is hot is urgent.
  Turn wait_for_parts(Bytes module, const CompileOptions& options,
                      const std::atomic<uint32_t>* cancel) const;
  // Keeps one more of them, after those that are known. Null if it is not kept: it could
  // not be written, or there are enough.
  std::shared_ptr<CodeImage> store_part(Bytes module, const CompileOptions& options,
                                        std::span<const std::shared_ptr<CodeImage>> known,
                                        ImageParts& image) const;

  const std::string& folder() const { return folder_; }

 private:
  // `part`: 0 of the whole module, else counted from 1.
  std::string path_of(Bytes module, const CompileOptions& options, unsigned part) const;
  static std::shared_ptr<CodeImage> open(const std::string& path, Bytes holds);
  std::shared_ptr<CodeImage> write(const std::string& path, Bytes image) const;
  void make_folder() const;
  Turn take_turn(const std::string& path, const std::function<bool()>& made,
                 std::chrono::milliseconds limit, const std::atomic<uint32_t>* cancel) const;
  void make_room() const;
  std::string folder_;
  uint64_t max_bytes_;
};

}  // namespace wafer::compiler
