/* The thermostat of examples/devices in a task: the module that runs on Linux, with the devices of
 * a simulated board. While the module waits, the task sleeps: a second of the board is a
 * millisecond. */
#include <string.h>

#include "example.h"
#include "firmware.h"
#include "wafer_port.h"

static wafer_port_queue* finished;

static void pass(void* context, uint64_t nanoseconds) {
  const wafer_devices_t* simulated = wafer_simulated_board_devices(context);
  simulated->delay(simulated->context, nanoseconds);
  wafer_port_sleep(nanoseconds / 1000);
}

static void say(const char* text) { wafer_port_put(text, strlen(text)); }

static void thermostat(void* argument) {
  (void)argument;
  wafer_simulated_board_t* board = wafer_simulated_board_new();
  wafer_devices_t devices = *wafer_simulated_board_devices(board);
  devices.delay = devices.idle = pass;
  devices.context = board;
  const uint64_t start = wafer_port_clock();
  const char* error;
  const int last = thermostat_run(&devices, 60, 22 * 16, &error);
  const bool good = last == 360 && wafer_port_clock() - start >= 50 * 1000000 &&
                    strcmp(wafer_simulated_board_display(board), "22.5 off") == 0;
  say(error);
  wafer_simulated_board_delete(board);
  wafer_port_queue_send(finished, good, -1);
  for (;;) wafer_port_sleep(1000000000);
}

int wafer_example(void) {
  finished = wafer_port_queue_new(1);
  int32_t good = 0;
  if (finished && wafer_port_start("thermostat", thermostat, NULL, 2,
                                   sizeof(void*) == 4 ? 12 * 1024 : 256 * 1024))
    wafer_port_queue_receive(finished, &good, 30000);
  say(good ? "thermostat: as expected\n" : "thermostat: not as expected\n");
  return !good;
}
