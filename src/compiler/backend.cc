#include "compiler/backend.h"

#include "compiler/abi.h"
#include "compiler/llvm_loader.h"

namespace wafer::compiler {

uint32_t option_bits(const CodeOptions& options) {
  return (options.guard_pages ? kOptionGuardPages : 0) | (options.fuel ? kOptionFuel : 0) |
         (options.interruptible ? kOptionInterruptible : 0) |
         (options.relaxed_traps ? 0 : kOptionExactTraps) | (options.signals ? 0 : kOptionNoSignals);
}

CodeOptions options_of(const ImageTraits& traits) {
  CodeOptions o;
  o.guard_pages = traits.options & kOptionGuardPages;
  o.fuel = traits.options & kOptionFuel;
  o.interruptible = traits.options & kOptionInterruptible;
  o.relaxed_traps = !(traits.options & kOptionExactTraps);
  o.signals = !(traits.options & kOptionNoSignals);
  return o;
}

uint64_t backend_fingerprint() {
  constexpr size_t kSizes[] = {
      sizeof(CompileOptions), sizeof(ImageParts),  sizeof(ImageFunction), sizeof(wasm::Module),
      sizeof(wasm::Function), sizeof(wasm::Instr), sizeof(wasm::SubType), sizeof(Error)};
  return hash_bytes({reinterpret_cast<const uint8_t*>(kSizes), sizeof kSizes}, abi_fingerprint());
}

}  // namespace wafer::compiler
