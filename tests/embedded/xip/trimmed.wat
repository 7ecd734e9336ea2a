;; Whose memory ends at __heap_base, where the runtime is told so: code may not take it to have
;; more. Each export takes a number and gives one, or traps.
(module
  (type $unary (func (param i32) (result i64)))
  (memory (export "memory") 1 1)
  (global (export "__heap_base") i32 (i32.const 4090))
  (data (i32.const 4000) "some bytes to look at")
  (func (export "load") (type $unary) (i64.load8_u (i32.and (local.get 0) (i32.const 8191))))
  (func (export "offset") (type $unary)
    (i64.extend_i32_u (i32.load offset=4000 (i32.and (local.get 0) (i32.const 127)))))
  (func (export "constant") (type $unary)
    (if (i32.lt_u (local.get 0) (i32.const 3)) (then (return (i64.load (i32.const 4089)))))
    (i64.load (i32.const 4088)))
  ;; Sums words up to the number's place, at most 8000.
  (func (export "loop") (type $unary) (local i32 i64)
    (loop $next
      (local.set 2 (i64.add (local.get 2) (i64.load32_u (local.get 1))))
      (local.set 1 (i32.add (local.get 1) (i32.const 4)))
      (br_if $next (i32.lt_u (local.get 1)
        (select (local.get 0) (i32.const 8000) (i32.lt_u (local.get 0) (i32.const 8000))))))
    (local.get 2)))
