// Functions run where their bytes lie, which is smaller and slower than translated code.
//
// Frames are those of translated code (code.h), but that every operand is on the operand
// stack, and the link has the caller's record and its place in the side table as well. A
// program counter is the address of a byte of the body.
//
// A body says how many labels a branch leaves, but not where that leads. What is missing is in the
// function's side table, made by the validator on the first call: an entry for each way to go,
// in the order of the code, so that the place in the table moves with the program counter:
//
//   bits 0..15 bytes to the target from the byte after the opcode | 16..31 words to its place in
//   the table from the entry | 32..47 first slot of the operands that move | 48..63 how many
//
// In bodies of 32 KiB and more, distances have 32 bits and an entry two words. Under fuel metering
// each stretch of code that is charged as a whole has an entry with its cost, where it begins.
// The table's first word has the offsets of the first instruction and of the body's end.
#pragma once

#include "interp/exec.h"

namespace wafer::interp {

// On narrow slots further pointers are in the upper halves.
constexpr uint32_t kInPlaceLinkSlots = kNarrow ? kLinkSlots : kLinkSlots + 2;

// What it knows; a build without a translator has no other features.
constexpr wasm::FeatureSet in_place_features() {
  wasm::FeatureSet features = wasm::FeatureSet::all();
#define WAFER_PROFILE_FEATURE(id, option, profile, in_place, needs) \
  if (!in_place) features.set(wasm::Feature::id, false);
#include "wasm/profiles.def"
#undef WAFER_PROFILE_FEATURE
  return features;
}

// Makes the side table of a validated function.
Result<void> make_side_table(const wasm::Module& module, const ModuleCodeImpl& code, FuncCode& out);

// Runs `code` in a frame at `fp` until it returns or a trap stops it; activation.trap tells
// which.
void run_in_place(Activation& activation, FuncCode* code, Slot* fp);

// Where the instruction begins that has byte `at` of the module.
uint32_t instruction_at(const FuncCode& code, uint32_t at);

}  // namespace wafer::interp
