#include "shim/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/magic.h>
#include <malloc.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "compiler/code_bundle.h"
#include "host/http/client.h"
#include "program/program.h"
#include "runtime/memory_region.h"
#include "shim/cgroup.h"
#include "shim/channel.h"
#include "shim/hooks.h"
#include "shim/http.h"
#include "shim/proto/launch.pb.h"
#include "shim/rootfs.h"
#include "shim/seccomp.h"
#include "shim/spec_pack.h"
#include "shim/tls.h"

extern char** environ;

namespace wafer::shim {

namespace {

using proto::LaunchStep;

// What is told before the program runs is the answer to the one who starts it; later it goes to
// the program's own standard error.
class LaunchConsole final : public program::Console {
 public:
  void error(std::string_view message) override {
    if (running) return print("error: ", message);
    if (text.empty()) text = message;
  }
  void warning(std::string_view message) override { print("warning: ", message); }
  void hint(std::string_view message) override { print("hint: ", message); }
  void note(std::string_view line) override { print("", line); }
  bool running = false;
  std::string text;

 private:
  void print(std::string_view label, std::string_view message) const {
    if (!running) return;
    std::string line(label);
    line += message;
    line += '\n';
    (void)std::fflush(stdout);
    (void)!write(STDERR_FILENO, line.data(), line.size());
  }
};

// What the program is.
enum class Kind { Native, Wasm };

// Of the container's capabilities, those that a WebAssembly program can make use of: its files,
// and low ports.
constexpr uint64_t kWasmCapabilities =
    uint64_t{1} << 1 /* DAC_OVERRIDE */ | uint64_t{1} << 3 /* FOWNER */ |
    uint64_t{1} << 4 /* FSETID */ | uint64_t{1} << 10 /* NET_BIND_SERVICE */;

// What the zygote made for those that it becomes: for modules, and for what is interruptible.
std::shared_ptr<const program::PreparedEngine>& prepared_engine(bool interruptible) {
  static std::shared_ptr<const program::PreparedEngine> engines[2];
  return engines[interruptible ? 1 : 0];
}

void end_by_signal(int number) { _exit(128 + number); }

class Launcher {
 public:
  explicit Launcher(UniqueFd control) : control_(std::move(control)) {}

  [[noreturn]] void run() {
    Result<void> done = prepare();
    if (!done) fail(done.error());
    step(LaunchStep::READY, {}, master_.get());
    master_.reset();
    if (!wait_for_go()) _exit(1);
    done = kind_ == Kind::Wasm ? Result<void>() : exec();
    if (!done) fail(done.error());
    if (server_)
      step(LaunchStep::SERVING, {}, program_to_compile());
    else
      step(LaunchStep::RUNNING);
    artifact_.reset();
    console_.running = true;
    const int code = server_ ? serve() : run_program();
    (void)std::fflush(nullptr);
    _exit(code);
  }

 private:
  void step(LaunchStep::Kind kind, std::string_view text = {}, int fd = -1) const {
    LaunchStep message;
    message.set_kind(kind);
    message.set_text(std::string(text));
    (void)send_packet(control_.get(), message.SerializeAsString(),
                      fd < 0 ? std::vector<int>() : std::vector<int>{fd});
  }

  [[noreturn]] void fail(const Error& error) const {
    step(LaunchStep::FAILED, std::string_view(error.message));
    _exit(1);
  }

  bool wait_for_go() const {
    LaunchStep message;
    const Packet packet = receive_packet(control_.get());
    return !packet.gone && message.ParseFromString(packet.bytes) &&
           message.kind() == LaunchStep::GO;
  }

  Result<void> prepare() {
    Packet packet = receive_packet(control_.get());
    if (packet.gone || !request_.ParseFromString(packet.bytes))
      return Error(ErrorKind::Usage, "nothing to launch");
    // A shim that dies takes its containers along.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // Hidden, and in its root, it could not.
    runtime::open_page_map();
    // In a new user namespace it could not open what is its own.
    if (!request_.wait_for_mappings()) hide();
    if (request_.exec()) {
      WAFER_LET(process, unpack_process(request_.spec()));
      process_ = std::move(process);
    } else {
      WAFER_LET(spec, unpack_spec(request_.spec()));
      spec_ = std::move(spec);
      if (!spec_.process) return Error(ErrorKind::Invalid, "config.json has no process");
      process_ = *std::move(spec_.process);
    }
    if (!request_.probe().empty()) probe();
    size_t next = 0;
    if (request_.has_stdio()) {
      if (packet.fds.size() < 3) return Error(ErrorKind::Usage, "no standard streams");
      for (; next < 3; ++next) stdio_[next] = std::move(packet.fds[next]);
    }
    for (; next < packet.fds.size(); ++next)
      if (write(packet.fds[next].get(), "0", 1) < 0)
        return system_error("cannot enter the control group");
    packet.fds.clear();
    for (const std::string& path : request_.cgroups()) {
      const UniqueFd file = take_opened(open(path.c_str(), O_WRONLY | O_CLOEXEC));
      if (!file || write(file.get(), "0", 1) < 0)
        return system_error("cannot enter the control group " + path);
    }
    if (setsid() < 0 && errno != EPERM) return system_error("cannot make a session");
    WAFER_TRY(set_processors(process_.first_cpus));
    WAFER_TRY(request_.exec() ? join_container() : make_container());
    return become_program();
  }

