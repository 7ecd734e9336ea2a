# What the examples of ports have in common when they are built by CMake.
set(WAFER_ROOT ${CMAKE_CURRENT_LIST_DIR}/..)
set(WAFER_EMBEDDED ON CACHE BOOL "" FORCE)
set(WAFER_TESTS OFF CACHE BOOL "" FORCE)
set(WAFER_PROFILE standard CACHE STRING "")
set(WAFER_LIBRARY "" CACHE FILEPATH "libwafer-embedded.a that has been built for the same, if not here")
if(WAFER_LIBRARY)
  add_library(wafer_lib STATIC IMPORTED GLOBAL)
  set_target_properties(wafer_lib PROPERTIES IMPORTED_LOCATION ${WAFER_LIBRARY})
else()
  add_subdirectory(${WAFER_ROOT} wafer EXCLUDE_FROM_ALL)
endif()

# wafer_port_example(target [source...]): adds the library, the part of the port that is the same
# everywhere, the example (or another, by its sources), and the board: Arm's MPS2 in QEMU, or this
# machine.
function(wafer_port_example target)
  set(board ${WAFER_ROOT}/examples/embedded)
  set(example ${ARGN})
  if(NOT example)
    set(example ${WAFER_ROOT}/ports/example/example.c)
  endif()
  target_sources(${target} PRIVATE ${WAFER_ROOT}/ports/common/wafer_port.c
    ${WAFER_ROOT}/ports/common/wafer_guard.c ${example})
  target_include_directories(${target} PRIVATE ${WAFER_ROOT}/include ${WAFER_ROOT}/ports/common
    ${WAFER_ROOT}/ports/example ${board})
  target_compile_options(${target} PRIVATE -Os -ffunction-sections -fdata-sections)
  # By its file, as the target would bring the C++ linker along.
  add_dependencies(${target} wafer_lib)
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE C)
  target_link_libraries(${target} PRIVATE $<TARGET_FILE:wafer_lib> m)
  target_link_options(${target} PRIVATE -Wl,--gc-sections)
  if(CMAKE_SYSTEM_NAME STREQUAL Generic)
    target_sources(${target} PRIVATE ${board}/board_mps2.c)
    target_link_options(${target} PRIVATE -nostartfiles --specs=nano.specs -T${board}/mps2.ld)
    set_target_properties(${target} PROPERTIES SUFFIX .elf)
  else()
    target_sources(${target} PRIVATE ${board}/board_host.c)
  endif()
endfunction()
