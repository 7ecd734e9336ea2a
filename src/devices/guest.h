// Devices as guests see them, whether they are modules or components: what is granted, who has a
// pin, what counts as active. Numbers that functions give are those of wafer_devices.h.
#pragma once

#include <optional>
#include <string_view>

#include "base/memory.h"
#include "wafer_devices.h"

namespace wafer::devices {

// The most bytes that one transaction may move, the most parts that it may have.
inline constexpr uint64_t kMaxTransfer = 1 << 16;
inline constexpr size_t kMaxParts = 256;
// How long a wait for a pin may go unnoticed where nothing tells of it, in nanoseconds.
inline constexpr uint64_t kPollInterval = 1'000'000;

// What one guest has of a board.
class Guest {
 public:
  // `board` outlives it.
  explicit Guest(const wafer_devices_t& board);
  Guest(const Guest&) = delete;

  // The device of that kind and name; null if it is not granted.
  const wafer_device_t* find(wafer_device_kind_t kind, std::string_view name) const;
  // Calls f(device) for all of a kind.
  template <class F>
  void each(wafer_device_kind_t kind, F&& f) const {
    for (size_t i = 0; i < board_.count; ++i)
      if (board_.list[i].kind == kind) f(board_.list[i]);
  }
  // Whether waiting is the board's own affair, and not by a clock of the host.
  bool has_own_time() const { return board_.idle != nullptr; }
  void delay(uint64_t nanoseconds) const;
  void idle(uint64_t nanoseconds) const;
  // Gives a pin to a new handle: its number.
  uint32_t take(const wafer_device_t& pin);
  bool owns(const wafer_device_t& pin, uint32_t number) const;

 private:
  const wafer_devices_t& board_;
  Vec<uint32_t> owners_;  // by device: the handle that has it
  uint32_t last_ = 0;
};

// An I2C bus.
struct I2c {
  const wafer_device_t* device = nullptr;
  int transfer(uint16_t address, const wafer_i2c_message_t* messages, size_t count) const;
};

// What `other` errors say.
inline constexpr const char* kPinFailed = "the driver failed";
inline constexpr const char* kSpiNotGranted = "no SPI device of that name is granted";
inline constexpr const char* kSpiFailed = "the transfer failed";

// A device of SPI.
struct Spi {
  const wafer_device_t* device = nullptr;
  int transfer(const wafer_spi_step_t* steps, size_t count) const;
};

// What a guest asks for when it opens a pin. Neither of two that exclude each other: as granted.
struct PinFlags {
  bool active_high = false, active_low = false, pull_up = false, pull_down = false;
};

class Watch;

// What pins have in common.
class PinBase {
 public:
  std::string_view label() const { return device_->name; }
  unsigned modes() const { return modes_; }
  bool active_low() const { return active_low_; }

 protected:
  int take(Guest& guest, wafer_device_kind_t kind, std::string_view label, unsigned modes,
           const PinFlags& flags);
  // WAFER_PIN_OK, unless another handle has the pin, or this one has not this mode.
  int check(unsigned mode) const;

  Guest* guest_ = nullptr;
  const wafer_device_t* device_ = nullptr;
  uint32_t number_ = 0;
  unsigned modes_ = 0;
  bool active_low_ = false;
};

// A digital pin.
class Pin : public PinBase {
 public:
  // Takes the pin of that name from whoever has it.
  int open(Guest& guest, std::string_view label, unsigned modes, const PinFlags& flags);
  unsigned pull() const { return pull_; }
  int set(bool active);
  int toggle();
  int get(bool& active) const;
  enum class Change : uint8_t { Active, Inactive, Rise, Fall };
  int watch(Change change, Watch& out) const;

 private:
  friend class Watch;
  const wafer_digital_driver_t& driver() const {
    return *static_cast<const wafer_digital_driver_t*>(device_->driver);
  }
  int edges(uint32_t& rises, uint32_t& falls) const;
  unsigned pull_ = WAFER_PULL_NONE;
  bool high_ = false;  // what an output was set to
};

// An analog pin. Raw values run from inactive to active, up to the driver's greatest.
class AnalogPin : public PinBase {
 public:
  int open(Guest& guest, std::string_view label, unsigned modes, const PinFlags& flags);
  int set_raw(uint32_t value);
  int set(float fraction);
  int get_raw(uint32_t& value) const;
  int get(float& fraction) const;
  int watch_raw(bool above, uint32_t value, Watch& out) const;
  int watch(bool above, float fraction, Watch& out) const;

 private:
  friend class Watch;
  const wafer_analog_driver_t& driver() const {
    return *static_cast<const wafer_analog_driver_t*>(device_->driver);
  }
  // The raw value of a fraction; nothing for one that is no number.
  std::optional<uint32_t> raw(float fraction) const;
};

// Something that a guest waits for. One that cannot come any more is ready: the next use of the
// pin tells why.
class Watch {
 public:
  bool ready() const;
  // To wait on instead of asking now and then; negative if there is none.
  int descriptor() const;

 private:
  friend class Pin;
  friend class AnalogPin;
  enum class Kind : uint8_t { Always, Digital, Analog };
  Kind kind_ = Kind::Always;
  Pin::Change change_ = Pin::Change::Active;
  bool above_ = false;
  uint32_t value_ = 0;  // the edges that there were, or the bound
  Pin pin_;
  AnalogPin analog_;
};

}  // namespace wafer::devices
