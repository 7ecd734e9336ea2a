// The functions that functions.def lists: parameters and results are those of core functions.
// Names of the canonical ABI's fields and their offsets stand where results are stored.
#pragma once

#include "devices/imports/call.h"

namespace wafer::devices {

// ---- wasi:i2c

void i2c_transaction(Call& c, uint32_t self, uint32_t address, uint32_t list, uint32_t count,
                     uint32_t result);
void i2c_read(Call& c, uint32_t self, uint32_t address, uint64_t size, uint32_t result);
void i2c_write(Call& c, uint32_t self, uint32_t address, uint32_t data, uint32_t size,
               uint32_t result);
void i2c_write_read(Call& c, uint32_t self, uint32_t address, uint32_t data, uint32_t size,
                    uint64_t read_size, uint32_t result);
void delay_delay_ns(Call& c, uint32_t self, uint32_t ns);
void open_i2c(Call& c, uint32_t name, uint32_t size, uint32_t result);
uint32_t get_delay(Call& c);

// ---- wasi:spi

void open_spi(Call& c, uint32_t name, uint32_t size, uint32_t result);
void spi_read(Call& c, uint32_t self, uint64_t size, uint32_t result);
void spi_write(Call& c, uint32_t self, uint32_t data, uint32_t size, uint32_t result);
void spi_transfer(Call& c, uint32_t self, uint32_t data, uint32_t size, uint32_t result);
void spi_transaction(Call& c, uint32_t self, uint32_t list, uint32_t count, uint32_t result);

// ---- wasi:gpio

namespace gpio {

void config(Call& c, uint32_t self, Type type, uint32_t result);
uint32_t ready(Call& c, uint32_t self, Type type);
enum class Set : uint8_t { Inactive, Active, Toggle };
void set(Call& c, uint32_t self, Type type, Set to, uint32_t result);
// `wanted`: the answer is whether it is in that state; nothing: the state.
void get(Call& c, uint32_t self, Type type, std::optional<bool> wanted, uint32_t result);
void watch(Call& c, uint32_t self, Type type, Pin::Change change, uint32_t result);
// A pin-state; false (and a trap) if it is none.
bool state(Call& c, uint32_t state, bool& active);
void open(Call& c, Type type, Range name, uint32_t flags, uint32_t result);

void set_analog(Call& c, uint32_t self, Type type, const float* fraction, uint32_t raw,
                uint32_t result);
void get_analog(Call& c, uint32_t self, Type type, bool fraction, uint32_t result);
void watch_analog(Call& c, uint32_t self, Type type, bool above, const float* fraction,
                  uint32_t raw, uint32_t result);

}  // namespace gpio

template <Type type>
void get_config(Call& c, uint32_t self, uint32_t result) {
  gpio::config(c, self, type, result);
}
template <Type type>
uint32_t watch_for_ready(Call& c, uint32_t self) {
  return gpio::ready(c, self, type);
}
template <Type type, bool active>
void set_to(Call& c, uint32_t self, uint32_t result) {
  gpio::set(c, self, type, gpio::Set(active), result);
}
template <Type type>
void set_state(Call& c, uint32_t self, uint32_t state, uint32_t result) {
  bool active = false;
  if (gpio::state(c, state, active)) gpio::set(c, self, type, gpio::Set(active), result);
}
template <Type type>
void toggle(Call& c, uint32_t self, uint32_t result) {
  gpio::set(c, self, type, gpio::Set::Toggle, result);
}
template <Type type>
void read_state(Call& c, uint32_t self, uint32_t result) {
  gpio::get(c, self, type, std::nullopt, result);
}
template <Type type, bool active>
void is(Call& c, uint32_t self, uint32_t result) {
  gpio::get(c, self, type, active, result);
}
template <Type type, Pin::Change change>
void watch_for(Call& c, uint32_t self, uint32_t result) {
  gpio::watch(c, self, type, change, result);
}
template <Type type>
void watch_state(Call& c, uint32_t self, uint32_t state, uint32_t result) {
  bool active = false;
  if (gpio::state(c, state, active))
    gpio::watch(c, self, type, active ? Pin::Change::Active : Pin::Change::Inactive, result);
}
template <Type type>
void open_pin(Call& c, uint32_t name, uint32_t size, uint32_t flags, uint32_t result) {
  gpio::open(c, type, {name, size}, flags, result);
}
template <Type type>
void set_raw(Call& c, uint32_t self, uint32_t value, uint32_t result) {
  gpio::set_analog(c, self, type, nullptr, value, result);
}
template <Type type>
void set_value(Call& c, uint32_t self, float value, uint32_t result) {
  gpio::set_analog(c, self, type, &value, 0, result);
}
template <Type type>
void get_raw(Call& c, uint32_t self, uint32_t result) {
  gpio::get_analog(c, self, type, false, result);
}
template <Type type>
void get_value(Call& c, uint32_t self, uint32_t result) {
  gpio::get_analog(c, self, type, true, result);
}
template <Type type, bool above>
void watch_raw(Call& c, uint32_t self, uint32_t value, uint32_t result) {
  gpio::watch_analog(c, self, type, above, nullptr, value, result);
}
template <Type type, bool above>
void watch_value(Call& c, uint32_t self, float value, uint32_t result) {
  gpio::watch_analog(c, self, type, above, &value, 0, result);
}
template <uint32_t unit>
void delay(Call& c, uint32_t count) {
  c.wait(uint64_t(count) * unit);
}

// ---- wasi:io/poll

uint32_t pollable_ready(Call& c, uint32_t self);
void pollable_block(Call& c, uint32_t self);
void poll(Call& c, uint32_t list, uint32_t count, uint32_t result);

template <Type type>
void drop(Call& c, uint32_t self) {
  if (Handle* const h = c.find(self, type)) *h = {};
}

}  // namespace wafer::devices
