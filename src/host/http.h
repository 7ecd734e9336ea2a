// HTTP messages, and bodies that pass from one side to the other as they come.
#pragma once

#include <cerrno>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/streams.h"

namespace wafer::host {

// How HTTP fails, where no error number of the system says it: as the codes of a Status.
enum class HttpError : uint8_t {
#define HTTP_ERROR(name, text) name,
#include "host/http_errors.def"
#undef HTTP_ERROR
};
// `detail` is the number of an alert, for TLSAlertReceived.
Status http_failure(HttpError error, uint8_t detail = 0);
// None for an error number of the system. `detail` may be null.
std::optional<HttpError> http_error_of(Status status, uint8_t* detail = nullptr);

// Names and values in order; names keep their case and are compared without it.
using HttpFields = std::vector<std::pair<std::string, std::string>>;

bool same_name(std::string_view a, std::string_view b);
std::string lower_name(std::string_view name);
// RFC 9110, 5.6.2: what names of fields and methods consist of.
bool is_token(std::string_view text);
// RFC 9110, 5.5: no control characters but tabs.
bool is_field_value(std::string_view text);
// RFC 3986, 3.2, without a user: "HOST" or "HOST:PORT". Empty is none.
bool is_authority(std::string_view text);
// A path with a query, or "*" for OPTIONS (RFC 9112, 3.2): no spaces, control characters or
// fragments.
bool is_target(std::string_view method, std::string_view text);
// Fields of a connection and not of a message, which are no business of a guest (RFC 9110, 7.6.1).
bool is_hop_by_hop(std::string_view name);
// Whether the response to such a request has no content, whatever its fields tell: to HEAD, 204,
// 304 (RFC 9110, 6.4.1).
bool has_no_body(std::string_view method, int status);

// A body under way, of one thread: one side writes, the other reads what there is. Holds no more
// than its capacity, so that the writer waits for the reader.
class HttpBody {
 public:
  static constexpr size_t kCapacity = 64 << 10;

  // ---- The writer's side
  // How much write() takes; once nobody will read, why: EPIPE if it was not wanted.
  Outcome<size_t> room() const;
  void write(Bytes bytes);
  // There is no more.
  void finish(HttpFields trailers = {});
  // It broke off.
  void fail(Status status);
  // The message goes out without it (see has_no_body), so it may be shorter than was told.
  void waive() { waived_ = true; }
  bool waived() const { return waived_; }
  bool ended() const { return ended_; }

  // ---- The reader's side
  // 0 at the end, EAGAIN if there is nothing yet.
  Outcome<size_t> read(MutableBytes to);
  // What is there, in one piece; remove() takes bytes from its front.
  Bytes front() const { return Bytes(data_).subspan(taken_); }
  void remove(size_t size);
  // All that is there, instead of what is in `to`, whose memory the writer goes on with. It takes
  // room until it is gone(), which gives its memory back to the writer, who may need it.
  void take(std::vector<uint8_t>& to);
  void gone(std::vector<uint8_t>& taken);
  // Nobody reads what is left; `why` is for the writer.
  void discard(Status why = Status(EPIPE));
  bool discarded() const { return discarded_; }
  // Once it has ended well, and all was read or is not wanted.
  bool done() const { return ended_ && failure_.ok() && front().empty(); }
  Status failure() const { return failure_; }
  const HttpFields& trailers() const { return trailers_; }
  // Called when the reader has taken bytes, or discards what is there and what comes.
  std::function<void(size_t)> on_taken;
  // What became of bytes that were written: so many were taken, of which some are still on their
  // way, as after take().
  struct Passed {
    size_t taken = 0, going = 0;
  };
  // Called with what is written while the reader has all of what was written before: it may take it
  // from where it is, so that it is not copied. What it leaves waits here.
  std::function<Passed(Bytes)> pass_on;

  // Ready when there is something to read, the end too; when there is room; when it has ended.
  Signal& readable() { return readable_; }
  Signal& writable() { return writable_; }
  Signal& end() { return end_; }

 private:
  void update();
  std::vector<uint8_t> data_;
  size_t taken_ = 0;
  size_t going_ = 0;  // taken and not gone
  bool ended_ = false, discarded_ = false, waived_ = false;
  Status failure_, unread_;
  HttpFields trailers_;
  Signal readable_, writable_{true}, end_;
};
using HttpBodyRef = std::shared_ptr<HttpBody>;

// As streams; dropping them neither ends the body nor discards it.
InputStreamRef read_body(HttpBodyRef body);
OutputStreamRef write_body(HttpBodyRef body);

struct HttpRequest {
  std::string method = "GET";
  std::string scheme;  // "http"; empty: none
  std::string authority;
  std::string path_with_query;
  HttpFields fields;
  HttpBodyRef body;  // null: none
};

struct HttpResponse {
  uint16_t status = 200;
  HttpFields fields;
  HttpBodyRef body;  // null: none
};

// Nanoseconds; none: as long as it takes.
struct HttpTimeouts {
  std::optional<uint64_t> connect, first_byte, between_bytes;
};

// A request that was sent, or is about to be.
struct HttpExchange {
  HttpExchange() = default;
  ~HttpExchange() {
    if (!response && given_up) given_up();
    // An answer that nobody took.
    if (response && *response && (*response)->body) (*response)->body->discard();
  }
  HttpExchange(const HttpExchange&) = delete;
  HttpExchange& operator=(const HttpExchange&) = delete;

  std::shared_ptr<Signal> answered = std::make_shared<Signal>();
  // Once answered. Failures are HttpErrors, or error numbers of the system.
  std::optional<Outcome<HttpResponse>> response;
  // The client's: nobody wants the answer any more.
  std::function<void()> given_up;

  void answer(Outcome<HttpResponse> r) {
    if (response) return;
    response = std::move(r);
    answered->set();
  }
};

// Sends requests of guests; an embedder may bring its own. Whether a request is allowed is the
// client's to decide.
class HttpClient {
 public:
  virtual ~HttpClient() = default;
  // The exchange belongs to whoever wants the answer: when it is dropped without one, the request
  // is given up. May be called by any thread, for a loop of its own.
  virtual std::shared_ptr<HttpExchange> send(Loop& loop, HttpRequest request,
                                             const HttpTimeouts& timeouts) = 0;
};

}  // namespace wafer::host
