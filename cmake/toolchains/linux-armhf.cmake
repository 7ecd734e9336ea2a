# Linux on 32-bit Arm with a floating-point unit.
#   cmake --preset linux-armhf
set(CMAKE_SYSTEM_PROCESSOR arm)
set(wafer_triple arm-linux-gnueabihf)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-arm)
include(${CMAKE_CURRENT_LIST_DIR}/linux-gcc.cmake)
