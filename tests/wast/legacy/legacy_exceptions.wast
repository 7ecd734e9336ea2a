;; The legacy form of exceptions: tries in catch clauses, behind what the outer try guards, with
;; tries before and after them.

(module
  (tag $a)
  (tag $b (param i64))
  (func $throw_b (param i64) (throw $b (local.get 0)))

  ;; A try in a catch clause, and another after both.
  (func (export "inside") (param i32) (result i32)
    (try (result i32)
      (do (throw $a))
      (catch $a
        (try (result i32)
          (do (throw $b (i64.const 3)))
          (catch $b (i32.wrap_i64)))))
    (drop)
    (block $x
      (try_table (catch_all $x)
        (if (local.get 0) (then (throw $a)))))
    (try (result i32)
      (do (call $throw_b (i64.const 1)) (local.get 0))
      (catch_all (i32.add (local.get 0) (i32.const 10)))))

  ;; Each in the catch clause of the one before; the last one is not caught by any of them.
  (func (export "chain") (param i32) (result i32)
    (try (result i32)
      (do
        (try (result i32)
          (do (throw $a))
          (catch $a
            (try (result i32)
              (do (throw $a))
              (catch $a
                (try (result i32)
                  (do (call $throw_b (i64.extend_i32_u (local.get 0))) (i32.const 0))
                  (catch $a (i32.const 1))))
              (catch $b (drop) (i32.const 2))))
          (catch $b (drop) (i32.const 3))))
      (catch $b (i32.wrap_i64) (i32.const 100) (i32.add))))

  ;; What a catch clause throws again is for tries around, though not for those before.
  (func (export "again") (result i32)
    (try (result i32)
      (do
        (try (result i32)
          (do
            (try (result i32) (do (throw $a)) (catch $a (i32.const 5)))
            (drop)
            (throw $b (i64.const 7)))
          (catch $b
            (drop)
            (try (result i32)
              (do (rethrow 1))
              (catch $a (i32.const 6))))))
      (catch $b (i32.wrap_i64))))

  ;; A delegate in a catch clause passes over the try around, which guards it no longer anyway.
  (func (export "delegated") (result i32)
    (try $out (result i32)
      (do
        (try (result i32)
          (do (throw $a))
          (catch $a
            (try (result i32)
              (do (call $throw_b (i64.const 8)) (i32.const 0))
              (delegate $out)))
          (catch $b (drop) (i32.const 1))))
      (catch $b (i32.wrap_i64))))
)
(assert_return (invoke "inside" (i32.const 0)) (i32.const 10))
(assert_return (invoke "inside" (i32.const 1)) (i32.const 11))
(assert_return (invoke "chain" (i32.const 4)) (i32.const 104))
(assert_return (invoke "again") (i32.const 7))
(assert_return (invoke "delegated") (i32.const 8))
