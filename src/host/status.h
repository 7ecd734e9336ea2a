// How operations of the system end: an error number of <cerrno>, or a value.
#pragma once

#include <errno.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace wafer::host {

class [[nodiscard]] Status {
 public:
  constexpr Status() = default;  // success
  constexpr explicit Status(int code) : code_(code) {}
  // What errno says.
  static Status last() { return Status(errno); }
  // Of a call that gives a negative number on failure.
  static Status of(long result) { return result < 0 ? last() : Status(); }

  constexpr bool ok() const { return code_ == 0; }
  constexpr explicit operator bool() const { return ok(); }
  constexpr int code() const { return code_; }
  constexpr bool operator==(const Status&) const = default;
  std::string message() const;
  // Codes from here on are failures of HTTP (host/http.h).
  static constexpr int kHttp = 1 << 20;

 private:
  int code_ = 0;
};

// A T or an error number.
template <class T>
class [[nodiscard]] Outcome {
 public:
  Outcome(Status failure) : status_(failure) {}
  Outcome(T value) : value_(std::move(value)) {}

  bool ok() const { return status_.ok(); }
  explicit operator bool() const { return ok(); }
  Status status() const { return status_; }
  int code() const { return status_.code(); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return std::move(*value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  Status status_;
  std::optional<T> value_;
};

// "WHAT: message of the status", for those who set a host up.
Error io_error(std::string what, Status status);

// Returns the failure of `expr` from the enclosing function, if it is one.
#define HOST_TRY(expr)                                 \
  do {                                                 \
    const ::wafer::host::Status host_status_ = (expr); \
    if (!host_status_.ok()) return host_status_;       \
  } while (0)

// `HOST_LET(x, expr)` declares x as the value of the outcome `expr`, or returns its failure.
#define HOST_LET(name, expr)                               \
  auto WAFER_CONCAT(host_outcome_, __LINE__) = (expr);     \
  if (!WAFER_CONCAT(host_outcome_, __LINE__).ok())         \
    return WAFER_CONCAT(host_outcome_, __LINE__).status(); \
  auto&& name = *std::move(WAFER_CONCAT(host_outcome_, __LINE__))

}  // namespace wafer::host
