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

enum : uint8_t { kRead, kWrite, kTransfer, kDelay };  // of wasi:spi, which has those of wasi:i2c

struct Operation {
  uint8_t tag;
  uint32_t size;        // of delay-ns, the time
  const uint8_t* data;  // of a list
  bool reads() const { return tag == kRead || tag == kTransfer; }
};

// Reads a transaction's operations of `cases` kinds, each once, as other threads of the guest may
// change them meanwhile. `bytes` is how many are read by them; more than a transaction may move if
// there is too much of anything. False with a trap if one lies elsewhere than in memory, or has no
// such case.
bool read_operations(Call& c, uint32_t list, uint32_t count, uint8_t cases, Vec<Operation>& out,
                     uint64_t& bytes) {
  constexpr uint64_t kTooMuch = kMaxTransfer + 1;
  const uint8_t* p = c.at(list, uint64_t(count) * kOperation, kOperationAlign);
  if (!p) return false;
  bytes = count > kMaxParts ? kTooMuch : 0;
  if (bytes) return true;
  out.reserve(count);
  for (uint32_t i = 0; i < count; ++i, p += kOperation) {
    Operation o = {*p, load_le<uint32_t>(p + kPayload), nullptr};
    if (o.tag >= cases) {
      c.fail("invalid variant discriminant");
      return false;
    }
    if (o.tag == kRead) {
      const auto size = load_le<uint64_t>(p + kPayload);
      if (size > kMaxTransfer) {
        bytes = kTooMuch;
        return true;
      }
      o.size = uint32_t(size);
    } else if (o.tag != kDelay) {
      const uint32_t address = o.size;
      o.size = load_le<uint32_t>(p + kPayload + 4);
      o.data = c.at(address, o.size);
      if (!o.data) return false;
      if (o.tag == kTransfer && o.size > kMaxTransfer) {
        bytes = kTooMuch;
        return true;
      }
    }
    if (o.reads()) bytes += o.size;
    out.push_back(o);
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
  Vec<Operation> operations;
  uint64_t bytes = 0;
  if (!bus || !read_operations(c, list, count, kWrite + 1, operations, bytes)) return;
  Out out(c, result, kI2cList, 4);
  const Buffer buffer(bytes);
  if (!buffer.data()) return put_i2c(out, WAFER_I2C_OTHER, 4);
  Vec<wafer_i2c_message_t> messages;
  messages.reserve(count);
  uint32_t reads = 0;
  uint8_t* at = buffer.data();
  for (const Operation& o : operations) {
    const bool read = o.reads();
    messages.push_back({read ? at : const_cast<uint8_t*>(o.data), o.size, read});
    if (!read) continue;
    at += o.size;
    ++reads;
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
  const Spi* const spi = c.get<Spi>(self, Type::Spi);
  Vec<Operation> operations;
  uint64_t bytes = 0;
  if (!spi || !read_operations(c, list, count, kDelay + 1, operations, bytes)) return;
  const Buffer buffer(bytes);
  if (!buffer.data()) return put_spi(c, result, WAFER_SPI_OTHER);
  Vec<wafer_spi_step_t> steps;
  steps.reserve(count);
  uint8_t* at = buffer.data();
  for (const Operation& o : operations) {
    if (o.tag == kDelay)
      steps.push_back({nullptr, nullptr, 0, o.size});
    else
      steps.push_back({o.data, o.reads() ? at : nullptr, o.size, 0});
    if (o.reads()) at += o.size;
  }
  if (const int s = spi->transfer(steps.data(), steps.size())) return put_spi(c, result, s);
  const uint32_t results = count ? c.allocate(count * kOperationResult, 4) : 4;
  if (c.failed()) return;
  Out each(c, results, count * kOperationResult, 4);
  for (uint32_t i = 0; i < count && !c.failed(); ++i) {
    each.put(i * kOperationResult, operations[i].tag);  // its result's too
    if (steps[i].in) each.put(i * kOperationResult + 4, c.copy(steps[i].in, steps[i].size));
  }
  put_spi(c, result, WAFER_SPI_OK);
  Out(c, result, 16, 4).put(4, Range{results, count});
}

}  // namespace wafer::devices
