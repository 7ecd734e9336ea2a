;; For regions_test.c: two memories, of which the first has pages of one byte.
(module
  (memory $fast (export "fast") 1024 8192 (pagesize 1))
  (memory $slow (export "slow") 1 4)
  (data (memory $slow) (i32.const 65530) "slow")
  (func (export "grow_fast") (param i32) (result i32) (memory.grow $fast (local.get 0)))
  (func (export "grow_slow") (param i32) (result i32) (memory.grow $slow (local.get 0)))
  (func (export "read_fast") (param i32) (result i32) (i32.load8_u $fast (local.get 0)))
  (func (export "read_slow") (param i32) (result i32) (i32.load8_u $slow (local.get 0)))
  (func (export "write_fast") (param i32 i32) (result i32)
    (i32.store8 $fast (local.get 0) (local.get 1))
    (i32.const 0)))
