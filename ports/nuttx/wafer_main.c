#include "wafer_wasi.h"

int main(int argc, char* argv[]) {
  wafer_port_init();
  return wafer_command(argc, argv);
}
