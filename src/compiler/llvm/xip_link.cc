// From LLVM's object to a file of code that runs in place.
#include <llvm/ADT/StringMap.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Support/LEB128.h>

#include "compiler/llvm/translate.h"
#include "compiler/llvm/xip.h"

namespace wafer::compiler {

namespace {

namespace elf = llvm::ELF;
using llvm::object::ELFObjectFileBase;
using llvm::object::RelocationRef;
using llvm::object::SectionRef;
using llvm::object::SymbolRef;

Error failed(const std::string& what) {
  return Error(ErrorKind::Unsupported, "linking code that runs in place: " + what);
}
Error failed(llvm::Error error) { return failed(llvm::toString(std::move(error))); }

constexpr uint32_t kNowhere = ~0u;

class Linker {
 public:
  Linker(const ELFObjectFileBase& object, const wasm::Module& module)
      : object_(object), module_(module) {}

  Result<Vec<uint8_t>> run(interp::XipTarget target) {
    const auto count = uint32_t(module_.functions.size()) - module_.imported_functions;
    interp::XipHeader h{};
    std::copy_n(interp::kXipMagic, sizeof h.magic, h.magic);
    h.version = interp::kXipVersion;
    h.module_hash = interp::xip_hash(module_.bytes);
    h.module_size = uint32_t(module_.bytes.size());
    h.functions = count;
    h.target = target;
    h.code = uint32_t((sizeof h + count * sizeof(interp::XipFunction) + 15) / 16 * 16);
    h.min_memory = xip_min_memory(module_);
    out_.resize(h.code);
    // Code first, so that branches are short.
    WAFER_TRY(place(true));
    WAFER_TRY(place(false));
    while (out_.size() % 4) out_.push_back(0);
    WAFER_TRY(relocate());
    WAFER_TRY(find_frames(h.max_frame));
    WAFER_LET(functions, list_functions());
    std::memcpy(out_.data() + sizeof h, functions.data(),
                functions.size() * sizeof(interp::XipFunction));
    h.size = uint32_t(out_.size());
    std::memcpy(out_.data(), &h, sizeof h);
    h.checksum = interp::xip_hash(Bytes(out_).subspan(interp::kXipChecked));
    std::memcpy(out_.data(), &h, sizeof h);
    return std::move(out_);
  }

 private:
  Result<void> place(bool code) {
    for (const SectionRef& section : object_.sections()) {
      const size_t index = section.getIndex();
      if (placed_.size() <= index) placed_.resize(index + 1, kNowhere);
      const llvm::object::ELFSectionRef s(section);
      // Unwind tables are for nobody.
      if (!(s.getFlags() & elf::SHF_ALLOC) || section.getSize() == 0 ||
          s.getType() == elf::SHT_ARM_EXIDX || bool(s.getFlags() & elf::SHF_EXECINSTR) != code)
        continue;
      if (s.getFlags() & elf::SHF_WRITE) return failed("writable data");
      auto contents = section.getContents();
      if (!contents) return failed(contents.takeError());
      while (out_.size() % std::max<uint64_t>(section.getAlignment().value(), 1)) out_.push_back(0);
      placed_[index] = uint32_t(out_.size());
      out_.insert(out_.end(), contents->bytes_begin(), contents->bytes_end());
    }
    return {};
  }

  // Where a symbol is in the file, without the mark of Thumb code.
  Result<uint32_t> address_of(const SymbolRef& symbol) const {
    auto name = symbol.getName();
    auto section = symbol.getSection();
    auto value = symbol.getValue();
    if (!name || !section || !value) return failed("an unreadable symbol");
    if (*section == object_.section_end()) return failed("no function " + name->str());
    const uint32_t at = placed_[(*section)->getIndex()];
    if (at == kNowhere) return failed("a reference to a section that is left out");
    return at + (uint32_t(*value) & ~is_function(symbol));
  }

  static uint32_t is_function(const SymbolRef& symbol) {
    auto type = symbol.getType();
    if (!type) llvm::consumeError(type.takeError());
    return type && *type == SymbolRef::ST_Function ? 1 : 0;
  }

  Result<void> relocate() {
    for (const SectionRef& section : object_.sections()) {
      auto target = section.getRelocatedSection();
      if (!target) return failed(target.takeError());
      if (*target == object_.section_end()) continue;
      const uint32_t at = placed_[(*target)->getIndex()];
      if (at == kNowhere) continue;
      for (const RelocationRef& r : section.relocations()) {
        const auto symbol = r.getSymbol();
        if (symbol == object_.symbol_end()) return failed("a relocation without symbol");
        WAFER_LET(to, address_of(*symbol));
        WAFER_TRY(apply(r.getType(), at + uint32_t(r.getOffset()), to));
      }
    }
    return {};
  }

