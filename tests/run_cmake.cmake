# run_cmake(arguments...): in the project's folder, SOURCE. What it says is told if it fails.
function(run_cmake)
  execute_process(COMMAND ${CMAKE_COMMAND} ${ARGN} WORKING_DIRECTORY ${SOURCE} RESULT_VARIABLE status
    OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "cmake ${ARGN}:\n${out}")
  endif()
endfunction()
