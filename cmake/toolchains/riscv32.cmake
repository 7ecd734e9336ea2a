# 32-bit RISC-V without an operating system, by GNU's compiler and picolibc.
#   cmake --preset riscv32
set(CMAKE_SYSTEM_PROCESSOR riscv32)
set(wafer_cpu "-march=rv32imac_zicsr -mabi=ilp32 -mcmodel=medany")
include(${CMAKE_CURRENT_LIST_DIR}/riscv-unknown-elf.cmake)
