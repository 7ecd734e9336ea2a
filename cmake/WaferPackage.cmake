# What users get: one static and one shared library of all parts (or, in embedded
# builds, libwafer-embedded.a), headers, a CMake package and a pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
find_package(Threads REQUIRED)
# Libraries of others that ours are made with: they go into the static library, and stay
# inside the shared one, so that its users need none of them. Where asmjit is there only as a
# shared library, the static one asks for it by name.
set(wafer_inner_libraries)
set(wafer_asked_libraries)
if(TARGET wafer_baseline)
  find_package(asmjit REQUIRED CONFIG)
  get_target_property(type asmjit::asmjit TYPE)
  if(type STREQUAL STATIC_LIBRARY)
    list(APPEND wafer_inner_libraries $<TARGET_FILE:asmjit::asmjit>)
    set(wafer_asked_libraries rt)
  else()
    set(wafer_asked_libraries asmjit rt)
  endif()
endif()
if(TARGET wafer_demangle)
  list(APPEND wafer_inner_libraries ${LLVM_DEMANGLE_LIBRARY})
endif()

set(wafer_parts)
foreach(part base devices devices_imports wasm component component_run runtime interp compiler baseline tiering tiers demangle api capi wat host wasi_bind wasi_p1 wasi_p2 wasi_p3 wasi_devices host_devices wasi_command embedded)
  if(TARGET wafer_${part})
    list(APPEND wafer_parts wafer_${part})
  endif()
endforeach()
set(wafer_objects)
foreach(part ${wafer_parts})
  list(APPEND wafer_objects $<TARGET_OBJECTS:${part}>)
endforeach()

function(wafer_user_library target type)
  add_library(${target} ${type} ${wafer_objects})
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${target} PUBLIC cxx_std_20)
  if(WAFER_SANITIZE)
    target_link_options(${target} PUBLIC -fsanitize=${WAFER_SANITIZE})
  endif()
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX)
  list(APPEND wafer_user_libraries ${target})
  set(wafer_user_libraries ${wafer_user_libraries} PARENT_SCOPE)
endfunction()

if(WAFER_EMBEDDED)
  wafer_user_library(wafer_lib STATIC)
  set_target_properties(wafer_lib PROPERTIES OUTPUT_NAME wafer-embedded EXPORT_NAME embedded)
  target_compile_definitions(wafer_lib INTERFACE WAFER_EMBEDDED=1)
  add_library(wafer::embedded ALIAS wafer_lib)
