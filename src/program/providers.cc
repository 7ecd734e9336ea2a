// Imports that are missing, and who usually gives them.
#include "program/text.h"

namespace wafer::program {

namespace {

struct Provider {
  // Of the module's name, or of the whole of it if it does not end with '*'.
  std::string_view module;
  std::string_view name;  // the same for the import's name
  std::string_view text;
};

// The first that fits counts.
constexpr Provider kProviders[] = {
    {"wasi", "thread-spawn", "threads of WASI (wasi-threads), which Wafer does not provide"},
    {"wasi_snapshot_preview1", "*", "no function of WASI 0.1"},
    {"wasi_unstable", "*", "no function of WASI 0.0"},
    {"wasix_*", "*", "WASIX, a system interface of Wasmer; build for wasm32-wasip1 instead"},
    {"wasi_nn", "*", "wasi-nn, an interface to machine learning"},
    {"wasi_ephemeral_*", "*", "a proposal for WASI that did not become part of it"},
    {"wasi:*", "*", "WASI 0.2 or later, for components; build for wasm32-wasip1 instead"},
    {"wbg", "*", "wasm-bindgen's JavaScript; to run outside of it, build for wasm32-wasip1"},
    {"__wbindgen_*", "*",
     "JavaScript that the wasm-bindgen tool makes; to run outside of it, build for wasm32-wasip1"},
    {"./*_bg.js", "*", "wasm-bindgen's JavaScript; to run outside of it, build for wasm32-wasip1"},
    {"gojs", "*", "Go's wasm_exec.js; to run outside of it, build with GOOS=wasip1"},
    {"go", "*", "Go's wasm_exec.js; to run outside of it, build with GOOS=wasip1"},
    {"wasm:js-string", "*", "a JavaScript engine (string builtins)"},
    {"GOT.*", "*", "a dynamic linker: the module is a shared library or needs some"},
    {"env", "__memory_base", "a dynamic linker: the module is a shared library"},
    {"env", "__table_base", "a dynamic linker: the module is a shared library"},
    {"env", "proxy_*", "a proxy (proxy-wasm), such as Envoy"},
    {"env", "abort", "AssemblyScript's loader, or a host; --use abort= builds without it"},
    {"env", "invoke_*",
     "Emscripten's JavaScript; build with -sSTANDALONE_WASM to run outside of it"},
    {"env", "*emscripten*",
     "Emscripten's JavaScript; build with -sSTANDALONE_WASM to run outside of it"},
    {"env", "*",
     "functions that were declared and not linked in, or given by a host program or by "
     "Emscripten's JavaScript (build with -sSTANDALONE_WASM to run outside of it)"},
    {"a", "?", "Emscripten's JavaScript; build with -sSTANDALONE_WASM to run outside of it"},
    {"spectest", "*", "the specification's test scripts, which 'wafer wast' runs"},
};

// '*' stands for anything, '?' for at most two characters.
bool matches(std::string_view pattern, std::string_view text) {
  if (pattern == "?") return text.size() <= 2;
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == text;
  if (pattern.size() > 1 && pattern.front() == '*' && pattern.back() == '*')
    return text.find(pattern.substr(1, pattern.size() - 2)) != std::string_view::npos;
  const std::string_view begin = pattern.substr(0, star), end = pattern.substr(star + 1);
  return text.size() >= begin.size() + end.size() && text.starts_with(begin) && text.ends_with(end);
}

}  // namespace

std::string_view usual_provider(std::string_view module, std::string_view name) {
  for (const Provider& p : kProviders)
    if (matches(p.module, module) && matches(p.name, name)) return p.text;
  return {};
}

}  // namespace wafer::program
