// I2C of Linux, by i2c-dev (Documentation/i2c/dev-interface.rst).
#include <fcntl.h>

#include "base/descriptor.h"
#include "host/devices/board.h"
#include "host/devices/grant.h"
#include "host/status.h"

#if defined(__linux__)
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <sys/ioctl.h>

#include <algorithm>
#endif

namespace wafer::host {

#if defined(__linux__)

namespace {

// Failures by the numbers of Documentation/i2c/fault-codes.rst.
int failure(int error) {
  switch (error) {
    case ENXIO:
      return WAFER_I2C_NO_ACKNOWLEDGE_ADDRESS;
    case EREMOTEIO:
    case ENODEV:
      return WAFER_I2C_NO_ACKNOWLEDGE;
    case EAGAIN:
      return WAFER_I2C_ARBITRATION_LOSS;
    case EPROTO:
    case EBUSY:
    case ETIMEDOUT:
      return WAFER_I2C_BUS;
    case EOVERFLOW:
      return WAFER_I2C_OVERRUN;
    default:
      return WAFER_I2C_OTHER;
  }
}

class I2cBus final : public Board::Driver {
 public:
  I2cBus(UniqueFd fd, unsigned long functions) : fd_(std::move(fd)), functions_(functions) {}

  int transfer(uint16_t address, const wafer_i2c_message_t* messages, size_t count) {
    return functions_ & I2C_FUNC_I2C ? plain(address, messages, count)
                                     : smbus(address, messages, count);
  }

 private:
  int plain(uint16_t address, const wafer_i2c_message_t* messages, size_t count) {
    constexpr size_t kMost = I2C_RDWR_IOCTL_MAX_MSGS;
    if (count > kMost) return WAFER_I2C_OTHER;
    if (count == 0) return WAFER_I2C_OK;
    i2c_msg out[kMost];
    for (size_t i = 0; i < count; ++i) {
      if (messages[i].size > UINT16_MAX) return WAFER_I2C_OTHER;
      out[i] = {address, __u16(messages[i].read ? I2C_M_RD : 0), __u16(messages[i].size),
                messages[i].data};
      if (address > 0x7F) out[i].flags |= I2C_M_TEN;
    }
    i2c_rdwr_ioctl_data all = {out, __u32(count)};
    return ioctl(fd_.get(), I2C_RDWR, &all) < 0 ? failure(errno) : int(WAFER_I2C_OK);
  }

  // Of adapters that know nothing but SMBus: transactions that are such commands.
  int smbus(uint16_t address, const wafer_i2c_message_t* m, size_t count) {
    if (address > 0x7F) return WAFER_I2C_OTHER;
    if (ioctl(fd_.get(), I2C_SLAVE, long(address)) < 0) return failure(errno);
    if (count == 1 && m[0].read && m[0].size == 1) return command(true, 0, I2C_SMBUS_BYTE, m[0]);
    if (count == 1 && !m[0].read) {
      if (m[0].size == 0) return command(false, 0, I2C_SMBUS_QUICK, m[0]);
      if (m[0].size == 1) return command(false, m[0].data[0], I2C_SMBUS_BYTE, {});
      return data(false, m[0].data[0], {m[0].data + 1, m[0].size - 1, false});
    }
    if (count == 2 && !m[0].read && m[0].size == 1 && m[1].read && m[1].size > 0)
      return data(true, m[0].data[0], m[1]);
    return WAFER_I2C_OTHER;
  }
  int data(bool read, uint8_t reg, const wafer_i2c_message_t& m) {
    const unsigned long block =
        read ? I2C_FUNC_SMBUS_READ_I2C_BLOCK : I2C_FUNC_SMBUS_WRITE_I2C_BLOCK;
    if (m.size == 1) return command(read, reg, I2C_SMBUS_BYTE_DATA, m);
    if (m.size == 2 && !(functions_ & block)) return command(read, reg, I2C_SMBUS_WORD_DATA, m);
    if (m.size > I2C_SMBUS_BLOCK_MAX || !(functions_ & block)) return WAFER_I2C_OTHER;
    return command(read, reg, I2C_SMBUS_I2C_BLOCK_DATA, m);
  }
  int command(bool read, uint8_t reg, __u32 size, const wafer_i2c_message_t& m) {
    i2c_smbus_data bytes = {};
    uint8_t* const at = size == I2C_SMBUS_I2C_BLOCK_DATA ? bytes.block + 1 : bytes.block;
    bytes.block[0] = uint8_t(m.size);
    if (!read && m.size) std::copy_n(m.data, m.size, at);
    i2c_smbus_ioctl_data all = {__u8(read ? I2C_SMBUS_READ : I2C_SMBUS_WRITE), reg, size, &bytes};
    if (ioctl(fd_.get(), I2C_SMBUS, &all) < 0) return failure(errno);
    if (read) std::copy_n(at, m.size, m.data);
    return WAFER_I2C_OK;
  }

  UniqueFd fd_;
  const unsigned long functions_;
};

int transfer(void* context, uint16_t address, const wafer_i2c_message_t* messages, size_t count) {
  return static_cast<I2cBus*>(context)->transfer(address, messages, count);
}
constexpr wafer_i2c_driver_t kDriver = {transfer};

}  // namespace

Result<void> Board::add_i2c(std::string_view text) {
  WAFER_LET(grant, Grant::parse(text));
  uint16_t address = WAFER_I2C_ANY_ADDRESS;
  if (!grant.options.empty()) {
    const auto number = parse_number(grant.options[0]);
    if (grant.options.size() > 1 || !number || *number > 0x3FF)
      return Error(ErrorKind::Usage, "'" + grant.text + "' is not NAME=BUS[,ADDRESS]");
    address = uint16_t(*number);
  }
  const std::string path(grant.what);
  UniqueFd fd = take_opened(open(path.c_str(), O_RDWR | O_CLOEXEC));
  unsigned long functions = 0;
  if (!fd || ioctl(fd.get(), I2C_FUNCS, &functions) < 0) return io_error(path, Status::last());
  wafer_device_t entry = {WAFER_DEVICE_I2C, nullptr, &kDriver, nullptr, address, 0, false};
  return add_entry(entry, grant.name, std::make_unique<I2cBus>(std::move(fd), functions));
}

#else

Result<void> Board::add_i2c(std::string_view) {
  return Error(ErrorKind::Unsupported, "I2C needs Linux");
}

#endif

}  // namespace wafer::host
