// Source positions from DWARF line tables (DWARF 5, section 6.2; versions 2 to 5).
// Addresses in a WebAssembly module are offsets into the code section's payload.
//
// Debug sections are not validated, so every read is checked and all that a broken
// one can cause is an empty or wrong answer.
#include <cstring>

#include "base/leb128.h"
#include "runtime/backtrace.h"

namespace wafer::runtime {

namespace {

// Reads that give zero, and note it, once they pass the end.
struct Reader {
  const uint8_t* p = nullptr;
  const uint8_t* end = nullptr;
  bool ok = true;

  explicit Reader(Bytes bytes) : p(bytes.data()), end(bytes.data() + bytes.size()) {}

  size_t left() const { return size_t(end - p); }
  bool fail() {
    ok = false;
    p = end;
    return false;
  }
  template <class T>
  T fixed() {
    if (left() < sizeof(T)) {
      fail();
      return 0;
    }
    const T v = load_le<T>(p);
    p += sizeof(T);
    return v;
  }
  uint8_t u8() { return fixed<uint8_t>(); }
  uint64_t word(bool is64) { return is64 ? fixed<uint64_t>() : fixed<uint32_t>(); }
  uint64_t sized(uint64_t size) {
    switch (size) {
      case 1:
        return u8();
      case 2:
        return fixed<uint16_t>();
      case 4:
        return fixed<uint32_t>();
      case 8:
        return fixed<uint64_t>();
      default:
        skip(size);
        return 0;
    }
  }
  // Longer encodings than a reader for modules would take are allowed here.
  uint64_t uleb() {
    uint64_t v = 0;
    for (unsigned shift = 0; p != end; shift += 7) {
      const uint8_t b = *p++;
      if (shift < 64) v |= uint64_t(b & 0x7F) << shift;
      if (!(b & 0x80)) return v;
    }
    fail();
    return 0;
  }
  int64_t sleb() {
    uint64_t v = 0;
    for (unsigned shift = 0; p != end; shift += 7) {
      const uint8_t b = *p++;
      if (shift < 64) v |= uint64_t(b & 0x7F) << shift;
      if (b & 0x80) continue;
      if (shift + 7 < 64 && (b & 0x40)) v |= ~uint64_t{0} << (shift + 7);
      return int64_t(v);
    }
    fail();
    return 0;
  }
  std::string_view string() {
    const void* const nul = left() ? std::memchr(p, 0, left()) : nullptr;
    if (!nul) {
      fail();
      return {};
    }
    const std::string_view s(reinterpret_cast<const char*>(p),
                             size_t(static_cast<const uint8_t*>(nul) - p));
    p += s.size() + 1;
    return s;
  }
  void skip(uint64_t n) {
    if (n > left())
      fail();
    else
      p += n;
  }
  // The next `n` bytes as a reader of their own.
  Reader take(uint64_t n) {
    if (n > left()) fail();
    const size_t size = ok ? size_t(n) : 0;
    Reader r(Bytes(p, size));
    r.ok = ok;
    p += size;
    return r;
  }
  // A unit's initial length; sets `is64` for the 64-bit format.
  Reader unit(bool& is64) {
    uint64_t length = fixed<uint32_t>();
    is64 = length == 0xFFFFFFFF;
    if (is64) length = fixed<uint64_t>();
    return take(length);
  }
};

struct Sections {
  Bytes line, line_str, str, info, abbrev, ranges, rnglists, addr;
  uint32_t code_begin = 0, code_size = 0;

