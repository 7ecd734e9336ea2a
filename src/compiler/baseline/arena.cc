#include "compiler/baseline/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/leb128.h"

extern "C" {
void __register_frame(void*);
void __deregister_frame(void*);
}

namespace wafer::compiler {

namespace {

// DWARF numbers of registers and call frame instructions.
constexpr uint8_t kRbxNumber = 3, kRbpNumber = 6, kReturn = 16;
constexpr uint8_t kDefCfa = 0x0C, kOffset = 0x80;

template <class T>
void put(Vec<uint8_t>& out, T value) {
  const auto* p = reinterpret_cast<const uint8_t*>(&value);
  out.insert(out.end(), p, p + sizeof value);
}

// Ends a record that began at `start` with its length field.
void end_record(Vec<uint8_t>& out, size_t start) {
  while ((out.size() - start) % 8 != 4) out.push_back(0);  // DW_CFA_nop
  const auto length = uint32_t(out.size() - start - 4);
  std::memcpy(out.data() + start, &length, 4);
}

// Unwind table for frames that begin with `push rbp; mov rbp, rsp` and save registers
// in the fixed places.
Vec<uint8_t> frame_table(const void* begin, size_t size) {
  Vec<uint8_t> out;
  put<uint32_t>(out, 0);  // length
  put<uint32_t>(out, 0);  // a CIE
  out.push_back(1);       // version
  out.insert(out.end(), {'z', 'R', 0});
  out.push_back(1);     // code alignment
  out.push_back(0x78);  // data alignment: -8
  out.push_back(kReturn);
  out.push_back(1);  // augmentation: one byte
  out.push_back(0);  // absolute pointers
  out.insert(out.end(), {kDefCfa, kRbpNumber, 16, kOffset | kReturn, 1, kOffset | kRbpNumber, 2});
  // r15 first, as numbered there; then rbx.
  for (uint8_t i = 0; i < 4; ++i)
    out.insert(out.end(), {uint8_t(kOffset | (15 - i)), uint8_t(3 + i)});
  out.insert(out.end(), {kOffset | kRbxNumber, 7});
  end_record(out, 0);
  const size_t fde = out.size();
  put<uint32_t>(out, 0);
  put<uint32_t>(out, uint32_t(fde + 4));  // distance to the CIE
  put(out, reinterpret_cast<uintptr_t>(begin));
  put(out, uint64_t(size));
  out.push_back(0);  // augmentation: none
  end_record(out, fde);
  put<uint32_t>(out, 0);
  return out;
}

}  // namespace

Result<Box<CodeArena>> CodeArena::create(size_t bytes, const wasm::Module& module) {
  const auto page = size_t(sysconf(_SC_PAGESIZE));
  bytes = (bytes + page - 1) & ~(page - 1);
  const int fd = memfd_create("wafer-code", MFD_CLOEXEC);
  if (fd < 0) return Error(ErrorKind::Io, "no memory for code");
  auto arena = make_box<CodeArena>();
  bool ok = ftruncate(fd, off_t(bytes)) == 0;
  if (ok) {
    void* rw = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    void* rx = mmap(nullptr, bytes, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_NORESERVE, fd, 0);
    arena->size_ = bytes;
    if (rw != MAP_FAILED) arena->writable_ = static_cast<uint8_t*>(rw);
    if (rx != MAP_FAILED) arena->executable_ = static_cast<uint8_t*>(rx);
    ok = rw != MAP_FAILED && rx != MAP_FAILED;
  }
  close(fd);
  if (!ok) return Error(ErrorKind::Io, "no memory for code");
  arena->eh_frame_ = frame_table(arena->executable_, bytes);
  __register_frame(arena->eh_frame_.data());
  arena->registered_ = true;
  arena->described_by = &module;
  arena->enter_region(arena->executable_, bytes);
  return arena;
}

CodeArena::~CodeArena() {
  leave_region();
  if (registered_) __deregister_frame(eh_frame_.data());
  if (writable_) munmap(writable_, size_);
  if (executable_) munmap(executable_, size_);
}

void* CodeArena::add(Bytes code, uint32_t func_index, Bytes locations) {
  const MutexLock lock(mutex_);
  const size_t at = (used_ + 15) & ~size_t{15};
  if (at > size_ || code.size() > size_ - at) return nullptr;
  std::memcpy(writable_ + at, code.data(), code.size());
  used_ = at + code.size();
  const auto begin = uint32_t(locations_.size());
  locations_.insert(locations_.end(), locations.begin(), locations.end());
  functions_.push_back(
      {uint32_t(at), uint32_t(used_), func_index, begin, uint32_t(locations_.size())});
  return executable_ + at;
}

bool CodeArena::locate(const void* pc, CodeLocation& out) const {
  const MutexLock lock(mutex_);
  const auto at = uint32_t(static_cast<const uint8_t*>(pc) - executable_);
  auto f = std::upper_bound(functions_.begin(), functions_.end(), at,
                            [](uint32_t p, const Function& have) { return p < have.begin; });
  if (f == functions_.begin()) return false;
  --f;
  if (at >= f->end || f->locations == f->locations_end) return false;
  out = {f->func_index, 0};
  const uint8_t* p = locations_.data() + f->locations;
  const uint8_t* const end = locations_.data() + f->locations_end;
  uint64_t code = f->begin;
  int64_t offset = 0;
  while (p < end) {
    uint64_t code_delta;
    int64_t offset_delta;
    if (read_uleb<64>(p, end, code_delta) != LebStatus::Ok) break;
    if (read_sleb<64>(p, end, offset_delta) != LebStatus::Ok) break;
    code += code_delta;
    offset += offset_delta;
    if (code > at) break;
    out.module_offset = uint32_t(offset);
  }
  return true;
}

}  // namespace wafer::compiler
