#include "wasi/p3/streams.h"

#include <errno.h>

#include <algorithm>

namespace wafer::wasi::p3 {

using component::HostBuffer;
using host::Status;

// ---- Side -----------------------------------------------------------------------

void Side::start(const std::shared_ptr<Side>& side) {
  Side*& first = side->host_.sides_;
  side->after_ = first;
  if (first) first->before_ = side.get();
  first = side.get();
  side->kept_ = side;
  side->end_->side = side;
  if (side->end_->other)
    side->trapped(side->offered());
  else
    side->dropped();
}

void Side::abandon() {
  over_ = true;
  rest();
}

void Side::rest() {
  if (!std::exchange(waiting_, false)) return;
  host_.forget(pending_);
  --host_.store().outstanding;
}

void Side::retire() {
  abandon();
  end_->side.reset();
  end_->on_event = nullptr;
  end_->drop();
  let_go();
}

void Side::let_go() {
  const std::shared_ptr<Side> self = std::move(kept_);
  if (!self) return;
  (before_ ? before_->after_ : host_.sides_) = after_;
  if (after_) after_->before_ = before_;
}

void Side::wait(host::PollableRef what) {
  if (waiting_) return;
  waiting_ = true;
  ++host_.store().outstanding;
  pending_ = host_.when_ready({std::move(what)}, [weak = weak_from_this(), this, n = ++waits_] {
    if (weak.expired()) return;
    host_.store().post([weak, this, n] {
      const auto self = weak.lock();
      if (!self || n != waits_ || !std::exchange(waiting_, false)) return TrapCode::None;
      --host_.store().outstanding;
      return offered();
    });
  });
}

void Side::trapped(TrapCode code) const {
  if (code != TrapCode::None) host_.store().post([code] { return code; });
}

namespace {

// ---- Bytes to the guest -----------------------------------------------------------

// The most that one read takes from what is behind a stream.
constexpr uint64_t kMostRead = 1 << 20;

class Source final : public Side {
 public:
  Source(Host& host, std::shared_ptr<End> end, host::InputStreamRef from, Done done)
      : Side(host, std::move(end)), from_(std::move(from)), done_(std::move(done)) {}

 protected:
  TrapCode move() override {
    Buffer* const to = end_->offer();
    if (!to || waiting()) return TrapCode::None;
    const auto most = size_t(std::min<uint64_t>(to->remain(), kMostRead));
    if (most == 0) {  // asks for readiness
      const host::PollableRef ready = from_->pollable();
      if (!ready->ready())
        wait(ready);
      else
        end_->moved();
      return TrapCode::None;
    }
    uint8_t* const at = to->raw();
    if (!at) return host_.store().trap("stream of other elements than bytes");
    const host::Outcome<size_t> n = from_->read({at, most});
    if (n && *n > 0) {
      to->advance(*n);
      end_->moved();
    } else if (n.code() == EAGAIN) {
      wait(from_->pollable());
    } else {
      finish(n.status());
    }
    return TrapCode::None;
  }
  void gone() override { finish({}); }

 private:
  void finish(Status status) {
    const Done done = std::exchange(done_, nullptr);
    retire();
    from_.reset();
    if (done) done(status);
  }
  host::InputStreamRef from_;
  Done done_;
};

// ---- Bytes from the guest ---------------------------------------------------------

class Sink final : public Side {
 public:
  Sink(Host& host, std::shared_ptr<End> end, host::OutputStreamRef to, Done done,
       Function<void()> at_end)
      : Side(host, std::move(end)),
        to_(std::move(to)),
        done_(std::move(done)),
        at_end_(std::move(at_end)) {}

 protected:
  TrapCode move() override {
    if (waiting()) return TrapCode::None;
    if (pumping_ || host_on_both()) return pump();
    if (ended_) return flush();
    Buffer* const from = end_->offer();
    if (!from) return TrapCode::None;
    uint8_t* const at = from->raw();
    if (!at) return host_.store().trap("stream of other elements than bytes");
    const host::Outcome<size_t> n = write({at, size_t(from->remain())});
    if (n && *n == 0 && from->remain() > 0) {
      wait(to_->pollable());
      return TrapCode::None;
    }
    if (n && from->remain() == 0 && !ready()) return TrapCode::None;
    if (n) {
      from->advance(*n);
      end_->moved();
    } else {
      finish(n.status());
    }
    return TrapCode::None;
  }

