// Bodies as trees, as the specification writes them.
#pragma once

#include <vector>

#include "wasm/instr.h"
#include "wasm/module.h"

namespace wafer::reference {

struct Node {
  wasm::Instr in;
  std::vector<Node> body;       // of a block, loop, if, try_table, try or catch
  std::vector<Node> otherwise;  // of an if
  std::vector<Node> handlers;   // of a try: catch, catch_all or delegate
};

struct Body {
  std::vector<wasm::ValType> locals;  // after the parameters
  std::vector<Node> code;
};

// The body of own function `func` of a valid module.
Result<Body> parse_body(const wasm::Module& module, uint32_t func);
// A constant expression of it.
Result<std::vector<Node>> parse_expression(const wasm::Module& module, wasm::ConstExpr range);

}  // namespace wafer::reference
