#include "host/http_callback.h"

namespace wafer::host {

namespace {

using Answer = std::function<Outcome<WholeResponse>(const WholeRequest&)>;

// A request that is being collected, which its exchange keeps; then its response while it is handed
// out, which is kept by that body.
struct Exchange : std::enable_shared_from_this<Exchange> {
  Exchange(Loop& l, std::shared_ptr<const Answer> a, size_t most,
           const std::shared_ptr<HttpExchange>& e)
      : loop(l), answer(std::move(a)), most_body(most), exchange(e) {}

  ~Exchange() {
    if (body) body->discard();
  }

  void collect() {
    if (body) {
      for (;;) {
        const Bytes front = body->front();
        if (front.size() > most_body - request.body.size())
          return fail(http_failure(HttpError::HTTPRequestBodySize));
        request.body.append(reinterpret_cast<const char*>(front.data()), front.size());
        body->remove(front.size());
        if (body->ended()) break;
        if (body->front().empty()) {
          wait = body->readable().wait(loop, [this] {
            const auto self = shared_from_this();
            collect();
          });
          return;
        }
      }
      if (!body->failure().ok()) return fail(body->failure());
    }
    const auto to = exchange.lock();
    if (!to) return;
    Outcome<WholeResponse> got = (*answer)(request);
    if (!got) return to->answer(got.status());
    bool good = got->head.status >= 100 && got->head.status < 1000;
    for (const auto& [name, value] : got->head.fields)
      good &= is_token(name) && is_field_value(value);
    if (!good) return to->answer(http_failure(HttpError::HTTPProtocolError));
    rest = std::move(got->body);
    HttpResponse head = std::move(got->head);
    head.body = std::make_shared<HttpBody>();
    head.body->on_taken = [self = shared_from_this()](size_t) {
      self->loop.post([weak = self->weak_from_this()] {
        if (const auto s = weak.lock()) s->give();
      });
    };
    out = head.body;
    to->answer(std::move(head));
    give();
  }

  void give() {
    const HttpBodyRef to = out.lock();
    if (!to || to->ended()) return;
    const Outcome<size_t> room = to->room();
    if (!room) return;  // not wanted any more
    const size_t n = std::min(*room, rest.size() - given);
    to->write(Bytes(reinterpret_cast<const uint8_t*>(rest.data()) + given, n));
    given += n;
    if (given == rest.size()) to->finish();
  }

  void fail(Status status) {
    if (const auto to = exchange.lock()) to->answer(status);
  }

  Loop& loop;
  const std::shared_ptr<const Answer> answer;
  const size_t most_body;
  const std::weak_ptr<HttpExchange> exchange;
  WholeRequest request;
  HttpBodyRef body;
  std::weak_ptr<HttpBody> out;
  std::string rest;  // of the response's body, from `given` on
  size_t given = 0;
  WaitRef wait;
};

class CallbackClient final : public HttpClient {
 public:
  CallbackClient(Answer answer, size_t most_body)
      : answer_(std::make_shared<const Answer>(std::move(answer))), most_body_(most_body) {}

  std::shared_ptr<HttpExchange> send(Loop& loop, HttpRequest request,
                                     const HttpTimeouts&) override {
    auto exchange = std::make_shared<HttpExchange>();
    const auto e = std::make_shared<Exchange>(loop, answer_, most_body_, exchange);
    e->body = std::exchange(request.body, nullptr);
    e->request.head = std::move(request);
    exchange->given_up = [e] { e->wait.reset(); };
    // What the guest writes at once is there by then.
    loop.post([weak = std::weak_ptr(e)] {
      if (const auto s = weak.lock()) s->collect();
    });
    return exchange;
  }

 private:
  const std::shared_ptr<const Answer> answer_;
  const size_t most_body_;
};

}  // namespace

std::shared_ptr<HttpClient> make_http_callback(Answer answer, size_t most_body) {
  return std::make_shared<CallbackClient>(std::move(answer), most_body);
}

}  // namespace wafer::host
