// Containers that need more than this runtime does: runc makes and runs them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "shim/async.h"
#include "shim/container.h"
#include "shim/loop.h"

namespace wafer::shim {

class Runc {
 public:
  // `program` is a path, or a name that is looked for on PATH. Nothing is run yet. Unsupported,
  // with `why` it is needed, if it is not there.
  static Result<Runc> find(const std::string& program, const std::string& why);

  // Does this runc know what `spec` needs? Older ones leave out in silence what they do not know.
  Task<Result<void>> check(Loop& loop, const std::vector<BeyondUs>& beyond) const;
  // Makes the container with its first process, which waits for its start. Its number.
  Task<Result<pid_t>> create(Loop& loop, const Container& container, Process& process) const;
  Task<Result<void>> start(Loop& loop, const Container& container) const;
  // Runs a process in the container. Its number.
  Task<Result<pid_t>> exec(Loop& loop, const Container& container, Process& process) const;
  Task<Result<void>> kill(Loop& loop, const Container& container, int signal) const;
  Task<Result<void>> pause(Loop& loop, const Container& container, bool on) const;
  Task<Result<void>> update(Loop& loop, const Container& container,
                            const std::string& resources) const;
  // Ends what is left of it and forgets it.
  Task<Result<void>> remove(Loop& loop, const Container& container) const;

  // After a shim that is gone: ends and forgets the container in the bundle if runc has it.
  static void remove_left(const std::string& bundle, const std::string& id);

 private:
  explicit Runc(std::string program) : program_(std::move(program)) {}
  // Runs it with `args`, and options for its files in `folder` if there is one. `streams` are its
  // standard ones; else it reads `input`. What it prints.
  Task<Result<std::string>> run(Loop& loop, std::string folder, std::vector<std::string> args,
                                std::string input, const std::vector<UniqueFd>* streams) const;
  Task<Result<pid_t>> run_detached(Loop& loop, const Container& container, Process& process,
                                   std::vector<std::string> args) const;
  std::string program_;
};

}  // namespace wafer::shim
