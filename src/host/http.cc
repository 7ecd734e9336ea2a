#include "host/http.h"

#include <algorithm>
#include <cstring>

namespace wafer::host {

Status http_failure(HttpError error, uint8_t detail) {
  return Status(Status::kHttp + int(error) * 256 + detail);
}

std::optional<HttpError> http_error_of(Status status, uint8_t* detail) {
  const int code = status.code() - Status::kHttp;
  if (code < 0) return std::nullopt;
  if (detail) *detail = uint8_t(code % 256);
  return HttpError(code / 256);
}

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; }

}  // namespace

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

std::string lower_name(std::string_view name) {
  std::string out(name);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

bool is_token(std::string_view text) {
  constexpr std::string_view kOther = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    const char l = lower(c);
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || kOther.find(c) != kOther.npos;
  });
}

bool is_field_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7F);
  });
}

bool is_authority(std::string_view text) {
  constexpr std::string_view kOther = "-._~!$&'()*+,;=%";  // unreserved, sub-delims, escapes
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  size_t end = 0;
  if (text.starts_with('[')) {
    end = text.find(']') + 1;
    if (end == 0) return false;
    for (const char c : text.substr(1, end - 2))
      if (!is_digit(c) && !(lower(c) >= 'a' && lower(c) <= 'z') && c != ':' && c != '.')
        return false;
  } else {
    while (end < text.size() &&
           (is_digit(text[end]) || (lower(text[end]) >= 'a' && lower(text[end]) <= 'z') ||
            kOther.find(text[end]) != kOther.npos))
      ++end;
  }
  if (end == text.size()) return true;
  return end > 0 && text[end] == ':' &&
         std::all_of(text.begin() + ptrdiff_t(end) + 1, text.end(), is_digit);
}

bool is_target(std::string_view method, std::string_view text) {
  if (text == "*") return method == "OPTIONS";
  return text.starts_with('/') && std::all_of(text.begin(), text.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte > 0x20 && byte != 0x7F && c != '#';
         });
}

bool is_hop_by_hop(std::string_view name) {
  for (const char* own :
       {"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
        "transfer-encoding", "upgrade", "te", "http2-settings"})
    if (same_name(name, own)) return true;
  return false;
}

// ---- HttpBody -------------------------------------------------------------------

bool has_no_body(std::string_view method, int status) {
  return method == "HEAD" || status == 204 || status == 304 || status < 200;
}

void HttpBody::update() {
  const bool to_read = !front().empty() || ended_;
  if (to_read)
    readable_.set();
  else
    readable_.clear();
  if (ended_ || discarded_ || front().size() + going_ < kCapacity)
    writable_.set();
  else
    writable_.clear();
  if (ended_) end_.set();
}

Outcome<size_t> HttpBody::room() const {
  if (!failure_.ok()) return failure_;
  if (discarded_) return unread_;
  if (ended_) return Status(EPIPE);
  return kCapacity - std::min(kCapacity, front().size() + going_);
}

void HttpBody::write(Bytes bytes) {
  if (ended_ || discarded_) return;
  if (pass_on && front().empty() && going_ == 0) {
    const Passed passed = pass_on(bytes);
    bytes = bytes.subspan(passed.taken);
    going_ = passed.going;
    if (on_taken && passed.taken > going_) on_taken(passed.taken - going_);
    if (bytes.empty()) return update();
  }
  if (taken_ > 0 && taken_ == data_.size()) {
    data_.clear();
    taken_ = 0;
  } else if (taken_ >= kCapacity) {
    data_.erase(data_.begin(), data_.begin() + ptrdiff_t(taken_));
    taken_ = 0;
  }
  // With room for what HTTP/1.1 puts behind a piece, which then stays where it is.
  constexpr size_t kBehind = 64;
  const size_t need = data_.size() + bytes.size() + kBehind;
  const size_t most = (taken_ > 0 ? 2 : 1) * kCapacity + kBehind;
  if (need > data_.capacity()) data_.reserve(std::max(need, std::min(2 * data_.capacity(), most)));
  data_.insert(data_.end(), bytes.begin(), bytes.end());
  update();
}

void HttpBody::finish(HttpFields trailers) {
  if (ended_) return;
  ended_ = true;
  trailers_ = std::move(trailers);
  update();
}

void HttpBody::fail(Status status) {
  if (ended_) return;
  ended_ = true;
  failure_ = status;
  update();
}

Outcome<size_t> HttpBody::read(MutableBytes to) {
  const size_t n = std::min(to.size(), front().size());
  if (n == 0 && !to.empty()) {
    if (!ended_) return Status(EAGAIN);
    if (!failure_.ok()) return failure_;
    return size_t{0};
  }
  std::memcpy(to.data(), front().data(), n);
  remove(n);
  return n;
}

void HttpBody::remove(size_t size) {
  taken_ += size;
  update();
  if (on_taken && size > 0) on_taken(size);
}

void HttpBody::take(std::vector<uint8_t>& to) {
  data_.erase(data_.begin(), data_.begin() + ptrdiff_t(taken_));
  to.clear();
  data_.swap(to);
  taken_ = 0;
  going_ = to.size();
  update();
}

void HttpBody::gone(std::vector<uint8_t>& taken) {
  taken.clear();
  if (data_.empty() && data_.capacity() < taken.capacity()) data_.swap(taken);
  const size_t size = std::exchange(going_, 0);
  if (size == 0) return;
  update();
  if (on_taken) on_taken(size);
}

void HttpBody::discard(Status why) {
  const size_t left = front().size() + std::exchange(going_, 0);
  if (!std::exchange(discarded_, true)) unread_ = why;
  data_.clear();
  taken_ = 0;
  update();
  if (on_taken) on_taken(left);
}

namespace {

class BodyInput final : public InputStream {
 public:
  explicit BodyInput(HttpBodyRef body) : body_(std::move(body)) {}
  Outcome<size_t> read(MutableBytes to) override { return body_->read(to); }
  PollableRef pollable() override { return {body_, &body_->readable()}; }

 private:
  HttpBodyRef body_;
};

class BodyOutput final : public OutputStream {
 public:
  explicit BodyOutput(HttpBodyRef body) : body_(std::move(body)) {}
  Outcome<size_t> budget() override { return body_->room(); }
  Status write(Bytes from) override {
    HOST_LET(room, body_->room());
    (void)room;
    body_->write(from);
    return {};
  }
  // Whoever reads takes what is there at once.
  Status flush() override { return {}; }
  PollableRef pollable() override { return {body_, &body_->writable()}; }

 private:
  HttpBodyRef body_;
};

}  // namespace

InputStreamRef read_body(HttpBodyRef body) { return std::make_shared<BodyInput>(std::move(body)); }
OutputStreamRef write_body(HttpBodyRef body) {
  return std::make_shared<BodyOutput>(std::move(body));
}

}  // namespace wafer::host
