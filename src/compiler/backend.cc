#include "compiler/backend.h"

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

}  // namespace wafer::compiler
