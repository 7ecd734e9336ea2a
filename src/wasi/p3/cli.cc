// wasi:cli, wasi:clocks and wasi:random.
#include <algorithm>

#include "wasi/p3/errors.h"
#include "wasi/p3/streams.h"

namespace wafer::wasi::p3 {

// ---- wasi:cli

namespace cli_environment {

std::vector<std::tuple<std::string, std::string>> get_environment(Host& host) {
  return {host.process.env.begin(), host.process.env.end()};
}
std::vector<std::string> get_arguments(Host& host) { return host.process.args; }
std::optional<std::string> get_initial_cwd(Host&) { return std::nullopt; }

}  // namespace cli_environment

namespace cli_exit {

void exit(Host& host, Expected<Unit, Unit> status) { host.exit(status ? 0 : 1); }
void exit_with_code(Host& host, uint8_t status_code) { host.exit(status_code); }

}  // namespace cli_exit

namespace {

using CliError = cli_types::ErrorCode;

// A standard stream that is closed is at its end, and takes nothing.
Outgoing<CliError> standard_output(Host& host, int number, Stream<uint8_t> data) {
  const host::FileRef& file = host.process.standard[number];
  return outgoing(host, std::move(data),
                  host::Outcome(file ? host::write_stream(file) : host::closed_stream()),
                  cli_error);
}

template <class T>
std::optional<Own<T>> terminal(Host& host, int number) {
  const host::FileRef& file = host.process.standard[number];
  if (!file || !file->is_terminal()) return std::nullopt;
  return Own<T>::make();
}

}  // namespace

namespace cli_stdin {

Incoming<ErrorCode> read_via_stream(Host& host) {
  const host::FileRef& file = host.process.standard[0];
  return incoming(host, host::Outcome(file ? host::read_stream(file) : host::empty_stream()),
                  cli_error);
}

}  // namespace cli_stdin

namespace cli_stdout {

Outgoing<ErrorCode> write_via_stream(Host& host, Stream<uint8_t> data) {
  return standard_output(host, 1, std::move(data));
}

}  // namespace cli_stdout

namespace cli_stderr {

Outgoing<ErrorCode> write_via_stream(Host& host, Stream<uint8_t> data) {
  return standard_output(host, 2, std::move(data));
}

}  // namespace cli_stderr

namespace cli_terminal_input {

class TerminalInput final : public Object {};

}  // namespace cli_terminal_input

namespace cli_terminal_output {

class TerminalOutput final : public Object {};

}  // namespace cli_terminal_output

namespace cli_terminal_stdin {

std::optional<Own<cli_terminal_input::TerminalInput>> get_terminal_stdin(Host& host) {
  return terminal<cli_terminal_input::TerminalInput>(host, 0);
}

}  // namespace cli_terminal_stdin

namespace cli_terminal_stdout {

std::optional<Own<cli_terminal_output::TerminalOutput>> get_terminal_stdout(Host& host) {
  return terminal<cli_terminal_output::TerminalOutput>(host, 1);
}

}  // namespace cli_terminal_stdout

namespace cli_terminal_stderr {

std::optional<Own<cli_terminal_output::TerminalOutput>> get_terminal_stderr(Host& host) {
  return terminal<cli_terminal_output::TerminalOutput>(host, 2);
}

}  // namespace cli_terminal_stderr

// ---- wasi:clocks

namespace clocks_monotonic_clock {

Mark now(Host& host) { return host.process.clocks->now(host::ClockId::Monotonic); }
Duration get_resolution(Host& host) {
  return host.process.clocks->resolution(host::ClockId::Monotonic);
}

void wait_for(Host& host, Duration how_long, Reply<Unit> reply) {
  if (how_long == 0) return reply({});
  const uint64_t now = host::monotonic_now();
  const host::PollableRef timer = host::timer(now + std::min(how_long, ~uint64_t{0} - now));
  const auto pending = host.when_ready({timer}, [reply] { reply({}); });
  reply.on_cancel([&host, pending] { host.forget(pending); });
}

// Waits take as long as the clock says now, whatever it says later.
void wait_until(Host& host, Mark when, Reply<Unit> reply) {
  const Mark present = now(host);
  wait_for(host, when > present ? when - present : 0, std::move(reply));
}

}  // namespace clocks_monotonic_clock

namespace {

constexpr int64_t kSecond = 1'000'000'000;

}  // namespace

namespace clocks_system_clock {

Instant now(Host& host) {
  const uint64_t t = host.process.clocks->now(host::ClockId::Realtime);
  return {int64_t(t / uint64_t(kSecond)), uint32_t(t % uint64_t(kSecond))};
}
Duration get_resolution(Host& host) {
  return host.process.clocks->resolution(host::ClockId::Realtime);
}

}  // namespace clocks_system_clock

namespace clocks_timezone {

std::optional<std::string> iana_id(Host& host) {
  std::string id = host.process.clocks->zone_id();
  if (id.empty()) return std::nullopt;
  return id;
}

std::optional<int64_t> utc_offset(Host& host, Instant when) {
  return host.process.clocks->zone(when.seconds).offset_seconds * kSecond;
}

std::string to_debug_string(Host& host) {
  return iana_id(host).value_or(
      host.process.clocks->zone(clocks_system_clock::now(host).seconds).name);
}

}  // namespace clocks_timezone

// ---- wasi:random

namespace random_random {

std::vector<uint8_t> get_random_bytes(Host& host, uint64_t max_len) {
  return host.random_bytes(*host.process.random, max_len);
}
uint64_t get_random_u64(Host& host) { return host.process.random->next(); }

}  // namespace random_random

namespace random_insecure {

std::vector<uint8_t> get_insecure_random_bytes(Host& host, uint64_t max_len) {
  return host.random_bytes(*host.process.insecure_random, max_len);
}
uint64_t get_insecure_random_u64(Host& host) { return host.process.insecure_random->next(); }

}  // namespace random_insecure

namespace random_insecure_seed {

std::tuple<uint64_t, uint64_t> get_insecure_seed(Host& host) { return host.insecure_seed(); }

}  // namespace random_insecure_seed

}  // namespace wafer::wasi::p3
