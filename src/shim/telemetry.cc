#include "shim/telemetry.h"

#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "oci/format/json.h"
#include "shim/log.h"

namespace wafer::shim {

namespace {

using nlohmann::json;

constexpr size_t kMaxSpans = 2048;
constexpr size_t kMaxPosts = 8;
// Upper ends of a histogram's buckets, in seconds.
constexpr double kBounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                              0.1,    0.25,  0.5,    1,     2.5,  5,     10};

std::string random_hex(size_t bytes) {
  uint8_t raw[16] = {};
  (void)!getrandom(raw, bytes, 0);
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < bytes; ++i) {
    out += kDigits[raw[i] >> 4];
    out += kDigits[raw[i] & 15];
  }
  return out;
}

bool is_hex(std::string_view text, size_t size) {
  return text.size() == size && text.find_first_not_of("0123456789abcdef") == text.npos &&
         text.find_first_not_of('0') != text.npos;
}

// "A=B,C=D", as in headers and resource attributes.
std::vector<std::pair<std::string, std::string>> pairs_of(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, end);
    const size_t equals = part.find('=');
    // Neither is to end a line of a request.
    if (equals != part.npos && equals > 0 && part.find_first_of("\r\n") == part.npos)
      out.emplace_back(part.substr(0, equals), part.substr(equals + 1));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

Result<OtlpTarget> target_of(std::string url, std::string_view suffix) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme))
    return Error(ErrorKind::Usage, "traces and metrics go to http:// only, not " + url);
  OtlpTarget target;
  const std::string rest = url.substr(kScheme.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  std::string authority = rest.substr(0, slash);
  target.path = rest.substr(slash);
  while (!suffix.empty() && target.path.ends_with('/')) target.path.pop_back();
  target.path += suffix;
  if (target.path.empty()) target.path = "/";
  const size_t bracket = authority.rfind(']'), colon = authority.rfind(':');
  target.port = "4318";
  if (colon != authority.npos && (bracket == authority.npos || colon > bracket)) {
    target.port = authority.substr(colon + 1);
    authority.resize(colon);
  }
  if (authority.starts_with('[') && authority.ends_with(']'))
    authority = authority.substr(1, authority.size() - 2);
  target.host = authority;
  if (target.host.empty() || target.port.empty() || url.find_first_of(" \r\n") != std::string::npos)
    return Error(ErrorKind::Usage, "no address: " + url);
  return target;
}

json attribute(const std::string& key, const std::string& value) {
  return {{"key", key}, {"value", {{"stringValue", value}}}};
}

}  // namespace

std::string OtlpTarget::url() const {
  const bool v6 = host.find(':') != host.npos;
  return "http://" + (v6 ? "[" + host + "]" : host) + ":" + port + path;
}

Result<TelemetryOptions> telemetry_options(
    const std::function<std::string(const char* name)>& variable) {
  TelemetryOptions options;
  if (variable("OTEL_SDK_DISABLED") == "true") return options;
  const auto of_signal = [&](const std::string& signal,
                             std::string_view suffix) -> Result<std::optional<OtlpTarget>> {
    const auto one = [&](const char* rest) {
      const std::string own = variable(("OTEL_EXPORTER_OTLP_" + signal + "_" + rest).c_str());
      return own.empty() ? variable((std::string("OTEL_EXPORTER_OTLP_") + rest).c_str()) : own;
    };
    const std::string own = variable(("OTEL_EXPORTER_OTLP_" + signal + "_ENDPOINT").c_str());
    const std::string common = variable("OTEL_EXPORTER_OTLP_ENDPOINT");
    if (own.empty() && common.empty()) return std::optional<OtlpTarget>();
    const std::string exporter = variable(("OTEL_" + signal + "_EXPORTER").c_str());
    if (exporter == "none") return std::optional<OtlpTarget>();
    // Collectors take JSON wherever they take http/protobuf.
    if (const std::string protocol = one("PROTOCOL"); protocol == "grpc")
      return Error(ErrorKind::Usage, "OTEL_EXPORTER_OTLP_PROTOCOL: http/json is spoken, not grpc");
    WAFER_LET(target, target_of(own.empty() ? common : own, own.empty() ? suffix : ""));
    target.headers = pairs_of(one("HEADERS"));
    return std::optional<OtlpTarget>(std::move(target));
  };
  WAFER_LET(traces, of_signal("TRACES", "/v1/traces"));
  WAFER_LET(metrics, of_signal("METRICS", "/v1/metrics"));
  options.traces = std::move(traces);
  options.metrics = std::move(metrics);
  options.resource = pairs_of(variable("OTEL_RESOURCE_ATTRIBUTES"));
  const std::string name = variable("OTEL_SERVICE_NAME");
  std::erase_if(options.resource,
                [&](const auto& a) { return a.first == "service.name" && !name.empty(); });
  if (!name.empty() || std::none_of(options.resource.begin(), options.resource.end(),
                                    [](const auto& a) { return a.first == "service.name"; }))
    options.resource.emplace_back("service.name", name.empty() ? "containerd-shim-wafer-v1" : name);
  const std::string delay = variable("OTEL_BSP_SCHEDULE_DELAY");
  int milliseconds = 0;
  if (std::from_chars(delay.data(), delay.data() + delay.size(), milliseconds).ec == std::errc() &&
      milliseconds > 0)
    options.delay = std::chrono::milliseconds(milliseconds);
  return options;
}

