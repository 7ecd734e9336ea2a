// wasi:gpio, and wasi:io/poll for its waits.
#include "devices/imports/functions.h"

namespace wafer::devices {

namespace gpio {

namespace {

bool is_analog(Type type) {
  return type == Type::AnalogIn || type == Type::AnalogOut || type == Type::AnalogInOut;
}

unsigned modes(Type type) {
  switch (type) {
    case Type::DigitalIn:
    case Type::AnalogIn:
      return WAFER_PIN_IN;
    case Type::DigitalOut:
    case Type::AnalogOut:
      return WAFER_PIN_OUT;
    default:
      return WAFER_PIN_IN | WAFER_PIN_OUT;
  }
}

// result<T, gpio-error>: 16 bytes, what it has at 4; the text of `other` at 8. Gives whether there
// is a T to be stored.
bool put(Call& c, uint32_t result, int status) {
  Out out(c, result, 16, 4);
  out.put<uint8_t>(0, status != WAFER_PIN_OK);
  if (!status) return !c.failed();
  if (status > 0 && status < WAFER_PIN_OTHER) {
    out.put(4, uint8_t(status - 1));
  } else {
    out.put(4, uint8_t(WAFER_PIN_OTHER - 1));
    out.put(8, c.copy(kPinFailed, std::strlen(kPinFailed)));
  }
  return false;
}
template <class T>
void put(Call& c, uint32_t result, int status, T value) {
  if (put(c, result, status)) Out(c, result, 16, 4).put(4, value);
}

void put_watch(Call& c, uint32_t result, int status, const Watch& watch) {
  if (put(c, result, status)) Out(c, result, 16, 4).put(4, c.add({Type::Pollable, watch}));
}

// The number of a mode in the enum: in, out, in-out.
uint8_t mode_case(unsigned modes) { return uint8_t(modes - 1); }

}  // namespace

// digital-config: label at 0, pin-mode at 8, active-level at 9, option<pull-resistor> at 10;
// analog-config: the first two.
void config(Call& c, uint32_t self, Type type, uint32_t result) {
  Out out(c, result, 12, 4);
  if (is_analog(type)) {
    const AnalogPin* const found = c.get<AnalogPin>(self, type);
    if (!found) return;
    const AnalogPin pin = *found;
    out.put(0, c.copy(pin.label().data(), pin.label().size()));
    return out.put(8, mode_case(pin.modes()));
  }
  const Pin* const found = c.get<Pin>(self, type);
  if (!found) return;
  const Pin pin = *found;
  out.put(0, c.copy(pin.label().data(), pin.label().size()));
  out.put(8, mode_case(pin.modes()));
  out.put<uint8_t>(9, pin.active_low());
  out.put<uint8_t>(10, pin.pull() != WAFER_PULL_NONE);
  out.put<uint8_t>(11, pin.pull() == WAFER_PULL_DOWN);
}

uint32_t ready(Call& c, uint32_t self, Type type) {
  return c.find(self, type) ? c.add({Type::Pollable, Watch()}) : 0;
}

bool state(Call& c, uint32_t state, bool& active) {
  if (state > 1) {
    c.fail("invalid enum discriminant");
    return false;
  }
  active = state == 0;
  return true;
}

void open(Call& c, Type type, Range name, uint32_t flags, uint32_t result) {
  const std::string_view label = c.text(name);
  if (c.failed()) return;
  // Of digital-flags and of analog-flags, which has the first two.
  PinFlags asked{bool(flags & 1), bool(flags & 2), false, false};
  Handle handle{type, std::monostate()};
  int status;
  if (is_analog(type)) {
    status = handle.of.emplace<AnalogPin>().open(c.context.guest, label, modes(type), asked);
  } else {
    asked.pull_up = flags & 4;
    asked.pull_down = flags & 8;
    status = handle.of.emplace<Pin>().open(c.context.guest, label, modes(type), asked);
  }
  if (put(c, result, status)) Out(c, result, 16, 4).put(4, c.add(handle));
}

void set(Call& c, uint32_t self, Type type, Set to, uint32_t result) {
  Pin* const pin = c.get<Pin>(self, type);
  if (pin) put(c, result, to == Set::Toggle ? pin->toggle() : pin->set(to == Set::Active));
}

void get(Call& c, uint32_t self, Type type, std::optional<bool> wanted, uint32_t result) {
  const Pin* const pin = c.get<Pin>(self, type);
  if (!pin) return;
  bool active = false;
  const int status = pin->get(active);
  // pin-state: active, inactive.
  put(c, result, status, wanted ? uint8_t(active == *wanted) : uint8_t(!active));
}

void watch(Call& c, uint32_t self, Type type, Pin::Change change, uint32_t result) {
  const Pin* const pin = c.get<Pin>(self, type);
  if (!pin) return;
  Watch watch;
  const int status = pin->watch(change, watch);
  put_watch(c, result, status, watch);
}

void set_analog(Call& c, uint32_t self, Type type, const float* fraction, uint32_t raw,
                uint32_t result) {
  AnalogPin* const pin = c.get<AnalogPin>(self, type);
  if (pin) put(c, result, fraction ? pin->set(*fraction) : pin->set_raw(raw));
}

void get_analog(Call& c, uint32_t self, Type type, bool fraction, uint32_t result) {
  const AnalogPin* const pin = c.get<AnalogPin>(self, type);
  if (!pin) return;
  if (fraction) {
    float value = 0;
    const int status = pin->get(value);
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return put(c, result, status, bits);
  }
  uint32_t value = 0;
  const int status = pin->get_raw(value);
  put(c, result, status, value);
}

void watch_analog(Call& c, uint32_t self, Type type, bool above, const float* fraction,
                  uint32_t raw, uint32_t result) {
  const AnalogPin* const pin = c.get<AnalogPin>(self, type);
  if (!pin) return;
  Watch watch;
  const int status =
      fraction ? pin->watch(above, *fraction, watch) : pin->watch_raw(above, raw, watch);
  put_watch(c, result, status, watch);
}

}  // namespace gpio

// ---- wasi:io/poll

uint32_t pollable_ready(Call& c, uint32_t self) {
  const Watch* const watch = c.get<Watch>(self, Type::Pollable);
  return watch && watch->ready();
}

void pollable_block(Call& c, uint32_t self) {
  const Watch* const watch = c.get<Watch>(self, Type::Pollable);
  if (!watch) return;
  while (!watch->ready() && !c.interrupted()) c.context.guest.idle(kPollInterval);
}

void poll(Call& c, uint32_t list, uint32_t count, uint32_t result) {
  if (count == 0) return c.fail("empty poll list");
  const uint8_t* const handles = c.at(list, uint64_t(count) * 4, 4);
  if (!handles) return;
  if (count > kMaxHandles) return c.fail("too many handles");
  Vec<uint32_t> ready;
  while (!c.failed()) {
    for (uint32_t i = 0; i < count; ++i) {
      const Watch* const watch = c.get<Watch>(load_le<uint32_t>(handles + i * 4), Type::Pollable);
      if (!watch) return;
      if (watch->ready()) ready.push_back(i);
    }
    if (!ready.empty()) break;
    if (!c.interrupted()) c.context.guest.idle(kPollInterval);
  }
  if (c.failed()) return;
  const auto n = uint32_t(ready.size());
  const uint32_t at = c.allocate(n * 4, 4);
  if (c.failed()) return;
  Out each(c, at, n * 4, 4);
  for (uint32_t i = 0; i < n; ++i) each.put(i * 4, ready[i]);
  Out(c, result, 8, 4).put(0, Range{at, n});
}

}  // namespace wafer::devices
