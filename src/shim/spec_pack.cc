#include "shim/spec_pack.h"

#include <concepts>
#include <cstring>
#include <tuple>
#include <type_traits>

namespace wafer::shim {

namespace {

template <class T, class S>
concept Of = std::same_as<std::remove_const_t<T>, S>;

// The members of each structure. One that is missing here does not compile.
auto parts(Of<SchedulerSpec> auto& s) {
  auto& [policy, nice, priority, flags, runtime, deadline, period] = s;
  return std::tie(policy, nice, priority, flags, runtime, deadline, period);
}
auto parts(Of<RlimitSpec> auto& s) {
  auto& [resource, soft, hard] = s;
  return std::tie(resource, soft, hard);
}
auto parts(Of<CapabilitySpec> auto& s) {
  auto& [bounding, effective, inheritable, permitted, ambient] = s;
  return std::tie(bounding, effective, inheritable, permitted, ambient);
}
auto parts(Of<ProcessSpec> auto& s) {
  auto& [terminal, rows, columns, args, env, cwd, uid, gid, umask, groups, capabilities, rlimits,
         no_new_privileges, oom_score_adj, apparmor, selinux, scheduler, io_priority, first_cpus,
         cpus] = s;
  return std::tie(terminal, rows, columns, args, env, cwd, uid, gid, umask, groups, capabilities,
                  rlimits, no_new_privileges, oom_score_adj, apparmor, selinux, scheduler,
                  io_priority, first_cpus, cpus);
}
auto parts(Of<MountSpec> auto& s) {
  auto& [destination, type, source, options, label] = s;
  return std::tie(destination, type, source, options, label);
}
auto parts(Of<DeviceSpec> auto& s) {
  auto& [path, type, major, minor, mode, uid, gid] = s;
  return std::tie(path, type, major, minor, mode, uid, gid);
}
auto parts(Of<NamespaceSpec> auto& s) {
  auto& [flag, path] = s;
  return std::tie(flag, path);
}
auto parts(Of<IdMapping> auto& s) {
  auto& [inside, outside, size] = s;
  return std::tie(inside, outside, size);
}
auto parts(Of<HookSpec> auto& s) {
  auto& [path, args, env, timeout] = s;
  return std::tie(path, args, env, timeout);
}
auto parts(Of<Spec> auto& s) {
  auto& [version, root, root_readonly, process, hostname, domainname, mounts, annotations, hooks,
         namespaces, uid_mappings, gid_mappings, devices, cgroups_path, resources, seccomp, sysctl,
         propagation, masked, readonly, personality, beyond] = s;
  return std::tie(version, root, root_readonly, process, hostname, domainname, mounts, annotations,
                  hooks, namespaces, uid_mappings, gid_mappings, devices, cgroups_path, sysctl,
                  propagation, masked, readonly, personality);
}

class Packer {
 public:
  template <class T>
  void put(const T& value) {
    if constexpr (std::is_arithmetic_v<T>) {
      out.append(reinterpret_cast<const char*>(&value), sizeof value);
    } else {
      std::apply([this](const auto&... part) { (this->put(part), ...); }, parts(value));
    }
  }
  void put(const std::string& text) {
    put(uint32_t(text.size()));
    out += text;
  }
  template <class T>
  void put(const std::optional<T>& value) {
    put(value.has_value());
    if (value) put(*value);
  }
  template <class T>
  void put(const std::vector<T>& list) {
    put(uint32_t(list.size()));
    for (const T& one : list) put(one);
  }
  template <class K, class V>
  void put(const std::map<K, V>& table) {
    put(uint32_t(table.size()));
    for (const auto& [key, value] : table) {
      put(key);
      put(value);
    }
  }
  std::string out;
};

class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : rest_(bytes) {}
  template <class T>
  bool take(T& value) {
    if constexpr (std::is_arithmetic_v<T>) {
      if (rest_.size() < sizeof value) return false;
      std::memcpy(&value, rest_.data(), sizeof value);
      rest_.remove_prefix(sizeof value);
      return true;
    } else {
      return std::apply([this](auto&... part) { return (this->take(part) && ...); }, parts(value));
    }
  }
  bool take(bool& value) {
    uint8_t byte = 0;
    if (!take(byte) || byte > 1) return false;
    value = byte;
    return true;
  }
  bool take(std::string& text) {
    uint32_t size = 0;
    if (!take(size) || rest_.size() < size) return false;
    text = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }
  template <class T>
  bool take(std::optional<T>& value) {
    bool there = false;
    return take(there) && (!there || take(value.emplace()));
  }
  template <class T>
  bool take(std::vector<T>& list) {
    uint32_t size = 0;
    // Each takes a byte at least.
    if (!take(size) || rest_.size() < size) return false;
    list.resize(size);
    for (T& one : list)
      if (!take(one)) return false;
    return true;
  }
  template <class K, class V>
  bool take(std::map<K, V>& table) {
    uint32_t size = 0;
    if (!take(size)) return false;
    for (uint32_t i = 0; i < size; ++i) {
      K key;
      if (!take(key) || !take(table[std::move(key)])) return false;
    }
    return true;
  }
  bool is_done() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

template <class T>
std::string packed(const T& value) {
  Packer packer;
  packer.put(value);
  return std::move(packer.out);
}

template <class T>
Result<T> unpacked(std::string_view bytes) {
  T value;
  Unpacker unpacker(bytes);
  if (!unpacker.take(value) || !unpacker.is_done())
    return Error(ErrorKind::Invalid, "what came is no configuration");
  return value;
}

}  // namespace

std::string pack(const Spec& spec) { return packed(spec); }
std::string pack(const ProcessSpec& process) { return packed(process); }
Result<Spec> unpack_spec(std::string_view bytes) { return unpacked<Spec>(bytes); }
Result<ProcessSpec> unpack_process(std::string_view bytes) { return unpacked<ProcessSpec>(bytes); }

}  // namespace wafer::shim
