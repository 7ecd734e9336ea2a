#include "compiler/cache.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
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

}  // namespace

uint64_t program_identity() {
  static const uint64_t identity = [] {
    std::vector<int64_t> facts;
    const auto add = [&facts](const char* path) {
      struct stat st{};
      if (stat(path, &st) != 0) return;
      for (const int64_t fact : {int64_t(st.st_size), int64_t(st.st_mtim.tv_sec),
                                 int64_t(st.st_mtim.tv_nsec), int64_t(st.st_ino)})
        facts.push_back(fact);
    };
    add("/proc/self/exe");
    Dl_info here;
    if (dladdr(reinterpret_cast<const void*>(&abi_fingerprint), &here) && here.dli_fname &&
        std::strchr(here.dli_fname, '/'))
      add(here.dli_fname);
    return hash_bytes({reinterpret_cast<const uint8_t*>(facts.data()), facts.size() * 8});
  }();
  return identity;
}

namespace {

bool write_all(int fd, Bytes bytes, uint64_t at = 0) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), off_t(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(size_t(n));
    at += uint64_t(n);
  }
  return true;
}

constexpr int kOpen = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

// Nobody else may have put code there.
bool is_ours(int fd, struct stat& st) {
  return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
         !(st.st_mode & (S_IWGRP | S_IWOTH));
}

}  // namespace

std::string CodeCache::default_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache == '/')
    return std::string(cache) + "/wafer";
  if (const char* home = std::getenv("HOME"); home && *home == '/')
    return std::string(home) + "/.cache/wafer";
  return {};
}

CacheKey::CacheKey(Bytes module) : module(module), hash(hash_bytes(module)) {}

std::string CodeCache::path_of(const CacheKey& key, const CompileOptions& options,
                               Holds holds) const {
  char settings[360];
  const CodeOptions& c = options.code;
  const int n = std::snprintf(
      settings, sizeof settings, "%llx %zx %llx %llx %llx %llx %u %u %d%d%d%d%d %s",
      static_cast<unsigned long long>(key.hash), key.module.size(),
      static_cast<unsigned long long>(abi_fingerprint()),
      static_cast<unsigned long long>(host_cpu_features()),
      static_cast<unsigned long long>(program_identity()),
      static_cast<unsigned long long>(options.generator), unsigned(holds), options.opt_level,
      c.guard_pages, c.fuel, c.interruptible, c.relaxed_traps, c.signals, options.cpu.c_str());
  const Bytes all(reinterpret_cast<const uint8_t*>(settings),
                  std::min(size_t(n), sizeof settings - 1));
  char name[64];
  std::snprintf(name, sizeof name, "/%016llx%016llx",
                static_cast<unsigned long long>(hash_bytes(all, 1)),
                static_cast<unsigned long long>(hash_bytes(all, 2)));
  return folder_ + name + std::string(kSuffix);
}

