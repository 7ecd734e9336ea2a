// poll_oneoff: waiting for clocks and descriptors at once.
#include "host/poll.h"

#include <errno.h>
#include <limits.h>

#include <algorithm>

#include "wasi/p1/functions.h"

namespace wafer::wasi {

namespace {

// More subscriptions than a table can have descriptors make no sense.
constexpr uint32_t kMaxSubscriptions = 1u << 16;
constexpr uint64_t kNever = ~uint64_t{0};

struct Subscription {
  uint64_t userdata = 0;
  EventType type = EventType::kClock;
  Errno error = Errno::kSuccess;
  bool ready = false;
  // Clock: when, on the clock `clock`; an absolute time of ours if `host_clock`.
  uint64_t deadline = kNever;
  uint32_t clock = 0;
  // Descriptor, and its place among the interests if it needs waiting for.
  DescriptorRef descriptor;
  int interest = -1;
  uint64_t nbytes = 0;
  bool hangup = false;
};

uint64_t saturating_add(uint64_t a, uint64_t b) { return a > kNever - b ? kNever : a + b; }

// Works out when a clock subscription fires. Relative times and the monotonic
// clock become deadlines of the host's monotonic clock; an absolute time of the
// real-time clock stays one, because that clock may be set meanwhile.
void prepare_clock(const P1Context::Impl& p1, Subscription& s, uint32_t id, uint64_t timeout,
                   uint16_t flags) {
  const bool absolute = flags & 1;
  if (flags & ~1u) {
    s.error = Errno::kInval;
  } else if (id > uint32_t(ClockId::kThreadCputime)) {
    s.error = Errno::kInval;
  } else if (id > uint32_t(ClockId::kMonotonic)) {
    s.error = Errno::kNotSup;
  } else if (absolute && id == uint32_t(ClockId::kRealtime) && p1.process.clocks->is_system()) {
    s.clock = id;
    s.deadline = timeout;
  } else {
    s.clock = uint32_t(ClockId::kMonotonic);
    uint64_t wait = timeout;
    if (absolute) {
      const uint64_t now = p1.process.clocks->now(kClocks[id]);
      wait = timeout > now ? timeout - now : 0;
    }
    s.deadline = saturating_add(host::monotonic_now(), wait);
  }
}

uint64_t remaining(const Subscription& s) {
  const uint64_t now =
      s.clock == uint32_t(ClockId::kRealtime) ? host::realtime_now() : host::monotonic_now();
  return s.deadline > now ? s.deadline - now : 0;
}

void prepare_descriptor(Subscription& s, std::vector<host::Interest>& interests) {
  Descriptor& d = *s.descriptor;
  const bool reads = s.type == EventType::kFdRead;
  const Rights base = d.base.load(std::memory_order_relaxed);
  const Rights needed = reads ? rights::kFdRead : rights::kFdWrite;
  // A listener is "readable" when a connection can be accepted.
  const bool may = (base & needed) || (reads && (base & rights::kSockAccept));
  if (d.directory || !may) {
    s.error = Errno::kBadf;
    return;
  }
  if (!(base & rights::kPollFdReadwrite)) {
    s.error = Errno::kNotCapable;
    return;
  }
  // Files of no other process are always ready.
  if (d.file->fd() < 0 || d.type == Filetype::kRegularFile) {
    s.ready = true;
    s.nbytes = reads ? d.file->readable() : 1;
    return;
  }
  s.interest = int(interests.size());
  interests.push_back({d.file->fd(), !reads});
}

void take_result(Subscription& s, const host::Interest& interest) {
  if (!interest.ready) return;
  s.ready = true;
  if (interest.invalid) {
    s.error = Errno::kBadf;
    return;
  }
  s.hangup = interest.hangup;
  if (s.type == EventType::kFdRead)
    s.nbytes = s.descriptor->file->readable();
  else if (!interest.hangup)
    s.nbytes = s.descriptor->is_pipe() ? PIPE_BUF : 1;
}

}  // namespace

template <bool kPreview0>
Errno poll(Call& c, uint32_t in, uint32_t out, uint32_t count, uint32_t result) {
  if (count == 0 || count > kMaxSubscriptions) return Errno::kInval;
  // Preview 0 has an identifier before the clock's fields.
  const uint32_t record = kPreview0 ? 56 : 48;
  const uint32_t clock_at = kPreview0 ? 24 : 16;
  if (!c.in_bounds(in, uint64_t(count) * record) ||
      !c.in_bounds(out, uint64_t(count) * kEventSize) || !c.in_bounds(result, 4))
    return Errno::kFault;

  std::vector<Subscription> subscriptions(count);
  std::vector<host::Interest> interests;
  bool any_ready = false;
  for (uint32_t i = 0; i < count; ++i) {
    Subscription& s = subscriptions[i];
    const uint64_t at = uint64_t(in) + uint64_t(i) * record;
    s.userdata = c.load<uint64_t>(at);
    const uint8_t tag = c.load<uint8_t>(at + 8);
    if (tag > uint8_t(EventType::kFdWrite)) return Errno::kInval;
    s.type = EventType(tag);
    if (s.type == EventType::kClock) {
      const uint64_t clock = at + clock_at;
      prepare_clock(c.p1, s, c.load<uint32_t>(clock), c.load<uint64_t>(clock + 8),
                    c.load<uint16_t>(clock + 24));
      if (s.error == Errno::kSuccess && remaining(s) == 0) s.ready = true;
    } else {
      s.descriptor = c.p1.table.get(c.load<uint32_t>(at + 16));
      if (s.descriptor)
        prepare_descriptor(s, interests);
      else
        s.error = Errno::kBadf;
    }
    any_ready |= s.ready || s.error != Errno::kSuccess;
  }

  // With something ready already, look once at the rest without waiting.
  for (;;) {
    uint64_t wait = any_ready ? 0 : kNever;
    if (wait)
      for (const Subscription& s : subscriptions)
        if (s.type == EventType::kClock && s.deadline != kNever)
          wait = std::min(wait, remaining(s));
    if (c.interruptible()) wait = std::min(wait, kWaitSlice);
    const host::Outcome<size_t> ready = host::wait_ready(interests, wait);
    if (!ready && ready.code() != EINTR) return errno_of(ready.status());
    if (!any_ready && c.interrupted()) return Errno::kIntr;
    if (ready && *ready > 0) {
      for (Subscription& s : subscriptions)
        if (s.interest >= 0) {
          take_result(s, interests[size_t(s.interest)]);
          any_ready |= s.ready;
        }
    }
    for (Subscription& s : subscriptions)
      if (s.type == EventType::kClock && s.error == Errno::kSuccess && remaining(s) == 0)
        s.ready = any_ready = true;
    if (any_ready) break;
  }

  uint32_t events = 0;
  for (const Subscription& s : subscriptions) {
    if (!s.ready && s.error == Errno::kSuccess) continue;
    const uint32_t at = out + events++ * kEventSize;
    c.zero(at, kEventSize);
    c.store<uint64_t>(at, s.userdata);
    c.store<uint16_t>(uint64_t(at) + 8, uint16_t(s.error));
    c.store<uint8_t>(uint64_t(at) + 10, uint8_t(s.type));
    c.store<uint64_t>(uint64_t(at) + 16, s.nbytes);
    c.store<uint16_t>(uint64_t(at) + 24, s.hangup ? 1 : 0);
  }
  c.store<uint32_t>(result, events);
  return Errno::kSuccess;
}

template Errno poll<false>(Call&, uint32_t, uint32_t, uint32_t, uint32_t);
template Errno poll<true>(Call&, uint32_t, uint32_t, uint32_t, uint32_t);

}  // namespace wafer::wasi
