# wafer_wasi_library(p2 "WASI 0.2" [DEPENDS lib...] [OF other=package]): the library of a
# generation, over what the generator makes of the WIT files in its folder. With OF, a package that
# `deps` has is another's.
function(wafer_wasi_library generation name)
  cmake_parse_arguments(ARG "" "OF" "DEPENDS" ${ARGN})
  set(generated ${CMAKE_CURRENT_BINARY_DIR}/generated)
  file(GLOB wit CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/wit/*.wit
    ${CMAKE_CURRENT_SOURCE_DIR}/wit/deps/*.wit)
  if(ARG_OF)
    set(of --of ${ARG_OF})
  endif()
  set(folder ${generated}/wasi/${generation})
  set(bindings ${folder}/bindings.h ${folder}/functions.inc)
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(OUTPUT ${bindings}
    COMMAND wafer-wasi-gen ${generation} ${bindings} ${of} ${wit}
    DEPENDS wafer-wasi-gen ${wit} VERBATIM COMMENT "Reading the WIT of ${name}")
  wafer_library(wafer_wasi_${generation} DEPENDS wafer_wasi_bind wafer_host ${ARG_DEPENDS})
  target_sources(wafer_wasi_${generation} PRIVATE ${bindings})
  target_include_directories(wafer_wasi_${generation} PUBLIC ${generated})
endfunction()
