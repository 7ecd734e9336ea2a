#include "shim/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cstring>

#include "shim/files.h"

namespace wafer::shim {

namespace {

void set_nonblocking(const UniqueFd& fd) {
  const int flags = fcntl(fd.get(), F_GETFL);
  if (flags >= 0) (void)fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK);
}

// The path that `name` stands for; `is_file` if it is a URL of a file.
Result<std::string> path_of(const std::string& name, bool& is_file) {
  is_file = false;
  const size_t scheme = name.find("://");
  if (scheme == name.npos) return name;
  const std::string kind = name.substr(0, scheme), rest = name.substr(scheme + 3);
  is_file = kind == "file";
  if (is_file || kind == "fifo") return rest.substr(0, rest.find('?'));
  return Error(ErrorKind::Unsupported, "output to '" + kind + "://' is not supported");
}

}  // namespace

// ---- Pump -------------------------------------------------------------------

void Pump::start(std::function<void()> on_end) {
  on_end_ = std::move(on_end);
  set_nonblocking(from_);
  set_nonblocking(to_);
  loop_.watch(from_.get(), EPOLLIN, [this](uint32_t) { read_some(); });
}

void Pump::stop() {
  if (from_) loop_.forget(from_.get());
  if (to_) loop_.forget(to_.get());
  from_.reset();
  to_.reset();
  if (const auto on_end = std::exchange(on_end_, nullptr)) on_end();
}

void Pump::finish() {
  finishing_ = true;
  if (from_ && buffer_.empty()) read_some();
}

void Pump::read_some() {
  const std::shared_ptr<Pump> keep = shared_from_this();
  char buffer[16 << 10];
  ssize_t n = 0;
  do {
    n = read(from_.get(), buffer, sizeof buffer);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN && !finishing_) return;
  if (n <= 0) return stop();  // a terminal without a process fails with EIO
  buffer_.assign(buffer, size_t(n));
  write_some();
}

void Pump::write_some() {
  const std::shared_ptr<Pump> keep = shared_from_this();
  while (!buffer_.empty()) {
    const ssize_t n = write(to_.get(), buffer_.data(), buffer_.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      loop_.forget(from_.get());
      loop_.watch(to_.get(), EPOLLOUT, [this](uint32_t) { write_some(); });
      return;
    }
    if (n < 0) return stop();
    buffer_.erase(0, size_t(n));
  }
  loop_.forget(to_.get());
  loop_.watch(from_.get(), EPOLLIN, [this](uint32_t) { read_some(); });
  if (finishing_)
    loop_.after(std::chrono::milliseconds(0), [keep] {
      if (keep->from_ && keep->buffer_.empty()) keep->read_some();
    });
}

// ---- Streams ----------------------------------------------------------------

Result<void> ProcessIo::open(const std::string& in, const std::string& out, const std::string& err,
                             bool terminal) {
  terminal_ = terminal;
  // The end that reads input: the program's client need not be there yet.
  bool is_file = false;
  UniqueFd source;
  if (!in.empty()) {
    WAFER_LET(path, path_of(in, is_file));
    source = take_opened(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (!source) return system_error("cannot open " + path);
  }
  const auto open_output = [&](const std::string& name) -> Result<UniqueFd> {
    if (name.empty()) {
      UniqueFd null = take_opened(::open("/dev/null", O_WRONLY | O_CLOEXEC));
      if (!null) return system_error("cannot open /dev/null");
      return null;
    }
    WAFER_LET(path, path_of(name, is_file));
    if (!is_file) {
      // Both ends: writing does not fail while nobody reads.
      UniqueFd both = take_opened(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
      if (!both) return system_error("cannot open " + path);
      held_.push_back(std::move(both));
    }
    UniqueFd fd = take_opened(::open(
        path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | (is_file ? O_CREAT : 0), 0600));
    if (!fd) return system_error("cannot open " + path);
    return fd;
  };
  if (terminal) {
    WAFER_LET(target, open_output(out));
    output_target_ = std::move(target);
    input_source_ = std::move(source);
    return {};
  }
  UniqueFd stdin_end;
  if (source) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return system_error("cannot make a pipe");
    stdin_end = take_opened(ends[0]);
    input_ = std::make_shared<Pump>(loop_, std::move(source), take_opened(ends[1]));
    input_->start();
  } else {
    stdin_end = take_opened(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!stdin_end) return system_error("cannot open /dev/null");
  }
  streams_.push_back(std::move(stdin_end));
  for (const std::string* name : {&out, &err}) {
    WAFER_LET(fd, open_output(*name));
    streams_.push_back(std::move(fd));
  }
  return {};
}

void ProcessIo::attach(UniqueFd master) {
  if (!terminal_ || !master) return;
  if (input_source_) {
    input_ = std::make_shared<Pump>(loop_, std::move(input_source_), duplicate(master.get()));
    input_->start();
  }
  if (output_target_) {
    output_ = std::make_shared<Pump>(loop_, duplicate(master.get()), std::move(output_target_));
    output_->start([this] { held_.clear(); });
  }
  master_ = std::move(master);
}

Result<void> ProcessIo::resize(uint32_t width, uint32_t height) const {
  if (!master_) return Error(ErrorKind::Usage, "the process has no terminal");
  const winsize size{static_cast<unsigned short>(height), static_cast<unsigned short>(width), 0, 0};
  return ioctl(master_.get(), TIOCSWINSZ, &size) == 0 ? Result<void>()
                                                      : system_error("cannot resize the terminal");
}

void ProcessIo::close_input() {
  if (input_) input_->finish();
  input_source_.reset();
}

void ProcessIo::end() {
  if (input_) input_->stop();
  input_source_.reset();
  // Of a terminal, what was written last is still to be read.
  if (!is_draining()) held_.clear();
}

void ProcessIo::close() {
  if (input_) input_->stop();
  input_source_.reset();
  if (output_) output_->stop();
  held_.clear();
  streams_.clear();
  output_target_.reset();
  master_.reset();
}

}  // namespace wafer::shim
