// The frame that functions of the baseline compiler keep, for the code generator and for the
// unwinder: one entry of an unwind table describes them all.
#pragma once

#include <cstdint>

namespace wafer::compiler {

// DWARF number of a register, and where it is saved: at 8 bytes times `at` below the
// canonical frame address.
struct SavedRegister {
  uint8_t number, at;
};

#if defined(__x86_64__)
// From rbp, where the frame begins with `push rbp; mov rbp, rsp`, down.
constexpr uint8_t kFrameNumber = 6, kReturnNumber = 16;
constexpr SavedRegister kSavedRegisters[] = {
    {kReturnNumber, 1}, {kFrameNumber, 2}, {15, 3}, {14, 4}, {13, 5}, {12, 6}, {3, 7},
};
#elif defined(__aarch64__)
// From x29, where the frame begins with the pair of x29 and x30, down; x19 to x26 in pairs.
constexpr uint8_t kFrameNumber = 29, kReturnNumber = 30;
constexpr SavedRegister kSavedRegisters[] = {
    {kReturnNumber, 1},
    {kFrameNumber, 2},
    {20, 3},
    {19, 4},
    {22, 5},
    {21, 6},
    {24, 7},
    {23, 8},
    {26, 9},
    {25, 10},
};
#endif
// What lies above the frame register: its own former value and the return address.
constexpr uint8_t kFrameLink = 2;
// Bytes of saved registers below the frame register.
constexpr int kSavedBytes =
    8 * (int(sizeof kSavedRegisters / sizeof *kSavedRegisters) - kFrameLink);

}  // namespace wafer::compiler
