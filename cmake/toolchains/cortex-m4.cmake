# Arm Cortex-M4F without an operating system, by GNU's arm-none-eabi compiler and newlib.
#   cmake --preset cortex-m4
set(CMAKE_SYSTEM_PROCESSOR cortex-m4)
set(wafer_cpu "-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16")
set(WAFER_QEMU qemu-system-arm -M mps2-an386)
include(${CMAKE_CURRENT_LIST_DIR}/arm-none-eabi.cmake)
