# build_linux(folder cxx interpreter targets...): the static programs for small Linux systems, with
# musl where it is installed.
include(${CMAKE_CURRENT_LIST_DIR}/../run_cmake.cmake)
find_program(MUSL_GCC musl-gcc)
function(build_linux folder cxx interpreter)
  set(options)
  if(MUSL_GCC)
    set(options -DCMAKE_C_COMPILER=${MUSL_GCC})
  endif()
  run_cmake(-S ${SOURCE}/ports/linux -B ${folder} -GNinja -DCMAKE_BUILD_TYPE=MinSizeRel
    -DCMAKE_CXX_COMPILER=${cxx} -DWAFER_INTERPRETER=${interpreter} ${options})
  run_cmake(--build ${folder} --target ${ARGN})
endfunction()
