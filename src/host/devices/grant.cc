#include "host/devices/grant.h"

#include <algorithm>
#include <charconv>

#include "wafer_devices.h"

namespace wafer::host {

std::optional<uint64_t> parse_number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  }
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<Grant> Grant::parse(std::string_view text) {
  Grant grant;
  grant.text = text;
  const size_t equals = text.find('=');
  const auto wrong = [&] {
    return Error(ErrorKind::Usage, "'" + std::string(text) + "' is not NAME=DEVICE[,OPTION...]");
  };
  if (equals == 0 || equals == text.npos || text.find('\0') != text.npos) return wrong();
  grant.name = text.substr(0, equals);
  text.remove_prefix(equals + 1);
  const size_t comma = text.find(',');
  grant.what = text.substr(0, comma);
  if (grant.what.empty()) return wrong();
  while (text.find(',') != text.npos) {
    text.remove_prefix(text.find(',') + 1);
    grant.options.push_back(text.substr(0, text.find(',')));
  }
  return grant;
}

bool Grant::take(std::string_view option) {
  const auto at = std::find(options.begin(), options.end(), option);
  if (at == options.end()) return false;
  options.erase(at);
  taken_.push_back(option);
  return true;
}

std::optional<std::string_view> Grant::take_value(std::string_view option) {
  for (auto at = options.begin(); at != options.end(); ++at) {
    if (!at->starts_with(option) || at->size() <= option.size() || (*at)[option.size()] != '=')
      continue;
    const std::string_view value = at->substr(option.size() + 1);
    options.erase(at);
    taken_.push_back(option);
    return value;
  }
  return std::nullopt;
}

Result<std::optional<uint64_t>> Grant::take_number(std::string_view option, uint64_t max) {
  const std::optional<std::string_view> value = take_value(option);
  if (!value) return std::optional<uint64_t>();
  const std::optional<uint64_t> number = parse_number(*value);
  if (!number || *number > max)
    return Error(ErrorKind::Usage, "'" + text + "': " + std::string(option) +
                                       " is a number of at most " + std::to_string(max));
  return number;
}

unsigned Grant::take_modes(unsigned otherwise) {
  unsigned modes = 0;
  if (take("in")) modes |= WAFER_PIN_IN;
  if (take("out")) modes |= WAFER_PIN_OUT;
  if (take("in-out")) modes |= WAFER_PIN_IN | WAFER_PIN_OUT;
  return modes ? modes : otherwise;
}

Result<void> Grant::done() const {
  if (options.empty()) return {};
  const std::string_view option = options[0].substr(0, options[0].find('='));
  const bool twice = std::find(taken_.begin(), taken_.end(), option) != taken_.end();
  return Error(ErrorKind::Usage, "'" + text + "': " +
                                     (twice ? "given twice: '" + std::string(option) + "'"
                                            : "no such option: '" + std::string(options[0]) + "'"));
}

}  // namespace wafer::host
