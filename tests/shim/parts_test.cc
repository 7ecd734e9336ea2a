// The parts of the shim that need no container.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "shim/cgroup.h"
#include "shim/child.h"
#include "shim/device_filter.h"
#include "shim/events.h"
#include "shim/files.h"
#include "shim/hooks.h"
#include "shim/io.h"
#include "shim/layers.h"
#include "shim/options.h"
#include "shim/precompile.h"
#include "shim/proto/stats.pb.h"
#include "shim/rootfs.h"
#include "shim/seccomp.h"
#include "shim/spec_pack.h"
#include "shim/telemetry.h"
#include "shim/ttrpc.h"

namespace wafer::shim {

// Knows the name two.example while it is there: 127.0.0.2, and then 127.0.0.1.
struct NameService {
  std::chrono::milliseconds delay;
  const NameService* const before = current.exchange(this);
  static inline std::atomic<const NameService*> current{nullptr};
  ~NameService() { current = before; }
};

namespace {

struct Folder {
  Folder() {
    const char* const parent = std::getenv("TMPDIR");
    path = std::string(parent ? parent : "/tmp") + "/shim-test-XXXXXX";
    EXPECT_NE(mkdtemp(path.data()), nullptr);
  }
  ~Folder() {
    std::error_code ec;
    std::filesystem::remove_all(path, ec);
  }
  std::string path;
};

std::string error_of(std::string_view json) {
  const Result<Spec> spec = parse_spec(json);
  return spec ? "" : std::string(spec.error().message);
}

TEST(ShimSpec, ReadsWhatItNeeds) {
  const Result<Spec> spec = parse_spec(R"({"ociVersion":"1.0.2","root":{"path":"r","readonly":true},
    "process":{"args":["/a.wasm","b"],"cwd":"/w","env":["A=1"],"user":{"uid":3,"gid":4,
      "additionalGids":[5]},"capabilities":{"bounding":["CAP_KILL","CAP_NEW"]},
      "rlimits":[{"type":"RLIMIT_NOFILE","soft":7,"hard":8}],"noNewPrivileges":true},
    "mounts":[{"destination":"/proc","type":"proc"}],"annotations":{"k":"v"},
    "hooks":{"prestart":[{"path":"/h","timeout":2}]},
    "linux":{"namespaces":[{"type":"pid"},{"type":"network","path":"/n"}],
      "resources":{"memory":{"limit":4096}},"cgroupsPath":"/x/y"}})");
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->process->args.size(), 2u);
  EXPECT_EQ(spec->process->uid, 3u);
  EXPECT_EQ(spec->process->capabilities->bounding, uint64_t{1} << 5);
  EXPECT_EQ(spec->process->rlimits[0].hard, 8u);
  EXPECT_TRUE(spec->root_readonly);
  EXPECT_EQ(spec->find_namespace(CLONE_NEWNET)->path, "/n");
  EXPECT_EQ(spec->memory_limit(), 4096u);
  EXPECT_EQ(spec->hooks_of("prestart")[0].timeout_seconds, 2);
  EXPECT_EQ(spec->annotation("k"), "v");
}

TEST(ShimSpec, RefusesWhatCannotBe) {
  EXPECT_EQ(error_of("{"), "config.json is not JSON");
  EXPECT_EQ(error_of("[]"), "config.json: not an object");
  EXPECT_EQ(error_of(R"({"process":{"cwd":"x"}})"), "config.json: \"cwd\" is not an absolute path");
  EXPECT_EQ(error_of(R"({"process":{"args":"x"}})"),
            "config.json: \"args\" is not what it has to be");
  EXPECT_EQ(error_of(R"({"process":{"args":["a\u0000b"]}})"),
            "config.json: an argument has a NUL byte");
  EXPECT_EQ(error_of(R"({"linux":{"namespaces":[{"type":"x"}]}})"),
            "config.json: no namespace 'x'");
  EXPECT_EQ(error_of(R"({"linux":{"namespaces":[{"type":"pid"},{"type":"pid"}]}})"),
            "config.json: two namespaces 'pid'");
  EXPECT_EQ(error_of(R"({"hooks":{"poststop":[{"path":"x"}]}})"),
            "config.json: the path of a hook is not absolute");
  EXPECT_EQ(error_of(R"({"mounts":[7]})"), "config.json: a mount has no destination");
  // Numbers do not become others.
  for (const char* uid : {"4294967296", "-1", "0.5", "1e300"})
    EXPECT_EQ(error_of(R"({"process":{"cwd":"/","user":{"uid":)" + std::string(uid) + "}}}"),
              "config.json: \"uid\" is no such number");
  EXPECT_EQ(error_of(R"({"process":{"cwd":"/","user":{"additionalGids":[1,4294967296]}}})"),
            "config.json: \"additionalGids\" is no such number");
}

TEST(ShimSpec, PassesOnWhatAProcessNeeds) {
  const Result<Spec> spec = parse_spec(R"({"ociVersion":"1.0.2","root":{"path":"r"},
    "process":{"args":["/a"],"cwd":"/w","rlimits":[{"type":"RLIMIT_NOFILE","soft":7,"hard":8}],
    "capabilities":{"bounding":["CAP_KILL"]}},"mounts":[{"destination":"/p","options":["ro"]}],
    "hooks":{"startContainer":[{"path":"/h","args":["h"]}]},"annotations":{"k":"v"},
    "linux":{"seccomp":{"defaultAction":"x"},"namespaces":[{"type":"pid","path":"/n"}],
    "resources":{"cpu":{"quota":300000},"memory":{"limit":5}},"maskedPaths":["/m"]}})");
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->memory_limit(), 5u);
  EXPECT_EQ(spec->seccomp["defaultAction"], "x");
  EXPECT_EQ(spec->processors(), 3u);
  const std::string bytes = pack(*spec);
  const Result<Spec> inside = unpack_spec(bytes);
  ASSERT_TRUE(inside) << inside.error().message;
  EXPECT_EQ(inside->process->args, std::vector<std::string>{"/a"});
  EXPECT_EQ(inside->root, "r");
  EXPECT_EQ(inside->masked_paths, std::vector<std::string>{"/m"});
  EXPECT_EQ(inside->process->rlimits[0].hard, 8u);
  EXPECT_EQ(inside->process->capabilities->bounding, uint64_t{1} << 5);
  EXPECT_FALSE(inside->process->umask);
  EXPECT_EQ(inside->mounts[0].options, std::vector<std::string>{"ro"});
  EXPECT_EQ(inside->hooks_of("startContainer")[0].args, std::vector<std::string>{"h"});
  EXPECT_EQ(inside->annotation("k"), "v");
  EXPECT_EQ(inside->find_namespace(CLONE_NEWPID)->path, "/n");
  EXPECT_TRUE(inside->seccomp.is_null() && inside->resources.is_null());
  EXPECT_EQ(pack(*unpack_process(pack(*spec->process))), pack(*spec->process));
  // Bytes of another kind are told from it, wherever they end.
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(unpack_spec({bytes.data(), size})) << size;
  EXPECT_FALSE(unpack_spec(bytes + "x"));
}

