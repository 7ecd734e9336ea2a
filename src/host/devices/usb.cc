// USB by libusb 1.0, which is loaded when the first device is granted.
#include <optional>

#include "host/devices/board.h"
#include "host/devices/grant.h"

#if WAFER_WITH_LIBUSB
#include <dlfcn.h>
#include <libusb-1.0/libusb.h>

#include <algorithm>
#include <cstring>
#endif

namespace wafer::host {

#if WAFER_WITH_LIBUSB

namespace {

// The functions of it that are used.
struct Library {
#define USB_FUNCTION(name) decltype(&::libusb_##name) name = nullptr;
#include "host/devices/usb.def"
#undef USB_FUNCTION

  static Result<const Library*> get() {
    static const Library library;
    if (library.complete_) return &library;
    return Error(ErrorKind::Unsupported, "USB needs libusb-1.0.so.0");
  }

 private:
  Library() {
    void* const file = dlopen("libusb-1.0.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!file) return;
    complete_ = true;
#define USB_FUNCTION(name)                                               \
  name = reinterpret_cast<decltype(name)>(dlsym(file, "libusb_" #name)); \
  complete_ = complete_ && name;
#include "host/devices/usb.def"
#undef USB_FUNCTION
  }
  bool complete_ = false;
};

int status(int error) {
  // LIBUSB_ERROR_IO is -1; the numbers go on in the order of WIT's.
  if (error >= 0) return WAFER_USB_OK;
  return error >= LIBUSB_ERROR_NOT_SUPPORTED ? -error : int(WAFER_USB_OTHER);
}
static_assert(-LIBUSB_ERROR_NOT_SUPPORTED == WAFER_USB_NOT_SUPPORTED &&
              -LIBUSB_ERROR_PIPE == WAFER_USB_PIPE);

int status_of(libusb_transfer_status of) {
  switch (of) {
    case LIBUSB_TRANSFER_COMPLETED:
      return WAFER_USB_OK;
    case LIBUSB_TRANSFER_TIMED_OUT:
      return WAFER_USB_TIMEOUT;
    case LIBUSB_TRANSFER_CANCELLED:
      return WAFER_USB_INTERRUPTED;
    case LIBUSB_TRANSFER_STALL:
      return WAFER_USB_PIPE;
    case LIBUSB_TRANSFER_NO_DEVICE:
      return WAFER_USB_NO_DEVICE;
    case LIBUSB_TRANSFER_OVERFLOW:
      return WAFER_USB_OVERFLOW;
    default:
      return WAFER_USB_IO;
  }
}

// The devices of one vendor, or of one of its products.
class UsbGrant final : public Board::Driver {
 public:
  UsbGrant(const Library& usb, libusb_context* context, uint16_t vendor,
           std::optional<uint16_t> product)
      : usb_(usb), context_(context), vendor_(vendor), product_(product) {}
  ~UsbGrant() override { usb_.exit(context_); }

  int find(unsigned index, void** device, wafer_usb_info_t* info) {
    libusb_device** list = nullptr;
    const ssize_t count = usb_.get_device_list(context_, &list);
    if (count < 0) return status(int(count));
    int found = WAFER_USB_NOT_FOUND;
    for (ssize_t i = 0; i < count && found; ++i) {
      libusb_device_descriptor d;
      if (usb_.get_device_descriptor(list[i], &d) < 0 || d.idVendor != vendor_ ||
          (product_ && d.idProduct != *product_) || index-- > 0)
        continue;
      // As on the wire, which is little-endian.
      const uint16_t words[] = {d.bcdUSB, d.idVendor, d.idProduct, d.bcdDevice};
      uint8_t bytes[18] = {d.bLength,
                           d.bDescriptorType,
                           0,
                           0,
                           d.bDeviceClass,
                           d.bDeviceSubClass,
                           d.bDeviceProtocol,
                           d.bMaxPacketSize0,
                           0,
                           0,
                           0,
                           0,
                           0,
                           0,
                           d.iManufacturer,
                           d.iProduct,
                           d.iSerialNumber,
                           d.bNumConfigurations};
      const size_t at[] = {2, 8, 10, 12};
      for (size_t w = 0; w < 4; ++w) {
        bytes[at[w]] = uint8_t(words[w]);
        bytes[at[w] + 1] = uint8_t(words[w] >> 8);
      }
      std::copy_n(bytes, sizeof bytes, info->descriptor);
      info->bus = usb_.get_bus_number(list[i]);
      info->address = usb_.get_device_address(list[i]);
      info->port = usb_.get_port_number(list[i]);
      info->speed = uint8_t(usb_.get_device_speed(list[i]));
      *device = usb_.ref_device(list[i]);
      found = WAFER_USB_OK;
    }
    usb_.free_device_list(list, 1);
    return found;
  }
  void give_back(void* device) { usb_.unref_device(static_cast<libusb_device*>(device)); }

  int configuration(void* device, unsigned select, uint8_t number, uint8_t* data, size_t* size) {
    // By a request of USB's own, as the library gives nothing but its reading of the bytes.
    auto* const d = static_cast<libusb_device*>(device);
    libusb_device_handle* handle = nullptr;
    if (const int e = usb_.open(d, &handle); e < 0) return status(e);
    int result = read_configuration(handle, d, select, number, data, size);
    usb_.close(handle);
    return result;
  }

  int open(void* device, void** handle) {
    libusb_device_handle* opened = nullptr;
    const int e = usb_.open(static_cast<libusb_device*>(device), &opened);
    *handle = opened;
    return status(e);
  }
  void close(void* handle) { usb_.close(static_cast<libusb_device_handle*>(handle)); }

  int operate(void* handle, wafer_usb_operation_t operation, unsigned value, unsigned other,
              unsigned* result) {
    auto* const h = static_cast<libusb_device_handle*>(handle);
    const int v = int(value);
    switch (operation) {
      case WAFER_USB_GET_CONFIGURATION: {
        int number = 0;
        const int e = usb_.get_configuration(h, &number);
        *result = unsigned(number);
        return status(e);
      }
      case WAFER_USB_SET_CONFIGURATION:
        return status(usb_.set_configuration(h, value == WAFER_USB_UNCONFIGURED ? -1 : v));
      case WAFER_USB_CLAIM_INTERFACE:
        return status(usb_.claim_interface(h, v));
      case WAFER_USB_RELEASE_INTERFACE:
        return status(usb_.release_interface(h, v));
      case WAFER_USB_SET_ALTERNATE:
        return status(usb_.set_interface_alt_setting(h, v, int(other)));
      case WAFER_USB_CLEAR_HALT:
        return status(usb_.clear_halt(h, uint8_t(value)));
      case WAFER_USB_RESET:
        return status(usb_.reset_device(h));
      case WAFER_USB_KERNEL_DRIVER_ACTIVE: {
        const int e = usb_.kernel_driver_active(h, v);
        *result = e > 0;
        return status(e);
      }
      case WAFER_USB_DETACH_KERNEL_DRIVER:
        return status(usb_.detach_kernel_driver(h, v));
      case WAFER_USB_ATTACH_KERNEL_DRIVER:
        return status(usb_.attach_kernel_driver(h, v));
    }
    return WAFER_USB_NOT_SUPPORTED;
  }

  int streams(void* handle, uint32_t count, const uint8_t* endpoints, size_t n) {
    auto* const h = static_cast<libusb_device_handle*>(handle);
    std::vector<uint8_t> all(endpoints, endpoints + n);
    return status(count ? usb_.alloc_streams(h, count, all.data(), int(n))
                        : usb_.free_streams(h, all.data(), int(n)));
  }

  // A transfer's own: the library's, and its buffer, which for control begins with the setup.
  struct Running {
    libusb_transfer* transfer;
    std::vector<uint8_t> bytes;
    int completed = 0;
  };

  int submit(void* handle, wafer_usb_transfer_t* t) {
    constexpr uint32_t kMostPackets = 1024;
    const bool control = t->type == WAFER_USB_CONTROL;
    const bool isochronous = t->type == WAFER_USB_ISOCHRONOUS;
    const uint32_t packets = isochronous ? t->packets : 0;
    if (packets > kMostPackets || (isochronous && packets == 0)) return WAFER_USB_INVALID_PARAM;
    if (control && t->size > UINT16_MAX) return WAFER_USB_INVALID_PARAM;
    auto running = std::make_unique<Running>();
    running->transfer = usb_.alloc_transfer(int(packets));
    if (!running->transfer) return WAFER_USB_NO_MEM;
    const size_t before = control ? LIBUSB_CONTROL_SETUP_SIZE : 0;
    running->bytes.assign(before + t->size, 0);
    if (control)
      libusb_fill_control_setup(running->bytes.data(), t->request_type, t->request, t->value,
                                t->index, uint16_t(t->size));
    if (!is_in(*t) && t->size) std::copy_n(t->data, t->size, running->bytes.data() + before);
    libusb_transfer& u = *running->transfer;
    u.dev_handle = static_cast<libusb_device_handle*>(handle);
    u.endpoint = control ? 0 : t->endpoint;
    const bool stream = t->stream && t->type == WAFER_USB_BULK;
    u.type = stream                      ? uint8_t(LIBUSB_TRANSFER_TYPE_BULK_STREAM)
             : control                   ? uint8_t(LIBUSB_TRANSFER_TYPE_CONTROL)
             : isochronous               ? uint8_t(LIBUSB_TRANSFER_TYPE_ISOCHRONOUS)
             : t->type == WAFER_USB_BULK ? uint8_t(LIBUSB_TRANSFER_TYPE_BULK)
                                         : uint8_t(LIBUSB_TRANSFER_TYPE_INTERRUPT);
    if (stream) usb_.transfer_set_stream_id(&u, t->stream);
    u.timeout = t->timeout_ms;
    u.buffer = running->bytes.data();
    u.length = int(running->bytes.size());
    u.num_iso_packets = int(packets);
    for (uint32_t i = 0; i < packets; ++i)
      u.iso_packet_desc[i].length = unsigned(t->size / packets);
    u.user_data = running.get();
    u.callback = [](libusb_transfer* done) {
      static_cast<Running*>(done->user_data)->completed = 1;
    };
    if (const int e = usb_.submit_transfer(&u); e < 0) {
      usb_.free_transfer(&u);
      return status(e);
    }
    t->own = running.release();
    return WAFER_USB_OK;
  }

  int cancel(wafer_usb_transfer_t* t) {
    return status(usb_.cancel_transfer(static_cast<Running*>(t->own)->transfer));
  }

  bool done(wafer_usb_transfer_t* t) {
    auto* const running = static_cast<Running*>(t->own);
    timeval now = {0, 0};
    if (!running->completed)
      usb_.handle_events_timeout_completed(context_, &now, &running->completed);
    if (!running->completed) return false;
    libusb_transfer& u = *running->transfer;
    t->status = status_of(u.status);
    t->actual = size_t(u.actual_length);
    if (is_in(*t)) {
      const size_t before = t->type == WAFER_USB_CONTROL ? LIBUSB_CONTROL_SETUP_SIZE : 0;
      if (u.num_iso_packets) {
        t->actual = 0;
        for (int i = 0; i < u.num_iso_packets; ++i) {
          const auto& p = u.iso_packet_desc[i];
          std::copy_n(u.buffer + size_t(i) * p.length, p.actual_length, t->data + t->actual);
          t->actual += p.actual_length;
        }
      } else {
        std::copy_n(running->bytes.data() + before, t->actual, t->data);
      }
    }
    usb_.free_transfer(&u);
    delete running;
    t->own = nullptr;
    return true;
  }

 private:
  static bool is_in(const wafer_usb_transfer_t& t) {
    return (t.type == WAFER_USB_CONTROL ? t.request_type : t.endpoint) & LIBUSB_ENDPOINT_IN;
  }

  int read_configuration(libusb_device_handle* handle, libusb_device* device, unsigned select,
                         uint8_t number, uint8_t* data, size_t* size) {
    libusb_device_descriptor d;
    if (const int e = usb_.get_device_descriptor(device, &d); e < 0) return status(e);
    int wanted = number;
    if (select == WAFER_USB_ACTIVE) {
      if (const int e = usb_.get_configuration(handle, &wanted); e < 0) return status(e);
      if (wanted == 0) return WAFER_USB_NOT_FOUND;
    }
    constexpr unsigned kSecond = 1000;
    constexpr int kValueAt = 5;
    // Linux lets a control transfer have no more than a page.
    constexpr size_t kMostBytes = 4096;
    const auto room = unsigned(std::min(*size, kMostBytes));
    for (int i = 0; i < d.bNumConfigurations; ++i) {
      if (select == WAFER_USB_BY_INDEX && i != number) continue;
      const int n = usb_.control_transfer(handle, LIBUSB_ENDPOINT_IN, LIBUSB_REQUEST_GET_DESCRIPTOR,
                                          uint16_t(LIBUSB_DT_CONFIG << 8 | i), 0, data,
                                          uint16_t(room), kSecond);
      if (n < 0) return status(n);
      if (n < LIBUSB_DT_CONFIG_SIZE) return WAFER_USB_IO;
      if (select != WAFER_USB_BY_INDEX && data[kValueAt] != wanted) continue;
      *size = size_t(n);
      return WAFER_USB_OK;
    }
    return WAFER_USB_NOT_FOUND;
  }

  const Library& usb_;
  libusb_context* context_;
  const uint16_t vendor_;
  const std::optional<uint16_t> product_;
};

UsbGrant& grant_of(void* context) { return *static_cast<UsbGrant*>(context); }

constexpr wafer_usb_driver_t kDriver = {
    [](void* c, unsigned index, void** device, wafer_usb_info_t* info) {
      return grant_of(c).find(index, device, info);
    },
    [](void* c, void* device) { grant_of(c).give_back(device); },
    [](void* c, void* device, unsigned select, uint8_t number, uint8_t* data, size_t* size) {
      return grant_of(c).configuration(device, select, number, data, size);
    },
    [](void* c, void* device, void** handle) { return grant_of(c).open(device, handle); },
    [](void* c, void* handle) { grant_of(c).close(handle); },
    [](void* c, void* handle, wafer_usb_operation_t operation, unsigned value, unsigned other,
       unsigned* result) { return grant_of(c).operate(handle, operation, value, other, result); },
    [](void* c, void* handle, uint32_t count, const uint8_t* endpoints, size_t n) {
      return grant_of(c).streams(handle, count, endpoints, n);
    },
    [](void* c, void* handle, wafer_usb_transfer_t* t) { return grant_of(c).submit(handle, t); },
    [](void* c, void*, wafer_usb_transfer_t* t) { return grant_of(c).cancel(t); },
    [](void* c, void*, wafer_usb_transfer_t* t) { return grant_of(c).done(t); },
};

}  // namespace

#endif

namespace {

std::optional<uint16_t> hex(std::string_view text) {
  if (text.empty() || text.size() > 4) return std::nullopt;
  const auto number = parse_number("0x" + std::string(text));
  return number ? std::optional(uint16_t(*number)) : std::nullopt;
}

}  // namespace

Result<void> Board::add_usb(std::string_view grant) {
  const size_t colon = grant.find(':');
  const auto vendor = hex(grant.substr(0, colon));
  std::optional<uint16_t> product;
  bool good = vendor && colon != grant.npos;
  if (good && grant.substr(colon + 1) != "*") {
    product = hex(grant.substr(colon + 1));
    good = product.has_value();
  }
  if (!good)
    return Error(ErrorKind::Usage,
                 "'" + std::string(grant) + "' is not VENDOR:PRODUCT or VENDOR:*, in hexadecimal");
#if WAFER_WITH_LIBUSB
  WAFER_LET(library, Library::get());
  libusb_context* context = nullptr;
  if (const int e = library->init(&context); e < 0)
    return Error(ErrorKind::Io, "libusb cannot be used: error " + std::to_string(e));
  wafer_device_t entry = {WAFER_DEVICE_USB, nullptr, &kDriver, nullptr, 0, 0, false};
  return add_entry(entry, grant, std::make_unique<UsbGrant>(*library, context, *vendor, product));
#else
  return Error(ErrorKind::Unsupported, "USB is not in this build");
#endif
}

}  // namespace wafer::host