  // Addends are in the code. Names are those of the ELF specification for Arm.
  Result<void> apply(uint64_t type, uint32_t at, uint32_t to) {
    uint8_t* p = out_.data() + at;
    const auto high = load_le<uint16_t>(p), low = load_le<uint16_t>(p + 2);
    switch (type) {
      case elf::R_ARM_REL32:
        store_le(p, load_le<uint32_t>(p) + to - at);
        return {};
      case elf::R_ARM_THM_CALL:
      case elf::R_ARM_THM_JUMP24: {
        const uint32_t s = high >> 10 & 1;
        const uint32_t i1 = ~((low >> 13 & 1u) ^ s) & 1, i2 = ~((low >> 11 & 1u) ^ s) & 1;
        int32_t distance =
            int32_t((s << 24 | i1 << 23 | i2 << 22 | (high & 0x3FFu) << 12 | (low & 0x7FFu) << 1)
                    << 7) >>
            7;
        distance += int32_t(to - at);
        if (distance < -(1 << 24) || distance >= 1 << 24) return failed("code is too large");
        const uint32_t d = uint32_t(distance), sign = d >> 24 & 1;
        store_le(p, uint16_t((high & 0xF800) | sign << 10 | (d >> 12 & 0x3FF)));
        store_le(p + 2, uint16_t((low & 0xD000) | (~(d >> 23 ^ sign) & 1) << 13 |
                                 (~(d >> 22 ^ sign) & 1) << 11 | (d >> 1 & 0x7FF)));
        return {};
      }
      case elf::R_ARM_THM_MOVW_PREL_NC:
      case elf::R_ARM_THM_MOVT_PREL: {
        const uint32_t addend =
            (high & 0xFu) << 12 | (high >> 10 & 1u) << 11 | (low >> 12 & 7u) << 8 | (low & 0xFFu);
        uint32_t value = uint32_t(int32_t(int16_t(addend))) + to - at;
        if (type == elf::R_ARM_THM_MOVT_PREL) value >>= 16;
        store_le(p, uint16_t((high & 0xFBF0) | (value >> 11 & 1) << 10 | (value >> 12 & 0xF)));
        store_le(p + 2, uint16_t((low & 0x8F00) | (value >> 8 & 7) << 12 | (value & 0xFF)));
        return {};
      }
      default:
        return failed("relocation " + std::to_string(type));
    }
  }

  // .stack_sizes: an address and a LEB128 number for each function.
  Result<void> find_frames(uint32_t& max) const {
    for (const SectionRef& section : object_.sections()) {
      auto name = section.getName();
      if (!name || *name != ".stack_sizes") continue;
      auto contents = section.getContents();
      if (!contents) return failed(contents.takeError());
      const auto* p = contents->bytes_begin();
      while (contents->bytes_end() - p > 4) {
        unsigned length = 0;
        max = std::max(max, uint32_t(llvm::decodeULEB128(p + 4, &length, contents->bytes_end())));
        p += 4 + length;
      }
    }
    return {};
  }

  Result<Vec<interp::XipFunction>> list_functions() const {
    llvm::StringMap<uint32_t> symbols;
    for (const SymbolRef& symbol : object_.symbols()) {
      auto name = symbol.getName();
      if (!name) return failed(name.takeError());
      if (!is_function(symbol)) continue;
      WAFER_LET(at, address_of(symbol));
      symbols[*name] = at | 1;  // Thumb
    }
    Vec<interp::XipFunction> out;
    for (auto f = module_.imported_functions; f < module_.functions.size(); ++f) {
      interp::XipFunction entry{};
      if (xip_called_from_outside(module_, f)) {
        entry.code = symbols.lookup(ModuleTranslator::symbol(f));
        entry.entry =
            symbols.lookup("t" + std::to_string(module_.canon[module_.functions[f].type_index]));
        if (!entry.code || !entry.entry) return failed("a function was lost");
      }
      out.push_back(entry);
    }
    return std::move(out);
  }

  const ELFObjectFileBase& object_;
  const wasm::Module& module_;
  Vec<uint8_t> out_;
  std::vector<uint32_t> placed_;  // by section
};

}  // namespace

Result<interp::XipTarget> xip_target(const llvm::TargetMachine& machine) {
  const llvm::MCSubtargetInfo& info = *machine.getMCSubtargetInfo();
  interp::XipTarget t;
  t.machine = interp::kXipArm;
  // Its loops and vectors are in the code then, and nothing of them in the file.
  if (info.checkFeatures("+v8.1m.main"))
    return Error(ErrorKind::Unsupported, "no code that runs in place for cpu '" +
                                             machine.getTargetCPU().str() + "', of Armv8.1-M");
  t.level = info.checkFeatures("+v8m.main") ? 8 : 7;
  if (!info.checkFeatures("+vfp2sp"))
    return Error(ErrorKind::Unsupported,
                 "code that runs in place is for processors with instructions for f32");
  t.features = uint8_t((info.checkFeatures("+dsp") ? interp::kXipDsp : 0) | interp::kXipSingle);
  return t;
}

Result<Vec<uint8_t>> link_xip(const llvm::MemoryBuffer& buffer, const wasm::Module& module,
                              interp::XipTarget target) {
  auto object = llvm::object::ObjectFile::createELFObjectFile(buffer.getMemBufferRef());
  if (!object) return failed(object.takeError());
  return Linker(*llvm::cast<ELFObjectFileBase>(object->get()), module).run(target);
}

}  // namespace wafer::compiler
