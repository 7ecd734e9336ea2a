// What wasi:http of 0.2 and 0.3 have in common.
#pragma once

#include <errno.h>

#include <optional>
#include <string>
#include <string_view>

#include "host/http.h"
#include "wasi/bind/codec.h"

namespace wafer::wasi {

// A guest's answer: a response, or why there is none (in words for a log).
struct HttpAnswer {
  host::HttpResponse response;
  std::string failure;  // empty: there is a response
};

// What a guest may not set: fields of the connection, and what the host makes of the request.
bool is_forbidden_field(std::string_view name);
// Without those.
host::HttpFields received_fields(host::HttpFields fields);
// As the fields tell; none if they do not, or what they tell is no number.
std::optional<uint64_t> content_length(const host::HttpFields& fields);

// RFC 3986: a path with a query, a scheme, and an authority (user@host:port).
bool is_path_with_query(std::string_view text);
bool is_scheme(std::string_view text);
bool is_authority(std::string_view text);

// The variant `method` of wasi:http.
template <class Method>
struct HttpMethods {
  using Tag = typename Method::Tag;
  static constexpr std::pair<std::string_view, Tag> kAll[] = {
      {"GET", Tag::Get},         {"HEAD", Tag::Head},     {"POST", Tag::Post},
      {"PUT", Tag::Put},         {"DELETE", Tag::Delete}, {"CONNECT", Tag::Connect},
      {"OPTIONS", Tag::Options}, {"TRACE", Tag::Trace},   {"PATCH", Tag::Patch},
  };
};
template <class Method>
Method http_method(const std::string& text) {
  for (const auto& [name, tag] : HttpMethods<Method>::kAll) {
    if (name != text) continue;
    Method m;
    m.tag = tag;
    return m;
  }
  return Method::of_other(text);
}
template <class Method>
std::string text_of_method(const Method& m) {
  for (const auto& [name, tag] : HttpMethods<Method>::kAll)
    if (tag == m.tag) return std::string(name);
  return *m.other;
}

// What the system says, where a client leaves it at that.
host::HttpError http_error_of_system(int code);

// The variant `error-code` of wasi:http for it.
template <class Code>
Code http_error_code(host::Status status) {
  // The host's errors of HTTP have the names that WASI has for them.
  constexpr typename Code::Tag kTags[] = {
#define HTTP_ERROR(name, text) Code::Tag::name,
#include "host/http_errors.def"
#undef HTTP_ERROR
  };
  uint8_t detail = 0;
  std::optional<host::HttpError> error = host::http_error_of(status, &detail);
  if (!error && (status.code() == ENOMEM || status.code() == EIO))
    return Code::of_internal_error(status.message());
  if (!error) error = http_error_of_system(status.code());
  Code code;
  code.tag = kTags[size_t(*error)];
  // Of what could be told besides, the least.
  if (code.tag == Code::Tag::TLSAlertReceived)
    return Code::of_tls_alert_received({detail, std::nullopt});
  with_payload(code, [](auto& payload) { payload.emplace(); });
  return code;
}

// Writes a body that is to be no longer than was told.
class HttpBodyWriter final : public host::OutputStream {
 public:
  HttpBodyWriter(host::HttpBodyRef b, std::optional<uint64_t> l) : body(std::move(b)), limit(l) {}
  host::Outcome<size_t> budget() override { return body->room(); }
  // EMSGSIZE for too much: it would be taken for what comes next.
  host::Status write(Bytes from) override;
  host::Status flush() override { return {}; }
  host::PollableRef pollable() override { return {body, &body->writable()}; }
  bool complete() const { return !limit || *limit == written || body->waived(); }

  const host::HttpBodyRef body;
  const std::optional<uint64_t> limit;
  uint64_t written = 0;
};

}  // namespace wafer::wasi
