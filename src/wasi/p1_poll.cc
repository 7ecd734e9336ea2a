// poll_oneoff: waiting for clocks and descriptors at once.
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "wasi/p1_call.h"

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
  // Descriptor, and its place among the pollfds if it needs waiting for.
  DescriptorRef descriptor;
  int poll_index = -1;
  uint64_t nbytes = 0;
  bool hangup = false;
};

uint64_t host_monotonic() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return uint64_t(t.tv_sec) * 1'000'000'000 + uint64_t(t.tv_nsec);
}

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
  } else if (absolute && id == uint32_t(ClockId::kRealtime) && !p1.config.clock) {
    s.clock = id;
    s.deadline = timeout;
  } else {
    s.clock = uint32_t(ClockId::kMonotonic);
    uint64_t wait = timeout;
    if (absolute) {
      uint64_t now = 0;
      clock_now(p1, id, now);
      wait = timeout > now ? timeout - now : 0;
    }
    s.deadline = saturating_add(host_monotonic(), wait);
  }
}

uint64_t remaining(const Subscription& s) {
  uint64_t now;
  if (s.clock == uint32_t(ClockId::kRealtime)) {
    timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    now = uint64_t(t.tv_sec) * 1'000'000'000 + uint64_t(t.tv_nsec);
  } else {
    now = host_monotonic();
  }
  return s.deadline > now ? s.deadline - now : 0;
}

void prepare_descriptor(Subscription& s, std::vector<pollfd>& fds) {
  Descriptor& d = *s.descriptor;
  const bool reads = s.type == EventType::kFdRead;
  const Rights base = d.base.load(std::memory_order_relaxed);
  const Rights needed = reads ? rights::kFdRead : rights::kFdWrite;
  // A listener is "readable" when a connection can be accepted.
  const bool may = (base & needed) || (reads && (base & rights::kSockAccept));
  if (d.kind == Descriptor::Kind::Directory || !may) {
    s.error = Errno::kBadf;
    return;
  }
  if (!(base & rights::kPollFdReadwrite)) {
    s.error = Errno::kNotCapable;
    return;
  }
  switch (d.kind) {
    case Descriptor::Kind::Directory:
    case Descriptor::Kind::Closed:
      return;
    case Descriptor::Kind::Input: {
      const std::lock_guard lock(d.mutex);
      s.ready = true;
      s.nbytes = d.read ? 1 : d.bytes.size() - d.bytes_at;
      return;
    }
    case Descriptor::Kind::Output:
      s.ready = true;
      s.nbytes = 1;
      return;
    case Descriptor::Kind::File:
      break;
  }
  struct stat st;
  if (d.type == Filetype::kRegularFile) {  // always ready
    s.ready = true;
    s.nbytes = 1;
    if (reads && fstat(d.fd(), &st) == 0) {
      const off_t at = lseek(d.fd(), 0, SEEK_CUR);
      s.nbytes = at >= 0 && st.st_size > at ? uint64_t(st.st_size - at) : 0;
    }
    return;
  }
  s.poll_index = int(fds.size());
  fds.push_back({d.fd(), short(reads ? POLLIN : POLLOUT), 0});
}

void take_poll_result(Subscription& s, const pollfd& p) {
  if (p.revents == 0) return;
  s.ready = true;
  if (p.revents & POLLNVAL) {
    s.error = Errno::kBadf;
    return;
  }
  // With POLLERR the next read or write tells the error itself.
  s.hangup = p.revents & (POLLHUP | POLLERR);
  if (s.type == EventType::kFdRead) {
    int available = 0;
    if (ioctl(p.fd, FIONREAD, &available) == 0 && available >= 0)
      s.nbytes = uint64_t(available);
    else
      s.nbytes = (p.revents & POLLIN) ? 1 : 0;
  } else if (p.revents & POLLOUT) {
    s.nbytes = s.descriptor->is_pipe ? PIPE_BUF : 1;
  }
}

}  // namespace

Errno poll_oneoff(Call& c, uint32_t in, uint32_t out, uint32_t count, uint32_t result,
                  bool preview0) {
  if (count == 0 || count > kMaxSubscriptions) return Errno::kInval;
  // Preview 0 has an identifier before the clock's fields.
  const uint32_t record = preview0 ? 56 : 48;
  const uint32_t clock_at = preview0 ? 24 : 16;
  if (!c.in_bounds(in, uint64_t(count) * record) ||
      !c.in_bounds(out, uint64_t(count) * kEventSize) || !c.in_bounds(result, 4))
    return Errno::kFault;

  std::vector<Subscription> subscriptions(count);
  std::vector<pollfd> fds;
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
        prepare_descriptor(s, fds);
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
    if (c.interruptible()) wait = std::min(wait, uint64_t(kWaitSliceMs) * 1'000'000);
    // A long wait is cut too, so that time_t cannot overflow.
    wait = std::min(wait, uint64_t(86'400) * 1'000'000'000);
    int ready;
    if (fds.empty()) {  // nothing but clocks
      timespec t = {time_t(wait / 1'000'000'000), long(wait % 1'000'000'000)};
      ready = wait == 0 ? 0 : nanosleep(&t, nullptr);
    } else {
#if defined(__linux__)
      timespec t = {time_t(wait / 1'000'000'000), long(wait % 1'000'000'000)};
      ready = ppoll(fds.data(), nfds_t(fds.size()), &t, nullptr);
#else
      ready = poll(fds.data(), nfds_t(fds.size()), int((wait + 999'999) / 1'000'000));
#endif
    }
    if (ready < 0 && errno != EINTR) return errno_of(errno);
    if (!any_ready && c.interrupted()) return Errno::kIntr;
    if (ready > 0) {
      for (Subscription& s : subscriptions)
        if (s.poll_index >= 0) {
          take_poll_result(s, fds[size_t(s.poll_index)]);
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

}  // namespace wafer::wasi
