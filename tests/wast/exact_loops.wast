;; Loops of which all is known before they run still trap in the round in which they leave the
;; memory, when all that precedes it has happened.
(module
  (memory (export "m") 1 1)
  (global $rounds (mut i32) (i32.const 0))
  (func (export "rounds") (result i32) (global.get $rounds))
  (func (export "at") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "clear") (global.set $rounds (i32.const 0))
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 65536)))

  ;; Down, past 0.
  (func (export "load_down") (local $p i32) (local $n i32)
    (local.set $p (i32.const 100)) (local.set $n (i32.const 100))
    (loop $l
      (drop (i32.load (local.get $p)))
      (local.set $p (i32.sub (local.get $p) (i32.const 4)))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func (export "store_down") (local $p i32) (local $n i32)
    (local.set $p (i32.const 100)) (local.set $n (i32.const 100))
    (loop $l
      (global.set $rounds (i32.add (global.get $rounds) (i32.const 1)))
      (i32.store8 (local.get $p) (i32.const 7))
      (local.set $p (i32.sub (local.get $p) (i32.const 4)))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  ;; Up, past the end that the memory always has.
  (func (export "load_up") (local $p i32) (local $n i32)
    (local.set $p (i32.const 65500)) (local.set $n (i32.const 100))
    (loop $l
      (drop (i32.load (local.get $p)))
      (local.set $p (i32.add (local.get $p) (i32.const 4)))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func (export "store_up") (local $p i32) (local $n i32)
    (local.set $p (i32.const 65500)) (local.set $n (i32.const 100))
    (loop $l
      (global.set $rounds (i32.add (global.get $rounds) (i32.const 1)))
      (i32.store8 (local.get $p) (i32.const 7))
      (local.set $p (i32.add (local.get $p) (i32.const 4)))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  ;; By a step that leaves the memory at once, but for a sum that adds up what it stores.
  (func (export "leap") (local $p i32) (local $n i32)
    (local.set $n (i32.const 29))
    (loop $l
      (i32.store8 (i32.const 16)
        (i32.add (i32.load8_u (i32.const 16)) (i32.add (i32.const 1) (i32.load (local.get $p)))))
      (local.set $p (i32.add (local.get $p) (i32.const -1646176430)))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  ;; Known to be outside in every round, and to stay inside in all of them.
  (func (export "outside") (local $n i32)
    (local.set $n (i32.const 29))
    (loop $l
      (global.set $rounds (i32.add (global.get $rounds) (i32.const 1)))
      (drop (i32.load (i32.const 65533)))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func (export "inside") (local $p i32) (local $n i32)
    (local.set $p (i32.const 100)) (local.set $n (i32.const 26))
    (loop $l
      (i32.store8 (local.get $p) (local.get $n))
      (local.set $p (i32.sub (local.get $p) (i32.const 4)))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
)
(assert_trap (invoke "load_down") "out of bounds memory access")
(assert_trap (invoke "store_down") "out of bounds memory access")
(assert_return (invoke "rounds") (i32.const 27))
(assert_return (invoke "at" (i32.const 0)) (i32.const 7))
(assert_return (invoke "at" (i32.const 100)) (i32.const 7))
(invoke "clear")
(assert_trap (invoke "load_up") "out of bounds memory access")
(assert_trap (invoke "store_up") "out of bounds memory access")
(assert_return (invoke "rounds") (i32.const 10))
(assert_return (invoke "at" (i32.const 65532)) (i32.const 7))
(invoke "clear")
(assert_trap (invoke "leap") "out of bounds memory access")
(assert_return (invoke "at" (i32.const 16)) (i32.const 1))
(assert_trap (invoke "outside") "out of bounds memory access")
(assert_return (invoke "rounds") (i32.const 1))
(invoke "clear")
(assert_return (invoke "inside"))
(assert_return (invoke "at" (i32.const 0)) (i32.const 1))
(assert_return (invoke "at" (i32.const 96)) (i32.const 25))
;; Stores over a part of what the round before has stored, in their order.
(module
  (memory 1)
  (func (export "overlap") (result i32) (local $p i32) (local $n i32)
    (local.set $p (i32.const 586)) (local.set $n (i32.const 43))
    (loop $l
      (i32.store (local.get $p) (local.get $n))
      (i32.store8 (local.get $p) (local.get $n))
      (local.set $p (i32.add (local.get $p) (i32.const -1)))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.add (i32.load (i32.const 544)) (i32.add (i32.load8_u (i32.const 560)) (i32.load8_u (i32.const 586))))))
(assert_return (invoke "overlap") (i32.const 1))
