#include "shim/spec.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/descriptor.h"
#include "oci/format/json.h"

namespace wafer::shim {

namespace {

using nlohmann::json;
using oci::member_of;

// In the order of their numbers.
constexpr std::string_view kCapabilities[] = {"CHOWN",
                                              "DAC_OVERRIDE",
                                              "DAC_READ_SEARCH",
                                              "FOWNER",
                                              "FSETID",
                                              "KILL",
                                              "SETGID",
                                              "SETUID",
                                              "SETPCAP",
                                              "LINUX_IMMUTABLE",
                                              "NET_BIND_SERVICE",
                                              "NET_BROADCAST",
                                              "NET_ADMIN",
                                              "NET_RAW",
                                              "IPC_LOCK",
                                              "IPC_OWNER",
                                              "SYS_MODULE",
                                              "SYS_RAWIO",
                                              "SYS_CHROOT",
                                              "SYS_PTRACE",
                                              "SYS_PACCT",
                                              "SYS_ADMIN",
                                              "SYS_BOOT",
                                              "SYS_NICE",
                                              "SYS_RESOURCE",
                                              "SYS_TIME",
                                              "SYS_TTY_CONFIG",
                                              "MKNOD",
                                              "LEASE",
                                              "AUDIT_WRITE",
                                              "AUDIT_CONTROL",
                                              "SETFCAP",
                                              "MAC_OVERRIDE",
                                              "MAC_ADMIN",
                                              "SYSLOG",
                                              "WAKE_ALARM",
                                              "BLOCK_SUSPEND",
                                              "AUDIT_READ",
                                              "PERFMON",
                                              "BPF",
                                              "CHECKPOINT_RESTORE"};

struct Named {
  std::string_view name;
  int value;
};
constexpr Named kNamespaces[] = {{"pid", CLONE_NEWPID},       {"network", CLONE_NEWNET},
                                 {"mount", CLONE_NEWNS},      {"ipc", CLONE_NEWIPC},
                                 {"uts", CLONE_NEWUTS},       {"user", CLONE_NEWUSER},
                                 {"cgroup", CLONE_NEWCGROUP}, {"time", 0x80 /* CLONE_NEWTIME */}};
constexpr Named kRlimits[] = {{"RLIMIT_AS", RLIMIT_AS},
                              {"RLIMIT_CORE", RLIMIT_CORE},
                              {"RLIMIT_CPU", RLIMIT_CPU},
                              {"RLIMIT_DATA", RLIMIT_DATA},
                              {"RLIMIT_FSIZE", RLIMIT_FSIZE},
                              {"RLIMIT_LOCKS", RLIMIT_LOCKS},
                              {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
                              {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
                              {"RLIMIT_NICE", RLIMIT_NICE},
                              {"RLIMIT_NOFILE", RLIMIT_NOFILE},
                              {"RLIMIT_NPROC", RLIMIT_NPROC},
                              {"RLIMIT_RSS", RLIMIT_RSS},
                              {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
                              {"RLIMIT_RTTIME", RLIMIT_RTTIME},
                              {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
                              {"RLIMIT_STACK", RLIMIT_STACK}};

template <size_t N>
std::optional<int> value_of(const Named (&table)[N], std::string_view name) {
  for (const Named& n : table)
    if (n.name == name) return n.value;
  return std::nullopt;
}

constexpr Named kSchedulers[] = {{"SCHED_OTHER", 0},   {"SCHED_FIFO", 1}, {"SCHED_RR", 2},
                                 {"SCHED_BATCH", 3},   {"SCHED_ISO", 4},  {"SCHED_IDLE", 5},
                                 {"SCHED_DEADLINE", 6}};
constexpr Named kSchedulerFlags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", 0x01}, {"SCHED_FLAG_RECLAIM", 0x02},
    {"SCHED_FLAG_DL_OVERRUN", 0x04},    {"SCHED_FLAG_KEEP_POLICY", 0x08},
    {"SCHED_FLAG_KEEP_PARAMS", 0x10},   {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40}};
constexpr Named kIoClasses[] = {
    {"IOPRIO_CLASS_RT", 1}, {"IOPRIO_CLASS_BE", 2}, {"IOPRIO_CLASS_IDLE", 3}};
constexpr Named kPersonalities[] = {{"LINUX", PER_LINUX}, {"LINUX32", PER_LINUX32}};

// Members of "linux" that are handed to runc, where they are there and not empty.
constexpr std::pair<const char*, const char*> kBeyond[] = {{"intelRdt", "1.0.0"},
                                                           {"timeOffsets", "1.1.0"},
                                                           {"netDevices", "1.3.0"},
                                                           {"memoryPolicy", "1.3.0"}};

// What is wrong with the configuration itself; caught where parsing begins.
struct BadSpec {
  std::string message;
};

// Whether numbers of `value` are whole, and such as T has: others would become different ones.
template <class T>
bool fits(const json& value) {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    return value.is_number_unsigned()
               ? std::in_range<T>(value.get<uint64_t>())
               : value.is_number_integer() && std::in_range<T>(value.get<int64_t>());
  } else if constexpr (requires { typename T::value_type; } && !std::is_same_v<T, std::string>) {
    return std::all_of(value.begin(), value.end(), [](const json& one) {
      if constexpr (std::is_integral_v<typename T::value_type>)
        return fits<typename T::value_type>(one);
      return true;
    });
  }
  return true;
}

template <class T>
void take(const json& object, const char* name, T& into) {
  const json& value = member_of(object, name);
  if (value.is_null()) return;
  if (!fits<T>(value)) throw BadSpec{std::string("\"") + name + "\" is no such number"};
  try {
    value.get_to(into);
  } catch (const json::exception&) {
    throw BadSpec{std::string("\"") + name + "\" is not what it has to be"};
  }
}

template <class T>
T taken(const json& object, const char* name, T otherwise = {}) {
  take(object, name, otherwise);
  return otherwise;
}

// What becomes an argument of a system call ends at its first NUL.
void refuse_nul(const std::string& text, const char* what) {
  if (text.find('\0') != std::string::npos) throw BadSpec{std::string(what) + " has a NUL byte"};
}

uint64_t capability_set(const json& object, const char* name) {
  uint64_t set = 0;
  for (const std::string& capability : taken<std::vector<std::string>>(object, name)) {
    // What this kernel may not know yet is what the container does not get.
    if (const auto number = capability_number(capability)) set |= uint64_t{1} << *number;
  }
  return set;
}

int named(const json& value, const char* what, const auto& table) {
  const std::string name = value.is_string() ? value.get<std::string>() : std::string();
  const std::optional<int> number = value_of(table, name);
  if (!number) throw BadSpec{std::string("no ") + what + " '" + name + "'"};
  return *number;
}

SchedulerSpec scheduler_of(const json& j) {
  SchedulerSpec s;
  s.policy = uint32_t(named(member_of(j, "policy"), "scheduler", kSchedulers));
  take(j, "nice", s.nice);
  take(j, "priority", s.priority);
  for (const json& flag : member_of(j, "flags"))
    s.flags |= uint64_t(named(flag, "flag of a scheduler", kSchedulerFlags));
  take(j, "runtime", s.runtime);
  take(j, "deadline", s.deadline);
  take(j, "period", s.period);
  return s;
}

// "0-3,7"
std::vector<unsigned> processors_of(const std::string& list) {
  constexpr unsigned kMost = 8192;
  std::vector<unsigned> out;
  const char* at = list.data();
  const char* const end = at + list.size();
  const auto number = [&] {
    unsigned n = 0;
    const auto r = std::from_chars(at, end, n);
    if (r.ec != std::errc() || n >= kMost) throw BadSpec{"no processors '" + list + "'"};
    at = r.ptr;
    return n;
  };
  while (at != end) {
    const unsigned first = number();
    unsigned last = first;
    if (at != end && *at == '-') {
      ++at;
      last = number();
    }
    for (unsigned n = first; n <= last; ++n) out.push_back(n);
    if (out.size() > kMost) throw BadSpec{"too many processors"};
    if (at != end && *at++ != ',') throw BadSpec{"no processors '" + list + "'"};
  }
  return out;
}

ProcessSpec process_of(const json& j) {
  if (!j.is_object()) throw BadSpec{"\"process\" is not an object"};
  ProcessSpec p;
  take(j, "terminal", p.terminal);
  const json& size = member_of(j, "consoleSize");
  take(size, "height", p.rows);
  take(size, "width", p.columns);
  take(j, "args", p.args);
  take(j, "env", p.env);
  take(j, "cwd", p.cwd);
  for (const std::string& arg : p.args) refuse_nul(arg, "an argument");
  for (const std::string& variable : p.env) refuse_nul(variable, "a variable");
  refuse_nul(p.cwd, "\"cwd\"");
  if (!p.cwd.starts_with('/')) throw BadSpec{"\"cwd\" is not an absolute path"};
  const json& user = member_of(j, "user");
  take(user, "uid", p.uid);
  take(user, "gid", p.gid);
  if (!member_of(user, "umask").is_null()) p.umask = taken<mode_t>(user, "umask") & 0777;
  take(user, "additionalGids", p.groups);
  if (const json& c = member_of(j, "capabilities"); !c.is_null())
    p.capabilities = CapabilitySpec{capability_set(c, "bounding"), capability_set(c, "effective"),
                                    capability_set(c, "inheritable"),
                                    capability_set(c, "permitted"), capability_set(c, "ambient")};
  for (const json& r : member_of(j, "rlimits")) {
    const std::string type = taken<std::string>(r, "type");
    const std::optional<int> resource = value_of(kRlimits, type);
    if (!resource) throw BadSpec{"no resource limit '" + type + "'"};
    p.rlimits.push_back({*resource, taken<uint64_t>(r, "soft"), taken<uint64_t>(r, "hard")});
  }
  take(j, "noNewPrivileges", p.no_new_privileges);
  if (!member_of(j, "oomScoreAdj").is_null()) p.oom_score_adj = taken<int>(j, "oomScoreAdj");
  take(j, "apparmorProfile", p.apparmor_profile);
  take(j, "selinuxLabel", p.selinux_label);
  if (const json& s = member_of(j, "scheduler"); !s.is_null()) p.scheduler = scheduler_of(s);
  if (const json& io = member_of(j, "ioPriority"); !io.is_null())
    p.io_priority = named(member_of(io, "class"), "class of I/O", kIoClasses) << 13 |
                    (taken<int>(io, "priority") & 7);
  const json& affinity = member_of(j, "execCPUAffinity");
  p.first_cpus = processors_of(taken<std::string>(affinity, "initial"));
  p.cpus = processors_of(taken<std::string>(affinity, "final"));
  return p;
}

std::vector<IdMapping> mappings_of(const json& list) {
  std::vector<IdMapping> out;
  for (const json& m : list)
    out.push_back({taken<uint32_t>(m, "containerID"), taken<uint32_t>(m, "hostID"),
                   taken<uint32_t>(m, "size")});
  return out;
}

DeviceSpec device_of(const json& j) {
  DeviceSpec d;
  take(j, "path", d.path);
  refuse_nul(d.path, "the path of a device");
  const std::string type = taken<std::string>(j, "type");
  if (type == "c" || type == "u")
    d.type = S_IFCHR;
  else if (type == "b")
    d.type = S_IFBLK;
  else if (type == "p")
    d.type = S_IFIFO;
  else
    throw BadSpec{"no type of device '" + type + "'"};
  take(j, "major", d.major);
  take(j, "minor", d.minor);
  take(j, "fileMode", d.mode);
  take(j, "uid", d.uid);
  take(j, "gid", d.gid);
  return d;
}

// What of it only runc does.
void find_beyond(const json& j, Spec& s) {
  const json& l = member_of(j, "linux");
  for (const auto& [name, since] : kBeyond)
    if (!member_of(l, name).empty()) s.beyond.push_back({std::string("linux.") + name, since});
  const NamespaceSpec* const mounts = s.find_namespace(CLONE_NEWNS);
  if (mounts && !mounts->path.empty())
    s.beyond.push_back({"the mount namespace of another container", "1.0.0"});
  for (const json& m : member_of(j, "mounts")) {
    const std::string where = " of the mount " + taken<std::string>(m, "destination");
    for (const char* name : {"uidMappings", "gidMappings"})
      if (!member_of(m, name).empty()) s.beyond.push_back({name + where, "1.1.0"});
    for (const json& option : member_of(m, "options"))
      if (option == "idmap" || option == "ridmap" || option == "tmpcopyup")
        s.beyond.push_back(
            {option.get<std::string>() + where, option == "tmpcopyup" ? "1.0.0" : "1.1.0"});
  }
}

// Takes what is large out of `j`.
Spec spec_of(json& j) {
  if (!j.is_object()) throw BadSpec{"not an object"};
  Spec s;
  take(j, "ociVersion", s.version);
  const json& root = member_of(j, "root");
  take(root, "path", s.root);
  refuse_nul(s.root, "\"root\"");
  take(root, "readonly", s.root_readonly);
  if (const json& process = member_of(j, "process"); !process.is_null())
    s.process = process_of(process);
  take(j, "hostname", s.hostname);
  take(j, "domainname", s.domainname);
  for (const json& m : member_of(j, "mounts")) {
    MountSpec mount;
    take(m, "destination", mount.destination);
    take(m, "type", mount.type);
    take(m, "source", mount.source);
    take(m, "options", mount.options);
    if (mount.destination.empty()) throw BadSpec{"a mount has no destination"};
    refuse_nul(mount.destination, "the destination of a mount");
    refuse_nul(mount.source, "the source of a mount");
    s.mounts.push_back(std::move(mount));
  }
  take(j, "annotations", s.annotations);
  const json& hooks = member_of(j, "hooks");
  for (const char* name : {"prestart", "createRuntime", "createContainer", "startContainer",
                           "poststart", "poststop"}) {
    for (const json& h : member_of(hooks, name)) {
      HookSpec hook;
      take(h, "path", hook.path);
      take(h, "args", hook.args);
      take(h, "env", hook.env);
      take(h, "timeout", hook.timeout_seconds);
      if (!hook.path.starts_with('/')) throw BadSpec{"the path of a hook is not absolute"};
      s.hooks[name].push_back(std::move(hook));
    }
  }
  const json& l = member_of(j, "linux");
  for (const json& n : member_of(l, "namespaces")) {
    const std::string type = taken<std::string>(n, "type");
    const std::optional<int> flag = value_of(kNamespaces, type);
    if (!flag) throw BadSpec{"no namespace '" + type + "'"};
    if (s.find_namespace(*flag)) throw BadSpec{"two namespaces '" + type + "'"};
    s.namespaces.push_back({*flag, taken<std::string>(n, "path")});
  }
  s.uid_mappings = mappings_of(member_of(l, "uidMappings"));
  s.gid_mappings = mappings_of(member_of(l, "gidMappings"));
  for (const json& d : member_of(l, "devices")) s.devices.push_back(device_of(d));
  take(l, "cgroupsPath", s.cgroups_path);
  s.resources = member_of(l, "resources");
  if (const auto own = j.find("linux"); own != j.end() && own->is_object())
    if (const auto seccomp = own->find("seccomp"); seccomp != own->end())
      s.seccomp = std::move(*seccomp);
  take(l, "sysctl", s.sysctl);
  take(l, "rootfsPropagation", s.rootfs_propagation);
  take(l, "maskedPaths", s.masked_paths);
  take(l, "readonlyPaths", s.readonly_paths);
  std::string mount_label;
  take(l, "mountLabel", mount_label);
  for (MountSpec& m : s.mounts) m.label = mount_label;
  if (const json& p = member_of(l, "personality"); !p.is_null()) {
    s.personality = named(member_of(p, "domain"), "personality", kPersonalities);
    if (!member_of(p, "flags").empty()) throw BadSpec{"a personality has no flags"};
  }
  find_beyond(j, s);
  return s;
}

template <class T, class Parse>
Result<T> parse(std::string_view text, const char* what, Parse&& of) {
  WAFER_LET(j, oci::parse_value(text, what));
  try {
    return of(j);
  } catch (const BadSpec& bad) {
    return Error(ErrorKind::Invalid, std::string(what) + ": " + bad.message);
  } catch (const json::exception& e) {
    return Error(ErrorKind::Invalid, std::string(what) + ": " + e.what());
  }
}

}  // namespace

std::optional<int> capability_number(std::string_view name) {
  if (name.starts_with("CAP_")) name.remove_prefix(4);
  for (size_t i = 0; i < std::size(kCapabilities); ++i)
    if (kCapabilities[i] == name) return int(i);
  return std::nullopt;
}

const NamespaceSpec* Spec::find_namespace(int flag) const {
  for (const NamespaceSpec& n : namespaces)
    if (n.flag == flag) return &n;
  return nullptr;
}

const std::vector<HookSpec>& Spec::hooks_of(const std::string& name) const {
  static const std::vector<HookSpec> none;
  const auto it = hooks.find(name);
  return it == hooks.end() ? none : it->second;
}

std::string Spec::annotation(const std::string& name) const {
  const auto it = annotations.find(name);
  return it == annotations.end() ? std::string() : it->second;
}

uint64_t Spec::memory_limit() const {
  const json& limit = member_of(member_of(resources, "memory"), "limit");
  return limit.is_number_integer() && limit.get<int64_t>() > 0 ? limit.get<uint64_t>() : 0;
}

unsigned Spec::processors() const {
  const json& cpu = member_of(resources, "cpu");
  const json &quota = member_of(cpu, "quota"), &period = member_of(cpu, "period");
  if (!quota.is_number_integer() || quota.get<int64_t>() <= 0) return 0;
  const uint64_t each =
      period.is_number_integer() && period.get<int64_t>() > 0 ? period.get<uint64_t>() : 100'000;
  return unsigned(std::min<uint64_t>((quota.get<uint64_t>() - 1) / each + 1, 256));
}

Result<Spec> parse_spec(std::string_view text) { return parse<Spec>(text, "config.json", spec_of); }

Result<ProcessSpec> parse_process(std::string_view text) {
  return parse<ProcessSpec>(text, "the process", process_of);
}

}  // namespace wafer::shim
