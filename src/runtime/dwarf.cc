// Source positions from DWARF line tables (DWARF 5, section 6.2; versions 2 to 5), and
// inlined functions from the entries of units (section 3.3.8). Addresses in a WebAssembly
// module are offsets into the code section's payload.
//
// Debug sections are not validated, so every read is checked and all that a broken
// one can cause is an empty or wrong answer.
#include "base/platform.h"
#if WAFER_HAS_OS  // a small device has no use for debug sections

#include <algorithm>
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

// Bytes of a name that are read.
constexpr size_t kMostText = 4096;

struct Sections {
  Bytes line, line_str, str, str_offsets, info, abbrev, ranges, rnglists, addr;
  uint32_t code_begin = 0, code_size = 0;
  uint64_t& budget;  // steps that may still be taken

  // Takes a step; false if there have been too many.
  bool spend() const { return budget && budget--; }

  explicit Sections(const wasm::Module& module, uint64_t& steps) : budget(steps) {
    for (const wasm::CustomSection& c : module.customs) {
      const std::string_view name = c.name;
      if (!name.starts_with(".debug_")) continue;
      const Bytes payload = module.slice(c.payload);
      if (name == ".debug_line") line = payload;
      if (name == ".debug_line_str") line_str = payload;
      if (name == ".debug_str") str = payload;
      if (name == ".debug_str_offsets") str_offsets = payload;
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
    const Bytes rest = section.subspan(size_t(offset));
    const std::string_view text(reinterpret_cast<const char*>(rest.data()),
                                std::min(rest.size(), kMostText));
    return text.substr(0, text.find('\0'));
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

// An attribute's value: a number, or a string in place.
struct Attribute {
  uint64_t form = 0;
  uint64_t number = 0;
  std::string_view inside;

  // The string that it is, or that it names by its offset.
  std::string_view text(const Sections& sections) const {
    if (form == kFormStrp) return Sections::string_at(sections.str, number);
    if (form == kFormLineStrp) return Sections::string_at(sections.line_str, number);
    return inside.substr(0, kMostText);
  }
};

Attribute read_form(Reader& r, uint64_t form, bool is64, uint8_t address_size) {
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
      a.inside = r.string();
      break;
    case kFormStrp:
    case kFormLineStrp:
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
bool find_row(const LineHeader& header, const Sections& sections, uint64_t address, Position& out) {
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
    if (!have_before) live = now.address != 0 && now.address < sections.code_size;
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
  while (r.ok && r.left() && sections.spend()) {
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
    while (r.ok && sections.spend() && !r.string().empty()) {
    }
    bool found = false;
    for (uint64_t i = 1; r.ok && sections.spend(); ++i) {
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
    for (uint64_t i = 1; i <= directory_index && sections.spend(); ++i) {
      directory = d.string();
      if (directory.empty()) break;
    }
    return true;
  }
  // Two tables of the same shape: what each entry holds, then the entries.
  auto entry = [&](Reader format, unsigned fields, std::string_view& path, uint64_t& index) {
    for (unsigned i = 0; i < fields && r.ok && sections.spend(); ++i) {
      const uint64_t content = format.uleb();
      const Attribute a = read_form(r, format.uleb(), header.is64, header.address_size);
      if (content == 1) path = a.text(sections);
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
    for (uint64_t i = 0; i < count && r.ok && sections.spend(); ++i) {
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
  kAtName = 0x03,
  kAtStmtList = 0x10,
  kAtLowPc = 0x11,
  kAtHighPc = 0x12,
  kAtAbstractOrigin = 0x31,
  kAtSpecification = 0x47,
  kAtRanges = 0x55,
  kAtCallColumn = 0x57,
  kAtCallFile = 0x58,
  kAtCallLine = 0x59,
  kAtLinkageName = 0x6E,
  kAtStrOffsetsBase = 0x72,
  kAtAddrBase = 0x73,
  kAtRnglistsBase = 0x74,
  kAtMipsLinkageName = 0x2007,
};

constexpr uint64_t kTagInlinedSubroutine = 0x1D;
constexpr uint64_t kTagSubprogram = 0x2E;

// Bounds on what a unit can make this do: no compiler comes near them.
constexpr uint64_t kMostAbbrevs = 1u << 16;
constexpr size_t kMostInlined = 64;
constexpr unsigned kMostOrigins = 8;

// The shapes of a unit's entries.
class Abbrevs {
 public:
  struct Field {
    uint16_t at, form;
    int64_t constant;
  };
  struct Shape {
    uint64_t tag = 0;
    bool children = false, known = false;
    uint32_t first = 0, count = 0;  // of its fields
  };

  // Reads the table at `offset` of .debug_abbrev, as far as it makes sense.
  void read(Bytes section, uint64_t offset) {
    shapes_.clear();
    fields_.clear();
    if (offset >= section.size()) return;
    Reader r(section.subspan(size_t(offset)));
    while (r.ok) {
      const uint64_t code = r.uleb();
      if (code == 0 || code > kMostAbbrevs) return;
      Shape shape;
      shape.tag = r.uleb();
      shape.children = r.u8() != 0;
      shape.first = uint32_t(fields_.size());
      while (r.ok) {
        const uint64_t at = r.uleb(), form = r.uleb();
        const int64_t constant = form == kFormImplicitConst ? r.sleb() : 0;
        if ((at == 0 && form == 0) || at > 0xFFFF || form > 0xFFFF) break;
        fields_.push_back({uint16_t(at), uint16_t(form), constant});
      }
      shape.count = uint32_t(fields_.size()) - shape.first;
      shape.known = r.ok;
      if (code >= shapes_.size()) shapes_.resize(size_t(code) + 1);
      shapes_[size_t(code)] = shape;
    }
  }
  const Shape* find(uint64_t code) const {
    return code < shapes_.size() && shapes_[size_t(code)].known ? &shapes_[size_t(code)] : nullptr;
  }
  std::span<const Field> fields(const Shape& shape) const {
    return {fields_.data() + shape.first, shape.count};
  }

 private:
  Vec<Shape> shapes_;  // by code
  Vec<Field> fields_;
};

// An entry of a unit: what is asked of it.
struct Entry {
  uint64_t tag = 0;
  bool children = false;
  std::optional<Attribute> name, linkage_name, low_pc, high_pc, ranges, origin, stmt_list,
      addr_base, rnglists_base, str_offsets_base;
  uint64_t call_file = 0, call_line = 0, call_column = 0;

  void set(uint16_t at, const Attribute& a) {
    switch (at) {
      case kAtName:
        name = a;
        break;
      case kAtLinkageName:
      case kAtMipsLinkageName:
        linkage_name = a;
        break;
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
      case kAtAbstractOrigin:
      case kAtSpecification:
        origin = a;
        break;
      case kAtCallFile:
        call_file = a.number;
        break;
      case kAtCallLine:
        call_line = a.number;
        break;
      case kAtCallColumn:
        call_column = a.number;
        break;
      case kAtStrOffsetsBase:
        str_offsets_base = a;
        break;
      case kAtAddrBase:
        addr_base = a;
        break;
      case kAtRnglistsBase:
        rnglists_base = a;
        break;
    }
  }
};

// A unit of .debug_info, and what its root entry says.
struct Unit {
  uint16_t version = 0;
  bool is64 = false;
  uint8_t address_size = 4;
  uint64_t abbrev_offset = 0;
  const uint8_t* begin = nullptr;  // of the unit, from which references count
  const uint8_t* end = nullptr;
  Reader entries{{}};  // after the header
  Entry root;

  // Reads the header of the unit that `info` is at, and goes past the unit; false if there
  // is nothing to be learnt from it.
  bool read_header(Reader& info) {
    begin = info.p;
    Reader r = info.unit(is64);
    end = info.p;
    version = r.fixed<uint16_t>();
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
    entries = r;
    return r.ok;
  }

  // Reads an entry at `r` of the shape that `shape` tells.
  bool read_fields(Reader& r, std::span<const Abbrevs::Field> fields, const Sections& sections,
                   Entry& out) const {
    for (const Abbrevs::Field& f : fields) {
      if (!sections.spend()) return false;
      Attribute a = read_form(r, f.form, is64, address_size);
      if (f.form == kFormImplicitConst) a.number = uint64_t(f.constant);
      out.set(f.at, a);
    }
    return r.ok;
  }

  // Reads the root entry, and no more of the shapes than that takes.
  bool read_root(const Sections& sections) {
    Reader r = entries;
    const uint64_t code = r.uleb();
    if (!r.ok || code == 0 || abbrev_offset >= sections.abbrev.size()) return false;
    Reader abbrev(sections.abbrev.subspan(size_t(abbrev_offset)));
    while (abbrev.ok && sections.spend()) {
      const uint64_t candidate = abbrev.uleb();
      if (candidate == 0) return false;
      abbrev.uleb();  // tag
      abbrev.u8();    // has children
      while (abbrev.ok && sections.spend()) {
        const uint64_t at = abbrev.uleb(), form = abbrev.uleb();
        int64_t constant = 0;
        if (form == kFormImplicitConst) constant = abbrev.sleb();
        if (at == 0 && form == 0) break;
        if (candidate != code || at > 0xFFFF || form > 0xFFFF) continue;
        const Abbrevs::Field field = {uint16_t(at), uint16_t(form), constant};
        if (!read_fields(r, {&field, 1}, sections, root)) return false;
      }
      if (candidate == code) return abbrev.ok && root.stmt_list.has_value();
    }
    return false;
  }

  std::optional<uint64_t> indexed_address(const Sections& sections, uint64_t index) const {
    if (!root.addr_base) return std::nullopt;
    const uint64_t width = address_size == 8 ? 8 : 4;
    const uint64_t base = root.addr_base->number;
    if (index > sections.addr.size() || base > sections.addr.size()) return std::nullopt;
    const uint64_t at = base + index * width;
    if (at > sections.addr.size() || width > sections.addr.size() - at) return std::nullopt;
    return Reader(sections.addr.subspan(size_t(at))).sized(width);
  }

  std::optional<uint64_t> address(const Sections& sections, const Attribute& a) const {
    if (a.form == kFormAddr) return a.number;
    if (a.form == kFormAddrx || (a.form >= kFormAddrx1 && a.form <= kFormAddrx4))
      return indexed_address(sections, a.number);
    return std::nullopt;
  }

  // The string of an attribute.
  std::string_view text(const Sections& sections, const Attribute& a) const {
    const bool indexed = a.form == kFormStrx || (a.form >= kFormStrx1 && a.form <= kFormStrx4);
    if (!indexed) return a.text(sections);
    const uint64_t width = is64 ? 8 : 4, size = sections.str_offsets.size();
    const uint64_t base = root.str_offsets_base ? root.str_offsets_base->number : 2 * width;
    if (base > size || a.number >= (size - base) / width) return {};
    Reader r(sections.str_offsets.subspan(size_t(base + a.number * width)));
    return Sections::string_at(sections.str, r.word(is64));
  }

  // Does `entry` cover `target`? Where it does not tell, or not in a way that is
  // understood, `unsure`.
  bool covers(const Sections& sections, const Entry& entry, uint64_t target, bool unsure) const {
    std::optional<uint64_t> low, base;
    if (entry.low_pc) low = address(sections, *entry.low_pc);
    if (root.low_pc) base = address(sections, *root.low_pc);
    if (entry.ranges)
      return version >= 5 ? in_rnglist(sections, *entry.ranges, target, base.value_or(0), unsure)
                          : in_ranges(sections, *entry.ranges, target, base.value_or(0), unsure);
    if (!low || !entry.high_pc) return unsure;
    const std::optional<uint64_t> end_address = address(sections, *entry.high_pc);
    const uint64_t high = end_address ? *end_address : *low + entry.high_pc->number;
    return *low <= target && target < high;
  }

  bool in_ranges(const Sections& sections, const Attribute& ranges, uint64_t target, uint64_t base,
                 bool unsure) const {
    if (ranges.number >= sections.ranges.size()) return unsure;
    Reader r(sections.ranges.subspan(size_t(ranges.number)));
    const uint64_t width = address_size == 8 ? 8 : 4;
    const uint64_t top = width == 8 ? ~uint64_t{0} : 0xFFFFFFFF;
    while (r.ok && sections.spend()) {
      const uint64_t first = r.sized(width), past = r.sized(width);
      if (!r.ok || (first == 0 && past == 0)) break;
      if (first == top)
        base = past;
      else if (base + first <= target && target < base + past)
        return true;
    }
    return false;
  }

  bool in_rnglist(const Sections& sections, const Attribute& ranges, uint64_t target, uint64_t base,
                  bool unsure) const {
    uint64_t offset = ranges.number;
    if (ranges.form == kFormRnglistx) {
      if (!root.rnglists_base) return unsure;
      const uint64_t width = is64 ? 8 : 4;
      const uint64_t table = root.rnglists_base->number;
      if (table > sections.rnglists.size() || offset > sections.rnglists.size() / width)
        return unsure;
      const uint64_t at = table + offset * width;
      if (at > sections.rnglists.size()) return unsure;
      offset = table + Reader(sections.rnglists.subspan(size_t(at))).word(is64);
    }
    if (offset >= sections.rnglists.size()) return unsure;
    Reader r(sections.rnglists.subspan(size_t(offset)));
    const uint64_t width = address_size == 8 ? 8 : 4;
    auto indexed = [&] { return indexed_address(sections, r.uleb()).value_or(0); };
    while (r.ok && sections.spend()) {
      uint64_t first = 0, past = 0;
      switch (r.u8()) {
        case 0:  // end_of_list
          return false;
        case 1:  // base_addressx
          base = indexed();
          continue;
        case 2:  // startx_endx
          first = indexed();
          past = indexed();
          break;
        case 3:  // startx_length
          first = indexed();
          past = first + r.uleb();
          break;
        case 4:  // offset_pair
          first = base + r.uleb();
          past = base + r.uleb();
          break;
        case 5:  // base_address
          base = r.sized(width);
          continue;
        case 6:  // start_end
          first = r.sized(width);
          past = r.sized(width);
          break;
        case 7:  // start_length
          first = r.sized(width);
          past = first + r.uleb();
          break;
        default:
          return unsure;
      }
      if (r.ok && first <= target && target < past) return true;
    }
    return false;
  }
};

// ---- Inlined functions ----------------------------------------------------------------

// The function whose code `target` is, and those inlined there, the outermost first; all of
// `unit`, in one pass over its entries.
Vec<Entry> functions_at(const Unit& unit, const Abbrevs& abbrevs, const Sections& sections,
                        uint64_t target) {
  Vec<Entry> found;
  Reader r = unit.entries;
  uint64_t depth = 0, function_depth = 0;
  while (r.ok && r.left() && sections.spend()) {
    const uint64_t code = r.uleb();
    if (code == 0) {
      if (depth == 0) break;
      // With its function all that can cover the code has been seen.
      if (--depth <= function_depth && !found.empty()) break;
      continue;
    }
    const Abbrevs::Shape* shape = abbrevs.find(code);
    if (!shape) break;
    Entry entry;
    if (!unit.read_fields(r, abbrevs.fields(*shape), sections, entry)) break;
    const bool wanted = found.empty()
                            ? shape->tag == kTagSubprogram
                            : shape->tag == kTagInlinedSubroutine && found.size() <= kMostInlined;
    if (wanted && unit.covers(sections, entry, target, false)) {
      if (found.empty()) function_depth = depth;
      found.push_back(entry);
    }
    if (!shape->children && !found.empty() && depth <= function_depth) break;
    if (shape->children) ++depth;
  }
  return found;
}

// The name of the function that `entry` of `unit` stands for: its linkage name, or else
// the plain one, which may be those of other entries that it refers to.
String function_name(const Unit& unit, const Abbrevs& abbrevs, const Sections& sections,
                     const Entry& entry) {
  // References lead into other units where a linker has optimized the whole program.
  Unit at_unit = unit;
  const Abbrevs* shapes = &abbrevs;
  Abbrevs of_other;
  Entry at = entry;
  std::string_view plain;
  for (unsigned i = 0;; ++i) {
    if (at.linkage_name) return String(at_unit.text(sections, *at.linkage_name));
    if (at.name && plain.empty()) plain = at_unit.text(sections, *at.name);
    if (!at.origin || i == kMostOrigins) return String(plain);
    const Attribute origin = *at.origin;
    uint64_t offset = origin.number;  // in the section
    if (origin.form == kFormRefAddr) {
      Reader info(sections.info);
      Unit other;
      while (info.ok && info.left() && sections.spend()) {
        other = Unit();
        const bool good = other.read_header(info);
        if (offset < uint64_t(info.p - sections.info.data())) {
          if (!good || !other.read_root(sections)) return String(plain);
          break;
        }
      }
      if (!info.ok || !other.begin) return String(plain);
      if (other.begin != at_unit.begin) {
        at_unit = other;
        of_other.read(sections.abbrev, other.abbrev_offset);
        shapes = &of_other;
      }
    } else {
      offset += uint64_t(at_unit.begin - sections.info.data());
    }
    const uint8_t* const from = sections.info.data();
    if (offset < uint64_t(at_unit.begin - from) || offset >= uint64_t(at_unit.end - from))
      return String(plain);
    Reader r(sections.info.subspan(size_t(offset), size_t(at_unit.end - from - offset)));
    const Abbrevs::Shape* shape = shapes->find(r.uleb());
    at = Entry();
    if (!shape || !at_unit.read_fields(r, shapes->fields(*shape), sections, at))
      return String(plain);
  }
}

// What is at `position` of the source, and the functions around it.
Vec<SourceFrame> frames_of(const Unit& unit, const Sections& sections, const LineHeader& header,
                           uint64_t target, Position position, String source) {
  Vec<SourceFrame> frames;
  Abbrevs abbrevs;
  abbrevs.read(sections.abbrev, unit.abbrev_offset);
  const Vec<Entry> functions = functions_at(unit, abbrevs, sections, target);
  for (size_t i = functions.size(); i-- > 0;) {
    frames.push_back({function_name(unit, abbrevs, sections, functions[i]), std::move(source)});
    position.file = functions[i].call_file;
    position.line = functions[i].call_line;
    position.column = functions[i].call_column;
    if (i) source = format(header, sections, position);
  }
  if (frames.empty()) frames.push_back({{}, std::move(source)});
  return frames;
}

}  // namespace

Vec<SourceFrame> dwarf_frames(const wasm::Module& module, uint32_t module_offset,
                              uint64_t& budget) {
  const Sections sections(module, budget);
  if (sections.line.empty() || sections.code_size == 0 || module_offset < sections.code_begin ||
      module_offset - sections.code_begin >= sections.code_size)
    return {};
  const uint64_t target = module_offset - sections.code_begin;
  Position position;

  // By way of the units, which say what code they cover: cheap even if there are
  // thousands.
  Reader info(sections.info);
  while (info.ok && info.left() && sections.spend()) {
    Unit unit;
    if (!unit.read_header(info) || !unit.read_root(sections) ||
        !unit.covers(sections, unit.root, target, true))
      continue;
    if (unit.root.stmt_list->number >= sections.line.size()) continue;
    Reader line(sections.line.subspan(size_t(unit.root.stmt_list->number)));
    LineHeader header;
    if (!header.read(line)) continue;
    if (!find_row(header, sections, target, position)) continue;
    if (String text = format(header, sections, position); !text.empty())
      return frames_of(unit, sections, header, target, position, std::move(text));
  }
  if (info.ok && !sections.info.empty()) return {};

  // Line tables alone.
  Reader line(sections.line);
  while (line.ok && line.left() && sections.spend()) {
    LineHeader header;
    if (!header.read(line)) continue;
    if (!find_row(header, sections, target, position)) continue;
    if (String text = format(header, sections, position); !text.empty()) {
      Vec<SourceFrame> frames;
      frames.push_back({{}, std::move(text)});
      return frames;
    }
  }
  return {};
}

}  // namespace wafer::runtime

#endif
