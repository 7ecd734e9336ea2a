// Values as people write and read them on a command line.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/store.h"

namespace wafer::cli {

// The value of type `type` that `text` says: integers in decimal or 0x hex, with
// either sign; floats in decimal, hex, inf or nan; v128 as a 128-bit integer in
// hex; "null" for a nullable reference.
std::optional<runtime::Value> parse_value(wasm::ValType type, std::string_view text);

// Integers in signed decimal, floats in the shortest form that reads back, v128
// in hex, references by kind.
std::string print_value(runtime::Store& store, const runtime::Value& value);

// "(i32, f64)".
std::string type_list(const Vec<wasm::ValType>& types);

}  // namespace wafer::cli