  void gone() override {
    ended_ = true;
    // What was copied last is told yet.
    if (pumping_ && end_->has_pending_event()) return;
    copying_ = false;
    trapped(move());
  }

 private:
  // As much as it takes now. A failure counts once nothing could be written before it.
  host::Outcome<size_t> write(Bytes bytes) {
    size_t done = 0;
    while (done < bytes.size()) {
      const host::Outcome<size_t> budget = to_->budget();
      Status status = budget.status();
      if (budget) {
        const size_t n = std::min(*budget, bytes.size() - done);
        if (n == 0) break;
        status = to_->write(bytes.subspan(done, n));
        if (status.ok()) done += n;
      }
      if (status.ok()) continue;
      if (done == 0) return status;
      break;
    }
    return done;
  }

  // Of an empty write: whether the next one would take something; waits if not.
  bool ready() {
    const host::Outcome<size_t> budget = to_->budget();
    if (!budget || *budget > 0) return true;
    wait(to_->pollable());
    return false;
  }

  // From another stream of the host, through a buffer.
  TrapCode pump() {
    if (!pumping_) {
      pumping_ = true;
      buffer_ = std::make_shared<HostBuffer>(host::kStreamBudget, 1);
      end_->on_event = [weak = weak_from_this(), this](component::CopyResult result, uint64_t) {
        const auto self = weak.lock();
        if (!self) return;
        copying_ = false;
        if (result == component::CopyResult::Dropped) ended_ = true;
        trapped(offered());
      };
    }
    while (!copying_) {
      while (written_ < buffer_->progress) {
        const host::Outcome<size_t> n =
            write(Bytes(buffer_->bytes).subspan(written_, size_t(buffer_->progress) - written_));
        if (!n) {
          finish(n.status());
          return TrapCode::None;
        }
        if (*n == 0) {
          wait(to_->pollable());
          return TrapCode::None;
        }
        written_ += *n;
      }
      if (ended_) return flush();
      written_ = 0;
      buffer_->progress = 0;
      copying_ = true;
      CANON_TRY(end_->copy(buffer_));
      if (!to_) break;  // that was the end
    }
    return TrapCode::None;
  }

  // No more comes; waits until all is out.
  TrapCode flush() {
    if (!flushed_) {
      flushed_ = true;
      if (const Status status = to_->flush(); !status.ok()) {
        finish(status);
        return TrapCode::None;
      }
    }
    const host::Outcome<size_t> budget = to_->budget();
    if (budget && *budget == 0) {
      wait(to_->pollable());
      return TrapCode::None;
    }
    if (at_end_) std::exchange(at_end_, nullptr)();
    // Nobody reads any more: all the same, what was written is out.
    finish(budget.code() == EPIPE ? Status() : budget.status());
    return TrapCode::None;
  }

  void finish(Status status) {
    const Done done = std::exchange(done_, nullptr);
    retire();
    to_.reset();
    if (done) done(status);
  }

  host::OutputStreamRef to_;
  Done done_;
  Function<void()> at_end_;
  bool ended_ = false, flushed_ = false, pumping_ = false, copying_ = false;
  std::shared_ptr<HostBuffer> buffer_;
  size_t written_ = 0;  // of what is in it
};

}  // namespace

Stream<uint8_t> give_bytes(Host& host, host::InputStreamRef from, Done done) {
  component::Ends ends = component::new_ends(host.store(), false, nullptr, 0, {});
  Side::start(
      std::make_shared<Source>(host, std::move(ends.writer), std::move(from), std::move(done)));
  return {std::move(ends.reader)};
}

void take_bytes(Host& host, Stream<uint8_t> data, host::OutputStreamRef to, Done done,
                Function<void()> at_end) {
  Side::start(std::make_shared<Sink>(host, end_of(std::move(data)), std::move(to), std::move(done),
                                     std::move(at_end)));
}

}  // namespace wafer::wasi::p3
