;; Imports in groups: the name of the module once, and perhaps the type once.

(module
  (func (export "a") (result i32) (i32.const 1))
  (func (export "b") (result i32) (i32.const 20))
  (global (export "g") i32 (i32.const 300))
  (global (export "h") i32 (i32.const 4000))
  (memory (export "m") 1 1))
(register "x")
(module
  (import "x" "a" (func $alone (result i32)))
  (import "x"
    (item "g" (global $g i32))
    (item "b" (func $b (result i32)))
    (item "m" (memory $m 1)))
  (import "x" (item "a") (item "b") (func (result i32)))
  (import "nothing")
  (import "nothing" (func (result i32)))
  (import "x" (item "h") (global i32))
  (func $own (result i32) (i32.const 50000))
  (func (export "sum") (result i32)
    (i32.add (call $alone) (i32.add (global.get $g) (i32.add (call $b)
      (i32.add (global.get 1) (call $own))))))
  (func (export "by_index") (result i32)
    (i32.add (call 2) (i32.add (call 3) (call 4))))
  (func (export "size") (result i32) (memory.size $m)))
(assert_return (invoke "sum") (i32.const 54321))
(assert_return (invoke "by_index") (i32.const 50021))
(assert_return (invoke "size") (i32.const 1))

;; Names of what shares a type come from the name section only.
(module binary "\00asm\01\00\00\00"
  "\01\05\01\60\00\01\7f"
  "\02\0c\01" "\01x" "\00\7e" "\00\00" "\02" "\01a" "\01b"
  "\00\0e" "\04name" "\01\07\02\00\01p\01\01q")
(assert_malformed
  (module quote "(import \"x\" (item \"a\") (func $f))") "identifier not allowed")
(assert_malformed
  (module quote "(import \"x\" (item \"a\" (func)) (item \"b\"))") "unexpected token")
(assert_malformed
  (module quote "(import \"x\" (item \"a\" (func)) (func))") "unexpected token")
(assert_malformed
  (module binary "\00asm\01\00\00\00" "\01\04\01\60\00\00" "\02\07\01" "\01x" "\01y" "\7f" "\00")
  "malformed import kind")
(assert_malformed
  (module binary "\00asm\01\00\00\00" "\01\04\01\60\00\00" "\02\06\01" "\01x" "\00\7e" "\7f")
  "malformed import kind")
(assert_malformed
  (module binary "\00asm\01\00\00\00" "\01\04\01\60\00\00" "\02\09\01" "\01x" "\00\7e" "\00\00" "\02" "\00")
  "unexpected end")
(assert_unlinkable
  (module (import "x" (item "a") (item "g") (func (result i32)))) "incompatible import type")
