#include "compiler/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <thread>

#include "wasm/decoder.h"

namespace wafer::compiler {

namespace {

enum Request : uint8_t { kStart, kCompile, kCompileInPlace, kTraits };

// Both sides are of one build, or else they find no code generator: values are as in memory.
class Writer {
 public:
  template <class T>
    requires std::is_trivially_copyable_v<T>
  void put(const T& value) {
    const auto* p = reinterpret_cast<const uint8_t*>(&value);
    bytes.insert(bytes.end(), p, p + sizeof value);
  }
  template <class T>
  void put_all(std::span<const T> values) {
    put(uint64_t(values.size()));
    const auto* p = reinterpret_cast<const uint8_t*>(values.data());
    bytes.insert(bytes.end(), p, p + values.size_bytes());
  }
  void put_text(std::string_view text) { put_all(std::span(text.data(), text.size())); }

  Vec<uint8_t> bytes = Vec<uint8_t>(sizeof(uint64_t));  // room for the length of the others
};

// Gives zeros where there is too little.
class Reader {
 public:
  explicit Reader(Bytes bytes) : left_(bytes) {}
  template <class T>
    requires std::is_trivially_copyable_v<T>
  T get() {
    T value{};
    const Bytes from = take(sizeof value);
    if (from.size()) std::memcpy(&value, from.data(), sizeof value);
    return value;
  }
  template <class T>
  Vec<T> get_all() {
    const auto count = get<uint64_t>();
    const Bytes from = take(count <= left_.size() ? count * sizeof(T) : left_.size() + 1);
    Vec<T> out(from.size() / sizeof(T));
    if (from.size()) std::memcpy(out.data(), from.data(), from.size());
    return out;
  }
  std::string get_text() {
    const Vec<char> text = get_all<char>();
    return {text.data(), text.size()};
  }
  bool good() const { return complete_; }
  bool complete() const { return complete_ && left_.empty(); }

 private:
  Bytes take(size_t size) {
    if (size > left_.size()) complete_ = false;
    const Bytes out = complete_ ? left_.first(size) : Bytes();
    left_ = left_.subspan(out.size());
    return out;
  }
  Bytes left_;
  bool complete_ = true;
};

void put(Writer& w, const CompileOptions& o) {
  w.put(o.code);
  w.put(o.opt_level);
  w.put_text(o.target);
  w.put_text(o.cpu);
  w.put(o.threads);
  w.put(o.through_entries);
  w.put(o.enter_at.has_value());
  w.put(o.enter_at.value_or(LoopEntry{}));
  w.put(o.in_place);
}

CompileOptions get_options(Reader& r) {
  CompileOptions o;
  o.code = r.get<CodeOptions>();
  o.opt_level = r.get<unsigned>();
  o.target = r.get_text();
  o.cpu = r.get_text();
  o.threads = r.get<unsigned>();
  o.through_entries = r.get<bool>();
  const bool enters = r.get<bool>();
  const auto loop = r.get<LoopEntry>();
  if (enters) o.enter_at = loop;
  o.in_place = r.get<bool>();
  return o;
}

void put(Writer& w, const ImageParts& p) {
  w.put(p.traits);
  w.put_all(std::span<const uint8_t>(p.text));
  w.put_all(std::span<const uint8_t>(p.rodata));
  w.put(p.eh_frame);
  w.put(p.has_eh_frame);
  w.put(uint64_t(p.symbols.size()));
  for (const String& s : p.symbols) w.put_text(s);
  w.put_all(std::span<const ImageFunction>(p.functions));
  w.put_all(std::span<const ImageLocation>(p.locations));
  w.put_all(std::span<const ImageInline>(p.inlines));
  w.put(p.seconds_elsewhere);
}

ImageParts get_parts(Reader& r) {
  ImageParts p;
  p.traits = r.get<ImageTraits>();
  p.text = r.get_all<uint8_t>();
  p.rodata = r.get_all<uint8_t>();
  p.eh_frame = r.get<uint32_t>();
  p.has_eh_frame = r.get<bool>();
  for (auto n = r.get<uint64_t>(); n > 0 && r.good(); --n) p.symbols.emplace_back(r.get_text());
  p.functions = r.get_all<ImageFunction>();
  p.locations = r.get_all<ImageLocation>();
  p.inlines = r.get_all<ImageInline>();
  p.seconds_elsewhere = r.get<double>();
  return p;
}

void put(Writer& w, const ImageTraits& traits) { w.put(traits); }
void put(Writer& w, const Vec<uint8_t>& bytes) { w.put_all(std::span<const uint8_t>(bytes)); }

void put(Writer& w, const Error& error) {
  w.put(error.kind);
  w.put(error.offset);
  w.put_text(error.message);
}

Error get_error(Reader& r) {
  const auto kind = r.get<ErrorKind>();
  const auto offset = r.get<uint64_t>();
  return Error(kind, r.get_text(), offset);
}

Error damaged() { return Error(ErrorKind::Io, "a message of the code generator is damaged"); }

// What was answered, or is an error already.
template <class T>
Result<T> read_answer(Result<Vec<uint8_t>> answer) {
  if (!answer) return answer.take_failure();
  Reader r(*answer);
  if (!r.get<bool>()) return get_error(r);
  if constexpr (std::is_void_v<T>) {
    return r.complete() ? Result<void>() : Result<void>(damaged());
  } else {
    T value = [&r] {
      if constexpr (std::is_same_v<T, ImageParts>)
        return get_parts(r);
      else if constexpr (std::is_same_v<T, ImageTraits>)
        return r.get<ImageTraits>();
      else
        return r.get_all<uint8_t>();
    }();
    if (!r.complete()) return damaged();
    return value;
  }
}

Error failed(const std::string& what, int error) {
  return Error(ErrorKind::Io, what + ": " + std::strerror(error));
}

// Waits until `fd` can be read (POLLIN) or written (POLLOUT). False if `cancel` is set before.
bool wait_for(int fd, short events, const std::atomic<uint32_t>* cancel) {
  constexpr int kLook = 20;  // ms
  pollfd p{fd, events, 0};
  while (!cancel || !*cancel)
    if (poll(&p, 1, cancel ? kLook : -1) > 0) return true;
  return false;
}

// Sends all. False if the other side is gone, or `cancel` was set.
bool send_all(int fd, Bytes bytes, const std::atomic<uint32_t>* cancel) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0)
      bytes = bytes.subspan(size_t(n));
    else if (errno == EAGAIN ? !wait_for(fd, POLLOUT, cancel) : errno != EINTR)
      return false;
  }
  return true;
}

