// WAVE, the text form of values of components: `{name: "a", at: some((1, 2))}`.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "component/types.h"
#include "wafer/component_value.hpp"

namespace wafer::component {

// The value of `type` that `text` says. Errors: Usage, with the offset in the text and what was
// expected there. Handles, streams and futures have no text form.
Result<Val> parse_wave(const TypeArena& types, ValType type, std::string_view text);

// A call, `name(value, ...)`, as far as the function's name; and then its arguments by the types
// of `func`. Arguments that may be left out (options, from the end) become none.
struct WaveCall {
  std::string name;
  std::string_view arguments;  // with their parentheses; empty: there are none
  size_t offset = 0;           // of the arguments
};
WaveCall split_wave_call(std::string_view text);
Result<std::vector<Val>> parse_wave_arguments(const TypeArena& types, const TypeDef& func,
                                              const WaveCall& call);

// In a form that parse_wave takes back; of handles, their kind.
std::string print_wave(const TypeArena& types, ValType type, const Val& value);
// A type as WIT has it ("list<tuple<string, u32>>"), for messages: not all of a long one.
std::string describe_type(const TypeArena& types, ValType type);

}  // namespace wafer::component
