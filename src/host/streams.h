// Streams of bytes that never make the thread wait.
#pragma once

#include <deque>
#include <vector>

#include "base/span.h"
#include "host/loop.h"
#include "host/sockets.h"

namespace wafer::host {

class InputStream {
 public:
  virtual ~InputStream() = default;
  // Up to `to.size()` bytes; 0 at the end; EAGAIN if there are none yet.
  virtual Outcome<size_t> read(MutableBytes to) = 0;
  // Ready when there is something to read, the end too.
  virtual PollableRef pollable() = 0;
};
using InputStreamRef = std::shared_ptr<InputStream>;

class OutputStream {
 public:
  virtual ~OutputStream() = default;
  // How much the next write() may hold; 0 while something is under way. EPIPE once nobody reads
  // any more.
  virtual Outcome<size_t> budget() = 0;
  // Takes all of it: no more than budget() told.
  virtual Status write(Bytes from) = 0;
  // Until all that was written is out, budget() is 0.
  virtual Status flush() = 0;
  // Ready when budget() is more than 0, or an error.
  virtual PollableRef pollable() = 0;
};
using OutputStreamRef = std::shared_ptr<OutputStream>;

// What a stream takes at once, where nothing sets a limit.
inline constexpr size_t kStreamBudget = 64 << 10;

// Reads a file from `offset` on.
InputStreamRef read_from(FileRef file, uint64_t offset);
OutputStreamRef write_to(FileRef file, uint64_t offset);
OutputStreamRef append_to(FileRef file);

// Whatever `file` is, at its own position: standard streams, pipes.
InputStreamRef read_stream(FileRef file);
OutputStreamRef write_stream(FileRef file);

// A connection's. What is written is sent on while the guest does something else, also once the
// stream is dropped; the last that goes shuts the direction down, if asked to.
class SocketOutput final : public OutputStream, public std::enable_shared_from_this<SocketOutput> {
 public:
  SocketOutput(Loop& loop, SocketRef socket) : loop_(loop), socket_(std::move(socket)) {}
  Outcome<size_t> budget() override;
  Status write(Bytes from) override;
  Status flush() override;
  PollableRef pollable() override;
  // Once all is sent.
  Status shutdown();

 private:
  void send();
  void send_later();

  Loop& loop_;
  SocketRef socket_;
  std::vector<uint8_t> pending_;
  size_t sent_ = 0;  // of them
  Status failure_;
  bool closing_ = false;
  bool kept_ = false;  // by the loop
  WaitRef wait_;
  std::shared_ptr<Signal> ready_ = std::make_shared<Signal>(true);
};

// The other direction.
class SocketInput final : public InputStream {
 public:
  explicit SocketInput(SocketRef socket) : socket_(std::move(socket)) {}
  Outcome<size_t> read(MutableBytes to) override;
  PollableRef pollable() override;
  // From now on it is at its end.
  void close() { closed_ = true; }

 private:
  SocketRef socket_;
  bool closed_ = false;
};

// One that is at its end, one that fails, and one that takes nothing (EPIPE).
InputStreamRef empty_stream();
InputStreamRef failing_stream(Status status);
OutputStreamRef closed_stream();

}  // namespace wafer::host
