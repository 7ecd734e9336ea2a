#include "compiler/code_image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/descriptor.h"
#include "compiler/abi.h"
#include "compiler/builtins.h"
#include "compiler/profile.h"
#include "compiler/unwind.h"

namespace wafer::compiler {

namespace {

constexpr char kMagic[8] = {'\0', 'w', 'a', 'f', 'e', 'r', 'c', '\n'};

struct Section {
  uint64_t offset = 0;
  uint64_t size = 0;
};

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t header_size;
  uint64_t checksum;  // of everything after this field
  ImageTraits traits;
  Section text, rodata, table, symbols, functions, locations, inlines, handlers, module;
  uint64_t eh_frame;  // offset, 0 for none
  uint64_t framed;    // bytes of text that keep the frame of frame.h
  uint64_t total;
};
constexpr size_t kChecked = offsetof(Header, traits);

constexpr uint64_t word_up(uint64_t n) { return (n + 7) & ~uint64_t{7}; }

Error malformed(std::string_view what) {
  String message = "corrupted code file: ";
  message += what;
  return Error(ErrorKind::Malformed, message);
}

struct Feature {
  const char* name;
  bool present;
};

#if defined(__x86_64__)
// What LLVM may use on x86-64 beyond the base, in the order of the bits.
// clang-format off
#define WAFER_CPU_FEATURES(X) \
  X("sse3", "sse3") X("ssse3", "ssse3") X("sse4.1", "sse4.1") X("sse4.2", "sse4.2") \
  X("popcnt", "popcnt") X("avx", "avx") X("avx2", "avx2") X("fma", "fma") X("bmi", "bmi") \
  X("bmi2", "bmi2") X("lzcnt", "lzcnt") X("f16c", "f16c") X("avx512f", "avx512f") \
  X("avx512bw", "avx512bw") X("avx512dq", "avx512dq") X("avx512vl", "avx512vl") \
  X("avx512cd", "avx512cd") X("avx512vnni", "avx512vnni") X("avx512vbmi", "avx512vbmi") \
  X("avx512ifma", "avx512ifma") X("avx512vbmi2", "avx512vbmi2") \
  X("avx512bitalg", "avx512bitalg") X("avx512vpopcntdq", "avx512vpopcntdq") \
  X("gfni", "gfni") X("vpclmulqdq", "vpclmulqdq") X("avxvnni", "avxvnni")
// clang-format on
#endif

}  // namespace

uint32_t host_machine() {
#if defined(__x86_64__)
  return 62;
#elif defined(__aarch64__)
  return 183;
#else
  return 0;
#endif
}

uint64_t host_cpu_features() {
  static const uint64_t bits = [] {
    uint64_t b = 0;
#if defined(__x86_64__)
    unsigned at = 0;
#define WAFER_FEATURE(name, query)                           \
  if (__builtin_cpu_supports(query)) b |= uint64_t{1} << at; \
  ++at;
    WAFER_CPU_FEATURES(WAFER_FEATURE)
#undef WAFER_FEATURE
#endif
    return b;
  }();
  return bits;
}

namespace {
#if defined(__x86_64__)
#define WAFER_FEATURE(name, query) name,
constexpr std::string_view kFeatureNames[] = {WAFER_CPU_FEATURES(WAFER_FEATURE)};
#undef WAFER_FEATURE
#else
constexpr std::string_view kFeatureNames[] = {"none"};
#endif
}  // namespace

uint64_t cpu_feature_bit(std::string_view name) {
  for (size_t i = 0; i < std::size(kFeatureNames); ++i)
    if (kFeatureNames[i] == name) return uint64_t{1} << i;
  return 0;
}

String cpu_feature_names(uint64_t bits) {
  String out;
  for (size_t i = 0; i < std::size(kFeatureNames); ++i) {
    if (!((bits >> i) & 1)) continue;
    if (!out.empty()) out += ", ";
    out += kFeatureNames[i];
  }
  return out;
}

