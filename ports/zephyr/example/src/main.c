/* The example of the ports on Zephyr. */
#include <zephyr/kernel.h>

#include "example.h"
#include "wafer_port.h"

static void watch(void* argument) {
  ARG_UNUSED(argument);
  wafer_example();
}

int main(void) {
  wafer_port_init();
  return wafer_port_start("watch", watch, NULL, 3, 4096) ? 0 : 1;
}
