#include "host/devices/board.h"

#include <time.h>

#include "host/status.h"

namespace wafer::host {

namespace {

void wait(void*, uint64_t nanoseconds) {
  timespec left = {time_t(nanoseconds / 1'000'000'000), long(nanoseconds % 1'000'000'000)};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

}  // namespace

Board::Board() : table_{nullptr, 0, wait, nullptr, nullptr} {}
Board::~Board() = default;

Result<void> Board::add_entry(wafer_device_t entry, std::string_view name,
                              std::unique_ptr<Driver> driver) {
  for (const wafer_device_t& d : list_)
    if (d.kind == entry.kind && name == d.name)
      return Error(ErrorKind::Usage, "two devices called '" + std::string(name) + "'");
  entry.name = names_.emplace_back(name).c_str();
  if (driver) {
    entry.context = driver.get();
    drivers_.push_back(std::move(driver));
  }
  list_.push_back(entry);
  table_.list = list_.data();
  table_.count = list_.size();
  return {};
}

const Board::Adder Board::kAdders[] = {&Board::add_i2c,    &Board::add_spi, &Board::add_gpio,
                                       &Board::add_analog, &Board::add_usb, &Board::add_device};

Result<void> Board::add(std::string_view kind, std::string_view grant) {
  static_assert(std::size(kAdders) == std::size(kKinds));
  for (size_t i = 0; i < std::size(kKinds); ++i)
    if (kind == kKinds[i]) return (this->*kAdders[i])(grant);
  return Error(ErrorKind::Usage, "no kind of device: '" + std::string(kind) + "'");
}

Result<void> Board::add(const wafer_devices_t& board, std::shared_ptr<void> owner) {
  const size_t before = list_.size();
  for (size_t i = 0; i < board.count; ++i) {
    Result<void> added = add_entry(board.list[i], board.list[i].name, nullptr);
    if (added) continue;
    // Nothing of it stays, since nobody keeps what its entries point to.
    list_.resize(before);
    names_.resize(before);
    table_.count = before;
    return added;
  }
  if (board.delay || board.idle) {
    table_.delay = board.delay ? board.delay : wait;
    table_.idle = board.idle;
    table_.context = board.context;
  }
  if (owner) owners_.push_back(std::move(owner));
  return {};
}

Result<void> Board::add_device(std::string_view name) {
  if (name != "sim")
    return Error(ErrorKind::Usage,
                 "no board called '" + std::string(name) + "': there is 'sim', a simulated one");
  const std::shared_ptr<wafer_simulated_board_t> board(wafer_simulated_board_new(),
                                                       wafer_simulated_board_delete);
  return add(*wafer_simulated_board_devices(board.get()), board);
}

}  // namespace wafer::host
