// wasi:cli, wasi:clocks and wasi:random.
#include <algorithm>

#include "wasi/p2/resources.h"

namespace wafer::wasi::p2 {

// ---- wasi:cli

namespace cli_environment {

std::vector<std::tuple<std::string, std::string>> get_environment(Host& host) {
  return {host.process.env.begin(), host.process.env.end()};
}
std::vector<std::string> get_arguments(Host& host) { return host.process.args; }
std::optional<std::string> initial_cwd(Host&) { return std::nullopt; }

}  // namespace cli_environment

namespace cli_exit {

void exit(Host& host, Expected<Unit, Unit> status) { host.exit(status ? 0 : 1); }
void exit_with_code(Host& host, uint8_t status_code) { host.exit(status_code); }

}  // namespace cli_exit

namespace {

using io_streams::InputStream;
using io_streams::OutputStream;

Own<OutputStream> standard_output(Host& host, int number) {
  const host::FileRef& file = host.process.standard[number];
  return Own<OutputStream>::make(file ? host::write_stream(file) : host::closed_stream(),
                                 io_error::Error::Of::File);
}

bool is_terminal(Host& host, int number) {
  const host::FileRef& file = host.process.standard[number];
  return file && file->is_terminal();
}

}  // namespace

namespace cli_stdin {

Own<InputStream> get_stdin(Host& host) {
  const host::FileRef& file = host.process.standard[0];
  return Own<InputStream>::make(file ? host::read_stream(file) : host::empty_stream(),
                                io_error::Error::Of::File);
}

}  // namespace cli_stdin

namespace cli_stdout {

Own<OutputStream> get_stdout(Host& host) { return standard_output(host, 1); }

}  // namespace cli_stdout

namespace cli_stderr {

Own<OutputStream> get_stderr(Host& host) { return standard_output(host, 2); }

}  // namespace cli_stderr

namespace cli_terminal_input {

class TerminalInput final : public Object {};

}  // namespace cli_terminal_input

namespace cli_terminal_output {

class TerminalOutput final : public Object {};

}  // namespace cli_terminal_output

namespace {

template <class T>
std::optional<Own<T>> terminal(Host& host, int number) {
  if (!is_terminal(host, number)) return std::nullopt;
  return Own<T>::make();
}

}  // namespace

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

namespace {

constexpr uint64_t kSecond = 1'000'000'000;

clocks_wall_clock::Datetime datetime(uint64_t nanoseconds) {
  return {nanoseconds / kSecond, uint32_t(nanoseconds % kSecond)};
}

// Ready after so many nanoseconds.
Own<io_poll::Pollable> after(uint64_t duration) {
  const uint64_t now = host::monotonic_now();
  return io_poll::make_pollable(
      duration == 0 ? host::always_ready()
                    : host::timer(duration > ~uint64_t{0} - now ? ~uint64_t{0} : now + duration));
}

}  // namespace

namespace clocks_monotonic_clock {

Instant now(Host& host) { return host.process.clocks->now(host::ClockId::Monotonic); }
Duration resolution(Host& host) {
  return host.process.clocks->resolution(host::ClockId::Monotonic);
}
Own<Pollable> subscribe_instant(Host& host, Instant when) {
  const Instant present = now(host);
  return after(when > present ? when - present : 0);
}
Own<Pollable> subscribe_duration(Host&, Duration when) { return after(when); }

}  // namespace clocks_monotonic_clock

namespace clocks_wall_clock {

Datetime now(Host& host) { return datetime(host.process.clocks->now(host::ClockId::Realtime)); }
Datetime resolution(Host& host) {
  return datetime(host.process.clocks->resolution(host::ClockId::Realtime));
}

}  // namespace clocks_wall_clock

namespace clocks_timezone {

namespace {

host::ZoneInfo zone(Host& host, const Datetime& when) {
  return host.process.clocks->zone(int64_t(std::min<uint64_t>(when.seconds, INT64_MAX)));
}

}  // namespace

TimezoneDisplay display(Host& host, Datetime when) {
  const host::ZoneInfo info = zone(host, when);
  return {info.offset_seconds, info.name, info.daylight_saving};
}
int32_t utc_offset(Host& host, Datetime when) { return zone(host, when).offset_seconds; }

}  // namespace clocks_timezone

// ---- wasi:random

namespace random_random {

std::vector<uint8_t> get_random_bytes(Host& host, uint64_t len) {
  return host.random_bytes(*host.process.random, len);
}
uint64_t get_random_u64(Host& host) { return host.process.random->next(); }

}  // namespace random_random

namespace random_insecure {

std::vector<uint8_t> get_insecure_random_bytes(Host& host, uint64_t len) {
  return host.random_bytes(*host.process.insecure_random, len);
}
uint64_t get_insecure_random_u64(Host& host) { return host.process.insecure_random->next(); }

}  // namespace random_insecure

namespace random_insecure_seed {

std::tuple<uint64_t, uint64_t> insecure_seed(Host& host) { return host.insecure_seed(); }

}  // namespace random_insecure_seed

}  // namespace wafer::wasi::p2
