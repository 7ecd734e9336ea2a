// Programs made at random, and what comes of running them: for tests that compare tiers.
#pragma once

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "compiler/tier.h"
#include "runtime/store.h"
#include "wat/wat.h"

namespace wafer::compiler {

using runtime::Config;
using runtime::Engine;
using runtime::Tier;
using runtime::Value;
using wasm::TypeKind;

// ---- Running a function

struct Outcome {
  TrapCode trap = TrapCode::None;
  Vec<Value> values;
  int64_t fuel = 0;
  uint32_t trap_offset = 0;
  std::string error;
};

inline std::shared_ptr<wasm::Module> load(const std::shared_ptr<Engine>& engine,
                                          std::string_view text) {
  auto bytes = wat::parse_wat(text);
  EXPECT_TRUE(bytes.ok()) << bytes.error().message << '\n' << text;
  if (!bytes) return nullptr;
  auto module = engine->load_module(*bytes);
  EXPECT_TRUE(module.ok()) << module.error().message << '\n' << text;
  return module ? *module : nullptr;
}

// Calls export "f" in a new instance.
inline Outcome run(Tier* tier, std::string_view text, Config config, const Vec<Value>& args,
                   int64_t fuel = 0) {
  Outcome out;
  auto engine = Engine::create(config, tier);
  const auto module = load(engine, text);
  if (!module) return out;
  Store store(engine);
  store.fuel = fuel;
  auto instance = store.instantiate(module, {});
  if (!instance) {
    out.error = instance.error().message;
    return out;
  }
  auto result = store.call((*instance)->get_export("f")->func, args);
  out.fuel = store.fuel;
  if (result) {
    out.values = std::move(*result);
  } else {
    out.trap = store.trap().code;
    out.error = result.error().message;
    if (!store.trap().backtrace.empty()) out.trap_offset = store.trap().backtrace[0].module_offset;
  }
  return out;
}

inline std::string describe(const Outcome& o) {
  std::string s = "trap " + std::to_string(int(o.trap)) + " " + o.error + ":";
  for (const Value& v : o.values) s += ' ' + std::to_string(v.bits[0]);
  return s;
}

inline void expect_same(const Outcome& a, const Outcome& b, std::string_view text) {
  ASSERT_EQ(describe(a), describe(b)) << text;
}

// ---- Random programs

// Expressions of every number type over locals, memory, calls and control. Bits of NaNs
// are nowhere looked at, since they may differ.
class Program {
 public:
  explicit Program(uint32_t seed) : random_(seed) {}

  std::string text() {
    std::string m =
        "(module (memory 1 2)\n(global $g (mut i32) (i32.const 7))\n(global $h (mut "
        "i64) (i64.const 9))\n(table 8 funcref)\n(elem (i32.const 0) func $f0 $f1 "
        "$f2)\n(type $t (func (param i32 i64 f32 f64) (result i32)))\n";
    for (int f = 0; f < 3; ++f) {
      level_ = f;
      m += "(func $f" + std::to_string(f) + (f == 2 ? " (export \"f\")" : "") +
           " (type $t) (param i32 i64 f32 f64) (result i32)\n"
           "(local i32 i64 f32 f64 i32 i64 v128 i32 f64)\n";
      labels_ = 0;
      for (int i = 0; i < 6; ++i) m += statement(4) + '\n';
      m += expression('i', 5) + ")\n";
    }
    return m + ")";
  }

