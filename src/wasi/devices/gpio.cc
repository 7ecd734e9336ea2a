// wasi:gpio, and wafer:devices/gpio, which gives its handles.
#include "host/loop.h"
#include "wasi/devices/bindings.h"
#include "wasi/devices/host.h"
#include "wasi/p2/resources.h"

namespace wafer::wasi::devices {

namespace gpio_general {

namespace {

using Pollable = p2::io_poll::Pollable;
using Done = Expected<Unit, GpioError>;

Err<GpioError> failed(int status) {
  static_assert(int(GpioError::Tag::HardwareFault) == WAFER_PIN_HARDWARE_FAULT - 1 &&
                int(GpioError::Tag::OperationNotSupported) == WAFER_PIN_NOT_SUPPORTED - 1);
  if (status < 0 || status >= WAFER_PIN_OTHER) return Err{GpioError::of_other(dev::kPinFailed)};
  GpioError error;
  error.tag = GpioError::Tag(status - 1);
  return Err{std::move(error)};
}

Done done(int status) {
  if (status) return failed(status);
  return Unit{};
}

// A descriptor of a driver, to wait for; it stays the driver's.
class Watched final : public host::Node {
 public:
  explicit Watched(int fd) : fd_(fd) {}
  host::Outcome<host::Stat> stat() const override { return host::Status(EBADF); }
  int fd() const override { return fd_; }

 private:
  const int fd_;
};

class WatchPollable final : public host::Pollable {
 public:
  WatchPollable(dev::Guest& guest, const dev::Watch& watch) : guest_(guest), watch_(watch) {}
  bool ready() override { return watch_.ready(); }
  host::WaitRef wait(host::Loop& loop, Function<void()> then) override {
    if (guest_.has_own_time()) {
      guest_.idle(dev::kPollInterval);
      return host::always_ready()->wait(loop, std::move(then));
    }
    if (const int fd = watch_.descriptor(); fd >= 0)
      return host::readiness(std::make_shared<Watched>(fd), false)->wait(loop, std::move(then));
    return host::timer(host::monotonic_now() + dev::kPollInterval)->wait(loop, std::move(then));
  }

