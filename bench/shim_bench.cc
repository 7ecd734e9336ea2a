// How fast a shim creates, starts, waits for and deletes containers, and how much memory they
// take: shim_bench [OPTIONS] --shim SHIM PROGRAM [ARGS...]. Beside that, containers by a command of
// OCI (runc, crun) that runs one: --runtime COMMAND
//
// Talks to the shim as containerd does. PROGRAM is WebAssembly, or a static native program.
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "shim/cgroup.h"
#include "shim/proto/task.pb.h"
#include "shim/spec.h"
#include "shim/ttrpc.h"

namespace {

using namespace wafer;
using namespace wafer::shim;
using nlohmann::json;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string shim;
  std::vector<std::string> program;
  json config = json::object();  // members of config.json, in addition or instead
  int count = 1000;              // containers
  int at_once = 4;               // of them
  bool network = false;          // a network namespace for each
  std::string address;           // of a containerd, for shims that ask it; none: nobody is there
  bool hold = false;             // measure memory of `count` that are there at the same time
  bool pods = false;             // each with a shim of its own
  std::string runtime;           // a command as runc, that runs the bundles instead of a shim
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "error: %s\n", what.c_str());
  std::exit(1);
}

class Bench {
 public:
  explicit Bench(Options options) : o_(std::move(options)) {
    // In memory, as where containerd has its bundles.
    struct statfs run;
    const bool in_memory = statfs("/run", &run) == 0 && run.f_type == TMPFS_MAGIC;
    folder_ = in_memory && access("/run", W_OK) == 0 ? "/run" : "/dev/shm";
    folder_ += "/shim-bench-XXXXXX";
    if (!mkdtemp(folder_.data())) fail("cannot make a folder");
    space_ = fs::path(folder_).filename();
    for (const char* place : {"bin", "proc", "dev"})
      fs::create_directories(folder_ + "/root/" + place);
    const std::string name = fs::path(o_.program[0]).filename().string();
    fs::copy_file(o_.program[0], folder_ + "/root/" + name);
    fs::permissions(folder_ + "/root/" + name, fs::perms(0755));
    o_.program[0] = "/" + name;
    setenv("WAFER_SHIM_SOCKETS", (folder_ + "/s").c_str(), 1);
    // Events are taken as containerd takes them.
    setenv("TTRPC_ADDRESS", (folder_ + "/events").c_str(), 1);
    Result<UniqueFd> listener = listen_unix(folder_ + "/events");
    if (!listener) fail("cannot listen");
    events_.emplace(loop_, *std::move(listener),
                    [](std::string_view, std::string_view, std::string, std::string_view,
                       const RpcServer::Reply& reply) { reply({}); });
    if (mkfifo((folder_ + "/in").c_str(), 0600) != 0) fail("cannot make a pipe");
    in_ = UniqueFd(open((folder_ + "/in").c_str(), O_RDWR | O_CLOEXEC));
    for (int i = 0; i < o_.count; ++i) make_bundle(i);
  }
  ~Bench() {
    std::error_code ec;
    for (const CgroupHost::Hierarchy& h : CgroupHost::get().hierarchies)
      (void)rmdir((h.mount + "/wafer-bench").c_str());
    fs::remove_all(folder_, ec);
  }

  void run() {
    if (!o_.runtime.empty())
      o_.hold ? hold_by_command() : run_by_command();
    else
      o_.hold ? measure_memory() : measure_speed();
  }

 private:
  // What containers take.
  struct Used {
    double milliseconds = 0, faults = 0;
  };
  std::string id(int i) const { return "b" + std::to_string(i); }
  std::string bundle(int i) const { return folder_ + "/bundles/" + id(i); }

