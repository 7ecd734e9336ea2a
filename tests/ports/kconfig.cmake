# cmake -DSOURCE=. -DBUILD=folder -P kconfig.cmake
# Each value of each choice of cmake/WaferProfiles.cmake has an entry in the Kconfig files of systems
# that build the library, there are no others, and they do what they say.
cmake_minimum_required(VERSION 3.24)
set(ports zephyr/Kconfig:WAFER_ esp-idf/wafer/Kconfig:WAFER_ nuttx/Kconfig:INTERPRETERS_WAFER_)

# A project with the profiles and no compiler.
file(MAKE_DIRECTORY ${BUILD}/project)
file(WRITE ${BUILD}/project/CMakeLists.txt "cmake_minimum_required(VERSION 3.24)
project(profiles LANGUAGES NONE)
set(WAFER_EMBEDDED ON)
add_library(wafer_flags INTERFACE)
include(${SOURCE}/cmake/WaferProfiles.cmake)
get_target_property(definitions wafer_flags INTERFACE_COMPILE_DEFINITIONS)
message(STATUS \"profile=\${WAFER_PROFILE} interpreter=\${WAFER_INTERPRETER} definitions=\${definitions};\")
")
# expect(PATTERN OPTION...): in the same folder each time, as when a configuration is changed.
function(expect pattern)
  execute_process(COMMAND ${CMAKE_COMMAND} -S ${BUILD}/project -B ${BUILD}/build ${ARGN}
    RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT out MATCHES "${pattern}")
    message(SEND_ERROR "${ARGN}: no '${pattern}' in\n${out}")
  endif()
endfunction()

# NuttX's Makefile, with the rest of NuttX left out.
file(WRITE ${BUILD}/nuttx/Make.defs "")
file(WRITE ${BUILD}/nuttx/Application.mk "")
function(expect_nuttx pattern)
  execute_process(COMMAND make -s -n -C ${SOURCE}/ports/nuttx APPDIR=${BUILD}/nuttx TOPDIR=${BUILD}/nuttx DELIM=/ OBJEXT=.o
    ${ARGN} ${BUILD}/nuttx/staging/libwafer/wafer.o OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT out MATCHES "${pattern}")
    message(SEND_ERROR "make ${ARGN}: no '${pattern}' in\n${out}")
  endif()
endfunction()
find_program(MAKE make)

file(REMOVE_RECURSE ${BUILD}/build)
file(STRINGS ${SOURCE}/cmake/WaferProfiles.cmake choices REGEX "^wafer_choice\\(")
set(entries OPTIONS)
set(names)
foreach(choice ${choices})
  string(REGEX MATCH "^wafer_choice\\(([A-Z]+) [a-z-]+ \"[^\"]*\" ([^)]*)\\)" choice "${choice}")
  set(name ${CMAKE_MATCH_1})
  separate_arguments(values UNIX_COMMAND "${CMAKE_MATCH_2}")
  list(APPEND names ${name})
  string(TOLOWER ${name} shown)
  foreach(value ${values})
    string(TOUPPER ${name}_${value} entry)
    string(REPLACE "-" "_" entry ${entry})
    list(APPEND entries ${entry})
    expect("${shown}=${value} " -DCONFIG_WAFER_${entry}=ON)
    expect("${shown}=${value} " -UCONFIG_WAFER_${entry})
    if(MAKE)
      expect_nuttx("-DWAFER_${name}=${value} " CONFIG_INTERPRETERS_WAFER_${entry}=y)
    endif()
  endforeach()
endforeach()
list(LENGTH names count)
if(count LESS 2)
  message(SEND_ERROR "choices: ${names}")
endif()
foreach(port ${ports})
  string(REPLACE ":" ";" port ${port})
  list(GET port 0 file)
  list(GET port 1 prefix)
  list(JOIN names "|" any)
  file(STRINGS ${SOURCE}/ports/${file} lines REGEX "^ *config ${prefix}((${any})_|OPTIONS)")
  list(TRANSFORM lines REPLACE "^ *config ${prefix}" "")
  set(missing ${entries})
  list(REMOVE_ITEM missing ${lines})
  set(unknown ${lines})
  list(REMOVE_ITEM unknown ${entries})
  if(missing OR unknown)
    message(SEND_ERROR "ports/${file}: not there: '${missing}'; for no value: '${unknown}'")
  endif()
endforeach()

# What a profile leaves out follows the profile, also where it was another before.
expect("Simd=0;" -DCONFIG_WAFER_PROFILE_STANDARD=ON -DCONFIG_WAFER_INTERPRETER_TRANSLATING=ON)
expect("=full [^;]*=WAFER_BRIEF=1;WAFER_HAS_StackSwitching=0;" -UCONFIG_WAFER_PROFILE_STANDARD -DCONFIG_WAFER_PROFILE_FULL=ON)
expect("TRANSLATOR=0;.*Simd=0;" -UCONFIG_WAFER_INTERPRETER_TRANSLATING -DCONFIG_WAFER_INTERPRETER_IN_PLACE=ON)
expect("TRANSLATOR=0;.*TailCall=0;" "-DCONFIG_WAFER_OPTIONS=WAFER_FEATURE_TAIL_CALL=OFF WAFER_BRIEF=OFF")
expect("in-place definitions=WAFER_HAS_TRANSLATOR" -DCONFIG_WAFER_OPTIONS=WAFER_BRIEF=OFF)
expect("not WAFER_<NAME>=<VALUE>" "-DCONFIG_WAFER_OPTIONS=WAFER_BRIEF")
# What is asked for and cannot be built in is no silence; what goes with something left out, goes.
expect("WAFER_FEATURE_EXCEPTIONS needs WAFER_FEATURE_REFERENCE_TYPES" -UCONFIG_WAFER_INTERPRETER_IN_PLACE
  -UCONFIG_WAFER_PROFILE_FULL -DCONFIG_WAFER_PROFILE_MINIMAL=ON -DCONFIG_WAFER_OPTIONS=WAFER_FEATURE_EXCEPTIONS=ON)
expect("WAFER_HAS_FunctionReferences=0;WAFER_HAS_GC=0;WAFER_HAS_Legacy"
  "-DCONFIG_WAFER_OPTIONS=WAFER_FEATURE_EXCEPTIONS=ON WAFER_FEATURE_REFERENCE_TYPES=ON"
  -DCONFIG_WAFER_INTERPRETER_TRANSLATING=ON)
expect("no such option: WAFER_FEATURE_TAILCALL; there are"
  -DCONFIG_WAFER_OPTIONS=WAFER_FEATURE_TAILCALL=ON)
expect("Exceptions=0;.*TailCall=0;" -DCONFIG_WAFER_OPTIONS=WAFER_BRIEF=OFF)
expect("WAFER_HAS_ReferenceTypes=0;WAFER_HAS_FunctionReferences=0;WAFER_HAS_GC=0;WAFER_HAS_Exceptions=0;"
  -UCONFIG_WAFER_PROFILE_MINIMAL -DCONFIG_WAFER_PROFILE_FULL=ON
  -DCONFIG_WAFER_OPTIONS=WAFER_FEATURE_REFERENCE_TYPES=OFF)
if(MAKE)
  expect_nuttx("-DCONFIG_WAFER_OPTIONS=\"WAFER_A=1 WAFER_B=2\"" "CONFIG_INTERPRETERS_WAFER_OPTIONS=\"WAFER_A=1 WAFER_B=2\"")
endif()
