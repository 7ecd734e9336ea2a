#include "interp/xip_format.h"

#include <cstring>

namespace wafer::interp {

uint64_t xip_hash(Bytes bytes) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const uint8_t b : bytes) hash = (hash ^ b) * 0x100000001B3;
  return hash;
}

static Error malformed(std::string_view what) { return Error(ErrorKind::Malformed, what); }

bool is_xip(Bytes file) {
  return file.size() >= sizeof kXipMagic &&
         std::memcmp(file.data(), kXipMagic, sizeof kXipMagic) == 0;
}

Result<XipHeader> read_xip_header(Bytes file) {
  XipHeader h;
  if (file.size() < sizeof h) return malformed("machine code is too short");
  if (!is_xip(file)) return malformed("not machine code that runs in place");
  std::memcpy(&h, file.data(), sizeof h);
  if (h.version != kXipVersion)
    return failure(ErrorKind::Unsupported, "machine code of another version");
  if (h.size != file.size() || h.size % 4 != 0) return malformed("machine code is cut off");
  const uint32_t room = (h.size - uint32_t(sizeof h)) / uint32_t(sizeof(XipFunction));
  if (h.functions > room || h.code < sizeof h + h.functions * sizeof(XipFunction) ||
      h.code > h.size || h.code % 4 != 0)
    return malformed("machine code has a bad header");
  if (h.checksum != xip_hash(file.subspan(kXipChecked)))
    return malformed("machine code is damaged");
  return h;
}

Result<XipFile> read_xip(Bytes file, Bytes module, uint32_t functions) {
  if (reinterpret_cast<uintptr_t>(file.data()) % 4 != 0)
    return failure(ErrorKind::Usage, "machine code is not at a multiple of 4");
  WAFER_LET(h, read_xip_header(file));
  if (h.module_size != module.size() || h.module_hash != xip_hash(module) ||
      h.functions != functions)
    return failure(ErrorKind::Usage, "machine code is of another module");
  XipFile out;
  out.header = reinterpret_cast<const XipHeader*>(file.data());
  out.functions = reinterpret_cast<const XipFunction*>(file.data() + sizeof h);
  out.bytes = file;
  for (uint32_t i = 0; i < functions; ++i) {
    const XipFunction& f = out.functions[i];
    const uint32_t odd = h.target.machine == kXipArm;
    const auto outside = [&](uint32_t at) {
      return at != 0 && (at < h.code || at >= h.size || (at & 1) != odd);
    };
    if (outside(f.code) || outside(f.entry) || !f.code != !f.entry)
      return malformed("machine code has a function outside of it");
  }
  return out;
}

}  // namespace wafer::interp
