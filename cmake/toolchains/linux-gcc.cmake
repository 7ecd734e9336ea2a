# What the toolchains of GNU's compiler for Linux on another processor have in common (Debian's
# g++-<triple> packages); programs are static, and run by QEMU. They set wafer_triple and wafer_cpu.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_C_COMPILER ${wafer_triple}-gcc)
set(CMAKE_CXX_COMPILER ${wafer_triple}-g++)
set(CMAKE_NM ${wafer_triple}-nm)
set(CMAKE_C_FLAGS_INIT "${wafer_cpu}")
set(CMAKE_CXX_FLAGS_INIT "${wafer_cpu}")
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
