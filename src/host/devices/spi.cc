// SPI of Linux, by spidev (Documentation/spi/spidev.rst).
#include <fcntl.h>

#include "base/descriptor.h"
#include "host/devices/board.h"
#include "host/devices/grant.h"
#include "host/status.h"

#if defined(__linux__)
#include <linux/spi/spidev.h>
#include <sys/ioctl.h>
#endif

namespace wafer::host {

#if defined(__linux__)

namespace {

class SpiDevice final : public Board::Driver {
 public:
  explicit SpiDevice(UniqueFd fd) : fd_(std::move(fd)) {}

  int transfer(const wafer_spi_step_t* steps, size_t count) {
    std::vector<spi_ioc_transfer> out;
    for (size_t i = 0; i < count; ++i) {
      spi_ioc_transfer t = {};
      if (steps[i].delay_ns) {
        // Microseconds, in 16 bits.
        uint32_t left = uint32_t((uint64_t(steps[i].delay_ns) + 999) / 1000);
        for (; left; left -= t.delay_usecs) {
          t.delay_usecs = uint16_t(left < UINT16_MAX ? left : UINT16_MAX);
          out.push_back(t);
        }
        continue;
      }
      t.tx_buf = reinterpret_cast<uintptr_t>(steps[i].out);
      t.rx_buf = reinterpret_cast<uintptr_t>(steps[i].in);
      t.len = uint32_t(steps[i].size);
      if (t.len) out.push_back(t);
    }
    if (out.empty()) return WAFER_SPI_OK;
    // What the number of an ioctl has room for.
    if (out.size() * sizeof(spi_ioc_transfer) >= 1 << _IOC_SIZEBITS) return WAFER_SPI_OTHER;
    const unsigned long request = _IOC(_IOC_WRITE, SPI_IOC_MAGIC, 0, SPI_MSGSIZE(out.size()));
    return ioctl(fd_.get(), request, out.data()) < 0 ? WAFER_SPI_OTHER : WAFER_SPI_OK;
  }

 private:
  UniqueFd fd_;
};

int transfer(void* context, const wafer_spi_step_t* steps, size_t count) {
  return static_cast<SpiDevice*>(context)->transfer(steps, count);
}
constexpr wafer_spi_driver_t kDriver = {transfer};

}  // namespace

Result<void> Board::add_spi(std::string_view text) {
  WAFER_LET(grant, Grant::parse(text));
  WAFER_LET(hz, grant.take_number("hz", UINT32_MAX));
  WAFER_LET(mode, grant.take_number("mode", 3));
  WAFER_LET(bits, grant.take_number("bits", 32));
  const bool lsb_first = grant.take("lsb-first");
  WAFER_TRY(grant.done());
  const std::string path(grant.what);
  UniqueFd fd = take_opened(open(path.c_str(), O_RDWR | O_CLOEXEC));
  uint8_t set_mode = 0;
  bool ok = fd && ioctl(fd.get(), SPI_IOC_RD_MODE, &set_mode) >= 0;
  if (ok && (mode || lsb_first)) {
    if (mode) set_mode = uint8_t((set_mode & ~3) | *mode);
    if (lsb_first) set_mode |= SPI_LSB_FIRST;
    ok = ioctl(fd.get(), SPI_IOC_WR_MODE, &set_mode) >= 0;
  }
  if (ok && hz) {
    const auto speed = uint32_t(*hz);
    ok = ioctl(fd.get(), SPI_IOC_WR_MAX_SPEED_HZ, &speed) >= 0;
  }
  if (ok && bits) {
    const auto word = uint8_t(*bits);
    ok = ioctl(fd.get(), SPI_IOC_WR_BITS_PER_WORD, &word) >= 0;
  }
  if (!ok) return io_error(path, Status::last());
  wafer_device_t entry = {WAFER_DEVICE_SPI, nullptr, &kDriver, nullptr, 0, 0, false};
  return add_entry(entry, grant.name, std::make_unique<SpiDevice>(std::move(fd)));
}

#else

Result<void> Board::add_spi(std::string_view) {
  return Error(ErrorKind::Unsupported, "SPI needs Linux");
}

#endif

}  // namespace wafer::host
