# What the toolchains for RISC-V without an operating system have in common, by GNU's
# riscv64-unknown-elf compiler and picolibc; they set wafer_cpu.
set(wafer_triple riscv64-unknown-elf)
set(wafer_cpu "${wafer_cpu} -mcmodel=medany --specs=picolibc.specs")
include(${CMAKE_CURRENT_LIST_DIR}/gnu.cmake)
# Debian's compiler has no headers of the C++ library, of which the library needs only what is no
# code: those of the compiler for Arm are of the same library.
file(GLOB wafer_headers /usr/include/newlib/c++/*)
execute_process(COMMAND ${CMAKE_COMMAND} -E echo "#include <new>"
  COMMAND ${CMAKE_CXX_COMPILER} -E -x c++ - RESULT_VARIABLE wafer_status OUTPUT_QUIET ERROR_QUIET)
if(wafer_headers AND NOT wafer_status EQUAL 0)
  list(GET wafer_headers -1 wafer_headers)
  string(APPEND CMAKE_CXX_FLAGS_INIT
    " -isystem ${wafer_headers} -isystem ${wafer_headers}/arm-none-eabi")
endif()
