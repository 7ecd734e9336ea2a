#include "wasm/feature_name.h"

namespace wafer::wasm {

#if !WAFER_BRIEF

std::string_view feature_name(Feature f) {
  switch (f) {
    case Feature::FunctionReferences:
      return "function references";
    case Feature::GC:
      return "garbage collection";
    case Feature::Exceptions:
      return "exceptions";
    case Feature::LegacyExceptions:
      return "legacy exceptions";
    case Feature::TailCall:
      return "tail calls";
    case Feature::Simd:
      return "SIMD";
    case Feature::RelaxedSimd:
      return "relaxed SIMD";
    case Feature::Threads:
      return "threads";
    case Feature::WideArithmetic:
      return "wide arithmetic";
    case Feature::CustomDescriptors:
      return "custom descriptors";
    case Feature::StackSwitching:
      return "stack switching";
    case Feature::Memory64:
      return "memory64";
    case Feature::MultiMemory:
      return "multi-memory";
    case Feature::ExtendedConst:
      return "extended constant expressions";
    case Feature::CompactImports:
      return "compact imports";
    case Feature::CustomPageSizes:
      return "custom page sizes";
    case Feature::ReferenceTypes:
      return "reference types";
    default:
      return "a feature";
  }
}

String with_feature(Feature feature, std::string_view what) {
  String message(what);
  message += ": ";
  message += feature_name(feature);
  message += " not enabled";
  return message;
}

#endif  // !WAFER_BRIEF

bool fail_off(Cursor& c, Feature feature, Text what, const uint8_t* at, ErrorKind kind) {
  if (kBrief) return c.fail_text(kind, what, at);
  return c.fail(kind, off_message(feature, what.text), at);
}

}  // namespace wafer::wasm
