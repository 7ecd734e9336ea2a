#include "compiler/baseline/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "compiler/frame.h"
#include "compiler/profile.h"
#include "compiler/unwind.h"

namespace wafer::compiler {

namespace {

// Maps the same pages at two addresses.
bool map_twice(size_t bytes, void*& first, void*& second) {
  constexpr int kAccess = PROT_READ | PROT_WRITE;
  // Shared pages, which mremap(2) with an old size of 0 maps once more. Without a file there
  // is neither a descriptor nor a limit of file sizes in the way.
  first = mmap(nullptr, bytes, kAccess, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (first == MAP_FAILED) return false;
  second = mremap(first, 0, bytes, MREMAP_MAYMOVE);
  if (second != MAP_FAILED) return true;
  // QEMU's emulation of Linux does not know that: a file in memory.
  munmap(first, bytes);
  const int fd = memfd_create("wafer-code", MFD_CLOEXEC);
  if (fd < 0) return false;
  const bool sized = ftruncate(fd, off_t(bytes)) == 0;
  const int flags = MAP_SHARED | MAP_NORESERVE;
  first = sized ? mmap(nullptr, bytes, kAccess, flags, fd, 0) : MAP_FAILED;
  second = first != MAP_FAILED ? mmap(nullptr, bytes, kAccess, flags, fd, 0) : MAP_FAILED;
  close(fd);
  if (second != MAP_FAILED) return true;
  if (first != MAP_FAILED) munmap(first, bytes);
  return false;
}

}  // namespace

Result<Box<CodeArena>> CodeArena::create(size_t bytes, const wasm::Module& module) {
  const auto page = size_t(sysconf(_SC_PAGESIZE));
  bytes = (bytes + page - 1) & ~(page - 1);
  auto arena = make_box<CodeArena>();
  void *rw = nullptr, *rx = nullptr;
  if (!map_twice(bytes, rw, rx)) return Error(ErrorKind::Io, "no memory for code");
  arena->size_ = bytes;
  arena->writable_ = static_cast<uint8_t*>(rw);
  arena->executable_ = static_cast<uint8_t*>(rx);
  if (mprotect(rx, bytes, PROT_READ | PROT_EXEC) != 0)
    return Error(ErrorKind::Io, "the system refuses executable memory");
  arena->eh_frame_ = frame_table(arena->executable_, bytes);
  __register_frame(arena->eh_frame_.data());
  arena->registered_ = true;
  arena->described_by = &module;
  arena->enter_region(arena->executable_, bytes);
  return arena;
}

CodeArena::~CodeArena() {
  leave_region();
  for (const Function& f : functions_) forget_code(executable_ + f.begin);
  if (registered_) __deregister_frame(eh_frame_.data());
  if (writable_) munmap(writable_, size_);
  if (executable_) munmap(executable_, size_);
}

void* CodeArena::add(Bytes code, uint32_t func_index, Bytes locations,
                     std::span<const CallHandler> handlers) {
  const MutexLock lock(mutex_);
  const size_t at = (used_ + 15) & ~size_t{15};
  if (at > size_ || code.size() > size_ - at) return nullptr;
  std::memcpy(writable_ + at, code.data(), code.size());
  // By the addresses that run it: only there old instructions could be cached.
  publish_code(executable_ + at, code.size());
  used_ = at + code.size();
  Function& f = functions_.emplace_back();
  f.begin = uint32_t(at);
  f.end = uint32_t(used_);
  f.func_index = func_index;
  f.locations = uint32_t(tables_.size());
  tables_.insert(tables_.end(), locations.begin(), locations.end());
  f.locations_end = uint32_t(tables_.size());
  f.handlers = uint32_t(handlers_.size());
  handlers_.insert(handlers_.end(), handlers.begin(), handlers.end());
  f.handlers_end = uint32_t(handlers_.size());
  if (f.locations != f.locations_end) {
    const CodeName name{executable_ + at, code.size(), func_index};
    announce_code(*described_by.load(), {&name, 1}, "baseline", eh_frame_);
  }
  return executable_ + at;
}

const CodeArena::Function* CodeArena::find(uint32_t at) const {
  auto f = std::upper_bound(functions_.begin(), functions_.end(), at,
                            [](uint32_t p, const Function& have) { return p < have.begin; });
  if (f == functions_.begin()) return nullptr;
  --f;
  return at < f->end ? &*f : nullptr;
}

bool CodeArena::locate(const void* pc, CodeLocation& out) const {
  const MutexLock lock(mutex_);
  const auto at = uint32_t(static_cast<const uint8_t*>(pc) - executable_);
  const Function* f = find(at);
  // Stubs have no locations.
  if (!f || f->locations == f->locations_end) return false;
  out = {};
  out.func_index = f->func_index;
  read_locations(Bytes(tables_).subspan(f->locations, f->locations_end - f->locations),
                 [&](uint32_t code, uint32_t offset) {
                   if (code > at - f->begin) return false;
                   out.module_offset = offset;
                   return true;
                 });
  return true;
}

const void* CodeArena::landing_pad(const void* pc) const {
  const MutexLock lock(mutex_);
  const auto at = uint32_t(static_cast<const uint8_t*>(pc) - executable_);
  const Function* f = find(at - 1);
  if (!f) return nullptr;
  const auto end = handlers_.begin() + f->handlers_end;
  const auto h =
      std::lower_bound(handlers_.begin() + f->handlers, end, at - f->begin,
                       [](const CallHandler& have, uint32_t after) { return have.after < after; });
  return h != end && h->after == at - f->begin ? executable_ + f->begin + h->pad : nullptr;
}

}  // namespace wafer::compiler
