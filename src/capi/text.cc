// The text format in C.
#if WAFER_WITH_WAT

#include "capi/capi.h"
#include "wat/wat.h"

using namespace wafer;
using namespace wafer::capi;

extern "C" {

wafer_error_t* wafer_wat2wasm(const char* text, size_t size, wasm_byte_vec_t* out) {
  *out = {0, nullptr};
  auto binary = wat::parse_wat({text, size});
  if (!binary.ok()) return new_error(binary.take_error());
  set_bytes(out, *binary);
  return nullptr;
}

wafer_error_t* wafer_wasm2wat(const wasm_byte_vec_t* binary, wasm_byte_vec_t* out) {
  *out = {0, nullptr};
  wasm::DecodeOptions options;
  options.copy_bytes = false;
  options.features = wasm::FeatureSet::all();
  auto module = wasm::decode_module(bytes_of(*binary), options);
  if (!module.ok()) return new_error(module.take_error());
  auto text = wat::print_wat(**module);
  if (!text.ok()) return new_error(text.take_error());
  wasm_byte_vec_new(out, text->size(), text->data());
  return nullptr;
}

}  // extern "C"

#endif
