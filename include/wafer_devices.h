/* Devices of a board, as tables of plain functions: what boards fill, and what modules and
 * components are given of it (docs/devices.md).
 *
 * A driver is a table of functions and may be shared by many devices; each has a `context` of
 * its own. Functions give 0 for success, or one of the numbers of the kind of device. They are
 * called by the thread or task that runs the guest, and none is called by two at once for the
 * same device unless the program grants it to several guests. */
#ifndef WAFER_DEVICES_H
#define WAFER_DEVICES_H

#include "wafer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- I2C */

typedef struct wafer_i2c_message_t {
  uint8_t* data; /* written to the device, or filled by a read */
  size_t size;
  bool read;
} wafer_i2c_message_t;

enum wafer_i2c_status_enum { /* as wasi:i2c's error-code */
                             WAFER_I2C_OK,
                             WAFER_I2C_BUS,
                             WAFER_I2C_ARBITRATION_LOSS,
                             WAFER_I2C_NO_ACKNOWLEDGE_ADDRESS,
                             WAFER_I2C_NO_ACKNOWLEDGE_DATA,
                             WAFER_I2C_NO_ACKNOWLEDGE,
                             WAFER_I2C_OVERRUN,
                             WAFER_I2C_OTHER
};

typedef struct wafer_i2c_driver_t {
  /* One transaction: the messages in their order, with a repeated start between two. */
  int (*transfer)(void* context, uint16_t address, const wafer_i2c_message_t* messages,
                  size_t count);
} wafer_i2c_driver_t;

/* ---- SPI */

typedef struct wafer_spi_step_t {
  const uint8_t* out; /* NULL: zeros are sent */
  uint8_t* in;        /* NULL: what comes is dropped */
  size_t size;
  uint32_t delay_ns; /* instead of sending, if it is not 0 */
} wafer_spi_step_t;

enum wafer_spi_status_enum { /* as wasi:spi's error */
                             WAFER_SPI_OK,
                             WAFER_SPI_OVERRUN,
                             WAFER_SPI_MODE_FAULT,
                             WAFER_SPI_FRAME_FORMAT,
                             WAFER_SPI_CHIP_SELECT_FAULT,
                             WAFER_SPI_OTHER
};

typedef struct wafer_spi_driver_t {
  /* All steps while the device is selected. */
  int (*transfer)(void* context, const wafer_spi_step_t* steps, size_t count);
} wafer_spi_driver_t;

/* ---- Pins */

enum wafer_pin_status_enum { /* as wasi:gpio's gpio-error */
                             WAFER_PIN_OK,
                             WAFER_PIN_HARDWARE_FAULT,
                             WAFER_PIN_ALREADY_IN_USE,
                             WAFER_PIN_NOT_ALLOWED,
                             WAFER_PIN_MODE_NOT_ALLOWED,
                             WAFER_PIN_UNDEFINED_LABEL,
                             WAFER_PIN_MODE_NOT_AVAILABLE,
                             WAFER_PIN_WOULD_BLOCK,
                             WAFER_PIN_NOT_SUPPORTED,
                             WAFER_PIN_OTHER
};

enum wafer_pin_mode_enum { WAFER_PIN_IN = 1, WAFER_PIN_OUT = 2 };
enum wafer_pin_pull_enum { WAFER_PULL_NONE, WAFER_PULL_UP, WAFER_PULL_DOWN };

/* Levels are those of the wire: what counts as active is not the driver's concern. */
typedef struct wafer_digital_driver_t {
  /* Makes the pin an input (WAFER_PIN_IN), an output or both, with a resistor; an output keeps
   * the level `high`. */
  int (*configure)(void* context, unsigned modes, unsigned pull, bool high);
  int (*read)(void* context, bool* high);
  int (*write)(void* context, bool high);
  /* How many rising and falling edges there have been, from any point in time on; counters may
   * wrap around. NULL: it cannot tell. */
  int (*edges)(void* context, uint32_t* rising, uint32_t* falling);
  /* A descriptor to wait on that can be read when something has changed; NULL, or negative:
   * none, and the pin is asked now and then. */
  int (*descriptor)(void* context);
} wafer_digital_driver_t;

typedef struct wafer_analog_driver_t {
  int (*read)(void* context, uint32_t* value);
  int (*write)(void* context, uint32_t value);
  uint32_t max; /* the greatest value */
} wafer_analog_driver_t;

/* ---- USB */

