// Text format (spec chapter 6): parsing to the binary format and printing from it.
#pragma once

#include "base/result.h"
#include "base/source_bytes.h"
#include "wasm/instr.h"
#include "wasm/module.h"

namespace wafer::wat {

struct ParseOptions {
  wasm::FeatureSet features = wasm::FeatureSet::all();
  // Write a name section from the identifiers.
  bool names = true;
};

// Parses one module or component and encodes it. Errors are Malformed (Exhaustion where
// something is nested too deeply), with the byte offset in `source`; line_column() turns that
// into a position for people. What is given tells where in `source` its parts came from, for errors
// that are found later: instructions and definitions, in components definitions and what is in
// their core modules.
Result<SourceBytes> parse_wat(std::string_view source, const ParseOptions& options = {});

struct PrintOptions {
  bool names = true;     // use identifiers from the name section
  bool offsets = false;  // comment each instruction with its byte offset
};

// Prints a decoded module as text that parses back to the same module.
Result<String> print_wat(const wasm::Module& module, const PrintOptions& options = {});

// Prints a component in binary form, with the modules in it, as text that parses back to the same
// bytes. It need not be valid; what cannot be read is an error, with the byte offset.
Result<String> print_component(Bytes bytes, const PrintOptions& options = {});

// One instruction with its immediates, without operands or line end.
String print_instr(const wasm::Module& module, const wasm::Instr& instr);

struct LineColumn {
  uint32_t line = 1, column = 1;
};
// Position of a byte offset; both count from 1, columns in bytes.
LineColumn line_column(std::string_view source, uint64_t offset);

}  // namespace wafer::wat
