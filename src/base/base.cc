#include "base/leb128.h"
#include "base/memory.h"
#include "base/platform.h"
#include "base/result.h"

#if WAFER_HAS_OS
#include <cstdio>
#include <cstdlib>
#endif

namespace wafer {

namespace {

#if WAFER_HAS_OS

void* malloc_allocate(void*, size_t size, size_t align) {
  if (align <= alignof(std::max_align_t)) return std::malloc(size ? size : 1);
  return std::aligned_alloc(align, (size + align - 1) & ~(align - 1));
}

void malloc_release(void*, void* pointer, size_t, size_t) { std::free(pointer); }

Allocator g_allocator{malloc_allocate, malloc_release, nullptr};

#else

// There is no memory until set_allocator gives some.
void* no_memory(void*, size_t, size_t) { return nullptr; }
void nothing_to_release(void*, void*, size_t, size_t) {}

Allocator g_allocator{no_memory, nothing_to_release, nullptr};

#endif

}  // namespace

#if WAFER_HAS_OS
void panic(const char* message) {
  std::fprintf(stderr, "wafer: internal error: %s\n", message);
  std::abort();
}
#endif

void set_allocator(const Allocator& allocator) { g_allocator = allocator; }
const Allocator& current_allocator() { return g_allocator; }

void* try_allocate(size_t size, size_t align) {
  return g_allocator.allocate(g_allocator.context, size, align);
}

void* allocate(size_t size, size_t align) {
  void* p = try_allocate(size, align);
  if (WAFER_UNLIKELY(!p)) panic("out of memory");
  return p;
}

void release(void* pointer, size_t size, size_t align) {
  if (pointer) g_allocator.release(g_allocator.context, pointer, size, align);
}

Failure failure(ErrorKind kind, Text message) { return failure(kind, message, Error::kNoOffset); }

Failure failure(ErrorKind kind, Text message, uint64_t at) {
  return Failure(Error(kind, kMessages ? view_of(message.text) : text_of(kind), at));
}

Failure::Failure(Error error) : error_(make_box<Error>(std::move(error)).release()) {}

void Failure::drop(Error* error) { Box<Error>(error).reset(); }

std::string_view text_of(ErrorKind kind) {
  static constexpr std::string_view kTexts[] = {
      "malformed module", "invalid module", "cannot link", "trap",
      "beyond a limit",   "unsupported",    "wrong use",   "input or output"};
  return kTexts[size_t(kind)];
}

LebStatus read_leb(const uint8_t*& p, const uint8_t* end, unsigned bits, bool is_signed,
                   uint64_t& out) {
  return read_leb_inline(p, end, bits, is_signed, out);
}

void write_uleb(Vec<uint8_t>& out, uint64_t value) {
  do {
    uint8_t byte = value & 0x7F;
    value >>= 7;
    if (value) byte |= 0x80;
    out.push_back(byte);
  } while (value);
}

void write_sleb(Vec<uint8_t>& out, int64_t value) {
  for (;;) {
    const uint8_t byte = value & 0x7F;
    value >>= 7;
    if ((value == 0 && !(byte & 0x40)) || (value == -1 && (byte & 0x40))) {
      out.push_back(byte);
      return;
    }
    out.push_back(byte | 0x80);
  }
}

}  // namespace wafer
