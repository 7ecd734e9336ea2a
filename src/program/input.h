// Input files: modules and components in all their forms.
#pragma once

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/descriptor.h"
#include "base/result.h"
#include "base/source_bytes.h"
#include "compiler/code_image.h"
#include "wasm/module.h"

namespace wafer::program {

// The bytes of an input file.
class Input {
 public:
  enum class Content : uint8_t { Module, Any };
  // Of what is mapped, whoever writes the file over changes what was checked and runs, or takes it
  // away: that is for files that nobody writes, which many processes share. Of a copy, changes of
  // the file do not matter.
  enum class Hold : uint8_t { Copied, Mapped };
  // Reads `path`, or standard input for "-", once and in order. Error kind Io. Where a module
  // is expected, no more than the beginning of what cannot be one may be read.
  static Result<Input> open(std::string_view path, Content content = Content::Any);
  // The same from `fd`, which stays the caller's; `path` is for messages. What cannot be mapped is
  // copied.
  static Result<Input> read(int fd, std::string_view path, Content content = Content::Any,
                            Hold hold = Hold::Copied);
  // How messages name what open(path) reads.
  static std::string_view name_of(std::string_view path) { return path == "-" ? "<stdin>" : path; }
  Input(Input&& other) noexcept;
  Input& operator=(Input&&) = delete;
  ~Input();

  const std::string& path() const { return path_; }
  Bytes bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  // True if this is machine code of `wafer compile`.
  bool is_code() const;
  // The file whose bytes these are, if it is mapped and machine code, to be mapped again; -1: it
  // is not. Stays the input's.
  int code_file() const { return code_file_.get(); }
  // True if this is the text format, going by the content and then the name.
  bool is_text() const;
  // "FILE:0x1f: message" for a binary, "FILE:3:14: message" for text.
  std::string describe(const Error& error, bool text) const;

 private:
  explicit Input(std::string_view path) : path_(path) {}
  static Result<Input> read(int fd, std::string_view path, Content content, bool standard,
                            Hold hold);
  struct Free {
    void operator()(uint8_t* p) const { std::free(p); }
  };
  std::string path_;
  UniqueFd code_file_;
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
  bool mapped_ = false;
  std::unique_ptr<uint8_t, Free> owned_;  // what is not mapped
};

// Whether `bytes` begin like machine code of `wafer compile`.
bool is_code(Bytes bytes);

// A module's binary form: the file itself, what its text encodes to, or what a file of
// machine code was made from.
struct ModuleInput {
  Input input;
  bool from_text = false;
  SourceBytes encoded;
  std::optional<compiler::ImageSummary> code;
  Bytes binary() const { return from_text ? Bytes(encoded) : code ? code->module : input.bytes(); }
  // "FILE:0x1f: message" of an error in the binary form, "FILE:3:14: message" where that is from
  // text.
  std::string describe(const Error& error) const;
};
// What machine code says of how it was compiled (OptionBits), unchecked: loading it checks that.
uint32_t claimed_options(Bytes code);
// Encodes what is text, and looks into what is machine code. The error's message names the file
// and the place in it.
Result<ModuleInput> to_module(Input input, wasm::FeatureSet features);

}  // namespace wafer::program
