#if WAFER_WITH_COMPONENT_RUN

#include "wafer/streams.hpp"

#include "api/component_state.h"
#include "component/run/stream.h"

namespace wafer {

using component::ComponentStore;
using component::CopyResult;
using component::HostBuffer;
using runtime::TrapCode;

ComponentScope scope_of(const Store& store, const ComponentLinker& linker) {
  return {&component_state(*store.raw()), linker.host_types().get()};
}

// ---- StorePost

struct StorePost::Held {
  explicit Held(ComponentStore& store) : door(store.door) { ++store.outstanding; }
  ~Held() {
    post([](ComponentStore& store) { --store.outstanding; });
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  template <class F>
  bool post(F work) const {
    const std::lock_guard lock(door->mutex);
    ComponentStore* const store = door->store;
    if (!store) return false;
    store->post([store, work = std::move(work)] {
      work(*store);
      return TrapCode::None;
    });
    return true;
  }

  const std::shared_ptr<ComponentStore::Door> door;
};

StorePost::StorePost(const ComponentScope& scope) : held_(std::make_shared<Held>(*scope.store)) {}

bool StorePost::operator()(std::function<void()> work) const {
  return held_->post([work = std::move(work)](ComponentStore&) { work(); });
}

// ---- Ends

namespace detail {

HostEnd::HostEnd(const ComponentScope& scope, std::string_view type, ComponentVal::End end)
    : scope_(scope),
      life_(scope.life()),
      end_(std::static_pointer_cast<component::End>(std::move(end))),
      misfit_(end_ ? component::other_end(end_, type) : std::string()) {}

HostEnd::HostEnd(const ComponentScope& scope, std::string_view type, ComponentVal::End* readable)
    : scope_(scope), life_(scope.life()), end_([&] {
        component::Ends ends = component::host_ends(*scope.store, type);
        *readable = std::move(ends.reader);
        return std::move(ends.writer);
      }()) {}

HostEnd::~HostEnd() {
  // The store keeps it no more.
  kept_ = 0;
  close();
}

void HostEnd::close() {
  if (std::exchange(closed_, true) || !end_) return;
  end_->on_event = nullptr;
  done_ = nullptr;
  buffer_ = nullptr;
  if (life_.expired()) {
    // There is nobody to tell.
    if (component::End* const other = std::exchange(end_->other, nullptr)) other->other = nullptr;
    return;
  }
  if (end_->owner) return;
  end_->buffer = nullptr;
  end_->drop();
  end_->state = component::End::State::Done;
  // May be the last that has it.
  if (kept_) scope_.store->answers.erase(std::exchange(kept_, 0));
}

void HostEnd::cancel() {
  if (!closed_ && !life_.expired() && end_->busy()) end_->cancel();
}

void HostEnd::fail(const char* message) {
  scope_.store->post(
      [store = scope_.store, text = std::string(message)] { return store->trap(text); });
}

Result<void> HostEnd::start(bool read, std::shared_ptr<HostBuffer> buffer, Done done) {
  if (life_.expired()) return Error(ErrorKind::Usage, "the store is gone");
  if (!end_ || closed_ || end_->state == component::End::State::Done)
    return Error(ErrorKind::Usage, "the end of the stream or future is closed");
  if (end_->is_read() != read)
    return Error(ErrorKind::Usage,
                 read ? "the end is the writable one" : "the end is the readable one");
  if (!read && end_->is_future() && buffer->remain() != 1)
    return Error(ErrorKind::Usage, "a future has one value");
  if (end_->owner)
    return Error(ErrorKind::Usage, "the end of the stream or future was given to a component");
  if (busy()) return Error(ErrorKind::Usage, "a read or write is under way");
  if (!misfit_.empty()) return Error(ErrorKind::Usage, misfit_);
  buffer_ = std::move(buffer);
  done_ = std::move(done);
  // The store keeps it until it is told, or goes.
  struct Keeper {
    explicit Keeper(std::shared_ptr<HostEnd> e) : end(std::move(e)) {}
    ~Keeper() {
      // What would have been told may have the end.
      end->kept_ = 0;
      const Done forgotten = std::exchange(end->done_, nullptr);
    }
    const std::shared_ptr<HostEnd> end;
  };
  kept_ = ++scope_.store->answers_asked;
  scope_.store->answers.emplace(kept_, [keeper = std::make_shared<Keeper>(shared_from_this())](
                                           std::vector<ComponentVal>*) { return TrapCode::None; });
  go_on();
  return {};
}

void HostEnd::go_on() {
  ComponentStore& store = *scope_.store;
  const bool nothing = !end_->is_read() && buffer_->remain() == 0;
  if (!end_->other || nothing) {
    end_->on_event = nullptr;
    store.post([weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self && self->busy())
        self->finish(self->end_->other ? StreamState::Open : StreamState::Ended);
      return TrapCode::None;
    });
    return;
  }
  end_->on_event = [weak = weak_from_this()](CopyResult result, uint64_t) {
    if (const auto self = weak.lock())
      self->told(result == CopyResult::Dropped, result == CopyResult::Cancelled);
  };
  const TrapCode code = end_->copy(buffer_);
  if (code != TrapCode::None) store.post([code] { return code; });
}

void HostEnd::told(bool dropped, bool cancelled) {
  if (!busy()) return;
  const bool over = dropped || end_->is_future();
  if (!over && !cancelled && !end_->is_read() && buffer_->remain() > 0) return go_on();
  finish(cancelled ? StreamState::Cancelled : over ? StreamState::Ended : StreamState::Open);
}

void HostEnd::finish(StreamState state) {
  const auto self = shared_from_this();
  const std::shared_ptr<HostBuffer> buffer = std::exchange(buffer_, nullptr);
  const Done done = std::exchange(done_, nullptr);
  scope_.store->answers.erase(std::exchange(kept_, 0));
  if (done) done(*buffer, state);
}

namespace {

auto written(HostEnd::Written done) {
  return [done = std::move(done)](HostBuffer& buffer, StreamState state) {
    if (done) done(size_t(buffer.progress), state);
  };
}

}  // namespace

Result<void> HostEnd::write(std::vector<ComponentVal> values, Written done) {
  return start(false, std::make_shared<HostBuffer>(std::move(values)), written(std::move(done)));
}

Result<void> HostEnd::write(std::vector<uint8_t> bytes, uint32_t size, Written done) {
  return start(false, std::make_shared<HostBuffer>(std::move(bytes), size),
               written(std::move(done)));
}

// For bytes there is room at once, whatever the most is that they may be.
size_t HostEnd::room(size_t most) const {
  constexpr size_t kMost = 1 << 20;
  return end_ && end_->is_future() ? 1 : std::clamp<size_t>(most, 1, kMost);
}

Result<void> HostEnd::read(size_t most, Values done) {
  return start(true, std::make_shared<HostBuffer>(room(most), 0),
               [done = std::move(done)](HostBuffer& buffer, StreamState state) {
                 done(buffer.values, state);
               });
}

Result<void> HostEnd::read(size_t most, uint32_t size, Bytes done) {
  return start(true, std::make_shared<HostBuffer>(room(most), size),
               [done = std::move(done), size](HostBuffer& buffer, StreamState state) {
                 done({buffer.bytes.data(), size_t(buffer.progress) * size}, state);
               });
}

}  // namespace detail

}  // namespace wafer

#endif