TEST(ShimSpec, FindsWhatIsForRunc) {
  const auto beyond = [](const char* text) {
    const Result<Spec> spec = parse_spec(text);
    std::string out = spec ? "" : std::string(spec.error().message);
    for (const BeyondUs& b : spec ? spec->beyond : std::vector<BeyondUs>())
      out += b.member + " (" + b.since + ") ";
    return out;
  };
  EXPECT_EQ(
      beyond(R"({"linux":{"intelRdt":{"closID":"x"},"timeOffsets":{},"netDevices":{"a":{}}}})"),
      "linux.intelRdt (1.0.0) linux.netDevices (1.3.0) ");
  EXPECT_EQ(beyond(R"({"linux":{"timeOffsets":{"boottime":{"secs":1}},"memoryPolicy":{"mode":"x"},
    "namespaces":[{"type":"time"},{"type":"mount","path":"/proc/1/ns/mnt"}]}})"),
            "linux.timeOffsets (1.1.0) linux.memoryPolicy (1.3.0) "
            "the mount namespace of another container (1.0.0) ");
  EXPECT_EQ(beyond(R"({"mounts":[{"destination":"/a","uidMappings":[{"size":1}]},
    {"destination":"/b","options":["ro","ridmap","tmpcopyup"]},{"destination":"/c",
    "options":["rro"]}]})"),
            "uidMappings of the mount /a (1.1.0) ridmap of the mount /b (1.1.0) "
            "tmpcopyup of the mount /b (1.0.0) ");
}

TEST(ShimSpec, ReadsHowAProcessIsScheduled) {
  const auto p = parse_process(R"({"args":["a"],"cwd":"/","scheduler":{"policy":"SCHED_BATCH",
    "nice":5,"flags":["SCHED_FLAG_RESET_ON_FORK"]},"ioPriority":{"class":"IOPRIO_CLASS_IDLE",
    "priority":3},"execCPUAffinity":{"initial":"0-2,5","final":"1"}})");
  ASSERT_TRUE(p) << p.error().message;
  EXPECT_EQ(p->scheduler->policy, 3u);
  EXPECT_EQ(p->scheduler->nice, 5);
  EXPECT_EQ(p->scheduler->flags, 1u);
  EXPECT_EQ(*p->io_priority, 3 << 13 | 3);
  EXPECT_EQ(p->first_cpus, (std::vector<unsigned>{0, 1, 2, 5}));
  EXPECT_EQ(p->cpus, std::vector<unsigned>{1});
  for (const char* bad : {R"({"scheduler":{"policy":"SCHED_X"}})", R"({"scheduler":{}})",
                          R"({"ioPriority":{"class":7}})", R"({"execCPUAffinity":{"final":"1-"}})",
                          R"({"execCPUAffinity":{"final":"99999"}})"})
    EXPECT_FALSE(parse_process(bad)) << bad;
}

