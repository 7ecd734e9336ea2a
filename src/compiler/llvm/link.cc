#include "compiler/llvm/link.h"

#include <llvm/ADT/StringMap.h>
#include <llvm/Object/ELFObjectFile.h>

#include <algorithm>

#include "compiler/llvm/locations.h"
#include "compiler/llvm/translate.h"

namespace wafer::compiler {

namespace {

namespace elf = llvm::ELF;
using llvm::object::ELFObjectFileBase;
using llvm::object::RelocationRef;
using llvm::object::SectionRef;
using llvm::object::SymbolRef;

constexpr std::string_view kDataRef = "DW.ref.";

enum class Part : uint8_t { None, Text, Rodata, EhFrame };

struct Placed {
  Part part = Part::None;
  uint64_t offset = 0;  // in the part
};

Error failed(std::string_view what) {
  String message = "linking machine code: ";
  message += what;
  return Error(ErrorKind::Unsupported, message);
}
Error failed(llvm::Error error) { return failed(llvm::toString(std::move(error))); }

// What ModuleTranslator::symbol() made; false for any other name.
bool parse_symbol(llvm::StringRef name, ImageFunction& out) {
  if (!name.consume_front("f")) return false;
  const auto [func, loop] = name.split('.');
  return !func.getAsInteger(10, out.func_index) &&
         (loop.empty() || !loop.getAsInteger(10, out.loop));
}

uint32_t read32(const uint8_t* p) { return load_le<uint32_t>(p); }

class Linker {
 public:
  explicit Linker(std::span<const std::unique_ptr<llvm::MemoryBuffer>> buffers)
      : buffers_(buffers) {}

  Result<ImageParts> run() {
    for (const auto& buffer : buffers_) {
      auto object = llvm::object::ObjectFile::createELFObjectFile(buffer->getMemBufferRef());
      if (!object) return failed(object.takeError());
      objects_.push_back(std::move(*object));
      WAFER_TRY(place(*llvm::cast<ELFObjectFileBase>(objects_.back().get())));
    }
    join_parts();
    WAFER_TRY(find_symbols());
    // Stubs come last in the text, so their number must be known before the plan.
    WAFER_TRY(collect_references());
    plan_ = plan_image(out_.text.size() + stubs_.size() * kStubSize, out_.rodata.size());
    for (size_t i = 0; i < objects_.size(); ++i) WAFER_TRY(relocate(i));
    write_stubs();
    WAFER_TRY(read_debug_info());
    std::sort(out_.functions.begin(), out_.functions.end(),
              [](const ImageFunction& a, const ImageFunction& b) { return a.begin < b.begin; });
    return std::move(out_);
  }

 private:
  static constexpr size_t kStubSize = 16;

  std::span<const std::unique_ptr<llvm::MemoryBuffer>> buffers_;
  std::vector<std::unique_ptr<llvm::object::ObjectFile>> objects_;
  std::vector<std::vector<Placed>> placed_;  // by object and section index
  Vec<uint8_t> eh_frame_;
  uint64_t eh_frame_offset_ = 0;  // in rodata
  ImageParts out_;
  ImagePlan plan_{};
  llvm::StringMap<uint64_t> defined_;  // offset in text
  llvm::StringMap<uint32_t> slots_;
  llvm::StringMap<uint32_t> stubs_;
  bool aarch64_ = false;

  static void append(Vec<uint8_t>& to, llvm::StringRef bytes, uint64_t align, uint8_t fill,
                     uint64_t& at) {
    while (to.size() % align) to.push_back(fill);
    at = to.size();
    to.insert(to.end(), bytes.bytes_begin(), bytes.bytes_end());
  }

  Result<void> place(const ELFObjectFileBase& object) {
    aarch64_ = object.getEMachine() == elf::EM_AARCH64;
    auto& placed = placed_.emplace_back();
    for (const SectionRef& section : object.sections()) {
      const size_t index = section.getIndex();
      if (placed.size() <= index) placed.resize(index + 1);
      const llvm::object::ELFSectionRef s(section);
      if (!(s.getFlags() & elf::SHF_ALLOC) || section.getSize() == 0) continue;
      auto name = section.getName();
      auto contents = section.getContents();
      if (!name || !contents) return failed("an unreadable section");
      const uint64_t align = std::max<uint64_t>(section.getAlignment().value(), 1);
      Placed& p = placed[index];
      if (s.getFlags() & elf::SHF_EXECINSTR) {
        p.part = Part::Text;
        append(out_.text, *contents, align, aarch64_ ? 0 : 0xCC, p.offset);
      } else if (*name == ".eh_frame") {
        p.part = Part::EhFrame;
        // A gap of zeros would end the table.
        append(eh_frame_, *contents, 1, 0, p.offset);
      } else if (s.getFlags() & elf::SHF_WRITE) {
        if (!name->contains("DW.ref.")) return failed("writable data");
      } else {
        p.part = Part::Rodata;
        append(out_.rodata, *contents, align, 0, p.offset);
      }
    }
    return {};
  }

