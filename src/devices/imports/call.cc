#include "devices/imports/call.h"

#include "runtime/host_thunk.h"
#include "wasm/cursor.h"

namespace wafer::devices {

using runtime::Extern;
using runtime::TrapCode;

void Call::fail(std::string_view message) {
  if (!failed()) trap = call_.store.set_trap(TrapCode::HostError, message);
}

uint8_t* Call::at(uint32_t address, uint64_t size, uint32_t align) {
  if (!memory_) memory_ = runtime::exported_memory(call_.caller, context.memory_export);
  if (!memory_) {
    fail("devices need the caller to export a memory named \"memory\"");
    return nullptr;
  }
  if (address & (align - 1)) {
    fail("pointer not aligned");
    return nullptr;
  }
  // As it is now: the guest's code may have let it grow.
  const uint64_t bytes = memory_->size_bytes();
  if (address <= bytes && size <= bytes - address) return memory_->base + address;
  fail("pointer out of bounds of memory");
  return nullptr;
}

std::string_view Call::text(Range range) {
  const uint8_t* const p = at(range.address, range.size);
  if (!p) return {};
  const std::string_view text(reinterpret_cast<const char*>(p), range.size);
  if (wasm::is_utf8(text)) return text;
  fail("invalid UTF-8");
  return {};
}

uint32_t Call::allocate(uint32_t size, uint32_t align) {
  const std::optional<Extern> e =
      call_.caller ? call_.caller->get_export("cabi_realloc") : std::nullopt;
  if (e && e->kind == wasm::ExternKind::Func) {
    const wasm::FuncType& type = e->func->type->func;
    bool fits =
        type.params.size() == 4 && type.results.size() == 1 && type.results[0] == wasm::kI32;
    for (const wasm::ValType& t : type.params) fits = fits && t == wasm::kI32;
    if (fits) {
      runtime::Slot slots[4] = {0, 0, align, size};
      trap = call_.store.call_raw(e->func, slots);
      if (failed()) return 0;
      const auto address = uint32_t(slots[0]);
      return at(address, size, align) ? address : 0;
    }
  }
  fail("devices need the caller to export \"cabi_realloc\"");
  return 0;
}

Range Call::copy(const void* bytes, size_t size) {
  if (size == 0) return {1, 0};
  const uint32_t address = allocate(uint32_t(size), 1);
  if (failed()) return {};
  std::memcpy(at(address, size), bytes, size);
  return {address, uint32_t(size)};
}

Handle* Call::find(uint32_t handle, Type type) {
  if (handle - 1 < context.handles.size()) {
    Handle& h = context.handles[handle - 1];
    if (h.type == type) return &h;
  }
  fail("unknown handle index");
  return nullptr;
}

uint32_t Call::add(Handle handle) {
  for (size_t i = 0; i < context.handles.size(); ++i) {
    if (context.handles[i].type != Type::None) continue;
    context.handles[i] = handle;
    return uint32_t(i + 1);
  }
  if (context.handles.size() >= kMaxHandles) {
    fail("too many handles");
    return 0;
  }
  context.handles.push_back(handle);
  return uint32_t(context.handles.size());
}

bool Call::interrupted() { return runtime::interrupted(call_.store, trap); }

bool Call::wait(uint64_t nanoseconds) {
  // The longest that an interrupt stays unnoticed.
  constexpr uint64_t kSlice = 50'000'000;
  const bool sliced = call_.store.engine().config().interruptible;
  do {
    const uint64_t slice = sliced && nanoseconds > kSlice ? kSlice : nanoseconds;
    context.guest.delay(slice);
    nanoseconds -= slice;
    if (interrupted()) return false;
  } while (nanoseconds);
  return true;
}

Buffer::Buffer(uint64_t size) {
  if (size > kMaxTransfer) return;
  size_ = size_t(size);
  data_ = size_ <= sizeof few_ ? few_ : static_cast<uint8_t*>(try_allocate(size_, 1));
}

Buffer::~Buffer() {
  if (data_ && data_ != few_) release(data_, size_, 1);
}

}  // namespace wafer::devices
