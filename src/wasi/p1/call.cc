#include "wasi/p1/call.h"

#include <limits.h>

#include "host/poll.h"
#include "runtime/host_thunk.h"
#include "wasm/cursor.h"

namespace wafer::wasi {

using runtime::TrapCode;

bool Call::bind_memory() {
  if (const auto* const memory = runtime::exported_memory(context.caller, p1.memory_export)) {
    base_ = memory->base;
    // Pointers have 32 bits; the part of a larger memory above is out of reach.
    size_ = std::min(memory->size_bytes(), uint64_t(1) << 32);
    return true;
  }
  trap = context.store.set_trap(TrapCode::HostError,
                                "WASI needs the caller to export a memory named \"memory\"");
  return false;
}

Errno Call::path(uint32_t address, uint32_t length, std::string& out) const {
  if (!in_bounds(address, length)) return Errno::kFault;
  if (length >= PATH_MAX) return Errno::kNameTooLong;
  out.assign(reinterpret_cast<const char*>(at(address)), length);
  if (out.find('\0') != std::string::npos) return Errno::kInval;
  if (!wasm::is_utf8(out)) return Errno::kIlseq;
  return Errno::kSuccess;
}

bool Call::interrupted() { return runtime::interrupted(context.store, trap); }

bool Call::wait_ready(int fd, bool write) {
  host::Interest interest{fd, write};
  for (;;) {
    const host::Outcome<size_t> n =
        host::wait_ready({&interest, 1}, interruptible() ? kWaitSlice : host::kForever);
    if (interrupted()) return false;
    if (n ? *n > 0 : n.code() != EINTR) return true;
  }
}

}  // namespace wafer::wasi
