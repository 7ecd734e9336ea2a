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
#include <concepts>
#include <cstring>
#include <ctime>
#include <thread>

#include "base/pack.h"
#include "wasm/decoder.h"

namespace wafer::compiler {

// Both sides are of one build, or else they find no code generator. What a process needs nothing of
// is left out; one that is missing does not compile.
template <class T, class S>
concept Of = std::same_as<std::remove_const_t<T>, S>;
static auto parts(Of<CodeOptions> auto& s) {
  auto& [guard_pages, signals, fuel, interruptible, relaxed_traps] = s;
  return std::tie(guard_pages, signals, fuel, interruptible, relaxed_traps);
}
static auto parts(Of<LoopEntry> auto& s) {
  auto& [func, loop] = s;
  return std::tie(func, loop);
}
static auto parts(Of<CompileOptions> auto& s) {
  auto& [code, opt_level, target, cpu, threads, through_entries, enter_at, hot, cancel, in_place,
         module_id, generator] = s;
  return std::tie(code, opt_level, target, cpu, threads, through_entries, enter_at, in_place,
                  module_id);
}
static auto parts(Of<ImageTraits> auto& s) {
  auto& [machine, options, fingerprint, features] = s;
  return std::tie(machine, options, fingerprint, features);
}
static auto parts(Of<ImageFunction> auto& s) {
  auto& [func_index, begin, end, loop] = s;
  return std::tie(func_index, begin, end, loop);
}
static auto parts(Of<ImageLocation> auto& s) {
  auto& [code, module_offset] = s;
  return std::tie(code, module_offset);
}
static auto parts(Of<ImageInline> auto& s) {
  auto& [begin, end, call] = s;
  return std::tie(begin, end, call);
}
static auto parts(Of<ImageHandler> auto& s) {
  auto& [after, pad] = s;
  return std::tie(after, pad);
}
static auto parts(Of<ImageParts> auto& s) {
  auto& [traits, text, framed, rodata, eh_frame, has_eh_frame, symbols, functions, locations,
         inlines, handlers, module, seconds_elsewhere] = s;
  return std::tie(traits, text, framed, rodata, eh_frame, has_eh_frame, symbols, functions,
                  locations, inlines, handlers, seconds_elsewhere);
}

namespace {

enum class Request : uint8_t { Start, Compile, CompileInPlace, Traits };

Error damaged() { return Error(ErrorKind::Io, "a message of the code generator is damaged"); }

// An answer says first whether it is one, or an error.
std::string error_answer(const Error& error) {
  Packer p;
  p.put(false);
  p.put(error.kind);
  p.put(error.offset);
  p.put(error.message);
  return std::move(p.out);
}
template <class... Value>
std::string answer_of(const Value&... value) {
  Packer p;
  p.put(true);
  (p.put(value), ...);
  return std::move(p.out);
}

template <class... Value>
Result<void> read_answer(const Result<std::string>& answer, Value&... value) {
  if (!answer) return answer.error();
  Unpacker u(*answer);
  bool good = false;
  if (!u.take(good)) return damaged();
  if (good) return (u.take(value) && ...) && u.is_done() ? Result<void>() : damaged();
  Error error;
  if (!u.take(error.kind) || !u.take(error.offset) || !u.take(error.message)) return damaged();
  return error;
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
bool send_all(int fd, std::string_view bytes, const std::atomic<uint32_t>* cancel) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0)
      bytes.remove_prefix(size_t(n));
    else if (errno == EAGAIN ? !wait_for(fd, POLLOUT, cancel) : errno != EINTR)
      return false;
  }
  return true;
}

// Appends `size` bytes to `to`, which grows as they come. False as above.
bool receive(int fd, std::string& to, uint64_t size, const std::atomic<uint32_t>* cancel) {
  char piece[64 << 10];
  while (size > 0) {
    const ssize_t n = recv(fd, piece, size_t(std::min<uint64_t>(size, sizeof piece)), MSG_DONTWAIT);
    if (n > 0) {
      to.append(piece, size_t(n));
      size -= uint64_t(n);
    } else if (n == 0 || (errno == EAGAIN ? !wait_for(fd, POLLIN, cancel) : errno != EINTR)) {
      return false;
    }
  }
  return true;
}

bool send_message(int fd, const std::string& message, const std::atomic<uint32_t>* cancel) {
  return send_all(fd, packed(uint64_t(message.size())), cancel) && send_all(fd, message, cancel);
}

