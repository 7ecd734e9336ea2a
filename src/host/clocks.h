// Clocks and time zones.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "host/fs.h"

namespace wafer::host {

enum class ClockId : uint8_t { Realtime, Monotonic, ProcessCpu, ThreadCpu };

struct ZoneInfo {
  int32_t offset_seconds = 0;  // east of Greenwich
  std::string name;            // "CET"
  bool daylight_saving = false;
};

// An embedder that has times of its own brings another one. Waits take as long as they say,
// whatever the clocks say meanwhile.
class Clocks {
 public:
  virtual ~Clocks() = default;
  // Nanoseconds: since 1970 for Realtime, since some moment for others.
  virtual uint64_t now(ClockId id) const = 0;
  // Nanoseconds, at least 1.
  virtual uint64_t resolution(ClockId id) const = 0;
  // What is in force at `seconds` since 1970.
  virtual ZoneInfo zone(int64_t seconds) const = 0;
  // The name of the zone in the IANA database; empty: it has none, or it is not known.
  virtual std::string zone_id() const { return {}; }
  // Whether an absolute Realtime stands for a moment of the system's clock, which may be set
  // while something waits for it.
  virtual bool is_system() const { return false; }
};
using ClocksRef = std::shared_ptr<const Clocks>;

ClocksRef system_clocks();
// An embedder's, in nanoseconds; UTC, and no time of processors.
ClocksRef callback_clocks(std::function<uint64_t()> realtime, std::function<uint64_t()> monotonic);

// Of the system's clock, for waits.
uint64_t monotonic_now();
uint64_t realtime_now();

}  // namespace wafer::host
