# cmake -DSOURCE=folder -DOUTPUT=file -P BuildInfo.cmake: the commit, for C++. Without git or
# a repository it is empty.
find_package(Git QUIET)
set(commit "")
if(GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE} log -1 --format=%h\ %cs --abbrev=12
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
# Written only if it changed.
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define WAFER_COMMIT \"${commit}\"\n" @ONLY)
