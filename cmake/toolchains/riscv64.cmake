# 64-bit RISC-V without an operating system, by GNU's compiler and picolibc.
#   cmake --preset riscv64
set(CMAKE_SYSTEM_PROCESSOR riscv64)
set(wafer_cpu "-march=rv64imac_zicsr -mabi=lp64 -mcmodel=medany")
include(${CMAKE_CURRENT_LIST_DIR}/riscv-unknown-elf.cmake)