TEST(ShimCgroup, Paths) {
  const auto path = [](const char* text) {
    const Result<std::string> p = cgroup_path(text, "id");
    return p ? *p : "error: " + std::string(p.error().message);
  };
  EXPECT_EQ(path("/default/x"), "/default/x");
  EXPECT_EQ(path("a//b/./c"), "/a/b/c");
  EXPECT_EQ(path(""), "/wafer/id");
  EXPECT_EQ(path("system.slice:docker:abc"), "/system.slice/docker-abc.scope");
  EXPECT_EQ(path("kubepods-burstable-pod1.slice:cri:abc"),
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-abc.scope");
  EXPECT_EQ(path("/a/../../b"), "error: \"cgroupsPath\" leads outside: /a/../../b");
  EXPECT_EQ(path("/"), "error: \"cgroupsPath\" is the root");
}

// The mounts of a node that has a thousand, of which a few matter, leave no trace in memory.
TEST(ShimFiles, KeepsOnlyTheLinesThatMatter) {
  const Folder folder;
  const std::string path = folder.path + "/lines", wide(40000, 'x');
  std::string other;
  for (int i = 0; i < 5000; ++i)
    other += "31 30 0:27 / /m" + std::to_string(i) + " rw - tmpfs t rw\n";
  std::ofstream(path) << "1 - cgroup a\n"
                      << other << wide << " - cgroup b" << wide << '\n'
                      << other << "2 - cgroup2 c";
  const Result<std::string> lines = read_lines(path, " - cgroup");
  ASSERT_TRUE(lines);
  EXPECT_EQ(*lines, "1 - cgroup a\n" + wide + " - cgroup b" + wide + "\n2 - cgroup2 c");
  EXPECT_LT(lines->capacity(), 5 * wide.size());
  EXPECT_FALSE(read_lines(folder.path + "/none", "x"));
}

TEST(ShimCgroup, KindsOfHosts) {
  const CgroupHost old = CgroupHost::parse(
      "30 25 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"
      "31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
      "32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
  EXPECT_FALSE(old.unified);
  ASSERT_EQ(old.hierarchies.size(), 1u);
  EXPECT_EQ(old.hierarchies[0].controllers, (std::vector<std::string>{"cpu", "cpuacct"}));
  EXPECT_TRUE(CgroupHost::parse("31 30 0:27 / /cg rw shared:4 - cgroup2 cgroup2 rw\n").unified);
}

TEST(ShimCgroup, IsNotLeftOut) {
  Folder folder;
  CgroupHost host;
  host.unified = true;
  host.hierarchies.push_back({folder.path, {}});
  std::ofstream(folder.path + "/file");
  std::filesystem::create_directory(folder.path + "/there");
  const Result<UniqueFd> there = Cgroup("/there", host).birthplace();
  ASSERT_TRUE(there);
  EXPECT_TRUE(*there);
  EXPECT_FALSE(Cgroup("/file", host).birthplace());
  // Without limits only who cannot have any.
  const Result<UniqueFd> absent = Cgroup("/absent", host).birthplace();
  EXPECT_EQ(absent.ok(), geteuid() != 0);
  if (absent) EXPECT_FALSE(*absent);
  host.unified = false;
  EXPECT_TRUE(Cgroup("/absent", host).birthplace());
}

TEST(ShimCgroup, WhoIsInsideNeedNotEnter) {
  Folder folder;
  CgroupHost host;
  for (const char* controller : {"memory", "cpu", "cpuacct", "pids"}) {
    host.hierarchies.push_back({folder.path + "/" + controller, {controller}});
    std::filesystem::create_directory(folder.path + "/" + controller);
    if (controller != std::string_view("pids"))
      std::filesystem::create_directory(folder.path + "/" + controller + "/c");
  }
  std::ofstream(folder.path + "/memory/c/cgroup.procs") << "10\n20\n";
  Cgroup group("/c", host);
  EXPECT_EQ(group.processes(), (std::vector<pid_t>{10, 20}));
  // A group that came meanwhile, and what is in it.
  const std::string later = folder.path + "/pids/c";
  std::filesystem::create_directory(later);
  std::ofstream(later + "/cgroup.procs") << "20\n";
  std::ofstream(later + "/pids.max");
  const Result<void> done = group.update(nlohmann::json::parse(R"({"pids":{"limit":5}})"));
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(*read_file(later + "/cgroup.procs"), "10\n");
  EXPECT_EQ(*read_file(later + "/pids.max"), "5");
}

TEST(ShimCgroup, GroupsThatCameMeanwhileAreEntered) {
  Folder folder;
  CgroupHost host;
  for (const char* controller : {"memory", "cpu", "cpuacct", "pids"}) {
    host.hierarchies.push_back({folder.path + "/" + controller, {controller}});
    std::filesystem::create_directories(folder.path + "/" + controller + "/c");
  }
  std::filesystem::remove(folder.path + "/pids/c");
  std::ofstream(folder.path + "/memory/c/cgroup.procs");
  Cgroup group("/c", host);
  const std::vector<std::string> known = group.entrances();
  EXPECT_EQ(known.size(), 3u);
  EXPECT_TRUE(group.admit(30, known));
  std::filesystem::create_directory(folder.path + "/pids/c");
  for (const char* file : {"/cgroup.procs", "/pids.max"})
    std::ofstream(folder.path + "/pids/c" + file);
  ASSERT_TRUE(group.update(nlohmann::json::parse(R"({"pids":{"limit":5}})")));
  ASSERT_TRUE(group.admit(30, known));
  EXPECT_EQ(*read_file(folder.path + "/pids/c/cgroup.procs"), "30");
  EXPECT_EQ(*read_file(folder.path + "/memory/c/cgroup.procs"), "");
}

TEST(ShimRootfs, LeadsNowhereElse) {
  Folder folder;
  const std::string root = folder.path + "/root";
  std::filesystem::create_directory(root);
  std::filesystem::create_directory(folder.path + "/outside");
  std::ofstream(folder.path + "/outside/secret") << "x";
  std::filesystem::create_directory_symlink(folder.path + "/outside", root + "/absolute");
  std::filesystem::create_directory_symlink("../outside", root + "/relative");
  std::filesystem::create_directory_symlink("../../../../../../../..", root + "/up");
  const Result<Rootfs> fs = Rootfs::open(root);
  ASSERT_TRUE(fs);
  for (const char* path : {"/absolute/secret", "/relative/secret", "/../outside/secret",
                           "/up/etc/passwd", "/absolute/../../../etc/passwd"})
    EXPECT_FALSE(fs->find(path, O_PATH)) << path;
  // What is missing is made inside, if anywhere.
  for (const char* path : {"/relative/new", "/absolute/new", "/../new", "/a/../../new2"})
    (void)fs->make(path, true);
  EXPECT_FALSE(std::filesystem::exists(folder.path + "/outside/new"));
  EXPECT_FALSE(std::filesystem::exists(folder.path + "/new"));
  EXPECT_FALSE(std::filesystem::exists(folder.path + "/new2"));
  EXPECT_TRUE(fs->make("/x/y/z", true));
  EXPECT_TRUE(fs->make("/x/y/file", false));
  EXPECT_TRUE(std::filesystem::is_regular_file(root + "/x/y/file"));
}

TEST(ShimRootfs, Options) {
  const MountOptions o =
      mount_options({"ro", "nosuid", "rbind", "mode=755", "rprivate", "size=1k", "rw"});
  EXPECT_EQ(o.flags, static_cast<unsigned long>(MS_NOSUID | MS_BIND | MS_REC));
  EXPECT_EQ(o.cleared, static_cast<unsigned long>(MS_RDONLY));
  EXPECT_EQ(o.data, "mode=755,size=1k");
  EXPECT_EQ(o.propagation.size(), 1u);
  const MountOptions tree = mount_options({"rbind", "rro", "rnoatime", "nosymfollow"});
  EXPECT_EQ(tree.set, uint64_t{MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME});
  EXPECT_EQ(tree.clear, uint64_t{MOUNT_ATTR__ATIME});
  EXPECT_EQ(tree.flags, static_cast<unsigned long>(MS_BIND | MS_REC | MS_NOSYMFOLLOW));
  EXPECT_EQ(tree.data, "");
}

// What waitpid(2) says of `body`, which ends as a process in a mount namespace of its own.
constexpr int kNoNamespace = 77;
template <class F>
int in_mount_namespace(F body) {
  const pid_t pid = fork();
  if (pid == 0)
    _exit(unshare(CLONE_NEWNS) == 0 &&
                  mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) == 0
              ? body()
              : kNoNamespace);
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return status;
}

TEST(ShimRootfs, ReadOnlyThroughout) {
  if (geteuid() != 0) GTEST_SKIP() << "only root mounts";
  Folder folder;
  const int status = in_mount_namespace([&folder] {
    std::error_code ec;
    for (const char* name : {"/root", "/source/below"})
      std::filesystem::create_directories(folder.path + name, ec);
    const std::string source = folder.path + "/source", below = source + "/below";
    if (mount("tmpfs", below.c_str(), "tmpfs", 0, nullptr) != 0) return kNoNamespace;
    const Result<Rootfs> root = Rootfs::open(folder.path + "/root");
    if (!root) return 1;
    for (const char* how : {"ro", "rro"})
      if (!root->mount({std::string("/") + how, "bind", source, {"rbind", how}, {}}, {})) return 2;
    const auto writes = [&](const char* path) {
      return bool(std::ofstream(folder.path + "/root" + path));
    };
    return writes("/ro/x") || !writes("/ro/below/x") || writes("/rro/x") || writes("/rro/below/x")
               ? 3
               : 0;
  });
  if (WEXITSTATUS(status) == kNoNamespace) GTEST_SKIP() << "no mount namespaces here";
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
}

// Options of a bind mount are what is asked of it, whatever the source's mount has; what a user
// namespace must not change is refused, and what is not asked for stays.
TEST(ShimRootfs, BindsAsAsked) {
  if (geteuid() != 0) GTEST_SKIP() << "only root mounts";
  Folder folder;
  const int status = in_mount_namespace([&folder] {
    std::error_code ec;
    const std::string source = folder.path + "/source";
    for (const std::string& p : {folder.path + "/root/a", folder.path + "/root/b", source})
      std::filesystem::create_directories(p, ec);
    if (mount("tmpfs", source.c_str(), "tmpfs", MS_NOATIME | MS_NOEXEC | MS_NOSUID, nullptr) != 0)
      return kNoNamespace;
    // The flags that a mount on /NAME has; 0 if it cannot be.
    const auto flags = [&](const std::string& name,
                           std::vector<std::string> options) -> unsigned long {
      const Result<Rootfs> root = Rootfs::open(folder.path + "/root");
      options.emplace_back("rbind");
      if (!root || !root->mount({"/" + name, "bind", source, options, {}}, {})) return 0;
      struct statvfs st;
      return statvfs((folder.path + "/root/" + name).c_str(), &st) == 0 ? st.f_flag : 0;
    };
    constexpr unsigned long kAll = ST_NOATIME | ST_RELATIME | ST_NOEXEC | ST_NOSUID | ST_RDONLY;
    if ((flags("a", {"relatime", "exec"}) & kAll) != (ST_RELATIME | ST_NOSUID)) return 1;
    if ((flags("a", {"atime", "ro"}) & kAll) != (ST_RELATIME | ST_NOEXEC | ST_NOSUID | ST_RDONLY))
      return 2;
    if ((flags("a", {"rw"}) & kAll) != (ST_NOATIME | ST_NOEXEC | ST_NOSUID)) return 3;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return kNoNamespace;
    for (const char* locked : {"relatime", "exec", "suid"})
      if (flags("b", {locked})) return 4;
    if ((flags("b", {"noatime", "nosuid", "rw"}) & kAll) != (ST_NOATIME | ST_NOEXEC | ST_NOSUID))
      return 5;
    return 0;
  });
  if (WEXITSTATUS(status) == kNoNamespace) GTEST_SKIP() << "no mount namespaces here";
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
}

// Somebody else changes where the destination's path leads through, as in a volume that two
// containers have.
TEST(ShimRootfs, ReadOnlyWhoeverMovesThePath) {
  if (geteuid() != 0) GTEST_SKIP() << "only root mounts";
  Folder folder;
  const int status = in_mount_namespace([&folder] {
    std::error_code ec;
    const std::string path = folder.path + "/root", source = folder.path + "/source";
    for (const std::string& p : {path + "/volume/a/x", path + "/other/x", source})
      std::filesystem::create_directories(p, ec);
    std::filesystem::create_directory_symlink("../other", path + "/volume/b", ec);
    const Result<Rootfs> root = Rootfs::open(path);
    if (!root) return 1;
    constexpr int kTimes = 2'000;
    std::atomic<bool> started{false}, stop{false};
    std::thread other([&] {
      const std::string a = path + "/volume/a", b = path + "/volume/b";
      while (!stop) {
        (void)renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
        started = true;
      }
    });
    while (!started) std::this_thread::yield();
    int refused = 0, writable = 0;
    for (int i = 0; i < kTimes; ++i)
      refused += !root->mount({"/volume/a/x", "bind", source, {"bind", "ro"}, {}}, {});
    stop = true;
    other.join();
    std::ifstream mounts("/proc/self/mountinfo");
    for (std::string line; std::getline(mounts, line);)
      writable += line.find(source + " " + path) != line.npos && line.find("/x rw") != line.npos;
    // One that is refused starts no container.
    return writable > refused ? 2 : refused == kTimes ? 3 : 0;
  });
  if (WEXITSTATUS(status) == kNoNamespace) GTEST_SKIP() << "no mount namespaces here";
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
}

// What the kernel would say to `asked` ("rw") of a device, by running the program here.
std::string verdict(const std::vector<bpf_insn>& program, char type, uint32_t major, uint32_t minor,
                    std::string_view asked) {
  uint32_t access = 0;
  for (const char c : asked)
    access |= c == 'r' ? BPF_DEVCG_ACC_READ : c == 'w' ? BPF_DEVCG_ACC_WRITE : BPF_DEVCG_ACC_MKNOD;
  const uint32_t context[] = {
      access << 16 | uint32_t(type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR), major,
      minor};
  uint32_t r[11] = {};
  for (size_t at = 0; at < program.size(); ++at) {
    const bpf_insn& i = program[at];
    uint32_t& to = r[i.dst_reg];
    const uint32_t k = uint32_t(i.imm);
    switch (i.code) {
      case BPF_LDX | BPF_W | BPF_MEM:
        if (i.src_reg != BPF_REG_1 || i.off < 0 || i.off > 8 || i.off % 4) return "bad load";
        to = context[i.off / 4];
        break;
      case BPF_ALU | BPF_MOV | BPF_X:
        to = r[i.src_reg];
        break;
      case BPF_ALU | BPF_MOV | BPF_K:
        to = k;
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        to &= k;
        break;
      case BPF_ALU | BPF_RSH | BPF_K:
        to >>= k;
        break;
      case BPF_JMP32 | BPF_JNE | BPF_K:
        if (to != k) at += size_t(i.off);
        break;
      case BPF_JMP32 | BPF_JEQ | BPF_K:
        if (to == k) at += size_t(i.off);
        break;
      case BPF_JMP | BPF_EXIT:
        return r[0] == 1 ? "yes" : r[0] == 0 ? "no" : "bad result";
      default:
        return "bad instruction";
    }
  }
  return "no end";
}

std::vector<DeviceRule> rules_of(const char* text) {
  const Result<std::vector<DeviceRule>> rules = device_rules(nlohmann::json::parse(text));
  EXPECT_TRUE(rules) << rules.error().message;
  return rules ? *rules : std::vector<DeviceRule>();
}

TEST(ShimDevices, TheLastRuleDecides) {
  const auto program = device_program(rules_of(R"([{"allow":false,"access":"rwm"},
    {"allow":true,"type":"c","major":10,"minor":229,"access":"rw"},
    {"allow":true,"type":"b","major":8,"access":"r"},
    {"allow":false,"type":"b","major":8,"minor":1,"access":"w"},
    {"allow":true,"type":"c","major":7,"access":"rwm"},
    {"allow":false,"type":"c","major":7,"minor":3,"access":"w"}])"));
  EXPECT_EQ(verdict(program, 'c', 10, 229, "rw"), "yes");
  EXPECT_EQ(verdict(program, 'c', 10, 229, "r"), "yes");
  EXPECT_EQ(verdict(program, 'c', 10, 228, "r"), "no");
  EXPECT_EQ(verdict(program, 'b', 10, 229, "r"), "no");
  EXPECT_EQ(verdict(program, 'b', 8, 0, "r"), "yes");
  EXPECT_EQ(verdict(program, 'b', 8, 1, "r"), "yes");
  EXPECT_EQ(verdict(program, 'b', 8, 0, "rw"), "no");
  // One kind of access is refused, and with it whoever asks for it among others.
  EXPECT_EQ(verdict(program, 'c', 7, 3, "r"), "yes");
  EXPECT_EQ(verdict(program, 'c', 7, 3, "rw"), "no");
  EXPECT_EQ(verdict(program, 'c', 7, 2, "rw"), "yes");
  // What every container may.
  EXPECT_EQ(verdict(program, 'c', 1, 3, "rwm"), "yes");
  EXPECT_EQ(verdict(program, 'c', 136, 77, "rw"), "yes");
  EXPECT_EQ(verdict(program, 'b', 200, 1, "m"), "yes");
  EXPECT_EQ(verdict(program, 'b', 200, 1, "rm"), "no");
}

TEST(ShimDevices, RulesForAllEndWhatCameBefore) {
  const auto all = device_program(rules_of(R"([{"allow":false,"type":"c","major":1,"minor":2},
    {"allow":true,"type":"a"}])"));
  EXPECT_EQ(verdict(all, 'c', 1, 2, "rw"), "yes");
  EXPECT_EQ(verdict(all, 'b', 99, 4294967295, "rwm"), "yes");
  const auto none = device_program(rules_of(R"([{"allow":true,"type":"a"},{"allow":false}])"));
  EXPECT_EQ(verdict(none, 'b', 8, 0, "r"), "no");
  EXPECT_EQ(verdict(none, 'c', 1, 3, "rw"), "yes");
  // Without a rule for it, a device is refused; without any rule nothing is filtered.
  const auto some = device_program(rules_of(R"([{"allow":true,"type":"c","major":9}])"));
  EXPECT_EQ(verdict(some, 'c', 9, 1, "rwm"), "yes");
  EXPECT_EQ(verdict(some, 'c', 8, 1, "r"), "no");
  EXPECT_TRUE(rules_of("[]").empty());
  EXPECT_FALSE(device_rules(nlohmann::json::parse(R"([{"allow":true,"type":"x"}])")));
  EXPECT_FALSE(device_rules(nlohmann::json::parse(R"([{"type":"c","access":"rx"}])")));
  for (const char* number : {"4294967297", "18446744073709551615"})
    EXPECT_FALSE(device_rules(nlohmann::json::parse(
        std::string(R"([{"allow":true,"type":"c","major":)") + number + "}]")));
  std::string text;
  for (const DeviceRule& r : rules_of(R"([{"allow":false},{"type":"b","minor":3,"access":"mr"}])"))
    text += to_text(r) + ",";
  EXPECT_TRUE(text.starts_with("a,b *:3 rm,c *:* m,b *:* m,c 1:3 rwm,")) << text;
}

// In a group of version 2 of this machine.
TEST(ShimDevices, TheKernelFollows) {
  const Result<std::string> mounts = read_file("/proc/self/mountinfo");
  ASSERT_TRUE(mounts);
  const size_t line = mounts->find(" - cgroup2 ");
  if (line == mounts->npos || geteuid() != 0) GTEST_SKIP() << "no control groups of version 2";
  const size_t begin = mounts->rfind('\n', line) + 1;
  const CgroupHost host =
      CgroupHost::parse(mounts->substr(begin, line - begin) + " - cgroup2 cgroup2 rw\n");
  ASSERT_TRUE(host.unified);
  const std::string probe = host.hierarchies[0].mount + "/wafer-probe";
  if (mkdir(probe.c_str(), 0755) != 0) GTEST_SKIP() << "no group can be made in " << probe;
  const bool filters = filter_devices(probe, rules_of(R"([{"allow":true}])")).ok();
  rmdir(probe.c_str());
  if (!filters) GTEST_SKIP() << "this kernel lets nobody filter devices";
  Cgroup group("/wafer-test-devices", host);
  const auto opens = [&](const char* path) {
    const pid_t pid = fork();
    if (pid == 0) {
      const UniqueFd procs(
          open((host.hierarchies[0].mount + group.path() + "/cgroup.procs").c_str(),
               O_WRONLY | O_CLOEXEC));
      if (write(procs.get(), "0", 1) != 1) _exit(2);
      _exit(open(path, O_RDONLY | O_CLOEXEC) < 0 ? 1 : 0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return status == 0;
  };
  const auto resources = [](const char* devices) {
    return nlohmann::json{{"devices", nlohmann::json::parse(devices)}};
  };
  const char* const none = R"([{"allow":false,"access":"rwm"}])";
  const char* const kmsg = R"([{"allow":false},{"allow":true,"type":"c","major":1,"minor":11}])";
  Result<void> made = group.create(resources(none));
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(opens("/dev/null"));
  EXPECT_FALSE(opens("/dev/kmsg"));
  // Other rules replace them, and the same change nothing.
  for (int i = 0; i < 2; ++i) {
    made = group.update(resources(kmsg));
    EXPECT_TRUE(made) << made.error().message;
    EXPECT_TRUE(opens("/dev/kmsg"));
  }
  EXPECT_TRUE(group.update(resources(none)));
  EXPECT_FALSE(opens("/dev/kmsg"));
  for (int i = 0; i < 100 && !group.remove(); ++i) usleep(1000);
}

// Of version 1: what nobody limits has no group, until somebody does.
TEST(ShimCgroup, GroupsThatMatter) {
  const CgroupHost& host = CgroupHost::get();
  std::string pids, memory;
  for (const CgroupHost::Hierarchy& h : host.hierarchies)
    for (const std::string& c : h.controllers) {
      if (c == "pids") pids = h.mount;
      if (c == "memory") memory = h.mount;
    }
  if (geteuid() != 0 || host.unified || pids.empty() || memory.empty())
    GTEST_SKIP() << "no control groups of version 1";
  const std::string pod = "/wafer-groups-" + std::to_string(getpid());
  if (mkdir((memory + pod).c_str(), 0755) != 0) GTEST_SKIP() << "no group can be made";
  Cgroup group(pod + "/a");
  ASSERT_TRUE(group.create({}));
  EXPECT_EQ(access((memory + group.path()).c_str(), F_OK), 0);
  EXPECT_NE(access((pids + group.path()).c_str(), F_OK), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    for (const std::string& entrance : group.entrances()) {
      const UniqueFd file(open(entrance.c_str(), O_WRONLY | O_CLOEXEC));
      if (write(file.get(), "0", 1) != 1) _exit(1);
    }
    for (;;) pause();
  }
  for (int i = 0; i < 1000 && group.processes().empty(); ++i) usleep(1000);
  EXPECT_EQ(group.processes(), std::vector<pid_t>(1, pid));
  proto::MetricsV1 stats;
  EXPECT_TRUE(stats.ParseFromString(group.stats().value));
  EXPECT_EQ(stats.pids().current(), 1u);
  // It comes along.
  EXPECT_TRUE(group.update({{"pids", {{"limit", 7}}}}));
  const std::string in = pids + group.path();
  const auto text = [&in](const char* file) {
    const Result<std::string> r = read_file(in + file);
    return r ? *r : std::string();
  };
  EXPECT_EQ(text("/pids.max"), "7\n");
  EXPECT_EQ(text("/cgroup.procs"), std::to_string(pid) + "\n");
  // What limits the pod limits the next one, too.
  Cgroup other(pod + "/b");
  EXPECT_TRUE(other.create({}));
  EXPECT_EQ(access((pids + other.path()).c_str(), F_OK), 0);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  const Cgroup all(pod);
  for (int i = 0; i < 100 && !all.remove(); ++i) usleep(1000);
  EXPECT_NE(access((pids + pod).c_str(), F_OK), 0);
}

TEST(ShimHooks, InheritNothing) {
  if (access("/bin/ls", X_OK) != 0) GTEST_SKIP() << "no /bin/ls";
  // As libraries leave them: exec does not close it.
  const UniqueFd open_socket(socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_GE(open_socket.get(), 0);
  const Result<RunningHook> hook =
      start_hook({"/bin/ls", {"ls", "/proc/self/fd"}, {"LC_ALL=C"}, 0}, "{}");
  ASSERT_TRUE(hook) << hook.error().message;
  int status = 0;
  ASSERT_EQ(waitpid(hook->pid, &status, 0), hook->pid);
  EXPECT_EQ(status, 0);
  char text[256];
  const ssize_t n = pread(hook->output.get(), text, sizeof text, 0);
  EXPECT_EQ(std::string(text, n < 0 ? 0 : size_t(n)), "0\n1\n2\n3\n");  // 3: the folder
}

TEST(ShimSeccomp, Compiles) {
  const auto compile = [](const char* text) {
    return compile_seccomp(nlohmann::json::parse(text));
  };
  const auto filter = compile(R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":
    ["SCMP_ARCH_X86_64","SCMP_ARCH_AARCH64"],"syscalls":[{"names":["mkdirat","no_such_call"],
    "action":"SCMP_ACT_ERRNO","errnoRet":7,"args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"},
    {"index":0,"value":2,"op":"SCMP_CMP_EQ"}]}]})");
  ASSERT_TRUE(filter) << filter.error().message;
  EXPECT_GT(filter->program.size(), 0u);
  EXPECT_EQ(filter->program.size() % 8, 0u);
  EXPECT_FALSE(compile(R"({"defaultAction":"SCMP_ACT_X"})"));
  EXPECT_FALSE(compile(R"({})"));
  for (const char* notify :
       {R"({"defaultAction":"SCMP_ACT_NOTIFY"})",
        R"({"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/run/x"})",
        R"({"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]})"})
    EXPECT_EQ(compile(notify).error().kind, ErrorKind::Unsupported) << notify;
  EXPECT_FALSE(compile(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],
    "action":"SCMP_ACT_KILL","args":[{"index":9,"value":1,"op":"SCMP_CMP_EQ"}]}]})"));
}