  explicit Sections(const wasm::Module& module) {
    for (const wasm::CustomSection& c : module.customs) {
      const std::string_view name = c.name;
      if (!name.starts_with(".debug_")) continue;
      const Bytes payload = module.slice(c.payload);
      if (name == ".debug_line") line = payload;
      if (name == ".debug_line_str") line_str = payload;
      if (name == ".debug_str") str = payload;
      if (name == ".debug_info") info = payload;
      if (name == ".debug_abbrev") abbrev = payload;
      if (name == ".debug_ranges") ranges = payload;
      if (name == ".debug_rnglists") rnglists = payload;
      if (name == ".debug_addr") addr = payload;
    }
    if (line.empty()) return;
    // The module does not keep where its code section begins.
    Reader r(module.bytes);
    r.skip(8);
    while (r.ok && r.left()) {
      const uint8_t id = r.u8();
      const uint64_t size = r.uleb();
      if (id == 10) {
        code_begin = uint32_t(r.p - module.bytes.data());
        code_size = uint32_t(size);
        return;
      }
      r.skip(size);
    }
  }

  static std::string_view string_at(Bytes section, uint64_t offset) {
    if (offset >= section.size()) return {};
    return Reader(section.subspan(size_t(offset))).string();
  }
};

enum : uint16_t {
  kFormAddr = 0x01,
  kFormBlock2 = 0x03,
  kFormBlock4 = 0x04,
  kFormData2 = 0x05,
  kFormData4 = 0x06,
  kFormData8 = 0x07,
  kFormString = 0x08,
  kFormBlock = 0x09,
  kFormBlock1 = 0x0A,
  kFormData1 = 0x0B,
  kFormFlag = 0x0C,
  kFormSdata = 0x0D,
  kFormStrp = 0x0E,
  kFormUdata = 0x0F,
  kFormRefAddr = 0x10,
  kFormRef1 = 0x11,
  kFormRef2 = 0x12,
  kFormRef4 = 0x13,
  kFormRef8 = 0x14,
  kFormRefUdata = 0x15,
  kFormIndirect = 0x16,
  kFormSecOffset = 0x17,
  kFormExprloc = 0x18,
  kFormFlagPresent = 0x19,
  kFormStrx = 0x1A,
  kFormAddrx = 0x1B,
  kFormRefSup4 = 0x1C,
  kFormStrpSup = 0x1D,
  kFormData16 = 0x1E,
  kFormLineStrp = 0x1F,
  kFormRefSig8 = 0x20,
  kFormImplicitConst = 0x21,
  kFormLoclistx = 0x22,
  kFormRnglistx = 0x23,
  kFormRefSup8 = 0x24,
  kFormStrx1 = 0x25,
  kFormStrx2 = 0x26,
  kFormStrx3 = 0x27,
  kFormStrx4 = 0x28,
  kFormAddrx1 = 0x29,
  kFormAddrx2 = 0x2A,
  kFormAddrx3 = 0x2B,
  kFormAddrx4 = 0x2C,
};

// An attribute's value: a number, or a string where the form has one in reach.
struct Attribute {
  uint64_t form = 0;
  uint64_t number = 0;
  std::string_view text;
};

Attribute read_form(Reader& r, uint64_t form, bool is64, uint8_t address_size,
                    const Sections& sections) {
  Attribute a;
  if (form == kFormIndirect) form = r.uleb();
  a.form = form;
  switch (form) {
    case kFormAddr:
      a.number = r.sized(address_size);
      break;
    case kFormData1:
    case kFormFlag:
    case kFormRef1:
    case kFormStrx1:
    case kFormAddrx1:
      a.number = r.u8();
      break;
    case kFormData2:
    case kFormRef2:
    case kFormStrx2:
    case kFormAddrx2:
      a.number = r.fixed<uint16_t>();
      break;
    case kFormStrx3:
    case kFormAddrx3:
      a.number = r.fixed<uint16_t>();
      a.number |= uint64_t(r.u8()) << 16;
      break;
    case kFormData4:
    case kFormRef4:
    case kFormRefSup4:
    case kFormStrx4:
    case kFormAddrx4:
      a.number = r.fixed<uint32_t>();
      break;
    case kFormData8:
    case kFormRef8:
    case kFormRefSig8:
    case kFormRefSup8:
      a.number = r.fixed<uint64_t>();
      break;
    case kFormData16:
      r.skip(16);
      break;
    case kFormSdata:
      a.number = uint64_t(r.sleb());
      break;
    case kFormUdata:
    case kFormRefUdata:
    case kFormStrx:
    case kFormAddrx:
    case kFormLoclistx:
    case kFormRnglistx:
      a.number = r.uleb();
      break;
    case kFormString:
      a.text = r.string();
      break;
    case kFormStrp:
      a.text = Sections::string_at(sections.str, r.word(is64));
      break;
    case kFormLineStrp:
      a.text = Sections::string_at(sections.line_str, r.word(is64));
      break;
    case kFormSecOffset:
    case kFormRefAddr:
    case kFormStrpSup:
      a.number = r.word(is64);
      break;
    case kFormBlock1:
      r.skip(r.u8());
      break;
    case kFormBlock2:
      r.skip(r.fixed<uint16_t>());
      break;
    case kFormBlock4:
      r.skip(r.fixed<uint32_t>());
      break;
    case kFormBlock:
    case kFormExprloc:
      r.skip(r.uleb());
      break;
    case kFormFlagPresent:
    case kFormImplicitConst:
      break;
    default:
      r.fail();
  }
  return a;
}

// ---- Line tables ------------------------------------------------------------------

struct Position {
  uint64_t file = 0, line = 0, column = 0;
};

struct LineHeader {
  uint16_t version = 0;
  bool is64 = false;
  uint8_t address_size = 4;
  uint8_t min_length = 1;
  int8_t line_base = 0;
  uint8_t line_range = 1;
  uint8_t opcode_base = 1;
  const uint8_t* opcode_lengths = nullptr;
  Reader tables{{}};  // directories and files
  Reader program{{}};