// Appends `size` bytes to `to`, which grows as they come. False as above.
bool receive(int fd, Vec<uint8_t>& to, uint64_t size, const std::atomic<uint32_t>* cancel) {
  constexpr uint64_t kPiece = 1 << 20;
  while (size > 0) {
    const size_t had = to.size();
    to.resize(had + size_t(std::min(size, kPiece)));
    const ssize_t n = recv(fd, to.data() + had, to.size() - had, MSG_DONTWAIT);
    to.resize(had + size_t(std::max<ssize_t>(n, 0)));
    if (n > 0)
      size -= uint64_t(n);
    else if (n == 0 || (errno == EAGAIN ? !wait_for(fd, POLLIN, cancel) : errno != EINTR))
      return false;
  }
  return true;
}

// `message`: of a Writer.
bool send_message(int fd, Vec<uint8_t>& message, const std::atomic<uint32_t>* cancel) {
  const uint64_t length = message.size() - sizeof length;
  std::memcpy(message.data(), &length, sizeof length);
  return send_all(fd, message, cancel);
}

bool receive_message(int fd, Vec<uint8_t>& to, const std::atomic<uint32_t>* cancel) {
  Vec<uint8_t> head;
  uint64_t length = 0;
  if (!receive(fd, head, sizeof length, cancel)) return false;
  std::memcpy(&length, head.data(), sizeof length);
  return receive(fd, to, length, cancel);
}

// Of the calling thread, which processes that it starts have as well.
int own_niceness() { return getpriority(PRIO_PROCESS, id_t(gettid())); }

}  // namespace