uint64_t hash_bytes(Bytes bytes, uint64_t seed) {
  // Four lanes of multiply and fold; finished by mixing the lanes and the length.
  constexpr uint64_t kPrime[4] = {0x9E3779B97F4A7C15u, 0xC2B2AE3D27D4EB4Fu, 0x165667B19E3779F9u,
                                  0xD6E8FEB86659FD93u};
  const auto fold = [](uint64_t a, uint64_t b) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return uint64_t(product) ^ uint64_t(product >> 64);
  };
  const auto word = [](const uint8_t* p) {
    uint64_t w;
    std::memcpy(&w, p, 8);
    return w;
  };
  uint64_t lane[4] = {seed ^ kPrime[0], seed ^ kPrime[1], seed ^ kPrime[2], seed ^ kPrime[3]};
  const uint8_t* p = bytes.data();
  size_t n = bytes.size();
  for (; n >= 32; n -= 32, p += 32)
    for (unsigned i = 0; i < 4; ++i) lane[i] = fold(lane[i] ^ word(p + 8 * i), kPrime[i]);
  uint8_t tail[32] = {};
  if (n) std::memcpy(tail, p, n);
  for (unsigned i = 0; i < 4; ++i) lane[i] = fold(lane[i] ^ word(tail + 8 * i), kPrime[i]);
  uint64_t h = bytes.size() * kPrime[2];
  for (const uint64_t l : lane) h = fold(h ^ l, kPrime[3]);
  return h;
}

ImagePlan plan_image(size_t text_size, size_t rodata_size) {
  const uint64_t text = page_up(sizeof(Header));
  const uint64_t rodata = page_up(text + text_size);
  const uint64_t table = page_up(rodata + rodata_size);
  return {uint32_t(text), uint32_t(rodata), uint32_t(table)};
}

Vec<uint8_t> write_image(const ImageParts& parts) {
  const ImagePlan plan = plan_image(parts.text.size(), parts.rodata.size());
  Header h = {};
  std::memcpy(h.magic, kMagic, sizeof kMagic);
  h.version = kImageFormat;
  h.header_size = sizeof(Header);
  h.traits = parts.traits;
  Vec<uint8_t> names;
  for (const String& s : parts.symbols)
    names.insert(names.end(), s.c_str(), s.c_str() + s.size() + 1);

  h.text = {plan.text, parts.text.size()};
  h.rodata = {plan.rodata, parts.rodata.size()};
  h.table = {plan.table, parts.symbols.size() * 8};
  uint64_t at = page_up(plan.table + h.table.size);
  const auto place = [&at](size_t size) {
    const Section s{at, size};
    at = word_up(at + size);
    return s;
  };
  h.symbols = place(names.size());
  h.functions = place(parts.functions.size() * sizeof(ImageFunction));
  h.locations = place(parts.locations.size() * sizeof(ImageLocation));
  h.inlines = place(parts.inlines.size() * sizeof(ImageInline));
  h.handlers = place(parts.handlers.size() * sizeof(ImageHandler));
  h.module = place(parts.module.size());
  h.eh_frame = parts.has_eh_frame ? plan.rodata + parts.eh_frame : 0;
  h.framed = parts.framed;
  h.total = at;

  Vec<uint8_t> out(at);
  const auto put = [&out](uint64_t offset, const void* from, size_t size) {
    if (size) std::memcpy(out.data() + offset, from, size);
  };
  put(h.text.offset, parts.text.data(), parts.text.size());
  put(h.rodata.offset, parts.rodata.data(), parts.rodata.size());
  put(h.symbols.offset, names.data(), names.size());
  put(h.module.offset, parts.module.data(), parts.module.size());
  auto* f = reinterpret_cast<ImageFunction*>(out.data() + h.functions.offset);
  for (const ImageFunction& from : parts.functions)
    *f++ = {from.func_index, from.begin + plan.text, from.end + plan.text, from.loop};
  auto* l = reinterpret_cast<ImageLocation*>(out.data() + h.locations.offset);
  for (const ImageLocation& from : parts.locations)
    *l++ = {from.code + plan.text, from.module_offset};
  auto* n = reinterpret_cast<ImageInline*>(out.data() + h.inlines.offset);
  for (const ImageInline& from : parts.inlines)
    *n++ = {from.begin + plan.text, from.end + plan.text, from.call};
  auto* c = reinterpret_cast<ImageHandler*>(out.data() + h.handlers.offset);
  for (const ImageHandler& from : parts.handlers)
    *c++ = {from.after + plan.text, from.pad + plan.text};
  put(0, &h, sizeof h);
  h.checksum = hash_bytes(Bytes(out).subspan(kChecked));
  put(0, &h, sizeof h);
  return out;
}

