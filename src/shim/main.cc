// containerd-shim-wafer-v1: what containerd runs for io.containerd.wafer.v1.
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>

#include "compiler/code_image.h"
#include "shim/log.h"
#include "shim/precompile.h"
#include "shim/runc.h"
#include "shim/service.h"
#include "shim/state_file.h"

namespace wafer::shim {

namespace {

struct Arguments {
  std::map<std::string, std::string> values;  // by name, without dashes
  std::string action;
  std::string get(const std::string& name) const {
    const auto it = values.find(name);
    return it == values.end() ? std::string() : it->second;
  }
  bool has(const std::string& name) const { return values.count(name) != 0; }
};

// Flags as Go programs take them: -name value, -name=value, with one dash or two.
bool parse_arguments(int argc, char** argv, Arguments& out) {
  constexpr std::string_view kSwitches[] = {"debug", "v", "info"};
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    if (!word.starts_with('-')) {
      if (!out.action.empty()) return false;
      out.action = word;
      continue;
    }
    word.remove_prefix(word.starts_with("--") ? 2 : 1);
    const size_t equals = word.find('=');
    const std::string name(word.substr(0, equals));
    if (equals != word.npos)
      out.values[name] = word.substr(equals + 1);
    else if (std::find(std::begin(kSwitches), std::end(kSwitches), name) != std::end(kSwitches))
      out.values[name] = "true";
    else if (++i < argc)
      out.values[name] = argv[i];
    else
      return false;
  }
  return true;
}

int fail(const Error& error) {
  std::fprintf(stderr, "containerd-shim-wafer-v1: %.*s\n", int(error.message.size()),
               error.message.data());
  return 1;
}

// Containers of one pod share a shim; others have one each.
std::string group_of(const std::string& bundle, const std::string& id) {
  const Result<std::string> text = read_file(bundle + "/config.json");
  if (!text) return id;
  const Result<Spec> spec = parse_spec(*text);
  if (!spec) return id;
  for (const char* name : {"io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"})
    if (std::string group = spec->annotation(name); !group.empty()) return group;
  return id;
}

std::string socket_path(const Arguments& arguments, const std::string& group) {
  const char* const folder = std::getenv("WAFER_SHIM_SOCKETS");
  const std::string key =
      "wafer\n" + arguments.get("address") + "\n" + arguments.get("namespace") + "\n" + group;
  const Bytes bytes(reinterpret_cast<const uint8_t*>(key.data()), key.size());
  char name[40];
  std::snprintf(name, sizeof name, "/%016llx%016llx",
                static_cast<unsigned long long>(compiler::hash_bytes(bytes, 1)),
                static_cast<unsigned long long>(compiler::hash_bytes(bytes, 2)));
  return (folder ? folder : "/run/containerd/s") + std::string(name);
}

void replace(int fd, const char* path, int flags) {
  const int opened = open(path, flags);
  if (opened < 0 || opened == fd) return;
  dup2(opened, fd);
  close(opened);
}

int serve(const Arguments& arguments, const std::string& path, UniqueFd listener) {
  prctl(PR_SET_NAME, "wafer-shim");
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  Result<Zygote> zygote = Zygote::start();
  if (!zygote) {
    log_error(std::string(zygote.error().message));
    return 1;
  }
  signal(SIGPIPE, SIG_IGN);
  // containerd ends shims by a call; whoever ends it otherwise has to mean it.
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) signal(number, SIG_IGN);
  Loop loop;
  const char* const events = std::getenv("TTRPC_ADDRESS");
  Publisher publisher(loop, events ? events : "", arguments.get("namespace"));
  const char* const grpc = std::getenv("GRPC_ADDRESS");
  const std::string containerd = grpc && *grpc ? grpc : arguments.get("address");
  GrpcClient client(loop, containerd, arguments.get("namespace"));
  LayerSource layers(client);
  std::optional<Telemetry> telemetry;
  Result<TelemetryOptions> told = telemetry_options([](const char* name) {
    const char* const value = std::getenv(name);
    return std::string(value ? value : "");
  });
  if (!told)
    log_warning("no traces and metrics: " + std::string(told.error().message));
  else if (told->traces || told->metrics)
    telemetry.emplace(loop, *std::move(told));
  Service service(loop, *std::move(zygote), publisher, containerd.empty() ? nullptr : &layers,
                  telemetry ? &*telemetry : nullptr);
  RpcServer server(loop, std::move(listener), [&](auto&&... request) {
    service.handle(std::forward<decltype(request)>(request)...);
  });
  int rounds = 0;
  std::function<void()> end = [&] {
    // What was said last is to arrive; code that takes long is made once, whoever began it.
    constexpr std::chrono::milliseconds kTold{10}, kCompiled{250};
    constexpr int kMostTold = 200, kMostCompiled = 4 * 3600;
    if (rounds == 0 && telemetry) telemetry->flush();
    const bool busy =
        server.has_unsent() || publisher.has_unsent() || (telemetry && telemetry->has_unsent());
    ++rounds;
    if (busy && rounds < kMostTold)
      loop.after(kTold, end);
    else if (service.is_compiling() && rounds < kMostCompiled)
      loop.after(kCompiled, end);
    else
      loop.stop();
  };
  service.on_shutdown = [&] {
    // Who comes now starts another shim.
    if (rounds == 0) unlink(path.c_str());
    loop.after(std::chrono::milliseconds(1), end);
  };
  loop.run();
  return 0;
}

