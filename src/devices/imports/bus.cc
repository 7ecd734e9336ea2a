// wasi:i2c and wasi:spi.
#include "devices/imports/functions.h"

namespace wafer::devices {

namespace {

// variant operation { read(u64), write(list<u8>), ... } of either interface: the case at 0, what it
// has at 8.
constexpr uint32_t kOperation = 16, kOperationAlign = 8, kPayload = 8;
// variant operation-result: the case at 0, a list at 4.
constexpr uint32_t kOperationResult = 12;
// list<list<u8>>: pointer and length each.
constexpr uint32_t kList = 8;

struct Operation {
  uint8_t tag = 0;
  uint64_t size = 0;              // of read; of delay-ns, the time
  const uint8_t* data = nullptr;  // of a list
};

// False with a trap if it lies elsewhere than in memory, or has no such case.
bool read_operation(Call& c, uint32_t list, uint32_t i, uint8_t cases, Operation& out) {
  const uint8_t* const p = c.at(list + i * kOperation, kOperation, kOperationAlign);
  if (!p) return false;
  out = {p[0], 0, nullptr};
  if (out.tag >= cases) {
    c.fail("invalid variant discriminant");
    return false;
  }
  if (out.tag == 0) {
    out.size = load_le<uint64_t>(p + kPayload);
  } else if (out.tag == 3) {
    out.size = load_le<uint32_t>(p + kPayload);
  } else {
    out.size = load_le<uint32_t>(p + kPayload + 4);
    out.data = c.at(load_le<uint32_t>(p + kPayload), out.size);
    if (!out.data) return false;
  }
  return true;
}

// result<list<u8>, error-code> of wasi:i2c: 12 bytes; result<_, error-code>: 3. The code's own
// payload follows it.
void put_i2c(Out out, int status, uint32_t payload) {
  enum : uint8_t { kBus, kArbitrationLoss, kNoAcknowledge, kOverrun, kOther };
  out.put<uint8_t>(0, status != WAFER_I2C_OK);
  switch (status) {
    case WAFER_I2C_OK:
      return;
    case WAFER_I2C_BUS:
      return out.put(payload, kBus);
    case WAFER_I2C_ARBITRATION_LOSS:
      return out.put(payload, kArbitrationLoss);
    case WAFER_I2C_NO_ACKNOWLEDGE_ADDRESS:
    case WAFER_I2C_NO_ACKNOWLEDGE_DATA:
    case WAFER_I2C_NO_ACKNOWLEDGE:
      out.put(payload, kNoAcknowledge);
      return out.put(payload + 1, uint8_t(status - WAFER_I2C_NO_ACKNOWLEDGE_ADDRESS));
    case WAFER_I2C_OVERRUN:
      return out.put(payload, kOverrun);
    default:
      return out.put(payload, kOther);
  }
}
constexpr uint32_t kI2cList = 12, kI2cNone = 3;

// result<T, error> of wasi:spi: 16 bytes, what it has at 4; the text of `other` at 8.
void put_spi(Call& c, uint32_t result, int status, const char* other = kSpiFailed) {
  Out out(c, result, 16, 4);
  out.put<uint8_t>(0, status != WAFER_SPI_OK);
  if (!status) return;
  if (status > 0 && status < WAFER_SPI_OTHER) return out.put(4, uint8_t(status - 1));
  out.put(4, uint8_t(WAFER_SPI_OTHER - 1));
  out.put(8, c.copy(other, std::strlen(other)));
}

}  // namespace

// ---- wasi:i2c

void i2c_transaction(Call& c, uint32_t self, uint32_t address, uint32_t list, uint32_t count,
                     uint32_t result) {
  const I2c* const bus = c.get<I2c>(self, Type::I2c);
  if (!bus || !c.at(list, uint64_t(count) * kOperation, kOperationAlign)) return;
  Out out(c, result, kI2cList, 4);
  if (count > kMaxParts) return put_i2c(out, WAFER_I2C_OTHER, 4);
  uint64_t bytes = 0;
  uint32_t reads = 0;
  Operation o;
  for (uint32_t i = 0; i < count; ++i) {
    if (!read_operation(c, list, i, 2, o)) return;
    if (o.tag == 0) {
      if (o.size > kMaxTransfer) return put_i2c(out, WAFER_I2C_OTHER, 4);
      bytes += o.size;
      ++reads;
    }
  }
  const Buffer buffer(bytes);
  if (!buffer.data()) return put_i2c(out, WAFER_I2C_OTHER, 4);
  Vec<wafer_i2c_message_t> messages;
  messages.reserve(count);
  uint8_t* at = buffer.data();
  for (uint32_t i = 0; i < count; ++i) {
    if (!read_operation(c, list, i, 2, o)) return;
    const bool read = o.tag == 0;
    messages.push_back({read ? at : const_cast<uint8_t*>(o.data), size_t(o.size), read});
    if (read) at += o.size;
  }
  if (const int s = bus->transfer(uint16_t(address), messages.data(), messages.size()))
    return put_i2c(out, s, 4);
  const uint32_t lists = reads ? c.allocate(reads * kList, 4) : 4;
  if (c.failed()) return;
  Out each(c, lists, reads * kList, 4);
  uint32_t n = 0;
  for (const wafer_i2c_message_t& m : messages)
    if (m.read && !c.failed()) each.put(n++ * kList, c.copy(m.data, m.size));
  put_i2c(out, WAFER_I2C_OK, 4);
  out.put(4, Range{lists, reads});
}

void i2c_read(Call& c, uint32_t self, uint32_t address, uint64_t size, uint32_t result) {
  const I2c* const bus = c.get<I2c>(self, Type::I2c);
  if (!bus) return;
  Out out(c, result, kI2cList, 4);
  const Buffer buffer(size);
  if (!buffer.data()) return put_i2c(out, WAFER_I2C_OTHER, 4);
  const wafer_i2c_message_t m = {buffer.data(), buffer.size(), true};
  if (const int s = bus->transfer(uint16_t(address), &m, 1)) return put_i2c(out, s, 4);
  const Range bytes = c.copy(buffer.data(), buffer.size());
  put_i2c(out, WAFER_I2C_OK, 4);
  out.put(4, bytes);
}

void i2c_write(Call& c, uint32_t self, uint32_t address, uint32_t data, uint32_t size,
               uint32_t result) {
  const I2c* const bus = c.get<I2c>(self, Type::I2c);
  uint8_t* const bytes = bus ? c.at(data, size) : nullptr;
  if (!bytes) return;
  const wafer_i2c_message_t m = {bytes, size, false};
  put_i2c(Out(c, result, kI2cNone, 1), bus->transfer(uint16_t(address), &m, 1), 1);
}

void i2c_write_read(Call& c, uint32_t self, uint32_t address, uint32_t data, uint32_t size,
                    uint64_t read_size, uint32_t result) {
  const I2c* const bus = c.get<I2c>(self, Type::I2c);
  uint8_t* const bytes = bus ? c.at(data, size) : nullptr;
  if (!bytes) return;
  Out out(c, result, kI2cList, 4);
  const Buffer buffer(read_size);
  if (!buffer.data()) return put_i2c(out, WAFER_I2C_OTHER, 4);
  const wafer_i2c_message_t m[] = {{bytes, size, false}, {buffer.data(), buffer.size(), true}};
  if (const int s = bus->transfer(uint16_t(address), m, 2)) return put_i2c(out, s, 4);
  const Range read = c.copy(buffer.data(), buffer.size());
  put_i2c(out, WAFER_I2C_OK, 4);
  out.put(4, read);
}

void delay_delay_ns(Call& c, uint32_t self, uint32_t ns) {
  if (c.find(self, Type::Delay)) c.wait(ns);
}

// option<i2c>: 8 bytes.
void open_i2c(Call& c, uint32_t name, uint32_t size, uint32_t result) {
  const std::string_view text = c.text({name, size});
  if (c.failed()) return;
  const wafer_device_t* const device = c.context.guest.find(WAFER_DEVICE_I2C, text);
  Out out(c, result, 8, 4);
  out.put<uint8_t>(0, device != nullptr);
  if (device) out.put<uint32_t>(4, c.add({Type::I2c, I2c{device}}));
}

uint32_t get_delay(Call& c) { return c.add({Type::Delay, std::monostate()}); }

// ---- wasi:spi

void open_spi(Call& c, uint32_t name, uint32_t size, uint32_t result) {
  const std::string_view text = c.text({name, size});
  if (c.failed()) return;
  const wafer_device_t* const device = c.context.guest.find(WAFER_DEVICE_SPI, text);
  if (!device) return put_spi(c, result, WAFER_SPI_OTHER, kSpiNotGranted);
  put_spi(c, result, WAFER_SPI_OK);
  Out(c, result, 16, 4).put<uint32_t>(4, c.add({Type::Spi, Spi{device}}));
}

namespace {

// A transfer of one step that reads.
void spi_exchange(Call& c, const Spi& spi, const uint8_t* data, uint64_t size, uint32_t result) {
  const Buffer in(size);
  if (!in.data()) return put_spi(c, result, WAFER_SPI_OTHER);
  const wafer_spi_step_t step = {data, in.data(), in.size(), 0};
  if (const int s = spi.transfer(&step, 1)) return put_spi(c, result, s);
  const Range bytes = c.copy(in.data(), in.size());
  put_spi(c, result, WAFER_SPI_OK);
  Out(c, result, 16, 4).put(4, bytes);
}

}  // namespace

void spi_read(Call& c, uint32_t self, uint64_t size, uint32_t result) {
  if (const Spi* const spi = c.get<Spi>(self, Type::Spi))
    spi_exchange(c, *spi, nullptr, size, result);
}

void spi_transfer(Call& c, uint32_t self, uint32_t data, uint32_t size, uint32_t result) {
  const Spi* const spi = c.get<Spi>(self, Type::Spi);
  if (const uint8_t* const bytes = spi ? c.at(data, size) : nullptr)
    spi_exchange(c, *spi, bytes, size, result);
}

// result<error>, where the good case has the payload. What is stored is right for result<_, error>
// too, which was meant.
void spi_write(Call& c, uint32_t self, uint32_t data, uint32_t size, uint32_t result) {
  const Spi* const spi = c.get<Spi>(self, Type::Spi);
  const uint8_t* const bytes = spi ? c.at(data, size) : nullptr;
  if (!bytes) return;
  const wafer_spi_step_t step = {bytes, nullptr, size, 0};
  const int status = spi->transfer(&step, 1);
  put_spi(c, result, status, "");
  if (status) return;
  Out out(c, result, 16, 4);
  out.put(4, uint8_t(WAFER_SPI_OTHER - 1));
  out.put(8, Range{1, 0});
}

void spi_transaction(Call& c, uint32_t self, uint32_t list, uint32_t count, uint32_t result) {
  enum : uint8_t { kRead, kWrite, kTransfer, kDelay };  // of either variant
  const Spi* const spi = c.get<Spi>(self, Type::Spi);
  if (!spi || !c.at(list, uint64_t(count) * kOperation, kOperationAlign)) return;
  if (count > kMaxParts) return put_spi(c, result, WAFER_SPI_OTHER);
  uint64_t bytes = 0;
  Operation o;
  for (uint32_t i = 0; i < count; ++i) {
    if (!read_operation(c, list, i, 4, o)) return;
    if (o.tag == kRead || o.tag == kTransfer) {
      if (o.size > kMaxTransfer) return put_spi(c, result, WAFER_SPI_OTHER);
      bytes += o.size;
    }
  }
  const Buffer buffer(bytes);
  if (!buffer.data()) return put_spi(c, result, WAFER_SPI_OTHER);
  Vec<wafer_spi_step_t> steps;
  Vec<uint8_t> tags;
  steps.reserve(count);
  tags.reserve(count);
  uint8_t* at = buffer.data();
  for (uint32_t i = 0; i < count; ++i) {
    if (!read_operation(c, list, i, 4, o)) return;
    const bool reads = o.tag == kRead || o.tag == kTransfer;
    if (o.tag == kDelay)
      steps.push_back({nullptr, nullptr, 0, uint32_t(o.size)});
    else
      steps.push_back({o.data, reads ? at : nullptr, size_t(o.size), 0});
    if (reads) at += o.size;
    tags.push_back(o.tag);
  }
  if (const int s = spi->transfer(steps.data(), steps.size())) return put_spi(c, result, s);
  const uint32_t results = count ? c.allocate(count * kOperationResult, 4) : 4;
  if (c.failed()) return;
  Out each(c, results, count * kOperationResult, 4);
  for (uint32_t i = 0; i < count && !c.failed(); ++i) {
    each.put(i * kOperationResult, tags[i]);
    if (steps[i].in) each.put(i * kOperationResult + 4, c.copy(steps[i].in, steps[i].size));
  }
  put_spi(c, result, WAFER_SPI_OK);
  Out(c, result, 16, 4).put(4, Range{results, count});
}

}  // namespace wafer::devices
