#include "../../ports/common/wafer_port.h"

void application(void* number);

#include "arenas.inc"

bool start(void);

bool start(void) {
  return wafer_port_start("one", task, (void*)0, 0, 4096) &&
         wafer_port_start("two", task, (void*)1, 0, 4096);
}
