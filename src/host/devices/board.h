// The devices of the machine that a guest is granted, as a board (wafer_devices.h).
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "wafer_devices.h"

namespace wafer::host {

// Grants are texts as on the command line (docs/cli.md), "NAME=WHAT[,OPTION...]". Errors: Usage
// for one that is none, or a name that its kind of device has already; Io if the device cannot be
// opened; Unsupported where the system has no such devices.
class Board {
 public:
  Board();
  ~Board();
  Board(const Board&) = delete;

  // A grant by its kind: the names of the functions below, and "device".
  Result<void> add(std::string_view kind, std::string_view grant);
  static constexpr const char* kKinds[] = {"i2c", "spi", "gpio", "analog", "usb", "device"};

  // NAME=BUS[,ADDRESS]: "/dev/i2c-1", and the one address that may be used.
  Result<void> add_i2c(std::string_view grant);
  // NAME=DEVICE[,hz=N][,mode=0..3][,bits=N][,lsb-first]: "/dev/spidev0.0".
  Result<void> add_spi(std::string_view grant);
  // NAME=CHIP:LINE[,in|out|in-out][,active-low][,pull-up|pull-down]: a chip by name or path, its
  // line by number or name.
  Result<void> add_gpio(std::string_view grant);
  // NAME=FILE[,in|out|in-out][,active-low][,max=N]: a file that has a number, as those of Linux'
  // industrial I/O ("/sys/bus/iio/devices/iio:device0/in_voltage0_raw").
  Result<void> add_analog(std::string_view grant);
  // VENDOR:PRODUCT or VENDOR:*, in hexadecimal: devices of USB, whenever they are attached.
  Result<void> add_usb(std::string_view grant);
  // All devices of another board, which `owner` keeps, or none if one cannot be; its way to wait
  // counts.
  Result<void> add(const wafer_devices_t& board, std::shared_ptr<void> owner = nullptr);
  // "sim": those of the simulated board.
  Result<void> add_device(std::string_view name);

  // As guests see it. Changes when something is added.
  const wafer_devices_t& devices() const { return table_; }

  // What the table's entries point to: a driver's context.
  class Driver {
   public:
    virtual ~Driver() = default;
  };

 private:
  using Adder = Result<void> (Board::*)(std::string_view);
  static const Adder kAdders[];
  Result<void> add_entry(wafer_device_t entry, std::string_view name,
                         std::unique_ptr<Driver> driver);

  std::vector<wafer_device_t> list_;
  std::deque<std::string> names_;
  std::vector<std::unique_ptr<Driver>> drivers_;
  std::vector<std::shared_ptr<void>> owners_;
  wafer_devices_t table_;
};

}  // namespace wafer::host