  bool read(Reader& section) {
    Reader unit = section.unit(is64);
    version = unit.fixed<uint16_t>();
    if (!unit.ok || version < 2 || version > 5) return false;
    if (version >= 5) {
      address_size = unit.u8();
      unit.u8();  // segment selector size
    }
    Reader header = unit.take(unit.word(is64));
    program = unit;
    min_length = header.u8();
    if (version >= 4) header.u8();  // operations per instruction: not a VLIW machine
    header.u8();                    // default is_stmt
    line_base = int8_t(header.u8());
    line_range = header.u8();
    opcode_base = header.u8();
    opcode_lengths = header.p;
    if (opcode_base) header.skip(opcode_base - 1);
    tables = header;
    return unit.ok && header.ok && line_range != 0 && opcode_base != 0;
  }
};

// Runs a line program until it says where `address` comes from.
bool find_row(const LineHeader& header, uint64_t address, uint64_t code_size, Position& out) {
  Reader r = header.program;
  struct Row : Position {
    uint64_t address = 0;
  };
  Row now, before, named;
  bool have_before = false, have_named = false, live = false;
  auto reset = [&] {
    now = Row();
    now.file = now.line = 1;
    have_before = have_named = live = false;
  };
  // True if the row before the present one covers `address`.
  auto emit = [&] {
    if (have_before && live && before.address <= address && address < now.address) {
      // Line 0 is code of no particular line: name the last one that has a line.
      out = before.line == 0 && have_named ? named : before;
      return true;
    }
    // Code that the linker dropped is left at address 0, or far beyond the end.
    if (!have_before) live = now.address != 0 && now.address < code_size;
    before = now;
    have_before = true;
    if (now.line != 0) {
      named = now;
      have_named = true;
    }
    return false;
  };
  auto advance = [&](uint64_t operations) { now.address += operations * header.min_length; };
  reset();
  while (r.ok && r.left()) {
    const uint8_t op = r.u8();
    if (op >= header.opcode_base) {
      const unsigned adjusted = unsigned(op - header.opcode_base);
      advance(adjusted / header.line_range);
      now.line += uint64_t(int64_t(header.line_base) + adjusted % header.line_range);
      if (emit()) return true;
      continue;
    }
    switch (op) {
      case 0: {  // extended
        Reader ext = r.take(r.uleb());
        switch (ext.u8()) {
          case 1:  // end_sequence
            if (emit()) return true;
            reset();
            break;
          case 2:  // set_address
            now.address = ext.sized(ext.left());
            break;
        }
        break;
      }
      case 1:  // copy
        if (emit()) return true;
        break;
      case 2:
        advance(r.uleb());
        break;
      case 3:
        now.line += uint64_t(r.sleb());
        break;
      case 4:
        now.file = r.uleb();
        break;
      case 5:
        now.column = r.uleb();
        break;
      case 8:  // const_add_pc
        advance((255u - header.opcode_base) / header.line_range);
        break;
      case 9:  // fixed_advance_pc
        now.address += r.fixed<uint16_t>();
        break;
      default:
        for (unsigned n = header.opcode_lengths[op - 1]; n > 0; --n) r.uleb();
    }
  }
  return false;
}

// Directory and name of file number `file`.
bool find_file(const LineHeader& header, const Sections& sections, uint64_t file,
               std::string_view& directory, std::string_view& name) {
  Reader r = header.tables;
  uint64_t directory_index = 0;
  if (header.version < 5) {
    const Reader directories = r;
    while (r.ok && !r.string().empty()) {
    }
    bool found = false;
    for (uint64_t i = 1; r.ok; ++i) {
      const std::string_view n = r.string();
      if (n.empty()) break;
      const uint64_t d = r.uleb();
      r.uleb();  // time
      r.uleb();  // size
      if (i != file) continue;
      name = n;
      directory_index = d;
      found = true;
      break;
    }
    if (!found) return false;
    Reader d = directories;
    for (uint64_t i = 1; i <= directory_index; ++i) {
      directory = d.string();
      if (directory.empty()) break;
    }
    return true;
  }
  // Two tables of the same shape: what each entry holds, then the entries.
  auto entry = [&](Reader format, unsigned fields, std::string_view& path, uint64_t& index) {
    for (unsigned i = 0; i < fields && r.ok; ++i) {
      const uint64_t content = format.uleb();
      const Attribute a = read_form(r, format.uleb(), header.is64, header.address_size, sections);
      if (content == 1) path = a.text;
      if (content == 2) index = a.number;
    }
  };
  auto skip_format = [&](unsigned fields) {
    for (unsigned i = 0; i < 2 * fields; ++i) r.uleb();
  };
  auto read_table = [&](uint64_t wanted, std::string_view& path, uint64_t& index) {
    const unsigned fields = r.u8();
    const Reader format = r;
    skip_format(fields);
    const uint64_t count = r.uleb();
    bool found = false;
    // Entries of no fields, or of fields of no bytes, are no reason to loop.
    if (count > r.left()) return false;
    for (uint64_t i = 0; i < count && r.ok; ++i) {
      std::string_view p;
      uint64_t d = 0;
      entry(format, fields, p, d);
      if (i != wanted) continue;
      path = p;
      index = d;
      found = r.ok;
    }
    return found;
  };
  const Reader directories = r;
  std::string_view ignored;
  uint64_t none = 0;
  read_table(0, ignored, none);
  if (!r.ok || !read_table(file, name, directory_index)) return false;
  r = directories;
  // Directory 0 is where the compiler ran: names are given relative to it.
  if (directory_index != 0) read_table(directory_index, directory, none);
  return true;
}

void append_decimal(String& out, uint64_t v) {
  char digits[20];
  size_t n = 0;
  do digits[n++] = char('0' + v % 10);
  while (v /= 10);
  while (n) out.push_back(digits[--n]);
}

String format(const LineHeader& header, const Sections& sections, const Position& at) {
  std::string_view directory, name;
  if (at.line == 0 || !find_file(header, sections, at.file, directory, name) || name.empty())
    return {};
  String out;
  if (name[0] != '/' && !directory.empty() && directory != ".") {
    out = directory;
    if (out.back() != '/') out.push_back('/');
  }
  out += name;
  out.push_back(':');
  append_decimal(out, at.line);
  if (at.column) {
    out.push_back(':');
    append_decimal(out, at.column);
  }
  return out;
}

// ---- Compilation units --------------------------------------------------------------

enum : uint16_t {
  kAtStmtList = 0x10,
  kAtLowPc = 0x11,
  kAtHighPc = 0x12,
  kAtRanges = 0x55,
  kAtAddrBase = 0x73,
  kAtRnglistsBase = 0x74,
};

// What the root entry of a unit says about the code it covers.
struct Unit {
  uint16_t version = 0;
  bool is64 = false;
  uint8_t address_size = 4;
  std::optional<Attribute> stmt_list, low_pc, high_pc, ranges, addr_base, rnglists_base;

