// Uses every device of the simulated board, in good and bad ways. The same source is a module and a
// component.
#include "probe.h"

#include <stdbool.h>
#include <string.h>

#define CHECK(condition)               \
  do {                                 \
    if (!(condition)) return __LINE__; \
  } while (0)

static probe_string_t text(const char* chars) {
  return (probe_string_t){(uint8_t*)chars, strlen(chars)};
}
static bool holds(const probe_list_u8_t* list, const void* bytes, size_t size) {
  return list->len == size && memcmp(list->ptr, bytes, size) == 0;
}

// ---- I2C

static uint32_t check_i2c(void) {
  wasi_i2c_i2c_own_i2c_t own;
  probe_string_t name = text("nothing");
  CHECK(!wafer_devices_i2c_open(&name, &own));
  name = text("flash");  // of another kind
  CHECK(!wafer_devices_i2c_open(&name, &own));
  name = text("eeprom");
  CHECK(wafer_devices_i2c_open(&name, &own));
  const wasi_i2c_i2c_borrow_i2c_t i2c = wasi_i2c_i2c_borrow_i2c(own);

  uint8_t bytes[4] = {0x10, 'a', 'b', 'c'};
  probe_list_u8_t data = {bytes, 4}, got;
  wasi_i2c_i2c_error_code_t error;
  CHECK(wasi_i2c_i2c_method_i2c_write(i2c, 0x50, &data, &error));
  data.len = 1;
  CHECK(wasi_i2c_i2c_method_i2c_write_read(i2c, 0x50, &data, 4, &got, &error));
  CHECK(holds(&got, "abc\xFF", 4));
  probe_list_u8_free(&got);
  CHECK(wasi_i2c_i2c_method_i2c_write(i2c, 0x50, &data, &error));
  CHECK(wasi_i2c_i2c_method_i2c_read(i2c, 0x50, 2, &got, &error));
  CHECK(holds(&got, "ab", 2));
  probe_list_u8_free(&got);
  CHECK(wasi_i2c_i2c_method_i2c_read(i2c, 0x50, 0, &got, &error) && got.len == 0);
  // More than fits in a small buffer.
  CHECK(wasi_i2c_i2c_method_i2c_read(i2c, 0x50, 1000, &got, &error) && got.len == 1000);
  probe_list_u8_free(&got);

  wasi_i2c_i2c_operation_t operations[4];
  operations[0].tag = WASI_I2C_I2C_OPERATION_WRITE;
  operations[0].val.write = (probe_list_u8_t){bytes, 1};
  operations[1].tag = WASI_I2C_I2C_OPERATION_READ;
  operations[1].val.read = 3;
  operations[2] = operations[0];
  operations[3].tag = WASI_I2C_I2C_OPERATION_READ;
  operations[3].val.read = 1;
  probe_list_wasi_i2c_i2c_operation_t list = {operations, 4};
  probe_list_list_u8_t lists;
  CHECK(wasi_i2c_i2c_method_i2c_transaction(i2c, 0x50, &list, &lists, &error));
  CHECK(lists.len == 2 && holds(&lists.ptr[0], "abc", 3) && holds(&lists.ptr[1], "a", 1));
  probe_list_list_u8_free(&lists);
  list.len = 0;
  CHECK(wasi_i2c_i2c_method_i2c_transaction(i2c, 0x50, &list, &lists, &error) && lists.len == 0);

  // Another device of the same bus, which this grant does not reach.
  CHECK(!wasi_i2c_i2c_method_i2c_read(i2c, 0x48, 2, &got, &error));
  CHECK(error.tag == WASI_I2C_I2C_ERROR_CODE_NO_ACKNOWLEDGE &&
        error.val.no_acknowledge == WASI_I2C_I2C_NO_ACKNOWLEDGE_SOURCE_ADDRESS);
  CHECK(!wasi_i2c_i2c_method_i2c_write(i2c, 0x48, &data, &error));
  CHECK(error.tag == WASI_I2C_I2C_ERROR_CODE_NO_ACKNOWLEDGE &&
        error.val.no_acknowledge == WASI_I2C_I2C_NO_ACKNOWLEDGE_SOURCE_ADDRESS);
  CHECK(!wasi_i2c_i2c_method_i2c_read(i2c, 0x50, UINT64_C(1) << 40, &got, &error));
  CHECK(error.tag == WASI_I2C_I2C_ERROR_CODE_OTHER);
  operations[1].val.read = UINT64_MAX;
  list.len = 4;
  CHECK(!wasi_i2c_i2c_method_i2c_transaction(i2c, 0x50, &list, &lists, &error));
  CHECK(error.tag == WASI_I2C_I2C_ERROR_CODE_OTHER);
  wasi_i2c_i2c_i2c_drop_own(own);

  // The thermometer refuses what is no command of it.
  name = text("sensor");
  CHECK(wafer_devices_i2c_open(&name, &own));
  data.len = 2;
  CHECK(!wasi_i2c_i2c_method_i2c_write(wasi_i2c_i2c_borrow_i2c(own), 0x48, &data, &error));
  CHECK(error.tag == WASI_I2C_I2C_ERROR_CODE_NO_ACKNOWLEDGE &&
        error.val.no_acknowledge == WASI_I2C_I2C_NO_ACKNOWLEDGE_SOURCE_DATA);
  wasi_i2c_i2c_i2c_drop_own(own);
  return 0;
}

