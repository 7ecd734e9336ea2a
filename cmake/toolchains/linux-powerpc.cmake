# Linux on 32-bit PowerPC: a processor whose most significant byte comes first.
#   cmake --preset linux-powerpc
set(CMAKE_SYSTEM_PROCESSOR ppc)
set(wafer_triple powerpc-linux-gnu)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-ppc)
include(${CMAKE_CURRENT_LIST_DIR}/linux-gcc.cmake)
