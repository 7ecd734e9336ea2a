;; Gives up what it has begun: a wait of an hour, and a read of an input that does not come; then
;; a read that is cancelled when bytes are there already finds them again. Some of its imports
;; are of 0.2.
(component
  (import "wasi:cli/types@0.3.1" (instance $types
    (type $e (enum "io" "illegal-byte-sequence" "pipe"))
    (export "error-code" (type (eq $e)))))
  (alias export $types "error-code" (type $error))
  (type $bytes (stream u8))
  (type $result (result (error $error)))
  (type $future (future $result))
  (type $both (tuple $bytes $future))
  (import "wasi:cli/stdin@0.3.2" (instance $stdin
    (export "read-via-stream" (func (result $both)))))
  (import "wasi:clocks/monotonic-clock@0.3.0" (instance $clock
    (export "now" (func (result u64)))
    (export "wait-for" (func async (param "how-long" u64)))))
  (import "wasi:clocks/monotonic-clock@0.2.6" (instance $clock2
    (export "now" (func (result u64)))))
  (core module $Memory (memory (export "mem") 1))
  (core instance $memory (instantiate $Memory))
  (core func $stdin' (canon lower (func $stdin "read-via-stream") (memory (core memory $memory "mem"))))
  (core func $wait (canon lower (func $clock "wait-for") async (memory (core memory $memory "mem"))))
  (core func $now (canon lower (func $clock "now")))
  (core func $now2 (canon lower (func $clock2 "now")))
  (core func $read (canon stream.read $bytes async (memory (core memory $memory "mem"))))
  (core func $cancel-read (canon stream.cancel-read $bytes))
  (core func $drop-read (canon stream.drop-readable $bytes))
  (core func $result (canon future.read $future async (memory (core memory $memory "mem"))))
  (core func $cancel (canon subtask.cancel))
  (core func $drop (canon subtask.drop))
  (core module $M
    (import "" "mem" (memory 1))
    (import "" "stdin" (func $stdin (param i32)))
    (import "" "wait" (func $wait (param i64) (result i32)))
    (import "" "now" (func $now (result i64)))
    (import "" "now2" (func $now2 (result i64)))
    (import "" "read" (func $read (param i32 i32 i32) (result i32)))
    (import "" "cancel-read" (func $cancel_read (param i32) (result i32)))
    (import "" "drop-read" (func $drop_read (param i32)))
    (import "" "result" (func $result (param i32 i32) (result i32)))
    (import "" "cancel" (func $cancel (param i32) (result i32)))
    (import "" "drop" (func $drop (param i32)))
    (func $check (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
    (func (export "run") (result i32) (local $task i32)
      ;; Both generations have the same clock.
      (call $check (i64.le_u (call $now) (call $now2)))
      ;; STARTED, and then CANCELLED_BEFORE_RETURNED at once.
      (local.set $task (call $wait (i64.const 3600000000000)))
      (call $check (i32.eq (i32.and (local.get $task) (i32.const 15)) (i32.const 1)))
      (local.set $task (i32.shr_u (local.get $task) (i32.const 4)))
      (call $check (i32.eq (call $cancel (local.get $task)) (i32.const 4)))
      (call $drop (local.get $task))
      ;; What is over already returns.
      (call $check (i32.eq (call $wait (i64.const 0)) (i32.const 2)))
      (call $stdin (i32.const 0))
      ;; BLOCKED, then CANCELLED without a byte.
      (call $check (i32.eq (call $read (i32.load (i32.const 0)) (i32.const 64) (i32.const 8))
        (i32.const -1)))
      (call $check (i32.eq (call $cancel_read (i32.load (i32.const 0))) (i32.const 2)))
      (call $drop_read (i32.load (i32.const 0)))
      ;; That it was dropped is no failure.
      (call $check (i32.eqz (call $result (i32.load (i32.const 4)) (i32.const 16))))
      (i32.load8_u (i32.const 16))))
  (core instance $m (instantiate $M (with "" (instance
    (export "mem" (memory $memory "mem")) (export "stdin" (func $stdin')) (export "wait" (func $wait))
    (export "now" (func $now)) (export "now2" (func $now2)) (export "read" (func $read))
    (export "cancel-read" (func $cancel-read)) (export "drop-read" (func $drop-read))
    (export "result" (func $result)) (export "cancel" (func $cancel)) (export "drop" (func $drop))))))
  (type $unit (result))
  (func $run async (result $unit) (canon lift (core func $m "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.3.0" (instance $exported)))
