#include "oci/archive.h"

#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "oci/libarchive.h"

namespace wafer::oci {

namespace {

namespace fs = std::filesystem;
using Reader = std::unique_ptr<archive, int (*)(archive*)>;

Error error_of(const LibArchive& lib, archive* a, const std::string& what) {
  const char* const why = lib.archive_error_string(a);
  return Error(ErrorKind::Invalid, what + ": " + (why ? why : "damaged"));
}

Reader make_reader(const LibArchive& lib) {
  Reader reader(lib.archive_read_new(), lib.archive_read_free);
  lib.archive_read_support_format_tar(reader.get());
  lib.archive_read_support_filter_gzip(reader.get());
  lib.archive_read_support_filter_zstd(reader.get());
  return reader;
}

// Without what makes it absolute; empty for one that leads up.
std::string clean_name(const char* name) {
  std::string out;
  if (!name) return out;
  for (const fs::path& part : fs::path(name)) {
    if (part == "..") return {};
    if (part == "." || part == "/" || part.empty()) continue;
    if (!out.empty()) out += '/';
    out += part.string();
  }
  return out;
}

bool spend(uint64_t& budget, uint64_t bytes) {
  if (bytes > budget) return false;
  budget -= bytes;
  return true;
}

// What an entry costs: itself, the folders that it may be the first in, and, unless it is going to
// be read, its content, which is passed over whatever its size says.
uint64_t cost_of(const LibArchive& lib, archive_entry* entry, const std::string& name,
                 bool is_read) {
  constexpr uint64_t kItself = 4096, kFolder = 256;
  const la_int64_t size = is_read ? 0 : lib.archive_entry_size(entry);
  return kItself + uint64_t(std::count(name.begin(), name.end(), '/')) * kFolder + name.size() +
         (size > 0 ? uint64_t(size) : 0);
}

}  // namespace

Result<std::map<std::string, std::string>> read_archive_file(const std::string& file,
                                                             uint64_t limit) {
  WAFER_LET(lib, libarchive());
  const Reader reader = make_reader(lib);
  if (lib.archive_read_open_filename(reader.get(), file.c_str(), 64 << 10) != ARCHIVE_OK)
    return Error(ErrorKind::Io,
                 "cannot read " + file + ": " + lib.archive_error_string(reader.get()));
  std::map<std::string, std::string> files;
  archive_entry* entry = nullptr;
  const auto too_large = [&] { return Error(ErrorKind::Exhaustion, file + " is too large"); };
  for (;;) {
    const int status = lib.archive_read_next_header(reader.get(), &entry);
    if (status == ARCHIVE_EOF) return files;
    if (status < ARCHIVE_WARN) return error_of(lib, reader.get(), file);
    const std::string name = clean_name(lib.archive_entry_pathname(entry));
    const bool is_read = lib.archive_entry_filetype(entry) == AE_IFREG && !name.empty();
    if (!spend(limit, cost_of(lib, entry, name, is_read))) return too_large();
    if (!is_read) continue;
    std::string content;
    char buffer[64 << 10];
    for (;;) {
      const la_ssize_t n = lib.archive_read_data(reader.get(), buffer, sizeof buffer);
      if (n < 0) return error_of(lib, reader.get(), file);
      if (n == 0) break;
      if (!spend(limit, uint64_t(n))) return too_large();
      content.append(buffer, size_t(n));
    }
    files[name] = std::move(content);
  }
}

Result<void> unpack_layer(std::string_view layer, const std::string& folder, uint64_t& budget) {
  WAFER_LET(lib, libarchive());
  const Reader reader = make_reader(lib);
  if (lib.archive_read_open_memory(reader.get(), layer.data(), layer.size()) != ARCHIVE_OK)
    return error_of(lib, reader.get(), "a layer");
  const Reader writer(lib.archive_write_disk_new(), lib.archive_write_free);
  lib.archive_write_disk_set_options(writer.get(), ARCHIVE_EXTRACT_SECURE_NODOTDOT |
                                                       ARCHIVE_EXTRACT_SECURE_SYMLINKS |
                                                       ARCHIVE_EXTRACT_UNLINK);
  archive_entry* entry = nullptr;
  const auto too_large = [] { return Error(ErrorKind::Exhaustion, "the image is too large"); };
  for (;;) {
    const int status = lib.archive_read_next_header(reader.get(), &entry);
    if (status == ARCHIVE_EOF) return {};
    if (status < ARCHIVE_WARN) return error_of(lib, reader.get(), "a layer");
    const std::string name = clean_name(lib.archive_entry_pathname(entry));
    const auto type = lib.archive_entry_filetype(entry);
    const char* const hard = lib.archive_entry_hardlink(entry);
    const size_t slash = name.rfind('/');
    const std::string last = name.substr(slash == name.npos ? 0 : slash + 1);
    const bool is_whiteout = last.starts_with(".wh.");
    const bool is_read = !name.empty() && !is_whiteout && !hard && type == AE_IFREG;
    if (!spend(budget, cost_of(lib, entry, name, is_read))) return too_large();
    if (name.empty()) continue;
    // Nobody could open it by its name.
    if (name.size() >= PATH_MAX) return Error(ErrorKind::Invalid, "a layer has too long a name");
    const std::string parent = folder + "/" + name.substr(0, slash == name.npos ? 0 : slash);
    if (is_whiteout) {
      std::error_code ec;
      // Not through links: the folder has to be where its name says.
      if (fs::weakly_canonical(parent, ec) != fs::path(parent).lexically_normal() &&
          fs::weakly_canonical(parent, ec).string() + "/" != fs::path(parent).lexically_normal())
        continue;
      if (last == ".wh..wh..opq") {
        for (fs::directory_iterator it(parent, ec), end; !ec && it != end; it.increment(ec))
          fs::remove_all(it->path(), ec);
      } else if (last.size() > 4 && last != ".wh..wh." && last.substr(4) != ".." &&
                 last.substr(4) != ".") {
        fs::remove_all(parent + "/" + last.substr(4), ec);
      }
      continue;
    }
    if (!hard && type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK) continue;
    lib.archive_entry_copy_pathname(entry, (folder + "/" + name).c_str());
    if (hard) {
      const std::string target = clean_name(hard);
      if (target.empty()) continue;
      lib.archive_entry_copy_hardlink(entry, (folder + "/" + target).c_str());
    }
    // Who unpacks can also remove it.
    lib.archive_entry_set_perm(
        entry, mode_t((lib.archive_entry_perm(entry) & 0777) | (type == AE_IFDIR ? 0700 : 0400)));
    if (lib.archive_write_header(writer.get(), entry) < ARCHIVE_WARN)
      return error_of(lib, writer.get(), "cannot unpack " + name);
    char buffer[64 << 10];
    for (la_ssize_t n; is_read;) {
      n = lib.archive_read_data(reader.get(), buffer, sizeof buffer);
      if (n < 0) return error_of(lib, reader.get(), "a layer");
      if (n == 0) break;
      if (!spend(budget, uint64_t(n))) return too_large();
      if (lib.archive_write_data(writer.get(), buffer, size_t(n)) != n)
        return error_of(lib, writer.get(), "cannot unpack " + name);
    }
    if (lib.archive_write_finish_entry(writer.get()) < ARCHIVE_WARN)
      return error_of(lib, writer.get(), "cannot unpack " + name);
  }
}

Result<std::string> make_tar(const std::vector<ArchiveEntry>& entries) {
  WAFER_LET(lib, libarchive());
  std::string out;
  const Reader writer(lib.archive_write_new(), lib.archive_write_free);
  lib.archive_write_set_format_ustar(writer.get());
  lib.archive_write_add_filter_none(writer.get());
  lib.archive_write_set_bytes_in_last_block(writer.get(), 1);
  const auto append = [](archive*, void* into, const void* data, size_t size) -> la_ssize_t {
    static_cast<std::string*>(into)->append(static_cast<const char*>(data), size);
    return la_ssize_t(size);
  };
  if (lib.archive_write_open(writer.get(), &out, nullptr, append, nullptr) != ARCHIVE_OK)
    return error_of(lib, writer.get(), "cannot make an archive");
  for (const ArchiveEntry& e : entries) {
    const std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(lib.archive_entry_new(),
                                                                         lib.archive_entry_free);
    lib.archive_entry_set_pathname(entry.get(), e.name.c_str());
    lib.archive_entry_set_size(entry.get(), la_int64_t(e.content.size()));
    lib.archive_entry_set_filetype(entry.get(), AE_IFREG);
    lib.archive_entry_set_perm(entry.get(), 0755);
    lib.archive_entry_set_mtime(entry.get(), 0, 0);
    if (lib.archive_write_header(writer.get(), entry.get()) != ARCHIVE_OK ||
        lib.archive_write_data(writer.get(), e.content.data(), e.content.size()) !=
            la_ssize_t(e.content.size()))
      return error_of(lib, writer.get(), "cannot make an archive");
  }
  if (lib.archive_write_close(writer.get()) != ARCHIVE_OK)
    return error_of(lib, writer.get(), "cannot make an archive");
  return out;
}

}  // namespace wafer::oci
