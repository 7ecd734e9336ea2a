# cmake -DSOURCE=. -DBUILD=folder -DSYSTEM=name -DVARIABLE=NAME_DIR -DCXX=compiler -DNATIVE=bool
#   -P system.cmake
# Builds the example of a system whose sources are in the folder that the variable of the
# environment names, for a Cortex-M4, and for this machine if NATIVE, and runs it.
include(${CMAKE_CURRENT_LIST_DIR}/example.cmake)
if(NOT DEFINED ENV{${VARIABLE}} OR NOT GCC OR NOT QEMU)
  message("skipped: needs ${VARIABLE}, arm-none-eabi-g++ and qemu-system-arm")
  return()
endif()
string(REPLACE "-" "" program ${SYSTEM})
build_example(${SYSTEM} ${BUILD}/example -D${VARIABLE}=$ENV{${VARIABLE}}
  --toolchain ${SOURCE}/cmake/toolchains/cortex-m4.cmake)
run_example(${BUILD}/example/example_${program}.elf)
if(NATIVE)
  build_example(${SYSTEM} ${BUILD}/native -D${VARIABLE}=$ENV{${VARIABLE}}
    -DCMAKE_CXX_COMPILER=${CXX} -DWAFER_PROFILE=full)
  run_example(${BUILD}/native/example_${program})
endif()
