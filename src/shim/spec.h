// A container's configuration: config.json of the OCI runtime specification.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "shim/files.h"

namespace wafer::shim {

// A member that this runtime does not do, and that runc does.
struct BeyondUs {
  std::string member;  // "linux.intelRdt"
  const char* since;   // the version of the specification that a runc has to know
};

// Of sched_setattr(2).
struct SchedulerSpec {
  uint32_t policy = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t flags = 0, runtime = 0, deadline = 0, period = 0;
};

struct RlimitSpec {
  int resource;
  uint64_t soft, hard;
};

// Sets of capabilities, as bits.
struct CapabilitySpec {
  uint64_t bounding = 0, effective = 0, inheritable = 0, permitted = 0, ambient = 0;
};

struct ProcessSpec {
  bool terminal = false;
  uint16_t rows = 0, columns = 0;
  std::vector<std::string> args;
  std::vector<std::string> env;  // NAME=VALUE
  std::string cwd = "/";
  uid_t uid = 0;
  gid_t gid = 0;
  std::optional<mode_t> umask;
  std::vector<gid_t> groups;
  std::optional<CapabilitySpec> capabilities;
  std::vector<RlimitSpec> rlimits;
  bool no_new_privileges = false;
  std::optional<int> oom_score_adj;
  std::string apparmor_profile, selinux_label;
  std::optional<SchedulerSpec> scheduler;
  std::optional<int> io_priority;  // as ioprio_set(2) takes it
  // Of one that is added to a container: the processors that it begins and goes on with.
  std::vector<unsigned> first_cpus, cpus;
};

struct MountSpec {
  std::string destination, type, source;
  std::vector<std::string> options;
  std::string label;  // SELinux's, of the files in it
};

struct DeviceSpec {
  std::string path;
  mode_t type;  // S_IFCHR, S_IFBLK or S_IFIFO
  uint32_t major = 0, minor = 0;
  mode_t mode = 0666;
  uid_t uid = 0;
  gid_t gid = 0;
};

struct NamespaceSpec {
  int flag;          // CLONE_NEWPID, ...
  std::string path;  // to join; empty: a new one
};

struct IdMapping {
  uint32_t inside, outside, size;
};

struct HookSpec {
  std::string path;
  std::vector<std::string> args, env;
  int timeout_seconds = 0;  // 0: none
};

struct Spec {
  std::string version;
  std::string root = "rootfs";
  bool root_readonly = false;
  std::optional<ProcessSpec> process;
  std::string hostname, domainname;
  std::vector<MountSpec> mounts;
  std::map<std::string, std::string> annotations;
  // By name: prestart, createRuntime, createContainer, startContainer, poststart, poststop.
  std::map<std::string, std::vector<HookSpec>> hooks;
  std::vector<NamespaceSpec> namespaces;
  std::vector<IdMapping> uid_mappings, gid_mappings;
  std::vector<DeviceSpec> devices;
  std::string cgroups_path;
  nlohmann::json resources;  // linux.resources, for cgroups
  nlohmann::json seccomp;    // linux.seccomp, or null
  std::map<std::string, std::string> sysctl;
  std::string rootfs_propagation;
  std::vector<std::string> masked_paths, readonly_paths;
  std::optional<uint32_t> personality;
  std::vector<BeyondUs> beyond;

  // Where the root of a container lies whose bundle is at `bundle`.
  std::string root_in(const std::string& bundle) const {
    return root.starts_with('/') ? root : bundle + "/" + root;
  }
  const NamespaceSpec* find_namespace(int flag) const;
  const std::vector<HookSpec>& hooks_of(const std::string& name) const;
  std::string annotation(const std::string& name) const;
  // linux.resources.memory.limit in bytes; 0: none.
  uint64_t memory_limit() const;
  // How many processors linux.resources.cpu's quota makes, rounded up; 0: no limit.
  unsigned processors() const;
};

// config.json as a whole. Invalid with a message that names the member.
Result<Spec> parse_spec(std::string_view json);
// Its "process" object alone, as an exec brings it.
Result<ProcessSpec> parse_process(std::string_view json);
// The number of a capability by name ("CAP_KILL"), or nothing.
std::optional<int> capability_number(std::string_view name);

}  // namespace wafer::shim
