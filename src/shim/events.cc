#include "shim/events.h"

#include <time.h>

namespace wafer::shim {

proto::Timestamp timestamp_now() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  proto::Timestamp out;
  out.set_seconds(now.tv_sec);
  out.set_nanos(int32_t(now.tv_nsec));
  return out;
}

void Publisher::publish(std::string topic, std::string type, std::string event) {
  if (!enabled_) return;
  proto::ForwardRequest request;
  proto::Envelope& e = *request.mutable_envelope();
  *e.mutable_timestamp() = timestamp_now();
  e.set_namespace_(namespace_);
  e.set_topic(std::move(topic));
  e.mutable_event()->set_type_url(std::move(type));
  e.mutable_event()->set_value(std::move(event));
  if (queue_.size() >= kMaxQueue) queue_.pop_front();
  queue_.push_back(request.SerializeAsString());
  if (!sending_) send_first();
}

void Publisher::send_first() {
  if (queue_.empty()) {
    sending_ = false;
    return;
  }
  sending_ = true;
  client_.call("containerd.services.events.ttrpc.v1.Events", "Forward", queue_.front(),
               [this](RpcResult result) {
                 // An event that is refused will not be taken later either.
                 const bool again = result.code == RpcCode::Unavailable && ++tries_ < kTries;
                 if (again) {
                   const auto delay = std::chrono::milliseconds(100 << tries_);
                   loop_.after(delay, [this] { send_first(); });
                   return;
                 }
                 tries_ = 0;
                 if (!queue_.empty()) queue_.pop_front();
                 send_first();
               });
}

}  // namespace wafer::shim
