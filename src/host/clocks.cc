#include "host/clocks.h"

#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>

namespace wafer::host {

namespace {

uint64_t nanoseconds(const timespec& t) {
  return uint64_t(t.tv_sec) * 1'000'000'000 + uint64_t(t.tv_nsec);
}

clockid_t system_id(ClockId id) {
  switch (id) {
    case ClockId::Realtime:
      return CLOCK_REALTIME;
    case ClockId::Monotonic:
      return CLOCK_MONOTONIC;
    case ClockId::ProcessCpu:
      return CLOCK_PROCESS_CPUTIME_ID;
    case ClockId::ThreadCpu:
      return CLOCK_THREAD_CPUTIME_ID;
  }
  return CLOCK_REALTIME;
}

uint64_t read_clock(ClockId id) {
  timespec t = {};
  clock_gettime(system_id(id), &t);
  return nanoseconds(t);
}

class SystemClocks final : public Clocks {
 public:
  uint64_t now(ClockId id) const override { return read_clock(id); }
  uint64_t resolution(ClockId id) const override {
    timespec t = {};
    clock_getres(system_id(id), &t);
    return std::max<uint64_t>(1, nanoseconds(t));
  }
  ZoneInfo zone(int64_t seconds) const override {
    const time_t when = time_t(seconds);
    tm local = {};
    tzset();
    if (!localtime_r(&when, &local)) return {0, "UTC", false};
    return {int32_t(local.tm_gmtoff), local.tm_zone ? local.tm_zone : "", local.tm_isdst > 0};
  }
  std::string zone_id() const override {
    std::string zone = "/etc/localtime";
    if (const char* const variable = getenv("TZ")) zone = variable;
    if (zone.starts_with(':')) zone.erase(0, 1);
    if (zone.empty()) return "UTC";
    std::error_code error;
    // The system's is a link into the database; a name may be that of a link there.
    if (zone == "/etc/localtime") zone = std::filesystem::read_symlink(zone, error).string();
    constexpr std::string_view kDatabase = "zoneinfo/";
    if (const size_t at = zone.rfind(kDatabase); at != zone.npos)
      zone.erase(0, at + kDatabase.size());
    if (zone.empty() || zone.front() == '/') return {};
    // What says the rules itself ("CET-1CEST,M3.5.0,M10.5.0/3") has no name.
    return std::filesystem::is_regular_file("/usr/share/zoneinfo/" + zone, error) ? zone : "";
  }
  bool is_system() const override { return true; }
};

class CallbackClocks final : public Clocks {
 public:
  CallbackClocks(std::function<uint64_t()> realtime, std::function<uint64_t()> monotonic)
      : realtime_(std::move(realtime)), monotonic_(std::move(monotonic)) {}
  uint64_t now(ClockId id) const override {
    return id == ClockId::Realtime ? realtime_() : monotonic_();
  }
  uint64_t resolution(ClockId) const override { return 1; }
  ZoneInfo zone(int64_t) const override { return {0, "UTC", false}; }
  std::string zone_id() const override { return "UTC"; }

 private:
  std::function<uint64_t()> realtime_, monotonic_;
};

}  // namespace

ClocksRef callback_clocks(std::function<uint64_t()> realtime, std::function<uint64_t()> monotonic) {
  return std::make_shared<CallbackClocks>(std::move(realtime), std::move(monotonic));
}

ClocksRef system_clocks() {
  static const ClocksRef clocks = std::make_shared<SystemClocks>();
  return clocks;
}

uint64_t monotonic_now() { return read_clock(ClockId::Monotonic); }
uint64_t realtime_now() { return read_clock(ClockId::Realtime); }

}  // namespace wafer::host
