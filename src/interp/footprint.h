// Bytes that the runtime keeps for each part of a module on a 32-bit processor, so that they can
// be told ahead on any other (docs/embedded.md).
#pragma once

#include "interp/code.h"
#include "wasm/module.h"

namespace wafer::interp::footprint {

// Engine, store, module, instance and linker, with what allocators add.
inline constexpr uint32_t kFixed = 1400;
// What builds with reference types have beside, for the collected heap most of all.
inline constexpr uint32_t kReferences = 900;
inline constexpr uint32_t kFunction = 84 + 16, kOwnFunction = 48, kPointer = 4;
// A function of the host: its definition in a linker, and what a store makes of it.
inline constexpr uint32_t kHostFunction = 48 + 140;
// Builds with garbage collection have types of objects.
inline constexpr uint32_t kType = 80 + 48 + 52, kTypeOfObjects = 120 + 60 + 52, kValType = 8;
inline constexpr uint32_t kImport = 112, kExport = 24;
inline constexpr uint32_t kGlobal = 20 + 24, kTable = 56 + 72, kMemory = 40 + 96 + 44, kTag = 36;
inline constexpr uint32_t kElement = 8, kElementItem = 4, kElements = 52 + 12, kData = 28 + 1;

#if UINTPTR_MAX == 0xFFFFFFFFu
static_assert(sizeof(FuncCode) + sizeof(wasm::Function) <= kFunction);
static_assert(sizeof(runtime::FuncInst) <= kOwnFunction);
static_assert(sizeof(runtime::Engine) + sizeof(runtime::Store) + sizeof(wasm::Module) +
                  sizeof(runtime::Instance) + sizeof(ModuleCodeImpl) + 400 <=
              kFixed);
static_assert(sizeof(wasm::CanonType) + sizeof(wasm::SubType) + 52 <=
              (wasm::kOnlyFuncs ? kType : kTypeOfObjects));
static_assert(sizeof(wasm::Import) <= kImport && sizeof(wasm::Export) <= kExport);
static_assert(sizeof(wasm::Global) + sizeof(runtime::GlobalInst) <= kGlobal);
static_assert(sizeof(wasm::Table) + sizeof(runtime::Table) <= kTable);
static_assert(sizeof(wasm::Memory) + sizeof(runtime::Memory) + 44 <= kMemory);
static_assert(sizeof(wasm::Tag) + sizeof(runtime::TagInst) + 4 <= kTag);
static_assert(sizeof(wasm::ElemSegment) + 12 <= kElements && sizeof(wasm::DataSegment) < kData);
#endif

}  // namespace wafer::interp::footprint