// ---- SPI

static uint32_t check_spi(void) {
  wasi_spi_spi_own_spi_device_t own;
  wasi_spi_spi_error_t error;
  probe_string_t name = text("eeprom");
  CHECK(!wasi_spi_spi_open(&name, &own, &error));
  CHECK(error.tag == WASI_SPI_SPI_ERROR_OTHER && error.val.other.len > 10);
  wasi_spi_spi_error_free(&error);
  name = text("flash");
  CHECK(wasi_spi_spi_open(&name, &own, &error));
  const wasi_spi_spi_borrow_spi_device_t spi = wasi_spi_spi_borrow_spi_device(own);

  uint8_t id[4] = {0x9F};
  probe_list_u8_t data = {id, 4}, got;
  CHECK(wasi_spi_spi_method_spi_device_transfer(spi, &data, &got, &error));
  CHECK(holds(&got, "\xFF\xEF\x40\x0E", 4));
  probe_list_u8_free(&got);

  // Write enable, then program a page, then read it in one transaction with a pause.
  uint8_t enable = 0x06, program[7] = {0x02, 0, 1, 0xFE, 1, 2, 3}, read[4] = {0x03, 0, 1, 0xFE};
  data = (probe_list_u8_t){program, 7};
  CHECK(wasi_spi_spi_method_spi_device_write(spi, &data, &error));  // not enabled: no effect
  wasi_spi_spi_error_free(&error);
  data = (probe_list_u8_t){&enable, 1};
  CHECK(wasi_spi_spi_method_spi_device_write(spi, &data, &error));
  wasi_spi_spi_error_free(&error);
  data = (probe_list_u8_t){program, 7};
  CHECK(wasi_spi_spi_method_spi_device_write(spi, &data, &error));
  wasi_spi_spi_error_free(&error);
  wasi_spi_spi_operation_t operations[4];
  operations[0].tag = WASI_SPI_SPI_OPERATION_WRITE;
  operations[0].val.write = (probe_list_u8_t){read, 4};
  operations[1].tag = WASI_SPI_SPI_OPERATION_DELAY_NS;
  operations[1].val.delay_ns = 1500;
  operations[2].tag = WASI_SPI_SPI_OPERATION_READ;
  operations[2].val.read = 2;
  operations[3].tag = WASI_SPI_SPI_OPERATION_TRANSFER;
  operations[3].val.transfer = (probe_list_u8_t){read, 1};
  probe_list_wasi_spi_spi_operation_t list = {operations, 4};
  probe_list_wasi_spi_spi_operation_result_t results;
  CHECK(wasi_spi_spi_method_spi_device_transaction(spi, &list, &results, &error));
  CHECK(results.len == 4);
  CHECK(results.ptr[0].tag == WASI_SPI_SPI_OPERATION_RESULT_WRITE);
  CHECK(results.ptr[1].tag == WASI_SPI_SPI_OPERATION_RESULT_DELAY);
  CHECK(results.ptr[2].tag == WASI_SPI_SPI_OPERATION_RESULT_READ);
  CHECK(holds(&results.ptr[2].val.read, "\1\2", 2));
  CHECK(results.ptr[3].tag == WASI_SPI_SPI_OPERATION_RESULT_TRANSFER);
  // A page ends where it ends: the third byte went to its begin.
  CHECK(holds(&results.ptr[3].val.transfer, "\xFF", 1));
  probe_list_wasi_spi_spi_operation_result_free(&results);
  CHECK(!wasi_spi_spi_method_spi_device_read(spi, UINT64_MAX, &got, &error));
  CHECK(error.tag == WASI_SPI_SPI_ERROR_OTHER);
  wasi_spi_spi_error_free(&error);
  CHECK(wasi_spi_spi_method_spi_device_read(spi, 3, &got, &error) && got.len == 3);
  probe_list_u8_free(&got);
  wasi_spi_spi_spi_device_drop_own(own);
  return 0;
}

