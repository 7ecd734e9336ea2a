# What the toolchains of GNU's compiler for Linux on another processor have in common (Debian's
# g++-<triple> packages); programs are static, and run by QEMU. They set wafer_triple and wafer_cpu.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
include(${CMAKE_CURRENT_LIST_DIR}/gnu.cmake)
