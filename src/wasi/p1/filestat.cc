#include "wasi/p1/filestat.h"

namespace wafer::wasi {

namespace {

constexpr uint64_t kSecond = 1'000'000'000;

uint64_t nanoseconds(const host::Time& t) { return uint64_t(t.seconds) * kSecond + t.nanoseconds; }

bool set(host::NewTime& t, uint64_t time, bool explicitly, bool now) {
  if (explicitly && now) return false;
  if (now) t.kind = host::NewTime::Kind::Now;
  if (explicitly)
    t = {host::NewTime::Kind::Set, {int64_t(time / kSecond), uint32_t(time % kSecond)}};
  return true;
}

}  // namespace

void write_filestat(const Call& c, uint32_t address, const host::Stat& stat, Filetype type,
                    bool preview0) {
  c.zero(address, filestat_size(preview0));
  uint64_t at = address;
  c.store<uint64_t>(at, stat.device);
  c.store<uint64_t>(at + 8, stat.inode);
  c.store<uint8_t>(at + 16, uint8_t(type));
  if (preview0) {
    c.store<uint32_t>(at + 20, uint32_t(stat.links));
    at += 24;
  } else {
    c.store<uint64_t>(at + 24, stat.links);
    at += 32;
  }
  c.store<uint64_t>(at, stat.size);
  c.store<uint64_t>(at + 8, nanoseconds(stat.accessed));
  c.store<uint64_t>(at + 16, nanoseconds(stat.modified));
  c.store<uint64_t>(at + 24, nanoseconds(stat.changed));
}

Errno new_times(uint64_t atim, uint64_t mtim, uint32_t flags, host::NewTime& accessed,
                host::NewTime& modified) {
  if (flags & ~uint32_t(fstflags::kAll)) return Errno::kInval;
  const bool ok = set(accessed, atim, flags & fstflags::kAtim, flags & fstflags::kAtimNow) &&
                  set(modified, mtim, flags & fstflags::kMtim, flags & fstflags::kMtimNow);
  return ok ? Errno::kSuccess : Errno::kInval;
}

}  // namespace wafer::wasi
