/* The thermostat of examples/devices on bare metal: the module that runs on Linux, with the devices
 * of a simulated board. A board of yours fills a wafer_devices_t instead. */
#include <string.h>

#include "board.h"
#include "firmware.h"
#include "pool.h"

int main(void) {
  pool_reset();
  wafer_set_allocator(pool_allocate, pool_release, NULL);
  wafer_simulated_board_t* board = wafer_simulated_board_new();
  const char* error;
  const int last = thermostat_run(wafer_simulated_board_devices(board), 60, 22 * 16, &error);
  board_put("display: ");
  board_put(wafer_simulated_board_display(board));
  board_put("\n");
  board_put(error);
  const bool good = last == 360 && strcmp(wafer_simulated_board_display(board), "22.5 off") == 0 &&
                    !wafer_simulated_board_level(board, "relay") &&
                    wafer_simulated_board_time(board) == 60ull * 1000000000;
  wafer_simulated_board_delete(board);
  const bool kept = pool_in_use() == 0;
  board_put(good && kept ? "thermostat: as expected\n" : "thermostat: not as expected\n");
  return !(good && kept);
}