void write_text(const char* path, const std::string& text) {
  const UniqueFd file = take_opened(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (file) (void)!write(file.get(), text.data(), text.size());
}

// Prints the address of the shim that serves this container, which is started if need be.
int start(const Arguments& arguments) {
  const std::string id = arguments.get("id");
  if (id.empty()) return fail(Error(ErrorKind::Usage, "start needs -id"));
  std::error_code ec;
  const std::string bundle = std::filesystem::current_path(ec).string();
  const std::string path = socket_path(arguments, group_of(bundle, id));
  const std::string address = "unix://" + path;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ec);
  UniqueFd listener;
  for (int tries = 0; !listener; ++tries) {
    Result<UniqueFd> made = listen_unix(path);
    if (made) {
      listener = *std::move(made);
      break;
    }
    if (Result<UniqueFd> other = connect_unix(path)) {
      write_text("address", address);
      std::printf("%s", address.c_str());
      return 0;
    }
    if (tries == 3) return fail(made.error());
    unlink(path.c_str());  // of one that was killed
  }
  (void)std::fflush(stdout);
  const pid_t pid = fork();
  if (pid < 0) {
    unlink(path.c_str());
    return fail(Error(ErrorKind::Io, std::string("cannot fork: ") + std::strerror(errno)));
  }
  if (pid == 0) {
    setsid();
    replace(0, "/dev/null", O_RDONLY);
    replace(1, "/dev/null", O_WRONLY);
    // containerd reads its log from a pipe in the bundle.
    replace(2, "/dev/null", O_WRONLY);
    replace(2, "log", O_WRONLY | O_NONBLOCK);
    (void)!chdir("/");
    _exit(serve(arguments, path, std::move(listener)));
  }
  write_text("shim.pid", std::to_string(pid));
  write_text("address", address);
  std::printf("%s", address.c_str());
  return 0;
}

// Cleans up after a shim that is gone, and tells how the container ended.
int remove(const Arguments& arguments) {
  std::string bundle = arguments.get("bundle");
  std::error_code ec;
  if (bundle.empty()) bundle = std::filesystem::current_path(ec).string();
  const std::string id = arguments.get("id");
  proto::DeleteResponse response;
  Runc::remove_left(bundle, id);
  if (const pid_t pid = read_state_file(bundle)) {
    response.set_pid(uint32_t(pid));
    kill(pid, SIGKILL);
  }
  std::string root = Spec().root_in(bundle), group = id;
  if (const Result<std::string> text = read_file(bundle + "/config.json")) {
    if (const Result<Spec> spec = parse_spec(*text)) {
      root = spec->root_in(bundle);
      group = group_of(bundle, id);
      if (const Result<std::string> path = cgroup_path(spec->cgroups_path, id)) {
        const Cgroup cgroup(*path);
        for (int i = 0; i < 200; ++i) {
          cgroup.signal_all(SIGKILL);
          if (cgroup.remove()) break;
          usleep(5000);
        }
      }
    }
  }
  // Usually mounted in the container's namespace alone, and gone with it.
  (void)umount2(root.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  // The socket of a shim that was killed; it may be on its way out. Others of a pod go on.
  const std::string path = socket_path(arguments, group);
  for (int i = 0; access(path.c_str(), F_OK) == 0; ++i) {
    if (!connect_unix(path)) unlink(path.c_str());
    if (group != id || i == 100) break;
    usleep(10000);
  }
  response.set_exit_status(128 + SIGKILL);
  *response.mutable_exited_at() = timestamp_now();
  const std::string out = response.SerializeAsString();
  return write(STDOUT_FILENO, out.data(), out.size()) == ssize_t(out.size()) ? 0 : 1;
}

int info() {
  proto::RuntimeInfo info;
  info.set_name("io.containerd.wafer.v1");
  info.mutable_version()->set_version(WAFER_VERSION);
  const std::string out = info.SerializeAsString();
  return write(STDOUT_FILENO, out.data(), out.size()) == ssize_t(out.size()) ? 0 : 1;
}

}  // namespace

int run(int argc, char** argv) {
  Arguments arguments;
  if (!parse_arguments(argc, argv, arguments))
    return fail(Error(ErrorKind::Usage, "a flag has no value, or there are two actions"));
  if (arguments.has("v")) {
    std::printf("containerd-shim-wafer-v1:\n  Version: %s\n", WAFER_VERSION);
    return 0;
  }
  if (arguments.has("info")) return info();
  if (arguments.action == "start") return start(arguments);
  if (arguments.action == "delete") return remove(arguments);
  if (arguments.action == "zygote") become_zygote();
  if (arguments.action == "compile") return compile_layer();
  return fail(Error(ErrorKind::Usage, "no action '" + arguments.action +
                                          "'; containerd runs this, with start or delete"));
}

}  // namespace wafer::shim

int main(int argc, char** argv) {
  wafer::secure_standard_descriptors();
  // Whatever else was left open is not for containers (a zygote has its socket).
  (void)close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  return wafer::shim::run(argc, argv);
}
