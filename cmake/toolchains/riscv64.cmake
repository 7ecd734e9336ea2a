# RISC-V of 64 bits without an operating system.
#   cmake --preset riscv64
set(CMAKE_SYSTEM_PROCESSOR riscv64)
set(wafer_cpu "-march=rv64imafdc -mabi=lp64d")
set(WAFER_QEMU qemu-system-riscv64 -M virt -bios none)
include(${CMAKE_CURRENT_LIST_DIR}/riscv-none-elf.cmake)
