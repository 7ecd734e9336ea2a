// What turns functions of a module into machine code.
#pragma once

#include <atomic>
#include <optional>
#include <span>
#include <string>

#include "compiler/code_image.h"
#include "wasm/module.h"

namespace wafer::compiler {

// Settings that shape code; instances share code only where they agree.
struct CodeOptions {
  bool guard_pages = true;     // 32-bit memories are in Guarded mode
  bool signals = true;         // traps are undefined instructions; else calls
  bool fuel = false;           // Store::fuel is counted
  bool interruptible = false;  // Store::interrupt_flag is polled
  // The optimizer may leave out or move accesses that would trap, and stores before a trap.
  // Without it every access that is out of bounds traps, and all that precedes it in the
  // program, and nothing else, has happened then.
  bool relaxed_traps = false;
  bool operator==(const CodeOptions&) const = default;
};

// Of ImageTraits::options: the bits of `options`, and back.
uint32_t option_bits(const CodeOptions& options);
CodeOptions options_of(const ImageTraits& traits);

// A loop of a function, to be entered while the function runs in other code (on-stack
// replacement).
struct LoopEntry {
  uint32_t func = 0;
  uint32_t loop = 0;  // offset in the module of the `loop` instruction
};

// How to generate code.
struct CompileOptions {
  CodeOptions code;
  unsigned opt_level = 2;  // 0..3
  std::string target;      // "x86_64", "aarch64", or a triple; empty: this machine
  std::string cpu;         // LLVM's name, "native" or "baseline"; empty: native here,
                           // baseline for other targets
  unsigned threads = 0;    // 0: as many as there are processors
  // Calls of functions that are not compiled along go through VmContext::entries; without
  // it all calls are direct, and all functions must be compiled.
  bool through_entries = false;
  // Compiles nothing but this: the function's code from the loop on (see loop_frame_offset()).
  std::optional<LoopEntry> enter_at;
  // Of the whole module, functions that are known to be run a lot. Shapes no code.
  Vec<uint32_t> hot;
  const std::atomic<uint32_t>* cancel = nullptr;  // not 0: give up soon, with an Error
  // Code for compile_in_place().
  bool in_place = false;
  // Tells modules apart that one program compiles; 0: it is not known. Shapes no code.
  uint64_t module_id = 0;
  // Tells code generators apart for the cache (backend_identity()); shapes no code.
  uint64_t generator = 0;
};

// An optimizing code generator that makes images.
class Backend {
 public:
  virtual ~Backend() = default;
  // Compiles `functions` of the validated `module` (all own functions if empty).
  virtual Result<ImageParts> compile(const wasm::Module& module, const CompileOptions& options,
                                     std::span<const uint32_t> functions) = 0;
  // Code of the whole module that runs in place on a microcontroller, as a file
  // (interp/xip_format.h). Unsupported, with the function and the instruction, if there is
  // something in the module that it has no code for.
  virtual Result<Vec<uint8_t>> compile_in_place(const wasm::Module& module,
                                                const CompileOptions& options) = 0;
  // Bits of CpuFeatures that compile() would use for `options`, without compiling.
  virtual Result<ImageTraits> traits(const CompileOptions& options) = 0;
};

}  // namespace wafer::compiler