bool CodeImage::is_image(Bytes bytes) {
  return bytes.size() >= sizeof kMagic && std::memcmp(bytes.data(), kMagic, sizeof kMagic) == 0;
}

uint32_t CodeImage::claimed_options(Bytes bytes) {
  Header h;
  if (bytes.size() < sizeof h || !is_image(bytes)) return 0;
  std::memcpy(&h, bytes.data(), sizeof h);
  return h.version == kImageFormat && h.header_size == sizeof h ? h.traits.options : 0;
}

bool CodeImage::claims_to_fit(Bytes bytes) {
  Header h;
  if (bytes.size() < sizeof h || !is_image(bytes)) return false;
  std::memcpy(&h, bytes.data(), sizeof h);
  return h.version == kImageFormat && h.header_size == sizeof h && h.total == bytes.size() &&
         h.traits.fingerprint == abi_fingerprint() && h.traits.machine == host_machine() &&
         !(h.traits.features & ~host_cpu_features());
}

uint64_t CodeImage::claimed_size(Bytes bytes) {
  static_assert(sizeof(Header) <= kPeek && kPeek <= kImagePage);
  Header h;
  if (bytes.size() < sizeof h || !is_image(bytes)) return 0;
  std::memcpy(&h, bytes.data(), sizeof h);
  return h.version == kImageFormat && h.header_size == sizeof h ? h.total : 0;
}

