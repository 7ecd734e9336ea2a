#include "component/run/emit.h"

namespace wafer::component {

namespace {

uint8_t code_of(wasm::ValType t) {
  return t == wasm::kI32 ? 0x7f : t == wasm::kI64 ? 0x7e : t == wasm::kF32 ? 0x7d : 0x7c;
}

}  // namespace

void ModuleEmitter::leb(Out& out, uint64_t v) {
  do {
    out.push_back(uint8_t(v & 0x7f) | (v > 0x7f ? 0x80 : 0));
    v >>= 7;
  } while (v);
}

void ModuleEmitter::sleb(Out& out, int64_t v) {
  for (;;) {
    const uint8_t b = v & 0x7f;
    v >>= 7;
    const bool last = (v == 0 && !(b & 0x40)) || (v == -1 && (b & 0x40));
    out.push_back(last ? b : b | 0x80);
    if (last) return;
  }
}

uint32_t ModuleEmitter::type(const CoreTypes& params, const CoreTypes& results) {
  types_.push_back(0x60);
  for (const CoreTypes* list : {&params, &results}) {
    leb(types_, list->size());
    for (wasm::ValType t : *list) types_.push_back(code_of(t));
  }
  return type_count_++;
}

void ModuleEmitter::import_head(uint8_t kind) {
  // Names tell the imports apart; they are given in order.
  std::string name;
  for (uint32_t n = import_count_; n || name.empty(); n /= 26) name += char('a' + n % 26);
  leb(imports_, 0);
  leb(imports_, name.size());
  imports_.insert(imports_.end(), name.begin(), name.end());
  imports_.push_back(kind);
  ++import_count_;
}

uint32_t ModuleEmitter::import_func(const CoreTypes& params, const CoreTypes& results) {
  const uint32_t t = type(params, results);
  import_head(0);
  leb(imports_, t);
  return funcs_++;
}

uint32_t ModuleEmitter::import_memory() {
  import_head(2);
  imports_.push_back(0);
  imports_.push_back(0);
  return memories_++;
}

uint32_t ModuleEmitter::import_global() {
  import_head(3);
  imports_.push_back(0x7f);
  imports_.push_back(1);
  return globals_++;
}

void ModuleEmitter::begin(const CoreTypes& params, const CoreTypes& results) {
  own_type_ = type(params, results);
  params_ = uint32_t(params.size());
}

uint32_t ModuleEmitter::local(wasm::ValType type) {
  locals_.push_back(type);
  return params_ + uint32_t(locals_.size()) - 1;
}

std::vector<uint8_t> ModuleEmitter::finish() {
  Out out = {0, 'a', 's', 'm', 1, 0, 0, 0};
  const auto section = [&](uint8_t id, const Out& body) {
    out.push_back(id);
    leb(out, body.size());
    out.insert(out.end(), body.begin(), body.end());
  };
  const auto counted = [&](uint32_t count, const Out& items) {
    Out body;
    leb(body, count);
    body.insert(body.end(), items.begin(), items.end());
    return body;
  };
  section(1, counted(type_count_, types_));
  section(2, counted(import_count_, imports_));
  Out own;
  leb(own, own_type_);
  section(3, counted(1, own));
  Out exported = {0, 0};
  leb(exported, funcs_);
  section(7, counted(1, exported));
  Out function;
  leb(function, locals_.size());
  for (wasm::ValType t : locals_) {
    leb(function, 1);
    function.push_back(code_of(t));
  }
  function.insert(function.end(), code_.begin(), code_.end());
  function.push_back(0x0b);
  Out body;
  leb(body, function.size());
  body.insert(body.end(), function.begin(), function.end());
  section(10, counted(1, body));
  return out;
}

}  // namespace wafer::component
