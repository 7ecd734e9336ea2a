// config.json of a container: any text gives a configuration or an error.
#include <string>
#include <vector>

#include "shim/spec.h"

std::vector<std::string> make_seeds() {
  return {
      R"({"ociVersion":"1.1.0","process":{"terminal":true,"consoleSize":{"height":24,"width":80},
"user":{"uid":1,"gid":2,"umask":18,"additionalGids":[3]},"args":["/a.wasm","b"],
"env":["A=1"],"cwd":"/x","capabilities":{"bounding":["CAP_KILL"],"effective":["CAP_CHOWN"]},
"rlimits":[{"type":"RLIMIT_NOFILE","hard":1024,"soft":512}],"noNewPrivileges":true,
"oomScoreAdj":-5},"root":{"path":"rootfs","readonly":true},"hostname":"h",
"mounts":[{"destination":"/proc","type":"proc","source":"proc","options":["nosuid","ro"]}],
"hooks":{"prestart":[{"path":"/bin/true","args":["true"],"env":["B=2"],"timeout":3}]},
"annotations":{"k":"v"},"linux":{"uidMappings":[{"containerID":0,"hostID":1000,"size":10}],
"resources":{"memory":{"limit":1048576},"cpu":{"quota":50000,"period":100000,"shares":2},
"devices":[{"allow":false,"access":"rwm"}],"pids":{"limit":5}},"cgroupsPath":"/a/b",
"namespaces":[{"type":"pid"},{"type":"network","path":"/proc/1/ns/net"}],
"devices":[{"path":"/dev/x","type":"c","major":1,"minor":3,"fileMode":438,"uid":0,"gid":0}],
"sysctl":{"net.a":"1"},"rootfsPropagation":"rslave","maskedPaths":["/proc/kcore"],
"readonlyPaths":["/proc/sys"],"seccomp":{"defaultAction":"SCMP_ACT_ERRNO"}}})",
      R"({"args":["a"],"cwd":"/","env":[],"user":{"uid":0,"gid":0}})",
  };
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto spec = wafer::shim::parse_spec(text);
  if (spec.ok()) {
    spec->memory_limit();
    spec->processors();
  }
  const auto process = wafer::shim::parse_process(text);
  return 0;
}