 private:
  uint32_t pick(uint32_t n) { return random_() % n; }
  template <size_t N>
  std::string choose(const char* const (&names)[N]) {
    return names[pick(N)];
  }
  static const char* type_name(char t) {
    switch (t) {
      case 'i':
        return "i32";
      case 'I':
        return "i64";
      case 'f':
        return "f32";
      case 'F':
        return "f64";
      default:
        return "v128";
    }
  }
  std::string local(char t) {
    static constexpr int kI32[] = {0, 4, 8, 11}, kI64[] = {1, 5, 9}, kF32[] = {2, 6},
                         kF64[] = {3, 7, 12};
    switch (t) {
      case 'i':
        return std::to_string(kI32[pick(4)]);
      case 'I':
        return std::to_string(kI64[pick(3)]);
      case 'f':
        return std::to_string(kF32[pick(2)]);
      case 'F':
        return std::to_string(kF64[pick(3)]);
      default:
        return "10";
    }
  }
  std::string constant(char t) {
    static const char* const kInts[] = {"0",  "1",   "-1",    "2",          "31",         "7",
                                        "63", "255", "65536", "2147483647", "-2147483648"};
    static const char* const kFloats[] = {"0",   "-0",  "1",   "-1.5",  "2147483648",
                                          "inf", "nan", "3e9", "9.3e18"};
    switch (t) {
      case 'i':
        return "(i32.const " + choose(kInts) + ")";
      case 'I':
        return pick(3) ? "(i64.const " + choose(kInts) + ")" : "(i64.const 0x123456789abcdef0)";
      case 'f':
        return "(f32.const " + choose(kFloats) + ")";
      case 'F':
        return "(f64.const " + choose(kFloats) + ")";
      default:
        return "(v128.const i32x4 " + choose(kInts) + " " + choose(kInts) + " 3 " + choose(kInts) +
               ")";
    }
  }
  std::string apply(const std::string& op, std::initializer_list<char> types, int depth) {
    std::string s = "(" + op;
    for (const char t : types) s += ' ' + expression(t, depth - 1);
    return s + ")";
  }
  // Mostly by an odd number, so that programs go on.
  std::string division(char t, int depth) {
    static const char* const kNames[] = {".div_s ", ".div_u ", ".rem_s ", ".rem_u "};
    const std::string type = type_name(t);
    std::string divisor = expression(t, depth - 1);
    if (pick(50)) divisor = "(" + type + ".or " + divisor + " (" + type + ".const 1))";
    return "(" + type + choose(kNames) + expression(t, depth - 1) + ' ' + divisor + ")";
  }
  std::string address(int depth) {
    return "(i32.and " + expression('i', depth - 1) + " (i32.const 0xfff8))";
  }
  std::string expression(char t, int depth) {
    if (depth <= 0 || pick(8) == 0) return pick(3) ? "(local.get " + local(t) + ")" : constant(t);
    switch (pick(13)) {
      case 0:
        return "(local.tee " + local(t) + ' ' + expression(t, depth - 1) + ")";
      case 1:
        if (t == 'v') break;
        return "(select " + expression(t, depth - 1) + ' ' + expression(t, depth - 1) + ' ' +
               expression('i', depth - 1) + ")";
      case 2:
        return std::string("(if (result ") + type_name(t) + ") " + expression('i', depth - 1) +
               " (then " + expression(t, depth - 1) + ") (else " + statement(depth - 1) +
               expression(t, depth - 1) + "))";
      case 3: {
        const std::string label = "$l" + std::to_string(labels_++);
        return "(block " + label + " (result " + type_name(t) + ") (drop (br_if " + label + ' ' +
               expression(t, depth - 1) + ' ' + expression('i', depth - 1) + ")) " +
               statement(depth - 1) + expression(t, depth - 1) + ")";
      }
      case 12: {
        // A loop with a parameter, and with operands below it.
        const std::string label = "$l" + std::to_string(labels_++), type = type_name(t);
        return "(global.set $g (i32.const 3)) " + expression(t, depth - 1) + " (loop " + label +
               " (param " + type + ") (result " + type + ") " + statement(depth - 2) +
               " (global.set $g (i32.sub (global.get $g) (i32.const 1))) (br_if " + label +
               " (i32.gt_s (global.get $g) (i32.const 0))))";
      }
      case 4:
        if (t == 'i' && level_ > 0)
          return "(call $f" + std::to_string(pick(level_)) + args(depth) + ")";
        break;
      case 5:
        if (t == 'i' && level_ > 0)
          return "(call_indirect (type $t)" + args(depth) + " (i32.and " +
                 expression('i', depth - 1) + " (i32.const " + std::to_string(level_ - 1) + ")))";
        break;
      case 6:
        if (t == 'i')
          return pick(2)
                     ? "(i32.load offset=" + std::to_string(pick(9)) + ' ' + address(depth) + ")"
                     : "(i32.load8_s " + address(depth) + ")";
        if (t == 'I')
          return pick(2) ? "(i64.load " + address(depth) + ")"
                         : "(i64.load16_u offset=3 " + address(depth) + ")";
        break;
      default:
        break;
    }
    switch (t) {
      case 'i': {
        static const char* const kBinary[] = {
            "i32.add",   "i32.sub",   "i32.mul",  "i32.and",  "i32.or",   "i32.xor",  "i32.shl",
            "i32.shr_s", "i32.shr_u", "i32.rotl", "i32.rotr", "i32.eq",   "i32.ne",   "i32.lt_s",
            "i32.lt_u",  "i32.gt_s",  "i32.gt_u", "i32.le_s", "i32.le_u", "i32.ge_s", "i32.ge_u"};
        static const char* const kUnary[] = {"i32.eqz",    "i32.clz",       "i32.ctz",
                                             "i32.popcnt", "i32.extend8_s", "i32.extend16_s"};
        static const char* const kFloats[] = {"f64.eq", "f64.ne", "f64.lt",
                                              "f64.gt", "f64.le", "f64.ge"};
        static const char* const kVector[] = {"i32x4.extract_lane 2",   "i8x16.extract_lane_s 5",
                                              "i16x8.extract_lane_u 7", "i8x16.all_true",
                                              "v128.any_true",          "i16x8.bitmask",
                                              "i32x4.bitmask"};
        switch (pick(10)) {
          case 9:
            return division('i', depth);
          case 0:
            return apply(choose(kUnary), {'i'}, depth);
          case 1:
            return apply(choose(kFloats), {'F', 'F'}, depth);
          case 2:
            return pick(2) ? apply("i64.lt_s", {'I', 'I'}, depth) : apply("i64.eqz", {'I'}, depth);
          case 3:
            return apply("i32.wrap_i64", {'I'}, depth);
          case 4:
            return pick(2) ? apply("i32.trunc_sat_f64_u", {'F'}, depth)
                           : apply("i32.trunc_sat_f32_s", {'f'}, depth);
          case 5:
            return apply(choose(kVector), {'v'}, depth);
          default:
            return apply(choose(kBinary), {'i', 'i'}, depth);
        }
      }
      case 'I': {
        static const char* const kBinary[] = {"i64.add",   "i64.sub",  "i64.mul", "i64.and",
                                              "i64.or",    "i64.xor",  "i64.shl", "i64.shr_s",
                                              "i64.shr_u", "i64.rotl", "i64.rotr"};
        static const char* const kUnary[] = {"i64.clz", "i64.ctz", "i64.popcnt", "i64.extend8_s",
                                             "i64.extend32_s"};
        switch (pick(7)) {
          case 6:
            return division('I', depth);
          case 0:
            return apply(choose(kUnary), {'I'}, depth);
          case 1:
            return apply(pick(2) ? "i64.extend_i32_s" : "i64.extend_i32_u", {'i'}, depth);
          case 2:
            return pick(2) ? apply("i64.trunc_sat_f64_u", {'F'}, depth)
                           : apply("i64.trunc_sat_f32_s", {'f'}, depth);
          default:
            return apply(choose(kBinary), {'I', 'I'}, depth);
        }
      }
      case 'f': {
        static const char* const kBinary[] = {"f32.add", "f32.sub", "f32.mul",
                                              "f32.div", "f32.min", "f32.max"};
        static const char* const kUnary[] = {"f32.neg", "f32.abs", "f32.sqrt", "f32.floor",
                                             "f32.nearest"};
        switch (pick(5)) {
          case 0:
            return apply(choose(kUnary), {'f'}, depth);
          case 1:
            return apply(pick(2) ? "f32.convert_i32_u" : "f32.convert_i32_s", {'i'}, depth);
          case 2:
            return apply(pick(2) ? "f32.convert_i64_u" : "f32.convert_i64_s", {'I'}, depth);
          case 3:
            return apply("f32.demote_f64", {'F'}, depth);
          default:
            return apply(choose(kBinary), {'f', 'f'}, depth);
        }
      }
      case 'F': {
        static const char* const kBinary[] = {"f64.add", "f64.sub", "f64.mul",
                                              "f64.div", "f64.min", "f64.max"};
        static const char* const kUnary[] = {"f64.neg", "f64.abs", "f64.ceil", "f64.trunc"};
        switch (pick(5)) {
          case 0:
            return apply(choose(kUnary), {'F'}, depth);
          case 1:
            return apply("f64.convert_i32_u", {'i'}, depth);
          case 2:
            return apply(pick(2) ? "f64.convert_i64_u" : "f64.convert_i64_s", {'I'}, depth);
          case 3:
            return apply("f64.promote_f32", {'f'}, depth);
          default:
            return apply(choose(kBinary), {'F', 'F'}, depth);
        }
      }
      default: {
        static const char* const kBinary[] = {
            "i8x16.add",
            "i16x8.mul",
            "i32x4.sub",
            "i64x2.mul",
            "v128.and",
            "v128.andnot",
            "i8x16.eq",
            "i16x8.gt_u",
            "i32x4.le_s",
            "i64x2.lt_s",
            "i8x16.swizzle",
            "i16x8.min_u",
            "i32x4.max_s",
            "i8x16.avgr_u",
            "i16x8.q15mulr_sat_s",
            "i8x16.narrow_i16x8_u",
            "i32x4.extmul_high_i16x8_s",
            "i64x2.extmul_low_i32x4_u",
            "i8x16.shuffle 0 17 2 19 4 21 6 23 8 25 10 27 12 29 14 31"};
        static const char* const kUnary[] = {"i8x16.popcnt",
                                             "i64x2.abs",
                                             "i16x8.neg",
                                             "i32x4.extend_high_i16x8_u",
                                             "i32x4.extadd_pairwise_i16x8_u",
                                             "v128.not"};
        static const char* const kShift[] = {"i8x16.shl",   "i8x16.shr_s", "i8x16.shr_u",
                                             "i16x8.shr_s", "i32x4.shl",   "i64x2.shr_s"};
        switch (pick(6)) {
          case 0:
            return apply(choose(kUnary), {'v'}, depth);
          case 1:
            return apply(choose(kShift), {'v', 'i'}, depth);
          case 2:
            return apply("i32x4.splat", {'i'}, depth);
          case 3:
            return apply("i64x2.replace_lane 1", {'v', 'I'}, depth);
          case 4:
            return apply("v128.bitselect", {'v', 'v', 'v'}, depth);
          default:
            return apply(choose(kBinary), {'v', 'v'}, depth);
        }
      }
    }
  }
  std::string args(int depth) {
    std::string s;
    for (const char t : {'i', 'I', 'f', 'F'}) s += ' ' + expression(t, depth - 1);
    return s;
  }
  std::string statement(int depth) {
    static constexpr char kTypes[] = {'i', 'I', 'f', 'F', 'v', 'i'};
    const char t = kTypes[pick(6)];
    if (depth <= 0) return "(local.set " + local(t) + ' ' + constant(t) + ")";
    switch (pick(7)) {
      case 0:
        return "(if " + expression('i', depth - 1) + " (then " + statement(depth - 1) + ") (else " +
               statement(depth - 1) + "))";
      case 1: {
        // A loop of a few rounds, by a local that nothing else writes within.
        const std::string label = "$l" + std::to_string(labels_++);
        return "(global.set $g (i32.const 3)) (loop " + label + ' ' + statement(depth - 2) +
               " (global.set $g (i32.sub (global.get $g) (i32.const 1))) (br_if " + label +
               " (i32.gt_s (global.get $g) (i32.const 0))))";
      }
      case 2:
        return "(i32.store offset=4 " + address(depth) + ' ' + expression('i', depth - 1) + ")";
      case 3:
        return pick(2) ? "(i64.store " + address(depth) + ' ' + expression('I', depth - 1) + ")"
                       : "(i64.store8 " + address(depth) + ' ' + expression('I', depth - 1) + ")";
      case 4: {
        const std::string out = "$l" + std::to_string(labels_++);
        const std::string in = "$l" + std::to_string(labels_++);
        return "(block " + out + " (block " + in + " (br_table " + in + ' ' + out + ' ' + in + ' ' +
               expression('i', depth - 1) + ")) " + statement(depth - 1) + ")";
      }
      case 5:
        return "(global.set $h (i64.add (global.get $h) " + expression('I', depth - 1) + "))";
      default:
        return "(local.set " + local(t) + ' ' + expression(t, depth - 1) + ")";
    }
  }

  std::mt19937 random_;
  unsigned level_ = 0, labels_ = 0;
};

}  // namespace wafer::compiler
