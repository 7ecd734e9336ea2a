// Control groups of a container, version 1 and 2.
#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"

namespace wafer::shim {

// Where this machine's control groups are.
struct CgroupHost {
  struct Hierarchy {
    std::string mount;                     // "/sys/fs/cgroup/memory"
    std::vector<std::string> controllers;  // "memory"; of version 2, all that it has
  };
  std::vector<Hierarchy> hierarchies;
  bool unified = false;  // version 2 rules; else version 1 does

  // Reads `mountinfo`, in the form of /proc/self/mountinfo.
  static CgroupHost parse(std::string_view mountinfo);
  static const CgroupHost& get();
};

// The path below each hierarchy that linux.cgroupsPath stands for: itself, or what systemd would
// make of SLICE:PREFIX:NAME; one of `id` if it is empty. Invalid for one that leads outside.
Result<std::string> cgroup_path(const std::string& cgroups_path, const std::string& id);

class Cgroup {
 public:
  // The group at `path`, which need not be there.
  explicit Cgroup(std::string path, const CgroupHost& host = CgroupHost::get())
      : host_(&host), path_(std::move(path)) {}

  // Makes it in every hierarchy that matters and limits it as linux.resources says.
  Result<void> create(const nlohmann::json& resources);
  Result<void> update(const nlohmann::json& resources);
  // Of version 1, the files "tasks": "0" written to each lets a process of one thread in.
  std::vector<std::string> entrances() const;
  // Lets process `pid` into those of its groups that are not among `known`, what entrances() gave
  // when the process was made: others came while it was on its way.
  Result<void> admit(pid_t pid, const std::vector<std::string>& known) const;
  // Of version 2, what processes are made in: its folder. None if there is no group, as only those
  // may be without who are not root. Io.
  Result<UniqueFd> birthplace() const;
  std::vector<pid_t> processes() const;
  // All processes in it and below.
  void signal_all(int signal) const;
  Result<void> freeze(bool on) const;
  // How often a process of it was killed for want of memory.
  uint64_t oom_kills() const;
  // Memory that may be used, in bytes; 0: no limit.
  uint64_t memory_limit() const;
  // A Metrics message of the version, and its name.
  struct Stats {
    std::string type_url, value;
  };
  Stats stats() const;
  // Removes it with all below it. False while there are processes in it.
  bool remove() const;
  const std::string& path() const { return path_; }

 private:
  std::string folder(const std::string& controller) const;
  const std::vector<std::string>& folders() const;
  std::vector<std::string> wanted(const nlohmann::json& resources) const;
  Result<std::string> make_group(const std::string& controller) const;
  Result<void> enter_group(const std::string& controller) const;
  Result<void> apply(const nlohmann::json& resources) const;
  Result<void> apply_v1(const nlohmann::json& resources) const;
  Result<void> apply_v2(const nlohmann::json& resources) const;
  Result<void> write(const std::string& controller, const std::string& file,
                     const std::string& value) const;
  std::string read(const std::string& controller, const std::string& file) const;
  uint64_t number(const std::string& controller, const std::string& file) const;
  Stats stats_v1() const;
  Stats stats_v2() const;
  const CgroupHost* host_;
  std::string path_;
  mutable std::vector<std::string> folders_;  // once they are known
};

}  // namespace wafer::shim
