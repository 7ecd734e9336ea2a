# RISC-V of 32 bits without an operating system, with the extensions of small processors.
#   cmake --preset riscv32
set(CMAKE_SYSTEM_PROCESSOR riscv32)
set(wafer_cpu "-march=rv32imac -mabi=ilp32")
set(WAFER_QEMU qemu-system-riscv32 -M virt -bios none)
include(${CMAKE_CURRENT_LIST_DIR}/riscv-none-elf.cmake)
