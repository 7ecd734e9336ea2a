/* The example of the ports on ThreadX. */
#include "board.h"
#include "example.h"
#include "wafer_threadx.h"

enum { kPool = sizeof(void*) == 4 ? 96 * 1024 : 1024 * 1024 };
static ULONG memory[kPool / sizeof(ULONG)];
static TX_BYTE_POOL pool;

void wafer_threadx_put(const char* text, size_t size) { wafer_port_pieces(text, size, board_put); }

static void watch(void* argument) {
  (void)argument;
  board_exit(wafer_example());
}

void tx_application_define(void* unused) {
  (void)unused;
  tx_byte_pool_create(&pool, "wafer", memory, sizeof memory);
  wafer_threadx_init(&pool);
  if (!wafer_port_start("watch", watch, NULL, 3, sizeof(void*) == 4 ? 4096 : 65536)) board_exit(1);
}

int main(void) {
  tx_kernel_enter();
  return 1;
}
