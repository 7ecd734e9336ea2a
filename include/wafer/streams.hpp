// Ends of streams and futures that the host has, of types of C++. What bindings and
// ComponentLinker::typed take and give are readable ends (Stream<T>, Future<T>): the host reads
// from those that it gets, and writes to those that it gives.
//
//   Result<Stream<uint32_t>> numbers() override {            // a function of the host
//     auto [stream, writer] = StreamWriter<uint32_t>::make(scope);
//     writer.write({1, 2, 3});     // and no more: it is closed once they are taken
//     return stream;
//   }
//   Result<void> log(Stream<uint8_t> text) override {
//     reader = StreamReader<uint8_t>(scope, std::move(text));
//     return reader.read(4096, [this](std::vector<uint8_t> bytes, StreamState state) { ... });
//   }
//
// `scope` is {instance.store(), linker.host_types().get()}, or scope_of(store, linker) before there
// is an instance. An end is used by the thread that uses the store, which calls what was given to
// read() and write() while it runs components, in calls or run_until(); StorePost brings work there
// from other threads.
// Copies are the same end; it is closed when the last is gone and nothing is under way. It may
// outlive the store, but a readable end that nobody took may not.
#pragma once

#include <functional>

#include "wafer/component.hpp"

namespace wafer {

namespace component {
class End;
class HostBuffer;
}  // namespace component

// What is left of a stream or future after a read or a write.
enum class StreamState : uint8_t {
  Open,
  Ended,      // the other end is gone, or the value of a future was taken
  Cancelled,  // the host has cancelled it
};

// The scope of values that are made outside of a call.
ComponentScope scope_of(const Store& store, const ComponentLinker& linker);

// Has work done by the thread that uses the store, from any thread. While one lives, components
// that wait are taken to wait for it; without it they are deadlocked, which is a trap.
class StorePost {
 public:
  explicit StorePost(const ComponentScope& scope);
  // False: the store is gone.
  bool operator()(std::function<void()> work) const;

 private:
  struct Held;
  std::shared_ptr<Held> held_;
};

namespace detail {

// An end with values of which only the stream's type tells what they are; or bytes, of elements of
// `size` bytes.
class HostEnd : public std::enable_shared_from_this<HostEnd> {
 public:
  // Takes a readable end of `type` (ComponentType<T>::text()), or makes a stream or future of that
  // type, of which this is the writable end.
  HostEnd(const ComponentScope& scope, std::string_view type, ComponentVal::End end);
  HostEnd(const ComponentScope& scope, std::string_view type, ComponentVal::End* readable);
  ~HostEnd();
  HostEnd(const HostEnd&) = delete;
  HostEnd& operator=(const HostEnd&) = delete;

  using Written = std::function<void(size_t taken, StreamState state)>;
  // Until all is taken or the reader is gone. Usage: something is under way, or it was closed, or
  // is of another type.
  Result<void> write(std::vector<ComponentVal> values, Written done);
  Result<void> write(std::vector<uint8_t> bytes, uint32_t size, Written done);
  using Values = std::function<void(std::span<ComponentVal> values, StreamState state)>;
  using Bytes = std::function<void(std::span<const uint8_t> bytes, StreamState state)>;
  // Some values, `most` at the most.
  Result<void> read(size_t most, Values done);
  Result<void> read(size_t most, uint32_t size, Bytes done);
  // Ends what is under way, which is told that.
  void cancel();
  // What is under way is told nothing more.
  void close();
  bool busy() const { return buffer_ != nullptr; }
  // The guest traps.
  void fail(const char* message);
  const ComponentScope& scope() const { return scope_; }

 private:
  using Done = std::function<void(component::HostBuffer& buffer, StreamState state)>;
  size_t room(size_t most) const;
  Result<void> start(bool read, std::shared_ptr<component::HostBuffer> buffer, Done done);
  void go_on();
  void told(bool dropped, bool cancelled);
  void finish(StreamState state);

