// The host's ends of streams and futures. Bytes go straight between a guest's memory and what
// stands behind the stream, when the guest reads or writes; what is not ready is waited for on
// the loop, and the guest waits as long.
#pragma once

#include <errno.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "host/streams.h"
#include "wasi/p3/bindings.h"
#include "wasi/p3/p3.h"

namespace wafer::wasi::p3 {

using component::Buffer;
using component::End;
using runtime::TrapCode;

// An end that the host keeps until it is over.
class Side : public component::HostSide, public std::enable_shared_from_this<Side> {
 public:
  Side(Host& host, std::shared_ptr<End> end) : host_(host), end_(std::move(end)) {}
  ~Side() override { abandon(); }

  TrapCode offered() final { return over_ ? TrapCode::None : move(); }
  void withdrawn() final { rest(); }
  void dropped() final {
    if (!over_) gone();
  }
  // From now on nothing is done any more.
  void abandon();
  // Has the host keep `side`, and looks at what the other end wants.
  static void start(const std::shared_ptr<Side>& side);

 protected:
  // Moves what can be moved now; called whenever that may have changed.
  virtual TrapCode move() = 0;
  // The other end is gone.
  virtual void gone() = 0;

  // Has move() called once `what` is ready.
  void wait(host::PollableRef what);
  bool waiting() const { return waiting_; }
  // Forgets what is waited for.
  void rest();
  // It is over: drops its end.
  void retire();
  // A trap that no built-in is there to give.
  void trapped(TrapCode code) const;
  // Whether the host has both ends.
  bool host_on_both() const { return end_->other && !end_->other->side.expired(); }

  Host& host_;
  const std::shared_ptr<End> end_;

 private:
  friend class Host;
  void let_go();
  // Itself, and its place among those of the host, which keeps it while it is not over.
  std::shared_ptr<Side> kept_;
  Side *before_ = nullptr, *after_ = nullptr;
  SystemHost::PendingRef pending_;
  uint64_t waits_ = 0;  // so far
  bool waiting_ = false, over_ = false;
};

// ---- Futures

// The writable end of a future: gives its value when there is one and somebody reads.
template <class T>
class Promised final : public Side {
 public:
  using Side::Side;
  // Once; later values are lost.
  void set(T value) {
    const auto self = shared_from_this();
    if (set_) return;
    set_ = true;
    value_ = std::move(value);
    trapped(offered());
  }

 protected:
  TrapCode move() override {
    Buffer* const to = end_->offer();
    if (!to || !value_) return TrapCode::None;
    std::vector<Val> values;
    if constexpr (std::is_same_v<T, Unit>)
      values.emplace_back();
    else
      values.push_back(to_val(*std::exchange(value_, std::nullopt), host_));
    CANON_TRY(to->write(std::move(values)));
    end_->moved();
    retire();
    return TrapCode::None;
  }
  void gone() override { retire(); }

 private:
  bool set_ = false;
  std::optional<T> value_;
};

template <class T>
using Promise = std::shared_ptr<Promised<T>>;

// A future and what gives it its value.
template <class T>
std::pair<Future<T>, Promise<T>> new_future(Host& host) {
  component::Ends ends = component::new_ends(host.store(), true, nullptr, 0, {});
  auto promised = std::make_shared<Promised<T>>(host, std::move(ends.writer));
  Side::start(promised);
  return {Future<T>{std::move(ends.reader)}, std::move(promised)};
}

// One that has its value already.
template <class T>
Future<T> ready_future(Host& host, T value) {
  auto [future, promise] = new_future<T>(host);
  promise->set(std::move(value));
  return std::move(future);
}

// The readable end of a future: `then` is called with its value, or without one if there will
// be none.
template <class T>
class Awaited final : public Side {
 public:
  using Then = Function<void(std::optional<T>)>;
  Awaited(Host& host, std::shared_ptr<End> end, Then then)
      : Side(host, std::move(end)), then_(std::move(then)) {}

 protected:
  TrapCode move() override {
    if (host_on_both()) return copy();
    Buffer* const from = end_->offer();
    if (!from) return TrapCode::None;
    std::vector<Val> values;
    CANON_TRY(from->read(1, values));
    end_->moved();
    give(std::move(values));
    return TrapCode::None;
  }
  void gone() override {
    if (copied_ && copied_->progress) return;  // on_event follows
    give({});
  }

 private:
  TrapCode copy() {
    if (copied_) return TrapCode::None;
    copied_ = std::make_shared<component::HostBuffer>(1, 0);
    end_->on_event = [weak = weak_from_this(), this](component::CopyResult, uint64_t) {
      if (const auto self = weak.lock()) give(std::move(copied_->values));
    };
    return end_->copy(copied_);
  }
  void give(std::vector<Val> values) {
    const Then then = std::exchange(then_, nullptr);
    retire();
    if (!then) return;
    if (values.empty()) return then(std::nullopt);
    T value = from_val<T>(values[0], host_);
    // What is no `T` after all, such as a handle of another resource: the guest traps.
    if (host_.failed()) {
      trapped(host_.take_failure(host_.store()));
      return then(std::nullopt);
    }
    then(std::move(value));
  }

