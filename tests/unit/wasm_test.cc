// Decoder, validator, type registry, instruction reader and encoder.
#include <gtest/gtest.h>

#include <atomic>
#include <initializer_list>
#include <string>
#include <thread>
#include <vector>

#include "base/leb128.h"
#include "wasm/decoder.h"
#include "wasm/instr.h"
#include "wasm/validator.h"

namespace wafer::wasm {
namespace {

// Assembles modules section by section.
class Builder {
 public:
  Builder() : bytes_{0, 'a', 's', 'm', 1, 0, 0, 0} {}
  Builder& section(uint8_t id, std::initializer_list<int> payload) {
    bytes_.push_back(id);
    write_uleb(bytes_, payload.size());
    return raw(payload);
  }
  Builder& raw(std::initializer_list<int> payload) {
    for (int b : payload) bytes_.push_back(uint8_t(b));
    return *this;
  }
  // One function of type 0, from its locals and instructions without the `end`.
  Builder& code(std::initializer_list<int> body) {
    Vec<uint8_t> payload;
    payload.push_back(1);
    write_uleb(payload, body.size() + 1);
    for (int b : body) payload.push_back(uint8_t(b));
    payload.push_back(0x0B);
    bytes_.push_back(10);
    write_uleb(bytes_, payload.size());
    bytes_.insert(bytes_.end(), payload.begin(), payload.end());
    return *this;
  }
  const Vec<uint8_t>& bytes() const { return bytes_; }

