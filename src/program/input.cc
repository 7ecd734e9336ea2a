#include "program/input.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/descriptor.h"
#include "compiler/code_bundle.h"
#include "interp/xip_format.h"
#include "program/text.h"
#include "wasm/cursor.h"
#include "wat/wat.h"

namespace wafer::program {

namespace {

// Below this, one read is cheaper than a mapping and its page faults.
constexpr size_t kMapThreshold = 64 << 10;
// The most that is copied: what comes through a pipe or from a device may have no end.
constexpr size_t kMost = size_t{1} << 30;

Error io_error(std::string_view what, std::string_view path) {
  return {ErrorKind::Io, fmt::format("{} {}: {}", what, path, std::strerror(errno))};
}

// Can a module begin like this, in any of its forms? If not, reading on is of no use.
bool may_be_module(Bytes bytes) {
  constexpr std::string_view kBinary("\0asm", 4);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with(kBinary) || is_code(bytes)) return true;
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first == text.npos || text[first] == '(' || text[first] == ';';
}

}  // namespace

Input::Input(Input&& other) noexcept
    : path_(std::move(other.path_)),
      code_file_(std::move(other.code_file_)),
      data_(other.data_),
      size_(other.size_),
      mapped_(other.mapped_),
      owned_(std::move(other.owned_)) {
  other.mapped_ = false;
  other.data_ = nullptr;
  other.size_ = 0;
}

Input::~Input() {
  if (mapped_) munmap(const_cast<uint8_t*>(data_), size_);
}

bool is_code(Bytes bytes) {
  return compiler::CodeImage::is_image(bytes) || compiler::CodeBundle::is_bundle(bytes);
}

bool Input::is_code() const { return program::is_code(bytes()); }

Result<Input> Input::open(std::string_view path, Content content) {
  const bool standard = path == "-";
  if (standard) {
    static bool taken = false;
    if (std::exchange(taken, true))
      return Error(ErrorKind::Io, "standard input can be read only once");
  }
  const std::string name(name_of(path));
  const UniqueFd file = standard
                            ? duplicate(STDIN_FILENO)
                            : take_opened(::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file) return io_error("cannot open", name);
  return read(file.get(), name, content, standard, Hold::Copied);
}

Result<Input> Input::read(int fd, std::string_view path, Content content, Hold hold) {
  return read(fd, path, content, false, hold);
}

