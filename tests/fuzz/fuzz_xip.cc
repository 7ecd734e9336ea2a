// Files of machine code that runs in place: a file is read if and only if it is as
// interp/xip_format.h says, which is looked at here once more, by offsets. Two bytes come first:
// what is mended of the file that follows, so that all checks are reached, with how it is aligned;
// and how many functions the module has.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "base/leb128.h"
#include "interp/xip_format.h"

namespace {

using namespace wafer;
using namespace wafer::interp;

constexpr uint8_t kModule[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
enum Mend : uint8_t { kBeginning = 1, kSize = 2, kOrigin = 4, kChecksum = 8, kAll = 15 };
// Where members of XipHeader lie.
enum : size_t {
  kVersionAt = 8,
  kSizeAt = 12,
  kChecksumAt = 16,
  kHashAt = 24,
  kModuleSizeAt = 32,
  kFunctionsAt = 36,
  kMachineAt = 40,
  kCodeAt = 44,
  kFrameAt = 48,
  kMemoryAt = 52,
  kHeader = 56
};

template <class T>
T number(Bytes file, size_t at) {
  return load_le<T>(&file[at]);
}
uint64_t word(Bytes file, size_t at) { return number<uint32_t>(file, at); }
template <class T>
void set(MutableBytes file, size_t at, std::type_identity_t<T> v) {
  store_le<T>(&file[at], v);
}

void mend(MutableBytes file, unsigned what) {
  if (file.size() < kHeader) return;
  if (what & kBeginning) {
    std::memcpy(file.data(), "\0wafxip\n", 8);
    set<uint32_t>(file, kVersionAt, kXipVersion);
  }
  if (what & kSize) set<uint32_t>(file, kSizeAt, file.size());
  if (what & kOrigin) {
    set<uint64_t>(file, kHashAt, xip_hash(kModule));
    set<uint32_t>(file, kModuleSizeAt, sizeof kModule);
  }
  if (what & kChecksum) set<uint64_t>(file, kChecksumAt, xip_hash(file.subspan(kHashAt)));
}

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

// Whether `file`, which lies at a multiple of 4, is to be read; if not, why.
bool fits(Bytes file, uint64_t functions, ErrorKind& why) {
  why = ErrorKind::Malformed;
  if (file.size() < kHeader || std::memcmp(file.data(), "\0wafxip\n", 8) != 0) return false;
  if (word(file, kVersionAt) != kXipVersion) {
    why = ErrorKind::Unsupported;
    return false;
  }
  if (word(file, kSizeAt) != file.size() || file.size() % 4 != 0 ||
      number<uint64_t>(file, kChecksumAt) != xip_hash(file.subspan(kHashAt)))
    return false;
  const uint64_t code = word(file, kCodeAt), count = word(file, kFunctionsAt);
  if (code % 4 != 0 || code > file.size() || kHeader + 8 * count > code) return false;
  if (number<uint64_t>(file, kHashAt) != xip_hash(kModule) ||
      word(file, kModuleSizeAt) != sizeof kModule || count != functions) {
    why = ErrorKind::Usage;
    return false;
  }
  for (size_t i = 0; i < count; ++i) {
    const uint64_t f = word(file, kHeader + 8 * i), entry = word(file, kHeader + 8 * i + 4);
    if (f == 0 && entry == 0) continue;
    for (const uint64_t at : {f, entry})
      if (at < code || at >= file.size() ||
          at % 2 != (number<uint16_t>(file, kMachineAt) == kXipArm))
        return false;
  }
  return true;
}

std::string seed(uint8_t mended, uint16_t machine, uint32_t functions, uint32_t code_bytes) {
  std::string out(kHeader + 8 * functions + code_bytes, '\0');
  const MutableBytes file(reinterpret_cast<uint8_t*>(out.data()), out.size());
  const uint32_t code = uint32_t(kHeader + 8 * functions), odd = machine == kXipArm;
  set<uint32_t>(file, kFunctionsAt, functions);
  set<uint16_t>(file, kMachineAt, machine);
  set<uint32_t>(file, kCodeAt, code);
  set<uint32_t>(file, kFrameAt, 256);
  set<uint32_t>(file, kMemoryAt, 65536);
  for (uint32_t i = 0; i < functions; i += 2) {
    set<uint32_t>(file, kHeader + 8 * i, code + odd);
    set<uint32_t>(file, kHeader + 8 * i + 4, code + code_bytes - 2 + odd);
  }
  mend(file, kAll);
  return std::string{char(mended), char(functions)} + out;
}

}  // namespace

std::vector<std::string> make_seeds() {
  std::vector<std::string> out;
  for (const uint8_t mended : {0, int(kSize | kChecksum), int(kAll)})
    for (const uint16_t machine : {kXipArm, kXipRiscv})
      for (const uint32_t functions : {0, 1, 5}) out.push_back(seed(mended, machine, functions, 8));
  return out;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint8_t control = data[0], functions = data[1];
  // At the end of a block, so that what is read beyond is found.
  const size_t shift = control >> 4 & 7, bytes = size - 2;
  const auto block = std::make_unique<uint8_t[]>(shift + bytes);
  const MutableBytes file(block.get() + shift, bytes);
  if (bytes) std::memcpy(file.data(), data + 2, bytes);
  mend(file, control & kAll);

  ErrorKind why;
  const bool good = fits(file, functions, why), aligned = shift % 4 == 0;
  const auto read = read_xip(file, kModule, functions);
  require(read.ok() == (good && aligned),
          read.ok() ? "damage was not found" : "a good file is refused");
  if (!read.ok()) {
    require(read.error().kind == (aligned ? why : ErrorKind::Usage), "another kind of error");
    require(!read.error().message.empty(), "an error without a message");
    return 0;
  }
  require(read->header->code == word(file, kCodeAt) &&
              read->header->checksum == number<uint64_t>(file, kChecksumAt) &&
              read->header->max_frame == word(file, kFrameAt) &&
              read->header->min_memory == word(file, kMemoryAt),
          "members lie elsewhere");
  for (size_t i = 0; i < functions; ++i)
    require(read->functions[i].code == word(file, kHeader + 8 * i) &&
                read->functions[i].entry == word(file, kHeader + 8 * i + 4),
            "functions lie elsewhere");
  return 0;
}