Telemetry::Telemetry(Loop& loop, TelemetryOptions options)
    : loop_(loop), options_(std::move(options)), poster_(loop) {}

Telemetry::~Telemetry() {
  if (timer_) loop_.cancel(timer_);
}

uint64_t Telemetry::now() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return uint64_t(time.tv_sec) * 1'000'000'000 + uint64_t(time.tv_nsec);
}

RpcServer::Reply Telemetry::follow(std::string_view service, std::string_view method,
                                   const std::string& container, std::string_view traceparent,
                                   RpcServer::Reply reply) {
  auto span = std::make_shared<Span>();
  span->name = std::string(service) + "/" + std::string(method);
  span->begin = now();
  // VERSION-TRACE-PARENT-FLAGS
  if (traceparent.size() >= 55 && traceparent[2] == '-' && traceparent[35] == '-' &&
      traceparent[52] == '-' && is_hex(traceparent.substr(3, 32), 32) &&
      is_hex(traceparent.substr(36, 16), 16)) {
    span->trace = traceparent.substr(3, 32);
    span->parent = traceparent.substr(36, 16);
  } else {
    span->trace = random_hex(16);
  }
  span->id = random_hex(8);
  span->attributes = {{"rpc.system", "ttrpc"},
                      {"rpc.service", std::string(service)},
                      {"rpc.method", std::string(method)}};
  if (!container.empty()) span->attributes.emplace_back("container.id", container);
  current_ = span;
  return [this, span, method = std::string(method), reply = std::move(reply)](RpcResult result) {
    span->end = now();
    if (!result.ok()) span->error = result.text.empty() ? "failed" : result.text;
    Durations& d = durations_[method];
    const double seconds = double(span->end - span->begin) / 1e9;
    d.buckets.resize(std::size(kBounds) + 1);
    ++d.buckets[size_t(std::lower_bound(std::begin(kBounds), std::end(kBounds), seconds) -
                       std::begin(kBounds))];
    ++d.count;
    d.sum += seconds;
    if (!result.ok()) ++d.errors;
    add(span);
    reply(std::move(result));
  };
}

void Telemetry::stage(const std::shared_ptr<const Span>& call, const char* name, uint64_t begin) {
  if (!call) return;
  auto span = std::make_shared<Span>();
  span->name = name;
  span->begin = begin;
  span->end = now();
  span->trace = call->trace;
  span->parent = call->id;
  span->id = random_hex(8);
  add(std::move(span));
}

void Telemetry::add(std::shared_ptr<const Span> span) {
  if (options_.traces) {
    if (spans_.size() < kMaxSpans)
      spans_.push_back(std::move(span));
    else
      ++dropped_;
  }
  later();
}

void Telemetry::later() {
  if (timer_) return;
  timer_ = loop_.after(options_.delay, [this] {
    timer_ = 0;
    flush();
  });
}

json Telemetry::resource() const {
  json attributes = json::array();
  for (const auto& [key, value] : options_.resource) attributes.push_back(attribute(key, value));
  return {{"attributes", attributes}};
}

