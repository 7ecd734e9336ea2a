# build_linux(folder cxx interpreter targets...): the static programs for small Linux systems, with
# musl where it is installed.
find_program(MUSL_GCC musl-gcc)
function(build_linux folder cxx interpreter)
  set(options)
  if(MUSL_GCC)
    set(options -DCMAKE_C_COMPILER=${MUSL_GCC})
  endif()
  foreach(step "-S;${SOURCE}/ports/linux;-B;${folder};-GNinja;-DCMAKE_BUILD_TYPE=MinSizeRel;-DCMAKE_CXX_COMPILER=${cxx};-DWAFER_INTERPRETER=${interpreter};${options}"
      "--build;${folder};--target;${ARGN}")
    execute_process(COMMAND ${CMAKE_COMMAND} ${step} RESULT_VARIABLE status OUTPUT_VARIABLE out
      ERROR_VARIABLE out)
    if(NOT status EQUAL 0)
      message(FATAL_ERROR "cmake ${step}:\n${out}")
    endif()
  endforeach()
endfunction()
