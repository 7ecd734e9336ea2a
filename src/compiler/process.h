// A code generator in processes of its own: the memory that it takes goes with them, and a fault
// in it ends no program.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "compiler/backend.h"

namespace wafer::compiler {

using FindBackend = std::function<Result<Backend*>()>;

// A program that calls generate_code(), and its arguments, without its name.
struct GeneratorCommand {
  std::string program;
  std::vector<std::string> arguments;
};

// Runs the command when there is something to compile, several times where threads compile at
// once. Processes are kept for what comes next until rest(). One that dies while it compiles is an
// error (Io) of that; others follow it. From any thread.
class BackendProcess final : public Backend {
 public:
  explicit BackendProcess(GeneratorCommand command);
  ~BackendProcess() override;
  // Whether there is a process, and a code generator in it: Io if none can be started, else what
  // the process says.
  Result<void> start();
  Result<ImageParts> compile(const wasm::Module& module, const CompileOptions& options,
                             std::span<const uint32_t> functions) override;
  Result<Vec<uint8_t>> compile_in_place(const wasm::Module& module,
                                        const CompileOptions& options) override;
  Result<ImageTraits> traits(const CompileOptions& options) override;
  // Ends those that compile nothing.
  void rest();

 private:
  class Process;
  Result<std::unique_ptr<Process>> take();
  Result<std::string> ask(uint8_t request, const wasm::Module* module,
                          const CompileOptions& options, std::span<const uint32_t> functions);

  const GeneratorCommand command_;
  std::atomic<bool> started_{false};
  std::mutex mutex_;
  std::vector<std::unique_ptr<Process>> idle_;
};

// What such a process does: compiles by `backend` what the socket `fd` asks for. Returns when that
// is closed; ends the process at once if it is closed meanwhile.
void generate_code(int fd, const FindBackend& backend);

}  // namespace wafer::compiler
