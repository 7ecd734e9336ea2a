// component:usb.
#include <algorithm>
#include <chrono>
#include <memory>
#include <span>
#include <thread>

#include "host/loop.h"
#include "wasi/devices/bindings.h"
#include "wasi/devices/host.h"

namespace wafer::wasi::devices {

namespace usb_device {

namespace {

// The most that a transfer may move.
constexpr uint32_t kMostBytes = 1 << 20;

// A device that was found, which is given back when nobody knows it any more.
struct Found {
  const wafer_device_t* grant;
  void* device;
  wafer_usb_info_t info;

  Found(const wafer_device_t* g, void* d, const wafer_usb_info_t& i)
      : grant(g), device(d), info(i) {}
  Found(const Found&) = delete;
  ~Found() { driver().give_back(grant->context, device); }
  const wafer_usb_driver_t& driver() const {
    return *static_cast<const wafer_usb_driver_t*>(grant->driver);
  }
  uint16_t word(size_t at) const {
    return uint16_t(info.descriptor[at] | info.descriptor[at + 1] << 8);
  }
};
using FoundRef = std::shared_ptr<const Found>;

// An open device: as long as its handle or one of its transfers.
struct Opened {
  FoundRef found;
  void* handle;
  bool closed = false;  // for the guest

  Opened(FoundRef f, void* h) : found(std::move(f)), handle(h) {}
  Opened(const Opened&) = delete;
  ~Opened() { found->driver().close(found->grant->context, handle); }
};

// Numbers of buses and devices are a driver's own.
bool same_device(const Found& a, const Found& b) {
  return a.grant->driver == b.grant->driver && a.info.bus == b.info.bus &&
         a.info.address == b.info.address;
}

std::vector<FoundRef> find_all(Host& host) {
  std::vector<FoundRef> all;
  host.guest.each(WAFER_DEVICE_USB, [&](const wafer_device_t& grant) {
    const auto& driver = *static_cast<const wafer_usb_driver_t*>(grant.driver);
    void* device = nullptr;
    wafer_usb_info_t info = {};
    for (unsigned i = 0; driver.find(grant.context, i, &device, &info) == WAFER_USB_OK; ++i) {
      auto found = std::make_shared<Found>(&grant, device, info);
      // Two grants may fit the same device.
      const auto same = [&](const FoundRef& f) { return same_device(*f, *found); };
      if (std::none_of(all.begin(), all.end(), same)) all.push_back(std::move(found));
    }
  });
  return all;
}

LibusbError error_of(int status) {
  static_assert(int(LibusbError::Other) == WAFER_USB_OTHER - 1);
  return status > 0 && status < WAFER_USB_OTHER ? LibusbError(status - 1) : LibusbError::Other;
}
Err<LibusbError> failed(int status) { return Err{error_of(status)}; }

// Descriptors follow one another, each with its length and type; what is no part of WIT's records
// is skipped.
Expected<ConfigurationDescriptor, LibusbError> parse(std::span<const uint8_t> bytes) {
  enum : uint8_t { kConfiguration = 2, kInterface = 4, kEndpoint = 5 };
  const auto word = [&](size_t at) { return uint16_t(bytes[at] | bytes[at + 1] << 8); };
  if (bytes.size() < 9 || bytes[1] != kConfiguration) return failed(WAFER_USB_IO);
  ConfigurationDescriptor c;
  c.length = bytes[0];
  c.descriptor_type = bytes[1];
  c.total_length = word(2);
  c.configuration_value = bytes[5];
  c.configuration_index = bytes[6];
  c.attributes = bytes[7];
  c.max_power = bytes[8];
  const size_t end = std::min<size_t>(bytes.size(), c.total_length);
  for (size_t at = bytes[0]; at + 2 <= end;) {
    const uint8_t length = bytes[at], type = bytes[at + 1];
    if (length < 2 || length > end - at) return failed(WAFER_USB_IO);
    if (type == kInterface && length >= 9) {
      InterfaceDescriptor& i = c.interfaces.emplace_back();
      i.length = length;
      i.descriptor_type = type;
      i.interface_number = bytes[at + 2];
      i.alternate_setting = bytes[at + 3];
      i.interface_class = bytes[at + 5];
      i.interface_subclass = bytes[at + 6];
      i.interface_protocol = bytes[at + 7];
      i.interface_index = bytes[at + 8];
    } else if (type == kEndpoint && length >= 7 && !c.interfaces.empty()) {
      EndpointDescriptor& e = c.interfaces.back().endpoints.emplace_back();
      e.length = length;
      e.descriptor_type = type;
      e.endpoint_address = bytes[at + 2];
      e.attributes = bytes[at + 3];
      e.max_packet_size = word(at + 4);
      e.interval = bytes[at + 6];
      if (length >= 9) {
        e.refresh = bytes[at + 7];
        e.synch_address = bytes[at + 8];
      }
    }
    at += length;
  }
  return c;
}

}  // namespace

class UsbDevice final : public Object {
 public:
  explicit UsbDevice(FoundRef f) : found(std::move(f)) {}
  const FoundRef found;
};

class DeviceHandle final : public Object {
 public:
  explicit DeviceHandle(std::shared_ptr<Opened> o) : opened(std::move(o)) {}
  ~DeviceHandle() override { opened->closed = true; }
  const std::shared_ptr<Opened> opened;
};

}  // namespace usb_device

namespace usb_transfers {

using namespace usb_device;

class Transfer final : public Object {
 public:
  enum class State : uint8_t { New, Submitted, Done };
  // What goes on after the guest has dropped it.
  struct Shared {
    std::shared_ptr<Opened> opened;
    wafer_usb_transfer_t transfer = {};
    std::vector<uint8_t> bytes;
    uint32_t room = 0;
    State state = State::New;

