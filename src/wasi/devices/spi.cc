// wasi:spi.
#include "wasi/devices/bindings.h"
#include "wasi/devices/host.h"

namespace wafer::wasi::devices::spi_spi {

class SpiDevice final : public Object {
 public:
  explicit SpiDevice(const wafer_device_t* device) : spi{device} {}
  const dev::Spi spi;
};

namespace {

using Bytes = std::vector<uint8_t>;

Err<Error> failed(int status) {
  static_assert(int(Error::Tag::Overrun) == WAFER_SPI_OVERRUN - 1 &&
                int(Error::Tag::ModeFault) == WAFER_SPI_MODE_FAULT - 1 &&
                int(Error::Tag::FrameFormat) == WAFER_SPI_FRAME_FORMAT - 1 &&
                int(Error::Tag::ChipSelectFault) == WAFER_SPI_CHIP_SELECT_FAULT - 1);
  if (status < 0 || status >= WAFER_SPI_OTHER) return Err{Error::of_other(dev::kSpiFailed)};
  Error error;
  error.tag = Error::Tag(status - 1);
  return Err{std::move(error)};
}

}  // namespace

Expected<Own<SpiDevice>, Error> open(Host& host, std::string name) {
  const wafer_device_t* const device = host.guest.find(WAFER_DEVICE_SPI, name);
  if (!device) return Err{Error::of_other(dev::kSpiNotGranted)};
  return Own<SpiDevice>::make(device);
}

Expected<Bytes, Error> spi_device_read(Host&, SpiDevice& self, uint64_t len) {
  if (len > dev::kMaxTransfer) return failed(WAFER_SPI_OTHER);
  Bytes in(static_cast<size_t>(len));
  const wafer_spi_step_t step = {nullptr, in.data(), in.size(), 0};
  if (const int s = self.spi.transfer(&step, 1)) return failed(s);
  return in;
}

// The draft says `result<error>`: it is the good case that has the payload, which then says
// nothing.
Expected<Error, Unit> spi_device_write(Host&, SpiDevice& self, std::span<const uint8_t> data) {
  const wafer_spi_step_t step = {data.data(), nullptr, data.size(), 0};
  if (self.spi.transfer(&step, 1)) return Err{Unit{}};
  return Error::of_other("");
}

Expected<Bytes, Error> spi_device_transfer(Host&, SpiDevice& self, std::span<const uint8_t> from) {
  Bytes data(from.begin(), from.end());
  const wafer_spi_step_t step = {data.data(), data.data(), data.size(), 0};
  if (const int s = self.spi.transfer(&step, 1)) return failed(s);
  return data;
}

Expected<std::vector<OperationResult>, Error> spi_device_transaction(
    Host&, SpiDevice& self, std::vector<Operation> operations) {
  std::vector<OperationResult> results;
  results.reserve(operations.size());  // they stay where they are
  std::vector<wafer_spi_step_t> steps;
  uint64_t total = 0;
  for (Operation& o : operations) {
    switch (o.tag) {
      case Operation::Tag::Read: {
        if (*o.read > dev::kMaxTransfer || (total += *o.read) > dev::kMaxTransfer)
          return failed(WAFER_SPI_OTHER);
        results.push_back(OperationResult::of_read(Bytes(size_t(*o.read))));
        Bytes& in = *results.back().read;
        steps.push_back({nullptr, in.data(), in.size(), 0});
        break;
      }
      case Operation::Tag::Write:
        results.emplace_back().tag = OperationResult::Tag::Write;
        steps.push_back({o.write->data(), nullptr, o.write->size(), 0});
        break;
      case Operation::Tag::Transfer: {
        results.push_back(OperationResult::of_transfer(*std::move(o.transfer)));
        Bytes& both = *results.back().transfer;
        steps.push_back({both.data(), both.data(), both.size(), 0});
        break;
      }
      case Operation::Tag::DelayNs:
        results.emplace_back().tag = OperationResult::Tag::Delay;
        steps.push_back({nullptr, nullptr, 0, *o.delay_ns});
        break;
    }
  }
  if (const int s = self.spi.transfer(steps.data(), steps.size())) return failed(s);
  return results;
}

}  // namespace wafer::wasi::devices::spi_spi
