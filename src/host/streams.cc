#include "host/streams.h"

#include <limits.h>

#include <algorithm>

#include "host/poll.h"

namespace wafer::host {

namespace {

iovec buffer(MutableBytes b) { return {b.data(), b.size()}; }
iovec buffer(Bytes b) { return {const_cast<uint8_t*>(b.data()), b.size()}; }

class FileInput final : public InputStream {
 public:
  FileInput(FileRef file, uint64_t offset) : file_(std::move(file)), offset_(offset) {}
  Outcome<size_t> read(MutableBytes to) override {
    const iovec v = buffer(to);
    for (;;) {
      Outcome<size_t> n = file_->read_at({&v, 1}, offset_);
      if (n) offset_ += *n;
      if (n || n.code() != EINTR) return n;
    }
  }
  PollableRef pollable() override { return always_ready(); }

 private:
  FileRef file_;
  uint64_t offset_;
};

class FileOutput final : public OutputStream {
 public:
  FileOutput(FileRef file, std::optional<uint64_t> offset)
      : file_(std::move(file)), offset_(offset) {}
  Outcome<size_t> budget() override { return kStreamBudget; }
  Status write(Bytes from) override {
    while (!from.empty()) {
      const iovec v = buffer(from);
      const Outcome<size_t> n =
          offset_ ? file_->write_at({&v, 1}, *offset_) : file_->append({&v, 1});
      if (!n && n.code() == EINTR) continue;
      if (!n) return n.status();
      if (offset_) *offset_ += *n;
      from = from.subspan(*n);
    }
    return {};
  }
  Status flush() override { return {}; }
  PollableRef pollable() override { return always_ready(); }

 private:
  FileRef file_;
  std::optional<uint64_t> offset_;  // none: the end
};

bool is_ready(const File& file, bool write) {
  if (!file.may_block() || file.fd() < 0) return true;
  Interest interest{file.fd(), write};
  const Outcome<size_t> n = wait_ready({&interest, 1}, 0);
  return !n || *n > 0;
}

class StreamInput final : public InputStream {
 public:
  explicit StreamInput(FileRef file) : file_(std::move(file)) {}
  Outcome<size_t> read(MutableBytes to) override {
    if (to.empty()) return size_t{0};
    // The flags of a descriptor that is shared with others are left alone.
    if (!is_ready(*file_, false)) return Status(EAGAIN);
    const iovec v = buffer(to);
    for (;;) {
      Outcome<size_t> n = file_->read({&v, 1});
      if (n || n.code() != EINTR) return n;
    }
  }
  PollableRef pollable() override { return readiness(file_, false); }

 private:
  FileRef file_;
};

class StreamOutput final : public OutputStream {
 public:
  explicit StreamOutput(FileRef file) : file_(std::move(file)) {}
  Outcome<size_t> budget() override {
    if (!is_ready(*file_, true)) return size_t{0};
    // A pipe that is ready takes this much at once.
    return file_->type() == FileType::Fifo ? size_t{PIPE_BUF} : kStreamBudget;
  }
  Status write(Bytes from) override {
    while (!from.empty()) {
      const iovec v = buffer(from);
      const Outcome<size_t> n = file_->write({&v, 1});
      if (n) {
        from = from.subspan(*n);
        continue;
      }
      if (n.code() == EAGAIN) {  // somebody else made it non-blocking
        Interest interest{file_->fd(), true};
        (void)wait_ready({&interest, 1}, kForever);
      } else if (n.code() != EINTR) {
        return n.status();
      }
    }
    return {};
  }
  Status flush() override { return {}; }
  PollableRef pollable() override { return readiness(file_, true); }

 private:
  FileRef file_;
};

class EmptyInput final : public InputStream {
 public:
  explicit EmptyInput(Status status = {}) : status_(status) {}
  Outcome<size_t> read(MutableBytes) override {
    if (!status_.ok()) return status_;
    return size_t{0};
  }
  PollableRef pollable() override { return always_ready(); }

 private:
  const Status status_;
};

class ClosedOutput final : public OutputStream {
 public:
  Outcome<size_t> budget() override { return Status(EPIPE); }
  Status write(Bytes) override { return Status(EPIPE); }
  Status flush() override { return Status(EPIPE); }
  PollableRef pollable() override { return always_ready(); }
};

}  // namespace

InputStreamRef read_from(FileRef file, uint64_t offset) {
  return std::make_shared<FileInput>(std::move(file), offset);
}
OutputStreamRef write_to(FileRef file, uint64_t offset) {
  return std::make_shared<FileOutput>(std::move(file), offset);
}
OutputStreamRef append_to(FileRef file) {
  return std::make_shared<FileOutput>(std::move(file), std::nullopt);
}
InputStreamRef read_stream(FileRef file) { return std::make_shared<StreamInput>(std::move(file)); }
OutputStreamRef write_stream(FileRef file) {
  return std::make_shared<StreamOutput>(std::move(file));
}
InputStreamRef empty_stream() { return std::make_shared<EmptyInput>(); }
InputStreamRef failing_stream(Status status) { return std::make_shared<EmptyInput>(status); }
OutputStreamRef closed_stream() { return std::make_shared<ClosedOutput>(); }

// ---- SocketOutput -------------------------------------------------------------

Outcome<size_t> SocketOutput::budget() {
  if (!failure_.ok()) return failure_;
  if (closing_) return Status(EPIPE);
  send();
  if (!failure_.ok()) return failure_;
  return pending_.empty() ? kStreamBudget : size_t{0};
}

Status SocketOutput::write(Bytes from) {
  HOST_TRY(failure_);
  if (closing_) return Status(EPIPE);
  pending_.insert(pending_.end(), from.begin(), from.end());
  send();
  return failure_;
}

Status SocketOutput::flush() {
  send();
  return failure_;
}

PollableRef SocketOutput::pollable() { return ready_; }

Status SocketOutput::shutdown() {
  closing_ = true;
  if (!pending_.empty()) return {};
  return socket_->shutdown(Socket::Shutdown::Send);
}

void SocketOutput::send() {
  while (sent_ < pending_.size()) {
    const iovec v = {pending_.data() + sent_, pending_.size() - sent_};
    const Outcome<size_t> n = socket_->send({&v, 1}, true, nullptr);
    if (n) {
      sent_ += *n;
      continue;
    }
    if (n.code() == EINTR) continue;
    if (n.code() == EAGAIN) {
      ready_->clear();
      if (!wait_) send_later();
      return;
    }
    failure_ = n.status();
    break;
  }
  pending_.clear();
  sent_ = 0;
  if (closing_) (void)socket_->shutdown(Socket::Shutdown::Send);
  ready_->set();
  if (std::exchange(kept_, false)) loop_.release(this);
}

void SocketOutput::send_later() {
  if (!std::exchange(kept_, true)) loop_.keep(shared_from_this());
  wait_ = readiness(socket_, true)->wait(loop_, [this] {
    const std::shared_ptr<SocketOutput> self = shared_from_this();
    wait_.reset();
    send();
  });
}

// ---- SocketInput --------------------------------------------------------------

Outcome<size_t> SocketInput::read(MutableBytes to) {
  if (closed_ || to.empty()) return size_t{0};
  const iovec v = buffer(to);
  for (;;) {
    Outcome<size_t> n = socket_->read({&v, 1});
    if (n || n.code() != EINTR) return n;
  }
}

PollableRef SocketInput::pollable() { return closed_ ? always_ready() : readiness(socket_, false); }

}  // namespace wafer::host
