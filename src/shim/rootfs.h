// A container's file system: what is mounted, made, hidden and made read-only in it.
#pragma once

#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "shim/spec.h"

namespace wafer::shim {

// Options of a mount as mount(2) takes them.
struct MountOptions {
  unsigned long flags = 0;
  unsigned long cleared = 0;               // flags that are asked not to be there, as by "exec"
  std::vector<unsigned long> propagation;  // MS_PRIVATE, ..., each applied by a call of its own
  std::string data;
  uint64_t set = 0, clear = 0;  // MOUNT_ATTR_*, of it and all mounts below it
};
MountOptions mount_options(const std::vector<std::string>& options);

// Below a folder, which nothing here leads out of: links, "..", and absolute paths are taken as
// the container itself would.
class Rootfs {
 public:
  // `path` is the root's, absolute, after it was mounted.
  static Result<Rootfs> open(const std::string& path);

  // O_PATH and other `flags` of `path` inside; `resolve` is more of openat2(2). None with errno.
  UniqueFd find(const std::string& path, int flags, uint64_t resolve = 0) const;
  // The same; makes it, and the folders above it, where it is missing.
  Result<UniqueFd> make(const std::string& path, bool folder) const;

  // One entry of "mounts". `cgroup` is the container's path in each hierarchy.
  Result<void> mount(const MountSpec& mount, const std::string& cgroup) const;
  // The devices that every container has, and `devices`.
  Result<void> make_devices(const std::vector<DeviceSpec>& devices) const;
  Result<void> mask(const std::string& path) const;
  Result<void> make_readonly(const std::string& path) const;
  // All of it, the root's own mount.
  Result<void> make_root_readonly() const;
  // Makes it this process's root and gives up what was.
  Result<void> enter() const;

  const std::string& path() const { return path_; }

 private:
  Rootfs(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  Result<UniqueFd> mount_by_path(const MountSpec& m, MountOptions o, bool bind,
                                 const UniqueFd& target) const;
  Result<void> mount_cgroups(const MountSpec& mount, const std::string& cgroup) const;
  // One that was found, for who comes to it again.
  struct Folder {
    std::string path;
    UniqueFd fd;
  };
  Result<void> make_device(const DeviceSpec& device, Folder& in) const;
  std::string path_;
  UniqueFd fd_;
};

// Mounts what containerd gives for the root, in order. Io.
Result<void> mount_at(const std::string& target, const std::string& type, const std::string& source,
                      const std::vector<std::string>& options);

}  // namespace wafer::shim