// What the kernel would do, by running the filter here.
uint32_t filtered(const std::string& program, const seccomp_data& call) {
  std::vector<sock_filter> code(program.size() / sizeof(sock_filter));
  std::memcpy(code.data(), program.data(), program.size());
  uint32_t a = 0;
  for (size_t at = 0; at < code.size(); ++at) {
    const sock_filter& i = code[at];
    switch (i.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&a, reinterpret_cast<const char*>(&call) + i.k, sizeof a);
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        at += a == i.k ? i.jt : i.jf;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        at += a >= i.k ? i.jt : i.jf;
        break;
      case BPF_RET | BPF_K:
        return i.k;
      default:
        ADD_FAILURE() << "instruction " << i.code;
        return 0;
    }
  }
  ADD_FAILURE() << "no end";
  return 0;
}

// That the filter answers the calls of a list in one way, and the others in another.
void expect_filtered(const std::string& program, const std::vector<uint32_t>& listed,
                     uint32_t answer, uint32_t otherwise) {
#if defined(__x86_64__)
  constexpr uint32_t kArch = AUDIT_ARCH_X86_64, kOther = AUDIT_ARCH_I386;
#else
  constexpr uint32_t kArch = AUDIT_ARCH_AARCH64, kOther = AUDIT_ARCH_ARM;
#endif
  seccomp_data call{};
  for (uint32_t n = 0; n < 1000; ++n) {
    call.nr = int(n);
    call.arch = kArch;
    const bool is_listed = std::find(listed.begin(), listed.end(), n) != listed.end();
    EXPECT_EQ(filtered(program, call), is_listed ? answer : otherwise) << n;
    call.arch = kOther;
    EXPECT_EQ(filtered(program, call), SECCOMP_RET_KILL_PROCESS) << n;
  }
#if defined(__x86_64__)
  call.arch = kArch;
  call.nr = 0x40000000;  // x32
  EXPECT_EQ(filtered(program, call), SECCOMP_RET_ERRNO | EPERM);
#endif
}

