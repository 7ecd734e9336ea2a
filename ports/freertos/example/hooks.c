/* What the kernel asks an application for. */
#include "FreeRTOS.h"
#include "board.h"
#include "task.h"

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
