#include "host/process.h"

#include <signal.h>
#include <string.h>

#include <algorithm>
#include <map>
#include <mutex>

extern char** environ;

namespace wafer::host {

namespace {

// Bytes of the embedder's, or none at all.
class BytesInput final : public File {
 public:
  explicit BytesInput(std::string bytes) : bytes_(std::move(bytes)) {}
  Outcome<Stat> stat() const override { return Stat{}; }
  Outcome<size_t> read(Buffers to) override {
    const std::lock_guard lock(mutex_);
    size_t done = 0;
    for (const iovec& v : to) {
      const size_t n = std::min(v.iov_len, bytes_.size() - at_);
      memcpy(v.iov_base, bytes_.data() + at_, n);
      at_ += n;
      done += n;
    }
    return done;
  }
  uint64_t readable() const override {
    const std::lock_guard lock(mutex_);
    return bytes_.size() - at_;
  }

 private:
  mutable std::mutex mutex_;
  const std::string bytes_;
  size_t at_ = 0;
};

class CallbackInput final : public File {
 public:
  explicit CallbackInput(std::function<int64_t(uint8_t*, size_t)> read) : read_(std::move(read)) {}
  Outcome<Stat> stat() const override { return Stat{}; }
  Outcome<size_t> read(Buffers to) override {
    const std::lock_guard lock(mutex_);
    size_t done = 0;
    for (const iovec& v : to) {
      const int64_t got = read_(static_cast<uint8_t*>(v.iov_base), v.iov_len);
      if (got < 0) {
        if (done) break;
        return Status(EIO);
      }
      const size_t n = std::min(size_t(got), v.iov_len);
      done += n;
      if (n < v.iov_len) break;
    }
    return done;
  }

 private:
  std::mutex mutex_;
  const std::function<int64_t(uint8_t*, size_t)> read_;
};

// Without a callback: nowhere.
class CallbackOutput final : public File {
 public:
  explicit CallbackOutput(std::function<bool(const uint8_t*, size_t)> write)
      : write_(std::move(write)) {}
  Outcome<Stat> stat() const override { return Stat{}; }
  Outcome<size_t> write(Buffers from) override {
    const std::lock_guard lock(mutex_);
    size_t done = 0;
    for (const iovec& v : from) {
      if (write_ && !write_(static_cast<const uint8_t*>(v.iov_base), v.iov_len)) return Status(EIO);
      done += v.iov_len;
    }
    return done;
  }

 private:
  std::mutex mutex_;
  const std::function<bool(const uint8_t*, size_t)> write_;
};

// Null if it is closed.
FileRef inherited(int fd) {
  UniqueFd handle;
  if (is_usable(fd)) handle = duplicate(fd);
  return handle ? wrap_file(std::move(handle)) : nullptr;
}

FileRef open_input(Input& in) {
  switch (in.kind) {
    case Input::Kind::Inherit:
      return inherited(0);
    case Input::Kind::Fd:
      return inherited(in.fd);
    case Input::Kind::Null:
      return std::make_shared<BytesInput>(std::string());
    case Input::Kind::Bytes:
      return std::make_shared<BytesInput>(std::move(in.bytes));
    case Input::Kind::Callback:
      return std::make_shared<CallbackInput>(std::move(in.read));
    case Input::Kind::Open:
      return in.file;
  }
  return nullptr;
}

FileRef open_output(Output& out, int number) {
  switch (out.kind) {
    case Output::Kind::Inherit:
      return inherited(number);
    case Output::Kind::Fd:
      return inherited(out.fd);
    case Output::Kind::Null:
      return std::make_shared<CallbackOutput>(nullptr);
    case Output::Kind::Callback:
      return std::make_shared<CallbackOutput>(std::move(out.write));
    case Output::Kind::Open:
      return out.file;
  }
  return nullptr;
}

bool has_nul(const std::string& s) { return s.find('\0') != std::string::npos; }

Result<void> set_environment(const Config& config, Process& process) {
  std::map<std::string, size_t> index;
  const auto set = [&](std::string name, std::string value) {
    const auto [it, is_new] = index.emplace(name, process.env.size());
    if (is_new)
      process.env.emplace_back(std::move(name), std::move(value));
    else
      process.env[it->second].second = std::move(value);
  };
  if (config.inherit_env && environ) {
    for (char** e = environ; *e; ++e) {
      const char* const equals = strchr(*e, '=');
      if (equals) set(std::string(*e, size_t(equals - *e)), equals + 1);
    }
  }
  for (const auto& [name, value] : config.env) {
    if (name.empty() || name.find('=') != std::string::npos || has_nul(name) || has_nul(value))
      return Error(ErrorKind::Usage, "not a valid environment variable: '" + name + "'");
    set(name, value);
  }
  return {};
}

Result<void> open_listeners(const Config& config, Process& process) {
  const size_t count = config.listeners.size();
  process.listeners.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const int fd = config.listeners[i].fd;
    if (fd < 0) continue;
    for (size_t j = 0; j < i; ++j)
      if (config.listeners[j].fd == fd)
        return Error(ErrorKind::Usage, "descriptor " + std::to_string(fd) + " is given twice");
    WAFER_LET(listener, inherited_listener(fd));
    process.listeners[i] = std::move(listener);
  }
  for (size_t i = 0; i < count; ++i) {
    if (process.listeners[i]) continue;
    WAFER_LET(listener, listen_on(config.listeners[i].tcp_address));
    process.listeners[i] = std::move(listener);
  }
  return {};
}

}  // namespace

Result<Process> Process::open(Config config) {
  Process process;
  for (const std::string& arg : config.args)
    if (has_nul(arg)) return Error(ErrorKind::Usage, "an argument has a NUL byte");
  process.args = std::move(config.args);
  WAFER_TRY(set_environment(config, process));

  // What the embedder has open comes first: nothing that is opened here can be taken for it.
  process.standard[0] = open_input(config.stdin_source);
  process.standard[1] = open_output(config.stdout_sink, 1);
  process.standard[2] = open_output(config.stderr_sink, 2);
  WAFER_TRY(open_listeners(config, process));
  for (Config::Preopen& dir : config.dirs) {
    if (!dir.directory) {
      Outcome<DirectoryRef> opened = open_directory(dir.host, dir.read_only);
      if (!opened) return io_error("cannot open directory '" + dir.host + "'", opened.status());
      dir.directory = *std::move(opened);
    }
    process.preopens.push_back({std::move(dir.directory), std::move(dir.guest)});
  }

  process.network = std::move(config.network);
  process.http = std::move(config.http);
  process.clocks = config.clocks ? std::move(config.clocks) : system_clocks();
  process.random = config.random_seed ? seeded_random(*config.random_seed)
                   : config.random    ? std::move(config.random)
                                      : system_random();
  // Another stream of bytes than that of `random`, and one that tells nothing of it.
  process.insecure_random =
      seeded_random(config.random_seed ? ~*config.random_seed : process.random->next());
  if (config.ignore_write_signals) {
    for (const int number : {SIGPIPE, SIGXFSZ}) {
      struct sigaction action;
      if (sigaction(number, nullptr, &action) == 0 && !(action.sa_flags & SA_SIGINFO) &&
          action.sa_handler == SIG_DFL)
        signal(number, SIG_IGN);
    }
  }
  return process;
}

}  // namespace wafer::host
