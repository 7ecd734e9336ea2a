// Runs machine code that lies in flash (xip_format.h), instead of interpreting its module.
#pragma once

#include "interp/xip_format.h"
#include "runtime/store.h"

#ifndef WAFER_HAS_XIP
#define WAFER_HAS_XIP 0
#endif

namespace wafer::interp {

// What becomes Module::precompiled, for instances that are made then: the code `file` of `module`.
// The bytes stay where they are, and are trusted. Errors as read_xip() gives; Unsupported if it is
// for another processor, or this build runs none.
Result<Shared<void>> open_xip(const wasm::Module& module, Bytes file);

// Makes the functions of `instance` those of Module::precompiled, as Tier::attach does.
Result<void> attach_xip(runtime::Instance& instance);

}  // namespace wafer::interp
