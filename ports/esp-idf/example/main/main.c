/* The example of the ports on ESP-IDF. */
#include <stdlib.h>

#include "example.h"
#include "sdkconfig.h"
#include "wafer_port.h"

static void watch(void* argument) {
  (void)argument;
  const int status = wafer_example();
#ifdef CONFIG_IDF_TARGET_LINUX
  exit(status);
#else
  (void)status;
#endif
}

void app_main(void) {
  wafer_port_init();
  if (!wafer_port_start("watch", watch, NULL, 3, sizeof(void*) == 4 ? 4096 : 65536)) abort();
}
