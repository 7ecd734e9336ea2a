#include "compiler/layout.h"

namespace wafer::compiler {

std::span<const uint32_t> layout_offsets() {
  using namespace layout;
  static const uint32_t offsets[] = {
      kCtxInstance,   kCtxStore,      kCtxExec,        kCtxMemory0, kCtxOwnGlobals, kCtxGlobals,
      kCtxFuncs,      kCtxTables,     kCtxMemories,    kCtxTags,    kCtxTypes,      kCtxEntries,
      kCtxHeat,       kExecLimit,     kExecCaller,     kExecSpill,  kFuncType,      kFuncNative,
      kFuncContext,   kTableElements, kTableSize,      kMemoryBase, kMemorySize,    kGlobalValue,
      kGlobalBytes,   kStoreFuel,     kStoreInterrupt, kObjectType, kStructPayload, kArrayLength,
      kArrayElements, kExceptionTag,  kExceptionArgs,
  };
  return offsets;
}

}  // namespace wafer::compiler
