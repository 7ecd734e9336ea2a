// Archives: of images, and of layers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wafer::oci {

// The regular files of a tar (compressed or not), by their names without a leading "./" or "/".
// Exhaustion past `limit` bytes of all, with what each takes besides.
Result<std::map<std::string, std::string>> read_archive_file(const std::string& file,
                                                             uint64_t limit);

// Unpacks a layer over what is in `folder`, with what it removes (whiteouts). Nothing is written
// outside, not through links either; device nodes, owners and set-user-ID bits are left out.
// `budget` is what may still be written or passed over, in bytes; each entry costs some.
Result<void> unpack_layer(std::string_view layer, const std::string& folder, uint64_t& budget);

struct ArchiveEntry {
  std::string name;
  std::string_view content;
};
// A tar of files, with nothing in it that depends on when or where it was made.
Result<std::string> make_tar(const std::vector<ArchiveEntry>& entries);

}  // namespace wafer::oci