  void join_parts() {
    if (!eh_frame_.empty()) {
      for (int i = 0; i < 4; ++i) eh_frame_.push_back(0);
      while (out_.rodata.size() % 16) out_.rodata.push_back(0);
      eh_frame_offset_ = out_.rodata.size();
      out_.rodata.insert(out_.rodata.end(), eh_frame_.begin(), eh_frame_.end());
      out_.eh_frame = uint32_t(eh_frame_offset_);
      out_.has_eh_frame = true;
    }
    while (out_.text.size() % 16) out_.text.push_back(aarch64_ ? 0 : 0xCC);
  }

  // Offset in the image.
  uint64_t image_offset(const Placed& p, uint64_t offset) const {
    switch (p.part) {
      case Part::Text:
        return plan_.text + p.offset + offset;
      case Part::Rodata:
        return plan_.rodata + p.offset + offset;
      default:
        return plan_.rodata + eh_frame_offset_ + p.offset + offset;
    }
  }
  uint8_t* bytes_at(const Placed& p, uint64_t offset) {
    switch (p.part) {
      case Part::Text:
        return out_.text.data() + p.offset + offset;
      case Part::Rodata:
        return out_.rodata.data() + p.offset + offset;
      default:
        return out_.rodata.data() + eh_frame_offset_ + p.offset + offset;
    }
  }

  Result<void> find_symbols() {
    for (size_t i = 0; i < objects_.size(); ++i) {
      for (const SymbolRef& symbol : objects_[i]->symbols()) {
        auto name = symbol.getName();
        auto section = symbol.getSection();
        auto value = symbol.getValue();
        if (!name || !section || !value) return failed("an unreadable symbol");
        if (*section == objects_[i]->section_end()) continue;
        const Placed& p = placed_[i][(*section)->getIndex()];
        auto type = symbol.getType();
        if (p.part != Part::Text || !type || *type != SymbolRef::ST_Function) continue;
        const uint64_t begin = p.offset + *value;
        defined_[*name] = begin;
        ImageFunction f{};
        if (!parse_symbol(*name, f)) continue;
        f.begin = uint32_t(begin);
        f.end = uint32_t(begin + llvm::object::ELFSymbolRef(symbol).getSize());
        out_.functions.push_back(f);
      }
    }
    return {};
  }

  uint32_t slot_of(llvm::StringRef name) {
    if (name.starts_with(llvm::StringRef(kDataRef.data(), kDataRef.size())))
      name = name.drop_front(kDataRef.size());
    const auto [it, added] = slots_.try_emplace(name, uint32_t(out_.symbols.size()));
    if (added) out_.symbols.push_back(String(name.data(), name.size()));
    return it->second;
  }

  static bool is_table_reference(uint64_t type, bool aarch64) {
    if (aarch64)
      return type == elf::R_AARCH64_ADR_GOT_PAGE || type == elf::R_AARCH64_LD64_GOT_LO12_NC;
    return type == elf::R_X86_64_GOTPCREL || type == elf::R_X86_64_GOTPCRELX ||
           type == elf::R_X86_64_REX_GOTPCRELX;
  }

  // Calls f(section, relocation, symbol name, symbol iterator) for all of object i.
  template <class F>
  Result<void> each_relocation(size_t i, F f) {
    const auto& object = *llvm::cast<ELFObjectFileBase>(objects_[i].get());
    for (const SectionRef& section : object.sections()) {
      auto target = section.getRelocatedSection();
      if (!target) return failed(target.takeError());
      if (*target == object.section_end()) continue;
      const Placed& p = placed_[i][(*target)->getIndex()];
      if (p.part == Part::None) continue;
      for (const RelocationRef& r : section.relocations()) {
        const auto symbol = r.getSymbol();
        if (symbol == object.symbol_end()) return failed("a relocation without symbol");
        auto name = symbol->getName();
        if (!name) return failed(name.takeError());
        WAFER_TRY(f(p, r, *name, *symbol));
      }
    }
    return {};
  }

