# For build systems that compile the library as part of theirs, with their flags: after
# WAFER_PROFILE is set, or its entry of a Kconfig file, and WAFER_OPTIMIZE where the system's flags
# have less than -Os or -O2, gives
#   wafer_embedded_sources   all sources of libwafer-embedded.a
#   wafer_flags              a target: definitions of what is built in, and options
#   wafer_embedded_includes  folders of headers
# and what single sources need is set for them, for the targets of this directory.
get_filename_component(wafer_root ${CMAKE_CURRENT_LIST_DIR}/.. ABSOLUTE)
set(WAFER_EMBEDDED ON)
if(NOT TARGET wafer_flags)
  add_library(wafer_flags INTERFACE)
endif()
include(${CMAKE_CURRENT_LIST_DIR}/WaferProfiles.cmake)
target_compile_definitions(wafer_flags INTERFACE WAFER_EMBEDDED=1)
target_compile_options(wafer_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-std=gnu++20 -fno-exceptions -fno-rtti -fno-threadsafe-statics>
  "$<$<COMPILE_LANG_AND_ID:CXX,GNU>:${wafer_small_options}>"
  ${WAFER_OPTIMIZE})
set(wafer_embedded_includes ${wafer_root}/src ${wafer_root}/include)
set(wafer_embedded_sources)
include(${CMAKE_CURRENT_LIST_DIR}/EmbeddedFolders.cmake)
foreach(folder ${wafer_embedded_folders})
  file(GLOB sources ${wafer_root}/src/${folder}/*.cc)
  list(APPEND wafer_embedded_sources ${sources})
  if(folder STREQUAL "interp")
    set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS
      "-fno-math-errno;-ffp-contract=off")
  endif()
endforeach()
list(TRANSFORM wafer_xip_sources PREPEND ${wafer_root}/src/interp/)
set_source_files_properties(${wafer_xip_sources} PROPERTIES COMPILE_DEFINITIONS WAFER_HAS_XIP=1)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(TRANSFORM wafer_dispatch_sources PREPEND ${wafer_root}/src/interp/)
  set_property(SOURCE ${wafer_dispatch_sources} APPEND PROPERTY COMPILE_OPTIONS
    ${wafer_dispatch_options})
  set_property(SOURCE ${wafer_root}/src/interp/exec.cc ${wafer_root}/src/interp/in_place_fast.cc
    APPEND PROPERTY COMPILE_OPTIONS -fno-tree-loop-distribute-patterns -fomit-frame-pointer)
endif()