// The image at `path` if it holds just these bytes beside its code; else null.
std::shared_ptr<CodeImage> CodeCache::open(const std::string& path, Bytes holds) {
  const UniqueFd file = take_opened(::open(path.c_str(), O_RDONLY | kOpen));
  struct stat st;
  if (!file || !is_ours(file.get(), st)) return nullptr;
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

std::shared_ptr<CodeImage> CodeCache::find(const CacheKey& key,
                                           const CompileOptions& options) const {
  return folder_.empty() ? nullptr : open(path_of(key, options, Holds::Whole), key.module);
}

CodeCache::FoundOrTurn CodeCache::find_or_wait(const CacheKey& key, const CompileOptions& options,
                                               const std::atomic<uint32_t>* cancel) const {
  FoundOrTurn out;
  if (folder_.empty()) return out;
  const std::string path = path_of(key, options, Holds::Whole);
  const auto look = [&] { return (out.found = open(path, key.module)) != nullptr; };
  if (look()) return out;
  out.turn = take_turn(path, look, std::chrono::hours(24), cancel);
  // The one before may have stored it meanwhile.
  if (out.turn && look()) out.turn = {};
  return out;
}

std::shared_ptr<CodeImage> CodeCache::store(const CacheKey& key, const CompileOptions& options,
                                            Bytes image) const {
  return folder_.empty() ? nullptr : write(path_of(key, options, Holds::Whole), image);
}

namespace {

// Of one module, beside the module itself: enough for what is hot, and no burden on the next start.
constexpr uint64_t kMaxPartBytes = 32u << 20;

// Held for as long as parts are read or one is written. A process that was stopped in the midst
// keeps it: nobody waits for it.
class FileLock {
 public:
  FileLock(int fd, int kind) : fd_(flock(fd, kind | LOCK_NB) == 0 ? fd : -1) {}
  ~FileLock() {
    if (fd_ >= 0) flock(fd_, LOCK_UN);
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

}  // namespace

// A part's first bytes are written last, so one whose writer died is no part, and the next takes
// its place. One that is there but not whole says that the disk lost something.
CodeCache::PartsFile CodeCache::read_parts(int file, const CacheKey& key, CodeParts& known) {
  struct stat st;
  if (!is_ours(file, st)) return PartsFile::OfAnother;
  const auto size = uint64_t(st.st_size);
  if (known.device != uint64_t(st.st_dev) || known.inode != uint64_t(st.st_ino) ||
      known.end > page_up(size)) {
    known.device = uint64_t(st.st_dev);
    known.inode = uint64_t(st.st_ino);
    known.end = 0;
  }
  while (known.end < size) {
    uint8_t start[CodeImage::kPeek];
    if (pread(file, start, sizeof start, off_t(known.end)) != ssize_t(sizeof start)) break;
    if (!CodeImage::is_image(start)) break;
    const uint64_t bytes = CodeImage::claimed_size(start);
    if (bytes == 0 || bytes > size - known.end) return PartsFile::Damaged;
    auto image = CodeImage::map_file(file, known.end, size_t(bytes));
    if (!image) return PartsFile::Damaged;
    const Bytes held = (*image)->module();
    if (known.end == 0 && (held.size() != key.module.size() ||
                           std::memcmp(held.data(), key.module.data(), held.size()) != 0))
      return PartsFile::OfAnother;
    known.images.push_back(*std::move(image));
    known.end = page_up(known.end + bytes);
  }
  return PartsFile::Ours;
}

void CodeCache::find_parts(const CacheKey& key, const CompileOptions& options,
                           CodeParts& known) const {
  if (folder_.empty()) return;
  const std::string path = path_of(key, options, Holds::Parts);
  const UniqueFd file = take_opened(::open(path.c_str(), O_RDONLY | kOpen));
  if (!file) return;
  const FileLock lock(file.get(), LOCK_SH);
  if (!lock) return;
  switch (read_parts(file.get(), key, known)) {
    case PartsFile::Ours:  // used now
      (void)futimens(file.get(), nullptr);
      break;
    case PartsFile::OfAnother:
      break;
    case PartsFile::Damaged:  // it will be made again
      unlink(path.c_str());
      break;
  }
}

Turn CodeCache::wait_for_parts(const CacheKey& key, const CompileOptions& options,
                               const std::atomic<uint32_t>* cancel) const {
  constexpr std::chrono::milliseconds kUrgent{500};
  if (folder_.empty()) return {};
  return take_turn(path_of(key, options, Holds::Parts), [] { return false; }, kUrgent, cancel);
}

// The turn at the file `path`, which `made` looks for.
Turn CodeCache::take_turn(const std::string& path, const std::function<bool()>& made,
                          std::chrono::milliseconds limit,
                          const std::atomic<uint32_t>* cancel) const {
  make_folder();
  const std::string stem = path.substr(0, path.size() - kSuffix.size());
  return Turn::take(stem + std::string(kTurnSuffix), made, limit, cancel);
}

bool CodeCache::store_part(const CacheKey& key, const CompileOptions& options, CodeParts& known,
                           ImageParts& image) const {
  if (folder_.empty()) return false;
  make_folder();
  const std::string path = path_of(key, options, Holds::Parts);
  const UniqueFd file = take_opened(::open(path.c_str(), O_RDWR | O_CREAT | kOpen, 0600));
  if (!file) return false;
  const FileLock lock(file.get(), LOCK_EX);
  if (!lock) return false;
  const PartsFile found = read_parts(file.get(), key, known);
  if (found == PartsFile::Damaged) unlink(path.c_str());
  if (found != PartsFile::Ours) return false;
  if (known.end == 0) image.module.assign(key.module.begin(), key.module.end());
  const Vec<uint8_t> bytes = write_image(image);
  image.module.clear();
  const uint64_t end = known.end + bytes.size();
  if (end > kMaxPartBytes + key.module.size() || end > max_bytes_ || !file_size_allowed(end))
    return false;
  const size_t before = known.images.size();
  // What a writer left that died: no image, so nobody has it mapped.
  struct stat st;
  if (fstat(file.get(), &st) != 0 || st.st_nlink != 1 ||
      (uint64_t(st.st_size) > known.end && ftruncate(file.get(), off_t(known.end)) != 0))
    return false;
  const Bytes all(bytes);
  if (!write_all(file.get(), all.subspan(8), known.end + 8) ||
      !write_all(file.get(), all.first(8), known.end)) {
    (void)!ftruncate(file.get(), off_t(known.end));
    return false;
  }
  // What a full or distant disk has lost after all shows here.
  if (read_parts(file.get(), key, known) != PartsFile::Ours || known.images.size() == before) {
    unlink(path.c_str());
    return false;
  }
  make_room();
  return true;
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