class BackendProcess::Process {
 public:
  Process(pid_t pid, int fd) : pid_(pid), fd_(fd) {}
  ~Process() {
    close(fd_);
    if (pid_ < 0) return;
    kill(pid_, SIGKILL);
    end();
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  static Result<std::unique_ptr<Process>> start(const GeneratorCommand& command) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
      return failed("no process for the code generator", errno);
    std::vector<char*> argv;
    std::string name = "wafer-code-generator";
    std::vector<std::string> arguments = command.arguments;
    argv.push_back(name.data());
    for (std::string& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    // It has nothing of ours but where to report to, and ends when we do, not by the keyboard.
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pair[1], STDIN_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
#ifdef __GLIBC__
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
#endif
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t blocked;
    sigemptyset(&blocked);
    for (const int s : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&blocked, s);
    posix_spawnattr_setsigmask(&attributes, &blocked);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    pid_t pid = -1;
    const int error =
        posix_spawn(&pid, command.program.c_str(), &actions, &attributes, argv.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(pair[1]);
    auto process = std::make_unique<Process>(error ? -1 : pid, pair[0]);
    if (error) return failed("no process for the code generator", error);
    return process;
  }

  // What the process answers; Io if it died.
  Result<Vec<uint8_t>> ask(Writer& request, const std::atomic<uint32_t>* cancel) {
    Vec<uint8_t> answer;
    if (send_message(fd_, request.bytes, cancel) && receive_message(fd_, answer, cancel))
      return answer;
    if (cancel && *cancel) return Error(ErrorKind::Exhaustion, "cancelled");
    const int status = end();
    return Error(ErrorKind::Io, WIFSIGNALED(status) ? "the code generator was ended by signal " +
                                                          std::to_string(WTERMSIG(status))
                                                    : "the code generator ended");
  }
  // Whether it has died while it had nothing to do.
  bool is_gone() const {
    pollfd p{fd_, 0, 0};
    return poll(&p, 1, 0) != 0;
  }

  const int niceness = own_niceness();
  uint64_t module_id = 0;  // of the module that it has

 private:
  // Waits for its end, and gives the status.
  int end() {
    int status = 0;
    while (waitpid(std::exchange(pid_, -1), &status, 0) < 0 && errno == EINTR) {
    }
    return status;
  }
  pid_t pid_;
  const int fd_;
};

BackendProcess::BackendProcess(GeneratorCommand command) : command_(std::move(command)) {}
BackendProcess::~BackendProcess() = default;

Result<std::unique_ptr<BackendProcess::Process>> BackendProcess::take() {
  {
    const int niceness = own_niceness();
    const std::lock_guard lock(mutex_);
    std::erase_if(idle_, [](const auto& p) { return p->is_gone(); });
    for (auto it = idle_.begin(); it != idle_.end(); ++it) {
      if ((*it)->niceness != niceness) continue;
      std::unique_ptr<Process> found = std::move(*it);
      idle_.erase(it);
      return found;
    }
  }
  return Process::start(command_);
}

Result<Vec<uint8_t>> BackendProcess::ask(uint8_t kind, const wasm::Module* module,
                                         const CompileOptions& options,
                                         std::span<const uint32_t> functions) {
  WAFER_LET(process, take());
  Writer request;
  request.put(kind);
  put(request, options);
  const bool known = options.module_id && process->module_id == options.module_id;
  request.put(known);
  request.put_all(module && !known ? module->bytes : Bytes());
  if (module) process->module_id = options.module_id;
  request.put_all(functions);
  WAFER_LET(answer, process->ask(request, options.cancel));
  {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(process));
  }
  return std::move(answer);
}

Result<void> BackendProcess::start() {
  if (started_) return {};
  WAFER_TRY(read_answer<void>(ask(kStart, nullptr, {}, {})));
  started_ = true;
  return {};
}

Result<ImageTraits> BackendProcess::traits(const CompileOptions& options) {
  return read_answer<ImageTraits>(ask(kTraits, nullptr, options, {}));
}

Result<Vec<uint8_t>> BackendProcess::compile_in_place(const wasm::Module& module,
                                                      const CompileOptions& options) {
  return read_answer<Vec<uint8_t>>(ask(kCompileInPlace, &module, options, {}));
}

Result<ImageParts> BackendProcess::compile(const wasm::Module& module,
                                           const CompileOptions& options,
                                           std::span<const uint32_t> functions) {
  return read_answer<ImageParts>(ask(kCompile, &module, options, functions));
}

void BackendProcess::rest() {
  std::vector<std::unique_ptr<Process>> ended;
  const std::lock_guard lock(mutex_);
  ended.swap(idle_);
}

namespace {

// The process that asks.
class Generator {
 public:
  explicit Generator(const FindBackend& backend) : find_(backend) {}

  Vec<uint8_t> answer(Bytes request) {
    Writer w;
    w.put(true);
    if (Result<void> done = answer(request, w); !done) {
      w = {};
      w.put(false);
      put(w, done.error());
    }
    return std::move(w.bytes);
  }

 private:
  Result<void> answer(Bytes request, Writer& w) {
    Reader r(request);
    const auto kind = r.get<uint8_t>();
    const CompileOptions options = get_options(r);
    const bool known = r.get<bool>();
    const Vec<uint8_t> bytes = r.get_all<uint8_t>();
    const Vec<uint32_t> functions = r.get_all<uint32_t>();
    if (!r.complete()) return damaged();
    WAFER_LET(backend, find_());
    if (kind == kTraits) {
      WAFER_LET(traits, backend->traits(options));
      put(w, traits);
    }
    if (kind != kCompile && kind != kCompileInPlace) return {};
    if (!known) {
      wasm::DecodeOptions decode;
      decode.features = wasm::FeatureSet::all();
      WAFER_LET(module, wasm::decode_module(bytes, decode));
      module_ = std::move(module);
    }
    if (!module_) return damaged();
    if (kind == kCompileInPlace) {
      WAFER_LET(code, backend->compile_in_place(*module_, options));
      put(w, code);
      return {};
    }
    const double before = used_seconds();
    WAFER_LET(parts, backend->compile(*module_, options, functions));
    parts.seconds_elsewhere = used_seconds() - before;
    put(w, parts);
    return {};
  }

  static double used_seconds() {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
  }

  const FindBackend& find_;
  std::shared_ptr<const wasm::Module> module_;
};

}  // namespace

void generate_code(int fd, const FindBackend& backend) {
  std::thread([fd] {
    pollfd closed{fd, 0, 0};
    while (poll(&closed, 1, -1) <= 0) {
    }
    _exit(0);
  }).detach();
  Generator generator(backend);
  for (;;) {
    Vec<uint8_t> request;
    if (!receive_message(fd, request, nullptr)) return;
    Vec<uint8_t> answer = generator.answer(request);
    if (!send_message(fd, answer, nullptr)) return;
  }
}

}  // namespace wafer::compiler
