// A board that is only simulated; its devices are drivers like any others.
#include <algorithm>
#include <cstring>

#include "base/memory.h"
#include "wafer_devices.h"

namespace {

using wafer::String;

constexpr uint64_t kSecond = 1'000'000'000;

// Of a digital pin.
struct Wire {
  wafer_simulated_board_t* board;
  bool high = false;
  uint32_t rising = 0, falling = 0;

  void drive(bool level) {
    if (level == high) return;
    high = level;
    ++(level ? rising : falling);
  }
};

struct Flash {
  static constexpr uint32_t kSize = 16 * 1024, kPage = 256, kSector = 4096;
  uint8_t* bytes;
  bool write_enabled = false;
  // The command that is being sent.
  uint8_t command = 0;
  uint32_t at = 0, address = 0;

  void select() { at = 0; }
  uint8_t exchange(uint8_t in);
  void deselect();
  uint8_t page[kPage];
  uint32_t page_count = 0;
};

struct Display {
  String text;
};

// Of the USB device.
struct Usb {
  static constexpr size_t kMost = 4096;
  unsigned configuration = 1;
  bool claimed = false;
  String loop, kept;
};

}  // namespace

struct wafer_simulated_board_t {
  uint64_t time = 0;
  int64_t heat = 20 * 16 * int64_t(kSecond);  // sixteenths of a degree, times nanoseconds
  // Of the thermometer.
  uint8_t sensor_pointer = 0;
  uint16_t sensor_registers[4] = {0, 0x60A0, 0x4B00, 0x5000};
  uint8_t eeprom[256];
  uint8_t eeprom_pointer = 0;
  Flash flash;
  Display display;
  Usb usb;
  Wire button, led, relay, pin;
  uint64_t press_at = ~uint64_t{0}, press_end = 0;
  uint32_t dac = 0;
  wafer_devices_t devices;
  wafer_device_t list[11];

  int sixteenths() const {
    const int64_t t = heat / int64_t(kSecond);
    return int(t < -40 * 16 ? -40 * 16 : t > 128 * 16 - 1 ? 128 * 16 - 1 : t);
  }
  void pass(uint64_t nanoseconds);
};

