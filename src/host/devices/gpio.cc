// GPIO of Linux, by the character device (Documentation/userspace-api/gpio/chardev.rst), and
// analog values in files.
#include <fcntl.h>

#include "base/descriptor.h"
#include "host/devices/board.h"
#include "host/devices/grant.h"
#include "host/status.h"

#if defined(__linux__)
#include <linux/gpio.h>
#include <sys/ioctl.h>

#include <cstring>
#endif

namespace wafer::host {

#if defined(__linux__)

namespace {

int failure(int error) {
  switch (error) {
    case EBUSY:
      return WAFER_PIN_ALREADY_IN_USE;
    case EPERM:
    case EACCES:
      return WAFER_PIN_NOT_ALLOWED;
    case EINVAL:
      return WAFER_PIN_MODE_NOT_AVAILABLE;
    case EIO:
    case ENODEV:
    case ENXIO:
      return WAFER_PIN_HARDWARE_FAULT;
    default:
      return WAFER_PIN_OTHER;
  }
}

class Line final : public Board::Driver {
 public:
  Line(UniqueFd chip, uint32_t offset, unsigned pull)
      : chip_(std::move(chip)), offset_(offset), granted_pull_(pull) {}

  int configure(unsigned modes, unsigned pull, bool high) {
    gpio_v2_line_request request = {};
    request.num_lines = 1;
    request.offsets[0] = offset_;
    std::strcpy(request.consumer, "wafer");
    const bool output = modes & WAFER_PIN_OUT;
    uint64_t flags = output ? GPIO_V2_LINE_FLAG_OUTPUT : GPIO_V2_LINE_FLAG_INPUT;
    if (pull == WAFER_PULL_NONE) pull = granted_pull_;
    if (pull == WAFER_PULL_UP) flags |= GPIO_V2_LINE_FLAG_BIAS_PULL_UP;
    if (pull == WAFER_PULL_DOWN) flags |= GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN;
    if (output) {
      request.config.num_attrs = 1;
      request.config.attrs[0].mask = 1;
      request.config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
      request.config.attrs[0].attr.values = high;
    }
    constexpr uint64_t kEdges = GPIO_V2_LINE_FLAG_EDGE_RISING | GPIO_V2_LINE_FLAG_EDGE_FALLING;
    edges_ = !output;
    line_.reset();
    // Not all chips have interrupts.
    for (;;) {
      request.config.flags = flags | (edges_ ? kEdges : 0);
      if (ioctl(chip_.get(), GPIO_V2_GET_LINE_IOCTL, &request) >= 0) break;
      if (!edges_ || errno == EBUSY) return failure(errno);
      edges_ = false;
    }
    line_ = take_opened(request.fd);
    if (fcntl(line_.get(), F_SETFL, O_NONBLOCK) < 0) return failure(errno);
    return WAFER_PIN_OK;
  }
  int read(bool* high) {
    // A change that has been told of must not end the next wait, but one from here on must.
    if (const int s = edges_ ? count_edges() : int(WAFER_PIN_OK)) return s;
    gpio_v2_line_values values = {0, 1};
    if (ioctl(line_.get(), GPIO_V2_LINE_GET_VALUES_IOCTL, &values) < 0) return failure(errno);
    *high = values.bits & 1;
    return WAFER_PIN_OK;
  }
  int write(bool high) {
    gpio_v2_line_values values = {high, 1};
    return ioctl(line_.get(), GPIO_V2_LINE_SET_VALUES_IOCTL, &values) < 0 ? failure(errno)
                                                                          : int(WAFER_PIN_OK);
  }
  int edges(uint32_t* rising, uint32_t* falling) {
    if (!edges_) return WAFER_PIN_NOT_SUPPORTED;
    if (const int s = count_edges()) return s;
    *rising = rising_;
    *falling = falling_;
    return WAFER_PIN_OK;
  }
  int descriptor() const { return edges_ ? line_.get() : -1; }

 private:
  // Takes what the kernel has to tell, which its descriptor is ready for.
  int count_edges() {
    gpio_v2_line_event events[16];
    ssize_t n;
    while ((n = ::read(line_.get(), events, sizeof events)) > 0)
      for (size_t i = 0; i < size_t(n) / sizeof events[0]; ++i)
        ++(events[i].id == GPIO_V2_LINE_EVENT_RISING_EDGE ? rising_ : falling_);
    return n < 0 && errno != EAGAIN && errno != EINTR ? failure(errno) : int(WAFER_PIN_OK);
  }

