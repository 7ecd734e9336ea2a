// What a guest program has of its host: nothing but what a Config lists.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/clocks.h"
#include "host/fs.h"
#include "host/http.h"
#include "host/network.h"
#include "host/random.h"
#include "host/sockets.h"

namespace wafer::host {

class Board;

// Where a guest's standard input comes from.
struct Input {
  enum class Kind : uint8_t {
    Inherit,   // the host's descriptor 0
    Fd,        // the file of `fd`, which stays the caller's: a Process has a duplicate
    Null,      // always at its end
    Bytes,     // `bytes`, then the end
    Callback,  // `read`
    Open,      // `file`
  };
  Kind kind = Kind::Inherit;
  int fd = -1;
  std::string bytes;
  // Fills at most `size` bytes; gives how many, 0 at the end, or a negative
  // number for an I/O error.
  std::function<int64_t(uint8_t* data, size_t size)> read;
  FileRef file;

  static Input null() { return {Kind::Null, -1, {}, {}, {}}; }
  static Input from_fd(int fd) { return {Kind::Fd, fd, {}, {}, {}}; }
  static Input from_bytes(std::string bytes) { return {Kind::Bytes, -1, std::move(bytes), {}, {}}; }
};

// Where a guest's standard output or error goes.
struct Output {
  enum class Kind : uint8_t {
    Inherit,   // the host's descriptor 1 or 2
    Fd,        // the file of `fd`, which stays the caller's: a Process has a duplicate
    Null,      // nowhere
    Callback,  // `write`
    Open,      // `file`
  };
  Kind kind = Kind::Inherit;
  int fd = -1;
  // Takes all of [data, data+size) and gives true, or false for an I/O error.
  std::function<bool(const uint8_t* data, size_t size)> write;
  FileRef file;

  static Output null() { return {Kind::Null, -1, {}, {}}; }
  static Output from_fd(int fd) { return {Kind::Fd, fd, {}, {}}; }
  // Appends to `*into`, which must outlive the process.
  static Output capture(std::string* into) {
    return {Kind::Callback,
            -1,
            [into](const uint8_t* data, size_t size) {
              into->append(reinterpret_cast<const char*>(data), size);
              return true;
            },
            {}};
  }
};

struct Config {
  std::vector<std::string> args;  // args[0] is the program's name
  std::vector<std::pair<std::string, std::string>> env;
  bool inherit_env = false;  // the host's variables, overridden by `env`

  // A directory that the guest sees as `guest`.
  struct Preopen {
    std::string host;
    std::string guest;
    bool read_only = false;            // changes below it fail with EPERM
    DirectoryRef directory = nullptr;  // instead of `host`
  };
  std::vector<Preopen> dirs;

  Input stdin_source;
  Output stdout_sink;
  Output stderr_sink;

  // A listening socket: an inherited descriptor, which the process takes over (0 to 2:
  // duplicates), or a TCP address to listen on ("127.0.0.1:8080", "[::1]:0").
  struct Listener {
    int fd = -1;
    std::string tcp_address;
  };
  std::vector<Listener> listeners;

  Network network;
  // Sends requests of the guest; none are allowed without it.
  std::shared_ptr<HttpClient> http;

  // Devices of the guest (host/devices/board.h); none without it.
  std::shared_ptr<Board> devices;

  // The system's, unless given. For reproducible runs: a seed that makes all randomness
  // predictable.
  ClocksRef clocks;
  RandomRef random;
  std::optional<uint64_t> random_seed;

  // A write to a closed pipe or past the limit of file sizes must reach the guest as
  // EPIPE or EFBIG, not kill the host: with this, SIGPIPE and SIGXFSZ are ignored
  // if their action was still the default.
  bool ignore_write_signals = true;
};

// The same, opened.
struct Process {
  struct Preopen {
    DirectoryRef directory;
    std::string name;
  };
  std::vector<std::string> args;
  std::vector<std::pair<std::string, std::string>> env;
  FileRef standard[3];  // null: closed
  std::vector<Preopen> preopens;
  std::vector<SocketRef> listeners;
  Network network;
  std::shared_ptr<HttpClient> http;
  ClocksRef clocks;
  RandomRef random;
  RandomRef insecure_random;

  // Opens what `config` names. A standard descriptor that is inherited and closed is closed
  // for the guest too. Io if a directory or address cannot be opened; Usage for an argument
  // or variable with a NUL inside, a name with '=', or a listener that is none.
  static Result<Process> open(Config config);
};

}  // namespace wafer::host