namespace {

using Board = wafer_simulated_board_t;

// ---- Pins

int wire_configure(void* context, unsigned modes, unsigned, bool high) {
  if (modes & WAFER_PIN_OUT) static_cast<Wire*>(context)->drive(high);
  return WAFER_PIN_OK;
}
int wire_read(void* context, bool* high) {
  *high = static_cast<Wire*>(context)->high;
  return WAFER_PIN_OK;
}
int wire_write(void* context, bool high) {
  static_cast<Wire*>(context)->drive(high);
  return WAFER_PIN_OK;
}
int wire_edges(void* context, uint32_t* rising, uint32_t* falling) {
  const Wire& wire = *static_cast<Wire*>(context);
  *rising = wire.rising;
  *falling = wire.falling;
  return WAFER_PIN_OK;
}
constexpr wafer_digital_driver_t kWire = {wire_configure, wire_read, wire_write, wire_edges,
                                          nullptr};

int adc_read(void* context, uint32_t* value) {
  *value = uint32_t((static_cast<Board*>(context)->sixteenths() + 40 * 16) * 2);
  return WAFER_PIN_OK;
}
constexpr wafer_analog_driver_t kAdc = {adc_read, nullptr, 4095};

int dac_write(void* context, uint32_t value) {
  static_cast<Board*>(context)->dac = value;
  return WAFER_PIN_OK;
}
int dac_read(void* context, uint32_t* value) {
  *value = static_cast<Board*>(context)->dac;
  return WAFER_PIN_OK;
}
constexpr wafer_analog_driver_t kDac = {dac_read, dac_write, 255};

// ---- I2C

constexpr uint16_t kSensorAddress = 0x48, kEepromAddress = 0x50;

// A pointer register, then 16 bits, the high byte first; register 0 is the temperature in
// sixteenths of a degree, in the upper 12 bits.
int sensor_message(Board& board, const wafer_i2c_message_t& m) {
  if (m.read) {
    const uint16_t value = board.sensor_pointer == 0 ? uint16_t(board.sixteenths() << 4)
                                                     : board.sensor_registers[board.sensor_pointer];
    for (size_t i = 0; i < m.size; ++i) m.data[i] = uint8_t(i % 2 ? value : value >> 8);
    return WAFER_I2C_OK;
  }
  if (m.size == 0) return WAFER_I2C_OK;
  if (m.size > 3 || m.size == 2) return WAFER_I2C_NO_ACKNOWLEDGE_DATA;
  board.sensor_pointer = m.data[0] & 3;
  if (m.size == 3 && board.sensor_pointer)
    board.sensor_registers[board.sensor_pointer] = uint16_t(m.data[1] << 8 | m.data[2]);
  return WAFER_I2C_OK;
}

// An address, then bytes, which stay within a page of 8.
int eeprom_message(Board& board, const wafer_i2c_message_t& m) {
  if (m.read) {
    for (size_t i = 0; i < m.size; ++i) m.data[i] = board.eeprom[board.eeprom_pointer++];
    return WAFER_I2C_OK;
  }
  if (m.size == 0) return WAFER_I2C_OK;
  uint8_t& at = board.eeprom_pointer;
  at = m.data[0];
  for (size_t i = 1; i < m.size; ++i) {
    board.eeprom[at] = m.data[i];
    at = uint8_t((at & ~7) | ((at + 1) & 7));
  }
  return WAFER_I2C_OK;
}

int i2c_transfer(void* context, uint16_t address, const wafer_i2c_message_t* messages,
                 size_t count) {
  Board& board = *static_cast<Board*>(context);
  for (size_t i = 0; i < count; ++i) {
    const int status = address == kSensorAddress   ? sensor_message(board, messages[i])
                       : address == kEepromAddress ? eeprom_message(board, messages[i])
                                                   : int(WAFER_I2C_NO_ACKNOWLEDGE_ADDRESS);
    if (status) return status;
  }
  return WAFER_I2C_OK;
}
constexpr wafer_i2c_driver_t kI2c = {i2c_transfer};

// ---- SPI

// The commands that NOR flashes have in common.
enum FlashCommand : uint8_t {
  kPageProgram = 0x02,
  kRead = 0x03,
  kWriteDisable = 0x04,
  kReadStatus = 0x05,
  kWriteEnable = 0x06,
  kSectorErase = 0x20,
  kJedecId = 0x9F,
  kChipErase = 0xC7,
};

}  // namespace

uint8_t Flash::exchange(uint8_t in) {
  static constexpr uint8_t kId[] = {0xEF, 0x40, 0x0E};
  const uint32_t i = at++;
  if (i == 0) {
    command = in;
    address = page_count = 0;
    return 0xFF;
  }
  switch (command) {
    case kJedecId:
      return kId[(i - 1) % 3];
    case kReadStatus:
      return write_enabled ? 2 : 0;
    case kRead:
    case kPageProgram:
    case kSectorErase:
      if (i <= 3) {
        address = (address << 8 | in) % kSize;
        return 0xFF;
      }
      if (command == kRead) {
        const uint8_t out = bytes[address];
        address = (address + 1) % kSize;
        return out;
      }
      if (command == kPageProgram) page[page_count++ % kPage] = in;
      return 0xFF;
    default:
      return 0xFF;
  }
}

// What changes the memory begins when the device is no longer selected.
void Flash::deselect() {
  if (at == 0) return;
  if (command == kWriteEnable || command == kWriteDisable) {
    write_enabled = command == kWriteEnable;
    return;
  }
  if (!write_enabled) return;
  if (command == kPageProgram && at > 3) {
    const uint32_t base = address & ~(kPage - 1);
    const uint32_t n = page_count < kPage ? page_count : kPage;
    for (uint32_t k = page_count - n; k < page_count; ++k)
      bytes[base | ((address + k) & (kPage - 1))] &= page[k % kPage];
  } else if (command == kSectorErase && at > 3) {
    std::memset(bytes + (address & ~(kSector - 1)), 0xFF, kSector);
  } else if (command == kChipErase) {
    std::memset(bytes, 0xFF, kSize);
  } else {
    return;
  }
  write_enabled = false;
}

