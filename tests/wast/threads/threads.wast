;; Threads of a script: stores of their own that share a memory.

(module $mem (memory (export "m") 1 1 shared))
(register "shared" $mem)
(module $main
  (memory (import "shared" "m") 1 1 shared)
  (func (export "get") (param i32) (result i32) (i32.atomic.load (local.get 0)))
  (func (export "set") (param i32 i32) (i32.atomic.store (local.get 0) (local.get 1)))
  (func (export "wait") (param i32 i64) (result i32)
    (memory.atomic.wait32 (local.get 0) (i32.const 0) (local.get 1)))
  (func (export "notify") (param i32 i32) (result i32)
    (memory.atomic.notify (local.get 0) (local.get 1))))

;; Both add to one counter, over and over.
(thread $a (shared (module $mem))
  (register "shared" $mem)
  (module
    (memory (import "shared" "m") 1 1 shared)
    (func (export "add") (param $n i32)
      (loop $again
        (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
        (drop (i64.atomic.rmw8.add_u (i32.const 8) (i64.const 1)))
        (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))
  (invoke "add" (i32.const 20000)))
(thread $b (shared (module $mem))
  (register "shared" $mem)
  (module
    (memory (import "shared" "m") 1 1 shared)
    (func (export "add") (param $n i32)
      (loop $again
        (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
        (drop (i64.atomic.rmw8.add_u (i32.const 8) (i64.const 1)))
        (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))
  (invoke "add" (i32.const 20000)))
(wait $a)
(wait $b)
(assert_return (invoke $main "get" (i32.const 0)) (i32.const 40000))
;; 40000 modulo 256
(assert_return (invoke $main "get" (i32.const 8)) (i32.const 64))

;; Waits that another thread ends: of 32 and 64 bits, and one that does not begin.
(thread $sleeper (shared (module $mem))
  (register "shared" $mem)
  (module
    (memory (import "shared" "m") 1 1 shared)
    (func (export "wait32") (result i32)
      (memory.atomic.wait32 (i32.const 16) (i32.const 0) (i64.const -1)))
    (func (export "wait64") (result i32)
      (memory.atomic.wait64 (i32.const 24) (i64.const 0) (i64.const -1)))
    (func (export "differs") (result i32)
      (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))
    (func (export "done") (i32.atomic.store (i32.const 32) (i32.const 7))))
  (assert_return (invoke "wait32") (i32.const 0))
  (assert_return (invoke "wait64") (i32.const 0))
  (assert_return (invoke "differs") (i32.const 1))
  (invoke "done"))
(thread $waker (shared (module $mem))
  (register "shared" $mem)
  (module
    (memory (import "shared" "m") 1 1 shared)
    ;; Until one was woken; the other may not sleep yet.
    (func (export "wake") (param i32)
      (loop $again
        (br_if $again
          (i32.ne (memory.atomic.notify (local.get 0) (i32.const 1)) (i32.const 1))))))
  ;; A count of 0 wakes nobody.
  (module $none
    (memory (import "shared" "m") 1 1 shared)
    (func (export "none") (result i32) (memory.atomic.notify (i32.const 16) (i32.const 0))))
  (assert_return (invoke $none "none") (i32.const 0)))
(wait $waker)
(thread $waker (shared (module $mem))
  (register "shared" $mem)
  (module
    (memory (import "shared" "m") 1 1 shared)
    (func (export "wake") (param i32)
      (loop $again
        (br_if $again
          (i32.ne (memory.atomic.notify (local.get 0) (i32.const 1)) (i32.const 1))))))
  (invoke "wake" (i32.const 16))
  (invoke "wake" (i32.const 24)))
(wait $waker)
(wait $sleeper)
(assert_return (invoke $main "get" (i32.const 32)) (i32.const 7))
(assert_return (invoke $main "wait" (i32.const 48) (i64.const 1000000)) (i32.const 2))
(assert_return (invoke $main "notify" (i32.const 48) (i32.const 1)) (i32.const 0))

;; What was not shared is unknown to a thread, and so are other registered names.
(thread $alone
  (assert_unlinkable
    (module (memory (import "shared" "m") 1 1 shared)) "unknown import")
  (thread $inner
    (module (func (export "f") (result i32) (i32.const 3)))
    (assert_return (invoke "f") (i32.const 3)))
  (wait $inner))
(wait $alone)

;; A memory that a thread changes before anything else runs in the store that made it.
(module $early (memory (export "m") 1 1 shared) (data (i32.const 4) "\01"))
(register "early" $early)
(thread $first (shared (module $early))
  (register "early" $early)
  (module
    (memory (import "early" "m") 1 1 shared)
    (func (export "set") (i32.atomic.store (i32.const 4) (i32.const 9))))
  (invoke "set"))
(wait $first)
(module
  (memory (import "early" "m") 1 1 shared)
  (func (export "get") (result i32) (i32.atomic.load (i32.const 4))))
(assert_return (invoke "get") (i32.const 9))