  void make_bundle(int i) const {
    fs::create_directories(bundle(i) + "/rootfs");
    // Where shims write what they log, which containerd reads.
    fs::create_symlink("/dev/null", bundle(i) + "/log");
    json spec = {
        {"ociVersion", "1.0.2"},
        {"root", {{"path", "rootfs"}}},
        {"process",
         {{"args", o_.program},
          {"cwd", "/"},
          {"env", {"PATH=/bin"}},
          {"noNewPrivileges", true},
          {"user", {{"uid", 0}, {"gid", 0}}}}},
        {"mounts",
         {{{"destination", "/proc"}, {"type", "proc"}, {"source", "proc"}},
          {{"destination", "/dev"},
           {"type", "tmpfs"},
           {"source", "tmpfs"},
           {"options", {"nosuid", "mode=755", "size=65536k"}}}}},
        {"linux",
         {{"cgroupsPath", "/wafer-bench/" + id(i)},
          {"namespaces",
           {{{"type", "mount"}}, {{"type", "pid"}}, {{"type", "ipc"}}, {{"type", "uts"}}}}}}};
    if (o_.network) spec["linux"]["namespaces"].push_back({{"type", "network"}});
    spec.merge_patch(o_.config);
    if (!o_.pods)
      spec["annotations"] = {{"io.containerd.runc.v2.group", "bench"},
                             {"io.kubernetes.cri.sandbox-id", "bench"}};
    if (!o_.runtime.empty()) {
      spec["root"]["path"] = folder_ + "/root";
      // How crun is told.
      if (o_.program[0].ends_with(".wasm"))
        spec["annotations"] = {{"run.oci.handler", "wasm"},
                               {"module.wasm.image/variant", "compat"}};
    }
    std::ofstream(bundle(i) + "/config.json") << spec.dump();
  }

