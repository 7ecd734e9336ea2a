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
// compiled of them, in parts that add up from run to run: images one after the other in one
// file, which only ever grows. The first of them holds the module.
#pragma once

#include <memory>
#include <string>

#include "compiler/backend.h"
#include "compiler/cache_turn.h"

namespace wafer::compiler {

// What a module is found by. Takes time by the module's size; of a module that runs it is made
// once.
struct CacheKey {
  explicit CacheKey(Bytes module);
  Bytes module;  // lent
  uint64_t hash;
};

// What a process knows of the parts of a module.
struct CodeParts {
  Vec<std::shared_ptr<CodeImage>> images;  // in the file's order
  // Which file, and where in it the next part begins.
  uint64_t device = 0, inode = 0, end = 0;
};

// Tells builds of this program, and of the library that this is in, apart: their code generators
// may differ.
uint64_t program_identity();

class CodeCache {
 public:
  static constexpr uint64_t kDefaultMaxBytes = uint64_t{1} << 30;

  // A cache in `folder`, which is made if needed when something is stored.
  explicit CodeCache(std::string folder, uint64_t max_bytes = kDefaultMaxBytes)
      : folder_(std::move(folder)), max_bytes_(max_bytes) {}
  // The user's own: $XDG_CACHE_HOME/wafer or ~/.cache/wafer; empty if there is neither.
  static std::string default_folder();

  // Code of the module compiled with `options` on this machine, or null.
  std::shared_ptr<CodeImage> find(const CacheKey& key, const CompileOptions& options) const;
  // The same, or else the turn to make and store it (see Turn::take).
  struct FoundOrTurn {
    std::shared_ptr<CodeImage> found;
    Turn turn;
  };
  FoundOrTurn find_or_wait(const CacheKey& key, const CompileOptions& options,
                           const std::atomic<uint32_t>* cancel) const;
  // Keeps an image that holds its module. Gives the mapped file, or null if it could not
  // be written (a full disk, a folder of somebody else): the cache is only a help.
  std::shared_ptr<CodeImage> store(const CacheKey& key, const CompileOptions& options,
                                   Bytes image) const;

  // Adds to `known` the code of some of the module's functions, which find each other through
  // VmContext::entries, that store_part() has kept since `known` was filled.
  void find_parts(const CacheKey& key, const CompileOptions& options, CodeParts& known) const;
  // The turn to add parts. Waits a short time only: what is hot is urgent.
  Turn wait_for_parts(const CacheKey& key, const CompileOptions& options,
                      const std::atomic<uint32_t>* cancel) const;
  // Keeps one more of them: it is the last of `known` then, after what others have added. False
  // if it is not kept: it could not be written, there are enough, or another process is at it.
  bool store_part(const CacheKey& key, const CompileOptions& options, CodeParts& known,
                  ImageParts& image) const;

  const std::string& folder() const { return folder_; }

 private:
  enum class Holds { Whole, Parts };
  std::string path_of(const CacheKey& key, const CompileOptions& options, Holds holds) const;
  static std::shared_ptr<CodeImage> open(const std::string& path, Bytes holds);
  // What a file of parts is; a module whose hash collides has a file of the same name.
  enum class PartsFile { Ours, OfAnother, Damaged };
  // Reads on, in the file that is open and locked.
  static PartsFile read_parts(int file, const CacheKey& key, CodeParts& known);
  std::shared_ptr<CodeImage> write(const std::string& path, Bytes image) const;
  void make_folder() const;
  Turn take_turn(const std::string& path, const std::function<bool()>& made,
                 std::chrono::milliseconds limit, const std::atomic<uint32_t>* cancel) const;
  void make_room() const;
  std::string folder_;
  uint64_t max_bytes_;
};

}  // namespace wafer::compiler
