#include "compiler/code_bundle.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/descriptor.h"
#include "compiler/tier.h"

namespace wafer::compiler {

namespace {

constexpr char kMagic[8] = {'\0', 'w', 'a', 'f', 'e', 'r', 'b', '\n'};
// More than any component has, and few enough to be counted on.
constexpr uint64_t kMaxParts = 1u << 20;

struct Range {
  uint64_t offset = 0;
  uint64_t size = 0;
};
struct Header {
  char magic[8];
  uint32_t version;
  uint32_t header_size;
  uint64_t checksum;  // of everything after this field and before the images
  uint64_t total;
  Range component;
  Range parts;
  uint64_t images;  // where they begin
};
constexpr size_t kChecked = offsetof(Header, total);

struct PartEntry {
  uint64_t hash;
  Range module, image;
};

constexpr uint64_t word_up(uint64_t n) { return (n + 7) & ~uint64_t{7}; }

Error malformed(std::string_view what) {
  String message = "corrupted code file: ";
  message += what;
  return Error(ErrorKind::Malformed, message);
}

bool within(const Range& r, uint64_t begin, uint64_t end) {
  return r.offset >= begin && r.offset <= end && r.size <= end - r.offset;
}

// Checks as much as tells where the images begin in a file of `total` bytes.
Result<void> read_header(Bytes bytes, uint64_t total, Header& h) {
  if (bytes.size() < sizeof h) return malformed("too short");
  std::memcpy(&h, bytes.data(), sizeof h);
  if (!CodeBundle::is_bundle(bytes)) return malformed("no code file of a component");
  if (h.version != kBundleFormat || h.header_size != sizeof h)
    return Error(ErrorKind::Unsupported, "code file of another version; compile it again");
  if (h.total != total) return malformed("cut off");
  if (h.images < sizeof h || h.images > h.total || h.images > bytes.size())
    return malformed("bad checksum");
  return {};
}

// Checks all but the images themselves, of which `bytes` need have nothing.
Result<void> read_index(Bytes bytes, uint64_t total, Header& h, std::vector<PartEntry>& parts) {
  WAFER_TRY(read_header(bytes, total, h));
  if (h.checksum != hash_bytes(bytes.subspan(kChecked, size_t(h.images) - kChecked)))
    return malformed("bad checksum");
  if (!within(h.component, sizeof h, h.images) || !within(h.parts, sizeof h, h.images) ||
      h.parts.size % sizeof(PartEntry) || h.parts.size / sizeof(PartEntry) > kMaxParts)
    return malformed("a section lies outside of the file");
  parts.resize(size_t(h.parts.size / sizeof(PartEntry)));
  if (!parts.empty())
    std::memcpy(parts.data(), bytes.data() + h.parts.offset, size_t(h.parts.size));
  for (const PartEntry& p : parts)
    if (!within(p.module, sizeof h, h.images) || !within(p.image, h.images, h.total) ||
        p.image.offset % kImagePage)
      return malformed("a section lies outside of the file");
  return {};
}

Bytes slice(Bytes bytes, const Range& r) { return bytes.subspan(size_t(r.offset), size_t(r.size)); }

}  // namespace

Vec<uint8_t> write_bundle(Bytes component, std::span<const runtime::CompiledModule> code) {
  Header h = {};
  std::memcpy(h.magic, kMagic, sizeof kMagic);
  h.version = kBundleFormat;
  h.header_size = sizeof h;
  h.component = {sizeof h, component.size()};
  uint64_t at = word_up(sizeof h + component.size());
  h.parts = {at, code.size() * sizeof(PartEntry)};
  at += h.parts.size;
  std::vector<PartEntry> parts;
  for (const runtime::CompiledModule& c : code) {
    const Bytes module = c.module->bytes;
    PartEntry p{hash_bytes(module), {at, module.size()}, {}};
    const auto begin = reinterpret_cast<uintptr_t>(component.data());
    const auto own = reinterpret_cast<uintptr_t>(module.data());
    if (own >= begin && own + module.size() <= begin + component.size())
      p.module.offset = h.component.offset + (own - begin);
    else
      at += module.size();
    parts.push_back(p);
  }
  at = h.images = page_up(at);
  for (size_t i = 0; i < code.size(); ++i) {
    parts[i].image = {at, code[i].code.size()};
    at = page_up(at + code[i].code.size());
  }
  h.total = at;
  Vec<uint8_t> out(at);
  const auto put = [&out](uint64_t offset, const void* from, size_t size) {
    if (size) std::memcpy(out.data() + offset, from, size);
  };
  put(h.component.offset, component.data(), component.size());
  put(h.parts.offset, parts.data(), size_t(h.parts.size));
  for (size_t i = 0; i < code.size(); ++i) {
    put(parts[i].module.offset, code[i].module->bytes.data(), code[i].module->bytes.size());
    put(parts[i].image.offset, code[i].code.data(), code[i].code.size());
  }
  put(0, &h, sizeof h);
  h.checksum = hash_bytes(Bytes(out).subspan(kChecked, size_t(h.images) - kChecked));
  put(0, &h, sizeof h);
  return out;
}

bool CodeBundle::is_bundle(Bytes bytes) {
  return bytes.size() >= sizeof kMagic && std::memcmp(bytes.data(), kMagic, sizeof kMagic) == 0;
}

uint32_t CodeBundle::claimed_options(Bytes bytes) {
  Header h;
  PartEntry first;
  if (!read_header(bytes, bytes.size(), h) || !within(h.parts, sizeof h, h.images) ||
      h.parts.size < sizeof first)
    return 0;
  std::memcpy(&first, bytes.data() + h.parts.offset, sizeof first);
  if (!within(first.image, h.images, h.total)) return 0;
  return CodeImage::claimed_options(slice(bytes, first.image));
}

bool CodeBundle::claims_to_fit(Bytes bytes) {
  Header h;
  std::vector<PartEntry> parts;
  if (!read_index(bytes, bytes.size(), h, parts)) return false;
  return std::all_of(parts.begin(), parts.end(), [&](const PartEntry& p) {
    return CodeImage::claims_to_fit(slice(bytes, p.image));
  });
}

Result<ImageSummary> CodeBundle::summarize(Bytes bytes) {
  Header h;
  std::vector<PartEntry> parts;
  WAFER_TRY(read_index(bytes, bytes.size(), h, parts));
  ImageSummary all;
  all.same_version = true;
  for (const PartEntry& p : parts) {
    WAFER_LET(image, CodeImage::summarize(slice(bytes, p.image)));
    const uint64_t features = all.traits.features | image.traits.features;
    all.traits = image.traits;
    all.traits.features = features;
    all.text += image.text;
    all.rodata += image.rodata;
    all.functions += image.functions;
    all.same_version = all.same_version && image.same_version;
  }
  all.module = slice(bytes, h.component);
  return all;
}

Result<std::shared_ptr<const CodeBundle>> CodeBundle::load(Bytes bytes) {
  Header h;
  WAFER_TRY(read_header(bytes, bytes.size(), h));
  auto bundle = std::make_shared<CodeBundle>();
  // Images are copied each by itself.
  const Bytes head = bytes.subspan(0, size_t(h.images));
  bundle->copy_.assign(head.begin(), head.end());
  WAFER_TRY(bundle->open(bundle->copy_, bytes.size(),
                         [&](const Range& r) { return CodeImage::load(slice(bytes, r)); }));
  return std::shared_ptr<const CodeBundle>(std::move(bundle));
}

Result<std::shared_ptr<const CodeBundle>> CodeBundle::map_file(const std::string& path) {
  const UniqueFd file =
      take_opened(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return Error(ErrorKind::Io, std::strerror(errno));
  return map_file(file.get());
}

Result<std::shared_ptr<const CodeBundle>> CodeBundle::map_file(int fd) {
  struct stat st;
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
    return Error(ErrorKind::Io, "not a regular file, or empty");
  const auto size = size_t(st.st_size);
  void* const p = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (p == MAP_FAILED) return Error(ErrorKind::Io, std::strerror(errno));
  auto bundle = std::make_shared<CodeBundle>();
  bundle->mapped_ = static_cast<uint8_t*>(p);
  bundle->mapped_size_ = size;
  WAFER_TRY(bundle->open({bundle->mapped_, size}, size, [fd](const Range& r) {
    return CodeImage::map_file(fd, r.offset, size_t(r.size));
  }));
  return std::shared_ptr<const CodeBundle>(std::move(bundle));
}

// Takes the images that `load` gives for their places in the file.
template <class Load>
Result<void> CodeBundle::open(Bytes bytes, uint64_t total, Load&& load) {
  Header h;
  std::vector<PartEntry> entries;
  WAFER_TRY(read_index(bytes, total, h, entries));
  component_ = slice(bytes, h.component);
  for (const PartEntry& e : entries) {
    WAFER_LET(image, load(e.image));
    parts_.push_back({e.hash, slice(bytes, e.module), std::move(image)});
  }
  std::sort(parts_.begin(), parts_.end(),
            [](const Part& a, const Part& b) { return a.hash < b.hash; });
  return {};
}

CodeBundle::~CodeBundle() {
  parts_.clear();
  if (mapped_) munmap(mapped_, mapped_size_);
}

std::shared_ptr<CodeImage> CodeBundle::find(Bytes module) const {
  const uint64_t hash = hash_bytes(module);
  for (auto p = std::lower_bound(parts_.begin(), parts_.end(), hash,
                                 [](const Part& a, uint64_t b) { return a.hash < b; });
       p != parts_.end() && p->hash == hash; ++p)
    if (std::equal(p->module.begin(), p->module.end(), module.begin(), module.end()))
      return p->image;
  return nullptr;
}

std::function<std::shared_ptr<void>(Bytes module)> code_finder(
    std::shared_ptr<const CodeBundle> bundle) {
  return [bundle = std::move(bundle)](Bytes module) { return keep_code(bundle->find(module)); };
}

}  // namespace wafer::compiler
