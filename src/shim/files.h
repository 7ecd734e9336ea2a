// Small things that many parts of the shim do with files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"

namespace wafer::shim {

// Io: `what` failed, for the reason in errno.
Error system_error(std::string_view what);

// All of a file of at most `limit` bytes. Io.
Result<std::string> read_file(const std::string& path, size_t limit = 16u << 20);
// Its lines that have `part` in them, however large it is otherwise. Io.
Result<std::string> read_lines(const std::string& path, std::string_view part);

// A file in memory that holds `text`, to be read from its beginning. None, with errno, if it cannot
// be made.
UniqueFd memory_file(std::string_view text);
// What a program has written to one, without lines and spaces at the end; at most `limit` bytes.
std::string text_in(const UniqueFd& file, size_t limit = 64 << 10);

// Where a program is looked for that has no PATH.
inline constexpr std::string_view kUsualPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
// Where execvp would look for `name`, which has no slash, in the folders of `path`.
std::vector<std::string> places_on(std::string_view path, const std::string& name);

}  // namespace wafer::shim
