// The first program of a kernel for AArch64 with a chip of pins (PL061, as QEMU's `virt` has it):
// uses it by the host's driver, prints what came of it ("RESULT gpio: 0", or the line of the check
// that failed), and turns the machine off. By hand:
//
//   aarch64-linux-gnu-g++ -std=c++20 -static -Isrc -Iinclude tests/devices/kernel/pins.cc \
//     src/host/devices/*.cc src/host/status.cc src/devices/*.cc src/base/*.cc -o init
//   echo init | cpio -o -H newc > initrd
//   qemu-system-aarch64 -M virt -cpu cortex-a57 -m 256 -nographic -no-reboot -kernel vmlinuz \
//     -initrd initrd -append "console=ttyAMA0 rdinit=/init panic=-1" -monitor
//     unix:monitor,server,nowait
//
// When it says "press", the machine's key is to be pressed: echo system_powerdown | nc -U monitor
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "devices/guest.h"
#include "host/devices/board.h"

using namespace wafer;

namespace {

int line() {
#define CHECK(condition) \
  if (!(condition)) return __LINE__
  host::Board board;
  CHECK(board.add_gpio("led=gpiochip0:0").ok());
  CHECK(board.add_gpio("button=gpiochip0:1,in,active-low").ok());
  CHECK(board.add_gpio("key=gpiochip0:3,in").ok());
  CHECK(board.add_gpio("twin=/dev/gpiochip0:0").ok());
  const Result<void> beyond = board.add_gpio("far=gpiochip0:8");
  CHECK(!beyond.ok() && beyond.error().message.find("has no line '8'") != std::string::npos);
  CHECK(!board.add_gpio("named=gpiochip0:nobody").ok());

  devices::Guest guest(board.devices());
  devices::Pin led, again, button, twin;
  CHECK(led.open(guest, "led", WAFER_PIN_IN | WAFER_PIN_OUT, {}) == WAFER_PIN_OK);
  bool active = true;
  CHECK(led.get(active) == WAFER_PIN_OK && !active);
  CHECK(led.set(true) == WAFER_PIN_OK && led.get(active) == WAFER_PIN_OK && active);
  CHECK(led.toggle() == WAFER_PIN_OK && led.get(active) == WAFER_PIN_OK && !active);
  devices::Watch watch;
  CHECK(led.watch(devices::Pin::Change::Rise, watch) == WAFER_PIN_NOT_SUPPORTED);  // an output
  CHECK(led.watch(devices::Pin::Change::Active, watch) == WAFER_PIN_OK && !watch.ready());
  CHECK(led.set(true) == WAFER_PIN_OK && watch.ready());
  // Opened again it begins inactive, and the first handle is told.
  devices::PinFlags low;
  low.active_low = true;
  CHECK(again.open(guest, "led", WAFER_PIN_IN | WAFER_PIN_OUT, low) == WAFER_PIN_OK);
  CHECK(led.set(true) == WAFER_PIN_ALREADY_IN_USE);
  CHECK(again.get(active) == WAFER_PIN_OK && !active);

  CHECK(button.open(guest, "button", WAFER_PIN_OUT, {}) == WAFER_PIN_MODE_NOT_ALLOWED);
  CHECK(button.open(guest, "button", WAFER_PIN_IN, {}) == WAFER_PIN_OK);
  CHECK(button.get(active) == WAFER_PIN_OK && active);  // nothing pulls it up
  CHECK(button.watch(devices::Pin::Change::Fall, watch) == WAFER_PIN_OK && !watch.ready());
  CHECK(watch.descriptor() >= 0);
  CHECK(button.set(true) == WAFER_PIN_MODE_NOT_ALLOWED);

  // Another name for a line that is in use.
  CHECK(twin.open(guest, "twin", WAFER_PIN_OUT, {}) == WAFER_PIN_ALREADY_IN_USE);

  // A press and its release are edges; to ask for the level takes them, so that a wait for another
  // does not end at once, and they count all the same.
  devices::Pin key;
  CHECK(key.open(guest, "key", WAFER_PIN_IN, {}) == WAFER_PIN_OK);
  CHECK(key.watch(devices::Pin::Change::Rise, watch) == WAFER_PIN_OK && !watch.ready());
  std::puts("press");
  std::fflush(stdout);
  pollfd edge = {watch.descriptor(), POLLIN, 0};
  CHECK(poll(&edge, 1, 60'000) == 1);
  usleep(1'000'000);
  CHECK(poll(&edge, 1, 0) == 1);
  CHECK(key.get(active) == WAFER_PIN_OK && !active);
  CHECK(poll(&edge, 1, 0) == 0);
  CHECK(watch.ready());
  return 0;
#undef CHECK
}

}  // namespace

int main() {
  mkdir("/dev", 0755);
  mount("dev", "/dev", "devtmpfs", 0, nullptr);
  for (const int fd : {0, 1, 2}) dup2(open("/dev/console", O_RDWR), fd);
  for (int i = 0; i < 50 && access("/dev/gpiochip0", F_OK) != 0; ++i) usleep(100000);
  std::printf("RESULT gpio: %d\n", line());
  std::fflush(stdout);
  reboot(RB_POWER_OFF);
}
