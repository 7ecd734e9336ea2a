# For the tests of ports: builds and runs the example of a system.
include(${CMAKE_CURRENT_LIST_DIR}/../run_cmake.cmake)
find_program(GCC arm-none-eabi-g++)
find_program(QEMU qemu-system-arm)

# build_example(system folder configure-arguments...): its targets, and those in EXAMPLE_TARGETS,
# which are of the library's own examples
function(build_example system folder)
  run_cmake(-S ${SOURCE}/ports/${system}/example -B ${folder} -GNinja -DCMAKE_BUILD_TYPE=MinSizeRel
    ${ARGN})
  run_cmake(--build ${folder} --target all ${EXAMPLE_TARGETS})
endfunction()

# run_example(program): it has to find all as expected; a .elf is run in an emulator.
function(run_example program)
  set(command ${program})
  if(program MATCHES "\\.elf$")
    set(command ${QEMU} -M mps2-an386 -nographic -semihosting-config enable=on,target=native
      -kernel ${program})
  endif()
  execute_process(COMMAND ${command} RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE out
    TIMEOUT 60)
  message("${out}")
  if(NOT status EQUAL 0 OR NOT out MATCHES "(watch: all|thermostat:) as expected")
    message(FATAL_ERROR "the example failed: ${status}")
  endif()
endfunction()