    const wafer_usb_driver_t& driver() const { return opened->found->driver(); }
    void* context() const { return opened->found->grant->context; }
    bool is_in() const {
      return (transfer.type == WAFER_USB_CONTROL ? transfer.request_type : transfer.endpoint) &
             0x80;
    }
    bool done() {
      if (state == State::Submitted && driver().done(context(), opened->handle, &transfer))
        state = State::Done;
      return state != State::Submitted;
    }
    ~Shared() {
      if (done()) return;
      // The driver has our buffer until it is done with it.
      driver().cancel(context(), opened->handle, &transfer);
      while (!done()) std::this_thread::sleep_for(std::chrono::nanoseconds(dev::kPollInterval));
    }
  };
  explicit Transfer(std::shared_ptr<Shared> s) : shared(std::move(s)) {}
  const std::shared_ptr<Shared> shared;
};

namespace {

class TransferDone final : public host::Pollable {
 public:
  TransferDone(Host& host, std::shared_ptr<Transfer::Shared> t) : host_(host), t_(std::move(t)) {}
  bool ready() override { return t_->done(); }
  host::WaitRef wait(host::Loop& loop, Function<void()> then) override {
    if (host_.guest.has_own_time()) {
      host_.guest.idle(dev::kPollInterval);
      return host::always_ready()->wait(loop, std::move(then));
    }
    return host::timer(host::monotonic_now() + dev::kPollInterval)->wait(loop, std::move(then));
  }