namespace {

int flash_transfer(void* context, const wafer_spi_step_t* steps, size_t count) {
  Board& board = *static_cast<Board*>(context);
  board.flash.select();
  for (size_t s = 0; s < count; ++s) {
    if (steps[s].delay_ns) board.pass(steps[s].delay_ns);
    for (size_t i = 0; i < steps[s].size; ++i) {
      const uint8_t got = board.flash.exchange(steps[s].out ? steps[s].out[i] : 0);
      if (steps[s].in) steps[s].in[i] = got;
    }
  }
  board.flash.deselect();
  return WAFER_SPI_OK;
}
constexpr wafer_spi_driver_t kFlash = {flash_transfer};

// A line of text: what is sent while it is selected; it answers zeros.
int display_transfer(void* context, const wafer_spi_step_t* steps, size_t count) {
  Board& board = *static_cast<Board*>(context);
  constexpr size_t kColumns = 64;
  String text;
  for (size_t s = 0; s < count; ++s) {
    if (steps[s].delay_ns) board.pass(steps[s].delay_ns);
    for (size_t i = 0; i < steps[s].size; ++i) {
      if (steps[s].in) steps[s].in[i] = 0;
      if (steps[s].out && steps[s].out[i] && text.size() < kColumns) text += char(steps[s].out[i]);
    }
  }
  board.display.text = std::move(text);
  return WAFER_SPI_OK;
}
constexpr wafer_spi_driver_t kDisplay = {display_transfer};

// ---- USB: what is sent to endpoint 1 comes back from it; requests 0x5B and 0x5C of the vendor
// keep some bytes and give them back.

constexpr uint8_t kLoopOut = 0x01, kLoopIn = 0x81, kKeep = 0x5B, kGive = 0x5C;
constexpr uint8_t kUsbDevice[18] = {18,   1, 0, 2, 0xFF, 0, 0, 64, 0x09,
                                    0x12, 1, 0, 0, 1,    0, 0, 0,  1};
constexpr uint8_t kUsbConfiguration[32] = {
    9, 2, 32,       0, 1, 1,    0, 0x80, 50,  // configuration 1
    9, 4, 0,        0, 2, 0xFF, 0, 0,    0,   // interface 0 with two endpoints
    7, 5, kLoopOut, 2, 0, 2,    0, 7,    5,  kLoopIn, 2, 0, 2, 0,
};

int usb_find(void* context, unsigned index, void** device, wafer_usb_info_t* info) {
  if (index) return WAFER_USB_NOT_FOUND;
  *device = context;
  std::memcpy(info->descriptor, kUsbDevice, sizeof kUsbDevice);
  info->bus = info->address = info->port = 1;
  info->speed = 3;
  return WAFER_USB_OK;
}
void usb_give_back(void*, void*) {}

int usb_configuration(void* context, void*, unsigned select, uint8_t number, uint8_t* data,
                      size_t* size) {
  const unsigned value = static_cast<Board*>(context)->usb.configuration;
  const bool there = select == WAFER_USB_BY_INDEX   ? number == 0
                     : select == WAFER_USB_BY_VALUE ? number == 1
                                                    : value == 1;
  if (!there) return WAFER_USB_NOT_FOUND;
  if (*size > sizeof kUsbConfiguration) *size = sizeof kUsbConfiguration;
  std::memcpy(data, kUsbConfiguration, *size);
  return WAFER_USB_OK;
}

int usb_open(void* context, void*, void** handle) {
  *handle = context;
  return WAFER_USB_OK;
}
void usb_close(void* context, void*) { static_cast<Board*>(context)->usb.claimed = false; }

int usb_operate(void* context, void*, wafer_usb_operation_t operation, unsigned value,
                unsigned other, unsigned* result) {
  Usb& usb = static_cast<Board*>(context)->usb;
  switch (operation) {
    case WAFER_USB_GET_CONFIGURATION:
      *result = usb.configuration;
      return WAFER_USB_OK;
    case WAFER_USB_SET_CONFIGURATION:
      if (usb.claimed) return WAFER_USB_BUSY;
      if (value != 1 && value != WAFER_USB_UNCONFIGURED) return WAFER_USB_NOT_FOUND;
      usb.configuration = value == 1;
      return WAFER_USB_OK;
    case WAFER_USB_CLAIM_INTERFACE:
      if (value || usb.configuration == 0) return WAFER_USB_NOT_FOUND;
      if (usb.claimed) return WAFER_USB_BUSY;
      usb.claimed = true;
      return WAFER_USB_OK;
    case WAFER_USB_RELEASE_INTERFACE:
      if (value || !usb.claimed) return WAFER_USB_NOT_FOUND;
      usb.claimed = false;
      return WAFER_USB_OK;
    case WAFER_USB_SET_ALTERNATE:
      return usb.claimed && !value && !other ? WAFER_USB_OK : WAFER_USB_NOT_FOUND;
    case WAFER_USB_CLEAR_HALT:
      return value == kLoopOut || value == kLoopIn ? WAFER_USB_OK : WAFER_USB_NOT_FOUND;
    case WAFER_USB_RESET:
      usb.loop.clear();
      return WAFER_USB_OK;
    case WAFER_USB_KERNEL_DRIVER_ACTIVE:
      *result = 0;
      return WAFER_USB_OK;
    default:
      return WAFER_USB_NOT_FOUND;
  }
}

int usb_submit(void* context, void*, wafer_usb_transfer_t* t) {
  Board& board = *static_cast<Board*>(context);
  const bool control = t->type == WAFER_USB_CONTROL;
  if (t->type != WAFER_USB_BULK && !control) return WAFER_USB_NOT_SUPPORTED;
  if (!control && !board.usb.claimed) return WAFER_USB_IO;
  if (t->size > Usb::kMost) return WAFER_USB_NO_MEM;
  t->status = -1;  // under way
  // Its own: when it has been waited for for long enough.
  auto* const end = static_cast<uint64_t*>(wafer::allocate(sizeof(uint64_t), alignof(uint64_t)));
  *end = t->timeout_ms ? board.time + t->timeout_ms * uint64_t{1'000'000} : ~uint64_t{0};
  t->own = end;
  return WAFER_USB_OK;
}

int usb_cancel(void*, void*, wafer_usb_transfer_t* t) {
  t->status = WAFER_USB_INTERRUPTED;
  return WAFER_USB_OK;
}

void usb_take(String& from, wafer_usb_transfer_t* t) {
  t->actual = from.size() < t->size ? from.size() : t->size;
  std::memcpy(t->data, from.data(), t->actual);
  from = from.substr(t->actual);
}

bool usb_done(void* context, void*, wafer_usb_transfer_t* t) {
  Board& board = *static_cast<Board*>(context);
  Usb& usb = board.usb;
  const std::string_view sent(reinterpret_cast<const char*>(t->data), t->size);
  if (t->status == -1 && t->type == WAFER_USB_CONTROL) {
    t->status = WAFER_USB_OK;
    if (t->request_type == 0x40 && t->request == kKeep)
      usb.kept = sent;
    else if (t->request_type == 0xC0 && t->request == kGive)
      usb_take(usb.kept, t);
    else
      t->status = WAFER_USB_PIPE;
  } else if (t->status == -1 && t->endpoint == kLoopOut) {
    if (usb.loop.size() + t->size <= Usb::kMost) {
      usb.loop.append(sent);
      t->actual = t->size;
      t->status = WAFER_USB_OK;
    }
  } else if (t->status == -1 && t->endpoint == kLoopIn) {
    if (!usb.loop.empty()) {
      usb_take(usb.loop, t);
      t->status = WAFER_USB_OK;
    }
  } else if (t->status == -1) {
    t->status = WAFER_USB_NOT_FOUND;
  }
  if (t->status == -1 && board.time >= *static_cast<uint64_t*>(t->own))
    t->status = WAFER_USB_TIMEOUT;
  if (t->status == -1) return false;
  wafer::release(t->own, sizeof(uint64_t), alignof(uint64_t));
  t->own = nullptr;
  return true;
}
constexpr wafer_usb_driver_t kUsb = {usb_find,   usb_give_back, usb_configuration, usb_open,
                                     usb_close,  usb_operate,   nullptr,           usb_submit,
                                     usb_cancel, usb_done};

void board_delay(void* context, uint64_t nanoseconds) {
  static_cast<Board*>(context)->pass(nanoseconds);
}

}  // namespace