bool receive_message(int fd, std::string& to, const std::atomic<uint32_t>* cancel) {
  std::string head;
  uint64_t length = 0;
  return receive(fd, head, sizeof length, cancel) && unpack_into(length, head) &&
         receive(fd, to, length, cancel);
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
  Result<std::string> ask(const std::string& request, const std::atomic<uint32_t>* cancel) {
    std::string answer;
    if (send_message(fd_, request, cancel) && receive_message(fd_, answer, cancel)) return answer;
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

Result<std::string> BackendProcess::ask(uint8_t request, const wasm::Module* module,
                                        const CompileOptions& options,
                                        std::span<const uint32_t> functions) {
  WAFER_LET(process, take());
  const bool has_it = options.module_id && process->module_id == options.module_id;
  Packer p;
  p.put(request);
  p.put(options);
  p.put(module && !has_it ? module->bytes : Bytes());
  p.put(functions);
  if (module) process->module_id = options.module_id;
  WAFER_LET(answer, process->ask(p.out, options.cancel));
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(process));
  return std::move(answer);
}

Result<void> BackendProcess::start() {
  if (started_) return {};
  WAFER_TRY(read_answer(ask(uint8_t(Request::Start), nullptr, {}, {})));
  started_ = true;
  return {};
}

Result<ImageTraits> BackendProcess::traits(const CompileOptions& options) {
  ImageTraits traits;
  WAFER_TRY(read_answer(ask(uint8_t(Request::Traits), nullptr, options, {}), traits));
  return traits;
}

Result<Vec<uint8_t>> BackendProcess::compile_in_place(const wasm::Module& module,
                                                      const CompileOptions& options) {
  Vec<uint8_t> code;
  WAFER_TRY(read_answer(ask(uint8_t(Request::CompileInPlace), &module, options, {}), code));
  return code;
}

Result<ImageParts> BackendProcess::compile(const wasm::Module& module,
                                           const CompileOptions& options,
                                           std::span<const uint32_t> functions) {
  ImageParts code;
  WAFER_TRY(read_answer(ask(uint8_t(Request::Compile), &module, options, functions), code));
  return code;
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

  std::string answer(std::string_view request) {
    Result<std::string> answer = work(request);
    return answer ? *std::move(answer) : error_answer(answer.error());
  }

 private:
  Result<std::string> work(std::string_view message) {
    Request request{};
    CompileOptions options;
    Vec<uint8_t> bytes;
    Vec<uint32_t> functions;
    Unpacker u(message);
    if (!u.take(request) || !u.take(options) || !u.take(bytes) || !u.take(functions) ||
        !u.is_done())
      return damaged();
    WAFER_LET(backend, find_());
    switch (request) {
      case Request::Start:
        return answer_of();
      case Request::Traits: {
        WAFER_LET(traits, backend->traits(options));
        return answer_of(traits);
      }
      case Request::CompileInPlace: {
        WAFER_TRY(take_module(std::move(bytes), options.module_id));
        WAFER_LET(code, backend->compile_in_place(*module_, options));
        return answer_of(code);
      }
      case Request::Compile: {
        WAFER_TRY(take_module(std::move(bytes), options.module_id));
        const double before = used_seconds();
        WAFER_LET(code, backend->compile(*module_, options, functions));
        code.seconds_elsewhere = used_seconds() - before;
        return answer_of(code);
      }
    }
    return damaged();
  }

  // Makes module_ the one of the request: without bytes the one that is there.
  Result<void> take_module(Vec<uint8_t> bytes, uint64_t id) {
    if (bytes.empty()) return module_ && id_ == id ? Result<void>() : damaged();
    module_.reset();
    bytes_ = std::move(bytes);
    wasm::DecodeOptions decode;
    decode.features = wasm::FeatureSet::all();
    decode.copy_bytes = false;
    WAFER_LET(module, wasm::decode_module(bytes_, decode));
    module_ = std::move(module);
    id_ = id;
    return {};
  }

  static double used_seconds() {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
  }

  const FindBackend& find_;
  Vec<uint8_t> bytes_;
  std::shared_ptr<const wasm::Module> module_;
  uint64_t id_ = 0;  // of the module
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
    std::string request;
    if (!receive_message(fd, request, nullptr) ||
        !send_message(fd, generator.answer(request), nullptr))
      return;
  }
}

}  // namespace wafer::compiler
