#include "wafer/async.hpp"

#include "api/convert.h"
#include "runtime/async.h"

#if WAFER_HAS_OS

namespace wafer {

// ---- Answers

struct Completion::Owner {
  Shared<runtime::PendingCall> call;
  explicit Owner(Shared<runtime::PendingCall> c) : call(std::move(c)) {}
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;
  ~Owner() { call->fail(TrapCode::HostError, "host function gave no answer"); }
};

Completion::Completion(Shared<runtime::PendingCall> call)
    : owner_(make_shared_in<Owner>(std::move(call))) {}

void Completion::complete(std::span<const Val> results) {
  const runtime::PendingCall& call = *owner_->call;
  if (call.cancelled()) return;
  const Vec<ValType>& types = call.type().func.results;
  if (results.size() != types.size())
    return fail(Error(ErrorKind::Usage, "wrong number of results of a host function"));
  Vec<Slot> slots;
  for (size_t i = 0; i < types.size(); ++i) {
    if (!detail::fits(call.store(), results[i], types[i]))
      return fail(
          detail::wrong_type("wrong result of a host function", types[i], results[i].type()));
    for (unsigned k = 0; k < wasm::slot_count(types[i]); ++k) slots.push_back(results[i].slot(k));
  }
  complete_raw(slots);
}

void Completion::complete_raw(std::span<const Slot> slots) { owner_->call->finish(slots); }

void Completion::fail(const Error& error) {
  owner_->call->fail(TrapCode::HostError, error.message);
}

void Completion::raise(const Tag& tag, std::span<const Val> args) {
  if (cancelled()) return;
  const Error error = tag.raise(args);
  runtime::Store& store = *tag.store();
  const runtime::Ref exception = std::exchange(store.pending_exception, runtime::kNullRef);
  if (!exception) return fail(error);
  owner_->call->raise(exception);
}

bool Completion::cancelled() const { return owner_->call->cancelled(); }

namespace detail {

Completion begin_later(runtime::CallContext& context) {
  auto call = runtime::Computation::begin(context);
  return call ? Completion(std::move(call)) : Completion();
}

TrapCode cannot_wait(runtime::CallContext& context) {
  return runtime::pending_without_fiber(context.store);
}

}  // namespace detail

// ---- Computations

static_assert(int(Computation::Status::Running) == int(runtime::Computation::Status::Running) &&
              int(Computation::Status::Finished) == int(runtime::Computation::Status::Finished));

Result<Computation> Computation::start(const Func& func, std::span<const Val> args) {
  if (!func) return failure(ErrorKind::Usage, "null function reference");
  Vec<runtime::Value> values;
  values.reserve(args.size());
  for (const Val& a : args) values.push_back(detail::to_runtime(a));
  WAFER_LET(impl, runtime::Computation::create(*func.store(), func.raw(), values));
  return Computation(impl.release());
}

Computation::Computation(Computation&& o) noexcept : impl_(std::exchange(o.impl_, nullptr)) {}
Computation& Computation::operator=(Computation&& o) noexcept {
  std::swap(impl_, o.impl_);
  return *this;
}
Computation::~Computation() { runtime::Computation::dispose(Box<runtime::Computation>(impl_)); }

Computation::Status Computation::status() const { return Status(impl_->status()); }
Computation::Status Computation::resume() { return Status(impl_->resume()); }
Computation::Status Computation::end() { return Status(impl_->end()); }
void Computation::wait() const { impl_->wait(); }

Result<Vec<Val>> Computation::finish() {
  for (;;) {
    switch (resume()) {
      case Status::Waiting:
        wait();
        break;
      case Status::OutOfFuel:
      case Status::Interrupted:
        end();
        return result();
      default:
        return result();
    }
  }
}

void Computation::on_wake(std::function<void()> wake) {
  struct Wake final : runtime::Waker {
    std::function<void()> call;
    explicit Wake(std::function<void()> c) : call(std::move(c)) {}
    void wake() override { call(); }
  };
  impl_->wake_by(wake ? make_shared_in<Wake>(std::move(wake)) : nullptr);
}

Result<Vec<Val>> Computation::result() const {
  if (status() != Status::Finished)
    return failure(ErrorKind::Usage, "the computation has not finished");
  runtime::Store* const store = impl_->store();
  if (!store) return failure(ErrorKind::Usage, "the store of the computation is gone");
  const TrapInfo& trap = impl_->trap();
  if (trap.code != TrapCode::None)
    return Error(ErrorKind::Trap, trap.message.empty() ? runtime::trap_message(trap.code)
                                                       : std::string_view(trap.message));
  Vec<Val> out;
  const Slot* slot = impl_->results().data();
  for (const ValType t : impl_->type().func.results) {
    out.push_back(Val::from_slots(store, t, slot));
    slot += wasm::slot_count(t);
  }
  return out;
}

const TrapInfo& Computation::trap() const { return impl_->trap(); }

}  // namespace wafer

#endif