  Result<void> collect_references() {
    for (size_t i = 0; i < objects_.size(); ++i) {
      WAFER_TRY(each_relocation(i,
                                [&](const Placed&, const RelocationRef& r, llvm::StringRef name,
                                    const SymbolRef& symbol) -> Result<void> {
                                  const bool table = is_table_reference(r.getType(), aarch64_);
                                  if (table || name.starts_with("DW.ref.")) {
                                    slot_of(name);
                                    return {};
                                  }
                                  if (is_defined(i, symbol, name)) return {};
                                  if (symbol_address({name.data(), name.size()}) == nullptr)
                                    return failed("unknown symbol " + name.str());
                                  slot_of(name);
                                  stubs_.try_emplace(name, uint32_t(stubs_.size()));
                                  return {};
                                }));
    }
    for (const auto& slot : slots_)
      if (!defined_.contains(slot.getKey()) &&
          !symbol_address({slot.getKey().data(), slot.getKey().size()}))
        return failed("unknown symbol " + slot.getKey().str());
    return {};
  }

  bool is_defined(size_t object, const SymbolRef& symbol, llvm::StringRef name) {
    auto section = symbol.getSection();
    if (section && *section != objects_[object]->section_end()) return true;
    return defined_.contains(name);
  }

  uint64_t slot_address(llvm::StringRef name) { return plan_.table + uint64_t(slot_of(name)) * 8; }
  uint64_t stub_address(llvm::StringRef name) {
    return plan_.text + out_.text.size() + uint64_t(stubs_.lookup(name)) * kStubSize;
  }

  Result<uint64_t> target_of(size_t i, const SymbolRef& symbol, llvm::StringRef name) {
    if (name.starts_with("DW.ref.")) return slot_address(name);
    auto section = symbol.getSection();
    auto value = symbol.getValue();
    if (!section || !value) return failed("an unreadable symbol");
    if (*section != objects_[i]->section_end()) {
      const Placed& p = placed_[i][(*section)->getIndex()];
      if (p.part == Part::None) return failed("reference to a section that is left out");
      return image_offset(p, *value);
    }
    if (auto it = defined_.find(name); it != defined_.end()) return plan_.text + it->second;
    return stub_address(name);
  }

  Result<void> relocate(size_t i) {
    return each_relocation(
        i,
        [&](const Placed& p, const RelocationRef& r, llvm::StringRef name,
            const SymbolRef& symbol) -> Result<void> {
          auto addend = llvm::object::ELFRelocationRef(r).getAddend();
          if (!addend) return failed(addend.takeError());
          uint64_t target;
          if (is_table_reference(r.getType(), aarch64_)) {
            target = slot_address(name);
          } else {
            WAFER_LET(t, target_of(i, symbol, name));
            target = t;
          }
          const uint64_t at = image_offset(p, r.getOffset());
          uint8_t* bytes = bytes_at(p, r.getOffset());
          return aarch64_ ? apply_aarch64(r.getType(), bytes, at, target + uint64_t(*addend))
                          : apply_x86(r.getType(), bytes, at, target + uint64_t(*addend));
        });
  }

  static Result<void> apply_x86(uint64_t type, uint8_t* bytes, uint64_t at, uint64_t target) {
    const auto delta = int64_t(target - at);
    switch (type) {
      case elf::R_X86_64_PC32:
      case elf::R_X86_64_PLT32:
      case elf::R_X86_64_GOTPCREL:
      case elf::R_X86_64_GOTPCRELX:
      case elf::R_X86_64_REX_GOTPCRELX:
        if (delta != int32_t(delta)) return failed("code is too large");
        store_le(bytes, int32_t(delta));
        return {};
      case elf::R_X86_64_PC64:
        store_le(bytes, delta);
        return {};
      default:
        return failed("relocation " + std::to_string(type));
    }
  }