  Then then_;
  std::shared_ptr<component::HostBuffer> copied_;
};

template <class T>
void await(Host& host, Future<T> future, typename Awaited<T>::Then then) {
  Side::start(std::make_shared<Awaited<T>>(host, end_of(std::move(future)), std::move(then)));
}

// ---- Streams of bytes

using Done = Function<void(host::Status)>;

// A stream of what `from` has. `done` is told how it ended; that the guest drops it is no
// failure.
Stream<uint8_t> give_bytes(Host& host, host::InputStreamRef from, Done done);

// Writes what comes by `data` to `to`. `done` is told when all of it is out, or what went wrong,
// after which the stream is dropped. `at_end` is called when no more will come.
void take_bytes(Host& host, Stream<uint8_t> data, host::OutputStreamRef to, Done done,
                Function<void()> at_end = nullptr);

// The same with the result as a future of an interface's own errors.
template <class E>
using Outgoing = Future<Expected<Unit, E>>;
template <class E>
using Incoming = std::tuple<Stream<uint8_t>, Future<Expected<Unit, E>>>;

template <class E>
Expected<Unit, E> result_of(host::Status status, E (*error)(host::Status)) {
  if (status.ok()) return Unit{};
  return Err<E>{error(status)};
}

template <class E>
Incoming<E> incoming(Host& host, host::Outcome<host::InputStreamRef> from,
                     E (*error)(host::Status)) {
  auto [future, promise] = new_future<Expected<Unit, E>>(host);
  Stream<uint8_t> stream =
      give_bytes(host, from ? *std::move(from) : host::failing_stream(from.status()),
                 [p = promise, error](host::Status status) { p->set(result_of(status, error)); });
  return {std::move(stream), std::move(future)};
}

template <class E>
Outgoing<E> outgoing(Host& host, Stream<uint8_t> data, host::Outcome<host::OutputStreamRef> to,
                     E (*error)(host::Status)) {
  if (!to) return ready_future<Expected<Unit, E>>(host, result_of(to.status(), error));
  auto [future, promise] = new_future<Expected<Unit, E>>(host);
  take_bytes(host, std::move(data), *std::move(to),
             [p = promise, error](host::Status status) { p->set(result_of(status, error)); });
  return std::move(future);
}

// ---- Streams of values

// Gives what `next` has: up to `most` of them; none at the end; EAGAIN: `ready` tells when to
// ask again.
template <class T>
class Items final : public Side {
 public:
  using Next = Function<host::Outcome<std::vector<T>>(size_t most)>;
  Items(Host& host, std::shared_ptr<End> end, Next next, host::PollableRef ready, Done done)
      : Side(host, std::move(end)),
        next_(std::move(next)),
        ready_(std::move(ready)),
        done_(std::move(done)) {}

 protected:
  TrapCode move() override {
    Buffer* const to = end_->offer();
    if (!to || waiting()) return TrapCode::None;
    constexpr size_t kMost = 1024;
    const size_t most = size_t(std::min<uint64_t>(to->remain(), kMost));
    if (most == 0) {  // asks for readiness
      if (!ready_->ready())
        wait(ready_);
      else
        end_->moved();
      return TrapCode::None;
    }
    host::Outcome<std::vector<T>> items = next_(most);
    if (!items && items.code() == EAGAIN) {
      wait(ready_);
      return TrapCode::None;
    }
    if (!items || items->empty()) {
      finish(items.status());
      return TrapCode::None;
    }
    std::vector<Val> values;
    for (T& item : *items) values.push_back(to_val(std::move(item), host_));
    CANON_TRY(to->write(std::move(values)));
    end_->moved();
    return TrapCode::None;
  }
  void gone() override { finish({}); }

 private:
  void finish(host::Status status) {
    const Done done = std::exchange(done_, nullptr);
    retire();
    next_ = nullptr;
    if (done) done(status);
  }
  Next next_;
  const host::PollableRef ready_;
  Done done_;
};

template <class T>
Stream<T> give_items(Host& host, typename Items<T>::Next next, host::PollableRef ready, Done done) {
  component::Ends ends = component::new_ends(host.store(), false, nullptr, 0, {});
  Side::start(std::make_shared<Items<T>>(host, std::move(ends.writer), std::move(next),
                                         std::move(ready), std::move(done)));
  return {std::move(ends.reader)};
}

}  // namespace wafer::wasi::p3