// ---- GPIO

static uint32_t check_digital(void) {
  wasi_gpio_digital_own_digital_out_pin_t out;
  wasi_gpio_digital_own_digital_in_pin_t in;
  wasi_gpio_digital_own_digital_in_out_pin_t both, other;
  wasi_gpio_general_gpio_error_t error;
  probe_string_t name = text("nothing");
  CHECK(!wafer_devices_gpio_get_digital_out(&name, 0, &out, &error));
  CHECK(error.tag == WASI_GPIO_GENERAL_GPIO_ERROR_UNDEFINED_PIN_LABEL);
  name = text("led");
  CHECK(!wafer_devices_gpio_get_digital_in(&name, 0, &in, &error));
  CHECK(error.tag == WASI_GPIO_GENERAL_GPIO_ERROR_PIN_MODE_NOT_ALLOWED);
  CHECK(!wafer_devices_gpio_get_digital_out(
      &name, WASI_GPIO_DIGITAL_DIGITAL_FLAGS_PULL_UP | WASI_GPIO_DIGITAL_DIGITAL_FLAGS_PULL_DOWN,
      &out, &error));
  CHECK(error.tag == WASI_GPIO_GENERAL_GPIO_ERROR_PIN_MODE_NOT_AVAILABLE);
  CHECK(wafer_devices_gpio_get_digital_out(&name, 0, &out, &error));
  const wasi_gpio_digital_borrow_digital_out_pin_t led =
      wasi_gpio_digital_borrow_digital_out_pin(out);
  CHECK(wasi_gpio_digital_method_digital_out_pin_set_active(led, &error));
  CHECK(wasi_gpio_digital_method_digital_out_pin_toggle(led, &error));
  CHECK(wasi_gpio_digital_method_digital_out_pin_set_inactive(led, &error));
  wasi_gpio_digital_digital_config_t config;
  wasi_gpio_digital_method_digital_out_pin_get_config(led, &config);
  CHECK(config.label.len == 3 && memcmp(config.label.ptr, "led", 3) == 0);
  CHECK(config.pin_mode == WASI_GPIO_GENERAL_PIN_MODE_OUT && !config.pull_resistor.is_some &&
        config.active_level == WASI_GPIO_GENERAL_ACTIVE_LEVEL_ACTIVE_HIGH);
  wasi_gpio_digital_digital_config_free(&config);
  wasi_gpio_digital_digital_out_pin_drop_own(out);

  // The button is up, which is inactive, as it is active low.
  name = text("button");
  CHECK(wafer_devices_gpio_get_digital_in(&name, WASI_GPIO_DIGITAL_DIGITAL_FLAGS_PULL_UP, &in,
                                          &error));
  const wasi_gpio_digital_borrow_digital_in_pin_t button =
      wasi_gpio_digital_borrow_digital_in_pin(in);
  bool is = true;
  CHECK(wasi_gpio_digital_method_digital_in_pin_is_active(button, &is, &error) && !is);
  CHECK(wasi_gpio_digital_method_digital_in_pin_is_inactive(button, &is, &error) && is);
  wasi_gpio_digital_method_digital_in_pin_get_config(button, &config);
  CHECK(config.pin_mode == WASI_GPIO_GENERAL_PIN_MODE_IN && config.pull_resistor.is_some &&
        config.pull_resistor.val == WASI_GPIO_GENERAL_PULL_RESISTOR_PULL_UP &&
        config.active_level == WASI_GPIO_GENERAL_ACTIVE_LEVEL_ACTIVE_LOW);
  wasi_gpio_digital_digital_config_free(&config);
  wasi_io_poll_own_pollable_t waits[3];
  CHECK(wasi_gpio_digital_method_digital_in_pin_watch_active(button, &waits[0], &error));
  CHECK(!wasi_io_poll_method_pollable_ready(wasi_io_poll_borrow_pollable(waits[0])));
  wasi_io_poll_pollable_drop_own(waits[0]);

  // A pin of both kinds watches itself.
  name = text("pin");
  CHECK(wafer_devices_gpio_get_digital_in_out(&name, WASI_GPIO_DIGITAL_DIGITAL_FLAGS_ACTIVE_LOW,
                                              &both, &error));
  wasi_gpio_digital_borrow_digital_in_out_pin_t pin =
      wasi_gpio_digital_borrow_digital_in_out_pin(both);
  CHECK(wasi_gpio_digital_method_digital_in_out_pin_watch_rising_edge(pin, &waits[0], &error));
  CHECK(wasi_gpio_digital_method_digital_in_out_pin_watch_falling_edge(pin, &waits[1], &error));
  CHECK(wasi_gpio_digital_method_digital_in_out_pin_watch_state(
      pin, WASI_GPIO_DIGITAL_PIN_STATE_ACTIVE, &waits[2], &error));
  wasi_io_poll_borrow_pollable_t borrowed[3];
  for (int i = 0; i < 3; ++i) {
    borrowed[i] = wasi_io_poll_borrow_pollable(waits[i]);
    CHECK(!wasi_io_poll_method_pollable_ready(borrowed[i]));
  }
  CHECK(wasi_gpio_digital_method_digital_in_out_pin_set_state(
      pin, WASI_GPIO_DIGITAL_PIN_STATE_ACTIVE, &error));
  wasi_gpio_digital_pin_state_t state;
  CHECK(wasi_gpio_digital_method_digital_in_out_pin_read(pin, &state, &error) &&
        state == WASI_GPIO_DIGITAL_PIN_STATE_ACTIVE);
  probe_list_wasi_io_poll_borrow_pollable_t list = {borrowed, 3};
  probe_list_u32_t ready;
  wasi_io_poll_poll(&list, &ready);
  CHECK(ready.len == 2 && ready.ptr[0] == 0 && ready.ptr[1] == 2);
  probe_list_u32_free(&ready);
  CHECK(wasi_gpio_digital_method_digital_in_out_pin_toggle(pin, &error));
  wasi_io_poll_poll(&list, &ready);
  CHECK(ready.len == 2 && ready.ptr[0] == 0 && ready.ptr[1] == 1);
  probe_list_u32_free(&ready);
  wasi_io_poll_method_pollable_block(borrowed[1]);

  // Whoever opens it last has it.
  CHECK(wafer_devices_gpio_get_digital_in_out(&name, 0, &other, &error));
  CHECK(!wasi_gpio_digital_method_digital_in_out_pin_set_active(pin, &error));
  CHECK(error.tag == WASI_GPIO_GENERAL_GPIO_ERROR_ALREADY_IN_USE);
  CHECK(wasi_io_poll_method_pollable_ready(borrowed[2]));  // and so tells
  for (int i = 0; i < 3; ++i) wasi_io_poll_pollable_drop_own(waits[i]);
  waits[0] = wasi_gpio_digital_method_digital_in_out_pin_watch_for_ready(
      wasi_gpio_digital_borrow_digital_in_out_pin(other));
  wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(waits[0]));
  wasi_io_poll_pollable_drop_own(waits[0]);
  wasi_gpio_digital_digital_in_out_pin_drop_own(other);
  wasi_gpio_digital_digital_in_out_pin_drop_own(both);
  wasi_gpio_digital_digital_in_pin_drop_own(in);
  return 0;
}

