// One call from a module: its memory and its handles.
#pragma once

#include <atomic>
#include <variant>

#include "base/leb128.h"
#include "devices/guest.h"
#include "runtime/store.h"

namespace wafer::devices {

// What a handle stands for.
enum class Type : uint8_t {
  None,
  I2c,
  Delay,
  Spi,
  DigitalIn,
  DigitalOut,
  DigitalInOut,
  AnalogIn,
  AnalogOut,
  AnalogInOut,
  Pollable,
};

struct Handle {
  Type type = Type::None;
  std::variant<std::monostate, I2c, Spi, Pin, AnalogPin, Watch> of;
};

// What all functions of one linker share.
struct Context {
  explicit Context(const wafer_devices_t& board) : guest(board) {}
  Guest guest;
  Vec<Handle> handles;                     // 1 is the first
  std::shared_ptr<void> owner;             // of the board
  size_t uses = 0;                         // by functions of the linker
  std::atomic<uint32_t> memory_export{0};  // which export "memory" was last time
};

// More than a guest has use for.
inline constexpr size_t kMaxHandles = 1024;

// Text or bytes of the guest.
struct Range {
  uint32_t address = 0;
  uint32_t size = 0;
};

class Call {
 public:
  Call(Context& context, runtime::CallContext& call) : context(context), call_(call) {}

  Context& context;
  // Not None: execution stops with this.
  runtime::TrapCode trap = runtime::TrapCode::None;
  bool failed() const { return trap != runtime::TrapCode::None; }
  void fail(std::string_view message);

  // `size` bytes of the guest's memory; null (and a trap) if they are not in it. Good until the
  // guest's code runs, as allocate() has it.
  uint8_t* at(uint32_t address, uint64_t size, uint32_t align = 1);
  // The text of a string parameter; empty with a trap if it is none.
  std::string_view text(Range range);
  // New memory of the guest, by its cabi_realloc; 0 (and a trap) if it has none.
  uint32_t allocate(uint32_t size, uint32_t align);
  // Bytes as a new list; 0, 0 with a trap.
  Range copy(const void* bytes, size_t size);

  // A handle of that type; null (and a trap) if it is none.
  template <class T>
  T* get(uint32_t handle, Type type) {
    Handle* const h = find(handle, type);
    return h ? std::get_if<T>(&h->of) : nullptr;
  }
  Handle* find(uint32_t handle, Type type);
  // A new handle; 0 (and a trap) if there are too many.
  uint32_t add(Handle handle);

  // Waits for so long, unless interrupted: false, with the trap set.
  bool wait(uint64_t nanoseconds);
  bool interrupted();

 private:
  runtime::CallContext& call_;
  const runtime::Memory* memory_ = nullptr;  // the guest's, once it is needed
};

// Where a function's result goes that is not flat: fields by their offset.
class Out {
 public:
  Out(Call& call, uint32_t address, uint32_t size, uint32_t align)
      : call_(call), address_(address), size_(size), align_(align) {}
  template <class T>
  void put(uint32_t offset, T value) {
    if (call_.failed()) return;
    // Looked up each time, since memory may have moved.
    if (uint8_t* const p = call_.at(address_, size_, align_)) store_le<T>(p + offset, value);
  }
  void put(uint32_t offset, Range list) {
    put<uint32_t>(offset, list.address);
    put<uint32_t>(offset + 4, list.size);
  }

 private:
  Call& call_;
  uint32_t address_, size_, align_;
};

// Bytes on the way to a guest.
class Buffer {
 public:
  explicit Buffer(uint64_t size);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  // Null if there is no memory, or it is more than a transaction may move.
  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  uint8_t few_[64];
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace wafer::devices
