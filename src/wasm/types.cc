#include "wasm/types.h"

#include "wasm/cursor.h"

namespace wafer::wasm {

namespace {

std::string_view heap_name(HeapKind kind) {
  switch (kind) {
    case HeapKind::Func:
      return "func";
    case HeapKind::NoFunc:
      return "nofunc";
    case HeapKind::Extern:
      return "extern";
    case HeapKind::NoExtern:
      return "noextern";
    case HeapKind::Any:
      return "any";
    case HeapKind::Eq:
      return "eq";
    case HeapKind::I31:
      return "i31";
    case HeapKind::Struct:
      return "struct";
    case HeapKind::Array:
      return "array";
    case HeapKind::None:
      return "none";
    case HeapKind::Exn:
      return "exn";
    case HeapKind::NoExn:
      return "noexn";
    case HeapKind::Cont:
      return "cont";
    case HeapKind::NoCont:
      return "nocont";
    case HeapKind::Concrete:
      return "type";
    case HeapKind::Bot:
      return "something";
  }
  return "";
}

// Abbreviation of a nullable reference (6.4.4).
std::string_view null_ref_name(HeapKind kind) {
  switch (kind) {
    case HeapKind::NoFunc:
      return "nullfuncref";
    case HeapKind::NoExtern:
      return "nullexternref";
    case HeapKind::None:
      return "nullref";
    case HeapKind::NoExn:
      return "nullexnref";
    case HeapKind::NoCont:
      return "nullcontref";
    default:
      return {};
  }
}

}  // namespace

String to_string(HeapType type) {
  if (type.is_exact()) return message_with("(exact ", type.index()) + ")";
  if (type.is_concrete()) return message_with("", type.index());
  return String(heap_name(type.kind()));
}

String to_string(ValType type) {
  switch (type.kind()) {
    case TypeKind::Bot:
      return "bot";
    case TypeKind::I32:
      return "i32";
    case TypeKind::I64:
      return "i64";
    case TypeKind::F32:
      return "f32";
    case TypeKind::F64:
      return "f64";
    case TypeKind::V128:
      return "v128";
    case TypeKind::I8:
      return "i8";
    case TypeKind::I16:
      return "i16";
    case TypeKind::Ref:
      break;
  }
  const HeapType heap = type.heap();
  if (type.nullable() && !heap.is_concrete() && heap.kind() != HeapKind::Bot) {
    if (auto name = null_ref_name(heap.kind()); !name.empty()) return String(name);
    return to_string(heap) + "ref";
  }
  String s = type.nullable() ? "(ref null " : "(ref ";
  s += to_string(heap);
  s += ')';
  return s;
}

std::string_view to_string(ExternKind kind) {
  switch (kind) {
    case ExternKind::Func:
      return "func";
    case ExternKind::Table:
      return "table";
    case ExternKind::Memory:
      return "memory";
    case ExternKind::Global:
      return "global";
    case ExternKind::Tag:
      return "tag";
  }
  return "";
}

}  // namespace wafer::wasm
