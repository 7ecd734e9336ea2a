#include "shim/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace wafer::shim {

Error system_error(std::string_view what) {
  const char* const why = std::strerror(errno);
  return Error(ErrorKind::Io, std::string(what) + ": " + why);
}

namespace {

// Hands all of a file to `take`, piece by piece, until that says false.
template <class Take>
Result<void> read_pieces(const std::string& path, const Take& take) {
  const UniqueFd file = take_opened(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  while (file) {
    char buffer[16 << 10];
    const ssize_t n = read(file.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    if (n == 0 || !take(std::string_view(buffer, size_t(n)))) return {};
  }
  return system_error("cannot read " + path);
}

}  // namespace

Result<std::string> read_file(const std::string& path, size_t limit) {
  std::string text;
  WAFER_TRY(read_pieces(path, [&](std::string_view piece) {
    text += piece;
    return text.size() <= limit;
  }));
  if (text.size() > limit) return Error(ErrorKind::Exhaustion, path + " is too large");
  return text;
}

Result<std::string> read_lines(const std::string& path, std::string_view part) {
  std::string found, begun;
  WAFER_TRY(read_pieces(path, [&](std::string_view piece) {
    while (!piece.empty()) {
      const size_t end = piece.find('\n');
      begun += piece.substr(0, end);
      if (end == piece.npos) break;
      if (begun.find(part) != begun.npos) found += begun + '\n';
      begun.clear();
      piece.remove_prefix(end + 1);
    }
    return true;
  }));
  if (begun.find(part) != begun.npos) found += begun;
  return found;
}

UniqueFd memory_file(std::string_view text) {
  UniqueFd file = take_opened(memfd_create("text", MFD_CLOEXEC));
  if (file && pwrite(file.get(), text.data(), text.size(), 0) != ssize_t(text.size())) file.reset();
  return file;
}

std::string text_in(const UniqueFd& file, size_t limit) {
  std::string text(limit, 0);
  const ssize_t n = pread(file.get(), text.data(), text.size(), 0);
  text.resize(n < 0 ? 0 : size_t(n));
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

std::vector<std::string> places_on(std::string_view path, const std::string& name) {
  std::vector<std::string> out;
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find(':', at), path.size());
    out.push_back(std::string(path.substr(at, end - at)) + "/" + name);
    at = end + 1;
  }
  return out;
}

}  // namespace wafer::shim
