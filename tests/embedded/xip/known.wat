;; A table that nothing but its segments writes: code has its elements as constants. Each export
;; takes an index and calls that element.
(module
  (type $unary (func (param i32) (result i64)))
  (type $other (func (param i64) (result i32)))
  (type $nobody (func (param f32) (result f32)))
  (import "host" "add" (func $host_add (param i32 f32 f64 i64) (result i64)))
  (import "host" "fail" (func $host_fail (param i32) (result i32)))
  (import "host" "again" (func $host_again (param i32) (result i64)))
  (memory (export "memory") 1)
  ;; What lies behind the last element is null, and there are more of them in between.
  (table 32 funcref)
  (elem (i32.const 1) $double $wrong $host_again $third $wrong $double)
  (elem (i32.const 10) $third $deep $double)
  (elem (i32.const 12) $third)
  (func $double (type $unary) (i64.mul (i64.extend_i32_s (local.get 0)) (i64.const 2)))
  (func $third (type $unary) (i64.div_s (i64.extend_i32_s (local.get 0)) (i64.const 3)))
  (func $wrong (type $other) (i32.wrap_i64 (i64.add (local.get 0) (i64.const 5))))
  (func $deep (export "deep") (type $unary)
    (if (result i64) (i32.gt_u (local.get 0) (i32.const 20))
      (then (call_indirect (type $unary) (local.get 0) (i32.const 11)))
      (else (i64.add (i64.const 1) (call_indirect (type $unary)
        (i32.add (local.get 0) (i32.const 1)) (i32.const 11))))))
  (func (export "unary") (type $unary)
    (i32.store (local.get 0) (i32.const 77))
    (call_indirect (type $unary) (i32.const 19) (local.get 0)))
  (func (export "other") (type $unary)
    (i64.extend_i32_u (call_indirect (type $other) (i64.const 1000) (local.get 0))))
  ;; No element has this type.
  (func (export "late") (type $unary)
    (i64.extend_i32_u (i32.trunc_f32_u
      (call_indirect (type $nobody) (f32.const 2) (local.get 0)))))
  ;; For the host, which expects them.
  (func (export "endless") (type $unary) (call $double (local.get 0)))
  (func (export "div") (type $unary)
    (i64.extend_i32_u (i32.div_u (i32.const 1000) (i32.sub (local.get 0) (i32.const 19)))))
  (func (export "grow") (type $unary) (i64.extend_i32_u (memory.grow (i32.const 0)))))
