#include "shim/options.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "shim/spec.h"

namespace wafer::shim {

Result<RuntimeSettings> parse_settings(const proto::Any& options) {
  RuntimeSettings settings;
  // Others are meant for runc's shim, which containerd's own configuration names by default.
  if (options.type_url() != "runtimeoptions.v1.Options") return settings;
  proto::RuntimeOptions o;
  if (!o.ParseFromString(options.value()))
    return Error(ErrorKind::Invalid, "the runtime's options are not a message");
  std::string text = o.config_body();
  if (text.empty() && !o.config_path().empty()) {
    WAFER_LET(file, read_file(o.config_path()));
    text = std::move(file);
  }
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed)
    return Error(ErrorKind::Invalid,
                 "the runtime's options: " + std::string(parsed.error().description()));
  for (const auto& [key, value] : parsed.table()) {
    const std::string name(key.str());
    if (name == "tier") {
      settings.tier = value.value_or(std::string());
      if (settings.tier != "baseline" && settings.tier != "interp")
        return Error(ErrorKind::Invalid, "the runtime's options: no tier '" + settings.tier +
                                             "'; there are baseline, interp");
    } else if (name == "fuel" && value.is_integer()) {
      settings.fuel = uint64_t(std::max<int64_t>(0, value.value_or(int64_t{0})));
    } else if (name == "runc" && value.is_string()) {
      settings.runc = value.value_or(std::string());
    } else if (name == "compile" && value.is_boolean()) {
      settings.compile = value.value_or(true);
    } else if (name != "SystemdCgroup" && name != "BinaryName") {
      return Error(ErrorKind::Invalid, "the runtime's options: no option '" + name +
                                           "'; there are tier, fuel, runc, compile");
    }
  }
  return settings;
}

}  // namespace wafer::shim
