// Machine code of a module, in memory or mapped from a file.
//
// One image is position-independent and self-contained: code, constants, unwind tables,
// and one table of addresses that loading fills in. The same bytes serve as a file
// (.wcode), which is mapped and not copied. All offsets are from the image's start;
// sections begin on pages of kImagePage bytes.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "base/span.h"
#include "compiler/code_region.h"

namespace wafer::compiler {

// Largest page size of the platforms that files are made for.
constexpr uint32_t kImagePage = 4096;
constexpr uint64_t page_up(uint64_t n) { return (n + kImagePage - 1) & ~uint64_t{kImagePage - 1}; }

// Changes with how images are written.
constexpr uint32_t kImageFormat = 4;

// What an image was compiled for; code runs only where all of it holds.
struct ImageTraits {
  uint32_t machine = 0;      // ELF machine number (62 x86-64, 183 AArch64)
  uint32_t options = 0;      // bits of OptionBits
  uint64_t fingerprint = 0;  // abi_fingerprint() of the compiler
  uint64_t features = 0;     // bits of CpuFeatures that the code may use
};

enum OptionBits : uint32_t {
  kOptionGuardPages = 1,
  kOptionFuel = 2,
  kOptionInterruptible = 4,
  kOptionExactTraps = 8,
  kOptionNoSignals = 16,
};

// One function's code.
struct ImageFunction {
  uint32_t func_index;
  uint32_t begin, end;  // range in the image
  uint32_t loop = 0;    // offset in the module of the loop that it is entered at; 0: none
};

// From this code offset on, code comes from this offset in the module.
struct ImageLocation {
  uint32_t code;
  uint32_t module_offset;
};

// Code in this range was inlined, from the call at this offset in the module.
struct ImageInline {
  uint32_t begin, end;
  uint32_t call;
};

// Where exceptions go on that leave a call of a function that keeps the frame of frame.h.
struct ImageHandler {
  uint32_t after;  // return address of the call
  uint32_t pad;    // landing pad
};

// The parts of an image, for the writer.
struct ImageParts {
  ImageTraits traits;
  Vec<uint8_t> text;      // executable; code offsets count from it
  uint32_t framed = 0;    // so many bytes of it, from its start, keep the frame of frame.h
  Vec<uint8_t> rodata;    // follows text on a page of its own
  uint32_t eh_frame = 0;  // offset of the unwind table in rodata
  bool has_eh_frame = false;
  Vec<String> symbols;  // names of the address table's entries
  Vec<ImageFunction> functions;
  Vec<ImageLocation> locations;  // by code offset
  Vec<ImageInline> inlines;      // by begin, and of those that begin together the outer first
  Vec<ImageHandler> handlers;    // by `after`
  Vec<uint8_t> module;           // the binary that it was compiled from, if it is to go along
  double seconds_elsewhere = 0;  // processor time that other processes took to make it; not written
};

// Distances that a code generator needs to resolve references between the parts
// before it calls write_image(): where each part will lie.
struct ImagePlan {
  uint32_t text, rodata, table;
};
ImagePlan plan_image(size_t text_size, size_t rodata_size);

// The image's bytes: a file that CodeImage::load() takes.
Vec<uint8_t> write_image(const ImageParts& parts);

// The ELF machine number of code that runs here; 0: there is none.
uint32_t host_machine();
// Features of this machine's processor, as bits that images are checked against.
uint64_t host_cpu_features();
// Bit of a feature by LLVM's name for it ("avx2"), or 0 if images do not track it.
uint64_t cpu_feature_bit(std::string_view name);
// The names behind some bits, joined by commas.
String cpu_feature_names(uint64_t bits);

// What a file of machine code says of itself, whether or not it can run here.
struct ImageSummary {
  ImageTraits traits;
  size_t text = 0, rodata = 0;  // bytes
  size_t functions = 0;
  Bytes module;  // the binary that it was compiled from
  bool same_version = false;
};

// Loaded code. Registered for backtraces, traps and unwinding while it lives.
class CodeImage final : public CodeRegion {
 public:
  // Takes over anonymous memory with a copy of `bytes`.
  static Result<std::shared_ptr<CodeImage>> load(Bytes bytes);
  // Maps a file. Io, or Unsupported / Malformed with the reason if it does not fit.
  static Result<std::shared_ptr<CodeImage>> map_file(const std::string& path);
  // The same of an open file.
  static Result<std::shared_ptr<CodeImage>> map_file(int fd);
  // Of a part of it, from a multiple of kImagePage on.
  static Result<std::shared_ptr<CodeImage>> map_file(int fd, uint64_t offset, size_t size);
  // Whether `bytes` begins like an image; says nothing of its validity.
  static bool is_image(Bytes bytes);
  // What an image says of its ImageTraits::options, unchecked: loading it checks that.
  static uint32_t claimed_options(Bytes bytes);
  // Whether an image says that its code can run here, unchecked by the rest of it.
  static bool claims_to_fit(Bytes bytes);
  // The size that an image says it has, unchecked, by its first kPeek bytes; 0 if they are of none.
  static constexpr size_t kPeek = 512;
  static uint64_t claimed_size(Bytes bytes);
  // Malformed if it is damaged, Unsupported if made by a version with another format.
  static Result<ImageSummary> summarize(Bytes bytes);
  ~CodeImage() override;
  CodeImage(const CodeImage&) = delete;
  CodeImage& operator=(const CodeImage&) = delete;

  // Says whose code this is; profilers and debuggers hear of it.
  void describe(const wasm::Module& module);
  const ImageTraits& traits() const { return traits_; }
  Bytes module() const { return module_; }
  std::span<const ImageFunction> functions() const { return functions_; }
  const uint8_t* base() const { return base_; }
  bool locate(const void* pc, CodeLocation& out) const override;
  const void* landing_pad(const void* pc) const override;
  size_t size() const { return size_; }

  CodeImage() = default;  // use load() or map_file()

 private:
  Result<void> open(uint8_t* base, size_t size);

  ImageTraits traits_;
  uint8_t* base_ = nullptr;
  size_t size_ = 0;
  Bytes eh_frame_;
  Vec<uint8_t> frame_table_;  // of the code that keeps the frame of frame.h
  std::span<const ImageFunction> functions_;
  std::span<const ImageLocation> locations_;
  std::span<const ImageInline> inlines_;
  std::span<const ImageHandler> handlers_;
  Bytes module_;
};

// A fast hash of bytes, for checksums and cache keys (not against forgery).
uint64_t hash_bytes(Bytes bytes, uint64_t seed = 0);

}  // namespace wafer::compiler