  std::string start_shim(int i) const {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) fail("cannot make a pipe");
    const pid_t pid = fork();
    if (pid == 0) {
      if (chdir(bundle(i).c_str()) != 0) _exit(1);
      dup2(ends[1], 1);
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, nullptr);
      const std::string name = id(i);
      execl(o_.shim.c_str(), o_.shim.c_str(), "-namespace", space_.c_str(), "-address",
            (o_.address.empty() ? folder_ : o_.address).c_str(), "-publish-binary", "/bin/true",
            "-id", name.c_str(), "start", nullptr);
      _exit(1);
    }
    close(ends[1]);
    char text[256];
    const ssize_t n = read(ends[0], text, sizeof text);
    close(ends[0]);
    waitpid(pid, nullptr, 0);
    const std::string address(text, n < 0 ? 0 : size_t(n));
    if (!address.starts_with("unix://")) fail("the shim does not start: " + address);
    return address.substr(7);
  }

  template <class Message>
  void call(RpcClient& client, const char* method, const Message& request,
            std::function<void(RpcResult)> done) {
    client.call("containerd.task.v2.Task", method, request.SerializeAsString(),
                [method, done = std::move(done)](RpcResult r) {
                  if (!r.ok()) fail(std::string(method) + ": " + r.text);
                  done(std::move(r));
                });
  }

  proto::CreateTaskRequest create_request(int i) const {
    proto::CreateTaskRequest request;
    request.set_id(id(i));
    request.set_bundle(bundle(i));
    if (o_.hold) request.set_stdin(folder_ + "/in");
    proto::Mount& root = *request.add_rootfs();
    root.set_type("bind");
    root.set_source(folder_ + "/root");
    root.add_options("rbind");
    return request;
  }

  void life(RpcClient& client, int i, std::function<void()> done) {
    const auto begin = Clock::now();
    proto::ProcessRequest process;
    process.set_id(id(i));
    call(client, "Create", create_request(i), [=, this, &client](RpcResult) {
      call(client, "Start", process, [=, this, &client](RpcResult) {
        call(client, "Wait", process, [=, this, &client](RpcResult r) {
          proto::WaitResponse ended;
          if (!ended.ParseFromString(r.text) || ended.exit_status() != 0)
            fail("the program ended with " + std::to_string(ended.exit_status()));
          call(client, "Delete", process, [=, this](RpcResult) {
            times_.push_back(
                std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
            done();
          });
        });
      });
    });
  }

  void measure_speed() {
    RpcClient client(loop_, start_shim(0));
    int next = 0, running = 0;
    std::function<void()> more = [&] {
      while (next < o_.count && running < o_.at_once) {
        ++running;
        life(client, next++, [&] {
          --running;
          if (next < o_.count)
            more();
          else if (running == 0)
            loop_.stop();
        });
      }
    };
    const double own = own_milliseconds();
    const auto begin = Clock::now();
    more();
    loop_.run();
    const auto time = Clock::now() - begin;
    print_speed(time, used(), own_milliseconds() - own);
    shut_down(client);
  }

  void print_speed(Clock::duration time, Used used, double generator) {
    std::sort(times_.begin(), times_.end());
    std::printf(
        "%d containers, %d at once: %.0f/s, each %.2f ms (p50), %.2f ms (p99), %.3f ms of "
        "processor time and %.3f ms of who asks for them, %.0f page faults\n",
        o_.count, o_.at_once, o_.count / std::chrono::duration<double>(time).count(),
        times_[times_.size() / 2], times_[times_.size() * 99 / 100], used.milliseconds / o_.count,
        generator / o_.count, used.faults / o_.count);
  }

  // ---- By a command for each

  pid_t command(const std::vector<std::string>& words) const {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    std::vector<char*> args{const_cast<char*>(o_.runtime.c_str())};
    const std::string state = folder_ + "/state";
    for (const char* word : {"--root", state.c_str()}) args.push_back(const_cast<char*>(word));
    for (const std::string& word : words) args.push_back(const_cast<char*>(word.c_str()));
    args.push_back(nullptr);
    if (o_.hold) dup2(in_.get(), 0);
    const UniqueFd null(open("/dev/null", O_WRONLY | O_CLOEXEC));
    dup2(null.get(), 1);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execvp(args[0], args.data());
    _exit(127);
  }

  void run_by_command() {
    std::map<pid_t, Clock::time_point> running;
    const double own = own_milliseconds();
    const auto begin = Clock::now();
    for (int next = 0; next < o_.count || !running.empty();) {
      if (next < o_.count && running.size() < size_t(o_.at_once)) {
        const auto now = Clock::now();
        running.emplace(command({"run", "--bundle", bundle(next), id(next)}), now);
        ++next;
        continue;
      }
      int status = 0;
      const auto at = running.find(wait(&status));
      if (at == running.end() || status != 0) fail(o_.runtime + " has failed");
      times_.push_back(
          std::chrono::duration<double, std::milli>(Clock::now() - at->second).count());
      running.erase(at);
    }
    const auto time = Clock::now() - begin;
    rusage children{};
    getrusage(RUSAGE_CHILDREN, &children);
    Used used;
    for (const timeval& t : {children.ru_utime, children.ru_stime})
      used.milliseconds += double(t.tv_sec) * 1e3 + double(t.tv_usec) / 1e3;
    used.faults = double(children.ru_minflt);
    print_speed(time, used, own_milliseconds() - own);
  }

  void run_to_end(const std::vector<std::string>& words) const {
    int status = 0;
    waitpid(command(words), &status, 0);
    if (status != 0) fail(o_.runtime + " has failed");
  }

  void hold_by_command() {
    uint64_t first = 0;
    for (int i = 0; i < o_.count; ++i) {
      const std::string number = bundle(i) + "/pid";
      run_to_end({"run", "--detach", "--pid-file", number, "--bundle", bundle(i), id(i)});
      int pid = 0;
      std::ifstream(number) >> pid;
      held_.push_back("/proc/" + std::to_string(pid));
      print_memory(i, first);
    }
    for (int i = 0; i < o_.count; ++i) run_to_end({"delete", "--force", id(i)});
  }

  static double own_milliseconds() {
    timespec used{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return double(used.tv_sec) * 1e3 + double(used.tv_nsec) / 1e6;
  }

  // All that was started here and lives, as folders of /proc: shims and what they forked.
  std::vector<std::string> processes() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const Result<std::string> command = read_file(entry.path().string() + "/cmdline");
      if (command && command->find(space_) != command->npos &&
          entry.path().filename() != std::to_string(getpid()))
        out.push_back(entry.path().string());
    }
    return out;
  }

  // By these and their children that have ended.
  Used used() const {
    Used used;
    for (const std::string& process : processes()) {
      const auto stat = read_file(process + "/stat");
      if (!stat) continue;
      // After the name: minflt and cminflt are the 8th and 9th; utime, stime, cutime and cstime
      // the 12th to 15th.
      const char* at = stat->c_str() + stat->rfind(')');
      for (int field = 1; field <= 15 && at; ++field) {
        at = std::strchr(at + 1, ' ');
        if (!at) break;
        const auto value = double(std::strtoull(at, nullptr, 10));
        if (field == 8 || field == 9) used.faults += value;
        if (field >= 12) used.milliseconds += value * 1000 / double(sysconf(_SC_CLK_TCK));
      }
    }
    return used;
  }

  void shut_down(RpcClient& client) {
    call(client, "Shutdown", proto::ShutdownRequest(), [this](RpcResult) { loop_.stop(); });
    loop_.run();
  }

  // Of everything that was started here, in KiB.
  uint64_t pss() const {
    uint64_t sum = 0;
    const std::vector<std::string> all = held_.empty() ? processes() : held_;
    for (const std::string& process : all) {
      const Result<std::string> rollup = read_file(process + "/smaps_rollup");
      const size_t at = rollup ? rollup->find("\nPss:") : std::string::npos;
      if (at != std::string::npos) sum += std::strtoull(rollup->c_str() + at + 5, nullptr, 10);
    }
    return sum;
  }

  // After container `i`; `first` is for what there was after the first.
  void print_memory(int i, uint64_t& first) const {
    if (i != 0 && i != 9 && i != o_.count - 1) return;
    usleep(300000);
    const uint64_t now = pss();
    if (i == 0) first = now;
    std::printf("%d containers: %.2f MB", i + 1, double(now) / 1024);
    if (i) std::printf(", %.3f MB each after the first", double(now - first) / 1024 / i);
    std::printf("\n");
  }

  void measure_memory() {
    std::vector<std::unique_ptr<RpcClient>> clients;
    uint64_t first = 0;
    for (int i = 0; i < o_.count; ++i) {
      if (i == 0 || o_.pods) clients.push_back(std::make_unique<RpcClient>(loop_, start_shim(i)));
      RpcClient& client = *clients.back();
      proto::ProcessRequest process;
      process.set_id(id(i));
      call(client, "Create", create_request(i),
           [&](RpcResult) { call(client, "Start", process, [&](RpcResult) { loop_.stop(); }); });
      loop_.run();
      print_memory(i, first);
    }
    for (int i = 0; i < o_.count; ++i) {
      RpcClient& client = *clients[o_.pods ? size_t(i) : 0];
      proto::KillRequest kill;
      kill.set_id(id(i));
      kill.set_signal(SIGKILL);
      proto::ProcessRequest process;
      process.set_id(id(i));
      call(client, "Kill", kill, [&](RpcResult) {
        call(client, "Wait", process,
             [&](RpcResult) { call(client, "Delete", process, [&](RpcResult) { loop_.stop(); }); });
      });
      loop_.run();
    }
    for (const auto& client : clients) shut_down(*client);
  }

  Options o_;
  std::string folder_;
  std::string space_;  // the namespace, by which processes are found
  UniqueFd in_;
  Loop loop_;
  std::optional<RpcServer> events_;
  std::vector<double> times_;
  std::vector<std::string> held_;  // those that a command has started, as folders of /proc
};

}  // namespace