  // Reads a unit from `info`; false if there is nothing to be learnt from it.
  bool read(Reader& info, const Sections& sections) {
    Reader r = info.unit(is64);
    version = r.fixed<uint16_t>();
    uint64_t abbrev_offset;
    if (version == 5) {
      const uint8_t type = r.u8();
      address_size = r.u8();
      abbrev_offset = r.word(is64);
      if (type == 4 || type == 5) r.skip(8);     // skeleton: the dwo id
      if (type == 2 || type == 6) return false;  // types only
    } else if (version >= 2 && version <= 4) {
      abbrev_offset = r.word(is64);
      address_size = r.u8();
    } else {
      return false;
    }
    const uint64_t code = r.uleb();
    if (!r.ok || code == 0 || abbrev_offset >= sections.abbrev.size()) return false;
    Reader abbrev(sections.abbrev.subspan(size_t(abbrev_offset)));
    while (abbrev.ok) {
      const uint64_t candidate = abbrev.uleb();
      if (candidate == 0) return false;
      abbrev.uleb();  // tag
      abbrev.u8();    // has children
      while (abbrev.ok) {
        const uint64_t at = abbrev.uleb(), form = abbrev.uleb();
        int64_t constant = 0;
        if (form == kFormImplicitConst) constant = abbrev.sleb();
        if (at == 0 && form == 0) break;
        if (candidate != code) continue;
        Attribute a = read_form(r, form, is64, address_size, sections);
        if (form == kFormImplicitConst) a.number = uint64_t(constant);
        if (!r.ok) return false;
        switch (at) {
          case kAtStmtList:
            stmt_list = a;
            break;
          case kAtLowPc:
            low_pc = a;
            break;
          case kAtHighPc:
            high_pc = a;
            break;
          case kAtRanges:
            ranges = a;
            break;
          case kAtAddrBase:
            addr_base = a;
            break;
          case kAtRnglistsBase:
            rnglists_base = a;
            break;
        }
      }
      if (candidate == code) return abbrev.ok && stmt_list.has_value();
    }
    return false;
  }

