// What the shim knows of its containers.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "shim/cgroup.h"
#include "shim/io.h"
#include "shim/proto/task.pb.h"
#include "shim/seccomp.h"
#include "shim/spec.h"
#include "shim/ttrpc.h"

namespace wafer::shim {

class Runc;

// The first process of a container, or one that was added to it.
struct Process {
  explicit Process(Loop& loop) : io(loop) {}
  std::string exec_id;  // empty: the first
  std::string in, out, err;
  bool terminal = false;
  std::string spec, packed;  // of an exec'd one: its "process" as JSON, and packed
  ProcessIo io;

  proto::TaskStatus status = proto::CREATED;
  pid_t pid = 0;
  UniqueFd control;       // while it is launched, or while it serves and takes machine code
  bool starting = false;  // between Start and its answer
  Later<bool> started;    // that answer
  uint32_t exit_status = 0;
  proto::Timestamp exited_at;
  std::vector<std::function<void()>> waiting;  // for its end
};

// A program that runs without machine code that can be made of it.
struct Uncompiled {
  std::shared_ptr<const UniqueFd> program;  // null: there is no such
  // What of containerd's content store refers to the code, and the label by which it does.
  std::string digest, label;
  bool same_code(const Uncompiled& other) const {
    return digest == other.digest && label == other.label;
  }
};

struct Container {
  explicit Container(Loop& loop, std::string cgroup) : first(loop), cgroup(std::move(cgroup)) {}
  std::string id, bundle;
  Spec spec;
  std::vector<proto::Mount> rootfs;
  std::string root_path() const { return spec.root_in(bundle); }
  Process first;
  std::map<std::string, std::shared_ptr<Process>> execs;
  Cgroup cgroup;
  uint64_t oom_kills = 0;  // that were told
  bool ready = false;      // Create has succeeded
  bool paused = false;
  std::string tier, runc_program;
  uint64_t fuel = 0;
  bool compile = false;  // layers
  SeccompFilter seccomp;
  std::shared_ptr<const Runc> runc;       // has made it; null: this shim did
  std::shared_ptr<const UniqueFd> layer;  // its program, if that is no file of the root
  std::shared_ptr<const UniqueFd> code;   // that it took while it ran
  Uncompiled uncompiled;
};

}  // namespace wafer::shim
