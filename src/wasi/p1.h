// WASI 0.1: the system interface "wasi_snapshot_preview1" and its predecessor
// "wasi_unstable" (preview 0), as host functions for a Linker.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/linker.h"

namespace wafer::wasi {

// Where a guest's standard input comes from.
struct P1Input {
  enum class Kind : uint8_t {
    Inherit,  // the host's descriptor 0
    Fd,       // the file of `fd`, which stays the caller's: P1Context has a duplicate
    Null,     // always at its end
    Bytes,    // `bytes`, then the end
    Callback  // `read`
  };
  Kind kind = Kind::Inherit;
  int fd = -1;
  std::string bytes;
  // Fills at most `size` bytes; gives how many, 0 at the end, or a negative
  // number for an I/O error.
  std::function<int64_t(uint8_t* data, size_t size)> read;

  static P1Input null() { return {Kind::Null, -1, {}, {}}; }
  static P1Input from_fd(int fd) { return {Kind::Fd, fd, {}, {}}; }
  static P1Input from_bytes(std::string bytes) { return {Kind::Bytes, -1, std::move(bytes), {}}; }
};

// Where a guest's standard output or error goes.
struct P1Output {
  enum class Kind : uint8_t {
    Inherit,  // the host's descriptor 1 or 2
    Fd,       // the file of `fd`, which stays the caller's: P1Context has a duplicate
    Null,     // nowhere
    Callback  // `write`
  };
  Kind kind = Kind::Inherit;
  int fd = -1;
  // Takes all of [data, data+size) and gives true, or false for an I/O error.
  std::function<bool(const uint8_t* data, size_t size)> write;

  static P1Output null() { return {Kind::Null, -1, {}}; }
  static P1Output from_fd(int fd) { return {Kind::Fd, fd, {}}; }
  // Appends to `*into`, which must outlive the context.
  static P1Output capture(std::string* into) {
    return {Kind::Callback, -1, [into](const uint8_t* data, size_t size) {
              into->append(reinterpret_cast<const char*>(data), size);
              return true;
            }};
  }
};

// What a guest program sees of its host: nothing but what is listed here.
struct P1Config {
  std::vector<std::string> args;  // args[0] is the program's name
  std::vector<std::pair<std::string, std::string>> env;
  bool inherit_env = false;  // the host's variables, overridden by `env`

  // A host directory that the guest sees as `guest`. Preopens take descriptors
  // 3, 4, ... in this order.
  struct Preopen {
    std::string host;
    std::string guest;
    bool read_only = false;  // changes below it fail with ERRNO_PERM
  };
  std::vector<Preopen> dirs;

  P1Input stdin_source;
  P1Output stdout_sink;
  P1Output stderr_sink;

  // A listening socket for sock_accept: an inherited descriptor, which the
  // context takes over (0 to 2: duplicates), or a TCP address to listen on ("127.0.0.1:8080",
  // "[::1]:0"). Sockets take the descriptors after the preopens, or, with
  // `sockets_first`, those before them (but C libraries stop looking for
  // preopens at the first descriptor that is not a directory).
  struct Listener {
    int fd = -1;
    std::string tcp_address;
  };
  std::vector<Listener> listeners;
  bool sockets_first = false;

  // For reproducible runs: the time in nanoseconds of clock `id` (0 realtime, 1
  // monotonic, 2 and 3 CPU time), and a seed that makes random_get predictable.
  std::function<uint64_t(uint32_t id)> clock;
  std::optional<uint64_t> random_seed;

  // A write to a closed pipe or past the limit of file sizes must reach the guest as
  // ERRNO_PIPE or ERRNO_FBIG, not kill the host: with this, SIGPIPE and SIGXFSZ are ignored
  // if their action was still the default.
  bool ignore_write_signals = true;
};

// The state of one guest "process": descriptors, arguments, exit code. May be
// shared by several instances and threads.
class P1Context {
 public:
  // Opens what `config` names. A standard descriptor that is inherited and closed is closed
  // for the guest too. Io if a directory or address cannot be opened; Usage for an argument
  // or variable with a NUL inside, a name with '=', or a listener that is none.
  static Result<std::unique_ptr<P1Context>> create(P1Config config);
  ~P1Context();
  P1Context(const P1Context&) = delete;
  P1Context& operator=(const P1Context&) = delete;

  // The code of proc_exit, once it was called.
  std::optional<int32_t> exit_code() const;
  // Address and port of a listener ("127.0.0.1:43210"), for port 0; empty if
  // there is no such listener.
  std::string listener_address(size_t index) const;

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  explicit P1Context(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Defines every function of "wasi_snapshot_preview1" and "wasi_unstable" in
// `linker`; they act on `context` and on the caller's exported memory "memory".
// proc_exit stops execution with TrapCode::Exit, exit_code in Store::trap().
// Usage if the linker has one of the names already.
Result<void> add_to_linker(runtime::Linker& linker, std::shared_ptr<P1Context> context);

}  // namespace wafer::wasi
