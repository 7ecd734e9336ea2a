// Bounded reader over the bytes of a module: integers, names and types of the
// binary format (spec 5.2, 5.3). Internal to the decoder and validator.
#pragma once

#include "base/leb128.h"
#include "base/result.h"
#include "wasm/opcode.h"
#include "wasm/types.h"

namespace wafer::wasm {

class Cursor {
 public:
  // Reads [begin, end) of the `size` bytes at `base`. What lies beyond `end` is
  // consulted only to word the error when an integer runs over it.
  Cursor(const uint8_t* base, uint32_t begin, uint32_t end, size_t size, FeatureSet features)
      : base_(base),
        pos_(base + begin),
        end_(base + end),
        bytes_end_(base + size),
        features_(features) {}

  bool at_end() const { return pos_ == end_; }
  uint32_t offset() const { return uint32_t(pos_ - base_); }
  const uint8_t* position() const { return pos_; }
  size_t remaining() const { return size_t(end_ - pos_); }
  FeatureSet features() const { return features_; }
  // Type indices at or above `limit` are refused as unknown.
  void set_type_limit(uint32_t limit) { type_limit_ = limit; }

  // The readers give false on failure; the error is then in take_error().
  Error take_error() { return std::move(*error_); }
  Failure take_failure() { return std::move(error_); }
  bool failed() const { return bool(error_); }

  bool byte(uint8_t& out) {
    if (WAFER_UNLIKELY(pos_ == end_)) return fail_end();
    out = *pos_++;
    return true;
  }
  bool u32(uint32_t& out) {
    if (WAFER_LIKELY(pos_ != end_ && *pos_ < 0x80)) {
      out = *pos_++;
      return true;
    }
    return u32_slow(out);
  }
  bool u64(uint64_t& out) {
    if (WAFER_LIKELY(pos_ != end_ && *pos_ < 0x80)) {
      out = *pos_++;
      return true;
    }
    return u64_slow(out);
  }
  bool s32(int32_t& out) {
    if (WAFER_LIKELY(pos_ != end_ && *pos_ < 0x80)) {
      out = int32_t(uint32_t(*pos_++) << 25) >> 25;
      return true;
    }
    int64_t v = 0;
    if (!sleb<32>(v)) return false;
    out = int32_t(v);
    return true;
  }
  bool s33(int64_t& out) { return sleb<33>(out); }
  bool s64(int64_t& out) {
    if (WAFER_LIKELY(pos_ != end_ && *pos_ < 0x80)) {
      out = int64_t(uint64_t(*pos_++) << 57) >> 57;
      return true;
    }
    return sleb<64>(out);
  }
  bool skip(size_t n) {
    if (WAFER_UNLIKELY(remaining() < n)) return fail_end();
    pos_ += n;
    return true;
  }
  // A byte that must be zero.
  bool zero_byte();
  // A name (5.2.4): length and UTF-8 text.
  bool name(std::string_view& out);

  bool heap_type(HeapType& out);
  bool ref_type(ValType& out);
  bool val_type(ValType& out);
  bool storage_type(ValType& out);

  WAFER_COLD bool fail(ErrorKind kind, std::string_view message, const uint8_t* at);
  // Takes less space where it is called.
  WAFER_ALWAYS_INLINE bool fail(ErrorKind kind, const char* message, const uint8_t* at) {
    return fail_text(kind, message, at);
  }
  WAFER_COLD bool fail_text(ErrorKind kind, Text message, const uint8_t* at);
  WAFER_COLD bool fail_end();
  WAFER_COLD bool unknown_type(uint32_t index, const uint8_t* at);

 protected:
  template <unsigned Bits>
  bool uleb(uint64_t& out) {
    if constexpr (kSmall) return leb(Bits, false, out);
    const uint8_t* start = pos_;
    const LebStatus status = read_uleb<Bits>(pos_, end_, out);
    if (WAFER_LIKELY(status == LebStatus::Ok)) return true;
    const uint8_t* p = start;
    return fail_leb(status, start, read_uleb<Bits>(p, bytes_end_, out), p);
  }
  template <unsigned Bits>
  bool sleb(int64_t& out) {
    if constexpr (kSmall) return leb(Bits, true, reinterpret_cast<uint64_t&>(out));
    const uint8_t* start = pos_;
    const LebStatus status = read_sleb<Bits>(pos_, end_, out);
    if (WAFER_LIKELY(status == LebStatus::Ok)) return true;
    const uint8_t* p = start;
    return fail_leb(status, start, read_sleb<Bits>(p, bytes_end_, out), p);
  }
  // The same, once for all.
  WAFER_NOINLINE bool leb(unsigned bits, bool is_signed, uint64_t& out);
  // `beyond` is what reading on past the end gives, and `at` where that stops.
  WAFER_COLD bool fail_leb(LebStatus status, const uint8_t* start, LebStatus beyond,
                           const uint8_t* at);
  WAFER_NOINLINE bool u32_slow(uint32_t& out);
  WAFER_NOINLINE bool u64_slow(uint64_t& out);
  // Abstract heap type of a one-byte code; false if it names none that is enabled.
  bool abstract_heap(uint8_t code, HeapKind& out) const;

  const uint8_t* base_;
  const uint8_t* pos_;
  const uint8_t* end_;
  const uint8_t* bytes_end_;
  FeatureSet features_;
  uint32_t type_limit_ = kMaxTypeIndex + 1;
  Failure error_;
};

// True if `bytes` is well-formed UTF-8 (no surrogates, no overlong forms).
bool is_utf8(std::string_view bytes);

// `prefix` followed by `number` in decimal.
String message_with(std::string_view prefix, uint64_t number);

}  // namespace wafer::wasm
