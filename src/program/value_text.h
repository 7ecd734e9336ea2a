// Values as people write and read them on a command line.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/store.h"

namespace wafer::program {

// The value of type `type` that `text` says: a number as in the text format; a v128 by its
// lanes ("i32x4 1 2 3 4") or in hex; a reference as "null", "ref.null HEAP" of a heap type below
// the type's, "ref.i31 N", or "ref.extern N" for a value of the host that is only a number.
std::optional<runtime::Value> parse_value(runtime::Store& store, wasm::ValType type,
                                          std::string_view text);
// Examples of what parse_value takes for `type`.
std::string_view value_example(wasm::ValType type);

// In a form that parse_value takes back: integers in signed decimal, floats in the shortest
// form that is exact, NaN with its payload, v128 in hex; other references by their kind.
std::string print_value(runtime::Store& store, const runtime::Value& value);

// "(i32, f64)".
std::string type_list(const Vec<wasm::ValType>& types);

}  // namespace wafer::program
