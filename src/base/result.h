// Errors are values: Result<T> carries either a T or an Error.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "base/memory.h"
#include "base/platform.h"

namespace wafer {

enum class ErrorKind : uint8_t {
  Malformed,    // not a well-formed binary or text (spec chapters 5 and 6)
  Invalid,      // well-formed but does not validate (chapter 3)
  Unlinkable,   // an import is missing or does not match (4.7)
  Trap,         // execution trapped (or left an uncaught exception)
  Exhaustion,   // a resource limit of this implementation or of the embedder
  Unsupported,  // a feature that is not enabled, or not in this build
  Usage,        // the caller broke the API's contract (bad argument, wrong type)
  Io,           // a file or the system failed
};

// A fixed text of a message, which builds without messages do not have.
struct Text {
  const char* text;
  constexpr Text(const char* t) : text(kMessages ? t : nullptr) {}
};
// What errors say in builds without messages.
std::string_view text_of(ErrorKind kind);

struct Error {
  static constexpr uint64_t kNoOffset = ~uint64_t{0};

  ErrorKind kind = ErrorKind::Usage;
  // Byte offset into the module (binary) or the source (text); kNoOffset if none.
  uint64_t offset = kNoOffset;
  // Lower case, the specification's own wording first where it has one
  // ("unexpected end", "type mismatch: expected i32, got i64").
  String message;

  Error() = default;
  Error(ErrorKind k, std::string_view m, uint64_t at = kNoOffset)
      : kind(k), offset(at), message(kMessages || k == ErrorKind::Trap ? m : text_of(k)) {}
};

// An error on its way through functions, in a box where it stays; or none.
class Failure {
 public:
  Failure() = default;
  explicit Failure(Error error);
  // (The other is emptied last, so that its end is known to do nothing.)
  Failure(Failure&& o) noexcept : error_(o.error_) { o.error_ = nullptr; }
  Failure& operator=(Failure&& o) noexcept {
    std::swap(error_, o.error_);
    return *this;
  }
  // (Most end where it is plain that there is none.)
  WAFER_ALWAYS_INLINE ~Failure() {
    if (error_) drop(error_);
  }
  explicit operator bool() const { return error_; }
  Error& operator*() const { return *error_; }

 private:
  static void drop(Error* error);
  Error* error_ = nullptr;
};
// One of a fixed text; a call of it takes less space than making an Error.
WAFER_COLD Failure failure(ErrorKind kind, Text message);
WAFER_COLD Failure failure(ErrorKind kind, Text message, uint64_t at);

// A T or an Error. Result<void> is success or an Error.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Error error) : error_(std::move(error)) {}
  Result(Failure failure) : error_(std::move(failure)) {}
  template <class U>
    requires(std::is_convertible_v<U &&, T> && !std::is_same_v<std::remove_cvref_t<U>, Result> &&
             !std::is_same_v<std::remove_cvref_t<U>, Error> &&
             !std::is_same_v<std::remove_cvref_t<U>, Failure>)
  Result(U&& value) : value_(std::forward<U>(value)) {}

  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return std::move(*value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return std::move(*value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  const Error& error() const { return *error_; }
  Error take_error() { return std::move(*error_); }
  Failure take_failure() { return std::move(error_); }

 private:
  std::optional<T> value_;
  Failure error_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Result&&) = default;
  Result& operator=(Result&&) = default;
  WAFER_ALWAYS_INLINE ~Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  Result(Failure failure) : error_(std::move(failure)) {}
  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return *error_; }
  Error take_error() { return std::move(*error_); }
  Failure take_failure() { return std::move(error_); }

 private:
  Failure error_;
};

#define WAFER_CONCAT_(a, b) a##b
#define WAFER_CONCAT(a, b) WAFER_CONCAT_(a, b)

// Returns the error of `expr` from the enclosing function, if it has one.
#define WAFER_TRY(expr)                                                           \
  do {                                                                            \
    auto wafer_result_ = (expr);                                                  \
    if (WAFER_UNLIKELY(!wafer_result_.ok())) return wafer_result_.take_failure(); \
  } while (0)

// `WAFER_LET(x, expr)` declares x as the value of `expr`, or returns its error.
#define WAFER_LET(name, expr)                                 \
  auto WAFER_CONCAT(wafer_r_, __LINE__) = (expr);             \
  if (WAFER_UNLIKELY(!WAFER_CONCAT(wafer_r_, __LINE__).ok())) \
    return WAFER_CONCAT(wafer_r_, __LINE__).take_failure();   \
  auto&& name = *::std::move(WAFER_CONCAT(wafer_r_, __LINE__))

}  // namespace wafer