 private:
  Vec<uint8_t> bytes_;
};

std::string show(const Error& e) {
  return std::string(e.message.c_str()) + " @" + std::to_string(e.offset);
}

// Result of decoding in one go; "ok", or the message with its offset. Checks that
// decoding byte by byte comes to the same.
std::string decode(const Vec<uint8_t>& bytes, FeatureSet features = FeatureSet::all()) {
  DecodeOptions options;
  options.features = features;
  auto whole = decode_module(bytes, options);
  const std::string result = whole ? "ok" : show(whole.error());

  StreamingDecoder streaming(options);
  std::string streamed;
  for (uint8_t b : bytes) {
    if (auto r = streaming.push(Bytes(&b, 1)); !r) {
      streamed = show(r.error());
      break;
    }
  }
  if (streamed.empty()) {
    auto r = streaming.finish();
    streamed = r ? "ok" : show(r.error());
  }
  EXPECT_EQ(result, streamed);
  return result;
}
std::string decode(const Builder& b, FeatureSet features = FeatureSet::all()) {
  return decode(b.bytes(), features);
}

// A module with type 0 = `type`, one function of it, a memory, a table of funcref
// and the given body.
std::string function(std::initializer_list<int> type, std::initializer_list<int> body,
                     FeatureSet features = FeatureSet::all()) {
  Builder b;
  b.section(1, type).section(3, {1, 0}).section(4, {1, 0x70, 0, 1}).section(5, {1, 0, 1});
  b.code(body);
  const std::string result = decode(b, features);
  return result.substr(0, result.find(" @"));
}

TEST(Leb128, Unsigned) {
  const auto read = [](std::initializer_list<uint8_t> bytes, uint64_t& out, size_t& used) {
    const uint8_t* p = bytes.begin();
    const LebStatus status = read_uleb<32>(p, bytes.end(), out);
    used = size_t(p - bytes.begin());
    return status;
  };
  uint64_t v;
  size_t used;
  EXPECT_EQ(read({0x00}, v, used), LebStatus::Ok);
  EXPECT_EQ(v, 0u);
  EXPECT_EQ(read({0x80, 0x80, 0x80, 0x80, 0x00}, v, used), LebStatus::Ok);
  EXPECT_EQ(used, 5u);
  EXPECT_EQ(read({0xFF, 0xFF, 0xFF, 0xFF, 0x0F}, v, used), LebStatus::Ok);
  EXPECT_EQ(v, 0xFFFFFFFFu);
  EXPECT_EQ(read({0xFF, 0xFF, 0xFF, 0xFF, 0x1F}, v, used), LebStatus::TooLarge);
  EXPECT_EQ(read({0x80, 0x80, 0x80, 0x80, 0x80, 0x00}, v, used), LebStatus::TooLong);
  EXPECT_EQ(read({0x80, 0x80}, v, used), LebStatus::UnexpectedEnd);
  EXPECT_EQ(used, 2u);
  EXPECT_EQ(read({}, v, used), LebStatus::UnexpectedEnd);
}

TEST(Leb128, Signed) {
  const auto read = [](std::initializer_list<uint8_t> bytes, int64_t& out) {
    const uint8_t* p = bytes.begin();
    return read_sleb<32>(p, bytes.end(), out);
  };
  int64_t v;
  EXPECT_EQ(read({0x7F}, v), LebStatus::Ok);
  EXPECT_EQ(v, -1);
  EXPECT_EQ(read({0x80, 0x80, 0x80, 0x80, 0x78}, v), LebStatus::Ok);
  EXPECT_EQ(v, INT32_MIN);
  EXPECT_EQ(read({0xFF, 0xFF, 0xFF, 0xFF, 0x07}, v), LebStatus::Ok);
  EXPECT_EQ(v, INT32_MAX);
  EXPECT_EQ(read({0xFF, 0xFF, 0xFF, 0xFF, 0x0F}, v), LebStatus::TooLarge);
  EXPECT_EQ(read({0x80, 0x80, 0x80, 0x80, 0x70}, v), LebStatus::TooLarge);
  EXPECT_EQ(read({0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, v), LebStatus::TooLong);
}

TEST(Leb128, RoundTrip) {
  for (unsigned shift = 0; shift < 64; ++shift) {
    for (int64_t delta : {-1, 0, 1}) {
      const uint64_t value = (uint64_t{1} << shift) + uint64_t(delta);
      Vec<uint8_t> out;
      write_uleb(out, value);
      uint64_t back;
      const uint8_t* p = out.data();
      ASSERT_EQ(read_uleb<64>(p, out.data() + out.size(), back), LebStatus::Ok);
      EXPECT_EQ(back, value);
      EXPECT_EQ(p, out.data() + out.size());
      out.clear();
      write_sleb(out, int64_t(value));
      int64_t signed_back;
      p = out.data();
      ASSERT_EQ(read_sleb<64>(p, out.data() + out.size(), signed_back), LebStatus::Ok);
      EXPECT_EQ(signed_back, int64_t(value));
    }
  }
}

TEST(Decoder, Header) {
  EXPECT_EQ(decode(Vec<uint8_t>{}), "unexpected end @0");
  EXPECT_EQ(decode(Vec<uint8_t>{0, 'a', 's'}), "unexpected end @3");
  EXPECT_EQ(decode(Vec<uint8_t>{0, 'a', 's', 'n'}), "magic header not detected @0");
  EXPECT_EQ(decode(Vec<uint8_t>{0, 'a', 's', 'm', 1, 0, 0}), "unexpected end @7");
  EXPECT_EQ(decode(Vec<uint8_t>{0, 'a', 's', 'm', 2, 0, 0, 0}), "unknown binary version @4");
  EXPECT_EQ(decode(Builder()), "ok");
}

TEST(Decoder, Sections) {
  EXPECT_EQ(decode(Builder().section(14, {0})), "malformed section id @8");
  EXPECT_EQ(decode(Builder().section(3, {0}).section(1, {0})),
            "unexpected content after last section @11");
  EXPECT_EQ(decode(Builder().section(12, {0}).section(9, {0})),
            "unexpected content after last section @11");
  EXPECT_EQ(decode(Builder().section(5, {0}).section(13, {0}).section(6, {0})), "ok");
  EXPECT_EQ(decode(Builder().section(1, {1, 0x60, 0, 0, 0x60})), "section size mismatch @14");
  EXPECT_EQ(decode(Builder().raw({1, 7, 2, 0x60, 0, 0})), "length out of bounds @9");
  EXPECT_EQ(decode(Builder().raw({1})), "unexpected end of section or function @9");
  EXPECT_EQ(decode(Builder().section(0, {1, 0xFF})), "malformed UTF-8 encoding @11");
  EXPECT_EQ(decode(Builder().section(0, {1, 'x', 1, 2, 3}).section(1, {0})), "ok");
  EXPECT_EQ(decode(Builder().section(1, {1, 0x60, 0, 0}).section(3, {1, 0})),
            "function and code section have inconsistent lengths @18");
  EXPECT_EQ(decode(Builder().section(12, {1})),
            "data count and data section have inconsistent lengths @11");
}

TEST(Decoder, LebInSections) {
  EXPECT_EQ(decode(Builder().section(1, {0x80, 0x80, 0x80, 0x80, 0x10})), "integer too large @14");
  EXPECT_EQ(decode(Builder().section(1, {0x80, 0x80, 0x80, 0x80, 0x80, 0})),
            "integer representation too long @14");
  EXPECT_EQ(decode(Builder().raw({1, 0x80, 0x80, 0x80, 0x80, 0x10})), "integer too large @13");
}

TEST(Decoder, Types) {
  EXPECT_EQ(decode(Builder().section(1, {1, 0x61})), "malformed definition type @11");
  EXPECT_EQ(decode(Builder().section(1, {1, 0xE0, 0x7F, 0, 0})),
            "integer representation too long @12");
  EXPECT_EQ(decode(Builder().section(1, {1, 0x60, 1, 0x64, 1, 0})), "unknown type 1 @14");
  EXPECT_EQ(decode(Builder().section(1, {1, 0x60, 1, 0x64, 0, 0})), "ok");
  EXPECT_EQ(decode(Builder().section(1, {1, 0x5E, 0x78, 2})), "malformed mutability @13");
  EXPECT_EQ(decode(Builder().section(1, {1, 0x5E, 0x40, 0})), "malformed storage type @12");
  EXPECT_EQ(decode(Builder().section(4, {1, 0x7F, 0, 0})), "malformed reference type @11");
  EXPECT_EQ(decode(Builder().section(5, {1, 0x10, 0})), "malformed limits flags @11");
  EXPECT_EQ(decode(Builder().section(5, {1, 2, 0})).substr(0, 18), "shared memory must");
  EXPECT_EQ(decode(Builder().section(5, {1, 1, 2, 1})).substr(0, 12), "size minimum");
}

TEST(Decoder, SubTypes) {
  // (type (sub (struct))) (type (sub 0 (struct (field i32))))
  EXPECT_EQ(decode(Builder().section(1, {2, 0x50, 0, 0x5F, 0, 0x50, 1, 0, 0x5F, 1, 0x7F, 0})),
            "ok");
  // The super type is final.
  EXPECT_EQ(decode(Builder().section(1, {2, 0x5F, 0, 0x50, 1, 0, 0x5F, 0})),
            "sub type 1 has final super type 0 @13");
  // Different kinds.
  EXPECT_EQ(decode(Builder().section(1, {2, 0x50, 0, 0x5F, 0, 0x50, 1, 0, 0x60, 0, 0})),
            "sub type 1 does not match super type 0 @15");
  // A super type that comes later.
  EXPECT_EQ(decode(Builder().section(1, {1, 0x50, 1, 0, 0x5F, 0})).substr(0, 14), "unknown type 0");
}

TEST(Decoder, Truncation) {
  // Any prefix of a module is malformed, or ends between two sections.
  Builder b;
  b.section(1, {1, 0x60, 1, 0x7F, 1, 0x7F}).section(2, {1, 1, 'm', 1, 'g', 3, 0x7F, 0});
  b.section(3, {1, 0}).section(6, {1, 0x7F, 0, 0x23, 0, 0x0B}).section(7, {1, 1, 'f', 0, 0});
  b.code({0, 0x20, 0, 0x23, 1, 0x6A});
  ASSERT_EQ(decode(b), "ok");
  const Vec<uint8_t>& all = b.bytes();
  for (size_t n = 0; n < all.size(); ++n) {
    const std::string result = decode(Vec<uint8_t>(all.begin(), all.begin() + ptrdiff_t(n)));
    if (result != "ok") EXPECT_TRUE(result.find(" @") != std::string::npos) << n;
  }
}

TEST(Decoder, EveryByteFlipped) {
  // Damage must never crash, and whole and streamed decoding must agree.
  Builder b;
  b.section(1, {2, 0x60, 1, 0x7F, 1, 0x7F, 0x5F, 1, 0x78, 1});
  b.section(2, {1, 1, 'm', 1, 'g', 3, 0x7F, 0});
  b.section(3, {1, 0}).section(4, {1, 0x70, 0, 1}).section(5, {1, 0, 1});
  b.section(9, {1, 0, 0x41, 0, 0x0B, 1, 0}).section(12, {1});
  b.code({1, 2, 0x7E, 0x20, 0, 0x04, 0x7F, 0x41, 1, 0x05, 0x41, 2, 0x0B, 0x28, 2, 4});
  b.section(11, {1, 0, 0x41, 0, 0x0B, 2, 1, 2});
  ASSERT_EQ(decode(b), "ok");
  for (size_t i = 0; i < b.bytes().size(); ++i) {
    for (int v = 0; v < 256; v += (i > 8 ? 1 : 37)) {
      Vec<uint8_t> damaged = b.bytes();
      damaged[i] = uint8_t(v);
      decode(damaged);
    }
  }
}

TEST(Decoder, HugeCountsDoNotAllocate) {
  EXPECT_EQ(decode(Builder().section(1, {0xC0, 0x84, 0x3D})).substr(0, 14), "unexpected end");
  EXPECT_EQ(decode(Builder().section(3, {0xFF, 0xFF, 0xFF, 0xFF, 0x0F})).substr(0, 8), "too many");
}

TEST(Decoder, NamesAndCustomSections) {
  Builder b;
  b.section(1, {1, 0x60, 0, 0}).section(3, {2, 0, 0}).section(7, {1, 1, 'e', 0, 1});
  b.raw({10, 7, 2, 2, 0, 0x0B, 2, 0, 0x0B});
  b.section(0, {4, 'n', 'a', 'm', 'e', 0, 3, 2, 'm', 'y', 1, 4, 1, 0, 1, 'f'});
  auto module = decode_module(b.bytes());
  ASSERT_TRUE(module.ok());
  EXPECT_EQ((*module)->names.module, "my");
  EXPECT_EQ((*module)->function_name(0), "f");
  EXPECT_EQ((*module)->function_name(1), "e");
  ASSERT_EQ((*module)->customs.size(), 1u);
  EXPECT_EQ((*module)->customs[0].after_section, 10);
}

TEST(Decoder, FeaturesAreHonoured) {
  FeatureSet core;
  EXPECT_EQ(decode(Builder().section(13, {0}), core),
            "malformed section id: exceptions not enabled @8");
  EXPECT_EQ(decode(Builder().section(1, {1, 0x5F, 0}), core),
            "malformed definition type: garbage collection not enabled @11");
  EXPECT_EQ(decode(Builder().section(5, {1, 4, 0}), core),
            "malformed limits flags: memory64 not enabled @11");
  EXPECT_EQ(decode(Builder().section(5, {2, 0, 0, 0, 0}), core),
            "multiple memories: multi-memory not enabled @13");
  EXPECT_EQ(decode(Builder().section(4, {2, 0x70, 0, 0, 0x70, 0, 0}), core),
            "multiple tables: reference types not enabled @14");
  EXPECT_EQ(decode(Builder().section(2, {1, 0, 0, 4, 0, 0}), core),
            "malformed import kind: exceptions not enabled @13");
  EXPECT_EQ(decode(Builder().section(2, {1, 0, 0, 0x20, 0}), core),
            "malformed import kind: custom descriptors not enabled @13");
  EXPECT_EQ(decode(Builder().section(2, {1, 0, 0, 0x7F, 0}), core),
            "malformed import kind: compact imports not enabled @13");
  EXPECT_EQ(decode(Builder().section(7, {1, 0, 4, 0}), core),
            "malformed export kind: exceptions not enabled @12");
  EXPECT_EQ(decode(Builder().section(7, {1, 0, 5, 0}), core), "malformed export kind @12");
  EXPECT_EQ(decode(Builder().section(6, {1, 0x7F, 0, 0x41, 0, 0x41, 0, 0x6A, 0x0B}), core),
            "constant expression required: extended constant expressions not enabled @17");
  EXPECT_EQ(function({1, 0x60, 0, 0}, {0, 0xFD, 0x0C}, core),
            "illegal opcode fd 0c: SIMD not enabled");
  EXPECT_EQ(function({1, 0x60, 0, 0}, {0, 0x06, 0x40, 0x0B}, FeatureSet::standard()),
            "illegal opcode 06: legacy exceptions not enabled");
}

TEST(Validator, Messages) {
  const std::initializer_list<int> nothing = {1, 0x60, 0, 0}, i32 = {1, 0x60, 0, 1, 0x7F};
  EXPECT_EQ(function(nothing, {0}), "ok");
  EXPECT_EQ(function(i32, {0}), "type mismatch: instruction requires [i32] but stack has []");
  EXPECT_EQ(function(i32, {0, 0x42, 0}),
            "type mismatch: instruction requires [i32] but stack has [i64]");
  EXPECT_EQ(function(nothing, {0, 0x41, 0}),
            "type mismatch: block requires [] but stack has [i32]");
  EXPECT_EQ(function(nothing, {0, 0x20, 0, 0x1A}), "unknown local 0");
  EXPECT_EQ(function(nothing, {0, 0x0C, 1}), "unknown label 1");
  EXPECT_EQ(function(nothing, {0, 0x10, 9}), "unknown function 9");
  EXPECT_EQ(function(nothing, {0, 0x41, 0, 0x28, 3, 0, 0x1A}),
            "alignment must not be larger than natural");
  EXPECT_EQ(function(nothing, {0, 0x41, 0, 0x28, 0x42, 1, 0, 0x1A}), "unknown memory 1");
  EXPECT_EQ(function(nothing, {0, 0x41, 0, 0x28, 0x80, 1, 0, 0x1A}), "malformed memop flags");
  EXPECT_EQ(function(nothing, {0, 0x41, 0, 0x28, 2, 0x80, 0x80, 0x80, 0x80, 0x10, 0x1A}),
            "offset out of range");
  EXPECT_EQ(function(nothing, {0, 0xD2, 0, 0x1A}), "undeclared function reference 0");
  EXPECT_EQ(function(nothing, {1, 1, 0x64, 0, 0x20, 0, 0x1A}), "uninitialized local 0");
  EXPECT_EQ(function(nothing, {0, 0xFC, 9, 0}), "data count section required");
  EXPECT_EQ(function(nothing, {0, 0x05}), "END opcode expected");
  EXPECT_EQ(function(nothing, {0, 0x0B}), "section size mismatch");
  EXPECT_EQ(function(nothing, {0, 0x02, 0x40}), "unexpected end of section or function");
  EXPECT_EQ(function(nothing, {0, 0xFF}), "illegal opcode ff");
  EXPECT_EQ(function(nothing, {0, 0xFB, 0x7F}), "illegal opcode fb 7f");
  EXPECT_EQ(function(nothing, {0, 0x00, 0x1B, 0x1A}), "ok");
}

TEST(Validator, LocalInitialisation) {
  const std::initializer_list<int> nothing = {1, 0x60, 0, 0};
  // Set in a block, used after it: no longer known to be set.
  EXPECT_EQ(function(nothing, {1, 1, 0x64, 0, 0x02, 0x40, 0xD0, 0, 0xD4, 0x21, 0, 0x20, 0, 0x1A,
                               0x0B, 0x20, 0, 0x1A}),
            "uninitialized local 0");
  EXPECT_EQ(function(nothing, {1, 1, 0x64, 0, 0xD0, 0, 0xD4, 0x22, 0, 0x1A, 0x02, 0x40, 0x20, 0,
                               0x1A, 0x0B, 0x20, 0, 0x1A}),
            "ok");
}

TEST(Validator, ImplementationLimits) {
  // 4 * 2^30 locals.
  EXPECT_EQ(function({1, 0x60, 0, 0},
                     {4,    0x80, 0x80, 0x80, 0x80, 4,    0x7F, 0x80, 0x80, 0x80, 0x80, 4,   0x7F,
                      0x80, 0x80, 0x80, 0x80, 4,    0x7F, 0x80, 0x80, 0x80, 0x80, 4,    0x7F}),
            "too many locals");
  // 60,000 locals are well-formed, but more than fits.
  EXPECT_EQ(function({1, 0x60, 0, 0}, {1, 0xE0, 0xD4, 3, 0x7F}), "too many locals");
}

TEST(Validator, SteppingShowsOperands) {
  Builder b;
  b.section(1, {1, 0x60, 1, 0x7F, 1, 0x7F}).section(3, {1, 0});
  b.code({0, 0x20, 0, 0x02, 0x40, 0x0C, 0, 0x02, 0x40, 0x0B, 0x0B, 0x41, 1, 0x6A});
  auto module = decode_module(b.bytes());
  ASSERT_TRUE(module.ok());
  FuncValidator v(**module);
  ASSERT_TRUE(v.begin(0).ok());
  Instr in;
  bool added = false, dead = false;
  while (!v.done()) {
    ASSERT_TRUE(v.read(in).ok());
    if (in.op == Opcode::I32Add) {
      added = true;
      EXPECT_EQ(v.height(), 2u);
      EXPECT_EQ(v.operand(0), kI32);
      EXPECT_EQ(v.operand(1), kI32);
      EXPECT_TRUE(v.operand(2).is_bot());
      EXPECT_TRUE(v.reachable());
    }
    if (v.control_depth() == 3) {
      dead = true;
      EXPECT_FALSE(v.reachable());  // the block lies after the branch
    }
    ASSERT_TRUE(v.apply(in).ok());
  }
  EXPECT_TRUE(added);
  EXPECT_TRUE(dead);
}

TEST(TypeRegistry, EqualGroupsShareIds) {
  auto registry = make_shared_in<TypeRegistry>();
  DecodeOptions options;
  options.registry = registry;
  // Module 1 defines the pair of mutually recursive types at index 0, module 2 at
  // index 1, and module 3 the same two types in two groups, of which one differs.
  Builder one, two;
  one.section(1, {1, 0x4E, 2, 0x5F, 1, 0x63, 1, 0, 0x60, 1, 0x63, 0, 0});
  two.section(1, {2, 0x60, 0, 0, 0x4E, 2, 0x5F, 1, 0x63, 2, 0, 0x60, 1, 0x63, 1, 0});
  auto a = decode_module(one.bytes(), options), b = decode_module(two.bytes(), options);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ((*a)->canon[0], (*b)->canon[1]);
  EXPECT_EQ((*a)->canon[1], (*b)->canon[2]);
  EXPECT_NE((*b)->canon[0], (*b)->canon[2]);
  // A lone function type is the same from a module and from the host.
  FuncType none;
  EXPECT_EQ(registry->intern_func(none), (*b)->canon[0]);
  // Its members refer to each other by canonical id.
  const CanonType* record = registry->get((*a)->canon[0]);
  EXPECT_EQ(record->fields[0].storage.heap(), HeapType::concrete((*a)->canon[1]));
}

TEST(TypeRegistry, SelfReferenceIsNotOuterReference) {
  auto registry = make_shared_in<TypeRegistry>();
  DecodeOptions options;
  options.registry = registry;
  Builder b;  // (type $a (struct (ref null $a))) (type $b (struct (ref null $a)))
  b.section(1, {2, 0x5F, 1, 0x63, 0, 0, 0x5F, 1, 0x63, 0, 0});
  auto m = decode_module(b.bytes(), options);
  ASSERT_TRUE(m.ok());
  EXPECT_NE((*m)->canon[0], (*m)->canon[1]);
}

TEST(TypeRegistry, Subtyping) {
  auto registry = make_shared_in<TypeRegistry>();
  SubType base, mid, leaf, func;
  base.kind = mid.kind = leaf.kind = CompKind::Struct;
  base.is_final = mid.is_final = false;
  mid.super = 0;
  leaf.super = 1;
  mid.fields = {{TypeKind::I8, true}};
  leaf.fields = {{TypeKind::I8, true}, {kAnyRef, false}, {kV128, false}, {kI64, false}};
  const SubType group[] = {base, mid, leaf, func};
  const uint32_t id = *registry->intern(group, 4, 0, {});
  EXPECT_TRUE(registry->is_subtype(id + 2, id));
  EXPECT_TRUE(registry->is_subtype(id + 2, id + 1));
  EXPECT_FALSE(registry->is_subtype(id, id + 1));
  const HeapType concrete = HeapType::concrete(id + 2), function = HeapType::concrete(id + 3);
  EXPECT_TRUE(registry->is_subtype(concrete, HeapKind::Struct));
  EXPECT_TRUE(registry->is_subtype(concrete, HeapKind::Eq));
  EXPECT_TRUE(registry->is_subtype(concrete, HeapKind::Any));
  EXPECT_FALSE(registry->is_subtype(concrete, HeapKind::Array));
  EXPECT_FALSE(registry->is_subtype(concrete, HeapKind::Func));
  EXPECT_TRUE(registry->is_subtype(HeapKind::None, concrete));
  EXPECT_FALSE(registry->is_subtype(HeapKind::NoFunc, concrete));
  EXPECT_TRUE(registry->is_subtype(function, HeapKind::Func));
  EXPECT_TRUE(registry->is_subtype(HeapKind::NoFunc, function));
  EXPECT_TRUE(registry->is_subtype(HeapKind::I31, HeapKind::Eq));
  EXPECT_FALSE(registry->is_subtype(HeapKind::Eq, HeapKind::I31));
  EXPECT_TRUE(registry->is_subtype(ValType::ref(concrete, false), kAnyRef));
  EXPECT_FALSE(registry->is_subtype(kAnyRef, ValType::ref(HeapKind::Any, false)));
  EXPECT_FALSE(registry->is_subtype(kI32, kI64));

  const CanonType* t = registry->get(id + 2);
  EXPECT_EQ(t->depth(), 2u);
  const uint32_t ref_at = uint32_t(sizeof(void*));
  EXPECT_EQ(t->field_offsets[0], 0u);
  EXPECT_EQ(t->field_offsets[1], ref_at);
  EXPECT_EQ(t->ref_offsets, Vec<uint32_t>{ref_at});
  EXPECT_EQ(t->field_offsets[2] % 8, 0u);
  EXPECT_EQ(t->field_offsets[3], t->field_offsets[2] + 16);
  EXPECT_EQ(t->payload_size, t->field_offsets[3] + 8);
}

TEST(TypeRegistry, SlotsOfFunctions) {
  TypeRegistry registry;
  FuncType type;
  type.params = {kI32, kV128, kExternRef};
  type.results = {kV128};
  const CanonType* t = registry.get(registry.intern_func(type));
  EXPECT_EQ(t->param_slots, 4u);
  EXPECT_EQ(t->result_slots, 2u);
}

TEST(TypeRegistry, ConcurrentInterning) {
  TypeRegistry registry;
  std::vector<std::vector<uint32_t>> ids(4);
  std::vector<std::thread> threads;
  for (auto& out : ids) {
    threads.emplace_back([&registry, &out] {
      for (unsigned i = 0; i < 3000; ++i) {
        FuncType type;
        for (unsigned bit = 0; bit < 12; ++bit) type.params.push_back(i >> bit & 1 ? kI32 : kI64);
        out.push_back(registry.intern_func(type));
        const CanonType* t = registry.get(out.back());
        if (t->id != out.back() || t->func.params.size() != 12) out.push_back(~0u);
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(ids[0].size(), 3000u);
  for (const auto& other : ids) EXPECT_EQ(other, ids[0]);
}

TEST(Instr, EncodingRoundTrips) {
  // Every opcode, with immediates that exercise longer encodings.
  for (unsigned i = 0; i < unsigned(Opcode::Count); ++i) {
    Instr in;
    in.op = Opcode(i);
    const Imm imm = opcode_info(in.op).imm;
    in.index = imm == Imm::MemArg || imm == Imm::MemArgLane ? 3 : 300;
    in.index2 = 7;
    in.align = 2;
    in.lane = imm == Imm::Lane || imm == Imm::MemArgLane ? 1 : 0;
    switch (imm) {
      case Imm::I32:
        in.i32 = -123456;
        break;
      case Imm::F32:
        in.f32_bits = 0x7FC00001;
        break;
      case Imm::None:
        break;
      default:
        in.i64 = int64_t(0x123456789ABCDEF);
    }
    for (unsigned k = 0; k < 16; ++k) in.v128.bytes[k] = uint8_t(k * 2);
    in.block = {BlockType::Kind::Type, {}, 200};
    in.heap = HeapType::concrete(129);
    in.heap2 = HeapKind::I31;
    in.null1 = true;
    in.labels = {1, 200, 3};
    in.types = {ValType::ref(HeapKind::Any, false), kF64};
    in.catches = {{CatchClause::Kind::CatchRef, 5, 1}, {CatchClause::Kind::CatchAll, 0, 2}};
    Vec<uint8_t> bytes;
    write_instr(bytes, in);
    InstrReader reader(bytes, 0, uint32_t(bytes.size()), FeatureSet::all());
    Instr back;
    auto r = reader.read(back);
    ASSERT_TRUE(r.ok()) << opcode_info(in.op).text << ": " << r.error().message.c_str();
    EXPECT_TRUE(reader.at_end());
    EXPECT_EQ(back.op, in.op);
    Vec<uint8_t> again;
    write_instr(again, back);
    EXPECT_EQ(bytes, again) << opcode_info(in.op).text;
  }
}

TEST(Types, Text) {
  EXPECT_EQ(to_string(kI32), "i32");
  EXPECT_EQ(to_string(kFuncRef), "funcref");
  EXPECT_EQ(to_string(ValType::ref(HeapKind::Any, false)), "(ref any)");
  EXPECT_EQ(to_string(ValType::ref(HeapType::concrete(3), true)), "(ref null 3)");
  EXPECT_EQ(to_string(ValType::ref(HeapKind::None, true)), "nullref");
}

}  // namespace
}  // namespace wafer::wasm
