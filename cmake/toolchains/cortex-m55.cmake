# Arm Cortex-M55 with its floating-point unit, by GNU's arm-none-eabi compiler and newlib.
#   cmake --preset cortex-m55
set(CMAKE_SYSTEM_PROCESSOR cortex-m55)
# Vector instructions of the processor are not used: the library's code has no loops for them.
set(wafer_cpu "-mcpu=cortex-m55+nomve -mthumb -mfloat-abi=hard")
set(WAFER_QEMU qemu-system-arm -M mps3-an547)
include(${CMAKE_CURRENT_LIST_DIR}/arm-none-eabi.cmake)