 private:
  dev::Guest& guest_;
  const dev::Watch watch_;
};

Own<Pollable> pollable(Host& host, const dev::Watch& watch) {
  return p2::io_poll::make_pollable(std::make_shared<WatchPollable>(host.guest, watch));
}

PinMode mode(const dev::PinBase& pin) {
  return pin.modes() == WAFER_PIN_IN    ? PinMode::In
         : pin.modes() == WAFER_PIN_OUT ? PinMode::Out
                                        : PinMode::InOut;
}

// A pin as an object of guests.
template <class P>
class Holding : public Object {
 public:
  P pin;
};

// `make` asks the pin for the watch.
template <class F>
Expected<Own<Pollable>, GpioError> watched(Host& host, F&& make) {
  dev::Watch watch;
  if (const int s = make(watch)) return failed(s);
  return pollable(host, watch);
}

template <class T, class F>
Expected<T, GpioError> value(F&& get) {
  T out{};
  if (const int s = get(out)) return failed(s);
  return out;
}

template <class R, class F>
Expected<Own<R>, GpioError> open(Host& host, const std::string& label, unsigned modes,
                                 const F& flags) {
  auto pin = std::make_unique<R>();
  dev::PinFlags asked{flags.active_high, flags.active_low};
  if constexpr (requires { flags.pull_up; }) {
    asked.pull_up = flags.pull_up;
    asked.pull_down = flags.pull_down;
  }
  if (const int s = pin->pin.open(host.guest, label, modes, asked)) return failed(s);
  return Own<R>(std::move(pin));
}

}  // namespace

}  // namespace gpio_general

using namespace gpio_general;

namespace gpio_digital {

using Change = dev::Pin::Change;

class DigitalOutPin final : public Holding<dev::Pin> {};
class DigitalInPin final : public Holding<dev::Pin> {};
class DigitalInOutPin final : public Holding<dev::Pin> {};

namespace {

DigitalConfig config(const dev::Pin& pin) {
  DigitalConfig c;
  c.label = pin.label();
  c.pin_mode = mode(pin);
  c.active_level = pin.active_low() ? ActiveLevel::ActiveLow : ActiveLevel::ActiveHigh;
  if (pin.pull() == WAFER_PULL_UP) c.pull_resistor = PullResistor::PullUp;
  if (pin.pull() == WAFER_PULL_DOWN) c.pull_resistor = PullResistor::PullDown;
  return c;
}

Expected<PinState, GpioError> read(const dev::Pin& pin) {
  return value<PinState>([&](PinState& state) {
    bool active = false;
    const int s = pin.get(active);
    state = active ? PinState::Active : PinState::Inactive;
    return s;
  });
}

Expected<bool, GpioError> is(const dev::Pin& pin, bool wanted) {
  return value<bool>([&](bool& yes) {
    bool active = false;
    const int s = pin.get(active);
    yes = active == wanted;
    return s;
  });
}

Expected<Own<p2::io_poll::Pollable>, GpioError> watch(Host& host, const dev::Pin& pin,
                                                      Change change) {
  return watched(host, [&](dev::Watch& out) { return pin.watch(change, out); });
}

}  // namespace

#define PIN_COMMON(name, Class)                                                    \
  DigitalConfig name##_get_config(Host&, Class& self) { return config(self.pin); } \
  Own<p2::io_poll::Pollable> name##_watch_for_ready(Host& host, Class&) {          \
    return pollable(host, {});                                                     \
  }
#define PIN_OUT(name, Class)                                                         \
  Done name##_set_state(Host&, Class& self, PinState state) {                        \
    return done(self.pin.set(state == PinState::Active));                            \
  }                                                                                  \
  Done name##_set_active(Host&, Class& self) { return done(self.pin.set(true)); }    \
  Done name##_set_inactive(Host&, Class& self) { return done(self.pin.set(false)); } \
  Done name##_toggle(Host&, Class& self) { return done(self.pin.toggle()); }
#define PIN_WATCH(name, Class, change)                                            \
  Expected<Own<p2::io_poll::Pollable>, GpioError> name(Host& host, Class& self) { \
    return watch(host, self.pin, change);                                         \
  }
