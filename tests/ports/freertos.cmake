# cmake -DSOURCE=. -DBUILD=folder [-DFREERTOS_DIR=FreeRTOS-Kernel] [-DCXX=compiler -DLINUX_PORT=folder]
#   -P freertos.cmake
# Builds the example of FreeRTOS for a Cortex-M4, and runs it in an emulator, and with -DCXX=compiler
# as a process; LINUX_PORT is where the port to Linux is built. The kernel is that of the Rust crate
# freertos-next (MIT), which cargo downloads, unless a folder is given. The profile is `standard`,
# whose size is checked here too.
set(crate freertos-next)
set(version 0.12.0)
set(limit 79500)

include(${CMAKE_CURRENT_LIST_DIR}/example.cmake)
find_program(CARGO cargo HINTS $ENV{HOME}/.cargo/bin)
if(NOT GCC OR NOT QEMU)
  message("skipped: needs arm-none-eabi-g++ and qemu-system-arm")
  return()
endif()
if(NOT FREERTOS_DIR)
  if(NOT CARGO)
    message("skipped: no FREERTOS_DIR, and no cargo to download the kernel with")
    return()
  endif()
  # A project that depends on the crate, so that cargo unpacks it.
  file(WRITE ${BUILD}/kernel/Cargo.toml
    "[package]\nname = \"kernel\"\nversion = \"0.0.0\"\nedition = \"2021\"\n"
    "[dependencies]\n${crate} = { version = \"=${version}\", default-features = false }\n")
  file(WRITE ${BUILD}/kernel/src/lib.rs "")
  execute_process(COMMAND ${CARGO} vendor --quiet vendor WORKING_DIRECTORY ${BUILD}/kernel
    RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE error TIMEOUT 120)
  set(FREERTOS_DIR ${BUILD}/kernel/vendor/${crate}/FreeRTOS-Kernel)
  if(NOT EXISTS ${FREERTOS_DIR}/tasks.c)
    message("skipped: cannot download the kernel: ${error}")
    return()
  endif()
endif()

# The module of the thermostat, where there is a compiler for it.
set(thermostat)
set(EXAMPLE_TARGETS example_fir)
if(PYTHON)
  execute_process(COMMAND ${PYTHON} ${SOURCE}/tests/devices/thermostat.py ${WAFER}
    ${BUILD}/thermostat RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(status EQUAL 0)
    set(thermostat -DWAFER_THERMOSTAT=${BUILD}/thermostat)
    list(APPEND EXAMPLE_TARGETS example_thermostat)
  elseif(NOT status EQUAL 77)
    message(FATAL_ERROR "thermostat.py: ${out}")
  endif()
endif()

build_example(freertos ${BUILD}/example ${thermostat} -DFREERTOS_DIR=${FREERTOS_DIR}
  --toolchain ${SOURCE}/cmake/toolchains/cortex-m4.cmake)
run_example(${BUILD}/example/example_freertos.elf)
if(thermostat)
  run_example(${BUILD}/example/example_freertos_thermostat.elf)
  run_example(${BUILD}/example/wafer/examples/embedded/example_thermostat.elf)
endif()
if(CXX)
  # The kernel's port to POSIX: a process of this machine, with the library of the port to Linux.
  include(${CMAKE_CURRENT_LIST_DIR}/linux_build.cmake)
  build_linux(${LINUX_PORT} ${CXX} translating wafer_lib)
  set(EXAMPLE_TARGETS)
  build_example(freertos ${BUILD}/posix ${thermostat} -DFREERTOS_DIR=${FREERTOS_DIR}
    -DCMAKE_CXX_COMPILER=${CXX} -DWAFER_LIBRARY=${LINUX_PORT}/wafer/libwafer-embedded.a)
  run_example(${BUILD}/posix/example_freertos)
  if(thermostat)
    run_example(${BUILD}/posix/example_freertos_thermostat)
  endif()
endif()
include(${CMAKE_CURRENT_LIST_DIR}/../presets/size.cmake)
check_size(${BUILD}/example/wafer/examples/embedded/example_fir.elf ${limit} standard)
