#include "devices/guest.h"

namespace wafer::devices {

Guest::Guest(const wafer_devices_t& board) : board_(board) { owners_.resize(board.count); }

const wafer_device_t* Guest::find(wafer_device_kind_t kind, std::string_view name) const {
  for (size_t i = 0; i < board_.count; ++i)
    if (board_.list[i].kind == kind && name == board_.list[i].name) return &board_.list[i];
  return nullptr;
}

void Guest::delay(uint64_t nanoseconds) const {
  if (board_.delay) board_.delay(board_.context, nanoseconds);
}

void Guest::idle(uint64_t nanoseconds) const {
  if (board_.idle)
    board_.idle(board_.context, nanoseconds);
  else
    delay(nanoseconds);
}

uint32_t Guest::take(const wafer_device_t& pin) {
  return owners_[size_t(&pin - board_.list)] = ++last_;
}

bool Guest::owns(const wafer_device_t& pin, uint32_t number) const {
  return owners_[size_t(&pin - board_.list)] == number;
}

// ---- Buses

int I2c::transfer(uint16_t address, const wafer_i2c_message_t* messages, size_t count) const {
  if (device->address != WAFER_I2C_ANY_ADDRESS && device->address != address)
    return WAFER_I2C_NO_ACKNOWLEDGE_ADDRESS;
  uint64_t bytes = 0;
  for (size_t i = 0; i < count; ++i) bytes += messages[i].size;
  // Ten bits are what the bus has.
  if (address > 0x3FF || bytes > kMaxTransfer || count > kMaxParts) return WAFER_I2C_OTHER;
  return static_cast<const wafer_i2c_driver_t*>(device->driver)
      ->transfer(device->context, address, messages, count);
}

int Spi::transfer(const wafer_spi_step_t* steps, size_t count) const {
  uint64_t bytes = 0;
  for (size_t i = 0; i < count; ++i) bytes += steps[i].size;
  if (bytes > kMaxTransfer || count > kMaxParts) return WAFER_SPI_OTHER;
  return static_cast<const wafer_spi_driver_t*>(device->driver)
      ->transfer(device->context, steps, count);
}

// ---- Pins

int PinBase::take(Guest& guest, wafer_device_kind_t kind, std::string_view label, unsigned modes,
                  const PinFlags& flags) {
  const wafer_device_t* const device = guest.find(kind, label);
  if (!device) return WAFER_PIN_UNDEFINED_LABEL;
  if (modes & ~unsigned(device->modes)) return WAFER_PIN_MODE_NOT_ALLOWED;
  if ((flags.active_high && flags.active_low) || (flags.pull_up && flags.pull_down))
    return WAFER_PIN_MODE_NOT_AVAILABLE;
  guest_ = &guest;
  device_ = device;
  modes_ = modes;
  active_low_ = flags.active_low || (device->active_low && !flags.active_high);
  number_ = guest.take(*device);
  return WAFER_PIN_OK;
}

int PinBase::check(unsigned mode) const {
  if (!guest_->owns(*device_, number_)) return WAFER_PIN_ALREADY_IN_USE;
  return modes_ & mode ? WAFER_PIN_OK : WAFER_PIN_MODE_NOT_ALLOWED;
}

// Gives the failure of `expr`, if it is one.
#define PIN_TRY(expr) \
  if (const int pin_status_ = (expr)) return pin_status_

int Pin::open(Guest& guest, std::string_view label, unsigned modes, const PinFlags& flags) {
  PIN_TRY(take(guest, WAFER_DEVICE_DIGITAL, label, modes, flags));
  pull_ = flags.pull_up ? WAFER_PULL_UP : flags.pull_down ? WAFER_PULL_DOWN : WAFER_PULL_NONE;
  high_ = active_low_;
  return driver().configure ? driver().configure(device_->context, modes, pull_, high_)
                            : WAFER_PIN_OK;
}

int Pin::set(bool active) {
  PIN_TRY(check(WAFER_PIN_OUT));
  high_ = active != active_low_;
  return driver().write(device_->context, high_);
}

int Pin::toggle() { return set(high_ == active_low_); }

int Pin::get(bool& active) const {
  PIN_TRY(check(WAFER_PIN_IN));
  bool high = false;
  PIN_TRY(driver().read(device_->context, &high));
  active = high != active_low_;
  return WAFER_PIN_OK;
}

int Pin::edges(uint32_t& rises, uint32_t& falls) const {
  PIN_TRY(check(WAFER_PIN_IN));
  if (!driver().edges) return WAFER_PIN_NOT_SUPPORTED;
  PIN_TRY(driver().edges(device_->context, &rises, &falls));
  if (active_low_) std::swap(rises, falls);
  return WAFER_PIN_OK;
}

int Pin::watch(Change change, Watch& out) const {
  PIN_TRY(check(WAFER_PIN_IN));
  if (change == Change::Rise || change == Change::Fall) {
    uint32_t rises = 0, falls = 0;
    PIN_TRY(edges(rises, falls));
    out.value_ = change == Change::Rise ? rises : falls;
  }
  out.kind_ = Watch::Kind::Digital;
  out.change_ = change;
  out.pin_ = *this;
  return WAFER_PIN_OK;
}

int AnalogPin::open(Guest& guest, std::string_view label, unsigned modes, const PinFlags& flags) {
  return take(guest, WAFER_DEVICE_ANALOG, label, modes, flags);
}

std::optional<uint32_t> AnalogPin::raw(float fraction) const {
  if (!(fraction == fraction)) return std::nullopt;
  if (fraction <= 0) return 0;
  if (fraction >= 1) return driver().max;
  return uint32_t(double(fraction) * driver().max + 0.5);
}

int AnalogPin::set_raw(uint32_t value) {
  PIN_TRY(check(WAFER_PIN_OUT));
  const uint32_t max = driver().max;
  if (!driver().write) return WAFER_PIN_MODE_NOT_AVAILABLE;
  if (value > max) value = max;
  return driver().write(device_->context, active_low_ ? max - value : value);
}

int AnalogPin::set(float fraction) {
  const std::optional<uint32_t> value = raw(fraction);
  return value ? set_raw(*value) : WAFER_PIN_OTHER;
}

int AnalogPin::get_raw(uint32_t& value) const {
  PIN_TRY(check(WAFER_PIN_IN));
  if (!driver().read) return WAFER_PIN_MODE_NOT_AVAILABLE;
  PIN_TRY(driver().read(device_->context, &value));
  const uint32_t max = driver().max;
  if (value > max) value = max;
  if (active_low_) value = max - value;
  return WAFER_PIN_OK;
}

int AnalogPin::get(float& fraction) const {
  uint32_t value = 0;
  PIN_TRY(get_raw(value));
  fraction = driver().max ? float(double(value) / driver().max) : 0;
  return WAFER_PIN_OK;
}

int AnalogPin::watch_raw(bool above, uint32_t value, Watch& out) const {
  PIN_TRY(check(WAFER_PIN_IN));
  if (!driver().read) return WAFER_PIN_MODE_NOT_AVAILABLE;
  // Beyond the greatest value there is none: those watch for the fully active state.
  const uint32_t max = driver().max;
  if (above && value >= max) value = max ? max - 1 : 0;
  out.kind_ = Watch::Kind::Analog;
  out.above_ = above;
  out.value_ = value;
  out.analog_ = *this;
  return WAFER_PIN_OK;
}

int AnalogPin::watch(bool above, float fraction, Watch& out) const {
  const std::optional<uint32_t> value = raw(fraction);
  return value ? watch_raw(above, *value, out) : WAFER_PIN_OTHER;
}

bool Watch::ready() const {
  switch (kind_) {
    case Kind::Analog: {
      uint32_t value = 0;
      return analog_.get_raw(value) || (above_ ? value > value_ : value < value_);
    }
    case Kind::Digital: {
      if (change_ == Pin::Change::Active || change_ == Pin::Change::Inactive) {
        bool active = false;
        return pin_.get(active) || active == (change_ == Pin::Change::Active);
      }
      uint32_t rises = 0, falls = 0;
      return pin_.edges(rises, falls) || (change_ == Pin::Change::Rise ? rises : falls) != value_;
    }
    default:
      return true;
  }
}

int Watch::descriptor() const {
  return kind_ == Kind::Digital && pin_.driver().descriptor
             ? pin_.driver().descriptor(pin_.device_->context)
             : -1;
}

}  // namespace wafer::devices
