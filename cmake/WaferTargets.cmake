# wafer_library(NAME [CORE] [DEPENDS lib...]): the library of one folder of src/.
# Sources are the folder's *.cc. CORE libraries build without exceptions and RTTI.
# An include of a folder that is not below the library in DEPENDS is caught by
# tests/layering.

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

add_library(wafer_flags INTERFACE)
target_compile_options(wafer_flags INTERFACE -Wall -Wextra -Wno-unused-parameter)
if(WAFER_WERROR)
  target_compile_options(wafer_flags INTERFACE -Werror)
endif()
include(${CMAKE_CURRENT_LIST_DIR}/WaferProfiles.cmake)
if(WAFER_SANITIZE)
  target_compile_options(wafer_flags INTERFACE -fsanitize=${WAFER_SANITIZE}
    -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(wafer_flags INTERFACE -fsanitize=${WAFER_SANITIZE})
endif()
if(WAFER_FUZZ)
  target_compile_options(wafer_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(WAFER_EMBEDDED)
  target_compile_definitions(wafer_flags INTERFACE WAFER_EMBEDDED=1)
  # No run-time support for statics: no locks, nothing registered for exit.
  target_compile_options(wafer_flags INTERFACE -Os -ffunction-sections -fdata-sections
    $<$<COMPILE_LANGUAGE:CXX>:-fno-threadsafe-statics>
    $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-fno-c++-static-destructors>
    "$<$<COMPILE_LANG_AND_ID:CXX,GNU>:${wafer_small_options}>"
    -fno-asynchronous-unwind-tables)
  # Programs of another compiler, or another version of it, find machine code in the library.
  if(CMAKE_INTERPROCEDURAL_OPTIMIZATION AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(wafer_flags INTERFACE -ffat-lto-objects)
  endif()
endif()

function(wafer_library name)
  cmake_parse_arguments(ARG "CORE" "" "DEPENDS;PUBLIC_LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(${name} PUBLIC wafer_flags ${ARG_DEPENDS} ${ARG_PUBLIC_LINK})
  if(ARG_CORE)
    # -fno-exceptions -fno-rtti even in full builds, so that the core stays able.
    target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti>)
  endif()
endfunction()

# wafer_not_left_by_return(SOURCES...): functions in them are left in other ways too: by a switch of
# stacks, or with all frames since an entry at once. The thread sanitizer, which counts calls and
# returns, leaves those of them out; accesses to memory it watches there as elsewhere.
function(wafer_not_left_by_return)
  if(WAFER_SANITIZE MATCHES "thread")
    set_source_files_properties(${ARGN} PROPERTIES
      COMPILE_OPTIONS "-mllvm;-tsan-instrument-func-entry-exit=0")
  endif()
endfunction()
