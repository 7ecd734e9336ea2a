// From LLVM's object to a file of code that runs in place.
#include <llvm/ADT/StringMap.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Support/LEB128.h>

#include "compiler/llvm/translate.h"
#include "compiler/llvm/xip.h"
#include "compiler/llvm/xip_relocate.h"

namespace wafer::compiler {

namespace {

namespace elf = llvm::ELF;
using llvm::object::ELFObjectFileBase;
using llvm::object::RelocationRef;
using llvm::object::SectionRef;
using llvm::object::SymbolRef;

Error failed(const std::string& what) { return xip_link_failed(what); }
Error failed(llvm::Error error) { return failed(llvm::toString(std::move(error))); }

constexpr uint32_t kNowhere = ~0u;

class Linker {
 public:
  Linker(const ELFObjectFileBase& object, const wasm::Module& module, interp::XipTarget target)
      : object_(object), module_(module), target_(target) {}

  Result<Vec<uint8_t>> run() {
    const auto count = uint32_t(module_.functions.size()) - module_.imported_functions;
    interp::XipHeader h{};
    std::copy_n(interp::kXipMagic, sizeof h.magic, h.magic);
    h.version = interp::kXipVersion;
    h.module_hash = interp::xip_hash(module_.bytes);
    h.module_size = uint32_t(module_.bytes.size());
    h.functions = count;
    h.target = target_;
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
          (is_arm() && s.getType() == elf::SHT_ARM_EXIDX) ||
          bool(s.getFlags() & elf::SHF_EXECINSTR) != code)
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

  bool is_arm() const { return target_.machine == interp::kXipArm; }
  // Addresses of functions are odd as branches take them.
  uint32_t mark() const { return is_arm() ? 1 : 0; }

  // Where a symbol is in the file, without the mark of Thumb code.
  Result<uint32_t> address_of(const SymbolRef& symbol) const {
    auto name = symbol.getName();
    auto section = symbol.getSection();
    auto value = symbol.getValue();
    if (!name || !section || !value) return failed("an unreadable symbol");
    if (*section == object_.section_end()) return failed("no function " + name->str());
    const uint32_t at = placed_[(*section)->getIndex()];
    if (at == kNowhere) return failed("a reference to a section that is left out");
    return at + (uint32_t(*value) & ~(is_function(symbol) ? mark() : 0));
  }

  static bool is_function(const SymbolRef& symbol) {
    auto type = symbol.getType();
    if (!type) llvm::consumeError(type.takeError());
    return type && *type == SymbolRef::ST_Function;
  }

  Result<void> relocate() {
    std::vector<XipRelocation> all;
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
        auto addend = llvm::object::ELFRelocationRef(r).getAddend();
        if (!addend) llvm::consumeError(addend.takeError());  // it is in the code
        all.push_back({uint32_t(r.getType()), at + uint32_t(r.getOffset()),
                       to + (addend ? uint32_t(*addend) : 0), is_function(*symbol) ? mark() : 0});
      }
    }
    return is_arm() ? xip_relocate_arm(out_, all) : xip_relocate_riscv(out_, all);
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
      symbols[*name] = at | mark();
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
  const interp::XipTarget target_;
  Vec<uint8_t> out_;
  std::vector<uint32_t> placed_;  // by section
};

}  // namespace

Error xip_link_failed(const std::string& what) {
  return Error(ErrorKind::Unsupported, "linking code that runs in place: " + what);
}

Result<Vec<uint8_t>> link_xip(const llvm::MemoryBuffer& buffer, const wasm::Module& module,
                              interp::XipTarget target) {
  auto object = llvm::object::ObjectFile::createELFObjectFile(buffer.getMemBufferRef());
  if (!object) return failed(object.takeError());
  return Linker(*llvm::cast<ELFObjectFileBase>(object->get()), module, target).run();
}

}  // namespace wafer::compiler
