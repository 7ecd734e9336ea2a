;; Descriptors keep what they describe alive, lie where every subtype finds them, and are
;; seen by the collector.

(module
  (rec
    (type $base (sub (struct (field i8) (field (mut i64)))))
    (type $a (sub $base (descriptor $a.d) (struct (field i8) (field (mut i64)) (field i16))))
    (type $a.d (sub (describes $a) (struct (field i32))))
    (type $b (sub $a (descriptor $b.d) (struct (field i8) (field (mut i64)) (field i16) (field f64))))
    (type $b.d (sub $a.d (describes $b) (struct (field i32) (field i32)))))
  (type $pad (array i64))

  (global $ad (ref (exact $a.d)) (struct.new $a.d (i32.const 7)))
  (global $const (ref (exact $a))
    (struct.new_desc $a (i32.const 1) (i64.const 2) (i32.const 3) (global.get $ad)))
  (global $const_default (ref (exact $a)) (struct.new_default_desc $a (global.get $ad)))

  (func $make (param $n i32) (result (ref $a))
    (struct.new_desc $b (i32.const -1) (i64.extend_i32_s (local.get $n)) (i32.const 3)
      (f64.const 0.5)
      (struct.new $b.d (local.get $n) (i32.const 9))))

  ;; Objects whose descriptors only they refer to, through many collections.
  (func (export "live") (param $n i32) (result i32)
    (local $i i32) (local $sum i32) (local $o (ref $a))
    (local.set $o (call $make (i32.const 0)))
    (loop $again
      (drop (array.new $pad (i64.const 0) (i32.const 4000)))
      (local.set $sum (i32.add (local.get $sum)
        (i32.sub (struct.get $a.d 0 (ref.get_desc $a (local.get $o))) (local.get $i))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (local.set $o (call $make (local.get $i)))
      (drop (array.new $pad (i64.const 0) (i32.const 4000)))
      (br_if $again (i32.lt_u (local.get $i) (local.get $n))))
    (i32.add (local.get $sum) (struct.get $a.d 0 (ref.get_desc $a (local.get $o)))))

  ;; Fields around the descriptor keep their values.
  (func (export "fields") (result i64)
    (local $o (ref $a))
    (local.set $o (call $make (i32.const 5)))
    (struct.set $a 1 (local.get $o) (i64.add (struct.get $a 1 (local.get $o)) (i64.const 100)))
    (i64.add
      (i64.add (struct.get $base 1 (local.get $o)) (i64.extend_i32_s (struct.get_s $a 0 (local.get $o))))
      (i64.extend_i32_s
        (i32.add (struct.get_u $a 2 (local.get $o))
          (i32.trunc_f64_s (f64.mul (f64.const 2)
            (struct.get $b 3 (ref.cast (ref $b) (local.get $o)))))))))
  (func (export "global") (result i32)
    (i32.add (struct.get_u $a 2 (global.get $const))
      (struct.get $a.d 0 (ref.get_desc $a (global.get $const_default)))))

  ;; A cast compares descriptors, not types.
  (func $cast (param $o anyref) (param $d (ref null (exact $a.d))) (result i32)
    (block $no (result anyref)
      (br_on_cast_desc_eq_fail $no anyref (ref (exact $a)) (local.get $o) (local.get $d))
      (struct.get_u $a 2) (i32.const 10) (i32.add) (return))
    (drop) (i32.const 0))
  (func (export "same") (result i32) (call $cast (global.get $const) (global.get $ad)))
  (func (export "other") (result i32)
    (call $cast (global.get $const) (struct.new $a.d (i32.const 7))))
  (func (export "number") (result i32) (call $cast (ref.i31 (i32.const 3)) (global.get $ad)))
  (func (export "array") (result i32)
    (call $cast (array.new_default $pad (i32.const 3)) (global.get $ad)))
  (func (export "plain") (result i32)
    (call $cast (struct.new_default $base) (global.get $ad)))
  (func (export "host") (param externref) (result i32)
    (call $cast (any.convert_extern (local.get 0)) (global.get $ad)))
  (func (export "null") (result i32) (call $cast (ref.null any) (global.get $ad)))
  (func (export "no descriptor") (result i32) (call $cast (ref.null any) (ref.null none)))
  (func (export "new") (drop (struct.new_default_desc $a (ref.null none))))
  (func (export "get") (drop (ref.get_desc $a (ref.null none))))
  (func (export "cast") (drop (ref.cast_desc_eq (ref $a) (global.get $const) (struct.new $a.d (i32.const 7)))))
  (func (export "exact") (param $n i32) (result i32)
    (i32.add (ref.test (ref (exact $a)) (call $make (local.get $n)))
      (i32.shl (i32.add (ref.test (ref (exact $b)) (call $make (local.get $n)))
        (i32.shl (ref.test (ref $a) (call $make (local.get $n))) (i32.const 1))) (i32.const 1)))))

(assert_return (invoke "live" (i32.const 2000)) (i32.const 2000))
(assert_return (invoke "fields") (i64.const 108))
(assert_return (invoke "global") (i32.const 10))
(assert_return (invoke "same") (i32.const 13))
(assert_return (invoke "other") (i32.const 0))
(assert_return (invoke "number") (i32.const 0))
(assert_return (invoke "array") (i32.const 0))
(assert_return (invoke "plain") (i32.const 0))
(assert_return (invoke "host" (ref.extern 5)) (i32.const 0))
(assert_return (invoke "null") (i32.const 0))
(assert_return (invoke "exact" (i32.const 1)) (i32.const 6))
(assert_trap (invoke "no descriptor") "null descriptor reference")
(assert_trap (invoke "new") "null descriptor reference")
(assert_trap (invoke "get") "null reference")
(assert_trap (invoke "cast") "descriptor cast failure")
(assert_trap
  (module
    (rec (type $a (descriptor $d) (struct)) (type $d (describes $a) (struct)))
    (global (ref $a) (struct.new_default_desc $a (ref.null none))))
  "null descriptor reference")
