#include "serve/handling.h"

#include <fmt/format.h>

#include "wasm/cursor.h"

namespace wafer::serve {

namespace {

std::string json(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", c);
    else
      out += c;
  }
  return out + "\"";
}

}  // namespace

const std::string& http_date() {
  thread_local std::string text;
  thread_local time_t at = 0;
  const time_t now = time(nullptr);
  if (now != at || text.empty()) {
    at = now;
    tm t = {};
    gmtime_r(&now, &t);
    char buffer[40];
    strftime(buffer, sizeof(buffer), "%a, %d %b %Y %H:%M:%S GMT", &t);
    text = buffer;
  }
  return text;
}

Handling::~Handling() { cancel(); }

const char* Handling::objection(const host::HttpRequest& request) {
  if (!host::is_authority(request.authority)) return "host";
  if (!host::is_target(request.method, request.path_with_query)) return "target";
  return wasm::is_utf8(request.path_with_query) && wasm::is_utf8(request.method) ? nullptr
                                                                                 : "no UTF-8";
}

void Handling::begin(host::HttpRequest request) {
  request_body = request.body;
  auto admission = worker_.metrics().admit(worker_.options().limits.requests);
  if (!admission) return turn_away();
  ++worker_.metrics().requests;
  invocation_ = std::make_shared<Invocation>(
      worker_.surroundings(), worker_.application(), std::move(admission),
      Invocation::Events{[this](HttpAnswer answer) { on_answer(std::move(answer)); },
                         [this](uint16_t code, const host::HttpFields& fields) {
                           return owner_ && !answered && owner_->on_inform(*this, code, fields);
                         },
                         [this](const std::string& failure) { on_ended(failure); }});
  worker_.watch(invocation_, began_ + worker_.options().limits.request_time);
  const std::shared_ptr<Handling> self = shared_from_this();
  const std::shared_ptr<Invocation> invocation = invocation_;
  beginning_ = true;
  invocation->start(std::move(request));
  beginning_ = false;
  tell();
}

void Handling::tell_soon() {
  if (beginning_ || std::exchange(tells_, true)) return;
  worker_.loop().post([self = shared_from_this()] {
    self->tells_ = false;
    self->tell();
  });
}

void Handling::tell() {
  const bool over = std::exchange(ended_, nullptr) != nullptr;
  if (owner_ && answered && !std::exchange(told_, true)) owner_->on_response(*this);
  if (owner_ && over) owner_->on_guest_done(*this);
}

void Handling::turn_away() {
  constexpr std::string_view kWhy = "too many requests at once\n";
  answered = true;
  response.status = 503;
  response.fields = {{"content-type", "text/plain"}, {"retry-after", "1"}};
  response.body = std::make_shared<host::HttpBody>();
  response.body->write({reinterpret_cast<const uint8_t*>(kWhy.data()), kWhy.size()});
  response.body->finish();
  worker_.loop().post([self = shared_from_this()] {
    if (self->owner_) self->owner_->on_response(*self);
    if (self->owner_) self->owner_->on_guest_done(*self);
  });
}

void Handling::cancel() {
  owner_ = nullptr;
  if (request_body) request_body->fail(host::Status(ECONNRESET));
  if (response.body) response.body->discard();
  if (!invocation_) return;
  worker_.unwatch(*invocation_);
  invocation_->cancel();
  // It may be what is running just now.
  worker_.loop().post([kept = std::move(invocation_)] {});
}

void Handling::on_answer(HttpAnswer answer) {
  if (!owner_ || answered) return;
  answered = true;
  // What begins as such would be taken for no answer yet, and the next one for this (RFC
  // 9110, 15.2).
  if (answer.failure.empty() && (answer.response.status < 200 || answer.response.status > 999))
    answer.failure = fmt::format(
        "the guest's response has status {}: {}", answer.response.status,
        answer.response.status == 101 ? "connections are not upgraded" : "it is no final one");
  if (!answer.failure.empty()) {
    const bool late = invocation_ && invocation_->interrupted();
    ++(late ? worker_.metrics().timeouts : worker_.metrics().failures);
    worker_.log_error(method + " " + target + ": " + answer.failure);
    response = {};
    response.status = late ? 504 : 500;
  } else {
    response = std::move(answer.response);
    if (response.body && host::has_no_body(method, response.status)) response.body->waive();
  }
  tell_soon();
}

void Handling::on_ended(const std::string& failure) {
  if (!owner_) return;
  worker_.unwatch(*invocation_);
  if (!failure.empty() && response.body && !response.body->ended()) {
    worker_.log_error(method + " " + target + ": " + failure);
    response.body->fail(host::Status(ECONNRESET));
  }
  // A guest that has returned cannot finish what it has not.
  ended_ = std::move(invocation_);
  tell_soon();
}

void Handling::log_gone(const std::string& remote, const char* protocol) {
  constexpr int kStopped = 503;
  if (logged || method.empty()) return;
  if (!status) status = worker_.ended() ? kStopped : unanswered;
  log(remote, protocol);
}

void Handling::log(const std::string& remote, const char* protocol) {
  logged = true;
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - began_);
  worker_.metrics().count(status, uint64_t(took.count()), sent);
  const Options& options = worker_.options();
  if (!options.access_log) return;
  const time_t now = time(nullptr);
  tm t = {};
  gmtime_r(&now, &t);
  char when[40];
  strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &t);
  options.access_log(
      options.json_log
          ? fmt::format("{{\"time\":\"{}\",\"remote\":\"{}\",\"protocol\":\"{}\",\"method\":{},"
                        "\"target\":{},\"status\":{},\"bytes\":{},\"microseconds\":{}}}",
                        when, remote, protocol, json(method), json(target), status, sent,
                        took.count())
          : fmt::format("{} {} {} {} {} {} {} {}us", when, remote, protocol,
                        method.empty() ? "-" : method, target.empty() ? "-" : target, status, sent,
                        took.count()));
}

}  // namespace wafer::serve
