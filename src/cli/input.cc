// Input files of all commands: files, pipes, devices and standard input.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/descriptor.h"
#include "cli/support.h"
#include "compiler/code_image.h"

namespace wafer::cli {

namespace {

// Below this, one read is cheaper than a mapping and its page faults.
constexpr size_t kMapThreshold = 64 << 10;
// What comes through a pipe or from a device may have no end.
constexpr size_t kMaxStream = size_t{1} << 30;

Error io_error(std::string_view what, std::string_view path) {
  return {ErrorKind::Io, fmt::format("{} {}: {}", what, path, std::strerror(errno))};
}

// Can a module begin like this, in any of its forms? If not, reading on is of no use.
bool may_be_module(Bytes bytes) {
  constexpr std::string_view kBinary("\0asm", 4);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with(kBinary) || compiler::CodeImage::is_image(bytes)) return true;
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first == text.npos || text[first] == '(' || text[first] == ';';
}

}  // namespace

Input::Input(Input&& other) noexcept
    : path_(std::move(other.path_)),
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

bool Input::is_code() const { return compiler::CodeImage::is_image(bytes()); }

Result<Input> Input::open(std::string_view path, Content content) {
  const bool standard = path == "-";
  Input in(standard ? std::string_view("<stdin>") : path);
  if (standard) {
    static bool taken = false;
    if (std::exchange(taken, true))
      return Error(ErrorKind::Io, "standard input can be read only once");
  }
  const UniqueFd file =
      standard ? duplicate(STDIN_FILENO)
               : take_opened(::open(in.path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file) return io_error("cannot open", in.path_);
  struct stat st{};
  if (fstat(file.get(), &st) != 0) return io_error("cannot read", in.path_);
  if (S_ISDIR(st.st_mode)) {
    errno = EISDIR;
    return io_error("cannot read", in.path_);
  }
  const bool regular = S_ISREG(st.st_mode);
  if (regular && size_t(st.st_size) >= kMapThreshold) {
    // From where the file stands, which only a mapping from its start can do.
    void* const map =
        standard && lseek(file.get(), 0, SEEK_CUR) != 0
            ? MAP_FAILED
            : mmap(nullptr, size_t(st.st_size), PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (map != MAP_FAILED) {
      in.data_ = static_cast<const uint8_t*>(map);
      in.size_ = size_t(st.st_size);
      in.mapped_ = true;
      return in;
    }
  }
  size_t used = 0;
  in.owned_.resize(regular ? size_t(st.st_size) + 1 : kMapThreshold);
  for (;;) {
    if (used == in.owned_.size()) {
      if (content == Content::Module && !may_be_module({in.owned_.data(), used})) break;
      if (!regular && used >= kMaxStream)
        return Error(ErrorKind::Io,
                     fmt::format("cannot read {}: more than {} MiB", in.path_, kMaxStream >> 20));
      in.owned_.resize(used * 2);
    }
    const ssize_t n = read(file.get(), in.owned_.data() + used, in.owned_.size() - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error("cannot read", in.path_);
    if (n == 0) break;
    used += size_t(n);
  }
  in.owned_.resize(used);
  in.data_ = in.owned_.data();
  in.size_ = used;
  return in;
}

}  // namespace wafer::cli
