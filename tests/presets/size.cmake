# check_size(elf limit what): the text of a program for Arm's microcontrollers, code and
# constants, must not be more than `limit` bytes.
function(check_size elf limit what)
  find_program(SIZE arm-none-eabi-size REQUIRED)
  execute_process(COMMAND ${SIZE} ${elf} OUTPUT_VARIABLE out RESULT_VARIABLE status)
  if(NOT status EQUAL 0 OR NOT out MATCHES "\n *([0-9]+)")
    message(FATAL_ERROR "no size of ${elf}")
  endif()
  message("${what}: ${CMAKE_MATCH_1} bytes of text, of ${limit} at most")
  if(CMAKE_MATCH_1 GREATER limit)
    message(FATAL_ERROR "${what} has grown")
  endif()
endfunction()
