#if WAFER_WITH_WAT

#include "wat/wat.h"

#include "wafer/wat.hpp"

namespace wafer {

Result<Vec<uint8_t>> wat2wasm(std::string_view text) {
  WAFER_LET(binary, wat::parse_wat(text));
  return Vec<uint8_t>(std::move(binary));
}

Result<String> wasm2wat(const Module& module) { return wat::print_wat(*module.raw()); }

Result<Module> compile_wat(const Engine& engine, std::string_view text) {
  wat::ParseOptions options;
  options.features = engine.config().features;
  WAFER_LET(binary, wat::parse_wat(text, options));
  Result<Module> module = Module::compile(engine, binary);
  if (module.ok()) return module;
  return binary.in_source(module.take_error());
}

}  // namespace wafer

#endif
