#include "host/poll.h"

#include <poll.h>
#include <time.h>

#include <algorithm>
#include <vector>

namespace wafer::host {

Outcome<size_t> wait_ready(std::span<Interest> interests, uint64_t nanoseconds) {
  constexpr size_t kFew = 8;
  constexpr uint64_t kSecond = 1'000'000'000;
  pollfd few[kFew];
  std::vector<pollfd> many;
  pollfd* fds = few;
  if (interests.size() > kFew) {
    many.resize(interests.size());
    fds = many.data();
  }
  for (size_t i = 0; i < interests.size(); ++i)
    fds[i] = {interests[i].fd, short(interests[i].write ? POLLOUT : POLLIN), 0};
  // A long wait is cut, so that time_t cannot overflow.
  const bool forever = nanoseconds == kForever;
  const uint64_t wait = std::min(nanoseconds, 86'400 * kSecond);
  timespec t = {time_t(wait / kSecond), long(wait % kSecond)};
  int n;
  do {
#if defined(__linux__)
    n = ppoll(fds, nfds_t(interests.size()), forever ? nullptr : &t, nullptr);
#else
    n = ::poll(fds, nfds_t(interests.size()), forever ? -1 : int((wait + 999'999) / 1'000'000));
#endif
  } while (n == 0 && forever);
  if (n < 0) return Status::last();
  for (size_t i = 0; i < interests.size(); ++i) {
    const short events = fds[i].revents;
    interests[i].ready = events != 0;
    interests[i].hangup = events & (POLLHUP | POLLERR);
    interests[i].invalid = events & POLLNVAL;
  }
  return size_t(n);
}

}  // namespace wafer::host
