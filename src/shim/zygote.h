// The process that containers are forked from: it has the engine, and nothing of any container.
#pragma once

#include <sys/types.h>

#include "base/descriptor.h"
#include "base/result.h"
#include "shim/loop.h"
#include "shim/proto/launch.pb.h"

namespace wafer::shim {

class Zygote {
 public:
  // Forks it. To be called before this process holds what containers must not see.
  static Result<Zygote> start();
  Zygote(Zygote&&) = default;
  Zygote& operator=(Zygote&&) = default;

  // The same at any time: by way of this program anew, with the action "zygote", which calls
  // become_zygote().
  static Result<Zygote> start_anew();

  // Makes a process as `request` says, in the control group `cgroup` if there is one; its end of
  // the launch channel is `control`. Gives its number; it is a child of the caller. Blocks for as
  // long as a fork takes. Not open any more if that is because the zygote has ended.
  Result<pid_t> spawn(const proto::SpawnRequest& request, UniqueFd control, UniqueFd cgroup);
  bool is_open() const { return bool(socket_); }
  pid_t pid() const { return pid_; }

 private:
  Zygote(pid_t pid, UniqueFd socket) : pid_(pid), socket_(std::move(socket)) {}
  pid_t pid_;
  UniqueFd socket_;
};

// For the action "zygote".
[[noreturn]] void become_zygote();

}  // namespace wafer::shim
