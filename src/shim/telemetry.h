// What the shim does, told by OpenTelemetry: OTLP over HTTP, as JSON.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shim/loop.h"
#include "shim/poster.h"
#include "shim/ttrpc.h"

namespace wafer::shim {

// Where OTLP goes, as the usual variables of the environment say.
struct OtlpTarget {
  std::string host, port, path;  // addresses without brackets
  std::vector<std::pair<std::string, std::string>> headers;
  std::string url() const;
};

struct TelemetryOptions {
  std::optional<OtlpTarget> traces, metrics;  // none: not told
  std::vector<std::pair<std::string, std::string>> resource;
  std::chrono::milliseconds delay{5000};  // how long spans wait for more
};

// Reads OTEL_EXPORTER_OTLP_ENDPOINT and its like by `variable`, which gives "" for what is not set.
// Usage for what cannot be followed: a protocol other than http/json, https.
Result<TelemetryOptions> telemetry_options(
    const std::function<std::string(const char* name)>& variable);

class Telemetry {
 public:
  Telemetry(Loop& loop, TelemetryOptions options);
  ~Telemetry();
  Telemetry(const Telemetry&) = delete;
  Telemetry& operator=(const Telemetry&) = delete;

  struct Span {
    std::string trace, id, parent, name;  // numbers in hexadecimal
    uint64_t begin = 0, end = 0;          // nanoseconds of the clock
    std::vector<std::pair<std::string, std::string>> attributes;
    std::string error;
  };

  // A call that begins now and ends when what this gives is called in place of `reply`.
  // `traceparent` is the header of that name, or empty.
  RpcServer::Reply follow(std::string_view service, std::string_view method,
                          const std::string& container, std::string_view traceparent,
                          RpcServer::Reply reply);
  // The call that is being handed out, for stages of it.
  const std::shared_ptr<const Span>& current() const { return current_; }
  void leave() { current_.reset(); }
  // Part of a call, from `begin` (of now()) to this moment.
  void stage(const std::shared_ptr<const Span>& call, const char* name, uint64_t begin);
  static uint64_t now();

  // Tells how many containers there are, when metrics are written; null: there are none.
  void count_containers(std::function<size_t()> count) { containers_ = std::move(count); }
  // Sends what waits, without waiting for more.
  void flush();
  bool has_unsent() const { return sending_ || !posts_.empty() || !spans_.empty(); }

 private:
  struct Durations {
    uint64_t count = 0, errors = 0;
    double sum = 0;  // in seconds
    std::vector<uint64_t> buckets;
  };
  void add(std::shared_ptr<const Span> span);
  void later();
  nlohmann::json resource() const;
  std::string spans_text();
  std::string metrics_text() const;
  void send_next();

  Loop& loop_;
  const TelemetryOptions options_;
  std::shared_ptr<const Span> current_;
  std::vector<std::shared_ptr<const Span>> spans_;
  std::map<std::string, Durations> durations_;  // by method
  std::function<size_t()> containers_;
  size_t dropped_ = 0;
  const uint64_t begin_ = now();
  uint64_t timer_ = 0;  // for flush()
  std::deque<std::pair<const OtlpTarget*, std::string>> posts_;
  bool sending_ = false, warned_ = false;
  Poster poster_;
};

}  // namespace wafer::shim