int main(int argc, char** argv) {
  Options o;
  int i = 1;
  for (; i < argc && argv[i][0] == '-'; ++i) {
    const std::string word = argv[i];
    const auto value = [&] {
      if (i + 1 >= argc) fail(word + " needs a value");
      return argv[++i];
    };
    if (word == "--shim")
      o.shim = value();
    else if (word == "--count")
      o.count = std::atoi(value());
    else if (word == "--at-once")
      o.at_once = std::atoi(value());
    else if (word == "--address")
      o.address = value();
    else if (word == "--network")
      o.network = true;
    else if (word == "--hold")
      o.hold = true;
    else if (word == "--pods")
      o.pods = true;
    else if (word == "--runtime")
      o.runtime = value();
    else if (word == "--config")
      o.config = json::parse(std::ifstream(value()));
    else
      fail("no option " + word);
  }
  o.program.assign(argv + i, argv + argc);
  if (o.shim.empty() == o.runtime.empty() || o.program.empty() || o.count < 1)
    fail(
        "shim_bench [--count N] [--at-once N] [--network] [--address SOCKET] [--config FILE] "
        "[--hold [--pods]] (--shim SHIM | --runtime COMMAND) PROGRAM [ARGS...]");
  Bench(std::move(o)).run();
  return 0;
}