Result<std::shared_ptr<CodeImage>> CodeImage::load(Bytes bytes) {
  void* p = mmap(nullptr, bytes.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return Error(ErrorKind::Exhaustion, "no memory for machine code");
  std::memcpy(p, bytes.data(), bytes.size());
  auto image = std::make_shared<CodeImage>();
  WAFER_TRY(image->open(static_cast<uint8_t*>(p), bytes.size()));
  return image;
}

Result<std::shared_ptr<CodeImage>> CodeImage::map_file(const std::string& path) {
  // A pipe in the place of the file is not waited for.
  const UniqueFd file =
      take_opened(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return Error(ErrorKind::Io, std::strerror(errno));
  return map_file(file.get());
}

Result<std::shared_ptr<CodeImage>> CodeImage::map_file(int fd) {
  struct stat st;
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
    return Error(ErrorKind::Io, "not a regular file, or empty");
  return map_file(fd, 0, size_t(st.st_size));
}

Result<std::shared_ptr<CodeImage>> CodeImage::map_file(int fd, uint64_t offset, size_t size) {
  void* const p = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, off_t(offset));
  if (p == MAP_FAILED) return Error(ErrorKind::Io, std::strerror(errno));
  auto image = std::make_shared<CodeImage>();
  WAFER_TRY(image->open(static_cast<uint8_t*>(p), size));
  return image;
}

// Checks everything before any of it is used, then makes the code ready to run.
namespace {

// Reads and checks all of the header but whether the code can run here.
Result<void> read_header(Bytes bytes, Header& h) {
  const size_t size = bytes.size();
  if (size < sizeof(Header)) return malformed("too short");
  std::memcpy(&h, bytes.data(), sizeof h);
  if (std::memcmp(h.magic, kMagic, sizeof kMagic) != 0) return malformed("no code file");
  if (h.version != kImageFormat || h.header_size != sizeof(Header))
    return Error(ErrorKind::Unsupported, "code file of another version; compile it again");
  if (h.total != size) return malformed("cut off");
  if (h.checksum != hash_bytes(bytes.subspan(kChecked))) return malformed("bad checksum");
  for (const Section* s : {&h.text, &h.rodata, &h.table, &h.symbols, &h.functions, &h.locations,
                           &h.inlines, &h.handlers, &h.module})
    if (s->offset > size || s->size > size - s->offset)
      return malformed("a section lies outside of the file");
  return {};
}

}  // namespace

Result<ImageSummary> CodeImage::summarize(Bytes bytes) {
  Header h;
  WAFER_TRY(read_header(bytes, h));
  ImageSummary out;
  out.traits = h.traits;
  out.text = size_t(h.text.size);
  out.rodata = size_t(h.rodata.size);
  out.functions = size_t(h.functions.size / sizeof(ImageFunction));
  out.module = bytes.subspan(size_t(h.module.offset), size_t(h.module.size));
  out.same_version = h.traits.fingerprint == abi_fingerprint();
  return out;
}

Result<void> CodeImage::open(uint8_t* base, size_t size) {
  base_ = base;
  size_ = size;
  Header h;
  WAFER_TRY(read_header({base, size}, h));
  if (h.traits.fingerprint != abi_fingerprint())
    return Error(ErrorKind::Unsupported,
                 "code file made by another version of wafer; compile it again");
  if (h.traits.machine != host_machine())
    return Error(ErrorKind::Unsupported, "code file for another kind of processor");
  if (const uint64_t lacking = h.traits.features & ~host_cpu_features()) {
    String message = "code file needs processor features that are not here: ";
    message += cpu_feature_names(lacking);
    return Error(ErrorKind::Unsupported, message);
  }
  const ImagePlan plan = plan_image(h.text.size, h.rodata.size);
  if (h.text.offset != plan.text || h.rodata.offset != plan.rodata ||
      h.table.offset != plan.table || h.table.size % 8 ||
      h.functions.size % sizeof(ImageFunction) || h.locations.size % sizeof(ImageLocation) ||
      h.inlines.size % sizeof(ImageInline) || h.handlers.size % sizeof(ImageHandler) ||
      h.framed > h.text.size)
    return malformed("bad sections");

  traits_ = h.traits;
  module_ = {base + h.module.offset, size_t(h.module.size)};
  functions_ = {reinterpret_cast<const ImageFunction*>(base + h.functions.offset),
                size_t(h.functions.size / sizeof(ImageFunction))};
  locations_ = {reinterpret_cast<const ImageLocation*>(base + h.locations.offset),
                size_t(h.locations.size / sizeof(ImageLocation))};
  inlines_ = {reinterpret_cast<const ImageInline*>(base + h.inlines.offset),
              size_t(h.inlines.size / sizeof(ImageInline))};
  handlers_ = {reinterpret_cast<const ImageHandler*>(base + h.handlers.offset),
               size_t(h.handlers.size / sizeof(ImageHandler))};
  for (const ImageHandler& c : handlers_)
    if (c.pad < h.text.offset || c.pad >= h.text.offset + h.framed)
      return malformed("a handler lies outside of the code");
  for (const ImageFunction& f : functions_)
    if (f.begin < h.text.offset || f.end < f.begin || f.end > h.text.offset + h.text.size)
      return malformed("a function lies outside of the code");

  const size_t entries = h.table.size / 8;
  if (entries) {
    const size_t bytes = size_t(page_up(h.table.size));
    if (mprotect(base + h.table.offset, bytes, PROT_READ | PROT_WRITE) != 0)
      return Error(ErrorKind::Exhaustion, "no memory for machine code");
    const auto* name = reinterpret_cast<const char*>(base + h.symbols.offset);
    const char* const end = name + h.symbols.size;
    auto* slot = reinterpret_cast<uint64_t*>(base + h.table.offset);
    for (size_t i = 0; i < entries; ++i) {
      const size_t length = strnlen(name, size_t(end - name));
      if (length == size_t(end - name)) return malformed("bad symbols");
      void* const address = symbol_address({name, length});
      if (!address) return malformed("unknown symbol");
      slot[i] = reinterpret_cast<uintptr_t>(address);
      name += length + 1;
    }
    mprotect(base + h.table.offset, bytes, PROT_READ);
  }
  if (h.text.size) {
    if (mprotect(base, h.text.offset, PROT_READ) != 0 ||
        mprotect(base + h.text.offset, size_t(page_up(h.text.size)), PROT_READ | PROT_EXEC) != 0)
      return Error(ErrorKind::Exhaustion, "the system refuses executable memory");
    publish_code(base + h.text.offset, h.text.size);
  }
  if (h.eh_frame) {
    if (h.eh_frame < h.rodata.offset || h.eh_frame >= h.rodata.offset + h.rodata.size)
      return malformed("bad unwind table");
    // The last of the constants.
    eh_frame_ = {base + h.eh_frame, size_t(h.rodata.offset + h.rodata.size - h.eh_frame)};
    __register_frame(const_cast<uint8_t*>(eh_frame_.data()));
  }
  if (h.framed) {
    frame_table_ = frame_table(base + h.text.offset, size_t(h.framed));
    __register_frame(frame_table_.data());
  }
  enter_region(base + h.text.offset, h.text.size);
  return {};
}

CodeImage::~CodeImage() {
  leave_region();
  if (!functions_.empty()) forget_code(base_ + functions_[0].begin);
  if (!frame_table_.empty()) __deregister_frame(frame_table_.data());
  if (!eh_frame_.empty()) __deregister_frame(const_cast<uint8_t*>(eh_frame_.data()));
  if (base_) munmap(base_, size_);
}

void CodeImage::describe(const wasm::Module& module) {
  described_by = &module;
  Vec<CodeName> names;
  names.reserve(functions_.size());
  for (const ImageFunction& f : functions_)
    names.push_back({base_ + f.begin, f.end - f.begin, f.func_index});
  announce_code(module, names, "optimized", eh_frame_.empty() ? Bytes(frame_table_) : eh_frame_);
}

bool CodeImage::locate(const void* pc, CodeLocation& out) const {
  const auto offset = uint32_t(static_cast<const uint8_t*>(pc) - base_);
  auto f = std::upper_bound(functions_.begin(), functions_.end(), offset,
                            [](uint32_t at, const ImageFunction& f) { return at < f.begin; });
  if (f == functions_.begin() || offset >= (--f)->end) return false;
  out.func_index = f->func_index;
  out.entered_at_loop = f->loop != 0;
  auto l = std::upper_bound(locations_.begin(), locations_.end(), offset,
                            [](uint32_t at, const ImageLocation& l) { return at < l.code; });
  out.module_offset = l == locations_.begin() ? 0 : (l - 1)->module_offset;
  auto n = std::upper_bound(inlines_.begin(), inlines_.end(), offset,
                            [](uint32_t at, const ImageInline& i) { return at < i.begin; });
  while (n != inlines_.begin() && (--n)->begin >= f->begin)
    if (offset < n->end) out.calls.push_back(n->call);
  return true;
}

const void* CodeImage::landing_pad(const void* pc) const {
  const auto offset = uint32_t(static_cast<const uint8_t*>(pc) - base_);
  const auto c =
      std::lower_bound(handlers_.begin(), handlers_.end(), offset,
                       [](const ImageHandler& have, uint32_t after) { return have.after < after; });
  return c != handlers_.end() && c->after == offset ? base_ + c->pad : nullptr;
}

}  // namespace wafer::compiler