  // Others of the container, which may be of the same user, are not to trace this process, nor to
  // take what it has open: the machine's own program for one. A native program is another.
  void hide() const {
    if (request_.hidden()) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  }

  // ---- What another runtime is to run ----

  [[noreturn]] void probe() {
    const Result<void> done = [this]() -> Result<void> {
      WAFER_TRY(mount_root());
      // What lies in none of them is in a mount, or nowhere; that is the other's to say.
      if (!found_) WAFER_TRY(ask_for_program());
      if (found_ && kind_ == Kind::Wasm)
        return Error(ErrorKind::Unsupported, request_.probe() + " for WebAssembly programs");
      return {};
    }();
    if (!done) fail(done.error());
    step(LaunchStep::NATIVE);
    _exit(0);
  }

  // ---- Where it runs ----

  Result<void> join_container() {
    // Namespaces, and the root with them, were joined before the process was made.
    WAFER_LET(root, Rootfs::open("/"));
    WAFER_TRY(find_program(root));
    if (!found_) return missing_program();
    open_labels();
    if (kind_ != Kind::Wasm) return {};
    // See make_root: no view of its own process.
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(nullptr, "/", nullptr, MS_SLAVE | MS_REC, nullptr) != 0 ||
        (access("/proc/self", F_OK) == 0 &&
         mount("tmpfs", "/proc", "tmpfs", MS_RDONLY, "size=0k") != 0))
      return system_error("cannot hide /proc");
    return {};
  }

  Result<void> make_container() {
    WAFER_TRY(join_namespaces());
    if (request_.wait_for_mappings()) {
      step(LaunchStep::NAMESPACES);
      if (!wait_for_go()) return Error(ErrorKind::Io, "the shim has gone");
      if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
        return system_error("cannot become root of the user namespace");
    }
    if (process_.oom_score_adj) WAFER_TRY(set_oom_score(*process_.oom_score_adj));
    if (!is_new(CLONE_NEWNS))
      return Error(ErrorKind::Unsupported,
                   "a container needs a mount namespace of its own (\"namespaces\")");
    // Through the machine's /proc: they belong to the namespaces of the one who writes.
    WAFER_TRY(set_sysctls());
    WAFER_TRY(make_root());
    if (!spec_.hostname.empty() && spec_.find_namespace(CLONE_NEWUTS) &&
        sethostname(spec_.hostname.data(), spec_.hostname.size()) != 0)
      return system_error("cannot set the host name");
    if (!spec_.domainname.empty() && spec_.find_namespace(CLONE_NEWUTS) &&
        setdomainname(spec_.domainname.data(), spec_.domainname.size()) != 0)
      return system_error("cannot set the domain name");
    if (is_new(CLONE_NEWNET)) raise_loopback();
    return {};
  }

  bool is_new(int flag) const {
    const NamespaceSpec* const n = spec_.find_namespace(flag);
    return n && n->path.empty();
  }

  Result<void> join_namespaces() {
    // A user namespace first: the others may belong to it.
    std::vector<const NamespaceSpec*> joined;
    for (const NamespaceSpec& n : spec_.namespaces)
      if (!n.path.empty() && n.flag != CLONE_NEWPID) joined.push_back(&n);
    std::sort(joined.begin(), joined.end(), [](const NamespaceSpec* x, const NamespaceSpec* y) {
      return (x->flag == CLONE_NEWUSER) > (y->flag == CLONE_NEWUSER);
    });
    for (const NamespaceSpec* n : joined) {
      const UniqueFd fd = take_opened(open(n->path.c_str(), O_RDONLY | O_CLOEXEC));
      if (!fd || setns(fd.get(), n->flag) != 0)
        return system_error("cannot join the namespace " + n->path);
    }
    // Not earlier: its root is the control group that the process is in at this moment.
    if (is_new(CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) != 0)
      return system_error("cannot make a cgroup namespace");
    return {};
  }

