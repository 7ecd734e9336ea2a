# cmake -DSOURCE=. -DBUILD=folder -DCXX=compiler -DWAFER=wafer -DINTERPRETER=name [-DGUEST=module]
#   -P linux.cmake
# Builds the static programs for small Linux systems, with musl where it is installed, runs the
# example and the tests of a lack of memory and of regions, and checks the size of the command.
set(limit 400000)
include(${CMAKE_CURRENT_LIST_DIR}/linux_build.cmake)
build_linux(${BUILD} ${CXX} ${INTERPRETER} wafer_small example_linux memory_test
  regions_test)
execute_process(COMMAND ${BUILD}/example_linux RESULT_VARIABLE status OUTPUT_VARIABLE out TIMEOUT 60)
message("${out}")
if(NOT status EQUAL 0 OR NOT out MATCHES "watch: all as expected")
  message(FATAL_ERROR "the example failed: ${status}")
endif()
execute_process(COMMAND ${WAFER} wat2wasm ${SOURCE}/tests/ports/files.wat -o ${BUILD}/files.wasm
  COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${BUILD}/memory_test ${BUILD}/files.wasm ${GUEST} RESULT_VARIABLE status OUTPUT_VARIABLE out
  TIMEOUT 300)
message("${out}")
if(NOT status EQUAL 0 OR NOT out MATCHES "all as expected")
  message(FATAL_ERROR "a lack of memory: ${status}")
endif()
foreach(module regions trimmed)
  execute_process(COMMAND ${WAFER} wat2wasm ${SOURCE}/tests/ports/${module}.wat
    -o ${BUILD}/${module}.wasm COMMAND_ERROR_IS_FATAL ANY)
endforeach()
execute_process(COMMAND ${BUILD}/regions_test ${BUILD}/regions.wasm ${BUILD}/trimmed.wasm
  RESULT_VARIABLE status OUTPUT_VARIABLE out TIMEOUT 120)
message("${out}")
if(NOT status EQUAL 0 OR NOT out MATCHES "all as expected")
  message(FATAL_ERROR "regions and arenas: ${status}")
endif()
# The command, with every amount of memory: it says what it lacks, and is not ended by a signal.
set(ended 0)
set(lacked 0)
foreach(kilobytes RANGE 40 1000 20)
  execute_process(COMMAND sh -c "ulimit -d ${kilobytes}; exec \"$0\" \"$1\"" ${BUILD}/wafer_small
    ${BUILD}/files.wasm RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE error TIMEOUT 60)
  if(status STREQUAL "0")
    math(EXPR ended "${ended} + 1")
  elseif(status MATCHES "^(1|134)$" AND error MATCHES "^wafer: [^\n]*memory[^\n]*\n$")
    math(EXPR lacked "${lacked} + 1")
  else()
    message(FATAL_ERROR "wafer_small with ${kilobytes} KiB: ${status}: ${error}")
  endif()
endforeach()
if(ended EQUAL 0 OR lacked EQUAL 0)
  message(FATAL_ERROR "wafer_small: ended ${ended} times, lacked memory ${lacked} times")
endif()
find_program(STRIP strip REQUIRED)
execute_process(COMMAND ${STRIP} -o ${BUILD}/stripped ${BUILD}/wafer_small)
file(SIZE ${BUILD}/stripped size)
message("wafer_small: ${size} bytes, of ${limit} at most with musl")
if(MUSL_GCC AND size GREATER limit)
  message(FATAL_ERROR "it has grown")
endif()
