// Arguments, environment, clocks, process and randomness.
#include <errno.h>
#include <sched.h>

#include "wasi/p1/access.h"
#include "wasi/p1/functions.h"

namespace wafer::wasi {

using runtime::TrapCode;

namespace {

Errno string_sizes(Call& c, const std::vector<std::string>& strings, uint32_t count_at,
                   uint32_t size_at) {
  if (!c.in_bounds(count_at, 4) || !c.in_bounds(size_at, 4)) return Errno::kFault;
  uint64_t size = 0;
  for (const std::string& s : strings) size += s.size() + 1;
  if (size > UINT32_MAX) return Errno::kOverflow;
  c.store<uint32_t>(count_at, uint32_t(strings.size()));
  c.store<uint32_t>(size_at, uint32_t(size));
  return Errno::kSuccess;
}

Errno string_list(Call& c, const std::vector<std::string>& strings, uint32_t pointers,
                  uint32_t buffer) {
  uint64_t size = 0;
  for (const std::string& s : strings) size += s.size() + 1;
  if (!c.in_bounds(pointers, uint64_t(strings.size()) * 4) || !c.in_bounds(buffer, size))
    return Errno::kFault;
  for (const std::string& s : strings) {
    c.store<uint32_t>(pointers, buffer);
    std::memcpy(c.at(buffer), s.c_str(), s.size() + 1);
    pointers += 4;
    buffer += uint32_t(s.size()) + 1;
  }
  return Errno::kSuccess;
}

}  // namespace

Errno args_get(Call& c, uint32_t argv, uint32_t buffer) {
  return string_list(c, c.p1.process.args, argv, buffer);
}
Errno args_sizes_get(Call& c, uint32_t count, uint32_t size) {
  return string_sizes(c, c.p1.process.args, count, size);
}
Errno environ_get(Call& c, uint32_t environ, uint32_t buffer) {
  return string_list(c, c.p1.env, environ, buffer);
}
Errno environ_sizes_get(Call& c, uint32_t count, uint32_t size) {
  return string_sizes(c, c.p1.env, count, size);
}

Errno clock_res_get(Call& c, uint32_t id, uint32_t result) {
  if (!c.in_bounds(result, 8)) return Errno::kFault;
  if (id >= std::size(kClocks)) return Errno::kInval;
  c.store<uint64_t>(result, c.p1.process.clocks->resolution(kClocks[id]));
  return Errno::kSuccess;
}

Errno clock_time_get(Call& c, uint32_t id, uint64_t, uint32_t result) {
  if (!c.in_bounds(result, 8)) return Errno::kFault;
  if (id >= std::size(kClocks)) return Errno::kInval;
  c.store<uint64_t>(result, c.p1.process.clocks->now(kClocks[id]));
  return Errno::kSuccess;
}

void exit_with(Call& c, int32_t code) {
  c.p1.exit_code.store(code, std::memory_order_relaxed);
  c.p1.exited.store(true, std::memory_order_release);
  c.trap = c.context.store.set_trap(TrapCode::Exit);
  c.context.store.trap().exit_code = code;
}

Errno proc_raise(Call& c, uint32_t signal) {
  // Host numbers of the signals whose default is to end the process; 0 for those
  // that are ignored, -1 for those that stop it, which nothing here can do.
  static constexpr int8_t kAction[] = {
      0, 1, 2,  3,  4,  5,  6, 7,  8,  9,  10, 11, 12, 0,  14, 15,
      0, 0, -1, -1, -1, -1, 0, 24, 25, 26, 27, 0,  29, 30, 31,
  };
  if (signal >= std::size(kAction)) return Errno::kInval;
  if (kAction[signal] < 0) return Errno::kNotSup;
  if (kAction[signal] > 0) exit_with(c, 128 + kAction[signal]);
  return Errno::kSuccess;
}

Errno sched_yield_(Call&) { return errno_of(host::Status::of(::sched_yield())); }

Errno random_get(Call& c, uint32_t buffer, uint32_t length) {
  if (!c.in_bounds(buffer, length)) return Errno::kFault;
  MutableBytes bytes(c.at(buffer), length);
  while (!bytes.empty()) {
    const size_t n = std::min(bytes.size(), host::Random::kPiece);
    WASI_TRY(errno_of(c.p1.process.random->fill(bytes.first(n))));
    if (c.interrupted()) return Errno::kIntr;
    bytes = bytes.subspan(n);
  }
  return Errno::kSuccess;
}

}  // namespace wafer::wasi
