// Options that say what a program is given of its host: `wafer run`, `wafer serve`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "host/process.h"

namespace wafer::cli {

class GrantOptions {
 public:
  void add_to(CLI::App& command);
  // Devices of this machine, which only programs get.
  void add_devices_to(CLI::App& command);
  // Adds what was given to `config`. Errors are of rules for the network and of devices: Usage, Io.
  Result<void> fill(host::Config& config) const;

 private:
  std::vector<std::string> dirs_, read_only_dirs_;
  std::vector<std::string> env_;
  bool inherit_env_ = false;
  std::vector<std::pair<host::Network::Use, std::string>> rules_;
  std::vector<std::string> http_rules_;
  std::vector<std::pair<const char*, std::string>> devices_;  // kind, grant
  std::string tls_roots_;
  bool inherit_network_ = false, allow_lookup_ = false;
};

}  // namespace wafer::cli
