;; Live references in locals, on the operand stack and in arguments survive
;; collections that garbage forces.
(module
  (type $node (struct (field $value i32) (field $next (ref null $node))))
  (func $garbage (param $n i32)
    (loop $again
      (drop (struct.new $node (local.get $n) (ref.null $node)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func $cons (param $value i32) (param $next (ref null $node)) (result (ref $node))
    (call $garbage (i32.const 500))
    (struct.new $node (local.get $value) (local.get $next)))
  (func $build (param $n i32) (result (ref null $node))
    (if (result (ref null $node)) (i32.eqz (local.get $n))
      (then (ref.null $node))
      (else (call $cons (local.get $n) (call $build (i32.sub (local.get $n) (i32.const 1)))))))
  (func (export "sum") (param $n i32) (result i32)
    (local $at (ref null $node)) (local $total i32)
    (local.set $at (call $build (local.get $n)))
    (call $garbage (i32.const 500000))
    (block $done
      (loop $next
        (br_if $done (ref.is_null (local.get $at)))
        (local.set $total
          (i32.add (local.get $total) (struct.get $node $value (local.get $at))))
        (local.set $at (struct.get $node $next (local.get $at)))
        (br $next)))
    (local.get $total)))
(assert_return (invoke "sum" (i32.const 1000)) (i32.const 500500))