  std::optional<uint64_t> indexed_address(const Sections& sections, uint64_t index) const {
    if (!addr_base) return std::nullopt;
    const uint64_t width = address_size == 8 ? 8 : 4;
    if (index > sections.addr.size() || addr_base->number > sections.addr.size())
      return std::nullopt;
    const uint64_t at = addr_base->number + index * width;
    if (at > sections.addr.size() || width > sections.addr.size() - at) return std::nullopt;
    return Reader(sections.addr.subspan(size_t(at))).sized(width);
  }

  std::optional<uint64_t> address(const Sections& sections, const Attribute& a) const {
    if (a.form == kFormAddr) return a.number;
    if (a.form == kFormAddrx || (a.form >= kFormAddrx1 && a.form <= kFormAddrx4))
      return indexed_address(sections, a.number);
    return std::nullopt;
  }

  // Does the unit cover `target`? Unsure counts as yes.
  bool may_cover(const Sections& sections, uint64_t target) const {
    std::optional<uint64_t> low;
    if (low_pc) low = address(sections, *low_pc);
    if (ranges)
      return version >= 5 ? in_rnglist(sections, target, low.value_or(0))
                          : in_ranges(sections, target, low.value_or(0));
    if (!low || !high_pc) return true;
    const std::optional<uint64_t> end_address = address(sections, *high_pc);
    const uint64_t end = end_address ? *end_address : *low + high_pc->number;
    return *low <= target && target < end;
  }

