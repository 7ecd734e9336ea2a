#include "compiler/cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "base/descriptor.h"
#include "compiler/abi.h"

namespace wafer::compiler {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".wcode", kTurnSuffix = ".turn";

// Tells builds of this program apart, whose code generators may differ.
uint64_t program_identity() {
  static const uint64_t identity = [] {
    struct stat st{};
    stat("/proc/self/exe", &st);
    const int64_t facts[] = {st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec, int64_t(st.st_ino)};
    return hash_bytes({reinterpret_cast<const uint8_t*>(facts), sizeof facts});
  }();
  return identity;
}

bool write_all(int fd, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(size_t(n));
  }
  return true;
}

}  // namespace

std::string CodeCache::default_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache == '/')
    return std::string(cache) + "/wafer";
  if (const char* home = std::getenv("HOME"); home && *home == '/')
    return std::string(home) + "/.cache/wafer";
  return {};
}

std::string CodeCache::path_of(Bytes module, const CompileOptions& options, unsigned part) const {
  char settings[320];
  const CodeOptions& c = options.code;
  const int n = std::snprintf(settings, sizeof settings, "%llx %llx %llx %llx %u %u %d%d%d%d%d %s",
                              static_cast<unsigned long long>(abi_fingerprint()),
                              static_cast<unsigned long long>(host_cpu_features()),
                              static_cast<unsigned long long>(program_identity()),
                              static_cast<unsigned long long>(options.generator), part,
                              options.opt_level, c.guard_pages, c.fuel, c.interruptible,
                              c.relaxed_traps, c.signals, options.cpu.c_str());
  const uint64_t seed = hash_bytes(
      {reinterpret_cast<const uint8_t*>(settings), std::min(size_t(n), sizeof settings - 1)});
  char name[64];
  std::snprintf(name, sizeof name, "/%016llx%016llx",
                static_cast<unsigned long long>(hash_bytes(module, seed)),
                static_cast<unsigned long long>(hash_bytes(module, ~seed)));
  return folder_ + name + std::string(kSuffix);
}

