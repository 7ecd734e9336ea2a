// Which features are built in: WAFER_HAS_<Feature> is 1 or 0. What is not costs nothing: its
// opcodes are in no table, and code that is only for them is not compiled in. CMake sets these
// from the build's profile and options (cmake/WaferProfiles.cmake).
#pragma once

#define WAFER_HAS_Core 1
#ifndef WAFER_HAS_ReferenceTypes
#define WAFER_HAS_ReferenceTypes 1
#endif
#ifndef WAFER_HAS_FunctionReferences
#define WAFER_HAS_FunctionReferences 1
#endif
#ifndef WAFER_HAS_GC
#define WAFER_HAS_GC 1
#endif
#ifndef WAFER_HAS_Exceptions
#define WAFER_HAS_Exceptions 1
#endif
#ifndef WAFER_HAS_LegacyExceptions
#define WAFER_HAS_LegacyExceptions 1
#endif
#ifndef WAFER_HAS_TailCall
#define WAFER_HAS_TailCall 1
#endif
#ifndef WAFER_HAS_Memory64
#define WAFER_HAS_Memory64 1
#endif
#ifndef WAFER_HAS_MultiMemory
#define WAFER_HAS_MultiMemory 1
#endif
#ifndef WAFER_HAS_ExtendedConst
#define WAFER_HAS_ExtendedConst 1
#endif
#ifndef WAFER_HAS_Simd
#define WAFER_HAS_Simd 1
#endif
#ifndef WAFER_HAS_RelaxedSimd
#define WAFER_HAS_RelaxedSimd 1
#endif
#ifndef WAFER_HAS_Threads
#define WAFER_HAS_Threads 1
#endif
#ifndef WAFER_HAS_CustomPageSizes
#define WAFER_HAS_CustomPageSizes 1
#endif
#ifndef WAFER_HAS_WideArithmetic
#define WAFER_HAS_WideArithmetic 1
#endif
#ifndef WAFER_HAS_CustomDescriptors
#define WAFER_HAS_CustomDescriptors 1
#endif
#ifndef WAFER_HAS_CompactImports
#define WAFER_HAS_CompactImports 1
#endif
#ifndef WAFER_HAS_StackSwitching
#define WAFER_HAS_StackSwitching 1
#endif

#define WAFER_BUILT_CAT_(a, b) a##b
#define WAFER_BUILT_CAT(a, b) WAFER_BUILT_CAT_(a, b)
#define WAFER_BUILT_1(...) __VA_ARGS__
#define WAFER_BUILT_0(...)
#define WAFER_LEFT_OUT_1(...)
#define WAFER_LEFT_OUT_0(...) __VA_ARGS__
// The rest, if the feature is built in; and if it is not.
#define WAFER_IF_BUILT(feature, ...) WAFER_BUILT_CAT(WAFER_BUILT_, WAFER_HAS_##feature)(__VA_ARGS__)
#define WAFER_IF_LEFT_OUT(feature, ...) \
  WAFER_BUILT_CAT(WAFER_LEFT_OUT_, WAFER_HAS_##feature)(__VA_ARGS__)
