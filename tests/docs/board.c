#include "wafer_devices.h"

#define I2C1_BASE 0x40005400

void delay(void* context, uint64_t nanoseconds);
void idle(void* context, uint64_t nanoseconds);

#include "board.inc"

const wafer_devices_t* the_board(void);
const wafer_devices_t* the_board(void) { return &board; }

static int transfer(void* context, uint16_t address, const wafer_i2c_message_t* messages,
                    size_t count) {
  (void)context, (void)address, (void)messages, (void)count;
  return 0;
}
