// Executable memory that grows function by function.
#pragma once

#include "base/leb128.h"
#include "base/result.h"
#include "base/span.h"
#include "compiler/code_region.h"

namespace wafer::compiler {

// Where a call in a try_table goes on when it throws, in code offsets of its function.
struct CallHandler {
  uint32_t after;  // return address of the call
  uint32_t pad;    // landing pad
};

// Calls `each`(code offset, module offset) for the pairs of CodeArena::add(), in their order, until
// it gives false.
void read_locations(Bytes locations, auto&& each) {
  const uint8_t* p = locations.data();
  const uint8_t* const end = p + locations.size();
  uint64_t code = 0;
  int64_t offset = 0;
  while (p < end) {
    uint64_t code_delta;
    int64_t offset_delta;
    if (read_uleb<64>(p, end, code_delta) != LebStatus::Ok) break;
    if (read_sleb<64>(p, end, offset_delta) != LebStatus::Ok) break;
    code += code_delta;
    offset += offset_delta;
    if (!each(uint32_t(code), uint32_t(offset))) break;
  }
}

// One stretch of address space with baseline code. It is mapped twice, once to write and
// once to execute, so that other threads may run it while code is added.
//
// Every function in it keeps the same frame (frame.h), so one unwind entry
// describes them all.
class CodeArena final : public CodeRegion {
 public:
  // Reserves `bytes` of address space; memory is taken as code comes.
  static Result<Box<CodeArena>> create(size_t bytes, const wasm::Module& module);
  ~CodeArena() override;

  // Copies machine code in and gives its address, or null if there is no room.
  // `locations`: LEB pairs of code offset delta and module offset delta.
  // `handlers`: by return address.
  void* add(Bytes code, uint32_t func_index, Bytes locations,
            std::span<const CallHandler> handlers);
  bool locate(const void* pc, CodeLocation& out) const override;
  const void* landing_pad(const void* pc) const override;
  size_t used() const { return used_; }

  CodeArena() = default;  // use create()

 private:
  struct Function {
    uint32_t begin, end;  // of the code
    uint32_t func_index;
    uint32_t locations, locations_end;  // in tables_
    uint32_t handlers, handlers_end;    // in handlers_
  };
  // The function whose code holds offset `at`, or null.
  const Function* find(uint32_t at) const;
  uint8_t* writable_ = nullptr;
  uint8_t* executable_ = nullptr;
  size_t size_ = 0;
  size_t used_ = 0;
  Vec<uint8_t> eh_frame_;
  bool registered_ = false;
  mutable Mutex mutex_;
  Vec<Function> functions_;  // by address
  Vec<uint8_t> tables_;      // locations
  Vec<CallHandler> handlers_;
};

}  // namespace wafer::compiler