#define PIN_IN(name, Class)                                                                        \
  Expected<PinState, GpioError> name##_read(Host&, Class& self) { return read(self.pin); }         \
  Expected<bool, GpioError> name##_is_active(Host&, Class& self) { return is(self.pin, true); }    \
  Expected<bool, GpioError> name##_is_inactive(Host&, Class& self) { return is(self.pin, false); } \
  Expected<Own<p2::io_poll::Pollable>, GpioError> name##_watch_state(Host& host, Class& self,      \
                                                                     PinState state) {             \
    return watch(host, self.pin, state == PinState::Active ? Change::Active : Change::Inactive);   \
  }                                                                                                \
  PIN_WATCH(name##_watch_active, Class, Change::Active)                                            \
  PIN_WATCH(name##_watch_inactive, Class, Change::Inactive)                                        \
  PIN_WATCH(name##_watch_falling_edge, Class, Change::Fall)                                        \
  PIN_WATCH(name##_watch_rising_edge, Class, Change::Rise)

PIN_COMMON(digital_out_pin, DigitalOutPin)
PIN_OUT(digital_out_pin, DigitalOutPin)
PIN_COMMON(digital_in_pin, DigitalInPin)
PIN_IN(digital_in_pin, DigitalInPin)
PIN_COMMON(digital_in_out_pin, DigitalInOutPin)
PIN_OUT(digital_in_out_pin, DigitalInOutPin)
PIN_IN(digital_in_out_pin, DigitalInOutPin)

#undef PIN_COMMON
#undef PIN_OUT
#undef PIN_IN

}  // namespace gpio_digital

namespace gpio_analog {

class AnalogOutPin final : public Holding<dev::AnalogPin> {};
class AnalogInPin final : public Holding<dev::AnalogPin> {};
class AnalogInOutPin final : public Holding<dev::AnalogPin> {};

#define PIN_COMMON(name, Class)                                           \
  AnalogConfig name##_get_config(Host&, Class& self) {                    \
    return {std::string(self.pin.label()), mode(self.pin)};               \
  }                                                                       \
  Own<p2::io_poll::Pollable> name##_watch_for_ready(Host& host, Class&) { \
    return pollable(host, {});                                            \
  }
#define PIN_OUT(name, Class)                                                                      \
  Done name##_set_value_raw(Host&, Class& self, uint32_t v) { return done(self.pin.set_raw(v)); } \
  Done name##_set_value(Host&, Class& self, float v) { return done(self.pin.set(v)); }
#define PIN_BOUND(name, Class, type, method, above)                                        \
  Expected<Own<p2::io_poll::Pollable>, GpioError> name(Host& host, Class& self, type v) {  \
    return watched(host, [&](dev::Watch& out) { return self.pin.method(above, v, out); }); \
  }
#define PIN_IN(name, Class)                                                   \
  Expected<uint32_t, GpioError> name##_read_raw(Host&, Class& self) {         \
    return value<uint32_t>([&](uint32_t& v) { return self.pin.get_raw(v); }); \
  }                                                                           \
  Expected<float, GpioError> name##_read(Host&, Class& self) {                \
    return value<float>([&](float& v) { return self.pin.get(v); });           \
  }                                                                           \
  PIN_BOUND(name##_watch_above_raw, Class, uint32_t, watch_raw, true)         \
  PIN_BOUND(name##_watch_above, Class, float, watch, true)                    \
  PIN_BOUND(name##_watch_below_raw, Class, uint32_t, watch_raw, false)        \
  PIN_BOUND(name##_watch_below, Class, float, watch, false)

PIN_COMMON(analog_out_pin, AnalogOutPin)
PIN_OUT(analog_out_pin, AnalogOutPin)
PIN_COMMON(analog_in_pin, AnalogInPin)
PIN_IN(analog_in_pin, AnalogInPin)
PIN_COMMON(analog_in_out_pin, AnalogInOutPin)
PIN_OUT(analog_in_out_pin, AnalogInOutPin)
PIN_IN(analog_in_out_pin, AnalogInOutPin)

}  // namespace gpio_analog

namespace gpio_delay {

void delay_ns(Host& host, uint32_t ns, Reply<Unit> reply) { host.delay(ns, reply); }
void delay_us(Host& host, uint32_t us, Reply<Unit> reply) {
  host.delay(uint64_t(us) * 1'000, reply);
}
void delay_ms(Host& host, uint32_t ms, Reply<Unit> reply) {
  host.delay(uint64_t(ms) * 1'000'000, reply);
}

}  // namespace gpio_delay

namespace devices_gpio {

#define PIN_OPEN(name, Class, flags_type, modes)                                          \
  Expected<Own<Class>, GpioError> name(Host& host, std::string label, flags_type flags) { \
    return open<Class>(host, label, modes, flags);                                        \
  }
PIN_OPEN(get_digital_in, DigitalInPin, DigitalFlags, WAFER_PIN_IN)
PIN_OPEN(get_digital_out, DigitalOutPin, DigitalFlags, WAFER_PIN_OUT)
PIN_OPEN(get_digital_in_out, DigitalInOutPin, DigitalFlags, WAFER_PIN_IN | WAFER_PIN_OUT)
PIN_OPEN(get_analog_in, AnalogInPin, AnalogFlags, WAFER_PIN_IN)
PIN_OPEN(get_analog_out, AnalogOutPin, AnalogFlags, WAFER_PIN_OUT)
PIN_OPEN(get_analog_in_out, AnalogInOutPin, AnalogFlags, WAFER_PIN_IN | WAFER_PIN_OUT)
#undef PIN_OPEN

}  // namespace devices_gpio

}  // namespace wafer::wasi::devices
