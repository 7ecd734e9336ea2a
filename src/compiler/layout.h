// Byte offsets of what compiled code reads and writes in structures of the runtime.
#pragma once

#include <span>

#include "compiler/abi.h"

namespace wafer::compiler {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
namespace layout {
#define WAFER_OFFSET(name, type, member) constexpr uint32_t name = uint32_t(offsetof(type, member))
WAFER_OFFSET(kCtxInstance, VmContext, instance);
WAFER_OFFSET(kCtxStore, VmContext, store);
WAFER_OFFSET(kCtxExec, VmContext, exec);
WAFER_OFFSET(kCtxMemory0, VmContext, memory0);
WAFER_OFFSET(kCtxOwnGlobals, VmContext, own_globals);
WAFER_OFFSET(kCtxGlobals, VmContext, globals);
WAFER_OFFSET(kCtxFuncs, VmContext, funcs);
WAFER_OFFSET(kCtxTables, VmContext, tables);
WAFER_OFFSET(kCtxMemories, VmContext, memories);
WAFER_OFFSET(kCtxTags, VmContext, tags);
WAFER_OFFSET(kCtxTypes, VmContext, types);
WAFER_OFFSET(kCtxEntries, VmContext, entries);
WAFER_OFFSET(kCtxHeat, VmContext, heat);
WAFER_OFFSET(kExecLimit, ExecState, stack_limit);
WAFER_OFFSET(kExecCaller, ExecState, caller);
WAFER_OFFSET(kExecSpill, ExecState, spill);
WAFER_OFFSET(kFuncType, FuncInst, type);
WAFER_OFFSET(kFuncCall, FuncInst, call);
WAFER_OFFSET(kFuncNative, FuncInst, native);
WAFER_OFFSET(kFuncContext, FuncInst, context);
WAFER_OFFSET(kTableElements, runtime::Table, elements);
WAFER_OFFSET(kTableSize, runtime::Table, size);
WAFER_OFFSET(kMemoryBase, runtime::Memory, base);
WAFER_OFFSET(kMemorySize, runtime::Memory, byte_size);
WAFER_OFFSET(kGlobalValue, runtime::GlobalInst, value);
constexpr uint32_t kGlobalBytes = uint32_t(sizeof(runtime::GlobalInst));
WAFER_OFFSET(kStoreFuel, Store, fuel);
WAFER_OFFSET(kStoreInterrupt, Store, interrupt_flag);
WAFER_OFFSET(kObjectType, runtime::GcObject, type);
constexpr uint32_t kStructPayload = uint32_t(sizeof(runtime::GcObject));
WAFER_OFFSET(kArrayLength, runtime::GcArray, length);
constexpr uint32_t kArrayElements = uint32_t(sizeof(runtime::GcArray));
WAFER_OFFSET(kExceptionTag, runtime::GcException, tag);
constexpr uint32_t kExceptionArgs = uint32_t(sizeof(runtime::GcException));
#undef WAFER_OFFSET
}  // namespace layout
#pragma GCC diagnostic pop

// All of the above, for the fingerprint.
std::span<const uint32_t> layout_offsets();

}  // namespace wafer::compiler