// The image at `path` if it holds just these bytes beside its code; else null.
std::shared_ptr<CodeImage> CodeCache::open(const std::string& path, Bytes holds) {
  const UniqueFd file =
      take_opened(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  struct stat st;
  // Nobody else may have put code here.
  if (!file || fstat(file.get(), &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
      (st.st_mode & (S_IWGRP | S_IWOTH)))
    return nullptr;
  Result<std::shared_ptr<CodeImage>> image = CodeImage::map_file(file.get());
  if (!image) {
    unlink(path.c_str());  // damaged: it will be made again
    return nullptr;
  }
  const Bytes kept = (*image)->module();
  if (kept.size() != holds.size() || std::memcmp(kept.data(), holds.data(), holds.size()) != 0)
    return nullptr;
  (void)futimens(file.get(), nullptr);  // used now
  return *std::move(image);
}

std::shared_ptr<CodeImage> CodeCache::find(Bytes module, const CompileOptions& options) const {
  return folder_.empty() ? nullptr : open(path_of(module, options, 0), module);
}

CodeCache::FoundOrTurn CodeCache::find_or_wait(Bytes module, const CompileOptions& options,
                                               const std::atomic<uint32_t>* cancel) const {
  FoundOrTurn out;
  if (folder_.empty()) return out;
  const std::string path = path_of(module, options, 0);
  const auto look = [&] { return (out.found = open(path, module)) != nullptr; };
  if (look()) return out;
  out.turn = take_turn(path, look, std::chrono::hours(24), cancel);
  // The one before may have stored it meanwhile.
  if (out.turn && look()) out.turn = {};
  return out;
}

std::shared_ptr<CodeImage> CodeCache::store(Bytes module, const CompileOptions& options,
                                            Bytes image) const {
  return folder_.empty() ? nullptr : write(path_of(module, options, 0), image);
}

namespace {

// Parts of one module: enough for what is hot, and no burden on the next start.
constexpr size_t kMaxParts = 64;

// What a part after the first holds: the name of the first, which holds the module.
Bytes name_of(const uint64_t& checksum) {
  return {reinterpret_cast<const uint8_t*>(&checksum), sizeof checksum};
}

}  // namespace

Vec<std::shared_ptr<CodeImage>> CodeCache::find_parts(
    Bytes module, const CompileOptions& options,
    std::span<const std::shared_ptr<CodeImage>> known) const {
  Vec<std::shared_ptr<CodeImage>> parts;
  uint64_t first = known.empty() ? 0 : known[0]->checksum();
  while (!folder_.empty() && known.size() + parts.size() < kMaxParts) {
    const size_t before = known.size() + parts.size();
    auto part =
        open(path_of(module, options, unsigned(before) + 1), before == 0 ? module : name_of(first));
    if (!part) break;
    if (before == 0) first = part->checksum();
    parts.push_back(std::move(part));
  }
  return parts;
}

Turn CodeCache::wait_for_parts(Bytes module, const CompileOptions& options,
                               const std::atomic<uint32_t>* cancel) const {
  constexpr std::chrono::milliseconds kUrgent{500};
  if (folder_.empty()) return {};
  return take_turn(path_of(module, options, 1), [] { return false; }, kUrgent, cancel);
}

// The turn at the file `path`, which `made` looks for.
Turn CodeCache::take_turn(const std::string& path, const std::function<bool()>& made,
                          std::chrono::milliseconds limit,
                          const std::atomic<uint32_t>* cancel) const {
  make_folder();
  const std::string stem = path.substr(0, path.size() - kSuffix.size());
  return Turn::take(stem + std::string(kTurnSuffix), made, limit, cancel);
}

std::shared_ptr<CodeImage> CodeCache::store_part(Bytes module, const CompileOptions& options,
                                                 std::span<const std::shared_ptr<CodeImage>> known,
                                                 ImageParts& image) const {
  if (folder_.empty() || known.size() >= kMaxParts) return nullptr;
  const uint64_t first = known.empty() ? 0 : known[0]->checksum();
  const Bytes holds = known.empty() ? module : name_of(first);
  image.module.assign(holds.begin(), holds.end());
  return write(path_of(module, options, unsigned(known.size()) + 1), write_image(image));
}

std::shared_ptr<CodeImage> CodeCache::write(const std::string& path, Bytes image) const {
  if (image.size() > max_bytes_ || !file_size_allowed(image.size())) return nullptr;
  make_folder();
  std::string temporary = folder_ + "/.new-XXXXXX";
  const UniqueFd file = take_opened(mkostemp(temporary.data(), O_CLOEXEC));
  if (!file) return nullptr;
  if (!write_all(file.get(), image) || fchmod(file.get(), 0600) != 0 ||
      rename(temporary.c_str(), path.c_str()) != 0) {
    unlink(temporary.c_str());
    return nullptr;
  }
  make_room();
  // What a full or distant disk has lost after all shows here.
  Result<std::shared_ptr<CodeImage>> mapped = CodeImage::map_file(file.get());
  return mapped ? *std::move(mapped) : nullptr;
}

void CodeCache::make_folder() const {
  std::error_code ec;
  if (fs::exists(folder_, ec)) return;
  fs::create_directories(fs::path(folder_).parent_path(), ec);
  mkdir(folder_.c_str(), 0700);
}

// Deletes what was used longest ago until the bound holds, and remains of writers that
// died. Others may do the same at this moment: files that are gone are no error.
void CodeCache::make_room() const {
  struct Entry {
    fs::path path;
    uint64_t size;
    timespec used;
  };
  std::vector<Entry> entries;
  uint64_t total = 0;
  std::error_code ec;
  fs::directory_iterator entry(folder_, ec);
  for (; !ec && entry != fs::directory_iterator(); entry.increment(ec)) {
    const fs::directory_entry& e = *entry;
    struct stat st;
    if (lstat(e.path().c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
    const std::string name = e.path().filename();
    constexpr time_t kAbandoned = 3600;
    if ((name.starts_with(".new-") || name.ends_with(kTurnSuffix)) &&
        time(nullptr) - st.st_mtim.tv_sec > kAbandoned)
      unlink(e.path().c_str());
    if (!name.ends_with(kSuffix)) continue;
    entries.push_back({e.path(), uint64_t(st.st_size), st.st_mtim});
    total += uint64_t(st.st_size);
  }
  if (total <= max_bytes_) return;
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.used.tv_sec != b.used.tv_sec ? a.used.tv_sec < b.used.tv_sec
                                          : a.used.tv_nsec < b.used.tv_nsec;
  });
  for (const Entry& e : entries) {
    if (total <= max_bytes_) break;
    unlink(e.path.c_str());
    total -= e.size;
  }
}

}  // namespace wafer::compiler
