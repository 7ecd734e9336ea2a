# What the toolchains for Arm's microcontrollers have in common; they set wafer_cpu.
set(wafer_triple arm-none-eabi)
include(${CMAKE_CURRENT_LIST_DIR}/gnu.cmake)
