// What the emitters of instructions ask of who allocates registers. Internal to this folder.
#pragma once

#include "compiler/baseline/codegen.h"
#include "compiler/optimizing/ir.h"

namespace wafer::compiler {

struct Needs {
  uint32_t clobbered_gprs = 0, clobbered_fprs = 0;
  uint32_t early_gprs = 0;  // of these: changed before operands are read
  uint8_t temp_gprs = 0, temp_fprs = 0;
  uint8_t same = 0;          // as of AllocDef
  uint8_t hint = kNoHint;    // for the result
  bool memory_args = false;  // operands may be in slots
};
Needs needs_of(const Function& f, const Node& n, const wasm::Module& module,
               const BaselineOptions& options, const Machine& machine);

}  // namespace wafer::compiler
