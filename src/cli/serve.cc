// `wafer serve`: answers HTTP requests by a component.
#include "serve/serve.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <mutex>
#include <thread>

#include "cli/component.h"
#include "cli/grants.h"
#include "cli/support.h"
#include "cli/tiers.h"
#include "compiler/code_bundle.h"
#include "compiler/resident.h"
#include "program/component.h"

namespace wafer::cli {

namespace {

struct ServeOptions {
  std::string file;
  std::string address = "127.0.0.1:8080";
  unsigned threads = 0;
  GrantOptions grants;
  serve::Limits limits;
  std::string access_log = "none";
  std::string tls_certificate, tls_key, admin_address;
  bool no_http2 = false;
  TierChoice tier;
  FeatureOptions features;
};

// `rest` becomes the tier's (OwnedTier::rest).
Result<serve::Application> load(const ServeOptions& o, std::function<void()>& rest) {
  using program::Input;
  WAFER_LET(file, Input::open(o.file, Input::Content::Module));
  const bool code = compiler::CodeBundle::is_bundle(file.bytes());
  compiler::OwnedTier tier;
  if (code) {
    tier = compiler::make_code_tier(o.tier.compile.code);
  } else {
    WAFER_LET(made, o.tier.make());
    tier = std::move(made);
  }
  rest = tier.rest;
  runtime::Config config;
  config.features = o.features.get();
  config.interruptible = true;
  config.consume_fuel = o.limits.fuel.has_value();
  config.signals = o.tier.compile.code.signals;
  auto engine = runtime::Engine::create(config, tier.tier, tier.owner);
  const auto checked = [&o](auto e, auto component) -> Result<serve::Application> {
    const auto generation = serve::check(*component);
    if (!generation)
      return Error(generation.error().kind,
                   fmt::format("{}: {}", o.file, std::string_view(generation.error().message)));
    return serve::Application{std::move(e), std::move(component), *generation};
  };
  if (code) {
    WAFER_LET(component,
              program::load_component_code(file, *engine, component_features(o.features)));
    return checked(std::move(engine), std::move(component));
  }
  WAFER_LET(input, program::to_module(std::move(file), config.features));
  const auto kept = std::make_shared<const program::ModuleInput>(std::move(input));
  if (const std::string why = other_kind(kept->binary(), /*component=*/true); !why.empty())
    return Error(ErrorKind::Usage, std::string(Input::name_of(o.file)) + ": " + why);
  WAFER_LET(component, program::load_component(kept, *engine, component_features(o.features)));
  return checked(std::move(engine), std::move(component));
}

// One line, by any thread.
void write_line(std::FILE* to, const std::string& line) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  (void)std::fputs((line + "\n").c_str(), to);
  (void)std::fflush(to);
}

int run_server(const ServeOptions& o) {
  // Signals are for the thread that waits for them.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, s);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  serve::Options options;
  options.address = o.address;
  options.threads = o.threads;
  options.limits = o.limits;
  options.surroundings.stdin_source = host::Input::null();
  if (Result<void> r = o.grants.fill(options.surroundings); !r) {
    print_error(r.error().message);
    return kFailure;
  }
  if (o.access_log != "none")
    options.access_log = [](const std::string& line) { write_line(stdout, line); };
  options.json_log = o.access_log == "json";
  options.tls_certificate = o.tls_certificate;
  options.tls_key = o.tls_key;
  options.http2 = !o.no_http2;
  options.admin_address = o.admin_address;
  options.error_log = [](const std::string& line) { print_error(program::printable(line)); };

  std::function<void()> rest;
  Result<serve::Application> application = load(o, rest);
  if (!application) {
    print_error(program::printable(application.error().message));
    return kFailure;
  }
  serve::Server server(std::move(options));
  if (Result<void> r = server.open(*std::move(application)); !r) {
    print_error(program::printable(r.error().message));
    return kFailure;
  }
  print_note(fmt::format("wafer: serving {} at {}://{}/", Input::name_of(o.file),
                         o.tls_certificate.empty() ? "http" : "https", server.address()));
  if (!o.admin_address.empty())
    print_note(fmt::format("wafer: metrics at http://{}/metrics", server.admin_address()));
  std::atomic<bool> ended{false};
  std::thread waiter([&] {
    // What only the start or a compiler needed is given back, then and now.
    constexpr timespec kPatience = {2, 0};
    timespec patience = kPatience;
    for (;;) {
      const int signal = sigtimedwait(&signals, nullptr, &patience);
      if (signal < 0 && errno == EAGAIN) {
        if (rest) rest();
        compiler::give_back(compiler::clean_pages());
        patience.tv_sec = std::min<time_t>(patience.tv_sec * 2, 3600);
      }
      if (signal < 0) continue;
      if (ended) return;
      if (signal != SIGHUP) {
        server.stop();
        continue;
      }
      Result<serve::Application> next = load(o, rest);
      patience = kPatience;
      if (next) {
        if (Result<void> r = server.reload(*std::move(next)); !r)
          print_error(program::printable(r.error().message));
        else
          print_note(fmt::format("wafer: {} was loaded again", Input::name_of(o.file)));
      } else {
        server.reload_failed();
        print_error(program::printable(next.error().message));
      }
    }
  });
  server.run();
  ended = true;
  // It takes the signal by waiting for it.
  pthread_kill(waiter.native_handle(), SIGTERM);  // NOLINT(bugprone-bad-signal-to-kill-thread)
  waiter.join();
  return kSuccess;
}

}  // namespace

