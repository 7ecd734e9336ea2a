// Joins code of single functions, as FunctionCompiler makes it, to the parts of an image.
#pragma once

#include <atomic>

#include "compiler/baseline/compiler.h"
#include "compiler/code_image.h"

namespace wafer::compiler {

class FunctionLinker {
 public:
  explicit FunctionLinker(const wasm::Module& module) : module_(module) {}

  // Makes code of `functions` by compilers that `make` gives, one for each of `threads` threads
  // (0: as many as there are processors), with `options`, which are those of an image. Gives, in
  // their order, those that there is no code for.
  // Unsupported: `cancel` was set.
  Result<Vec<uint32_t>> compile(std::span<const uint32_t> functions, MakeFunctionCompiler make,
                                const BaselineOptions& options, unsigned threads,
                                const std::atomic<uint32_t>* cancel);
  // Bytes of code so far.
  size_t size() const;

  // An image of that code, and of `others`, which call what they do not hold through
  // VmContext::entries. Functions that neither holds are called so, too. `traits` and `module`
  // of the result are those of `others`. Unsupported if it gets too large.
  Result<ImageParts> link(ImageParts others) const;

 private:
  // Code of some functions, in a row.
  struct Piece {
    Vec<uint8_t> text;
    Vec<ImageFunction> functions;
    Vec<ImageLocation> locations;
    Vec<ImageHandler> handlers;
    Vec<CodeReference> references;
    Vec<uint32_t> left;
    void add(uint32_t func, const CompiledFunction& code);
  };
  struct Work;
  static void* run(void* work);

  const wasm::Module& module_;
  Vec<Piece> pieces_;
};

}  // namespace wafer::compiler
