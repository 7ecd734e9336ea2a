#include "shim/zygote.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstring>

#include "shim/channel.h"
#include "shim/child.h"
#include "shim/launch.h"

namespace wafer::shim {

namespace {

// fork with flags, in the control group `cgroup` if there is one. The child is one of this
// process's parent.
pid_t clone_sibling(uint64_t flags, const UniqueFd& cgroup) {
  clone_args args{};
  args.flags = flags | CLONE_PARENT;
  if (cgroup) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = uint64_t(cgroup.get());
  }
  const long pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) {
    // The C library keeps the thread's number, which its own fork would renew.
    pid_t* number = nullptr;
    if (prctl(PR_GET_TID_ADDRESS, &number, 0, 0, 0) == 0 && number)
      *number = pid_t(syscall(SYS_gettid));
  }
  return pid_t(pid);
}

bool same_file(const std::string& a, const std::string& b) {
  struct stat x, y;
  return stat(a.c_str(), &x) == 0 && stat(b.c_str(), &y) == 0 && x.st_dev == y.st_dev &&
         x.st_ino == y.st_ino;
}

// Joins the namespaces of the container whose first process is `pid`.
bool join_container(pid_t pid) {
  const UniqueFd process(int(syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return false;
  int flags = 0;
  constexpr std::pair<const char*, int> kNamespaces[] = {
      {"user", CLONE_NEWUSER},    {"mnt", CLONE_NEWNS},  {"pid", CLONE_NEWPID},
      {"net", CLONE_NEWNET},      {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS},
      {"cgroup", CLONE_NEWCGROUP}};
  for (const auto& [name, flag] : kNamespaces)
    if (!same_file("/proc/self/ns/" + std::string(name),
                   "/proc/" + std::to_string(pid) + "/ns/" + name))
      flags |= flag;
  return flags == 0 || setns(process.get(), flags) == 0;
}

void answer(int socket, pid_t pid, const std::string& error) {
  proto::SpawnResponse response;
  response.set_pid(pid);
  response.set_error(error);
  (void)send_packet(socket, response.SerializeAsString());
}

void spawn(UniqueFd& socket, const proto::SpawnRequest& request, UniqueFd control,
           UniqueFd cgroup) {
  const auto tell = [&socket](pid_t pid, const char* what) {
    answer(socket.get(), pid, pid < 0 ? std::string(what) + ": " + std::strerror(errno) : "");
  };
  const bool joins = request.join_pid() || !request.pid_namespace().empty();
  // Into the control group while it can be seen: not from within the container's own namespace of
  // them, where what comes second inherits it.
  pid_t pid = clone_sibling(joins ? 0 : request.clone_flags(), cgroup);
  if (pid != 0) {
    if (pid < 0 || !joins) tell(pid, "cannot make a process");
    return;
  }
  if (joins) {
    const char* what = "cannot join the container";
    bool ok = true;
    if (request.join_pid()) {
      ok = join_container(request.join_pid());
    } else {
      what = "cannot join the PID namespace";
      const UniqueFd fd = take_opened(open(request.pid_namespace().c_str(), O_RDONLY | O_CLOEXEC));
      ok = fd && setns(fd.get(), CLONE_NEWPID) == 0;
    }
    pid = ok ? clone_sibling(request.clone_flags(), {}) : -1;
    if (pid != 0) {
      tell(pid, what);
      _exit(0);
    }
  }
  socket.reset();
  cgroup.reset();
  launch(std::move(control));
}

[[noreturn]] void serve(UniqueFd socket) {
  prctl(PR_SET_NAME, "wafer-zygote");
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  warm_up();
  for (;;) {
    Packet packet = receive_packet(socket.get());
    if (packet.gone) _exit(0);
    proto::SpawnRequest request;
    if (!request.ParseFromString(packet.bytes) || packet.fds.empty()) continue;
    UniqueFd cgroup;
    if (packet.fds.size() > 1) cgroup = std::move(packet.fds[1]);
    spawn(socket, request, std::move(packet.fds[0]), std::move(cgroup));
  }
}

// The socket of one that is a program anew.
constexpr int kSocket = 3;

// Forks, and has the child go on with `child`.
template <class Child>
Result<std::pair<pid_t, UniqueFd>> fork_with(const Child& child) {
  WAFER_LET(ends, make_channel());
  const pid_t pid = fork();
  if (pid < 0) return Error(ErrorKind::Io, std::string("cannot fork: ") + std::strerror(errno));
  if (pid == 0) {
    ends.first.reset();
    child(std::move(ends.second));
  }
  // A process on the way to a namespace may be killed there.
  const timeval patience{10, 0};
  (void)setsockopt(ends.first.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return std::make_pair(pid, std::move(ends.first));
}

}  // namespace

Result<Zygote> Zygote::start() {
  WAFER_LET(made, fork_with([](UniqueFd socket) { serve(std::move(socket)); }));
  return Zygote(made.first, std::move(made.second));
}

Result<Zygote> Zygote::start_anew() {
  WAFER_LET(made, fork_with([](UniqueFd socket) {
              if (socket.get() == kSocket)
                (void)fcntl(kSocket, F_SETFD, 0);
              else if (dup2(socket.get(), kSocket) < 0)
                _exit(1);
              reset_signals();
              (void)close_range(kSocket + 1, ~0u, CLOSE_RANGE_CLOEXEC);
              execl("/proc/self/exe", "containerd-shim-wafer-v1", "zygote", nullptr);
              _exit(1);
            }));
  return Zygote(made.first, std::move(made.second));
}

void become_zygote() {
  (void)fcntl(kSocket, F_SETFD, FD_CLOEXEC);
  serve(UniqueFd(kSocket));
}

Result<pid_t> Zygote::spawn(const proto::SpawnRequest& request, UniqueFd control, UniqueFd cgroup) {
  std::vector<int> fds{control.get()};
  if (cgroup) fds.push_back(cgroup.get());
  Packet packet;
  if (socket_ && send_packet(socket_.get(), request.SerializeAsString(), fds))
    packet = receive_packet(socket_.get());
  proto::SpawnResponse response;
  if (packet.gone || !response.ParseFromString(packet.bytes)) {
    socket_.reset();
    return Error(ErrorKind::Io, "the zygote has gone");
  }
  if (response.pid() <= 0) return Error(ErrorKind::Io, response.error());
  return pid_t(response.pid());
}

}  // namespace wafer::shim