TEST(ShimSeccomp, WebAssemblyIsRefusedWhatItDoesNotNeed) {
  EXPECT_GT(refused_to_wasm().size(), 40u);
  expect_filtered(wasm_filter().program, refused_to_wasm(), SECCOMP_RET_ERRNO | EPERM,
                  SECCOMP_RET_ALLOW);
}

TEST(ShimSeccomp, WhoCompilesHasOnlyWhatItNeeds) {
  const std::vector<uint32_t> needed = needed_to_compile();
  expect_filtered(compiler_filter().program, needed, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | EPERM);
  for (const long call : {SYS_kill, SYS_tgkill, SYS_ptrace, SYS_openat, SYS_socket, SYS_clone,
                          SYS_clone3, SYS_execve, SYS_prlimit64, SYS_setpriority, SYS_ioctl})
    EXPECT_EQ(std::count(needed.begin(), needed.end(), uint32_t(call)), 0) << call;
}

// What the action "compile" makes of these bytes; the code, or what it says.
std::pair<int, std::string> compiled(std::string_view binary) {
  const UniqueFd layer = memory_file(binary), code = memory_file({}), told = memory_file({});
  const Result<pid_t> pid = start_program({WAFER_SHIM,
                                           {"containerd-shim-wafer-v1", "compile"},
                                           {},
                                           {layer.get(), code.get(), told.get()}});
  int status = -1;
  EXPECT_TRUE(pid);
  if (!pid || waitpid(*pid, &status, 0) != *pid) return {-1, {}};
  return {status, status == 0 ? text_in(code, 1 << 20) : text_in(told)};
}

