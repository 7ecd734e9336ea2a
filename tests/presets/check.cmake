# cmake -DSOURCE=. -DPRESET=name -DCOMPILER=prefix -DPROFILE=name -DINTERPRETER=name -DLIMIT=bytes
#   [-DAPART=ON] [-DSILENT=ON] [-DMEMORY=bytes] -DWAFER=wafer -DBUILD=folder -P check.cmake
# Configures, builds and tests a preset, and checks the size of its example, and what memory it
# takes beside linear memory and stack; says that it skips where there is no compiler. APART: without
# link-time optimization, whatever the preset has; SILENT: without messages of errors.
find_program(GXX ${COMPILER}-g++)
# The headers of the compiler for Arm serve the one for RISC-V.
file(GLOB headers /usr/include/newlib/c++/*/new)
if(GXX)
  execute_process(COMMAND ${CMAKE_COMMAND} -E echo "#include <new>" COMMAND ${GXX} -E -x c++ -
    RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
endif()
if(NOT GXX OR NOT (status EQUAL 0 OR headers))
  message("skipped: no ${COMPILER}-g++ with headers of the C++ library (`scripts/setup small`)")
  return()
endif()
include(${CMAKE_CURRENT_LIST_DIR}/../run_cmake.cmake)
set(options)
set(what "${PRESET}, ${PROFILE}, ${INTERPRETER}")
if(APART)
  list(APPEND options -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF)
  string(APPEND what ", without link-time optimization")
endif()
if(SILENT)
  list(APPEND options -DWAFER_MESSAGES=OFF)
  string(APPEND what ", without messages")
endif()
run_cmake(--preset ${PRESET} -DWAFER_PROFILE=${PROFILE} -DWAFER_INTERPRETER=${INTERPRETER}
  -DWAFER_FEATURE_XIP=OFF ${options} -B ${BUILD})
run_cmake(--build ${BUILD})
# The symbols that the library needs, and the example in an emulator where there is one.
execute_process(COMMAND ${CMAKE_CTEST_COMMAND} --test-dir ${BUILD} --verbose
  --no-tests=error RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE out)
message("${out}")
if(NOT status EQUAL 0)
  message(FATAL_ERROR "tests failed")
endif()
load_cache(${BUILD} READ_WITH_PREFIX B_ WAFER_EMULATOR)
if(B_WAFER_EMULATOR AND NOT out MATCHES "embedded.example")
  message(FATAL_ERROR "the example was not run")
endif()
include(${CMAKE_CURRENT_LIST_DIR}/size.cmake)
if(LIMIT)
  check_size(${BUILD}/examples/embedded/example_fir.elf ${LIMIT} "${what}" ${COMPILER})
endif()
if(MEMORY AND B_WAFER_EMULATOR)
  if(NOT out MATCHES "pool: ([0-9]+) bytes at most")
    message(FATAL_ERROR "the example does not say what memory it takes")
  endif()
  # 2 KiB of linear memory and 8 KiB of stack; blocks of the pool have multiples of 16 bytes.
  math(EXPR structures "${CMAKE_MATCH_1} - 10 * 1024")
  message("${structures} bytes beside memory and stack, of ${MEMORY} at most")
  if(structures GREATER MEMORY)
    message(FATAL_ERROR "${what} takes more memory")
  endif()
  # And not more than `wafer size` tells ahead.
  set(most ${CMAKE_MATCH_1})
  set(in_place)
  if(INTERPRETER STREQUAL "in-place")
    set(in_place --in-place)
  endif()
  execute_process(COMMAND ${WAFER} size --profile ${PROFILE} ${in_place} --stack 8192
    ${SOURCE}/examples/embedded/fir.wat OUTPUT_VARIABLE told COMMAND_ERROR_IS_FATAL ANY)
  if(NOT told MATCHES " ([0-9]+)  in all, of RAM" OR CMAKE_MATCH_1 LESS most)
    message(FATAL_ERROR "of ${most} bytes, wafer size told:\n${told}")
  endif()
endif()
