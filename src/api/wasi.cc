#if WAFER_WITH_WASI_P1

#include "wafer/wasi.hpp"

#include "devices/imports/imports.h"
#include "host/devices/board.h"
#include "host/http_callback.h"
#include "host/memory_fs.h"
#include "wasi/p1/p1.h"
#if WAFER_WITH_WASI_COMMAND
#include "api/component_state.h"
#include "wasi/command/command.h"
#endif

namespace wafer::wasi {

struct MemoryFiles::Impl {
  explicit Impl(uint64_t capacity) : files(capacity) {}
  host::MemoryFs files;
};

MemoryFiles::MemoryFiles(uint64_t capacity) : impl_(std::make_shared<Impl>(capacity)) {}
MemoryFiles::~MemoryFiles() = default;
MemoryFiles::MemoryFiles(const MemoryFiles&) = default;
MemoryFiles& MemoryFiles::operator=(const MemoryFiles&) = default;
Result<void> MemoryFiles::put(std::string_view path, std::string_view bytes) {
  const host::Status put =
      impl_->files.put(path, {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  if (!put.ok()) return host::io_error(std::string(path), put);
  return {};
}
Result<std::string> MemoryFiles::get(std::string_view path) const {
  host::Outcome<std::string> got = impl_->files.get(path);
  if (!got) return host::io_error(std::string(path), got.status());
  return *std::move(got);
}

Config::Config() : impl_(std::make_unique<P1Config>()) {
  impl_->stdin_source = P1Input::null();
  impl_->stdout_sink = P1Output::null();
  impl_->stderr_sink = P1Output::null();
}
Config::~Config() = default;
Config::Config(Config&& other) noexcept = default;
Config& Config::operator=(Config&& other) noexcept = default;

Config& Config::arg(std::string_view value) {
  impl_->args.emplace_back(value);
  return *this;
}
Config& Config::env(std::string_view name, std::string_view value) {
  impl_->env.emplace_back(name, value);
  return *this;
}
Config& Config::inherit_env() {
  impl_->inherit_env = true;
  return *this;
}
Config& Config::dir(std::string_view host, std::string_view guest, bool read_only) {
  impl_->dirs.push_back({std::string(host), std::string(guest), read_only});
  return *this;
}
Config& Config::inherit_stdio() {
  impl_->stdin_source = {};
  impl_->stdout_sink = {};
  impl_->stderr_sink = {};
  return *this;
}
Config& Config::dir(const MemoryFiles& files, std::string_view guest, bool read_only) {
  impl_->dirs.push_back({{}, std::string(guest), read_only, files.raw().files.root(read_only)});
  return *this;
}
Config& Config::stdin_from(Source source) {
  impl_->stdin_source = P1Input::null();
  impl_->stdin_source.kind = P1Input::Kind::Callback;
  impl_->stdin_source.read = [source = std::move(source)](uint8_t* data, size_t size) {
    return source(reinterpret_cast<char*>(data), size);
  };
  return *this;
}
Config& Config::clocks(Clock realtime, Clock monotonic) {
  impl_->clocks = host::callback_clocks(std::move(realtime), std::move(monotonic));
  return *this;
}
Config& Config::http(HttpAnswer answer, size_t most_body) {
  impl_->http = host::make_http_callback(
      [answer =
           std::move(answer)](const host::WholeRequest& r) -> host::Outcome<host::WholeResponse> {
        auto got = answer({r.head.method, r.head.scheme, r.head.authority, r.head.path_with_query,
                           r.head.fields, r.body});
        if (!got) return host::http_failure(host::HttpError::HTTPRequestDenied);
        return host::WholeResponse{{got->status, std::move(got->fields), nullptr},
                                   std::move(got->body)};
      },
      most_body);
  return *this;
}
Config& Config::stdin_bytes(std::string_view bytes) {
  impl_->stdin_source = P1Input::from_bytes(std::string(bytes));
  return *this;
}

Config& Config::allow(NetworkUse use, std::string_view rule) {
  static_assert(int(NetworkUse::UdpBind) == int(host::Network::Use::UdpBind));
  Result<void> allowed = impl_->network.allow(host::Network::Use(use), rule);
  if (!allowed && !wrong_) wrong_ = allowed.take_error();
  return *this;
}
Config& Config::allow_name_lookup() {
  impl_->network.allow_lookup();
  return *this;
}
Config& Config::inherit_network() {
  impl_->network.allow_all();
  return *this;
}
Config& Config::device(std::string_view kind, std::string_view grant) {
  if (!impl_->devices) impl_->devices = std::make_shared<host::Board>();
  Result<void> added = impl_->devices->add(kind, grant);
  if (!added && !wrong_) wrong_ = added.take_error();
  return *this;
}
Config& Config::devices(const wafer_devices_t& board) {
  if (!impl_->devices) impl_->devices = std::make_shared<host::Board>();
  Result<void> added = impl_->devices->add(board);
  if (!added && !wrong_) wrong_ = added.take_error();
  return *this;
}
Config& Config::random_seed(uint64_t seed) {
  impl_->random_seed = seed;
  return *this;
}

namespace {

P1Output sink_output(Config::Sink sink) {
  P1Output out;
  out.kind = P1Output::Kind::Callback;
  out.write = [sink = std::move(sink)](const uint8_t* data, size_t size) {
    return sink({reinterpret_cast<const char*>(data), size});
  };
  return out;
}

}  // namespace

Config& Config::stdout_to(Sink sink) {
  impl_->stdout_sink = sink_output(std::move(sink));
  return *this;
}
Config& Config::stderr_to(Sink sink) {
  impl_->stderr_sink = sink_output(std::move(sink));
  return *this;
}
Config& Config::capture_stdout(std::string* text) {
  impl_->stdout_sink = P1Output::capture(text);
  return *this;
}
Config& Config::capture_stderr(std::string* text) {
  impl_->stderr_sink = P1Output::capture(text);
  return *this;
}

Result<std::shared_ptr<P1Context>> add_to_linker(Linker& linker, Config config) {
  if (config.wrong_) return *std::move(config.wrong_);
  // Devices are there for as long as what uses them.
  if (const std::shared_ptr<host::Board> board = config.impl_->devices)
    WAFER_TRY(::wafer::devices::add_to_linker(*linker.raw(), board->devices(), board));
  WAFER_LET(context, P1Context::create(std::move(*config.impl_)));
  std::shared_ptr<P1Context> shared = std::move(context);
  WAFER_TRY(add_to_linker(*linker.raw(), shared));
  return shared;
}

Result<int32_t> run(Store& store, const Instance& instance) {
  WAFER_LET(start, instance.func<void()>("_start"));
  Result<void> result = start();
  if (result.ok()) return int32_t{0};
  if (store.last_trap().code == TrapCode::Exit) return store.last_trap().exit_code;
  return result.take_error();
}

#if WAFER_WITH_WASI_COMMAND
struct Command::Impl {
  std::unique_ptr<CommandHost> host;
};

Command::Command(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Command::Command(Command&&) noexcept = default;
Command::~Command() = default;

Result<Command> Command::create(ComponentLinker& linker, Config config) {
  if (config.wrong_) return *std::move(config.wrong_);
  WAFER_LET(host, CommandHost::open(std::move(*config.impl_), *linker.raw()));
  return Command(std::make_unique<Impl>(Impl{std::move(host)}));
}

void Command::attach(Store& store) { impl_->host->attach(component_state(*store.raw())); }

Result<int32_t> Command::run(Store& store, const ComponentInstance& instance) {
  auto code = impl_->host->run(component_state(*store.raw()), *instance.raw());
  impl_->host->finish();
  return code;
}
#endif

}  // namespace wafer::wasi

#endif
