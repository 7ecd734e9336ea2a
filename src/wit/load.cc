// Packages from files and folders (WIT.md, "Filesystem structure").
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

#include "wit/decode.h"
#include "wit/print.h"

namespace wafer::wit {

namespace fs = std::filesystem;

namespace {

// Sources are small; a text of more than this is some other file.
constexpr uintmax_t kMaxFile = uintmax_t{64} << 20;

Result<Text> read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in)
    return Error(ErrorKind::Io, "cannot open " + path.string() + ": " + std::strerror(errno));
  Text out{path.string(), {}};
  char buffer[65536];
  while (in.read(buffer, sizeof buffer) || in.gcount() > 0) {
    out.text.append(buffer, static_cast<size_t>(in.gcount()));
    if (out.text.size() > kMaxFile)
      return Error(ErrorKind::Exhaustion, path.string() + ": too large for a WIT file");
  }
  if (in.bad()) return Error(ErrorKind::Io, path.string() + ": cannot be read");
  const size_t first = out.text.find_first_not_of(" \t\r\n");
  if (first != out.text.npos && out.text[first] == '(')
    return Error(ErrorKind::Invalid,
                 path.string() + ": is the text of a module or component; WIT was expected");
  return out;
}

Error in_file(const std::string& path, const Error& error) {
  std::ostringstream out;
  out << path;
  if (error.offset != Error::kNoOffset) out << ":0x" << std::hex << error.offset;
  out << ": " << std::string_view(error.message);
  return {error.kind, out.str()};
}

Bytes bytes_of(const Text& text) {
  return {reinterpret_cast<const uint8_t*>(text.text.data()), text.text.size()};
}

// What a folder holds, by name.
Result<std::vector<fs::path>> entries(const fs::path& folder) {
  std::error_code code;
  std::vector<fs::path> out;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
    out.push_back(it->path());
  if (code) return Error(ErrorKind::Io, folder.string() + ": " + code.message());
  std::sort(out.begin(), out.end());
  return out;
}

Result<PackageTexts> folder_texts(const fs::path& folder) {
  PackageTexts out;
  WAFER_LET(paths, entries(folder));
  for (const fs::path& path : paths) {
    std::error_code code;
    if (path.extension() != ".wit" || !fs::is_regular_file(path, code)) continue;
    WAFER_LET(text, read(path));
    out.push_back(std::move(text));
  }
  if (out.empty()) return Error(ErrorKind::Invalid, folder.string() + ": holds no .wit files");
  return out;
}

}  // namespace

Result<Resolved> load(std::span<const fs::path> paths, const ResolveOptions& options) {
  std::vector<PackageTexts> groups;
  for (const fs::path& path : paths) {
    std::error_code code;
    if (!fs::is_directory(path, code)) {
      WAFER_LET(text, read(path));
      groups.push_back({std::move(text)});
      continue;
    }
    const fs::path deps = path / "deps";
    if (fs::is_directory(deps, code)) {
      WAFER_LET(inner, entries(deps));
      for (const fs::path& dep : inner) {
        if (fs::is_directory(dep, code)) {
          WAFER_LET(texts, folder_texts(dep));
          groups.push_back(std::move(texts));
        } else if (dep.extension() == ".wit" || dep.extension() == ".wasm") {
          WAFER_LET(text, read(dep));
          groups.push_back({std::move(text)});
        }
      }
    }
    WAFER_LET(texts, folder_texts(path));
    groups.push_back(std::move(texts));
  }
  if (groups.empty()) return Error(ErrorKind::Usage, "no WIT files were given");
  for (PackageTexts& group : groups) {
    for (Text& text : group) {
      if (!component::is_binary(bytes_of(text))) continue;
      auto decoded = decode_binary(bytes_of(text));
      if (!decoded.ok()) return in_file(text.path, decoded.error());
      if (groups.size() == 1 && group.size() == 1) return decoded;
      // Beside others it is what it would be as text.
      text.text = print(decoded->resolve, decoded->main, {true, false});
    }
  }
  return resolve(std::move(groups), options);
}

}  // namespace wafer::wit