enum wafer_usb_status_enum { /* as component:usb's libusb-error */
                             WAFER_USB_OK,
                             WAFER_USB_IO,
                             WAFER_USB_INVALID_PARAM,
                             WAFER_USB_ACCESS,
                             WAFER_USB_NO_DEVICE,
                             WAFER_USB_NOT_FOUND,
                             WAFER_USB_BUSY,
                             WAFER_USB_TIMEOUT,
                             WAFER_USB_OVERFLOW,
                             WAFER_USB_PIPE,
                             WAFER_USB_INTERRUPTED,
                             WAFER_USB_NO_MEM,
                             WAFER_USB_NOT_SUPPORTED,
                             WAFER_USB_OTHER
};

enum wafer_usb_type_enum {
  WAFER_USB_CONTROL,
  WAFER_USB_BULK,
  WAFER_USB_INTERRUPT,
  WAFER_USB_ISOCHRONOUS
};

/* What is done with an open device; `value` and `other` are numbers as USB has them. */
typedef enum wafer_usb_operation_t {
  WAFER_USB_GET_CONFIGURATION, /* gives the value, 0 if it is not configured */
  WAFER_USB_SET_CONFIGURATION, /* value; WAFER_USB_UNCONFIGURED */
  WAFER_USB_CLAIM_INTERFACE,   /* interface */
  WAFER_USB_RELEASE_INTERFACE,
  WAFER_USB_SET_ALTERNATE, /* interface, setting */
  WAFER_USB_CLEAR_HALT,    /* endpoint */
  WAFER_USB_RESET,
  WAFER_USB_KERNEL_DRIVER_ACTIVE, /* interface; gives 0 or 1 */
  WAFER_USB_DETACH_KERNEL_DRIVER,
  WAFER_USB_ATTACH_KERNEL_DRIVER
} wafer_usb_operation_t;
#define WAFER_USB_UNCONFIGURED 0xFFFF

enum wafer_usb_select_enum { WAFER_USB_BY_INDEX, WAFER_USB_BY_VALUE, WAFER_USB_ACTIVE };

typedef struct wafer_usb_info_t {
  uint8_t descriptor[18]; /* of the device, as USB has it */
  uint8_t bus, address, port;
  uint8_t speed; /* 0 unknown, low, full, high, super, super plus */
} wafer_usb_info_t;

/* A transfer that is under way belongs to the driver until it is done. */
typedef struct wafer_usb_transfer_t {
  uint8_t type;
  uint8_t request_type, request; /* of control */
  uint16_t value, index;
  uint8_t endpoint; /* with its direction */
  uint32_t timeout_ms, stream, packets;
  uint8_t* data; /* what is sent, or room for what comes */
  size_t size;
  size_t actual; /* once it is done */
  int status;
  void* own; /* for the driver */
} wafer_usb_transfer_t;

/* A grant of devices: those that are attached and fit. */
typedef struct wafer_usb_driver_t {
  /* The one with that index among them, to be given back; WAFER_USB_NOT_FOUND after the last. */
  int (*find)(void* context, unsigned index, void** device, wafer_usb_info_t* info);
  void (*give_back)(void* context, void* device);
  /* A configuration's descriptor with all that belongs to it, at most *size bytes. */
  int (*configuration)(void* context, void* device, unsigned select, uint8_t number, uint8_t* data,
                       size_t* size);
  int (*open)(void* context, void* device, void** handle);
  void (*close)(void* context, void* handle);
  int (*operate)(void* context, void* handle, wafer_usb_operation_t operation, unsigned value,
                 unsigned other, unsigned* result);
  /* Allocates streams of USB 3, or frees them if `count` is 0. NULL: there are none. */
  int (*streams)(void* context, void* handle, uint32_t count, const uint8_t* endpoints, size_t n);
  int (*submit)(void* context, void* handle, wafer_usb_transfer_t* transfer);
  int (*cancel)(void* context, void* handle, wafer_usb_transfer_t* transfer);
  /* Lets transfers go on, without waiting; whether this one is done. */
  bool (*done)(void* context, void* handle, wafer_usb_transfer_t* transfer);
} wafer_usb_driver_t;

/* ---- The board */

typedef enum wafer_device_kind_t {
  WAFER_DEVICE_I2C,
  WAFER_DEVICE_SPI,
  WAFER_DEVICE_DIGITAL,
  WAFER_DEVICE_ANALOG,
  WAFER_DEVICE_USB
} wafer_device_kind_t;

#define WAFER_I2C_ANY_ADDRESS 0xFFFF