static uint32_t check_analog(void) {
  wasi_gpio_analog_own_analog_in_pin_t adc;
  wasi_gpio_analog_own_analog_in_out_pin_t dac;
  wasi_gpio_general_gpio_error_t error;
  probe_string_t name = text("adc");
  CHECK(!wafer_devices_gpio_get_analog_in_out(&name, 0, &dac, &error));
  CHECK(error.tag == WASI_GPIO_GENERAL_GPIO_ERROR_PIN_MODE_NOT_ALLOWED);
  CHECK(wafer_devices_gpio_get_analog_in(&name, 0, &adc, &error));
  const wasi_gpio_analog_borrow_analog_in_pin_t in = wasi_gpio_analog_borrow_analog_in_pin(adc);
  uint32_t raw = 0;
  float fraction = 0;
  CHECK(wasi_gpio_analog_method_analog_in_pin_read_raw(in, &raw, &error) && raw > 1800 &&
        raw < 1921);
  CHECK(wasi_gpio_analog_method_analog_in_pin_read(in, &fraction, &error));
  CHECK(fraction * 4095 > raw - 0.5f && fraction * 4095 < raw + 0.5f);
  // It gets colder by 8 of these units each second.
  wasi_io_poll_own_pollable_t colder, warmer;
  CHECK(wasi_gpio_analog_method_analog_in_pin_watch_below_raw(in, raw - 16, &colder, &error));
  CHECK(wasi_gpio_analog_method_analog_in_pin_watch_above(in, 0.9f, &warmer, &error));
  CHECK(!wasi_io_poll_method_pollable_ready(wasi_io_poll_borrow_pollable(colder)));
  wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(colder));
  uint32_t later = 0;
  CHECK(wasi_gpio_analog_method_analog_in_pin_read_raw(in, &later, &error) && later < raw - 16 &&
        later >= raw - 18);
  CHECK(!wasi_io_poll_method_pollable_ready(wasi_io_poll_borrow_pollable(warmer)));
  wasi_io_poll_pollable_drop_own(colder);
  wasi_io_poll_pollable_drop_own(warmer);
  wasi_gpio_analog_analog_in_pin_drop_own(adc);

  name = text("dac");
  CHECK(wafer_devices_gpio_get_analog_in_out(&name, 0, &dac, &error));
  wasi_gpio_analog_borrow_analog_in_out_pin_t out = wasi_gpio_analog_borrow_analog_in_out_pin(dac);
  CHECK(wasi_gpio_analog_method_analog_in_out_pin_set_value_raw(out, 1000, &error));
  CHECK(wasi_gpio_analog_method_analog_in_out_pin_read_raw(out, &raw, &error) && raw == 255);
  CHECK(wasi_gpio_analog_method_analog_in_out_pin_set_value(out, 0.5f, &error));
  CHECK(wasi_gpio_analog_method_analog_in_out_pin_read_raw(out, &raw, &error) && raw == 128);
  CHECK(!wasi_gpio_analog_method_analog_in_out_pin_set_value(out, __builtin_nanf(""), &error));
  CHECK(error.tag == WASI_GPIO_GENERAL_GPIO_ERROR_OTHER && error.val.other.len > 5);
  wasi_gpio_general_gpio_error_free(&error);
  wasi_gpio_analog_analog_in_out_pin_drop_own(dac);
  CHECK(wafer_devices_gpio_get_analog_in_out(&name, WASI_GPIO_ANALOG_ANALOG_FLAGS_ACTIVE_LOW, &dac,
                                             &error));
  out = wasi_gpio_analog_borrow_analog_in_out_pin(dac);
  CHECK(wasi_gpio_analog_method_analog_in_out_pin_read_raw(out, &raw, &error) && raw == 127);
  wasi_gpio_analog_analog_config_t config;
  wasi_gpio_analog_method_analog_in_out_pin_get_config(out, &config);
  CHECK(config.label.len == 3 && config.pin_mode == WASI_GPIO_GENERAL_PIN_MODE_IN_OUT);
  wasi_gpio_analog_analog_config_free(&config);
  wasi_gpio_analog_analog_in_out_pin_drop_own(dac);
  return 0;
}

