;; Turns a light on and off: the module decides how often.
;; blink.ino has the binary: wafer wat2wasm blink.wat
(module
  (import "board" "light" (func $light (param i32)))
  (import "board" "wait" (func $wait (param i32)))
  (func (export "run") (param $rounds i32)
    (loop $each
      (call $light (i32.const 1))
      (call $wait (i32.const 100))
      (call $light (i32.const 0))
      (call $wait (i32.const 400))
      (br_if $each
        (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))))
