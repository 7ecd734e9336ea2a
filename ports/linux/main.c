/* A small `wafer` for Linux: the interpreter with WASI 0.1, as one static program. */
#include "wafer_wasi.h"

int main(int argc, char** argv) {
  wafer_port_init();
  return wafer_command(argc, argv) & 0xFF;
}