 private:
  Host& host_;
  const std::shared_ptr<Transfer::Shared> t_;
};

}  // namespace

Expected<Unit, LibusbError> transfer_submit_transfer(Host&, Transfer& self,
                                                     std::span<const uint8_t> data) {
  Transfer::Shared& t = *self.shared;
  if (t.opened->closed) return failed(WAFER_USB_NO_DEVICE);
  if (t.state == Transfer::State::Submitted) return failed(WAFER_USB_BUSY);
  if (data.size() > kMostBytes) return failed(WAFER_USB_NO_MEM);
  t.bytes.assign(data.begin(), data.end());
  if (t.is_in()) t.bytes.assign(t.room, 0);
  t.transfer.data = t.bytes.data();
  t.transfer.size = t.bytes.size();
  t.transfer.actual = 0;
  t.transfer.status = WAFER_USB_OK;
  if (const int s = t.driver().submit(t.context(), t.opened->handle, &t.transfer)) return failed(s);
  t.state = Transfer::State::Submitted;
  return Unit{};
}

Expected<Unit, LibusbError> transfer_cancel_transfer(Host&, Transfer& self) {
  Transfer::Shared& t = *self.shared;
  if (t.done()) return failed(WAFER_USB_NOT_FOUND);
  if (const int s = t.driver().cancel(t.context(), t.opened->handle, &t.transfer)) return failed(s);
  return Unit{};
}

void await_transfer(Host& host, Own<Transfer> xfer,
                    Reply<Expected<std::vector<uint8_t>, LibusbError>> reply) {
  const std::shared_ptr<Transfer::Shared> t = xfer->shared;
  if (t->state == Transfer::State::New) return reply(failed(WAFER_USB_NOT_FOUND));
  const auto pending =
      host.system.when_ready({std::make_shared<TransferDone>(host, t)}, [t, reply] {
        if (t->transfer.status) return reply(failed(t->transfer.status));
        std::vector<uint8_t> got;
        if (t->is_in()) {
          got = std::move(t->bytes);
          got.resize(std::min(got.size(), t->transfer.actual));
        }
        reply(std::move(got));
      });
  reply.on_cancel([&host, pending] { host.system.forget(pending); });
}

}  // namespace usb_transfers

namespace usb_device {

namespace {

using Done = Expected<Unit, LibusbError>;

Expected<ConfigurationDescriptor, LibusbError> configuration(const UsbDevice& self, unsigned select,
                                                             uint8_t number) {
  const Found& f = *self.found;
  // Most drivers fill little of it.
  const auto bytes = std::make_unique_for_overwrite<uint8_t[]>(UINT16_MAX);
  size_t size = UINT16_MAX;
  if (const int s =
          f.driver().configuration(f.grant->context, f.device, select, number, bytes.get(), &size))
    return failed(s);
  return parse({bytes.get(), std::min<size_t>(size, UINT16_MAX)});
}

int operate(DeviceHandle& self, wafer_usb_operation_t operation, unsigned value, unsigned other,
            unsigned* result) {
  const Opened& o = *self.opened;
  if (o.closed) return WAFER_USB_NO_DEVICE;
  return o.found->driver().operate(o.found->grant->context, o.handle, operation, value, other,
                                   result);
}
Done act(DeviceHandle& self, wafer_usb_operation_t operation, unsigned value = 0,
         unsigned other = 0) {
  unsigned ignored = 0;
  if (const int s = operate(self, operation, value, other, &ignored)) return failed(s);
  return Unit{};
}

Done streams(DeviceHandle& self, uint32_t count, std::span<const uint8_t> endpoints) {
  const Opened& o = *self.opened;
  if (o.closed) return failed(WAFER_USB_NO_DEVICE);
  constexpr size_t kMostEndpoints = 30;
  if (endpoints.size() > kMostEndpoints) return failed(WAFER_USB_INVALID_PARAM);
  const auto f = o.found->driver().streams;
  if (!f) return failed(WAFER_USB_NOT_SUPPORTED);
  if (const int s = f(o.found->grant->context, o.handle, count, endpoints.data(), endpoints.size()))
    return failed(s);
  return Unit{};
}

}  // namespace

Expected<Own<DeviceHandle>, LibusbError> usb_device_open(Host&, UsbDevice& self) {
  const Found& f = *self.found;
  void* handle = nullptr;
  if (const int s = f.driver().open(f.grant->context, f.device, &handle)) return failed(s);
  return Own<DeviceHandle>::make(std::make_shared<Opened>(self.found, handle));
}
Expected<ConfigurationDescriptor, LibusbError> usb_device_get_configuration_descriptor(
    Host&, UsbDevice& self, uint8_t config_index) {
  return configuration(self, WAFER_USB_BY_INDEX, config_index);
}
Expected<ConfigurationDescriptor, LibusbError> usb_device_get_configuration_descriptor_by_value(
    Host&, UsbDevice& self, uint8_t config_value) {
  return configuration(self, WAFER_USB_BY_VALUE, config_value);
}
Expected<ConfigurationDescriptor, LibusbError> usb_device_get_active_configuration_descriptor(
    Host&, UsbDevice& self) {
  return configuration(self, WAFER_USB_ACTIVE, 0);
}

Expected<uint8_t, LibusbError> device_handle_get_configuration(Host&, DeviceHandle& self) {
  unsigned value = 0;
  if (const int s = operate(self, WAFER_USB_GET_CONFIGURATION, 0, 0, &value)) return failed(s);
  return uint8_t(value);
}
Done device_handle_set_configuration(Host&, DeviceHandle& self, ConfigValue config) {
  return act(self, WAFER_USB_SET_CONFIGURATION,
             config.tag == ConfigValue::Tag::Value ? *config.value : WAFER_USB_UNCONFIGURED);
}
Done device_handle_claim_interface(Host&, DeviceHandle& self, uint8_t ifac) {
  return act(self, WAFER_USB_CLAIM_INTERFACE, ifac);
}
Done device_handle_release_interface(Host&, DeviceHandle& self, uint8_t ifac) {
  return act(self, WAFER_USB_RELEASE_INTERFACE, ifac);
}
Done device_handle_set_interface_altsetting(Host&, DeviceHandle& self, uint8_t ifac,
                                            uint8_t alt_setting) {
  return act(self, WAFER_USB_SET_ALTERNATE, ifac, alt_setting);
}
Done device_handle_clear_halt(Host&, DeviceHandle& self, uint8_t endpoint) {
  return act(self, WAFER_USB_CLEAR_HALT, endpoint);
}
Done device_handle_reset_device(Host&, DeviceHandle& self) { return act(self, WAFER_USB_RESET); }
Done device_handle_alloc_streams(Host&, DeviceHandle& self, uint32_t num_streams,
                                 std::span<const uint8_t> endpoints) {
  if (num_streams == 0) return failed(WAFER_USB_INVALID_PARAM);
  return streams(self, num_streams, endpoints);
}
Done device_handle_free_streams(Host&, DeviceHandle& self, std::span<const uint8_t> endpoints) {
  return streams(self, 0, endpoints);
}
Expected<bool, LibusbError> device_handle_kernel_driver_active(Host&, DeviceHandle& self,
                                                               uint8_t ifac) {
  unsigned active = 0;
  if (const int s = operate(self, WAFER_USB_KERNEL_DRIVER_ACTIVE, ifac, 0, &active))
    return failed(s);
  return active != 0;
}
Done device_handle_detach_kernel_driver(Host&, DeviceHandle& self, uint8_t ifac) {
  return act(self, WAFER_USB_DETACH_KERNEL_DRIVER, ifac);
}
Done device_handle_attach_kernel_driver(Host&, DeviceHandle& self, uint8_t ifac) {
  return act(self, WAFER_USB_ATTACH_KERNEL_DRIVER, ifac);
}

Expected<Own<Transfer>, LibusbError> device_handle_new_transfer(Host&, DeviceHandle& self,
                                                                TransferType xfer_type,
                                                                TransferSetup setup,
                                                                uint32_t buf_size,
                                                                TransferOptions opts) {
  if (self.opened->closed) return failed(WAFER_USB_NO_DEVICE);
  if (buf_size > kMostBytes) return failed(WAFER_USB_NO_MEM);
  auto t = std::make_shared<Transfer::Shared>();
  t->opened = self.opened;
  t->room = buf_size;
  wafer_usb_transfer_t& u = t->transfer;
  static_assert(int(TransferType::Isochronous) == WAFER_USB_ISOCHRONOUS);
  u.type = uint8_t(xfer_type);
  u.request_type = setup.bm_request_type;
  u.request = setup.b_request;
  u.value = setup.w_value;
  u.index = setup.w_index;
  u.endpoint = opts.endpoint;
  u.timeout_ms = opts.timeout_ms;
  u.stream = opts.stream_id;
  u.packets = opts.iso_packets;
  return Own<Transfer>::make(std::move(t));
}

void device_handle_close(Host&, DeviceHandle& self) { self.opened->closed = true; }

Done init(Host&) { return Unit{}; }

Expected<std::vector<std::tuple<Own<UsbDevice>, DeviceDescriptor, DeviceLocation>>, LibusbError>
list_devices(Host& host) {
  std::vector<std::tuple<Own<UsbDevice>, DeviceDescriptor, DeviceLocation>> list;
  for (const FoundRef& f : find_all(host)) {
    const uint8_t* const b = f->info.descriptor;
    DeviceDescriptor d;
    d.length = b[0];
    d.descriptor_type = b[1];
    d.usb_version_bcd = f->word(2);
    d.device_class = b[4];
    d.device_subclass = b[5];
    d.device_protocol = b[6];
    d.max_packet_size0 = b[7];
    d.vendor_id = f->word(8);
    d.product_id = f->word(10);
    d.device_version_bcd = f->word(12);
    d.manufacturer_index = b[14];
    d.product_index = b[15];
    d.serial_number_index = b[16];
    d.num_configurations = b[17];
    DeviceLocation l;
    l.bus_number = f->info.bus;
    l.device_address = f->info.address;
    l.port_number = f->info.port;
    l.speed =
        f->info.speed <= uint8_t(UsbSpeed::SuperPlus) ? UsbSpeed(f->info.speed) : UsbSpeed::Unknown;
    list.emplace_back(Own<UsbDevice>::make(f), d, l);
  }
  return list;
}

}  // namespace usb_device

namespace usb_usb_hotplug {

namespace {

// What was attached when the guest asked last.
struct Seen final : Host::Extension {
  std::vector<usb_device::FoundRef> list;
};

}  // namespace

Expected<Unit, LibusbError> enable_hotplug(Host& host) {
  auto seen = std::make_unique<Seen>();
  seen->list = usb_device::find_all(host);
  host.hotplug = std::move(seen);
  return Unit{};
}

std::vector<std::tuple<Event, Info, Own<UsbDevice>>> poll_events(Host& host) {
  std::vector<std::tuple<Event, Info, Own<UsbDevice>>> events;
  auto* const seen = static_cast<Seen*>(host.hotplug.get());
  if (!seen) return events;
  std::vector<usb_device::FoundRef> now = usb_device::find_all(host);
  const auto tell = [&](const std::vector<usb_device::FoundRef>& of,
                        const std::vector<usb_device::FoundRef>& without, bool arrived) {
    for (const usb_device::FoundRef& f : of) {
      const auto same = [&](const usb_device::FoundRef& o) {
        return usb_device::same_device(*o, *f);
      };
      if (std::any_of(without.begin(), without.end(), same)) continue;
      Event event;
      (arrived ? event.arrived : event.left) = true;
      events.emplace_back(event, Info{f->info.bus, f->info.address, f->word(8), f->word(10)},
                          Own<UsbDevice>::make(f));
    }
  };
  tell(seen->list, now, false);
  tell(now, seen->list, true);
  seen->list = std::move(now);
  return events;
}

}  // namespace usb_usb_hotplug

}  // namespace wafer::wasi::devices