  const ComponentScope scope_;
  const std::weak_ptr<void> life_;  // of the store
  const std::shared_ptr<component::End> end_;
  const std::string misfit_;  // why what was taken is of another type; empty: it is not
  // What is under way, for which the store keeps this.
  std::shared_ptr<component::HostBuffer> buffer_;
  Done done_;
  uint64_t kept_ = 0;  // by that number
  bool closed_ = false;
};

// Whether elements lie in memory as C++ has them.
template <class T>
constexpr bool plain_element() {
  return PlainElement<T>;
}
template <>
constexpr bool plain_element<Unit>() {
  return false;
}

template <class T>
ComponentVal element_to(T v, ComponentScope& s) {
  if constexpr (std::is_same_v<T, Unit>)
    return {};
  else
    return ComponentType<T>::to(std::move(v), s);
}
// False, and `s` has the failure: it is none.
template <class T>
bool element_from(ComponentVal& v, ComponentScope& s, std::vector<T>& out) {
  if constexpr (std::is_same_v<T, Unit>) {
    out.emplace_back();
  } else {
    if (!ComponentType<T>::is(v))
      s.failure = "the stream's elements do not have the type that is wanted";
    else
      out.push_back(ComponentType<T>::from(v, s));
  }
  return !s.failure;
}

template <class T>
Result<void> write_elements(HostEnd& end, std::vector<T> values, HostEnd::Written done) {
  if constexpr (plain_element<T>()) {
    std::vector<uint8_t> bytes(values.size() * sizeof(T));
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    return end.write(std::move(bytes), sizeof(T), std::move(done));
  } else {
    ComponentScope scope = end.scope();
    std::vector<ComponentVal> out;
    out.reserve(values.size());
    for (auto&& v : values) out.push_back(element_to<T>(T(std::move(v)), scope));
    if (scope.failure) return Error(ErrorKind::Usage, scope.failure);
    return end.write(std::move(out), std::move(done));
  }
}
// `done` has a vector of T and a StreamState.
template <class T, class F>
Result<void> read_elements(const std::shared_ptr<HostEnd>& end, size_t most, F done) {
  if constexpr (plain_element<T>()) {
    return end->read(most, sizeof(T), [done](std::span<const uint8_t> bytes, StreamState state) {
      std::vector<T> out(bytes.size() / sizeof(T));
      if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size() * sizeof(T));
      done(std::move(out), state);
    });
  } else {
    return end->read(
        most, [done, weak = std::weak_ptr(end)](std::span<ComponentVal> values, StreamState state) {
          const auto self = weak.lock();
          if (!self) return;
          ComponentScope scope = self->scope();
          std::vector<T> out;
          for (ComponentVal& v : values)
            if (!element_from<T>(v, scope, out)) return self->fail(scope.failure);
          done(std::move(out), state);
        });
  }
}

// The writable end of a stream or future that is made, and the readable end of one that is there.
template <class S>
std::shared_ptr<HostEnd> make_end(const ComponentScope& scope, S& readable) {
  return std::make_shared<HostEnd>(scope, ComponentType<S>::text(), &readable.end);
}
template <class S>
std::shared_ptr<HostEnd> take_end(const ComponentScope& scope, S readable) {
  return std::make_shared<HostEnd>(scope, ComponentType<S>::text(), std::move(readable.end));
}

// What all ends have in common.
class OwnEnd {
 public:
  explicit operator bool() const { return end_ != nullptr; }
  // Whether a read or write is under way.
  bool busy() const { return end_->busy(); }
  // Ends the read or write that is under way: its `done` is told what was taken, or gets what came,
  // before.
  void cancel() { end_->cancel(); }
  // Nothing is written or read any more: the other end is told that this one is gone.
  void close() { end_->close(); }

 protected:
  OwnEnd() = default;
  explicit OwnEnd(std::shared_ptr<HostEnd> end) : end_(std::move(end)) {}
  std::shared_ptr<HostEnd> end_;
};

}  // namespace detail

// The writable end of a stream.
template <class T>
class StreamWriter : public detail::OwnEnd {
 public:
  StreamWriter() = default;
  // A stream, whose readable end is for a component.
  static std::pair<Stream<T>, StreamWriter> make(const ComponentScope& scope) {
    Stream<T> stream;
    auto end = detail::make_end(scope, stream);
    return {std::move(stream), StreamWriter(std::move(end))};
  }
  // Gives `values` until all are taken or the reader is gone; `done`, if it is not null, is told
  // how many were taken. Usage: one is under way, or it was closed, or a value cannot be given.
  Result<void> write(std::vector<T> values,
                     std::function<void(size_t taken, StreamState state)> done = nullptr) {
    return detail::write_elements<T>(*end_, std::move(values), std::move(done));
  }

 private:
  explicit StreamWriter(std::shared_ptr<detail::HostEnd> end) : OwnEnd(std::move(end)) {}
};

// The readable end of a stream, which the host takes.
template <class T>
class StreamReader : public detail::OwnEnd {
 public:
  StreamReader() = default;
  StreamReader(const ComponentScope& scope, Stream<T> stream)
      : OwnEnd(detail::take_end(scope, std::move(stream))) {}
  // `done` gets what comes next: from one to `most` values, or none at the end. Usage: one is under
  // way, or it was closed, or is a stream of other elements.
  Result<void> read(size_t most, std::function<void(std::vector<T>, StreamState state)> done) {
    return detail::read_elements<T>(end_, most, std::move(done));
  }
};

// What gives a future its value.
template <class T>
class FutureWriter : public detail::OwnEnd {
 public:
  FutureWriter() = default;
  // A future, whose readable end is for a component.
  static std::pair<Future<T>, FutureWriter> make(const ComponentScope& scope) {
    Future<T> future;
    auto end = detail::make_end(scope, future);
    return {std::move(future), FutureWriter(std::move(end))};
  }
  // Gives the value, once; `done`, if it is not null, is told whether it was taken.
  Result<void> write(T value, std::function<void(bool taken)> done = nullptr) {
    std::vector<T> one;
    one.push_back(std::move(value));
    return detail::write_elements<T>(*end_, std::move(one),
                                     [done = std::move(done)](size_t taken, StreamState) {
                                       if (done) done(taken == 1);
                                     });
  }

 private:
  explicit FutureWriter(std::shared_ptr<detail::HostEnd> end) : OwnEnd(std::move(end)) {}
};

// The readable end of a future, which the host takes.
template <class T>
class FutureReader : public detail::OwnEnd {
 public:
  FutureReader() = default;
  FutureReader(const ComponentScope& scope, Future<T> future)
      : OwnEnd(detail::take_end(scope, std::move(future))) {}
  // `done` gets the value, or nothing if there will be none or the read was cancelled.
  Result<void> read(std::function<void(std::optional<T>)> done) {
    return detail::read_elements<T>(
        end_, 1, [done = std::move(done)](std::vector<T> v, StreamState) {
          done(v.empty() ? std::nullopt : std::optional<T>(std::move(v[0])));
        });
  }
};

}  // namespace wafer