TEST(ShimPrecompile, OneAtATime) {
  Folder folder;
  const std::string in = folder.path + "/turns";
  Result<UniqueFd> first = try_turn(in);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_TRUE(*first);
  const Result<UniqueFd> second = try_turn(in);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_FALSE(*second);
  first->reset();
  EXPECT_TRUE(*try_turn(in));
  // Where others could hold it, there is none.
  ASSERT_EQ(chmod(in.c_str(), 0777), 0);
  EXPECT_FALSE(try_turn(in));
  std::filesystem::create_directory_symlink(in, folder.path + "/link");
  EXPECT_FALSE(try_turn(folder.path + "/link"));
}

TEST(ShimPrecompile, CopiesWhatMayChange) {
  const UniqueFd file = memory_file("one");
  const auto copy = copy_program(file);
  ASSERT_TRUE(copy);
  EXPECT_EQ(pwrite(file.get(), "two", 3, 0), 3);
  EXPECT_EQ(text_in(**copy), "one");
  EXPECT_LT(pwrite((*copy)->get(), "two", 3, 0), 0);
  EXPECT_LT(ftruncate((*copy)->get(), 1), 0);
  EXPECT_LT(ftruncate((*copy)->get(), 4), 0);
  const Result<std::string> label = code_label_of(**copy);
  ASSERT_TRUE(label);
  EXPECT_TRUE(label->starts_with(code_label() + "."));
  EXPECT_EQ(*code_label_of(memory_file("one")), *label);
  EXPECT_NE(*code_label_of(file), *label);
  EXPECT_FALSE(copy_program(UniqueFd(open("/dev/zero", O_RDONLY))));
  EXPECT_FALSE(copy_program(UniqueFd()));
  EXPECT_EQ(ftruncate(file.get(), off_t(kMaxCompiled) + 1), 0);
  EXPECT_FALSE(copy_program(file));
}

