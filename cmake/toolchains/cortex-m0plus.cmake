# Arm Cortex-M0+, without a floating-point unit, by GNU's arm-none-eabi compiler and newlib.
#   cmake --preset cortex-m0plus
set(CMAKE_SYSTEM_PROCESSOR cortex-m0plus)
set(wafer_cpu "-mcpu=cortex-m0plus -mthumb -mfloat-abi=soft")
# A Cortex-M3 runs its instructions as well, and has the memory map of the MPS2 board.
set(WAFER_QEMU qemu-system-arm -M mps2-an385)
include(${CMAKE_CURRENT_LIST_DIR}/arm-none-eabi.cmake)
