// Types of modules and their externals (spec 2.3), as the embedding API shows them.
//
// A concrete heap type holds a canonical id: the same number for equal types of any
// modules of one engine.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/span.h"
#include "runtime/trap.h"
#include "wasm/opcode.h"
#include "wasm/types.h"

namespace wafer {

namespace runtime {
class Engine;
class Linker;
class Memory;
class Store;
class Table;
struct CallContext;
struct FuncInst;
struct GlobalInst;
struct Instance;
struct TagInst;
}  // namespace runtime
namespace wasm {
class Module;
}

using wasm::ExternKind;
using wasm::Feature;
using wasm::FeatureSet;
using wasm::FieldType;
using wasm::FuncType;
using wasm::GlobalType;
using wasm::HeapKind;
using wasm::HeapType;
using wasm::kAnyRef;
using wasm::kExnRef;
using wasm::kExternRef;
using wasm::kF32;
using wasm::kF64;
using wasm::kFuncRef;
using wasm::kI32;
using wasm::kI64;
using wasm::kV128;
using wasm::Limits;
using wasm::MemoryType;
using wasm::TableType;
using wasm::TypeKind;
using wasm::ValType;

using runtime::BacktraceFrame;
using runtime::TrapCode;
using runtime::TrapInfo;

// A 64-bit stack slot: see Func::call_raw.
using Slot = uint64_t;

// A v128 value, byte 0 being lane 0's low byte.
struct V128 {
  uint8_t bytes[16];
  bool operator==(const V128&) const = default;
};

// Type of an import or export; the member for `kind` is meaningful (Func and Tag
// both use `func`).
struct ExternType {
  ExternKind kind = ExternKind::Func;
  FuncType func;
  TableType table;
  MemoryType memory;
  GlobalType global;
};

struct ImportType {
  String module;
  String name;
  ExternType type;
};

struct ExportType {
  String name;
  ExternType type;
};

// Makes the Error that a host function returns to trap with `message`.
inline Error trap(std::string_view message) { return Error(ErrorKind::Trap, message); }

}  // namespace wafer
