// TCP and UDP sockets. What may be reached with them is for network.h to say.
#pragma once

#include "host/address.h"
#include "host/native_file.h"

namespace wafer::host {

class Socket;
using SocketRef = std::shared_ptr<Socket>;

class Socket final : public NativeFile {
 public:
  enum class Option : uint8_t {
    KeepAlive,          // 0 or 1
    KeepAliveIdle,      // seconds
    KeepAliveInterval,  // seconds
    KeepAliveCount,
    HopLimit,
    ReceiveBuffer,  // bytes
    SendBuffer,     // bytes
  };
  enum class Shutdown : uint8_t { Receive, Send, Both };
  struct Received {
    size_t size = 0;
    bool truncated = false;
    std::optional<Endpoint> from;
  };

  // A new socket that never waits. An IPv6 one is for IPv6 only.
  static Outcome<SocketRef> create(bool v6, bool stream);
  Socket(UniqueFd fd, FileType type, bool listening)
      : NativeFile(std::move(fd), type, true, false), listening_(listening) {}

  // Takes connections, rather than being one.
  bool listening() const { return listening_; }

  Status bind(const Endpoint& local);
  // EINPROGRESS while a connection is made: then the socket gets ready for writing, and
  // connect_result() tells.
  Status connect(const Endpoint& remote);
  Status connect_result();
  // Takes back what connect() set; of a stream socket, gives up the connection that is made.
  Status disconnect();
  Status listen(int backlog);
  // The next connection; ECONNABORTED if it is gone again.
  Outcome<SocketRef> accept(bool nonblock);
  Outcome<Endpoint> local() const;
  Outcome<Endpoint> remote() const;

  Outcome<size_t> write(Buffers from) override { return send(from, false, nullptr); }
  // `peek`: leaves it there. `all`: waits for as much as there is room for.
  Outcome<Received> receive(Buffers to, bool peek, bool all);
  // `now`: EAGAIN rather than waiting. To `to`, or else to whom the socket is connected.
  Outcome<size_t> send(Buffers from, bool now, const Endpoint* to);
  Status shutdown(Shutdown how);

  Outcome<uint64_t> get(Option option) const;
  Status set(Option option, uint64_t value);

 private:
  bool v6() const;
  bool listening_;
};

// Takes over an open socket.
SocketRef wrap_socket(UniqueFd fd);

// Listens on "HOST:PORT" or "[HOST]:PORT". Usage for what is neither; Io.
Result<SocketRef> listen_on(const std::string& address);
// Takes over the listening socket `fd` of the embedder (0 to 2: a duplicate). Usage if it is
// none.
Result<SocketRef> inherited_listener(int fd);

}  // namespace wafer::host
