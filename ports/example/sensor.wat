;; Sends 32 readings, squares of their numbers, and then -1.
(module
  (import "queue" "send" (func $send (param i32 i32) (result i32)))
  (memory 256 256 (pagesize 1))
  (func (export "run") (result i32)
    (local $i i32)
    (loop $each
      (drop (call $send (i32.mul (local.get $i) (local.get $i)) (i32.const -1)))
      (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 32))))
    (drop (call $send (i32.const -1) (i32.const -1)))
    (local.get $i)))