uint32_t exports_probe_check(void) {
  const wasi_i2c_delay_own_delay_t delay = wafer_devices_i2c_get_delay();
  wasi_i2c_delay_method_delay_delay_ns(wasi_i2c_delay_borrow_delay(delay), 100);
  wasi_i2c_delay_delay_drop_own(delay);
  wasi_gpio_delay_delay_ns(1);
  wasi_gpio_delay_delay_us(1);
  wasi_gpio_delay_delay_ms(1);
  uint32_t line = check_i2c();
  if (!line) line = check_spi();
  if (!line) line = check_digital();
  if (!line) line = check_analog();
  return line;
}

uint32_t exports_probe_refused(void) {
  wasi_i2c_i2c_own_i2c_t i2c;
  wasi_spi_spi_own_spi_device_t spi;
  wasi_spi_spi_error_t error;
  wasi_gpio_digital_own_digital_out_pin_t pin;
  wasi_gpio_analog_own_analog_in_pin_t analog;
  wasi_gpio_general_gpio_error_t pin_error;
  const char* const names[] = {"sensor", "flash", "led", "adc", "sim", "/dev/i2c-1", ""};
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    probe_string_t name = text(names[i]);
    CHECK(!wafer_devices_i2c_open(&name, &i2c));
    CHECK(!wasi_spi_spi_open(&name, &spi, &error));
    CHECK(!wafer_devices_gpio_get_digital_out(&name, 0, &pin, &pin_error));
    CHECK(pin_error.tag == WASI_GPIO_GENERAL_GPIO_ERROR_UNDEFINED_PIN_LABEL);
    CHECK(!wafer_devices_gpio_get_analog_in(&name, 0, &analog, &pin_error));
  }
  return 0;
}
