// Processors that code runs in place on.
#include <llvm/ADT/StringExtras.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/TargetParser/RISCVISAInfo.h>
#include <llvm/TargetParser/RISCVTargetParser.h>
#include <llvm/TargetParser/Triple.h>

#include <algorithm>

#include "compiler/llvm/xip.h"

namespace wafer::compiler {

namespace {

Error error_of(std::string_view message) { return Error(ErrorKind::Unsupported, message); }

constexpr std::string_view kRiscv = "riscv32";
// Extensions that code may use, as --target tells them.
constexpr std::string_view kExtensions = "m, a, c, f, zba, zbb, zbs and zicclsm";
// These and what they consist of, or what code is not made of.
constexpr std::string_view kKnown[] = {"i",   "m",   "a",       "c",      "f",        "zba",
                                       "zbb", "zbs", "zicclsm", "zicsr",  "zifencei", "zmmul",
                                       "zca", "zcf", "zaamo",   "zalrsc", "b"};

// `arch` is riscv32 and letters, as in riscv32imac; without them what the CPU has.
Result<XipProcessor> riscv(std::string_view arch, std::string_view rest, std::string_view cpu) {
  XipProcessor p;
  p.triple = std::string(kRiscv) + (rest.empty() ? "-unknown-none-elf" : std::string(rest));
  p.cpu = cpu.empty() ? "generic-rv32" : std::string(cpu);
  const std::string_view letters = arch.substr(kRiscv.size());
  std::string isa = "rv32imac";
  if (!letters.empty()) {
    isa = "rv32" + std::string(letters);
  } else if (!cpu.empty()) {
    const llvm::StringRef of_cpu = llvm::RISCV::getMArchFromMcpu(cpu);
    // One that is not known is told later.
    if (of_cpu.starts_with("rv64"))
      return error_of("cpu '" + std::string(cpu) + "' is no processor of 32 bits");
    if (!of_cpu.empty()) isa = of_cpu.str();
  }
  auto parsed = llvm::RISCVISAInfo::parseArchString(isa, /*EnableExperimentalExtension=*/false);
  if (!parsed)
    return error_of("target '" + std::string(arch) + "': " + llvm::toString(parsed.takeError()));
  for (const auto& [name, version] : (*parsed)->getExtensions())
    if (std::find(std::begin(kKnown), std::end(kKnown), name) == std::end(kKnown))
      return error_of("no code that runs in place with RISC-V's extension '" + name +
                      "'; there are " + std::string(kExtensions));
  const auto has = [&](llvm::StringRef name) { return (*parsed)->hasExtension(name); };
  if (!has("m"))
    return error_of("code that runs in place is for processors that multiply and divide (m)");
  std::vector<std::string> features = (*parsed)->toFeatures(/*AddAllExtensions=*/true);
  if (has("zicclsm")) features.push_back("+unaligned-scalar-mem");
  p.features = llvm::join(features, ",");
  p.abi = has("f") ? "ilp32f" : "ilp32";
  return p;
}

}  // namespace

Result<XipProcessor> xip_processor(const CompileOptions& options) {
  const std::string_view target = options.target;
  const size_t end = std::min(target.find('-'), target.size());
  const std::string_view arch = target.substr(0, end), rest = target.substr(end);
  if (arch.starts_with(kRiscv)) return riscv(arch, rest, options.cpu);
  XipProcessor p;
  p.triple = std::string(arch) + (rest.empty() ? "-none-eabihf" : std::string(rest));
  p.cpu = options.cpu;
  if (arch == "thumbv7em") {
    if (p.cpu.empty()) p.cpu = "cortex-m4";
    // That of the Cortex-M4 is what the file says of all.
    p.features = "-fp-armv8d16sp";
  } else if (arch == "thumbv8m.main") {
    if (p.cpu.empty()) p.cpu = "cortex-m33";
  } else {
    return error_of("no code that runs in place for target '" + options.target +
                    "'; there are thumbv7em, thumbv8m.main and riscv32");
  }
  return p;
}

Result<interp::XipTarget> xip_target(const llvm::TargetMachine& machine) {
  const llvm::MCSubtargetInfo& info = *machine.getMCSubtargetInfo();
  interp::XipTarget t;
  const auto add = [&](const char* feature, uint8_t bit) {
    if (info.checkFeatures(feature)) t.features |= bit;
  };
  if (machine.getTargetTriple().isRISCV32()) {
    t.machine = interp::kXipRiscv;
    add("+m", interp::kXipM);
    add("+c", interp::kXipC);
    add("+f", interp::kXipSingle);
    add("+zba", interp::kXipZba);
    add("+zbb", interp::kXipZbb);
    add("+zbs", interp::kXipZbs);
    add("+unaligned-scalar-mem", interp::kXipUnaligned);
    return t;
  }
  t.machine = interp::kXipArm;
  // Its loops and vectors are in the code then, and nothing of them in the file.
  if (info.checkFeatures("+v8.1m.main"))
    return error_of("no code that runs in place for cpu '" + machine.getTargetCPU().str() +
                    "', of Armv8.1-M");
  t.level = info.checkFeatures("+v8m.main") ? 8 : 7;
  if (!info.checkFeatures("+vfp2sp"))
    return error_of("code that runs in place is for processors with instructions for f32");
  add("+dsp", interp::kXipDsp);
  t.features |= interp::kXipSingle;
  return t;
}

}  // namespace wafer::compiler
