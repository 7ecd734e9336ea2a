#include "serve/metrics.h"

#include <fmt/format.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace wafer::serve {

std::shared_ptr<void> Metrics::admit(size_t most) {
  struct Admission {
    explicit Admission(std::atomic<uint64_t>& a) : active(a) {}
    ~Admission() { --active; }
    std::atomic<uint64_t>& active;
  };
  if (active.fetch_add(1) < most) return std::make_shared<Admission>(active);
  --active;
  ++refused;
  return nullptr;
}

void Metrics::count(int status, uint64_t took, uint64_t bytes) {
  if (status >= 100 && status < 600) ++by_class[status / 100 - 1];
  ++responses;
  microseconds += took;
  body_bytes += bytes;
  const auto at = std::lower_bound(std::begin(kBuckets), std::end(kBuckets), took);
  if (at != std::end(kBuckets)) ++within[at - std::begin(kBuckets)];
}

namespace {

// Of this process; 0 if it is not told.
uint64_t resident_bytes() {
  uint64_t size = 0, resident = 0;
  if (FILE* const f = fopen("/proc/self/statm", "re")) {
    unsigned long a = 0, b = 0;
    if (fscanf(f, "%lu %lu", &a, &b) == 2) size = a, resident = b;
    fclose(f);
  }
  (void)size;
  return resident * uint64_t(sysconf(_SC_PAGESIZE));
}

}  // namespace

std::string Metrics::text() const {
  std::string out;
  const auto head = [&out](const char* name, const char* type, const char* help) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  };
  const auto one = [&](const char* name, const char* type, const char* help, auto value) {
    head(name, type, help);
    out += fmt::format("{} {}\n", name, value);
  };
  const auto of = [](const std::atomic<uint64_t>& n) { return n.load(std::memory_order_relaxed); };
  one("wafer_connections_total", "counter", "Connections accepted.", of(connections));
  one("wafer_connections_open", "gauge", "Connections open now.", of(open));
  one("wafer_requests_total", "counter", "Requests given to guests.", of(requests));
  one("wafer_requests_active", "gauge", "Requests that guests work on now.", of(active));
  one("wafer_requests_refused_total", "counter", "Requests that were too many at once.",
      of(refused));
  one("wafer_instances_total", "counter", "Instances made; requests after that begin them anew.",
      of(instances));
  head("wafer_responses_total", "counter", "Responses by class of status.");
  for (int i = 0; i < 5; ++i)
    out += fmt::format("wafer_responses_total{{class=\"{}xx\"}} {}\n", i + 1, of(by_class[i]));
  head("wafer_guest_failures_total", "counter", "Guests that trapped or gave no response.");
  out += fmt::format("wafer_guest_failures_total{{reason=\"failure\"}} {}\n", of(failures));
  out += fmt::format("wafer_guest_failures_total{{reason=\"timeout\"}} {}\n", of(timeouts));
  one("wafer_response_body_bytes_total", "counter", "Bytes of bodies sent.", of(body_bytes));
  head("wafer_request_duration_seconds", "histogram", "From a request's header to the last byte.");
  uint64_t sum = 0;
  for (size_t i = 0; i < std::size(kBuckets); ++i) {
    sum += of(within[i]);
    out += fmt::format("wafer_request_duration_seconds_bucket{{le=\"{}\"}} {}\n",
                       double(kBuckets[i]) / 1e6, sum);
  }
  // (Read once: a bucket must not hold more than all.)
  const uint64_t all = std::max(sum, of(responses));
  out += fmt::format("wafer_request_duration_seconds_bucket{{le=\"+Inf\"}} {}\n", all);
  out += fmt::format("wafer_request_duration_seconds_sum {}\n", double(of(microseconds)) / 1e6);
  out += fmt::format("wafer_request_duration_seconds_count {}\n", all);
  head("wafer_reloads_total", "counter", "Times that the component was loaded again.");
  out += fmt::format("wafer_reloads_total{{result=\"ok\"}} {}\n", of(reloads));
  out += fmt::format("wafer_reloads_total{{result=\"failed\"}} {}\n", of(failed_reloads));
  one("process_resident_memory_bytes", "gauge", "Resident memory.", resident_bytes());
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return double(t.tv_sec) + double(t.tv_usec) / 1e6; };
  one("process_cpu_seconds_total", "counter", "Processor time used.",
      seconds(usage.ru_utime) + seconds(usage.ru_stime));
  one("process_start_time_seconds", "gauge", "When it began.",
      std::chrono::duration_cast<std::chrono::seconds>(started.time_since_epoch()).count());
  return out;
}

}  // namespace wafer::serve
