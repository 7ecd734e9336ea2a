;; Adds up readings until a negative one comes. One that does not come in a second is a fault.
(module
  (import "queue" "receive" (func $receive (param i32) (result i32 i32)))
  (memory 256 256 (pagesize 1))
  (func (export "run") (result i32)
    (local $sum i32) (local $value i32) (local $got i32)
    (loop $each
      (call $receive (i32.const 1000))
      (local.set $got)
      (local.set $value)
      (if (i32.eqz (local.get $got)) (then (unreachable)))
      (if (i32.ge_s (local.get $value) (i32.const 0))
        (then
          (local.set $sum (i32.add (local.get $sum) (local.get $value)))
          (br $each))))
    (local.get $sum)))
