// Which devices a control group of version 2 may use: a program for the kernel, made from
// linux.resources.devices.
#pragma once

#include <linux/bpf.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace wafer::shim {

struct DeviceRule {
  bool allow = false;
  char type = 'a';                       // 'c', 'b', or 'a': all devices, whatever their numbers
  std::optional<uint32_t> major, minor;  // none: any
  uint32_t access = 0;                   // BPF_DEVCG_ACC_*
};

// The rules of a configuration, with those for the devices that every container has at the end.
// Invalid with what is wrong.
Result<std::vector<DeviceRule>> device_rules(const nlohmann::json& devices);
// As groups of version 1 take one: "c 1:3 rwm".
std::string to_text(const DeviceRule& rule);

// A program of type BPF_PROG_TYPE_CGROUP_DEVICE. Each kind of access that is asked for is decided
// by the last rule for the device that names it; what none does is refused.
std::vector<bpf_insn> device_program(const std::vector<DeviceRule>& rules);

// Has the group in `folder` follow `rules`, instead of what it was told before. Io.
Result<void> filter_devices(const std::string& folder, const std::vector<DeviceRule>& rules);

}  // namespace wafer::shim
