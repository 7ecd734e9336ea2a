# Arm Cortex-M0+ without an operating system, by GNU's arm-none-eabi compiler and newlib.
#   cmake --preset cortex-m0plus
set(CMAKE_SYSTEM_PROCESSOR cortex-m0plus)
set(wafer_cpu "-mcpu=cortex-m0plus -mthumb")
include(${CMAKE_CURRENT_LIST_DIR}/arm-none-eabi.cmake)