TEST(ShimPrecompile, IsConfined) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can leave the machine's files";
  using namespace std::literals;
  // A function that gives 42, and as a component with nothing in it.
  const auto module =
      "\0asm\1\0\0\0\1\5\1\x60\0\1\x7f\3\2\1\0\7\5\1\1f\0\0\n\6\1\4\0\x41\x2a\x0b"sv;
  const auto [status, code] = compiled(module);
  if (code.starts_with("no optimizing code generator")) GTEST_SKIP() << code;
  if (code.starts_with("cannot leave")) GTEST_SKIP() << code;
  EXPECT_EQ(status, 0) << code;
  EXPECT_TRUE(code.starts_with("\0waferc\n"sv));
  EXPECT_TRUE(code_fits(memory_file(code)));
  std::string other = code;
  other[8] = char(other[8] + 1);  // the version
  EXPECT_FALSE(code_fits(memory_file(other)));
  EXPECT_FALSE(code_fits(memory_file(code.substr(0, code.size() - 1))));
  EXPECT_FALSE(code_fits(memory_file({})));
  std::string component = "\0asm\r\0\1\0\1"s + char(module.size());
  component += module;
  const auto [other_status, bundle] = compiled(component);
  EXPECT_EQ(other_status, 0) << bundle;
  EXPECT_TRUE(bundle.starts_with("\0waferb\n"sv));
  EXPECT_TRUE(code_fits(memory_file(bundle)));
  const auto [bad_status, why] = compiled("\0asm\1\0\0\0\1"sv);
  EXPECT_EQ(WEXITSTATUS(bad_status), 1);
  EXPECT_FALSE(why.empty());
}

TEST(ShimOptions, TomlByValue) {
  const auto parse = [](const char* text) {
    proto::RuntimeOptions options;
    options.set_config_body(text);
    proto::Any any;
    any.set_type_url("runtimeoptions.v1.Options");
    any.set_value(options.SerializeAsString());
    return parse_settings(any);
  };
  EXPECT_EQ(parse("")->tier, "baseline");
  EXPECT_EQ(parse("tier = 'interp'\nfuel = 5")->fuel, 5u);
  EXPECT_EQ(parse("runc = '/opt/runc'")->runc, "/opt/runc");
  EXPECT_TRUE(parse("")->compile);
  EXPECT_FALSE(parse("compile = false")->compile);
  EXPECT_FALSE(parse("tier = 'fast'"));
  const auto unknown = parse("tear = 'interp'");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(std::string(unknown.error().message),
            "the runtime's options: no option 'tear'; there are tier, fuel, runc, compile");
  EXPECT_FALSE(parse("tier ="));
}

// Runs the loop until `done`, or too long.
void run_until(Loop& loop, const bool& done) {
  const uint64_t timer = loop.after(std::chrono::seconds(10), [&loop] { loop.stop(); });
  while (!done) {
    loop.after(std::chrono::milliseconds(1), [&loop] { loop.stop(); });
    loop.run();
    if (testing::Test::HasFailure()) break;
  }
  loop.cancel(timer);
}

TEST(ShimRpc, CallsAndErrors) {
  Folder folder;
  Loop loop;
  Result<UniqueFd> listener = listen_unix(folder.path + "/s");
  ASSERT_TRUE(listener) << listener.error().message;
  RpcServer server(loop, *std::move(listener),
                   [](std::string_view service, std::string_view method, std::string payload,
                      std::string_view, RpcServer::Reply reply) {
                     if (method == "Fail")
                       return reply(RpcResult::error(RpcCode::NotFound, "gone"));
                     reply({RpcCode::Ok, std::string(service) + "." + payload});
                   });
  RpcClient client(loop, folder.path + "/s");
  bool done = false;
  int answers = 0;
  const std::string large(1 << 20, 'x');
  client.call("S", "M", large, [&](RpcResult r) {
    EXPECT_EQ(r.text, "S." + large);
    done = ++answers == 2;
  });
  client.call("S", "Fail", "", [&](RpcResult r) {
    EXPECT_EQ(r.code, RpcCode::NotFound);
    EXPECT_EQ(r.text, "gone");
    done = ++answers == 2;
  });
  run_until(loop, done);
  EXPECT_EQ(answers, 2);
}

TEST(ShimRpc, DamagedFramesEndTheConnection) {
  Folder folder;
  Loop loop;
  Result<UniqueFd> listener = listen_unix(folder.path + "/s");
  ASSERT_TRUE(listener);
  RpcServer server(loop, *std::move(listener),
                   [](std::string_view, std::string_view, std::string, std::string_view,
                      RpcServer::Reply reply) { reply({}); });
  Result<UniqueFd> socket = connect_unix(folder.path + "/s");
  ASSERT_TRUE(socket);
  const char header[10] = {'\x7f', '\x7f', '\x7f', '\x7f', 0, 0, 0, 1, 1, 0};
  ASSERT_EQ(write(socket->get(), header, sizeof header), 10);
  bool done = false;
  loop.watch(socket->get(), EPOLLIN, [&](uint32_t) {
    char c;
    EXPECT_LE(read(socket->get(), &c, 1), 0);
    done = true;
  });
  run_until(loop, done);
  loop.forget(socket->get());
}

