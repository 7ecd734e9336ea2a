// Machine code of a layer, ahead of time: made by the optimizing compiler in a process of its own.
#pragma once

#include <fcntl.h>

#include <memory>
#include <string>

#include "base/descriptor.h"
#include "base/result.h"
#include "shim/async.h"
#include "shim/loop.h"

namespace wafer::shim {

// The label of a layer in containerd's content store that names its machine code: that of this
// version, for this processor. Empty where there is no compiler.
const std::string& code_label();

// A copy of a regular file, sealed, as precompile() takes it. Unsupported if it is too large for
// that; Io.
Result<std::shared_ptr<const UniqueFd>> copy_program(const UniqueFd& file);

// The label of an image's manifest that names the machine code of a program that is a file of the
// image. Io; code_label() is not empty.
Result<std::string> code_label_of(const UniqueFd& program);

// Whether machine code says that it can run here. Loading it checks all of it.
bool code_fits(const UniqueFd& code);

// The turn to compile on this machine, for as long as it is open: whatever there is to compile, it
// takes one processor at most. None while another shim has it. Io, as where `folder` is not for
// this user alone.
Result<UniqueFd> try_turn(const std::string& folder = "/run/wafer");

// What is larger is not compiled.
inline constexpr uint64_t kMaxCompiled = uint64_t{64} << 20;
// Of which nobody can change anything, as programs that are compiled, and their code, have to be.
inline constexpr int kSealed = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
// More is not made of one layer.
inline constexpr uint64_t kMaxLayerCode = uint64_t{256} << 20;

// Compiles `layer`, a module or component in binary form, sealed. The file of the code, sealed. The
// process sees nothing but the layer, can do nothing but compile, and its time and memory are
// limited. Unsupported for what is no binary, or too large; Exhaustion if the process cannot be
// started; Invalid if it cannot compile this, or not within its limits; Io if it cannot be
// confined.
Task<Result<std::shared_ptr<const UniqueFd>>> precompile(Loop& loop,
                                                         std::shared_ptr<const UniqueFd> layer);

// For the action "compile", that process: from standard input to standard output. Its exit code.
int compile_layer();

}  // namespace wafer::shim
