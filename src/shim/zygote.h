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

  // Makes a process as `request` says; its end of the launch channel is `control`. Gives its
  // number; it is a child of the caller. Blocks for as long as a fork takes.
  Result<pid_t> spawn(const proto::SpawnRequest& request, UniqueFd control);
  pid_t pid() const { return pid_; }

 private:
  Zygote(pid_t pid, UniqueFd socket) : pid_(pid), socket_(std::move(socket)) {}
  pid_t pid_;
  UniqueFd socket_;
};

}  // namespace wafer::shim
