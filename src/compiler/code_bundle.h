// Machine code of a component: one file (.wcode) with the component and an image for each of its
// core modules and of the adapters between its parts. The images are mapped where they lie; a
// module finds its own by its bytes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "compiler/code_image.h"
#include "runtime/store.h"

namespace wafer::compiler {

// Changes with how bundles are written.
constexpr uint32_t kBundleFormat = 1;

// The file's bytes, from images without their modules. Modules that are part of `component` are
// not written once more.
Vec<uint8_t> write_bundle(Bytes component, std::span<const runtime::CompiledModule> code);

class CodeBundle {
 public:
  // Copies `bytes`, or maps a file. Io, or Unsupported / Malformed with the reason if it does not
  // fit; nothing of it is used then.
  static Result<std::shared_ptr<const CodeBundle>> load(Bytes bytes);
  static Result<std::shared_ptr<const CodeBundle>> map_file(const std::string& path);
  // The same of an open file.
  static Result<std::shared_ptr<const CodeBundle>> map_file(int fd);
  // Whether `bytes` begins like a bundle; says nothing of its validity.
  static bool is_bundle(Bytes bytes);
  // CodeImage::claimed_options of its first image.
  static uint32_t claimed_options(Bytes bytes);
  // CodeImage::claims_to_fit of all its images.
  static bool claims_to_fit(Bytes bytes);
  // What all of its images say of themselves, and the component. Errors: as of
  // CodeImage::summarize.
  static Result<ImageSummary> summarize(Bytes bytes);
  ~CodeBundle();
  CodeBundle(const CodeBundle&) = delete;
  CodeBundle& operator=(const CodeBundle&) = delete;

  // The component that it was compiled from; lives as long as the bundle.
  Bytes component() const { return component_; }
  // Code of the module with these bytes, or null.
  std::shared_ptr<CodeImage> find(Bytes module) const;

  CodeBundle() = default;  // use load() or map_file()

 private:
  struct Part {
    uint64_t hash;
    Bytes module;
    std::shared_ptr<CodeImage> image;
  };
  template <class Load>
  Result<void> open(Bytes bytes, uint64_t total, Load&& load);

  Vec<uint8_t> copy_;  // of all before the images
  uint8_t* mapped_ = nullptr;
  size_t mapped_size_ = 0;
  Bytes component_;
  std::vector<Part> parts_;  // by hash
};

// Gives modules the code that is in the bundle, in the form of Module::precompiled; null to those
// that have none there.
std::function<std::shared_ptr<void>(Bytes module)> code_finder(
    std::shared_ptr<const CodeBundle> bundle);

}  // namespace wafer::compiler
