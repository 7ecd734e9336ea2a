# Arm Cortex-M55 without an operating system, by GNU's arm-none-eabi compiler and newlib.
#   cmake --preset cortex-m55
set(CMAKE_SYSTEM_PROCESSOR cortex-m55)
set(wafer_cpu "-mcpu=cortex-m55 -mthumb -mfloat-abi=hard")
include(${CMAKE_CURRENT_LIST_DIR}/arm-none-eabi.cmake)
