#include "shim/poster.h"

#include <sys/eventfd.h>

#include <system_error>

namespace wafer::shim {

namespace {
constexpr uint64_t kPatience = 10'000'000'000;
}

Poster::Poster(Loop& loop)
    : loop_(loop),
      told_(take_opened(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))),
      fetch_(kPatience, /*keep=*/false) {
  loop_.watch(told_.get(), EPOLLIN, [this](uint32_t) {
    eventfd_t count = 0;
    if (eventfd_read(told_.get(), &count) != 0) return;
    std::string error;
    {
      const std::lock_guard lock(mutex_);
      error.swap(error_);
    }
    if (const Done done = std::exchange(done_, nullptr)) done(error);
  });
}

Poster::~Poster() {
  loop_.forget(told_.get());
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  fetch_.stop();
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Poster::send(host::FetchRequest request, Done done) {
  done_ = std::move(done);
  try {
    if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  } catch (const std::system_error& e) {
    return tell(e.what());
  }
  const std::lock_guard lock(mutex_);
  request_ = std::move(request);
  wake_.notify_one();
}

void Poster::work() {
  for (;;) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return ends_ || request_; });
    if (ends_) return;
    const host::FetchRequest request = *std::exchange(request_, std::nullopt);
    lock.unlock();
    const Result<host::FetchResponse> answer = fetch_.request(request);
    if (!answer)
      tell(std::string(answer.error().message));
    else if (answer->status / 100 != 2)
      tell(request.url + " answers with status " + std::to_string(answer->status));
    else
      tell("");
  }
}

void Poster::tell(std::string error) {
  const std::lock_guard lock(mutex_);
  error_ = std::move(error);
  (void)eventfd_write(told_.get(), 1);
}

}  // namespace wafer::shim
