;; Branches and returns that move more values than a few: from locals, constants and the stack,
;; taken and not, down to lower places on the stack.
(module
  (type $six (func (result i32 i64 f32 f64 i32 i32)))
  (type $in (func (param i32 i64 f32 f64 i32 i32) (result i32 i64 f32 f64 i32 i32)))

  ;; Values that are still in locals and constants when the branch is, or is not, taken.
  (func (export "br_if") (param $c i32) (param $x i32) (result i32 i64 f32 f64 i32 i32)
    (i32.const 100)
    (block (type $six)
      (i32.const 7)  ;; lies below what is moved
      (local.get $x) (i64.const 2) (f32.const 3) (f64.const 4) (i32.const 0x12345) (local.get $x)
      (br_if 0 (i32.eqz (local.get $c)))
      ;; Not taken: all are as they were, and so is what is below.
      (local.set $c) (drop) (drop) (drop) (drop) (drop)
      (local.set $x)
      (local.get $x) (i64.const -2) (f32.const -3) (f64.const -4) (local.get $c) (i32.const -6))
    (local.set $c) (local.set $x)
    (drop) (drop) (drop) (drop) (drop)
    (local.get $x) (i64.const 1) (f32.const 2) (f64.const 3) (local.get $c) (i32.const 5))

  ;; A comparison that becomes part of the branch, over a local that is set between.
  (func (export "compare") (param $x i32) (result i32 i64 f32 f64 i32 i32)
    (block (type $six)
      (i32.const 9)
      (local.get $x) (i64.const 2) (f32.const 3) (f64.const 4) (i32.const 5) (local.get $x)
      (local.set $x (i32.add (local.get $x) (i32.const 1)))
      (br_if 0 (i32.lt_s (local.get $x) (i32.const 10)))
      (return)))

  ;; Each way out of a function.
  (func (export "out") (param $x i32) (result i32 i64 f32 f64 i32 i32)
    (block (type $six)
      (i32.const 1) (i32.const 2)
      (i32.const 3) (i64.const 4) (f32.const 5) (f64.const 6) (local.get $x) (i32.const 8)
      (br_table 0 1 0 1 (local.get $x))))

  ;; Around a loop whose parameters are many: they turn, by one place each time.
  (func (export "turn") (param $n i32) (result i32 i32 i32 i32 i32 i32)
    (local $a i32) (local $b i32)
    (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5) (i32.const 6)
    (loop (param i32 i32 i32 i32 i32 i32) (result i32 i32 i32 i32 i32 i32)
      (local.set $a)
      (local.get $a)
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if 0 (i32.gt_s (local.get $n) (i32.const 0)))
      (local.set $b (i32.const 60))
      (drop) (local.get $b)))

  ;; The first of many results is the last parameter and the other way round: locals that the
  ;; results are about to overwrite.
  (func (export "crossed") (param $a i32) (param $b i32) (param $c i32) (param $d i32) (param $e i32)
    (result i32 i32 i32 i32 i32)
    (local.get $e) (local.get $d) (local.get $c) (local.get $b) (local.get $a)
    (br_if 0 (local.get $a))
    (drop) (i32.const 77)
    (return))

  ;; Many of one kind, with a few more operands below.
  (func (export "sum") (param $c i32) (result i64)
    (local $s i64)
    (block (result i64 i64 i64 i64 i64)
      (i64.const 1000)
      (i64.const 1) (i64.const 2) (i64.const 4) (i64.const 8) (i64.const 16)
      (br_if 0 (local.get $c))
      (br_if 0 (i32.eqz (local.get $c)))
      (unreachable))
    (i64.add) (i64.add) (i64.add) (i64.add)))

(assert_return (invoke "br_if" (i32.const 0) (i32.const 11))
  (i32.const 0x12345) (i64.const 1) (f32.const 2) (f64.const 3) (i32.const 11) (i32.const 5))
(assert_return (invoke "br_if" (i32.const 1) (i32.const 11))
  (i32.const 11) (i64.const 1) (f32.const 2) (f64.const 3) (i32.const -6) (i32.const 5))
(assert_return (invoke "compare" (i32.const 3))
  (i32.const 3) (i64.const 2) (f32.const 3) (f64.const 4) (i32.const 5) (i32.const 3))
(assert_return (invoke "compare" (i32.const 30))
  (i32.const 30) (i64.const 2) (f32.const 3) (f64.const 4) (i32.const 5) (i32.const 30))
(assert_return (invoke "out" (i32.const 0))
  (i32.const 3) (i64.const 4) (f32.const 5) (f64.const 6) (i32.const 0) (i32.const 8))
(assert_return (invoke "out" (i32.const 1))
  (i32.const 3) (i64.const 4) (f32.const 5) (f64.const 6) (i32.const 1) (i32.const 8))
(assert_return (invoke "out" (i32.const 9))
  (i32.const 3) (i64.const 4) (f32.const 5) (f64.const 6) (i32.const 9) (i32.const 8))
(assert_return (invoke "turn" (i32.const 3))
  (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5) (i32.const 60))
(assert_return (invoke "crossed" (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5))
  (i32.const 5) (i32.const 4) (i32.const 3) (i32.const 2) (i32.const 1))
(assert_return (invoke "crossed" (i32.const 0) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5))
  (i32.const 5) (i32.const 4) (i32.const 3) (i32.const 2) (i32.const 77))
(assert_return (invoke "sum" (i32.const 0)) (i64.const 31))
(assert_return (invoke "sum" (i32.const 1)) (i64.const 31))