void wafer_simulated_board_t::pass(uint64_t nanoseconds) {
  // The button is what changes meanwhile; pressed, it pulls its wire down.
  const uint64_t end = time + nanoseconds;
  if (press_at <= end && press_at >= time) button.drive(false);
  if (press_end <= end && press_end > time && press_at < press_end) button.drive(true);
  time = end;
  // It can be told no more than the thermometer's limits and a bit; guests choose how long it goes.
  constexpr int64_t kMost = 256 * 16 * int64_t(kSecond);
  const int64_t for_long = int64_t(std::min(nanoseconds, uint64_t(kMost)));
  heat = std::clamp(heat + for_long * (relay.high ? 8 : -4), -kMost, kMost);
}

extern "C" {

wafer_simulated_board_t* wafer_simulated_board_new(void) {
  void* const flash = wafer::allocate(Flash::kSize);
  auto* const b = new (wafer::allocate(sizeof(Board), alignof(Board))) Board{};
  std::memset(flash, 0xFF, Flash::kSize);
  std::memset(b->eeprom, 0xFF, sizeof b->eeprom);
  b->flash.bytes = static_cast<uint8_t*>(flash);
  b->button.high = true;
  size_t n = 0;
  const auto add = [&](wafer_device_kind_t kind, const char* name, const void* driver,
                       void* context, uint8_t modes = 0, uint16_t address = 0,
                       bool active_low = false) {
    b->list[n++] = {kind, name, driver, context, address, modes, active_low};
  };
  constexpr uint8_t kIn = WAFER_PIN_IN, kOut = WAFER_PIN_OUT;
  add(WAFER_DEVICE_I2C, "sensor", &kI2c, b, 0, kSensorAddress);
  add(WAFER_DEVICE_I2C, "eeprom", &kI2c, b, 0, kEepromAddress);
  add(WAFER_DEVICE_SPI, "flash", &kFlash, b);
  add(WAFER_DEVICE_SPI, "display", &kDisplay, b);
  add(WAFER_DEVICE_DIGITAL, "button", &kWire, &b->button, kIn, 0, true);
  add(WAFER_DEVICE_DIGITAL, "led", &kWire, &b->led, kOut);
  add(WAFER_DEVICE_DIGITAL, "relay", &kWire, &b->relay, kOut);
  add(WAFER_DEVICE_DIGITAL, "pin", &kWire, &b->pin, kIn | kOut);
  add(WAFER_DEVICE_ANALOG, "adc", &kAdc, b, kIn);
  add(WAFER_DEVICE_ANALOG, "dac", &kDac, b, kIn | kOut);
  add(WAFER_DEVICE_USB, "1209:0001", &kUsb, b);
  b->devices = {b->list, n, board_delay, board_delay, b};
  return b;
}

void wafer_simulated_board_delete(wafer_simulated_board_t* b) {
  if (!b) return;
  wafer::release(b->flash.bytes, Flash::kSize);
  b->~Board();
  wafer::release(b, sizeof(Board), alignof(Board));
}

const wafer_devices_t* wafer_simulated_board_devices(wafer_simulated_board_t* b) {
  return &b->devices;
}
void wafer_simulated_board_set_temperature(wafer_simulated_board_t* b, int sixteenths) {
  b->heat = int64_t(sixteenths) * int64_t(kSecond);
}
int wafer_simulated_board_temperature(const wafer_simulated_board_t* b) { return b->sixteenths(); }
void wafer_simulated_board_press(wafer_simulated_board_t* b, uint64_t after_ns, uint64_t for_ns) {
  b->press_at = b->time + after_ns;
  b->press_end = b->press_at + for_ns;
  if (after_ns == 0) b->button.drive(false);
}
bool wafer_simulated_board_level(const wafer_simulated_board_t* b, const char* name) {
  for (size_t i = 0; i < b->devices.count; ++i)
    if (b->list[i].kind == WAFER_DEVICE_DIGITAL && std::string_view(name) == b->list[i].name)
      return static_cast<const Wire*>(b->list[i].context)->high;
  return false;
}
const char* wafer_simulated_board_display(const wafer_simulated_board_t* b) {
  return b->display.text.c_str();
}
uint64_t wafer_simulated_board_time(const wafer_simulated_board_t* b) { return b->time; }

}  // extern "C"