void add_serve(CLI::App& app, Context& context) {
  auto options = std::make_shared<ServeOptions>();
  ServeOptions& o = *options;
  CLI::App& serve = *app.add_subcommand("serve", "Answer HTTP requests by a component");
  serve.add_option("--addr", o.address, "Where to listen (default 127.0.0.1:8080)")
      ->type_name("ADDRESS:PORT");
  serve.add_option("--threads", o.threads, "Threads (default: as many as processors)")
      ->type_name("N");
  serve
      .add_option("--tls-cert", o.tls_certificate,
                  "Certificate for HTTPS, with what issued it (PEM)")
      ->type_name("FILE");
  serve.add_option("--tls-key", o.tls_key, "Its key (PEM)")->type_name("FILE");
  serve.add_flag("--no-http2", o.no_http2, "Only HTTP/1.1");
  serve.add_option("--admin-addr", o.admin_address, "Where to tell metrics and health")
      ->type_name("ADDRESS:PORT");
  serve.add_option("--access-log", o.access_log, "Requests on standard output")
      ->check(CLI::IsMember({"none", "text", "json"}))
      ->type_name("none|text|json");
  o.grants.add_to(serve);

  const std::string limits = "Limits";
  const auto duration = [&](const char* name, std::chrono::milliseconds& into, const char* text) {
    serve
        .add_option_function<std::string>(
            name,
            [name, &into](const std::string& value) {
              const auto parsed = parse_duration(value);
              if (!parsed)
                throw CLI::ValidationError(name,
                                           "'" + value + "' is not a duration (500ms, 2s, 1m)");
              into = std::chrono::duration_cast<std::chrono::milliseconds>(*parsed);
            },
            text)
        ->type_name("DURATION")
        ->group(limits);
  };
  const auto size = [&](const char* name, auto set, const char* text) {
    serve
        .add_option_function<std::string>(
            name,
            [name, set](const std::string& value) {
              const std::optional<uint64_t> parsed = parse_size(value);
              if (!parsed)
                throw CLI::ValidationError(name, "'" + value + "' is not a size (4096, 64M, 1GiB)");
              set(*parsed);
            },
            text)
        ->type_name("SIZE")
        ->group(limits);
  };
  duration("--timeout", o.limits.request_time, "Time of a request in the guest (default 60s)");
  duration("--header-timeout", o.limits.header_time, "Time for a header (default 10s)");
  duration("--idle-timeout", o.limits.idle_time, "Time between requests (default 75s)");
  duration("--body-timeout", o.limits.body_time, "Time without a byte of a body (default 30s)");
  duration("--drain-timeout", o.limits.drain_time, "Time for requests at the end (default 30s)");
  size(
      "--max-header",
      [&o](uint64_t n) { o.limits.header_bytes = size_t(std::min<uint64_t>(n, 64 << 20)); },
      "Ceiling on a request's header (default 64K)");
  size("--max-body", [&o](uint64_t n) { o.limits.body_bytes = n; }, "Ceiling on a request's body");
  size(
      "--max-memory", [&o](uint64_t n) { o.limits.store.memory_bytes = n; },
      "Ceiling on each linear memory");
  serve.add_option("--fuel", o.limits.fuel, "About this many instructions for each request")
      ->type_name("N")
      ->group(limits);
  serve.add_option("--max-connections", o.limits.connections, "At once (default 20000)")
      ->type_name("N")
      ->group(limits);
  const auto at_least_one = CLI::Range(size_t{1}, SIZE_MAX);
  serve
      .add_option("--max-requests", o.limits.requests,
                  "At once, beyond which the answer is 503 (default 4096)")
      ->check(at_least_one)
      ->type_name("N")
      ->group(limits);
  serve
      .add_option("--max-instance-reuse", o.limits.instance_reuse,
                  "Requests that an instance of WASI 0.3 answers (default 1024)")
      ->check(at_least_one)
      ->type_name("N")
      ->group(limits);
  serve
      .add_option("--max-concurrent", o.limits.concurrent,
                  "Requests that an instance of WASI 0.3 answers at once (default 16)")
      ->check(at_least_one)
      ->type_name("N")
      ->group(limits);
  o.tier.add_to(serve);
  o.tier.use_cache = true;
  o.tier.own_process = true;
  serve
      .add_flag_callback(
          "--in-process", [&o] { o.tier.own_process = false; },
          "Generate code in the server's own process, not in one that ends when it has nothing to "
          "do")
      ->group("Code");
  o.features.add_to(serve);
  serve.add_option("FILE", o.file, "Component, binary or text")->required();
  serve.callback(
      [options, &context] { context.action = [options] { return run_server(*options); }; });
}

}  // namespace wafer::cli