TEST(ShimIo, ASlowReaderGetsAll) {
  Loop loop;
  int in[2], out[2];
  ASSERT_EQ(pipe2(in, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
  const auto pump = std::make_shared<Pump>(loop, UniqueFd(in[0]), UniqueFd(out[1]));
  bool ended = false;
  pump->start([&] { ended = true; });
  // More than the pipe that is read holds.
  constexpr size_t kSize = 300000;
  size_t sent = 0, received = 0;
  UniqueFd source(in[1]), target(out[0]);
  (void)fcntl(source.get(), F_SETFL, O_NONBLOCK);
  std::string chunk(1000, 'a');
  for (int round = 0; round < 5000 && !(ended && received == kSize); ++round) {
    while (sent < kSize) {
      const ssize_t n = write(source.get(), chunk.data(), std::min(chunk.size(), kSize - sent));
      if (n <= 0) break;
      sent += size_t(n);
      if (sent == kSize) source.reset();
    }
    loop.after(std::chrono::milliseconds(1), [&loop] { loop.stop(); });
    loop.run();
    char buffer[7000];
    if (round % 3 == 0 || sent == kSize) {
      const ssize_t n = read(target.get(), buffer, sizeof buffer);
      if (n > 0) received += size_t(n);
    }
  }
  EXPECT_EQ(received, kSize);
  EXPECT_TRUE(ended);
}

TEST(ShimTelemetry, FollowsTheUsualVariables) {
  std::map<std::string, std::string> set;
  const auto options = [&set] {
    return telemetry_options([&set](const char* name) {
      const auto it = set.find(name);
      return it == set.end() ? std::string() : it->second;
    });
  };
  EXPECT_FALSE(options()->traces || options()->metrics);
  set["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://collector:4318/base/";
  EXPECT_EQ(options()->traces->host, "collector");
  EXPECT_EQ(options()->traces->path, "/base/v1/traces");
  EXPECT_EQ(options()->metrics->path, "/base/v1/metrics");
  set["OTEL_METRICS_EXPORTER"] = "none";
  EXPECT_FALSE(options()->metrics);
  set["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = "http://[::1]/spans";
  EXPECT_EQ(options()->traces->host, "::1");
  EXPECT_EQ(options()->traces->port, "4318");
  EXPECT_EQ(options()->traces->path, "/spans");
  set["OTEL_EXPORTER_OTLP_HEADERS"] = "a=b,c=d=e,nonsense,x=y\r\nz: 1";
  EXPECT_EQ(options()->traces->headers.size(), 2u);
  set["OTEL_SERVICE_NAME"] = "s";
  set["OTEL_RESOURCE_ATTRIBUTES"] = "service.name=other,k=v";
  EXPECT_EQ(options()->resource.size(), 2u);
  for (const char* bad : {"https://collector", "collector:4318", "http://", "http://a b"}) {
    set["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = bad;
    EXPECT_FALSE(options()) << bad;
  }
  set["OTEL_SDK_DISABLED"] = "true";
  EXPECT_FALSE(options()->traces);
}

Detached find_layer(LayerSource& layers, std::string& error, bool& done) {
  const Result<LayerSource::Program> layer = co_await layers.find("c", "/app", {});
  error = layer ? "" : std::string(layer.error().message);
  done = true;
}

TEST(ShimLayers, SayWhyTheyAreNotThere) {
  Folder folder;
  Loop loop;
  GrpcClient client(loop, folder.path + "/nobody", "test");
  LayerSource layers(client);
  std::string error;
  bool done = false;
  find_layer(layers, error, done);
  run_until(loop, done);
#if WAFER_WITH_HTTP2
  EXPECT_EQ(error, "containerd: cannot connect to " + folder.path + "/nobody");
#else
  EXPECT_EQ(error, "");
#endif
}

TEST(ShimLayers, AreForgottenWithWhoAsked) {
  Folder folder;
  Loop loop;
  Result<UniqueFd> listener = listen_unix(folder.path + "/s");
  ASSERT_TRUE(listener);
  std::string error;
  bool done = false;
  {
    GrpcClient client(loop, folder.path + "/s", "test");
    LayerSource layers(client);
    find_layer(layers, error, done);
  }
#if WAFER_WITH_HTTP2
  EXPECT_FALSE(done);
#endif
}

TEST(ShimLayers, AreReopened) {
  Folder folder;
  const std::string path = folder.path + "/f";
  std::ofstream(path) << "layer";
  const UniqueFd file(open(path.c_str(), O_RDWR | O_CLOEXEC));
  const Result<UniqueFd> one = LayerSource::reopen(file), other = LayerSource::reopen(file);
  ASSERT_TRUE(one && other);
  char c = 0;
  EXPECT_EQ(read(one->get(), &c, 1), 1);
  EXPECT_EQ(read(other->get(), &c, 1), 1);
  EXPECT_EQ(c, 'l');
  EXPECT_EQ(lseek(file.get(), 0, SEEK_CUR), 0);
  EXPECT_EQ(write(one->get(), "x", 1), -1);
  EXPECT_FALSE(LayerSource::reopen(UniqueFd()));
}

// One that takes connections and says nothing.
struct SilentCollector {
  SilentCollector() : socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(socket.get(), 8), 0);
    EXPECT_EQ(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port = std::to_string(ntohs(address.sin_port));
  }
  TelemetryOptions metrics_to(const std::string& host) const {
    TelemetryOptions options;
    options.metrics = {host, port, "/", {}};
    return options;
  }
  // What comes by the next connection, up to `end` or its end.
  std::string heard(const char* end) const {
    const UniqueFd connection(accept(socket.get(), nullptr, nullptr));
    return rest_of(connection, end);
  }
  static std::string rest_of(const UniqueFd& connection, const char* end) {
    const timeval patience{10, 0};
    EXPECT_EQ(setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    std::string text;
    char buffer[4096];
    while (!end || text.find(end) == text.npos) {
      const ssize_t n = recv(connection.get(), buffer, sizeof buffer, 0);
      EXPECT_GE(n, 0);
      if (n <= 0) break;
      text.append(buffer, size_t(n));
    }
    return text;
  }
  UniqueFd socket;
  std::string port;
};

void tell_of_a_call(Telemetry& telemetry) {
  telemetry.follow("S", "M", "c", "", [](const RpcResult&) {})({});
}

TEST(ShimTelemetry, LeavesNothingInTheLoop) {
  const SilentCollector collector;
  Loop loop;
  UniqueFd connection;
  {
    Telemetry telemetry(loop, collector.metrics_to("127.0.0.1"));
    tell_of_a_call(telemetry);
    telemetry.flush();
    connection = UniqueFd(accept(collector.socket.get(), nullptr, nullptr));
    // What is sent has begun, and is not answered.
    loop.after(std::chrono::milliseconds(20), [&loop] { loop.stop(); });
    loop.run();
    EXPECT_TRUE(telemetry.has_unsent());
  }
  (void)SilentCollector::rest_of(connection, nullptr);
  {
    // And one that fails, whose successor waits.
    TelemetryOptions options = collector.metrics_to("127.0.0.1");
    options.metrics->port = "1";
    options.traces = options.metrics;
    Telemetry telemetry(loop, options);
    tell_of_a_call(telemetry);
    telemetry.flush();
  }
  loop.after(std::chrono::milliseconds(20), [&loop] { loop.stop(); });
  loop.run();
}

TEST(ShimTelemetry, CountsContainersWhenItTells) {
  const SilentCollector collector;
  Loop loop;
  Telemetry telemetry(loop, collector.metrics_to("127.0.0.1"));
  size_t containers = 3;
  telemetry.count_containers([&containers] { return containers; });
  tell_of_a_call(telemetry);
  containers = 7;
  telemetry.flush();
  EXPECT_NE(collector.heard(R"("asInt":"7")").find(R"("asInt":"7")"), std::string::npos);
}

TEST(ShimTelemetry, LooksNamesUpBesideTheLoop) {
  const SilentCollector collector;
  Loop loop;
  const NameService names{.delay = std::chrono::milliseconds(500)};
  Telemetry telemetry(loop, collector.metrics_to("two.example"));
  tell_of_a_call(telemetry);
  const auto begin = std::chrono::steady_clock::now();
  telemetry.flush();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, names.delay / 2);
  // Nobody is at the first of the addresses.
  EXPECT_NE(collector.heard("\r\n\r\n").find("host: two.example:" + collector.port + "\r\n"),
            std::string::npos);
}

TEST(ShimTelemetry, PutsAddressesInBrackets) {
  const OtlpTarget six{"::1", "4318", "/v1/traces", {}}, four{"127.0.0.1", "80", "/", {}};
  EXPECT_EQ(six.url(), "http://[::1]:4318/v1/traces");
  EXPECT_EQ(four.url(), "http://127.0.0.1:80/");
}

}  // namespace
}  // namespace wafer::shim

// Stands in front of the system's, for names of tests only.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** found) {
  using Function = int(const char*, const char*, const addrinfo*, addrinfo**);
  static auto* const real = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, "getaddrinfo"));
  const auto* const names = wafer::shim::NameService::current.load();
  if (!names || std::string_view(name ? name : "") != "two.example")
    return real(name, service, hints, found);
  std::this_thread::sleep_for(names->delay);
  if (const int error = real("127.0.0.2", service, hints, found)) return error;
  addrinfo* last = *found;
  while (last->ai_next) last = last->ai_next;
  return real("127.0.0.1", service, hints, &last->ai_next);
}
