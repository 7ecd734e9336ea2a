# What the toolchains for RISC-V without an operating system have in common; they set wafer_cpu.
# Debian's compiler comes with picolibc and without C++ headers: those of the Arm package serve,
# for what the library uses of them depends on no processor.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_C_COMPILER riscv64-unknown-elf-gcc)
set(CMAKE_CXX_COMPILER riscv64-unknown-elf-g++)
set(CMAKE_NM riscv64-unknown-elf-nm)
set(CMAKE_SIZE riscv64-unknown-elf-size)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(WAFER_CXX_HEADERS "" CACHE PATH "C++ headers, if the compiler has none")
set(wafer_cxx "${WAFER_CXX_HEADERS}")
if(NOT wafer_cxx)
  file(GLOB wafer_cxx /usr/include/newlib/c++/*)
endif()
set(CMAKE_C_FLAGS_INIT "${wafer_cpu} --specs=picolibc.specs")
set(CMAKE_CXX_FLAGS_INIT
  "${wafer_cpu} --specs=picolibc.specs -isystem ${wafer_cxx} -isystem ${wafer_cxx}/arm-none-eabi")
set(CMAKE_ASM_FLAGS_INIT "${wafer_cpu}")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES WAFER_CXX_HEADERS)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
