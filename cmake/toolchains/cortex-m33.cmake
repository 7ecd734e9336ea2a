# Arm Cortex-M33 with its floating-point unit, by GNU's arm-none-eabi compiler and newlib.
#   cmake --preset cortex-m33
set(CMAKE_SYSTEM_PROCESSOR cortex-m33)
set(wafer_cpu "-mcpu=cortex-m33 -mthumb -mfloat-abi=hard -mfpu=fpv5-sp-d16")
# A Cortex-M55 runs its instructions as well.
set(WAFER_QEMU qemu-system-arm -M mps3-an547)
include(${CMAKE_CURRENT_LIST_DIR}/arm-none-eabi.cmake)
