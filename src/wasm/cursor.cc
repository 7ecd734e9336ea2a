#include "wasm/cursor.h"

#include "wasm/feature_name.h"

namespace wafer::wasm {

String message_with(std::string_view prefix, uint64_t number) {
  char digits[20];
  unsigned n = 0;
  do {
    digits[n++] = char('0' + number % 10);
    number /= 10;
  } while (number);
  String s(prefix);
  while (n) s.push_back(digits[--n]);
  return s;
}

bool is_utf8(std::string_view bytes) {
  const auto* p = reinterpret_cast<const uint8_t*>(bytes.data());
  const auto* end = p + bytes.size();
  while (p != end) {
    const uint8_t b = *p++;
    if (b < 0x80) continue;
    if (b < 0xC2 || b >= 0xF5) return false;
    const unsigned extra = 1 + (b >= 0xE0) + (b >= 0xF0);
    uint32_t code = b & (0x3Fu >> extra);
    if (size_t(end - p) < extra) return false;
    for (unsigned i = 0; i < extra; ++i) {
      if ((*p & 0xC0) != 0x80) return false;
      code = code << 6 | (*p++ & 0x3F);
    }
    // The least that two more bytes are for is 0x800, and 0x10000 for three.
    if (code < 1u << (5 * extra + 1) || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
      return false;
  }
  return true;
}

bool Cursor::fail(ErrorKind kind, std::string_view message, const uint8_t* at) {
  if (!error_) error_ = Failure(Error(kind, message, uint64_t(at - base_)));
  return false;
}

bool Cursor::fail_text(ErrorKind kind, Text message, const uint8_t* at) {
  if (!error_) error_ = failure(kind, message, uint64_t(at - base_));
  return false;
}

bool Cursor::fail_end() {
  return fail(ErrorKind::Malformed, "unexpected end of section or function", end_);
}

bool Cursor::unknown_type(uint32_t index, const uint8_t* at) {
  return fail(ErrorKind::Invalid,
              WAFER_MESSAGE("unknown type", message_with("unknown type ", index)), at);
}

bool Cursor::fail_leb(LebStatus status, const uint8_t* start, LebStatus beyond, const uint8_t* at) {
  if (status == LebStatus::UnexpectedEnd) {
    // An integer cut in two by the end is ill-formed first, if it is that too.
    if (pos_ == start || beyond == LebStatus::Ok) return fail_end();
    status = beyond;
    pos_ = at;
  }
  switch (status) {
    case LebStatus::TooLong:
      return fail(ErrorKind::Malformed, "integer representation too long", pos_);
    case LebStatus::TooLarge:
      return fail(ErrorKind::Malformed, "integer too large", pos_);
    default:
      return fail_end();
  }
}

bool Cursor::leb(unsigned bits, bool is_signed, uint64_t& out) {
  const uint8_t* const start = pos_;
  const LebStatus status = read_leb(pos_, end_, bits, is_signed, out);
  if (WAFER_LIKELY(status == LebStatus::Ok)) return true;
  const uint8_t* p = start;
  const LebStatus beyond = read_leb(p, bytes_end_, bits, is_signed, out);
  return fail_leb(status, start, beyond, p);
}

bool Cursor::u32_slow(uint32_t& out) {
  uint64_t v = 0;
  if (!uleb<32>(v)) return false;
  out = uint32_t(v);
  return true;
}

bool Cursor::u64_slow(uint64_t& out) { return uleb<64>(out); }

bool Cursor::zero_byte() {
  uint8_t b = 0;
  if (!byte(b)) return false;
  if (b != 0) return fail(ErrorKind::Malformed, "zero byte expected", pos_ - 1);
  return true;
}

bool Cursor::name(std::string_view& out) {
  const uint8_t* at = pos_;
  uint32_t length = 0;
  if (!u32(length)) return false;
  if (length > remaining()) return fail(ErrorKind::Malformed, "length out of bounds", at);
  out = std::string_view(reinterpret_cast<const char*>(pos_), length);
  if (!is_utf8(out)) return fail(ErrorKind::Malformed, "malformed UTF-8 encoding", pos_);
  pos_ += length;
  return true;
}

namespace {

// The abstract heap type of a code, and the feature that it is of.
bool heap_of(uint8_t code, HeapKind& out, Feature& needs) {
  needs = Feature::GC;
  switch (code) {
    case 0x70:
      out = HeapKind::Func, needs = Feature::Core;
      break;
    case 0x6F:
      out = HeapKind::Extern, needs = Feature::ReferenceTypes;
      break;
    case 0x69:
      out = HeapKind::Exn, needs = Feature::Exceptions;
      break;
    case 0x74:
      out = HeapKind::NoExn, needs = Feature::Exceptions;
      break;
    case 0x68:
      out = HeapKind::Cont, needs = Feature::StackSwitching;
      break;
    case 0x75:
      out = HeapKind::NoCont, needs = Feature::StackSwitching;
      break;
    case 0x73:
      out = HeapKind::NoFunc;
      break;
    case 0x72:
      out = HeapKind::NoExtern;
      break;
    case 0x71:
      out = HeapKind::None;
      break;
    case 0x6E:
      out = HeapKind::Any;
      break;
    case 0x6D:
      out = HeapKind::Eq;
      break;
    case 0x6C:
      out = HeapKind::I31;
      break;
    case 0x6B:
      out = HeapKind::Struct;
      break;
    case 0x6A:
      out = HeapKind::Array;
      break;
    default:
      return false;
  }
  return true;
}

// Fails for a code that is no heap or reference type, as `what` says, or none without its feature.
WAFER_COLD bool fail_type(Cursor& c, uint8_t code, Text text, const uint8_t* at) {
  if (kBrief) return c.fail_text(ErrorKind::Malformed, text, at);
  const char* const what = text.text;
  HeapKind kind;
  Feature needs;
  if (code == 0x63 || code == 0x64)
    needs = Feature::FunctionReferences;
  else if (code == 0x62)
    needs = Feature::CustomDescriptors;
  else if (!heap_of(code, kind, needs))
    return c.fail(ErrorKind::Malformed, what, at);
  if (c.features().has(needs)) return c.fail(ErrorKind::Malformed, what, at);
  return fail_off(c, needs, what, at);
}

WAFER_COLD bool fail_ref_type(Cursor& c, uint8_t code, const uint8_t* at) {
  if (code & 0x80) return c.fail(ErrorKind::Malformed, "integer representation too long", at + 1);
  return fail_type(c, code, "malformed reference type", at);
}

}  // namespace

bool Cursor::abstract_heap(uint8_t code, HeapKind& out) const {
  if constexpr (kOnlyFuncRefs) {
    out = HeapKind::Func;
    return code == 0x70;
  }
  Feature needs;
  return heap_of(code, out, needs) && features_.has(needs);
}

bool Cursor::heap_type(HeapType& out) {
  const uint8_t* at = pos_;
  if (pos_ == end_) return fail_end();
  HeapKind kind;
  if (abstract_heap(*pos_, kind)) {
    ++pos_;
    out = kind;
    return true;
  }
  if (*pos_ == 0x62 && features_.has(Feature::CustomDescriptors)) {
    ++pos_;
    at = pos_;
    uint32_t exact = 0;
    if (!u32(exact)) return false;
    if (exact >= type_limit_) return unknown_type(exact, at);
    out = HeapType::concrete(exact, true);
    return true;
  }
  int64_t index = 0;
  if (!s33(index)) return false;
  if (index < 0) return fail_type(*this, *at, "malformed heap type", at);
  if (!features_.has(Feature::FunctionReferences) && !features_.has(Feature::GC))
    return fail_off(*this, Feature::FunctionReferences, "malformed heap type", at);
  if (index >= int64_t(type_limit_)) return unknown_type(uint32_t(index), at);
  out = HeapType::concrete(uint32_t(index));
  return true;
}

bool Cursor::ref_type(ValType& out) {
  const uint8_t* at = pos_;
  if (pos_ == end_) return fail_end();
  const uint8_t code = *pos_;
  HeapKind kind;
  if (abstract_heap(code, kind)) {
    ++pos_;
    out = ValType::ref(kind, true);
    return true;
  }
  if ((code == 0x64 || code == 0x63) && features_.has(Feature::FunctionReferences)) {
    ++pos_;
    HeapType heap;
    if (!heap_type(heap)) return false;
    out = ValType::ref(heap, code == 0x63);
    return true;
  }
  return fail_ref_type(*this, code, at);
}

bool Cursor::val_type(ValType& out) {
  if (pos_ == end_) return fail_end();
  switch (*pos_) {
    case 0x7F:
      out = kI32;
      break;
    case 0x7E:
      out = kI64;
      break;
    case 0x7D:
      out = kF32;
      break;
    case 0x7C:
      out = kF64;
      break;
    case 0x7B:
      if (!features_.has(Feature::Simd))
        return fail_off(*this, Feature::Simd, "malformed reference type", pos_);
      out = kV128;
      break;
    default:
      if constexpr (!is_built(Feature::ReferenceTypes)) return fail_ref_type(*this, *pos_, pos_);
      return ref_type(out);
  }
  ++pos_;
  return true;
}

bool Cursor::storage_type(ValType& out) {
  if (pos_ == end_) return fail_end();
  const uint8_t* at = pos_;
  switch (*pos_) {
    case 0x78:
      out = TypeKind::I8;
      ++pos_;
      return true;
    case 0x77:
      out = TypeKind::I16;
      ++pos_;
      return true;
    case 0x7F:
    case 0x7E:
    case 0x7D:
    case 0x7C:
    case 0x7B:
    case 0x64:
    case 0x63:
      return val_type(out);
    default: {
      HeapKind kind;
      if (abstract_heap(*pos_, kind)) return ref_type(out);
      return fail_type(*this, *at, "malformed storage type", at);
    }
  }
}

}  // namespace wafer::wasm
