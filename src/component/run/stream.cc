#include "component/run/stream.h"

#include <cstring>

#include "component/run/handles.h"
#include "component/shape.h"

namespace wafer::component {

bool none_or_number(const TypeArena& types, ValType type) {
  const ValType t = plain(types, type);
  return !t || (t.prim >= Prim::S8 && t.prim <= Prim::F64);
}

// ---- Buffers

uint64_t GuestBuffer::element_size() const {
  return element_ ? place_of(*instance_.component->types, element_, options_.is64).size : 0;
}

TrapCode GuestBuffer::check() const {
  if (length_ > kMaxLength) return instance_.store.trap("stream or future copy is too long");
  if (!element_ || !length_) return TrapCode::None;
  const Place place = place_of(*instance_.component->types, element_, options_.is64);
  if (at_ & (place.align - 1)) return instance_.store.trap("unaligned pointer");
  const uint64_t bytes = length_ * place.size, size = options_.memory->size_bytes();
  if (at_ > size || bytes > size - at_)
    return instance_.store.trap("stream or future buffer is out of bounds of memory");
  return TrapCode::None;
}

uint8_t* GuestBuffer::raw() {
  if (!element_ || !none_or_number(*instance_.component->types, element_)) return nullptr;
  return options_.memory->base + at_;
}

void GuestBuffer::advance(uint64_t count) {
  at_ += count * element_size();
  progress += count;
}

TrapCode GuestBuffer::read(uint64_t count, std::vector<Val>& out) {
  if (element_) {
    const Context cx{options_, instance_};
    CANON_TRY(load_list(cx, at_, count, element_, out));
  } else {
    out.resize(count);
  }
  advance(count);
  return TrapCode::None;
}

TrapCode GuestBuffer::write(std::vector<Val> values) {
  if (element_) {
    const Context cx{options_, instance_};
    CANON_TRY(store_list(cx, values, element_, at_));
  }
  advance(values.size());
  return TrapCode::None;
}

HostBuffer::HostBuffer(uint64_t capacity, uint32_t element_size)
    : size_(element_size), capacity_(capacity), is_bytes_(element_size != 0), takes_(true) {
  bytes.resize(capacity * element_size);
}

uint64_t HostBuffer::remain() const {
  if (takes_) return capacity_ - progress;
  return (is_bytes_ ? bytes.size() / size_ : values.size()) - progress;
}

TrapCode HostBuffer::read(uint64_t count, std::vector<Val>& out) {
  for (uint64_t i = 0; i < count; ++i) {
    if (is_bytes_) {
      uint64_t bits = 0;
      std::memcpy(&bits, bytes.data() + (progress + i) * size_, size_);
      out.push_back(Val::of_bits(bits));
    } else {
      out.push_back(std::move(values[progress + i]));
    }
  }
  progress += count;
  return TrapCode::None;
}

TrapCode HostBuffer::write(std::vector<Val> from) {
  for (size_t i = 0; i < from.size(); ++i) {
    if (is_bytes_) {
      const uint64_t bits = from[i].is_bits() ? from[i].bits() : 0;
      std::memcpy(bytes.data() + (progress + i) * size_, &bits, size_);
    } else {
      values.push_back(std::move(from[i]));
    }
  }
  progress += from.size();
  return TrapCode::None;
}

// ---- Ends

Ends new_ends(ComponentStore& store, bool future, ComponentInstance* owner, TypeId type,
              ValType element) {
  Ends out;
  out.reader = std::make_shared<End>(store, future ? EventCode::FutureRead : EventCode::StreamRead,
                                     owner, type, element);
  out.writer = std::make_shared<End>(
      store, future ? EventCode::FutureWrite : EventCode::StreamWrite, owner, type, element);
  out.reader->other = out.writer.get();
  out.writer->other = out.reader.get();
  return out;
}

Ends host_ends(ComponentStore& store, std::string_view form) {
  Ends out = new_ends(store, form.starts_with("future"), nullptr, 0, {});
  out.reader->form = out.writer->form = form;
  return out;
}

std::string other_end(const Val::End& v, std::string_view type) {
  if (!v) return "expected " + std::string(type) + ", found nothing";
  const auto& end = static_cast<const End&>(*v);
  const std::string kind = end.is_future() ? "future" : "stream";
  const std::string form =
      end.typed          ? kind + "<" + type_form(*end.typed->component->types, end.element) + ">"
      : end.form.empty() ? kind + "<*>"
                         : end.form;
  return other_form(form, type);
}

End::~End() {
  // An end that is forgotten is dropped, so that the other is told.
  if (other) drop();
}

TrapCode End::copy(const GuestBuffer& with) { return copy_with(guests_.emplace(with)); }

TrapCode End::copy(std::shared_ptr<HostBuffer> with) {
  hosts_ = std::move(with);
  return copy_with(*hosts_);
}

TrapCode End::copy_with(Buffer& with) {
  state = State::Copying;
  if (!other) return TrapCode::None;  // the event of that is pending
  if (!other->buffer) {
    buffer = &with;
    if (const auto host = other->side.lock()) return host->offered();
  } else if (with.remain() > 0 && other->buffer->remain() > 0) {
    if (owner && owner == other->owner && !none_or_number(*owner->component->types, element))
      return store.trap(
          "cannot read from and write to intra-component future/stream with non-numeric payload");
    const uint64_t n = std::min(with.remain(), other->buffer->remain());
    Buffer& from = is_read() ? *other->buffer : with;
    Buffer& to = is_read() ? with : *other->buffer;
    // Each has room by its own type, which an end that came by way of the host may not share.
    const uint64_t size = from.element_size();
    if (uint8_t *const a = from.raw(), *const b = to.raw(); a && b && size == to.element_size()) {
      std::memmove(b, a, n * size);
      from.advance(n);
      to.advance(n);
    } else {
      std::vector<Val> values;
      CANON_TRY(from.read(n, values));
      CANON_TRY(to.write(std::move(values)));
    }
    notify(with.progress);
    other->notify(other->buffer->progress);
    if (other->buffer->remain() == 0) other->buffer = nullptr;
  } else if (with.remain() > 0 || (is_read() && other->buffer->remain() == 0)) {
    other->notify(0);
    other->buffer = nullptr;
    buffer = &with;
  } else {
    notify(0);
  }
  return TrapCode::None;
}

void End::cancel() {
  state = State::CancellingCopy;
  // Nothing more comes before that is told.
  buffer = nullptr;
  if (has_pending_event()) return;
  notify(0);
  if (const auto host = other ? other->side.lock() : nullptr) host->withdrawn();
}

TrapCode End::forward(End& src, End& dst) {
  if (src.other == &dst || !src.other || !dst.other) {
    src.drop();
    dst.drop();
    return TrapCode::None;
  }
  End& writer = *src.other;
  End& reader = *dst.other;
  writer.other = &reader;
  reader.other = &writer;
  src.other = dst.other = nullptr;
  src.join(nullptr);
  dst.join(nullptr);
  for (End* end : {&reader, &writer})
    if (const auto host = end->side.lock()) return host->offered();
  if (!writer.buffer || !reader.buffer) return TrapCode::None;
  End& smaller = reader.buffer->remain() > writer.buffer->remain() ? writer : reader;
  return smaller.copy_with(*std::exchange(smaller.buffer, nullptr));
}

void End::drop() {
  if (End* const peer = std::exchange(other, nullptr)) {
    peer->other = nullptr;
    if (const auto host = peer->side.lock())
      host->dropped();
    else if (peer->state != State::Done && !peer->has_pending_event())
      peer->notify(0);
  }
  join(nullptr);
}

void End::moved() {
  End& to = *other;
  to.notify(to.buffer->progress);
  if (to.buffer->remain() == 0) to.buffer = nullptr;
}

void End::notify(uint64_t progress) {
  progress_ = progress;
  set_pending();
  if (owner || !on_event) return;
  // The host is told when what goes on now has come to its end.
  store.post([self = std::static_pointer_cast<End>(shared_from_this())] {
    // What happens to an idle end is told with the next copy.
    if (!self->has_pending_event() || !self->on_event || self->state == State::Idle)
      return TrapCode::None;
    const uint64_t count = self->progress_;
    const Event e = self->get_pending_event();
    const auto tell = self->on_event;  // which may put another in its place
    tell(CopyResult(e.payload & 0xf), count);
    return TrapCode::None;
  });
}

Event End::event() {
  CopyResult result;
  if (is_future()) {
    if (progress_ == 1) {
      state = State::Done;
      result = CopyResult::Completed;
    } else if (!other) {
      buffer = nullptr;
      state = State::Done;
      result = CopyResult::Dropped;
    } else {
      buffer = nullptr;
      state = State::Idle;
      result = CopyResult::Cancelled;
    }
    return {code, index, uint32_t(result)};
  }
  buffer = nullptr;
  if (!other) {
    result = CopyResult::Dropped;
    state = State::Done;
  } else {
    result = state == State::CancellingCopy ? CopyResult::Cancelled : CopyResult::Completed;
    state = State::Idle;
  }
  return {code, index, uint32_t(result) | uint32_t(progress_ << 4)};
}

}  // namespace wafer::component
