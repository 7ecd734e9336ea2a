# What the toolchains for RISC-V without an operating system have in common, by GNU's
# riscv64-unknown-elf compiler and picolibc; they set wafer_cpu.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_C_COMPILER riscv64-unknown-elf-gcc)
set(CMAKE_CXX_COMPILER riscv64-unknown-elf-g++)
set(CMAKE_NM riscv64-unknown-elf-nm)
set(CMAKE_SIZE riscv64-unknown-elf-size)
# The compiler cannot link a program without the board's start-up code.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(wafer_cpu "${wafer_cpu} -mcmodel=medany --specs=picolibc.specs")
set(CMAKE_C_FLAGS_INIT "${wafer_cpu}")
set(CMAKE_ASM_FLAGS_INIT "${wafer_cpu}")
# Debian's compiler has no headers of the C++ library, of which the library needs only what is no
# code: those of the compiler for Arm are of the same library.
file(GLOB wafer_headers /usr/include/newlib/c++/*)
execute_process(COMMAND ${CMAKE_COMMAND} -E echo "#include <new>"
  COMMAND ${CMAKE_CXX_COMPILER} -E -x c++ - RESULT_VARIABLE wafer_status OUTPUT_QUIET ERROR_QUIET)
set(CMAKE_CXX_FLAGS_INIT "${wafer_cpu}")
if(wafer_headers AND NOT wafer_status EQUAL 0)
  list(GET wafer_headers -1 wafer_headers)
  string(APPEND CMAKE_CXX_FLAGS_INIT
    " -isystem ${wafer_headers} -isystem ${wafer_headers}/arm-none-eabi")
endif()
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
