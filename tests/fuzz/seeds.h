// Modules that fuzzing starts from; together they use most parts of the language.
#pragma once

#include <string>
#include <vector>

#include "wat/wat.h"

inline constexpr const char* kSeedModules[] = {
    R"((module (memory 1 2) (data (i32.const 8) "seed\00") (global $g (mut i64) (i64.const 7))
  (func $f (export "f") (param i32 i64) (result i32) (local f32 f64)
    (local.set 2 (f32.convert_i32_s (local.get 0)))
    (block $b (result i32)
      (loop $l (br_if $l (i32.lt_s (local.tee 0 (i32.add (local.get 0) (i32.const 1)))
                                   (i32.const 9))))
      (br_table $b $b (i32.load offset=4 (local.get 0)) (i32.const 1)))
    (drop) (i64.store (i32.const 16) (global.get $g)) (memory.grow (i32.const 1))))
)",
    R"((module (type $t (func (param i32) (result i32))) (table 4 funcref)
  (elem (i32.const 0) $a $b)
  (func $a (type $t) (i32.mul (local.get 0) (i32.const 3)))
  (func $b (type $t) (return_call_indirect (type $t) (local.get 0) (i32.const 0)))
  (func (export "f") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (call_indirect (type $t) (local.get 0) (i32.const 1)))
      (else (i32.div_u (i32.const 1) (local.get 0))))))
)",
    R"((module (rec (type $s (sub (struct (field (mut i32)) (field (ref null $s)))))
                    (type $a (array (mut i16))))
  (func (export "f") (result i32) (local $x (ref null $s))
    (local.set $x (struct.new $s (i32.const 5) (ref.null $s)))
    (struct.set $s 0 (local.get $x) (i32.const 6))
    (i32.add (struct.get $s 0 (local.get $x))
      (array.get_u $a (array.new $a (i32.const 9) (i32.const 3)) (i32.const 1)))))
)",
    R"((module (tag $e (param i32)) (memory 1)
  (func (export "f") (result i32)
    (block $h (result i32) (try_table (catch $e $h) (throw $e (i32.const 3))) (unreachable)))
  (func (export "v") (result v128)
    (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
      (v128.load (i32.const 0)) (i32x4.splat (i32.const 7)))))
)",
    R"((module $m (@name "all names") (@custom "a" (before first) "1") (@custom "b" (after data) "2")
  (@custom "c" (after last) "3") (@custom "d" (before code) "4") (@wafer.section table datacount)
  (type $t (func (param i32))) (rec (type $s (struct (field $x i32) (field (@name "y") i64))))
  (import "m" "f" (func $i (param $p i32) (param (@name "q") i32)))
  (memory $mem 1) (global $g i32 (i32.const 1)) (tag $tag) (data $d (i32.const 0) "x")
  (elem $e func $f)
  (func $f (@name "f") (param $a (@name "dup") i32) (@wafer.locals 1 i32 0 f32 1 i32)
    (local $b (@name "dup") i32) (local (@name "") i32)
    (@metadata.code.branch_hint "\00") (if $l (local.get 0) (then (br $l) (block $l (br $l))))
    block $l (@name "other") loop (@name "") local.get $b br_if $l end end))
)",
    R"((module
  (rec (type $a (sub (descriptor $d) (struct (field i8))))
       (type $d (sub (describes $a) (struct))))
  (type $f (func)) (import "m" "f" (func $x (exact (type $f))))
  (import "m" (item "g" (global $g i32)) (item "h" (func)))
  (import "m" (item "i") (item "j") (func (result i32)))
  (func (param anyref (ref null (exact $d))) (result (ref (exact $a)))
    (drop (block $b (result anyref)
      (br_on_cast_desc_eq_fail $b anyref (ref (exact $a)) (local.get 0) (local.get 1)) (return)))
    (ref.cast_desc_eq (ref (exact $a)) (local.get 0)
      (ref.get_desc $a (struct.new_desc $a (i32.const 1) (struct.new $d))))))
)"};

// The seeds in the binary format.
inline std::vector<std::string> binary_seeds() {
  std::vector<std::string> out;
  for (const char* text : kSeedModules) {
    const auto binary = wafer::wat::parse_wat(text);
    out.emplace_back(reinterpret_cast<const char*>(binary->data()), binary->size());
  }
  return out;
}
