#include "example.h"
#include "wafer_port.h"

int main(int argc, char* argv[]) {
  (void)argc;
  (void)argv;
  wafer_port_init();
  return wafer_example();
}
