#if WAFER_WITH_WAT

#include "wat/wat.h"

#include "wafer/wat.hpp"

namespace wafer {

Result<Vec<uint8_t>> wat2wasm(std::string_view text) { return wat::parse_wat(text); }

Result<String> wasm2wat(const Module& module) { return wat::print_wat(*module.raw()); }

Result<Module> compile_wat(const Engine& engine, std::string_view text) {
  wat::ParseOptions options;
  options.features = engine.config().features;
  WAFER_LET(binary, wat::parse_wat(text, options));
  return Module::compile(engine, binary);
}

}  // namespace wafer

#endif
