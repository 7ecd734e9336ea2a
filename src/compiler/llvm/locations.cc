#include "compiler/llvm/locations.h"

#include <llvm/BinaryFormat/ELF.h>
#include <llvm/CodeGen/AsmPrinterHandler.h>
#include <llvm/CodeGen/MachineInstr.h>
#include <llvm/IR/DebugInfoMetadata.h>
#include <llvm/MC/MCContext.h>
#include <llvm/MC/MCSectionELF.h>
#include <llvm/MC/MCStreamer.h>
#include <llvm/Target/TargetLoweringObjectFile.h>

#include "base/leb128.h"

namespace wafer::compiler {

namespace {

// An entry holds from its address up to the next:
//   u32 offset in the text | u32 n | n times u32 module offset
// The first module offset is the instruction's, those after it are of the calls that were
// inlined, from the inside.
class LocationRecorder final : public llvm::AsmPrinterHandler {
 public:
  explicit LocationRecorder(llvm::AsmPrinter& printer) : printer_(printer) {}

  void beginModule(llvm::Module*) override {
    llvm::MCStreamer& out = *printer_.OutStreamer;
    out.switchSection(printer_.getObjFileLowering().getTextSection());
    text_ = label();
  }

  void beginFunction(const llvm::MachineFunction*) override { last_ = nullptr; }
  void endFunction(const llvm::MachineFunction*) override {}

  void beginInstruction(const llvm::MachineInstr* instruction) override {
    const llvm::DILocation* at = instruction->getDebugLoc().get();
    if (!at || at == last_ || at->getLine() == 0 || instruction->isMetaInstruction()) return;
    last_ = at;
    entries_.push_back({label(), at});
  }

  void endModule() override {
    llvm::MCStreamer& out = *printer_.OutStreamer;
    llvm::MCContext& context = printer_.OutContext;
    out.switchSection(context.getELFSection(kLocationSection, llvm::ELF::SHT_PROGBITS, 0));
    for (const Entry& e : entries_) {
      out.emitAbsoluteSymbolDiff(e.label, text_, 4);
      uint32_t depth = 0;
      for (const llvm::DILocation* at = e.at; at; at = at->getInlinedAt()) ++depth;
      out.emitInt32(depth);
      for (const llvm::DILocation* at = e.at; at; at = at->getInlinedAt())
        out.emitInt32(at->getLine());
    }
  }

 private:
  struct Entry {
    llvm::MCSymbol* label;
    const llvm::DILocation* at;
  };

  llvm::MCSymbol* label() {
    llvm::MCSymbol* symbol = printer_.OutContext.createTempSymbol();
    printer_.OutStreamer->emitLabel(symbol);
    return symbol;
  }

  llvm::AsmPrinter& printer_;
  llvm::MCSymbol* text_ = nullptr;
  const llvm::DILocation* last_ = nullptr;
  std::vector<Entry> entries_;
};

}  // namespace

void drop_debug_info(llvm::Module& ir) {
  for (llvm::Function& f : ir) {
    f.setSubprogram(nullptr);
    // All code is in one section, from whose start places in it are counted.
    f.removeFnAttr(llvm::Attribute::Cold);
    f.removeFnAttr(llvm::Attribute::Hot);
  }
  if (llvm::NamedMDNode* units = ir.getNamedMetadata("llvm.dbg.cu")) ir.eraseNamedMetadata(units);
}

void record_locations(llvm::AsmPrinter& printer) {
  printer.addAsmPrinterHandler(std::make_unique<LocationRecorder>(printer));
}

bool read_locations(llvm::StringRef contents, uint32_t text, Vec<ImageLocation>& locations,
                    Vec<ImageInline>& inlines) {
  const auto* p = reinterpret_cast<const uint8_t*>(contents.data());
  size_t left = contents.size() / 4;
  const auto next = [&p, &left] {
    const auto v = load_le<uint32_t>(p);
    p += 4;
    --left;
    return v;
  };
  std::vector<size_t> open;  // in `inlines`: calls that code here is inlined from, outermost first
  std::vector<uint32_t> calls;  // of the entry, the same way
  const auto close = [&](size_t keep, uint32_t at) {
    for (; open.size() > keep; open.pop_back()) inlines[open.back()].end = at;
  };
  uint32_t at = text;
  while (left >= 2) {
    at = text + next();
    const uint32_t depth = next();
    if (depth == 0 || depth > left) return false;
    locations.push_back({at, next()});
    calls.resize(depth - 1);
    for (size_t i = calls.size(); i-- > 0;) calls[i] = next();
    size_t same = 0;
    while (same < open.size() && same < calls.size() && inlines[open[same]].call == calls[same])
      ++same;
    close(same, at);
    for (; same < calls.size(); ++same) {
      open.push_back(inlines.size());
      inlines.push_back({at, at, calls[same]});
    }
  }
  // No instruction is longer.
  close(0, at + 16);
  return left == 0;
}

}  // namespace wafer::compiler