else()
  wafer_user_library(wafer_lib STATIC)
  set_target_properties(wafer_lib PROPERTIES OUTPUT_NAME wafer EXPORT_NAME wafer)
  # By name and not as packages: find_package(Wafer) looks for nothing else.
  target_link_libraries(wafer_lib PUBLIC ${wafer_asked_libraries} $<$<PLATFORM_ID:Linux>:m> ${CMAKE_DL_LIBS})
  target_link_options(wafer_lib PUBLIC -pthread)
  if(wafer_inner_libraries)
    set(all ${PROJECT_BINARY_DIR}/libwafer-with-others.a)
    set(script "CREATE ${all}\nADDLIB $<TARGET_FILE:wafer_lib>\n")
    foreach(library ${wafer_inner_libraries})
      string(APPEND script "ADDLIB ${library}\n")
    endforeach()
    file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/libwafer.mri CONTENT "${script}SAVE\nEND\n")
    add_custom_command(TARGET wafer_lib POST_BUILD
      COMMAND ${CMAKE_AR} -M < ${PROJECT_BINARY_DIR}/libwafer.mri
      COMMAND ${CMAKE_COMMAND} -E rename ${all} $<TARGET_FILE:wafer_lib> VERBATIM)
  endif()
  add_library(wafer::wafer ALIAS wafer_lib)
  if(NOT WAFER_FUZZ)
    wafer_user_library(wafer_shared SHARED)
    set_target_properties(wafer_shared PROPERTIES OUTPUT_NAME wafer EXPORT_NAME shared
      VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
    foreach(library ${wafer_inner_libraries})
      target_link_libraries(wafer_shared PRIVATE $<BUILD_INTERFACE:${library}>)
    endforeach()
    foreach(library ${wafer_asked_libraries} Threads::Threads ${CMAKE_DL_LIBS})
      target_link_libraries(wafer_shared PRIVATE $<BUILD_INTERFACE:${library}>)
    endforeach()
    # What is inside stays the library's own.
    target_link_options(wafer_shared PRIVATE -Wl,--exclude-libs,ALL)
    add_library(wafer::shared ALIAS wafer_shared)
  endif()
  if(TARGET wafer-llvm AND NOT WAFER_FUZZ)
    # The optimizing compiler for programs that link everything.
    add_library(wafer_llvm_linked STATIC $<TARGET_OBJECTS:wafer_llvm> $<TARGET_OBJECTS:wafer_llvm_entry>)
    set_target_properties(wafer_llvm_linked PROPERTIES OUTPUT_NAME wafer-llvm EXPORT_NAME wafer-llvm
      LINKER_LANGUAGE CXX)
    # LLVM's shared library by the name that programs load it by, which needs no -dev package.
    find_package(LLVM 22.1 REQUIRED QUIET CONFIG)
    file(REAL_PATH "${LLVM_LIBRARY_DIRS}/libLLVM${CMAKE_SHARED_LIBRARY_SUFFIX}" llvm_file)
    get_filename_component(llvm_name "${llvm_file}" NAME)
    get_filename_component(llvm_folder "${llvm_file}" DIRECTORY)
    target_link_libraries(wafer_llvm_linked PUBLIC wafer_lib $<BUILD_INTERFACE:LLVM>
      $<INSTALL_INTERFACE:-l:${llvm_name}>)
    target_link_directories(wafer_llvm_linked INTERFACE $<INSTALL_INTERFACE:${llvm_folder}>)
    target_link_options(wafer_llvm_linked INTERFACE LINKER:--undefined=wafer_linked_llvm_backend)
    add_library(wafer::wafer-llvm ALIAS wafer_llvm_linked)
    list(APPEND wafer_user_libraries wafer_llvm_linked)
  endif()
endif()

# The public headers name some of src/'s as "base/result.h". Installed copies lie below
# wafer/core and are named in full, so that no folder called base or wasm is claimed.
set(wafer_core_headers base/platform.h base/memory.h base/result.h base/span.h
    runtime/trap.h wasm/built.h wasm/opcode.h wasm/opcodes.def wasm/types.h)
set(wafer_public_headers types.hpp engine.hpp store.hpp func.hpp externs.hpp linker.hpp wafer.hpp)
set(wafer_c_headers wasm.h wafer.h wafer_devices.h)
if(NOT WAFER_EMBEDDED)
  list(APPEND wafer_c_headers wafer_component.h)
  list(APPEND wafer_public_headers wat.hpp wasi.hpp async.hpp component.hpp component_types.hpp
    component_value.hpp bindings.hpp)
endif()
set(wafer_staged ${PROJECT_BINARY_DIR}/staged-include)
get_target_property(wafer_definitions wafer_flags INTERFACE_COMPILE_DEFINITIONS)
set(wafer_built "")
foreach(definition IN LISTS wafer_definitions)
  if(definition MATCHES "^(WAFER_HAS_.*)=0$")
    string(APPEND wafer_built "#define ${CMAKE_MATCH_1} 0\n")
  endif()
endforeach()
function(wafer_stage from to)
  file(READ ${from} text)
  string(REGEX REPLACE "#include \"(base|runtime|wasm)/" "#include \"wafer/core/\\1/" text "${text}")
  if(from MATCHES "/wasm/built.h$")
    # A program that uses the library sees what this build has.
    string(REPLACE "#pragma once\n" "#pragma once\n\n${wafer_built}" text "${text}")
  endif()
  # Written only if it changed.
  file(CONFIGURE OUTPUT ${wafer_staged}/${to} CONTENT "${text}" @ONLY)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${from})
endfunction()
foreach(header ${wafer_core_headers})
  wafer_stage(${PROJECT_SOURCE_DIR}/src/${header} wafer/core/${header})
endforeach()
foreach(header ${wafer_public_headers})
  wafer_stage(${PROJECT_SOURCE_DIR}/include/wafer/${header} wafer/${header})
endforeach()
install(DIRECTORY ${wafer_staged}/wafer DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
foreach(header ${wafer_c_headers})
  install(FILES ${PROJECT_SOURCE_DIR}/include/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endforeach()

install(TARGETS ${wafer_user_libraries} EXPORT WaferTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(NOT WAFER_EMBEDDED)
  install(EXPORT WaferTargets NAMESPACE Wafer:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Wafer)
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/WaferConfig.cmake.in
    ${PROJECT_BINARY_DIR}/WaferConfig.cmake
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Wafer)
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/WaferConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
  set(wafer_private_libs "-lstdc++ -lm -pthread -ldl")
  foreach(library ${wafer_asked_libraries})
    string(PREPEND wafer_private_libs "-l${library} ")
  endforeach()
  configure_file(${PROJECT_SOURCE_DIR}/cmake/wafer.pc.in ${PROJECT_BINARY_DIR}/wafer.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/WaferConfig.cmake ${PROJECT_BINARY_DIR}/WaferConfigVersion.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Wafer)
  install(FILES ${PROJECT_BINARY_DIR}/wafer.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()