Result<Input> Input::read(int fd, std::string_view path, Content content, bool standard,
                          Hold hold) {
  Input in(path);
  struct stat st{};
  if (fstat(fd, &st) != 0) return io_error("cannot read", in.path_);
  if (S_ISDIR(st.st_mode)) {
    errno = EISDIR;
    return io_error("cannot read", in.path_);
  }
  const bool regular = S_ISREG(st.st_mode);
  if (regular && hold == Hold::Mapped && size_t(st.st_size) >= kMapThreshold) {
    void* const map = mmap(nullptr, size_t(st.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    if (map != MAP_FAILED) {
      in.data_ = static_cast<const uint8_t*>(map);
      in.size_ = size_t(st.st_size);
      in.mapped_ = true;
      if (in.is_code() && !(in.code_file_ = duplicate(fd)))
        return io_error("cannot read", in.path_);
      return in;
    }
  }
  // Others may have the same open file, and so its offset; standard input is read from where it is.
  const bool placed = regular && !standard;
  size_t used = 0, room = 0;
  // (Nothing of it is touched before it is read.)
  const auto resize = [&](size_t size) {
    auto* const p = static_cast<uint8_t*>(std::realloc(in.owned_.get(), std::max<size_t>(size, 1)));
    if (!p) return false;
    (void)in.owned_.release();
    in.owned_.reset(p);
    room = size;
    return true;
  };
  const auto exhausted = [&in] {
    return Error(ErrorKind::Exhaustion, fmt::format("cannot read {}: no memory", in.path_));
  };
  // (One more byte tells the end.)
  const size_t expected = regular ? size_t(st.st_size) + 1 : 0;
  if (!resize(kMapThreshold)) return exhausted();
  for (;;) {
    if (used == room) {
      if (content == Content::Module && !may_be_module({in.owned_.get(), used})) break;
      if (std::max(used, expected) > kMost)
        return Error(ErrorKind::Io,
                     fmt::format("cannot read {}: more than {} MiB", in.path_, kMost >> 20));
      if (!resize(std::max(used * 2, expected))) return exhausted();
    }
    uint8_t* const to = in.owned_.get() + used;
    const size_t left = room - used;
    const ssize_t n = placed ? pread(fd, to, left, off_t(used)) : ::read(fd, to, left);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error("cannot read", in.path_);
    if (n == 0) break;
    used += size_t(n);
  }
  if (used < room) resize(used);
  in.data_ = in.owned_.get();
  in.size_ = used;
  return in;
}

bool Input::is_text() const {
  if (size_ >= 4 && std::memcmp(data_, "\0asm", 4) == 0) return false;
  const bool named_text = path_.ends_with(".wat") || path_.ends_with(".wast");
  if (path_.ends_with(".wasm")) return false;
  if (named_text) return true;
  for (size_t i = 0; i < size_; ++i) {
    const char c = char(data_[i]);
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') continue;
    return c == '(' || c == ';';
  }
  return false;
}

std::string Input::describe(const Error& error, bool text) const {
  if (error.offset == Error::kNoOffset) return fmt::format("{}: {}", path_, error.message);
  if (text) {
    const wat::LineColumn at = wat::line_column(this->text(), error.offset);
    return fmt::format("{}:{}:{}: {}", path_, at.line, at.column, error.message);
  }
  return fmt::format("{}:0x{:x}: {}", path_, error.offset, error.message);
}

std::string ModuleInput::describe(const Error& error) const {
  return input.describe(from_text ? encoded.in_source(error) : error, from_text);
}

uint32_t claimed_options(Bytes code) {
  return compiler::CodeBundle::is_bundle(code) ? compiler::CodeBundle::claimed_options(code)
                                               : compiler::CodeImage::claimed_options(code);
}

namespace {

// Whether a file that is neither binary nor the text of a module is WIT by its name and its
// beginning.
bool is_wit(const Input& input) {
  if (std::string_view(input.path()).ends_with(".wit")) return true;
  const std::string_view text = input.text();
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return false;
  constexpr std::string_view kWords[] = {"package ", "interface ", "world ", "use ", "// ", "/// "};
  return std::any_of(std::begin(kWords), std::end(kWords),
                     [&](std::string_view w) { return text.substr(first).starts_with(w); });
}

}  // namespace

Result<ModuleInput> to_module(Input input, wasm::FeatureSet features) {
  ModuleInput module{std::move(input), false, {}, {}};
  const auto described = [&module](const Error& error, bool text) {
    return Error(error.kind, module.input.describe(error, text));
  };
  if (module.input.is_code()) {
    const Bytes bytes = module.input.bytes();
    Result<compiler::ImageSummary> code = compiler::CodeBundle::is_bundle(bytes)
                                              ? compiler::CodeBundle::summarize(bytes)
                                              : compiler::CodeImage::summarize(bytes);
    if (!code) return described(code.error(), false);
    module.code = *std::move(code);
    return module;
  }
  if (module.input.is_text()) {
    Result<SourceBytes> encoded =
        wat::parse_wat(module.input.text(), {.features = features, .names = true});
    if (!encoded) return described(encoded.error(), true);
    module.encoded = *std::move(encoded);
    module.from_text = true;
    return module;
  }
  const auto unfit = [&](std::string_view what) {
    return Error(ErrorKind::Malformed, fmt::format("{}: {}; a module or component was expected",
                                                   module.input.path(), what));
  };
  if (module.input.bytes().empty()) return unfit("is empty");
  if (is_wit(module.input)) return unfit("is WIT");
  if (interp::is_xip(module.input.bytes())) return unfit("is machine code that runs in place");
  return module;
}

std::string printable(std::string_view text) {
  const bool utf8 = wasm::is_utf8(text);
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F || (byte >= 0x80 && !utf8))
      out += fmt::format("\\{:02x}", byte);
    else
      out += c;
  }
  return out;
}

}  // namespace wafer::program
