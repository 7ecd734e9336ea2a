/* The example of the ports on FreeRTOS, and what the kernel asks an application for. */
#include "FreeRTOS.h"
#include "board.h"
#include "example.h"
#include "task.h"
#include "wafer_port.h"

void wafer_freertos_put(const char* text, size_t size) { wafer_port_pieces(text, size, board_put); }

void vApplicationStackOverflowHook(TaskHandle_t task, char* name) {
  (void)task;
  board_put("stack overflow: ");
  board_put(name);
  board_put("\n");
  board_exit(1);
}

void example_assert(const char* file, int line) {
  (void)line;
  board_put("assertion failed: ");
  board_put(file);
  board_put("\n");
  board_exit(1);
}

static void watch(void* argument) {
  (void)argument;
  board_exit(wafer_example());
}

int main(void) {
  wafer_port_init();
  if (!wafer_port_start("watch", watch, NULL, 3, sizeof(void*) == 4 ? 4096 : 65536)) return 1;
  vTaskStartScheduler();
  return 1;
}