std::string Telemetry::spans_text() {
  json spans = json::array();
  for (const auto& s : std::exchange(spans_, {})) {
    json span = {{"traceId", s->trace},
                 {"spanId", s->id},
                 {"name", s->name},
                 {"kind", s->attributes.empty() ? 1 : 2},  // internal, or of a server
                 {"startTimeUnixNano", std::to_string(s->begin)},
                 {"endTimeUnixNano", std::to_string(s->end)}};
    if (!s->parent.empty()) span["parentSpanId"] = s->parent;
    for (const auto& [key, value] : s->attributes)
      span["attributes"].push_back(attribute(key, value));
    if (!s->error.empty()) span["status"] = {{"code", 2}, {"message", s->error}};
    spans.push_back(std::move(span));
  }
  json scope = {{"scope", {{"name", "wafer.shim"}}}, {"spans", std::move(spans)}};
  json of_resource = {{"resource", resource()}, {"scopeSpans", json::array({std::move(scope)})}};
  const json text = {{"resourceSpans", json::array({std::move(of_resource)})}};
  return oci::to_text(text);
}

std::string Telemetry::metrics_text() const {
  const std::string from = std::to_string(begin_), to = std::to_string(now());
  json calls = json::array(), errors = json::array();
  for (const auto& [method, d] : durations_) {
    const json attributes =
        json::array({attribute("rpc.system", "ttrpc"), attribute("rpc.method", method)});
    json buckets = json::array();
    for (const uint64_t n : d.buckets) buckets.push_back(std::to_string(n));
    calls.push_back({{"attributes", attributes},
                     {"startTimeUnixNano", from},
                     {"timeUnixNano", to},
                     {"count", std::to_string(d.count)},
                     {"sum", d.sum},
                     {"bucketCounts", buckets},
                     {"explicitBounds", kBounds}});
    errors.push_back({{"attributes", attributes},
                      {"startTimeUnixNano", from},
                      {"timeUnixNano", to},
                      {"asInt", std::to_string(d.errors)}});
  }
  json histogram = {{"name", "rpc.server.duration"}, {"unit", "s"}};
  histogram["histogram"] = {{"aggregationTemporality", 2}, {"dataPoints", std::move(calls)}};
  json sum = {{"name", "wafer.shim.errors"}, {"unit", "{call}"}};
  sum["sum"] = {
      {"aggregationTemporality", 2}, {"isMonotonic", true}, {"dataPoints", std::move(errors)}};
  json point = {{"timeUnixNano", to}, {"asInt", std::to_string(containers_ ? containers_() : 0)}};
  json gauge = {{"name", "wafer.shim.containers"}, {"unit", "{container}"}};
  gauge["gauge"]["dataPoints"] = json::array({std::move(point)});
  json scope = {{"scope", {{"name", "wafer.shim"}}}};
  scope["metrics"] = json::array({std::move(histogram), std::move(sum), std::move(gauge)});
  json of_resource = {{"resource", resource()}, {"scopeMetrics", json::array({std::move(scope)})}};
  const json text = {{"resourceMetrics", json::array({std::move(of_resource)})}};
  return oci::to_text(text);
}

void Telemetry::flush() {
  if (timer_) loop_.cancel(std::exchange(timer_, 0));
  const auto put = [this](const OtlpTarget& target, std::string text) {
    // Whoever does not take them loses the oldest.
    if (posts_.size() >= kMaxPosts) posts_.pop_front();
    posts_.emplace_back(&target, std::move(text));
  };
  if (options_.traces && !spans_.empty()) put(*options_.traces, spans_text());
  if (options_.metrics && !durations_.empty()) put(*options_.metrics, metrics_text());
  send_next();
}

void Telemetry::send_next() {
  if (sending_ || posts_.empty()) return;
  auto [target, text] = std::move(posts_.front());
  posts_.pop_front();
  host::FetchRequest request;
  request.method = "POST";
  request.url = target->url();
  for (const auto& [name, value] : target->headers) request.headers[name] = value;
  request.headers["Content-Type"] = "application/json";
  request.body = std::move(text);
  sending_ = true;
  poster_.send(std::move(request), [this](const std::string& error) {
    sending_ = false;
    if (!error.empty() && !std::exchange(warned_, true))
      log_warning("traces and metrics are not taken: " + error);
    send_next();
  });
}

}  // namespace wafer::shim