  static Result<void> apply_aarch64(uint64_t type, uint8_t* bytes, uint64_t at, uint64_t target) {
    const auto delta = int64_t(target - at);
    const auto page = int64_t((target & ~uint64_t{0xFFF}) - (at & ~uint64_t{0xFFF})) >> 12;
    const auto patch = [bytes](uint32_t mask, uint32_t value) {
      store_le(bytes, (read32(bytes) & ~mask) | (value & mask));
    };
    const auto low12 = [&](unsigned scale) {
      patch(0xFFFu << 10, uint32_t((target & 0xFFF) >> scale) << 10);
      return Result<void>();
    };
    const auto branch = [&](unsigned bits, unsigned shift) -> Result<void> {
      const int64_t words = delta >> 2;
      if (words < -(int64_t{1} << (bits - 1)) || words >= int64_t{1} << (bits - 1))
        return failed("code is too large");
      patch(((1u << bits) - 1) << shift, uint32_t(words) << shift);
      return {};
    };
    switch (type) {
      case elf::R_AARCH64_CALL26:
      case elf::R_AARCH64_JUMP26:
        return branch(26, 0);
      case elf::R_AARCH64_CONDBR19:
        return branch(19, 5);
      case elf::R_AARCH64_TSTBR14:
        return branch(14, 5);
      case elf::R_AARCH64_ADR_PREL_PG_HI21:
      case elf::R_AARCH64_ADR_GOT_PAGE:
        patch(0x60FFFFE0, (uint32_t(page & 3) << 29) | (uint32_t(page >> 2) << 5));
        return {};
      case elf::R_AARCH64_ADR_PREL_LO21:
        patch(0x60FFFFE0, (uint32_t(delta & 3) << 29) | (uint32_t(delta >> 2) << 5));
        return {};
      case elf::R_AARCH64_ADD_ABS_LO12_NC:
      case elf::R_AARCH64_LDST8_ABS_LO12_NC:
        return low12(0);
      case elf::R_AARCH64_LDST16_ABS_LO12_NC:
        return low12(1);
      case elf::R_AARCH64_LDST32_ABS_LO12_NC:
        return low12(2);
      case elf::R_AARCH64_LDST64_ABS_LO12_NC:
      case elf::R_AARCH64_LD64_GOT_LO12_NC:
        return low12(3);
      case elf::R_AARCH64_LDST128_ABS_LO12_NC:
        return low12(4);
      case elf::R_AARCH64_PREL32:
        store_le(bytes, int32_t(delta));
        return {};
      case elf::R_AARCH64_PREL64:
        store_le(bytes, delta);
        return {};
      default:
        return failed("relocation " + std::to_string(type));
    }
  }

  // Jumps through the table, for calls to names from outside.
  void write_stubs() {
    const size_t base = out_.text.size();
    out_.text.resize(base + stubs_.size() * kStubSize);
    for (const auto& stub : stubs_) {
      uint8_t* p = out_.text.data() + base + stub.getValue() * kStubSize;
      const uint64_t at = plan_.text + base + stub.getValue() * kStubSize;
      const uint64_t slot = slot_address(stub.getKey());
      if (aarch64_) {
        store_le(p, uint32_t{0x90000010});      // adrp x16, slot
        store_le(p + 4, uint32_t{0xF9400210});  // ldr x16, [x16, slot]
        store_le(p + 8, uint32_t{0xD61F0200});  // br x16
        (void)apply_aarch64(elf::R_AARCH64_ADR_GOT_PAGE, p, at, slot);
        (void)apply_aarch64(elf::R_AARCH64_LD64_GOT_LO12_NC, p + 4, at + 4, slot);
      } else {
        p[0] = 0xFF;  // jmp *slot(%rip)
        p[1] = 0x25;
        store_le(p + 2, int32_t(int64_t(slot) - int64_t(at + 6)));
      }
    }
  }

  Result<void> read_debug_info() {
    Vec<ImageLocation>& out = out_.locations;
    for (size_t i = 0; i < objects_.size(); ++i) {
      uint32_t text = 0;
      for (const Placed& p : placed_[i])
        if (p.part == Part::Text) text = uint32_t(p.offset);
      for (const SectionRef& section : objects_[i]->sections()) {
        auto name = section.getName();
        if (!name || *name != kLocationSection) continue;
        auto contents = section.getContents();
        if (!contents || !read_locations(*contents, text, out, out_.inlines))
          return failed("unreadable locations");
      }
    }
    // Among those that begin at one place an outer range comes before those within it.
    std::stable_sort(out_.inlines.begin(), out_.inlines.end(),
                     [](const ImageInline& a, const ImageInline& b) { return a.begin < b.begin; });
    std::stable_sort(out.begin(), out.end(), [](const ImageLocation& a, const ImageLocation& b) {
      return a.code < b.code;
    });
    // Of rows for one place the last holds; rows that say the same again go.
    size_t n = 0;
    for (const ImageLocation& l : out) {
      if (n && out[n - 1].code == l.code)
        out[n - 1] = l;
      else if (!n || out[n - 1].module_offset != l.module_offset)
        out[n++] = l;
    }
    out.resize(n);
    return {};
  }
};

}  // namespace

Result<ImageParts> link_objects(std::span<const std::unique_ptr<llvm::MemoryBuffer>> objects) {
  return Linker(objects).run();
}

}  // namespace wafer::compiler
