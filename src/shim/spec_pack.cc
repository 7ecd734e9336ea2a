#include "shim/spec_pack.h"

#include <concepts>
#include <tuple>
#include <type_traits>

#include "base/pack.h"

namespace wafer::shim {

template <class T, class S>
concept Of = std::same_as<std::remove_const_t<T>, S>;

// The members of each structure. One that is missing here does not compile.
static auto parts(Of<SchedulerSpec> auto& s) {
  auto& [policy, nice, priority, flags, runtime, deadline, period] = s;
  return std::tie(policy, nice, priority, flags, runtime, deadline, period);
}
static auto parts(Of<RlimitSpec> auto& s) {
  auto& [resource, soft, hard] = s;
  return std::tie(resource, soft, hard);
}
static auto parts(Of<CapabilitySpec> auto& s) {
  auto& [bounding, effective, inheritable, permitted, ambient] = s;
  return std::tie(bounding, effective, inheritable, permitted, ambient);
}
static auto parts(Of<ProcessSpec> auto& s) {
  auto& [terminal, rows, columns, args, env, cwd, uid, gid, umask, groups, capabilities, rlimits,
         no_new_privileges, oom_score_adj, apparmor, selinux, scheduler, io_priority, first_cpus,
         cpus] = s;
  return std::tie(terminal, rows, columns, args, env, cwd, uid, gid, umask, groups, capabilities,
                  rlimits, no_new_privileges, oom_score_adj, apparmor, selinux, scheduler,
                  io_priority, first_cpus, cpus);
}
static auto parts(Of<MountSpec> auto& s) {
  auto& [destination, type, source, options, label] = s;
  return std::tie(destination, type, source, options, label);
}
static auto parts(Of<DeviceSpec> auto& s) {
  auto& [path, type, major, minor, mode, uid, gid] = s;
  return std::tie(path, type, major, minor, mode, uid, gid);
}
static auto parts(Of<NamespaceSpec> auto& s) {
  auto& [flag, path] = s;
  return std::tie(flag, path);
}
static auto parts(Of<IdMapping> auto& s) {
  auto& [inside, outside, size] = s;
  return std::tie(inside, outside, size);
}
static auto parts(Of<HookSpec> auto& s) {
  auto& [path, args, env, timeout] = s;
  return std::tie(path, args, env, timeout);
}
static auto parts(Of<Spec> auto& s) {
  auto& [version, root, root_readonly, process, hostname, domainname, mounts, annotations, hooks,
         namespaces, uid_mappings, gid_mappings, devices, cgroups_path, resources, seccomp, sysctl,
         propagation, masked, readonly, personality, beyond] = s;
  return std::tie(version, root, root_readonly, process, hostname, domainname, mounts, annotations,
                  hooks, namespaces, uid_mappings, gid_mappings, devices, cgroups_path, sysctl,
                  propagation, masked, readonly, personality);
}

namespace {

template <class T>
Result<T> unpacked(std::string_view bytes) {
  T value;
  if (!unpack_into(value, bytes)) return Error(ErrorKind::Invalid, "what came is no configuration");
  return value;
}

}  // namespace

std::string pack(const Spec& spec) { return packed(spec); }
std::string pack(const ProcessSpec& process) { return packed(process); }
Result<Spec> unpack_spec(std::string_view bytes) { return unpacked<Spec>(bytes); }
Result<ProcessSpec> unpack_process(std::string_view bytes) { return unpacked<ProcessSpec>(bytes); }

}  // namespace wafer::shim
