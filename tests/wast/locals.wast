;; Locals that code generators keep in registers: over calls, which may not preserve those, where
;; exceptions are caught, and where a result goes to one of them at once.
(module
  (tag $e (param f64))
  (global $g (mut f64) (f64.const 0))
  (func $clobber (param f64 f32 i32 i64) (result f64)
    (local f64 f64 f64 f64 f64 f64 f64 v128 v128 i32 i32 i32 i32 i32)
    (local.set 4 (f64.const -1)) (local.set 5 (f64.const -2)) (local.set 6 (f64.const -3))
    (local.set 7 (f64.const -4)) (local.set 8 (f64.const -5)) (local.set 9 (f64.const -6))
    (local.set 10 (f64.const -7)) (local.set 13 (i32.const -8)) (local.set 14 (i32.const -9))
    (local.set 15 (i32.const -10)) (local.set 16 (i32.const -11)) (local.set 17 (i32.const -12))
    (loop $l
      (global.set $g (f64.add (local.get 4) (f64.add (local.get 5) (f64.add (local.get 6)
        (f64.add (local.get 7) (f64.add (local.get 8) (f64.add (local.get 9) (local.get 10))))))))
      (local.set 13 (i32.add (local.get 13) (i32.add (local.get 14) (i32.add (local.get 15)
        (i32.add (local.get 16) (local.get 17))))))
      (br_if $l (i32.gt_s (local.get 13) (i32.const -100))))
    (local.get 0))
  (func $raise (param f64)
    (drop (call $clobber (f64.const 1) (f32.const 2) (i32.const 3) (i64.const 4)))
    (throw $e (local.get 0)))

  ;; Sums of eight kinds of locals over rounds, a call in one of 16 of them.
  (func (export "over_calls") (param $n i32) (result f64 f32 i32 i64)
    (local $a f64) (local $b f32) (local $c i32) (local $d i64) (local $e f64) (local $f f64)
    (local $i i32) (local $j i32) (local $v v128)
    (loop $l
      (local.set $a (f64.add (local.get $a) (f64.const 0.5)))
      (local.set $b (f32.add (local.get $b) (f32.const 0.25)))
      (local.set $c (i32.add (local.get $c) (i32.const 3)))
      (local.set $d (i64.sub (local.get $d) (i64.const 5)))
      (local.set $v (f64x2.add (local.get $v) (v128.const f64x2 1 2)))
      (if (i32.eqz (i32.and (local.get $i) (i32.const 15)))
        (then (local.set $e (f64.add (local.get $e)
          (call $clobber (local.get $a) (local.get $b) (local.get $c) (local.get $d))))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $l (i32.lt_u (local.get $i) (local.get $n))))
    (f64.add (local.get $e) (f64x2.extract_lane 1 (local.get $v)))
    (local.get $b) (local.get $c) (local.get $d))

  ;; What was changed before an exception is seen where it is caught.
  (func (export "caught") (param $n i32) (result f64)
    (local $a f64) (local $b f64) (local $i i32) (local $j i32) (local $k i32) (local $l i32)
    (loop $again
      (local.set $a (f64.add (local.get $a) (f64.const 1)))
      (local.set $j (i32.add (local.get $j) (local.get $i)))
      (local.set $k (i32.add (local.get $k) (local.get $j)))
      (local.set $l (i32.add (local.get $l) (i32.const 1)))
      (local.set $b (f64.add (local.get $b)
        (block $h (result f64)
          (try_table (catch $e $h)
            (local.set $a (f64.add (local.get $a) (f64.const 2)))
            (call $raise (local.get $a)))
          (unreachable))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (local.get $n))))
    (f64.add (local.get $b) (f64.convert_i32_u
      (i32.add (local.get $l) (i32.add (local.get $k) (local.get $j))))))

  ;; Parameters of every place, used in another order than they come.
  (func (export "parameters") (param i32 f64 i32 f32 i64 f64 i32 i64 f64 i32 f64 i32 f64 f64 f64 f64 f64)
    (result f64) (local $i i32) (local $s f64)
    (loop $l
      (local.set $s (f64.add (local.get $s) (f64.add (local.get 16) (f64.mul (local.get 8)
        (f64.sub (local.get 15) (local.get 1))))))
      (local.set $s (f64.add (local.get $s) (f64.convert_i32_s (i32.sub (local.get 11)
        (i32.mul (local.get 9) (i32.sub (local.get 6) (local.get 2)))))))
      (local.set $s (f64.add (local.get $s) (f64.convert_i64_s (i64.sub (local.get 7)
        (local.get 4)))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get 0))))
    (f64.add (local.get $s) (f64.add (local.get 10) (f64.add (f64.promote_f32 (local.get 3))
      (local.get 5)))))

  ;; A result for a local that is an operand, or stands on the stack.
  (func (export "same") (param $x i32) (param $y i32) (result i32 i32)
    (local.set $x (i32.sub (local.get $y) (local.get $x)))
    (local.set $x (i32.add (local.get $x) (local.get $x)))
    (local.get $x)
    (local.set $x (i32.add (local.get $x) (i32.const 0x80000000)))
    (local.set $y (i32.sub (local.get $x) (i32.const 0x80000000)))
    (i32.mul (local.get $y) (local.tee $y (i32.sub (local.get $x) (i32.const -7)))))
  (func (export "same_float") (param $x f64) (param $y f64) (result f64 f64)
    (local.set $x (f64.sub (local.get $y) (local.get $x)))
    (local.set $x (f64.add (local.get $x) (local.get $x)))
    (local.get $x)
    (local.set $x (f64.div (f64.const 3) (local.get $x)))
    (f64.mul (local.get $x) (local.tee $x (f64.sub (local.get $x) (f64.const 0.25)))))
  (func (export "bits") (param $x f64) (param $y f32) (result i64 i32)
    (i64.reinterpret_f64 (local.get $x)) (i32.reinterpret_f32 (local.get $y))))

(assert_return (invoke "over_calls" (i32.const 100))
  ;; e: a was 0.5, 8.5, 16.5 ... 48.5 in the calls; v's second lane is 200
  (f64.const 371.5) (f32.const 25) (i32.const 300) (i64.const -500))
(assert_return (invoke "caught" (i32.const 10))
  ;; b: 3 + 6 + ... + 30; j: 45; k: 165; l: 10
  (f64.const 385))
(assert_return (invoke "parameters" (i32.const 2) (f64.const 1) (i32.const 3) (f32.const 4)
  (i64.const 5) (f64.const 6) (i32.const 7) (i64.const 8) (f64.const 9) (i32.const 10)
  (f64.const 11) (i32.const 12) (f64.const 13) (f64.const 14) (f64.const 15) (f64.const 16)
  (f64.const 17))
  ;; 2 rounds of (17 + 9 * 15) + (12 - 10 * 4) + 3, and 11 + 4 + 6
  (f64.const 275))
(assert_return (invoke "same" (i32.const 5) (i32.const 8))
  ;; x: 3, 6, 6 - 2^31; y: 6; 6 * (6 - 2^31 + 7) of 32 bits
  (i32.const 6) (i32.const 78))
(assert_return (invoke "same_float" (f64.const 1) (f64.const 4))
  ;; x: 3, 6, 0.5
  (f64.const 6) (f64.const 0.125))
(assert_return (invoke "bits" (f64.const 1) (f32.const 1))
  (i64.const 0x3ff0000000000000) (i32.const 0x3f800000))
