// wasi:io.
#include <algorithm>

#include "wasi/p2/resources.h"

namespace wafer::wasi::p2 {

namespace io_error {

std::string error_to_debug_string(Host&, Error& self) { return self.status.message(); }

}  // namespace io_error

namespace io_poll {

bool pollable_ready(Host&, Pollable& self) { return self.pollable->ready(); }

void pollable_block(Host& host, Pollable& self, Reply<Unit> reply) {
  if (self.pollable->ready()) return reply({});
  host.when_ready({self.pollable}, [reply] { reply({}); });
}

void poll(Host& host, std::vector<Borrow<Pollable>> in, Reply<std::vector<uint32_t>> reply) {
  if (in.empty()) return host.fail("empty poll list");
  std::vector<host::PollableRef> what;
  for (const Borrow<Pollable>& p : in) what.push_back(p->pollable);
  host.when_ready(what, [what, reply] {
    std::vector<uint32_t> ready;
    for (size_t i = 0; i < what.size(); ++i)
      if (what[i]->ready()) ready.push_back(uint32_t(i));
    reply(std::move(ready));
  });
}

}  // namespace io_poll

namespace io_streams {

namespace {

// The most that blocking-write-and-flush takes (WIT: "up to 4096 bytes").
constexpr size_t kBlockingWrite = 4096;

template <class T>
using StreamResult = Expected<T, StreamError>;

Err<StreamError> failed(host::Status status, Error::Of of) {
  // Nobody reads any more: the end of a stream for writing.
  if (status.code() == EPIPE) {
    StreamError closed;
    closed.tag = StreamError::Tag::Closed;
    return Err{std::move(closed)};
  }
  return Err{StreamError::of_last_operation_failed(Own<Error>::make(status, of))};
}

Err<StreamError> closed() { return failed(host::Status(EPIPE), Error::Of::Stream); }

// Nothing yet gives an empty list.
StreamResult<std::vector<uint8_t>> read_some(InputStream& self, uint64_t len) {
  std::vector<uint8_t> bytes(size_t(std::min<uint64_t>(len, host::kStreamBudget)));
  if (bytes.empty()) return bytes;
  const host::Outcome<size_t> n = self.stream->read(bytes);
  if (!n && n.code() != EAGAIN) return failed(n.status(), self.of);
  if (n && *n == 0) return closed();
  bytes.resize(n ? *n : 0);
  return bytes;
}

// Tries again until `attempt` gives something to reply with.
template <class R>
void until(Host& host, std::function<std::optional<R>()> attempt,
           std::function<std::vector<host::PollableRef>()> what, Reply<R> reply) {
  if (std::optional<R> result = attempt()) return reply(*std::move(result));
  host.when_ready(what(), [&host, attempt, what, reply] { until(host, attempt, what, reply); });
}

StreamResult<Unit> write_now(OutputStream& self, Bytes contents) {
  if (const host::Status s = self.stream->write(contents); !s.ok()) return failed(s, self.of);
  return Unit{};
}

// Writes `contents`, all of it, and flushes, waiting in between.
void write_all(Host& host, OutputStream& self, Bytes contents, Reply<StreamResult<Unit>> reply) {
  struct State {
    host::OutputStreamRef stream;
    Error::Of of;
    Bytes rest;
    std::vector<uint8_t> kept = {};  // what `rest` is of, once it waits
    bool flushing = false;

    std::optional<StreamResult<Unit>> go_on() {
      for (;;) {
        const host::Outcome<size_t> budget = stream->budget();
        if (!budget) return failed(budget.status(), of);
        if (*budget == 0) return std::nullopt;
        if (flushing) return Unit{};
        const size_t n = std::min(*budget, rest.size());
        host::Status s = stream->write(rest.first(n));
        rest = rest.subspan(n);
        if (s.ok() && rest.empty()) {
          flushing = true;
          s = stream->flush();
        }
        if (!s.ok()) return failed(s, of);
      }
    }
  };
  self.permitted = 0;
  State now{self.stream, self.of, contents};
  if (auto result = now.go_on()) return reply(*std::move(result));
  auto state = std::make_shared<State>(std::move(now));
  state->kept.assign(state->rest.begin(), state->rest.end());
  state->rest = Bytes(state->kept);
  host.when_ready({state->stream->pollable()}, [&host, state, reply] {
    until<StreamResult<Unit>>(
        host, [state] { return state->go_on(); },
        [state] { return std::vector{state->stream->pollable()}; }, reply);
  });
}

}  // namespace

StreamResult<std::vector<uint8_t>> input_stream_read(Host&, InputStream& self, uint64_t len) {
  return read_some(self, len);
}

void input_stream_blocking_read(Host& host, InputStream& self, uint64_t len,
                                Reply<StreamResult<std::vector<uint8_t>>> reply) {
  // The stream may be dropped while this waits, but not what is behind it.
  auto kept = std::make_shared<InputStream>(self.stream, self.of);
  until<StreamResult<std::vector<uint8_t>>>(
      host,
      [kept, len]() -> std::optional<StreamResult<std::vector<uint8_t>>> {
        auto bytes = read_some(*kept, len);
        if (bytes && bytes->empty() && len > 0) return std::nullopt;
        return bytes;
      },
      [kept] { return std::vector{kept->stream->pollable()}; }, reply);
}

StreamResult<uint64_t> input_stream_skip(Host&, InputStream& self, uint64_t len) {
  auto bytes = read_some(self, len);
  if (!bytes) return Err{std::move(bytes.error())};
  return uint64_t(bytes->size());
}

void input_stream_blocking_skip(Host& host, InputStream& self, uint64_t len,
                                Reply<StreamResult<uint64_t>> reply) {
  auto kept = std::make_shared<InputStream>(self.stream, self.of);
  until<StreamResult<uint64_t>>(
      host,
      [kept, len]() -> std::optional<StreamResult<uint64_t>> {
        auto bytes = read_some(*kept, len);
        if (!bytes) return Err{std::move(bytes.error())};
        if (bytes->empty() && len > 0) return std::nullopt;
        return uint64_t(bytes->size());
      },
      [kept] { return std::vector{kept->stream->pollable()}; }, reply);
}

Own<Pollable> input_stream_subscribe(Host&, InputStream& self) {
  return io_poll::make_pollable(self.stream->pollable());
}

StreamResult<uint64_t> output_stream_check_write(Host&, OutputStream& self) {
  const host::Outcome<size_t> budget = self.stream->budget();
  if (!budget) return failed(budget.status(), self.of);
  self.permitted = *budget;
  return uint64_t(*budget);
}

StreamResult<Unit> output_stream_write(Host& host, OutputStream& self, Bytes contents) {
  if (contents.size() > self.permitted) {
    host.fail("write of more than check-write permits");
    return Unit{};
  }
  self.permitted -= contents.size();
  return write_now(self, contents);
}

void output_stream_blocking_write_and_flush(Host& host, OutputStream& self, Bytes contents,
                                            Reply<StreamResult<Unit>> reply) {
  if (contents.size() > kBlockingWrite)
    return host.fail("blocking-write-and-flush of more than 4096 bytes");
  write_all(host, self, contents, reply);
}

StreamResult<Unit> output_stream_flush(Host&, OutputStream& self) {
  if (const host::Status s = self.stream->flush(); !s.ok()) return failed(s, self.of);
  return Unit{};
}

void output_stream_blocking_flush(Host& host, OutputStream& self, Reply<StreamResult<Unit>> reply) {
  write_all(host, self, {}, reply);
}

Own<Pollable> output_stream_subscribe(Host&, OutputStream& self) {
  return io_poll::make_pollable(self.stream->pollable());
}

StreamResult<Unit> output_stream_write_zeroes(Host& host, OutputStream& self, uint64_t len) {
  if (len > self.permitted) {
    host.fail("write-zeroes of more than check-write permits");
    return Unit{};
  }
  self.permitted -= size_t(len);
  return write_now(self, std::vector<uint8_t>(size_t(len)));
}

void output_stream_blocking_write_zeroes_and_flush(Host& host, OutputStream& self, uint64_t len,
                                                   Reply<StreamResult<Unit>> reply) {
  if (len > kBlockingWrite)
    return host.fail("blocking-write-zeroes-and-flush of more than 4096 bytes");
  write_all(host, self, std::vector<uint8_t>(size_t(len)), reply);
}

namespace {

// Moves what can be moved now.
StreamResult<uint64_t> splice_some(host::OutputStream& to, Error::Of to_of, InputStream& from,
                                   uint64_t len) {
  const host::Outcome<size_t> budget = to.budget();
  if (!budget) return failed(budget.status(), to_of);
  auto bytes = read_some(from, std::min<uint64_t>(len, *budget));
  if (!bytes) return Err{std::move(bytes.error())};
  if (const host::Status s = to.write(*bytes); !s.ok()) return failed(s, to_of);
  return uint64_t(bytes->size());
}

}  // namespace

StreamResult<uint64_t> output_stream_splice(Host&, OutputStream& self, InputStream& src,
                                            uint64_t len) {
  self.permitted = 0;
  return splice_some(*self.stream, self.of, src, len);
}

void output_stream_blocking_splice(Host& host, OutputStream& self, InputStream& src, uint64_t len,
                                   Reply<StreamResult<uint64_t>> reply) {
  self.permitted = 0;
  auto from = std::make_shared<InputStream>(src.stream, src.of);
  until<StreamResult<uint64_t>>(
      host,
      [to = self.stream, of = self.of, from, len]() -> std::optional<StreamResult<uint64_t>> {
        auto moved = splice_some(*to, of, *from, len);
        if (moved && *moved == 0 && len > 0) return std::nullopt;
        return moved;
      },
      // First there has to be room, then something to fill it.
      [to = self.stream, from] {
        const host::PollableRef room = to->pollable();
        return std::vector{room->ready() ? from->stream->pollable() : room};
      },
      reply);
}

}  // namespace io_streams

}  // namespace wafer::wasi::p2
