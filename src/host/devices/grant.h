// The text of a grant: "NAME=WHAT[,OPTION[=VALUE]...]".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace wafer::host {

struct Grant {
  std::string_view name, what;
  std::vector<std::string_view> options;

  static Result<Grant> parse(std::string_view text);
  // The options are taken as they are asked for; done() complains of the first that nobody took, or
  // that had been taken already.
  bool take(std::string_view option);
  std::optional<std::string_view> take_value(std::string_view option);
  // A number, decimal or 0x..., of at most `max`.
  Result<std::optional<uint64_t>> take_number(std::string_view option, uint64_t max);
  // in, out or in-out, as WAFER_PIN_IN and WAFER_PIN_OUT; `otherwise` if it says nothing.
  unsigned take_modes(unsigned otherwise);
  Result<void> done() const;

  std::string text;  // all of it, for messages

 private:
  std::vector<std::string_view> taken_;
};

std::optional<uint64_t> parse_number(std::string_view text);

}  // namespace wafer::host