/* A device, with what a guest may do with it. */
typedef struct wafer_device_t {
  wafer_device_kind_t kind;
  const char* name;   /* by which guests ask for it */
  const void* driver; /* the table of its kind */
  void* context;
  uint16_t address; /* I2C: the only one that answers, or WAFER_I2C_ANY_ADDRESS */
  uint8_t modes;    /* pins: WAFER_PIN_IN, WAFER_PIN_OUT or both */
  bool active_low;  /* pins: unless the guest says otherwise */
} wafer_device_t;

typedef struct wafer_devices_t {
  const wafer_device_t* list;
  size_t count;
  /* Waits for at least so many nanoseconds. */
  void (*delay)(void* context, uint64_t nanoseconds);
  /* Called while a guest waits for a pin: returns when something may have changed, after so many
   * nanoseconds at the latest. NULL: the host's own clock is waited for. */
  void (*idle)(void* context, uint64_t nanoseconds);
  void* context;
} wafer_devices_t;

/* Gives modules that import wasi:i2c, wasi:spi and wasi:gpio (by the canonical ABI's core
 * signatures) the devices of the table, and no others. With `module`, only
 * what it imports is defined; NULL: all functions, which take about 20 KB. The table and what it
 * names outlive the linker and all that is instantiated with it. Handles are shared by the
 * instances of the linker; those that are left are dropped with it. Errors: Usage if the linker has
 * one of the names already. */
WASM_API_EXTERN wafer_error_t* wafer_linker_define_devices(wafer_linker_t*, const wafer_devices_t*,
                                                           const wasm_module_t* module);

/* ---- Not in embedded builds */

/* Grants a device of this machine, as on the command line (docs/devices.md): `kind` is "i2c",
 * "spi", "gpio", "analog", "usb", or "device" for a board by its name. For components, and for
 * modules with wafer_linker_define_wasi. Errors: Usage, Io, Unsupported. */
WASM_API_EXTERN wafer_error_t* wafer_wasi_config_device(wafer_wasi_config_t*, const char* kind,
                                                        const char* grant);
/* Grants all devices of a board, which outlives what uses the config. */
WASM_API_EXTERN wafer_error_t* wafer_wasi_config_devices(wafer_wasi_config_t*,
                                                         const wafer_devices_t*);

/* ---- A board that is only simulated
 *
 * Its time passes only while somebody waits. It has:
 *   "sensor"   I2C, address 0x48: thermometer with the registers of a TMP102
 *   "eeprom"   I2C, address 0x50: 256 bytes, written in pages of 8
 *   "flash"    SPI: 16 KiB NOR flash, identified EF 40 0E
 *   "display"  SPI: keeps the text that is sent to it
 *   "button"   digital input with a pull-up, active low
 *   "led", "relay"  digital outputs; "pin": in and out
 *   "adc"      analog input, 12 bits; "dac": analog output, 8 bits
 *   1209:0001  USB: what is sent to endpoint 0x01 comes back from 0x81
 * While "relay" is on, the thermometer rises by 0.5 degrees each second, else it falls by 0.25.
 * "adc" tells the same temperature: 0 is -40 degrees, 4095 is 87.97. */
typedef struct wafer_simulated_board_t wafer_simulated_board_t;
WASM_API_EXTERN wafer_simulated_board_t* wafer_simulated_board_new(void);
WASM_API_EXTERN void wafer_simulated_board_delete(wafer_simulated_board_t*);
WASM_API_EXTERN const wafer_devices_t* wafer_simulated_board_devices(wafer_simulated_board_t*);
/* What surrounds the board. Temperatures are in 1/16 degrees. */
WASM_API_EXTERN void wafer_simulated_board_set_temperature(wafer_simulated_board_t*,
                                                           int sixteenths);
WASM_API_EXTERN int wafer_simulated_board_temperature(const wafer_simulated_board_t*);
/* Holds the button down for so long, after so long. */
WASM_API_EXTERN void wafer_simulated_board_press(wafer_simulated_board_t*, uint64_t after_ns,
                                                 uint64_t for_ns);
/* What the wire of a digital pin carries; false for other names. */
WASM_API_EXTERN bool wafer_simulated_board_level(const wafer_simulated_board_t*, const char* name);
/* What "display" shows, terminated; valid until it is written again. */
WASM_API_EXTERN const char* wafer_simulated_board_display(const wafer_simulated_board_t*);
/* How much time has passed. */
WASM_API_EXTERN uint64_t wafer_simulated_board_time(const wafer_simulated_board_t*);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
