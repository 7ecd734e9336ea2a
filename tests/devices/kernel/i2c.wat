;; Writes two bytes to a memory at an address and reads them back: the bytes, or the number of the
;; error-code from bit 16 on and what it has from bit 24 on.
(module
  (import "wafer:devices/i2c@0.1.0" "open" (func $open (param i32 i32 i32)))
  (import "wasi:i2c/i2c@0.2.0-draft" "[method]i2c.write"
    (func $write (param i32 i32 i32 i32 i32)))
  (import "wasi:i2c/i2c@0.2.0-draft" "[method]i2c.write-read"
    (func $write_read (param i32 i32 i32 i32 i64 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "eeprom")
  (data (i32.const 16) "\10ab")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "run") (param $address i32) (result i32)
    (local $bus i32)
    (call $open (i32.const 0) (i32.const 6) (i32.const 64))
    (if (i32.eqz (i32.load8_u (i32.const 64))) (then (return (i32.const -1))))
    (local.set $bus (i32.load (i32.const 68)))
    (call $write (local.get $bus) (local.get $address) (i32.const 16) (i32.const 3) (i32.const 80))
    (if (i32.load8_u (i32.const 80))
      (then (return (i32.or (i32.shl (i32.load8_u (i32.const 81)) (i32.const 16))
                            (i32.shl (i32.load8_u (i32.const 82)) (i32.const 24))))))
    (call $write_read (local.get $bus) (local.get $address) (i32.const 16) (i32.const 1)
      (i64.const 2) (i32.const 96))
    (if (i32.load8_u (i32.const 96)) (then (return (i32.const -2))))
    (i32.load16_u (i32.load (i32.const 100)))))