  UniqueFd chip_, line_;
  const uint32_t offset_;
  const unsigned granted_pull_;
  bool edges_ = false;
  uint32_t rising_ = 0, falling_ = 0;
};

constexpr wafer_digital_driver_t kLine = {
    [](void* c, unsigned modes, unsigned pull, bool high) {
      return static_cast<Line*>(c)->configure(modes, pull, high);
    },
    [](void* c, bool* high) { return static_cast<Line*>(c)->read(high); },
    [](void* c, bool high) { return static_cast<Line*>(c)->write(high); },
    [](void* c, uint32_t* rising, uint32_t* falling) {
      return static_cast<Line*>(c)->edges(rising, falling);
    },
    [](void* c) { return static_cast<Line*>(c)->descriptor(); },
};

// The number of a line, by itself or by its name.
std::optional<uint32_t> find_line(int chip, const gpiochip_info& info, std::string_view line) {
  if (const auto number = parse_number(line)) {
    if (*number >= info.lines) return std::nullopt;
    return uint32_t(*number);
  }
  for (uint32_t i = 0; i < info.lines; ++i) {
    gpio_v2_line_info of = {};
    of.offset = i;
    if (ioctl(chip, GPIO_V2_GET_LINEINFO_IOCTL, &of) >= 0 && line == of.name) return i;
  }
  return std::nullopt;
}

}  // namespace

Result<void> Board::add_gpio(std::string_view text) {
  WAFER_LET(grant, Grant::parse(text));
  const unsigned modes = grant.take_modes(WAFER_PIN_IN | WAFER_PIN_OUT);
  const bool active_low = grant.take("active-low");
  const bool up = grant.take("pull-up"), down = grant.take("pull-down");
  WAFER_TRY(grant.done());
  if (up && down)
    return Error(ErrorKind::Usage, "'" + grant.text + "': a line is pulled up or down, not both");
  const unsigned pull = up ? WAFER_PULL_UP : down ? WAFER_PULL_DOWN : WAFER_PULL_NONE;
  const size_t colon = grant.what.rfind(':');
  if (colon == grant.what.npos)
    return Error(ErrorKind::Usage, "'" + grant.text + "' is not NAME=CHIP:LINE[,OPTION...]");
  std::string path(grant.what.substr(0, colon));
  if (path.find('/') == path.npos) path = "/dev/" + path;
  UniqueFd chip = take_opened(open(path.c_str(), O_RDWR | O_CLOEXEC));
  gpiochip_info info = {};
  if (!chip || ioctl(chip.get(), GPIO_GET_CHIPINFO_IOCTL, &info) < 0)
    return io_error(path, Status::last());
  const std::string_view line = grant.what.substr(colon + 1);
  const auto offset = find_line(chip.get(), info, line);
  if (!offset) return Error(ErrorKind::Io, path + " has no line '" + std::string(line) + "'");
  wafer_device_t entry = {WAFER_DEVICE_DIGITAL, nullptr,   &kLine, nullptr, 0,
                          uint8_t(modes),       active_low};
  return add_entry(entry, grant.name, std::make_unique<Line>(std::move(chip), *offset, pull));
}

#else

Result<void> Board::add_gpio(std::string_view) {
  return Error(ErrorKind::Unsupported, "GPIO needs Linux");
}

#endif

namespace {

class NumberFile final : public Board::Driver {
 public:
  NumberFile(UniqueFd fd, uint32_t max)
      : driver{[](void* c, uint32_t* v) { return static_cast<NumberFile*>(c)->read(v); },
               [](void* c, uint32_t v) { return static_cast<NumberFile*>(c)->write(v); }, max},
        fd_(std::move(fd)) {}

  const wafer_analog_driver_t driver;

 private:
  int read(uint32_t* value) {
    char text[32];
    const ssize_t n = pread(fd_.get(), text, sizeof text, 0);
    if (n < 0) return WAFER_PIN_HARDWARE_FAULT;
    std::string_view number(text, size_t(n));
    while (!number.empty() && (number.back() == '\n' || number.back() == ' '))
      number.remove_suffix(1);
    // Less than nothing is nothing.
    const auto parsed = number.starts_with('-') ? 0 : parse_number(number);
    if (!parsed) return WAFER_PIN_HARDWARE_FAULT;
    *value = uint32_t(std::min<uint64_t>(*parsed, driver.max));
    return WAFER_PIN_OK;
  }
  int write(uint32_t value) {
    const std::string text = std::to_string(value) + "\n";
    return pwrite(fd_.get(), text.data(), text.size(), 0) == ssize_t(text.size())
               ? WAFER_PIN_OK
               : WAFER_PIN_HARDWARE_FAULT;
  }
  UniqueFd fd_;
};

}  // namespace

Result<void> Board::add_analog(std::string_view text) {
  WAFER_LET(grant, Grant::parse(text));
  const unsigned modes = grant.take_modes(WAFER_PIN_IN);
  const bool active_low = grant.take("active-low");
  constexpr uint32_t kTwelveBits = 4095;
  WAFER_LET(max, grant.take_number("max", UINT32_MAX));
  WAFER_TRY(grant.done());
  const std::string path(grant.what);
  const int access = modes == WAFER_PIN_IN ? O_RDONLY : modes == WAFER_PIN_OUT ? O_WRONLY : O_RDWR;
  UniqueFd fd = take_opened(open(path.c_str(), access | O_CLOEXEC));
  if (!fd) return io_error(path, Status::last());
  auto file = std::make_unique<NumberFile>(std::move(fd), uint32_t(max.value_or(kTwelveBits)));
  wafer_device_t entry = {WAFER_DEVICE_ANALOG, nullptr,   &file->driver, nullptr, 0,
                          uint8_t(modes),      active_low};
  return add_entry(entry, grant.name, std::move(file));
}

}  // namespace wafer::host
