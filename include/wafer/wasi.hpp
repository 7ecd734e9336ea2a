// WASI for guests: 0.1 for modules, 0.2 and 0.3 for components. Not in embedded builds.
//
//   wafer::wasi::Config config;
//   config.arg("prog").dir("/srv/data", "/data").inherit_stdio();
//   auto process = wafer::wasi::add_to_linker(linker, std::move(config));
//   auto instance = linker.instantiate(store, module);
//   auto code = wafer::wasi::run(store, *instance);
//
// and for components, where `linker` is a ComponentLinker:
//
//   auto command = wafer::wasi::Command::create(linker, std::move(config));
//   command->attach(store);
//   auto instance = linker.instantiate(store, component);
//   auto code = command->run(store, *instance);
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "wafer/component.hpp"
#include "wafer/linker.hpp"

struct wafer_devices_t;

namespace wafer::wasi {

class P1Context;
struct P1Config;

// A file system in memory. What shares one sees the same files; for any thread.
class MemoryFiles {
 public:
  // `capacity` bytes of contents and names; a guest that writes more gets an error.
  explicit MemoryFiles(uint64_t capacity = uint64_t{1} << 30);
  ~MemoryFiles();
  MemoryFiles(const MemoryFiles&);
  MemoryFiles& operator=(const MemoryFiles&);
  // Writes a file, and makes the directories on the way. Io if that cannot be.
  Result<void> put(std::string_view path, std::string_view bytes);
  // What a file has. Io if there is none.
  Result<std::string> get(std::string_view path) const;

  // Internal.
  struct Impl;
  const Impl& raw() const { return *impl_; }

 private:
  std::shared_ptr<Impl> impl_;
};

// A message of HTTP as a whole. Fields are names and values, in order.
using HttpFields = std::vector<std::pair<std::string, std::string>>;
struct HttpRequest {
  std::string method, scheme, authority, path;
  HttpFields fields;
  std::string body;
};
struct HttpResponse {
  uint16_t status = 200;
  HttpFields fields;
  std::string body;
};

// What components may do with addresses and ports.
enum class NetworkUse : uint8_t { TcpConnect, TcpListen, UdpSend, UdpBind };

// What a guest program sees of its host: nothing but what is listed here. Without
// more, its input is empty and its output goes nowhere.
class Config {
 public:
  Config();
  ~Config();
  Config(Config&& other) noexcept;
  Config& operator=(Config&& other) noexcept;

  // Appends an argument; the first is the program's name.
  Config& arg(std::string_view value);
  Config& env(std::string_view name, std::string_view value);
  Config& inherit_env();
  // A host directory that the guest sees as `guest`.
  Config& dir(std::string_view host, std::string_view guest, bool read_only = false);
  // The host's own input, output and error: duplicates of descriptors 0 to 2 as they are when
  // add_to_linker is called. One that is closed then stays closed for the guest.
  Config& inherit_stdio();
  // Files of the program's own, instead of a directory of the host.
  Config& dir(const MemoryFiles& files, std::string_view guest, bool read_only = false);
  Config& stdin_bytes(std::string_view bytes);
  // Fills at most `size` bytes; gives how many, 0 at the end, or a negative number for an I/O
  // error. The guest waits for as long as it takes.
  using Source = std::function<int64_t(char* data, size_t size)>;
  Config& stdin_from(Source source);
  // Takes all bytes and gives true, or false for an I/O error.
  using Sink = std::function<bool(std::string_view bytes)>;
  Config& stdout_to(Sink sink);
  Config& stderr_to(Sink sink);
  // Appends to `*text`, which must outlive the guest.
  Config& capture_stdout(std::string* text);
  Config& capture_stderr(std::string* text);
  // Lets components use the network (docs/cli.md has the form of rules, "HOST:PORT"); a rule
  // that is none is an error of Command::create. HTTP is not among it: see http().
  Config& allow(NetworkUse use, std::string_view rule);
  Config& allow_name_lookup();
  Config& inherit_network();
  // Answers HTTP requests of components; without a response they fail with `HTTP-request-denied`.
  // Called on the thread that runs the guest, once all of a request is there; one with a body of
  // more than `most_body` bytes fails.
  using HttpAnswer = std::function<std::optional<HttpResponse>(const HttpRequest& request)>;
  Config& http(HttpAnswer answer, size_t most_body = size_t{16} << 20);
  // Clocks of the program's own, in nanoseconds: since 1970, and one that never goes back. Waits
  // take as long as they say, whatever the clocks say meanwhile. The zone is UTC.
  using Clock = std::function<uint64_t()>;
  Config& clocks(Clock realtime, Clock monotonic);
  // Grants a device of this machine, as on the command line (docs/devices.md): `kind` is "i2c",
  // "spi", "gpio", "analog", "usb", or "device" for a board by its name ("sim"). What cannot be
  // granted is an error of add_to_linker or Command::create.
  Config& device(std::string_view kind, std::string_view grant);
  // All devices of a board of the embedder's (wafer_devices.h), which outlives the guest.
  Config& devices(const wafer_devices_t& board);
  // Makes all randomness predictable, for runs that can be repeated.
  Config& random_seed(uint64_t seed);

 private:
  friend Result<std::shared_ptr<P1Context>> add_to_linker(Linker& linker, Config config);
  friend class Command;
  std::unique_ptr<P1Config> impl_;
  std::optional<Error> wrong_;  // what a rule was, first
};

// Defines the functions of "wasi_snapshot_preview1" and "wasi_unstable" for one guest
// process. Errors: Io if a directory cannot be opened; Usage if the linker has one of
// the names already.
Result<std::shared_ptr<P1Context>> add_to_linker(Linker& linker, Config config);

// Runs a command: calls the export "_start" and gives the program's exit code, 0 if it
// just returned. Errors: Usage if there is no "_start", Trap.
Result<int32_t> run(Store& store, const Instance& instance);

// WASI 0.2 and 0.3 for the components of one store: there for as long as they run.
class Command {
 public:
  // Defines the interfaces of both generations in `linker`. Errors: Io if a directory cannot be
  // opened; Usage for a wrong rule.
  static Result<Command> create(ComponentLinker& linker, Config config);
  Command(Command&& other) noexcept;
  ~Command();

  // Before components that import WASI are instantiated in the store.
  void attach(Store& store);
  // Calls the export `wasi:cli/run` and gives the program's exit code, 1 if it failed. Errors:
  // Usage if there is none, Trap.
  Result<int32_t> run(Store& store, const ComponentInstance& instance);

  // For the interface in C.
  struct Impl;
  explicit Command(std::unique_ptr<Impl> impl);
  Impl& raw() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace wafer::wasi
