;; Tail calls use no stack, whatever the signatures and instances.
(module $even
  (func (export "identity") (param i64) (result i64) (local.get 0)))
(register "other" $even)
(module
  (import "other" "identity" (func $identity (param i64) (result i64)))
  (type $step (func (param i64 i64) (result i64)))
  (table funcref (elem $sum $sum_wide))
  (func $sum (param $n i64) (param $total i64) (result i64)
    (if (i64.eqz (local.get $n)) (then (return_call $identity (local.get $total))))
    (return_call_indirect (type $step)
      (i64.sub (local.get $n) (i64.const 1))
      (i64.add (local.get $total) (local.get $n))
      (i32.const 1)))
  ;; A frame with many locals, to be squeezed into the caller's place.
  (func $sum_wide (param $n i64) (param $total i64) (result i64)
    (local i64 i64 i64 i64 i64 i64 i64 i64 v128 v128)
    (return_call $sum (local.get $n) (local.get $total)))
  (func (export "sum") (param i64) (result i64)
    (call $sum (local.get 0) (i64.const 0))))
(assert_return (invoke "sum" (i64.const 1000000)) (i64.const 500000500000))
