;; What was done before a trap stays done: this holds for
;; globals, tables and objects too, though a load that faults might seem to let later
;; stores replace earlier ones.
(module
  (memory 1)
  (global $g (mut i32) (i32.const 0))
  (table $t 1 funcref)
  (type $box (struct (field (mut i32))))
  (global $box (mut (ref null $box)) (ref.null $box))
  (func $f)
  (elem declare func $f)

  (func (export "global_then_trap") (param i32)
    (global.set $g (i32.const 1))
    (drop (i32.load (local.get 0)))
    (global.set $g (i32.const 2)))
  (func (export "global") (result i32) (global.get $g))

  (func (export "table_then_trap") (param i32)
    (table.set $t (i32.const 0) (ref.func $f))
    (drop (i32.load (local.get 0)))
    (table.set $t (i32.const 0) (ref.null func)))
  (func (export "table_is_null") (result i32) (ref.is_null (table.get $t (i32.const 0))))

  (func (export "box") (global.set $box (struct.new $box (i32.const 0))))
  (func (export "field_then_trap") (param i32)
    (struct.set $box 0 (global.get $box) (i32.const 1))
    (drop (i32.load (local.get 0)))
    (struct.set $box 0 (global.get $box) (i32.const 2)))
  (func (export "field") (result i32) (struct.get $box 0 (global.get $box)))

  (func (export "store_then_trap") (param i32)
    (i32.store (i32.const 0) (i32.const 1))
    (drop (i32.load (local.get 0)))
    (i32.store (i32.const 0) (i32.const 2)))
  (func (export "memory") (result i32) (i32.load (i32.const 0))))

(assert_trap (invoke "global_then_trap" (i32.const -1)) "out of bounds memory access")
(assert_return (invoke "global") (i32.const 1))
(assert_return (invoke "global_then_trap" (i32.const 0)))
(assert_return (invoke "global") (i32.const 2))

(assert_trap (invoke "table_then_trap" (i32.const -1)) "out of bounds memory access")
(assert_return (invoke "table_is_null") (i32.const 0))

(assert_return (invoke "box"))
(assert_trap (invoke "field_then_trap" (i32.const -1)) "out of bounds memory access")
(assert_return (invoke "field") (i32.const 1))

(assert_trap (invoke "store_then_trap" (i32.const -1)) "out of bounds memory access")
(assert_return (invoke "memory") (i32.const 1))
