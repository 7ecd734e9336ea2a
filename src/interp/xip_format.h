// Machine code that runs in place, from flash (execute in place, .xip): the form of its file, and
// what code and runtime know of one another. The code generator and the loader share this header.
//
// The file is one block, little-endian, without addresses, that lies at a multiple of 4:
// XipHeader, an XipFunction for each function of the module that is not imported, then code and
// constants, which refer to one another by distances.
//
// Functions follow the processor's C convention: the XipContext of the instance comes first, then
// the parameters; f64 goes as a 64-bit integer; several results are a structure. So that the
// loader need not know the convention for floats, it calls functions by entries, which are code of
// the file as well: entry(XipContext*, function, slots) takes arguments from 64-bit slots and
// leaves results there. Code calls the runtime through XipContext::functions.
#pragma once

#include "base/result.h"
#include "base/span.h"
#include "wasm/opcode.h"

namespace wafer::interp {

inline constexpr uint8_t kXipMagic[8] = {0, 'w', 'a', 'f', 'x', 'i', 'p', '\n'};
inline constexpr uint32_t kXipVersion = 3;

// What code may use of a processor.
struct XipTarget {
  uint16_t machine = 0;  // ELF machine number
  uint8_t level = 0;     // Arm: version of the architecture (7, 8)
  uint8_t features = 0;  // kXip...
  bool operator==(const XipTarget&) const = default;
};
inline constexpr uint16_t kXipArm = 40, kXipRiscv = 243;
// Instructions for f32. RISC-V: with the convention for floats that goes with them (ilp32f), as
// only that keeps their registers; code without them runs with any.
inline constexpr uint8_t kXipSingle = 2;
inline constexpr uint8_t kXipDsp = 1;  // Arm: the DSP extension
// RISC-V: extensions by their names, and accesses to memory that are not aligned.
inline constexpr uint8_t kXipM = 1, kXipC = 4, kXipZba = 8, kXipZbb = 16, kXipZbs = 32,
                         kXipUnaligned = 64;
// What the bits are called, by machine.
struct XipFeature {
  uint16_t machine;
  uint8_t bit;
  std::string_view name;
};
inline constexpr XipFeature kXipFeatures[] = {{kXipArm, kXipDsp, "dsp"},
                                              {kXipArm, kXipSingle, "f32"},
                                              {kXipRiscv, kXipM, "m"},
                                              {kXipRiscv, kXipC, "c"},
                                              {kXipRiscv, kXipSingle, "f"},
                                              {kXipRiscv, kXipZba, "zba"},
                                              {kXipRiscv, kXipZbb, "zbb"},
                                              {kXipRiscv, kXipZbs, "zbs"},
                                              {kXipRiscv, kXipUnaligned, "zicclsm"}};

// Of 64 bits, at a multiple of 4.
using XipHash __attribute__((aligned(4))) = uint64_t;

struct XipHeader {
  uint8_t magic[8];
  uint32_t version;
  uint32_t size;     // of the file
  XipHash checksum;  // of all that follows
  XipHash module_hash;
  uint32_t module_size;
  uint32_t functions;  // how many entries follow the header
  XipTarget target;
  uint32_t code;        // where code begins
  uint32_t max_frame;   // bytes of stack that the largest frame takes
  uint32_t min_memory;  // bytes that the code takes memory 0 to have
};
static_assert(sizeof(XipHeader) == 56 && alignof(XipHeader) == 4);
// Where that which the checksum is of begins.
inline constexpr size_t kXipChecked = 24;

// Offsets from the file's start, as branches take them (Thumb: odd); 0: nothing outside the code
// calls it.
struct XipFunction {
  uint32_t code, entry;
};

// What code finds by its first argument: words in this order.
enum class XipField : uint32_t {
  functions,    // table of the runtime's functions: XipCall
  stack_limit,  // frames stay above
  memory_base,  // of memory 0
  memory_size,  // in bytes
  own_globals,  // array of the module's own GlobalInst
  globals,      // GlobalInst*[], by index
  funcs,        // FuncInst*[], by index
  tables,       // Table*[], by index
  types,        // const CanonType*[], by index
  Count,
};

enum class XipCall : uint32_t {
#define WAFER_XIP_SERVICE(name, result, params) name,
#define WAFER_XIP_OPERATION(opcode) opcode,
#include "interp/xip_functions.def"
  Count,
};

// Where code finds members of the runtime's structures, on a processor of 32 bits. The loader
// asserts them.
namespace xip_layout {
inline constexpr uint32_t kGlobalBytes = 24, kGlobalValue = 0;
inline constexpr uint32_t kFuncType = 0, kFuncNative = 16, kFuncContext = 20;
inline constexpr uint32_t kTableElements = 0, kTableSize = 8, kElementBytes = 8;
}  // namespace xip_layout

// FNV-1a.
uint64_t xip_hash(Bytes bytes);

// A file whose header fits `module`, of which code and entries lie within.
struct XipFile {
  const XipHeader* header = nullptr;
  const XipFunction* functions = nullptr;
  Bytes bytes;
};
// Whether `file` begins like one.
bool is_xip(Bytes file);
// Its header, of which all is checked but what it says of the module. Errors as of read_xip().
Result<XipHeader> read_xip_header(Bytes file);
// Reads the header in place. Malformed if it is damaged or not aligned, Unsupported if it is of
// another version; Usage if it was made of another module than the one with these bytes, which has
// `functions` functions of its own. The code itself is trusted.
Result<XipFile> read_xip(Bytes file, Bytes module, uint32_t functions);

}  // namespace wafer::interp
