#include "wasm/instr.h"

#include "base/access.h"
#include "wasm/feature_name.h"
#include "wasm/op_tables.h"

namespace wafer::wasm {

namespace {

void append_hex(String& s, uint32_t v) {
  static constexpr char kDigits[] = "0123456789abcdef";
  int shift = 28;
  while (shift > 4 && !(v >> shift)) shift -= 4;
  for (; shift >= 0; shift -= 4) s.push_back(kDigits[(v >> shift) & 0xF]);
}

}  // namespace

bool InstrReader::illegal(const uint8_t* at, uint8_t prefix, uint32_t code, Opcode op) {
  if (kBrief)
    return fail_text(op == Opcode::Illegal ? ErrorKind::Malformed : ErrorKind::Unsupported,
                     "illegal opcode", at);
  String message = "illegal opcode ";
  if (prefix) {
    append_hex(message, prefix);
    message += ' ';
  }
  append_hex(message, code);
  if (op == Opcode::Illegal) return fail(ErrorKind::Malformed, message, at);
  return fail(ErrorKind::Unsupported, off_message(op_facts(op).feature, message), at);
}

bool InstrReader::read_block_type(BlockType& out) {
  if (pos_ == end_) return fail_end();
  const uint8_t b = *pos_;
  if (b == 0x40) {
    ++pos_;
    out.kind = BlockType::Kind::Empty;
    return true;
  }
  if ((b & 0xC0) == 0x40) {
    out.kind = BlockType::Kind::Value;
    return val_type(out.value);
  }
  const uint8_t* at = pos_;
  int64_t index = 0;
  if (!s33(index)) return false;
  if (index < 0) return fail(ErrorKind::Malformed, "malformed block type", at);
  if (index >= int64_t(type_limit_)) return unknown_type(uint32_t(index), at);
  out.kind = BlockType::Kind::Type;
  out.type_index = uint32_t(index);
  return true;
}

bool InstrReader::read_mem_arg(Instr& out) {
  const uint8_t* at = pos_;
  uint32_t flags = 0;
  if (!u32(flags)) return false;
  if (WAFER_UNLIKELY(flags >= 0x40)) {
    if (flags >= 0x80 || !features_.has(Feature::MultiMemory))
      return fail(ErrorKind::Malformed, "malformed memop flags", at);
    out.align = flags & 0x3F;
    if (!u32(out.index)) return false;
  } else {
    out.align = flags;
    out.index = 0;
  }
  return u64(out.offset);
}

bool InstrReader::read_memory_index(uint32_t& out) {
  if (WAFER_LIKELY(features_.has(Feature::MultiMemory))) return u32(out);
  out = 0;
  return zero_byte();
}

bool InstrReader::read_instr(Instr& out) {
  const uint8_t* at = pos_;
  out.offset_in_module = uint32_t(at - base_);
  if (WAFER_UNLIKELY(pos_ == end_)) return fail_end();
  const uint8_t first = *pos_++;
  Opcode op;
  if (WAFER_LIKELY(first < 0xFB || first == 0xFF)) {
    op = opcode_of_byte(first);
    if (WAFER_UNLIKELY(op == Opcode::Illegal)) return illegal(at, 0, first, op);
    if (WAFER_UNLIKELY(!features_.has(op_facts(op).feature))) return illegal(at, 0, first, op);
  } else {
    uint32_t code = 0;
    if (!u32(code)) return false;
    op = prefixed_opcode(first, code);
    if (WAFER_UNLIKELY(op == Opcode::Illegal || !features_.has(op_facts(op).feature)))
      return illegal(at, first, code, op);
  }
  out.op = op;
  switch (op_facts(op).imm) {
    case Imm::None:
      return true;
    case Imm::Block:
      return read_block_type(out.block);
    case Imm::Label:
    case Imm::Func:
    case Imm::Type:
    case Imm::Local:
    case Imm::Global:
    case Imm::Table:
    case Imm::Data:
    case Imm::Elem:
    case Imm::Tag:
      return u32(out.index);
    case Imm::Memory:
      return read_memory_index(out.index);
    case Imm::BrTable: {
      uint32_t count = 0;
      if (!u32(count)) return false;
      if (count > kMaxBrTableSize)
        return fail(ErrorKind::Exhaustion, "br_table has too many labels", at);
      if (count >= remaining()) return fail_end();
      out.labels.resize(count + 1);
      for (uint32_t& label : out.labels)
        if (!u32(label)) return false;
      return true;
    }
    case Imm::CallIndirect:
      if (!u32(out.index)) return false;
      return u32(out.index2);
    case Imm::ElemTable:
    case Imm::TableTable:
    case Imm::TypeField:
    case Imm::TypeCount:
    case Imm::TypeData:
    case Imm::TypeElem:
    case Imm::TypeType:
      return u32(out.index) && u32(out.index2);
    case Imm::DataMemory:
      return u32(out.index) && read_memory_index(out.index2);
    case Imm::MemoryMemory:
      return read_memory_index(out.index) && read_memory_index(out.index2);
    case Imm::I32:
      return s32(out.i32);
    case Imm::I64:
      return s64(out.i64);
    case Imm::F32:
      if (!skip(4)) return false;
      out.f32_bits = load_memory<uint32_t>(pos_ - 4);
      return true;
    case Imm::F64:
      if (!skip(8)) return false;
      out.f64_bits = load_memory<uint64_t>(pos_ - 8);
      return true;
    case Imm::V128:
    case Imm::Shuffle:
      WAFER_ASSUME_FEATURE(Simd);
      if (!skip(16)) return false;
      std::memcpy(out.v128.bytes, pos_ - 16, 16);
      return true;
    case Imm::MemArg:
      return read_mem_arg(out);
    case Imm::MemArgLane:
    case Imm::Lane: {
      WAFER_ASSUME_FEATURE(Simd);
      if (op_facts(op).imm == Imm::MemArgLane && !read_mem_arg(out)) return false;
      uint8_t lane = 0;
      if (!byte(lane)) return false;
      out.lane = lane;
      return true;
    }
    case Imm::HeapType:
      WAFER_ASSUME_FEATURE(ReferenceTypes);
      return heap_type(out.heap);
    case Imm::SelectT: {
      WAFER_ASSUME_FEATURE(ReferenceTypes);
      uint32_t count = 0;
      if (!u32(count)) return false;
      if (count > remaining()) return fail_end();
      out.types.resize(count);
      for (ValType& t : out.types)
        if (!val_type(t)) return false;
      return true;
    }
    case Imm::TryTable: {
      WAFER_ASSUME_FEATURE(Exceptions);
      if (!read_block_type(out.block)) return false;
      uint32_t count = 0;
      if (!u32(count)) return false;
      if (count > kMaxCatches)
        return fail(ErrorKind::Exhaustion, "try_table has too many catch clauses", at);
      if (count > remaining()) return fail_end();
      out.catches.resize(count);
      for (CatchClause& c : out.catches) {
        uint8_t kind = 0;
        if (!byte(kind)) return false;
        if (kind > 3) return fail(ErrorKind::Malformed, "malformed catch clause", pos_ - 1);
        c.kind = CatchClause::Kind(kind);
        c.tag = 0;
        if (kind < 2 && !u32(c.tag)) return false;
        if (!u32(c.label)) return false;
      }
      return true;
    }
    case Imm::TypeTag:
      WAFER_ASSUME_FEATURE(StackSwitching);
      return u32(out.index) && u32(out.index2);
    case Imm::Resume:
    case Imm::ResumeTag: {
      WAFER_ASSUME_FEATURE(StackSwitching);
      if (!u32(out.index)) return false;
      if (op == Opcode::ResumeThrow && !u32(out.index2)) return false;
      uint32_t count = 0;
      if (!u32(count)) return false;
      if (count > kMaxCatches)
        return fail(ErrorKind::Exhaustion, "resume has too many handlers", at);
      if (count > remaining()) return fail_end();
      out.clauses.resize(count);
      for (ResumeClause& c : out.clauses) {
        uint8_t kind = 0;
        if (!byte(kind)) return false;
        if (kind > 1) return fail(ErrorKind::Malformed, "malformed handler", pos_ - 1);
        c.is_switch = kind;
        c.label = 0;
        if (!u32(c.tag) || (!c.is_switch && !u32(c.label))) return false;
      }
      return true;
    }
    case Imm::BrOnCast: {
      WAFER_ASSUME_FEATURE(GC);
      uint8_t flags = 0;
      if (!byte(flags)) return false;
      if (flags & 0xFC) return fail(ErrorKind::Malformed, "malformed br_on_cast flags", pos_ - 1);
      out.null1 = flags & 1;
      out.null2 = (flags >> 1) & 1;
      return u32(out.index) && heap_type(out.heap) && heap_type(out.heap2);
    }
    case Imm::Fence:
      WAFER_ASSUME_FEATURE(Threads);
      return zero_byte();
  }
  return true;
}

void write_heap_type(Vec<uint8_t>& out, HeapType type) {
  switch (type.kind()) {
    case HeapKind::Func:
      return out.push_back(0x70);
    case HeapKind::NoFunc:
      return out.push_back(0x73);
    case HeapKind::Extern:
      return out.push_back(0x6F);
    case HeapKind::NoExtern:
      return out.push_back(0x72);
    case HeapKind::Any:
      return out.push_back(0x6E);
    case HeapKind::Eq:
      return out.push_back(0x6D);
    case HeapKind::I31:
      return out.push_back(0x6C);
    case HeapKind::Struct:
      return out.push_back(0x6B);
    case HeapKind::Array:
      return out.push_back(0x6A);
    case HeapKind::None:
    case HeapKind::Bot:
      return out.push_back(0x71);
    case HeapKind::Exn:
      return out.push_back(0x69);
    case HeapKind::NoExn:
      return out.push_back(0x74);
    case HeapKind::Cont:
      return out.push_back(0x68);
    case HeapKind::NoCont:
      return out.push_back(0x75);
    case HeapKind::Concrete:
      if (!type.is_exact()) return write_sleb(out, int64_t(type.index()));
      out.push_back(0x62);
      return write_uleb(out, type.index());
  }
}

void write_val_type(Vec<uint8_t>& out, ValType type) {
  switch (type.kind()) {
    case TypeKind::I32:
      return out.push_back(0x7F);
    case TypeKind::I64:
      return out.push_back(0x7E);
    case TypeKind::F32:
      return out.push_back(0x7D);
    case TypeKind::F64:
      return out.push_back(0x7C);
    case TypeKind::V128:
      return out.push_back(0x7B);
    case TypeKind::I8:
      return out.push_back(0x78);
    case TypeKind::I16:
      return out.push_back(0x77);
    case TypeKind::Bot:
    case TypeKind::Ref:
      break;
  }
  if (!type.nullable() || type.heap().is_concrete()) out.push_back(type.nullable() ? 0x63 : 0x64);
  write_heap_type(out, type.heap());
}

void write_block_type(Vec<uint8_t>& out, const BlockType& type) {
  switch (type.kind) {
    case BlockType::Kind::Empty:
      return out.push_back(0x40);
    case BlockType::Kind::Value:
      return write_val_type(out, type.value);
    case BlockType::Kind::Type:
      return write_sleb(out, int64_t(type.type_index));
  }
}

void write_instr(Vec<uint8_t>& out, const Instr& in) {
  const OpcodeInfo& info = opcode_info(in.op);
  if (info.prefix) {
    out.push_back(info.prefix);
    write_uleb(out, info.code);
  } else {
    out.push_back(uint8_t(info.code));
  }
  auto bytes = [&](const void* p, size_t n) {
    const auto* b = static_cast<const uint8_t*>(p);
    out.insert(out.end(), b, b + n);
  };
  auto mem_arg = [&] {
    write_uleb(out, in.align | (in.index ? 0x40 : 0));
    if (in.index) write_uleb(out, in.index);
    write_uleb(out, in.offset);
  };
  switch (info.imm) {
    case Imm::None:
      break;
    case Imm::Block:
      write_block_type(out, in.block);
      break;
    case Imm::Label:
    case Imm::Func:
    case Imm::Type:
    case Imm::Local:
    case Imm::Global:
    case Imm::Table:
    case Imm::Memory:
    case Imm::Data:
    case Imm::Elem:
    case Imm::Tag:
      write_uleb(out, in.index);
      break;
    case Imm::BrTable:
      write_uleb(out, in.labels.empty() ? 0 : in.labels.size() - 1);
      for (uint32_t label : in.labels) write_uleb(out, label);
      break;
    case Imm::CallIndirect:
    case Imm::DataMemory:
    case Imm::ElemTable:
    case Imm::MemoryMemory:
    case Imm::TableTable:
    case Imm::TypeField:
    case Imm::TypeCount:
    case Imm::TypeData:
    case Imm::TypeElem:
    case Imm::TypeType:
      write_uleb(out, in.index);
      write_uleb(out, in.index2);
      break;
    case Imm::I32:
      write_sleb(out, in.i32);
      break;
    case Imm::I64:
      write_sleb(out, in.i64);
      break;
    case Imm::F32: {
      uint8_t b[4];
      store_le(b, in.f32_bits);
      bytes(b, 4);
      break;
    }
    case Imm::F64: {
      uint8_t b[8];
      store_le(b, in.f64_bits);
      bytes(b, 8);
      break;
    }
    case Imm::V128:
    case Imm::Shuffle:
      bytes(in.v128.bytes, 16);
      break;
    case Imm::MemArg:
      mem_arg();
      break;
    case Imm::MemArgLane:
      mem_arg();
      out.push_back(uint8_t(in.lane));
      break;
    case Imm::Lane:
      out.push_back(uint8_t(in.lane));
      break;
    case Imm::HeapType:
      write_heap_type(out, in.heap);
      break;
    case Imm::SelectT:
      write_uleb(out, in.types.size());
      for (ValType t : in.types) write_val_type(out, t);
      break;
    case Imm::TryTable:
      write_block_type(out, in.block);
      write_uleb(out, in.catches.size());
      for (const CatchClause& c : in.catches) {
        out.push_back(uint8_t(c.kind));
        if (c.kind <= CatchClause::Kind::CatchRef) write_uleb(out, c.tag);
        write_uleb(out, c.label);
      }
      break;
    case Imm::TypeTag:
      write_uleb(out, in.index);
      write_uleb(out, in.index2);
      break;
    case Imm::Resume:
    case Imm::ResumeTag:
      write_uleb(out, in.index);
      if (in.op == Opcode::ResumeThrow) write_uleb(out, in.index2);
      write_uleb(out, in.clauses.size());
      for (const ResumeClause& c : in.clauses) {
        out.push_back(c.is_switch);
        write_uleb(out, c.tag);
        if (!c.is_switch) write_uleb(out, c.label);
      }
      break;
    case Imm::BrOnCast:
      out.push_back(uint8_t(unsigned(in.null1) | unsigned(in.null2) << 1));
      write_uleb(out, in.index);
      write_heap_type(out, in.heap);
      write_heap_type(out, in.heap2);
      break;
    case Imm::Fence:
      out.push_back(0);
      break;
  }
}

}  // namespace wafer::wasm
