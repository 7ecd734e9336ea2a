#include "cli/grants.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "cli/suggest.h"
#include "cli/support.h"
#include "host/devices/board.h"
#include "host/http/client.h"

namespace wafer::cli {

void GrantOptions::add_to(CLI::App& command) {
  command.add_option("--dir", dirs_, "Let the program use a directory (repeatable)")
      ->type_name("HOST[::GUEST]")
      ->allow_extra_args(false);
  command.add_option("--ro-dir", read_only_dirs_, "The same, without changing anything in it")
      ->type_name("HOST[::GUEST]")
      ->allow_extra_args(false);
  command.add_option("--env", env_, "Set a variable, or pass one on (repeatable)")
      ->type_name("NAME[=VALUE]")
      ->allow_extra_args(false);
  command.add_flag("--inherit-env", inherit_env_, "Pass on all variables");

  const std::string network = "Network";
  const auto rule = [&](const char* name, host::Network::Use use, const char* text) {
    command
        .add_option_function<std::vector<std::string>>(
            name,
            [this, use](const std::vector<std::string>& values) {
              for (const std::string& value : values) rules_.emplace_back(use, value);
            },
            text)
        ->type_name("HOST:PORT")
        ->allow_extra_args(false)
        ->group(network);
  };
  using Use = host::Network::Use;
  rule("--allow-tcp", Use::TcpConnect, "Let a component connect there (repeatable)");
  rule("--allow-tcp-listen", Use::TcpListen, "Let it listen, or bind a socket, there");
  rule("--allow-udp", Use::UdpSend, "Let it send datagrams there");
  rule("--allow-udp-bind", Use::UdpBind, "Let it receive datagrams there");
  command.add_option("--allow-http", http_rules_, "Let it send HTTP requests there (repeatable)")
      ->type_name("[SCHEME://]HOST[:PORT]")
      ->allow_extra_args(false)
      ->group(network);
  command
      .add_option("--tls-roots", tls_roots_,
                  "Certificates to trust in HTTPS requests, instead of the system's")
      ->type_name("FILE")
      ->group(network);
  command.add_flag("--allow-name-lookup", allow_lookup_, "Let it look up names")->group(network);
  command.add_flag("--inherit-network", inherit_network_, "All of this, without limits")
      ->group(network);
}

void GrantOptions::add_devices_to(CLI::App& command) {
  struct Kind {
    const char *kind, *type, *text;
  };
  constexpr Kind kKinds[] = {
      {"i2c", "NAME=BUS[,ADDRESS]", "Let it use an I2C bus, or one address on it (repeatable)"},
      {"spi", "NAME=DEVICE[,hz=N]...", "Let it use a device of SPI"},
      {"gpio", "NAME=CHIP:LINE[,in|out]...", "Let it use a digital pin"},
      {"analog", "NAME=FILE[,max=N]...", "Let it use an analog value that a file has"},
      {"usb", "VENDOR:PRODUCT", "Let it use USB devices of that kind, in hexadecimal"},
      {"device", "sim", "Let it use all devices of a simulated board"},
  };
  for (const Kind& k : kKinds)
    command
        .add_option_function<std::vector<std::string>>(
            "--" + std::string(k.kind),
            [this, kind = k.kind](const std::vector<std::string>& values) {
              for (const std::string& value : values) devices_.emplace_back(kind, value);
            },
            k.text)
        ->type_name(k.type)
        ->allow_extra_args(false)
        ->group("Devices");
}

Result<void> GrantOptions::fill(host::Config& config) const {
  config.inherit_env = inherit_env_;
  for (const std::string& variable : env_) {
    const size_t equals = variable.find('=');
    if (equals != std::string::npos)
      config.env.emplace_back(variable.substr(0, equals), variable.substr(equals + 1));
    else if (const char* value = std::getenv(variable.c_str()))
      config.env.emplace_back(variable, value);
  }
  const auto add_dirs = [&config](const std::vector<std::string>& dirs, bool read_only) {
    for (const std::string& dir : dirs) {
      const size_t colons = dir.find("::");
      const size_t colon = dir.find(':');
      if (colons == std::string::npos && colon != std::string::npos &&
          access(dir.c_str(), F_OK) != 0)
        print_hint(fmt::format("HOST and GUEST are parted by two colons: '{}::{}'",
                               dir.substr(0, colon), dir.substr(colon + 1)));
      config.dirs.push_back({dir.substr(0, colons),
                             colons == std::string::npos ? dir : dir.substr(colons + 2),
                             read_only});
    }
  };
  add_dirs(dirs_, false);
  add_dirs(read_only_dirs_, true);
  for (const auto& [use, rule] : rules_) WAFER_TRY(config.network.allow(use, rule));
  for (const auto& [kind, grant] : devices_) {
    if (!config.devices) config.devices = std::make_shared<host::Board>();
    WAFER_TRY(config.devices->add(kind, grant));
  }
  if (allow_lookup_) config.network.allow_lookup();
  if (inherit_network_) config.network.allow_all();
  if (inherit_network_ || !http_rules_.empty()) {
    host::HttpClientOptions http;
    for (const std::string& rule : http_rules_) WAFER_TRY(http.rules.allow(rule));
    if (inherit_network_) http.rules.allow_all();
    http.roots = tls_roots_;
    WAFER_LET(client, host::make_http_client(std::move(http)));
    config.http = std::move(client);
  }
  return {};
}

}  // namespace wafer::cli
