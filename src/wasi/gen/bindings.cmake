# wafer_wasi_library(p2 "WASI 0.2"): the library of a generation, over what the generator makes of
# the WIT files in its folder.
function(wafer_wasi_library generation name)
  set(generated ${CMAKE_CURRENT_BINARY_DIR}/generated)
  file(GLOB wit CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/wit/*.wit)
  set(folder ${generated}/wasi/${generation})
  set(bindings ${folder}/bindings.h ${folder}/functions.inc)
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(OUTPUT ${bindings}
    COMMAND wafer-wasi-gen ${generation} ${bindings} ${wit}
    DEPENDS wafer-wasi-gen ${wit} VERBATIM COMMENT "Reading the WIT of ${name}")
  wafer_library(wafer_wasi_${generation} DEPENDS wafer_wasi_bind wafer_host)
  target_sources(wafer_wasi_${generation} PRIVATE ${bindings})
  target_include_directories(wafer_wasi_${generation} PRIVATE ${generated})
endfunction()
