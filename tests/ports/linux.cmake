# cmake -DSOURCE=. -DBUILD=folder -DCXX=compiler -P linux.cmake
# Builds the static programs for small Linux systems, with musl where it is installed, runs the
# example, and checks the size of the command.
set(limit 400000)
find_program(MUSL_GCC musl-gcc)
set(options)
if(MUSL_GCC)
  set(options -DCMAKE_C_COMPILER=${MUSL_GCC})
endif()
foreach(step "-S;${SOURCE}/ports/linux;-B;${BUILD};-GNinja;-DCMAKE_BUILD_TYPE=MinSizeRel;-DCMAKE_CXX_COMPILER=${CXX};${options}"
    "--build;${BUILD};--target;wafer_small;example_linux")
  execute_process(COMMAND ${CMAKE_COMMAND} ${step} RESULT_VARIABLE status OUTPUT_VARIABLE out
    ERROR_VARIABLE out)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "cmake ${step}:\n${out}")
  endif()
endforeach()
execute_process(COMMAND ${BUILD}/example_linux RESULT_VARIABLE status OUTPUT_VARIABLE out TIMEOUT 60)
message("${out}")
if(NOT status EQUAL 0 OR NOT out MATCHES "watch: all as expected")
  message(FATAL_ERROR "the example failed: ${status}")
endif()
find_program(STRIP strip REQUIRED)
execute_process(COMMAND ${STRIP} -o ${BUILD}/stripped ${BUILD}/wafer_small)
file(SIZE ${BUILD}/stripped size)
message("wafer_small: ${size} bytes, of ${limit} at most with musl")
if(MUSL_GCC AND size GREATER limit)
  message(FATAL_ERROR "it has grown")
endif()
