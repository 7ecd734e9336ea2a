// Streams and futures (CanonicalABI.md, "Buffer State", "Stream and Future State").
#pragma once

#include "component/run/task.h"

namespace wafer::component {

// Elements that one end of a stream or future gives or takes.
class Buffer {
 public:
  static constexpr uint64_t kMaxLength = (uint64_t{1} << 28) - 1;
  virtual ~Buffer() = default;

  virtual uint64_t remain() const = 0;
  // Where elements of a number type lie one after the other; null: nowhere.
  virtual uint8_t* raw() { return nullptr; }
  // How many bytes each of them has there.
  virtual uint64_t element_size() const = 0;
  // Past `count` elements that were copied by raw().
  virtual void advance(uint64_t count) = 0;
  // Gives, or takes, `count` elements.
  virtual TrapCode read(uint64_t count, std::vector<Val>& out) = 0;
  virtual TrapCode write(std::vector<Val> values) = 0;

  uint64_t progress = 0;
};

// In linear memory.
class GuestBuffer final : public Buffer {
 public:
  GuestBuffer(ComponentInstance& instance, const MemoryOptions& options, ValType element,
              uint64_t at, uint64_t length)
      : instance_(instance), options_(options), element_(element), at_(at), length_(length) {}
  // Whether it is in bounds and aligned.
  TrapCode check() const;

  uint64_t remain() const override { return length_ - progress; }
  uint8_t* raw() override;
  uint64_t element_size() const override;
  void advance(uint64_t count) override;
  TrapCode read(uint64_t count, std::vector<Val>& out) override;
  TrapCode write(std::vector<Val> values) override;

 private:
  ComponentInstance& instance_;
  const MemoryOptions options_;
  const ValType element_;
  uint64_t at_;
  const uint64_t length_;
};

// Of the host: bytes, for elements of a number type, or values.
class HostBuffer final : public Buffer {
 public:
  // Gives these.
  explicit HostBuffer(std::vector<uint8_t> bytes, uint32_t element_size = 1)
      : bytes(std::move(bytes)), size_(element_size), is_bytes_(true) {}
  explicit HostBuffer(std::vector<Val> values) : values(std::move(values)) {}
  // Takes up to `capacity` elements; of `element_size` bytes, or, if that is 0, as values.
  HostBuffer(uint64_t capacity, uint32_t element_size);

  uint64_t remain() const override;
  uint8_t* raw() override { return is_bytes_ ? bytes.data() + progress * size_ : nullptr; }
  uint64_t element_size() const override { return size_; }
  void advance(uint64_t count) override { progress += count; }
  TrapCode read(uint64_t count, std::vector<Val>& out) override;
  TrapCode write(std::vector<Val> values) override;

  std::vector<uint8_t> bytes;
  std::vector<Val> values;

 private:
  uint32_t size_ = 0;
  uint64_t capacity_ = 0;
  bool is_bytes_ = false;
  bool takes_ = false;
};

// Who acts for an end that the host keeps: told at once, in the middle of what the other side
// does, and moves elements from or to the other side's own buffer.
class HostSide {
 public:
  virtual ~HostSide() = default;
  // The other side wants to read or write: End::offer() has its buffer.
  virtual TrapCode offered() = 0;
  // It does not want to any more: there is no offer.
  virtual void withdrawn() {}
  // The other end is gone.
  virtual void dropped() = 0;
};

enum class CopyResult : uint32_t { Completed, Dropped, Cancelled };

// One end of a stream or future.
class End final : public Waitable {
 public:
  enum class State : uint8_t { Idle, Copying, CancellingCopy, Done };

  End(ComponentStore& s, EventCode code, ComponentInstance* o, TypeId t, ValType e)
      : Waitable(s), code(code), owner(o), typed(o), type(t), element(e) {}
  ~End() override;

  bool is_future() const { return code == EventCode::FutureRead || code == EventCode::FutureWrite; }
  bool is_read() const { return code == EventCode::StreamRead || code == EventCode::FutureRead; }
  bool busy() const { return state == State::Copying || state == State::CancellingCopy; }

  // Of an end that a guest has, and of the host's, which has the buffer as well.
  TrapCode copy(const GuestBuffer& with);
  TrapCode copy(std::shared_ptr<HostBuffer> with);
  void cancel();
  void drop();
  static TrapCode forward(End& src, End& dst);

  const EventCode code;
  State state = State::Idle;
  End* other = nullptr;
  Buffer* buffer = nullptr;  // of a copy that waits for the other end
  ComponentInstance* owner;  // null: the host
  uint32_t index = 0;
  // Who has it, or had it before the host: what follows is of its types. Null: the host alone had
  // it.
  const ComponentInstance* typed;
  TypeId type;      // canonical, of the stream or future
  ValType element;  // may be none
  // Where the host alone had it: what it is, as type_form() writes it. Empty: not known.
  std::string form;
  // Of the host's ends: takes what comes of a copy: the result, and how many elements.
  std::function<void(CopyResult, uint64_t)> on_event;
  // Instead of that; it owns the end.
  std::weak_ptr<HostSide> side;

  // For the host's side: the buffer of the other end, which it reads or writes; null: there is
  // none. One without room asks for readiness alone.
  Buffer* offer() const { return other ? other->buffer : nullptr; }
  // What was moved through offer() is told to the other end.
  void moved();

  static constexpr uint32_t kBlocked = ~0u;

 protected:
  Event event() override;

 private:
  void notify(uint64_t progress);
  TrapCode copy_with(Buffer& with);

  uint64_t progress_ = 0;
  // Of the last copy.
  std::optional<GuestBuffer> guests_;
  std::shared_ptr<HostBuffer> hosts_;
};

struct Ends {
  std::shared_ptr<End> reader, writer;
};
// Both ends of a new stream or future; `owner` null: the host's.
Ends new_ends(ComponentStore& store, bool future, ComponentInstance* owner, TypeId type,
              ValType element);

// The host's, of a type as type_form() writes it.
Ends host_ends(ComponentStore& store, std::string_view form);

// Whether elements of the type are numbers, which are copied as they are, or there are none.
bool none_or_number(const TypeArena& types, ValType t);

}  // namespace wafer::component
