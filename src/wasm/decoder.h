// Binary decoder (spec chapter 5).
#pragma once

#include "wasm/module.h"

namespace wafer::wasm {

struct DecodeOptions {
  FeatureSet features = FeatureSet::standard();
  // Copy the input; otherwise it must outlive the module.
  bool copy_bytes = true;
  // Validate as well (chapter 3); without it function bodies are not looked at.
  bool validate = true;
  // Decode the name section.
  bool names = true;
  // Types are canonicalised here; one is made when null.
  Shared<TypeRegistry> registry;
};

// Decodes, and unless told otherwise validates, a whole module. Errors are
// Malformed or Invalid (or Unsupported for a feature that is off), with the
// byte offset and the specification's wording.
Result<Shared<Module>> decode_module(Bytes bytes, const DecodeOptions& options = {});
// Whether `bytes` are a valid module where these features are on.
bool is_valid_module(Bytes bytes, FeatureSet features);

#if WAFER_HAS_OS
// The same for input that arrives in pieces: sections and function bodies are
// decoded and validated as soon as they are complete.
class StreamingDecoder {
 public:
  explicit StreamingDecoder(const DecodeOptions& options);
  ~StreamingDecoder();
  // Takes the next bytes (copied). An error is final.
  Result<void> push(Bytes chunk);
  // Ends the input and gives the module.
  Result<Shared<Module>> finish();

 private:
  struct Impl;
  Box<Impl> impl_;
};
#endif

}  // namespace wafer::wasm
