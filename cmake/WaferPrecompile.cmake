# WAFER_PCH: what most sources of a target include is compiled once for it. That makes it quicker to
# build everything; but all sources of a target are compiled again when one of these headers changes,
# so it is not for work on them. Sources include what they use all the same.
#
# ccache needs CCACHE_SLOPPINESS=pch_defines,time_macros for it.
function(wafer_precompile target)
  if(NOT TARGET ${target})
    return()
  endif()
  set(headers)
  foreach(header ${ARGN})
    if(NOT header MATCHES "^<")
      set(header "\"${header}\"")
    endif()
    # A generator expression ends at '>'.
    string(REPLACE ">" "$<ANGLE-R>" header ${header})
    list(APPEND headers "$<$<COMPILE_LANGUAGE:CXX>:${header}>")
  endforeach()
  target_precompile_headers(${target} PRIVATE ${headers})
  # The same headers give the same file, by which ccache knows what was compiled with it.
  target_compile_options(${target} PRIVATE
    "$<$<COMPILE_LANG_AND_ID:CXX,Clang>:SHELL:-Xclang -fno-pch-timestamp>")
endfunction()

wafer_precompile(wafer_wasm <algorithm> wasm/cursor.h wasm/module.h)
wafer_precompile(wafer_wat <algorithm> wat/module_parser.h)
wafer_precompile(wafer_wit <algorithm> wit/resolve.h wit/source.h)
wafer_precompile(wafer_component <algorithm> component/component.h component/names.h wasm/cursor.h)
wafer_precompile(wafer_component_run <algorithm> component/run/handles.h component/run/task.h)
wafer_precompile(wafer_compose <algorithm> component/core_module.h component/sections.h
  wasm/instr.h wit/component_type.h wit/encode.h wit/merge.h)
wafer_precompile(wafer_bindgen <algorithm> bindgen/naming.h bindgen/world.h)
wafer_precompile(wafer_runtime <algorithm> runtime/store.h)
wafer_precompile(wafer_interp interp/exec.h)
wafer_precompile(wafer_devices_imports devices/imports/functions.h runtime/host_thunk.h)
wafer_precompile(wafer_compiler <algorithm> compiler/abi.h compiler/backend.h
  compiler/cache_turn.h)
wafer_precompile(wafer_baseline compiler/baseline/codegen.h)
wafer_precompile(wafer_optimizing <algorithm> compiler/optimizing/ir.h)
wafer_precompile(wafer_llvm compiler/llvm/translate.h)
wafer_precompile(wafer_host <algorithm> host/address.h host/fs.h)
wafer_precompile(wafer_host_devices <algorithm> host/devices/board.h host/devices/grant.h)
wafer_precompile(wafer_host_http <algorithm> host/http/client.h host/http/tls.h)
wafer_precompile(wafer_wasi_bind <algorithm> host/streams.h wasi/bind/codec.h)
wafer_precompile(wafer_wasi_p1 <algorithm> host/poll.h wasi/p1/functions.h)
wafer_precompile(wafer_wasi_p2 <algorithm> wasi/p2/resources.h)
wafer_precompile(wafer_wasi_p3 <algorithm> wasi/p3/errors.h wasi/p3/streams.h)
wafer_precompile(wafer_wasi_devices <algorithm> wasi/devices/bindings.h wasi/devices/host.h)
wafer_precompile(wafer_serve <algorithm> serve/worker.h)
wafer_precompile(wafer_program <fmt/format.h> compiler/code_bundle.h program/text.h)
wafer_precompile(wafer_oci <algorithm> <nlohmann/json.hpp> oci/reference.h oci/store.h)
wafer_precompile(wafer_api <algorithm> api/convert.h)
wafer_precompile(wafer_capi <algorithm> capi/capi.h)
wafer_precompile(wafer_cli_lib <algorithm> <CLI/CLI.hpp> cli/support.h component/component.h
  runtime/store.h)
wafer_precompile(wafer_shim_lib <algorithm> <filesystem> <nlohmann/json.hpp> shim/files.h
  shim/loop.h)
wafer_precompile(wafer_shim_proto shim/proto/common.pb.h)
wafer_precompile(wafer_unit_tests <algorithm> <thread> <gtest/gtest.h> runtime/trap.h
  wasm/decoder.h wasm/instr.h)
wafer_precompile(wafer-diff <algorithm> generator.h)
wafer_precompile(wafer_reference reference/numeric.h reference/syntax.h)
