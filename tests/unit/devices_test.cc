// Devices without a guest: boards that are put together, operations on buses, the simulated board.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "devices/guest.h"
#include "host/devices/board.h"

namespace wafer {
namespace {

int read_high(void*, bool* high) {
  *high = true;
  return WAFER_PIN_OK;
}
constexpr wafer_digital_driver_t kPin = {nullptr, read_high, nullptr, nullptr, nullptr};

wafer_device_t pin(const char* name) {
  return {WAFER_DEVICE_DIGITAL, name, &kPin, nullptr, 0, WAFER_PIN_IN, false};
}

TEST(Board, ABoardThatCannotBeAddedLeavesNothing) {
  host::Board board;
  const wafer_device_t first[] = {pin("a"), pin("b")};
  ASSERT_TRUE(board.add({first, 2, nullptr, nullptr, nullptr}).ok());
  std::weak_ptr<void> kept;
  {
    // Its entries are gone with it.
    const auto second = std::make_unique<wafer_device_t[]>(3);
    const std::string names[] = {"c", "b", "d"};
    for (size_t i = 0; i < 3; ++i) second[i] = pin(names[i].c_str());
    const auto owner = std::make_shared<int>(0);
    kept = owner;
    const Result<void> added = board.add({second.get(), 3, nullptr, nullptr, nullptr}, owner);
    ASSERT_FALSE(added.ok());
    EXPECT_EQ(added.error().message, "two devices called 'b'");
  }
  EXPECT_TRUE(kept.expired());
  ASSERT_EQ(board.devices().count, 2u);
  const devices::Guest guest(board.devices());
  EXPECT_NE(guest.find(WAFER_DEVICE_DIGITAL, "a"), nullptr);
  EXPECT_EQ(guest.find(WAFER_DEVICE_DIGITAL, "c"), nullptr);
  // The name is free.
  const wafer_device_t third[] = {pin("c")};
  EXPECT_TRUE(board.add({third, 1, nullptr, nullptr, nullptr}).ok());
  EXPECT_EQ(board.devices().count, 3u);
  EXPECT_FALSE(board.add_device("nothing").ok());
}

TEST(Board, TheLastWayToWaitCountsWithoutADelayToo) {
  host::Board board;
  uint64_t idled = 0;
  const auto idle = [](void* context, uint64_t ns) { *static_cast<uint64_t*>(context) += ns; };
  ASSERT_TRUE(board.add({nullptr, 0, nullptr, idle, &idled}).ok());
  const devices::Guest guest(board.devices());
  EXPECT_TRUE(guest.has_own_time());
  guest.idle(5);
  EXPECT_EQ(idled, 5u);
  guest.delay(1);  // by the host's clock
  EXPECT_EQ(idled, 5u);
}

TEST(SimulatedBoard, HeatHasLimits) {
  const std::unique_ptr<wafer_simulated_board_t, void (*)(wafer_simulated_board_t*)> board(
      wafer_simulated_board_new(), wafer_simulated_board_delete);
  const wafer_devices_t& devices = *wafer_simulated_board_devices(board.get());
  for (int i = 0; i < 4; ++i) devices.delay(devices.context, UINT64_MAX);
  EXPECT_EQ(wafer_simulated_board_temperature(board.get()), -40 * 16);
  devices::Guest guest(devices);
  devices::Pin relay;
  ASSERT_EQ(relay.open(guest, "relay", WAFER_PIN_OUT, {}), WAFER_PIN_OK);
  ASSERT_EQ(relay.set(true), WAFER_PIN_OK);
  for (int i = 0; i < 4; ++i) devices.delay(devices.context, INT64_MAX);
  EXPECT_EQ(wafer_simulated_board_temperature(board.get()), 128 * 16 - 1);
}

}  // namespace
}  // namespace wafer
