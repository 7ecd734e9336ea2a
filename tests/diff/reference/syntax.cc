#include "syntax.h"

#include "base/leb128.h"
#include "wasm/validator.h"

namespace wafer::reference {

namespace {

using wasm::Opcode;

// Instructions up to the one that ends them, which `closing` gets.
Result<std::vector<Node>> sequence(wasm::InstrReader& reader, Node& closing) {
  std::vector<Node> out;
  for (;;) {
    Node node;
    WAFER_TRY(reader.read(node.in));
    switch (node.in.op) {
      case Opcode::End:
      case Opcode::Else:
      case Opcode::Catch:
      case Opcode::CatchAll:
      case Opcode::Delegate:
        closing = std::move(node);
        return std::move(out);
      case Opcode::Block:
      case Opcode::Loop:
      case Opcode::If:
      case Opcode::TryTable:
      case Opcode::Try: {
        Node next;
        WAFER_LET(body, sequence(reader, next));
        node.body = std::move(body);
        while (next.in.op != Opcode::End) {
          Node part = std::move(next);
          const bool is_last = part.in.op == Opcode::Delegate;
          if (!is_last) {
            WAFER_LET(code, sequence(reader, next));
            part.body = std::move(code);
          }
          if (part.in.op == Opcode::Else)
            node.otherwise = std::move(part.body);
          else
            node.handlers.push_back(std::move(part));
          if (is_last) break;
        }
        break;
      }
      default:
        break;
    }
    out.push_back(std::move(node));
  }
}

}  // namespace

Result<Body> parse_body(const wasm::Module& module, uint32_t func) {
  const wasm::Function& f = module.functions[func];
  Body out;
  // The validator is the decoder of the locals.
  wasm::FuncValidator validator(module);
  WAFER_TRY(validator.begin(func));
  const size_t params = module.func_type(func).params.size();
  const auto& locals = validator.locals();
  out.locals.assign(locals.begin() + ptrdiff_t(params), locals.end());
  // Over the declarations of locals: a count, and for each its own count and type.
  const uint8_t* p = module.bytes.data() + f.body.begin;
  const uint8_t* const end = module.bytes.data() + f.body.end;
  uint64_t groups = 0, count = 0;
  if (read_uleb<32>(p, end, groups) != LebStatus::Ok) return Error(ErrorKind::Malformed, "locals");
  while (groups--) {
    if (read_uleb<32>(p, end, count) != LebStatus::Ok) return Error(ErrorKind::Malformed, "locals");
    const uint8_t first = *p++;
    if (first != 0x63 && first != 0x64) continue;
    if (*p == 0x62) ++p;  // exact
    int64_t heap = 0;
    if (read_sleb<33>(p, end, heap) != LebStatus::Ok) return Error(ErrorKind::Malformed, "locals");
  }
  const auto begin = uint32_t(p - module.bytes.data());
  wasm::InstrReader reader(module.bytes, begin, f.body.end, module.features);
  Node closing;
  WAFER_LET(code, sequence(reader, closing));
  out.code = std::move(code);
  return std::move(out);
}

Result<std::vector<Node>> parse_expression(const wasm::Module& module, wasm::ConstExpr range) {
  wasm::InstrReader reader(module.bytes, range.begin, range.end, module.features);
  Node closing;
  return sequence(reader, closing);
}

}  // namespace wafer::reference
