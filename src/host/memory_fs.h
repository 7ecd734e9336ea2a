// Files and directories that are held in memory.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/span.h"
#include "host/fs.h"

namespace wafer::host {

// A file system of its own. For any thread; it stays for as long as something of it is open.
class MemoryFs {
 public:
  // `capacity` bytes of contents and names; what goes beyond is ENOSPC.
  explicit MemoryFs(uint64_t capacity = uint64_t{1} << 30);
  ~MemoryFs();
  MemoryFs(const MemoryFs&) = delete;
  MemoryFs& operator=(const MemoryFs&) = delete;

  DirectoryRef root(bool read_only = false) const;
  // Makes a file with these bytes, or gives it these, and the directories on the way.
  Status put(std::string_view path, Bytes bytes);
  // What a file has; links are followed.
  Outcome<std::string> get(std::string_view path) const;

  struct Volume;

 private:
  std::shared_ptr<Volume> volume_;
};

}  // namespace wafer::host
