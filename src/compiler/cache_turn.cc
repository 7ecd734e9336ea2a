#include "compiler/cache_turn.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "base/descriptor.h"

namespace wafer::compiler {

namespace {

using Clock = std::chrono::steady_clock;

// Is `path` still the open file that `st` describes?
bool is_still(const std::string& path, const struct stat& st) {
  struct stat now;
  return lstat(path.c_str(), &now) == 0 && now.st_dev == st.st_dev && now.st_ino == st.st_ino;
}

// When a file was renewed last, by its own system's clock.
struct Renewal {
  ino_t inode = 0;
  timespec time{};
  bool operator==(const Renewal& o) const {
    return inode == o.inode && time.tv_sec == o.time.tv_sec && time.tv_nsec == o.time.tv_nsec;
  }
};

}  // namespace

struct Turn::Held {
  Held(UniqueFd own, std::string at) : file(std::move(own)), path(std::move(at)) {
    try {
      renewer = std::thread([this] { renew(); });
    } catch (const std::system_error&) {
      // No thread to be had: the others wait for kPassOver at most.
    }
  }
  ~Held() {
    {
      const std::lock_guard lock(mutex);
      over = true;
    }
    changed.notify_one();
    if (renewer.joinable()) renewer.join();
    // Removed while it is locked: whoever waits with it open sees that it is another now.
    struct stat st;
    if (fstat(file.get(), &st) == 0 && is_still(path, st)) unlink(path.c_str());
  }

  void renew() {
    std::unique_lock lock(mutex);
    while (!changed.wait_for(lock, kRenew, [this] { return over; }))
      (void)futimens(file.get(), nullptr);
  }

  UniqueFd file;
  std::string path;
  std::mutex mutex;
  std::condition_variable changed;
  bool over = false;
  std::thread renewer;
};

Turn::Turn() = default;
Turn::Turn(Turn&& other) noexcept = default;
Turn& Turn::operator=(Turn&& other) noexcept = default;
Turn::~Turn() = default;

Turn Turn::take(const std::string& path, const std::function<bool()>& made,
                std::chrono::milliseconds limit, const std::atomic<uint32_t>* cancel) {
  const Clock::time_point start = Clock::now();
  Clock::time_point renewed_at = start;
  Renewal renewed;
  auto pause = std::chrono::milliseconds(1);
  for (;;) {
    UniqueFd file = take_opened(open(
        path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600));
    struct stat st;
    if (!file || fstat(file.get(), &st) != 0 || !S_ISREG(st.st_mode)) return {};
    if (flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
      if (!is_still(path, st)) continue;  // its holder has just put it away
      Turn turn;
      turn.held_ = std::make_unique<Held>(std::move(file), path);
      return turn;
    }
    if (errno != EWOULDBLOCK && errno != EINTR) return {};
    if (made() || (cancel && *cancel)) return {};
    const Clock::time_point now = Clock::now();
    if (now - start >= limit) return {};
    const Renewal latest{st.st_ino, st.st_mtim};
    if (latest == renewed) {
      if (now - renewed_at >= kPassOver && is_still(path, st)) unlink(path.c_str());
    } else {
      renewed = latest;
      renewed_at = now;
    }
    file.reset();
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(50));
  }
}

}  // namespace wafer::compiler