  static Result<void> set_oom_score(int score) {
    const UniqueFd file = take_opened(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
    const std::string text = std::to_string(score);
    if (file && write(file.get(), text.data(), text.size()) >= 0) return {};
    // Without CAP_SYS_RESOURCE it can only grow: the container is more likely to be chosen.
    return errno == EACCES ? Result<void>() : system_error("cannot set oom_score_adj");
  }

  static void raise_loopback() {
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (socket) (void)ioctl(socket.get(), SIOCSIFFLAGS, &request);
  }

  // Mounts the container's root, and looks for its program there.
  Result<Rootfs> mount_root() {
    const std::string& propagation = spec_.rootfs_propagation;
    const MountOptions how = mount_options({propagation.empty() ? "rslave" : propagation});
    if (how.propagation.size() != 1)
      return Error(ErrorKind::Invalid, "no propagation '" + propagation + "'");
    // What becomes of the root's mounts is decided at the end: it must not be shared for now.
    if (how.propagation[0] & MS_SHARED) shared_as_ = how.propagation[0];
    if (mount(nullptr, "/", nullptr, shared_as_ ? MS_SLAVE | MS_REC : how.propagation[0],
              nullptr) != 0)
      return system_error("cannot change the propagation of mounts");
    const std::string path = spec_.root_in(request_.bundle());
    for (const proto::Mount& m : request_.rootfs()) {
      const std::string& target = path;
      if (!m.target().empty() && m.target() != "/")
        return Error(ErrorKind::Unsupported, "a root of several mounts");
      WAFER_TRY(mount_at(target, m.type(), m.source(), {m.options().begin(), m.options().end()}));
    }
    // A root has to be a mount.
    if (request_.rootfs().empty() &&
        mount(path.c_str(), path.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
      return system_error("cannot mount the root " + path);
    WAFER_LET(root, Rootfs::open(path));
    WAFER_TRY(find_program(root));
    return std::move(root);
  }

  Result<void> make_root() {
    WAFER_LET(root, mount_root());
    if (!found_) WAFER_TRY(ask_for_program());
    WAFER_LET(cgroup, cgroup_path(spec_.cgroups_path, {}));
    for (const MountSpec& m : spec_.mounts) {
      // A WebAssembly program gets no view of its own process: /proc/self/mem would be one way
      // out of the sandbox.
      const bool kernels = m.type == "proc" || m.type == "sysfs" || m.type == "cgroup" ||
                           m.type == "cgroup2" || m.type == "mqueue";
      if (kernels && found_ && kind_ == Kind::Wasm) continue;
      WAFER_TRY(root.mount(m, cgroup));
    }
    if (!found_) WAFER_TRY(find_program(root));
    if (!found_) return missing_program();
    WAFER_TRY(root.make_devices(spec_.devices));
    if (kind_ == Kind::Wasm) {
      // For the same reason, where it was only found in one of the mounts.
      const UniqueFd proc = root.find("/proc", O_PATH | O_DIRECTORY);
      if (proc && mounts_proc()) {
        const std::string on = "/proc/self/fd/" + std::to_string(proc.get());
        (void)mount("tmpfs", on.c_str(), "tmpfs", MS_RDONLY, "size=0k");
      }
    }
    if (request_.wait_for_hooks()) {
      step(LaunchStep::MOUNTED);
      if (!wait_for_go()) return Error(ErrorKind::Io, "a hook has failed");
    }
    for (const HookSpec& hook : spec_.hooks_of("createContainer"))
      WAFER_TRY(run_hook_and_wait(hook, request_.state()));
    WAFER_LET(cwd, root.make(process_.cwd, true));
    (void)cwd;
    for (const std::string& p : spec_.masked_paths)
      if (has_path(p)) WAFER_TRY(root.mask(p));
    for (const std::string& p : spec_.readonly_paths)
      if (has_path(p)) WAFER_TRY(root.make_readonly(p));
    if (process_.terminal)
      host_ptmx_ = take_opened(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (spec_.root_readonly) WAFER_TRY(root.make_root_readonly());
    open_labels();
    WAFER_TRY(root.enter());
    if (shared_as_ && mount(nullptr, "/", nullptr, shared_as_, nullptr) != 0)
      return system_error("cannot share the mounts of the root");
    return {};
  }

  // Of those that are hidden by default, most lie where WebAssembly programs have nothing.
  bool has_path(const std::string& path) const {
    return kind_ == Kind::Native || !(path.starts_with("/proc/") || path.starts_with("/sys/"));
  }

  bool mounts_proc() const {
    return std::any_of(spec_.mounts.begin(), spec_.mounts.end(),
                       [](const MountSpec& m) { return m.type == "proc"; });
  }

  // Labels take effect when another program is run; of those that run none, at once. They are set
  // late, but /proc may be gone then.
  void open_labels() {
    if (process_.apparmor_profile.empty() && process_.selinux_label.empty()) return;
    const UniqueFd proc = own_proc();
    const std::string where = "thread-self/attr/";
    const std::string file = kind_ == Kind::Native ? "exec" : "current";
    const auto opened = [&proc](const std::string& path) {
      return take_opened(openat(proc.get(), path.c_str(), O_WRONLY | O_CLOEXEC));
    };
    if (!process_.apparmor_profile.empty()) apparmor_ = opened(where + "apparmor/" + file);
    if (!process_.selinux_label.empty()) selinux_ = opened(where + file);
  }

  // What tells of processes, for sure: a container chooses what lies at /proc, or has nothing
  // there.
  static UniqueFd own_proc() {
    const UniqueFd made = take_opened(fsopen("proc", FSOPEN_CLOEXEC));
    if (made && fsconfig(made.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) {
      constexpr unsigned kRights = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
      if (UniqueFd proc = take_opened(fsmount(made.get(), FSMOUNT_CLOEXEC, kRights))) return proc;
    }
    // Not every user namespace may make one.
    UniqueFd proc = take_opened(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct statfs about;
    if (proc && (fstatfs(proc.get(), &about) != 0 || about.f_type != PROC_SUPER_MAGIC))
      proc.reset();
    return proc;
  }

  Result<void> set_labels() {
    const auto set = [](UniqueFd& file, const char* what, const std::string& name,
                        const std::string& text) -> Result<void> {
      if (!file || write(file.get(), text.data(), text.size()) < 0)
        return system_error(std::string("cannot set the ") + what + " '" + name + "'");
      file.reset();
      return {};
    };
    const std::string &profile = process_.apparmor_profile, &label = process_.selinux_label;
    if (!profile.empty() && profile != "unconfined")
      WAFER_TRY(set(apparmor_, "AppArmor profile", profile,
                    (kind_ == Kind::Native ? "exec " : "changeprofile ") + profile));
    return label.empty() ? Result<void>() : set(selinux_, "SELinux label", label, label);
  }

  Result<void> set_sysctls() const {
    for (const auto& [name, value] : spec_.sysctl) {
      const bool network = name.starts_with("net.");
      const bool ipc = name.starts_with("kernel.shm") || name.starts_with("kernel.msg") ||
                       name == "kernel.sem" || name.starts_with("fs.mqueue.");
      // Others are the machine's.
      if (name.find('/') != name.npos || name.find("..") != name.npos ||
          !((network && spec_.find_namespace(CLONE_NEWNET)) ||
            (ipc && spec_.find_namespace(CLONE_NEWIPC))))
        return Error(ErrorKind::Invalid, "\"sysctl\": " + name + " is not the container's own");
      std::string path = "/proc/sys/" + name;
      std::replace(path.begin(), path.end(), '.', '/');
      const UniqueFd file = take_opened(open(path.c_str(), O_WRONLY | O_CLOEXEC));
      if (!file || write(file.get(), value.data(), value.size()) < 0)
        return system_error("cannot set " + name);
    }
    return {};
  }

  // ---- What runs ----

  std::string variable(std::string_view name) const {
    for (const std::string& v : process_.env)
      if (v.size() > name.size() && v.starts_with(name) && v[name.size()] == '=')
        return v.substr(name.size() + 1);
    return {};
  }

  // Looks for args[0] as execvp would, and at what it is. Of a WebAssembly program, the file is
  // kept open. Leaves found_ false where there is none: /proc/self/exe, which would be this very
  // program, is nowhere.
  Result<void> find_program(const Rootfs& root) {
    if (process_.args.empty()) return Error(ErrorKind::Invalid, "the process has no arguments");
    if (try_program(root, process_.args[0])) return {};
    // An entry point: PATH#FUNCTION.
    const std::string& name = process_.args[0];
    const size_t hash = name.rfind('#');
    if (hash != name.npos && hash > 0 && hash + 1 < name.size() &&
        try_program(root, name.substr(0, hash)) && kind_ == Kind::Wasm)
      function_ = name.substr(hash + 1);
    else if (hash != name.npos)
      found_ = false;
    return {};
  }

  // Images may have their program beside the file system.
  Result<void> ask_for_program() {
    const std::string& name = process_.args[0];
    step(LaunchStep::PROGRAM, name);
    Packet packet = receive_packet(control_.get());
    LaunchStep answer;
    if (packet.gone || !answer.ParseFromString(packet.bytes) || answer.kind() != LaunchStep::GO)
      return Error(ErrorKind::Io, "the shim has gone");
    missing_ = answer.text();
    if (packet.fds.empty()) return {};
    const size_t hash = name.rfind('#');
    take_program(std::move(packet.fds[0]), name.substr(0, hash));
    // Nothing else has a layer of that kind; what it is instead, loading it says.
    if (kind_ == Kind::Native)
      return Error(ErrorKind::Invalid, "the image's layer is not WebAssembly");
    if (hash != name.npos) function_ = name.substr(hash + 1);
    // The layer's file lies outside of the container.
    artifact_is_fixed_ = true;
    return {};
  }

  Error missing_program() const {
    return Error(ErrorKind::Io,
                 "cannot find \"" + process_.args[0] + "\" in the container's root or its PATH" +
                     (missing_.empty() ? "" : ", nor as a layer of its image: " + missing_));
  }

  bool try_program(const Rootfs& root, const std::string& name) {
    std::vector<std::string> candidates;
    if (name.find('/') != name.npos) {
      candidates.push_back(name.starts_with('/') ? name : process_.cwd + "/" + name);
    } else {
      // Images of nothing but WebAssembly have no PATH; their program lies at the root.
      const std::string path = variable("PATH");
      candidates = places_on(path.empty() ? kUsualPath : path, name);
      candidates.push_back(process_.cwd + "/" + name);
      candidates.push_back("/" + name);
    }
    for (const std::string& candidate : candidates) {
      UniqueFd file = root.find(candidate, O_RDONLY | O_NONBLOCK | O_NOCTTY);
      struct stat st;
      if (!file || fstat(file.get(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
      take_program(std::move(file), candidate);
      return true;
    }
    return false;
  }

  // Looks at what it is.
  void take_program(UniqueFd file, const std::string& path) {
    char begin[64];
    const ssize_t n = pread(file.get(), begin, sizeof begin, 0);
    const std::string_view head(begin, n < 0 ? 0 : size_t(n));
    const Bytes bytes(reinterpret_cast<const uint8_t*>(begin), head.size());
    const size_t first = head.find_first_not_of(" \t\r\n");
    const bool text = path.ends_with(".wat") ||
                      (first != head.npos && (head[first] == '(' || head.substr(first, 2) == ";;"));
    const bool wasm = head.starts_with(std::string_view("\0asm", 4)) || program::is_code(bytes) ||
                      text ||
                      (path.ends_with(".wasm") && !head.starts_with("\x7f"
                                                                    "ELF"));
    kind_ = wasm ? Kind::Wasm : Kind::Native;
    path_ = path;
    if (wasm) artifact_ = std::move(file);
    found_ = true;
  }

  // ---- As whom it runs ----

  Result<void> become_program() {
    if (!found_) return missing_program();
    if (process_.terminal)
      WAFER_TRY(make_terminal());
    else
      WAFER_TRY(take_stdio());
    for (const RlimitSpec& r : process_.rlimits) {
      const rlimit limit{r.soft, r.hard};
      if (setrlimit(__rlimit_resource_t(r.resource), &limit) != 0)
        return system_error("cannot set a resource limit");
    }
    umask(process_.umask.value_or(022));
    WAFER_TRY(set_scheduling());
    WAFER_TRY(set_labels());
    // Without giving up new privileges it is a privilege itself, which is about to be lost.
    if (kind_ == Kind::Native && !process_.no_new_privileges) WAFER_TRY(filter_system_calls());
    hide();
    WAFER_TRY(drop_privileges());
    // A change of user forgets it.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (chdir(process_.cwd.c_str()) != 0)
      return system_error("cannot enter the working folder " + process_.cwd);
    if (kind_ == Kind::Native) return {};
    // A program of WebAssembly has no way to new privileges anyway.
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
      return system_error("cannot give up new privileges");
    WAFER_TRY(filter_system_calls());
    if (!confine_wasm()) return system_error("cannot filter system calls");
    for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGPWR})
      signal(number, end_by_signal);
    return load_program();
  }

  static Result<void> set_processors(const std::vector<unsigned>& cpus) {
    if (cpus.empty()) return {};
    const unsigned most = *std::max_element(cpus.begin(), cpus.end());
    std::vector<cpu_set_t> set(most / CPU_SETSIZE + 1);
    const size_t size = set.size() * sizeof(cpu_set_t);
    for (const unsigned cpu : cpus) CPU_SET_S(cpu, size, set.data());
    return sched_setaffinity(0, size, set.data()) == 0 ? Result<void>()
                                                       : system_error("cannot choose processors");
  }

  Result<void> set_scheduling() const {
    WAFER_TRY(set_processors(process_.cpus));
    if (process_.scheduler) {
      const SchedulerSpec& s = *process_.scheduler;
      struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
      } attributes{48, s.policy, s.flags, s.nice, s.priority, s.runtime, s.deadline, s.period};
      static_assert(sizeof attributes == 48);
      if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0)
        return system_error("cannot set the scheduler");
    }
    constexpr int kOfAProcess = 1;
    if (process_.io_priority && syscall(SYS_ioprio_set, kOfAProcess, 0, *process_.io_priority) != 0)
      return system_error("cannot set the priority of input and output");
    if (request_.personality() && ::personality(request_.personality() - 1) < 0)
      return system_error("cannot set the personality");
    return {};
  }

  Result<void> filter_system_calls() const {
    if (!request_.seccomp().empty() &&
        !install_seccomp(request_.seccomp(), request_.seccomp_flags()))
      return system_error("cannot filter system calls");
    return {};
  }

  Result<void> take_stdio() {
    for (int i = 0; i < 3; ++i) {
      if (!stdio_[i]) continue;
      // So that the program can open them by name as well. Devices, as /dev/null, are the
      // machine's.
      struct stat about;
      if (process_.uid != 0 && fstat(stdio_[i].get(), &about) == 0 && !S_ISCHR(about.st_mode) &&
          !S_ISBLK(about.st_mode))
        (void)fchown(stdio_[i].get(), process_.uid, gid_t(-1));
      if (dup2(stdio_[i].get(), i) < 0) return system_error("cannot set the standard streams");
      stdio_[i].reset();
    }
    return {};
  }

  Result<void> make_terminal() {
    UniqueFd master = take_opened(open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!master) master = std::move(host_ptmx_);
    int lock = 0;
    if (!master || ioctl(master.get(), TIOCSPTLCK, &lock) != 0)
      return system_error("cannot make a terminal");
    const UniqueFd slave =
        take_opened(ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!slave) return system_error("cannot open the terminal");
    if (process_.rows || process_.columns) {
      const winsize size{process_.rows, process_.columns, 0, 0};
      (void)ioctl(slave.get(), TIOCSWINSZ, &size);
    }
    (void)fchown(slave.get(), process_.uid, gid_t(-1));
    if (ioctl(slave.get(), TIOCSCTTY, 0) != 0) return system_error("cannot take the terminal");
    for (int i = 0; i < 3; ++i)
      if (dup2(slave.get(), i) < 0) return system_error("cannot set the standard streams");
    master_ = std::move(master);
    return {};
  }

  Result<void> drop_privileges() {
    CapabilitySpec c = process_.capabilities.value_or(CapabilitySpec());
    if (kind_ == Kind::Wasm)
      for (uint64_t* set : {&c.bounding, &c.effective, &c.inheritable, &c.permitted, &c.ambient})
        *set &= kWasmCapabilities;
    // What bounds a program that is run later does not matter to one that runs none.
    for (int i = 0; i < 64 && kind_ == Kind::Native; ++i)
      if (!(c.bounding >> i & 1) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0) {
        if (errno == EINVAL) break;  // the kernel knows no more
        return system_error("cannot drop a capability");
      }
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return system_error("cannot keep capabilities");
    if (setgroups(process_.groups.size(), process_.groups.data()) != 0 &&
        !(errno == EPERM && process_.groups.empty()))  // in user namespaces without that right
      return system_error("cannot set the groups");
    if (setresgid(process_.gid, process_.gid, process_.gid) != 0 ||
        setresuid(process_.uid, process_.uid, process_.uid) != 0)
      return system_error("cannot become the user " + std::to_string(process_.uid));
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) return system_error("cannot keep capabilities");
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2];
    for (int i = 0; i < 2; ++i)
      data[i] = {uint32_t(c.effective >> (32 * i)), uint32_t(c.permitted >> (32 * i)),
                 uint32_t(c.inheritable >> (32 * i))};
    if (syscall(SYS_capset, &header, data) != 0) return system_error("cannot set capabilities");
    for (int i = 0; i < 64; ++i)
      if (c.ambient >> i & 1) (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0);
    if (process_.no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
      return system_error("cannot give up new privileges");
    return {};
  }

  // ---- WebAssembly ----

  Result<void> load_program() {
    options_.file = path_;
    wasi::P1Config& s = options_.surroundings;
    s.args = process_.args;
    bool has_pwd = false;
    for (const std::string& v : process_.env) {
      const size_t equals = v.find('=');
      if (equals == 0 || equals == v.npos) continue;
      has_pwd |= v.starts_with("PWD=");
      s.env.emplace_back(v.substr(0, equals), v.substr(equals + 1));
    }
    // How Go's programs, for one, learn their working folder.
    if (!has_pwd && process_.cwd != "/") s.env.emplace_back("PWD", process_.cwd);
    s.dirs.push_back({"/", "/", false});
    if (!function_.empty()) {
      options_.invoke = function_;
      options_.invoke_args.assign(process_.args.begin() + 1, process_.args.end());
      s.args[0] = path_;
    }
    if (request_.memory_limit()) options_.limits.memory_bytes = request_.memory_limit();
    if (request_.fuel()) options_.fuel = request_.fuel();
    using program::Input;
    Result<Input> input =
        Input::read(artifact_.get(), path_, Input::Content::Module,
                    artifact_is_fixed_ ? Input::Hold::Mapped : Input::Hold::Copied);
    if (!input) return input.take_error();
    options_.interruptible = has_to_be_interruptible(*input);
    const std::string& tier = request_.tier();
    if (tier != "interp") options_.prepared = prepared_engine(options_.interruptible);
    options_.make_tier = [tier] {
      // The optimizing compiler is no part of a container.
      return compiler::make_tier(
          tier == "interp" ? compiler::TierKind::Interpreter : compiler::TierKind::Baseline, {});
    };
    program_.emplace(options_, console_);
    if (!program_->load(*std::move(input))) return Error(ErrorKind::Invalid, console_.text);
    const auto component = program_->component();
    if (component && HttpProgram::sends_requests(*component))
      load_tls();
    else
      forget_tls();
    if (!component) return {};
    // Which certificates are trusted, the container says, and not who started the shim.
    for (const char* name : {"SSL_CERT_FILE", "SSL_CERT_DIR"}) {
      if (const std::string value = variable(name); value.empty())
        unsetenv(name);
      else
        setenv(name, value.c_str(), 1);
    }
    // A container's network is its own.
    s.network.allow_all();
    host::HttpClientOptions http;
    http.rules.allow_all();
    http.on_no_tls = [this](std::string_view why) { console_.error(why); };
    WAFER_LET(client, host::make_http_client(std::move(http)));
    s.http = std::move(client);
    return function_.empty() && HttpProgram::is(*component) ? open_server(component)
                                                            : Result<void>();
  }

  // Whether the engine for it is to be one that can be interrupted. Not all components are served,
  // but which are is only known when they are loaded; machine code runs as it was compiled.
  static bool has_to_be_interruptible(const program::Input& input) {
    if (!input.is_code()) return input.is_text() || component::is_component(input.bytes());
    return program::claimed_options(input.bytes()) & compiler::kOptionInterruptible;
  }

  Result<void> open_server(std::shared_ptr<const component::Component> component) {
    if (!options_.interruptible)
      return Error(ErrorKind::Unsupported,
                   path_ +
                       ": code that cannot be stopped is not served; compile it with "
                       "--interruptible");
    HttpSettings settings;
    std::string address = spec_.annotation("wafer.http-address");
    for (const char* name : {"WAFER_HTTP_ADDRESS", "PORT"})
      if (address.empty()) address = variable(name);
    settings.address = http_address(address);
    settings.threads = request_.processors();
    settings.limits.store = options_.limits;
    settings.limits.fuel = options_.fuel;
    settings.error_log = [this](const std::string& line) { console_.error(line); };
    server_.emplace();
    if (Result<void> r = server_->open({program_->engine(), std::move(component), std::nullopt},
                                       options_.surroundings, std::move(settings));
        !r)
      return Error(r.error().kind, path_ + ": " + std::string(r.error().message));
    return {};
  }

  int run_program() {
    control_.reset();
    return program_->run();
  }

  int serve() {
    std::thread taker([this] { take_code(); });
    const int code = server_->run();
    (void)shutdown(control_.get(), SHUT_RDWR);
    taker.join();
    return code;
  }

  // Its file, if the shim has machine code made of what is a file of the root.
  int program_to_compile() const {
    const bool may =
        request_.takes_code() && !artifact_is_fixed_ && !program_->component_binary().empty();
    return may ? artifact_.get() : -1;
  }

  // Waits for machine code of the program, which the shim may have made beside it, and serves by
  // that from then on.
  void take_code() {
    const Packet packet = receive_packet(control_.get());
    if (packet.gone || packet.fds.empty()) return;
    Result<program::Input> input = program::Input::read(
        packet.fds[0].get(), path_, program::Input::Content::Module, program::Input::Hold::Mapped);
    if (!input) return console_.warning(input.error().message);
    // By what it is kept, another program of the image could pass for this one.
    const auto about = compiler::CodeBundle::summarize(input->bytes());
    if (!about || !std::ranges::equal(about->module, program_->component_binary())) return;
    program::Program next(options_, console_);
    if (!next.load(*std::move(input))) return;
    if (Result<void> r = server_->reload({next.engine(), next.component(), std::nullopt}); !r)
      return console_.warning(path_ + ": " + std::string(r.error().message));
    program_.reset();
  }

  // ---- Native programs ----

  Result<void> exec() {
    for (const HookSpec& hook : spec_.hooks_of("startContainer"))
      WAFER_TRY(run_hook_and_wait(hook, request_.state()));
    std::vector<char*> args, env;
    for (std::string& a : process_.args) args.push_back(a.data());
    if (variable("HOME").empty())
      process_.env.push_back(process_.uid == 0 ? "HOME=/root" : "HOME=/");
    for (std::string& v : process_.env) env.push_back(v.data());
    args.push_back(nullptr);
    env.push_back(nullptr);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    if (process_.no_new_privileges) WAFER_TRY(filter_system_calls());
    (void)close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    execve(path_.c_str(), args.data(), env.data());
    return system_error("cannot run " + path_);
  }

  UniqueFd control_;
  proto::LaunchRequest request_;
  Spec spec_;
  ProcessSpec process_;
  UniqueFd stdio_[3], host_ptmx_, master_, apparmor_, selinux_;
  unsigned long shared_as_ = 0;  // flags that share the mounts of the root at the end; 0: not

  bool found_ = false;
  Kind kind_ = Kind::Native;
  std::string path_, function_;
  std::string missing_;  // why the image does not have the program either
  UniqueFd artifact_;
  bool artifact_is_fixed_ = false;  // no container can write it
  LaunchConsole console_;
  program::Options options_;
  std::optional<program::Program> program_;
  std::optional<HttpProgram> server_;
};

void warm_up_engines() {
  program::Options engines;
  engines.make_tier = [] { return compiler::make_tier(compiler::TierKind::Baseline, {}); };
  for (const bool interruptible : {false, true}) {
    engines.interruptible = interruptible;
    if (auto made = program::prepare_engine(engines)) prepared_engine(interruptible) = *made;
  }
  // (module (func (export "_start")))
  static constexpr uint8_t kModule[] = {0,   'a', 's', 'm', 1, 0, 0,  0,  1, 4, 1,   0x60,
                                        0,   0,   3,   2,   1, 0, 7,  10, 1, 6, '_', 's',
                                        't', 'a', 'r', 't', 0, 0, 10, 4,  1, 2, 0,   0x0B};
  const UniqueFd file = take_opened(memfd_create("warm", MFD_CLOEXEC));
  if (!file || write(file.get(), kModule, sizeof kModule) != ssize_t(sizeof kModule)) return;
  (void)lseek(file.get(), 0, SEEK_SET);
  LaunchConsole console;
  program::Options options;
  options.file = "warm";
  options.surroundings.stdin_source = wasi::P1Input::null();
  options.surroundings.ignore_write_signals = false;
  options.make_tier = engines.make_tier;
  program::Program program(options, console);
  Result<program::Input> input = program::Input::read(file.get(), "warm");
  if (input && program.load(*std::move(input))) (void)program.run();
}

}  // namespace

void launch(UniqueFd control) { Launcher(std::move(control)).run(); }

void warm_up() {
  prepare_tls();
  warm_up_engines();
  // What the allocator keeps of that would be in each of them.
  malloc_trim(0);
}

}  // namespace wafer::shim
