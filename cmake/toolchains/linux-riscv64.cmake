# Linux on 64-bit RISC-V.
#   cmake --preset linux-riscv64
set(CMAKE_SYSTEM_PROCESSOR riscv64)
set(wafer_triple riscv64-linux-gnu)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-riscv64)
include(${CMAKE_CURRENT_LIST_DIR}/linux-gcc.cmake)
