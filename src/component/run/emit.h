// Writes one small core module: types, imports, one function.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wasm/types.h"

namespace wafer::component {

using CoreTypes = std::vector<wasm::ValType>;

class ModuleEmitter {
 public:
  // Each gives the index in its space. All imports are from module "".
  uint32_t import_func(const CoreTypes& params, const CoreTypes& results);
  uint32_t import_memory();
  uint32_t import_global();  // of a mutable i32

  // The function; parameters are its first locals.
  void begin(const CoreTypes& params, const CoreTypes& results);
  uint32_t local(wasm::ValType type);

  // ---- Instructions
  ModuleEmitter& op(uint8_t code) {
    code_.push_back(code);
    return *this;
  }
  ModuleEmitter& op(uint8_t code, uint32_t immediate) {
    code_.push_back(code);
    leb(code_, immediate);
    return *this;
  }
  ModuleEmitter& i32(int64_t v) {
    code_.push_back(0x41);
    sleb(code_, int32_t(uint32_t(uint64_t(v))));
    return *this;
  }
  ModuleEmitter& i64(int64_t v) {
    code_.push_back(0x42);
    sleb(code_, v);
    return *this;
  }
  ModuleEmitter& get(uint32_t local) { return op(0x20, local); }
  ModuleEmitter& set(uint32_t local) { return op(0x21, local); }
  ModuleEmitter& tee(uint32_t local) { return op(0x22, local); }
  ModuleEmitter& call(uint32_t func) { return op(0x10, func); }
  ModuleEmitter& block() { return op(0x02).op(0x40); }
  ModuleEmitter& loop() { return op(0x03).op(0x40); }
  ModuleEmitter& if_() { return op(0x04).op(0x40); }
  ModuleEmitter& else_() { return op(0x05); }
  ModuleEmitter& end() { return op(0x0b); }
  ModuleEmitter& br(uint32_t depth) { return op(0x0c, depth); }
  ModuleEmitter& br_if(uint32_t depth) { return op(0x0d, depth); }
  // A load or store, without alignment to rely on.
  ModuleEmitter& access(uint8_t code, uint32_t memory, uint32_t offset) {
    code_.push_back(code);
    leb(code_, memory ? 0x40 : 0);
    if (memory) leb(code_, memory);
    leb(code_, offset);
    return *this;
  }
  ModuleEmitter& memory_size(uint32_t memory) { return op(0x3f, memory); }
  ModuleEmitter& memory_copy(uint32_t to, uint32_t from) {
    op(0xfc);
    leb(code_, 10);
    leb(code_, to);
    leb(code_, from);
    return *this;
  }

  // The binary; the function is exported as "".
  std::vector<uint8_t> finish();

 private:
  using Out = std::vector<uint8_t>;
  static void leb(Out& out, uint64_t v);
  static void sleb(Out& out, int64_t v);
  uint32_t type(const CoreTypes& params, const CoreTypes& results);
  void import_head(uint8_t kind);

  Out types_, imports_, code_;
  uint32_t type_count_ = 0, import_count_ = 0;
  uint32_t funcs_ = 0, memories_ = 0, globals_ = 0;
  uint32_t own_type_ = 0;
  uint32_t params_ = 0;
  CoreTypes locals_;
};

}  // namespace wafer::component