  bool in_ranges(const Sections& sections, uint64_t target, uint64_t base) const {
    if (ranges->number >= sections.ranges.size()) return true;
    Reader r(sections.ranges.subspan(size_t(ranges->number)));
    const uint64_t width = address_size == 8 ? 8 : 4;
    const uint64_t top = width == 8 ? ~uint64_t{0} : 0xFFFFFFFF;
    while (r.ok) {
      const uint64_t begin = r.sized(width), end = r.sized(width);
      if (!r.ok || (begin == 0 && end == 0)) break;
      if (begin == top)
        base = end;
      else if (base + begin <= target && target < base + end)
        return true;
    }
    return false;
  }

  bool in_rnglist(const Sections& sections, uint64_t target, uint64_t base) const {
    uint64_t offset = ranges->number;
    if (ranges->form == kFormRnglistx) {
      if (!rnglists_base) return true;
      const uint64_t width = is64 ? 8 : 4;
      const uint64_t table = rnglists_base->number;
      if (table > sections.rnglists.size() || offset > sections.rnglists.size() / width)
        return true;
      const uint64_t at = table + offset * width;
      if (at > sections.rnglists.size()) return true;
      offset = table + Reader(sections.rnglists.subspan(size_t(at))).word(is64);
    }
    if (offset >= sections.rnglists.size()) return true;
    Reader r(sections.rnglists.subspan(size_t(offset)));
    const uint64_t width = address_size == 8 ? 8 : 4;
    auto indexed = [&] { return indexed_address(sections, r.uleb()).value_or(0); };
    while (r.ok) {
      uint64_t begin = 0, end = 0;
      switch (r.u8()) {
        case 0:  // end_of_list
          return false;
        case 1:  // base_addressx
          base = indexed();
          continue;
        case 2:  // startx_endx
          begin = indexed();
          end = indexed();
          break;
        case 3:  // startx_length
          begin = indexed();
          end = begin + r.uleb();
          break;
        case 4:  // offset_pair
          begin = base + r.uleb();
          end = base + r.uleb();
          break;
        case 5:  // base_address
          base = r.sized(width);
          continue;
        case 6:  // start_end
          begin = r.sized(width);
          end = r.sized(width);
          break;
        case 7:  // start_length
          begin = r.sized(width);
          end = begin + r.uleb();
          break;
        default:
          return true;
      }
      if (r.ok && begin <= target && target < end) return true;
    }
    return false;
  }
};

}  // namespace

String dwarf_location(const wasm::Module& module, uint32_t module_offset) {
  const Sections sections(module);
  if (sections.line.empty() || sections.code_size == 0 || module_offset < sections.code_begin ||
      module_offset - sections.code_begin >= sections.code_size)
    return {};
  const uint64_t target = module_offset - sections.code_begin;
  Position position;

  // By way of the units, which say what code they cover: cheap even if there are
  // thousands.
  Reader info(sections.info);
  while (info.ok && info.left()) {
    Unit unit;
    if (!unit.read(info, sections) || !unit.may_cover(sections, target)) continue;
    if (unit.stmt_list->number >= sections.line.size()) continue;
    Reader line(sections.line.subspan(size_t(unit.stmt_list->number)));
    LineHeader header;
    if (!header.read(line)) continue;
    if (!find_row(header, target, sections.code_size, position)) continue;
    if (String text = format(header, sections, position); !text.empty()) return text;
  }
  if (info.ok && !sections.info.empty()) return {};

  // Line tables alone.
  Reader line(sections.line);
  while (line.ok && line.left()) {
    LineHeader header;
    if (!header.read(line)) continue;
    if (!find_row(header, target, sections.code_size, position)) continue;
    if (String text = format(header, sections, position); !text.empty()) return text;
  }
  return {};
}

}  // namespace wafer::runtime
