// wasi:i2c, and wafer:devices/i2c, which gives its handles.
#include "wasi/devices/bindings.h"
#include "wasi/devices/host.h"

namespace wafer::wasi::devices {

namespace i2c_i2c {

class I2c final : public Object {
 public:
  explicit I2c(const wafer_device_t* device) : bus{device} {}
  const dev::I2c bus;
};

namespace {

using Bytes = std::vector<uint8_t>;

Err<ErrorCode> failed(int status) {
  ErrorCode code;
  const auto no_acknowledge = [](NoAcknowledgeSource source) {
    return Err{ErrorCode::of_no_acknowledge(source)};
  };
  switch (status) {
    case WAFER_I2C_BUS:
      code.tag = ErrorCode::Tag::Bus;
      break;
    case WAFER_I2C_ARBITRATION_LOSS:
      code.tag = ErrorCode::Tag::ArbitrationLoss;
      break;
    case WAFER_I2C_NO_ACKNOWLEDGE_ADDRESS:
      return no_acknowledge(NoAcknowledgeSource::Address);
    case WAFER_I2C_NO_ACKNOWLEDGE_DATA:
      return no_acknowledge(NoAcknowledgeSource::Data);
    case WAFER_I2C_NO_ACKNOWLEDGE:
      return no_acknowledge(NoAcknowledgeSource::Unknown);
    case WAFER_I2C_OVERRUN:
      code.tag = ErrorCode::Tag::Overrun;
      break;
    default:
      code.tag = ErrorCode::Tag::Other;
  }
  return Err{std::move(code)};
}

wafer_i2c_message_t message(Bytes& bytes, bool read) { return {bytes.data(), bytes.size(), read}; }
// What is written is not changed by a driver.
wafer_i2c_message_t written(std::span<const uint8_t> bytes) {
  return {const_cast<uint8_t*>(bytes.data()), bytes.size(), false};
}

}  // namespace

Expected<std::vector<Bytes>, ErrorCode> i2c_transaction(Host&, I2c& self, Address address,
                                                        std::vector<Operation> operations) {
  std::vector<Bytes> reads;
  reads.reserve(operations.size());  // they stay where they are
  std::vector<wafer_i2c_message_t> messages;
  uint64_t total = 0;
  for (Operation& o : operations) {
    const bool read = o.tag == Operation::Tag::Read;
    if (read) {
      if (*o.read > dev::kMaxTransfer || (total += *o.read) > dev::kMaxTransfer)
        return failed(WAFER_I2C_OTHER);
      reads.emplace_back(size_t(*o.read));
    }
    messages.push_back(message(read ? reads.back() : *o.write, read));
  }
  if (const int s = self.bus.transfer(address, messages.data(), messages.size())) return failed(s);
  return reads;
}

Expected<Bytes, ErrorCode> i2c_read(Host&, I2c& self, Address address, uint64_t len) {
  if (len > dev::kMaxTransfer) return failed(WAFER_I2C_OTHER);
  Bytes bytes(static_cast<size_t>(len));
  const wafer_i2c_message_t m = message(bytes, true);
  if (const int s = self.bus.transfer(address, &m, 1)) return failed(s);
  return bytes;
}

Expected<Unit, ErrorCode> i2c_write(Host&, I2c& self, Address address,
                                    std::span<const uint8_t> data) {
  const wafer_i2c_message_t m = written(data);
  if (const int s = self.bus.transfer(address, &m, 1)) return failed(s);
  return Unit{};
}

Expected<Bytes, ErrorCode> i2c_write_read(Host&, I2c& self, Address address,
                                          std::span<const uint8_t> write, uint64_t read_len) {
  if (read_len > dev::kMaxTransfer) return failed(WAFER_I2C_OTHER);
  Bytes bytes(static_cast<size_t>(read_len));
  const wafer_i2c_message_t m[] = {written(write), message(bytes, true)};
  if (const int s = self.bus.transfer(address, m, 2)) return failed(s);
  return bytes;
}

}  // namespace i2c_i2c

namespace i2c_delay {

class Delay final : public Object {};

void delay_delay_ns(Host& host, Delay&, uint32_t ns, Reply<Unit> reply) { host.delay(ns, reply); }

}  // namespace i2c_delay

namespace devices_i2c {

std::optional<Own<I2c>> open(Host& host, std::string name) {
  const wafer_device_t* const device = host.guest.find(WAFER_DEVICE_I2C, name);
  if (!device) return std::nullopt;
  return Own<I2c>::make(device);
}

Own<Delay> get_delay(Host&) { return Own<Delay>::make(); }

}  // namespace devices_i2c

}  // namespace wafer::wasi::devices
