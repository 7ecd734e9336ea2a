/* A thermostat: reads a sensor by I2C, shows the temperature by SPI, switches a relay by GPIO. The
 * names are those of `wafer bindgen c`. It needs no C library: tests/devices/guests.py builds it.
 */
#include "thermostat.h"

enum { kSensorAddress = 0x48, kTemperature = 0 };
enum { kHysteresis = 4 }; /* 1/16 degrees */
enum { kNoSensor = -1001, kNoDisplay = -1002, kNoRelay = -1003, kFailed = -1004 };
static const uint32_t kSecond = 1000000000;

/* ---- Memory: lists that functions give live until they are freed, which is soon */

static _Alignas(16) uint8_t heap[256];
static size_t used, blocks;

void* realloc(void* ptr, size_t size) {
  (void)ptr; /* only ever NULL: nothing grows */
  const size_t at = (used + 7) & ~(size_t)7;
  if (size > sizeof heap - at) __builtin_trap();
  used = at + size;
  ++blocks;
  return heap + at;
}

void free(void* ptr) {
  if (ptr && --blocks == 0) used = 0;
}

_Noreturn void abort(void) { __builtin_trap(); }

/* ---- The devices */

static thermostat_string_t text(const char* chars) {
  thermostat_string_t string = {(uint8_t*)chars, 0};
  while (chars[string.len]) ++string.len;
  return string;
}

/* The temperature in 1/16 degrees; false if the sensor does not answer. */
static bool measure(wasi_i2c_i2c_borrow_i2c_t bus, int32_t* sixteenths) {
  uint8_t reg = kTemperature;
  thermostat_list_u8_t command = {&reg, 1}, bytes;
  wasi_i2c_i2c_error_code_t error;
  if (!wasi_i2c_i2c_method_i2c_write_read(bus, kSensorAddress, &command, 2, &bytes, &error))
    return false;
  *sixteenths = (int16_t)(bytes.ptr[0] << 8 | bytes.ptr[1]) >> 4;
  thermostat_list_u8_free(&bytes);
  return true;
}

/* "21.5 on" */
static size_t format(int32_t sixteenths, bool on, uint8_t* out) {
  size_t n = 0;
  if (sixteenths < 0) {
    out[n++] = '-';
    sixteenths = -sixteenths;
  }
  const int32_t tenths = (sixteenths * 10 + 8) / 16;
  for (int32_t unit = 1000; unit; unit /= 10) {
    if (tenths < unit && unit > 10) continue;
    if (unit == 1) out[n++] = '.';
    out[n++] = (uint8_t)('0' + tenths / unit % 10);
  }
  for (const char* word = on ? " on" : " off"; *word; ++word) out[n++] = (uint8_t)*word;
  return n;
}

int32_t exports_thermostat_run(uint32_t rounds, int32_t target) {
  wasi_i2c_i2c_own_i2c_t bus;
  thermostat_string_t name = text("sensor");
  if (!wafer_devices_i2c_open(&name, &bus)) return kNoSensor;

  wasi_spi_spi_own_spi_device_t display;
  wasi_spi_spi_error_t spi_error;
  name = text("display");
  if (!wasi_spi_spi_open(&name, &display, &spi_error)) {
    wasi_spi_spi_error_free(&spi_error);
    return kNoDisplay;
  }

  wasi_gpio_digital_own_digital_out_pin_t relay;
  wasi_gpio_general_gpio_error_t error;
  name = text("relay");
  if (!wafer_devices_gpio_get_digital_out(&name, 0, &relay, &error)) {
    wasi_gpio_general_gpio_error_free(&error);
    return kNoRelay;
  }

  const wasi_i2c_delay_own_delay_t delay = wafer_devices_i2c_get_delay();
  int32_t temperature = kFailed;
  bool on = false;
  for (uint32_t i = 0; i < rounds; ++i) {
    if (!measure(wasi_i2c_i2c_borrow_i2c(bus), &temperature)) return kFailed;
    if (temperature < target - kHysteresis) on = true;
    if (temperature > target + kHysteresis) on = false;
    if (!wasi_gpio_digital_method_digital_out_pin_set_state(
            wasi_gpio_digital_borrow_digital_out_pin(relay),
            on ? WASI_GPIO_DIGITAL_PIN_STATE_ACTIVE : WASI_GPIO_DIGITAL_PIN_STATE_INACTIVE, &error))
      return kFailed;
    uint8_t line[16];
    thermostat_list_u8_t shown = {line, format(temperature, on, line)};
    /* `result<error>`: there is an error only if there is no payload. */
    wasi_spi_spi_error_t nothing;
    if (!wasi_spi_spi_method_spi_device_write(wasi_spi_spi_borrow_spi_device(display), &shown,
                                              &nothing))
      return kFailed;
    wasi_spi_spi_error_free(&nothing);
    wasi_i2c_delay_method_delay_delay_ns(wasi_i2c_delay_borrow_delay(delay), kSecond);
  }
  wasi_i2c_delay_delay_drop_own(delay);
  wasi_gpio_digital_digital_out_pin_drop_own(relay);
  wasi_spi_spi_spi_device_drop_own(display);
  wasi_i2c_i2c_i2c_drop_own(bus);
  return temperature;
}
