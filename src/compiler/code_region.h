// Where machine code of WebAssembly functions lies in this process, for traps and
// backtraces.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "base/platform.h"
#include "wasm/module.h"

namespace wafer::compiler {

struct CodeLocation {
  uint32_t func_index = 0;
  uint32_t module_offset = 0;  // 0 if unknown
  // Calls that the code was inlined from, as offsets in the module, innermost first.
  Vec<uint32_t> calls;
  // The caller's frame is of the same activation: it went on in this code at a loop.
  bool entered_at_loop = false;
};

// Calls with handlers, and where exceptions that leave them go on, as code offsets of a function.
struct GuardedCalls {
  uint32_t begin, end;
  uint32_t pad;  // 0: out of the function
};

// A stretch of addresses with code of one module. Derived classes enter the region when
// the code is ready and leave it before it goes.
class CodeRegion {
 public:
  virtual ~CodeRegion() = default;
  // What the code at `pc`, an address in the region, belongs to; false if to nothing.
  virtual bool locate(const void* pc, CodeLocation& out) const = 0;
  // Where an exception goes on that leaves the call which returns to `pc`; null if the
  // function does not handle it. For regions whose functions share one unwind entry.
  virtual const void* landing_pad(const void* pc) const { return nullptr; }
  bool contains(const void* pc) const {
    const auto p = reinterpret_cast<uintptr_t>(pc);
    return p >= begin_ && p < end_;
  }
  // The module, for names; null until somebody says.
  std::atomic<const wasm::Module*> described_by{nullptr};

  // Exception tables of large functions that exceptions have gone through, by their addresses and
  // in order of the code: as they lie, they can only be read from the start.
  struct ReadTables {
    Mutex mutex;
    std::unordered_map<const void*, Vec<GuardedCalls>> of;
  };
  ReadTables read_tables;

 protected:
  void enter_region(const void* begin, size_t size);
  void leave_region();

 private:
  uintptr_t begin_ = 0, end_ = 0;
  bool entered_ = false;
};

// The region that holds `pc`, or null. Safe to call from a signal handler that
// interrupted compiled code (which holds no lock).
CodeRegion* region_at(const void* pc);

// Makes instructions that have been written to memory what every core runs at `begin`.
void publish_code(const void* begin, size_t size);

}  // namespace wafer::compiler
