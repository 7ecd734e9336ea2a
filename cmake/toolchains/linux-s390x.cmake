# Linux on s390x: a processor whose most significant byte comes first.
#   cmake --preset linux-s390x
set(CMAKE_SYSTEM_PROCESSOR s390x)
set(wafer_triple s390x-linux-gnu)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-s390x)
include(${CMAKE_CURRENT_LIST_DIR}/linux-gcc.cmake)
