// Turns at making what many processes look for at the same time.
//
// A turn is an advisory lock on a file, which the system takes back from a process that
// dies. One that is stopped keeps it, but no longer renews the file's time; the others then
// put the file away and go on. So a turn spares work, and nothing depends on it.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace wafer::compiler {

class Turn {
 public:
  // How often a holder renews the file's time, and after how long without it is passed over.
  static constexpr std::chrono::milliseconds kRenew{250}, kPassOver{2500};

  // Waits for the turn at the file `path`: until it is ours, `made` says that there is
  // nothing to make any more, `*cancel` is set, or `limit` is over. Where no such file can be
  // made there is nothing to wait for.
  static Turn take(const std::string& path, const std::function<bool()>& made,
                   std::chrono::milliseconds limit, const std::atomic<uint32_t>* cancel);

  Turn();  // of nothing
  Turn(Turn&& other) noexcept;
  Turn& operator=(Turn&& other) noexcept;
  ~Turn();  // the next one's
  explicit operator bool() const { return held_ != nullptr; }

 private:
  struct Held;
  std::unique_ptr<Held> held_;
};

}  // namespace wafer::compiler
